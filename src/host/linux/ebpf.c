/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's tap: load it for a given cut of the buffer, map its memory, put filters into it and
 * exchange what runs without a gap. The kernel frees all of it with our last descriptor.
 */
#include "host/linux/ebpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <net/if_arp.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver/tap_layout.h"
#include "host/linux/bpf/geometry.h"
#include "host/linux/peek.h"
#include "host/linux/process.h"
#include "host/linux/set_maps.h"
#include "npf.skel.h"

/* The verifier follows variable offsets up to 512 MiB; a region with its slack stays below. */
#define MOST_REGION_BYTES (256u << 20)
#define TIMER_TRIES       1000
#define MOST_PEEKED       2560 /* instructions of filters */

struct npf_kernel_tap {
	struct npf_bpf *skel;
	struct ring_buffer *wakes;
	int wake_fd;
	struct npf_cpu *cpus;
	uint8_t *chunks;
	size_t cpus_size, chunks_size;
	struct npf_ring_view view;
};

/* ---- loading ------------------------------------------------------------------------------- */

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

/* libbpf prints unless it is told not to, and can be told only for the whole process. What it has
 * to say comes back as a code; the application's own printer is in place again afterwards, before
 * any fork. */
void npf_linux_hush(struct npf_hush *before)
{
	sigset_t all;

	sigfillset(&all);
	npf_process_lock(); /* signals end who waits for it */
	pthread_sigmask(SIG_SETMASK, &all, &before->signals);
	before->printer = libbpf_set_print(silent);
}

void npf_linux_unhush(const struct npf_hush *before)
{
	libbpf_set_print(before->printer);
	pthread_sigmask(SIG_SETMASK, &before->signals, NULL);
	npf_process_unlock();
}

int npf_linux_load(enum bpf_prog_type type, const char *name, const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options);
	struct npf_hush before;
	int fd;

	npf_linux_hush(&before);
	fd = bpf_prog_load(type, name, "Dual BSD/GPL", insns, n, &options);
	npf_linux_unhush(&before);
	return fd;
}

static uint32_t log2_of(uint32_t power)
{
	return 31u - (uint32_t)__builtin_clz(power);
}

static int explain(const struct npf_ebpf *ebpf, char *error, int err)
{
	/* EACCES is the verifier's word, or EFAULT where the kernel takes the program for a fault of the
	 * verifier's; without CAP_PERFMON it refuses what it accepts with it. */
	if (err == -EPERM || ((err == -EACCES || err == -EFAULT) && npf_linux_missing(ebpf->rights)))
		return npf_linux_not_permitted(error, "loading the eBPF tap", ebpf->rights);
	if (err == -ENOMEM || err == -E2BIG)
		return npf_linux_error(
			error, -ENOMEM,
			"the kernel has no memory for this buffer: ask for a smaller one");
	if (err == -EACCES)
		return npf_linux_error(error, -ENOTSUP,
				       "the verifier of this kernel refuses the eBPF tap");
	if (err <= -__LIBBPF_ERRNO__START) {
		char text[100];

		libbpf_strerror(err, text, sizeof(text));
		return npf_linux_error(error, -EIO, "loading the eBPF tap failed: %s", text);
	}
	return npf_linux_error(error, err, "loading the eBPF tap failed: %s", strerror(-err));
}

/* Without a buffer the program is as with one, of which there are just no chunks in the pool: one that
 * could not store needs less privilege, and would not prove that this hook works here. */
static struct npf_ring_geometry shape(const struct npf_nic *nic,
				      const struct npf_ring_geometry *wanted)
{
	struct npf_ring_geometry smallest;

	if (wanted->n_chunks || wanted->stream_size)
		return *wanted;
	npf_ring_cut(&smallest, 1, wanted->n_cpus, nic->latest.max_receive);
	return smallest;
}

