#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Static analysis: cppcheck and clang-tidy over our C, layering of the stations, licence lines. Exit 1 on findings.
set -u
bad=0
cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability --inline-suppr -D__SSE4_2__ -j 2 \
    --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective --suppress=unknownMacro --suppress=legacyUninitvar --suppress=normalCheckLevelMaxBranches --suppress=duplicateAssignExpression -I src src || bad=1
if command -v clang-tidy >/dev/null 2>&1; then
    git ls-files 'src/*.c' | xargs -P 2 -n 8 clang-tidy -p build --quiet 2>/dev/null | grep -E '(warning|error):' && bad=1
fi
# every file of ours says its licence
git ls-files -- 'src/*.[ch]' 'src/*.cpp' 'tests/*.[ch]' 'fuzz/*.c' 'bench/*.c' | while read -r f; do
    head -3 "$f" | grep -q SPDX-License-Identifier || echo "$f: no SPDX line"
done | grep . && bad=1
# a station never includes a later one; api/route.h, list.h, sse.h and app/app.h are row formats that handlers fill in
order="base event store normalise enrich detect audit directory form message workflow incident notice asset ti collect rulebook pipeline demo api app cli"
rank() { n=0; for w in $order; do n=$((n + 1)); [ "$w" = "$1" ] && { echo $n; return; }; done; echo 99; }
for d in $order; do
    [ -d "src/$d" ] || continue
    mine=$(rank "$d")
    grep -nHoE '^#include "[a-z]+/[a-z_0-9]+\.h"' src/"$d"/*.[ch] src/"$d"/*.cpp 2>/dev/null | sed 's/#include "//; s/"$//' |
        grep -vE ':(api/(route|list|sse)\.h|app/app\.h)$' | while IFS=: read -r file line inc; do
        [ "$(rank "${inc%%/*}")" -le "$mine" ] || echo "$file:$line: includes the later station $inc"
    done
done | grep . && bad=1
[ "$bad" = 0 ] && echo "lint: clean"
exit $bad
