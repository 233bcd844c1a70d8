/* SPDX-License-Identifier: Apache-2.0
 * The self-signed certificate of a first run. */
#ifndef CF_APP_TLS_CERT_H
#define CF_APP_TLS_CERT_H

#include "base/base.h"

/* Makes dir/server.crt and dir/server.key (P-256, 825 days, localhost, host name, loopback addresses) unless both are there. */
int cf_tls_self_signed(const char *dir, const char *cert_path, const char *key_path, struct cf_error *reterr);

#endif
