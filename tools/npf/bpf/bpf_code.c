/* SPDX-License-Identifier: BSD-3-Clause */
#include "bpf_code.h"

#include <capstone/capstone.h>
#include <string.h>

#include "bpf_parts.h"

/* ---- what libcapstone 4 does not know -------------------------------------------------------- */

#define VEX  0xC4
#define EVEX 0x62

/* How VEX and EVEX tell an instruction from others. */
struct unknown {
	uint8_t escape, map, prefix, opcode;
	const char *name;
	/* v, k, r: a vector, a mask, a general register, 0: none; from ModRM's reg, from vvvv, and from
	 * ModRM's rm, which may be memory. */
	char operands[3];
};

static const struct unknown unknowns[] = {
	{ EVEX, 2, 1, 0x00, "vpshufb", { 'v', 'v', 'v' } },
	{ EVEX, 2, 1, 0x27, "vptestmd", { 'k', 'v', 'v' } },
	{ EVEX, 2, 1, 0x58, "vpbroadcastd", { 'v', 0, 'v' } },
	{ EVEX, 2, 1, 0x7C, "vpbroadcastq", { 'v', 0, 'r' } },
	{ EVEX, 1, 3, 0x6F, "vmovdqu8", { 'v', 0, 'v' } },
	{ VEX, 1, 3, 0x92, "kmovq", { 'k', 0, 'r' } },
};

static const struct unknown *find_unknown(const uint8_t *code)
{
	uint8_t map = code[1] & (code[0] == EVEX ? 3 : 31);
	uint8_t opcode = code[code[0] == EVEX ? 4 : 3];

	for (size_t i = 0; i < sizeof(unknowns) / sizeof(unknowns[0]); i++) {
		const struct unknown *unknown = &unknowns[i];

		if (unknown->escape == code[0] && unknown->map == map &&
		    unknown->prefix == (code[2] & 3) && unknown->opcode == opcode)
			return unknown;
	}
	return NULL;
}

/* Of the ModRM byte and what it says that follows. None of these has an immediate. */
static size_t operand_length(const uint8_t *modrm)
{
	uint8_t mod = *modrm >> 6, low = *modrm & 7;

	if (mod == 3)
		return 1;
	return 1 + (low == 4) + (mod == 2 || (!mod && low == 5) ? 4 : mod == 1);
}

const char *npf_x86_name(const uint8_t *code, size_t size, size_t *length)
{
	const struct unknown *unknown;
	size_t head;

	if (size < 5 || (code[0] != VEX && code[0] != EVEX))
		return NULL;
	unknown = find_unknown(code);
	if (!unknown)
		return NULL;
	head = code[0] == EVEX ? 5 : 4;
	*length = head + operand_length(code + head);
	return *length <= size ? unknown->name : NULL;
}

static size_t skip(const uint8_t *code, size_t size, size_t at, void *user)
{
	size_t length;

	(void)user;
	return npf_x86_name(code + at, size - at, &length) ? length : 0;
}

/* ---- a listing ------------------------------------------------------------------------------- */

/* Bits of a register's number that the prefix has, turned over. */
static uint32_t bit_of(uint8_t byte, int bit, uint32_t value)
{
	return byte >> bit & 1 ? 0 : value;
}

static uint32_t number_of(const uint8_t *code, int operand, bool is_vector)
{
	bool is_evex = code[0] == EVEX;
	uint8_t modrm = code[is_evex ? 5 : 4];

	switch (operand) {
	case 0:
		return (modrm >> 3 & 7) | bit_of(code[1], 7, 8) |
		       (is_evex && is_vector ? bit_of(code[1], 4, 16) : 0);
	case 1:
		return (~code[2] >> 3 & 15) | (is_evex ? bit_of(code[3], 3, 16) : 0);
	default:
		return (modrm & 7) | bit_of(code[1], 5, 8) |
		       (is_evex && is_vector ? bit_of(code[1], 6, 16) : 0);
	}
}

static void list_operand(FILE *out, const uint8_t *code, int operand, char kind)
{
	static const char *const general[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					       "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					       "r12", "r13", "r14", "r15" };
	uint32_t number = number_of(code, operand, kind == 'v');

	if (kind == 'v')
		fprintf(out, "%cmm%u", "xyz"[code[0] == EVEX ? code[3] >> 5 & 3 : 0], number);
	else if (kind == 'k')
		fprintf(out, "k%u", number & 7);
	else
		fputs(general[number & 15], out);
	if (!operand && code[0] == EVEX && code[3] & 7)
		fprintf(out, " {k%d}%s", code[3] & 7, code[3] & 0x80 ? " {z}" : "");
}

/* Tables behind the code; whatever else is memory is shown by its bytes. */
static void list_memory(FILE *out, const cs_insn *insn, const uint8_t *modrm)
{
	uint32_t distance;

	if ((*modrm & 0xC7) == 5) {
		memcpy(&distance, modrm + 1, sizeof(distance));
		fprintf(out, "[rip + 0x%x]", distance);
		return;
	}
	fputs("[", out);
	for (int i = 0; i < insn->size; i++)
		fprintf(out, i ? " %02x" : "%02x", insn->bytes[i]);
	fputs("]", out);
}

static void list_unknown(FILE *out, const cs_insn *insn)
{
	const struct unknown *unknown = find_unknown(insn->bytes);
	const uint8_t *modrm = insn->bytes + (insn->bytes[0] == EVEX ? 5 : 4);

	fprintf(out, "%5zx  %s ", (size_t)insn->address, unknown->name);
	for (int i = 0; i < 3; i++) {
		if (!unknown->operands[i])
			continue;
		fputs(i ? ", " : "", out);
		if (i == 2 && *modrm >> 6 != 3)
			list_memory(out, insn, modrm);
		else
			list_operand(out, insn->bytes, i, unknown->operands[i]);
	}
	fputc('\n', out);
}

static void list_one(FILE *out, const cs_insn *insn)
{
	size_t length;

	if (!insn->id && npf_x86_name(insn->bytes, insn->size, &length))
		list_unknown(out, insn);
	else
		fprintf(out, "%5zx  %s %s\n", (size_t)insn->address, insn->mnemonic, insn->op_str);
}

uint32_t npf_list_x86(FILE *out, const uint8_t *code, size_t size)
{
	cs_opt_skipdata unknown = { .mnemonic = "?", .callback = skip };
	cs_insn *insns = NULL;
	size_t n;
	csh handle;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
		return 0;
	cs_option(handle, CS_OPT_SKIPDATA_SETUP, (size_t)&unknown);
	cs_option(handle, CS_OPT_SKIPDATA, CS_OPT_ON);
	n = cs_disasm(handle, code, size, 0, 0, &insns);
	for (size_t i = 0; out && i < n; i++)
		list_one(out, &insns[i]);
	if (n)
		cs_free(insns, n);
	cs_close(&handle);
	return (uint32_t)n;
}
