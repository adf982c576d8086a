/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Source strings ("rpcap://eth0", "file://trace.pcap"), and opening and listing by them. Captures on
 * other hosts are not part of this library.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "wpcap/wpcap.h"

#define REFUSE_REMOTE "captures on other hosts are not part of this library"

/* ---- taking apart -------------------------------------------------------------------------- */

struct source {
	int type;
	char host[PCAP_BUF_SIZE], port[PCAP_BUF_SIZE], name[PCAP_BUF_SIZE];
};

static int refuse(char *errbuf, const char *sentence)
{
	if (errbuf)
		snprintf(errbuf, PCAP_ERRBUF_SIZE, "%s", sentence);
	return -1;
}

static void cut(char *to, const char *from, size_t n)
{
	if (n > PCAP_BUF_SIZE - 1)
		n = PCAP_BUF_SIZE - 1;
	memcpy(to, from, n);
	to[n] = '\0';
}

/* "host", "host:port", "[host]", "[host]:port" of n bytes. */
static int parse_host(struct source *source, const char *from, size_t n, char *errbuf)
{
	const char *end = from + n, *host_end, *colon;

	if (from[0] == '[') {
		host_end = memchr(from, ']', n);
		if (!host_end)
			return refuse(errbuf, "the bracket of the host is not closed");
		cut(source->host, from + 1, (size_t)(host_end - from - 1));
		colon = ++host_end < end ? host_end : NULL;
		if (colon && *colon != ':')
			return refuse(errbuf, "only a colon and a port may follow the host");
	} else {
		colon = memchr(from, ':', n);
		if (colon && memchr(colon + 1, ':', (size_t)(end - colon - 1)))
			return refuse(errbuf, "an address of IPv6 wants brackets around it");
		cut(source->host, from, colon ? (size_t)(colon - from) : n);
	}
	if (colon && colon + 1 == end)
		return refuse(errbuf, "the port is missing after the colon");
	if (colon)
		cut(source->port, colon + 1, (size_t)(end - colon - 1));
	return 0;
}

static int parse_interface(struct source *source, const char *rest, char *errbuf)
{
	const char *slash = strchr(rest, '/');

	source->type = slash ? PCAP_SRC_IFREMOTE : PCAP_SRC_IFLOCAL;
	if (!slash) {
		cut(source->name, rest, strlen(rest));
		return 0;
	}
	cut(source->name, slash + 1, strlen(slash + 1));
	if (slash == rest) /* rpcap:///eth0 */
		source->type = PCAP_SRC_IFLOCAL;
	return slash == rest ? 0 : parse_host(source, rest, (size_t)(slash - rest), errbuf);
}

static int parse(struct source *source, const char *from, char *errbuf)
{
	static const struct {
		const char *scheme;
		bool file;
	} schemes[] = { { PCAP_SRC_FILE_STRING, true },
			{ PCAP_SRC_IF_STRING, false },
			{ "rpcaps://", false } };

	memset(source, 0, sizeof(*source));
	if (!from)
		from = "";
	if (strlen(from) >= PCAP_BUF_SIZE)
		return refuse(errbuf, "the source string is too long");
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t n = strlen(schemes[i].scheme);

		if (strncasecmp(from, schemes[i].scheme, n))
			continue;
		if (!schemes[i].file)
			return parse_interface(source, from + n, errbuf);
		source->type = PCAP_SRC_FILE;
		cut(source->name, from + n, strlen(from + n));
		return 0;
	}
	/* An adapter's name alone. */
	source->type = PCAP_SRC_IFLOCAL;
	cut(source->name, from, strlen(from));
	return 0;
}

static void give(char *to, const char *from)
{
	if (to)
		memcpy(to, from, strlen(from) + 1);
}

WPCAP_EXPORT int pcap_parsesrcstr(const char *from, int *type, char *host, char *port, char *name,
				  char *errbuf)
{
	struct source source;

	if (parse(&source, from, errbuf))
		return -1;
	/* A list of a host's adapters names none, but is not parsed here. */
	if (source.type == PCAP_SRC_IFREMOTE && !source.name[0])
		return refuse(errbuf, "the adapter is missing after the host");
	if (type)
		*type = source.type;
	give(host, source.host);
	give(port, source.port);
	give(name, source.name);
	return 0;
}

/* ---- putting together ---------------------------------------------------------------------- */

WPCAP_EXPORT int pcap_createsrcstr(char *source, int type, const char *host, const char *port,
				   const char *name, char *errbuf)
{
	bool bracket = host && strchr(host, ':') && host[0] != '[';
	const char *shown = name ? name : "";

	switch (type) {
	case PCAP_SRC_FILE:
		if (!shown[0])
			return refuse(errbuf, "the name of the file is missing");
		snprintf(source, PCAP_BUF_SIZE, PCAP_SRC_FILE_STRING "%.1000s", shown);
		return 0;
	case PCAP_SRC_IFLOCAL:
		snprintf(source, PCAP_BUF_SIZE, PCAP_SRC_IF_STRING "%s", shown);
		return 0;
	case PCAP_SRC_IFREMOTE:
		if (!host || !host[0])
			return refuse(errbuf, "the name of the host is missing");
		snprintf(source, PCAP_BUF_SIZE, PCAP_SRC_IF_STRING "%s%s%s%s%s/%s",
			 bracket ? "[" : "", host, bracket ? "]" : "", port && port[0] ? ":" : "",
			 port ? port : "", shown);
		return 0;
	}
	return refuse(errbuf, "there is no such type of source");
}

