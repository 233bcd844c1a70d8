/* SPDX-License-Identifier: Apache-2.0
 * Data quality of each data source: rate by the minute, clock skew and field fill from samples (one event in 16), silence with
 * its messages, stored records nobody understood. Samples live in memory and begin anew with the process; failures and silence
 * are stored. */
#include "pipeline/quality.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/list.h"
#include "api/sse.h"
#include "app/app.h"
#include "asset/asset.h"
#include "message/message.h"

static const enum cf_field watched[QUALITY_FIELDS] = {
    CF_F_EVENT_ACTION, CF_F_EVENT_CATEGORY, CF_F_EVENT_OUTCOME, CF_F_EVENT_TYPE, CF_F_EVENT_SEVERITY, CF_F_SOURCE_IP, CF_F_SOURCE_PORT,
    CF_F_DESTINATION_IP, CF_F_DESTINATION_PORT, CF_F_HOST_NAME, CF_F_USER_NAME, CF_F_PROCESS_NAME, CF_F_PROCESS_EXECUTABLE,
    CF_F_PROCESS_COMMAND_LINE, CF_F_NETWORK_TRANSPORT, CF_F_NETWORK_BYTES, CF_F_URL_ORIGINAL, CF_F_URL_DOMAIN, CF_F_HTTP_REQUEST_METHOD,
    CF_F_HTTP_RESPONSE_STATUS_CODE, CF_F_DNS_QUESTION_NAME, CF_F_RULE_NAME, CF_F_OBSERVER_NAME, CF_F_ORGANIZATION_ID,
};

struct quality *quality_of(struct cf_counter *k)
{
    struct quality *q = atomic_load(&k->quality), *mine;
    void *none = NULL;

    if (q)
        return q;
    mine = calloc(1, sizeof *mine);
    if (!mine)
        return NULL;
    if (atomic_compare_exchange_strong(&k->quality, &none, (void *)mine))
        return mine;
    free(mine);
    return none;
}

void quality_sample(struct cf_counter *k, const struct cf_event *ev)
{
    struct quality *q = quality_of(k);
    int64_t skew;

    if (!q || (ev->flags & (CF_EV_UNPARSED | CF_EV_UNRECOGNISED | CF_EV_HEADER)))
        return;
    skew = (ev->received_us - ev->time_us) / 1000;
    atomic_store(&q->skew_ms[atomic_fetch_add(&q->n_skew, 1) % QUALITY_SKEWS], (int32_t)(skew > INT32_MAX ? INT32_MAX : skew < INT32_MIN ? INT32_MIN : skew));
    if (atomic_fetch_add(&q->sampled, 1) >= 100000) { /* the newest count most */
        atomic_store(&q->sampled, 50000);
        for (size_t i = 0; i < QUALITY_FIELDS; i++)
            atomic_store(&q->field[i], atomic_load(&q->field[i]) / 2);
    }
    for (size_t i = 0; i < QUALITY_FIELDS; i++)
        if (ev->slot[watched[i]])
            atomic_fetch_add_explicit(&q->field[i], 1, memory_order_relaxed);
}

void quality_tick(struct cf_pipeline *p, int64_t now_us)
{
    int64_t minute = now_us / (60 * CF_US_PER_S);

    for (struct cf_counter *k = cf_counters_first(p->counters); k; k = k->next) {
        uint64_t received = atomic_load(&k->received);
        struct quality *q = received ? quality_of(k) : NULL;
        int64_t at;

        if (!q)
            continue;
        at = atomic_load(&q->at);
        if (at == 0)
            at = minute;
        if (minute - at > (int64_t)QUALITY_MINUTES)
            at = minute - (int64_t)QUALITY_MINUTES;
        while (at < minute) {
            atomic_store(&q->minute[++at % QUALITY_MINUTES], 0);
            q->received = received;
        }
        atomic_store(&q->minute[at % QUALITY_MINUTES], (uint32_t)(received - q->received));
        atomic_store(&q->at, at);
    }
}

void cf_pipeline_forget_skew(struct cf_pipeline *p)
{
    for (struct cf_counter *k = cf_counters_first(p->counters); k; k = k->next) {
        struct quality *q = atomic_load(&k->quality);

        if (q)
            atomic_store(&q->n_skew, 0);
    }
}

