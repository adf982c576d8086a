/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The head of a chain: a program before the first member, which asks the filters of all in one form, as
 * the classes of statistics mode are. A packet that none of them takes is counted for each instance as
 * its own tap would have (tap.h: npf_tap, in the same memory and with the same marks), and none of these
 * is called. Any other, and whatever the form cannot judge, goes on to the first member as if there
 * were no head, with nothing counted.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if_arp.h>
#include <unistd.h>

#include "driver/tap_layout.h"
#include "filter/ebpf_emit.h"
#include "filter/filter.h"
#include "filter/frame.h"
#include "host/linux/bpf/geometry.h"
#include "host/linux/chain.h"
#include "host/linux/ebpf.h"

/* The verifier looks at the form anew with each change of a filter: what is long does without. */
#define MOST_INSNS 512u /* classic, of all filters */

#define TAIL_CALL   12 /* helpers of the kernel's */
#define GET_CPU     8
#define LOOK_UP     1
#define PASS_ON     0xFFFFFFFFu /* TC_ACT_UNSPEC */
#define TCX_INGRESS 46
#define LENGTH      (96 + 32 * NPF_CHAIN_HEAD_MOST) /* instructions, at most */
#define TO_CHAIN    3                               /* jumps to the members */

/* The stack, from r10. */
#define AT_CONTEXT (-8)
#define AT_CPU     (-12)
#define AT_FRAME   (-56)

#define SKB(field)     ((uint32_t)offsetof(struct __sk_buff, field))
#define ON_FRAME(name) ((uint32_t)(AT_FRAME + (int32_t)offsetof(struct npf_frame, name)))
#define CONFIG(name)                                                                               \
	((uint32_t)(offsetof(struct npf_control, config) + offsetof(struct npf_config, name)))
#define CPU(name) ((uint32_t)offsetof(struct npf_cpu, name))

_Static_assert(AT_FRAME + (int)sizeof(struct npf_frame) <= AT_CPU, "the frame fits");

struct writer {
	struct npf_ebpf_code code;
	const struct npf_chain_head *head;
	uint32_t to_chain[TO_CHAIN];
	uint32_t n_to_chain;
};

static uint32_t jump(struct npf_ebpf_code *code, uint8_t op, uint8_t dst, uint32_t k)
{
	npf_ebpf_emit(code, (struct npf_ebpf_insn){
				    .code = NPF_JMP | op | NPF_K, .dst = dst, .imm = (int32_t)k });
	return code->length - 1;
}

/* A jump leads to what comes next. */
static void land(struct npf_ebpf_code *code, uint32_t at)
{
	code->insns[at].off = (int16_t)(code->length - at - 1);
}

static void jump_to_chain(struct writer *w, uint8_t op, uint8_t dst, uint32_t k)
{
	w->to_chain[w->n_to_chain++] = jump(&w->code, op, dst, k);
}

static void call(struct npf_ebpf_code *code, int32_t helper)
{
	npf_ebpf_emit(code, (struct npf_ebpf_insn){ .code = NPF_JMP | E_CALL, .imm = helper });
}

/* A map, or the address in its one value. */
static void load_map(struct npf_ebpf_code *code, uint8_t dst, uint8_t kind, int map)
{
	npf_ebpf_emit(code, (struct npf_ebpf_insn){
				    .code = E_LDDW, .dst = dst, .src = kind, .imm = map });
	npf_ebpf_emit(code, (struct npf_ebpf_insn){ 0 });
}

static void copy_field(struct npf_ebpf_code *code, uint32_t from, uint32_t to)
{
	npf_ebpf_read(code, NPF_W, R2, R1, from);
	npf_ebpf_write(code, NPF_W, R10, to, R2);
}

static void put_constant(struct npf_ebpf_code *code, uint32_t to, uint32_t value)
{
	npf_ebpf_move_k(code, R2, value);
	npf_ebpf_write(code, NPF_W, R10, to, R2);
}

static bool on_ingress(const struct npf_chain_head *head)
{
	return head->attach_type == TCX_INGRESS;
}

/* Does a filter ask for more than the packet's bytes and length? */
static bool asks_beside(const struct npf_program *program)
{
	for (uint32_t i = 0; i < program->length; i++) {
		const struct npf_insn *insn = &program->insns[i];

		if (NPF_CLASS(insn->code) == NPF_LD && NPF_MODE(insn->code) == NPF_ABS &&
		    insn->k >= NPF_AD_OFFSET)
			return true;
	}
	return false;
}

static bool any_asks_beside(const struct npf_chain_head *head)
{
	for (uint32_t i = 0; i < head->n; i++) {
		if (asks_beside(head->filters[i].program))
			return true;
	}
	return false;
}

