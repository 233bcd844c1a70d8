/* SPDX-License-Identifier: Apache-2.0
 * Records of one event that came as several lines (Linux audit) are put together inside their batch.
 *
 *   batch: s1 e1 s2 c1 p1 e2 ...  ->  [s1 e1 c1 p1] [s2 e2] ...      each in the place of its first line
 *
 * Lines may be out of order and mixed with those of other events and hosts: the whole batch is looked at before its first record is
 * taken. Batches have the same borders after every restart, so a replay puts the same lines together, and nothing is ever held back
 * beyond its batch: what is acknowledged is either stored or in the spool. The spool does not close a batch while the newest record
 * of a sender says that its event goes on (assembly_goes_on); where it must, an event becomes two with the same number (counted
 * where its end is missing). */
#include <stdlib.h>

#include "normalise/audit.h"
#include "pipeline/pipeline_int.h"

#define JOINED_MAX ((size_t)1 << 20) /* bytes of one event's lines */

static bool grow(void **p, size_t *cap, size_t n, size_t size)
{
    size_t want = *cap ? *cap * 2 : 256;
    void *q;

    if (n < *cap)
        return true;
    q = realloc(*p, want * size);
    if (!q)
        return false;
    *p = q;
    *cap = want;
    return true;
}

static uint64_t key_of(const struct cf_spool_origin *o, const struct cf_audit_id *id)
{
    uint64_t h[3] = {cf_hash64(o->peer), cf_hash64(id->host), cf_hash64(id->stamp)};

    return cf_hash64(cf_str_n((const char *)h, sizeof h));
}

/* Place of the newest group with this key, or a free one. */
static uint32_t *slot_of(struct assembly *a, uint64_t key)
{
    for (size_t i = key & (a->n_slots - 1);; i = (i + 1) & (a->n_slots - 1))
        if (!a->slot[i] || a->group[a->slot[i] - 1].key == key)
            return &a->slot[i];
}

static bool rehash(struct assembly *a)
{
    size_t want = a->n_slots ? a->n_slots * 2 : 1024;
    uint32_t *v = calloc(want, sizeof *v);

    if (!v)
        return false;
    free(a->slot);
    a->slot = v;
    a->n_slots = want;
    for (size_t i = 0; i < a->n_groups; i++)
        *slot_of(a, a->group[i].key) = (uint32_t)i + 1;
    return true;
}

static bool add_line(struct assembly *a, uint64_t key, const struct cf_audit_id *id, uint64_t seq, cf_str text)
{
    struct assembly_group *g;
    uint32_t *slot;

    if (a->n_groups * 2 >= a->n_slots && !rehash(a))
        return false;
    slot = slot_of(a, key);
    g = *slot ? &a->group[*slot - 1] : NULL;
    if (!g || g->n == CF_AUDIT_LINES_MAX || g->bytes + text.n > JOINED_MAX) {
        if (!grow((void **)&a->group, &a->cap_groups, a->n_groups, sizeof *a->group))
            return false;
        g = &a->group[a->n_groups++];
        *g = (struct assembly_group){.key = key}; /* NOLINT(clang-analyzer-core.NullDereference): grow() made room */
        *slot = (uint32_t)a->n_groups;
    }
    if (!grow((void **)&a->line, &a->cap_lines, a->n_lines, sizeof *a->line))
        return false;
    a->line[a->n_lines] = (struct assembly_line){.seq = seq, .text = text, .group = *slot - 1};
    if (g->n++ == 0)
        g->first = (uint32_t)a->n_lines;
    else
        a->line[g->last].next = (uint32_t)a->n_lines;
    g->last = (uint32_t)a->n_lines++;
    g->bytes += text.n + 1;
    g->ended = g->ended || id->last;
    return true;
}

static bool may_hold(const struct cf_spool_origin *o)
{
    return (o->source.n == 0 || cf_str_eqz(o->source, "auditd")) && (o->format.n == 0 || cf_str_eqz(o->format, "syslog") || cf_str_eqz(o->format, "kv"));
}

bool assembly_goes_on(const struct cf_spool_origin *o, cf_str last)
{
    struct cf_audit_id id;

    return may_hold(o) && cf_audit_part(last, &id) && !id.last;
}

void assembly_begin(struct worker *w)
{
    struct assembly *a = &w->assembly;
    struct cf_spool_frame f;
    bool ok = true;

    a->n_groups = a->n_lines = a->at = 0;
    if (a->slot)
        memset(a->slot, 0, a->n_slots * sizeof *a->slot);
    w->batch.at = 0;
    while (ok && cf_spool_batch_frame(&w->batch, &f)) {
        const uint8_t *at = f.bytes;

        for (uint32_t i = 0; ok && i < f.n && may_hold(&f.origin); i++) {
            struct cf_audit_id id;
            uint32_t len;
            cf_str text;

            memcpy(&len, f.lens + (size_t)i * 4, 4);
            text = cf_str_n((const char *)at, len);
            if (cf_audit_part(text, &id))
                ok = add_line(a, key_of(&f.origin, &id), &id, f.seq + i, text);
            at += len;
        }
    }
    w->batch.at = 0;
    if (!ok) { /* no memory for it: each line is an event of its own, as it always can be */
        cf_log_warn("pipeline", "audit records stay single in one batch", "reason=\"no memory\" lines=%zu", a->n_lines);
        a->n_lines = 0;
    }
}

enum assembled assembly_take(struct worker *w, struct cf_record *rec)
{
    struct assembly *a = &w->assembly;
    const struct assembly_group *g;
    const struct assembly_line *l;
    size_t at = 0;
    char *p;

    if (a->at >= a->n_lines || a->line[a->at].seq != rec->seq)
        return ASSEMBLED_SINGLE;
    l = &a->line[a->at];
    g = &a->group[l->group];
    if (g->n < 2) {
        a->at++;
        return ASSEMBLED_SINGLE;
    }
    if (g->first != a->at) {
        a->at++;
        return g->failed ? ASSEMBLED_SINGLE : ASSEMBLED_PART;
    }
    p = cf_arena_bytes(&w->arena, g->bytes);
    if (!p) {
        a->group[l->group].failed = true;
        a->at++;
        return ASSEMBLED_SINGLE;
    }
    for (uint32_t i = 0; i < g->n; i++, l = &a->line[l->next]) {
        if (i)
            p[at++] = '\n';
        if (l->text.n)
            memcpy(p + at, l->text.p, l->text.n);
        at += l->text.n;
    }
    rec->raw = cf_str_n(p, at);
    a->group[a->line[a->at].group].failed = false;
    a->at++;
    if (!w->again) {
        atomic_fetch_add_explicit(&w->p->assembled, 1, memory_order_relaxed);
        if (!g->ended)
            atomic_fetch_add_explicit(&w->p->assembled_open, 1, memory_order_relaxed);
    }
    return ASSEMBLED_WHOLE;
}

void assembly_release(struct assembly *a)
{
    free(a->line);
    free(a->group);
    free(a->slot);
}
