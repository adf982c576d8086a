/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chains without branches. On mixed traffic a filter's time goes into branches that the processor
 * guesses wrong. A chain is a run of blocks each of which either returns (0, or the one number that
 * the chain is about) or goes on to the next. Its conditions are computed one after the other
 * whatever they are, and the verdict follows from them at the end:
 *
 *	live: no condition has sent the packet away yet      hit: some condition has taken it
 *
 * That reads bytes that the program would not have looked at. So the longest of all guards comes
 * first, and packets too short for it go the ordinary way, which is written behind the chain.
 */
#include "filter/x86_scalar.h"

#define MOST_INSNS      40u
#define LEAST_STEPS     2u
#define MOST_STEPS_RARE 3u /* behind a link type that is not the usual one */

#define AND_BYTE  (NPF_X86_BYTE | 0x22u)
#define OR_BYTE   (NPF_X86_BYTE | 0x0Au)
#define SETCC(cc) (NPF_X86_0F | NPF_X86_BYTE | 0x90u | (uint32_t)(cc))

#define ETHERTYPE_OFFSET 12u
#define ETHERTYPE_IPV4   0x0800u

/* ---- planning -------------------------------------------------------------------------------- */

static bool returns(const struct npf_x86_gen *g, uint32_t block)
{
	const struct npf_ir_block *b = &g->ir->blocks[block];

	return b->end == NPF_IR_RETURN && b->a == NPF_IR_NONE && !b->count;
}

static bool is_branch(const struct npf_ir_block *block)
{
	return block->end != NPF_IR_RETURN && block->end != NPF_IR_GOTO;
}

/* Where the walk along a chain is. */
struct walk {
	uint32_t block;
	uint32_t join;   /* block that several conditions lead to, any of them; NPF_IR_NONE: none */
	uint32_t joined; /* of them, so far */
	bool hits;       /* some condition has returned the number */
};

/* What a step's condition does. */
enum step {
	STEP_NONE,  /* it is no step */
	STEP_GO_ON, /* there is none */
	STEP_STAY,  /* if not, return 0 */
	STEP_HIT,   /* if so, return the number */
	STEP_OPEN,  /* if so, leave for the join: the first, or one more */
	STEP_CLOSE, /* if not, return 0; who left before comes back */
	STEP_LAST,  /* the number, or 0 */
};

/* The step that a block is, when its condition leads to one block and otherwise to the other: sets
 * what comes next. */
static enum step step_with(const struct npf_x86_gen *g, const struct walk *walk, uint32_t yes,
			   uint32_t no, uint32_t *next)
{
	bool no_is_0 = returns(g, no) && !g->ir->blocks[no].imm;

	*next = yes;
	if (yes == walk->join)
		return no_is_0                                                ? STEP_CLOSE
		       : (*next = no, g->entries[no] == 1 && !returns(g, no)) ? STEP_OPEN
									      : STEP_NONE;
	if (no_is_0 && !returns(g, yes))
		return STEP_STAY;
	*next = no;
	if (returns(g, no))
		return STEP_NONE;
	if (returns(g, yes))
		return g->ir->blocks[yes].imm && walk->join == NPF_IR_NONE ? STEP_HIT : STEP_NONE;
	if (walk->join != NPF_IR_NONE || walk->hits || g->ir->blocks[yes].params)
		return STEP_NONE;
	return g->entries[yes] > 1 && g->entries[no] == 1 ? STEP_OPEN : STEP_NONE;
}

/* *holds: the condition counts as it is, not inverted. */
static enum step step_of(const struct npf_x86_gen *g, const struct walk *walk, uint32_t *next,
			 bool *holds)
{
	const struct npf_ir_block *block = &g->ir->blocks[walk->block];
	uint32_t yes = block->edges[0].block, no = block->edges[1].block;
	enum step step;

	*holds = true;
	*next = NPF_IR_NONE;
	if (block->end == NPF_IR_GOTO) {
		*next = yes;
		return returns(g, yes) || yes == walk->join ? STEP_NONE : STEP_GO_ON;
	}
	if (!is_branch(block))
		return STEP_NONE;
	if (returns(g, yes) && returns(g, no)) {
		*holds = g->ir->blocks[yes].imm;
		return !g->ir->blocks[yes].imm != !g->ir->blocks[no].imm ? STEP_LAST : STEP_NONE;
	}
	step = step_with(g, walk, yes, no, next);
	if (step)
		return step;
	*holds = false;
	return step_with(g, walk, no, yes, next);
}

