/* SPDX-License-Identifier: Apache-2.0
 * Random rules against random events: the detector and the slow evaluator must agree on every pair.
 * CF_ORACLE_SECONDS sets the time (default 2), CF_ORACLE_SEED the start. */
#include "detect/helper.h"
#include "detect/oracle.h"

static uint64_t state_;
static uint32_t rnd(uint32_t n)
{
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (uint32_t)(state_ >> 11) % n;
}
#define PICK(a) ((a)[rnd((uint32_t)(sizeof(a) / sizeof *(a)))])

static const char *const fields[] = {"A", "B", "C", "D", "a.b", "N", "T", "I", "Image", "source.ip", "obj"};
static const char *const words[] = {"foo", "bar", "FOO", "Bar", "o", "fo", "ab", "-x", "/x", " -f", "\\", "\\\\", "*", "?", "\\*", "\\?", "中", "Ä", "ä", "é", ".", "exe", "cmd", "10.0.0.1", "5", "", "0", "%", "Ö", "ß"};
static const char *const plain[] = {"foo", "bar", "FOO", "Bar", "o", "fo", "ab", "-x", "/x", "–x", "\\", "*", "?", "中", "Ä", "ä", "É", ".", "exe", "cmd", " ", "-f", "%", "ö", "ß", "Zm9v", "YmFy", "\n"};
static const char *const regexes[] = {"fo+", "^foo", "bar$", "[a-f]+x", "f.o", "(foo|bar)x", "o{2,3}", "foo(?!bar)", "\\.exe", "^$", "a*b", "\\w+ \\w", "F(oo)?", "x|y", "(?i)foo", "中", "-[a-z]", "^.{3}$", "[中äé]x?$", "^[^a]+$", "Ä.", "^\\W*$", "(?<=中).o"};
static const char *const dates[] = {"2026-11-21T06:30:00Z", "2026-01-02 23:59:59", "2025-12-31T00:00:00+08:00", "no date", "1795242600", "1795242600123",
                                     "2026-11-21T16:30:00.5Z", "2026-12-31 20:15:00 -0330", "1988-07-01T15:30:00Z", "2026-11-21T22:30:00,123+05:30", "584000000", "2026-11-21"};
/* Zones of the rules, and the same as the C library's variable TZ has them. */
static const struct { const char *rules, *libc; } zones[] = {{"", ORACLE_ZONE}, {"+08:00", "<+08>-8"}, {"UTC", "UTC0"}, {"-03:30", "<-0330>3:30"}, {"Asia/Shanghai", ":Asia/Shanghai"}};
static const char *const ips[] = {"10.0.0.1", "10.255.0.7", "192.168.1.1", "8.8.8.8", "2001:db8::1", "::1", "300.1.1.1"};
static const char *const nets[] = {"10.0.0.0/8", "192.168.0.0/16", "8.8.8.8/32", "2001:db8::/32", "0.0.0.0/0"};

/* YAML single quotes: only the quote itself is doubled. */
static void quoted(struct cf_buf *b, const char *s)
{
    cf_buf_byte(b, '\'');
    for (; *s; s++) {
        if (*s == '\'')
            cf_buf_byte(b, '\'');
        cf_buf_byte(b, *s);
    }
    cf_buf_byte(b, '\'');
}

static void word_value(struct cf_buf *b)
{
    char t[128] = "";
    for (uint32_t i = 0, n = 1 + rnd(4); i < n; i++) {
        if (rnd(8) == 0)
            (void)strncat(t, rnd(3) ? "*" : "?", sizeof t - strlen(t) - 1);
        (void)strncat(t, PICK(words), sizeof t - strlen(t) - 1);
    }
    quoted(b, t);
}

