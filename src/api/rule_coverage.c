/* SPDX-License-Identifier: Apache-2.0
 * Coverage: the ATT&CK matrix over the rules in use, log sources, how rules did in the last month, and exceptions proposed for
 * noisy ones, each tried on every alert that people found to be real. */
#include <stdio.h>
#include <stdlib.h>

#include "api/event_export.h"
#include "api/rule_view.h"
#include "incident/incident.h"

/* ---- counts ---- */

static json_t *counter(json_t *o, cf_str key)
{
    char name[160];
    json_t *c;

    (void)snprintf(name, sizeof name, "%.*s", (int)(key.n < 159 ? key.n : 159), key.p);
    c = json_object_get(o, name);
    if (!c) {
        c = json_pack("{s:i,s:i,s:i,s:i}", "rules", 0, "enabled", 0, "staged", 0, "hits", 0);
        (void)json_object_set_new(o, name, c);
    }
    return c;
}

static void add(json_t *c, const char *key, int64_t n)
{
    (void)json_object_set_new(c, key, json_integer(json_integer_value(json_object_get(c, key)) + n));
}

static void count_row(json_t *c, const struct rule_row *row)
{
    add(c, "rules", 1);
    add(c, "enabled", row->state == CF_RULE_ENABLED);
    add(c, "staged", row->state == CF_RULE_STAGED);
    add(c, "hits", row->hits_30d);
}

/* {"a":{...}} -> [{key:"a",...}] */
static json_t *as_list(json_t *counts, const char *key)
{
    json_t *list = json_array(), *c;
    const char *name;

    json_object_foreach(counts, name, c)
    {
        json_t *o = json_copy(c);

        (void)json_object_set_new(o, key, json_string(name));
        (void)json_array_append_new(list, o);
    }
    json_decref(counts);
    return list;
}

/* "Privilege_Escalation" -> "privilege-escalation"; "T1059.001" -> "t1059.001" */
static cf_str folded(struct cf_req *req, cf_str s)
{
    char *p = cf_arena_strdup(req->arena, s);

    for (char *c = p; c && *c; c++)
        *c = *c == '_' ? '-' : *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    return cf_str_c(p);
}

struct counts {
    json_t *tactics, *techniques, *levels, *sources;
};

/* Two tags may name one tactic. */
static bool told_before(const struct cf_rule_info *ri, size_t k, cf_str name)
{
    cf_str other;

    for (size_t i = 0; i < k; i++)
        if (rule_is_tactic(ri->tags[i], &other) && cf_str_ieq(other, name))
            return true;
    return false;
}

static void count_rule(struct cf_req *req, struct counts *c, const struct rule_row *row)
{
    const struct cf_rule_info *ri = row->info;
    cf_str name;

    count_row(counter(c->levels, cf_str_c(cf_level_name(ri->level))), row);
    count_row(counter(c->sources, cf_arena_printf(req->arena, "%.*s/%.*s/%.*s", CF_ARG(ri->product), CF_ARG(ri->category), CF_ARG(ri->service))), row);
    for (size_t k = 0; k < ri->n_tags; k++) {
        if (rule_is_technique(ri->tags[k], &name))
            count_row(counter(c->techniques, folded(req, name)), row);
        else if (rule_is_tactic(ri->tags[k], &name) && !told_before(ri, k, name))
            count_row(counter(c->tactics, folded(req, name)), row);
    }
}

/* ---- matrix ---- */

/* Sub-techniques of id ("t1059.") summed with it. */
static json_t *technique(const json_t *counts, cf_str id, cf_str name)
{
    json_t *o = json_pack("{s:s%,s:s%,s:i,s:i,s:i,s:i}", "id", id.p, id.n, "name", name.p, name.n, "rules", 0, "enabled", 0, "staged", 0, "hits", 0), *c, *sub = json_array();
    const char *key;

    json_object_foreach((json_t *)(uintptr_t)counts, key, c)
    {
        cf_str k = cf_str_c(key);

        if (!cf_str_istarts(k, id) || (k.n > id.n && k.p[id.n] != '.'))
            continue;
        for (int i = 0; i < 4; i++) {
            static const char *const n[] = {"rules", "enabled", "staged", "hits"};

            add(o, n[i], json_integer_value(json_object_get(c, n[i])));
        }
        if (k.n > id.n)
            (void)json_array_append_new(sub, json_pack("{s:s,s:O,s:O}", "id", key, "rules", json_object_get(c, "rules"), "enabled", json_object_get(c, "enabled")));
    }
    (void)json_object_set_new(o, "sub", sub);
    return o;
}

