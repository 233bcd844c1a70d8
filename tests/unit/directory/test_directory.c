/* SPDX-License-Identifier: Apache-2.0
 * Sign-in, lockout, sessions, tokens, scopes. On SQLite and PostgreSQL. */
#include "records.h"

#include "directory/directory_int.h"

static struct records rec;
static char key[96], first[40];
static struct cf_directory *d;
static struct cf_directory_options opts;

static void add_user(const char *name, const char *org, const char *role)
{
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    json_t *roles = json_pack("[s]", role);

    ok(cf_tx_begin(rec.db, CF_TX_WRITE, &tx, &err), &err);
    ok(cf_tx_exec(tx, "INSERT INTO app_user (id, name, display_name, org_id, created_us, updated_us) VALUES (?,?,?,?,1,1)", &err, CF_Z(name), CF_Z(name),
                    CF_Z(name), CF_Z(org)), &err);
    ok(cf_user_set_password(d, tx, cf_str_c(name), cf_str_c(name), CF_STR("Harbour-Lantern-58"), false, true, &err), &err);
    ok(cf_roles_give(tx, cf_str_c(name), roles, &err), &err);
    ok(cf_tx_commit(&tx, &err), &err);
    json_decref(roles);
}

static int fresh(void **state)
{
    struct cf_error err = {0};

    (void)state;
    records_open(&rec);
    records_migrate(rec.db, directory);
    (void)snprintf(key, sizeof key, "%s/secret.key", rec.dir);
    opts = (struct cf_directory_options){
        .session_idle_us = 1800 * CF_US_PER_S, .session_absolute_us = 43200 * CF_US_PER_S, .lock_failures = 3, .lock_us = 600 * CF_US_PER_S,
        .address_failures = 8, .address_us = 600 * CF_US_PER_S, .password_min = 10, .password_history = 3, .argon2_memory_kib = 8192, .argon2_passes = 1,
        .separation_strict = true, .content_dir = CF_TEST_ROOT "/content", .key_file = key, .root_name = "centre",
    };
    ok(cf_directory_open(rec.db, &opts, &d, first, &err), &err);
    run_sql(rec.db, "INSERT INTO organisation (id, name, parent_id, path, region_code, created_us, updated_us) VALUES"
        " ('a', 'A', 'root', '/root/a/', '330102', 1, 1), ('a1', 'A1', 'a', '/root/a/a1/', '330102', 1, 1), ('a10', 'A10', 'root', '/root/a10/', '330106', 1, 1),"
        " ('b', 'B', 'root', '/root/b/', '330200', 1, 1)");
    return 0;
}

static int end(void **state)
{
    (void)state;
    cf_directory_close(d);
    records_close(&rec);
    return 0;
}

static struct cf_signed_in try_in(const char *user, const char *password, const char *otp, const char *peer)
{
    struct cf_error err = {0};
    struct cf_sign_in in = {.user = cf_str_c(user), .password = cf_str_c(password), .otp = cf_str_c(otp), .peer = cf_str_c(peer), .agent = CF_STR("test")};
    struct cf_signed_in out;

    ok(cf_directory_sign_in(d, &in, &out, &err), &err);
    return out;
}

static const struct cf_principal *who(const struct cf_signed_in *s, const char *peer)
{
    const struct cf_principal *p = NULL;
    struct cf_error err = {0};

    return cf_directory_by_session(d, cf_str_c(s->cookie), cf_str_c(peer), &p, &err) == 0 ? p : NULL;
}

static void first_administrator(void **state)
{
    struct cf_signed_in s;
    const struct cf_principal *p;
    char again[40];
    struct cf_error err = {0};

    (void)state;
    assert_int_equal(strlen(first), 20);
    s = try_in("admin", first, NULL, "192.0.2.1");
    assert_int_equal(s.result, CF_SIGN_IN_OK);
    p = who(&s, "192.0.2.1");
    assert_non_null(p);
    assert_true(p->must_change_password);
    assert_int_equal(p->n_roles, 4);
    assert_true(cf_principal_may(p, CF_STR("alert.write")));
    assert_false(cf_principal_may(p, CF_STR("audit.read"))); /* the third administrator is somebody else */
    cf_principal_unref(p);
    /* the second start makes no second administrator, and no secret is stored in clear */
    cf_directory_close(d);
    ok(cf_directory_open(rec.db, &opts, &d, again, &err), &err);
    assert_string_equal(again, "");
}

