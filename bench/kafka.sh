#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Kafka into the spool: librdkafka's mock brokers (real sockets) hold N syslog lines in 16 partitions, packed with lz4, before the
# server starts. "spool": until the last record is on disk, no store behind it; "stored": until the last event is searchable, all own
# rules on. The brokers run on the same cores.
#   CF_BENCH_LINES (default 600000)
set -eu
n=${CF_BENCH_LINES:-600000}
binary=${CF_BINARY:-${CF_BUILD:-build}/chengfang}
dir=$(mktemp -d); server=; mock=
trap 'kill $server $mock 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
row() { printf '{"name":"kafka: %s","value":%s,"unit":"%s"%s}\n' "$1" "$2" "$3" "${4:-}"; }
mkfifo "$dir/in"
"$(dirname "$binary")/kafka_mock" 2 lz4 <"$dir/in" >"$dir/mock" 2>/dev/null & mock=$!
exec 3>"$dir/in"
wait_lines() { for i in $(seq 1200); do [ "$(wc -l <"$dir/mock")" -ge "$1" ] && return 0; sleep 0.1; done; exit 1; }
printf 'topic logs 16\nlines logs 16 web-1 0 %s\n' "$n" >&3
wait_lines 3
brokers=$(sed -n 's/^brokers //p' "$dir/mock")
counter() { curl -sk "$url/metrics" | awk -v k="$1" '$1 == k {printf "%d", $2}'; }
measure() { # name, store, counter, group
    mkdir "$dir/$4"
    printf 'kafka:\n  brokers: "%s"\n  topics: [logs]\n  group: %s\nlog:\n  level: warn\nstore:\n  events: %s\nrules:\n  enabled: %s\n' "$brokers" "$4" "$2" "$5" >"$dir/$4/chengfang.yaml"
    "$binary" serve --data "$dir/$4" --listen 127.0.0.1:0 >"$dir/$4/out" 2>"$dir/$4/err" & server=$!
    for i in $(seq 300); do grep -q 'listens on' "$dir/$4/out" && break; sleep 0.1; done
    url=$(sed -n 's/.*listens on \([a-z]*\) port \([0-9]*\).*/\1:\/\/127.0.0.1:\2/p' "$dir/$4/out")
    for i in $(seq 600); do [ "$(counter cf_kafka_records_total)" -gt 0 ] && break; sleep 0.02; done # joining a group takes seconds
    t0=$(date +%s.%N); first=$(counter "$3")
    for i in $(seq 6000); do [ "$(counter "$3")" -ge "$n" ] && break; sleep 0.02; done
    t1=$(date +%s.%N); got=$(counter "$3")
    [ "$got" -eq "$n" ] || { echo "$got of $n records" >&2; exit 1; }
    row "$1" "$(awk "BEGIN {printf \"%.0f\", ($n - $first) / ($t1 - $t0)}")" records/s ",\"note\":\"$n records of about 110 bytes, $(awk "BEGIN {printf \"%.2f\", $t1 - $t0}") s\""
    kill $server; wait $server 2>/dev/null || true; server=
}
measure spool none cf_kafka_records_total spool false
measure stored chdb cf_records_stored_total stored true
