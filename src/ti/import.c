/* SPDX-License-Identifier: Apache-2.0
 * Which format is this, and its pieces in order. Lists and CSV go line by line, STIX bundles object by object, so memory does not
 * grow with the file; MISP events and GB/T documents are read as a whole up to a limit. */
#include "ti/ti_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "normalise/formats.h"

#define SNIFF_BYTES ((size_t)4096)

enum format { F_NONE, F_STIX, F_MISP, F_GBT, F_WARNING, F_CSV, F_LIST, F_HOSTS };
static const char *const formats[] = {"", "stix", "misp", "gbt", "warninglist", "csv", "list", "hosts"};

/* Cuts the elements of one array out of a JSON text that comes in pieces. */
struct split {
    int depth, array_depth; /* depth of the array's elements, 0: array not reached yet */
    bool string, escape, in_value, done, key_next;
    char key[16];
    size_t key_n;
    bool reading_key, wanted;
};
struct ti_import {
    struct ti_writer *w;
    struct ti_import_options o;
    char columns[TI_COLUMNS_MAX + 1], threat_type[TI_THREAT_MAX + 1], family[TI_FAMILY_MAX + 1];
    enum format f;
    struct cf_buf buf; /* line, element or document not complete yet */
    struct ti_csv csv;
    struct split split;
    struct cf_encoding *enc; /* lines that are not UTF-8 are read as GB18030 where that fits */
    struct cf_arena line;
    bool skip_line;
    int64_t bytes, element_at; /* element_at: where the element being read begins */
};

int ti_import_new(struct ti_writer *w, const struct ti_import_options *o, struct ti_import **ret, struct cf_error *reterr)
{
    struct ti_import *im;

    if (o->columns.n > TI_COLUMNS_MAX || o->threat_type.n > TI_THREAT_MAX || o->family.n > TI_FAMILY_MAX)
        return cf_error_set(reterr, CF_EINVAL, "columns, threat_type and family: at most %zu, %zu and %zu bytes", TI_COLUMNS_MAX, TI_THREAT_MAX, TI_FAMILY_MAX);
    im = calloc(1, sizeof *im);
    if (!im)
        return cf_error_set(reterr, CF_ENOMEM, "import");
    im->w = w;
    im->o = *o;
    (void)snprintf(im->columns, sizeof im->columns, "%.*s", CF_ARG(o->columns));
    (void)snprintf(im->threat_type, sizeof im->threat_type, "%.*s", CF_ARG(o->threat_type));
    (void)snprintf(im->family, sizeof im->family, "%.*s", CF_ARG(o->family));
    im->o.columns = cf_str_c(im->columns);
    im->o.threat_type = cf_str_c(im->threat_type);
    im->o.family = cf_str_c(im->family);
    cf_buf_init(&im->buf, TI_DOC_BYTES_MAX);
    cf_arena_init(&im->line, 0, 0);
    im->enc = cf_encoding_new();
    if (!im->enc) {
        ti_import_free(im);
        return cf_error_set(reterr, CF_ENOMEM, "import");
    }
    for (int i = 1; i <= F_HOSTS && o->format.n; i++)
        if (cf_str_eqz(o->format, formats[i]))
            im->f = (enum format)i;
    if (o->format.n && im->f == F_NONE) {
        ti_import_free(im);
        return cf_error_set(reterr, CF_EINVAL, "format: stix, misp, gbt, warninglist, csv, list or hosts");
    }
    if (im->columns[0] && !ti_csv_columns(&im->csv, im->o.columns)) {
        ti_import_free(im);
        return cf_error_set(reterr, CF_EINVAL, "columns: one of them must be value");
    }
    if (im->columns[0] && im->f == F_NONE)
        im->f = F_CSV;
    *ret = im;
    return 0;
}

void ti_import_free(struct ti_import *im)
{
    if (!im)
        return;
    cf_buf_release(&im->buf);
    cf_arena_release(&im->line);
    cf_encoding_free(im->enc);
    free(im);
}

const char *ti_import_format(const struct ti_import *im) { return formats[im->f]; }

bool ti_import_whole(const struct ti_import *im) { return im->f == F_MISP || im->f == F_GBT || im->f == F_WARNING; }

