#include "lib/contract/plate.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return c >= 'A' && c <= 'Z';
}

bool gtv_plate_key(struct gtv_str text, char out[GTV_PLATE_KEY_MAX + 1])
{
    size_t n = 0;
    bool ok = true;
    for (size_t i = 0; i < text.n && ok; i++) {
        char c = text.p[i];
        if (c == ' ' || c == '-' || c == '.')
            continue;
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        ok = (is_digit(c) || is_letter(c)) && n < GTV_PLATE_KEY_MAX;
        if (ok)
            out[n++] = c;
    }
    out[ok ? n : 0] = '\0';
    if (!ok || n == 0)
        return false;
    bool mercosul = n == 7 && is_letter(out[0]) && is_letter(out[1]) && is_letter(out[2]) &&
                    is_digit(out[3]) && is_letter(out[4]) && is_digit(out[5]) && is_digit(out[6]);
    if (mercosul && out[4] <= 'J')
        out[4] = (char)(out[4] - 'A' + '0');
    return true;
}
