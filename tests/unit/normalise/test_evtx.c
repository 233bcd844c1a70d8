/* SPDX-License-Identifier: Apache-2.0
 * EVTX against files made here, byte by byte (so that the expected output is known), and against the reference output of an
 * independent reader where the shared corpora are present. */
#include "test.h"

#include <unistd.h>

#include "normalise/evtx.h"
#include "normalise/input.h"

struct maker {
    unsigned char c[CF_EVTX_CHUNK_SIZE];
    size_t n;
};

static void put(struct maker *m, const void *p, size_t n)
{
    memcpy(m->c + m->n, p, n);
    m->n += n;
}
static void u8(struct maker *m, unsigned v) { m->c[m->n++] = (unsigned char)v; }
static void u16(struct maker *m, unsigned v)
{
    u8(m, v & 255);
    u8(m, v >> 8 & 255);
}
static void u32(struct maker *m, size_t v)
{
    u16(m, v & 0xffff);
    u16(m, v >> 16 & 0xffff);
}
static void u64(struct maker *m, uint64_t v)
{
    u32(m, v & 0xffffffffu);
    u32(m, v >> 32);
}
static void at32(struct maker *m, size_t at, size_t v)
{
    size_t n = m->n;
    m->n = at;
    u32(m, v);
    m->n = n;
}
static void wide(struct maker *m, const char *s)
{
    for (; *s; s++)
        u16(m, (unsigned char)*s);
}
/* offset to itself + 4, then the name */
static void name(struct maker *m, const char *s)
{
    u32(m, m->n + 4);
    u32(m, 0);
    u16(m, 0);
    u16(m, (unsigned)strlen(s));
    wide(m, s);
    u16(m, 0);
}
static size_t open_element(struct maker *m, const char *n, bool attrs)
{
    size_t at;
    u8(m, attrs ? 0x41 : 0x01);
    u16(m, 0xffff); /* dependency */
    at = m->n;
    u32(m, 0);
    name(m, n);
    return at;
}
static void close_element(struct maker *m, size_t at)
{
    u8(m, 0x04);
    at32(m, at, m->n - at - 4);
}
static void sub(struct maker *m, unsigned id, unsigned type)
{
    u8(m, 0x0d);
    u16(m, id);
    u8(m, type);
}

/* <Event><System><EventID>%0</EventID><Computer>%1</Computer></System><EventData><Data Name="Image">%2</Data>
 * <Data>%3</Data></EventData></Event> */
static void template(struct maker *m)
{
    size_t def, ev, sys, e, attrs;

    u8(m, 0x0f), u8(m, 1), u8(m, 1), u8(m, 0);
    u8(m, 0x0c), u8(m, 1), u32(m, 7);
    u32(m, m->n + 4); /* the definition follows */
    def = m->n;
    u32(m, 0);
    for (int i = 0; i < 16; i++)
        u8(m, 7);
    u32(m, 0);
    u8(m, 0x0f), u8(m, 1), u8(m, 1), u8(m, 0);
    ev = open_element(m, "Event", false);
    u8(m, 0x02);
    sys = open_element(m, "System", false);
    u8(m, 0x02);
    e = open_element(m, "EventID", false);
    u8(m, 0x02);
    sub(m, 0, 0x06);
    close_element(m, e);
    e = open_element(m, "Computer", false);
    u8(m, 0x02);
    sub(m, 1, 0x01);
    close_element(m, e);
    close_element(m, sys);
    sys = open_element(m, "EventData", false);
    u8(m, 0x02);
    e = open_element(m, "Data", true);
    attrs = m->n;
    u32(m, 0);
    u8(m, 0x06);
    name(m, "Name");
    u8(m, 0x05), u8(m, 1), u16(m, 5);
    wide(m, "Image");
    at32(m, attrs, m->n - attrs - 4);
    u8(m, 0x02);
    sub(m, 2, 0x01);
    close_element(m, e);
    e = open_element(m, "Data", false);
    u8(m, 0x02);
    sub(m, 3, 0x13);
    close_element(m, e);
    close_element(m, sys);
    close_element(m, ev);
    u8(m, 0x00);
    at32(m, def + 20, m->n - def - 24);
}

static void values(struct maker *m, const char *image)
{
    static const unsigned char sid[] = {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0};

    u32(m, 4);
    u16(m, 2), u8(m, 0x06), u8(m, 0);
    u16(m, 4), u8(m, 0x01), u8(m, 0);
    u16(m, (unsigned)strlen(image) * 2), u8(m, 0x01), u8(m, 0);
    u16(m, sizeof sid), u8(m, 0x13), u8(m, 0);
    u16(m, 4688);
    wide(m, "PC");
    wide(m, image);
    put(m, sid, sizeof sid);
}

/* One chunk with n records; returns the start of the last record. */
static size_t chunk(struct maker *m, int n)
{
    size_t rec = 0;

    memset(m, 0, sizeof *m);
    put(m, "ElfChnk\0", 8);
    m->n = 512;
    for (int i = 0; i < n; i++) {
        rec = m->n;
        u32(m, 0x00002a2a);
        u32(m, 0);
        u64(m, (uint64_t)i + 1);
        u64(m, 0);
        template(m);
        values(m, i ? "C:\\\"q\"\\a.exe" : "C:\\b.exe");
        u32(m, 0);
        at32(m, rec + 4, m->n - rec);
        at32(m, m->n - 4, m->n - rec);
    }
    at32(m, 48, m->n);
    return rec;
}

