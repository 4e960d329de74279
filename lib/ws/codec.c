#include "lib/ws/codec.h"

#include "lib/ws/deflate.h"

#include <openssl/evp.h>
#include <string.h>

enum { STOP = 1, PROTOCOL_ERROR = 1002, NOT_UTF8 = 1007, CORRUPT = 1007, TOO_BIG = 1009, NO_MEMORY = 1011 };
enum { CLEAR = 4096 }; // compressed bytes unmasked at once

// Incompressible data grows by 5 bytes a block; a sender that flushes after every word is not our problem.
static uint64_t max_wire(const struct gtv_ws_decoder *d)
{
    return d->max_message + d->max_message / 8 + 1024;
}

void gtv_ws_decoder_init(struct gtv_ws_decoder *d, size_t max_message,
                         const struct gtv_ws_decoder_events *events, void *arg)
{
    memset(d, 0, sizeof *d);
    d->events = *events;
    d->arg = arg;
    d->max_message = max_message;
    d->head_need = 2;
    gtv_buf_init(&d->message, max_message);
}

void gtv_ws_decoder_finish(struct gtv_ws_decoder *d)
{
    gtv_buf_finish(&d->message);
    gtv_ws_inflater_destroy(d->inflater);
    d->inflater = NULL;
}

static bool is_control(uint8_t opcode)
{
    return opcode >= GTV_WS_CLOSE;
}

// The lead byte of a character tells how many follow, and narrows the first of them (RFC 3629, section 4):
// no over-long form, no surrogate, nothing beyond U+10FFFF. False when no character begins so.
static bool utf8_lead(struct gtv_ws_decoder *d, uint8_t b)
{
    d->utf8_low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
    d->utf8_high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    d->utf8_need = (uint8_t)(b < 0x80 ? 0 : b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3);
    return b < 0x80 || (b >= 0xc2 && b <= 0xf4);
}

