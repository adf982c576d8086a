#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# files.sh NPF: what the commands make of files they are given: packed savefiles are read by all of
# them, and what is no savefile, or no frame, is refused with a sentence that says what it is.
set -u
npf=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work" || exit 1
status=0

complain() {
	echo "files: $*" >&2
	status=1
}

# CODE TEXT WORD...: npf ends so, and says this on standard error.
expect() {
	local wanted=$1 text=$2 code
	shift 2
	"$npf" "$@" >out 2>err </dev/null
	code=$?
	[ $code -eq "$wanted" ] || complain "npf $*: exit code $code, not $wanted: $(cat err)"
	[ -z "$text" ] || grep -qF -- "$text" err || complain "npf $*: '$text' is not in: $(cat err)"
}

# Two packets, UDP to ports 1 and 2.
{
	printf '\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0'
	for port in 1 2; do
		printf '%b' "\\x0$port\\0\\0\\0\\0\\0\\0\\0\\x2a\\0\\0\\0\\x2a\\0\\0\\0"
		printf '\2\0\0\0\0\1\2\0\0\0\0\2\x08\0\x45\0\0\x1c\0\0\0\0\x40\x11\0\0'
		printf '%b' '\x0a\0\0\x02\x0a\0\0\x01\x30\x39\0\x0'$port'\0\x08\0\0'
	done
} >two.pcap
"$npf" filter -q two.pcap two.gz || complain "packing: gzip"
"$npf" filter -q two.pcap two.zst || complain "packing: zstd"
head -c 40 two.gz >cut.gz
printf 'not a frame\n' >text
gzip -c text >text.gz
printf 'BZh91AY&SY' >some.bz2
: >empty

# ---- capture -r ------------------------------------------------------------------------------

"$npf" capture -r two.pcap >wanted 2>/dev/null
[ "$(wc -l <wanted)" -eq 2 ] || complain "capture -r: $(cat wanted)"
for file in two.gz two.zst; do
	"$npf" capture -r $file 2>/dev/null | cmp -s - wanted || complain "capture -r $file"
	"$npf" capture -r - <$file 2>/dev/null | cmp -s - wanted || complain "capture -r - <$file"
	# shellcheck disable=SC2002 # a pipe is the point
	cat $file | "$npf" capture -r - 2>/dev/null | cmp -s - wanted || complain "cat $file |"
	"$npf" capture -r $file udp dst port 2 2>/dev/null | cmp -s - <(tail -n 1 wanted) ||
		complain "capture -r $file with a filter"
done
expect 8 "cut.gz: the packed data is cut short" capture -r cut.gz
expect 1 "nowhere: No such file or directory" capture -r nowhere
expect 9 "text: this is text, neither pcap nor pcapng" capture -r text
expect 9 "text.gz: this is text, neither pcap nor pcapng" capture -r text.gz
expect 9 "some.bz2: packed by bzip2; unpack it first" capture -r some.bz2
expect 9 "empty: the file is empty" capture -r empty
expect 2 "filter 'tcp prt 80'" capture -r two.gz tcp prt 80

# What was read and taken is told, whatever is shown.
expect 0 "2 packets accepted" capture -r two.pcap -q
expect 0 "2 packets read" capture -r two.pcap -q
[ ! -s out ] || complain "capture -q: $(cat out)"
expect 0 "1 packet accepted" capture -r two.pcap -q udp dst port 2
expect 0 "2 packets read" capture -r two.pcap -q udp dst port 2
echo 2 >ports
expect 0 "1 packet accepted" capture -r two.pcap -w some.pcap --ports dst:ports
expect 0 "2 packets read" capture -r two.pcap -q --ports dst:ports
head -c 82 two.pcap >one.pcap
expect 0 "1 of 1 packet kept" filter one.pcap other.pcap
{ cat one.pcap && printf x; } >more.pcap
expect 8 "after packet 1: 1 byte is left over" filter --count more.pcap
"$npf" repair --check more.pcap >out
grep -q '  1 packet, whole' out || complain "repair: $(cat out)"
grep -q '  then 1 byte ' out || complain "repair: $(cat out)"

{ printf '\xd4\xc3\xb2\xa1\x02\0\x03\0' && tail -c +9 two.pcap; } >old.pcap
expect 9 "old.pcap: pcap format 2.3: only 2.4 is read" capture -r old.pcap
expect 9 "old.pcap: pcap format 2.3: only 2.4 is read" filter --count old.pcap

# ---- filter ----------------------------------------------------------------------------------

expect 9 "text: this is text, neither pcap nor pcapng" filter --count text
expect 9 "some.bz2: packed by bzip2; unpack it first" filter --count some.bz2
expect 9 "empty: the file is empty" filter --count empty

# ---- what is written is what the name says -----------------------------------------------------

