/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a filter may know about a frame besides its bytes. Shared by the kernel's tap, the user
 * space tap and the code generators: field offsets are part of the generated programs.
 */
#ifndef NPF_FRAME_H
#define NPF_FRAME_H

#include <stdint.h>

#define NPF_TAG_SIZE   4u  /* an IEEE 802.1Q tag */
#define NPF_TAG_OFFSET 12u /* where it stands on the wire */

/* Packet types, the values of the kernel's <linux/if_packet.h>. */
#define NPF_TO_HOST      0u
#define NPF_TO_BROADCAST 1u
#define NPF_TO_MULTICAST 2u
#define NPF_TO_OTHER     3u
#define NPF_FROM_HOST    4u

struct npf_frame {
	uint32_t length;      /* bytes held; an out-of-band tag is not among them */
	uint32_t wire_length; /* bytes on the wire: the tag included */
	uint32_t shift;       /* set by the filter: NPF_TAG_SIZE while it sees the tag in place */
	uint16_t tag_tpid;    /* of the out-of-band tag, host order */
	uint16_t tag_tci;
	uint32_t tagged; /* 1 when there is an out-of-band tag */
	uint32_t packet_type;
	uint32_t protocol; /* EtherType as the stack sees it, host order */
	uint32_t ifindex;
	uint32_t hatype;
};

#endif
