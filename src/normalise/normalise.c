/* SPDX-License-Identifier: Apache-2.0
 * One record through the station: encoding -> format -> source -> fields -> checks. */
#include "normalise/normalise.h"

#include "base/zero.h"
#include "normalise/audit.h"

#include <openssl/evp.h>

#include "normalise/input.h"
#include "normalise/journal.h"
#include "normalise/netflow.h"
#include "normalise/source.h"

static void put(struct cf_run *r, enum cf_field f, cf_str v)
{
    if (v.n && cf_event_put(r->ev, f, v, 0, CF_V_STR) == CF_ENOMEM)
        r->oom = true;
}

/* The first line of a CSV file: the columns' own names. */
static bool names_columns(const struct cf_source *s, const cf_str *cols, size_t n)
{
    if (n < 2 || n != s->n_col)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!cf_str_eq(cf_str_trim(cols[i]), s->col[i]))
            return false;
    return true;
}

/* Pairs of a source's own payload. */
bool cf_run_payload(struct cf_run *r, const struct cf_source *s)
{
    cf_str text = r->msg;
    cf_str cols[256];
    size_t n;
    int rc = 0;

    if (s->payload_after.n) {
        ptrdiff_t at = cf_str_find(text, s->payload_after);
        if (at >= 0)
            text = cf_str_sub(text, (size_t)at + s->payload_after.n, text.n);
    }
    cf_run_guide(r, s->payload == CF_P_KV ? s : NULL);
    switch (s->payload) {
    case CF_P_TEXT: return true;
    case CF_P_KV: rc = cf_kv_parse(text, &s->kv, r->a, &r->pairs, &r->err); break;
    case CF_P_CEF: rc = cf_cef_parse(text, r->a, &r->pairs, &r->err); break;
    case CF_P_LEEF: rc = cf_leef_parse(text, r->a, &r->pairs, &r->err); break;
    case CF_P_JSON: {
        const struct cf_jnode *nodes;
        rc = cf_json_parse(r->t->json, cf_skip_blanks(text), r->a, &nodes, &n, &r->err);
        if (rc == 0)
            rc = cf_json_pairs(nodes, 0, CF_STR(""), r->a, &r->pairs);
        break;
    }
    case CF_P_CSV:
        rc = cf_csv_parse(text, s->csv_sep, r->a, cols, 256, &n, &r->err);
        if (rc == 0 && names_columns(s, cols, n)) {
            r->ev->flags |= CF_EV_HEADER;
            return true;
        }
        for (size_t i = 0; rc == 0 && i < n && i < s->n_col; i++)
            if (s->col[i].n && !cf_str_eqz(s->col[i], "-"))
                (void)cf_pair_add(&r->pairs, s->col[i], cf_str_trim(cols[i]), CF_V_STR);
        break;
    }
    r->oom = r->oom || rc == CF_ENOMEM;
    return rc == 0 || rc == CF_ELIMIT;
}

void cf_run_object(struct cf_run *r, const struct cf_source *hint)
{
    bool known = hint && cf_run_knows(r, hint, 0);

    r->src = known ? hint : cf_select_parsed(r);
    if (hint && !r->src) {
        r->src = hint;
        cf_run_unrecognised(r);
    }
    if (!r->src)
        r->src = r->n->builtin;
    cf_run_constants(r, r->src);
    cf_run_apply(r);
    r->parsed = true;
}

/* A source of text only: an object in its log belongs to whoever knows the object. */
static const struct cf_source *reads_objects(const struct cf_source *hint, unsigned formats)
{
    return hint && hint->n_match && hint->payload == CF_P_TEXT && cf_has_patterns(hint) && !(hint->formats & formats) ? NULL : hint;
}

