/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The drop-in's select(), end to end: libwpcap tells it which captures have packets at hand. This
 * program exports what the drop-in has, so that libwpcap finds it.
 */
#include "wpcap/capture.h"

#include <sys/select.h>

#include "wpcap/dropin/dropin.h"

static int ask(int fd)
{
	struct timeval none = { 0 };
	fd_set read;

	FD_ZERO(&read);
	FD_SET(fd, &read);
	return select(fd + 1, &read, NULL, NULL, &none);
}

static void count(u_char *user, const struct pcap_pkthdr *header, const u_char *data)
{
	(void)data;
	assert_int_equal(header->caplen, LENGTH);
	++*(int *)user;
}

/* With three packets, of which the first was handed out. */
static int begin(struct state *state)
{
	int n = 0;

	assert_int_equal(pcap_setmintocopy(state->p, 0), 0);
	send_far(state, 0, 3);
	assert_int_equal(pcap_dispatch(state->p, 1, count, (u_char *)&n), 1);
	assert_int_equal(n, 1);
	return pcap_get_selectable_fd(state->p);
}

static void dispatch_tells_until_the_last_packet(void **in)
{
	struct state *state = *in;
	int fd = begin(state), n = 0;

	assert_int_equal(npf_dropin_at_hand[fd], 1);
	assert_int_equal(ask(fd), 1);
	assert_int_equal(pcap_dispatch(state->p, 1, count, (u_char *)&n), 1);
	assert_int_equal(npf_dropin_at_hand[fd], 1);
	assert_int_equal(ask(fd), 1);
	assert_int_equal(pcap_dispatch(state->p, 1, count, (u_char *)&n), 1);
	assert_int_equal(npf_dropin_at_hand[fd], 0);
	assert_int_equal(ask(fd), 0);
}

static void nothing_is_told_of_a_packet_that_next_gave(void **in)
{
	struct state *state = *in;
	int fd = begin(state);

	assert_frames(state, 1, 1);
	assert_int_equal(npf_dropin_at_hand[fd], 0);
	assert_frames(state, 2, 1);
	assert_int_equal(npf_dropin_at_hand[fd], 0);
}

static void a_closed_capture_has_nothing(void **in)
{
	struct state *state = *in;
	int fd = begin(state);

	assert_int_equal(npf_dropin_at_hand[fd], 1);
	pcap_close(state->p);
	state->p = NULL;
	assert_int_equal(npf_dropin_at_hand[fd], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dispatch_tells_until_the_last_packet),
		TEST(nothing_is_told_of_a_packet_that_next_gave),
		TEST(a_closed_capture_has_nothing),
	};

	if (sanitized())
		return 77;
	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
