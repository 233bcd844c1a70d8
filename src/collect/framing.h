/* SPDX-License-Identifier: Apache-2.0
 * Cuts a TCP byte stream into syslog records: RFC 6587 octet counting ("123 <34>...") or line feeds, found out from the
 * first bytes of the connection. Pure: no sockets, no allocation. Records longer than the limit are cut: the first `max`
 * bytes are given out, the rest is skipped and counted. */
#ifndef CF_COLLECT_FRAMING_H
#define CF_COLLECT_FRAMING_H

#include "base/base.h"

enum cf_framing_mode { CF_FRAMING_UNKNOWN, CF_FRAMING_LF, CF_FRAMING_OCTET };
struct cf_framing {
    size_t max;                /* longest record */
    enum cf_framing_mode mode;
    bool skip_line;            /* LF: dropping the rest of a cut line */
    uint64_t skip;             /* octet: bytes of a cut record still to drop */
    uint64_t cut;              /* records cut so far */
};
/* Takes records off the front of p[0..n): at most max_recs views, trimmed of line ends; blank ones are left out.
 * *ret_used: bytes consumed; the rest (less than max + 16 bytes) must be offered again with more behind it.
 * CF_ESYNTAX: an octet count that is none; the stream cannot be followed any more. */
int cf_framing_next(struct cf_framing *f, const char *p, size_t n, cf_str *recs, size_t max_recs, size_t *ret_n, size_t *ret_used);
/* What is left at the end of the connection is a last record (LF framing), or nothing. */
bool cf_framing_end(struct cf_framing *f, const char *p, size_t n, cf_str *ret);

#endif
