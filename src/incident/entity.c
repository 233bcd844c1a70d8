/* SPDX-License-Identifier: Apache-2.0
 * Whom an alert is about. Hits of one rule on one entity fold into one alert, so the choice decides how many alerts people see:
 * network and sign-in rules fold by the attacker's address, host rules by the host. A rule says otherwise with a tag
 * "entity.source", "entity.destination", "entity.host", "entity.user" or "entity.process". */
#include "incident/incident_int.h"

#include "form/content.h"

enum pick { PICK_SOURCE, PICK_DESTINATION, PICK_HOST, PICK_USER, PICK_PROCESS, PICK_OBSERVER, PICK_N };
static const struct {
    const char *tag, *type;
    enum cf_field f[3];
} picks[PICK_N] = {
    [PICK_SOURCE] = {"entity.source", "ip", {CF_F_SOURCE_IP, CF_F_CLIENT_IP, CF_F_SOURCE_ADDRESS}},
    [PICK_DESTINATION] = {"entity.destination", "ip", {CF_F_DESTINATION_IP, CF_F_SERVER_IP, CF_F_DESTINATION_ADDRESS}},
    [PICK_HOST] = {"entity.host", "host", {CF_F_HOST_NAME, CF_F_WINLOG_COMPUTER_NAME, CF_F_HOST_HOSTNAME}},
    [PICK_USER] = {"entity.user", "user", {CF_F_USER_NAME, CF_F_USER_TARGET_NAME, CF_F_SOURCE_USER_NAME}},
    [PICK_PROCESS] = {"entity.process", "process", {CF_F_PROCESS_EXECUTABLE, CF_F_PROCESS_NAME, CF_F_PROCESS_ENTITY_ID}},
    [PICK_OBSERVER] = {"entity.observer", "observer", {CF_F_OBSERVER_NAME, CF_F_OBSERVER_IP, CF_F_LOG_SYSLOG_HOSTNAME}},
};

static cf_str pick_value(const struct cf_event *ev, enum pick p)
{
    for (int i = 0; i < 3; i++) {
        cf_str v = cf_event_get(ev, picks[p].f[i]);

        if (v.p && v.n && v.n <= 512 && !cf_str_eqz(v, "-"))
            return v;
    }
    return CF_STR_NONE;
}

static bool host_rule(const struct cf_rule_info *r)
{
    static const char *const cats[] = {"process_creation", "process_access", "process_termination", "process_tampering", "image_load", "driver_load",
                                       "file_event", "file_access", "file_change", "file_delete", "file_rename", "registry_event", "registry_set",
                                       "registry_add", "registry_delete", "registry_rename", "create_remote_thread", "create_stream_hash",
                                       "raw_access_thread", "pipe_created", "wmi_event", "ps_script", "ps_module", "ps_classic_start", "sysmon_status"};
    static const char *const services[] = {"auditd", "sysmon", "system", "powershell", "powershell-classic", "cron", "sudo", "windefend"};

    for (size_t i = 0; i < sizeof(cats) / sizeof(cats[0]); i++)
        if (cf_str_eqz(r->category, cats[i]))
            return true;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        if (cf_str_eqz(r->service, services[i]))
            return true;
    return false;
}

struct inc_entity inc_entity_of(const struct cf_hit *hit)
{
    static const enum pick host_first[] = {PICK_HOST, PICK_OBSERVER, PICK_USER, PICK_SOURCE, PICK_DESTINATION, PICK_PROCESS};
    static const enum pick net_first[] = {PICK_SOURCE, PICK_HOST, PICK_USER, PICK_DESTINATION, PICK_OBSERVER, PICK_PROCESS};
    const enum pick *order = host_rule(hit->rule) ? host_first : net_first;
    struct cf_ip ip;
    cf_str v;

    for (size_t i = 0; i < hit->rule->n_tags; i++)
        for (int p = 0; p < PICK_N; p++)
            if (cf_str_eqz(hit->rule->tags[i], picks[p].tag)) {
                v = pick_value(hit->ev, (enum pick)p);
                if (v.p)
                    return (struct inc_entity){picks[p].type, v};
            }
    for (size_t i = 0; i < 6; i++) {
        v = pick_value(hit->ev, order[i]);
        if (v.p) /* source.address may be a name */
            return (struct inc_entity){cf_str_eqz(cf_str_c(picks[order[i]].type), "ip") && !cf_ip_parse(v, &ip) ? "host" : picks[order[i]].type, v};
    }
    if (hit->group.n)
        return (struct inc_entity){"group", cf_text_cut(hit->group, 512)};
    return (struct inc_entity){"none", CF_STR("-")};
}

/* Accounts that exist everywhere say nothing about who acted. */
bool inc_common_user(cf_str name)
{
    static const char *const common[] = {"root", "SYSTEM", "system", "administrator", "Administrator", "admin", "LOCAL SERVICE", "NETWORK SERVICE",
                                         "ANONYMOUS LOGON", "nobody", "-", "www-data", "nginx", "NT AUTHORITY\\SYSTEM", "guest", "Guest"};

    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        if (cf_str_eqz(name, common[i]))
            return true;
    return name.n == 0 || name.p[name.n - 1] == '$'; /* machine accounts */
}
