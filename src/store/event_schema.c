/* SPDX-License-Identifier: Apache-2.0 */
#include "store/event_schema.h"

#include <pthread.h>
#include <stdio.h>

/* Fields with a column of their own. */
static const char *const hot[] = {
    "destination.domain", "destination.ip", "destination.port", "dns.question.name", "event.action", "event.category", "event.code",
    "event.dataset", "event.ingested", "event.kind", "event.original", "event.outcome", "event.provider", "event.severity", "event.type",
    "file.hash.sha256", "file.name", "file.path", "host.name", "http.request.method", "http.response.status_code", "log.level", "message",
    "network.bytes", "network.protocol", "network.transport", "observer.name", "organization.id", "process.command_line",
    "process.executable", "process.name", "process.parent.name", "process.pid", "related.ip", "related.user", "rule.name",
    "source.geo.country_iso_code", "source.ip", "source.port", "tags", "threat.tactic.id", "threat.technique.id", "url.domain",
    "url.original", "url.path", "user.name", "user_agent.original", "winlog.channel",
};
/* Of those, the ones that may hold several values. */
static const char *const arrays[] = {
    "event.category", "event.type", "related.ip", "related.user", "tags", "threat.tactic.id", "threat.technique.id",
};
/* Keywords with too many different values for a dictionary. */
static const char *const many[] = {
    "destination.domain", "dns.question.name", "file.hash.sha256", "file.name", "file.path", "process.executable", "related.user",
    "url.domain", "url.path",
};

static struct cf_column columns[CF_F__COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool listed(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], name) == 0)
            return true;
    }
    return false;
}

static enum cf_coltype type_of(const struct cf_field_info *f)
{
    bool array = listed(arrays, sizeof arrays / sizeof *arrays, f->name);
    bool high = listed(many, sizeof many / sizeof *many, f->name);

    if (!listed(hot, sizeof hot / sizeof *hot, f->name))
        return CF_COL_COLD;
    switch (f->type) {
    case CF_T_LONG: return CF_COL_I64;
    case CF_T_FLOAT: return CF_COL_F64;
    case CF_T_DATE: return CF_COL_TIME;
    case CF_T_BOOL: return CF_COL_BOOL;
    case CF_T_IP: return array ? CF_COL_AIP : CF_COL_IP;
    case CF_T_TEXT: return CF_COL_STR;
    case CF_T_KEYWORD: break;
    }
    if (array)
        return CF_COL_ASTR;
    return high ? CF_COL_STR : CF_COL_LC;
}

static void build(void)
{
    for (size_t i = 0; i < CF_F__COUNT; i++) {
        struct cf_column *c = &columns[i];
        const struct cf_field_info *f = &cf_fields[i];

        c->name_n = f->name_n < sizeof c->name ? f->name_n : sizeof c->name - 1;
        for (size_t k = 0; k < c->name_n; k++)
            c->name[k] = f->name[k] == '.' ? '_' : f->name[k];
        c->type = type_of(f);
    }
}

const struct cf_column *cf_columns(void)
{
    (void)pthread_once(&once, build);
    return columns;
}

const char *cf_coltype_sql(enum cf_coltype t)
{
    switch (t) {
    case CF_COL_LC: return "LowCardinality(String)";
    case CF_COL_STR: return "String";
    case CF_COL_I64: return "Nullable(Int64)";
    case CF_COL_F64: return "Nullable(Float64)";
    case CF_COL_TIME: return "Nullable(DateTime64(6, 'UTC'))";
    case CF_COL_BOOL: return "Nullable(Bool)";
    case CF_COL_IP: return "Nullable(IPv6)";
    case CF_COL_ASTR: return "Array(String)";
    case CF_COL_AIP: return "Array(IPv6)";
    case CF_COL_COLD: break;
    }
    return "String";
}

bool cf_coltype_array(enum cf_coltype t)
{
    return t == CF_COL_ASTR || t == CF_COL_AIP;
}

int64_t cf_event_clamp_time(int64_t us)
{
    const int64_t lo = INT64_C(-2208988800000000), hi = INT64_C(10413791999999999); /* 1900-01-01 .. 2299-12-31 */

    return us < lo ? lo : us > hi ? hi : us;
}

uint16_t cf_event_day(int64_t time_us, int64_t received_us)
{
    int64_t diff = time_us > received_us ? time_us - received_us : received_us - time_us, day;

    if (time_us < 0 || diff > 2 * CF_US_PER_DAY)
        time_us = received_us;
    day = time_us / CF_US_PER_DAY;
    return (uint16_t)(day < 0 ? 0 : day > 65535 ? 65535 : day);
}

