# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# What shell tests share: the reason why one cannot run, network namespaces out of everybody's way
# with the same pair of devices as in net.h, and waiting for what must come.

# Meson names the folders of our libraries there, the one that stands for libpcap among them.
unset LD_LIBRARY_PATH
# By these bash counts in other units, and programs think of another terminal than the test's.
unset POSIXLY_CORRECT NO_COLOR COLUMNS LINES
export TERM=linux

skip() {
	echo "skipped: $*"
	exit 77
}

# A program of a build with sanitizers: nothing can be preloaded, nor libpcap loaded privately.
sanitized() { # program
	nm -D "$1" | grep -q '__[at]san_init'
}

# This script once more, in a network namespace of its own. Its programs would ignore SIGHUP under nohup, and
# SIGINT in the background of another script, too, and no shell can undo that.
own_namespace() { # options of unshare... -- arguments of the script...
	local options=(--net)
	[ -z "${NPF_IN_NAMESPACE:-}" ] || return 0
	unshare --net true 2>/dev/null || skip "network namespaces need root"
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	NPF_IN_NAMESPACE=1 exec env --default-signal unshare "${options[@]}" "$0" "$@"
}

# The same, and no process outlives it.
own_processes() { # arguments of the script...
	[ -n "${NPF_IN_NAMESPACE:-}" ] || unshare --mount true 2>/dev/null ||
		skip "a chroot takes no mounts of its own"
	own_namespace --pid --fork --kill-child --mount-proc -- "$@"
}

# Devices that are made from now on send no packets that nobody asked for.
silence() {
	[ ! -e /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
}

# va and vb, both here.
make_pair() {
	silence
	ip link set lo up
	ip link add va address 02:00:00:00:00:0a type veth peer name vb address 02:00:00:00:00:0b
	ip link set va up
	ip link set vb up
}

# va, 192.0.2.1, here; vb, 192.0.2.2, in the namespace of the process $there: "$inside command..."
make_hosts() {
	silence
	unshare --net sleep 600 &
	there=$!
	until [ "$(readlink "/proc/$there/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do :; done
	inside="nsenter --net=/proc/$there/ns/net"
	$inside bash -c "$(declare -f silence); silence"
	ip link set lo up
	ip link add va address 02:00:00:00:00:0a type veth \
		peer name vb address 02:00:00:00:00:0b netns "$there"
	ip address add 192.0.2.1/24 dev va
	ip link set va up
	$inside ip address add 192.0.2.2/24 dev vb
	$inside ip link set vb up
	# Neighbours that are known ask nobody at a time of their own.
	ip neighbour replace 192.0.2.2 lladdr 02:00:00:00:00:0b dev va nud permanent
	$inside ip neighbour replace 192.0.2.1 lladdr 02:00:00:00:00:0a dev vb nud permanent
}

# Long, for only a failure waits for it.
wait_for() { # description, command...
	local end=$((SECONDS + 300)) what=$1
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || {
			echo "in vain: $what" >&2
			return 1
		}
		sleep 0.02
	done
}
