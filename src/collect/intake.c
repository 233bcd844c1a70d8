/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/intake.h"

#include <stdio.h>
#include <stdlib.h>

#define USAGE "write it as \"WHAT source=NAME parser=NAME format=NAME org=ID encoding=NAME\""

int cf_intake_parse(const char *option, cf_str text, struct cf_intake *ret, struct cf_error *reterr)
{
    struct {
        const char *key;
        char **to;
    } opt[] = {{"source=", &ret->source}, {"parser=", &ret->parser}, {"format=", &ret->format}, {"org=", &ret->org}, {"encoding=", &ret->encoding}};
    const size_t n = sizeof opt / sizeof *opt;
    cf_str word, whole = text;
    bool ok = true;

    memset(ret, 0, sizeof *ret);
    text = cf_str_trim(text);
    while (ok && cf_str_cut(&text, ' ', &word)) {
        size_t i = 0;

        if (word.n == 0)
            continue;
        if (!ret->what) {
            ok = (ret->what = strndup(word.p, word.n)) != NULL;
            continue;
        }
        while (i < n && !cf_str_starts(word, cf_str_c(opt[i].key)))
            i++;
        if (i == n || *opt[i].to) {
            cf_intake_release(ret);
            return cf_error_set(reterr, CF_EINVAL, "%s: \"%.*s\": " USAGE, option, CF_ARG(word));
        }
        ok = (*opt[i].to = strndup(word.p + strlen(opt[i].key), word.n - strlen(opt[i].key))) != NULL;
    }
    for (size_t i = 0; ok && i < n; i++)
        if (!*opt[i].to)
            ok = (*opt[i].to = strdup("")) != NULL;
    if (ok && ret->what)
        return 0;
    cf_intake_release(ret);
    return ok ? cf_error_set(reterr, CF_EINVAL, "%s: \"%.*s\": " USAGE, option, CF_ARG(whole)) : cf_error_set(reterr, CF_ENOMEM, "%s", option);
}

void cf_intake_release(struct cf_intake *in)
{
    free(in->what);
    free(in->source);
    free(in->parser);
    free(in->format);
    free(in->org);
    free(in->encoding);
    memset(in, 0, sizeof *in);
}

bool cf_intake_copy(struct cf_intake *to, const struct cf_intake *from)
{
    *to = (struct cf_intake){strdup(from->what), strdup(from->source), strdup(from->parser), strdup(from->format), strdup(from->org), strdup(from->encoding)};
    if (to->what && to->source && to->parser && to->format && to->org && to->encoding)
        return true;
    cf_intake_release(to);
    return false;
}

static void put(char *to, size_t size, const char *from)
{
    if (!to[0])
        (void)snprintf(to, size, "%s", from);
}

void cf_intake_fill(const struct cf_intake *in, struct cf_source_info *info)
{
    put(info->source, sizeof info->source, in->parser);
    put(info->format, sizeof info->format, in->format);
    put(info->org, sizeof info->org, in->org);
}

void cf_intake_look(const struct cf_intake *in, struct cf_shared *sources, const char *otherwise, struct cf_source_info *ret)
{
    cf_source_by_name(sources, cf_str_c(in->source), ret);
    put(ret->name, sizeof ret->name, otherwise);
    cf_intake_fill(in, ret);
    put(ret->org, sizeof ret->org, "root");
}
