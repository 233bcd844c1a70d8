/* SPDX-License-Identifier: Apache-2.0
 * chengfang query: search language or SELECT over the events of a data directory, beside a running server or without one. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/admin_client.h"
#include "app/server_config.h"
#include "cli/cli.h"
#include "store/event_store.h"

#define CELL_MAX 100 /* characters of a cell in a table */
#define PAGE 1000

enum form { TABLE, JSON, CSV };
struct ask {
    struct cf_admin *admin;       /* beside a server */
    struct cf_event_store *store; /* without one */
    enum form form;
    const char *query, *from, *to;
    size_t limit;
};

/* Rows of texts with their headings: what table and CSV print. */
struct grid {
    json_t *head; /* array of strings */
    json_t *rows; /* array of arrays of strings */
};

static const char *const search_columns[] = {"@timestamp", "_source", "host.name", "user.name", "source.ip", "event.original"};

/* Columns a text takes on a terminal: Chinese characters take two. */
static size_t width(const char *s, size_t max_chars, size_t *ret_bytes)
{
    size_t w = 0, i = 0;

    while (s[i] && w < max_chars) {
        unsigned char c = (unsigned char)s[i];
        size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        for (size_t k = 1; k < n; k++) {
            if (!s[i + k])
                n = k;
        }
        w += c >= 0xe3 ? 2 : 1;
        i += n;
    }
    *ret_bytes = i;
    return w;
}

static void print_table(const struct grid *g)
{
    size_t cols = json_array_size(g->head), bytes, *w = calloc(cols + 1, sizeof *w), i, k;
    json_t *row;

    if (!w)
        return;
    for (k = 0; k < cols; k++)
        w[k] = width(json_string_value(json_array_get(g->head, k)), CELL_MAX, &bytes);
    json_array_foreach(g->rows, i, row)
    {
        for (k = 0; k < cols; k++) {
            size_t n = width(json_string_value(json_array_get(row, k)), CELL_MAX, &bytes);

            w[k] = n > w[k] ? n : w[k];
        }
    }
    for (size_t r = 0; r <= json_array_size(g->rows); r++) {
        const json_t *line = r == 0 ? g->head : json_array_get(g->rows, r - 1);

        for (k = 0; k < cols; k++) {
            const char *s = json_string_value(json_array_get(line, k));
            size_t n = width(s, CELL_MAX, &bytes);

            for (size_t b = 0; b < bytes; b++) /* control characters of a log line must not reach the terminal */
                (void)putchar((unsigned char)s[b] < 0x20 || s[b] == 0x7f ? ' ' : s[b]);
            (void)printf("%*s", k + 1 < cols ? (int)(w[k] - n + 2) : 0, "");
        }
        (void)putchar('\n');
    }
    free(w);
}

static void print_csv(const struct grid *g)
{
    for (size_t r = 0; r <= json_array_size(g->rows); r++) {
        const json_t *line = r == 0 ? g->head : json_array_get(g->rows, r - 1);

        for (size_t k = 0; k < json_array_size(g->head); k++) {
            const char *s = json_string_value(json_array_get(line, k));
            bool quote = s[strcspn(s, ",\"\r\n")] != 0;

            (void)printf("%s%s", k ? "," : "", quote ? "\"" : "");
            for (; *s; s++)
                (void)printf(*s == '"' ? "\"\"" : "%c", *s);
            (void)printf("%s", quote ? "\"" : "");
        }
        (void)printf("\r\n");
    }
}

static void print_grid(const struct grid *g, enum form form)
{
    if (form == CSV)
        print_csv(g);
    else
        print_table(g);
}

/* A JSON value as the text of a cell. */
static json_t *cell(const json_t *v)
{
    char *text;
    json_t *s;

    if (!v || json_is_null(v))
        return json_string("");
    if (json_is_string(v))
        return json_string(json_string_value(v));
    text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    s = json_string(text ? text : "");
    free(text);
    return s;
}

/* The value of a dotted name in nested objects. */
static const json_t *dotted(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    const char *dot = strchr(name, '.');

    if (v || !dot)
        return v;
    v = json_object_getn(o, name, (size_t)(dot - name));
    return v ? dotted(v, dot + 1) : NULL;
}

static void print_json(const json_t *v)
{
    char *text = json_dumps(v, JSON_COMPACT);

    (void)printf("%s\n", text ? text : "");
    free(text);
}

/* ---- the two ways to ask ---- */

