/* SPDX-License-Identifier: Apache-2.0
 * Retro-hunts: indicators over stored events, day by day, newest first, field by field. The store gives the distinct values of a
 * field of a day (for addresses and hashes only the ones asked for, when they are few); the matcher decides, so a hunt finds
 * exactly what live matching would have found. TI-006. */
#include <stdio.h>
#include <stdlib.h>

#include "incident/incident.h"
#include "store/event_schema.h"
#include "ti/ti_int.h"

#define IDS_MAX 400u        /* indicators chosen one by one */
#define IN_MAX 4000u        /* values put into the query itself */
#define VALUES_MAX 200000   /* distinct values of a field and day; more: the day is cut into hours */
#define EVENTS_KEPT 20
#define HITS_MAX 20000

struct hunt {
    struct cf_ti *ti;
    char id[40], org[40];
    json_t *filter;
    struct cf_event_scope scope;
    cf_str *orgs;
    struct cf_arena arena;
    int64_t from_us, to_us, steps, done, hits, values;
    bool alerts, cancelled;
    struct cf_ti_set *set;
    cf_str in_ip, in_hash; /* "'1.2.3.4','...'" when few enough, .p NULL: not usable */
};

/* ---- the indicators --------------------------------------------------------------------------------------------------------- */

/* The query of the wanted indicators and its values; how many of these. */
static size_t wanted(const struct hunt *h, struct cf_buf *sql, struct cf_dbval *v)
{
    const json_t *ids = json_object_get(h->filter, "ids"), *j;
    const char *source = json_string_value(json_object_get(h->filter, "source")), *type = json_string_value(json_object_get(h->filter, "type")),
               *since = json_string_value(json_object_get(h->filter, "added_since"));
    size_t n = 0, i;
    int64_t t;

    cf_buf_z(sql, "SELECT i.id, i.type, i.value, i.threat_type, i.family, i.grp, i.confidence, i.severity, i.tlp, s.name, s.weight FROM ti_indicator i JOIN ti_source s"
                  " ON s.id = i.source_id WHERE i.cond = '' AND i.conflict IS NULL AND i.status IN ('active', 'expired')");
    if (json_array_size(ids)) {
        cf_buf_z(sql, " AND i.id IN (");
        json_array_foreach(ids, i, j)
        {
            if (i >= IDS_MAX)
                break;
            cf_buf_z(sql, i ? ",?" : "?");
            v[n++] = CF_Z(json_string_value(j));
        }
        cf_buf_z(sql, ")");
    }
    if (source) {
        cf_buf_z(sql, " AND i.source_id = ?");
        v[n++] = CF_Z(source);
    }
    if (type) {
        cf_buf_z(sql, " AND i.type = ?");
        v[n++] = CF_Z(type);
    }
    if (since && cf_time_parse(cf_str_c(since), &t)) {
        cf_buf_z(sql, " AND i.added_us >= ?");
        v[n++] = CF_I(t);
    }
    return n;
}

/* What the store may be asked for by value. */
struct asked {
    struct cf_buf ip, hash;
    size_t n_ip, n_hash;
    bool range;
};

static int add_one(struct cf_ti_builder *b, const struct cf_stmt *st, struct asked *q)
{
    cf_str empty = CF_STR(""), value = cf_stmt_str(st, 2);
#define TEXT(c) (cf_stmt_str(st, c).p ? cf_stmt_str(st, c) : empty)
    struct cf_ti_entry_in in = {.value = value, .confidence = (uint8_t)(cf_stmt_i64(st, 6) * cf_stmt_i64(st, 10) / 100 % 101),
                                .info = {.threat_type = TEXT(3), .family = TEXT(4), .group = TEXT(5), .feed = TEXT(9), .severity = (uint8_t)cf_stmt_i64(st, 7),
                                         .tlp = (uint8_t)cf_stmt_i64(st, 8)}};
#undef TEXT
    int r;

    if (!cf_ti_type_parse(cf_stmt_str(st, 1), &in.type) || !ti_uuid_bytes(cf_stmt_str(st, 0), in.id))
        return 0;
    r = cf_ti_builder_add(b, &in);
    q->range |= in.type == CF_TI_CIDR;
    if (in.type <= CF_TI_IPV6 && q->n_ip++ < IN_MAX)
        cf_buf_printf(&q->ip, "%stoIPv6('%.*s')", q->n_ip > 1 ? "," : "", CF_ARG(value));
    if (in.type >= CF_TI_MD5 && in.type <= CF_TI_SHA256 && q->n_hash++ < IN_MAX)
        cf_buf_printf(&q->hash, "%s'%.*s'", q->n_hash > 1 ? "," : "", CF_ARG(value));
    return r == CF_EINVAL ? 0 : r; /* a value that cannot match */
}

