#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Event store: filling and searching. ROWS (default 10 million) may be set smaller for a quick look.
set -eu
ninja -C build bench_search >/dev/null
"${CF_BUILD:-build}/bench_search" "${ROWS:-10000000}"
