// A span of a path's recordings, read from its files: cut at key frames, across files, moved to a time line
// of its own. Blocking: for a thread of the pool. A cut belongs to one thread at a time.
#ifndef GTV_MEDIA_RECORD_CUT_H
#define GTV_MEDIA_RECORD_CUT_H

#include "services/media/record/index.h"

enum {
    GTV_CUT_SAMPLES_MAX = 4000000, // of one mp4: 30 hours of video at 25 a second with sound take more
    GTV_CUT_TOLERANCE = 45000,     // ticks (0.5 s) between files that count as continuous
};

struct gtv_cut;

// Takes the spans (ascending; at least one). from, to: path ticks.
struct gtv_cut *gtv_cut_create(struct gtv_record_span *spans, size_t n, int64_t from, int64_t to);
void gtv_cut_destroy(struct gtv_cut *c); // NULL is accepted

// Opens the first file and seeks to the last key frame at or before `from` (or the first one there is). False
// with *err: GTV_E_NOT_FOUND when nothing is there, GTV_E_IO.
bool gtv_cut_open(struct gtv_cut *c, struct gtv_error *err) GTV_WARN_UNUSED;
struct gtv_bytes *gtv_cut_init(const struct gtv_cut *c); // ftyp and moov; borrowed
int64_t gtv_cut_begin(const struct gtv_cut *c);          // where it really begins: decoding time, ticks

// ---- As fragments ----
// Ticks that become 0; without the call it is gtv_cut_begin.
void gtv_cut_set_origin(struct gtv_cut *c, int64_t origin);
enum gtv_cut_result { GTV_CUT_MORE, GTV_CUT_END, GTV_CUT_FAILED };
// Appends the next bytes, about `most` of them.
enum gtv_cut_result gtv_cut_read(struct gtv_cut *c, struct gtv_buf *out, size_t most);

// ---- As one mp4 with its index first ----
// Reads all moofs of the span. False with *err (GTV_E_TOO_LARGE: more than GTV_CUT_SAMPLES_MAX).
bool gtv_cut_plan_mp4(struct gtv_cut *c, struct gtv_error *err) GTV_WARN_UNUSED;
uint64_t gtv_cut_mp4_size(const struct gtv_cut *c);
// Appends bytes of the mp4 from `at` on, at most `most`, at least one. False when a file cannot be read.
bool gtv_cut_mp4_read(struct gtv_cut *c, uint64_t at, size_t most, struct gtv_buf *out) GTV_WARN_UNUSED;

// ---- Key frames of one file ----
// Opens, reads the head and the keys. The caller's to free; *origin: ticks that are 0 in the file.
bool gtv_cut_keys(const struct gtv_record_span *span, struct gtv_mp4_keys *keys,
                  int64_t *origin) GTV_WARN_UNUSED;

#endif
