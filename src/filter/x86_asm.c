/* SPDX-License-Identifier: BSD-3-Clause */
#include "filter/x86_asm.h"

#include <string.h>

#define INT3 0xCC

#define JCC_LONG  6u
#define JMP_LONG  5u
#define ANY_SHORT 2u

/* A label's place is one in the data, otherwise in the code. */
#define IN_DATA 0x80000000u

#define MAX_ROUNDS 8 /* of shortening; what is still long then stays long */

void npf_x86_init(struct npf_x86_asm *as, const struct npf_x86_memory *memory)
{
	as->memory = *memory;
	as->code_size = 0;
	as->data_size = 0;
	as->n_fixups = 0;
	as->n_labels = 0;
	as->n_bound = 0;
	as->final_size = 0;
	as->n_constants = 0;
	as->full = false;
}

/* ---- bytes --------------------------------------------------------------------------------- */

void npf_x86_bytes(struct npf_x86_asm *as, const uint8_t *bytes, uint32_t n)
{
	if (n > as->memory.code_capacity - as->code_size) {
		as->full = true;
		return;
	}
	memcpy(as->memory.code + as->code_size, bytes, n);
	as->code_size += n;
}

/* Where the next instruction is written: there is room for the longest. What does not fit is written
 * over and over again at the end of the memory. */
static uint8_t *begin(struct npf_x86_asm *as)
{
	if (as->memory.code_capacity - as->code_size >= NPF_X86_LONGEST)
		return as->memory.code + as->code_size;
	as->full = true;
	return as->memory.code + as->memory.code_capacity - NPF_X86_LONGEST;
}

/* It ends before `at`. */
static void end(struct npf_x86_asm *as, const uint8_t *at)
{
	if (!as->full)
		as->code_size = (uint32_t)(at - as->memory.code);
}

/* What writes gives back where to go on. */
static uint8_t *put(uint8_t *at, uint32_t byte)
{
	*at = (uint8_t)byte;
	return at + 1;
}

/* Four bytes are written, of which n count. */
static uint8_t *put_le(uint8_t *at, uint32_t value, unsigned int n)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
	at[2] = (uint8_t)(value >> 16);
	at[3] = (uint8_t)(value >> 24);
	return at + n;
}

/* ---- operands ------------------------------------------------------------------------------ */

static bool is_memory(const struct npf_x86_operand *operand)
{
	return operand->reg == NPF_X86_NONE;
}

/* Fourth bits of the registers an operand names; EVEX: index_high is a register's fifth. */
static unsigned int base_high(const struct npf_x86_operand *operand)
{
	return (unsigned int)operand->base >> 3 & 1;
}

static unsigned int index_high(const struct npf_x86_operand *operand)
{
	return (unsigned int)operand->index >> 3 & 1;
}

static bool fits_byte(int32_t value)
{
	return value >= -128 && value <= 127;
}

static uint8_t *put_sib(uint8_t *at, unsigned int mod, unsigned int reg,
			const struct npf_x86_operand *operand)
{
	unsigned int index = operand->index < 0 ? 4 : (unsigned int)operand->index & 7;
	unsigned int base = operand->base < 0 ? 5 : (unsigned int)operand->base & 7;

	at = put(at, mod << 6 | reg << 3 | 4);
	return put(at, (uint32_t)operand->scale << 6 | index << 3 | base);
}

/* wide: EVEX scales a displacement of one byte, so it is not used there. */
static uint8_t *put_memory(uint8_t *at, unsigned int reg, const struct npf_x86_operand *operand,
			   bool wide)
{
	bool no_base = operand->base == NPF_X86_NONE;
	bool sib = operand->index >= 0 || no_base || (operand->base & 7) == NPF_RSP;
	unsigned int mod = 2;

	if (no_base || (!operand->disp && (operand->base & 7) != NPF_RBP))
		mod = 0;
	else if (!wide && fits_byte(operand->disp))
		mod = 1;
	if (sib)
		at = put_sib(at, mod, reg, operand);
	else
		at = put(at, mod << 6 | reg << 3 | ((uint32_t)operand->base & 7));
	if (mod == 2 || no_base)
		return put_le(at, (uint32_t)operand->disp, 4);
	return mod == 1 ? put(at, (uint32_t)operand->disp) : at;
}

static void add_fixup(struct npf_x86_asm *as, struct npf_x86_fixup fixup)
{
	if (as->n_fixups >= as->memory.fixup_capacity) {
		as->full = true;
		return;
	}
	as->memory.fixups[as->n_fixups++] = fixup;
}

