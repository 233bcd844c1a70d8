/* SPDX-License-Identifier: Apache-2.0
 * Built-in roles from content/directory/roles.yaml, and which roles exclude each other. */
#include <stdio.h>

#include "directory/directory_int.h"

static json_t *string_list(const struct cf_ynode *seq)
{
    json_t *list = json_array();

    for (const struct cf_ynode *n = seq ? seq->child : NULL; n; n = n->next)
        (void)json_array_append_new(list, json_stringn(n->text.p, n->text.n));
    return list;
}

static int put_role(struct cf_tx *tx, const struct cf_ynode *n, struct cf_error *reterr)
{
    cf_str id = cf_ymap_str(n, "id"), scope = cf_ymap_str(n, "scope");
    const struct cf_ynode *name = cf_ymap_get(n, "name"), *perms = cf_ymap_get(n, "permissions");
    enum cf_scope s;
    json_t *list;
    char *text;
    int r;

    if (!id.n || !cf_scope_parse(scope, &s) || !perms || perms->kind != CF_Y_SEQ)
        return cf_error_set(reterr, CF_EINVAL, "line %u: a role needs id, scope (all, region, subtree, org, self) and permissions", n->line);
    list = string_list(perms);
    text = json_dumps(list, JSON_COMPACT);
    r = cf_tx_exec(tx,
                   "INSERT INTO role (id, name_zh, name_en, doc, scope, permissions, builtin) VALUES (?,?,?,?,?,?,1)"
                   " ON CONFLICT (id) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en, doc = excluded.doc, scope = excluded.scope,"
                   " permissions = excluded.permissions, builtin = 1",
                   reterr, CF_S(id), CF_S(cf_ymap_str(name, "zh")), CF_S(cf_ymap_str(name, "en")), CF_S(cf_ymap_str(n, "doc")), CF_S(scope), CF_Z(text));
    json_decref(list);
    free(text);
    return r;
}

static int load_yaml(struct cf_arena *a, const char *content_dir, struct cf_ynode **ret, struct cf_error *reterr)
{
    struct cf_ydoc *doc = NULL;
    char *path = cf_path_join(a, content_dir, "directory/roles.yaml");
    int r = path ? cf_yaml_load(a, path, &doc, reterr) : CF_ENOMEM;

    if (r == 0 && (!doc || !(*ret = cf_ymap_get(doc->root, "roles"))))
        r = cf_error_set(reterr, CF_EINVAL, "%s: key roles is missing", path);
    return r;
}

int cf_roles_load(struct cf_db *db, const char *content_dir, struct cf_error *reterr)
{
    struct cf_arena a;
    struct cf_ynode *roles = NULL;
    struct cf_tx *tx = NULL;
    int r;

    cf_arena_init(&a, 0, 0);
    r = load_yaml(&a, content_dir, &roles, reterr);
    if (r == 0)
        r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);
    for (const struct cf_ynode *n = r == 0 ? roles->child : NULL; n && r == 0; n = n->next)
        r = put_role(tx, n, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_arena_release(&a);
    if (r < 0)
        cf_error_context(reterr, "built-in roles");
    return r;
}

int cf_roles_separate(struct cf_directory *d, const json_t *roles, struct cf_error *reterr)
{
    struct cf_arena a;
    struct cf_ynode *all = NULL;
    cf_str group = CF_STR_NONE, holder = CF_STR_NONE;
    int r;

    if (!d->o.separation_strict)
        return 0;
    cf_arena_init(&a, 0, 0);
    r = load_yaml(&a, d->o.content_dir, &all, reterr);
    for (const struct cf_ynode *n = r == 0 ? all->child : NULL; n && r == 0; n = n->next) {
        cf_str id = cf_ymap_str(n, "id"), ex = cf_ymap_str(n, "exclusive");
        bool held = false;
        size_t i;
        const json_t *one;

        json_array_foreach(roles, i, one) held = held || (json_is_string(one) && cf_str_eqz(id, json_string_value(one)));
        if (!held || !ex.n)
            continue;
        if (holder.n && cf_str_eq(group, ex))
            r = cf_error_set(reterr, CF_EINVAL, "roles %.*s and %.*s exclude each other: no one holds two of the administrators", CF_ARG(holder), CF_ARG(id));
        group = ex;
        holder = id;
    }
    cf_arena_release(&a);
    return r;
}

int cf_roles_give(struct cf_tx *tx, cf_str user_id, const json_t *roles, struct cf_error *reterr)
{
    int r = cf_tx_exec(tx, "DELETE FROM user_role WHERE user_id = ?", reterr, CF_S(user_id));
    size_t i;
    const json_t *one;

    json_array_foreach(roles, i, one)
    {
        struct cf_stmt *st = NULL;
        bool known;

        if (r < 0)
            break;
        r = cf_tx_query(tx, "SELECT 1 FROM role WHERE id = ?", &st, reterr, CF_Z(json_string_value(one)));
        known = r == 0 && cf_stmt_next(st, reterr) == 1;
        cf_stmt_free(st);
        if (r == 0 && !known)
            r = cf_error_set(reterr, CF_EINVAL, "role \"%.80s\" does not exist", json_is_string(one) ? json_string_value(one) : "?");
        if (r == 0)
            r = cf_tx_exec(tx, "INSERT INTO user_role (user_id, role_id) VALUES (?,?) ON CONFLICT (user_id, role_id) DO NOTHING", reterr, CF_S(user_id),
                           CF_Z(json_string_value(one)));
    }
    return r;
}
