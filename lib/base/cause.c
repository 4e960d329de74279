#include "lib/base/cause.h"

#include "lib/base/clock.h"

#include <stdio.h>
#include <sys/random.h>

enum { TRACE_LEN = 32, SPAN_LEN = 16, PARENT_LEN = 55 };

// Every request comes by here: a table, and no branch a character.
static const bool id_chars[256] = {
    ['-'] = true,         ['.'] = true,         ['_'] = true,
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

bool gtv_request_id_valid(struct gtv_str id)
{
    if (id.n == 0 || id.n > GTV_REQUEST_ID_MAX)
        return false;
    bool ok = true;
    for (size_t i = 0; i < id.n; i++)
        ok &= id_chars[(unsigned char)id.p[i]];
    return ok;
}

void gtv_cause_set_request(struct gtv_cause *c, struct gtv_str id)
{
    size_t n = gtv_request_id_valid(id) ? id.n : 0;
    if (n)
        memcpy(c->request, id.p, n);
    c->request[n] = '\0';
}

static bool is_hex(struct gtv_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    }
    return true;
}

static bool is_zero(struct gtv_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '0')
            return false;
    }
    return true;
}

// version "-" trace-id "-" parent-id "-" trace-flags; later versions may go on after another hyphen.
bool gtv_cause_set_trace(struct gtv_cause *c, struct gtv_str s)
{
    if (s.n < PARENT_LEN || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-')
        return false;
    struct gtv_str version = {s.p, 2}, trace = {s.p + 3, TRACE_LEN}, parent = {s.p + 36, SPAN_LEN},
                   flags = {s.p + 53, 2};
    if (!is_hex(version) || !is_hex(trace) || !is_hex(parent) || !is_hex(flags) || is_zero(trace) ||
        is_zero(parent) || gtv_str_eq(version, GTV_STR("ff")))
        return false;
    if (s.n > PARENT_LEN && (is_zero(version) || s.p[PARENT_LEN] != '-'))
        return false;
    memcpy(c->trace, trace.p, TRACE_LEN);
    memcpy(c->parent, parent.p, SPAN_LEN);
    memcpy(c->flags, flags.p, 2);
    c->trace[TRACE_LEN] = c->parent[SPAN_LEN] = c->flags[2] = '\0';
    return true;
}

void gtv_cause_add_state(struct gtv_cause *c, struct gtv_str s)
{
    size_t have = strlen(c->state), comma = have ? 1 : 0;
    if (s.n == 0 || have + comma + s.n > GTV_TRACE_STATE_MAX)
        return;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return;
    }
    if (comma)
        c->state[have++] = ',';
    memcpy(c->state + have, s.p, s.n);
    c->state[have + s.n] = '\0';
}

bool gtv_cause_traceparent(const struct gtv_cause *c, char out[GTV_TRACEPARENT_CAP])
{
    uint64_t span = 0;
    if (!c->trace[0])
        return false;
    if (getrandom(&span, sizeof(span), GRND_NONBLOCK) != (ssize_t)sizeof(span))
        span = (uint64_t)gtv_wall_us();
    // Version 00 is what we write, whatever version came (section 3.2.4).
    (void)snprintf(out, GTV_TRACEPARENT_CAP, "00-%s-%016llx-%s", c->trace, (unsigned long long)(span | 1),
                   c->flags);
    return true;
}
