/* SPDX-License-Identifier: BSD-3-Clause */
#include <err.h>
#include <pcap/pcap.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "filter/opcodes.h"

#define SNAP 262144

static const char many_ports[] =
	"tcp port 21 or tcp port 22 or tcp port 23 or tcp port 25 or tcp port 53 or tcp port 80 or "
	"tcp port 110 or tcp port 111 or tcp port 135 or tcp port 139 or tcp port 143 or "
	"tcp port 443 or tcp port 445 or tcp port 993 or tcp port 995 or tcp port 1723 or "
	"tcp port 3306 or tcp port 3389 or tcp port 5900 or tcp port 8080 or tcp port 8443 or "
	"tcp port 8888 or tcp port 9090";

static void set_program(struct filter *filter, const void *insns, uint32_t n)
{
	struct npf_insn *copy = malloc(n * sizeof(*copy));

	if (!copy)
		err(1, "a filter");
	memcpy(copy, insns, n * sizeof(*copy));
	filter->program = (struct npf_program){ .length = n, .insns = copy };
}

static void compile(struct filter *filter)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, SNAP);
	struct bpf_program program;

	if (!pcap || pcap_compile(pcap, &program, filter->expression, 1, PCAP_NETMASK_UNKNOWN))
		errx(1, "%s: %s", filter->expression, pcap ? pcap_geterr(pcap) : "no libpcap");
	set_program(filter, program.bf_insns, program.bf_len);
	pcap_freecode(&program);
	pcap_close(pcap);
}

static void __attribute__((format(printf, 4, 5)))
add(struct filter *filters, unsigned int *n, const char *label, const char *format, ...)
{
	struct filter *filter = &filters[(*n)++];
	va_list arguments;

	*filter = (struct filter){ .judged = true };
	snprintf(filter->label, sizeof(filter->label), "%s", label);
	va_start(arguments, format);
	if (vasprintf(&filter->expression, format, arguments) < 0)
		err(1, "a filter");
	va_end(arguments);
	compile(filter);
}

static char *dotted(uint32_t host, char text[16])
{
	snprintf(text, 16, "%u.%u.%u.%u", host >> 24, host >> 16 & 255, host >> 8 & 255, host & 255);
	return text;
}

/* Sixteen that are there, rare ones and frequent ones. */
static char *list_hosts(const struct packets *packets, char text[512])
{
	size_t at = 0;

	for (int i = 0; i < 16; i++) {
		char host[16];
		uint32_t found = packets_host(packets, i < 2 ? 0.01 : 0.0005 * i);

		at += (size_t)snprintf(text + at, 512 - at, "%ssrc host %s", i ? " or " : "",
				       dotted(found + (i > 4 ? (uint32_t)i : 0), host));
	}
	return text;
}

unsigned int filters_make(struct filter filters[MAX_FILTERS], const struct packets *packets)
{
	uint32_t host = packets_host(packets, 0.05);
	char text[16], net[16], hosts[512];
	unsigned int n = 0;

	dotted(host, text);
	dotted(packets_host(packets, 0.1) & 0xFFFF0000, net);
	add(filters, &n, "ip", "ip");
	add(filters, &n, "tcp port 80", "tcp port 80");
	add(filters, &n, "host", "host %s", text);
	add(filters, &n, "net /16", "net %s/16", net);
	add(filters, &n, "udp port 53", "udp port 53");
	add(filters, &n, "tcp port 80 and host", "tcp port 80 and host %s", text);
	add(filters, &n, "23 tcp ports", "%s", many_ports);
	add(filters, &n, "16 src hosts", "%s", list_hosts(packets, hosts));
	add(filters, &n, "tcp syn or fin", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0");
	add(filters, &n, "http with data",
	    "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)");
	add(filters, &n, "http GET",
	    "tcp port 80 and tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420");
	add(filters, &n, "portrange 1-1023", "portrange 1-1023");
	add(filters, &n, "vlan and tcp port 80", "vlan and tcp port 80");
	add(filters, &n, "no arp icmp 4 ports",
	    "not arp and not icmp and not udp port 53 and not udp port 67 and "
	    "not udp port 137 and not udp port 5353");
	add(filters, &n, "ip6 net", "ip6 net fe80::/10");
	filter_hosts(&filters[n++], 1, host, "1 host in a list");
	filter_hosts(&filters[n++], 1000, host, "1000 hosts in a list");
	return n;
}

void filter_hosts(struct filter *filter, uint32_t n, uint32_t last, const char *label)
{
	const struct npf_insn head[] = {
		{ NPF_LD | NPF_H | NPF_ABS, 0, 0, 12 },
		{ NPF_JMP | NPF_JEQ | NPF_K, 1, 0, 0x0800 },
		{ NPF_RET | NPF_K, 0, 0, 0 },
		{ NPF_LD | NPF_W | NPF_ABS, 0, 0, 26 },
	};
	struct npf_insn *insns = malloc((2 * n + 5) * sizeof(*insns));
	uint32_t at = sizeof(head) / sizeof(head[0]);

	if (!insns)
		err(1, "a filter");
	memcpy(insns, head, sizeof(head));
	for (uint32_t i = 0; i < n; i++) {
		/* Addresses of a block that nobody has. */
		uint32_t key = i == n - 1 ? last : 0xF0000000 | i * 2654435761u >> 8;

		insns[at++] = (struct npf_insn){ NPF_JMP | NPF_JEQ | NPF_K, 0, 1, key };
		insns[at++] = (struct npf_insn){ NPF_RET | NPF_K, 0, 0, SNAP };
	}
	insns[at++] = (struct npf_insn){ NPF_RET | NPF_K, 0, 0, 0 };
	*filter = (struct filter){ .program = { .length = at, .insns = insns } };
	snprintf(filter->label, sizeof(filter->label), "%s", label);
}

void filters_free(struct filter *filters, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		free((void *)(uintptr_t)filters[i].program.insns);
		free(filters[i].expression);
	}
}
