#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# commands.sh NPF: what the commands say and how they end, on a veth pair and the loopback of a
# network namespace of their own.
#
# shellcheck disable=SC2317 # functions that are called by name (wait_for, trap)
set -u
npf=$(realpath "$1")

. "$(dirname "$0")/../lib/net.sh"
own_namespace -- "$@"

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work" || exit 1
status=0

complain() {
	echo "commands: $*" >&2
	status=1
}

make_pair

frame=02000000000b02000000000a88b5$(printf %092d 0)

# CODE WORD...: npf ends so. What it says goes to out and err.
ends() {
	local wanted=$1 code
	shift
	"$npf" "$@" >out 2>err </dev/null
	code=$?
	[ $code -eq "$wanted" ] || complain "npf $*: exit code $code, not $wanted: $(cat err)"
}

# FILE TEXT: the text stands in it.
says() {
	grep -qF -- "$2" "$1" || complain "'$2' is not in $1: $(cat "$1")"
}

# WORD...: npf in the background, $pid; what it says goes to bg.out and bg.err.
start() {
	: >bg.out
	: >bg.err
	"$npf" "$@" >bg.out 2>bg.err </dev/null &
	pid=$!
}

# CODE: it ends so.
ended() {
	local code
	wait $pid
	code=$?
	[ $code -eq "$1" ] || complain "exit code $code, not $1: $(cat bg.err)"
}

# N: send so many frames from va to vb.
flood() {
	"$npf" send -i va --hex "$frame" -n "$1" >/dev/null || complain "sending failed"
}

# ---- counts, with the suffixes of rates -----------------------------------------------------------

for words in "capture -i vb -c" "dump -i vb -w n.pcap -c" "dump -i vb -w n.pcap --rotate-packets" \
	"dump -i vb -w n.pcap --files" "stat -i vb --interval 10ms -c" "send -i va --hex $frame -n" \
	"replay -i va n.pcap -l" "replay -i va n.pcap -L"; do
	for count in 1.5 1kB 1kpps 99999999999G 18446744073709551616; do
		# shellcheck disable=SC2086 # words
		ends 2 $words $count
		grep -q "'$count': not a " err || complain "$words $count: $(cat err)"
	done
done
[ ! -e n.pcap ] || complain "a count that was refused made a file"
start capture -i vb -Q in -c 0.003k -w three.pcap
wait_for "a capture" grep -q listening bg.err || status=1
ends 0 send -i va --hex "$frame" -n 0.01k
says out "10 packets handed over"
ended 0
[ "$("$npf" filter --count three.pcap)" = 3 ] || complain "capture -c 0.003k: $(cat bg.err)"
ends 0 replay -i va -t three.pcap -l 0.002k
says out "6 packets handed over"
ends 0 replay -i va -t three.pcap -L 0.002k
says out "2 packets handed over"
ends 0 stat -i vb --interval 10ms -c 0.002k all=
[ "$(grep -c ' all ' out)" -eq 2 ] || complain "stat -c 0.002k: $(cat out)"
start dump -i vb -Q in -w n.pcap -c 0.004k --rotate-packets 0.001k --files 0.003k
wait_for "a dump" grep -q dumping bg.err || status=1
ends 0 send -i va --hex "$frame" -n 4
ended 0
[ "$(for file in n*.pcap; do "$npf" filter --count "$file"; done | tr '\n' ' ')" = "1 1 1 " ] ||
	complain "dump -c 0.004k: $(ls) $(cat bg.err)"
rm n*.pcap three.pcap

# ---- packed files are sent --------------------------------------------------------------------

start capture -i vb -Q in -c 3 -w three.pcap
wait_for "a capture" grep -q listening bg.err || status=1
flood 3
ended 0
for file in three.gz three.zst; do
	ends 0 filter three.pcap $file
	start capture -i vb -Q in -c 3 -w again.pcap
	wait_for "a capture" grep -q listening bg.err || status=1
	ends 0 replay -i va -t $file
	ended 0
	cmp -s <("$npf" capture -r three.pcap -x 2>/dev/null | cut -d' ' -f2-) \
		<("$npf" capture -r again.pcap -x 2>/dev/null | cut -d' ' -f2-) ||
		complain "replay $file: not the same packets"
done
head -c 30 three.gz >cut.gz
ends 8 replay -i va cut.gz
says err "cut.gz: the packed data is cut short"

# ---- a dump is what its name says ---------------------------------------------------------------

magic() {
	od -An -tx4 -N4 "$1" | tr -d ' '
}
ends 0 dump -i va -w d.pcapng --duration 10ms
[ "$(magic d.pcapng)" = 0a0d0d0a ] || complain "d.pcapng is none"
ends 0 dump -i va -w e.pcapng --format pcap --duration 10ms
[ "$(magic e.pcapng)" = a1b2c3d4 ] || complain "--format was not asked"
ends 0 dump -i va -w d.pcap --duration 10ms
[ "$(magic d.pcap)" = a1b2c3d4 ] || complain "d.pcap is none"

