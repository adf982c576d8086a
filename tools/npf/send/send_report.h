/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The account of what was sent: for people, or as JSON.
 */
#ifndef NPF_SEND_REPORT_H
#define NPF_SEND_REPORT_H

#include "sending.h"

/* On standard output. Negative errno when that is broken. */
int npf_send_report(struct npf_sending *sending, const struct npf_account *account);

#endif
