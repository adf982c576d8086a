/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests share: cmocka with what it wants included before it, classic BPF instructions,
 * frames whose bytes follow from a number, and a walk over what npf_read() returned.
 */
#ifndef NPF_CHECK_H
#define NPF_CHECK_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "npf/bpf.h"
#include "npf/ioctl.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- programs ------------------------------------------------------------------------------ */

#define INSN_RET(n)                                                                                \
	{                                                                                          \
		.code = 0x06, .k = (n)                                                             \
	}
#define INSN_LD_B(offset)                                                                          \
	{                                                                                          \
		.code = 0x30, .k = (offset)                                                        \
	}
#define INSN_LD_H(offset)                                                                          \
	{                                                                                          \
		.code = 0x28, .k = (offset)                                                        \
	}
#define INSN_JEQ(n, t, f)                                                                          \
	{                                                                                          \
		.code = 0x15, .jt = (t), .jf = (f), .k = (n)                                       \
	}
#define PROGRAM(array)                                                                             \
	{                                                                                          \
		.length = N_OF(array), .insns = (array)                                            \
	}

/* ---- frames -------------------------------------------------------------------------------- */

#define FRAME_MAX 2048u

/* Byte i of frame number seq. Byte 12 and 13 are IPv4's EtherType, byte 14 is seq's lowest. */
static inline uint8_t frame_byte(uint32_t seq, uint32_t i)
{
	if (i == 12)
		return 0x08;
	if (i == 13)
		return 0x00;
	if (i == 14)
		return (uint8_t)seq;
	return (uint8_t)(seq * 131u + i * 7u + (seq >> 8));
}

static inline void frame_fill(uint8_t *frame, uint32_t length, uint32_t seq)
{
	for (uint32_t i = 0; i < length; i++)
		frame[i] = frame_byte(seq, i);
}

static inline bool frame_is(const uint8_t *frame, uint32_t length, uint32_t seq)
{
	for (uint32_t i = 0; i < length; i++) {
		if (frame[i] != frame_byte(seq, i))
			return false;
	}
	return true;
}

/* ---- what npf_read() returned -------------------------------------------------------------- */

struct records {
	const uint8_t *at;
	size_t left;
	struct npf_bpf_hdr hdr; /* of the record that was taken last */
	const uint8_t *data;
};

/* Take the next record; false at the end. Every rule of its layout is checked. */
static inline bool records_next(struct records *records)
{
	if (!records->left)
		return false;
	assert_true(records->left >= NPF_BPF_HDR_SIZE);
	memcpy(&records->hdr, records->at, NPF_BPF_HDR_SIZE);
	assert_int_equal(records->hdr.hdrlen, NPF_BPF_HDR_SIZE);
	assert_true(records->hdr.tv_usec >= 0 && records->hdr.tv_usec < 1000000);

	size_t whole = (size_t)NPF_BPF_HDR_SIZE + records->hdr.caplen;
	size_t step = NPF_WORDALIGN(whole);

	assert_true(whole <= records->left);
	records->data = records->at + NPF_BPF_HDR_SIZE;
	if (step > records->left)
		step = records->left;
	for (size_t i = whole; i < step; i++)
		assert_int_equal(records->at[i], 0);
	records->at += step;
	records->left -= step;
	return true;
}

#endif
