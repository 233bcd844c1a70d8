/* SPDX-License-Identifier: Apache-2.0
 * Incident states: open --take--> investigating --> contained --> closed --reopen--> investigating; merged is final. */
#include "incident/triage.h"

#include <stdlib.h>

#define MOVE_MAX 500

struct inc_case {
    char id[37];
    cf_str org, status, title, number;
    int64_t level;
};

static cf_str user_name(const struct cf_principal *who) { return who->display_name.n ? who->display_name : who->user_name; }

static int read_case(struct inc_ctx *c, cf_str id, struct inc_case *ret)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(c->tx, "SELECT id, org_id, status, title, number, level FROM incident WHERE id = ?", &st, c->err, CF_S(id));

    if (r == 0)
        r = cf_stmt_next(st, c->err);
    if (r == 1) {
        (void)snprintf(ret->id, sizeof(ret->id), "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        ret->org = cf_arena_copy(c->a, cf_stmt_str(st, 1));
        ret->status = cf_arena_copy(c->a, cf_stmt_str(st, 2));
        ret->title = cf_arena_copy(c->a, cf_stmt_str(st, 3));
        ret->number = cf_arena_copy(c->a, cf_stmt_str(st, 4));
        ret->level = cf_stmt_i64(st, 5);
        r = 0;
    } else if (r == 0) {
        r = CF_ENOENT;
    }
    cf_stmt_free(st);
    if (r == CF_ENOENT || (r == 0 && !cf_scope_has_org(c->tx, c->who, ret->org)))
        return cf_error_set(c->err, CF_ENOENT, "there is no such incident");
    return r;
}

static int entry(struct inc_ctx *c, cf_str id, const char *kind, cf_str title, cf_str detail, cf_str ref)
{
    return inc_timeline(c->tx, id, cf_now_us(), kind, title, detail, ref, c->who->user_id, user_name(c->who), c->err);
}

static int64_t open_orders(struct inc_ctx *c, const char *id)
{
    struct cf_stmt *st = NULL;
    int64_t n = 0;

    if (cf_tx_query(c->tx, "SELECT COUNT(*) FROM work_item WHERE kind = 'incident-order' AND source_type = 'incident' AND source_id = ? AND done = 0", &st, c->err, CF_Z(id)) == 0 &&
        cf_stmt_next(st, c->err) == 1)
        n = cf_stmt_i64(st, 0);
    cf_stmt_free(st);
    return n;
}

static int set_status(struct inc_ctx *c, const struct inc_case *k, cf_str to, cf_str note)
{
    static const char *const known[] = {"open", "investigating", "contained", "closed"};
    bool closing = cf_str_eqz(to, "closed"), ok = false;
    int r;

    for (size_t i = 0; i < 4; i++)
        ok |= cf_str_eqz(to, known[i]);
    if (!ok)
        return cf_error_set(c->err, CF_EINVAL, "status: open, investigating, contained or closed");
    if (cf_str_eqz(k->status, "merged"))
        return cf_error_set(c->err, CF_ECONFLICT, "the incident was merged into another one");
    if (cf_str_eq(k->status, to))
        return cf_error_set(c->err, CF_ECONFLICT, "the incident is %.*s already", CF_ARG(to));
    if ((closing || cf_str_eqz(k->status, "closed")) && note.n == 0)
        return cf_error_set(c->err, CF_EINVAL, "note: a %s is needed", closing ? "conclusion" : "reason");
    if (closing && c->w && open_orders(c, k->id) > 0)
        return cf_error_set(c->err, CF_ECONFLICT, "%s", c->english ? "disposal orders are still open: finish or withdraw them first" : "还有未办结的处置指令，请先办结或撤回");
    r = cf_tx_exec(c->tx, "UPDATE incident SET status = ?, updated_us = ?, closed_us = ?, conclusion = CASE WHEN ? = 'closed' THEN ? ELSE conclusion END WHERE id = ?", c->err,
                   CF_S(to), CF_I(cf_now_us()), closing ? CF_I(cf_now_us()) : CF_NUL, CF_S(to), CF_S(note), CF_Z(k->id));
    return r < 0 ? r : entry(c, cf_str_c(k->id), "status", to, note, CF_STR_NONE);
}

