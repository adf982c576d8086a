# SPDX-License-Identifier: BSD-3-Clause
help:   ; @sed -n 's,^\([a-z]*\): *; @scripts/[^\#]*\# ,  make \1\t,p' Makefile
run:    ; @scripts/run    # install what is missing, build, show NPF at work (about two minutes)
check:  ; @scripts/check  # install what is missing, build, run the tests
bench:  ; @scripts/bench  # measure against tcpdump and others, side by side
lint:   ; @scripts/lint   # layers, symbols, licences, formatting, static analysis
format: ; @scripts/format # clang-format every source of ours
fuzz:   ; @scripts/fuzz   # every fuzz target for 30 seconds each (FUZZ_SECONDS=n)
clean:  ; @rm -rf build build-*
.PHONY: help run check bench lint format fuzz clean
