/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CF_BASE_SOCKET_H
#define CF_BASE_SOCKET_H

/* The port that a bound socket got; 0: none. */
unsigned cf_socket_port(int fd);

#endif
