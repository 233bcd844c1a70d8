/* SPDX-License-Identifier: Apache-2.0
 * What the two halves of the slow evaluator share: oracle_text.c (text and what rules write) and oracle.c (events and conditions). */
#ifndef CF_TESTS_DETECT_ORACLE_INT_H
#define CF_TESTS_DETECT_ORACLE_INT_H

#include <locale.h>

#include "detect/oracle.h"

#define MANY 0x110001u
#define ONE 0x110002u

struct oracle {
    struct cf_arena a, tmp;
    struct cf_ynode *fields, *scopes, *sources, *placeholders;
    locale_t loc;
    uint64_t ev; /* event whose log sources are known: hash of its address and text */
    bool *src_true;
    struct source { /* the names of a log source, read once */
        cf_str product, category, service;
    } *src;
    size_t n_src;
    bool routed;
};
struct ctx {
    struct oracle *o;
    const struct cf_event *ev;
    cf_str product, category, service;
    const struct cf_ynode *det;
};
struct text {
    uint32_t *c;
    size_t n;
};
struct alts {
    struct text t[40000];
    size_t n;
};

struct text oracle_decode(struct oracle *o, cf_str s);
bool oracle_like(const uint32_t *p, size_t pn, const uint32_t *s, size_t sn);
bool oracle_like_text(struct oracle *o, const struct text *pat, cf_str value, bool cased);
bool oracle_in_net(cf_str net, cf_str v);
bool oracle_has(cf_str mods, const char *m);
void oracle_expand(struct oracle *o, struct alts *l, cf_str v);
uint32_t oracle_lower(struct oracle *o, uint32_t c);
void oracle_around(struct text *t, bool front, bool back);
struct text oracle_sigma_text(cf_str s);
void oracle_apply(struct alts *l, cf_str mod);
size_t oracle_utf8(const struct text *t, unsigned char *o);

#endif
