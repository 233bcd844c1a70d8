/* SPDX-License-Identifier: Apache-2.0
 * Marks of the batches that were inserted in parts. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/pipeline_int.h"

#define KEEP_S (30 * 86400) /* no batch waits in the spool that long: it is full before */

static void mark_path(const struct worker *w, char path[4300]) { (void)snprintf(path, 4300, "%s/split/%s", w->p->data_dir, w->batch.token); }

bool worker_split_mark(const struct worker *w)
{
    struct cf_error err = {0};
    char dir[4200], path[4300];
    int r;

    (void)snprintf(dir, sizeof dir, "%s/split", w->p->data_dir);
    mark_path(w, path);
    r = cf_mkdir_p(dir, 0700, &err);
    if (r == 0)
        r = cf_file_write_durable(path, CF_STR("split\n"), 0600, &err);
    if (r == 0)
        r = cf_fsync_dir(w->p->data_dir, &err);
    if (r < 0)
        cf_log_warn("pipeline", "batch cannot be marked as split", "reason=\"%s\"", err.msg);
    return r == 0;
}

bool worker_split_marked(const struct worker *w)
{
    char path[4300];

    mark_path(w, path);
    return access(path, F_OK) == 0;
}

void pipeline_split_forget(struct cf_pipeline *p)
{
    int64_t now = cf_now_us() / CF_US_PER_S;
    char dir[4200], path[4500];
    struct dirent *e;
    struct stat st;
    DIR *d;

    (void)snprintf(dir, sizeof dir, "%s/split", p->data_dir);
    d = opendir(dir);
    while (d && (e = readdir(d))) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.' && stat(path, &st) == 0 && st.st_mtime < now - KEEP_S)
            (void)unlink(path);
    }
    if (d)
        (void)closedir(d);
}
