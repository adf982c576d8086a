/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGINT, SIGTERM, and SIGHUP of a terminal that goes away: the first asks for an orderly end, the
 * second kills.
 */
#ifndef NPF_SIGNALS_H
#define NPF_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

#include "npf/npf.h"

/* 0 or a negative errno value. */
int npf_signals_init(void);
/* The same where an end takes its time: further signals count and kill nobody. */
int npf_signals_init_patient(void);
/* The instance whose reader and sender shall be woken; NULL before it is closed. */
void npf_signals_watch(struct npf_instance *instance);
/* End so long (ns) from now as a signal would, for that was asked; and was it this that came first? */
void npf_signals_end_after(uint64_t ns);
bool npf_signals_expired(void);
/* The next one kills: nothing is left to be done in order. */
void npf_signals_let_kill(void);
bool npf_signals_stopped(void);
/* Readable from when a signal came. */
int npf_signals_fd(void);
unsigned int npf_signals_count(void); /* that came until now */
/* Waiting ends, too, when whoever reads this descriptor has gone: it has nothing to write meanwhile
 * that would tell. */
void npf_signals_watch_output(int fd);
/* Wait until fd (-1: none) is readable, the deadline passes (ns, CLOCK_MONOTONIC) or a signal
 * asks for the end. True when fd is readable. */
bool npf_signals_wait(int fd, uint64_t deadline);

#endif
