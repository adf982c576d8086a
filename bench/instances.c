/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several instances of one process, this one, whose filter rejects every packet, beside as many packet
 * sockets with the same filter, and programs that do nothing: what they add for the sender, and what
 * one more of them does.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <err.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <math.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "npf/npf.h"

#define EXPRESSION "tcp port 80" /* of UDP frames none is */
#define BUFFER     (1u << 20)

const unsigned int throng_sizes[N_THRONG_SIZES] = { 1, 2, 4, MOST_THRONG };
const char *const throng_labels[N_THRONGS] = { "packet sockets", "instances, tcx",
					       "instances, socket", "empty programs, tcx" };

struct throng {
	unsigned int n; /* of these: */
	int fds[MOST_THRONG];
	struct npf_instance *instances[MOST_THRONG];
};

static bool open_socket(const struct world *world, struct bpf_program *program, int *fd)
{
	const struct sockaddr_ll address = { .sll_family = AF_PACKET,
					     .sll_protocol = htons(ETH_P_ALL),
					     .sll_ifindex = (int)world->vb };

	/* What is bound to no protocol sees nothing before its filter is there. */
	*fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return false;
	return !setsockopt(*fd, SOL_SOCKET, SO_ATTACH_FILTER, program, sizeof(*program)) &&
	       !bind(*fd, (const struct sockaddr *)&address, sizeof(address));
}

static bool open_instance(struct npf_driver *driver, enum npf_hook hook,
			  const struct bpf_program *compiled, struct npf_instance **instance)
{
	const struct npf_open_options options = { .size = sizeof(options), .hook = hook };
	const struct npf_program program = {
		.length = compiled->bf_len,
		.insns = (const struct npf_insn *)compiled->bf_insns,
	};

	return !npf_open(driver, "vb", &options, instance, NULL) &&
	       !npf_set_buffer(*instance, BUFFER) && !npf_set_filter(*instance, &program);
}

/* What the kernel takes to run any program there. */
static bool open_empty(const struct world *world, int *fd)
{
	*fd = programs_attach_empty(world);
	world_enter_tap(world);
	return *fd >= 0;
}

static bool open_all(const struct world *world, struct npf_driver *driver, unsigned int kind,
		     struct bpf_program *program, unsigned int n, struct throng *throng)
{
	enum npf_hook hook = kind == THRONG_TCX ? NPF_HOOK_TCX : NPF_HOOK_SOCKET;
	bool opened = true;

	world_enter_tap(world);
	*throng = (struct throng){ 0 };
	while (opened && throng->n < n) {
		unsigned int i = throng->n++;

		throng->fds[i] = -1;
		if (kind == THRONG_SOCKETS)
			opened = open_socket(world, program, &throng->fds[i]);
		else if (kind == THRONG_EMPTY)
			opened = open_empty(world, &throng->fds[i]);
		else
			opened = open_instance(driver, hook, program, &throng->instances[i]);
	}
	world_leave_tap(world);
	return opened;
}

static void close_all(struct throng *throng)
{
	while (throng->n) {
		unsigned int i = --throng->n;

		if (throng->fds[i] >= 0)
			close(throng->fds[i]);
		npf_close(throng->instances[i]);
	}
}

static double cpu_per_packet(struct sender *sender, unsigned int ms)
{
	enum generator generator = sender_has(sender, LIVE_FRAMES) ? LIVE_FRAMES : SENDMMSG;
	struct burst burst;

	sender_burst(sender, generator, 64, ms, &burst);
	return burst.delivered ? (double)burst.cpu_ns / (double)burst.delivered : NAN;
}

static void compile(struct bpf_program *program)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 262144);

	if (!pcap || pcap_compile(pcap, program, EXPRESSION, 1, PCAP_NETMASK_UNKNOWN))
		errx(1, "libpcap: %s", pcap ? pcap_geterr(pcap) : "no memory");
	pcap_close(pcap);
}

void throngs_measure(const struct world *world, struct sender *sender, unsigned int ms,
		     struct series added[N_THRONGS][N_THRONG_SIZES])
{
	struct npf_host *host = npf_host_linux();
	struct npf_driver *driver = NULL;
	struct bpf_program program;
	struct throng throng;

	if (!host || npf_driver_entry(host, &driver))
		errx(1, "the driver: no memory");
	compile(&program);
	for (unsigned int kind = 0; kind < N_THRONGS; kind++) {
		for (unsigned int s = 0; s < N_THRONG_SIZES; s++) {
			double base = cpu_per_packet(sender, ms);

			if (open_all(world, driver, kind, &program, throng_sizes[s], &throng))
				series_add(&added[kind][s], cpu_per_packet(sender, ms) - base);
			close_all(&throng);
		}
	}
	pcap_freecode(&program);
	npf_unload(driver);
	npf_host_linux_free(host);
}

/* What one more costs, once there is one. */
double throng_further(const struct series added[N_THRONG_SIZES])
{
	double most = series_median(&added[N_THRONG_SIZES - 1]), one = series_median(&added[0]);

	return (most - one) / (MOST_THRONG - 1);
}
