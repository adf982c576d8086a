/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * npf capture -r: a savefile through the same filter and the same outputs. libpcap reads.
 */
#include <pcap/pcap.h>
#include <sys/stat.h>

#include "capture.h"
#include "ui/signals.h"

static int set_filter(pcap_t *handle, const char *expression)
{
	struct bpf_program program;
	int err;

	if (!*expression)
		return 0;
	if (pcap_compile(handle, &program, expression, 1, PCAP_NETMASK_UNKNOWN))
		return -1;
	err = pcap_setfilter(handle, &program);
	pcap_freecode(&program);
	return err;
}

/* What pcap_next_ex() said last: -2 at the end of the file. */
static int copy_packets(pcap_t *handle, const struct npf_match *sets, uint64_t count,
			struct npf_output *output)
{
	struct pcap_pkthdr *header;
	const u_char *data;
	int result = -2;

	while (output->packets < count && !npf_signals_stopped() &&
	       (result = pcap_next_ex(handle, &header, &data)) == 1) {
		struct npf_packet packet = {
			.time = (uint64_t)header->ts.tv_sec * 1000000000u +
				(uint64_t)header->ts.tv_usec,
			.caplen = header->caplen,
			.len = header->len,
			.data = data,
		};

		if (sets && !npf_match_run(sets, data, header->caplen))
			continue;
		/* A savefile is written from where packets lie, and libpcap reuses the memory. */
		if (!npf_output_packet(output, &packet) ||
		    (output->file && !npf_output_batch_end(output)))
			break;
	}
	return result;
}

static int copy(const struct npf_command *command, const struct npf_capture_options *options,
		pcap_t *handle)
{
	struct npf_output_options output_options = options->output;
	struct npf_output output;
	struct npf_match *sets;
	int code, result;

	output_options.link_type = npf_expression_link_type(pcap_datalink(handle));
	output_options.snaplen = (uint32_t)pcap_snapshot(handle);
	code = npf_set_options_match(&options->sets, command, output_options.link_type, &sets);
	if (!code)
		code = npf_output_open(&output, command, &output_options);
	if (code) {
		npf_set_options_match_free(sets);
		return code;
	}
	result = copy_packets(handle, sets, options->count, &output);
	npf_set_options_match_free(sets);
	code = npf_output_close(&output);
	if (result == -1 && !npf_signals_stopped())
		return npf_tool_fail(command, EXIT_FAILED, "%s: %s", options->read,
				     pcap_geterr(handle));
	return code;
}

/* Opening the output would empty the input. */
static bool is_own_input(const struct npf_capture_options *options)
{
	struct stat input, output;

	return options->output.file && !stat(options->read, &input) &&
	       !stat(options->output.file, &output) && S_ISREG(input.st_mode) &&
	       input.st_dev == output.st_dev && input.st_ino == output.st_ino;
}

int npf_capture_offline(const struct npf_command *command, const struct npf_capture_options *options)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *handle;
	int code;

	if (is_own_input(options))
		return npf_tool_fail(command, EXIT_FAILED,
				     "%s: that is the input: choose another file",
				     options->output.file);
	handle = pcap_open_offline_with_tstamp_precision(options->read, PCAP_TSTAMP_PRECISION_NANO,
							 error);
	if (!handle)
		return npf_tool_fail(command, EXIT_FAILED, "%s", error);
	if (set_filter(handle, options->expression))
		code = npf_tool_usage(command, "filter '%s': %s", options->expression,
				      pcap_geterr(handle));
	else
		code = copy(command, options, handle);
	pcap_close(handle);
	return code;
}
