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

struct npf_ancillary {
	uint32_t k;
	uint16_t at;   /* of the field in struct npf_frame */
	uint16_t size; /* 2 or 4 bytes */
};

#define NPF_ANCILLARY(k, field)                                                                    \
	{                                                                                          \
		k, offsetof(struct npf_frame, field), sizeof(((struct npf_frame *)0)->field)       \
	}

/* NULL: an ordinary offset. */
static inline const struct npf_ancillary *npf_ancillary_find(uint32_t k)
{
	static const struct npf_ancillary all[] = {
		NPF_ANCILLARY(NPF_AD_PROTOCOL, protocol),
		NPF_ANCILLARY(NPF_AD_PKTTYPE, packet_type),
		NPF_ANCILLARY(NPF_AD_IFINDEX, ifindex),
		NPF_ANCILLARY(NPF_AD_HATYPE, hatype),
		NPF_ANCILLARY(NPF_AD_VLAN_TAG, tag_tci),
		NPF_ANCILLARY(NPF_AD_VLAN_PRESENT, tagged),
		NPF_ANCILLARY(NPF_AD_VLAN_TPID, tag_tpid),
	};

	if (k < NPF_AD_OFFSET)
		return NULL;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].k == k)
			return &all[i];
	}
	return NULL;
}

#endif
