#include "lib/base/mem.h"
#include "lib/contract/contract.h"

#include <stdio.h>

static bool get_copy(yyjson_val *obj, const char *name, enum gtv_json_need need, char *out, size_t cap,
                     struct gtv_error *err)
{
    struct gtv_str s = {NULL, 0};
    if (!gtv_json_get_str(obj, name, need, &s, err))
        return false;
    if (memchr(s.p ? s.p : "", '\0', s.n) || !gtv_str_copy(out, cap, s)) {
        gtv_error_set(err, GTV_E_INVALID, name, "%s must be at most %zu bytes, without NUL", name, cap - 1);
        return false;
    }
    return true;
}

bool gtv_camera_parse(yyjson_val *obj, struct gtv_camera *out, struct gtv_error *err)
{
    struct gtv_camera c = {.on_demand = true};
    if (!yyjson_is_obj(obj)) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "a camera must be a JSON object");
        return false;
    }
    bool ok = gtv_json_get_int(obj, "id", GTV_JSON_REQUIRED, 1, INT64_MAX, &c.id, err) &&
              get_copy(obj, "name", GTV_JSON_OPTIONAL, c.name, sizeof c.name, err) &&
              get_copy(obj, "url", GTV_JSON_REQUIRED, c.url, sizeof c.url, err) &&
              get_copy(obj, "sub_url", GTV_JSON_OPTIONAL, c.sub_url, sizeof c.sub_url, err) &&
              gtv_json_get_bool(obj, "on_demand", GTV_JSON_OPTIONAL, &c.on_demand, err) &&
              gtv_json_get_bool(obj, "record", GTV_JSON_OPTIONAL, &c.record, err) &&
              gtv_json_get_bool(obj, "ai_enabled", GTV_JSON_OPTIONAL, &c.ai_enabled, err) &&
              gtv_json_get_int(obj, "created_ms", GTV_JSON_OPTIONAL, 0, INT64_MAX, &c.created_ms, err);
    if (ok)
        *out = c;
    return ok;
}

struct gtv_bytes *gtv_camera_write(const struct gtv_camera *c)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return NULL;
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, o);
    yyjson_mut_obj_add_sint(doc, o, "id", c->id);
    yyjson_mut_obj_add_str(doc, o, "name", c->name);
    yyjson_mut_obj_add_str(doc, o, "url", c->url);
    if (c->sub_url[0])
        yyjson_mut_obj_add_str(doc, o, "sub_url", c->sub_url);
    yyjson_mut_obj_add_bool(doc, o, "on_demand", c->on_demand);
    yyjson_mut_obj_add_bool(doc, o, "record", c->record);
    yyjson_mut_obj_add_bool(doc, o, "ai_enabled", c->ai_enabled);
    yyjson_mut_obj_add_sint(doc, o, "created_ms", c->created_ms);
    return gtv_json_write(doc);
}

const char *gtv_camera_path(int64_t id, char out[GTV_CAMERA_PATH_CAP])
{
    snprintf(out, GTV_CAMERA_PATH_CAP, "cam_%lld", (long long)id);
    return out;
}

bool gtv_camera_path_parse(struct gtv_str path, int64_t *id)
{
    static const struct gtv_str prefix = {"cam_", 4};
    if (!gtv_str_starts(path, prefix))
        return false;
    struct gtv_str digits = {path.p + prefix.n, path.n - prefix.n};
    // One spelling per camera: no sign, no leading zero.
    if (digits.n == 0 || digits.p[0] < '1' || digits.p[0] > '9')
        return false;
    return gtv_parse_int(digits, 1, INT64_MAX, id);
}

#define SUB "_sub"

const char *gtv_camera_sub_path(int64_t id, char out[GTV_CAMERA_PATH_CAP])
{
    snprintf(out, GTV_CAMERA_PATH_CAP, "cam_%lld" SUB, (long long)id);
    return out;
}

bool gtv_camera_sub_path_parse(struct gtv_str path, int64_t *id)
{
    return gtv_str_ends(path, GTV_STR(SUB)) &&
           gtv_camera_path_parse((struct gtv_str){path.p, path.n - (sizeof SUB - 1)}, id);
}
