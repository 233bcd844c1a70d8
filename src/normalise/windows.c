/* SPDX-License-Identifier: Apache-2.0
 * Windows events as JSON come in many shapes. All end as the names of the event's XML: System parts flat (EventID,
 * Channel, Provider_Name, Computer ...), EventData and UserData by their leaf names in groups of their own.
 *
 *   evtx_dump, SigmaHQ   {"Event":{"System":{"EventID":1,"Provider":{"#attributes":{"Name":..}}},"EventData":{..}}}
 *   reference readers    {"System":{..},"EventData":[["Image","C:\\.."],..]}
 *   winlogbeat           {"@timestamp":..,"winlog":{"channel":..,"event_id":..,"event_data":{..}},"event":{..}}
 *   OTRF, NXLog          {"EventID":1,"Channel":..,"Hostname":..,"Image":..}  flat */
#include <pthread.h>

#include "normalise/source.h"

static const struct cf_jnode *child_named(const struct cf_jnode *nodes, size_t obj, cf_str key)
{
    if (nodes[obj].kind != CF_J_OBJ)
        return NULL;
    for (size_t i = obj + 1; i < nodes[obj].next;) {
        if (nodes[i].key_n == key.n && cf_same_text(nodes[i].key, key.p, key.n))
            return &nodes[i];
        i = nodes[i].kind <= CF_J_ARR ? nodes[i].next : i + 1;
    }
    return NULL;
}

/* inline: strlen is a constant */
__attribute__((always_inline)) static inline const struct cf_jnode *child(const struct cf_jnode *nodes, size_t obj, const char *key)
{
    return child_named(nodes, obj, cf_str_c(key));
}

__attribute__((always_inline)) static inline bool key_is(const struct cf_jnode *n, const char *key) /* inline: strlen is a constant */
{
    size_t len = strlen(key);

    return n->key_n == len && cf_same_text(n->key, key, len);
}

enum cf_json_shape cf_json_shape(const struct cf_jnode *nodes, size_t n)
{
    static const char *const ecs[] = {"ecs", "event", "host", "source", "destination", "user", "process", "file", "agent", "message", "network",
                                      "url", "http", "dns", "observer", "related", "log", "client", "server", "labels", "tags", "organization"};
    bool id = false, channel = false, stamp = false, field = false, rule_title = false;

    (void)n;
    if (nodes[0].kind != CF_J_OBJ)
        return CF_SHAPE_PLAIN;
    for (size_t i = 1; i < nodes[0].next; i = nodes[i].kind <= CF_J_ARR ? nodes[i].next : i + 1) {
        const struct cf_jnode *k = &nodes[i];
        if (!k->key_n)
            continue;
        switch (k->key[0]) {
        case 'E':
            if (key_is(k, "Event") && k->kind == CF_J_OBJ && child(nodes, i, "System"))
                return CF_SHAPE_WIN;
            id = id || key_is(k, "EventID") || key_is(k, "EventId");
            break;
        case 'S':
            if (key_is(k, "System") && k->kind == CF_J_OBJ && child(nodes, i, "EventID"))
                return CF_SHAPE_WIN;
            channel = channel || key_is(k, "SourceName");
            break;
        case 'w':
            if ((key_is(k, "winlog") && k->kind == CF_J_OBJ) || (k->key_n > 7 && memcmp(k->key, "winlog.", 7) == 0))
                return CF_SHAPE_WIN;
            break;
        case 'C': channel = channel || key_is(k, "Channel"); break;
        case 'P': channel = channel || key_is(k, "Provider_Name") || key_is(k, "ProviderName"); break;
        case 'L': channel = channel || key_is(k, "LogName"); break;
        case 'R': rule_title = rule_title || key_is(k, "RuleTitle"); break;
        case '@': stamp = stamp || key_is(k, "@timestamp"); break;
        default: break;
        }
        for (size_t e = 0; k->key[0] >= 'a' && k->key[0] <= 'z' && e < sizeof ecs / sizeof *ecs && !field; e++) {
            size_t len;
            if (k->key[0] != ecs[e][0])
                continue;
            len = strlen(ecs[e]);
            field = k->key_n >= len && memcmp(k->key, ecs[e], len) == 0 && (k->key_n == len || k->key[len] == '.');
        }
    }
    if (id && channel && !rule_title)
        return CF_SHAPE_WIN;
    return stamp && field ? CF_SHAPE_ECS : CF_SHAPE_PLAIN;
}

