/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compiling is libpcap's. Installing is the driver's; when it cannot, because the program gave its
 * privileges away or the filter jumps back or is too long, packets are filtered when they are read, as
 * libpcap does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wpcap/dropin/dropin.h"
#include "wpcap/wpcap.h"

#define AD_OFFSET  0xFFFFF000u /* loads from here on ask for what stands beside the packet */
#define AD_PKTTYPE (AD_OFFSET + 4)
#define OUTGOING   4

#define LDH_ABS 0x28
#define JEQ_K   0x15
#define RET_K   0x06

/* ---- compiling ----------------------------------------------------------------------------- */

/* IEEE 802 local experimental EtherType 1: no traffic of this kind reaches the handle. */
#define UNUSED_ETHERTYPE 0x88B5
#define TINY_BUFFER      4096

/* libpcap looks for VLAN tags beside the packet only where it captures itself. */
static pcap_t *open_compiler(const pcap_t *p)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *live = REAL(pcap_create)(p->device, errbuf);

	if (!live)
		return NULL;
	REAL(pcap_set_snaplen)(live, p->options.snaplen);
	REAL(pcap_set_timeout)(live, 1);
	REAL(pcap_set_buffer_size)(live, TINY_BUFFER);
	REAL(pcap_set_protocol_linux)(live, UNUSED_ETHERTYPE);
	if (REAL(pcap_activate)(live) >= 0)
		return live;
	REAL(pcap_close)(live);
	return NULL;
}

/* Opening a live one takes time: only for expressions that it makes a difference to. One that jumps back
 * is run on packets as they are read, where the tag is in them. */
static pcap_t *compiler_of(pcap_t *p, const char *expression)
{
	if (p->real)
		return p->real;
	if (p->link_type != DLT_EN10MB || !expression || !strstr(expression, "vlan") ||
	    strstr(expression, "protochain"))
		return p->dead;
	if (!p->compiler)
		p->compiler = open_compiler(p);
	return p->compiler ? p->compiler : p->dead;
}

/* ---- installing ---------------------------------------------------------------------------- */

struct builder {
	struct npf_insn *insns;
	uint32_t length;
};

static void add(struct builder *builder, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	builder->insns[builder->length++] = (struct npf_insn){ code, jt, jf, k };
}

static void add_direction(struct builder *builder, pcap_direction_t direction)
{
	bool out = direction == PCAP_D_OUT;

	if (direction == PCAP_D_INOUT)
		return;
	add(builder, LDH_ABS, 0, 0, AD_PKTTYPE);
	add(builder, JEQ_K, out ? 1 : 0, out ? 0 : 1, OUTGOING);
	add(builder, RET_K, 0, 0, 0);
}

/* Nobody wants more than the snap length. */
static void add_program(struct builder *builder, const struct bpf_program *filter, uint32_t snaplen)
{
	for (u_int i = 0; i < filter->bf_len; i++) {
		const struct bpf_insn *insn = &filter->bf_insns[i];
		uint32_t k = insn->k;

		if (insn->code == RET_K && k > snaplen)
			k = snaplen;
		add(builder, insn->code, insn->jt, insn->jf, k);
	}
}

/* As libpcap's programs mean it for a live Linux interface. */
static int build(const pcap_t *p, const struct bpf_program *filter, struct builder *builder)
{
	uint32_t snaplen = (uint32_t)p->options.snaplen;
	u_int n = filter ? filter->bf_len : 1;

	*builder = (struct builder){ .insns = calloc(n + 3, sizeof(struct npf_insn)) };
	if (!builder->insns)
		return -ENOMEM;
	add_direction(builder, p->direction);
	if (filter)
		add_program(builder, filter, snaplen);
	else
		add(builder, RET_K, 0, 0, snaplen);
	return 0;
}

/* An exchange of what the driver has takes some ten milliseconds, while packets come; and programs
 * like to set the filter that keeps all. */
static bool is_given(const pcap_t *p, const struct builder *builder)
{
	const struct npf_insn *first = builder->insns;

	if (!p->given)
		return builder->length == 1 && first->code == RET_K &&
		       first->k >= WPCAP_LARGEST_SNAPLEN;
	return builder->length == p->n_given &&
	       !memcmp(builder->insns, p->given, p->n_given * sizeof(*p->given));
}

static void forget_given(pcap_t *p)
{
	free(p->given);
	p->given = NULL;
}

static int give(pcap_t *p, const struct builder *builder)
{
	struct npf_program program = { .dialect = NPF_DIALECT_LINUX,
				       .insns = builder->insns,
				       .length = builder->length };
	struct counters before;
	int err;

	wpcap_end_batch(p);
	before = wpcap_count(p);
	err = npf_set_filter(p->instance, &program);
	if (err)
		return err;
	p->counted = before;
	forget_given(p);
	p->given = builder->insns;
	p->n_given = builder->length;
	return 0;
}

static int give_to_driver(pcap_t *p, const struct bpf_program *filter)
{
	struct builder builder;
	int err = build(p, filter, &builder);

	if (err)
		return err;
	if (!is_given(p, &builder)) {
		err = give(p, &builder);
		if (!err)
			return 0;
	}
	free(builder.insns);
	return err;
}

