/* SPDX-License-Identifier: Apache-2.0 */
#include "rulebook/tally.h"

#include <stdio.h>
#include <stdlib.h>

#define VALUES_MAX 20000
#define TOP 10
#define SAMPLES 25 /* of the first and of the newest */
#define ALERTS_MAX 20000
#define DAYS_MAX 1000

static const struct {
    enum cf_field f;
    const char *name;
} fields[] = {{CF_F_SOURCE_IP, "source.ip"}, {CF_F_DESTINATION_IP, "destination.ip"}, {CF_F_USER_NAME, "user.name"}, {CF_F_HOST_NAME, "host.name"}, {CF_F_PROCESS_NAME, "process.name"}};
#define N_FIELDS (sizeof fields / sizeof *fields)

enum verdict { V_CONFIRMED, V_FALSE, V_OPEN };
struct alert {
    cf_str rule_id, entity;
    int64_t first_us, last_us;
    uint8_t verdict;
    bool touched;
};
struct cf_tally {
    struct cf_arena a;
    uint64_t matches;
    int64_t covered_us;
    int64_t day[DAYS_MAX];
    uint64_t day_hits[DAYS_MAX];
    size_t n_days;
    json_t *values[N_FIELDS]; /* value -> count */
    uint64_t beyond[N_FIELDS];
    json_t *rules;            /* id -> {title, count} */
    json_t *first, *last;     /* samples; last is a ring */
    size_t last_at;
    cf_str rule_id;
    size_t n_alerts;
    struct alert *alert;
    uint64_t mask;            /* event id -> alert */
    struct slot {
        uint64_t hash;
        uint32_t alert; /* index + 1 */
    } *slot;
    uint64_t n_slots;
    uint64_t of[3];           /* matches in confirmed, false, open alerts */
};

struct cf_tally *cf_tally_new(void)
{
    struct cf_tally *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    cf_arena_init(&t->a, 0, (size_t)256 << 20);
    for (size_t i = 0; i < N_FIELDS; i++)
        t->values[i] = json_object();
    t->rules = json_object();
    t->first = json_array();
    t->last = json_array();
    t->mask = (1u << 19) - 1;
    t->slot = calloc(t->mask + 1, sizeof *t->slot);
    if (!t->slot) {
        cf_tally_free(t);
        return NULL;
    }
    return t;
}

void cf_tally_free(struct cf_tally *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < N_FIELDS; i++)
        json_decref(t->values[i]);
    json_decref(t->rules);
    json_decref(t->first);
    json_decref(t->last);
    free(t->slot);
    cf_arena_release(&t->a);
    free(t);
}

/* ---- alerts ---- */

static void note_ids(struct cf_tally *t, cf_str list, uint32_t alert)
{
    json_t *ids = json_loadb(list.p ? list.p : "", list.n, 0, NULL), *one;
    size_t i;

    json_array_foreach(ids, i, one)
    {
        const char *id = json_is_object(one) ? json_string_value(json_object_get(one, "id")) : json_string_value(one);
        uint64_t h = id ? cf_hash64(cf_str_c(id)) | 1 : 0, k = h & t->mask;

        if (!id || t->n_slots * 2 > t->mask)
            continue;
        while (t->slot[k].hash && t->slot[k].hash != h)
            k = (k + 1) & t->mask;
        t->n_slots += t->slot[k].hash == 0;
        t->slot[k] = (struct slot){h, alert + 1};
    }
    json_decref(ids);
}

static bool in_scope(const struct cf_event_scope *s, cf_str org)
{
    for (size_t i = 0; !s->all && i < s->n_orgs; i++)
        if (cf_str_eq(s->orgs[i], org))
            return true;
    return s->all;
}

int cf_tally_alerts(struct cf_tally *t, struct cf_db *db, const struct cf_event_scope *scope, cf_str rule_id, int64_t from_us, int64_t to_us, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr), more = 0;

    t->rule_id = cf_arena_copy(&t->a, rule_id.p ? rule_id : CF_STR(""));
    t->alert = CF_NEW_N(&t->a, struct alert, ALERTS_MAX);
    if (r == 0 && !t->alert)
        r = cf_error_set(reterr, CF_ENOMEM, "no memory");
    if (r == 0)
        r = cf_tx_query(tx,
                        "SELECT rule_id, entity_value, first_seen, last_seen, status, events_first, events_last, org_id FROM alert WHERE last_seen >= ? AND first_seen <= ? "
                        "ORDER BY last_seen DESC LIMIT 20000",
                        &st, reterr, CF_I(from_us), CF_I(to_us));
    while (r == 0 && t->n_alerts < ALERTS_MAX && (more = cf_stmt_next(st, reterr)) == 1) {
        cf_str status = cf_stmt_str(st, 4);
        struct alert *al = &t->alert[t->n_alerts];

        if (!in_scope(scope, cf_stmt_str(st, 7)))
            continue;
        al->rule_id = cf_arena_copy(&t->a, cf_stmt_str(st, 0));
        al->entity = cf_arena_copy(&t->a, cf_stmt_str(st, 1));
        al->first_us = cf_stmt_i64(st, 2);
        al->last_us = cf_stmt_i64(st, 3);
        al->verdict = cf_str_eqz(status, "confirmed") || cf_str_eqz(status, "converted") || cf_str_eqz(status, "closed") ? V_CONFIRMED
                      : cf_str_eqz(status, "false_positive")                                                               ? V_FALSE
                                                                                                                           : V_OPEN;
        note_ids(t, cf_stmt_str(st, 5), (uint32_t)t->n_alerts);
        note_ids(t, cf_stmt_str(st, 6), (uint32_t)t->n_alerts);
        t->n_alerts++;
    }
    r = more < 0 ? more : r;
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return r;
}

