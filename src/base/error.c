/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *cf_err_text(int code)
{
    switch (code) {
#define X(name, value, text) \
    case value:              \
        return text;
        CF_ERR_MAP(X)
#undef X
    case 0:
        return "no error";
    default:
        return "unknown error";
    }
}

int(cf_error_set)(struct cf_error *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    err->pos = 0;
    va_start(ap, fmt);
    (void)vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    return code;
}

static int code_of_errno(int e)
{
    switch (e) {
    case ENOMEM:
        return CF_ENOMEM;
    case ENOENT:
    case ENOTDIR:
        return CF_ENOENT;
    case EEXIST:
        return CF_EEXIST;
    case EACCES:
    case EPERM:
    case EROFS:
        return CF_EPERM;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return CF_EFULL;
    default:
        return CF_EIO;
    }
}

int(cf_error_errno)(struct cf_error *err, const char *fmt, ...)
{
    int e = errno, n;
    va_list ap;

    if (!err)
        return code_of_errno(e);
    err->code = code_of_errno(e);
    err->pos = 0;
    va_start(ap, fmt);
    n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->msg)
        (void)snprintf(err->msg + n, sizeof err->msg - (size_t)n, ": %s", strerror(e));
    return err->code;
}

void cf_error_context(struct cf_error *err, const char *fmt, ...)
{
    char outer[256];
    size_t n, m;
    int r;
    va_list ap;

    if (!err)
        return;
    va_start(ap, fmt);
    r = vsnprintf(outer, sizeof outer - 2, fmt, ap);
    va_end(ap);
    if (r < 0)
        return;
    n = strlen(outer);
    outer[n++] = ':';
    outer[n++] = ' ';
    m = strlen(err->msg);
    if (m > sizeof err->msg - 1 - n)
        m = sizeof err->msg - 1 - n;
    memmove(err->msg + n, err->msg, m);
    memcpy(err->msg, outer, n);
    err->msg[n + m] = '\0';
}
