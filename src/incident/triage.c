/* SPDX-License-Identifier: Apache-2.0
 * Alert states (requirements 2.1):
 *
 *   new --take--> handling --confirm--> confirmed --convert--> converted --close--> closed
 *    \              | \--false_positive--> false_positive --.                          |
 *     '-------------+----ignore--> ignored -----------------+--reopen--> handling <----' */
#include "incident/triage.h"

#include "form/content.h"
#include "message/message.h"

enum { S_NEW = 1, S_HANDLING = 2, S_CONFIRMED = 4, S_FALSE = 8, S_IGNORED = 16, S_CONVERTED = 32, S_CLOSED = 64, S_ALL = 127 };
static const char *const state_names[] = {"new", "handling", "confirmed", "false_positive", "ignored", "converted", "closed"};

static const struct action {
    const char *name;
    unsigned from;
    const char *to; /* NULL: stays */
    bool note;
} actions[] = {
    {"take", S_NEW, "handling", false},
    {"assign", S_NEW | S_HANDLING | S_CONFIRMED, NULL, false},
    {"confirm", S_NEW | S_HANDLING, "confirmed", true},
    {"false_positive", S_NEW | S_HANDLING, "false_positive", true},
    {"ignore", S_NEW | S_HANDLING, "ignored", true},
    {"convert_incident", S_CONFIRMED, "converted", false},
    {"convert_notice", S_CONFIRMED, "converted", false},
    {"close", S_CONFIRMED | S_CONVERTED, "closed", true},
    {"reopen", S_FALSE | S_IGNORED | S_CLOSED, "handling", true},
    {"comment", S_ALL, NULL, true},
};

static unsigned state_bit(cf_str s)
{
    for (unsigned i = 0; i < 7; i++)
        if (cf_str_eqz(s, state_names[i]))
            return 1u << i;
    return 0;
}

static cf_str user_name(const struct cf_principal *who) { return who->display_name.n ? who->display_name : who->user_name; }

static bool user_exists(struct inc_ctx *c, cf_str id)
{
    struct cf_stmt *st = NULL;
    bool yes = cf_tx_query(c->tx, "SELECT 1 FROM app_user WHERE id = ? AND active = 1", &st, NULL, CF_S(id)) == 0 && cf_stmt_next(st, NULL) == 1;

    cf_stmt_free(st);
    return yes;
}

static int tell_owner(struct inc_ctx *c, const struct inc_alert *al, cf_str owner)
{
    static const char *const zh[] = {"提示", "低危", "中危", "高危", "严重"};
    const struct cf_msg_var vars[] = {{"title", al->title}, {"level", cf_str_c(zh[al->level])}, {"actor", user_name(c->who)}};
    const struct cf_msg msg = {.template = CF_STR("alert-assigned"), .users = &owner, .n_users = 1, .vars = vars, .n_vars = 3,
                               .href = cf_arena_printf(c->a, "/alerts/%s", al->id), .level = cf_str_c(inc_level_name(al->level))};

    if (!c->m || cf_str_eq(owner, c->who->user_id))
        return 0;
    return cf_messenger_send(c->m, c->tx, &msg, c->err);
}

static int add_link(struct inc_ctx *c, const struct inc_alert *al, const char *type, const char *id)
{
    struct cf_stmt *st = NULL;
    json_t *links = NULL;
    int r = cf_tx_query(c->tx, "SELECT converted FROM alert WHERE id = ?", &st, c->err, CF_Z(al->id));

    if (r == 0 && (r = cf_stmt_next(st, c->err)) == 1)
        links = inc_json_text(cf_stmt_str(st, 0), true);
    cf_stmt_free(st);
    if (r < 0)
        return r;
    if (!links)
        links = json_array();
    json_array_append_new(links, json_pack("{s:s, s:s}", "type", type, "id", id));
    r = cf_tx_exec(c->tx, "UPDATE alert SET converted = ? WHERE id = ?", c->err, CF_Z(inc_json_dump(c->a, links)), CF_Z(al->id));
    json_decref(links);
    return r;
}

