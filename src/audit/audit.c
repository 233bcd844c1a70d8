/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ANCHOR_EVERY_US (INT64_C(600) * CF_US_PER_S)
#define GENESIS "0000000000000000000000000000000000000000000000000000000000000000"

const struct cf_migration cf_audit_migrations[] = {
    {301, "audit log",
     "CREATE TABLE audit_log (seq BIGINT PRIMARY KEY, time_us BIGINT NOT NULL, user_id TEXT, user_name TEXT, org_id TEXT, peer TEXT, request_id TEXT,"
     " action TEXT NOT NULL, object TEXT, result TEXT NOT NULL, before_json TEXT, after_json TEXT, hash TEXT NOT NULL);\n"
     "CREATE INDEX audit_log_time ON audit_log (time_us);\n"
     "CREATE INDEX audit_log_user ON audit_log (user_id, seq);\n"
     "CREATE INDEX audit_log_object ON audit_log (object);\n"
     "CREATE TABLE audit_head (id BIGINT PRIMARY KEY, seq BIGINT NOT NULL, hash TEXT NOT NULL);\n"
     "INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '" GENESIS "')"},
    {302, "saved searches",
     "CREATE TABLE saved_search (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, definition TEXT NOT NULL,"
     " shared BIGINT NOT NULL DEFAULT 0, created_us BIGINT NOT NULL);\n"
     "CREATE INDEX saved_search_user ON saved_search (user_id)"},
    {303, "rule switches",
     "CREATE TABLE rule_switch (rule_id TEXT PRIMARY KEY, enabled BIGINT NOT NULL, note TEXT, user_name TEXT, time_us BIGINT NOT NULL)"},
};
const size_t cf_audit_n_migrations = sizeof cf_audit_migrations / sizeof *cf_audit_migrations;

struct cf_audit {
    struct cf_db *db;
    char *anchor_path;
    pthread_mutex_t lock; /* one entry at a time; guards anchored_us */
    int64_t anchored_us;
};

int cf_audit_open(struct cf_db *db, const char *anchor_path, struct cf_audit **ret, struct cf_error *reterr)
{
    struct cf_audit *a = calloc(1, sizeof *a);

    if (a && anchor_path)
        a->anchor_path = strdup(anchor_path);
    if (!a || (anchor_path && !a->anchor_path)) {
        free(a);
        return cf_error_set(reterr, CF_ENOMEM, "no memory for the audit log");
    }
    a->db = db;
    (void)pthread_mutex_init(&a->lock, NULL);
    *ret = a;
    return 0;
}

static bool read_head(struct cf_tx *tx, bool lock, int64_t *ret_seq, char hash[65], struct cf_error *reterr)
{
    struct cf_stmt *st = NULL;
    bool ok = false;

    if (cf_tx_query(tx, lock ? "SELECT seq, hash FROM audit_head WHERE id = 1 FOR UPDATE" : "SELECT seq, hash FROM audit_head WHERE id = 1", &st, reterr) < 0)
        return false;
    if (cf_stmt_next(st, reterr) == 1 && cf_stmt_str(st, 1).n == 64) {
        *ret_seq = cf_stmt_i64(st, 0);
        memcpy(hash, cf_stmt_str(st, 1).p, 64);
        hash[64] = 0;
        ok = true;
    } else
        (void)cf_error_set(reterr, CF_ECORRUPT, "the head of the audit chain is missing");
    cf_stmt_free(st);
    return ok;
}

static void add_anchor(struct cf_audit *a, struct cf_tx *tx)
{
    char hash[65], line[160];
    struct cf_error err;
    int64_t seq;
    int fd, n;

    if (!a->anchor_path || !read_head(tx, false, &seq, hash, &err) || seq == 0)
        return;
    n = snprintf(line, sizeof line, "%lld %s %lld\n", (long long)seq, hash, (long long)cf_now_us());
    fd = open(a->anchor_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)n) != n || fdatasync(fd) < 0)
        cf_log_warn("audit", "anchor not written", "file=\"%s\"", a->anchor_path);
    if (fd >= 0)
        (void)close(fd);
    a->anchored_us = cf_mono_us();
}