/* Names of System parts in the shapes -> ours. */
static const struct {
    const char *from, *to;
} renames[] = {
    {"EventId", "EventID"}, {"ProviderName", "Provider_Name"}, {"SourceName", "Provider_Name"}, {"Provider", "Provider_Name"}, {"LogName", "Channel"},
    {"Hostname", "Computer"}, {"ComputerName", "Computer"}, {"MachineName", "Computer"}, {"RecordNumber", "EventRecordID"}, {"RecordId", "EventRecordID"},
    {"RecordID", "EventRecordID"}, {"ProviderGuid", "Provider_Guid"}, {"ThreadID", "ExecutionThreadID"}, {"EventTime", "TimeCreated"},
    {"winlog.channel", "Channel"}, {"winlog.event_id", "EventID"}, {"winlog.provider_name", "Provider_Name"}, {"winlog.computer_name", "Computer"},
    {"winlog.record_id", "EventRecordID"}, {"winlog.task", "Task"}, {"winlog.opcode", "Opcode"}, {"winlog.keywords", "Keywords"},
    {"winlog.provider_guid", "Provider_Guid"}, {"winlog.process.pid", "ExecutionProcessID"}, {"winlog.process.thread.id", "ExecutionThreadID"},
    {"winlog.version", "Version"}, {"winlog.time_created", "TimeCreated"}, {"winlog.activity_id", "ActivityID"}, {"winlog.user.identifier", "UserID"}, {"Message", "Message"},
};
/* Flat shapes: names that are parts of System (or of the shipper), everything else is EventData. */
static const char *const flat_system[] = {
    "EventID", "Channel", "Provider_Name", "Computer", "EventRecordID", "Level", "Task", "Opcode", "Keywords", "Version", "Provider_Guid", "ExecutionProcessID",
    "ExecutionThreadID", "TimeCreated", "@timestamp", "UserID", "ActivityID", "Message", "EventReceivedTime", "SourceModuleType", "SourceModuleName", "port",
    "@version", "tags", "type", "host", "Severity", "SeverityValue", "EventType", "OpcodeValue", "Category", "AccountName", "AccountType", "Domain",
    "EventTypeOrignal", "timestamp", "Timestamp", "RelatedActivityID",
};

/* Both lists as one hash table, since every key of every event is looked up in it. */
struct known {
    cf_str from, to;
    bool system; /* of a flat event: part of System */
};
#define KNOWN_SLOTS 512u
static struct known known[KNOWN_SLOTS];
static pthread_once_t known_once = PTHREAD_ONCE_INIT;

static inline unsigned known_slot(cf_str key) /* key is not empty */
{
    return ((unsigned)key.n * 37u + (unsigned char)key.p[0] * 5u + (unsigned char)key.p[key.n / 2] * 71u + (unsigned char)key.p[key.n - 1] * 257u) % KNOWN_SLOTS;
}

static struct known *known_find(cf_str key) /* or the free slot for it */
{
    unsigned i = known_slot(key);

    while (known[i].from.n && (known[i].from.n != key.n || !cf_same_text(known[i].from.p, key.p, key.n)))
        i = (i + 1) % KNOWN_SLOTS;
    return &known[i];
}

static void known_fill(void)
{
    for (size_t i = 0; i < sizeof flat_system / sizeof *flat_system; i++)
        *known_find(cf_str_c(flat_system[i])) = (struct known){cf_str_c(flat_system[i]), CF_STR_NONE, true};
    for (size_t i = 0; i < sizeof renames / sizeof *renames; i++) {
        cf_str from = cf_str_c(renames[i].from), to = cf_str_c(renames[i].to);
        bool system = known_find(to)->from.n && known_find(to)->system;
        *known_find(from) = (struct known){from, to, system};
    }
}

/* NULL: no name of either list. */
static const struct known *known_name(cf_str key)
{
    const struct known *k;

    if (!key.n)
        return NULL;
    (void)pthread_once(&known_once, known_fill);
    k = known_find(key);
    return k->from.n ? k : NULL;
}

static cf_str renamed(cf_str key)
{
    const struct known *k = known_name(key);
    return k && k->to.p ? k->to : key;
}

static struct cf_pair *put(struct cf_pairs *ps, cf_str key, const struct cf_jnode *v, enum cf_pair_group g)
{
    enum cf_vkind k = v->kind == CF_J_NUM ? CF_V_INT : v->kind == CF_J_STR ? CF_V_STR : v->kind == CF_J_NULL ? CF_V_NULL : CF_V_BOOL;
    struct cf_pair *p = cf_pair_add(ps, key, cf_str_n(v->p ? v->p : "", v->n), k);

    if (p)
        p->group = (uint8_t)g;
    return p;
}

static cf_str key_of(const struct cf_jnode *n) { return cf_str_n(n->key, n->key_n); }
static size_t step(const struct cf_jnode *nodes, size_t i) { return nodes[i].kind <= CF_J_ARR ? nodes[i].next : i + 1; }