/* A notice draft with everything the alert or incident knows. The coordinator completes and sends it. */
int inc_notice_from(struct inc_ctx *c, const struct inc_alert *al, const char *source_type, cf_str source_id, cf_str title, cf_str content)
{
    bool unit = al->org.n && !cf_str_eqz(al->org, INC_ROOT_ORG);
    cf_str problem = cf_arena_printf(c->a, "%.*s|%.*s", CF_ARG(al->rule_id), CF_ARG(al->host.n ? al->host : al->destination_ip.n ? al->destination_ip : al->source_ip));
    json_t *receivers = json_array(), *data, *errors = NULL;
    struct cf_work_new n = {.kind = CF_STR("notice"), .source_type = cf_str_c(source_type), .source_id = source_id};
    char level[16];
    int r;

    if (!c->w)
        return cf_error_set(c->err, CF_EUNSUPPORTED, "notices are not available");
    if (unit)
        json_array_append_new(receivers, cf_str_json(al->org));
    (void)snprintf(level, sizeof(level), "%s", al->level == CF_LEVEL_INFO ? "low" : inc_level_name(al->level));
    data = json_pack("{s:o, s:s, s:s, s:o, s:o, s:s, s:o, s:o}", "title", cf_str_json(cf_arena_printf(c->a, "关于%.*s的通报", CF_ARG(cf_text_cut(title, 240)))), "kind", "attack", "level", level, "content",
                     cf_str_json(content), "problem", cf_str_json(cf_text_cut(problem, 200)), "requirements", "请立即核实处置，消除影响，并按时限反馈处置结果。", "receivers",
                     receivers, "assets", cf_str_json(al->host.n ? al->host : al->destination_ip.n ? al->destination_ip : CF_STR("-")));
    n.data = data;
    n.dedup_key = cf_text_cut(problem, 200);
    r = cf_work_create(c->w, c->tx, c->who, &n, c->made_id, c->fx, &errors, c->err);
    if (r == CF_EEXIST) /* recognised and joined: the open notice on this problem of this unit takes it */
        r = 0;
    json_decref(errors);
    json_decref(data);
    return r;
}

static int convert(struct inc_ctx *c, struct inc_alert *al, bool notice)
{
    char id[37];
    int r = 0;

    if (notice) {
        cf_str content = cf_arena_printf(c->a, "监测发现：%.*s。来源 %.*s，目标 %.*s，主机 %.*s，累计 %lld 次。", CF_ARG(al->title),
                                         CF_ARG(al->source_ip.n ? al->source_ip : CF_STR("-")), CF_ARG(al->destination_ip.n ? al->destination_ip : CF_STR("-")),
                                         CF_ARG(al->host.n ? al->host : CF_STR("-")), (long long)al->count);

        r = inc_notice_from(c, al, "alert", cf_str_c(al->id), al->title, content);
        return r < 0 ? r : add_link(c, al, "notice", c->made_id);
    }
    if (!cf_principal_may(c->who, CF_STR("incident.write")))
        return cf_error_set(c->err, CF_EPERM, "permission incident.write is needed");
    if (al->incident_id.n) {
        (void)snprintf(id, sizeof(id), "%.*s", CF_ARG(al->incident_id));
    } else {
        r = inc_incident_create(c->tx, c->a, al, id, c->err);
        if (r == 0)
            r = inc_incident_attach(c->tx, c->a, cf_str_c(id), al, c->err);
        if (r == 0)
            r = inc_incident_refresh(c->tx, c->a, cf_str_c(id), c->err);
    }
    memcpy(c->made_id, id, 37);
    return r < 0 ? r : add_link(c, al, "incident", id);
}

static int side_effects(struct inc_ctx *c, struct inc_alert *al, const struct action *act, const json_t *body, cf_str owner)
{
    const json_t *spec = json_object_get(body, "exception");
    char id[37];
    int r = 0;

    if (owner.n)
        r = cf_tx_exec(c->tx, "UPDATE alert SET owner_id = ? WHERE id = ?", c->err, CF_S(owner), CF_Z(al->id));
    if (r == 0 && strcmp(act->name, "assign") == 0)
        r = tell_owner(c, al, owner);
    if (r == 0 && strncmp(act->name, "convert", 7) == 0)
        r = convert(c, al, strcmp(act->name, "convert_notice") == 0);
    if (r == 0 && strcmp(act->name, "false_positive") == 0 && json_is_object(spec))
        r = inc_exception_add(c, al->rule_id, c->who->scope == CF_SCOPE_ALL ? CF_STR_NONE : al->org, cf_str_c(al->id), spec, cf_json_text(body, "note"), id);
    return r;
}

