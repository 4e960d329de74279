#include "lib/ws/deflate.h"

#include "lib/base/mem.h"
#include "lib/ws/ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    PIECE = 4096,
    WINDOW_MIN = 9, // zlib cannot make a raw stream with 8
    WINDOW_MAX = GTV_WS_WINDOW_BITS_MAX,
    LEVEL = 6,
    MEMORY = 8,
    AT_BLOCK_BORDER = 128, // in z_stream's data_type
};

static const uint8_t tail[4] = {0x00, 0x00, 0xff, 0xff};

// ---- the offer ----

static struct gtv_str unquoted(struct gtv_str s)
{
    s = gtv_str_trim(s);
    return s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"' ? (struct gtv_str){s.p + 1, s.n - 2} : s;
}

struct offer {
    bool server_alone, client_alone, server_bits, client_bits; // which parameters there were
    unsigned bits;
};

static bool once(bool *seen)
{
    bool first = !*seen;
    *seen = true;
    return first;
}

static bool take_parameter(struct offer *o, struct gtv_str text)
{
    bool valued = gtv_str_find(text, '=') >= 0;
    struct gtv_str value = text, name = gtv_str_trim(gtv_str_cut(&value, '='));
    int64_t bits = WINDOW_MAX;
    value = unquoted(value);
    if (valued &&
        (value.n == 0 || value.p[0] < '1' || value.p[0] > '9' || !gtv_parse_int(value, 8, 15, &bits)))
        return false;
    if (gtv_str_eq(name, GTV_STR("server_no_context_takeover")))
        return !valued && once(&o->server_alone);
    if (gtv_str_eq(name, GTV_STR("client_no_context_takeover")))
        return !valued && once(&o->client_alone);
    if (gtv_str_eq(name, GTV_STR("client_max_window_bits")))
        return once(&o->client_bits);
    if (!gtv_str_eq(name, GTV_STR("server_max_window_bits")) || !valued || !once(&o->server_bits))
        return false;
    o->bits = (unsigned)bits;
    return bits >= WINDOW_MIN;
}

unsigned gtv_ws_deflate_accept(struct gtv_str offers, char out[GTV_WS_EXTENSION_CAP])
{
    while (offers.n) {
        struct gtv_str rest = gtv_str_cut(&offers, ',');
        struct offer o = {.bits = WINDOW_MAX};
        if (!gtv_str_eq(gtv_str_trim(gtv_str_cut(&rest, ';')), GTV_STR("permessage-deflate")))
            continue;
        bool good = true;
        while (good && rest.n)
            good = take_parameter(&o, gtv_str_cut(&rest, ';'));
        if (!good)
            continue;
        int n = snprintf(out, GTV_WS_EXTENSION_CAP,
                         "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        if (o.server_bits)
            snprintf(out + n, GTV_WS_EXTENSION_CAP - (size_t)n, "; server_max_window_bits=%u", o.bits);
        return o.bits;
    }
    return 0;
}

// ---- what comes ----

struct gtv_ws_inflater {
    z_stream z;
};

struct gtv_ws_inflater *gtv_ws_inflater_create(void)
{
    struct gtv_ws_inflater *f = GTV_NEW(struct gtv_ws_inflater);
    if (inflateInit2(&f->z, -WINDOW_MAX) == Z_OK)
        return f;
    free(f);
    return NULL;
}

void gtv_ws_inflater_destroy(struct gtv_ws_inflater *f)
{
    if (!f)
        return;
    (void)inflateEnd(&f->z);
    free(f);
}

enum gtv_ws_inflated gtv_ws_inflate(struct gtv_ws_inflater *f, const uint8_t *data, size_t n,
                                    bool (*on_data)(void *arg, const uint8_t *data, size_t n), void *arg)
{
    uint8_t out[PIECE];
    bool more = true;
    f->z.next_in = (uint8_t *)data;
    f->z.avail_in = (uInt)n; // a read's size
    while (more) {
        f->z.next_out = out;
        f->z.avail_out = sizeof out;
        int rc = inflate(&f->z, Z_SYNC_FLUSH);
        size_t got = sizeof out - f->z.avail_out;
        // What came out before an error counts first: the answer must not depend on how the bytes were cut.
        if (got && !on_data(arg, out, got))
            return GTV_WS_INFLATE_STOPPED;
        if (rc == Z_STREAM_END) {
            rc = inflateReset(&f->z); // a final block is allowed, and another may follow (RFC 7692, 7.2.3.4)
            more = f->z.avail_in > 0;
        } else {
            more = f->z.avail_in > 0 || f->z.avail_out == 0;
        }
        if (rc != Z_OK && rc != Z_BUF_ERROR)
            return GTV_WS_INFLATE_CORRUPT;
    }
    return GTV_WS_INFLATED;
}

enum gtv_ws_inflated gtv_ws_inflate_end(struct gtv_ws_inflater *f,
                                        bool (*on_data)(void *arg, const uint8_t *data, size_t n), void *arg)
{
    enum gtv_ws_inflated rc = gtv_ws_inflate(f, tail, sizeof tail, on_data, arg);
    // Data that ends within a block would take the four bytes for its own.
    return rc == GTV_WS_INFLATED && !(f->z.data_type & AT_BLOCK_BORDER) ? GTV_WS_INFLATE_CORRUPT : rc;
}

// ---- what goes ----

struct gtv_ws_deflater {
    z_stream z;
};

struct gtv_ws_deflater *gtv_ws_deflater_create(unsigned window_bits)
{
    struct gtv_ws_deflater *d = GTV_NEW(struct gtv_ws_deflater);
    int rc = deflateInit2(&d->z, LEVEL, Z_DEFLATED, -(int)window_bits, MEMORY, Z_DEFAULT_STRATEGY);
    if (rc == Z_OK)
        return d;
    free(d);
    return NULL;
}

void gtv_ws_deflater_destroy(struct gtv_ws_deflater *d)
{
    if (!d)
        return;
    (void)deflateEnd(&d->z);
    free(d);
}

struct gtv_bytes *gtv_ws_encode_deflated(struct gtv_ws_deflater *d, bool text, struct gtv_str message)
{
    // A frame that would not be smaller is not wanted: what does not fit into the message's own length is
    // none.
    if (message.n <= sizeof tail || message.n > UINT32_MAX)
        return NULL;
    uint8_t *out = malloc(message.n);
    if (!out)
        return NULL;
    (void)deflateReset(&d->z);
    d->z.next_in = (uint8_t *)message.p;
    d->z.avail_in = (uInt)message.n;
    d->z.next_out = out;
    d->z.avail_out = (uInt)message.n;
    int rc = deflate(&d->z, Z_SYNC_FLUSH);
    struct gtv_bytes *frame = NULL;
    size_t n = message.n - d->z.avail_out;
    // Room that is left says that all of it came out, the four bytes at the end included.
    if (rc == Z_OK && d->z.avail_in == 0 && d->z.avail_out > 0 && n > sizeof tail)
        frame = gtv_ws_encode((enum gtv_ws_opcode)(GTV_WS_RSV1 | (text ? GTV_WS_TEXT : GTV_WS_BINARY)), out,
                              n - sizeof tail);
    free(out);
    return frame;
}