static const struct cf_jnode *text_of(const struct cf_jnode *nodes, size_t i)
{
    const struct cf_jnode *t;

    if (nodes[i].kind > CF_J_ARR)
        return &nodes[i];
    t = child(nodes, i, "#text");
    return t && t->kind > CF_J_ARR ? t : NULL;
}

/* <Data Name="x">v</Data> in its JSON forms */
static void data_list(const struct cf_jnode *nodes, size_t arr, struct cf_pairs *ps)
{
    for (size_t i = arr + 1; i < nodes[arr].next; i = step(nodes, i)) {
        const struct cf_jnode *name = NULL, *text = text_of(nodes, i);
        if (nodes[i].kind == CF_J_OBJ) {
            name = child(nodes, i, "@Name");
            name = name ? name : child(nodes, i, "Name");
            if (!name) {
                const struct cf_jnode *at = child(nodes, i, "#attributes");
                name = at ? child(nodes, (size_t)(at - nodes), "Name") : NULL;
            }
            text = text ? text : child(nodes, i, "content");
            text = text ? text : child(nodes, i, "Value");
        } else if (nodes[i].kind == CF_J_ARR && nodes[i].next == i + 3 && nodes[i + 1].kind == CF_J_STR && nodes[i + 2].kind > CF_J_ARR) {
            name = &nodes[i + 1];
            text = &nodes[i + 2];
        }
        if (!text || text->kind <= CF_J_ARR)
            continue;
        (void)put(ps, name && name->kind == CF_J_STR && name->n ? cf_str_n(name->p, name->n) : CF_STR("Data"), text, CF_G_WIN_DATA);
    }
}

static void event_data(const struct cf_jnode *nodes, size_t obj, struct cf_pairs *ps, enum cf_pair_group g, int depth)
{
    if (nodes[obj].kind == CF_J_ARR) {
        data_list(nodes, obj, ps);
        return;
    }
    if (nodes[obj].kind != CF_J_OBJ)
        return;
    for (size_t i = obj + 1; i < nodes[obj].next; i = step(nodes, i)) {
        const struct cf_jnode *n = &nodes[i], *t;
        if (key_is(n, "#attributes") || key_is(n, "xmlns"))
            continue;
        if (key_is(n, "Data") && n->kind == CF_J_ARR) {
            data_list(nodes, i, ps);
        } else if (key_is(n, "#text") && n->kind == CF_J_ARR) {
            data_list(nodes, i, ps);
        } else if (n->kind > CF_J_ARR) {
            (void)put(ps, key_is(n, "#text") ? CF_STR("Data") : key_of(n), n, g);
        } else if ((t = text_of(nodes, i))) {
            (void)put(ps, key_of(n), t, g);
        } else if (child(nodes, i, "#text") && key_is(n, "Data")) {
            data_list(nodes, (size_t)(child(nodes, i, "#text") - nodes), ps);
        } else if (depth < 6) {
            event_data(nodes, i, ps, g, depth + 1);
        }
    }
}

static void attributes(const struct cf_jnode *nodes, size_t obj, const struct cf_jnode *of, struct cf_pairs *ps)
{
#define T(part, attr, name) {{part, sizeof part - 1}, {attr, sizeof attr - 1}, {name, sizeof name - 1}}
    static const struct {
        cf_str part, attr, name;
    } t[] = {T("Provider", "Name", "Provider_Name"), T("Provider", "Guid", "Provider_Guid"), T("TimeCreated", "SystemTime", "TimeCreated"),
             T("Execution", "ProcessID", "ExecutionProcessID"), T("Execution", "ThreadID", "ExecutionThreadID"), T("Security", "UserID", "UserID"),
             T("Correlation", "ActivityID", "ActivityID"), T("Correlation", "RelatedActivityID", "RelatedActivityID")};
#undef T

    for (size_t i = obj + 1; i < nodes[obj].next; i = step(nodes, i)) {
        cf_str attr = key_of(&nodes[i]);
        if (nodes[i].kind == CF_J_OBJ && key_is(&nodes[i], "#attributes")) {
            attributes(nodes, i, of, ps);
            continue;
        }
        if (nodes[i].kind <= CF_J_ARR)
            continue;
        if (attr.n && attr.p[0] == '@')
            attr = cf_str_sub(attr, 1, attr.n);
        for (size_t k = 0; k < sizeof t / sizeof *t; k++)
            if (of->key_n == t[k].part.n && attr.n == t[k].attr.n && cf_same_text(of->key, t[k].part.p, of->key_n) && cf_same_text(attr.p, t[k].attr.p, attr.n))
                (void)put(ps, t[k].name, &nodes[i], CF_G_WIN_SYSTEM);
    }
}

