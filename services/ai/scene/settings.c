#include "services/ai/scene/settings.h"

#include <math.h>
#include <stdio.h>

static const double LEAST_AREA = 1e-5;  // of a polygon: about three by three pixels at 720 lines
static const double LEAST_LINE = 0.005; // length
static const uint32_t ALL_VEHICLES = (1U << GTV_VEHICLE_COUNT) - 1;

static const struct {
    enum gtv_area_kind kind;
    const char *key;
} area_keys[] = {
    {GTV_AREA_REGION, "regions"},
    {GTV_AREA_EXCLUSION, "exclusions"},
    {GTV_AREA_PRIVACY, "privacy"},
    {GTV_AREA_ZONE, "zones"},
};
enum { AREA_KINDS = sizeof(area_keys) / sizeof(area_keys[0]) };

static const char *const top_keys[] = {"regions",
                                       "exclusions",
                                       "privacy",
                                       "zones",
                                       "lines",
                                       "speeds",
                                       "classes",
                                       "priority",
                                       "looks_per_second",
                                       "idle_look_s",
                                       "motion_sensitivity",
                                       "motion_gate",
                                       "min_confidence",
                                       "key_frames",
                                       "plate_confidence",
                                       "plates",
                                       "plates_without_vehicle",
                                       "stream",
                                       "crops",
                                       NULL};
static const char *const area_only_keys[] = {"id", "name", "points", NULL};
static const char *const zone_keys[] = {"id",        "name",          "points",        "classes",
                                        "stopped_s", "direction_deg", "tolerance_deg", NULL};
static const char *const line_keys[] = {"id",      "name",         "points",        "direction",
                                        "classes", "forward_name", "backward_name", NULL};
static const char *const speed_keys[] = {"id", "name", "from", "to", "distance_m", "limit_kmh", NULL};

void gtv_scene_settings_init(struct gtv_scene_settings *s)
{
    *s = (struct gtv_scene_settings){
        .vehicles = ALL_VEHICLES,
        .idle_look_s = 5,
        .priority = 5,
        .motion_gate = true,
        .sensitivity = 0.5,
        .plates = true,
        .stray_plates = true,
        .crops = true,
    };
}

static const char *const stream_names[] = {"auto", "main", "sub"};

// ---- Reading ----

// Puts the place in front of the field that an error names. Returns false, for those that return it on.
static bool within(const char *key, size_t i, struct gtv_error *err)
{
    char path[sizeof(err->field)];
    int n = snprintf(path, sizeof(path), "%s[%zu]%s%.40s", key, i, err->field[0] ? "." : "", err->field);
    if (n > 0)
        memcpy(err->field, path, sizeof(path));
    return false;
}

static bool invalid(struct gtv_error *err, const char *field, const char *why)
{
    gtv_error_set(err, GTV_E_INVALID, field, "%s", why);
    return false;
}

static bool only(yyjson_val *o, const char *const *known, struct gtv_error *err)
{
    if (!yyjson_is_obj(o))
        return invalid(err, NULL, "A JSON object is expected");
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(o, i, n, key, value)
    {
        struct gtv_str name = {yyjson_get_str(key), yyjson_get_len(key)};
        const char *const *k = known;
        while (*k && !gtv_str_eq(name, gtv_str_of(*k)))
            k++;
        if (!*k) {
            char field[33];
            snprintf(field, sizeof(field), "%.*s", (int)(name.n < 32 ? name.n : 32), name.p);
            return invalid(err, field, "This setting is not known");
        }
    }
    return true;
}

static bool get_name(yyjson_val *o, const char *key, char *out, struct gtv_error *err)
{
    struct gtv_str s = {0};
    if (!gtv_json_get_str(o, key, GTV_JSON_OPTIONAL, &s, err))
        return false;
    return gtv_str_copy(out, GTV_SCENE_NAME_CAP, s) || invalid(err, key, "A name has 64 bytes at most");
}