void cf_run_json(struct cf_run *r, cf_str text, const struct cf_source *hint)
{
    const struct cf_source *as = reads_objects(hint, CF_NF_JSON | CF_NF_WIN | CF_NF_ECS);

    text = cf_str_trim(text);
    if (text.n > 2 && text.p[text.n - 1] == ',' && text.p[text.n - 2] == '}') /* one element of an array a line */
        text.n--;
    const struct cf_jnode *nodes;
    cf_str inner;
    size_t n;
    int rc = cf_json_parse(r->t->json, text, r->a, &nodes, &n, &r->err);

    if (rc < 0) {
        r->oom = rc == CF_ENOMEM;
        return;
    }
    switch (cf_json_shape(nodes, n)) {
    case CF_SHAPE_WIN:
        r->format = CF_NF_WIN;
        rc = cf_windows_pairs(nodes, n, r->a, &r->pairs);
        break;
    case CF_SHAPE_ECS:
        r->format = CF_NF_ECS;
        rc = cf_json_pairs(nodes, 0, CF_STR(""), r->a, &r->pairs);
        break;
    case CF_SHAPE_PLAIN:
        if (!as && cf_run_wrapped(r, nodes, &inner)) {
            r->msg = r->text = inner;
            r->printable = false;
            if (r->sl.app.n || r->sl.host.n) {
                r->has_sl = true;
                r->sl.pri = -1;
                cf_run_envelope(r);
            }
            if (!r->has_sl && inner.n && r->n->whole_first[(unsigned char)inner.p[0]] && cf_run_whole_line(r))
                return;
            if (!r->has_sl && inner.n > 16 && (inner.p[0] == '<' || (inner.p[0] >= 'A' && inner.p[3] == ' ')) && cf_syslog_parse(inner, &r->sl)) {
                r->has_sl = true;
                r->msg = r->sl.msg.p ? r->sl.msg : CF_STR("");
                cf_run_envelope(r);
            }
            cf_run_text(r, hint);
            return;
        }
        r->format = CF_NF_JSON;
        rc = cf_json_pairs(nodes, 0, CF_STR(""), r->a, &r->pairs);
        break;
    }
    if (rc == CF_ENOMEM)
        r->oom = true;
    cf_run_object(r, as);
}

void cf_norm_announce(struct cf_norm_thread *t, struct cf_arena *arena, const struct cf_record *rec)
{
    struct cf_run r = {.t = t, .n = t->n, .a = arena, .rec = rec};

    if (!rec->raw.n || (rec->raw.p[0] != '#' && !cf_str_eqz(rec->format, "csv")))
        return;
    r.src = cf_source_hinted(t->n, rec->source);
    r.text = cf_encoding_text(t->enc, rec->raw, arena, &r.printable);
    if (r.text.p)
        (void)cf_stream_header(&r);
}

/* An entry of the journal's export format: its MESSAGE, with an envelope made of its other fields. */
static void run_journal(struct cf_run *r, const struct cf_source *hint)
{
    cf_str inner;

    if (!cf_journal_entry(r, r->rec->raw, &inner)) {
        (void)cf_error_set(&r->err, CF_ESYNTAX, "a journal entry without MESSAGE");
        return;
    }
    inner = cf_encoding_text(r->t->enc, inner, r->a, &r->printable); /* values may hold bytes of any kind */
    if (!inner.p) {
        r->oom = true;
        return;
    }
    r->msg = r->text = inner;
    r->has_sl = true;
    r->sl.pri = -1;
    cf_run_envelope(r);
    cf_run_text(r, hint);
    if (!r->parsed && !r->oom) {
        r->src = r->n->builtin;
        put(r, CF_F_EVENT_DATASET, CF_STR("journald"));
        cf_run_apply(r);
        r->parsed = true;
    }
}

/* A header line that names columns, or a row below one. False: neither. first: the record's first character. */
static bool run_columns(struct cf_run *r, const struct cf_source *hint, char first)
{
    enum cf_col_kind k = CF_COL_NONE;

    r->src = hint;
    if ((first == '#' || cf_str_eqz(r->rec->format, "csv")) && cf_stream_header(r)) {
        put(r, CF_F_EVENT_KIND, CF_STR("state"));
        put(r, CF_F_EVENT_ACTION, CF_STR("log-header"));
        r->src = r->n->builtin;
        r->ev->flags |= CF_EV_HEADER;
        r->parsed = true;
        return true;
    }
    if (!hint || hint->payload == CF_P_TEXT)
        k = cf_stream_row(r);
    if (k == CF_COL_NONE)
        return false;
    r->format = k == CF_COL_ZEEK ? CF_NF_ZEEK : k == CF_COL_IIS ? CF_NF_IIS : CF_NF_CSV;
    cf_run_object(r, hint);
    return true;
}

/* Well-formed syslog of a program nobody described is an event, not an error; but first the whole line may be a source's own
 * format whose start only looks like an envelope. */
static void run_unknown_program(struct cf_run *r, const struct cf_source *hint)
{
    static const uint16_t env[] = {CF_F_HOST_NAME, CF_F_HOST_HOSTNAME, CF_F_HOST_IP, CF_F_PROCESS_NAME, CF_F_PROCESS_PID};
    const struct cf_source *s;
    cf_str msg = r->msg;
    bool extracted = false;

    r->msg = r->text;
    r->format = CF_NF_TEXT;
    r->pairs.n = 0;
    s = hint ? NULL : cf_select_text(r, &extracted);
    if (s) {
        for (size_t i = 0; r->sl.pri < 0 && !extracted && i < sizeof env / sizeof *env; i++)
            cf_event_unset(r->ev, (enum cf_field)env[i]);
        if (extracted)
            cf_run_not_syslog(r);
        cf_run_source(r, s, extracted);
        return;
    }
    r->msg = msg;
    r->src = r->n->builtin;
    put(r, CF_F_EVENT_DATASET, CF_STR("syslog"));
    cf_run_apply(r);
    r->parsed = true;
}

