/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See kernel_filter.h. The harness around translated filters: a program with a place for the filter, as
 * the tap has it, and a frame and a window that lie in a map. Its kind of program sees a packet without
 * the link header that test runs want, so that packets of any length can be shown.
 */
#include "host/linux/kernel_filter.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/linux/bpf/geometry.h"
#include "host/linux/ebpf.h"

#define WINDOW_AT   64 /* in the map's value, behind the frame */
#define VALUE_SIZE  (WINDOW_AT + NPF_EBPF_WINDOW_SIZE)
#define FRAME_SIZE  40 /* in steps of 8 */
#define HARNESS     240
#define LINK_HEADER 14

_Static_assert(sizeof(struct npf_frame) <= FRAME_SIZE && FRAME_SIZE <= WINDOW_AT, "the frame fits");
_Static_assert(sizeof(struct npf_ebpf_insn) == sizeof(struct bpf_insn), "same layout");

static void add(struct npf_ebpf_code *code, uint8_t op, uint8_t dst, uint8_t src, int16_t off,
		int32_t imm)
{
	code->insns[code->length++] =
		(struct npf_ebpf_insn){ .code = op, .dst = dst, .src = src, .off = off, .imm = imm };
}

static void alu(struct npf_ebpf_code *code, uint8_t op, uint8_t dst, int32_t imm)
{
	add(code, BPF_ALU64 | op | BPF_K, dst, 0, 0, imm);
}

/* The address of the map's value, and an offset. */
static void map_address(struct npf_ebpf_code *code, uint8_t dst, int map, int32_t at)
{
	add(code, BPF_LD | BPF_IMM | BPF_DW, dst, BPF_PSEUDO_MAP_VALUE, 0, map);
	add(code, 0, 0, 0, 0, at);
}

/* Half of a mask, put together with a branch per bit: the tap, too, asks for every bit, and the
 * verifier must not walk through every combination of them. */
static void add_bits(struct npf_ebpf_code *code, int word)
{
	add(code, BPF_ALU64 | BPF_MOV | BPF_X, 7, 0, 0, 0);
	alu(code, BPF_RSH, 7, 32 * word);
	alu(code, BPF_MOV, 0, 0);
	for (int bit = 0; bit < 32; bit++) {
		add(code, BPF_ALU64 | BPF_MOV | BPF_X, 1, 7, 0, 0);
		alu(code, BPF_RSH, 1, bit);
		alu(code, BPF_AND, 1, 1);
		add(code, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1, 0);
		alu(code, BPF_OR, 0, (int32_t)(1u << bit));
	}
}

/* What the harness makes of the answer: one word of a mask, all of it, or nothing. */
enum { ALL = -1, NOTHING = -2 };

/* The frame lies on the stack, as the tap's: a filter that asks it for something must not be charged
 * for a line of memory that only the harness has. */
static void add_frame(struct npf_ebpf_code *code, int map)
{
	map_address(code, 4, map, 0);
	for (int16_t at = 0; at < FRAME_SIZE; at += 8) {
		add(code, BPF_LDX | BPF_MEM | BPF_DW, 5, 4, at, 0);
		add(code, BPF_STX | BPF_MEM | BPF_DW, 10, 5, (int16_t)(at - FRAME_SIZE), 0);
	}
	add(code, BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	alu(code, BPF_ADD, 2, -FRAME_SIZE);
}

/* The registers that are saved for the caller are used here as in the tap: a filter that wants them
 * must not be charged for that either. */
static void add_main(struct npf_ebpf_code *code, int map, int word)
{
	add_frame(code, map);
	map_address(code, 3, map, WINDOW_AT);
	for (uint8_t saved = 6; saved <= 9; saved++)
		add(code, BPF_ALU64 | BPF_MOV | BPF_X, saved, 10, 0, 0);
	alu(code, BPF_MOV, 0, word >= 0 ? NPF_CLASSIFY_MARK : NPF_FILTER_MARK);
	alu(code, BPF_MOV, 0, -1);
	if (word >= 0)
		add_bits(code, word);
	if (word == NOTHING)
		alu(code, BPF_MOV, 0, 0);
	add(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int load_code(const struct npf_spliced *code, enum bpf_prog_type type)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	int fd = bpf_prog_load(type, "npf_test", "Dual BSD/GPL", code->insns, code->n, &opts);

	return fd < 0 ? -errno : fd;
}

static int load(const struct npf_filter_set *filters, int word, const struct npf_translation *way,
		struct npf_kernel_filter *kernel)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	struct npf_ebpf_insn insns[HARNESS];
	struct npf_ebpf_code harness = { .insns = insns };
	struct npf_spliced spliced;
	int err;

	kernel->map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "npf_test", sizeof(uint32_t), VALUE_SIZE,
				     1, &opts);
	if (kernel->map < 0)
		return -errno;
	add_main(&harness, kernel->map, word);
	err = npf_splice((const struct bpf_insn *)insns, harness.length, filters, way, &spliced);
	if (err)
		return err;
	kernel->length = spliced.parts[0].length;
	kernel->program = load_code(&spliced, word == NOTHING ? BPF_PROG_TYPE_SOCKET_FILTER
							      : BPF_PROG_TYPE_LWT_IN);
	npf_spliced_free(&spliced);
	return kernel->program < 0 ? kernel->program : 0;
}

