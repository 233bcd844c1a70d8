/* SPDX-License-Identifier: Apache-2.0
 * Rule files in and out: one YAML text, or an archive of them, read from and written to memory. */
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>

#include "rulebook/rulebook.h"

#define FILES_MAX 20000u
#define UNPACKED_MAX (64u << 20)

static bool is_yaml(cf_str name) { return cf_str_iends(name, CF_STR(".yml")) || cf_str_iends(name, CF_STR(".yaml")); }

static int add(struct cf_arena *a, struct cf_rule_file **v, size_t *n, size_t *cap, cf_str name, cf_str text)
{
    if (*n == *cap) {
        size_t c = *cap ? *cap * 2 : 64;
        struct cf_rule_file *p = CF_NEW_N(a, struct cf_rule_file, c);

        if (!p)
            return CF_ENOMEM;
        if (*n)
            memcpy(p, *v, *n * sizeof *p);
        *v = p;
        *cap = c;
    }
    (*v)[*n] = (struct cf_rule_file){cf_arena_copy(a, name), cf_arena_copy(a, text.p ? text : CF_STR(""))};
    return (*v)[*n].name.p && (*v)[(*n)++].text.p ? 0 : CF_ENOMEM;
}

static int read_entry(struct archive *ar, struct cf_buf *b, size_t *total, struct cf_error *reterr)
{
    char chunk[32768];
    la_ssize_t k;

    cf_buf_clear(b);
    while ((k = archive_read_data(ar, chunk, sizeof chunk)) > 0) {
        *total += (size_t)k;
        if (*total > UNPACKED_MAX)
            return cf_error_set(reterr, CF_ELIMIT, "the archive holds more than %u MiB", UNPACKED_MAX >> 20);
        if (b->n <= CF_RULE_TEXT_MAX) /* a longer one is refused by its size, later */
            cf_buf_add(b, chunk, (size_t)k);
    }
    return k < 0 ? cf_error_set(reterr, CF_ECORRUPT, "the archive is damaged") : 0;
}

int cf_rulebook_unpack(struct cf_arena *a, cf_str name, cf_str bytes, struct cf_rule_file **ret, size_t *ret_n, struct cf_error *reterr)
{
    struct archive *ar;
    struct archive_entry *e;
    struct cf_buf b;
    size_t cap = 0, total = 0;
    int r = 0, rc = ARCHIVE_OK;

    *ret = NULL;
    *ret_n = 0;
    if (is_yaml(name) || (bytes.n && !memchr(bytes.p, 0, bytes.n < 4096 ? bytes.n : 4096) && cf_utf8_valid(cf_str_sub(bytes, 0, bytes.n < 65536 ? bytes.n : 0))))
        return add(a, ret, ret_n, &cap, name.n ? name : CF_STR("rule.yml"), bytes);
    ar = archive_read_new();
    if (!ar)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    cf_buf_init(&b, CF_RULE_TEXT_MAX + 65536);
    (void)archive_read_support_format_tar(ar);
    (void)archive_read_support_format_zip(ar);
    (void)archive_read_support_filter_gzip(ar); /* those of the library itself; others start programs */
    (void)archive_read_support_filter_zstd(ar);
    (void)archive_read_support_filter_xz(ar);
    (void)archive_read_support_filter_bzip2(ar);
    if (archive_read_open_memory(ar, bytes.p, bytes.n) != ARCHIVE_OK)
        r = cf_error_set(reterr, CF_EINVAL, "neither YAML nor a zip or tar archive of .yml files");
    while (r == 0 && (rc = archive_read_next_header(ar, &e)) == ARCHIVE_OK) {
        const char *path = archive_entry_pathname_utf8(e);

        if (!path || archive_entry_filetype(e) != AE_IFREG || !is_yaml(cf_str_c(path)))
            continue;
        if (*ret_n >= FILES_MAX)
            r = cf_error_set(reterr, CF_ELIMIT, "the archive holds more than %u files", FILES_MAX);
        if (r == 0)
            r = read_entry(ar, &b, &total, reterr);
        if (r == 0)
            r = add(a, ret, ret_n, &cap, cf_str_c(path), cf_buf_view(&b));
    }
    if (r == 0 && rc != ARCHIVE_EOF && rc != ARCHIVE_OK)
        r = cf_error_set(reterr, CF_EINVAL, "the archive is damaged: %s", archive_error_string(ar) ? archive_error_string(ar) : "unknown form");
    (void)archive_read_free(ar);
    cf_buf_release(&b);
    return r;
}

static la_ssize_t to_buf(struct archive *ar, void *ctx, const void *p, size_t n)
{
    struct cf_buf *b = ctx;

    (void)ar;
    cf_buf_add(b, p, n);
    return b->failed ? -1 : (la_ssize_t)n;
}

int cf_rulebook_pack(const struct cf_rule_file *f, size_t n, const char *kind, struct cf_buf *out, struct cf_error *reterr)
{
    struct archive *ar = archive_write_new();
    bool zip = strcmp(kind, "zip") == 0, ok;

    if (!ar)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    ok = zip ? archive_write_set_format_zip(ar) == ARCHIVE_OK
             : archive_write_set_format_pax_restricted(ar) == ARCHIVE_OK && archive_write_add_filter_gzip(ar) == ARCHIVE_OK;
    (void)archive_write_set_bytes_in_last_block(ar, 1);
    ok = ok && archive_write_open(ar, out, NULL, to_buf, NULL) == ARCHIVE_OK;
    for (size_t i = 0; ok && i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        char name[512];

        ok = e != NULL;
        if (ok) {
            (void)snprintf(name, sizeof name, "%.*s", (int)(f[i].name.n < 511 ? f[i].name.n : 511), f[i].name.p);
            archive_entry_set_pathname_utf8(e, name);
            archive_entry_set_size(e, (la_int64_t)f[i].text.n);
            archive_entry_set_filetype(e, AE_IFREG);
            archive_entry_set_perm(e, 0644);
            ok = archive_write_header(ar, e) == ARCHIVE_OK && archive_write_data(ar, f[i].text.p, f[i].text.n) == (la_ssize_t)f[i].text.n;
        }
        archive_entry_free(e);
    }
    ok = archive_write_close(ar) == ARCHIVE_OK && ok;
    (void)archive_write_free(ar);
    return ok && !out->failed ? 0 : cf_error_set(reterr, CF_EIO, "the archive could not be written");
}
