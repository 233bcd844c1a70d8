/* SPDX-License-Identifier: Apache-2.0
 * Messages for people in another language. The program writes its messages in English (struct cf_error, stored reasons, logs);
 * where a person reads them they are told in the person's language, by the catalogue in content/phrases/LANGUAGE:
 *
 *   {"line %d: there is no modifier \"%s\"": "第 {1} 行：没有修饰符“{2}”"}      English as the source writes it: other words
 *
 * ("{2|draft=草稿|sent=已提交}" has words of its own for some values of a part.)
 * A text is compared with the English sides, %s standing for any text and %d for any number; the parts that stand for something are put into the
 * other side, and are told the same way when they are messages themselves ("rule \"x\": line 3: ..."). A text that fits nothing
 * stays as it is. So a message may come from anywhere: an error in hand, a job that failed yesterday. */
#ifndef CF_BASE_PHRASES_H
#define CF_BASE_PHRASES_H

#include "base/buf.h"
#include "base/error.h"

struct cf_phrases; /* immutable once loaded: any thread may use it */
/* All *.json of the folder. A broken file, or one that names a part its English side does not have, is an error. */
int cf_phrases_load(const char *dir, struct cf_phrases **ret, struct cf_error *reterr);
void cf_phrases_free(struct cf_phrases *p); /* NULL is fine */
bool cf_phrases_has(const struct cf_phrases *p, cf_str key); /* is there a phrase with just this English side? */
size_t cf_phrases_count(const struct cf_phrases *p);
/* Appends the text in the catalogue's language. False: it fits no phrase and was appended as it is. p NULL: likewise. */
bool cf_phrases_say(const struct cf_phrases *p, cf_str english, struct cf_buf *out);
/* The English side as catalogues have it: every text conversion of a printf format is %s, every number %d. */
void cf_phrases_key(cf_str format, struct cf_buf *out);

/* The process's catalogue; set once at start, before threads. NULL: none, texts stay English. */
extern struct cf_phrases *cf_phrases_zh;

#endif
