/* SPDX-License-Identifier: BSD-3-Clause */
/* Sampling: one packet in so many, or the first after a time. For captures and savefiles of libpcap's
 * it is done here, too. */
#include "wpcap/wpcap.h"

#define NS_PER_S  1000000000u
#define NS_PER_US 1000u
#define NS_PER_MS 1000000u

bool wpcap_sample(pcap_t *p, uint64_t time)
{
	const struct pcap_samp *sampling = &p->sampling;

	if (sampling->method == PCAP_SAMP_1_EVERY_N) {
		if (++p->sampled < (uint32_t)(sampling->value > 0 ? sampling->value : 1))
			return false;
		p->sampled = 0;
	} else if (sampling->method == PCAP_SAMP_FIRST_AFTER_N_MS) {
		if (time < p->sample_after)
			return false;
		p->sample_after = time + (uint64_t)sampling->value * NS_PER_MS;
	}
	return true;
}

WPCAP_EXPORT struct pcap_samp *pcap_setsampling(pcap_t *p)
{
	return &p->sampling;
}

/* ---- what libpcap reads -------------------------------------------------------------------- */

struct sampler {
	pcap_t *p;
	pcap_handler callback;
	u_char *user;
	int taken;
};

static uint64_t ns_of(pcap_t *p, const struct timeval *time)
{
	bool nano = REAL(pcap_get_tstamp_precision)(p->real) == PCAP_TSTAMP_PRECISION_NANO;

	return (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_usec * (nano ? 1 : NS_PER_US);
}

static bool skipped(pcap_t *p, const struct pcap_pkthdr *header)
{
	return wpcap_is_sampled(p) && !wpcap_sample(p, ns_of(p, &header->ts));
}

static void take(u_char *arg, const struct pcap_pkthdr *header, const u_char *data)
{
	struct sampler *sampler = (struct sampler *)arg;

	if (skipped(sampler->p, header))
		return;
	sampler->taken++;
	sampler->callback(sampler->user, header, data);
}

/* A savefile is read on until count were taken; of an interface count are read. *result is libpcap's
 * last answer. */
static int dispatch(pcap_t *p, int count, pcap_handler callback, u_char *user, int *result)
{
	struct sampler sampler = { .p = p, .callback = callback, .user = user };
	bool on = count > 0 && REAL(pcap_file)(p->real);

	do
		*result = REAL(pcap_dispatch)(p->real, on ? 1 : count, take, (u_char *)&sampler);
	while (on && *result > 0 && sampler.taken < count);
	return sampler.taken;
}

int wpcap_real_dispatch(pcap_t *p, int count, pcap_handler callback, u_char *user)
{
	int result, taken;

	if (!wpcap_is_sampled(p))
		return REAL(pcap_dispatch)(p->real, count, callback, user);
	taken = dispatch(p, count, callback, user, &result);
	if (!taken && result < 0)
		return result;
	/* It told that it was broken, and has to do so again. */
	if (result == PCAP_ERROR_BREAK)
		REAL(pcap_breakloop)(p->real);
	return result == PCAP_ERROR ? result : taken;
}

int wpcap_real_loop(pcap_t *p, int count, pcap_handler callback, u_char *user)
{
	int result;

	if (!wpcap_is_sampled(p))
		return REAL(pcap_loop)(p->real, count, callback, user);
	for (;;) {
		int taken = dispatch(p, count, callback, user, &result);

		if (result < 0)
			return result;
		if (count > 0 && (count -= taken) <= 0)
			return 0;
		/* No more: of a savefile this is the end. */
		if (!result && REAL(pcap_file)(p->real))
			return 0;
	}
}

int wpcap_real_next_ex(pcap_t *p, struct pcap_pkthdr **header, const u_char **data)
{
	int result;

	do
		result = REAL(pcap_next_ex)(p->real, header, data);
	while (result == 1 && skipped(p, *header));
	return result;
}

const u_char *wpcap_real_next(pcap_t *p, struct pcap_pkthdr *header)
{
	const u_char *data;

	do
		data = REAL(pcap_next)(p->real, header);
	while (data && skipped(p, header));
	return data;
}