static void account_lock(void **state)
{
    struct cf_signed_in s;

    (void)state;
    add_user("bob", "a", "unit_officer");
    assert_int_equal(try_in("bob", "wrong", NULL, "192.0.2.1").result, CF_SIGN_IN_WRONG);
    assert_int_equal(try_in("bob", "wrong", NULL, "192.0.2.2").result, CF_SIGN_IN_WRONG);
    s = try_in("bob", "Harbour-Lantern-58", NULL, "192.0.2.3"); /* success starts the count anew */
    assert_int_equal(s.result, CF_SIGN_IN_OK);
    assert_int_equal(try_in("bob", "wrong", NULL, "192.0.2.1").result, CF_SIGN_IN_WRONG);
    assert_int_equal(try_in("bob", "wrong", NULL, "192.0.2.1").result, CF_SIGN_IN_WRONG);
    assert_int_equal(try_in("bob", "wrong", NULL, "192.0.2.1").result, CF_SIGN_IN_LOCKED);
    s = try_in("bob", "Harbour-Lantern-58", NULL, "192.0.2.9");
    assert_int_equal(s.result, CF_SIGN_IN_LOCKED);
    assert_true(s.retry_after_us > 590 * CF_US_PER_S && s.retry_after_us <= 600 * CF_US_PER_S);
    run_sql(rec.db, "UPDATE app_user SET locked_until_us = 1 WHERE id = 'bob'"); /* time passes */
    assert_int_equal(try_in("bob", "Harbour-Lantern-58", NULL, "192.0.2.9").result, CF_SIGN_IN_OK);
}

/* An unknown name locks like a known one: nobody learns which accounts exist. */
static void unknown_name(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(try_in("ghost", "x", NULL, "192.0.2.7").result, CF_SIGN_IN_WRONG);
    assert_int_equal(try_in("ghost", "x", NULL, "192.0.2.8").result, CF_SIGN_IN_LOCKED);
}

static void address_lock(void **state)
{
    char name[16];

    (void)state;
    add_user("bob", "a", "unit_officer");
    for (int i = 0; i < 8; i++) {
        (void)snprintf(name, sizeof name, "ghost%d", i);
        assert_int_equal(try_in(name, "x", NULL, "198.51.100.7").result, CF_SIGN_IN_WRONG);
    }
    assert_int_equal(try_in("bob", "Harbour-Lantern-58", NULL, "198.51.100.7").result, CF_SIGN_IN_ADDRESS);
    assert_int_equal(try_in("bob", "Harbour-Lantern-58", NULL, "198.51.100.8").result, CF_SIGN_IN_OK);
}

static void session_ends(void **state)
{
    struct cf_signed_in s, t;
    const struct cf_principal *p;
    struct cf_error err = {0};
    char csrf[65], other[65];

    (void)state;
    add_user("bob", "a", "unit_officer");
    s = try_in("bob", "Harbour-Lantern-58", NULL, "192.0.2.1");
    t = try_in("bob", "Harbour-Lantern-58", NULL, "192.0.2.1");
    cf_session_csrf(cf_str_c(s.cookie), csrf);
    cf_session_csrf(cf_str_c(t.cookie), other);
    assert_string_not_equal(csrf, other);
    p = who(&s, "192.0.2.1");
    assert_non_null(p);
    ok(cf_directory_sign_out(d, p->session_id, &err), &err);
    cf_principal_unref(p);
    assert_null(who(&s, "192.0.2.1"));
    p = who(&t, "192.0.2.1");
    assert_non_null(p); /* the other one goes on */
    cf_principal_unref(p);
    /* idle limit: last use lies back further than allowed */
    run_sql(rec.db, "UPDATE user_session SET last_seen_us = last_seen_us - 1801000000");
    cf_directory_changed(d);
    assert_null(who(&t, "192.0.2.1"));
    /* absolute limit */
    t = try_in("bob", "Harbour-Lantern-58", NULL, "192.0.2.1");
    run_sql(rec.db, "UPDATE user_session SET created_us = created_us - 43201000000");
    cf_directory_changed(d);
    assert_null(who(&t, "192.0.2.1"));
    /* a suspended account */
    t = try_in("bob", "Harbour-Lantern-58", NULL, "192.0.2.1");
    run_sql(rec.db, "UPDATE app_user SET active = 0 WHERE id = 'bob'");
    cf_directory_changed(d);
    assert_null(who(&t, "192.0.2.1"));
    assert_int_equal(try_in("bob", "Harbour-Lantern-58", NULL, "192.0.2.1").result, CF_SIGN_IN_WRONG);
}

