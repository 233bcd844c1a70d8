/* SPDX-License-Identifier: Apache-2.0
 * Writing messages and the outbox, and the thread that delivers. */
#include "message/message_int.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <time.h>

#include "api/sse.h"

#define BATCH 50
#define IDLE_S 5

const struct cf_migration cf_message_migrations[] = {
    {521, "messages",
     "CREATE TABLE message (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, href TEXT, level TEXT, "
     "created_us BIGINT NOT NULL, read_us BIGINT, pushed BIGINT NOT NULL DEFAULT 0);\n"
     "CREATE INDEX message_user ON message (user_id, created_us);\n"
     "CREATE INDEX message_pushed ON message (pushed, id);\n"
     "CREATE TABLE outbox (id TEXT PRIMARY KEY, channel TEXT NOT NULL, user_id TEXT, target TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL, "
     "state TEXT NOT NULL, attempts BIGINT NOT NULL DEFAULT 0, next_us BIGINT NOT NULL, last_error TEXT, created_us BIGINT NOT NULL, sent_us BIGINT);\n"
     "CREATE INDEX outbox_due ON outbox (state, next_us);"},
};
const size_t cf_message_n_migrations = sizeof(cf_message_migrations) / sizeof(cf_message_migrations[0]);

static void *run(void *arg)
{
    struct cf_messenger *m = arg;

    (void)pthread_mutex_lock(&m->lock);
    while (!m->stop) {
        struct cf_error err = {0};
        struct timespec until;
        size_t sent = 0, failed = 0;
        int r;

        m->kicked = false;
        (void)pthread_mutex_unlock(&m->lock);
        r = cf_messenger_deliver(m, cf_now_us(), &sent, &failed, &err);
        if (r < 0)
            cf_log_warn("message", "delivery stopped", "error=\"%s\"", err.msg);
        (void)pthread_mutex_lock(&m->lock);
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += IDLE_S;
        while (!m->stop && !m->kicked && pthread_cond_timedwait(&m->wake, &m->lock, &until) == 0)
            ;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return NULL;
}

int cf_messenger_new(const struct cf_messenger_options *o, struct cf_messenger **ret, struct cf_error *reterr)
{
    struct cf_messenger *m = calloc(1, sizeof(*m));
    pthread_condattr_t attr;
    int r;

    if (!m)
        return cf_error_set(reterr, CF_ENOMEM, "out of memory");
    m->o = *o;
    if (m->o.retry_us <= 0)
        m->o.retry_us = 10 * CF_US_PER_S;
    if (m->o.max_attempts <= 0)
        m->o.max_attempts = 10;
    cf_arena_init(&m->arena, 0, 0);
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&m->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    r = msg_templates_load(m, reterr);
    if (r == 0 && o->thread) {
        m->running = pthread_create(&m->thread, NULL, run, m) == 0;
        if (!m->running)
            r = cf_error_set(reterr, CF_EIO, "no thread for the delivery of messages");
    }
    if (r < 0) {
        cf_messenger_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

void cf_messenger_free(struct cf_messenger *m)
{
    if (!m)
        return;
    (void)pthread_mutex_lock(&m->lock);
    m->stop = true;
    (void)pthread_cond_signal(&m->wake);
    (void)pthread_mutex_unlock(&m->lock);
    if (m->running)
        (void)pthread_join(m->thread, NULL);
    (void)pthread_cond_destroy(&m->wake);
    (void)pthread_mutex_destroy(&m->lock);
    cf_arena_release(&m->arena);
    free(m);
}

void cf_messenger_kick(struct cf_messenger *m)
{
    if (!m)
        return;
    (void)pthread_mutex_lock(&m->lock);
    m->kicked = true;
    (void)pthread_cond_signal(&m->wake);
    (void)pthread_mutex_unlock(&m->lock);
}

static int put_outbox(struct cf_tx *tx, const char *channel, cf_str user, cf_str target, cf_str subject, cf_str body, struct cf_error *err)
{
    int64_t now = cf_now_us();
    char id[37];

    cf_uuid7(id);
    return cf_tx_exec(tx, "INSERT INTO outbox (id, channel, user_id, target, subject, body, state, next_us, created_us) VALUES (?,?,?,?,?,?,'pending',?,?)", err,
                      CF_Z(id), CF_Z(channel), CF_S(user), CF_S(target), CF_S(subject), CF_S(body), CF_I(now), CF_I(now));
}

struct person {
    cf_str email, phone;
    bool en;
};

static int read_person(struct cf_tx *tx, struct cf_arena *a, cf_str id, struct person *p, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT email, phone, locale FROM app_user WHERE id = ? AND active = 1", &st, err, CF_S(id));

    if (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        p->email = cf_stmt_null(st, 0) ? CF_STR_NONE : cf_arena_copy(a, cf_stmt_str(st, 0));
        p->phone = cf_stmt_null(st, 1) ? CF_STR_NONE : cf_arena_copy(a, cf_stmt_str(st, 1));
        p->en = !cf_stmt_null(st, 2) && cf_str_starts(cf_stmt_str(st, 2), CF_STR("en"));
    }
    cf_stmt_free(st);
    return r;
}

static cf_str with_link(struct cf_messenger *m, struct cf_arena *a, cf_str body, cf_str href)
{
    if (!m->o.public_url.n || !href.n)
        return body;
    return cf_arena_printf(a, "%.*s\n\n%.*s%.*s", CF_ARG(body), CF_ARG(m->o.public_url), CF_ARG(href));
}

static int send_one(struct cf_messenger *m, struct cf_tx *tx, struct cf_arena *a, const struct msg_template *t, const struct cf_msg *msg, cf_str user,
                    struct cf_buf *mobiles, struct cf_error *err)
{
    struct person p = {CF_STR_NONE, CF_STR_NONE, false};
    cf_str title, body;
    char id[37];
    int r = read_person(tx, a, user, &p, err);

    if (r <= 0) /* gone or switched off: nobody to tell */
        return r;
    title = msg_fill(a, p.en ? t->title.en : t->title.zh, msg->vars, msg->n_vars);
    body = msg_fill(a, p.en ? t->body.en : t->body.zh, msg->vars, msg->n_vars);
    cf_uuid7(id);
    r = cf_tx_exec(tx, "INSERT INTO message (id, user_id, kind, title, body, href, level, created_us) VALUES (?,?,?,?,?,?,?,?)", err, CF_Z(id), CF_S(user),
                   CF_S(msg->template), CF_S(title), CF_S(body), CF_S(msg->href), CF_S(msg->level), CF_I(cf_now_us()));
    if (r == 0 && t->email && m->o.smtp_url.n && p.email.n)
        r = put_outbox(tx, "email", user, p.email, title, with_link(m, a, body, msg->href), err);
    if (p.phone.n) {
        if (mobiles->n)
            cf_buf_byte(mobiles, ',');
        cf_buf_str(mobiles, p.phone);
    }
    return r;
}

int cf_messenger_send(struct cf_messenger *m, struct cf_tx *tx, const struct cf_msg *msg, struct cf_error *reterr)
{
    const struct msg_template *t = m->templates;
    struct cf_buf mobiles;
    struct cf_arena a;
    int r = 0;

    while (t && !cf_str_eq(t->id, msg->template))
        t = t->next;
    if (!t)
        return cf_error_set(reterr, CF_ENOENT, "message template \"%.*s\" does not exist", CF_ARG(cf_str_sub(msg->template, 0, 64)));
    cf_arena_init(&a, 0, 0);
    cf_buf_init(&mobiles, (size_t)64 << 10);
    for (size_t i = 0; r == 0 && i < msg->n_users; i++) {
        bool twice = false;

        for (size_t k = 0; k < i; k++)
            twice |= cf_str_eq(msg->users[k], msg->users[i]);
        if (!twice)
            r = send_one(m, tx, &a, t, msg, msg->users[i], &mobiles, reterr);
        if (r > 0)
            r = 0;
    }
    if (r == 0 && t->webhook && m->o.webhook_url.n && msg->n_users) {
        cf_str body = with_link(m, &a, msg_fill(&a, t->body.zh, msg->vars, msg->n_vars), msg->href);

        r = put_outbox(tx, "webhook", CF_STR_NONE, mobiles.n ? cf_buf_view(&mobiles) : CF_STR(""), msg_fill(&a, t->title.zh, msg->vars, msg->n_vars), body, reterr);
    }
    cf_buf_release(&mobiles);
    cf_arena_release(&a);
    return r;
}

/* ---- delivery ---- */

struct push {
    char id[37];
    cf_str user;
    json_t *payload;
};

static int push_live(struct cf_messenger *m, struct cf_error *err)
{
    struct push v[BATCH];
    struct cf_stmt *st = NULL;
    struct cf_tx *tx = NULL;
    struct cf_arena a;
    size_t n = 0;
    int r = cf_tx_begin(m->o.db, CF_TX_READ, &tx, err);

    cf_arena_init(&a, 0, 0);
    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, user_id, title, body, href, kind, level, created_us FROM message WHERE pushed = 0 ORDER BY id LIMIT 50", &st, err);
    while (r == 0 && n < BATCH && (r = cf_stmt_next(st, err)) == 1) {
        char t[32];
        size_t tn = cf_time_format(cf_stmt_i64(st, 7), t);

        (void)snprintf(v[n].id, sizeof(v[n].id), "%.*s", CF_ARG(cf_stmt_str(st, 0)));
        v[n].user = cf_arena_copy(&a, cf_stmt_str(st, 1));
        v[n].payload = json_pack("{s:s, s:s%, s:o, s:o, s:o, s:o, s:o, s:b}", "id", v[n].id, "time", t, tn, "title", cf_str_json(cf_stmt_str(st, 2)), "body",
                                 cf_str_json(cf_stmt_str(st, 3)), "href", cf_str_json(cf_stmt_str(st, 4)), "kind", cf_str_json(cf_stmt_str(st, 5)), "level",
                                 cf_str_json(cf_stmt_str(st, 6)), "read", 0);
        n++;
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    if (r >= 0 && n) {
        r = cf_tx_begin(m->o.db, CF_TX_WRITE, &tx, err);
        for (size_t i = 0; r == 0 && i < n; i++)
            r = cf_tx_exec(tx, "UPDATE message SET pushed = 1 WHERE id = ?", err, CF_Z(v[i].id));
        r = r == 0 ? cf_tx_commit(&tx, err) : r;
        cf_tx_rollback(&tx);
    }
    for (size_t i = 0; i < n; i++) {
        if (r == 0 && m->o.hub && v[i].payload)
            cf_hub_publish(m->o.hub, "message", CF_STR(""), v[i].user, v[i].payload);
        json_decref(v[i].payload);
    }
    cf_arena_release(&a);
    return r < 0 ? r : (int)n;
}

struct due {
    struct msg_out out;
    int64_t attempts;
};

static int read_due(struct cf_messenger *m, struct cf_arena *a, int64_t now_us, struct due *v, size_t *ret_n, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    struct cf_tx *tx = NULL;
    size_t n = 0;
    int r = cf_tx_begin(m->o.db, CF_TX_READ, &tx, err);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT id, channel, target, subject, body, attempts FROM outbox WHERE state = 'pending' AND next_us <= ? ORDER BY next_us, id LIMIT 50", &st,
                        err, CF_I(now_us));
    while (r == 0 && n < BATCH && (r = cf_stmt_next(st, err)) == 1) {
        v[n].out = (struct msg_out){cf_arena_copy(a, cf_stmt_str(st, 0)), cf_arena_copy(a, cf_stmt_str(st, 1)), cf_arena_copy(a, cf_stmt_str(st, 2)),
                                    cf_arena_copy(a, cf_stmt_str(st, 3)), cf_arena_copy(a, cf_stmt_str(st, 4))};
        v[n++].attempts = cf_stmt_i64(st, 5);
        r = 0;
    }
    cf_stmt_free(st);
    cf_tx_rollback(&tx);
    *ret_n = n;
    return r < 0 ? r : 0;
}

static int mark(struct cf_messenger *m, const struct due *d, int result, const struct cf_error *why, int64_t now_us, struct cf_error *err)
{
    int64_t attempts = d->attempts + 1, wait = m->o.retry_us;
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(m->o.db, CF_TX_WRITE, &tx, err);

    for (int64_t i = 1; i < attempts && wait < INT64_C(3600) * CF_US_PER_S; i++)
        wait *= 2;
    if (wait > INT64_C(3600) * CF_US_PER_S)
        wait = INT64_C(3600) * CF_US_PER_S;
    if (r == 0 && result == 0)
        r = cf_tx_exec(tx, "UPDATE outbox SET state = 'sent', attempts = ?, sent_us = ?, last_error = NULL WHERE id = ?", err, CF_I(attempts), CF_I(now_us), CF_S(d->out.id));
    else if (r == 0)
        r = cf_tx_exec(tx, "UPDATE outbox SET state = ?, attempts = ?, next_us = ?, last_error = ? WHERE id = ?", err,
                       CF_Z(attempts >= m->o.max_attempts ? "failed" : "pending"), CF_I(attempts), CF_I(now_us + wait), CF_Z(why->msg), CF_S(d->out.id));
    if (r == 0)
        r = cf_tx_commit(&tx, err);
    cf_tx_rollback(&tx);
    return r;
}

int cf_messenger_deliver(struct cf_messenger *m, int64_t now_us, size_t *ret_sent, size_t *ret_failed, struct cf_error *reterr)
{
    struct due v[BATCH];
    struct cf_arena a;
    size_t n = 0;
    int r = 0;

    *ret_sent = *ret_failed = 0;
    do {
        r = push_live(m, reterr);
    } while (r == BATCH);
    if (r < 0)
        return r;
    cf_arena_init(&a, 0, 0);
    r = read_due(m, &a, now_us, v, &n, reterr);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct cf_error why = {0};
        int sent = cf_str_eqz(v[i].out.channel, "email") ? msg_send_mail(m, &v[i].out, &why) : msg_send_webhook(m, &v[i].out, &why);

        if (sent == 0)
            ++*ret_sent;
        else
            ++*ret_failed;
        r = mark(m, &v[i], sent, &why, now_us, reterr);
    }
    cf_arena_release(&a);
    return r;
}
