/* SPDX-License-Identifier: Apache-2.0
 * Unparsed records, and those that their named source did not recognise, once more: stored originals -> normaliser of now -> what is understood replaces the old event.
 *
 *   500 old events by id -> normalise, enrich -> which of the new ids are there already? -> insert the others -> delete the old ones
 *
 * The new event's id is made from the old one's, so that a run that ends between insert and delete and is begun again finds what
 * it inserted and only deletes. Rules are not run over these events: a back-test does that. One at a time, one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/app.h"
#include "pipeline/quality.h"

#define PAGE 500

struct reprocess {
    struct cf_pipeline *p;
    pthread_t thread;
    _Atomic bool stop;
    char source[128], last_id[40], error[300];
    int64_t from_us, to_us, started_us, ended_us;
    _Atomic uint64_t total, done, understood;
    _Atomic int state; /* 0 running, 1 done, 2 cancelled, 3 failed; error and ended_us are the thread's own until it is over */
};

static int select_page(struct reprocess *j, bool count, struct cf_buf *out, struct cf_error *reterr)
{
    struct cf_event_store *s = j->p->o.events;
    char from[32], to[32], sql[1400];
    struct cf_query_param v[4] = {{"from", {from, 0}}, {"to", {to, 0}}, {"source", cf_str_c(j->source)}, {"after", cf_str_c(j->last_id)}};

    v[0].value.n = (size_t)snprintf(from, sizeof from, "%lld", (long long)j->from_us);
    v[1].value.n = (size_t)snprintf(to, sizeof to, "%lld", (long long)j->to_us);
    (void)snprintf(sql, sizeof sql,
                   "SELECT %s FROM %s.events WHERE " QUALITY_FAILED " AND time >= fromUnixTimestamp64Micro({from:Int64})"
                   " AND time < fromUnixTimestamp64Micro({to:Int64}) AND ({source:String} = '' OR extras['chengfang.data_source'] = {source:String})"
                   " AND toString(id) > {after:String}%s",
                   count ? "toString(count())"
                         : "toString(id), toString(toUnixTimestamp64Micro(ifNull(event_ingested, time))), extras['chengfang.data_source'], extras['chengfang.peer'],"
                           " extras['chengfang.format'], extras['chengfang.parser'], organization_id, event_original",
                   cf_event_store_database(s), count ? "" : " ORDER BY toString(id) LIMIT 500");
    return cf_event_store_query(s, cf_str_c(sql), v, 4, "JSONCompact", NULL, out, reterr);
}

static json_t *rows_of(const struct cf_buf *b, json_t **ret_doc)
{
    *ret_doc = json_loadb(b->p, b->n, 0, NULL);
    return json_object_get(*ret_doc, "data");
}

static cf_str cell(const json_t *row, size_t i)
{
    const json_t *t = json_array_get(row, i);

    return json_is_string(t) ? cf_str_n(json_string_value(t), json_string_length(t)) : CF_STR("");
}

struct page {
    struct cf_norm_thread *norm;
    struct cf_shared_box *norm_box, *enrich_box;
    struct cf_event_block *block;
    struct cf_arena arena;
    struct cf_event *ev[PAGE];
    struct {
        char text[40];
    } id[PAGE];
    cf_str old[PAGE];
    size_t n;
};

/* What is understood now goes into pg->ev with the id of its successor. */
static int understand(struct page *pg, const json_t *row, struct cf_error *reterr)
{
    struct cf_record rec = {.raw = cell(row, 7), .source = cell(row, 5), .format = cell(row, 4), .peer = cell(row, 3), .org = cell(row, 6)};
    char time_text[32];
    cf_str ingested;
    struct cf_event *ev = NULL;

    if (!cf_str_i64(cell(row, 1), &rec.received_us))
        rec.received_us = cf_now_us();
    rec.seq = cf_hash64_seed(cell(row, 0), UINT64_C(0x7265646f)); /* the id is made of this, the receiving time and the text */
    if (cf_normalise(pg->norm, &pg->arena, &rec, &ev) < 0)
        return cf_error_set(reterr, CF_ENOMEM, "no memory to normalise");
    if (ev->flags & (CF_EV_UNPARSED | CF_EV_UNRECOGNISED | CF_EV_HEADER))
        return 0;
    ev->seq = rec.seq;
    ev->received_us = rec.received_us;
    ingested = cf_str_n(time_text, cf_time_format(rec.received_us, time_text));
    if (pg->enrich_box)
        (void)cf_enrich(pg->enrich_box->p, ev, &rec, cf_arena_copy(&pg->arena, ingested));
    if (cell(row, 2).n)
        (void)cf_event_extra(ev, cf_name_intern(CF_STR("chengfang.data_source")), cell(row, 2), 0, CF_V_STR);
    (void)cf_event_extra(ev, cf_name_intern(CF_STR("chengfang.reprocessed")), cell(row, 0), 0, CF_V_STR);
    pg->ev[pg->n] = ev;
    pg->old[pg->n] = cell(row, 0);
    cf_event_id(ev, pg->id[pg->n].text);
    pg->n++;
    return 0;
}

