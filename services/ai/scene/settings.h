// What is to be looked at in one camera's picture: areas, lines, rates. The JSON of PUT
// /cameras/{id}/analysis (services/ai/scene/README.md has its keys). All places are 0..1 of the frame's width
// and height, from the upper left corner, so that they hold for a sub-stream too.
#ifndef GTV_AI_SCENE_SETTINGS_H
#define GTV_AI_SCENE_SETTINGS_H

#include "lib/json/json.h"
#include "services/ai/network/model.h"

enum {
    GTV_SCENE_MAX_AREAS = 32,  // regions, exclusions, masks and zones together
    GTV_SCENE_MAX_POINTS = 32, // corners of one
    GTV_SCENE_MAX_LINES = 16,
    GTV_SCENE_MAX_SPEEDS = 8,
    GTV_SCENE_ID_CAP = 33,   // ids: 1..32 of letters, digits, - and _
    GTV_SCENE_NAME_CAP = 65, // names: UTF-8 of at most 64 bytes
    GTV_SCENE_MAX_JSON = 64 * 1024,
};

struct gtv_point {
    double x, y;
};

enum gtv_area_kind {
    GTV_AREA_REGION,    // "regions": where there are some, a vehicle outside all of them is nothing
    GTV_AREA_EXCLUSION, // "exclusions": a vehicle inside is nothing
    GTV_AREA_PRIVACY,   // "privacy": black in every picture that leaves the program; nothing is found inside
    GTV_AREA_ZONE,      // "zones": entered, left, stopped in, driven through the wrong way
};

struct gtv_area {
    enum gtv_area_kind kind;
    char id[GTV_SCENE_ID_CAP], name[GTV_SCENE_NAME_CAP];
    struct gtv_point points[GTV_SCENE_MAX_POINTS];
    size_t count;
    // Of zones only:
    uint32_t vehicles;    // "classes": bits 1 << enum gtv_vehicle
    double stopped_s;     // "stopped_s": standing that long is a happening; 0: it is none
    bool one_way;         // "direction_deg" is there
    double direction_deg; // the way to drive: 0 is to the right of the picture, 90 is down
    double tolerance_deg; // driving within that much of the opposite is the wrong way
};

struct gtv_line {
    char id[GTV_SCENE_ID_CAP], name[GTV_SCENE_NAME_CAP];
    struct gtv_point a, b;
    // Forward is from the left of a..b to its right, as seen on the picture by who walks from a to b.
    bool forward, backward; // which are counted ("direction": both, forward, backward)
    char forward_name[GTV_SCENE_NAME_CAP], backward_name[GTV_SCENE_NAME_CAP]; // for people; may be empty
    uint32_t vehicles;
};

struct gtv_speed {
    char id[GTV_SCENE_ID_CAP], name[GTV_SCENE_NAME_CAP];
    size_t from, to;   // indices of lines; it is measured in both directions
    double distance_m; // along the road
    double limit_kmh;  // 0: none
};

enum gtv_stream_choice { GTV_STREAM_AUTO, GTV_STREAM_MAIN, GTV_STREAM_SUB };

struct gtv_scene_settings {
    struct gtv_area areas[GTV_SCENE_MAX_AREAS];
    struct gtv_line lines[GTV_SCENE_MAX_LINES];
    struct gtv_speed speeds[GTV_SCENE_MAX_SPEEDS];
    size_t area_count, line_count, speed_count;

    uint32_t vehicles;       // "classes" [all]
    double min_confidence;   // "min_confidence"; 0: the service's own
    double max_looks;        // "looks_per_second": at most; 0: the service's own
    double idle_look_s;      // "idle_look_s": a look at least that often, whatever the gate says [5]
    int priority;            // "priority" 1..10 [5]: its share when there is too little
    bool motion_gate;        // "motion_gate" [true]
    double sensitivity;      // "motion_sensitivity" 0..1 [0.5]
    bool key_frames;         // "key_frames" [false]: decode these alone
    bool plates;             // "plates" [true]
    bool stray_plates;       // "plates_without_vehicle" [true]: also where the picture has no vehicle
    double plate_confidence; // "plate_confidence"; 0: the service's own
    // "stream" [auto]: which of the camera's streams is looked at; auto: the smaller one where it has one and
    // no plates are read, which want all the pixels there are.
    enum gtv_stream_choice stream;
    bool crops; // "crops" [true]: keep pictures of what is reported
};

// As if the JSON were {}.
void gtv_scene_settings_init(struct gtv_scene_settings *s);

// err must be there. False with GTV_E_INVALID and the field at fault, with its path ("zones[1].points[3]");
// *out is undefined then. Keys that are not known are an error too: a misspelt one would be a setting that
// does nothing.
bool gtv_scene_settings_parse(yyjson_val *root, struct gtv_scene_settings *out,
                              struct gtv_error *err) GTV_WARN_UNUSED;
// The same from text (at most GTV_SCENE_MAX_JSON bytes).
bool gtv_scene_settings_read(struct gtv_str json, struct gtv_scene_settings *out,
                             struct gtv_error *err) GTV_WARN_UNUSED;
// With every key. What is written parses to the same settings.
void gtv_scene_settings_write(const struct gtv_scene_settings *s, yyjson_mut_doc *doc, yyjson_mut_val *o);
struct gtv_bytes *gtv_scene_settings_text(const struct gtv_scene_settings *s) GTV_WARN_UNUSED;

// Even-odd rule; a point on the edge may be either.
bool gtv_area_holds(const struct gtv_area *area, double x, double y);

// Blackens the privacy masks in an RGB picture (rows stride bytes apart) that shows the part x, y, w, h
// (0..1) of the frame: 0, 0, 1, 1 for a whole one. Masks grow by a pixel, so that nothing shines through at
// their edges.
void gtv_scene_blacken(const struct gtv_scene_settings *s, uint8_t *rgb, int width, int height, size_t stride,
                       double x, double y, double w, double h);

#endif
