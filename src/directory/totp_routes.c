/* SPDX-License-Identifier: Apache-2.0
 * One-time codes (RFC 6238) of a person: setting up with a QR code, recovery codes, turning off. */
#include <qrencode.h>
#include <stdio.h>

#include "api/route.h"
#include "app/app.h"
#include "directory/directory_int.h"

#define RECOVERY_CODES 10
#define RECOVERY_BYTES 10 /* 80 bits: 16 characters of base32, so that a plain digest cannot be searched */
#define QUIET 4           /* modules of white around the code, as the standard asks for */

static struct cf_app *app_of(const struct cf_req *req) { return req->app; }

/* The code as SVG: one path of unit squares. Empty text when the library has no memory; people can type the secret then. */
static char *qr_svg(struct cf_arena *a, const char *text)
{
    QRcode *q = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
    struct cf_buf b;
    char *out;
    int side;

    if (!q)
        return cf_arena_strdup(a, CF_STR(""));
    side = q->width + 2 * QUIET;
    cf_buf_init(&b, (size_t)1 << 20);
    cf_buf_printf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\"><rect width=\"%d\" height=\"%d\" fill=\"#fff\"/><path fill=\"#000\" d=\"", side, side,
                  side, side);
    for (int y = 0; y < q->width; y++)
        for (int x = 0; x < q->width; x++)
            if (q->data[y * q->width + x] & 1)
                cf_buf_printf(&b, "M%d %dh1v1h-1z", x + QUIET, y + QUIET);
    cf_buf_z(&b, "\"/></svg>");
    QRcode_free(q);
    out = cf_arena_strdup(a, cf_buf_view(&b));
    cf_buf_release(&b);
    return out;
}

static void reply_secret(struct cf_req *req, const char *secret)
{
    char *uri = cf_arena_strdup(req->arena, cf_arena_printf(req->arena, "otpauth://totp/Chengfang:%.*s?secret=%s&issuer=Chengfang", CF_ARG(req->who->user_name), secret));

    cf_reply_json(req, 200, json_pack("{s:s,s:s,s:s}", "secret", secret, "otpauth_uri", uri, "qr_svg", qr_svg(req->arena, uri)));
}

/* ---- recovery codes: shown once, stored as digests, each good once ---- */

static void digest_of(cf_str user_id, cf_str code, char hex[65])
{
    struct cf_digest dg;
    char plain[40];
    size_t n = 0;

    for (size_t i = 0; i < code.n && n < sizeof plain; i++) /* people may leave out the hyphens or write small letters */
        if (code.p[i] != '-' && code.p[i] != ' ')
            plain[n++] = code.p[i] >= 'a' && code.p[i] <= 'z' ? (char)(code.p[i] - 32) : code.p[i];
    (void)cf_sha256(&dg, (const cf_str[]){user_id, cf_str_n(plain, n)}, 2);
    cf_hex(dg.b, 32, hex);
    explicit_bzero(plain, sizeof plain);
}

int cf_recovery_use(struct cf_tx *tx, cf_str user_id, cf_str code, struct cf_error *reterr)
{
    char hex[65];
    int64_t changed = 0;
    int r;

    digest_of(user_id, code, hex);
    r = cf_tx_execv(tx, "UPDATE recovery_code SET used_us = ? WHERE user_id = ? AND digest = ? AND used_us IS NULL",
                    (const struct cf_dbval[]){CF_I(cf_now_us()), CF_S(user_id), CF_Z(hex)}, 3, &changed, reterr);
    return r < 0 ? r : changed == 1;
}

static int new_codes(struct cf_tx *tx, cf_str user_id, json_t *list, struct cf_error *reterr)
{
    int r = cf_tx_exec(tx, "DELETE FROM recovery_code WHERE user_id = ?", reterr, CF_S(user_id));

    for (int i = 0; r == 0 && i < RECOVERY_CODES; i++) {
        uint8_t raw[RECOVERY_BYTES];
        char text[20], shown[24], hex[65];

        if (!cf_random(raw, sizeof raw))
            return cf_error_set(reterr, CF_EIO, "the kernel gave no random bytes");
        cf_base32(raw, sizeof raw, text);
        (void)snprintf(shown, sizeof shown, "%.4s-%.4s-%.4s-%.4s", text, text + 4, text + 8, text + 12);
        digest_of(user_id, cf_str_c(shown), hex);
        r = cf_tx_exec(tx, "INSERT INTO recovery_code (user_id, digest, created_us) VALUES (?,?,?)", reterr, CF_S(user_id), CF_Z(hex), CF_I(cf_now_us()));
        json_array_append_new(list, json_string(shown));
    }
    return r;
}

