/* SPDX-License-Identifier: Apache-2.0
 * Alerts become incidents: alerts of one organisation that share entities within the window belong together, more so when a new
 * alert is a further step of the attack. Weights: address, host and asset 3; destination address 2; a person's account 2; a tactic
 * the incident has not shown yet adds 1. From 3 on the alert joins. */
#include "incident/incident_int.h"

#include <stdlib.h>

#define OPEN_STATES "('open','investigating','contained')"

static void add_entity(struct inc_entities *x, const char *type, cf_str value, int weight)
{
    if (!value.p || value.n == 0 || x->n == INC_ENTITIES_MAX)
        return;
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->v[i].e.type, type) == 0 && cf_str_eq(x->v[i].e.value, value)) {
            if (x->v[i].weight < weight)
                x->v[i].weight = weight;
            return;
        }
    x->v[x->n].e = (struct inc_entity){type, value};
    x->v[x->n++].weight = weight;
}

void inc_entities_of(const struct inc_alert *al, struct inc_entities *ret)
{
    ret->n = 0;
    add_entity(ret, "ip", al->source_ip, 3);
    add_entity(ret, "ip", al->destination_ip, 2);
    add_entity(ret, "host", al->host, 3);
    add_entity(ret, "asset", al->asset_id, 3);
    if (al->user.p && !inc_common_user(al->user))
        add_entity(ret, "user", al->user, 2);
}

int inc_timeline(struct cf_tx *tx, cf_str incident_id, int64_t time_us, const char *kind, cf_str title, cf_str detail, cf_str ref, cf_str user_id,
                 cf_str user_name, struct cf_error *reterr)
{
    char id[37];

    cf_uuid7(id);
    return cf_tx_exec(tx, "INSERT INTO incident_event (id, incident_id, time_us, kind, title, detail, ref, user_id, user_name) VALUES (?,?,?,?,?,?,?,?,?)", reterr,
                      CF_Z(id), CF_S(incident_id), CF_I(time_us), CF_Z(kind), CF_S(title), CF_S(detail), CF_S(ref), CF_S(user_id), CF_S(user_name));
}

static bool new_tactic(const json_t *have, const json_t *alert)
{
    size_t i, k;
    json_t *a, *h;

    json_array_foreach(alert, i, a)
    {
        bool found = false;

        json_array_foreach(have, k, h) found |= json_equal(a, h) == 1;
        if (!found)
            return true;
    }
    return false;
}

struct candidate {
    char id[37];
    int weight;
    int64_t last_us;
    bool tactic;
};

static int find_candidates(struct cf_tx *tx, const struct inc_alert *al, const struct inc_entities *ents, struct candidate *c, size_t max, size_t *ret_n,
                           struct cf_error *err)
{
    size_t n = 0;

    for (size_t i = 0; i < ents->n; i++) {
        struct cf_stmt *st = NULL;
        int r = cf_tx_query(tx,
                            "SELECT i.id, i.last_seen, i.tactics FROM incident_entity e JOIN incident i ON i.id = e.incident_id "
                            "WHERE e.type = ? AND e.value = ? AND i.org_id = ? AND i.status IN " OPEN_STATES " AND i.last_seen >= ? AND i.first_seen <= ? "
                            "ORDER BY i.last_seen DESC LIMIT 8",
                            &st, err, CF_Z(ents->v[i].e.type), CF_S(ents->v[i].e.value), CF_S(al->org), CF_I(al->first_us - INC_GROUP_WINDOW_US),
                            CF_I(al->last_us + INC_GROUP_WINDOW_US));

        while (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
            size_t k = 0;

            r = 0;
            while (k < n && !cf_str_eqz(cf_stmt_str(st, 0), c[k].id))
                k++;
            if (k == max)
                continue;
            if (k == n) {
                json_t *have = inc_json_text(cf_stmt_str(st, 2), true);

                (void)snprintf(c[n].id, sizeof(c[n].id), "%.*s", CF_ARG(cf_stmt_str(st, 0)));
                c[n].last_us = cf_stmt_i64(st, 1);
                c[n].weight = new_tactic(have, al->tactics) ? 1 : 0;
                n++;
                json_decref(have);
            }
            c[k].weight += ents->v[i].weight;
        }
        cf_stmt_free(st);
        if (r < 0)
            return r;
    }
    *ret_n = n;
    return 0;
}

/* A recent alert of another rule that is in no incident yet and shares a strong entity. */
static int find_partner(struct cf_tx *tx, const struct inc_alert *al, char ret_id[37], struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx,
                        "SELECT id FROM alert WHERE org_id = ? AND incident_id IS NULL AND rule_id <> ? AND status IN ('new','handling','confirmed') AND level >= ? "
                        "AND last_seen >= ? AND first_seen <= ? AND (source_ip = ? OR host = ? OR asset_id = ?) ORDER BY last_seen DESC LIMIT 1",
                        &st, err, CF_S(al->org), CF_S(al->rule_id), CF_I(CF_LEVEL_MEDIUM), CF_I(al->first_us - INC_GROUP_WINDOW_US),
                        CF_I(al->last_us + INC_GROUP_WINDOW_US), CF_S(al->source_ip.p ? al->source_ip : CF_STR("")), CF_S(al->host.p ? al->host : CF_STR("")),
                        CF_S(al->asset_id.p ? al->asset_id : CF_STR("")));

    if (r == 0)
        r = cf_stmt_next(st, err);
    if (r == 1)
        (void)snprintf(ret_id, 37, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
    cf_stmt_free(st);
    return r;
}

