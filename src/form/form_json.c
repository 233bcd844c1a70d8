/* SPDX-License-Identifier: Apache-2.0
 * Forms and dictionaries as JSON for the console. */
#include "form/form_int.h"

static json_t *options_json(const struct form_options *o)
{
    json_t *a = json_array();

    for (size_t i = 0; i < o->n; i++)
        json_array_append_new(a, json_pack("{s:o, s:o}", "value", cf_str_json(o->v[i].value), "label", cf_text_json(o->v[i].label)));
    return a;
}

static json_t *field_json(const struct form_field *f)
{
    json_t *j = json_pack("{s:o, s:o, s:s, s:b}", "name", cf_str_json(f->name), "label", cf_text_json(f->label), "type", form_type_name(f->type),
                          "required", f->required);

    if (f->help.zh.p)
        json_object_set_new(j, "help", cf_text_json(f->help));
    if (f->internal)
        json_object_set_new(j, "internal", json_true());
    if (f->has_min)
        json_object_set_new(j, "min", json_real(f->min));
    if (f->has_max)
        json_object_set_new(j, "max", json_real(f->max));
    if (f->has_pattern)
        json_object_set_new(j, "pattern", cf_str_json(f->pattern_text));
    if (f->format.p)
        json_object_set_new(j, "format", cf_str_json(f->format));
    if (f->dictionary.p)
        json_object_set_new(j, "dictionary", cf_str_json(f->dictionary));
    if (f->options.n)
        json_object_set_new(j, "options", options_json(&f->options));
    if (f->show_field.p) {
        json_t *in = json_array();

        for (size_t i = 0; i < f->n_show; i++)
            json_array_append_new(in, cf_str_json(f->show[i]));
        json_object_set_new(j, "visible_if", json_pack("{s:o, s:o}", "field", cf_str_json(f->show_field), "in", in));
    }
    return j;
}

json_t *cf_form_json(const struct cf_form *f, bool full)
{
    json_t *j = json_pack("{s:o, s:I, s:o}", "id", cf_str_json(f->id), "version", (json_int_t)f->version, "title", cf_text_json(f->title));
    json_t *secs;

    if (!full)
        return j;
    secs = json_array();
    for (size_t i = 0; i < f->n; i++) {
        json_t *fields = json_array();

        for (size_t k = 0; k < f->v[i].n; k++)
            json_array_append_new(fields, field_json(&f->v[i].v[k]));
        json_array_append_new(secs, json_pack("{s:o, s:o}", "title", cf_text_json(f->v[i].title), "fields", fields));
    }
    json_object_set_new(j, "sections", secs);
    return j;
}

json_t *cf_dictionary_json(const struct cf_form_set *s, cf_str id)
{
    const struct form_dict *d = form_dict_find(s, id);

    if (!d)
        return NULL;
    return json_pack("{s:o, s:o, s:o}", "id", cf_str_json(d->id), "title", cf_text_json(d->title), "items", options_json(&d->options));
}

json_t *cf_dictionaries_json(const struct cf_form_set *s)
{
    json_t *a = json_array();

    for (const struct form_dict *d = s->dicts; d; d = d->next)
        json_array_append_new(a, json_pack("{s:o, s:o, s:I}", "id", cf_str_json(d->id), "title", cf_text_json(d->title), "count",
                                           (json_int_t)d->options.n));
    return a;
}

bool cf_dictionary_label(const struct cf_form_set *s, cf_str id, cf_str value, bool en, cf_str *ret)
{
    const struct form_dict *d = form_dict_find(s, id);

    for (size_t i = 0; d && i < d->options.n; i++)
        if (cf_str_eq(d->options.v[i].value, value)) {
            *ret = en ? d->options.v[i].label.en : d->options.v[i].label.zh;
            return true;
        }
    return false;
}

json_t *cf_form_public(const struct cf_form *f, const json_t *data)
{
    json_t *out = json_object();
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)data, key, v)
    {
        const struct form_field *x = form_field_find(f, cf_str_c(key));

        if (x && !x->internal)
            json_object_set(out, key, v);
    }
    return out;
}
