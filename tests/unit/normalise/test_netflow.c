/* SPDX-License-Identifier: Apache-2.0
 * Flow packets made here byte by byte: variable length, enterprise numbers, times of every kind, options, withdrawal, bounds of
 * the template cache, broken packets of every length. Packets of a real exporter: tests/e2e/netflow.test.mjs. COL-019. */
#include "test.h"

#include "normalise/netflow.h"

struct got {
    struct cf_buf text; /* pairs of each flow, "key=value " */
    size_t n;
    bool check;
};
static bool on_flow(void *ctx, cf_str m)
{
    static struct cf_pair pair[CF_PAIRS_MAX];
    struct cf_pairs ps = {.v = pair};
    struct got *g = ctx;
    struct cf_error err = {0};
    struct cf_arena a;

    cf_arena_init(&a, 0, 0);
    if (cf_netflow_pairs(m, &a, &ps, &err) != 0)
        fail_msg("a message that was split is not readable: %s", err.msg);
    for (size_t i = 0; i < ps.n && g->check; i++)
        cf_buf_printf(&g->text, "%.*s=%.*s ", CF_ARG(ps.v[i].key), CF_ARG(ps.v[i].val));
    cf_arena_release(&a);
    g->n++;
    return true;
}
static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;

    for (const char *p = hex; *p; p++) {
        if (*p == ' ')
            continue;
        assert_true(cf_unhex(cf_str_n(p, 2), out + n, 1));
        n++;
        p++;
    }
    return n;
}
static struct cf_ip exporter(unsigned k)
{
    struct cf_ip ip = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, (uint8_t)(k >> 8), (uint8_t)k}};

    return ip;
}
/* Splits packets given as hex; returns what the flows say. */
static const char *run(struct cf_netflow *n, struct got *g, const char *hex)
{
    uint8_t p[4096];
    size_t size = unhex(hex, p);
    struct cf_ip ip = exporter(1);

    cf_buf_clear(&g->text);
    g->n = 0;
    g->check = true;
    (void)cf_netflow_split(n, &ip, cf_str_n((const char *)p, size), 1, on_flow, g);
    return cf_buf_cstr(&g->text);
}

#define IPFIX(len, rest) "000a " len " 69204380 00000007 00000001 " rest

static void ipfix(void **state)
{
    struct cf_netflow *n = cf_netflow_new(0, 0);
    struct cf_netflow_stats st;
    struct got g = {0};
    const char *s;

    (void)state;
    cf_buf_init(&g.text, 0);
    /* template 256: source v4, destination v6, start ms, end ns, enterprise 9/100 2 bytes, variable text 94, reverse octets */
    s = run(n, &g, IPFIX("0040", "0002 0030 0100 0008 0008 0004 001c 0010 0098 0008 009d 0008 8064 0002 00000009 005e ffff 8001 0004 00007279 0005 0001"));
    assert_string_equal(s, "");
    s = run(n, &g, IPFIX("0043", "0100 0033 c0000201 20010db8000000000000000000000001 0000019ad34c1000 ecc90f8080000000 beef 03 616263 00000400 01"));
    assert_string_equal(s, "version=10 sequence=7 domain=1 sourceIPv4Address=192.0.2.1 destinationIPv6Address=2001:db8::1 enterprise_9_100=48879 "
                           "applicationDescription=abc reverseOctetDeltaCount=1024 ipClassOfService=1 exported=2025-11-21T10:48:32Z "
                           "flow.start=2025-11-30T05:46:08.768000Z flow.end=2025-11-20T03:54:40.500000Z ");
    /* a long variable field: 255 and two bytes */
    s = run(n, &g, IPFIX("0018", "0002 0008 0101 0000"));
    s = run(n, &g, IPFIX("001c", "0002 000c 0101 0001 005e ffff"));
    s = run(n, &g, IPFIX("001a", "0101 000a ff 0003 78797a"));
    assert_non_null(strstr(s, "applicationDescription=xyz "));
    /* options template 300 and its data: skipped, not missing */
    s = run(n, &g, IPFIX("002e", "0003 0012 012c 0002 0001 0095 0004 0022 0004 012c 000c 00000001 0000000a"));
    assert_string_equal(s, "");
    cf_netflow_get_stats(n, &st);
    assert_int_equal(st.options, 1);
    assert_int_equal(st.no_template, 0);
    /* withdrawal, then data */
    s = run(n, &g, IPFIX("0018", "0002 0008 0101 0000"));
    s = run(n, &g, IPFIX("001a", "0101 000a ff 0003 78797a"));
    cf_netflow_get_stats(n, &st);
    assert_int_equal(st.no_template, 1);
    cf_netflow_free(n);
    cf_buf_release(&g.text);
}

