/* SPDX-License-Identifier: BSD-3-Clause */
/* See set_maps.h. */
#include "host/linux/set_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The verifier reads the shapes as constants: nobody may write them any more. */
static int make_shapes(const struct npf_match *match)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	const uint32_t zero = 0;
	int fd;

	options.map_flags = BPF_F_RDONLY_PROG;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "npf_shapes", sizeof(zero), sizeof(match->shapes),
			    1, &options);
	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(fd, &zero, &match->shapes, BPF_ANY) || bpf_map_freeze(fd)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* Tables may be longer than what one call is willing to copy. */
static int make_table(const void *table, size_t size)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	void *memory;
	int fd;

	options.map_flags = BPF_F_MMAPABLE;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "npf_set", sizeof(uint32_t), (uint32_t)size, 1,
			    &options);
	if (fd < 0)
		return fd;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		int err = -errno;

		close(fd);
		return err;
	}
	memcpy(memory, table, size);
	munmap(memory, size);
	return fd;
}

int npf_set_maps_make(const struct npf_match *match, struct npf_set_maps *maps)
{
	int err;

	for (uint32_t i = 0; i < NPF_SET_MAPS; i++)
		maps->fds[i] = -1;
	if (!match)
		return 0;
	for (uint32_t i = 0; i <= match->shapes.n; i++) {
		int fd = i ? make_table(match->tables[i - 1], match->sizes[i - 1])
			   : make_shapes(match);

		if (fd < 0) {
			err = fd;
			npf_set_maps_close(maps);
			return err;
		}
		maps->fds[i] = fd;
	}
	return 0;
}

void npf_set_maps_close(struct npf_set_maps *maps)
{
	for (uint32_t i = 0; i < NPF_SET_MAPS; i++) {
		if (maps->fds[i] >= 0)
			close(maps->fds[i]);
		maps->fds[i] = -1;
	}
}

void npf_set_maps_patch(struct bpf_insn *insns, size_t n, const int old[NPF_SET_MAPS],
			const struct npf_set_maps *maps)
{
	for (size_t i = 0; i < n; i++) {
		struct bpf_insn *insn = &insns[i];

		if (insn->code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		for (uint32_t map = 0; map < NPF_SET_MAPS; map++) {
			if (maps->fds[map] >= 0 && insn->imm == old[map] &&
			    (insn->src_reg == BPF_PSEUDO_MAP_FD ||
			     insn->src_reg == BPF_PSEUDO_MAP_VALUE)) {
				insn->imm = maps->fds[map];
				break;
			}
		}
		i++; /* its second half */
	}
}
