/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A filter as it was typed, brought into the kernel.
 */
#ifndef NPF_SESSION_FILTER_H
#define NPF_SESSION_FILTER_H

#include "expression/expression.h"
#include "tool.h"

/* Install it on the session's instance. An exit code; failures were told. */
int npf_session_filter(struct npf_session *session, const char *expression, uint32_t snaplen,
		       enum npf_direction direction);

#endif
