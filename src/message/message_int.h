/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CF_MESSAGE_MESSAGE_INT_H
#define CF_MESSAGE_MESSAGE_INT_H

#include <pthread.h>

#include "form/content.h"
#include "message/message.h"

struct msg_template {
    cf_str id;
    struct cf_text title, body;
    bool email, webhook;
    struct msg_template *next;
};
struct cf_messenger {
    struct cf_messenger_options o;
    struct cf_arena arena;
    struct msg_template *templates;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, kicked; /* under lock */
    bool running;
};
int msg_templates_load(struct cf_messenger *m, struct cf_error *reterr);
/* "{name}" -> value; unknown names stay as they are. */
cf_str msg_fill(struct cf_arena *a, cf_str text, const struct cf_msg_var *v, size_t n);

struct msg_out { /* one outbox entry */
    cf_str id, channel, target, subject, body;
};
int msg_send_mail(const struct cf_messenger *m, const struct msg_out *o, struct cf_error *reterr);
int msg_send_webhook(const struct cf_messenger *m, const struct msg_out *o, struct cf_error *reterr);

#endif
