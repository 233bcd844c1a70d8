/* SPDX-License-Identifier: Apache-2.0
 * Builds the tree from libyaml's events with an explicit stack: input depth never becomes C stack depth. */
#include "base/yaml.h"

#include <assert.h>
#include <yaml.h>

#include "base/file.h"

#define INPUT_MAX ((size_t)8 << 20)
#define DEPTH_MAX 64
#define NODES_MAX 200000u
#define ANCHORS_MAX 1000u

struct anchor {
    cf_str name;
    struct cf_ynode *node;
    bool open; /* still being built: an alias to it would be a cycle */
    struct anchor *next;
};
struct builder {
    struct cf_arena *a;
    struct cf_error *err;
    size_t nodes, n_anchors;
    struct anchor *anchors;
    struct {
        struct cf_ynode *node, *last; /* open seq/map and its newest child */
        struct anchor *anchor;
        bool have_key;
        cf_str key;
        bool key_plain;
    } stack[DEPTH_MAX];
    int depth;
    struct cf_ynode *root;
};

static int nomem(struct builder *b) { return cf_error_set(b->err, CF_ENOMEM, "out of memory in YAML"); }

static int fail(struct builder *b, int code, size_t line, const char *what)
{
    cf_error_set(b->err, code, "line %zu: %s", line, what);
    if (b->err)
        b->err->pos = line;
    return code;
}

static struct cf_ynode *node_new(struct builder *b, enum cf_ykind kind, size_t line)
{
    struct cf_ynode *n;

    if (++b->nodes > NODES_MAX) {
        (void)fail(b, CF_ELIMIT, line, "more than 200,000 values (aliases count as often as they are used)");
        return NULL;
    }
    n = CF_NEW(b->a, struct cf_ynode);
    if (!n) {
        (void)nomem(b);
        return NULL;
    }
    n->kind = kind;
    n->line = (uint32_t)line;
    return n;
}

static bool has_key(const struct cf_ynode *map, cf_str key)
{
    for (const struct cf_ynode *c = map->child; c; c = c->next)
        if (cf_str_eq(c->key, key))
            return true;
    return false;
}

/* Puts a finished or opened node into the open container, or makes it the root. */
static int attach(struct builder *b, struct cf_ynode *n)
{
    if (b->depth == 0) {
        b->root = n;
        return 0;
    }
    typeof(b->stack[0]) *top = &b->stack[b->depth - 1];
    assert(top->node);
    if (top->node->kind == CF_Y_MAP) {
        if (!top->have_key) {
            if (n->kind != CF_Y_SCALAR)
                return fail(b, CF_ESYNTAX, n->line, "a key must be plain text");
            if (has_key(top->node, n->text))
                return cf_error_set(b->err, CF_ESYNTAX, "line %u: key \"%.*s\" stands twice", n->line, CF_ARG(n->text));
            top->have_key = true;
            top->key = n->text;
            top->key_plain = n->plain;
            return 0;
        }
        n->key = top->key;
        n->key_plain = top->key_plain;
        top->have_key = false;
    }
    if (top->last)
        top->last->next = n;
    else
        top->node->child = n;
    top->last = n;
    top->node->n++;
    return 0;
}

static int remember(struct builder *b, const yaml_char_t *name, struct cf_ynode *n, struct anchor **ret)
{
    struct anchor *an;

    *ret = NULL;
    if (!name)
        return 0;
    if (++b->n_anchors > ANCHORS_MAX)
        return fail(b, CF_ELIMIT, n->line, "more than 1,000 anchors");
    an = CF_NEW(b->a, struct anchor);
    if (!an)
        return nomem(b);
    an->name = cf_arena_copy(b->a, cf_str_c((const char *)name));
    an->node = n;
    an->next = b->anchors;
    b->anchors = an;
    *ret = an;
    return 0;
}

static int open_container(struct builder *b, enum cf_ykind kind, const yaml_char_t *anchor, size_t line)
{
    struct cf_ynode *n = node_new(b, kind, line);
    struct anchor *an = NULL;
    int r;

    if (!n)
        return CF_ELIMIT;
    if (b->depth == DEPTH_MAX)
        return fail(b, CF_ELIMIT, line, "nested more than 64 deep");
    r = attach(b, n);
    if (r == 0)
        r = remember(b, anchor, n, &an);
    if (r < 0)
        return r;
    /* a container as map key was refused by attach */
    memset(&b->stack[b->depth], 0, sizeof b->stack[0]);
    b->stack[b->depth].node = n;
    b->stack[b->depth].anchor = an;
    if (an)
        an->open = true;
    b->depth++;
    return 0;
}

static int scalar(struct builder *b, const yaml_event_t *ev, size_t line)
{
    struct cf_ynode *n = node_new(b, CF_Y_SCALAR, line);
    struct anchor *an;
    int r;

    if (!n)
        return CF_ELIMIT;
    n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->text = cf_arena_copy(b->a, cf_str_n((const char *)ev->data.scalar.value, ev->data.scalar.length));
    if (!n->text.p)
        return nomem(b);
    r = attach(b, n);
    return r < 0 ? r : remember(b, ev->data.scalar.anchor, n, &an);
}

static struct cf_ynode *copy_tree(struct builder *b, const struct cf_ynode *from, size_t line, int depth)
{
    struct cf_ynode *n = depth < DEPTH_MAX ? node_new(b, from->kind, line) : NULL, **tail;

