/* SPDX-License-Identifier: BSD-3-Clause */
/* Handles: how they begin and end, their options, and what both kinds answer. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wpcap/wpcap.h"

/* ---- texts --------------------------------------------------------------------------------- */

int wpcap_fail(pcap_t *p, int result, const char *format, ...)
{
	/* Where pcap_geterr() looks: libpcap shows its buffer, of the same size. */
	char *to = p->real ? REAL(pcap_geterr)(p->real) : p->error;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(to, PCAP_ERRBUF_SIZE, format, arguments);
	va_end(arguments);
	return result;
}

int wpcap_fail_adapter(pcap_t *p, int result, const char *doing)
{
	return wpcap_fail(p, result, "%s: %s", doing, PacketGetErrorText(p->adapter));
}

int wpcap_fail_as(pcap_t *p, int result, pcap_t *worker)
{
	return wpcap_fail(p, result, "%s", REAL(pcap_geterr)(worker));
}

WPCAP_EXPORT char *pcap_geterr(pcap_t *p)
{
	return p->real ? REAL(pcap_geterr)(p->real) : p->error;
}

WPCAP_EXPORT void pcap_perror(pcap_t *p, const char *prefix)
{
	fprintf(stderr, "%s: %s\n", prefix, pcap_geterr(p));
}

/* ---- beginning ----------------------------------------------------------------------------- */

pcap_t *wpcap_wrap(pcap_t *real, char *errbuf)
{
	const char *missing = wpcap_real_missing();
	pcap_t *p;

	if (!real) {
		if (missing && errbuf)
			snprintf(errbuf, PCAP_ERRBUF_SIZE, "%s", missing);
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (p) {
		p->real = p->real_reader = real;
		p->event.id = -1;
		return p;
	}
	REAL(pcap_close)(real);
	if (errbuf)
		snprintf(errbuf, PCAP_ERRBUF_SIZE, "malloc: %s", strerror(errno));
	return NULL;
}

static pcap_t *pcap_create_common(const char *device, char *errbuf)
{
	WPCAP_TRACED(device);

	struct wpcap_event event;
	pcap_t *p = wpcap_wrap(wpcap_create_unused(device, errbuf, &event), errbuf);

	if (!p)
		return NULL;
	p->event = event;
	p->real_reader = NULL;
	p->device = strdup(device ? device : "any");
	if (!p->device) {
		pcap_close(p);
		snprintf(errbuf, PCAP_ERRBUF_SIZE, "malloc: %s", strerror(errno));
		return NULL;
	}
	p->options.timeout = 0;
	p->options.tstamp_type = -1;
	p->options.precision = PCAP_TSTAMP_PRECISION_MICRO;
	return p;
}

WPCAP_EXPORT pcap_t *pcap_create(const char *device, char *errbuf)
{
	WPCAP_TRACED(NULL);

	return pcap_create_common(device, errbuf);
}

WPCAP_EXPORT pcap_t *pcap_open_dead(int link_type, int snaplen)
{
	return wpcap_wrap(REAL(pcap_open_dead)(link_type, snaplen), NULL);
}

WPCAP_EXPORT pcap_t *pcap_open_dead_with_tstamp_precision(int link_type, int snaplen,
							  u_int precision)
{
	return wpcap_wrap(REAL(pcap_open_dead_with_tstamp_precision)(link_type, snaplen, precision),
			  NULL);
}

WPCAP_EXPORT pcap_t *pcap_open_offline(const char *name, char *errbuf)
{
	return wpcap_wrap(REAL(pcap_open_offline)(name, errbuf), errbuf);
}

WPCAP_EXPORT pcap_t *pcap_open_offline_with_tstamp_precision(const char *name, u_int precision,
							     char *errbuf)
{
	return wpcap_wrap(REAL(pcap_open_offline_with_tstamp_precision)(name, precision, errbuf),
			  errbuf);
}

WPCAP_EXPORT pcap_t *pcap_fopen_offline(FILE *file, char *errbuf)
{
	return wpcap_wrap(REAL(pcap_fopen_offline)(file, errbuf), errbuf);
}

WPCAP_EXPORT pcap_t *pcap_fopen_offline_with_tstamp_precision(FILE *file, u_int precision,
							      char *errbuf)
{
	return wpcap_wrap(REAL(pcap_fopen_offline_with_tstamp_precision)(file, precision, errbuf),
			  errbuf);
}

WPCAP_EXPORT pcap_t *pcap_hopen_offline(intptr_t handle, char *errbuf)
{
	FILE *file = fdopen((int)handle, "rb");

	if (file)
		return pcap_fopen_offline(file, errbuf);
	snprintf(errbuf, PCAP_ERRBUF_SIZE, "descriptor %d: %s", (int)handle, strerror(errno));
	return NULL;
}

/* ---- options: libpcap says whether they are in order ---------------------------------------- */

/* Set with libpcap while it has the handle; keep what was accepted. */
#define SET_OPTION(p, call, member, value)                                                         \
	int result = (p)->real ? (call) : PCAP_ERROR_ACTIVATED;                                    \
                                                                                                   \
	if (!(p)->real)                                                                            \
		wpcap_fail((p), 0, "can't perform  operation on activated capture");               \
	if (!result)                                                                               \
		(p)->options.member = (value);                                                     \
	return result

WPCAP_EXPORT int pcap_set_snaplen(pcap_t *p, int snaplen)
{
	SET_OPTION(p, REAL(pcap_set_snaplen)(p->real, snaplen), snaplen, snaplen);
}

WPCAP_EXPORT int pcap_set_promisc(pcap_t *p, int promisc)
{
	SET_OPTION(p, REAL(pcap_set_promisc)(p->real, promisc), promiscuous, promisc);
}

WPCAP_EXPORT int pcap_set_rfmon(pcap_t *p, int rfmon)
{
	SET_OPTION(p, REAL(pcap_set_rfmon)(p->real, rfmon), rfmon, rfmon);
}

WPCAP_EXPORT int pcap_set_timeout(pcap_t *p, int ms)
{
	SET_OPTION(p, REAL(pcap_set_timeout)(p->real, ms), timeout, ms);
}

WPCAP_EXPORT int pcap_set_immediate_mode(pcap_t *p, int immediate)
{
	SET_OPTION(p, REAL(pcap_set_immediate_mode)(p->real, immediate), immediate, immediate);
}

WPCAP_EXPORT int pcap_set_buffer_size(pcap_t *p, int bytes)
{
	SET_OPTION(p, REAL(pcap_set_buffer_size)(p->real, bytes), buffer_size, bytes);
}

WPCAP_EXPORT int pcap_set_tstamp_type(pcap_t *p, int type)
{
	SET_OPTION(p, REAL(pcap_set_tstamp_type)(p->real, type), tstamp_type, type);
}

WPCAP_EXPORT int pcap_set_tstamp_precision(pcap_t *p, int precision)
{
	SET_OPTION(p, REAL(pcap_set_tstamp_precision)(p->real, precision), precision, precision);
}

WPCAP_EXPORT int pcap_set_protocol_linux(pcap_t *p, int protocol)
{
	SET_OPTION(p, REAL(pcap_set_protocol_linux)(p->real, protocol), protocol, protocol);
}

/* Questions about a device that libpcap answers before it is opened. */
static pcap_t *ask_again(pcap_t *p, struct wpcap_event *event)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *other = wpcap_create_unused(p->device, errbuf, event);

	if (!other)
		wpcap_fail(p, 0, "%s", errbuf);
	return other;
}

