/* SPDX-License-Identifier: BSD-3-Clause */
/* What needs no live capture: libpcap's own, under the same names. */
#include <net/ethernet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/single_threaded.h>

#include "wpcap/wpcap.h"

/* ---- the library --------------------------------------------------------------------------- */

extern char pcap_version[];
WPCAP_EXPORT char pcap_version[] = "1.10.3";

WPCAP_EXPORT const char *pcap_lib_version(void)
{
	static char text[160];
	const char *real = REAL(pcap_lib_version)();

	snprintf(text, sizeof(text), "%s, on %s", real ? real : "libpcap", npf_version());
	return text;
}

WPCAP_EXPORT int pcap_init(unsigned int options, char *errbuf)
{
	return REAL(pcap_init)(options, errbuf);
}

WPCAP_EXPORT const char *pcap_strerror(int error)
{
	return REAL(pcap_strerror)(error);
}

WPCAP_EXPORT const char *pcap_statustostr(int status)
{
	return REAL(pcap_statustostr)(status);
}

/* ---- devices ------------------------------------------------------------------------------- */

WPCAP_EXPORT int pcap_findalldevs(pcap_if_t **devices, char *errbuf)
{
	return REAL(pcap_findalldevs)(devices, errbuf);
}

WPCAP_EXPORT void pcap_freealldevs(pcap_if_t *devices)
{
	REAL(pcap_freealldevs)(devices);
}

WPCAP_EXPORT char *pcap_lookupdev(char *errbuf)
{
	return REAL(pcap_lookupdev)(errbuf);
}

WPCAP_EXPORT int pcap_lookupnet(const char *device, bpf_u_int32 *net, bpf_u_int32 *mask,
				char *errbuf)
{
	return REAL(pcap_lookupnet)(device, net, mask, errbuf);
}

/* ---- programs ------------------------------------------------------------------------------ */

WPCAP_EXPORT int pcap_compile_nopcap(int snaplen, int link_type, struct bpf_program *program,
				     const char *expression, int optimize, bpf_u_int32 netmask)
{
	return REAL(pcap_compile_nopcap)(snaplen, link_type, program, expression, optimize, netmask);
}

WPCAP_EXPORT void pcap_freecode(struct bpf_program *program)
{
	REAL(pcap_freecode)(program);
}

WPCAP_EXPORT int bpf_validate(const struct bpf_insn *insns, int n)
{
	return REAL(bpf_validate)(insns, n);
}

WPCAP_EXPORT char *bpf_image(const struct bpf_insn *insn, int n)
{
	return REAL(bpf_image)(insn, n);
}

WPCAP_EXPORT void bpf_dump(const struct bpf_program *program, int option)
{
	REAL(bpf_dump)(program, option);
}

/* ---- link types and time stamps ------------------------------------------------------------ */

WPCAP_EXPORT void pcap_free_datalinks(int *types)
{
	REAL(pcap_free_datalinks)(types);
}

WPCAP_EXPORT int pcap_datalink_name_to_val(const char *name)
{
	return REAL(pcap_datalink_name_to_val)(name);
}

WPCAP_EXPORT const char *pcap_datalink_val_to_name(int type)
{
	return REAL(pcap_datalink_val_to_name)(type);
}

WPCAP_EXPORT const char *pcap_datalink_val_to_description(int type)
{
	return REAL(pcap_datalink_val_to_description)(type);
}

WPCAP_EXPORT const char *pcap_datalink_val_to_description_or_dlt(int type)
{
	return REAL(pcap_datalink_val_to_description_or_dlt)(type);
}

WPCAP_EXPORT void pcap_free_tstamp_types(int *types)
{
	REAL(pcap_free_tstamp_types)(types);
}

WPCAP_EXPORT int pcap_tstamp_type_name_to_val(const char *name)
{
	return REAL(pcap_tstamp_type_name_to_val)(name);
}

WPCAP_EXPORT const char *pcap_tstamp_type_val_to_name(int type)
{
	return REAL(pcap_tstamp_type_val_to_name)(type);
}

WPCAP_EXPORT const char *pcap_tstamp_type_val_to_description(int type)
{
	return REAL(pcap_tstamp_type_val_to_description)(type);
}

