/* SPDX-License-Identifier: Apache-2.0
 * Which field is a key? By its name (ECS itself, the dictionary of content/taxonomy/keys.yaml, the maps of the sources in
 * use), checked against the shape of its values; or by the shape alone. And which key is the time? */
#include <stdio.h>
#include <stdlib.h>

#include "normalise/propose_int.h"

struct keyname {
    cf_str plain;
    uint64_t hash;
    cf_str field, convert;
};
struct cf_keynames {
    size_t mask;
    struct keyname *slot, *word; /* word: in front of a value in text */
    size_t n_time;
    cf_str *time;
};

cf_str prop_plain(struct cf_arena *a, cf_str name)
{
    char *p = cf_arena_bytes(a, name.n + 1);
    size_t n = 0;

    if (!p)
        return CF_STR_NONE;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 32);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80)
            p[n++] = c;
    }
    return cf_str_n(p, n);
}

/* --- the dictionary --- */

static const struct keyname *find(const struct keyname *tab, size_t mask, cf_str plain)
{
    uint64_t h = cf_hash64(plain);

    for (size_t i = h & mask; tab[i].plain.p; i = (i + 1) & mask)
        if (tab[i].hash == h && cf_str_eq(tab[i].plain, plain))
            return &tab[i];
    return NULL;
}

static int put_name(struct cf_arena *a, struct keyname *tab, size_t mask, const struct cf_ynode *at, cf_str field, cf_str convert, struct cf_error *reterr)
{
    struct keyname k = {.plain = prop_plain(a, at->text), .field = field, .convert = convert};
    const struct keyname *had;
    size_t i;

    if (!k.plain.n)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: \"%.*s\" holds neither letters nor digits", at->line, CF_ARG(at->text));
    had = find(tab, mask, k.plain);
    if (had && cf_str_eq(had->field, field))
        return 0;
    if (had)
        return cf_error_set(reterr, CF_ESYNTAX, "line %u: \"%.*s\" stands for %.*s already", at->line, CF_ARG(at->text), CF_ARG(had->field));
    k.hash = cf_hash64(k.plain);
    for (i = k.hash & mask; tab[i].plain.p; i = (i + 1) & mask)
        ;
    tab[i] = k;
    return 0;
}

static int load_names(struct cf_arena *a, const struct cf_ynode *map, struct keyname *tab, size_t mask, struct cf_error *reterr)
{
    int r = 0;

    for (const struct cf_ynode *f = map ? map->child : NULL; f && r == 0; f = f->next) {
        const struct cf_ynode *list = f->kind == CF_Y_MAP ? cf_ymap_get(f, "names") : f;
        cf_str convert = f->kind == CF_Y_MAP ? cf_ymap_str(f, "convert") : CF_STR_NONE;
        if (!list || list->kind != CF_Y_SEQ)
            return cf_error_set(reterr, CF_ESYNTAX, "line %u: %.*s needs a list of names", f->line, CF_ARG(f->key));
        if (cf_field_find(f->key) == CF_F_EXTRA)
            return cf_error_set(reterr, CF_ESYNTAX, "line %u: there is no field \"%.*s\"", f->line, CF_ARG(f->key));
        for (const struct cf_ynode *c = list->child; c && r == 0; c = c->next)
            r = put_name(a, tab, mask, c, f->key, convert, reterr);
    }
    return r;
}

