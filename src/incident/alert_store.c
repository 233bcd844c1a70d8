/* SPDX-License-Identifier: Apache-2.0
 * Alert rows: a group of hits becomes a new alert or makes an open one grow. */
#include "incident/incident_int.h"

#include <stdlib.h>

#include "form/content.h"

/* The product speaks Chinese first: an alert carries the rule's Chinese title when it has one. */
static cf_str title_of(const struct cf_rule_info *r) { return r->title_zh.n ? r->title_zh : r->title; }

json_t *inc_json_text(cf_str stored, bool array)
{
    json_t *j = stored.n ? json_loadb(stored.p, stored.n, 0, NULL) : NULL;

    if (j && json_is_array(j) == array)
        return j;
    json_decref(j);
    return array ? json_array() : json_object();
}

char *inc_json_dump(struct cf_arena *a, const json_t *j)
{
    char *s = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY), *copy = NULL;

    if (s)
        copy = cf_arena_strdup(a, cf_str_c(s));
    free(s);
    return copy;
}

int inc_history(struct cf_tx *tx, cf_str alert_id, cf_str user_id, cf_str user_name, const char *action, cf_str from, cf_str to, cf_str note,
                struct cf_error *reterr)
{
    char id[37];

    cf_uuid7(id);
    return cf_tx_exec(tx, "INSERT INTO alert_history (id, alert_id, time_us, user_id, user_name, action, from_state, to_state, note) VALUES (?,?,?,?,?,?,?,?,?)",
                      reterr, CF_Z(id), CF_S(alert_id), CF_I(cf_now_us()), CF_S(user_id), CF_S(user_name), CF_Z(action), CF_S(from), CF_S(to), CF_S(note));
}

void inc_alert_release(struct inc_alert *al)
{
    json_decref(al->tactics);
    json_decref(al->techniques);
    al->tactics = al->techniques = NULL;
}

static cf_str first_of(const struct cf_event *ev, enum cf_field a, enum cf_field b)
{
    cf_str v = cf_event_get(ev, a);

    if (!v.p || v.n == 0)
        v = cf_event_get(ev, b);
    return v.n ? v : CF_STR_NONE;
}

struct asset_ref {
    cf_str id, name, org;
    int importance;
};

/* The known asset behind the event: what was attacked before what attacked. */
static int find_asset(struct cf_tx *tx, struct cf_arena *a, const struct inc_group *g, struct asset_ref *ret, struct cf_error *err)
{
    const cf_str ips[] = {cf_event_get(g->ev, CF_F_DESTINATION_IP), cf_event_get(g->ev, CF_F_HOST_IP), cf_event_get(g->ev, CF_F_SOURCE_IP)};
    const struct cf_value *id = cf_event_find(g->ev, CF_STR("asset.id")), *name = cf_event_find(g->ev, CF_STR("asset.name")),
                          *worth = cf_event_find(g->ev, CF_STR("asset.importance"));
    int64_t importance = 0;

    if (id && id->n) { /* enrichment has found it */
        if (worth)
            (void)cf_str_i64((cf_str){worth->p, worth->n}, &importance);
        *ret = (struct asset_ref){{id->p, id->n}, name ? (cf_str){name->p, name->n} : CF_STR_NONE, CF_STR_NONE, importance < 0 || importance > 5 ? 0 : (int)importance};
        return 0;
    }

    for (size_t i = 0; i < 3; i++) {
        struct cf_stmt *st = NULL;
        int r;

        if (!ips[i].p || ips[i].n == 0)
            continue;
        r = cf_tx_query(tx, "SELECT id, name, importance, org_id FROM asset WHERE ip = ? AND deleted_us IS NULL LIMIT 1", &st, err, CF_S(ips[i]));
        if (r == 0)
            r = cf_stmt_next(st, err);
        if (r == 1) {
            *ret = (struct asset_ref){cf_arena_copy(a, cf_stmt_str(st, 0)), cf_arena_copy(a, cf_stmt_str(st, 1)), cf_arena_copy(a, cf_stmt_str(st, 3)),
                                      (int)cf_stmt_i64(st, 2)};
            cf_stmt_free(st);
            return 0;
        }
        cf_stmt_free(st);
        if (r < 0)
            return r;
    }
    return 0;
}

