/* SPDX-License-Identifier: Apache-2.0
 * multipart/form-data (RFC 7578): the first part with a file name. */
#include "workflow/reply.h"

static cf_str param(cf_str header, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i + len + 1 < header.n; i++) {
        cf_str rest;

        if ((i && header.p[i - 1] != ' ' && header.p[i - 1] != ';' && header.p[i - 1] != '\t') || !cf_str_istarts(cf_str_sub(header, i, len), cf_str_n(name, len)) ||
            header.p[i + len] != '=')
            continue;
        rest = cf_str_sub(header, i + len + 1, header.n);
        if (rest.n && rest.p[0] == '"') {
            ptrdiff_t end;

            rest = cf_str_sub(rest, 1, rest.n);
            end = cf_str_find(rest, CF_STR("\""));
            return end < 0 ? CF_STR_NONE : cf_str_sub(rest, 0, (size_t)end);
        }
        for (size_t k = 0; k < rest.n; k++)
            if (rest.p[k] == ';' || rest.p[k] == ' ' || rest.p[k] == '\r')
                return cf_str_sub(rest, 0, k);
        return rest;
    }
    return CF_STR_NONE;
}

static int bad(struct cf_error *err, const char *what) { return cf_error_set(err, CF_EINVAL, "upload: %s", what); }

/* Finds "--boundary" at a line start. */
static ptrdiff_t find_boundary(cf_str body, cf_str mark)
{
    size_t from = 0;

    for (;;) {
        ptrdiff_t at = cf_str_find(cf_str_sub(body, from, body.n), mark);

        if (at < 0)
            return -1;
        if ((size_t)at + from == 0 || body.p[(size_t)at + from - 1] == '\n')
            return at + (ptrdiff_t)from;
        from += (size_t)at + 1;
    }
}

int cf_upload_read(cf_str content_type, cf_str query_name, cf_str body, cf_str *ret_name, cf_str *ret_content, struct cf_error *reterr)
{
    cf_str boundary, rest = body;
    char mark[100];

    if (!cf_str_istarts(content_type.p ? content_type : CF_STR(""), CF_STR("multipart/form-data"))) {
        if (!query_name.n)
            return bad(reterr, "give the file's name as ?name= or send multipart/form-data");
        *ret_name = query_name;
        *ret_content = body;
        return 0;
    }
    boundary = param(content_type, "boundary");
    if (boundary.n == 0 || boundary.n > 70)
        return bad(reterr, "multipart/form-data without a boundary of 1 to 70 characters");
    (void)snprintf(mark, sizeof(mark), "--%.*s", CF_ARG(boundary));
    for (int parts = 0; parts < 100; parts++) {
        ptrdiff_t at = find_boundary(rest, cf_str_c(mark)), head, end;
        cf_str header, content, name;

        if (at < 0)
            return bad(reterr, "no part with a file name");
        rest = cf_str_sub(rest, (size_t)at + strlen(mark), rest.n);
        if (cf_str_starts(rest, CF_STR("--")))
            return bad(reterr, "no part with a file name");
        head = cf_str_find(rest, CF_STR("\r\n\r\n"));
        if (head < 0)
            return bad(reterr, "a part without headers");
        header = cf_str_sub(rest, 0, (size_t)head);
        content = cf_str_sub(rest, (size_t)head + 4, rest.n);
        end = find_boundary(content, cf_str_c(mark));
        if (end < 2)
            return bad(reterr, "the last part has no end");
        name = param(header, "filename");
        if (name.n) {
            *ret_name = name;
            *ret_content = cf_str_sub(content, 0, (size_t)end - 2); /* the line break belongs to the boundary */
            return 0;
        }
        rest = cf_str_sub(content, (size_t)end, content.n);
    }
    return bad(reterr, "too many parts");
}
