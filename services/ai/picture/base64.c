#include "services/ai/picture/base64.h"

#include <stdlib.h>

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

static bool decode(struct gtv_str text, uint8_t *to, size_t *len, struct gtv_error *err)
{
    uint8_t table[256];
    fill_table(table);
    const uint8_t *p = (const uint8_t *)text.p;
    size_t i = 0, n = 0;
    unsigned quantum = 0, pads = 0;
    uint32_t bits = 0;
    while (i < text.n) {
        // Four at a time while nothing unusual is met.
        while (quantum == 0 && pads == 0 && i + 4 <= text.n) {
            uint8_t a = table[p[i]], b = table[p[i + 1]], c = table[p[i + 2]], d = table[p[i + 3]];
            if ((a | b | c | d) > 63)
                break;
            to[n] = (uint8_t)(a << 2 | b >> 4);
            to[n + 1] = (uint8_t)(b << 4 | c >> 2);
            to[n + 2] = (uint8_t)(c << 6 | d);
            n += 3;
            i += 4;
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

bool gtv_base64_decode(struct gtv_str text, uint8_t **out, size_t *len, struct gtv_error *err)
{
    if (!drop_prefix(&text, err))
        return false;
    uint8_t *to = malloc(text.n / 4 * 3 + 4);
    if (!to) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "there is no memory for this picture");
        return false;
    }
    if (!decode(text, to, len, err)) {
        free(to);
        return false;
    }
    *out = to;
    return true;
}
