/* SPDX-License-Identifier: Apache-2.0
 * Values known to be harmless: content/ti/exclusions (product), imported lists, the city's own assets. An indicator that one of
 * them knows is kept for review and does not match (TI-019). */
#include "ti/ti_int.h"

#include <stdio.h>
#include <stdlib.h>

struct ti_excluded {
    struct cf_ti_set *set;
    struct cf_cidr *net; /* addresses and ranges, for ranges that contain them */
    cf_str *net_list;
    size_t n_net, cap_net;
    struct cf_arena arena;
    json_t *lists;
};

struct loading {
    struct ti_excluded *x;
    struct cf_ti_builder *b;
    cf_str list;
    size_t n;
};

static int add(struct loading *l, const struct cf_ti_value *v, bool exact)
{
    struct cf_ti_entry_in in = {.type = v->type, .value = cf_ti_value_str(v), .confidence = 100, .exact = exact, .info = {.feed = l->list, .threat_type = CF_STR(""), .family = CF_STR(""), .group = CF_STR("")}};
    struct ti_excluded *x = l->x;
    int r = cf_ti_builder_add(l->b, &in);

    if (r == CF_EINVAL)
        return 0;
    if (r == 0 && v->type <= CF_TI_CIDR) {
        if (x->n_net == x->cap_net) {
            size_t cap = x->cap_net ? x->cap_net * 2 : 256;
            void *p = realloc(x->net, cap * sizeof *x->net), *q = realloc(x->net_list, cap * sizeof *x->net_list);

            if (p)
                x->net = p;
            if (q)
                x->net_list = q;
            if (!p || !q)
                return CF_ENOMEM;
            x->cap_net = cap;
        }
        if (v->type == CF_TI_CIDR) {
            (void)cf_cidr_parse(in.value, &x->net[x->n_net]);
        } else {
            (void)cf_ip_parse(in.value, &x->net[x->n_net].ip);
            x->net[x->n_net].bits = 128;
        }
        x->net_list[x->n_net++] = l->list;
    }
    l->n++;
    return r;
}

/* ---- content/ti/exclusions/NAME.yaml ---------------------------------------------------------------------------------- */

static int yaml_file(void *ctx, const char *path)
{
    struct loading *l = ctx;
    struct cf_ydoc *doc = NULL;
    struct cf_arena a;
    struct cf_error err = {0};
    struct cf_ti_value v;
    const struct cf_ynode *values;
    const char *why;
    bool exact = false;
    int r;

    cf_arena_init(&a, 0, 0);
    r = cf_yaml_load(&a, path, &doc, &err);
    values = r == 0 && doc ? cf_ymap_get(doc->root, "values") : NULL;
    if (r == 0 && (!values || values->kind != CF_Y_SEQ || !cf_ymap_str(doc->root, "id").n))
        r = cf_error_set(&err, CF_EINVAL, "id and values are needed");
    if (r == 0) {
        (void)cf_ynode_bool(cf_ymap_get(doc->root, "exact"), &exact);
        l->list = cf_arena_copy(&l->x->arena, cf_ymap_str(cf_ymap_get(doc->root, "name"), "zh"));
        l->n = 0;
    }
    for (const struct cf_ynode *n = r == 0 ? values->child : NULL; n && r == 0; n = n->next) {
        /* the widest private ranges stand here on purpose: the reader's limit is for indicators */
        if (cf_ti_value_read(n->text, CF_TI_ANY, &v, &why) || (exact && cf_ti_host(n->text, v.p) && (v.type = CF_TI_DOMAIN, v.n = (uint16_t)strlen(v.p), true)))
            r = add(l, &v, exact);
        else
            r = cf_error_set(&err, CF_EINVAL, "line %u: \"%.*s\": %s", n->line, CF_ARG(cf_str_sub(n->text, 0, 60)), why);
    }
    if (r == 0)
        (void)json_array_append_new(l->x->lists, json_pack("{s:s%,s:s%,s:s%,s:s,s:I,s:b}", "id", cf_ymap_str(doc->root, "id").p, cf_ymap_str(doc->root, "id").n, "name",
                                                           l->list.p, l->list.n, "name_en", cf_ymap_str(cf_ymap_get(doc->root, "name"), "en").p,
                                                           cf_ymap_str(cf_ymap_get(doc->root, "name"), "en").n, "origin", "product", "values", (json_int_t)l->n, "enabled", 1));
    else
        cf_log_error("ti", "exclusion list not loaded", "file=\"%s\" reason=\"%s\"", path, err.msg);
    cf_arena_release(&a);
    return r == CF_ENOMEM ? r : 0;
}

/* ---- imported lists and assets ---------------------------------------------------------------------------------------------- */

