/* SPDX-License-Identifier: Apache-2.0
 * Cutting a stream in the journal export format into entries, piece by piece, as it comes over a network. Unlike
 * cf_journal_block it needs no whole entry in front of it, and leaves out what is too large or no field, so that one
 * entry with a core dump in it does not stop those behind it.
 *
 *   "KEY=text\n"   or   "KEY\n" length(8, little endian) bytes "\n"   ...   "\n"
 *
 * An entry comes out as it went in, without its empty line, less the fields left out; __CURSOR= (empty) is put before an
 * entry that does not begin with it, as that is what an entry is known by. */
#ifndef CF_NORMALISE_JOURNAL_CUT_H
#define CF_NORMALISE_JOURNAL_CUT_H

#include "base/base.h"

#define CF_JOURNAL_CUT_FIELD (4u << 20)  /* larger fields are left out */
#define CF_JOURNAL_CUT_ENTRY (12u << 20) /* fields beyond this are left out */
#define CF_JOURNAL_CUT_NAME 256u         /* longest name of a field that is looked at */

struct cf_journal_cut {
    struct cf_buf entry;
    size_t field;        /* where the field begins that is being read */
    enum { JC_LINE, JC_LENGTH, JC_VALUE, JC_END } at;
    bool drop, given;    /* the field is left out; the entry was handed out */
    bool value;          /* JC_LINE: behind the equals sign */
    uint64_t left;       /* JC_LENGTH, JC_VALUE: bytes to come */
    uint64_t length;
    uint64_t left_out;   /* fields so far */
};
void cf_journal_cut_init(struct cf_journal_cut *c);
void cf_journal_cut_release(struct cf_journal_cut *c);
/* Takes bytes off *in. 1: *ret is an entry, valid until the next call; 0: all is taken. CF_ESYNTAX: no journal;
 * CF_ENOMEM. After an error nothing more may be fed. */
int cf_journal_cut_next(struct cf_journal_cut *c, cf_str *in, cf_str *ret, struct cf_error *reterr);
/* Is an entry (or a field) begun that has not ended? */
bool cf_journal_cut_open(const struct cf_journal_cut *c);

#endif
