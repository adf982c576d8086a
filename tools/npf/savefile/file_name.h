/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the name of a savefile promises, and whether a file may be written over: what a command
 * writes shall be what its name says, and nobody's notes shall be gone for a word that was forgotten.
 */
#ifndef NPF_TOOL_FILE_NAME_H
#define NPF_TOOL_FILE_NAME_H

#include <stdbool.h>

#include "kind.h"

struct npf_file_name {
	enum npf_kind form; /* PCAP or PCAPNG, OTHER where the name does not tell */
	enum npf_kind pack; /* GZIP, ZSTD and so on, OTHER not packed */
};

/* By the name's end, such as .pcap, .pcapng or .pcapng.gz, in either case. */
struct npf_file_name npf_file_name_of(const char *name);

/* A regular file that holds something, and no savefile. directory: AT_FDCWD, or one to begin at. */
bool npf_file_is_precious(int directory, const char *name);

#endif
