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
for command in help $("$npf" help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
	! "$npf" help "$command" | grep -nE '.{81}' || {
		echo "help: lines of npf help $command are too long"
		status=1
	}
done
exit $status
