#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs what the tests need, builds, and runs every test.
#
#   tests/run.sh            unit, floors, command line, real guests: about an hour
#   tests/run.sh --quick    without guests
#   tests/run.sh --nightly  what takes longer: fuzzers, and tests labelled nightly
set -euo pipefail
cd "$(dirname "$0")/.."

which=${1:-}
case $which in
  "" | --quick | --nightly) ;;
  *) echo "unknown option $which: give --quick or --nightly" >&2; exit 2 ;;
esac

tests/install-packages.sh build guest test

step() { printf '\n==== %s (%s s so far)\n' "$1" "$SECONDS"; }

step "formatting"
git ls-files -co --exclude-standard '*.cc' '*.h' | xargs -r clang-format-14 --dry-run --Werror

# What one clone compiled is not compiled again in the next.
export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

step "build"
cmake --preset release -DVMCORECTL_TESTS=ON    # first-dump.sh leaves them out
cmake --build --preset release

if [ "$which" = --nightly ]; then
  step "fuzzers, a bounded run of each"
  tests/fuzz/run.sh
fi

step "tests"
case $which in
  --quick) ctest --preset release -LE 'guests|nightly' ;;
  --nightly) ctest --preset release -L nightly ;;
  *) ctest --preset release -LE nightly ;;
esac
