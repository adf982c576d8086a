/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts generated filters into the kernel's tap: into a program of the tap as it was loaded, in the
 * place of two instructions each that carry a mark (bpf/geometry.h). The generated functions lose
 * what makes them functions: where they returned they go to what follows, and their stack lies below
 * the tap's. Jumps and calls across them are counted anew.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "driver/tap_layout.h"
#include "host/linux/bpf/geometry.h"
#include "host/linux/ebpf.h"
#include "host/linux/translate.h"

#define PLACE_LENGTH 2
#define STACK        512 /* bytes that a program may have */
#define NO_REGISTER  16

_Static_assert(NPF_TAP_WINDOW >= NPF_EBPF_WINDOW_SIZE, "the window fits");

struct place {
	uint32_t at; /* of the mark */
	int32_t mark;
	struct npf_ebpf_code generated; /* insns NULL: what stands there stays */
};

struct splice {
	const struct bpf_insn *in;
	uint32_t n_in;
	int16_t depth; /* of the stack of what is spliced into, below zero */
	struct place places[NPF_SPLICES];
	uint32_t n_places;
	struct bpf_insn *out;
	uint32_t n_out;
};

/* ---- what the program looks like ------------------------------------------------------------- */

static bool is_mark(const struct bpf_insn *insn)
{
	return insn->code == (BPF_ALU64 | BPF_MOV | BPF_K) &&
	       (insn->imm == NPF_FILTER_MARK || insn->imm == NPF_CLASSIFY_MARK);
}

static int find_places(struct splice *splice)
{
	for (uint32_t i = 0; i + PLACE_LENGTH <= splice->n_in; i++) {
		if (!is_mark(&splice->in[i]))
			continue;
		if (splice->n_places == NPF_SPLICES)
			return -EPROTO;
		splice->places[splice->n_places++] = (struct place){ .at = i,
								     .mark = splice->in[i].imm };
	}
	return splice->n_places ? 0 : -EPROTO;
}

static bool is_move(const struct bpf_insn *insn)
{
	return insn->code == (BPF_ALU64 | BPF_MOV | BPF_X);
}

/* Registers that hold addresses of the stack, somewhere: bit per register. */
static uint32_t stack_registers(const struct splice *splice)
{
	uint32_t found = 1u << BPF_REG_10, before = 0;

	while (found != before) {
		before = found;
		for (uint32_t i = 0; i < splice->n_in; i++) {
			const struct bpf_insn *insn = &splice->in[i];

			if (is_move(insn) && found >> insn->src_reg & 1)
				found |= 1u << insn->dst_reg;
		}
	}
	return found;
}

/* The register by which an instruction reads or writes memory. */
static uint32_t base_register(const struct bpf_insn *insn)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_LDX:
		return insn->src_reg;
	case BPF_ST:
	case BPF_STX:
		return insn->dst_reg;
	default:
		return NO_REGISTER;
	}
}

/* Where the stack ends, or lower: an address that is formed by adding to another is taken for one of
 * the stack when its register ever holds one. */
static void find_depth(struct splice *splice)
{
	uint32_t registers = stack_registers(splice);
	int32_t depth = 0;

	for (uint32_t i = 0; i < splice->n_in; i++) {
		const struct bpf_insn *insn = &splice->in[i];
		bool adds = insn->code == (BPF_ALU64 | BPF_ADD | BPF_K) &&
			    registers >> insn->dst_reg & 1;
		int32_t at = adds ? insn->imm : base_register(insn) == BPF_REG_10 ? insn->off : 0;

		if (at < depth && at >= -STACK)
			depth = at;
	}
	splice->depth = (int16_t)(depth & ~7);
}

/* ---- what goes into it ----------------------------------------------------------------------- */

static int generate(struct place *place, const struct npf_filter_set *filters,
		    const struct npf_translation *way)
{
	if (place->mark == NPF_FILTER_MARK)
		return filters->filter
			       ? npf_translate(&filters->filter, 1, false, way, &place->generated)
			       : 0;
	return filters->n_classes ? npf_translate(filters->classes, filters->n_classes, true, way,
						  &place->generated)
				  : 0;
}

