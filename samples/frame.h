/* SPDX-License-Identifier: BSD-3-Clause */
/* The frame that the samples send: to everybody, EtherType for local experiments. */
#ifndef SAMPLE_FRAME_H
#define SAMPLE_FRAME_H

#include <string.h>

#define FRAME_SIZE 100

static void make_frame(unsigned char *frame, int number)
{
	static const unsigned char source[6] = { 2, 0, 0, 0, 0, 1 };
	int i;

	memset(frame, 0xFF, 6);
	memcpy(frame + 6, source, 6);
	frame[12] = 0x88;
	frame[13] = 0xB5;
	for (i = 14; i < FRAME_SIZE; i++)
		frame[i] = (unsigned char)(number + i);
}

#endif
