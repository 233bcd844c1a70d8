/* SPDX-License-Identifier: Apache-2.0
 * What the pipeline tells of itself: its counters added up, and samples of the records no source understood. */
#include <stdlib.h>

#include "pipeline/pipeline.h"
#include "pipeline/pipeline_int.h"

void cf_pipeline_get_stats(struct cf_pipeline *p, struct cf_pipeline_stats *ret)
{
    struct cf_spool_stats st;

    memset(ret, 0, sizeof *ret);
    for (struct cf_counter *c = cf_counters_first(p->counters); c; c = c->next) {
        ret->stored += atomic_load(&c->stored);
        ret->failed += atomic_load(&c->failed);
        ret->rejected += atomic_load(&c->rejected);
        ret->accepted += atomic_load(&c->accepted);
        ret->received += atomic_load(&c->received);
        ret->unparsed += atomic_load(&c->unparsed);
    }
    cf_spool_get_stats(p->spool, &st);
    ret->hits = atomic_load(&p->hits);
    ret->batches = atomic_load(&p->batches);
    ret->queue_bytes = st.backlog_bytes;
    ret->eps = (double)atomic_load(&p->eps_milli) / 1000.0;
    ret->lag_seconds = st.oldest_us ? (double)(cf_now_us() - st.oldest_us) / 1e6 : 0;
    if (ret->lag_seconds < 0)
        ret->lag_seconds = 0;
    ret->store_failing = atomic_load(&p->store_failing_since) != 0;
    (void)pthread_mutex_lock(&p->mu);
    memcpy(ret->store_reason, p->store_reason, sizeof ret->store_reason);
    (void)pthread_mutex_unlock(&p->mu);
}

const char *cf_source_state(const struct cf_counter *c, int64_t last_us, int64_t made_us, int64_t silent_us, int64_t now_us)
{
    uint64_t today = c ? atomic_load(&c->today) : 0, bad = c ? atomic_load(&c->today_unparsed) : 0;
    int64_t last = c ? atomic_load(&c->last_us) : 0;

    if (last == 0)
        last = last_us;
    if (last == 0 && made_us && now_us - made_us <= silent_us)
        return "waiting";
    if (last == 0 || now_us - last > silent_us)
        return "silent";
    return bad >= 20 && bad * 2 > today ? "error" : "online";
}

static char *dup_clip(cf_str s, size_t max)
{
    size_t n = s.n < max ? s.n : max;
    char *q = malloc(n + 1);

    if (q) {
        if (n)
            memcpy(q, s.p, n);
        q[n] = '\0';
        for (size_t i = 0; i < n; i++)
            if (q[i] == '\0')
                q[i] = ' ';
    }
    return q;
}

void pipeline_note_unparsed(struct cf_pipeline *p, const struct cf_spool_origin *o, cf_str raw, cf_str reason)
{
    int64_t now = cf_mono_us();
    struct unparsed *u;

    if (pthread_mutex_trylock(&p->mu) != 0)
        return; /* a sample, not a ledger: the counters have them all */
    if (now - p->unparsed_window_us > CF_US_PER_S) {
        p->unparsed_window_us = now;
        p->unparsed_in_window = 0;
    }
    if (p->unparsed_in_window++ < 20) {
        u = &p->unparsed[p->n_unparsed++ % UNPARSED_MAX];
        free(u->key);
        free(u->peer);
        free(u->raw);
        free(u->reason);
        *u = (struct unparsed){dup_clip(o->key, 100), dup_clip(o->peer, 200), dup_clip(raw, 2048), dup_clip(reason, 300), o->received_us};
    }
    (void)pthread_mutex_unlock(&p->mu);
}

static json_t *text_json(const char *s)
{
    struct cf_buf b;
    json_t *j = s ? json_string(s) : json_null();

    if (j)
        return j;
    cf_buf_init(&b, 0); /* not UTF-8: escape and read back */
    cf_buf_json(&b, cf_str_c(s));
    j = json_loadb(b.p, b.n, JSON_DECODE_ANY, NULL);
    cf_buf_release(&b);
    return j ? j : json_null();
}

json_t *cf_pipeline_unparsed(struct cf_pipeline *p, size_t max)
{
    json_t *list = json_array();

    (void)pthread_mutex_lock(&p->mu);
    for (size_t i = 0; i < UNPARSED_MAX && i < p->n_unparsed && i < max; i++) {
        const struct unparsed *u = &p->unparsed[(p->n_unparsed - 1 - i) % UNPARSED_MAX];
        char time[32];
        size_t n = cf_time_format(u->received_us, time);

        (void)json_array_append_new(list, json_pack("{s:o,s:o,s:o,s:o,s:o}", "source", text_json(u->key), "peer", text_json(u->peer), "raw",
                                                    text_json(u->raw), "reason", text_json(u->reason), "received_at", json_stringn(time, n)));
    }
    (void)pthread_mutex_unlock(&p->mu);
    return list;
}
