#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# programs.sh NPF TRAFFIC: installed programs say through `npf run` what they say on libpcap, and both
# say what the traffic was. Those that listen hear the same traffic at the same time on both; those
# that ask do so one after the other. Programs that are not installed are skipped by name.
#
# NPF_TEST_PROGRAMS="tcpdump nmap" limits them. NPF_TEST_REQUIRE_PROGRAMS=n fails with fewer.
#
# shellcheck disable=SC2317 # functions that are called by name
set -eu
npf=$(realpath "$1")
traffic=(taskset -c 0 /usr/bin/python3 "$(realpath "$2")")

. "$(dirname "$0")/../lib/net.sh"
! sanitized "$npf" || skip "nothing can be preloaded with this sanitizer"
[ -x /usr/bin/python3 ] || skip "no python3 to make traffic with"
own_processes "$@"
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # for programs that give up being root

# ---- the world ----------------------------------------------------------------------------------

make_hosts
$inside "${traffic[@]}" serve >"$work/serve" &

status=0
declare -A ran=() # by name
failed() { # program, why
	echo "FAIL  $*"
	status=1
}

wait_for "the server" grep -qs serving "$work/serve"

# Is it there, and wanted?
have() { # program
	case " ${NPF_TEST_PROGRAMS:-$1} " in
	*" $1 "*) ;;
	*) return 1 ;;
	esac
	case $1 in
	scapy) /usr/bin/python3 -c "import scapy" 2>/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac && return
	echo "skip  $1: not installed"
	return 1
}

# ---- programs that listen -----------------------------------------------------------------------

listening=()
declare -A started file_of known_of

taps() { # packet sockets there are
	tail -n +2 /proc/net/packet | wc -l
}

more_taps() {
	[ "$(taps)" -gt "$before" ]
}

# NPF alone keeps the list of packet sockets open. A trace would tell as well, but tshark reads what
# dumpcap writes to standard error.
on_npf() { # side
	local of=${started[$name.$1]} fd
	for fd in $(sessions | awk -v session="$of" '$2 == session { print "/proc/" $1 "/fd" }'); do
		find "$fd" -lname '*/net/packet' 2>/dev/null | grep -q . && return
	done
	return 1
}

# Does the kernel's half of NPF run for it? It has not the rights for it if it gave them away.
in_kernel() { # session
	local fd
	for fd in $(sessions | awk -v session="$1" '$2 == session { print "/proc/" $1 "/fd" }'); do
		find "$fd" -lname 'anon_inode:bpf-map' 2>/dev/null | grep -q . && return
	done
	return 1
}

# Processes: number, session, ticks of CPU time.
sessions() {
	cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^\([0-9]*\) .*) /\1 /' |
		awk '{ print $1, $5, $13 + $14 }'
}

# CPU time of everything that the program started, in ticks.
spent() { # session
	sessions | awk -v session="$1" '$2 == session { sum += $3 } END { print sum + 0 }'
}

# Has one of its threads something to do, whether or not it gets a CPU for it?
busy() { # session
	local pid
	for pid in $(sessions | awk -v session="$1" '$2 == session { print $1 }'); do
		cat "/proc/$pid/task/"*/stat 2>/dev/null | sed 's/.*) //' | grep -q '^[RD]' && return
	done
	return 1
}

# Nothing left to do before it waits for packets.
calm() { # session
	local earlier now
	earlier=$(spent "$1")
	for _ in 1 2 3; do
		sleep 0.1
		! busy "$1" || return 1
		now=$(spent "$1")
		[ "$now" = "$earlier" ] || return 1
	done
}

start() { # side command...
	local side=$1 path=$work/$name.$1
	shift
	mkdir "$path"
	chmod 777 "$path"
	(cd "$path" && exec setsid "$@" >out 2>err </dev/null) &
	started[$name.$side]=$!
}