# FILE: the packets of two.pcap, whatever the format.
same() {
	"$npf" capture -r "$1" 2>/dev/null | cmp -s - wanted || complain "$1: other packets"
}
expect 0 "" capture -r two.pcap -w two.pcapng
[ "$(od -An -tx4 -N4 two.pcapng)" = " 0a0d0d0a" ] || complain "two.pcapng is none"
same two.pcapng
expect 0 "" capture -r two.pcapng -w back.PCAP
[ "$(od -An -tx4 -N4 back.PCAP)" = " a1b2c3d4" ] || complain "back.PCAP is none"
cmp -s <(tail -c +25 back.PCAP) <(tail -c +25 two.pcap) || complain "back.PCAP: other packets"
expect 0 "" capture -r two.pcap --micro -w micro.pcapng
same micro.pcapng
# Every length that padding can have, short and long; libpcap is the judge.
{
	head -c 24 two.pcap
	for size in 0 1 2 3 4 5 6 7 254 255 256 257 258 259 260; do
		printf '%b' '\x01\0\0\0\x02\0\0\0'"\\x$(printf %02x $((size % 256)))"
		printf '%b' "\\x$(printf %02x $((size / 256)))"'\0\0\0\x10\0\0'
		head -c $size /dev/zero
	done
} >sizes.pcap
expect 0 "" capture -r sizes.pcap -w sizes.pcapng
expect 0 "" capture -r sizes.pcapng -w sizes.back
cmp -s <(tail -c +25 sizes.pcap) <(tail -c +25 sizes.back) || complain "sizes.pcapng"
[ "$("$npf" filter --count sizes.pcapng)" = 15 ] || complain "sizes.pcapng: not 15 packets"

# ---- damaged files: what comes before the damage, and why it ends ----------------------------------

# FILE PACKETS TEXT: what filter and capture -r say.
damaged() {
	expect 8 "$3" filter "$1" before.pcap
	[ "$("$npf" filter --count before.pcap)" = "$2" ] || complain "filter $1: not $2 packets"
	expect 8 "$3" capture -r "$1"
	[ "$(wc -l <out)" = "$2" ] || complain "capture -r $1: not $2 packets"
	expect 8 "$1: " capture -r "$1" -w before.pcap
	[ "$("$npf" filter --count before.pcap)" = "$2" ] || complain "capture -r $1 -w: not $2 packets"
	expect 0 "" filter before.pcap after.pcap # a whole file
}
head -c -1 two.pcap >bad.pcap
damaged bad.pcap 1 "bad.pcap: the file is cut short after packet 1: 57 bytes"
head -c -1 two.pcapng >bad.pcapng
damaged bad.pcapng 1 "cut short after packet 1"
{ head -c 90 two.pcap && printf '\377\377\377\177' && tail -c +95 two.pcap; } >bad.pcap
damaged bad.pcap 1 "packet 2 at byte 82 claims 2147483647 bytes"
# All is unpacked at once, and only then found damaged; zeros behind the end are no damage.
for ending in gz zst; do
	{ cat two.$ending && head -c 512 /dev/zero; } >zeros.$ending
	expect 0 "2 of 2 packets kept" filter zeros.$ending before.pcap
	{ cat zeros.$ending && printf garbage; } >bad.$ending
	damaged bad.$ending 2 "data is damaged"
done
{ head -c -8 two.gz && printf 'none' && tail -c 4 two.gz; } >bad.gz
damaged bad.gz 2 "the gzip data is damaged"
# A megabyte of packets, so that packed ones arrive in pieces.
tail -c +25 two.pcap >records
for ((i = 0; i < 13; i++)); do cat records records >twice && mv twice records; done
{ head -c 24 two.pcap && cat records; } >many.pcap
for ending in gz zst; do
	expect 0 "" filter many.pcap many.$ending
	head -c -6 many.$ending >bad.$ending
	packets=$("$npf" filter --count bad.$ending 2>err)
	[ "$packets" -gt 0 ] || complain "$ending, cut short: no packets come before"
	damaged bad.$ending "$packets" "the packed data is cut short"
done

# ---- names that promise what is not written -------------------------------------------------------

for name in x.gz x.zst x.pcap.xz; do
	expect 2 "capture does not pack; npf filter" capture -r two.pcap -w $name
	expect 2 "-w $name: --compress zstd makes" dump -i npf-no-such -w $name
done
expect 2 "packs to .gz and .zst only" filter two.pcap x.xz
expect 0 "2 of 2 packets kept" filter two.pcapng y.pcapng.zst
same y.pcapng.zst

# ---- nothing is lost for a word that was forgotten ------------------------------------------------

for words in udp 'udp port 2' 'not arp' '(udp or arp)'; do
	expect 2 "there is no file to write before the filter" filter two.pcap "$words"
