/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the intermediate form to functions that the kernel verifies and compiles.
 *
 *	r0, r1   scratch
 *	r2, r3   DIRECT: the packet, and its end
 *	r6       COPY, PEEK: the window
 *	r9       of several programs: the mask
 *	others   values
 *	stack    arguments, what the packet holds, values for which no register is left
 *
 * The function begins with the DIRECT or the PEEK part, if any; a packet that it cannot judge starts
 * anew in the COPY part. To PEEK the packet's bytes are an array in some structure of the kernel's;
 * the functions that say so are moves to the processor, but end the life of r1 to r5 for the verifier. The kernel refuses code that nothing reaches, so blocks are emitted only when
 * something before them led there. It also walks through every way that states do not join: so a
 * comparison of a key with many others works on a copy, and the mask looks like any number.
 */
#include <errno.h>
#include <string.h>

#include "filter/ebpf_emit.h"
#include "filter/optimise.h"

/* The stack, from r10. */
#define AT_CONTEXT (-8)
#define AT_FRAME   (-16)
#define AT_WINDOW  (-24)
#define AT_LENGTH  (-28) /* bytes that loads can reach, the tag included */
#define AT_SHIFT   (-32) /* NPF_TAG_SIZE while the tag stands in the window but not in the packet */
#define AT_DATA    (-40) /* PEEK: address of the packet */
#define AT_SLOT(n) (-48 - 8 * (int32_t)(n))

/* struct __sk_buff, and a helper of the kernel's. */
#define SKB_DATA        76
#define SKB_DATA_END    80
#define SKB_LOAD_BYTES  26
#define FIELD(name)     (offsetof(struct npf_frame, name))
#define SINGLE_AT       NPF_EBPF_WINDOW /* where in the window's memory single loads go */
#define LEAST_WINDOW    32u
#define FAR_ENOUGH      0x7000u /* what pointers and their offsets reach */
#define SHORT_FRAME     42u     /* ARP on Ethernet: all frames are at least as long */
#define SMALL_SET       4u      /* keys that are compared one after the other */
#define INSNS_PER_VALUE 20u
#define INSNS_PER_BLOCK 12u
#define INSNS_BESIDE    96u

enum { LABEL_COPY, LABEL_FAIL, LABEL_NEXT, LABEL_UNJUDGED, LABEL_BLOCKS };

struct fixup {
	uint32_t at, label;
};

struct move {
	uint8_t to, from; /* places; from NPF_PLACE_NONE: value */
	bool done, saved; /* saved: what was at from is in r0 now */
	uint16_t value;
};

struct generator {
	const struct npf_ir *const *programs;
	uint32_t n;
	bool is_mask;
	struct npf_ebpf_code *code;
	uint32_t begin;
	int err;

	/* Of the program and the part at hand. */
	const struct npf_ir *ir;
	bool direct, peek;
	uint32_t index; /* of the program */
	uint32_t block;
	uint32_t window; /* bytes of the packet in it */
	uint32_t proven; /* DIRECT: bytes that the first comparison has shown */
	uint32_t n_local;
	struct npf_ebpf_places places;
	bool *raw; /* values kept in the order of the packet's bytes */

	/* Labels: LABEL_BLOCKS fixed ones, then the blocks, then some for use within a block. */
	uint32_t *label_at; /* from begin, + 1; 0 not known */
	bool *label_used;
	uint32_t n_labels;
	struct fixup *fixups;
	uint32_t n_fixups, max_fixups;
	struct move *moves;
};

#define CODE (g->code)

/* ---- labels --------------------------------------------------------------------------------- */

static uint32_t block_label(uint32_t block)
{
	return LABEL_BLOCKS + block;
}

static uint32_t local_label(struct generator *g)
{
	uint32_t label = LABEL_BLOCKS + g->ir->n_blocks + g->n_local++;

	if (label < g->n_labels)
		return label;
	g->err = -ENOSPC;
	return 0;
}

static void put_label(struct generator *g, uint32_t label)
{
	g->label_at[label] = g->code->length - g->begin + 1;
}

static void jump(struct generator *g, uint8_t op, uint8_t dst, uint8_t src, uint32_t k,
		 uint32_t label)
{
	if (g->n_fixups == g->max_fixups) {
		g->err = -ENOSPC;
		return;
	}
	g->label_used[label] = true;
	g->fixups[g->n_fixups++] = (struct fixup){ g->code->length - g->begin, label };
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){
				    .code = op, .dst = dst, .src = src, .imm = (int32_t)k });
}

static void go_to(struct generator *g, uint32_t label)
{
	jump(g, NPF_JMP | NPF_JA, 0, 0, 0, label);
}

static void jump_k(struct generator *g, uint8_t op, uint8_t dst, uint32_t k, uint32_t label)
{
	jump(g, E_JMP32 | op | NPF_K, dst, 0, k, label);
}

static void jump_x(struct generator *g, uint8_t class_op, uint8_t dst, uint8_t src, uint32_t label)
{
	jump(g, class_op | NPF_X, dst, src, 0, label);
}

/* Put distances behind the jumps of this program; labels that stay keep theirs for later. */
static void resolve(struct generator *g, bool all)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < g->n_fixups; i++) {
		const struct fixup fixup = g->fixups[i];
		int64_t distance = (int64_t)g->label_at[fixup.label] - 1 - fixup.at - 1;

		if (!all && fixup.label == LABEL_COPY) {
			g->fixups[kept++] = fixup;
			continue;
		}
		if (!g->label_at[fixup.label])
			g->err = -EINVAL;
		else if (distance > INT16_MAX)
			g->err = -E2BIG;
		else if (g->code->length <= g->code->capacity)
			g->code->insns[g->begin + fixup.at].off = (int16_t)distance;
	}
	g->n_fixups = kept;
}

/* The next program: what was about blocks is forgotten. */
static void forget_labels(struct generator *g)
{
	uint32_t n = LABEL_BLOCKS + g->ir->n_blocks + g->n_local;

	for (uint32_t label = LABEL_FAIL; label < n && label < g->n_labels; label++) {
		g->label_at[label] = 0;
		g->label_used[label] = false;
	}
	g->n_local = 0;
}

/* ---- values --------------------------------------------------------------------------------- */

static uint8_t size_code(uint8_t size)
{
	return size == 1 ? NPF_B : size == 2 ? NPF_H : NPF_W;
}