/* Sizes and constants, before loading. */
static int prepare(struct npf_nic *nic, const struct npf_ebpf *ebpf, struct npf_kernel_tap *tap,
		   const struct npf_ring_geometry *wanted)
{
	const struct npf_ring_geometry shaped = shape(nic, wanted), *geometry = &shaped;
	bool stream = geometry->stream_size;
	uint32_t per_region = MOST_REGION_BYTES / geometry->chunk_size;
	uint32_t n = stream ? geometry->stream_size / geometry->chunk_size : geometry->n_chunks;
	uint32_t regions = (n + per_region - 1) / per_region;
	uint32_t region_bytes = (regions > 1 ? per_region : n) * geometry->chunk_size;
	uint32_t slack = 2 * geometry->chunk_size + (uint32_t)sysconf(_SC_PAGESIZE);
	struct npf_bpf *skel = tap->skel;
	int err;

	*(struct npf_tap_geometry *)&skel->rodata->geometry = (struct npf_tap_geometry){
		.n_cpus = geometry->n_cpus,
		.n_chunks = geometry->n_chunks,
		.chunk_shift = log2_of(geometry->chunk_size),
		.region_shift = log2_of(per_region),
		.region_bytes = region_bytes,
		.loopback = nic->adapter.hatype == ARPHRD_LOOPBACK,
		.hatype = nic->adapter.hatype,
		.stream_size = geometry->stream_size,
		.stream_format = geometry->stream_format,
		.stream_shift = log2_of(region_bytes),
	};
	tap->view.geometry = *wanted;
	tap->view.chunks_per_region = per_region;
	tap->view.region_stride = region_bytes + slack;
	tap->view.region_size = stream ? region_bytes : 0;
	tap->cpus_size = geometry->n_cpus * sizeof(struct npf_cpu);
	tap->chunks_size = regions * tap->view.region_stride;

	if ((err = bpf_map__set_max_entries(skel->maps.cpus, geometry->n_cpus)) ||
	    (err = bpf_map__set_value_size(skel->maps.chunks, region_bytes + slack)) ||
	    (err = bpf_map__set_max_entries(skel->maps.chunks, regions)))
		return err;
	return ebpf->next < 0 ? bpf_map__set_autocreate(skel->maps.next, false)
			      : bpf_map__reuse_fd(skel->maps.next, ebpf->next);
}

static void choose_programs(struct npf_bpf *skel, const struct npf_ebpf *ebpf)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, skel->obj) {
		bool wanted = program == skel->progs.npf_timer_setup;

		for (int i = 0; i < ebpf->n_slots; i++)
			wanted |= !strcmp(bpf_program__name(program), ebpf->programs[i]);
		bpf_program__set_autoload(program, wanted);
	}
}

