/* SPDX-License-Identifier: BSD-3-Clause */
/* Every public header in C++. */
#include <Packet32.h>
#include <Win32-Extensions.h>
#include <basetsd.h>
#include <conio.h>
#include <direct.h>
#include <fileapi.h>
#include <io.h>
#include <iphlpapi.h>
#include <mmsystem.h>
#include <ntddndis.h>
#include <npf/npf.h>
#include <pcap-stdinc.h>
#include <pcap.h>
#include <process.h>
#include <remote-ext.h>
#include <tchar.h>
#include <winbase.h>
#include <windows.h>
#include <winnt.h>
#include <winsock.h>
#include <winsock2.h>
#include <ws2tcpip.h>

#pragma comment(lib, "wpcap.lib")

int _tmain(int, _TCHAR *[])
{
	SOCKADDR_IN address = {};
	WSADATA data;

	address.sin_addr.S_un.S_addr = htonl(INADDR_LOOPBACK);
	if (address.sin_addr.s_addr != address.sin_addr.S_un.S_addr)
		return 1;
	return WSAStartup(MAKEWORD(2, 2), &data) || !PacketGetVersion() || !npf_version();
}
