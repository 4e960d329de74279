// What the ai program says of vehicles that it follows: the events beside "detection", "status" and the like.
// api/events.json has their schema.
#ifndef GTV_CONTRACT_HAPPENING_H
#define GTV_CONTRACT_HAPPENING_H

#include "lib/contract/contract.h"

// Stream: fields stream, type, key, json. Each happening stands in it once, whoever told it. Trimmed to
// GTV_HAPPENINGS_MAXLEN entries (about); who stores it reads it as the consumer group GTV_HAPPENINGS_GROUP
// and acknowledges what is stored. The same JSON goes to GTV_KEY_EVENTS, for those who look on.
#define GTV_KEY_HAPPENINGS    "gtv:events:durable"
#define GTV_HAPPENINGS_MAXLEN 100000
#define GTV_HAPPENINGS_GROUP  "console"
#define GTV_KEY_SAID          "gtv:events:said:" // + key: string, there for GTV_SAID_S since it was told
#define GTV_SAID_S            86400

enum { GTV_HAPPENING_KEY_CAP = 160 };

// A plate as it was read over a track.
struct gtv_plate_said {
    const char *number;     // as read: "ABC1D23"
    const char *format;     // "mercosul", "old", or another word; NULL: not known
    const char *key;        // the same for both forms of one registration; NULL: none
    double confidence;      // 0..1
    bool uncertain;         // below the confidence that was calibrated
    int64_t votes;          // readings that it was put together from
    const int *box;         // x, y, w, h in pixels of the frame; NULL: none
    const char *crop;       // name of a picture of the plate itself at GET /crops/{name}; NULL: none
    const char *list, *why; // of an alert: the watch-list's entry, and how it matches; NULL: none
};

// Fields that are NULL or 0 where noted are left out.
struct gtv_happening_event {
    const char *type; // track.started, track.ended, line.crossed, zone.entered, zone.left, speed, plate.read,
                      // alert
    const char *key;  // the same for the same happening, whoever tells it; "cam_1/" is put in front
    int64_t camera_id, wall_ms;
    const char *alert; // of an alert: stopped, wrong_way, speeding, watchlist; else NULL
    int width, height; // of the frame
    uint64_t track;    // 0: none, a plate whose vehicle was not found; "track_id" is null then
    bool from_plate;   // the box is the plate's, and object_type follows from it
    const char *object_type;
    double confidence, share; // share: of the votes for the class; 0: not told
    int x, y, w, h;
    int64_t first_ms, last_ms;         // of the track; 0: not told
    const char *place_id, *place_name; // of the line, zone or pair of lines; NULL: none
    const char *direction;             // of a crossing, by its name; NULL: none
    bool is_crossing, forward;
    double seconds;              // how long; negative: not told
    double speed_kmh, limit_kmh; // 0: not told
    double degrees;              // of a wrong way; negative: not told
    const char *crop;            // name of the track's best picture at GET /crops/{name}; NULL: none
    const struct gtv_plate_said *plate;
};

// Type "picture": what is wrong with a camera's picture, and when it is over. data: {"camera_id","fault",
// "on"}; faults: frozen, black, covered, shaking, infrared (no fault, but no colours), untimed, resized.
struct gtv_bytes *gtv_event_picture(int64_t camera_id, const char *fault, bool on, int64_t wall_ms,
                                    char key[GTV_HAPPENING_KEY_CAP]) GTV_WARN_UNUSED;

// The whole key, with the camera in front. Returns out.
const char *gtv_happening_key(const struct gtv_happening_event *e, char out[GTV_HAPPENING_KEY_CAP]);
// The envelope with "key" and these data. NULL without memory.
struct gtv_bytes *gtv_event_happening(const struct gtv_happening_event *e) GTV_WARN_UNUSED;

#endif
