// Which addresses a camera may have: a client's word makes a media node open connections, so what is only
// reachable from inside (loopback, metadata services) is off-limits unless the operator allows it with
// GTV_CAMERA_ALLOW. Pure; any thread.
#ifndef GTV_NET_ADDRESS_H
#define GTV_NET_ADDRESS_H

#include "lib/base/str.h"

#include <sys/socket.h>

enum { GTV_ALLOW_MAX = 64 };

struct gtv_cidr {
    uint8_t addr[16]; // IPv4 as ::ffff:a.b.c.d
    unsigned bits;    // of the 128
};

struct gtv_net_policy {
    struct gtv_cidr allow[GTV_ALLOW_MAX];
    size_t count;
};

// "127.0.0.0/8, ::1, 10.1.2.3": NULL and "" allow nothing beyond the default. False names the entry that is
// wrong.
bool gtv_net_policy_parse(const char *text, struct gtv_net_policy *out,
                          struct gtv_error *err) GTV_WARN_UNUSED;

// NULL when a camera may have this address, else what is wrong with it ("loopback", "link-local", "a metadata
// service", ...). IPv4 inside IPv6 (mapped, compatible, NAT64 64:ff9b::/96, 6to4) is judged as the IPv4
// address it is.
const char *gtv_net_denied(const struct gtv_net_policy *policy, const struct sockaddr *sa);

// The same of a resolver's answer: why the first denied address of the list is, NULL when none is. One denied
// address condemns the name, since nobody knows which of them is dialled.
struct addrinfo;
const char *gtv_net_denied_any(const struct gtv_net_policy *policy, const struct addrinfo *list);

#endif
