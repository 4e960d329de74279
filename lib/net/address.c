#include "lib/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void from_v4(const void *v4, uint8_t out[16])
{
    memcpy(out, mapped_prefix, 12);
    memcpy(out + 12, v4, 4);
}

static bool within(const uint8_t addr[16], const uint8_t net[16], unsigned bits)
{
    if (memcmp(addr, net, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((unsigned)(addr[bits / 8] ^ net[bits / 8]) >> (8 - rest)) == 0;
}

static bool parse_one(struct gtv_str s, struct gtv_cidr *out)
{
    char text[64];
    struct gtv_str rest = s;
    struct gtv_str addr = gtv_str_cut(&rest, '/');
    bool has_bits = addr.n != s.n;
    if (!gtv_str_copy(text, sizeof text, addr))
        return false;
    uint8_t v4[4];
    bool is_v4 = inet_pton(AF_INET, text, v4) == 1;
    if (is_v4)
        from_v4(v4, out->addr);
    else if (inet_pton(AF_INET6, text, out->addr) != 1)
        return false;
    int64_t bits = is_v4 ? 32 : 128;
    if (has_bits && !gtv_parse_int(rest, 0, bits, &bits))
        return false;
    out->bits = (unsigned)bits + (is_v4 ? 96 : 0);
    return true;
}

bool gtv_net_policy_parse(const char *text, struct gtv_net_policy *out, struct gtv_error *err)
{
    struct gtv_net_policy p = {.count = 0};
    struct gtv_str rest = gtv_str_of(text);
    while (rest.n) {
        struct gtv_str item = gtv_str_trim(gtv_str_cut(&rest, ','));
        if (item.n == 0)
            continue;
        if (p.count == GTV_ALLOW_MAX || !parse_one(item, &p.allow[p.count])) {
            gtv_error_set(err, GTV_E_INVALID, "GTV_CAMERA_ALLOW",
                          "GTV_CAMERA_ALLOW: \"" GTV_STR_FMT
                          "\" is no address or CIDR, or is one too many (at most %d)",
                          GTV_STR_ARG(item), (int)GTV_ALLOW_MAX);
            return false;
        }
        p.count++;
    }
    *out = p;
    return true;
}

static const char *denied_v4(uint32_t a)
{
    static const struct {
        uint32_t net;
        unsigned bits;
        const char *why;
    } rules[] = {
        {0xA9FEA9FE, 32, "a metadata service"}, // 169.254.169.254, of most clouds
        {0x646464C8, 32, "a metadata service"}, // 100.100.100.200
        {0xC00000C0, 32, "a metadata service"}, // 192.0.0.192
        {0x7F000000, 8, "loopback"},
        {0xA9FE0000, 16, "link-local"},
        {0x00000000, 8, "unspecified"},
        {0xE0000000, 4, "multicast"},
        {0xF0000000, 4, "reserved or broadcast"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if ((a ^ rules[i].net) >> (32 - rules[i].bits) == 0)
            return rules[i].why;
    return NULL;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static const char *denied_v6(const uint8_t a[16])
{
    static const uint8_t zero[16], nat64[12] = {0, 0x64, 0xff, 0x9b};
    static const uint8_t aws[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    if (memcmp(a, mapped_prefix, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return denied_v4(be32(a + 12));
    if (memcmp(a, zero, 12) == 0) {
        uint32_t low = be32(a + 12);
        return low == 0 ? "unspecified" : low == 1 ? "loopback" : denied_v4(low);
    }
    if (a[0] == 0x20 && a[1] == 0x02)
        return denied_v4(be32(a + 2));
    if (memcmp(a, aws, 16) == 0)
        return "a metadata service";
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
        return "link-local";
    if (a[0] == 0xff)
        return "multicast";
    return NULL;
}

const char *gtv_net_denied(const struct gtv_net_policy *policy, const struct sockaddr *sa)
{
    uint8_t addr[16];
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        from_v4(&in.sin_addr, addr);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, sa, sizeof in);
        memcpy(addr, &in.sin6_addr, 16);
    } else {
        return "of an unknown family";
    }
    for (size_t i = 0; i < policy->count; i++)
        if (within(addr, policy->allow[i].addr, policy->allow[i].bits))
            return NULL;
    return denied_v6(addr);
}

const char *gtv_net_denied_any(const struct gtv_net_policy *policy, const struct addrinfo *list)
{
    const char *why = NULL;
    for (const struct addrinfo *a = list; a && !why; a = a->ai_next)
        why = gtv_net_denied(policy, a->ai_addr);
    return why;
}
