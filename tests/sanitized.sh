#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The end-to-end tests against a sanitizer build: DIR (build-thread or build-address). Its events go to one ClickHouse node
# (the launcher of the cluster test, from the ordinary build), because the embedded engine cannot run in such a process.
# A report of the sanitizer anywhere ends this with 1.
set -eu
dir=${1:?build directory}
nm "$dir/chengfang" | grep -qE '__(tsan|asan)_init' || { echo "$dir/chengfang is not a sanitizer build" >&2; exit 1; }
work=$(mktemp -d)
port=$((20000 + $$ % 9000))
cat >"$work/node.xml" <<X
<clickhouse><path>$work/node</path><http_port>$port</http_port><tcp_port>$((port + 1))</tcp_port><listen_host>127.0.0.1</listen_host>
<logger><level>error</level><console>true</console></logger><max_server_memory_usage>1500000000</max_server_memory_usage></clickhouse>
X
env -u CF_NO_CHDB build/tests/unit/store/chdb_node "$work/node.xml" >"$work/node.log" 2>&1 &
node=$!
trap 'kill -9 $node 2>/dev/null; rm -rf "$work"' EXIT
tries=0
until curl -fsS "http://127.0.0.1:$port/ping" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { cat "$work/node.log" >&2; echo "the node did not start" >&2; exit 1; }
    sleep 0.1 # between polls of the condition
done
mkdir -p "$work/reports"
export CF_TEST_SLOW=5 CF_BINARY="$PWD/$dir/chengfang" CF_TEST_EVENTS_URL="http://127.0.0.1:$port"
export TSAN_OPTIONS="log_path=$work/reports/tsan exitcode=0 history_size=4 suppressions=$PWD/tests/tsan.supp"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}:log_path=$work/reports/asan" UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=0" CF_TEST_REPORTS="$work/reports"
failed=0
for t in ${CF_TESTS:-tests/e2e/*.test.mjs}; do
    echo "== $t"
    timeout 2400 node --test --test-reporter=dot "$t" >"$work/out" 2>&1 || { failed=1; grep -vE '^\.*$' "$work/out" | tail -40; }
done
if ls "$work/reports"/* >/dev/null 2>&1; then
    cat "$work/reports"/* | grep -E 'SUMMARY|runtime error' | sort | uniq -c | sort -rn
    keep=.cache/sanitizer-reports
    rm -rf "$keep"; cp -r "$work/reports" "$keep"
    echo "reports kept in $keep"
    exit 1
fi
echo "no report of the sanitizer"
exit $failed
