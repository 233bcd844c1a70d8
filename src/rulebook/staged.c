/* SPDX-License-Identifier: Apache-2.0
 * What staged rules would have reported: counted per rule and day, with the newest hits kept as samples. Workers count in
 * memory under one short lock; the pipeline's keeper writes it down every few seconds. Hits of the last seconds before a crash
 * may be counted twice or not at all: they are a measure, not evidence. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "rulebook/rulebook.h"

#define RULES_MAX 4096   /* rules counted between two flushes */
#define DAYS_MAX 8       /* days of one rule between two flushes */
#define SAMPLES 20       /* kept a rule */

struct sample {
    int64_t time_us;
    char event_id[37], org[64], entity[160];
};
struct rule {
    char id[64];
    int64_t day[DAYS_MAX];
    uint64_t hits[DAYS_MAX];
    size_t n_days;
    uint64_t n; /* hits since the last flush */
    struct sample sample[SAMPLES];
};
struct cf_staged {
    pthread_mutex_t mu; /* everything below */
    struct rule **rule;
    size_t n;
    uint64_t slot; /* number of flushes: samples rotate */
};

struct cf_staged *cf_staged_new(void)
{
    struct cf_staged *s = calloc(1, sizeof *s);

    if (s && !(s->rule = calloc(RULES_MAX, sizeof *s->rule))) {
        free(s);
        s = NULL;
    }
    if (s)
        (void)pthread_mutex_init(&s->mu, NULL);
    return s;
}

static void clear(struct rule **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i]);
    free(v);
}

void cf_staged_free(struct cf_staged *s)
{
    if (!s)
        return;
    clear(s->rule, s->n);
    (void)pthread_mutex_destroy(&s->mu);
    free(s);
}

static void copy(char *to, size_t size, cf_str s)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;

    while (n && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    if (n)
        memcpy(to, s.p, n);
    to[n] = '\0';
}

static cf_str entity(const struct cf_event *ev)
{
    static const enum cf_field f[] = {CF_F_SOURCE_IP, CF_F_USER_NAME, CF_F_HOST_NAME, CF_F_DESTINATION_IP};

    for (size_t i = 0; i < sizeof f / sizeof *f; i++) {
        cf_str v = cf_event_get(ev, f[i]);

        if (v.n)
            return v;
    }
    return CF_STR("");
}

static struct rule *rule_of(struct cf_staged *s, cf_str id)
{
    struct rule *r;

    for (size_t i = 0; i < s->n; i++)
        if (cf_str_eqz(id, s->rule[i]->id))
            return s->rule[i];
    if (s->n == RULES_MAX || id.n >= sizeof r->id || !(r = calloc(1, sizeof *r)))
        return NULL;
    copy(r->id, sizeof r->id, id);
    return s->rule[s->n++] = r;
}

void cf_staged_note(struct cf_staged *s, const struct cf_hit *h, const char *event_id)
{
    int64_t at = h->ev->time_us == CF_TIME_NONE ? h->ev->received_us : h->ev->time_us, day = at / CF_US_PER_DAY;
    struct rule *r;

    (void)pthread_mutex_lock(&s->mu);
    r = rule_of(s, h->rule->id);
    if (r) {
        struct sample *x = &r->sample[r->n % SAMPLES];
        size_t k = 0;

        while (k < r->n_days && r->day[k] != day)
            k++;
        if (k == r->n_days && k < DAYS_MAX)
            r->day[r->n_days++] = day;
        r->hits[k < DAYS_MAX ? k : DAYS_MAX - 1]++;
        r->n++;
        x->time_us = at;
        copy(x->event_id, sizeof x->event_id, cf_str_c(event_id));
        copy(x->org, sizeof x->org, cf_event_get(h->ev, CF_F_ORGANIZATION_ID));
        copy(x->entity, sizeof x->entity, h->group.n ? h->group : entity(h->ev));
    }
    (void)pthread_mutex_unlock(&s->mu);
}

static int write_rule(struct cf_tx *tx, const struct rule *r, uint64_t slot, struct cf_error *reterr)
{
    size_t n = r->n < SAMPLES ? (size_t)r->n : SAMPLES;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < r->n_days; i++)
        ret = cf_tx_exec(tx, "INSERT INTO rule_staged_day (rule_id, day, hits) VALUES (?,?,?) ON CONFLICT (rule_id, day) DO UPDATE SET hits = rule_staged_day.hits + excluded.hits",
                         reterr, CF_Z(r->id), CF_I(r->day[i]), CF_I(r->hits[i]));
    for (size_t i = 0; ret == 0 && i < n; i++) {
        const struct sample *x = &r->sample[i];

        ret = cf_tx_exec(tx,
                         "INSERT INTO rule_staged_hit (rule_id, slot, time_us, org_id, event_id, entity) VALUES (?,?,?,?,?,?) ON CONFLICT (rule_id, slot) DO UPDATE SET "
                         "time_us = excluded.time_us, org_id = excluded.org_id, event_id = excluded.event_id, entity = excluded.entity",
                         reterr, CF_Z(r->id), CF_I((slot + i) % SAMPLES), CF_I(x->time_us), CF_Z(x->org), CF_Z(x->event_id), CF_Z(x->entity));
    }
    return ret;
}

int cf_staged_flush(struct cf_staged *s, struct cf_db *db, struct cf_error *reterr)
{
    struct rule **fresh, **v;
    struct cf_tx *tx = NULL;
    uint64_t slot;
    size_t n;
    int r = 0;

    (void)pthread_mutex_lock(&s->mu);
    n = s->n;
    fresh = n ? calloc(RULES_MAX, sizeof *fresh) : NULL;
    if (!fresh) {
        (void)pthread_mutex_unlock(&s->mu);
        return n ? cf_error_set(reterr, CF_ENOMEM, "no memory") : 0;
    }
    v = s->rule;
    s->rule = fresh;
    s->n = 0;
    slot = s->slot++;
    (void)pthread_mutex_unlock(&s->mu);
    r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = write_rule(tx, v[i], slot, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    clear(v, n);
    return r;
}
