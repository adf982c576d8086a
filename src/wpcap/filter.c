/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compiling is libpcap's. Installing is the driver's; when it cannot, because the program gave its
 * privileges away or the filter jumps back or is too long, packets are filtered when they are read, as
 * libpcap does. So are those that were captured before a filter was set, and not read yet.
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

/* libpcap looks for VLAN tags beside the packet only where it captures itself. NULL: it is closed. */
static pcap_t *activate_compiler(const pcap_t *p, pcap_t *live)
{
	REAL(pcap_set_snaplen)(live, p->options.snaplen);
	REAL(pcap_set_promisc)(live, 0);
	REAL(pcap_set_timeout)(live, 1);
	REAL(pcap_set_immediate_mode)(live, 0);
	REAL(pcap_set_buffer_size)(live, TINY_BUFFER);
	REAL(pcap_set_protocol_linux)(live, UNUSED_ETHERTYPE);
	if (REAL(pcap_activate)(live) >= 0)
		return live;
	REAL(pcap_close)(live);
	return NULL;
}

static pcap_t *open_compiler(const pcap_t *p)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *live = REAL(pcap_create)(p->device, errbuf);

	return live ? activate_compiler(p, live) : NULL;
}

/* Programs like dumpcap open, give up all rights, and compile then: too late to open another one. And one
 * that was activated forgets no descriptor when it is closed, whatever other threads do. That takes time,
 * and with our own library a program can compile earlier. */
void wpcap_take_over(pcap_t *p, pcap_t *real)
{
	if (npf_dropin_at_hand)
		p->compiler = activate_compiler(p, real);
	else
		wpcap_close_unused(real, &p->event);
}

/* Opening a live one takes time: only for expressions that it makes a difference to. One that jumps back
 * is run on packets as they are read, where the tag is in them. NULL: there is none, and what another
 * makes of the expression would find other packets. */
