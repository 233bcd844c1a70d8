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
    static const char *const roles[] = {"web", "app", "db", "pc", "fs", "dc", "ids", "nsm", "waf", "fw-topsec", "fw-huawei"};
    struct demo_unit units[2] = {{.id = CF_STR("demo-org-u"), .code = CF_STR("u"), .name = CF_STR("unit"), .kind = CF_STR("bureau"), .number = 21},
                                 {.id = CF_STR("demo-org-h"), .code = CF_STR("h"), .name = CF_STR("hospital"), .kind = CF_STR("hospital"), .number = 22}};
    struct demo_asset hosts[22];
    struct demo_scenario s;
    struct demo_city city = {.assets = hosts, .n_assets = 22, .units = units, .n_units = 2};
    struct cf_error err = {0};
    struct demo_run *run;

    for (size_t i = 0; i < 22; i++)
        hosts[i] = (struct demo_asset){.id = CF_STR("a"), .name = CF_STR("n"), .host = CF_STR("h"), .ip = CF_STR("10.21.1.15"), .role = cf_str_c(roles[i % 11]),
                                       .log = CF_STR("syslog"), .unit = &units[i / 11]};
    cf_arena_init(&city.arena, 0, 64u << 20);
    if (demo_scenario_parse(&city, cf_str_n((const char *)data, size), &s, &err) == 0 && (run = demo_run_new(&city, 1))) {
        if (demo_run_scenario(run, &s, 0, &err) == 0)
            (void)demo_run_window(run, 0, INT64_MAX / 2, 0, drop, NULL, &err);
        demo_run_free(run);
    }
    cf_arena_release(&city.arena);
    return 0;
}