void quality_mark_unparsed(struct cf_event *ev, const struct cf_spool_origin *o)
{
    static const char *const name[] = {"chengfang.data_source", "chengfang.peer", "chengfang.format", "chengfang.parser"};
    const cf_str v[] = {o->key, o->peer, o->format, o->source};

    for (size_t i = 0; i < 4; i++)
        if (v[i].n)
            (void)cf_event_extra(ev, cf_name_intern(cf_str_c(name[i])), cf_arena_copy(ev->arena, v[i]), 0, CF_V_STR);
}

/* ---- silence ---------------------------------------------------------------------------------------------------------------- */

struct silent_row {
    char id[40], name[96], owner[128];
    int64_t last_us, after_us, since_us;
    bool silent;
    bool changed; /* and nobody was told yet */
};
/* When more than so many of one person's sources fall silent or come back at once, one message says so. */
#define TELL_EACH 10

/* The responsible person by login or display name; without one, those who administer the system. */
static int recipients(struct cf_tx *tx, const char *owner, struct cf_arena *a, cf_str *ids, size_t max, size_t *ret_n, struct cf_error *reterr)
{
    static const char *const sql[] = {
        "SELECT id FROM app_user WHERE active = 1 AND (name = ? OR display_name = ?) LIMIT 50",
        "SELECT DISTINCT u.id FROM app_user u JOIN user_role r ON r.user_id = u.id WHERE u.active = 1 AND r.role_id IN (?, ?) LIMIT 50",
    };
    int r = 0;

    *ret_n = 0;
    for (size_t i = owner[0] ? 0 : 1; i < 2 && *ret_n == 0 && r == 0; i++) {
        const struct cf_dbval v[] = {CF_Z(i ? "system_admin" : owner), CF_Z(i ? "system_admin" : owner)};
        struct cf_stmt *st = NULL;

        r = cf_tx_queryv(tx, sql[i], v, 2, &st, reterr);
        while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
            r = 0;
            if (*ret_n < max)
                ids[(*ret_n)++] = cf_arena_copy(a, cf_stmt_str(st, 0));
        }
        cf_stmt_free(st);
    }
    return r;
}

static int tell_one(struct cf_pipeline *p, struct cf_tx *tx, const struct silent_row *s, const cf_str *ids, size_t n, int64_t now, struct cf_error *reterr)
{
    char minutes[32], last[32];

    (void)snprintf(minutes, sizeof minutes, "%lld", (long long)((s->silent ? now - s->last_us : now - s->since_us) / (60 * CF_US_PER_S)));
    last[cf_time_format(s->last_us, last)] = '\0';
    const struct cf_msg_var vars[] = {{"name", cf_str_c(s->name)}, {"minutes", cf_str_c(minutes)}, {"last", cf_str_c(last)}};
    const struct cf_msg m = {.template = s->silent ? CF_STR("source-silent") : CF_STR("source-back"), .users = ids, .n_users = n, .vars = vars, .n_vars = 3,
                             .href = CF_STR("/quality"), .level = s->silent ? CF_STR("high") : CF_STR("informational")};

    return cf_messenger_send(p->o.messenger, tx, &m, reterr);
}

static int tell_many(struct cf_pipeline *p, struct cf_tx *tx, bool silent, const char *names, size_t count, const cf_str *ids, size_t n, struct cf_error *reterr)
{
    char number[32];

    (void)snprintf(number, sizeof number, "%zu", count);
    const struct cf_msg_var vars[] = {{"count", cf_str_c(number)}, {"names", cf_str_c(names)}};
    const struct cf_msg m = {.template = silent ? CF_STR("sources-silent") : CF_STR("sources-back"), .users = ids, .n_users = n, .vars = vars, .n_vars = 2,
                             .href = CF_STR("/quality"), .level = silent ? CF_STR("high") : CF_STR("informational")};

    return cf_messenger_send(p->o.messenger, tx, &m, reterr);
}