static int ask_store(const struct ask *q, const char *sql, const json_t *body, struct cf_buf *out, struct cf_error *err)
{
    static const struct cf_event_scope all = {.all = true};
    struct cf_search s = {.query = cf_str_c(q->query), .scope = all};
    int64_t now = cf_now_us();

    if (sql)
        return cf_event_sql(q->store, cf_str_c(sql), &all, NULL, out, err);
    if (!cf_time_parse_rel(cf_str_c(q->from), now, &s.from_us) || !cf_time_parse_rel(cf_str_c(q->to), now, &s.to_us))
        return cf_error_set(err, CF_EINVAL, "--from and --to are times: 2026-11-21T06:00:00Z or now-1h");
    s.cursor = cf_str_c(json_string_value(json_object_get(body, "cursor")));
    s.limit = (size_t)json_integer_value(json_object_get(body, "limit"));
    return cf_event_search(q->store, &s, out, err);
}

static int ask_any(const struct ask *q, const char *path, const char *sql, const json_t *body, json_t **ret, struct cf_error *err)
{
    struct cf_buf out;
    json_error_t je;
    int r;

    if (q->admin)
        return cf_admin_json(q->admin, "POST", path, body, ret, err);
    cf_buf_init(&out, 0);
    r = ask_store(q, sql, body, &out, err);
    if (r == 0 && !(*ret = json_loadb(out.p, out.n, 0, &je)))
        r = cf_error_set(err, CF_ECORRUPT, "the store's answer is not JSON: %s", je.text);
    cf_buf_release(&out);
    return r;
}

/* The event store as the server's configuration in the data directory has it. */
static int open_store(const char *data, struct cf_event_store **ret, struct cf_error *err)
{
    struct cf_server_config c = {0};
    struct cf_arena a;
    struct cf_buf yaml;
    char path[4096];
    int r = 0;

    cf_arena_init(&a, 0, 0);
    cf_buf_init(&yaml, 4u << 20);
    (void)snprintf(path, sizeof path, "%s/chengfang.yaml", data);
    if (access(path, R_OK) == 0)
        r = cf_file_read(path, &yaml, err);
    if (r == 0)
        r = cf_config_parse(cf_server_options, cf_server_n_options, &c, &a, cf_buf_view(&yaml), err);
    (void)snprintf(path, sizeof path, "%s/events", data);
    if (r == 0 && cf_str_eqz(c.store_events, "chdb") && access(path, R_OK | X_OK) != 0)
        r = cf_error_set(err, CF_ENOENT, "%s: no event store here", path);
    if (r == 0) {
        struct cf_event_store_options o = {
            .kind = c.store_events, .path = cf_str_c(path), .urls = c.store_events_urls, .cluster = c.store_events_cluster,
            .database = c.store_events_database, .user = c.store_events_user, .password_file = c.store_events_password_file,
            .retention_days = c.store_retention_days, .retention_override = c.store_retention_override, .memory_max = c.store_memory_max,
            .threads = c.store_threads,
        };

        r = cf_event_store_open(&o, ret, err);
    }
    cf_buf_release(&yaml);
    cf_arena_release(&a);
    return r;
}

/* ---- SELECT ---- */

static int run_sql(const struct ask *q, struct cf_error *err)
{
    json_t *body = json_pack("{s:s}", "sql", q->query), *reply = NULL, *row, *col;
    struct grid g = {.head = json_array(), .rows = json_array()};
    size_t i, k;
    int r = ask_any(q, "/api/v1/sql", q->query, body, &reply, err);

    json_array_foreach(json_object_get(reply, "meta"), k, col)
    {
        (void)json_array_append(g.head, json_object_get(col, "name"));
    }
    json_array_foreach(json_object_get(reply, "data"), i, row)
    {
        json_t *out = q->form == JSON ? json_object() : json_array();

        for (k = 0; k < json_array_size(g.head); k++) {
            if (q->form == JSON)
                (void)json_object_set(out, json_string_value(json_array_get(g.head, k)), json_array_get(row, k));
            else
                (void)json_array_append_new(out, cell(json_array_get(row, k)));
        }
        if (q->form == JSON) {
            print_json(out);
            json_decref(out);
        } else {
            (void)json_array_append_new(g.rows, out);
        }
    }
    if (r == 0 && q->form != JSON)
        print_grid(&g, q->form);
    json_decref(g.head);
    json_decref(g.rows);
    json_decref(reply);
    json_decref(body);
    return r;
}

/* ---- search ---- */

