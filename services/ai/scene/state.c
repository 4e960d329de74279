// What outlives the settings, and the program.
#include "services/ai/scene/follow.h"

#include "lib/base/mem.h"

#include <math.h>
#include <stdlib.h>

enum { STAND_MS = 5000, MAX_STATE = 256 * 1024 };

// ---- Other settings ----

struct counts {
    uint64_t total[GTV_SCENE_MAX_LINES][2][GTV_VEHICLE_COUNT];
    uint16_t minute[GTV_SCENE_MINUTE][GTV_SCENE_MAX_LINES][2][GTV_VEHICLE_COUNT];
};

// Where what was counted for each line and known of each zone lies now; -1: it is gone.
struct moves {
    int line[GTV_SCENE_MAX_LINES], area[GTV_SCENE_MAX_AREAS];
};

static bool same_line(const struct gtv_line *a, const struct gtv_line *b)
{
    return strcmp(a->id, b->id) == 0 && a->a.x == b->a.x && a->a.y == b->a.y && a->b.x == b->b.x &&
           a->b.y == b->b.y;
}

static bool same_area(const struct gtv_area *a, const struct gtv_area *b)
{
    if (a->kind != b->kind || strcmp(a->id, b->id) != 0 || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->points[i].x != b->points[i].x || a->points[i].y != b->points[i].y)
            return false;
    }
    return true;
}

static void compare(const struct gtv_scene_settings *old, const struct gtv_scene_settings *new,
                    struct moves *m)
{
    for (size_t i = 0; i < new->line_count; i++) {
        m->line[i] = -1;
        for (size_t j = 0; j < old->line_count; j++)
            m->line[i] = same_line(&new->lines[i], &old->lines[j]) ? (int)j : m->line[i];
    }
    for (size_t i = 0; i < new->area_count; i++) {
        m->area[i] = -1;
        for (size_t j = 0; j < old->area_count; j++)
            m->area[i] = same_area(&new->areas[i], &old->areas[j]) ? (int)j : m->area[i];
    }
}

static void move_follow(struct gtv_follow *f, const struct gtv_scene_settings *new, const struct moves *m)
{
    struct gtv_follow old = *f;
    memset(f->lines, 0, sizeof(f->lines));
    memset(f->zones, 0, sizeof(f->zones));
    for (size_t i = 0; i < new->line_count; i++) {
        if (m->line[i] >= 0)
            f->lines[i] = old.lines[m->line[i]];
    }
    for (size_t i = 0; i < new->area_count; i++) {
        if (m->area[i] >= 0)
            f->zones[i] = old.zones[m->area[i]];
    }
}

void gtv_scene_set(struct gtv_scene *s, const struct gtv_scene_settings *settings)
{
    struct moves m;
    compare(&s->settings, settings, &m);
    struct counts *old = GTV_NEW(struct counts);
    memcpy(old->total, s->total, sizeof(old->total));
    memcpy(old->minute, s->minute, sizeof(old->minute));
    memset(s->total, 0, sizeof(s->total));
    memset(s->minute, 0, sizeof(s->minute));
    for (size_t i = 0; i < settings->line_count; i++) {
        if (m.line[i] < 0)
            continue;
        memcpy(s->total[i], old->total[m.line[i]], sizeof(s->total[i]));
        for (size_t k = 0; k < GTV_SCENE_MINUTE; k++)
            memcpy(s->minute[k][i], old->minute[k][m.line[i]], sizeof(s->minute[k][i]));
    }
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED; i++) {
        if (s->state[i] != GTV_FOLLOW_NONE)
            move_follow(&s->follows[i], settings, &m);
    }
    s->settings = *settings;
    free(old);
}

// ---- Saving ----

static void add_counts(const struct gtv_scene *s, yyjson_mut_doc *doc, yyjson_mut_val *o)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "lines");
    for (size_t i = 0; i < s->settings.line_count; i++) {
        yyjson_mut_val *v = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, v, "id", s->settings.lines[i].id);
        yyjson_mut_val *total = yyjson_mut_obj_add_arr(doc, v, "total");
        for (int d = 0; d < 2; d++) {
            for (int k = 0; k < GTV_VEHICLE_COUNT; k++)
                yyjson_mut_arr_add_uint(doc, total, s->total[i][d][k]);
        }
    }
}