static json_t *ids_json(const cf_str *v, size_t n)
{
    json_t *a = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, cf_str_json(v[i]));
    return a;
}

static void ring_append(json_t *last, const struct inc_group *g, size_t from_first)
{
    size_t n = g->n_last < INC_REFS ? g->n_last : INC_REFS, start = g->n_last < INC_REFS ? 0 : g->n_last % INC_REFS;

    for (size_t i = from_first; i < g->n_first; i++)
        json_array_append_new(last, cf_str_json(g->first[i]));
    for (size_t i = 0; i < n; i++)
        json_array_append_new(last, cf_str_json(g->last[(start + i) % INC_REFS]));
    while (json_array_size(last) > INC_REFS)
        json_array_remove(last, 0);
}

static json_t *matched_json(const struct cf_hit *h)
{
    json_t *a = json_array();

    for (size_t i = 0; i < h->n_matched && i < 32; i++)
        json_array_append_new(a, json_pack("{s:o, s:o}", "field", cf_str_json(h->matched[i].field), "value", cf_str_json(cf_text_cut(h->matched[i].value, 1000))));
    if (h->group.n)
        json_array_append_new(a, json_pack("{s:s, s:o}", "field", "group", "value", cf_str_json(h->group)));
    if (h->count)
        json_array_append_new(a, json_pack("{s:s, s:I}", "field", "count", "value", (json_int_t)h->count));
    return a;
}

static const char *sample_of(struct cf_arena *a, const struct cf_event *ev)
{
    struct cf_buf b;
    char *s = NULL;

    cf_buf_init(&b, INC_SAMPLE_MAX);
    cf_event_json(ev, &b);
    if (!b.failed)
        s = cf_arena_strdup(a, cf_buf_view(&b));
    cf_buf_release(&b);
    return s;
}

static int insert_alert(struct cf_tx *tx, struct cf_arena *a, const struct inc_group *g, struct inc_alert *al, struct cf_error *err)
{
    struct asset_ref as = {CF_STR_NONE, CF_STR_NONE, CF_STR_NONE, 0};
    json_t *first = ids_json(g->first, g->n_first), *last = json_array(), *matched = matched_json(g->hit);
    double conf = inc_confidence(g->rule, g->count);
    int64_t now = cf_now_us();
    int r = find_asset(tx, a, g, &as, err);

    ring_append(last, g, g->n_first);
    if (r == 0) {
        if (as.org.n && cf_str_eqz(g->org, INC_ROOT_ORG)) /* enrichment did not know it, the asset register does */
            al->org = as.org;
        al->importance = as.importance;
        al->asset_id = as.id;
        al->score = inc_score(al->level, as.importance, conf);
        r = cf_tx_exec(tx,
                       "INSERT INTO alert (id, org_id, rule_id, title, description, level, status, score, confidence, importance, count, first_seen, last_seen, "
                       "entity_type, entity_value, source_ip, destination_ip, host, user_name, process, asset_id, asset_name, tactics, techniques, source_name, "
                       "matched, events_first, events_last, sample, fold_key, created_us, updated_us, title_en, description_en, advice, advice_en) "
                       "VALUES (?,?,?,?,?,?,'new',?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                       err, CF_Z(al->id), CF_S(al->org), CF_S(g->rule->id), CF_S(title_of(g->rule)), CF_S(g->rule->description_zh.n ? g->rule->description_zh : g->rule->description.p ? g->rule->description : CF_STR("")),
                       CF_I(al->level), CF_I(al->score), CF_D(conf), CF_I(al->importance), CF_I(g->count), CF_I(g->first_us), CF_I(g->last_us),
                       CF_Z(g->entity.type), CF_S(g->entity.value), CF_S(al->source_ip), CF_S(al->destination_ip), CF_S(al->host), CF_S(al->user),
                       CF_S(first_of(g->ev, CF_F_PROCESS_EXECUTABLE, CF_F_PROCESS_NAME)), CF_S(as.id), CF_S(as.name), CF_Z(inc_json_dump(a, al->tactics)),
                       CF_Z(inc_json_dump(a, al->techniques)), CF_S(g->ev->source), CF_Z(inc_json_dump(a, matched)), CF_Z(inc_json_dump(a, first)),
                       CF_Z(inc_json_dump(a, last)), CF_Z(sample_of(a, g->ev)), CF_S(g->key), CF_I(now), CF_I(now), CF_S(g->rule->title),
                       CF_S(g->rule->description.n ? g->rule->description : CF_STR_NONE), CF_S(g->rule->advice_zh.n ? g->rule->advice_zh : CF_STR_NONE), CF_S(g->rule->advice.n ? g->rule->advice : CF_STR_NONE));
    }
    json_decref(first);
    json_decref(last);
    json_decref(matched);
    if (r == 0)
        r = inc_history(tx, cf_str_c(al->id), CF_STR_NONE, CF_STR("system"), "raised", CF_STR_NONE, CF_STR("new"), CF_STR_NONE, err);
    return r;
}