static int set_owner(struct inc_ctx *c, const struct inc_case *k, cf_str owner, cf_str note)
{
    struct cf_stmt *st = NULL;
    cf_str name = CF_STR_NONE;
    int r = owner.n ? cf_tx_query(c->tx, "SELECT display_name FROM app_user WHERE id = ? AND active = 1", &st, c->err, CF_S(owner)) : 0;

    if (r == 0 && st && (r = cf_stmt_next(st, c->err)) == 1) {
        name = cf_arena_copy(c->a, cf_stmt_str(st, 0));
        r = 0;
    }
    cf_stmt_free(st);
    if (r == 0 && !name.p)
        r = cf_error_set(c->err, CF_EINVAL, "owner: there is no such person");
    if (r == 0)
        r = cf_tx_exec(c->tx, "UPDATE incident SET owner_id = ?, updated_us = ? WHERE id = ?", c->err, CF_S(owner), CF_I(cf_now_us()), CF_Z(k->id));
    return r < 0 ? r : entry(c, cf_str_c(k->id), "status", cf_arena_printf(c->a, "owner: %.*s", CF_ARG(name)), note, CF_STR_NONE);
}

static int rebuild_entities(struct inc_ctx *c, cf_str incident)
{
    struct cf_stmt *st = NULL;
    char(*ids)[37] = cf_arena_zalloc(c->a, MOVE_MAX * sizeof(*ids));
    size_t n = 0;
    int r = ids ? cf_tx_exec(c->tx, "DELETE FROM incident_entity WHERE incident_id = ?", c->err, CF_S(incident)) : CF_ENOMEM;

    if (r == 0)
        r = cf_tx_query(c->tx, "SELECT id FROM alert WHERE incident_id = ? ORDER BY id LIMIT 500", &st, c->err, CF_S(incident));
    while (r == 0 && n < MOVE_MAX && (r = cf_stmt_next(st, c->err)) == 1) {
        (void)snprintf(ids[n++], 37, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        r = 0;
    }
    cf_stmt_free(st);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct inc_alert al = {.level = CF_LEVEL_INFO};
        struct inc_entities ents;

        r = inc_alert_read(c->tx, c->a, cf_str_c(ids[i]), &al, c->err);
        if (r < 0)
            break;
        inc_entities_of(&al, &ents);
        for (size_t k = 0; r == 0 && k < ents.n; k++)
            r = cf_tx_exec(c->tx,
                           "INSERT INTO incident_entity (incident_id, type, value, count) VALUES (?,?,?,1) "
                           "ON CONFLICT (incident_id, type, value) DO UPDATE SET count = incident_entity.count + 1",
                           c->err, CF_S(incident), CF_Z(ents.v[k].e.type), CF_S(ents.v[k].e.value));
        inc_alert_release(&al);
    }
    return r;
}

static int merge_one(struct inc_ctx *c, const struct inc_case *into, cf_str other_id, cf_str note)
{
    struct inc_case o = {.level = 0};
    int r = read_case(c, other_id, &o);

    if (r < 0)
        return r;
    if (strcmp(o.id, into->id) == 0)
        return cf_error_set(c->err, CF_EINVAL, "incident_ids: an incident cannot be merged into itself");
    if (!cf_str_eq(o.org, into->org))
        return cf_error_set(c->err, CF_EINVAL, "incident_ids: %.*s belongs to another organisation; its data must not be mixed", CF_ARG(o.number));
    if (cf_str_eqz(o.status, "merged"))
        return cf_error_set(c->err, CF_ECONFLICT, "%.*s was merged already", CF_ARG(o.number));
    r = cf_tx_exec(c->tx, "UPDATE alert SET incident_id = ? WHERE incident_id = ?", c->err, CF_Z(into->id), CF_Z(o.id));
    if (r == 0)
        r = cf_tx_exec(c->tx, "UPDATE incident_event SET incident_id = ? WHERE incident_id = ?", c->err, CF_Z(into->id), CF_Z(o.id));
    if (r == 0)
        r = cf_tx_exec(c->tx, "INSERT INTO incident_link (incident_id, kind, ref, created_us) SELECT ?, kind, ref, created_us FROM incident_link WHERE incident_id = ? ON CONFLICT DO NOTHING",
                       c->err, CF_Z(into->id), CF_Z(o.id));
    if (r == 0)
        r = cf_tx_exec(c->tx, "DELETE FROM incident_entity WHERE incident_id = ?", c->err, CF_Z(o.id));
    if (r == 0)
        r = cf_tx_exec(c->tx, "UPDATE incident SET status = 'merged', merged_into = ?, alert_count = 0, updated_us = ? WHERE id = ?", c->err, CF_Z(into->id), CF_I(cf_now_us()),
                       CF_Z(o.id));
    if (r == 0)
        r = entry(c, cf_str_c(into->id), "status", cf_arena_printf(c->a, "merged: %.*s", CF_ARG(o.number)), note, cf_str_c(o.id));
    if (r == 0)
        r = entry(c, cf_str_c(o.id), "status", cf_arena_printf(c->a, "merged into %.*s", CF_ARG(into->number)), note, cf_str_c(into->id));
    return r;
}

