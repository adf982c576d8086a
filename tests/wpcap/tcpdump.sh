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

# Where everybody may read them, by a path that is one word: what tcpdump starts once it gave up being root
# loads the drop-in, too.
mkdir -p "$work/tools" "$work/src/packet" "$work/src/wpcap/dropin"
cp "$npf" "$work/tools/npf"
for library in libnpf.so.0 packet/libpacket.so.0 wpcap/dropin/libpcap.so.0.8; do
	cp "$(dirname "$npf")/../src/$library" "$work/src/$library"
done
run=('' "$work/tools/npf run --")
sides='0 1' # libpcap, NPF

# NPF alone keeps the list of packet sockets open.
on_npf() { # pid
	find "/proc/$1/fd" -lname '*/net/packet' 2>/dev/null | grep -q .
}

# ---- with the packets that are known ------------------------------------------------------------

# The traffic ends with a datagram to port 9999. Each case sees it, or ends by its own count. (What is
# cut is printed in another way: in immediate mode libpcap 1.10.3 keeps two bytes less than asked for.)
echo 'tcp or arp or port 9999' >"$work/expression"
cases=(
	'-n'
	'-n --immediate-mode'
	'-n -e'
	'-n -e -v -X'
	'-n -t -vvv -XX -S'
	'-n -q -A'
	'-n -q -AA --immediate-mode'
	'-n -K -vv'
	'-n -x -p'
	'-n -xx -f'
	'-n -s 60 -e ip'
	'-n -s 0 -v -#'
	'-n -c 7'
	'-n -c 7 --immediate-mode'
	'-n -tt'
	'-n -tttt'
	'-n -B 4096'
	'-n --time-stamp-precision=nano'
	'-n --nano -tt'
	'-n -j host'
	'-n -e -Z nobody'
	'-n -y EN10MB'
	'-n -Q in -e'
	'-n -Q out -e -c 5'
	'-n -Q inout'
	"-n -F $work/expression"
	'-n -O udp port 9999 or arp'
	'-n -e -c 4 vlan'
	'-n -e -c 2 vlan 5 and udp'
	'-n -c 3 tcp'
	'-n -c 4 -e not ip and not vlan'
	'-n -c 2 icmp or icmp6'
	'-n -c 1 ip[8] = 1'
	'-n -c 6 greater 500'
	'-i lo -n -e -X'
	'-i lo -n -Q in'
	'-i any -n -e'
	'-i any -n -Q in -v'
	'-i any -n -s 100 --immediate-mode -X'
	'-i any -n -Q out -c 3 -Z nobody'
)

ended() { # number side
	local last=1

	case ${cases[$1]} in
	*'any'*' in '*) last=2 ;; # lo, va
	*'any'*) last=3 ;;        # lo, vb, va
	esac
	kill -0 "${pids[$1.$2]}" 2>/dev/null || return 0
	[ "$(grep -ca '9999: .*UDP' "$work/$1.$2.out")" -ge "$last" ]
}

all_ended() {
	local i side
	for i in "${!cases[@]}"; do
		for side in $sides; do ended "$i" "$side" || return 1; done
	done
}

listens() { # number side
	grep -qs 'listening on' "$work/$1.$2.err" || ! kill -0 "${pids[$1.$2]}" 2>/dev/null
}

# In immediate mode each packet takes a frame of libpcap's buffer that has room for the longest: of the usual
# 2 MiB that is 8, and libpcap, not NPF, loses what comes while it does not run.
room() { # number side
	case "$2 ${cases[$1]}" in '0 '*--immediate-mode*) echo '-B 32768' ;; esac
}

# Times are not the same; their digits are as many.
plain() { # file
	sed -E -e 's/^( *[0-9]+ +)?([0-9]{4}-[0-9]{2}-[0-9]{2} )?[0-9]{2}:[0-9]{2}:[0-9]{2}\./\1@/' \
		-e 's/^[0-9]{10}\./@/' -e 's/@[0-9]{6} /@us /; s/@[0-9]{9} /@ns /' "$1"
}

