/* SPDX-License-Identifier: Apache-2.0
 * Finds and loads libchdb.so once. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/build_paths.h"
#include "store/chdb_api.h"

#if defined(__aarch64__)
#define LIB "node_modules/@chdb/lib-linux-arm64-gnu/libchdb.so"
#else
#define LIB "node_modules/@chdb/lib-linux-x64-gnu/libchdb.so"
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct chdb_api api;
static bool loaded;

static int bind_all(void *so, const char *path, struct cf_error *reterr)
{
#define CHDB_BIND(ret, name, args)                                                                                             \
    {                                                                                                                          \
        void *f = dlsym(so, "chdb_" #name);                                                                                    \
        if (!f)                                                                                                                \
            return cf_error_set(reterr, CF_EUNSUPPORTED, "event store: %s has no chdb_" #name "; version 26.7 or later is needed", path); \
        memcpy(&api.name, &f, sizeof f);                                                                                       \
    }
    CHDB_API(CHDB_BIND)
#undef CHDB_BIND
    return 0;
}

static bool beside_program(char *out, size_t n)
{
    char exe[3072];
    ssize_t k = readlink("/proc/self/exe", exe, sizeof exe - 1);
    char *slash;

    if (k <= 0)
        return false;
    exe[k] = 0;
    slash = strrchr(exe, '/');
    if (!slash)
        return false;
    *slash = 0;
    return snprintf(out, n, "%s/../" LIB, exe) < (int)n;
}

/* The engine's allocator gives freed memory back to the kernel after 5 s and takes it again, zeroed page by page, with the next
 * insert: under load a fifth of the system time. It keeps it for a minute instead; an idle server still gives it back. */
static void keep_memory(void)
{
    (void)setenv("JE_MALLOC_CONF", "dirty_decay_ms:60000", 0);
}

static int load(struct cf_error *reterr)
{
    char near[4096] = "";
    const char *candidates[] = {getenv("CF_LIBCHDB"), beside_program(near, sizeof near) ? near : NULL, CF_SOURCE_ROOT "/" LIB,
                                "/usr/lib/chengfang/libchdb.so"};

    if (getenv("CF_NO_CHDB"))
        return cf_error_set(reterr, CF_ENOENT, "event store: the embedded engine is switched off by CF_NO_CHDB");
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        void *so;

        if (!candidates[i] || access(candidates[i], R_OK) != 0)
            continue;
        keep_memory();
        so = dlopen(candidates[i], RTLD_NOW | RTLD_LOCAL);
        if (!so)
            return cf_error_set(reterr, CF_EIO, "event store: loading libchdb: %s", dlerror());
        return bind_all(so, candidates[i], reterr);
    }
    return cf_error_set(reterr, CF_ENOENT, "event store: libchdb.so not found; run ./cf build, or set CF_LIBCHDB to its path");
}

int cf_chdb_load(const struct chdb_api **ret, struct cf_error *reterr)
{
    int r = 0;

    (void)pthread_mutex_lock(&lock);
    if (!loaded) {
        r = load(reterr);
        if (r == 0) {
            api.set_signal_handlers_enabled(0); /* the server handles its signals itself */
            loaded = true;
        }
    }
    (void)pthread_mutex_unlock(&lock);
    if (r == 0)
        *ret = &api;
    return r;
}
