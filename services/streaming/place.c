#include "services/streaming/place.h"

#include <math.h>

static uint64_t mixed(uint64_t x)
{
    // The finaliser of MurmurHash3: FNV alone leaves the high bits of similar names alike.
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

static uint64_t fnv1a(uint64_t h, struct gtv_str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * UINT64_C(0x100000001b3);
    return h;
}

uint64_t gtv_place_seed(struct gtv_str id)
{
    return mixed(fnv1a(UINT64_C(0xcbf29ce484222325), id));
}

int gtv_place(struct gtv_str name, const uint64_t *seeds, const double *weights, size_t n, uint32_t mask)
{
    uint64_t h = fnv1a(UINT64_C(0xcbf29ce484222325), name);
    double best = 0;
    int winner = -1;
    for (size_t i = 0; i < n && i < GTV_PLACE_MAX; i++) {
        if (!(mask >> i & 1))
            continue;
        // In (0, 1), so that the logarithm is finite and below 0.
        double u = ((double)(mixed(h ^ seeds[i]) >> 11) + 0.5) / 9007199254740992.0;
        double score = -weights[i] / log(u);
        if (winner < 0 || score > best) {
            best = score;
            winner = (int)i;
        }
    }
    return winner;
}