struct found {
    cf_str status, events_first, events_last, incident_id, org;
    int64_t count, first_us, last_us, decided_us;
    int importance;
};

static int find_alert(struct cf_tx *tx, struct cf_arena *a, const struct inc_group *g, char id[37], struct found *f, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx,
                        "SELECT id, status, count, first_seen, last_seen, events_first, events_last, incident_id, importance, COALESCE(decided_us, 0), org_id, asset_id "
                        "FROM alert WHERE fold_key = ? AND last_seen >= ? AND first_seen <= ? ORDER BY last_seen DESC LIMIT 1",
                        &st, err, CF_S(g->key), CF_I(g->first_us - INC_FOLD_WINDOW_US), CF_I(g->last_us + INC_FOLD_WINDOW_US));

    if (r == 0)
        r = cf_stmt_next(st, err);
    if (r == 1) {
        (void)snprintf(id, 37, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        *f = (struct found){cf_arena_copy(a, cf_stmt_str(st, 1)), cf_arena_copy(a, cf_stmt_str(st, 5)), cf_arena_copy(a, cf_stmt_str(st, 6)),
                            cf_stmt_null(st, 7) ? CF_STR_NONE : cf_arena_copy(a, cf_stmt_str(st, 7)), cf_arena_copy(a, cf_stmt_str(st, 10)), cf_stmt_i64(st, 2),
                            cf_stmt_i64(st, 3), cf_stmt_i64(st, 4), cf_stmt_i64(st, 9), (int)cf_stmt_i64(st, 8)};
    }
    cf_stmt_free(st);
    return r;
}

static int grow_alert(struct cf_tx *tx, struct cf_arena *a, const struct inc_group *g, const struct found *f, struct inc_alert *al, struct cf_error *err)
{
    json_t *first = inc_json_text(f->events_first, true), *last = inc_json_text(f->events_last, true);
    double conf;
    size_t moved = 0;
    int r;

    while (moved < g->n_first && json_array_size(first) < INC_REFS)
        json_array_append_new(first, cf_str_json(g->first[moved++]));
    ring_append(last, g, moved);
    al->count = f->count + g->count;
    al->first_us = f->first_us < g->first_us ? f->first_us : g->first_us;
    al->last_us = f->last_us > g->last_us ? f->last_us : g->last_us;
    conf = inc_confidence(g->rule, al->count);
    al->importance = f->importance;
    al->score = inc_score(al->level, f->importance, conf);
    /* closed work that goes on comes back; what was judged false or ignored stays quiet inside the window */
    al->reopened = cf_str_eqz(f->status, "closed");
    al->status = al->reopened ? CF_STR("handling") : f->status;
    r = cf_tx_exec(tx,
                   "UPDATE alert SET count = ?, first_seen = ?, last_seen = ?, score = ?, confidence = ?, status = ?, events_first = ?, events_last = ?, "
                   "updated_us = ? WHERE id = ?",
                   err, CF_I(al->count), CF_I(al->first_us), CF_I(al->last_us), CF_I(al->score), CF_D(conf), CF_S(al->status), CF_Z(inc_json_dump(a, first)),
                   CF_Z(inc_json_dump(a, last)), CF_I(cf_now_us()), CF_Z(al->id));
    json_decref(first);
    json_decref(last);
    if (r == 0 && al->reopened)
        r = inc_history(tx, cf_str_c(al->id), CF_STR_NONE, CF_STR("system"), "reopen", f->status, CF_STR("handling"), CF_STR("new hits"), err);
    return r;
}