int cf_keynames_load(struct cf_arena *a, const char *path, struct cf_keynames **ret, struct cf_error *reterr)
{
    struct cf_keynames *k = CF_NEW(a, struct cf_keynames);
    struct cf_ydoc *doc = NULL;
    const struct cf_ynode *t;
    size_t n = 64, words = 0;
    int r = k ? cf_yaml_load(a, path, &doc, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");

    if (r < 0)
        return r;
    if (!doc || !doc->root)
        return cf_error_set(reterr, CF_ESYNTAX, "%s: is empty", path);
    for (const struct cf_ynode *s = doc->root->child; s; s = s->next)
        for (const struct cf_ynode *f = s->child; f; f = f->next)
            for (const struct cf_ynode *l = f->kind == CF_Y_MAP ? f->child : f; l; l = f->kind == CF_Y_MAP ? l->next : NULL)
                words += l->n;
    while (n < words * 2)
        n *= 2;
    k->mask = n - 1;
    k->slot = CF_NEW_N(a, struct keyname, n);
    k->word = CF_NEW_N(a, struct keyname, n);
    t = cf_ymap_get(doc->root, "time");
    k->time = CF_NEW_N(a, cf_str, (t ? t->n : 0) + 1u);
    if (!k->slot || !k->word || !k->time)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    for (const struct cf_ynode *c = t ? t->child : NULL; c; c = c->next)
        k->time[k->n_time++] = prop_plain(a, c->text);
    r = load_names(a, cf_ymap_get(doc->root, "keys"), k->slot, k->mask, reterr);
    if (r == 0)
        r = load_names(a, cf_ymap_get(doc->root, "words"), k->word, k->mask, reterr);
    if (r < 0)
        cf_error_context(reterr, "%s", path);
    else
        *ret = k;
    return r;
}

/* --- shapes --- */

static bool all_of(cf_str s, bool (*ok)(char))
{
    for (size_t i = 0; i < s.n; i++)
        if (!ok(s.p[i]))
            return false;
    return s.n > 0;
}
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_hex(char c) { return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f'); }
static bool is_name(char c) { return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '.' || c == '_'; }
static bool is_email(char c) { return is_name(c) || c == '@' || c == '+'; }

static bool is_word(cf_str v, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cf_str_ieq(v, cf_str_c(words[i])))
            return true;
    return false;
}

static bool domain(cf_str v)
{
    const char *dot = v.n ? memrchr(v.p, '.', v.n) : NULL;

    if (!dot || v.n > 253 || !all_of(v, is_name) || v.p[0] == '.' || dot + 2 >= v.p + v.n)
        return false;
    for (const char *p = dot + 1; p < v.p + v.n; p++)
        if (is_digit(*p))
            return false;
    return true;
}

unsigned prop_shapes(cf_str v)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"},
                      *const protos[] = {"tcp", "udp", "icmp", "icmpv6", "igmp", "gre", "esp", "sctp", "ipv6-icmp"};
    unsigned b = 0;
    struct cf_ip ip;
    struct cf_stamp st;
    int64_t i;
    double d;

    if (v.n == 0 || v.n > 4096)
        return 0;
    if (cf_ip_parse(v, &ip))
        return 1u << SH_IP;
    if (cf_str_i64(v, &i)) {
        b |= 1u << SH_INT | 1u << SH_NUM;
        b |= i >= 0 && i < 65536 ? 1u << SH_PORT : 0;
        b |= i >= 100 && i < 600 ? 1u << SH_STATUS : 0;
        if ((v.n == 10 && i > 946684800) || (v.n == 13 && i > INT64_C(946684800000)) || (v.n == 16 && i > INT64_C(946684800000000)))
            b |= 1u << SH_EPOCH;
        return b;
    }
    if (v.n == 17 && (v.p[2] == ':' || v.p[2] == '-') && v.p[5] == v.p[2] && is_hex(v.p[0]) && is_hex(v.p[16]))
        return 1u << SH_MAC;
    if (v.n > 2 && v.p[0] == '0' && (v.p[1] | 32) == 'x' && all_of(cf_str_sub(v, 2, v.n), is_hex))
        return 1u << SH_HEX;
    if (all_of(v, is_hex))
        b |= v.n == 32 ? 1u << SH_MD5 : v.n == 40 ? 1u << SH_SHA1 : v.n == 64 ? 1u << SH_SHA256 : 0;
    if (v.n == 36 && v.p[8] == '-' && v.p[13] == '-' && v.p[23] == '-')
        b |= 1u << SH_UUID;
    if (v.n >= 14 && v.n < 48 && (cf_stamp_auto(v, &st) || cf_stamp_parse(CF_STR("%d/%b/%Y:%H:%M:%S %z"), v, &st)))
        return 1u << SH_TIME;
    if (cf_str_f64(v, &d)) {
        b |= 1u << SH_NUM;
        if (v.n > 11 && v.p[10] == '.' && d > 946684800 && d < 4e9)
            b |= 1u << SH_EPOCH;
    }
    if (cf_str_istarts(v, CF_STR("http://")) || cf_str_istarts(v, CF_STR("https://")) || cf_str_istarts(v, CF_STR("ftp://")))
        b |= 1u << SH_URL;
    if (v.p[0] == '/' || (v.n > 3 && v.p[1] == ':' && v.p[2] == '\\'))
        b |= 1u << SH_PATH;
    if (memchr(v.p, '@', v.n) && all_of(v, is_email) && memchr(v.p, '.', v.n))
        b |= 1u << SH_EMAIL;
    b |= is_word(v, methods, sizeof methods / sizeof *methods) ? 1u << SH_METHOD : 0;
    b |= is_word(v, protos, sizeof protos / sizeof *protos) ? 1u << SH_PROTO : 0;
    b |= domain(v) ? 1u << SH_DOMAIN : 0;
    return b;
}