static void v9_and_v5(void **state)
{
    struct cf_netflow *n = cf_netflow_new(0, 0);
    struct got g = {0};
    const char *s;

    (void)state;
    cf_buf_init(&g.text, 0);
    /* uptime 1000 ms; flow from 400 to 900 ms */
    s = run(n, &g, "0009 0003 000003e8 69204380 00000001 0000002a  0000 0018 0100 0004 0008 0004 0016 0004 0015 0004 0001 0008  0100 0030 "
                   "0a000001 00000190 00000384 0000000000000400  0a000002 00000190 00000384 0000000000000800 00000000");
    assert_int_equal(g.n, 2);
    assert_non_null(strstr(s, "sourceIPv4Address=10.0.0.1 octetDeltaCount=1024 exported=2025-11-21T10:48:32Z flow.start=2025-11-21T10:48:31.400000Z "
                              "flow.end=2025-11-21T10:48:31.900000Z flow.duration_ns=500000000 "));
    assert_non_null(strstr(s, "sourceIPv4Address=10.0.0.2 octetDeltaCount=2048 "));
    /* the exporter's clock began again between the flow and the packet */
    s = run(n, &g, "0009 0001 00000064 69204380 00000002 0000002a 0100 0018 0a000003 ffffff9c 00000032 0000000000000001");
    assert_non_null(strstr(s, "flow.start=2025-11-21T10:48:31.800000Z flow.end=2025-11-21T10:48:31.950000Z flow.duration_ns=150000000 "));
    s = run(n, &g, "0005 0001 000003e8 69204380 00000000 00000009 01 02 c00a  0a000001 0a000002 0a0000fe 0001 0002 00000003 00000100 000002bc 000003e8 "
                   "1f90 0035 00 12 06 00 fde8 fde9 18 10 0000");
    assert_non_null(strstr(s, "version=5 sequence=9 engineType=1 engineId=2 samplingInterval=10 sourceIPv4Address=10.0.0.1 destinationIPv4Address=10.0.0.2 "));
    assert_non_null(strstr(s, "sourceTransportPort=8080 destinationTransportPort=53 tcpControlBits=18 protocolIdentifier=6 "));
    assert_non_null(strstr(s, "flow.duration_ns=300000000"));
    cf_netflow_free(n);
    cf_buf_release(&g.text);
}

/* A liar that sends templates without end does not make the others be forgotten. */
static void bounded(void **state)
{
    struct cf_netflow *n = cf_netflow_new(64, 1000);
    struct cf_netflow_stats st;
    struct got g = {0};
    struct cf_ip good = exporter(1), liar = exporter(2);
    uint8_t p[64], d[64];
    size_t size = unhex(IPFIX("001c", "0002 000c 0101 0001 0008 0004"), p), data = unhex(IPFIX("0018", "0101 0008 0a000001"), d);

    (void)state;
    (void)cf_netflow_split(n, &good, cf_str_n((const char *)p, size), 1, on_flow, &g);
    for (unsigned id = 256; id < 5000; id++) {
        p[20] = (uint8_t)(id >> 8);
        p[21] = (uint8_t)id;
        (void)cf_netflow_split(n, &liar, cf_str_n((const char *)p, size), 2, on_flow, &g);
    }
    cf_netflow_get_stats(n, &st);
    assert_true(st.templates <= 64);
    assert_int_equal(cf_netflow_split(n, &good, cf_str_n((const char *)d, data), 3, on_flow, &g), 1);
    assert_int_equal(cf_netflow_split(n, &good, cf_str_n((const char *)d, data), 2000, on_flow, &g), 0); /* too old */
    cf_netflow_free(n);
}

/* Four samples: counters (left out), a TCP packet with VLAN, an IPv6 one with an extension header in an expanded sample, the agent's own
 * IPv4 record. */
#define SFLOW \
    "00000005 00000001 0a000009 00000000 00000007 000f4240 00000004 00000002 0000000c 00000001 00000003 00000000 " \
    "00000001 0000008c 00000001 00000003 00000400 00001000 00000000 00000003 00000005 00000002 000003e9 00000010 " \
    "00000064 00000000 00000065 00000000 00000001 0000004c 00000001 000005ea 00000004 0000003a 0200000000aa " \
    "0200000000bb 8100 0064 0800 45 00 05dc 0001 4000 40 06 0000 c0000201 c6336402 01bb c350 00000001 00000002 50 " \
    "18 2000 0000 0000 0000 00000003 0000008c 00000002 00000000 00000003 00000200 00002000 00000001 00000000 " \
    "00000007 00000001 00000000 00000001 00000001 00000058 00000001 00000080 00000000 00000046 0200000000aa " \
    "0200000000bb 86dd 60000000 0010 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002 11 00 " \
    "000000000000 0035 d431 0010 0000 0000 00000001 00000048 00000003 00000003 00000001 00000001 00000000 00000001 " \
    "00000002 00000001 00000003 00000020 00000040 00000011 0a010101 0a020202 00001f90 00000035 00000000 00000000 "

