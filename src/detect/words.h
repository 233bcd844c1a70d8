/* SPDX-License-Identifier: Apache-2.0
 * words: looks for a list of long literals in text as it came, upper or lower case, without reading every byte of it. */
#ifndef CF_DETECT_WORDS_H
#define CF_DETECT_WORDS_H

#include "base/str.h"

struct cf_words; /* immutable */
/* Is the list one for cf_words_make? Every literal ASCII and long. */
bool cf_words_fit(const char *const *lit, const size_t *len, uint32_t n);
/* Literals are folded and stay the caller's. NULL: no memory. */
struct cf_words *cf_words_make(const char *const *lit, const size_t *len, uint32_t n);
void cf_words_free(struct cf_words *w);
/* Called for each place a literal (by its number in the list) stands at; from and to in s. */
typedef void (*cf_words_fn)(void *ctx, uint32_t lit, size_t from, size_t to);
void cf_words_scan(const struct cf_words *w, cf_str s, cf_words_fn fn, void *ctx);

#endif
