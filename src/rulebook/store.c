/* SPDX-License-Identifier: Apache-2.0
 * Stored texts with their versions, rule states, and what of this the detector is loaded from. */
#include <stdio.h>

#include "rulebook/rulebook.h"

static const char *const state_names[] = {"enabled", "staged", "disabled"};

const char *cf_rule_state_name(enum cf_rule_state s) { return state_names[s]; }

bool cf_rule_state_parse(cf_str s, enum cf_rule_state *ret)
{
    for (int i = 0; i < 3; i++) {
        if (cf_str_eqz(s, state_names[i])) {
            *ret = (enum cf_rule_state)i;
            return true;
        }
    }
    return false;
}

/* ---- loading ---- */

struct list {
    cf_str *v;
    size_t n, cap;
};

static int push(struct cf_arena *a, struct list *l, cf_str s)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        cf_str *v = CF_NEW_N(a, cf_str, cap);

        if (!v)
            return CF_ENOMEM;
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n] = cf_arena_copy(a, s.p ? s : CF_STR(""));
    return l->v[l->n++].p ? 0 : CF_ENOMEM;
}

static int fill_texts(struct cf_tx *tx, struct cf_arena *a, struct list *texts, struct list *files, struct list *skip, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT id, yaml FROM rule_text WHERE active = 1 ORDER BY id", &st, reterr), more;

    while (r == 0 && (more = cf_stmt_next(st, reterr)) != 0) {
        r = more < 0 ? more : push(a, texts, cf_stmt_str(st, 1));
        if (r == 0)
            r = push(a, files, cf_arena_printf(a, "stored/%.*s", CF_ARG(cf_stmt_str(st, 0))));
    }
    cf_stmt_free(st);
    st = NULL;
    if (r == 0)
        r = cf_tx_query(tx, "SELECT rule_id FROM rule_text_id", &st, reterr);
    while (r == 0 && (more = cf_stmt_next(st, reterr)) != 0)
        r = more < 0 ? more : push(a, skip, cf_stmt_str(st, 0));
    cf_stmt_free(st);
    return r;
}

/* Lists as YAML flow: {"name": ["a","b"]} is YAML too. */
static int fill_lists(struct cf_tx *tx, struct cf_arena *a, cf_str *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    struct cf_buf b;
    int r = cf_tx_query(tx, "SELECT name, items FROM rule_list ORDER BY name", &st, reterr), more = 0;
    bool any = false;

    cf_buf_init(&b, 8 << 20);
    while (r == 0 && (more = cf_stmt_next(st, reterr)) != 0) {
        if (more < 0) {
            r = more;
            break;
        }
        cf_buf_z(&b, any ? "," : "{");
        cf_buf_json(&b, cf_stmt_str(st, 0));
        cf_buf_z(&b, ": ");
        cf_buf_str(&b, cf_stmt_str(st, 1));
        any = true;
    }
    cf_stmt_free(st);
    if (any)
        cf_buf_z(&b, "}\n");
    if (r == 0 && b.failed)
        r = cf_error_set(reterr, CF_ELIMIT, "the lists are larger than 8 MiB together");
    *ret = r == 0 && any ? cf_arena_copy(a, cf_buf_view(&b)) : CF_STR_NONE;
    cf_buf_release(&b);
    return r;
}

int cf_rulebook_fill(struct cf_db *db, struct cf_arena *a, struct cf_rules_options *o, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_rulebook_fill_tx(tx, a, o, reterr);
    cf_tx_rollback(&tx);
    return r;
}

int cf_rulebook_fill_tx(struct cf_tx *tx, struct cf_arena *a, struct cf_rules_options *o, struct cf_error *reterr)
{
    struct list texts = {0}, files = {0}, skip = {0};
    int r = fill_texts(tx, a, &texts, &files, &skip, reterr);

    if (r == 0)
        r = fill_lists(tx, a, &o->placeholders, reterr);
    if (r == CF_ENOMEM)
        return cf_error_set(reterr, r, "no memory for the stored rules");
    if (r < 0)
        return r;
    o->texts = texts.v;
    o->text_files = files.v;
    o->n_texts = texts.n;
    o->skip = skip.v;
    o->n_skip = skip.n;
    return 0;
}

/* ---- writing ---- */

static int newest(struct cf_tx *tx, cf_str text_id, int64_t *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT COALESCE(MAX(version), 0) FROM rule_version WHERE text_id = ?", &st, reterr, CF_S(text_id));

    *ret = 0;
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        *ret = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

static int add_version(struct cf_tx *tx, cf_str text_id, int64_t version, cf_str yaml, const char *action, cf_str note, struct cf_rule_who who, struct cf_error *reterr)
{
    return cf_tx_exec(tx, "INSERT INTO rule_version (text_id, version, yaml, action, note, user_id, user_name, time_us) VALUES (?,?,?,?,?,?,?,?)", reterr, CF_S(text_id),
                      CF_I(version), CF_S(yaml), CF_Z(action), CF_S(note), CF_S(who.id), CF_S(who.name.p ? who.name : CF_STR("")), CF_I(cf_now_us()));
}

/* One text: "" when there is none. */
static int ask_text(struct cf_tx *tx, const char *sql, cf_str key, char ret[210], struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, sql, &st, reterr, CF_S(key));

    ret[0] = 0;
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)snprintf(ret, 210, "%.*s", (int)(cf_stmt_str(st, 0).n < 209 ? cf_stmt_str(st, 0).n : 209), cf_stmt_str(st, 0).p);
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

