// What was told of a camera's picture, by whichever program: who takes a camera over does not tell again what
// was told, and says the end of what has ended meanwhile. A pure state machine; the caller's thread.
#ifndef GTV_AI_FAULTS_H
#define GTV_AI_FAULTS_H

#include "services/ai/gate/gate.h"

#include <stdbool.h>
#include <stdint.h>

// Beside the bits of enum gtv_gate_fault.
enum {
    GTV_FAULT_UNTIMED = GTV_GATE_INFRARED << 1,
    GTV_FAULTS_ALL = (GTV_FAULT_UNTIMED << 1) - 1,
    GTV_FAULTS_PATIENCE_MS = 15000, // for what was told before to be seen again: a frozen picture takes 10 s
};

// Hash in Redis of a camera: fault -> "on|<ms>" or "off|<ms>", as it was told last and when. The script that
// tells an event keeps it (outbox.c), so that two programs never tell the same.
enum { GTV_FAULTS_KEY_CAP = 48 };
const char *gtv_faults_key(int64_t camera_id, char out[GTV_FAULTS_KEY_CAP]);
// The bits that one of its pairs says are on; 0 for what cannot be read.
unsigned gtv_faults_read(const char *fault, const char *state);

// Zeroed: nothing was told.
struct gtv_faults {
    unsigned told;      // bits
    unsigned inherited; // of them: told by another program, and not seen by this one yet
    int64_t until_ms;   // and given up then; 0: the wait has not begun
};

// What another program told, before the first update.
void gtv_faults_inherit(struct gtv_faults *f, unsigned told);
// seen: bits that hold; pictures: whether any came yet. now_ms: any clock that does not jump, never 0.
// Returns the bits to tell of: on where they are in f->told afterwards.
unsigned gtv_faults_update(struct gtv_faults *f, unsigned seen, bool pictures, int64_t now_ms);

const char *gtv_fault_name(unsigned bit); // "frozen", ..., "untimed"

#endif
