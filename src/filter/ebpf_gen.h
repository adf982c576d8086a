/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The eBPF generator, private. Who owns what:
 *
 *	to_ebpf.c      the function: its parts, the programs in them, the blocks of a program, memory
 *	ebpf_loads.c   the packet: bounds checks and loads, by pointers, window, peeking and calls
 *	ebpf_values.c  values in registers and slots, arithmetic
 *	ebpf_flow.c    conditions, the ends of blocks, verdicts
 *	ebpf_mask.c    the mask of several programs
 *	ebpf_labels.c  jumps and where they go
 *	ebpf_widen.c   loads that come together
 *	ebpf_tables.c  large sets
 */
#ifndef NPF_EBPF_GEN_H
#define NPF_EBPF_GEN_H

#include "filter/ebpf_emit.h"
#include "filter/x86_set.h"

/* The stack, from r10. */
#define AT_CONTEXT (-8)
#define AT_FRAME   (-16)
#define AT_WINDOW  (-24)
#define AT_LENGTH                                                                                  \
	(-28) /* bytes that loads can reach: COPY the tag included, PEEK the linear part */
#define AT_SHIFT   (-32) /* NPF_TAG_SIZE while the tag stands in the window but not in the packet */
#define AT_DATA    (-40) /* PEEK: address of the packet */
#define AT_LOOKUP  (-44) /* what is looked up in a set */
#define AT_SLOT(n) (-56 - 8 * (int32_t)(n))

/* A helper of the kernel's. */
#define SKB_LOAD_BYTES 26
#define FIELD(name)    (offsetof(struct npf_frame, name))
#define LEAST_WINDOW   32u

enum { LABEL_COPY, LABEL_MAIN, LABEL_FAIL, LABEL_NEXT, LABEL_UNJUDGED, LABEL_BLOCKS };

struct npf_ebpf_fixup {
	uint32_t at, label;
};

struct npf_ebpf_transfer {
	uint8_t to, from; /* places; from NPF_PLACE_NONE: value */
	bool done, saved; /* saved: what was at from is in r0 now */
	uint16_t value;
};

/* A form whose loads are fewer and wider, and what it takes to make it. Of blocks: above; of values:
 * the rest. */
struct npf_ebpf_wide {
	const struct npf_ir *from;
	struct npf_ir to;
	uint16_t *above; /* the next block that every way to this one passes */
	uint16_t *ways;  /* edges that lead to the block, of the copy */
	uint16_t *home;  /* block */
	uint16_t *group; /* the first load of those that come together, NPF_IR_NONE: comes alone */
	uint16_t *wide;  /* of the first: the load in their place */
	uint16_t *map;   /* new name */
	uint8_t *start;  /* of the first: where the load in their place begins */
	bool *stays;     /* is left where it is in the wide load, and compared there */
};
#define NPF_EBPF_WIDENED 3u /* instructions of the copy for each of the original, at most */

/* Of a set: its table, when it has one. */
struct npf_ebpf_table {
	bool tried, usable;
	uint32_t at;    /* in the tables */
	uint32_t bound; /* the largest value that it answers for */
	struct npf_x86_set set;
};

struct npf_ebpf_gen {
	const struct npf_ir *const *programs;
	uint32_t n;       /* of the mask */
	uint32_t n_forms; /* one more: the last is the first of the others, joined */
	bool is_mask;
	struct npf_ebpf_code *code;
	uint32_t begin;
	int err;

	/* Of the program and the part at hand. */
	const struct npf_ir *ir;
	bool direct, peek;
	bool joined;
	bool ended;     /* of a mask: nothing leads behind the program */
	uint32_t index; /* of the program */
	uint32_t block;
	uint32_t window; /* bytes of the packet in it */
	uint32_t proven; /* DIRECT, PEEK: bytes that the first comparison has shown */
	uint32_t n_local;
	struct npf_ebpf_places places;
	bool *raw; /* values kept in the order of the packet's bytes */

	/* Labels: LABEL_BLOCKS fixed ones, then the blocks, then some for use within a block. */
	uint32_t *label_at; /* from begin, + 1; 0 not known */
	bool *label_used;
	uint32_t n_labels;
	struct npf_ebpf_fixup *fixups;
	uint32_t n_fixups, max_fixups;
	struct npf_ebpf_transfer *moves;
	/* Of a joined form: values that are masks, bits they can have, and what r9 holds where a
	 * block begins: a value, NPF_IR_NONE for none. */
	bool *masks;
	uint32_t *mask_bits;
	uint16_t *mask_held;
	struct npf_ebpf_wide wide;
	struct npf_ebpf_table *tables; /* of all programs' sets */
	uint32_t n_tables;
	void *table_work;
};

#define CODE (g->code)

/* ---- ebpf_labels.c -------------------------------------------------------------------------- */

static inline uint32_t npf_ebpf_block_label(uint32_t block)
{
	return LABEL_BLOCKS + block;
}

uint32_t npf_ebpf_local_label(struct npf_ebpf_gen *g);
void npf_ebpf_put_label(struct npf_ebpf_gen *g, uint32_t label);

void npf_ebpf_jump(struct npf_ebpf_gen *g, uint8_t op, uint8_t dst, uint8_t src, uint32_t k,
		   uint32_t label);
void npf_ebpf_go_to(struct npf_ebpf_gen *g, uint32_t label);
/* Of the lower halves. */
void npf_ebpf_jump_k(struct npf_ebpf_gen *g, uint8_t op, uint8_t dst, uint32_t k, uint32_t label);
void npf_ebpf_jump_x(struct npf_ebpf_gen *g, uint8_t class_op, uint8_t dst, uint8_t src,
		     uint32_t label);