    if (!n) {
        if (depth >= DEPTH_MAX)
            (void)fail(b, CF_ELIMIT, line, "aliases nest more than 64 deep");
        return NULL;
    }
    n->plain = from->plain;
    n->text = from->text;
    n->key = from->key;
    n->key_plain = from->key_plain;
    n->n = from->n;
    tail = &n->child;
    for (const struct cf_ynode *c = from->child; c; c = c->next) {
        *tail = copy_tree(b, c, line, depth + 1);
        if (!*tail)
            return NULL;
        tail = &(*tail)->next;
    }
    return n;
}

static int alias(struct builder *b, const char *name, size_t line)
{
    for (const struct anchor *an = b->anchors; an; an = an->next) {
        if (!cf_str_eqz(an->name, name))
            continue;
        if (an->open)
            return fail(b, CF_ESYNTAX, line, "an alias refers to what contains it");
        struct cf_ynode *n = copy_tree(b, an->node, line, 0);
        if (!n)
            return CF_ELIMIT;
        n->key = CF_STR_NONE;
        return attach(b, n);
    }
    return fail(b, CF_ESYNTAX, line, "alias without anchor");
}

static int one_event(struct builder *b, const yaml_event_t *ev)
{
    size_t line = ev->start_mark.line + 1;

    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return scalar(b, ev, line);
    case YAML_ALIAS_EVENT:
        return alias(b, (const char *)ev->data.alias.anchor, line);
    case YAML_SEQUENCE_START_EVENT:
        return open_container(b, CF_Y_SEQ, ev->data.sequence_start.anchor, line);
    case YAML_MAPPING_START_EVENT:
        return open_container(b, CF_Y_MAP, ev->data.mapping_start.anchor, line);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        if (b->stack[b->depth].anchor)
            b->stack[b->depth].anchor->open = false;
        return 0;
    default:
        return 0;
    }
}

int cf_yaml_parse(struct cf_arena *a, cf_str text, struct cf_ydoc **ret_first, struct cf_error *reterr)
{
    struct builder b = {.a = a, .err = reterr};
    struct cf_ydoc *first = NULL, **tail = &first;
    yaml_parser_t parser;
    bool end = false;
    int r = 0;

    if (text.n > INPUT_MAX)
        return cf_error_set(reterr, CF_ELIMIT, "YAML of %zu bytes; at most 8 MiB are read", text.n);
    if (!yaml_parser_initialize(&parser))
        return nomem(&b);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    while (!end && r == 0) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&parser, &ev)) {
            r = cf_error_set(reterr, CF_ESYNTAX, "line %zu: %s%s%s", parser.problem_mark.line + 1,
                             parser.problem ? parser.problem : "not YAML", parser.context ? " " : "",
                             parser.context ? parser.context : "");
            if (reterr)
                reterr->pos = parser.problem_mark.line + 1;
            break;
        }
        if (ev.type == YAML_DOCUMENT_END_EVENT) {
            *tail = CF_NEW(a, struct cf_ydoc);
            if (*tail) {
                (*tail)->root = b.root;
                tail = &(*tail)->next;
            } else {
                r = nomem(&b);
            }
            b.root = NULL;
            b.anchors = NULL;
            b.n_anchors = 0;
        } else if (ev.type == YAML_STREAM_END_EVENT) {
            end = true;
        } else {
            r = one_event(&b, &ev);
        }
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&parser);
    if (r == 0)
        *ret_first = first;
    return r;
}

int cf_yaml_load(struct cf_arena *a, const char *path, struct cf_ydoc **ret_first, struct cf_error *reterr)
{
    struct cf_buf b;
    int r;

    cf_buf_init(&b, INPUT_MAX);
    r = cf_file_read(path, &b, reterr);
    if (r == 0) {
        r = cf_yaml_parse(a, cf_buf_view(&b), ret_first, reterr);
        if (r < 0)
            cf_error_context(reterr, "%s", path);
    }
    cf_buf_release(&b);
    return r;
}

struct cf_ynode *cf_ymap_get(const struct cf_ynode *map, const char *key)
{
    if (!map || map->kind != CF_Y_MAP)
        return NULL;
    for (struct cf_ynode *c = map->child; c; c = c->next)
        if (cf_str_eqz(c->key, key))
            return c;
    return NULL;
}

cf_str cf_ymap_str(const struct cf_ynode *map, const char *key)
{
    const struct cf_ynode *n = cf_ymap_get(map, key);

    return n && n->kind == CF_Y_SCALAR ? n->text : CF_STR_NONE;
}

bool cf_ynode_is_null(const struct cf_ynode *n)
{
    return n && n->kind == CF_Y_SCALAR && n->plain &&
           (n->text.n == 0 || cf_str_eqz(n->text, "~") || cf_str_eqz(n->text, "null") || cf_str_eqz(n->text, "Null") ||
            cf_str_eqz(n->text, "NULL"));
}

bool cf_ynode_bool(const struct cf_ynode *n, bool *ret)
{
    if (!n || n->kind != CF_Y_SCALAR || !n->plain)
        return false;
    if (cf_str_ieq(n->text, CF_STR("true")) || cf_str_ieq(n->text, CF_STR("yes")) || cf_str_ieq(n->text, CF_STR("on"))) {
        *ret = true;
        return true;
    }
    if (cf_str_ieq(n->text, CF_STR("false")) || cf_str_ieq(n->text, CF_STR("no")) || cf_str_ieq(n->text, CF_STR("off"))) {
        *ret = false;
        return true;
    }
    return false;
}

bool cf_ynode_i64(const struct cf_ynode *n, int64_t *ret)
{
    return n && n->kind == CF_Y_SCALAR && n->plain && cf_str_i64(n->text, ret);
}
