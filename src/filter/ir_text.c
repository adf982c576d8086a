/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The intermediate form for people: as a listing, and as a graph for the dot program.
 *
 *	block 2 (v7):                       parameters
 *	    need v3 + 16                    else return 0
 *	    v8 = load2 v3 + 14
 *	    if v8 in set 0 then 4 (v8) else 5
 */
#include "base/text.h"
#include "filter/ir.h"

static const char *const op_names[NPF_IR_N_OPS] = {
	[NPF_IR_NOP] = "nop",         [NPF_IR_PARAM] = "param",   [NPF_IR_CONST] = "const",
	[NPF_IR_LOAD] = "load",       [NPF_IR_CAPLEN] = "caplen", [NPF_IR_WIRELEN] = "wirelen",
	[NPF_IR_FIELD] = "field",     [NPF_IR_NEG] = "-",         [NPF_IR_ADD] = "+",
	[NPF_IR_SUB] = "-",           [NPF_IR_MUL] = "*",         [NPF_IR_DIV] = "/",
	[NPF_IR_MOD] = "%",           [NPF_IR_AND] = "&",         [NPF_IR_OR] = "|",
	[NPF_IR_XOR] = "^",           [NPF_IR_LSH] = "<<",        [NPF_IR_RSH] = ">>",
	[NPF_IR_IS_EQ] = "==",        [NPF_IR_IS_GT] = ">",       [NPF_IR_IS_GE] = ">=",
	[NPF_IR_IS_SET] = "has bits", [NPF_IR_IS_IN] = "in set",  [NPF_IR_NEED] = "need",
	[NPF_IR_NONZERO] = "nonzero",
};

static const char *const end_names[NPF_IR_N_ENDS] = {
	[NPF_IR_IF_EQ] = "==",        [NPF_IR_IF_GT] = ">",      [NPF_IR_IF_GE] = ">=",
	[NPF_IR_IF_SET] = "has bits", [NPF_IR_IF_IN] = "in set",
};

/* A number as people read it: small ones decimal. */
static void add_number(struct npf_text *text, uint32_t k)
{
	if (k < 1024)
		npf_text_add_unsigned(text, k);
	else
		npf_text_add_hex(text, k, 1);
}

static void add_value(struct npf_text *text, uint16_t value)
{
	npf_text_add_char(text, 'v');
	npf_text_add_unsigned(text, value);
}

static void add_operand(struct npf_text *text, uint16_t value, uint32_t imm)
{
	if (value == NPF_IR_NONE)
		add_number(text, imm);
	else
		add_value(text, value);
}

static void add_address(struct npf_text *text, const struct npf_ir_insn *insn)
{
	if (insn->a != NPF_IR_NONE) {
		add_value(text, insn->a);
		npf_text_add(text, " + ");
	}
	npf_text_add_unsigned(text, insn->imm);
}

static void add_insn(struct npf_text *text, const struct npf_ir *ir, uint32_t i)
{
	const struct npf_ir_insn *insn = &ir->insns[i];
	const char *name = op_names[insn->op];

	if (insn->op == NPF_IR_NEED || insn->op == NPF_IR_NONZERO) {
		npf_text_add(text, name);
		npf_text_add_char(text, ' ');
		if (insn->op == NPF_IR_NEED)
			add_address(text, insn);
		else
			add_value(text, insn->a);
		return;
	}
	add_value(text, (uint16_t)i);
	npf_text_add(text, " = ");
	if (insn->op == NPF_IR_CONST) {
		add_number(text, insn->imm);
	} else if (insn->op == NPF_IR_LOAD || insn->op == NPF_IR_FIELD) {
		npf_text_add(text, name);
		npf_text_add_unsigned(text, insn->size);
		npf_text_add_char(text, ' ');
		add_address(text, insn);
	} else if (insn->op >= NPF_IR_ADD) {
		add_value(text, insn->a);
		npf_text_add_char(text, ' ');
		npf_text_add(text, name);
		npf_text_add_char(text, ' ');
		add_operand(text, insn->b, insn->imm);
	} else {
		npf_text_add(text, name);
		if (insn->a != NPF_IR_NONE)
			add_value(text, insn->a);
	}
}

static void add_arguments(struct npf_text *text, const struct npf_ir *ir,
			  const struct npf_ir_edge *edge)
{
	uint32_t n = ir->blocks[edge->block].params;

	for (uint32_t i = 0; i < n; i++) {
		npf_text_add(text, i ? ", " : " (");
		add_value(text, ir->args[edge->args + i]);
	}
	if (n)
		npf_text_add_char(text, ')');
}

static void add_target(struct npf_text *text, const struct npf_ir *ir,
		       const struct npf_ir_edge *edge)
{
	npf_text_add_unsigned(text, edge->block);
	add_arguments(text, ir, edge);
}

static void add_condition(struct npf_text *text, const struct npf_ir_block *block)
{
	npf_text_add(text, "if ");
	add_value(text, block->a);
	npf_text_add_char(text, ' ');
	npf_text_add(text, end_names[block->end]);
	npf_text_add_char(text, ' ');
	add_operand(text, block->b, block->imm);
}