static bool get_id(yyjson_val *o, enum gtv_json_need need, char *out, struct gtv_error *err)
{
    struct gtv_str s = {0};
    if (!gtv_json_get_str(o, "id", need, &s, err))
        return false;
    bool ok = gtv_str_copy(out, GTV_SCENE_ID_CAP, s) && (s.n > 0 || need == GTV_JSON_OPTIONAL);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        ok = ok && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                    c == '_');
    }
    return ok || invalid(err, "id", "An id has 1 to 32 of letters, digits, - and _");
}

static bool get_classes(yyjson_val *o, uint32_t *out, struct gtv_error *err)
{
    yyjson_val *list = yyjson_obj_get(o, "classes"), *v;
    if (!list || yyjson_is_null(list))
        return true;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
        return invalid(err, "classes",
                       "classes must be a list of one or more of car, motorcycle, bus, truck");
    uint32_t bits = 0;
    size_t i, n;
    yyjson_arr_foreach(list, i, n, v)
    {
        uint32_t bit = 0;
        for (int k = 0; k < GTV_VEHICLE_COUNT; k++) {
            if (yyjson_equals_str(v, gtv_vehicle_names[k]))
                bit = 1U << k;
        }
        if (!bit)
            return invalid(err, "classes", "A class is one of car, motorcycle, bus, truck");
        bits |= bit;
    }
    *out = bits;
    return true;
}

static bool get_point(yyjson_val *v, struct gtv_point *out)
{
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) != 2 || !yyjson_is_num(yyjson_arr_get(v, 0)) ||
        !yyjson_is_num(yyjson_arr_get(v, 1)))
        return false;
    out->x = yyjson_get_num(yyjson_arr_get(v, 0));
    out->y = yyjson_get_num(yyjson_arr_get(v, 1));
    return out->x >= 0 && out->x <= 1 && out->y >= 0 && out->y <= 1;
}

static bool get_points(yyjson_val *o, size_t least, size_t most, struct gtv_point *out, size_t *count,
                       struct gtv_error *err)
{
    yyjson_val *list = yyjson_obj_get(o, "points"), *v;
    size_t i, n = yyjson_is_arr(list) ? yyjson_arr_size(list) : 0;
    if (n < least || n > most) {
        gtv_error_set(err, GTV_E_INVALID, "points", "points must be a list of %zu to %zu points", least,
                      most);
        return false;
    }
    *count = n;
    yyjson_arr_foreach(list, i, n, v)
    {
        if (!get_point(v, &out[i])) {
            (void)invalid(err, NULL, "A point is [x, y], both from 0 to 1");
            return within("points", i, err);
        }
    }
    return true;
}

static double turn(struct gtv_point a, struct gtv_point b, struct gtv_point c)
{
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

static bool crosses_itself(const struct gtv_area *a)
{
    for (size_t i = 0; i < a->count; i++) {
        for (size_t j = i + 2; j < a->count; j++) {
            struct gtv_point p = a->points[i], q = a->points[i + 1];
            struct gtv_point r = a->points[j], s = a->points[(j + 1) % a->count];
            if ((j + 1) % a->count != i && turn(p, q, r) * turn(p, q, s) < 0 &&
                turn(r, s, p) * turn(r, s, q) < 0)
                return true;
        }
    }
    return false;
}

static double surface(const struct gtv_area *a)
{
    double sum = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct gtv_point p = a->points[i], q = a->points[(i + 1) % a->count];
        sum += p.x * q.y - q.x * p.y;
    }
    return fabs(sum) / 2;
}

