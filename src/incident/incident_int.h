/* SPDX-License-Identifier: Apache-2.0
 * Private to src/incident.
 *
 *   hits of a batch --exceptions--> groups in memory (rule + entity + organisation + time)   fold.c
 *   groups --one transaction--> alert rows (new or grown) --shared entities--> incidents    alert_store.c, group.c
 *   people --actions--> states of alerts and incidents, comments, exceptions                triage.c, case.c, exception.c */
#ifndef CF_INCIDENT_INCIDENT_INT_H
#define CF_INCIDENT_INCIDENT_INT_H

#include <jansson.h>
#include <pthread.h>

#include "incident/incident.h"

#define INC_REFS 20                                   /* first and last event ids kept of an alert, each */
#define INC_FOLD_WINDOW_US (INT64_C(3600) * CF_US_PER_S)
#define INC_GROUP_WINDOW_US (INT64_C(24) * 3600 * CF_US_PER_S)
#define INC_JOIN_WEIGHT 3
#define INC_SAMPLE_MAX ((size_t)32 << 10)
#define INC_ROOT_ORG "root"                           /* events of unknown organisation belong to the city itself */

struct inc_entity {
    const char *type; /* ip, host, user, asset, process, observer, group */
    cf_str value;
};
#define INC_ENTITIES_MAX 8
struct inc_entities {
    size_t n;
    struct {
        struct inc_entity e;
        int weight; /* how strongly sharing it binds alerts together */
    } v[INC_ENTITIES_MAX];
};

/* One group of hits on its way into the store; views of the batch. */
struct inc_group {
    cf_str key;
    const struct cf_rule_info *rule;
    const struct cf_hit *hit;  /* newest */
    const struct cf_event *ev; /* newest hit's event */
    struct inc_entity entity;
    cf_str org;
    int64_t first_us, last_us, count;
    size_t n_first, n_last; /* n_last counts all; the ring holds the newest */
    cf_str first[INC_REFS], last[INC_REFS];
    struct inc_group *next_key; /* same key, other time */
};

/* An exception: conditions over event fields; all must hold. */
enum inc_op { INC_EQUALS, INC_CONTAINS, INC_CIDR };
struct inc_condition {
    cf_str field, value;
    enum inc_op op;
    struct cf_cidr cidr;
};
struct inc_exception {
    cf_str id, rule_id, org_id; /* .n == 0: any rule, any organisation */
    int64_t expires_us;         /* 0: never */
    size_t n;
    struct inc_condition *v;
};
struct inc_exceptions {
    struct cf_arena arena;
    size_t n;
    struct inc_exception *v;
};

struct cf_incident_engine {
    struct cf_db *db;
    struct cf_hub *hub;
    pthread_mutex_t lock;          /* folding: one batch at a time; guards what follows */
    struct inc_exceptions *exceptions; /* NULL: to be read again */
    uint64_t folded, suppressed, alerts_new, replays;
};

/* ---- score.c: formulas of README.md ---- */
int inc_score(enum cf_level level, int importance, double confidence);
double inc_confidence(const struct cf_rule_info *rule, int64_t count);
enum cf_level inc_level_of_score(int score);
int inc_tactic_index(cf_str tactic);           /* place in the attack, -1: none */
extern const char *const inc_tactics[14];
void inc_tags(const struct cf_rule_info *rule, json_t **ret_tactics, json_t **ret_techniques); /* new references */
int inc_incident_score(int max_alert_score, size_t tactics, size_t rules);
bool inc_level_parse(cf_str s, enum cf_level *ret);
const char *inc_level_name(int64_t level);

/* ---- entity.c ---- */
struct inc_entity inc_entity_of(const struct cf_hit *hit);
bool inc_common_user(cf_str name);             /* root, SYSTEM, ...: binds nothing together */

/* ---- exception.c ---- */
struct inc_exceptions *inc_exceptions_load(struct cf_db *db, struct cf_error *reterr);
void inc_exceptions_free(struct inc_exceptions *x);
/* Index of the first exception that hides the hit, or -1. */
int inc_exceptions_match(const struct inc_exceptions *x, const struct cf_rule_info *rule, const struct cf_event *ev, cf_str org, int64_t now_us);
/* Reads {"field": "value" | {"op","value"}} into conditions. CF_EINVAL with a message naming the field. */
int inc_conditions_parse(const json_t *fields, struct cf_arena *a, struct inc_condition **ret, size_t *ret_n, struct cf_error *reterr);
json_t *inc_conditions_json(const struct inc_condition *v, size_t n); /* stored form: [{"field","op","value"}] */
bool inc_condition_json_holds(const struct inc_condition *c, const json_t *ecs); /* nested ECS document */

/* ---- alert_store.c ---- */
struct inc_alert {
    char id[37];
    cf_str org, rule_id, title, status, incident_id, source_ip, destination_ip, host, user, asset_id;
    enum cf_level level;
    int score, importance;
    int64_t count, first_us, last_us;
    json_t *tactics, *techniques; /* owned */
    bool created, grew, reopened;
};
/* Finds or makes the alert of a group. *ret's strings live in a; release with inc_alert_release. */
int inc_alert_write(struct cf_tx *tx, struct cf_arena *a, const struct inc_group *g, struct inc_alert *ret, struct cf_error *reterr);
void inc_alert_release(struct inc_alert *al);
int inc_alert_read(struct cf_tx *tx, struct cf_arena *a, cf_str id, struct inc_alert *ret, struct cf_error *reterr); /* CF_ENOENT */
int inc_history(struct cf_tx *tx, cf_str alert_id, cf_str user_id, cf_str user_name, const char *action, cf_str from, cf_str to, cf_str note,
                struct cf_error *reterr);

/* ---- group.c ---- */
/* Puts a new alert into the incident it belongs to, opening one when it should. The caller refreshes the incident. ret_incident: "" when none. */
int inc_group_alert(struct cf_tx *tx, struct cf_arena *a, struct inc_alert *al, char ret_incident[37], struct cf_error *reterr);
int inc_incident_create(struct cf_tx *tx, struct cf_arena *a, const struct inc_alert *al, char ret_id[37], struct cf_error *reterr);
int inc_incident_attach(struct cf_tx *tx, struct cf_arena *a, cf_str incident_id, struct inc_alert *al, struct cf_error *reterr);
/* Counts, score, level, times, tactics and entities from the incident's alerts. */
int inc_incident_refresh(struct cf_tx *tx, struct cf_arena *a, cf_str incident_id, struct cf_error *reterr);
int inc_timeline(struct cf_tx *tx, cf_str incident_id, int64_t time_us, const char *kind, cf_str title, cf_str detail, cf_str ref, cf_str user_id,
                 cf_str user_name, struct cf_error *reterr);
void inc_entities_of(const struct inc_alert *al, struct inc_entities *ret);

/* ---- json for lists and live entries ---- */
json_t *inc_alert_json(const struct inc_alert *al, const struct inc_group *g);
json_t *inc_json_text(cf_str stored, bool array); /* stored JSON text; broken or absent: [] or {} */
char *inc_json_dump(struct cf_arena *a, const json_t *j);

#endif