static bool has_value(const struct cf_event *ev, cf_str v)
{
    static const enum cf_field f[] = {CF_F_SOURCE_IP, CF_F_DESTINATION_IP, CF_F_USER_NAME, CF_F_HOST_NAME};

    for (size_t i = 0; i < sizeof f / sizeof *f; i++)
        if (v.n && cf_str_ieq(cf_event_get(ev, f[i]), v))
            return true;
    return false;
}

/* The alert a match belongs to: one that names the event, or one of the same rule about the same entity at the time. */
static struct alert *alert_of(struct cf_tally *t, const struct cf_hit *h, const char *event_id)
{
    uint64_t hash = event_id ? cf_hash64(cf_str_c(event_id)) | 1 : 0;

    for (uint64_t k = hash & t->mask; hash && t->slot[k].hash; k = (k + 1) & t->mask)
        if (t->slot[k].hash == hash)
            return &t->alert[t->slot[k].alert - 1];
    for (size_t i = 0; i < t->n_alerts; i++) {
        struct alert *al = &t->alert[i];

        if (cf_str_eq(al->rule_id, h->rule->id) && h->ev && h->ev->time_us >= al->first_us && h->ev->time_us <= al->last_us &&
            (has_value(h->ev, al->entity) || (h->group.n && al->entity.n && cf_str_find(h->group, al->entity) >= 0)))
            return al;
    }
    return NULL;
}

/* ---- hits ---- */

static void count_value(struct cf_tally *t, size_t f, cf_str v)
{
    char key[300];
    size_t n = v.n < sizeof key - 1 ? v.n : sizeof key - 1;
    json_t *c;

    memcpy(key, v.p, n);
    key[n] = '\0';
    c = json_object_get(t->values[f], key);
    if (c)
        (void)json_integer_set(c, json_integer_value(c) + 1);
    else if (json_object_size(t->values[f]) < VALUES_MAX && cf_utf8_valid((cf_str){key, n}))
        (void)json_object_set_new(t->values[f], key, json_integer(1));
    else
        t->beyond[f]++;
}

