#include "lib/rtsp/digest.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <sys/random.h>

// ---- Reading ----

// One "name=value" of a comma-separated list whose values may be quoted; moves *at behind it.
static bool next_parameter(struct gtv_str s, size_t *at, struct gtv_str *name, struct gtv_str *value)
{
    size_t i = *at;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == ',')) {
        i++;
    }
    size_t from = i;
    while (i < s.n && s.p[i] != '=' && s.p[i] != ',' && s.p[i] != ' ') {
        i++;
    }
    *name = (struct gtv_str){s.p + from, i - from};
    while (i < s.n && s.p[i] == ' ') {
        i++;
    }
    *value = (struct gtv_str){0};
    if (i < s.n && s.p[i] == '=') {
        i++;
        while (i < s.n && s.p[i] == ' ') {
            i++;
        }
        if (i < s.n && s.p[i] == '"') {
            from = ++i;
            while (i < s.n && s.p[i] != '"') {
                i += s.p[i] == '\\' && i + 1 < s.n ? 2 : 1;
            }
            *value = (struct gtv_str){s.p + from, i - from};
            i += i < s.n;
        } else {
            from = i;
            while (i < s.n && s.p[i] != ',') {
                i++;
            }
            *value = gtv_str_trim((struct gtv_str){s.p + from, i - from});
        }
    }
    *at = i;
    return name->n > 0 || value->p != NULL;
}

struct gtv_str gtv_digest_parameter(struct gtv_str parameters, const char *name)
{
    size_t at = 0;
    struct gtv_str key, value;
    while (next_parameter(parameters, &at, &key, &value)) {
        if (value.p != NULL && gtv_str_ieq(key, gtv_str_of(name))) {
            return value;
        }
    }
    return (struct gtv_str){0};
}

static void read_digest(struct gtv_str parameters, struct gtv_digest_challenge *c)
{
    struct gtv_str algorithm = gtv_digest_parameter(parameters, "algorithm");
    struct gtv_str qop = gtv_digest_parameter(parameters, "qop");
    if (algorithm.n == 0 || gtv_str_ieq(algorithm, GTV_STR("MD5"))) {
        c->scheme = GTV_DIGEST_MD5;
    } else if (gtv_str_ieq(algorithm, GTV_STR("SHA-256"))) {
        c->scheme = GTV_DIGEST_SHA256;
    } else {
        c->scheme = GTV_DIGEST_NONE;
        return;
    }
    c->qop = gtv_rtsp_list_has(qop, "auth");
    c->stale = gtv_str_ieq(gtv_digest_parameter(parameters, "stale"), GTV_STR("true"));
    bool fits = gtv_str_copy(c->realm, sizeof c->realm, gtv_digest_parameter(parameters, "realm")) &&
                gtv_str_copy(c->nonce, sizeof c->nonce, gtv_digest_parameter(parameters, "nonce")) &&
                gtv_str_copy(c->opaque, sizeof c->opaque, gtv_digest_parameter(parameters, "opaque"));
    if (!fits || c->nonce[0] == '\0' || (qop.n > 0 && !c->qop)) {
        c->scheme = GTV_DIGEST_NONE;
    }
}

// The scheme that s begins with at `from`, if a parameter or the end follows it.
static enum gtv_digest_scheme scheme_at(struct gtv_str s, size_t from, size_t *behind)
{
    static const struct {
        struct gtv_str name;
        enum gtv_digest_scheme scheme;
    } schemes[] = {{GTV_STR("Digest"), GTV_DIGEST_MD5}, {GTV_STR("Basic"), GTV_DIGEST_BASIC}};
    for (size_t i = 0; i < 2; i++) {
        size_t n = schemes[i].name.n;
        if (s.n - from >= n && gtv_str_ieq((struct gtv_str){s.p + from, n}, schemes[i].name) &&
            (s.n - from == n || s.p[from + n] == ' ')) {
            *behind = from + n;
            return schemes[i].scheme;
        }
    }
    return GTV_DIGEST_NONE;
}

// Where the next challenge of the same header begins ("Basic realm=x, Digest realm=..."), or its end.
static size_t challenge_end(struct gtv_str s, size_t from)
{
    bool quoted = false;
    size_t behind;
    for (size_t i = from; i < s.n; i++) {
        if (s.p[i] == '"') {
            quoted = !quoted;
        } else if (s.p[i] == ',' && !quoted) {
            size_t at = i + 1;
            while (at < s.n && s.p[at] == ' ') {
                at++;
            }
            if (scheme_at(s, at, &behind) != GTV_DIGEST_NONE) {
                return at;
            }
        }
    }
    return s.n;
}

