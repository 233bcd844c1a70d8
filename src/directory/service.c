/* SPDX-License-Identifier: Apache-2.0
 * Opening the directory, and the cache behind cookies and tokens. */
#include "directory/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "directory/directory_int.h"

static const cf_str star[] = {{"*", 1}};

void cf_session_csrf(cf_str cookie, char out[65])
{
    struct cf_digest dg;

    (void)cf_sha256(&dg, (const cf_str[]){CF_STR("csrf:"), cookie}, 2);
    cf_hex(dg.b, 32, out);
}

static void system_init(struct cf_directory *d)
{
    atomic_init(&d->system.refs, 1 << 20); /* never reaches 0 */
    d->system.p = (struct cf_principal){
        .user_id = CF_STR("system"), .user_name = CF_STR("system"), .display_name = CF_STR("system"), .org_id = CF_STR("root"), .org_path = CF_STR("/root/"),
        .region_code = CF_STR(""), .scope = CF_SCOPE_ALL, .n_perms = 1, .perms = star,
    };
}

static int first_start(struct cf_directory *d, char first_password[40], struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    int64_t now = cf_now_us(), users = 0;
    json_t *roles = json_pack("[s,s,s,s]", "system_admin", "security_admin", "analyst", "coordinator");
    char id[37];
    int r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_exec(tx,
                       "INSERT INTO organisation (id, name, short_name, kind, path, level, active, created_us, updated_us) VALUES ('root', ?, ?, 'center',"
                       " '/root/', 0, 1, ?, ?) ON CONFLICT (id) DO NOTHING",
                       reterr, CF_Z(d->o.root_name), CF_Z(d->o.root_name), CF_I(now), CF_I(now));
    if (r == 0)
        r = cf_tx_query(tx, "SELECT COUNT(*) FROM app_user", &st, reterr);
    if (r == 0 && (r = cf_stmt_next(st, reterr)) == 1) {
        users = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    if (r == 0 && users == 0) {
        cf_uuid7(id);
        cf_password_random(first_password);
        r = cf_tx_exec(tx, "INSERT INTO app_user (id, name, display_name, org_id, active, created_us, updated_us) VALUES (?, 'admin', '管理员', 'root', 1, ?, ?)",
                       reterr, CF_Z(id), CF_I(now), CF_I(now));
        if (r == 0)
            r = cf_user_set_password(d, tx, cf_str_c(id), CF_STR("admin"), cf_str_c(first_password), true, false, reterr);
        if (r == 0)
            r = cf_roles_give(tx, cf_str_c(id), roles, reterr);
    }
    json_decref(roles);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static void load_weak(struct cf_directory *d)
{
    struct cf_arena a;
    struct cf_buf b;
    struct cf_error err;
    char *path;

    cf_arena_init(&a, 0, 0);
    cf_buf_init(&b, 8 << 20);
    path = cf_path_join(&a, d->o.content_dir, "directory/weak-passwords.txt");
    if (path && cf_file_read(path, &b, &err) == 0)
        d->weak = strndup(cf_buf_cstr(&b), b.n);
    else
        cf_log_warn("directory", "weak password list not loaded", "why=\"%s\"", err.msg);
    cf_buf_release(&b);
    cf_arena_release(&a);
}

/* Writes what the cache knows of last use; drops what is over. Runs in the saver thread, in batches. */
static void save_seen(struct cf_directory *d)
{
    struct item {
        char id[40];
        int64_t us;
        bool token;
    } *items = calloc(CF_CACHE_MAX, sizeof *items);
    struct cf_tx *tx = NULL;
    struct cf_error err = {0};
    int64_t now = cf_now_us(), idle = d->o.session_idle_us, absolute = d->o.session_absolute_us;
    size_t n = 0;
    int r;

    if (!items)
        return;
    (void)pthread_mutex_lock(&d->lock);
    for (size_t b = 0; b < CF_CACHE_BUCKETS; b++) {
        for (struct cf_cached *e = d->cache[b]; e && n < CF_CACHE_MAX; e = e->next) {
            if (e->seen_us <= e->saved_us)
                continue;
            memcpy(items[n].id, e->id, sizeof e->id);
            items[n].us = e->seen_us;
            items[n++].token = e->token;
            e->saved_us = e->seen_us;
        }
    }
    (void)pthread_mutex_unlock(&d->lock);
    r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, &err);
    for (size_t i = 0; i < n && r == 0; i++) {
        if (items[i].token)
            r = cf_tx_exec(tx, "UPDATE api_token SET last_used_us = ? WHERE id = ?", &err, CF_I(items[i].us), CF_Z(items[i].id));
        else
            r = cf_tx_exec(tx, "UPDATE user_session SET last_seen_us = ? WHERE id = ?", &err, CF_I(items[i].us), CF_Z(items[i].id));
        if (r == 0)
            r = cf_tx_exec(tx,
                           items[i].token ? "UPDATE app_user SET last_seen_us = ? WHERE id = (SELECT user_id FROM api_token WHERE id = ?)"
                                          : "UPDATE app_user SET last_seen_us = ? WHERE id = (SELECT user_id FROM user_session WHERE id = ?)",
                           &err, CF_I(items[i].us), CF_Z(items[i].id));
    }
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM user_session WHERE last_seen_us < ? OR created_us < ?", &err, CF_I(idle ? now - idle : 0),
                       CF_I(absolute ? now - absolute : 0));
    if (r == 0)
        r = cf_tx_commit(&tx, &err);
    cf_tx_rollback(&tx);
    if (r < 0)
        cf_log_warn("directory", "last use of sessions not saved", "why=\"%s\"", err.msg);
    free(items);
}

