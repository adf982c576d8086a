/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sets of networks and ports: the tables are built first, then exchanged with those before.
 */
#include "filter/sets.h"

#include <errno.h>
#include <string.h>

#include "driver/core.h"

void npf_sets_free(struct npf_host *host, const struct npf_match *match)
{
	if (!match)
		return;
	for (uint32_t i = 0; i < match->shapes.n; i++)
		npf_free(host, match->tables[i], match->sizes[i]);
	npf_free(host, (void *)(uintptr_t)match, sizeof(*match));
}

/* The table is built where it may be larger than it turns out, and then cut to size. */
static int cut(struct npf_host *host, struct npf_match *match, uint32_t i, size_t built)
{
	void *table = npf_alloc(host, match->sizes[i]);

	if (table)
		memcpy(table, match->tables[i], match->sizes[i]);
	npf_free(host, match->tables[i], built);
	match->tables[i] = table;
	if (table)
		return 0;
	match->shapes.n--;
	return -ENOMEM;
}

static int add(struct npf_host *host, struct npf_match *match, const struct npf_set *set)
{
	size_t size = npf_set_size(set), space_size = npf_set_space(set), used;
	void *table, *space;
	int err = -ENOMEM;

	if (!size)
		return -EINVAL;
	table = npf_alloc(host, size);
	space = table ? npf_alloc(host, space_size) : NULL;
	if (space) {
		err = npf_set_build(set, match, table, space, &used);
		npf_free(host, space, space_size);
	}
	if (!err)
		return cut(host, match, match->shapes.n - 1, size);
	if (table)
		npf_free(host, table, size);
	return err;
}

static int build(struct npf_instance *instance, const struct npf_set *sets, uint32_t n,
		 struct npf_match **out)
{
	struct npf_match *match = npf_alloc(instance->host, sizeof(*match));
	struct npf_adapter adapter;
	int err = 0;

	if (!match)
		return npf_fail_host(instance, -ENOMEM, "installing the sets failed");
	instance->host->nic->info(instance->nic, &adapter);
	if (npf_sets_link(&match->shapes, adapter.link_type))
		err = npf_fail(instance, -ENOTSUP,
			       "sets are not possible here: where packets of this kind of link "
			       "have their addresses is not known");
	for (uint32_t i = 0; i < n && !err; i++) {
		err = add(instance->host, match, &sets[i]);
		if (err == -EINVAL)
			npf_fail_value(instance, err, "set number ", i,
				       " is not valid: it needs networks or ports, not both, and "
				       "right families and prefixes");
		else if (err)
			npf_fail_host(instance, err, "installing the sets failed");
	}
	if (!err) {
		*out = match;
		return 0;
	}
	npf_sets_free(instance->host, match);
	return err;
}

static int install(struct npf_instance *instance, const struct npf_set *sets, uint32_t n)
{
	const struct npf_match *old = instance->filters->set.match;
	struct npf_match *match = NULL;
	int err = npf_check_no_batch(instance);

	if (err)
		return err;
	if (n > NPF_MAX_SETS)
		return npf_fail_value(instance, -EINVAL, "there are ", n,
				      " sets; at most 4 are possible");
	if (n && !sets)
		return npf_fail(instance, -EINVAL, "there are no sets to read");
	err = n ? build(instance, sets, n, &match) : 0;
	if (err)
		return err;
	err = npf_install_match(instance, match);
	if (err) {
		npf_sets_free(instance->host, match);
		return err;
	}
	npf_sets_free(instance->host, old);
	npf_reset(instance);
	npf_monitor_restart(instance);
	npf_update_readiness(instance);
	return 0;
}

int npf_set_sets(struct npf_instance *instance, const struct npf_set *sets, uint32_t n)
{
	int err = npf_enter(instance);

	if (err)
		return err;
	npf_begin_control(instance);
	err = install(instance, sets, n);
	npf_end_control(instance);
	npf_stop_using_open_instance(instance);
	return err;
}
