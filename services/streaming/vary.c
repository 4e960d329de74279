#include "services/streaming/vary.h"

enum { VALUE_CAP = 1024 };

static bool listed(struct gtv_str list, struct gtv_str name)
{
    while (list.n)
        if (gtv_str_ieq(gtv_str_trim(gtv_str_cut(&list, ',')), name))
            return true;
    return false;
}

static bool goes_on(struct gtv_str name)
{
    static const struct gtv_str kept[] = {
        // the connection's
        {"connection", 10},
        {"keep-alive", 10},
        {"proxy-connection", 16},
        {"te", 2},
        {"trailer", 7},
        {"transfer-encoding", 17},
        {"upgrade", 7},
        {"host", 4},
        {"content-length", 14},
        {"content-type", 12},
        {"expect", 6},
        {"http2-settings", 14},
        {"max-forwards", 12},
        // who the client is, and how it came here
        {"cookie", 6},
        {"cookie2", 7},
        {"authorization", 13},
        {"proxy-authorization", 19},
        {"forwarded", 9},
        {"via", 3},
        {"x-real-ip", 9},
        {"x-request-id", 12},
        {"traceparent", 11},
        {"tracestate", 10},
        {"user-agent", 10},
        {"referer", 7},
        {"dnt", 3},
        {"upgrade-insecure-requests", 25},
        // what is answered here
        {"range", 5},
        {"origin", 6},
        {"cache-control", 13},
        {"pragma", 6},
        {"accept-encoding", 15},
    };
    static const struct gtv_str families[] = {
        {"if-", 3}, {"x-forwarded-", 12}, {"access-control-", 15}, {"sec-", 4}};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (gtv_str_ieq(name, kept[i]))
            return false;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (name.n >= families[i].n && gtv_str_ieq((struct gtv_str){name.p, families[i].n}, families[i]))
            return false;
    return true;
}

size_t gtv_vary_forwarded(const struct gtv_http_request *req, struct gtv_http_header out[GTV_VARY_FIELDS_MAX])
{
    struct gtv_http_header f;
    struct gtv_str connection = gtv_http_header(req, "Connection");
    size_t n = 0, bytes = 0;
    for (size_t i = 0; n < GTV_VARY_FIELDS_MAX && gtv_http_header_at(req, i, &f); i++) {
        if (!goes_on(f.name) || listed(connection, f.name) ||
            f.name.n + f.value.n > GTV_VARY_FIELDS_BYTES - bytes)
            continue;
        out[n++] = f;
        bytes += f.name.n + f.value.n;
    }
    return n;
}

bool gtv_vary_names(const struct gtv_http_header *fields, size_t n, char names[GTV_VARY_NAMES_CAP])
{
    size_t len = 0;
    names[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (!gtv_str_ieq(fields[i].name, GTV_STR("vary")))
            continue;
        struct gtv_str list = fields[i].value;
        while (list.n) {
            struct gtv_str name = gtv_str_trim(gtv_str_cut(&list, ','));
            if (gtv_str_eq(name, GTV_STR("*")) || name.n + len + 2 > GTV_VARY_NAMES_CAP)
                return false;
            if (name.n == 0 || !goes_on(name))
                continue;
            if (len)
                names[len++] = ',';
            for (size_t j = 0; j < name.n; j++)
                names[len++] = (char)(name.p[j] >= 'A' && name.p[j] <= 'Z' ? name.p[j] + 32 : name.p[j]);
            names[len] = '\0';
        }
    }
    return true;
}

// What a request says under one name, without white space around commas. -1: nothing; longer than the
// buffer: cut, with the whole length counted.
static ptrdiff_t value_of(struct gtv_str name, const struct gtv_http_header *fields, size_t n,
                          char out[VALUE_CAP])
{
    ptrdiff_t len = -1;
    for (size_t i = 0; i < n; i++) {
        if (!gtv_str_ieq(fields[i].name, name))
            continue;
        struct gtv_str rest = fields[i].value;
        if (len < 0)
            len = 0;
        while (rest.n) {
            struct gtv_str item = gtv_str_trim(gtv_str_cut(&rest, ','));
            if (item.n == 0)
                continue;
            if (len > 0 && len++ < VALUE_CAP)
                out[len - 1] = ',';
            for (size_t j = 0; j < item.n; j++)
                if (len++ < VALUE_CAP)
                    out[len - 1] = item.p[j];
        }
    }
    return len;
}

bool gtv_vary_match(const char *names, const struct gtv_http_header *a, size_t an,
                    const struct gtv_http_header *b, size_t bn)
{
    char va[VALUE_CAP], vb[VALUE_CAP];
    struct gtv_str rest = gtv_str_of(names);
    while (rest.n) {
        struct gtv_str name = gtv_str_cut(&rest, ',');
        ptrdiff_t la = value_of(name, a, an, va), lb = value_of(name, b, bn, vb);
        if (la != lb || la > VALUE_CAP || (la > 0 && memcmp(va, vb, (size_t)la) != 0))
            return false;
    }
    return true;
}

unsigned gtv_vary_slot(const char *names, const struct gtv_http_header *fields, size_t n)
{
    uint32_t h = 2166136261u; // FNV-1a
    char value[VALUE_CAP];
    struct gtv_str rest = gtv_str_of(names);
    while (rest.n) {
        struct gtv_str name = gtv_str_cut(&rest, ',');
        ptrdiff_t len = value_of(name, fields, n, value);
        for (ptrdiff_t i = 0; i < len && i < VALUE_CAP; i++)
            h = (h ^ (uint8_t)value[i]) * 16777619u;
        h = (h ^ (len < 0 ? 1u : 2u)) * 16777619u; // what is absent is not empty
    }
    return (h ^ h >> 16) % GTV_VARY_SLOTS;
}
