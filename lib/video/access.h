// Builds access units in the form of gtv_sample out of NAL units as a source brings them: whole, in fragments
// (RTP), behind start codes (Annex B) or behind lengths (RTMP, MP4). One thread, the caller's.
#ifndef GTV_VIDEO_ACCESS_H
#define GTV_VIDEO_ACCESS_H

#include "lib/base/buf.h"
#include "lib/video/format.h"

enum {
    GTV_ACCESS_MAX = 8 * 1024 * 1024, // bytes of one access unit; beyond it the unit counts as damaged
    GTV_SETS_MAX = 16 * 1024,         // bytes of its parameter sets; real ones take less than 300
};

// Zeroed but for codec it is a valid empty one.
struct gtv_access {
    enum gtv_codec codec;
    bool key;     // an IDR (H.265: any random access) picture is in it
    bool picture; // any slice is in it
    bool damaged; // too large, or told so by gtv_access_damage
    bool in_nal, in_set, skipping;
    size_t nal_at; // where the running NAL unit's length stands
    struct gtv_buf data, sets;
};

void gtv_access_init(struct gtv_access *a, enum gtv_codec codec);
void gtv_access_finish(struct gtv_access *a);
void gtv_access_reset(struct gtv_access *a); // begins the next unit; memory is kept

// One NAL unit: begin, append any number of times (the first byte is the NAL header), end. A begin without an
// end drops what the running one has.
void gtv_access_nal_begin(struct gtv_access *a);
void gtv_access_nal_append(struct gtv_access *a, const void *bytes, size_t n);
void gtv_access_nal_end(struct gtv_access *a);
void gtv_access_nal(struct gtv_access *a, struct gtv_str nal); // a whole one

void gtv_access_annexb(struct gtv_access *a, struct gtv_str data);
// Lengths of `size` bytes (1, 2 or 4) before each. False when a length reaches beyond the end.
bool gtv_access_prefixed(struct gtv_access *a, struct gtv_str data, unsigned size) GTV_WARN_UNUSED;

// Something of this unit was lost on the way.
void gtv_access_damage(struct gtv_access *a);

// The bytes of the unit in exactly their size, one reference for the caller; NULL when there is no picture in
// it, or without memory.
struct gtv_bytes *gtv_access_take(struct gtv_access *a) GTV_WARN_UNUSED;

#endif