static int keep_filter(pcap_t *p, const struct bpf_program *filter)
{
	struct bpf_insn *copy = calloc(filter->bf_len, sizeof(*copy));

	if (!copy)
		return -1;
	memcpy(copy, filter->bf_insns, filter->bf_len * sizeof(*copy));
	free(p->filter.bf_insns);
	p->filter.bf_insns = copy;
	p->filter.bf_len = filter->bf_len;
	p->libpcaps = wpcap_is_libpcaps(filter);
	return 0;
}

static void forget_filter(pcap_t *p)
{
	free(p->filter.bf_insns);
	p->filter = (struct bpf_program){ 0 };
}

void wpcap_forget_filters(pcap_t *p)
{
	forget_filter(p);
	forget_given(p);
}

/* Was it the filter that the driver refused, or does it not work at all? */
static bool is_refusal(int err)
{
	return err && err != -ENODEV && err != -ECANCELED && err != -ENOMEM;
}

/* The driver keeps its old filter when it refuses the new one: filtering here is the way out only
 * where the driver lets everything through, or can be made to. */
static bool take_here(pcap_t *p, const struct bpf_program *filter)
{
	if (filter && !wpcap_can_filter_here(filter))
		return false;
	if (p->filter_there && give_to_driver(p, NULL))
		return false;
	p->filter_there = p->filter_there && p->direction != PCAP_D_INOUT;
	wpcap_end_batch(p); /* what was found ahead passed another filter */
	return true;
}

int wpcap_install(pcap_t *p, const struct bpf_program *filter)
{
	int err = give_to_driver(p, filter);

	if (is_refusal(err) && take_here(p, filter)) {
		p->filter_here = true;
		return 0;
	}
	if (err)
		return wpcap_fail_adapter(p, -1, "setting the filter failed");
	p->filter_here = false;
	p->filter_there = filter || p->direction != PCAP_D_INOUT;
	return 0;
}

/* ---- early --------------------------------------------------------------------------------- */

/*
 * Programs like tcpdump compile their filter, give up being root, and install it: too late for the
 * driver. So in libpcap's place, with root's rights, the first filter that is compiled for a capture from
 * which nothing was read is installed at once: it is nearly always the one. When another is set, that
 * counts; when none is, this one is taken back before the first packet is read.
 */
static bool may_give_up_root(void)
{
	return npf_dropin_at_hand && !geteuid();
}

static void install_early(pcap_t *p, const struct bpf_program *filter)
{
	char before[PCAP_ERRBUF_SIZE];

	if (p->reading || p->filter.bf_len || !may_give_up_root())
		return;
	memcpy(before, p->error, sizeof(before));
	p->filter_early = !wpcap_install(p, filter) && !p->filter_here && !keep_filter(p, filter);
	if (!p->filter_early)
		wpcap_install(p, NULL);
	memcpy(p->error, before, sizeof(before));
}

static bool is_early(const pcap_t *p, const struct bpf_program *filter)
{
	return p->filter_early && filter->bf_len == p->filter.bf_len &&
	       !memcmp(filter->bf_insns, p->filter.bf_insns,
		       filter->bf_len * sizeof(filter->bf_insns[0]));
}

int wpcap_settle_filter(pcap_t *p)
{
	p->reading = true;
	if (!p->filter_early)
		return 0;
	p->filter_early = false;
	forget_filter(p);
	return wpcap_install(p, NULL);
}

WPCAP_EXPORT int pcap_compile(pcap_t *p, struct bpf_program *program, const char *expression,
			      int optimize, bpf_u_int32 netmask)
{
	pcap_t *compiler = compiler_of(p, expression);
	int result = REAL(pcap_compile)(compiler, program, expression, optimize, netmask);

	if (result || p->real)
		return result && !p->real ? wpcap_fail_as(p, result, compiler) : result;
	install_early(p, program);
	return 0;
}

/* ---- setting ------------------------------------------------------------------------------- */

WPCAP_EXPORT int pcap_setfilter(pcap_t *p, struct bpf_program *filter)
{
	WPCAP_TRACED(NULL);

	if (p->real)
		return REAL(pcap_setfilter)(p->real, filter);
	if (!filter)
		return wpcap_fail(p, PCAP_ERROR, "setfilter: No filter specified");
	if (!filter->bf_len || !REAL(bpf_validate)(filter->bf_insns, (int)filter->bf_len))
		return wpcap_fail(p, PCAP_ERROR, "BPF program is not valid");
	if (is_early(p, filter)) {
		p->filter_early = false;
		return 0;
	}
	p->filter_early = false;
	if (wpcap_install(p, filter))
		return PCAP_ERROR;
	return keep_filter(p, filter) ? wpcap_fail(p, PCAP_ERROR, "malloc: %s", strerror(errno))
				      : 0;
}

WPCAP_EXPORT int pcap_setdirection(pcap_t *p, pcap_direction_t direction)
{
	pcap_direction_t before = p->direction;

	if (p->real)
		return REAL(pcap_setdirection)(p->real, direction);
	if (direction != PCAP_D_INOUT && direction != PCAP_D_IN && direction != PCAP_D_OUT)
		return wpcap_fail(p, PCAP_ERROR, "Invalid direction");
	p->direction = direction;
	if (!wpcap_install(p, p->filter.bf_len ? &p->filter : NULL))
		return 0;
	p->direction = before;
	return PCAP_ERROR;
}
