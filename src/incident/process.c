/* SPDX-License-Identifier: Apache-2.0
 * An incident as a security event (requirements 2.2): judgement opinions, category and level, disposal orders, the six early times.
 * Opinions and classifications are entries of the time line whose detail is the form as JSON. */
#include "form/content.h"
#include "incident/routes.h"

/* GB/Z 20986: loss of an especially important network counts in full, of an important one a step less, of others two steps less;
 * harm to society counts by itself; the graver of both decides. */
int inc_event_level(int importance, int loss, int harm)
{
    int by_loss = loss + importance - 1;

    if (by_loss > 4)
        by_loss = 4;
    return by_loss < harm ? by_loss : harm;
}

static const char *text_of(const json_t *f, const char *key)
{
    const char *s = json_string_value(json_object_get(f, key));

    return s ? s : "";
}

static int number_of(const json_t *f, const char *key) { return text_of(f, key)[0] - '0'; /* dictionaries of one digit, checked by the form */ }

static int clean_form(struct inc_ctx *c, const char *id, const json_t *form, json_t **ret)
{
    const struct cf_form *f = c->forms ? cf_form_find(c->forms, cf_str_c(id)) : NULL;
    const struct cf_form_check chk = {.english = c->english};

    if (!f)
        return cf_error_set(c->err, CF_ENOENT, "form %s is not loaded", id);
    if (cf_form_validate(c->forms, f, form, &chk, ret, &c->form_errors) < 0)
        return cf_error_set(c->err, CF_EINVAL, "%s", c->english ? "some fields are not filled in as they should be" : "表单内容有误，请按提示修改");
    return 0;
}

static int entry(struct inc_ctx *c, cf_str incident, const char *kind, cf_str title, const json_t *form, cf_str ref)
{
    cf_str name = c->who->display_name.n ? c->who->display_name : c->who->user_name;
    const char *detail = form ? inc_json_dump(c->a, form) : NULL;

    return inc_timeline(c->tx, incident, cf_now_us(), kind, title, detail ? cf_str_c(detail) : CF_STR_NONE, ref, c->who->user_id, name, c->err);
}

int inc_classify(struct inc_ctx *c, cf_str incident, const json_t *form)
{
    json_t *f = NULL;
    int proposed, level, r = clean_form(c, "incident-classification", form, &f);
    cf_str sub, category = CF_STR_NONE;

    if (r < 0)
        return r;
    proposed = inc_event_level(number_of(f, "importance"), number_of(f, "loss"), number_of(f, "harm"));
    level = text_of(f, "level")[0] ? number_of(f, "level") : proposed;
    sub = cf_str_c(text_of(f, "subcategory"));
    (void)cf_str_cut(&sub, '.', &category);
    if (level != proposed && !text_of(f, "reason")[0]) {
        c->form_errors = json_pack("[{s:s, s:s}]", "field", "reason", "message", c->english ? "the level differs from the proposal: say why" : "级别与推定不同，请说明理由");
        r = cf_error_set(c->err, CF_EINVAL, "reason: the level differs from what the three elements propose (%d): say why", proposed);
    }
    json_object_set_new(f, "proposed", json_integer(proposed));
    json_object_set_new(f, "decided", json_integer(level));
    if (r == 0)
        r = cf_tx_exec(c->tx, "UPDATE incident SET category = ?, event_level = ?, classification = ?, updated_us = ? WHERE id = ?", c->err, CF_S(category), CF_I(level),
                       CF_Z(inc_json_dump(c->a, f)), CF_I(cf_now_us()), CF_S(incident));
    if (r == 0)
        r = entry(c, incident, "classification", cf_arena_printf(c->a, "%d", level), f, CF_STR_NONE);
    json_decref(f);
    return r;
}

int inc_opinion(struct inc_ctx *c, cf_str incident, const json_t *form)
{
    json_t *f = NULL;
    int r = clean_form(c, "incident-opinion", form, &f);

    if (r == 0)
        r = entry(c, incident, "opinion", cf_arena_copy(c->a, cf_str_c(text_of(f, "opinion"))), f, CF_STR_NONE);
    json_decref(f);
    return r;
}

int inc_order(struct inc_ctx *c, cf_str incident, const json_t *form)
{
    const struct cf_work_new n = {.kind = CF_STR("incident-order"), .data = form, .source_type = CF_STR("incident"), .source_id = incident, .english = c->english};
    int r;

    if (!c->w)
        return cf_error_set(c->err, CF_ENOENT, "there is no workflow engine");
    r = cf_work_create(c->w, c->tx, c->who, &n, c->made_id, c->fx, &c->form_errors, c->err);
    return r < 0 ? r : entry(c, incident, "order", cf_arena_copy(c->a, cf_str_c(text_of(form, "title"))), NULL, cf_str_c(c->made_id));
}

/* ---- reading ---- */

