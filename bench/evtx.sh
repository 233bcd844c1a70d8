#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# EVTX binary on one core: the 396 files of the shared data decoded to JSON records (bench/evtx.c), and read, decoded, parsed and
# mapped to ECS by `chengfang normalise`. Where libevtx's evtxexport is installed it writes the same files as XML in the same run.
set -eu
data=${CF_SHARED:-../shared}/data/windows/evtx.tar.zst
[ -f "$data" ] || { echo "no $data: skipped" >&2; exit 1; }
ninja -C build bench_evtx >/dev/null
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
tar --zstd -C "$dir" -xf "$data"
pin=""
command -v taskset >/dev/null && pin="taskset -c 0"
# shellcheck disable=SC2086
find "$dir" -name '*.evtx' -print0 | xargs -0 $pin "${CF_BUILD:-build}/bench_evtx" 3
if command -v evtxexport >/dev/null 2>&1; then # one file a call is its only way
    t0=$(date +%s.%N)
    # shellcheck disable=SC2086
    n=$(find "$dir" -name '*.evtx' -print0 | xargs -0 -n 1 $pin evtxexport -f xml 2>/dev/null | grep -c '^<Event ')
    t1=$(date +%s.%N)
    awk -v n="$n" -v a="$t0" -v b="$t1" 'BEGIN { printf "{\"name\":\"peer evtxexport, XML of %d records\",\"value\":%d,\"unit\":\"records/s\"}\n", n, n / (b - a) }'
fi
for _ in 1 2 3; do
    # shellcheck disable=SC2086
    find "$dir" -name '*.evtx' -print0 | xargs -0 $pin "${CF_BIN:-${CF_BUILD:-build}/chengfang}" normalise --no-output 2>&1 | sed -n 's/.*records_per_second=\([0-9]*\).*/\1/p'
done | sort -n | sed -n 2p | sed 's#.*#{"name":"evtx to ECS events, 396 files","value":&,"unit":"records/s"}#'