done
expect 2 "npf filter IN OUT udp ..." filter two.pcap udp port 2
expect 2 "filter 'prt 2'" filter two.pcap udp prt 2
expect 0 "1 of 2 packets kept" filter two.pcap udp udp dst port 2
expect 0 "2 of 2 packets kept" filter two.pcap ./tcp udp
expect 0 "2 of 2 packets kept" filter two.pcap plain
cp text notes
for option in filter "capture -r"; do
	# shellcheck disable=SC2086 # two words
	if [ "$option" = filter ]; then set -- filter two.pcap notes; else set -- $option two.pcap -w notes; fi
	expect 2 "notes: that is there and no savefile; --force" "$@"
	cmp -s text notes || complain "$*: notes are gone"
	expect 0 "" "$1" --force "${@:2}"
	same notes
	expect 0 "" "$@" # a savefile now
	cp text notes
done
# Not over itself, under whatever name.
cp two.pcap own.pcap
ln own.pcap same.pcap
ln -s own.pcap link.pcap
for name in own.pcap same.pcap ./link.pcap; do
	expect 2 "$name: that is the input: choose another file" filter own.pcap $name udp
	expect 2 "$name: that is the input: choose another file" capture -r own.pcap -w $name
done
cmp -s two.pcap own.pcap || complain "the input was changed"
rm same.pcap link.pcap own.pcap
if ls x.* not arp '(udp'* >/dev/null 2>&1; then complain "files were left: $(ls)"; fi

# ---- filters that are wrong ----------------------------------------------------------------------

for command in "capture -r two.pcap" "filter --count two.pcap" bpf; do
	# shellcheck disable=SC2086 # words
	expect 2 "filter 'udp or port www9': unknown port 'www9' (at character 13)" \
		$command udp or port www9
	# shellcheck disable=SC2086
	expect 2 "filter 'udp prt 5': " $command udp prt 5
done

# ---- packets are private --------------------------------------------------------------------------

umask 022
rm -f new.* udp
expect 0 "" capture -r two.pcap -w new.pcap
expect 0 "" filter two.pcap new.zst
expect 0 "" repair -o new.part more.pcap
for file in new.pcap new.zst new.part; do
	[ "$(stat -c %a $file)" = 600 ] || complain "$file can be read by others"
	chmod 640 $file
done
expect 0 "" capture -r two.pcap -w new.pcap
expect 0 "" filter two.pcap new.zst
for file in new.pcap new.zst; do
	[ "$(stat -c %a $file)" = 640 ] || complain "$file has lost its mode"
done

# ---- a filter where files are expected --------------------------------------------------------------

expect 2 "'udp' is no file; a filter goes behind --: npf replay -i NAME FILE... -- udp" \
	replay -i npf-no-such two.pcap udp
expect 2 "FILE... -- udp ..." replay -i npf-no-such two.pcap udp port 2
: >udp
expect 4 npf-no-such replay -i npf-no-such two.pcap udp
rm udp

# ---- what cannot be written -----------------------------------------------------------------------

for words in "capture -r many.pcap -w" "filter many.pcap"; do
	{
		cat two.pcap
		for ((i = 0; i < 500; i++)); do tail -c +25 two.pcap; done
	} >many.pcap
	# shellcheck disable=SC2086 # words
	(ulimit -f 8 && exec "$npf" $words limited.pcap) 2>err
	[ $? -eq 6 ] || complain "$words to a file that may not grow: $(cat err)"
	grep -q "limited.pcap: File too large" err || complain "$words: $(cat err)"
	# shellcheck disable=SC2086
	"$npf" $words - >/dev/full 2>err
	[ $? -eq 5 ] || complain "$words to a full disk: $(cat err)"
	# shellcheck disable=SC2086
	expect 6 "No such file" $words nowhere/out.pcap
done
"$npf" list >/dev/full 2>err
[ $? -eq 5 ] || complain "list to a full disk: $(cat err)"
# Who stops reading is no failure.
"$npf" filter many.pcap - 2>err | :
[ "${PIPESTATUS[0]}" -eq 0 ] || complain "filter for nobody: $(cat err)"
head -c 50 two.pcap >short.pcap
expect 8 "short.pcap: " capture -r short.pcap
expect 8 "short.pcap: the file is cut short" filter --count short.pcap

# ---- send: refused before an adapter is looked for, so that "npf list" is the hint ---------------

send=(send -i npf-no-such --file)
expect 9 "text: this is text, not a frame: --hex" "${send[@]}" text
expect 9 "text.gz: this is text, neither" "${send[@]}" text.gz
expect 9 "some.bz2: packed by bzip2; unpack it first: only gzip and zstd are read; --raw" \
	"${send[@]}" some.bz2
expect 8 "cut.gz: the packed data is cut short" "${send[@]}" cut.gz
for file in two.pcap two.gz two.zst; do
	expect 4 "its first packet is the frame; npf replay sends all" "${send[@]}" $file
done
expect 4 npf-no-such "${send[@]}" one.pcap
! grep -q replay err || complain "a file of one packet: $(cat err)"
for file in text text.gz some.bz2 two.pcap; do
	expect 4 npf-no-such send -i npf-no-such --raw $file
done
expect 2 "given once by --hex, --file or --raw" send -i npf-no-such --raw text --file text

exit $status