static bool parse_zone(yyjson_val *v, struct gtv_area *a, struct gtv_error *err)
{
    a->vehicles = ALL_VEHICLES;
    a->direction_deg = NAN;
    a->tolerance_deg = 60;
    if (!get_classes(v, &a->vehicles, err) ||
        !gtv_json_get_double(v, "stopped_s", GTV_JSON_OPTIONAL, 0, 86400, &a->stopped_s, err) ||
        !gtv_json_get_double(v, "direction_deg", GTV_JSON_OPTIONAL, -360, 360, &a->direction_deg, err) ||
        !gtv_json_get_double(v, "tolerance_deg", GTV_JSON_OPTIONAL, 5, 90, &a->tolerance_deg, err))
        return false;
    if (a->stopped_s > 0 && a->stopped_s < 2)
        return invalid(err, "stopped_s", "stopped_s must be 0 (off) or at least 2");
    a->one_way = !isnan(a->direction_deg);
    a->direction_deg = a->one_way ? fmod(a->direction_deg + 360, 360) : 0;
    return true;
}

static bool parse_area(yyjson_val *v, enum gtv_area_kind kind, struct gtv_area *a, struct gtv_error *err)
{
    bool zone = kind == GTV_AREA_ZONE;
    *a = (struct gtv_area){.kind = kind};
    if (!only(v, zone ? zone_keys : area_only_keys, err) ||
        !get_id(v, zone ? GTV_JSON_REQUIRED : GTV_JSON_OPTIONAL, a->id, err) ||
        !get_name(v, "name", a->name, err) ||
        !get_points(v, 3, GTV_SCENE_MAX_POINTS, a->points, &a->count, err))
        return false;
    if (crosses_itself(a))
        return invalid(err, "points", "The outline crosses itself");
    if (!(surface(a) >= LEAST_AREA))
        return invalid(err, "points", "The points enclose nothing");
    return !zone || parse_zone(v, a, err);
}

static bool parse_line(yyjson_val *v, struct gtv_line *l, struct gtv_error *err)
{
    struct gtv_point points[2];
    struct gtv_str direction = GTV_STR("both");
    size_t n;
    *l = (struct gtv_line){.vehicles = ALL_VEHICLES};
    if (!only(v, line_keys, err) || !get_id(v, GTV_JSON_REQUIRED, l->id, err) ||
        !get_name(v, "name", l->name, err) || !get_points(v, 2, 2, points, &n, err) ||
        !get_name(v, "forward_name", l->forward_name, err) ||
        !get_name(v, "backward_name", l->backward_name, err) || !get_classes(v, &l->vehicles, err) ||
        !gtv_json_get_str(v, "direction", GTV_JSON_OPTIONAL, &direction, err))
        return false;
    l->a = points[0];
    l->b = points[1];
    if (hypot(l->b.x - l->a.x, l->b.y - l->a.y) < LEAST_LINE)
        return invalid(err, "points", "The line is too short");
    bool both = gtv_str_eq(direction, GTV_STR("both"));
    l->forward = both || gtv_str_eq(direction, GTV_STR("forward"));
    l->backward = both || gtv_str_eq(direction, GTV_STR("backward"));
    return l->forward || l->backward ||
           invalid(err, "direction", "direction is one of both, forward, backward");
}

static bool find_line(const struct gtv_scene_settings *s, yyjson_val *v, const char *key, size_t *out,
                      struct gtv_error *err)
{
    struct gtv_str id = {0};
    if (!gtv_json_get_str(v, key, GTV_JSON_REQUIRED, &id, err))
        return false;
    for (size_t i = 0; i < s->line_count; i++) {
        if (gtv_str_eq(id, gtv_str_of(s->lines[i].id))) {
            *out = i;
            return true;
        }
    }
    return invalid(err, key, "There is no line with this id");
}

static bool parse_speed(yyjson_val *v, const struct gtv_scene_settings *s, struct gtv_speed *out,
                        struct gtv_error *err)
{
    *out = (struct gtv_speed){.distance_m = 0};
    if (!only(v, speed_keys, err) || !get_id(v, GTV_JSON_REQUIRED, out->id, err) ||
        !get_name(v, "name", out->name, err) || !find_line(s, v, "from", &out->from, err) ||
        !find_line(s, v, "to", &out->to, err) ||
        !gtv_json_get_double(v, "distance_m", GTV_JSON_REQUIRED, 0.5, 10000, &out->distance_m, err) ||
        !gtv_json_get_double(v, "limit_kmh", GTV_JSON_OPTIONAL, 0, 400, &out->limit_kmh, err))
        return false;
    return out->from != out->to || invalid(err, "to", "Speed needs two lines");
}

