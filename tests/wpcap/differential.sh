#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# differential.sh TRANSCRIPT DROPIN: the same program hears the same from libpcap and from libwpcap, but
# for the differences that CAVEATS.md tells.
set -eu
transcript=$1 dropin=$2

skip() {
	echo "skipped: $*"
	exit 77
}
! nm -D "$dropin" | grep -q '__[at]san_init' || skip "libpcap cannot be loaded privately so"
if [ -z "${NPF_IN_NAMESPACE:-}" ]; then
	unshare --net true 2>/dev/null || skip "network namespaces need root"
	NPF_IN_NAMESPACE=1 exec unshare --net "$0" "$@"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ ! -e /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
ip link set lo up
ip link add va type veth peer name vb
ip link add vdown type veth peer name vother
ip link set va up
ip link set vb up

vanishing() { # it does so in each run
	ip link add vgone type veth peer name vgone2
	ip link set vgone up
	ip link set vgone2 up
}

unset LD_LIBRARY_PATH
vanishing
timeout 20 "$transcript" >"$work/libpcap"
vanishing
LD_LIBRARY_PATH=$(dirname "$dropin") timeout 20 "$transcript" >"$work/libwpcap"
grep -q 'library: .* on npf' "$work/libwpcap"
if grep -q 'library: .* on npf' "$work/libpcap"; then
	exit 1
fi
for file in libpcap libwpcap; do
	grep -v '^library:' "$work/$file" >"$work/$file.text"
done
diff "$work/libpcap.text" "$work/libwpcap.text"
echo "$(wc -l <"$work/libpcap.text") answers are the same"