static const char *const first = "{\"Event\":{\"System\":{\"EventID\":4688,\"Computer\":\"PC\"},\"EventData\":{\"Image\":\"C:\\\\b.exe\","
                                 "\"Data\":{\"#text\":\"S-1-5-32-544\"}}}}";

static void reads_records(void **st)
{
    static struct maker m;
    struct cf_evtx_chunk c;
    struct cf_error err = {0};
    struct cf_buf out;
    uint64_t id = 0;

    (void)st;
    (void)chunk(&m, 2);
    cf_buf_init(&out, 0);
    assert_ok(cf_evtx_chunk_init(&c, cf_str_n((const char *)m.c, sizeof m.c), &err), err);
    assert_int_equal(cf_evtx_chunk_next(&c, &out, &id, &err), 1);
    assert_int_equal(id, 1);
    assert_string_equal(cf_buf_cstr(&out), first);
    cf_buf_clear(&out);
    assert_int_equal(cf_evtx_chunk_next(&c, &out, &id, &err), 1);
    assert_non_null(strstr(cf_buf_cstr(&out), "\"C:\\\\\\\"q\\\"\\\\a.exe\""));
    assert_int_equal(cf_evtx_chunk_next(&c, &out, &id, &err), 0);
    cf_evtx_chunk_release(&c);
    cf_buf_release(&out);
}

/* Every byte of a two-record chunk damaged in turn: the reader must survive, and an undamaged second record is found. */
static void survives_damage(void **st)
{
    static struct maker m, d;
    size_t last = chunk(&m, 2), found = 0;
    struct cf_buf out;

    (void)st;
    cf_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < m.n; i++) {
        struct cf_evtx_chunk c;
        struct cf_error err;
        uint64_t id;
        bool second = false;
        int r;

        d = m;
        d.c[i] ^= 0xff;
        if (cf_evtx_chunk_init(&c, cf_str_n((const char *)d.c, sizeof d.c), &err) < 0)
            continue;
        for (int k = 0; k < 10; k++) {
            cf_buf_clear(&out);
            r = cf_evtx_chunk_next(&c, &out, &id, &err);
            if (r == 0)
                break;
            second = second || (r == 1 && id == 2);
        }
        found += second && i < last;
        cf_evtx_chunk_release(&c);
    }
    /* record 2 carries its own template: damage in record 1 (but its size) never hides it */
    assert_true(found >= last - 512 - 24);
    cf_buf_release(&out);
}

/* The last record's place holds something else: nothing comes of it, but it is told once. */
static void lost_tail_is_told(void **st)
{
    static struct maker m;
    size_t last = chunk(&m, 2);
    struct cf_evtx_chunk c;
    struct cf_error err = {0};
    struct cf_buf out;
    uint64_t id;

    (void)st;
    cf_buf_init(&out, 1 << 20);
    m.c[last] ^= 0xff;
    assert_ok(cf_evtx_chunk_init(&c, cf_str_n((const char *)m.c, sizeof m.c), &err), err);
    assert_int_equal(cf_evtx_chunk_next(&c, &out, &id, &err), 1);
    assert_int_equal(cf_evtx_chunk_next(&c, &out, &id, &err), CF_ECORRUPT);
    assert_non_null(strstr(err.msg, "none behind it"));
    assert_int_equal(cf_evtx_chunk_next(&c, &out, &id, &err), 0);
    cf_evtx_chunk_release(&c);
    cf_buf_release(&out);
}

static void through_input(void **st)
{
    static struct maker m;
    static const char head[CF_EVTX_HEADER_SIZE] = "ElfFile\0";
    static const char zeros[CF_EVTX_CHUNK_SIZE];
    char path[] = "/tmp/cf-evtx-XXXXXX";
    int fd = mkstemp(path);
    struct cf_input *in;
    struct cf_error err = {0};
    struct cf_record rec[8];
    struct cf_arena a;
    const char *why;
    size_t n;

    (void)st;
    (void)chunk(&m, 1);
    assert_true(write(fd, head, sizeof head) == (ssize_t)sizeof head && write(fd, m.c, sizeof m.c) == (ssize_t)sizeof m.c);
    assert_true(write(fd, zeros, sizeof zeros) == (ssize_t)sizeof zeros && write(fd, m.c, sizeof m.c) == (ssize_t)sizeof m.c);
    assert_true(write(fd, m.c, 100) == 100); /* torn last chunk */
    (void)close(fd);
    cf_arena_init(&a, 0, 0);
    assert_ok(cf_input_open(path, "", &in, &err), err);
    for (int i = 0; i < 2; i++) {
        assert_ok(cf_input_next_batch(in, &a, rec, 8, &n, &err), err);
        assert_int_equal(n, 1);
        assert_str(rec[0].raw, first);
        assert_str(rec[0].format, "evtx-json");
        assert_int_equal(rec[0].seq, i);
    }
    assert_ok(cf_input_next_batch(in, &a, rec, 8, &n, &err), err);
    assert_int_equal(n, 0);
    assert_int_equal(cf_input_damaged(in, &why), 1);
    assert_string_equal(why, "the file ends inside a chunk");
    cf_input_close(in);
    cf_arena_release(&a);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_records), cmocka_unit_test(survives_damage), cmocka_unit_test(lost_tail_is_told), cmocka_unit_test(through_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
