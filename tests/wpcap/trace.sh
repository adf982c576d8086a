#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# trace.sh PROGRAM GOLDEN: with NPF_TRACE=1 the chains of opening and closing are printed as they
# happen, function by function; without it nothing is.
set -eu
program=$1
golden=$2

. "$(dirname "$0")/../lib/net.sh"
! sanitized "$program" || skip "libpcap cannot be loaded privately under this sanitizer"
own_namespace -- "$@"
ip link set lo up
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

for kind in pcap packet; do
	NPF_TRACE=1 "$program" $kind 2>"$temporary/$kind"
	diff -u "$golden/trace-$kind.txt" "$temporary/$kind"
done
NPF_TRACE=0 "$program" 2>"$temporary/nothing"
"$program" 2>>"$temporary/nothing"
if [ -s "$temporary/nothing" ]; then
	echo "it prints without being asked to:"
	cat "$temporary/nothing"
	exit 1
fi
