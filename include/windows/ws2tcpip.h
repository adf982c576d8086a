/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and names of Windows sockets: those of Linux. */
#ifndef NPF_WS2TCPIP_H
#define NPF_WS2TCPIP_H

#include "winsock2.h"

#define InetNtopA            inet_ntop
#define InetNtop             inet_ntop
#define InetPtonA            inet_pton
#define InetPton             inet_pton
#define gai_strerrorA(error) gai_strerror(error)

#endif
