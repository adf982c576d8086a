#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# samples.sh FOLDER: every sample program runs and does what it says, on a veth pair of its
# own. What a sample needs and this driver has not is skipped by name.
#
# shellcheck disable=SC2317 # functions that are called by name
set -eu
samples=$1

. "$(dirname "$0")/../lib/net.sh"
! sanitized "$samples/sample_devices" ||
	skip "libpcap cannot be loaded privately under this sanitizer"
own_processes "$@"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make_pair
ip link add vc type veth peer name vd
ip address add 192.0.2.1/24 dev va
for adapter in vc vd; do ip link set $adapter up; done

status=0
check() { # name, expected pattern, file
	if grep -qE "$2" "$3"; then
		echo "ok    $1"
	else
		echo "FAIL  $1: no line like $2 in"
		cat "$3"
		status=1
	fi
}

missing() { # name, file: the driver of this build lacks something
	grep -qE 'this build (has no|cannot)' "$2" || return 1
	echo "skip  $1: $(tail -n 1 "$2")"
}

# Without a limit: who waits in vain is ended with the whole test, and shown by its last line.
shown() { # pattern, file, pid
	until grep -q "$1" "$2" 2>/dev/null; do
		kill -0 "$3" 2>/dev/null || return 0
		sleep 0.02
	done
}

# A sample that listens, in the background, with a standard input in which nobody presses a key.
listen() { # sample arguments...
	echo "      $*"
	: >"$work/out" # here: the one in the background may be late, with the last one's text in it
	"$samples/sample_$1" "${@:2}" >"$work/out" 2>&1 </dev/null &
	pid=$!
	shown listening "$work/out" $pid
}

listened() { # until it ends by itself
	while kill -0 $pid 2>/dev/null; do
		sleep 0.02
	done
}

frames() { # n frames from vb to va
	"$samples/sample_packet_send" vb "$1" >/dev/null
}

datagrams() {
	for _ in 1 2 3 4 5; do echo hello >/dev/udp/127.0.0.1/9; done
}

"$samples/sample_devices" >"$work/out" 2>&1
check devices '^rpcap://va' "$work/out"
check devices 'Address: 192.0.2.1' "$work/out"

"$samples/sample_packet_oid" >"$work/out" 2>&1
check packet_oid 'MAC: 02:00:00:00:00:0a' "$work/out"
check packet_oid '^lo .*loopback' "$work/out"

"$samples/sample_packet_send" va 3 >"$work/out" 2>&1
check packet_send 'sent 3 copies' "$work/out"
"$samples/sample_send_packet" va >"$work/out" 2>&1
check send_packet 'sent 100 bytes' "$work/out"

listen packet_capture va 5
frames 5
listened
check packet_capture '5 packets received, 0 lost' "$work/out"

listen capture va 4
frames 4
listened
check capture '100 bytes, first byte ff' "$work/out"

listen capture_loop va 4
frames 4
listened
check capture_loop 'len:100' "$work/out"

listen subnet lo 4
datagrams
listened
check subnet '127.0.0.1 -> 127.0.0.1' "$work/out"

listen savefile write va "$work/file" 4
frames 4
listened
"$samples/sample_savefile" read "$work/file" >"$work/out" 2>&1
check savefile '^100 bytes' "$work/out"

listen top_talkers lo 5
datagrams
shown captured "$work/out" $pid
datagrams
listened
check top_talkers '127.0.0.1 +5 packets' "$work/out"
check top_talkers 'report: [0-9]+ packets' "$work/out"

for sync in '' sync; do
	# shellcheck disable=SC2086 # no word where there is none
	"$samples/sample_send_queue" va 20 $sync >"$work/out" 2>&1 || true
	missing "send_queue $sync" "$work/out" ||
		check "send_queue $sync" 'sent 2320 bytes of 20 packets' "$work/out"
done

listen kernel_dump va "$work/dump" 3
if ! missing kernel_dump "$work/out"; then
	frames 10
	listened
	check kernel_dump "^done" "$work/out"
	"$samples/sample_savefile" read "$work/dump" >"$work/out" 2>&1
	check kernel_dump '^100 bytes' "$work/out"
fi

# A neighbour of its own, for who asks has to be another than who answers.
unshare --net sleep 600 &
there=$!
until [ "$(readlink "/proc/$there/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do :; done
ip link add ve type veth peer name vg address 02:00:00:00:00:0f netns "$there"
ip address add 198.51.100.1/24 dev ve
ip link set ve up
nsenter --net="/proc/$there/ns/net" ip address add 198.51.100.7/24 dev vg
nsenter --net="/proc/$there/ns/net" ip link set vg up
"$samples/sample_arp_scan" ve 198.51.100.2 198.51.100.9 "$work/log" 1 >"$work/out" 2>&1 </dev/null
check arp_scan '^1 answers' "$work/out"
check arp_scan 'Press any key' "$work/out"
check arp_scan '^198.51.100.7 is at 02-00-00-00-00-0f$' "$work/log"

# What comes in at vb goes out at vc, and arrives at vd.
"$samples/sample_bridge" vb vc >"$work/out" 2>&1 &
bridge=$!
shown listening "$work/out" $bridge
listen2=$work/bridged
"$samples/sample_capture" vd 3 >"$listen2" 2>&1 </dev/null &
pid=$!
shown listening "$listen2" $pid
"$samples/sample_packet_send" va 3 >/dev/null
listened
check bridge '100 bytes, first byte ff' "$listen2"
kill -TERM $bridge
wait $bridge || true
check bridge '3 packets there' "$work/out"
exit $status
