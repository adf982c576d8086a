/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translation of validated programs into functions that the kernel verifies and compiles.
 *
 *	r6 context   r7 A   r8 X   r9 frame   stack: M[0] to M[15]
 *
 * A and X live in 32 bits: every write to them clears the upper halves, so X + k is exact in 64
 * bits. The kernel refuses code that nothing reaches, so only reachable instructions are emitted.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "filter/ancillary.h"
#include "filter/filter.h"
#include "filter/opcodes.h"

enum { R_RESULT, R_ARG1, R_ARG2, R_ARG3, R_CONTEXT = 6, R_A, R_X, R_FRAME, R_STACK };

/* eBPF's encodings, where they are not classic BPF's. Classes beside it: */
#define E_JMP32 0x06 /* compares the lower halves */
#define E_ALU64 0x07
/* operations */
#define E_JNE  0x50
#define E_JLT  0xa0
#define E_JLE  0xb0
#define E_JSLT 0xc0
#define E_CALL 0x80
#define E_EXIT 0x90
#define E_MOV  0xb0

#define MEM_AT(word) ((int16_t)(-4 * (NPF_MEM_WORDS - (int)(word))))
#define FIELD(name)  ((int16_t)offsetof(struct npf_frame, name))

/* Jumps lead from behind the prologue to at most the rejection behind the last return. */
#define RETURN_SIZE 2
_Static_assert((NPF_MAX_INSNS - 1) * NPF_EBPF_MAX_EXPANSION + RETURN_SIZE <= INT16_MAX,
	       "every distance fits into a jump");

struct translation {
	const struct npf_program *program;
	struct npf_ebpf_code *code;
	uint32_t begin;      /* of the function, in code */
	uint32_t words_read; /* bit per word of M[] that an instruction reads */
	bool rejects;        /* something jumps to the end of the program, where 0 is returned */
	bool reached[NPF_MAX_INSNS];
	uint16_t start[NPF_MAX_INSNS + 1]; /* of each instruction's code, from begin */
};

/* Appends, and goes on counting past the capacity: the callers look once at the end. */
static void emit(struct npf_ebpf_code *code, struct npf_ebpf_insn insn)
{
	if (code->length < code->capacity)
		code->insns[code->length] = insn;
	code->length++;
}

static void emit_k(struct npf_ebpf_code *code, uint8_t op, uint8_t dst, uint32_t k)
{
	emit(code, (struct npf_ebpf_insn){ .code = op | NPF_K, .dst = dst, .imm = (int32_t)k });
}

static void emit_x(struct npf_ebpf_code *code, uint8_t op, uint8_t dst, uint8_t src)
{
	emit(code, (struct npf_ebpf_insn){ .code = op | NPF_X, .dst = dst, .src = src });
}

static void move_k(struct npf_ebpf_code *code, uint8_t dst, uint32_t k)
{
	emit_k(code, NPF_ALU | E_MOV, dst, k);
}

static void move_x(struct npf_ebpf_code *code, uint8_t dst, uint8_t src)
{
	emit_x(code, NPF_ALU | E_MOV, dst, src);
}

static void move_pointer(struct npf_ebpf_code *code, uint8_t dst, uint8_t src)
{
	emit_x(code, E_ALU64 | E_MOV, dst, src);
}

static void read_memory(struct npf_ebpf_code *code, uint8_t size, uint8_t dst, uint8_t base,
			int16_t at)
{
	emit(code, (struct npf_ebpf_insn){
			   .code = NPF_LDX | NPF_MEM | size, .dst = dst, .src = base, .off = at });
}

static void write_memory(struct npf_ebpf_code *code, uint8_t base, int16_t at, uint8_t src)
{
	emit(code, (struct npf_ebpf_insn){
			   .code = NPF_STX | NPF_MEM | NPF_W, .dst = base, .src = src, .off = at });
}

static void clear_memory(struct npf_ebpf_code *code, uint8_t base, int16_t at)
{
	emit(code,
	     (struct npf_ebpf_insn){ .code = NPF_ST | NPF_MEM | NPF_W, .dst = base, .off = at });
}

