/* SPDX-License-Identifier: Apache-2.0
 * The syslog envelope: RFC 5424, RFC 3164 and what devices make of it (no year, year behind the time, ISO stamps, no
 * host, no tag, a second stamp of the device behind the relay's). */
#include "base/zero.h"
#include "normalise/formats.h"
#include "normalise/timefmt.h"

static bool word(cf_str *in, cf_str *ret)
{
    while (in->n && in->p[0] == ' ') {
        in->p++;
        in->n--;
    }
    if (!in->n)
        return false;
    return cf_str_cut(in, ' ', ret);
}

static cf_str nil(cf_str s) { return s.n == 1 && s.p[0] == '-' ? CF_STR_NONE : s; }

static size_t sd_length(cf_str s)
{
    bool quoted = false;

    if (s.n && s.p[0] == '-')
        return 1;
    if (!s.n || s.p[0] != '[')
        return 0;
    for (size_t i = 0; i < s.n; i++) {
        if (quoted) {
            if (s.p[i] == '\\')
                i++;
            else if (s.p[i] == '"')
                quoted = false;
        } else if (s.p[i] == '"') {
            quoted = true;
        } else if (s.p[i] == ']' && (i + 1 == s.n || s.p[i + 1] != '[')) {
            return i + 1;
        }
    }
    return 0;
}

static bool rfc5424(cf_str s, struct cf_syslog *ret)
{
    struct cf_syslog r = *ret;
    struct cf_stamp st;
    cf_str stamp, sd;
    size_t n;

    if (!word(&s, &stamp) || !word(&s, &r.host) || !word(&s, &r.app) || !word(&s, &r.pid) || !word(&s, &r.msgid))
        return false;
    if (!(stamp.n == 1 && stamp.p[0] == '-') && cf_stamp_iso(stamp, &st) == 0)
        return false;
    n = sd_length(s);
    if (!n)
        return false;
    sd = cf_str_n(s.p, n);
    {
        const char *blank = memchr(sd.p, ' ', sd.n), *colon = memchr(sd.p, ':', sd.n);
        if (colon && colon[1] == '"' && (!blank || colon < blank)) /* [action:"Accept"; ..]: not structured data */
            sd = CF_STR("-");
        else
            s = cf_str_sub(s, n, s.n);
    }
    if (s.n && s.p[0] == ' ')
        s = cf_str_sub(s, 1, s.n);
    if (s.n >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0)
        s = cf_str_sub(s, 3, s.n);
    r.stamp = nil(stamp);
    r.host = nil(r.host);
    r.app = nil(r.app);
    r.pid = nil(r.pid);
    r.msgid = nil(r.msgid);
    r.sd = nil(sd);
    r.msg = s;
    *ret = r;
    return true;
}

