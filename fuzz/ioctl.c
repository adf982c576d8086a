/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An instance on the simulated host, used in an arbitrary way: control codes, filters, classes,
 * reads, batches, writes, send queues, dumps, frames, the passing of time. Nothing may crash, hang or
 * leak, and the counters must add up at the end.
 *
 * Input: steps of {operation, argument (4 bytes), n, n bytes}; the operations are the table below.
 */
#include <errno.h>

#include "fuzz.h"
#include "host/sim/sim.h"
#include "npf/npf.h"

#define STEP_HEADER  6
#define MAX_STEPS    64 /* more only repeat */
#define MAX_WRITES   8
#define LARGEST_DISK (64u << 20) /* the simulated disk is memory */
#define MAX_FILES    40          /* of one input */

struct world {
	struct npf_host *host;
	struct npf_driver *driver;
	struct npf_instance *instance;
	uint32_t files; /* that dumps have asked for */
};

struct step {
	uint32_t argument;
	uint32_t n;
	const uint8_t *bytes;
};

static void do_control(struct world *world, const struct step *step)
{
	uint8_t *in = copy(step->bytes, step->n);
	uint8_t *out = copy(step->bytes, step->n);
	size_t returned;
	int err = 0;

	/* Repetitions without end are allowed, and no finding. */
	if (step->argument != NPF_BIOCSWRITEREP)
		err = npf_io_control(world->instance, step->argument, in, step->n, out, step->n,
				     &returned);
	check(err <= 0 && (err || step->argument == NPF_BIOCSWRITEREP || returned <= step->n));
	free(in);
	free(out);
}

static void do_setting(struct world *world, const struct step *step)
{
	static const uint32_t codes[] = {
		NPF_BIOCISETLOBBEH, NPF_BIOCSMODE,         NPF_BIOCSMINTOCOPY,
		NPF_BIOCSRTIMEOUT,  NPF_BIOCSETBUFFERSIZE, NPF_BIOCSTIMESTAMPMODE,
		NPF_BIOCSMODE,
	};
	uint32_t code = codes[step->n % (sizeof(codes) / sizeof(codes[0]))];

	npf_io_control(world->instance, code, &step->argument, sizeof(step->argument), NULL, 0,
		       NULL);
}

static void do_filter(struct world *world, const struct step *step)
{
	struct npf_insn *insns = copy(step->bytes, step->n);
	struct npf_program program = {
		.length = step->n / sizeof(*insns),
		.dialect = (enum npf_dialect)step->argument,
		.insns = insns,
	};

	npf_set_filter(world->instance, &program);
	free(insns);
}

static void do_classes(struct world *world, const struct step *step)
{
	struct npf_insn *insns = copy(step->bytes, step->n);
	struct npf_class classes[2] = { { .name = "a" }, { .name = "b" } };
	struct npf_class_stats stats[2];
	uint32_t n = 2;

	classes[0].program.length = step->n / sizeof(*insns);
	classes[0].program.insns = insns;
	npf_set_classes(world->instance, classes, step->argument % 3);
	npf_get_class_stats(world->instance, stats, &n, NULL);
	free(insns);
}

/* While a dump runs, the clock gets to the end of a long wait step by step: not in ages. */
static void shorten_wait(struct world *world)
{
	struct npf_dump_status status;

	if (!npf_dump_get_status(world->instance, &status) && status.end == NPF_DUMP_RUNNING)
		npf_set_timeout(world->instance, 100);
}

static void do_read(struct world *world, const struct step *step)
{
	size_t size = step->argument % 70000;
	uint8_t *buffer = malloc(size ? size : 1);
	int64_t n;

	shorten_wait(world);
	n = npf_read(world->instance, buffer, size);
	check(n <= (int64_t)size);
	free(buffer);
}

static void do_batch(struct world *world, const struct step *step)
{
	struct npf_packet packet;
	uint32_t sum = 0;

	shorten_wait(world);
	if (npf_batch_begin(world->instance) <= 0)
		return;
	for (uint32_t i = 0; i < step->argument && npf_batch_next(world->instance, &packet); i++) {
		check(packet.caplen <= packet.len + 4);
		for (uint32_t k = 0; k < packet.caplen; k++)
			sum += packet.data[k];
	}
	npf_batch_end(world->instance);
	check(sum != UINT32_MAX);
}

