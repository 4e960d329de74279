#include "lib/base/map.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <sys/random.h>

enum { FIRST_CAP = 16 };

// Removed slots stay as tombs until the next growth, so that a walk may remove what it was just given.
enum slot_state { SLOT_EMPTY, SLOT_TOMB, SLOT_FULL };

struct slot {
    enum slot_state state;
    uint64_t hash;
    char *key;
    size_t key_len;
    void *value;
};

struct gtv_map {
    uint64_t seed[2];
    struct slot *slots;
    size_t cap;   // a power of two
    size_t count; // full slots
    size_t used;  // full slots and tombs
};

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

// SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
static uint64_t sip_hash(const uint64_t seed[2], struct gtv_str s)
{
    uint64_t v[4] = {seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d),
                     seed[0] ^ UINT64_C(0x6c7967656e657261), seed[1] ^ UINT64_C(0x7465646279746573)};
    size_t n = s.n;
    const char *p = s.p;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)s.n << 56;
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)(unsigned char)p[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct gtv_map *gtv_map_create(void)
{
    struct gtv_map *m = GTV_NEW(struct gtv_map);
    if (getrandom(m->seed, sizeof(m->seed), 0) != (ssize_t)sizeof(m->seed)) {
        m->seed[0] = (uint64_t)gtv_mono_ns();
        m->seed[1] = (uint64_t)(uintptr_t)m;
    }
    m->cap = FIRST_CAP;
    m->slots = gtv_alloc(m->cap * sizeof(*m->slots));
    return m;
}

void gtv_map_destroy(struct gtv_map *m, void (*free_value)(void *))
{
    if (!m)
        return;
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].state != SLOT_FULL)
            continue;
        free(m->slots[i].key);
        if (free_value)
            free_value(m->slots[i].value);
    }
    free(m->slots);
    free(m);
}

static struct slot *find(const struct gtv_map *m, struct gtv_str key, uint64_t hash)
{
    for (size_t i = hash & (m->cap - 1); m->slots[i].state != SLOT_EMPTY; i = (i + 1) & (m->cap - 1)) {
        struct slot *s = &m->slots[i];
        if (s->state == SLOT_FULL && s->hash == hash && gtv_str_eq((struct gtv_str){s->key, s->key_len}, key))
            return s;
    }
    return NULL;
}

void *gtv_map_get(const struct gtv_map *m, struct gtv_str key)
{
    struct slot *s = find(m, key, sip_hash(m->seed, key));
    return s ? s->value : NULL;
}

static void rehash(struct gtv_map *m, size_t cap)
{
    struct slot *old = m->slots;
    size_t old_cap = m->cap;
    m->slots = gtv_alloc(cap * sizeof(*m->slots));
    m->cap = cap;
    m->used = m->count;
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i].state != SLOT_FULL)
            continue;
        size_t at = old[i].hash & (cap - 1);
        while (m->slots[at].state != SLOT_EMPTY)
            at = (at + 1) & (cap - 1);
        m->slots[at] = old[i];
    }
    free(old);
}

void *gtv_map_put(struct gtv_map *m, struct gtv_str key, void *value)
{
    uint64_t hash = sip_hash(m->seed, key);
    struct slot *s = find(m, key, hash);
    if (s) {
        void *old = s->value;
        s->value = value;
        return old;
    }
    if ((m->used + 1) * 4 > m->cap * 3)
        rehash(m, (m->count + 1) * 2 > m->cap ? m->cap * 2 : m->cap);
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].state == SLOT_FULL)
        i = (i + 1) & (m->cap - 1);
    if (m->slots[i].state == SLOT_EMPTY)
        m->used++;
    m->slots[i] = (struct slot){SLOT_FULL, hash, gtv_strndup(key), key.n, value};
    m->count++;
    return NULL;
}

void *gtv_map_remove(struct gtv_map *m, struct gtv_str key)
{
    struct slot *s = find(m, key, sip_hash(m->seed, key));
    if (!s)
        return NULL;
    void *value = s->value;
    free(s->key);
    *s = (struct slot){.state = SLOT_TOMB};
    m->count--;
    return value;
}

size_t gtv_map_count(const struct gtv_map *m)
{
    return m->count;
}

bool gtv_map_next(const struct gtv_map *m, size_t *it, struct gtv_str *key, void **value)
{
    for (; *it < m->cap; (*it)++) {
        const struct slot *s = &m->slots[*it];
        if (s->state != SLOT_FULL)
            continue;
        if (key)
            *key = (struct gtv_str){s->key, s->key_len};
        if (value)
            *value = s->value;
        (*it)++;
        return true;
    }
    return false;
}