static uint8_t *put_relative(struct npf_x86_asm *as, uint8_t *at, unsigned int reg,
			     const struct npf_x86_operand *operand, unsigned int tail)
{
	at = put(at, reg << 3 | 5);
	add_fixup(as, (struct npf_x86_fixup){ .at = (uint32_t)(at - as->memory.code),
					      .label = operand->label,
					      .cc = NPF_X86_DATA,
					      .tail = (uint8_t)tail });
	return put_le(at, (uint32_t)operand->disp, 4);
}

static uint8_t *put_operand(struct npf_x86_asm *as, uint8_t *at, int reg,
			    const struct npf_x86_operand *operand, bool wide, unsigned int tail)
{
	unsigned int low = (unsigned int)reg & 7;

	if (!is_memory(operand))
		return put(at, 0xC0 | low << 3 | ((uint32_t)operand->reg & 7));
	if (operand->base == NPF_X86_RIP)
		return put_relative(as, at, low, operand, tail);
	return put_memory(at, low, operand, wide);
}

/* ---- instructions -------------------------------------------------------------------------- */

#define PREFIX(op) ((op) >> 8 & 3)
#define MAP(op)    ((op) >> 12 & 3)

static uint8_t *put_legacy_prefix(uint8_t *at, uint32_t op)
{
	static const uint8_t prefixes[] = { 0, 0x66, 0xF3, 0xF2 };

	return PREFIX(op) ? put(at, prefixes[PREFIX(op)]) : at;
}

static uint8_t *put_rex(uint8_t *at, uint32_t op, int reg, const struct npf_x86_operand *operand)
{
	uint32_t rex = (op & NPF_X86_W ? 8u : 0) | ((uint32_t)reg >> 3 & 1) << 2 |
		       index_high(operand) << 1 | base_high(operand);
	bool wants = (op & NPF_X86_BYTE) &&
		     (reg >= NPF_RSP || (!is_memory(operand) && operand->reg >= NPF_RSP));

	return rex || wants ? put(at, 0x40 | rex) : at;
}

static uint8_t *put_opcode(uint8_t *at, uint32_t op)
{
	static const uint8_t maps[] = { 0, 0, 0x38, 0x3A };

	if (MAP(op))
		at = put(at, 0x0F);
	if (MAP(op) > 1)
		at = put(at, maps[MAP(op)]);
	return put(at, op);
}

void npf_x86_op_imm(struct npf_x86_asm *as, uint32_t op, int reg, struct npf_x86_operand operand,
		    uint32_t imm, unsigned int imm_size)
{
	uint8_t *at = begin(as);

	at = put_legacy_prefix(at, op);
	at = put_rex(at, op, reg, &operand);
	at = put_opcode(at, op);
	at = put_operand(as, at, reg, &operand, false, imm_size);
	end(as, put_le(at, imm, imm_size));
}

void npf_x86_op(struct npf_x86_asm *as, uint32_t op, int reg, struct npf_x86_operand operand)
{
	npf_x86_op_imm(as, op, reg, operand, 0, 0);
}

void npf_x86_alu_imm(struct npf_x86_asm *as, int extension, struct npf_x86_operand operand,
		     uint32_t imm)
{
	if (fits_byte((int32_t)imm))
		npf_x86_op_imm(as, 0x83, extension, operand, imm, 1);
	else
		npf_x86_op_imm(as, 0x81, extension, operand, imm, 4);
}

void npf_x86_mov_imm(struct npf_x86_asm *as, int reg, uint32_t imm)
{
	uint8_t *at;

	if (!imm) {
		npf_x86_op(as, 0x31, reg, npf_x86_reg(reg));
		return;
	}
	at = begin(as);
	if (reg >= NPF_R8)
		at = put(at, 0x41);
	at = put(at, 0xB8 | ((uint32_t)reg & 7));
	end(as, put_le(at, imm, 4));
}

static uint8_t *put_vex_prefix(uint8_t *at, uint32_t op, int reg, int second,
			       const struct npf_x86_operand *operand)
{
	uint32_t inverted = ~(uint32_t)(second < 0 ? 0 : second) & 15;

	at = put(at, 0xC4);
	at = put(at, (~(uint32_t)reg >> 3 & 1) << 7 | (index_high(operand) ^ 1) << 6 |
			     (base_high(operand) ^ 1) << 5 | MAP(op));
	return put(at, (op & NPF_X86_W ? 0x80u : 0) | inverted << 3 | (op & NPF_X86_L256 ? 4u : 0) |
			       PREFIX(op));
}

void npf_x86_vex(struct npf_x86_asm *as, uint32_t op, int reg, int second,
		 struct npf_x86_operand operand, int imm)
{
	uint8_t *at = put_vex_prefix(begin(as), op, reg, second, &operand);

	at = put(at, op);
	at = put_operand(as, at, reg, &operand, false, imm >= 0);
	end(as, imm >= 0 ? put(at, (uint32_t)imm) : at);
}

