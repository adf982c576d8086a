/* SPDX-License-Identifier: BSD-3-Clause */
/* A library that is no libpcap, where only loader.c's program looks for it. */
int guest(void);
int guest(void)
{
	return 1;
}