static int from_db(struct loading *l, struct cf_tx *tx, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    struct cf_ti_value v;
    int r = cf_tx_query(tx,
                        "SELECT l.id, l.name, v.value, v.type, v.exact FROM ti_exclusion l JOIN ti_exclusion_value v ON v.list_id = l.id WHERE l.enabled = 1 ORDER BY l.id", &st,
                        reterr);
    char last[64] = "";

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        cf_str value = cf_stmt_str(st, 2);

        r = 0;
        if (!cf_str_eqz(cf_stmt_str(st, 0), last)) {
            (void)snprintf(last, sizeof last, "%.*s", CF_ARG(cf_str_sub(cf_stmt_str(st, 0), 0, 60)));
            l->list = cf_arena_copy(&l->x->arena, cf_stmt_str(st, 1));
        }
        if (value.n > CF_TI_VALUE_MAX || !cf_ti_type_parse(cf_stmt_str(st, 3), &v.type))
            continue;
        memcpy(v.p, value.p, value.n);
        v.p[value.n] = '\0';
        v.n = (uint16_t)value.n;
        r = add(l, &v, cf_stmt_i64(st, 4) != 0);
    }
    cf_stmt_free(st);
    return r;
}

static int lists_from_db(struct ti_excluded *x, struct cf_tx *tx, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT id, name, origin, enabled, (SELECT COUNT(*) FROM ti_exclusion_value v WHERE v.list_id = l.id), description FROM ti_exclusion l ORDER BY name", &st,
                        reterr);

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        (void)json_array_append_new(x->lists, json_pack("{s:s%,s:s%,s:s%,s:b,s:I,s:s%}", "id", cf_stmt_str(st, 0).p, cf_stmt_str(st, 0).n, "name", cf_stmt_str(st, 1).p,
                                                        cf_stmt_str(st, 1).n, "origin", cf_stmt_str(st, 2).p, cf_stmt_str(st, 2).n, "enabled", (int)cf_stmt_i64(st, 3), "values",
                                                        (json_int_t)cf_stmt_i64(st, 4), "description", cf_stmt_str(st, 5).p ? cf_stmt_str(st, 5).p : "", cf_stmt_str(st, 5).n));
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

/* Addresses and names of the city's own assets. */
static int from_assets(struct loading *l, struct cf_tx *tx, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    struct cf_ti_value v;
    const char *why;
    int r = cf_tx_query(tx, "SELECT ip, domain FROM asset WHERE deleted_us IS NULL AND (ip <> '' OR domain <> '')", &st, reterr);

    l->list = CF_STR("本市资产");
    l->n = 0;
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        r = 0;
        for (int c = 0; c < 2 && r == 0; c++) {
            cf_str all = cf_stmt_str(st, c);

            for (size_t i = 0, from = 0; i <= all.n && r == 0 && all.p; i++)
                if (i == all.n || all.p[i] == ',' || all.p[i] == ';' || all.p[i] == ' ' || all.p[i] == '\n') {
                    if (i > from && cf_ti_value_read(cf_str_sub(all, from, i - from), c ? CF_TI_DOMAIN : CF_TI_IPV4, &v, &why))
                        r = add(l, &v, false);
                    from = i + 1;
                }
        }
    }
    cf_stmt_free(st);
    if (r == 0)
        (void)json_array_append_new(l->x->lists, json_pack("{s:s,s:s,s:s,s:s,s:I,s:b}", "id", "assets", "name", "本市资产", "name_en", "Own assets", "origin", "assets", "values",
                                                           (json_int_t)l->n, "enabled", 1));
    return r;
}

int ti_excluded_load(struct cf_db *db, const char *content_dir, struct ti_excluded **ret, struct cf_error *reterr)
{
    struct ti_excluded *x = calloc(1, sizeof *x);
    struct loading l = {.x = x, .b = cf_ti_builder_new(1000)};
    struct cf_tx *tx = NULL;
    char dir[4200];
    int r = 0;

    if (!x || !l.b) {
        free(x);
        cf_ti_builder_free(l.b);
        return cf_error_set(reterr, CF_ENOMEM, "exclusions");
    }
    cf_arena_init(&x->arena, 0, 0);
    x->lists = json_array();
    (void)snprintf(dir, sizeof dir, "%s/ti/exclusions", content_dir ? content_dir : "");
    if (content_dir)
        r = cf_walk(dir, ".yaml", yaml_file, &l, reterr);
    if (r == 0 && db)
        r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);
    if (r == 0 && db)
        r = from_db(&l, tx, reterr);
    if (r == 0 && db)
        r = lists_from_db(x, tx, reterr);
    if (r == 0 && db)
        r = from_assets(&l, tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0) {
        x->set = cf_ti_builder_finish(l.b);
        r = x->set ? 0 : cf_error_set(reterr, CF_ENOMEM, "exclusions");
    } else {
        cf_ti_builder_free(l.b);
    }
    if (r < 0)
        ti_excluded_free(x);
    else
        *ret = x;
    return r;
}

void ti_excluded_free(void *p)
{
    struct ti_excluded *x = p;

    if (!x)
        return;
    cf_ti_set_free(x->set);
    free(x->net);
    free(x->net_list);
    json_decref(x->lists);
    cf_arena_release(&x->arena);
    free(x);
}

