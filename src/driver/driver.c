/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver object: the adapters of the host as devices, who has them open, and the time base
 * that instances of time stamp mode SINGLE_SYNC share (manual: DriverEntry, getAdaptersList,
 * createDevice, NPF_Unload).
 */
#include <errno.h>
#include <string.h>

#include "driver/core.h"
#include "driver/trace.h"

#define VERSION "npf 0.1.0"

void *npf_alloc(struct npf_host *host, size_t size)
{
	return host->system->alloc(host, size);
}

void npf_free(struct npf_host *host, void *memory, size_t size)
{
	host->system->free(host, memory, size);
}

uint64_t npf_now(const struct npf_instance *instance)
{
	return instance->host->system->now(instance->host);
}

const char *npf_version(void)
{
	return VERSION;
}

/* A fork has the devices, and not the thread that is amid a change of them. */
static void lock_driver(struct npf_driver *driver)
{
	struct npf_host *host = driver->host;

	if (host->system->hold_forks)
		host->system->hold_forks(host);
	npf_lock_take(host, &driver->lock);
}

static void unlock_driver(struct npf_driver *driver)
{
	struct npf_host *host = driver->host;

	npf_lock_release(host, &driver->lock);
	if (host->system->let_forks)
		host->system->let_forks(host);
}

/* ---- a list of adapters -------------------------------------------------------------------- */

/* What npf_get_adapters_list() hands out is the array; the head says how much to free. */
struct adapter_list {
	size_t capacity;
	size_t n;
	struct npf_adapter adapters[];
};

struct collection {
	struct npf_host *host;
	struct adapter_list *list;
};

static size_t list_size(size_t capacity)
{
	return sizeof(struct adapter_list) + capacity * sizeof(struct npf_adapter);
}

static struct adapter_list *new_list(struct npf_host *host, size_t capacity)
{
	struct adapter_list *list = npf_alloc(host, list_size(capacity));

	if (list)
		list->capacity = capacity;
	return list;
}

static void free_list(struct npf_host *host, struct adapter_list *list)
{
	npf_free(host, list, list_size(list->capacity));
}

static int grow_list(struct collection *collection)
{
	struct adapter_list *old = collection->list;
	struct adapter_list *list = new_list(collection->host, old->capacity * 2);

	if (!list)
		return -ENOMEM;
	list->n = old->n;
	memcpy(list->adapters, old->adapters, old->n * sizeof(old->adapters[0]));
	free_list(collection->host, old);
	collection->list = list;
	return 0;
}

static int collect(void *arg, const struct npf_adapter *adapter)
{
	struct collection *collection = arg;
	int err = 0;

	if (collection->list->n == collection->list->capacity)
		err = grow_list(collection);
	if (!err)
		collection->list->adapters[collection->list->n++] = *adapter;
	return err;
}

static int list_adapters(struct npf_host *host, struct adapter_list **list)
{
	struct collection collection = { .host = host, .list = new_list(host, 8) };

	if (!collection.list)
		return -ENOMEM;

	int err = host->adapters->list(host, collect, &collection);

	if (err) {
		free_list(host, collection.list);
		return err;
	}
	*list = collection.list;
	return 0;
}

/* ---- devices ------------------------------------------------------------------------------- */

static struct npf_device *find_device(const struct npf_driver *driver, uint32_t index)
{
	struct npf_device *device = driver->devices;

	while (device && device->index != index)
		device = device->next;
	return device;
}

/* The device of an adapter, new if it has none. NULL when memory is short. */
static struct npf_device *create_device(struct npf_driver *driver, uint32_t index)
{
	struct npf_device *device = find_device(driver, index);

	if (!device) {
		device = npf_alloc(driver->host, sizeof(*device));
		if (!device)
			return NULL;
		device->index = index;
		device->next = driver->devices;
		driver->devices = device;
	}
	device->present = true;
	return device;
}

