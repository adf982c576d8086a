/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When packets are due. Everything is counted from one start in whole numbers, so that nothing
 * adds up: the millionth packet is as exact as the first, through all files and all rounds.
 */
#ifndef NPF_PACE_H
#define NPF_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum npf_pace_kind {
	NPF_PACE_TOP,      /* at once */
	NPF_PACE_PACKETS,  /* so many a second */
	NPF_PACE_BITS,     /* so many a second, frames without preamble and checksum */
	NPF_PACE_RECORDED, /* by time stamps, so many times as fast */
};

struct npf_pace {
	enum npf_pace_kind kind;
	uint64_t millionths; /* of the rate or the factor; at least 1 but for NPF_PACE_TOP */
};

/* "10kpps", "100Mbps" or "100Mbit/s", "2500" (packets). Suffixes are powers of ten. */
bool npf_parse_rate(const char *text, struct npf_pace *pace);
/* "100MBps": eight times what a rate in bits is, and so none here. */
bool npf_rate_in_bytes(const char *text);
/* A plain number above zero with up to six decimals, k, M or G behind it. */
bool npf_parse_decimal(const char *text, uint64_t *millionths);

struct npf_schedule {
	struct npf_pace pace;
	uint64_t packets, bits; /* so far */
	/* Of NPF_PACE_RECORDED, recorded time in ns. A pass is one file, read once. */
	uint64_t before;      /* of the passes before this one, a gap at each end included */
	uint64_t first, last; /* time stamps of this pass, last the greatest */
	uint64_t taken;       /* packets of this pass */
	uint64_t backwards;   /* packets stamped earlier than one before them; they do not wait */
};

void npf_schedule_init(struct npf_schedule *schedule, struct npf_pace pace);
/* The next pass begins the mean gap of this one after its last packet. */
void npf_schedule_pass(struct npf_schedule *schedule);
/* ns after the start at which the next packet is due; never less than before. */
uint64_t npf_schedule_next(struct npf_schedule *schedule, uint64_t time, uint32_t length);

/* Times in ns; the greatest number when they do not fit: later than everything, never earlier. */
uint64_t npf_time_add(uint64_t a, uint64_t b);
uint64_t npf_time_of(uint64_t seconds, uint64_t ns);

/* Sending in pieces: up to when one call plans, and when to look again if nothing is due by then.
 * That is so early that a packet just behind the plan is still well ahead however late timers are. */
#define NPF_PLAN_NS UINT64_C(200000000)
uint64_t npf_plan_until(uint64_t now);
uint64_t npf_plan_again(uint64_t now);

#endif