# Some print without being asked for each packet, some not: -l for all.
declare -A pids
for i in "${!cases[@]}"; do
	for side in $sides; do
		# shellcheck disable=SC2046,SC2086 # words are wanted
		${run[side]} tcpdump -i va -l $(room "$i" "$side") ${cases[i]} \
			>"$work/$i.$side.out" 2>"$work/$i.$side.err" </dev/null &
		pids[$i.$side]=$!
	done
done
for i in "${!cases[@]}"; do
	for side in $sides; do
		wait_for "tcpdump ${cases[i]} listens" listens "$i" "$side"
	done
	! on_npf "${pids[$i.0]}" || failed "tcpdump ${cases[i]}" "is on NPF, as libpcap"
	case ${cases[i]} in
	*any*) ! on_npf "${pids[$i.1]}" || failed "tcpdump ${cases[i]}" "is on NPF" ;;
	*) on_npf "${pids[$i.1]}" || failed "tcpdump ${cases[i]}" "is not on NPF" ;;
	esac
done
"${traffic[@]}" packets
wait_for "each tcpdump prints all" all_ended || true
for i in "${!cases[@]}"; do
	for side in $sides; do
		ended "$i" "$side" || failed "tcpdump ${cases[i]}" "does not end, on side $side"
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
			# How many came before it ended by its count depends on when; and
			# libpcap counts what it then leaves out, see CAVEATS.md.
			case ${cases[i]} in
			*-c* | *'-Q in '* | *'-Q in' | *lo*)
				sed -E '/received by filter/d' "$work/$i.$side.err"
				;;
			*) cat "$work/$i.$side.err" ;;
			esac
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
	'--version'
	'-D'
	'-i va -L'
	'-i lo -L'
	'-i any -L'
	'-i va -J'
	'-i any -J'
	'-i va -d ip and tcp port 80'
	'-i va -dd ip6 or inbound'
	'-i va -ddd vlan and host 10.0.0.1'
	'-i any -d tcp'
	'-i lo -O -d udp'
	'-i va -s 96 -dd'
	'-i nothing'
	'-i vdown'
	'-i va -I'
	'-i va -y NOTHING'
	'-i va -y NULL'
	'-i va -j nothing'
	'-i va -j adapter -d'
	'-i va no such filter'
	'-i va wlan type mgt'
	'-i va -Q sideways'
	'-i va -B x'
	'-i va -B 4194304'
	'-i va -c 0'
	'-i va -s -1'
	'-i va -F /nonexistent'
	'-i 99'
	'-r /nonexistent'
	'-i va -w /nonexistent/x'
	'-i va -C 0 -w x'
	'-i va -Z nobody-of-that-name'
)
for line in "${words[@]}"; do
	for side in $sides; do
		code=0
		# shellcheck disable=SC2086 # words are wanted
		${run[side]} timeout 100 tcpdump $line >"$work/said.$side" 2>&1 </dev/null || code=$?
		echo "exit code $code" >>"$work/said.$side"
		# By --version it may say that it is there.
		sed -i -E 's/^(libpcap version [^,]*), on npf .*/\1/' "$work/said.$side"
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

contents() { # file tcpdump's-words...
	local read=cat
	[[ $1 != *.gz ]] || read="zcat"
	$read "$1" 2>/dev/null | tcpdump -n -e -t -r - "${@:2}" 2>/dev/null || true
}

files_of() { # side: their names, in order
	(cd "$work/files.$1" && find . -type f | sort)
}

stored() { # side: what is in its files
	local file
	for file in $(files_of "$1"); do
		echo "$file $(stat -c %U "$work/files.$1/$file")"
		contents "$work/files.$1/$file" -XX
	done
}

stores() { # side number: is that packet there?
	local file
	for file in $(files_of "$1"); do
		contents "$work/files.$1/$file" -c 1 udp dst port "$2" | grep -q . && return
	done
	return 1
}

