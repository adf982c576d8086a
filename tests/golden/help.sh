#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# help.sh NPF GOLDEN: what `npf help COMMAND` teaches is what was read and approved. A change of the
# text changes GOLDEN/help-COMMAND.txt on purpose:  npf help send > tests/golden/help-send.txt
set -eu
npf=$1
status=0

for golden in "$2"/help-*.txt; do
	command=${golden##*/help-}
	command=${command%.txt}
	"$npf" help "$command" | diff -u "$golden" - || status=1
	"$npf" "$command" --help | diff -q "$golden" - || status=1
	if grep -nE '^.{101,}' "$golden"; then
		echo "$golden: lines of more than 100 columns"
		status=1
	fi
done
exit $status