static void emit_exit(struct npf_ebpf_code *code)
{
	emit(code, (struct npf_ebpf_insn){ .code = NPF_JMP | E_EXIT });
}

/* mark 0: imm is a distance. */
static void emit_call(struct npf_ebpf_code *code, int16_t mark, int32_t imm)
{
	emit(code,
	     (struct npf_ebpf_insn){
		     .code = NPF_JMP | E_CALL, .src = NPF_EBPF_TAP_CALL, .off = mark, .imm = imm });
}

/* ---- jumps --------------------------------------------------------------------------------- */

/*
 * Until resolve() the offset of a jump is the number of the instruction it goes to; the number
 * behind the last one stands for "reject".
 */
static void jump_k(struct translation *t, uint8_t op, uint8_t dst, uint32_t k, uint32_t target)
{
	emit(t->code,
	     (struct npf_ebpf_insn){
		     .code = op | NPF_K, .dst = dst, .off = (int16_t)target, .imm = (int32_t)k });
}

static void jump_x(struct translation *t, uint8_t op, uint8_t dst, uint8_t src, uint32_t target)
{
	emit(t->code, (struct npf_ebpf_insn){
			      .code = op | NPF_X, .dst = dst, .src = src, .off = (int16_t)target });
}

static uint32_t reject(struct translation *t)
{
	t->rejects = true;
	return t->program->length;
}

static bool is_jump(const struct npf_ebpf_insn *insn)
{
	if (NPF_CLASS(insn->code) == E_JMP32)
		return true;
	return NPF_CLASS(insn->code) == NPF_JMP && NPF_OP(insn->code) != E_CALL &&
	       NPF_OP(insn->code) != E_EXIT;
}

/* Put distances in the place of targets. */
static void resolve(struct translation *t)
{
	struct npf_ebpf_insn *insns = t->code->insns + t->begin;
	uint32_t n = t->code->length - t->begin;

	for (uint32_t i = 0; i < n; i++) {
		if (is_jump(&insns[i]))
			insns[i].off = (int16_t)(t->start[insns[i].off] - i - 1);
	}
}

/* Does the code of target follow directly on that of instruction i? */
static bool is_next(const struct translation *t, uint32_t i, uint32_t target)
{
	while (++i < target) {
		if (t->reached[i])
			return false;
	}
	return true;
}

static void go_to(struct translation *t, uint32_t i, uint32_t target)
{
	if (!is_next(t, i, target))
		jump_k(t, NPF_JMP | NPF_JA, 0, 0, target);
}

/* The operation that is true where op is false, 0: there is none. */
static uint8_t opposite(uint8_t op)
{
	switch (op) {
	case NPF_JEQ:
		return E_JNE;
	case NPF_JGT:
		return E_JLE;
	case NPF_JGE:
		return E_JLT;
	default:
		return 0;
	}
}

static void branch(struct translation *t, const struct npf_insn *insn, uint8_t op, uint32_t target)
{
	if (NPF_SRC(insn->code) == NPF_X)
		jump_x(t, E_JMP32 | op, R_A, R_X, target);
	else
		jump_k(t, E_JMP32 | op, R_A, insn->k, target);
}

static void translate_jmp(struct translation *t, uint32_t i, const struct npf_insn *insn)
{
	uint8_t op = NPF_OP(insn->code);
	uint32_t yes = i + 1 + (op == NPF_JA ? insn->k : insn->jt);
	uint32_t no = i + 1 + (op == NPF_JA ? insn->k : insn->jf);

	if (yes == no) {
		go_to(t, i, yes);
	} else if (is_next(t, i, yes) && opposite(op)) {
		branch(t, insn, opposite(op), no);
	} else {
		branch(t, insn, op, yes);
		go_to(t, i, no);
	}
}

/* ---- the other instructions ---------------------------------------------------------------- */

