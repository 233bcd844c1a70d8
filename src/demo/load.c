/* SPDX-License-Identifier: Apache-2.0 */
#include "demo/load.h"

#include <stdio.h>
#include <stdlib.h>

#include "demo/demo.h"

const struct cf_migration cf_demo_migrations[] = {
    {801, "demo state", "CREATE TABLE demo_state (name TEXT PRIMARY KEY, value BIGINT NOT NULL)"},
};
const size_t cf_demo_n_migrations = sizeof cf_demo_migrations / sizeof *cf_demo_migrations;

/* ---- in ------------------------------------------------------------------------------------------------------------------- */

static int put_regions(struct cf_tx *tx, const struct demo_city *c, struct cf_error *reterr)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->n_regions; i++) {
        const struct demo_region *g = &c->regions[i];

        r = cf_tx_exec(tx, "INSERT INTO region (code, name, parent, level) VALUES (?,?,?,?) ON CONFLICT (code) DO NOTHING", reterr, CF_S(g->code), CF_S(g->name),
                       CF_S(g->parent), CF_I(g->level));
    }
    return r;
}

static int org_path(struct cf_tx *tx, cf_str id, struct cf_arena *a, cf_str *ret, struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT path FROM organisation WHERE id = ?", &st, reterr, CF_S(id));

    if (r == 0)
        r = cf_stmt_next(st, reterr);
    if (r == 1)
        *ret = cf_arena_copy(a, cf_stmt_str(st, 0));
    cf_stmt_free(st);
    return r == 1 ? 0 : r < 0 ? r : cf_error_set(reterr, CF_ENOENT, "organisation %.*s is missing", CF_ARG(id));
}

static int put_units(struct cf_tx *tx, const struct demo_city *c, struct cf_arena *a, struct cf_error *reterr)
{
    int64_t now = cf_now_us();
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->n_units; i++) {
        const struct demo_unit *u = &c->units[i];
        cf_str parent = u->parent.n ? cf_arena_printf(a, "demo-org-%.*s", CF_ARG(u->parent)) : CF_STR("root"), path;

        r = org_path(tx, parent, a, &path, reterr);
        if (r < 0)
            break;
        path = cf_arena_printf(a, "%.*s%.*s/", CF_ARG(path), CF_ARG(u->id));
        r = cf_tx_exec(tx,
                       "INSERT INTO organisation (id, name, short_name, kind, region_code, parent_id, path, industry, level, address, contact_name, contact_phone,"
                       " security_lead, active, created_us, updated_us) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,1,?,?) ON CONFLICT (id) DO NOTHING",
                       reterr, CF_S(u->id), CF_S(u->name), CF_S(u->short_name), CF_S(u->kind), CF_S(u->region), CF_S(parent), CF_S(path), CF_S(u->industry),
                       CF_I(u->level), CF_S(cf_arena_printf(a, "%.*s（演示）", CF_ARG(c->name))), CF_S(u->officer), CF_S(u->phone), CF_S(u->officer), CF_I(now), CF_I(now));
    }
    return r;
}

static int put_people(struct cf_tx *tx, const struct demo_city *c, const char *hash, struct cf_error *reterr)
{
    int64_t now = cf_now_us();
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->n_people; i++) {
        const struct demo_person *p = &c->people[i];

        r = cf_tx_exec(tx,
                       "INSERT INTO app_user (id, name, display_name, org_id, position, password_hash, password_changed_us, must_change_password, active, created_us,"
                       " updated_us) VALUES (?,?,?,?,?,?,?,0,1,?,?) ON CONFLICT (id) DO NOTHING",
                       reterr, CF_S(p->id), CF_S(p->login), CF_S(p->name), CF_S(p->unit->id), CF_S(p->position), CF_Z(hash), CF_I(now), CF_I(now), CF_I(now));
        if (r == 0)
            r = cf_tx_exec(tx, "INSERT INTO user_role (user_id, role_id) VALUES (?,?) ON CONFLICT (user_id, role_id) DO NOTHING", reterr, CF_S(p->id), CF_S(p->role));
        if (r < 0)
            cf_error_context(reterr, "person \"%.*s\"", CF_ARG(p->login));
    }
    return r;
}

static int put_assets(struct cf_tx *tx, const struct demo_city *c, struct cf_error *reterr)
{
    int64_t now = cf_now_us();
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->n_assets; i++) {
        const struct demo_asset *s = &c->assets[i];

        r = cf_tx_exec(tx,
                       "INSERT INTO asset (id, org_id, name, kind, type, ip, domain, importance, is_key, system_name, owner_name, owner_phone, mlps_level, os, vendor, model,"
                       " location, origin, note, created_us, updated_us) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,'import','demo',?,?) ON CONFLICT (id) DO NOTHING",
                       reterr, CF_S(s->id), CF_S(s->unit->id), CF_S(s->name), CF_S(s->kind), CF_S(s->type), CF_S(s->ip), CF_S(s->domain), CF_I(s->importance),
                       CF_I(s->importance == 5), CF_S(s->system), CF_S(s->owner), CF_S(s->unit->phone), CF_I(s->mlps), CF_S(s->os), CF_S(s->vendor), CF_S(s->model),
                       CF_S(s->location), CF_I(now), CF_I(now));
    }
    return r;
}