/* To r2. */
static void load_packet_type(struct writer *w)
{
	if (on_ingress(w->head))
		npf_ebpf_read(&w->code, NPF_W, R2, R1, SKB(pkt_type));
	else
		npf_ebpf_move_k(&w->code, R2,
				w->head->filters[0].hatype == ARPHRD_LOOPBACK ? NPF_TO_HOST
									      : NPF_FROM_HOST);
}

static void fill_beside(struct writer *w)
{
	struct npf_ebpf_code *code = &w->code;

	copy_field(code, SKB(ifindex), ON_FRAME(ifindex));
	npf_ebpf_read(code, NPF_W, R2, R1, SKB(protocol));
	npf_ebpf_emit(code, (struct npf_ebpf_insn){ .code = E_TO_BE, .dst = R2, .imm = 16 });
	npf_ebpf_write(code, NPF_W, R10, ON_FRAME(protocol), R2);
	load_packet_type(w);
	npf_ebpf_write(code, NPF_W, R10, ON_FRAME(packet_type), R2);
	put_constant(code, ON_FRAME(hatype), w->head->filters[0].hatype);
	put_constant(code, ON_FRAME(tag_tpid), 0);
}

/* r1: the context. As npf.bpf.c fills it, of a packet without a tag beside it; no more than is asked for. */
static void fill_frame(struct writer *w)
{
	struct npf_ebpf_code *code = &w->code;

	copy_field(code, SKB(len), ON_FRAME(length));
	npf_ebpf_write(code, NPF_W, R10, ON_FRAME(wire_length), R2);
	put_constant(code, ON_FRAME(tagged), 0);
	if (any_asks_beside(w->head))
		fill_beside(w);
}

/* The place of the form. */
static void ask_filters(struct writer *w)
{
	struct npf_ebpf_code *code = &w->code;

	npf_ebpf_move_pointer(code, R2, R10);
	npf_ebpf_k(code, E_ALU64 | NPF_ADD, R2, (uint32_t)AT_FRAME);
	npf_ebpf_move_k(code, R3, 0); /* no window */
	npf_ebpf_k(code, E_ALU64 | E_MOV, R0, NPF_CLASSIFY_MARK);
	npf_ebpf_k(code, E_ALU64 | E_MOV, R0, PASS_ON);
	jump_to_chain(w, E_JNE, R0, 0);
}

/* Does one of them not go by its filter, or hide frames by who sent them? (Not on ingress: there
 * nobody knows.) */
static void ask_configs(struct writer *w)
{
	struct npf_ebpf_code *code = &w->code;

	npf_ebpf_move_k(code, R7, 0);
	for (uint32_t i = 0; i < w->head->n; i++) {
		load_map(code, R1, BPF_PSEUDO_MAP_VALUE, w->head->filters[i].control);
		npf_ebpf_read(code, NPF_W, R2, R1, CONFIG(unfiltered));
		npf_ebpf_x(code, E_ALU64 | NPF_OR, R7, R2);
		if (on_ingress(w->head))
			continue;
		npf_ebpf_read(code, E_DW, R2, R1, CONFIG(hidden));
		npf_ebpf_x(code, E_ALU64 | NPF_OR, R7, R2);
	}
	jump_to_chain(w, E_JNE, R7, 0);
}

/* r8: the bit of the packet's type; on the stack: the CPU. */
static void begin_counting(struct writer *w)
{
	struct npf_ebpf_code *code = &w->code;

	npf_ebpf_read(code, E_DW, R1, R10, (uint32_t)AT_CONTEXT);
	load_packet_type(w);
	npf_ebpf_k(code, NPF_ALU | NPF_AND, R2, 31);
	npf_ebpf_move_k(code, R8, 1);
	npf_ebpf_x(code, NPF_ALU | NPF_LSH, R8, R2);
	call(code, GET_CPU);
	npf_ebpf_write(code, NPF_W, R10, (uint32_t)AT_CPU, R0);
}

static void add_one(struct npf_ebpf_code *code, uint32_t at)
{
	npf_ebpf_read(code, E_DW, R3, R0, at);
	npf_ebpf_k(code, E_ALU64 | NPF_ADD, R3, 1);
	npf_ebpf_write(code, E_DW, R0, at, R3);
}

/* A store that is seen before those that follow; stores are in order on x86. */
static void store_first(struct npf_ebpf_code *code, uint32_t to, uint8_t value)
{
#ifdef __x86_64__
	npf_ebpf_write(code, E_DW, R0, to, value);
#else
	npf_ebpf_move_pointer(code, R4, value);
	npf_ebpf_emit(code, (struct npf_ebpf_insn){ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
						    .dst = R0,
						    .src = R4,
						    .off = (int16_t)to,
						    .imm = BPF_XCHG });
#endif
}