static uint8_t *put_evex_prefix(uint8_t *at, uint32_t op, int reg, int second,
				const struct npf_x86_operand *operand, int mask, bool zero)
{
	/* A gather's index is a vector: its fifth bit stands where a second operand's does. */
	uint32_t fifth = is_memory(operand) && operand->index >= 0 ? (uint32_t)operand->index
								   : (uint32_t)second;
	uint32_t inverted = ~(uint32_t)(second < 0 ? 0 : second) & 15;
	uint32_t length = op & NPF_X86_L512 ? 2u : op & NPF_X86_L256 ? 1u : 0;

	if (second < 0 && !(is_memory(operand) && operand->index >= 0))
		fifth = 0;
	at = put(at, 0x62);
	at = put(at, (~(uint32_t)reg >> 3 & 1) << 7 | (index_high(operand) ^ 1) << 6 |
			     (base_high(operand) ^ 1) << 5 | (~(uint32_t)reg >> 4 & 1) << 4 |
			     MAP(op));
	at = put(at, (op & NPF_X86_W ? 0x80u : 0) | inverted << 3 | 4 | PREFIX(op));
	return put(at, (zero ? 0x80u : 0) | length << 5 | (op & NPF_X86_BROADCAST ? 0x10u : 0) |
			       (~fifth >> 4 & 1) << 3 | (uint32_t)mask);
}

void npf_x86_evex(struct npf_x86_asm *as, uint32_t op, int reg, int second,
		  struct npf_x86_operand operand, int mask, bool zero, int imm)
{
	uint8_t *at = put_evex_prefix(begin(as), op, reg, second, &operand, mask, zero);

	at = put(at, op);
	at = put_operand(as, at, reg, &operand, true, imm >= 0);
	end(as, imm >= 0 ? put(at, (uint32_t)imm) : at);
}

/* ---- labels and data ----------------------------------------------------------------------- */

uint32_t npf_x86_label(struct npf_x86_asm *as)
{
	if (as->n_labels >= as->memory.label_capacity) {
		as->full = true;
		return 0;
	}
	as->memory.labels[as->n_labels] = 0;
	return as->n_labels++;
}

void npf_x86_bind(struct npf_x86_asm *as, uint32_t label)
{
	if (as->full)
		return;
	as->memory.labels[label] = as->code_size;
	as->memory.order[as->n_bound++] = label;
}

void npf_x86_jump(struct npf_x86_asm *as, uint32_t label)
{
	uint8_t *at = begin(as);

	add_fixup(as, (struct npf_x86_fixup){
			      .at = as->code_size, .label = label, .cc = NPF_X86_ALWAYS });
	at = put(at, 0xE9);
	end(as, put_le(at, 0, 4));
}

void npf_x86_jump_if(struct npf_x86_asm *as, enum npf_x86_cc cc, uint32_t label)
{
	uint8_t *at = begin(as);

	add_fixup(as,
		  (struct npf_x86_fixup){ .at = as->code_size, .label = label, .cc = (int16_t)cc });
	at = put(at, 0x0F);
	at = put(at, 0x80 | (uint32_t)cc);
	end(as, put_le(at, 0, 4));
}

uint8_t *npf_x86_add_data(struct npf_x86_asm *as, uint32_t n, uint32_t alignment, uint32_t *label)
{
	uint32_t at = (as->data_size + alignment - 1) & ~(alignment - 1);

	*label = npf_x86_label(as);
	if (as->full || at > as->memory.data_capacity || n > as->memory.data_capacity - at) {
		as->full = true;
		return NULL;
	}
	memset(as->memory.data + as->data_size, 0, at - as->data_size + n);
	as->data_size = at + n;
	as->memory.labels[*label] = IN_DATA | at;
	return as->memory.data + at;
}

uint32_t npf_x86_constant(struct npf_x86_asm *as, uint32_t value, uint32_t n)
{
	uint32_t label;
	uint8_t *at;

	for (uint32_t i = 0; i < as->n_constants; i++) {
		if (as->constants[i].value == value && as->constants[i].n == n)
			return as->constants[i].label;
	}
	at = npf_x86_add_data(as, n * 4, n * 4, &label);
	for (uint32_t i = 0; at && i < n; i++)
		memcpy(at + i * 4, &value, 4);
	if (as->n_constants < NPF_X86_CONSTANTS)
		as->constants[as->n_constants++] = (struct npf_x86_constant){ value, n, label };
	return label;
}

/* ---- layout -------------------------------------------------------------------------------- */

static bool is_jump(const struct npf_x86_fixup *fixup)
{
	return fixup->cc >= NPF_X86_ALWAYS;
}

static uint32_t long_size(const struct npf_x86_fixup *fixup)
{
	return fixup->cc == NPF_X86_ALWAYS ? JMP_LONG : JCC_LONG;
}

