/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Integers in network byte order, at any address. Every multi-byte number that a packet holds is
 * read and written here.
 */
#ifndef NPF_BYTES_H
#define NPF_BYTES_H

#include <stdint.h>

static inline uint16_t npf_get_be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t npf_get_be32(const uint8_t *at)
{
	return (uint32_t)npf_get_be16(at) << 16 | npf_get_be16(at + 2);
}

static inline void npf_put_be16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void npf_put_be32(uint8_t *at, uint32_t value)
{
	npf_put_be16(at, (uint16_t)(value >> 16));
	npf_put_be16(at + 2, (uint16_t)value);
}

#endif
