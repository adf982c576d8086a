/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IP helper's list of adapters, by which programs find their own addresses and the gateway. The
 * names are those of Linux, so that "\\Device\\NPF_" before one is a name for pcap_open().
 */
#ifndef NPF_IPHLPAPI_H
#define NPF_IPHLPAPI_H

#include <winsock2.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAX_ADAPTER_DESCRIPTION_LENGTH 128
#define MAX_ADAPTER_NAME_LENGTH        256
#define MAX_ADAPTER_ADDRESS_LENGTH     8

#define MIB_IF_TYPE_OTHER    1
#define MIB_IF_TYPE_ETHERNET 6
#define MIB_IF_TYPE_PPP      23
#define MIB_IF_TYPE_LOOPBACK 24

typedef struct {
	char String[16];
} IP_ADDRESS_STRING, *PIP_ADDRESS_STRING, IP_MASK_STRING, *PIP_MASK_STRING;

typedef struct _IP_ADDR_STRING {
	struct _IP_ADDR_STRING *Next;
	IP_ADDRESS_STRING IpAddress; /* "0.0.0.0": none */
	IP_MASK_STRING IpMask;
	DWORD Context;
} IP_ADDR_STRING, *PIP_ADDR_STRING;

typedef struct _IP_ADAPTER_INFO {
	struct _IP_ADAPTER_INFO *Next;
	DWORD ComboIndex;
	char AdapterName[MAX_ADAPTER_NAME_LENGTH + 4];
	char Description[MAX_ADAPTER_DESCRIPTION_LENGTH + 4]; /* the name */
	UINT AddressLength;
	BYTE Address[MAX_ADAPTER_ADDRESS_LENGTH];
	DWORD Index;
	UINT Type;
	UINT DhcpEnabled; /* 0, and no server: the system does not know */
	PIP_ADDR_STRING CurrentIpAddress;
	IP_ADDR_STRING IpAddressList;
	IP_ADDR_STRING GatewayList;
	IP_ADDR_STRING DhcpServer;
	BOOL HaveWins;
	IP_ADDR_STRING PrimaryWinsServer;
	IP_ADDR_STRING SecondaryWinsServer;
	time_t LeaseObtained;
	time_t LeaseExpires;
} IP_ADAPTER_INFO, *PIP_ADAPTER_INFO;

/* All but loopback, with their IPv4 addresses. NO_ERROR; ERROR_BUFFER_OVERFLOW, and *size is what it
 * takes; ERROR_NO_DATA where there are none. */
DWORD GetAdaptersInfo(PIP_ADAPTER_INFO adapters, PULONG size);

#ifdef __cplusplus
}
#endif
#endif
