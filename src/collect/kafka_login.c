/* SPDX-License-Identifier: Apache-2.0
 * How the brokers are reached: TLS, sign-in, what goes wrong with them in words that name our keys. Secrets come from
 * files, go to librdkafka and nowhere else. */
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#include "collect/kafka_int.h"

#define LOOK_US CF_US_PER_S

static const struct {
    const char *theirs, *ours;
} keys[] = {{"bootstrap.servers", "kafka.brokers"}, {"security.protocol", "kafka.security"}, {"sasl.mechanism", "kafka.sasl_mechanism"},
            {"sasl.username", "kafka.sasl_user"}, {"sasl.password", "kafka.sasl_password_file"}, {"ssl.ca.location", "kafka.tls_ca"},
            {"ssl.certificate.location", "kafka.tls_certificate"}, {"ssl.key.location", "kafka.tls_key"}, {"ssl.key.password", "kafka.tls_key_password_file"},
            {"session.timeout.ms", "kafka.session_timeout"}, {"group.id", "kafka.group"}, {"client.id", "kafka.client_id"}};

int kafka_set(rd_kafka_conf_t *conf, const char *key, const char *value, struct cf_error *reterr)
{
    const char *ours = NULL;
    char why[256];

    if (rd_kafka_conf_set(conf, key, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !ours; i++)
        if (strcmp(keys[i].theirs, key) == 0)
            ours = keys[i].ours;
    return cf_error_set(reterr, CF_EINVAL, "%s: the value is not taken (librdkafka: %s)", ours ? ours : "kafka", key);
}

int kafka_set_number(rd_kafka_conf_t *conf, const char *key, int64_t value, struct cf_error *reterr)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return kafka_set(conf, key, text, reterr);
}

/* The file's text without the line's end. wipe() after use. */
static int read_secret(const char *path, struct cf_buf *b, struct cf_error *reterr)
{
    int r;

    cf_buf_init(b, 65536);
    r = cf_file_read(path, b, reterr);
    while (r == 0 && b->n && (b->p[b->n - 1] == '\n' || b->p[b->n - 1] == '\r'))
        b->n--;
    return r;
}

static void wipe(struct cf_buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->n);
    cf_buf_release(b);
}

static int set_secret(rd_kafka_conf_t *conf, const char *key, const char *path, struct cf_error *reterr)
{
    struct cf_buf b;
    int r = read_secret(path, &b, reterr);

    if (r == 0)
        r = kafka_set(conf, key, cf_buf_cstr(&b), reterr);
    wipe(&b);
    return r;
}

static bool given(const char *s) { return s && s[0]; }

static bool signs_in(const struct cf_kafka_options *o) { return o->security && strncasecmp(o->security, "sasl", 4) == 0; }

/* Which writing of the password's file is there now. */
static bool look_at_file(const char *path, struct kafka_file *ret)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return false;
    *ret = (struct kafka_file){.written = st.st_mtim, .bytes = st.st_size, .inode = st.st_ino};
    return true;
}

static bool same_file(const struct kafka_file *a, const struct kafka_file *b)
{
    return a->written.tv_sec == b->written.tv_sec && a->written.tv_nsec == b->written.tv_nsec && a->bytes == b->bytes && a->inode == b->inode;
}

int kafka_login_set(struct cf_kafka *k, rd_kafka_conf_t *conf, struct cf_error *reterr)
{
    const struct cf_kafka_options *o = &k->o;
    const struct {
        const char *key, *value;
    } plain[] = {{"security.protocol", o->security}, {"sasl.mechanism", o->sasl_mechanism}, {"sasl.username", o->sasl_user}, {"ssl.ca.location", o->tls_ca},
                 {"ssl.certificate.location", o->tls_cert}, {"ssl.key.location", o->tls_key}};
    bool sasl = signs_in(o);
    int r = 0;

    if (sasl && (!given(o->sasl_user) || !given(o->sasl_password_file)))
        return cf_error_set(reterr, CF_EINVAL, "kafka.security is %s: kafka.sasl_user and kafka.sasl_password_file are needed", o->security);
    for (size_t i = 0; i < sizeof plain / sizeof *plain && r == 0; i++)
        if (given(plain[i].value) && (sasl || strncmp(plain[i].key, "sasl", 4) != 0))
            r = kafka_set(conf, plain[i].key, plain[i].value, reterr);
    if (r == 0)
        r = kafka_set(conf, "ssl.endpoint.identification.algorithm", o->tls_verify_name ? "https" : "none", reterr);
    if (sasl) /* before it is read: what is written from now on is seen as another writing */
        (void)look_at_file(o->sasl_password_file, &k->password_of);
    if (r == 0 && sasl)
        r = set_secret(conf, "sasl.password", o->sasl_password_file, reterr);
    if (r == 0 && given(o->tls_key_password_file))
        r = set_secret(conf, "ssl.key.password", o->tls_key_password_file, reterr);
    return r;
}

