/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Generated machine code for arbitrary programs and packets, scalar and of each vector width that
 * this processor has: it consists of what it may consist of, gives the interpreter's answers, and
 * reads nothing beside the packets, which touch forbidden memory at their end, then at their
 * beginning.
 *
 * Input: flags (1 the dialect), number of instructions, bytes on the wire beyond the packet,
 * instructions, packet.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "filter/filter.h"
#include "fuzz.h"
#include "lib/engine_x86.h"
#include "lib/x86_image.h"
#include "npf/npf.h"

#define HEADER  4
#define PAGE    4096u
#define PACKETS 39u /* two groups of 16 and one of 8, less one */

static struct npf_host *host;
static struct x86_image *image;
static uint8_t *pages; /* every second one, from the second, may be touched */

static uint8_t *at[PACKETS];
static uint32_t lengths[PACKETS], wire_lengths[PACKETS], verdicts[PACKETS];

int LLVMFuzzerInitialize(int *argc, char ***argv);

static uint8_t *page_of(uint32_t packet)
{
	return pages + (size_t)(2 * packet + 1) * PAGE;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (engine_x86_why_not()) {
		fprintf(stderr, "%s\n", engine_x86_why_not());
		exit(0);
	}
	host = npf_host_linux();
	image = x86_image_new();
	pages = mmap(NULL, (size_t)(2 * PACKETS + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	check(host && image && pages != MAP_FAILED);
	for (uint32_t i = 0; i < PACKETS; i++)
		check(!mprotect(page_of(i), PAGE, PROT_READ | PROT_WRITE));
	return 0;
}

/* The packet whole, then cut and with one byte changed, another one for each. */
static void lay_out(const uint8_t *packet, uint32_t length, uint32_t beyond, int at_the_end)
{
	for (uint32_t i = 0; i < PACKETS; i++) {
		uint32_t change = i * 7;

		lengths[i] = i % 3 ? length - length * i / PACKETS : length;
		wire_lengths[i] = lengths[i] + beyond;
		at[i] = page_of(i) + (at_the_end ? PAGE - lengths[i] : 0);
		memcpy(at[i], packet, lengths[i]);
		if (change < lengths[i])
			at[i][change] ^= (uint8_t)i;
	}
}

static void compare(const struct npf_program *program, const struct npf_jit_filter *filter)
{
	uint32_t expected;

	memset(verdicts, 0xA5, sizeof(verdicts));
	npf_jit_run_batch(filter, (const uint8_t *const *)at, wire_lengths, lengths, PACKETS,
			  verdicts);
	for (uint32_t i = 0; i < PACKETS; i++) {
		expected = npf_bpf_filter(program, at[i], wire_lengths[i], lengths[i]);
		check(npf_jit_run(filter, at[i], wire_lengths[i], lengths[i]) == expected);
		check(verdicts[i] == expected);
	}
}

static void run(const struct npf_program *program, uint32_t flags, const uint8_t *packet,
		uint32_t length, uint32_t beyond)
{
	struct npf_jit_filter *filter;
	int err = bpf_jitter(host, program, flags, &filter, NULL);

	if (err == -ENOTSUP)
		return;
	check(!err && filter->function);
	for (int at_the_end = 0; at_the_end < 2; at_the_end++) {
		lay_out(packet, length, beyond, at_the_end);
		compare(program, filter);
	}
	bpf_destroy_jit_filter(filter);
}

static void check_code(const struct npf_program *program, uint32_t flags)
{
	int err = x86_image_make(image, host, program, flags);
	const char *fault = NULL;

	check(!err || err == -ENOTSUP);
	if (!err)
		fault = x86_image_fault(image);
	check_that(!fault, fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	static const uint32_t flags[] = { 0, NPF_JIT_BATCH | NPF_JIT_AVX2, NPF_JIT_BATCH };

	if (size < HEADER)
		return 0;

	struct fuzz_input in = take_input(input, size, HEADER);
	uint32_t length = in.length < PAGE ? in.length : PAGE;

	for (size_t i = 0; i < 3 && !npf_filter_validate(&in.program, NULL, 0); i++) {
		check_code(&in.program, flags[i]);
		run(&in.program, flags[i], in.packet, length, npf_get_be16(input + 2));
	}
	free(in.insns);
	return 0;
}
