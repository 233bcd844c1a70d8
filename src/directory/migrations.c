/* SPDX-License-Identifier: Apache-2.0 */
#include "directory/service.h"

const struct cf_migration cf_directory_migrations[] = {
    {201, "directory",
     "CREATE TABLE region (code TEXT PRIMARY KEY, name TEXT NOT NULL, parent TEXT, level BIGINT NOT NULL);\n"
     "CREATE TABLE organisation (id TEXT PRIMARY KEY, name TEXT NOT NULL, short_name TEXT, kind TEXT NOT NULL DEFAULT 'unit', region_code TEXT,"
     " parent_id TEXT, path TEXT NOT NULL, industry TEXT, level BIGINT NOT NULL DEFAULT 0, credit_code TEXT, address TEXT, contact_name TEXT,"
     " contact_phone TEXT, contact_email TEXT, security_lead TEXT, active BIGINT NOT NULL DEFAULT 1, created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL);\n"
     "CREATE INDEX organisation_path ON organisation (path);\n"
     "CREATE INDEX organisation_parent ON organisation (parent_id);\n"
     "CREATE INDEX organisation_region ON organisation (region_code);\n"
     "CREATE TABLE app_user (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL, org_id TEXT NOT NULL, phone TEXT, email TEXT,"
     " dingtalk TEXT, position TEXT, password_hash TEXT, password_changed_us BIGINT NOT NULL DEFAULT 0, must_change_password BIGINT NOT NULL DEFAULT 1,"
     " totp_secret TEXT, totp_pending TEXT, totp_last BIGINT NOT NULL DEFAULT 0, failures BIGINT NOT NULL DEFAULT 0, locked_until_us BIGINT NOT NULL DEFAULT 0,"
     " allow_ips TEXT, locale TEXT, theme TEXT, active BIGINT NOT NULL DEFAULT 1, last_seen_us BIGINT, created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL);\n"
     "CREATE INDEX app_user_org ON app_user (org_id);\n"
     "CREATE TABLE role (id TEXT PRIMARY KEY, name_zh TEXT NOT NULL, name_en TEXT NOT NULL, doc TEXT, scope TEXT NOT NULL, permissions TEXT NOT NULL,"
     " builtin BIGINT NOT NULL DEFAULT 0);\n"
     "CREATE TABLE user_role (user_id TEXT NOT NULL, role_id TEXT NOT NULL, PRIMARY KEY (user_id, role_id));\n"
     "CREATE TABLE password_history (user_id TEXT NOT NULL, hash TEXT NOT NULL, time_us BIGINT NOT NULL);\n"
     "CREATE INDEX password_history_user ON password_history (user_id, time_us);\n"
     "CREATE TABLE user_session (id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, peer TEXT, agent TEXT, created_us BIGINT NOT NULL,"
     " last_seen_us BIGINT NOT NULL);\n"
     "CREATE INDEX user_session_user ON user_session (user_id);\n"
     "CREATE TABLE api_token (id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL,"
     " created_us BIGINT NOT NULL, expires_us BIGINT, last_used_us BIGINT, created_by TEXT);\n"
     "CREATE INDEX api_token_user ON api_token (user_id)"},
    {202, "second factor of roles, recovery codes",
     "ALTER TABLE role ADD COLUMN totp_required BIGINT NOT NULL DEFAULT 0;\n"
     "CREATE TABLE recovery_code (user_id TEXT NOT NULL, digest TEXT NOT NULL, created_us BIGINT NOT NULL, used_us BIGINT, PRIMARY KEY (user_id, digest))"},
    /* export.data is for events from here on; roles and tokens of the installation keep the lists they could export */
    {203, "a permission of its own for exported lists",
     "UPDATE role SET permissions = REPLACE(permissions, '\"export.data\"', '\"export.data\",\"export.list\"') WHERE permissions LIKE '%\"export.data\"%'"
     " AND permissions NOT LIKE '%\"export.list\"%';\n"
     "UPDATE api_token SET scopes = REPLACE(scopes, '\"export.data\"', '\"export.data\",\"export.list\"') WHERE scopes LIKE '%\"export.data\"%'"
     " AND scopes NOT LIKE '%\"export.list\"%'"},
};
const size_t cf_directory_n_migrations = sizeof cf_directory_migrations / sizeof *cf_directory_migrations;
