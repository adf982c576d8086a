#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# npf filter against tcpdump -r -w: the same bytes for the traces of $NPF_TESTDATA and for made-up
# ones; packed files and pipes; what must be refused. Argument: npf.
set -u
npf=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

complain() {
	echo "filter_equals_tcpdump: $*" >&2
	failed=1
}
command -v tcpdump >/dev/null || { echo "skipped: there is no tcpdump"; exit 77; }

# A pcap file of UDP and TCP packets to ports 1 to 200, made by printf alone.
make_trace() {
	printf '\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0'
	for ((i = 1; i <= 200; i++)); do
		printf '%b' "\\x$(printf %02x $i)\\0\\0\\0\\0\\0\\0\\0\\x2a\\0\\0\\0\\x2a\\0\\0\\0"
		printf '\2\0\0\0\0\1\2\0\0\0\0\2\x08\0\x45\0\0\x1c\0\0\0\0\x40'
		printf '%b' "\\x$((i % 2 ? 6 : 11))\\0\\0\\x0a\\0\\0\\x$(printf %02x $i)"
		printf '\x0a\0\0\1\x30\x39'
		printf '%b' "\\0\\x$(printf %02x $i)\\0\\x08\\0\\0"
	done
}
make_trace >"$work/made.pcap"

# Byte for byte where the file is what tcpdump writes itself, else packet for packet.
same() {
	cmp -s "$1" "$2" || cmp -s <(tcpdump -nn -tttt -xx -r "$1" 2>/dev/null) \
		<(tcpdump -nn -tttt -xx -r "$2" 2>/dev/null)
}
compared=0
compare() {
	tcpdump -Z root -r "$1" -w "$work/theirs" "$2" 2>/dev/null || return 0
	"$npf" filter -q "$1" "$work/ours" "$2" || complain "$1, '$2': exit status $?"
	same "$work/theirs" "$work/ours" || complain "$1, '$2': not the same"
	compared=$((compared + 1))
}
for expression in 'tcp port 80' udp 'not ip' '' 'udp port 100 or tcp port 7' 'ip[23] = 6'; do
	compare "$work/made.pcap" "$expression"