cf_str demo_source_name(const struct demo_city *c, const struct demo_asset *s, const struct demo_asset **ret_sender)
{
    const struct demo_asset *from = s;

    for (size_t i = 0; cf_str_eqz(s->log, "forwarded") && i < c->n_assets; i++)
        if (c->assets[i].unit == s->unit && cf_str_eqz(c->assets[i].log, "winlog"))
            from = &c->assets[i];
    if (ret_sender)
        *ret_sender = from;
    return from->name;
}

/* One data source for each asset that sends its own log. */
static int put_sources(struct cf_tx *tx, const struct demo_city *c, struct cf_arena *a, struct cf_error *reterr)
{
    int64_t now = cf_now_us();
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->n_assets; i++) {
        const struct demo_asset *s = &c->assets[i];

        if (!s->log.n || cf_str_eqz(s->log, "forwarded"))
            continue;
        r = cf_tx_exec(tx,
                       "INSERT INTO data_source (id, org_id, name, provider, domain, device_type, vendor, model, protocol, address, owner_name, created_us, updated_us)"
                       " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING",
                       reterr, CF_S(cf_arena_printf(a, "demo-source-%05zu", i + 1)), CF_S(s->unit->id), CF_S(s->name), CF_S(s->unit->name), CF_S(s->system), CF_S(s->type),
                       CF_S(s->vendor), CF_S(s->model), CF_Z(cf_str_eqz(s->log, "winlog") ? "http" : "syslog"), CF_S(s->ip), CF_S(s->owner), CF_I(now), CF_I(now));
    }
    return r;
}

int demo_load(struct cf_db *db, const struct demo_city *c, const char *password_hash, struct cf_error *reterr)
{
    struct cf_arena a;
    struct cf_tx *tx = NULL;
    int r;

    cf_arena_init(&a, 0, 64u << 20);
    r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);
    r = r < 0 ? r : put_regions(tx, c, reterr);
    r = r < 0 ? r : put_units(tx, c, &a, reterr);
    r = r < 0 ? r : put_people(tx, c, password_hash, reterr);
    r = r < 0 ? r : put_assets(tx, c, reterr);
    r = r < 0 ? r : put_sources(tx, c, &a, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO demo_state (name, value) VALUES ('loaded', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", reterr, CF_I(cf_now_us()));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_arena_release(&a);
    if (r < 0)
        cf_error_context(reterr, "demo city");
    return r;
}

/* ---- notes ------------------------------------------------------------------------------------------------------------------ */

int64_t demo_state_get(struct cf_db *db, const char *key)
{
    struct cf_error err = {0};
    struct cf_stmt *st = NULL;
    struct cf_tx *tx = NULL;
    int64_t v = 0;

    if (cf_tx_begin(db, CF_TX_READ, &tx, &err) == 0 && cf_tx_query(tx, "SELECT value FROM demo_state WHERE name = ?", &st, &err, CF_Z(key)) == 0 &&
        cf_stmt_next(st, &err) == 1)
        v = cf_stmt_i64(st, 0);
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return v;
}

int demo_state_set(struct cf_db *db, const char *key, int64_t value, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx, "INSERT INTO demo_state (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", reterr, CF_Z(key), CF_I(value));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

bool demo_loaded(struct cf_db *db, struct cf_error *reterr)
{
    (void)reterr;
    return demo_state_get(db, "loaded") != 0;
}

int demo_write_accounts(const char *data_dir, const struct demo_city *c, cf_str password, struct cf_error *reterr)
{
    struct cf_arena a;
    struct cf_buf b;
    int r;

    cf_arena_init(&a, 0, 1 << 20);
    cf_buf_init(&b, 1 << 20);
    cf_buf_printf(&b, "# Accounts of the demo city. Made on first start, removed by: chengfang demo remove\npassword of all accounts: %.*s\n\n# sign-in name, name, role, unit\n",
                  CF_ARG(password));
    for (size_t i = 0; i < c->n_people; i++) {
        const struct demo_person *p = &c->people[i];

        cf_buf_printf(&b, "%-12.*s %.*s  %.*s  %.*s\n", CF_ARG(p->login), CF_ARG(p->name), CF_ARG(p->role), CF_ARG(p->unit->name));
    }
    r = b.failed ? cf_error_set(reterr, CF_ENOMEM, "no memory") : cf_file_write_durable(cf_path_join(&a, data_dir, "demo-accounts.txt"), cf_buf_view(&b), 0600, reterr);
    if (b.p)
        explicit_bzero(b.p, b.cap);
    cf_buf_release(&b);
    cf_arena_release(&a);
    return r;
}