static void own_addresses(void **state)
{
    struct cf_signed_in s;
    const struct cf_principal *p = NULL;
    struct cf_error err = {0};

    (void)state;
    add_user("bob", "a", "unit_officer");
    run_sql(rec.db, "UPDATE app_user SET allow_ips = '[\"10.1.0.0/16\"]' WHERE id = 'bob'");
    s = try_in("bob", "Harbour-Lantern-58", NULL, "10.1.2.3");
    assert_int_equal(s.result, CF_SIGN_IN_OK);
    p = who(&s, "10.1.2.3");
    assert_non_null(p);
    cf_principal_unref(p);
    assert_int_equal(cf_directory_by_session(d, cf_str_c(s.cookie), CF_STR("10.2.2.3"), &p, &err), CF_EPERM);
}

static void one_time_code(void **state)
{
    uint8_t secret[CF_TOTP_SECRET] = "12345678901234567890";
    char sealed[2 * (CF_TOTP_SECRET + 28) + 1], code[8], text[400];

    (void)state;
    add_user("bob", "a", "unit_officer");
    assert_true(cf_secret_seal(&d->key, secret, sizeof secret, sealed));
    (void)snprintf(text, sizeof text, "UPDATE app_user SET totp_secret = '%s' WHERE id = 'bob'", sealed);
    run_sql(rec.db, text);
    assert_int_equal(try_in("bob", "Harbour-Lantern-58", NULL, "192.0.2.1").result, CF_SIGN_IN_OTP);
    assert_int_equal(try_in("bob", "wrong", NULL, "192.0.2.1").result, CF_SIGN_IN_WRONG); /* the code is asked for only after the password */
    (void)snprintf(code, sizeof code, "%06u", cf_totp_code(secret, sizeof secret, (uint64_t)(cf_now_us() / CF_US_PER_S) / 30, 6));
    assert_int_equal(try_in("bob", "Harbour-Lantern-58", code, "192.0.2.1").result, CF_SIGN_IN_OK);
    assert_int_equal(try_in("bob", "Harbour-Lantern-58", code, "192.0.2.1").result, CF_SIGN_IN_OTP); /* once only */
}

/* Ids of organisations a role sees, joined. */
static void sees(const char *role, const char *org, const char *want)
{
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    struct cf_holder *h;
    struct cf_arena a;
    char got[200] = "";
    bool all;
    cf_str *orgs;
    size_t n, k = 0;

    add_user(role, org, role);
    cf_arena_init(&a, 0, 0);
    ok(cf_tx_begin(rec.db, CF_TX_READ, &tx, &err), &err);
    h = cf_holder_load(d, tx, cf_str_c(role), CF_STR_NONE, &err);
    assert_non_null(h);
    ok(cf_scope_orgs(rec.db, &h->p, &a, &all, &orgs, &n, &err), &err);
    if (all)
        (void)snprintf(got, sizeof got, "*");
    for (size_t i = 0; i < n; i++) {
        k += (size_t)snprintf(got + k, sizeof got - k, "%s%.*s", i ? "," : "", CF_ARG(orgs[i]));
        assert_true(cf_scope_has_org(tx, &h->p, orgs[i]));
    }
    assert_string_equal(got, want);
    assert_int_equal(cf_scope_has_org(tx, &h->p, CF_STR("b")), all);
    cf_tx_rollback(&tx);
    cf_principal_unref(&h->p);
    cf_arena_release(&a);
}

static void scopes(void **state)
{
    (void)state;
    sees("leader", "a", "*");
    sees("unit_officer", "a", "a,a1"); /* not a10, whose id only begins alike */
    sees("unit_leader", "a1", "a1");
    sees("district_coordinator", "a", "a,a1"); /* 330102: not 330106 */
    run_sql(rec.db, "UPDATE organisation SET region_code = '330100' WHERE id = 'a10'");
    add_user("city", "a10", "district_coordinator");
    {
        struct cf_error err = {0};
        struct cf_tx *tx = NULL;
        struct cf_holder *h;

        ok(cf_tx_begin(rec.db, CF_TX_READ, &tx, &err), &err);
        h = cf_holder_load(d, tx, CF_STR("city"), CF_STR_NONE, &err);
        assert_true(cf_scope_has_org(tx, &h->p, CF_STR("a1"))); /* 3301xx */
        assert_false(cf_scope_has_org(tx, &h->p, CF_STR("b")));  /* 3302xx */
        cf_tx_rollback(&tx);
        cf_principal_unref(&h->p);
    }
}

static void hostile_path(void **state)
{
    (void)state;
    run_sql(rec.db, "INSERT INTO organisation (id, name, parent_id, path, created_us, updated_us) VALUES ('x', 'X', 'root', '/%/', 1, 1)");
    sees("unit_officer", "x", ""); /* a LIKE sign in a path never widens the scope */
}

