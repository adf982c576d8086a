/* SPDX-License-Identifier: BSD-3-Clause */
/* See convert.h. */
#include "convert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "tool.h"

#define LINK_ETHERNET 1u
#define MOST_NG_LINKS UINT16_MAX
#define NS_PER_S      UINT64_C(1000000000)
#define US_PER_S      1000000u
#define NS_PER_US     1000u

__attribute__((format(printf, 2, 3))) static int refuse(struct convert *convert, const char *format,
							...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(convert->error, sizeof(convert->error), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* ---- the file's header ---------------------------------------------------------------------- */

/* The longest that any interface allows, and whether one of them counts finer than microseconds.
 * Readers cut packets that are longer than the snap length, or refuse the file, and interfaces that
 * allow more may follow: so it is no less than what readers allow. */
static void ask_interfaces(const struct trace *trace, struct savefile_form *form)
{
	form->snaplen = trace_longest(form->link_type);
	for (uint32_t i = 0; i < trace->n_interfaces; i++) {
		const struct trace_interface *interface = &trace->interfaces[i];

		if (interface->snaplen > form->snaplen)
			form->snaplen = interface->snaplen;
		form->nano |= !interface->stamps.units || US_PER_S % interface->stamps.units;
	}
}

/* interface NULL: of a file without any. */
static int begin(struct convert *convert, const struct trace *trace,
		 const struct trace_interface *interface, struct sink *sink)
{
	uint32_t link_type = interface ? interface->link_type : LINK_ETHERNET;
	struct savefile_form *form = &convert->form;
	uint8_t head[SAVEFILE_HEAD];

	if (convert->ng && link_type > MOST_NG_LINKS)
		return refuse(convert, "pcapng has no link type %u; let OUT be .pcap", link_type);
	*form = (struct savefile_form){ .link_type = link_type, .ng = convert->ng };
	ask_interfaces(trace, form);
	if (interface && savefile_has_fcs(form, &interface->fcs))
		form->fcs = interface->fcs;
	convert->begun = true;
	return sink_add(sink, head, savefile_put_head(form, head));
}

int convert_end(struct convert *convert, const struct trace *trace, struct sink *sink)
{
	const struct trace_interface *first = trace->n_interfaces ? trace->interfaces : NULL;

	return convert->begun ? 0 : begin(convert, trace, first, sink);
}

/* ---- packets -------------------------------------------------------------------------------- */

static int add_bytes(struct convert *convert, const struct npf_packet *packet, struct sink *sink)
{
	uint8_t head[SAVEFILE_PACKET_HEAD], end[SAVEFILE_PACKET_END];
	int err = sink_add(sink, head, savefile_put_packet(&convert->form, packet, head));

	if (!err)
		err = sink_add(sink, packet->data, packet->caplen);
	if (!err)
		err = sink_add(sink, end, savefile_put_end(&convert->form, packet->caplen, end));
	return err;
}

/* Of a piece that is a packet, in IN, from 1. */
static uint64_t number_of(const struct trace *trace, const struct trace_batch *batch, uint32_t piece)
{
	uint64_t number = trace->packets - batch->packets;

	for (uint32_t i = 0; i <= piece; i++)
		number += batch->packet[i];
	return number;
}

static int check_link(struct convert *convert, const struct trace *trace,
		      const struct trace_batch *batch, uint32_t i)
{
	const struct savefile_form *form = &convert->form;
	uint32_t link_type = batch->link_type;

	if (link_type == form->link_type)
		return 0;
	return refuse(convert,
		      "pcap has one link type, and packet %" PRIu64
		      " is of %s (%u) where those before "
		      "it are of %s (%u): let OUT be .pcapng, or the filter keep one kind",
		      number_of(trace, batch, i), npf_link_name(link_type), link_type,
		      npf_link_name(form->link_type), form->link_type);
}

static int check_time(struct convert *convert, const struct trace *trace,
		      const struct trace_batch *batch, uint32_t i, const struct npf_stamp *stamp)
{
	if (convert->ng || (stamp->seconds >= 0 && stamp->seconds <= UINT32_MAX))
		return 0;
	return refuse(convert,
		      "packet %" PRIu64 " is of a time that pcap cannot tell, before 1970 or after "
		      "2106: let OUT be .pcapng",
		      number_of(trace, batch, i));
}

/* Nothing but packets that no reader of pcap believes in. */
static int check_size(struct convert *convert, const struct trace *trace,
		      const struct trace_batch *batch, uint32_t i)
{
	if (convert->ng || batch->caplen[i] <= convert->form.snaplen)
		return 0;
	return refuse(convert,
		      "packet %" PRIu64
		      " has %u bytes, and readers of pcap take none of more than %u: let OUT "
		      "be .pcapng",
		      number_of(trace, batch, i), batch->caplen[i], convert->form.snaplen);
}

static bool has_other_fcs(const struct convert *convert, const struct trace_interface *interface)
{
	const struct npf_fcs *told = &convert->form.fcs, *fcs = &interface->fcs;

	return fcs->known != told->known || fcs->bits != told->bits;
}

static int add_packet(struct convert *convert, const struct trace *trace,
		      const struct trace_batch *batch, uint32_t i, struct sink *sink)
{
	struct npf_packet packet = { .data = batch->data[i],
				     .caplen = batch->caplen[i],
				     .len = batch->len[i] };
	struct npf_stamp stamp = { .exact = true };
	int err = check_link(convert, trace, batch, i);

	convert->timeless += !trace_look(trace, batch, i, &stamp);
	convert->fcs_lost += has_other_fcs(convert, trace_interface_of(trace, batch, i));
	if (!err)
		err = check_time(convert, trace, batch, i, &stamp);
	if (!err)
		err = check_size(convert, trace, batch, i);
	if (err)
		return err;
	packet.time = (uint64_t)stamp.seconds * NS_PER_S + stamp.ns;
	convert->shortened += !stamp.exact || (!convert->form.nano && stamp.ns % NS_PER_US);
	return add_bytes(convert, &packet, sink);
}

int convert_add(struct convert *convert, const struct trace *trace, const struct trace_batch *batch,
		uint32_t from, uint32_t to, struct sink *sink)
{
	int err = 0;

	for (uint32_t i = from; i < to && !err; i++) {
		if (!batch->packet[i])
			continue;
		if (!convert->begun)
			err = begin(convert, trace, trace_interface_of(trace, batch, i), sink);
		if (!err)
			err = add_packet(convert, trace, batch, i, sink);
	}
	return err;
}
