/* SPDX-License-Identifier: Apache-2.0
 * Texts put into a page of content/documents. {{name}}: escaped text. {{&name}}: one <p> a line. {{#name}}...{{/name}}: kept only
 * when the text is not empty; may be nested. */
#ifndef CF_NOTICE_DOCUMENT_H
#define CF_NOTICE_DOCUMENT_H

#include "base/base.h"

struct cf_doc_text {
    const char *name;
    cf_str text; /* .n == 0: absent */
};
/* Appends the page to out. CF_ECORRUPT names the place that is wrong: unknown name, section that does not end. */
int cf_document_render(cf_str page, const struct cf_doc_text *v, size_t n, struct cf_buf *out, struct cf_error *reterr);

#endif
