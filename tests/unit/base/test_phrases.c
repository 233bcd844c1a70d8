/* SPDX-License-Identifier: Apache-2.0
 * Messages in Chinese: how texts are compared with phrases, and that no message of the sources lacks its phrase. The messages are
 * read out of the sources: the string literals in calls of the functions that make errors, in returns, where something called why is set, and in CF_SAID("..."). With
 * CF_PHRASES_MISSING set, those without a phrase are listed as JSON. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/phrases.h"
#include "test.h"

/* Folders and files whose messages reach people in the console. */
static const char *const covered[] = {"src/detect", "src/rulebook", "src/base/yaml.c", "src/api", "src/normalise", "src/pipeline", "src/ti", "src/directory", "src/workflow", "src/incident",
                                      "src/notice", "src/form", "src/message", "src/asset", "src/audit", "src/enrich", "src/store/search_ip.c",
                                      "src/store/search_lang.c", "src/store/search_sql.c", "src/store/event_sql.c", "src/store/event_run.c", "src/store/event_search.c", "src/store/event_page.c",
                                      "src/store/event_scan.c"};

/* Functions that make messages: names that end so. */
static const char *const makers[] = {"error_set", "error_errno", "error_context", "load_fail", "content_fail", "field_error", "fault", "refuse", "refuse_rule", "fail", "problem", "bad", "wrong", "invalid", "CF_SAID", "decide"};

static bool maker(cf_str name)
{
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (cf_str_ends(name, cf_str_c(makers[i])))
            return true;
    return false;
}

static bool word_char(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* One C literal at s (with its quotes): its bytes to out; returns what it takes. */
static size_t literal(cf_str s, struct cf_buf *out)
{
    size_t i = 1;

    for (; i < s.n && s.p[i] != '"'; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n) {
            i++;
            cf_buf_byte(out, s.p[i] == 'n' ? '\n' : s.p[i] == 't' ? '\t' : s.p[i]);
        } else
            cf_buf_byte(out, s.p[i]);
    }
    return i + 1;
}

/* Neighbouring literals, also around a macro that stands for one (PRIu64: a number). */
static size_t literals(cf_str s, struct cf_buf *out)
{
    size_t i = 0, end = 0;

    while (i < s.n) {
        if (s.p[i] == '"')
            end = i += literal(cf_str_sub(s, i, s.n), out);
        else if (isspace((unsigned char)s.p[i]))
            i++;
        else if (end && word_char(s.p[i])) {
            if (cf_str_starts(cf_str_sub(s, i, s.n), CF_STR("PRI")))
                cf_buf_byte(out, 'd');
            while (i < s.n && word_char(s.p[i]))
                i++;
        } else
            break;
    }
    return end;
}

/* A message has words: not a format alone, not a key. */
static bool message(cf_str key)
{
    size_t letters = 0, blanks = 0;

    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] == '%' && i + 1 < key.n) {
            i++;
            continue;
        }
        letters += isalpha((unsigned char)key.p[i]) != 0;
        blanks += key.p[i] == ' ';
    }
    return cf_str_find(key, CF_STR("; charset=")) < 0 && letters >= 3 && blanks && (unsigned char)key.p[0] < 0x80;
}

struct scan {
    const struct cf_phrases *zh;
    size_t found, missing;
    bool list;
    const char *path;
};

/* The message itself as one would see it, with parts that no phrase knows. */
static void sample(cf_str key, struct cf_buf *out)
{
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] == '%' && i + 1 < key.n && (key.p[i + 1] == 's' || key.p[i + 1] == 'd' || key.p[i + 1] == '%')) {
            cf_buf_z(out, key.p[i + 1] == 's' ? "Qx7" : key.p[i + 1] == 'd' ? "42" : "%");
            i++;
        } else
            cf_buf_byte(out, key.p[i]);
    }
}

static void one(struct scan *s, cf_str format)
{
    struct cf_buf key, text, told;
    bool chinese = false;

    cf_buf_init(&key, 0);
    cf_buf_init(&text, 0);
    cf_buf_init(&told, 0);
    cf_phrases_key(format, &key);
    if (key.n && message(cf_buf_view(&key))) {
        assert_false(key.p[key.n - 1] == '%' && key.p[key.n - 2] != '%'); /* a macro that was not seen */
        sample(cf_buf_view(&key), &text);
        s->found++;
        if (s->zh && cf_phrases_has(s->zh, cf_buf_view(&key)) && cf_phrases_say(s->zh, cf_buf_view(&text), &told))
            for (size_t i = 0; i < told.n; i++)
                chinese = chinese || (unsigned char)told.p[i] >= 0xe3;
        if (!chinese) {
            s->missing++;
            cf_buf_clear(&told);
            cf_buf_json(&told, cf_buf_view(&key));
            if (s->list)
                (void)printf("%.*s: \"\",\n", CF_ARG(cf_buf_view(&told)));
            else
                (void)printf("%s: no Chinese for %.*s\n", s->path, CF_ARG(cf_buf_view(&told)));
        }
    }
    cf_buf_release(&key);
    cf_buf_release(&text);
    cf_buf_release(&told);
}

