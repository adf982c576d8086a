/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The intermediate form as C: for reading, for comparing with a compiler's work, and as one more
 * opinion on what a program means. Blocks are labels, values are variables, sets are switches.
 */
#include "base/text.h"
#include "filter/ir.h"

#define NONE NPF_IR_NONE

static void add_name(struct npf_text *text, uint16_t value)
{
	npf_text_add_char(text, 'v');
	npf_text_add_unsigned(text, value);
}

static void add_constant(struct npf_text *text, uint32_t k)
{
	if (k < 1024)
		npf_text_add_unsigned(text, k);
	else
		npf_text_add_hex(text, k, 1);
	npf_text_add_char(text, 'u');
}

static void add_operand(struct npf_text *text, uint16_t value, uint32_t imm)
{
	if (value == NONE)
		add_constant(text, imm);
	else
		add_name(text, value);
}

/* a op b */
static void add_pair(struct npf_text *text, uint16_t a, const char *op, uint16_t b, uint32_t imm)
{
	add_name(text, a);
	npf_text_add(text, op);
	add_operand(text, b, imm);
}

static void add_address(struct npf_text *text, const struct npf_ir_insn *insn)
{
	if (insn->a != NONE) {
		npf_text_add(text, "(uint64_t)");
		add_name(text, insn->a);
		npf_text_add(text, " + ");
	}
	add_constant(text, insn->imm);
}

static void add_load(struct npf_text *text, const struct npf_ir_insn *insn)
{
	npf_text_add(text, insn->size == 1 ? "load1" : insn->size == 2 ? "load2" : "load4");
	npf_text_add(text, "(packet + ");
	add_address(text, insn);
	npf_text_add_char(text, ')');
}

static void add_field(struct npf_text *text, const struct npf_ir_insn *insn)
{
	npf_text_add(text, insn->size == 2 ? "field2(frame + " : "field4(frame + ");
	npf_text_add_unsigned(text, insn->imm);
	npf_text_add_char(text, ')');
}

static void add_shift(struct npf_text *text, const struct npf_ir_insn *insn)
{
	if (insn->b != NONE) {
		add_name(text, insn->b);
		npf_text_add(text, " > 31 ? 0 : ");
	}
	add_pair(text, insn->a, insn->op == NPF_IR_LSH ? " << " : " >> ", insn->b, insn->imm);
}

static void add_set_call(struct npf_text *text, uint32_t set, uint16_t value)
{
	npf_text_add(text, "set");
	npf_text_add_unsigned(text, set);
	npf_text_add_char(text, '(');
	add_name(text, value);
	npf_text_add_char(text, ')');
}

static void add_test(struct npf_text *text, uint16_t a, uint8_t end, uint16_t b, uint32_t imm)
{
	switch (end) {
	case NPF_IR_IF_EQ:
		add_pair(text, a, " == ", b, imm);
		break;
	case NPF_IR_IF_GT:
		add_pair(text, a, " > ", b, imm);
		break;
	case NPF_IR_IF_GE:
		add_pair(text, a, " >= ", b, imm);
		break;
	case NPF_IR_IF_SET:
		npf_text_add_char(text, '(');
		add_pair(text, a, " & ", b, imm);
		npf_text_add(text, ") != 0");
		break;
	default:
		add_set_call(text, imm, a);
		break;
	}
}

static const char *sign_of(uint8_t op)
{
	static const char *const signs[] = {
		" + ", " - ", " * ", " / ", " % ", " & ", " | ", " ^ "
	};

	return signs[op - NPF_IR_ADD];
}

