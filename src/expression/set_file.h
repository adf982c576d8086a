/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files with hosts, networks or ports, one a line; # begins a comment, empty lines are nothing.
 *
 *	192.0.2.1             a host
 *	2001:db8::/32         a network, where networks are asked for
 *	443                   a port
 *	8000-8099             or several
 */
#ifndef NPF_SET_FILE_H
#define NPF_SET_FILE_H

#include "npf/npf.h"

enum npf_set_kind { NPF_SET_HOSTS, NPF_SET_NETS, NPF_SET_PORTS };

/* What a file said. */
struct npf_set_file {
	struct npf_set set; /* points to the lists */
	struct npf_net *nets;
	struct npf_port_range *ports;
	size_t capacity;
};

/* Read one; "-" is standard input. Twice the same entry is fine. On failure (-EINVAL with
 * "NAME:LINE: reason" in error, -ENOENT and the like, -ENOMEM) nothing is left to free. */
int npf_set_file_read(struct npf_set_file *file, const char *name, enum npf_set_kind kind,
		      char error[NPF_ERROR_SIZE]);
void npf_set_file_free(struct npf_set_file *file); /* an all-zero one is fine */

#endif