/* The messages about row[at] and all behind it that changed alike and are the same person's. */
static int tell(struct cf_pipeline *p, struct cf_tx *tx, struct silent_row *row, size_t n, size_t at, int64_t now, struct cf_arena *a, struct cf_error *reterr)
{
    const struct silent_row first = row[at];
    char names[200] = "";
    size_t used = 0, count = 0, n_ids = 0;
    cf_str ids[50];
    int r = recipients(tx, first.owner, a, ids, 50, &n_ids, reterr);

    for (size_t i = at; i < n; i++)
        count += row[i].changed && row[i].silent == first.silent && strcmp(row[i].owner, first.owner) == 0;
    for (size_t i = at; i < n && r == 0; i++) {
        if (!row[i].changed || row[i].silent != first.silent || strcmp(row[i].owner, first.owner) != 0)
            continue;
        row[i].changed = false;
        if (count <= TELL_EACH && n_ids)
            r = tell_one(p, tx, &row[i], ids, n_ids, now, reterr);
        else if (used + strlen(row[i].name) + 8 < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", row[i].name);
    }
    return r == 0 && n_ids && count > TELL_EACH ? tell_many(p, tx, first.silent, names, count, ids, n_ids, reterr) : r;
}

static int note_change(struct cf_tx *tx, struct silent_row *s, int64_t now, struct cf_error *reterr)
{
    const struct cf_dbval v[] = {s->silent ? CF_I(now) : CF_NUL, CF_Z(s->id)};

    s->changed = true;
    return cf_tx_execv(tx, "UPDATE data_source SET silent_us = ? WHERE id = ?", v, 2, NULL, reterr);
}

static bool silent_now(struct cf_pipeline *p, struct silent_row *s, int64_t now)
{
    const struct cf_counter *c = cf_counters_find(p->counters, cf_str_c(s->name));
    int64_t last = c ? atomic_load(&c->last_us) : 0;

    s->last_us = last > s->last_us ? last : s->last_us;
    if (s->silent && s->last_us > s->since_us)
        return false; /* it sent something meanwhile, be it long ago */
    return now - s->last_us > s->after_us;
}

static int silent_rows(struct cf_tx *tx, struct cf_arena *a, struct silent_row **ret, size_t *ret_n, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    size_t cap = 5000;
    int r = cf_tx_query(tx,
                        "SELECT id, name, COALESCE(owner_name, ''), COALESCE(last_us, created_us), silent_after_us, COALESCE(silent_us, 0), created_us FROM data_source"
                        " WHERE registered = 1 AND enabled = 1 ORDER BY name LIMIT 5000",
                        &st, reterr);

    *ret = CF_NEW_N(a, struct silent_row, cap);
    *ret_n = 0;
    while (r == 0 && *ret && *ret_n < cap && (r = cf_stmt_next(st, reterr)) == 1) {
        struct silent_row *s = &(*ret)[(*ret_n)++];
        char *to[] = {s->id, s->name, s->owner};
        const size_t size[] = {sizeof s->id, sizeof s->name, sizeof s->owner};

        for (int i = 0; i < 3; i++) {
            cf_str t = cf_stmt_str(st, i);

            (void)snprintf(to[i], size[i], "%.*s", CF_ARG(t));
        }
        s->last_us = cf_stmt_i64(st, 3) > cf_stmt_i64(st, 6) ? cf_stmt_i64(st, 3) : cf_stmt_i64(st, 6);
        s->after_us = cf_stmt_i64(st, 4);
        s->since_us = cf_stmt_i64(st, 5);
        s->silent = s->since_us != 0;
        r = 0;
    }
    cf_stmt_free(st);
    return *ret ? r : CF_ENOMEM;
}

void quality_check_silent(struct cf_pipeline *p)
{
    struct cf_error err = {0};
    struct silent_row *row = NULL;
    struct cf_tx *tx = NULL;
    struct cf_arena a;
    size_t n = 0, n_silent = 0, changed = 0;
    char names[160] = "";
    size_t n_names = 0; /* bytes in names */
    int64_t now = cf_now_us();
    int r;

    if (!p->o.db)
        return;
    cf_arena_init(&a, 0, 64u << 20);
    r = cf_tx_begin(p->o.db, CF_TX_READ, &tx, &err);
    if (r == 0)
        r = silent_rows(tx, &a, &row, &n, &err);
    cf_tx_rollback(&tx);
    for (size_t i = 0; i < n && r == 0; i++) {
        bool now_silent = silent_now(p, &row[i], now);

        if (now_silent != row[i].silent) {
            row[i].silent = now_silent;
            if (!tx)
                r = cf_tx_begin(p->o.db, CF_TX_WRITE, &tx, &err);
            if (r == 0)
                r = note_change(tx, &row[i], now, &err);
            changed++;
        }
        if (now_silent && n_silent++ < 5 && n_names + strlen(row[i].name) + 3 < sizeof names)
            n_names += (size_t)snprintf(names + n_names, sizeof names - n_names, "%s%s", n_names ? ", " : "", row[i].name);
    }
    for (size_t i = 0; i < n && r == 0 && p->o.messenger; i++)
        if (row[i].changed)
            r = tell(p, tx, row, n, i, now, &a, &err);
    if (r == 0 && tx)
        r = cf_tx_commit(&tx, &err);
    cf_tx_rollback(&tx);
    cf_arena_release(&a);
    if (r < 0) {
        cf_log_warn("pipeline", "silent data sources not looked at", "reason=\"%s\"", err.msg);
        return;
    }
    (void)pthread_mutex_lock(&p->mu);
    p->n_silent = n_silent;
    p->n_watched = n;
    memcpy(p->silent_names, names, sizeof p->silent_names);
    (void)pthread_mutex_unlock(&p->mu);
    if (changed) {
        json_t *h = p->o.hub ? cf_pipeline_health(p) : NULL;

        if (p->o.messenger)
            cf_messenger_kick(p->o.messenger);
        if (h)
            cf_hub_publish(p->o.hub, "health", CF_STR_NONE, CF_STR_NONE, h);
        json_decref(h);
        cf_log_info("pipeline", "data sources fell silent or came back", "changed=%zu silent=%zu", changed, n_silent);
    }
}

json_t *quality_silent_component(struct cf_pipeline *p)
{
    char detail[240];
    size_t n, of;

    (void)pthread_mutex_lock(&p->mu);
    n = p->n_silent;
    of = p->n_watched;
    (void)snprintf(detail, sizeof detail, n ? "%zu of %zu silent: %s" : "%zu of %zu silent%s", n, of, p->silent_names);
    (void)pthread_mutex_unlock(&p->mu);
    return json_pack("{s:s,s:s,s:s,s:{s:I,s:I}}", "name", "sources", "status", n ? "warning" : "ok", "detail", detail, "metrics", "silent", (json_int_t)n, "watched",
                     (json_int_t)of);
}

/* ---- GET /api/v1/quality/sources ----------------------------------------------------------------------------------------------- */

static int cmp_i32(const void *a, const void *b)
{
    int32_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void add_samples(json_t *item, struct quality *q)
{
    uint32_t n = atomic_load(&q->n_skew), sampled = atomic_load(&q->sampled);
    json_t *minutes = json_array(), *fields = json_array();
    int64_t at = atomic_load(&q->at);
    int32_t v[QUALITY_SKEWS] = {0};

    n = n < QUALITY_SKEWS ? n : QUALITY_SKEWS;
    for (uint32_t i = 0; i < n; i++)
        v[i] = atomic_load(&q->skew_ms[i]);
    qsort(v, n, sizeof *v, cmp_i32);
    if (n) {
        int32_t half = v[n / 2], p95 = v[n * 95 / 100];

        (void)json_object_set_new(item, "skew_seconds", json_real((double)half / 1000.0));
        (void)json_object_set_new(item, "skew_p95_seconds", json_real((double)p95 / 1000.0));
    }
    for (int64_t i = (int64_t)QUALITY_MINUTES - 1; i >= 0; i--)
        (void)json_array_append_new(minutes, json_integer(at > i ? atomic_load(&q->minute[(at - i) % QUALITY_MINUTES]) : 0));
    for (size_t i = 0; i < QUALITY_FIELDS && sampled; i++) {
        uint32_t k = atomic_load(&q->field[i]);

        if (k)
            (void)json_array_append_new(fields, json_pack("{s:s,s:f}", "field", cf_fields[watched[i]].name, "percent",
                                                          cf_percent(k < sampled ? k : sampled, sampled)));
    }
    (void)json_object_set_new(item, "minutes", minutes);
    (void)json_object_set_new(item, "fields", fields);
    (void)json_object_set_new(item, "sampled", json_integer(sampled));
}

static int finish(struct cf_req *req, struct cf_tx *tx, json_t *item, struct cf_error *reterr)
{
    struct cf_pipeline *p = ((struct cf_app *)req->app)->pipeline;
    const char *name = json_string_value(json_object_get(item, "name"));
    struct cf_counter *c = p && name ? cf_counters_find(p->counters, cf_str_c(name)) : NULL;
    struct quality *q = c ? atomic_load(&c->quality) : NULL;
    uint64_t stored = c ? atomic_load(&c->stored) : 0, unparsed = c ? atomic_load(&c->unparsed) : 0;
    int64_t last = c ? atomic_load(&c->last_us) : 0;
    char text[32];

    (void)tx;
    (void)reterr;
    if (last)
        (void)json_object_set_new(item, "last_seen", json_stringn(text, cf_time_format(last, text)));
    (void)json_object_set_new(item, "eps", json_real(c ? (double)atomic_load(&c->eps_milli) / 1000.0 : 0));
    (void)json_object_set_new(item, "received", json_integer((json_int_t)(c ? atomic_load(&c->received) : 0)));
    (void)json_object_set_new(item, "stored", json_integer((json_int_t)stored));
    (void)json_object_set_new(item, "unparsed", json_integer((json_int_t)unparsed));
    (void)json_object_set_new(item, "status", json_string(source_status(item, c)));
    (void)json_object_set_new(item, "failure_rate", json_real(cf_percent(unparsed, stored)));
    if (q)
        add_samples(item, q);
    return 0;
}

static const struct cf_lcol cols[] = {
    {"id", "s.id", CF_LC_TEXT, CF_LC_FILTER},
    {"name", "s.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_FILTER | CF_LC_SEARCH},
    {"parser", "s.source", CF_LC_TEXT, CF_LC_FILTER},
    {"org.id", "s.org_id", CF_LC_TEXT, CF_LC_FILTER},
    {"org.name", "o.name", CF_LC_TEXT, CF_LC_SORT | CF_LC_SEARCH},
    {"enabled", "s.enabled", CF_LC_BOOL, CF_LC_FILTER},
    {"registered", "s.registered", CF_LC_BOOL, CF_LC_FILTER},
    {"owner", "s.owner_name", CF_LC_TEXT, CF_LC_SEARCH},
    {"silent", "CASE WHEN s.silent_us IS NULL THEN 0 ELSE 1 END", CF_LC_BOOL, CF_LC_FILTER},
    {"silent_since", "s.silent_us", CF_LC_TIME, CF_LC_SORT},
    {"silent_after_seconds", "s.silent_after_us / 1000000", CF_LC_I64, 0},
    {"last_seen", "s.last_us", CF_LC_TIME, CF_LC_SORT},
    {"created_at", "s.created_us", CF_LC_TIME, CF_LC_SORT},
};
static const struct cf_list list = {
    .from = "data_source s LEFT JOIN organisation o ON o.id = s.org_id", .id_sql = "s.id", .scope_col = "s.org_id", .default_sort = "name",
    .cols = cols, .n_cols = sizeof cols / sizeof *cols, .finish = finish,
};
static int get_sources(struct cf_req *req, struct cf_error *reterr) { return cf_list_reply(req, ((struct cf_app *)req->app)->db, &list, reterr); }

/* ---- GET /api/v1/quality/failures ------------------------------------------------------------------------------------------------ */

static int query_json(struct cf_req *req, const char *sql, const struct cf_query_param *v, size_t n, json_t **ret, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    struct cf_buf out;
    int r;

    cf_buf_init(&out, 16u << 20);
    r = cf_event_store_query(app->events, cf_str_c(sql), v, n, "JSON", NULL, &out, reterr);
    if (r == 0) {
        json_t *j = json_loadb(out.p, out.n, 0, NULL);

        *ret = json_incref(json_object_get(j, "data"));
        json_decref(j);
        if (!*ret)
            r = cf_error_set(reterr, CF_EDB, "the event store's answer is not readable");
    }
    cf_buf_release(&out);
    return r;
}

/* " AND organization_id IN (..)" for callers that do not see everything. */
static int scope_text(struct cf_req *req, struct cf_buf *out, struct cf_error *reterr)
{
    bool all = false;
    cf_str *orgs = NULL;
    size_t n = 0;
    int r = cf_scope_orgs(((struct cf_app *)req->app)->db, req->who, req->arena, &all, &orgs, &n, reterr);

    if (r < 0 || all)
        return r;
    cf_buf_z(out, " AND organization_id IN (''");
    for (size_t i = 0; i < n; i++) { /* ids are UUIDs and names of our own: letters, digits and dashes */
        bool plain = true;

        for (size_t k = 0; k < orgs[i].n; k++)
            plain = plain && (orgs[i].p[k] == '-' || orgs[i].p[k] == '_' || (orgs[i].p[k] >= '0' && orgs[i].p[k] <= '9') || ((orgs[i].p[k] | 32) >= 'a' && (orgs[i].p[k] | 32) <= 'z'));
        if (plain)
            cf_buf_printf(out, ",'%.*s'", CF_ARG(orgs[i]));
    }
    cf_buf_z(out, ") AND organization_id != ''");
    return out->failed ? cf_error_set(reterr, CF_ELIMIT, "too many organisations") : 0;
}

static int get_failures(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_app *app = req->app;
    json_t *groups = NULL, *samples = NULL;
    struct cf_buf scope, sql;
    const char *db;
    char from[32];
    int64_t hours;
    cf_str source = cf_req_query(req, "source");
    struct cf_query_param v[2] = {{"from", {from, 0}}, {"source", source.p ? source : CF_STR("")}};
    int r = cf_req_query_i64(req, "hours", 24, 1, 24 * 400, &hours, reterr);

    if (r == 0 && !app->events)
        r = cf_error_set(reterr, CF_EBUSY, "there is no event store");
    if (r < 0)
        return r;
    cf_buf_init(&scope, 1 << 20);
    cf_buf_init(&sql, 4 << 20);
    db = cf_event_store_database(app->events);
    v[0].value.n = (size_t)snprintf(from, sizeof from, "%lld", (long long)(cf_now_us() - hours * 3600 * CF_US_PER_S));
    r = scope_text(req, &scope, reterr);
    cf_buf_printf(&sql,
                  "SELECT extras['chengfang.data_source'] AS data_source, extras['error.message'] AS reason, toUInt32(count()) AS count,"
                  " formatDateTime(max(events.time), '%%Y-%%m-%%dT%%H:%%i:%%SZ', 'UTC') AS last FROM %s.events"
                  " WHERE " QUALITY_FAILED " AND events.time >= fromUnixTimestamp64Micro({from:Int64})%.*s"
                  " GROUP BY data_source, reason ORDER BY count DESC LIMIT 200",
                  db, (int)scope.n, scope.n ? scope.p : "");
    if (r == 0)
        r = query_json(req, cf_buf_cstr(&sql), v, 1, &groups, reterr);
    cf_buf_clear(&sql);
    cf_buf_printf(&sql,
                  "SELECT toString(id) AS id, formatDateTime(events.time, '%%Y-%%m-%%dT%%H:%%i:%%SZ', 'UTC') AS at, extras['chengfang.data_source'] AS data_source,"
                  " extras['chengfang.peer'] AS peer, extras['error.message'] AS reason, substring(event_original, 1, 2000) AS raw FROM %s.events"
                  " WHERE " QUALITY_FAILED " AND events.time >= fromUnixTimestamp64Micro({from:Int64})%.*s"
                  " AND ({source:String} = '' OR extras['chengfang.data_source'] = {source:String}) ORDER BY events.time DESC LIMIT 50",
                  db, (int)scope.n, scope.n ? scope.p : "");
    if (r == 0)
        r = query_json(req, cf_buf_cstr(&sql), v, 2, &samples, reterr);
    if (r == 0)
        cf_reply_json(req, 200, cf_req_tell(req, json_pack("{s:O,s:O}", "groups", groups, "samples", samples)));
    json_decref(groups);
    json_decref(samples);
    cf_buf_release(&scope);
    cf_buf_release(&sql);
    return r;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/quality/sources", .permission = "source.read", .handler = get_sources, .flags = CF_RF_LIST,
     .doc = "Data sources with rate of the last hour, silence, parse failures, clock skew and field fill"},
    {.method = CF_GET, .path = "/api/v1/quality/failures", .permission = "source.read", .handler = get_failures,
     .request = "{\"type\":\"object\",\"properties\":{\"hours\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9600},\"source\":{\"type\":\"string\",\"maxLength\":96}}}",
     .doc = "Stored records that no source understood, and events whose named source did not know the text: counts by data source and reason, newest samples"},
    {.method = CF_GET, .path = "/api/v1/quality/reprocess", .permission = "source.read", .handler = reprocess_get, .scope = "all",
     .doc = "State of the newest reprocessing"},
    {.method = CF_POST, .path = "/api/v1/quality/reprocess", .permission = "source.write", .handler = reprocess_post, .scope = "all",
     .request = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"hours\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9600},"
                "\"source\":{\"type\":\"string\",\"maxLength\":96}}}",
     .doc = "Runs the originals of stored records that were not understood through the source files of now; what is understood replaces the old event"},
    {.method = CF_DELETE, .path = "/api/v1/quality/reprocess", .permission = "source.write", .handler = reprocess_delete, .scope = "all", .doc = "Stops a running reprocessing"},
};

void quality_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
