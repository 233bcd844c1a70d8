/* SPDX-License-Identifier: Apache-2.0 */
#include "normalise/audit.h"

#include "base/error.h"

#define LOOK 512u /* of a line: its stamp stands near the beginning */

/* First word of s that begins with `key`, its value. */
static cf_str word_value(cf_str s, cf_str key)
{
    for (size_t i = 0; i + key.n <= s.n; i++)
        if ((i == 0 || s.p[i - 1] == ' ' || s.p[i - 1] == ':') && memcmp(s.p + i, key.p, key.n) == 0) {
            cf_str v = cf_str_sub(s, i + key.n, s.n), word;

            return cf_str_cut(&v, ' ', &word) ? word : CF_STR_NONE;
        }
    return CF_STR_NONE;
}

/* Host of the syslog header before the record: the word behind the time. */
static cf_str header_host(cf_str head)
{
    cf_str word;
    bool time = false;

    while (cf_str_cut(&head, ' ', &word)) {
        size_t colons = 0;

        if (time && word.n)
            return word;
        for (size_t i = 0; i < word.n; i++)
            colons += word.p[i] == ':';
        time = time || (colons >= 2 && word.p[0] >= '0' && word.p[0] <= '9');
    }
    return CF_STR_NONE;
}

/* Types of the kernel whose event may have more records (linux/audit.h, 1300 to 1499 without the messages of labelled networking). */
static bool has_company(cf_str type)
{
    static const char *const names[] = {"SYSCALL", "PATH", "IPC", "SOCKETCALL", "SOCKADDR", "CWD", "EXECVE", "IPC_SET_PERM", "MQ_OPEN", "MQ_SENDRECV", "MQ_NOTIFY",
                                        "MQ_GETSETATTR", "KERNEL_OTHER", "FD_PAIR", "OBJ_PID", "TTY", "EOE", "BPRM_FCAPS", "CAPSET", "MMAP", "NETFILTER_PKT", "NETFILTER_CFG",
                                        "SECCOMP", "PROCTITLE", "FEATURE_CHANGE", "REPLACE", "KERN_MODULE", "FANOTIFY", "TIME_INJOFFSET", "TIME_ADJNTPVAL", "BPF", "EVENT_LISTENER",
                                        "URINGOP", "OPENAT2", "DM_CTRL", "DM_EVENT", "AVC", "SELINUX_ERR", "AVC_PATH", "MAC_POLICY_LOAD", "MAC_STATUS", "MAC_CONFIG_CHANGE",
                                        "CONFIG_CHANGE"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cf_str_eqz(type, names[i]))
            return true;
    return cf_str_starts(type, CF_STR("UNKNOWN[13"));
}

bool cf_audit_part(cf_str line, struct cf_audit_id *ret)
{
    static const char mark[] = " msg=audit(";
    size_t n = line.n < LOOK ? line.n : LOOK, from;
    const char *m, *end;
    cf_str head, type;

    if (n < 30 || line.p[0] == '{' || !(m = memmem(line.p, n, mark, sizeof mark - 1)))
        return false;
    from = (size_t)(m - line.p) + sizeof mark - 1;
    end = memchr(line.p + from, ')', line.n - from < 64 ? line.n - from : 64);
    if (!end || end + 1 >= line.p + line.n || end[1] != ':')
        return false;
    head = cf_str_n(line.p, (size_t)(m - line.p));
    type = word_value(head, CF_STR("type="));
    if (!type.p || !has_company(type))
        return false;
    ret->stamp = cf_str_n(line.p + from, (size_t)(end - line.p) - from);
    ret->last = cf_str_eqz(type, "PROCTITLE") || cf_str_eqz(type, "EOE");
    ret->host = word_value(head, CF_STR("node="));
    if (!ret->host.p)
        ret->host = header_host(cf_str_n(line.p, (size_t)(type.p - line.p)));
    return memchr(ret->stamp.p, ':', ret->stamp.n) != NULL;
}

/* ---- several lines, one event ------------------------------------------------------------------------------------------------- */

bool cf_audit_joined(cf_str raw)
{
    const char *lf = memchr(raw.p, '\n', raw.n);
    struct cf_audit_id a, b;
    cf_str rest;

    if (!lf)
        return false;
    rest = cf_str_sub(raw, (size_t)(lf - raw.p) + 1, raw.n);
    return cf_audit_part(raw, &a) && cf_audit_part(rest, &b) && cf_str_eq(a.stamp, b.stamp);
}

static bool is_list(uint16_t id)
{
    return id == CF_F_EVENT_CATEGORY || id == CF_F_EVENT_TYPE || id == CF_F_PROCESS_ARGS || id == CF_F_FILE_PATH || cf_str_starts(cf_str_c(cf_fields[id].name), CF_STR("related."));
}

/* One more value of that name; the same value once. */
static int add_extra(struct cf_event *ev, uint16_t name, cf_str text, const struct cf_value *from)
{
    uint16_t last = UINT16_MAX;
    int r;

    for (uint16_t i = 0; i < ev->n; i++) {
        const struct cf_value *v = &ev->val[i];

        if (v->id != CF_F_EXTRA || v->name != name)
            continue;
        if (cf_str_eq(cf_str_n(v->p, v->n), text))
            return 0;
        last = i;
    }
    r = cf_event_extra(ev, name, text, from->raw, (enum cf_vkind)from->kind);
    if (r == 0 && last != UINT16_MAX)
        ev->val[last].next = ev->n;
    return r;
}