// The list at root[key]; NULL with *ok: there is none.
static yyjson_val *list_of(yyjson_val *root, const char *key, size_t most, bool *ok, struct gtv_error *err)
{
    yyjson_val *list = yyjson_obj_get(root, key);
    *ok = true;
    if (!list || yyjson_is_null(list))
        return NULL;
    *ok = yyjson_is_arr(list) && yyjson_arr_size(list) <= most;
    if (!*ok)
        gtv_error_set(err, GTV_E_INVALID, key, "%s must be a list of %zu entries at most", key, most);
    return *ok ? list : NULL;
}

static bool parse_areas(yyjson_val *root, struct gtv_scene_settings *s, struct gtv_error *err)
{
    for (size_t k = 0; k < AREA_KINDS; k++) {
        bool ok;
        size_t i, n;
        const char *key = area_keys[k].key;
        yyjson_val *list = list_of(root, key, GTV_SCENE_MAX_AREAS, &ok, err), *v;
        if (!ok)
            return false;
        yyjson_arr_foreach(list, i, n, v)
        {
            if (s->area_count == GTV_SCENE_MAX_AREAS)
                return invalid(err, key, "Regions, exclusions, privacy masks and zones are 32 at most");
            struct gtv_area *a = &s->areas[s->area_count];
            if (!parse_area(v, area_keys[k].kind, a, err))
                return within(key, i, err);
            for (size_t j = 0; j < s->area_count; j++) {
                if (a->id[0] && s->areas[j].kind == a->kind && strcmp(s->areas[j].id, a->id) == 0) {
                    (void)invalid(err, "id", "This id is there twice");
                    return within(key, i, err);
                }
            }
            s->area_count++;
        }
    }
    return true;
}

static bool parse_lines(yyjson_val *root, struct gtv_scene_settings *s, struct gtv_error *err)
{
    bool ok;
    size_t i, n;
    yyjson_val *list = list_of(root, "lines", GTV_SCENE_MAX_LINES, &ok, err), *v;
    yyjson_arr_foreach(list, i, n, v)
    {
        if (!parse_line(v, &s->lines[i], err))
            return within("lines", i, err);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(s->lines[j].id, s->lines[i].id) == 0) {
                (void)invalid(err, "id", "This id is there twice");
                return within("lines", i, err);
            }
        }
        s->line_count = i + 1;
    }
    return ok;
}

static bool parse_speeds(yyjson_val *root, struct gtv_scene_settings *s, struct gtv_error *err)
{
    bool ok;
    size_t i, n;
    yyjson_val *list = list_of(root, "speeds", GTV_SCENE_MAX_SPEEDS, &ok, err), *v;
    yyjson_arr_foreach(list, i, n, v)
    {
        if (!parse_speed(v, s, &s->speeds[i], err))
            return within("speeds", i, err);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(s->speeds[j].id, s->speeds[i].id) == 0) {
                (void)invalid(err, "id", "This id is there twice");
                return within("speeds", i, err);
            }
        }
        s->speed_count = i + 1;
    }
    return ok;
}

static bool get_stream(yyjson_val *root, enum gtv_stream_choice *out, struct gtv_error *err)
{
    struct gtv_str text = GTV_STR("auto");
    if (!gtv_json_get_str(root, "stream", GTV_JSON_OPTIONAL, &text, err))
        return false;
    for (size_t i = 0; i < sizeof(stream_names) / sizeof(stream_names[0]); i++) {
        if (gtv_str_eq(text, gtv_str_of(stream_names[i]))) {
            *out = (enum gtv_stream_choice)i;
            return true;
        }
    }
    return invalid(err, "stream", "stream must be auto, main or sub");
}

