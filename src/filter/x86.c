/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the generators share: their memory, and a look at the processor.
 */
#include "filter/x86.h"

#include <errno.h>

#include "filter/x86_set.h"

/* Bytes of code at most: of an instruction or an end of a block, of an argument, of a lookup. */
#define CODE_INSN 384u
#define CODE_ARG  64u
#define CODE_SET  2048u
#define CODE_FIX  16384u /* what there is once */

/* Bytes of the generators' own for each instruction and block. */
#define WORK_INSN  48u
#define WORK_BLOCK 128u

struct needs {
	struct npf_x86_memory memory; /* the capacities */
	size_t set_work;
	size_t own;
};

static void count(const struct npf_ir *ir, struct needs *needs)
{
	uint32_t things = ir->n_insns + 3 * ir->n_blocks;
	uint32_t lookups = 0;

	for (uint32_t i = 0; i < ir->n_insns; i++)
		lookups += ir->insns[i].op == NPF_IR_IS_IN;
	for (uint32_t b = 0; b < ir->n_blocks; b++)
		lookups += ir->blocks[b].end == NPF_IR_IF_IN;
	*needs = (struct needs){
		.memory.code_capacity = CODE_FIX + CODE_INSN * things + CODE_ARG * ir->n_args +
					CODE_SET * lookups,
		.memory.data_capacity = CODE_FIX,
		.memory.fixup_capacity = 64 + 4 * things + 64 * lookups,
		.memory.label_capacity = 128 + 2 * things + 3 * ir->n_sets,
		.own = things * WORK_INSN + ir->n_blocks * WORK_BLOCK +
		       3 * ir->n_sets * sizeof(struct npf_x86_set) + 1024,
	};
	for (uint32_t i = 0; i < ir->n_sets; i++) {
		size_t work = npf_x86_set_work(&ir->sets[i]);

		needs->memory.data_capacity += 2 * npf_x86_set_space(&ir->sets[i]);
		if (work > needs->set_work)
			needs->set_work = work;
	}
}

static size_t whole(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

static size_t total(const struct needs *needs)
{
	const struct npf_x86_memory *m = &needs->memory;

	return whole(sizeof(struct npf_x86_asm)) + whole(m->code_capacity) +
	       whole(m->data_capacity) + whole(m->fixup_capacity * sizeof(*m->fixups)) +
	       3 * whole(m->label_capacity * sizeof(*m->labels)) + whole(needs->set_work) +
	       whole(needs->own);
}

size_t npf_x86_space(const struct npf_ir *ir)
{
	struct needs needs;

	count(ir, &needs);
	return total(&needs);
}

void *npf_x86_take(struct npf_x86_room *room, size_t size)
{
	void *piece = room->at;

	room->at += whole(size);
	return piece;
}

int npf_x86_furnish(const struct npf_ir *ir, void *space, size_t size, struct npf_x86_room *room)
{
	struct needs needs;
	struct npf_x86_memory *m = &needs.memory;

	count(ir, &needs);
	if (size < total(&needs))
		return -ENOSPC;
	room->at = space;
	room->as = npf_x86_take(room, sizeof(*room->as));
	m->code = npf_x86_take(room, m->code_capacity);
	m->data = npf_x86_take(room, m->data_capacity);
	m->fixups = npf_x86_take(room, m->fixup_capacity * sizeof(*m->fixups));
	m->labels = npf_x86_take(room, m->label_capacity * sizeof(*m->labels));
	m->places = npf_x86_take(room, m->label_capacity * sizeof(*m->places));
	m->order = npf_x86_take(room, m->label_capacity * sizeof(*m->order));
	room->set_work = npf_x86_take(room, needs.set_work);
	npf_x86_init(room->as, m);
	return 0;
}

int npf_x86_finish(struct npf_x86_asm *as, struct npf_x86_image *image)
{
	uint32_t size = npf_x86_layout(as);

	if (!size)
		return -ENOSPC;
	*image = (struct npf_x86_image){ .size = size, .code_size = as->final_size };
	return 0;
}

/* ---- the processor --------------------------------------------------------------------------- */

#if defined(__x86_64__)

static void cpuid(uint32_t leaf, uint32_t regs[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
			 : "a"(leaf), "c"(0));
}

/* What the system saves of a thread: without that, registers are not to be used. */
static uint32_t saved_state(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low;
}

#define LEAF1_OSXSAVE (1u << 27)
#define LEAF1_AVX     (1u << 28)
#define LEAF7_AVX2    (1u << 5 | 1u << 3 | 1u << 8)               /* AVX2, BMI1, BMI2 */
#define LEAF7_AVX512  (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) /* F, DQ, BW, VL */
#define STATE_AVX     0x06u                                       /* xmm, ymm */
#define STATE_AVX512  0xE6u                                       /* masks and zmm beside them */

uint32_t npf_x86_features(void)
{
	uint32_t regs[4], features = 0, state;

	cpuid(0, regs);
	if (regs[0] < 7)
		return 0;
	cpuid(1, regs);
	if ((regs[2] & (LEAF1_OSXSAVE | LEAF1_AVX)) != (LEAF1_OSXSAVE | LEAF1_AVX))
		return 0;
	state = saved_state();
	cpuid(7, regs);
	if ((state & STATE_AVX) != STATE_AVX || (regs[1] & LEAF7_AVX2) != LEAF7_AVX2)
		return 0;
	features = NPF_X86_AVX2;
	if ((state & STATE_AVX512) == STATE_AVX512 && (regs[1] & LEAF7_AVX512) == LEAF7_AVX512)
		features |= NPF_X86_AVX512;
	return features;
}

#else

uint32_t npf_x86_features(void)
{
	return 0;
}

#endif
