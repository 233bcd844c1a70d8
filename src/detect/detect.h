/* SPDX-License-Identifier: Apache-2.0
 * detect: Sigma rules over ECS events. A ruleset is compiled once, immutable and shared; each thread has its own
 * detector with scratch and counters. Reload = compile a new set and swap the pointer between batches. */
#ifndef CF_DETECT_DETECT_H
#define CF_DETECT_DETECT_H

#include "base/base.h"
#include "event/event.h"

enum cf_level { CF_LEVEL_INFO, CF_LEVEL_LOW, CF_LEVEL_MEDIUM, CF_LEVEL_HIGH, CF_LEVEL_CRITICAL };
const char *cf_level_name(enum cf_level l); /* informational low medium high critical */

/* What the rest of the product needs to know of a rule. Lives as long as the ruleset. */
struct cf_rule_info {
    cf_str id, title, description, file, author, status;
    cf_str advice;                              /* x_advice: what to do, in English */
    cf_str title_zh, description_zh, advice_zh; /* x_title_zh ...: .p NULL when the rule has none */
    cf_str product, category, service; /* log source */
    enum cf_level level;
    size_t n_tags;
    const cf_str *tags;                /* "attack.t1110", ... */
    bool correlation;
    size_t index;                      /* dense, 0..count-1 */
    cf_str warning;                    /* a list that is unknown or empty; .p NULL: none */
};
struct cf_rule_refused {
    cf_str file, title, reason; /* reason says where and why */
};

struct cf_ruleset;
struct cf_rules_options {
    const char *taxonomy_dir;  /* content/taxonomy: log sources and fields -> ECS */
    size_t n_paths;
    const char *const *paths;  /* YAML file, folder, .tar.zst, .tar.gz, .zip */
    size_t n_texts;
    const cf_str *texts;       /* YAML texts (a rule being edited); their file is called "text 1", "text 2" ... */
    const cf_str *text_files;  /* NULL, or another file name for each text */
    size_t n_skip;
    const cf_str *skip;        /* ids of rules in paths that are left out, because a text stands in their place */
    cf_str placeholders;       /* YAML map of lists ("name: [values]") that go before those of the taxonomy */
    const char *cache_dir;     /* where compiled automata are kept, made when needed; NULL: nowhere */
    cf_str zone;               /* in which hours, days and weeks of a time are counted: "+08:00", "Asia/Shanghai", "UTC"; empty: CF_RULES_ZONE */
};
#define CF_RULES_ZONE "+08:00" /* China's */
/* Refused rules do not fail the load; they are listed. CF_E... only when nothing could be read at all. */
int cf_ruleset_load(const struct cf_rules_options *opt, struct cf_ruleset **ret, struct cf_error *reterr);
void cf_ruleset_free(struct cf_ruleset *rs);
size_t cf_ruleset_count(const struct cf_ruleset *rs);
cf_str cf_ruleset_zone(const struct cf_ruleset *rs); /* in which times are counted */
const struct cf_rule_info *cf_ruleset_rule(const struct cf_ruleset *rs, size_t i);
size_t cf_ruleset_refused(const struct cf_ruleset *rs, const struct cf_rule_refused **ret);

struct cf_match_field {
    cf_str field; /* name as the rule wrote it */
    cf_str value; /* matching value of the event (view) */
};
struct cf_hit {
    const struct cf_rule_info *rule;
    const struct cf_event *ev;      /* correlation: the last event */
    size_t n_matched;
    const struct cf_match_field *matched;
    size_t n_events;                /* correlation: seq numbers of the events that made it */
    const uint64_t *events;
    cf_str group;                   /* correlation: "field=value,..." of the group */
    uint64_t count;                 /* correlation: the aggregated value */
};
struct cf_detector;
struct cf_detector *cf_detector_new(const struct cf_ruleset *rs); /* one per worker thread */
void cf_detector_free(struct cf_detector *d);
/* For detectors that work side by side on parts of one input: a part begins (its events may be older than the last part's), and
 * ends. Without these calls everything is one part. */
void cf_detector_part_begin(struct cf_detector *d);
void cf_detector_part_end(struct cf_detector *d);
/* Hits live in ev->arena; *ret_hits is an array of *ret_n. 0 or CF_ENOMEM. */
int cf_detect(struct cf_detector *d, const struct cf_event *ev, const struct cf_hit **ret_hits, size_t *ret_n);
/* ---- cost and hits per rule (stats.c) ---- */
struct cf_rule_counters {
    uint64_t candidates;  /* events the rule's condition was evaluated on: those the prefilter let through */
    uint64_t hits;
    uint64_t ns;          /* time of these evaluations: one event in 64 is timed and counts 64 fold */
    int64_t last_hit_us;  /* clock time of the newest hit, 0: none */
};
/* ret: [cf_ruleset_count], added to. May be called by another thread while d works. */
void cf_detector_counters(const struct cf_detector *d, struct cf_rule_counters *ret);
/* Sums by rule id that outlive detectors and rule sets. Thread-safe. */
struct cf_rule_ledger;
struct cf_rule_ledger *cf_rule_ledger_new(void);
void cf_rule_ledger_free(struct cf_rule_ledger *l);
/* Adds what d has counted: before a detector is freed. 0 or CF_ENOMEM. */
int cf_rule_ledger_add(struct cf_rule_ledger *l, const struct cf_detector *d);
/* Adds the sums of the rules of rs to ret [cf_ruleset_count]. */
void cf_rule_ledger_get(struct cf_rule_ledger *l, const struct cf_ruleset *rs, struct cf_rule_counters *ret);