bool gtv_scene_settings_parse(yyjson_val *root, struct gtv_scene_settings *s, struct gtv_error *err)
{
    int64_t priority = 5;
    gtv_scene_settings_init(s);
    err->field[0] = '\0'; // what follows is put together from inside out
    bool ok =
        only(root, top_keys, err) && get_classes(root, &s->vehicles, err) &&
        gtv_json_get_double(root, "min_confidence", GTV_JSON_OPTIONAL, 0, 1, &s->min_confidence, err) &&
        gtv_json_get_double(root, "looks_per_second", GTV_JSON_OPTIONAL, 0, 60, &s->max_looks, err) &&
        gtv_json_get_double(root, "idle_look_s", GTV_JSON_OPTIONAL, 0.2, 600, &s->idle_look_s, err) &&
        gtv_json_get_int(root, "priority", GTV_JSON_OPTIONAL, 1, 10, &priority, err) &&
        gtv_json_get_bool(root, "motion_gate", GTV_JSON_OPTIONAL, &s->motion_gate, err) &&
        gtv_json_get_double(root, "motion_sensitivity", GTV_JSON_OPTIONAL, 0, 1, &s->sensitivity, err) &&
        gtv_json_get_bool(root, "key_frames", GTV_JSON_OPTIONAL, &s->key_frames, err) &&
        gtv_json_get_bool(root, "plates", GTV_JSON_OPTIONAL, &s->plates, err) &&
        gtv_json_get_bool(root, "plates_without_vehicle", GTV_JSON_OPTIONAL, &s->stray_plates, err) &&
        gtv_json_get_double(root, "plate_confidence", GTV_JSON_OPTIONAL, 0, 1, &s->plate_confidence, err) &&
        get_stream(root, &s->stream, err) &&
        gtv_json_get_bool(root, "crops", GTV_JSON_OPTIONAL, &s->crops, err);
    s->priority = (int)priority;
    return ok && parse_areas(root, s, err) && parse_lines(root, s, err) && parse_speeds(root, s, err);
}

bool gtv_scene_settings_read(struct gtv_str json, struct gtv_scene_settings *out, struct gtv_error *err)
{
    if (json.n > GTV_SCENE_MAX_JSON)
        return invalid(err, NULL, "The settings of a camera have 64 KiB at most");
    yyjson_doc *doc = gtv_json_parse(json, err);
    bool ok = doc && gtv_scene_settings_parse(yyjson_doc_get_root(doc), out, err);
    yyjson_doc_free(doc);
    return ok;
}

// ---- Writing ----

static void add_point(yyjson_mut_doc *doc, yyjson_mut_val *list, struct gtv_point p)
{
    yyjson_mut_val *v = yyjson_mut_arr_add_arr(doc, list);
    yyjson_mut_arr_add_real(doc, v, p.x);
    yyjson_mut_arr_add_real(doc, v, p.y);
}

static void add_classes(yyjson_mut_doc *doc, yyjson_mut_val *o, uint32_t bits)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "classes");
    for (int i = 0; i < GTV_VEHICLE_COUNT; i++) {
        if (bits & 1U << i)
            yyjson_mut_arr_add_str(doc, list, gtv_vehicle_names[i]);
    }
}