/* New codes in this transaction, its commit, and the reply that shows them. */
static int reply_codes(struct cf_req *req, struct cf_tx *tx, int r, struct cf_error *reterr)
{
    json_t *list = json_array();

    if (r == 0)
        r = new_codes(tx, req->who->user_id, list, reterr);
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    cf_directory_changed(app_of(req)->directory);
    if (r == 0)
        cf_reply_json(req, 200, json_pack("{s:O}", "recovery_codes", list));
    json_decref(list);
    return r;
}

static int totp_begin(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_directory *d = app_of(req)->directory;
    uint8_t secret[CF_TOTP_SECRET];
    char text[40], sealed[2 * (CF_TOTP_SECRET + 28) + 1];
    struct cf_tx *tx = NULL;
    int r;

    if (!cf_random(secret, sizeof secret) || !cf_secret_seal(&d->key, secret, sizeof secret, sealed))
        return cf_error_set(reterr, CF_EIO, "no secret could be made");
    cf_base32(secret, sizeof secret, text);
    r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE app_user SET totp_pending = ? WHERE id = ?", reterr, CF_Z(sealed), CF_S(req->who->user_id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    if (r == 0)
        reply_secret(req, text);
    return r;
}

static int totp_confirm(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_directory *d = app_of(req)->directory;
    cf_str otp = cf_str_c(json_string_value(json_object_get(req->json, "otp")));
    uint8_t secret[CF_TOTP_SECRET];
    uint64_t step = 0;
    struct cf_tx *tx = NULL;
    struct cf_stmt *st = NULL;
    bool open = false;
    int r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT totp_pending FROM app_user WHERE id = ?", &st, reterr, CF_S(req->who->user_id));
    if (r == 0 && cf_stmt_next(st, reterr) == 1)
        open = cf_secret_open(&d->key, cf_stmt_str(st, 0), secret, sizeof secret);
    cf_stmt_free(st);
    if (r == 0 && (!open || !cf_totp_check(secret, sizeof secret, otp, cf_now_us(), 0, &step))) {
        (void)cf_req_field_error(req, "otp", "the code does not fit; check the clock of the telephone");
        r = cf_error_set(reterr, CF_EINVAL, "the code does not fit");
    }
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE app_user SET totp_secret = totp_pending, totp_pending = NULL, totp_last = ? WHERE id = ?", reterr, CF_I(step),
                       CF_S(req->who->user_id));
    return reply_codes(req, tx, r, reterr);
}

static int recovery_renew(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_directory *d = app_of(req)->directory;
    struct cf_stmt *st = NULL;
    struct cf_tx *tx = NULL;
    int r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);

    if (r == 0)
        r = cf_tx_query(tx, "SELECT 1 FROM app_user WHERE id = ? AND totp_secret IS NOT NULL", &st, reterr, CF_S(req->who->user_id));
    if (r == 0 && cf_stmt_next(st, reterr) != 1)
        r = cf_error_set(reterr, CF_ECONFLICT, "one-time codes are not turned on");
    cf_stmt_free(st);
    return reply_codes(req, tx, r, reterr);
}

static int totp_remove(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_directory *d = app_of(req)->directory;
    struct cf_tx *tx = NULL;
    int r;

    if (req->who->totp_required)
        return cf_error_set(reterr, CF_ECONFLICT, "a role of this account wants a second factor: it cannot be turned off");
    r = cf_tx_begin(d->db, CF_TX_WRITE, &tx, reterr);
    if (r == 0)
        r = cf_tx_exec(tx, "UPDATE app_user SET totp_secret = NULL, totp_pending = NULL WHERE id = ?", reterr, CF_S(req->who->user_id));
    if (r == 0)
        r = cf_tx_exec(tx, "DELETE FROM recovery_code WHERE user_id = ?", reterr, CF_S(req->who->user_id));
    if (r == 0)
        r = cf_tx_commit(&tx, reterr);
    cf_tx_rollback(&tx);
    return r;
}

static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/me/totp", .permission = CF_PERM_SELF, .handler = totp_begin, .flags = CF_RF_NO_TOTP_SETUP, .scope = "self",
     .doc = "A new secret for one-time codes with its QR code (SVG); valid once confirmed"},
    {.method = CF_POST, .path = "/api/v1/me/totp/confirm", .permission = CF_PERM_SELF, .handler = totp_confirm, .flags = CF_RF_NO_TOTP_SETUP, .scope = "self",
     .request = "{\"type\":\"object\",\"required\":[\"otp\"],\"properties\":{\"otp\":{\"type\":\"string\",\"minLength\":6,\"maxLength\":6}}}",
     .doc = "Turn one-time codes on; the reply shows the recovery codes this once"},
    {.method = CF_POST, .path = "/api/v1/me/totp/recovery", .permission = CF_PERM_SELF, .handler = recovery_renew, .scope = "self", .doc = "New recovery codes; the old ones are void"},
    {.method = CF_DELETE, .path = "/api/v1/me/totp", .permission = CF_PERM_SELF, .handler = totp_remove, .scope = "self", .doc = "Turn one-time codes off; 409 when a role wants them"},
};

void cf_totp_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
