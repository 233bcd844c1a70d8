/* SPDX-License-Identifier: Apache-2.0
 * What a thread remembers of records before, so that the next one that is like them costs less: select.c (rows and objects),
 * keys.c (order), decide.c (fired). Each is checked against the record before it is used. */
#ifndef CF_NORMALISE_MEMOS_H
#define CF_NORMALISE_MEMOS_H

#include "base/str.h"

struct cf_source;
struct cf_textrow;
struct cf_sets;

#define CF_ASKED_ROOM 128u
struct cf_object_memo { /* texts of the keys that rows of match ask for, in the last record of the format, and its source */
    size_t n;
    const struct cf_source *s;
    char texts[CF_ASKED_ROOM];
};
#define CF_ROW_WORDS 4u
#define CF_ROW_LACKS 16u
#define CF_ROW_MEMOS 256u
struct cf_row_memo { /* the row that owned a text which began like this one: rows before it lack a sign each */
    uint64_t head;              /* its first 8 bytes */
    const struct cf_textrow *row; /* NULL: an empty place */
    unsigned lacks;             /* signs that the texts have not */
    char two[2];                /* the same, when they are one or two; 0: look at lacks */
    uint32_t at[CF_ROW_WORDS];  /* where its words stood */
};
/* Of a source's records whose keys are the expected ones, one behind the other. */
#define CF_KEYORDER_MAX 23u
struct cf_keyorder {
    size_t n_pairs; /* of such a record; 0: not known, or the expected order has changed */
    size_t n;
    struct cf_keyplace {
        uint16_t kid, pos;
    } at[CF_KEYORDER_MAX]; /* keys that the source looks at */
};
#define CF_FIRED_MAX 12u
struct cf_fired { /* constants that switches and rules have put */
    size_t n;
    bool not; /* more than there is room for, or values were copied too */
    const struct cf_sets *set[CF_FIRED_MAX];
};

#endif