static void add_expression(struct npf_text *text, const struct npf_ir_insn *insn)
{
	switch (insn->op) {
	case NPF_IR_CONST:
		add_constant(text, insn->imm);
		break;
	case NPF_IR_LOAD:
		add_load(text, insn);
		break;
	case NPF_IR_CAPLEN:
		npf_text_add(text, "length");
		break;
	case NPF_IR_WIRELEN:
		npf_text_add(text, "wire_length");
		break;
	case NPF_IR_FIELD:
		add_field(text, insn);
		break;
	case NPF_IR_NEG:
		npf_text_add(text, "0 - ");
		add_name(text, insn->a);
		break;
	case NPF_IR_LSH:
	case NPF_IR_RSH:
		add_shift(text, insn);
		break;
	case NPF_IR_IS_EQ:
	case NPF_IR_IS_GT:
	case NPF_IR_IS_GE:
	case NPF_IR_IS_SET:
	case NPF_IR_IS_IN:
		add_test(text, insn->a, (uint8_t)(insn->op - NPF_IR_IS_EQ + NPF_IR_IF_EQ), insn->b,
			 insn->imm);
		break;
	default:
		add_pair(text, insn->a, sign_of(insn->op), insn->b, insn->imm);
		break;
	}
}

static void add_insn(struct npf_text *text, const struct npf_ir *ir, uint32_t i)
{
	const struct npf_ir_insn *insn = &ir->insns[i];

	npf_text_add_char(text, '\t');
	if (insn->op == NPF_IR_NEED) {
		npf_text_add(text, "if (");
		add_address(text, insn);
		npf_text_add(text, " > length)\n\t\treturn 0;\n");
	} else if (insn->op == NPF_IR_NONZERO) {
		npf_text_add(text, "if (!");
		add_name(text, insn->a);
		npf_text_add(text, ")\n\t\treturn 0;\n");
	} else {
		add_name(text, (uint16_t)i);
		npf_text_add(text, " = ");
		add_expression(text, insn);
		npf_text_add(text, ";\n");
	}
}

/* ---- edges ---------------------------------------------------------------------------------- */

/* An argument is never a parameter of the block that it goes to: their order does not matter. */
static void add_edge(struct npf_text *text, const struct npf_ir *ir, const struct npf_ir_edge *edge,
		     const char *indent)
{
	const struct npf_ir_block *to = &ir->blocks[edge->block];

	for (uint32_t i = 0; i < to->params; i++) {
		npf_text_add(text, indent);
		add_name(text, (uint16_t)(to->first + i));
		npf_text_add(text, " = ");
		add_name(text, ir->args[edge->args + i]);
		npf_text_add(text, ";\n");
	}
	npf_text_add(text, indent);
	npf_text_add(text, "goto block");
	npf_text_add_unsigned(text, edge->block);
	npf_text_add(text, ";\n");
}

static void add_end(struct npf_text *text, const struct npf_ir *ir, const struct npf_ir_block *block)
{
	switch (block->end) {
	case NPF_IR_RETURN:
		npf_text_add(text, "\treturn ");
		add_operand(text, block->a, block->imm);
		npf_text_add(text, ";\n");
		break;
	case NPF_IR_GOTO:
		add_edge(text, ir, &block->edges[0], "\t");
		break;
	default:
		npf_text_add(text, "\tif (");
		add_test(text, block->a, block->end, block->b, block->imm);
		npf_text_add(text, ") {\n");
		add_edge(text, ir, &block->edges[0], "\t\t");
		npf_text_add(text, "\t}\n");
		add_edge(text, ir, &block->edges[1], "\t");
		break;
	}
}

/* ---- sets ----------------------------------------------------------------------------------- */

static void add_keys(struct npf_text *text, const struct npf_ir *ir, const struct npf_ir_set *set)
{
	npf_text_add(text, "\tswitch (v) {\n");
	for (uint32_t i = 0; i < set->n; i++) {
		npf_text_add(text, "\tcase ");
		add_constant(text, ir->keys[set->first + i]);
		npf_text_add(text, ":\n");
	}
	npf_text_add(text, "\t\treturn 1;\n\tdefault:\n\t\treturn 0;\n\t}\n");
}

