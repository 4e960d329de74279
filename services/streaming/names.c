#include "lib/base/url.h"
#include "services/streaming/app.h"

#include <stdio.h>
#include <strings.h>

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool gtv_stream_name_valid(struct gtv_str name)
{
    if (name.n == 0 || name.n >= GTV_PATH_NAME_CAP)
        return false;
    struct gtv_str rest = name;
    bool more = true;
    while (more) {
        more = gtv_str_find(rest, '/') >= 0;
        struct gtv_str part = gtv_str_cut(&rest, '/');
        bool only_dots = true;
        if (part.n == 0)
            return false;
        for (size_t i = 0; i < part.n; i++) {
            if (!name_char(part.p[i]))
                return false;
            only_dots = only_dots && part.p[i] == '.';
        }
        if (only_dots)
            return false;
    }
    return true;
}

static bool looks_secret(struct gtv_str path)
{
    // Some cameras take user and password in the path: rtsp://host/user=admin_password=x_channel=1.
    return gtv_str_find(path, '=') >= 0 || gtv_str_find(path, '@') >= 0;
}

const char *gtv_shown_url(const char *url, char out[GTV_SHOWN_URL_CAP])
{
    struct gtv_url u;
    if (strcmp(url, "publisher") == 0) {
        snprintf(out, GTV_SHOWN_URL_CAP, "%s", url);
        return out;
    }
    if (!gtv_url_parse(gtv_str_of(url), &u)) {
        snprintf(out, GTV_SHOWN_URL_CAP, "***");
        return out;
    }
    char port[8] = "";
    if (u.has_port)
        snprintf(port, sizeof port, ":%d", u.port);
    struct gtv_str path = looks_secret(u.path) ? GTV_STR("/***") : u.path;
    if (path.n > 200)
        path.n = 200;
    snprintf(out, GTV_SHOWN_URL_CAP, GTV_STR_FMT "://%s%s" GTV_STR_FMT "%s%s" GTV_STR_FMT,
             GTV_STR_ARG(u.scheme), u.has_user ? "***@" : "", u.ipv6 ? "[" : "", GTV_STR_ARG(u.host),
             u.ipv6 ? "]" : "", port, GTV_STR_ARG(path));
    return out;
}
