/* SPDX-License-Identifier: Apache-2.0
 * The event record: one normalised log record as ECS fields plus everything else the source said.
 * An event and all its text live in the batch arena; values are views. One event belongs to one thread.
 *
 *   slot[field] -> index+1 into val[]     val[i].next -> next value of the same field (arrays)
 *   values without a field of their own have id CF_F_EXTRA and are found by name
 *   raw = interned id of the name the source used for it ("Image"), so that Sigma finds vendor names too */
#ifndef CF_EVENT_EVENT_H
#define CF_EVENT_EVENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

enum cf_field {
#define X(sym, name, type, doc) CF_F_##sym,
#include "event/fields.def"
#undef X
    CF_F__COUNT,
    CF_F_EXTRA = 0xfff0, /* no field of its own: see val.name */
};
enum cf_ftype { CF_T_KEYWORD, CF_T_TEXT, CF_T_LONG, CF_T_FLOAT, CF_T_IP, CF_T_DATE, CF_T_BOOL };

struct cf_field_info {
    const char *name, *doc;
    uint8_t name_n;
    enum cf_ftype type;
};
extern const struct cf_field_info cf_fields[CF_F__COUNT];
/* CF_F_EXTRA when there is no such field. */
enum cf_field cf_field_find(cf_str name);

/* Interned names: small ids for the names sources use ("EventData.Image" is interned by its leaf "Image").
 * Thread-safe, never freed, bounded at 65,000 (0 is returned beyond: "no name"). Look-up takes no lock. */
uint16_t cf_name_intern(cf_str name);
uint16_t cf_name_find(cf_str name); /* 0: never interned */
cf_str cf_name_text(uint16_t id);

enum cf_vkind { CF_V_STR, CF_V_INT, CF_V_FLOAT, CF_V_BOOL, CF_V_NULL };
struct cf_value {
    const char *p;  /* text as received (numbers too) */
    uint32_t n;
    uint16_t id;    /* enum cf_field or CF_F_EXTRA */
    uint16_t raw;   /* interned leaf name of the source, 0 when the mapping made the value */
    uint16_t name;  /* CF_F_EXTRA: interned full dotted name ("winlog.event_data.Image"); 0 otherwise */
    uint16_t next;  /* index+1 of the next value of the same field/name, 0 at the end */
    uint8_t kind;   /* enum cf_vkind: kind in the source */
    uint16_t text;  /* interned text when the value is a constant of a source file; 0: not known to be one */
};
#define CF_EVENT_VALUES_MAX 4000

struct cf_event {
    struct cf_arena *arena;
    int64_t time_us;     /* @timestamp; CF_TIME_NONE until known */
    int64_t received_us; /* when Chengfang got it */
    cf_str original;     /* the raw record, always kept */
    cf_str source;       /* name of the source file in content/sources that understood it; empty: unparsed */
    uint64_t seq;        /* position in the input (record number or spool position) */
    uint32_t flags;      /* CF_EV_... */
    uint16_t n, cap;
    struct cf_value *val;
    uint8_t slot[CF_F__COUNT]; /* index+1 into val for the first 255 values; 0 absent */
};
#define CF_EV_UNPARSED 1u   /* event.kind is pipeline_error */
#define CF_EV_CLOCK_OFF 2u  /* event time differs from receiving time by more than the limit; both are kept */
#define CF_EV_TRUNCATED 4u  /* values beyond CF_EVENT_VALUES_MAX were left out */
#define CF_EV_UNRECOGNISED 16u /* an event, but the source named by the sender does not know its text: envelope, constants and message only */
#define CF_EV_HEADER 8u     /* a header line of the file (column names): nothing to store or detect on */

