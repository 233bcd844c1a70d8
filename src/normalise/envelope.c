/* SPDX-License-Identifier: Apache-2.0
 * Fields of the syslog envelope. */
#include <pthread.h>

#include "normalise/source.h"

static const cf_str facilities[] = {{"kernel", 6}, {"user-level", 10}, {"mail", 4}, {"system", 6},
    {"security/authorization", 22}, {"syslogd", 7}, {"line-printer", 12}, {"network-news", 12}, {"uucp", 4},
    {"clock", 5}, {"authpriv", 8}, {"ftp", 3}, {"ntp", 3}, {"log-audit", 9}, {"log-alert", 9}, {"clock2", 6},
    {"local0", 6}, {"local1", 6}, {"local2", 6}, {"local3", 6}, {"local4", 6}, {"local5", 6}, {"local6", 6},
    {"local7", 6}};
static const cf_str severities[] = {{"Emergency", 9}, {"Alert", 5}, {"Critical", 8}, {"Error", 5}, {"Warning", 7},
    {"Notice", 6}, {"Informational", 13}, {"Debug", 5}};
/* "0" to "191", three places each */
static char numbers3[192][3];
/* What a priority tells: five values, as they stand in an event that has none yet. */
static const uint16_t pri_field[5] = {CF_F_LOG_SYSLOG_PRIORITY, CF_F_LOG_SYSLOG_FACILITY_CODE, CF_F_LOG_SYSLOG_SEVERITY_CODE, CF_F_LOG_SYSLOG_FACILITY_NAME,
                                      CF_F_LOG_SYSLOG_SEVERITY_NAME};
static struct cf_value pri_values[192][5];
static pthread_once_t numbers_once = PTHREAD_ONCE_INIT;

static cf_str small_number(int v)
{
    size_t n = v < 10 ? 1 : v < 100 ? 2 : 3;

    return cf_str_n(numbers3[v] + 3 - n, n);
}

static void numbers_fill(void)
{
    for (int i = 0; i < 192; i++) {
        numbers3[i][0] = (char)('0' + i / 100);
        numbers3[i][1] = (char)('0' + i / 10 % 10);
        numbers3[i][2] = (char)('0' + i % 10);
    }
    for (int i = 0; i < 192; i++) {
        const cf_str v[5] = {small_number(i), small_number(i >> 3), small_number(i & 7), facilities[i >> 3], severities[i & 7]};
        for (size_t k = 0; k < 5; k++)
            pri_values[i][k] = (struct cf_value){.p = v[k].p, .n = (uint32_t)v[k].n, .id = pri_field[k], .kind = k < 3 ? CF_V_INT : CF_V_STR};
    }
}

static bool digits_only(cf_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned)(s.p[i] - '0') > 9)
            return false;
    return s.n > 0 && s.n < 19;
}

static inline void put(struct cf_run *r, enum cf_field f, cf_str v)
{
    if (v.n && cf_event_put(r->ev, f, v, 0, CF_V_STR) == CF_ENOMEM)
        r->oom = true;
}

static void put_priority(struct cf_run *r, int pri)
{
    struct cf_event *ev = r->ev;

    if (!ev->n) { /* nothing came before: cap is never below 5 */
        memcpy(ev->val, pri_values[pri], sizeof pri_values[pri]);
        for (size_t k = 0; k < 5; k++)
            ev->slot[pri_field[k]] = (uint8_t)(k + 1);
        ev->n = 5;
        return;
    }
    for (size_t k = 0; k < 5; k++) {
        const struct cf_value *v = &pri_values[pri][k];
        (void)cf_event_put(ev, (enum cf_field)v->id, cf_str_n(v->p, v->n), 0, (enum cf_vkind)v->kind);
    }
}

/* Records of one sender come together. */
static bool peer_is_address(struct cf_norm_thread *t, cf_str peer)
{
    struct cf_ip ip;

    if (peer.n > sizeof t->peer.text)
        return false; /* longer than any address */
    if (t->peer.n != peer.n || !cf_same_text(t->peer.text, peer.p, peer.n)) {
        memcpy(t->peer.text, peer.p, peer.n);
        t->peer.n = peer.n;
        t->peer.address = cf_ip_parse(peer, &ip);
    }
    return t->peer.address;
}

void cf_run_envelope(struct cf_run *r)
{
    struct cf_syslog *s = &r->sl;
    int64_t pid;

    (void)pthread_once(&numbers_once, numbers_fill);
    if (s->pri >= 0)
        put_priority(r, s->pri);
    if (s->host.n) {
        put(r, CF_F_HOST_NAME, s->host);
        put(r, CF_F_HOST_HOSTNAME, s->host);
        if (s->addr.n)
            put(r, CF_F_HOST_IP, s->addr);
    } else if (r->rec->peer.n && s->pri >= 0) {
        if (peer_is_address(r->t, r->rec->peer)) {
            put(r, CF_F_HOST_NAME, r->rec->peer);
            put(r, CF_F_HOST_IP, r->rec->peer);
        }
    }
    if (s->app.n) {
        put(r, CF_F_PROCESS_NAME, s->app);
        if (s->pid.n && (digits_only(s->pid) || cf_str_i64(s->pid, &pid)))
            (void)cf_event_put(r->ev, CF_F_PROCESS_PID, s->pid, 0, CF_V_INT);
    }
    if (s->version) {
        (void)cf_event_set_raw(r->ev, CF_F_LOG_SYSLOG_VERSION, small_number(s->version), 0, CF_V_STR);
        put(r, CF_F_LOG_SYSLOG_APPNAME, s->app);
        put(r, CF_F_LOG_SYSLOG_PROCID, s->pid);
        put(r, CF_F_LOG_SYSLOG_HOSTNAME, s->host);
        put(r, CF_F_LOG_SYSLOG_MSGID, s->msgid);
        put(r, CF_F_LOG_SYSLOG_STRUCTURED_DATA, s->sd);
        if (s->sd.n)
            (void)cf_syslog_sd(s->sd, r->a, &r->pairs);
    }
}
