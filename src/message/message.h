/* SPDX-License-Identifier: Apache-2.0
 * message: telling people. One call inside the caller's transaction writes the in-app message of each person and, for the
 * template's other channels, entries of a durable outbox; a thread delivers them with retries and keeps the log.
 *
 *   caller's tx --> message rows (per person) + outbox rows --commit--> delivery thread --> SSE "message"
 *                                                                        |--> SMTP (libcurl, STARTTLS, sign-in)
 *                                                                        '--> webhook (signed like DingTalk robots) */
#ifndef CF_MESSAGE_MESSAGE_H
#define CF_MESSAGE_MESSAGE_H

#include "store/record_store.h"

struct cf_hub;
struct cf_messenger;
struct cf_messenger_options { /* borrowed for the messenger's life */
    struct cf_db *db;
    struct cf_hub *hub;         /* may be NULL */
    const char *content_dir;    /* <content_dir>/messages */
    cf_str smtp_url;            /* "smtp://host:587" or "smtps://host:465"; empty: no e-mail */
    cf_str smtp_from, smtp_user, smtp_password_file;
    cf_str smtp_tls;            /* "none", "try", "require" (STARTTLS); empty: try */
    cf_str smtp_ca_file;        /* empty: the system's */
    cf_str webhook_url;         /* empty: no webhook */
    cf_str webhook_secret_file; /* empty: unsigned */
    cf_str public_url;          /* address of the console for links in mails; may be empty */
    int64_t retry_us;           /* first retry after this, then doubled; 0: 10 s */
    int64_t max_attempts;       /* 0: 10 */
    bool thread;                /* deliver by itself; tests call cf_messenger_deliver */
};
int cf_messenger_new(const struct cf_messenger_options *o, struct cf_messenger **ret, struct cf_error *reterr);
void cf_messenger_free(struct cf_messenger *m); /* NULL is fine; ends the thread */
bool cf_messenger_template_known(void *messenger, cf_str id);

struct cf_msg_var {
    const char *name;
    cf_str value;
};
struct cf_msg {
    cf_str template;      /* content/messages/ID.yaml */
    const cf_str *users;  /* ids; each once */
    size_t n_users;
    const struct cf_msg_var *vars;
    size_t n_vars;
    cf_str href;          /* page of the console, "/notices/ID" */
    cf_str level;         /* may be absent */
};
/* Part of the caller's transaction: nothing is sent when it rolls back. */
int cf_messenger_send(struct cf_messenger *m, struct cf_tx *tx, const struct cf_msg *msg, struct cf_error *reterr);
void cf_messenger_kick(struct cf_messenger *m); /* after commit: deliver soon */
/* One pass over what is due. */
int cf_messenger_deliver(struct cf_messenger *m, int64_t now_us, size_t *ret_sent, size_t *ret_failed, struct cf_error *reterr);

/* Signature of DingTalk robots: base64(HMAC-SHA256(secret, "timestamp\nsecret")), not yet URL-encoded. */
bool cf_webhook_sign(cf_str secret, int64_t timestamp_ms, char out[64]);
/* A complete mail (headers and base64 body, CRLF). Line breaks in subject or addresses cannot add headers. */
void cf_mail_compose(cf_str from, cf_str to, cf_str subject, cf_str body, int64_t now_us, cf_str message_id, struct cf_buf *out);

void cf_message_routes(void);
extern const struct cf_migration cf_message_migrations[];
extern const size_t cf_message_n_migrations;

#endif
