/* SPDX-License-Identifier: Apache-2.0
 * Open windows to a file and back, so that a restart loses none. Little-endian:
 *   "CFCORR2\n" | mark: origin u64, seq u64 | n_states u32 | states | crc32c u32 of all before
 *   state: rule u64 (hash of its id) | fired i64, by seq u64 | active u8 | text_n u32 | n u32 | text | n x (time i64, seq u64, value u64) */
#include <stdlib.h>

#include "detect/corr_int.h"

static const char magic[8] = {'C', 'F', 'C', 'O', 'R', 'R', '2', '\n'};
#define COUNT_AT 24
#define FILE_MAX (UINT64_C(2) << 30)

/* Which correlation a state belongs to, the same after a reload of changed rules. */
static uint64_t identity(const struct cf_rule *r)
{
    uint64_t h = cf_hash64(r->info.id.n ? r->info.id : r->info.title);

    h = cf_hash64_seed(r->name, h + r->corr->type);
    return h ^ (uint64_t)r->corr->span_us ^ ((uint64_t)r->corr->n_group << 56);
}

static void put(struct cf_buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        cf_buf_byte(b, (char)(v >> (8 * i)));
}

/* Entries below seq; true when there was one. A fire by an event from there on is forgotten: its replay fires again, and an alert
 * that is there already takes it in. */
static bool put_state(struct cf_buf *b, const struct cf_correlator *c, const struct cf_state *s, uint64_t seq)
{
    bool fired = cf_state_fired(s) != CF_TIME_NONE && s->x->fired_seq < seq;
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n; i++)
        n += s->e[i].seq < seq;
    if (!n)
        return false;
    put(b, identity(&c->rs->rules[s->corr]), 8);
    put(b, (uint64_t)(fired ? s->x->fired_us : CF_TIME_NONE), 8);
    put(b, fired ? s->x->fired_seq : 0, 8);
    put(b, fired && s->active, 1);
    put(b, s->text_n, 4);
    put(b, n, 4);
    cf_buf_add(b, s->text, s->text_n);
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->e[i].seq >= seq)
            continue;
        put(b, (uint64_t)s->e[i].t, 8);
        put(b, s->e[i].seq, 8);
        put(b, s->e[i].u.val, 8);
    }
    return true;
}

static void snapshot(struct cf_correlator *c, const struct cf_corr_mark *mark, struct cf_buf *b)
{
    uint64_t seq = mark ? mark->seq : UINT64_MAX;
    uint32_t n = 0;

    cf_buf_add(b, magic, sizeof magic);
    put(b, mark ? mark->origin : 0, 8);
    put(b, mark ? mark->seq : 0, 8);
    put(b, 0, 4);
    for (size_t i = 0; i < CF_SHARDS; i++) {
        (void)pthread_mutex_lock(&c->shard[i].lock);
        for (size_t k = 0; k < c->shard[i].cap; k++)
            n += c->shard[i].slot[k] && put_state(b, c, c->shard[i].slot[k], seq);
        (void)pthread_mutex_unlock(&c->shard[i].lock);
    }
    if (!b->failed)
        for (int i = 0; i < 4; i++)
            b->p[COUNT_AT + i] = (char)(n >> (8 * i));
    put(b, b->failed ? 0 : cf_crc32c(0, b->p, b->n), 4);
}

int cf_ruleset_corr_save(struct cf_ruleset *rs, const char *path, const struct cf_corr_mark *mark, struct cf_error *reterr)
{
    struct cf_buf b;
    int r;

    cf_buf_init(&b, FILE_MAX);
    snapshot(rs->correlator, mark, &b);
    r = b.failed ? cf_error_set(reterr, CF_ENOMEM, "out of memory") : cf_file_write_durable(path, cf_buf_view(&b), 0600, reterr);
    cf_buf_release(&b);
    return r;
}

int cf_ruleset_corr_move(struct cf_ruleset *to, struct cf_ruleset *from, struct cf_error *reterr)
{
    struct cf_buf b;
    int r;

    cf_buf_init(&b, FILE_MAX);
    snapshot(from->correlator, NULL, &b);
    r = b.failed ? cf_error_set(reterr, CF_ENOMEM, "out of memory") : cf_ruleset_corr_restore(to, cf_buf_view(&b), NULL, NULL, reterr);
    cf_buf_release(&b);
    to->skip_below = from->skip_below;
    atomic_fetch_add(&to->correlator->evicted, atomic_load(&from->correlator->evicted)); /* counters go on */
    atomic_fetch_add(&to->correlator->late, atomic_load(&from->correlator->late));
    atomic_fetch_add(&to->correlator->ungrouped, atomic_load(&from->correlator->ungrouped));
    return r;
}

void cf_ruleset_corr_skip(struct cf_ruleset *rs, uint64_t seq) { rs->skip_below = seq; }

struct reader {
    const unsigned char *p;
    size_t n, at;
    bool bad;
};

static uint64_t get(struct reader *r, size_t bytes)
{
    uint64_t v = 0;

    if (r->n - r->at < bytes) {
        r->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)r->p[r->at + i] << (8 * i);
    r->at += bytes;
    return v;
}

static const struct cf_rule *find_rule(const struct cf_ruleset *rs, uint64_t id)
{
    for (size_t i = 0; i < rs->n_rules; i++)
        if (rs->rules[i].corr && identity(&rs->rules[i]) == id)
            return &rs->rules[i];
    return NULL;
}

