/* SPDX-License-Identifier: Apache-2.0
 * The wizard's last step: what was found out, written as a source file in the form of content/sources. */
#include "normalise/propose_int.h"

/* What YAML 1.1 does not print or takes for a line's end: C1 controls, line and paragraph separator, byte order mark, the last
 * two of the plane. Writes its escape and answers its length in UTF-8 (s is valid); 0: another character. */
static size_t unprintable(struct cf_buf *b, cf_str s)
{
    const unsigned char *u = (const unsigned char *)s.p;
    unsigned c;

    if (s.n >= 2 && u[0] == 0xc2 && u[1] < 0xa0) {
        cf_buf_printf(b, "\\x%02x", u[1]);
        return 2;
    }
    if (s.n < 3 || u[0] < 0xe0 || u[0] >= 0xf0)
        return 0;
    c = (u[0] & 15u) << 12 | (u[1] & 63u) << 6 | (u[2] & 63u);
    if (c != 0x2028 && c != 0x2029 && c != 0xfeff && c < 0xfffe)
        return 0;
    cf_buf_printf(b, "\\u%04x", c);
    return 3;
}

/* A YAML scalar: plain when nothing can be read into it, otherwise in double quotes. */
static void scalar(struct cf_buf *b, cf_str s)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
    bool plain = s.n > 0 && s.n < 60 && ((s.p[0] | 32) >= 'a' && (s.p[0] | 32) <= 'z');

    for (size_t i = 0; i < s.n && plain; i++) {
        char c = s.p[i];
        plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '.' || c == '-';
    }
    for (size_t i = 0; i < sizeof words / sizeof *words && plain; i++)
        plain = !cf_str_ieq(s, cf_str_c(words[i]));
    if (plain) {
        cf_buf_str(b, s);
        return;
    }
    cf_buf_byte(b, '"');
    for (size_t i = 0, n; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x80 && (n = unprintable(b, cf_str_sub(s, i, s.n))) > 0)
            i += n - 1;
        else if (c == '"' || c == '\\')
            cf_buf_printf(b, "\\%c", c);
        else if (c == '\t')
            cf_buf_z(b, "\\t");
        else if (c < 0x20 || c == 0x7f)
            cf_buf_printf(b, "\\x%02x", c);
        else
            cf_buf_byte(b, (char)c);
    }
    cf_buf_byte(b, '"');
}

static void list(struct cf_buf *b, const cf_str *v, size_t n)
{
    cf_buf_byte(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            cf_buf_z(b, ", ");
        scalar(b, v[i]);
    }
    cf_buf_byte(b, ']');
}

/* Keys that every line has and that say most: long names first. */
static size_t always(const struct prop *p, size_t want, cf_str *ret)
{
    bool header = p->format == PF_ZEEK || p->format == PF_W3C; /* columns may be unset in a row */
    size_t n = 0, lines = 0;

    for (size_t i = 0; i < p->n_key; i++)
        lines = p->key[i].count > lines ? p->key[i].count : lines;
    while (n < want) {
        const struct prop_key *best = NULL;
        for (size_t i = 0; i < p->n_key; i++) {
            bool used = false;
            for (size_t k = 0; k < n; k++)
                used = used || cf_str_eq(ret[k], p->key[i].key);
            if (!used && p->key[i].count == lines && (!header || p->key[i].values == lines) && (!best || p->key[i].key.n > best->key.n) && p->key[i].key.n < 40)
                best = &p->key[i];
        }
        if (!best)
            break;
        ret[n++] = best->key;
    }
    return n;
}

static const char *base_of(enum prop_format f)
{
    switch (f) {
    case PF_CEF: return "cef";
    case PF_LEEF: return "leef";
    case PF_EVE: return "suricata";
    case PF_WIN: return "windows";
    case PF_ZEEK: return "zeek";
    case PF_W3C: return "iis";
    default: return NULL;
    }
}