static void to_host(struct generator *g, uint8_t reg, uint16_t value)
{
	uint8_t size = g->ir->insns[value].size;

	if (size > 1 && !g->raw[value])
		npf_ebpf_emit(CODE, (struct npf_ebpf_insn){
					    .code = E_TO_BE, .dst = reg, .imm = size * 8 });
}

/* k as a value that is kept in the packet's order has it. */
static uint32_t raw_constant(const struct generator *g, uint16_t value, uint32_t k)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	if (!g->raw[value])
		return k;
	while (insn->op != NPF_IR_LOAD)
		insn = &g->ir->insns[insn->a];
	return insn->size == 2 ? __builtin_bswap16((uint16_t)k) : __builtin_bswap32(k);
}

static void read_slot(struct generator *g, uint8_t reg, uint8_t place, bool pointer)
{
	npf_ebpf_read(CODE, pointer ? E_DW : NPF_W, reg, R10,
		      (uint32_t)AT_SLOT(place - NPF_PLACE_SLOT));
}

static void write_slot(struct generator *g, uint8_t place, uint8_t reg, bool pointer)
{
	npf_ebpf_write(CODE, pointer ? E_DW : NPF_W, R10, (uint32_t)AT_SLOT(place - NPF_PLACE_SLOT),
		       reg);
}

static void read_frame(struct generator *g, uint8_t size, uint8_t reg, uint32_t at)
{
	npf_ebpf_read(CODE, E_DW, reg, R10, (uint32_t)AT_FRAME);
	npf_ebpf_read(CODE, size, reg, reg, at);
}

/* A load at a fixed offset that lies in the window, or in what comparisons have shown. */
static void read_fixed(struct generator *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	npf_ebpf_read(CODE, size_code(insn->size), reg, g->direct ? R2 : R6,
		      g->peek ? insn->imm + CODE->peek->bytes_at : insn->imm);
	to_host(g, reg, value);
}

/* The bits that can be set in a value: what the kernel's verifier may have lost track of. */
static uint32_t possible_bits(const struct generator *g, uint16_t value)
{
	uint32_t bound = npf_ir_bound(g->ir, value);

	return bound ? 0xFFFFFFFFu >> __builtin_clz(bound) : 0;
}

static bool in_window(const struct generator *g, const struct npf_ir_insn *insn)
{
	uint64_t end = (uint64_t)insn->imm + insn->size;

	if (insn->a == NPF_IR_NONE)
		return end <= g->window;
	return end + npf_ir_bound(g->ir, insn->a) <= g->window &&
	       end + possible_bits(g, insn->a) <= NPF_EBPF_WINDOW_SIZE;
}

/* Compute a cheap value, which has no place. */
static void compute_cheap(struct generator *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	switch (insn->op) {
	case NPF_IR_CONST:
		npf_ebpf_move_k(CODE, reg, insn->imm);
		break;
	case NPF_IR_CAPLEN:
		if (g->direct)
			read_frame(g, NPF_W, reg, FIELD(length));
		else
			npf_ebpf_read(CODE, NPF_W, reg, R10, (uint32_t)AT_LENGTH);
		break;
	case NPF_IR_WIRELEN:
		read_frame(g, NPF_W, reg, FIELD(wire_length));
		break;
	case NPF_IR_FIELD:
		read_frame(g, size_code(insn->size), reg, insn->imm);
		break;
	default:
		read_fixed(g, reg, value);
		break;
	}
}

/* The register that holds a value, scratch when it has none of its own. */
static uint8_t use(struct generator *g, uint16_t value, uint8_t scratch)
{
	uint8_t place = g->places.place[value];

	if (place == NPF_PLACE_NONE) {
		compute_cheap(g, scratch, value);
		return scratch;
	}
	if (place >= NPF_PLACE_SLOT) {
		read_slot(g, scratch, place, false);
		return scratch;
	}
	return place;
}

/* Into exactly this register. */
static void fetch(struct generator *g, uint8_t reg, uint16_t value)
{
	npf_ebpf_move(CODE, reg, use(g, value, reg));
}

/* Where to compute a value, and afterwards bring it to its place. */
static uint8_t target(const struct generator *g, uint32_t name)
{
	uint8_t place = g->places.place[name];

	return place >= NPF_PLACE_SLOT ? R0 : place;
}

static void keep(struct generator *g, uint32_t name, uint8_t reg)
{
	uint8_t place = g->places.place[name];
	bool pointer = name >= g->ir->n_insns;

	if (place >= NPF_PLACE_SLOT)
		write_slot(g, place, reg, pointer);
	else if (pointer)
		npf_ebpf_move_pointer(CODE, place, reg);
	else
		npf_ebpf_move(CODE, place, reg);
}

/* ---- the packet ----------------------------------------------------------------------------- */

/* r2: offset, 64 bits. The value of single loads, from the kernel. Destroys r0 to r5. */
static void call_load(struct generator *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint8_t window = R6;

	npf_ebpf_read(CODE, E_DW, R1, R10, (uint32_t)AT_CONTEXT);
	if (g->peek)
		npf_ebpf_read(CODE, E_DW, R3, R10, (uint32_t)AT_WINDOW);
	else
		npf_ebpf_move_pointer(CODE, R3, R6);
	npf_ebpf_k(CODE, E_ALU64 | NPF_ADD, R3, SINGLE_AT);
	npf_ebpf_move_k(CODE, R4, insn->size);
	npf_ebpf_emit(CODE,
		      (struct npf_ebpf_insn){ .code = NPF_JMP | E_CALL, .imm = SKB_LOAD_BYTES });
	if (g->peek) {
		window = R1;
		npf_ebpf_read(CODE, E_DW, window, R10, (uint32_t)AT_WINDOW);
	}
	npf_ebpf_read(CODE, size_code(insn->size), reg, window, SINGLE_AT);
	to_host(g, reg, value);
}

static bool may_shift(const struct generator *g)
{
	return g->ir->dialect == NPF_DIALECT_WIRE;
}

/* A load that may lie behind the window. It was shown to lie in the packet, so that the call cannot
 * fail. What is not behind the tag is in the window. (To PEEK there is no tag.) */