/* Under the name the line had for it, where the field already says something else: rules find it, nothing is left out. */
static int keep_beside(struct cf_event *ev, const struct cf_value *v, cf_str text)
{
    char name[256];
    cf_str raw = cf_name_text(v->raw);
    uint16_t id;

    if (!v->raw || raw.n > 200)
        return 0;
    memcpy(name, "auditd.log.", 11);
    memcpy(name + 11, raw.p, raw.n);
    id = cf_name_intern(cf_str_n(name, 11 + raw.n));
    return id ? add_extra(ev, id, text, v) : 0;
}

static int merge_field(struct cf_event *ev, const struct cf_value *v, bool execve)
{
    cf_str text = cf_str_n(v->p, v->n), has;
    enum cf_field f = (enum cf_field)v->id;
    uint16_t was = ev->n;
    int r = 0;

    if (f == CF_F_EVENT_ORIGINAL || f == CF_F_MESSAGE)
        return 0;
    if (!ev->slot[f])
        return cf_event_set_raw(ev, f, text, v->raw, (enum cf_vkind)v->kind);
    if (is_list(v->id)) {
        r = cf_event_add(ev, f, text);
        if (r == 0 && ev->n > was) {
            ev->val[was].raw = v->raw;
            ev->val[was].kind = v->kind;
        }
        return r;
    }
    has = cf_event_get(ev, f);
    if (cf_str_eq(has, text))
        return 0;
    if (f == CF_F_EVENT_ACTION)
        return execve ? cf_event_set(ev, f, text) : 0;
    return keep_beside(ev, v, text);
}

static int merge(struct cf_event *ev, const struct cf_event *other, bool execve)
{
    int r = 0;

    for (uint16_t i = 0; i < other->n && r == 0; i++) {
        const struct cf_value *v = &other->val[i];
        cf_str text = cf_str_n(v->p, v->n);

        if (v->id != CF_F_EXTRA)
            r = merge_field(ev, v, execve);
        else if (v->name)
            r = add_extra(ev, v->name, text, v);
    }
    if (r == CF_ELIMIT) {
        ev->flags |= CF_EV_TRUNCATED;
        r = 0;
    }
    return r;
}

static int command_line(struct cf_event *ev)
{
    const struct cf_value *v = cf_event_val(ev, CF_F_PROCESS_ARGS);
    struct cf_buf b;
    char *p;
    int r = 0;

    if (!v || ev->slot[CF_F_PROCESS_COMMAND_LINE])
        return 0;
    cf_buf_init(&b, 1 << 20);
    for (; v; v = cf_event_next(ev, v)) {
        if (b.n)
            cf_buf_byte(&b, ' ');
        cf_buf_add(&b, v->p, v->n);
    }
    p = b.failed ? NULL : cf_arena_bytes(ev->arena, b.n + 1);
    if (p && b.n) {
        memcpy(p, b.p, b.n);
        r = cf_event_set(ev, CF_F_PROCESS_COMMAND_LINE, cf_str_n(p, b.n));
    }
    cf_buf_release(&b);
    return r == CF_ELIMIT ? 0 : r;
}

/* The line the others are merged into: SYSCALL, else the first; then the rest, folders (PATH of nametype PARENT) last. */
static int rank(cf_str line)
{
    if (memmem(line.p, line.n < LOOK ? line.n : LOOK, "type=SYSCALL ", 13))
        return 0;
    if (memmem(line.p, line.n < LOOK ? line.n : LOOK, "type=PATH ", 10))
        return memmem(line.p, line.n, "nametype=PARENT", 15) ? 3 : 2;
    return 1;
}

/* Lines in the order they came, as text of the event. */
static int keep_original(struct cf_event *ev, const cf_str *text, size_t n)
{
    size_t size = 0, at = 0;
    char *p;

    for (size_t i = 0; i < n; i++)
        size += text[i].n + 1;
    p = cf_arena_bytes(ev->arena, size + 1);
    if (!p)
        return CF_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (i)
            p[at++] = '\n';
        if (text[i].n)
            memcpy(p + at, text[i].p, text[i].n);
        at += text[i].n;
    }
    return cf_event_set(ev, CF_F_EVENT_ORIGINAL, cf_str_n(p, at));
}

int cf_audit_normalise(struct cf_norm_thread *t, struct cf_arena *arena, const struct cf_record *rec, cf_norm_fn one, struct cf_event **ret)
{
    cf_str line[CF_AUDIT_LINES_MAX], text[CF_AUDIT_LINES_MAX], rest = rec->raw;
    struct cf_event *ev = NULL, *other;
    size_t n = 0;
    int r = 0;

    while (n + 1 < CF_AUDIT_LINES_MAX && cf_str_cut(&rest, '\n', &line[n]))
        n += line[n].n > 0;
    if (rest.n)
        line[n++] = rest; /* more than any event has: read as the end of the last line */
    for (int pass = 0; pass < 4 && r == 0; pass++)
        for (size_t i = 0; i < n && r == 0; i++) {
            struct cf_record single = *rec;

            if (rank(line[i]) != pass)
                continue;
            single.raw = line[i];
            r = one(t, arena, &single, &other);
            if (r == 0 && !ev)
                ev = other;
            else if (r == 0 && !(other->flags & CF_EV_UNPARSED))
                r = merge(ev, other, memmem(line[i].p, line[i].n < LOOK ? line[i].n : LOOK, "type=EXECVE ", 12) != NULL);
            if (r == 0)
                text[i] = cf_event_get(other, CF_F_EVENT_ORIGINAL);
        }
    if (r == 0)
        r = keep_original(ev, text, n);
    if (r == 0)
        r = command_line(ev);
    if (r == 0)
        ev->original = rec->raw;
    *ret = ev;
    return r;
}
