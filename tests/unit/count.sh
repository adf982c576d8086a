#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# count.sh COUNT: what scripts/count --why shows of tests that failed tells why they did, however
# much their cases that passed had to say, and however long the rest is.
set -eu
count=$1
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
status=0

complain() {
	echo "count: $*" >&2
	status=1
}

# A test of many cases: one fails, one is skipped. A sanitizer's report. One that hangs.
python3 >"$work/log.json" <<'END'
import json


def test(name, result, stdout, stderr):
    print(json.dumps({'name': f'npf:unit / {name}', 'result': result, 'stdout': stdout,
                      'stderr': stderr}))


def case(name, said, end):
    return f'[ RUN      ] {name}\n{said}\n[{end}] {name}\n'


passed = ''.join(case(f'fine {i}', f'said {i}', '       OK ') for i in range(100))
noise = ''.join(f'noise {i}\n' for i in range(100))
test('cases', 'FAIL',
     passed + case('odd', 'said before it failed', '  FAILED  ')
     + case('left out', 'skipped: no such hook', '  SKIPPED ') + passed,
     noise + 'the answer\nis another\n[  ERROR   ] --- 0x1 != 0x2\n'
     '[   LINE   ] --- odd.c:9: error: Failure!\n' + noise
     + '[  PASSED  ] 200 test(s).\n[  SKIPPED ] 1 test(s), listed below:\n[  SKIPPED ] left out\n')
test('reports', 'FAIL', passed + '[ RUN      ] dies\n',
     noise + '==7==ERROR: AddressSanitizer: heap-use-after-free\n'
     + ''.join(f'    #{i} 0x7 in f{i}\n' for i in range(90))
     + 'x.c:3:1: runtime error: overflow\n    #0 g\nSUMMARY: overflow\nbehind it\n')
test('hangs', 'TIMEOUT', passed + '[ RUN      ] waits\nsaid before it hung\n', noise)
test('passes', 'OK', passed, noise)
test('partly', 'SKIP', '9 answers are the same\nskipped: no such device\n', noise)
END

"$count" --why "$work/log.json" >"$work/said" && complain "says that all is well"
awk -v work="$work" '/^FAILED/ { file = work "/of." $2 } /^$/ { file = "" } file { print >file }' \
	"$work/said"

first() { # name lines
	diff <(sed 's/^/  /') <(sed -n "2,$(($2 + 1))p" "$work/of.$1") >"$work/diff" ||
		complain "$1 does not begin with what tells why: $(cat "$work/diff")"
}
first cases 7 <<'END'
noise 97
noise 98
noise 99
the answer
is another
[  ERROR   ] --- 0x1 != 0x2
[   LINE   ] --- odd.c:9: error: Failure!
END
first reports 2 <<'END'
==7==ERROR: AddressSanitizer: heap-use-after-free
    #0 0x7 in f0
END
first hangs 1 <<'END'
(the log has 62 lines more)
END

has() { # name text
	grep -qF "$2" "$work/of.$1" || complain "of $1 it does not say: $2"
}
has cases 'said before it failed'
has reports 'x.c:3:1: runtime error: overflow'
has reports 'SUMMARY: overflow'
has hangs '[ RUN      ] waits'
has hangs 'said before it hung'
for name in cases reports hangs; do
	! grep -qE 'said [0-9]|fine|no such hook' "$work/of.$name" ||
		complain "tells of cases of $name that passed"
	[ "$(grep -c '^  [^ ]\|^      #' "$work/of.$name")" -le 41 ] || complain "tells too much of $name"
done
grep -qxF 'skipped (no such hook): cases' "$work/said" || complain "gives no reason for a skip"
grep -qxF 'skipped (no such device): partly' "$work/said" || complain "takes noise for a reason"
[ ! -e "$work/of.passes" ] || complain "takes what passed for failed"
exit $status
