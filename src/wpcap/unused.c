/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libpcap's handles that are never activated: NPF drives the adapter in their stead. libpcap 1.10 makes
 * an event for pcap_breakloop() at once, later versions when they activate, and does not close it with
 * such a handle: a program that opens captures again and again would run out of descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "wpcap/wpcap.h"

#define ID "eventfd-id:"

/* The one that the next call that makes one will get; -1: with other threads about nobody knows. */
static int next_descriptor(void)
{
	int fd = __libc_single_threaded ? eventfd(0, EFD_CLOEXEC) : -1;

	if (fd >= 0)
		close(fd);
	return fd;
}

/* What the kernel tells an event from others by; -1: it is none. */
static int event_id(int fd)
{
	char path[64], text[512];
	const char *at;
	ssize_t n;
	int info, id;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -1;
	n = read(info, text, sizeof(text) - 1);
	close(info);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, ID);
	return at && sscanf(at, ID "%d", &id) == 1 ? id : -1;
}

pcap_t *wpcap_create_unused(const char *device, char *errbuf, struct wpcap_event *event)
{
	int next = next_descriptor();
	pcap_t *real = REAL(pcap_create)(device, errbuf);

	*event = (struct wpcap_event){ next, real && next >= 0 ? event_id(next) : -1 };
	return real;
}

/* libpcap forgot it if it is there afterwards. Programs show errno after pcap_open_live(): it is libpcap's. */
void wpcap_close_unused(pcap_t *real, const struct wpcap_event *event)
{
	int err;

	REAL(pcap_close)(real);
	err = errno;
	if (event->id >= 0 && event_id(event->fd) == event->id)
		close(event->fd);
	errno = err;
}
