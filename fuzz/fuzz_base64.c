// Base64 as clients of the ai service send it, against a plain decoder of the same rules.
#include "services/ai/picture/base64.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int value_of(uint8_t c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? memchr(alphabet, c, 64) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

// Characters and bits one by one; what lies behind a data: prefix was accepted already.
static void compare(struct gtv_str text, const uint8_t *out, size_t n)
{
    if (text.n >= 5 && (text.p[0] == 'd' || text.p[0] == 'D') && text.p[4] == ':')
        (void)gtv_str_cut(&text, ',');
    unsigned bits = 0, have = 0;
    size_t len = 0;
    for (size_t i = 0; i < text.n; i++) {
        int v = value_of((uint8_t)text.p[i]);
        if (v < 0)
            continue; // space, line break or padding
        bits = bits << 6 | (unsigned)v;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (len >= n || out[len++] != (uint8_t)(bits >> have))
            abort();
    }
    if (len != n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gtv_str text = {(const char *)data, size};
    uint8_t *out = NULL;
    size_t n = 0;
    struct gtv_error err = {0};
    if (gtv_base64_decode(text, &out, &n, &err)) {
        compare(text, out, n);
        free(out);
    } else if (err.code != GTV_E_INVALID) {
        abort();
    }
    return 0;
}