/* Is an id of the text another's, or a new text's name in use? */
static int ids_free(struct cf_tx *tx, const struct cf_rule_save *s, struct cf_error *reterr)
{
    char holder[210];
    int r = 0;

    if (s->fresh) {
        r = ask_text(tx, "SELECT id FROM rule_text WHERE id = ? AND active = 1", s->text_id, holder, reterr);
        if (r == 0 && holder[0])
            r = cf_error_set(reterr, CF_EEXIST, "there is a rule with the id %s already", holder);
    }
    for (size_t i = 0; r == 0 && i < s->n_ids; i++) {
        r = ask_text(tx, "SELECT text_id FROM rule_text_id WHERE rule_id = ?", s->ids[i], holder, reterr);
        if (r == 0 && holder[0] && !cf_str_eqz(s->text_id, holder))
            r = cf_error_set(reterr, CF_EEXIST, "another stored rule has the id %.*s", CF_ARG(s->ids[i]));
    }
    return r;
}

static int put_ids(struct cf_tx *tx, const struct cf_rule_save *s, struct cf_error *reterr)
{
    int r = cf_tx_exec(tx, "DELETE FROM rule_text_id WHERE text_id = ?", reterr, CF_S(s->text_id));

    for (size_t i = 0; r == 0 && i < s->n_ids + s->n_replaces; i++) {
        bool own = i < s->n_ids;
        cf_str id = own ? s->ids[i] : s->replaces[i - s->n_ids];

        if (id.n) /* one that is there: given twice, or what is replaced is replaced by another text too */
            r = cf_tx_exec(tx, "INSERT INTO rule_text_id (rule_id, text_id, own) VALUES (?,?,?) ON CONFLICT (rule_id) DO NOTHING", reterr, CF_S(id), CF_S(s->text_id), CF_I(own));
    }
    return r;
}

int cf_rulebook_put(struct cf_tx *tx, const struct cf_rule_save *s, int64_t *ret_version, struct cf_error *reterr)
{
    int64_t version = 0, now = cf_now_us();
    int r = newest(tx, s->text_id, &version, reterr);

    if (r == 0 && s->yaml.n > CF_RULE_TEXT_MAX)
        r = cf_error_set(reterr, CF_ELIMIT, "a rule text has at most %u KiB", CF_RULE_TEXT_MAX >> 10);
    if (r == 0 && s->expect_version >= 0 && s->expect_version != version)
        r = cf_error_set(reterr, CF_ECONFLICT, "the rule was changed in the meantime (version %lld); load it again", (long long)version);
    version++;
    if (r == 0)
        r = ids_free(tx, s, reterr);
    if (r == 0)
        r = put_ids(tx, s, reterr);
    if (r == 0)
        r = add_version(tx, s->text_id, version, s->yaml, s->action, s->note, s->who, reterr);
    if (r == 0)
        r = cf_tx_exec(tx,
                       "INSERT INTO rule_text (id, title, yaml, version, edited, active, created_us, updated_us, updated_by) VALUES (?,?,?,?,?,1,?,?,?) ON CONFLICT (id) DO "
                       "UPDATE SET title = excluded.title, yaml = excluded.yaml, version = excluded.version, edited = excluded.edited, active = 1, updated_us = "
                       "excluded.updated_us, updated_by = excluded.updated_by",
                       reterr, CF_S(s->text_id), CF_S(s->title), CF_S(s->yaml), CF_I(version), CF_I(s->edited), CF_I(now), CF_I(now),
                       CF_S(s->who.name.p ? s->who.name : CF_STR("")));
    if (r == 0 && ret_version)
        *ret_version = version;
    return r;
}

