#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# equals_tcpdump.sh NPF TRAFFIC: what `npf capture -w` stores is what tcpdump stores beside it, packet
# by packet apart from the time stamps: several filters at once, each hook, a veth pair and the
# loopback device. The two look at slightly different places of the stack, so packets sent and
# packets received are compared apart, each in order (see traffic.c).
#
# NPF_TEST_HOOKS=socket,tpacket limits the hooks; those of NPF_TEST_REQUIRE must be there.
#
# shellcheck disable=SC2317 # functions that are called by name (wait_for, trap)
set -eu
npf=$1
traffic=$2
hooks=${NPF_TEST_HOOKS:-tcx,socket,tpacket}

. "$(dirname "$0")/../lib/net.sh"
command -v tcpdump >/dev/null || skip "tcpdump is not installed"
own_namespace -- "$@"

work=$(mktemp -d)
there=
clean_up() {
	[ -z "$there" ] || kill "$there" 2>/dev/null || true
	rm -rf "$work"
}
trap clean_up EXIT

# ---- the world ----------------------------------------------------------------------------------

make_hosts
# With its own MTU of 65536 TCP hands down packets of 95 KB, which the stack cuts in two before it
# shows them to packet sockets, but after it showed them to tcx. "auto" knows; see the end.
ip link set lo mtu 16436

# ---- one comparison -----------------------------------------------------------------------------

veth_cases=('' 'tcp' 'vlan' 'udp port 53' 'icmp or arp' 'vlan 5 and udp' 'inbound' 'outbound and ip'
	'-s 96' 'ip6' 'vlan and vlan 7' 'len > 1000' 'ether multicast' 'not ip')
lo_cases=('' 'tcp' 'udp port 53' '-s 96' 'icmp')

# A case is a filter, or "-s LENGTH". Sets options and words.
split() {
	options=(-s 262144)
	words=()
	case $1 in
	-s*) read -ra options <<<"$1" ;;
	*) read -ra words <<<"$1" ;;
	esac
}

listens() {
	grep -qs "listening on" "$1" || ! kill -0 "$2" 2>/dev/null
}

# What tcpdump finds in the first block of its buffer it filters by itself, and then it knows no
# direction: greet it until it stores something.
greeted() { # number
	[ "$(stat -c %s "$work/tcpdump$1" 2>/dev/null || echo 0)" -gt 24 ] && return
	"$traffic" greet "/proc/$there/ns/net"
	sleep 0.1
	return 1
}

caught_up() { # number
	[ "$("$traffic" count "$work/tcpdump$1")" -ge "$("$traffic" count "$work/npf$1")" ]
}

# All cases at once on an adapter, while a command makes traffic.
compare() { # hook adapter command... ; cases in the array "cases"
	local hook=$1 adapter=$2 i options words failed=0 pids=() dumps=()
	shift 2
	for i in "${!cases[@]}"; do
		split "${cases[i]}"
		rm -f "$work/npf$i" "$work/tcpdump$i" "$work/npf$i.said" "$work/tcpdump$i.said"
		"$npf" capture --hook "$hook" -i "$adapter" -B 32M "${options[@]}" -w "$work/npf$i" \
			"${words[@]}" 2>"$work/npf$i.said" &
		pids+=($!)
		tcpdump -Z root -n -i "$adapter" -B 32768 "${options[@]}" -U -w "$work/tcpdump$i" \
			"${words[@]}" 2>"$work/tcpdump$i.said" &
		dumps+=($!)
	done
	for i in "${!cases[@]}"; do
		wait_for "npf listens" listens "$work/npf$i.said" "${pids[i]}"
		wait_for "tcpdump listens" listens "$work/tcpdump$i.said" "${dumps[i]}"
	done
	for i in "${!cases[@]}"; do
		[[ ${cases[i]} != *bound* ]] || wait_for "greeting tcpdump" greeted "$i"
	done
	if ! "$@"; then
		failed=1
	fi
	kill -INT "${pids[@]}" 2>/dev/null || true
	for i in "${!cases[@]}"; do
		wait "${pids[i]}" || { cat "$work/npf$i.said"; failed=1; }
		# Interrupted, tcpdump forgets what is left in its buffer.
		wait_for "tcpdump stores ${cases[i]}" caught_up "$i" || failed=1
	done
	kill -INT "${dumps[@]}" 2>/dev/null || true
	wait "${dumps[@]}" || true
	for i in "${!cases[@]}"; do
		printf '%-8s %-3s %-18s ' "$hook" "$adapter" "${cases[i]:-everything}"
		"$traffic" compare "$work/npf$i" "$work/tcpdump$i" || failed=1
		grep -q '^0 packets dropped by kernel' "$work/tcpdump$i.said" || {
			tail -n 3 "$work/tcpdump$i.said"
			failed=1
		}
		grep -q '^0 packets dropped' "$work/npf$i.said" || {
			cat "$work/npf$i.said"
			failed=1
		}
	done
	return $failed
}

usable() { # hook
	"$npf" capture --hook "$1" -i lo -c 1 -q >/dev/null 2>"$work/usable" &
	local pid=$!
	until ! kill -0 $pid 2>/dev/null; do
		# It captures: show it a packet.
		(echo >/dev/udp/127.0.0.1/9) 2>/dev/null || true
		sleep 0.05
	done
	wait $pid
}

# ---- the comparisons ----------------------------------------------------------------------------

status=0
compared=0
for hook in ${hooks//,/ }; do
	if ! usable "$hook"; then
		echo "$hook: $(tail -n 1 "$work/usable")"
		[[ ,${NPF_TEST_REQUIRE:-}, != *,$hook,* ]] || status=1
		continue
	fi
	compared=$((compared + 1))
	cases=("${veth_cases[@]}")
	compare "$hook" va "$traffic" veth "/proc/$there/ns/net" || status=1
	cases=("${lo_cases[@]}")
	compare "$hook" lo "$traffic" lo || status=1
done
[ $compared != 0 ] || [ $status != 0 ] || skip "no hook that could be tested"

ip link set lo mtu 65536
compare auto lo "$traffic" lo || status=1
exit $status
