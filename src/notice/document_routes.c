/* SPDX-License-Identifier: Apache-2.0
 * HTTP: a notice as an official document (content/documents/notice.html), for printing. */
#include "base/jstr.h"
#include "form/content.h"
#include "notice/document.h"
#include "notice/notice.h"
#include "workflow/reply.h"

static const struct cf_app *app_of(const struct cf_req *req) { return req->app; }

/* 2026年11月21日, Beijing time; "" for no time. */
static cf_str chinese_date(struct cf_arena *a, int64_t us)
{
    unsigned month, day;
    int year;

    if (!us)
        return CF_STR("");
    cf_civil_from_days((us + INT64_C(8) * 3600 * CF_US_PER_S) / CF_US_PER_DAY, &year, &month, &day);
    return cf_arena_printf(a, "%d年%u月%u日", year, month, day);
}

static cf_str date_of(struct cf_arena *a, cf_str s)
{
    int64_t us;

    return s.n && cf_time_parse(s, &us) ? chinese_date(a, us) : CF_STR("");
}

static cf_str join_texts(struct cf_arena *a, cf_str list, cf_str one, const char *between)
{
    return list.n ? cf_arena_printf(a, "%.*s%s%.*s", CF_ARG(list), between, CF_ARG(one)) : cf_arena_copy(a, one);
}

static cf_str org_names(struct cf_tx *tx, struct cf_arena *a, const json_t *ids)
{
    cf_str all = CF_STR("");
    size_t i;
    json_t *v;

    json_array_foreach(ids, i, v)
    {
        struct cf_stmt *st = NULL;

        if (cf_tx_query(tx, "SELECT name FROM organisation WHERE id = ?", &st, NULL, CF_Z(json_string_value(v))) == 0 && cf_stmt_next(st, NULL) == 1)
            all = join_texts(a, all, cf_stmt_str(st, 0), "、");
        cf_stmt_free(st);
    }
    return all;
}

/* "1. scope.pdf" a line: what goes out with the notice, nothing internal and no answer's evidence. */
static cf_str attachment_list(struct cf_arena *a, const json_t *item, bool receipt)
{
    cf_str all = CF_STR("");
    size_t i, n = 0;
    json_t *v;

    json_array_foreach(json_object_get(item, "attachments"), i, v)
    {
        if (json_is_true(json_object_get(v, "internal")) || (receipt && !json_is_true(json_object_get(v, "from_issuer"))))
            continue;
        all = join_texts(a, all, cf_arena_printf(a, "%zu. %s", ++n, json_string_value(json_object_get(v, "name"))), "\n");
    }
    return all;
}

static int reply_page(struct cf_req *req, const struct cf_doc_text *v, size_t n, struct cf_error *reterr)
{
    struct cf_buf page, out;
    char *path = cf_path_join(req->arena, app_of(req)->content_dir, "documents/notice.html");
    int r;

    cf_buf_init(&page, (size_t)1 << 20);
    cf_buf_init(&out, (size_t)4 << 20);
    r = path ? cf_file_read(path, &page, reterr) : cf_error_set(reterr, CF_ENOMEM, "out of memory");
    if (r >= 0)
        r = cf_document_render(cf_buf_view(&page), v, n, &out, reterr);
    cf_buf_release(&page);
    if (r >= 0) {
        cf_reply_header(req, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox");
        cf_reply_bytes(req, 200, "text/html; charset=utf-8", &out);
        r = 0;
    }
    cf_buf_release(&out);
    return r < 0 ? cf_error_context(reterr, "content/documents/notice.html"), r : 0;
}

static int notices_document(struct cf_req *req, struct cf_error *reterr)
{
    json_t *item = cf_work_read(req, cf_req_path(req, "id"), reterr), *top, *form;
    struct cf_arena *a = req->arena;
    cf_str issuer, number, issued, receivers = CF_STR(""), copies = CF_STR("");
    struct cf_tx *tx = NULL;
    bool receipt, draft;
    int r;

    if (!item)
        return reterr->code < 0 ? reterr->code : CF_ENOENT;
    if (!cf_str_starts(cf_json_text(item, "kind"), CF_STR("notice"))) {
        json_decref(item);
        return cf_error_set(reterr, CF_ENOENT, "there is no such notice");
    }
    receipt = json_is_object(json_object_get(item, "parent"));
    top = receipt ? json_object_get(item, "parent") : item;
    form = json_object_get(json_object_get(top, "form"), "data");
    number = cf_json_text(item, "number");
    draft = number.n == 0;
    issuer = cf_json_text(json_object_get(item, "issuer"), "name");
    issued = date_of(a, cf_json_text(item, "issued_at"));
    r = cf_tx_begin(app_of(req)->db, CF_TX_READ, &tx, reterr);
    if (r == 0) { /* a receiver reads its own name only, never who else was told */
        receivers = receipt ? cf_json_text(json_object_get(item, "org"), "name") : org_names(tx, a, json_object_get(form, "receivers"));
        copies = receipt ? CF_STR("") : org_names(tx, a, json_object_get(form, "copies"));
        cf_tx_rollback(&tx);
        const struct cf_doc_text v[] = {
            {"draft", draft ? CF_STR("未 签 发") : CF_STR("")},
            {"number", draft ? CF_STR("（未编号）") : number},
            {"urgency", json_is_true(json_object_get(form, "urgent")) ? CF_STR("特急") : CF_STR("")},
            {"head_org", issuer}, {"issuer", issuer}, {"title", cf_json_text(form, "title").n ? cf_json_text(form, "title") : cf_json_text(item, "title")},
            {"receiver", receivers.n ? receivers : CF_STR("（未选择主送单位）")},
            {"content", cf_json_text(form, "content")}, {"assets", cf_json_text(form, "assets")}, {"requirements", cf_json_text(form, "requirements")},
            {"suggestions", cf_json_text(form, "suggestions")}, {"deadline", date_of(a, cf_json_text(form, "deadline"))}, {"contact", cf_json_text(form, "contact")},
            {"phone", cf_json_text(form, "contact_phone")}, {"attachments", attachment_list(a, item, receipt)}, {"copies", copies},
            {"issued_on", issued.n ? issued : CF_STR("（未签发）")}, {"printed_on", issued.n ? issued : chinese_date(a, cf_now_us())},
        };

        cf_req_audit(req, cf_arena_strdup(a, cf_req_path(req, "id")), NULL, NULL);
        r = reply_page(req, v, sizeof(v) / sizeof(v[0]), reterr);
    }
    json_decref(item);
    return r;
}

static const struct cf_route routes[] = {
    {.method = CF_GET, .path = "/api/v1/notices/{id}/document", .permission = "notice.read", .handler = notices_document, .flags = CF_RF_SENSITIVE,
     .doc = "The notice as an official document (HTML page for printing, laid out after GB/T 9704)"},
};
void cf_notice_document_routes(void) { cf_routes_add(routes, sizeof(routes) / sizeof(routes[0])); }