/* Put distances behind the jumps of this program; labels that stay keep theirs for later. */
void npf_ebpf_resolve(struct npf_ebpf_gen *g, bool all);
/* The next program: what was about blocks is forgotten. */
void npf_ebpf_forget_labels(struct npf_ebpf_gen *g);

/* ---- ebpf_values.c -------------------------------------------------------------------------- */

static inline uint8_t npf_ebpf_size_code(uint8_t size)
{
	return size == 1 ? NPF_B : size == 2 ? NPF_H : NPF_W;
}

/* Into the processor's order, when the value is not kept in the packet's. */
void npf_ebpf_to_host(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value);
/* k as a value that is kept in the packet's order has it. */
uint32_t npf_ebpf_raw_constant(const struct npf_ebpf_gen *g, uint16_t value, uint32_t k);
/* The bits that can be set in a value: what the kernel's verifier may have lost track of. */
uint32_t npf_ebpf_possible_bits(const struct npf_ir *ir, uint16_t value);
/* Does this load stay in the window? */
bool npf_ebpf_in_window(const struct npf_ebpf_gen *g, const struct npf_ir *ir,
			const struct npf_ir_insn *insn);

void npf_ebpf_read_slot(struct npf_ebpf_gen *g, uint8_t reg, uint8_t place, bool pointer);
void npf_ebpf_write_slot(struct npf_ebpf_gen *g, uint8_t place, uint8_t reg, bool pointer);
void npf_ebpf_read_frame(struct npf_ebpf_gen *g, uint8_t size, uint8_t reg, uint32_t at);
/* A load at a fixed offset that lies in the window, or in what comparisons have shown. */
void npf_ebpf_read_fixed(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value);

/* Compute a cheap value, which has no place. */
void npf_ebpf_compute_cheap(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value);
/* Any that is neither a load nor a condition, to its place. */
void npf_ebpf_compute(struct npf_ebpf_gen *g, uint16_t i);
/* The register that holds a value, scratch when it has none of its own. */
uint8_t npf_ebpf_use(struct npf_ebpf_gen *g, uint16_t value, uint8_t scratch);
/* Into exactly this register. */
void npf_ebpf_fetch(struct npf_ebpf_gen *g, uint8_t reg, uint16_t value);
/* Where to compute a value, and afterwards bring it to its place. */
uint8_t npf_ebpf_target(const struct npf_ebpf_gen *g, uint32_t name);
void npf_ebpf_keep(struct npf_ebpf_gen *g, uint32_t name, uint8_t reg);

/* ---- ebpf_loads.c --------------------------------------------------------------------------- */

void npf_ebpf_load(struct npf_ebpf_gen *g, uint16_t value);
/* r1: an address. r0: what can be read as the array of bytes_at. Ends r1 to r5. */
void npf_ebpf_make_readable(struct npf_ebpf_gen *g);
/* A pointer to what loads of this base are relative to. The kernel follows it while it is near. */
void npf_ebpf_make_pointer(struct npf_ebpf_gen *g, uint16_t base);
/* Bounds checks. False: no packet passes here, nothing may follow. */
bool npf_ebpf_need_direct(struct npf_ebpf_gen *g, const struct npf_ir_insn *insn);
bool npf_ebpf_need_length(struct npf_ebpf_gen *g, const struct npf_ir_insn *insn);

/* ---- ebpf_widen.c --------------------------------------------------------------------------- */

/* For PEEK: the same program with fewer loads; valid until the next call. */
const struct npf_ir *npf_ebpf_widen(struct npf_ebpf_gen *g, const struct npf_ir *ir);

/* ---- ebpf_tables.c -------------------------------------------------------------------------- */

/* Bytes of memory that building a table takes at most. */
size_t npf_ebpf_table_work(const struct npf_ir *const *programs, uint32_t n);
/* Go to yes or no by the table of a set; false: it has none. */
bool npf_ebpf_look_up(struct npf_ebpf_gen *g, uint16_t value, uint32_t set, uint32_t yes,
		      uint32_t no);

/* ---- ebpf_mask.c ---------------------------------------------------------------------------- */

/* These do nothing where there is no mask. */
void npf_ebpf_begin_mask(struct npf_ebpf_gen *g);
void npf_ebpf_end_mask(struct npf_ebpf_gen *g);
/* Bits that are not set, so that to the verifier the mask is any number before and after. Destroys
 * r0. */
void npf_ebpf_flip(struct npf_ebpf_gen *g, uint64_t bits);

/* Of the joined form at hand. False: its masks are not used as one in r9 can be. */
bool npf_ebpf_find_masks(struct npf_ebpf_gen *g);
bool npf_ebpf_edge_changes_mask(const struct npf_ebpf_gen *g, const struct npf_ir_edge *edge);
/* Make r9 what the edge brings. Destroys r0. */
void npf_ebpf_take_mask(struct npf_ebpf_gen *g, const struct npf_ir_edge *edge);
void npf_ebpf_return_mask(struct npf_ebpf_gen *g, const struct npf_ir_block *block);

/* ---- ebpf_flow.c ---------------------------------------------------------------------------- */

/* A condition as a value, 1 or 0. */
void npf_ebpf_compute_condition(struct npf_ebpf_gen *g, uint16_t value);
/* Where the block at hand goes, or what it returns. */
void npf_ebpf_emit_end(struct npf_ebpf_gen *g, const struct npf_ir_block *block);

#endif