static int next_number(struct cf_tx *tx, int64_t now_us, char ret[32], struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    unsigned month, day;
    int year, r;

    cf_civil_from_days((now_us + INT64_C(8) * 3600 * CF_US_PER_S) / CF_US_PER_DAY, &year, &month, &day); /* years change at Beijing midnight */
    r = cf_tx_query(tx, "INSERT INTO incident_seq (year, value) VALUES (?, 1) ON CONFLICT (year) DO UPDATE SET value = incident_seq.value + 1 RETURNING value", &st,
                    err, CF_I(year));
    if (r == 0)
        r = cf_stmt_next(st, err);
    if (r == 1) {
        (void)snprintf(ret, 32, "SJ-%d-%05lld", year, (long long)cf_stmt_i64(st, 0));
        r = 0;
    } else if (r == 0) {
        r = cf_error_set(err, CF_EDB, "no incident number was returned");
    }
    cf_stmt_free(st);
    return r;
}

int inc_incident_create(struct cf_tx *tx, struct cf_arena *a, const struct inc_alert *al, char ret_id[37], struct cf_error *reterr)
{
    int64_t now = cf_now_us();
    char number[32];
    int r = next_number(tx, now, number, reterr);

    if (r < 0)
        return r;
    cf_uuid7(ret_id);
    r = cf_tx_exec(tx, "INSERT INTO incident (id, number, org_id, title, level, status, score, first_seen, last_seen, created_us, updated_us) VALUES (?,?,?,?,?,'open',?,?,?,?,?)",
                   reterr, CF_Z(ret_id), CF_Z(number), CF_S(al->org), CF_S(al->title), CF_I(al->level), CF_I(al->score), CF_I(al->first_us), CF_I(al->last_us), CF_I(now),
                   CF_I(now));
    if (r == 0)
        r = inc_timeline(tx, cf_str_c(ret_id), now, "status", CF_STR("open"), CF_STR_NONE, CF_STR_NONE, CF_STR_NONE, CF_STR("system"), reterr);
    (void)a;
    return r;
}

static int add_entities(struct cf_tx *tx, cf_str incident_id, const struct inc_alert *al, struct cf_error *err)
{
    struct inc_entities ents;
    int r = 0;

    inc_entities_of(al, &ents);
    for (size_t i = 0; r == 0 && i < ents.n; i++)
        r = cf_tx_exec(tx,
                       "INSERT INTO incident_entity (incident_id, type, value, count) VALUES (?,?,?,1) "
                       "ON CONFLICT (incident_id, type, value) DO UPDATE SET count = incident_entity.count + 1",
                       err, CF_S(incident_id), CF_Z(ents.v[i].e.type), CF_S(ents.v[i].e.value));
    return r;
}

int inc_incident_attach(struct cf_tx *tx, struct cf_arena *a, cf_str incident_id, struct inc_alert *al, struct cf_error *reterr)
{
    int r = cf_tx_exec(tx, "UPDATE alert SET incident_id = ?, updated_us = ? WHERE id = ?", reterr, CF_S(incident_id), CF_I(cf_now_us()), CF_Z(al->id));

    if (r == 0)
        r = add_entities(tx, incident_id, al, reterr);
    if (r == 0)
        r = inc_timeline(tx, incident_id, al->first_us, "alert", al->title, CF_STR_NONE, cf_str_c(al->id), CF_STR_NONE, CF_STR("system"), reterr);
    al->incident_id = cf_arena_copy(a, incident_id);
    return r;
}

struct totals {
    int64_t n, rules, assets, first_us, last_us, level, score;
    bool tactic[14];
    json_t *techniques;
    cf_str title, title_en;
};

