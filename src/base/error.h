/* SPDX-License-Identifier: Apache-2.0
 * Error values. Functions return 0 or a negative CF_E...; the words for people travel in struct cf_error and get
 * outer context on the way up. Library code never logs an error it returns. */
#ifndef CF_BASE_ERROR_H
#define CF_BASE_ERROR_H

#include "base/str.h"

#define CF_ERR_MAP(X)                                       \
    X(NOMEM, -1, "out of memory")                           \
    X(SYNTAX, -2, "input does not follow its format")       \
    X(LIMIT, -3, "input is larger than the limit")          \
    X(IO, -4, "input/output error")                         \
    X(NOENT, -5, "not found")                               \
    X(EXIST, -6, "already exists")                          \
    X(INVAL, -7, "value not allowed")                       \
    X(PERM, -8, "not permitted")                            \
    X(BUSY, -9, "busy, try again")                          \
    X(CORRUPT, -10, "stored data is damaged")               \
    X(FULL, -11, "no space left")                           \
    X(AUTH, -12, "sign-in required")                        \
    X(CONFLICT, -13, "changed by someone else or not possible in this state") \
    X(UNSUPPORTED, -14, "not supported")                    \
    X(DB, -15, "database error")                            \
    X(TIMEOUT, -16, "took too long")                        \
    X(CANCELLED, -17, "cancelled")

enum cf_err {
#define CF_ERR_X(name, value, text) CF_E##name = (value),
    CF_ERR_MAP(CF_ERR_X)
#undef CF_ERR_X
};

struct cf_error {
    int code;      /* CF_E... */
    size_t pos;    /* byte, line or record the message speaks of; 0 when it does not */
    char msg[480]; /* for people: what failed, on which object, why, what to do */
};

const char *cf_err_text(int code);
/* Marks a message that no function of this header makes, for the test that every message has its phrases (base/phrases.h). */
#define CF_SAID(text) text
/* Fills *err (may be NULL) and returns code, so that callers can write: return cf_error_set(err, CF_ESYNTAX, ...); */
int cf_error_set(struct cf_error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int cf_error_errno(struct cf_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* from errno */
#ifdef __clang_analyzer__
/* The analyser sees one file at a time: the contract (the code given comes back, and errno's is never 0) in its words. */
#define cf_error_set(err, code, ...) ((void)(cf_error_set)((err), (code), __VA_ARGS__), (code))
#define cf_error_errno(err, ...) ((void)(cf_error_errno)((err), __VA_ARGS__), CF_EIO)
#endif
/* Puts "context: " before the message. */
void cf_error_context(struct cf_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
