/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Large sets in eBPF code: a table in a map in place of a search through branches, which costs a
 * misprediction for every other step when addresses come unforeseen, and the verifier a walk through
 * all of them. The tables are those of x86_set.h: a perfect hash, or a bit for each value.
 */
#include "filter/ebpf_gen.h"
#include "filter/x86_asm.h"

#define MAP_VALUE 2 /* the source register of a constant that is an address in a map's value */

static bool is_large(const struct npf_ir_set *set)
{
	return set->n > NPF_EBPF_SEARCHED;
}

/* ---- memory --------------------------------------------------------------------------------- */

uint32_t npf_ebpf_tables(const struct npf_ir *const *programs, uint32_t n)
{
	uint32_t size = 0;

	for (uint32_t p = 0; p < n; p++) {
		for (uint32_t i = 0; i < programs[p]->n_sets; i++) {
			const struct npf_ir_set *set = &programs[p]->sets[i];

			size += is_large(set) ? npf_x86_set_space(set) : 0;
		}
	}
	return size;
}

size_t npf_ebpf_table_work(const struct npf_ir *const *programs, uint32_t n)
{
	size_t most = 0;

	for (uint32_t p = 0; p < n; p++) {
		for (uint32_t i = 0; i < programs[p]->n_sets; i++) {
			const struct npf_ir_set *set = &programs[p]->sets[i];
			size_t size = is_large(set) ? npf_x86_set_work(set) : 0;

			most = size > most ? size : most;
		}
	}
	return most;
}

/* ---- building ------------------------------------------------------------------------------- */

/* Can code look up what may be as large as bound? */
static bool is_usable(const struct npf_x86_set *set, uint32_t bound)
{
	return set->form == NPF_X86_HASH || set->form == NPF_X86_BUCKETS ||
	       (set->form == NPF_X86_BITMAP && !(bound & (bound + 1)) && bound >= 31);
}

static void build(struct npf_ebpf_gen *g, struct npf_ebpf_table *table, uint32_t set, uint32_t bound)
{
	uint32_t label_memory;
	struct npf_x86_asm as = {
		.memory = {
			.labels = &label_memory,
			.label_capacity = 1,
			.data = CODE->tables + CODE->tables_length,
			.data_capacity = CODE->tables_capacity - CODE->tables_length,
		},
	};

	table->tried = true;
	table->bound = bound;
	npf_x86_set_build(&as, g->ir, set, bound, 0, g->table_work, &table->set);
	if (as.full || !is_usable(&table->set, bound))
		return;
	table->usable = true;
	table->at = CODE->tables_length;
	CODE->tables_length += (as.data_size + 63) & ~63u;
	if (CODE->tables_length > CODE->tables_capacity)
		CODE->tables_length = CODE->tables_capacity;
}

/* The table of a set of the program at hand, NULL: it has none. */
static const struct npf_ebpf_table *table_of(struct npf_ebpf_gen *g, uint32_t set, uint32_t bound)
{
	struct npf_ebpf_table *table = &g->tables[set];

	if (!CODE->tables_capacity || !is_large(&g->ir->sets[set]))
		return NULL;
	for (uint32_t p = 0; p < g->index; p++)
		table += g->programs[p]->n_sets;
	if (!table->tried)
		build(g, table, set, bound);
	return table->usable && table->bound == bound ? table : NULL;
}

/* ---- code ----------------------------------------------------------------------------------- */

/* r1 = the word number r1 behind `at` of the tables. Destroys r0. */
static void read_word(struct npf_ebpf_gen *g, uint32_t at)
{
	npf_ebpf_k(CODE, NPF_ALU | NPF_LSH, R1, 2);
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .code = E_LDDW,
						    .dst = R0,
						    .src = MAP_VALUE,
						    .imm = CODE->tables_map });
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .imm = (int32_t)at });
	npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R1, R0);
	npf_ebpf_read(CODE, NPF_W, R1, R1, 0);
}

/* The value that is looked up, which lives on the stack while r0 is wanted for addresses. */
static uint8_t value_again(struct npf_ebpf_gen *g, uint8_t value)
{
	if (value != R0)
		return value;
	npf_ebpf_read(CODE, NPF_W, R0, R10, (uint32_t)AT_LOOKUP);
	return R0;
}

static void look_up_bit(struct npf_ebpf_gen *g, const struct npf_ebpf_table *table, uint8_t value,
			uint32_t yes)
{
	npf_ebpf_move(CODE, R1, value);
	npf_ebpf_k(CODE, NPF_ALU | NPF_AND, R1, table->bound);
	npf_ebpf_k(CODE, NPF_ALU | NPF_RSH, R1, 5);
	read_word(g, table->at);
	npf_ebpf_move(CODE, R0, value_again(g, value));
	npf_ebpf_k(CODE, NPF_ALU | NPF_AND, R0, 31);
	npf_ebpf_x(CODE, NPF_ALU | NPF_RSH, R1, R0);
	npf_ebpf_jump_k(g, NPF_JSET, R1, 1, yes);
}

static void look_up_key(struct npf_ebpf_gen *g, const struct npf_ebpf_table *table, uint8_t value,
			uint32_t yes)
{
	const struct npf_x86_set *set = &table->set;

	npf_ebpf_move(CODE, R1, value);
	npf_ebpf_k(CODE, NPF_ALU | NPF_MUL, R1, set->multiplier);
	npf_ebpf_k(CODE, NPF_ALU | NPF_RSH, R1, set->shift);
	read_word(g, table->at);
	if (set->form == NPF_X86_BUCKETS) {
		npf_ebpf_x(CODE, NPF_ALU | NPF_MUL, R1, value_again(g, value));
		npf_ebpf_k(CODE, NPF_ALU | NPF_RSH, R1, set->second_shift);
		read_word(g, table->at + set->second);
	}
	npf_ebpf_jump_x(g, E_JMP32 | NPF_JEQ, R1, value_again(g, value), yes);
}

bool npf_ebpf_look_up(struct npf_ebpf_gen *g, uint16_t value, uint32_t set, uint32_t yes,
		      uint32_t no)
{
	const struct npf_ebpf_table *table = table_of(g, set, npf_ir_bound(g->ir, value));
	uint8_t reg;

	if (!table)
		return false;
	reg = npf_ebpf_use(g, value, R0);
	if (reg == R0)
		npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_LOOKUP, R0);
	if (table->set.form == NPF_X86_BITMAP)
		look_up_bit(g, table, reg, yes);
	else
		look_up_key(g, table, reg, yes);
	npf_ebpf_go_to(g, no);
	return true;
}
