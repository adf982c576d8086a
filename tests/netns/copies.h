/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * More copies of a frame than can be kept: the far capture compares each with it, in the kernel.
 */
#ifndef NPF_COPIES_TEST_H
#define NPF_COPIES_TEST_H

#include "netns/sending.h"

#include <arpa/inet.h>
#include <linux/filter.h>

#define COPY 64u /* bytes */

/* A program that accepts what is this frame from its first byte to its last, or all else. */
static inline struct npf_program compare(const uint8_t *frame, bool same, struct npf_insn *insns)
{
	const uint8_t words = COPY / 4;
	uint32_t n = 0, word;

	insns[n++] = (struct npf_insn){ BPF_LD | BPF_W | BPF_LEN, 0, 0, 0 };
	insns[n++] = (struct npf_insn){ BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)(2 * words + 1),
					COPY };
	for (uint8_t i = 0; i < words; i++) {
		memcpy(&word, frame + 4 * i, 4);
		insns[n++] = (struct npf_insn){ BPF_LD | BPF_W | BPF_ABS, 0, 0, 4u * i };
		insns[n++] = (struct npf_insn){ BPF_JMP | BPF_JEQ | BPF_K, 0,
						(uint8_t)(2 * (words - i) - 1), ntohl(word) };
	}
	insns[n++] = (struct npf_insn){ BPF_RET | BPF_K, 0, 0, same };
	insns[n++] = (struct npf_insn){ BPF_RET | BPF_K, 0, 0, !same };
	return (struct npf_program){ .length = n, .insns = insns };
}

enum { COPIES, OTHERS, N_CLASSES };

static inline void count_copies(struct bench *bench, const uint8_t *frame)
{
	struct npf_insn insns[N_CLASSES][2 * COPY / 4 + 4];
	const struct npf_class classes[] = {
		[COPIES] = { "copies", compare(frame, true, insns[COPIES]) },
		[OTHERS] = { "others", compare(frame, false, insns[OTHERS]) },
	};

	assert_int_equal(npf_set_buffer(bench->far, 0), 0);
	assert_int_equal(npf_set_hw_filter(bench->far, NPF_FILTER_PROMISCUOUS), 0);
	assert_int_equal(npf_set_classes(bench->far, classes, N_CLASSES), 0);
	assert_int_equal(npf_set_mode(bench->far, NPF_MODE_STAT), 0);
}

/* So many in all have come since count_copies(), and so many of them are no copy. */
static inline void expect_copies(struct bench *bench, uint64_t n, uint64_t others)
{
	struct npf_class_stats stats[N_CLASSES];
	int64_t deadline = now_ms() + PATIENCE_MS;
	uint32_t room = N_CLASSES;

	do
		assert_int_equal(npf_get_class_stats(bench->far, stats, &room, NULL), 0);
	while (stats[COPIES].packets + stats[OTHERS].packets < n && now_ms() < deadline);
	/* The classes of one answer may be of different moments. */
	assert_int_equal(npf_get_class_stats(bench->far, stats, &room, NULL), 0);
	assert_int_equal(stats[COPIES].packets, n - others);
	assert_int_equal(stats[OTHERS].packets, others);
}

#endif
