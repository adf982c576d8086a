#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# convert.sh NPF: npf filter from pcap to pcapng and back, byte for byte: resolutions of time, byte
# orders, sections, several interfaces, packed files and pipes, and what one of the two cannot say; what
# npf capture -r makes of such files. tcpdump and capinfos look too where they are.
set -u
npf=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work" || exit 1
status=0

complain() {
	echo "convert: $*" >&2
	status=1
}

# CODE TEXT WORD...: npf filter ends so, and says this on standard error.
expect() {
	local wanted=$1 text=$2 code
	shift 2
	"$npf" filter "$@" 2>err </dev/null
	code=$?
	[ $code -eq "$wanted" ] || complain "$*: exit code $code, not $wanted: $(cat err)"
	grep -qF -- "$text" err || complain "$*: '$text' is not in: $(cat err)"
}

# FILE HEX...: it holds just these bytes.
holds() {
	local file=$1 wanted found
	shift
	wanted=$(printf '%s' "$@" | tr -d ' ')
	found=$(od -An -v -tx1 "$file" | tr -d ' \n')
	[ "$found" = "$wanted" ] || complain "$file"$'\n'" is     $found"$'\n'" not    $wanted"
}

# HEX...: to bytes.
bytes() {
	printf '%b' "$(printf '%s' "$@" | tr -d ' ' | sed 's/../\\x&/g')"
}

zeros() {
	printf "%0$(($1 * 2))d" 0
}

# ---- words of both byte orders -----------------------------------------------------------------

big=
w32() {
	local hex
	for value in "$@"; do
		hex=$(printf '%08x' $((value)))
		[ -n "$big" ] || hex=${hex:6:2}${hex:4:2}${hex:2:2}${hex:0:2}
		printf '%s' "$hex"
	done
}
w16() {
	local hex
	for value in "$@"; do
		hex=$(printf '%04x' $((value)))
		[ -n "$big" ] || hex=${hex:2:2}${hex:0:2}
		printf '%s' "$hex"
	done
}