/* The literals between the parentheses of a call whose first argument begins src; or (depth 0) of a "return" up to its end. */
static void call(struct scan *s, cf_str src, int depth)
{
    struct cf_buf b;
    int inside = depth;

    cf_buf_init(&b, 0);
    for (size_t i = 0; i < src.n && depth >= inside && (inside || src.p[i] != ';'); i++) {
        if (src.p[i] == '"') {
            cf_buf_clear(&b);
            i += literals(cf_str_sub(src, i, src.n), &b) - 1;
            if (depth == inside || inside) /* a call in a return is told of by its own name, or is no message */
                one(s, cf_buf_view(&b));
        } else if (src.p[i] == '\'' && i + 2 < src.n) {
            i += src.p[i + 1] == '\\' ? 3 : 2;
        } else
            depth += src.p[i] == '(' || src.p[i] == '{' ? 1 : src.p[i] == ')' || src.p[i] == '}' ? -1 : 0;
    }
    cf_buf_release(&b);
}

/* Comments become blanks: they hold quotes and apostrophes. */
static void without_comments(struct cf_buf *b)
{
    char quote = 0;

    for (size_t i = 0; i + 1 < b->n; i++) {
        if (quote) {
            if (b->p[i] == '\\')
                i++;
            else if (b->p[i] == quote)
                quote = 0;
        } else if (b->p[i] == '"' || b->p[i] == '\'') {
            quote = b->p[i];
        } else if (b->p[i] == '/' && b->p[i + 1] == '*') {
            for (; i + 1 < b->n && !(b->p[i] == '*' && b->p[i + 1] == '/'); i++)
                b->p[i] = ' ';
            b->p[i] = b->p[i + 1] = ' ';
        } else if (b->p[i] == '/' && b->p[i + 1] == '/') {
            for (; i < b->n && b->p[i] != '\n'; i++)
                b->p[i] = ' ';
        }
    }
}

/* " = ..." follows; not " == ..." */
static bool assigned(cf_str s) { return cf_str_starts(s, CF_STR(" = ")); }

static int source_file(void *ctx, const char *path)
{
    struct scan *s = ctx;
    struct cf_buf b, text;
    struct cf_error err = {0};
    cf_str src;

    cf_buf_init(&text, 0);
    cf_buf_init(&b, 0);
    if (cf_file_read(path, &b, &err) < 0)
        fail_msg("%s", err.msg);
    without_comments(&b);
    src = cf_buf_view(&b);
    s->path = cf_str_starts(cf_str_c(path), CF_STR(CF_TEST_ROOT "/")) ? path + sizeof CF_TEST_ROOT : path;
    for (size_t i = 0; i < src.n;) {
        size_t n = 0;

        if (!word_char(src.p[i])) { /* words in texts are no calls */
            if (src.p[i] == '"') {
                cf_buf_clear(&text);
                i += literal(cf_str_sub(src, i, src.n), &text);
            } else
                i += src.p[i] == '\'' && i + 2 < src.n ? (src.p[i + 1] == '\\' ? 4 : 3) : 1;
            continue;
        }
        while (i + n < src.n && word_char(src.p[i + n]))
            n++;
        if (i + n < src.n && src.p[i + n] == '(' && (maker(cf_str_sub(src, i, n)) || cf_str_starts(cf_str_sub(src, i, src.n), CF_STR("snprintf(why, "))))
            call(s, cf_str_sub(src, i + n + 1, src.n), 1);
        else if (cf_str_eqz(cf_str_sub(src, i, n), "return") || (cf_str_ends(cf_str_sub(src, i, n), CF_STR("why")) && assigned(cf_str_sub(src, i + n, src.n))))
            call(s, cf_str_sub(src, i + n, src.n), 0);
        i += n;
    }
    cf_buf_release(&text);
    cf_buf_release(&b);
    return 0;
}

static struct cf_phrases *catalogue(void)
{
    struct cf_phrases *p = NULL;
    struct cf_error err = {0};

    if (cf_phrases_load(CF_TEST_ROOT "/content/phrases/zh-CN", &p, &err) < 0)
        fail_msg("%s", err.msg);
    return p;
}

static void test_complete(void **state)
{
    struct scan s = {.zh = catalogue(), .list = getenv("CF_PHRASES_MISSING") != NULL};
    struct cf_error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof covered / sizeof *covered; i++) {
        char path[512];
        size_t before = s.found;

        (void)snprintf(path, sizeof path, "%s/%s", CF_TEST_ROOT, covered[i]);
        assert_int_equal(cf_walk(path, ".c", source_file, &s, &err), 0);
        assert_true(s.found > before); /* the folder is there and its messages are seen */
    }
    (void)printf("%zu messages of the sources, %zu phrases, %zu without Chinese\n", s.found, cf_phrases_count(s.zh), s.missing);
    assert_int_equal(s.missing, 0);
    cf_phrases_free((struct cf_phrases *)(uintptr_t)s.zh);
}