/* ---- DDL ---- */

static void columns_sql(struct cf_buf *out)
{
    const struct cf_column *c = cf_columns();

    cf_buf_z(out, "day Date CODEC(ZSTD(1)),\n"
                  "time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),\n"
                  "id UUID CODEC(ZSTD(1)),\n"
                  "source LowCardinality(String),\n"
                  "flags UInt32 CODEC(ZSTD(1)),\n");
    for (size_t i = 0; i < CF_F__COUNT; i++) {
        if (c[i].type == CF_COL_COLD)
            continue;
        cf_buf_printf(out, "%s %s", c[i].name, cf_coltype_sql(c[i].type));
        if (i == CF_F_EVENT_ORIGINAL)
            cf_buf_z(out, " CODEC(ZSTD(1))");
        else if (c[i].type != CF_COL_LC)
            cf_buf_z(out, " CODEC(ZSTD(1))");
        cf_buf_z(out, ",\n");
    }
    cf_buf_z(out, "extras Map(LowCardinality(String), String) CODEC(ZSTD(1)),\n"
                  "INDEX time_range time TYPE minmax GRANULARITY 1,\n"
                  "INDEX words translate(lower(event_original), '._:\\'', '    ') TYPE text(tokenizer = 'asciiCJK')");
    static const enum cf_field blooms[] = {CF_F_SOURCE_IP, CF_F_DESTINATION_IP, CF_F_USER_NAME, CF_F_URL_DOMAIN,
                                           CF_F_DNS_QUESTION_NAME, CF_F_FILE_HASH_SHA256};
    for (size_t i = 0; i < sizeof blooms / sizeof *blooms; i++) {
        bool text = c[blooms[i]].type == CF_COL_LC || c[blooms[i]].type == CF_COL_STR;

        cf_buf_printf(out, ",\nINDEX by_%s %s%s%s TYPE bloom_filter(0.01) GRANULARITY 1", c[blooms[i]].name, text ? "lower(" : "", c[blooms[i]].name,
                      text ? ")" : "");
    }
}

static void on_cluster(const struct cf_event_ddl *d, struct cf_buf *out)
{
    (void)d;
    (void)out; /* each node is asked itself: no distributed DDL queue is needed */
}

static void table_sql(const struct cf_event_ddl *d, struct cf_buf *out)
{
    bool cluster = d->cluster.n > 0;

    cf_buf_printf(out, "CREATE TABLE IF NOT EXISTS %.*s.%s", CF_ARG(d->database), cluster ? "events_local" : "events");
    on_cluster(d, out);
    cf_buf_z(out, " (\n");
    columns_sql(out);
    cf_buf_z(out, "\n) ENGINE = ");
    if (d->replicated)
        cf_buf_printf(out, "ReplicatedMergeTree('/clickhouse/tables/{shard}/%.*s/events_local', '{replica}')", CF_ARG(d->database));
    else
        cf_buf_z(out, "MergeTree");
    cf_buf_printf(out,
                  "\nPARTITION BY day ORDER BY (source, time)\nTTL day + INTERVAL %lld DAY\nSETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, "
                  "fsync_after_insert = 1, fsync_part_directory = 1, min_rows_for_wide_part = 1000000, "
                  "min_compressed_bytes_to_fsync_after_merge = 1, %s = 10000, "
                  "max_bytes_to_merge_at_max_space_in_pool = 4294967296, merge_max_block_size_bytes = 4194304, "
                  /* a row is rewritten about log10 instead of log5 times; parts may pile up behind a burst without stopping inserts */
                  "merge_selector_base = 10, parts_to_delay_insert = 3000, parts_to_throw_insert = 6000",
                  (long long)d->retention_days, d->replicated ? "replicated_deduplication_window" : "non_replicated_deduplication_window");
    if (cluster)
        cf_buf_printf(out,
                      ";\nCREATE TABLE IF NOT EXISTS %.*s.events AS %.*s.events_local ENGINE = Distributed('%.*s', '%.*s', 'events_local', "
                      "cityHash64(id)) SETTINGS fsync_after_insert = 1, fsync_directories = 1",
                      CF_ARG(d->database), CF_ARG(d->database), CF_ARG(d->cluster), CF_ARG(d->database));
}

/* Other words; parts that are there get the new index in the background. Inserts slow down, and leave the merges their time, before
 * so many parts stand that searches suffer. */
