/* SPDX-License-Identifier: Apache-2.0
 * The wizard's first half: which format, which keys, with which values. */
#include <stdlib.h>

#include "normalise/propose_int.h"

static const char *const format_names[] = {
    [PF_JSON] = "json", [PF_EVE] = "eve", [PF_WIN] = "evtx-json", [PF_CEF] = "cef", [PF_LEEF] = "leef", [PF_KV] = "kv",
    [PF_CSV] = "csv", [PF_ZEEK] = "zeek", [PF_W3C] = "w3c", [PF_ACCESS] = "access", [PF_TEXT] = "text"};

/* --- keys and values --- */

static bool nothing(cf_str v) { return v.n == 0 || (v.n == 1 && v.p[0] == '-'); }

static void note_value(struct prop *p, struct prop_key *k, cf_str v)
{
    unsigned bits;
    bool seen = false;

    k->count++;
    if (nothing(v))
        return;
    if (k->values++ == 0) {
        k->first = v;
        k->constant = true;
    } else if (!cf_str_eq(k->first, v)) {
        k->constant = false;
    }
    bits = prop_shapes(v);
    for (unsigned s = 0; s < SH__COUNT; s++)
        k->shape[s] += bits >> s & 1;
    for (size_t i = 0; i < k->n_samples && !seen; i++)
        seen = cf_str_eq(k->sample[i], v);
    if (!seen && k->n_samples < CF_PROPOSE_SAMPLES)
        k->sample[k->n_samples++] = v;
    (void)p;
}

struct prop_key *prop_note(struct prop *p, cf_str key, size_t leaf, cf_str value)
{
    uint64_t h = cf_hash64(key);
    size_t at = h % PROP_SLOTS;
    struct prop_key *k;

    if (!key.n || key.n > 128)
        return NULL;
    for (; p->slot[at]; at = (at + 1) % PROP_SLOTS)
        if (cf_str_eq(p->key[p->slot[at] - 1].key, key)) {
            note_value(p, &p->key[p->slot[at] - 1], value);
            return &p->key[p->slot[at] - 1];
        }
    if (p->n_key == PROP_KEYS_MAX)
        return NULL;
    k = &p->key[p->n_key++];
    k->key = cf_arena_copy(p->a, key);
    if (!k->key.p) {
        p->n_key--;
        return NULL;
    }
    k->leaf = cf_str_sub(k->key, leaf < key.n ? leaf : 0, key.n);
    p->slot[at] = (uint16_t)p->n_key;
    note_value(p, k, value);
    return k;
}

static void note_pairs(struct prop *p, const struct cf_pairs *ps)
{
    for (size_t i = 0; i < ps->n; i++) {
        bool again = false;
        for (size_t j = i; j-- > 0 && !again && i - j < 4;) /* elements of one array count once */
            again = cf_str_eq(ps->v[j].key, ps->v[i].key);
        if (!again)
            (void)prop_note(p, ps->v[i].key, ps->v[i].leaf, ps->v[i].kind == CF_V_NULL ? CF_STR("") : ps->v[i].val);
    }
}

/* --- what is a line? --- */

static void keys_json(struct prop *p, struct cf_json *j, struct cf_pairs *ps)
{
    for (size_t i = 0; i < p->in->n; i++) {
        const struct cf_jnode *nodes;
        struct cf_error e;
        size_t n;
        ps->n = 0;
        if (p->kind[i] != p->format || cf_json_parse(j, p->msg[i], p->a, &nodes, &n, &e) < 0)
            continue;
        if ((p->format == PF_WIN ? cf_windows_pairs(nodes, n, p->a, ps) : cf_json_pairs(nodes, 0, CF_STR(""), p->a, ps)) < 0)
            continue;
        note_pairs(p, ps);
    }
}

static void keys_cef(struct prop *p, struct cf_pairs *ps)
{
    bool cef = p->format == PF_CEF;

    for (size_t i = 0; i < p->in->n; i++) {
        struct cf_error e;
        ps->n = 0;
        if (p->kind[i] != p->format || (cef ? cf_cef_parse(p->msg[i], p->a, ps, &e) : cf_leef_parse(p->msg[i], p->a, ps, &e)) < 0)
            continue;
        for (size_t k = 0; k < ps->n && k < 7; k++) {
            if (!p->vendor.p && (cf_str_eqz(ps->v[k].key, "cef.device.vendor") || cf_str_eqz(ps->v[k].key, "leef.vendor")))
                p->vendor = ps->v[k].val;
            if (!p->product.p && (cf_str_eqz(ps->v[k].key, "cef.device.product") || cf_str_eqz(ps->v[k].key, "leef.product")))
                p->product = ps->v[k].val;
        }
        note_pairs(p, ps);
    }
}

