// The plate chain: where a plate is, what it reads, how sure that is. One object for the process, used by all
// threads. Its networks are loaded when they are first needed, and can be exchanged while they are in use.
#ifndef GTV_AI_PLATES_H
#define GTV_AI_PLATES_H

#include "lib/contract/contract.h"
#include "services/ai/plate/localise.h"
#include "services/ai/plate/model.h"

struct gtv_plates;

struct gtv_plates_config {
    struct gtv_infer *runtime; // outlives the chain; NULL: there is none, and the chain is empty
    const char *models_dir;
    const char *lpr_model; // LPR_MODEL, or NULL
    const char *precision; // AI_PRECISION: "f32" is f32, everything else bf16 where the processor has it
    size_t slots;          // how many threads read plates at once
    bool enabled;          // LPR_ENABLED; false: an empty chain without a message
};

// Never NULL. Without a localiser or a recogniser it is empty: gtv_plates_ready is false and
// gtv_plates_message says why (NULL when it was switched off). Does not wait: a thread of its own loads the
// localiser, the first plate that is found the recognisers (some 0.1 s each; for the first time ever, when
// they are compiled, up to a second).
struct gtv_plates *gtv_plates_create(const struct gtv_plates_config *config);
void gtv_plates_destroy(struct gtv_plates *p); // nobody reads any more; waits for a load; NULL is accepted
// Loads all its networks, and waits for them. Any thread, while nobody swaps it. False: plates cannot be
// read.
bool gtv_plates_load(struct gtv_plates *p);
// Plates are going to come: a thread loads what reads them, once, so that the first one need not wait. Any
// thread; NULL is accepted.
void gtv_plates_expect(struct gtv_plates *p);
// The two exchange their networks; reads of `a` that are in progress end with those they began with. The one
// thread that also asks for the message and the models of `a`.
void gtv_plates_swap(struct gtv_plates *a, struct gtv_plates *b);
// Whether plates are read: what is needed is there and, as far as it is loaded already, works. It may turn
// false, once, when a network is loaded. Any thread; NULL: false.
bool gtv_plates_ready(struct gtv_plates *p);
// The thread that swaps, from here on; what is borrowed holds until the next swap.
bool gtv_plates_loading(const struct gtv_plates *p); // the localiser is: reading waits for it
// Why plates are not read, or what they are read without. NULL: nothing is amiss.
const char *gtv_plates_message(const struct gtv_plates *p);
// The network of a head, loaded or not yet, or NULL where there is none that can be used.
const struct gtv_plate_model *gtv_plates_model(const struct gtv_plates *p, enum gtv_plate_head head);

struct gtv_plate {
    char text[GTV_PLATE_TEXT_CAP]; // old, mercosul: seven signs; foreign: as it was read; else empty
    enum gtv_plate_format format;
    double confidence;          // 0..1, calibrated: the share of such readings that are exact
    int x, y, w, h;             // pixels of the picture
    struct gtv_plate_quad quad; // its corners, pixels of the picture
    bool two_lines;
    bool by_text;                 // found by the text localiser
    double located;               // the localiser's score, 0..1
    double width;                 // of the plate in the picture, pixels: along its letters
    double sharpness, tilt;       // see crop.h
    double band;                  // log odds of Mercosul by its look
    struct gtv_plate_chars chars; // without `band`: for vote.h
    double mass;                  // log of how likely it is Brazilian at all; see decode.h
};

enum {
    GTV_PLATES_MAX = 8,           // plates of one region
    GTV_PLATES_MAX_FOUND = 24,    // of one picture
    GTV_PLATES_MAX_TEXTS = 4,     // places of a text map that are read
    GTV_PLATES_MAX_VEHICLES = 24, // of one picture whose plates are read, the surest first
};

enum gtv_plates_effort {
    GTV_PLATES_QUICK,    // the best localiser, once
    GTV_PLATES_CAREFUL,  // where that finds nothing readable, once more on the lower part of the vehicle
    GTV_PLATES_THOROUGH, // and then the other localiser too (text; it finds two-line plates)
    GTV_PLATES_LINES,    // all that too, the other localiser first: it was what found this plate before
};

// Reads the plates of one region (x, y, w, h in pixels: a vehicle, which is widened by the localiser's
// margin; NULL: the whole picture, as it is) of an upright picture at full resolution. Any thread; those of
// different slots get in one another's way the least. The best first, at most GTV_PLATES_MAX. Returns how
// many; *failed (may be NULL) says that an inference failed.
size_t gtv_plates_read(struct gtv_plates *p, size_t slot, const struct gtv_plate_picture *picture,
                       const int region[4], enum gtv_plates_effort effort,
                       struct gtv_plate out[GTV_PLATES_MAX], bool *failed);

struct gtv_plate_found {
    struct gtv_plate plate;
    int vehicle; // index into the detections; -1: of a vehicle that was not found
};

// All plates of a picture: of its vehicles, one each at most, and where none has one, of the whole picture
// and then of parts of it. Thread rules as above. out has room for GTV_PLATES_MAX_FOUND. Returns how many.
size_t gtv_plates_examine(struct gtv_plates *p, size_t slot, const struct gtv_plate_picture *picture,
                          const struct gtv_detected *vehicles, size_t vehicle_count,
                          struct gtv_plate_found *out);

#endif
