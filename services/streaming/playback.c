#include "services/streaming/playback.h"

#include "lib/base/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>

// ---- cuts ----

enum { FIRST_CUTS = 16 };
#define HAS_QUERY 0x80000000u // the URI has a query already: a & goes in front of the token

struct gtv_cuts {
    bool multivariant;
    size_t n, cap;
    uint32_t *at; // offsets where URIs end, rising; HAS_QUERY
};

static void add_cut(struct gtv_cuts *c, size_t at, bool has_query)
{
    if (c->n == GTV_CUTS_MAX)
        return;
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : FIRST_CUTS;
        c->at = gtv_realloc(c->at, c->cap * sizeof *c->at);
    }
    c->at[c->n++] = (uint32_t)at | (has_query ? HAS_QUERY : 0);
}

static bool has_scheme(struct gtv_str uri)
{
    for (size_t i = 0; i < uri.n; i++) {
        char ch = uri.p[i];
        if (ch == ':')
            return i > 0;
        if (ch == '/' || ch == '?' || ch == '#')
            return false;
    }
    return false;
}

static void take_uri(struct gtv_cuts *c, struct gtv_str text, struct gtv_str uri)
{
    ptrdiff_t fragment = gtv_str_find(uri, '#');
    if (fragment >= 0)
        uri.n = (size_t)fragment;
    if (uri.n == 0 || has_scheme(uri) || gtv_str_starts(uri, GTV_STR("//")))
        return;
    add_cut(c, (size_t)(uri.p - text.p) + uri.n, gtv_str_find(uri, '?') >= 0);
}

// URI="..." among a tag's attributes; a quoted value of another attribute may hold the same letters.
static void take_attribute(struct gtv_cuts *c, struct gtv_str text, struct gtv_str line)
{
    struct gtv_str rest = line;
    (void)gtv_str_cut(&rest, ':');
    while (rest.n) {
        struct gtv_str name = gtv_str_trim(gtv_str_cut(&rest, '='));
        if (rest.n && rest.p[0] == '"') {
            rest = (struct gtv_str){rest.p + 1, rest.n - 1};
            struct gtv_str value = gtv_str_cut(&rest, '"');
            if (gtv_str_eq(name, GTV_STR("URI")) && value.p + value.n < line.p + line.n)
                take_uri(c, text, value);
        }
        (void)gtv_str_cut(&rest, ',');
    }
}

struct gtv_cuts *gtv_cuts_create(struct gtv_str text)
{
    struct gtv_cuts *c = GTV_NEW(struct gtv_cuts);
    struct gtv_str rest = text;
    if (text.n >= HAS_QUERY)
        return c;
    while (rest.n) {
        struct gtv_str line = gtv_str_cut(&rest, '\n');
        while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' '))
            line.n--;
        if (line.n == 0)
            continue;
        if (line.p[0] != '#') {
            take_uri(c, text, line);
        } else if (gtv_str_starts(line, GTV_STR("#EXT-X-"))) {
            c->multivariant = c->multivariant || gtv_str_starts(line, GTV_STR("#EXT-X-STREAM-INF:"));
            take_attribute(c, text, line);
        }
    }
    return c;
}

void gtv_cuts_destroy(struct gtv_cuts *c)
{
    if (!c)
        return;
    free(c->at);
    free(c);
}

bool gtv_cuts_multivariant(const struct gtv_cuts *c)
{
    return c->multivariant;
}

size_t gtv_cuts_count(const struct gtv_cuts *c)
{
    return c->n;
}