/* ---- can a rule ever fire (reach.c) ---- */
struct cf_source_fields; /* normalise/normalise.h: what events of a source file may hold */
struct cf_reach {
    bool reachable;
    bool open;              /* a source keeps keys its file does not name: fields may come that nobody listed */
    size_t n_missing;       /* fields of the rule that no source of its log source is known to produce */
    const cf_str *missing;
    size_t n_source;        /* source files whose events belong to the rule's log source */
    const cf_str *source;
    cf_str reason;          /* why not, in words; empty when it is reachable */
};
/* ret: [cf_ruleset_count]; lists live in arena, names in rs and src. 0 or CF_ENOMEM. */
int cf_ruleset_reach(const struct cf_ruleset *rs, const struct cf_source_fields *src, size_t n_src, struct cf_arena *arena, struct cf_reach *ret);


/* ---- correlations: windows shared by all detectors of a rule set ---- */
/* At the end of an input: decides all windows still open. Hits live in arena. */
int cf_detect_flush(struct cf_detector *d, struct cf_arena *arena, const struct cf_hit **ret_hits, size_t *ret_n);
/* lateness_us: how far an event may be behind the newest of its group (default 5 min); < 0: unchanged.
 * max_bytes: of all windows (default 512 MiB); 0: unchanged. Before the first event. */
void cf_ruleset_corr_options(struct cf_ruleset *rs, int64_t lateness_us, size_t max_bytes);
struct cf_corr_counters {
    uint64_t keys, bytes;
    uint64_t evicted;   /* keys or entries given up for memory */
    uint64_t late;      /* hits older than the lateness */
    uint64_t ungrouped; /* hits without a group-by or value field */
};
void cf_ruleset_corr_counters(const struct cf_ruleset *rs, struct cf_corr_counters *ret);
/* Up to where a snapshot goes: events of this input with a lower seq are in it, the others are not, however far they have been
 * counted already. So a replay of the input from there on makes every window whole and counts nothing twice. */
struct cf_corr_mark {
    uint64_t origin; /* which input (a spool's id); 0: none */
    uint64_t seq;
};
/* Snapshot of all windows up to mark (NULL: everything): written durably, checked when read; states of rules that are gone are
 * left out. ret_mark may be NULL. */
int cf_ruleset_corr_save(struct cf_ruleset *rs, const char *path, const struct cf_corr_mark *mark, struct cf_error *reterr);
int cf_ruleset_corr_load(struct cf_ruleset *rs, const char *path, size_t *ret_states, struct cf_corr_mark *ret_mark, struct cf_error *reterr);
int cf_ruleset_corr_restore(struct cf_ruleset *rs, cf_str data, size_t *ret_states, struct cf_corr_mark *ret_mark, struct cf_error *reterr);
/* Events with a lower seq are in the restored windows: they are not counted again. Before the first event. */
void cf_ruleset_corr_skip(struct cf_ruleset *rs, uint64_t seq);
/* All windows of another rule set, for a change of rules; nobody may use either set meanwhile. */
int cf_ruleset_corr_move(struct cf_ruleset *to, struct cf_ruleset *from, struct cf_error *reterr);

/* ---- description and explanation ---- */
/* Appends [{"sigma":"CommandLine","ecs":["CommandLine","process.command_line"]},...]: the fields rule `index` asks about, each
 * once, with the names it is looked up by, best first. */
int cf_ruleset_fields_json(const struct cf_ruleset *rs, size_t index, struct cf_buf *out);
/* What each rule says about one event, without correlations: ret has cf_ruleset_count entries. Changes no correlation state. */
struct cf_verdict {
    bool tried; /* the event belongs to the rule's log source */
    bool yes;   /* the condition is true */
    bool silent; /* a hit is only counted by a correlation */
};
int cf_verdicts(struct cf_detector *d, const struct cf_event *ev, struct cf_verdict *ret);
/* Appends one JSON object: whether rule `index` fires on ev and why or why not: log source, each search and test with
 * the value that decided it and where it was found, condition, and the reason in words. Changes no correlation state. */
int cf_explain(struct cf_detector *d, const struct cf_event *ev, size_t index, struct cf_buf *out);

#endif