/* ---- opening ------------------------------------------------------------------------------- */

static pcap_t *open_local(const char *name, int snaplen, int flags, int ms, char *errbuf)
{
	pcap_t *p = pcap_create(name, errbuf);
	int status;

	if (!p)
		return NULL;
	pcap_set_snaplen(p, snaplen);
	pcap_set_promisc(p, flags & PCAP_OPENFLAG_PROMISCUOUS);
	pcap_set_timeout(p, ms);
	if (flags & PCAP_OPENFLAG_MAX_RESPONSIVENESS)
		pcap_set_immediate_mode(p, 1);
	p->options.show_own = !(flags & PCAP_OPENFLAG_NOCAPTURE_LOCAL);
	p->options.only_its = true;
	status = pcap_activate(p);
	if (status >= 0)
		return p;
	snprintf(errbuf, PCAP_ERRBUF_SIZE, "%.60s: %s (%.100s)", name, pcap_statustostr(status),
		 pcap_geterr(p));
	pcap_close(p);
	return NULL;
}

WPCAP_EXPORT pcap_t *pcap_open(const char *from, int snaplen, int flags, int ms,
			       struct pcap_rmtauth *auth, char *errbuf)
{
	WPCAP_TRACED(from);

	struct source source;

	(void)auth;
	if (parse(&source, from, errbuf))
		return NULL;
	switch (source.type) {
	case PCAP_SRC_FILE:
		return pcap_open_offline(source.name, errbuf);
	case PCAP_SRC_IFLOCAL:
		return open_local(source.name, snaplen, flags, ms, errbuf);
	}
	refuse(errbuf, REFUSE_REMOTE);
	return NULL;
}

/* ---- listing ------------------------------------------------------------------------------- */

/* printf into new memory; NULL when it is short. */
static char *print(const char *format, const char *a, const char *b)
{
	char *text;

	return asprintf(&text, format, a, b) < 0 ? NULL : text;
}

static int rename_device(pcap_if_t *device)
{
	char *name = print("%s%s", PCAP_SRC_IF_STRING, device->name);
	char *description = print("%s '%s' on local host", "Network adapter",
				  device->description ? device->description : device->name);

	if (!name || !description) {
		free(name);
		free(description);
		return -1;
	}
	/* libpcap frees with free(). */
	free(device->name);
	free(device->description);
	device->name = name;
	device->description = description;
	return 0;
}

static int list_local(pcap_if_t **devices, char *errbuf)
{
	if (REAL(pcap_findalldevs)(devices, errbuf))
		return -1;
	for (pcap_if_t *device = *devices; device; device = device->next) {
		if (!rename_device(device))
			continue;
		pcap_freealldevs(*devices);
		*devices = NULL;
		return refuse(errbuf, "memory is short");
	}
	return *devices ? 0
			: refuse(errbuf, "No interfaces found! Make sure libpcap/WinPcap is "
					 "properly installed on the local machine.");
}

static bool is_savefile(const char *path)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	struct stat file;
	pcap_t *p;

	if (stat(path, &file) || !S_ISREG(file.st_mode))
		return false;
	p = REAL(pcap_open_offline)(path, errbuf);
	if (p)
		REAL(pcap_close)(p);
	return p;
}

static pcap_if_t *new_file(const char *path)
{
	pcap_if_t *device = calloc(1, sizeof(*device));

	if (!device)
		return NULL;
	device->name = print("%s%s", PCAP_SRC_FILE_STRING, path);
	device->description = print("%s '%s' from local host", "File", path);
	if (device->name && device->description)
		return device;
	pcap_freealldevs(device);
	return NULL;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int list_files(const char *folder, pcap_if_t **devices, char *errbuf)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, by_name);
	int result = 0;

	*devices = NULL;
	if (n < 0) {
		snprintf(errbuf, PCAP_ERRBUF_SIZE, "%.150s: %s", folder, strerror(errno));
		return -1;
	}
	for (int i = 0; i < n; i++) {
		char *path = print("%s/%s", folder, entries[i]->d_name);

		if (path && !result && is_savefile(path)) {
			*devices = new_file(path);
			result = *devices ? 0 : refuse(errbuf, "memory is short");
			if (*devices)
				devices = &(*devices)->next;
		}
		free(path);
		free(entries[i]);
	}
	free(entries);
	return result;
}

WPCAP_EXPORT int pcap_findalldevs_ex(const char *from, struct pcap_rmtauth *auth,
				     pcap_if_t **devices, char *errbuf)
{
	struct source source;

	(void)auth;
	*devices = NULL;
	if (parse(&source, from, errbuf))
		return -1;
	switch (source.type) {
	case PCAP_SRC_FILE:
		return list_files(source.name, devices, errbuf);
	case PCAP_SRC_IFLOCAL:
		return list_local(devices, errbuf);
	}
	return refuse(errbuf, REFUSE_REMOTE);
}
