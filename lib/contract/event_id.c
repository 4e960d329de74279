#include "lib/contract/event_id.h"

static bool parse_u64(struct gtv_str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > 20)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool gtv_event_id_parse(struct gtv_str text, struct gtv_event_id *out)
{
    struct gtv_str ms = gtv_str_cut(&text, '-');
    struct gtv_event_id id = {0};
    // "1-" is none: what follows a dash must be a number.
    bool dash = text.p && text.p > ms.p + ms.n;
    if (!parse_u64(ms, &id.ms) || (dash && !parse_u64(text, &id.n)))
        return false;
    *out = id;
    return true;
}

int gtv_event_id_cmp(struct gtv_event_id a, struct gtv_event_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}