static void item(struct cf_buf *b)
{
    static const char *const mods[] = {"", "", "", "|contains", "|contains", "|startswith", "|endswith", "|contains|all", "|all", "|cased", "|contains|cased", "|neq", "|contains|neq", "|windash", "|contains|windash", "|windash|contains|all", "|contains|all|windash|neq", "|neq|all"};
    static const char *const nums[] = {"|lt", "|lte", "|gt", "|gte", "|neq"};
    uint32_t kind = rnd(20), n = 1 + rnd(3);

    if (kind == 0) {
        cf_buf_printf(b, "%s|exists: %s", PICK(fields), rnd(2) ? "true" : "false");
    } else if (kind == 1) {
        cf_buf_printf(b, "%s: null", PICK(fields));
    } else if (kind == 2) {
        cf_buf_printf(b, "N%s: %u", PICK(nums), rnd(7));
    } else if (kind == 3) {
        cf_buf_printf(b, "I|cidr: [%s, %s]", PICK(nets), PICK(nets));
    } else if (kind == 4) {
        static const char *const refs[] = {"", "|contains", "|startswith", "|endswith", "|neq", "|cased", "|all"};
        cf_buf_printf(b, rnd(3) ? "%s|fieldref%s: %s" : "%s|fieldref%s: [%s, B]", PICK(fields), PICK(refs), PICK(fields));
    } else if (kind == 5) {
        static const char *const parts[] = {"|minute", "|hour", "|hour|gte", "|day", "|month", "|year|lt", "|week", "|hour|lt", "|day|gte"};
        static const char *const v[] = {"30", "6", "23", "0", "21", "12", "2026", "7", "14", "22", "31", "1"};
        bool own = rnd(2);
        cf_buf_printf(b, "%s%s%s: %s", own ? "T" : "'@timestamp", PICK(parts), own ? "" : "'", PICK(v));
    } else if (kind < 9) {
        static const char *const re[] = {"|re", "|re|i", "|re|m", "|re|s", "|re|startswith", "|re|endswith|i", "|re|contains"};
        cf_buf_printf(b, "%s%s: ", PICK(fields), PICK(re));
        quoted(b, PICK(regexes));
    } else if (kind == 9) {
        static const char *const enc[] = {"|base64", "|base64|contains", "|base64offset|contains", "|wide|base64|contains", "|utf16be|base64|contains"};
        static const char *const v[] = {"foo", "bar", "foobar", "fooo", "中x1"};
        if (rnd(4))
            cf_buf_printf(b, "%s%s: %s", PICK(fields), PICK(enc), PICK(v));
        else
            cf_buf_printf(b, "%s|base64offset|contains|all: [%s, %s]", PICK(fields), PICK(v), PICK(v));
    } else if (kind == 10) {
        cf_buf_printf(b, "N: 0x%x", rnd(7));
    } else {
        cf_buf_printf(b, "%s%s: ", PICK(fields), PICK(mods));
        cf_buf_byte(b, '[');
        for (uint32_t i = 0; i < n; i++) {
            cf_buf_z(b, i ? ", " : "");
            word_value(b);
        }
        cf_buf_byte(b, ']');
    }
}

/* Keys of one map must differ: later items get another field when they clash, so a map has 1 to 3 items, each a flow entry. */
static void search(struct cf_buf *b)
{
    uint32_t kind = rnd(8);

    if (kind == 0) { /* keywords */
        cf_buf_z(b, "[");
        for (uint32_t i = 0, n = 1 + rnd(3); i < n; i++) {
            cf_buf_z(b, i ? ", " : "");
            word_value(b);
        }
        cf_buf_z(b, "]\n");
        return;
    }
    cf_buf_z(b, "\n");
    for (uint32_t i = 0, n = kind < 3 ? 1 + rnd(3) : 1; i < n; i++) {
        cf_buf_z(b, kind < 3 ? "    - " : "      ");
        item(b);
        cf_buf_z(b, "\n");
    }
    if (kind > 5) { /* a second item; a clash of keys makes the document refused, which is fine */
        cf_buf_z(b, "      ");
        item(b);
        cf_buf_z(b, "\n");
    }
}

static void condition(struct cf_buf *b, int depth)
{
    static const char *const prims[] = {"s1", "s2", "f1", "1 of s*", "all of s*", "1 of them", "all of them", "any of f*",
                                        "2 of s*", "2 of them", "3 of them", "4 of them", "2 of *"};

    switch (depth > 3 ? 3 : rnd(6)) {
    case 0:
        condition(b, depth + 1);
        cf_buf_z(b, " and ");
        condition(b, depth + 1);
        break;
    case 1:
        condition(b, depth + 1);
        cf_buf_z(b, " or ");
        condition(b, depth + 1);
        break;
    case 2:
        cf_buf_z(b, "not ");
        condition(b, depth + 2);
        break;
    case 4:
        cf_buf_z(b, "(");
        condition(b, depth + 1);
        cf_buf_z(b, ")");
        break;
    default:
        cf_buf_z(b, PICK(prims));
    }
}

static void rule(struct cf_buf *b, uint32_t i)
{
    static const char *const sel[] = {"s1", "s2", "f1", "s3", "_f2"};

    cf_buf_printf(b, "title: r%u\nid: r%u\ndetection:\n", i, i);
    for (int s = 0; s < 5; s++) {
        cf_buf_printf(b, "  %s: ", sel[s]);
        search(b);
    }
    cf_buf_z(b, "  condition: ");
    condition(b, 0);
    cf_buf_z(b, "\n");
}

