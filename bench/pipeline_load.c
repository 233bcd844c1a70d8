/* SPDX-License-Identifier: Apache-2.0
 * Load for the pipeline benchmark: sshd lines over TCP syslog from several connections, one marker a run in every line.
 *
 *   pipeline_load HOST:PORT MARKER CONNECTIONS SECONDS [LINES_PER_SECOND [LINES]]     0 or no rate: as fast as the other side
 * reads; LINES: stops after so many, 0: no limit
 *
 * Prints one JSON object: lines sent, bytes, seconds until the last byte was handed to the kernel. The mix: logins, disconnects
 * and PAM sessions of 4,096 inside addresses; one line in 16 is a failed login from one of 64 outside addresses. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINES 1024 /* prepared lines of one block */
#define MARK_DIGITS 8

struct sender {
    pthread_t thread;
    struct sockaddr_in to;
    const char *mark;
    unsigned index;
    double seconds, rate;
    uint64_t lines, bytes, most;
    int failed;
};

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint32_t rnd(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

/* One block of lines; returns its length. The clock in the lines is that of the moment the block is made. */
static size_t make_block(const struct sender *s, char *p, size_t size, uint32_t *seed)
{
    static const char *const users[] = {"root", "admin", "oracle", "test", "git", "ubuntu", "zhang.wei", "li.na"};
    char stamp[32];
    time_t t = time(NULL);
    struct tm tm;
    size_t n = 0;

    (void)gmtime_r(&t, &tm);
    tm.tm_hour += 8; /* the default zone of sources without one */
    t = timegm(&tm);
    (void)gmtime_r(&t, &tm);
    (void)strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &tm);
    for (int i = 0; i < LINES; i++) {
        uint32_t r = rnd(seed), k = rnd(seed) % 16, user = r / 16 % 8, host = r / 128 % 4096;
        char head[96];

        (void)snprintf(head, sizeof head, "<38>%s web-%s sshd[%u]:", stamp, s->mark, r % 60000 + 1);
        if (k == 0) /* the attackers: 64 addresses outside, of a network that no list of well-known ones excludes */
            n += (size_t)snprintf(p + n, size - n, "%s Failed password for %s%s from 25.25.25.%u port %u ssh2\n", head, r % 3 ? "" : "invalid user ", users[user],
                                  r % 64, 1024 + r % 60000);
        else if (k < 6)
            n += (size_t)snprintf(p + n, size - n, "%s Accepted publickey for %s from 10.%u.%u.%u port %u ssh2\n", head, users[user], host / 1024, host / 16 % 64,
                                  host % 16 + 1, 1024 + r % 60000);
        else if (k < 11)
            n += (size_t)snprintf(p + n, size - n, "%s Disconnected from user %s 10.%u.%u.%u port %u\n", head, users[user], host / 1024, host / 16 % 64, host % 16 + 1,
                                  1024 + r % 60000);
        else
            n += (size_t)snprintf(p + n, size - n, "%s pam_unix(sshd:session): session %s for user %s(uid=%u)\n", head, k < 14 ? "opened" : "closed", users[user],
                                  1000 + user);
    }
    return n;
}

static int send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static void *sender_main(void *arg)
{
    struct sender *s = arg;
    size_t size = (size_t)LINES * 256, n = 0;
    char *block = malloc(size);
    uint32_t seed = 2463534242u + s->index * 7919u;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    double start = now(), made = 0;

    if (!block || fd < 0 || connect(fd, (struct sockaddr *)&s->to, sizeof s->to) < 0) {
        s->failed = 1;
        free(block);
        return NULL;
    }
    while (now() - start < s->seconds && (s->most == 0 || s->lines < s->most)) {
        if (now() - made > 0.5) { /* new addresses and a new time twice a second */
            n = make_block(s, block, size, &seed);
            made = now();
        }
        if (s->rate > 0 && (double)s->lines >= (now() - start) * s->rate) {
            struct timespec nap = {0, 1000000};

            (void)nanosleep(&nap, NULL);
            continue;
        }
        if (send_all(fd, block, n) < 0) {
            s->failed = 1;
            break;
        }
        s->lines += LINES;
        s->bytes += n;
    }
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
    free(block);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    unsigned connections;
    struct sender *s;
    uint64_t lines = 0, bytes = 0;
    char host[64];
    char *colon;
    double start, took;
    int failed = 0;

    if (argc < 5 || !(colon = strrchr(argv[1], ':')) || (size_t)(colon - argv[1]) >= sizeof host) {
        (void)fprintf(stderr, "usage: pipeline_load HOST:PORT MARKER CONNECTIONS SECONDS [LINES_PER_SECOND [LINES]]\n");
        return 2;
    }
    memcpy(host, argv[1], (size_t)(colon - argv[1]));
    host[colon - argv[1]] = '\0';
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    connections = (unsigned)strtoul(argv[3], NULL, 10);
    s = calloc(connections ? connections : 1, sizeof *s);
    if (!s || inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return 2;
    start = now();
    for (unsigned i = 0; i < connections; i++) {
        s[i] = (struct sender){.to = to, .mark = argv[2], .index = i, .seconds = strtod(argv[4], NULL),
                               .rate = argc > 5 ? strtod(argv[5], NULL) / connections : 0,
                               .most = argc > 6 ? strtoull(argv[6], NULL, 10) / connections : 0};
        failed |= pthread_create(&s[i].thread, NULL, sender_main, &s[i]);
    }
    for (unsigned i = 0; i < connections && !failed; i++) {
        (void)pthread_join(s[i].thread, NULL);
        failed |= s[i].failed;
        lines += s[i].lines;
        bytes += s[i].bytes;
    }
    took = now() - start;
    free(s);
    (void)printf("{\"lines\":%llu,\"bytes\":%llu,\"seconds\":%.3f,\"failed\":%d}\n", (unsigned long long)lines, (unsigned long long)bytes, took, failed);
    return failed;
}
