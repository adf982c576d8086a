/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instructions in a form that people read: classic BPF as tcpdump shows it, eBPF in the manner of
 * the kernel's own listings. bpf_code.c has x86-64.
 */
#include <pcap/pcap.h>

#include "bpf_parts.h"
#include "filter/ebpf.h"

/* What eBPF has instead of, or beside, classic BPF's encodings. */
#define BPF_JMP32      0x06
#define BPF_ALU64      0x07
#define BPF_CALL       0x80
#define BPF_EXIT       0x90
#define BPF_END        0xd0
#define SKB_LOAD_BYTES 26
#define MAP_VALUE      2 /* src of a number of 64 bits: where in a map's value */
#define KERNEL_CALL    2 /* src of a call: of a function by its number in the type information */

void npf_list_cbpf(FILE *out, const struct npf_insn *insns, uint32_t n)
{
	const struct bpf_insn *list = (const struct bpf_insn *)(const void *)insns;

	for (uint32_t i = 0; i < n; i++)
		fprintf(out, "%s\n", bpf_image(&list[i], (int)i));
}

/* ---- eBPF ----------------------------------------------------------------------------------- */

static const char *size_name(uint8_t code)
{
	static const char *const names[] = { "u32", "u16", "u8", "u64" };

	return names[BPF_SIZE(code) >> 3];
}

static const char *operator(uint8_t code)
{
	static const char *const names[] = {
		"+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=",
	};

	return BPF_OP(code) >> 4 < 13 ? names[BPF_OP(code) >> 4] : "?";
}

static const char *comparison(uint8_t code)
{
	static const char *const names[] = {
		"", "==", ">", ">=", "&", "!=", "s>", "s>=", "", "", "<", "<=", "s<", "s<=",
	};

	return BPF_OP(code) >> 4 < 14 ? names[BPF_OP(code) >> 4] : "?";
}

static void list_alu(FILE *out, const struct npf_ebpf_insn *insn, char r)
{
	if (BPF_OP(insn->code) == BPF_END)
		fprintf(out, "r%u = be%d r%u", insn->dst, insn->imm, insn->dst);
	else if (BPF_OP(insn->code) == BPF_NEG)
		fprintf(out, "%c%u = -%c%u", r, insn->dst, r, insn->dst);
	else if (BPF_SRC(insn->code) == BPF_X)
		fprintf(out, "%c%u %s %c%u", r, insn->dst, operator(insn->code), r, insn->src);
	else
		fprintf(out, "%c%u %s 0x%x", r, insn->dst, operator(insn->code),
			(uint32_t)insn->imm);
}

static void list_jump(FILE *out, const struct npf_ebpf_insn *insn, uint32_t at, char r)
{
	uint32_t to = at + 1 + (uint32_t)insn->off;

	if (BPF_OP(insn->code) == BPF_EXIT)
		fputs("exit", out);
	else if (BPF_OP(insn->code) == BPF_CALL && insn->src == KERNEL_CALL)
		fprintf(out, "call kfunc %d", insn->imm);
	else if (BPF_OP(insn->code) == BPF_CALL)
		fprintf(out, "call %s", insn->imm == SKB_LOAD_BYTES ? "skb_load_bytes" : "?");
	else if (BPF_OP(insn->code) == BPF_JA)
		fprintf(out, "goto %u", to);
	else if (BPF_SRC(insn->code) == BPF_X)
		fprintf(out, "if %c%u %s %c%u goto %u", r, insn->dst, comparison(insn->code), r,
			insn->src, to);
	else
		fprintf(out, "if %c%u %s 0x%x goto %u", r, insn->dst, comparison(insn->code),
			(uint32_t)insn->imm, to);
}

static void list_one(FILE *out, const struct npf_ebpf_insn *insn, uint32_t at)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
		list_alu(out, insn, 'w');
		break;
	case BPF_ALU64:
		list_alu(out, insn, 'r');
		break;
	case BPF_JMP:
		list_jump(out, insn, at, 'r');
		break;
	case BPF_JMP32:
		list_jump(out, insn, at, 'w');
		break;
	case BPF_LDX:
		fprintf(out, "r%u = *(%s *)(r%u %+d)", insn->dst, size_name(insn->code), insn->src,
			insn->off);
		break;
	case BPF_STX:
		fprintf(out, "*(%s *)(r%u %+d) = r%u", size_name(insn->code), insn->dst, insn->off,
			insn->src);
		break;
	case BPF_LD:
		if (insn->src == MAP_VALUE) {
			fprintf(out, "r%u = tables + %u", insn->dst, (uint32_t)insn[1].imm);
			break;
		}
		/* fallthrough */
	default:
		fprintf(out, "r%u = 0x%08x%08x", insn->dst, (uint32_t)insn[1].imm,
			(uint32_t)insn->imm);
		break;
	}
}

void npf_list_ebpf(FILE *out, const struct npf_ebpf_insn *insns, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		fprintf(out, "(%03u) ", i);
		list_one(out, &insns[i], i);
		fputc('\n', out);
		i += BPF_CLASS(insns[i].code) == BPF_LD; /* takes two */
	}
}