static int merge(struct inc_ctx *c, const struct inc_case *k, const json_t *body, cf_str note)
{
    const json_t *list = json_object_get(body, "incident_ids");
    size_t i;
    json_t *v;
    int r = 0;

    if (cf_str_eqz(k->status, "merged") || cf_str_eqz(k->status, "closed"))
        return cf_error_set(c->err, CF_ECONFLICT, "a %.*s incident takes no others", CF_ARG(k->status));
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > 50)
        return cf_error_set(c->err, CF_EINVAL, "incident_ids: 1 to 50 incidents to merge into this one");
    json_array_foreach(list, i, v)
    {
        if (r == 0)
            r = merge_one(c, k, cf_str_c(json_string_value(v) ? json_string_value(v) : ""), note);
    }
    if (r == 0)
        r = rebuild_entities(c, cf_str_c(k->id));
    return r < 0 ? r : inc_incident_refresh(c->tx, c->a, cf_str_c(k->id), c->err);
}

static int split(struct inc_ctx *c, const struct inc_case *k, const json_t *body, cf_str note)
{
    const json_t *list = json_object_get(body, "alert_ids");
    char id[37] = "";
    size_t i;
    json_t *v;
    int r = 0;

    if (cf_str_eqz(k->status, "merged"))
        return cf_error_set(c->err, CF_ECONFLICT, "the incident was merged into another one");
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > MOVE_MAX)
        return cf_error_set(c->err, CF_EINVAL, "alert_ids: 1 to %d alerts that leave this incident", MOVE_MAX);
    json_array_foreach(list, i, v)
    {
        struct inc_alert al = {.level = CF_LEVEL_INFO};

        if (r < 0)
            break;
        r = inc_alert_read(c->tx, c->a, cf_str_c(json_string_value(v) ? json_string_value(v) : ""), &al, c->err);
        if (r == 0 && !cf_str_eqz(al.incident_id, k->id))
            r = cf_error_set(c->err, CF_EINVAL, "alert_ids: alert %s is not in this incident", al.id);
        if (r == 0 && !id[0])
            r = inc_incident_create(c->tx, c->a, &al, id, c->err);
        if (r == 0)
            r = inc_incident_attach(c->tx, c->a, cf_str_c(id), &al, c->err);
        inc_alert_release(&al);
    }
    if (r == 0)
        r = rebuild_entities(c, cf_str_c(k->id));
    if (r == 0)
        r = inc_incident_refresh(c->tx, c->a, cf_str_c(k->id), c->err);
    if (r == 0)
        r = inc_incident_refresh(c->tx, c->a, cf_str_c(id), c->err);
    if (r == 0)
        r = entry(c, cf_str_c(k->id), "status", CF_STR("split"), note, cf_str_c(id));
    if (r == 0)
        r = entry(c, cf_str_c(id), "status", cf_arena_printf(c->a, "split from %.*s", CF_ARG(k->number)), note, cf_str_c(k->id));
    memcpy(c->made_id, id, sizeof(id));
    memcpy(c->touched, id, sizeof(id));
    return r;
}