/* Ids of the page that the store has already. */
static int find_present(struct reprocess *j, const struct page *pg, bool present[PAGE], struct cf_error *reterr)
{
    struct cf_buf sql, out;
    json_t *doc = NULL, *rows, *row;
    size_t k;
    int r;

    cf_buf_init(&sql, 1 << 20);
    cf_buf_init(&out, 1 << 20);
    cf_buf_printf(&sql, "SELECT toString(id) FROM %s.events WHERE has(mapKeys(extras), 'chengfang.reprocessed') AND id IN (", cf_event_store_database(j->p->o.events));
    for (size_t i = 0; i < pg->n; i++)
        cf_buf_printf(&sql, "%s'%s'", i ? "," : "", pg->id[i].text);
    cf_buf_z(&sql, ")");
    r = cf_event_store_query(j->p->o.events, cf_buf_view(&sql), NULL, 0, "JSONCompact", NULL, &out, reterr);
    rows = r == 0 ? rows_of(&out, &doc) : NULL;
    json_array_foreach(rows, k, row)
        for (size_t i = 0; i < pg->n; i++)
            if (cf_str_eqz(cell(row, 0), pg->id[i].text))
                present[i] = true;
    json_decref(doc);
    cf_buf_release(&sql);
    cf_buf_release(&out);
    return r;
}

static int replace_page(struct reprocess *j, struct page *pg, struct cf_error *reterr)
{
    bool present[PAGE] = {false};
    char token[80];
    int r = find_present(j, pg, present, reterr);

    cf_event_block_clear(pg->block);
    for (size_t i = 0; i < pg->n && r == 0; i++)
        if (!present[i] && cf_event_block_add(pg->block, pg->ev[i]) < 0)
            r = cf_error_set(reterr, CF_ENOMEM, "events");
    (void)snprintf(token, sizeof token, "reprocess-%.40s-%zu", pg->id[0].text, cf_event_block_rows(pg->block));
    if (r == 0 && cf_event_block_rows(pg->block))
        r = cf_event_store_insert(j->p->o.events, pg->block, cf_str_c(token), true, reterr);
    if (r == 0)
        r = cf_event_store_sync(j->p->o.events, reterr);
    cf_crash_point("reprocess.inserted");
    if (r == 0)
        r = cf_event_store_delete(j->p->o.events, pg->old, pg->n, reterr);
    return r;
}

/* One page. *ret_more false: there was nothing left. */
static int one_page(struct reprocess *j, struct page *pg, bool *ret_more, struct cf_error *reterr)
{
    json_t *doc = NULL, *rows, *row;
    struct cf_buf out;
    size_t k, n = 0;
    int r;

    cf_buf_init(&out, (size_t)256 << 20);
    r = select_page(j, false, &out, reterr);
    rows = r == 0 ? rows_of(&out, &doc) : NULL;
    pg->n = 0;
    json_array_foreach(rows, k, row) {
        if (r == 0 && k < PAGE)
            r = understand(pg, row, reterr);
        n++;
    }
    if (r == 0 && pg->n)
        r = replace_page(j, pg, reterr);
    if (r == 0 && n) {
        cf_str last = cell(json_array_get(rows, n - 1), 0);

        (void)snprintf(j->last_id, sizeof j->last_id, "%.*s", CF_ARG(last));
        atomic_fetch_add(&j->done, n);
        atomic_fetch_add(&j->understood, pg->n);
    }
    *ret_more = n > 0;
    json_decref(doc);
    cf_buf_release(&out);
    cf_arena_reset(&pg->arena);
    return r;
}

static int run(struct reprocess *j, struct cf_error *reterr)
{
    struct cf_pipeline *p = j->p;
    struct page *pg = calloc(1, sizeof *pg);
    struct cf_buf out;
    json_t *doc = NULL, *rows;
    bool more = true;
    int64_t total;
    int r;

    if (!pg)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    cf_buf_init(&out, 1 << 20);
    r = select_page(j, true, &out, reterr);
    rows = r == 0 ? rows_of(&out, &doc) : NULL;
    if (rows && cf_str_i64(cell(json_array_get(rows, 0), 0), &total))
        atomic_store(&j->total, (uint64_t)total);
    json_decref(doc);
    cf_buf_release(&out);
    cf_arena_init(&pg->arena, (size_t)1 << 20, 0);
    pg->norm_box = cf_shared_get(&p->norm);
    pg->enrich_box = cf_shared_get(&p->enrich);
    pg->norm = pg->norm_box ? cf_norm_thread_new(pg->norm_box->p) : NULL;
    pg->block = cf_event_block_new();
    if (r == 0 && (!pg->norm || !pg->block))
        r = cf_error_set(reterr, CF_ENOMEM, "no memory to normalise");
    while (r == 0 && more && !atomic_load(&j->stop) && !atomic_load(&p->stop))
        r = one_page(j, pg, &more, reterr);
    cf_norm_thread_free(pg->norm);
    if (pg->block)
        cf_event_block_free(pg->block);
    cf_shared_put(&p->norm, pg->norm_box);
    cf_shared_put(&p->enrich, pg->enrich_box);
    cf_arena_release(&pg->arena);
    free(pg);
    return r;
}

