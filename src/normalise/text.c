/* SPDX-License-Identifier: Apache-2.0
 * A line of text: behind its envelope, as a whole, of a device that was named, of a source that was named and does not know it. */
#include "normalise/source.h"

static bool generic_kv(struct cf_run *r)
{
    static const struct cf_kv_style styles[] = {{.assign = '=', .sep = " "}, {.assign = '=', .sep = ","}, {.assign = '=', .sep = ";"}};
    size_t eq = 0;

    for (size_t i = 0; i < r->msg.n && i < 400; i++)
        eq += r->msg.p[i] == '=';
    if (eq < 3)
        return false;
    for (size_t k = 0; k < sizeof styles / sizeof *styles; k++) {
        bool good = true;
        r->pairs.n = 0;
        cf_run_guide(r, NULL);
        if (cf_kv_parse(r->msg, &styles[k], r->a, &r->pairs, &r->err) < 0 || r->pairs.n < 3)
            continue;
        for (size_t i = 0; i < r->pairs.n && good; i++) {
            cf_str key = r->pairs.v[i].key;
            good = key.n < 64 && !memchr(key.p, ' ', key.n) && !memchr(key.p, ',', key.n) && !memchr(key.p, '<', key.n);
        }
        if (good) {
            r->format = CF_NF_KV;
            return true;
        }
    }
    r->pairs.n = 0;
    return false;
}

/* The envelope was none: "2026-11-21 06:00:00 INFO [main] text" has neither host nor program. */
void cf_run_not_syslog(struct cf_run *r)
{
    static const uint16_t f[] = {CF_F_HOST_NAME, CF_F_HOST_HOSTNAME, CF_F_PROCESS_NAME, CF_F_PROCESS_PID};

    if (r->sl.pri >= 0)
        return;
    for (size_t i = 0; i < sizeof f / sizeof *f; i++) {
        cf_str v = cf_event_get(r->ev, (enum cf_field)f[i]);
        if (v.p && (v.p == r->sl.host.p || v.p == r->sl.app.p || v.p == r->sl.pid.p))
            cf_event_unset(r->ev, (enum cf_field)f[i]);
    }
}

/* A source that was named by the sender: its patterns may describe the line with what looks like an envelope. */
static bool without_envelope(struct cf_run *r, const struct cf_source *s)
{
    cf_str msg = r->msg;

    if (!r->has_sl || r->sl.pri >= 0)
        return false;
    r->msg = r->text;
    if (cf_run_extract(r, s)) {
        cf_run_not_syslog(r);
        return true;
    }
    r->msg = msg;
    return false;
}

/* A device named by the sender: lines its own patterns do not know (nor its keys, where structured data is all there is) belong to
 * the source that knows the program, and keep what the device's file says about itself. */
static const struct cf_source *service_of(struct cf_run *r, const struct cf_source *device, bool *extracted)
{
    const struct cf_source *s;

    r->src = device;
    *extracted = cf_run_extract(r, device);
    if (*extracted)
        return device;
    cf_run_constants(r, device);
    if (!r->msg.n && cf_run_knows(r, device, 0))
        return device;
    s = cf_select_text(r, extracted);
    return s ? s : device;
}

static bool reads_cef(const struct cf_source *s)
{
    return s->payload == CF_P_CEF || s->payload == CF_P_LEEF || (s->formats & (CF_NF_CEF | CF_NF_LEEF)) || !s->n_match;
}

/* CEF and LEEF, of the product that the header names when the source its sender is named after does not read them. */
static bool run_cef(struct cf_run *r, cf_str body, const struct cf_source *hint)
{
    const struct cf_source *as = hint && reads_cef(hint) ? hint : NULL;

    cf_run_guide(r, body.n > 4 && body.p[0] == 'C' ? as ? as : r->t->cef : NULL);
    if (body.n > 4 && body.p[0] == 'C' && memcmp(body.p, "CEF:", 4) == 0 && cf_cef_parse(body, r->a, &r->pairs, &r->err) == 0) {
        r->format = CF_NF_CEF;
        cf_run_object(r, as);
        r->t->cef = r->src;
        return true;
    }
    if (body.n > 5 && body.p[0] == 'L' && memcmp(body.p, "LEEF:", 5) == 0 && cf_leef_parse(body, r->a, &r->pairs, &r->err) == 0) {
        r->format = CF_NF_LEEF;
        cf_run_object(r, as);
        return true;
    }
    return false;
}

/* Is a line that no pattern fits known to its source nevertheless: by pairs of its payload or of the envelope's structured data, or as
 * text of a source that has no patterns for text? ok: its payload could be read. */
