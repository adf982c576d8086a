#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# headers.sh INCLUDE CC... -- CXX...: every public header alone, as the first that a file includes, in
# old and new C and C++, strict and not: without a word of the compiler.
set -eu
include=$1
shift
cc=() cxx=()
while [ "$1" != -- ]; do
	cc+=("$1")
	shift
done
shift
cxx=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

status=0
try() { # standard header compiler...
	local standard=$1 header=$2
	shift 2
	echo "#include <$header>" >"$work/file"
	"$@" -std="$standard" -Wall -Wextra -pedantic -Werror -fsyntax-only \
		-I"$include/wpcap" -I"$include/windows" -I"$include" "$work/file" \
		2>"$work/said" && return
	echo "FAIL  $header in $standard:"
	head -n 5 "$work/said"
	status=1
}

n=0
for path in "$include"/{wpcap,windows,npf}/*.h; do
	header=$(basename "$path")
	old=(c89 gnu89 c++98)
	if [[ $path = "$include"/npf/* ]]; then
		header=npf/$header
		old=() # bool, and what else C99 brought
	fi
	for standard in "${old[@]}" c99 c11 gnu17 c++11 c++20; do
		case $standard in
		c++*) try "$standard" "$header" "${cxx[@]}" -Wno-long-long -x c++ ;;
		*) try "$standard" "$header" "${cc[@]}" -x c ;;
		esac
		n=$((n + 1))
	done
done
echo "$n times a header alone"
exit $status