# When all was heard, file has what matches known: "the-end", or what the program makes of it.
listen() { # name[:case] file known command...
	name=$1
	have "${name%:*}" || return 0
	file_of[$name]=$2
	known_of[$name]=$3
	shift 3
	before=$(taps)
	start libpcap "$@"
	wait_for "$name on libpcap" more_taps || failed "$name" "does not listen on libpcap"
	! on_npf libpcap || failed "$name" "is on NPF, as libpcap"
	start npf "$npf" run -- "$@"
	wait_for "$name on NPF" on_npf npf || {
		failed "$name" "is not on NPF"
	}
	# What one of them can here, all can.
	if [ ${#listening[@]} -gt 0 ] && in_kernel "${started[${listening[0]}.npf]}" &&
		! in_kernel "${started[$name.npf]}"; then
		failed "$name" "gave away the rights that NPF needs"
	fi
	listening+=("$name")
	wait_for "$name rests" calm "${started[$name.libpcap]}" || true
	wait_for "$name rests" calm "${started[$name.npf]}" || true
}

heard() { # side
	# shellcheck disable=SC2086 # a pattern may name the file
	grep -qaE -e "${known_of[$name]}" "$work/$name.$1/"${file_of[$name]} 2>/dev/null
}

stop() { # side
	kill -TERM "${started[$name.$1]}" 2>/dev/null || true
	wait "${started[$name.$1]}" 2>/dev/null || true
}

# What a program says, without what differs between two runs of it: in the file "text".
plain() { # side
	local path=$work/$name.$1
	case $name in
	dumpcap*) tcpdump -n -e -t -XX -r "$path/all.pcapng" 2>/dev/null ;;
	tcpflow) (cd "$path" && for flow in *.[0-9]*-*; do echo "$flow"; cat "$flow"; done) ;;
	p0f) sed 's/^\[[^]]*\] //' "$path/log" ;;
	*) cat "$path/out" ;;
	esac >"$path/text"
}

# What the traffic was: 21 questions to port 7 and their answers, one page asked for by HTTP, and 5
# packets with a tag.
counts() { # pattern n: so many lines of it
	local n
	n=$(grep -caE -e "$1" "$work/$name.npf/text") || true
	[ "$n" = "$2" ] || failed "$name" "has $n lines of $1, not $2"
}

true_of_traffic() {
	case $name in
	tcpdump) counts 'proto UDP \(17\)' 42 ;;
	dumpcap) counts 'UDP, length' 42 ;;
	*:vlan) counts '192\.0\.2\.2' 5 ;;
	*:not-vlan)
		counts 'UDP, length' 42
		counts 'vlan 7' 0
		;;
	tshark) counts '^[0-9]+\s192\.0\.2\.[12]\s192\.0\.2\.[12]\s(7|4000)\s' 42 ;;
	ngrep) counts '^U 192\.0\.2\.' 42 ;;
	scapy) counts '^b.*the-end|^b.*hello' 42 ;;
	tcpflow)
		counts '^[0-9.]+-[0-9.]+$' 2
		counts 'GET /known HTTP/1\.0' 1
		counts '^known answer$' 1
		;;
	p0f)
		counts 'mod=http request.*cli=192\.0\.2\.1' 1
		counts 'mod=http response.*cli=192\.0\.2\.1' 1
		;;
	esac
}

compare() { # name
	name=$1
	ran[${name%:*}]=yes
	plain libpcap
	plain npf
	[ -s "$work/$name.libpcap/text" ] || { failed "$name" "says nothing on libpcap"; return; }
	if diff "$work/$name.libpcap/text" "$work/$name.npf/text" >"$work/diff"; then
		true_of_traffic
		echo "ok    $name: $(wc -l <"$work/$name.npf/text") lines are the same"
	else
		failed "$name" "differs on NPF:"
		head -n 20 "$work/diff"
		tail -n 5 "$work/$name.npf/err"
	fi
}

listen tcpdump out the-end tcpdump -i va -n -e -vv -A -t -l
listen dumpcap all.pcapng the-end dumpcap -q -i va -w all.pcapng
listen tshark out '^49' tshark -i va -n -l -T fields -e frame.len \
	-e ip.src -e ip.dst -e udp.srcport -e tcp.srcport -e tcp.flags -e data.data
