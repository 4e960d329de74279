// The header of a connection that a proxy passes on (HAProxy's PROXY protocol, versions 1 and 2): who the
// client is, said before its first byte. Knows no socket; fuzz/fuzz_http.c drives it.
#include "lib/http/internal.h"

#include <arpa/inet.h>

enum {
    V2_HEAD = 16,
    V2_IPV4 = 12, // two addresses and two ports
    V2_IPV6 = 36,
};

static const uint8_t v2_signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};
static const char v1_signature[6] = "PROXY ";

static bool port_valid(struct gtv_str text)
{
    int64_t port;
    return text.n > 0 && text.n <= 5 && text.p[0] >= '0' && text.p[0] <= '9' &&
           (text.n == 1 || text.p[0] != '0') && gtv_parse_int(text, 0, 65535, &port);
}

static bool address_of(struct gtv_str text, int family, uint8_t out[16])
{
    char copy[HTTP_ADDR_CAP];
    uint8_t raw[16];
    if (!gtv_str_copy(copy, sizeof(copy), text) || inet_pton(family, copy, raw) != 1) {
        return false;
    }
    if (family == AF_INET) {
        http_addr_from_ipv4(raw, out);
    } else {
        memcpy(out, raw, sizeof(raw));
    }
    return true;
}

// "TCP4 source destination sport dport", "TCP6 ..." or "UNKNOWN" and anything.
static bool read_line(struct http_preface *p, struct gtv_str line)
{
    struct gtv_str kind = gtv_str_cut(&line, ' ');
    if (gtv_str_eq(kind, GTV_STR("UNKNOWN"))) {
        return true;
    }
    int family = gtv_str_eq(kind, GTV_STR("TCP4")) ? AF_INET : AF_INET6;
    if (family == AF_INET6 && !gtv_str_eq(kind, GTV_STR("TCP6"))) {
        return false;
    }
    struct gtv_str source = gtv_str_cut(&line, ' '), target = gtv_str_cut(&line, ' ');
    struct gtv_str source_port = gtv_str_cut(&line, ' ');
    uint8_t unused[16];
    p->known = address_of(source, family, p->peer) && address_of(target, family, unused) &&
               port_valid(source_port) && port_valid(line);
    return p->known;
}

static enum http_preface_state take_v1(struct http_preface *p)
{
    if (p->data[p->len - 1] != '\n') {
        return p->len == HTTP_PREFACE_V1_MAX ? HTTP_PREFACE_BAD : HTTP_PREFACE_MORE;
    }
    if (p->data[p->len - 2] != '\r') {
        return HTTP_PREFACE_BAD;
    }
    const struct gtv_str line = {(const char *)p->data + sizeof(v1_signature),
                                 p->len - sizeof(v1_signature) - 2};
    return read_line(p, line) ? HTTP_PREFACE_WHOLE : HTTP_PREFACE_BAD;
}

// The 16 bytes are there: how many more hold the addresses, and how many after them say nothing to us.
static enum http_preface_state head_of_v2(struct http_preface *p)
{
    unsigned command = p->data[12], family = p->data[13] >> 4, transport = p->data[13] & 15;
    unsigned n = (unsigned)p->data[14] << 8 | p->data[15];
    bool proxied = command == 0x21;
    if ((!proxied && command != 0x20) || family > 3 || transport > 2 || n > HTTP_PREFACE_V2_MAX - V2_HEAD) {
        return HTTP_PREFACE_BAD;
    }
    // LOCAL: the proxy itself, looking whether we are well; what follows is passed over, as are the addresses
    // of local sockets.
    unsigned needed = !proxied || transport == 0 ? 0 : family == 1 ? V2_IPV4 : family == 2 ? V2_IPV6 : 0;
    if (n < needed) {
        return HTTP_PREFACE_BAD;
    }
    p->need = (uint16_t)(V2_HEAD + needed);
    p->skip = (uint16_t)(n - needed);
    return HTTP_PREFACE_MORE;
}

static enum http_preface_state take_v2(struct http_preface *p)
{
    if (p->need == 0 && p->len == V2_HEAD && head_of_v2(p) == HTTP_PREFACE_BAD) {
        return HTTP_PREFACE_BAD;
    }
    if (p->need == 0 || p->len < p->need) {
        return HTTP_PREFACE_MORE;
    }
    if (p->need == V2_HEAD + V2_IPV4) {
        http_addr_from_ipv4(p->data + V2_HEAD, p->peer);
    } else if (p->need == V2_HEAD + V2_IPV6) {
        memcpy(p->peer, p->data + V2_HEAD, sizeof(p->peer));
    }
    p->known = p->need > V2_HEAD;
    return p->skip ? HTTP_PREFACE_MORE : HTTP_PREFACE_WHOLE;
}

static enum http_preface_state take_byte(struct http_preface *p, uint8_t byte)
{
    if (p->need && p->len == p->need) {
        return --p->skip ? HTTP_PREFACE_MORE : HTTP_PREFACE_WHOLE;
    }
    size_t at = p->len;
    p->data[p->len++] = byte;
    bool v2 = p->data[0] == v2_signature[0];
    if (at < (v2 ? sizeof(v2_signature) : sizeof(v1_signature))) {
        bool matches = v2 ? byte == v2_signature[at] : byte == (uint8_t)v1_signature[at];
        return matches ? HTTP_PREFACE_MORE : HTTP_PREFACE_BAD;
    }
    return v2 ? take_v2(p) : take_v1(p);
}

enum http_preface_state http_preface_feed(struct http_preface *p, const uint8_t *data, size_t n, size_t *used)
{
    enum http_preface_state state = HTTP_PREFACE_MORE;
    *used = 0;
    while (*used < n && state == HTTP_PREFACE_MORE) {
        state = take_byte(p, data[(*used)++]);
    }
    return state;
}
