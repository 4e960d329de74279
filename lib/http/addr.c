// Addresses of peers and proxies. IPv4 is kept mapped into IPv6 (RFC 4291, 2.5.5.2), so that one comparison
// serves both.
#include "lib/http/internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool http_addr_parse(struct gtv_str text, uint8_t out[16])
{
    text = gtv_str_trim(text);
    if (text.n > 0 && text.p[0] == '[') { // [::1] or [::1]:443
        ptrdiff_t end = gtv_str_find(text, ']');
        if (end < 0) {
            return false;
        }
        text = (struct gtv_str){text.p + 1, (size_t)end - 1};
    } else {
        ptrdiff_t colon = gtv_str_find(text, ':');
        if (colon >= 0) {
            struct gtv_str rest = {text.p + colon + 1, text.n - (size_t)colon - 1};
            if (gtv_str_find(rest, ':') < 0) { // one colon: IPv4 with a port
                text.n = (size_t)colon;
            }
        }
    }
    char copy[HTTP_ADDR_CAP];
    if (!gtv_str_copy(copy, sizeof(copy), text)) {
        return false;
    }
    memcpy(out, v4_prefix, sizeof(v4_prefix));
    return inet_pton(AF_INET, copy, out + 12) == 1 || inet_pton(AF_INET6, copy, out) == 1;
}

const char *http_addr_format(const uint8_t addr[16], char out[HTTP_ADDR_CAP])
{
    bool v4 = memcmp(addr, v4_prefix, sizeof(v4_prefix)) == 0;
    const char *text = v4 ? inet_ntop(AF_INET, addr + 12, out, HTTP_ADDR_CAP)
                          : inet_ntop(AF_INET6, addr, out, HTTP_ADDR_CAP);
    if (!text) {
        out[0] = '\0';
    }
    return out;
}

void http_addr_from_ipv4(const uint8_t ipv4[4], uint8_t out[16])
{
    memcpy(out, v4_prefix, sizeof(v4_prefix));
    memcpy(out + sizeof(v4_prefix), ipv4, 4);
}

bool http_trusted_parse(struct http_trusted *t, const char *list, const char *field, struct gtv_error *err)
{
    t->count = 0;
    struct gtv_str rest = gtv_str_of(list);
    while (rest.n > 0) {
        struct gtv_str entry = gtv_str_trim(gtv_str_cut(&rest, ','));
        if (entry.n == 0) {
            continue;
        }
        struct gtv_str bits_text = entry;
        struct gtv_str address = gtv_str_cut(&bits_text, '/');
        bool has_bits = address.n != entry.n;
        int64_t bits = 128;
        if (t->count == HTTP_MAX_TRUSTED || !http_addr_parse(address, t->net[t->count].addr)) {
            gtv_error_set(err, GTV_E_INVALID, field,
                          "\"" GTV_STR_FMT "\" is no address, or there are more than %d", GTV_STR_ARG(entry),
                          HTTP_MAX_TRUSTED);
            return false;
        }
        bool v4 = memcmp(t->net[t->count].addr, v4_prefix, sizeof(v4_prefix)) == 0;
        if (has_bits && !gtv_parse_int(bits_text, 0, v4 ? 32 : 128, &bits)) {
            gtv_error_set(err, GTV_E_INVALID, field, "\"" GTV_STR_FMT "\" has no valid prefix length",
                          GTV_STR_ARG(entry));
            return false;
        }
        t->net[t->count++].bits = (unsigned)(has_bits && v4 ? bits + 96 : bits);
    }
    return true;
}

static bool in_net(const uint8_t addr[16], const uint8_t net[16], unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(addr, net, whole) != 0) {
        return false;
    }
    return rest == 0 || ((addr[whole] ^ net[whole]) >> (8 - rest)) == 0;
}

bool http_trusted_has(const struct http_trusted *t, const uint8_t addr[16])
{
    for (size_t i = 0; i < t->count; i++) {
        if (in_net(addr, t->net[i].addr, t->net[i].bits)) {
            return true;
        }
    }
    return false;
}
