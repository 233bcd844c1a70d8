/* SPDX-License-Identifier: Apache-2.0
 * Blocks that the engine knows by their token and does not have. It writes a block's token into its log first and gives the part
 * its name after that: killed between the two, it took the replay of that block for a repeated one, and the events were gone.
 *
 *   store/XXX/UUID/deduplication_logs/deduplication_log_N.txt     "1 PART TOKEN" written, "2 PART TOKEN" forgotten (tabs between)
 *   store/XXX/UUID/20261122_4_9_2                                 a part: partition, blocks 4 to 9, merged twice
 *
 * A block has a part, or one that it was merged into. For those that have none the log is told to forget the token, before the
 * engine opens its tables: at the next start another block would bear the same number. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/chdb_api.h"

#define LOG_MAX ((size_t)256 << 20) /* ten thousand blocks are 1 MB */

struct part {
    cf_str partition;
    uint64_t first, last;
};
struct entry {
    cf_str token, name;
    size_t line;
    bool written;
};
struct table {
    char dir[PATH_MAX];
    char log[PATH_MAX]; /* the newest */
    size_t newest_at;   /* where it begins in text */
    struct cf_buf text; /* of all logs */
    struct cf_buf names; /* of the parts, each with a line feed */
    struct part *part;
    size_t n_parts;
    struct entry *entry;
    size_t n_entries;
};

/* "20261122_4_9_2", "20261122_4_9_2_11" (changed by a mutation). */
static bool parse_part(cf_str name, struct part *ret)
{
    cf_str first, last, level;
    uint64_t v;

    return cf_str_cut(&name, '_', &ret->partition) && cf_str_cut(&name, '_', &first) && cf_str_cut(&name, '_', &last) && cf_str_cut(&name, '_', &level) &&
           cf_str_u64(first, &ret->first) && cf_str_u64(last, &ret->last) && cf_str_u64(level, &v) && (name.n == 0 || cf_str_u64(name, &v));
}

static bool parse_entry(cf_str line, struct entry *ret)
{
    cf_str op;

    if (!cf_str_cut(&line, '\t', &op) || !cf_str_cut(&line, '\t', &ret->name) || line.n == 0)
        return false;
    ret->token = line;
    ret->written = cf_str_eqz(op, "1");
    return ret->written || cf_str_eqz(op, "2");
}

static int log_number(const struct dirent *e)
{
    int n = 0, end = 0;

    return sscanf(e->d_name, "deduplication_log_%9d.txt%n", &n, &end) == 1 && end > 0 && e->d_name[end] == '\0' ? n : 0;
}
static int is_log(const struct dirent *e) { return log_number(e) > 0; }
static int by_number(const struct dirent **a, const struct dirent **b) { return log_number(*a) - log_number(*b); }

static void free_list(struct dirent **list, int n)
{
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static int read_logs(struct table *t, struct cf_error *reterr)
{
    struct dirent **list = NULL;
    char dir[PATH_MAX];
    int r = 0, n;

    (void)snprintf(dir, sizeof dir, "%.4000s/deduplication_logs", t->dir);
    n = scandir(dir, &list, is_log, by_number);
    for (int i = 0; i < n && r == 0; i++) {
        (void)snprintf(t->log, sizeof t->log, "%.4020s/deduplication_log_%d.txt", dir, log_number(list[i]));
        t->newest_at = t->text.n;
        r = cf_file_read(t->log, &t->text, reterr);
    }
    free_list(list, n);
    return r;
}

/* The lines of the logs; what a power loss left of the last one is cut off, the next line would become part of it. */
static int parse_logs(struct table *t, struct cf_error *reterr)
{
    cf_str text = cf_buf_view(&t->text);
    size_t at = 0, lines = 0;

    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    t->entry = calloc(lines + 1, sizeof *t->entry);
    if (!t->entry)
        return cf_error_set(reterr, CF_ENOMEM, "event store: tokens of blocks");
    for (const char *lf; at < text.n && (lf = memchr(text.p + at, '\n', text.n - at)); at = (size_t)(lf - text.p) + 1) {
        struct entry *e = &t->entry[t->n_entries];

        if (parse_entry(cf_str_n(text.p + at, (size_t)(lf - text.p) - at), e))
            e->line = t->n_entries++;
        else if (at >= t->newest_at)
            break;
    }
    if (at < text.n && at >= t->newest_at) {
        cf_log_warn("store", "the end of the log of blocks is damaged and cut off", "file=\"%s\" bytes=%zu", t->log, text.n - at);
        if (truncate(t->log, (off_t)(at - t->newest_at)) < 0)
            return cf_error_errno(reterr, "cutting \"%s\"", t->log);
    }
    return 0;
}

static int read_parts(struct table *t, struct cf_error *reterr)
{
    DIR *d = opendir(t->dir);
    struct dirent *e;
    cf_str all, name;
    size_t n = 0;

    if (!d)
        return cf_error_errno(reterr, "folder \"%s\"", t->dir);
    for (struct part p; (e = readdir(d));)
        if (parse_part(cf_str_c(e->d_name), &p)) { /* tmp_insert_... and detached are none */
            cf_buf_add(&t->names, e->d_name, strlen(e->d_name));
            cf_buf_byte(&t->names, '\n');
            n++;
        }
    (void)closedir(d);
    t->part = calloc(n + 1, sizeof *t->part);
    if (!t->part || t->names.failed)
        return cf_error_set(reterr, CF_ENOMEM, "event store: parts");
    for (all = cf_buf_view(&t->names); t->n_parts < n && cf_str_cut(&all, '\n', &name); t->n_parts++)
        (void)parse_part(name, &t->part[t->n_parts]);
    return 0;
}

static bool is_there(const struct table *t, cf_str name)
{
    struct part p;

    if (!parse_part(name, &p))
        return true; /* nothing of ours: as the engine has it */
    for (size_t i = 0; i < t->n_parts; i++)
        if (t->part[i].first <= p.first && t->part[i].last >= p.last && cf_str_eq(t->part[i].partition, p.partition))
            return true;
    return false;
}

static int by_token(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = cf_str_cmp(x->token, y->token);

    return c ? c : (x->line > y->line) - (x->line < y->line);
}

static int append_durably(const char *path, cf_str s, struct cf_error *reterr)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC), r = 0;

    if (fd < 0 || write(fd, s.p, s.n) != (ssize_t)s.n || fsync(fd) < 0)
        r = cf_error_errno(reterr, "writing \"%s\"", path);
    if (fd >= 0)
        (void)close(fd);
    return r;
}

