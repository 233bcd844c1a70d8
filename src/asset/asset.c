/* SPDX-License-Identifier: Apache-2.0
 * Look-up tables from the record store. Built anew after each change; small (one row an asset). */
#include "asset/asset.h"

#include <stdio.h>
#include <stdlib.h>

void (*cf_asset_changed)(void *app);

bool cf_asset_next_address(cf_str *list, cf_str *ret)
{
    while (list->n) {
        size_t k = 0;

        while (k < list->n && list->p[k] != ',' && list->p[k] != ';' && list->p[k] != ' ' && list->p[k] != '\n')
            k++;
        *ret = cf_str_trim(cf_str_sub(*list, 0, k));
        *list = cf_str_sub(*list, k < list->n ? k + 1 : k, list->n);
        if (ret->n)
            return true;
    }
    return false;
}

struct asset_rows {
    struct cf_arena arena;
    struct cf_enrich_asset *asset;
    struct cf_enrich_org *org;
    size_t n, cap, n_org, cap_org;
};

static bool asset_row(struct asset_rows *a, const struct cf_stmt *st)
{
    struct cf_enrich_asset x = {.id = cf_arena_copy(&a->arena, cf_stmt_str(st, 0)), .name = cf_arena_copy(&a->arena, cf_stmt_str(st, 1)),
                                .org = cf_arena_copy(&a->arena, cf_stmt_str(st, 2)), .org_name = cf_arena_copy(&a->arena, cf_stmt_str(st, 3)),
                                .importance = cf_stmt_i64(st, 5)};
    cf_str list = cf_arena_copy(&a->arena, cf_stmt_str(st, 4));

    while (cf_asset_next_address(&list, &x.net)) {
        if (!cf_grow((void **)&a->asset, &a->cap, a->n + 1, sizeof *a->asset))
            return false;
        a->asset[a->n++] = x;
    }
    return true;
}

static bool org_row(struct asset_rows *a, const struct cf_stmt *st)
{
    if (!cf_grow((void **)&a->org, &a->cap_org, a->n_org + 1, sizeof *a->org))
        return false;
    a->org[a->n_org++] = (struct cf_enrich_org){cf_arena_copy(&a->arena, cf_stmt_str(st, 0)), cf_arena_copy(&a->arena, cf_stmt_str(st, 1))};
    return true;
}

static int each(struct cf_tx *tx, const char *sql, struct asset_rows *a, bool (*fn)(struct asset_rows *, const struct cf_stmt *), struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, sql, &st, reterr);

    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1)
        r = fn(a, st) ? 0 : cf_error_set(reterr, CF_ENOMEM, "assets");
    cf_stmt_free(st);
    return r;
}

int cf_asset_load_enricher(struct cf_db *db, const char *geo_path, struct cf_enricher **ret, struct cf_error *reterr)
{
    struct asset_rows a = {0};
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);

    cf_arena_init(&a.arena, 0, 0);
    if (r == 0)
        r = each(tx,
                 "SELECT a.id, a.name, a.org_id, o.name, a.ip, a.importance FROM asset a LEFT JOIN organisation o ON o.id = a.org_id"
                 " WHERE a.deleted_us IS NULL AND a.ip IS NOT NULL AND a.ip <> ''",
                 &a, asset_row, reterr);
    if (r == 0)
        r = each(tx, "SELECT id, name FROM organisation", &a, org_row, reterr);
    cf_tx_rollback(&tx);
    if (r == 0)
        r = cf_enricher_new(a.asset, a.n, a.org, a.n_org, geo_path, ret, reterr);
    free(a.asset);
    free(a.org);
    cf_arena_release(&a.arena);
    return r;
}
