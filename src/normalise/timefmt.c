/* SPDX-License-Identifier: Apache-2.0 */
#include "normalise/timefmt.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned be32(const uint8_t *p) { return (unsigned)p[0] << 24 | (unsigned)p[1] << 16 | (unsigned)p[2] << 8 | p[3]; }
static int64_t be64(const uint8_t *p) { return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4)); }

/* TZif version 2+ (RFC 8536): the 64-bit block behind the 32-bit one. The rule for years after the last change (the
 * footer) is not read: the last offset goes on. */
static int zone_file(struct cf_arena *a, cf_str data, struct cf_zone *ret)
{
    const uint8_t *p = (const uint8_t *)data.p;
    size_t left = data.n;

    for (int round = 0; round < 2; round++) {
        unsigned c[6];
        size_t tsize = round ? 8 : 4, body;
        const uint8_t *at, *idx, *types;

        if (left < 44 || memcmp(p, "TZif", 4) != 0)
            return CF_ESYNTAX;
        for (int i = 0; i < 6; i++)
            c[i] = be32(p + 20 + 4 * i);
        for (int i = 0; i < 6; i++)
            if (c[i] > 100000)
                return CF_ESYNTAX;
        body = (size_t)c[3] * tsize + c[3] + (size_t)c[4] * 6 + c[5] + (size_t)c[2] * (tsize + 4) + c[1] + c[0];
        if (left < 44 + body || c[4] == 0)
            return CF_ESYNTAX;
        if (round == 0 && p[4] >= '2') {
            p += 44 + body;
            left -= 44 + body;
            continue;
        }
        if (round == 0)
            return CF_EUNSUPPORTED;
        at = p + 44;
        idx = at + (size_t)c[3] * tsize;
        types = idx + c[3];
        ret->fixed = (int32_t)be32(types);
        ret->at = CF_NEW_N(a, int64_t, c[3] + 1);
        ret->off = CF_NEW_N(a, int32_t, c[3] + 1);
        if (!ret->at || !ret->off)
            return CF_ENOMEM;
        for (unsigned i = 0; i < c[3]; i++) {
            if (idx[i] >= c[4])
                return CF_ESYNTAX;
            ret->at[i] = be64(at + (size_t)i * 8);
            ret->off[i] = (int32_t)be32(types + (size_t)idx[i] * 6);
        }
        ret->n = c[3];
        return 0;
    }
    return CF_ESYNTAX;
}

static bool digits(cf_str s, size_t at, size_t n, unsigned *ret)
{
    unsigned v = 0;

    if (at + n > s.n)
        return false;
    for (size_t i = at; i < at + n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';
        if (d > 9)
            return false;
        v = v * 10 + d;
    }
    *ret = v;
    return true;
}

/* "+08:00" "+0800" "+08" "Z"; bytes used, 0: none */
static size_t offset_at(cf_str s, size_t at, int32_t *ret)
{
    unsigned h, m = 0;
    size_t n = 3;

    if (at >= s.n)
        return 0;
    if (s.p[at] == 'Z' || s.p[at] == 'z') {
        *ret = 0;
        return 1;
    }
    if ((s.p[at] != '+' && s.p[at] != '-') || !digits(s, at + 1, 2, &h))
        return 0;
    if (at + 3 < s.n && s.p[at + 3] == ':' && digits(s, at + 4, 2, &m))
        n = 6;
    else if (digits(s, at + 3, 2, &m))
        n = 5;
    else
        m = 0;
    if (h > 14 || m > 59)
        return 0;
    *ret = (int32_t)(h * 3600 + m * 60) * (s.p[at] == '-' ? -1 : 1);
    return n;
}

