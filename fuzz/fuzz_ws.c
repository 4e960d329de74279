// WebSocket frames of a client: the first byte chooses the size of the pieces they come in; whatever it is,
// the same bytes must give the same messages and the same end. Its topmost bit: compression was agreed on.
#include "lib/ws/codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_MESSAGE = 4096 };

struct trace {
    uint64_t hash;
};

static bool note(struct trace *t, unsigned what, struct gtv_str s)
{
    t->hash = (t->hash ^ what) * UINT64_C(1099511628211);
    for (size_t i = 0; i < s.n; i++)
        t->hash = (t->hash ^ (uint8_t)s.p[i]) * UINT64_C(1099511628211);
    return true;
}

static bool on_message(void *arg, enum gtv_ws_opcode kind, struct gtv_str message)
{
    if (message.n > MAX_MESSAGE || (kind == GTV_WS_TEXT && !gtv_utf8_valid(message)))
        abort();
    return note(arg, (unsigned)kind, message);
}

static bool on_ping(void *arg, struct gtv_str payload)
{
    if (payload.n > 125)
        abort();
    return note(arg, 100, payload);
}

static bool on_pong(void *arg, struct gtv_str payload)
{
    return note(arg, 101, payload);
}

static bool on_close(void *arg, uint16_t code, struct gtv_str reason)
{
    return note(arg, code, reason);
}

static uint64_t decode(const uint8_t *data, size_t n, size_t step, bool deflate)
{
    static const struct gtv_ws_decoder_events events = {on_message, on_ping, on_pong, on_close};
    struct gtv_ws_decoder d;
    struct trace t = {0};
    uint16_t rc = 0;
    gtv_ws_decoder_init(&d, MAX_MESSAGE, &events, &t);
    d.deflate = deflate;
    for (size_t at = 0; at < n && rc == 0;) {
        size_t part = n - at < step ? n - at : step;
        rc = gtv_ws_decoder_feed(&d, data + at, part);
        at += part;
    }
    gtv_ws_decoder_finish(&d);
    (void)note(&t, rc, (struct gtv_str){NULL, 0});
    return t.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    bool deflate = data[0] & 0x80;
    if (decode(data + 1, n - 1, n, deflate) != decode(data + 1, n - 1, (size_t)data[0] % 16 + 1, deflate))
        abort();
    return 0;
}
