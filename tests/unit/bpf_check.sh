#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# bpf_check.sh NPF: npf bpf --check asks every engine, says which it could not ask, and leaves no
# answer uncounted. Without privilege and without a compiler it does the rest.
set -eu
npf=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
mkdir "$work/empty" "$work/tmp"
export TMPDIR=$work/tmp
status=0

complain() {
	echo "bpf_check: $*" >&2
	status=1
}

# The answer to the first packet is a parameter, and the first instruction of a program that must be
# refused, and the divisor of another. One packet is longer than a test run takes.
vectors() {
	cat >"$work/vectors" <<END
case  tcp the protocol of IPv4, or the length
i     28 0 0 c
i     15 0 3 800
i     30 0 0 17
i     15 0 1 6
i     80 0 0 0
i     16 0 0 0
p     60 24 000000000000000000000000080045000000000000000006
r     $1
p     14 14 0000000000000000000000000800
r     0
p     5 5 0102030405
r     0
p     20000 20000 0000000000000000000000000806
r     806
end

case  none of a packet
i     06 0 0 7
p     0 0 -
r     7
end

case  refused
reject
i     15 $2 0 0
i     06 0 0 0
end

case  divides by 0
tags  const-div0
i     34 0 0 $3
i     06 0 0 0
p     0 0 -
r     0
end

case  refused by others
tags  bsd-accepts
reject
i     06 0 0 0
end
END
}

# NAME EXIT: how it ended, and that each of the 11 engines is accounted for: 5 packets, and 3
# refusals of 2 programs.
expect() {
	local numbers
	[ "$code" -eq "$2" ] || complain "$1: exit code $code"
	numbers=$(tail -n 1 "$work/out" | tr -cd '0-9 ')
	# shellcheck disable=SC2086 # words
	set -- "$1" $numbers
	[ $(($3 + $6)) -eq 61 ] || complain "$1: $(cat "$work/out")"
	[ "$2 $5" = "5 1" ] || complain "$1: $(cat "$work/out")"
	mismatches=$4
	missing=$6
}

run() {
	code=0
	"$@" "$npf" bpf --check "$work/vectors" >"$work/out" || code=$?
}

vectors 3c 9 0
run env
expect "all right" 0
[ "$mismatches" -eq 0 ] || complain "mismatches: $(cat "$work/out")"
if ! grep -q 'not run' "$work/out"; then
	# At most the long packet, for each way in the kernel.
	[ "$missing" -le 3 ] || complain "answers are missing: $(cat "$work/out")"
fi

# No pass changes an answer: the program is one that each of them works on.
{
	echo "case  tcp port 80"
	tail -n +2 "$(dirname "$0")/../golden/bpf/tcp-port-80.ddd" |
		while read -r op jt jf k; do printf 'i %x %d %d %x\n' "$op" "$jt" "$jf" "$k"; done
	cat <<END
p 54 54 0200000000010200000000020800450000280000000040060000000000000000000030390050
r 40000
p 54 54 0200000000010200000000020800450000280000000040060000000000000000000030390051
r 0
p 58 58 020000000001020000000002080046000028000000004006000000000000000000000000000030390050
r 40000
p 54 54 0200000000010200000000020800450000280000000140060000000000000000000030390050
r 0
p 54 36 020000000001020000000002080045000028000000004006000000000000000000003039
r 0
p 74 58 02000000000102000000000286dd60000000001406400000000000000000000000000000000000000000000000000000000000000000
r 0
p 74 74 02000000000102000000000286dd6000000000140640000000000000000000000000000000000000000000000000000000000000000030390050
r 40000
end
END
} >"$work/port"
"$npf" bpf --check "$work/port" >"$work/all" || complain "all passes: $(cat "$work/all")"
for pass in fold number thread sets header merge checks dead hoist; do
	"$npf" bpf --without "$pass" --check "$work/port" >"$work/out" ||
		complain "without $pass: $(cat "$work/out")"
	cmp "$work/all" "$work/out" || complain "without $pass other engines answer"
done

# A wrong expectation: every engine that answers says what it found.
vectors 3d 9 0
engines=11
grep -q '^x86-64 was not run' "$work/out" && engines=$((engines - 3))
grep -q '^AVX2 was not run' "$work/out" && engines=$((engines - 1))
grep -q '^AVX-512 was not run' "$work/out" && engines=$((engines - 1))
grep -q '^eBPF was not run' "$work/out" && engines=$((engines - 3))
grep -q '^eBPF, peeking was not run' "$work/out" && engines=$((engines - 1))
grep -q '^C text was not run' "$work/out" && engines=$((engines - 1))
run env
expect "a wrong expectation" 1
[ "$mismatches" -eq "$engines" ] || complain "$engines engines: $(cat "$work/out")"
[ "$(grep -c '0x3c instead of 0x3d$' "$work/out")" -eq "$engines" ] ||
	complain "not told: $(cat "$work/out")"

# Without a compiler.
vectors 3c 9 0
run env PATH="$work/empty"
expect "no compiler" 0
grep -q '^C text was not run: ' "$work/out" || complain "no compiler is not told"
tail -n 1 "$work/out" | grep -q '; not run: .*C text$' || complain "no compiler is not told last"
[ "$missing" -ge 5 ] || complain "no compiler is not counted"

# Without privilege.
if [ "$(id -u)" -eq 0 ]; then
	run setpriv --bounding-set=-all --inh-caps=-all --
else
	run env
fi
expect "no privilege" 0
[ "$(grep -c '^eBPF was not run: ' "$work/out")" -eq 1 ] || complain "no privilege is not told once"
[ "$missing" -ge 15 ] || complain "no privilege is not counted"

# Programs that must be refused, and are right.
vectors 3c 0 1
run env
expect "accepted" 1
[ "$mismatches" -eq 6 ] || complain "acceptance: $(cat "$work/out")"

[ -z "$(ls "$work/tmp")" ] || complain "left behind: $(ls "$work/tmp")"
exit $status