static void *map_memory(struct bpf_map *map, size_t size)
{
	long page = sysconf(_SC_PAGESIZE);
	size_t whole = (size + (size_t)page - 1) & ~((size_t)page - 1);
	void *memory = mmap(NULL, whole, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int map_all(struct npf_kernel_tap *tap)
{
	struct npf_bpf *skel = tap->skel;

	tap->cpus = map_memory(skel->maps.cpus, tap->cpus_size);
	tap->chunks = map_memory(skel->maps.chunks, tap->chunks_size);
	if (!tap->cpus || !tap->chunks)
		return -ENOMEM;
	tap->view.control = &skel->data_control->control;
	tap->view.cpus = tap->cpus;
	tap->view.chunks = tap->chunks;
	npf_ring_fill_pool(&tap->view.geometry, tap->view.control);
	return 0;
}

static int take_wake(void *context, void *data, size_t size)
{
	(void)context, (void)data, (void)size;
	return 0;
}

/* The kernel makes a timer without sleeping for memory, and so may find none for a moment. */
static int make_timer(struct npf_kernel_tap *tap)
{
	int setup = bpf_program__fd(tap->skel->progs.npf_timer_setup);
	int err = 0;

	for (int i = 0; i < TIMER_TRIES; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, run);

		err = bpf_prog_test_run_opts(setup, &run);
		if (!err)
			err = (int)run.retval;
		if (err != -ENOMEM)
			break;
		sched_yield();
	}
	return err;
}

static int start(struct npf_kernel_tap *tap)
{
	int err = make_timer(tap);

	if (err)
		return err;
	tap->wake_fd = bpf_map__fd(tap->skel->maps.wake);
	tap->wakes = ring_buffer__new(tap->wake_fd, take_wake, NULL, NULL);
	return tap->wakes ? 0 : -errno;
}

static void unmap(void *memory, size_t size)
{
	if (memory)
		munmap(memory, size);
}

static void destroy(struct npf_kernel_tap *tap)
{
	if (!tap)
		return;
	unmap(tap->chunks, tap->chunks_size);
	unmap(tap->cpus, tap->cpus_size);
	ring_buffer__free(tap->wakes);
	npf_bpf__destroy(tap->skel);
	free(tap);
}

static int create(struct npf_nic *nic, const struct npf_ebpf *ebpf,
		  const struct npf_ring_geometry *geometry, struct npf_kernel_tap **out,
		  char *error)
{
	struct npf_kernel_tap *tap = calloc(1, sizeof(*tap));
	struct npf_hush before;
	int err;

	if (!tap)
		return npf_linux_error(error, -ENOMEM, "out of memory");

	npf_linux_hush(&before);
	tap->skel = npf_bpf__open();
	if (!tap->skel) {
		err = -errno;
	} else {
		choose_programs(tap->skel, ebpf);
		if (!(err = prepare(nic, ebpf, tap, geometry)) &&
		    !(err = npf_bpf__load(tap->skel)) && !(err = map_all(tap)))
			err = start(tap);
	}
	npf_linux_unhush(&before);
	if (err) {
		destroy(tap);
		return explain(ebpf, error, err);
	}
	*out = tap;
	return 0;
}

/* ---- filters ------------------------------------------------------------------------------- */

static struct bpf_program *slot_program(const struct npf_ebpf *ebpf,
					const struct npf_kernel_tap *tap, int slot)
{
	return bpf_object__find_program_by_name(tap->skel->obj, ebpf->programs[slot]);
}

/* The sets' maps that the tap was loaded with. */
static void empty_maps(const struct npf_kernel_tap *tap, int fds[NPF_SET_MAPS])
{
	const struct npf_bpf *skel = tap->skel;

	fds[0] = bpf_map__fd(skel->maps.rodata_shapes);
	fds[1] = bpf_map__fd(skel->maps.set_0);
	fds[2] = bpf_map__fd(skel->maps.set_1);
	fds[3] = bpf_map__fd(skel->maps.set_2);
	fds[4] = bpf_map__fd(skel->maps.set_3);
}

/* What a slot's program is made of. */
struct recipe {
	struct npf_ebpf *ebpf;
	const struct npf_kernel_tap *tap;
	const struct npf_filter_set *filters;
	struct npf_set_maps sets;
	struct npf_translation way;
};

/* Programs of sockets count against net.core.optmem_max, and where the packet is copied for a long
 * filter, that is little of its cost. */
static bool is_long(const struct npf_spliced *spliced)
{
	uint32_t length = 0;

	for (uint32_t i = 0; i < NPF_SPLICES; i++)
		length += spliced->parts[i].length;
	return length > MOST_PEEKED;
}

static int load_spliced(const struct recipe *recipe, struct bpf_program *program)
{
	int empty[NPF_SET_MAPS];
	struct npf_spliced spliced;
	int fd, err = npf_splice(bpf_program__insns(program), bpf_program__insn_cnt(program),
				 recipe->filters, &recipe->way, &spliced);

	if (err)
		return err;
	if (recipe->way.access == NPF_EBPF_PEEK && is_long(&spliced)) {
		npf_spliced_free(&spliced);
		return -E2BIG;
	}
	empty_maps(recipe->tap, empty);
	npf_set_maps_patch(spliced.insns, spliced.n, empty, &recipe->sets);

	fd = npf_linux_load(bpf_program__type(program), bpf_program__name(program), spliced.insns,
			    spliced.n);
	npf_spliced_free(&spliced);
	return fd;
}

/* Looked up once, and only for filters. */
static bool can_peek(struct npf_ebpf *ebpf)
{
	if (ebpf->peeks && ebpf->peek_state == NPF_PEEK_UNKNOWN)
		ebpf->peek_state = npf_peek_find(&ebpf->peek) ? NPF_PEEK_IMPOSSIBLE
							      : NPF_PEEK_KNOWN;
	return ebpf->peek_state == NPF_PEEK_KNOWN;
}

/* Packets are read where they lie if that is allowed. */
static enum npf_ebpf_access best_access(struct npf_ebpf *ebpf)
{
	if (ebpf->direct)
		return NPF_EBPF_DIRECT;
	return can_peek(ebpf) ? NPF_EBPF_PEEK : NPF_EBPF_COPY;
}

/* What the kernel makes of code that only saves time must not decide whether there is a filter:
 * whatever it has against that, it is asked once more with the classes apart, and then with the
 * copy. */
static int load_filters(struct recipe *recipe, struct bpf_program *program, char *error)
{
	struct npf_translation *way = &recipe->way;
	int fd = load_spliced(recipe, program);

	if (fd < 0 && way->join) {
		way->join = false;
		fd = load_spliced(recipe, program);
	}
	if (fd < 0 && way->access != NPF_EBPF_COPY) {
		way->access = NPF_EBPF_COPY;
		fd = load_spliced(recipe, program);
	}
	if (fd == -E2BIG)
		return npf_linux_error(error, fd,
				       "the kernel refused the filter: it is too complex");
	if (fd < 0)
		return npf_linux_error(error, fd, "the kernel refused the filter: %s",
				       strerror(-fd));
	return fd;
}

static bool any_filter(const struct npf_filter_set *filters)
{
	return filters && (filters->filter || filters->n_classes || filters->match);
}

/* The program for a slot: the tap's own, or one with filters, which the caller then owns. */
static int slot_load(struct recipe *recipe, int slot, char *error)
{
	struct bpf_program *program = slot_program(recipe->ebpf, recipe->tap, slot);

	return any_filter(recipe->filters) ? load_filters(recipe, program, error)
					   : bpf_program__fd(program);
}

static void slot_unload(const struct npf_ebpf *ebpf, const struct npf_kernel_tap *tap, int slot,
			int fd)
{
	if (fd >= 0 && fd != bpf_program__fd(slot_program(ebpf, tap, slot)))
		close(fd);
}

/* Others may answer for these filters where they alone decide, do reject some, and nothing is dumped. */
static struct npf_chain_filter filter_of(const struct npf_kernel_tap *tap,
					 const struct npf_filter_set *filters)
{
	bool alone = filters && !filters->n_classes && !filters->match &&
		     !tap->view.geometry.stream_size;
	bool rejects = filters && filters->filter && filters->filter->length > 1;

	return (struct npf_chain_filter){
		.program = alone && rejects ? filters->filter : NULL,
		.control = bpf_map__fd(tap->skel->maps.data_control),
		.cpus = bpf_map__fd(tap->skel->maps.cpus),
		.hatype = tap->skel->rodata->geometry.hatype,
	};
}

/* Bring programs of tap with filters into all slots; the old ones stay where one fails. */
static int exchange_by(struct npf_nic *nic, struct npf_ebpf *ebpf, struct npf_kernel_tap *tap,
		       const struct npf_filter_set *filters, enum npf_ebpf_access access,
		       char *error)
{
	struct recipe recipe = {
		.ebpf = ebpf,
		.tap = tap,
		.filters = filters,
		.way = { access, access != NPF_EBPF_COPY && filters && filters->n_classes > 1,
			 &ebpf->peek },
	};
	struct npf_chain_filter filter = filter_of(tap, filters);
	int next[NPF_EBPF_SLOTS] = { -1, -1 };
	int loaded = 0, placed = 0, err;

	err = npf_set_maps_make(filters ? filters->match : NULL, &recipe.sets);
	if (err)
		return npf_linux_error(error, err, "the kernel has no memory for these sets");
	for (; loaded < ebpf->n_slots; loaded++) {
		next[loaded] = slot_load(&recipe, loaded, error);
		if (next[loaded] < 0) {
			err = next[loaded];
			goto unload;
		}
	}
	for (; placed < ebpf->n_slots; placed++) {
		err = ebpf->put(nic, placed, next[placed], &filter, error);
		if (err)
			goto restore;
	}
	for (int i = 0; i < ebpf->n_slots; i++) {
		if (ebpf->tap)
			slot_unload(ebpf, ebpf->tap, i, ebpf->current[i]);
		ebpf->current[i] = next[i];
	}
	ebpf->way = recipe.way;
	npf_set_maps_close(&recipe.sets);
	return 0;

restore:
	if (ebpf->tap)
		filter = filter_of(ebpf->tap, ebpf->filters);
	while (placed-- > 0 && ebpf->tap)
		ebpf->put(nic, placed, ebpf->current[placed], &filter, NULL);
unload:
	while (loaded-- > 0)
		slot_unload(ebpf, tap, loaded, next[loaded]);
	npf_set_maps_close(&recipe.sets);
	return err;
}

/* Where the packet is read in place, the copy is in the program as well. What a socket has no
 * memory for may be short enough with the copy alone. */
static int exchange(struct npf_nic *nic, struct npf_ebpf *ebpf, struct npf_kernel_tap *tap,
		    const struct npf_filter_set *filters, char *error)
{
	enum npf_ebpf_access access = any_filter(filters) ? best_access(ebpf) : NPF_EBPF_COPY;
	int err = exchange_by(nic, ebpf, tap, filters, access, error);

	if (err == -ENOMEM && access == NPF_EBPF_PEEK)
		err = exchange_by(nic, ebpf, tap, filters, NPF_EBPF_COPY, error);
	return err;
}

/* ---- what hooks share ---------------------------------------------------------------------- */

/* Wait until no CPU runs a program that was exchanged. Where the kernel does not offer this
 * (tickless systems) a packet may see the old filter for some microseconds more. */
static void quiesce(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

/* Closing alone would not end the polling where a fork has the descriptor as well: a wake-up that nobody
 * read would be there for ever. */
static void end_tap(struct npf_nic *nic, struct npf_kernel_tap *tap)
{
	if (tap)
		npf_event_remove(nic->tapped, tap->wake_fd);
	destroy(tap);
}

static void keep_records(struct npf_ebpf *ebpf, struct npf_kernel_tap *old)
{
	if (!old || ebpf->old_chunks)
		return;
	ebpf->old_chunks = old->chunks;
	ebpf->old_size = old->chunks_size;
	old->chunks = NULL;
}

static void forget_records(struct npf_ebpf *ebpf)
{
	unmap(ebpf->old_chunks, ebpf->old_size);
	ebpf->old_chunks = NULL;
}

static int replace(struct npf_nic *nic, struct npf_ebpf *ebpf,
		   const struct npf_ring_geometry *geometry, char *error)
{
	struct npf_kernel_tap *tap = NULL;
	int err = create(nic, ebpf, geometry, &tap, error);

	if (err)
		return err;
	err = npf_event_add(nic->tapped, tap->wake_fd);
	if (err) {
		npf_linux_error(error, err, "polling the tap failed: %s", strerror(-err));
		goto end_tap;
	}
	err = exchange(nic, ebpf, tap, ebpf->filters, error);
	if (err)
		goto end_tap;

	struct npf_kernel_tap *old = ebpf->tap;

	pthread_mutex_lock(&ebpf->lock);
	ebpf->tap = tap;
	pthread_mutex_unlock(&ebpf->lock);
	keep_records(ebpf, old);
	end_tap(nic, old);
	return 0;

end_tap:
	end_tap(nic, tap);
	return err;
}

void npf_ebpf_open(struct npf_ebpf *ebpf)
{
	pthread_mutex_init(&ebpf->lock, NULL);
}

void npf_ebpf_close(struct npf_nic *nic, struct npf_ebpf *ebpf)
{
	(void)nic;
	for (int i = 0; ebpf->tap && i < ebpf->n_slots; i++)
		slot_unload(ebpf, ebpf->tap, i, ebpf->current[i]);
	forget_records(ebpf);
	destroy(ebpf->tap);
	ebpf->tap = NULL;
	pthread_mutex_destroy(&ebpf->lock);
}

int npf_ebpf_set_ring(struct npf_nic *nic, const struct npf_ring_geometry *geometry,
		      struct npf_ring_view *view, char *error)
{
	struct npf_ebpf *ebpf = nic->hook_state;
	int err = replace(nic, ebpf, geometry, error);

	if (!err)
		*view = ebpf->tap->view;
	return err;
}

void npf_ebpf_let_go(struct npf_nic *nic)
{
	forget_records(nic->hook_state);
}

int npf_ebpf_set_filters(struct npf_nic *nic, const struct npf_filter_set *filters, char *error)
{
	struct npf_ebpf *ebpf = nic->hook_state;
	int err = exchange(nic, ebpf, ebpf->tap, filters, error);

	if (err)
		return err;
	ebpf->filters = filters;
	quiesce();
	return 0;
}

void npf_ebpf_clear(struct npf_nic *nic)
{
	struct npf_ebpf *ebpf = nic->hook_state;

	pthread_mutex_lock(&ebpf->lock);
	ring_buffer__consume(ebpf->tap->wakes);
	pthread_mutex_unlock(&ebpf->lock);
}

int npf_ebpf_listen(struct npf_nic *nic, struct npf_event *event)
{
	struct npf_ebpf *ebpf = nic->hook_state;
	int err;

	if (event == nic->tapped)
		return 0;
	err = npf_event_add(event, ebpf->tap->wake_fd);
	if (!err)
		npf_event_remove(nic->tapped, ebpf->tap->wake_fd);
	return err;
}
