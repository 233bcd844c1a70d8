/* SPDX-License-Identifier: Apache-2.0
 * A GB/T 36643 document as XML, turned into the JSON form that gbt.c reads (README.md has both). No DTD, no network, no entities of
 * the document's own: a document with a DOCTYPE is refused. */
#include <libxml/parser.h>
#include <libxml/tree.h>

#include "ti/ti_int.h"

#define DEPTH_MAX 4

/* members that are lists; "tag" or "observable_ref" as an element of its own adds one to "tags", "observable_refs" */
static const char *const lists[] = {"tags", "techniques", "aliases", "observables", "observable_refs", "actor_refs", "method_refs", "target_refs", "campaign_refs",
                                    "incident_refs", "action_refs", "indicator_refs"};
static const char *const zh_names[][2] = {
    {"标识", "id"}, {"名称", "name"}, {"描述", "description"}, {"类型", "type"}, {"值", "value"}, {"置信度", "confidence"}, {"严重程度", "severity"}, {"标签", "tags"},
    {"别名", "aliases"}, {"威胁类型", "threat_type"}, {"家族", "family"}, {"有效起始时间", "valid_from"}, {"有效截止时间", "valid_until"}, {"攻击技术", "techniques"},
    {"可观测数据引用", "observable_refs"}, {"威胁主体引用", "actor_refs"}, {"攻击方法引用", "method_refs"}, {"攻击目标引用", "target_refs"}, {"攻击活动引用", "campaign_refs"},
    {"安全事件引用", "incident_refs"}, {"应对措施引用", "action_refs"}, {"攻击指标引用", "indicator_refs"},
};

static cf_str name_of(const xmlChar *name)
{
    union {
        const xmlChar *x;
        const char *c;
    } u = {.x = name};

    for (size_t i = 0; i < sizeof zh_names / sizeof *zh_names; i++)
        if (strcmp(u.c, zh_names[i][0]) == 0)
            return cf_str_c(zh_names[i][1]);
    return cf_str_c(u.c);
}

/* The list a member name stands for: its own, or the one it is one of. */
static const char *list_name(cf_str name)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (cf_str_eqz(name, lists[i]) || (strlen(lists[i]) == name.n + 1 && strncmp(lists[i], name.p, name.n) == 0))
            return lists[i];
    return NULL;
}

static json_t *text_json(xmlChar *owned, bool number)
{
    union {
        xmlChar *x;
        char *c;
    } u = {.x = owned};
    cf_str s = owned ? cf_str_trim(cf_str_c(u.c)) : CF_STR("");
    int64_t n;
    json_t *j = number && cf_str_i64(s, &n) ? json_integer((json_int_t)n) : json_stringn(s.p, s.n);

    xmlFree(owned);
    return j ? j : json_null();
}

static bool has_elements(const xmlNode *n)
{
    for (const xmlNode *c = n->children; c; c = c->next)
        if (c->type == XML_ELEMENT_NODE)
            return true;
    return false;
}

static json_t *object_of(xmlNode *n, int depth);

static json_t *one_of(xmlNode *n, int depth)
{
    if (has_elements(n) || n->properties)
        return object_of(n, depth + 1);
    return text_json(xmlNodeGetContent(n), cf_str_eqz(name_of(n->name), "confidence"));
}

static void append(json_t *o, const char *key, json_t *takes)
{
    json_t *l = json_object_get(o, key);

    if (!l) {
        l = json_array();
        (void)json_object_set_new(o, key, l);
    }
    (void)json_array_append_new(l, takes);
}

/* <tags><tag>a</tag><tag>b</tag></tags>, or <tags>a, b</tags> */
static void append_all(json_t *o, const char *key, xmlNode *n, int depth)
{
    json_t *text;
    cf_str rest, one;

    if (has_elements(n)) {
        for (xmlNode *c = n->children; c; c = c->next)
            if (c->type == XML_ELEMENT_NODE)
                append(o, key, one_of(c, depth));
        return;
    }
    if (n->properties) { /* <observable type="ipv4" value="..."/> */
        append(o, key, object_of(n, depth + 1));
        return;
    }
    text = text_json(xmlNodeGetContent(n), false);
    rest = cf_str_n(json_string_value(text), json_string_length(text));
    while (cf_str_cut(&rest, ',', &one))
        if (cf_str_trim(one).n)
            append(o, key, json_stringn(cf_str_trim(one).p, cf_str_trim(one).n));
    json_decref(text);
}

