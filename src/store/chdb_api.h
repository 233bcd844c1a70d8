/* SPDX-License-Identifier: Apache-2.0
 * The functions of libchdb (26.7) that we use. The library ships without a header; these are its C ABI. It is loaded with
 * dlopen and never unloaded. */
#ifndef CF_STORE_CHDB_API_H
#define CF_STORE_CHDB_API_H

#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

struct chdb_conn; /* opaque; the library hands out a pointer to a pointer */
struct chdb_res;
struct chdb_ins;

#define CHDB_API(X)                                                                                                                   \
    X(struct chdb_conn **, connect, (int argc, char **argv))                                                                          \
    X(void, close_conn, (struct chdb_conn **))                                                                                        \
    X(struct chdb_res *, query_n, (struct chdb_conn *, const char *sql, size_t n, const char *format, size_t format_n))                \
    X(struct chdb_res *, query_with_params_n,                                                                                         \
      (struct chdb_conn *, const char *sql, size_t n, const char *format, size_t format_n, const char *const *names,                  \
       const size_t *name_lens, const char *const *values, const size_t *value_lens, size_t count))                                   \
    X(struct chdb_res *, query_cmdline, (int argc, char **argv))                                                                      \
    X(void, destroy_query_result, (struct chdb_res *))                                                                                \
    X(char *, result_buffer, (struct chdb_res *))                                                                                     \
    X(size_t, result_length, (struct chdb_res *))                                                                                     \
    X(const char *, result_error, (struct chdb_res *))                                                                                \
    X(struct chdb_ins *, stream_insert_n, (struct chdb_conn *, const char *sql, size_t n, const char *format, size_t format_n))        \
    X(int, stream_append, (struct chdb_ins *, const void *p, size_t n))                                                               \
    X(struct chdb_res *, stream_done, (struct chdb_ins *))                                                                            \
    X(void, stream_cancel_insert, (struct chdb_ins *))                                                                                \
    X(const char *, stream_insert_error, (struct chdb_ins *))                                                                         \
    X(void, destroy_insert_stream, (struct chdb_ins *))                                                                               \
    X(void, set_signal_handlers_enabled, (int))                                                                                       \
    X(const char *, version, (void))

struct chdb_api {
#define CHDB_MEMBER(ret, name, args) ret(*name) args;
    CHDB_API(CHDB_MEMBER)
#undef CHDB_MEMBER
};
/* The loaded library: $CF_LIBCHDB, ../node_modules beside the program, node_modules of the source tree, /usr/lib/chengfang.
 * CF_ENOENT when none is there, CF_EUNSUPPORTED when it lacks a function. Thread-safe; the first result stays. */
int cf_chdb_load(const struct chdb_api **ret, struct cf_error *reterr);

#endif