static void keys_kv(struct prop *p, struct cf_pairs *ps)
{
    if (prop_kv_spaced(p, &p->kv))
        p->kv.spaced = true;
    for (size_t i = 0; i < p->in->n; i++) {
        struct cf_error e;
        ps->n = 0;
        if (p->kind[i] == PF_KV && cf_kv_parse(p->msg[i], &p->kv, p->a, ps, &e) == 0)
            note_pairs(p, ps);
    }
}

/* A header: no column holds a number, an address or a time, and no two are equal. */
static bool is_header(const cf_str *cols, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cf_str c = cf_str_trim(cols[i]);
        if (!c.n || c.n > 64 || prop_shapes(c) & (1u << SH_IP | 1u << SH_INT | 1u << SH_NUM | 1u << SH_TIME | 1u << SH_MAC | 1u << SH_URL))
            return false;
        for (size_t k = 0; k < i; k++)
            if (cf_str_eq(c, cf_str_trim(cols[k])))
                return false;
    }
    return n > 0;
}

static void keys_columns(struct prop *p, cf_str *name, size_t n_names, char sep, const char *head)
{
    cf_str cols[PROP_COLS];
    bool passed = head == NULL;

    for (size_t i = 0; i < n_names; i++)
        (void)prop_note(p, name[i], 0, CF_STR(""));
    for (size_t k = 0; k < p->n_key; k++) /* naming them was no value */
        p->key[k].count = 0;
    for (size_t i = 0; i < p->in->n; i++) {
        size_t n;
        if (head && !passed) {
            passed = cf_str_starts(p->msg[i], cf_str_c(head));
            continue;
        }
        if (p->msg[i].n == 0 || (head && p->msg[i].p[0] == '#') || (p->csv_header && i == 0))
            continue;
        n = prop_cols(p, p->msg[i], sep, cols, PROP_COLS);
        if (n != n_names)
            continue;
        for (size_t c = 0; c < n; c++)
            (void)prop_note(p, name[c], 0, cf_str_trim(cols[c]));
    }
}

static int keys_csv(struct prop *p, size_t n_cols)
{
    cf_str cols[PROP_COLS], *name = CF_NEW_N(p->a, cf_str, n_cols);
    size_t n = prop_cols(p, p->msg[0], p->sep, cols, PROP_COLS);

    if (!name)
        return CF_ENOMEM;
    p->csv_header = !p->syslog && n == n_cols && p->in->n > 1 && is_header(cols, n);
    for (size_t i = 0; i < n_cols; i++) {
        name[i] = p->csv_header ? cf_arena_copy(p->a, cf_str_trim(cols[i])) : cf_arena_printf(p->a, "column%zu", i + 1);
        if (!name[i].p)
            return CF_ENOMEM;
    }
    keys_columns(p, name, n_cols, p->sep, NULL);
    return 0;
}

static int keys_header(struct prop *p, const char *head, char sep)
{
    cf_str names = CF_STR_NONE, one, *name = CF_NEW_N(p->a, cf_str, PROP_COLS);
    struct cf_buf b;
    size_t n = 0;

    if (!name)
        return CF_ENOMEM;
    cf_buf_init(&b, 1u << 20);
    for (size_t i = 0; i < p->in->n; i++) {
        if (cf_str_starts(p->msg[i], cf_str_c(head)) && !names.p)
            names = cf_str_trim(cf_str_sub(p->msg[i], strlen(head), p->msg[i].n));
        if (cf_str_starts(p->msg[i], CF_STR("#path")))
            p->path = cf_str_trim(cf_str_sub(p->msg[i], 5, p->msg[i].n));
        if (p->msg[i].n && p->msg[i].p[0] == '#') {
            cf_buf_str(&b, p->msg[i]);
            cf_buf_byte(&b, '\n');
        }
    }
    p->out->header = cf_arena_copy(p->a, cf_buf_view(&b));
    cf_buf_release(&b);
    while (n < PROP_COLS && cf_str_cut(&names, sep, &one))
        if (one.n)
            name[n++] = one;
    keys_columns(p, name, n, sep, head);
    return 0;
}

/* --- the whole --- */

static void envelopes(struct prop *p)
{
    size_t with = 0, apps = 0;

    for (size_t i = 0; i < p->in->n; i++) {
        struct cf_syslog sl;
        cf_str s = p->in->line[i];
        p->msg[i] = s;
        if (!s.n || !cf_syslog_parse(s, &sl))
            continue;
        if (sl.pri < 0 && !sl.app.n) /* a stamp in front of text: perhaps no syslog at all */
            continue;
        with++;
        p->msg[i] = sl.msg.p ? cf_str_trim(sl.msg) : CF_STR("");
        if (sl.app.n && (!p->app.n || cf_str_eq(p->app, sl.app))) {
            p->app = sl.app;
            apps++;
        }
    }
    p->syslog = with * 2 > p->in->n;
    if (apps != with)
        p->app = CF_STR_NONE;
    if (!p->syslog)
        for (size_t i = 0; i < p->in->n; i++)
            p->msg[i] = p->in->line[i];
}

