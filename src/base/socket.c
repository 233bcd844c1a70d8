/* SPDX-License-Identifier: Apache-2.0 */
#include "base/socket.h"

#include <arpa/inet.h>
#include <sys/socket.h>

unsigned cf_socket_port(int fd)
{
    union {
        struct sockaddr_storage any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa = {.any = {.ss_family = AF_UNSPEC}};
    socklen_t n = sizeof sa;

    if (getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
        return 0;
    return sa.any.ss_family == AF_INET6 ? ntohs(sa.v6.sin6_port) : sa.any.ss_family == AF_INET ? ntohs(sa.v4.sin_port) : 0;
}
