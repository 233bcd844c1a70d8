/* SPDX-License-Identifier: Apache-2.0
 * Column headers: Zeek TSV (#fields), W3C logs such as IIS (#Fields:), CSV (first line). A stream is a sender and its source
 * hint; a row belongs to the newest header of its stream that stands before it (cf_record.seq), so a header of an earlier
 * batch holds, and a row that is read again after a crash finds the header it had. Header lines are announced in order
 * before batches go to workers (cf_norm_announce); a header seen again changes nothing.
 *
 *   stream ─► versions, oldest first: [seq 0: a b c] [seq 812: a b c d] ...
 *
 * Shared by all threads and by successive normalisers. Versions never change once made; threads hold references. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "normalise/source.h"

#define BUCKETS 4096u
#define BUCKET_MAX 8u   /* streams in one: the one whose header is oldest goes */
#define VERSIONS 16u
#define COLS_MAX 400

struct cf_state_cols {
    _Atomic unsigned refs;
    uint64_t seq;       /* of the header line */
    enum cf_col_kind kind;
    char sep;
    size_t n;
    cf_str *col;
    cf_str path, unset, empty;
    char *text;         /* all of the above */
};
struct stream {
    uint64_t key;
    size_t n;
    struct cf_state_cols *v[VERSIONS];
    struct stream *next;
};
struct cf_stream {
    pthread_mutex_t lock; /* guards bucket and what hangs there */
    _Atomic uint64_t generation; /* 0: no header yet */
    uint64_t saved;
    struct stream *bucket[BUCKETS];
};

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

struct cf_stream *cf_streams_new(void)
{
    struct cf_stream *s = calloc(1, sizeof *s);

    if (s)
        (void)pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void cols_put(struct cf_state_cols *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    free(c->col);
    free(c->text);
    free(c);
}

static void stream_free(struct stream *st)
{
    for (size_t i = 0; i < st->n; i++)
        cols_put(st->v[i]);
    free(st);
}

void cf_streams_free(struct cf_stream *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct stream *st = s->bucket[i], *next; st; st = next) {
            next = st->next;
            stream_free(st);
        }
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

void cf_stream_thread_free(struct cf_norm_thread *t)
{
    for (size_t i = 0; t->cols && i < CF_COLS_CACHE; i++)
        cols_put(t->cols[i].cols);
    free(t->cols);
}

/* ---- versions --------------------------------------------------------------------------------------------------------- */

static cf_str keep(char **p, cf_str s)
{
    char *at = *p;

    if (s.n)
        memcpy(at, s.p, s.n);
    *p += s.n;
    return cf_str_n(at, s.n);
}

static struct cf_state_cols *cols_copy(const struct cf_state_cols *c)
{
    struct cf_state_cols *d = calloc(1, sizeof *d);
    size_t room = c->path.n + c->unset.n + c->empty.n + 1;
    char *p;

    if (!d)
        return NULL;
    for (size_t i = 0; i < c->n; i++)
        room += c->col[i].n;
    d->text = p = malloc(room);
    d->col = calloc(c->n + 1, sizeof *d->col);
    atomic_init(&d->refs, 1);
    if (!p || !d->col) {
        cols_put(d);
        return NULL;
    }
    d->seq = c->seq;
    d->kind = c->kind;
    d->sep = c->sep;
    d->n = c->n;
    for (size_t i = 0; i < c->n; i++)
        d->col[i] = keep(&p, c->col[i]);
    d->path = keep(&p, c->path);
    d->unset = keep(&p, c->unset);
    d->empty = keep(&p, c->empty);
    return d;
}

static struct stream *find(struct cf_stream *s, uint64_t key)
{
    struct stream *st = s->bucket[key % BUCKETS];

    while (st && st->key != key)
        st = st->next;
    return st;
}

/* A place for one more stream in its bucket. */
static struct stream *add_stream(struct cf_stream *s, uint64_t key)
{
    struct stream *st = calloc(1, sizeof *st), **oldest = NULL, **at;
    size_t n = 0;