int inc_alert_act(struct inc_ctx *c, cf_str alert_id, const json_t *body)
{
    cf_str name = cf_json_text(body, "action"), note = cf_str_trim(cf_json_text(body, "note")), owner = CF_STR_NONE, to;
    const struct action *act = NULL;
    struct inc_alert al = {.level = CF_LEVEL_INFO};
    int64_t now = cf_now_us();
    int r;

    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (cf_str_eqz(name, actions[i].name))
            act = &actions[i];
    if (!act)
        return cf_error_set(c->err, CF_EINVAL, "action: \"%.*s\" is not known", CF_ARG(cf_text_cut(name.p ? name : CF_STR(""), 40)));
    if (act->note && note.n == 0)
        return cf_error_set(c->err, CF_EINVAL, "note: %s needs a reason", act->name);
    if (note.n > 8000)
        return cf_error_set(c->err, CF_EINVAL, "note: at most 8000 bytes");
    r = inc_alert_read(c->tx, c->a, alert_id, &al, c->err);
    if (r == 0 && !cf_scope_has_org(c->tx, c->who, al.org))
        r = cf_error_set(c->err, CF_ENOENT, "there is no such alert");
    if (r == 0 && !(state_bit(al.status) & act->from))
        r = cf_error_set(c->err, CF_ECONFLICT, "%s is not possible in state %.*s", act->name, CF_ARG(al.status));
    if (strcmp(act->name, "take") == 0)
        owner = c->who->user_id;
    if (strcmp(act->name, "assign") == 0) {
        owner = cf_json_text(body, "owner");
        if (r == 0 && (!owner.n || !user_exists(c, owner)))
            r = cf_error_set(c->err, CF_EINVAL, "owner: there is no such person");
    }
    if (r == 0)
        r = side_effects(c, &al, act, body, owner);
    to = act->to ? cf_str_c(act->to) : strcmp(act->name, "assign") == 0 && cf_str_eqz(al.status, "new") ? CF_STR("handling") : al.status;
    if (r == 0 && !cf_str_eq(to, al.status))
        r = cf_tx_exec(c->tx, "UPDATE alert SET status = ?, updated_us = ?, decided_us = ?, result = CASE WHEN ? = 'closed' THEN ? ELSE result END WHERE id = ?", c->err,
                       CF_S(to), CF_I(now), CF_I(now), CF_S(to), CF_S(note), CF_Z(al.id));
    if (r == 0)
        r = inc_history(c->tx, cf_str_c(al.id), c->who->user_id, user_name(c->who), act->name, al.status, to, note, c->err);
    if (r == 0 && al.incident_id.n && (cf_str_eqz(to, "false_positive") || cf_str_eqz(al.status, "false_positive")))
        r = inc_incident_refresh(c->tx, c->a, al.incident_id, c->err);
    inc_alert_release(&al);
    return r;
}

/* ---- exceptions ---- */

int inc_exception_add(struct inc_ctx *c, cf_str rule_id, cf_str match_org, cf_str alert_id, const json_t *spec, cf_str note, char ret_id[37])
{
    cf_str expires = cf_json_text(spec, "expires_at");
    struct inc_condition *cond;
    int64_t until = 0, now = cf_now_us();
    json_t *stored;
    size_t n;
    int r = inc_conditions_parse(json_object_get(spec, "fields"), c->a, &cond, &n, c->err);

    if (r < 0)
        return r;
    if (expires.n && (!cf_time_parse(expires, &until) || until <= now))
        return cf_error_set(c->err, CF_EINVAL, "expires_at: a time in the future is needed");
    if (!rule_id.n && n < 2)
        return cf_error_set(c->err, CF_EINVAL, "rule_id: an exception for every rule needs at least two conditions");
    stored = inc_conditions_json(cond, n);
    cf_uuid7(ret_id);
    r = cf_tx_exec(c->tx,
                   "INSERT INTO alert_exception (id, org_id, match_org, rule_id, conditions, note, alert_id, created_by, created_name, created_us, expires_us) "
                   "VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                   c->err, CF_Z(ret_id), CF_S(c->who->org_id), CF_S(match_org), CF_S(rule_id.n ? rule_id : CF_STR_NONE), CF_Z(inc_json_dump(c->a, stored)),
                   CF_S(note.p ? note : CF_STR("")), CF_S(alert_id), CF_S(c->who->user_id), CF_S(user_name(c->who)), CF_I(now), until ? CF_I(until) : CF_NUL);
    json_decref(stored);
    c->exceptions_changed = true;
    return r;
}

