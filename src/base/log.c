/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define WINDOW_US (10 * CF_US_PER_S)
#define PER_WINDOW 50u

static _Atomic int log_level = CF_LOG_INFO;
static _Atomic int log_fd = 2;
static const char *const names[] = {"debug", "info", "warn", "error", "off"};

void cf_log_set_level(enum cf_log_level level) { log_level = (int)level; }
void cf_log_set_fd(int fd) { log_fd = fd; }

bool cf_log_level_parse(cf_str s, enum cf_log_level *ret)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (cf_str_eqz(s, names[i])) {
            *ret = (enum cf_log_level)i;
            return true;
        }
    }
    return false;
}

/* How many lines this site left out before this one, or -1: leave this one out too. */
static int64_t admit(struct cf_log_site *site)
{
    int64_t now = cf_mono_us(), start = site->window_us;

    if (now - start > WINDOW_US && atomic_compare_exchange_strong(&site->window_us, &start, now))
        site->n = 0;
    if (++site->n > PER_WINDOW) {
        site->dropped++;
        return -1;
    }
    return atomic_exchange(&site->dropped, 0);
}

void cf_log_write(struct cf_log_site *site, enum cf_log_level level, const char *mod, const char *msg, const char *kv, ...)
{
    char line[2048], ts[32];
    size_t cap = sizeof line - 2, n;
    int64_t dropped;
    int r;

    if ((int)level < log_level)
        return;
    dropped = admit(site);
    if (dropped < 0)
        return;
    r = snprintf(line, cap, "ts=%.*s level=%s mod=%s msg=\"%s\"", (int)cf_time_format(cf_now_us(), ts), ts, names[level], mod, msg);
    n = r < 0 ? 0 : (size_t)r < cap ? (size_t)r : cap - 1;
    if (kv[0] && n + 1 < cap) {
        va_list ap;
        line[n++] = ' ';
        va_start(ap, kv);
        r = vsnprintf(line + n, cap - n, kv, ap);
        va_end(ap);
        n += r < 0 ? 0 : (size_t)r < cap - n ? (size_t)r : cap - n - 1;
    }
    if (dropped > 0 && n + 1 < cap) {
        r = snprintf(line + n, cap - n, " left_out=%lld", (long long)dropped);
        n += r < 0 ? 0 : (size_t)r < cap - n ? (size_t)r : cap - n - 1;
    }
    for (size_t i = 0; i < n; i++) /* one line per entry, whatever came in */
        if ((unsigned char)line[i] < 0x20)
            line[i] = ' ';
    line[n++] = '\n';
    (void)!write(log_fd, line, n);
}