static void add_ranges(struct npf_text *text, const struct npf_ir *ir, const struct npf_ir_set *set)
{
	npf_text_add(text, "\treturn ");
	for (uint32_t i = 0; i < set->n; i++) {
		uint32_t first = ir->keys[set->first + 2 * i];
		uint32_t last = ir->keys[set->first + 2 * i + 1];

		npf_text_add(text, i ? " ||\n\t       v - " : "v - ");
		add_constant(text, first);
		npf_text_add(text, " <= ");
		add_constant(text, last - first);
	}
	npf_text_add(text, ";\n");
}

static void add_set(struct npf_text *text, const struct npf_ir *ir, uint32_t i)
{
	const struct npf_ir_set *set = &ir->sets[i];

	npf_text_add(text, "static inline int set");
	npf_text_add_unsigned(text, i);
	npf_text_add(text, "(uint32_t v)\n{\n");
	if (set->is_range)
		add_ranges(text, ir, set);
	else
		add_keys(text, ir, set);
	npf_text_add(text, "}\n\n");
}

/* ---- the whole ------------------------------------------------------------------------------ */

static const char prelude[] = "#include <stdint.h>\n"
			      "#include <string.h>\n"
			      "\n"
			      "static inline uint32_t load1(const uint8_t *at)\n"
			      "{\n"
			      "\treturn *at;\n"
			      "}\n"
			      "\n"
			      "static inline uint32_t load2(const uint8_t *at)\n"
			      "{\n"
			      "\treturn (uint32_t)at[0] << 8 | at[1];\n"
			      "}\n"
			      "\n"
			      "static inline uint32_t load4(const uint8_t *at)\n"
			      "{\n"
			      "\treturn load2(at) << 16 | load2(at + 2);\n"
			      "}\n"
			      "\n"
			      "static inline uint32_t field2(const uint8_t *at)\n"
			      "{\n"
			      "\tuint16_t v;\n"
			      "\n"
			      "\tmemcpy(&v, at, sizeof(v));\n"
			      "\treturn v;\n"
			      "}\n"
			      "\n"
			      "static inline uint32_t field4(const uint8_t *at)\n"
			      "{\n"
			      "\tuint32_t v;\n"
			      "\n"
			      "\tmemcpy(&v, at, sizeof(v));\n"
			      "\treturn v;\n"
			      "}\n"
			      "\n";

static void add_variables(struct npf_text *text, const struct npf_ir *ir)
{
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		uint8_t op = ir->insns[i].op;

		if (op == NPF_IR_NEED || op == NPF_IR_NONZERO)
			continue;
		npf_text_add(text, "\tuint32_t ");
		add_name(text, (uint16_t)i);
		npf_text_add(text, ";\n");
	}
	npf_text_add(text, "\n\t(void)wire_length;\n\t(void)frame;\n");
}

void npf_ir_to_c(const struct npf_ir *ir, const char *name, char *buffer, size_t size)
{
	struct npf_text text;

	npf_text_init(&text, buffer, size);
	npf_text_add(&text, prelude);
	for (uint32_t i = 0; i < ir->n_sets; i++)
		add_set(&text, ir, i);
	npf_text_add(&text, "uint32_t ");
	npf_text_add(&text, name);
	npf_text_add(&text, "(const uint8_t *packet, uint32_t wire_length, uint32_t length,\n"
			    "\t\t  const uint8_t *frame)\n{\n");
	add_variables(&text, ir);
	for (uint32_t i = 0; i < ir->n_blocks; i++) {
		const struct npf_ir_block *block = &ir->blocks[i];

		if (i) {
			npf_text_add(&text, "block");
			npf_text_add_unsigned(&text, i);
			npf_text_add(&text, ":\n");
		}
		for (uint32_t n = block->params; n < block->count; n++)
			add_insn(&text, ir, block->first + n);
		add_end(&text, ir, block);
	}
	npf_text_add(&text, "}\n");
}

size_t npf_ir_c_space(const struct npf_ir *ir)
{
	return sizeof(prelude) + 512 + 96 * (size_t)ir->n_insns + 192 * (size_t)ir->n_blocks +
	       32 * (size_t)ir->n_args + 128 * (size_t)ir->n_sets + 48 * (size_t)ir->n_keys;
}