/* What the logs say last of each token. */
static int forget_lost(struct table *t, struct cf_error *reterr)
{
    struct cf_buf out;
    size_t n = 0;
    int r = 0;

    cf_buf_init(&out, LOG_MAX);
    qsort(t->entry, t->n_entries, sizeof *t->entry, by_token);
    for (size_t i = 0; i < t->n_entries; i++) {
        const struct entry *e = &t->entry[i];

        if ((i + 1 < t->n_entries && cf_str_eq(e[1].token, e->token)) || !e->written || is_there(t, e->name))
            continue;
        cf_buf_printf(&out, "2\t%.*s\t%.*s\n", (int)e->name.n, e->name.p, (int)e->token.n, e->token.p);
        n++;
    }
    if (out.failed)
        r = cf_error_set(reterr, CF_ENOMEM, "event store: tokens of blocks");
    else if (n)
        r = append_durably(t->log, cf_buf_view(&out), reterr);
    if (r == 0 && n)
        cf_log_warn("store", "blocks were noted and are not there (killed between, or past their retention); they can be inserted again", "table=\"%s\" blocks=%zu",
                    t->dir, n);
    cf_buf_release(&out);
    return r;
}

static int one_table(const char *dir, struct cf_error *reterr)
{
    struct table t = {.n_parts = 0};
    int r;

    (void)snprintf(t.dir, sizeof t.dir, "%s", dir);
    cf_buf_init(&t.text, LOG_MAX);
    cf_buf_init(&t.names, LOG_MAX);
    r = read_logs(&t, reterr);
    if (r == 0 && t.text.n)
        r = parse_logs(&t, reterr);
    if (r == 0 && t.n_entries)
        r = read_parts(&t, reterr);
    if (r == 0 && t.n_entries)
        r = forget_lost(&t, reterr);
    free(t.entry);
    free(t.part);
    cf_buf_release(&t.text);
    cf_buf_release(&t.names);
    return r;
}

/* Calls fn for each folder in dir. None there: nothing to do. */
static int each_folder(const char *dir, int (*fn)(const char *dir, struct cf_error *reterr), struct cf_error *reterr)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[PATH_MAX];
    int r = 0;

    while (d && r == 0 && (e = readdir(d)))
        if (e->d_type == DT_DIR && e->d_name[0] != '.' && snprintf(path, sizeof path, "%s/%s", dir, e->d_name) < (int)sizeof path)
            r = fn(path, reterr);
    if (d)
        (void)closedir(d);
    return r;
}
static int each_table(const char *dir, struct cf_error *reterr) { return each_folder(dir, one_table, reterr); }

int cf_chdb_forget_lost(const char *path, struct cf_error *reterr)
{
    char name[PATH_MAX];
    int fd, r = 0;

    (void)snprintf(name, sizeof name, "%.4000s/status", path); /* the engine's lock */
    fd = open(name, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        (void)snprintf(name, sizeof name, "%.4000s/store", path);
        r = each_folder(name, each_table, reterr);
    }
    if (fd >= 0)
        (void)close(fd);
    return r;
}