void cf_audit_close(struct cf_audit *a)
{
    struct cf_error err;
    struct cf_tx *tx = NULL;

    if (!a)
        return;
    if (cf_tx_begin(a->db, CF_TX_READ, &tx, &err) == 0)
        add_anchor(a, tx);
    cf_tx_rollback(&tx);
    (void)pthread_mutex_destroy(&a->lock);
    free(a->anchor_path);
    free(a);
}

static void canon(struct cf_buf *b, cf_str s)
{
    cf_buf_byte(b, ',');
    if (s.p)
        cf_buf_json(b, s);
    else
        cf_buf_z(b, "null");
}

/* hash(n): see audit.h. f: user_id, user_name, org_id, peer, request_id, action, object, result, before, after. */
static bool entry_hash(const char *prev, int64_t seq, int64_t time_us, const cf_str f[10], char out[65])
{
    struct cf_buf b;
    struct cf_digest d;
    bool ok;

    cf_buf_init(&b, 64 << 20);
    cf_buf_z(&b, prev);
    cf_buf_printf(&b, "\n[%lld,%lld", (long long)seq, (long long)time_us);
    for (size_t i = 0; i < 10; i++)
        canon(&b, f[i]);
    cf_buf_byte(&b, ']');
    ok = !b.failed && cf_sm3(&d, &(cf_str){b.p, b.n}, 1);
    if (ok)
        cf_hex(d.b, 32, out);
    cf_buf_release(&b);
    return ok;
}

