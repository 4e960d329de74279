// What cut.c (fragments) and cut_mp4.c (one file with its index first) share.
#ifndef GTV_MEDIA_RECORD_CUT_INTERNAL_H
#define GTV_MEDIA_RECORD_CUT_INTERNAL_H

#include "services/media/record/cut.h"

struct gtv_cut_plan;

struct gtv_cut {
    struct gtv_record_span *spans;
    size_t n, at; // the open file's place
    int64_t from, to, origin, begin;
    struct gtv_bytes *init;
    uint32_t init_hash;
    int64_t end; // of what was read last, ticks
    // The open file.
    int fd;
    struct gtv_mp4_head head;
    int64_t file_origin;
    uint64_t size, offset; // the next fragment
    struct gtv_buf moof;
    // The fragment that is being passed on.
    uint64_t raw_at, raw_left;
    uint32_t sequence;
    struct gtv_cut_plan *plan;
};

// The next fragment of the span, with its moof in c->moof; false at the end (*failed: because of a fault).
bool gtv_cut_next(struct gtv_cut *c, struct gtv_mp4_fragment *f, bool *failed);
void gtv_cut_plan_free(struct gtv_cut_plan *p); // NULL is accepted

#endif
