/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ancillary loads of NPF_DIALECT_LINUX: which field of a frame each one reads. One table for the
 * check, the interpreter and the translation.
 */
#ifndef NPF_ANCILLARY_H
#define NPF_ANCILLARY_H

#include <stddef.h>
#include <stdint.h>

#include "filter/filter.h"

/* From here on Linux takes an absolute offset for something else than a place in the frame:
 * relative to a header it has found, or ancillary. */
#define NPF_LINUX_SPECIAL_OFFSET 0xFFE00000u

struct npf_ancillary {
	uint32_t k;
	uint16_t at;   /* of the field in struct npf_frame */
	uint16_t size; /* 2 or 4 bytes */
};

#define NPF_ANCILLARY(k, field)                                                                    \
	{                                                                                          \
		k, offsetof(struct npf_frame, field), sizeof(((struct npf_frame *)0)->field)       \
	}

#define NPF_N_ANCILLARY 7u

static inline const struct npf_ancillary *npf_ancillary_all(void)
{
	static const struct npf_ancillary all[NPF_N_ANCILLARY] = {
		NPF_ANCILLARY(NPF_AD_PROTOCOL, protocol),
		NPF_ANCILLARY(NPF_AD_PKTTYPE, packet_type),
		NPF_ANCILLARY(NPF_AD_IFINDEX, ifindex),
		NPF_ANCILLARY(NPF_AD_HATYPE, hatype),
		NPF_ANCILLARY(NPF_AD_VLAN_TAG, tag_tci),
		NPF_ANCILLARY(NPF_AD_VLAN_PRESENT, tagged),
		NPF_ANCILLARY(NPF_AD_VLAN_TPID, tag_tpid),
	};

	return all;
}

/* NULL: an ordinary offset. */
static inline const struct npf_ancillary *npf_ancillary_find(uint32_t k)
{
	const struct npf_ancillary *all = npf_ancillary_all();

	if (k < NPF_AD_OFFSET)
		return NULL;
	for (uint32_t i = 0; i < NPF_N_ANCILLARY; i++) {
		if (all[i].k == k)
			return &all[i];
	}
	return NULL;
}

/* The k that loads this field, 0: none does. */
static inline uint32_t npf_ancillary_at(uint32_t at)
{
	const struct npf_ancillary *all = npf_ancillary_all();

	for (uint32_t i = 0; i < NPF_N_ANCILLARY; i++) {
		if (all[i].at == at)
			return all[i].k;
	}
	return 0;
}

#endif
