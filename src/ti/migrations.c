/* SPDX-License-Identifier: Apache-2.0
 * Tables of the intelligence library. An indicator is what one source says about one value, so two sources keep their own
 * confidence and validity; the matcher takes the most confident valid one. */
#include "ti/ti.h"

const struct cf_migration cf_ti_migrations[] = {
    {901, "ti_source",
     "CREATE TABLE ti_source (id TEXT PRIMARY KEY, org_id TEXT NOT NULL, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, url TEXT, user_name TEXT, secret TEXT,"
     " schedule_s BIGINT NOT NULL DEFAULT 0, weight BIGINT NOT NULL DEFAULT 100, confidence BIGINT NOT NULL DEFAULT 50, severity BIGINT NOT NULL DEFAULT 3,"
     " tlp BIGINT NOT NULL DEFAULT 1, threat_type TEXT, valid_days BIGINT NOT NULL DEFAULT 90, trusted BIGINT NOT NULL DEFAULT 0, paused BIGINT NOT NULL DEFAULT 0,"
     " licence TEXT, note TEXT, options TEXT, position TEXT, last_run_us BIGINT, last_ok_us BIGINT, next_run_us BIGINT, last_error TEXT, last_result TEXT,"
     " created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL);\n"
     "INSERT INTO ti_source (id, org_id, name, kind, created_us, updated_us) VALUES ('upload', 'root', 'upload', 'upload', 0, 0);\n"
     "INSERT INTO ti_source (id, org_id, name, kind, confidence, created_us, updated_us) VALUES ('incident', 'root', 'incident', 'incident', 80, 0, 0);\n"
     "INSERT INTO ti_source (id, org_id, name, kind, confidence, created_us, updated_us) VALUES ('taxii', 'root', 'taxii', 'upload', 50, 0, 0)"},
    {902, "ti_indicator",
     "CREATE TABLE ti_indicator (id TEXT PRIMARY KEY, org_id TEXT NOT NULL, source_id TEXT NOT NULL, type TEXT NOT NULL, value TEXT NOT NULL, threat_type TEXT,"
     " family TEXT, grp TEXT, confidence BIGINT NOT NULL, severity BIGINT NOT NULL, tlp BIGINT NOT NULL, sharing TEXT NOT NULL DEFAULT 'tlp', status TEXT NOT NULL,"
     " valid_from_us BIGINT NOT NULL DEFAULT 0, valid_until_us BIGINT NOT NULL DEFAULT 0, first_seen_us BIGINT, last_seen_us BIGINT, description TEXT, tags TEXT,"
     " techniques TEXT, cond TEXT NOT NULL DEFAULT '', ext_id TEXT, conflict TEXT, incident_id TEXT, hits BIGINT NOT NULL DEFAULT 0, last_hit_us BIGINT,"
     " false_hits BIGINT NOT NULL DEFAULT 0, added_us BIGINT NOT NULL, updated_us BIGINT NOT NULL, created_by TEXT, reviewed_by TEXT, reviewed_us BIGINT, note TEXT);\n"
     "CREATE UNIQUE INDEX ti_indicator_value ON ti_indicator (value, type, source_id, cond);\n"
     "CREATE INDEX ti_indicator_added ON ti_indicator (added_us, id);\n"
     "CREATE INDEX ti_indicator_status ON ti_indicator (status, valid_until_us)"},
    {903, "ti_sighting",
     "CREATE TABLE ti_sighting (id TEXT PRIMARY KEY, indicator_id TEXT NOT NULL, org_id TEXT NOT NULL, kind TEXT NOT NULL, field TEXT NOT NULL, day BIGINT NOT NULL,"
     " first_us BIGINT NOT NULL, last_us BIGINT NOT NULL, count BIGINT NOT NULL, note TEXT, UNIQUE (indicator_id, org_id, kind, field, day));\n"
     "CREATE INDEX ti_sighting_day ON ti_sighting (day)"},
    {904, "ti_object",
     "CREATE TABLE ti_object (id TEXT PRIMARY KEY, org_id TEXT NOT NULL, source_id TEXT NOT NULL, type TEXT NOT NULL, name TEXT, tlp BIGINT NOT NULL DEFAULT 1,"
     " matchable BIGINT NOT NULL DEFAULT 1, modified TEXT, added_us BIGINT NOT NULL, json TEXT NOT NULL);\n"
     "CREATE INDEX ti_object_added ON ti_object (added_us, id);\n"
     "CREATE INDEX ti_object_type ON ti_object (type, name);\n"
     "CREATE TABLE ti_relation (id TEXT PRIMARY KEY, src TEXT NOT NULL, kind TEXT NOT NULL, dst TEXT NOT NULL);\n"
     "CREATE INDEX ti_relation_src ON ti_relation (src);\n"
     "CREATE INDEX ti_relation_dst ON ti_relation (dst);\n"
     "CREATE INDEX ti_indicator_ext ON ti_indicator (ext_id)"},
    {905, "ti_exclusion",
     "CREATE TABLE ti_exclusion (id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT, origin TEXT NOT NULL, enabled BIGINT NOT NULL DEFAULT 1,"
     " updated_us BIGINT NOT NULL);\n"
     "CREATE TABLE ti_exclusion_value (list_id TEXT NOT NULL, value TEXT NOT NULL, type TEXT NOT NULL, exact BIGINT NOT NULL, PRIMARY KEY (list_id, value))"},
    {906, "ti_hunt",
     "CREATE TABLE ti_hunt (id TEXT PRIMARY KEY, org_id TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL, filter TEXT NOT NULL, scope TEXT, from_us BIGINT NOT NULL,"
     " to_us BIGINT NOT NULL, indicators BIGINT NOT NULL DEFAULT 0, steps BIGINT NOT NULL DEFAULT 0, done BIGINT NOT NULL DEFAULT 0, hits BIGINT NOT NULL DEFAULT 0,"
     " values_seen BIGINT NOT NULL DEFAULT 0, alerts BIGINT NOT NULL DEFAULT 1, error TEXT, created_by TEXT, created_us BIGINT NOT NULL, started_us BIGINT, finished_us BIGINT);\n"
     "CREATE TABLE ti_hunt_hit (id TEXT PRIMARY KEY, hunt_id TEXT NOT NULL, indicator_id TEXT NOT NULL, org_id TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL,"
     " first_us BIGINT NOT NULL, last_us BIGINT NOT NULL, count BIGINT NOT NULL, events TEXT);\n"
     "CREATE INDEX ti_hunt_hit_hunt ON ti_hunt_hit (hunt_id)"},
    {907, "ti_feed",
     "CREATE TABLE ti_feed (id TEXT PRIMARY KEY, org_id TEXT NOT NULL, name TEXT NOT NULL, token_hash TEXT NOT NULL UNIQUE, types TEXT, min_confidence BIGINT NOT NULL DEFAULT 0,"
     " tlp_max BIGINT NOT NULL DEFAULT 1, per_hour BIGINT NOT NULL DEFAULT 60, max_items BIGINT NOT NULL DEFAULT 100000, active BIGINT NOT NULL DEFAULT 1, expires_us BIGINT,"
     " created_by TEXT, created_us BIGINT NOT NULL, last_us BIGINT, requests BIGINT NOT NULL DEFAULT 0, items BIGINT NOT NULL DEFAULT 0);\n"
     "CREATE TABLE ti_feed_use (feed_id TEXT NOT NULL, day BIGINT NOT NULL, requests BIGINT NOT NULL, refused BIGINT NOT NULL, items BIGINT NOT NULL, bytes BIGINT NOT NULL,"
     " last_us BIGINT NOT NULL, last_peer TEXT, PRIMARY KEY (feed_id, day));\n"
     "CREATE TABLE ti_collection (id TEXT PRIMARY KEY, title TEXT NOT NULL, description TEXT, types TEXT, min_confidence BIGINT NOT NULL DEFAULT 0,"
     " tlp_max BIGINT NOT NULL DEFAULT 1, orgs TEXT, can_write BIGINT NOT NULL DEFAULT 0, created_us BIGINT NOT NULL);\n"
     "INSERT INTO ti_collection (id, title, description, can_write, created_us) VALUES ('0c7e4f5e-5b0f-4c0e-9a53-6f6f63660001', 'active', 'Active indicators and their context', 0, 0);\n"
     "INSERT INTO ti_collection (id, title, description, can_write, created_us) VALUES ('0c7e4f5e-5b0f-4c0e-9a53-6f6f63660002', 'submissions', 'What others submit, for review', 1, 0);\n"
     "CREATE TABLE ti_status (id TEXT PRIMARY KEY, time_us BIGINT NOT NULL, json TEXT NOT NULL)"},
    {908, "ti_collection_token", "CREATE TABLE ti_collection_token (token_id TEXT PRIMARY KEY, collection_id TEXT NOT NULL);\n"
                                 "CREATE INDEX ti_collection_token_collection ON ti_collection_token (collection_id)"},
    {909, "ti_indicator_ext_partial", "DROP INDEX ti_indicator_ext;\n" /* rows of plain lists have no id of their own: an entry less to write for each */
                                      "CREATE INDEX ti_indicator_ext ON ti_indicator (ext_id) WHERE ext_id IS NOT NULL"},
    {910, "ti_import",
     "CREATE TABLE ti_import (id TEXT PRIMARY KEY, org_id TEXT NOT NULL, source_id TEXT NOT NULL, name TEXT NOT NULL, format TEXT, state TEXT NOT NULL, bytes BIGINT NOT NULL DEFAULT 0,"
     " stamp_us BIGINT NOT NULL, report TEXT, error TEXT, created_by TEXT, created_us BIGINT NOT NULL, started_us BIGINT, finished_us BIGINT);\n"
     "CREATE INDEX ti_import_created ON ti_import (created_us, id);\n"
     "CREATE TABLE ti_import_undo (import_id TEXT NOT NULL, id TEXT NOT NULL, confidence BIGINT, severity BIGINT, tlp BIGINT, threat_type TEXT, family TEXT, grp TEXT, valid_from_us BIGINT,"
     " valid_until_us BIGINT, last_seen_us BIGINT, description TEXT, tags TEXT, techniques TEXT, ext_id TEXT, status TEXT, conflict TEXT, updated_us BIGINT, PRIMARY KEY (import_id, id));\n"
     "CREATE TABLE ti_import_undo_object (import_id TEXT NOT NULL, id TEXT NOT NULL, name TEXT, modified TEXT, matchable BIGINT, added_us BIGINT, json TEXT, src TEXT, kind TEXT, dst TEXT,"
     " PRIMARY KEY (import_id, id))"},
    {911, "sightings that an import brought", "ALTER TABLE ti_sighting ADD COLUMN import_id TEXT;\n"
                                              "CREATE INDEX ti_sighting_import ON ti_sighting (import_id) WHERE import_id IS NOT NULL"},
    {912, "dates of versions: what others ask for by",
     "CREATE TABLE ti_clock (id BIGINT PRIMARY KEY, last_us BIGINT NOT NULL);\n"
     "CREATE TABLE ti_ended (id TEXT PRIMARY KEY, import_id TEXT, type TEXT NOT NULL, value TEXT NOT NULL, tlp BIGINT NOT NULL, confidence BIGINT NOT NULL, created_us BIGINT NOT NULL,"
     " modified_us BIGINT NOT NULL, ver_us BIGINT NOT NULL);\n"
     "CREATE INDEX ti_ended_ver ON ti_ended (ver_us);\n"
     "CREATE INDEX ti_ended_import ON ti_ended (import_id) WHERE import_id IS NOT NULL;\n"
     "ALTER TABLE ti_indicator ADD COLUMN ver_us BIGINT NOT NULL DEFAULT 0;\n"
     "ALTER TABLE ti_indicator ADD COLUMN out_tlp BIGINT;\n"  /* how far it was ever given */
     "ALTER TABLE ti_indicator ADD COLUMN out_conf BIGINT;\n"
     "ALTER TABLE ti_indicator ADD COLUMN out_id TEXT;\n"     /* the id it is given by, when not its own */
     "ALTER TABLE ti_indicator ADD COLUMN revoked_us BIGINT;\n" /* its source withdrew it, not a person */
     "ALTER TABLE ti_object ADD COLUMN ver_us BIGINT NOT NULL DEFAULT 0;\n"
     "ALTER TABLE ti_object ADD COLUMN out_tlp BIGINT;\n"
     "ALTER TABLE ti_object ADD COLUMN out_conf BIGINT;\n"
     "ALTER TABLE ti_object ADD COLUMN given_mod TEXT;\n"     /* when we changed what is given of it */
     "ALTER TABLE ti_import ADD COLUMN ver_us BIGINT;\n"      /* its first date */
     "ALTER TABLE ti_import ADD COLUMN kind TEXT NOT NULL DEFAULT 'upload';\n"
     "ALTER TABLE ti_import_undo ADD COLUMN ver_us BIGINT;\n"
     "ALTER TABLE ti_import_undo ADD COLUMN out_tlp BIGINT;\n"
     "ALTER TABLE ti_import_undo ADD COLUMN out_conf BIGINT;\n"
     "ALTER TABLE ti_import_undo ADD COLUMN out_id TEXT;\n"
     "ALTER TABLE ti_import_undo ADD COLUMN revoked_us BIGINT;\n"
     "ALTER TABLE ti_import_undo_object ADD COLUMN tlp BIGINT;\n"
     "ALTER TABLE ti_import_undo_object ADD COLUMN ver_us BIGINT;\n"
     "ALTER TABLE ti_import_undo_object ADD COLUMN out_tlp BIGINT;\n"
     "ALTER TABLE ti_import_undo_object ADD COLUMN out_conf BIGINT;\n"
     "ALTER TABLE ti_import_undo_object ADD COLUMN given_mod TEXT;\n"
     /* in the order they were given so far, each its own date, none before the one it had: rows even, objects odd */
     "UPDATE ti_indicator SET ver_us = d.ver FROM (SELECT id, 2 * n + MAX(added_us / 2 * 2 + 2 - 2 * n) OVER (ORDER BY n) AS ver FROM"
     " (SELECT id, added_us, ROW_NUMBER() OVER (ORDER BY added_us, id) AS n FROM ti_indicator) a) d WHERE d.id = ti_indicator.id;\n"
     "UPDATE ti_object SET ver_us = d.ver + 1 FROM (SELECT id, 2 * n + MAX(added_us / 2 * 2 + 2 - 2 * n) OVER (ORDER BY n) AS ver FROM"
     " (SELECT id, added_us, ROW_NUMBER() OVER (ORDER BY added_us, id) AS n FROM ti_object) a) d WHERE d.id = ti_object.id;\n"
     "UPDATE ti_indicator SET out_tlp = tlp, out_conf = confidence WHERE status = 'active' AND conflict IS NULL;\n"
     "UPDATE ti_indicator SET revoked_us = updated_us WHERE status = 'withdrawn' AND reviewed_us IS NULL;\n"
     "UPDATE ti_object SET out_tlp = x.tlp, out_conf = x.conf FROM (SELECT ext_id, MIN(out_tlp) AS tlp, MAX(out_conf) AS conf FROM ti_indicator WHERE out_tlp IS NOT NULL AND ext_id IS NOT NULL"
     " GROUP BY ext_id) x WHERE x.ext_id = ti_object.id AND ti_object.type = 'indicator';\n"
     "CREATE INDEX ti_indicator_ver ON ti_indicator (ver_us);\n"
     "CREATE INDEX ti_indicator_out ON ti_indicator (out_id) WHERE out_id IS NOT NULL;\n"
     "CREATE INDEX ti_object_ver ON ti_object (ver_us);\n"
     "INSERT INTO ti_clock (id, last_us) SELECT 1, GREATEST((SELECT COALESCE(MAX(ver_us), 0) FROM ti_indicator), (SELECT COALESCE(MAX(ver_us), 0) FROM ti_object))"},
};
const size_t cf_ti_n_migrations = sizeof cf_ti_migrations / sizeof *cf_ti_migrations;
