/* SPDX-License-Identifier: Apache-2.0
 * Message templates: content/messages/ID.yaml with title and body in both languages. */
#include "message/message_int.h"

struct load_ctx {
    struct cf_messenger *m;
    struct cf_error *err;
};

static int load_channels(const struct cf_ynode *n, struct msg_template *t, struct cf_error *err)
{
    for (const struct cf_ynode *c = n ? n->child : NULL; c; c = c->next) {
        if (cf_str_eqz(c->text, "email"))
            t->email = true;
        else if (cf_str_eqz(c->text, "webhook"))
            t->webhook = true;
        else
            return cf_content_fail(err, c, "channels knows email and webhook (in-app always)");
    }
    return 0;
}

static int parse(struct cf_messenger *m, cf_str text, struct cf_error *err)
{
    static const char *const keys[] = {"id", "title", "body", "channels", NULL};
    struct msg_template *t = CF_NEW(&m->arena, struct msg_template);
    struct cf_ydoc *doc;
    int r;

    if (!t)
        return cf_error_set(err, CF_ENOMEM, "out of memory");
    r = cf_yaml_parse(&m->arena, cf_arena_copy(&m->arena, text), &doc, err);
    if (r < 0)
        return r;
    if (!doc || !doc->root)
        return cf_content_fail(err, NULL, "the file is empty");
    if ((r = cf_content_keys(doc->root, keys, err)) < 0 || (r = cf_content_id(doc->root, "id", &t->id, err)) < 0 ||
        (r = cf_content_text(doc->root, "title", true, &t->title, err)) < 0 || (r = cf_content_text(doc->root, "body", true, &t->body, err)) < 0 ||
        (r = load_channels(cf_ymap_get(doc->root, "channels"), t, err)) < 0)
        return r;
    if (cf_messenger_template_known(m, t->id))
        return cf_content_fail(err, doc->root, "template \"%.*s\" exists already", CF_ARG(t->id));
    t->next = m->templates;
    m->templates = t;
    return 0;
}

static int load_file(void *vctx, const char *path)
{
    struct load_ctx *c = vctx;
    struct cf_buf b;
    int r;

    cf_buf_init(&b, (size_t)256 << 10);
    r = cf_file_read(path, &b, c->err);
    if (r == 0)
        r = parse(c->m, cf_buf_view(&b), c->err);
    if (r < 0)
        cf_error_context(c->err, "%s", path);
    cf_buf_release(&b);
    return r;
}

int msg_templates_load(struct cf_messenger *m, struct cf_error *reterr)
{
    struct load_ctx c = {m, reterr};

    return cf_walk(cf_path_join(&m->arena, m->o.content_dir, "messages"), ".yaml", load_file, &c, reterr);
}

bool cf_messenger_template_known(void *messenger, cf_str id)
{
    const struct cf_messenger *m = messenger;

    for (const struct msg_template *t = m->templates; t; t = t->next)
        if (cf_str_eq(t->id, id))
            return true;
    return false;
}

cf_str msg_fill(struct cf_arena *a, cf_str text, const struct cf_msg_var *v, size_t n)
{
    struct cf_buf b;
    cf_str out;

    cf_buf_init(&b, (size_t)256 << 10);
    for (size_t i = 0; i < text.n; i++) {
        size_t k = n;

        if (text.p[i] == '{')
            for (k = 0; k < n; k++) {
                size_t len = strlen(v[k].name);

                if (text.n - i > len + 1 && memcmp(text.p + i + 1, v[k].name, len) == 0 && text.p[i + 1 + len] == '}') {
                    cf_buf_str(&b, v[k].value.p ? v[k].value : CF_STR(""));
                    i += len + 1;
                    break;
                }
            }
        if (k == n)
            cf_buf_byte(&b, text.p[i]);
    }
    out = b.failed ? text : cf_arena_copy(a, cf_buf_view(&b));
    cf_buf_release(&b);
    return out.p ? out : CF_STR("");
}