writers=()
begin() { # options...: both write
	local side
	for side in $sides; do
		# What the one before said is no word of this one.
		rm -rf "$work/files.$side" "$work/err.$side" "$work/out.$side"
		mkdir "$work/files.$side"
		chmod 777 "$work/files.$side"
		# shellcheck disable=SC2086 # words are wanted
		(cd "$work/files.$side" && exec ${run[side]} tcpdump -i va -n -B 32768 \
			"$@" udp 2>"../err.$side" >"../out.$side" </dev/null) &
		writers[side]=$!
	done
	for side in $sides; do
		wait_for "tcpdump $* listens" grep -qs 'listening on' "$work/err.$side"
	done
	on_npf "${writers[1]}" || failed "tcpdump $*" "is not on NPF"
}

send() { # from to: packets of these numbers
	"${traffic[@]}" many "$1" "$2"
}

await() { # number options...: until it is stored
	local number=$1 side
	shift
	for side in $sides; do
		wait_for "tcpdump $* stores" stores "$side" "$number" ||
			failed "tcpdump $*" "does not store all"
	done
}

finish() { # options...
	kill -INT "${writers[@]}" 2>/dev/null || true
	wait "${writers[@]}" || failed "tcpdump $*" "exit code"
}

same() { # files options...: both have the same, and so many
	local files=$1 side
	shift
	for side in $sides; do
		stored "$side" >"$work/stored.$side"
		# All had come when it was interrupted. It may have been asked more than once.
		sort -u "$work/err.$side" >>"$work/stored.$side"
		plain "$work/out.$side" >>"$work/stored.$side"
	done
	[ "$(files_of 1 | wc -l)" = "$files" ] || failed "tcpdump $*" "not $files files"
	if diff "$work/stored.0" "$work/stored.1" >"$work/diff"; then
		echo "ok    tcpdump $*: $files files"
	else
		failed "tcpdump $*" "stores something else by npf run:"
		head -n 10 "$work/diff"
	fi
}

store() { # packets files options...: many packets, written by both
	local n=$1 files=$2
	shift 2
	begin -U "$@"
	send 0 "$n"
	await $((n - 1)) "$@"
	finish "$@"
	same "$files" "$@"
}

store 300 1 -w all.pcap
store 300 1 -Z nobody -w nobody.pcap
store 300 1 -s 100 -w short.pcap
store 300 1 -c 300 -w counted.pcap
store 300 1 --nano -w nano.pcap
store 300 1 --print -w printed.pcap
store 2500 3 -C 1 -w piece.pcap
store 2500 3 -C 1 -Z nobody -w piece.pcap
store 5000 2 -C 1 -W 2 -w ring.pcap

zipped() { # side: all but the one that is written
	[ "$(files_of "$1" | grep -vc 'gz$')" = 1 ]
}

begin -U -C 1 -z gzip -w zipped.pcap
send 0 2500
await 2499 -C -z
for side in $sides; do
	wait_for "gzip of each file" zipped "$side" || failed "tcpdump -C -z" "not for each file"
done
finish -C -z
same 3 -C 1 -z gzip -w zipped.pcap

# By time: where a file ends is another place in each run, but nothing is missing between two.
in_order() { # side: 0, 1, 2, ...
	local file
	for file in $(files_of "$1"); do contents "$work/files.$1/$file"; done |
		sed -nE 's/.* > 192.0.2.1.([0-9]+): .*/\1/p' >"$work/numbers"
	[ -s "$work/numbers" ] || return
	seq 0 $(($(wc -l <"$work/numbers") - 1)) | diff - "$work/numbers" >"$work/diff" && return
	head -n 5 "$work/diff"
	return 1
}

three() { # side
	[ "$(files_of "$1" | wc -l)" -ge 3 ]
}

ended() { # side
	! kill -0 "${writers[$1]}" 2>/dev/null
}

