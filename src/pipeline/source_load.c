/* SPDX-License-Identifier: Apache-2.0
 * The allow list of the listeners and the look-up by name, from the table data_source. */
#include <stdio.h>
#include <stdlib.h>

#include "asset/asset.h"
#include "pipeline/pipeline_int.h"

static void put(char *to, size_t size, cf_str s) { (void)snprintf(to, size, "%.*s", (int)(s.n < size ? s.n : size - 1), s.p ? s.p : ""); }

struct source_rows {
    struct cf_source_info *row;
    struct cf_prefix *prefix;
    size_t n, cap, n_prefix, cap_prefix;
};

static bool source_row(struct source_rows *s, const struct cf_stmt *st)
{
    struct cf_source_info *i;
    cf_str list = cf_stmt_str(st, 4), net;

    if (!cf_grow((void **)&s->row, &s->cap, s->n + 1, sizeof *s->row))
        return false;
    i = &s->row[s->n];
    *i = (struct cf_source_info){.known = true, .enabled = cf_stmt_i64(st, 5) != 0};
    put(i->name, sizeof i->name, cf_stmt_str(st, 0));
    put(i->source, sizeof i->source, cf_stmt_str(st, 1));
    put(i->format, sizeof i->format, cf_stmt_str(st, 2));
    put(i->org, sizeof i->org, cf_stmt_str(st, 3));
    while (cf_asset_next_address(&list, &net)) {
        struct cf_cidr c;

        if (!cf_cidr_parse(net, &c)) {
            if (!cf_ip_parse(net, &c.ip))
                continue; /* a name or an URL: not a peer address */
            c.bits = 128;
        }
        if (!cf_grow((void **)&s->prefix, &s->cap_prefix, s->n_prefix + 1, sizeof *s->prefix))
            return false;
        s->prefix[s->n_prefix++] = (struct cf_prefix){c, (uint32_t)s->n};
    }
    s->n++;
    return true;
}

int pipeline_load_sources(struct cf_db *db, struct cf_source_table **ret, struct cf_error *reterr)
{
    struct source_rows s = {0};
    struct cf_source_table *t = NULL;
    struct cf_stmt *st = NULL;
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT name, source, format, org_id, address, enabled FROM data_source ORDER BY name", &st, reterr);
    while (r == 0 && (r = cf_stmt_next(st, reterr)) == 1)
        r = source_row(&s, st) ? 0 : cf_error_set(reterr, CF_ENOMEM, "data sources");
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r == 0) {
        t = calloc(1, sizeof *t);
        if (t)
            t->prefix = cf_prefix_table_new(s.prefix, s.n_prefix);
        if (!t || !t->prefix)
            r = cf_error_set(reterr, CF_ENOMEM, "data sources");
    }
    free(s.prefix);
    if (r != 0) {
        free(t);
        free(s.row);
        return r;
    }
    t->row = s.row;
    t->n = s.n;
    *ret = t;
    return 0;
}
