#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ways.sh NPF DROPIN LOADER LINKED GUEST: every way in which the manual puts NPF under a program that
# knows nothing of it, for programs that are linked with libpcap and for those that load it.
#
# shellcheck disable=SC2317 # functions that are called by name
set -eu
npf=$1 dropin=$2 loader=$3 linked=$4 guest=$(basename "$5")

. "$(dirname "$0")/../lib/net.sh"
! sanitized "$npf" || skip "nothing can be preloaded with this sanitizer"
own_namespace -- "$@"
ip link set lo up
unset LD_PRELOAD
libpcap=$(ldd "$linked" | awk '$1 ~ /^libpcap/ { print $3 }')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

as_it_is() { timeout 200 "$@"; }
by_run() { timeout 200 "$npf" run -- "$@"; }
by_preload() { LD_PRELOAD=$dropin timeout 200 "$@"; }
by_folder() { LD_LIBRARY_PATH=$(dirname "$dropin") timeout 200 "$@"; }

status=0
expect() { # pattern, command...
	local pattern=$1
	shift
	"$@" >"$work/out" 2>&1 || true
	if tr '\n' ' ' <"$work/out" | grep -qE -e "$pattern"; then
		echo "ok    $*"
	else
		echo "FAIL  $*: not $pattern, but"
		cat "$work/out"
		status=1
	fi
}

captured='47 of 47 bytes $'
expect "^libpcap version [0-9.]+ [^,]*$captured" as_it_is "$loader" libpcap.so.0.8
for way in run preload folder; do
	expect "^libpcap version .*, on npf.* $captured" by_$way "$linked" ''
	for name in libpcap.so.0.8 libpcap.so.1 libpcap.so; do
		expect "^libpcap version .*, on npf.* $captured" by_$way "$loader" "$name"
	done
	# A program's own libraries are found as before.
	expect '^loaded, without' by_$way "$loader" "$guest"
	expect 'cannot open' by_$way "$loader" nothing.so
done
for way in run preload; do
	expect "^libpcap version .*, on npf.* $captured" by_$way "$loader" "$libpcap"
	expect "^libpcap version .*, on npf.* $captured" by_$way "$linked" "$libpcap"
done
exit $status
