#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Threat intelligence: set of N indicators (default 1 million), look-ups, cost beside normalising and detecting; import of IMPORT rows.
set -eu
ninja -C build bench_ti >/dev/null
"${CF_BUILD:-build}/bench_ti" "${N:-1000000}"
rows=${IMPORT:-200000}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf 'store:\n  events: none\n' >"$dir/chengfang.yaml"
awk -v n="$rows" 'BEGIN { srand(7); for (i = 0; i < n; i++) if (i % 2) printf "%d.%d.%d.%d\n", 11 + int(rand() * 80), int(rand() * 256), int(rand() * 256), 1 + int(rand() * 254); else printf "h%d.zone%d.example\n", int(rand() * 100000000), int(rand() * 5000) }' >"$dir/list.txt"
"${CF_BUILD:-build}/chengfang" ti import --data "$dir" --format list "$dir/list.txt" 2>/dev/null |
    sed -n 's/.* \([0-9.]*\) s, \([0-9]*\) rows\/s$/{"name":"ti: import of a list, rows","value":\2,"unit":"1\/s"}/p'
