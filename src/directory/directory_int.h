/* SPDX-License-Identifier: Apache-2.0
 * Private to src/directory. */
#ifndef CF_DIRECTORY_INT_H
#define CF_DIRECTORY_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include <stdlib.h>

#include "directory/password.h"
#include "directory/service.h"

/* A principal with its memory. p must stay the first member: references are passed as &p. */
struct cf_holder {
    struct cf_principal p;
    atomic_int refs;
    struct cf_arena arena;
    struct cf_cidr *allow; /* addresses this person may use */
    size_t n_allow;
};
struct cf_cached {
    struct cf_cached *next;
    uint8_t digest[32];
    bool token;
    struct cf_holder *holder;
    uint64_t generation;
    char id[40];
    int64_t created_us, seen_us, saved_us, expires_us; /* expires_us: tokens, 0 never */
};
#define CF_CACHE_BUCKETS 1024u
#define CF_CACHE_MAX 20000u
#define CF_ADDRESS_SLOTS 4096u
struct cf_directory {
    struct cf_db *db;
    struct cf_directory_options o;
    struct cf_secret_key key;
    char *weak; /* text of weak-passwords.txt */
    char dummy_hash[CF_PASSWORD_HASH_MAX]; /* verified for unknown users, so that time tells nothing */
    struct cf_holder system;
    atomic_ullong generation;
    pthread_mutex_t lock; /* cache, tries */
    struct cf_cached *cache[CF_CACHE_BUCKETS];
    size_t n_cached;
    struct {
        uint64_t key;
        int64_t since_us, n;
    } tries[CF_ADDRESS_SLOTS]; /* failures by address or unknown name; a newer key replaces an older one */
    pthread_t saver;
    pthread_cond_t wake;
    bool stop;
};

/* principal.c: NULL with CF_EAUTH for unknown or disabled people. scopes: JSON array that narrows the permissions, or empty. */
struct cf_holder *cf_holder_load(struct cf_directory *d, struct cf_tx *tx, cf_str user_id, cf_str scopes, struct cf_error *reterr);
bool cf_scope_parse(cf_str s, enum cf_scope *ret);
const char *cf_scope_name(enum cf_scope s);
/* roles.c */
int cf_roles_load(struct cf_db *db, const char *content_dir, struct cf_error *reterr);
/* Refuses two roles of one exclusive group. roles: JSON array of ids. */
int cf_roles_separate(struct cf_directory *d, const json_t *roles, struct cf_error *reterr);
int cf_roles_give(struct cf_tx *tx, cf_str user_id, const json_t *roles, struct cf_error *reterr); /* replaces; CF_EINVAL for an unknown role */
/* users.c: sets hash, history, flags. Checks policy unless by_server made the password itself. */
int cf_user_set_password(struct cf_directory *d, struct cf_tx *tx, cf_str user_id, cf_str user_name, cf_str password, bool must_change, bool check, struct cf_error *reterr);
/* totp_routes.c: uses up a recovery code of this person. 1: it was one, 0: no. */
int cf_recovery_use(struct cf_tx *tx, cf_str user_id, cf_str code, struct cf_error *reterr);
json_t *cf_session_body(struct cf_directory *d, const struct cf_principal *who, cf_str cookie, struct cf_error *reterr);
/* one list of routes a file */
void cf_session_routes(void);
void cf_totp_routes(void);
void cf_user_routes(void);
void cf_org_routes(void);
void cf_role_routes(void);
void cf_token_routes(void);

#endif
