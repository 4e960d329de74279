#include "lib/base/url.h"
#include "services/streaming/control.h"

static bool invalid(struct gtv_error *err, const char *field, const char *text)
{
    gtv_error_set(err, GTV_E_INVALID, field, "%s", text);
    return false;
}

static bool host_valid(const struct gtv_url *u)
{
    if (u->ipv6)
        return gtv_str_find(u->host, '%') < 0; // a zone names one of our interfaces
    for (size_t i = 0; i < u->host.n; i++) {
        char c = u->host.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                  c == '-' || c == '_';
        if (!ok)
            return false;
    }
    return u->host.n <= 253;
}

static bool check_source(struct gtv_str url, struct gtv_error *err)
{
    static const struct gtv_str schemes[] = {{"rtsp", 4}, {"rtsps", 5}, {"rtmp", 4},
                                             {"srt", 3},  {"http", 4},  {"https", 5}};
    struct gtv_url u;
    ptrdiff_t colon = gtv_str_find(url, ':');
    struct gtv_str scheme = {url.p, colon > 0 ? (size_t)colon : 0};
    bool known = false;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        known = known || gtv_str_ieq(scheme, schemes[i]);
    if (!known)
        return invalid(err, "rtsp_url",
                       "the address must begin with rtsp://, rtsps://, rtmp://, srt://, http:// or https://");
    if (url.n > GTV_CAMERA_URL_MAX)
        return invalid(err, "rtsp_url", "the address is longer than 1024 bytes");
    // A backslash is read as a slash by some parsers: the host that we check must be the one that is
    // connected to.
    if (gtv_str_find(url, '\\') >= 0 || !gtv_url_parse(url, &u) || !host_valid(&u))
        return invalid(err, "rtsp_url",
                       "this is no valid address: scheme://[user:password@]host[:port]/path is expected");
    return true;
}

bool gtv_provision_parse(struct gtv_str body, struct gtv_camera *out, struct gtv_error *err)
{
    struct gtv_camera c = {.on_demand = true};
    struct gtv_str name = {NULL, 0}, url = {NULL, 0};
    yyjson_doc *doc = gtv_json_parse(body, err);
    if (!doc)
        return false;
    yyjson_val *o = yyjson_doc_get_root(doc);
    bool ok = yyjson_is_obj(o) || invalid(err, NULL, "the body must be a JSON object");
    ok = ok && gtv_json_get_int(o, "camera_id", GTV_JSON_REQUIRED, 1, INT64_MAX, &c.id, err) &&
         gtv_json_get_str(o, "rtsp_url", GTV_JSON_REQUIRED, &url, err) &&
         gtv_json_get_str(o, "name", GTV_JSON_REQUIRED, &name, err) &&
         gtv_json_get_bool(o, "on_demand", GTV_JSON_OPTIONAL, &c.on_demand, err) &&
         gtv_json_get_bool(o, "ai_enabled", GTV_JSON_OPTIONAL, &c.ai_enabled, err) &&
         gtv_json_get_bool(o, "record", GTV_JSON_OPTIONAL, &c.record, err) && check_source(url, err);
    if (ok && (gtv_str_find(name, '\0') >= 0 || !gtv_str_copy(c.name, sizeof c.name, name)))
        ok = invalid(err, "name", "the name must be at most 128 bytes");
    ok =
        ok && (gtv_str_copy(c.url, sizeof c.url, url) || invalid(err, "rtsp_url", "the address is too long"));
    yyjson_doc_free(doc);
    if (ok)
        *out = c;
    return ok;
}
