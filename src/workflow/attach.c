/* SPDX-License-Identifier: Apache-2.0
 * Attachments. The bytes lie under their SHA-256, so a name never becomes a path; who may read them follows the item. */
#include "workflow/engine_int.h"

#include <stdlib.h>
#include <sys/stat.h>

#define PER_ITEM_MAX 100

cf_str cf_attachment_name(struct cf_arena *a, cf_str name)
{
    struct cf_buf b;
    size_t start = 0;
    cf_str out;

    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '/' || name.p[i] == '\\')
            start = i + 1;
    name = cf_str_sub(name, start, name.n);
    if (!name.n || !cf_utf8_valid(name))
        return CF_STR("file");
    cf_buf_init(&b, name.n + 1); /* a smaller limit would cut inside a character */
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];

        if (c < ' ' || c == 127 || strchr("\"<>|:*?;%", (int)c))
            continue;
        if ((c == '.' || c == ' ') && b.n == 0)
            continue;
        cf_buf_byte(&b, (char)c);
    }
    out = cf_str_trim(cf_buf_view(&b));
    if (out.n > 180) { /* keep the ending, cut between characters */
        size_t keep = 180, ext = out.n;

        while (ext > 0 && out.n - ext < 12 && out.p[ext - 1] != '.')
            ext--;
        if (ext > 0 && out.p[ext - 1] == '.')
            ext--;
        else
            ext = out.n;
        keep -= out.n - ext;
        while (keep > 0 && ((unsigned char)out.p[keep] & 0xc0u) == 0x80u)
            keep--;
        out = cf_arena_printf(a, "%.*s%.*s", (int)keep, out.p, (int)(out.n - ext), out.p + ext);
    } else {
        out = cf_arena_copy(a, out);
    }
    cf_buf_release(&b);
    return out.n ? out : CF_STR("file");
}

static const char *const types_ok[][2] = {
    {"pdf", "application/pdf"}, {"doc", "application/msword"}, {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"xls", "application/vnd.ms-excel"}, {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"ppt", "application/vnd.ms-powerpoint"}, {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"wps", "application/octet-stream"}, {"et", "application/octet-stream"}, {"ofd", "application/ofd"}, {"txt", "text/plain"}, {"log", "text/plain"},
    {"csv", "text/csv"}, {"json", "application/json"}, {"xml", "application/xml"}, {"png", "image/png"}, {"jpg", "image/jpeg"}, {"jpeg", "image/jpeg"},
    {"gif", "image/gif"}, {"webp", "image/webp"}, {"zip", "application/zip"}, {"7z", "application/x-7z-compressed"}, {"gz", "application/gzip"},
    {"rar", "application/vnd.rar"}, {"pcap", "application/vnd.tcpdump.pcap"}, {"pcapng", "application/octet-stream"}, {"eml", "message/rfc822"},
};

/* The type follows from the ending; what the sender claims is not believed. NULL: not allowed. */
static const char *type_of(cf_str name)
{
    cf_str ext = CF_STR_NONE;

    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '.')
            ext = cf_str_sub(name, i + 1, name.n);
    for (size_t i = 0; ext.n && i < sizeof(types_ok) / sizeof(types_ok[0]); i++)
        if (cf_str_ieq(ext, cf_str_c(types_ok[i][0])))
            return types_ok[i][1];
    return NULL;
}

static int store_bytes(struct cf_workflow_engine *e, struct cf_arena *a, const char *sha, cf_str content, struct cf_error *err)
{
    cf_str dir = cf_arena_printf(a, "%s/attachments/%.2s", e->o.data_dir, sha), path = cf_arena_printf(a, "%.*s/%s", CF_ARG(dir), sha);
    struct stat st;
    int r = cf_mkdir_p(cf_arena_strdup(a, dir), 0700, err);

    if (r < 0)
        return r;
    if (stat(cf_arena_strdup(a, path), &st) == 0 && st.st_size == (off_t)content.n)
        return 0;
    return cf_file_write_durable(cf_arena_strdup(a, path), content, 0600, err);
}

static int count_of(struct cf_tx *tx, cf_str item, int64_t *ret, struct cf_error *err)
{
    struct cf_stmt *st = NULL;
    int r = cf_tx_query(tx, "SELECT COUNT(*) FROM attachment WHERE item_id = ?", &st, err, CF_S(item));

    if (r == 0 && (r = cf_stmt_next(st, err)) == 1) {
        *ret = cf_stmt_i64(st, 0);
        r = 0;
    }
    cf_stmt_free(st);
    return r;
}

/* Those who can make a step on the item now, and its creator. */
static bool may_attach(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, const struct wf_item *it)
{
    if (cf_str_eq(who->user_id, it->created_by) && cf_scope_has_org(tx, who, it->issuer_org))
        return true;
    for (size_t i = 0; i < it->def->n_transitions; i++)
        if (wf_from_has(&it->def->transitions[i], it->state) && wf_may(e, tx, who, it, &it->def->transitions[i]))
            return true;
    return false;
}