WPCAP_EXPORT int pcap_can_set_rfmon(pcap_t *p)
{
	pcap_t *other;
	struct wpcap_event event;
	int result;

	if (p->real)
		return REAL(pcap_can_set_rfmon)(p->real);
	other = ask_again(p, &event);
	if (!other)
		return PCAP_ERROR;
	result = REAL(pcap_can_set_rfmon)(other);
	if (result < 0)
		wpcap_fail_as(p, result, other);
	wpcap_close_unused(other, &event);
	return result;
}

WPCAP_EXPORT int pcap_list_tstamp_types(pcap_t *p, int **types)
{
	pcap_t *other;
	struct wpcap_event event;
	int n;

	if (p->real)
		return REAL(pcap_list_tstamp_types)(p->real, types);
	other = ask_again(p, &event);
	if (!other)
		return PCAP_ERROR;
	n = REAL(pcap_list_tstamp_types)(other, types);
	if (n < 0)
		wpcap_fail_as(p, n, other);
	wpcap_close_unused(other, &event);
	return n;
}

WPCAP_EXPORT int pcap_get_tstamp_precision(pcap_t *p)
{
	return p->real ? REAL(pcap_get_tstamp_precision)(p->real) : p->options.precision;
}

/* ---- activation ---------------------------------------------------------------------------- */

/* What NPF does not do is libpcap's: monitor mode, adapters' own clocks, one protocol only. */
static bool drives(const pcap_t *p)
{
	const struct options *options = &p->options;

	return p->device && !options->rfmon && !options->protocol && options->tstamp_type <= 0 &&
	       wpcap_drives(p->device);
}

