/* SPDX-License-Identifier: BSD-3-Clause */
#include "bpf_code.h"

#include <capstone/capstone.h>

#include "bpf_parts.h"

/* ---- what libcapstone 4 does not know -------------------------------------------------------- */

#define VEX  0xC4
#define EVEX 0x62

/* How VEX and EVEX tell an instruction from others. */
struct unknown {
	uint8_t escape, map, prefix, opcode;
	const char *name;
};

static const struct unknown unknowns[] = {
	{ EVEX, 2, 1, 0x00, "vpshufb" },      { EVEX, 2, 1, 0x27, "vptestmd" },
	{ EVEX, 2, 1, 0x58, "vpbroadcastd" }, { EVEX, 2, 1, 0x7C, "vpbroadcastq" },
	{ EVEX, 1, 3, 0x6F, "vmovdqu8" },     { VEX, 1, 3, 0x92, "kmovq" },
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

static void list_one(FILE *out, const cs_insn *insn)
{
	size_t length;
	const char *name = insn->id ? NULL : npf_x86_name(insn->bytes, insn->size, &length);

	fprintf(out, "%5zx  %s %s\n", (size_t)insn->address, name ? name : insn->mnemonic,
		name ? "..." : insn->op_str);
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
