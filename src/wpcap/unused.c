/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libpcap's handles that are never activated: NPF drives the adapter in their stead. libpcap 1.10 makes
 * an event for pcap_breakloop() at once, later versions when they activate, and does not close it with
 * such a handle: a program that opens captures again and again would run out of descriptors.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "wpcap/wpcap.h"

#define ID "eventfd-id:"

/* That of the tpacket hook, which opens nothing (host/linux/hook_tpacket.c). */
#define OUR_THREAD "npf-tpacket\n"

static ssize_t read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

/* Or gone. */
static bool is_ours(const char *task)
{
	char path[64], name[32];

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", task);
	if (read_text(path, name, sizeof(name)) < 0)
		return errno == ENOENT || errno == ESRCH;
	return !strcmp(name, OUR_THREAD);
}

/* No other thread opens anything. The C library does not forget that there was one. */
static bool is_alone(void)
{
	const struct dirent *task;
	bool alone = true;
	DIR *tasks;

	if (__libc_single_threaded)
		return true;
	tasks = opendir("/proc/self/task");
	if (!tasks)
		return false;
	while (alone && (task = readdir(tasks)) != NULL)
		alone = task->d_name[0] == '.' || atoi(task->d_name) == gettid() ||
			is_ours(task->d_name);
	closedir(tasks);
	return alone;
}

/* The one that the next call that makes one will get; -1: with other threads about nobody knows. */
static int next_descriptor(void)
{
	int fd = is_alone() ? eventfd(0, EFD_CLOEXEC) : -1;

	if (fd >= 0)
		close(fd);
	return fd;
}

/* What the kernel tells an event from others by; -1: it is none. */
static int event_id(int fd)
{
	char path[64], text[512];
	const char *at;
	int id;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (read_text(path, text, sizeof(text)) < 0)
		return -1;
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