echo notes >notes
ends 6 dump -i va -w notes --duration 10ms
says err "notes: that is there and no savefile; --force replaces it"
[ "$(cat notes)" = notes ] || complain "the notes are gone"
ends 0 dump -i va -w notes --force --duration 10ms
[ "$(magic notes)" = a1b2c3d4 ] || complain "--force did not"
ends 0 dump -i va -w notes --duration 10ms

# What is no filter may be an adapter.
ends 2 capture va
says err "filter 'va': "
says err "; -i chooses an adapter"
ends 2 stat -i va tcp
says err "'tcp': not NAME=FILTER, such as"

# ---- ends that are told by the same codes ---------------------------------------------------------

# Whoever reads goes away: no failure, and no word of one.
for words in "capture -i vb -U -w -" "dump -i vb -w -"; do
	mkfifo pipe
	# shellcheck disable=SC2086 # words
	"$npf" $words >pipe 2>bg.err &
	pid=$!
	head -c 24 <pipe >/dev/null
	wait_for "$words" grep -qE 'listening|dumping' bg.err
	until [ "$(ps -o stat= -p $pid 2>/dev/null | cut -c1)" = Z ] || ! kill -0 $pid 2>/dev/null; do
		flood 20
	done
	ended 0
	! grep -q 'failed\|Broken' bg.err || complain "$words: $(cat bg.err)"
	rm pipe
done
says bg.err "ended: who read the output has gone"

# A program that reads lines gets each at once.
mkfifo pipe
"$npf" capture -i vb -Q in --timeout 0 >pipe 2>bg.err &
pid=$!
exec 5<pipe
wait_for "a capture" grep -q listening bg.err
flood 1
read -r -t 100 _ <&5 || complain "capture into a pipe: nothing came"
kill -INT $pid
ended 0
exec 5<&-
rm pipe

# Who reads goes away where nothing is written meanwhile, too; and what is closed is no place for what opens next.
timeout 300 "$npf" list --follow 2>bg.err | head -n 1 >out
[ "${PIPESTATUS[0]}" -eq 0 ] || complain "list --follow does not see that its reader has gone"
for words in list "stat -i vb --once --interval 10ms" "capture -r three.pcap" "capture -i vb -w -" \
	"dump -i vb -w - --duration 10ms" "repair -c three.pcap" "bpf tcp" \
	"filter three.pcap -" help; do
	# shellcheck disable=SC2086
	"$npf" $words >&- 2>err
	[ $? -eq 6 ] || complain "$words, closed: $(cat err)"
	says err "standard output: Bad file descriptor"
done

# Where he had gone before the first word, too, and what was to be done is done.
head -c -1 three.pcap >one.pcap.part
cp one.pcap.part two.pcap.part
mkfifo pipe
exec 5<>pipe
exec 6>pipe
exec 5>&-
for words in list doctor "stat -i vb --once --interval 10ms" "capture -r three.pcap" "capture -r three.pcap -w -" \
	"capture -i vb -w -" "dump -i vb -w -" "send -i va --hex $frame" "repair -c three.pcap" \
	"repair --rename one.pcap.part two.pcap.part" "bpf tcp" "filter three.pcap -" help --version; do
	# shellcheck disable=SC2086
	"$npf" $words >&6 2>err
	code=$?
	[ $code -eq 0 ] || [ "$words $code" = "doctor 1" ] || complain "$words, whose reader has gone: $(cat err)"
	! grep -q 'failed\|Broken' err || complain "$words, whose reader has gone: $(cat err)"
done
exec 6>&-
rm pipe
[ "$("$npf" filter --count one.pcap)$("$npf" filter --count two.pcap)" = 22 ] ||
	complain "repair, whose reader has gone: $(ls)"

# What a dump tells finds no place: it goes on, and says so; a reader that went is no failure.
"$npf" dump -i vb -w told.pcap --json --duration 10ms >/dev/full 2>err
[ $? -eq 5 ] || complain "dump --json on a full disk: $(cat err)"
says err "standard output: No space left on device"
"$npf" dump -i vb -w told.pcap --json --interval 10ms --duration 300ms 2>err | head -n 1 >out
[ "${PIPESTATUS[0]}" -eq 0 ] || complain "dump --json, not read to its end: $(cat err)"
[ -s told.pcap ] || complain "dump --json, not read to its end: no file"
[ ! -s err ] || complain "dump --json, not read to its end: $(cat err)"