static void words_sql(const struct cf_event_ddl *d, struct cf_buf *out)
{
    char t[160];

    (void)snprintf(t, sizeof t, "ALTER TABLE %.*s.%s", CF_ARG(d->database), d->cluster.n ? "events_local" : "events");
    cf_buf_printf(out, "%s DROP INDEX IF EXISTS words;\n", t);
    cf_buf_printf(out, "%s ADD INDEX IF NOT EXISTS tokens " CF_EVENT_WORDS_SQL " TYPE text(tokenizer = '" CF_EVENT_TOKENIZER "');\n", t);
    cf_buf_printf(out, "%s MATERIALIZE INDEX tokens;\n", t);
    cf_buf_printf(out, "%s MODIFY SETTING parts_to_delay_insert = 1000, parts_to_throw_insert = 4000", t);
}

/* Times that are read for every search: differences unpack several times faster than double differences. */
static void times_sql(const struct cf_event_ddl *d, struct cf_buf *out)
{
    cf_buf_printf(out,
                  "ALTER TABLE %.*s.%s MODIFY COLUMN time CODEC(Delta(8), ZSTD(1)), MODIFY COLUMN event_ingested CODEC(Delta(8), ZSTD(1))",
                  CF_ARG(d->database), d->cluster.n ? "events_local" : "events");
}

/* Free words that are addresses. Parts that are there get the index in the background. */
static void addresses_sql(const struct cf_event_ddl *d, struct cf_buf *out)
{
    char t[160];

    (void)snprintf(t, sizeof t, "ALTER TABLE %.*s.%s", CF_ARG(d->database), d->cluster.n ? "events_local" : "events");
    cf_buf_printf(out, "%s ADD INDEX IF NOT EXISTS by_address " CF_EVENT_ADDRESSES_SQL " TYPE bloom_filter(0.01) GRANULARITY 1;\n", t);
    cf_buf_printf(out, "%s MATERIALIZE INDEX by_address", t);
}

/* Inserts and the merges of young parts pack with the server's fast codec (LZ4): ZSTD took half of an insert's time, and texts and
 * lists are read two to three times as fast. It takes a third more disk, so a part is rewritten once with ZSTD when it is old. */
#define RECOMPRESS "day + INTERVAL 90 DAY RECOMPRESS CODEC(ZSTD(1))"

static void codecs_sql(const struct cf_event_ddl *d, struct cf_buf *out)
{
    const struct cf_column *c = cf_columns();

    cf_buf_printf(out, "ALTER TABLE %.*s.%s MODIFY COLUMN day CODEC(Default), MODIFY COLUMN id CODEC(Default), MODIFY COLUMN flags CODEC(Default), "
                  "MODIFY COLUMN extras CODEC(Default), MODIFY COLUMN time CODEC(Delta(8), Default)",
                  CF_ARG(d->database), d->cluster.n ? "events_local" : "events");
    for (size_t i = 0; i < CF_F__COUNT; i++)
        if (c[i].type != CF_COL_COLD && c[i].type != CF_COL_LC)
            cf_buf_printf(out, ", MODIFY COLUMN %s CODEC(%sDefault)", c[i].name, i == CF_F_EVENT_INGESTED ? "Delta(8), " : "");
}

bool cf_event_ddl(const struct cf_event_ddl *d, int version, struct cf_buf *out)
{
    switch (version) {
    case 1: table_sql(d, out); return true;
    case 2: words_sql(d, out); return true;
    case 3: times_sql(d, out); return true;
    case 4: addresses_sql(d, out); return true;
    case 5: codecs_sql(d, out); return true;
    default: return false;
    }
}

void cf_event_ddl_retention(const struct cf_event_ddl *d, struct cf_buf *out)
{
    cf_buf_printf(out, "ALTER TABLE %.*s.%s MODIFY TTL day + INTERVAL %lld DAY, " RECOMPRESS " SETTINGS materialize_ttl_after_modify = 0", CF_ARG(d->database),
                  d->cluster.n ? "events_local" : "events", (long long)d->retention_days);
}

void cf_event_select_list(struct cf_buf *out)
{
    const struct cf_column *c = cf_columns();

    cf_buf_z(out, "time, id, source, flags");
    for (size_t i = 0; i < CF_F__COUNT; i++) {
        if (c[i].type != CF_COL_COLD)
            cf_buf_printf(out, ", %s", c[i].name);
    }
    cf_buf_z(out, ", extras");
}