/* Call the tap for the bytes at the offset in r3; reject when they are not there. */
static void load_packet(struct translation *t, uint16_t code)
{
	enum npf_ebpf_call call = NPF_SIZE(code) == NPF_B   ? NPF_EBPF_LOAD_B
				  : NPF_SIZE(code) == NPF_H ? NPF_EBPF_LOAD_H
							    : NPF_EBPF_LOAD_W;

	move_pointer(t->code, R_ARG1, R_CONTEXT);
	move_pointer(t->code, R_ARG2, R_FRAME);
	emit_call(t->code, NPF_EBPF_TAP_MARK, call);
	jump_k(t, NPF_JMP | E_JSLT, R_RESULT, 0, reject(t));
}

static void translate_abs(struct translation *t, const struct npf_insn *insn)
{
	bool is_linux = t->program->dialect == NPF_DIALECT_LINUX;
	const struct npf_ancillary *found = is_linux ? npf_ancillary_find(insn->k) : NULL;

	if (found) {
		read_memory(t->code, found->size == 2 ? NPF_H : NPF_W, R_A, R_FRAME,
			    (int16_t)found->at);
		return;
	}
	move_k(t->code, R_ARG3, insn->k);
	load_packet(t, insn->code);
	move_x(t->code, R_A, R_RESULT);
}

static void translate_ind(struct translation *t, const struct npf_insn *insn)
{
	move_k(t->code, R_ARG3, insn->k);
	emit_x(t->code, E_ALU64 | NPF_ADD, R_ARG3, R_X);
	load_packet(t, insn->code);
	move_x(t->code, R_A, R_RESULT);
}

static void translate_msh(struct translation *t, const struct npf_insn *insn)
{
	move_k(t->code, R_ARG3, insn->k);
	load_packet(t, insn->code);
	move_x(t->code, R_X, R_RESULT);
	emit_k(t->code, NPF_ALU | NPF_AND, R_X, 0x0f);
	emit_k(t->code, NPF_ALU | NPF_LSH, R_X, 2);
}

static void translate_load(struct translation *t, const struct npf_insn *insn)
{
	uint8_t to = NPF_CLASS(insn->code) == NPF_LD ? R_A : R_X;
	bool counts_data = t->program->dialect == NPF_DIALECT_LINUX;

	switch (NPF_MODE(insn->code)) {
	case NPF_ABS:
		translate_abs(t, insn);
		break;
	case NPF_IND:
		translate_ind(t, insn);
		break;
	case NPF_MSH:
		translate_msh(t, insn);
		break;
	case NPF_MEM:
		read_memory(t->code, NPF_W, to, R_STACK, MEM_AT(insn->k));
		break;
	case NPF_LEN:
		read_memory(t->code, NPF_W, to, R_FRAME,
			    counts_data ? FIELD(length) : FIELD(wire_length));
		break;
	default:
		move_k(t->code, to, insn->k);
		break;
	}
}

static void translate_shift(struct translation *t, uint32_t i, const struct npf_insn *insn)
{
	if (NPF_SRC(insn->code) == NPF_K && insn->k < 32) {
		emit_k(t->code, (uint8_t)insn->code, R_A, insn->k);
		return;
	}
	/* The kernel takes a register's distance modulo 32. */
	if (NPF_SRC(insn->code) == NPF_X) {
		emit_x(t->code, (uint8_t)insn->code, R_A, R_X);
		jump_k(t, E_JMP32 | E_JLT, R_X, 32, i + 1);
	}
	move_k(t->code, R_A, 0);
}

/* The encodings of 32-bit arithmetic are classic BPF's. */
static void translate_alu(struct translation *t, uint32_t i, const struct npf_insn *insn)
{
	uint8_t op = NPF_OP(insn->code);
	uint8_t code = (uint8_t)insn->code;

	if (op == NPF_LSH || op == NPF_RSH) {
		translate_shift(t, i, insn);
	} else if (op == NPF_NEG) {
		emit_k(t->code, code, R_A, 0);
	} else if (NPF_SRC(code) == NPF_K) {
		emit_k(t->code, code, R_A, insn->k);
	} else {
		if (op == NPF_DIV || op == NPF_MOD)
			jump_k(t, E_JMP32 | NPF_JEQ, R_X, 0, reject(t));
		emit_x(t->code, code, R_A, R_X);
	}
}

