#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# bpf.sh NPF: every stage of a few programs that is the same on every machine, against its text in
# tests/golden/bpf. The programs are files, because libpcap's compiler changes with its version. A
# change of the optimiser or of a back end has to change the texts on purpose:
# NPF_GOLDEN_UPDATE=1 writes them anew.
set -eu
npf=$(realpath "$1")
stages=(form optimised cbpf-optimised ebpf ebpf-copy c)
status=0
cd "$(dirname "$0")/bpf"
for program in *.ddd; do
	text=${program%.ddd}.txt
	show=("$npf" bpf -F "$program" "${stages[@]/#/--stage=}")
	[ -z "${NPF_GOLDEN_UPDATE:-}" ] || "${show[@]}" >"$text"
	diff -u "$text" <("${show[@]}") || status=1
done

# JSON is one object, whatever is asked for.
said=$("$npf" bpf -F tcp-port-80.ddd --json --passes --stage cbpf)
[[ $said == '{"expression":"","before":{'*'"passes":{"fold":'*'"stages":[{"stage":"cbpf",'*'}]}' ]] || {
	echo "bpf: no object: $said"
	status=1
}
# What would be ignored is refused.
for words in "--json --graph -" "--check http-get.txt --json" "--check http-get.txt tcp" \
	"-F tcp-port-80.ddd tcp"; do
	code=0
	# shellcheck disable=SC2086 # words
	"$npf" bpf $words >/dev/null 2>&1 || code=$?
	[ $code -eq 2 ] || {
		echo "bpf: bpf $words: exit code $code"
		status=1
	}
done
exit $status
