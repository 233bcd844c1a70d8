/* SPDX-License-Identifier: Apache-2.0
 * The systemd journal: entries in export format (blocks of KEY=value lines; binary values are KEY, line feed, 64-bit
 * little-endian length, bytes, line feed; an empty line ends an entry) and single fields for the JSON form. */
#include <pthread.h>

#include "normalise/journal.h"

/* One field at p. Returns bytes used, 0: an entry ends here, SIZE_MAX: more text is needed. */
static size_t one_field(const char *p, size_t n, cf_str *key, cf_str *val)
{
    const char *nl = n ? memchr(p, '\n', n) : NULL, *eq;
    uint64_t len = 0;
    size_t at;

    if (!nl)
        return SIZE_MAX;
    if (nl == p)
        return 0;
    eq = memchr(p, '=', (size_t)(nl - p));
    if (eq) {
        *key = cf_str_n(p, (size_t)(eq - p));
        *val = cf_str_n(eq + 1, (size_t)(nl - eq - 1));
        return (size_t)(nl - p) + 1;
    }
    at = (size_t)(nl - p) + 1;
    if (n - at < 9)
        return SIZE_MAX;
    for (int i = 7; i >= 0; i--)
        len = len << 8 | (uint8_t)p[at + (size_t)i];
    if (len > CF_JOURNAL_FIELD_MAX) { /* no such length: the text is no binary field, go on behind the line */
        *key = *val = CF_STR_NONE;
        return at;
    }
    if (n - at - 8 < len + 1)
        return SIZE_MAX;
    *key = cf_str_n(p, at - 1);
    *val = cf_str_n(p + at + 8, (size_t)len);
    return at + 8 + (size_t)len + 1;
}

bool cf_journal_is(cf_str s) { return cf_str_starts(s, CF_STR("__CURSOR=")); }

size_t cf_journal_block(const char *p, size_t n)
{
    size_t at = 0;
    cf_str k, v;

    while (at < n) {
        size_t used = one_field(p + at, n - at, &k, &v);
        if (used == SIZE_MAX)
            return SIZE_MAX;
        if (used == 0)
            return at;
        at += used;
    }
    return SIZE_MAX;
}

static const struct {
    const char *key, *name;
} own[] = {{"_SYSTEMD_UNIT", "systemd.unit"}, {"UNIT", "systemd.unit"}, {"_BOOT_ID", "journald.host.boot_id"}, {"_TRANSPORT", "journald.transport"},
           {"_UID", "journald.uid"}, {"_GID", "journald.gid"}, {"_AUDIT_SESSION", "journald.audit.session"}, {"_AUDIT_LOGINUID", "journald.audit.login_uid"},
           {"_SELINUX_CONTEXT", "journald.selinux_context"}, {"CODE_FILE", "journald.code.file"}, {"MESSAGE_ID", "journald.message_id"}};
static uint16_t names[sizeof own / sizeof *own];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void names_fill(void)
{
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        names[i] = cf_name_intern(cf_str_c(own[i].name));
}

void cf_journal_field(struct cf_run *r, cf_str k, cf_str v, cf_str *message)
{
    int64_t n;

    if (!v.n)
        return;
    if (cf_str_eqz(k, "MESSAGE"))
        *message = v;
    else if (cf_str_eqz(k, "__REALTIME_TIMESTAMP") && cf_str_i64(v, &n))
        r->ev->time_us = n;
    else if (cf_str_eqz(k, "_HOSTNAME"))
        r->sl.host = v;
    else if (cf_str_eqz(k, "SYSLOG_IDENTIFIER") || (cf_str_eqz(k, "_COMM") && !r->sl.app.n))
        r->sl.app = v;
    else if (cf_str_eqz(k, "_PID") || (cf_str_eqz(k, "SYSLOG_PID") && !r->sl.pid.n))
        r->sl.pid = v;
    else if (cf_str_eqz(k, "PRIORITY") && cf_str_i64(v, &n) && n >= 0 && n < 8)
        (void)cf_event_put(r->ev, CF_F_LOG_SYSLOG_SEVERITY_CODE, v, 0, CF_V_INT);
    else if (cf_str_eqz(k, "SYSLOG_FACILITY") && cf_str_i64(v, &n) && n >= 0 && n < 24)
        (void)cf_event_put(r->ev, CF_F_LOG_SYSLOG_FACILITY_CODE, v, 0, CF_V_INT);
    else if (cf_str_eqz(k, "_EXE"))
        (void)cf_event_put(r->ev, CF_F_PROCESS_EXECUTABLE, v, 0, CF_V_STR);
    else if (cf_str_eqz(k, "_CMDLINE"))
        (void)cf_event_put(r->ev, CF_F_PROCESS_COMMAND_LINE, v, 0, CF_V_STR);
    else if (cf_str_eqz(k, "_MACHINE_ID"))
        (void)cf_event_put(r->ev, CF_F_HOST_ID, v, 0, CF_V_STR);
    else if (cf_str_eqz(k, "CONTAINER_ID"))
        (void)cf_event_put(r->ev, CF_F_CONTAINER_ID, v, 0, CF_V_STR);
    else {
        (void)pthread_once(&names_once, names_fill);
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            if (cf_str_eqz(k, own[i].key))
                (void)cf_event_extra(r->ev, names[i], v, 0, CF_V_STR);
    }
}

bool cf_journal_entry(struct cf_run *r, cf_str text, cf_str *ret)
{
    size_t at = 0;
    cf_str message = CF_STR_NONE, k, v;
    char *copy = cf_arena_bytes(r->a, text.n + 1); /* the last field ends with a line feed as the others do */

    if (!copy)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\n';
    while (at < text.n + 1) {
        size_t used = one_field(copy + at, text.n + 1 - at, &k, &v);
        if (used == SIZE_MAX || used == 0)
            break;
        at += used;
        cf_journal_field(r, k, v, &message);
    }
    *ret = cf_str_trim(message);
    return message.n > 0;
}
