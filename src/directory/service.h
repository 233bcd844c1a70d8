/* SPDX-License-Identifier: Apache-2.0
 * The sign-in side of the directory: who is behind a cookie or a token, sessions, lockouts. One per server.
 *
 *   cookie / bearer --sha256--> cache --miss--> records --> struct cf_principal (reference counted, immutable)
 *
 * Any change of people, roles or organisations calls cf_directory_changed(): cached principals are rebuilt on next use.
 * Thread-safe: one mutex around the cache, never held during database work. */
#ifndef CF_DIRECTORY_SERVICE_H
#define CF_DIRECTORY_SERVICE_H

#include "directory/directory.h"

struct cf_directory;
struct cf_directory_options {
    int64_t session_idle_us, session_absolute_us; /* 0: never */
    int64_t lock_failures, lock_us;               /* per account */
    int64_t address_failures, address_us;         /* per address within address_us */
    int64_t password_min, password_history, password_max_age_us;
    int64_t argon2_memory_kib, argon2_passes;
    bool separation_strict;
    struct cf_cidr *allow; /* global address allow list; n_allow 0: everyone. Borrowed for the directory's life */
    size_t n_allow;
    const char *content_dir; /* roles.yaml, weak-passwords.txt */
    const char *key_file;    /* 32 bytes, made when missing: encrypts TOTP secrets */
    const char *root_name;   /* name of organisation "root" on first start */
};
/* Loads built-in roles, makes organisation "root" and the first administrator when there is nobody. A first administrator's one-time
 * password is written to first_password (empty otherwise). */
int cf_directory_open(struct cf_db *db, const struct cf_directory_options *o, struct cf_directory **ret, char first_password[40], struct cf_error *reterr);
void cf_directory_close(struct cf_directory *d);
void cf_directory_changed(struct cf_directory *d);
const struct cf_directory_options *cf_directory_opts(const struct cf_directory *d);
struct cf_db *cf_directory_db(const struct cf_directory *d);

/* The server itself and local administration over the unix socket: every permission, scope all. Never freed. */
const struct cf_principal *cf_directory_system(struct cf_directory *d);
const struct cf_principal *cf_principal_ref(const struct cf_principal *p);
void cf_principal_unref(const struct cf_principal *p); /* NULL is fine */

/* CF_EAUTH: unknown, expired, disabled. CF_EPERM: the address is not allowed. *ret is a reference. */
int cf_directory_by_session(struct cf_directory *d, cf_str cookie, cf_str peer, const struct cf_principal **ret, struct cf_error *reterr);
int cf_directory_by_token(struct cf_directory *d, cf_str token, cf_str peer, const struct cf_principal **ret, struct cf_error *reterr);
/* A person as if signed in, for work the server does in that person's name. CF_EAUTH: unknown or disabled. *ret is a reference. */
int cf_directory_person(struct cf_directory *d, cf_str user_id, const struct cf_principal **ret, struct cf_error *reterr);
/* Is the session or token behind this principal still good? Does not count as use (an open stream keeps no session alive). */
bool cf_directory_alive(struct cf_directory *d, const struct cf_principal *p);
bool cf_directory_address_allowed(const struct cf_directory *d, cf_str peer);
/* The CSRF token of a session, derived from its cookie. */
void cf_session_csrf(cf_str cookie, char out[65]);

/* An API token: made in the caller's transaction, its text known only now. */
struct cf_token_new {
    cf_str user_id, name;
    const char *scopes; /* JSON list of permissions; "[]" all of the person's */
    int64_t expires_us; /* 0: never */
    cf_str created_by;
};
struct cf_token_made {
    char id[37], token[69];
};
int cf_token_make(struct cf_tx *tx, const struct cf_token_new *t, struct cf_token_made *ret, struct cf_error *reterr);

enum cf_sign_in_result { CF_SIGN_IN_OK, CF_SIGN_IN_WRONG, CF_SIGN_IN_OTP, CF_SIGN_IN_LOCKED, CF_SIGN_IN_ADDRESS };
struct cf_sign_in {
    cf_str user, password, otp, peer, agent;
};
struct cf_signed_in {
    enum cf_sign_in_result result;
    char cookie[65];
    char user_id[40];       /* of a known account, also on failure */
    int64_t retry_after_us; /* LOCKED */
    bool recovery;          /* OK by a recovery code, which is used up now */
};
/* 0 whatever the result; <0 only when the store failed. */
int cf_directory_sign_in(struct cf_directory *d, const struct cf_sign_in *in, struct cf_signed_in *ret, struct cf_error *reterr);
int cf_directory_sign_out(struct cf_directory *d, cf_str session_id, struct cf_error *reterr);
/* Ends every session of a user except one (.n == 0: all). */
int cf_directory_end_sessions(struct cf_directory *d, struct cf_tx *tx, cf_str user_id, cf_str except_session, struct cf_error *reterr);

extern const struct cf_migration cf_directory_migrations[];
extern const size_t cf_directory_n_migrations;
void cf_directory_routes(void);

#endif