/* What npf_tap() does with a packet that the filter rejects. */
static void count(struct npf_ebpf_code *code, const struct npf_chain_filter *filter)
{
	uint32_t unwanted, elsewhere, inside;

	load_map(code, R1, BPF_PSEUDO_MAP_VALUE, filter->control);
	npf_ebpf_read(code, NPF_W, R2, R1, CONFIG(accept_types));
	npf_ebpf_x(code, E_ALU64 | NPF_AND, R2, R8);
	unwanted = jump(code, NPF_JEQ, R2, 0);
	load_map(code, R1, BPF_PSEUDO_MAP_FD, filter->cpus);
	npf_ebpf_move_pointer(code, R2, R10);
	npf_ebpf_k(code, E_ALU64 | NPF_ADD, R2, (uint32_t)AT_CPU);
	call(code, LOOK_UP);
	elsewhere = jump(code, NPF_JEQ, R0, 0);
	npf_ebpf_read(code, E_DW, R1, R0, CPU(begun));
	npf_ebpf_read(code, E_DW, R2, R0, CPU(done));
	npf_ebpf_emit(code,
		      (struct npf_ebpf_insn){
			      .code = NPF_JMP | NPF_JEQ | NPF_X, .dst = R1, .src = R2, .off = 3 });
	npf_ebpf_k(code, E_ALU64 | E_MOV, R1, 1);
	npf_ebpf_emit(code, (struct npf_ebpf_insn){ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
						    .dst = R0,
						    .src = R1,
						    .off = (int16_t)CPU(reentered),
						    .imm = BPF_ADD });
	inside = jump(code, BPF_JA, R0, 0);
	npf_ebpf_k(code, E_ALU64 | NPF_ADD, R1, 1);
	store_first(code, CPU(begun), R1);
	add_one(code, CPU(received));
	store_first(code, CPU(done), R1);
	land(code, unwanted);
	land(code, elsewhere);
	land(code, inside);
}

static void end(struct npf_ebpf_code *code)
{
	npf_ebpf_move_k(code, R0, PASS_ON);
	npf_ebpf_exit(code);
}

static void go_on_to_members(struct writer *w)
{
	struct npf_ebpf_code *code = &w->code;

	for (uint32_t i = 0; i < w->n_to_chain; i++)
		land(code, w->to_chain[i]);
	npf_ebpf_read(code, E_DW, R1, R10, (uint32_t)AT_CONTEXT);
	load_map(code, R2, BPF_PSEUDO_MAP_FD, w->head->next);
	npf_ebpf_move_k(code, R3, 0);
	call(code, TAIL_CALL);
	end(code);
}

static void write_head(struct writer *w)
{
	npf_ebpf_write(&w->code, E_DW, R10, (uint32_t)AT_CONTEXT, R1);
	npf_ebpf_read(&w->code, NPF_W, R2, R1, SKB(vlan_present));
	jump_to_chain(w, E_JNE, R2, 0);
	fill_frame(w);
	ask_filters(w);
	ask_configs(w);
	begin_counting(w);
	for (uint32_t i = 0; i < w->head->n; i++)
		count(&w->code, &w->head->filters[i]);
	end(&w->code);
	go_on_to_members(w);
}

/* Their programs as classes; false: too long. */
static bool gather(const struct npf_chain_head *head, struct npf_filter_set *set)
{
	uint32_t length = 0;

	set->n_classes = head->n;
	for (uint32_t i = 0; i < head->n; i++) {
		set->classes[i] = head->filters[i].program;
		length += set->classes[i]->length;
	}
	return length <= MOST_INSNS;
}

/* The filters' loads at offsets that vary, and what they ask of one byte one after the other, can make
 * the verifier's ways many, and more with each filter. */
static bool is_dear(int program)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(program, &info, &size) ||
	       info.verified_insns > NPF_CHAIN_HEAD_VERIFIED;
}

static int load(const struct npf_spliced *spliced)
{
	int program = npf_linux_load(BPF_PROG_TYPE_SCHED_CLS, "npf_head", spliced->insns,
				     spliced->n);

	if (program == -E2BIG)
		return -EFBIG;
	if (program < 0 || !is_dear(program))
		return program;
	close(program);
	return -EFBIG;
}

int npf_chain_head_load(const struct npf_chain_head *head)
{
	const struct npf_translation way = { .access = NPF_EBPF_GLANCE, .join = true };
	struct npf_ebpf_insn insns[LENGTH];
	struct writer w = { .code = { .insns = insns, .capacity = LENGTH }, .head = head };
	struct npf_filter_set set = { 0 };
	struct npf_spliced spliced;
	int err;

	if (!gather(head, &set))
		return -E2BIG;
	write_head(&w);
	err = npf_splice((const struct bpf_insn *)insns, w.code.length, &set, &way, &spliced);
	if (err)
		return err;
	err = load(&spliced);
	npf_spliced_free(&spliced);
	return err;
}