// Goes on with the text where the last call left off.
static bool utf8_goes_on(struct gtv_ws_decoder *d, const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (d->utf8_need == 0 && n - i >= sizeof eight) {
            memcpy(&eight, p + i, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        uint8_t b = p[i++];
        if (d->utf8_need == 0) {
            if (!utf8_lead(d, b))
                return false;
            continue;
        }
        if (b < d->utf8_low || b > d->utf8_high)
            return false;
        d->utf8_need--;
        d->utf8_low = 0x80;
        d->utf8_high = 0xbf;
    }
    return true;
}

// Takes the mask off; phase: how many payload bytes came before.
static void unmask(uint8_t *p, size_t n, const uint8_t mask[4], uint64_t phase)
{
    uint8_t turned[8];
    for (unsigned i = 0; i < 8; i++)
        turned[i] = mask[(phase + i) & 3];
    uint64_t wide, word;
    memcpy(&wide, turned, sizeof wide);
    size_t i = 0;
    for (; i + sizeof word <= n; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        word ^= wide;
        memcpy(p + i, &word, sizeof word);
    }
    for (; i < n; i++)
        p[i] ^= turned[i & 7];
}

// The first two bytes tell how long the head is and whether the frame is allowed at this point (RFC 6455, 5.2
// to 5.5).
static uint16_t head_begins(struct gtv_ws_decoder *d)
{
    uint8_t b0 = d->head[0], b1 = d->head[1], len = b1 & 0x7f;
    d->fin = b0 & 0x80;
    d->opcode = b0 & 0x0f;
    // Of the reserved bits only the first has a meaning, where a message begins (RFC 7692, 6); clients always
    // mask.
    bool compressed = b0 & GTV_WS_RSV1, begins = d->opcode == GTV_WS_TEXT || d->opcode == GTV_WS_BINARY;
    if ((b0 & 0x30) || (compressed && !(d->deflate && begins)) || !(b1 & 0x80))
        return PROTOCOL_ERROR;
    if (is_control(d->opcode)) {
        if (d->opcode > GTV_WS_PONG || !d->fin || len > 125)
            return PROTOCOL_ERROR;
    } else {
        bool continues = d->opcode == GTV_WS_CONTINUATION;
        if (d->opcode > GTV_WS_BINARY || continues != (d->message_opcode != 0))
            return PROTOCOL_ERROR;
        if (begins)
            d->compressed = compressed;
    }
    d->head_need = (uint8_t)(2 + (len == 126 ? 2 : len == 127 ? 8 : 0) + 4);
    return 0;
}

static uint16_t head_ends(struct gtv_ws_decoder *d)
{
    uint8_t len = d->head[1] & 0x7f;
    unsigned ext = len == 126 ? 2 : len == 127 ? 8 : 0;
    uint64_t n = len;
    if (ext) {
        n = 0;
        for (unsigned i = 0; i < ext; i++)
            n = n << 8 | d->head[2 + i];
        // The shortest form is a must, and the topmost bit a must not.
        if (n < 126 || (ext == 8 && (n <= 0xffff || n >> 63)))
            return PROTOCOL_ERROR;
    }
    memcpy(d->mask, d->head + 2 + ext, 4);
    d->left = n;
    d->at = 0;
    if (is_control(d->opcode)) {
        d->control_len = 0;
        return 0;
    }
    if (d->opcode != GTV_WS_CONTINUATION)
        d->message_opcode = d->opcode;
    if (!d->compressed)
        return n > d->max_message - d->message.len ? TOO_BIG : 0;
    if (n > max_wire(d) || d->wire + n > max_wire(d))
        return TOO_BIG;
    d->wire += n;
    if (!d->inflater)
        d->inflater = gtv_ws_inflater_create();
    return d->inflater ? 0 : NO_MEMORY;
}

static bool close_code_allowed(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static uint16_t control_ends(struct gtv_ws_decoder *d)
{
    struct gtv_str payload = {(const char *)d->control, d->control_len};
    if (d->opcode == GTV_WS_PING)
        return d->events.on_ping(d->arg, payload) ? 0 : STOP;
    if (d->opcode == GTV_WS_PONG)
        return d->events.on_pong(d->arg, payload) ? 0 : STOP;
    uint16_t code = 1005;
    if (payload.n == 1)
        return PROTOCOL_ERROR;
    if (payload.n >= 2) {
        code = (uint16_t)(d->control[0] << 8 | d->control[1]);
        payload = (struct gtv_str){payload.p + 2, payload.n - 2};
        if (!close_code_allowed(code))
            return PROTOCOL_ERROR;
        if (!gtv_utf8_valid(payload))
            return NOT_UTF8;
    }
    (void)d->events.on_close(d->arg, code, payload);
    return STOP;
}

// Bytes of the message as its receiver will see it.
static uint16_t add(struct gtv_ws_decoder *d, const uint8_t *data, size_t n)
{
    size_t room = d->max_message - d->message.len, fits = n < room ? n : room;
    if (fits && !gtv_buf_append(&d->message, data, fits))
        return TOO_BIG;
    if (d->message_opcode == GTV_WS_TEXT && !utf8_goes_on(d, data, fits))
        return NOT_UTF8;
    return fits < n ? TOO_BIG : 0;
}

struct inflating {
    struct gtv_ws_decoder *decoder;
    uint16_t rc;
};

static bool on_inflated(void *arg, const uint8_t *data, size_t n)
{
    struct inflating *i = arg;
    i->rc = add(i->decoder, data, n);
    return i->rc == 0;
}

static uint16_t outcome(const struct inflating *i, enum gtv_ws_inflated how)
{
    return how == GTV_WS_INFLATED ? 0 : how == GTV_WS_INFLATE_STOPPED ? i->rc : CORRUPT;
}

static uint16_t take_compressed(struct gtv_ws_decoder *d, const uint8_t *data, size_t n)
{
    struct inflating i = {d, 0};
    uint8_t clear[CLEAR];
    uint16_t rc = 0;
    while (n && rc == 0) {
        size_t part = n < sizeof clear ? n : sizeof clear;
        memcpy(clear, data, part);
        unmask(clear, part, d->mask, d->at);
        d->at += part;
        data += part;
        n -= part;
        rc = outcome(&i, gtv_ws_inflate(d->inflater, clear, part, on_inflated, &i));
    }
    return rc;
}

static uint16_t compressed_ends(struct gtv_ws_decoder *d)
{
    struct inflating i = {d, 0};
    uint16_t rc = outcome(&i, gtv_ws_inflate_end(d->inflater, on_inflated, &i));
    gtv_ws_inflater_destroy(d->inflater);
    d->inflater = NULL;
    d->wire = 0;
    d->compressed = false;
    return rc;
}

static uint16_t frame_ends(struct gtv_ws_decoder *d)
{
    d->head_len = 0;
    d->head_need = 2;
    if (is_control(d->opcode))
        return control_ends(d);
    if (!d->fin)
        return 0;
    uint16_t rc = d->compressed ? compressed_ends(d) : 0;
    if (rc)
        return rc;
    struct gtv_str message = gtv_buf_str(&d->message);
    enum gtv_ws_opcode kind = d->message_opcode;
    if (d->utf8_need)
        return NOT_UTF8; // ends within a character
    d->message_opcode = 0;
    bool go_on = d->events.on_message(d->arg, kind, message);
    // An idle connection holds no buffer.
    if (go_on) {
        gtv_buf_finish(&d->message);
        gtv_buf_init(&d->message, d->max_message);
    }
    return go_on ? 0 : STOP;
}

static uint16_t take_payload(struct gtv_ws_decoder *d, const uint8_t *data, size_t n)
{
    if (d->compressed && !is_control(d->opcode))
        return take_compressed(d, data, n);
    uint8_t *clear = d->control + d->control_len;
    if (is_control(d->opcode)) {
        memcpy(clear, data, n); // what is left of it fits: its length was checked
        d->control_len = (uint8_t)(d->control_len + n);
    } else {
        size_t at = d->message.len;
        if (!gtv_buf_append(&d->message, data, n))
            return TOO_BIG;
        clear = (uint8_t *)d->message.data + at;
    }
    unmask(clear, n, d->mask, d->at);
    d->at += n;
    if (!is_control(d->opcode) && d->message_opcode == GTV_WS_TEXT && !utf8_goes_on(d, clear, n))
        return NOT_UTF8;
    return 0;
}

uint16_t gtv_ws_decoder_feed(struct gtv_ws_decoder *d, const uint8_t *data, size_t n)
{
    uint16_t rc = 0;
    while (rc == 0 && n) {
        if (d->head_len < d->head_need) {
            d->head[d->head_len++] = *data++;
            n--;
            if (d->head_len == 2)
                rc = head_begins(d);
            if (rc == 0 && d->head_len == d->head_need) {
                rc = head_ends(d);
                if (rc == 0 && d->left == 0)
                    rc = frame_ends(d);
            }
            continue;
        }
        size_t part = n < d->left ? n : (size_t)d->left;
        rc = take_payload(d, data, part);
        d->left -= part;
        data += part;
        n -= part;
        if (rc == 0 && d->left == 0)
            rc = frame_ends(d);
    }
    return rc;
}

struct gtv_bytes *gtv_ws_encode(enum gtv_ws_opcode opcode, const void *data, size_t n)
{
    struct gtv_bytes *b = gtv_bytes_create(n + 10);
    if (!b)
        return NULL;
    uint8_t *p = b->data;
    *p++ = (uint8_t)(0x80u | (unsigned)opcode);
    unsigned ext = n < 126 ? 0 : n <= 0xffff ? 2 : 8;
    *p++ = (uint8_t)(ext == 0 ? n : ext == 2 ? 126 : 127);
    for (unsigned i = ext; i > 0; i--)
        *p++ = (uint8_t)((uint64_t)n >> (8 * (i - 1)));
    if (n)
        memcpy(p, data, n);
    b->len = (size_t)(p - b->data) + n;
    return b;
}

bool gtv_ws_accept_key(struct gtv_str key, char out[29])
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    // Base64 of 16 bytes: 22 characters and two signs of padding.
    if (key.n != 24 || key.p[22] != '=' || key.p[23] != '=')
        return false;
    unsigned char raw[24];
    if (EVP_DecodeBlock(raw, (const unsigned char *)key.p, 24) != 18)
        return false;
    char text[24 + sizeof magic];
    memcpy(text, key.p, 24);
    memcpy(text + 24, magic, sizeof magic);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!EVP_Digest(text, 24 + sizeof magic - 1, digest, &len, EVP_sha1(), NULL) || len != 20)
        return false;
    EVP_EncodeBlock((unsigned char *)out, digest, 20);
    return true;
}