static bool has(cf_str s, const char *what) { return cf_str_find(s, cf_str_c(what)) >= 0; }

static enum format sniff(cf_str s)
{
    cf_str line;

    if (cf_str_starts(s, CF_STR("\xef\xbb\xbf")))
        s = cf_str_sub(s, 3, s.n);
    s = cf_str_trim(s);
    if (s.n && (s.p[0] == '{' || s.p[0] == '[')) {
        /* a bundle may have its keys in any order: "objects" and STIX ids tell */
        if (has(s, "36643"))
            return F_GBT;
        if (has(s, "\"bundle\"") || has(s, "\"bundle--") || has(s, "\"spec_version\"") || (has(s, "\"objects\"") && !has(s, "\"Event\"")))
            return F_STIX;
        if (has(s, "\"Event\"") || has(s, "\"Attribute\"") || has(s, "\"response\"") || has(s, "\"Orgc\"") || has(s, "\"attribute_count\""))
            return F_MISP;
        if (has(s, "\"list\"") && has(s, "\"name\""))
            return F_WARNING;
        if (s.p[0] == '{' || cf_str_starts(cf_str_trim(cf_str_sub(s, 1, s.n)), CF_STR("{")))
            return F_STIX;
    }
    if (s.n && s.p[0] == '<')
        return F_GBT;
    while (cf_str_cut(&s, '\n', &line)) {
        struct ti_csv c;

        line = cf_str_trim(line);
        if (line.n == 0)
            continue;
        if ((has(line, ",") || has(line, ";") || has(line, "\t")) && ti_csv_header(&c, line) && c.n_cols > 1)
            return F_CSV;
        if (line.p[0] == '#')
            continue;
        if (cf_str_starts(line, CF_STR("127.0.0.1 ")) || cf_str_starts(line, CF_STR("127.0.0.1\t")) || cf_str_starts(line, CF_STR("0.0.0.0 ")) || cf_str_starts(line, CF_STR("0.0.0.0\t")))
            return F_HOSTS;
        return F_LIST;
    }
    return F_LIST;
}

/* ---- lines --------------------------------------------------------------------------------------------------------------- */

static int one_line(struct ti_import *im, cf_str line, struct cf_error *reterr)
{
    bool printable;

    im->w->line++;
    cf_arena_reset(&im->line);
    if (!cf_utf8_valid(line))
        line = cf_encoding_text(im->enc, line, &im->line, &printable);
    if (im->w->line == 1 && cf_str_starts(line, CF_STR("\xef\xbb\xbf")))
        line = cf_str_sub(line, 3, line.n);
    if (im->f != F_CSV)
        return ti_list_line(im->w, line, im->o.type, im->f == F_HOSTS, &im->o, reterr);
    if (!im->csv.ready) {
        cf_str t = cf_str_trim(line);

        if (t.n == 0)
            return 0;
        if (ti_csv_header(&im->csv, t) || t.p[0] == '#')
            return 0;
        return cf_error_set(reterr, CF_EINVAL, "line %lld: no column named value (or ip, domain, url, sha256 ...): name them with columns=", (long long)im->w->line);
    }
    return ti_csv_line(im->w, &im->csv, line, &im->o, reterr);
}

