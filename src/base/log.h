/* SPDX-License-Identifier: Apache-2.0
 * Structured logging in logfmt: ts=... level=... mod=collect msg="..." key=value. Secrets never go in.
 * Each call site is limited to 50 lines a 10 s; what was left out is counted in the next line of that site. */
#ifndef CF_BASE_LOG_H
#define CF_BASE_LOG_H

#include "base/str.h"

enum cf_log_level { CF_LOG_DEBUG, CF_LOG_INFO, CF_LOG_WARN, CF_LOG_ERROR, CF_LOG_OFF };

struct cf_log_site {
    _Atomic int64_t window_us;
    _Atomic uint32_t n, dropped;
};

void cf_log_set_level(enum cf_log_level level); /* default info */
bool cf_log_level_parse(cf_str s, enum cf_log_level *ret);
void cf_log_set_fd(int fd); /* default 2; not owned */
/* kv: printf format of the ready key=value tail; values with spaces go through CF_LOG_Q-style quoting by "%s" in quotes. */
void cf_log_write(struct cf_log_site *site, enum cf_log_level level, const char *mod, const char *msg, const char *kv, ...)
    __attribute__((format(printf, 5, 6)));

#define CF_LOG_AT(level, mod, msg, ...)                                    \
    do {                                                                   \
        static struct cf_log_site cf_site_;                                \
        cf_log_write(&cf_site_, (level), (mod), (msg), "" __VA_ARGS__);    \
    } while (0)
/* cf_log_info("collect", "listening", "addr=%s port=%d", addr, port); the tail may be left out */
#define cf_log_debug(mod, msg, ...) CF_LOG_AT(CF_LOG_DEBUG, mod, msg, __VA_ARGS__)
#define cf_log_info(mod, msg, ...) CF_LOG_AT(CF_LOG_INFO, mod, msg, __VA_ARGS__)
#define cf_log_warn(mod, msg, ...) CF_LOG_AT(CF_LOG_WARN, mod, msg, __VA_ARGS__)
#define cf_log_error(mod, msg, ...) CF_LOG_AT(CF_LOG_ERROR, mod, msg, __VA_ARGS__)

#endif
