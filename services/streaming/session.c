#include "services/streaming/session.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    RANDOM_LEN = 12,
    TIME_LEN = 4,
    HEAD_LEN = RANDOM_LEN + TIME_LEN,
    TAG_LEN = 16,
    TOKEN_LEN = HEAD_LEN + TAG_LEN
};
enum { MESSAGE_CAP = 512, CLOCKS_APART_S = 60 };

struct gtv_sessions {
    pthread_mutex_t lock; // guards all below but the atomics
    uint8_t key[GTV_SESSION_KEY_LEN], before[GTV_SESSION_KEY_LEN];
    struct gtv_map *kicked; // name -> int64_t, wall clock
    atomic_size_t kicked_count;
    atomic_ullong kicks;
};

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void gtv_base64url(const uint8_t *data, size_t n, char *out)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | data[i];
        for (have += 8; have >= 6; have -= 6)
            *out++ = digits[bits >> (have - 6) & 63];
    }
    if (have)
        *out++ = digits[bits << (6 - have) & 63];
    *out = '\0';
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool gtv_base64url_read(struct gtv_str text, uint8_t *out, size_t n)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t at = 0;
    if (text.n != (n * 4 + 2) / 3)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        int v = digit_value(text.p[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[at++] = (uint8_t)(bits >> have & 255);
        }
    }
    return (bits & ((1u << have) - 1)) == 0; // one text only for each value
}

struct gtv_sessions *gtv_sessions_create(void)
{
    struct gtv_sessions *s = GTV_NEW(struct gtv_sessions);
    pthread_mutex_init(&s->lock, NULL);
    s->kicked = gtv_map_create();
    if (RAND_bytes(s->key, sizeof s->key) != 1)
        abort();
    memcpy(s->before, s->key, sizeof s->before);
    return s;
}

void gtv_sessions_destroy(struct gtv_sessions *s)
{
    if (!s)
        return;
    gtv_map_destroy(s->kicked, free);
    pthread_mutex_destroy(&s->lock);
    OPENSSL_cleanse(s, sizeof *s);
    free(s);
}

void gtv_sessions_set_key(struct gtv_sessions *s, const uint8_t key[GTV_SESSION_KEY_LEN])
{
    pthread_mutex_lock(&s->lock);
    if (memcmp(s->key, key, GTV_SESSION_KEY_LEN) != 0) {
        memcpy(s->before, s->key, sizeof s->before);
        memcpy(s->key, key, sizeof s->key);
    }
    pthread_mutex_unlock(&s->lock);
}

void gtv_sessions_get_key(struct gtv_sessions *s, uint8_t key[GTV_SESSION_KEY_LEN])
{
    pthread_mutex_lock(&s->lock);
    memcpy(key, s->key, GTV_SESSION_KEY_LEN);
    pthread_mutex_unlock(&s->lock);
}

// The stream's name is as long as it says it is, so that no two messages are the same.
static void make_tag(const uint8_t key[GTV_SESSION_KEY_LEN], struct gtv_str stream,
                     const uint8_t head[HEAD_LEN], uint8_t tag[TAG_LEN])
{
    uint8_t message[MESSAGE_CAP], whole[EVP_MAX_MD_SIZE];
    unsigned whole_len = 0;
    size_t n = stream.n < MESSAGE_CAP - HEAD_LEN ? stream.n : MESSAGE_CAP - HEAD_LEN;
    memcpy(message, head, HEAD_LEN);
    memcpy(message + HEAD_LEN, stream.p ? stream.p : "", n);
    if (!HMAC(EVP_sha256(), key, GTV_SESSION_KEY_LEN, message, HEAD_LEN + n, whole, &whole_len))
        abort();
    memcpy(tag, whole, TAG_LEN);
}

void gtv_session_mint(struct gtv_sessions *s, struct gtv_str stream, int64_t wall_s,
                      char out[GTV_SESSION_TEXT_MAX + 1])
{
    uint8_t token[TOKEN_LEN], key[GTV_SESSION_KEY_LEN];
    if (RAND_bytes(token, RANDOM_LEN) != 1)
        abort();
    for (unsigned i = 0; i < TIME_LEN; i++)
        token[RANDOM_LEN + i] = (uint8_t)((uint64_t)wall_s >> (24 - 8 * i) & 255);
    gtv_sessions_get_key(s, key);
    make_tag(key, stream, token, token + HEAD_LEN);
    gtv_base64url(token, sizeof token, out);
}