/* Found to be real: confirmed, or in a state that is reached only from there. */
static bool found_real(cf_str status) { return state_bit(status) & (S_CONFIRMED | S_CONVERTED | S_CLOSED); }

static void preview_example(json_t *real, json_t *other, struct cf_stmt *st)
{
    json_t *into = found_real(cf_stmt_str(st, 3)) ? real : other;

    if (json_array_size(into) < 20)
        json_array_append_new(into, json_pack("{s:o, s:o, s:o, s:s, s:I, s:{s:o, s:o}}", "id", cf_str_json(cf_stmt_str(st, 0)), "title", cf_str_json(cf_stmt_str(st, 1)), "status",
                                              cf_str_json(cf_stmt_str(st, 3)), "level", inc_level_name(cf_stmt_i64(st, 4)), "count", (json_int_t)cf_stmt_i64(st, 5), "entity", "type",
                                              cf_str_json(cf_stmt_str(st, 6)), "value", cf_str_json(cf_stmt_str(st, 7))));
}

json_t *inc_exception_preview(struct inc_ctx *c, cf_str rule_id, cf_str match_org, const json_t *fields, int days)
{
    int64_t checked = 0, hidden = 0, undecided = 0, confirmed = 0;
    json_t *real = json_array(), *other = json_array();
    cf_str rule = rule_id.n ? rule_id : CF_STR(""), org = match_org.n ? match_org : CF_STR("");
    struct inc_condition *cond;
    struct cf_stmt *st = NULL;
    size_t n;
    int r = inc_conditions_parse(fields, c->a, &cond, &n, c->err);

    if (r == 0)
        r = cf_tx_query(c->tx,
                        "SELECT id, CASE WHEN ? = 1 THEN COALESCE(title_en, title) ELSE title END, sample, status, level, count, entity_type, entity_value FROM alert WHERE last_seen >= ? AND (? = '' OR rule_id = ?) AND (? = '' OR org_id = ?) "
                        "ORDER BY last_seen DESC LIMIT 20000",
                        &st, c->err, CF_I(c->english), CF_I(cf_now_us() - days * CF_US_PER_DAY), CF_S(rule), CF_S(rule), CF_S(org), CF_S(org));
    while (r == 0 && (r = cf_stmt_next(st, c->err)) == 1) {
        json_t *ecs = cf_stmt_null(st, 2) ? NULL : json_loadb(cf_stmt_str(st, 2).p, cf_stmt_str(st, 2).n, 0, NULL);
        size_t k = 0;

        r = 0;
        checked++;
        undecided += !ecs;
        while (ecs && k < n && inc_condition_json_holds(&cond[k], ecs))
            k++;
        if (ecs && k == n) {
            hidden++;
            confirmed += found_real(cf_stmt_str(st, 3));
            preview_example(real, other, st);
        }
        json_decref(ecs);
    }
    cf_stmt_free(st);
    if (r == 0)
        (void)json_array_extend(real, other);
    json_decref(other);
    if (r < 0) {
        json_decref(real);
        return NULL;
    }
    return json_pack("{s:i, s:I, s:I, s:I, s:I, s:o}", "days", days, "checked", (json_int_t)checked, "hidden", (json_int_t)hidden, "undecided", (json_int_t)undecided, "confirmed",
                     (json_int_t)confirmed, "examples", real);
}
