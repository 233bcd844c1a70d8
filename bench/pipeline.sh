#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Syslog over TCP in -> searchable in the store, all own rules on. Both programs get the same number of lines of the same set as
# fast as they take them, and are timed until the last line is stored: that is the sustained rate. The spool takes what the
# workers cannot, so a short uncapped run is a burst and a backlog; CF_BENCH_LINES bounds it so that the default ends in time.
# A run by time (CF_BENCH_LINES=0) offers 300,000 lines/s, a fifth above the goal, all the time: what is stored then is the rate.
#   bench/pipeline.sh [SECONDS]     seconds of sending (default 10, CF_BENCH_SECONDS)
# CF_BENCH_LINES (most lines sent; default 1,500,000, 0: no limit, for a run of 60 s), CF_BENCH_RATE_MAX (lines/s; 0: none),
# CF_BENCH_CONNECTIONS (4), CF_BENCH_RATE (20,000/s beside which the time until searchable is taken), CF_BENCH_INDICATORS (1,000,000:
# the sustained run once more with so many indicators of threat intelligence loaded, most of them addresses; 0: not).
set -eu
indicators=${CF_BENCH_INDICATORS:-1000000}
seconds=${1:-${CF_BENCH_SECONDS:-10}}; most=${CF_BENCH_LINES:-1500000}; connections=${CF_BENCH_CONNECTIONS:-4}
binary=${CF_BINARY:-${CF_BUILD:-build}/chengfang}
rate_max=${CF_BENCH_RATE_MAX:-$([ "$most" = 0 ] && echo 300000 || echo 0)}
dir=$(mktemp -d); server=; peer=
trap 'kill $server $peer 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
row() { printf '{"name":"pipeline: %s","value":%s,"unit":"%s"%s}\n' "$1" "$2" "$3" "${4:-}"; }
calc() { awk "BEGIN {printf \"%.$2f\", ($1)}"; }
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
threads() { for t in /proc/$1/task/*; do awk -v c="$(cat "$t/comm")" '{sub(/.*\) /, ""); print c "," $12 + $13}' "$t/stat" 2>/dev/null; done | awk -F, -v n="$lines" \
    '{k = $1 == "MergeMutate" ? "merges" : $1 == "ThreadPool" ? "insert" : "rest"; a[k] += $2} END {printf "merges %.2f, insert %.2f, workers and the rest %.2f", a["merges"] * 1e4 / n, a["insert"] * 1e4 / n, a["rest"] * 1e4 / n}'; }
field() { sed -n "s/.*\"$2\":\([0-9.]*\).*/\1/p" "$1"; }
cc -O2 -o "$dir/load" bench/pipeline_load.c -lpthread

start() { # folder of the data
    mkdir -p "$1"
    printf 'syslog:\n  tcp: 127.0.0.1:0\nlog:\n  level: warn\n' >"$1/chengfang.yaml"
    "$binary" serve --data "$1" --listen 127.0.0.1:0 >"$dir/out" 2>"$dir/err" & server=$!
    for i in $(seq 300); do grep -q 'listens on' "$dir/out" && break; sleep 0.1; done
    url=$(sed -n 's/.*listens on \([a-z]*\) port \([0-9]*\).*/\1:\/\/127.0.0.1:\2/p' "$dir/out")
    token=$("$binary" token create --data "$1" --user admin | tail -1)
    port=$(get /api/v1/health | sed -n 's/.*"syslog-tcp","port":\([0-9]*\).*/\1/p')
}
get() { curl -sk -H "Authorization: Bearer $token" "$url$1"; }
stored() { curl -sk "$url/metrics" | awk '/^cf_records_stored_total/ {printf "%d", $2}'; }
found() { curl -sk -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d "{\"query\":\"host.name:web-$1\",\"from\":\"now-1d\",\"to\":\"now+1d\",\"limit\":1}" \
    "$url/api/v1/events:search" | sed -n 's/.*"total":\([0-9]*\).*/\1/p'; }

# the load runs for the time given; then the rest of the spool is worked off. $ours: events a second until the last one is stored
sustained() { # what the rows are called after
    c0=$(ticks $server); t0=$(date +%s.%N)
    "$dir/load" "127.0.0.1:$port" sustained "$connections" "$seconds" "$rate_max" "$most" >"$dir/load.json"
    s1=$(stored); t1=$(date +%s.%N)
    lines=$(field "$dir/load.json" lines); bytes=$(field "$dir/load.json" bytes)
    while n=$(stored); [ "$n" -lt "$lines" ]; do
        sleep 0.2; [ "$(calc "$(date +%s) - $t1 > 600" 0)" = 1 ] && break
    done
    t2=$(date +%s.%N); c1=$(ticks $server); ours=$(calc "$lines / ($t2 - $t0)" 0)
    row "${1}stored while the load runs" "$(calc "$s1 / ($t1 - $t0)" 0)" events/s
    row "${1}received into the spool" "$(calc "$lines / $(field "$dir/load.json" seconds)" 0)" events/s
    row "${1}sustained, last line stored" "$ours" events/s ",\"goal\":250000,\"lines\":$lines,\"seconds\":$(calc "$t2 - $t0" 1)"
    if [ "$most" = 0 ]; then row "${1}offered" "$(calc "$lines / $(field "$dir/load.json" seconds)" 0)" events/s; fi
    row "${1}whole run" "$(calc "$bytes / ($t2 - $t0) / 1000000" 1)" MB/s
    cpu=$(calc "($c1 - $c0) * 10000 / $lines" 2)
    row "${1}CPU of the server" "$cpu" us/event ",\"split\":\"$(threads $server)\""
    row "${1}CPU of the server in cores" "$(calc "($c1 - $c0) / 100 / ($t2 - $t0)" 2)" cores
    for i in $(seq 20); do in_store=$(found sustained); [ "${in_store:-0}" = "$lines" ] && break; sleep 0.5; done
    row "${1}loss" "$((lines - ${in_store:-0}))" events ',"goal":0'
    row "${1}peak RSS" "$(awk '/VmHWM/ {printf "%.0f", $2 / 1024}' /proc/$server/status)" MiB ',"goal":1536'
}
start "$dir/data"
sustained ""
plain=$ours; plain_cpu=$cpu

# latency: one line at a time beside a moderate load, until a search finds it
"$dir/load" "127.0.0.1:$port" beside 1 8 "${CF_BENCH_RATE:-20000}" >/dev/null & beside=$!
sleep 1; worst=0
for i in 1 2 3 4 5; do
    a=$(date +%s.%N)
    printf '<38>%s web-lat%s sshd[1]: Accepted password for root from 203.0.113.9 port 4022 ssh2\n' "$(TZ=UTC-8 date '+%b %e %T')" "$i" >"$dir/line"
    bash -c "cat '$dir/line' >/dev/tcp/127.0.0.1/$port"
    while [ "$(found "lat$i")" != 1 ]; do sleep 0.02; [ "$(calc "$(date +%s) - $a > 60" 0)" = 1 ] && break; done
    worst=$(calc "($(date +%s.%N) - $a) > $worst ? ($(date +%s.%N) - $a) : $worst" 2)
done
wait $beside || true
row "time until searchable, worst of 5 beside ${CF_BENCH_RATE:-20000}/s" "$worst" s ',"goal":3'
kill $server; wait $server 2>/dev/null || true; server=

if [ "$indicators" -gt 0 ]; then
    mkdir "$dir/ti"
    awk -v n="$indicators" 'BEGIN { srand(7); for (i = 0; i < n; i++) if (i % 4) printf "%d.%d.%d.%d\n", 11 + int(rand() * 180), int(rand() * 256), int(rand() * 256), 1 + int(rand() * 254); else printf "h%d.zone%d.example\n", int(rand() * 100000000), int(rand() * 5000) }' >"$dir/list.txt"
    echo 25.25.25.7 >>"$dir/list.txt" # one of the attackers is known: one line in 1,024
    rm -rf "$dir/data"
    "$binary" ti import --data "$dir/ti" --format list "$dir/list.txt" >/dev/null 2>&1
    start "$dir/ti"
    sustained "with $indicators indicators: "
    row "cost of $indicators indicators, by the clock" "$(calc "100 - $ours * 100 / $plain" 1)" % ',"goal":10'
    row "cost of $indicators indicators, by CPU time" "$(calc "$cpu * 100 / $plain_cpu - 100" 1)" % ',"goal":10'
    kill $server; wait $server 2>/dev/null || true; server=
    ours=$plain
fi

# the peer on the same lines
if command -v rsyslogd >/dev/null 2>&1; then
    mods=$(find /usr/lib -name mmnormalize.so 2>/dev/null | head -1)
    p=$(( (port + 1) % 60000 + 1024 ))
    printf 'rule=:Failed password for %%user:word%% from %%ip:ipv4%% port %%port:number%% ssh2\nrule=:Failed password for invalid user %%user:word%% from %%ip:ipv4%% port %%port:number%% ssh2\nrule=:Accepted %%how:word%% for %%user:word%% from %%ip:ipv4%% port %%port:number%% ssh2\n' >"$dir/sshd.rb"
    {
        echo 'module(load="imptcp" threads="2")'
        [ -n "$mods" ] && echo 'module(load="mmnormalize")'
        echo 'global(workDirectory="'"$dir"'") main_queue(queue.size="200000" queue.dequeueBatchSize="4096" queue.workerThreads="2")'
        echo 'input(type="imptcp" port="'$p'" address="127.0.0.1" ruleset="r")'
        echo 'template(name="t" type="string" string="%timestamp% %hostname% %$!all-json%\n")'
        echo 'ruleset(name="r") {'
        [ -n "$mods" ] && echo '  action(type="mmnormalize" rulebase="'"$dir/sshd.rb"'")'
        echo '  action(type="omfile" file="'"$dir/peer.out"'" template="t" asyncWriting="on" flushOnTXEnd="off" ioBufferSize="256k") }'
    } >"$dir/rsyslog.conf"
    rsyslogd -n -f "$dir/rsyslog.conf" -i "$dir/rsyslog.pid" 2>"$dir/rsyslog.err" & peer=$!
    for i in $(seq 50); do bash -c ": </dev/tcp/127.0.0.1/$p" 2>/dev/null && break; sleep 0.1; done
    t0=$(date +%s.%N); c0=$(ticks $peer)
    "$dir/load" "127.0.0.1:$p" peer "$connections" "$seconds" "$rate_max" "$lines" >"$dir/peer.json" || true
    pl=$(field "$dir/peer.json" lines); last=-1
    while n=$(wc -l <"$dir/peer.out" 2>/dev/null || echo 0); [ "$n" -lt "$pl" ] && [ "$n" != "$last" ]; do last=$n; sleep 1; done
    t1=$(date +%s.%N); c1=$(ticks $peer)
    kill $peer; wait $peer 2>/dev/null || true; peer=
    rate=$(calc "$pl / ($t1 - $t0)" 0)
    row "peer rsyslog, imptcp$([ -n "$mods" ] && echo ' + mmnormalize') + omfile" "$rate" events/s
    row "peer rsyslog, CPU" "$(calc "($c1 - $c0) * 10000 / $pl" 2)" us/event
    row "ratio to the peer (it has no rules, index or durability)" "$(calc "$ours / $rate" 2)" x
fi
