#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Normalisation on one core: sshd syslog lines, Windows JSON, CEF, key=value firewall. Lines are generated, the same every time.
# "normalise": reading, parsing, mapping; "+json": writing ECS JSON as well. Median of three runs. JSON lines: name, value, unit.
# Where liblognorm's lognormalizer is installed it takes the same lines (header, message and fields to JSON, no ECS) and the
# ratio to "+json" is printed.
set -eu
bin=${CF_BIN:-${CF_BUILD:-build}/chengfang}
n=${CF_BENCH_LINES:-1000000}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
pin=""
command -v taskset >/dev/null 2>&1 && pin="taskset -c 0"

awk -v n="$n" -v dir="$dir" 'function r(m) { s = (s * 1103515245 + 12345) % 2147483648; return int(s / 65536) % m }
function ip() { return (1 + r(223)) "." r(256) "." r(256) "." (1 + r(254)) }
BEGIN {
  s = 1; split("root admin oracle bob ubuntu test git postgres", u, " ")
  for (i = 0; i < n; i++) {
    t = int(i / 20); k = r(10); a = ip(); p = 1024 + r(64000); w = u[1 + r(8)]
    if (k < 5) m = "Failed password for invalid user " w " from " a " port " p " ssh2"
    else if (k < 7) m = "Failed password for " w " from " a " port " p " ssh2"
    else if (k < 8) m = "Accepted publickey for " w " from " a " port " p " ssh2: RSA SHA256:abcdefghijklmnopqrstuvwxyz"
    else if (k < 9) m = "Connection closed by " a " port " p " [preauth]"
    else m = "Received disconnect from " a " port " p ":11: Bye Bye [preauth]"
    printf "<38>Nov 21 %02d:%02d:%02d host-%d sshd[%d]: %s\n", int(t / 3600) % 24, int(t / 60) % 60, t % 60, i % 50, 1 + r(65000), m > (dir "/sshd")
    if (i % 20 == 0) {
      printf "{\"Event\":{\"System\":{\"Provider\":{\"#attributes\":{\"Name\":\"Microsoft-Windows-Sysmon\",\"Guid\":\"5770385F-C22A-43E0-BF4C-06F5698FFBD9\"}},\"EventID\":1,\"Version\":5,\"Level\":4,\"Task\":1,\"Opcode\":0,\"Keywords\":\"0x8000000000000000\",\"TimeCreated\":{\"#attributes\":{\"SystemTime\":\"2026-11-21T%02d:%02d:%02d.%06dZ\"}},\"EventRecordID\":%d,\"Execution\":{\"#attributes\":{\"ProcessID\":%d,\"ThreadID\":%d}},\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Computer\":\"pc-%d.example.org\",\"Security\":{\"#attributes\":{\"UserID\":\"S-1-5-18\"}}},\"EventData\":{\"RuleName\":\"-\",\"UtcTime\":\"2026-11-21 %02d:%02d:%02d.123\",\"ProcessGuid\":\"0197231E-C424-69E1-C922-%012d\",\"ProcessId\":%d,\"Image\":\"C:\\\\Windows\\\\System32\\\\WindowsPowerShell\\\\v1.0\\\\powershell.exe\",\"FileVersion\":\"10.0.19041.546 (WinBuild.160101.0800)\",\"Description\":\"Windows PowerShell\",\"Product\":\"Microsoft Windows Operating System\",\"Company\":\"Microsoft Corporation\",\"OriginalFileName\":\"PowerShell.EXE\",\"CommandLine\":\"powershell.exe -NoProfile -ExecutionPolicy Bypass -Command \\\"Get-ChildItem C:\\\\Users\\\\%s | Where-Object { $_.Length -gt %d } | Sort-Object Length\\\"%s\",\"CurrentDirectory\":\"C:\\\\Users\\\\%s\\\\\",\"User\":\"LAB\\\\%s\",\"LogonGuid\":\"0197231E-C424-69E1-0000-002000000000\",\"LogonId\":\"0x%x\",\"TerminalSessionId\":1,\"IntegrityLevel\":\"High\",\"Hashes\":\"MD5=04029E121A0CFA5991749937DD22A1D9,SHA256=9F914D42706FE215501044ACD85A32D58AAEF1419D404FDDFA5D3B48F66CCD9F,IMPHASH=7C955A0ABC747F57CCC4324480737EF7\",\"ParentProcessGuid\":\"0197231E-C424-69E1-C922-000000000700\",\"ParentProcessId\":%d,\"ParentImage\":\"C:\\\\Windows\\\\explorer.exe\",\"ParentCommandLine\":\"C:\\\\Windows\\\\Explorer.EXE /NoUACCheck\",\"ParentUser\":\"LAB\\\\%s\"}}}\n", t / 3600 % 24, t / 60 % 60, t % 60, i, i, r(9000), r(9000), i % 200, t / 3600 % 24, t / 60 % 60, t % 60, i, r(20000), w, r(100000), sprintf("%700s", ""), w, w, r(9999999), r(20000), w > (dir "/windows")
    }
    if (i % 4 == 0) {
      printf "CEF:0|Acme|Gate|1.0|%d|Web request|%d|src=%s spt=%d dst=%s dpt=443 proto=TCP request=https://www.example.com/cart?id=%d act=blocked msg=Request was blocked by policy cs1Label=Policy cs1=Default\n", r(900), r(10), a, p, ip(), r(10000) > (dir "/cef")
      printf "<188>date=2026-11-21 time=%02d:%02d:%02d devname=\"fw1\" devid=\"FGT1\" logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" vd=\"root\" srcip=%s srcport=%d srcintf=\"port1\" dstip=%s dstport=443 dstintf=\"wan1\" policyid=%d proto=6 action=\"accept\" service=\"HTTPS\" duration=%d sentbyte=%d rcvdbyte=%d sentpkt=%d rcvdpkt=%d\n", t / 3600 % 24, t / 60 % 60, t % 60, a, p, ip(), r(900), r(300), r(32000), r(32000), r(900), r(900) > (dir "/kv")
    }
  }
}'

