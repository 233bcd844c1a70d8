/* SPDX-License-Identifier: Apache-2.0
 * Civil calendar arithmetic after Howard Hinnant, "chrono-compatible low-level date algorithms". */
#include "base/clock.h"

#include "base/digits.h"

#include <time.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * CF_US_PER_S + ts.tv_nsec / 1000;
}

int64_t cf_now_us(void) { return clock_us(CLOCK_REALTIME); }
int64_t cf_mono_us(void) { return clock_us(CLOCK_MONOTONIC); }

int64_t cf_days_from_civil(int year, unsigned month, unsigned day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + doe - 719468;
}

void cf_civil_from_days(int64_t days, int *year, unsigned *month, unsigned *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

static bool digits(const char *p, size_t n, unsigned *ret)
{
    unsigned v = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)(unsigned char)p[i] - '0';
        if (d > 9)
            return false;
        v = v * 10 + d;
    }
    *ret = v;
    return true;
}

static unsigned days_in_month(unsigned y, unsigned m)
{
    static const unsigned char d[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

    return d[m - 1] + (m == 2 && leap ? 1u : 0u);
}

bool cf_time_parse(cf_str s, int64_t *ret_us)
{
    unsigned y, mo, d, h = 0, mi = 0, se = 0;
    int64_t us = 0, off = 0;
    size_t i = 10;

    if (s.n < 10 || !digits(s.p, 4, &y) || s.p[4] != '-' || !digits(s.p + 5, 2, &mo) || s.p[7] != '-' ||
        !digits(s.p + 8, 2, &d) || mo < 1 || mo > 12 || d < 1 || d > days_in_month(y, mo))
        return false;
    if (s.n > 10) {
        if ((s.p[10] != 'T' && s.p[10] != 't' && s.p[10] != ' ') || s.n < 16 || !digits(s.p + 11, 2, &h) ||
            s.p[13] != ':' || !digits(s.p + 14, 2, &mi) || h > 23 || mi > 59)
            return false;
        i = 16;
        if (i < s.n && s.p[i] == ':') {
            if (s.n < 19 || !digits(s.p + 17, 2, &se) || se > 60)
                return false;
            i = 19;
        }
        if (i < s.n && (s.p[i] == '.' || s.p[i] == ',')) {
            int64_t scale = 100000;
            size_t from = ++i;
            while (i < s.n && (unsigned char)(s.p[i] - '0') < 10) {
                us += (s.p[i] - '0') * scale;
                scale /= 10;
                i++;
            }
            if (i == from || i - from > 9)
                return false;
        }
        if (i < s.n && (s.p[i] == 'Z' || s.p[i] == 'z')) {
            i++;
        } else if (i < s.n && (s.p[i] == '+' || s.p[i] == '-')) {
            unsigned oh, om = 0;
            int sign = s.p[i] == '-' ? -1 : 1;
            if (s.n - i < 3 || !digits(s.p + i + 1, 2, &oh))
                return false;
            size_t used = 3;
            if (s.n - i >= 6 && s.p[i + 3] == ':' && digits(s.p + i + 4, 2, &om))
                used = 6;
            else if (s.n - i >= 5 && digits(s.p + i + 3, 2, &om))
                used = 5;
            if (oh > 23 || om > 59)
                return false;
            off = sign * (int64_t)(oh * 3600 + om * 60);
            i += used;
        }
    }
    if (i != s.n)
        return false;
    *ret_us = (cf_days_from_civil((int)y, mo, d) * 86400 + (int64_t)(h * 3600 + mi * 60 + se) - off) * CF_US_PER_S + us;
    return true;
}

const char cf_digits2[201] = "00010203040506070809101112131415161718192021222324"
                             "25262728293031323334353637383940414243444546474849"
                             "50515253545556575859606162636465666768697071727374"
                             "75767778798081828384858687888990919293949596979899";

/* "2026-11-21T" */
static void format_day(int64_t days, char buf[11])
{
    int year;
    unsigned month, day;
    char *p = buf;

    cf_civil_from_days(days, &year, &month, &day);
    if (year < 0 || year > 9999) { /* not expressible: clamp, the record keeps its original text */
        year = year < 0 ? 0 : 9999;
    }
    p = cf_digits_two(p, (unsigned)year / 100);
    p = cf_digits_two(p, (unsigned)year % 100);
    *p++ = '-';
    p = cf_digits_two(p, month);
    *p++ = '-';
    p = cf_digits_two(p, day);
    *p = 'T';
}

size_t cf_time_format(int64_t us, char buf[32])
{
    static _Thread_local int64_t last_days = INT64_MIN; /* events of one day come together */
    static _Thread_local char last_text[11];
    int64_t days = us / CF_US_PER_DAY, rest = us % CF_US_PER_DAY;
    unsigned sec, frac;
    char *p = buf + sizeof last_text;

    if (rest < 0) {
        rest += CF_US_PER_DAY;
        days--;
    }
    if (days != last_days) {
        format_day(days, last_text);
        last_days = days;
    }
    memcpy(buf, last_text, sizeof last_text);
    sec = (unsigned)(rest / CF_US_PER_S);
    frac = (unsigned)(rest % CF_US_PER_S);
    p = cf_digits_two(p, sec / 3600);
    *p++ = ':';
    p = cf_digits_two(p, sec / 60 % 60);
    *p++ = ':';
    p = cf_digits_two(p, sec % 60);
    if (frac) {
        *p++ = '.';
        p = cf_digits_two(p, frac / 10000);
        p = cf_digits_two(p, frac / 100);
        p = cf_digits_two(p, frac);
    }
    *p++ = 'Z';
    return (size_t)(p - buf);
}

bool cf_time_parse_rel(cf_str s, int64_t now_us, int64_t *ret_us)
{
    uint64_t v;
    int64_t unit;

    if (!cf_str_starts(s, CF_STR("now")))
        return cf_time_parse(s, ret_us);
    if (s.n == 3) {
        *ret_us = now_us;
        return true;
    }
    if (s.n < 6 || (s.p[3] != '-' && s.p[3] != '+') || !cf_str_u64(cf_str_n(s.p + 4, s.n - 5), &v) || v > 1000000)
        return false;
    switch (s.p[s.n - 1]) {
    case 's': unit = 1; break;
    case 'm': unit = 60; break;
    case 'h': unit = 3600; break;
    case 'd': unit = 86400; break;
    case 'w': unit = 7 * 86400; break;
    default: return false;
    }
    *ret_us = now_us + (s.p[3] == '-' ? -1 : 1) * (int64_t)v * unit * CF_US_PER_S;
    return true;
}