static void translate_ret(struct translation *t, const struct npf_insn *insn)
{
	if (NPF_RVAL(insn->code) == NPF_A)
		move_x(t->code, R_RESULT, R_A);
	else
		move_k(t->code, R_RESULT, insn->k);
	emit_exit(t->code);
}

static void translate_insn(struct translation *t, uint32_t i)
{
	const struct npf_insn *insn = &t->program->insns[i];

	switch (NPF_CLASS(insn->code)) {
	case NPF_LD:
	case NPF_LDX:
		translate_load(t, insn);
		break;
	case NPF_ST:
		write_memory(t->code, R_STACK, MEM_AT(insn->k), R_A);
		break;
	case NPF_STX:
		write_memory(t->code, R_STACK, MEM_AT(insn->k), R_X);
		break;
	case NPF_ALU:
		translate_alu(t, i, insn);
		break;
	case NPF_JMP:
		translate_jmp(t, i, insn);
		break;
	case NPF_RET:
		translate_ret(t, insn);
		break;
	default:
		if (insn->code == (NPF_MISC | NPF_TAX))
			move_x(t->code, R_X, R_A);
		else
			move_x(t->code, R_A, R_X);
		break;
	}
}

/* ---- a function ---------------------------------------------------------------------------- */

/* Which instructions run for some packet, and which scratch words they read. Jumps lead forward,
 * so one pass sees every instruction after all that lead to it. */
static void survey(struct translation *t)
{
	t->reached[0] = true;
	for (uint32_t i = 0; i < t->program->length; i++) {
		const struct npf_insn *insn = &t->program->insns[i];
		uint8_t class = NPF_CLASS(insn->code);

		if (!t->reached[i] || class == NPF_RET)
			continue;
		if (class == NPF_JMP && NPF_OP(insn->code) == NPF_JA) {
			t->reached[i + 1 + insn->k] = true;
		} else if (class == NPF_JMP) {
			t->reached[i + 1 + insn->jt] = true;
			t->reached[i + 1 + insn->jf] = true;
		} else {
			t->reached[i + 1] = true;
		}
		if ((class == NPF_LD || class == NPF_LDX) && NPF_MODE(insn->code) == NPF_MEM)
			t->words_read |= 1u << insn->k;
	}
}

static void emit_prologue(struct translation *t)
{
	move_pointer(t->code, R_CONTEXT, R_ARG1);
	move_pointer(t->code, R_FRAME, R_ARG2);
	if (t->program->dialect == NPF_DIALECT_LINUX) {
		clear_memory(t->code, R_FRAME, FIELD(shift));
	} else {
		/* tagged is 0 or 1 */
		read_memory(t->code, NPF_W, R_A, R_FRAME, FIELD(tagged));
		emit_k(t->code, NPF_ALU | NPF_MUL, R_A, NPF_TAG_SIZE);
		write_memory(t->code, R_FRAME, FIELD(shift), R_A);
	}
	move_k(t->code, R_A, 0);
	move_k(t->code, R_X, 0);
	for (uint32_t word = 0; word < NPF_MEM_WORDS; word++) {
		if (t->words_read >> word & 1)
			clear_memory(t->code, R_STACK, MEM_AT(word));
	}
}

/* Every path of the program ends in a return, and so does what is emitted for it. */
static void emit_body(struct translation *t)
{
	for (uint32_t i = 0; i < t->program->length; i++) {
		t->start[i] = (uint16_t)(t->code->length - t->begin);
		if (t->reached[i])
			translate_insn(t, i);
	}
	t->start[t->program->length] = (uint16_t)(t->code->length - t->begin);
	if (t->rejects) {
		move_k(t->code, R_RESULT, 0);
		emit_exit(t->code);
	}
}

static bool accepts_all(const struct npf_program *program)
{
	return !program || !program->length;
}