static void do_write(struct world *world, const struct step *step)
{
	uint32_t n = step->argument % MAX_WRITES;
	uint8_t *frame = copy(step->bytes, step->n);

	npf_io_control(world->instance, NPF_BIOCSWRITEREP, &n, sizeof(n), NULL, 0, NULL);
	npf_write(world->instance, frame, step->n);
	free(frame);
}

static size_t count_sent(const struct world *world)
{
	size_t n = 0;

	for (const struct npf_sim_sent *at = npf_sim_sent(world->host, 0); at; at = at->next)
		n++;
	return n;
}

/* What is returned is whole records, as many as went; a refusal has sent nothing. */
static void do_queue(struct world *world, const struct step *step)
{
	uint8_t *queue = copy(step->bytes, step->n);
	size_t before = count_sent(world), at = 0, records = 0;
	int64_t n = npf_buffered_write(world->instance, queue, step->n, step->argument & 1);

	check(n <= (int64_t)step->n);
	for (; n > 0 && at < (size_t)n; records++) {
		struct npf_sf_pkthdr header;

		memcpy(&header, queue + at, sizeof(header));
		at += sizeof(header) + header.caplen;
	}
	check(n <= 0 || at == (size_t)n);
	check(count_sent(world) - before == records);
	free(queue);
}

/* Frames of the step's bytes, at times around now. */
static void do_frames(struct world *world, const struct step *step)
{
	uint8_t *bytes = copy(step->bytes, step->n);
	struct npf_send_frame frames[8];
	size_t before = count_sent(world), sent;
	uint32_t times = step->argument;

	for (size_t i = 0; i < 8; i++) {
		/* Not in ages: with a dump under way the clock gets there step by step. */
		uint64_t soon = npf_send_clock(world->instance) + 1000, back = times >> 16;
		uint64_t around = soon > back ? soon - back : 1;

		frames[i] = (struct npf_send_frame){
			.data = bytes,
			.size = step->n > i ? step->n - i : 1,
			.at = times >> i & 1 ? around + times % 1000 * i : 0,
		};
	}
	npf_send_frames(world->instance, frames, step->n ? 1 + times % 8 : 0, &sent);
	check(count_sent(world) - before == sent);
	free(bytes);
}

static void do_stop_sending(struct world *world, const struct step *step)
{
	(void)step;
	npf_stop_sending(world->instance);
}

static void do_frame(struct world *world, const struct step *step)
{
	uint32_t bits = step->argument;
	struct npf_sim_frame frame = {
		.data = step->bytes,
		.length = step->n,
		.packet_type = bits % 5,
		.cpu = bits >> 3 & 3,
		.tpid = (uint16_t)(bits & 0x20 ? 0x8100 : 0),
		.tci = (uint16_t)(bits >> 16),
	};

	for (uint32_t i = 0; i <= (bits >> 6 & 63); i++)
		npf_sim_send(world->host, "eth0", 0, &frame);
}

static void do_advance(struct world *world, const struct step *step)
{
	npf_sim_advance(world->host, step->argument);
}

static void do_stop(struct world *world, const struct step *step)
{
	(void)step;
	npf_stop_waiting(world->instance);
}

static void do_unplug(struct world *world, const struct step *step)
{
	if (step->argument % 4 == 0)
		npf_sim_remove_adapter(world->host, "eth0");
}

static void do_fault(struct world *world, const struct step *step)
{
	npf_sim_fail(world->host, step->argument % 8, -EIO);
}

/* Each file must be whole, however it ended. */
static int next_file(void *arg, struct npf_dump_file *file, char error[NPF_ERROR_SIZE])
{
	struct world *world = arg;

	(void)error;
	world->files++;
	if (world->files > MAX_FILES)
		return 1;
	file->fd = npf_sim_make_file(world->host, "dump");
	return file->fd < 0 ? file->fd : 0;
}