static void add_follow(const struct gtv_scene *s, const struct gtv_follow *f, yyjson_mut_doc *doc,
                       yyjson_mut_val *list)
{
    yyjson_mut_val *v = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_uint(doc, v, "id", f->id);
    yyjson_mut_obj_add_str(doc, v, "vehicle", gtv_vehicle_names[f->vehicle]);
    yyjson_mut_obj_add_real(doc, v, "confidence", f->confidence);
    yyjson_mut_obj_add_real(doc, v, "x", f->box.x / s->width);
    yyjson_mut_obj_add_real(doc, v, "y", f->box.y / s->height);
    yyjson_mut_obj_add_real(doc, v, "w", f->box.w / s->width);
    yyjson_mut_obj_add_real(doc, v, "h", f->box.h / s->height);
    yyjson_mut_obj_add_sint(doc, v, "first_ms", f->first_ms);
    yyjson_mut_obj_add_sint(doc, v, "seen_ms", f->seen_ms);
    yyjson_mut_obj_add_sint(doc, v, "rest_ms", f->rest_ms);
    yyjson_mut_val *zones = yyjson_mut_obj_add_arr(doc, v, "zones");
    for (size_t i = 0; i < s->settings.area_count; i++) {
        const struct gtv_follow_zone *z = &f->zones[i];
        if (!z->inside)
            continue;
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, zones);
        yyjson_mut_obj_add_strcpy(doc, o, "id", s->settings.areas[i].id);
        yyjson_mut_obj_add_sint(doc, o, "entered_ms", z->entered_ms);
        yyjson_mut_obj_add_uint(doc, o, "stays", z->stays);
        yyjson_mut_obj_add_bool(doc, o, "stop", z->told_stop);
        yyjson_mut_obj_add_bool(doc, o, "wrong", z->told_wrong);
    }
}

struct gtv_bytes *gtv_scene_save(const struct gtv_scene *s)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_int(doc, o, "v", 1);
    add_counts(s, doc, o);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "parked");
    size_t n = 0;
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED && s->width && n < GTV_SCENE_MAX_PARKED; i++) {
        const struct gtv_follow *f = &s->follows[i];
        if (s->state[i] == GTV_FOLLOW_NONE || !f->announced || f->seen_ms - f->rest_ms < STAND_MS)
            continue;
        add_follow(s, f, doc, list);
        n++;
    }
    return gtv_json_write(doc);
}

// ---- Loading ----

static void load_counts(struct gtv_scene *s, yyjson_val *root)
{
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(yyjson_obj_get(root, "lines"), i, n, v)
    {
        yyjson_val *total = yyjson_obj_get(v, "total");
        for (size_t l = 0; l < s->settings.line_count; l++) {
            if (!yyjson_equals_str(yyjson_obj_get(v, "id"), s->settings.lines[l].id) ||
                yyjson_arr_size(total) != (size_t)2 * GTV_VEHICLE_COUNT)
                continue;
            for (size_t k = 0; k < (size_t)2 * GTV_VEHICLE_COUNT; k++)
                s->total[l][k / GTV_VEHICLE_COUNT][k % GTV_VEHICLE_COUNT] =
                    yyjson_get_uint(yyjson_arr_get(total, k));
        }
    }
}

static bool load_zone(struct gtv_scene *s, yyjson_val *v, struct gtv_follow *f, struct gtv_error *err)
{
    struct gtv_follow_zone z = {.inside = true};
    int64_t stays = 1;
    struct gtv_str id = {0};
    if (!gtv_json_get_str(v, "id", GTV_JSON_REQUIRED, &id, err) ||
        !gtv_json_get_int(v, "entered_ms", GTV_JSON_REQUIRED, 0, INT64_MAX / 4, &z.entered_ms, err) ||
        !gtv_json_get_int(v, "stays", GTV_JSON_OPTIONAL, 1, INT32_MAX, &stays, err) ||
        !gtv_json_get_bool(v, "stop", GTV_JSON_OPTIONAL, &z.told_stop, err) ||
        !gtv_json_get_bool(v, "wrong", GTV_JSON_OPTIONAL, &z.told_wrong, err))
        return false;
    z.stays = (unsigned)stays;
    for (size_t i = 0; i < s->settings.area_count; i++) {
        const struct gtv_area *a = &s->settings.areas[i];
        if (a->kind == GTV_AREA_ZONE && gtv_str_eq(id, gtv_str_of(a->id)))
            f->zones[i] = z;
    }
    return true;
}