static json_t *orders_json(struct cf_tx *tx, cf_str incident)
{
    json_t *a = json_array();
    struct cf_stmt *st = NULL;

    if (cf_tx_query(tx,
                    "SELECT w.id, w.number, w.title, w.state, w.level, w.created_us, w.issued_us, (SELECT COUNT(*) FROM work_item c WHERE c.parent_id = w.id), "
                    "(SELECT COUNT(*) FROM work_item c WHERE c.parent_id = w.id AND c.done = 1), (SELECT COUNT(*) FROM work_item c WHERE c.parent_id = w.id AND c.overdue = 1), "
                    "w.urged FROM work_item w WHERE w.kind = 'incident-order' AND w.source_type = 'incident' AND w.source_id = ? ORDER BY w.id",
                    &st, NULL, CF_S(incident)) == 0)
        while (cf_stmt_next(st, NULL) == 1)
            json_array_append_new(a, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "id", cf_str_json(cf_stmt_str(st, 0)), "number",
                                               cf_str_json(cf_stmt_str(st, 1)), "title", cf_str_json(cf_stmt_str(st, 2)), "state", cf_str_json(cf_stmt_str(st, 3)), "level",
                                               cf_str_json(cf_stmt_str(st, 4)), "created_at", inc_time(cf_stmt_i64(st, 5)), "issued_at", inc_time(cf_stmt_i64(st, 6)), "total",
                                               (json_int_t)cf_stmt_i64(st, 7), "closed", (json_int_t)cf_stmt_i64(st, 8), "overdue", (json_int_t)cf_stmt_i64(st, 9), "urged",
                                               (json_int_t)cf_stmt_i64(st, 10)));
    cf_stmt_free(st);
    return a;
}

static json_t *opinions_json(struct cf_tx *tx, cf_str incident)
{
    json_t *a = json_array();
    struct cf_stmt *st = NULL;

    if (cf_tx_query(tx, "SELECT time_us, user_name, detail FROM incident_event WHERE incident_id = ? AND kind = 'opinion' ORDER BY time_us, id LIMIT 200", &st, NULL, CF_S(incident)) == 0)
        while (cf_stmt_next(st, NULL) == 1)
            json_array_append_new(a, json_pack("{s:o, s:o, s:o}", "time", inc_time(cf_stmt_i64(st, 0)), "user", cf_str_json(cf_stmt_str(st, 1)), "form",
                                               inc_json_text(cf_stmt_str(st, 2), false)));
    cf_stmt_free(st);
    return a;
}

#define ITEMS_OF "w.source_type = 'incident' AND w.source_id = i.id"
/* The six "early" times of requirement INC-027, each since the first sign: found (the incident was opened), judged (first opinion or
 * classification), notified (first notice or order issued), disposed (first answer of a unit), responded (somebody took it), recovered
 * (contained or closed). null: not yet. */
static json_t *early_json(struct cf_tx *tx, cf_str incident, json_t **ret_classification)
{
    static const char *const steps[] = {"found", "responded", "judged", "notified", "disposed", "recovered"};
    json_t *a = json_array();
    struct cf_stmt *st = NULL;

    if (cf_tx_query(tx,
                    "SELECT i.first_seen, i.classification, i.created_us, "
                    "(SELECT MIN(e.time_us) FROM incident_event e WHERE e.incident_id = i.id AND e.kind = 'status' AND e.user_id IS NOT NULL), "
                    "(SELECT MIN(e.time_us) FROM incident_event e WHERE e.incident_id = i.id AND e.kind IN ('opinion', 'classification')), "
                    "(SELECT MIN(w.issued_us) FROM work_item w WHERE " ITEMS_OF "), "
                    "(SELECT MIN(c.fed_back_us) FROM work_item w JOIN work_item c ON c.parent_id = w.id WHERE " ITEMS_OF "), "
                    "(SELECT MIN(e.time_us) FROM incident_event e WHERE e.incident_id = i.id AND e.kind = 'status' AND e.title IN ('contained', 'closed')) "
                    "FROM incident i WHERE i.id = ?",
                    &st, NULL, CF_S(incident)) == 0 &&
        cf_stmt_next(st, NULL) == 1) {
        int64_t first = cf_stmt_i64(st, 0);

        *ret_classification = cf_stmt_null(st, 1) ? json_null() : inc_json_text(cf_stmt_str(st, 1), false);
        for (int i = 0; i < 6; i++) {
            int64_t us = cf_stmt_i64(st, 2 + i);

            json_array_append_new(a, json_pack("{s:s, s:o, s:o}", "step", steps[i], "at", inc_time(us), "seconds",
                                               us ? json_integer((json_int_t)((us > first ? us - first : 0) / CF_US_PER_S)) : json_null()));
        }
    }
    cf_stmt_free(st);
    return a;
}

json_t *inc_process_json(struct cf_tx *tx, cf_str incident, bool english, const struct cf_form_set *forms)
{
    json_t *classification = NULL, *early = early_json(tx, incident, &classification);
    cf_str sub, label = CF_STR_NONE;

    if (!classification)
        classification = json_null();
    sub = cf_str_c(text_of(classification, "subcategory"));
    if (forms && sub.n && cf_dictionary_label(forms, CF_STR("event-subcategory"), sub, english, &label))
        json_object_set_new(classification, "subcategory_label", cf_str_json(label));
    return json_pack("{s:o, s:o, s:o, s:o}", "classification", classification, "opinions", opinions_json(tx, incident), "orders", orders_json(tx, incident), "early", early);
}