/* Take a step; false: the chain breaks here. */
static bool advance(const struct npf_x86_gen *g, struct walk *walk, enum step step, uint32_t next)
{
	const struct npf_ir_block *block = &g->ir->blocks[walk->block];

	walk->hits |= step == STEP_HIT;
	if (step == STEP_OPEN) {
		walk->join = block->edges[0].block == next ? block->edges[1].block
							   : block->edges[0].block;
		walk->joined++;
	}
	if (step == STEP_CLOSE) {
		if (g->entries[next] != walk->joined + 1)
			return false;
		walk->join = NPF_IR_NONE;
		walk->joined = 0;
	}
	walk->block = next;
	return true;
}

/* A number that a chain returns must be 0 or this; 0 when none is known yet. */
static bool agrees(const struct npf_x86_gen *g, uint32_t block, uint32_t *number)
{
	uint32_t imm = g->ir->blocks[block].imm;

	if (!returns(g, block) || !imm || imm == *number)
		return true;
	if (*number)
		return false;
	*number = imm;
	return true;
}

static bool is_plain(const struct npf_x86_gen *g, const struct npf_ir_block *block)
{
	for (uint32_t i = block->first; i < (uint32_t)block->first + block->count; i++) {
		uint8_t op = g->ir->insns[i].op;

		if (op == NPF_IR_NONZERO)
			return false;
	}
	return true;
}

/* A link type that is not the usual one is mostly guessed right: that is worth a few conditions, but
 * not many. */
static bool is_rare(const struct npf_x86_gen *g, const struct npf_ir_block *block)
{
	const struct npf_ir_insn *insn = npf_x86_insn(g, block->a);
	bool usual = block->end == NPF_IR_IF_EQ && block->b == NPF_IR_NONE &&
		     block->imm == ETHERTYPE_IPV4;

	return insn->op == NPF_IR_LOAD && insn->a == NPF_IR_NONE && insn->imm == ETHERTYPE_OFFSET &&
	       !usual;
}

/* How many blocks the chain has that begins with this one, and which; 0: there is none. */
static uint32_t find_blocks(const struct npf_x86_gen *g, uint32_t first, uint32_t *number,
			    uint16_t blocks[NPF_X86_CHAIN_BLOCKS])
{
	struct walk walk = { .block = first, .join = NPF_IR_NONE };
	uint32_t insns = 0, most;

	if (!is_branch(&g->ir->blocks[first]))
		return 0;
	most = is_rare(g, &g->ir->blocks[first]) ? MOST_STEPS_RARE : NPF_X86_CHAIN_BLOCKS;
	for (uint32_t n = 1; n <= most; n++) {
		const struct npf_ir_block *block = &g->ir->blocks[walk.block];
		uint32_t next;
		bool holds;
		enum step step = step_of(g, &walk, &next, &holds);

		blocks[n - 1] = (uint16_t)walk.block;
		insns += block->count;
		if (!step || !is_plain(g, block) || insns > MOST_INSNS)
			return 0;
		for (uint32_t i = 0; i < npf_x86_edges(block); i++) {
			if (!agrees(g, block->edges[i].block, number))
				return 0;
		}
		if (step == STEP_LAST)
			return walk.join == NPF_IR_NONE && n >= LEAST_STEPS ? n : 0;
		if (!advance(g, &walk, step, next))
			return 0;
	}
	return 0;
}

static void count_entries(struct npf_x86_gen *g)
{
	for (uint32_t b = 0; b < g->ir->n_blocks; b++)
		g->entries[b] = 0;
	for (uint32_t b = 0; b < g->ir->n_blocks; b++) {
		const struct npf_ir_block *block = &g->ir->blocks[b];

		for (uint32_t i = 0; i < npf_x86_edges(block); i++)
			g->entries[block->edges[i].block]++;
	}
}

static bool divides(const struct npf_x86_gen *g)
{
	for (uint32_t i = 0; i < g->ir->n_insns; i++) {
		if (g->ir->insns[i].op == NPF_IR_DIV || g->ir->insns[i].op == NPF_IR_MOD)
			return true;
	}
	return false;
}