static int load(struct hunt *h, struct cf_error *reterr)
{
    struct cf_ti_builder *b = cf_ti_builder_new(1000);
    struct cf_dbval v[IDS_MAX + 3];
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    struct asked q = {.range = false};
    struct cf_buf sql;
    size_t n_v;
    int r;

    cf_buf_init(&sql, 1 << 20);
    cf_buf_init(&q.ip, 4 << 20);
    cf_buf_init(&q.hash, 4 << 20);
    n_v = wanted(h, &sql, v);
    r = b ? cf_tx_begin(h->ti->o.db, CF_TX_READ, &tx, reterr) : cf_error_set(reterr, CF_ENOMEM, "hunt");
    if (r == 0)
        r = cf_tx_queryv(tx, cf_buf_cstr(&sql), v, n_v, &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1)
        r = add_one(b, st, &q);
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r == 0) {
        h->set = cf_ti_builder_finish(b);
        if (!h->set)
            r = cf_error_set(reterr, CF_ENOMEM, "hunt");
    } else {
        cf_ti_builder_free(b);
    }
    if (!q.range && q.n_ip && q.n_ip <= IN_MAX)
        h->in_ip = cf_arena_copy(&h->arena, cf_buf_view(&q.ip));
    if (q.n_hash && q.n_hash <= IN_MAX)
        h->in_hash = cf_arena_copy(&h->arena, cf_buf_view(&q.hash));
    cf_buf_release(&sql);
    cf_buf_release(&q.ip);
    cf_buf_release(&q.hash);
    return r;
}

/* ---- one field of one stretch of time ---------------------------------------------------------------------------------------- */

/* The expression that gives one value of the field a row, and whether it is text of an address. */
static void value_sql(const struct cf_ti_field *f, struct cf_buf *out)
{
    const struct cf_column *c = &cf_columns()[f->field];

    if (c->type == CF_COL_COLD)
        cf_buf_printf(out, "arrayJoin(splitByChar('\\x1f', extras['%s']))", cf_fields[f->field].name);
    else if (c->type == CF_COL_AIP)
        cf_buf_printf(out, "toString(arrayJoin(%s))", c->name);
    else if (c->type == CF_COL_ASTR)
        cf_buf_printf(out, "arrayJoin(%s)", c->name);
    else
        cf_buf_printf(out, "toString(%s)", c->name);
}

static void where_sql(const struct hunt *h, const struct cf_ti_field *f, int64_t from, int64_t to, struct cf_buf *out)
{
    const struct cf_column *c = &cf_columns()[f->field];

    cf_buf_printf(out, "day >= toDate(%lld) AND day <= toDate(%lld) AND time >= fromUnixTimestamp64Micro(%lld) AND time < fromUnixTimestamp64Micro(%lld)",
                  (long long)(from / CF_US_PER_DAY - 2), (long long)(to / CF_US_PER_DAY + 2), (long long)from, (long long)to);
    if (c->type == CF_COL_COLD)
        cf_buf_printf(out, " AND extras['%s'] != ''", cf_fields[f->field].name);
    else if (c->type == CF_COL_IP && h->in_ip.p)
        cf_buf_printf(out, " AND %s IN (%.*s)", c->name, CF_ARG(h->in_ip));
    else if (c->type == CF_COL_IP)
        cf_buf_printf(out, " AND %s IS NOT NULL", c->name);
    else if (f->as >= CF_TI_MD5 && f->as <= CF_TI_SHA256 && c->type == CF_COL_STR && h->in_hash.p)
        cf_buf_printf(out, " AND lower(%s) IN (%.*s)", c->name, CF_ARG(h->in_hash));
    else if (c->type == CF_COL_LC || c->type == CF_COL_STR)
        cf_buf_printf(out, " AND %s != ''", c->name);
}

