/* SPDX-License-Identifier: Apache-2.0
 * One question about events (a page, a histogram, a facet) while it is answered: what event_search.c and event_page.c share. */
#ifndef CF_STORE_EVENT_REQUEST_H
#define CF_STORE_EVENT_REQUEST_H

#include "store/event_private.h"
#include "store/search_lang.h"

struct cf_event_request {
    struct cf_event_store *s;
    const struct cf_search *q;
    struct cf_arena a;
    struct cf_search_sql w; /* condition and parameters */
    int64_t deadline_us;    /* cf_mono_us: of all statements together */
};
/* The condition from q's query, times and scope. To be closed, also after an error. */
int cf_event_request_open(struct cf_event_request *rq, struct cf_event_store *s, const struct cf_search *q, struct cf_error *reterr);
void cf_event_request_close(struct cf_event_request *rq);
/* Appends {pN:type} of a new parameter to sql. */
int cf_event_request_param(struct cf_event_request *rq, cf_str v, const char *type, struct cf_buf *sql);
/* Runs "SELECT <select> FROM events WHERE <condition><more><tail>" within what is left of the time. */
int cf_event_request_run(struct cf_event_request *rq, const char *select, const char *more, const char *tail, const char *format, struct cf_buf *out,
                         struct cf_error *reterr);

#endif
