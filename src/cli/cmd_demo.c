/* SPDX-License-Identifier: Apache-2.0
 * chengfang demo lines|list|remove: the demo city without a server (to look at its lines, to test rules), and its removal. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/admin_client.h"
#include "app/server.h"
#include "cli/cli.h"
#include "demo/demo.h"
#include "demo/run.h"

static int print_line(void *ctx, const struct demo_asset *from, int64_t time_us, cf_str line)
{
    (void)ctx;
    (void)from;
    (void)time_us;
    return printf("%.*s\n", CF_ARG(line)) < 0 ? CF_EIO : 0;
}

static int load(struct demo_city **ret, struct cf_error *err)
{
    struct cf_arena a;
    char *content;
    int r;

    cf_arena_init(&a, 0, 1 << 20);
    content = cf_find_dir(&a, "CF_CONTENT", "content");
    r = content ? demo_city_load(cf_path_join(&a, content, "demo"), ret, err) : cf_error_set(err, CF_ENOENT, "the content folder was not found beside the program; set CF_CONTENT");
    cf_arena_release(&a);
    return r;
}

static int list(struct cf_error *err)
{
    struct demo_city *c = NULL;
    int r = load(&c, err);

    if (r < 0)
        return r;
    (void)printf("%.*s: %zu units, %zu people, %zu assets, %zu background lines\n", CF_ARG(c->name), c->n_units, c->n_people, c->n_assets, c->n_lines);
    for (size_t i = 0; i < c->n_scenarios; i++) {
        (void)printf("%-22.*s %.*s (%.*s), %lld s, expects", CF_ARG(c->scenarios[i].id), CF_ARG(c->scenarios[i].title_zh), CF_ARG(c->scenarios[i].title_en),
                     (long long)(c->scenarios[i].length_us / CF_US_PER_S));
        for (size_t k = 0; k < c->scenarios[i].n_expect; k++)
            (void)printf(" %.*s", CF_ARG(c->scenarios[i].expect[k]));
        (void)printf("\n");
    }
    demo_city_free(c);
    return 0;
}

struct lines {
    const char *scenario;
    int64_t at_us, background;
    uint64_t seed;
};

static int lines(const struct lines *l, struct cf_error *err)
{
    struct demo_city *c = NULL;
    struct demo_run *run = NULL;
    int64_t length = 3600 * CF_US_PER_S;
    bool found = !l->scenario;
    int r = load(&c, err);

    if (r == 0 && !(run = demo_run_new(c, l->seed)))
        r = cf_error_set(err, CF_ENOMEM, "no memory");
    for (size_t i = 0; r == 0 && l->scenario && i < c->n_scenarios; i++) {
        if (!cf_str_eqz(c->scenarios[i].id, l->scenario))
            continue;
        found = true;
        length = c->scenarios[i].length_us + CF_US_PER_S;
        r = demo_run_scenario(run, &c->scenarios[i], l->at_us, err);
    }
    if (r == 0 && !found)
        r = cf_error_set(err, CF_ENOENT, "no scenario \"%s\"; chengfang demo list shows them", l->scenario);
    if (r == 0)
        r = demo_run_window(run, l->at_us, l->at_us + length, (double)l->background * (double)CF_US_PER_S / (double)length, print_line, NULL, err);
    demo_run_free(run);
    demo_city_free(c);
    return r;
}

static int remove_demo(const char *data, struct cf_error *err)
{
    struct cf_demo_removed gone = {0};
    struct cf_app_run *run = NULL;
    struct cf_admin *a = NULL;
    json_t *reply = NULL;
    bool beside;
    int r = cf_admin_open(data, &a, err);

    if (r < 0)
        return r;
    beside = cf_admin_beside_server(a);
    if (beside)
        r = cf_admin_json(a, "POST", "/api/v1/demo:remove", NULL, &reply, err);
    cf_admin_close(a);
    if (beside) {
        gone.records = json_integer_value(json_object_get(reply, "records"));
        gone.events = json_integer_value(json_object_get(reply, "events"));
        json_decref(reply);
    } else {
        r = cf_app_start(data, NULL, NULL, CF_APP_INGEST, &run, err);
        if (r == 0)
            r = cf_demo_remove(cf_app_of(run)->db, cf_app_of(run)->events, cf_app_of(run)->data_dir, &gone, err);
        cf_app_stop(run);
    }
    if (r == 0)
        (void)printf("removed %lld records and %lld events of the demo city\n", (long long)gone.records, (long long)gone.events);
    return r;
}

int cf_cmd_demo(int argc, char **argv)
{
    static const struct option opts[] = {{"data", required_argument, NULL, 'd'}, {"scenario", required_argument, NULL, 's'}, {"background", required_argument, NULL, 'b'},
                                         {"at", required_argument, NULL, 'a'},   {"seed", required_argument, NULL, 'e'},     {NULL, 0, NULL, 0}};
    struct lines l = {.at_us = cf_now_us(), .seed = (uint64_t)cf_now_us()};
    const char *data = NULL, *what;
    struct cf_error err = {0};
    int o, r;

    while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        switch (o) {
        case 'd': data = optarg; break;
        case 's': l.scenario = optarg; break;
        case 'b':
            if (!cf_str_i64(cf_str_c(optarg), &l.background) || l.background < 0 || l.background > 200000)
                return cf_cli_usage("demo", "--background is 0 to 200000 lines");
            break;
        case 'a':
            if (!cf_time_parse_rel(cf_str_c(optarg), cf_now_us(), &l.at_us))
                return cf_cli_usage("demo", "--at is a time such as 2026-11-20T03:00:00+08:00 or now-1h");
            break;
        case 'e':
            if (!cf_str_u64(cf_str_c(optarg), &l.seed))
                return cf_cli_usage("demo", "--seed is a number");
            break;
        default: return CF_EXIT_USAGE;
        }
    }
    what = optind < argc ? argv[optind] : "";
    if (strcmp(what, "lines") == 0)
        r = lines(&l, &err);
    else if (strcmp(what, "list") == 0)
        r = list(&err);
    else if (strcmp(what, "remove") == 0 && data)
        r = remove_demo(data, &err);
    else
        return cf_cli_usage("demo", "lines [--scenario ID] [--background N] [--at TIME] [--seed N], list, or remove --data DIR");
    return r < 0 ? cf_cli_fail("demo", &err) : 0;
}
