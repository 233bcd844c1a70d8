/* SPDX-License-Identifier: Apache-2.0
 * Plain lists, hosts files and CSV: one line at a time. */
#include "ti/ti_int.h"

static bool comment(cf_str line)
{
    return line.n == 0 || line.p[0] == '#' || line.p[0] == ';' || line.p[0] == '!' || cf_str_starts(line, CF_STR("//"));
}

static int put(struct ti_writer *w, cf_str text, enum cf_ti_type type, const struct ti_import_options *o, cf_str note, struct cf_error *reterr)
{
    struct cf_ti_value v;
    struct ti_item it = {.value = &v, .confidence = -1, .severity = -1, .tlp = -1, .threat_type = o->threat_type, .family = o->family, .description = note};
    const char *why;

    if (!cf_ti_value_read(text, type, &v, &why)) {
        ti_writer_bad(w, text, why);
        return 0;
    }
    return ti_writer_add(w, &it, reterr);
}

/* "value", "value # comment", "value,..." and "0.0.0.0 name" of hosts files */
int ti_list_line(struct ti_writer *w, cf_str line, enum cf_ti_type type, bool hosts, const struct ti_import_options *o, struct cf_error *reterr)
{
    cf_str note = CF_STR_NONE, word;
    ptrdiff_t at;

    line = cf_str_trim(line);
    if (comment(line))
        return 0;
    at = cf_str_find(line, CF_STR(" #"));
    if (at < 0)
        at = cf_str_find(line, CF_STR("\t#"));
    if (at >= 0) {
        note = cf_str_trim(cf_str_sub(line, (size_t)at + 2, line.n));
        line = cf_str_trim(cf_str_sub(line, 0, (size_t)at));
    }
    if (!hosts)
        return put(w, line, type, o, note, reterr);
    for (size_t i = 0; i < line.n; i++) /* tabs count as spaces */
        if (line.p[i] == '\t' || line.p[i] == ' ') {
            word = cf_str_sub(line, 0, i);
            line = cf_str_trim(cf_str_sub(line, i, line.n));
            break;
        }
    while (line.n) {
        size_t k = 0;
        int r;

        while (k < line.n && line.p[k] != ' ' && line.p[k] != '\t')
            k++;
        word = cf_str_sub(line, 0, k);
        line = cf_str_trim(cf_str_sub(line, k, line.n));
        if (cf_str_ieq(word, CF_STR("localhost")) || cf_str_ieq(word, CF_STR("localhost.localdomain")) || cf_str_ieq(word, CF_STR("broadcasthost")) ||
            cf_str_istarts(word, CF_STR("ip6-")))
            continue;
        r = put(w, word, type, o, note, reterr);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- CSV ----------------------------------------------------------------------------------------------------------------- */

enum csv_col { C_NONE = -1, C_VALUE, C_TYPE, C_THREAT, C_FAMILY, C_GROUP, C_CONFIDENCE, C_SEVERITY, C_TLP, C_FIRST, C_LAST, C_UNTIL, C_DESCRIPTION, C_TAGS, C_COLS };

static enum csv_col col_of(cf_str name)
{
    static const struct {
        const char *name;
        enum csv_col c;
    } map[] = {{"value", C_VALUE}, {"indicator", C_VALUE}, {"ioc", C_VALUE}, {"ioc_value", C_VALUE}, {"url", C_VALUE}, {"domain", C_VALUE}, {"ip", C_VALUE}, {"dst_ip", C_VALUE},
               {"ip_address", C_VALUE}, {"sha256", C_VALUE}, {"sha256_hash", C_VALUE}, {"md5", C_VALUE}, {"hash", C_VALUE}, {"hostname", C_VALUE}, {"指标", C_VALUE}, {"值", C_VALUE},
               {"type", C_TYPE}, {"indicator_type", C_TYPE}, {"ioc_type", C_TYPE}, {"类型", C_TYPE}, {"threat_type", C_THREAT}, {"threat", C_THREAT}, {"category", C_THREAT}, {"威胁类型", C_THREAT},
               {"family", C_FAMILY}, {"malware", C_FAMILY}, {"malware_printable", C_FAMILY}, {"malware_family", C_FAMILY}, {"signature", C_FAMILY}, {"家族", C_FAMILY},
               {"group", C_GROUP}, {"actor", C_GROUP}, {"threat_actor", C_GROUP}, {"组织", C_GROUP}, {"团伙", C_GROUP}, {"confidence", C_CONFIDENCE}, {"confidence_level", C_CONFIDENCE},
               {"置信度", C_CONFIDENCE}, {"severity", C_SEVERITY}, {"level", C_SEVERITY}, {"级别", C_SEVERITY}, {"严重程度", C_SEVERITY}, {"tlp", C_TLP}, {"first_seen", C_FIRST},
               {"first_seen_utc", C_FIRST}, {"dateadded", C_FIRST}, {"首次发现", C_FIRST}, {"last_seen", C_LAST}, {"last_online", C_LAST}, {"最近发现", C_LAST}, {"valid_until", C_UNTIL},
               {"expires", C_UNTIL}, {"有效期", C_UNTIL}, {"description", C_DESCRIPTION}, {"comment", C_DESCRIPTION}, {"描述", C_DESCRIPTION}, {"tags", C_TAGS}, {"标签", C_TAGS}};

    name = cf_str_trim(name);
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (cf_str_ieq(name, cf_str_c(map[i].name)))
            return map[i].c;
    return C_NONE;
}

/* One field off the front; quotes undone into buf (cap bytes). False: nothing left. */
static bool next_field(cf_str *line, char sep, bool *more, char *buf, size_t cap, cf_str *ret)
{
    size_t i = 0, n = 0;

    if (!*more)
        return false;
    while (i < line->n && (line->p[i] == ' ') && sep != ' ')
        i++;
    if (i < line->n && line->p[i] == '"') {
        for (i++; i < line->n; i++) {
            if (line->p[i] == '"' && !(i + 1 < line->n && line->p[i + 1] == '"'))
                break;
            if (line->p[i] == '"')
                i++;
            if (n < cap)
                buf[n++] = line->p[i];
        }
        while (i < line->n && line->p[i] != sep)
            i++;
        *ret = cf_str_n(buf, n);
    } else {
        size_t from = i;

        while (i < line->n && line->p[i] != sep)
            i++;
        *ret = cf_str_trim(cf_str_sub(*line, from, i - from));
    }
    *more = i < line->n;
    *line = cf_str_sub(*line, i + 1, line->n);
    return true;
}

static char separator(cf_str line)
{
    size_t n[3] = {0};

    for (size_t i = 0; i < line.n; i++)
        n[line.p[i] == ',' ? 0 : line.p[i] == ';' ? 1 : 2] += line.p[i] == ',' || line.p[i] == ';' || line.p[i] == '\t';
    return n[0] >= n[1] && n[0] >= n[2] ? ',' : n[1] >= n[2] ? ';' : '\t';
}

static bool read_names(struct ti_csv *c, cf_str line, char sep)
{
    bool more = true, have[C_COLS] = {false};
    char buf[256];
    cf_str f;

    c->n_cols = 0;
    c->sep = sep;
    if (line.n && line.p[0] == '#')
        line = cf_str_trim(cf_str_sub(line, 1, line.n));
    while (c->n_cols < 16 && next_field(&line, sep, &more, buf, sizeof buf, &f)) {
        int k = col_of(f);

        if (k >= 0 && have[k])
            k = C_NONE;
        if (k >= 0)
            have[k] = true;
        c->col[c->n_cols++] = k;
    }
    c->ready = have[C_VALUE];
    return c->ready;
}

bool ti_csv_header(struct ti_csv *c, cf_str line) { return read_names(c, line, separator(line)); }
bool ti_csv_columns(struct ti_csv *c, cf_str names)
{
    bool ok = read_names(c, names, ',');

    c->sep = 0; /* told by the first line */
    return ok;
}

static int64_t when(cf_str s)
{
    int64_t us;

    return s.n >= 10 && cf_time_parse(s, &us) ? us : 0;
}

static json_t *split_tags(cf_str s)
{
    json_t *a = json_array();
    cf_str t;

    for (size_t i = 0, from = 0; i <= s.n; i++)
        if (i == s.n || s.p[i] == ';' || s.p[i] == '|' || s.p[i] == ',') {
            t = cf_str_trim(cf_str_sub(s, from, i - from));
            from = i + 1;
            if (t.n && cf_utf8_valid(t) && json_array_size(a) < 50)
                (void)json_array_append_new(a, json_stringn(t.p, t.n));
        }
    return a;
}

int ti_csv_line(struct ti_writer *w, struct ti_csv *c, cf_str line, const struct ti_import_options *o, struct cf_error *reterr)
{
    static _Thread_local char buf[16][1024];
    cf_str f[C_COLS] = {{0}}, all = line, x;
    struct cf_ti_value v;
    struct ti_item it = {.value = &v, .confidence = -1, .severity = -1, .tlp = -1};
    enum cf_ti_type type = o->type;
    const char *why = NULL;
    bool more = true;
    int64_t n;
    int r;

    line = cf_str_trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return 0;
    if (c->sep == 0)
        c->sep = separator(line);
    for (size_t i = 0; i < c->n_cols && next_field(&line, c->sep, &more, buf[i], sizeof buf[i], &x); i++)
        if (c->col[i] >= 0)
            f[c->col[i]] = x;
    if (f[C_TYPE].n && !cf_ti_type_parse(f[C_TYPE], &type))
        type = o->type; /* "ip:port" and the like: told by the value */
    if (!f[C_VALUE].n || !cf_ti_value_read(f[C_VALUE], type, &v, &why)) {
        ti_writer_bad(w, all, f[C_VALUE].n ? why : "the column of the value is empty");
        return 0;
    }
    it.threat_type = f[C_THREAT].n ? f[C_THREAT] : o->threat_type;
    it.family = f[C_FAMILY].n ? f[C_FAMILY] : o->family;
    it.group = f[C_GROUP];
    it.description = f[C_DESCRIPTION];
    if (f[C_CONFIDENCE].n && cf_str_i64(f[C_CONFIDENCE], &n) && n >= 0 && n <= 100)
        it.confidence = (int)n;
    else if (f[C_CONFIDENCE].n)
        it.confidence = cf_str_ieq(f[C_CONFIDENCE], CF_STR("high")) ? 80 : cf_str_ieq(f[C_CONFIDENCE], CF_STR("medium")) ? 50 : cf_str_ieq(f[C_CONFIDENCE], CF_STR("low")) ? 20 : -1;
    it.severity = f[C_SEVERITY].n ? ti_severity_parse(f[C_SEVERITY]) : -1;
    it.tlp = f[C_TLP].n ? ti_tlp_parse(f[C_TLP]) : -1;
    it.first_us = when(f[C_FIRST]);
    it.last_us = when(f[C_LAST]);
    it.until_us = when(f[C_UNTIL]);
    it.tags = f[C_TAGS].n ? split_tags(f[C_TAGS]) : NULL;
    r = ti_writer_add(w, &it, reterr);
    json_decref(it.tags);
    return r;
}
