/* SPDX-License-Identifier: Apache-2.0
 * Compiled automata on disk: used when whole, ignored and made again when damaged, never read when others may write them. */
#include <dirent.h>
#include <sys/stat.h>

#include "helper.h"

static const char *const text = "title: t\nid: t\ndetection:\n  s: {A|contains: needle}\n  k: {B|re: 'x[0-9]+y'}\n  condition: s and k\n";
static char dir[256];

static void fire(void)
{
    cf_str y = cf_str_c(text);
    struct cf_rules_options opt = {.texts = &y, .n_texts = 1, .cache_dir = dir};
    struct cf_ruleset *rs = NULL;
    struct cf_error err = {0};
    struct cf_detector *d;
    struct cf_arena a;
    const struct cf_hit *h;
    size_t n;

    assert_ok(cf_ruleset_load(&opt, &rs, &err), err);
    d = cf_detector_new(rs);
    cf_arena_init(&a, 0, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cf_detect(d, event_json(&a, "{\"A\":\"a Needle\",\"B\":\"x12y\"}", 1), &h, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(cf_detect(d, event_json(&a, "{\"A\":\"a Needle\",\"B\":\"xy\"}", 1), &h, &n), 0);
        assert_int_equal(n, 0);
    }
    cf_arena_release(&a);
    cf_detector_free(d);
    cf_ruleset_free(rs);
}

/* Does fn with each file of the cache; how many there are. */
static int each(void (*fn)(const char *path))
{
    DIR *d = opendir(dir);
    char path[600];
    int n = 0;

    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
            assert_non_null(strstr(e->d_name, ".hsdb"));
            if (fn)
                fn(path);
            n++;
        }
    if (d)
        (void)closedir(d);
    return n;
}

static ino_t inode_sum;
static void sum(const char *p)
{
    struct stat st;
    assert_int_equal(stat(p, &st), 0);
    inode_sum += st.st_ino;
}
static ino_t inodes(void)
{
    inode_sum = 0;
    (void)each(sum);
    return inode_sum;
}
static void damage(const char *p)
{
    FILE *f = fopen(p, "r+b");
    assert_int_equal(fseek(f, -5, SEEK_END), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, -5, SEEK_END), 0);
    (void)fputc(c ^ 0x40, f);
    (void)fclose(f);
}
static void cut(const char *p) { assert_int_equal(truncate(p, 50), 0); }
static void open_up(const char *p) { assert_int_equal(chmod(p, 0666), 0); }
static void version(const char *p) /* another library */
{
    FILE *f = fopen(p, "r+b");
    assert_int_equal(fseek(f, 60, SEEK_SET), 0);
    (void)fputc('?', f);
    (void)fclose(f);
}
static void gone(const char *p) { assert_int_equal(unlink(p), 0); }

static void cache(void **state)
{
    void (*const harm[])(const char *) = {damage, cut, open_up, version, gone};
    ino_t was;

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/cf-cache-%d/rules", (int)getpid());
    fire();
    assert_int_equal(each(NULL), 2); /* the literals and the expression */
    was = inodes();
    fire();
    assert_int_equal(inodes(), was); /* read, not written again */
    for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
        struct stat st;

        assert_int_equal(each(harm[i]), 2);
        fire(); /* no difference to what is found */
        assert_int_equal(each(NULL), 2);
        was = inodes();
        fire();
        assert_int_equal(inodes(), was); /* whole again */
        assert_int_equal(stat(dir, &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
    (void)each(gone);
    (void)rmdir(dir);
    *strrchr(dir, '/') = 0;
    (void)rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cache)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
