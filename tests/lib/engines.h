/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every way to run a filter, behind one face: what the differential tests compare with the
 * interpreter. A new back end adds one row to the table in engines.c.
 */
#ifndef ENGINES_H
#define ENGINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter/filter.h"

struct npf_ebpf_peek;

/* A packet and what it gave. */
struct engine_run {
	const struct npf_frame *frame;
	const uint8_t *data;
	uint32_t answer;
	bool skipped; /* set by an engine that does not answer every packet of many */
};

struct engine {
	const char *name;
	/* Does it know a stripped tag and ancillary data (struct npf_frame)? Otherwise it gets
	 * packets without a tag and programs of the wire dialect only. */
	bool sees_frames;
	/* Too slow for every random program; it gets one of many. 0: it gets all. */
	uint32_t one_of;
	/* NULL when it can run here, or why not. */
	const char *(*why_not)(void);
	/* Something that the other two understand, from a valid program; NULL: this program is left
	 * to the interpreter, as the back end's head comment says. */
	void *(*prepare)(const struct npf_program *program);
	/* The same for many, where that takes hardly longer than one; NULL: it does not. */
	void (*prepare_many)(const struct npf_program *programs, uint32_t n, void **prepared);
	void (*run)(void *prepared, struct engine_run *runs, uint32_t n);
	void (*drop)(void *prepared);
};

/* Ends with a row without a name. */
extern const struct engine engines[];

/* Can it run here, and did the user ($NPF_ENGINE, a name) not ask for another one only? */
bool engine_is_wanted(const struct engine *engine);

/* Is a test to fail where packets cannot be peeked at? From Linux 6.2 on, when $NPF_TEST_REQUIRE
 * names the hook that does. */
bool engine_must_peek(void);

/* What the kernel tells of how packets can be peeked at; NULL: nothing. */
const struct npf_ebpf_peek *engine_peek(void);

/* Does it understand the program's dialect? */
bool engine_takes(const struct engine *engine, const struct npf_program *program);

/* Run a program on packets through one engine and compare with the interpreter. False: it does not
 * take the program. Disagreements are told on stderr and counted. */
bool engine_compare(const struct engine *engine, const char *name,
		    const struct npf_program *program, struct engine_run *runs, uint32_t n);
extern uint32_t engine_mistakes;

#endif