int cf_zone_load(struct cf_arena *a, cf_str name, struct cf_zone *ret, struct cf_error *reterr)
{
    char path[300];
    struct cf_buf b;
    int32_t off;
    const char *tz = getenv("TZ");
    int r;

    memset(ret, 0, sizeof *ret);
    if (cf_str_eqz(name, "UTC") || cf_str_eqz(name, "GMT"))
        return 0;
    if (name.n && offset_at(name, 0, &off) == name.n) {
        ret->fixed = off;
        return 0;
    }
    if (name.n == 0 || cf_str_eqz(name, "local")) {
        if (tz && *tz && strcmp(tz, "UTC") != 0 && !strchr(tz, '/'))
            return 0;
        if (tz && strchr(tz, '/') && tz[0] != ':')
            name = cf_str_c(tz);
        else
            name = CF_STR("local");
    }
    if (name.n > 100 || cf_str_find(name, CF_STR("..")) >= 0 || name.p[0] == '/')
        return cf_error_set(reterr, CF_EINVAL, "time zone \"%.*s\" is not known (write +08:00 or Asia/Shanghai)", CF_ARG(name));
    if (cf_str_eqz(name, "local"))
        (void)snprintf(path, sizeof path, "/etc/localtime");
    else
        (void)snprintf(path, sizeof path, "/usr/share/zoneinfo/%.*s", CF_ARG(name));
    cf_buf_init(&b, 1u << 20);
    r = cf_file_read(path, &b, NULL);
    if (r == 0)
        r = zone_file(a, cf_buf_view(&b), ret);
    cf_buf_release(&b);
    if (r < 0 && cf_str_eqz(name, "local")) {
        memset(ret, 0, sizeof *ret); /* no zone file: the machine runs on UTC */
        return 0;
    }
    if (r < 0)
        return cf_error_set(reterr, CF_EINVAL, "time zone \"%.*s\" is not known (write +08:00 or Asia/Shanghai)", CF_ARG(name));
    return 0;
}

