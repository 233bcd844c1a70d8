/* SPDX-License-Identifier: Apache-2.0 */
#include "normalise/journal_cut.h"

#define CURSOR CF_STR("__CURSOR=\n")
#define LENGTH_MAX ((uint64_t)1 << 32) /* journald itself takes 768 MiB */

void cf_journal_cut_init(struct cf_journal_cut *c)
{
    memset(c, 0, sizeof *c);
    cf_buf_init(&c->entry, CF_JOURNAL_CUT_ENTRY + CF_JOURNAL_CUT_FIELD + 4096);
}

void cf_journal_cut_release(struct cf_journal_cut *c) { cf_buf_release(&c->entry); }

bool cf_journal_cut_open(const struct cf_journal_cut *c) { return c->at != JC_LINE || (!c->given && c->entry.n > 0) || c->drop || c->value; }

/* Upper case letters, digits, underscores, as journald has it. */
static bool is_name(cf_str s)
{
    if (s.n == 0 || s.n > CF_JOURNAL_CUT_NAME || (s.p[0] >= '0' && s.p[0] <= '9'))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_'))
            return false;
    return true;
}

static void leave_out(struct cf_journal_cut *c)
{
    if (!c->drop) {
        c->drop = true;
        c->left_out++;
    }
    c->entry.n = c->field;
}

/* The name of a field is complete. What an entry is known by goes before the first one. */
static void name_known(struct cf_journal_cut *c, bool binary)
{
    cf_str name = cf_str_sub(cf_buf_view(&c->entry), c->field, c->entry.n);

    if (c->field > 0 || (!binary && cf_str_eq(name, CF_STR("__CURSOR"))) || !cf_buf_reserve(&c->entry, CURSOR.n))
        return;
    memmove(c->entry.p + CURSOR.n, c->entry.p, c->entry.n);
    memcpy(c->entry.p, CURSOR.p, CURSOR.n);
    c->entry.n += CURSOR.n;
    c->field = CURSOR.n;
}

static void field_ends(struct cf_journal_cut *c)
{
    if (!c->drop && c->entry.n > CF_JOURNAL_CUT_ENTRY)
        leave_out(c);
    c->drop = c->value = false;
    c->at = JC_LINE;
    c->field = c->entry.n;
}

static void begin_entry(struct cf_journal_cut *c)
{
    if (c->given)
        cf_buf_clear(&c->entry);
    c->given = false;
    c->field = c->entry.n;
}

/* Takes the rest of a line or a part of it; *ret_end: the line has ended. */
static int take_line(struct cf_journal_cut *c, cf_str *in, bool *ret_end, struct cf_error *reterr)
{
    const char *nl = memchr(in->p, '\n', in->n);
    size_t n = nl ? (size_t)(nl - in->p) : in->n;
    cf_str name;

    *ret_end = nl != NULL;
    if (!c->value) { /* of the name only as much as a name can have */
        const char *eq = memchr(in->p, '=', n);
        size_t take = eq ? (size_t)(eq - in->p) : n;

        if (c->entry.n - c->field + take > CF_JOURNAL_CUT_NAME)
            return cf_error_set(reterr, CF_ESYNTAX, "the text is no journal export: a field's name is longer than %u bytes", CF_JOURNAL_CUT_NAME);
        cf_buf_add(&c->entry, in->p, take);
        *in = cf_str_sub(*in, take, in->n);
        n -= take;
        if (eq) {
            name = cf_str_sub(cf_buf_view(&c->entry), c->field, c->entry.n);
            c->value = true;
            if (is_name(name))
                name_known(c, false);
            else
                leave_out(c);
        }
    }
    if (!c->drop && c->entry.n - c->field + n > CF_JOURNAL_CUT_FIELD)
        leave_out(c);
    if (!c->drop)
        cf_buf_add(&c->entry, in->p, n);
    *in = cf_str_sub(*in, n + (nl ? 1 : 0), in->n);
    return 0;
}

/* A line has ended: a text field, the name of a binary one, or the end of the entry (1). */
static int line_ends(struct cf_journal_cut *c, cf_str *ret, struct cf_error *reterr)
{
    cf_str name = cf_str_sub(cf_buf_view(&c->entry), c->field, c->entry.n);

    if (c->value) {
        if (!c->drop)
            cf_buf_byte(&c->entry, '\n');
        field_ends(c);
        return 0;
    }
    if (name.n) {
        if (!is_name(name)) {
            bool say = name.n < 80;

            for (size_t i = 0; i < name.n; i++)
                say = say && name.p[i] >= ' ' && name.p[i] <= '~';
            return cf_error_set(reterr, CF_ESYNTAX, "the text is no journal export: %.*s is no field's name", say ? (int)name.n : 14, say ? name.p : "what came here");
        }
        name_known(c, true);
        cf_buf_byte(&c->entry, '\n');
        c->at = JC_LENGTH;
        c->left = 8;
        c->length = 0;
        return 0;
    }
    if (c->entry.n == 0)
        return 0; /* empty lines between entries */
    *ret = cf_buf_view(&c->entry);
    c->given = true;
    return 1;
}

static int take_length(struct cf_journal_cut *c, cf_str *in, struct cf_error *reterr)
{
    for (; in->n && c->left; c->left--) {
        c->length |= (uint64_t)(uint8_t)in->p[0] << (8 * (8 - c->left));
        cf_buf_byte(&c->entry, in->p[0]);
        *in = cf_str_sub(*in, 1, in->n);
    }
    if (c->left)
        return 0;
    if (c->length > LENGTH_MAX)
        return cf_error_set(reterr, CF_ESYNTAX, "the text is no journal export: a field of %llu bytes", (unsigned long long)c->length);
    if (c->length > CF_JOURNAL_CUT_FIELD)
        leave_out(c);
    c->left = c->length;
    c->at = JC_VALUE;
    return 0;
}

static void take_value(struct cf_journal_cut *c, cf_str *in)
{
    size_t n = in->n < c->left ? in->n : (size_t)c->left;

    if (!c->drop)
        cf_buf_add(&c->entry, in->p, n);
    c->left -= n;
    *in = cf_str_sub(*in, n, in->n);
    if (c->left == 0)
        c->at = JC_END;
}

int cf_journal_cut_next(struct cf_journal_cut *c, cf_str *in, cf_str *ret, struct cf_error *reterr)
{
    bool end;
    int r = 0;

    while (in->n && r == 0) {
        if (c->given)
            begin_entry(c);
        switch (c->at) {
        case JC_LINE:
            r = take_line(c, in, &end, reterr);
            if (r == 0 && end)
                r = line_ends(c, ret, reterr);
            break;
        case JC_LENGTH: r = take_length(c, in, reterr); break;
        case JC_VALUE: take_value(c, in); break;
        case JC_END:
            if (in->p[0] != '\n')
                return cf_error_set(reterr, CF_ESYNTAX, "the text is no journal export: no line feed behind a binary field");
            *in = cf_str_sub(*in, 1, in->n);
            if (!c->drop)
                cf_buf_byte(&c->entry, '\n');
            field_ends(c);
            break;
        }
        if (c->entry.failed)
            return cf_error_set(reterr, CF_ENOMEM, "a journal entry");
    }
    return r;
}
