/* SPDX-License-Identifier: Apache-2.0
 * The matcher: an immutable set of indicators and the look-ups over it.
 *
 *   value -> 64-bit hash (XXH3, seeded by kind) -> blocked Bloom filter (one cache line)  -> most look-ups end here
 *                                               -> open-addressing table {fingerprint, entry} -> stored value compared
 *   addresses   exact, then one probe a prefix length in use (ranges live in the same table under their masked address)
 *   names       every suffix of at least two labels: an entry matches itself and its sub-domains
 *   URLs        host[:port]/path?query, then without the query
 *
 * Sets are built once and shared; look-ups take no lock and allocate nothing. */
#ifndef CF_TI_MATCHER_H
#define CF_TI_MATCHER_H

#include "event/event.h"
#include "ti/value.h"

#define CF_TI_ENTRIES_MAX 8000000u /* about 700 MB: more is refused */

/* What is known of an entry beside its value; equal ones are kept once. */
struct cf_ti_info {
    cf_str threat_type, family, group, feed;
    uint8_t severity; /* enum cf_level */
    uint8_t tlp;
};
struct cf_ti_entry_in {
    enum cf_ti_type type;
    cf_str value;        /* normal form */
    uint8_t id[16];
    uint8_t confidence;  /* 0..100 */
    bool exact;          /* a name without its sub-domains */
    int64_t until_us;    /* 0: no end */
    struct cf_ti_info info;
    cf_str cond;         /* "field=value\n..." that must hold too, "" none */
};
struct cf_ti_entry {
    uint32_t value_off, until_s, info, cond_off; /* until_s UINT32_MAX: no end */
    uint16_t value_n;
    uint8_t type, confidence, flags;
    uint8_t id[16];
};

struct cf_ti_builder;
struct cf_ti_set;
struct cf_ti_builder *cf_ti_builder_new(size_t expected); /* NULL: no memory */
void cf_ti_builder_free(struct cf_ti_builder *b);
/* Copies everything. CF_EINVAL: not a normal form; CF_ELIMIT: more than CF_TI_ENTRIES_MAX; CF_ENOMEM. */
int cf_ti_builder_add(struct cf_ti_builder *b, const struct cf_ti_entry_in *in);
/* Takes the builder (frees it, also on failure). NULL: no memory. */
struct cf_ti_set *cf_ti_builder_finish(struct cf_ti_builder *b);
void cf_ti_set_free(void *set);
size_t cf_ti_set_count(const struct cf_ti_set *s);
size_t cf_ti_set_bytes(const struct cf_ti_set *s);
const struct cf_ti_entry *cf_ti_set_entry(const struct cf_ti_set *s, size_t i);
const struct cf_ti_info *cf_ti_entry_info(const struct cf_ti_set *s, const struct cf_ti_entry *e);
/* The value as text (buf is used for addresses and hashes). */
cf_str cf_ti_entry_text(const struct cf_ti_set *s, const struct cf_ti_entry *e, char buf[80]);

/* Best entry (confidence) for a text of the given kind that is valid at now_s, NULL: none. Text as logs write it. type CF_TI_ANY: a host, name
 * or address. ev (may be NULL) decides conditions; without one, entries with conditions do not match. */
const struct cf_ti_entry *cf_ti_find(const struct cf_ti_set *s, enum cf_ti_type type, cf_str text, uint32_t now_s, const struct cf_event *ev);

struct cf_ti_found {
    const struct cf_ti_entry *entry;
    enum cf_field field;
    cf_str value; /* of the event */
};
#define CF_TI_FOUND_MAX 8
/* Every field of the event that can hold an indicator; the same entry is given once. */
size_t cf_ti_match_event(const struct cf_ti_set *s, const struct cf_event *ev, uint32_t now_s, struct cf_ti_found ret[CF_TI_FOUND_MAX]);

/* Which fields are looked at, and as what. */
struct cf_ti_field {
    uint16_t field; /* enum cf_field */
    uint8_t as;     /* enum cf_ti_type or CF_TI_ANY */
};
extern const struct cf_ti_field cf_ti_fields[];
extern const size_t cf_ti_n_fields;

#endif
