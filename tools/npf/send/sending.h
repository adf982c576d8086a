/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What npf send and npf replay share: an adapter opened for sending, sending that a signal ends in
 * order and a terminal can follow, and the account of it.
 */
#ifndef NPF_SENDING_H
#define NPF_SENDING_H

#include "feed.h"
#include "ui/progress.h"
#include "tool.h"

struct npf_sending_options {
	const char *adapter;
	enum npf_send_path path;
	bool no_loopback; /* captures on this adapter need not see the packets */
	bool json;
	uint64_t late;     /* ns from which a packet counts as late */
	uint64_t duration; /* ns from the first packet's time on; 0 without end */
};

struct npf_sending {
	struct npf_sending_options options;
	struct npf_session session;
	struct npf_progress progress;
	uint64_t begun, ended; /* npf_send_clock() of the first packet and the last; 0 none went */
	uint64_t packets;      /* that went, for the progress */
	double share;          /* of all, likewise */
	uint64_t end;          /* packets of this time and later are not wanted; 0 not known yet */
	uint64_t at_once;      /* packets without a time that the next call may send */
	int err;               /* of the driver: why it ended early */
	char error[NPF_ERROR_SIZE];
};

/* What else is known when all is over. */
struct npf_account {
	const char *error; /* why it ended early, besides the driver's reason; NULL none */
	int code;          /* the exit code for it */
	bool endless;      /* only a signal could end it */
	uint64_t wanted;   /* packets that were to be sent; 0: that is not known beforehand */
	const struct npf_feed_counts *skipped; /* NULL none */
	uint64_t backwards;
	bool paced; /* packets had times */
};

/* An option that both have, optarg being its value: -1 when it is another's, else an exit code. */
int npf_sending_option(struct npf_sending_options *options, const struct npf_command *command,
		       int option);
/* How often: a count, of which 0 is no end, as is "forever"; UINT64_MAX then. */
bool npf_sending_times(const char *text, uint64_t *times);
#define NPF_SENDING_LETTERS "i:"
enum {
	NPF_SENDING_PATH = 512,
	NPF_SENDING_NO_LOOPBACK,
	NPF_SENDING_LATE,
	NPF_SENDING_DURATION,
	NPF_SENDING_JSON
};
#define NPF_SENDING_LONG_OPTIONS                                                                   \
	{ "interface", required_argument, NULL, 'i' },                                             \
		{ "path", required_argument, NULL, NPF_SENDING_PATH },                             \
		{ "no-loopback", no_argument, NULL, NPF_SENDING_NO_LOOPBACK },                     \
		{ "late", required_argument, NULL, NPF_SENDING_LATE },                             \
		{ "duration", required_argument, NULL, NPF_SENDING_DURATION },                     \
	{                                                                                          \
		"json", no_argument, NULL, NPF_SENDING_JSON                                        \
	}
#define NPF_SENDING_HELP                                                                           \
	"how they leave:\n"                                                                        \
	"      --path PATH        auto (default), or what the adapter must be able to do:\n"       \
	"                         socket, xsk (AF_XDP), clone (made in the kernel) or\n"           \
	"                         xdp (live frames, fastest). clone needs CAP_BPF and\n"           \
	"                         CAP_NET_ADMIN, xdp CAP_SYS_ADMIN. Captures on this\n"            \
	"                         adapter see packets of socket and clone only, so auto\n"         \
	"                         takes the others while nobody captures, and for timed\n"         \
	"                         packets always socket\n"                                         \
	"      --no-loopback      captures on this adapter need not see the packets:\n"            \
	"                         take the fastest path whoever captures\n"                        \
	"      --late TIME        when a timed packet counts as late (default 100us);\n"           \
	"                         a number alone is seconds\n"                                     \
	"      --json             the summary as one JSON object. What the queue of the\n"         \
	"                         adapter still holds after 2 s is handed and not\n"               \
	"                         confirmed in any summary, though it may leave later\n"

void npf_sending_defaults(struct npf_sending_options *options);
/* All of these return exit codes; failures were told. */
int npf_sending_open(struct npf_sending *sending, const struct npf_command *command,
		     const struct npf_sending_options *options);
/* share: of everything that is over with these frames, negative where it is not known.
 * 0 when all went; -EINTR after a signal, or what the driver says, both kept for the summary. */
int npf_sending_frames(struct npf_sending *sending, const struct npf_send_frame *frames, size_t n,
		       double share);
/* One frame, so many times (UINT64_MAX without end) and as fast as it goes. */
void npf_sending_repeat(struct npf_sending *sending, const void *frame, size_t size,
			uint64_t copies);
/* Did a signal come? The summary will say so. */
bool npf_sending_stopped(struct npf_sending *sending);
/* Likewise: has the adapter gone? */
bool npf_sending_gone(struct npf_sending *sending);
/* Wait for what is under way, tell the summary, and close. */
int npf_sending_end(struct npf_sending *sending, struct npf_account *account);
/* Close without a word: nothing was sent. */
void npf_sending_close(struct npf_sending *sending);

#endif
