#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# run.sh NPF: what `npf run` runs is on NPF, or is told why it cannot be.
set -eu
npf=$1

. "$(dirname "$0")/../lib/net.sh"
PATH=$PATH:/usr/sbin:/sbin
command -v tcpdump >/dev/null || skip "tcpdump is not installed"
! sanitized "$npf" || skip "nothing can be preloaded with this sanitizer"
own_namespace -- "$@"
ip link set lo up
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "run: $*"
	exit 1
}

expect() { # exit code, pattern in what it says, arguments of npf run
	local code=0 wanted=$1 pattern=$2
	shift 2
	"$npf" run "$@" >"$work/out" 2>&1 || code=$?
	[ $code = "$wanted" ] || { cat "$work/out"; fail "exit $code, not $wanted: $*"; }
	grep -qE -e "$pattern" "$work/out" || { cat "$work/out"; fail "no $pattern: $*"; }
}

expect 0 'libpcap version .*, on npf' -- tcpdump --version
expect 0 'libpcap version .*, on npf' tcpdump --version
# Names that the dynamic linker would cut.
src=$(realpath "$(dirname "$npf")/../src")
ln -s "$src" "$work/with blanks in it"
ln -s "$src" "$work/with:colon"
NPF_LIBWPCAP="$work/with blanks in it/wpcap/dropin/libpcap.so.0.8" \
	expect 0 'libpcap version .*, on npf' -- tcpdump --version
NPF_LIBWPCAP="$work/with:colon/wpcap/dropin/libpcap.so.0.8" expect 1 'colon' -- tcpdump --version
expect 3 '^ok$' -- sh -c 'echo ok; exit 3'
expect 127 'there is no program' -- nothing-of-that-name
expect 126 'hostname: ' -- /etc/hostname
expect 2 'which program' --
expect 2 'unrecognized option' --nonsense
NPF_LIBWPCAP=/nonexistent expect 1 'there is no /nonexistent' -- tcpdump --version

# What a program keeps that gives up all rights but a packet socket's.
if ! command -v capsh >/dev/null; then
	echo "skip  rights: capsh is not installed"
elif capsh --has-p=cap_bpf --has-p=cap_perfmon 2>/dev/null; then
	keep=(capsh --caps=cap_net_raw+ep --print)
	expect 0 '^Current:.*cap_perfmon,cap_bpf' -- "${keep[@]}"
	expect 0 '^Current: =? ?cap_net_raw[=+]ep$' --drop-rights -- "${keep[@]}"
fi

# Also where libcap came with a plug-in, so that nobody else finds it.
if python3 -c 'import ctypes; ctypes.CDLL("libcap.so.2")' 2>/dev/null; then
	cat >"$work/plugged.py" <<-'END'
		import ctypes, errno, os

		ours = ctypes.CDLL(None, use_errno=True)
		assert ours.cap_set_proc(None) == -1 and ctypes.get_errno() == errno.ENOSYS, "no libcap yet"
		libcap = ctypes.CDLL("libcap.so.2", mode=os.RTLD_LOCAL | os.RTLD_NOW)
		libcap.cap_get_proc.restype = ctypes.c_void_p
		print(ours.cap_set_proc(ctypes.c_void_p(libcap.cap_get_proc())))
	END
	expect 0 '^0$' -- python3 "$work/plugged.py"
fi

# A capture through it: what it opened and closed tells that it was ours.
"$npf" run --trace -- tcpdump -i lo -n -c 2 --immediate-mode 'udp port 9' >"$work/said" 2>&1 &
pid=$!
while kill -0 $pid 2>/dev/null; do
	(echo hello >/dev/udp/127.0.0.1/9) 2>/dev/null || true
	sleep 0.05
done
wait $pid || { cat "$work/said"; fail "tcpdump"; }
grep -q 'npf_open lo' "$work/said" || { cat "$work/said"; fail "not captured by NPF"; }
grep -q 'npf_close' "$work/said" || fail "not closed"
[ "$(grep -c 'UDP, length 6' "$work/said")" = 2 ] || { cat "$work/said"; fail "not two packets"; }