static int generate_all(struct splice *splice, const struct npf_filter_set *filters,
			const struct npf_translation *way)
{
	int err = 0;

	for (uint32_t i = 0; i < splice->n_places && !err; i++)
		err = generate(&splice->places[i], filters, way);
	return err;
}

static uint32_t length_of(const struct place *place)
{
	return place->generated.insns ? place->generated.length : PLACE_LENGTH;
}

/* Where instruction i stands afterwards. */
static uint32_t moved(const struct splice *splice, uint32_t i)
{
	uint32_t at = i;

	for (uint32_t p = 0; p < splice->n_places; p++) {
		if (splice->places[p].at < i)
			at += length_of(&splice->places[p]) - PLACE_LENGTH;
	}
	return at;
}

/* ---- putting both together ------------------------------------------------------------------- */

static bool is_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
}

static bool is_jump(const struct bpf_insn *insn)
{
	uint8_t class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

	return class == BPF_JMP32 || (class == BPF_JMP && op != BPF_CALL && op != BPF_EXIT);
}

static int copy_own(struct splice *splice, uint32_t i)
{
	uint32_t at = moved(splice, i);
	struct bpf_insn *insn = &splice->out[at];
	int64_t distance;

	*insn = splice->in[i];
	if (is_call(insn)) {
		insn->imm = (int32_t)(moved(splice, i + 1 + insn->imm) - at - 1);
	} else if (is_jump(insn)) {
		distance = (int64_t)moved(splice, i + 1 + insn->off) - at - 1;
		if (distance != (int16_t)distance)
			return -E2BIG;
		insn->off = (int16_t)distance;
	}
	return 0;
}

static int copy_generated(struct splice *splice, const struct place *place)
{
	const struct bpf_insn *from = (const struct bpf_insn *)place->generated.insns;
	struct bpf_insn *to = splice->out + moved(splice, place->at);
	uint32_t n = place->generated.length;

	for (uint32_t i = 0; i < n; i++) {
		to[i] = from[i];
		if (base_register(&from[i]) == BPF_REG_10) {
			to[i].off = (int16_t)(to[i].off + splice->depth);
			if (to[i].off < -STACK)
				return -E2BIG;
		}
		if (from[i].code != (BPF_JMP | BPF_EXIT))
			continue;
		if (n - 1 - i > INT16_MAX)
			return -E2BIG;
		to[i] = (struct bpf_insn){ .code = BPF_JMP | BPF_JA, .off = (int16_t)(n - 1 - i) };
	}
	return 0;
}

static const struct place *place_at(const struct splice *splice, uint32_t i)
{
	for (uint32_t p = 0; p < splice->n_places; p++) {
		if (splice->places[p].at == i && splice->places[p].generated.insns)
			return &splice->places[p];
	}
	return NULL;
}

static int put_together(struct splice *splice)
{
	int err = 0;

	splice->n_out = moved(splice, splice->n_in);
	splice->out = calloc(splice->n_out, sizeof(*splice->out));
	if (!splice->out)
		return -ENOMEM;
	for (uint32_t i = 0; i < splice->n_in && !err; i++) {
		const struct place *place = place_at(splice, i);

		err = place ? copy_generated(splice, place) : copy_own(splice, i);
		if (place)
			i += PLACE_LENGTH - 1;
	}
	return err;
}

int npf_splice(const struct bpf_insn *in, size_t n_in, const struct npf_filter_set *filters,
	       const struct npf_translation *way, struct npf_spliced *out)
{
	struct splice splice = { .in = in, .n_in = (uint32_t)n_in };
	int err;

	find_depth(&splice);
	if (!(err = find_places(&splice)) && !(err = generate_all(&splice, filters, way)))
		err = put_together(&splice);
	*out = (struct npf_spliced){ .insns = splice.out, .n = splice.n_out };
	for (uint32_t i = 0; i < splice.n_places; i++)
		out->parts[i] = splice.places[i].generated;
	if (err)
		npf_spliced_free(out);
	return err;
}

void npf_spliced_free(struct npf_spliced *spliced)
{
	for (uint32_t i = 0; i < NPF_SPLICES; i++)
		npf_translate_free(&spliced->parts[i]);
	free(spliced->insns);
	spliced->insns = NULL;
}