/* Text of a value of ours inside an SQL literal. */
static void quote(struct cf_buf *out, cf_str v)
{
    cf_buf_byte(out, '\'');
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '\'' || v.p[i] == '\\')
            cf_buf_byte(out, '\\');
        cf_buf_byte(out, v.p[i]);
    }
    cf_buf_byte(out, '\'');
}

static int query(struct hunt *h, struct cf_buf *sql, json_t **ret, struct cf_error *reterr)
{
    const struct cf_query_limits lim = {.max_ms = 120000, .max_rows = VALUES_MAX + 1};
    struct cf_buf out;
    int r;

    cf_buf_init(&out, 256u << 20);
    r = cf_event_sql(h->ti->o.events, cf_buf_view(sql), &h->scope, &lim, &out, reterr);
    if (r == 0) {
        json_t *doc = json_loadb(out.p, out.n, 0, NULL);

        *ret = json_incref(json_object_get(doc, "data"));
        json_decref(doc);
        if (!*ret)
            r = cf_error_set(reterr, CF_EDB, "the event store's answer is not understood");
    }
    cf_buf_release(&out);
    return r;
}

/* An alert as live matching would have raised it, about the newest event. */
static int raise(struct hunt *h, const struct cf_ti_found *f, const json_t *newest, const cf_str *event_ids, struct cf_error *reterr)
{
    struct cf_arena a;
    struct cf_event *ev;
    struct cf_hit hit = {.rule = ti_rule_for(h->ti, f->entry, cf_ti_entry_info(h->set, f->entry))};
    struct cf_match_field m[3];
    char token[200], buf[80];
    static const enum cf_field fields[] = {CF_F_ORGANIZATION_ID, CF_F_SOURCE_IP, CF_F_DESTINATION_IP, CF_F_HOST_NAME, CF_F_USER_NAME};
    int64_t t = 0;
    int r = 0;

    if (!h->alerts || !h->ti->o.incidents || hit.rule->level == CF_LEVEL_INFO)
        return 0;
    cf_arena_init(&a, 0, 0);
    ev = cf_event_new(&a);
    if (!ev)
        return CF_ENOMEM;
    for (size_t i = 0; i < 5 && r == 0; i++) {
        const char *s = json_string_value(json_array_get(newest, 2 + i));

        if (s && s[0])
            r = cf_event_set(ev, fields[i], cf_str_c(strncmp(s, "::ffff:", 7) == 0 ? s + 7 : s));
    }
    if (r == 0 && f->field != CF_F_EXTRA && !ev->slot[f->field])
        r = cf_event_set(ev, f->field, f->value);
    if (r == 0)
        r = ti_tag_event(ev, h->set, f, 1);
    (void)cf_str_i64(cf_str_c(json_string_value(json_array_get(newest, 1)) ? json_string_value(json_array_get(newest, 1)) : "0"), &t);
    ev->time_us = t ? t : cf_now_us();
    ev->received_us = ev->time_us;
    m[0] = (struct cf_match_field){cf_str_c(cf_fields[f->field].name), f->value};
    m[1] = (struct cf_match_field){CF_STR("threat.indicator.name"), cf_ti_entry_text(h->set, f->entry, buf)};
    m[2] = (struct cf_match_field){CF_STR("threat.feed.name"), cf_ti_entry_info(h->set, f->entry)->feed};
    hit.ev = ev;
    hit.matched = m;
    hit.n_matched = 3;
    (void)snprintf(token, sizeof token, "hunt.%s.%lld.%llx", h->id, (long long)(ev->time_us / CF_US_PER_DAY), (unsigned long long)cf_hash64_seed(f->value, (uint64_t)f->field));
    if (r == 0)
        r = cf_incident_fold(h->ti->o.incidents, &hit, event_ids, 1, cf_str_c(token), reterr);
    cf_arena_release(&a);
    return r;
}

