// Finds the credentials of URLs in any text. Rather too much is hidden than too little: a raw '/', '?' or '#'
// in a password does not end the search for its '@', although a strict parser would end it there.
#include "lib/base/url.h"

#include "lib/base/str.h"

// The ways in which "://" and its "@" come: plain, with JSON's optional escape, percent-encoded inside
// another URL's query.
static const struct form {
    const char *marker, *at;
} forms[] = {{"://", "@"}, {":\\/\\/", "@"}, {"%3A%2F%2F", "%40"}};

static bool has_prefix(struct gtv_str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && gtv_str_ieq((struct gtv_str){s.p, n}, (struct gtv_str){prefix, n});
}

static const struct form *form_at(struct gtv_str s)
{
    if (s.p[0] != ':' && s.p[0] != '%')
        return NULL;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (has_prefix(s, forms[i].marker))
            return &forms[i];
    }
    return NULL;
}

// A quote ends a URL where a quoted value can end; inside a password it is one more character.
static bool ends_url(struct gtv_str s, size_t i)
{
    unsigned char c = (unsigned char)s.p[i];
    if (c <= 0x20 || c == 0x7f)
        return true;
    if (c != '"' && c != '\'')
        return false;
    return i + 1 == s.n || (unsigned char)s.p[i + 1] <= 0x20 || (s.p[i + 1] && strchr(",}]):;", s.p[i + 1]));
}

// Length of the user information with its @ at the start of s, or 0.
static size_t userinfo_length(struct gtv_str s, const struct form *form)
{
    size_t found = 0;
    for (size_t i = 0; i < s.n && !ends_url(s, i); i++) {
        struct gtv_str rest = {s.p + i, s.n - i};
        if (form_at(rest))
            break;
        if (has_prefix(rest, form->at))
            found = i + strlen(form->at);
    }
    return found;
}

static void put(char *out, size_t cap, size_t *len, struct gtv_str s)
{
    for (size_t i = 0; i < s.n && *len + 1 < cap; i++)
        out[(*len)++] = s.p[i];
}

size_t gtv_redact(struct gtv_str s, char *out, size_t cap)
{
    size_t len = 0;
    if (cap == 0)
        return 0;
    while (s.n && len + 1 < cap) {
        const struct form *form = form_at(s);
        size_t take = form ? strlen(form->marker) : 1;
        put(out, cap, &len, (struct gtv_str){s.p, take});
        s.p += take;
        s.n -= take;
        size_t secret = form ? userinfo_length(s, form) : 0;
        if (secret) {
            put(out, cap, &len, GTV_STR("***"));
            put(out, cap, &len, gtv_str_of(form->at));
            s.p += secret;
            s.n -= secret;
        }
    }
    out[len] = '\0';
    return len;
}