send_until() { # condition: true of each side
	local n=0 side
	for side in $sides; do
		until "$1" "$side"; do
			[ $n -lt 60000 ] || return 1
			send $n $((n + 5))
			n=$((n + 5))
		done
	done
	sent=$n
}

begin -U -G 1 -z gzip -w at-%s.pcap
send_until three || failed "tcpdump -G -z" "makes no files"
send "$sent" $((sent + 1))
await "$sent" -G -z
for side in $sides; do
	wait_for "gzip of each file" zipped "$side" || failed "tcpdump -G -z" "not for each file"
done
finish -G -z
for side in $sides; do
	in_order "$side" || failed "tcpdump -G -z" "lost packets, on side $side"
	[ "$(wc -l <"$work/numbers")" = $((sent + 1)) ] ||
		failed "tcpdump -G -z" "does not store all, on side $side"
done
echo "ok    tcpdump -G 1 -z gzip: $((sent + 1)) packets"

begin -G 1 -W 2 -w at-%s.pcap
send_until ended || failed "tcpdump -G -W" "does not end"
for side in $sides; do
	wait "${writers[side]}" || failed "tcpdump -G -W" "exit code"
	[ "$(files_of "$side" | wc -l)" = 2 ] || failed "tcpdump -G -W" "not 2 files"
	in_order "$side" || failed "tcpdump -G -W" "lost packets, on side $side"
	grep -q 'Maximum file limit reached: 2' "$work/err.$side" || failed "tcpdump -G -W" "no word"
done
echo "ok    tcpdump -G 1 -W 2: ends"

# ---- asked how it goes --------------------------------------------------------------------------

flushed() { # side
	kill -USR2 "${writers[$1]}"
	stores "$1" 299
}

counted() { # side
	kill -USR1 "${writers[$1]}"
	grep -q 'dropped by kernel' "$work/err.$1"
}

begin -w held.pcap
send 0 300
for side in $sides; do
	wait_for "what it holds back" flushed "$side" || failed "tcpdump" "writes nothing by SIGUSR2"
	wait_for "counts" counted "$side" || failed "tcpdump" "counts nothing by SIGUSR1"
done
grep -q '300 packets captured, 300 packets received by filter, 0 ' "$work/err.1" ||
	failed "tcpdump" "does not count 300 packets by SIGUSR1"
finish "by signals"
same 1 "by signals"

# ---- through a pipe, and read again -------------------------------------------------------------

piped() { # side
	contents "$work/piped.$1" udp dst port 299 | grep -q .
}

for side in $sides; do
	rm "$work/err.$side"
	# shellcheck disable=SC2086 # words are wanted
	${run[side]} tcpdump -i va -U -w - udp 2>"$work/err.$side" </dev/null |
		cat >"$work/piped.$side" &
done
for side in $sides; do
	wait_for "tcpdump -w - listens" grep -qs 'listening on' "$work/err.$side"
done
send 0 300
for side in $sides; do
	wait_for "tcpdump -w - writes" piped "$side" || failed "tcpdump -w -" "does not write all"
	contents "$work/piped.$side" -XX >"$work/piped.$side.text"
done
cmp "$work/piped.0.text" "$work/piped.1.text" || failed "tcpdump -w -" "writes something else"

reading=(
	'-n'
	'-n -A -c 3'
	'-n -e -tttt udp port 17'
	'-n --count'
	'-n -w -'
	'-d udp port 17'
)
for line in "${reading[@]}"; do
	for side in $sides; do
		code=0
		# shellcheck disable=SC2086 # words are wanted
		${run[side]} tcpdump -r "$work/piped.0" $line >"$work/said.$side" 2>&1 || code=$?
		echo "exit code $code" >>"$work/said.$side"
	done
	if cmp "$work/said.0" "$work/said.1"; then
		echo "ok    tcpdump -r $line"
	else
		failed "tcpdump -r $line" "differs by npf run"
	fi
done

exit $status
