/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts generated filters into the kernel's tap. The tap is one program made of functions; two of
 * them carry a mark (bpf/geometry.h) and are exchanged. Everything between functions is a relative
 * call, so that moving them means counting those anew.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "filter/filter.h"
#include "host/linux/bpf/geometry.h"
#include "host/linux/ebpf.h"

#define MOST_FUNCTIONS 64

enum role { ROLE_PLAIN, ROLE_FILTER, ROLE_CLASSIFY };

struct function {
	uint32_t start, length; /* in the loaded program */
	enum role role;
	const struct bpf_insn *code; /* what it becomes */
	uint32_t new_length;
	uint32_t new_start;
	bool used; /* reached from the entry: the kernel refuses code that is not */
};

struct splice {
	const struct bpf_insn *in;
	uint32_t n_in;
	struct function functions[MOST_FUNCTIONS];
	uint32_t n_functions;
	uint32_t loads[3]; /* starts of npf_load_b, _h, _w */
};

static bool is_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
}

static int compare_functions(const void *a, const void *b)
{
	const struct function *one = a, *two = b;

	return one->start < two->start ? -1 : one->start > two->start;
}

static struct function *function_at(struct splice *splice, uint32_t start)
{
	for (uint32_t i = 0; i < splice->n_functions; i++) {
		if (splice->functions[i].start == start)
			return &splice->functions[i];
	}
	return NULL;
}

static int find_functions(struct splice *splice)
{
	splice->n_functions = 1; /* the program's entry */
	for (uint32_t i = 0; i < splice->n_in; i++) {
		uint32_t start = i + splice->in[i].imm + 1;

		if (!is_call(&splice->in[i]) || function_at(splice, start))
			continue;
		if (splice->n_functions == MOST_FUNCTIONS)
			return -EPROTO;
		splice->functions[splice->n_functions++].start = start;
	}
	qsort(splice->functions, splice->n_functions, sizeof(splice->functions[0]),
	      compare_functions);
	for (uint32_t i = 0; i < splice->n_functions; i++) {
		struct function *function = &splice->functions[i];
		uint32_t end = i + 1 < splice->n_functions ? function[1].start : splice->n_in;

		function->length = end - function->start;
		function->code = splice->in + function->start;
		function->new_length = function->length;
	}
	return 0;
}

static bool has_mark(const struct splice *splice, const struct function *function, int32_t mark)
{
	for (uint32_t i = function->start; i < function->start + function->length; i++) {
		const struct bpf_insn *insn = &splice->in[i];

		if (BPF_OP(insn->code) == BPF_MOV && BPF_SRC(insn->code) == BPF_K &&
		    insn->imm == mark)
			return true;
	}
	return false;
}

/* The marked filter calls the three loads in a fixed order. */
static int find_loads(struct splice *splice, const struct function *filter)
{
	uint32_t found = 0;

	for (uint32_t i = filter->start; i < filter->start + filter->length; i++) {
		if (is_call(&splice->in[i]) && found < 3)
			splice->loads[found++] = i + splice->in[i].imm + 1;
	}
	return found == 3 ? 0 : -EPROTO;
}

static int find_roles(struct splice *splice)
{
	bool loads = false;

	for (uint32_t i = 0; i < splice->n_functions; i++) {
		struct function *function = &splice->functions[i];

		if (has_mark(splice, function, NPF_CLASSIFY_MARK))
			function->role = ROLE_CLASSIFY;
		if (!has_mark(splice, function, NPF_FILTER_MARK))
			continue;
		function->role = ROLE_FILTER;
		loads = find_loads(splice, function) == 0;
	}
	return loads ? 0 : -EPROTO;
}

static size_t capacity(const struct npf_filter_set *filters)
{
	size_t n = NPF_EBPF_CAPACITY(filters->filter ? filters->filter->length : 0);

	for (uint32_t i = 0; i < filters->n_classes; i++)
		n += NPF_EBPF_CAPACITY(filters->classes[i]->length);
	return n;
}

/* Generate the filter and, behind it in the same memory, the classifier. */
static int generate(struct splice *splice, const struct npf_filter_set *filters,
		    struct npf_ebpf_insn *memory, size_t room)
{
	for (uint32_t i = 0; i < splice->n_functions; i++) {
		struct function *function = &splice->functions[i];
		struct npf_ebpf_code code = { .insns = memory, .capacity = (uint32_t)room };
		int err = 0;

		if (function->role == ROLE_PLAIN ||
		    (function->role == ROLE_CLASSIFY && !filters->n_classes))
			continue;
		if (function->role == ROLE_FILTER)
			err = npf_filter_to_ebpf(filters->filter, &code);
		else
			err = npf_classes_to_ebpf(filters->classes, filters->n_classes, &code);
		if (err)
			return err;
		function->code = (const struct bpf_insn *)memory;
		function->new_length = code.length;
		memory += code.length;
		room -= code.length;
	}
	return 0;
}

/* The function that instruction i of a function calls, NULL: none, or one within generated code,
 * whose distance does not change. */
static struct function *callee(struct splice *splice, const struct function *caller, uint32_t i)
{
	const struct bpf_insn *insn = &caller->code[i];
	bool generated = caller->code != splice->in + caller->start;

	if (!is_call(insn))
		return NULL;
	if (!generated)
		return function_at(splice, caller->start + i + insn->imm + 1);
	return insn->off ? function_at(splice, splice->loads[insn->imm - NPF_EBPF_LOAD_B]) : NULL;
}

static void mark_used(struct splice *splice, struct function *function)
{
	if (function->used)
		return;
	function->used = true;
	for (uint32_t i = 0; i < function->new_length; i++) {
		struct function *target = callee(splice, function, i);

		if (target)
			mark_used(splice, target);
	}
}

/* Give the used functions their new places; returns the program's length. */
static uint32_t place(struct splice *splice)
{
	uint32_t total = 0;

	mark_used(splice, &splice->functions[0]);
	for (uint32_t i = 0; i < splice->n_functions; i++) {
		splice->functions[i].new_start = total;
		if (splice->functions[i].used)
			total += splice->functions[i].new_length;
	}
	return total;
}

static void emit(struct splice *splice, const struct function *function, struct bpf_insn *out)
{
	out += function->new_start;
	memcpy(out, function->code, function->new_length * sizeof(*out));
	for (uint32_t i = 0; i < function->new_length; i++) {
		struct function *target = callee(splice, function, i);

		if (!target)
			continue;
		out[i].imm = (int32_t)(target->new_start - (function->new_start + i) - 1);
		out[i].off = 0;
	}
}

int npf_splice(const struct bpf_insn *in, size_t n_in, const struct npf_filter_set *filters,
	       struct bpf_insn **out, size_t *n_out)
{
	struct splice splice = { .in = in, .n_in = (uint32_t)n_in };
	size_t room = capacity(filters);
	struct npf_ebpf_insn *memory = calloc(room, sizeof(*memory));
	int err;

	*out = NULL;
	if (!memory)
		return -ENOMEM;
	if ((err = find_functions(&splice)) || (err = find_roles(&splice)) ||
	    (err = generate(&splice, filters, memory, room)))
		goto free_memory;

	*n_out = place(&splice);
	*out = calloc(*n_out, sizeof(**out));
	if (!*out) {
		err = -ENOMEM;
		goto free_memory;
	}
	for (uint32_t i = 0; i < splice.n_functions; i++) {
		if (splice.functions[i].used)
			emit(&splice, &splice.functions[i], *out);
	}
free_memory:
	free(memory);
	return err;
}
