/* SPDX-License-Identifier: Apache-2.0
 * Column headers: Zeek TSV (#fields), IIS and other W3C logs (#Fields:), CSV (first line). A stream is the sender (peer).
 * The list is shared by all threads under a lock taken only for header lines and after another thread saw one; rows look
 * at their thread's copy. */
#include <pthread.h>
#include <stdlib.h>

#include "normalise/source.h"

#define STREAMS_MAX 4096
#define COLS_MAX 400

struct cf_state_cols { /* immutable once published */
    uint64_t peer;
    enum cf_col_kind kind;
    char sep;
    size_t n;
    cf_str *col;
    cf_str path, unset, empty;
    char *text;
};
struct cf_stream {
    pthread_mutex_t lock; /* guards tab */
    _Atomic uint64_t generation;
    struct cf_state_cols *tab[STREAMS_MAX];
};

int cf_stream_new(struct cf_normaliser *n)
{
    n->streams = calloc(1, sizeof *n->streams);
    if (!n->streams)
        return CF_ENOMEM;
    (void)pthread_mutex_init(&n->streams->lock, NULL);
    return 0;
}

static void cols_free(struct cf_state_cols *c)
{
    if (!c)
        return;
    free(c->col);
    free(c->text);
    free(c);
}

void cf_stream_free(struct cf_normaliser *n)
{
    if (!n->streams)
        return;
    for (size_t i = 0; i < STREAMS_MAX; i++)
        cols_free(n->streams->tab[i]);
    (void)pthread_mutex_destroy(&n->streams->lock);
    free(n->streams);
}

static struct cf_state_cols *cols_copy(const struct cf_state_cols *c)
{
    struct cf_state_cols *d = calloc(1, sizeof *d);
    size_t room = c->path.n + c->unset.n + c->empty.n + 3;
    char *p;

    if (!d)
        return NULL;
    for (size_t i = 0; i < c->n; i++)
        room += c->col[i].n + 1;
    *d = *c;
    d->text = p = malloc(room);
    d->col = calloc(c->n + 1, sizeof *d->col);
    if (!p || !d->col) {
        cols_free(d);
        return NULL;
    }
#define TAKE(field)                                       \
    do {                                                  \
        if ((field).n)                                    \
            memcpy(p, (field).p, (field).n);              \
        (field).p = p;                                    \
        p += (field).n;                                   \
    } while (0)
    for (size_t i = 0; i < c->n; i++) {
        d->col[i] = c->col[i];
        TAKE(d->col[i]);
    }
    TAKE(d->path);
    TAKE(d->unset);
    TAKE(d->empty);
#undef TAKE
    return d;
}

static void publish(struct cf_run *r, const struct cf_state_cols *c)
{
    struct cf_stream *s = r->n->streams;
    struct cf_state_cols *d = cols_copy(c);

    if (!d) {
        r->oom = true;
        return;
    }
    d->peer = cf_hash64(r->rec->peer);
    (void)pthread_mutex_lock(&s->lock);
    cols_free(s->tab[d->peer % STREAMS_MAX]);
    s->tab[d->peer % STREAMS_MAX] = d;
    s->generation++;
    (void)pthread_mutex_unlock(&s->lock);
}

void cf_stream_thread_free(struct cf_norm_thread *t) { cols_free(t->cols); }

/* The peer's columns; NULL: none known. */
static const struct cf_state_cols *cols_of(struct cf_run *r)
{
    struct cf_stream *s = r->n->streams;
    uint64_t g = s->generation, peer;

    if (g == 0)
        return NULL;
    peer = cf_hash64(r->rec->peer);
    if (r->t->cols && r->t->cols->peer == peer && r->t->cols_generation == g)
        return r->t->cols->kind ? r->t->cols : NULL;
    cols_free(r->t->cols);
    (void)pthread_mutex_lock(&s->lock);
    r->t->cols_generation = s->generation;
    r->t->cols = s->tab[peer % STREAMS_MAX] && s->tab[peer % STREAMS_MAX]->peer == peer ? cols_copy(s->tab[peer % STREAMS_MAX]) : NULL;
    (void)pthread_mutex_unlock(&s->lock);
    return r->t->cols && r->t->cols->kind ? r->t->cols : NULL;
}

static bool columns(struct cf_run *r, cf_str list, char sep, struct cf_state_cols *c, cf_str *buf)
{
    cf_str one;

    (void)r;
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
        c = *now;
        c.text = NULL;
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
        if (!columns(r, cf_str_sub(s, 8, s.n), c.sep, &c, buf))
            return false;
        break;
    default: return true;
    }
    publish(r, &c);
    return true;
}

static bool w3c_header(struct cf_run *r, cf_str s)
{
    struct cf_state_cols c = {.kind = CF_COL_IIS, .sep = ' ', .unset = CF_STR("-")};
    cf_str buf[COLS_MAX];

    if (cf_str_starts(s, CF_STR("#Software:")) || cf_str_starts(s, CF_STR("#Version:")) || cf_str_starts(s, CF_STR("#Date:")) ||
        cf_str_starts(s, CF_STR("#Start-Date:")) || cf_str_starts(s, CF_STR("#Remark:")))
        return true;
    if (!cf_str_starts(s, CF_STR("#Fields:")) || !columns(r, after(s, 8), ' ', &c, buf))
        return false;
    publish(r, &c);
    return true;
}

bool cf_stream_header(struct cf_run *r)
{
    cf_str s = r->text;
    bool csv = cf_str_eqz(r->rec->format, "csv");

    if (s.n > 5 && s.p[0] == '#' && !csv)
        return (s.p[1] >= 'a' ? zeek_header(r, s) : w3c_header(r, s));
    if (csv && !(r->rec->source.n && r->src && r->src->n_col) && !cols_of(r)) {
        struct cf_state_cols c = {.kind = CF_COL_CSV, .sep = ','};
        cf_str buf[COLS_MAX];
        struct cf_error e;
        size_t commas = 0, tabs = 0, semis = 0;
        for (size_t i = 0; i < s.n && i < 2000; i++) {
            commas += s.p[i] == ',';
            tabs += s.p[i] == '\t';
            semis += s.p[i] == ';';
        }
        c.sep = tabs > commas ? '\t' : semis > commas ? ';' : ',';
        if (cf_csv_parse(s, c.sep, r->a, buf, COLS_MAX, &c.n, &e) < 0 || c.n == 0)
            return false;
        c.col = buf;
        publish(r, &c);
        return true;
    }
    return false;
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
    for (size_t i = 0; i < n && i < c->n; i++) {
        cf_str name = cf_arena_copy(r->a, c->col[i]); /* the header may change before the batch ends */
        cf_str v = cols[i];
        if (!name.p) {
            r->oom = true;
            return CF_COL_NONE;
        }
        if (c->unset.n && cf_str_eq(v, c->unset))
            continue;
        if (c->empty.n && cf_str_eq(v, c->empty))
            v = CF_STR("");
        (void)cf_pair_add(&r->pairs, name, v, CF_V_STR);
    }
    if (c->kind == CF_COL_ZEEK && c->path.n) {
        cf_str path = cf_arena_copy(r->a, c->path);
        if (path.p)
            (void)cf_pair_add(&r->pairs, CF_STR("_path"), path, CF_V_STR);
    }
    return c->kind;
}
