/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text for people: colours where they are wanted, the size of the window, numbers with units, and
 * names from outside made harmless.
 */
#ifndef NPF_TERMINAL_H
#define NPF_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum npf_colour { NPF_PLAIN, NPF_BOLD, NPF_DIM, NPF_RED, NPF_GREEN, NPF_YELLOW };

struct npf_terminal {
	FILE *out;
	bool tty;
	bool colours; /* a terminal, and NO_COLOR is not set */
	bool unicode; /* the locale's text is UTF-8 */
};

void npf_terminal_init(struct npf_terminal *terminal, FILE *out);
/* The escape sequence, or "" where colours are not wanted. */
const char *npf_colour(const struct npf_terminal *terminal, enum npf_colour colour);
/* Size of the window now; 80 x 24 where it is not known. */
void npf_terminal_size(const struct npf_terminal *terminal, unsigned int *columns,
		       unsigned int *rows);

/* Write out what a stream holds. Negative errno, of this or an earlier write; told only once. */
int npf_flush(FILE *out);

/* Bytes of the UTF-8 character that text begins with; 0 when it is not one. */
size_t npf_utf8_length(const char *text);
/* Copy text, cut to fit, with control characters and broken UTF-8 replaced by '?'. */
void npf_clean_text(char *out, size_t size, const char *text);

/* A path as sentences have room for: of a long one the end, which tells what it is. */
#define NPF_PATH_SHOWN 104u
const char *npf_short_path(char shown[NPF_PATH_SHOWN], const char *path);

/* What a word gets behind n of something: "" or "s". */
const char *npf_plural(uint64_t n);

/* "1.2 Gbit/s", "16 MiB": three digits and a unit. */
void npf_format_si(char *out, size_t size, double value, const char *unit);
void npf_format_bytes(char *out, size_t size, uint64_t bytes);

#endif
