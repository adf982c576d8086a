#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# bpf.sh NPF: what npf bpf shows: every stage with its count, the passes and a form without each,
# the graph and its picture, JSON, and the errors. golden/bpf.sh has the texts that are the same on
# every machine, bpf_check.sh has --check.
set -eu
npf=$(realpath "$1")
programs=$(realpath "$(dirname "$0")/../golden/bpf")
program=$programs/tcp-port-80.ddd
passes=(fold number thread sets header merge checks dead hoist)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"
status=0

complain() {
	echo "bpf: $*" >&2
	status=1
}

# STAGE: its lines go to the file `stage`, what its title counts to $n.
show() {
	"$npf" bpf -F "$program" --stage "$1" >shown
	n=$(sed -n "1s/^$1: .*, \([0-9]*\) [a-z]* *\$/\1/p" shown)
	sed '1d;$d' shown >stage
	[ -n "$n" ] || complain "$1: no count: $(head -n 1 shown)"
}

is_possible() {
	grep -q '^not possible: ' stage || return 0
	[ "$n" -eq 0 ] || complain "$(cat shown)"
	return 1
}

# ---- stages ----------------------------------------------------------------------------------

show cbpf
if [ "$n" -ne 20 ] || [ "$(wc -l <stage)" -ne 20 ]; then complain "cbpf: $(cat shown)"; fi
grep -q '^(000) ldh  *\[12\]$' stage || complain "cbpf: $(cat stage)"

# Numbers count from 0, some instructions take two.
for name in ebpf ebpf-peek ebpf-copy; do
	show "$name"
	is_possible || continue
	tail -n 1 stage | grep -q "^($(printf %03u $((n - 1)))) exit\$" || complain "$name: $(cat shown)"
	calls=$(grep -c ' call kfunc [1-9]' stage || true)
	[ $((calls > 0)) -eq "$([ $name = ebpf-peek ] && echo 1 || echo 0)" ] ||
		complain "$name: $calls calls of the kernel's functions"
	! grep -q 'call ?' stage || complain "$name: an unknown call"
done

# A long list is a table there, as it is in the kernel.
list=$(seq -s ' or ' 100 7 240)
"$npf" bpf --stage ebpf tcp port "$list" >shown
grep -q ') r[0-9] = tables + [0-9]' shown || complain "ebpf: no table for a list: $(cat shown)"
grep -q '^and [1-9][0-9]* bytes of tables$' shown || complain "ebpf: how long is the table?"

for name in x86 vector; do
	show "$name"
	is_possible || continue
	[ "$(grep -c '^ *[0-9a-f]\+  ' stage)" -eq "$n" ] || complain "$name: not $n instructions"
	[ "$n" -gt 20 ] || complain "$name: $n instructions"
	grep -q '^ *[0-9a-f]\+  ret' stage || complain "$name: no return"
	! grep -q '^ *[0-9a-f]\+  ?' stage || complain "$name: instructions that nobody knows"
done

# Two networks of an unusual link type: only the length is a branch.
"$npf" bpf --stage x86 ip6 net fe80::/10 >shown
sed '1d;$d' shown >stage
if ! grep -q '^not possible: ' stage; then
	[ "$(sed '/ret/,$d' stage | grep -c '^ *[0-9a-f]\+  j')" -eq 1 ] || complain "x86: $(cat shown)"
fi

# A short list, in all lanes at once: out of registers.
"$npf" bpf --stage vector port 1 or 5 or 9 or 77 or 100 >shown
if grep -q '[yz]mm' shown; then
	grep -q 'vpermd [yz]mm' shown || complain "vector: a short list is gathered: $(cat shown)"
fi

show c
[ "$(wc -l <stage)" -eq "$n" ] || complain "c: $n lines"
cp stage filter.c
if command -v cc >/dev/null; then
	cc -Wall -Werror -c -o filter.o filter.c || complain "c: not C"
fi