bool gtv_digest_challenge_read(const struct gtv_rtsp_message *m, struct gtv_digest_challenge *out)
{
    struct gtv_str value;
    struct gtv_digest_challenge best = {0};
    for (size_t i = 0; (value = gtv_rtsp_header_at(m, "WWW-Authenticate", i)).p != NULL; i++) {
        for (size_t at = 0; at < value.n;) {
            size_t behind = at;
            struct gtv_digest_challenge c = {.scheme = scheme_at(value, at, &behind)};
            size_t end = challenge_end(value, behind);
            struct gtv_str parameters = {value.p + behind, end - behind};
            if (c.scheme == GTV_DIGEST_MD5) {
                read_digest(parameters, &c);
            }
            if (c.scheme > best.scheme) {
                best = c;
            }
            at = end;
        }
    }
    *out = best;
    return best.scheme != GTV_DIGEST_NONE;
}

// ---- Hashing ----

static bool hash(enum gtv_digest_scheme scheme, const struct gtv_str *parts, size_t count,
                 char out[GTV_DIGEST_HEX])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL &&
              EVP_DigestInit_ex(ctx, scheme == GTV_DIGEST_SHA256 ? EVP_sha256() : EVP_md5(), NULL) == 1;
    for (size_t i = 0; ok && i < count; i++) {
        ok = (i == 0 || EVP_DigestUpdate(ctx, ":", 1) == 1) &&
             EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, sum, &n) == 1 && n * 2 < GTV_DIGEST_HEX;
    for (unsigned i = 0; ok && i < n; i++) {
        snprintf(out + (size_t)i * 2, 3, "%02x", sum[i]);
    }
    EVP_MD_CTX_free(ctx);
    return ok;
}

bool gtv_digest_response(const struct gtv_digest_input *in, char out[GTV_DIGEST_HEX])
{
    char ha1[GTV_DIGEST_HEX], ha2[GTV_DIGEST_HEX];
    const struct gtv_str secret[] = {in->user, in->realm, in->pass}, request[] = {in->method, in->uri};
    if (!hash(in->scheme, secret, 3, ha1) || !hash(in->scheme, request, 2, ha2)) {
        return false;
    }
    const struct gtv_str with[] = {gtv_str_of(ha1), in->nonce,       in->nc,
                                   in->cnonce,      GTV_STR("auth"), gtv_str_of(ha2)};
    const struct gtv_str without[] = {gtv_str_of(ha1), in->nonce, gtv_str_of(ha2)};
    return in->qop ? hash(in->scheme, with, 6, out) : hash(in->scheme, without, 3, out);
}

// ---- Writing ----

static void write_basic(struct gtv_buf *out, const char *user, const char *pass)
{
    char both[768], text[1100];
    int n = snprintf(both, sizeof both, "%s:%s", user, pass);
    if (n < 0 || (size_t)n >= sizeof both) {
        return;
    }
    EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)both, n);
    gtv_rtsp_write_header(out, "Authorization", "Basic %s", text);
}

// In quotes: what would end them is escaped.
static void put_quoted(struct gtv_buf *out, const char *name, const char *value)
{
    gtv_buf_printf(out, "%s=\"", name);
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c == '"' || c == '\\') {
            gtv_buf_append(out, "\\", 1);
        }
        gtv_buf_append(out, c < ' ' || c == 0x7f ? " " : value, 1);
    }
    gtv_buf_append(out, "\"", 1);
}

void gtv_digest_write(struct gtv_buf *out, struct gtv_digest_challenge *c, const char *method,
                      const char *uri, const char *user, const char *pass)
{
    if (c->scheme == GTV_DIGEST_BASIC) {
        write_basic(out, user, pass);
    }
    if (c->scheme != GTV_DIGEST_MD5 && c->scheme != GTV_DIGEST_SHA256) {
        return;
    }
    uint64_t random = 0;
    char nc[9], cnonce[17], response[GTV_DIGEST_HEX];
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        return;
    }
    snprintf(nc, sizeof nc, "%08x", ++c->count);
    snprintf(cnonce, sizeof cnonce, "%016llx", (unsigned long long)random);
    const struct gtv_digest_input in = {
        c->scheme,          gtv_str_of(user),  gtv_str_of(c->realm), gtv_str_of(pass),
        gtv_str_of(method), gtv_str_of(uri),   gtv_str_of(c->nonce), c->qop,
        gtv_str_of(nc),     gtv_str_of(cnonce)};
    if (!gtv_digest_response(&in, response)) {
        return;
    }
    gtv_buf_puts(out, "Authorization: Digest ");
    put_quoted(out, "username", user);
    // The realm and the nonce go back as they came, escapes included.
    gtv_buf_printf(out, ", realm=\"%s\", nonce=\"%s\", ", c->realm, c->nonce);
    put_quoted(out, "uri", uri);
    gtv_buf_printf(out, ", response=\"%s\"", response);
    if (c->scheme == GTV_DIGEST_SHA256) {
        gtv_buf_puts(out, ", algorithm=SHA-256");
    }
    if (c->opaque[0] != '\0') {
        gtv_buf_printf(out, ", opaque=\"%s\"", c->opaque);
    }
    if (c->qop) {
        gtv_buf_printf(out, ", qop=auth, nc=%s, cnonce=\"%s\"", nc, cnonce);
    }
    gtv_buf_puts(out, "\r\n");
}