static void add_items(const json_t *items, enum form form, struct grid *g)
{
    size_t i;
    json_t *e;

    json_array_foreach(items, i, e)
    {
        json_t *row;

        if (form == JSON) {
            print_json(e);
            continue;
        }
        row = json_array();
        for (size_t k = 0; k < sizeof search_columns / sizeof *search_columns; k++)
            (void)json_array_append_new(row, cell(dotted(e, search_columns[k])));
        (void)json_array_append_new(g->rows, row);
    }
}

static int run_search(const struct ask *q, struct cf_error *err)
{
    struct grid g = {.head = json_array(), .rows = json_array()};
    json_int_t total = 0;
    json_t *cursor = NULL;
    size_t have = 0;
    int r = 0;

    for (size_t k = 0; k < sizeof search_columns / sizeof *search_columns; k++)
        (void)json_array_append_new(g.head, json_string(search_columns[k]));
    do {
        size_t want = q->limit - have < PAGE ? q->limit - have : PAGE;
        json_t *body = json_pack("{s:s,s:I}", "query", q->query, "limit", (json_int_t)want), *reply = NULL, *items;

        if (q->from)
            (void)json_object_set_new(body, "from", json_string(q->from));
        if (q->to)
            (void)json_object_set_new(body, "to", json_string(q->to));
        if (cursor)
            (void)json_object_set(body, "cursor", cursor);
        r = ask_any(q, "/api/v1/events:search", NULL, body, &reply, err);
        items = json_object_get(reply, "items");
        total = json_integer_value(json_object_get(reply, "total"));
        add_items(items, q->form, &g);
        have += json_array_size(items);
        json_decref(cursor);
        cursor = json_incref(json_object_get(reply, "next"));
        if (json_array_size(items) == 0)
            have = q->limit;
        json_decref(reply);
        json_decref(body);
    } while (r == 0 && have < q->limit && json_is_string(cursor));
    json_decref(cursor);
    if (r == 0 && q->form != JSON)
        print_grid(&g, q->form);
    if (r == 0)
        (void)fprintf(stderr, "%lld events found\n", (long long)total);
    json_decref(g.head);
    json_decref(g.rows);
    return r;
}

static bool is_sql(const char *q)
{
    q += strspn(q, " \t\r\n(");
    return strncasecmp(q, "select", 6) == 0 ? q[6] == ' ' || q[6] == '\n' || q[6] == '\t' : strncasecmp(q, "with ", 5) == 0 && strcasestr(q, "select");
}

int cf_cmd_query(int argc, char **argv)
{
    static const struct option opts[] = {{"data", required_argument, NULL, 'd'}, {"format", required_argument, NULL, 'f'}, {"from", required_argument, NULL, 'a'},
                                         {"to", required_argument, NULL, 'b'}, {"limit", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
    struct ask q = {.limit = 100, .from = "1970-01-01T00:00:00Z", .to = "2200-01-01T00:00:00Z"}; /* all events */
    const char *data = NULL;
    struct cf_error err = {0};
    uint64_t n;
    int o, r;

    while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
        switch (o) {
        case 'd': data = optarg; break;
        case 'a': q.from = optarg; break;
        case 'b': q.to = optarg; break;
        case 'n':
            if (!cf_str_u64(cf_str_c(optarg), &n) || n == 0 || n > 1000000)
                return cf_cli_usage("query", "--limit is a number from 1 to 1000000");
            q.limit = (size_t)n;
            break;
        case 'f':
            if (strcmp(optarg, "table") != 0 && strcmp(optarg, "json") != 0 && strcmp(optarg, "csv") != 0)
                return cf_cli_usage("query", "--format is table, json or csv");
            q.form = optarg[0] == 't' ? TABLE : optarg[0] == 'j' ? JSON : CSV;
            break;
        default: return CF_EXIT_USAGE;
        }
    }
    if (!data || optind + 1 != argc)
        return cf_cli_usage("query", "--data DIR [--format table|json|csv] [--from TIME] [--to TIME] [--limit N] 'QUERY' (search language or SELECT ...)");
    q.query = argv[optind];
    r = cf_admin_open(data, &q.admin, &err);
    if (r == 0 && !cf_admin_beside_server(q.admin)) {
        cf_admin_close(q.admin);
        q.admin = NULL;
        r = open_store(data, &q.store, &err);
    }
    if (r == 0)
        r = is_sql(q.query) ? run_sql(&q, &err) : run_search(&q, &err);
    cf_admin_close(q.admin);
    cf_event_store_close(q.store);
    return r < 0 ? cf_cli_fail("query", &err) : 0;
}