for file in three.gz three.zst; do
	ends 9 repair -c $file
	says err "compressed; decompress it first: "
done
ends 6 repair -o nowhere/x.pcap three.pcap
says err "npf repair: nowhere/x.pcap: No such file or directory"

# A limit: what came after it is no loss.
start dump -i vb -Q in -w limit.pcap -c 3
wait_for "a dump" grep -q dumping bg.err
flood 10
ended 0
says bg.err "3 packets written"
grep -qE '^[0-9]+ packets? came after the last that was asked for$' bg.err ||
	! grep -q 'not written' bg.err || complain "dump -c 3: $(cat bg.err)"

# A terminal that goes away ends a capture in order, but under nohup.
start capture -i vb -Q in -w hup.pcap
wait_for "a capture" grep -q listening bg.err
flood 5
kill -HUP $pid
ended 0
[ "$("$npf" filter --count hup.pcap)" = 5 ] || complain "capture, hung up: $(cat bg.err)"
trap '' HUP
start capture -i vb -Q in -w hup.pcap
trap - HUP
wait_for "a capture" grep -q listening bg.err
flood 5
kill -HUP $pid
flood 5
kill -INT $pid
ended 0
[ "$("$npf" filter --count hup.pcap)" = 10 ] || complain "capture, nohup: $(cat bg.err)"

# A file that may not grow: what does not fit is told, to the packet.
for words in "capture -i vb -Q in -w" "dump -i vb -Q in -w"; do
	: >bg.out
	: >bg.err
	# shellcheck disable=SC2086
	(ulimit -f 4 && exec "$npf" $words limited.pcap) >/dev/null 2>bg.err &
	pid=$!
	wait_for "$words" grep -qE 'listening|dumping' bg.err
	flood 500
	ended 6
	grep -q "File too large\|as large as it can be" bg.err || complain "$words: $(cat bg.err)"
	says bg.err "packets received"
	written=$(sed -n 's/^\([0-9]*\) packets* \(captured\|written\)$/\1/p' bg.err)
	lost=$(sed -n 's/^\([0-9]*\) packets* captured and not written$/\1/p' bg.err)
	received=$(sed -n 's/^\([0-9]*\) packets* received$/\1/p' bg.err)
	[ "$written" = "$("$npf" filter --count limited.pcap)" ] || complain "$words: $(cat bg.err)"
	# All that have room do stay: 16 + 60 bytes each, behind 24.
	[ "$written" -eq $(((4096 - 24) / 76)) ] || complain "$words: $written written"
	[ $((written + lost)) -eq "$received" ] || complain "$words: unaccounted: $(cat bg.err)"
	rm limited.pcap
done
# Adapters go.
for words in "capture -i vc" "stat -i vc --interval 10ms" "dump -i vc -w gone.pcap"; do
	ip link add vc type veth peer name vd
	ip link set vc up
	# shellcheck disable=SC2086
	start $words
	wait_for "$words" grep -qsE 'listening|dumping|vc|#' bg.err bg.out
	ip link del vc
	ended 7
	says bg.err "vc has gone"
done

# NAME: somebody captures or counts there.
watched() {
	ip -d link show "$1" | grep -q 'promiscuity [1-9]'
}

# ---- who may not, and where ------------------------------------------------------------------------

if id nobody >/dev/null 2>&1; then
	mkdir mine
	ends 6 dump -i va -w mine/x.pcap --user nobody
	says err "Permission denied (as user 'nobody' of --user)"
fi
"$npf" doctor >out 2>err || [ $? -eq 1 ] || complain "doctor: $(cat out err)"
says out "hooks, tried on lo (-i NAME tries another)"
says out "only the first network namespace has"
"$npf" doctor -i va >out 2>err || [ $? -eq 1 ] || complain "doctor -i va: $(cat out err)"
says out "hooks, tried on va"
! grep -q 'another' out || complain "doctor -i: $(cat out)"
ends 4 doctor -i nope
[ "$(cat out err)" = "npf doctor: there is no adapter nope (npf list shows all)" ] ||
	complain "doctor -i nope: $(cat out err)"
ends 4 capture -i any -q
says err "one adapter at a time; npf run -- tcpdump -i any has all"
if unshare --user --map-root-user --net true 2>/dev/null; then
	unshare --user --map-root-user --net "$npf" doctor >out 2>err || [ $? -eq 1 ] ||
		complain "doctor in a user namespace: $(cat out err)"
	says out 'no   cap_bpf'
	says out 'ok   cap_net_raw'
	says out "in a user namespace or container cap_bpf and cap_perfmon do not count"
	! grep -q setcap out || complain "doctor advises what does not help: $(cat out)"