# MAGIC LINK SNAPLEN
pcap() { w32 "$1"; w16 2 4; w32 0 0 "$3" "$2"; }
# SECONDS FRACTION CAPLEN LEN HEX
record() { w32 "$1" "$2" "$3" "$4"; printf '%s' "$5"; }
# TYPE HEX
block() { w32 "$1" $((${#2} / 2 + 12)); printf '%s' "$2"; w32 $((${#2} / 2 + 12)); }
section() { block 0x0a0d0d0a "$(w32 0x1a2b3c4d; w16 1 0)ffffffffffffffff"; }
# LINK SNAPLEN [OPTIONS]
interface() { block 1 "$(w16 "$1" 0; w32 "$2")${3:-}"; }
resolution() { w16 9 1; printf '%s000000' "$1"; w32 0; }
# INTERFACE HIGH LOW CAPLEN LEN HEX-WITH-PADDING
packet() { block 6 "$(w32 "$1" "$2" "$3" "$4" "$5")$6"; }

# UDP to port 1 and to port 2, 42 bytes.
udp() { printf '02000000000102000000000208004500001c00000000401100000a0000020a0000013039000%s00080000' "$1"; }
one=$(udp 1)
two=$(udp 2)

# ---- pcap to pcapng ------------------------------------------------------------------------------

pair() { record 1700000000 "$1" 42 42 "$one"; record 1700000001 "$2" 42 60 "$two"; }
bytes "$(pcap 0xa1b2c3d4 1 65535)$(pair 0 999999)" >micro.pcap
bytes "$(pcap 0xa1b23c4d 1 0)$(pair 1 999999999)" >nano.pcap
expect 0 "2 of 2 packets kept" micro.pcap micro.pcapng
micro=$((1700000001 * 1000000 + 999999))
holds micro.pcapng "$(section)$(interface 1 262144 "$(resolution 06)")" \
	"$(packet 0 $((1700000000000000 >> 32)) $((1700000000000000 & 0xffffffff)) 42 42 "${one}0000")" \
	"$(packet 0 $((micro >> 32)) $((micro & 0xffffffff)) 42 60 "${two}0000")"
expect 0 "1 of 2 packets kept" nano.pcap nano.pcapng udp dst port 2
nano=$((1700000001 * 1000000000 + 999999999))
holds nano.pcapng "$(section)$(interface 1 262144 "$(resolution 09)")" \
	"$(packet 0 $((nano >> 32)) $((nano & 0xffffffff)) 42 60 "${two}0000")"
big=1
bytes "$(pcap 0xa1b2c3d4 1 65535)$(pair 0 999999)" >swapped.pcap
big=
expect 0 "" swapped.pcap swapped.pcapng
cmp micro.pcapng swapped.pcapng || complain "the other byte order makes another file"
# Every length that padding can have.
{
	bytes "$(pcap 0xa1b2c3d4 101 262144)"
	for size in 0 1 2 3 4 5 6 7 8; do bytes "$(record 1 $size $size 20 "$(zeros $size | head -c $((2 * size)))")"; done
} >sizes.pcap
expect 0 "9 of 9 packets kept" sizes.pcap sizes.pcapng
expect 0 "9 of 9 packets kept" sizes.pcapng sizes.back.pcap
cmp sizes.pcap sizes.back.pcap || complain "there and back is something else"
# Links that have no place in 16 bits.
bytes "$(pcap 0xa1b2c3d4 0x10001 65535)" >link.pcap
expect 2 "link.pcapng: pcapng has no link type 65537" link.pcap link.pcapng
[ ! -e link.pcapng ] || complain "a file was left"

# ---- pcapng to pcap ------------------------------------------------------------------------------

for name in micro nano swapped; do
	expect 0 "" $name.pcapng $name.back.pcap
done
holds micro.back.pcap "$(pcap 0xa1b2c3d4 1 262144)$(pair 0 999999)"
cmp micro.back.pcap swapped.back.pcap || complain "swapped.back.pcap"
holds nano.back.pcap "$(pcap 0xa1b23c4d 1 262144)$(record 1700000001 999999999 42 60 "$two")"

# Two interfaces, one of which counts nanoseconds; blocks that are no packets, a simple packet.
two_interfaces() {
	section
	interface 1 96
	interface 1 4096 "$(w16 2 3)65736500$(resolution 09)"
	block 0x0bad "$(w32 1 2 3)"
	packet 0 0 1000001 42 42 "${one}0000$(w16 1 4)6e6f7465$(w32 0)"
	packet 1 1 5 42 42 "${two}0000"
	block 3 "$(w32 42)${one}0000"
	block 5 "$(w32 0 0 0)"
}
bytes "$(two_interfaces)" >two.pcapng
expect 0 "1 packet without a time, of 1970 now" two.pcapng two.pcap
holds two.pcap "$(pcap 0xa1b23c4d 1 262144)$(record 1 1000 42 42 "$one")" \
	"$(record 4 294967301 42 42 "$two")$(record 0 0 42 42 "$one")"
expect 0 "2 of 3 packets kept" two.pcapng two.pcap udp dst port 1

# A section of each byte order, with interfaces of its own: 1024ths of a second with an offset, and
# what is finer than nanoseconds; an old packet block.
{
	bytes "$(section)$(interface 1 200 "$(w16 9 1)8a000000$(w16 14 8)$(w32 100 0 0)")"
	bytes "$(packet 0 0 1536 42 42 "${one}0000")"
	big=1
	bytes "$(section)$(interface 1 100 "$(resolution 0c)")"
	bytes "$(packet 0 0 1001 42 42 "${two}0000")"
	bytes "$(block 2 "$(w16 0 7; w32 0 2000 42 43)${one}0000")"
	big=
} >sections.pcapng
expect 0 "1 time stamp cut to nanoseconds" sections.pcapng sections.pcap
holds sections.pcap "$(pcap 0xa1b23c4d 1 262144)$(record 101 500000000 42 42 "$one")" \
	"$(record 0 1 42 42 "$two")$(record 0 2 42 43 "$one")"

# Microseconds, because all that is known then says so; what comes later loses digits, and that is told.
{
	bytes "$(section)$(interface 1 0)$(packet 0 0 7 42 42 "${one}0000")"
	bytes "$(interface 1 0 "$(resolution 09)")$(packet 1 0 7001 42 42 "${two}0000")"
} >later.pcapng
# What is found at once is known at once.
expect 0 "2 of 2 packets kept" later.pcapng later.pcap
{
	bytes "$(section)$(interface 1 0)$(packet 0 0 7 42 42 "${one}0000")"
	bytes "$(section)$(interface 1 0 "$(resolution 09)")$(packet 0 0 7001 42 42 "${two}0000")"
} >later.pcapng
expect 0 "1 time stamp cut to microseconds" later.pcapng later.pcap
holds later.pcap "$(pcap 0xa1b2c3d4 1 262144)$(record 0 7 42 42 "$one")$(record 0 7 42 42 "$two")"

# No packets, no interfaces: a header all the same.
expect 0 "0 of 2 packets kept" micro.pcapng none.pcap arp
holds none.pcap "$(pcap 0xa1b2c3d4 1 262144)"
bytes "$(section)" >nothing.pcapng
expect 0 "0 of 0 packets kept" nothing.pcapng nothing.pcap
holds nothing.pcap "$(pcap 0xa1b2c3d4 1 262144)"
expect 0 "0 of 2 packets kept" micro.pcap none.pcapng arp
holds none.pcapng "$(section)$(interface 1 262144 "$(resolution 06)")"

# ---- what pcap cannot say ------------------------------------------------------------------------

{
	bytes "$(section)$(interface 1 0)$(interface 101 0)"
	bytes "$(packet 0 0 7 42 42 "${one}0000")$(packet 1 0 8 28 28 "${two:28}")"
} >links.pcapng
expect 2 "packet 2 is of raw IP (101) where those before it are of Ethernet (1): let OUT be .pcapng" \
	links.pcapng links.pcap
[ ! -e links.pcap ] || complain "a file was left"
expect 0 "1 of 2 packets kept" links.pcapng links.pcap udp dst port 2
holds links.pcap "$(pcap 0xa1b2c3d4 101 262144)$(record 0 8 28 28 "${two:28}")"
bytes "$(section)$(interface 1 0)$(packet 0 $((1 << 24)) 0 42 42 "${one}0000")" >time.pcapng
expect 2 "time.pcap: packet 1 is of a time that pcap cannot tell" time.pcapng time.pcap
bytes "$(section)$(interface 1 0)$(packet 0 0 0 262145 262145 "$(zeros 262148)")" >size.pcapng
expect 2 "packet 1 has 262145 bytes, and readers of pcap take none of more than 262144" \
	size.pcapng size.pcap

# ---- longer than the file says -------------------------------------------------------------------

# Readers cut what is longer than the snap length, or refuse the file: OUT's is large enough.
bytes "$(pcap 0xa1b2c3d4 1 40)$(pair 0 0)" >short.pcap
expect 0 "2 of 2 packets kept" short.pcap short.pcapng
holds short.pcapng "$(section)$(interface 1 262144 "$(resolution 06)")" \
	"$(packet 0 $((1700000000000000 >> 32)) $((1700000000000000 & 0xffffffff)) 42 42 "${one}0000")" \
	"$(packet 0 $((1700000001000000 >> 32)) $((1700000001000000 & 0xffffffff)) 42 60 "${two}0000")"
# An interface that allows more than those before it, behind their packets, in a section of its own.
{
	bytes "$(section)$(interface 1 40)$(packet 0 0 7 42 42 "${one}0000")"
	bytes "$(section)$(interface 1 300000)$(packet 0 0 8 50000 50000 "$(zeros 50000)")"
} >grows.pcapng
expect 0 "2 of 2 packets kept" grows.pcapng grows.pcap
holds grows.pcap "$(pcap 0xa1b2c3d4 1 262144)$(record 0 7 42 42 "$one")" \
	"$(record 0 8 50000 50000 "$(zeros 50000)")"
# Link types whose packets may be as long as that (USBPcap).
bytes "$(section)$(interface 249 0)$(packet 0 0 7 300000 300000 "$(zeros 300000)")" >usb.pcapng
expect 0 "1 of 1 packet kept" usb.pcapng usb.pcap
holds usb.pcap "$(pcap 0xa1b2c3d4 249 $((128 << 20)))$(record 0 7 300000 300000 "$(zeros 300000)")"

# ---- check sequences (FCS) -----------------------------------------------------------------------

# BITS: an interface's option.
fcs() { w16 13 1; printf '%02x000000' "$1"; }
none=$(w32 0)
bytes "$(pcap 0xa1b2c3d4 0x24000001 65535)$(pair 0 0)" >fcs.pcap
expect 0 "2 of 2 packets kept" fcs.pcap fcs.pcapng
holds fcs.pcapng "$(section)$(interface 1 262144 "$(w16 9 1)06000000$(fcs 32)$none")" \
	"$(packet 0 $((1700000000000000 >> 32)) $((1700000000000000 & 0xffffffff)) 42 42 "${one}0000")" \
	"$(packet 0 $((1700000001000000 >> 32)) $((1700000001000000 & 0xffffffff)) 42 60 "${two}0000")"
expect 0 "2 of 2 packets kept" fcs.pcapng fcs.back.pcap
holds fcs.back.pcap "$(pcap 0xa1b2c3d4 0x24000001 262144)$(pair 0 0)"
! grep -q FCS err || complain "an FCS is said to be lost: $(cat err)"
# None at all is something that is known, too.
bytes "$(section)$(interface 1 0 "$(fcs 0)$none")$(packet 0 0 7 42 42 "${one}0000")" >fcs.pcapng
expect 0 "1 of 1 packet kept" fcs.pcapng fcs.pcap
holds fcs.pcap "$(pcap 0xa1b2c3d4 0x04000001 262144)$(record 0 7 42 42 "$one")"
# What pcap cannot say, and interfaces that differ.
{
	bytes "$(section)$(interface 1 0)$(interface 1 0 "$(fcs 32)$none")"
	bytes "$(packet 0 0 7 42 42 "${one}0000")$(packet 1 0 8 42 42 "${one}0000")"
} >fcs.pcapng
expect 0 "1 packet whose check sequence (FCS) has not the length that the file says" fcs.pcapng fcs.pcap
bytes "$(section)$(interface 1 0 "$(fcs 8)$none")$(packet 0 0 7 42 42 "${one}0000")" >fcs.pcapng
expect 0 "1 packet whose check sequence (FCS) has not the length that the file says" fcs.pcapng fcs.pcap
holds fcs.pcap "$(pcap 0xa1b2c3d4 1 262144)$(record 0 7 42 42 "$one")"

# ---- npf capture -r ------------------------------------------------------------------------------

# CODE TEXT WORD...: npf capture -r ends so, and says this.
capture() {
	local wanted=$1 text=$2 code
	shift 2
	"$npf" capture -r "$@" >out 2>err </dev/null
	code=$?
	[ $code -eq "$wanted" ] || complain "capture -r $*: exit code $code, not $wanted: $(cat err)"
	cat out err | grep -qF -- "$text" || complain "capture -r $*: '$text' is not in: $(cat out err)"
}

# Snap lengths, link types and stamps that differ, in one section or in several: all are shown.
for file in two.pcapng sections.pcapng grows.pcapng links.pcapng later.pcapng; do
	n=$("$npf" filter --count $file)
	capture 0 "$n packets read" $file
	[ "$(wc -l <out)" = "$n" ] || complain "capture -r $file: not $n lines"
	[ "$(grep -c '10.0.0.2.12345 > 10.0.0.1' out)" -ge $((n - 1)) ] || complain "capture -r $file: $(cat out)"
done
capture 0 "10.0.0.1.2" links.pcapng udp dst port 2
[ "$(wc -l <out)" = 1 ] || complain "capture -r links.pcapng: not one line"
echo 2 >ports
capture 0 "10.0.0.1.2" links.pcapng --ports dst:ports
[ "$(wc -l <out)" = 1 ] || complain "capture -r links.pcapng --ports: not one line"
capture 0 "2 packets accepted" grows.pcapng -w grows.out
cmp <(tail -c +25 grows.out) <("$npf" filter -q grows.pcapng grows.ns.pcap; tail -c +25 grows.ns.pcap) ||
	complain "capture -r grows.pcapng -w: other packets"
capture 2 "-s and options of adapters" grows.pcapng -s 20 -w cut.out
[ ! -e cut.out ] || complain "capture -r -s wrote a file"
# What is written has one link type.
capture 2 "a packet of link type 101 (raw IP) does not go into a file of type 1 (Ethernet): let the filter keep one kind" \
	links.pcapng -w links.out
capture 0 "1 packet accepted" links.pcapng -w links.out udp dst port 1
# A filter that means nothing for one of them.
capture 2 "packets of link type 101 (raw IP)" links.pcapng ether host 02:00:00:00:00:01

# ---- packed, through pipes, damaged --------------------------------------------------------------

for ending in gz zst; do
	expect 0 "2 of 2 packets kept" micro.pcap packed.pcapng.$ending
	expect 0 "2 of 2 packets kept" packed.pcapng.$ending plain.pcapng
	cmp micro.pcapng plain.pcapng || complain ".pcapng.$ending"
	expect 0 "2 of 2 packets kept" packed.pcapng.$ending packed.pcap.$ending
	expect 0 "2 of 2 packets kept" packed.pcap.$ending plain.pcap
	cmp micro.back.pcap plain.pcap || complain ".pcap.$ending"
done
"$npf" filter -q - piped.pcapng <micro.pcap || complain "a pipe"
cmp micro.pcapng piped.pcapng || complain "a pipe: another file"
# Names that promise nothing, and standard output, get what there is.
expect 0 "" micro.pcapng plain
cmp micro.pcapng plain || complain "a name without an ending"
{ cat micro.pcapng && printf xyz; } >cut.pcapng
expect 8 "after packet 2: 3 bytes are left over" cut.pcapng cut.pcap
cmp cut.pcap micro.back.pcap || complain "what comes before the damage is not there"
head -c -1 micro.pcap >cut.pcap
expect 8 "after packet 1" cut.pcap cut.pcapng
[ "$("$npf" filter --count cut.pcapng)" = 1 ] || complain "what comes before the damage is not there"

# ---- others look ---------------------------------------------------------------------------------

if command -v tcpdump >/dev/null; then
	show() { tcpdump --time-stamp-precision=nano -nn -tttt -xx -r "$1" 2>/dev/null; }
	for pair in micro.pcap:micro.pcapng micro.pcapng:micro.back.pcap nano.pcapng:nano.back.pcap \
		sizes.pcap:sizes.pcapng; do
		[ -n "$(show "${pair%:*}")" ] || complain "tcpdump does not read ${pair%:*}"
		cmp <(show "${pair%:*}") <(show "${pair#*:}") || complain "tcpdump: $pair differ"
	done
	for file in short.pcapng grows.pcap; do
		[ "$(tcpdump -nn -r $file 2>/dev/null | wc -l)" = 2 ] ||
			complain "tcpdump does not read $file: $(tcpdump -nn -r $file 2>&1)"
	done
fi
if command -v capinfos >/dev/null; then
	for file in micro.pcapng nano.pcapng two.pcap sections.pcap sizes.pcapng; do
		[ "$(capinfos -Tcrm "$file" 2>/dev/null | cut -d, -f2)" = "$("$npf" filter --count $file)" ] ||
			complain "capinfos, $file: $(capinfos -Tcrm "$file" 2>&1)"
	done
fi

exit $status
