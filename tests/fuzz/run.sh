#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the fuzzers and runs each for a bounded time: SECONDS_EACH (default 10), first over the
# corpus kept from earlier runs, and where it has some, over the seeds made with it (make_seeds.py).
# A finding fails the run and leaves its input in the cache.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${VMCORECTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmcorectl}/fuzz
cmake --preset fuzz -DVMCORECTL_TESTS=ON > /dev/null
cmake --build --preset fuzz --target fuzzers
for fuzzer in build/fuzz/bin/*_fuzzer; do
  name=$(basename "$fuzzer")
  mkdir -p "$cache/$name" "build/fuzz/seeds/$name"
  printf '%s: ' "$name"
  "$fuzzer" -max_total_time="${SECONDS_EACH:-10}" -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 \
    -artifact_prefix="$cache/$name-finding-" "$cache/$name" "build/fuzz/seeds/$name" > "$cache/$name.log" 2>&1 || {
    tail -40 "$cache/$name.log"
    echo "$name found something: the input is $cache/$name-finding-*"
    exit 1
  }
  sed -n 's/^stat::number_of_executed_units: */runs /p' "$cache/$name.log"
done
