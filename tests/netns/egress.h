/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What drops half of the frames that an adapter is to send, each way that the kernel has: the sender
 * hears of it as of a queue that is full, and no counter of the adapter's losses holds it.
 */
#ifndef NPF_EGRESS_TEST_H
#define NPF_EGRESS_TEST_H

#include "netns/sending.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>
#include <linux/bpf.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#define EGRESS_TCX    47 /* BPF_TCX_EGRESS: older headers lack it */
#define EGRESS_NFT    1  /* NF_NETDEV_EGRESS, likewise */
#define EGRESS_FAMILY 5  /* NFPROTO_NETDEV, whose header goes with few others */

/* ---- a program ------------------------------------------------------------------------------- */

static inline int load_dropper(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_prandom_u32 },
		{ .code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 2 }, /* drop */
		{ .code = BPF_JMP | BPF_EXIT },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 }, /* next */
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "half", "GPL", code, N_OF(code), NULL);

	assert_true(program >= 0);
	return program;
}

static inline bool drop_by_tcx(struct bench *bench, const char *name)
{
	int program = load_dropper();
	int link = bpf_link_create(program, (int)if_nametoindex(name),
				   (enum bpf_attach_type)EGRESS_TCX, NULL);

	(void)bench;
	close(program);
	if (link < 0)
		printf("this kernel has no tcx\n");
	return link >= 0; /* it ends with the adapter */
}

static inline bool drop_by_tc(struct bench *bench, const char *name)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(name),
		    .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = load_dropper());
	bool done = !bpf_tc_hook_create(&hook) && !bpf_tc_attach(&hook, &options);

	(void)bench;
	close(options.prog_fd);
	if (!done)
		printf("this kernel has no clsact with programs\n");
	return done;
}

static inline bool drop_by_police(struct bench *bench, const char *name)
{
	char command[200];

	snprintf(command, sizeof(command), "tc qdisc add dev %s clsact", name);
	if (!can_run(bench, command))
		return false;
	snprintf(command, sizeof(command),
		 "tc filter add dev %s egress protocol all u32 match u32 0 0 police rate 8mbit "
		 "burst 10k conform-exceed drop",
		 name);
	return can_run(bench, command);
}

/* ---- a chain --------------------------------------------------------------------------------- */

static inline struct nlmsghdr *put_message(uint8_t *at, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct nfgenmsg *family = mnl_nlmsg_put_extra_header(message, sizeof(*family));
	bool border = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;

	message->nlmsg_type = border ? type : NFNL_SUBSYS_NFTABLES << 8 | type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	family->nfgen_family = border ? AF_UNSPEC : EGRESS_FAMILY;
	family->res_id = border ? htons(NFNL_SUBSYS_NFTABLES) : 0;
	return message;
}

static inline void put_number(struct nlmsghdr *message, uint16_t type, uint32_t value)
{
	mnl_attr_put_u32(message, type, htonl(value));
}

static inline void put_chain(struct nlmsghdr *message, const char *name)
{
	struct nlattr *hook;

	mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, "half");
	mnl_attr_put_strz(message, NFTA_CHAIN_NAME, "out");
	mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, "filter");
	hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
	put_number(message, NFTA_HOOK_HOOKNUM, EGRESS_NFT);
	put_number(message, NFTA_HOOK_PRIORITY, 0);
	mnl_attr_put_strz(message, NFTA_HOOK_DEV, name);
	mnl_attr_nest_end(message, hook);
}

static inline struct nlattr *begin_expression(struct nlmsghdr *message, const char *name,
					      struct nlattr **data)
{
	struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);

	mnl_attr_put_strz(message, NFTA_EXPR_NAME, name);
	*data = mnl_attr_nest_start(message, NFTA_EXPR_DATA);
	return element;
}

static inline void end_expression(struct nlmsghdr *message, struct nlattr *element,
				  struct nlattr *data)
{
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, element);
}

/* A random number whose first byte is below 128: drop. */
static inline void put_rule(struct nlmsghdr *message)
{
	static const uint8_t middle[4] = { 0x80 };
	struct nlattr *list, *element, *data, *value, *verdict;

	mnl_attr_put_strz(message, NFTA_RULE_TABLE, "half");
	mnl_attr_put_strz(message, NFTA_RULE_CHAIN, "out");
	list = mnl_attr_nest_start(message, NFTA_RULE_EXPRESSIONS);
	element = begin_expression(message, "meta", &data);
	put_number(message, NFTA_META_DREG, NFT_REG_1);
	put_number(message, NFTA_META_KEY, NFT_META_PRANDOM);
	end_expression(message, element, data);
	element = begin_expression(message, "cmp", &data);
	put_number(message, NFTA_CMP_SREG, NFT_REG_1);
	put_number(message, NFTA_CMP_OP, NFT_CMP_LT);
	value = mnl_attr_nest_start(message, NFTA_CMP_DATA);
	mnl_attr_put(message, NFTA_DATA_VALUE, sizeof(middle), middle);
	mnl_attr_nest_end(message, value);
	end_expression(message, element, data);
	element = begin_expression(message, "immediate", &data);
	put_number(message, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	value = mnl_attr_nest_start(message, NFTA_IMMEDIATE_DATA);
	verdict = mnl_attr_nest_start(message, NFTA_DATA_VERDICT);
	put_number(message, NFTA_VERDICT_CODE, 0); /* drop */
	mnl_attr_nest_end(message, verdict);
	mnl_attr_nest_end(message, value);
	end_expression(message, element, data);
	mnl_attr_nest_end(message, list);
}

static inline bool drop_by_nftables(struct bench *bench, const char *name)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	_Alignas(struct nlmsghdr) uint8_t buffer[4096] = { 0 };
	struct nlmsghdr *message;
	size_t size = 0;
	ssize_t n;

	(void)bench;
	size += put_message(buffer, NFNL_MSG_BATCH_BEGIN, 0)->nlmsg_len;
	message = put_message(buffer + size, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, "half");
	size += message->nlmsg_len;
	message = put_message(buffer + size, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	put_chain(message, name);
	size += message->nlmsg_len;
	message = put_message(buffer + size, NFT_MSG_NEWRULE,
			      NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK);
	put_rule(message);
	size += message->nlmsg_len;
	size += put_message(buffer + size, NFNL_MSG_BATCH_END, 0)->nlmsg_len;
	if (netlink < 0 ||
	    sendto(netlink, buffer, size, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
		printf("this kernel has no nftables\n");
		return false;
	}
	n = recv(netlink, buffer, sizeof(buffer), MSG_DONTWAIT);
	close(netlink);

	bool done = n > 0 && !mnl_cb_run(buffer, (size_t)n, 0, 0, NULL, NULL);

	if (!done)
		printf("this kernel has no nftables for egress\n");
	return done;
}

#endif
