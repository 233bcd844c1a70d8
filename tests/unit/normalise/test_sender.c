/* SPDX-License-Identifier: Apache-2.0
 * Which source reads a line: a device named by the sender keeps the lines of its services, key=value text of a firewall is known
 * by its keys, and the priority written out behind the stamp is the priority. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "norm_help.h"

/* Fields as "name=value name=value": each must be in the event of line; "name=" must not be there. */
static void expect(const char *source, const char *line, const char *fields)
{
    struct cf_record rec = {.raw = cf_str_c(line), .source = cf_str_c(source), .received_us = NOW};
    struct cf_event *ev = NULL;
    struct cf_arena a;
    cf_str in = cf_str_c(fields), one, name;

    cf_arena_init(&a, 0, 0);
    assert_int_equal(cf_normalise(thread, &a, &rec, &ev), 0);
    while (cf_str_cut(&in, ' ', &one)) {
        cf_str v;
        assert_true(cf_str_cut(&one, '=', &name));
        v = cf_event_get(ev, cf_field_find(name));
        if (!cf_str_eq(v, one)) {
            print_error("%s\n  %.*s is \"%.*s\", not \"%.*s\"\n", line, CF_ARG(name), CF_ARG(v), CF_ARG(one));
            fail();
        }
    }
    cf_arena_release(&a);
}

static void services_of_a_named_device(void **state)
{
    static const char lease[] = "<190>Nov 21 06:00:00 gw dhcpd[512]: DHCPACK on 192.0.2.44 to 00:11:22:33:44:55 (laptop) via igb1.7";

    (void)state;
    expect("", lease, "event.module=dhcpd client.ip=192.0.2.44 observer.vendor=");
    expect("pfsense", lease, "event.module=dhcpd client.ip=192.0.2.44 observer.vendor=netgate observer.type=firewall event.provider=dhcpd");
    /* its own lines, and those that nobody knows */
    expect("pfsense", "<134>Nov 21 06:00:00 gw filterlog[9]: 146,,,1535324496,igb1.12,match,block,in,4,0x0,,63,12617,0,DF,6,tcp,60,192.0.2.50,198.51.100.1,49724,853,0,S,1,,64240,,mss",
           "event.module=pfsense event.provider=filterlog source.ip=192.0.2.50 event.action=block");
    expect("pfsense", "<30>Nov 21 06:00:00 gw oddservice[9]: hello there", "event.module=pfsense observer.vendor=netgate event.provider=oddservice");
    expect("infoblox", "<30>Nov 21 06:00:00 ns1.example 192.0.2.1 dhcpd[10]: DHCPACK on 192.0.2.44 to 00:11:22:33:44:55 via eth0",
           "host.name=ns1.example host.ip=192.0.2.1 client.ip=192.0.2.44 event.action=dhcpack");
}

/* The rows of CEF sources ask for the same key, one after the other. */
static void cef_by_its_product(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) { /* once more with the keys of the lines before known */
        expect("", "CEF:0|Acme|Gate|1|7|Web request|5|src=192.0.2.1 act=blocked", "event.module=cef observer.vendor=Acme source.ip=192.0.2.1");
        expect("", "CEF:0|Citrix|NetScaler|1|7|Web request|5|src=192.0.2.1 act=blocked", "event.module=citrix observer.product=NetScaler");
        expect("", "CEF:0|Trend Micro|Deep Security Agent|1|21|Event|5|src=192.0.2.1", "event.module=trendmicro");
        expect("", "CEF:0|Trend Micro|Something Else|1|21|Event|5|src=192.0.2.1", "event.module=cef event.code=21");
        /* a later value of the same key counts as well */
        expect("", "CEF:0|Acme|Gate|1|7|Web request|5|src=192.0.2.1 cef.device.vendor=Citrix", "event.module=citrix");
    }
}

