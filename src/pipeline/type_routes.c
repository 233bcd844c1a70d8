/* SPDX-License-Identifier: Apache-2.0
 * Source types: the files that say how logs are read. Ours lie in content/sources, people's own in DATA/content/sources as
 * ID.yaml with their test lines in ID.lines. The wizard proposes one from lines; test tries one; saving swaps the running
 * normaliser between two batches. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/list.h"
#include "app/app.h"
#include "normalise/propose.h"
#include "pipeline/pipeline_int.h"

#define ROW_VALUES_MAX 200

static struct cf_pipeline *pipe_of(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = ((struct cf_app *)req->app)->pipeline;

    if (!p)
        (void)cf_error_set(reterr, CF_EUNSUPPORTED, "this server runs without a pipeline");
    return p;
}

static json_t *text(cf_str s) { return json_stringn(s.p ? s.p : "", s.n); }

/* ---- lines in, rows out ------------------------------------------------------------------------------------------- */

static int lines_of(struct cf_req *req, cf_str **ret, size_t *ret_n)
{
    const json_t *j = json_object_get(req->json, "lines");
    size_t n = json_array_size(j), bytes = 0;
    cf_str *v = CF_NEW_N(req->arena, cf_str, n + 1);

    if (!v)
        return CF_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_array_get(j, i);
        v[i] = cf_str_n(json_string_value(s), json_string_length(s));
        while (v[i].n && (v[i].p[v[i].n - 1] == '\n' || v[i].p[v[i].n - 1] == '\r'))
            v[i].n--;
        bytes += v[i].n;
    }
    if (bytes > CF_PROPOSE_BYTES_MAX)
        return cf_req_field_error(req, "lines", "hold more than 1 MiB");
    *ret = v;
    *ret_n = n;
    return 0;
}

static json_t *row_json(const struct cf_row *r)
{
    json_t *fields = json_array(), *row;
    char t[32];

    for (size_t i = 0; i < r->n && i < ROW_VALUES_MAX; i++) {
        const struct cf_row_value *v = &r->v[i];
        json_t *f = json_pack("{s:o*,s:o*}", "field", text(v->field), "value", text(v->value));
        if (f && v->start >= 0) {
            (void)json_object_set_new(f, "start", json_integer(v->start));
            (void)json_object_set_new(f, "end", json_integer(v->end));
        } else if (f) {
            (void)json_object_set_new(f, "start", json_null());
            (void)json_object_set_new(f, "end", json_null());
        }
        (void)json_array_append_new(fields, f ? f : json_object());
    }
    row = json_pack("{s:o,s:o,s:o,s:o,s:b}", "text", text(r->text), "fields", fields, "error", r->error.p ? text(r->error) : json_null(), "source",
                    r->source.n ? text(r->source) : json_null(), "header", r->header);
    if (row && r->time_us != CF_TIME_NONE)
        (void)json_object_set_new(row, "time", json_stringn(t, cf_time_format(r->time_us, t)));
    return row;
}

