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
if [ -n "${NPF_TESTDATA:-}" ]; then
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
cmp -s own made.pcap || complain "the input was changed"
head -c 5000 made.pcap >short.pcap
"$npf" filter -q short.pcap out 2>message
[ $? = 1 ] || complain "a file that is cut short: exit status"
grep -q 'cut short after packet 85' message || complain "a file that is cut short: $(cat message)"
[ "$("$npf" filter --count out)" = 85 ] || complain "what comes before the damage is not there"
"$npf" filter -q made.pcap new 'nonsense here' 2>/dev/null
[ $? = 2 ] || complain "a wrong filter: exit status"
if ls new* >/dev/null 2>&1; then complain "a file was left behind"; fi
exit $failed
