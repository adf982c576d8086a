#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dropin.sh EQUALS DROPIN TRAFFIC: tcpdump on libpcap and the same tcpdump on libwpcap, side by side on
# the same traffic, store the same packets. EQUALS (equals_tcpdump.sh) compares "npf capture" with
# tcpdump: here a command of that form runs tcpdump on libwpcap.
set -eu

# It sleeps, which it does only where nothing is left to read, or has ended: it neither runs nor writes.
has_read_all() { # pid
	[[ $(cat "/proc/$1/stat" 2>/dev/null) != *") "[RD]" "* ]]
}

case ${1:-} in
capture)
	echo $$ >>"$READERS"
	shift
	# Interrupted, tcpdump forgets what it did not read yet: it reads at once.
	arguments=(-Z root -n -U --immediate-mode)
	while [ $# -gt 0 ]; do
		case $1 in
		--hook) shift ;; # what a program on libpcap cannot choose
		-q) ;;
		-B)
			arguments+=(-B 32768)
			shift
			;;
		*) arguments+=("$1") ;;
		esac
		shift
	done
	LD_PRELOAD=$DROPIN exec tcpdump "${arguments[@]}"
	;;
veth | lo)
	"$TRAFFIC" "$@"
	# Before they are interrupted.
	while read -r pid; do
		until has_read_all "$pid"; do :; done
	done <"$READERS"
	: >"$READERS"
	exit
	;;
greet | count | compare)
	exec "$TRAFFIC" "$@"
	;;
esac

equals=$1
. "$(dirname "$0")/../lib/net.sh"
! sanitized "$2" || skip "libpcap cannot be loaded privately under this sanitizer"
export DROPIN=$2 NPF_TEST_HOOKS=auto TRAFFIC=$3
unset NPF_TEST_REQUIRE
on_npf() {
	tcpdump --version | grep -q ', on npf'
}
if on_npf || ! LD_PRELOAD=$DROPIN on_npf; then
	echo "not one tcpdump on libpcap and one on libwpcap"
	exit 1
fi
READERS=$(mktemp)
export READERS
trap 'rm -f "$READERS"' EXIT
"$equals" "$0" "$0"
