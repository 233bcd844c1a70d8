/* SPDX-License-Identifier: Apache-2.0
 * The technique table of the coverage page: whole in itself, knows every technique that our rules name, and says what MITRE's
 * own table says (where the shared corpora are: CF_SHARED or ../shared). */
#include "test.h"

#include <ctype.h>
#include <unistd.h>

struct table {
    struct cf_arena a;
    const struct cf_ynode *tactics, *techniques;
};

static void load(struct table *t)
{
    struct cf_error err = {0};
    struct cf_ydoc *d = NULL;

    cf_arena_init(&t->a, 0, 0);
    assert_ok(cf_yaml_load(&t->a, CF_TEST_ROOT "/content/taxonomy/attack.yaml", &d, &err), err);
    t->tactics = cf_ymap_get(d->root, "tactics");
    t->techniques = cf_ymap_get(d->root, "techniques");
    assert_non_null(t->tactics);
    assert_non_null(t->techniques);
}

static bool in_list(const struct cf_ynode *first, cf_str word)
{
    for (const struct cf_ynode *x = first; x; x = x->next)
        if (cf_str_eq(x->text, word))
            return true;
    return false;
}

static const struct cf_ynode *find(const struct table *t, cf_str id)
{
    for (const struct cf_ynode *x = t->techniques->child; x; x = x->next)
        if (cf_str_ieq(x->key, id))
            return x;
    return NULL;
}

static void rows_are_whole(void **state)
{
    struct table t;

    (void)state;
    load(&t);
    assert_int_equal(t.tactics->n, 14);
    for (const struct cf_ynode *x = t.techniques->child; x; x = x->next) {
        assert_int_equal(x->key.n, 5);
        assert_true(x->key.p[0] == 'T' && isdigit((unsigned char)x->key.p[1]) && isdigit((unsigned char)x->key.p[4]));
        assert_true(x->n >= 2);
        for (const struct cf_ynode *of = x->child->next; of; of = of->next)
            if (!in_list(t.tactics->child, of->text))
                fail_msg("%.*s: no such tactic %.*s", CF_ARG(x->key), CF_ARG(of->text));
    }
    cf_arena_release(&t.a);
}

/* Every "attack.tNNNN" in a rule's text. */
static int tags_of(void *ctx, const char *path)
{
    const struct table *t = ctx;
    struct cf_error err = {0};
    struct cf_buf b;

    cf_buf_init(&b, 1 << 20);
    assert_ok(cf_file_read(path, &b, &err), err);
    for (const char *p = cf_buf_cstr(&b); (p = strstr(p, "attack.t")); p += 8)
        if (isdigit((unsigned char)p[8]) && !find(t, cf_str_n(p + 7, 5)))
            fail_msg("%s: %.5s is not in the table", path, p + 7);
    cf_buf_release(&b);
    return 0;
}

static void rules_name_known_techniques(void **state)
{
    struct cf_error err = {0};
    struct table t;

    (void)state;
    load(&t);
    assert_ok(cf_walk(CF_TEST_ROOT "/content/rules", ".yml", tags_of, &t, &err), err);
    cf_arena_release(&t.a);
}

/* A column up to the comma; no technique's number, name or tactics are quoted. */
static cf_str column(cf_str *line)
{
    cf_str head = CF_STR_NONE;

    assert_true(cf_str_cut(line, ',', &head));
    return head;
}

static void same_as_published(const struct cf_ynode *x, cf_str id, cf_str name, cf_str tactics)
{
    size_t n = 0;

    if (!x)
        fail_msg("%.*s %.*s is missing", CF_ARG(id), CF_ARG(name));
    if (!cf_str_eq(x->child->text, name))
        fail_msg("%.*s is called %.*s, not %.*s", CF_ARG(id), CF_ARG(name), CF_ARG(x->child->text));
    for (cf_str one; cf_str_cut(&tactics, ';', &one); n++)
        if (!in_list(x->child->next, one))
            fail_msg("%.*s serves %.*s too", CF_ARG(id), CF_ARG(one));
    if (x->n != n + 1)
        fail_msg("%.*s serves %zu tactics, not %zu", CF_ARG(id), n, (size_t)x->n - 1);
}

static void as_published(void **state)
{
    const char *root = getenv("CF_SHARED");
    struct cf_error err = {0};
    char path[1024];
    struct cf_buf b;
    struct table t;
    size_t n = 0;
    cf_str in, line;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/data/threat-intel/attack-techniques.csv", root ? root : CF_TEST_ROOT "/../shared");
    if (access(path, R_OK) != 0) {
        (void)printf("skipped: attack-techniques.csv is not there\n");
        skip();
    }
    load(&t);
    cf_buf_init(&b, 1 << 22);
    assert_ok(cf_file_read(path, &b, &err), err);
    in = cf_buf_view(&b);
    assert_true(cf_str_cut(&in, '\n', &line)); /* the columns' names */
    while (cf_str_cut(&in, '\n', &line)) {
        cf_str id = column(&line), name, tactics;

        if (id.n != 5)
            continue; /* a subtechnique */
        name = column(&line);
        tactics = column(&line);
        same_as_published(find(&t, id), id, name, tactics);
        n++;
    }
    assert_int_equal(n, t.techniques->n);
    cf_buf_release(&b);
    cf_arena_release(&t.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_whole), cmocka_unit_test(rules_name_known_techniques), cmocka_unit_test(as_published)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
