#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs what the tests need, builds, and runs every test.
#
#   tests/run.sh            unit, floors, command line, real guests, fuzzers (bounded); what takes hours is left to
#                           ctest --preset release -L nightly
#   tests/run.sh --quick    without guests and fuzzers
set -euo pipefail
cd "$(dirname "$0")/.."

quick=no
[ "${1:-}" = "--quick" ] && quick=yes

tests/install-packages.sh build guest test

step() { printf '\n==== %s (%s s so far)\n' "$1" "$SECONDS"; }

# What one clone compiled is not compiled again in the next.
export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

step "build"
cmake --preset release -DVMCORECTL_TESTS=ON    # first-dump.sh leaves them out
cmake --build --preset release

step "formatting"
git ls-files -co --exclude-standard '*.cc' '*.h' | xargs -r clang-format-14 --dry-run --Werror

if [ $quick = yes ]; then
  step "tests"
  ctest --preset release -LE 'guests|nightly'
  exit 0
fi

step "fuzzers, a bounded run of each"
tests/fuzz/run.sh

step "tests"
ctest --preset release -LE nightly
