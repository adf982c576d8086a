/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The trace: functions of the manual tell the host when they begin and end, so that the chain of
 * opening and closing can be watched. One look at a pointer where nobody listens.
 */
#ifndef NPF_TRACE_H
#define NPF_TRACE_H

#include "driver/host.h"

struct npf_traced {
	struct npf_host *host;
	const char *function;
};

static inline struct npf_traced npf_traced_begin(struct npf_host *host, const char *function,
						 const char *what)
{
	if (host->trace)
		host->trace(host, function, what, true);
	return (struct npf_traced){ host, function };
}

static inline void npf_traced_end(struct npf_traced *traced)
{
	if (traced->host->trace)
		traced->host->trace(traced->host, traced->function, NULL, false);
}

/* As a declaration: the rest of the block is traced under a name; what (may be NULL) explains. */
#define NPF_TRACED_AS(host, function, what)                                                        \
	struct npf_traced npf_traced_ __attribute__((cleanup(npf_traced_end), unused)) =           \
		npf_traced_begin(host, function, what)
/* The same under the name of the function that it stands in. */
#define NPF_TRACED(host, what) NPF_TRACED_AS(host, __func__, what)

#endif
