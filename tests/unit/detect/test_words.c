/* SPDX-License-Identifier: Apache-2.0
 * The scanner of long keywords against a plain search: random lists, random texts made of pieces of the literals. */
#include "test.h"

#include "detect/detect_int.h"
#include "detect/words.h"

#define LITS 40u
#define TEXT 300u

static uint64_t state = 20261121;
static uint32_t any(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

struct seen {
    bool at[LITS][TEXT + 1];
    size_t n;
};

static void note(void *ctx, uint32_t lit, size_t from, size_t to)
{
    struct seen *s = ctx;

    assert_true(lit < LITS && from < to && to <= TEXT);
    assert_false(s->at[lit][from]); /* each place once */
    s->at[lit][from] = true;
    s->n++;
}

/* Few different letters, so that literals overlap; now and then a byte that is no ASCII or lies beside a letter. */
static void fill(char *p, size_t n, bool text)
{
    static const char some[] = "abcABC@`:k{[";

    for (size_t i = 0; i < n; i++)
        p[i] = text && any(40) == 0 ? (char)0xc3 : some[any(sizeof some - 1)];
}

static size_t plain(const char *text, size_t n, const char *lit, size_t len, size_t from)
{
    for (; from + len <= n; from++)
        if (memcmp(text + from, lit, len) == 0)
            return from;
    return SIZE_MAX;
}

static void one_list(void)
{
    static char lit[LITS][32];
    const char *p[LITS];
    size_t len[LITS], min = 7 + any(8);
    uint32_t n = 1 + any(LITS);
    struct cf_words *w;

    for (uint32_t i = 0; i < n; i++) {
        char raw[32];

        len[i] = min + any(5);
        fill(raw, len[i], false);
        (void)cf_fold(raw, len[i], lit[i]);
        p[i] = lit[i];
    }
    assert_true(cf_words_fit(p, len, n));
    w = cf_words_make(p, len, n);
    assert_non_null(w);
    for (int round = 0; round < 200; round++) {
        static struct seen s;
        char text[TEXT], low[TEXT];
        size_t size = any(TEXT), want = 0;

        fill(text, size, true);
        for (uint32_t k = any(6); k; k--) { /* pieces of literals, whole or not, some in capitals */
            uint32_t i = any(n);
            size_t part = any(3) ? len[i] : any((uint32_t)len[i]), at = size > part ? any((uint32_t)(size - part)) : size;

            for (size_t c = 0; c < part && at + c < size; c++)
                text[at + c] = any(3) == 0 && lit[i][c] >= 'a' && lit[i][c] <= 'z' ? (char)(lit[i][c] - 32) : lit[i][c];
        }
        for (size_t i = 0; i < size; i++)
            low[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
        memset(&s, 0, sizeof s);
        cf_words_scan(w, (cf_str){text, size}, cf_words_next(w, (cf_str){text, size}, 0), note, &s);
        for (uint32_t i = 0; i < n; i++)
            for (size_t at = plain(low, size, lit[i], len[i], 0); at != SIZE_MAX; at = plain(low, size, lit[i], len[i], at + 1)) {
                assert_true(s.at[i][at]);
                want++;
            }
        assert_int_equal(s.n, want);
    }
    cf_words_free(w);
}

static void test_against_plain_search(void **st)
{
    (void)st;
    for (int i = 0; i < 200; i++)
        one_list();
}

static void test_what_does_not_fit(void **st)
{
    const char *shorter[] = {"mimikatz", "kiwi"}, *chinese[] = {"\xe5\x9f\x8e\xe9\x98\xb2\xe5\x9f\x8e"};
    const size_t len[] = {8, 4}, len2[] = {9};

    (void)st;
    assert_false(cf_words_fit(shorter, len, 2));
    assert_true(cf_words_fit(shorter, len, 1));
    assert_false(cf_words_fit(chinese, len2, 1));
    assert_false(cf_words_fit(shorter, len, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_plain_search), cmocka_unit_test(test_what_does_not_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