static void run_record(struct cf_run *r)
{
    const struct cf_source *hint = cf_source_hinted(r->n, r->rec->source);
    cf_str s = cf_skip_blanks(r->text);

    if (!hint && (cf_str_eqz(r->rec->format, "nginx") || cf_str_eqz(r->rec->format, "apache") || cf_str_eqz(r->rec->format, "suricata")))
        hint = cf_source_hinted(r->n, r->rec->format);
    r->src = hint;
    if (s.n == 0) {
        (void)cf_error_set(&r->err, CF_ESYNTAX, "the record is empty");
        return;
    }
    if (s.p[0] == '{' || (s.p[0] == '[' && s.n > 1 && (s.p[1] == '{' || cf_str_eqz(r->rec->format, "json")))) {
        cf_run_json(r, s, hint);
        if (r->parsed || r->oom || !hint || !cf_has_patterns(hint))
            return;
        r->pairs.n = 0; /* text that begins so */
    }
    if (s.p[0] == '_' && cf_journal_is(s)) {
        run_journal(r, hint);
        return;
    }
    if (run_columns(r, hint, s.p[0]))
        return;
    if (!hint && r->n->whole_first[(unsigned char)r->text.p[0]] && cf_run_whole_line(r))
        return;
    r->msg = r->text;
    if (cf_syslog_parse_memo(r->text, &r->sl, &r->t->memo)) {
        r->has_sl = true;
        r->msg = r->sl.msg.p ? r->sl.msg : CF_STR("");
        cf_run_envelope(r);
    }
    cf_run_text(r, hint);
    if (!r->parsed && r->has_sl && !r->oom)
        run_unknown_program(r, hint);
}

static cf_str base64(struct cf_arena *a, cf_str raw)
{
    char *p = cf_arena_bytes(a, (raw.n + 2) / 3 * 4 + 1);
    int n;

    if (!p || raw.n > 65536)
        return p ? cf_str_n(p, 0) : CF_STR_NONE;
    if (raw.n && raw.p[0]) /* text already: see run_netflow */
        return cf_arena_copy(a, raw);
    n = EVP_EncodeBlock((unsigned char *)p, (const unsigned char *)raw.p, (int)raw.n);
    return cf_str_n(p, (size_t)n);
}

static int unbase64(struct cf_arena *a, cf_str *text)
{
    char *p = cf_arena_bytes(a, text->n / 4 * 3 + 4);
    int n;

    if (!p)
        return CF_ENOMEM;
    n = text->n <= 100000 ? EVP_DecodeBlock((unsigned char *)p, (const unsigned char *)text->p, (int)text->n) : -1;
    if (n < 0)
        return CF_ESYNTAX;
    *text = cf_str_n(p, (size_t)n); /* padding bytes at the end do no harm: the message says its length */
    return 0;
}

/* A flow message: pairs come from its bytes, its text is their base64 form. */
static void run_netflow(struct cf_run *r)
{
    const struct cf_source *hint = cf_source_hinted(r->n, r->rec->source);
    struct cf_ip ip;
    cf_str raw;
    int rc;

    r->ev->original = r->text;
    raw = r->rec->raw;
    rc = raw.n && raw.p[0] ? unbase64(r->a, &raw) : 0; /* kept originals come back as text */
    if (rc == 0)
        rc = cf_netflow_pairs(raw, r->a, &r->pairs, &r->err);
    r->oom = rc == CF_ENOMEM;
    if (rc < 0)
        return;
    r->format = CF_NF_NETFLOW;
    if (cf_ip_parse(r->rec->peer, &ip))
        put(r, CF_F_OBSERVER_IP, r->rec->peer);
    cf_run_object(r, hint ? hint : cf_source_hinted(r->n, CF_STR("netflow")));
}

static void unparsed(struct cf_run *r, const char *why)
{
    struct cf_event *ev = r->ev;
    cf_str msg = cf_arena_copy(r->a, cf_str_c(why));

    ev->flags |= CF_EV_UNPARSED;
    put(r, CF_F_EVENT_KIND, CF_STR("pipeline_error"));
    put(r, CF_F_ERROR_MESSAGE, msg);
    put(r, CF_F_MESSAGE, r->text);
}