static void add_end(struct npf_text *text, const struct npf_ir *ir, const struct npf_ir_block *block)
{
	switch (block->end) {
	case NPF_IR_RETURN:
		npf_text_add(text, "return ");
		add_operand(text, block->a, block->imm);
		break;
	case NPF_IR_GOTO:
		npf_text_add(text, "go to ");
		add_target(text, ir, &block->edges[0]);
		break;
	default:
		add_condition(text, block);
		npf_text_add(text, " then ");
		add_target(text, ir, &block->edges[0]);
		npf_text_add(text, " else ");
		add_target(text, ir, &block->edges[1]);
		break;
	}
}

static void add_header(struct npf_text *text, const struct npf_ir *ir, uint32_t i)
{
	const struct npf_ir_block *block = &ir->blocks[i];

	npf_text_add(text, "block ");
	npf_text_add_unsigned(text, i);
	for (uint32_t n = 0; n < block->params; n++) {
		npf_text_add(text, n ? ", " : " (");
		add_value(text, (uint16_t)(block->first + n));
	}
	npf_text_add(text, block->params ? "):" : ":");
}

#define MOST_KEYS 16u /* of a set that are shown */

static void add_set(struct npf_text *text, const struct npf_ir *ir, uint32_t i)
{
	const struct npf_ir_set *set = &ir->sets[i];
	const uint32_t *keys = ir->keys + set->first;

	npf_text_add(text, "set ");
	npf_text_add_unsigned(text, i);
	npf_text_add(text, ": ");
	npf_text_add_unsigned(text, set->n);
	npf_text_add(text, set->is_range ? " ranges:" : " keys:");
	for (uint32_t n = 0; n < set->n && n < MOST_KEYS; n++) {
		npf_text_add_char(text, ' ');
		add_number(text, *keys++);
		if (!set->is_range)
			continue;
		npf_text_add_char(text, '-');
		add_number(text, *keys++);
	}
	npf_text_add(text, set->n > MOST_KEYS ? " ...\n" : "\n");
}

void npf_ir_to_text(const struct npf_ir *ir, char *buffer, size_t size)
{
	struct npf_text text;

	npf_text_init(&text, buffer, size);
	for (uint32_t i = 0; i < ir->n_sets; i++)
		add_set(&text, ir, i);
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		const struct npf_ir_block *block = &ir->blocks[i];

		add_header(&text, ir, i);
		npf_text_add_char(&text, '\n');
		for (uint32_t n = block->params; n < block->count; n++) {
			npf_text_add(&text, "    ");
			add_insn(&text, ir, block->first + n);
			npf_text_add_char(&text, '\n');
		}
		npf_text_add(&text, "    ");
		add_end(&text, ir, block);
		npf_text_add_char(&text, '\n');
	}
}

static void add_arrow(struct npf_text *text, const struct npf_ir *ir, uint32_t i, uint32_t side,
		      const char *label)
{
	const struct npf_ir_edge *edge = &ir->blocks[i].edges[side];

	npf_text_add(text, "\tb");
	npf_text_add_unsigned(text, i);
	npf_text_add(text, " -> b");
	npf_text_add_unsigned(text, edge->block);
	npf_text_add(text, " [label=\"");
	npf_text_add(text, label);
	add_arguments(text, ir, edge);
	npf_text_add(text, "\"];\n");
}

static void add_node(struct npf_text *text, const struct npf_ir *ir, uint32_t i)
{
	const struct npf_ir_block *block = &ir->blocks[i];

	npf_text_add(text, "\tb");
	npf_text_add_unsigned(text, i);
	npf_text_add(text, " [label=\"");
	add_header(text, ir, i);
	npf_text_add(text, "\\l");
	for (uint32_t n = block->params; n < block->count; n++) {
		add_insn(text, ir, block->first + n);
		npf_text_add(text, "\\l");
	}
	if (block->end > NPF_IR_GOTO)
		add_condition(text, block);
	else if (block->end == NPF_IR_RETURN)
		add_end(text, ir, block);
	npf_text_add(text, "\\l\"");
	npf_text_add(text, block->end == NPF_IR_RETURN ? ", style=rounded];\n" : "];\n");
}

void npf_ir_to_dot(const struct npf_ir *ir, char *buffer, size_t size)
{
	struct npf_text text;

	npf_text_init(&text, buffer, size);
	npf_text_add(&text, "digraph filter {\n\tnode [shape=box, fontname=monospace];\n");
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		const struct npf_ir_block *block = &ir->blocks[i];

		add_node(&text, ir, i);
		if (block->end == NPF_IR_GOTO)
			add_arrow(&text, ir, i, 0, "");
		if (block->end <= NPF_IR_GOTO)
			continue;
		add_arrow(&text, ir, i, 0, "yes");
		add_arrow(&text, ir, i, 1, "no");
	}
	npf_text_add(&text, "}\n");
}
