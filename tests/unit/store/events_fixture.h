/* SPDX-License-Identifier: Apache-2.0
 * Events for the store's tests and benchmarks: made from a seed, so that expected counts are known. */
#ifndef CF_TEST_EVENTS_FIXTURE_H
#define CF_TEST_EVENTS_FIXTURE_H

#include <stdio.h>

#include "base/base.h"
#include "event/event.h"

#define FIX_T0 INT64_C(1790000000000000) /* some instant, us */

/* Event i: sshd for even i, nginx for odd; source.ip 10.0.(i/256%256).(i%256); user.name u<i%10>; organization org<i%4>;
 * one event a millisecond. */
static inline struct cf_event *fix_event(struct cf_arena *a, uint64_t i)
{
    struct cf_event *ev = cf_event_new(a);
    bool ssh = i % 2 == 0;

    ev->time_us = FIX_T0 + (int64_t)i * 1000;
    ev->received_us = ev->time_us + 500000;
    ev->seq = i;
    ev->source = ssh ? CF_STR("sshd") : CF_STR("nginx");
    cf_str ip = cf_arena_printf(a, "10.0.%u.%u", (unsigned)(i / 256 % 256), (unsigned)(i % 256));
    cf_str user = cf_arena_printf(a, "u%u", (unsigned)(i % 10));

    (void)cf_event_set(ev, CF_F_SOURCE_IP, ip);
    (void)cf_event_set(ev, CF_F_HOST_NAME, i % 3 ? CF_STR("web-01") : CF_STR("db-01"));
    (void)cf_event_set(ev, CF_F_USER_NAME, user);
    (void)cf_event_set(ev, CF_F_ORGANIZATION_ID, cf_arena_printf(a, "org%u", (unsigned)(i % 4)));
    (void)cf_event_set_i64(ev, CF_F_SOURCE_PORT, (int64_t)(1024 + i % 50000));
    (void)cf_event_add(ev, CF_F_RELATED_IP, ip);
    if (ssh) {
        (void)cf_event_add(ev, CF_F_PROCESS_ARGS, CF_STR("sshd")); /* fields without a column of their own */
        (void)cf_event_add(ev, CF_F_PROCESS_ARGS, CF_STR("-D"));
        (void)cf_event_set_i64(ev, CF_F_NETWORK_PACKETS, (int64_t)(i % 7));
        (void)cf_event_add(ev, CF_F_DNS_RESOLVED_IP, CF_STR("192.0.2.1"));
        (void)cf_event_add(ev, CF_F_DNS_RESOLVED_IP, ip);
        (void)cf_event_add(ev, CF_F_EVENT_CATEGORY, CF_STR("authentication"));
        (void)cf_event_add(ev, CF_F_EVENT_CATEGORY, CF_STR("session"));
        (void)cf_event_set(ev, CF_F_EVENT_OUTCOME, i % 4 ? CF_STR("failure") : CF_STR("success"));
        ev->original = cf_arena_printf(a, "sshd[%u]: %s password for %.*s from %.*s port %u ssh2", (unsigned)(i % 32768),
                                       i % 4 ? "Failed" : "Accepted", CF_ARG(user), CF_ARG(ip), (unsigned)(1024 + i % 50000));
    } else {
        (void)cf_event_add(ev, CF_F_EVENT_CATEGORY, CF_STR("web"));
        (void)cf_event_set_i64(ev, CF_F_HTTP_RESPONSE_STATUS_CODE, i % 5 ? 200 : 404);
        (void)cf_event_set(ev, CF_F_URL_PATH, cf_arena_printf(a, "/page/%u", (unsigned)(i % 1000)));
        (void)cf_event_extra(ev, cf_name_intern(CF_STR("nginx.upstream")), cf_arena_printf(a, "up%u", (unsigned)(i % 3)), 0, CF_V_STR);
        ev->original = cf_arena_printf(a, "%.*s - %.*s \"GET /page/%u HTTP/1.1\" %u 512 \"\xe5\x9f\x8e\xe9\x98\xb2 agent\"", CF_ARG(ip), CF_ARG(user),
                                       (unsigned)(i % 1000), i % 5 ? 200 : 404);
    }
    return ev;
}

#endif