# What libcapstone does not know has operands all the same.
show vector
if grep -q '^ *[0-9a-f]\+  vpshufb' stage; then
	bad=$(grep '^ *[0-9a-f]\+  vpshufb' stage | grep -v ' [xyz]mm[0-9]*, [xyz]mm[0-9]*, [[xyz]' || true)
	[ -z "$bad" ] || complain "vector: $bad"
fi

# By default two of them, and how long the others are: no more than a screen or two.
"$npf" bpf -F "$program" >first
[ "$(sed -n 's/^\([a-z0-9-]*\): .*, [0-9]* [a-z]* *$/\1/p' first | xargs)" = "cbpf optimised" ] ||
	complain "not these two: $(cat first)"
[ "$(wc -l <first)" -le 100 ] || complain "by default $(wc -l <first) lines"
for name in form cbpf-optimised ebpf ebpf-peek ebpf-copy x86 vector c; do
	show "$name"
	grep -q "^  $name  *$n [a-z]*  " first || complain "$name has $n: $(cat first)"
done

# All of them, in their order.
names="cbpf form optimised cbpf-optimised ebpf ebpf-peek ebpf-copy x86 vector c"
"$npf" bpf -F "$program" --all >shown
[ "$(sed -n 's/^\([a-z0-9-]*\): .*, [0-9]* [a-z]* *$/\1/p' shown | xargs)" = "$names" ] ||
	complain "not every stage: $(cat shown)"

# The expression, from libpcap; other links have their headers elsewhere.
"$npf" bpf --stage cbpf ip >ethernet
"$npf" bpf --stage cbpf --link-type 101 ip >raw
head -n 1 ethernet | grep -q ', 4 instructions' || complain "ip: $(cat ethernet)"
grep -q '^(000) ldb  *\[0\]$' raw || complain "ip without Ethernet: $(cat raw)"
show cbpf
"$npf" bpf --stage cbpf -F - <"$program" | cmp - shown || complain "a program from standard input"
"$npf" bpf -F - <&- >out 2>err && complain "a program from no standard input"
[ "$(cat err)" = "npf bpf: standard input: Bad file descriptor" ] || complain "no input: $(cat err)"
"$npf" bpf -F . >out 2>err && complain "a folder is a program"
[ "$(cat err)" = "npf bpf: .: Is a directory" ] || complain "a folder: $(cat err)"

# ---- passes ----------------------------------------------------------------------------------

"$npf" bpf -F "$program" --passes >all
[ "$(sed -n 's/^ *[0-9]\+  \([a-z]*\) .*/\1/p' all | xargs)" = "${passes[*]}" ] ||
	complain "passes: $(cat all)"
grep -q '^20 operations in 11 blocks before$' all || complain "passes: $(head -n 1 all)"
off=()
for pass in "${passes[@]}"; do
	"$npf" bpf -F "$program" --passes --without "$pass" >one
	! grep -q "  $pass " one || complain "$pass is not left out"
	[ "$(wc -l <one)" -eq $(($(wc -l <all) - 1)) ] || complain "without $pass: $(cat one)"
	off+=(--without "$pass")