/* Delete the devices whose adapter has gone, those in use excepted. */
static void delete_departed(struct npf_driver *driver)
{
	struct npf_device **at = &driver->devices;

	while (*at) {
		struct npf_device *device = *at;

		if (device->present || device->n_open) {
			at = &device->next;
			continue;
		}
		*at = device->next;
		npf_free(driver->host, device, sizeof(*device));
	}
}

static bool listed(const struct adapter_list *list, uint32_t index)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->adapters[i].index == index)
			return true;
	}
	return false;
}

/* Make the table of devices follow the list. Arrivals first: they are what can fail. */
static int reconcile(struct npf_driver *driver, const struct adapter_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		if (!create_device(driver, list->adapters[i].index))
			return -ENOMEM;
	}
	for (struct npf_device *device = driver->devices; device; device = device->next)
		device->present = listed(list, device->index);
	delete_departed(driver);
	return 0;
}

static int refresh(struct npf_driver *driver, struct adapter_list **out)
{
	struct adapter_list *list;
	int err = list_adapters(driver->host, &list);

	if (err)
		return err;
	lock_driver(driver);
	err = reconcile(driver, list);
	unlock_driver(driver);
	if (err) {
		free_list(driver->host, list);
		return err;
	}
	*out = list;
	return 0;
}

int npf_get_adapters_list(struct npf_driver *driver, struct npf_adapter **list, size_t *n)
{
	struct adapter_list *fresh;
	int err = refresh(driver, &fresh);

	if (err)
		return err;
	*list = fresh->adapters;
	*n = fresh->n;
	return 0;
}

void npf_free_adapters_list(struct npf_driver *driver, struct npf_adapter *list)
{
	if (!list)
		return;

	void *head = (uint8_t *)list - offsetof(struct adapter_list, adapters);

	free_list(driver->host, head);
}

int npf_adapters_fd(struct npf_driver *driver)
{
	return driver->host->adapters->fd(driver->host);
}

/* ---- instances ----------------------------------------------------------------------------- */

int npf_driver_join(struct npf_instance *instance, uint32_t index)
{
	struct npf_driver *driver = instance->driver;
	struct npf_host *host = driver->host;
	struct npf_device *device;

	lock_driver(driver);
	device = create_device(driver, index);
	if (device) {
		device->n_open++;
		driver->n_instances++;
		if (!driver->n_bound++)
			driver->time_base = npf_clock_offset(host, 0);
	}
	unlock_driver(driver);
	instance->device = device;
	return device ? 0 : -ENOMEM;
}

void npf_driver_unbind(struct npf_instance *instance)
{
	struct npf_driver *driver = instance->driver;

	lock_driver(driver);
	instance->device->n_open--;
	driver->n_bound--;
	unlock_driver(driver);
}

void npf_driver_leave(struct npf_instance *instance)
{
	struct npf_driver *driver = instance->driver;

	lock_driver(driver);
	driver->n_instances--;
	delete_departed(driver);
	unlock_driver(driver);
}

/* ---- start and end ------------------------------------------------------------------------- */

int npf_driver_entry(struct npf_host *host, struct npf_driver **out)
{
	NPF_TRACED(host, NULL);

	struct npf_driver *driver = npf_alloc(host, sizeof(*driver));
	struct adapter_list *list;

	if (!driver)
		return -ENOMEM;
	driver->host = host;

	int err = refresh(driver, &list);

	if (err)
		goto free_driver;
	free_list(host, list);
	*out = driver;
	return 0;

free_driver:
	/* Devices of a list that was recorded in part. */
	for (struct npf_device *device = driver->devices; device; device = device->next)
		device->present = false;
	delete_departed(driver);
	npf_free(host, driver, sizeof(*driver));
	return err;
}

int npf_unload(struct npf_driver *driver)
{
	struct npf_host *host = driver->host;

	NPF_TRACED(host, NULL);
	lock_driver(driver);

	bool busy = driver->n_instances > 0;

	for (struct npf_device *device = driver->devices; device && !busy; device = device->next)
		device->present = false;
	if (!busy)
		delete_departed(driver);
	unlock_driver(driver);

	if (busy)
		return -EBUSY;
	npf_free(host, driver, sizeof(*driver));
	return 0;
}
