#include "services/ai/picture/base64.h"

#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SKIP = 64, BAD = 65, PAD = 66, MAX_PREFIX = 256 };

static void fill_table(uint8_t table[256])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    memset(table, BAD, 256);
    for (uint8_t i = 0; i < 64; i++)
        table[(uint8_t)alphabet[i]] = i;
    table['\r'] = table['\n'] = table[' '] = table['\t'] = SKIP;
    table['='] = PAD;
}

// Leaves in *text what follows "data:<type>;base64,".
static bool drop_prefix(struct gtv_str *text, struct gtv_error *err)
{
    if (text->n < 5 || !gtv_str_ieq((struct gtv_str){text->p, 5}, GTV_STR("data:")))
        return true;
    struct gtv_str head = {text->p, text->n < MAX_PREFIX ? text->n : MAX_PREFIX};
    ptrdiff_t comma = gtv_str_find(head, ',');
    head.n = comma < 0 ? 0 : (size_t)comma;
    if (head.n < 7 || !gtv_str_ieq((struct gtv_str){head.p + head.n - 7, 7}, GTV_STR(";base64"))) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "the data: prefix does not end in ;base64,");
        return false;
    }
    text->p += head.n + 1;
    text->n -= head.n + 1;
    return true;
}

static bool bad_at(struct gtv_error *err, size_t position, const char *what)
{
    gtv_error_set(err, GTV_E_INVALID, NULL, "base64: %s at position %zu", what, position);
    return false;
}

// What is left in bits after the last character decides whether the end is well-formed.
static bool check_end(unsigned quantum, unsigned pads, size_t position, struct gtv_error *err)
{
    if (quantum == 1)
        return bad_at(err, position, "a single character is left over");
    if (pads && (quantum == 0 || quantum + pads != 4))
        return bad_at(err, position, "wrong padding");
    return true;
}

// ---- The usual characters, many at a time ----

// How many characters of p's n were decoded, a multiple of 4: none is unusual, and to has room for 8 bytes
// beyond what they become.
static size_t decode_plain(const uint8_t table[256], const uint8_t *p, size_t n, uint8_t *to)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4, to += 3) {
        uint8_t a = table[p[i]], b = table[p[i + 1]], c = table[p[i + 2]], d = table[p[i + 3]];
        if ((a | b | c | d) > 63)
            break;
        to[0] = (uint8_t)(a << 2 | b >> 4);
        to[1] = (uint8_t)(b << 4 | c >> 2);
        to[2] = (uint8_t)(c << 6 | d);
    }
    return i;
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

static inline AVX2 __m256i between(__m256i v, char low, char high)
{
    return _mm256_and_si256(_mm256_cmpgt_epi8(v, _mm256_set1_epi8((char)(low - 1))),
                            _mm256_cmpgt_epi8(_mm256_set1_epi8((char)(high + 1)), v));
}

// Each kind of character is the same distance away from its value.
static AVX2 size_t decode_avx2(const uint8_t *p, size_t n, uint8_t *to)
{
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
    const __m256i closer = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
    size_t i = 0;
    for (; i + 32 <= n; i += 32, to += 24) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        __m256i upper = between(v, 'A', 'Z'), lower = between(v, 'a', 'z'), digit = between(v, '0', '9');
        __m256i plus = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('+'));
        __m256i slash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('/'));
        __m256i known = _mm256_or_si256(_mm256_or_si256(upper, lower),
                                        _mm256_or_si256(digit, _mm256_or_si256(plus, slash)));
        if (_mm256_movemask_epi8(known) != -1)
            break;
        __m256i add = _mm256_and_si256(upper, _mm256_set1_epi8(0 - 'A'));
        add = _mm256_or_si256(add, _mm256_and_si256(lower, _mm256_set1_epi8(26 - 'a')));
        add = _mm256_or_si256(add, _mm256_and_si256(digit, _mm256_set1_epi8(52 - '0')));
        add = _mm256_or_si256(add, _mm256_and_si256(plus, _mm256_set1_epi8(62 - '+')));
        add = _mm256_or_si256(add, _mm256_and_si256(slash, _mm256_set1_epi8(63 - '/')));
        v = _mm256_add_epi8(v, add);
        v = _mm256_maddubs_epi16(v, _mm256_set1_epi16(0x0140));  // pairs: 12 bits of 16
        v = _mm256_madd_epi16(v, _mm256_set1_epi32(0x00011000)); // fours: 24 bits of 32
        v = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(v, order), closer);
        _mm256_storeu_si256((__m256i *)(void *)to, v);
    }
    return i;
}
#endif

static size_t decode_usual(const uint8_t table[256], const uint8_t *p, size_t n, uint8_t *to)
{
    size_t i = 0;
#if defined(__x86_64__)
    if (n >= 32 && __builtin_cpu_supports("avx2"))
        i = decode_avx2(p, n, to);
#endif
    return i + decode_plain(table, p + i, n - i, to + i / 4 * 3);
}

static bool decode(struct gtv_str text, uint8_t *to, size_t *len, struct gtv_error *err)
{
    uint8_t table[256];
    fill_table(table);
    const uint8_t *p = (const uint8_t *)text.p;
    size_t i = 0, n = 0;
    unsigned quantum = 0, pads = 0;
    uint32_t bits = 0;
    while (i < text.n) {
        if (quantum == 0 && pads == 0) {
            size_t usual = decode_usual(table, p + i, text.n - i, to + n);
            i += usual;
            n += usual / 4 * 3;
        }
        if (i == text.n)
            break;
        uint8_t v = table[p[i]];
        if (v == BAD || (v < SKIP && pads))
            return bad_at(err, i,
                          v == BAD ? "a character that does not belong there" : "data after the padding");
        i++;
        if (v == PAD) {
            if (++pads > 2)
                return bad_at(err, i - 1, "wrong padding");
        } else if (v != SKIP) {
            bits = bits << 6 | v;
            if (++quantum == 4) {
                to[n++] = (uint8_t)(bits >> 16);
                to[n++] = (uint8_t)(bits >> 8);
                to[n++] = (uint8_t)bits;
                quantum = 0;
                bits = 0;
            }
        }
    }
    if (!check_end(quantum, pads, text.n, err))
        return false;
    if (quantum == 2) {
        to[n++] = (uint8_t)(bits >> 4);
    } else if (quantum == 3) {
        to[n++] = (uint8_t)(bits >> 10);
        to[n++] = (uint8_t)(bits >> 2);
    }
    *len = n;
    return true;
}

size_t gtv_base64_room(size_t n)
{
    return n / 4 * 3 + 4 + 32; // the vector code writes some bytes beyond
}

bool gtv_base64_decode_into(struct gtv_str text, uint8_t *out, size_t *len, struct gtv_error *err)
{
    return drop_prefix(&text, err) && decode(text, out, len, err);
}

bool gtv_base64_decode(struct gtv_str text, uint8_t **out, size_t *len, struct gtv_error *err)
{
    uint8_t *to = malloc(gtv_base64_room(text.n));
    if (!to) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "there is no memory for this picture");
        return false;
    }
    if (!gtv_base64_decode_into(text, to, len, err)) {
        free(to);
        return false;
    }
    *out = to;
    return true;
}
