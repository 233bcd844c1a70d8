/* SPDX-License-Identifier: Apache-2.0
 * Tables of assets and data sources. Times in microseconds; deletion of assets is logical. */
#include "asset/asset.h"

const struct cf_migration cf_asset_migrations[] = {
    {601, "asset",
     "CREATE TABLE asset (id TEXT PRIMARY KEY, org_id TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'hardware', type TEXT, ip TEXT,"
     " domain TEXT, mac TEXT, importance BIGINT NOT NULL DEFAULT 3, is_key BIGINT NOT NULL DEFAULT 0, system_name TEXT, owner_name TEXT,"
     " owner_phone TEXT, mlps_level BIGINT NOT NULL DEFAULT 0, os TEXT, vendor TEXT, model TEXT, location TEXT,"
     " status TEXT NOT NULL DEFAULT 'in_use', origin TEXT NOT NULL DEFAULT 'manual', note TEXT, last_seen_us BIGINT,"
     " created_us BIGINT NOT NULL DEFAULT 0, updated_us BIGINT NOT NULL DEFAULT 0, deleted_us BIGINT);\n"
     "CREATE INDEX asset_org ON asset (org_id);\n"
     "CREATE INDEX asset_ip ON asset (ip)"},
    {602, "data_source",
     "CREATE TABLE data_source (id TEXT PRIMARY KEY, org_id TEXT NOT NULL, name TEXT NOT NULL UNIQUE, provider TEXT, domain TEXT, device_type TEXT,"
     " vendor TEXT, model TEXT, protocol TEXT NOT NULL DEFAULT 'syslog', address TEXT, source TEXT, format TEXT, zone TEXT, mode TEXT, owner_name TEXT,"
     " silent_after_us BIGINT NOT NULL DEFAULT 3600000000, enabled BIGINT NOT NULL DEFAULT 1, registered BIGINT NOT NULL DEFAULT 1,"
     " first_us BIGINT, last_us BIGINT, created_us BIGINT NOT NULL DEFAULT 0, updated_us BIGINT NOT NULL DEFAULT 0);\n"
     "CREATE INDEX data_source_org ON data_source (org_id)"},
    {603, "silent data sources", "ALTER TABLE data_source ADD COLUMN silent_us BIGINT"},
};
const size_t cf_asset_n_migrations = sizeof cf_asset_migrations / sizeof *cf_asset_migrations;