void npf_x86_plan_chains(struct npf_x86_gen *g)
{
	count_entries(g);
	for (uint32_t b = 0; b < g->ir->n_blocks; b++)
		g->chains[b].n = 0;
	/* A division takes the registers that a chain would. */
	if (divides(g))
		return;
	for (uint32_t b = 0; b < g->ir->n_blocks; b++) {
		struct npf_x86_chain *chain = &g->chains[b];

		chain->number = 0;
		chain->blocks = g->chain_blocks + g->n_chain_blocks;
		if (!g->in_chain[b])
			chain->n = find_blocks(g, b, &chain->number, chain->blocks);
		/* No chain begins inside another. */
		for (uint32_t i = 0; i < chain->n; i++)
			g->in_chain[chain->blocks[i]] = true;
		g->n_chain_blocks += chain->n;
	}
}

/* ---- what the ordinary way needs ------------------------------------------------------------- */

/* A packet may turn out to be too short in the middle of a chain, and goes the ordinary way then,
 * from the beginning: what was there before must be there still. */
static void keep(struct npf_x86_gen *g, uint16_t value, uint32_t before, uint32_t until)
{
	if (value < before && g->values[value].end && g->values[value].end < until)
		g->values[value].end = until;
}

static void keep_operands(struct npf_x86_gen *g, const struct npf_ir_block *block, uint32_t before,
			  uint32_t until)
{
	for (uint32_t i = block->first; i < (uint32_t)block->first + block->count; i++) {
		keep(g, g->ir->insns[i].a, before, until);
		keep(g, g->ir->insns[i].b, before, until);
	}
	if (block->end != NPF_IR_GOTO) {
		keep(g, block->a, before, until);
		keep(g, block->b, before, until);
	}
	for (uint32_t i = 0; i < npf_x86_edges(block); i++) {
		const struct npf_ir_edge *edge = &block->edges[i];

		for (uint32_t k = 0; k < g->ir->blocks[edge->block].params; k++)
			keep(g, g->ir->args[edge->args + k], before, until);
	}
}

static void keep_for_chain(struct npf_x86_gen *g, uint32_t first)
{
	const struct npf_ir_block *head = &g->ir->blocks[first];
	const struct npf_x86_chain *chain = &g->chains[first];

	for (uint32_t i = 0; i < chain->n; i++)
		keep_operands(g, &g->ir->blocks[chain->blocks[i]], head->first + head->params,
			      npf_x86_at_end(g, chain->blocks[chain->n - 1]) + 1);
}