static json_t *matrix(struct cf_req *req, const struct counts *c)
{
    char *path = cf_path_join(req->arena, rule_app(req)->content_dir, "taxonomy/attack.yaml");
    json_t *list = json_array();
    struct cf_ydoc *d = NULL;
    struct cf_error err;
    const struct cf_ynode *tactics, *techs;

    if (!path || cf_yaml_load(req->arena, path, &d, &err) < 0 || !d)
        return list;
    tactics = cf_ymap_get(d->root, "tactics");
    techs = cf_ymap_get(d->root, "techniques");
    for (const struct cf_ynode *t = tactics ? tactics->child : NULL; t; t = t->next) {
        json_t *rows = json_array(), *sum = counter(c->tactics, t->text), *o;

        for (const struct cf_ynode *x = techs ? techs->child : NULL; x; x = x->next) {
            bool mine = false;

            for (const struct cf_ynode *of = x->child ? x->child->next : NULL; of && !mine; of = of->next)
                mine = cf_str_eq(of->text, t->text);
            if (mine)
                (void)json_array_append_new(rows, technique(c->techniques, x->key, x->child->text));
        }
        o = json_copy(sum);
        (void)json_object_set_new(o, "tactic", rule_str(t->text));
        (void)json_object_set_new(o, "techniques", rows);
        (void)json_array_append_new(list, o);
    }
    return list;
}

static int coverage(struct cf_req *req, struct cf_error *reterr)
{
    struct counts c = {json_object(), json_object(), json_object(), json_object()};
    const struct cf_rule_refused *refused;
    json_t *bad = json_array(), *m, *o;
    size_t n_refused = 0, n_on = 0, n_staged = 0;
    struct rule_view v;
    int r = rule_view_open(req, &v, reterr);

    if (r == 0) {
        r = rule_view_month(&v, reterr);
        for (size_t i = 0; r == 0 && i < v.n; i++) {
            n_on += v.rows[i].state == CF_RULE_ENABLED;
            n_staged += v.rows[i].state == CF_RULE_STAGED;
            count_rule(req, &c, &v.rows[i]);
        }
        n_refused = cf_ruleset_refused(v.rs, &refused);
        for (size_t i = 0; i < n_refused && i < 200; i++)
            (void)json_array_append_new(bad, json_pack("{s:o,s:o}", "title", rule_str(refused[i].title), "reason", rule_str(refused[i].reason)));
        o = json_pack("{s:I,s:I,s:I,s:I,s:o}", "rules", (json_int_t)v.n, "enabled", (json_int_t)n_on, "staged", (json_int_t)n_staged, "refused", (json_int_t)n_refused, "refused_rules",
                      bad);
        rule_view_close(&v);
        m = matrix(req, &c);
        (void)json_object_set_new(o, "matrix", m);
        (void)json_object_set_new(o, "tactics", as_list(c.tactics, "tactic"));
        (void)json_object_set_new(o, "techniques", as_list(c.techniques, "technique"));
        (void)json_object_set_new(o, "levels", as_list(c.levels, "level"));
        (void)json_object_set_new(o, "logsources", as_list(c.sources, "logsource"));
        if (r == 0) {
            cf_reply_json(req, 200, cf_req_tell(req, o));
            return 0;
        }
        json_decref(o);
        return r;
    }
    json_decref(bad);
    json_decref(c.tactics);
    json_decref(c.techniques);
    json_decref(c.levels);
    json_decref(c.sources);
    return r;
}

/* ---- how rules did ---- */

