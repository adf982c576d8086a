#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# help.sh NPF: the help of each command that has a text in tests/golden/help, against that text. A
# change of the one has to change the other on purpose.
set -eu
npf=$1
status=0
for text in "$(dirname "$0")"/help/*.txt; do
	command=$(basename "$text" .txt)
	diff -u "$text" <("$npf" help "$command") || status=1
	diff -u "$text" <("$npf" "$command" --help) || status=1
done

# Each fits a terminal of 80 columns.
commands=$("$npf" help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
for command in $commands; do
	! "$npf" help "$command" | grep -nE '.{81}' || {
		echo "help: lines of npf help $command are too long"
		status=1
	}
done

# The shell offers the options that it tells of, and no others.
. "$(dirname "$0")/../../tools/npf/completion.bash"
for command in $commands; do
	[ "$command" != help ] || continue
	diff -u <("$npf" help "$command" | grep -oE -- '--[a-z][a-z-]*' | sort -u) \
		<(_npf_options "$command" | tr ' ' '\n' | grep -vx -e --help | sort -u) || {
		echo "help: completion of npf $command"
		status=1
	}
done
exit $status