/* The text must hold one NUL-ended value per group field. */
static bool text_fits(const struct cf_corr *k, cf_str text)
{
    uint32_t nuls = 0;

    for (size_t i = 0; i < text.n; i++)
        nuls += text.p[i] == 0;
    return nuls == k->n_group && (text.n == 0 || text.p[text.n - 1] == 0);
}

struct fired {
    int64_t us;
    uint64_t seq;
    bool active;
};

static int restore(struct cf_correlator *c, const struct cf_corr *k, cf_str text, struct reader *r, uint32_t n, const struct fired *f)
{
    uint64_t key = cf_hash64_seed(text, k->index * UINT64_C(0x9e3779b97f4a7c15) + 1);
    struct cf_shard *sh = &c->shard[key % CF_SHARDS];
    struct cf_state *s;
    size_t was;
    int rc = 0;

    (void)pthread_mutex_lock(&sh->lock);
    s = cf_state_find(sh, key) ? NULL : cf_state_make(c, sh, key, k->index, text);
    was = s ? cf_state_bytes(s) : 0;
    for (uint32_t i = 0; i < n; i++) {
        struct cf_entry e = {.t = (int64_t)get(r, 8), .seq = get(r, 8)};

        e.u.val = get(r, 8);
        if (e.t < INT64_MIN / 4 || e.t > INT64_MAX / 4)
            r->bad = true;
        if (!s || rc < 0 || r->bad)
            continue;
        if (cf_state_insert(s, &e) < 0 || (!k->at_close && !cf_agg_join(k, s, &s->e[s->n - 1])))
            rc = CF_ENOMEM;
        while (rc == 0 && !k->at_close && s->e[s->win].t < s->e[s->n - 1].t - k->span_us) {
            cf_agg_leave(k, s, &s->e[s->win]);
            s->win++;
        }
        if (e.t > sh->newest_us)
            sh->newest_us = e.t;
    }
    if (s) {
        if (f->us != CF_TIME_NONE && cf_state_extra(s)) {
            s->x->fired_us = f->us;
            s->x->fired_seq = f->seq;
        }
        s->active = f->active;
        s->touched_s = (uint32_t)(cf_now_us() / CF_US_PER_S);
        sh->bytes += cf_state_bytes(s) - was;
        if (rc == 0 && k->at_close && s->n && !cf_close_push(c, sh, s->e[0].t + k->span_us + c->lateness_us, key))
            rc = CF_ENOMEM;
    }
    (void)pthread_mutex_unlock(&sh->lock);
    return rc;
}

int cf_ruleset_corr_restore(struct cf_ruleset *rs, cf_str data, size_t *ret_states, struct cf_corr_mark *ret_mark, struct cf_error *reterr)
{
    struct reader r = {(const unsigned char *)data.p, data.n, sizeof magic, false};
    struct cf_corr_mark mark;
    uint32_t n, crc = 0;
    size_t kept = 0;
    int rc = 0;

    if (data.n < COUNT_AT + 8 || memcmp(data.p, magic, sizeof magic) != 0)
        return cf_error_set(reterr, CF_ECORRUPT, "not a file of correlation state");
    for (int i = 0; i < 4; i++)
        crc |= (uint32_t)(unsigned char)data.p[data.n - 4 + (size_t)i] << (8 * i);
    if (cf_crc32c(0, data.p, data.n - 4) != crc)
        return cf_error_set(reterr, CF_ECORRUPT, "the checksum is wrong: the file is damaged");
    r.n = data.n - 4;
    mark.origin = get(&r, 8);
    mark.seq = get(&r, 8);
    n = (uint32_t)get(&r, 4);
    for (uint32_t i = 0; i < n && rc == 0 && !r.bad; i++) {
        const struct cf_rule *rule = find_rule(rs, get(&r, 8));
        struct fired fired;
        size_t text_n;
        uint32_t entries;
        cf_str text;

        fired.us = (int64_t)get(&r, 8);
        fired.seq = get(&r, 8);
        fired.active = get(&r, 1) != 0;
        text_n = get(&r, 4);
        entries = (uint32_t)get(&r, 4);
        text = (cf_str){(const char *)r.p + r.at, text_n};

        if (r.bad || text_n > r.n - r.at || entries > (r.n - r.at - text_n) / 24)
            return cf_error_set(reterr, CF_ECORRUPT, "state %u does not fit the file", i);
        r.at += text_n;
        if (!rule || !text_fits(rule->corr, text) || entries == 0) { /* the rule is gone or has changed */
            r.at += (size_t)entries * 24;
            continue;
        }
        rc = restore(rs->correlator, rule->corr, text, &r, entries, &fired);
        kept++;
    }
    if (r.bad)
        return cf_error_set(reterr, CF_ECORRUPT, "the file ends inside a state");
    if (rc < 0)
        return cf_error_set(reterr, rc, "out of memory");
    if (ret_states)
        *ret_states = kept;
    if (ret_mark)
        *ret_mark = mark;
    return 0;
}

int cf_ruleset_corr_load(struct cf_ruleset *rs, const char *path, size_t *ret_states, struct cf_corr_mark *ret_mark, struct cf_error *reterr)
{
    struct cf_buf b;
    int r;

    cf_buf_init(&b, FILE_MAX);
    r = cf_file_read(path, &b, reterr);
    if (r == 0)
        r = cf_ruleset_corr_restore(rs, b.n ? cf_buf_view(&b) : CF_STR(""), ret_states, ret_mark, reterr);
    if (r < 0)
        cf_error_context(reterr, "%s", path);
    cf_buf_release(&b);
    return r;
}
