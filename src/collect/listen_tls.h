/* SPDX-License-Identifier: Apache-2.0
 * TLS of the syslog listener (RFC 5425), private to src/collect: certificate, key, whose certificates are taken. Used by one
 * thread. Nothing here blocks: a step that needs the peer says so and is called again when the socket is ready. */
#ifndef CF_COLLECT_LISTEN_TLS_H
#define CF_COLLECT_LISTEN_TLS_H

#include <openssl/ssl.h>
#include <sys/types.h>

#include "collect/listen.h"

struct listen_tls;
int listen_tls_new(const struct cf_listen_tls_options *o, struct listen_tls **ret, struct cf_error *reterr);
void listen_tls_free(struct listen_tls *t);
/* Takes changed certificate files over for new connections; a broken set is logged once and the old one stays. */
void listen_tls_refresh(struct listen_tls *t);
SSL *listen_tls_accept(struct listen_tls *t, int fd); /* NULL: no memory; end with listen_tls_close */
enum listen_tls_step { LISTEN_TLS_DONE, LISTEN_TLS_READ, LISTEN_TLS_WRITE, LISTEN_TLS_FAILED };
/* DONE: shaken. READ, WRITE: when the socket is ready for that. FAILED: reason[] says why, for people. */
enum listen_tls_step listen_tls_handshake(SSL *ssl, char reason[200]);
/* As recv: >0 bytes, 0 the end (also a broken stream), -1 nothing there now. *ret_more: call again without waiting for the
 * socket, there is more (or the end) in OpenSSL's own buffer. */
ssize_t listen_tls_read(SSL *ssl, char *p, size_t n, bool *ret_more);
void listen_tls_close(SSL *ssl);

#endif
