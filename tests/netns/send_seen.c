/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loopback rule from one call to the next: what listens when a call begins sees all of it, though the
 * call before, a moment ago, went past it and nobody was there.
 */
#include "netns/sending.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#define BEFORE NPF_SEND_MANY
#define FRAMES 2000u
#define SIZE   100u

/* With NPF_SEND_MANY frames it is worth preparing for, and nobody watches. */
static void send_unseen(struct npf_instance *from)
{
	uint8_t frame[SIZE];

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(from, BEFORE), 0);
	assert_int_equal(npf_write(from, frame, sizeof(frame)), sizeof(frame));
	assert_int_equal(npf_get_send_path(from), NPF_SEND_XDP);
}

static void need_live_frames(struct npf_instance *from)
{
	char reason[NPF_ERROR_SIZE];

	if (!npf_check_send_path(from, NPF_SEND_XDP, reason))
		return;
	printf("no live frames: %s\n", reason);
	skip();
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void write_copies(struct npf_instance *from)
{
	uint8_t frame[SIZE];

	make_frame(1, frame, sizeof(frame));
	assert_int_equal(npf_set_write_repeat(from, FRAMES), 0);
	assert_int_equal(npf_write(from, frame, sizeof(frame)), sizeof(frame));
}

static void write_queue(struct npf_instance *from)
{
	size_t size;
	uint8_t *queue = make_queue(1, FRAMES, small, &size);

	assert_int_equal(npf_buffered_write(from, queue, size, false), size);
	free(queue);
}

/* The first has a time, and goes by socket: nobody need be asked for that. */
static void send_timed_first(struct npf_instance *from)
{
	static struct npf_send_frame frames[FRAMES];
	uint8_t frame[SIZE];
	size_t sent;

	make_frame(1, frame, sizeof(frame));
	for (size_t i = 0; i < FRAMES; i++)
		frames[i] = (struct npf_send_frame){ .data = frame, .size = sizeof(frame) };
	frames[0].at = npf_send_clock(from);
	assert_int_equal(npf_send_frames(from, frames, FRAMES, &sent), 0);
	assert_int_equal(sent, FRAMES);
}

static void (*const calls[])(struct npf_instance *from) = { write_copies, write_queue,
							    send_timed_first };

/* ---- who listens ---------------------------------------------------------------------------- */

static int listen_on(const char *name)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = (int)if_nametoindex(name) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Those that it had no room for included. */
static unsigned int count_seen(int fd)
{
	struct tpacket_stats stats;
	socklen_t size = sizeof(stats);

	assert_int_equal(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size), 0);
	return stats.tp_packets;
}

static void a_capture_that_comes_between_calls_sees_the_next(void **state)
{
	struct bench *bench = *state;

	need_live_frames(bench->near);
	for (size_t i = 0; i < 4 * N_OF(calls); i++) {
		send_unseen(bench->near);

		int fd = listen_on("va");

		calls[i % N_OF(calls)](bench->near);
		assert_int_equal(count_seen(fd), FRAMES);
		close(fd);
		assert_int_equal(npf_set_buffer(bench->far, far_buffer()), 0);
	}
}

static void set_hiding(struct npf_instance *instance, uint32_t value)
{
	assert_int_equal(npf_io_control(instance, NPF_BIOCISETLOBBEH, &value, sizeof(value), NULL,
					0, NULL),
			 0);
}

static void what_is_shown_again_is_seen(void **state)
{
	struct bench *bench = *state;
	struct npf_instance *own = open_on(bench, NET_HERE, "va", 0);
	struct npf_stats stats;

	set_hiding(own, NPF_DISABLE_LOOPBACK);
	need_live_frames(own);
	for (size_t i = 0; i < 4 * N_OF(calls); i++) {
		set_hiding(own, NPF_DISABLE_LOOPBACK);
		send_unseen(own);
		set_hiding(own, NPF_ENABLE_LOOPBACK);
		calls[i % N_OF(calls)](own);
		assert_int_equal(npf_get_stats(own, &stats), 0);
		assert_int_equal(stats.received, FRAMES);
		assert_int_equal(npf_set_buffer(bench->far, far_buffer()), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEND_TEST(a_capture_that_comes_between_calls_sees_the_next),
		SEND_TEST(what_is_shown_again_is_seen),
	};

	net_require();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
