/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/*
 * What clone.bpf.c and its loader share.
 */
#ifndef NPF_CLONE_STATE_H
#define NPF_CLONE_STATE_H

#include <stdint.h>

/* Clones of one run, during which no receiver works on this CPU: fewer than any of the queues they
 * wait in then holds (256, a veth's). */
#define NPF_CLONE_RUN 32

struct npf_clone_state {
	/* Written before a call. */
	uint32_t index; /* of the adapter */
	int32_t tag;    /* what a VLAN tag adds to the length that is allowed, negated */
	/* The runs'. */
	uint64_t left; /* clones that have not gone */
	uint32_t next; /* of different frames: where in the queue the next record begins */
	int32_t error; /* why not: negative, or the queueing layer's answer (NET_XMIT_*) */
};

#endif
