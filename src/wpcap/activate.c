/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing a live capture on NPF, in the steps of the original. */
#include <errno.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wpcap/dropin/dropin.h"
#include "wpcap/wpcap.h"

/* Unless the program says: a part of the machine's memory, between libpcap's 2 MiB and these. */
#define LEAST_BUFFER (2 << 20)
#define MOST_BUFFER  (16 << 20)
#define MEMORY_SHARE 256

/* What is asked for is rounded up to a page, as libpcap does: a few bytes would hold no packet. */
#define SMALLEST_BUFFER 4096

/* Wake the reader for so much of the buffer, and no more, unless time passes first. A wake-up costs
 * the sender as much as some twenty packets. */
#define BUFFER_SHARE 8
#define MIN_TO_COPY  (1 << 20)

/* A timeout of 0 promises nothing, a negative one is no wait; packets do not wait for ever though. */
#define FLUSH_MS 10

/* From <net/if_arp.h> of the kernel. */
#define HATYPE_RAWIP 519

/* ---- who drives ---------------------------------------------------------------------------- */

static bool driven(const struct npf_adapter *adapter)
{
	static const uint32_t kinds[] = { ARPHRD_ETHER,  ARPHRD_LOOPBACK, ARPHRD_NONE, HATYPE_RAWIP,
					  ARPHRD_TUNNEL, ARPHRD_TUNNEL6,  ARPHRD_SIT };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (adapter->hatype == kinds[i])
			return adapter->flags & NPF_ADAPTER_UP;
	}
	return false;
}

/* One that is down is libpcap's as well: it says so in its own words. */
bool wpcap_drives(const char *device)
{
	return device[0] && strcmp(device, "any") && !strchr(device, ':');
}

/* ---- opening ------------------------------------------------------------------------------- */

static int ask_adapter(pcap_t *p)
{
	struct npf_adapter adapter;
	NetType type;

	if (npf_instance_adapter(p->instance, &adapter) || !driven(&adapter) ||
	    !PacketGetNetType(p->adapter, &type))
		return -1;
	p->ethernet = adapter.hatype == ARPHRD_ETHER;
	p->ifindex = adapter.index;
	p->hatype = adapter.hatype;
	p->link_type = type.LinkType == NdisMediumIP ? DLT_RAW : DLT_EN10MB;
	p->adapter_dropped = wpcap_adapter_missed(p);
	return 0;
}

/* As libpcap, show what the adapter receives for others, be it promiscuous by another's wish or have no
 * filter; not as WinPcap. */
static BOOLEAN set_hw_filter(const pcap_t *p)
{
	ULONG bits = NPF_FILTER_DEFAULT;

	if (!p->options.only_its)
		bits |= NPF_FILTER_OTHERS;
	if (p->options.promiscuous)
		bits = NDIS_PACKET_TYPE_PROMISCUOUS;
	return PacketSetHwFilter(p->adapter, bits);
}

static BOOLEAN set_loopback(const pcap_t *p)
{
	return p->options.show_own || PacketSetLoopbackBehavior(p->adapter, NPF_DISABLE_LOOPBACK);
}

static int usual_buffer(void)
{
	long share = sysconf(_SC_PHYS_PAGES) / MEMORY_SHARE * sysconf(_SC_PAGESIZE);

	if (share < LEAST_BUFFER)
		return LEAST_BUFFER;
	return share < MOST_BUFFER ? (int)share : MOST_BUFFER;
}

/* With its buffer, so that there need not be another one. */
static void open_adapter(pcap_t *p)
{
	if (p->options.buffer_size > 0) {
		if (p->options.buffer_size < SMALLEST_BUFFER)
			p->options.buffer_size = SMALLEST_BUFFER;
		p->adapter = PacketOpenAdapterBuffered(p->device, p->options.buffer_size);
		return;
	}
	for (int bytes = usual_buffer(); bytes >= LEAST_BUFFER; bytes /= 2) {
		p->options.buffer_size = bytes;
		p->adapter = PacketOpenAdapterBuffered(p->device, bytes);
		if (p->adapter || errno != ENOMEM)
			return;
	}
}

BOOLEAN wpcap_set_min_to_copy(const pcap_t *p)
{
	int bytes = p->options.buffer_size / BUFFER_SHARE;

	if (bytes > MIN_TO_COPY)
		bytes = MIN_TO_COPY;
	return PacketSetMinToCopy(p->adapter, p->options.immediate ? 0 : bytes);
}

BOOLEAN wpcap_set_timeout(const pcap_t *p)
{
	return PacketSetReadTimeout(p->adapter,
				    p->options.timeout > 0 ? p->options.timeout : FLUSH_MS);
}

int wpcap_set_link_type(pcap_t *p, int type)
{
	pcap_t *dead = REAL(pcap_open_dead_with_tstamp_precision)(type, p->options.snaplen,
								  (u_int)p->options.precision);

	if (!dead)
		return -1;
	if (p->dead)
		REAL(pcap_close)(p->dead);
	p->dead = dead;
	p->link_type = type;
	return 0;
}

static int set_up(pcap_t *p)
{
	if (ask_adapter(p) || !set_hw_filter(p) || !set_loopback(p))
		return -1;
	p->packet = PacketAllocatePacket();
	if (!p->packet || !PacketSetBuff(p->adapter, p->options.buffer_size) ||
	    !wpcap_set_min_to_copy(p))
		return -1;
	if (p->options.snaplen <= 0 || p->options.snaplen > (int)WPCAP_LARGEST_SNAPLEN)
		p->options.snaplen = WPCAP_LARGEST_SNAPLEN;
	if (wpcap_install(p, NULL) || !wpcap_set_timeout(p))
		return -1;
	return wpcap_set_link_type(p, p->link_type);
}

static void close_adapter(pcap_t *p)
{
	PacketCloseAdapter(p->adapter);
	PacketFreePacket(p->packet);
	p->packet = NULL;
	p->adapter = NULL;
	p->instance = NULL;
}

/* Where a program that knows nothing of us is told what is at hand. */
static void find_at_hand(pcap_t *p)
{
	int fd = pcap_get_selectable_fd(p);

	if (npf_dropin_at_hand && fd >= 0 && fd < DROPIN_DESCRIPTORS)
		p->at_hand = &npf_dropin_at_hand[fd];
}

int pcap_activate_win32(pcap_t *p)
{
	WPCAP_TRACED(NULL);

	pcap_t *real = p->real;

	open_adapter(p);
	if (!p->adapter)
		return -1;
	p->instance = p->adapter->hFile;
	if (set_up(p)) {
		close_adapter(p);
		return -1;
	}
	p->real = NULL;
	__atomic_store_n(&p->reader, p->instance, __ATOMIC_RELEASE);
	find_at_hand(p);
	wpcap_take_over(p, real);
	return 0;
}

/* ---- closing ------------------------------------------------------------------------------- */

static void pcap_cleanup_live_common(pcap_t *p)
{
	WPCAP_TRACED(NULL);

	wpcap_forget_filters(p);
	free(p->untagged);
	free(p->last);
	REAL(pcap_close)(p->dead);
	if (p->compiler)
		REAL(pcap_close)(p->compiler);
}

void pcap_cleanup_win32(pcap_t *p)
{
	WPCAP_TRACED(NULL);

	wpcap_leave_batch(p);
	close_adapter(p);
	pcap_cleanup_live_common(p);
}