static void load_single(struct generator *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint32_t near = 0, done = 0;

	npf_ebpf_move_k(CODE, R2, insn->imm);
	if (insn->a != NPF_IR_NONE) {
		npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R2, use(g, insn->a, R1));
	}
	if (insn->a != NPF_IR_NONE && !g->peek) {
		near = local_label(g);
		done = local_label(g);
		jump(g, NPF_JMP | E_JLT | NPF_K, R2, 0, LEAST_WINDOW - 4, near);
	}
	if (may_shift(g) && !g->peek) {
		npf_ebpf_read(CODE, NPF_W, R1, R10, (uint32_t)AT_SHIFT);
		npf_ebpf_x(CODE, E_ALU64 | NPF_SUB, R2, R1);
	}
	call_load(g, reg, value);
	if (insn->a == NPF_IR_NONE || g->peek)
		return;
	go_to(g, done);
	put_label(g, near);
	npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R2, R6);
	npf_ebpf_read(CODE, size_code(insn->size), reg, R2, 0);
	to_host(g, reg, value);
	put_label(g, done);
}

/* r1: an address. r0: what can be read as the array of bytes_at. Ends r1 to r5. */
static void make_readable(struct generator *g)
{
	npf_ebpf_k(CODE, E_ALU64 | NPF_SUB, R1, CODE->peek->bytes_at);
	npf_ebpf_move_k(CODE, R2, CODE->peek->bytes);
	npf_ebpf_call_kernel(CODE, CODE->peek->cast_memory);
}

/* A structure is read at places that the verifier knows: the sum is an address of its own. */
static void peek_by_value(struct generator *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	fetch(g, R1, insn->a);
	npf_ebpf_read(CODE, E_DW, R2, R10, (uint32_t)AT_DATA);
	npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R1, R2);
	make_readable(g);
	npf_ebpf_read(CODE, size_code(insn->size), reg, R0, insn->imm + CODE->peek->bytes_at);
	to_host(g, reg, value);
}

static void load_in_window(struct generator *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];

	npf_ebpf_move(CODE, R0, use(g, insn->a, R0));
	npf_ebpf_k(CODE, NPF_ALU | NPF_AND, R0, possible_bits(g, insn->a));
	npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R0, R6);
	npf_ebpf_read(CODE, size_code(insn->size), reg, R0, insn->imm);
	to_host(g, reg, value);
}

static void load_by_pointer(struct generator *g, uint8_t reg, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint8_t place = g->places.place[g->ir->n_insns + insn->a];

	if (place >= NPF_PLACE_SLOT) {
		read_slot(g, R0, place, true);
		place = R0;
	}
	npf_ebpf_read(CODE, size_code(insn->size), reg, place, insn->imm);
	to_host(g, reg, value);
}

static void load(struct generator *g, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint8_t reg = target(g, value);

	if (g->direct && insn->a != NPF_IR_NONE)
		load_by_pointer(g, reg, value);
	else if (!g->direct && !in_window(g, insn))
		load_single(g, reg, value);
	else if (insn->a != NPF_IR_NONE && g->peek)
		peek_by_value(g, reg, value);
	else if (insn->a != NPF_IR_NONE)
		load_in_window(g, reg, value);
	else
		read_fixed(g, reg, value);
	keep(g, value, reg);
}

/* A pointer to what loads of this base are relative to. The kernel follows it while it is near. */
static void make_pointer(struct generator *g, uint16_t base)
{
	uint32_t bits = possible_bits(g, base);

	fetch(g, R1, base);
	if (bits < FAR_ENOUGH)
		npf_ebpf_k(CODE, NPF_ALU | NPF_AND, R1, bits);
	else
		jump_k(g, NPF_JGT, R1, FAR_ENOUGH, LABEL_COPY);
	npf_ebpf_move_pointer(CODE, R0, R2);
	npf_ebpf_x(CODE, E_ALU64 | NPF_ADD, R0, R1);
	if (g->places.place[g->ir->n_insns + base] != NPF_PLACE_NONE)
		keep(g, g->ir->n_insns + base, R0);
}

/* False: no packet passes here, nothing may follow. */
static bool need_direct(struct generator *g, const struct npf_ir_insn *insn)
{
	if (insn->imm > FAR_ENOUGH) {
		go_to(g, LABEL_COPY);
		return false;
	}
	if (insn->a == NPF_IR_NONE) {
		if (insn->imm <= g->proven)
			return true;
		npf_ebpf_move_pointer(CODE, R0, R2);
	} else if (g->places.needs[insn->a] == 1) {
		make_pointer(g, insn->a);
	} else {
		uint8_t place = g->places.place[g->ir->n_insns + insn->a];

		if (place >= NPF_PLACE_SLOT)
			read_slot(g, R0, place, true);
		else
			npf_ebpf_move_pointer(CODE, R0, place);
	}
	npf_ebpf_k(CODE, E_ALU64 | NPF_ADD, R0, insn->imm);
	jump_x(g, NPF_JMP | NPF_JGT, R0, R3, LABEL_UNJUDGED);
	return true;
}

static bool need_copy(struct generator *g, const struct npf_ir_insn *insn)
{
	if (insn->imm > INT32_MAX) {
		go_to(g, LABEL_FAIL);
		return false;
	}
	npf_ebpf_read(CODE, NPF_W, R0, R10, (uint32_t)AT_LENGTH);
	if (insn->a == NPF_IR_NONE) {
		jump_k(g, E_JLT, R0, insn->imm, LABEL_FAIL);
		return true;
	}
	npf_ebpf_move(CODE, R1, use(g, insn->a, R1));
	npf_ebpf_k(CODE, E_ALU64 | NPF_ADD, R1, insn->imm);
	jump_x(g, NPF_JMP | NPF_JGT, R1, R0, LABEL_FAIL);
	return true;
}

/* ---- arithmetic ----------------------------------------------------------------------------- */

static uint8_t alu_code(uint8_t op)
{
	static const uint8_t codes[] = {
		[NPF_IR_ADD] = NPF_ADD, [NPF_IR_SUB] = NPF_SUB, [NPF_IR_MUL] = NPF_MUL,
		[NPF_IR_DIV] = NPF_DIV, [NPF_IR_MOD] = NPF_MOD, [NPF_IR_AND] = NPF_AND,
		[NPF_IR_OR] = NPF_OR,   [NPF_IR_XOR] = NPF_XOR, [NPF_IR_LSH] = NPF_LSH,
		[NPF_IR_RSH] = NPF_RSH,
	};

	return NPF_ALU | codes[op];
}

static void compute_k(struct generator *g, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint8_t reg = target(g, value);

	fetch(g, reg, insn->a);
	if (insn->op == NPF_IR_NEG)
		npf_ebpf_k(CODE, NPF_ALU | NPF_NEG, reg, 0);
	else
		npf_ebpf_k(CODE, alu_code(insn->op), reg, raw_constant(g, value, insn->imm));
	keep(g, value, reg);
}