/* Whoever breaks meanwhile sees the reader, or is seen here. */
static int activate_real(pcap_t *p)
{
	int result = REAL(pcap_activate)(p->real);

	if (result < 0)
		return result;
	p->event.id = -1;
	__atomic_store_n(&p->real_reader, p->real, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&p->broken, __ATOMIC_SEQ_CST))
		REAL(pcap_breakloop)(p->real);
	return result;
}

WPCAP_EXPORT int pcap_activate(pcap_t *p)
{
	WPCAP_TRACED(NULL);

	if (!p->real)
		return wpcap_fail(p, PCAP_ERROR_ACTIVATED,
				  "can't perform  operation on activated capture");
	if (drives(p) && !pcap_activate_win32(p))
		return 0;
	wpcap_fail(p, 0, "%s", "");
	return activate_real(p);
}

static void say(char *errbuf, const char *device, int status, const char *text)
{
	if (status == PCAP_ERROR)
		snprintf(errbuf, PCAP_ERRBUF_SIZE, "%s: %.180s", device, text);
	else if (status == PCAP_ERROR_NO_SUCH_DEVICE || status == PCAP_ERROR_PERM_DENIED ||
		 status == PCAP_ERROR_PROMISC_PERM_DENIED)
		snprintf(errbuf, PCAP_ERRBUF_SIZE, "%s: %s (%.100s)", device,
			 REAL(pcap_statustostr)(status), text);
	else
		snprintf(errbuf, PCAP_ERRBUF_SIZE, "%s: %s", device, REAL(pcap_statustostr)(status));
}

WPCAP_EXPORT pcap_t *pcap_open_live(const char *device, int snaplen, int promisc, int ms,
				    char *errbuf)
{
	WPCAP_TRACED(NULL);

	pcap_t *p = pcap_create(device, errbuf);
	int status;

	if (!p)
		return NULL;
	pcap_set_snaplen(p, snaplen);
	pcap_set_promisc(p, promisc);
	pcap_set_timeout(p, ms);
	status = pcap_activate(p);
	if (status >= 0)
		return p;
	say(errbuf, device ? device : "any", status, pcap_geterr(p));
	pcap_close(p);
	return NULL;
}

WPCAP_EXPORT void pcap_close(pcap_t *p)
{
	WPCAP_TRACED(NULL);

	if (p->real)
		wpcap_close_unused(p->real, &p->event);
	else if (!wpcap_end(p))
		return;
	free(p->device);
	free(p);
}

/* ---- what a handle is ---------------------------------------------------------------------- */

WPCAP_EXPORT int pcap_datalink(pcap_t *p)
{
	return p->real ? REAL(pcap_datalink)(p->real) : p->link_type;
}

WPCAP_EXPORT int pcap_datalink_ext(pcap_t *p)
{
	return p->real ? REAL(pcap_datalink_ext)(p->real) : 0;
}

WPCAP_EXPORT int pcap_list_datalinks(pcap_t *p, int **types)
{
	int n = p->ethernet ? 2 : 1;

	if (p->real)
		return REAL(pcap_list_datalinks)(p->real, types);
	/* Freed by libpcap's free(), which is everybody's. */
	*types = malloc(2 * sizeof(**types));
	if (!*types)
		return wpcap_fail(p, PCAP_ERROR, "malloc: %s", strerror(errno));
	(*types)[0] = p->ethernet ? DLT_EN10MB : p->link_type;
	(*types)[1] = DLT_DOCSIS;
	return n;
}

WPCAP_EXPORT int pcap_set_datalink(pcap_t *p, int type)
{
	const char *name;

	if (p->real)
		return REAL(pcap_set_datalink)(p->real, type);
	if (type == p->link_type)
		return 0;
	if (p->ethernet && (type == DLT_EN10MB || type == DLT_DOCSIS)) {
		if (wpcap_set_link_type(p, type))
			return wpcap_fail(p, PCAP_ERROR, "malloc: %s", strerror(errno));
		return 0;
	}
	name = REAL(pcap_datalink_val_to_name)(type);
	if (name)
		return wpcap_fail(p, PCAP_ERROR,
				  "%s is not one of the DLTs supported by this device", name);
	return wpcap_fail(p, PCAP_ERROR, "DLT %d is not one of the DLTs supported by this device",
			  type);
}

WPCAP_EXPORT int pcap_snapshot(pcap_t *p)
{
	return p->real ? REAL(pcap_snapshot)(p->real) : p->options.snaplen;
}

WPCAP_EXPORT int pcap_bufsize(pcap_t *p)
{
	return p->real ? REAL(pcap_bufsize)(p->real) : p->options.buffer_size;
}

WPCAP_EXPORT int pcap_is_swapped(pcap_t *p)
{
	return p->real ? REAL(pcap_is_swapped)(p->real) : 0;
}

WPCAP_EXPORT int pcap_major_version(pcap_t *p)
{
	return REAL(pcap_major_version)(p->real ? p->real : p->dead);
}

