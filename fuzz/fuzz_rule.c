/* SPDX-License-Identifier: Apache-2.0
 * Rule compiler, condition parser, correlation linking and matching: any text as a rule file, then two events. */
#include <stdlib.h>

#include "detect/detect.h"

static void put(struct cf_event *ev, const char *name, const char *value)
{
    uint16_t id = cf_name_intern(cf_str_c(name));
    (void)cf_event_extra(ev, id, cf_str_c(value), id, CF_V_STR);
}

static void try_event(struct cf_detector *d, struct cf_arena *a, int which)
{
    struct cf_event *ev = cf_event_new(a);
    const struct cf_hit *h;
    size_t n;

    if (!ev)
        return;
    ev->original = which ? CF_STR("foo bar sshd[1]: Failed") : CF_STR("{}");
    ev->time_us = INT64_C(1790000000000000) + which;
    put(ev, "A", which ? "foo" : "FOO bar");
    put(ev, "Image", "C:\\Windows\\whoami.exe");
    put(ev, "CommandLine", which ? "" : "whoami /all -f \xe4\xb8\xad");
    put(ev, "EventID", "4688");
    put(ev, "ip", "10.0.0.1");
    put(ev, "user", "u");
    (void)cf_detect(d, ev, &h, &n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cf_str text = {(const char *)data, size};
    struct cf_rules_options opt = {.texts = &text, .n_texts = 1};
    struct cf_ruleset *rs = NULL;
    struct cf_error err = {0};
    struct cf_detector *d;
    struct cf_arena a;
    struct cf_buf b;
    const struct cf_hit *h;
    size_t n;

    if (size > 20000 || cf_ruleset_load(&opt, &rs, &err) < 0)
        return 0;
    cf_arena_init(&a, 0, 0);
    cf_buf_init(&b, 1 << 20);
    d = cf_detector_new(rs);
    if (d) {
        struct cf_event *ev = cf_event_new(&a);

        try_event(d, &a, 0);
        try_event(d, &a, 1);
        (void)cf_detect_flush(d, &a, &h, &n);
        for (size_t i = 0; ev && i < cf_ruleset_count(rs) && i < 4; i++)
            (void)cf_explain(d, ev, i, &b);
    }
    cf_buf_release(&b);
    cf_detector_free(d);
    cf_ruleset_free(rs);
    cf_arena_release(&a);
    return 0;
}
