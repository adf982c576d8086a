/* SPDX-License-Identifier: BSD-3-Clause */
/* See peek.h. */
#include "host/linux/peek.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "host/linux/ebpf.h"

#define TYPES "/sys/kernel/btf/vmlinux"

static const struct btf_member *find_member(const struct btf *types, const struct btf_type *in,
					    const char *name)
{
	for (uint16_t i = 0; i < btf_vlen(in); i++) {
		const struct btf_member *member = btf_members(in) + i;

		if (!strcmp(btf__name_by_offset(types, member->name_off), name))
			return member;
	}
	return NULL;
}

static bool find_offset(const struct btf *types, const struct btf_type *in, const char *name,
			uint32_t *at)
{
	const struct btf_member *member = find_member(types, in, name);

	if (!member)
		return false;
	*at = btf_member_bit_offset(in, (uint32_t)(member - btf_members(in))) / 8;
	return true;
}

static bool find_number(const struct btf *types, const char *name, uint32_t kind, uint32_t *number)
{
	int id = btf__find_by_name_kind(types, name, kind);

	*number = id > 0 ? (uint32_t)id : 0;
	return *number;
}

static bool find_packet(const struct btf *types, struct npf_ebpf_peek *peek)
{
	const struct btf_type *packet;
	uint32_t number;

	if (!find_number(types, "sk_buff", BTF_KIND_STRUCT, &number))
		return false;
	packet = btf__type_by_id(types, number);
	return find_offset(types, packet, "len", &peek->length_at) &&
	       find_offset(types, packet, "data_len", &peek->beyond_at) &&
	       find_offset(types, packet, "data", &peek->data_at);
}

/* Any structure with an array of bytes that is long enough: this one is in every kernel. */
static bool find_bytes(const struct btf *types, struct npf_ebpf_peek *peek)
{
	const struct btf_type *structure, *array;
	const struct btf_member *member;

	if (!find_number(types, "linux_binprm", BTF_KIND_STRUCT, &peek->bytes))
		return false;
	structure = btf__type_by_id(types, peek->bytes);
	member = find_member(types, structure, "buf");
	if (!member || !find_offset(types, structure, "buf", &peek->bytes_at))
		return false;
	array = btf__type_by_id(types, member->type);
	return btf_is_array(array) && btf_array(array)->nelems >= NPF_EBPF_WINDOW &&
	       btf__resolve_size(types, btf_array(array)->type) == 1;
}

int npf_peek_find(struct npf_ebpf_peek *peek)
{
	struct npf_hush before;
	struct btf *types;
	bool found = false;

	npf_linux_hush(&before);
	types = btf__parse_raw(TYPES);
	if (types)
		found = find_number(types, "bpf_cast_to_kern_ctx", BTF_KIND_FUNC,
				    &peek->cast_context) &&
			find_number(types, "bpf_rdonly_cast", BTF_KIND_FUNC, &peek->cast_memory) &&
			find_packet(types, peek) && find_bytes(types, peek);
	btf__free(types);
	npf_linux_unhush(&before);
	return found ? 0 : -ENOTSUP;
}