/* In r0, for the result's register may be that of the second operand. */
static void compute_x(struct generator *g, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	uint8_t b, reg = target(g, value);

	b = use(g, insn->b, R1);
	if (reg == b || insn->op == NPF_IR_LSH || insn->op == NPF_IR_RSH)
		reg = R0;
	fetch(g, reg, insn->a);
	npf_ebpf_x(CODE, alu_code(insn->op), reg, b);
	if (insn->op == NPF_IR_LSH || insn->op == NPF_IR_RSH) {
		/* The kernel takes a register's distance modulo 32. */
		npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .code = E_JMP32 | E_JLT | NPF_K,
							    .dst = b,
							    .off = 1,
							    .imm = 32 });
		npf_ebpf_move_k(CODE, reg, 0);
	}
	keep(g, value, reg);
}

/* ---- conditions ----------------------------------------------------------------------------- */

static uint32_t key(const struct generator *g, const struct npf_ir_set *set, uint32_t i, bool last)
{
	return set->is_range ? g->ir->keys[set->first + 2 * i + last] : g->ir->keys[set->first + i];
}

/* Is r0 one of the entries from to to - 1? A balanced tree. */
static void search(struct generator *g, const struct npf_ir_set *set, uint32_t from, uint32_t to,
		   uint32_t yes, uint32_t no)
{
	uint32_t middle = (from + to) / 2, right;

	if (to - from > SMALL_SET) {
		right = local_label(g);
		jump_k(g, NPF_JGT, R0, key(g, set, middle - 1, true), right);
		search(g, set, from, middle, yes, no);
		put_label(g, right);
		search(g, set, middle, to, yes, no);
		return;
	}
	for (uint32_t i = from; i < to; i++) {
		uint32_t first = key(g, set, i, false), last = key(g, set, i, true);

		if (first == last) {
			jump_k(g, NPF_JEQ, R0, first, yes);
		} else {
			jump_k(g, E_JLT, R0, first, no);
			jump_k(g, E_JLE, R0, last, yes);
		}
	}
	go_to(g, no);
}

/* What a condition compares: the end of a block, or an instruction that gives 1 or 0. */
struct condition {
	uint8_t op; /* of a jump; 0: in a set */
	uint16_t a, b;
	uint32_t imm;
};

static struct condition condition_of(uint8_t end, uint16_t a, uint16_t b, uint32_t imm)
{
	static const uint8_t ops[] = {
		[NPF_IR_IF_EQ] = NPF_JEQ,   [NPF_IR_IF_GT] = NPF_JGT, [NPF_IR_IF_GE] = NPF_JGE,
		[NPF_IR_IF_SET] = NPF_JSET, [NPF_IR_IF_IN] = 0,
	};

	return (struct condition){ ops[end], a, b, imm };
}

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

static void jump_if(struct generator *g, const struct condition *c, uint8_t op, uint32_t label)
{
	uint8_t b = c->b == NPF_IR_NONE ? R0 : use(g, c->b, R1);
	uint8_t a = use(g, c->a, R0);

	if (c->b == NPF_IR_NONE)
		jump_k(g, op, a, raw_constant(g, c->a, c->imm), label);
	else
		jump_x(g, E_JMP32 | op, a, b, label);
}

/* Go to one of two labels; the one that follows may be told. */
static void branch(struct generator *g, const struct condition *c, uint32_t yes, uint32_t no,
		   uint32_t next)
{
	if (!c->op) {
		fetch(g, R0, c->a);
		/* Not the same number any more, as far as the verifier knows. */
		npf_ebpf_k(CODE, NPF_ALU | NPF_XOR, R0, 0);
		search(g, &g->ir->sets[c->imm], 0, g->ir->sets[c->imm].n, yes, no);
		return;
	}
	if (next == yes && opposite(c->op)) {
		jump_if(g, c, opposite(c->op), no);
		return;
	}
	jump_if(g, c, c->op, yes);
	if (next != no)
		go_to(g, no);
}

static void compute_condition(struct generator *g, uint16_t value)
{
	const struct npf_ir_insn *insn = &g->ir->insns[value];
	const struct condition c = condition_of((uint8_t)(insn->op - NPF_IR_IS_EQ + NPF_IR_IF_EQ),
						insn->a, insn->b, insn->imm);
	uint32_t yes = local_label(g), no = local_label(g), done = local_label(g);

	branch(g, &c, yes, no, no);
	put_label(g, no);
	npf_ebpf_move_k(CODE, R0, 0);
	go_to(g, done);
	put_label(g, yes);
	npf_ebpf_move_k(CODE, R0, 1);
	put_label(g, done);
	keep(g, value, R0);
}

static void compute(struct generator *g, uint16_t i)
{
	uint8_t reg = target(g, i);

	if (npf_ebpf_is_cheap(&g->places, i)) {
		compute_cheap(g, reg, i);
		keep(g, i, reg);
	} else if (g->ir->insns[i].b == NPF_IR_NONE) {
		compute_k(g, i);
	} else {
		compute_x(g, i);
	}
}

/* ---- instructions --------------------------------------------------------------------------- */

/* False: nothing may follow in this block. */
static bool emit_insn(struct generator *g, uint16_t i)
{
	const struct npf_ir_insn *insn = &g->ir->insns[i];
	bool wanted = g->places.place[i] != NPF_PLACE_NONE;

	if (insn->op == NPF_IR_NEED)
		return g->direct ? need_direct(g, insn) : need_copy(g, insn);
	if (insn->op == NPF_IR_NONZERO) {
		jump_k(g, NPF_JEQ, use(g, insn->a, R0), 0, LABEL_FAIL);
		return true;
	}
	if (wanted && insn->op == NPF_IR_LOAD)
		load(g, i);
	else if (wanted && insn->op >= NPF_IR_IS_EQ)
		compute_condition(g, i);
	else if (wanted && insn->op != NPF_IR_PARAM)
		compute(g, i);
	if (g->direct && g->places.needs[i] > 1)
		make_pointer(g, i);
	return true;
}

/* ---- edges ---------------------------------------------------------------------------------- */

