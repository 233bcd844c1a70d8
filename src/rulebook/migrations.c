/* SPDX-License-Identifier: Apache-2.0 */
#include "rulebook/rulebook.h"

const struct cf_migration cf_rulebook_migrations[] = {
    {1001, "rules as edited content",
     "CREATE TABLE rule_text (id TEXT PRIMARY KEY, title TEXT NOT NULL, yaml TEXT NOT NULL, version BIGINT NOT NULL, edited BIGINT NOT NULL, "
     "active BIGINT NOT NULL, created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL, updated_by TEXT NOT NULL);\n"
     "CREATE TABLE rule_text_id (rule_id TEXT PRIMARY KEY, text_id TEXT NOT NULL, own BIGINT NOT NULL);\n"
     "CREATE INDEX rule_text_id_text ON rule_text_id (text_id);\n"
     "CREATE TABLE rule_version (text_id TEXT NOT NULL, version BIGINT NOT NULL, yaml TEXT NOT NULL, action TEXT NOT NULL, note TEXT, user_id TEXT, "
     "user_name TEXT NOT NULL, time_us BIGINT NOT NULL, PRIMARY KEY (text_id, version));\n"
     "CREATE TABLE rule_state (rule_id TEXT PRIMARY KEY, state TEXT NOT NULL, note TEXT, user_name TEXT, time_us BIGINT NOT NULL);\n"
     "INSERT INTO rule_state (rule_id, state, note, user_name, time_us) SELECT rule_id, CASE WHEN enabled = 0 THEN 'disabled' ELSE 'enabled' END, note, "
     "user_name, time_us FROM rule_switch;\n"
     "CREATE TABLE rule_list (name TEXT PRIMARY KEY, items TEXT NOT NULL, user_name TEXT NOT NULL, time_us BIGINT NOT NULL);\n"
     "CREATE TABLE rule_staged_day (rule_id TEXT NOT NULL, day BIGINT NOT NULL, hits BIGINT NOT NULL, PRIMARY KEY (rule_id, day));\n"
     "CREATE TABLE rule_staged_hit (rule_id TEXT NOT NULL, slot BIGINT NOT NULL, time_us BIGINT NOT NULL, org_id TEXT, event_id TEXT NOT NULL, "
     "entity TEXT, PRIMARY KEY (rule_id, slot))"},
    {1002, "back-tests",
     "CREATE TABLE rule_backtest (id TEXT PRIMARY KEY, rule_id TEXT NOT NULL, title TEXT NOT NULL, yaml TEXT NOT NULL, query TEXT NOT NULL, "
     "from_us BIGINT NOT NULL, to_us BIGINT NOT NULL, max_events BIGINT NOT NULL, scope TEXT NOT NULL, state TEXT NOT NULL, done BIGINT NOT NULL, "
     "total BIGINT NOT NULL, result TEXT, error TEXT, user_id TEXT NOT NULL, user_name TEXT NOT NULL, created_us BIGINT NOT NULL, started_us BIGINT, "
     "ended_us BIGINT);\n"
     "CREATE INDEX rule_backtest_time ON rule_backtest (created_us);\n"
     "CREATE INDEX rule_backtest_rule ON rule_backtest (rule_id, created_us)"},
    {1003, "proposals",
     "CREATE TABLE rule_proposal (id TEXT PRIMARY KEY, rule_id TEXT, title TEXT NOT NULL, yaml TEXT NOT NULL, base_version BIGINT NOT NULL, state TEXT NOT NULL, note TEXT, "
     "author_id TEXT NOT NULL, author_name TEXT NOT NULL, created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL, submitted_us BIGINT, decided_by TEXT, decided_name TEXT, "
     "decided_us BIGINT, decision_note TEXT, went TEXT);\n"
     "CREATE INDEX rule_proposal_state ON rule_proposal (state, updated_us)"},
    {1004, "waiting texts of a back-test", "ALTER TABLE rule_backtest ADD COLUMN beside TEXT"},
};
const size_t cf_rulebook_n_migrations = sizeof cf_rulebook_migrations / sizeof *cf_rulebook_migrations;