int cf_rulebook_remove(struct cf_tx *tx, cf_str text_id, const char *action, cf_str note, struct cf_rule_who who, struct cf_error *reterr)
{
    int64_t version, changed = 0;
    const struct cf_dbval v[] = {CF_I(cf_now_us()), CF_S(text_id)};
    int r = newest(tx, text_id, &version, reterr);

    if (r == 0)
        r = cf_tx_execv(tx, "UPDATE rule_text SET active = 0, updated_us = ? WHERE id = ? AND active = 1", v, 2, &changed, reterr);
    if (r == 0 && changed == 0)
        r = cf_error_set(reterr, CF_ENOENT, "there is no stored rule with this id");
    if (r == 0)
        r = add_version(tx, text_id, version + 1, CF_STR(""), action, note, who, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM rule_text_id WHERE text_id = ?", reterr, CF_S(text_id));
    return r;
}

/* ---- reading ---- */

static json_t *text(cf_str s)
{
    json_t *v = s.p ? json_stringn(s.p, s.n) : json_null();

    return v ? v : json_null();
}

static json_t *when(int64_t us)
{
    char t[32];

    return us ? json_stringn(t, cf_time_format(us, t)) : json_null();
}

static int get_ids(struct cf_tx *tx, cf_str text_id, json_t *o, struct cf_error *reterr)
{
    json_t *own = json_array(), *replaces = json_array();
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT rule_id, own FROM rule_text_id WHERE text_id = ? ORDER BY rule_id", &st, reterr, CF_S(text_id)), more = 0;

    while (r == 0 && (more = cf_stmt_next(st, reterr)) == 1)
        (void)json_array_append_new(cf_stmt_i64(st, 1) ? own : replaces, text(cf_stmt_str(st, 0)));
    cf_stmt_free(st);
    (void)json_object_set_new(o, "ids", own);
    (void)json_object_set_new(o, "replaces", replaces);
    return more < 0 ? more : r;
}

int cf_rulebook_get(struct cf_db *db, cf_str rule_id, json_t **ret, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    json_t *o = NULL;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx,
                        "SELECT t.id, t.title, t.yaml, t.version, t.edited, t.updated_us, t.updated_by FROM rule_text_id i JOIN rule_text t ON t.id = i.text_id WHERE "
                        "i.rule_id = ? AND t.active = 1",
                        &st, reterr, CF_S(rule_id));
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        o = json_pack("{s:o,s:o,s:o,s:I,s:b,s:o,s:o}", "id", text(cf_stmt_str(st, 0)), "title", text(cf_stmt_str(st, 1)), "yaml", text(cf_stmt_str(st, 2)), "version",
                      (json_int_t)cf_stmt_i64(st, 3), "edited", cf_stmt_i64(st, 4) != 0, "updated_at", when(cf_stmt_i64(st, 5)), "updated_by", text(cf_stmt_str(st, 6)));
        r = o ? get_ids(tx, cf_str_c(json_string_value(json_object_get(o, "id"))), o, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");
    } else if (r == 0) {
        r = cf_error_set(reterr, CF_ENOENT, "no stored rule has this id");
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r < 0)
        json_decref(o);
    else
        *ret = o;
    return r;
}

int cf_rulebook_versions(struct cf_db *db, cf_str text_id, json_t **ret, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    json_t *list = json_array();
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr), more = 0;

    if (r == 0)
        r = cf_tx_query(tx, "SELECT version, time_us, user_name, action, note, yaml FROM rule_version WHERE text_id = ? ORDER BY version DESC LIMIT 200", &st, reterr,
                        CF_S(text_id));
    while (r == 0 && (more = cf_stmt_next(st, reterr)) == 1)
        (void)json_array_append_new(list, json_pack("{s:I,s:o,s:o,s:o,s:o,s:o}", "version", (json_int_t)cf_stmt_i64(st, 0), "time", when(cf_stmt_i64(st, 1)), "user",
                                                    text(cf_stmt_str(st, 2)), "action", text(cf_stmt_str(st, 3)), "note", text(cf_stmt_str(st, 4)), "yaml",
                                                    text(cf_stmt_str(st, 5))));
    r = more < 0 ? more : r;
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r < 0)
        json_decref(list);
    else
        *ret = list;
    return r;
}

/* ---- states ---- */

int cf_rulebook_set_state(struct cf_tx *tx, cf_str rule_id, enum cf_rule_state s, cf_str note, cf_str user_name, struct cf_error *reterr)
{
    return cf_tx_exec(tx,
                      "INSERT INTO rule_state (rule_id, state, note, user_name, time_us) VALUES (?,?,?,?,?) ON CONFLICT (rule_id) DO UPDATE SET state = excluded.state, "
                      "note = excluded.note, user_name = excluded.user_name, time_us = excluded.time_us",
                      reterr, CF_S(rule_id), CF_Z(state_names[s]), CF_S(note), CF_S(user_name), CF_I(cf_now_us()));
}

int cf_rulebook_states(struct cf_db *db, struct cf_arena *a, cf_str **ret_staged, size_t *ret_n_staged, cf_str **ret_off, size_t *ret_n_off, struct cf_error *reterr)
{
    struct list staged = {0}, off = {0};
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr), more = 0;

    if (r == 0)
        r = cf_tx_query(tx, "SELECT rule_id, state FROM rule_state WHERE state <> 'enabled'", &st, reterr);
    while (r == 0 && (more = cf_stmt_next(st, reterr)) == 1)
        r = push(a, cf_str_eqz(cf_stmt_str(st, 1), "staged") ? &staged : &off, cf_stmt_str(st, 0));
    r = more < 0 ? more : r;
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    *ret_staged = staged.v;
    *ret_n_staged = staged.n;
    *ret_off = off.v;
    *ret_n_off = off.n;
    return r;
}
