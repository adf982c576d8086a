/* SPDX-License-Identifier: BSD-3-Clause */
/* No hook, for an instance that only sends: a buffer that nobody writes to. */
#include <errno.h>
#include <stdlib.h>

#include "driver/tap_user.h"
#include "host/linux/linux.h"

static int open_none(struct npf_nic *nic, char *error)
{
	struct npf_user_tap *tap = calloc(1, sizeof(*tap));

	nic->hook_state = tap;
	if (!tap)
		return npf_linux_error(error, -ENOMEM, "out of memory");
	npf_user_tap_init(tap, &nic->host->base, NULL, NULL);
	return 0;
}

static void close_none(struct npf_nic *nic)
{
	if (nic->hook_state)
		npf_user_tap_fini(nic->hook_state);
	free(nic->hook_state);
	nic->hook_state = NULL;
}

static int set_ring(struct npf_nic *nic, const struct npf_ring_geometry *geometry,
		    struct npf_ring_view *view, char *error)
{
	int err = npf_user_tap_set_ring(nic->hook_state, geometry, view);

	return err ? npf_linux_error(error, err, "no memory for the buffer") : 0;
}

static void let_go(struct npf_nic *nic)
{
	npf_user_tap_let_go(nic->hook_state);
}

static int set_filters(struct npf_nic *nic, const struct npf_filter_set *filters, char *error)
{
	(void)nic, (void)filters, (void)error;
	return 0;
}

static int hide_own(struct npf_nic *nic, bool hide, uint64_t *hidden)
{
	(void)nic, (void)hide;
	*hidden = 0;
	return 0;
}

static uint64_t lost(struct npf_nic *nic)
{
	(void)nic;
	return 0;
}

static void clear(struct npf_nic *nic)
{
	(void)nic;
}

const struct npf_linux_hook_ops npf_hook_none = {
	.hook = NPF_HOOK_NONE,
	.open = open_none,
	.close = close_none,
	.set_ring = set_ring,
	.let_go = let_go,
	.set_filters = set_filters,
	.hide_own = hide_own,
	.lost = lost,
	.clear = clear,
};