/* ---- savefiles ----------------------------------------------------------------------------- */

/* libpcap's locks the stream twice for each packet, which is most of what writing one costs. Nothing
 * is written behind a packet that failed. */
WPCAP_EXPORT void pcap_dump(u_char *dumper, const struct pcap_pkthdr *header, const u_char *data)
{
	FILE *file = REAL(pcap_dump_file)((pcap_dumper_t *)dumper);
	const uint32_t head[] = { (uint32_t)header->ts.tv_sec, (uint32_t)header->ts.tv_usec,
				  header->caplen, header->len };
	bool alone = __libc_single_threaded;

	if (!alone)
		flockfile(file);
	if (!ferror_unlocked(file) && fwrite_unlocked(head, sizeof(head), 1, file) == 1)
		fwrite_unlocked(data, header->caplen, 1, file);
	if (!alone)
		funlockfile(file);
}

WPCAP_EXPORT void pcap_dump_close(pcap_dumper_t *dumper)
{
	REAL(pcap_dump_close)(dumper);
}

WPCAP_EXPORT FILE *pcap_dump_file(pcap_dumper_t *dumper)
{
	return REAL(pcap_dump_file)(dumper);
}

WPCAP_EXPORT int pcap_dump_flush(pcap_dumper_t *dumper)
{
	return REAL(pcap_dump_flush)(dumper);
}

WPCAP_EXPORT long pcap_dump_ftell(pcap_dumper_t *dumper)
{
	return REAL(pcap_dump_ftell)(dumper);
}

WPCAP_EXPORT int64_t pcap_dump_ftell64(pcap_dumper_t *dumper)
{
	return REAL(pcap_dump_ftell64)(dumper);
}

/* ---- names --------------------------------------------------------------------------------- */

/* Names of EtherTypes, which old programs look up by themselves. */
struct eproto {
	const char *s;
	u_short p;
};
extern struct eproto eproto_db[];
WPCAP_EXPORT struct eproto eproto_db[] = {
	{ "aarp", 0x80f3 },  { "arp", 0x0806 },   { "atalk", 0x809b }, { "decnet", 0x6003 },
	{ "ip", 0x0800 },    { "ip6", 0x86dd },   { "lat", 0x6004 },   { "loopback", 0x9000 },
	{ "mopdl", 0x6001 }, { "moprc", 0x6002 }, { "rarp", 0x8035 },  { "sca", 0x6007 },
	{ NULL, 0 },
};

WPCAP_EXPORT bpf_u_int32 **pcap_nametoaddr(const char *name)
{
	return REAL(pcap_nametoaddr)(name);
}

WPCAP_EXPORT struct addrinfo *pcap_nametoaddrinfo(const char *name)
{
	return REAL(pcap_nametoaddrinfo)(name);
}

WPCAP_EXPORT int pcap_nametoeproto(const char *name)
{
	return REAL(pcap_nametoeproto)(name);
}

WPCAP_EXPORT int pcap_nametollc(const char *name)
{
	return REAL(pcap_nametollc)(name);
}

WPCAP_EXPORT bpf_u_int32 pcap_nametonetaddr(const char *name)
{
	return REAL(pcap_nametonetaddr)(name);
}

WPCAP_EXPORT int pcap_nametoport(const char *name, int *port, int *protocol)
{
	return REAL(pcap_nametoport)(name, port, protocol);
}

WPCAP_EXPORT int pcap_nametoportrange(const char *name, int *first, int *last, int *protocol)
{
	return REAL(pcap_nametoportrange)(name, first, last, protocol);
}

WPCAP_EXPORT int pcap_nametoproto(const char *name)
{
	return REAL(pcap_nametoproto)(name);
}

WPCAP_EXPORT struct pcap_etherent *pcap_next_etherent(FILE *file)
{
	return REAL(pcap_next_etherent)(file);
}

WPCAP_EXPORT u_char *pcap_ether_hostton(const char *name)
{
	return REAL(pcap_ether_hostton)(name);
}

WPCAP_EXPORT u_char *pcap_ether_aton(const char *text)
{
	return REAL(pcap_ether_aton)(text);
}
