#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tcpdump.sh NPF TRAFFIC: tcpdump prints and stores by `npf run` what it does on libpcap, with the
# options that people use, and fails with the same words. All listen to the same packets at once; time
# stamps are taken out.
#
# shellcheck disable=SC2317 # functions that are called by name
set -eu
npf=$(realpath "$1")
traffic=(/usr/bin/python3 "$(realpath "$2")")

. "$(dirname "$0")/../lib/net.sh"
! sanitized "$npf" || skip "nothing can be preloaded with this sanitizer"
PATH=$PATH:/usr/sbin:/sbin
command -v tcpdump >/dev/null || skip "tcpdump is not installed"
[ -x /usr/bin/python3 ] || skip "no python3 to make traffic with"
own_processes "$@"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 777 "$work" # for those who give up being root

make_pair
ip link add vdown type veth peer name vother

status=0
failed() { # case, why
	echo "FAIL  $*"
	status=1
}

run=('' "$npf run --")
sides='0 1' # libpcap, NPF

# ---- with the packets that are known ------------------------------------------------------------

# The traffic ends with a datagram to port 9999. Each case sees it, or ends by its own count. (What is
# cut is not printed as it is: in immediate mode libpcap 1.10.3 keeps two bytes less than asked for.)
cases=(
	'-n'
	'-n -e'
	'-n -e -v -X'
	'-n -t -vvv -XX -S'
	'-n -q -A'
	'-n -K -vv'
	'-n -x -p'
	'-n -s 60 -e ip'
	'-n -s 0 -v -#'
	'-n -c 7'
	'-n -tttt'
	'-n -B 4096'
	'-n --time-stamp-precision=nano'
	'-n -e -Z nobody'
	'-n -y EN10MB'
	'-n -Q in -e'
	'-n -Q out -e -c 5'
	'-n -Q inout'
	'-n udp port 9999 or arp'
	'-n -e -c 4 vlan'
	'-n -e -c 2 vlan 5 and udp'
	'-n -c 3 tcp'
	'-n -c 4 -e not ip and not vlan'
	'-n -c 2 icmp or icmp6'
	'-n -c 1 ip[8] = 1'
	'-n -c 6 greater 500'
)

ended() { # number side
	kill -0 "${pids[$1.$2]}" 2>/dev/null || return 0
	grep -qa '9999: .*UDP' "$work/$1.$2.out"
}

listens() { # number side
	grep -qs 'listening on' "$work/$1.$2.err" || ! kill -0 "${pids[$1.$2]}" 2>/dev/null
}

# Of tcpdump's times; and of what differs between two runs of it.
plain() { # file
	sed -E 's/^( *[0-9]+ +)?([0-9]{4}-[0-9]{2}-[0-9]{2} )?[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]+ /\1/' "$1"
}

# Some print without being asked for each packet, some not: -l for all.
declare -A pids
for i in "${!cases[@]}"; do
	for side in $sides; do
		# shellcheck disable=SC2086 # words are wanted
		${run[side]} tcpdump -i va -l --immediate-mode ${cases[i]} \
			>"$work/$i.$side.out" 2>"$work/$i.$side.err" </dev/null &
		pids[$i.$side]=$!
	done
done
for i in "${!cases[@]}"; do
	for side in $sides; do
		wait_for "tcpdump ${cases[i]} listens" listens "$i" "$side"
	done
done
"${traffic[@]}" packets
for i in "${!cases[@]}"; do
	for side in $sides; do
		wait_for "tcpdump ${cases[i]} prints all" ended "$i" "$side" ||
			failed "tcpdump ${cases[i]}" "does not end"
		kill -INT "${pids[$i.$side]}" 2>/dev/null || true
	done
