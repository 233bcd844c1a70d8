/* SPDX-License-Identifier: Apache-2.0
 * State file of a collector's positions; see positions.h. */
#include "collect/positions.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/crash.h"

#define TEXT_MAX ((size_t)256 << 20)

int cf_positions_init(struct cf_positions *p, struct cf_spool *spool, const char *path, const char *what, const char *before_save, const char *saved,
                      struct cf_error *reterr)
{
    *p = (struct cf_positions){.spool = spool, .what = what, .before_save = before_save, .saved = saved, .path = strdup(path)};
    (void)pthread_mutex_init(&p->mu, NULL);
    return p->path ? 0 : cf_error_set(reterr, CF_ENOMEM, "%s", what);
}

void cf_positions_release(struct cf_positions *p)
{
    free(p->path);
    if (p->what)
        (void)pthread_mutex_destroy(&p->mu);
}

int cf_positions_load(struct cf_positions *p, void (*line)(void *ctx, cf_str line), void (*mark)(void *ctx, cf_str mark), void *ctx, bool *ret_file,
                      struct cf_error *reterr)
{
    struct cf_buf b;
    cf_str text, one;
    int r = 0;

    cf_buf_init(&b, TEXT_MAX);
    *ret_file = access(p->path, F_OK) == 0;
    if (*ret_file)
        r = cf_file_read(p->path, &b, reterr);
    text = cf_buf_view(&b);
    while (r == 0 && cf_str_cut(&text, '\n', &one))
        if (one.n)
            line(ctx, one);
    cf_buf_release(&b);
    return r == 0 ? cf_spool_marks(p->spool, mark, ctx, reterr) : r;
}

int cf_positions_save(struct cf_positions *p, void (*write)(void *ctx, struct cf_buf *out), void *ctx, struct cf_error *reterr)
{
    struct cf_buf b;
    uint64_t ticket;
    bool changed;
    int r = 0;

    cf_buf_init(&b, TEXT_MAX);
    (void)pthread_mutex_lock(&p->mu);
    changed = p->changed;
    ticket = p->ticket;
    if (changed)
        write(ctx, &b);
    p->changed = false;
    (void)pthread_mutex_unlock(&p->mu);
    if (changed) {
        r = b.failed ? cf_error_set(reterr, CF_ENOMEM, "%s", p->what) : cf_spool_wait(p->spool, ticket, 10000, reterr);
        cf_crash_point(p->before_save);
        if (r == 0)
            r = cf_file_write_durable(p->path, cf_buf_view(&b), 0600, reterr);
        cf_crash_point(p->saved);
        if (r < 0) {
            (void)pthread_mutex_lock(&p->mu);
            p->changed = true;
            (void)pthread_mutex_unlock(&p->mu);
        }
    }
    cf_buf_release(&b);
    return r;
}
