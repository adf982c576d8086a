/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libpcap's expression compiler behind one call. libpcap decides by the kind of its handle whether
 * it may use Linux's ancillary loads, so for Ethernet a real capture handle is made, bound to an
 * EtherType nobody sends, and used for nothing but compiling. Where that is not allowed, a dead
 * handle gives a program that looks at the bytes on the wire.
 */
#include "expression/expression.h"

#include <errno.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/filter.h"
#include "filter/frame.h"

#define LINKTYPE_ETHERNET 1u
#define LINKTYPE_RAW      101u

/* IEEE 802 local experimental EtherType 1: no traffic of this kind reaches the handle. */
#define UNUSED_ETHERTYPE 0x88B5
#define TINY_BUFFER      4096

/* Classic opcodes used below. */
#define LDH_ABS 0x28
#define JEQ_K   0x15
#define RET_K   0x06

int npf_expression_dlt(uint32_t link_type)
{
	return link_type == LINKTYPE_RAW ? DLT_RAW : (int)link_type;
}

uint32_t npf_expression_link_type(int dlt)
{
	return dlt == DLT_RAW ? LINKTYPE_RAW : (uint32_t)dlt;
}

static int fail(char *error, int err, const char *text)
{
	snprintf(error, NPF_ERROR_SIZE, "%s", text);
	return err;
}

static pcap_t *activate(const char *adapter, uint32_t snaplen)
{
	char unused[PCAP_ERRBUF_SIZE];
	pcap_t *handle = pcap_create(adapter, unused);

	if (!handle)
		return NULL;
	pcap_set_snaplen(handle, (int)snaplen);
	pcap_set_promisc(handle, 0);
	pcap_set_timeout(handle, 1);
	pcap_set_buffer_size(handle, TINY_BUFFER);
	pcap_set_protocol_linux(handle, UNUSED_ETHERTYPE);
	if (pcap_activate(handle) >= 0 && pcap_datalink(handle) == DLT_EN10MB)
		return handle;
	pcap_close(handle);
	return NULL;
}

/* Any Ethernet-like adapter does: the program depends on the kind of handle only. The loopback
 * adapter is there nearly always, but it is down in a fresh network namespace. */
static pcap_t *open_linux(uint32_t snaplen)
{
	pcap_t *handle = activate("lo", snaplen);
	struct if_nameindex *all;

	if (handle)
		return handle;
	all = if_nameindex();
	if (!all)
		return NULL;
	for (struct if_nameindex *one = all; one->if_index && !handle; one++)
		handle = activate(one->if_name, snaplen);
	if_freenameindex(all);
	return handle;
}

/* Only Ethernet frames have tags that an adapter strips, so only for them the dialects differ. */
static pcap_t *open_handle(uint32_t link_type, uint32_t snaplen, enum npf_dialect *dialect)
{
	pcap_t *handle = NULL;

	*dialect = NPF_DIALECT_LINUX;
	if (link_type == LINKTYPE_ETHERNET)
		handle = open_linux(snaplen);
	if (handle)
		return handle;
	if (link_type == LINKTYPE_ETHERNET)
		*dialect = NPF_DIALECT_WIRE;
	return pcap_open_dead(npf_expression_dlt(link_type), (int)snaplen);
}

int npf_compiler_open(struct npf_compiler *compiler, uint32_t link_type, uint32_t snaplen,
		      char error[NPF_ERROR_SIZE])
{
	memset(compiler, 0, sizeof(*compiler));
	if (!snaplen || snaplen > NPF_SNAPLEN_MAX)
		return fail(error, -EINVAL, "the snap length must be 1 to 262144 bytes");
	compiler->handle = open_handle(link_type, snaplen, &compiler->dialect);
	if (!compiler->handle)
		return fail(error, -ENOMEM, "out of memory");
	compiler->link_type = link_type;
	compiler->snaplen = snaplen;
	return 0;
}

void npf_compiler_close(struct npf_compiler *compiler)
{
	if (compiler->handle)
		pcap_close(compiler->handle);
	compiler->handle = NULL;
}