int cf_attachment_add(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, const struct cf_attachment_new *n,
                      char ret_id[37], struct cf_error *reterr)
{
    struct wf_item it = {0};
    struct cf_digest dg;
    struct cf_arena a;
    const char *type;
    int64_t have = 0;
    char sha[65];
    cf_str name;
    int r;

    cf_arena_init(&a, 0, 0);
    name = cf_attachment_name(&a, n->name);
    type = type_of(name);
    r = wf_item_read(e, tx, &a, n->item_id, &it, reterr);
    if (r == 0 && !wf_item_visible(tx, who, &it))
        r = cf_error_set(reterr, CF_ENOENT, "there is no such item");
    if (r == 0 && it.done)
        r = cf_error_set(reterr, CF_ECONFLICT, "the item is finished; nothing can be attached");
    if (r == 0 && !may_attach(e, tx, who, &it))
        r = cf_error_set(reterr, CF_EPERM, "you may not attach files to this item");
    if (r == 0 && !type)
        r = cf_error_set(reterr, CF_EINVAL, "name: files of this kind are not accepted (documents, pictures, text, captures and archives are)");
    if (r == 0 && (int64_t)n->content.n > e->o.attachment_max)
        r = cf_error_set(reterr, CF_ELIMIT, "the file has %zu bytes; at most %lld are accepted", n->content.n, (long long)e->o.attachment_max);
    if (r == 0 && n->content.n == 0)
        r = cf_error_set(reterr, CF_EINVAL, "the file is empty");
    if (r == 0)
        r = count_of(tx, n->item_id, &have, reterr);
    if (r == 0 && have >= PER_ITEM_MAX)
        r = cf_error_set(reterr, CF_ELIMIT, "an item has at most %d attachments", PER_ITEM_MAX);
    if (r == 0 && !cf_sha256(&dg, &n->content, 1))
        r = cf_error_set(reterr, CF_EIO, "the digest could not be computed");
    if (r == 0) {
        cf_hex(dg.b, 32, sha);
        r = store_bytes(e, &a, sha, n->content, reterr);
    }
    if (r == 0) {
        cf_uuid7(ret_id);
        r = cf_tx_exec(tx, "INSERT INTO attachment (id, item_id, org_id, name, type, size, sha256, internal, uploaded_by, uploader_name, created_us) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                       reterr, CF_Z(ret_id), CF_Z(it.id), CF_S(it.org), CF_S(name), CF_Z(type), CF_I(n->content.n), CF_Z(sha), CF_I(n->internal), CF_S(who->user_id),
                       CF_S(who->display_name.n ? who->display_name : who->user_name), CF_I(cf_now_us()));
    }
    wf_item_release(&it);
    cf_arena_release(&a);
    return r;
}

/* Receivers reach their parents' files, never their siblings'. */
static bool below_is_visible(struct cf_workflow_engine *e, struct cf_tx *tx, struct cf_arena *a, const struct cf_principal *who, const struct wf_item *it)
{
    cf_str ids[512];
    struct cf_stmt *st = NULL;
    size_t n = 0;
    bool yes = false;

    if (cf_tx_query(tx, "SELECT id FROM work_item WHERE parent_id = ? LIMIT 512", &st, NULL, CF_Z(it->id)) == 0)
        while (n < 512 && cf_stmt_next(st, NULL) == 1)
            ids[n++] = cf_arena_copy(a, cf_stmt_str(st, 0));
    cf_stmt_free(st);
    for (size_t i = 0; i < n && !yes; i++) {
        struct wf_item child;

        if (wf_item_read(e, tx, a, ids[i], &child, NULL) == 0)
            yes = wf_item_visible(tx, who, &child);
        wf_item_release(&child);
    }
    return yes;
}

int cf_attachment_get(struct cf_workflow_engine *e, struct cf_tx *tx, const struct cf_principal *who, cf_str id, struct cf_arena *arena,
                      struct cf_attachment *ret, struct cf_error *reterr)
{
    struct cf_attachment at = {0};
    struct cf_stmt *st = NULL;
    struct wf_item it = {0};
    bool internal = true;
    int r = cf_tx_query(tx, "SELECT item_id, name, type, sha256, size, internal FROM attachment WHERE id = ?", &st, reterr, CF_S(id));

    if (r == 0)
        r = cf_stmt_next(st, reterr);
    if (r == 1) {
        at = (struct cf_attachment){.id = cf_arena_copy(arena, id), .item_id = cf_arena_copy(arena, cf_stmt_str(st, 0)), .name = cf_arena_copy(arena, cf_stmt_str(st, 1)),
                                    .type = cf_arena_copy(arena, cf_stmt_str(st, 2)), .sha256 = cf_arena_copy(arena, cf_stmt_str(st, 3)), .size = cf_stmt_i64(st, 4)};
        internal = cf_stmt_i64(st, 5) != 0;
    }
    cf_stmt_free(st);
    if (r < 0)
        return r;
    if (r == 1 && wf_item_read(e, tx, arena, at.item_id, &it, NULL) == 0 &&
        (wf_item_visible(tx, who, &it) || (!internal && below_is_visible(e, tx, arena, who, &it)))) {
        (void)snprintf(at.path, sizeof(at.path), "%s/attachments/%.2s/%.*s", e->o.data_dir, at.sha256.p, CF_ARG(at.sha256));
        *ret = at;
        r = 0;
    } else {
        r = cf_error_set(reterr, CF_ENOENT, "there is no such attachment");
    }
    wf_item_release(&it);
    return r;
}