/* --- one key --- */

static void decide(struct prop *p, struct prop_key *k, cf_str field, cf_str convert, double confidence, const char *why)
{
    k->field = field;
    k->convert = convert;
    k->confidence = confidence;
    k->reason = cf_arena_copy(p->a, cf_str_c(why));
}

/* The maps of the sources in use, once: names without signs -> target. */
static void gather_votes(struct prop *p)
{
    const struct cf_normaliser *n = p->in->norm;
    size_t count = 0;

    for (size_t i = 0; n && i < n->n; i++)
        count += n->src[i].map.mask ? n->src[i].map.mask + 1 : 0;
    p->vote = CF_NEW_N(p->a, struct prop_vote, count + 1);
    for (size_t i = 0; p->vote && n && i < n->n; i++)
        for (size_t m = 0; n->src[i].map.mask && m <= n->src[i].map.mask; m++) {
            const struct cf_maprow *row = n->src[i].map.slot[m];
            if (!row || row->n == 0 || row->t[0].to.field == CF_F_EXTRA || row->t[0].lookup)
                continue;
            p->vote[p->n_vote++] = (struct prop_vote){cf_hash64(prop_plain(p->a, row->key)), row->t[0].to.field, row->t[0].conv};
        }
}

/* What they say about the name: the field most of them give it. */
static bool by_sources(struct prop *p, cf_str plain, cf_str *field, enum cf_conv *conv, size_t *votes, size_t *all)
{
    uint64_t h = cf_hash64(plain);
    struct {
        uint16_t field;
        enum cf_conv conv;
        size_t n;
    } v[16];
    size_t n_v = 0, best = 0;

    *all = 0;
    for (size_t i = 0; i < p->n_vote; i++) {
        size_t k = 0;
        if (p->vote[i].hash != h)
            continue;
        while (k < n_v && v[k].field != p->vote[i].field)
            k++;
        if (k == n_v && n_v < 16) {
            v[n_v].field = p->vote[i].field;
            v[n_v].conv = p->vote[i].conv;
            v[n_v++].n = 0;
        }
        if (k < n_v)
            v[k].n++;
        (*all)++;
    }
    for (size_t k = 1; k < n_v; k++)
        best = v[k].n > v[best].n ? k : best;
    if (!n_v)
        return false;
    *field = cf_str_n(cf_fields[v[best].field].name, cf_fields[v[best].field].name_n);
    *conv = v[best].conv;
    *votes = v[best].n;
    return true;
}

static const char *conv_name(enum cf_conv c)
{
    static const char *const n[] = {[CF_C_LOWER] = "lower", [CF_C_UPPER] = "upper", [CF_C_INT] = "int", [CF_C_HEX] = "hex", [CF_C_IP] = "ip", [CF_C_MAC] = "mac",
                                    [CF_C_BASENAME] = "basename", [CF_C_USER] = "user", [CF_C_S_TO_NS] = "s_to_ns", [CF_C_MS_TO_NS] = "ms_to_ns",
                                    [CF_C_US_TO_NS] = "us_to_ns", [CF_C_TIME] = "time", [CF_C_HOSTPORT] = "host_port", [CF_C_PROTO] = "protocol",
                                    [CF_C_ADDRESS] = "address", [CF_C_SPLIT_COMMA] = "split_comma", [CF_C_HMS] = "hms_to_ns"};

    return c < sizeof n / sizeof *n && n[c] ? n[c] : "";
}