/* The arguments of an edge that have to be moved; their number. */
static uint32_t find_moves(struct generator *g, const struct npf_ir_edge *edge)
{
	const struct npf_ir_block *to = &g->ir->blocks[edge->block];
	uint32_t n = 0;

	for (uint32_t i = 0; i < to->params; i++) {
		uint16_t value = g->ir->args[edge->args + i];
		uint8_t place = g->places.place[to->first + i];

		if (place == NPF_PLACE_NONE || place == g->places.place[value])
			continue;
		g->moves[n++] = (struct move){ .to = place,
					       .from = g->places.place[value],
					       .value = value };
	}
	return n;
}

static bool is_read(const struct move *moves, uint32_t n, uint32_t except)
{
	for (uint32_t i = 0; i < n; i++) {
		if (i != except && !moves[i].done && !moves[i].saved &&
		    moves[i].from == moves[except].to)
			return true;
	}
	return false;
}

/* Cheap values read no place, but a load of a packet's bytes may need r0 to r5: last. */
static void make_move(struct generator *g, struct move *move)
{
	uint8_t from = move->saved ? R0 : move->from;

	if (from >= NPF_PLACE_SLOT) {
		read_slot(g, R1, from, false);
		from = R1;
	} else if (from == NPF_PLACE_NONE && !move->saved) {
		compute_cheap(g, R1, move->value);
		from = R1;
	}
	if (move->to >= NPF_PLACE_SLOT)
		write_slot(g, move->to, from, false);
	else
		npf_ebpf_move(CODE, move->to, from);
	move->done = true;
}

/* All moves at once, one after the other. A ring of them is opened by way of r0. */
static void make_moves(struct generator *g, uint32_t n)
{
	for (uint32_t left = n; left;) {
		uint32_t before = left, first = n;

		for (uint32_t i = 0; i < n; i++) {
			if (g->moves[i].done)
				continue;
			if (is_read(g->moves, n, i)) {
				first = first < i ? first : i;
				continue;
			}
			make_move(g, &g->moves[i]);
			left--;
		}
		if (left != before)
			continue;
		/* Whoever reads what `first` is about to overwrite takes it from r0. */
		for (uint32_t i = 0; i < n; i++) {
			struct move *move = &g->moves[i];

			if (move->done || move->from != g->moves[first].to)
				continue;
			if (move->from >= NPF_PLACE_SLOT)
				read_slot(g, R0, move->from, false);
			else
				npf_ebpf_move(CODE, R0, move->from);
			move->saved = true;
		}
	}
}

static void take_edge(struct generator *g, const struct npf_ir_edge *edge, bool falls)
{
	make_moves(g, find_moves(g, edge));
	if (!falls)
		go_to(g, block_label(edge->block));
	else
		g->label_used[block_label(edge->block)] = true;
}

static void emit_branch(struct generator *g, const struct npf_ir_block *block)
{
	const struct condition c = condition_of(block->end, block->a, block->b, block->imm);
	const struct npf_ir_edge *edges = block->edges;
	bool moves[2] = { find_moves(g, &edges[0]) != 0, find_moves(g, &edges[1]) != 0 };
	uint32_t next = block_label(g->block + 1);
	uint32_t yes = moves[0] ? local_label(g) : block_label(edges[0].block);
	uint32_t no = moves[1] ? local_label(g) : block_label(edges[1].block);

	if (moves[1])
		next = no;
	else if (moves[0])
		next = yes;
	branch(g, &c, yes, no, next);
	g->label_used[next] |= next == yes || next == no;
	if (moves[1]) {
		put_label(g, no);
		take_edge(g, &edges[1], !moves[0] && edges[1].block == g->block + 1);
	}
	if (moves[0]) {
		put_label(g, yes);
		take_edge(g, &edges[0], edges[0].block == g->block + 1);
	}
}

/* ---- returns -------------------------------------------------------------------------------- */

/* Flip the program's bit, which is not set yet: to the verifier the mask is any number before and
 * after. */
static void set_bit(struct generator *g)
{
	uint64_t bit = 1ull << g->index;

	if (g->index < 31) {
		npf_ebpf_k(CODE, E_ALU64 | NPF_XOR, R9, (uint32_t)bit);
		return;
	}
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .code = E_LDDW, .imm = (int32_t)bit });
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .imm = (int32_t)(bit >> 32) });
	npf_ebpf_x(CODE, E_ALU64 | NPF_XOR, R9, R0);
}

static void emit_return(struct generator *g, const struct npf_ir_block *block)
{
	bool constant = block->a == NPF_IR_NONE;

	if (!g->is_mask) {
		if (constant)
			npf_ebpf_move_k(CODE, R0, block->imm);
		else
			fetch(g, R0, block->a);
		npf_ebpf_exit(CODE);
		return;
	}
	if (!constant)
		jump_k(g, NPF_JEQ, use(g, block->a, R0), 0, LABEL_NEXT);
	if (!constant || block->imm)
		set_bit(g);
	go_to(g, LABEL_NEXT);
}

/* ---- a program ------------------------------------------------------------------------------ */

static void emit_block(struct generator *g)
{
	const struct npf_ir_block *block = &g->ir->blocks[g->block];

	put_label(g, block_label(g->block));
	for (uint32_t i = block->first; i < block->first + (uint32_t)block->count; i++) {
		if (!emit_insn(g, (uint16_t)i))
			return;
	}
	if (block->end == NPF_IR_RETURN)
		emit_return(g, block);
	else if (block->end == NPF_IR_GOTO)
		take_edge(g, &block->edges[0], block->edges[0].block == g->block + 1);
	else
		emit_branch(g, block);
}

/* Values of which every use compares them with constants stay in the packet's order. */
static void spoil(struct generator *g, uint16_t value)
{
	if (value != NPF_IR_NONE)
		g->raw[value] = false;
}

static bool compares_raw(const struct npf_ir *ir, const struct npf_ir_block *block)
{
	const struct npf_ir_insn *insn = &ir->insns[block->a];

	while (insn->op == NPF_IR_AND)
		insn = &ir->insns[insn->a];
	return (block->end == NPF_IR_IF_SET || block->end == NPF_IR_IF_EQ) &&
	       block->b == NPF_IR_NONE && (insn->size == 4 || block->imm <= 0xFFFF);
}

static void find_raw_ends(struct generator *g)
{
	const struct npf_ir *ir = g->ir;

	for (uint32_t i = 0; i < ir->n_args; i++)
		spoil(g, ir->args[i]);
	for (uint32_t b = 0; b < ir->n_blocks; b++) {
		const struct npf_ir_block *block = &ir->blocks[b];

		if (block->end == NPF_IR_GOTO ||
		    (block->end != NPF_IR_RETURN && compares_raw(ir, block)))
			continue;
		spoil(g, block->a);
		if (block->end != NPF_IR_RETURN)
			spoil(g, block->b);
	}
}