/* The reader of sources itself: what it must see, and what it must leave. */
static void test_reader(void **state)
{
    static const char src[] = "/* don't \"x y z\" */ return cf_error_set(e, CF_EINVAL, \"nobody says %zu \"\n  \"such \\\"things\\\"\", n); log(\"not this one\"); "
                              "if (y) return \"a reason in words\"; return strcmp(a, \"not that one\"); x = fail(a == ')' ? \"that one too\" : CF_STR(\"key\"), CF_SAID(\"and this one\"));";
    char path[] = "/tmp/cf-phrases-XXXXXX";
    struct scan s = {.zh = NULL};
    int fd = mkstemp(path);
    struct cf_error err = {0};

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(cf_file_write_durable(path, cf_str_c(src), 0600, &err), 0);
    assert_int_equal(source_file(&s, path), 0);
    assert_int_equal(s.found, 5); /* the last one twice: within fail() and by itself */
    assert_int_equal(s.missing, 5);
    (void)unlink(path);
}

static void told(const struct cf_phrases *p, const char *english, const char *want)
{
    struct cf_buf b;

    cf_buf_init(&b, 0);
    (void)cf_phrases_say(p, cf_str_c(english), &b);
    assert_string_equal(cf_buf_cstr(&b), want);
    cf_buf_release(&b);
}

static struct cf_phrases *of_text(const char *json, struct cf_error *err)
{
    char dir[] = "/tmp/cf-phrases-XXXXXX", path[64];
    struct cf_phrases *p = NULL;
    int r;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/a.json", dir);
    assert_int_equal(cf_file_write_durable(path, cf_str_c(json), 0600, err), 0);
    r = cf_phrases_load(dir, &p, err);
    (void)unlink(path);
    (void)rmdir(dir);
    return r < 0 ? NULL : p;
}

static void test_say(void **state)
{
    struct cf_error err = {0};
    struct cf_phrases *p = of_text("{\"there is no modifier \\\"%s\\\"\": \"没有修饰符“{1}”\", \"line %d: %s\": \"第 {1} 行：{2}\", \"%s is larger than %d bytes\": \"{1}超过 {2} 字节\",\n"
                                   "\"the rule \\\"%s\\\" and \\\"%s\\\": %s\": \"{2} 与 {1}：{3}\", \"100%% sure\": \"百分之百\", \"a text is needed\": \"应为文本\", \"it is %s now\": \"现为{1|draft=草稿|sent=已提交}\"}", &err);

    (void)state;
    assert_non_null(p);
    told(p, "there is no modifier \"x y\"", "没有修饰符“x y”");
    told(p, "line 12: there is no modifier \"x\"", "第 12 行：没有修饰符“x”");
    told(p, "line 12: no phrase for this", "第 12 行：no phrase for this");
    told(p, "rule file \"a.yml\": line 3: a text is needed", "rule file \"a.yml\"：第 3 行：应为文本"); /* what it is about stays */
    told(p, "the value is larger than 4096 bytes", "the value超过 4096 字节");
    told(p, "the value is larger than many bytes", "the value is larger than many bytes"); /* no number */
    told(p, "the rule \"a\" and \"b\": a text is needed", "b 与 a：应为文本");
    told(p, "it is sent now", "现为已提交");
    told(p, "it is away now", "现为away");
    told(p, "100% sure", "百分之百");
    told(p, "nothing of it", "nothing of it");
    told(p, "", "");
    told(NULL, "a text is needed", "a text is needed");
    cf_phrases_free(p);
    assert_null(of_text("{\"one %s\": \"{2}\"}", &err));
    assert_non_null(strstr(err.msg, "{2}"));
    assert_null(of_text("[1]", &err));
    assert_null(of_text("{\"a\": ", &err));
}

/* A phrase with many parts and a text of repeated separators end soon. */
static void test_bounded(void **state)
{
    struct cf_error err = {0};
    struct cf_phrases *p = of_text("{\"%s a %s a %s a %s a %s a %s a %s a %s b\": \"x{1}\"}", &err);
    struct cf_buf text, out;

    (void)state;
    assert_non_null(p);
    cf_buf_init(&text, 0);
    cf_buf_init(&out, 0);
    for (int i = 0; i < 1500; i++)
        cf_buf_z(&text, " a");
    assert_false(cf_phrases_say(p, cf_buf_view(&text), &out));
    assert_int_equal(out.n, text.n);
    cf_buf_release(&text);
    cf_buf_release(&out);
    cf_phrases_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_say), cmocka_unit_test(test_bounded), cmocka_unit_test(test_reader), cmocka_unit_test(test_complete)};

    (void)setvbuf(stdout, NULL, _IONBF, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
