/* SPDX-License-Identifier: Apache-2.0
 * Password policy and hashes, one-time codes against the vectors of RFC 6238, sealed secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "directory/password.h"

static void totp_vectors(void **state)
{
    static const struct {
        int64_t s;
        uint32_t code;
    } t[] = {{59, 94287082}, {1111111109, 7081804}, {1111111111, 14050471}, {1234567890, 89005924}, {2000000000, 69279037}, {20000000000, 65353130}};
    const uint8_t *secret = (const uint8_t *)"12345678901234567890";

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        assert_int_equal(cf_totp_code(secret, 20, (uint64_t)t[i].s / 30, 8), t[i].code);
}

static void totp_window(void **state)
{
    const uint8_t *secret = (const uint8_t *)"12345678901234567890";
    int64_t now = INT64_C(1234567890) * CF_US_PER_S;
    uint64_t step = 1234567890 / 30, got = 0;
    char code[8];

    (void)state;
    for (int d = -2; d <= 2; d++) {
        (void)snprintf(code, sizeof code, "%06u", cf_totp_code(secret, 20, step + (uint64_t)d, 6));
        assert_int_equal(cf_totp_check(secret, 20, cf_str_c(code), now, 0, &got), d >= -1 && d <= 1);
        if (d >= -1 && d <= 1)
            assert_int_equal(got, step + (uint64_t)d);
    }
    (void)snprintf(code, sizeof code, "%06u", cf_totp_code(secret, 20, step, 6));
    assert_false(cf_totp_check(secret, 20, cf_str_c(code), now, step, &got)); /* used before */
    assert_false(cf_totp_check(secret, 20, CF_STR("12345"), now, 0, &got));
    assert_false(cf_totp_check(secret, 20, CF_STR("12345x"), now, 0, &got));
}

static void base32(void **state)
{
    char out[40];

    (void)state;
    cf_base32((const uint8_t *)"foobar", 6, out); /* RFC 4648 */
    assert_string_equal(out, "MZXW6YTBOI");
    cf_base32((const uint8_t *)"foo", 3, out);
    assert_string_equal(out, "MZXW6");
}

static void policy(void **state)
{
    static const struct {
        const char *password;
        int want;
    } t[] = {
        {"Harbour-Lantern-58", 0}, {"Short-1a", CF_EINVAL}, {"onlysmallletters", CF_EINVAL}, {"ONLYBIG1234567", CF_EINVAL}, {"Aa1aAa1aAa1a", CF_EINVAL},
        {"Password-1234", CF_EINVAL}, {"x-Officer-2026", CF_EINVAL}, {"\xe5\x9f\x8e\xe9\x98\xb2Harbour58", 0},
    };
    struct cf_error err;

    (void)state;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        int r = cf_password_policy(cf_str_c(t[i].password), CF_STR("officer"), 10, CF_STR("# list\npassword\nqwerty\n"), &err);

        if (r != t[i].want)
            fail_msg("%s: %d %s", t[i].password, r, r ? err.msg : "");
    }
}

static void random_passwords(void **state)
{
    char a[21], b[21];
    struct cf_error err;

    (void)state;
    for (int i = 0; i < 200; i++) {
        cf_password_random(a);
        cf_password_random(b);
        assert_int_equal(strlen(a), 20);
        assert_string_not_equal(a, b);
        assert_int_equal(cf_password_policy(cf_str_c(a), CF_STR("admin"), 10, CF_STR_NONE, &err), 0);
    }
}

static void hashes(void **state)
{
    char a[CF_PASSWORD_HASH_MAX], b[CF_PASSWORD_HASH_MAX];
    struct cf_error err;

    (void)state;
    assert_int_equal(cf_password_hash(CF_STR("Harbour-Lantern-58"), 8192, 1, a, &err), 0);
    assert_int_equal(cf_password_hash(CF_STR("Harbour-Lantern-58"), 8192, 1, b, &err), 0);
    assert_string_not_equal(a, b); /* salted */
    assert_int_equal(strncmp(a, "$argon2id$v=19$m=8192,t=1,p=1$", 30), 0);
    assert_true(cf_password_verify(CF_STR("Harbour-Lantern-58"), a));
    assert_false(cf_password_verify(CF_STR("Harbour-Lantern-59"), a));
    assert_false(cf_password_verify(CF_STR(""), a));
    assert_false(cf_password_verify(CF_STR("x"), "not a hash"));
}

static void secrets(void **state)
{
    char path[] = "/tmp/cf-key-XXXXXX", sealed[2 * 48 + 1];
    struct cf_secret_key k, again;
    uint8_t plain[20] = {1, 2, 3}, out[20];
    struct cf_error err;

    (void)state;
    (void)close(mkstemp(path));
    (void)unlink(path);
    assert_int_equal(cf_secret_key_load(path, &k, &err), 0);
    assert_int_equal(cf_secret_key_load(path, &again, &err), 0);
    assert_memory_equal(&k, &again, sizeof k);
    assert_true(cf_secret_seal(&k, plain, sizeof plain, sealed));
    assert_true(cf_secret_open(&k, cf_str_c(sealed), out, sizeof out));
    assert_memory_equal(plain, out, sizeof out);
    sealed[30] = sealed[30] == '0' ? '1' : '0';
    assert_false(cf_secret_open(&k, cf_str_c(sealed), out, sizeof out));
    assert_int_equal(truncate(path, 5), 0);
    assert_int_equal(cf_secret_key_load(path, &again, &err), CF_ECORRUPT);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(totp_vectors), cmocka_unit_test(totp_window), cmocka_unit_test(base32), cmocka_unit_test(policy),
                                       cmocka_unit_test(random_passwords), cmocka_unit_test(hashes), cmocka_unit_test(secrets)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
