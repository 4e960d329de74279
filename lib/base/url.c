#include "lib/base/url.h"

#include "lib/base/str.h"

#include <arpa/inet.h>

enum { URL_MAX = 2048 };

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_unreserved(char c)
{
    return is_alpha(c) || is_digit(c) || (c && strchr("-._~", c));
}

static int default_port(struct gtv_str scheme)
{
    static const struct {
        const char *scheme;
        int port;
    } table[] = {{"rtsp", 554},  {"rtsps", 322}, {"http", 80},   {"https", 443},
                 {"rtmp", 1935}, {"srt", 8890},  {"redis", 6379}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (gtv_str_ieq(scheme, gtv_str_of(table[i].scheme)))
            return table[i].port;
    }
    return 0;
}

// Spaces and controls have no place in a URL (RFC 3986, section 2); a quote, an angle bracket or a backslash
// would end the URL early for what reads our logs, so they must come percent-encoded as well.
static bool clean(struct gtv_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c == 0x7f || strchr("\"<>\\", c))
            return false;
    }
    return true;
}

static size_t find_any(struct gtv_str s, const char *any_of)
{
    size_t i = 0;
    while (i < s.n && !strchr(any_of, s.p[i]))
        i++;
    return i;
}

static struct gtv_str skip(struct gtv_str s, size_t n)
{
    return (struct gtv_str){s.p + n, s.n - n};
}

static bool take_scheme(struct gtv_str *s, struct gtv_str *scheme)
{
    ptrdiff_t colon = gtv_str_find(*s, ':');
    if (colon < 1 || !is_alpha(s->p[0]))
        return false;
    *scheme = (struct gtv_str){s->p, (size_t)colon};
    for (size_t i = 0; i < scheme->n; i++) {
        if (!is_alpha(s->p[i]) && !is_digit(s->p[i]) && !strchr("+-.", s->p[i]))
            return false;
    }
    *s = skip(*s, (size_t)colon);
    if (!gtv_str_starts(*s, GTV_STR("://")))
        return false;
    *s = skip(*s, 3);
    return true;
}

// The last @ counts: passwords are often pasted as they are.
static void take_userinfo(struct gtv_str *authority, struct gtv_url *out)
{
    size_t at = authority->n;
    while (at > 0 && authority->p[at - 1] != '@')
        at--;
    if (at == 0)
        return;
    struct gtv_str info = {authority->p, at - 1};
    *authority = skip(*authority, at);
    out->has_user = true;
    out->has_pass = gtv_str_find(info, ':') >= 0;
    out->user = gtv_str_cut(&info, ':');
    if (out->has_pass)
        out->pass = info;
}

static bool valid_ipv6(struct gtv_str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    struct gtv_str plain = host;
    plain = gtv_str_cut(&plain, '%'); // the zone (RFC 6874) is for the resolver
    return gtv_str_copy(text, sizeof(text), plain) && inet_pton(AF_INET6, text, &address) == 1;
}

static bool take_host(struct gtv_str *authority, struct gtv_url *out)
{
    if (authority->n && authority->p[0] == '[') {
        ptrdiff_t end = gtv_str_find(*authority, ']');
        if (end < 0)
            return false;
        out->ipv6 = true;
        out->host = (struct gtv_str){authority->p + 1, (size_t)end - 1};
        *authority = skip(*authority, (size_t)end + 1);
        return valid_ipv6(out->host);
    }
    out->host = (struct gtv_str){authority->p, find_any(*authority, ":")};
    *authority = skip(*authority, out->host.n);
    for (size_t i = 0; i < out->host.n; i++) {
        char c = out->host.p[i];
        if (!is_unreserved(c) && c != '%' && !((unsigned char)c & 0x80))
            return false;
    }
    return out->host.n > 0;
}

bool gtv_url_parse(struct gtv_str s, struct gtv_url *out)
{
    *out = (struct gtv_url){0};
    if (s.n > URL_MAX || !clean(s) || !take_scheme(&s, &out->scheme))
        return false;
    size_t end = find_any(s, "/?#");
    struct gtv_str authority = {s.p, end};
    s = skip(s, end);
    take_userinfo(&authority, out);
    if (!take_host(&authority, out))
        return false;
    out->port = default_port(out->scheme);
    if (authority.n) {
        int64_t port;
        if (authority.p[0] != ':' || authority.n < 2 || !is_digit(authority.p[1]) ||
            !gtv_parse_int(skip(authority, 1), 1, 65535, &port))
            return false;
        out->port = (int)port;
        out->has_port = true;
    }
    out->path = (struct gtv_str){s.p, find_any(s, "?#")};
    s = skip(s, out->path.n);
    if (s.n && s.p[0] == '?') {
        s = skip(s, 1);
        out->query = (struct gtv_str){s.p, find_any(s, "#")};
    }
    return true;
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

ptrdiff_t gtv_url_decode(struct gtv_str s, bool plus_is_space, char *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (s.n - i < 3 || hex_value(s.p[i + 1]) < 0 || hex_value(s.p[i + 2]) < 0)
                return -1;
            c = (char)(hex_value(s.p[i + 1]) * 16 + hex_value(s.p[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0' || len + 1 >= cap)
            return -1;
        out[len++] = c;
    }
    if (cap == 0)
        return -1;
    out[len] = '\0';
    return (ptrdiff_t)len;
}

bool gtv_url_encode(struct gtv_str s, bool keep_slash, char *out, size_t cap)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = is_unreserved(s.p[i]) || (keep_slash && c == '/');
        if (len + (plain ? 1 : 3) >= cap)
            return false;
        if (plain) {
            out[len++] = s.p[i];
        } else {
            out[len++] = '%';
            out[len++] = hex[c >> 4];
            out[len++] = hex[c & 15];
        }
    }
    if (len >= cap)
        return false;
    out[len] = '\0';
    return true;
}
