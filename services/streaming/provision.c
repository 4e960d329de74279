#include "services/streaming/provision.h"

#include "lib/base/url.h"

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

static bool check_source(const char *field, struct gtv_str url, struct gtv_error *err)
{
    static const struct gtv_str schemes[] = {{"rtsp", 4}, {"rtsps", 5}, {"rtmp", 4}, {"rtmps", 5},
                                             {"srt", 3},  {"http", 4},  {"https", 5}};
    struct gtv_url u;
    ptrdiff_t colon = gtv_str_find(url, ':');
    struct gtv_str scheme = {url.p, colon > 0 ? (size_t)colon : 0};
    bool known = false;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        known = known || gtv_str_ieq(scheme, schemes[i]);
    if (!known)
        return invalid(
            err, field,
            "the address must begin with rtsp://, rtsps://, rtmp://, rtmps://, srt://, http:// or https://, "
            "or be publisher");
    if (url.n > GTV_CAMERA_URL_MAX)
        return invalid(err, field, "the address is longer than 1024 bytes");
    // A backslash is read as a slash by some parsers: the host that we check must be the one that is
    // connected to.
    if (gtv_str_find(url, '\\') >= 0 || !gtv_url_parse(url, &u) || !host_valid(&u))
        return invalid(err, field,
                       "this is no valid address: scheme://[user:password@]host[:port]/path is expected");
    if (gtv_str_eq(u.user, GTV_STR("***")))
        return invalid(err, field, "this address was exported without its user and password");
    return true;
}

bool gtv_provision_is_publisher(struct gtv_str url)
{
    return gtv_str_eq(url, GTV_STR("publisher"));
}

// Checks and copies what JSON and CSV have in common.
static bool fill(struct gtv_camera *c, struct gtv_str url, struct gtv_str name, struct gtv_error *err)
{
    if (!gtv_provision_is_publisher(url) && !check_source("rtsp_url", url, err))
        return false;
    if (gtv_str_find(name, '\0') >= 0 || !gtv_str_copy(c->name, sizeof c->name, name))
        return invalid(err, "name", "the name must be at most 128 bytes");
    if (!gtv_str_copy(c->url, sizeof c->url, url))
        return invalid(err, "rtsp_url", "the address is too long");
    // Nobody can be asked for it: a publisher comes when it likes, and nodes refuse the flag.
    if (gtv_provision_is_publisher(url))
        c->on_demand = false;
    return true;
}

bool gtv_provision_found(struct gtv_str url, struct gtv_str name, struct gtv_camera *c, struct gtv_error *err)
{
    return fill(c, url, name, err);
}

// Of the smaller stream, if there is one. Nobody publishes that.
static bool fill_sub(struct gtv_camera *c, struct gtv_str url, struct gtv_error *err)
{
    if (url.n == 0)
        return true;
    if (!check_source("sub_rtsp_url", url, err))
        return false;
    return gtv_str_copy(c->sub_url, sizeof c->sub_url, url) ||
           invalid(err, "sub_rtsp_url", "the address is too long");
}

static bool take_id(yyjson_val *o, int64_t path_id, int64_t *id, struct gtv_error *err)
{
    *id = path_id;
    if (!gtv_json_get_int(o, "camera_id", path_id ? GTV_JSON_OPTIONAL : GTV_JSON_REQUIRED, 1, INT64_MAX, id,
                          err))
        return false;
    if (path_id && *id != path_id)
        return invalid(err, "camera_id", "camera_id is not the one of the path");
    return true;
}

