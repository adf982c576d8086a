/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_image.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <capstone/capstone.h>

#include "../../tools/npf/bpf/bpf_code.h"

#define ROOM (1u << 20)

struct x86_image {
	uint8_t bytes[ROOM];
	bool starts[ROOM]; /* an instruction begins here */
	uint32_t size, code_size;
	csh capstone;
};

/* What capstone 4 does not know. */
static size_t skip_known(const uint8_t *code, size_t size, size_t at, void *user)
{
	size_t length;

	(void)user;
	return npf_x86_name(code + at, size - at, &length) ? length : 0;
}

struct x86_image *x86_image_new(void)
{
	cs_opt_skipdata skipdata = { .mnemonic = "known", .callback = skip_known };
	struct x86_image *image = malloc(sizeof(*image));

	if (!image || cs_open(CS_ARCH_X86, CS_MODE_64, &image->capstone) != CS_ERR_OK) {
		free(image);
		return NULL;
	}
	cs_option(image->capstone, CS_OPT_DETAIL, CS_OPT_ON);
	cs_option(image->capstone, CS_OPT_SKIPDATA_SETUP, (size_t)&skipdata);
	cs_option(image->capstone, CS_OPT_SKIPDATA, CS_OPT_ON);
	return image;
}

void x86_image_free(struct x86_image *image)
{
	cs_close(&image->capstone);
	free(image);
}

int x86_image_make(struct x86_image *image, struct npf_host *host,
		   const struct npf_program *program, uint32_t flags)
{
	int64_t size = bpf_to_x86(host, program, flags, image->bytes, ROOM, &image->code_size, NULL);

	if (size < 0)
		return (int)size;
	image->size = (uint32_t)size;
	return size <= ROOM ? 0 : -E2BIG;
}

static void print_unknown(const struct x86_image *image, size_t at)
{
	fprintf(stderr, "unknown instruction:");
	for (size_t i = at; i < at + 12; i++)
		fprintf(stderr, " %02x", image->bytes[i]);
	fputc('\n', stderr);
}

/* Memory that is addressed relative to the instruction is a table of this image. */
static bool is_inside(const struct x86_image *image, const cs_insn *insn, const cs_x86_op *op)
{
	int64_t at = (int64_t)insn->address + insn->size + op->mem.disp;

	if (op->type != X86_OP_MEM || op->mem.base != X86_REG_RIP)
		return true;
	return at >= image->code_size && at + op->size <= image->size;
}

static bool leads_inside(const struct x86_image *image, const cs_x86_op *to)
{
	return to->type == X86_OP_IMM && (uint64_t)to->imm < image->code_size &&
	       image->starts[to->imm];
}

static bool is_in(const struct x86_image *image, const cs_insn *insn, unsigned int group)
{
	return cs_insn_group(image->capstone, insn, group);
}

static const char *insn_fault(const struct x86_image *image, const cs_insn *insn)
{
	const cs_x86 *x86;

	if (!insn->id)
		return NULL; /* skip_known() */
	x86 = &insn->detail->x86;
	if (is_in(image, insn, X86_GRP_CALL))
		return "it calls";
	if (is_in(image, insn, X86_GRP_INT) || is_in(image, insn, X86_GRP_PRIVILEGE))
		return "it goes to the system";
	if (is_in(image, insn, X86_GRP_JUMP) && !leads_inside(image, &x86->operands[0]))
		return "a jump does not lead to an instruction inside";
	for (uint8_t i = 0; i < x86->op_count; i++) {
		if (!is_inside(image, insn, &x86->operands[i]))
			return "a table is outside";
	}
	return NULL;
}

static const char *insns_fault(const struct x86_image *image, const cs_insn *insns, size_t n)
{
	const cs_insn *last = &insns[n - 1];
	const char *fault = NULL;

	for (size_t i = 0; !fault && i < n; i++)
		fault = insn_fault(image, &insns[i]);
	if (!fault && !is_in(image, last, X86_GRP_RET) && !is_in(image, last, X86_GRP_JUMP))
		fault = "the last instruction runs into the tables";
	return fault;
}

const char *x86_image_fault(struct x86_image *image)
{
	const char *fault = "there is an unknown instruction";
	cs_insn *insns;
	size_t n = cs_disasm(image->capstone, image->bytes, image->code_size, 0, 0, &insns), end;

	if (!n)
		return "there is no instruction";
	memset(image->starts, 0, image->code_size);
	for (size_t i = 0; i < n; i++)
		image->starts[insns[i].address] = true;
	end = insns[n - 1].address + insns[n - 1].size;
	if (end == image->code_size)
		fault = insns_fault(image, insns, n);
	else
		print_unknown(image, end);
	cs_free(insns, n);
	return fault;
}
