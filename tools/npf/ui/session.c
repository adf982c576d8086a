/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver as the commands use it: started once, one adapter opened, failures put into words.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "terminal.h"
#include "tool.h"

#define LINK_ETHERNET   1u
#define ETHERNET_HEADER 14u

int npf_tool_exit_code(int err)
{
	switch (err) {
	case 0:
		return EXIT_OK;
	case -EPERM:
	case -EACCES:
		return EXIT_PRIVILEGE;
	case -ENODEV:
		return EXIT_NO_ADAPTER;
	default:
		return EXIT_FAILED;
	}
}

int npf_tool_read_code(int err)
{
	switch (err) {
	case -EBADMSG:
		return EXIT_DAMAGED;
	case -EMEDIUMTYPE:
		return EXIT_NO_SAVEFILE;
	case -EINVAL: /* a filter that is none, an option that the file does not go with */
		return EXIT_USAGE;
	default:
		return EXIT_FAILED;
	}
}

int npf_tool_write_code(int err)
{
	return err == -ENOSPC || err == -EDQUOT ? EXIT_DISK_FULL : EXIT_DISK;
}

int npf_session_start(struct npf_session *session, const struct npf_command *command)
{
	int err;

	memset(session, 0, sizeof(*session));
	session->command = command;
	session->host = npf_host_linux();
	if (!session->host)
		return npf_tool_fail(command, EXIT_FAILED, "%s", strerror(errno));
	err = npf_driver_entry(session->host, &session->driver);
	if (!err)
		return EXIT_OK;
	npf_host_linux_free(session->host);
	session->host = NULL;
	return npf_tool_fail(command, npf_tool_exit_code(err), "cannot start: %s", strerror(-err));
}

static bool has_traffic(const struct npf_adapter *adapter)
{
	return adapter->flags & NPF_ADAPTER_UP && adapter->flags & NPF_ADAPTER_RUNNING &&
	       !(adapter->flags & NPF_ADAPTER_LOOPBACK) &&
	       adapter->rx_packets + adapter->tx_packets;
}

static int pick(struct npf_session *session, char name[NPF_NAME_SIZE])
{
	struct npf_adapter *list;
	size_t n;
	int err = npf_get_adapters_list(session->driver, &list, &n);

	if (err)
		return err;
	err = -ENODEV;
	for (size_t i = 0; i < n; i++) {
		bool best = has_traffic(&list[i]);

		if (!best && !(list[i].flags & NPF_ADAPTER_LOOPBACK))
			continue;
		memcpy(name, list[i].name, NPF_NAME_SIZE);
		err = 0;
		if (best)
			break;
	}
	npf_free_adapters_list(session->driver, list);
	return err;
}

static int open_adapter(struct npf_session *session, const char *name,
			const struct npf_open_options *options)
{
	char error[NPF_ERROR_SIZE] = "";
	int err = npf_open(session->driver, name, options, &session->instance, error);

	if (err) {
		session->instance = NULL;
		return npf_tool_fail(session->command, npf_tool_exit_code(err), "%s",
				     *error ? error : strerror(-err));
	}
	/* Gone again already: what was known at open is good enough, the first call will tell. */
	npf_instance_adapter(session->instance, &session->adapter);
	return EXIT_OK;
}

int npf_session_open(struct npf_session *session, const char *name, enum npf_hook hook,
		     uint32_t buffer)
{
	const struct npf_open_options options = { .size = sizeof(options),
						  .hook = hook,
						  .buffer = buffer };
	char picked[NPF_NAME_SIZE];
	int err;

	if (!name) {
		err = pick(session, picked);
		if (err)
			return npf_tool_fail(session->command, npf_tool_exit_code(err),
					     "there is no adapter to open");
		name = picked;
	}
	return open_adapter(session, name, &options);
}

int npf_session_open_sender(struct npf_session *session, const char *name)
{
	const struct npf_open_options options = { .size = sizeof(options),
						  .flags = NPF_OPEN_SEND_ONLY };

	return open_adapter(session, name, &options);
}

int npf_session_promiscuous(struct npf_session *session, bool promiscuous)
{
	uint32_t bits = NPF_FILTER_DEFAULT | (promiscuous ? NPF_FILTER_PROMISCUOUS : 0);
	int err = npf_set_hw_filter(session->instance, bits);

	return err ? npf_session_fail(session, err, "cannot set the adapter's filter") : EXIT_OK;
}

void npf_session_tell_down(const struct npf_session *session)
{
	const struct npf_adapter *adapter = &session->adapter;
	char name[NPF_NAME_SIZE];

	if (adapter->flags & NPF_ADAPTER_UP && adapter->flags & NPF_ADAPTER_RUNNING)
		return;
	npf_clean_text(name, sizeof(name), adapter->name);
	if (adapter->flags & NPF_ADAPTER_UP)
		fprintf(stderr, "npf: %s has no carrier: nothing comes until it has\n", name);
	else
		fprintf(stderr,
			"npf: %s is down: nothing comes until it is up (ip link set %s up)\n", name,
			name);
}

int npf_session_fail(struct npf_session *session, int err, const char *what)
{
	const char *text = npf_error(session->instance);

	return npf_tool_fail(session->command, npf_tool_exit_code(err), "%s: %s", what,
			     text && *text ? text : strerror(-err));
}

void npf_session_end(struct npf_session *session)
{
	npf_close(session->instance);
	if (session->driver)
		npf_unload(session->driver);
	npf_host_linux_free(session->host);
	memset(session, 0, sizeof(*session));
}

uint32_t npf_longest_frame(const struct npf_adapter *adapter, const uint8_t *frame, size_t size)
{
	uint32_t untagged = adapter->mtu + ETHERNET_HEADER;
	bool tagged = size >= ETHERNET_HEADER && frame[12] == 0x81 && !frame[13];

	if (adapter->link_type != LINK_ETHERNET || tagged || untagged > adapter->max_frame)
		return adapter->max_frame;
	return untagged;
}

const char *npf_link_name(uint32_t link_type)
{
	static const struct {
		uint32_t link_type;
		const char *name;
	} names[] = {
		{ 0, "null" },
		{ 1, "Ethernet" },
		{ 101, "raw IP" },
		{ 105, "802.11" },
		{ 108, "loopback" },
		{ 113, "Linux cooked" },
		{ 127, "802.11 radiotap" },
		{ 276, "Linux cooked v2" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].link_type == link_type)
			return names[i].name;
	}
	return "other";
}

void npf_link_mismatch(char error[NPF_ERROR_SIZE], const char *file, uint32_t of_file,
		       uint32_t of_adapter)
{
	char shown[NPF_PATH_SHOWN];

	snprintf(error, NPF_ERROR_SIZE,
		 "%s holds packets of link type %u (%s), the adapter's is %u (%s); --force sends "
		 "them all the same",
		 npf_short_path(shown, file), of_file, npf_link_name(of_file), of_adapter,
		 npf_link_name(of_adapter));
}
