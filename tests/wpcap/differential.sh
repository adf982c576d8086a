#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# differential.sh DROPIN PROGRAM...: the same programs hear the same from libpcap and from libwpcap, but
# for the differences that CAVEATS.md tells.
set -eu
dropin=$1

. "$(dirname "$0")/../lib/net.sh"
! sanitized "$dropin" || skip "libpcap cannot be loaded privately so"
own_namespace -- "$@"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make_pair
ip link add vdown type veth peer name vother
left_out=
if [ -c /dev/net/tun ] && { : <>/dev/net/tun; } 2>/dev/null; then
	ip tuntap add vtun mode tun
	ip link set vtun up
else
	left_out="/dev/net/tun cannot be opened: handles of raw IP were left out"
fi

vanishing() { # it does so in each run
	ip link show vgone >/dev/null 2>&1 || ip link add vgone type veth peer name vgone2
	ip link set vgone up
	ip link set vgone2 up
}

shift
for program; do
	vanishing
	timeout 600 "$program" >"$work/libpcap"
	vanishing
	LD_LIBRARY_PATH=$(dirname "$dropin") timeout 600 "$program" >"$work/libwpcap"
	grep -q 'library: .* on npf' "$work/libwpcap"
	if grep -q 'library: .* on npf' "$work/libpcap"; then
		exit 1
	fi
	for file in libpcap libwpcap; do
		grep -v '^library:' "$work/$file" >"$work/$file.text"
	done
	diff "$work/libpcap.text" "$work/libwpcap.text"
	echo "$(wc -l <"$work/libpcap.text") answers to ${program##*/} are the same"
done
[ -z "$left_out" ] || skip "$left_out"
