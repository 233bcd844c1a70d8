/* SPDX-License-Identifier: Apache-2.0
 * What events of a source file may hold: names and, where the file fixes them, values. Read from the compiled file: what it
 * sets, captures and maps, in all its branches, and what the engine adds to every event. Rather too much than too little. */
#include <stdlib.h>

#include "normalise/source.h"

struct list {
    struct cf_arena *a;
    struct cf_source_field *f;
    size_t n, cap;
    bool oom;
};

/* The engine adds these itself: envelope, times, what follows from other fields, what enrichment joins. */
static const char *const engine[] = {
    "@timestamp", "message", "error.message", "event.original", "event.created", "event.ingested", "event.kind", "event.id", "event.timezone", "event.start",
    "event.end", "event.duration", "log.syslog.appname", "log.syslog.procid", "log.syslog.msgid", "log.syslog.hostname", "log.syslog.priority",
    "log.syslog.version", "log.syslog.facility.code", "log.syslog.facility.name", "log.syslog.severity.code", "log.syslog.severity.name", "log.file.path",
    "log.source.address", "log.level", "host.name", "host.hostname", "host.ip", "process.name", "process.pid", "observer.hostname", "observer.ip", "related.ip",
    "related.user", "related.hosts", "related.hash", "organization.id", "organization.name", "source.geo.country_iso_code", "source.geo.country_name",
    "source.geo.city_name", "source.geo.region_name", "source.as.number", "source.as.organization.name", "destination.geo.country_iso_code",
    "destination.geo.country_name", "destination.geo.city_name", "destination.geo.region_name", "destination.as.number", "destination.as.organization.name"};
/* Made when the first one is there. */
static const struct {
    const char *from, *to;
} follows[] = {{"process.executable", "process.name"}, {"process.parent.executable", "process.parent.name"}, {"file.path", "file.name"},
               {"file.path", "file.extension"}, {"file.path", "file.directory"}, {"url.original", "url.path"}, {"url.original", "url.query"},
               {"url.original", "url.domain"}, {"url.original", "url.scheme"}, {"url.original", "url.port"}, {"url.original", "url.extension"},
               {"url.original", "url.fragment"}, {"url.original", "url.full"}, {"url.full", "url.original"}, {"url.full", "url.path"},
               {"url.full", "url.domain"}, {"url.full", "url.query"}, {"source.address", "source.ip"}, {"source.address", "source.domain"},
               {"destination.address", "destination.ip"}, {"destination.address", "destination.domain"}, {"source.ip", "source.address"},
               {"destination.ip", "destination.address"}, {"source.ip", "network.type"}, {"source.ip", "network.community_id"},
               {"source.bytes", "network.bytes"}, {"source.packets", "network.packets"}, {"url.domain", "destination.domain"},
               {"dns.question.name", "dns.question.registered_domain"}, {"user.name", "source.user.name"}, {"source.user.name", "user.name"},
               {"network.protocol", "network.transport"}, {"network.iana_number", "network.transport"}};

static struct cf_source_field *field(struct list *l, cf_str name, cf_str raw)
{
    struct cf_source_field *f;

    for (size_t i = 0; i < l->n; i++)
        if (cf_str_eq(l->f[i].name, name) && cf_str_eq(l->f[i].raw, raw))
            return &l->f[i];
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 128;
        struct cf_source_field *p = CF_NEW_N(l->a, struct cf_source_field, cap);

        if (!p) {
            l->oom = true;
            return NULL;
        }
        if (l->n)
            memcpy(p, l->f, l->n * sizeof *p);
        l->f = p;
        l->cap = cap;
    }
    f = &l->f[l->n++];
    *f = (struct cf_source_field){.name = name, .raw = raw};
    return f;
}

static cf_str name_of(const struct cf_ref *r)
{
    if (r->field != CF_F_EXTRA)
        return (cf_str){cf_fields[r->field].name, cf_fields[r->field].name_n};
    return r->name ? cf_name_text(r->name) : r->text;
}

static void any(struct list *l, cf_str name, cf_str raw)
{
    struct cf_source_field *f = name.n ? field(l, name, raw) : NULL;

    if (f)
        f->any = true;
}