static void separation(void **state)
{
    struct cf_error err = {0};
    json_t *two = json_pack("[s,s]", "system_admin", "audit_admin"), *fine = json_pack("[s,s]", "system_admin", "analyst");

    (void)state;
    assert_int_equal(cf_roles_separate(d, two, &err), CF_EINVAL);
    assert_int_equal(cf_roles_separate(d, fine, &err), 0);
    json_decref(two);
    json_decref(fine);
}

static void history(void **state)
{
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    char p[40];

    (void)state;
    add_user("bob", "a", "unit_officer");
    ok(cf_tx_begin(rec.db, CF_TX_WRITE, &tx, &err), &err);
    assert_int_equal(cf_user_set_password(d, tx, CF_STR("bob"), CF_STR("bob"), CF_STR("Harbour-Lantern-58"), false, true, &err), CF_EINVAL);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(p, sizeof p, "Another-Word-%d", i);
        ok(cf_user_set_password(d, tx, CF_STR("bob"), CF_STR("bob"), cf_str_c(p), false, true, &err), &err);
    }
    ok(cf_user_set_password(d, tx, CF_STR("bob"), CF_STR("bob"), CF_STR("Harbour-Lantern-58"), false, true, &err), &err); /* three back: allowed again */
    ok(cf_tx_commit(&tx, &err), &err);
}

static void permissions(void **state)
{
    const cf_str perms[] = {CF_STR("alert.*"), CF_STR("event.search")};
    struct cf_principal p = {.perms = perms, .n_perms = 2};

    (void)state;
    assert_true(cf_principal_may(&p, CF_STR("alert.read")));
    assert_true(cf_principal_may(&p, CF_STR("event.search")));
    assert_false(cf_principal_may(&p, CF_STR("event.sql")));
    assert_false(cf_principal_may(&p, CF_STR("alerts.read")));
    assert_false(cf_principal_may(&p, CF_STR("")));
}

static char *one_text(const char *sql)
{
    struct cf_error err = {0};
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    char *text;

    ok(cf_tx_begin(rec.db, CF_TX_READ, &tx, &err), &err);
    ok(cf_tx_query(tx, sql, &st, &err), &err);
    assert_int_equal(cf_stmt_next(st, &err), 1);
    text = strndup(cf_stmt_str(st, 0).p, cf_stmt_str(st, 0).n);
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return text;
}

/* An installation of before 203: its own roles and tokens that exported lists still do, the others gain nothing. */
static void export_list_of_old_roles(void **state)
{
    static const struct {
        const char *sql, *want;
    } after[] = {
        {"SELECT permissions FROM role WHERE id = 'own'", "[\"alert.read\",\"export.data\",\"export.list\",\"token.self\"]"},
        {"SELECT permissions FROM role WHERE id = 'reader'", "[\"alert.read\"]"},
        {"SELECT scopes FROM api_token WHERE id = 't'", "[\"export.data\",\"export.list\"]"},
    };
    struct cf_error err = {0};
    size_t old = 0;

    (void)state;
    while (cf_directory_migrations[old].number < 203)
        old++;
    assert_true(old < cf_directory_n_migrations);
    records_open(&rec);
    ok(cf_db_migrate(rec.db, cf_directory_migrations, old, &err), &err);
    run_sql(rec.db, "INSERT INTO role (id, name_zh, name_en, scope, permissions) VALUES ('own', 'x', 'x', 'all', '[\"alert.read\",\"export.data\",\"token.self\"]'),"
                    " ('reader', 'x', 'x', 'all', '[\"alert.read\"]')");
    run_sql(rec.db, "INSERT INTO api_token (id, digest, user_id, name, scopes, created_us) VALUES ('t', 'd', 'u', 'n', '[\"export.data\"]', 1)");
    for (int again = 0; again < 2; again++)
        ok(cf_db_migrate(rec.db, cf_directory_migrations, cf_directory_n_migrations, &err), &err);
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        char *have = one_text(after[i].sql);

        assert_string_equal(have, after[i].want);
        free(have);
    }
    records_close(&rec);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, end)
    const struct CMUnitTest tests[] = {T(first_administrator), T(account_lock), T(unknown_name), T(address_lock), T(session_ends), T(own_addresses),
                                       T(one_time_code), T(scopes), T(hostile_path), T(separation), T(history), cmocka_unit_test(permissions), cmocka_unit_test(export_list_of_old_roles)};

    return records_both("directory", tests);
}