static int keep_hit(struct hunt *h, const struct cf_ti_found *f, int64_t n, int64_t first, int64_t last, const json_t *events, struct cf_error *reterr)
{
    struct ti_count c = {.field = (uint16_t)f->field, .n = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n, .first_us = first, .last_us = last};
    const char *org = json_string_value(json_array_get(json_array_get(events, 0), 2));
    json_t *ids = json_array();
    struct cf_tx *tx = NULL;
    char id[37], ind[37], *text;
    const json_t *e;
    size_t i;
    int r = cf_tx_begin(h->ti->o.db, CF_TX_WRITE, &tx, reterr);

    json_array_foreach(events, i, e) (void)json_array_append(ids, json_array_get(e, 0));
    text = json_dumps(ids, JSON_COMPACT);
    json_decref(ids);
    cf_uuid7(id);
    ti_uuid_text(f->entry->id, ind);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO ti_hunt_hit (id, hunt_id, indicator_id, org_id, field, value, first_us, last_us, count, events) VALUES (?,?,?,?,?,?,?,?,?,?)", reterr, CF_Z(id),
                       CF_Z(h->id), CF_Z(ind), CF_Z(org && org[0] ? org : "root"), CF_Z(cf_fields[f->field].name), CF_S(f->value), CF_I(first), CF_I(last), CF_I(n), CF_Z(text));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    free(text);
    memcpy(c.id, f->entry->id, 16);
    (void)snprintf(c.org, sizeof c.org, "%s", org ? org : "root");
    if (r == 0)
        ti_counts_add(h->ti, &c, 1);
    h->hits += r == 0;
    return r;
}

static int found_one(struct hunt *h, const struct cf_ti_field *f, const struct cf_ti_entry *e, const json_t *row, int64_t from, int64_t to, struct cf_error *reterr)
{
    const char *value = json_string_value(json_array_get(row, 0));
    struct cf_ti_found found = {.entry = e, .field = (enum cf_field)f->field, .value = cf_str_c(strncmp(value, "::ffff:", 7) == 0 ? value + 7 : value)};
    json_t *events = NULL;
    struct cf_buf sql;
    int64_t n = 0, first = 0, last = 0;
    cf_str event_id;
    int r;

    (void)cf_str_i64(cf_str_c(json_string_value(json_array_get(row, 1))), &n);
    (void)cf_str_i64(cf_str_c(json_string_value(json_array_get(row, 2))), &first);
    (void)cf_str_i64(cf_str_c(json_string_value(json_array_get(row, 3))), &last);
    cf_buf_init(&sql, 8 << 20);
    cf_buf_z(&sql, "SELECT toString(id), toString(toUnixTimestamp64Micro(time)), organization_id, toString(source_ip), toString(destination_ip), host_name, user_name, ");
    value_sql(f, &sql);
    cf_buf_z(&sql, " AS v FROM events WHERE ");
    where_sql(h, f, from, to, &sql);
    cf_buf_z(&sql, " AND v = ");
    quote(&sql, cf_str_c(value));
    cf_buf_printf(&sql, " ORDER BY time DESC LIMIT %d", EVENTS_KEPT);
    r = query(h, &sql, &events, reterr);
    cf_buf_release(&sql);
    if (r == 0)
        r = keep_hit(h, &found, n, first, last, events, reterr);
    if (r == 0 && json_array_size(events)) {
        event_id = cf_str_c(json_string_value(json_array_get(json_array_get(events, 0), 0)));
        r = raise(h, &found, json_array_get(events, 0), &event_id, reterr);
    }
    json_decref(events);
    return r;
}

