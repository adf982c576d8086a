#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# trace.sh PROGRAM GOLDEN: with NPF_TRACE=1 the chains of opening and closing are printed as they
# happen, function by function; without it nothing is.
set -eu
program=$1
golden=$2

if nm -D "$program" | grep -q '__[at]san_init'; then
	echo "skipped: libpcap cannot be loaded privately under this sanitizer"
	exit 77
fi
if ! unshare -n true 2>/dev/null; then
	echo "skipped: network namespaces need root"
	exit 77
fi
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

in_namespace() {
	unshare -n sh -c 'ip link set lo up && exec "$@"' sh "$@"
}

for kind in pcap packet; do
	NPF_TRACE=1 in_namespace "$program" $kind 2>"$temporary/$kind"
	diff -u "$golden/trace-$kind.txt" "$temporary/$kind"
done
NPF_TRACE=0 in_namespace "$program" 2>"$temporary/nothing"
in_namespace "$program" 2>>"$temporary/nothing"
if [ -s "$temporary/nothing" ]; then
	echo "it prints without being asked to:"
	cat "$temporary/nothing"
	exit 1
fi
