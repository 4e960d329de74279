// Which addresses a camera may have: this service makes the media node open connections on a client's word,
// so what is only reachable from inside (loopback, metadata services) is off-limits unless the operator
// allows it. Pure; any thread.
#ifndef GTV_STREAMING_ADDRESS_H
#define GTV_STREAMING_ADDRESS_H

#include "lib/base/str.h"

#include <sys/socket.h>

enum { GTV_ALLOW_MAX = 64 };

struct gtv_cidr {
    uint8_t addr[16]; // IPv4 as ::ffff:a.b.c.d
    unsigned bits;    // of the 128
};

struct gtv_address_policy {
    struct gtv_cidr allow[GTV_ALLOW_MAX];
    size_t count;
};

// "127.0.0.0/8, ::1, 10.1.2.3": NULL and "" allow nothing beyond the default. False names the entry that is
// wrong.
bool gtv_address_policy_parse(const char *text, struct gtv_address_policy *out,
                              struct gtv_error *err) GTV_WARN_UNUSED;

// NULL when a camera may have this address, else what is wrong with it ("loopback", "link-local", "a metadata
// service", ...). IPv4 inside IPv6 (mapped, compatible, NAT64 64:ff9b::/96, 6to4) is judged as the IPv4
// address it is.
const char *gtv_address_denied(const struct gtv_address_policy *policy, const struct sockaddr *sa);

#endif