static int to_notice(struct inc_ctx *c, const struct inc_case *k)
{
    struct inc_alert al = {.level = CF_LEVEL_INFO};
    struct cf_stmt *st = NULL;
    cf_str id = CF_STR_NONE, content;
    int r = cf_tx_query(c->tx, "SELECT id FROM alert WHERE incident_id = ? ORDER BY score DESC, id LIMIT 1", &st, c->err, CF_Z(k->id));

    if (r == 0 && (r = cf_stmt_next(st, c->err)) == 1)
        id = cf_arena_copy(c->a, cf_stmt_str(st, 0));
    cf_stmt_free(st);
    if (r < 0)
        return r;
    if (!id.p)
        return cf_error_set(c->err, CF_ECONFLICT, "the incident has no alerts");
    r = inc_alert_read(c->tx, c->a, id, &al, c->err);
    if (r == 0) {
        al.level = (enum cf_level)k->level;
        content = cf_arena_printf(c->a, "安全事件 %.*s：%.*s。涉及主机 %.*s，来源 %.*s，目标 %.*s。", CF_ARG(k->number), CF_ARG(k->title), CF_ARG(al.host.n ? al.host : CF_STR("-")),
                                  CF_ARG(al.source_ip.n ? al.source_ip : CF_STR("-")), CF_ARG(al.destination_ip.n ? al.destination_ip : CF_STR("-")));
        r = inc_notice_from(c, &al, "incident", cf_str_c(k->id), k->title, content);
    }
    inc_alert_release(&al);
    if (r == 0)
        r = cf_tx_exec(c->tx, "INSERT INTO incident_link (incident_id, kind, ref, created_us) VALUES (?, 'notice', ?, ?) ON CONFLICT DO NOTHING", c->err, CF_Z(k->id), CF_Z(c->made_id), CF_I(cf_now_us()));
    return r < 0 ? r : entry(c, cf_str_c(k->id), "notice", k->title, CF_STR_NONE, cf_str_c(c->made_id));
}

int inc_incident_act(struct inc_ctx *c, cf_str incident_id, const json_t *body)
{
    cf_str act = cf_json_text(body, "action"), note = cf_str_trim(cf_json_text(body, "note"));
    struct inc_case k = {.level = 0};
    int r = read_case(c, incident_id, &k);

    if (r < 0)
        return r;
    if (!note.p)
        note = CF_STR("");
    if (note.n > 8000)
        return cf_error_set(c->err, CF_EINVAL, "note: at most 8000 bytes");
    if (cf_str_eqz(act, "take")) {
        if (cf_str_eqz(k.status, "merged") || cf_str_eqz(k.status, "closed"))
            return cf_error_set(c->err, CF_ECONFLICT, "a %.*s incident cannot be taken", CF_ARG(k.status));
        r = set_owner(c, &k, c->who->user_id, note);
        return r == 0 && cf_str_eqz(k.status, "open") ? set_status(c, &k, CF_STR("investigating"), note) : r;
    }
    if (cf_str_eqz(act, "assign"))
        return set_owner(c, &k, cf_json_text(body, "owner"), note);
    if (cf_str_eqz(act, "comment"))
        return note.n ? entry(c, cf_str_c(k.id), "comment", note, CF_STR_NONE, CF_STR_NONE) : cf_error_set(c->err, CF_EINVAL, "note: the comment is empty");
    if (cf_str_eqz(act, "status"))
        return set_status(c, &k, cf_json_text(body, "status"), note);
    if (cf_str_eqz(act, "close"))
        return set_status(c, &k, CF_STR("closed"), note);
    if (cf_str_eqz(act, "reopen"))
        return cf_str_eqz(k.status, "closed") ? set_status(c, &k, CF_STR("investigating"), note) : cf_error_set(c->err, CF_ECONFLICT, "only a closed incident can be reopened");
    if (cf_str_eqz(act, "merge"))
        return merge(c, &k, body, note);
    if (cf_str_eqz(act, "split"))
        return split(c, &k, body, note);
    if (cf_str_eqz(act, "convert_notice"))
        return to_notice(c, &k);
    if (cf_str_eqz(k.status, "merged"))
        return cf_error_set(c->err, CF_ECONFLICT, "the incident was merged into another one");
    if (cf_str_eqz(act, "classify"))
        return inc_classify(c, cf_str_c(k.id), json_object_get(body, "form"));
    if (cf_str_eqz(act, "opinion"))
        return inc_opinion(c, cf_str_c(k.id), json_object_get(body, "form"));
    if (cf_str_eqz(act, "order"))
        return inc_order(c, cf_str_c(k.id), json_object_get(body, "form"));
    return cf_error_set(c->err, CF_EINVAL, "action: take, assign, comment, status, close, reopen, merge, split, convert_notice, classify, opinion or order");
}