static void add_areas(const struct gtv_scene_settings *s, size_t kind, yyjson_mut_doc *doc, yyjson_mut_val *o)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, area_keys[kind].key);
    for (size_t i = 0; i < s->area_count; i++) {
        const struct gtv_area *a = &s->areas[i];
        if (a->kind != area_keys[kind].kind)
            continue;
        yyjson_mut_val *v = yyjson_mut_arr_add_obj(doc, list);
        gtv_json_add_text(doc, v, "id", a->id);
        gtv_json_add_text(doc, v, "name", a->name);
        yyjson_mut_val *points = yyjson_mut_obj_add_arr(doc, v, "points");
        for (size_t p = 0; p < a->count; p++)
            add_point(doc, points, a->points[p]);
        if (a->kind != GTV_AREA_ZONE)
            continue;
        add_classes(doc, v, a->vehicles);
        yyjson_mut_obj_add_real(doc, v, "stopped_s", a->stopped_s);
        if (a->one_way)
            yyjson_mut_obj_add_real(doc, v, "direction_deg", a->direction_deg);
        else
            yyjson_mut_obj_add_null(doc, v, "direction_deg");
        yyjson_mut_obj_add_real(doc, v, "tolerance_deg", a->tolerance_deg);
    }
}

static void add_lines(const struct gtv_scene_settings *s, yyjson_mut_doc *doc, yyjson_mut_val *o)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "lines");
    for (size_t i = 0; i < s->line_count; i++) {
        const struct gtv_line *l = &s->lines[i];
        yyjson_mut_val *v = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, v, "id", l->id);
        gtv_json_add_text(doc, v, "name", l->name);
        yyjson_mut_val *points = yyjson_mut_obj_add_arr(doc, v, "points");
        add_point(doc, points, l->a);
        add_point(doc, points, l->b);
        yyjson_mut_obj_add_str(doc, v, "direction",
                               l->forward && l->backward ? "both"
                               : l->forward              ? "forward"
                                                         : "backward");
        gtv_json_add_text(doc, v, "forward_name", l->forward_name);
        gtv_json_add_text(doc, v, "backward_name", l->backward_name);
        add_classes(doc, v, l->vehicles);
    }
    list = yyjson_mut_obj_add_arr(doc, o, "speeds");
    for (size_t i = 0; i < s->speed_count; i++) {
        const struct gtv_speed *p = &s->speeds[i];
        yyjson_mut_val *v = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, v, "id", p->id);
        gtv_json_add_text(doc, v, "name", p->name);
        yyjson_mut_obj_add_strcpy(doc, v, "from", s->lines[p->from].id);
        yyjson_mut_obj_add_strcpy(doc, v, "to", s->lines[p->to].id);
        yyjson_mut_obj_add_real(doc, v, "distance_m", p->distance_m);
        yyjson_mut_obj_add_real(doc, v, "limit_kmh", p->limit_kmh);
    }
}

void gtv_scene_settings_write(const struct gtv_scene_settings *s, yyjson_mut_doc *doc, yyjson_mut_val *o)
{
    for (size_t k = 0; k < AREA_KINDS; k++)
        add_areas(s, k, doc, o);
    add_lines(s, doc, o);
    add_classes(doc, o, s->vehicles);
    yyjson_mut_obj_add_real(doc, o, "min_confidence", s->min_confidence);
    yyjson_mut_obj_add_real(doc, o, "looks_per_second", s->max_looks);
    yyjson_mut_obj_add_real(doc, o, "idle_look_s", s->idle_look_s);
    yyjson_mut_obj_add_int(doc, o, "priority", s->priority);
    yyjson_mut_obj_add_bool(doc, o, "motion_gate", s->motion_gate);
    yyjson_mut_obj_add_real(doc, o, "motion_sensitivity", s->sensitivity);
    yyjson_mut_obj_add_bool(doc, o, "key_frames", s->key_frames);
    yyjson_mut_obj_add_bool(doc, o, "plates", s->plates);
    yyjson_mut_obj_add_bool(doc, o, "plates_without_vehicle", s->stray_plates);
    yyjson_mut_obj_add_real(doc, o, "plate_confidence", s->plate_confidence);
    yyjson_mut_obj_add_str(doc, o, "stream", stream_names[s->stream]);
    yyjson_mut_obj_add_bool(doc, o, "crops", s->crops);
}

struct gtv_bytes *gtv_scene_settings_text(const struct gtv_scene_settings *s)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    gtv_scene_settings_write(s, doc, o);
    return gtv_json_write(doc);
}
