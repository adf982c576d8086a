/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One readable line per packet. Whatever the bytes are, nothing outside them is read and the line
 * stays within its buffer.
 */
#ifndef NPF_PRINT_PACKET_H
#define NPF_PRINT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define NPF_LINE_SIZE 1024

/* A line under construction; what does not fit is cut. Ends in NUL, without a newline. */
struct npf_line {
	size_t length;
	unsigned int nested; /* tunnels entered */
	char text[NPF_LINE_SIZE];
};

/* Where a time of day was last worked out. All zero at the start. */
struct npf_print_clock {
	uint64_t second;
	char text[16]; /* empty: nothing yet */
};

void npf_line_clear(struct npf_line *line);
void npf_line_add(struct npf_line *line, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Append "12:34:56.123456789 ", local time; time is ns since 1970. */
void npf_print_time(struct npf_line *line, struct npf_print_clock *clock, uint64_t time);

/* Append what a packet says: caplen bytes at data, len of them were on the wire. link_header: the
 * link layer's addresses first. */
void npf_print_packet(struct npf_line *line, uint32_t link_type, const uint8_t *data,
		      uint32_t caplen, uint32_t len, bool link_header);

/* Write a hexadecimal dump, 16 bytes a line. */
void npf_print_hex(FILE *out, const uint8_t *data, uint32_t caplen);

#endif