static int stretch(struct hunt *h, const struct cf_ti_field *f, int64_t from, int64_t to, struct cf_error *reterr)
{
    uint32_t now_s = 0; /* whether it is still valid does not matter for what was */
    struct cf_buf sql;
    json_t *rows = NULL;
    const json_t *row;
    size_t i;
    int r;

    cf_buf_init(&sql, 8 << 20);
    cf_buf_z(&sql, "SELECT ");
    value_sql(f, &sql);
    cf_buf_z(&sql, " AS v, toString(count()), toString(toUnixTimestamp64Micro(min(time))), toString(toUnixTimestamp64Micro(max(time))) FROM events WHERE ");
    where_sql(h, f, from, to, &sql);
    cf_buf_printf(&sql, " GROUP BY v LIMIT %d", VALUES_MAX);
    r = query(h, &sql, &rows, reterr);
    cf_buf_release(&sql);
    if ((r == CF_ELIMIT || r == CF_ENOMEM || (r == 0 && json_array_size(rows) >= VALUES_MAX)) && to - from > 3600 * CF_US_PER_S) {
        json_decref(rows);
        r = 0;
        for (int64_t t = from; t < to && r == 0; t += 3600 * CF_US_PER_S)
            r = stretch(h, f, t, t + 3600 * CF_US_PER_S < to ? t + 3600 * CF_US_PER_S : to, reterr);
        return r;
    }
    json_array_foreach(rows, i, row)
    {
        const char *v = json_string_value(json_array_get(row, 0));
        const struct cf_ti_entry *e = v ? cf_ti_find(h->set, (enum cf_ti_type)f->as, cf_str_c(v), now_s, NULL) : NULL;

        if (r == 0 && e && h->hits < HITS_MAX)
            r = found_one(h, f, e, row, from, to, reterr);
        h->values++;
    }
    json_decref(rows);
    return r;
}

/* ---- the run -------------------------------------------------------------------------------------------------------------------- */

static int note(struct hunt *h, const char *status, const char *error)
{
    struct cf_tx *tx = NULL;
    int64_t now = cf_now_us();
    bool over = strcmp(status, "running") != 0;
    int r = cf_tx_begin(h->ti->o.db, CF_TX_WRITE, &tx, NULL);

    if (r == 0)
        r = cf_tx_exec(tx,
                       "UPDATE ti_hunt SET status = ?, indicators = ?, steps = ?, done = ?, hits = ?, values_seen = ?, error = ?, started_us = COALESCE(started_us, ?), finished_us = ?"
                       " WHERE id = ?",
                       NULL, CF_Z(status), CF_I(h->set ? cf_ti_set_count(h->set) : 0), CF_I(h->steps), CF_I(h->done), CF_I(h->hits), CF_I(h->values), CF_Z(error), CF_I(now),
                       over ? CF_I(now) : CF_NUL, CF_Z(h->id));
    if (r == 0)
        r = cf_tx_commit(&tx, NULL);
    cf_tx_rollback(&tx);
    return r;
}

static bool cancelled(struct hunt *h)
{
    struct cf_ti *ti = h->ti;

    (void)pthread_mutex_lock(&ti->mu);
    h->cancelled = strcmp(ti->cancel_hunt, h->id) == 0;
    bool out = h->cancelled || atomic_load(&ti->ending);
    (void)pthread_mutex_unlock(&ti->mu);
    return out;
}

