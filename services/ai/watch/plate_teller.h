// What the passes of tracks and those of plates without a vehicle have in common: the part of a frame that is
// read, the best reading of a pass, and its telling, once. The thread is whoever looks, one at a time.
#ifndef GTV_AI_PLATE_TELLER_H
#define GTV_AI_PLATE_TELLER_H

#include "services/ai/plate/pass.h"
#include "services/ai/watch/track_plates.h"

// A part of a frame as RGB, privacy masks black.
struct gtv_plate_part {
    int x, y, w, h;
    uint8_t *rgb;
};
// box (x, y, w, h) widened by so many percent on each side, as far as the frame goes. False: it is too small
// or too large, or has no planes that can be read. The rgb is the caller's to free.
bool gtv_plate_part_cut(const AVFrame *frame, const int box[4], int margin_percent,
                        const struct gtv_scene_settings *settings, struct gtv_plate_part *part);

// The best reading of a pass. Zeroed: none.
struct gtv_plate_best {
    int64_t wall_ms;
    int box[4], plate[4], width, height; // what it belongs to, the plate; the frame
    struct gtv_bytes *jpeg;              // the plate and what lies around it
};
// box NULL: the plate's own. picture: also the JPEG.
void gtv_plate_best_note(struct gtv_plate_best *b, const struct gtv_plates_look *look,
                         const struct gtv_plate_part *part, const int box[4], const struct gtv_plate *plate,
                         bool picture);
void gtv_plate_best_finish(struct gtv_plate_best *b); // zeroed after it

// Of one camera: what was told of late.
struct gtv_plate_teller {
    const struct gtv_track_plates_config *config;
    struct gtv_plate_recent recent;
};

// Tells the verdict, unless the same was told of late. about: key, track, object_type, confidence, share,
// first_ms, from_plate; the rest follows from the reading. name: of its picture in the store. Its pictures
// are there before anybody hears of it; without one of a vehicle the plate's own is the event's. text: what
// the plate is known as from now on, if it is sure.
void gtv_plate_tell(struct gtv_plate_teller *t, const struct gtv_plate_best *best,
                    const struct gtv_happening_event *about, uint64_t name,
                    const struct gtv_scene_settings *settings, const struct gtv_plate_verdict *verdict,
                    int64_t wall_ms, char text[GTV_PLATE_TEXT_CAP]);

#endif
