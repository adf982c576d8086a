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

#include "driver/tap_layout.h"
#include "host/linux/bpf/geometry.h"
#include "host/linux/ebpf.h"
#include "host/linux/translate.h"

#define MOST_FUNCTIONS 64

_Static_assert(NPF_TAP_WINDOW >= NPF_EBPF_WINDOW_SIZE, "the window fits");

enum role { ROLE_PLAIN, ROLE_FILTER, ROLE_CLASSIFY };

struct function {
	uint32_t start, length; /* in the loaded program */
	enum role role;
	struct npf_ebpf_code generated; /* takes its place; insns NULL: nothing does */
	const struct bpf_insn *code;    /* what it becomes */
	uint32_t new_length;
	uint32_t new_start;
	bool used; /* reached from the entry: the kernel refuses code that is not */
};

struct splice {
	const struct bpf_insn *in;
	uint32_t n_in;
	struct function functions[MOST_FUNCTIONS];
	uint32_t n_functions;
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

static int find_roles(struct splice *splice)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < splice->n_functions; i++) {
		struct function *function = &splice->functions[i];

		if (has_mark(splice, function, NPF_CLASSIFY_MARK))
			function->role = ROLE_CLASSIFY;
		else if (has_mark(splice, function, NPF_FILTER_MARK))
			function->role = ROLE_FILTER;
		found += function->role != ROLE_PLAIN;
	}
	return found == 2 ? 0 : -EPROTO;
}

/* What a marked function becomes; nothing when its tap has no use for another one. */
static int generate(struct function *function, const struct npf_filter_set *filters,
		    enum npf_ebpf_access access, const struct npf_ebpf_peek *peek)
{
	int err;

	if (function->role == ROLE_PLAIN || (function->role == ROLE_CLASSIFY && !filters->n_classes))
		return 0;
	if (function->role == ROLE_FILTER)
		err = npf_translate(&filters->filter, 1, false, access, peek, &function->generated);
	else
		err = npf_translate(filters->classes, filters->n_classes, true, access, peek,
				    &function->generated);
	if (err)
		return err;
	function->code = (const struct bpf_insn *)function->generated.insns;
	function->new_length = function->generated.length;
	return 0;
}

static int generate_all(struct splice *splice, const struct npf_filter_set *filters,
			enum npf_ebpf_access access, const struct npf_ebpf_peek *peek)
{
	int err = 0;

	for (uint32_t i = 0; i < splice->n_functions && !err; i++)
		err = generate(&splice->functions[i], filters, access, peek);
	return err;
}

/* The function that instruction i of a function calls, NULL: none. Generated code calls none. */
static struct function *callee(struct splice *splice, const struct function *caller, uint32_t i)
{
	if (caller->generated.insns || !is_call(&caller->code[i]))
		return NULL;
	return function_at(splice, caller->start + i + caller->code[i].imm + 1);
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

		if (target)
			out[i].imm = (int32_t)(target->new_start - (function->new_start + i) - 1);
	}
}

int npf_splice(const struct bpf_insn *in, size_t n_in, const struct npf_filter_set *filters,
	       enum npf_ebpf_access access, const struct npf_ebpf_peek *peek, struct bpf_insn **out,
	       size_t *n_out)
{
	struct splice splice = { .in = in, .n_in = (uint32_t)n_in };
	int err;

	*out = NULL;
	if ((err = find_functions(&splice)) || (err = find_roles(&splice)) ||
	    (err = generate_all(&splice, filters, access, peek)))
		goto free_generated;

	*n_out = place(&splice);
	*out = calloc(*n_out, sizeof(**out));
	if (!*out)
		err = -ENOMEM;
	for (uint32_t i = 0; !err && i < splice.n_functions; i++) {
		if (splice.functions[i].used)
			emit(&splice, &splice.functions[i], *out);
	}
free_generated:
	for (uint32_t i = 0; i < splice.n_functions; i++)
		free(splice.functions[i].generated.insns);
	return err;
}
