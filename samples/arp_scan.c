/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ARP scanner: asks every address of a range who has it, and writes the answers to the screen and into a
 * file. Ends when so many have answered, or with a key.
 *
 * Usage: arp_scan ADAPTER FIRST LAST FILE [HOW-MANY-ANSWERS]
 */
#define _CRT_SECURE_NO_WARNINGS
#include <Windows.h>
#include <process.h>
#include <conio.h>
#include <stdio.h>
#include <tchar.h>
#include <pcap.h>
#include <iphlpapi.h>

#pragma comment(lib, "wpcap.lib")
#pragma comment(lib, "ws2_32.lib")
#pragma comment(lib, "iphlpapi.lib")

#pragma pack(push, 1)
typedef struct _ARP_FRAME {
	BYTE to[6], from[6];
	WORD type, hardware, protocol;
	BYTE hardware_size, protocol_size;
	WORD operation;
	BYTE sender_mac[6];
	DWORD sender;
	BYTE target_mac[6];
	DWORD target;
} ARP_FRAME;
#pragma pack(pop)

typedef struct _SCANNER {
	pcap_t *handle;
	HANDLE log;
	DWORD answered; /* index of each thread's counter */
	LONG wanted;    /* 0: until a key is pressed */
	BYTE mac[6];
	DWORD address;
} SCANNER;

/* The adapter's own addresses, from the IP helper. */
static BOOL find_adapter(SCANNER *scanner, LPCTSTR name)
{
	PIP_ADAPTER_INFO all = NULL, at;
	ULONG size = 0;
	BOOL found = FALSE;

	if (GetAdaptersInfo(NULL, &size) == ERROR_BUFFER_OVERFLOW)
		all = (PIP_ADAPTER_INFO)HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, size);
	if (all && GetAdaptersInfo(all, &size) == NO_ERROR) {
		for (at = all; at && !found; at = at->Next) {
			if (_stricmp(at->AdapterName, name) != 0 || at->Type != MIB_IF_TYPE_ETHERNET)
				continue;
			CopyMemory(scanner->mac, at->Address, sizeof(scanner->mac));
			scanner->address = inet_addr(at->IpAddressList.IpAddress.String);
			found = TRUE;
		}
	}
	HeapFree(GetProcessHeap(), 0, all);
	return found;
}

static void ask(SCANNER *scanner, DWORD address)
{
	ARP_FRAME frame;

	ZeroMemory(&frame, sizeof(frame));
	FillMemory(frame.to, sizeof(frame.to), 0xFF);
	CopyMemory(frame.from, scanner->mac, sizeof(frame.from));
	frame.type = htons(0x0806);
	frame.hardware = htons(1);
	frame.protocol = htons(0x0800);
	frame.hardware_size = 6;
	frame.protocol_size = 4;
	frame.operation = htons(1);
	CopyMemory(frame.sender_mac, scanner->mac, sizeof(frame.sender_mac));
	frame.sender = scanner->address;
	frame.target = htonl(address);
	if (pcap_sendpacket(scanner->handle, (const u_char *)&frame, sizeof(frame)) != 0)
		_ftprintf(stderr, _T("sending: %s\n"), pcap_geterr(scanner->handle));
}

static void tell(SCANNER *scanner, const ARP_FRAME *frame)
{
	const BYTE *mac = frame->sender_mac;
	IN_ADDR address;
	CHAR line[80];
	DWORD written;
	int n;

	address.S_un.S_addr = frame->sender;
	n = sprintf_s(line, _countof(line), "%s is at %02x-%02x-%02x-%02x-%02x-%02x\n",
		      inet_ntoa(address), mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	_fputts(line, stdout);
	WriteFile(scanner->log, line, (DWORD)n, &written, NULL);
}

static unsigned int __stdcall receive(void *argument)
{
	SCANNER *scanner = (SCANNER *)argument;
	struct pcap_pkthdr *header;
	const u_char *data;

	TlsSetValue(scanner->answered, (LPVOID)0);
	while (pcap_next_ex(scanner->handle, &header, &data) >= 0) {
		const ARP_FRAME *frame = (const ARP_FRAME *)data;
		INT_PTR n = (INT_PTR)TlsGetValue(scanner->answered);

		if (header->caplen >= sizeof(ARP_FRAME) && ntohs(frame->operation) == 2) {
			tell(scanner, frame);
			TlsSetValue(scanner->answered, (LPVOID)++n);
		}
		if (scanner->wanted ? n >= scanner->wanted : _kbhit())
			return (unsigned int)n;
	}
	return (unsigned int)(INT_PTR)TlsGetValue(scanner->answered);
}

static BOOL open_adapter(SCANNER *scanner, LPCTSTR name)
{
	CHAR errbuf[PCAP_ERRBUF_SIZE], device[300];
	struct bpf_program program;

	sprintf_s(device, sizeof(device), "rpcap://\\Device\\NPF_%s", name);
	scanner->handle = pcap_open(device, 65536, PCAP_OPENFLAG_MAX_RESPONSIVENESS, 100, NULL,
				    errbuf);
	if (!scanner->handle) {
		_ftprintf(stderr, _T("%s\n"), errbuf);
		return FALSE;
	}
	if (pcap_compile(scanner->handle, &program, "arp", 1, PCAP_NETMASK_UNKNOWN) < 0)
		return FALSE;
	pcap_setfilter(scanner->handle, &program);
	pcap_freecode(&program);
	return TRUE;
}

/* "192.0.2.1", in the host's order. */
static BOOL read_address(LPCTSTR text, DWORD *address)
{
	UINT a, b, c, d;

	if (sscanf_s(text, "%u.%u.%u.%u", &a, &b, &c, &d) != 4 || (a | b | c | d) > 255)
		return FALSE;
	*address = a << 24 | b << 16 | c << 8 | d;
	return TRUE;
}

int _tmain(int argc, _TCHAR *argv[])
{
	SCANNER scanner = { 0 };
	DWORD first, last, answers = 0;
	HANDLE thread;

	if (argc < 5 || !read_address(argv[2], &first) || !read_address(argv[3], &last)) {
		_tprintf(_T("usage: arp_scan ADAPTER FIRST LAST FILE [HOW-MANY-ANSWERS]\n"));
		return 1;
	}
	scanner.wanted = argc > 5 ? _ttoi(argv[5]) : 0;
	if (!find_adapter(&scanner, argv[1]) || !open_adapter(&scanner, argv[1]))
		return 1;
	scanner.log = CreateFile(argv[4], GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS,
				 FILE_ATTRIBUTE_NORMAL, NULL);
	scanner.answered = TlsAlloc();
	if (scanner.log == INVALID_HANDLE_VALUE || scanner.answered == TLS_OUT_OF_INDEXES) {
		_ftprintf(stderr, _T("error %u\n"), GetLastError());
		return 1;
	}
	thread = (HANDLE)_beginthreadex(NULL, 0, receive, &scanner, 0, NULL);
	for (; first <= last; first++)
		ask(&scanner, first);
	WaitForSingleObject(thread, INFINITE);
	GetExitCodeThread(thread, &answers);
	CloseHandle(thread);
	TlsFree(scanner.answered);
	CloseHandle(scanner.log);
	pcap_close(scanner.handle);
	_tprintf(_T("%u answers\n"), answers);
	system("pause");
	return 0;
}