/* Attributes and child elements are members; the text of an element that has attributes only is its value. */
static json_t *object_of(xmlNode *n, int depth)
{
    json_t *o = json_object();

    for (xmlAttr *a = n->properties; a; a = a->next) {
        cf_str name = name_of(a->name);
        json_t *v = text_json(xmlNodeListGetString(n->doc, a->children, 1), cf_str_eqz(name, "confidence"));

        if (list_name(name))
            append(o, list_name(name), v);
        else
            (void)json_object_setn_new(o, name.p, name.n, v);
    }
    if (depth >= DEPTH_MAX)
        return o;
    for (xmlNode *c = n->children; c; c = c->next) {
        cf_str name;

        if (c->type != XML_ELEMENT_NODE)
            continue;
        name = name_of(c->name);
        if (list_name(name))
            append_all(o, list_name(name), c, depth);
        else
            (void)json_object_setn_new(o, name.p, name.n, one_of(c, depth));
    }
    if (!has_elements(n) && !json_object_get(o, "value")) {
        json_t *v = text_json(xmlNodeGetContent(n), false);

        if (json_string_length(v))
            (void)json_object_set_new(o, "value", v);
        else
            json_decref(v);
    }
    return o;
}

/* Components by their list (<indicators><indicator>..) or each by itself below the root. */
static json_t *document_of(xmlNode *root)
{
    json_t *doc = json_object();

    for (xmlNode *c = root->children; c; c = c->next) {
        bool whole;
        const char *key;

        if (c->type != XML_ELEMENT_NODE)
            continue;
        key = ti_gbt_component(name_of(c->name), &whole);
        if (!key)
            continue;
        if (!json_object_get(doc, key))
            (void)json_object_set_new(doc, key, json_array());
        if (!whole) {
            append(doc, key, object_of(c, 1));
            continue;
        }
        for (xmlNode *x = c->children; x; x = x->next)
            if (x->type == XML_ELEMENT_NODE)
                append(doc, key, object_of(x, 1));
    }
    return doc;
}

/* Some errors (of encodings) know no parser and would go to the standard error output as they are. */
static void quiet(void *data, xmlErrorPtr error)
{
    (void)data;
    (void)error;
}

int ti_gbt_xml(cf_str text, json_t **ret, struct cf_error *reterr)
{
    xmlParserCtxt *ctxt = xmlNewParserCtxt();
    xmlDoc *doc = NULL;
    int r = 0;

    if (!ctxt)
        return cf_error_set(reterr, CF_ENOMEM, "no memory");
    xmlSetStructuredErrorFunc(NULL, quiet); /* of this thread */
    if (text.n <= INT32_MAX)
        doc = xmlCtxtReadMemory(ctxt, text.p, (int)text.n, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA | XML_PARSE_NOBLANKS);
    if (!doc) {
        const xmlError *e = xmlCtxtGetLastError(ctxt);
        cf_str why = e && e->message ? cf_str_trim(cf_str_c(e->message)) : CF_STR("it cannot be read");

        r = cf_error_set(reterr, CF_ESYNTAX, "not XML: line %d: %.*s", e ? e->line : 1, CF_ARG(cf_str_sub(why, 0, 200)));
    } else if (doc->intSubset || doc->extSubset) {
        r = cf_error_set(reterr, CF_ESYNTAX, "a document with a DOCTYPE is not read");
    } else if (!xmlDocGetRootElement(doc)) {
        r = cf_error_set(reterr, CF_ESYNTAX, "the document has no element");
    } else {
        *ret = document_of(xmlDocGetRootElement(doc));
    }
    xmlFreeDoc(doc);
    xmlFreeParserCtxt(ctxt);
    return r;
}
