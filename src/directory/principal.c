/* SPDX-License-Identifier: Apache-2.0
 * Builds principals from the records. */
#include <stdlib.h>

#include "directory/directory_int.h"

static const char *const scope_names[] = {"self", "org", "subtree", "region", "all"};

bool cf_scope_parse(cf_str s, enum cf_scope *ret)
{
    for (enum cf_scope k = CF_SCOPE_SELF; k <= CF_SCOPE_ALL; k++) {
        if (cf_str_eqz(s, scope_names[k])) {
            *ret = k;
            return true;
        }
    }
    return false;
}

const char *cf_scope_name(enum cf_scope s) { return scope_names[s]; }

const struct cf_principal *cf_principal_ref(const struct cf_principal *p)
{
    /* every principal handed out is the first member of a holder of ours */
    struct cf_holder *h = (struct cf_holder *)(uintptr_t)p;

    (void)atomic_fetch_add(&h->refs, 1);
    return p;
}

void cf_principal_unref(const struct cf_principal *p)
{
    struct cf_holder *h = (struct cf_holder *)(uintptr_t)p;

    if (h && atomic_fetch_sub(&h->refs, 1) == 1) {
        cf_arena_release(&h->arena);
        free(h);
    }
}

static int cmp_str(const void *a, const void *b) { return cf_str_cmp(*(const cf_str *)a, *(const cf_str *)b); }

/* A permission granted by a role, kept when the token's scopes allow it. */
static bool in_scopes(const json_t *scopes, const char *perm)
{
    size_t i;
    const json_t *one;

    if (!json_is_array(scopes) || json_array_size(scopes) == 0)
        return true;
    json_array_foreach(scopes, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), perm) == 0)
            return true;
    }
    return false;
}

static int load_roles(struct cf_holder *h, struct cf_tx *tx, const json_t *scopes, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    cf_str *roles = CF_NEW_N(&h->arena, cf_str, 64), *perms = CF_NEW_N(&h->arena, cf_str, 512);
    int r;

    if (!roles || !perms)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for a principal");
    h->p.roles = roles;
    h->p.perms = perms;
    r = cf_tx_query(tx, "SELECT r.id, r.scope, r.permissions, r.totp_required FROM user_role ur JOIN role r ON r.id = ur.role_id WHERE ur.user_id = ? ORDER BY r.id", &st,
                    reterr, CF_S(h->p.user_id));
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1 && h->p.n_roles < 64) {
        enum cf_scope s = CF_SCOPE_SELF;
        cf_str text = cf_stmt_str(st, 2);
        json_t *list = json_loadb(text.p ? text.p : "[]", text.p ? text.n : 2, 0, NULL), *one;
        size_t i;

        h->p.totp_required |= cf_stmt_i64(st, 3) != 0;
        roles[h->p.n_roles++] = cf_arena_copy(&h->arena, cf_stmt_str(st, 0));
        if (cf_scope_parse(cf_stmt_str(st, 1), &s) && s > h->p.scope)
            h->p.scope = s;
        json_array_foreach(list, i, one)
        {
            if (json_is_string(one) && h->p.n_perms < 512 && in_scopes(scopes, json_string_value(one)))
                perms[h->p.n_perms++] = cf_arena_copy(&h->arena, cf_str_c(json_string_value(one)));
        }
        json_decref(list);
        r = 0;
    }
    cf_stmt_free(st);
    if (r < 0)
        return r;
    qsort(perms, h->p.n_perms, sizeof *perms, cmp_str);
    size_t k = 0;
    for (size_t i = 0; i < h->p.n_perms; i++) {
        if (k == 0 || !cf_str_eq(perms[k - 1], perms[i]))
            perms[k++] = perms[i];
    }
    h->p.n_perms = k;
    return 0;
}

static void load_allow(struct cf_holder *h, cf_str text)
{
    json_t *list = text.n ? json_loadb(text.p, text.n, 0, NULL) : NULL, *one;
    size_t i;

    if (json_array_size(list) && (h->allow = CF_NEW_N(&h->arena, struct cf_cidr, json_array_size(list)))) {
        json_array_foreach(list, i, one)
        {
            if (json_is_string(one) && cf_cidr_parse(cf_str_c(json_string_value(one)), &h->allow[h->n_allow]))
                h->n_allow++;
        }
    }
    json_decref(list);
}

struct cf_holder *cf_holder_load(struct cf_directory *d, struct cf_tx *tx, cf_str user_id, cf_str scopes_text, struct cf_error *reterr)
{
    struct cf_holder *h = calloc(1, sizeof *h);
    struct cf_stmt *st = NULL;
    json_t *scopes = scopes_text.n ? json_loadb(scopes_text.p, scopes_text.n, 0, NULL) : NULL;
    bool enrolled;
    int r;

    if (!h) {
        json_decref(scopes);
        (void)cf_error_set(reterr, CF_ENOMEM, "no memory for a principal");
        return NULL;
    }
    atomic_init(&h->refs, 1);
    cf_arena_init(&h->arena, 4096, 1 << 20);
    r = cf_tx_query(tx,
                    "SELECT u.id, u.name, u.display_name, u.org_id, o.path, o.region_code, u.must_change_password, u.password_changed_us, u.allow_ips,"
                    " CASE WHEN u.totp_secret IS NULL THEN 0 ELSE 1 END"
                    " FROM app_user u LEFT JOIN organisation o ON o.id = u.org_id WHERE u.id = ? AND u.active = 1",
                    &st, reterr, CF_S(user_id));
    if (r == 0)
        r = cf_stmt_next(st, reterr);
    if (r == 1) {
        cf_str *const dst[] = {&h->p.user_id, &h->p.user_name, &h->p.display_name, &h->p.org_id, &h->p.org_path, &h->p.region_code};

        for (int i = 0; i < 6; i++)
            *dst[i] = cf_stmt_null(st, i) ? CF_STR("") : cf_arena_copy(&h->arena, cf_stmt_str(st, i));
        h->p.must_change_password = cf_stmt_i64(st, 6) != 0;
        if (d->o.password_max_age_us && cf_now_us() - cf_stmt_i64(st, 7) > d->o.password_max_age_us)
            h->p.must_change_password = true;
        load_allow(h, cf_stmt_str(st, 8));
        enrolled = cf_stmt_i64(st, 9) != 0;
        cf_stmt_free(st);
        st = NULL;
        r = load_roles(h, tx, scopes, reterr);
        h->p.must_set_up_totp = h->p.totp_required && !enrolled;
    } else if (r == 0)
        r = cf_error_set(reterr, CF_EAUTH, "the account is disabled");
    cf_stmt_free(st);
    json_decref(scopes);
    if (r < 0) {
        cf_principal_unref(&h->p);
        return NULL;
    }
    return h;
}

int cf_directory_person(struct cf_directory *d, cf_str user_id, const struct cf_principal **ret, struct cf_error *reterr)
{
    struct cf_holder *h = NULL;
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(d->db, CF_TX_READ, &tx, reterr);

    if (r < 0)
        return r;
    h = cf_holder_load(d, tx, user_id, CF_STR_NONE, reterr);
    cf_tx_rollback(&tx);
    if (!h)
        return CF_EAUTH;
    *ret = &h->p;
    return 0;
}