static void file_done(void *arg, const struct npf_dump_file *file)
{
	struct world *world = arg;
	const struct npf_sim_file *made = npf_sim_file(world->host, "dump");

	bool failed = file->end == NPF_DUMP_FULL || file->end == NPF_DUMP_FAILED;

	check(made && made->number == file->fd && !made->opens);
	/* Where cutting failed as well, more is in it. */
	check(made->size == file->bytes || (failed && made->size > file->bytes));
}

static void do_dump(struct world *world, const struct step *step)
{
	struct npf_dump_options options = {
		.size = sizeof(options),
		.format = (enum npf_dump_format)(step->argument % 3),
		.next = next_file,
		.done = file_done,
		.arg = world,
		.file_packets = step->argument >> 2 & 15,
		.file_bytes = step->argument >> 6 & 4095,
		.file_ns = (step->argument >> 18 & 3) * 10000000,
		.max_packets = step->argument >> 20 & 63,
		.max_bytes = step->argument >> 26 ? 400 + (step->argument >> 26) * 300 : 0,
	};

	npf_sim_set_direct(world->host, step->n & 1);
	npf_sim_set_disk(world->host, step->n & 2 ? step->n * 100u : LARGEST_DISK);
	npf_dump_start(world->instance, &options);
}

static void do_dump_order(struct world *world, const struct step *step)
{
	struct npf_dump_status status;

	switch (step->argument % 4) {
	case 0:
		npf_dump_stop(world->instance);
		break;
	case 1:
		npf_dump_rotate(world->instance);
		break;
	case 2:
		npf_dump_prepare(world->instance, (enum npf_dump_format)(step->n & 3));
		break;
	default:
		npf_io_control(world->instance, NPF_BIOCSETDUMPFILENAME, "name", 5, NULL, 0, NULL);
	}
	if (npf_dump_get_status(world->instance, &status))
		return;
	check(status.buffer_used <= status.buffer_size + 8192u || !status.buffer_size);
}

static void (*const operations[])(struct world *world, const struct step *step) = {
	do_control, do_setting, do_filter,       do_classes, do_read,       do_batch,
	do_write,   do_frame,   do_advance,      do_stop,    do_unplug,     do_fault,
	do_queue,   do_frames,  do_stop_sending, do_dump,    do_dump_order,
};

/* Take a step off the input; false at its end. */
static bool take_step(struct world *world, const uint8_t **input, size_t *size)
{
	struct step step;

	if (*size < STEP_HEADER)
		return false;

	uint8_t operation = (*input)[0];

	memcpy(&step.argument, *input + 1, sizeof(step.argument));
	step.n = (*input)[5];
	step.bytes = *input + STEP_HEADER;
	if (step.n > *size - STEP_HEADER)
		step.n = (uint32_t)(*size - STEP_HEADER);
	*input += STEP_HEADER + step.n;
	*size -= STEP_HEADER + step.n;
	operations[operation % (sizeof(operations) / sizeof(operations[0]))](world, &step);
	return true;
}

static void check_counters(struct world *world)
{
	struct npf_stats stats;
	struct npf_send_stats sent;

	check(npf_get_send_stats(world->instance, &sent) == 0);
	check(sent.asked == sent.handed + sent.failed);
	check(sent.handed == count_sent(world) && sent.confirmed <= sent.handed);
	check(sent.late_p50 <= sent.late_p99 && sent.late_p99 <= sent.late_max);

	check(npf_get_stats(world->instance, &stats) == 0);
	check(stats.received >= stats.filtered + stats.captured + stats.dropped);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct world world = { .host = npf_host_sim(2) };
	int steps = 0;

	check(world.host != NULL);
	npf_sim_set_disk(world.host, LARGEST_DISK);
	check(npf_sim_add_adapter(world.host, "eth0") == 0);
	check(npf_driver_entry(world.host, &world.driver) == 0);
	check(npf_open(world.driver, "eth0", NULL, &world.instance, NULL) == 0);
	while (steps++ < MAX_STEPS && take_step(&world, &input, &size))
		;
	check_counters(&world);
	npf_close(world.instance);
	check(npf_unload(world.driver) == 0);
	check(npf_sim_memory(world.host) == 0);
	npf_host_sim_free(world.host);
	return 0;
}
