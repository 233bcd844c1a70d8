/* SPDX-License-Identifier: Apache-2.0
 * Timestamps as sources write them: strptime-like formats plus names (iso8601, unix, unix_ms, unix_us, unix_ns, syslog,
 * auto), time zones from the system's zone files or fixed offsets, and the missing year of syslog. */
#ifndef CF_NORMALISE_TIMEFMT_H
#define CF_NORMALISE_TIMEFMT_H

#include "base/base.h"

struct cf_zone {
    int32_t fixed;   /* seconds east of UTC when n is 0, or before the first change */
    size_t n;
    int64_t *at;     /* UTC seconds of each change */
    int32_t *off;    /* offset from that change on */
};
/* "+08:00", "Z", "UTC", "Asia/Shanghai", "local" or "" (local). Lives in arena. */
int cf_zone_load(struct cf_arena *a, cf_str name, struct cf_zone *ret, struct cf_error *reterr);
/* Seconds since 1970 of a wall time in the zone (given as seconds since 1970 as if it were UTC). */
int64_t cf_zone_to_utc(const struct cf_zone *z, int64_t local_s);
int32_t cf_zone_offset(const struct cf_zone *z, int64_t utc_s);

/* What a stamp said. */
struct cf_stamp {
    int year; /* 0: missing */
    unsigned month, day, hour, min, sec;
    int32_t us, offset_s;
    bool has_offset, epoch;
    int64_t epoch_us; /* epoch: everything else is unset */
};
/* Adds zone and year: of the years that are possible the one that puts the time nearest to now, at most two days ahead. */
bool cf_stamp_us(const struct cf_stamp *st, const struct cf_zone *z, int64_t now_us, int64_t *ret_us);

/* Whole s must follow fmt (a name above or a pattern of %Y %y %m %d %e %b %H %I %M %S %p %f %z %Z %s %j and text; a
 * space stands for any run of spaces). */
bool cf_stamp_parse(cf_str fmt, cf_str s, struct cf_stamp *ret);
bool cf_stamp_format_ok(cf_str fmt); /* is this a format? for checks at load */
/* "Nov 21 06:00:00", also with fraction, year before or behind the time, and zone; returns bytes used, 0: not one. */
size_t cf_stamp_bsd(cf_str s, struct cf_stamp *ret);
/* Date, 'T' or blanks, time, optional fraction and zone; returns bytes used, 0: not one. */
size_t cf_stamp_iso(cf_str s, struct cf_stamp *ret);
/* Formats seen in the field, tried in turn. */
bool cf_stamp_auto(cf_str s, struct cf_stamp *ret);

#endif
