/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NDIS as seen by programs: media, object identifiers, bits of the packet filter. The numbers are
 * the driver's (npf/ioctl.h says which identifiers it answers).
 */
#ifndef NPF_NTDDNDIS_H
#define NPF_NTDDNDIS_H

#include "windef.h"

typedef ULONG NDIS_OID, *PNDIS_OID;

typedef enum _NDIS_MEDIUM {
	NdisMedium802_3 = 0,
	NdisMedium802_5 = 1,
	NdisMediumFddi = 2,
	NdisMediumWan = 3,
	NdisMediumLocalTalk = 4,
	NdisMediumDix = 5,
	NdisMediumArcnetRaw = 6,
	NdisMediumArcnet878_2 = 7,
	NdisMediumAtm = 8,
	NdisMediumWirelessWan = 9,
	NdisMediumNative802_11 = 16,
	NdisMediumLoopback = 17,
	NdisMediumIP = 19
} NDIS_MEDIUM,
	*PNDIS_MEDIUM;

#define NDIS_PACKET_TYPE_DIRECTED       0x00000001u
#define NDIS_PACKET_TYPE_MULTICAST      0x00000002u
#define NDIS_PACKET_TYPE_ALL_MULTICAST  0x00000004u
#define NDIS_PACKET_TYPE_BROADCAST      0x00000008u
#define NDIS_PACKET_TYPE_SOURCE_ROUTING 0x00000010u
#define NDIS_PACKET_TYPE_PROMISCUOUS    0x00000020u
#define NDIS_PACKET_TYPE_SMT            0x00000040u
#define NDIS_PACKET_TYPE_ALL_LOCAL      0x00000080u
#define NDIS_PACKET_TYPE_GROUP          0x00001000u

#define OID_GEN_SUPPORTED_LIST        0x00010101u
#define OID_GEN_HARDWARE_STATUS       0x00010102u
#define OID_GEN_MEDIA_SUPPORTED       0x00010103u
#define OID_GEN_MEDIA_IN_USE          0x00010104u
#define OID_GEN_MAXIMUM_LOOKAHEAD     0x00010105u
#define OID_GEN_MAXIMUM_FRAME_SIZE    0x00010106u
#define OID_GEN_LINK_SPEED            0x00010107u
#define OID_GEN_VENDOR_ID             0x0001010Cu
#define OID_GEN_VENDOR_DESCRIPTION    0x0001010Du
#define OID_GEN_CURRENT_PACKET_FILTER 0x0001010Eu
#define OID_GEN_CURRENT_LOOKAHEAD     0x0001010Fu
#define OID_GEN_DRIVER_VERSION        0x00010110u
#define OID_GEN_MAXIMUM_TOTAL_SIZE    0x00010111u
#define OID_GEN_MEDIA_CONNECT_STATUS  0x00010114u
#define OID_GEN_XMIT_OK               0x00020101u
#define OID_GEN_RCV_OK                0x00020102u
#define OID_GEN_XMIT_ERROR            0x00020103u
#define OID_GEN_RCV_ERROR             0x00020104u
#define OID_GEN_RCV_NO_BUFFER         0x00020105u
#define OID_802_3_PERMANENT_ADDRESS   0x01010101u
#define OID_802_3_CURRENT_ADDRESS     0x01010102u

#endif