int32_t cf_zone_offset(const struct cf_zone *z, int64_t utc_s)
{
    size_t lo = 0, hi = z->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (z->at[mid] <= utc_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? z->off[lo - 1] : z->fixed;
}

int64_t cf_zone_to_utc(const struct cf_zone *z, int64_t local_s)
{
    int32_t off;

    if (z->n == 0)
        return local_s - z->fixed;
    off = cf_zone_offset(z, local_s - z->fixed);
    off = cf_zone_offset(z, local_s - off);
    return local_s - off;
}

static bool in_range(const struct cf_stamp *st)
{
    return st->month >= 1 && st->month <= 12 && st->day >= 1 && st->day <= 31 && st->hour <= 24 && st->min <= 59 && st->sec <= 60;
}

bool cf_stamp_us(const struct cf_stamp *st, const struct cf_zone *z, int64_t now_us, int64_t *ret_us)
{
    int64_t s, best = CF_TIME_NONE, now_s = now_us / CF_US_PER_S;
    unsigned month, day;
    int year;

    if (st->epoch) {
        *ret_us = st->epoch_us;
        return true;
    }
    if (!in_range(st))
        return false;
    if (st->year) {
        if (st->year < 1 || st->year > 9999)
            return false;
        s = cf_days_from_civil(st->year, st->month, st->day) * 86400 + st->hour * 3600 + st->min * 60 + st->sec;
        s = st->has_offset ? s - st->offset_s : cf_zone_to_utc(z, s);
        *ret_us = s * CF_US_PER_S + st->us;
        return true;
    }
    cf_civil_from_days(now_s / 86400, &year, &month, &day);
    for (int y = year + 1; y >= year - 1; y--) {
        if (st->month == 2 && st->day == 29 && ((y % 4) != 0 || ((y % 100) == 0 && (y % 400) != 0)))
            continue;
        s = cf_days_from_civil(y, st->month, st->day) * 86400 + st->hour * 3600 + st->min * 60 + st->sec;
        s = st->has_offset ? s - st->offset_s : cf_zone_to_utc(z, s);
        best = s;
        if (s <= now_s + 2 * 86400)
            break;
    }
    if (best == CF_TIME_NONE)
        return false;
    *ret_us = best * CF_US_PER_S + st->us;
    return true;
}

static unsigned month_of(const char *p)
{
#define M(a, b, c) ((unsigned)(a) << 16 | (unsigned)(b) << 8 | (unsigned)(c))
    switch (M((unsigned char)(p[0] | 32), (unsigned char)(p[1] | 32), (unsigned char)(p[2] | 32))) {
    case M('j', 'a', 'n'): return 1;
    case M('f', 'e', 'b'): return 2;
    case M('m', 'a', 'r'): return 3;
    case M('a', 'p', 'r'): return 4;
    case M('m', 'a', 'y'): return 5;
    case M('j', 'u', 'n'): return 6;
    case M('j', 'u', 'l'): return 7;
    case M('a', 'u', 'g'): return 8;
    case M('s', 'e', 'p'): return 9;
    case M('o', 'c', 't'): return 10;
    case M('n', 'o', 'v'): return 11;
    case M('d', 'e', 'c'): return 12;
    default: return 0;
    }
#undef M
}

/* "November" at the start: how long it is, 0: none. */
static size_t whole_month(cf_str s, unsigned *ret)
{
    static const cf_str full[] = {{"January", 7}, {"February", 8}, {"March", 5}, {"April", 5}, {"May", 3}, {"June", 4}, {"July", 4}, {"August", 6}, {"September", 9},
                                  {"October", 7}, {"November", 8}, {"December", 8}};

    *ret = month_of(s.p);
    return *ret && cf_str_istarts(s, full[*ret - 1]) ? full[*ret - 1].n : 0;
}

static size_t fraction(cf_str s, size_t at, int32_t *ret_us)
{
    int32_t us = 0;
    size_t i = at;
    int n = 0;

    for (; i < s.n && (unsigned)(s.p[i] - '0') <= 9; i++)
        if (n < 6) {
            us = us * 10 + (s.p[i] - '0');
            n++;
        }
    for (; n < 6 && i > at; n++)
        us *= 10;
    if (i > at)
        *ret_us = us;
    return i - at;
}

static bool clock_at(cf_str s, size_t at, struct cf_stamp *st)
{
    return at + 8 <= s.n && s.p[at + 2] == ':' && s.p[at + 5] == ':' && digits(s, at, 2, &st->hour) &&
           digits(s, at + 3, 2, &st->min) && digits(s, at + 6, 2, &st->sec);
}

size_t cf_stamp_bsd(cf_str s, struct cf_stamp *ret)
{
    struct cf_stamp st;
    size_t i;
    unsigned y;
    int32_t off;

    if (s.n < 14 || (s.p[3] != ' ' && (s.p[0] < 'A' || s.p[0] > 'S'))) /* no name of a month */
        return 0;
    st = (struct cf_stamp){0};
    if (s.p[3] == ' ') {
        st.month = month_of(s.p);
        i = 3;
    } else { /* the month written out */
        i = s.p[0] >= 'A' && s.p[0] <= 'S' && s.p[1] >= 'a' ? whole_month(s, &st.month) : 0;
        if (!i || s.p[i] != ' ')
            return 0;
    }
    if (!st.month)
        return 0;
    i++;
    if (s.p[i] == ' ')
        i++;
    if (digits(s, i, 2, &st.day))
        i += 2;
    else if (digits(s, i, 1, &st.day))
        i++;
    else
        return 0;
    if (i >= s.n || s.p[i] != ' ')
        return 0;
    i++;
    if (digits(s, i, 4, &y) && i + 4 < s.n && s.p[i + 4] == ' ') { /* Jan 19 2023 08:53:29 */
        st.year = (int)y;
        i += 5;
    }
    if (!clock_at(s, i, &st))
        return 0;
    i += 8;
    if (i < s.n && s.p[i] == '.')
        i += 1 + fraction(s, i + 1, &st.us);
    if (!st.year && i + 5 <= s.n && s.p[i] == ' ' && digits(s, i + 1, 4, &y) && y >= 1970 && y < 2200 &&
        (i + 5 == s.n || s.p[i + 5] == ' ' || s.p[i + 5] == ':')) { /* 13:13:09 2021 */
        st.year = (int)y;
        i += 5;
    }
    if (i + 1 < s.n && s.p[i] == ' ' && (s.p[i + 1] == '+' || s.p[i + 1] == '-') && offset_at(s, i + 1, &off) > 3) {
        st.has_offset = true;
        st.offset_s = off;
        i += 1 + offset_at(s, i + 1, &off);
    } else if (i + 4 <= s.n && memcmp(s.p + i, " UTC", 4) == 0) {
        st.has_offset = true;
        i += 4;
    }
    *ret = st;
    return in_range(&st) ? i : 0;
}

size_t cf_stamp_iso(cf_str s, struct cf_stamp *ret)
{
    struct cf_stamp st;
    size_t i = 10, n;
    unsigned y;

    if (s.n < 19 || (s.p[4] != '-' && s.p[4] != '/'))
        return 0;
    st = (struct cf_stamp){0};
    if ( !digits(s, 0, 4, &y) || s.p[7] != s.p[4] || !digits(s, 5, 2, &st.month) ||
        !digits(s, 8, 2, &st.day))
        return 0;
    st.year = (int)y;
    if (s.p[i] != 'T' && s.p[i] != ' ' && s.p[i] != 't')
        return 0;
    i++;
    while (i < s.n && s.p[i] == ' ' && i < 14)
        i++;
    if (!clock_at(s, i, &st))
        return 0;
    i += 8;
    if (i + 1 < s.n && (s.p[i] == '.' || s.p[i] == ',') && (unsigned)(s.p[i + 1] - '0') <= 9)
        i += 1 + fraction(s, i + 1, &st.us);
    n = offset_at(s, i, &st.offset_s);
    if (!n && i + 1 < s.n && s.p[i] == ' ' && (s.p[i + 1] == '+' || s.p[i + 1] == '-')) {
        n = offset_at(s, i + 1, &st.offset_s);
        n = n > 3 ? n + 1 : 0;
    } else if (!n && i + 4 <= s.n && memcmp(s.p + i, " UTC", 4) == 0) {
        n = 4;
    }
    st.has_offset = n > 0;
    if (!in_range(&st) || y == 0)
        return 0;
    *ret = st;
    return i + n;
}

static bool epoch_text(cf_str s, int64_t unit_us, int64_t div, struct cf_stamp *st)
{
    cf_str whole = s;
    int32_t frac = 0;
    int64_t v;
    ptrdiff_t dot = cf_str_find(s, CF_STR("."));

    if (dot >= 0) {
        whole = cf_str_n(s.p, (size_t)dot);
        if (fraction(s, (size_t)dot + 1, &frac) != s.n - (size_t)dot - 1)
            return false;
    }
    if (!cf_str_i64(whole, &v) || v < -INT64_C(100000000000000000) || v > INT64_C(9000000000000000000))
        return false;
    memset(st, 0, sizeof *st);
    st->epoch = true;
    if (unit_us > 1 && (v > INT64_MAX / unit_us / 2 || v < INT64_MIN / unit_us / 2))
        return false;
    st->epoch_us = v * unit_us / div + (div == 1 ? (int64_t)frac * unit_us / 1000000 : 0);
    return st->epoch_us > -62135596800 * CF_US_PER_S && st->epoch_us < 253402300800 * CF_US_PER_S;
}

static const struct {
    const char *name;
    int64_t unit_us, div;
} epochs[] = {{"unix", 1000000, 1}, {"unix_ms", 1000, 1}, {"unix_us", 1, 1}, {"unix_ns", 1, 1000}};

static bool named(cf_str fmt, cf_str s, struct cf_stamp *ret, bool *is_name)
{
    *is_name = true;
    if (cf_str_eqz(fmt, "iso8601"))
        return cf_stamp_iso(s, ret) == s.n && s.n;
    if (cf_str_eqz(fmt, "syslog"))
        return cf_stamp_bsd(s, ret) == s.n && s.n;
    if (cf_str_eqz(fmt, "auto"))
        return cf_stamp_auto(s, ret);
    for (size_t i = 0; i < sizeof epochs / sizeof *epochs; i++)
        if (cf_str_eqz(fmt, epochs[i].name))
            return epoch_text(s, epochs[i].unit_us, epochs[i].div, ret);
    *is_name = false;
    return false;
}

static bool number(cf_str s, size_t *at, size_t max, unsigned *ret)
{
    size_t n = 0;

    while (n < max && *at + n < s.n && (unsigned)(s.p[*at + n] - '0') <= 9)
        n++;
    if (n == 0 || !digits(s, *at, n, ret))
        return false;
    *at += n;
    return true;
}

/* Letters that mean one offset wherever they are written. CST, IST and the like do not: the default zone holds for them. */
static void zone_letters(cf_str z, struct cf_stamp *st)
{
    static const struct {
        char name[5];
        int8_t h;
    } t[] = {{"UTC", 0}, {"GMT", 0}, {"WET", 0}, {"WEST", 1}, {"CET", 1}, {"CEST", 2}, {"EET", 2}, {"EEST", 3}, {"MSK", 3},
             {"EST", -5}, {"EDT", -4}, {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7},
             {"HKT", 8}, {"SGT", 8}, {"JST", 9}, {"KST", 9}, {"AEST", 10}, {"AEDT", 11}};

    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (z.n == strnlen(t[i].name, 5) && memcmp(z.p, t[i].name, z.n) == 0) {
            st->has_offset = true;
            st->offset_s = t[i].h * 3600;
        }
}

/* One conversion of a pattern. */
static bool convert(char c, cf_str s, size_t *at, struct cf_stamp *st, bool *pm)
{
    unsigned v;
    size_t n;

    switch (c) {
    case 'Y': if (!number(s, at, 4, &v)) return false; st->year = (int)v; return v > 0;
    case 'y': if (!number(s, at, 2, &v)) return false; st->year = (int)(v < 70 ? 2000 + v : 1900 + v); return true;
    case 'm': return number(s, at, 2, &st->month);
    case 'd': case 'e':
        while (*at < s.n && s.p[*at] == ' ')
            (*at)++;
        return number(s, at, 2, &st->day);
    case 'H': return number(s, at, 2, &st->hour);
    case 'I': if (!number(s, at, 2, &v) || v > 12) return false; st->hour = v % 12; return true;
    case 'M': return number(s, at, 2, &st->min);
    case 'S': return number(s, at, 2, &st->sec);
    case 'f': n = fraction(s, *at, &st->us); *at += n; return n > 0;
    case 'j': return number(s, at, 3, &v);
    case 'b':
        if (*at + 3 > s.n || !(st->month = month_of(s.p + *at)))
            return false;
        *at += 3;
        while (*at < s.n && ((s.p[*at] | 32) >= 'a' && (s.p[*at] | 32) <= 'z'))
            (*at)++;
        return true;
    case 'a':
        while (*at < s.n && ((s.p[*at] | 32) >= 'a' && (s.p[*at] | 32) <= 'z'))
            (*at)++;
        return true;
    case 'p':
        if (*at + 2 > s.n || (s.p[*at + 1] | 32) != 'm')
            return false;
        *pm = (s.p[*at] | 32) == 'p';
        *at += 2;
        return true;
    case 'z':
        n = offset_at(s, *at, &st->offset_s);
        st->has_offset = n > 0;
        *at += n;
        return n > 0;
    case 'Z':
        n = *at;
        while (*at < s.n && ((s.p[*at] | 32) >= 'a' && (s.p[*at] | 32) <= 'z'))
            (*at)++;
        zone_letters(cf_str_n(s.p + n, *at - n), st);
        return *at > n;
    default: return false;
    }
}

bool cf_stamp_parse(cf_str fmt, cf_str s, struct cf_stamp *ret)
{
    struct cf_stamp st = {0};
    size_t at = 0;
    bool is_name, ok = named(fmt, s, ret, &is_name), pm = false;

    if (is_name)
        return ok;
    for (size_t i = 0; i < fmt.n; i++) {
        char c = fmt.p[i];
        if (c == '%' && i + 1 < fmt.n) {
            if (!convert(fmt.p[++i], s, &at, &st, &pm))
                return false;
        } else if (c == ' ') {
            if (at >= s.n || s.p[at] != ' ')
                return false;
            while (at < s.n && s.p[at] == ' ')
                at++;
        } else {
            if (at >= s.n || s.p[at] != c)
                return false;
            at++;
        }
    }
    if (pm)
        st.hour += 12;
    if (at != s.n || !in_range(&st))
        return false;
    *ret = st;
    return true;
}

bool cf_stamp_format_ok(cf_str fmt)
{
    struct cf_stamp st;
    bool is_name, day = false;

    (void)named(fmt, CF_STR(""), &st, &is_name);
    if (is_name)
        return true;
    for (size_t i = 0; i < fmt.n; i++) {
        if (fmt.p[i] != '%')
            continue;
        if (++i >= fmt.n || !strchr("YymdeHIMSfjbapzZ", fmt.p[i]))
            return false;
        day = day || fmt.p[i] == 'd' || fmt.p[i] == 'e';
    }
    return day;
}

bool cf_stamp_auto(cf_str s, struct cf_stamp *ret)
{
    static const char *const formats[] = {"%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z", "%a %b %d %H:%M:%S %Y", "%d %b %Y %H:%M:%S",
                                          "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%Y/%m/%d %H:%M:%S", "%Y%m%d%H%M%S"};
    int64_t v;

    s = cf_str_trim(s);
    if (s.n == 0 || s.n > 64)
        return false;
    if (cf_stamp_iso(s, ret) == s.n || cf_stamp_bsd(s, ret) == s.n)
        return true;
    {
        ptrdiff_t dot = cf_str_find(s, CF_STR("."));
        cf_str whole = dot > 0 ? cf_str_n(s.p, (size_t)dot) : s;
        if (cf_str_i64(whole, &v) && s.n != 14 && v > 100000000)
            return epoch_text(s, v < 100000000000 ? 1000000 : v < 100000000000000 ? 1000 : 1, v >= INT64_C(100000000000000000) ? 1000 : 1, ret);
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (cf_stamp_parse(cf_str_c(formats[i]), s, ret))
            return true;
    return false;
}
