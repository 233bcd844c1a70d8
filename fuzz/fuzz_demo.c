/* SPDX-License-Identifier: Apache-2.0
 * Scenario files: YAML, templates, and one run of what was accepted. */
#include <stdint.h>
#include <stdlib.h>

#include "demo/run.h"

static int drop(void *ctx, const struct demo_asset *from, int64_t time_us, cf_str line)
{
    (void)ctx;
    (void)from;
    (void)time_us;
    (void)line;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct demo_unit unit = {.id = CF_STR("demo-org-u"), .code = CF_STR("u"), .name = CF_STR("unit"), .kind = CF_STR("bureau"), .number = 21};
    struct demo_asset host = {.id = CF_STR("a"), .host = CF_STR("h"), .ip = CF_STR("10.21.1.15"), .role = CF_STR("web"), .log = CF_STR("syslog"), .unit = &unit};
    struct demo_scenario s;
    struct demo_city city = {.assets = &host, .n_assets = 1, .units = &unit, .n_units = 1};
    struct cf_error err = {0};
    struct demo_run *run;

    cf_arena_init(&city.arena, 0, 64u << 20);
    if (demo_scenario_parse(&city, cf_str_n((const char *)data, size), &s, &err) == 0 && (run = demo_run_new(&city, 1))) {
        if (demo_run_scenario(run, &s, 0, &err) == 0)
            (void)demo_run_window(run, 0, INT64_MAX / 2, 0, drop, NULL, &err);
        demo_run_free(run);
    }
    cf_arena_release(&city.arena);
    return 0;
}