done
cmp -s "$work/theirs" "$work/ours" || complain "the made-up trace: not byte for byte"
if [[ -n ${NPF_TESTDATA:-} && $NPF_TESTDATA != /* ]]; then
	complain "NPF_TESTDATA=$NPF_TESTDATA: tests run in the build folder, so it has to begin with /"
elif [ -n "${NPF_TESTDATA:-}" ]; then
	while read -r trace; do
		compare "$trace" 'tcp port 80 or udp'
		compare "$trace" 'not tcp'
	done < <(find "$NPF_TESTDATA/pcaps" -name '*.pcap' -o -name '*.pcapng' -o -name '*.trace')
fi
echo "$compared filtered files compared"

# Packed and through pipes.
cd "$work" || exit 1
"$npf" filter -q made.pcap plain udp
"$npf" filter -q made.pcap packed.gz && "$npf" filter -q made.pcap packed.zst
for packed in packed.gz packed.zst; do
	"$npf" filter -q $packed unpacked udp
	cmp -s plain unpacked || complain "$packed: not the same"
	"$npf" filter -q - - udp <$packed >piped
	cmp -s plain piped || complain "$packed through a pipe: not the same"
done
[ "$("$npf" filter --count made.pcap udp)" = 100 ] || complain "--count"
[ "$("$npf" filter --count --invert made.pcap port 7)" = 199 ] || complain "--invert"

# Long enough to be written past the page cache where there is a disk; the longest packet that is
# believed, and packets without bytes.
{
	cat made.pcap
	for ((i = 0; i < 2000; i++)); do tail -c +25 made.pcap; done
} >long.pcap
compare "$work/long.pcap" 'not port 7'
cmp -s theirs ours || complain "a long file: not byte for byte"
[ "$("$npf" filter --count long.pcap 'not port 7')" = $((2001 * 199)) ] || complain "a long file"
"$npf" filter -q long.pcap long.zst 'not port 7' && "$npf" filter -q long.zst unpacked
cmp -s theirs unpacked || complain "a long packed file: not byte for byte"
{
	head -c 24 made.pcap
	printf '\1\0\0\0\0\0\0\0\0\0\0\0\x2a\0\0\0'
	printf '\1\0\0\0\0\0\0\0\0\0\4\0\0\0\4\0'
	head -c 262144 /dev/zero
	tail -c +25 made.pcap
} >odd.pcap
printf '\0\0\4\0' | dd of=odd.pcap bs=1 seek=16 conv=notrunc status=none # its snap length
for expression in 'not tcp' '' udp 'less 50'; do
	compare "$work/odd.pcap" "$expression"
	cmp -s theirs ours || complain "odd packets, '$expression': not byte for byte"
done
"$npf" filter long.pcap out udp 2>message
grep -q '200100 of 400200 packets kept' message || complain "what is told: $(cat message)"
if grep -q $'\r' message; then complain "progress without a terminal"; fi

# From a pipe that stays open: what there is comes through, and an interrupt leaves a whole file.
mkfifo pipe
exec 3<>pipe
"$npf" filter -q pipe - udp 2>message > >(head -c "$(stat -c %s plain)" >through; : >came) &
filter=$!
cat made.pcap >&3
until [ -e came ]; do sleep 0.01; done
cmp -s plain through || complain "an open pipe: not the same"
kill -INT $filter
wait $filter
[ $? = 10 ] || complain "an interrupt: exit status"
grep -q interrupted message || complain "an interrupt: $(cat message)"
# Before there is anything, once SIGINT is taken care of: nothing is written, and for capture, which an interrupt ends, nothing wrong.
for words in "filter pipe nothing udp" "filter --count pipe udp" "capture -r pipe"; do
	# shellcheck disable=SC2086 # words
	"$npf" $words >message 2>&1 &
	filter=$!
	until [ "$(sed -n 's/^Name:\t//p; s/^SigCgt:.*[2367abef]$/caught/p' /proc/$filter/status |
		tr '\n' ' ')" = "npf caught " ]; do sleep 0.01; done
	kill -INT $filter
	wait $filter
	code=$?
	[ $code = 10 ] || [[ $code = 0 && $words = capture* ]] || complain "$words, an interrupt: $code"
	[ ! -e nothing ] || complain "$words: a file was left"
done
"$npf" filter -q pipe stopped udp 2>/dev/null &
filter=$!
cat long.pcap >&3 # more than the pipe holds: when all is in it, the filter has begun
kill -INT $filter
wait $filter
[ $? = 10 ] || complain "an interrupt: exit status"
exec 3>&-
"$npf" filter --count stopped >/dev/null || complain "an interrupt left half a packet"
"$npf" filter -q long.pcap out udp
cmp -s -n "$(stat -c %s stopped)" stopped out || complain "an interrupt: not the same so far"

# A full disk. A chroot takes no mounts of its own.
if unshare -m true 2>/dev/null; then
	mkdir full
	# shellcheck disable=SC2016 # the inner shell's
	left=$(unshare -m sh -c 'mount -t tmpfs -o size=8m none full && cd full || exit
		"$1" filter -q ../long.pcap out 2>../message; echo $?; ls' sh "$npf")
	[ "$left" = 5 ] || complain "a full disk: exit status and files are $left"
	grep -q 'No space left' message || complain "a full disk: $(cat message)"
fi

# Sets.
seq 2 51 | sed 's/^/10.0.0./' >hosts
printf '7\n90-99\n' >ports
[ "$("$npf" filter --count --hosts hosts made.pcap)" = 50 ] || complain "--hosts"
[ "$("$npf" filter --count --hosts dst:hosts made.pcap)" = 0 ] || complain "--hosts dst:"
[ "$("$npf" filter --count --ports ports --hosts src:hosts made.pcap)" = 1 ] || complain "--ports"
[ "$("$npf" filter --count --ports ports made.pcap udp)" = 5 ] || complain "--ports udp"

# What must be refused, and what is left behind.
cp made.pcap own
"$npf" filter own own udp 2>/dev/null && complain "the input was taken as output"
# shellcheck disable=SC2094 # just that
"$npf" filter own - udp 2>/dev/null >>own && complain "the input was taken as standard output"
"$npf" capture -r own -w own 2>/dev/null && complain "capture: the input was taken as output"
cmp -s own made.pcap || complain "the input was changed"
head -c 5000 made.pcap >short.pcap
"$npf" filter -q short.pcap out 2>message
[ $? = 8 ] || complain "a file that is cut short: exit status"
grep -q 'cut short after packet 85' message || complain "a file that is cut short: $(cat message)"
[ "$("$npf" filter --count out)" = 85 ] || complain "what comes before the damage is not there"
"$npf" filter -q made.pcap new 'nonsense here' 2>/dev/null
[ $? = 2 ] || complain "a wrong filter: exit status"
if ls new* >/dev/null 2>&1; then complain "a file was left behind"; fi
exit $failed