static void clock_check(struct cf_run *r)
{
    struct cf_event *ev = r->ev;
    int64_t off;

    if (ev->time_us == CF_TIME_NONE) {
        ev->time_us = r->now_us;
        return;
    }
    if (r->now_us == 0)
        return;
    off = ev->time_us > r->now_us ? ev->time_us - r->now_us : r->now_us - ev->time_us;
    if (off > r->n->opt.clock_limit_us)
        ev->flags |= CF_EV_CLOCK_OFF;
}

static bool multiline(const struct cf_run *r)
{
    return !r->printable && memchr(r->text.p, '\n', r->text.n) != NULL;
}

/* The text of a record; *printable as cf_encoding_text has it. */
static cf_str text_of(struct cf_norm_thread *t, struct cf_arena *arena, const struct cf_record *rec, bool *printable)
{
    *printable = false;
    return cf_str_eqz(rec->format, "netflow") ? base64(arena, rec->raw) : cf_encoding_text(t->enc, rec->raw, arena, printable);
}

static int normalise_text(struct cf_norm_thread *t, struct cf_arena *arena, const struct cf_record *rec, cf_str text, bool printable, struct cf_event **ret)
{
    struct cf_run r;

    cf_zero(&r, offsetof(struct cf_run, err)); /* without the room for the message */
    r.err.code = 0;
    r.err.pos = 0;
    r.err.msg[0] = '\0';
    r.t = t;
    r.n = t->n;
    r.a = arena;
    r.rec = rec;
    r.pairs.v = t->pair;
    r.ev = cf_event_new(arena);
    if (!r.ev)
        return CF_ENOMEM;
    r.sl.pri = -1;
    r.ev->original = rec->raw;
    r.ev->received_us = rec->received_us;
    r.ev->seq = rec->seq;
    r.now_us = t->n->opt.now_us ? t->n->opt.now_us : rec->received_us ? rec->received_us : cf_now_us();
    r.text = text;
    r.wide = cf_wide_of(text);
    r.printable = printable;
    if (cf_str_eqz(rec->format, CF_INPUT_OVERSIZE))
        unparsed(&r, "longer than 16 MiB: the first 16 MiB are kept");
    else if (cf_str_eqz(rec->format, "netflow"))
        run_netflow(&r);
    else
        run_record(&r);
    if (r.oom)
        return CF_ENOMEM;
    if (r.parsed && r.src && r.src->refuse_multiline && r.format == CF_NF_TEXT && multiline(&r)) {
        r.parsed = false;
        (void)cf_error_set(&r.err, CF_ESYNTAX, "several lines in one record; source %s describes single lines", r.src->name);
    }
    if (r.parsed) {
        if (!r.ev->slot[CF_F_EVENT_KIND] || (r.ev->flags & CF_EV_UNRECOGNISED))
            put(&r, CF_F_EVENT_KIND, CF_STR("event"));
        if (!r.ev->slot[CF_F_MESSAGE])
            put(&r, CF_F_MESSAGE, !r.msg.n && (r.ev->flags & CF_EV_UNRECOGNISED) ? r.text : r.msg);
        r.ev->source = r.src ? r.src->name_s : CF_STR("");
        cf_run_derive(&r);
    } else if (!(r.ev->flags & CF_EV_UNPARSED)) {
        unparsed(&r, r.err.msg[0] ? r.err.msg : "no format or source recognises this record");
    }
    put(&r, CF_F_EVENT_ORIGINAL, r.text);
    if (r.pairs.full)
        r.ev->flags |= CF_EV_TRUNCATED;
    clock_check(&r);
    if (r.oom)
        return CF_ENOMEM;
    *ret = r.ev;
    return 0;
}

static int normalise_one(struct cf_norm_thread *t, struct cf_arena *arena, const struct cf_record *rec, struct cf_event **ret)
{
    bool printable;
    cf_str text = text_of(t, arena, rec, &printable);

    return text.p ? normalise_text(t, arena, rec, text, printable, ret) : CF_ENOMEM;
}

int cf_normalise(struct cf_norm_thread *t, struct cf_arena *arena, const struct cf_record *rec, struct cf_event **ret)
{
    bool printable;
    cf_str text = text_of(t, arena, rec, &printable);

    if (!text.p)
        return CF_ENOMEM;
    if (!printable && rec->raw.n && rec->raw.p[0] != '{' && cf_audit_joined(rec->raw) && (!rec->source.n || cf_str_eqz(rec->source, "auditd")))
        return cf_audit_normalise(t, arena, rec, normalise_one, ret);
    return normalise_text(t, arena, rec, text, printable, ret);
}