void npf_x86_keep_for_chains(struct npf_x86_gen *g)
{
	for (uint32_t b = 0; b < g->ir->n_blocks && g->n_chain_blocks; b++) {
		if (g->chains[b].n)
			keep_for_chain(g, b);
	}
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The largest guard of some blocks for a base. */
static uint32_t most_needed(const struct npf_x86_gen *g, const uint16_t *blocks, uint32_t n,
			    uint16_t base)
{
	uint32_t most = 0;

	for (; n--; blocks++) {
		const struct npf_ir_block *block = &g->ir->blocks[*blocks];

		for (uint32_t i = block->first; i < (uint32_t)block->first + block->count; i++) {
			const struct npf_ir_insn *insn = &g->ir->insns[i];

			if (insn->op == NPF_IR_NEED && insn->a == base && insn->imm > most)
				most = insn->imm;
		}
	}
	return most;
}

/* Whether the condition holds as a bit in a register, 0 unless live. */
static void take_bit(struct npf_x86_gen *g, enum npf_x86_cc cc, bool live, int reg)
{
	npf_x86_op(g->as, SETCC(cc), 0, npf_x86_reg(reg));
	if (live)
		npf_x86_op(g->as, AND_BYTE, reg, npf_x86_reg(g->live));
}

/* Live is who was and meets the condition. */
static void narrow(struct npf_x86_gen *g, enum npf_x86_cc cc, bool live)
{
	if (!live) {
		take_bit(g, cc, false, g->live);
		return;
	}
	take_bit(g, cc, false, NPF_RAX);
	npf_x86_op(g->as, AND_BYTE, g->live, npf_x86_reg(NPF_RAX));
}

/* The bit becomes hit, or is added to it. */
static void add_hit(struct npf_x86_gen *g, enum npf_x86_cc cc, bool live, bool add)
{
	take_bit(g, cc, live, add ? NPF_RAX : g->hit);
	if (add)
		npf_x86_op(g->as, OR_BYTE, g->hit, npf_x86_reg(NPF_RAX));
}

/* The number, or 0, as the bit in al says. */
static void and_number(struct npf_x86_gen *g, uint32_t number)
{
	struct npf_x86_operand result = npf_x86_reg(NPF_RAX);

	npf_x86_op(g->as, NPF_X86_0F | 0xB6, NPF_RAX, result);
	if (number & (number - 1)) {
		npf_x86_op(g->as, 0xF7, 3, result); /* neg */
		npf_x86_op_imm(g->as, 0x81, 4, result, number, 4);
	} else {
		npf_x86_op_imm(g->as, 0xC1, 4, result, (uint32_t)__builtin_ctz(number), 1); /* shl */
	}
	npf_x86_leave(g);
}

/* A base is guarded once for all that is behind it in the chain. */
static void write_insns(struct npf_x86_gen *g, const uint16_t *blocks, uint32_t n, uint32_t ordinary)
{
	const struct npf_ir_block *block = &g->ir->blocks[*blocks];

	for (uint32_t i = block->first; i < (uint32_t)block->first + block->count; i++) {
		const struct npf_ir_insn *insn = &g->ir->insns[i];

		if (insn->op != NPF_IR_NEED)
			npf_x86_do_insn(g, (uint16_t)i);
		else if (insn->a != NPF_IR_NONE && g->guarded != insn->a)
			npf_x86_need(g, insn->a, most_needed(g, blocks, n, insn->a), ordinary);
		if (insn->op == NPF_IR_NEED && insn->a != NPF_IR_NONE)
			g->guarded = insn->a;
	}
}

/* live and hit as the head comment says; while a join is open, hit is who has left for it. The last
 * step leaves its bit in al. */
static void write_step(struct npf_x86_gen *g, const struct walk *walk, enum step step,
		       enum npf_x86_cc cc, bool *live)
{
	switch (step) {
	case STEP_STAY:
		narrow(g, cc, *live);
		*live = true;
		break;
	case STEP_HIT:
		add_hit(g, cc, *live, walk->hits);
		break;
	case STEP_OPEN:
		add_hit(g, cc, *live, walk->joined);
		break;
	case STEP_CLOSE:
		narrow(g, cc, *live);
		npf_x86_op(g->as, OR_BYTE, g->live, npf_x86_reg(g->hit));
		*live = true;
		break;
	default:
		take_bit(g, cc, *live, NPF_RAX);
		if (walk->hits)
			npf_x86_op(g->as, OR_BYTE, NPF_RAX, npf_x86_reg(g->hit));
		break;
	}
}

void npf_x86_write_chain(struct npf_x86_gen *g, uint32_t first)
{
	struct walk walk = { .block = first, .join = NPF_IR_NONE };
	const struct npf_x86_chain *chain = &g->chains[first];
	uint32_t least = most_needed(g, chain->blocks, chain->n, NPF_IR_NONE);
	uint32_t ordinary = npf_x86_label(g->as), i = 0;
	bool live = false;

	g->guarded = NPF_IR_NONE;
	if (least)
		npf_x86_need(g, NPF_IR_NONE, least, ordinary);
	for (;;) {
		const struct npf_ir_block *block = &g->ir->blocks[walk.block];
		enum npf_x86_cc cc;
		enum step step;
		uint32_t next;
		bool holds;

		write_insns(g, chain->blocks + i, chain->n - i, ordinary);
		i++;
		step = step_of(g, &walk, &next, &holds);
		if (step != STEP_GO_ON) {
			cc = npf_x86_compare(g, block->end, block->a, block->b, block->imm);
			write_step(g, &walk, step, holds ? cc : NPF_CC_NOT(cc), &live);
		}
		if (step == STEP_LAST)
			break;
		npf_x86_give_arguments(g, &block->edges[block->edges[0].block != next]);
		advance(g, &walk, step, next);
	}
	and_number(g, chain->number);
	npf_x86_bind(g->as, ordinary);
}
