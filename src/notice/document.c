/* SPDX-License-Identifier: Apache-2.0 */
#include "notice/document.h"

#define DEPTH_MAX 8

static void escape(struct cf_buf *out, cf_str s)
{
    for (size_t i = 0; i < s.n; i++)
        switch (s.p[i]) {
        case '&': cf_buf_z(out, "&amp;"); break;
        case '<': cf_buf_z(out, "&lt;"); break;
        case '>': cf_buf_z(out, "&gt;"); break;
        case '"': cf_buf_z(out, "&quot;"); break;
        case '\'': cf_buf_z(out, "&#39;"); break;
        default: cf_buf_byte(out, s.p[i]);
        }
}

static void paragraphs(struct cf_buf *out, cf_str s)
{
    cf_str line;

    while (cf_str_cut(&s, '\n', &line)) {
        line = cf_str_trim(line);
        if (line.n == 0)
            continue;
        cf_buf_z(out, "<p>");
        escape(out, line);
        cf_buf_z(out, "</p>\n");
    }
}

static const struct cf_doc_text *find(const struct cf_doc_text *v, size_t n, cf_str name)
{
    for (size_t i = 0; i < n; i++)
        if (cf_str_eqz(name, v[i].name))
            return &v[i];
    return NULL;
}

/* Comments describe the names and are not part of what goes out. */
static size_t skip_comment(cf_str page, size_t i)
{
    if (!cf_str_starts(cf_str_sub(page, i, page.n), CF_STR("<!--")))
        return i;
    for (size_t k = i + 4; k + 3 <= page.n; k++)
        if (memcmp(page.p + k, "-->", 3) == 0)
            return k + 3;
    return i;
}

int cf_document_render(cf_str page, const struct cf_doc_text *v, size_t n, struct cf_buf *out, struct cf_error *reterr)
{
    const struct cf_doc_text *open[DEPTH_MAX];
    size_t depth = 0, hidden = 0, i = 0, end;

    while (i < page.n) {
        const struct cf_doc_text *t;
        cf_str name;
        char kind;

        i = skip_comment(page, i);
        if (i + 1 >= page.n || page.p[i] != '{' || page.p[i + 1] != '{') {
            if (i < page.n && !hidden)
                cf_buf_byte(out, page.p[i]);
            i++;
            continue;
        }
        for (end = i + 2; end + 1 < page.n && !(page.p[end] == '}' && page.p[end + 1] == '}');)
            end++;
        name = cf_str_sub(page, i + 2, end - i - 2);
        kind = name.n && (name.p[0] == '#' || name.p[0] == '/' || name.p[0] == '&') ? name.p[0] : '=';
        if (kind != '=')
            name = cf_str_sub(name, 1, name.n);
        t = find(v, n, name);
        if (!t || end + 1 >= page.n)
            return cf_error_set(reterr, CF_ECORRUPT, "byte %zu: there is no text \"%.*s\"", i, CF_ARG(cf_str_sub(name, 0, 40)));
        if (kind == '#') {
            if (depth == DEPTH_MAX)
                return cf_error_set(reterr, CF_ECORRUPT, "byte %zu: sections are nested too deeply", i);
            open[depth++] = t;
            if (hidden || t->text.n == 0)
                hidden++;
        } else if (kind == '/') {
            if (depth == 0 || open[depth - 1] != t)
                return cf_error_set(reterr, CF_ECORRUPT, "byte %zu: section \"%.*s\" ends where it is not open", i, CF_ARG(name));
            depth--;
            if (hidden)
                hidden--;
        } else if (!hidden) {
            (kind == '&' ? paragraphs : escape)(out, t->text);
        }
        i = end + 2;
    }
    if (depth)
        return cf_error_set(reterr, CF_ECORRUPT, "section \"%s\" does not end", open[depth - 1]->name);
    return out->failed ? cf_error_set(reterr, CF_ELIMIT, "the document is too long") : 0;
}
