/* SPDX-License-Identifier: Apache-2.0
 * A journal export stream in one piece and in many gives the same entries; each begins with its cursor, is one whole block
 * for the reader of files, and keeps the limits. */
#include <stdint.h>
#include <stdlib.h>

#include "normalise/journal.h"
#include "normalise/journal_cut.h"

/* Entries with a line feed and their length behind each; false: an error came. */
static bool all(const uint8_t *data, size_t size, bool pieces, struct cf_buf *out, uint64_t *left_out)
{
    struct cf_journal_cut c;
    struct cf_error err = {0};
    size_t at = 0, step = 1;
    int r = 0;

    cf_journal_cut_init(&c);
    while (at < size && r >= 0) {
        size_t n = pieces ? step % 7 + 1 : size;
        cf_str in = cf_str_n((const char *)data + at, n < size - at ? n : size - at), entry;

        at += in.n;
        step += data[at - 1];
        while ((r = cf_journal_cut_next(&c, &in, &entry, &err)) == 1) {
            if (!cf_journal_is(entry) || entry.n > CF_JOURNAL_CUT_ENTRY + CF_JOURNAL_CUT_FIELD)
                abort();
            cf_buf_str(out, entry);
            if (cf_journal_block(out->p + out->n - entry.n, entry.n) != SIZE_MAX)
                abort();
            cf_buf_byte(out, '\n');
            if (cf_journal_block(out->p + out->n - entry.n - 1, entry.n + 1) != entry.n)
                abort();
        }
    }
    *left_out = c.left_out;
    cf_journal_cut_release(&c);
    return r >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cf_buf a, b;
    uint64_t na, nb;
    bool ra, rb;

    cf_buf_init(&a, 0);
    cf_buf_init(&b, 0);
    ra = all(data, size, false, &a, &na);
    rb = all(data, size, true, &b, &nb);
    if (ra != rb || na != nb || a.n != b.n || (a.n && memcmp(a.p, b.p, a.n) != 0))
        abort();
    cf_buf_release(&a);
    cf_buf_release(&b);
    return 0;
}