bool gtv_provision_object(yyjson_val *o, int64_t path_id, struct gtv_camera *out, struct gtv_error *err)
{
    struct gtv_camera c = {.on_demand = true};
    struct gtv_str name = {NULL, 0}, url = {NULL, 0}, sub_url = {NULL, 0};
    bool ok = yyjson_is_obj(o) || invalid(err, NULL, "a camera must be a JSON object");
    ok = ok && take_id(o, path_id, &c.id, err) &&
         gtv_json_get_str(o, "rtsp_url", GTV_JSON_REQUIRED, &url, err) &&
         gtv_json_get_str(o, "name", GTV_JSON_REQUIRED, &name, err) &&
         gtv_json_get_bool(o, "on_demand", GTV_JSON_OPTIONAL, &c.on_demand, err) &&
         gtv_json_get_bool(o, "ai_enabled", GTV_JSON_OPTIONAL, &c.ai_enabled, err) &&
         gtv_json_get_bool(o, "record", GTV_JSON_OPTIONAL, &c.record, err) &&
         gtv_json_get_str(o, "sub_rtsp_url", GTV_JSON_OPTIONAL, &sub_url, err) && fill(&c, url, name, err) &&
         fill_sub(&c, sub_url, err);
    if (ok)
        *out = c;
    return ok;
}

bool gtv_provision_parse(struct gtv_str body, int64_t path_id, struct gtv_camera *out, struct gtv_error *err)
{
    yyjson_doc *doc = gtv_json_parse(body, err);
    if (!doc)
        return false;
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool ok = yyjson_is_obj(root) ? gtv_provision_object(root, path_id, out, err)
                                  : invalid(err, NULL, "the body must be a JSON object");
    yyjson_doc_free(doc);
    return ok;
}

// ---- CSV ----

static const char *const column_names[GTV_COLUMNS] = {"camera_id", "rtsp_url",   "name",        "on_demand",
                                                      "record",    "ai_enabled", "sub_rtsp_url"};

bool gtv_provision_columns(const struct gtv_csv_record *header, struct gtv_columns *out,
                           struct gtv_error *err)
{
    for (size_t c = 0; c < GTV_COLUMNS; c++) {
        out->at[c] = -1;
        for (size_t i = 0; i < header->count; i++) {
            if (!gtv_str_ieq(header->field[i], gtv_str_of(column_names[c])))
                continue;
            if (out->at[c] >= 0)
                return invalid(err, column_names[c], "the header has this column twice");
            out->at[c] = (int)i;
        }
        if (out->at[c] < 0 && c <= GTV_COLUMN_NAME)
            return invalid(err, column_names[c],
                           "the first line must name the columns camera_id, rtsp_url and name");
    }
    return true;
}

static struct gtv_str cell(const struct gtv_csv_record *r, const struct gtv_columns *columns, size_t c)
{
    int at = columns->at[c];
    return at >= 0 && (size_t)at < r->count ? r->field[at] : (struct gtv_str){NULL, 0};
}

bool gtv_provision_record(const struct gtv_csv_record *r, const struct gtv_columns *columns,
                          struct gtv_camera *out, struct gtv_error *err)
{
    struct gtv_camera c = {.on_demand = true};
    bool *const flags[] = {&c.on_demand, &c.record, &c.ai_enabled};
    if (!gtv_parse_int(cell(r, columns, GTV_COLUMN_ID), 1, INT64_MAX, &c.id))
        return invalid(err, "camera_id", "a camera's id is a whole number from 1");
    struct gtv_str name = cell(r, columns, GTV_COLUMN_NAME);
    if (!gtv_utf8_valid(name))
        return invalid(err, "name", "the text is not UTF-8");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        struct gtv_str text = cell(r, columns, GTV_COLUMN_ON_DEMAND + i);
        if (text.n && !gtv_parse_bool(text, flags[i]))
            return invalid(err, column_names[GTV_COLUMN_ON_DEMAND + i], "true or false is expected");
    }
    if (!gtv_utf8_valid(cell(r, columns, GTV_COLUMN_URL)))
        return invalid(err, "rtsp_url", "the text is not UTF-8");
    if (!gtv_utf8_valid(cell(r, columns, GTV_COLUMN_SUB_URL)))
        return invalid(err, "sub_rtsp_url", "the text is not UTF-8");
    if (!fill(&c, cell(r, columns, GTV_COLUMN_URL), name, err) ||
        !fill_sub(&c, cell(r, columns, GTV_COLUMN_SUB_URL), err))
        return false;
    *out = c;
    return true;
}
