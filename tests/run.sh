#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the tests and adds up: every cmocka case, every node test, every rule test and every contract check counts as one.
# usage: tests/run.sh [unit] [rules] [e2e] [web] [contract]     (nothing: all)
set -u
passed=0 failed=0 skipped=0
out=.cache/test
mkdir -p "$out"
kinds=${*:-unit rules e2e web contract}
shared=${CF_SHARED:-../shared}

add() { # passed failed skipped
    passed=$((passed + $1)); failed=$((failed + $2)); skipped=$((skipped + $3))
}
num() { n=$(sed -n "$1" "$2" | tail -1); printf '%s' "${n:-0}"; }

run_unit() {
    meson test -C build --suite unit --no-rebuild --print-errorlogs >"$out/unit.log" 2>&1 || true
    log=build/meson-logs/testlog.txt
    # cmocka closes each program with its counts; a program that died without them is one failure
    p=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s)\..*/\1/p' "$log" | awk '{s+=$1} END {print s+0}')
    f=$(sed -n 's/^\[  FAILED  \] .*tests*: \([0-9]*\) test(s).*/\1/p' "$log" | awk '{s+=$1} END {print s+0}')
    s=$(sed -n 's/^\[  SKIPPED \] .*tests*: \([0-9]*\) test(s).*/\1/p' "$log" | awk '{s+=$1} END {print s+0}')
    bad=$(sed -n 's/^Fail: *\([0-9]*\).*/\1/p' "$out/unit.log" | tail -1); late=$(sed -n 's/^Timeout: *\([0-9]*\).*/\1/p' "$out/unit.log" | tail -1)
    [ "$((${bad:-0} + ${late:-0}))" -gt 0 ] && [ "$f" -eq 0 ] && f=$((${bad:-0} + ${late:-0}))
    [ "$p" -eq 0 ] && [ "$f" -eq 0 ] && f=1
    [ "$f" -gt 0 ] && grep -vE ' OK ' "$out/unit.log" | tail -60
    say_kind unit "$p" "$f" "$s"; add "$p" "$f" "$s"
}

# Most files wait for their servers most of the time: some run at once, those that take minutes first
jobs=${CF_TEST_JOBS:-$(($(nproc) + 1))}
long='kafka durability tail correlation demo streams pages studio'
long_first() { # file...
    for n in $long; do for file in "$@"; do [ "$(basename "$file" .test.mjs)" != "$n" ] || echo "$file"; done; done
    for file in "$@"; do case " $long " in *" $(basename "$file" .test.mjs) "*) ;; *) echo "$file" ;; esac; done
}

run_node() { # kind, glob...
    kind=$1; shift
    ls "$@" >/dev/null 2>&1 || { echo "$kind: no tests"; return; }
    rm -rf "${out:?}/$kind" && mkdir -p "$out/$kind"
    # one that hangs is a failure, not a stall
    long_first "$@" | xargs -P "$jobs" -I '{}' sh -c '
        log=$1/$(basename "$2" .test.mjs).log
        timeout 1500 node --test --test-reporter=tap "$2" >"$log" 2>&1
        echo "# exit $?" >>"$log"' sh "$out/$kind" '{}'
    p=0 f=0 s=0
    for file in "$@"; do
        log=$out/$kind/$(basename "$file" .test.mjs).log
        p=$((p + $(num 's/^# pass \([0-9]*\)/\1/p' "$log"))); s=$((s + $(num 's/^# skipped \([0-9]*\)/\1/p' "$log")))
        bad=$(($(num 's/^# fail \([0-9]*\)/\1/p' "$log") + $(num 's/^# cancelled \([0-9]*\)/\1/p' "$log")))
        end=$(num 's/^# exit \([0-9]*\)/\1/p' "$log") # a file that died, or was ended (124), has no counts
        [ "$end" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
        [ "$bad" -eq 0 ] && continue
        f=$((f + bad))
        echo "$file: $bad failed, exit $end"
        if grep -qE '^ *not ok' "$log"; then grep -nE -A24 '^ *not ok' "$log" | head -120; else tail -30 "$log"; fi
        grep -E '^# server [0-9]+: ' "$log" | tail -75 # what its servers said last
    done
    [ "$p" -eq 0 ] && [ "$f" -eq 0 ] && f=1
    grep -hE '# SKIP' "$out/$kind"/*.log | sed 's/^ *//'
    say_kind "$kind" "$p" "$f" "$s"; add "$p" "$f" "$s"
}

run_rules() {
    [ -d content/rules ] || return 0
    if build/chengfang rules test content/rules >"$out/rules.log" 2>&1; then f=0; else f=1; fi
    p=$(num 's/.* \([0-9][0-9]*\) cases passed, [0-9]* failed.*/\1/p' "$out/rules.log"); g=$(num 's/.* [0-9][0-9]* cases passed, \([0-9]*\) failed.*/\1/p' "$out/rules.log")
    [ "$p" -eq 0 ] && f=1
    [ "${g:-0}" -gt 0 ] && f=$g
    [ "$f" -gt 0 ] && tail -30 "$out/rules.log"
    say_kind rules "${p:-0}" "$f" 0; add "${p:-0}" "$f" 0
}

run_contract() {
    if [ ! -f "$shared/acceptance/contract.py" ] || ! command -v python3 >/dev/null 2>&1; then
        echo "contract: skipped (the shared acceptance checks or python3 are not here)"; add 0 0 1; return
    fi
    python3 "$shared/acceptance/contract.py" --binary build/chengfang >"$out/contract.log" 2>&1 || true
    p=$(num 's/^\([0-9]*\) passed, [0-9]* failed$/\1/p' "$out/contract.log"); f=$(num 's/^[0-9]* passed, \([0-9]*\) failed$/\1/p' "$out/contract.log")
    [ "$p" -eq 0 ] && [ "$f" -eq 0 ] && f=1
    [ "$f" -gt 0 ] && { grep FAIL "$out/contract.log" || tail -20 "$out/contract.log"; }
    say_kind contract "$p" "$f" 0; add "$p" "$f" 0
}

say_kind() { printf '%-9s %5d passed %4d failed %4d skipped\n' "$1" "$2" "$3" "$4"; }

for k in $kinds; do
    case $k in
    unit) run_unit ;;
    rules) run_rules ;;
    e2e) run_node e2e tests/e2e/*.test.mjs ;;
    web) run_node web tests/web/*.test.mjs ;;
    contract) run_contract ;;
    *) echo "unknown kind of tests: $k"; exit 2 ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
