/* SPDX-License-Identifier: Apache-2.0
 * city: content/demo read into memory: units, people, the assets that the unit profiles expand to, the hosts that write
 * logs, background lines and scenarios. Immutable after load; everything lives in its arena.
 *
 *   city.yaml     regions, units, people, profiles (assets a unit of that kind has), shared equipment, lists of texts
 *   background.yaml   weighted lines of ordinary work
 *   scenarios/       attack chains: variables, timed steps, the rules they must fire */
#ifndef CF_DEMO_CITY_H
#define CF_DEMO_CITY_H

#include "demo/template.h"

struct demo_region {
    cf_str code, name, parent;
    int64_t level;
};
struct demo_unit {
    cf_str id, code, name, short_name, kind, region, industry, parent; /* parent: code of another unit, or empty */
    cf_str profile, officer, phone;
    int64_t level, number; /* number: second byte of its network 10.N.0.0/16 */
};
struct demo_person {
    cf_str id, login, name, role, position;
    const struct demo_unit *unit;
};
struct demo_asset {
    cf_str id, name, kind, type, host, ip, domain, system, os, vendor, model, owner, location, role, log; /* log: source kind, empty: sends none */
    int64_t importance, mlps;
    const struct demo_unit *unit;
};
enum demo_rhythm { DEMO_FLAT, DEMO_OFFICE, DEMO_NIGHT };
struct demo_line {
    cf_str role, text; /* role of the host that sends it */
    int64_t weight;
    enum demo_rhythm rhythm;
    uint32_t at;       /* line in the file */
};
enum demo_var_kind { DEMO_VAR_TEXT, DEMO_VAR_PICK, DEMO_VAR_HOST };
struct demo_var_def {
    cf_str name, text;     /* TEXT: template; HOST: role */
    enum demo_var_kind kind;
    size_t n;              /* PICK */
    cf_str *pick;
    cf_str unit_kind;      /* HOST: kind of unit, empty: any */
    cf_str same_unit;      /* HOST: in the unit of this earlier variable */
    uint32_t at;
};
struct demo_step {
    int64_t at_us, every_us, jitter_us; /* offset in the run; distance of repetitions */
    uint64_t repeat;
    cf_str from;                        /* name of a HOST variable */
    cf_str text;
    uint32_t line;
};
struct demo_scenario {
    cf_str id, title_zh, title_en, file;
    size_t n_vars, n_steps, n_expect;
    struct demo_var_def *vars;
    struct demo_step *steps;
    cf_str *expect;                     /* rule ids */
    int64_t length_us;
};
struct demo_city {
    struct cf_arena arena;
    cf_str name;
    size_t n_regions, n_units, n_people, n_assets, n_lists, n_lines, n_scenarios;
    struct demo_region *regions;
    struct demo_unit *units;
    struct demo_person *people;
    struct demo_asset *assets;
    struct demo_list *lists;
    struct demo_line *lines;
    struct demo_scenario *scenarios;
};

/* dir: content/demo. Every line is expanded once as a check. Errors name file and line. Free with demo_city_free. */
int demo_city_load(const char *dir, struct demo_city **ret, struct cf_error *reterr);
void demo_city_free(struct demo_city *c);
/* One scenario text against a loaded city (lists and hosts); it lives in the city's arena. Used by the loader and the fuzz target. */
int demo_scenario_parse(struct demo_city *c, cf_str yaml, struct demo_scenario *ret, struct cf_error *reterr);

/* A random asset that writes logs and has the role; unit_kind empty: any; unit NULL: any. NULL: none. */
const struct demo_asset *demo_city_host(const struct demo_city *c, cf_str role, cf_str unit_kind, const struct demo_unit *unit, uint64_t *rng);

/* Variables of a host: host, ip, unit, code, net (N of 10.N), domain; put before prefix "web." when prefix is given. */
#define DEMO_HOST_VARS 6
int demo_host_vars(const struct demo_asset *h, cf_str prefix, struct cf_arena *a, struct demo_var out[DEMO_HOST_VARS]);

#endif