static int read_totals(struct cf_tx *tx, struct cf_arena *a, cf_str id, struct totals *t, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx,
                        "SELECT COUNT(*), COUNT(DISTINCT rule_id), COUNT(DISTINCT asset_id), MIN(first_seen), MAX(last_seen), MAX(level), MAX(score) FROM alert "
                        "WHERE incident_id = ? AND status <> 'false_positive'",
                        &st, err, CF_S(id));

    if (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        t->n = cf_stmt_i64(st, 0);
        t->rules = cf_stmt_i64(st, 1);
        t->assets = cf_stmt_i64(st, 2);
        t->first_us = cf_stmt_i64(st, 3);
        t->last_us = cf_stmt_i64(st, 4);
        t->level = cf_stmt_i64(st, 5);
        t->score = cf_stmt_i64(st, 6);
        r = 0;
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0)
        r = cf_tx_query(tx, "SELECT DISTINCT tactics, techniques FROM alert WHERE incident_id = ? AND status <> 'false_positive' LIMIT 500", &st, err, CF_S(id));
    while (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        json_t *x = inc_json_text(cf_stmt_str(st, 0), true), *te = inc_json_text(cf_stmt_str(st, 1), true), *v, *w;
        size_t i, k;

        r = 0;
        json_array_foreach(x, i, v)
        {
            int at = inc_tactic_index(cf_str_c(json_string_value(v) ? json_string_value(v) : ""));

            if (at >= 0)
                t->tactic[at] = true;
        }
        json_array_foreach(te, i, v)
        {
            bool have = false;

            json_array_foreach(t->techniques, k, w) have |= json_equal(v, w) == 1;
            if (!have)
                json_array_append(t->techniques, v);
        }
        json_decref(x);
        json_decref(te);
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0)
        r = cf_tx_query(tx, "SELECT title, title_en FROM alert WHERE incident_id = ? AND status <> 'false_positive' ORDER BY score DESC, id LIMIT 1", &st, err, CF_S(id));
    if (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        t->title = cf_arena_copy(a, cf_stmt_str(st, 0));
        t->title_en = cf_stmt_null(st, 1) ? CF_STR_NONE : cf_arena_copy(a, cf_stmt_str(st, 1));
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

int inc_incident_refresh(struct cf_tx *tx, struct cf_arena *a, cf_str incident_id, struct cf_error *reterr)
{
    struct totals t = {.techniques = json_array()};
    json_t *tactics = json_array();
    size_t n_tactics = 0;
    int r = read_totals(tx, a, incident_id, &t, reterr);

    for (int i = 0; i < 14; i++)
        if (t.tactic[i]) {
            json_array_append_new(tactics, json_string(inc_tactics[i]));
            n_tactics++;
        }
    if (r == 0 && t.n > 0) {
        int score = inc_incident_score((int)t.score, n_tactics, (size_t)t.rules);
        enum cf_level level = inc_level_of_score(score);

        if ((int64_t)level < t.level) /* never below its worst alert */
            level = (enum cf_level)t.level;
        r = cf_tx_exec(tx,
                       "UPDATE incident SET title = ?, title_en = ?, level = ?, score = ?, alert_count = ?, rule_count = ?, assets_count = ?, first_seen = ?, last_seen = ?, "
                       "tactics = ?, techniques = ?, updated_us = ? WHERE id = ?",
                       reterr, CF_S(t.title.p ? t.title : CF_STR("-")), CF_S(t.title_en), CF_I(level), CF_I(score), CF_I(t.n), CF_I(t.rules), CF_I(t.assets), CF_I(t.first_us),
                       CF_I(t.last_us), CF_Z(inc_json_dump(a, tactics)), CF_Z(inc_json_dump(a, t.techniques)), CF_I(cf_now_us()), CF_S(incident_id));
    } else if (r == 0) {
        r = cf_tx_exec(tx, "UPDATE incident SET alert_count = 0, updated_us = ? WHERE id = ?", reterr, CF_I(cf_now_us()), CF_S(incident_id));
    }
    json_decref(tactics);
    json_decref(t.techniques);
    return r;
}

static int join_or_open(struct cf_tx *tx, struct cf_arena *a, struct inc_alert *al, char ret_incident[37], struct cf_error *err)
{
    struct candidate c[32] = {0}, *best = NULL;
    struct inc_alert partner = {.level = CF_LEVEL_INFO};
    struct inc_entities ents;
    char partner_id[37] = "";
    size_t n = 0;
    int r;

    inc_entities_of(al, &ents);
    r = find_candidates(tx, al, &ents, c, 32, &n, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        if (c[i].weight >= INC_JOIN_WEIGHT && (!best || c[i].weight > best->weight || (c[i].weight == best->weight && c[i].last_us > best->last_us)))
            best = &c[i];
    if (best) {
        memcpy(ret_incident, best->id, 37);
        return inc_incident_attach(tx, a, cf_str_c(best->id), al, err);
    }
    if (al->level < CF_LEVEL_MEDIUM)
        return 0;
    r = find_partner(tx, al, partner_id, err);
    if (r < 0 || (r == 0 && al->level < CF_LEVEL_HIGH))
        return r;
    r = inc_incident_create(tx, a, al, ret_incident, err);
    if (r == 0 && partner_id[0]) {
        r = inc_alert_read(tx, a, cf_str_c(partner_id), &partner, err);
        if (r == 0)
            r = inc_incident_attach(tx, a, cf_str_c(ret_incident), &partner, err);
        inc_alert_release(&partner);
    }
    if (r == 0)
        r = inc_incident_attach(tx, a, cf_str_c(ret_incident), al, err);
    return r;
}

int inc_group_alert(struct cf_tx *tx, struct cf_arena *a, struct inc_alert *al, char ret_incident[37], struct cf_error *reterr)
{
    int r = 0;

    ret_incident[0] = 0;
    if (al->incident_id.n)
        (void)snprintf(ret_incident, 37, "%.*s", CF_ARG(al->incident_id));
    else if (al->created)
        r = join_or_open(tx, a, al, ret_incident, reterr);
    return r;
}
