/* SPDX-License-Identifier: Apache-2.0
 * Time. Wall times are int64 microseconds since 1970 UTC (suffix _us); deadlines use the monotonic clock. */
#ifndef CF_BASE_CLOCK_H
#define CF_BASE_CLOCK_H

#include "base/str.h"

#define CF_US_PER_S INT64_C(1000000)
#define CF_US_PER_DAY (INT64_C(86400) * CF_US_PER_S)
#define CF_TIME_NONE INT64_MIN

int64_t cf_now_us(void);  /* wall clock */
int64_t cf_mono_us(void); /* monotonic */

/* Days since 1970-01-01 of a proleptic Gregorian date, and back. month 1..12. */
int64_t cf_days_from_civil(int year, unsigned month, unsigned day);
void cf_civil_from_days(int64_t days, int *year, unsigned *month, unsigned *day);

/* RFC 3339 / ISO 8601: date, 'T' or space, time, optional fraction (1..9 digits), optional Z or offset (default UTC). */
bool cf_time_parse(cf_str s, int64_t *ret_us);
/* "2026-11-21T06:00:00.123456Z" (fraction left out when zero); returns length, no NUL. */
size_t cf_time_format(int64_t us, char buf[32]);
/* RFC 3339 or now, now-15m, now-1h, now-7d, now+1h (units s m h d w). */
bool cf_time_parse_rel(cf_str s, int64_t now_us, int64_t *ret_us);

#endif