int cf_audit_write_tx(struct cf_audit *a, struct cf_tx *tx, const struct cf_audit_entry *e, struct cf_error *reterr)
{
    char prev[65], hash[65];
    int64_t seq, now = cf_now_us();
    char *before = e->before ? json_dumps(e->before, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    char *after = e->after ? json_dumps(e->after, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    const cf_str f[10] = {e->user_id, e->user_name, e->org_id, e->peer, e->request_id, e->action, e->object, e->result, cf_str_c(before), cf_str_c(after)};
    int r = 0;

    if (!read_head(tx, cf_db_is_postgres(a->db), &seq, prev, reterr))
        r = CF_EDB;
    else if (!entry_hash(prev, ++seq, now, f, hash))
        r = cf_error_set(reterr, CF_ENOMEM, "no memory for the audit entry");
    if (r == 0)
        r = cf_tx_exec(tx,
                       "INSERT INTO audit_log (seq, time_us, user_id, user_name, org_id, peer, request_id, action, object, result, before_json, after_json, hash)"
                       " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                       reterr, CF_I(seq), CF_I(now), CF_S(f[0]), CF_S(f[1]), CF_S(f[2]), CF_S(f[3]), CF_S(f[4]), CF_S(f[5]), CF_S(f[6]), CF_S(f[7]),
                       CF_S(f[8]), CF_S(f[9]), CF_Z(hash));
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE audit_head SET seq = ?, hash = ? WHERE id = 1", reterr, CF_I(seq), CF_Z(hash));
    free(before);
    free(after);
    return r;
}

int cf_audit_write(struct cf_audit *a, const struct cf_audit_entry *e, struct cf_error *reterr)
{
    struct cf_tx *tx = NULL;
    int r;

    (void)pthread_mutex_lock(&a->lock);
    r = cf_tx_begin(a->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_audit_write_tx(a, tx, e, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (a->anchored_us == 0)
        a->anchored_us = cf_mono_us();
    if (r == 0 && cf_mono_us() - a->anchored_us > ANCHOR_EVERY_US) {
        struct cf_error err;

        if (cf_tx_begin(a->db, CF_TX_READ, &tx, &err) == 0)
            add_anchor(a, tx);
        cf_tx_rollback(&tx);
    }
    (void)pthread_mutex_unlock(&a->lock);
    return r;
}

/* The next anchor line, or false at the end. */
static bool next_anchor(cf_str *text, int64_t *ret_seq, cf_str *ret_hash)
{
    cf_str line, seq, hash;

    while (cf_str_cut(text, '\n', &line)) {
        if (cf_str_cut(&line, ' ', &seq) && cf_str_cut(&line, ' ', &hash) && cf_str_i64(seq, ret_seq) && hash.n == 64) {
            *ret_hash = hash;
            return true;
        }
    }
    return false;
}

static void broken(struct cf_audit_check *c, int64_t seq, const char *why)
{
    if (!c->ok)
        return;
    c->ok = false;
    c->first_bad = seq;
    (void)snprintf(c->why, sizeof c->why, "entry %lld %s", (long long)seq, why);
}

static int walk_chain(struct cf_tx *tx, cf_str anchors, struct cf_audit_check *ret, struct cf_error *reterr)
{
    char prev[65] = GENESIS, hash[65], head_hash[65];
    int64_t want = 1, head_seq = 0, anchor_seq = 0;
    cf_str anchor_hash = CF_STR_NONE;
    struct cf_stmt *st = NULL;
    bool anchor = next_anchor(&anchors, &anchor_seq, &anchor_hash);
    int r;

    if (!read_head(tx, false, &head_seq, head_hash, reterr))
        return CF_EDB;
    r = cf_tx_query(tx,
                    "SELECT seq, time_us, user_id, user_name, org_id, peer, request_id, action, object, result, before_json, after_json, hash"
                    " FROM audit_log ORDER BY seq",
                    &st, reterr);
    if (r < 0)
        return r;
    while ((r = cf_stmt_next(st, reterr)) == 1 && ret->ok) {
        int64_t seq = cf_stmt_i64(st, 0);
        cf_str f[10], stored = cf_stmt_str(st, 12);

        for (int i = 0; i < 10; i++)
            f[i] = cf_stmt_str(st, i + 2);
        if (seq != want)
            broken(ret, want, "is missing");
        else if (!entry_hash(prev, seq, cf_stmt_i64(st, 1), f, hash) || !cf_str_eqz(stored, hash))
            broken(ret, seq, "does not match its hash: it or an entry before it was changed");
        while (ret->ok && anchor && anchor_seq <= seq) {
            if (anchor_seq == seq && !cf_str_eqz(anchor_hash, hash))
                broken(ret, seq, "differs from the anchor file: the chain was written anew");
            anchor = next_anchor(&anchors, &anchor_seq, &anchor_hash);
        }
        if (ret->ok) {
            memcpy(prev, hash, sizeof prev);
            ret->checked++;
            want++;
        }
    }
    cf_stmt_free(st);
    if (r < 0)
        return r;
    if (ret->ok && (head_seq != want - 1 || strcmp(head_hash, prev) != 0))
        broken(ret, want, "is missing at the end: the chain head names a later entry");
    if (ret->ok && anchor)
        broken(ret, want, "is missing at the end: the anchor file names a later entry");
    return 0;
}

int cf_audit_verify(struct cf_db *db, const char *anchor_path, struct cf_audit_check *ret, struct cf_error *reterr)
{
    struct cf_buf anchors;
    struct cf_tx *tx = NULL;
    int r;

    *ret = (struct cf_audit_check){.ok = true};
    cf_buf_init(&anchors, 256 << 20);
    if (anchor_path && access(anchor_path, F_OK) == 0) {
        r = cf_file_read(anchor_path, &anchors, reterr);
        if (r < 0)
            goto out;
    }
    r = cf_tx_begin(db, CF_TX_READ, &tx, reterr);
    if (r == 0)
        r = walk_chain(tx, cf_buf_view(&anchors), ret, reterr);
out:
    cf_tx_rollback(&tx);
    cf_buf_release(&anchors);
    return r;
}
