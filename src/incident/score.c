/* SPDX-License-Identifier: Apache-2.0
 * Numbers people see: how alerts and incidents are scored. The formulas stand in README.md; change both together. */
#include <math.h>

#include "incident/incident_int.h"

/* severity(informational..critical) x importance(1..5) x confidence(0..1), rounded: 0..100 */
int inc_score(enum cf_level level, int importance, double confidence)
{
    static const double severity[] = {10, 30, 50, 75, 100};
    static const double worth[] = {0.7, 0.6, 0.7, 0.8, 0.9, 1.0}; /* [0]: no known asset */
    double s;

    if (importance < 0 || importance > 5)
        importance = 0;
    if (confidence < 0)
        confidence = 0;
    if (confidence > 1)
        confidence = 1;
    s = severity[level <= CF_LEVEL_CRITICAL ? level : CF_LEVEL_CRITICAL] * worth[importance] * confidence;
    return (int)(s + 0.5);
}

/* Maturity of the rule, plus 0.05 for each doubling of the count (at most 0.2), plus 0.1 for a correlation. */
double inc_confidence(const struct cf_rule_info *rule, int64_t count)
{
    static const struct {
        const char *status;
        double v;
    } base[] = {{"stable", 0.95}, {"test", 0.85}, {"experimental", 0.7}, {"deprecated", 0.5}, {"unsupported", 0.5}};
    double c = 0.75, grow = count > 1 ? 0.05 * log2((double)count) : 0;

    for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
        if (cf_str_eqz(rule->status, base[i].status))
            c = base[i].v;
    c += grow > 0.2 ? 0.2 : grow;
    if (rule->correlation)
        c += 0.1;
    return c > 1 ? 1 : c;
}

enum cf_level inc_level_of_score(int score)
{
    return score >= 85 ? CF_LEVEL_CRITICAL : score >= 60 ? CF_LEVEL_HIGH : score >= 35 ? CF_LEVEL_MEDIUM : score >= 15 ? CF_LEVEL_LOW : CF_LEVEL_INFO;
}

/* The strongest alert, 6 more for each further tactic of the attack (at most 30), 2 for each further rule (at most 10). */
int inc_incident_score(int max_alert_score, size_t tactics, size_t rules)
{
    int t = tactics > 1 ? 6 * (int)(tactics - 1 > 5 ? 5 : tactics - 1) : 0;
    int r = rules > 1 ? 2 * (int)(rules - 1 > 5 ? 5 : rules - 1) : 0;

    return max_alert_score + t + r > 100 ? 100 : max_alert_score + t + r;
}

/* MITRE ATT&CK tactics in the order of an attack. */
const char *const inc_tactics[14] = {"reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation",
                                     "defense-evasion", "credential-access", "discovery", "lateral-movement", "collection", "command-and-control",
                                     "exfiltration", "impact"};

int inc_tactic_index(cf_str tactic)
{
    for (int i = 0; i < 14; i++) {
        const char *t = inc_tactics[i];
        size_t k = 0;

        while (k < tactic.n && t[k] && (tactic.p[k] == t[k] || (tactic.p[k] == '_' && t[k] == '-') || (tactic.p[k] >= 'A' && tactic.p[k] <= 'Z' && tactic.p[k] + 32 == t[k])))
            k++;
        if (k == tactic.n && t[k] == 0)
            return i;
    }
    return -1;
}

void inc_tags(const struct cf_rule_info *rule, json_t **ret_tactics, json_t **ret_techniques)
{
    bool seen[14] = {false};

    *ret_tactics = json_array();
    *ret_techniques = json_array();
    for (size_t i = 0; i < rule->n_tags; i++) {
        cf_str t = rule->tags[i];
        int k;

        if (!cf_str_istarts(t, CF_STR("attack.")))
            continue;
        t = cf_str_sub(t, 7, t.n);
        k = inc_tactic_index(t);
        if (k >= 0) {
            seen[k] = true;
        } else if (t.n >= 5 && t.n < 16 && (t.p[0] == 't' || t.p[0] == 'T') && t.p[1] >= '0' && t.p[1] <= '9') {
            char up[16];

            memcpy(up, t.p, t.n);
            up[0] = 'T';
            json_array_append_new(*ret_techniques, json_stringn(up, t.n));
        }
    }
    for (int i = 0; i < 14; i++)
        if (seen[i])
            json_array_append_new(*ret_tactics, json_string(inc_tactics[i]));
}

static const char *const level_names[] = {"informational", "low", "medium", "high", "critical"};
const char *inc_level_name(int64_t level) { return level_names[level < 0 || level > 4 ? 0 : level]; }

bool inc_level_parse(cf_str s, enum cf_level *ret)
{
    for (int i = 0; i < 5; i++)
        if (cf_str_eqz(s, level_names[i])) {
            *ret = (enum cf_level)i;
            return true;
        }
    return false;
}