static bool by_name(struct prop *p, struct prop_key *k, cf_str name, double less)
{
    cf_str plain = prop_plain(p->a, name), field;
    const struct keyname *d = NULL;
    enum cf_conv conv = CF_C_NONE;
    size_t votes = 0, all = 0;
    char why[200];
    bool src;

    if (!plain.n)
        return false;
    if (p->in->names)
        d = find(p->in->names->slot, p->in->names->mask, plain);
    if (!d && p->in->names && (p->format == PF_TEXT))
        d = find(p->in->names->word, p->in->names->mask, plain);
    src = by_sources(p, plain, &field, &conv, &votes, &all);
    if (d && src && cf_str_eq(d->field, field)) {
        (void)snprintf(why, sizeof why, "\"%.*s\" is a usual name of %.*s; %zu of %zu sources map it so", CF_ARG(name), CF_ARG(field), votes, all);
        decide(p, k, d->field, d->convert.p ? d->convert : CF_STR(""), 0.95 - less, why);
    } else if (d) {
        (void)snprintf(why, sizeof why, "\"%.*s\" is a usual name of %.*s", CF_ARG(name), CF_ARG(d->field));
        decide(p, k, d->field, d->convert.p ? d->convert : CF_STR(""), (src ? 0.75 : 0.85) - less, why);
    } else if (src) {
        (void)snprintf(why, sizeof why, "%zu of %zu sources that know \"%.*s\" map it to %.*s", votes, all, CF_ARG(name), CF_ARG(field));
        decide(p, k, field, cf_str_c(conv_name(conv)), (votes * 10 >= all * 7 ? 0.8 : 0.6) - less, why);
    } else {
        return false;
    }
    return true;
}

static bool taken(const struct prop *p, const char *field)
{
    for (size_t i = 0; i < p->n_key; i++)
        if (cf_str_eqz(p->key[i].field, field))
            return true;
    return false;
}

static void by_shape(struct prop *p, struct prop_key *k)
{
    static const struct {
        enum prop_shape shape;
        const char *field, *convert, *why;
        double confidence;
    } t[] = {{SH_IP, "source.ip", "", "its values are addresses; the first one in a line is mostly the source", 0.5},
             {SH_IP, "destination.ip", "", "its values are addresses; the second one in a line is mostly the destination", 0.45},
             {SH_URL, "url.original", "", "its values are URLs", 0.6},
             {SH_EMAIL, "user.email", "", "its values are mail addresses", 0.5},
             {SH_MAC, "source.mac", "mac", "its values are hardware addresses", 0.4},
             {SH_MD5, "file.hash.md5", "", "its values have the length of MD5 sums", 0.5},
             {SH_SHA1, "file.hash.sha1", "", "its values have the length of SHA-1 sums", 0.5},
             {SH_SHA256, "file.hash.sha256", "", "its values have the length of SHA-256 sums", 0.55},
             {SH_METHOD, "http.request.method", "", "its values are HTTP methods", 0.75},
             {SH_PROTO, "network.transport", "lower", "its values are transport protocols", 0.7}};

    if (p->format == PF_CSV && k > p->key && prop_mostly(k, SH_PORT)) { /* columns: the number behind an address is mostly its port */
        bool src = cf_str_eqz(k[-1].field, "source.ip"), dst = cf_str_eqz(k[-1].field, "destination.ip");
        if ((src && !taken(p, "source.port")) || (dst && !taken(p, "destination.port"))) {
            decide(p, k, src ? CF_STR("source.port") : CF_STR("destination.port"), CF_STR(""), 0.45, "a number up to 65,535 right behind an address");
            return;
        }
    }
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (prop_mostly(k, t[i].shape) && !taken(p, t[i].field)) {
            decide(p, k, cf_str_c(t[i].field), cf_str_c(t[i].convert), t[i].confidence, t[i].why);
            return;
        }
}