    for (at = &s->bucket[key % BUCKETS]; *at; at = &(*at)->next, n++)
        if (!oldest || ((*at)->n && (*oldest)->n && (*at)->v[(*at)->n - 1]->seq < (*oldest)->v[(*oldest)->n - 1]->seq))
            oldest = at;
    if (st && n >= BUCKET_MAX) {
        struct stream *gone = *oldest;
        *oldest = gone->next;
        stream_free(gone);
    }
    if (st) {
        st->key = key;
        st->next = s->bucket[key % BUCKETS];
        s->bucket[key % BUCKETS] = st;
    }
    return st;
}

/* Takes d. A header that stands before the newest one is known already; one right behind it goes on with the same block. */
static bool publish(struct cf_stream *s, uint64_t key, struct cf_state_cols *d)
{
    struct stream *st;
    struct cf_state_cols *last;

    if (!d)
        return false;
    (void)pthread_mutex_lock(&s->lock);
    st = find(s, key);
    if (!st)
        st = add_stream(s, key);
    last = st && st->n ? st->v[st->n - 1] : NULL;
    if (st && !(last && d->seq < last->seq)) {
        if (last && d->seq - last->seq <= 1) { /* the same line, or the next one of the same block */
            cols_put(last);
            st->n--;
        } else if (st->n == VERSIONS) {
            cols_put(st->v[0]);
            memmove(&st->v[0], &st->v[1], (VERSIONS - 1) * sizeof st->v[0]);
            st->n--;
        }
        st->v[st->n++] = d;
        d = NULL;
        s->generation++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    cols_put(d);
    return st != NULL;
}

/* The version rows at seq have; a reference for the caller. *to: first seq it no longer holds for. */
static struct cf_state_cols *version(struct cf_stream *s, uint64_t key, uint64_t seq, uint64_t *to, uint64_t *generation)
{
    struct cf_state_cols *c = NULL;
    struct stream *st;

    (void)pthread_mutex_lock(&s->lock);
    *generation = s->generation;
    *to = UINT64_MAX;
    st = find(s, key);
    for (size_t i = st ? st->n : 0; i-- > 0 && !c;) {
        if (st->v[i]->seq <= seq)
            c = st->v[i];
        else
            *to = st->v[i]->seq;
    }
    if (c)
        atomic_fetch_add(&c->refs, 1);
    (void)pthread_mutex_unlock(&s->lock);
    return c;
}

static uint64_t key_of(const struct cf_record *rec) { return cf_hash64_seed(rec->peer, rec->source.n ? cf_hash64(rec->source) : 0); }

/* Columns of the record's stream; NULL: none known. Held by the thread until it looks at another stream of the same place. */
static const struct cf_state_cols *cols_of(struct cf_run *r)
{
    struct cf_norm_thread *t = r->t;
    struct cf_stream *s = t->streams;
    struct cf_cols_cache *c;
    uint64_t key, g = s->generation;

    if (g == 0)
        return NULL;
    if (!t->cols && !(t->cols = calloc(CF_COLS_CACHE, sizeof *t->cols))) {
        r->oom = true;
        return NULL;
    }
    key = key_of(r->rec);
    c = &t->cols[key % CF_COLS_CACHE];
    if (c->key != key || c->generation != g || r->rec->seq < c->from || r->rec->seq >= c->to) {
        struct cf_state_cols *now = version(s, key, r->rec->seq, &c->to, &c->generation);
        cols_put(c->cols);
        c->cols = now;
        c->key = key;
        c->from = now ? now->seq : 0;
    }
    return c->cols;
}

/* ---- header lines ------------------------------------------------------------------------------------------------------- */

static bool columns(cf_str list, char sep, struct cf_state_cols *c, cf_str *buf)
{
    cf_str one;

    c->n = 0;
    c->col = buf;
    while (cf_str_cut(&list, sep, &one)) {
        if (sep == ' ' && one.n == 0)
            continue;
        if (c->n == COLS_MAX || one.n == 0 || one.n > 128)
            return false;
        buf[c->n++] = cf_str_trim(one);
    }
    return c->n > 0;
}

static cf_str after(cf_str s, size_t n) { return cf_str_trim(cf_str_sub(s, n, s.n)); }

static void announce(struct cf_run *r, struct cf_state_cols *c)
{
    c->seq = r->rec->seq;
    if (!publish(r->t->streams, key_of(r->rec), cols_copy(c)))
        r->oom = true;
}

static bool zeek_header(struct cf_run *r, cf_str s)
{
    static const char *const words[] = {"#separator", "#set_separator", "#empty_field", "#unset_field", "#path", "#open", "#close", "#types", "#fields"};
    const struct cf_state_cols *now = cols_of(r);
    struct cf_state_cols c = {.kind = CF_COL_ZEEK, .sep = '\t', .unset = CF_STR("-"), .empty = CF_STR("(empty)")};
    cf_str buf[COLS_MAX];
    size_t w = 0;

    while (w < sizeof words / sizeof *words && !(cf_str_starts(s, cf_str_c(words[w])) && s.n > strlen(words[w]) &&
                                                 (s.p[strlen(words[w])] == '\t' || s.p[strlen(words[w])] == ' ')))
        w++;
    if (w == sizeof words / sizeof *words)
        return false;
    if (now && now->kind == CF_COL_ZEEK && w > 0) {
        c.sep = now->sep;
        c.n = now->n;
        c.col = now->col;
        c.path = now->path;
        c.unset = now->unset;
        c.empty = now->empty;
    }
    switch (w) {
    case 0: {
        cf_str v = after(s, 10);
        uint64_t x;
        c.sep = '\t';
        if (v.n == 4 && v.p[0] == '\\' && v.p[1] == 'x' && cf_str_hex64(cf_str_sub(v, 2, 2), &x))
            c.sep = (char)x;
        break;
    }
    case 2: c.empty = after(s, 12); break;
    case 3: c.unset = after(s, 12); break;
    case 4: c.path = after(s, 5); break;
    case 8:
        if (!columns(cf_str_sub(s, 8, s.n), c.sep, &c, buf))
            return false;
        break;
    default: return true;
    }
    announce(r, &c);
    return true;
}

static bool w3c_header(struct cf_run *r, cf_str s)
{
    struct cf_state_cols c = {.kind = CF_COL_IIS, .sep = ' ', .unset = CF_STR("-")};
    cf_str buf[COLS_MAX];

    if (cf_str_starts(s, CF_STR("#Software:")) || cf_str_starts(s, CF_STR("#Version:")) || cf_str_starts(s, CF_STR("#Date:")) ||
        cf_str_starts(s, CF_STR("#Start-Date:")) || cf_str_starts(s, CF_STR("#Remark:")))
        return true;
    if (!cf_str_starts(s, CF_STR("#Fields:")) || !columns(after(s, 8), ' ', &c, buf))
        return false;
    announce(r, &c);
    return true;
}

static bool csv_header(struct cf_run *r, cf_str s)
{
    struct cf_state_cols c = {.kind = CF_COL_CSV, .sep = ','};
    const struct cf_state_cols *now = cols_of(r);
    cf_str buf[COLS_MAX];
    struct cf_error e;
    size_t commas = 0, tabs = 0, semis = 0;

    if (now)
        return now->kind == CF_COL_CSV && now->seq == r->rec->seq; /* announced before */
    for (size_t i = 0; i < s.n && i < 2000; i++) {
        commas += s.p[i] == ',';
        tabs += s.p[i] == '\t';
        semis += s.p[i] == ';';
    }
    c.sep = tabs > commas ? '\t' : semis > commas ? ';' : ',';
    if (cf_csv_parse(s, c.sep, r->a, buf, COLS_MAX, &c.n, &e) < 0 || c.n == 0)
        return false;
    c.col = buf;
    announce(r, &c);
    return true;
}

bool cf_stream_header(struct cf_run *r)
{
    cf_str s = r->text;
    bool csv = cf_str_eqz(r->rec->format, "csv");

    if (s.n > 5 && s.p[0] == '#' && !csv)
        return s.p[1] >= 'a' ? zeek_header(r, s) : w3c_header(r, s);
    return csv && !(r->rec->source.n && r->src && r->src->n_col) && csv_header(r, s);
}

enum cf_col_kind cf_stream_row(struct cf_run *r)
{
    const struct cf_state_cols *c = cols_of(r);
    cf_str cols[COLS_MAX];
    size_t n;

    if (!c || !c->n)
        return CF_COL_NONE;
    if (cf_csv_parse(r->text, c->sep, r->a, cols, COLS_MAX, &n, &r->err) < 0)
        return CF_COL_NONE;
    if (n != c->n && c->kind != CF_COL_CSV) {
        (void)cf_error_set(&r->err, CF_ESYNTAX, "%zu columns, but the header names %zu", n, c->n);
        return CF_COL_NONE;
    }
    for (size_t i = 0; i < n && i < c->n; i++) { /* names live as long as the thread holds the version: longer than pairs do */
        cf_str v = cols[i];
        if (c->unset.n && cf_str_eq(v, c->unset))
            continue;
        if (c->empty.n && cf_str_eq(v, c->empty))
            v = CF_STR("");
        (void)cf_pair_add(&r->pairs, c->col[i], v, CF_V_STR);
    }
    if (c->kind == CF_COL_ZEEK && c->path.n) {
        cf_str path = cf_arena_copy(r->a, c->path);
        if (path.p)
            (void)cf_pair_add(&r->pairs, CF_STR("_path"), path, CF_V_STR);
    }
    return c->kind;
}

/* ---- over a restart ----------------------------------------------------------------------------------------------------- */

static json_t *cols_json(uint64_t key, const struct cf_state_cols *c)
{
    json_t *cols = json_array();
    char k[24];

    (void)snprintf(k, sizeof k, "%016llx", (unsigned long long)key);
    for (size_t i = 0; i < c->n; i++)
        (void)json_array_append_new(cols, json_stringn(c->col[i].p, c->col[i].n));
    return json_pack("{s:s,s:I,s:i,s:i,s:o,s:o,s:o,s:o}", "stream", k, "seq", (json_int_t)c->seq, "kind", (int)c->kind, "separator", (int)(unsigned char)c->sep, "columns",
                     cols, "path", json_stringn(c->path.p, c->path.n), "unset", json_stringn(c->unset.p, c->unset.n), "empty", json_stringn(c->empty.p, c->empty.n));
}

int cf_streams_save(struct cf_stream *s, const char *path, uint64_t spool_id, struct cf_error *reterr)
{
    json_t *list, *root;
    uint64_t g = s->generation;
    char id[24], *text;
    int r;

    if (g == s->saved)
        return 0;
    list = json_array();
    (void)pthread_mutex_lock(&s->lock);
    g = s->generation;
    for (size_t b = 0; b < BUCKETS; b++)
        for (const struct stream *st = s->bucket[b]; st; st = st->next)
            for (size_t i = 0; i < st->n; i++)
                (void)json_array_append_new(list, cols_json(st->key, st->v[i]));
    (void)pthread_mutex_unlock(&s->lock);
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)spool_id);
    root = json_pack("{s:s,s:o}", "spool", id, "headers", list);
    text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    r = text ? cf_file_write_durable(path, cf_str_c(text), 0640, reterr) : cf_error_set(reterr, CF_ENOMEM, "%s: no memory", path);
    free(text);
    if (r == 0)
        s->saved = g;
    return r;
}

