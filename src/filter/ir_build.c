/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From classic BPF to the intermediate form: one walk back that finds out which registers are
 * still read, one walk forward that writes blocks. Jumps lead forward only, so all ways that lead
 * to an instruction are known when the walk arrives there.
 */
#include <errno.h>
#include <string.h>

#include "filter/ancillary.h"
#include "filter/filter.h"
#include "filter/optimise.h"
#include "filter/opcodes.h"

/* Registers: A, X and the scratch words behind them. */
enum { REG_A, REG_X, REG_M, N_REGS = REG_M + NPF_MEM_WORDS };

#define BIT(reg) (1u << (reg))

/*
 * An edge is written while its target is only known as an instruction: until arrive() gives it a
 * block, edge.block is that instruction, and edge.unused the number of the next edge that waits
 * for the same one. The number of an edge: 2 * block + side.
 */
#define NO_EDGE 0xFFFFu

struct builder {
	struct npf_ir *ir;
	const struct npf_program *program;
	struct npf_ir_block *block; /* under construction, NULL between two */
	uint32_t *live;             /* before each instruction: registers that are read later */
	uint16_t *final;            /* each instruction, or the one that does all it would do */
	uint16_t *waiting;          /* first edge that waits for an instruction */
	uint16_t regs[N_REGS];      /* their values now */
};

/* What one instruction expands to at most: a parameter for every register, and itself. */
#define MAX_EXPANSION (N_REGS + 4u)
#define MAX_VALUES    (NPF_IR_NONE - 1u)

static uint32_t max_insns(uint32_t n)
{
	uint32_t most = MAX_EXPANSION * n + 64;

	return most < MAX_VALUES ? most : MAX_VALUES;
}

static uint32_t max_blocks(uint32_t n)
{
	return 2 * n + 16;
}

static uint32_t max_args(uint32_t n)
{
	return 2 * N_REGS * n + 64;
}

static uint32_t max_sets(uint32_t n)
{
	return n / 2 + 4;
}

static uint32_t max_keys(uint32_t n)
{
	return 4 * n + 64;
}