static const struct cf_source *base_source(const struct prop *p)
{
    const char *want = base_of(p->format);

    for (size_t i = 0; want && p->in->norm && i < p->in->norm->n; i++)
        if (cf_str_eqz(p->in->norm->src[i].name_s, want) && !p->in->norm->src[i].base_name.p)
            return &p->in->norm->src[i];
    return NULL;
}

static void match_rows(struct prop *p, struct cf_buf *b)
{
    cf_str keys[3], with[3];
    size_t n = always(p, 3, keys);

    cf_buf_z(b, "match:\n");
    switch (p->format) {
    case PF_JSON: case PF_EVE: case PF_WIN:
        cf_buf_z(b, p->format == PF_WIN ? "  - format: evtx-json\n    has: " : "  - format: json\n    has: ");
        list(b, keys, n);
        break;
    case PF_CEF: case PF_LEEF:
        cf_buf_z(b, p->format == PF_CEF ? "  - format: cef\n    fields: {cef.device.vendor: " : "  - format: leef\n    fields: {leef.vendor: ");
        list(b, &p->vendor, 1);
        cf_buf_z(b, p->format == PF_CEF ? ", cef.device.product: " : ", leef.product: ");
        list(b, &p->product, 1);
        cf_buf_byte(b, '}');
        break;
    case PF_ZEEK:
        cf_buf_z(b, "  - format: zeek\n    fields: {_path: ");
        list(b, &p->path, 1);
        cf_buf_byte(b, '}');
        break;
    case PF_W3C:
        cf_buf_z(b, "  - format: iis\n    has: ");
        list(b, keys, n);
        break;
    case PF_KV:
        for (size_t i = 0; i < n; i++)
            with[i] = cf_arena_printf(p->a, "%.*s%c", CF_ARG(keys[i]), p->kv.assign);
        cf_buf_z(b, "  - ");
        if (p->app.n) {
            cf_buf_z(b, "program: ");
            list(b, &p->app, 1);
            cf_buf_z(b, "\n    ");
        }
        if (n) {
            cf_buf_z(b, "contains: ");
            list(b, with, n);
        } else if (!p->app.n) { /* no key is in every line: any pair */
            cf_buf_z(b, "regex: ");
            scalar(b, cf_arena_printf(p->a, "[A-Za-z0-9_.-]\\x%02x", (unsigned)(unsigned char)p->kv.assign));
        }
        break;
    case PF_CSV:
        cf_buf_z(b, "  - ");
        if (p->app.n) {
            cf_buf_z(b, "program: ");
            list(b, &p->app, 1);
            cf_buf_z(b, "\n    ");
        }
        cf_buf_z(b, "regex: ");
        {
            const char *sep = p->sep == '|' ? "\\|" : p->sep == '\t' ? "\\t" : p->sep == ';' ? ";" : ",", *cls = p->sep == '|' ? "|" : sep;
            scalar(b, cf_arena_printf(p->a, "^(?:(?:\"[^\"]*\"|[^\"%s]*)%s){%zu}(?:\"[^\"]*\"|[^\"%s]*)$", cls, sep, p->n_key - 1, cls));
        }
        break;
    default:
        if (p->app.n) {
            cf_buf_z(b, "  - program: ");
            list(b, &p->app, 1);
        } else {
            cf_buf_z(b, "  - extract: true");
        }
        break;
    }
    cf_buf_byte(b, '\n');
}

static void payload(struct prop *p, struct cf_buf *b)
{
    if (p->format == PF_KV) {
        cf_buf_z(b, "payload: {type: kv, assign: ");
        scalar(b, cf_str_n(&p->kv.assign, 1));
        cf_buf_z(b, ", separators: ");
        scalar(b, cf_str_c(p->kv.sep));
        cf_buf_z(b, p->kv.spaced ? ", spaced: true}\n" : "}\n");
    } else if (p->format == PF_CSV) {
        cf_buf_z(b, "payload: {type: csv, separator: ");
        scalar(b, p->sep == '\t' ? CF_STR("tab") : cf_str_n(&p->sep, 1));
        cf_buf_z(b, ", columns: [");
        for (size_t i = 0; i < p->n_key; i++) {
            if (i)
                cf_buf_z(b, ", ");
            scalar(b, p->key[i].key);
        }
        cf_buf_z(b, "]}\n");
    }
}

