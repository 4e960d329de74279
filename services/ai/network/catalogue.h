// What lies in MODELS_DIR: its networks, and which of them have a quantised version that was accepted.
#ifndef GTV_AI_CATALOGUE_H
#define GTV_AI_CATALOGUE_H

#include "services/ai/network/model.h"

// The int8 version beside a network: <stem>_int8.xml with its .bin, and <stem>_int8.json whose "quantised"
// says what it was made of ("of", "of_sha256") and whether it was found to agree with it ("accepted",
// "reason").
struct gtv_quantised {
    bool there, accepted;
    char path[GTV_MODEL_PATH_CAP]; // of the .xml
    char why[200];                 // why it is not used; empty when it is accepted
};
// Accepted is what says so itself and was made of just the weights that are there: by models.json's hash of
// the file of m, whose size and time must still be those that were hashed.
void gtv_quantised_find(const struct gtv_model *m, struct gtv_quantised *out);

enum { GTV_CATALOGUE_MAX = 64 };
struct gtv_catalogue_entry {
    char name[64], file[256];
    char task[16]; // "detector", "plate", "ocr"; empty: not said
    char licence[64], source[16];
    char head[16];
    int width, height; // 0: not said
    int class_count, vehicle_class[GTV_VEHICLE_COUNT];
    bool described; // by a JSON beside it
    bool quantised; // its weights are int8
    bool accepted;  // it may be used; false with why
    char why[200];
};
// The weights (.onnx, .xml) in dir by name, GTV_CATALOGUE_MAX at most. Returns how many; *out is to be freed.
size_t gtv_catalogue_read(const char *dir, struct gtv_catalogue_entry **out);

#endif