static int run(struct hunt *h, struct cf_error *reterr)
{
    int64_t day_from = h->from_us / CF_US_PER_DAY, day_to = (h->to_us - 1) / CF_US_PER_DAY, noted = cf_mono_us();
    int r = load(h, reterr);

    h->steps = (day_to - day_from + 1) * (int64_t)cf_ti_n_fields;
    if (r == 0)
        (void)note(h, "running", NULL);
    for (int64_t d = day_to; d >= day_from && r == 0; d--) {
        int64_t from = d * CF_US_PER_DAY > h->from_us ? d * CF_US_PER_DAY : h->from_us, to = (d + 1) * CF_US_PER_DAY < h->to_us ? (d + 1) * CF_US_PER_DAY : h->to_us;

        for (size_t i = 0; i < cf_ti_n_fields && r == 0; i++) {
            if (cancelled(h))
                return 0;
            if (cf_ti_set_count(h->set))
                r = stretch(h, &cf_ti_fields[i], from, to, reterr);
            h->done++;
            if (cf_mono_us() - noted > CF_US_PER_S / 2) {
                (void)note(h, "running", NULL);
                noted = cf_mono_us();
            }
        }
    }
    return r;
}

static int take(struct hunt *h, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    json_t *scope = NULL;
    const json_t *j;
    size_t i;
    int r = cf_tx_begin(h->ti->o.db, CF_TX_READ, &tx, reterr);

    if (r == 0) /* one that a stop of the server cut off begins again; its alerts are folded once */
        r = cf_tx_query(tx, "SELECT id, org_id, filter, scope, from_us, to_us, alerts FROM ti_hunt WHERE status IN ('queued', 'running') ORDER BY created_us LIMIT 1", &st, reterr);
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)snprintf(h->id, sizeof h->id, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        (void)snprintf(h->org, sizeof h->org, "%.*s", CF_ARG(cf_stmt_str(st, 1)));
        h->filter = json_loadb(cf_stmt_str(st, 2).p, cf_stmt_str(st, 2).n, 0, NULL);
        scope = cf_stmt_null(st, 3) ? NULL : json_loadb(cf_stmt_str(st, 3).p, cf_stmt_str(st, 3).n, 0, NULL);
        h->scope.all = cf_stmt_null(st, 3);
        h->from_us = cf_stmt_i64(st, 4);
        h->to_us = cf_stmt_i64(st, 5);
        h->alerts = cf_stmt_i64(st, 6) != 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (json_is_array(scope)) {
        h->orgs = CF_NEW_N(&h->arena, cf_str, json_array_size(scope) + 1);
        json_array_foreach(scope, i, j) if (h->orgs && json_is_string(j)) h->orgs[h->scope.n_orgs++] = cf_arena_copy(&h->arena, cf_str_c(json_string_value(j)));
        h->scope.orgs = h->orgs;
    }
    json_decref(scope);
    return r;
}

int ti_hunt_next(struct cf_ti *ti)
{
    struct hunt h = {.ti = ti};
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    int r;

    if (!ti->o.events)
        return 0;
    cf_arena_init(&h.arena, 0, 0);
    r = take(&h, &err);
    if (r == 1) {
        (void)pthread_mutex_lock(&ti->mu);
        (void)snprintf(ti->running_hunt, sizeof ti->running_hunt, "%s", h.id);
        (void)pthread_mutex_unlock(&ti->mu);
        if (cf_tx_begin(ti->o.db, CF_TX_WRITE, &tx, NULL) == 0 && cf_tx_exec(tx, "DELETE FROM ti_hunt_hit WHERE hunt_id = ?", NULL, CF_Z(h.id)) == 0)
            (void)cf_tx_commit(&tx, NULL);
        cf_tx_rollback(&tx);
        r = run(&h, &err);
        if (r < 0)
            cf_log_warn("ti", "a retro-hunt failed", "id=%s reason=\"%s\"", h.id, err.msg);
        if (r < 0 || h.cancelled || !atomic_load(&ti->ending)) /* a stop of the server leaves it to be taken up again */
            (void)note(&h, r < 0 ? "failed" : h.cancelled ? "cancelled" : "done", r < 0 ? err.msg : NULL);
        (void)ti_counts_write(ti, "retro", &err);
        (void)pthread_mutex_lock(&ti->mu);
        ti->running_hunt[0] = ti->cancel_hunt[0] = 0;
        (void)pthread_mutex_unlock(&ti->mu);
        r = 1;
    }
    json_decref(h.filter);
    cf_ti_set_free(h.set);
    cf_arena_release(&h.arena);
    return r;
}