static int adopt(struct npf_compiled *out, const struct npf_insn *insns, uint32_t length,
		 enum npf_dialect dialect)
{
	struct npf_insn *copy = calloc(length, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	memcpy(copy, insns, length * sizeof(*copy));
	out->insns = copy;
	out->program.insns = copy;
	out->program.length = length;
	out->program.dialect = dialect;
	return 0;
}

/* Does the program ask for what stands beside the packet, not in it? */
static bool is_ancillary(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == BPF_ABS &&
	       insn->k >= NPF_AD_OFFSET;
}

static int check(const struct bpf_program *code, enum npf_dialect dialect, char *error)
{
	if (code->bf_len > NPF_MAX_INSNS) {
		snprintf(error, NPF_ERROR_SIZE, "the expression makes %u instructions, at most %u",
			 code->bf_len, NPF_MAX_INSNS);
		return -EINVAL;
	}
	for (uint32_t i = 0; dialect == NPF_DIALECT_WIRE && i < code->bf_len; i++) {
		if (is_ancillary(&code->bf_insns[i]))
			return fail(error, -ENOTSUP,
				    "inbound, outbound and the like need "
				    "CAP_NET_RAW and an adapter that is up");
	}
	return 0;
}

int npf_compiler_compile(struct npf_compiler *compiler, const char *expr, struct npf_compiled *out,
			 char error[NPF_ERROR_SIZE])
{
	_Static_assert(sizeof(struct bpf_insn) == sizeof(struct npf_insn), "same layout");
	struct bpf_program code;
	int err;

	memset(out, 0, sizeof(*out));
	if (pcap_compile(compiler->handle, &code, expr, 1, PCAP_NETMASK_UNKNOWN))
		return fail(error, -EINVAL, pcap_geterr(compiler->handle));
	err = check(&code, compiler->dialect, error);
	if (err)
		goto free_code;
	err = adopt(out, (const struct npf_insn *)(const void *)code.bf_insns, code.bf_len,
		    compiler->dialect);
	if (err)
		fail(error, err, "out of memory");
free_code:
	pcap_freecode(&code);
	return err;
}

/* The commonest expression is none: it needs no compiler, and no privilege for a direction. */
static int accept_all(uint32_t snaplen, struct npf_compiled *out, char *error)
{
	const struct npf_insn accept = { RET_K, 0, 0, snaplen };
	int err = adopt(out, &accept, 1, NPF_DIALECT_LINUX);

	return err ? fail(error, err, "out of memory") : 0;
}

int npf_expression_compile(const char *expr, uint32_t link_type, uint32_t snaplen,
			   struct npf_compiled *out, char error[NPF_ERROR_SIZE])
{
	struct npf_compiler compiler;
	int err;

	memset(out, 0, sizeof(*out));
	if (snaplen && snaplen <= NPF_SNAPLEN_MAX && !expr[strspn(expr, " \t\r\n")])
		return accept_all(snaplen, out, error);
	err = npf_compiler_open(&compiler, link_type, snaplen, error);
	if (err)
		return err;
	err = npf_compiler_compile(&compiler, expr, out, error);
	npf_compiler_close(&compiler);
	return err;
}

/* A savefile of no packets: libpcap compiles differently for files, whose link header may come from
 * another system. */
static pcap_t *open_empty(uint32_t link_type, bool swapped)
{
	struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t zone, accuracy, snaplen, link_type;
	} header = { 0xA1B2C3D4, 2, 4, 0, 0, NPF_SNAPLEN_MAX, link_type };
	char unused[PCAP_ERRBUF_SIZE];
	pcap_t *handle;
	FILE *file;

	if (swapped) {
		header.magic = __builtin_bswap32(header.magic);
		header.major = __builtin_bswap16(header.major);
		header.minor = __builtin_bswap16(header.minor);
		header.snaplen = __builtin_bswap32(header.snaplen);
		header.link_type = __builtin_bswap32(header.link_type);
	}
	file = fmemopen(&header, sizeof(header), "r");
	if (!file)
		return NULL;
	handle = pcap_fopen_offline(file, unused);
	if (!handle)
		fclose(file);
	return handle;
}

int npf_expression_compile_offline(const char *expr, uint32_t link_type, bool swapped,
				   struct npf_compiled *out, char error[NPF_ERROR_SIZE])
{
	struct npf_compiler compiler = { .dialect = NPF_DIALECT_WIRE };
	int err;

	memset(out, 0, sizeof(*out));
	compiler.handle = open_empty(link_type, swapped);
	if (!compiler.handle)
		return fail(error, -ENOMEM, "out of memory");
	err = npf_compiler_compile(&compiler, expr, out, error);
	npf_compiler_close(&compiler);
	return err;
}

int npf_expression_restrict(struct npf_compiled *compiled, enum npf_direction direction,
			    char error[NPF_ERROR_SIZE])
{
	bool out = direction == NPF_DIRECTION_OUT;
	const struct npf_insn head[] = {
		{ LDH_ABS, 0, 0, NPF_AD_PKTTYPE },
		{ JEQ_K, out ? 1 : 0, out ? 0 : 1, NPF_FROM_HOST },
		{ RET_K, 0, 0, 0 },
	};
	const uint32_t n = sizeof(head) / sizeof(head[0]);
	uint32_t length = compiled->program.length;
	struct npf_insn *insns;

	if (direction == NPF_DIRECTION_BOTH)
		return 0;
	if (compiled->program.dialect != NPF_DIALECT_LINUX)
		return fail(error, -ENOTSUP,
			    "a direction needs CAP_NET_RAW and an adapter that is "
			    "up");
	if (length > NPF_MAX_INSNS - n)
		return fail(error, -E2BIG, "the expression is too long to add a direction");
	insns = calloc(length + n, sizeof(*insns));
	if (!insns)
		return fail(error, -ENOMEM, "out of memory");
	memcpy(insns, head, sizeof(head));
	memcpy(insns + n, compiled->insns, length * sizeof(*insns));
	free(compiled->insns);
	compiled->insns = insns;
	compiled->program.insns = insns;
	compiled->program.length = length + n;
	return 0;
}

void npf_expression_free(struct npf_compiled *compiled)
{
	free(compiled->insns);
	memset(compiled, 0, sizeof(*compiled));
}
