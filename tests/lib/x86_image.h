/* SPDX-License-Identifier: BSD-3-Clause */
/* Generated machine code and what it may consist of. */
#ifndef X86_IMAGE_H
#define X86_IMAGE_H

#include "npf/npf.h"

struct x86_image;

/* Room for the code of any program; NULL: out of memory. */
struct x86_image *x86_image_new(void);
void x86_image_free(struct x86_image *image);

/* bpf_to_x86(): 0 or its error. */
int x86_image_make(struct x86_image *image, struct npf_host *host,
		   const struct npf_program *program, uint32_t flags);

/*
 * NULL, or what is wrong with it: all that is not table must be known instructions without calls,
 * interrupts and privilege; jumps lead to the beginning of an instruction inside; memory addressed
 * by place is a table of this image; and the last instruction does not run into the tables.
 */
const char *x86_image_fault(struct x86_image *image);

#endif