WPCAP_EXPORT int pcap_minor_version(pcap_t *p)
{
	return REAL(pcap_minor_version)(p->real ? p->real : p->dead);
}

WPCAP_EXPORT FILE *pcap_file(pcap_t *p)
{
	return p->real ? REAL(pcap_file)(p->real) : NULL;
}

/* ---- waiting ------------------------------------------------------------------------------- */

/* The driver's own: to ask the read event, which has joined it, takes the kernel longer. Programs
 * that wait before every packet notice. */
static int descriptor(const pcap_t *p)
{
	int fd = npf_poll_fd(p->instance);

	return fd >= 0 ? fd : NPF_HANDLE_DESCRIPTOR(PacketGetReadEvent(p->adapter));
}

WPCAP_EXPORT int pcap_fileno(pcap_t *p)
{
	return p->real ? REAL(pcap_fileno)(p->real) : descriptor(p);
}

WPCAP_EXPORT int pcap_get_selectable_fd(pcap_t *p)
{
	return p->real ? REAL(pcap_get_selectable_fd)(p->real) : descriptor(p);
}

WPCAP_EXPORT const struct timeval *pcap_get_required_select_timeout(pcap_t *p)
{
	return p->real ? REAL(pcap_get_required_select_timeout)(p->real) : NULL;
}

WPCAP_EXPORT int pcap_setnonblock(pcap_t *p, int nonblocking, char *errbuf)
{
	int result = p->real ? REAL(pcap_setnonblock)(p->real, nonblocking, errbuf) : 0;

	/* Before activation, too: libpcap keeps it, and does not tell it then. */
	if (!result)
		p->nonblocking = nonblocking;
	return result;
}

WPCAP_EXPORT int pcap_getnonblock(pcap_t *p, char *errbuf)
{
	return p->real ? REAL(pcap_getnonblock)(p->real, errbuf) : p->nonblocking;
}

/* ---- savefiles ----------------------------------------------------------------------------- */

/* Opened by the handle that knows the link type, with its text. */
#define OPEN_DUMP(p, call)                                                                         \
	pcap_t *worker = (p)->real ? (p)->real : (p)->dead;                                        \
	pcap_dumper_t *dumper = (call);                                                            \
                                                                                                   \
	if (!dumper && !(p)->real)                                                                 \
		wpcap_fail_as((p), 0, worker);                                                     \
	return dumper

WPCAP_EXPORT pcap_dumper_t *pcap_dump_open(pcap_t *p, const char *name)
{
	OPEN_DUMP(p, REAL(pcap_dump_open)(worker, name));
}

WPCAP_EXPORT pcap_dumper_t *pcap_dump_open_append(pcap_t *p, const char *name)
{
	OPEN_DUMP(p, REAL(pcap_dump_open_append)(worker, name));
}

WPCAP_EXPORT pcap_dumper_t *pcap_dump_fopen(pcap_t *p, FILE *file)
{
	OPEN_DUMP(p, REAL(pcap_dump_fopen)(worker, file));
}

/* ---- sending ------------------------------------------------------------------------------- */

/* An adapter that is up and has no carrier: the kernel takes frames and throws them away. libpcap does
 * not know, and its programs go on until the carrier is back. */
static bool is_unplugged(const pcap_t *p)
{
	struct npf_adapter adapter;

	return !npf_instance_adapter(p->instance, &adapter) && adapter.flags & NPF_ADAPTER_UP;
}

/* In libpcap's words: programs show them. */
static int inject(pcap_t *p, const void *frame, size_t size)
{
	WPCAP_IN_DRIVER(p);

	int64_t sent = npf_write(p->instance, frame, size);

	if (sent == -ENETDOWN && is_unplugged(p))
		return (int)size;
	if (sent < 0)
		return wpcap_fail(p, PCAP_ERROR, "send: %s", strerror((int)-sent));
	return (int)sent;
}

WPCAP_EXPORT int pcap_inject(pcap_t *p, const void *frame, size_t size)
{
	if (p->real)
		return REAL(pcap_inject)(p->real, frame, size);
	if (!size)
		return wpcap_fail(p, PCAP_ERROR,
				  "The number of bytes to be injected must not be zero");
	return inject(p, frame, size);
}

WPCAP_EXPORT int pcap_sendpacket(pcap_t *p, const u_char *frame, int size)
{
	if (p->real)
		return REAL(pcap_sendpacket)(p->real, frame, size);
	if (size <= 0)
		return wpcap_fail(p, PCAP_ERROR, "The number of bytes to be sent must be positive");
	return inject(p, frame, (size_t)size) < 0 ? PCAP_ERROR : 0;
}