static void event(struct cf_buf *b)
{
    bool first = true;

    cf_buf_byte(b, '{');
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        char t[160] = "";

        if (rnd(3) == 0)
            continue;
        cf_buf_z(b, first ? "" : ",");
        first = false;
        cf_buf_printf(b, "\"%s\":", fields[f]);
        if (rnd(12) == 0) {
            cf_buf_z(b, "null");
            continue;
        }
        if (fields[f][0] == 'N' && rnd(4)) {
            cf_buf_printf(b, "%u", rnd(8));
            continue;
        }
        if (strcmp(fields[f], "obj") == 0) {
            cf_buf_printf(b, "{\"k\":\"%s\"}", rnd(2) ? "foo bar" : "Bar");
            continue;
        }
        if (fields[f][0] == 'T')
            (void)strcpy(t, PICK(dates));
        else if (fields[f][0] == 'I' && fields[f][1] == 0)
            (void)strcpy(t, PICK(ips));
        else
            for (uint32_t i = 0, n = rnd(6); i < n; i++)
                (void)strncat(t, PICK(plain), sizeof t - strlen(t) - 1);
        if (rnd(8) == 0) {
            cf_buf_byte(b, '[');
            cf_buf_json(b, cf_str_c(t));
            cf_buf_z(b, ",\"second foo\"]");
        } else {
            cf_buf_json(b, cf_str_c(t));
        }
    }
    if (rnd(2))
        cf_buf_printf(b, "%s\"@timestamp\":\"%s\"", first ? "" : ",", PICK(dates));
    cf_buf_byte(b, '}');
}

#define RULES 40
#define EVENTS 60

/* One rule set of random rules against random events; returns pairs compared. */
static uint64_t hits_seen;
static uint64_t round_(uint64_t seed)
{
    struct cf_buf yaml, json;
    struct cf_arena a;
    struct cf_ydoc *docs = NULL;
    struct cf_error err = {0};
    struct cf_ruleset *rs;
    struct cf_detector *d;
    struct oracle *o = oracle_new(NULL);
    size_t zone = seed % (sizeof zones / sizeof *zones - (access("/usr/share/zoneinfo/Asia/Shanghai", R_OK) != 0));
    uint64_t pairs = 0;

    state_ = seed * 0x9e3779b97f4a7c15u + 88172645463325252u;
    cf_arena_init(&a, 0, 0);
    cf_buf_init(&yaml, 0);
    cf_buf_init(&json, 0);
    for (uint32_t i = 0; i < RULES; i++) {
        struct cf_buf one;

        cf_buf_init(&one, 0);
        do { /* duplicate keys make a file unreadable as a whole: draw again */
            cf_buf_clear(&one);
            rule(&one, i);
        } while (cf_yaml_parse(&a, cf_buf_view(&one), &docs, &err) < 0);
        cf_buf_z(&yaml, i ? "---\n" : "");
        cf_buf_str(&yaml, cf_buf_view(&one));
        cf_buf_release(&one);
    }
    oracle_zone(zones[zone].libc);
    rs = rules_zone(cf_buf_cstr(&yaml), true, zones[zone].rules);
    assert_ok(cf_yaml_parse(&a, cf_buf_view(&yaml), &docs, &err), err);
    d = cf_detector_new(rs);
    for (int e = 0; e < EVENTS; e++) {
        struct cf_event *ev;
        const struct cf_hit *h = NULL;
        size_t n = 0;
        bool hit[RULES] = {false}, loaded[RULES] = {false};

        cf_buf_clear(&json);
        event(&json);
        ev = event_json(&a, cf_buf_cstr(&json), (uint64_t)e);
        assert_int_equal(cf_detect(d, ev, &h, &n), 0);
        for (size_t i = 0; i < n; i++)
            hit[strtoul(h[i].rule->id.p + 1, NULL, 10)] = true;
        for (size_t i = 0; i < cf_ruleset_count(rs); i++)
            loaded[strtoul(cf_ruleset_rule(rs, i)->id.p + 1, NULL, 10)] = true;
        uint32_t k = 0;
        for (struct cf_ydoc *x = docs; x; x = x->next, k++) {
            int want = loaded[k] ? oracle_match(o, x->root, ev) : 0;

            pairs += loaded[k];
            hits_seen += hit[k];
            if (want >= 0 && (want == 1) != hit[k])
                fail_msg("seed %llu rule r%u: detector %d, oracle %d\nevent %s\n%s", (unsigned long long)seed, k, hit[k], want, cf_buf_cstr(&json), cf_buf_cstr(&yaml));
        }
    }
    cf_detector_free(d);
    cf_ruleset_free(rs);
    oracle_free(o);
    cf_buf_release(&yaml);
    cf_buf_release(&json);
    cf_arena_release(&a);
    return pairs;
}

static void test_random(void **state)
{
    const char *s = getenv("CF_ORACLE_SECONDS"), *e = getenv("CF_ORACLE_SEED");
    int64_t end = cf_mono_us() + (s ? strtol(s, NULL, 10) : 2) * CF_US_PER_S;
    uint64_t seed = e ? strtoull(e, NULL, 10) : 1, pairs = 0;

    (void)state;
    do
        pairs += round_(seed++);
    while (cf_mono_us() < end);
    (void)printf("pairs compared: %llu, hits: %llu, differences: 0\n", (unsigned long long)pairs, (unsigned long long)hits_seen);
    assert_true(hits_seen * 20 > pairs && hits_seen * 20 < pairs * 19); /* the draw is neither empty nor trivial */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    (void)setvbuf(stdout, NULL, _IONBF, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