/* Rows as JSON. source empty: by content. Counts rows without error. */
static int make_rows(struct cf_req *req, const struct cf_normaliser *n, cf_str source, const cf_str *line, size_t n_lines, json_t **ret, size_t *ret_good,
                     struct cf_error *reterr)
{
    struct cf_norm_thread *t = cf_norm_thread_new(n);
    struct cf_row *row = CF_NEW_N(req->arena, struct cf_row, n_lines + 1);
    int r = t && row ? cf_rows(req->arena, t, source, line, n_lines, row, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory for the rows");

    *ret_good = 0;
    *ret = r == 0 ? json_array() : NULL;
    for (size_t i = 0; r == 0 && i < n_lines; i++) {
        *ret_good += !row[i].error.p && !row[i].header;
        (void)json_array_append_new(*ret, row_json(&row[i]));
    }
    cf_norm_thread_free(t);
    return r;
}

/* ---- propose -------------------------------------------------------------------------------------------------------- */

/* The source most of the lines belong to already, when that is most of the lines. */
static int recognised(struct cf_req *req, const struct cf_normaliser *n, const cf_str *line, size_t n_lines, json_t **ret, struct cf_error *reterr)
{
    struct cf_norm_thread *t = cf_norm_thread_new(n);
    struct cf_row *row = CF_NEW_N(req->arena, struct cf_row, n_lines + 1);
    size_t best = 0, best_n = 0, all = 0;
    int r = t && row ? cf_rows(req->arena, t, CF_STR(""), line, n_lines, row, reterr) : cf_error_set(reterr, CF_ENOMEM, "no memory for the rows");

    for (size_t i = 0; r == 0 && i < n_lines; i++) {
        size_t same = 0;
        all += !row[i].header && row[i].text.n > 0;
        for (size_t k = 0; row[i].source.n && k < n_lines; k++)
            same += cf_str_eq(row[k].source, row[i].source);
        if (same > best_n) {
            best_n = same;
            best = i;
        }
    }
    *ret = r == 0 && best_n && best_n * 2 >= all ? json_pack("{s:o,s:i}", "source", text(row[best].source), "count", (int)best_n) : json_null();
    cf_norm_thread_free(t);
    return r;
}

static json_t *proposal_json(const struct cf_proposal *p, const char *id)
{
    json_t *fields = json_array(), *patterns = json_array();

    for (size_t i = 0; i < p->n; i++) {
        const struct cf_prop_field *f = &p->field[i];
        json_t *samples = json_array();
        for (size_t k = 0; k < f->n_samples; k++)
            (void)json_array_append_new(samples, text(f->sample[k]));
        (void)json_array_append_new(fields, json_pack("{s:o,s:o,s:o,s:f,s:o,s:o,s:i,s:b}", "key", text(f->key), "field", text(f->time ? CF_STR("@timestamp") : f->field),
                                                      "convert", f->convert.n ? text(f->convert) : json_null(), "confidence", (double)(int)(f->confidence * 100 + 0.5) / 100,
                                                      "reason", text(f->reason), "samples", samples, "count", (int)f->count, "time", f->time));
    }
    for (size_t i = 0; i < p->n_pattern; i++)
        (void)json_array_append_new(patterns, text(p->pattern[i]));
    return json_pack("{s:s,s:o,s:s,s:b,s:o,s:o}", "id", id, "yaml", text(p->yaml), "format", p->format, "syslog", p->syslog, "fields", fields, "patterns", patterns);
}

static int compile(const struct cf_pipeline *p, cf_str id, cf_str yaml, struct cf_normaliser **ret, struct cf_error *reterr)
{
    char dir[4200], custom[4200], file[128];
    struct cf_norm_options o = {.zone = p->o.zone, .sources_dir = dir, .custom_dir = custom, .extra_yaml = yaml};

    (void)snprintf(dir, sizeof dir, "%s/sources", p->content_dir);
    (void)snprintf(custom, sizeof custom, "%s/content/sources", p->data_dir);
    (void)snprintf(file, sizeof file, "%.*s.yaml", CF_ARG(id));
    o.extra_file = cf_str_c(file);
    return cf_normaliser_load(&o, ret, reterr);
}

static int post_propose(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipe_of(req, reterr);
    struct cf_shared_box *box = p ? cf_shared_get(&p->norm) : NULL;
    const char *id = json_string_value(json_object_get(req->json, "id"));
    struct cf_keynames *names = NULL;
    struct cf_normaliser *n = NULL;
    struct cf_proposal out;
    cf_str *line = NULL;
    size_t n_lines = 0, good = 0;
    json_t *known = NULL, *rows = NULL;
    char path[4200];
    int r;

    if (!p)
        return reterr->code;
    (void)snprintf(path, sizeof path, "%s/taxonomy/keys.yaml", p->content_dir);
    r = box ? lines_of(req, &line, &n_lines) : cf_error_set(reterr, CF_EUNSUPPORTED, "no source files are loaded");
    if (r == 0)
        r = recognised(req, box->p, line, n_lines, &known, reterr);
    if (r == 0)
        r = cf_keynames_load(req->arena, path, &names, reterr);
    if (r == 0) {
        struct cf_propose_in in = {.id = id ? id : "new-source", .line = line, .n = n_lines, .norm = box->p, .names = names};
        r = cf_propose(req->arena, &in, &out, reterr);
    }
    cf_shared_put(&p->norm, box);
    if (r == 0) {
        cf_str name = cf_str_c(id ? id : "new-source");
        if (compile(p, name, out.yaml, &n, reterr) < 0) {
            r = CF_EIO; /* ours to mend, not the caller's */
            cf_error_context(reterr, "the proposal does not load");
        } else {
            r = make_rows(req, n, name, line, n_lines, &rows, &good, reterr);
        }
    }
    cf_normaliser_free(n);
    if (r != 0) {
        json_decref(known);
        return r;
    }
    cf_reply_json(req, 200, json_pack("{s:o,s:o,s:o,s:{s:i,s:i}}", "recognised", known, "proposal", cf_req_tell(req, proposal_json(&out, id ? id : "new-source")), "rows", cf_req_tell(req, rows),
                                      "statistics", "lines", (int)n_lines, "understood", (int)good));
    return 0;
}

/* ---- test ----------------------------------------------------------------------------------------------------------- */

/* Line of the YAML text an error speaks of. */
static json_t *error_json(const struct cf_error *e)
{
    const char *msg = e->msg, *colon = strchr(e->msg, ':');
    unsigned long line = 0;

    if (colon) { /* "FILE:12: words" */
        char *end;
        line = strtoul(colon + 1, &end, 10);
        if (end != colon + 1 && *end == ':')
            msg = end + 1 + (end[1] == ' ');
        else
            line = 0;
    }
    if (!line) {
        const char *l = strstr(e->msg, "line ");
        line = l ? strtoul(l + 5, NULL, 10) : 0;
    }
    return json_pack("[{s:i,s:s}]", "line", line ? (int)line : (int)e->pos, "message", msg);
}

/* name: of a YAML text, without trusting the rest of it. */
static cf_str name_of(struct cf_req *req, cf_str yaml, struct cf_error *ret_e)
{
    struct cf_ydoc *doc = NULL;

    if (cf_yaml_parse(req->arena, yaml, &doc, ret_e) < 0)
        return CF_STR_NONE;
    return doc && doc->root ? cf_ymap_str(doc->root, "name") : CF_STR_NONE;
}

static bool id_ok(cf_str id)
{
    if (!id.n || id.n > 64 || !(id.p[0] >= 'a' && id.p[0] <= 'z'))
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (!((id.p[i] >= 'a' && id.p[i] <= 'z') || (id.p[i] >= '0' && id.p[i] <= '9') || id.p[i] == '-'))
            return false;
    return true;
}

static bool builtin_named(struct cf_pipeline *p, cf_str id)
{
    char path[4400];

    (void)snprintf(path, sizeof path, "%s/sources/%.*s.yaml", p->content_dir, CF_ARG(id));
    return access(path, F_OK) == 0;
}

/* Compiles the text. *ret_errors set: it is not valid (r still 0). */
static int check_yaml(struct cf_req *req, struct cf_pipeline *p, cf_str yaml, cf_str *ret_id, struct cf_normaliser **ret, json_t **ret_errors)
{
    struct cf_error e = {0};
    cf_str id = name_of(req, yaml, &e);

    *ret_errors = NULL;
    *ret = NULL;
    if (e.msg[0]) {
        *ret_errors = error_json(&e);
    } else if (!id_ok(id)) {
        *ret_errors = json_pack("[{s:i,s:s}]", "line", 1, "message", CF_SAID("name: must be 1 to 64 lower-case letters, digits and hyphens, a letter first"));
    } else if (builtin_named(p, id)) {
        *ret_errors = json_pack("[{s:i,s:s}]", "line", 1, "message", CF_SAID("name: is that of a source type of the product; choose another"));
    } else if (compile(p, id, yaml, ret, &e) < 0) {
        *ret = NULL;
        *ret_errors = error_json(&e);
    }
    *ret_id = id;
    return 0;
}

static int post_test(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipe_of(req, reterr);
    cf_str yaml = cf_str_c(json_string_value(json_object_get(req->json, "yaml"))), id, *line = NULL;
    struct cf_normaliser *n = NULL;
    json_t *errors = NULL, *rows = NULL;
    size_t n_lines = 0, good = 0;
    int r = p ? lines_of(req, &line, &n_lines) : reterr->code;

    if (r == 0)
        r = check_yaml(req, p, yaml, &id, &n, &errors);
    if (r == 0 && n)
        r = make_rows(req, n, id, line, n_lines, &rows, &good, reterr);
    cf_normaliser_free(n);
    if (r < 0) {
        json_decref(errors);
        return r;
    }
    cf_reply_json(req, 200, json_pack("{s:b,s:o,s:o,s:{s:i,s:i}}", "valid", errors == NULL, "errors", errors ? cf_req_tell(req, errors) : json_array(), "rows", rows ? cf_req_tell(req, rows) : json_array(),
                                      "statistics", "lines", (int)n_lines, "understood", (int)good));
    return 0;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static int get_types(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipe_of(req, reterr);
    struct cf_shared_box *box = p ? cf_shared_get(&p->norm) : NULL;
    struct cf_source_type t;
    json_t *items = json_array();
    size_t n = box ? cf_normaliser_sources(box->p) : 0;

    for (size_t i = 0; i < n; i++) {
        const char *slash;
        if (!cf_normaliser_source_type(box->p, i, req->arena, &t))
            continue;
        slash = memrchr(t.file.p, '/', t.file.n);
        (void)json_array_append_new(items, json_pack("{s:o,s:o,s:o,s:s,s:s}", "id", text(t.name), "title", text(t.doc.n ? t.doc : t.name), "format", text(t.format), "file",
                                                     slash ? slash + 1 : t.file.p, "kind", t.custom ? "custom" : "builtin"));
    }
    if (p)
        cf_shared_put(&p->norm, box);
    if (!p) {
        json_decref(items);
        return reterr->code;
    }
    cf_reply_list(req, items, NULL, (int64_t)json_array_size(items));
    return 0;
}

static void custom_path(const struct cf_pipeline *p, cf_str id, const char *ext, char path[4400])
{
    (void)snprintf(path, 4400, "%s/content/sources/%.*s.%s", p->data_dir, CF_ARG(id), ext);
}

/* Test lines: a custom type's own file; of ours the samples in the comments at its start. */
static json_t *tests_of(struct cf_req *req, cf_str yaml, const char *lines_path)
{
    json_t *tests = json_array();
    struct cf_error e;
    struct cf_buf b;
    cf_str rest = yaml, one;

    if (lines_path) {
        cf_buf_init(&b, 8u << 20);
        if (access(lines_path, R_OK) == 0 && cf_file_read(lines_path, &b, &e) == 0) {
            rest = cf_arena_copy(req->arena, cf_buf_view(&b));
            while (cf_str_cut(&rest, '\n', &one))
                (void)json_array_append_new(tests, text(one));
        }
        cf_buf_release(&b);
        return tests;
    }
    while (cf_str_cut(&rest, '\n', &one) && cf_str_starts(one, CF_STR("# ")))
        if (!cf_str_starts(one, CF_STR("# SPDX")))
            (void)json_array_append_new(tests, text(cf_str_sub(one, 2, one.n)));
    return tests;
}

static int get_type(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipe_of(req, reterr);
    cf_str id = cf_req_path(req, "id"), yaml;
    char path[4400], lines[4400];
    bool builtin;
    struct cf_buf b;
    int r;

    if (!p)
        return reterr->code;
    builtin = id_ok(id) && builtin_named(p, id);
    if (builtin)
        (void)snprintf(path, sizeof path, "%s/sources/%.*s.yaml", p->content_dir, CF_ARG(id));
    else
        custom_path(p, id, "yaml", path);
    if (!id_ok(id) || access(path, R_OK) != 0)
        return cf_error_set(reterr, CF_ENOENT, "there is no source type \"%.*s\"", CF_ARG(id));
    cf_buf_init(&b, 4u << 20);
    r = cf_file_read(path, &b, reterr);
    yaml = cf_arena_copy(req->arena, cf_buf_view(&b));
    cf_buf_release(&b);
    if (r < 0)
        return r;
    custom_path(p, id, "lines", lines);
    cf_reply_json(req, 200, json_pack("{s:o,s:s,s:o,s:o}", "id", text(id), "kind", builtin ? "builtin" : "custom", "yaml", text(yaml), "tests",
                                      tests_of(req, yaml, builtin ? NULL : lines)));
    return 0;
}

static int write_type(struct cf_pipeline *p, cf_str id, cf_str yaml, const cf_str *line, size_t n_lines, struct cf_error *reterr)
{
    char path[4400];
    struct cf_buf b;
    int r;

    (void)snprintf(path, sizeof path, "%s/content/sources", p->data_dir);
    r = cf_mkdir_p(path, 0750, reterr);
    cf_buf_init(&b, 8u << 20);
    for (size_t i = 0; i < n_lines; i++) {
        for (size_t c = 0; c < line[i].n; c++) /* one test a line */
            cf_buf_byte(&b, line[i].p[c] == '\n' || line[i].p[c] == '\r' ? ' ' : line[i].p[c]);
        cf_buf_byte(&b, '\n');
    }
    custom_path(p, id, "lines", path);
    if (r == 0)
        r = cf_file_write_durable(path, cf_buf_view(&b), 0640, reterr);
    cf_buf_release(&b);
    custom_path(p, id, "yaml", path);
    return r == 0 ? cf_file_write_durable(path, yaml, 0640, reterr) : r;
}

static json_t *stored_yaml(struct cf_req *req, const char *path)
{
    struct cf_error e;
    struct cf_buf b;
    json_t *j = NULL;

    cf_buf_init(&b, 4u << 20);
    if (access(path, R_OK) == 0 && cf_file_read(path, &b, &e) == 0)
        j = json_pack("{s:o}", "yaml", text(cf_arena_copy(req->arena, cf_buf_view(&b))));
    cf_buf_release(&b);
    return j;
}

static int put_type(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipe_of(req, reterr);
    cf_str id = cf_req_path(req, "id"), yaml = cf_str_c(json_string_value(json_object_get(req->json, "yaml"))), name = CF_STR_NONE, *line = NULL;
    struct cf_normaliser *n = NULL;
    json_t *errors = NULL, *rows = NULL, *before = NULL;
    size_t n_lines = 0, good = 0;
    char path[4400], object[96];
    int r = p ? lines_of(req, &line, &n_lines) : reterr->code;

    if (r == 0)
        r = check_yaml(req, p, yaml, &name, &n, &errors);
    if (r == 0 && errors) {
        const json_t *e = json_array_get(errors, 0);
        r = cf_req_field_error(req, "yaml", "line %d: %s", (int)json_integer_value(json_object_get(e, "line")), json_string_value(json_object_get(e, "message")));
    }
    if (r == 0 && !cf_str_eq(name, id))
        r = cf_req_field_error(req, "yaml", "name: is \"%.*s\", but it is saved as \"%.*s\"", CF_ARG(name), CF_ARG(id));
    if (r == 0)
        r = make_rows(req, n, id, line, n_lines, &rows, &good, reterr);
    cf_normaliser_free(n);
    if (r == 0) {
        (void)pthread_mutex_lock(&p->types_mu);
        custom_path(p, id, "yaml", path);
        before = stored_yaml(req, path);
        r = write_type(p, id, yaml, line, n_lines, reterr);
        if (r == 0)
            r = pipeline_load_normaliser(p, reterr);
        (void)pthread_mutex_unlock(&p->types_mu);
    }
    if (r == 0) {
        (void)snprintf(object, sizeof object, "source-type/%.*s", CF_ARG(id));
        json_t *after = json_pack("{s:o}", "yaml", text(yaml));
        cf_req_audit(req, object, before, after);
        json_decref(after);
        cf_reply_json(req, before ? 200 : 201, json_pack("{s:o,s:s,s:o,s:{s:i,s:i}}", "id", text(id), "kind", "custom", "rows", rows, "statistics", "lines", (int)n_lines,
                                                         "understood", (int)good));
        rows = NULL;
    }
    json_decref(errors);
    json_decref(rows);
    json_decref(before);
    return r;
}

static int delete_type(struct cf_req *req, struct cf_error *reterr)
{
    struct cf_pipeline *p = pipe_of(req, reterr);
    cf_str id = cf_req_path(req, "id");
    char path[4400], lines[4400], object[96];
    json_t *before;
    int r = 0;

    if (!p)
        return reterr->code;
    if (id_ok(id) && builtin_named(p, id))
        return cf_error_set(reterr, CF_ECONFLICT, "\"%.*s\" belongs to the product and stays", CF_ARG(id));
    custom_path(p, id, "yaml", path);
    custom_path(p, id, "lines", lines);
    if (!id_ok(id) || access(path, F_OK) != 0)
        return cf_error_set(reterr, CF_ENOENT, "there is no source type \"%.*s\"", CF_ARG(id));
    (void)pthread_mutex_lock(&p->types_mu);
    before = stored_yaml(req, path);
    if (unlink(path) < 0)
        r = cf_error_errno(reterr, "%s", path);
    (void)unlink(lines);
    if (r == 0)
        r = pipeline_load_normaliser(p, reterr);
    (void)pthread_mutex_unlock(&p->types_mu);
    if (r == 0) {
        (void)snprintf(object, sizeof object, "source-type/%.*s", CF_ARG(id));
        cf_req_audit(req, object, before, NULL);
        cf_reply_empty(req, 204);
    }
    json_decref(before);
    return r;
}

#define LINES(min) "\"lines\":{\"type\":\"array\",\"minItems\":" min ",\"maxItems\":1000,\"items\":{\"type\":\"string\",\"maxLength\":1048576}}"
#define YAML "\"yaml\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":1000000}"

static const struct cf_route routes[] = {
    {.method = CF_POST, .path = "/api/v1/source-types:propose", .permission = "source.read", .handler = post_propose, .flags = CF_RF_NO_AUDIT | CF_RF_UPLOAD,
     .request = "{\"type\":\"object\",\"required\":[\"lines\"],\"additionalProperties\":false,\"properties\":{" LINES("1") ",\"id\":{\"type\":\"string\",\"pattern\":\"^[a-z][a-z0-9-]{0,63}$\"}}}",
     .doc = "Looks at up to 1,000 lines of a log and proposes a source type: format, time, fields with reasons, and every line as it would be read"},
    {.method = CF_POST, .path = "/api/v1/source-types:test", .permission = "source.read", .handler = post_test, .flags = CF_RF_NO_AUDIT | CF_RF_UPLOAD,
     .request = "{\"type\":\"object\",\"required\":[\"yaml\",\"lines\"],\"additionalProperties\":false,\"properties\":{" YAML "," LINES("0") "}}",
     .doc = "Checks the text of a source type and reads lines with it; saves nothing"},
    {.method = CF_GET, .path = "/api/v1/source-types", .permission = "source.read", .handler = get_types, .doc = "All source types: those of the product and those made here"},
    {.method = CF_GET, .path = "/api/v1/source-types/{id}", .permission = "source.read", .handler = get_type, .doc = "One source type with its text and test lines"},
    {.method = CF_PUT, .path = "/api/v1/source-types/{id}", .permission = "source.write", .handler = put_type, .flags = CF_RF_UPLOAD,
     .request = "{\"type\":\"object\",\"required\":[\"yaml\"],\"additionalProperties\":false,\"properties\":{" YAML "," LINES("0") "}}",
     .doc = "Saves a source type of one's own with its test lines; it is in use from the next batch on"},
    {.method = CF_DELETE, .path = "/api/v1/source-types/{id}", .permission = "source.write", .handler = delete_type, .doc = "Removes a source type of one's own"},
};

void pipeline_type_routes(void) { cf_routes_add(routes, sizeof routes / sizeof *routes); }
