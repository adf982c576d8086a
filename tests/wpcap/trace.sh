#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# trace.sh PROGRAM GOLDEN: with NPF_TRACE=1 the chains of opening and closing are printed as they
# happen, function by function; without it nothing is. GOLDEN has what was printed once, and
# trace-article.txt, written from the article that describes the chains: its functions are called in
# its order, each below the one that it is below there, with others in between.
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
awk '
	{ sub(/^npf: /, ""); depth = match($0, /[^ ]/) - 1 }
	FNR == NR { wanted[++n] = $1; below[n] = depth ? at[depth - 2] : ""; at[depth] = $1; next }
	{
		at[depth] = $1
		if (found == n || $1 != wanted[found + 1])
			next
		within = below[found + 1] == ""
		for (d = 0; d < depth; d += 2)
			within = within || at[d] == below[found + 1]
		found += within
	}
	END {
		if (n && found == n)
			exit
		print "not as in the article: " wanted[found + 1] " below " below[found + 1]
		exit 1
	}
' "$golden/trace-article.txt" "$temporary/pcap"
NPF_TRACE=0 "$program" 2>"$temporary/nothing"
"$program" 2>>"$temporary/nothing"
if [ -s "$temporary/nothing" ]; then
	echo "it prints without being asked to:"
	cat "$temporary/nothing"
	exit 1
fi