static void find_raw(struct generator *g)
{
	const struct npf_ir *ir = g->ir;

	for (uint32_t i = 0; i < ir->n_insns; i++) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		g->raw[i] = insn->op == NPF_IR_LOAD && insn->size > 1;
		if (insn->op == NPF_IR_AND && insn->b == NPF_IR_NONE)
			g->raw[i] = g->raw[insn->a];
	}
	find_raw_ends(g);
	/* Users come after what they use. */
	for (uint32_t i = ir->n_insns; i-- > 0;) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		if (insn->op == NPF_IR_AND && insn->b == NPF_IR_NONE && g->raw[i])
			continue;
		spoil(g, insn->a);
		spoil(g, insn->b);
	}
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		const struct npf_ir_insn *insn = &ir->insns[i];

		if (insn->op == NPF_IR_AND && insn->b == NPF_IR_NONE)
			g->raw[i] &= g->raw[insn->a];
	}
}

/* The registers that values may have in this part. */
static uint32_t registers(const struct generator *g)
{
	const uint32_t saved = 1u << R7 | 1u << R8 | (g->is_mask ? 0 : 1u << R9);

	if (g->direct)
		return saved | 1u << R4 | 1u << R5 | 1u << R6;
	for (uint32_t i = 0; i < g->ir->n_insns; i++) {
		const struct npf_ir_insn *insn = &g->ir->insns[i];

		if (insn->op == NPF_IR_LOAD &&
		    (!in_window(g, insn) || (g->peek && insn->a != NPF_IR_NONE)))
			return saved;
	}
	return saved | 1u << R2 | 1u << R3 | 1u << R4 | 1u << R5;
}

static void emit_fail(struct generator *g)
{
	if (g->is_mask) {
		go_to(g, LABEL_NEXT);
		return;
	}
	npf_ebpf_move_k(CODE, R0, 0);
	npf_ebpf_exit(CODE);
}

/* DIRECT: the bytes are not there. When the linear part is the whole packet, that is final. */
static void emit_unjudged(struct generator *g)
{
	npf_ebpf_move_pointer(CODE, R0, R3);
	npf_ebpf_x(CODE, E_ALU64 | NPF_SUB, R0, R2);
	read_frame(g, NPF_W, R1, FIELD(length));
	jump_x(g, E_JMP32 | E_JNE, R0, R1, LABEL_COPY);
}

static void emit_program(struct generator *g)
{
	const struct npf_ir *ir = g->ir;

	g->places.ir = ir;
	g->places.registers = registers(g);
	g->places.pointers = g->direct;
	g->places.near = g->direct ? UINT32_MAX : g->window;
	if (!g->err)
		g->err = npf_ebpf_place(&g->places);
	if (g->err)
		return;
	find_raw(g);
	g->label_used[block_label(0)] = true;
	for (g->block = 0; g->block < ir->n_blocks && !g->err; g->block++) {
		if (g->label_used[block_label(g->block)])
			emit_block(g);
	}
	if (g->label_used[LABEL_UNJUDGED]) {
		put_label(g, LABEL_UNJUDGED);
		emit_unjudged(g);
	}
	if (g->label_used[LABEL_FAIL] || g->label_used[LABEL_UNJUDGED]) {
		put_label(g, LABEL_FAIL);
		emit_fail(g);
	}
	put_label(g, LABEL_NEXT);
	resolve(g, false);
	forget_labels(g);
}

/* ---- the parts ------------------------------------------------------------------------------ */

/* CAPLEN counts the tag, which only COPY does. */
static bool looks_at_packet(const struct npf_ir *ir)
{
	for (uint32_t i = 0; i < ir->n_insns; i++) {
		uint8_t op = ir->insns[i].op;

		if (op == NPF_IR_NEED || op == NPF_IR_LOAD || op == NPF_IR_CAPLEN)
			return true;
	}
	return false;
}

static bool any_looks(const struct generator *g)
{
	for (uint32_t i = 0; i < g->n; i++) {
		if (looks_at_packet(g->programs[i]))
			return true;
	}
	return false;
}

/* The most that a first comparison may ask for without turning short frames away. */
static uint32_t first_need(const struct generator *g)
{
	uint32_t most = 0;

	for (uint32_t p = 0; p < g->n; p++) {
		for (uint32_t i = 0; i < g->programs[p]->n_insns; i++) {
			const struct npf_ir_insn *insn = &g->programs[p]->insns[i];

			if (insn->op == NPF_IR_NEED && insn->a == NPF_IR_NONE &&
			    insn->imm <= SHORT_FRAME && insn->imm > most)
				most = insn->imm;
		}
	}
	return most;
}

/* How much of the packet the window should hold. */
static uint32_t window_size(const struct generator *g)
{
	uint64_t most = LEAST_WINDOW;

	for (uint32_t p = 0; p < g->n; p++) {
		const struct npf_ir *ir = g->programs[p];

		for (uint32_t i = 0; i < ir->n_insns; i++) {
			const struct npf_ir_insn *insn = &ir->insns[i];
			uint64_t end = (uint64_t)insn->imm + insn->size;

			if (insn->op != NPF_IR_LOAD)
				continue;
			if (insn->a != NPF_IR_NONE)
				end += npf_ir_bound(ir, insn->a);
			if (end <= NPF_EBPF_WINDOW && end > most)
				most = end;
		}
	}
	return (uint32_t)most;
}

static void keep_arguments(struct generator *g, bool packet)
{
	if (packet) {
		npf_ebpf_write(CODE, E_DW, R10, (uint32_t)AT_CONTEXT, R1);
		npf_ebpf_write(CODE, E_DW, R10, (uint32_t)AT_WINDOW, R3);
	}
	npf_ebpf_write(CODE, E_DW, R10, (uint32_t)AT_FRAME, R2);
}

/* r9 = 0, which the verifier takes for any number. */
static void begin_mask(struct generator *g)
{
	if (!g->is_mask)
		return;
	npf_ebpf_read(CODE, E_DW, R1, R10, (uint32_t)AT_FRAME);
	npf_ebpf_read(CODE, NPF_W, R0, R1, FIELD(length));
	npf_ebpf_read(CODE, NPF_W, R9, R1, FIELD(length));
	npf_ebpf_k(CODE, E_ALU64 | NPF_LSH, R9, 32);
	npf_ebpf_x(CODE, E_ALU64 | NPF_OR, R9, R0);
	npf_ebpf_move_pointer(CODE, R1, R9);
	npf_ebpf_x(CODE, E_ALU64 | NPF_XOR, R9, R1);
}

