/* SPDX-License-Identifier: Apache-2.0
 * Everything demo out again (SYS-017): rows of demo organisations and people in every table, found by their columns, so that a
 * table that a module adds later is not forgotten. */
#include <stdio.h>
#include <unistd.h>

#include "demo/demo.h"
#include "demo/load.h"

/* Rows that hang on others by id; in this order, before the rows they hang on. */
static const char *const statements[] = {
    "DELETE FROM work_item_todo WHERE item_id IN (SELECT id FROM work_item WHERE org_id LIKE 'demo-org-%')",
    "DELETE FROM work_item_history WHERE item_id IN (SELECT id FROM work_item WHERE org_id LIKE 'demo-org-%')",
    "DELETE FROM attachment WHERE item_id IN (SELECT id FROM work_item WHERE org_id LIKE 'demo-org-%')",
    "DELETE FROM work_item WHERE org_id LIKE 'demo-org-%'",
    "DELETE FROM number_seq WHERE name LIKE '%demo-org-%'",
    "DELETE FROM message WHERE user_id LIKE 'demo-user-%'",
    "DELETE FROM alert_history WHERE alert_id IN (SELECT id FROM alert WHERE org_id LIKE 'demo-org-%')",
    "DELETE FROM incident_entity WHERE incident_id IN (SELECT id FROM incident WHERE org_id LIKE 'demo-org-%')",
    "DELETE FROM incident_event WHERE incident_id IN (SELECT id FROM incident WHERE org_id LIKE 'demo-org-%')",
    "DELETE FROM incident_link WHERE incident_id IN (SELECT id FROM incident WHERE org_id LIKE 'demo-org-%')",
    "DELETE FROM alert WHERE org_id LIKE 'demo-org-%'",
    "DELETE FROM incident WHERE org_id LIKE 'demo-org-%'",
    "DELETE FROM alert_exception WHERE org_id LIKE 'demo-org-%'",
    "DELETE FROM user_session WHERE user_id LIKE 'demo-user-%'",
    "DELETE FROM api_token WHERE user_id LIKE 'demo-user-%'",
    "DELETE FROM password_history WHERE user_id LIKE 'demo-user-%'",
    "DELETE FROM saved_search WHERE user_id LIKE 'demo-user-%'",
    "DELETE FROM user_role WHERE user_id LIKE 'demo-user-%'",
    "DELETE FROM data_source WHERE id LIKE 'demo-source-%'",
    "DELETE FROM asset WHERE org_id LIKE 'demo-org-%'",
    "DELETE FROM app_user WHERE id LIKE 'demo-user-%'",
    "DELETE FROM organisation WHERE id LIKE 'demo-org-%'",
    "DELETE FROM region WHERE code IN ('399901','399902','399903','399900') AND code NOT IN (SELECT region_code FROM organisation WHERE region_code IS NOT NULL)",
    "DELETE FROM demo_state",
};

int cf_demo_remove(struct cf_db *db, struct cf_event_store *events, const char *data_dir, struct cf_demo_removed *ret, struct cf_error *reterr)
{
    char path[4096];
    int r = cf_event_store_forget(events, CF_STR("demo-org-"), &ret->events, reterr);

    r = r < 0 ? r : demo_unload(db, &ret->records, reterr);
    (void)snprintf(path, sizeof path, "%s/demo-accounts.txt", data_dir);
    if (r == 0)
        (void)unlink(path);
    return r;
}

int demo_unload(struct cf_db *db, int64_t *ret_rows, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int64_t n;
    int r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);

    *ret_rows = 0;
    for (size_t i = 0; r == 0 && i < sizeof statements / sizeof *statements; i++) {
        r = cf_tx_execv(tx, statements[i], NULL, 0, &n, reterr);
        if (r == 0)
            *ret_rows += n;
        else
            cf_error_context(reterr, "%s", statements[i]);
    }
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}