static void key_value_by_its_keys(void **state)
{
    (void)state;
    expect("", "<190>Nov 21 06:00:00 fw1 app: action=deny srcip=203.0.113.9 srcport=4022 dstip=192.0.2.5 dstport=443 proto=tcp user=alice",
           "event.dataset=firewall.kv source.ip=203.0.113.9 destination.port=443 event.action=deny event.outcome=failure user.name=alice");
    expect("", "Nov 21 06:00:00 fw1 app: src=203.0.113.9 act=drop rule=12", "event.dataset=firewall.kv source.ip=203.0.113.9 rule.name=12");
    /* a source that knows more goes first, and other pairs are nobody's firewall */
    expect("", "<188>date=2026-11-21 time=06:00:00 devname=\"fw1\" devid=\"FGT1\" logid=\"0316013056\" type=\"utm\" srcip=192.0.2.1 dstip=198.51.100.13 action=\"blocked\"",
           "event.dataset=fortinet_fortigate.log");
    expect("", "Nov 21 06:00:00 h app: user=alice action=open item=7", "event.dataset= source.ip=");
}

static void structured_data(void **state)
{
    (void)state;
    expect("", "<14>1 2026-11-21T06:00:00.184Z srx1 RT_FLOW - RT_FLOW_SESSION_CREATE [junos@2636.1.1.1.2.40 source-address=\"192.0.2.1\" source-port=\"594\"]",
           "source.ip=192.0.2.1 source.port=594");
    /* an element without an id; one that stops in the middle; another behind it */
    expect("", "<14>1 2026-11-21T06:00:00.184Z srx1 RT_FLOW - RT_FLOW_SESSION_CREATE [source-address=\"192.0.2.1\" source-port=\"594\"]",
           "source.ip=192.0.2.1 source.port=594");
    expect("", "<14>1 2026-11-21T06:00:00.184Z srx1 RT_FLOW - RT_FLOW_SESSION_CREATE [source-address=\"192.0.2.1\" source-port][x@1 destination-port=\"7\"]",
           "source.ip=192.0.2.1 source.port= destination.port=7");
    expect("", "<14>1 2026-11-21T06:00:00.184Z srx1 RT_FLOW - RT_FLOW_SESSION_CREATE [=] x", "source.ip=");
}

static void priority_written_out(void **state)
{
    (void)state;
    expect("", "Nov 21 06:00:00 <local0.info> 192.0.2.98 app: hello", "log.syslog.priority=134 host.name=192.0.2.98 process.name=app");
    expect("", "November 21 06:00:00 <local0.info> 192.0.2.98 app: hello", "log.syslog.priority=134 host.name=192.0.2.98 process.name=app");
    expect("", "March 1 06:00:00 192.0.2.98 app: hello", "host.name=192.0.2.98 process.name=app message=hello");
    expect("", "Marching 1 06:00:00 192.0.2.98 app: hello", "host.name= process.name=");
    expect("", "Nov 21 06:00:00 <b>bold</b> 192.0.2.98 app: hello", "log.syslog.priority=");
    expect("", "Nov 21 06:00:00 <local0.loud> x", "log.syslog.priority=");
}

static uint32_t flags_of(const char *source, const char *line, struct cf_event **ret, struct cf_arena *a)
{
    struct cf_record rec = {.raw = cf_str_c(line), .source = cf_str_c(source), .received_us = NOW};

    assert_int_equal(cf_normalise(thread, a, &rec, ret), 0);
    return (*ret)->flags & (CF_EV_UNPARSED | CF_EV_UNRECOGNISED);
}

