/* SPDX-License-Identifier: Apache-2.0
 * The five numbers of every collection point (COL-034) and what the list of data sources shows of it:
 *
 *   received = accepted + rejected          accepted = stored + failed + still in the spool
 *
 * Counters are found by the name of the data source; updating takes no lock. At most CF_COUNTERS_MAX names, further
 * ones are counted together under "other". */
#ifndef CF_COLLECT_COUNTERS_H
#define CF_COLLECT_COUNTERS_H

#include <stdatomic.h>

#include "base/base.h"

#define CF_COUNTERS_MAX 4096
#define CF_COUNTER_KEY 96

struct cf_counter {
    char key[CF_COUNTER_KEY], org[64];
    _Atomic uint64_t received, accepted, rejected, stored, failed, unparsed, bytes;
    _Atomic uint64_t today, today_unparsed;
    _Atomic int64_t last_us, first_us; /* receiving time of the newest and the first record; 0: none */
    /* written by cf_counters_tick only */
    _Atomic uint64_t eps_milli, peak_milli; /* records a second, times 1000: gliding over 10 s; highest */
    uint64_t tick_received;
    _Atomic(void *) quality; /* the pipeline's samples; freed with free() */
    struct cf_counter *next;
};
struct cf_counters;
struct cf_counters *cf_counters_new(void);
void cf_counters_free(struct cf_counters *c);
struct cf_counter *cf_counters_get(struct cf_counters *c, cf_str key, cf_str org); /* made when missing; lives as long as c */
struct cf_counter *cf_counters_find(const struct cf_counters *c, cf_str key); /* NULL: none */
struct cf_counter *cf_counters_first(const struct cf_counters *c);            /* list through ->next */
void cf_counters_tick(struct cf_counters *c, int64_t now_us);                 /* once a second: rates, day change */
/* n records of `bytes` bytes came in and were taken. */
void cf_counter_accept(struct cf_counter *k, uint64_t n, uint64_t bytes, int64_t now_us);
void cf_counter_reject(struct cf_counter *k, uint64_t n);

#endif
