/* SPDX-License-Identifier: Apache-2.0
 * Pages of content/documents: what is put in is text and never markup; the shipped page is whole; mistakes are named. */
#include "../test.h"

#include "notice/document.h"

#define LIT(s) {(s), sizeof(s) - 1}
static const struct cf_doc_text texts[] = {
    {"title", LIT("<script>alert(1)</script> & \"q\"")},
    {"body", LIT("one\n\n  two <b> \n")},
    {"none", LIT("")},
};

static int render(const char *page, char *out, size_t cap, struct cf_error *err)
{
    struct cf_buf b;
    int r;

    cf_buf_init(&b, (size_t)1 << 20);
    r = cf_document_render(cf_str_c(page), texts, 3, &b, err);
    (void)snprintf(out, cap, "%s", cf_buf_cstr(&b));
    cf_buf_release(&b);
    return r;
}

static void texts_are_escaped(void **state)
{
    struct cf_error err = {0};
    char out[400];

    (void)state;
    assert_int_equal(render("<h1>{{title}}</h1>{{&body}}", out, sizeof(out), &err), 0);
    assert_string_equal(out, "<h1>&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;q&quot;</h1><p>one</p>\n<p>two &lt;b&gt;</p>\n");
}

static void sections_depend_on_their_text(void **state)
{
    struct cf_error err = {0};
    char out[400];

    (void)state;
    assert_int_equal(render("a{{#none}}b{{#title}}c{{/title}}{{none}}{{/none}}d{{#body}}e{{/body}}<!-- {{unknown}} -->f", out, sizeof(out), &err), 0);
    assert_string_equal(out, "adef");
}

static void mistakes_are_named(void **state)
{
    static const char *const bad[] = {"{{unknown}}", "{{#body}}", "{{/body}}", "{{#body}}{{#title}}{{/body}}{{/title}}", "{{title", "{{", "{{#"};
    struct cf_error err = {0};
    char out[400];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(render(bad[i], out, sizeof(out), &err), CF_ECORRUPT);
    assert_int_equal(render("{{#body}}x", out, sizeof(out), &err), CF_ECORRUPT);
    assert_non_null(strstr(err.msg, "body"));
    assert_int_equal(render("{", out, sizeof(out), &err), 0);
    assert_int_equal(render("<!-- never closed {{title}}", out, sizeof(out), &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_are_escaped), cmocka_unit_test(sections_depend_on_their_text), cmocka_unit_test(mistakes_are_named)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
