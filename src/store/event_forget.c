/* SPDX-License-Identifier: Apache-2.0
 * Deleting the events of some organisations: for data that was marked as removable from the start (the demo city). */
#include "store/event_private.h"

static int count(struct cf_event_store *s, cf_str where, int64_t *ret, struct cf_error *reterr)
{
    struct cf_buf sql, out;
    int r;

    cf_buf_init(&sql, 1 << 16);
    cf_buf_init(&out, 1 << 16);
    cf_buf_printf(&sql, "SELECT count() FROM %s.events WHERE %.*s", s->database, CF_ARG(where));
    r = cf_event_store_query(s, cf_buf_view(&sql), NULL, 0, "TabSeparated", NULL, &out, reterr);
    if (r == 0 && !cf_str_i64(cf_str_trim(cf_buf_view(&out)), ret))
        r = cf_error_set(reterr, CF_EDB, "the engine answered a count with \"%.*s\"", CF_ARG(cf_str_sub(cf_buf_view(&out), 0, 40)));
    cf_buf_release(&sql);
    cf_buf_release(&out);
    return r;
}

int cf_event_store_forget(struct cf_event_store *s, cf_str org_prefix, int64_t *ret_rows, struct cf_error *reterr)
{
    struct cf_buf where, sql;
    int r;

    if (org_prefix.n < 4)
        return cf_error_set(reterr, CF_EINVAL, "a prefix of at least four characters is needed to delete events");
    cf_buf_init(&where, 1 << 12);
    cf_buf_init(&sql, 1 << 16);
    cf_buf_z(&where, "startsWith(organization_id, ");
    cf_event_sql_quote(&where, org_prefix);
    cf_buf_z(&where, ")");
    r = count(s, cf_buf_view(&where), ret_rows, reterr);
    if (r == 0 && *ret_rows > 0) {
        if (s->cluster[0])
            cf_buf_printf(&sql, "ALTER TABLE %s.events_local ON CLUSTER '%s' DELETE WHERE %.*s SETTINGS mutations_sync = 1", s->database, s->cluster,
                          CF_ARG(cf_buf_view(&where)));
        else
            cf_buf_printf(&sql, "ALTER TABLE %s.events DELETE WHERE %.*s SETTINGS mutations_sync = 1", s->database, CF_ARG(cf_buf_view(&where)));
        r = s->backend->exec(s, cf_buf_view(&sql), reterr);
    }
    cf_buf_release(&where);
    cf_buf_release(&sql);
    return r;
}

int cf_event_store_delete(struct cf_event_store *s, const cf_str *ids, size_t n, struct cf_error *reterr)
{
    struct cf_buf sql;
    int r;

    if (n == 0)
        return 0;
    cf_buf_init(&sql, 4 << 20);
    if (s->cluster[0])
        cf_buf_printf(&sql, "ALTER TABLE %s.events_local ON CLUSTER '%s' DELETE WHERE id IN (", s->database, s->cluster);
    else
        cf_buf_printf(&sql, "ALTER TABLE %s.events DELETE WHERE id IN (", s->database);
    for (size_t i = 0; i < n; i++) {
        if (i)
            cf_buf_byte(&sql, ',');
        cf_event_sql_quote(&sql, ids[i]);
    }
    cf_buf_z(&sql, ") SETTINGS mutations_sync = 1");
    r = sql.failed ? cf_error_set(reterr, CF_ELIMIT, "too many ids to delete at once") : s->backend->exec(s, cf_buf_view(&sql), reterr);
    cf_buf_release(&sql);
    return r;
}

const char *cf_event_store_database(const struct cf_event_store *s) { return s->database; }