// One block rather than pieces: a playlist is a kilobyte or two, and copying it costs less than handing the
// kernel two vectors a URI.
struct gtv_bytes *gtv_cuts_render(const struct gtv_cuts *c, struct gtv_str text, struct gtv_str token)
{
    static const struct gtv_str parameter = {"?session=", 9};
    char written[16 + GTV_SESSION_TEXT_MAX];
    size_t add = parameter.n + token.n, from = 0;
    if (add > sizeof written)
        return NULL;
    struct gtv_bytes *out = gtv_bytes_create(text.n + c->n * add);
    if (!out)
        return NULL;
    memcpy(written, parameter.p, parameter.n);
    memcpy(written + parameter.n, token.p, token.n);
    uint8_t *to = out->data;
    for (size_t i = 0; i < c->n; i++) {
        size_t at = c->at[i] & ~HAS_QUERY;
        memcpy(to, text.p + from, at - from);
        to += at - from;
        memcpy(to, written, add);
        if (c->at[i] & HAS_QUERY)
            *to = '&';
        to += add;
        from = at;
    }
    memcpy(to, text.p + from, text.n - from);
    out->len = text.n + c->n * add;
    return out;
}

// ---- grants ----

enum {
    TIME_LEN = 8,
    RANDOM_LEN = 8,
    HEAD_LEN = TIME_LEN + RANDOM_LEN,
    TAG_LEN = 16,
    GRANT_LEN = HEAD_LEN + TAG_LEN
};
enum { MESSAGE_CAP = 512 };

static void make_tag(const char *key, struct gtv_str stream, const uint8_t head[HEAD_LEN],
                     uint8_t tag[TAG_LEN])
{
    static const struct gtv_str purpose = {"gtv-playback\n", 13};
    uint8_t message[MESSAGE_CAP], whole[EVP_MAX_MD_SIZE];
    size_t room = sizeof message - purpose.n - 1 - HEAD_LEN, n = stream.n < room ? stream.n : room;
    memcpy(message, purpose.p, purpose.n);
    memcpy(message + purpose.n, stream.p ? stream.p : "", n);
    message[purpose.n + n] = '\n';
    memcpy(message + purpose.n + n + 1, head, HEAD_LEN);
    unsigned whole_len = 0;
    if (!HMAC(EVP_sha256(), key, (int)strlen(key), message, purpose.n + n + 1 + HEAD_LEN, whole, &whole_len))
        abort();
    memcpy(tag, whole, TAG_LEN);
}

void gtv_grant_mint(const char *key, struct gtv_str stream, int64_t expires_s, char out[GTV_GRANT_CAP])
{
    uint8_t grant[GRANT_LEN];
    for (unsigned i = 0; i < TIME_LEN; i++)
        grant[i] = (uint8_t)((uint64_t)expires_s >> (56 - 8 * i) & 255);
    if (RAND_bytes(grant + TIME_LEN, RANDOM_LEN) != 1)
        abort();
    make_tag(key, stream, grant, grant + HEAD_LEN);
    gtv_base64url(grant, sizeof grant, out);
}

enum gtv_grant gtv_grant_check(const char *key, struct gtv_str stream, struct gtv_str token, int64_t wall_s)
{
    uint8_t grant[GRANT_LEN], tag[TAG_LEN];
    if (!gtv_base64url_read(token, grant, sizeof grant))
        return GTV_GRANT_WRONG;
    make_tag(key, stream, grant, tag);
    if (CRYPTO_memcmp(tag, grant + HEAD_LEN, TAG_LEN) != 0)
        return GTV_GRANT_WRONG;
    uint64_t expires_s = 0;
    for (unsigned i = 0; i < TIME_LEN; i++)
        expires_s = expires_s << 8 | grant[i];
    return expires_s > (uint64_t)wall_s ? GTV_GRANT_GOOD : GTV_GRANT_OVER;
}

bool gtv_bearer_is(struct gtv_str authorization, const char *secret)
{
    struct gtv_str rest = authorization, want = gtv_str_of(secret);
    struct gtv_str scheme = gtv_str_cut(&rest, ' ');
    rest = gtv_str_trim(rest);
    return gtv_str_ieq(scheme, GTV_STR("Bearer")) && want.n > 0 && rest.n == want.n &&
           CRYPTO_memcmp(rest.p, want.p, want.n) == 0;
}
