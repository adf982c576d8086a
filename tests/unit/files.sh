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
	grep -qF -- "$text" err || complain "npf $*: '$text' is not in: $(cat err)"
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
"$npf" filter -q two.pcap two.gz && "$npf" filter -q two.pcap two.zst || complain "packing"
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
expect 1 "cut.gz: the packed data is cut short" capture -r cut.gz
expect 1 "nowhere: No such file or directory" capture -r nowhere
expect 1 "text: this is text, neither pcap nor pcapng" capture -r text
expect 1 "text.gz: this is text, neither pcap nor pcapng" capture -r text.gz
expect 1 "some.bz2: packed by bzip2; unpack it first" capture -r some.bz2
expect 1 "empty: the file is empty" capture -r empty
expect 2 "filter 'tcp prt 80'" capture -r two.gz tcp prt 80

# ---- filter ----------------------------------------------------------------------------------

expect 1 "text: this is text, neither pcap nor pcapng" filter --count text
expect 1 "some.bz2: packed by bzip2; unpack it first" filter --count some.bz2
expect 1 "empty: the file is empty" filter --count empty

# ---- send: refused before an adapter is looked for, so that "npf list" is the hint ---------------

send=(send -i npf-no-such --file)
expect 1 "text: this is text, not a frame: --hex" "${send[@]}" text
expect 1 "text.gz: this is text, neither" "${send[@]}" text.gz
expect 1 "some.bz2: packed by bzip2; unpack it first: only gzip and zstd are read; --raw" \
	"${send[@]}" some.bz2
expect 1 "cut.gz: the packed data is cut short" "${send[@]}" cut.gz
for file in two.pcap two.gz two.zst; do
	expect 4 "its first packet is the frame; npf replay sends all" "${send[@]}" $file
done
head -c 82 two.pcap >one.pcap
expect 4 npf-no-such "${send[@]}" one.pcap
! grep -q replay err || complain "a file of one packet: $(cat err)"
for file in text text.gz some.bz2 two.pcap; do
	expect 4 npf-no-such send -i npf-no-such --raw $file
done
expect 2 "one of --hex, --file and --raw" send -i npf-no-such --raw text --file text

exit $status