static void end_mask(struct generator *g)
{
	if (!g->is_mask)
		return;
	npf_ebpf_x(CODE, E_ALU64 | E_MOV, R0, R9);
	npf_ebpf_exit(CODE);
}

static void emit_programs(struct generator *g)
{
	for (g->index = 0; g->index < g->n; g->index++) {
		g->ir = g->programs[g->index];
		emit_program(g);
	}
	end_mask(g);
}

static bool any_wire(const struct generator *g)
{
	for (uint32_t i = 0; i < g->n; i++) {
		if (g->programs[i]->dialect == NPF_DIALECT_WIRE)
			return true;
	}
	return false;
}

/* r2: the frame. */
static void leave_tagged(struct generator *g)
{
	if (!any_wire(g))
		return;
	npf_ebpf_read(CODE, NPF_W, R0, R2, FIELD(tagged));
	jump_k(g, E_JNE, R0, 0, LABEL_COPY);
}

static void emit_direct(struct generator *g)
{
	g->direct = true;
	g->proven = first_need(g);
	leave_tagged(g);
	npf_ebpf_read(CODE, NPF_W, R2, R1, SKB_DATA);
	npf_ebpf_read(CODE, NPF_W, R3, R1, SKB_DATA_END);
	if (g->proven) {
		npf_ebpf_move_pointer(CODE, R0, R2);
		npf_ebpf_k(CODE, E_ALU64 | NPF_ADD, R0, g->proven);
		jump_x(g, NPF_JMP | NPF_JGT, R0, R3, LABEL_COPY);
	}
	begin_mask(g);
	emit_programs(g);
}

/* r1: the context. The window is the packet itself, when all of it or enough is linear. */
static void emit_peek(struct generator *g)
{
	const struct npf_ebpf_peek *peek = CODE->peek;

	g->peek = true;
	g->window = window_size(g);
	leave_tagged(g);
	npf_ebpf_call_kernel(CODE, peek->cast_context);
	npf_ebpf_read(CODE, NPF_W, R4, R0, peek->length_at);
	npf_ebpf_read(CODE, NPF_W, R5, R0, peek->beyond_at);
	npf_ebpf_read(CODE, E_DW, R1, R0, peek->data_at);
	npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_LENGTH, R4);
	npf_ebpf_write(CODE, E_DW, R10, (uint32_t)AT_DATA, R1);
	npf_ebpf_x(CODE, NPF_ALU | NPF_SUB, R4, R5);
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .code = E_JMP32 | NPF_JGE | NPF_K,
						    .dst = R4,
						    .off = 1,
						    .imm = (int32_t)g->window });
	jump_k(g, E_JNE, R5, 0, LABEL_COPY);
	make_readable(g);
	npf_ebpf_move_pointer(CODE, R6, R0);
	begin_mask(g);
	emit_programs(g);
	g->peek = false;
}

/* Copy r4 bytes from offset `from` of the packet to `to` of the window. */
static void call_copy(struct generator *g, uint32_t from, uint32_t to)
{
	npf_ebpf_read(CODE, E_DW, R1, R10, (uint32_t)AT_CONTEXT);
	npf_ebpf_move_k(CODE, R2, from);
	npf_ebpf_move_pointer(CODE, R3, R6);
	if (to)
		npf_ebpf_k(CODE, E_ALU64 | NPF_ADD, R3, to);
	npf_ebpf_emit(CODE,
		      (struct npf_ebpf_insn){ .code = NPF_JMP | E_CALL, .imm = SKB_LOAD_BYTES });
}

/* r4 = min(r4, most), and to the label when that is nothing. */
static void limit(struct generator *g, uint32_t most, uint32_t label)
{
	jump(g, NPF_JMP | E_JLT | NPF_K, R4, 0, 1, label);
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .code = NPF_JMP | E_JLE | NPF_K,
						    .dst = R4,
						    .off = 1,
						    .imm = (int32_t)most });
	npf_ebpf_move_k(CODE, R4, most);
}

/* The tag's half at `field` of the frame (its address in r5) to `to` of the window. */
static void put_half(struct generator *g, uint32_t field, uint32_t to)
{
	npf_ebpf_read(CODE, NPF_H, R0, R5, field);
	npf_ebpf_emit(CODE, (struct npf_ebpf_insn){ .code = E_TO_BE, .dst = R0, .imm = 16 });
	npf_ebpf_write(CODE, NPF_H, R6, to, R0);
}

/* Fill the window as on the wire: the tag in its place. A tagged frame holds at least 12 bytes. */
static void fill_tagged(struct generator *g, uint32_t done)
{
	npf_ebpf_k(CODE, NPF_ALU | NPF_ADD, R4, NPF_TAG_SIZE);
	npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_LENGTH, R4);
	npf_ebpf_move_k(CODE, R0, NPF_TAG_SIZE);
	npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_SHIFT, R0);
	put_half(g, FIELD(tag_tpid), NPF_TAG_OFFSET);
	put_half(g, FIELD(tag_tci), NPF_TAG_OFFSET + 2);
	npf_ebpf_move_k(CODE, R4, NPF_TAG_OFFSET);
	call_copy(g, 0, 0);
	npf_ebpf_read(CODE, NPF_W, R4, R10, (uint32_t)AT_LENGTH);
	jump_k(g, E_JLT, R4, NPF_TAG_OFFSET + NPF_TAG_SIZE + 1, done);
	npf_ebpf_k(CODE, NPF_ALU | NPF_SUB, R4, NPF_TAG_OFFSET + NPF_TAG_SIZE);
	limit(g, g->window - NPF_TAG_OFFSET - NPF_TAG_SIZE, done);
	call_copy(g, NPF_TAG_OFFSET, NPF_TAG_OFFSET + NPF_TAG_SIZE);
	go_to(g, done);
}