static void *saver_main(void *arg)
{
    struct cf_directory *d = arg;
    struct timespec ts;

    (void)pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        (void)clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_sec += 30;
        if (pthread_cond_timedwait(&d->wake, &d->lock, &ts) != ETIMEDOUT)
            continue;
        (void)pthread_mutex_unlock(&d->lock);
        save_seen(d);
        (void)pthread_mutex_lock(&d->lock);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return NULL;
}

int cf_directory_open(struct cf_db *db, const struct cf_directory_options *o, struct cf_directory **ret, char first_password[40], struct cf_error *reterr)
{
    struct cf_directory *d = calloc(1, sizeof *d);
    int r;

    first_password[0] = 0;
    if (!d)
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the directory");
    d->db = db;
    d->o = *o;
    atomic_init(&d->generation, 1);
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->wake, NULL);
    system_init(d);
    load_weak(d);
    r = cf_secret_key_load(o->key_file, &d->key, reterr);
    if (r == 0)
        r = cf_roles_load(db, o->content_dir, reterr);
    if (r == 0)
        r = first_start(d, first_password, reterr);
    if (r == 0)
        r = cf_password_hash(CF_STR("nobody has this password"), (uint32_t)o->argon2_memory_kib, (uint32_t)o->argon2_passes, d->dummy_hash, reterr);
    if (r == 0 && pthread_create(&d->saver, NULL, saver_main, d) != 0)
        r = cf_error_set(reterr, CF_ENOMEM, "no thread for the directory");
    if (r < 0) {
        free(d->weak);
        free(d);
        return r;
    }
    *ret = d;
    return 0;
}

static void cache_clear(struct cf_directory *d)
{
    for (size_t b = 0; b < CF_CACHE_BUCKETS; b++) {
        while (d->cache[b]) {
            struct cf_cached *e = d->cache[b];

            d->cache[b] = e->next;
            cf_principal_unref(&e->holder->p);
            free(e);
        }
    }
    d->n_cached = 0;
}

void cf_directory_close(struct cf_directory *d)
{
    if (!d)
        return;
    (void)pthread_mutex_lock(&d->lock);
    d->stop = true;
    (void)pthread_cond_broadcast(&d->wake);
    (void)pthread_mutex_unlock(&d->lock);
    (void)pthread_join(d->saver, NULL);
    save_seen(d);
    cache_clear(d);
    explicit_bzero(&d->key, sizeof d->key);
    free(d->weak);
    (void)pthread_cond_destroy(&d->wake);
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
}

void cf_directory_changed(struct cf_directory *d) { (void)atomic_fetch_add(&d->generation, 1); }
const struct cf_directory_options *cf_directory_opts(const struct cf_directory *d) { return &d->o; }
struct cf_db *cf_directory_db(const struct cf_directory *d) { return d->db; }
const struct cf_principal *cf_directory_system(struct cf_directory *d) { return &d->system.p; }