# These give up their rights, and compile then.
listen dumpcap:vlan all.pcapng 'tagged 4' dumpcap -q -i va -f vlan -w all.pcapng
listen dumpcap:not-vlan all.pcapng the-end dumpcap -q -i va -f 'ip and not vlan' -w all.pcapng
listen tshark:vlan out 7461676765642034 tshark -i va -n -l -f vlan -T fields -e vlan.id -e ip.src \
	-e data.data
listen ngrep out the-end ngrep -q -l -d va -W byline '' udp
listen tcpflow '192*' 'known answer' tcpflow -i va
listen p0f log 'mod=http response' p0f -i va -o log
listen scapy out the-end /usr/bin/python3 -u -c '
from scapy.all import conf, sniff
conf.use_pcap = True
sniff(iface="va", filter="udp port 7", prn=lambda packet: print(bytes(packet)), store=0)'

if [ ${#listening[@]} -gt 0 ]; then
	"${traffic[@]}" talk
	for name in "${listening[@]}"; do
		wait_for "$name hears all on libpcap" heard libpcap || failed "$name" "on libpcap"
		wait_for "$name hears all on NPF" heard npf || failed "$name" "is deaf on NPF"
	done
	for name in "${listening[@]}"; do
		stop libpcap
		stop npf
	done
	for name in "${listening[@]}"; do
		compare "$name"
	done
fi

# ---- programs that ask --------------------------------------------------------------------------

ask() { # name known-of-all-lines sed-script command...
	local known=$2 script=$3 side
	name=$1
	have "$name" || return 0
	ran[$name]=yes
	shift 3
	for side in libpcap npf; do
		mkdir "$work/$name.$side"
		local run=()
		[ $side = libpcap ] || run=("$npf" run --trace --)
		timeout 300 "${run[@]}" "$@" >"$work/out" 2>"$work/$name.$side/err" </dev/null || {
			cat "$work/out" "$work/$name.$side/err"
			failed "$name" "exit code $? on $side"
			return
		}
		sed -E "$script" "$work/out" >"$work/$name.$side/text"
		tr '\n' ' ' <"$work/$name.$side/text" | grep -qE "$known" || {
			cat "$work/out"
			failed "$name" "no $known on $side"
			return
		}
	done
	grep -q 'npf_open va' "$work/$name.npf/err" || failed "$name" "is not on NPF"
	if diff "$work/$name.libpcap/text" "$work/$name.npf/text"; then
		echo "ok    $name: $(wc -l <"$work/$name.npf/text") lines are the same"
	else
		failed "$name" "differs on NPF"
	fi
	rm -rf "$work/$name".*
}

times='s/ in [0-9.]+ seconds.*//; s/[0-9.]+s latency/latency/; s/^Starting.*//; s/^Ending.*//; s/^Stats.*//'
ask nmap '79/tcp +closed .*80/tcp +open .*81/tcp +closed .*82/tcp +closed ' "$times" \
	nmap -n -sS -p 79-82 192.0.2.2
ask nmap '7/udp +open ' "$times" nmap -n -sU -p 7 --data-string hello 192.0.2.2
ask nmap '192\.0\.2\.2 .*MAC Address: 02:00:00:00:00:0B.* 2 IP addresses \(1 host up\)' "$times" \
	nmap -n -sn -PR 192.0.2.2-3
ask arp-scan '192\.0\.2\.2\s+02:00:00:00:00:0b.* 1 packets received by filter, 0 ' "$times" \
	arp-scan -I va -r 2 -t 200 192.0.2.0/29
ask netdiscover '192\.0\.2\.2 +02:00:00:00:00:0b .* 1 Hosts?' "$times" \
	netdiscover -i va -P -N -r 192.0.2.0/24

echo "${#ran[@]} programs"
[ ${#ran[@]} -ge "${NPF_TEST_REQUIRE_PROGRAMS:-0}" ] || failed "programs" \
	"there are to be $NPF_TEST_REQUIRE_PROGRAMS"
[ ${#ran[@]} -gt 0 ] || [ $status != 0 ] || skip "none of the programs is installed"
exit $status