static void kind(struct prop *p, struct cf_buf *b)
{
    bool http = false, flow = false, login = false, source = false, dns = false;

    for (size_t i = 0; i < p->n_key; i++) {
        cf_str f = p->key[i].field;
        http = http || cf_str_starts(f, CF_STR("http."));
        dns = dns || cf_str_starts(f, CF_STR("dns."));
        flow = flow || cf_str_eqz(f, "destination.ip") || cf_str_eqz(f, "network.transport");
        source = source || cf_str_eqz(f, "source.ip");
        login = login || cf_str_eqz(f, "user.name");
    }
    (void)dns;
    cf_buf_z(b, "set: {event.module: ");
    scalar(b, cf_str_c(p->in->id));
    cf_buf_z(b, ", event.dataset: ");
    scalar(b, cf_arena_printf(p->a, "%s.log", p->in->id));
    cf_buf_z(b, ", event.kind: event");
    if (http)
        cf_buf_z(b, ", event.category: [web]");
    else if (flow && source)
        cf_buf_z(b, ", event.category: [network]");
    else if (login && source)
        cf_buf_z(b, ", event.category: [session]");
    cf_buf_z(b, "}\n");
}

/* Does the base look at the key in another way than by its map? */
static bool base_uses(const struct cf_source *base, cf_str key, bool *time)
{
    *time = false;
    for (size_t i = 0; base && i < base->n_time; i++)
        for (size_t k = 0; k < base->time[i].n_from; k++) {
            cf_str from = base->time[i].from[k].text, one;
            while (cf_str_cut(&from, '+', &one))
                *time = *time || cf_str_eq(one, key);
        }
    for (size_t i = 0; base && i < base->n_switch; i++)
        if (cf_str_eq(base->sw[i].on.text, key))
            return true;
    for (size_t i = 0; base && i < base->n_when; i++)
        for (size_t k = 0; k < base->when[i].n; k++)
            if (cf_str_eq(base->when[i].cond[k].ref.text, key))
                return true;
    return *time;
}

static void maps(struct prop *p, struct cf_buf *b, const struct cf_source *base)
{
    bool head = false;

    for (size_t i = 0; i < p->n_key; i++) {
        struct prop_key *k = &p->key[i];
        const struct cf_maprow *row = base ? cf_map_find(&base->map, k->key, cf_hash64(k->key)) : NULL;
        bool time;
        if (base && (base_uses(base, k->key, &time) || row)) {
            k->field = row && row->n ? row->t[0].to.text : CF_STR("");
            k->convert = CF_STR("");
            k->time = time;
            k->reason = cf_arena_printf(p->a, "source %s, which this one builds on, %s", base->name, time ? "reads the time from it" : row && row->n ? "maps it" : "looks at it");
            k->confidence = 0.95;
            k->by_base = true;
            continue;
        }
        if (!k->field.n && !k->time)
            continue;
        if (!head)
            cf_buf_z(b, "map:\n");
        head = true;
        cf_buf_z(b, "  ");
        scalar(b, k->key);
        cf_buf_byte(b, ':');
        if (k->convert.n) {
            cf_buf_z(b, " {to: ");
            scalar(b, k->field);
            cf_buf_z(b, ", convert: ");
            scalar(b, k->convert);
            cf_buf_byte(b, '}');
        } else if (k->field.n) {
            cf_buf_byte(b, ' ');
            scalar(b, k->field);
        }
        cf_buf_byte(b, '\n');
    }
    for (size_t i = 0; i < p->n_key; i++) { /* the rest stays findable under the source's own name */
        struct prop_key *k = &p->key[i];
        if (k->time || k->field.n || k->by_base)
            continue;
        k->field = cf_arena_printf(p->a, "%s.%.*s", base && base->prefix.n ? cf_arena_strdup(p->a, cf_str_sub(base->prefix, 0, base->prefix.n - 1)) : p->in->id, CF_ARG(k->key));
        if (!k->reason.n)
            k->reason = CF_STR("no field fits; it stays under the source's own name");
        k->confidence = 0.3;
    }
}