bool gtv_session_valid(struct gtv_sessions *s, struct gtv_str stream, struct gtv_str token, int64_t wall_s)
{
    uint8_t bytes[TOKEN_LEN], tag[TAG_LEN], key[GTV_SESSION_KEY_LEN], before[GTV_SESSION_KEY_LEN];
    if (!gtv_base64url_read(token, bytes, sizeof bytes))
        return false;
    int64_t made_s = 0;
    for (unsigned i = 0; i < TIME_LEN; i++)
        made_s = made_s << 8 | bytes[RANDOM_LEN + i];
    if (wall_s - made_s > GTV_SESSION_LIFE_S || made_s - wall_s > CLOCKS_APART_S)
        return false;
    pthread_mutex_lock(&s->lock);
    memcpy(key, s->key, sizeof key);
    memcpy(before, s->before, sizeof before);
    pthread_mutex_unlock(&s->lock);
    make_tag(key, stream, bytes, tag);
    if (CRYPTO_memcmp(tag, bytes + HEAD_LEN, TAG_LEN) == 0)
        return true;
    make_tag(before, stream, bytes, tag);
    return CRYPTO_memcmp(tag, bytes + HEAD_LEN, TAG_LEN) == 0;
}

bool gtv_session_text_valid(struct gtv_str text)
{
    if (text.n == 0 || text.n > GTV_SESSION_TEXT_MAX)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (digit_value(text.p[i]) < 0)
            return false;
    return true;
}

void gtv_session_id(struct gtv_str token, char out[GTV_SESSION_ID_CAP])
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    static const char hex[] = "0123456789abcdef";
    if (EVP_Digest(token.p, token.n, hash, NULL, EVP_sha256(), NULL) != 1)
        abort();
    for (size_t i = 0; i < (GTV_SESSION_ID_CAP - 1) / 2; i++) {
        out[2 * i] = hex[hash[i] >> 4];
        out[2 * i + 1] = hex[hash[i] & 15];
    }
    out[GTV_SESSION_ID_CAP - 1] = '\0';
}

struct gtv_str gtv_query_raw(struct gtv_str query, struct gtv_str name)
{
    while (query.n) {
        struct gtv_str value = gtv_str_cut(&query, '&');
        struct gtv_str key = gtv_str_cut(&value, '=');
        if (gtv_str_eq(key, name))
            return value;
    }
    return (struct gtv_str){NULL, 0};
}

// ---- who was ended ----

// With the lock held. Forgets what is over, and when nothing is, the one that would be over first.
static void make_room(struct gtv_sessions *s, int64_t wall_ms)
{
    size_t it = 0;
    struct gtv_str key, first = {NULL, 0};
    void *value;
    int64_t first_ms = INT64_MAX;
    while (gtv_map_next(s->kicked, &it, &key, &value)) {
        int64_t until_ms = *(int64_t *)value;
        if (until_ms <= wall_ms) {
            gtv_map_remove(s->kicked, key);
            free(value);
        } else if (until_ms < first_ms) {
            first_ms = until_ms;
            first = key;
        }
    }
    if (gtv_map_count(s->kicked) >= GTV_KICKED_MAX)
        free(gtv_map_remove(s->kicked, first));
}

static struct gtv_str cut_name(struct gtv_str name)
{
    return (struct gtv_str){name.p, name.n < GTV_KICKED_CAP ? name.n : GTV_KICKED_CAP};
}

void gtv_sessions_kick(struct gtv_sessions *s, struct gtv_str name, int64_t until_ms)
{
    name = cut_name(name);
    pthread_mutex_lock(&s->lock);
    int64_t *known = gtv_map_get(s->kicked, name);
    if (!known) {
        if (gtv_map_count(s->kicked) >= GTV_KICKED_MAX)
            make_room(s, 0);
        known = GTV_NEW(int64_t);
        (void)gtv_map_put(s->kicked, name, known);
    }
    if (*known < until_ms) {
        *known = until_ms;
        atomic_fetch_add(&s->kicks, 1);
    }
    atomic_store(&s->kicked_count, gtv_map_count(s->kicked));
    pthread_mutex_unlock(&s->lock);
}

uint64_t gtv_sessions_kicks(struct gtv_sessions *s)
{
    return atomic_load(&s->kicks);
}

bool gtv_sessions_any_kicked(struct gtv_sessions *s)
{
    return atomic_load_explicit(&s->kicked_count, memory_order_relaxed) > 0;
}

bool gtv_sessions_kicked(struct gtv_sessions *s, struct gtv_str name, int64_t wall_ms)
{
    if (!gtv_sessions_any_kicked(s))
        return false;
    pthread_mutex_lock(&s->lock);
    const int64_t *until_ms = gtv_map_get(s->kicked, cut_name(name));
    bool kicked = until_ms && *until_ms > wall_ms;
    pthread_mutex_unlock(&s->lock);
    return kicked;
}

void gtv_sessions_each_kicked(struct gtv_sessions *s, int64_t wall_ms,
                              void (*fn)(void *arg, struct gtv_str name, int64_t until_ms), void *arg)
{
    if (atomic_load(&s->kicked_count) == 0)
        return;
    size_t it = 0;
    struct gtv_str key;
    void *value;
    pthread_mutex_lock(&s->lock);
    while (gtv_map_next(s->kicked, &it, &key, &value)) {
        if (*(int64_t *)value > wall_ms) {
            fn(arg, key, *(int64_t *)value);
            continue;
        }
        gtv_map_remove(s->kicked, key);
        free(value);
    }
    atomic_store(&s->kicked_count, gtv_map_count(s->kicked));
    pthread_mutex_unlock(&s->lock);
}