static bool named_knows(const struct cf_run *r, size_t had, bool ok)
{
    const struct cf_source *s = r->src;

    if (s->payload != CF_P_TEXT)
        return ok && cf_run_knows(r, s, had);
    return (ok && (!s->n_match || (s->formats & CF_NF_TEXT))) || (had && cf_run_knows(r, s, 0));
}

/* A line that the source its sender is named after does not know: another source's after all, or an event with the envelope, the
 * source's constants and the text, which says that it was not recognised. had: pairs of the envelope. */
static void named_in_vain(struct cf_run *r, const struct cf_source *hint, size_t had)
{
    const struct cf_source *s = NULL;
    bool extracted = false;

    r->pairs.n = had;
    r->err.msg[0] = '\0';
    if (run_cef(r, cf_skip_blanks(r->msg), hint))
        return;
    if (!hint->services) { /* a device's lines were offered to the others already */
        if (!r->has_sl && r->msg.n && r->n->whole_first[(unsigned char)r->msg.p[0]] && cf_run_whole_line(r))
            return;
        s = cf_select_text(r, &extracted);
        r->src = hint;
    }
    if (s && s != hint) {
        bool pairs_ok = extracted || cf_run_payload(r, s), fits = extracted || cf_run_extract(r, s), knows = !fits && s->payload != CF_P_TEXT && pairs_ok && cf_run_knows(r, s, had);
        if (knows)
            cf_run_constants(r, s);
        if (fits || knows) {
            r->src = s;
            return;
        }
        r->pairs.n = had;
    }
    cf_run_unrecognised(r);
    cf_run_constants(r, r->src);
}

/* Text behind the envelope. */
void cf_run_text(struct cf_run *r, const struct cf_source *hint)
{
    bool extracted = false;
    cf_str body = cf_skip_blanks(r->msg);

    if ((!hint || reads_cef(hint) || !cf_has_patterns(hint)) && run_cef(r, body, hint))
        return;
    if (body.n > 1 && body.p[0] == '{') {
        size_t had = r->pairs.n;
        cf_run_json(r, body, hint);
        if (r->parsed || r->oom)
            return;
        r->pairs.n = had;
    }
    r->format = CF_NF_TEXT;
    r->src = hint;
    if (!hint)
        r->src = cf_select_text(r, &extracted);
    else if (hint->services)
        r->src = service_of(r, hint, &extracted);
    if (!r->src && r->pairs.n == 0 && generic_kv(r)) {
        cf_run_object(r, NULL);
        return;
    }
    if (!r->src)
        return;
    if (!extracted) {
        size_t had = r->pairs.n;
        bool pairs_ok = cf_run_payload(r, r->src);
        bool patterns = cf_has_patterns(r->src);
        if (patterns)
            extracted = cf_run_extract(r, r->src) || without_envelope(r, r->src);
        bool known = extracted || (r->src->payload == CF_P_TEXT ? !patterns : pairs_ok);
        if (hint && !extracted)
            known = named_knows(r, had, known);
        if (hint && !known)
            named_in_vain(r, hint, had);
        else if (!extracted)
            cf_run_constants(r, r->src);
        if (r->parsed) /* as CEF, or as a whole line of another source */
            return;
        if (!hint && !known && !r->has_sl) {
            if (!r->err.msg[0])
                (void)cf_error_set(&r->err, CF_ESYNTAX, "no pattern of source %s fits", r->src->name);
            r->src = NULL;
            return;
        }
    }
    cf_run_apply(r);
    if (hint && hint != r->src && hint->services)
        cf_run_device(r, hint);
    r->parsed = true;
}

void cf_run_source(struct cf_run *r, const struct cf_source *s, bool extracted)
{
    r->src = s;
    if (!extracted) {
        (void)cf_run_payload(r, s);
        if (!cf_run_extract(r, s))
            cf_run_constants(r, s);
    }
    cf_run_apply(r);
    r->parsed = true;
}

/* A line that a source knows as a whole: no envelope is taken off. */
bool cf_run_whole_line(struct cf_run *r)
{
    r->msg = r->text;
    r->format = CF_NF_TEXT;
    r->asked.ref = NULL;
    for (size_t i = 0; i < r->n->n_whole; i++) {
        const struct cf_source *s = &r->n->src[r->n->whole[i]];
        for (size_t m = 0; m < s->n_match; m++) {
            bool extracted = false;
            if (!s->match[m].whole || !cf_row_matches(r, &s->match[m]))
                continue;
            r->src = s;
            if (s->match[m].extract && !(extracted = cf_run_extract(r, s)))
                continue;
            cf_run_source(r, s, extracted);
            return true;
        }
    }
    r->src = NULL;
    return false;
}