static void sflow(void **state)
{
    struct cf_netflow *n = cf_netflow_new(0, 0);
    struct cf_netflow_stats st;
    struct got g = {0};

    (void)state;
    cf_buf_init(&g.text, 0);
    assert_string_equal(run(n, &g, SFLOW),
                        "exportProtocol=sflow sflowVersion=5 sequence=7 subAgent=0 samplePool=4096 sampleDrops=0 exporterIPv4Address=10.0.0.9 samplingInterval=1024 "
                        "ingressInterface=3 egressInterface=5 packetDeltaCount=1 vlanId=100 octetDeltaCount=1514 destinationMacAddress=02-00-00-00-00-aa "
                        "sourceMacAddress=02-00-00-00-00-bb ethernetType=2048 ipVersion=4 ipClassOfService=0 ipTTL=64 protocolIdentifier=6 sourceIPv4Address=192.0.2.1 "
                        "destinationIPv4Address=198.51.100.2 sourceTransportPort=443 destinationTransportPort=50000 tcpControlBits=24 "
                        "exportProtocol=sflow sflowVersion=5 sequence=7 subAgent=0 samplePool=8192 sampleDrops=1 exporterIPv4Address=10.0.0.9 samplingInterval=512 "
                        "ingressInterface=7 packetDeltaCount=1 octetDeltaCount=128 destinationMacAddress=02-00-00-00-00-aa sourceMacAddress=02-00-00-00-00-bb "
                        "ethernetType=34525 ipVersion=6 ipTTL=64 sourceIPv6Address=2001:db8::1 destinationIPv6Address=2001:db8::2 protocolIdentifier=17 "
                        "sourceTransportPort=53 destinationTransportPort=54321 "
                        "exportProtocol=sflow sflowVersion=5 sequence=7 subAgent=0 samplePool=1 sampleDrops=0 exporterIPv4Address=10.0.0.9 samplingInterval=1 "
                        "ingressInterface=1 egressInterface=2 packetDeltaCount=1 octetDeltaCount=64 protocolIdentifier=17 ipVersion=4 sourceIPv4Address=10.1.1.1 "
                        "destinationIPv4Address=10.2.2.2 sourceTransportPort=8080 destinationTransportPort=53 tcpControlBits=0 ipClassOfService=0 ");
    cf_netflow_get_stats(n, &st);
    assert_int_equal(st.flows, 3);
    assert_int_equal(st.options, 1);
    assert_int_equal(st.malformed, 0);
    cf_buf_release(&g.text);
    cf_netflow_free(n);
}

static void cut_anywhere(void **state)
{
    static const char *const packets[] = {
        IPFIX("0040", "0002 0030 0100 0008 0008 0004 001c 0010 0098 0008 009d 0008 8064 0002 00000009 005e ffff 8001 0004 00007279 0005 0001"),
        IPFIX("0043", "0100 0033 c0000201 20010db8000000000000000000000001 0000019ad34c1000 ecc90f8080000000 beef 03 616263 00000400 01"),
        "0009 0003 000003e8 69204380 00000001 0000002a  0000 0018 0100 0004 0008 0004 0016 0004 0015 0004 0001 0008  0100 0018 "
        "0a000001 00000190 00000384 0000000000000400",
        SFLOW,
    };
    struct cf_netflow *n = cf_netflow_new(0, 0);
    struct got g = {0};
    struct cf_ip ip = exporter(1);
    uint8_t p[4096];

    (void)state;
    for (size_t k = 0; k < 4; k++) {
        size_t size = unhex(packets[k], p);

        for (size_t cut = 0; cut <= size; cut++) {
            uint8_t *copy = malloc(cut + 1); /* so that the sanitizer sees a byte too many */

            memcpy(copy, p, cut);
            (void)cf_netflow_split(n, &ip, cf_str_n((const char *)copy, cut), 1, on_flow, &g);
            if (cut > 2) {
                copy[cut - 1] = 0xff;
                (void)cf_netflow_split(n, &ip, cf_str_n((const char *)copy, cut), 1, on_flow, &g);
            }
            free(copy);
        }
    }
    assert_true(g.n > 0);
    cf_netflow_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ipfix), cmocka_unit_test(v9_and_v5), cmocka_unit_test(sflow), cmocka_unit_test(bounded), cmocka_unit_test(cut_anywhere)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
