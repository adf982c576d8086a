/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet.dll's interface on NPF for Linux: the thin library between programs and the driver.
 *
 * Names of adapters are those of Linux ("eth0"); "\Device\NPF_eth0" is the same adapter. A name may
 * be narrow or wide. Functions that return BOOLEAN return FALSE on failure and leave the reason in
 * errno (and so in GetLastError(), which tells it in Windows' numbers). An adapter belongs to one
 * thread at a time, but that PacketSendPacket(s), PacketGetStats(Ex) and the setters may run beside
 * a receiver. packet(3) is the manual page.
 */
#ifndef NPF_PACKET32_H
#define NPF_PACKET32_H

#include <winsock2.h>

#include <ntddndis.h>
#include <pcap/bpf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- constants ----------------------------------------------------------------------------- */

#define PACKET_MODE_CAPT      0x0 /* packets */
#define PACKET_MODE_STAT      0x1 /* statistics: one record per interval */
#define PACKET_MODE_MON       0x2 /* refused, as by every WinPcap since 4.0.2 */
#define PACKET_MODE_DUMP      0x10
#define PACKET_MODE_STAT_DUMP (PACKET_MODE_STAT | PACKET_MODE_DUMP)

#define NPF_DISABLE_LOOPBACK 1u /* do not capture what this instance sends */
#define NPF_ENABLE_LOOPBACK  2u /* capture it (default) */

#define ADAPTER_NAME_LENGTH   268
#define ADAPTER_DESC_LENGTH   128
#define MAX_MAC_ADDR_LENGTH   8
#define MAX_NETWORK_ADDRESSES 16
#define MAX_LINK_NAME_LENGTH  64

#define INFO_FLAG_NDIS_ADAPTER    0
#define INFO_FLAG_NDISWAN_ADAPTER 1
#define INFO_FLAG_DAG_CARD        2
#define INFO_FLAG_DAG_FILE        6
#define INFO_FLAG_DONT_EXPORT     8
#define INFO_FLAG_AIRPCAP_CARD    16
#define INFO_FLAG_NPFIM_DEVICE    32

/* NetType.LinkType of links that NDIS has no medium for. */
#define NdisMediumNull       (-1)
#define NdisMediumCHDLC      (-2)
#define NdisMediumPPPSerial  (-3)
#define NdisMediumBare80211  (-4)
#define NdisMediumRadio80211 (-5)
#define NdisMediumPpi        (-6)

/* PacketSetTimestampMode */
#define TIMESTAMPMODE_SINGLE_SYNCHRONIZATION  0
#define TIMESTAMPMODE_QUERYSYSTEMTIME         2
#define TIMESTAMPMODE_QUERYSYSTEMTIME_PRECISE 4

/* A record of PacketReceivePacket begins where the one before ended, rounded up. */
#define Packet_ALIGNMENT    sizeof(int)
#define Packet_WORDALIGN(x) (((x) + (Packet_ALIGNMENT - 1)) & ~(Packet_ALIGNMENT - 1))

/* ---- structures ---------------------------------------------------------------------------- */

typedef struct WAN_ADAPTER_INT WAN_ADAPTER, *PWAN_ADAPTER; /* dial-up through NetMon: never here */
typedef void *PAirpcapHandle;

/* An open adapter. Read it, do not write it. */
typedef struct _ADAPTER {
	HANDLE hFile; /* the driver's instance: struct npf_instance * of npf/npf.h */
	CHAR SymbolicLink[MAX_LINK_NAME_LENGTH]; /* empty, as in every WinPcap since 2006 */
	int NumWrites;                           /* PacketSetNumWrites */
	HANDLE ReadEvent;                        /* PacketGetReadEvent */
	UINT ReadTimeOut;                        /* PacketSetReadTimeout */
	CHAR Name[ADAPTER_NAME_LENGTH];
	PWAN_ADAPTER pWanAdapter; /* NULL */
	UINT Flags;               /* INFO_FLAG_NDIS_ADAPTER */
} ADAPTER, *LPADAPTER;

/* A group of packets under way. */
typedef struct _PACKET {
	HANDLE hEvent;         /* after PacketReceivePacket: the adapter's read event */
	OVERLAPPED OverLapped; /* not used */
	PVOID Buffer;
	UINT Length;           /* bytes of Buffer */
	DWORD ulBytesReceived; /* bytes of them that PacketReceivePacket filled */
	BOOLEAN bIoComplete;   /* not used */
} PACKET, *LPPACKET;

/* An OID request: Length bytes of Data. */
struct _PACKET_OID_DATA {
	ULONG Oid;
	ULONG Length;
	UCHAR Data[1];
};
typedef struct _PACKET_OID_DATA PACKET_OID_DATA, *PPACKET_OID_DATA;

typedef struct NetType {
	UINT LinkType;       /* NDIS medium, or one of the negative ones above */
	ULONGLONG LinkSpeed; /* bit/s; 0 where nobody knows */
} NetType;

typedef struct npf_if_addr {
	struct sockaddr_storage IPAddress;
	struct sockaddr_storage SubnetMask;
	struct sockaddr_storage Broadcast; /* ss_family 0 where there is none */
} npf_if_addr;

struct bpf_stat {
	UINT bs_recv;   /* packets before the filter */
	UINT bs_drop;   /* accepted and lost */
	UINT ps_ifdrop; /* lost before the filter */
	UINT bs_capt;   /* stored */
};

/* Time stamps of the driver have 2 x 32 bits, whatever struct timeval has. */
struct bpf_timeval {
	LONG tv_sec;
	LONG tv_usec;
};

/* Heads each packet in a buffer of PacketReceivePacket. */
struct bpf_hdr {
	struct bpf_timeval bh_tstamp;
	UINT bh_caplen;   /* bytes that follow */
	UINT bh_datalen;  /* bytes on the wire */
	USHORT bh_hdrlen; /* the packet begins here */
};

/* Heads each packet of a send queue and of a savefile. */
struct dump_bpf_hdr {
	struct bpf_timeval ts;
	UINT caplen;
	UINT len;
};

/* ---- the library --------------------------------------------------------------------------- */

extern char PacketLibraryVersion[64];
PCHAR PacketGetVersion(void);
PCHAR PacketGetDriverVersion(void);
PCHAR PacketGetDriverName(void);

/* Stop this process's driver. FALSE while an adapter is open. The next call that needs it starts it
 * again. */
BOOL PacketStopDriver(void);

/* ---- adapters ------------------------------------------------------------------------------ */

/* Names, each with its NUL, one more NUL, descriptions in the same manner. FALSE with
 * ERROR_INSUFFICIENT_BUFFER and the bytes needed in *size when it does not fit. */
BOOLEAN PacketGetAdapterNames(PCHAR names, PULONG size);

/* *n: in the entries of addresses, out how many were filled. */
BOOLEAN PacketGetNetInfoEx(PCHAR adapter, npf_if_addr *addresses, PLONG n);
BOOLEAN PacketIsLoopbackAdapter(PCCH adapter);

/* Monitor mode: 1 yes, 0 no, -1 no such adapter. NPF does not switch it (iw does): setting
 * succeeds, with 1, when it is already as wished. */
int PacketIsMonitorModeSupported(PCCH adapter);
int PacketSetMonitorMode(PCCH adapter, int mode);
int PacketGetMonitorMode(PCCH adapter);

/* NULL with ERROR_BAD_UNIT when there is none of that name. After it: no buffer (receiving fails
 * until PacketSetBuff), capture mode, no filter, reads wait for ever, one copy per write. */
LPADAPTER PacketOpenAdapter(PCHAR adapter);
/* Of NPF for Linux: the same, with a buffer of so many bytes from the beginning. PacketSetBuff of that size
 * then only empties it, which is quicker than making one. NULL with ERROR_NOT_ENOUGH_MEMORY: ask for less. */
LPADAPTER PacketOpenAdapterBuffered(PCHAR adapter, int bytes);
void PacketCloseAdapter(LPADAPTER adapter); /* NULL is fine */
BOOLEAN PacketGetNetType(LPADAPTER adapter, NetType *type);
PAirpcapHandle PacketGetAirPcapHandle(LPADAPTER adapter); /* NULL */

/* The last failure of an adapter as a sentence, until the next call on it; with NULL that of this
 * thread's last call without one, PacketOpenAdapter among them. */
PCCH PacketGetErrorText(const ADAPTER *adapter);

/* ---- packets ------------------------------------------------------------------------------- */

LPPACKET PacketAllocatePacket(void);
void PacketInitPacket(LPPACKET packet, PVOID buffer, UINT length);
void PacketFreePacket(LPPACKET packet); /* not the buffer */

/* Sync is ignored, as it was: all of them return when it is done. */
BOOLEAN PacketReceivePacket(LPADAPTER adapter, LPPACKET packet, BOOLEAN Sync);
BOOLEAN PacketSendPacket(LPADAPTER adapter, LPPACKET packet, BOOLEAN Sync);

/* Send a queue: packets headed by struct dump_bpf_hdr, without padding. Sync: at the distances of
 * their time stamps. Bytes sent; less than size is an error. */
INT PacketSendPackets(LPADAPTER adapter, PVOID packets, ULONG size, BOOLEAN Sync);

/* ---- settings ------------------------------------------------------------------------------ */

BOOLEAN PacketSetHwFilter(LPADAPTER adapter, ULONG filter); /* NDIS_PACKET_TYPE_* */
BOOLEAN PacketSetBuff(LPADAPTER adapter, int bytes);        /* of the circular buffer */
BOOLEAN PacketSetMinToCopy(LPADAPTER adapter, int bytes);
BOOLEAN PacketSetReadTimeout(LPADAPTER adapter, int ms); /* -1 no waiting, 0 for ever */
BOOLEAN PacketSetBpf(LPADAPTER adapter, struct bpf_program *program);
INT PacketSetSnapLen(LPADAPTER adapter, int snaplen); /* 0, no effect: filters decide */
BOOLEAN PacketSetMode(LPADAPTER adapter, int mode);
BOOLEAN PacketSetNumWrites(LPADAPTER adapter, int n);
BOOLEAN PacketSetLoopbackBehavior(LPADAPTER adapter, UINT behaviour);
BOOLEAN PacketSetTimestampMode(LPADAPTER adapter, ULONG mode);
/* modes[0]: in the entries of modes, out the number of modes that follow it. */
BOOLEAN PacketGetTimestampModes(LPADAPTER adapter, PULONG modes);

BOOLEAN PacketRequest(LPADAPTER adapter, BOOLEAN Set, PPACKET_OID_DATA data);
BOOLEAN PacketGetStats(LPADAPTER adapter, struct bpf_stat *stats); /* bs_recv and bs_drop */
BOOLEAN PacketGetStatsEx(LPADAPTER adapter, struct bpf_stat *stats);

/* An epoll descriptor in a HANDLE (NPF_HANDLE_DESCRIPTOR): readable exactly while receiving would
 * not wait. poll, select, epoll and WaitForSingleObject take it. It is the adapter's. */
HANDLE PacketGetReadEvent(LPADAPTER adapter);

/* ---- dump to disk -------------------------------------------------------------------------- */

/* In PACKET_MODE_DUMP. length: bytes of a wide name; a narrow one ends at its NUL. */
BOOLEAN PacketSetDumpName(LPADAPTER adapter, void *name, int length);
BOOLEAN PacketSetDumpLimits(LPADAPTER adapter, UINT max_bytes, UINT max_packets); /* 0: none */
/* sync: wait for the end. TRUE also when the driver cannot tell; FALSE where no dump was started. */
BOOLEAN PacketIsDumpEnded(LPADAPTER adapter, BOOLEAN sync);

#ifdef __cplusplus
}
#endif
#endif
