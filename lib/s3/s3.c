#include "lib/s3/s3.h"

#include "lib/base/mem.h"
#include "lib/base/url.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { HASH = 32, HASH_TEXT = 2 * HASH + 1 };

#define SIGNED "host;x-amz-content-sha256;x-amz-date"

struct gtv_s3 {
    char *base; // without a slash at its end
    char *path; // its path
    char *host; // as it stands in the Host header
    char *region, *key, *secret;
};

// ---- Addresses ----

static bool plain(struct gtv_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '.' || c == '_' || c == '~' || c == '/'))
            return false;
    }
    return true;
}

static bool filled(const char *s)
{
    return s && *s;
}

struct gtv_s3 *gtv_s3_create(const struct gtv_s3_config *config, struct gtv_error *err)
{
    struct gtv_str text = gtv_str_of(config->url);
    struct gtv_url url;
    while (text.n && text.p[text.n - 1] == '/')
        text.n--;
    bool ok = gtv_url_parse(text, &url) && !url.has_user && url.query.n == 0 && plain(url.path) &&
              (gtv_str_ieq(url.scheme, GTV_STR("http")) || gtv_str_ieq(url.scheme, GTV_STR("https")));
    if (!ok) {
        gtv_error_set(
            err, GTV_E_INVALID, "AI_CROPS_S3_URL",
            "AI_CROPS_S3_URL must be an address such as https://host/bucket/prefix, without credentials");
        return NULL;
    }
    if (!filled(config->key) || !filled(config->secret) || !filled(config->region)) {
        gtv_error_set(err, GTV_E_INVALID, "AI_CROPS_S3_URL",
                      "AI_CROPS_S3_URL needs AI_CROPS_S3_REGION, AI_CROPS_S3_KEY and AI_CROPS_S3_SECRET too");
        return NULL;
    }
    struct gtv_s3 *s = GTV_NEW(struct gtv_s3);
    bool tls = gtv_str_ieq(url.scheme, GTV_STR("https"));
    const char *open = url.ipv6 ? "[" : "", *close = url.ipv6 ? "]" : "";
    s->base = gtv_strndup(text);
    s->path = gtv_strndup(url.path);
    // A client leaves the scheme's own port out of the Host header.
    s->host = url.port == (tls ? 443 : 80)
                  ? gtv_asprintf("%s" GTV_STR_FMT "%s", open, GTV_STR_ARG(url.host), close)
                  : gtv_asprintf("%s" GTV_STR_FMT "%s:%d", open, GTV_STR_ARG(url.host), close, url.port);
    s->region = gtv_strdup(config->region);
    s->key = gtv_strdup(config->key);
    s->secret = gtv_strdup(config->secret);
    return s;
}

void gtv_s3_destroy(struct gtv_s3 *s)
{
    if (!s)
        return;
    free(s->base);
    free(s->path);
    free(s->host);
    free(s->region);
    free(s->key);
    free(s->secret);
    free(s);
}

bool gtv_s3_check(const char *url, const char *region, const char *key, const char *secret,
                  struct gtv_error *err)
{
    struct gtv_s3 *s = gtv_s3_create(
        &(struct gtv_s3_config){.url = url, .region = region, .key = key, .secret = secret}, err);
    gtv_s3_destroy(s);
    return s != NULL;
}

char *gtv_s3_url(const struct gtv_s3 *s, const char *name)
{
    return gtv_asprintf("%s/%s", s->base, name);
}

// ---- Signing ----

static void hex(const uint8_t hash[HASH], char out[HASH_TEXT])
{
    for (size_t i = 0; i < HASH; i++)
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

static void sha256(struct gtv_str text, char out[HASH_TEXT])
{
    uint8_t hash[HASH] = {0};
    unsigned n = 0;
    if (EVP_Digest(text.n ? text.p : "", text.n, hash, &n, EVP_sha256(), NULL) != 1 || n != HASH)
        abort(); // only without memory
    hex(hash, out);
}

static void hmac(const void *key, size_t key_len, const char *text, uint8_t out[HASH])
{
    unsigned n = 0;
    if (!HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text, strlen(text), out, &n) || n != HASH)
        abort(); // only without memory
}

static void sign(const struct gtv_s3 *s, const char *day, const char *text, char out[HASH_TEXT])
{
    uint8_t a[HASH], b[HASH];
    char *first = gtv_asprintf("AWS4%s", s->secret);
    hmac(first, strlen(first), day, a);
    OPENSSL_cleanse(first, strlen(first));
    free(first);
    hmac(a, HASH, s->region, b);
    hmac(b, HASH, "s3", a);
    hmac(a, HASH, "aws4_request", b);
    hmac(b, HASH, text, a);
    hex(a, out);
    OPENSSL_cleanse(b, HASH);
}

void gtv_s3_sign_path(const struct gtv_s3 *s, const char *method, const char *path, const char *query,
                      struct gtv_str body, int64_t wall_ms, struct gtv_s3_headers *out)
{
    char when[20], day[12], payload[HASH_TEXT], request[HASH_TEXT], signature[HASH_TEXT];
    time_t at = (time_t)(wall_ms / 1000);
    struct tm utc;
    (void)gmtime_r(&at, &utc);
    (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &utc);
    (void)strftime(day, sizeof(day), "%Y%m%d", &utc);
    sha256(body, payload);
    char *canonical =
        gtv_asprintf("%s\n%s\n%s\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n\n" SIGNED "\n%s", method,
                     *path ? path : "/", query, s->host, payload, when, payload);
    sha256(gtv_str_of(canonical), request);
    char *text =
        gtv_asprintf("AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s", when, day, s->region, request);
    sign(s, day, text, signature);
    free(canonical);
    free(text);
    snprintf(out->date, sizeof(out->date), "x-amz-date: %s", when);
    snprintf(out->hash, sizeof(out->hash), "x-amz-content-sha256: %s", payload);
    snprintf(out->authorization, sizeof(out->authorization),
             "Authorization: AWS4-HMAC-SHA256 Credential=%.200s/%s/%.60s/s3/aws4_request,"
             "SignedHeaders=" SIGNED ",Signature=%s",
             s->key, day, s->region, signature);
    out->list[0] = out->date;
    out->list[1] = out->hash;
    out->list[2] = out->authorization;
    out->list[3] = NULL;
}

void gtv_s3_sign(const struct gtv_s3 *s, const char *method, const char *name, struct gtv_str body,
                 int64_t wall_ms, struct gtv_s3_headers *out)
{
    char *path = gtv_asprintf("%s/%s", s->path, name);
    gtv_s3_sign_path(s, method, path, "", body, wall_ms, out);
    free(path);
}
