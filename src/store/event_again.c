/* SPDX-License-Identifier: Apache-2.0
 * An insert of which nobody knows whether it has happened already.
 *
 * The engine notes a block's token in a log first and makes its part visible afterwards. Killed in between (or failing there) it knows
 * the token and has no rows: the same insert, made again, would be taken for a repeated one and lost without a word. The log is not
 * synced either, so after power loss a block may be there whose token is gone. So an insert made again does not ask the log; it sends
 * the rows and the engine takes those whose id it does not have:
 *
 *   INSERT INTO events (...) SELECT * FROM (the rows) WHERE id NOT IN (SELECT id FROM events WHERE day.. AND time..)
 *
 * A cluster keeps to the token: with replicated tables Keeper holds it in one step with the rows. */
#include <stdlib.h>

#include "store/event_block_private.h"
#include "store/event_private.h"

#define STRETCHES 16u /* of time, looked through for rows that are there: a wrong clock in a block does not make it a whole day */

static int by_time(const void *a, const void *b)
{
    int64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* The largest gaps between the n sorted times: cut[] gets the indexes before which a new stretch begins, in order. */
static size_t cut_at_gaps(const int64_t *t, size_t n, size_t cut[STRETCHES - 1])
{
    size_t k = 0;

    for (size_t i = 1; i < n; i++) {
        size_t least = 0;

        if (t[i] == t[i - 1])
            continue;
        if (k == STRETCHES - 1) {
            for (size_t j = 1; j < k; j++)
                if (t[cut[j]] - t[cut[j] - 1] < t[cut[least]] - t[cut[least] - 1])
                    least = j;
            if (t[cut[least]] - t[cut[least] - 1] >= t[i] - t[i - 1])
                continue;
            memmove(cut + least, cut + least + 1, (k - least - 1) * sizeof *cut);
            k--;
        }
        cut[k++] = i;
    }
    return k;
}

static void days(const struct cf_event_block *b, struct cf_buf *out)
{
    uint8_t seen[(UINT16_MAX + 1) / 8] = {0};

    cf_buf_z(out, "day IN (");
    for (size_t i = 0; i + 2 <= b->day.n; i += 2) {
        uint16_t day;

        memcpy(&day, b->day.p + i, 2);
        if (!(seen[day / 8] & (1u << day % 8)))
            cf_buf_printf(out, "%stoDate(%u)", i ? ", " : "", day);
        seen[day / 8] = (uint8_t)(seen[day / 8] | 1u << day % 8);
    }
    cf_buf_z(out, ")");
}

int cf_event_block_where(const struct cf_event_block *b, struct cf_buf *out)
{
    size_t n = b->at.n / sizeof(int64_t), cut[STRETCHES - 1], k, from = 0;
    int64_t *t = malloc(b->at.n + 1);

    if (!t)
        return CF_ENOMEM;
    memcpy(t, b->at.p, b->at.n);
    qsort(t, n, sizeof *t, by_time);
    k = cut_at_gaps(t, n, cut);
    days(b, out);
    for (size_t i = 0; i <= k; i++) {
        size_t end = i < k ? cut[i] : n;

        cf_buf_printf(out, "%stime BETWEEN fromUnixTimestamp64Micro(%lld, 'UTC') AND fromUnixTimestamp64Micro(%lld, 'UTC')", i ? " OR " : " AND (",
                      (long long)t[from], (long long)t[end - 1]);
        from = end;
    }
    cf_buf_z(out, ")");
    free(t);
    return out->failed ? CF_ENOMEM : 0;
}

void cf_event_insert_head(const struct cf_event_store *s, const struct cf_event_block *b, struct cf_buf *out)
{
    cf_buf_printf(out, "INSERT INTO %s.events (", s->database);
    cf_event_block_columns(b, false, out);
    cf_buf_z(out, ")");
}

int cf_event_insert_missing(const struct cf_event_store *s, const struct cf_event_block *b, const char *from, struct cf_buf *out)
{
    int r;

    cf_buf_printf(out, " SELECT * FROM %s WHERE id NOT IN (SELECT id FROM %s.events WHERE ", from, s->database);
    r = cf_event_block_where(b, out);
    cf_buf_z(out, ")");
    return r == 0 && out->failed ? CF_ENOMEM : r;
}