/* A field of a type takes values of that type only: address fields names by `address`, numbers written as 0x.. by `hex`. */
static void check_type(struct prop *p, struct prop_key *k)
{
    enum cf_field f = cf_field_find(k->field);
    char why[300];
    bool bad = false;

    if (f == CF_F_EXTRA || !k->values)
        return;
    if (cf_str_eqz(k->convert, "mac") && !prop_mostly(k, SH_MAC))
        bad = true;
    if (cf_str_eqz(k->convert, "time") && !prop_mostly(k, SH_TIME) && !prop_mostly(k, SH_EPOCH))
        bad = true;
    if ((cf_str_eqz(k->convert, "s_to_ns") || cf_str_eqz(k->convert, "ms_to_ns")) && !prop_mostly(k, SH_NUM))
        bad = true;
    if (cf_fields[f].type == CF_T_IP && !prop_mostly(k, SH_IP)) {
        if ((f == CF_F_SOURCE_IP || f == CF_F_DESTINATION_IP) && (prop_mostly(k, SH_DOMAIN) || k->shape[SH_IP])) {
            k->convert = CF_STR("address");
            return;
        }
        bad = !k->shape[SH_IP];
    }
    if (cf_fields[f].type == CF_T_LONG && !k->convert.n && !prop_mostly(k, SH_INT)) {
        if (prop_mostly(k, SH_HEX))
            k->convert = CF_STR("hex");
        else
            bad = k->shape[SH_INT] * 2 < k->values;
    }
    if (cf_fields[f].type == CF_T_FLOAT && !prop_mostly(k, SH_NUM))
        bad = true;
    if (!bad)
        return;
    if (f == CF_F_EVENT_SEVERITY && !taken(p, "log.level")) { /* words instead of a number */
        decide(p, k, CF_STR("log.level"), CF_STR(""), k->confidence - 0.1, "a severity written in words");
        return;
    }
    (void)snprintf(why, sizeof why, "%.*s, but its values (%.*s) do not fit that field", CF_ARG(k->reason), CF_ARG(k->n_samples ? k->sample[0] : CF_STR("")));
    decide(p, k, CF_STR(""), CF_STR(""), 0, why);
}

/* Two keys, one field: the surer one has it. */
static void settle(struct prop *p)
{
    for (size_t i = 0; i < p->n_key; i++)
        for (size_t j = i + 1; j < p->n_key && p->key[i].field.n; j++) {
            struct prop_key *a = &p->key[i], *b = &p->key[j], *lose;
            char why[300];
            if (!cf_str_eq(a->field, b->field))
                continue;
            lose = b->confidence > a->confidence + 0.001 || (b->count > 2 * a->count && b->confidence > a->confidence - 0.2) ? a : b;
            (void)snprintf(why, sizeof why, "%.*s is taken by \"%.*s\"", CF_ARG(a->field), CF_ARG(lose == a ? b->key : a->key));
            decide(p, lose, CF_STR(""), CF_STR(""), 0, why);
        }
}

/* --- time --- */

static const char *const time_formats[] = {
    "iso8601", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S,%f", "%Y/%m/%d %H:%M:%S", "%d/%b/%Y:%H:%M:%S %z", "%b %d %Y %H:%M:%S",
    "%Y%m%d%H%M%S", "%d/%m/%Y %H:%M:%S", "unix", "unix_ms", "unix_us", "syslog", "auto"};

static cf_str format_of(const cf_str *sample, size_t n)
{
    for (size_t f = 0; f < sizeof time_formats / sizeof *time_formats && n; f++) {
        bool all = true;
        for (size_t i = 0; i < n && all; i++) {
            struct cf_stamp st;
            all = cf_stamp_parse(cf_str_c(time_formats[f]), sample[i], &st);
            if (all && strncmp(time_formats[f], "unix", 4) == 0) /* 1, 2, 3 is no time */
                all = (prop_shapes(sample[i]) & 1u << SH_EPOCH) &&
                      (memchr(sample[i].p, '.', sample[i].n) || sample[i].n == (f == 9 ? 10u : f == 10 ? 13u : 16u));
        }
        if (all)
            return cf_str_c(time_formats[f]);
    }
    return CF_STR_NONE;
}