static int keys_of_access(struct prop *p)
{
    static const char *const pat[] = {
        "%src:word% %-:word% %user:word% [%stamp:until%] \"%method:word% %url:until% HTTP/%http_version:upto:\"%\" %status:int% %body_bytes:word% \"%referrer:upto:\"%\" \"%agent:upto:\"%\"",
        "%src:word% %-:word% %user:word% [%stamp:until%] \"%method:word% %url:until% HTTP/%http_version:upto:\"%\" %status:int% %body_bytes:word% \"%referrer:upto:\"%\" \"%agent:upto:\"%\" %-:rest%",
        "%src:word% %-:word% %user:word% [%stamp:until%] \"%method:word% %url:until% HTTP/%http_version:upto:\"%\" %status:int% %body_bytes:word%",
        "%src:word% %-:word% %user:word% [%stamp:until%] \"%method:word% %url:until% HTTP/%http_version:upto:\"%\" %status:int% %body_bytes:word% %-:rest%"};

    p->n_pattern = sizeof pat / sizeof *pat;
    p->pattern = CF_NEW_N(p->a, cf_str, p->n_pattern);
    if (!p->pattern)
        return CF_ENOMEM;
    for (size_t i = 0; i < p->n_pattern; i++)
        p->pattern[i] = cf_str_c(pat[i]);
    p->strict = true;
    return 0;
}

static int name_of(void *ctx, cf_str name, uint32_t *ret, struct cf_error *reterr)
{
    struct prop *p = ctx;

    (void)reterr;
    (void)prop_note(p, name, 0, CF_STR(""));
    for (size_t i = 0; i < p->n_key; i++)
        if (cf_str_eq(p->key[i].key, name))
            *ret = (uint32_t)i;
    return 0;
}

/* The values that the patterns take out of the lines. */
static int keys_of_patterns(struct prop *p, struct cf_error *reterr)
{
    struct cf_tpl *t = cf_tpl_new(p->a);
    struct cf_tpl_hole hole[CF_TPL_HOLES_MAX];

    for (size_t i = 0; t && i < p->n_pattern; i++) {
        int r = cf_tpl_add(t, p->pattern[i], (uint32_t)i, name_of, p, reterr);
        if (r < 0 && r != CF_EEXIST)
            return r;
    }
    for (size_t k = 0; k < p->n_key; k++) /* naming them was no value */
        p->key[k].count = 0;
    for (size_t i = 0; t && i < p->in->n; i++) {
        size_t n;
        if (cf_tpl_match(t, p->msg[i], hole, &n) < 0)
            continue;
        for (size_t k = 0; k < n; k++)
            note_value(p, &p->key[hole[k].name], hole[k].val);
    }
    return t ? 0 : CF_ENOMEM;
}

static int collect(struct prop *p, struct cf_json *j, struct cf_pairs *ps, struct cf_error *reterr)
{
    size_t cols = 0;
    int r = 0;

    prop_choose_format(p, j, ps, &cols);
    switch (p->format) {
    case PF_JSON: case PF_EVE: case PF_WIN: keys_json(p, j, ps); break;
    case PF_CEF: case PF_LEEF: keys_cef(p, ps); break;
    case PF_KV: keys_kv(p, ps); break;
    case PF_CSV: r = keys_csv(p, cols); break;
    case PF_ZEEK: r = keys_header(p, "#fields", '\t'); break;
    case PF_W3C: r = keys_header(p, "#Fields:", ' '); break;
    case PF_ACCESS: r = keys_of_access(p); break;
    case PF_TEXT: case PF_NONE: case PF__COUNT:
        p->format = PF_TEXT;
        r = prop_templates(p, reterr);
        break;
    }
    if (r == 0 && p->n_pattern)
        r = keys_of_patterns(p, reterr);
    return r;
}