static void write_all(struct prop *p, struct cf_buf *b)
{
    const struct cf_source *base = base_source(p);

    for (size_t i = 0; i < p->in->n; i++) /* a real line in front, as content/sources wants it */
        if (p->kind[i] == p->format || (p->msg[i].n && p->msg[i].p[0] != '#' && !(p->csv_header && i == 0))) {
            cf_str s = cf_str_sub(p->in->line[i], 0, 400);
            cf_buf_z(b, "# ");
            for (size_t c = 0; c < s.n; c++)
                if ((unsigned char)s.p[c] >= 0x20 && (unsigned char)s.p[c] < 0x7f)
                    cf_buf_byte(b, s.p[c]);
            cf_buf_byte(b, '\n');
            break;
        }
    cf_buf_printf(b, "name: %s\ndoc: ", p->in->id);
    scalar(b, p->vendor.n || p->product.n ? cf_arena_printf(p->a, "%.*s %.*s", CF_ARG(p->vendor.p ? p->vendor : CF_STR("")), CF_ARG(p->product.p ? p->product : CF_STR("")))
                                          : cf_arena_printf(p->a, "%s, proposed from %zu lines", p->in->id, p->in->n));
    cf_buf_byte(b, '\n');
    if (base)
        cf_buf_printf(b, "base: %s\n", base->name);
    cf_buf_z(b, "prefix: ");
    scalar(b, base && base->prefix.n ? cf_str_sub(base->prefix, 0, base->prefix.n - 1) : cf_str_c(p->in->id));
    cf_buf_z(b, "\norder: 10\n");
    match_rows(p, b);
    payload(p, b);
    kind(p, b);
    if (p->n_pattern) {
        cf_buf_z(b, "extract:\n");
        for (size_t i = 0; i < p->n_pattern; i++) {
            cf_buf_z(b, "  - pattern: ");
            scalar(b, p->pattern[i]);
            cf_buf_byte(b, '\n');
        }
    }
    maps(p, b, base);
    if (p->time_from.n && !(base && base->n_time)) {
        cf_buf_z(b, "time:\n  - from: ");
        list(b, &p->time_from, 1);
        cf_buf_z(b, "\n    format: ");
        list(b, &p->time_format, 1);
        cf_buf_byte(b, '\n');
    }
}

int prop_yaml(struct prop *p, struct cf_error *reterr)
{
    struct cf_proposal *out = p->out;
    struct cf_buf b;

    cf_buf_init(&b, 4u << 20);
    write_all(p, &b);
    out->yaml = b.failed ? CF_STR_NONE : cf_arena_copy(p->a, cf_buf_view(&b));
    cf_buf_release(&b);
    out->field = CF_NEW_N(p->a, struct cf_prop_field, p->n_key + 1);
    if (!out->yaml.p || !out->field)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the proposal");
    for (size_t i = 0; i < p->n_key; i++) {
        const struct prop_key *k = &p->key[i];
        struct cf_prop_field *f = &out->field[out->n++];
        *f = (struct cf_prop_field){.key = k->key, .field = k->field.p ? k->field : CF_STR(""), .convert = k->convert.p ? k->convert : CF_STR(""),
                                    .reason = k->reason.p ? k->reason : CF_STR(""), .confidence = k->confidence, .n_samples = k->n_samples, .count = k->count, .time = k->time};
        memcpy(f->sample, k->sample, sizeof f->sample);
    }
    return 0;
}
