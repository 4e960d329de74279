#include "services/ai/picture/resample_simd.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

bool gtv_resample_has_simd(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

// The group's inputs as indices into 16 bytes; false when they lie too far apart.
static bool pick(const struct gtv_axis *a, int first, int lanes, struct gtv_axis_group *g)
{
    int each = 16 / lanes;
    g->from = a->start[first];
    for (int i = 0; i < lanes; i++) {
        int at = (first + i < a->out ? a->start[first + i] : a->start[a->out - 1]) - g->from;
        if (at < 0 || at + each > 16)
            return false;
        for (int k = 0; k < each; k++)
            g->pick[i * each + k] = (int8_t)(at + k);
        if (each == 2 && first + i < a->out)
            memcpy(g->weight + (size_t)i * 2, a->weight + (size_t)(first + i) * (size_t)a->stride, 2);
    }
    return true;
}

void gtv_axis_group(struct gtv_axis *a)
{
    a->lanes = 0;
    // With one input there is nothing to pick, and beyond 32 taps a row has no slack for the last loads.
    if (!gtv_resample_has_simd() || a->taps < 2 || a->taps > 32)
        return;
    for (int lanes = a->taps == 2 ? 8 : 4; lanes >= 4; lanes -= 4) {
        bool all = true;
        for (int i = 0; i < a->out && all; i += lanes)
            all = pick(a, i, lanes, &a->groups[i / lanes]);
        if (all) {
            a->lanes = lanes;
            return;
        }
    }
}

static inline AVX2 __m128i load(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

// Two taps: eight outputs of a group.
static AVX2 void across_two(const struct gtv_axis *a, const uint8_t *row, int8_t *to)
{
    const __m128i sign = _mm_set1_epi8((char)0x80), half = _mm_set1_epi16(GTV_AXIS_ONE / 2);
    int i = 0;
    for (; i + 8 <= a->out; i += 8) {
        const struct gtv_axis_group *g = &a->groups[i / 8];
        __m128i x = _mm_xor_si128(_mm_shuffle_epi8(load(row + g->from), load(g->pick)), sign);
        __m128i sum = _mm_srai_epi16(_mm_add_epi16(_mm_maddubs_epi16(load(g->weight), x), half), 7);
        _mm_storel_epi64((__m128i *)(to + i), _mm_packs_epi16(sum, sum));
    }
    for (; i < a->out; i++) {
        const uint8_t *p = row + a->start[i], *w = a->weight + (size_t)i * 4;
        to[i] = (int8_t)(((p[0] - 128) * w[0] + (p[1] - 128) * w[1] + GTV_AXIS_ONE / 2) >> 7);
    }
}

// Any number of taps, four at a time: four outputs of a group.
static AVX2 void across_four(const struct gtv_axis *a, const uint8_t *row, int8_t *to)
{
    const __m128i sign = _mm_set1_epi8((char)0x80), ones = _mm_set1_epi16(1);
    const __m128i half = _mm_set1_epi32(GTV_AXIS_ONE / 2);
    size_t stride = (size_t)a->stride;
    int i = 0;
    for (; i + 4 <= a->out; i += 4) {
        const struct gtv_axis_group *g = &a->groups[i / 4];
        const uint8_t *w = a->weight + (size_t)i * stride;
        __m128i picks = load(g->pick), sum = _mm_setzero_si128();
        for (int k = 0; k < a->stride; k += 4) {
            int each[4];
            for (size_t n = 0; n < 4; n++)
                memcpy(&each[n], w + n * stride + k, 4);
            __m128i weights = _mm_setr_epi32(each[0], each[1], each[2], each[3]);
            __m128i x = _mm_xor_si128(_mm_shuffle_epi8(load(row + g->from + k), picks), sign);
            sum = _mm_add_epi16(sum, _mm_maddubs_epi16(weights, x));
        }
        __m128i four = _mm_srai_epi32(_mm_add_epi32(_mm_madd_epi16(sum, ones), half), 7);
        four = _mm_packs_epi32(four, four);
        int bytes = _mm_cvtsi128_si32(_mm_packs_epi16(four, four));
        memcpy(to + i, &bytes, 4);
    }
    for (; i < a->out; i++) {
        const uint8_t *p = row + a->start[i], *w = a->weight + (size_t)i * stride;
        int sum = GTV_AXIS_ONE / 2;
        for (int k = 0; k < a->taps; k++)
            sum += (p[k] - 128) * w[k];
        to[i] = (int8_t)(sum >> 7);
    }
}

AVX2 void gtv_across_simd(const struct gtv_axis *a, const uint8_t *row, int8_t *to)
{
    if (a->lanes == 8)
        across_two(a, row, to);
    else
        across_four(a, row, to);
}

// The sums of 32 columns, less 128 * 128: in each half, low has the first eight and high the second eight.
static inline AVX2 void mix(const struct gtv_taps *t, int x, __m256i *low, __m256i *high)
{
    *low = *high = _mm256_setzero_si256();
    for (int k = 0; k < t->count; k += 2) {
        const int8_t *a = t->ring + (size_t)((t->first + k) & t->mask) * t->stride + x;
        const int8_t *b = t->ring + (size_t)((t->first + k + 1) & t->mask) * t->stride + x;
        bool two = k + 1 < t->count;
        __m256i va = _mm256_loadu_si256((const __m256i *)(const void *)a);
        __m256i vb = two ? _mm256_loadu_si256((const __m256i *)(const void *)b) : _mm256_setzero_si256();
        __m256i w = _mm256_set1_epi16((short)(t->weight[k] | (two ? t->weight[k + 1] : 0) << 8));
        *low = _mm256_add_epi16(*low, _mm256_maddubs_epi16(w, _mm256_unpacklo_epi8(va, vb)));
        *high = _mm256_add_epi16(*high, _mm256_maddubs_epi16(w, _mm256_unpackhi_epi8(va, vb)));
    }
}

// To 16ths.
static inline AVX2 __m256i value(__m256i sum)
{
    return _mm256_srli_epi16(_mm256_add_epi16(sum, _mm256_set1_epi16(128 * GTV_AXIS_ONE)), 3);
}

static inline AVX2 __m256i times(__m256i sum, int k)
{
    return _mm256_mulhi_epi16(sum, _mm256_set1_epi16((short)k));
}

static inline AVX2 __m256i pack(__m256i low, __m256i high)
{
    const __m256i half = _mm256_set1_epi16(8);
    return _mm256_packus_epi16(_mm256_srai_epi16(_mm256_add_epi16(low, half), 4),
                               _mm256_srai_epi16(_mm256_add_epi16(high, half), 4));
}

// 16 pixels of each colour, to 48 bytes.
static inline AVX2 void weave(__m128i r, __m128i g, __m128i b, uint8_t *to)
{
    static const int8_t at[3][3][16] = {
        {{0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5},
         {-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1},
         {-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1}},
        {{-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1},
         {5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10},
         {-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1}},
        {{-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1},
         {-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1},
         {10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15}},
    };
    for (size_t i = 0; i < 3; i++) {
        __m128i v = _mm_or_si128(_mm_shuffle_epi8(r, load(at[i][0])), _mm_shuffle_epi8(g, load(at[i][1])));
        v = _mm_or_si128(v, _mm_shuffle_epi8(b, load(at[i][2])));
        _mm_storeu_si128((__m128i *)(to + 16 * i), v);
    }
}

static inline AVX2 void weave_all(__m256i r, __m256i g, __m256i b, uint8_t *to)
{
    weave(_mm256_castsi256_si128(r), _mm256_castsi256_si128(g), _mm256_castsi256_si128(b), to);
    weave(_mm256_extracti128_si256(r, 1), _mm256_extracti128_si256(g, 1), _mm256_extracti128_si256(b, 1),
          to + 48);
}

static inline AVX2 __m256i green(__m256i y, __m256i b, __m256i r)
{
    return _mm256_sub_epi16(_mm256_sub_epi16(y, times(b, GTV_YCC_GREEN_B)), times(r, GTV_YCC_GREEN_R));
}

AVX2 void gtv_down_simd(const struct gtv_taps t[3], enum gtv_resample_color color, int width, uint8_t *rgb)
{
    for (int x = 0; x < width; x += 32, rgb += 96) {
        __m256i yl, yh, bl, bh, rl, rh;
        mix(&t[0], x, &yl, &yh);
        yl = value(yl);
        yh = value(yh);
        if (color == GTV_RESAMPLE_GREY) {
            __m256i v = pack(yl, yh);
            weave_all(v, v, v, rgb);
            continue;
        }
        mix(&t[1], x, &bl, &bh);
        mix(&t[2], x, &rl, &rh);
        if (color == GTV_RESAMPLE_RGB) {
            weave_all(pack(yl, yh), pack(value(bl), value(bh)), pack(value(rl), value(rh)), rgb);
            continue;
        }
        __m256i red =
            pack(_mm256_add_epi16(yl, times(rl, GTV_YCC_RED)), _mm256_add_epi16(yh, times(rh, GTV_YCC_RED)));
        __m256i blue = pack(_mm256_add_epi16(yl, times(bl, GTV_YCC_BLUE)),
                            _mm256_add_epi16(yh, times(bh, GTV_YCC_BLUE)));
        weave_all(red, pack(green(yl, bl, rl), green(yh, bh, rh)), blue, rgb);
    }
}

#else

bool gtv_resample_has_simd(void)
{
    return false;
}

void gtv_axis_group(struct gtv_axis *a)
{
    a->lanes = 0;
}

void gtv_across_simd(const struct gtv_axis *a, const uint8_t *row, int8_t *to)
{
}

void gtv_down_simd(const struct gtv_taps t[3], enum gtv_resample_color color, int width, uint8_t *rgb)
{
}

#endif
