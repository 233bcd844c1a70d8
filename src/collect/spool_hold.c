/* SPDX-License-Identifier: Apache-2.0
 * A batch is not closed while a sender is in the midst of something that lies in several of its records (the audit records of one
 * event): what belongs together is found by those who read a batch only when it is in one. The border is stored where it falls, so
 * a replay is the same. Never for long, and never for more than a quarter of a batch. */
#include "collect/spool_int.h"

/* mu held. */
void spool_hold_note(struct cf_spool *s, const struct cf_spool_origin *o, bool goes_on)
{
    uint64_t peer;
    unsigned i = 0;

    if (!goes_on && s->n_hold == 0)
        return;
    peer = cf_hash64(o->peer) ^ cf_hash64_seed(o->key, 1);
    while (i < s->n_hold && s->hold[i].peer != peer)
        i++;
    if (goes_on && i < SPOOL_HOLDS) { /* more senders at once: theirs may be cut */
        s->hold[i] = (struct spool_hold){peer, cf_mono_us() + s->hold_us};
        s->n_hold += i == s->n_hold;
    } else if (!goes_on && i < s->n_hold) {
        s->hold[i] = s->hold[--s->n_hold];
    }
}

/* mu held. 0: nobody holds the batch. */
int64_t spool_held_until(const struct cf_spool *s)
{
    int64_t until = 0;

    for (unsigned i = 0; i < s->n_hold; i++)
        if (s->hold[i].until_us > until)
            until = s->hold[i].until_us;
    return until;
}

/* mu held. */
bool spool_batch_full(const struct cf_spool *s)
{
    int64_t bytes = (int64_t)s->batch_bytes;

    if (s->open_rows < s->batch_rows && s->open_bytes < bytes)
        return false;
    return s->n_hold == 0 || s->open_rows >= s->batch_rows + s->batch_rows / 4 || s->open_bytes >= bytes + bytes / 4 || spool_held_until(s) <= cf_mono_us();
}