static bool tag_char(char c)
{
    static const bool ok[256] = {['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true,
                                 ['_'] = true, ['-'] = true, ['.'] = true, ['/'] = true, ['@'] = true};

    return ok[(unsigned char)c];
}

/* "sshd[77]: " "su: " "sshd(pam_unix)[19939]: " "postfix/smtpd[1]:"; bytes used, 0: none */
static size_t tag(cf_str s, cf_str *app, cf_str *pid)
{
    size_t i = 0, n;
    cf_str p = CF_STR_NONE;

    while (i < s.n && i < 80 && tag_char(s.p[i]))
        i++;
    n = i;
    if (n == 0)
        return 0;
    if (i < s.n && s.p[i] == '(') {
        while (i < s.n && s.p[i] != ')' && s.p[i] != ' ' && i < 120)
            i++;
        if (i == s.n || s.p[i] != ')')
            return 0;
        i++;
    }
    if (i < s.n && s.p[i] == '[') {
        size_t from = ++i;
        while (i < s.n && s.p[i] != ']' && s.p[i] != ' ' && i - from < 32)
            i++;
        if (i == s.n || s.p[i] != ']')
            return 0;
        p = cf_str_n(s.p + from, i - from);
        i++;
    }
    if (i >= s.n || s.p[i] != ':' || (!p.p && i + 1 < s.n && s.p[i + 1] != ' '))
        return 0;
    *app = cf_str_n(s.p, n);
    if (p.p)
        *pid = p;
    i++;
    return i < s.n && s.p[i] == ' ' ? i + 1 : i;
}

/* "Google Chrome[85294]: ": names of a few words, with a number; bytes used, 0: none */
static size_t wordy_tag(cf_str s, cf_str *app, cf_str *pid)
{
    size_t i = 0, from;

    while (i < s.n && i < 40 && (tag_char(s.p[i]) || s.p[i] == ' '))
        i++;
    if (!i || i >= s.n || s.p[i] != '[')
        return 0;
    from = ++i;
    while (i < s.n && (unsigned)(s.p[i] - '0') <= 9 && i - from < 10)
        i++;
    if (i == from || i + 2 >= s.n || s.p[i] != ']')
        return 0;
    if (s.p[i + 1] == ' ' && s.p[i + 2] == '(') { /* launchd's "com.apple.xpc.launchd[1] (com.apple.x[7]): " */
        ptrdiff_t end = cf_str_find(cf_str_sub(s, i, s.n < i + 200 ? s.n : i + 200), CF_STR("): "));
        if (end < 0)
            return 0;
        *app = cf_str_n(s.p, from - 1);
        *pid = cf_str_n(s.p + from, i - from);
        return i + (size_t)end + 3;
    }
    if (s.p[i + 1] != ':' || s.p[i + 2] != ' ')
        return 0;
    *app = cf_str_n(s.p, from - 1);
    *pid = cf_str_n(s.p + from, i - from);
    return i + 3;
}

static bool may_be_host(cf_str h)
{
    static const bool no[256] = {['='] = true, [','] = true, ['%'] = true, ['|'] = true};

    if (h.n > 255 || h.p[0] == '[' || h.p[0] == '{' || h.p[0] == '(' || h.p[0] == '"')
        return false;
    for (size_t i = 0; i < h.n; i++)
        if (no[(unsigned char)h.p[i]])
            return false;
    return true;
}

/* "<local0.info> " behind the stamp: how syslogd of the BSDs (and devices built on them) writes the priority out. */
static cf_str verbose_priority(cf_str s, struct cf_syslog *r)
{
    static const char facility[24][9] = {"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
        "ntp", "security", "console", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"};
    static const char severity[8][8] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
    cf_str in = cf_str_sub(s, 1, s.n < 24 ? s.n : 24), fac;
    const char *end = memchr(in.p, '>', in.n);

    if (!end || end + 1 == s.p + s.n || end[1] != ' ')
        return s;
    in.n = (size_t)(end - in.p);
    if (!cf_str_cut(&in, '.', &fac))
        return s;
    for (int f = 0; f < 24; f++)
        for (int v = 0; v < 8; v++)
            if (cf_str_eqz(fac, facility[f]) && cf_str_eqz(in, severity[v])) {
                r->pri = r->pri < 0 ? f * 8 + v : r->pri;
                return cf_str_sub(s, (size_t)(end + 2 - s.p), s.n);
            }
    return s;
}

/* The device's own stamp and name behind the relay's: what stands behind them. */
static cf_str second_stamp(cf_str rest, struct cf_syslog *r)
{
    struct cf_stamp st;
    size_t n = rest.n && (unsigned)(rest.p[0] - '0') <= 9 ? cf_stamp_iso(rest, &st) : 0;
    cf_str again, name;

    if (!n || n >= rest.n || rest.p[n] != ' ')
        return rest;
    r->stamp = cf_str_n(rest.p, n);
    again = cf_str_sub(rest, n + 1, rest.n);
    if (!word(&again, &name) || !name.n || memchr(name.p, '%', name.n) || memchr(name.p, '=', name.n))
        return cf_str_sub(rest, n + 1, rest.n);
    if (tag(cf_str_n(name.p, (size_t)(rest.p + rest.n - name.p)), &r->app, &r->pid))
        return cf_str_sub(rest, n + 1, rest.n);
    r->host = name;
    return again;
}

/* What stands behind host: the tag and the message. */
static void behind_host(cf_str rest, struct cf_syslog *r)
{
    size_t n;

    while (rest.n && rest.p[0] == ' ')
        rest = cf_str_sub(rest, 1, rest.n);
    if (rest.n > 2 && rest.p[0] == ':' && rest.p[1] == ' ') /* "fw1 : %ASA-4-106023: ..." */
        rest = cf_str_sub(rest, 2, rest.n);
    rest = second_stamp(rest, r);
    n = tag(rest, &r->app, &r->pid);
    if (!n)
        n = wordy_tag(rest, &r->app, &r->pid);
    if (n && r->app.n) {
        struct cf_ip ip;
        cf_str program = r->app, first;
        if (memchr(program.p, ' ', program.n) && word(&program, &first) && program.n && cf_ip_parse(first, &ip)) {
            r->addr = first;
            r->app = program;
        }
    }
    r->msg = cf_str_sub(rest, n, rest.n);
}

static void body(cf_str s, bool stamped, struct cf_syslog *r)
{
    cf_str rest, host;
    size_t n = 0;

    while (s.n && s.p[0] == ' ')
        s = cf_str_sub(s, 1, s.n);
    if (stamped && s.n > 5 && s.p[0] == '<')
        s = verbose_priority(s, r);
    while (stamped && n < s.n && n < 80 && tag_char(s.p[n]))
        n++;
    if (stamped && n && n < 80 && n < s.n && s.p[n] == ' ') { /* the usual case: a word that can be a host and is no tag */
        r->host = cf_str_n(s.p, n);
        behind_host(cf_str_n(s.p + n + 1, s.n - n - 1), r);
        return;
    }
    n = tag(s, &r->app, &r->pid);
    if (n && stamped && !r->pid.p && n < s.n && s.p[n] == '%') { /* Cisco: "dev01: %ASA-6-302013: ..." */
        r->host = r->app;
        r->app = CF_STR_NONE;
    }
    if (n || !stamped) {
        r->msg = cf_str_sub(s, n, s.n);
        return;
    }
    rest = s;
    /* a word that cannot be a host (device text without one): pairs, signs, brackets */
    if (!word(&rest, &host) || !may_be_host(host)) {
        r->msg = s;
        return;
    }
    if (host.p[host.n - 1] == ':') /* Cisco: "Mar 1 18:46:11: %SYS-5" or "host: message" */
        host.n--;
    r->host = host;
    behind_host(rest, r);
}

bool cf_syslog_parse(cf_str s, struct cf_syslog *ret) { return cf_syslog_parse_memo(s, ret, NULL); }

/* The same stamp as in the line before, with a blank behind it (so that it cannot go on differently): "Nov 21 06:00:00 ". A
 * year or zone may follow a blank, so only hosts that begin with a letter count. */
static inline bool memo_hit(const struct cf_stamp_memo *memo, cf_str s, size_t at)
{
    return memo->n && at + memo->n + 2 < s.n && s.p[at + memo->n] == ' ' && (unsigned char)((s.p[at + memo->n + 1] | 32) - 'a') < 26 &&
           s.p[at + memo->n + 1] != 'U' && cf_same_text(memo->text, s.p + at, memo->n);
}

bool cf_syslog_parse_memo(cf_str s, struct cf_syslog *ret, struct cf_stamp_memo *memo)
{
    struct cf_stamp st;
    size_t n, i;
    int pri = 0;

    cf_zero(ret, sizeof *ret);
    ret->pri = -1;
    if (s.n >= 3 && s.p[0] == '<') {
        for (i = 1; i < s.n && i < 5 && (unsigned)(s.p[i] - '0') <= 9; i++)
            pri = pri * 10 + (s.p[i] - '0');
        if (i == 1 || i >= s.n || s.p[i] != '>' || pri > 191)
            return false;
        ret->pri = pri;
        s = cf_str_sub(s, i + 1, s.n);
        if (s.n > 2 && s.p[0] >= '1' && s.p[0] <= '9' && s.p[1] == ' ') {
            ret->version = s.p[0] - '0';
            if (rfc5424(cf_str_sub(s, 2, s.n), ret))
                return true;
            ret->version = 0;
        }
        while (s.n && s.p[0] == ' ')
            s = cf_str_sub(s, 1, s.n);
    }
    i = s.n && (s.p[0] == '*' || s.p[0] == '.') ? 1 : 0; /* Cisco: clock not in step */
    n = memo && memo_hit(memo, s, i) ? memo->n : cf_stamp_bsd(cf_str_sub(s, i, s.n), &st);
    if (n && memo && n <= sizeof memo->text) {
        memcpy(memo->text, s.p + i, n);
        memo->n = n;
    }
    if (!n)
        n = cf_stamp_iso(cf_str_sub(s, i, s.n), &st);
    if (n && i + n < s.n && s.p[i + n] != ' ' && s.p[i + n] != ':')
        n = 0;
    if (!n && ret->pri < 0)
        return false;
    if (n) {
        ret->stamp = cf_str_n(s.p + i, n);
        n += i;
        if (n < s.n && s.p[n] == ':')
            n++;
    }
    body(cf_str_sub(s, n, s.n), n > 0, ret);
    return true;
}

int cf_syslog_sd(cf_str sd, struct cf_arena *a, struct cf_pairs *ret)
{
    size_t i = 0;

    while (i < sd.n && sd.p[i] == '[') {
        size_t from = ++i;
        cf_str id;
        while (i < sd.n && sd.p[i] != ' ' && sd.p[i] != ']')
            i++;
        id = cf_str_n(sd.p + from, i - from);
        if (memchr(id.p, '=', id.n)) { /* an element without an id begins with its first pair */
            id = CF_STR("");
            i = from - 1;
        }
        while (i < sd.n && (sd.p[i] == ' ' || (!id.n && i == from - 1))) {
            cf_str key, full;
            char *v;
            size_t n = 0;
            from = ++i;
            while (i < sd.n && sd.p[i] != '=' && sd.p[i] != ' ' && sd.p[i] != ']')
                i++;
            if (i + 1 >= sd.n || sd.p[i] != '=')
                break;
            key = cf_str_n(sd.p + from, i - from);
            i += sd.p[i + 1] == '"' ? 2 : 1;
            from = i;
            if (sd.p[from - 1] == '"') {
                while (i < sd.n && sd.p[i] != '"')
                    i += sd.p[i] == '\\' ? 2 : 1;
                if (i > sd.n)
                    i = sd.n;
            } else { /* without the quotes that RFC 5424 asks for */
                while (i < sd.n && sd.p[i] != ' ' && sd.p[i] != ']')
                    i++;
            }
            v = cf_arena_bytes(a, i - from + 1);
            full = id.n ? cf_arena_printf(a, "%.*s.%.*s", CF_ARG(id), CF_ARG(key)) : key;
            if (!v || !full.p)
                return CF_ENOMEM;
            for (size_t k = from; k < i; k++) {
                if (sd.p[k] == '\\' && k + 1 < i && (sd.p[k + 1] == '"' || sd.p[k + 1] == '\\' || sd.p[k + 1] == ']'))
                    k++;
                v[n++] = sd.p[k];
            }
            struct cf_pair *p = cf_pair_add(ret, full, cf_str_n(v, n), CF_V_STR);
            if (!p)
                return CF_ELIMIT;
            p->leaf = id.n ? (uint32_t)id.n + 1 : 0;
            p->group = CF_G_SD;
            if (i < sd.n && sd.p[i] == '"')
                i++;
        }
        while (i < sd.n && sd.p[i] != ']')
            i++;
        i++;
    }
    return 0;
}