size_t ti_excluded_count(const struct ti_excluded *x) { return cf_ti_set_count(x->set); }
json_t *ti_excluded_lists(const struct ti_excluded *x) { return json_deep_copy(x->lists); }

cf_str ti_excluded_by(const struct ti_excluded *x, const struct cf_ti_value *v)
{
    const struct cf_ti_entry *e = NULL;
    cf_str s = cf_ti_value_str(v);

    if (v->type == CF_TI_CIDR) {
        struct cf_cidr c;

        if (!cf_cidr_parse(s, &c))
            return CF_STR_NONE;
        for (size_t i = 0; i < x->n_net; i++) /* either holds the other */
            if ((x->net[i].bits >= c.bits && cf_cidr_has(&c, &x->net[i].ip)) || (x->net[i].bits < c.bits && cf_cidr_has(&x->net[i], &c.ip)))
                return x->net_list[i];
        return CF_STR_NONE;
    }
    if (v->type == CF_TI_URL) {
        char key[CF_TI_VALUE_MAX + 1];
        size_t path, query, n = cf_ti_url_key(s, key, &path, &query);

        e = cf_ti_find(x->set, CF_TI_URL, s, 0, NULL);
        if (!e && n == path + 1) /* the whole site */
            e = cf_ti_find(x->set, CF_TI_ANY, cf_str_n(key, path), 0, NULL);
    } else {
        e = cf_ti_find(x->set, v->type, s, 0, NULL);
        if (e && v->type == CF_TI_EMAIL && e->type != CF_TI_EMAIL)
            e = NULL;
    }
    return e ? cf_ti_entry_info(x->set, e)->feed : CF_STR_NONE;
}

/* ---- MISP warning lists ------------------------------------------------------------------------------------------------------ */

static int put_value(struct cf_tx *tx, const char *id, const json_t *j, bool exact, int64_t *added, int64_t *bad, json_t *bad_list, struct cf_error *reterr)
{
    const char *why = "not a text";
    struct cf_ti_value v;
    cf_str s = json_is_string(j) ? cf_str_n(json_string_value(j), json_string_length(j)) : CF_STR_NONE;

    if (!s.n || !cf_ti_value_read(s, CF_TI_ANY, &v, &why)) {
        if ((*bad)++ < TI_REPORT_MAX)
            (void)json_array_append_new(bad_list, json_pack("{s:s%,s:s}", "value", s.p ? s.p : "", s.n, "reason", why));
        return 0;
    }
    if (s.p[0] == '.' || s.p[0] == '*')
        exact = false;
    ++*added;
    return cf_tx_exec(tx, "INSERT INTO ti_exclusion_value (list_id, value, type, exact) VALUES (?,?,?,?) ON CONFLICT (list_id, value) DO NOTHING", reterr, CF_Z(id), CF_Z(v.p),
                      CF_Z(cf_ti_type_name(v.type)), CF_I(exact));
}

int ti_exclusion_import(struct cf_db *db, const json_t *doc, json_t **ret_report, struct cf_error *reterr)
{
    const char *name = json_string_value(json_object_get(doc, "name")), *kind = json_string_value(json_object_get(doc, "type")),
               *what = json_string_value(json_object_get(doc, "description"));
    const json_t *list = json_object_get(doc, "list"), *j;
    int64_t added = 0, bad = 0;
    json_t *bad_list;
    struct cf_tx *tx = NULL;
    char id[37];
    size_t i;
    int r;

    if (!name || !name[0] || !json_is_array(list))
        return cf_error_set(reterr, CF_EINVAL, "a warning list has name and list");
    if (kind && strcmp(kind, "regex") == 0)
        return cf_error_set(reterr, CF_EUNSUPPORTED, "\"%.80s\" holds regular expressions: those are not compared with indicators", name);
    if (json_array_size(list) > 2000000)
        return cf_error_set(reterr, CF_ELIMIT, "more than 2,000,000 values");
    cf_uuid7(id);
    bad_list = json_array();
    r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM ti_exclusion_value WHERE list_id IN (SELECT id FROM ti_exclusion WHERE name = ?)", reterr, CF_Z(name));
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM ti_exclusion WHERE name = ?", reterr, CF_Z(name));
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO ti_exclusion (id, name, description, origin, enabled, updated_us) VALUES (?,?,?,'import',1,?)", reterr, CF_Z(id), CF_Z(name), CF_Z(what),
                       CF_I(cf_now_us()));
    json_array_foreach(list, i, j)
    {
        if (r == 0)
            r = put_value(tx, id, j, kind && strcmp(kind, "string") == 0, &added, &bad, bad_list, reterr);
    }
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0)
        *ret_report = json_pack("{s:s,s:s,s:I,s:I,s:O}", "id", id, "name", name, "values", (json_int_t)added, "bad", (json_int_t)bad, "bad_rows", bad_list);
    json_decref(bad_list);
    return r;
}