static int history(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_dbval v[16];
    int64_t now = cf_now_us();
    struct rule_view view;
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    struct cf_buf sql;
    json_t *items = json_array();
    size_t n = 0;
    int r = rule_view_open(req, &view, reterr), more = 0;

    if (r < 0) {
        json_decref(items);
        return r;
    }
    cf_buf_init(&sql, 65536);
    cf_buf_z(&sql, "SELECT rule_id, SUM(CASE WHEN last_seen >= ? THEN count ELSE 0 END), SUM(CASE WHEN last_seen >= ? THEN count ELSE 0 END), SUM(count), COUNT(*), "
                   "SUM(CASE WHEN status = 'false_positive' THEN 1 ELSE 0 END), SUM(CASE WHEN status IN ('confirmed','converted','closed') THEN 1 ELSE 0 END), "
                   "SUM(CASE WHEN decided_us > 0 THEN decided_us - created_us ELSE 0 END), SUM(CASE WHEN decided_us > 0 THEN 1 ELSE 0 END), MAX(last_seen) FROM alert WHERE "
                   "last_seen >= ? AND ");
    v[0] = CF_I(now - now % CF_US_PER_DAY);
    v[1] = CF_I(now - 7 * CF_US_PER_DAY);
    v[2] = CF_I(now - 30 * CF_US_PER_DAY);
    cf_scope_sql(req->who, "org_id", &sql, v + 3, &n, req->arena);
    cf_buf_z(&sql, " GROUP BY rule_id ORDER BY 4 DESC");
    r = cf_tx_begin(rule_app(req)->db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = cf_tx_queryv(tx, cf_buf_cstr(&sql), v, 3 + n, &st, reterr);
    while (r == 0 && (more = cf_stmt_next(st, reterr)) == 1) {
        int64_t alerts = cf_stmt_i64(st, 4), bad = cf_stmt_i64(st, 5), good = cf_stmt_i64(st, 6), decided = cf_stmt_i64(st, 8);
        const struct rule_row *row = NULL;

        for (size_t i = 0; i < view.n && !row; i++)
            if (cf_str_eq(view.rows[i].info->id, cf_stmt_str(st, 0)))
                row = &view.rows[i];
        (void)json_array_append_new(
            items, json_pack("{s:o,s:o,s:o,s:s?,s:s?,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "id", rule_str(cf_stmt_str(st, 0)), "title", row ? rule_str(row->info->title) : json_null(),
                             "title_zh", row ? rule_str(row->info->title_zh) : json_null(), "level", row ? cf_level_name(row->info->level) : NULL, "state",
                             row ? cf_rule_state_name(row->state) : NULL, "hits_today", (json_int_t)cf_stmt_i64(st, 1), "hits_7d", (json_int_t)cf_stmt_i64(st, 2), "hits_30d",
                             (json_int_t)cf_stmt_i64(st, 3), "alerts_30d", (json_int_t)alerts, "false_positives", (json_int_t)bad, "confirmed", (json_int_t)good, "false_share",
                             bad + good ? json_real((double)bad / (double)(bad + good)) : json_null(), "mean_handling_s",
                             decided ? json_real((double)cf_stmt_i64(st, 7) / (double)decided / 1e6) : json_null(), "last_hit", rule_time(cf_stmt_i64(st, 9))));
    }
    r = more < 0 ? more : r;
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    cf_buf_release(&sql);
    rule_view_close(&view);
    if (r < 0)
        json_decref(items);
    else
        cf_reply_list(req, items, NULL, (int64_t)json_array_size(items));
    return r;
}

/* ---- proposed exceptions ---- */

#define ALERTS_MAX 2000
#define PROPOSALS_MAX 8
static const char *const propose_over[] = {"source.ip", "user.name", "host.name", "destination.ip", "destination.domain", "process.executable", "process.command_line", "process.name",
                                           "process.parent.name", "process.parent.executable", "url.path", "url.domain", "user_agent.original", "dns.question.name", "file.path",
                                           "event.code", "winlog.event_data.TargetUserName", "winlog.event_data.Image", "winlog.event_data.CommandLine"};
#define N_OVER (sizeof propose_over / sizeof *propose_over)

struct sample {
    json_t *event;
    char verdict; /* 'f' false, 'c' confirmed, 'o' open */
};
struct pool {
    struct sample *v;
    size_t n, n_false, n_confirmed, n_open;
    json_t *confirmed_ids; /* stored events of confirmed alerts */
};

static void add_ids(json_t *to, cf_str list)
{
    json_t *ids = json_loadb(list.p ? list.p : "", list.n, 0, NULL), *one;
    size_t i;

    json_array_foreach(ids, i, one)
    {
        json_t *id = json_is_object(one) ? json_object_get(one, "id") : one;

        if (json_is_string(id) && json_object_size(to) < 1000)
            (void)json_object_set_new(to, json_string_value(id), json_true());
    }
    json_decref(ids);
}

static int pool_fill(struct cf_req *req, cf_str rule_id, struct pool *p, struct cf_error *reterr)
{
    struct cf_dbval v[8] = {CF_S(rule_id), CF_I(cf_now_us() - 30 * CF_US_PER_DAY)};
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    struct cf_buf sql;
    size_t n = 0;
    int r, more = 0;

    cf_buf_init(&sql, 65536);
    /* confirmed ones of all time: a known true alert is never hidden */
    cf_buf_z(&sql, "SELECT status, sample, events_first, events_last FROM alert WHERE rule_id = ? AND (last_seen >= ? OR status IN ('confirmed','converted','closed')) AND ");
    cf_scope_sql(req->who, "org_id", &sql, v + 2, &n, req->arena);
    cf_buf_z(&sql, " ORDER BY CASE WHEN status IN ('confirmed','converted','closed') THEN 0 ELSE 1 END, last_seen DESC LIMIT 2000");
    r = cf_tx_begin(rule_app(req)->db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = cf_tx_queryv(tx, cf_buf_cstr(&sql), v, 2 + n, &st, reterr);
    while (r == 0 && p->n < ALERTS_MAX && (more = cf_stmt_next(st, reterr)) == 1) {
        cf_str status = cf_stmt_str(st, 0), sample = cf_stmt_str(st, 1);
        struct sample *s = &p->v[p->n++];
        bool yes = cf_str_eqz(status, "confirmed") || cf_str_eqz(status, "converted") || cf_str_eqz(status, "closed"), no = cf_str_eqz(status, "false_positive");

        s->event = json_loadb(sample.p ? sample.p : "", sample.n, 0, NULL);
        s->verdict = yes ? 'c' : no ? 'f' : 'o';
        p->n_confirmed += yes;
        p->n_false += no;
        p->n_open += !yes && !no;
        if (yes) {
            add_ids(p->confirmed_ids, cf_stmt_str(st, 2));
            add_ids(p->confirmed_ids, cf_stmt_str(st, 3));
        }
    }
    r = more < 0 ? more : r;
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    cf_buf_release(&sql);
    return r;
}

/* First text of a dotted field in a nested document. */
static const char *value_at(const json_t *o, const char *field)
{
    cf_str rest = cf_str_c(field), part;
    char name[101];

    while (o && cf_str_cut(&rest, '.', &part)) {
        if (part.n >= sizeof name)
            return NULL;
        memcpy(name, part.p, part.n);
        name[part.n] = '\0';
        o = json_object_get(o, name);
    }
    if (json_is_array(o))
        o = json_array_get(o, 0);
    return json_is_string(o) && json_string_length(o) > 0 && json_string_length(o) <= 300 ? json_string_value(o) : NULL;
}

/* The stored events of confirmed alerts, as nested documents. */
static json_t *replay_events(struct cf_req *req, const struct pool *p)
{
    size_t n = json_object_size(p->confirmed_ids), k = 0;
    cf_str *ids = CF_NEW_N(req->arena, cf_str, n + 1);
    struct cf_event **ev = CF_NEW_N(req->arena, struct cf_event *, n + 1);
    struct cf_event_scope all = {.all = true}; /* only counted; nothing of them goes out */
    json_t *list = json_array(), *v, *o;
    struct cf_error err;
    const char *key;

    if (!rule_app(req)->events || !ids || !ev)
        return list;
    json_object_foreach(p->confirmed_ids, key, v) ids[k++] = cf_str_c(key);
    for (size_t i = 0; i < k; i += 250) {
        size_t m = k - i < 250 ? k - i : 250;

        if (cf_event_fetch(rule_app(req)->events, &all, ids + i, m, req->arena, ev + i, &err) < 0)
            break;
        for (size_t j = i; j < i + m; j++) {
            struct cf_buf b;

            if (!ev[j])
                continue;
            cf_buf_init(&b, 4 << 20);
            cf_event_json(ev[j], &b);
            o = json_loadb(b.p, b.n, 0, NULL);
            cf_buf_release(&b);
            if (o)
                (void)json_array_append_new(list, o);
        }
    }
    return list;
}

static bool holds(const json_t *event, const char *field, const char *value)
{
    const char *v = value_at(event, field);

    return v && cf_str_ieq(cf_str_c(v), cf_str_c(value));
}

static json_t *judge(const struct pool *p, const json_t *replayed, const char *field, const char *value)
{
    int64_t f = 0, c = 0, o = 0, rc = 0;
    json_t *x;
    size_t i;

    for (i = 0; i < p->n; i++) {
        if (!p->v[i].event || !holds(p->v[i].event, field, value))
            continue;
        f += p->v[i].verdict == 'f';
        c += p->v[i].verdict == 'c';
        o += p->v[i].verdict == 'o';
    }
    json_array_foreach(replayed, i, x) rc += holds(x, field, value);
    return json_pack("{s:{s:s},s:I,s:I,s:I,s:I,s:b}", "fields", field, value, "false_positives", (json_int_t)f, "confirmed", (json_int_t)c, "open", (json_int_t)o, "confirmed_events",
                     (json_int_t)rc, "safe", c == 0 && rc == 0);
}

static int by_worth(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    bool sx = json_is_true(json_object_get(x, "safe")), sy = json_is_true(json_object_get(y, "safe"));
    json_int_t fx = json_integer_value(json_object_get(x, "false_positives")), fy = json_integer_value(json_object_get(y, "false_positives"));

    return sx != sy ? (sx ? -1 : 1) : fx != fy ? (fx < fy ? 1 : -1) : 0;
}

/* Values that at least half of the false alerts share (and two of them at least). */
static json_t *propose(const struct pool *p, const json_t *replayed)
{
    json_t *found[N_OVER * 4], *out = json_array(), *n;
    size_t n_found = 0;

    for (size_t k = 0; k < N_OVER; k++) {
        json_t *count = json_object();
        const char *v;
        size_t taken = 0;

        for (size_t i = 0; i < p->n; i++)
            if (p->v[i].verdict == 'f' && p->v[i].event && (v = value_at(p->v[i].event, propose_over[k])))
                (void)json_object_set_new(count, v, json_integer(json_integer_value(json_object_get(count, v)) + 1));
        json_object_foreach(count, v, n)
        {
            if (taken < 4 && json_integer_value(n) * 2 >= (json_int_t)p->n_false && json_integer_value(n) >= 2) {
                found[n_found++] = judge(p, replayed, propose_over[k], v);
                taken++;
            }
        }
        json_decref(count);
    }
    qsort(found, n_found, sizeof *found, by_worth);
    for (size_t i = 0; i < n_found; i++) {
        if (i < PROPOSALS_MAX)
            (void)json_array_append_new(out, found[i]);
        else
            json_decref(found[i]);
    }
    return out;
}

static int proposals(struct cf_req *req, struct cf_error *reterr)
{
    struct pool p = {.v = CF_NEW_N(req->arena, struct sample, ALERTS_MAX), .confirmed_ids = json_object()};
    json_t *replayed, *list;
    int r = p.v ? pool_fill(req, cf_req_path(req, "id"), &p, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");

    if (r == 0) {
        replayed = replay_events(req, &p);
        list = propose(&p, replayed);
        cf_reply_json(req, 200, json_pack("{s:I,s:I,s:I,s:I,s:I,s:o}", "false_positives", (json_int_t)p.n_false, "confirmed", (json_int_t)p.n_confirmed, "open", (json_int_t)p.n_open,
                                          "replayed_events", (json_int_t)json_array_size(replayed), "missing_events",
                                          (json_int_t)(json_object_size(p.confirmed_ids) - json_array_size(replayed)), "proposals", list));
        json_decref(replayed);
    }
    for (size_t i = 0; i < p.n; i++)
        json_decref(p.v[i].event);
    json_decref(p.confirmed_ids);
    return r;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/rules/coverage", .permission = "rule.read", .handler = coverage, .scope = "all",
     .doc = "Rules by ATT&CK tactic and technique, level and log source, with hits of 30 days"},
    {.method = CF_GET, .path = "/api/v1/rules/history", .permission = "rule.read", .handler = history,
     .doc = "How rules did: hits today, in 7 and 30 days, share of false alerts, time to a decision"},
    {.method = CF_GET, .path = "/api/v1/rules/{id}/proposals", .permission = "rule.read", .handler = proposals,
     .doc = "Exceptions that would hide most of a rule's false alerts, each tried on every confirmed alert"},
};

void cf_rule_coverage_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