void kafka_login_look(struct cf_kafka *k)
{
    struct cf_error err = {0};
    struct kafka_file f;
    struct cf_buf b;
    int64_t now = cf_mono_us();

    if (!signs_in(&k->o) || now - k->looked_us < LOOK_US)
        return;
    k->looked_us = now;
    if (!look_at_file(k->o.sasl_password_file, &f) || same_file(&f, &k->password_of))
        return;
    k->password_of = f;
    if (read_secret(k->o.sasl_password_file, &b, &err) < 0) {
        kafka_error(k, "password not read", err.msg);
    } else {
        rd_kafka_error_t *e = rd_kafka_sasl_set_credentials(k->rk, k->o.sasl_user, cf_buf_cstr(&b));

        if (e)
            kafka_error(k, "password not taken", rd_kafka_error_string(e));
        else
            cf_log_info("collect", "the brokers' password was read again", "group=%s file=\"%s\"", k->group, k->o.sasl_password_file);
        rd_kafka_error_destroy(e);
    }
    wipe(&b);
}

/* What to look at, by what the peers said. NULL: their words are enough. */
static const char *advice(const struct cf_kafka *k, int err, const char *reason)
{
    /* versions before put their nonce twice into the last message; Kafka 4 refuses that as it does a wrong password */
    if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION && rd_kafka_version() < 0x020601ff && k->o.sasl_mechanism && strncasecmp(k->o.sasl_mechanism, "SCRAM", 5) == 0)
        return "look at kafka.sasl_user, kafka.sasl_mechanism and the file kafka.sasl_password_file; Kafka 4 takes SCRAM only from librdkafka 2.6.1 on, here is an older one: "
               "PLAIN over TLS is the way there";
    if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return "look at kafka.sasl_user, kafka.sasl_mechanism and the file kafka.sasl_password_file";
    if (strstr(reason, "certificate could not be verified") || strstr(reason, "certificate verify failed"))
        return "the broker's certificate is of no authority in kafka.tls_ca, or has another name";
    if (strstr(reason, "certificate required") || strstr(reason, "bad certificate") || strstr(reason, "handshake failure") || strstr(reason, "unknown ca"))
        return "the broker wants a client certificate that it knows: kafka.tls_certificate, kafka.tls_key";
    if (strstr(reason, "security.protocol"))
        return "does kafka.security fit this port of the broker?";
    return NULL;
}

void kafka_problem(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct cf_kafka *k = opaque;
    const char *more = advice(k, err, reason);
    char text[sizeof k->error];

    (void)rk;
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        atomic_store(&k->connected, false);
        if (k->error[0]) { /* says less than what came before it; only this thread writes the text */
            cf_log_warn("collect", "no broker can be reached", "group=%s brokers=\"%s\"", k->group, k->o.brokers);
            return;
        }
    }
    (void)snprintf(text, sizeof text, "%.250s%s%s", reason, more ? "; " : "", more ? more : "");
    kafka_error(k, rd_kafka_err2name((rd_kafka_resp_err_t)err), text);
}

int kafka_seen(rd_kafka_t *rk, char *json, size_t n, void *opaque)
{
    struct cf_kafka *k = opaque;

    (void)rk;
    if (memmem(json, n, "\"state\":\"UP\"", 12)) /* of a broker: signed in and answering, also when nothing new is there */
        atomic_store(&k->connected, true);
    return 0; /* the text stays librdkafka's */
}