static bool load_times(yyjson_val *v, struct gtv_follow *f, struct gtv_error *err)
{
    const int64_t most = INT64_MAX / 4;
    return gtv_json_get_int(v, "first_ms", GTV_JSON_REQUIRED, 0, most, &f->first_ms, err) &&
           gtv_json_get_int(v, "seen_ms", GTV_JSON_REQUIRED, f->first_ms, most, &f->seen_ms, err) &&
           gtv_json_get_int(v, "rest_ms", GTV_JSON_REQUIRED, f->first_ms, f->seen_ms, &f->rest_ms, err);
}

static bool load_follow(struct gtv_scene *s, yyjson_val *v, struct gtv_follow *f, struct gtv_error *err)
{
    int64_t id;
    struct gtv_str vehicle = {0};
    struct gtv_track_box *b = &f->box;
    if (!gtv_json_get_int(v, "id", GTV_JSON_REQUIRED, 1, INT64_MAX, &id, err) ||
        !gtv_json_get_str(v, "vehicle", GTV_JSON_REQUIRED, &vehicle, err) ||
        !gtv_json_get_double(v, "confidence", GTV_JSON_REQUIRED, 0, 1, &f->confidence, err) ||
        !gtv_json_get_double(v, "x", GTV_JSON_REQUIRED, -2, 2, &b->x, err) ||
        !gtv_json_get_double(v, "y", GTV_JSON_REQUIRED, -2, 2, &b->y, err) ||
        !gtv_json_get_double(v, "w", GTV_JSON_REQUIRED, 0, 4, &b->w, err) ||
        !gtv_json_get_double(v, "h", GTV_JSON_REQUIRED, 0, 4, &b->h, err) || !load_times(v, f, err))
        return false;
    for (int i = 0; i < GTV_VEHICLE_COUNT; i++) {
        if (gtv_str_eq(vehicle, gtv_str_of(gtv_vehicle_names[i])))
            f->vehicle = (enum gtv_vehicle)i;
    }
    size_t i, n;
    yyjson_val *z;
    yyjson_arr_foreach(yyjson_obj_get(v, "zones"), i, n, z)
    {
        if (!load_zone(s, z, f, err))
            return false;
    }
    f->id = f->current = (uint64_t)id;
    f->announced = true;
    f->x = b->x + b->w / 2;
    f->y = b->y + b->h;
    f->rest_x = f->from_x = f->x;
    f->rest_y = f->from_y = f->y;
    return true;
}

bool gtv_scene_load(struct gtv_scene *s, struct gtv_str json, struct gtv_error *err)
{
    if (json.n > MAX_STATE) {
        gtv_error_set(err, GTV_E_TOO_LARGE, NULL, "A scene's state has 256 KiB at most");
        return false;
    }
    yyjson_doc *doc = gtv_json_parse(json, err);
    if (!doc)
        return false;
    yyjson_val *root = yyjson_doc_get_root(doc), *v;
    if (!yyjson_is_obj(root)) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "A scene's state is a JSON object");
        yyjson_doc_free(doc);
        return false;
    }
    memset(s->state, 0, sizeof(s->state));
    load_counts(s, root);
    size_t i, n, kept = 0;
    struct gtv_error ignored = {0};
    yyjson_arr_foreach(yyjson_obj_get(root, "parked"), i, n, v)
    {
        struct gtv_follow f = {.id = 0};
        if (kept < GTV_SCENE_MAX_PARKED && load_follow(s, v, &f, &ignored)) {
            s->state[kept] = GTV_FOLLOW_PARKED;
            s->follows[kept++] = f;
        }
    }
    // Places are 0..1 until the first look tells the frame's size.
    s->width = s->height = 1;
    yyjson_doc_free(doc);
    return true;
}
