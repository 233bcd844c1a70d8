/* SPDX-License-Identifier: Apache-2.0
 * notice: the ledger of notices (通报). What happens to a notice is content/workflows/notice.yaml and notice-receipt.yaml;
 * here are its list, its creation and its statistics. */
#ifndef CF_NOTICE_NOTICE_H
#define CF_NOTICE_NOTICE_H

#include <jansson.h>

#include "directory/directory.h"

/* Sent, signed, handled, overdue, closed, rates and the ranking of units among the receipts issued in [from_us, to_us) that the
 * caller may see. New reference, or NULL with *reterr.
 * rectification_rate = closed / (sent - ended); mean_close_hours over closed ones; ranking: rate, then mean time. */
json_t *cf_notice_statistics(struct cf_tx *tx, const struct cf_principal *who, int64_t from_us, int64_t to_us, struct cf_arena *a, struct cf_error *reterr);
void cf_notice_routes(void);
void cf_notice_document_routes(void); /* called by cf_notice_routes */

#endif
