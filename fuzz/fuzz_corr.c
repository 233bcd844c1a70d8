/* SPDX-License-Identifier: Apache-2.0
 * Reader of correlation snapshots: the bytes get a right checksum, so that everything behind it is reached. */
#include <stdlib.h>

#include "detect/detect.h"

static const char rules[] = "title: d\nname: d\ndetection:\n  s: {A: x}\n  condition: s\n---\n"
                            "title: f\nid: f\ncorrelation: {type: value_count, rules: [d], group-by: [A], timespan: 5m, condition: {field: B, gte: 2}}\n---\n"
                            "title: p\nid: p\ncorrelation: {type: value_percentile, rules: [d], group-by: [A], timespan: 5m, condition: {field: B, gte: 2}}\n---\n"
                            "title: g\nid: g\ncorrelation: {type: event_count, rules: [d], timespan: 1s, condition: {lt: 3}}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cf_str text = CF_STR(rules);
    struct cf_rules_options opt = {.texts = &text, .n_texts = 1};
    struct cf_ruleset *rs = NULL;
    struct cf_error err = {0};
    char *copy = malloc(size + 4);
    uint32_t crc = cf_crc32c(0, data, size);
    struct cf_detector *d;
    struct cf_arena a;
    const struct cf_hit *h;
    size_t n;

    if (!copy || cf_ruleset_load(&opt, &rs, &err) < 0)
        abort();
    memcpy(copy, data, size);
    for (int i = 0; i < 4; i++)
        copy[size + (size_t)i] = (char)(crc >> (8 * i));
    if (cf_ruleset_corr_restore(rs, (cf_str){copy, size + 4}, &n, NULL, &err) == 0 && (d = cf_detector_new(rs))) {
        cf_arena_init(&a, 0, 0);
        (void)cf_detect_flush(d, &a, &h, &n);
        cf_arena_release(&a);
        cf_detector_free(d);
    }
    free(copy);
    cf_ruleset_free(rs);
    return 0;
}