int cf_propose(struct cf_arena *a, const struct cf_propose_in *in, struct cf_proposal *ret, struct cf_error *reterr)
{
    struct prop *p = CF_NEW(a, struct prop);
    struct cf_json *j = cf_json_new();
    struct cf_pairs ps = {0};
    bool any = false;
    int r = CF_ENOMEM;

    *ret = (struct cf_proposal){0};
    for (size_t i = 0; i < in->n; i++)
        any = any || cf_str_trim(in->line[i]).n;
    if (!any || in->n > CF_PROPOSE_LINES_MAX) {
        cf_json_free(j);
        return cf_error_set(reterr, CF_EINVAL, any ? "more than %d lines" : "there is no text in these lines", CF_PROPOSE_LINES_MAX);
    }
    ps.v = malloc(sizeof *ps.v * CF_PAIRS_MAX);
    if (p && j && ps.v) {
        p->a = a;
        p->in = in;
        p->out = ret;
        p->msg = CF_NEW_N(a, cf_str, in->n);
        p->kind = CF_NEW_N(a, enum prop_format, in->n);
        p->key = CF_NEW_N(a, struct prop_key, PROP_KEYS_MAX);
        p->slot = CF_NEW_N(a, uint16_t, PROP_SLOTS);
        r = p->msg && p->kind && p->key && p->slot ? 0 : CF_ENOMEM;
    }
    if (r == 0) {
        envelopes(p);
        r = collect(p, j, &ps, reterr);
    }
    free(ps.v);
    cf_json_free(j);
    if (r == 0) {
        prop_fields(p);
        r = prop_yaml(p, reterr);
    }
    if (r < 0)
        return reterr && reterr->msg[0] ? r : cf_error_set(reterr, r, "no proposal: %s", cf_err_text(r));
    ret->format = format_names[p->format];
    ret->syslog = p->syslog;
    ret->n_pattern = p->n_pattern;
    ret->pattern = p->pattern;
    return 0;
}

/* --- rows --- */

static bool shown(const struct cf_value *v)
{
    if (v->id == CF_F_EXTRA)
        return v->name != 0;
    return v->id != CF_F_EVENT_ORIGINAL && v->id != CF_F_RELATED_IP && v->id != CF_F_RELATED_USER && v->id != CF_F_RELATED_HOSTS &&
           v->id != CF_F_RELATED_HASH && v->id != CF_F_EVENT_TIMEZONE;
}

static int one_row(struct cf_arena *a, const struct cf_event *ev, cf_str line, struct cf_row *row)
{
    row->v = CF_NEW_N(a, struct cf_row_value, ev->n + 1u);
    if (!row->v)
        return CF_ENOMEM;
    for (size_t i = 0; i < ev->n; i++) {
        const struct cf_value *v = &ev->val[i];
        struct cf_row_value *o = &row->v[row->n];
        if (!shown(v) || v->kind == CF_V_NULL)
            continue;
        o->field = v->id == CF_F_EXTRA ? cf_name_text(v->name) : cf_str_n(cf_fields[v->id].name, cf_fields[v->id].name_n);
        o->value = cf_str_n(v->p, v->n);
        o->start = o->end = -1;
        if (v->n && v->p >= line.p && v->p + v->n <= line.p + line.n) {
            o->start = v->p - line.p;
            o->end = o->start + (int64_t)v->n;
        }
        row->n++;
    }
    return 0;
}

int cf_rows(struct cf_arena *a, struct cf_norm_thread *t, cf_str source, const cf_str *line, size_t n, struct cf_row *ret, struct cf_error *reterr)
{
    struct cf_stream *shared = t->streams, *own = cf_streams_new(); /* column headers of these lines are nobody else's */
    int rc = 0;

    if (!own)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the rows");
    cf_stream_thread_free(t);
    t->cols = NULL;
    t->streams = own;
    for (size_t i = 0; i < n; i++) {
        const int64_t now = cf_now_us();
        struct cf_record rec = {.received_us = now, .raw = line[i], .source = source, .peer = CF_STR("wizard"), .format = CF_STR(""), .org = CF_STR(""), .seq = i};
        struct cf_event *ev = NULL;
        int r;

        ret[i] = (struct cf_row){.text = line[i], .time_us = CF_TIME_NONE};
        if (!cf_str_trim(line[i]).n) {
            ret[i].error = CF_STR("the line is empty");
            continue;
        }
        r = cf_normalise(t, a, &rec, &ev);
        if (r == 0 && !(ev->flags & CF_EV_HEADER))
            r = one_row(a, ev, line[i], &ret[i]);
        if (r < 0) {
            rc = cf_error_set(reterr, r, "line %zu: %s", i + 1, cf_err_text(r));
            break;
        }
        ret[i].source = ev->source;
        ret[i].header = (ev->flags & CF_EV_HEADER) != 0;
        if (!ret[i].header && ev->time_us != now && ev->time_us != t->n->opt.now_us) /* the clock's: the line said none */
            ret[i].time_us = ev->time_us;
        if (ev->flags & (CF_EV_UNPARSED | CF_EV_UNRECOGNISED))
            ret[i].error = cf_event_get(ev, CF_F_ERROR_MESSAGE);
    }
    cf_stream_thread_free(t);
    t->cols = NULL;
    t->streams = shared;
    cf_streams_free(own);
    return rc;
}