done
"$npf" bpf -F "$program" --passes "${off[@]}" >none
[ "$(cat none)" = "20 operations in 11 blocks before
20 operations in 11 blocks after" ] || complain "without all: $(cat none)"
"$npf" bpf -F "$program" --stage c --without header >one
[ "$(sed "1d;\$d" one)" != "$(cat filter.c)" ] || complain "C without a pass is C with it"

# ---- the graph -------------------------------------------------------------------------------

blocks=$(sed -n 's/.* in \([0-9]*\) blocks after$/\1/p' all)
"$npf" bpf -F "$program" --graph - >graph
"$npf" bpf -F "$program" --graph graph.dot
cmp graph graph.dot || complain "the graph in a file is another"
[ "$(head -n 1 graph) $(tail -n 1 graph)" = "digraph filter { }" ] || complain "graph: $(cat graph)"
sed -n 's/^\tb\([0-9]*\) \[label="block \1[: ].*/\1/p' graph | sort -u >nodes
[ "$(wc -l <nodes)" -eq "$blocks" ] || complain "graph: not $blocks blocks"
sed -n 's/^\tb\([0-9]*\) -> b\([0-9]*\) \[label="[^"]*"\];$/\1\n\2/p' graph | sort -u >ends
cmp nodes ends || complain "graph: arrows to blocks that are not there"
# Each line is a statement.
[ "$(grep -c '\];$' graph)" -eq $(($(wc -l <graph) - 2)) ] || complain "graph: $(cat graph)"

# A picture is dot's work. One that draws nothing shows what it is asked for.
mkdir bin
cat >bin/dot <<'END'
#!/bin/sh
[ "$1 $2" = "-Tsvg -o" ] && cat >"$3"
END
chmod +x bin/dot
PATH=$work/bin:$PATH "$npf" bpf -F "$program" --graph "a 'picture'.svg"
cmp graph "a 'picture'.svg" || complain "dot was given another graph"
printf '#!/bin/sh\nexit 3\n' >bin/dot
code=0
PATH=$work/bin:$PATH "$npf" bpf -F "$program" --graph x.svg 2>said || code=$?
[ "$code $(cat said)" = "1 npf bpf: dot failed" ] || complain "a dot that fails: $code, $(cat said)"
mkdir empty
code=0
PATH=$work/empty "$npf" bpf -F "$program" --graph x.svg 2>said || code=$?
if [ "$code" -ne 1 ] || ! grep -q 'needs the program dot' said; then
	complain "no dot: $code, $(cat said)"
fi
if command -v dot >/dev/null; then
	"$npf" bpf -F "$program" --graph real.svg
	python3 - "$blocks" <<'END' || complain "no picture"
import sys, xml.etree.ElementTree as xml

space = "{http://www.w3.org/2000/svg}"
root = xml.parse("real.svg").getroot()
nodes = [g for g in root.iter(space + "g") if g.get("class") == "node"]
assert root.tag == space + "svg" and len(nodes) == int(sys.argv[1])
END
elif [ -n "${NPF_TEST_REQUIRE_PROGRAMS-}" ]; then
	complain "no dot here, and programs are required"
fi

# ---- JSON ------------------------------------------------------------------------------------

"$npf" bpf --json ip >json
"$npf" bpf --all ip >text
python3 - "$names" <<'END' || complain "JSON: $(cat json)"
import json, sys

lines = open("json").read().splitlines()
assert len(lines) == 1
shown = json.loads(lines[0])
assert shown["expression"] == "ip"
assert [stage["stage"] for stage in shown["stages"]] == sys.argv[1].split()
text = open("text").read()
for stage in shown["stages"]:
    assert stage["text"] in text
    assert ", %d " % stage["length"] in text
assert shown["stages"][0]["length"] == 4
END

# ---- errors ----------------------------------------------------------------------------------

# CODE SENTENCE WORD...: npf bpf WORD... ends so, and shows nothing.
refuses() {
	local code=0 wanted=$1 sentence=$2
	shift 2
	"$npf" bpf "$@" >out 2>said || code=$?
	[ "$code" -eq "$wanted" ] || complain "$*: exit code $code"
	grep -q "^npf bpf: .*$sentence" said || complain "$*: $(cat said)"
	[ ! -s out ] || complain "$*: shows something"
}
printf '2\n21 5 0 0\n6 0 0 0\n' >outside
printf '2\n6 0 0 0\n' >short
echo 'no vectors' >strange
refuses 2 "filter 'tcp prot 80': .*syntax error" --stage x86 tcp prot 80
refuses 2 "filter 'port 99999999': " --json port 99999999
refuses 2 "there is no stage 'arm'" --stage arm ip
refuses 2 "there is no pass 'x'" --without x ip
refuses 2 "not a number" --link-type ethernet ip
refuses 2 "the program is refused: instruction 0: jump out of the program" -F outside
refuses 2 "short: instruction 1 is not there" -F short
refuses 1 "nowhere: No such file" -F nowhere
refuses 6 "nowhere/graph: No such file" --graph nowhere/graph ip
refuses 1 "nowhere: No such file" --check nowhere
refuses 1 "strange:1: not understood" --check strange
exit $status