static bool address_in(const struct cf_cidr *list, size_t n, cf_str peer)
{
    struct cf_ip ip;

    if (n == 0 || cf_str_eqz(peer, "local"))
        return true;
    if (!cf_ip_parse(peer, &ip))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (cf_cidr_has(&list[i], &ip))
            return true;
    }
    return false;
}

bool cf_directory_address_allowed(const struct cf_directory *d, cf_str peer) { return address_in(d->o.allow, d->o.n_allow, peer); }

/* Reads the session or token of this digest. */
static int load(struct cf_directory *d, bool token, const uint8_t digest[32], struct cf_cached *ret, struct cf_error *reterr)
{
    char hex[65], user[80];
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    cf_str scopes = CF_STR_NONE;
    struct cf_arena a;
    int r;

    cf_arena_init(&a, 1024, 1 << 20);
    cf_hex(digest, 32, hex);
    r = cf_tx_begin(d->db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = cf_tx_query(tx,
                        token ? "SELECT id, user_id, created_us, COALESCE(last_used_us, created_us), COALESCE(expires_us, 0), scopes FROM api_token WHERE digest = ?"
                              : "SELECT id, user_id, created_us, last_seen_us, 0, '' FROM user_session WHERE digest = ?",
                        &st, reterr, CF_Z(hex));
    if (r == 0)
        r = cf_stmt_next(st, reterr);
    if (r == 1) {
        (void)snprintf(ret->id, sizeof ret->id, "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        (void)snprintf(user, sizeof user, "%.*s", CF_ARG(cf_stmt_str(st, 1)));
        ret->created_us = cf_stmt_i64(st, 2);
        ret->seen_us = ret->saved_us = cf_stmt_i64(st, 3);
        ret->expires_us = cf_stmt_i64(st, 4);
        scopes = cf_arena_copy(&a, cf_stmt_str(st, 5));
        cf_stmt_free(st);
        st = NULL;
        ret->holder = cf_holder_load(d, tx, cf_str_c(user), scopes, reterr);
        r = ret->holder ? 0 : reterr->code;
        if (r == 0) {
            cf_str id = cf_arena_copy(&ret->holder->arena, cf_str_c(ret->id));

            if (token) {
                ret->holder->p.token_id = id;
                ret->holder->p.must_change_password = ret->holder->p.must_set_up_totp = false;
            } else
                ret->holder->p.session_id = id;
        }
    } else if (r == 0)
        r = cf_error_set(reterr, CF_EAUTH, token ? "the token is not known" : "the session has ended, sign in again");
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    cf_arena_release(&a);
    return r;
}

static bool over(const struct cf_directory *d, const struct cf_cached *e, int64_t now)
{
    if (e->token)
        return e->expires_us && now > e->expires_us;
    return (d->o.session_idle_us && now - e->seen_us > d->o.session_idle_us) ||
           (d->o.session_absolute_us && now - e->created_us > d->o.session_absolute_us);
}

static struct cf_cached **slot_of(struct cf_directory *d, const uint8_t digest[32])
{
    struct cf_cached **at = &d->cache[(digest[0] | (unsigned)digest[1] << 8) % CF_CACHE_BUCKETS];

    while (*at && memcmp((*at)->digest, digest, 32) != 0)
        at = &(*at)->next;
    return at;
}

/* Under lock: the entry of this digest when it is still good. */
static struct cf_cached *cached(struct cf_directory *d, bool token, const uint8_t digest[32])
{
    struct cf_cached **at = slot_of(d, digest), *e = *at;

    if (!e)
        return NULL;
    if (e->token == token && e->generation == atomic_load(&d->generation))
        return e;
    *at = e->next;
    cf_principal_unref(&e->holder->p);
    free(e);
    d->n_cached--;
    return NULL;
}

static int find(struct cf_directory *d, bool token, cf_str secret, cf_str peer, const struct cf_principal **ret, struct cf_error *reterr)
{
    struct cf_digest dg;
    struct cf_cached *e, *fresh, **at;
    int64_t now = cf_now_us();
    unsigned long long generation = atomic_load(&d->generation);
    int r = 0;

    (void)cf_sha256(&dg, &secret, 1);
    (void)pthread_mutex_lock(&d->lock);
    e = cached(d, token, dg.b);
    if (!e) {
        (void)pthread_mutex_unlock(&d->lock);
        fresh = calloc(1, sizeof *fresh);
        r = fresh ? load(d, token, dg.b, fresh, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory");
        if (r != 0) {
            free(fresh);
            return r;
        }
        memcpy(fresh->digest, dg.b, 32);
        fresh->token = token;
        fresh->generation = generation;
        (void)pthread_mutex_lock(&d->lock);
        if (d->n_cached >= CF_CACHE_MAX)
            cache_clear(d);
        at = slot_of(d, dg.b);
        if (*at) { /* another request was faster */
            cf_principal_unref(&fresh->holder->p);
            free(fresh);
        } else {
            *at = fresh;
            d->n_cached++;
        }
        e = *at;
    }
    if (over(d, e, now))
        r = cf_error_set(reterr, CF_EAUTH, token ? "the token has expired" : "the session has ended, sign in again");
    else if (!address_in(e->holder->allow, e->holder->n_allow, peer))
        r = cf_error_set(reterr, CF_EPERM, "this account may not be used from address %.*s", CF_ARG(peer));
    else {
        e->seen_us = now;
        *ret = cf_principal_ref(&e->holder->p);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return r;
}

/* The newest use of a session is in the cache; without an entry there the record decides. */
static int64_t seen_in_cache(struct cf_directory *d, cf_str id)
{
    int64_t us = 0;

    (void)pthread_mutex_lock(&d->lock);
    for (size_t b = 0; b < CF_CACHE_BUCKETS && us == 0; b++) {
        for (struct cf_cached *e = d->cache[b]; e && us == 0; e = e->next)
            us = cf_str_eqz(id, e->id) ? e->seen_us : 0;
    }
    (void)pthread_mutex_unlock(&d->lock);
    return us;
}

bool cf_directory_alive(struct cf_directory *d, const struct cf_principal *p)
{
    bool token = p->token_id.n > 0, good = false;
    struct cf_cached e = {.token = token};
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    struct cf_error err;
    cf_str id = token ? p->token_id : p->session_id;
    int64_t now = cf_now_us(), cached_us;

    if (id.n == 0)
        return true; /* the server itself */
    if (cf_tx_begin(d->db, CF_TX_READ, &tx, &err) < 0)
        return true; /* a busy store ends nobody's stream */
    if (cf_tx_query(tx,
                    token ? "SELECT s.created_us, s.created_us, COALESCE(s.expires_us, 0) FROM api_token s JOIN app_user u ON u.id = s.user_id WHERE s.id = ? AND u.active = 1"
                          : "SELECT s.created_us, s.last_seen_us, 0 FROM user_session s JOIN app_user u ON u.id = s.user_id WHERE s.id = ? AND u.active = 1",
                    &st, &err, CF_S(id)) == 0 &&
        cf_stmt_next(st, &err) == 1) {
        e.created_us = cf_stmt_i64(st, 0);
        e.seen_us = cf_stmt_i64(st, 1);
        e.expires_us = cf_stmt_i64(st, 2);
        cached_us = seen_in_cache(d, id);
        if (cached_us > e.seen_us)
            e.seen_us = cached_us;
        good = !over(d, &e, now);
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    return good;
}

int cf_directory_by_session(struct cf_directory *d, cf_str cookie, cf_str peer, const struct cf_principal **ret, struct cf_error *reterr)
{
    if (cookie.n != 64)
        return cf_error_set(reterr, CF_EAUTH, "the session has ended, sign in again");
    return find(d, false, cookie, peer, ret, reterr);
}

int cf_directory_by_token(struct cf_directory *d, cf_str token, cf_str peer, const struct cf_principal **ret, struct cf_error *reterr)
{
    if (token.n < 20 || token.n > 200)
        return cf_error_set(reterr, CF_EAUTH, "the token is not known");
    return find(d, true, token, peer, ret, reterr);
}

void cf_directory_routes(void)
{
    cf_session_routes();
    cf_totp_routes();
    cf_token_routes();
    cf_org_routes();
    cf_user_routes();
    cf_role_routes();
}
