/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Windows sockets, as far as their names differ from everybody's. Include it before other headers
 * of the network where sin_addr.S_un is used.
 */
#ifndef NPF_WINSOCK2_H
#define NPF_WINSOCK2_H

/*
 * Windows' struct in_addr has further names for the same four bytes. The C library's header has
 * one line in the structure, "in_addr_t s_addr;": the first word becomes an empty bit-field, and
 * the rest what follows.
 */
#ifndef _NETINET_IN_H
#define s_addr                                                                                     \
	:                                                                                          \
	0;                                                                                         \
	union {                                                                                    \
		uint32_t s_addr;                                                                   \
		union {                                                                            \
			struct {                                                                   \
				uint8_t s_b1, s_b2, s_b3, s_b4;                                    \
			} S_un_b;                                                                  \
			struct {                                                                   \
				uint16_t s_w1, s_w2;                                               \
			} S_un_w;                                                                  \
			uint32_t S_addr;                                                           \
		} S_un;                                                                            \
	}
#include <netinet/in.h>
#undef s_addr
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "windows.h"

/* Windows has them here; so does <sys/types.h>, unless the compiler was told to keep to a standard. */
#ifndef __USE_MISC
typedef unsigned char u_char;
typedef unsigned short u_short;
typedef unsigned int u_int;
typedef unsigned long u_long;
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Macros, because libpcap's headers have them so. */
#ifndef SOCKET
#define SOCKET int
#endif
#ifndef INVALID_SOCKET
#define INVALID_SOCKET (-1)
#endif
#ifndef SOCKET_ERROR
#define SOCKET_ERROR (-1)
#endif
#ifndef closesocket
#define closesocket(s) close(s)
#endif

#define SD_RECEIVE SHUT_RD
#define SD_SEND    SHUT_WR
#define SD_BOTH    SHUT_RDWR

typedef struct sockaddr SOCKADDR, *PSOCKADDR, *LPSOCKADDR;
typedef struct sockaddr_in SOCKADDR_IN, *PSOCKADDR_IN, *LPSOCKADDR_IN;
typedef struct sockaddr_in6 SOCKADDR_IN6, *PSOCKADDR_IN6;
typedef struct sockaddr_storage SOCKADDR_STORAGE, *PSOCKADDR_STORAGE;
typedef struct in_addr IN_ADDR, *PIN_ADDR, *LPIN_ADDR;
typedef struct in6_addr IN6_ADDR, *PIN6_ADDR;
typedef struct hostent HOSTENT, *PHOSTENT, *LPHOSTENT;
typedef struct addrinfo ADDRINFO, *PADDRINFOA;
typedef struct timeval TIMEVAL;

#define WSADESCRIPTION_LEN 256
#define WSASYS_STATUS_LEN  128
typedef struct WSAData {
	WORD wVersion;
	WORD wHighVersion;
	char szDescription[WSADESCRIPTION_LEN + 1];
	char szSystemStatus[WSASYS_STATUS_LEN + 1];
	unsigned short iMaxSockets;
	unsigned short iMaxUdpDg;
	char *lpVendorInfo;
} WSADATA, *LPWSADATA;

#define WSAEINTR        EINTR
#define WSAEACCES       EACCES
#define WSAEINVAL       EINVAL
#define WSAEWOULDBLOCK  EWOULDBLOCK
#define WSAEINPROGRESS  EINPROGRESS
#define WSAEMSGSIZE     EMSGSIZE
#define WSAEADDRINUSE   EADDRINUSE
#define WSAENETDOWN     ENETDOWN
#define WSAECONNRESET   ECONNRESET
#define WSAENOBUFS      ENOBUFS
#define WSAETIMEDOUT    ETIMEDOUT
#define WSAECONNREFUSED ECONNREFUSED

static __inline int WSAStartup(WORD version, LPWSADATA data)
{
	memset(data, 0, sizeof(*data));
	data->wVersion = version;
	data->wHighVersion = MAKEWORD(2, 2);
	return 0;
}

static __inline int WSACleanup(void)
{
	return 0;
}

static __inline int WSAGetLastError(void)
{
	return errno;
}

static __inline void WSASetLastError(int error)
{
	errno = error;
}

/* FIONBIO and FIONREAD. */
static __inline int ioctlsocket(SOCKET s, long command, u_long *value)
{
	int n = (int)*value;
	int err = ioctl(s, (unsigned long)command, &n);

	*value = (u_long)n;
	return err;
}

#ifdef __cplusplus
}
#endif
#endif
