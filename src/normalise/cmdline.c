/* SPDX-License-Identifier: Apache-2.0
 * A command line as its arguments: cut at blanks, quotes hold words together and are dropped. */
#include <pthread.h>
#include <stdio.h>

#include "normalise/source.h"

static uint16_t counts[2];
static pthread_once_t counts_once = PTHREAD_ONCE_INIT;

static void counts_fill(void)
{
    counts[0] = cf_name_intern(CF_STR("process.args_count"));
    counts[1] = cf_name_intern(CF_STR("process.parent.args_count"));
}

void cf_run_args(struct cf_run *r, const struct cf_ref *to, cf_str v)
{
    bool parent = cf_str_starts(to->text, CF_STR("process.parent"));
    size_t n = 0, i = 0;
    char *out, text[24];

    (void)pthread_once(&counts_once, counts_fill);
    out = cf_arena_bytes(r->a, v.n + 1);
    if (!out)
        return;
    while (i < v.n && n < 200) {
        size_t len = 0;
        char quote = '\0';
        bool any = false;
        while (i < v.n && (v.p[i] == ' ' || v.p[i] == '\t' || v.p[i] == '\n'))
            i++;
        for (; i < v.n; i++) {
            char c = v.p[i];
            if (quote ? c == quote : c == '"') {
                quote = quote ? '\0' : c;
                any = true;
            } else if (!quote && (c == ' ' || c == '\t' || c == '\n')) {
                break;
            } else {
                out[len++] = c;
            }
        }
        if (!len && !any)
            break;
        if (to->field != CF_F_EXTRA)
            (void)(n ? cf_event_add(r->ev, (enum cf_field)to->field, cf_str_n(out, len)) : cf_event_set(r->ev, (enum cf_field)to->field, cf_str_n(out, len)));
        else
            (void)cf_event_extra(r->ev, to->name, cf_str_n(out, len), 0, CF_V_STR);
        out += len;
        n++;
    }
    if (n)
        (void)cf_event_extra(r->ev, counts[parent], cf_arena_copy(r->a, cf_str_n(text, (size_t)snprintf(text, sizeof text, "%zu", n))), 0, CF_V_INT);
}
