/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The harness around translated filters:
 *
 *	main        copies the frame from the head of the packet, calls the filter
 *	filter      what is under test, perhaps several functions
 *	byte        one byte of the packet behind the frame, the tag in its place
 *	load b h w  what filters call, made of byte
 *
 * The loads are simple on purpose, and share nothing with the tap's.
 */
#include "filter_kernel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAME_AT (-40) /* struct npf_frame on main's stack */
#define FIELD(f) ((int16_t)offsetof(struct npf_frame, f))
#define HARNESS  320 /* more instructions than the harness has */

_Static_assert(sizeof(struct npf_frame) <= -FRAME_AT, "the frame fits");
_Static_assert(sizeof(struct npf_ebpf_insn) == sizeof(struct bpf_insn), "same layout");

static void add(struct npf_ebpf_code *code, uint8_t op, uint8_t dst, uint8_t src, int16_t off,
		int32_t imm)
{
	code->insns[code->length++] =
		(struct npf_ebpf_insn){ .code = op, .dst = dst, .src = src, .off = off, .imm = imm };
}

static void mov(struct npf_ebpf_code *code, uint8_t dst, uint8_t src)
{
	add(code, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void alu(struct npf_ebpf_code *code, uint8_t op, uint8_t dst, int32_t imm)
{
	add(code, BPF_ALU64 | op | BPF_K, dst, 0, 0, imm);
}

static void jump(struct npf_ebpf_code *code, uint8_t op, uint8_t dst, int32_t imm, int16_t off)
{
	add(code, BPF_JMP | op | BPF_K, dst, 0, off, imm);
}

static void read_field(struct npf_ebpf_code *code, uint8_t size, uint8_t dst, uint8_t base,
		       int16_t off)
{
	add(code, BPF_LDX | BPF_MEM | size, dst, base, off, 0);
}

static void call_function(struct npf_ebpf_code *code, uint32_t at)
{
	add(code, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, (int32_t)(at - code->length - 1));
}

/* r1 holds the packet: size bytes at r2 to the stack. */
static void call_load_bytes(struct npf_ebpf_code *code, int32_t stack, int32_t size)
{
	mov(code, 3, 10);
	alu(code, BPF_ADD, 3, stack);
	alu(code, BPF_MOV, 4, size);
	add(code, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_load_bytes);
}

static void leave(struct npf_ebpf_code *code)
{
	add(code, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Up to the filter's answer in r0. The call's distance is put in later. */
static uint32_t add_call(struct npf_ebpf_code *code)
{
	uint32_t call;

	mov(code, 6, 1);
	alu(code, BPF_MOV, 2, 0);
	call_load_bytes(code, FRAME_AT, sizeof(struct npf_frame));
	jump(code, BPF_JEQ, 0, 0, 1);
	leave(code);
	mov(code, 1, 6);
	mov(code, 2, 10);
	alu(code, BPF_ADD, 2, FRAME_AT);
	call = code->length;
	call_function(code, 0);
	return call;
}

/* Half of a mask, put together with a branch per bit: the tap, too, asks for every bit, and the
 * verifier must not walk through every combination of them. */
static void add_bits(struct npf_ebpf_code *code, int word)
{
	mov(code, 7, 0);
	alu(code, BPF_RSH, 7, 32 * word);
	alu(code, BPF_MOV, 0, 0);
	for (int bit = 0; bit < 32; bit++) {
		mov(code, 1, 7);
		alu(code, BPF_RSH, 1, bit);
		alu(code, BPF_AND, 1, 1);
		jump(code, BPF_JEQ, 1, 0, 1);
		alu(code, BPF_OR, 0, (int32_t)(1u << bit));
	}
}

static void end_main(struct npf_ebpf_code *code, uint32_t call)
{
	leave(code);
	code->insns[call].imm = (int32_t)(code->length - call - 1);
}

/* byte(context, frame, offset). Jumps name the lines they lead to. */
static void add_byte(struct npf_ebpf_code *code)
{
	mov(code, 5, 3);
	read_field(code, BPF_W, 4, 2, FIELD(shift));
	jump(code, BPF_JEQ, 4, 0, 12);                                /* plain */
	jump(code, BPF_JLT, 5, NPF_TAG_OFFSET, 11);                   /* plain */
	jump(code, BPF_JGT, 5, NPF_TAG_OFFSET + NPF_TAG_SIZE - 1, 9); /* behind */
	read_field(code, BPF_H, 0, 2, FIELD(tag_tpid));
	alu(code, BPF_LSH, 0, 16);
	read_field(code, BPF_H, 4, 2, FIELD(tag_tci));
	add(code, BPF_ALU64 | BPF_OR | BPF_X, 0, 4, 0, 0);
	alu(code, BPF_MUL, 5, -8);
	alu(code, BPF_ADD, 5, 8 * (NPF_TAG_OFFSET + NPF_TAG_SIZE - 1));
	add(code, BPF_ALU64 | BPF_RSH | BPF_X, 0, 5, 0, 0);
	alu(code, BPF_AND, 0, 0xFF);
	leave(code);
	alu(code, BPF_SUB, 5, NPF_TAG_SIZE);   /* behind: */
	jump(code, BPF_JGT, 5, 0x7FFF0000, 9); /* plain: fail */
	alu(code, BPF_ADD, 5, sizeof(struct npf_frame));
	mov(code, 2, 5);
	call_load_bytes(code, -8, 1);
	jump(code, BPF_JNE, 0, 0, 2); /* fail */
	read_field(code, BPF_B, 0, 10, -8);
	leave(code);
	alu(code, BPF_MOV, 0, -1); /* fail: */
	leave(code);
}

/* load(context, frame, offset): size bytes, big-endian */
static void add_load(struct npf_ebpf_code *code, uint32_t byte, int size)
{
	mov(code, 6, 1);
	mov(code, 7, 2);
	mov(code, 8, 3);
	alu(code, BPF_MOV, 9, 0);
	for (int i = 0; i < size; i++) {
		mov(code, 1, 6);
		mov(code, 2, 7);
		mov(code, 3, 8);
		alu(code, BPF_ADD, 3, i);
		call_function(code, byte);
		jump(code, BPF_JSGE, 0, 0, 1);
		leave(code);
		alu(code, BPF_LSH, 9, 8);
		add(code, BPF_ALU64 | BPF_OR | BPF_X, 9, 0, 0, 0);
	}
	mov(code, 0, 9);
	leave(code);
}

static bool is_tap_call(const struct npf_ebpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->off == NPF_EBPF_TAP_MARK;
}

/* Append the loads that the filter calls, no others: the kernel refuses code without a caller. */
static void add_loads(struct npf_ebpf_code *code, uint32_t filter)
{
	uint32_t byte = code->length;
	uint32_t at[] = { [NPF_EBPF_LOAD_W] = 0 };

	for (uint32_t i = filter; i < byte; i++) {
		struct npf_ebpf_insn *insn = &code->insns[i];
		int call = insn->imm;

		if (!is_tap_call(insn))
			continue;
		if (code->length == byte)
			add_byte(code);
		if (!at[call]) {
			at[call] = code->length;
			add_load(code, byte, call == NPF_EBPF_LOAD_W ? 4 : call);
		}
		insn->imm = (int32_t)(at[call] - i - 1);
		insn->off = 0;
	}
}

static int load_code(const struct npf_ebpf_code *code)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "npf_test", "Dual BSD/GPL",
			       (const struct bpf_insn *)code->insns, code->length, &opts);

	return fd < 0 ? -errno : fd;
}

int filter_kernel_probe(void)
{
	int fd = filter_kernel_load(NULL);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int filter_kernel_load(const struct npf_program *program)
{
	uint32_t capacity = NPF_EBPF_CAPACITY(program ? program->length : 0) + HARNESS;
	struct npf_ebpf_code code = { .insns = calloc(capacity, sizeof(struct npf_ebpf_insn)),
				      .capacity = capacity };
	uint32_t call, filter;
	int result;

	if (!code.insns)
		return -ENOMEM;
	call = add_call(&code);
	end_main(&code, call);
	filter = code.length;
	result = npf_filter_to_ebpf(program, &code);
	if (!result) {
		add_loads(&code, filter);
		result = load_code(&code);
	}
	free(code.insns);
	return result;
}

int filter_kernel_load_classes(const struct npf_program *const *programs, uint32_t n, int word)
{
	struct npf_ebpf_code code = { .capacity = HARNESS };
	uint32_t call, filter;
	int result;

	for (uint32_t i = 0; i < n; i++)
		code.capacity += NPF_EBPF_CAPACITY(programs[i]->length);
	code.insns = calloc(code.capacity, sizeof(struct npf_ebpf_insn));
	if (!code.insns)
		return -ENOMEM;
	call = add_call(&code);
	add_bits(&code, word);
	end_main(&code, call);
	filter = code.length;
	result = npf_classes_to_ebpf(programs, n, &code);
	if (!result) {
		add_loads(&code, filter);
		result = load_code(&code);
	}
	free(code.insns);
	return result;
}

int filter_kernel_run(int fd, const struct npf_frame *frame, const uint8_t *data, uint32_t *result)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	size_t size = sizeof(*frame) + frame->length;
	uint8_t *packet = malloc(size);
	int err;

	if (!packet)
		return -ENOMEM;
	memcpy(packet, frame, sizeof(*frame));
	memcpy(packet + sizeof(*frame), data, frame->length);
	opts.data_in = packet;
	opts.data_size_in = (uint32_t)size;
	opts.repeat = 1;
	err = bpf_prog_test_run_opts(fd, &opts) ? -errno : 0;
	free(packet);
	*result = opts.retval;
	return err;
}