static struct prop_key *key_named(struct prop *p, const char *plain)
{
    for (size_t i = 0; i < p->n_key; i++)
        if (cf_str_eqz(prop_plain(p->a, p->key[i].leaf), plain))
            return &p->key[i];
    return NULL;
}

static void mark_time(struct prop *p, struct prop_key *k, cf_str format, double confidence, const char *why)
{
    k->time = true;
    decide(p, k, CF_STR(""), CF_STR(""), confidence, why);
    p->time_format = format;
}

static void find_time(struct prop *p)
{
    struct prop_key *date = key_named(p, "date"), *time = key_named(p, "time"), *best = NULL;
    size_t rank, best_rank = SIZE_MAX;
    cf_str f;

    if (date && time && date->n_samples && time->n_samples) {
        cf_str joined = cf_arena_printf(p->a, "%.*s %.*s", CF_ARG(date->sample[0]), CF_ARG(time->sample[0]));
        if (joined.p && !format_of(time->sample, time->n_samples).p && (f = format_of(&joined, 1)).p) {
            mark_time(p, date, f, 0.95, "date and time together are the time of the event");
            mark_time(p, time, f, 0.95, "date and time together are the time of the event");
            p->time_from = cf_arena_printf(p->a, "%.*s+%.*s", CF_ARG(date->key), CF_ARG(time->key));
            return;
        }
    }
    for (size_t i = 0; i < p->n_key; i++) {
        struct prop_key *k = &p->key[i];
        cf_str plain = prop_plain(p->a, k->leaf);
        if (!format_of(k->sample, k->n_samples).p || k->count * 2 < p->in->n)
            continue;
        for (rank = 0; p->in->names && rank < p->in->names->n_time; rank++)
            if (cf_str_eq(plain, p->in->names->time[rank]))
                break;
        if (p->in->names && rank == p->in->names->n_time && !prop_mostly(k, SH_TIME)) {
            if (!prop_mostly(k, SH_EPOCH) || !cf_str_starts(k->key, CF_STR("column")))
                continue; /* a number of an unknown name is no time */
            rank++;
        }
        if (cf_str_eqz(k->key, "@timestamp"))
            rank = 0;
        if (rank < best_rank) {
            best_rank = rank;
            best = k;
        }
    }
    if (!best)
        return;
    f = format_of(best->sample, best->n_samples);
    mark_time(p, best, f, p->in->names && best_rank < p->in->names->n_time ? 0.95 : 0.7,
              p->in->names && best_rank < p->in->names->n_time ? "its name and its values say that it is the time of the event" : "its values are times");
    p->time_from = best->key;
}

static void one_field(struct prop *p, struct prop_key *k)
{
    enum cf_field f = cf_field_find(k->key);
    cf_str name = k->key;

    if (f != CF_F_EXTRA && memchr(k->key.p, '.', k->key.n)) {
        decide(p, k, cf_str_n(cf_fields[f].name, cf_fields[f].name_n), CF_STR(""), 0.99, "the key is the field's own name");
        return;
    }
    if (p->format == PF_TEXT) /* port2 -> port */
        while (name.n > 1 && is_digit(name.p[name.n - 1]))
            name.n--;
    if (by_name(p, k, name, 0))
        return;
    if (k->leaf.n < k->key.n) { /* a.src_ip -> "ip" may lie: look at the last two parts, then at the last one */
        const char *dot = memrchr(k->key.p, '.', (size_t)(k->leaf.p - k->key.p) - 1);
        if (dot && by_name(p, k, cf_str_n(dot + 1, (size_t)(k->key.p + k->key.n - dot - 1)), 0.05))
            return;
        (void)by_name(p, k, k->leaf, 0.15);
    }
}

void prop_fields(struct prop *p)
{
    gather_votes(p);
    find_time(p);
    for (size_t i = 0; i < p->n_key; i++)
        if (!p->key[i].time)
            one_field(p, &p->key[i]);
    settle(p);
    for (size_t i = 0; i < p->n_key; i++)
        if (p->key[i].field.n)
            check_type(p, &p->key[i]);
    for (size_t i = 0; i < p->n_key; i++)
        if (!p->key[i].time && !p->key[i].field.n && !p->key[i].reason.n)
            by_shape(p, &p->key[i]);
    settle(p);
}