static size_t align8(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

/* What passes note for each value and each block, and tables of fixed size (optimise.h). */
#define WORK_PER_INSN  10u
#define WORK_PER_BLOCK 56u
#define WORK_FIXED     4096u

static size_t work_space(uint32_t n)
{
	return WORK_PER_INSN * (size_t)max_insns(n) + WORK_PER_BLOCK * (size_t)max_blocks(n) +
	       WORK_FIXED;
}

static size_t arrays_space(uint32_t n)
{
	return align8(sizeof(struct npf_ir_insn) * max_insns(n)) +
	       align8(sizeof(struct npf_ir_block) * max_blocks(n)) +
	       align8(sizeof(uint16_t) * max_args(n));
}

size_t npf_ir_space(uint32_t n)
{
	return 2 * arrays_space(n) + align8(sizeof(struct npf_ir_set) * max_sets(n)) +
	       align8(sizeof(uint32_t) * max_keys(n)) + align8(work_space(n));
}

static void *take(uint8_t **at, size_t size)
{
	void *taken = *at;

	*at += align8(size);
	return taken;
}

void npf_ir_divide_space(struct npf_ir *ir, uint32_t n, void *memory)
{
	uint8_t *space = memory;

	memset(ir, 0, sizeof(*ir));
	ir->max_insns = max_insns(n);
	ir->max_blocks = max_blocks(n);
	ir->max_args = max_args(n);
	ir->max_sets = max_sets(n);
	ir->max_keys = max_keys(n);
	ir->insns = take(&space, sizeof(*ir->insns) * ir->max_insns);
	ir->blocks = take(&space, sizeof(*ir->blocks) * ir->max_blocks);
	ir->args = take(&space, sizeof(*ir->args) * ir->max_args);
	ir->sets = take(&space, sizeof(*ir->sets) * ir->max_sets);
	ir->keys = take(&space, sizeof(*ir->keys) * ir->max_keys);
	ir->spare_insns = take(&space, sizeof(*ir->insns) * ir->max_insns);
	ir->spare_blocks = take(&space, sizeof(*ir->blocks) * ir->max_blocks);
	ir->spare_args = take(&space, sizeof(*ir->args) * ir->max_args);
	ir->work = space;
	ir->work_size = work_space(n);
}

/* ---- which registers are read --------------------------------------------------------------- */

/* Before an instruction, when after is what is read behind it. */
static uint32_t live_before(const struct npf_insn *insn, uint32_t after)
{
	uint32_t operand = NPF_SRC(insn->code) == NPF_X ? BIT(REG_X) : 0;

	switch (NPF_CLASS(insn->code)) {
	case NPF_LD:
		after &= ~BIT(REG_A);
		if (NPF_MODE(insn->code) == NPF_IND)
			return after | BIT(REG_X);
		return NPF_MODE(insn->code) == NPF_MEM ? after | BIT(REG_M + insn->k) : after;
	case NPF_LDX:
		after &= ~BIT(REG_X);
		return NPF_MODE(insn->code) == NPF_MEM ? after | BIT(REG_M + insn->k) : after;
	case NPF_ST:
		return (after & ~BIT(REG_M + insn->k)) | BIT(REG_A);
	case NPF_STX:
		return (after & ~BIT(REG_M + insn->k)) | BIT(REG_X);
	case NPF_ALU:
	case NPF_JMP:
		return after | BIT(REG_A) | operand;
	case NPF_RET:
		return NPF_RVAL(insn->code) == NPF_A ? BIT(REG_A) : 0;
	default:
		if (insn->code == (NPF_MISC | NPF_TAX))
			return (after & ~BIT(REG_X)) | BIT(REG_A);
		return (after & ~BIT(REG_A)) | BIT(REG_X);
	}
}

#define N_VERDICTS 4u /* different constants whose returns are told to be equal */

/* Equal returns of constants: the last of them stands for all. */
struct verdicts {
	uint32_t n;
	uint16_t last[N_VERDICTS];
};

static uint16_t last_verdict(const struct builder *b, struct verdicts *verdicts, uint32_t i)
{
	const struct npf_insn *insns = b->program->insns;

	for (uint32_t n = 0; n < verdicts->n; n++) {
		if (insns[verdicts->last[n]].k == insns[i].k)
			return verdicts->last[n];
	}
	if (verdicts->n < N_VERDICTS)
		verdicts->last[verdicts->n++] = (uint16_t)i;
	return (uint16_t)i;
}

static void look_back(struct builder *b)
{
	const struct npf_insn *insns = b->program->insns;
	struct verdicts verdicts = { 0 };

	for (uint32_t i = b->program->length; i-- > 0;) {
		const struct npf_insn *insn = &insns[i];
		uint32_t after;

		b->waiting[i] = NO_EDGE;
		b->final[i] = (uint16_t)i;
		if (insn->code == (NPF_JMP | NPF_JA)) {
			b->final[i] = b->final[i + 1 + insn->k];
			b->live[i] = b->live[b->final[i]];
			continue;
		}
		if (insn->code == (NPF_RET | NPF_K)) {
			b->final[i] = last_verdict(b, &verdicts, i);
			b->live[i] = 0;
			continue;
		}
		if (NPF_CLASS(insn->code) == NPF_JMP)
			after = b->live[i + 1 + insn->jt] | b->live[i + 1 + insn->jf];
		else
			after = NPF_CLASS(insn->code) == NPF_RET ? 0 : b->live[i + 1];
		b->live[i] = live_before(insn, after);
	}
}

/* ---- values --------------------------------------------------------------------------------- */

static uint16_t add(struct builder *b, uint8_t op, uint16_t x, uint16_t y, uint32_t imm)
{
	struct npf_ir *ir = b->ir;
	struct npf_ir_insn *insn = &ir->insns[ir->n_insns];

	*insn = (struct npf_ir_insn){ .op = op, .a = x, .b = y, .imm = imm };
	b->block->count++;
	return (uint16_t)ir->n_insns++;
}

static uint16_t add_constant(struct builder *b, uint32_t k)
{
	return add(b, NPF_IR_CONST, NPF_IR_NONE, NPF_IR_NONE, k);
}

static bool is_constant(const struct builder *b, uint16_t value)
{
	return b->ir->insns[value].op == NPF_IR_CONST;
}

static void end_block(struct builder *b, uint8_t end, uint16_t x, uint16_t y, uint32_t imm)
{
	b->block->end = end;
	b->block->a = x;
	b->block->b = y;
	b->block->imm = imm;
	b->block = NULL;
}

static void reject(struct builder *b)
{
	end_block(b, NPF_IR_RETURN, NPF_IR_NONE, NPF_IR_NONE, 0);
}

/* False: no packet can hold these bytes, and the block has ended. */
static bool add_load(struct builder *b, uint8_t to, uint16_t base, uint32_t k, uint32_t size)
{
	if (k > UINT32_MAX - size) {
		reject(b);
		return false;
	}
	add(b, NPF_IR_NEED, base, NPF_IR_NONE, k + size);
	b->regs[to] = add(b, NPF_IR_LOAD, base, NPF_IR_NONE, k);
	b->ir->insns[b->regs[to]].size = (uint8_t)size;
	return true;
}

static void add_abs(struct builder *b, const struct npf_insn *insn)
{
	bool is_linux = b->program->dialect == NPF_DIALECT_LINUX;
	const struct npf_ancillary *found = is_linux ? npf_ancillary_find(insn->k) : NULL;

	if (!found) {
		add_load(b, REG_A, NPF_IR_NONE, insn->k, npf_bytes_of(insn->code));
		return;
	}
	b->regs[REG_A] = add(b, NPF_IR_FIELD, NPF_IR_NONE, NPF_IR_NONE, found->at);
	b->ir->insns[b->regs[REG_A]].size = (uint8_t)found->size;
}

static void add_msh(struct builder *b, uint32_t k)
{
	uint16_t nibble;

	if (!add_load(b, REG_X, NPF_IR_NONE, k, 1))
		return;
	nibble = add(b, NPF_IR_AND, b->regs[REG_X], NPF_IR_NONE, 0x0f);
	b->regs[REG_X] = add(b, NPF_IR_LSH, nibble, NPF_IR_NONE, 2);
}

static void build_load(struct builder *b, const struct npf_insn *insn)
{
	uint8_t to = NPF_CLASS(insn->code) == NPF_LD ? REG_A : REG_X;
	bool is_linux = b->program->dialect == NPF_DIALECT_LINUX;

	switch (NPF_MODE(insn->code)) {
	case NPF_ABS:
		add_abs(b, insn);
		break;
	case NPF_IND:
		add_load(b, REG_A, b->regs[REG_X], insn->k, npf_bytes_of(insn->code));
		break;
	case NPF_MSH:
		add_msh(b, insn->k);
		break;
	case NPF_MEM:
		b->regs[to] = b->regs[REG_M + insn->k];
		break;
	case NPF_LEN:
		b->regs[to] = add(b, is_linux ? NPF_IR_CAPLEN : NPF_IR_WIRELEN, NPF_IR_NONE,
				  NPF_IR_NONE, 0);
		break;
	default:
		b->regs[to] = add_constant(b, insn->k);
		break;
	}
}

static uint8_t ir_op(uint16_t code)
{
	switch (NPF_OP(code)) {
	case NPF_ADD:
		return NPF_IR_ADD;
	case NPF_SUB:
		return NPF_IR_SUB;
	case NPF_MUL:
		return NPF_IR_MUL;
	case NPF_DIV:
		return NPF_IR_DIV;
	case NPF_MOD:
		return NPF_IR_MOD;
	case NPF_AND:
		return NPF_IR_AND;
	case NPF_OR:
		return NPF_IR_OR;
	case NPF_XOR:
		return NPF_IR_XOR;
	case NPF_LSH:
		return NPF_IR_LSH;
	case NPF_RSH:
		return NPF_IR_RSH;
	default:
		return NPF_IR_NEG;
	}
}

/* The second operand of an instruction: a value, or NONE and the constant in *k. */
static uint16_t operand(const struct builder *b, const struct npf_insn *insn, uint32_t *k)
{
	*k = insn->k;
	if (NPF_SRC(insn->code) != NPF_X)
		return NPF_IR_NONE;
	if (!is_constant(b, b->regs[REG_X]))
		return b->regs[REG_X];
	*k = b->ir->insns[b->regs[REG_X]].imm;
	return NPF_IR_NONE;
}

static void build_alu(struct builder *b, const struct npf_insn *insn)
{
	uint8_t op = ir_op(insn->code);
	uint16_t *a = &b->regs[REG_A];
	uint16_t y;
	uint32_t k;

	if (op == NPF_IR_NEG) {
		*a = add(b, op, *a, NPF_IR_NONE, 0);
		return;
	}
	y = operand(b, insn, &k);
	if (op == NPF_IR_DIV || op == NPF_IR_MOD) {
		if (y == NPF_IR_NONE && !k) {
			reject(b);
			return;
		}
		if (y != NPF_IR_NONE)
			add(b, NPF_IR_NONZERO, y, NPF_IR_NONE, 0);
	}
	if ((op == NPF_IR_LSH || op == NPF_IR_RSH) && y == NPF_IR_NONE && k >= 32)
		*a = add_constant(b, 0);
	else
		*a = add(b, op, *a, y, y == NPF_IR_NONE ? k : 0);
}

/* ---- blocks --------------------------------------------------------------------------------- */

static struct npf_ir_edge *edge_of(struct npf_ir *ir, uint32_t number)
{
	return &ir->blocks[number / 2].edges[number % 2];
}

/* The edge on this side of the block leads to an instruction, which gets what it reads. */
static void lead(struct builder *b, uint32_t side, uint32_t target)
{
	struct npf_ir *ir = b->ir;
	struct npf_ir_edge *edge = &b->block->edges[side];
	uint32_t live;

	target = b->final[target];
	live = b->live[target];
	edge->block = (uint16_t)target;
	edge->unused = b->waiting[target];
	edge->args = ir->n_args;
	b->waiting[target] = (uint16_t)((b->block - ir->blocks) * 2 + side);
	for (; live; live &= live - 1)
		ir->args[ir->n_args++] = b->regs[__builtin_ctz(live)];
}

static uint8_t ir_end(uint16_t code)
{
	switch (NPF_OP(code)) {
	case NPF_JEQ:
		return NPF_IR_IF_EQ;
	case NPF_JGT:
		return NPF_IR_IF_GT;
	case NPF_JGE:
		return NPF_IR_IF_GE;
	default:
		return NPF_IR_IF_SET;
	}
}

static void build_jump(struct builder *b, uint32_t i, const struct npf_insn *insn)
{
	uint32_t yes = i + 1 + insn->jt, no = i + 1 + insn->jf;
	uint16_t y;
	uint32_t k;

	if (b->final[yes] == b->final[no]) {
		lead(b, 0, yes);
		end_block(b, NPF_IR_GOTO, NPF_IR_NONE, NPF_IR_NONE, 0);
		return;
	}
	y = operand(b, insn, &k);
	lead(b, 0, yes);
	lead(b, 1, no);
	end_block(b, ir_end(insn->code), b->regs[REG_A], y, y == NPF_IR_NONE ? k : 0);
}

static void build_return(struct builder *b, const struct npf_insn *insn)
{
	bool is_a = NPF_RVAL(insn->code) == NPF_A;

	end_block(b, NPF_IR_RETURN, is_a ? b->regs[REG_A] : NPF_IR_NONE, NPF_IR_NONE,
		  is_a ? 0 : insn->k);
}

static void build_insn(struct builder *b, uint32_t i)
{
	const struct npf_insn *insn = &b->program->insns[i];

	switch (NPF_CLASS(insn->code)) {
	case NPF_LD:
	case NPF_LDX:
		build_load(b, insn);
		break;
	case NPF_ST:
		b->regs[REG_M + insn->k] = b->regs[REG_A];
		break;
	case NPF_STX:
		b->regs[REG_M + insn->k] = b->regs[REG_X];
		break;
	case NPF_ALU:
		build_alu(b, insn);
		break;
	case NPF_JMP:
		build_jump(b, i, insn);
		break;
	case NPF_RET:
		build_return(b, insn);
		break;
	default:
		if (insn->code == (NPF_MISC | NPF_TAX))
			b->regs[REG_X] = b->regs[REG_A];
		else
			b->regs[REG_A] = b->regs[REG_X];
		break;
	}
}

static void begin_block(struct builder *b)
{
	struct npf_ir *ir = b->ir;

	b->block = &ir->blocks[ir->n_blocks++];
	*b->block = (struct npf_ir_block){ .first = (uint16_t)ir->n_insns };
}

/* Does every waiting edge bring the same value in this place? */
static bool agree(const struct builder *b, uint32_t i, uint32_t place)
{
	struct npf_ir *ir = b->ir;
	uint32_t number = b->waiting[i];
	uint16_t value = ir->args[edge_of(ir, number)->args + place];

	while ((number = edge_of(ir, number)->unused) != NO_EDGE) {
		if (ir->args[edge_of(ir, number)->args + place] != value)
			return false;
	}
	return true;
}

static void keep_argument(struct builder *b, uint32_t i, uint32_t from, uint32_t to)
{
	struct npf_ir *ir = b->ir;
	uint32_t number = b->waiting[i];

	for (; number != NO_EDGE; number = edge_of(ir, number)->unused) {
		struct npf_ir_edge *edge = edge_of(ir, number);

		ir->args[edge->args + to] = ir->args[edge->args + from];
	}
}

/* Values of the registers where the waiting edges meet, parameters where they disagree. */
static void join(struct builder *b, uint32_t i)
{
	struct npf_ir *ir = b->ir;
	uint32_t live = b->live[i];

	for (uint32_t place = 0; live; live &= live - 1, place++) {
		uint16_t *reg = &b->regs[__builtin_ctz(live)];

		*reg = ir->args[edge_of(ir, b->waiting[i])->args + place];
		if (agree(b, i, place))
			continue;
		*reg = add(b, NPF_IR_PARAM, NPF_IR_NONE, NPF_IR_NONE, 0);
		keep_argument(b, i, place, b->block->params++);
	}
}

/* Begin the block of instruction i, to which edges lead. */
static void arrive(struct builder *b, uint32_t i)
{
	struct npf_ir *ir = b->ir;
	uint32_t number = b->waiting[i];

	begin_block(b);
	join(b, i);
	while (number != NO_EDGE) {
		struct npf_ir_edge *edge = edge_of(ir, number);

		number = edge->unused;
		edge->block = (uint16_t)(b->block - ir->blocks);
		edge->unused = 0;
	}
}

/* Block 0: registers are 0. */
static void begin_program(struct builder *b)
{
	begin_block(b);
	if (!b->live[0])
		return;

	uint16_t zero = add_constant(b, 0);

	for (uint32_t reg = 0; reg < N_REGS; reg++)
		b->regs[reg] = zero;
}

static int build(struct builder *b)
{
	uint32_t length = b->program->length;

	begin_program(b);
	if (b->final[0]) {
		lead(b, 0, 0);
		end_block(b, NPF_IR_GOTO, NPF_IR_NONE, NPF_IR_NONE, 0);
	}
	for (uint32_t i = 0; i < length; i++) {
		if (b->block && (b->waiting[i] != NO_EDGE || b->final[i] != i)) {
			lead(b, 0, i);
			end_block(b, NPF_IR_GOTO, NPF_IR_NONE, NPF_IR_NONE, 0);
		}
		if (!b->block && b->waiting[i] == NO_EDGE)
			continue;
		if (b->ir->n_insns + MAX_EXPANSION > b->ir->max_insns)
			return -E2BIG;
		if (!b->block)
			arrive(b, i);
		build_insn(b, i);
	}
	return 0;
}

static void use(struct npf_ir *ir, uint16_t value)
{
	if (value != NPF_IR_NONE && ir->insns[value].uses != UINT16_MAX)
		ir->insns[value].uses++;
}

static void use_args(struct npf_ir *ir, const struct npf_ir_edge *edge)
{
	for (uint32_t i = 0; i < ir->blocks[edge->block].params; i++)
		use(ir, ir->args[edge->args + i]);
}

void npf_ir_count_uses(struct npf_ir *ir)
{
	for (uint32_t i = 0; i < ir->n_insns; i++)
		ir->insns[i].uses = 0;
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		use(ir, ir->insns[i].a);
		use(ir, ir->insns[i].b);
	}
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		const struct npf_ir_block *block = &ir->blocks[i];

		use(ir, block->a);
		use(ir, block->b);
		for (uint32_t side = 0; side < npf_ir_edges(block); side++) {
			if (ir->blocks[block->edges[side].block].params)
				use_args(ir, &block->edges[side]);
		}
	}
}

int npf_ir_build(struct npf_ir *ir, const struct npf_program *program, void *space, size_t size)
{
	struct builder b = { .ir = ir, .program = program };
	uint8_t *work;
	int err;

	if (size < npf_ir_space(program->length))
		return -ENOSPC;
	npf_ir_divide_space(ir, program->length, space);
	ir->dialect = program->dialect;
	work = ir->work;
	b.live = take(&work, sizeof(*b.live) * program->length);
	b.final = take(&work, sizeof(*b.final) * program->length);
	b.waiting = take(&work, sizeof(*b.waiting) * program->length);

	look_back(&b);
	err = build(&b);
	if (err)
		return err;
	npf_ir_count_uses(ir);
	return 0;
}
