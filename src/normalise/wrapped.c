/* SPDX-License-Identifier: Apache-2.0
 * JSON that only carries a line of text: the line inside, with what the carrier knows (host, program, time). */
#include "normalise/journal.h"
#include "normalise/source.h"

/* {"preview":false,"result":{"_raw":"text","host":"web-1",..}} of Splunk exports: the text inside. */
static bool splunk_text(struct cf_run *r, const struct cf_jnode *nodes, cf_str *ret)
{
    size_t obj = 0;
    cf_str raw = CF_STR_NONE;

    for (size_t i = 1; i < nodes[0].next; i = nodes[i].kind <= CF_J_ARR ? nodes[i].next : i + 1)
        if (nodes[i].kind == CF_J_OBJ && cf_str_eqz(cf_str_n(nodes[i].key, nodes[i].key_n), "result"))
            obj = i;
    for (size_t i = obj + 1; i < nodes[obj].next; i = nodes[i].kind <= CF_J_ARR ? nodes[i].next : i + 1) {
        cf_str k = cf_str_n(nodes[i].key, nodes[i].key_n);
        if (nodes[i].kind != CF_J_STR)
            continue;
        if (cf_str_eqz(k, "_raw"))
            raw = cf_str_n(nodes[i].p, nodes[i].n);
        else if (cf_str_eqz(k, "host"))
            r->sl.host = cf_str_n(nodes[i].p, nodes[i].n);
    }
    if (!raw.n)
        r->sl.host = CF_STR_NONE;
    *ret = cf_str_trim(raw);
    return raw.n > 0;
}

/* {"log":"text\n","stream":"stdout","time":..} of container engines, {"MESSAGE":..} of the journal: the text inside. */
static bool engine_text(struct cf_run *r, const struct cf_jnode *nodes, cf_str *ret)
{
    cf_str log = CF_STR_NONE, stream = CF_STR_NONE;
    bool journal = false;

    for (size_t i = 1; i < nodes[0].next; i = nodes[i].kind <= CF_J_ARR ? nodes[i].next : i + 1) {
        cf_str k = cf_str_n(nodes[i].key, nodes[i].key_n), v = cf_str_n(nodes[i].p, nodes[i].n);
        if (nodes[i].kind != CF_J_STR)
            continue;
        if (cf_str_eqz(k, "log"))
            log = v;
        else if (cf_str_eqz(k, "stream"))
            stream = v;
        else if (cf_str_eqz(k, "MESSAGE"))
            journal = (log = stream = v).p != NULL;
    }
    if (!log.p || !stream.p)
        return false;
    for (size_t i = 1; i < nodes[0].next; i = nodes[i].kind <= CF_J_ARR ? nodes[i].next : i + 1) {
        cf_str k = cf_str_n(nodes[i].key, nodes[i].key_n), v = cf_str_n(nodes[i].p, nodes[i].n);
        int64_t us;
        if (nodes[i].kind != CF_J_STR)
            continue;
        if (cf_str_eqz(k, "time") && cf_time_parse(v, &us))
            r->ev->time_us = us;
        else if (journal)
            cf_journal_field(r, k, v, &log);
    }
    *ret = cf_str_trim(log);
    return true;
}

bool cf_run_wrapped(struct cf_run *r, const struct cf_jnode *nodes, cf_str *ret) { return engine_text(r, nodes, ret) || splunk_text(r, nodes, ret); }
