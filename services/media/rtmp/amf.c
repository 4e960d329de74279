#include "services/media/rtmp/amf.h"

enum {
    NUMBER = 0x00,
    BOOLEAN = 0x01,
    STRING = 0x02,
    OBJECT = 0x03,
    NULL_VALUE = 0x05,
    UNDEFINED = 0x06,
    REFERENCE = 0x07,
    ECMA_ARRAY = 0x08,
    OBJECT_END = 0x09,
    STRICT_ARRAY = 0x0a,
    DATE = 0x0b,
    LONG_STRING = 0x0c,
    UNSUPPORTED = 0x0d,
    XML = 0x0f,
    TYPED_OBJECT = 0x10,
};

static bool fail(struct gtv_amf *a)
{
    a->failed = true;
    a->rest.n = 0;
    return false;
}

static bool take(struct gtv_amf *a, size_t n, const uint8_t **out)
{
    if (a->failed || a->rest.n < n) {
        return fail(a);
    }
    *out = (const uint8_t *)a->rest.p;
    a->rest.p += n;
    a->rest.n -= n;
    return true;
}

static bool take_size(struct gtv_amf *a, unsigned bytes, size_t *out)
{
    const uint8_t *p = NULL;
    if (!take(a, bytes, &p)) {
        return false;
    }
    *out = 0;
    for (unsigned i = 0; i < bytes; i++) {
        *out = *out << 8 | p[i];
    }
    return true;
}

static int marker(const struct gtv_amf *a)
{
    return a->failed || a->rest.n == 0 ? -1 : (uint8_t)a->rest.p[0];
}

static bool take_text(struct gtv_amf *a, unsigned length_bytes, struct gtv_str *out)
{
    size_t n = 0;
    const uint8_t *p = NULL;
    if (!take_size(a, length_bytes, &n) || !take(a, n, &p)) {
        return false;
    }
    *out = (struct gtv_str){(const char *)p, n};
    return true;
}

bool gtv_amf_number(struct gtv_amf *a, double *out)
{
    const uint8_t *p = NULL;
    if (marker(a) != NUMBER || !take(a, 9, &p)) {
        return false;
    }
    uint64_t bits = 0;
    for (int i = 1; i < 9; i++) {
        bits = bits << 8 | p[i];
    }
    memcpy(out, &bits, sizeof bits);
    return true;
}

bool gtv_amf_string(struct gtv_amf *a, struct gtv_str *out)
{
    int m = marker(a);
    size_t ignored = 0;
    if (m != STRING && m != LONG_STRING) {
        return false;
    }
    return take_size(a, 1, &ignored) && take_text(a, m == STRING ? 2 : 4, out);
}

bool gtv_amf_enter(struct gtv_amf *a)
{
    const uint8_t *p = NULL;
    switch (marker(a)) {
    case OBJECT:
        return take(a, 1, &p);
    case ECMA_ARRAY: // its count is only a hint
        return take(a, 5, &p);
    default:
        return false;
    }
}

bool gtv_amf_member(struct gtv_amf *a, struct gtv_str *key)
{
    if (!take_text(a, 2, key)) {
        return false;
    }
    if (key->n > 0 || marker(a) != OBJECT_END) {
        return a->rest.n > 0 || fail(a);
    }
    a->rest.p++;
    a->rest.n--;
    return false;
}

// Containers that are open while a value is skipped.
struct level {
    bool keyed;  // its members have keys and an end marker; else `left` values follow
    size_t left; // of keyed ones: members that it may still have
};

// One value, or the head of a container (then true in *opened).
static bool skip_one(struct gtv_amf *a, struct level *level, bool *opened)
{
    size_t m = 0, count = 0;
    struct gtv_str text;
    const uint8_t *p = NULL;
    *opened = false;
    if (!take_size(a, 1, &m)) {
        return false;
    }
    switch (m) {
    case NUMBER:
        return take(a, 8, &p);
    case BOOLEAN:
        return take(a, 1, &p);
    case STRING:
        return take_text(a, 2, &text);
    case LONG_STRING:
    case XML:
        return take_text(a, 4, &text);
    case NULL_VALUE:
    case UNDEFINED:
    case UNSUPPORTED:
        return true;
    case REFERENCE:
        return take(a, 2, &p);
    case DATE:
        return take(a, 10, &p);
    case TYPED_OBJECT:
        if (!take_text(a, 2, &text)) {
            return false;
        }
        break;
    case ECMA_ARRAY:
        if (!take(a, 4, &p)) {
            return false;
        }
        break;
    case OBJECT:
        break;
    case STRICT_ARRAY:
        if (!take_size(a, 4, &count) || count > GTV_AMF_MEMBERS_MAX) {
            return fail(a);
        }
        *opened = true;
        *level = (struct level){.keyed = false, .left = count};
        return true;
    default:
        return fail(a);
    }
    *opened = true;
    *level = (struct level){.keyed = true, .left = GTV_AMF_MEMBERS_MAX};
    return true;
}

bool gtv_amf_skip(struct gtv_amf *a)
{
    struct level open[GTV_AMF_DEPTH_MAX];
    size_t depth = 0;
    do {
        // Where a container ends, so may the one around it.
        if (depth > 0) {
            struct level *l = &open[depth - 1];
            struct gtv_str key;
            bool more = l->keyed ? gtv_amf_member(a, &key) : l->left > 0;
            if (a->failed || (l->keyed && more && l->left == 0)) {
                return fail(a);
            }
            if (!more) {
                depth--;
                continue;
            }
            l->left--;
        }
        struct level inner;
        bool opened = false;
        if (!skip_one(a, &inner, &opened)) {
            return false;
        }
        if (opened && depth == GTV_AMF_DEPTH_MAX) {
            return fail(a);
        }
        if (opened) {
            open[depth++] = inner;
        }
    } while (depth > 0);
    return true;
}

static void put_text(struct gtv_buf *b, const char *text)
{
    size_t n = strlen(text);
    uint8_t size[2] = {(uint8_t)(n >> 8), (uint8_t)n};
    gtv_buf_append(b, size, sizeof size);
    gtv_buf_append(b, text, n);
}

void gtv_amf_put_number(struct gtv_buf *b, double value)
{
    uint64_t bits = 0;
    uint8_t out[9] = {NUMBER};
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 8; i++) {
        out[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    gtv_buf_append(b, out, sizeof out);
}

void gtv_amf_put_string(struct gtv_buf *b, const char *text)
{
    gtv_buf_append(b, "\x02", 1);
    put_text(b, text);
}

void gtv_amf_put_null(struct gtv_buf *b)
{
    gtv_buf_append(b, "\x05", 1);
}

void gtv_amf_put_object(struct gtv_buf *b)
{
    gtv_buf_append(b, "\x03", 1);
}

void gtv_amf_put_key(struct gtv_buf *b, const char *text)
{
    put_text(b, text);
}

void gtv_amf_put_end(struct gtv_buf *b)
{
    gtv_buf_append(b, "\0\0\x09", 3);
}