run() { # file, options -> "records_per_second MB_per_second", median of three by rate
    for _ in 1 2 3; do
        # shellcheck disable=SC2086
        $pin "$bin" normalise $2 "$dir/$1" 2>&1 >/dev/null | sed -n 's/.*records_per_second=\([0-9]*\) MB_per_second=\([0-9.]*\).*/\1 \2/p'
    done | sort -n | sed -n 2p
}
# rules of the peer, one a line of the file's kinds
head='<%pri:number%>%time:date-rfc3164% %host:word% sshd[%pid:number%]:'
{
    echo "version=2"
    echo "rule=:$head Failed password for invalid user %user:word% from %ip:ipv4% port %port:number% ssh2"
    echo "rule=:$head Failed password for %user:word% from %ip:ipv4% port %port:number% ssh2"
    echo "rule=:$head Accepted %how:word% for %user:word% from %ip:ipv4% port %port:number% ssh2: %key:rest%"
    echo "rule=:$head Connection closed by %ip:ipv4% port %port:number% [preauth]"
    echo "rule=:$head Received disconnect from %ip:ipv4% port %port:number%:%code:number%: %why:rest%"
} >"$dir/sshd.rb"
printf 'version=2\nrule=:%%event:json%%\n' >"$dir/windows.rb"
printf 'version=2\nrule=:%%event:cef%%\n' >"$dir/cef.rb"
printf 'version=2\nrule=:<%%pri:number%%>%%fields:name-value-list%%\n' >"$dir/kv.rb"

peer() { # file -> "events_per_second share_parsed", median of three
    lines=$(wc -l <"$dir/$1")
    for _ in 1 2 3; do
        t0=$(date +%s.%N)
        # shellcheck disable=SC2086
        $pin lognormalizer -r "$dir/$1.rb" -e json <"$dir/$1" >/dev/null 2>&1
        t1=$(date +%s.%N)
        awk -v n="$lines" -v a="$t0" -v b="$t1" 'BEGIN { printf "%d\n", n / (b - a) }'
    done | sort -n | sed -n 2p
}

for f in sshd windows cef kv; do
    ours=
    for o in --no-output ""; do
        tag=normalise; [ -z "$o" ] && tag=normalise+json
        set -- $(run $f "$o")
        printf '{"name":"%s %s","value":%s,"unit":"events/s"}\n' "$tag" "$f" "$1"
        printf '{"name":"%s %s bytes","value":%s,"unit":"MB/s"}\n' "$tag" "$f" "$2"
        ours=$1
    done
    command -v lognormalizer >/dev/null 2>&1 || continue
    [ $f = cef ] && sed -i 's/?id=/?id\\=/' "$dir/cef" # it wants the standard's escape of "=" in a value
    # a rule base that does not fit its lines would flatter us
    head -1000 "$dir/$f" | lognormalizer -r "$dir/$f.rb" -e json 2>/dev/null | grep -c unparsed-data >"$dir/bad" || true
    [ "$(cat "$dir/bad")" = 0 ] || { echo "the peer does not read all $f lines ($(cat "$dir/bad") of 1,000)" >&2; continue; }
    theirs=$(peer "$f")
    printf '{"name":"peer lognormalizer %s","value":%s,"unit":"events/s"}\n' "$f" "$theirs"
    awk -v f="$f" -v a="$ours" -v b="$theirs" 'BEGIN { printf "{\"name\":\"ratio to the peer, JSON written, %s\",\"value\":%.2f,\"unit\":\"x\"}\n", f, a / b }'
done
