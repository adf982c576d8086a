#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# codes.sh NPF MAN: one table of exit codes: that of npf(1) is that of npf help, each command's help
# shows its part of it, and the command's page names the same numbers. And one set of options.
set -eu
npf=$1
man=$2
status=0

# "N text" a line
table() {
	sed -n '/^exit codes:$/,$s/^ *\([0-9]\+\)  \(.*\)/\1 \2/p'
}
in_man() {
	sed -n '/^\.Sh EXIT STATUS/,/^\.El/p' "$1" | sed -n '/^\.It/{N;s/^\.It \([0-9]*\)\n\(.\)\(.*\)\.$/\1 \l\2\3/p}'
}
[ "$("$npf" help | table | wc -l)" -eq 11 ] || status=1
diff -u <("$npf" help | table) <(in_man "$man/npf.1") || status=1
# "0 to 3; also 8 and 9: see" -> the numbers, one a line
numbers() {
	sed -n '/^\.Sh EXIT STATUS/,/: see$/p' "$man/npf-$1.1" | grep -oE '[0-9]+( to [0-9]+)?' |
		while read -r from _ to; do seq "$from" "${to:-$from}"; done
}
for command in list capture stat send replay dump repair filter bpf; do
	diff -u <("$npf" help $command | table | cut -d' ' -f1) <(numbers $command) || status=1
	! "$npf" help $command | table | grep -vxF -f <("$npf" help | table) || status=1
done
for command in doctor run; do
	[ -z "$("$npf" help $command | table)" ] || status=1
done

# The options of a part of a page, one a line: "n", "-json".
options() {
	grep -oE 'Fl -?[A-Za-z][A-Za-z-]*' | cut -c4- |
		while read -r name; do
			case $name in
			-*) echo "$name" ;;
			*) grep -o . <<<"$name" ;; # enpq: four
			esac
		done | sort -u
}
# What the page lists is what the help tells; its synopsis has each of them, by one of its names.
for page in "$man"/npf-*.1; do
	command=$(basename "${page#*npf-}" .1)
	synopsis=$(sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' "$page" | options)
	entries=$(grep '^\.It Fl' "$page" || true)
	diff -u <("$npf" help "$command" | grep -oE -- '--[a-z][a-z-]*' | cut -c2- | sort -u) \
		<(options <<<"$entries" | grep '^-' || true) || status=1
	while read -r entry; do
		[ -z "$entry" ] || options <<<"$entry" | grep -qxF -e "$synopsis" || {
			echo "npf-$command(1): not in its synopsis: $entry"
			status=1
		}
	done <<<"$entries"
	! options <<<"$entries" | grep -vxFf - <(echo "$synopsis") || {
		echo "npf-$command(1): only in its synopsis"
		status=1
	}
done

# Every way to ask.
for command in list capture stat send replay dump repair filter bpf doctor run; do
	# Lines that a terminal of 80 columns would break.
	! "$npf" help $command | grep -n '.\{95\}' || status=1
	for way in -h --help; do
		cmp -s <("$npf" help $command) <("$npf" $command $way) || {
			echo "npf $command $way: other help"
			status=1
		}
	done
done
cmp -s <("$npf" help) <("$npf" help help) || status=1
cmp -s <("$npf" help) <("$npf" -h) || status=1
# A program's options are its own. (There is no library here, or a sanitizer that wants to be first.)
"$npf" run echo -h 2>/dev/null | grep -qx -- -h || {
	"$npf" run echo -h 2>&1 | grep -qE 'there is no lib|ASan runtime' || status=1
}
exit $status
