/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Linux host of a whole test program: its group's set-up and tear-down.
 */
#ifndef NPF_TESTS_HOST_H
#define NPF_TESTS_HOST_H

#include "npf/npf.h"

static struct npf_host *host;

static int open_host(void **state)
{
	(void)state;
	host = npf_host_linux();
	return host ? 0 : -1;
}

static int close_host(void **state)
{
	(void)state;
	npf_host_linux_free(host);
	return 0;
}

#endif
