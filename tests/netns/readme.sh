#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# readme.sh NPF SOURCE: "A look" of README.md, typed line by line into the shell that scripts/demo opens:
# every command works, and makes the files that later ones use.
set -u
npf=$(realpath "$1")
source=$(realpath "$2")
work=$(mktemp -d)
trace=/var/tmp/npf-readme-$$ # where anybody may write
trap 'rm -rf "$work" $trace.pcap' EXIT
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
for tool in tcpdump ip nsenter; do
	command -v $tool >/dev/null || { echo "skipped: there is no $tool"; exit 77; }
done
unshare --net true 2>/dev/null || { echo "skipped: no network namespace"; exit 77; }

# What stands behind three blanks is for people; what doctor answers is the machine's.
commands=$(sed -n '/^## A look/,/^`npf help/p' "$source/README.md" |
	sed -n -E "s/^    [#$] //; T; s,/var/tmp/trace,$trace,; s/ {3,}.*//; /^npf doctor\$/d; p")
[ "$(wc -l <<<"$commands")" -ge 18 ] || { echo "readme: found only: $commands" >&2; exit 1; }

# The demo looks for build/tools/npf beside itself.
mkdir -p "$work/scripts" "$work/build"
cp "$source/scripts/demo" "$work/scripts"
ln -s "$(dirname "$npf")" "$work/build/tools"
while read -r line; do
	# One of them is killed, on purpose.
	printf 'timeout 300 bash -c %q >said 2>&1 || [ $? = 137 ] || { echo %q; cat said; exit 1; }\n' \
		"$line" "$line"
done <<<"$commands" >"$work/all"
timeout 1200 env --default-signal unshare --net "$work/scripts/demo" --shell ". '$work'/all" </dev/null || exit 1
for file in web.pcap syn.pcap big.pcapng.zst seen.pcap campus.pcap cut.pcap; do
	[ -s "$work/build/look/$file" ] || { echo "readme: $file was not made" >&2; exit 1; }
done
