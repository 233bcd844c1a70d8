#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the benchmarks: every bench/NAME.sh prints JSON lines {"name":..,"value":..,"unit":..[,"goal":..,"peer":..,"note":..]}.
# Prints a table with the machine, writes build/bench.json. usage: bench/run.sh [NAME...]
set -u
out=build/bench.json
tmp=.cache/bench.lines
: >"$tmp"
names=${*:-$(ls bench/*.sh | sed -n 's#^bench/\(.*\)\.sh$#\1#p' | grep -v '^run$')}
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1)
cores=$(nproc); mem=$(awk '/MemTotal/ {printf "%.0f GiB", $2/1048576}' /proc/meminfo)
echo "machine: $cpu, $cores cores, $mem, $(. /etc/os-release; echo "$PRETTY_NAME"), $(uname -r); $("${CF_BUILD:-build}/chengfang" --version), ${CF_BUILD:-build}"
for n in $names; do
    [ -f "bench/$n.sh" ] || { echo "no benchmark $n"; exit 2; }
    echo "== $n"
    sh "bench/$n.sh" >".cache/bench.$n" 2>".cache/bench.$n.err" || { tail -5 ".cache/bench.$n.err"; echo "$n: failed (log: .cache/bench.$n.err)"; continue; }
    grep '^{' ".cache/bench.$n" >>"$tmp"
    node -e '
      const rows = require("fs").readFileSync(process.argv[1], "utf8").split("\n").filter(l => l.startsWith("{")).map(JSON.parse);
      const f = v => typeof v !== "number" ? String(v) : Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en-US") : String(Math.round(v * 1000) / 1000);
      for (const r of rows) console.log("  " + r.name.padEnd(44) + f(r.value).padStart(14) + " " + (r.unit || "").padEnd(10) + (r.goal !== undefined ? " goal " + f(r.goal) : "") + (r.note ? "  " + r.note : ""));
    ' ".cache/bench.$n"
done
mkdir -p build
node -e '
  const fs = require("fs"), rows = fs.readFileSync(process.argv[1], "utf8").split("\n").filter(Boolean).map(JSON.parse);
  fs.writeFileSync(process.argv[2], JSON.stringify({ machine: process.argv[3], at: new Date().toISOString(), results: rows }, null, 1) + "\n");
' "$tmp" "$out" "$cpu, $cores cores, $mem"
echo "written: $out"