static void constant(struct list *l, cf_str name, cf_str v)
{
    struct cf_source_field *f = name.n ? field(l, name, CF_STR("")) : NULL;
    cf_str *p;

    if (!f || f->any)
        return;
    for (size_t i = 0; i < f->n_value; i++)
        if (cf_str_eq(f->value[i], v))
            return;
    p = CF_NEW_N(l->a, cf_str, f->n_value + 1); /* few values a field: copying is fine */
    if (!p) {
        l->oom = true;
        return;
    }
    if (f->n_value)
        memcpy(p, f->value, f->n_value * sizeof *p);
    p[f->n_value++] = v;
    f->value = p;
}

static void sets(struct list *l, const struct cf_sets *s)
{
    for (size_t i = 0; i < s->n; i++)
        constant(l, name_of(&s->v[i].to), s->v[i].val);
}

static void map(struct list *l, const struct cf_map *m)
{
    for (uint64_t i = 0; m->mask && i <= m->mask; i++) {
        const struct cf_maprow *row = m->slot[i];

        if (!row)
            continue;
        any(l, row->key, row->key); /* found by its own name whatever it is mapped to */
        for (size_t k = 0; k < row->n; k++)
            any(l, name_of(&row->t[k].to), row->key);
    }
}

static void one(struct list *l, const struct cf_source *s)
{
    sets(l, &s->set);
    map(l, &s->map);
    for (size_t i = 0; i < s->n_action; i++)
        sets(l, &s->action[i]);
    for (size_t i = 0; i < s->n_hole; i++)
        any(l, name_of(&s->hole[i]), s->hole_key[i] ? name_of(&s->hole[i]) : CF_STR(""));
    for (size_t i = 0; i < s->n_col; i++)
        any(l, s->col[i], s->col[i]);
    for (size_t i = 0; i < s->n_switch; i++) {
        for (size_t k = 0; k < s->sw[i].n; k++) {
            sets(l, &s->sw[i].v[k]->set);
            map(l, &s->sw[i].v[k]->map);
        }
        if (s->sw[i].def) {
            sets(l, &s->sw[i].def->set);
            map(l, &s->sw[i].def->map);
        }
    }
    for (size_t i = 0; i < s->n_when; i++) {
        sets(l, &s->when[i].set);
        for (size_t k = 0; k < s->when[i].n_copy; k++)
            any(l, name_of(&s->when[i].copy[k].to), CF_STR(""));
    }
    for (size_t i = 0; i < s->n_match; i++)
        for (size_t k = 0; k < s->match[i].n_program; k++) {
            constant(l, CF_STR("log.syslog.appname"), s->match[i].program[k]);
            constant(l, CF_STR("process.name"), s->match[i].program[k]);
        }
}

static bool has(const struct list *l, cf_str name)
{
    for (size_t i = 0; i < l->n; i++)
        if (cf_str_eq(l->f[i].name, name))
            return true;
    return false;
}

int cf_normaliser_fields(const struct cf_normaliser *n, size_t i, struct cf_arena *a, struct cf_source_fields *ret)
{
    const struct cf_source *s = &n->src[i];
    struct list l = {.a = a};
    bool open = false, program = false;

    for (const struct cf_source *b = s; b; b = b->base) {
        one(&l, b);
        open = open || b->ecs || (b->payload != CF_P_TEXT && b->payload != CF_P_CSV);
        for (size_t k = 0; k < b->n_match; k++) {
            open = open || (b->match[k].formats & ~(unsigned)(CF_NF_TEXT | CF_NF_CSV)) != 0;
            program = program || b->match[k].n_program;
        }
    }
    for (size_t k = 0; k < sizeof engine / sizeof *engine; k++) {
        cf_str name = cf_str_c(engine[k]);

        if (!(program && (cf_str_eqz(name, "log.syslog.appname") || cf_str_eqz(name, "process.name"))))
            any(&l, name, CF_STR(""));
    }
    for (int round = 0; round < 3; round++)
        for (size_t k = 0; k < sizeof follows / sizeof *follows; k++)
            if (has(&l, cf_str_c(follows[k].from)))
                any(&l, cf_str_c(follows[k].to), CF_STR(""));
    *ret = (struct cf_source_fields){.source = s->name_s, .open = open, .n = l.n, .field = l.f};
    return l.oom ? CF_ENOMEM : 0;
}