static int feed_lines(struct ti_import *im, cf_str piece, struct cf_error *reterr)
{
    while (piece.n) {
        const char *lf = memchr(piece.p, '\n', piece.n);
        cf_str line = cf_str_n(piece.p, lf ? (size_t)(lf - piece.p) : piece.n);
        int r;

        piece = cf_str_sub(piece, line.n + (lf ? 1 : 0), piece.n);
        if (im->skip_line) {
            im->skip_line = !lf;
            continue;
        }
        if (im->buf.n || !lf) {
            if (im->buf.n + line.n > TI_LINE_MAX) {
                im->w->line++;
                ti_writer_bad(im->w, cf_str_sub(im->buf.n ? cf_buf_view(&im->buf) : line, 0, 200), "the line is longer than 64 KiB");
                cf_buf_clear(&im->buf);
                im->skip_line = !lf;
                continue;
            }
            cf_buf_str(&im->buf, line);
            if (!lf)
                break;
            line = cf_buf_view(&im->buf);
        }
        r = one_line(im, line, reterr);
        cf_buf_clear(&im->buf);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- elements of "objects" ------------------------------------------------------------------------------------------------ */

static int element(struct ti_import *im, struct cf_error *reterr)
{
    json_error_t je;
    json_t *j = json_loadb(im->buf.p, im->buf.n, JSON_REJECT_DUPLICATES, &je);
    char why[JSON_ERROR_TEXT_LENGTH + 40];
    int r;

    im->w->line++;
    if (!j) {
        (void)snprintf(why, sizeof why, "byte %lld: %s", (long long)im->element_at + je.position, je.text);
        ti_writer_bad(im->w, cf_str_sub(cf_buf_view(&im->buf), 0, 100), why);
        return 0;
    }
    r = ti_stix_object(im->w, j, reterr);
    json_decref(j);
    return r;
}

/* One character outside of an element being kept. */
static void outside(struct split *s, char c)
{
    if (s->string) {
        if (s->escape)
            s->escape = false;
        else if (c == '\\')
            s->escape = true;
        else if (c == '"')
            s->string = false;
        else if (s->key_n < sizeof s->key)
            s->key[s->key_n++] = c;
        return;
    }
    switch (c) {
    case '"':
        s->string = true;
        s->key_n = 0;
        break;
    case ':': s->wanted = s->depth == 1 && s->key_n == 7 && memcmp(s->key, "objects", 7) == 0; break;
    case '[':
        s->depth++;
        if ((s->wanted || s->depth == 1) && !s->array_depth) /* "objects": [ or a bare list */
            s->array_depth = s->depth;
        s->wanted = false;
        break;
    case '{':
        s->depth++;
        s->wanted = false;
        break;
    case ']':
        if (s->array_depth == s->depth) {
            s->array_depth = 0;
            s->done = true;
        }
        s->depth--;
        break;
    case '}': s->depth--; break;
    default: break;
    }
}

static int feed_objects(struct ti_import *im, cf_str piece, struct cf_error *reterr)
{
    struct split *s = &im->split;

    for (size_t i = 0; i < piece.n;) {
        size_t from = i;
        bool end = false;
        int r;

        if (!s->in_value) {
            char c = piece.p[i];

            if (s->array_depth && s->depth == s->array_depth && c == '{') {
                s->in_value = true;
                s->depth++;
                im->element_at = im->bytes - (int64_t)(piece.n - i);
                cf_buf_clear(&im->buf);
                cf_buf_byte(&im->buf, c);
            } else {
                outside(s, c);
                if (s->depth < 0)
                    return cf_error_set(reterr, CF_ESYNTAX, "byte %lld: the JSON text closes more than it opens", (long long)(im->bytes - (int64_t)(piece.n - i)));
            }
            i++;
            continue;
        }
        for (; i < piece.n && !end; i++) {
            char c = piece.p[i];

            if (s->string) {
                if (s->escape)
                    s->escape = false;
                else if (c == '\\')
                    s->escape = true;
                else if (c == '"')
                    s->string = false;
            } else if (c == '"') {
                s->string = true;
            } else if (c == '{' || c == '[') {
                s->depth++;
            } else if (c == '}' || c == ']') {
                end = --s->depth == s->array_depth;
            }
        }
        if (im->buf.n + (i - from) > TI_OBJECT_BYTES_MAX)
            return cf_error_set(reterr, CF_ELIMIT, "the object at byte %lld is larger than %zu MiB", (long long)im->element_at, TI_OBJECT_BYTES_MAX >> 20);
        cf_buf_add(&im->buf, piece.p + from, i - from);
        if (end) {
            s->in_value = false;
            r = element(im, reterr);
            cf_buf_clear(&im->buf);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static int dispatch(struct ti_import *im, cf_str piece, struct cf_error *reterr)
{
    switch (im->f) {
    case F_STIX: return feed_objects(im, piece, reterr);
    case F_CSV:
    case F_LIST:
    case F_HOSTS: return feed_lines(im, piece, reterr);
    default: break;
    }
    cf_buf_str(&im->buf, piece);
    return im->buf.failed ? cf_error_set(reterr, CF_ELIMIT, "the document is larger than %zu MiB: split it", TI_DOC_BYTES_MAX >> 20) : 0;
}

static int decide(struct ti_import *im, struct cf_error *reterr)
{
    struct cf_buf first = im->buf;
    int r;

    cf_str head = cf_buf_view(&first);
    bool printable;

    if (cf_str_starts(head, CF_STR("\xff\xfe")) || cf_str_starts(head, CF_STR("\xfe\xff")))
        return cf_error_set(reterr, CF_EINVAL, "the text is UTF-16: save it as UTF-8");
    if (!cf_utf8_valid(head)) { /* whole lines only: a character may be cut at the end */
        while (head.n && head.p[head.n - 1] != '\n' && first.n >= SNIFF_BYTES)
            head.n--;
        head = cf_encoding_text(im->enc, head, &im->line, &printable);
    }
    im->f = sniff(head);
    cf_buf_init(&im->buf, TI_DOC_BYTES_MAX);
    r = dispatch(im, cf_buf_view(&first), reterr);
    cf_buf_release(&first);
    return r;
}

int ti_import_feed(struct ti_import *im, cf_str piece, struct cf_error *reterr)
{
    im->bytes += (int64_t)piece.n;
    if (im->bytes > TI_IMPORT_BYTES_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "the file is larger than %lld MiB: split it", (long long)(TI_IMPORT_BYTES_MAX >> 20));
    if (im->f != F_NONE)
        return dispatch(im, piece, reterr);
    cf_buf_str(&im->buf, piece);
    return im->buf.n >= SNIFF_BYTES ? decide(im, reterr) : 0;
}

static int load_document(struct ti_import *im, json_t **ret, struct cf_error *reterr)
{
    cf_str text = cf_str_trim(cf_buf_view(&im->buf));
    json_error_t je;

    if (cf_str_starts(text, CF_STR("\xef\xbb\xbf")))
        text = cf_str_sub(text, 3, text.n);
    if (im->f == F_GBT && text.n && text.p[0] == '<')
        return ti_gbt_xml(text, ret, reterr);
    *ret = json_loadb(text.p ? text.p : "", text.n, 0, &je);
    return *ret ? 0 : cf_error_set(reterr, CF_ESYNTAX, "line %d, column %d (byte %d): %s", je.line, je.column, je.position, je.text);
}

static int document(struct ti_import *im, struct cf_error *reterr)
{
    json_t *j = NULL, *report = NULL;
    int r = load_document(im, &j, reterr);

    if (r < 0)
        return r;
    if (im->f == F_MISP)
        r = ti_misp_doc(im->w, j, reterr);
    else if (im->f == F_GBT)
        r = ti_gbt_doc(im->w, j, reterr);
    else if (im->w->dry)
        r = 0;
    else {
        r = ti_exclusion_import(im->w->db, j, &report, reterr);
        if (r == 0) {
            im->w->read = json_integer_value(json_object_get(report, "values"));
            im->w->bad = json_integer_value(json_object_get(report, "bad"));
        }
        json_decref(report);
    }
    json_decref(j);
    return r;
}

int ti_import_end(struct ti_import *im, struct cf_error *reterr)
{
    int r = im->f == F_NONE ? decide(im, reterr) : 0;

    if (r < 0)
        return r;
    switch (im->f) {
    case F_STIX:
        if (im->split.in_value || im->split.depth != 0)
            r = cf_error_set(reterr, CF_ESYNTAX, "the JSON text ends early, at byte %lld; %lld objects were read", (long long)im->bytes, (long long)im->w->line);
        else if (!im->split.done)
            r = cf_error_set(reterr, CF_ESYNTAX, "%s", im->o.format.n ? "no STIX bundle: the array \"objects\" is missing"
                                                               : "the JSON is no STIX bundle (the array \"objects\" is missing), no MISP event, no GB/T 36643 document and no warning list");
        break;
    case F_CSV:
    case F_LIST:
    case F_HOSTS:
        if (im->buf.n)
            r = one_line(im, cf_buf_view(&im->buf), reterr);
        break;
    default: r = document(im, reterr); break;
    }
    return r < 0 ? r : ti_writer_end(im->w, reterr);
}