static void system_part(const struct cf_jnode *nodes, size_t sys, struct cf_pairs *ps)
{
    for (size_t i = sys + 1; i < nodes[sys].next; i = step(nodes, i)) {
        const struct cf_jnode *n = &nodes[i], *t = text_of(nodes, i);
        if (t)
            (void)put(ps, renamed(key_of(n)), t, CF_G_WIN_SYSTEM);
        else if (n->kind == CF_J_OBJ)
            attributes(nodes, i, n, ps);
        else if (key_is(n, "EventID") || key_is(n, "EventRecordID"))
            continue;
    }
    /* some readers write "Provider_attributes": {"Name": ..} */
    for (size_t i = sys + 1; i < nodes[sys].next; i = step(nodes, i)) {
        struct cf_jnode part = nodes[i];
        if (part.kind != CF_J_OBJ || part.key_n < 12 || memcmp(part.key + part.key_n - 11, "_attributes", 11) != 0)
            continue;
        part.key_n -= 11;
        attributes(nodes, i, &part, ps);
    }
}

static int winlogbeat(const struct cf_jnode *nodes, struct cf_arena *a, struct cf_pairs *ps)
{
    static const cf_str data = {"winlog.event_data.", 18}, udata = {"winlog.user_data.", 17};
    int r = cf_json_pairs(nodes, 0, CF_STR(""), a, ps);

    if (r == CF_ENOMEM)
        return r;
    for (size_t i = 0; i < ps->n; i++) {
        struct cf_pair *p = &ps->v[i];
        bool d = cf_str_starts(p->key, data);
        if (!cf_str_starts(p->key, CF_STR("winlog."))) {
            continue;
        } else if (d || cf_str_starts(p->key, udata)) {
            p->group = d ? CF_G_WIN_DATA : CF_G_WIN_USER_DATA;
            p->key = cf_str_sub(p->key, d ? data.n : udata.n, p->key.n);
            p->leaf = 0;
        } else {
            cf_str k = renamed(p->key);
            if (k.p != p->key.p) {
                p->key = k;
                p->leaf = 0;
                p->group = CF_G_WIN_SYSTEM;
            }
        }
    }
    return 0;
}

static int flat(const struct cf_jnode *nodes, struct cf_arena *a, struct cf_pairs *ps)
{
    int r = cf_json_pairs(nodes, 0, CF_STR(""), a, ps);

    if (r == CF_ENOMEM)
        return r;
    for (size_t i = 0; i < ps->n; i++) {
        struct cf_pair *p = &ps->v[i];
        const struct known *k = NULL;
        if (p->key.n > 10 && memcmp(p->key.p, "EventData.", 10) == 0) {
            p->key = cf_str_sub(p->key, 10, p->key.n);
            p->leaf = 0;
        } else if ((k = known_name(p->key)) && k->to.p) {
            p->key = k->to;
            p->leaf = 0;
        }
        p->group = k && k->system ? CF_G_WIN_SYSTEM : CF_G_WIN_DATA;
    }
    return 0;
}

int cf_windows_pairs(const struct cf_jnode *nodes, size_t n, struct cf_arena *a, struct cf_pairs *ps)
{
    const struct cf_jnode *ev = child(nodes, 0, "Event"), *c;
    size_t top = ev && ev->kind == CF_J_OBJ ? (size_t)(ev - nodes) : 0;

    (void)n;
    c = child(nodes, top, "System");
    if (!c || c->kind != CF_J_OBJ) {
        for (size_t i = 1; i < nodes[0].next; i = step(nodes, i))
            if (key_is(&nodes[i], "winlog") || (nodes[i].key_n > 7 && memcmp(nodes[i].key, "winlog.", 7) == 0))
                return winlogbeat(nodes, a, ps);
        return flat(nodes, a, ps);
    }
    system_part(nodes, (size_t)(c - nodes), ps);
    c = child(nodes, top, "EventData");
    if (c)
        event_data(nodes, (size_t)(c - nodes), ps, CF_G_WIN_DATA, 0);
    c = child(nodes, top, "UserData");
    if (c)
        event_data(nodes, (size_t)(c - nodes), ps, CF_G_WIN_USER_DATA, 0);
    c = child(nodes, top, "RenderingInfo");
    c = c && c->kind == CF_J_OBJ ? child(nodes, (size_t)(c - nodes), "Message") : NULL;
    if (c && c->kind == CF_J_STR)
        (void)put(ps, CF_STR("Message"), c, CF_G_WIN_SYSTEM);
    return 0;
}