static void fill_window(struct generator *g, enum npf_dialect dialect)
{
	uint32_t done = local_label(g), plain = local_label(g);

	npf_ebpf_read(CODE, E_DW, R5, R10, (uint32_t)AT_FRAME);
	npf_ebpf_read(CODE, NPF_W, R4, R5, FIELD(length));
	if (dialect == NPF_DIALECT_WIRE) {
		npf_ebpf_read(CODE, NPF_W, R0, R5, FIELD(tagged));
		jump_k(g, NPF_JEQ, R0, 0, plain);
		fill_tagged(g, done);
		put_label(g, plain);
	}
	npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_LENGTH, R4);
	npf_ebpf_move_k(CODE, R0, 0);
	npf_ebpf_write(CODE, NPF_W, R10, (uint32_t)AT_SHIFT, R0);
	limit(g, g->window, done);
	call_copy(g, 0, 0);
	put_label(g, done);
	resolve(g, false);
	forget_labels(g);
}

static void emit_copy(struct generator *g)
{
	int dialect = -1;

	g->direct = false;
	g->window = window_size(g);
	npf_ebpf_read(CODE, E_DW, R6, R10, (uint32_t)AT_WINDOW);
	begin_mask(g);
	for (g->index = 0; g->index < g->n; g->index++) {
		g->ir = g->programs[g->index];
		if ((int)g->ir->dialect != dialect) {
			dialect = (int)g->ir->dialect;
			fill_window(g, g->ir->dialect);
		}
		emit_program(g);
	}
	end_mask(g);
}

/* Of programs that look at no byte. */
static void emit_blind(struct generator *g)
{
	g->direct = true;
	begin_mask(g);
	emit_programs(g);
}

static void emit_function(struct generator *g, enum npf_ebpf_access access)
{
	bool looks = any_looks(g);

	keep_arguments(g, looks);
	if (!looks) {
		emit_blind(g);
	} else if (access != NPF_EBPF_COPY) {
		if (access == NPF_EBPF_DIRECT)
			emit_direct(g);
		else
			emit_peek(g);
		if (!g->label_used[LABEL_COPY])
			return;
		put_label(g, LABEL_COPY);
		emit_copy(g);
	} else {
		emit_copy(g);
	}
}

/* ---- memory --------------------------------------------------------------------------------- */

struct sizes {
	uint32_t insns, blocks, keys, args; /* of the largest program */
	uint32_t all; /* instructions of the result, of all programs and both parts */
};

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static struct sizes measure(const struct npf_ir *const *programs, uint32_t n)
{
	struct sizes sizes = { .all = INSNS_BESIDE };

	for (uint32_t i = 0; i < n; i++) {
		const struct npf_ir *ir = programs[i];

		sizes.insns = most(sizes.insns, ir->n_insns);
		sizes.blocks = most(sizes.blocks, ir->n_blocks);
		sizes.keys = most(sizes.keys, ir->n_keys);
		sizes.args = most(sizes.args, ir->n_args);
		sizes.all += 2 * (INSNS_BESIDE + ir->n_insns * INSNS_PER_VALUE +
				  ir->n_blocks * INSNS_PER_BLOCK + ir->n_args * 3 + ir->n_keys * 4);
	}
	return sizes;
}

static uint32_t most_labels(const struct sizes *sizes)
{
	return LABEL_BLOCKS + sizes->blocks * 3 + sizes->insns * 3 + sizes->keys + 8;
}

static uint32_t most_fixups(const struct sizes *sizes)
{
	return sizes->blocks * 4 + sizes->insns * 4 + sizes->keys * 4 + INSNS_BESIDE +
	       sizes->all / 8;
}

static size_t aligned(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

size_t npf_ebpf_space(const struct npf_ir *const *programs, uint32_t n)
{
	const struct sizes sizes = measure(programs, n);
	uint32_t labels = most_labels(&sizes);

	return aligned(sizes.insns * 2 * sizeof(uint32_t)) + aligned(sizes.insns * 2u) +
	       aligned(sizes.insns * sizeof(uint16_t)) + aligned(sizes.insns) +
	       aligned(labels * sizeof(uint32_t)) + aligned(labels) +
	       aligned(most_fixups(&sizes) * sizeof(struct fixup)) +
	       aligned((sizes.args + 1) * sizeof(struct move));
}

uint32_t npf_ebpf_capacity(const struct npf_ir *const *programs, uint32_t n)
{
	return measure(programs, n).all;
}

static void *take(uint8_t **at, size_t size)
{
	void *memory = *at;

	*at += aligned(size);
	return memory;
}

static void furnish(struct generator *g, void *space)
{
	const struct sizes sizes = measure(g->programs, g->n);
	uint8_t *at = space;

	g->n_labels = most_labels(&sizes);
	g->max_fixups = most_fixups(&sizes);
	g->places.until = take(&at, sizes.insns * 2 * sizeof(uint32_t));
	g->places.place = take(&at, sizes.insns * 2u);
	g->places.needs = take(&at, sizes.insns * sizeof(uint16_t));
	g->raw = take(&at, sizes.insns);
	g->label_at = take(&at, g->n_labels * sizeof(uint32_t));
	g->label_used = take(&at, g->n_labels);
	g->fixups = take(&at, g->max_fixups * sizeof(struct fixup));
	g->moves = take(&at, (sizes.args + 1) * sizeof(struct move));
	memset(g->label_at, 0, g->n_labels * sizeof(uint32_t));
	memset(g->label_used, 0, g->n_labels);
}

static int generate(struct generator *g, enum npf_ebpf_access access, void *space, size_t size)
{
	if (access == NPF_EBPF_PEEK && !g->code->peek)
		return -EINVAL;
	if (size < npf_ebpf_space(g->programs, g->n))
		return -ENOSPC;
	furnish(g, space);
	g->begin = g->code->length;
	g->ir = g->programs[0];
	emit_function(g, access);
	if (!g->err)
		resolve(g, true);
	if (!g->err && g->code->length > g->code->capacity)
		g->err = -ENOSPC;
	if (g->err)
		g->code->length = g->begin;
	return g->err;
}

int npf_ir_to_ebpf(const struct npf_ir *program, enum npf_ebpf_access access,
		   struct npf_ebpf_code *code, void *space, size_t size)
{
	struct generator g = { .programs = &program, .n = 1, .code = code };

	return generate(&g, access, space, size);
}

int npf_irs_to_ebpf(const struct npf_ir *const *programs, uint32_t n, enum npf_ebpf_access access,
		    struct npf_ebpf_code *code, void *space, size_t size)
{
	struct generator g = { .programs = programs, .n = n, .is_mask = true, .code = code };

	if (!n || n > NPF_EBPF_MAX_CLASSES)
		return -EINVAL;
	return generate(&g, access, space, size);
}
