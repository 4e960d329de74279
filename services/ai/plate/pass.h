// One vehicle's pass: which looks at it are worth a reading of its plate, what was read so far, and when that
// is said. Pure: no thread, no clock, no allocation; one thread at a time.
#ifndef GTV_AI_PLATE_PASS_H
#define GTV_AI_PLATE_PASS_H

#include "services/ai/network/model.h"
#include "services/ai/plate/plates.h"
#include "services/ai/plate/vote.h"

enum {
    GTV_PLATE_PASS_READINGS = 12, // plates read; more only of a vehicle that has come much nearer
    GTV_PLATE_PASS_TRIES = 24,    // looks at its plate in all, found or not
    GTV_PLATE_PASS_MOST = 32,     // and whatever it does
    GTV_PLATE_RECENT = 32,        // plates of a camera that are remembered
    GTV_PLATE_RECENT_MS = 30000,  // since they were told, or their vehicle left
    GTV_PLATE_PASS_STANDS_MS = 30000,
};

// A vehicle in a frame, before anything is read.
struct gtv_plate_chance {
    enum gtv_vehicle vehicle;
    double width, height; // of its box, pixels of the frame
    double sharpness;     // of its lower half (gtv_frame_sharpness); 0: not known
    int64_t wall_ms;
};

struct gtv_plate_pass {
    struct gtv_plate_vote vote;
    uint32_t tries, readings, misses; // misses: in a row
    int64_t tried_ms;
    double tried_width, tried_sharpness; // the greatest that was tried
    double read_width;                   // of the vehicle, the greatest at which a plate was found
    double plate_width;                  // the greatest of a plate that was read
    double best;                         // weight of the best reading
    int64_t better_ms;                   // when it last got any better
    bool told;
};

void gtv_plate_pass_init(struct gtv_plate_pass *p);

// How much a reading is worth now, to compare vehicles of one look: 0 is nothing. p NULL: nothing was tried.
double gtv_plate_pass_worth(const struct gtv_plate_pass *p, const struct gtv_plate_chance *c);
// What came of it; plate NULL: none was found. True when it is the best reading so far.
bool gtv_plate_pass_add(struct gtv_plate_pass *p, const struct gtv_plate_chance *c,
                        const struct gtv_plate *plate);

struct gtv_plate_ask {
    double threshold; // confidence from which it is sure, with as many readings as its size asks for; 0: .97
    bool over;        // the vehicle is gone, and this is the last question: what is unsure is said then too
    int64_t wall_ms; // now: what has not got any better for GTV_PLATE_PASS_STANDS_MS is said too; 0: not that
};
// Whether the plate is to be said, with *out; true once for each pass. out->sure says whether it is sure; a
// plate that cannot be read is never said.
bool gtv_plate_pass_say(struct gtv_plate_pass *p, const struct gtv_plate_ask *ask,
                        struct gtv_plate_verdict *out);

// Whether two texts are of one registration (a converted plate and its old form are), or as long as one
// another with so many signs different at most.
bool gtv_plate_alike(const char *a, const char *b, size_t differ);

// The plates told of late at one camera. A vehicle that was hidden for a moment is followed by another track
// then: its plate is not to be told again.
struct gtv_plate_recent {
    struct {
        char text[GTV_PLATE_TEXT_CAP];
        int64_t wall_ms; // 0: free
        bool sure;
    } told[GTV_PLATE_RECENT];
};
// A plate was told, or its vehicle has just left.
void gtv_plate_recent_note(struct gtv_plate_recent *r, const char *text, bool sure, int64_t wall_ms);
// The plate that was told of late and is the same; of an unsure one also one that differs in one sign. What
// was told as unsure may be told once more as sure. *sure: it was told as sure. NULL: there is none. Until
// the next note.
const char *gtv_plate_recent_find(const struct gtv_plate_recent *r, const struct gtv_plate_verdict *verdict,
                                  int64_t wall_ms, bool *sure);

// What a vehicle looks like, roughly: mean luma of a grid over its box. How alike two are: correlation,
// -1..1; 1 where one of them is flat. A track that looks otherwise of a sudden has another vehicle.
enum { GTV_PLATE_LOOK_SIDE = 10 };
struct gtv_plate_look {
    float luma[GTV_PLATE_LOOK_SIDE * GTV_PLATE_LOOK_SIDE];
};
#define GTV_PLATE_LOOK_SAME 0.5
double gtv_plate_look_alike(const struct gtv_plate_look *a, const struct gtv_plate_look *b);

// Which of the n plates that were read around a vehicle is its own: the best that lies in its box and not in
// that of a vehicle in front of it. others: boxes (x, y, w, h) of the look's other vehicles. NULL: none.
const struct gtv_plate *gtv_plate_pass_own(const struct gtv_plate *plates, size_t n, const int box[4],
                                           const int (*others)[4], size_t other_count);

#endif