struct cf_event *cf_event_new(struct cf_arena *batch); /* NULL: no memory */
/* Replaces the field's values by one view. 0 or CF_ENOMEM/CF_ELIMIT. */
int cf_event_set(struct cf_event *ev, enum cf_field f, cf_str v);
int cf_event_set_raw(struct cf_event *ev, enum cf_field f, cf_str v, uint16_t raw, enum cf_vkind kind);
int cf_event_set_i64(struct cf_event *ev, enum cf_field f, int64_t v); /* text is made in the arena */
/* Appends a further value (ECS arrays such as event.category). Equal values are kept once. */
int cf_event_add(struct cf_event *ev, enum cf_field f, cf_str v);
/* A value without a field: name is interned. */
int cf_event_extra(struct cf_event *ev, uint16_t name, cf_str v, uint16_t raw, enum cf_vkind kind);
void cf_event_unset(struct cf_event *ev, enum cf_field f);
/* All of a value at once. Member by member: what a compiler makes of a literal here may be "rep stos", which is slow to start. */
static inline void cf_value_fill(struct cf_value *val, cf_str v, uint16_t id, uint16_t raw, uint16_t name, enum cf_vkind kind)
{
    val->p = v.p;
    val->n = (uint32_t)v.n;
    val->id = id;
    val->raw = raw;
    val->name = name;
    val->next = 0;
    val->kind = (uint8_t)kind;
    val->text = 0;
}
/* cf_event_set_raw in the caller's code, for hot paths; the unusual cases are the function's. */
static inline int cf_event_put(struct cf_event *ev, enum cf_field f, cf_str v, uint16_t raw, enum cf_vkind kind)
{
    struct cf_value *val;

    if (ev->slot[f] || ev->n >= 254 || ev->n >= ev->cap)
        return cf_event_set_raw(ev, f, v, raw, kind);
    val = &ev->val[ev->n++];
    ev->slot[f] = (uint8_t)ev->n;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): cf_event_new made the array */
    cf_value_fill(val, v, (uint16_t)f, raw, 0, kind);
    return 0;
}
/* cf_event_extra the same way. */
static inline int cf_event_put_extra(struct cf_event *ev, uint16_t name, cf_str v, uint16_t raw, enum cf_vkind kind)
{
    if (ev->n == ev->cap)
        return cf_event_extra(ev, name, v, raw, kind);
    cf_value_fill(&ev->val[ev->n++], v, CF_F_EXTRA, raw, name, kind);
    return 0;
}
static inline const struct cf_value *cf_event_val(const struct cf_event *ev, enum cf_field f)
{
    return ev->slot[f] ? &ev->val[ev->slot[f] - 1] : NULL;
}
static inline const struct cf_value *cf_event_next(const struct cf_event *ev, const struct cf_value *v)
{
    return v->next ? &ev->val[v->next - 1] : NULL;
}
/* First value; .p NULL when absent. */
static inline cf_str cf_event_get(const struct cf_event *ev, enum cf_field f)
{
    const struct cf_value *v = cf_event_val(ev, f);
    return v ? (cf_str){v->p, v->n} : CF_STR_NONE;
}
/* By any dotted name: field table first, then extras by full name. */
const struct cf_value *cf_event_find(const struct cf_event *ev, cf_str name);

/* Nested ECS JSON on one line, no newline: @timestamp first, fields in table order, extras nested by their dots;
 * LONG/FLOAT/BOOL values as JSON numbers/booleans when they are well formed, several values as an array. */
void cf_event_json(const struct cf_event *ev, struct cf_buf *out);

/* A raw record on its way into the pipeline. */
struct cf_record {
    cf_str raw;          /* without line ending */
    cf_str source;       /* source name hint ("" when unknown) */
    cf_str format;       /* format hint, "" for recognition by content */
    cf_str peer;         /* sender address or file path, "" when unknown */
    cf_str org;          /* owner organisation of the sender (from the data source or token), "" when unknown */
    int64_t received_us;
    uint64_t seq;
};
#define CF_BATCH_MAX 4096
struct cf_batch {
    struct cf_arena *arena; /* everything of this batch */
    struct cf_record *rec;
    struct cf_event **ev;
    size_t n;
};

#endif