/* Bytes that a fixup saves as it stands. */
static uint32_t saved(const struct npf_x86_fixup *fixup)
{
	return fixup->is_short ? long_size(fixup) - ANY_SHORT : 0;
}

/* Where the labels of the code come to lie; what all short jumps save together. Fixups and bound
 * labels both stand in the order of their places. place: per label. */
static uint32_t place_labels(const struct npf_x86_asm *as)
{
	uint32_t shrunk = 0, f = 0;

	for (uint32_t i = 0; i < as->n_bound; i++) {
		uint32_t label = as->memory.order[i];

		for (; f < as->n_fixups && as->memory.fixups[f].at < as->memory.labels[label]; f++)
			shrunk += saved(&as->memory.fixups[f]);
		as->memory.places[label] = as->memory.labels[label] - shrunk;
	}
	for (; f < as->n_fixups; f++)
		shrunk += saved(&as->memory.fixups[f]);
	return shrunk;
}

/* Make short what the places of now allow. Code only ever shrinks, so distances do, and what is
 * short stays so. */
static bool shorten(struct npf_x86_asm *as)
{
	uint32_t shrunk = 0;
	bool changed = false;

	for (uint32_t f = 0; f < as->n_fixups; f++) {
		struct npf_x86_fixup *fixup = &as->memory.fixups[f];
		uint32_t at = fixup->at - shrunk;

		shrunk += saved(fixup);
		if (!is_jump(fixup) || fixup->is_short)
			continue;

		int64_t distance = (int64_t)as->memory.places[fixup->label] - at - long_size(fixup);

		if (distance < -128 || distance > 127)
			continue;
		fixup->is_short = true;
		changed = true;
	}
	return changed;
}

static uint32_t data_start(const struct npf_x86_asm *as)
{
	return (as->final_size + NPF_X86_DATA_ALIGNMENT - 1) & ~(NPF_X86_DATA_ALIGNMENT - 1);
}

uint32_t npf_x86_layout(struct npf_x86_asm *as)
{
	if (as->full)
		return 0;
	as->final_size = as->code_size - place_labels(as);
	for (int round = 0; round < MAX_ROUNDS && shorten(as); round++)
		as->final_size = as->code_size - place_labels(as);
	return as->data_size ? data_start(as) + as->data_size : as->final_size;
}

/* ---- writing ------------------------------------------------------------------------------- */

static uint32_t place_of(const struct npf_x86_asm *as, uint32_t label)
{
	uint32_t at = as->memory.labels[label];

	return at & IN_DATA ? data_start(as) + (at & ~IN_DATA) : as->memory.places[label];
}

static void store(uint8_t *to, uint32_t value)
{
	for (unsigned int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

/* Write a jump to `at` of the image; its size. */
static uint32_t write_jump(const struct npf_x86_asm *as, const struct npf_x86_fixup *fixup,
			   uint8_t *to, uint32_t at)
{
	uint32_t size = fixup->is_short ? ANY_SHORT : long_size(fixup);
	uint32_t distance = place_of(as, fixup->label) - at - size;
	bool always = fixup->cc == NPF_X86_ALWAYS;

	if (fixup->is_short) {
		to[at] = (uint8_t)(always ? 0xEB : 0x70 | fixup->cc);
		to[at + 1] = (uint8_t)distance;
		return size;
	}
	memcpy(to + at, as->memory.code + fixup->at, size - 4);
	store(to + at + size - 4, distance);
	return size;
}

/* Write a displacement; what stands there is added to it. */
static uint32_t write_displacement(const struct npf_x86_asm *as, const struct npf_x86_fixup *fixup,
				   uint8_t *to, uint32_t at)
{
	uint32_t addend;

	memcpy(&addend, as->memory.code + fixup->at, sizeof(addend));
	store(to + at, place_of(as, fixup->label) + addend - at - 4 - fixup->tail);
	return 4;
}

void npf_x86_write(const struct npf_x86_asm *as, uint8_t *to)
{
	uint32_t from = 0, at = 0;

	for (uint32_t f = 0; f < as->n_fixups; f++) {
		const struct npf_x86_fixup *fixup = &as->memory.fixups[f];
		uint32_t n = fixup->at - from;

		memcpy(to + at, as->memory.code + from, n);
		at += n;
		from = fixup->at;
		if (is_jump(fixup)) {
			at += write_jump(as, fixup, to, at);
			from += long_size(fixup);
		} else {
			at += write_displacement(as, fixup, to, at);
			from += 4;
		}
	}
	memcpy(to + at, as->memory.code + from, as->code_size - from);
	if (!as->data_size)
		return;
	memset(to + as->final_size, INT3, data_start(as) - as->final_size);
	memcpy(to + data_start(as), as->memory.data, as->data_size);
}