/* A source was named and does not know the line: another one's event, or one that says that it was not recognised. */
static void named_in_vain(void **state)
{
    static const struct {
        const char *source, *line, *fields;
        uint32_t flags;
    } t[] = {
        {"squid", "a line of no known kind", "event.kind=event event.dataset=squid.log observer.vendor=Squid", CF_EV_UNRECOGNISED},
        {"squid", "<30>Nov 21 06:00:00 proxy1 squid[31]: Rebuilding storage in /cache", "event.kind=event event.dataset=squid.log host.name=proxy1 log.syslog.priority=30", CF_EV_UNRECOGNISED},
        {"squid", "<30>Nov 21 06:00:00 proxy1 squid[31]: 1795240800.049 50 192.0.2.199 TCP_MISS/200 197 GET http://www.example.com/ - HIER_DIRECT/198.51.100.115 text/html", "source.ip=192.0.2.199", 0},
        {"squid", "Nov 21 06:00:00 h sshd[3]: Failed password for bob from 192.0.2.1 port 22 ssh2", "event.dataset=sshd.auth observer.vendor= source.ip=192.0.2.1 error.message=", 0},
        {"squid", "<30>Nov 21 06:00:00 h x: CEF:0|Acme|Gate|1|2|name|3|src=192.0.2.1", "event.module=cef source.ip=192.0.2.1", 0},
        {"squid", "{this is text", "event.kind=event event.dataset=squid.log", CF_EV_UNRECOGNISED},
        /* pairs and objects without one key of the source */
        {"fortigate", "hello there", "event.kind=event event.module=fortinet", CF_EV_UNRECOGNISED},
        {"fortigate", "<190>Nov 21 06:00:00 h x: colour=red shape=round", "event.module=fortinet host.name=h", CF_EV_UNRECOGNISED},
        {"fortigate", "CEF:0|Acme|Gate|1|2|name|3|src=192.0.2.1", "event.module=cef source.ip=192.0.2.1", 0},
        {"suricata", "{\"colour\":\"red\"}", "event.kind=event event.dataset=suricata.eve", CF_EV_UNRECOGNISED},
        {"suricata", "text where objects are wanted", "event.kind=event event.dataset=suricata.eve", CF_EV_UNRECOGNISED},
        {"suricata", "{\"colour\":", "event.kind=pipeline_error", CF_EV_UNPARSED},
        /* devices: their services' lines are known, strange programs are not */
        {"pfsense", "<190>Nov 21 06:00:00 gw dhcpd[512]: DHCPACK on 192.0.2.44 to 00:11:22:33:44:55 (laptop) via igb1.7", "event.kind=event error.message=", 0},
        {"pfsense", "<30>Nov 21 06:00:00 gw oddservice[9]: hello there", "event.kind=event observer.vendor=netgate", CF_EV_UNRECOGNISED},
        {"juniper-srx", "<14>1 2026-11-21T06:00:00.184Z srx1 RT_FLOW - RT_FLOW_SESSION_CREATE [junos@2636.1.1.1.2.40 source-address=\"192.0.2.1\"]", "source.ip=192.0.2.1", 0},
        /* nobody was named */
        {"", "<30>Nov 21 06:00:00 h sshd[3]: words of no pattern", "event.module=sshd error.message=", 0},
    };
    struct cf_event *ev = NULL;
    struct cf_arena a;

    (void)state;
    cf_arena_init(&a, 0, 0);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        uint32_t flags = flags_of(t[i].source, t[i].line, &ev, &a);
        if (flags != t[i].flags)
            fail_msg("%s: %s: flags %u", t[i].source, t[i].line, flags);
        expect(t[i].source, t[i].line, t[i].fields);
        if (flags == CF_EV_UNRECOGNISED) {
            assert_true(cf_str_find(cf_event_get(ev, CF_F_ERROR_MESSAGE), cf_str_c(t[i].source)) >= 0);
            assert_non_null(cf_event_val(ev, CF_F_MESSAGE));
        }
    }
    cf_arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(services_of_a_named_device), cmocka_unit_test(key_value_by_its_keys), cmocka_unit_test(cef_by_its_product), cmocka_unit_test(priority_written_out),
                                       cmocka_unit_test(structured_data), cmocka_unit_test(named_in_vain)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
