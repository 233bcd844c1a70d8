/* SPDX-License-Identifier: Apache-2.0
 * Matching: a fixed rule set with every kind of test against events made of any bytes.
 * Input: records of one byte name, one byte length, value. */
#include <stdlib.h>

#include "detect/detect.h"

static const char rules[] =
    "title: a\ndetection:\n  s: {A|contains: [foo, 'b?r*x'], B|re: '(a+)+b|x.{2,5}y'}\n  f: {C|cased: Foo}\n  condition: s or not f\n---\n"
    "title: b\ndetection:\n  s: ['evil*word', foo]\n  condition: s\n---\n"
    "title: c\ndetection:\n  s: {D|cidr: '10.0.0.0/8', E|gte: 5}\n  t: {E|hour: 5}\n  condition: 1 of them\n---\n"
    "title: d\nname: d\ndetection:\n  s: {A|fieldref: B}\n  t: {A|windash|contains: ' -f '}\n  u: {x.y: null}\n  condition: 1 of them\n---\n"
    "title: e\ndetection:\n  s: {A|startswith: '\xc3\x84', B|endswith: 'x'}\n  t: {B|re|i: '(?=.*a)b'}\n  condition: s or t\n---\n"
    "title: f\ncorrelation: {type: value_count, rules: [d], group-by: [A], timespan: 5m, condition: {field: B, gte: 2}}\n---\n"
    "title: g\ncorrelation: {type: event_count, rules: [d], group-by: [C], timespan: 1s, condition: {lt: 3}}\n";
static const char *const names[] = {"A", "B", "C", "D", "E", "x.y", "source.ip", "event.original", "p.x.y", "A b"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cf_ruleset *rs;
    static struct cf_detector *d;
    struct cf_arena a;
    struct cf_event *ev;
    const struct cf_hit *h;
    size_t n, at = 0;

    if (!rs) {
        cf_str text = CF_STR(rules);
        struct cf_rules_options opt = {.texts = &text, .n_texts = 1};
        struct cf_error err = {0};

        if (cf_ruleset_load(&opt, &rs, &err) < 0 || !(d = cf_detector_new(rs)))
            abort();
    }
    cf_arena_init(&a, 0, 0);
    ev = cf_event_new(&a);
    ev->original = cf_arena_copy(&a, (cf_str){(const char *)data, size});
    ev->time_us = size > 8 ? INT64_C(1790000000000000) + data[0] * 1000000 : CF_TIME_NONE;
    while (at + 2 <= size) {
        cf_str name = cf_str_c(names[data[at] % (sizeof names / sizeof *names)]), v;
        size_t len = data[at + 1];
        enum cf_field f = cf_field_find(name);
        uint16_t id = cf_name_intern(name);

        at += 2;
        len = len > size - at ? size - at : len;
        v = (cf_str){(const char *)data + at, len};
        if (f != CF_F_EXTRA)
            (void)cf_event_set_raw(ev, f, v, id, CF_V_STR);
        else
            (void)cf_event_extra(ev, id, v, id, data[at - 2] & 0x80 ? CF_V_NULL : CF_V_STR);
        at += len;
    }
    (void)cf_detect(d, ev, &h, &n);
    cf_arena_release(&a);
    return 0;
}