static cf_str text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    return json_is_string(v) ? cf_str_n(json_string_value(v), json_string_length(v)) : CF_STR("");
}

static void load_one(struct cf_stream *s, const json_t *o, bool same_spool)
{
    struct cf_state_cols c = {.kind = (enum cf_col_kind)json_integer_value(json_object_get(o, "kind")), .path = text_of(o, "path"), .unset = text_of(o, "unset"),
                              .empty = text_of(o, "empty")};
    const json_t *cols = json_object_get(o, "columns");
    cf_str buf[COLS_MAX];
    uint64_t key;

    if (!cf_str_hex64(text_of(o, "stream"), &key) || c.kind < CF_COL_ZEEK || c.kind > CF_COL_CSV || json_array_size(cols) > COLS_MAX)
        return;
    c.seq = same_spool ? (uint64_t)json_integer_value(json_object_get(o, "seq")) : 0; /* a new spool counts anew: only the last one counts */
    c.sep = (char)json_integer_value(json_object_get(o, "separator"));
    c.col = buf;
    for (; c.n < json_array_size(cols); c.n++) {
        const json_t *v = json_array_get(cols, c.n);
        buf[c.n] = json_is_string(v) ? cf_str_n(json_string_value(v), json_string_length(v)) : CF_STR("");
    }
    (void)publish(s, key, cols_copy(&c));
}

int cf_streams_load(struct cf_stream *s, const char *path, uint64_t spool_id, struct cf_error *reterr)
{
    struct cf_buf b;
    json_error_t je;
    json_t *root = NULL;
    uint64_t id = 0;
    size_t i;
    const json_t *o;
    int r;

    if (access(path, F_OK) != 0)
        return 0;
    cf_buf_init(&b, 256u << 20);
    r = cf_file_read(path, &b, reterr);
    if (r == 0 && !(root = json_loadb(b.p ? b.p : "", b.n, 0, &je)))
        r = cf_error_set(reterr, CF_ECORRUPT, "%s: %s", path, je.text);
    cf_buf_release(&b);
    if (r == 0 && cf_str_hex64(text_of(root, "spool"), &id)) {
        json_array_foreach(json_object_get(root, "headers"), i, o)
            load_one(s, o, id == spool_id);
        s->saved = s->generation;
    }
    json_decref(root);
    return r;
}