/* What a program answers that looks at nothing. */
static uint32_t program_constant(const struct npf_program *program)
{
	return accepts_all(program) ? NPF_ACCEPT_ALL : program->insns[0].k;
}

static void emit_function(const struct npf_program *program, struct npf_ebpf_code *code)
{
	struct translation t;

	/* Everything, or up to a snap length: what is installed most. */
	if (accepts_all(program) || program->insns[0].code == (NPF_RET | NPF_K)) {
		move_k(code, R_RESULT, program_constant(program));
		emit_exit(code);
		return;
	}
	memset(&t, 0, sizeof(t));
	t.program = program;
	t.code = code;
	t.begin = code->length;

	survey(&t);
	emit_prologue(&t);
	emit_body(&t);
	if (code->length <= code->capacity)
		resolve(&t);
}

int npf_filter_to_ebpf(const struct npf_program *program, struct npf_ebpf_code *code)
{
	uint32_t begin = code->length;

	emit_function(program, code);
	if (code->length <= code->capacity)
		return 0;
	code->length = begin;
	return -ENOSPC;
}

/* ---- classes ------------------------------------------------------------------------------- */

/*
 * r7 |= (result != 0) << bit; the result is an unsigned 32-bit number. No branch, and on the way
 * the bit is covered and uncovered with a byte of the frame: the verifier, which knows a constant
 * that a class returns, would otherwise check what follows for every combination of bits.
 */
static void add_bit(struct npf_ebpf_code *code, uint32_t bit)
{
	emit_k(code, E_ALU64 | NPF_NEG, R_RESULT, 0);
	emit_k(code, E_ALU64 | NPF_RSH, R_RESULT, 63);
	read_memory(code, NPF_B, R_ARG1, R_FRAME, FIELD(wire_length) + 1);
	emit_x(code, E_ALU64 | NPF_XOR, R_RESULT, R_ARG1);
	emit_x(code, E_ALU64 | NPF_XOR, R_RESULT, R_ARG1);
	emit_k(code, E_ALU64 | NPF_AND, R_RESULT, 1);
	emit_k(code, E_ALU64 | NPF_LSH, R_RESULT, bit);
	emit_x(code, E_ALU64 | NPF_OR, R_A, R_RESULT);
}

/* The function of the mask. call_at: where the calls are whose distances are not known yet; a class
 * that counts everything has no function to call. */
static void emit_mask(const struct npf_program *const *programs, uint32_t n,
		      struct npf_ebpf_code *code, uint32_t *call_at)
{
	move_pointer(code, R_CONTEXT, R_ARG1);
	move_pointer(code, R_FRAME, R_ARG2);
	move_k(code, R_A, 0);
	for (uint32_t i = 0; i < n; i++) {
		if (accepts_all(programs[i])) {
			move_k(code, R_RESULT, 1);
			emit_k(code, E_ALU64 | NPF_LSH, R_RESULT, i);
			emit_x(code, E_ALU64 | NPF_OR, R_A, R_RESULT);
			continue;
		}
		move_pointer(code, R_ARG1, R_CONTEXT);
		move_pointer(code, R_ARG2, R_FRAME);
		call_at[i] = code->length;
		emit_call(code, 0, 0);
		add_bit(code, i);
	}
	emit_x(code, E_ALU64 | E_MOV, R_RESULT, R_A);
	emit_exit(code);
}

int npf_classes_to_ebpf(const struct npf_program *const *programs, uint32_t n,
			struct npf_ebpf_code *code)
{
	uint32_t call_at[NPF_EBPF_MAX_CLASSES];
	uint32_t begin = code->length;

	if (!n || n > NPF_EBPF_MAX_CLASSES)
		return -EINVAL;

	emit_mask(programs, n, code, call_at);
	for (uint32_t i = 0; i < n; i++) {
		if (accepts_all(programs[i]))
			continue;
		if (call_at[i] < code->capacity)
			code->insns[call_at[i]].imm = (int32_t)(code->length - call_at[i] - 1);
		emit_function(programs[i], code);
	}
	if (code->length <= code->capacity)
		return 0;
	code->length = begin;
	return -ENOSPC;
}