fi
ends 4 doctor -i nope --json
says out '"verdict":4'
as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
chmod 711 .
cp "$npf" npf-plain
cp "$npf" npf-lent
if as_nobody ./npf-plain --version >/dev/null 2>&1; then
	as_nobody ./npf-plain doctor >out 2>err
	says out "npf run needs that in any case"
	says out "no   tpacket         CAP_NET_RAW is missing"
	says out "?    direct I/O      not known: no file can be made here: Permission denied"
	! grep -q 'see npf doctor' out || complain "doctor sends to doctor: $(cat out)"
	! as_nobody ./npf-plain stat -i va 2>err
	says err "npf stat: opening an adapter is not permitted: CAP_NET_RAW is missing"
	as_nobody ./npf-plain doctor --json >out 2>err
	says out '"direct_io":null'
	if setcap cap_net_raw+ep npf-lent 2>/dev/null; then
		NPF_LIBWPCAP=$(type -P true) as_nobody ./npf-lent run true >out 2>err
		says err "the capabilities of npf are not handed on to true: run this as root"
	fi
fi

# ---- nothing comes, and why ------------------------------------------------------------------------

for words in "capture -i va" "stat -i va" "dump -i va -w down.pcap"; do
	ip link set va down
	# shellcheck disable=SC2086
	start $words
	wait_for "$words: a hint" grep -q 'va is down' bg.err
	says bg.err "npf: va is down: nothing comes until it is up (ip link set va up)"
	kill -INT $pid
	ended 0
	ip link set va up
	ip link set vb down
	# shellcheck disable=SC2086
	start $words
	wait_for "$words: a hint" grep -q 'no carrier' bg.err
	kill -INT $pid
	ended 0
	ip link set vb up
done
start capture -i va
wait_for "a capture" grep -q listening bg.err
kill -INT $pid
ended 0
! grep -q 'nothing comes' bg.err || complain "a hint without a need: $(cat bg.err)"
ip link set lo down
start capture -i lo -q
wait_for "a capture" watched lo
kill -INT $pid
ended 0
! grep -q 'nothing comes' bg.err || complain "a hint in spite of -q: $(cat bg.err)"

# ---- the list of adapters -----------------------------------------------------------------------------

script -qec "stty rows 50 cols 60; '$npf' list" /dev/null >out </dev/null
says out NAME
! grep -q DESCRIPTION out || complain "list on a narrow terminal: $(cat out)"
script -qec "stty rows 50 cols 200; '$npf' list" /dev/null >out </dev/null
says out DESCRIPTION
ends 0 list
says out DESCRIPTION
# An address that the window would break stands whole in a line of its own.
long=2001:db8:1234:5678:9abc:def0:1234:5678/128
echo 0 >/proc/sys/net/ipv6/conf/va/disable_ipv6
ip addr add $long dev va nodad
script -qec "stty rows 50 cols 80; NO_COLOR=1 '$npf' list" /dev/null >out </dev/null
grep -qE "^ +$long\s*$" out || complain "no line for a long address: $(cat out)"
awk '{ sub(/\r$/, "") } length > 80 { exit 1 }' out || complain "list is too wide: $(cat out)"
echo 1 >/proc/sys/net/ipv6/conf/va/disable_ipv6

# ---- stat, as lines and as a table ------------------------------------------------------------------

ends 0 stat -i vb --once --interval 20ms 'all of it=' ip=ip
[ "$(grep -cE '^[0-9:]+ (all_of_it|ip) [0-9]+ [0-9]+ [0-9]+ [0-9]+$' out)" -eq 2 ] ||
	complain "stat --once: $(cat out)"
ends 2 stat -i vb a=ip ab=ip a=tcp
says err "'a=tcp': a class of that name is there already"
ends 2 stat -i vb --interval 9ms
says err "not a time from 10 ms to a day"
# A row longer than the window is cut there, or going back to the first would miss it.
script -qec "stty cols 40; '$npf' stat -i vb --interval 0.01 -c 2" /dev/null >out </dev/null
[[ $(<out) == *$'\e[?7l'*CLASS*$'\e[?7h'$'\e[?7l'$'\e['*A*CLASS*$'\e[?7h' ]] ||
	complain "stat on a terminal: $(cat -v out)"

# ---- stat, ended in its first interval --------------------------------------------------------------

start stat -i vb --interval 1h --json all= ip=ip
wait_for stat watched vb
kill -INT $pid
ended 0
grep -q '"total_packets":[0-9]' bg.out || complain "stat --json: $(cat bg.out)"
start stat -i vb --interval 1h all= ip=ip
wait_for stat watched vb
kill -INT $pid
ended 0
[ "$(grep -c '^[0-9:]* \(all\|ip\) ' bg.out)" -eq 2 ] || complain "stat: $(cat bg.out)"

exit $status
