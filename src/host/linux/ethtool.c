/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What only an adapter's driver can tell: its name, the speed of the link, the address burnt in,
 * whether it segments. None of it is worth a failure: what cannot be asked stays as it was.
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/linux/linux.h"

#define BITS_PER_MEGABIT 1000000ull

/* The kernel's array of link modes is at most 127 words, and there are three of them. */
#define LINK_MODE_WORDS (3 * 127)

/* The kernel's MAX_ADDR_LEN. */
#define MOST_ADDRESS 32

/* Commands begin with their number. */
static int ask(int fd, const char *name, void *command)
{
	struct ifreq request = { .ifr_data = command };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%.15s", name);
	return ioctl(fd, SIOCETHTOOL, &request);
}

static void ask_driver(int fd, struct npf_adapter *adapter)
{
	struct ethtool_drvinfo answer = { .cmd = ETHTOOL_GDRVINFO };

	if (ask(fd, adapter->name, &answer))
		return;
	snprintf(adapter->description, sizeof(adapter->description), "%.*s",
		 (int)sizeof(answer.driver), answer.driver);
}

/* Asked twice: the first answer says, negative, how many words of link modes the kernel has. */
static void ask_speed(int fd, struct npf_adapter *adapter)
{
	union {
		struct ethtool_link_settings settings;
		uint8_t room[sizeof(struct ethtool_link_settings) + LINK_MODE_WORDS * 4];
	} answer = { .settings.cmd = ETHTOOL_GLINKSETTINGS };
	struct ethtool_link_settings *settings = &answer.settings;

	if (ask(fd, adapter->name, settings) || settings->link_mode_masks_nwords >= 0)
		return;
	*settings = (struct ethtool_link_settings){
		.cmd = ETHTOOL_GLINKSETTINGS,
		.link_mode_masks_nwords = (int8_t)-settings->link_mode_masks_nwords,
	};
	if (ask(fd, adapter->name, settings) || settings->speed == (uint32_t)SPEED_UNKNOWN)
		return;
	adapter->speed = settings->speed * BITS_PER_MEGABIT;
}

static void ask_permanent_address(int fd, struct npf_adapter *adapter)
{
	union {
		struct ethtool_perm_addr head;
		uint8_t room[sizeof(struct ethtool_perm_addr) + MOST_ADDRESS];
	} answer = { .head = { .cmd = ETHTOOL_GPERMADDR, .size = MOST_ADDRESS } };

	if (ask(fd, adapter->name, &answer) || answer.head.size > sizeof(adapter->permanent_address))
		return;
	memcpy(adapter->permanent_address, answer.head.data, answer.head.size);
}

void npf_linux_ethtool(struct npf_adapter *adapter)
{
	static const uint8_t unknown[sizeof(adapter->permanent_address)];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	ask_driver(fd, adapter);
	ask_speed(fd, adapter);
	if (!memcmp(adapter->permanent_address, unknown, sizeof(unknown)))
		ask_permanent_address(fd, adapter);
	close(fd);
}

bool npf_linux_segments(const char *name)
{
	struct ethtool_value answer = { .cmd = ETHTOOL_GTSO };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;

	bool does = !ask(fd, name, &answer) && answer.data;

	close(fd);
	return does;
}