static pcap_t *compiler_of(pcap_t *p, const char *expression)
{
	if (p->real)
		return p->real;
	if (p->link_type != DLT_EN10MB || !expression || !strstr(expression, "vlan") ||
	    strstr(expression, "protochain"))
		return p->dead;
	if (!p->compiler)
		p->compiler = open_compiler(p);
	return p->compiler;
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

static bool is_given(const pcap_t *p, const struct builder *builder)
{
	return p->given && builder->length == p->n_given &&
	       !memcmp(builder->insns, p->given, p->n_given * sizeof(*p->given));
}

/* An exchange of what the driver has takes some ten milliseconds, while packets come; and programs like
 * to set the filter that keeps all. That can be had without one. Bytes to keep; 0: it is no such filter. */
static uint32_t keeps_of_all(const struct builder *builder)
{
	const struct npf_insn *first = builder->insns;

	return builder->length == 1 && first->code == RET_K ? first->k : 0;
}

static void forget_given(pcap_t *p)
{
	free(p->given);
	p->given = NULL;
}

/* The driver takes the builder's instructions over. */
static int give(pcap_t *p, const struct builder *builder)
{
	struct npf_program program = { .dialect = NPF_DIALECT_LINUX,
				       .insns = builder->insns,
				       .length = builder->length };
	int err = npf_exchange_filter(p->instance, &program, &p->to_filter);

	if (err)
		return err;
	forget_given(p);
	p->given = builder->insns;
	p->n_given = builder->length;
	return 0;
}

/* The driver's filter does not act. earlier: packets to come that it acted on. */
static int pass_unfiltered(pcap_t *p, uint32_t keep, uint64_t *earlier)
{
	int err = npf_pass_unfiltered(p->instance, keep, earlier);

	if (!err)
		p->unfiltered = true;
	return err;
}

/* And all that it did is done here. It may be older than what is to be done, or one that is only
 * compiled. */
static int hold_back(pcap_t *p)
{
	int err = pass_unfiltered(p, (uint32_t)p->options.snaplen, NULL);

	if (!err)
		p->to_filter = WPCAP_ALL;
	return err;
}

/* What the driver has is new, perhaps; held back it changes nothing, and all is filtered here as before. */
static int let_act(pcap_t *p)
{
	int err;

	if (!p->unfiltered)
		return 0;
	err = npf_pass_unfiltered(p->instance, 0, &p->to_filter);
	if (err)
		p->to_filter = WPCAP_ALL;
	else
		p->unfiltered = false;
	return err;
}

/* What is there already is left alone. */
static int give_to_driver(pcap_t *p, struct builder *builder)
{
	int err = is_given(p, builder) ? 0 : give(p, builder);

	if (p->given != builder->insns)
		free(builder->insns);
	return err;
}

static int set_in_driver(pcap_t *p, const struct bpf_program *filter)
{
	struct builder builder;
	uint32_t keep;
	int err = build(p, filter, &builder);

	if (err)
		return err;
	keep = keeps_of_all(&builder);
	if (keep) {
		free(builder.insns);
		return pass_unfiltered(p, keep, &p->to_filter);
	}
	err = give_to_driver(p, &builder);
	return err ? err : let_act(p);
}

/* Was it the filter that the driver refused, or does it not work at all? */
static bool is_refusal(int err)
{
	return err && err != -ENODEV && err != -ECANCELED && err != -ENOMEM;
}

int wpcap_install(pcap_t *p, const struct bpf_program *filter)
{
	WPCAP_IN_DRIVER(p);

	int err = set_in_driver(p, filter);

	if (is_refusal(err) && (!filter || wpcap_can_filter_here(filter)))
		err = hold_back(p);
	return err ? wpcap_fail_adapter(p, -1, "setting the filter failed") : 0;
}

/* ---- keeping ------------------------------------------------------------------------------- */

static struct bpf_insn *copy_of(const struct bpf_program *filter)
{
	struct bpf_insn *copy = calloc(filter->bf_len, sizeof(*copy));

	if (copy)
		memcpy(copy, filter->bf_insns, filter->bf_len * sizeof(*copy));
	return copy;
}

static void keep_filter(pcap_t *p, struct bpf_insn *copy, u_int length)
{
	free(p->filter.bf_insns);
	p->filter = (struct bpf_program){ .bf_len = length, .bf_insns = copy };
	p->libpcaps = wpcap_is_libpcaps(&p->filter);
}

void wpcap_forget_filters(pcap_t *p)
{
	free(p->filter.bf_insns);
	forget_given(p);
}

/* ---- early --------------------------------------------------------------------------------- */

/*
 * Programs like tcpdump compile their filter, give up being root, and install it: too late for the
 * driver. So in libpcap's place, with root's rights, a filter that is compiled for a capture from which
 * nothing was read, and that has none yet, is put into the driver at once, but held back: it is nearly
 * always the one. To let it act needs no rights.
 */
static bool may_give_up_root(void)
{
	return npf_dropin_at_hand && !geteuid();
}

static void install_early(pcap_t *p, const struct bpf_program *filter)
{
	if (p->reading || p->filter.bf_len || !may_give_up_root())
		return;

	WPCAP_IN_DRIVER(p);

	struct builder builder;

	if (build(p, filter, &builder))
		return;
	if (keeps_of_all(&builder) || hold_back(p)) {
		free(builder.insns);
		return;
	}
	give_to_driver(p, &builder);
	/* A program that never sets it wants all packets; what is pending when it does is counted then. */
	p->to_filter = p->direction == PCAP_D_INOUT ? 0 : WPCAP_ALL;
}

WPCAP_EXPORT int pcap_compile(pcap_t *p, struct bpf_program *program, const char *expression,
			      int optimize, bpf_u_int32 netmask)
{
	pcap_t *compiler = compiler_of(p, expression);
	int result;

	if (!compiler)
		return wpcap_fail(p, PCAP_ERROR,
				  "a filter with vlan has to be compiled with the rights to capture");
	result = REAL(pcap_compile)(compiler, program, expression, optimize, netmask);
	if (result || p->real)
		return result && !p->real ? wpcap_fail_as(p, result, compiler) : result;
	install_early(p, program);
	return 0;
}

/* ---- setting ------------------------------------------------------------------------------- */

WPCAP_EXPORT int pcap_setfilter(pcap_t *p, struct bpf_program *filter)
{
	WPCAP_TRACED(NULL);

	struct bpf_insn *copy;

	if (p->real)
		return REAL(pcap_setfilter)(p->real, filter);
	if (!filter)
		return wpcap_fail(p, PCAP_ERROR, "setfilter: No filter specified");
	if (!filter->bf_len || !REAL(bpf_validate)(filter->bf_insns, (int)filter->bf_len))
		return wpcap_fail(p, PCAP_ERROR, "BPF program is not valid");
	copy = copy_of(filter);
	if (!copy)
		return wpcap_fail(p, PCAP_ERROR, "malloc: %s", strerror(errno));
	if (wpcap_install(p, filter)) {
		free(copy);
		return PCAP_ERROR;
	}
	keep_filter(p, copy, filter->bf_len);
	p->ahead_is_earlier = true;
	return 0;
}

WPCAP_EXPORT int pcap_setdirection(pcap_t *p, pcap_direction_t direction)
{
	pcap_direction_t before = p->direction;

	if (p->real)
		return REAL(pcap_setdirection)(p->real, direction);
	if (direction != PCAP_D_INOUT && direction != PCAP_D_IN && direction != PCAP_D_OUT)
		return wpcap_fail(p, PCAP_ERROR, "Invalid direction");
	p->direction = direction;
	if (wpcap_install(p, p->filter.bf_len ? &p->filter : NULL)) {
		p->direction = before;
		return PCAP_ERROR;
	}
	p->ahead_is_earlier = true;
	return 0;
}
