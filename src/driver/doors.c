/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two doors of an instance: calls are counted through the one, users of its binding through the
 * other (manual: the Start/StopUsing pairs). Whoever closes a door parks until the last one is out.
 * The rules are told at the head of core.h.
 */
#include <errno.h>

#include "driver/core.h"

/* Count in unless one of the bits `closed` is set. */
static bool count_in(uint32_t *word, uint32_t closed)
{
	uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);

	do {
		if (seen & closed)
			return false;
	} while (!__atomic_compare_exchange_n(word, &seen, seen + 1, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_RELAXED));
	return true;
}

/* Count out; the last one out wakes who waits to close. The word may be gone behind the counting,
 * which is why only its address is used then. */
static void count_out(struct npf_host *host, uint32_t *word, uint32_t closing)
{
	if (__atomic_sub_fetch(word, 1, __ATOMIC_RELEASE) == closing)
		host->system->unpark(host, word);
}

/* Park until everybody counted out. */
static void drain(struct npf_host *host, uint32_t *word, uint32_t closing)
{
	uint32_t seen;

	while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != closing)
		host->system->park(host, word, seen);
}

/* ---- calls --------------------------------------------------------------------------------- */

bool npf_start_using_open_instance(struct npf_instance *instance)
{
	return count_in(&instance->use, NPF_CLOSING);
}

void npf_stop_using_open_instance(struct npf_instance *instance)
{
	count_out(instance->host, &instance->use, NPF_CLOSING);
}

bool npf_refuse_calls(struct npf_instance *instance)
{
	return __atomic_fetch_or(&instance->use, NPF_CLOSING, __ATOMIC_SEQ_CST) & ~NPF_CLOSING;
}

void npf_await_calls(struct npf_instance *instance)
{
	drain(instance->host, &instance->use, NPF_CLOSING);
}

bool npf_closing(const struct npf_instance *instance)
{
	return __atomic_load_n(&instance->use, __ATOMIC_ACQUIRE) & NPF_CLOSING;
}

int npf_enter(struct npf_instance *instance)
{
	if (npf_start_using_open_instance(instance))
		return 0;
	return npf_fail(instance, -ECANCELED,
			"the instance is being closed; open the adapter again");
}

/* ---- the binding --------------------------------------------------------------------------- */

bool npf_start_using_binding(struct npf_instance *instance)
{
	return count_in(&instance->binding, NPF_UNBINDING | NPF_UNBOUND);
}

void npf_stop_using_binding(struct npf_instance *instance)
{
	count_out(instance->host, &instance->binding, NPF_UNBINDING);
}

/* Make the step from BOUND to UNBINDING, or wait until who made it is through. */
static bool begin_unbinding(struct npf_instance *instance)
{
	uint32_t *word = &instance->binding;
	uint32_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);

	while (!(seen & NPF_UNBOUND)) {
		if (seen & NPF_UNBINDING) {
			instance->host->system->park(instance->host, word, seen);
			seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		} else if (__atomic_compare_exchange_n(word, &seen, seen | NPF_UNBINDING, false,
						       __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
			return true;
		}
	}
	return false;
}

bool npf_begin_unbinding(struct npf_instance *instance)
{
	if (!begin_unbinding(instance))
		return false;
	drain(instance->host, &instance->binding, NPF_UNBINDING);
	return true;
}

void npf_end_unbinding(struct npf_instance *instance)
{
	__atomic_store_n(&instance->binding, NPF_UNBOUND, __ATOMIC_RELEASE);
	instance->host->system->unpark(instance->host, &instance->binding);
}
