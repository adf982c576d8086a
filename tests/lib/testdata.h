/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Material for tests that is not in the tree: the folder that $NPF_TESTDATA names.
 */
#ifndef NPF_TESTS_TESTDATA_H
#define NPF_TESTS_TESTDATA_H

#include <stdio.h>
#include <stdlib.h>

#define TESTDATA_PATH 4096

/* The path of a file or folder there; false: none is named, which was said. */
static inline bool testdata_path(char path[TESTDATA_PATH], const char *name)
{
	const char *folder = getenv("NPF_TESTDATA");

	if (!folder || !*folder) {
		print_message("NPF_TESTDATA names no folder with %s\n", name);
		return false;
	}
	if (*folder != '/')
		fail_msg("NPF_TESTDATA=%s: tests run in the build folder, so it has to begin with /",
			 folder);
	snprintf(path, TESTDATA_PATH, "%s/%s", folder, name);
	return true;
}

#endif