int inc_alert_write(struct cf_tx *tx, struct cf_arena *a, const struct inc_group *g, struct inc_alert *ret, struct cf_error *reterr)
{
    struct inc_alert al = {.org = g->org, .rule_id = g->rule->id, .title = title_of(g->rule), .status = CF_STR("new"), .level = g->rule->level, .count = g->count,
                           .first_us = g->first_us, .last_us = g->last_us};
    struct found f;
    int r;

    al.source_ip = first_of(g->ev, CF_F_SOURCE_IP, CF_F_CLIENT_IP);
    al.destination_ip = first_of(g->ev, CF_F_DESTINATION_IP, CF_F_SERVER_IP);
    al.host = first_of(g->ev, CF_F_HOST_NAME, CF_F_WINLOG_COMPUTER_NAME);
    al.user = first_of(g->ev, CF_F_USER_NAME, CF_F_USER_TARGET_NAME);
    inc_tags(g->rule, &al.tactics, &al.techniques);
    r = find_alert(tx, a, g, al.id, &f, reterr);
    if (r == 1) {
        al.grew = true;
        al.org = f.org;
        al.incident_id = f.incident_id;
        r = grow_alert(tx, a, g, &f, &al, reterr);
    } else if (r == 0) {
        al.created = true;
        cf_uuid7(al.id);
        r = insert_alert(tx, a, g, &al, reterr);
    }
    if (r < 0) {
        inc_alert_release(&al);
        return r;
    }
    *ret = al;
    return 0;
}

int inc_alert_read(struct cf_tx *tx, struct cf_arena *a, cf_str id, struct inc_alert *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx,
                        "SELECT id, org_id, rule_id, title, status, incident_id, source_ip, destination_ip, host, user_name, asset_id, level, score, importance, "
                        "count, first_seen, last_seen, tactics, techniques FROM alert WHERE id = ?",
                        &st, reterr, CF_S(id));

    if (r == 0)
        r = cf_stmt_next(st, reterr);
    if (r == 1) {
        struct inc_alert al = {.level = (enum cf_level)cf_stmt_i64(st, 11), .score = (int)cf_stmt_i64(st, 12), .importance = (int)cf_stmt_i64(st, 13),
                               .count = cf_stmt_i64(st, 14), .first_us = cf_stmt_i64(st, 15), .last_us = cf_stmt_i64(st, 16)};
        cf_str *const text[] = {&al.org, &al.rule_id, &al.title, &al.status, &al.incident_id, &al.source_ip, &al.destination_ip, &al.host, &al.user, &al.asset_id};

        (void)snprintf(al.id, sizeof(al.id), "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        for (int i = 0; i < 10; i++)
            *text[i] = cf_stmt_null(st, i + 1) ? CF_STR_NONE : cf_arena_copy(a, cf_stmt_str(st, i + 1));
        al.tactics = inc_json_text(cf_stmt_str(st, 17), true);
        al.techniques = inc_json_text(cf_stmt_str(st, 18), true);
        *ret = al;
        r = 0;
    } else if (r == 0) {
        r = cf_error_set(reterr, CF_ENOENT, "there is no such alert");
    }
    cf_stmt_free(st);
    return r;
}

static json_t *time_json(int64_t us)
{
    char buf[32];

    return json_stringn(buf, cf_time_format(us, buf));
}

json_t *inc_alert_json(const struct inc_alert *al, const struct inc_group *g)
{
    return json_pack("{s:s, s:o, s:o, s:s, s:o, s:i, s:I, s:o, s:o, s:{s:s, s:o}, s:o, s:o, s:o, s:o, s:{s:o}, s:o, s:O, s:O}", "id", al->id, "rule_id",
                     cf_str_json(al->rule_id), "title", cf_str_json(al->title), "level", inc_level_name(al->level), "status", cf_str_json(al->status), "score",
                     al->score, "count", (json_int_t)al->count, "first_seen", time_json(al->first_us), "last_seen", time_json(al->last_us), "entity", "type",
                     g->entity.type, "value", cf_str_json(g->entity.value), "source_ip", cf_str_json(al->source_ip), "destination_ip",
                     cf_str_json(al->destination_ip), "host", cf_str_json(al->host), "user", cf_str_json(al->user), "org", "id", cf_str_json(al->org),
                     "incident_id", cf_str_json(al->incident_id), "tactics", al->tactics, "techniques", al->techniques);
}
