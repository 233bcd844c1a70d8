/* SPDX-License-Identifier: Apache-2.0
 * template: text with ${...} made into one log line. Everything random comes from one seeded generator, everything timed
 * from one given moment, so that the same seed and moment give the same line.
 *
 *   ${name}             variable            ${int:1-100}        number in the range
 *   ${t:%b %e %H:%M:%S} local time          ${u:%Y-%m-%dT%H}    UTC   (%Y %y %m %d %e %b %H %M %S %a, %f = microseconds, %L = milliseconds)
 *   ${epoch}            1763579647.123456   ${i} ${i:100}       repetition from 0, or from a number
 *   ${hex:12} ${HEX:12} ${rand32:40} ${alnum:8} ${digits:6} ${cons:9}   random texts of that length
 *   ${pick:list}        entry of a list (expanded again)        ${audit:text} as auditd writes an argument
 *   ${pid} ${port}      process number, client port
 */
#ifndef CF_DEMO_TEMPLATE_H
#define CF_DEMO_TEMPLATE_H

#include "base/base.h"

struct demo_list {
    cf_str name;
    size_t n;
    cf_str *v;
};
struct demo_var {
    cf_str name, value;
};
struct demo_env {
    int64_t time_us;
    int64_t zone_us;                /* local time is this far ahead of UTC */
    uint64_t rng;                   /* state, never 0 */
    uint64_t index;                 /* ${i} */
    const struct demo_list *lists;
    size_t n_lists;
    const struct demo_var *vars;
    size_t n_vars;
};

uint64_t demo_random(uint64_t *state);                             /* xorshift64* */
uint64_t demo_random_below(uint64_t *state, uint64_t n);           /* 0 when n is 0 */
/* Appends the expanded text. CF_ESYNTAX: an unknown name or a broken ${...}; *reterr says which. */
int demo_expand(struct demo_env *env, cf_str text, struct cf_buf *out, struct cf_error *reterr);

#endif