static int splice_and_load(const struct npf_filter_set *filters, int word,
			   const struct npf_translation *way, struct npf_kernel_filter *kernel)
{
	int err;

	*kernel = (struct npf_kernel_filter){ -1, -1, 0 };
	if (way->access == NPF_EBPF_PEEK && !way->peek)
		return -ENOTSUP;
	err = load(filters, word, way, kernel);
	if (err)
		npf_kernel_filter_close(kernel);
	return err;
}

int npf_kernel_filter_load(const struct npf_program *program, enum npf_ebpf_access access,
			   const struct npf_ebpf_peek *peek, struct npf_kernel_filter *kernel)
{
	const struct npf_filter_set filters = { .filter = program };
	const struct npf_translation way = { .access = access, .peek = peek };

	return splice_and_load(&filters, ALL, &way, kernel);
}

int npf_kernel_filter_load_classes(const struct npf_program *const *programs, uint32_t n, int word,
				   const struct npf_translation *way,
				   struct npf_kernel_filter *kernel)
{
	struct npf_filter_set filters = { .n_classes = n };

	if (n > NPF_MAX_CLASSES)
		return -EINVAL;
	memcpy(filters.classes, programs, n * sizeof(*programs));
	return splice_and_load(&filters, word, way, kernel);
}

int npf_kernel_filter_probe(enum npf_ebpf_access access, const struct npf_ebpf_peek *peek)
{
	static const struct npf_insn looks[] = { { BPF_LD | BPF_ABS | BPF_B, 0, 0, 0 },
						 { 0x16, 0, 0, 0 } };
	static const struct npf_program program = { .length = 2, .insns = looks };
	struct npf_kernel_filter kernel;
	int err = npf_kernel_filter_load(&program, access, peek, &kernel);

	if (!err)
		npf_kernel_filter_close(&kernel);
	return err;
}

void npf_kernel_filter_close(struct npf_kernel_filter *kernel)
{
	if (kernel->program >= 0)
		close(kernel->program);
	if (kernel->map >= 0)
		close(kernel->map);
	*kernel = (struct npf_kernel_filter){ -1, -1, 0 };
}

static int put_frame(const struct npf_kernel_filter *kernel, const struct npf_frame *frame)
{
	uint8_t value[VALUE_SIZE];
	const uint32_t zero = 0;

	/* Old bytes in the window must not matter. */
	memset(value, 0xA5, sizeof(value));
	memcpy(value, frame, sizeof(*frame));
	return bpf_map_update_elem(kernel->map, &zero, value, BPF_ANY) ? -errno : 0;
}

int npf_kernel_filter_load_socket(const struct npf_program *program, enum npf_ebpf_access access,
				  const struct npf_ebpf_peek *peek, const struct npf_frame *frame,
				  struct npf_kernel_filter *kernel)
{
	const struct npf_filter_set filters = { .filter = program };
	const struct npf_translation way = { .access = access, .peek = peek };
	int err = splice_and_load(&filters, NOTHING, &way, kernel);

	return err ? err : put_frame(kernel, frame);
}

static double thread_ns(void)
{
	struct timespec now = { 0 };

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int npf_kernel_filter_time(const struct npf_kernel_filter *kernel, const struct npf_frame *frame,
			   const uint8_t *data, uint32_t repeat, uint32_t *result, double *ns)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	uint8_t *packet;
	double start;
	int err = put_frame(kernel, frame);

	if (err)
		return err;
	packet = calloc(1, LINK_HEADER + frame->length);
	if (!packet)
		return -ENOMEM;
	memcpy(packet + LINK_HEADER, data, frame->length);
	opts.data_in = packet;
	opts.data_size_in = LINK_HEADER + frame->length;
	opts.repeat = (int)repeat;
	start = thread_ns();
	err = bpf_prog_test_run_opts(kernel->program, &opts) ? -errno : 0;
	*ns = (thread_ns() - start) / repeat;
	free(packet);
	*result = opts.retval;
	return err;
}

int npf_kernel_filter_run(const struct npf_kernel_filter *kernel, const struct npf_frame *frame,
			  const uint8_t *data, uint32_t *result)
{
	double ns;

	return npf_kernel_filter_time(kernel, frame, data, 1, result, &ns);
}