static void *job_main(void *arg)
{
    struct reprocess *j = arg;
    struct cf_error err = {0};
    int r = run(j, &err);

    (void)snprintf(j->error, sizeof j->error, "%.280s", r < 0 ? err.msg : "");
    j->ended_us = cf_now_us();
    atomic_store(&j->state, r < 0 ? 3 : atomic_load(&j->stop) ? 2 : 1);
    cf_log_info("pipeline", "unparsed records done again", "seen=%llu understood=%llu reason=\"%s\"", (unsigned long long)atomic_load(&j->done),
                (unsigned long long)atomic_load(&j->understood), r < 0 ? err.msg : "");
    return NULL;
}

void reprocess_stop(struct cf_pipeline *p)
{
    struct reprocess *j = p->reprocess;

    if (!j)
        return;
    atomic_store(&j->stop, true);
    (void)pthread_join(j->thread, NULL);
    free(j);
    p->reprocess = NULL;
}

/* ---- endpoints ------------------------------------------------------------------------------------------------------------------ */

static struct cf_pipeline *pipeline_of(struct cf_req *req) { return ((struct cf_app *)req->app)->pipeline; }

static json_t *state_json(struct reprocess *j)
{
    static const char *const states[] = {"running", "done", "cancelled", "failed"};
    char a[32], b[32];
    int state = atomic_load(&j->state);
    json_t *o = json_pack("{s:s,s:s,s:I,s:I,s:I,s:s,s:s#}", "state", states[state], "source", j->source, "total", (json_int_t)atomic_load(&j->total),
                          "done", (json_int_t)atomic_load(&j->done), "understood", (json_int_t)atomic_load(&j->understood), "error", state ? j->error : "", "started_at", a,
                          (int)cf_time_format(j->started_us, a));

    if (o && state)
        (void)json_object_set_new(o, "ended_at", json_stringn(b, cf_time_format(j->ended_us, b)));
    return o;
}

int reprocess_get(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipeline_of(req);
    json_t *o;

    if (!p)
        return cf_error_set(reterr, CF_EBUSY, "the pipeline is not running");
    (void)pthread_mutex_lock(&p->reprocess_mu);
    o = p->reprocess ? state_json(p->reprocess) : json_pack("{s:s}", "state", "none");
    (void)pthread_mutex_unlock(&p->reprocess_mu);
    cf_reply_json(req, 200, cf_req_tell(req, o));
    return 0;
}

int reprocess_post(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipeline_of(req);
    const char *source = json_string_value(json_object_get(req->json, "source"));
    const json_t *hours = json_object_get(req->json, "hours");
    struct reprocess *j;
    int r = 0;

    if (req->who->scope != CF_SCOPE_ALL)
        return cf_error_set(reterr, CF_ECONFLICT, "records nobody understood belong to no organisation yet: this needs a role that sees everything");
    if (!p || !p->o.events)
        return cf_error_set(reterr, CF_EBUSY, "there is no pipeline or no event store");
    (void)pthread_mutex_lock(&p->reprocess_mu);
    if (p->reprocess && atomic_load(&p->reprocess->state) == 0) {
        r = cf_error_set(reterr, CF_ECONFLICT, "one is running already");
    } else {
        reprocess_stop(p);
        j = calloc(1, sizeof *j);
        if (j) {
            j->p = p;
            j->to_us = j->started_us = cf_now_us();
            j->from_us = j->to_us - (hours ? json_integer_value(hours) : 24) * 3600 * CF_US_PER_S;
            (void)snprintf(j->source, sizeof j->source, "%s", source ? source : "");
            if (pthread_create(&j->thread, NULL, job_main, j) != 0) {
                free(j);
                j = NULL;
            }
        }
        p->reprocess = j;
        if (!j)
            r = cf_error_set(reterr, CF_ENOMEM, "no memory");
        else
            cf_reply_json(req, 202, state_json(j));
    }
    (void)pthread_mutex_unlock(&p->reprocess_mu);
    return r;
}

int reprocess_delete(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipeline_of(req);

    if (!p)
        return cf_error_set(reterr, CF_EBUSY, "the pipeline is not running");
    (void)pthread_mutex_lock(&p->reprocess_mu);
    if (p->reprocess)
        atomic_store(&p->reprocess->stop, true);
    (void)pthread_mutex_unlock(&p->reprocess_mu);
    cf_reply_empty(req, 204);
    return 0;
}
