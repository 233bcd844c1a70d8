#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Correlation by itself (bench/correlate.c): a million live keys, value_count over 1,800 distinct values, brute force over 1,800
# groups; half of the events late. CPU seconds of one thread, making the events taken off.
set -eu
ninja -C build bench_correlate >/dev/null
pin=""
command -v taskset >/dev/null && pin="taskset -c 0"
$pin "${CF_BUILD:-build}/bench_correlate" keys 1000000
$pin "${CF_BUILD:-build}/bench_correlate" distinct 1800 3000000
$pin "${CF_BUILD:-build}/bench_correlate" brute 3000000
$pin "${CF_BUILD:-build}/bench_correlate" late 80000