static json_t *text(cf_str s, size_t max)
{
    size_t n = s.n < max ? s.n : max;
    json_t *v;

    while (n && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    v = json_stringn(s.p ? s.p : "", n);
    return v ? v : json_string("");
}

static json_t *time_json(int64_t us)
{
    char b[32];

    return json_stringn(b, cf_time_format(us, b));
}

static void sample(struct cf_tally *t, const struct cf_hit *h, const char *event_id, int64_t at)
{
    json_t *x = json_pack("{s:s?,s:o,s:o,s:o,s:o}", "event_id", event_id, "time", time_json(at), "rule_id", text(h->rule->id, 80), "group", text(h->group, 300),
                          "original", text(h->ev ? h->ev->original : CF_STR(""), 600));
    json_t *m = json_array();

    for (size_t i = 0; i < h->n_matched && i < 6; i++)
        (void)json_array_append_new(m, json_pack("{s:o,s:o}", "field", text(h->matched[i].field, 120), "value", text(h->matched[i].value, 200)));
    (void)json_object_set_new(x, "matched", m);
    if (json_array_size(t->first) < SAMPLES)
        (void)json_array_append_new(t->first, x);
    else if (json_array_size(t->last) < SAMPLES)
        (void)json_array_append_new(t->last, x);
    else
        (void)json_array_set_new(t->last, t->last_at++ % SAMPLES, x);
}

void cf_tally_hit(struct cf_tally *t, const struct cf_hit *h, const char *event_id)
{
    int64_t at = h->ev ? h->ev->time_us : t->covered_us, day = at / CF_US_PER_DAY;
    struct alert *al = alert_of(t, h, event_id);
    char id[80];
    json_t *rule;
    size_t k = 0;

    t->matches++;
    while (k < t->n_days && t->day[k] != day)
        k++;
    if (k == t->n_days && k < DAYS_MAX)
        t->day[t->n_days++] = day;
    if (k < DAYS_MAX)
        t->day_hits[k]++;
    for (size_t i = 0; h->ev && i < N_FIELDS; i++) {
        cf_str v = cf_event_get(h->ev, fields[i].f);

        if (v.n)
            count_value(t, i, v);
    }
    (void)snprintf(id, sizeof id, "%.*s", (int)(h->rule->id.n < 79 ? h->rule->id.n : 79), h->rule->id.n ? h->rule->id.p : "");
    rule = json_object_get(t->rules, id);
    if (!rule && json_object_size(t->rules) < 200) {
        rule = json_pack("{s:s,s:o,s:i}", "id", id, "title", text(h->rule->title, 200), "count", 0);
        (void)json_object_set_new(t->rules, id, rule);
    }
    if (rule)
        (void)json_object_set_new(rule, "count", json_integer(json_integer_value(json_object_get(rule, "count")) + 1));
    if (al) {
        al->touched = true;
        t->of[al->verdict]++;
    }
    sample(t, h, event_id, at);
}

void cf_tally_covered(struct cf_tally *t, int64_t time_us)
{
    if (time_us > t->covered_us)
        t->covered_us = time_us;
}

/* ---- result ---- */

struct pair {
    const char *value;
    int64_t count;
};

static int by_count(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;

    return x->count != y->count ? (x->count < y->count ? 1 : -1) : strcmp(x->value, y->value);
}

static json_t *top(json_t *values)
{
    struct pair *p = calloc(json_object_size(values) + 1, sizeof *p);
    json_t *list = json_array(), *c;
    const char *key;
    size_t n = 0;

    json_object_foreach(values, key, c)
        if (p)
            p[n++] = (struct pair){key, json_integer_value(c)};
    if (p)
        qsort(p, n, sizeof *p, by_count);
    for (size_t i = 0; p && i < n && i < TOP; i++)
        (void)json_array_append_new(list, json_pack("{s:s,s:I}", "value", p[i].value, "count", (json_int_t)p[i].count));
    free(p);
    return list;
}

static int by_day(const void *a, const void *b, void *ctx)
{
    const struct cf_tally *t = ctx;
    int64_t x = t->day[*(const size_t *)a], y = t->day[*(const size_t *)b];

    return x < y ? -1 : x > y;
}

static json_t *days_json(const struct cf_tally *t)
{
    json_t *days = json_array();
    size_t ix[DAYS_MAX];

    for (size_t i = 0; i < t->n_days; i++)
        ix[i] = i;
    qsort_r(ix, t->n_days, sizeof *ix, by_day, (void *)(uintptr_t)t);
    for (size_t i = 0; i < t->n_days; i++) {
        json_t *at = time_json(t->day[ix[i]] * CF_US_PER_DAY);
        char d[11];

        (void)snprintf(d, sizeof d, "%.10s", json_string_value(at));
        json_decref(at);
        (void)json_array_append_new(days, json_pack("{s:s,s:I}", "day", d, "count", (json_int_t)t->day_hits[ix[i]]));
    }
    return days;
}

json_t *cf_tally_json(const struct cf_tally *t)
{
    json_t *entities = json_object(), *rules = json_array(), *samples = json_array(), *x;
    uint64_t alerts[3] = {0};
    const char *key;
    size_t i;

    for (i = 0; i < N_FIELDS; i++)
        if (json_object_size(t->values[i]))
            (void)json_object_set_new(entities, fields[i].name, json_pack("{s:I,s:o,s:I}", "distinct", (json_int_t)json_object_size(t->values[i]), "top", top(t->values[i]),
                                                                          "uncounted", (json_int_t)t->beyond[i]));
    json_object_foreach(t->rules, key, x) (void)json_array_append(rules, x);
    json_array_foreach(t->first, i, x) (void)json_array_append(samples, x);
    for (i = 0; i < json_array_size(t->last); i++)
        (void)json_array_append(samples, json_array_get(t->last, (t->last_at + i) % json_array_size(t->last)));
    for (i = 0; i < t->n_alerts; i++)
        alerts[t->alert[i].verdict] += t->alert[i].touched;
    return json_pack("{s:I,s:o,s:o,s:o,s:o,s:{s:I,s:I,s:I,s:I,s:I,s:I},s:o}", "matches", (json_int_t)t->matches, "days", days_json(t), "entities", entities, "rules", rules, "samples",
                     samples, "alerts", "confirmed", (json_int_t)alerts[V_CONFIRMED], "confirmed_matches", (json_int_t)t->of[V_CONFIRMED], "false_positive",
                     (json_int_t)alerts[V_FALSE], "false_positive_matches", (json_int_t)t->of[V_FALSE], "other", (json_int_t)alerts[V_OPEN], "other_matches",
                     (json_int_t)t->of[V_OPEN], "covered_to", t->covered_us ? time_json(t->covered_us) : json_null());
}
