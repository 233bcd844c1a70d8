/* SPDX-License-Identifier: Apache-2.0 */
#include "incident/incident.h"

const struct cf_migration cf_incident_migrations[] = {
    {401, "alerts",
     "CREATE TABLE alert (id TEXT PRIMARY KEY, org_id TEXT NOT NULL, rule_id TEXT NOT NULL, title TEXT NOT NULL, description TEXT NOT NULL DEFAULT '', "
     "level BIGINT NOT NULL, status TEXT NOT NULL, score BIGINT NOT NULL, confidence DOUBLE NOT NULL, importance BIGINT NOT NULL, "
     "count BIGINT NOT NULL, first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL, entity_type TEXT NOT NULL, entity_value TEXT NOT NULL, "
     "source_ip TEXT, destination_ip TEXT, host TEXT, user_name TEXT, process TEXT, asset_id TEXT, asset_name TEXT, owner_id TEXT, incident_id TEXT, "
     "tactics TEXT NOT NULL DEFAULT '[]', techniques TEXT NOT NULL DEFAULT '[]', source_name TEXT, matched TEXT NOT NULL DEFAULT '[]', "
     "events_first TEXT NOT NULL DEFAULT '[]', events_last TEXT NOT NULL DEFAULT '[]', sample TEXT, fold_key TEXT NOT NULL, decided_us BIGINT, "
     "result TEXT, converted TEXT NOT NULL DEFAULT '[]', created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL);\n"
     "CREATE INDEX alert_fold ON alert (fold_key, last_seen);\n"
     "CREATE INDEX alert_time ON alert (last_seen, id);\n"
     "CREATE INDEX alert_org ON alert (org_id, last_seen);\n"
     "CREATE INDEX alert_status ON alert (status, last_seen);\n"
     "CREATE INDEX alert_incident ON alert (incident_id);\n"
     "CREATE INDEX alert_source ON alert (source_ip, last_seen);\n"
     "CREATE INDEX alert_host ON alert (host, last_seen);\n"
     "CREATE INDEX alert_rule ON alert (rule_id, last_seen);\n"
     "CREATE TABLE alert_history (id TEXT PRIMARY KEY, alert_id TEXT NOT NULL, time_us BIGINT NOT NULL, user_id TEXT, user_name TEXT NOT NULL, "
     "action TEXT NOT NULL, from_state TEXT, to_state TEXT, note TEXT);\n"
     "CREATE INDEX alert_history_alert ON alert_history (alert_id, id);\n"
     "CREATE TABLE alert_exception (id TEXT PRIMARY KEY, org_id TEXT NOT NULL, match_org TEXT, rule_id TEXT, conditions TEXT NOT NULL, note TEXT NOT NULL, "
     "alert_id TEXT, created_by TEXT, created_name TEXT NOT NULL, created_us BIGINT NOT NULL, expires_us BIGINT, hits BIGINT NOT NULL DEFAULT 0, "
     "last_hit_us BIGINT, active BIGINT NOT NULL DEFAULT 1);\n"
     "CREATE TABLE fold_token (token TEXT PRIMARY KEY, time_us BIGINT NOT NULL);\n"
     "CREATE INDEX fold_token_time ON fold_token (time_us);"},
    {402, "incidents",
     "CREATE TABLE incident (id TEXT PRIMARY KEY, number TEXT NOT NULL, org_id TEXT NOT NULL, title TEXT NOT NULL, level BIGINT NOT NULL, "
     "status TEXT NOT NULL, score BIGINT NOT NULL, alert_count BIGINT NOT NULL DEFAULT 0, rule_count BIGINT NOT NULL DEFAULT 0, "
     "assets_count BIGINT NOT NULL DEFAULT 0, first_seen BIGINT NOT NULL, last_seen BIGINT NOT NULL, owner_id TEXT, "
     "tactics TEXT NOT NULL DEFAULT '[]', techniques TEXT NOT NULL DEFAULT '[]', merged_into TEXT, conclusion TEXT, "
     "created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL, closed_us BIGINT);\n"
     "CREATE UNIQUE INDEX incident_number ON incident (number);\n"
     "CREATE INDEX incident_time ON incident (last_seen, id);\n"
     "CREATE INDEX incident_org ON incident (org_id, last_seen);\n"
     "CREATE TABLE incident_entity (incident_id TEXT NOT NULL, type TEXT NOT NULL, value TEXT NOT NULL, count BIGINT NOT NULL, "
     "PRIMARY KEY (incident_id, type, value));\n"
     "CREATE INDEX incident_entity_value ON incident_entity (type, value);\n"
     "CREATE TABLE incident_event (id TEXT PRIMARY KEY, incident_id TEXT NOT NULL, time_us BIGINT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL, "
     "detail TEXT, ref TEXT, user_id TEXT, user_name TEXT);\n"
     "CREATE INDEX incident_event_time ON incident_event (incident_id, time_us);\n"
     "CREATE TABLE incident_link (incident_id TEXT NOT NULL, kind TEXT NOT NULL, ref TEXT NOT NULL, created_us BIGINT NOT NULL, "
     "PRIMARY KEY (incident_id, kind, ref));\n"
     "CREATE TABLE incident_seq (year BIGINT PRIMARY KEY, value BIGINT NOT NULL);"},
    {403, "alert titles in two languages", "ALTER TABLE alert ADD COLUMN title_en TEXT;\nALTER TABLE alert ADD COLUMN advice TEXT"},
    {404, "descriptions and incident titles in two languages", "ALTER TABLE alert ADD COLUMN description_en TEXT;\nALTER TABLE incident ADD COLUMN title_en TEXT"},
    {405, "exceptions can be paused", "ALTER TABLE alert_exception ADD COLUMN enabled BIGINT NOT NULL DEFAULT 1"},
    {406, "open alerts of an asset", "CREATE INDEX alert_asset ON alert (asset_id, status)"},
    {407, "classification of incidents",
     "ALTER TABLE incident ADD COLUMN category TEXT;\nALTER TABLE incident ADD COLUMN event_level BIGINT;\nALTER TABLE incident ADD COLUMN classification TEXT;\n"
     "CREATE INDEX incident_category ON incident (category, last_seen)"},
    {408, "advice in English", "ALTER TABLE alert ADD COLUMN advice_en TEXT"},
};
const size_t cf_incident_n_migrations = sizeof(cf_incident_migrations) / sizeof(cf_incident_migrations[0]);