done
for i in "${!cases[@]}"; do
	for side in $sides; do
		code=0
		wait "${pids[$i.$side]}" || code=$?
		plain "$work/$i.$side.out" >"$work/$i.$side.text"
		{
			echo "exit code $code"
			# How many came before it was interrupted depends on when.
			sed -E '/received by filter/d' "$work/$i.$side.err"
		} >>"$work/$i.$side.text"
	done
	[ "$(wc -l <"$work/$i.0.out")" -ge 1 ] || failed "tcpdump ${cases[i]}" "prints nothing"
	if diff "$work/$i.0.text" "$work/$i.1.text" >"$work/diff"; then
		echo "ok    tcpdump ${cases[i]}: $(wc -l <"$work/$i.1.out") lines"
	else
		failed "tcpdump ${cases[i]}" "differs by npf run:"
		head -n 10 "$work/diff"
	fi
done

# ---- without packets: lists and errors ----------------------------------------------------------

words=(
	'-D'
	'-i va -L'
	'-i lo -L'
	'-i va -d ip and tcp port 80'
	'-i va -ddd vlan and host 10.0.0.1'
	'-i any -d tcp'
	'-i nothing'
	'-i vdown'
	'-i va -I'
	'-i va -y NOTHING'
	'-i va -y NULL'
	'-i va -j nothing'
	'-i va no such filter'
	'-i va wlan type mgt'
	'-i va -Q sideways'
	'-i va -B x'
	'-r /nonexistent'
	'-i va -w /nonexistent/x'
	'-i va -Z nobody-of-that-name'
)
for line in "${words[@]}"; do
	for side in $sides; do
		code=0
		# shellcheck disable=SC2086 # words are wanted
		${run[side]} timeout 10 tcpdump $line >"$work/said.$side" 2>&1 </dev/null || code=$?
		echo "exit code $code" >>"$work/said.$side"
	done
	if ! grep -q 'exit code 124' "$work/said.0" &&
		diff "$work/said.0" "$work/said.1" >"$work/diff"; then
		echo "ok    tcpdump $line: $(wc -l <"$work/said.1") lines"
	else
		failed "tcpdump $line" "differs by npf run:"
		head -n 10 "$work/diff"
	fi
done

# ---- files --------------------------------------------------------------------------------------

stored() { # side: what is in its files, in order
	local file
	for file in $(cd "$work/files.$1" && find . -type f | sort); do
		echo "$file $(stat -c %U "$work/files.$1/$file")"
		tcpdump -n -e -t -XX -r "$work/files.$1/$file" 2>/dev/null
	done
}

stored_all() { # side
	[ "$(stored "$1" | grep -c 'IPv4 (0x0800), length 842')" -ge "$2" ]
}

store() { # packets options...: many packets, written by both
	local n=$1 side writers=()
	shift
	for side in $sides; do
		rm -rf "$work/files.$side"
		mkdir "$work/files.$side"
		chmod 777 "$work/files.$side"
		# shellcheck disable=SC2086 # words are wanted
		(cd "$work/files.$side" && exec ${run[side]} tcpdump -i va -n -U -B 32768 \
			"$@" udp 2>../err.$side </dev/null) &
		writers+=($!)
	done
	for side in $sides; do
		wait_for "tcpdump $* listens" grep -qs 'listening on' "$work/err.$side"
	done
	"${traffic[@]}" many "$n"
	for side in $sides; do
		wait_for "tcpdump $* stores" stored_all "$side" "$n" ||
			failed "tcpdump $*" "does not store all"
	done
	kill -INT "${writers[@]}" 2>/dev/null || true
	wait "${writers[@]}" || failed "tcpdump $*" "exit code"
	for side in $sides; do
		stored "$side" >"$work/stored.$side"
	done
	if diff "$work/stored.0" "$work/stored.1" >"$work/diff"; then
		echo "ok    tcpdump $*: $(find "$work/files.1" -type f | wc -l) files"
	else
		failed "tcpdump $*" "stores something else by npf run:"
		head -n 10 "$work/diff"
	fi
}

store 300 -w all.pcap
store 300 -Z nobody -w nobody.pcap
store 300 -s 100 -w short.pcap
store 2500 -C 1 -w piece.pcap
store 2500 -C 1 -Z nobody -w piece.pcap

exit $status
