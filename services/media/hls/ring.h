// What one path's HLS muxer holds: the samples of the last segments, cut at key frames, and for Low-Latency
// HLS the parts that they consist of. Samples are referred to, never copied; nothing is muxed here before
// somebody asks for it. Loop thread only.
#ifndef GTV_MEDIA_HLS_RING_H
#define GTV_MEDIA_HLS_RING_H

#include "lib/log/log.h"
#include "services/media/hls/mpegts.h"

enum gtv_hls_variant { GTV_HLS_MPEGTS, GTV_HLS_FMP4, GTV_HLS_LOW_LATENCY };

// "mpegts", "fmp4", "lowLatency". False for another word.
bool gtv_hls_variant_parse(struct gtv_str word, enum gtv_hls_variant *out) GTV_WARN_UNUSED;

struct gtv_hls_options {
    enum gtv_hls_variant variant;
    size_t segments;       // listed in the playlist
    int64_t segment_ms;    // shortest segment; it ends at the first key frame after that
    int64_t part_ms;       // Low-Latency: length of a part, as near as whole pictures come to it
    size_t max_bytes;      // of all samples held and their bookkeeping, those of the open segment included
    uint64_t first_number; // media sequence to go on from, so that players that saw an earlier muxer of this
                           // path need not start over
};

enum {
    GTV_HLS_RING_MAX = 64,     // segments held at most; the option allows fewer
    GTV_HLS_PART_SEGMENTS = 2, // complete segments whose parts are listed
    GTV_HLS_NAME_CAP = 64,
    // Memory that a sample takes besides its data: its entry, its reference count, malloc's header.
    GTV_HLS_SAMPLE_COST = sizeof(struct gtv_sample) + sizeof(struct gtv_bytes) + 16,
};

// A range of its segment's samples: begins with a picture.
struct gtv_hls_part {
    uint64_t number; // counts over all segments
    size_t first, count;
    int64_t start, end; // decoding times: of its first picture, and of the one that follows
    bool independent;   // begins with a key frame
};

struct gtv_hls_segment {
    uint64_t number;
    int64_t shown;      // path ticks at which its first picture is presented
    int64_t start, end; // decoding times: of its key frame, and of the one that follows
    bool discontinuity; // stands between it and the one before
    struct gtv_format *format;
    unsigned format_number;              // of this muxer, from 1
    struct gtv_mpegts_counters counters; // before its first sample
    struct gtv_sample *samples;          // a reference each
    size_t count, cap, pictures;
    size_t bytes, ts_bytes; // of the samples; and as MPEG-TS
    struct gtv_hls_part *parts;
    size_t part_count, part_cap;
};

// Others read it, and change it through the functions below only.
struct gtv_hls_ring {
    struct gtv_hls_options options;
    struct gtv_log log;
    char prefix[13];              // "026961b54d72": drawn at random for each muxer
    struct gtv_hls_segment *list; // complete ones, oldest first; room for those that the options allow
    size_t count;
    struct gtv_hls_segment open;
    bool is_open, interrupted;
    uint64_t next_number, next_part;
    uint64_t discontinuities; // of segments that left the playlist
    struct gtv_format *format, *coming;
    unsigned format_number;
    struct gtv_mpegts_counters counters;
    int64_t last_picture; // decoding time
    int64_t frame;        // ticks between pictures, by the last complete segment; 0: not known yet
    size_t part_at;       // first sample of the part that is being collected
    int64_t part_start;
    size_t bytes;        // in memory: data and bookkeeping
    uint64_t discarded;  // samples dropped because the bound was reached
    int target_duration; // seconds
    bool told_audio;
};

void gtv_hls_ring_init(struct gtv_hls_ring *r, const struct gtv_hls_options *options,
                       const struct gtv_log *log);
void gtv_hls_ring_finish(struct gtv_hls_ring *r);

// Of the samples that follow. One that says something else than the last begins a new segment with an init
// segment of its own. A reference is taken.
void gtv_hls_ring_format(struct gtv_hls_ring *r, struct gtv_format *format);

// What a push brought about.
enum { GTV_HLS_NEW_PART = 1, GTV_HLS_NEW_SEGMENT = 2 };
// Takes a reference to the sample's bytes.
unsigned gtv_hls_ring_push(struct gtv_hls_ring *r, const struct gtv_sample *sample);
// The source was lost. What is open is dropped, for its end is not known; in Low-Latency HLS, where its parts
// were handed out, it ends with its last picture. The next segment is marked as discontinuous.
unsigned gtv_hls_ring_interrupt(struct gtv_hls_ring *r);

// Where the playlist begins within list.
size_t gtv_hls_ring_listed(const struct gtv_hls_ring *r);
// Media sequence of the segment that is being collected or comes next.
uint64_t gtv_hls_ring_open_number(const struct gtv_hls_ring *r);
// A part's nominal length in ticks: whole pictures, nearest to the option, and a little for jitter.
int64_t gtv_hls_ring_part_target(const struct gtv_hls_ring *r);

// Names: "026961b54d72_main_seg21.ts", "026961b54d72_video1_seg21.mp4", "..._video1_part107.mp4",
// "..._video1_init.mp4" and, after the format changed, "..._video1_init2.mp4". Each returns out.
const char *gtv_hls_segment_name(const struct gtv_hls_ring *r, uint64_t number, char out[GTV_HLS_NAME_CAP]);
const char *gtv_hls_part_name(const struct gtv_hls_ring *r, uint64_t number, char out[GTV_HLS_NAME_CAP]);
const char *gtv_hls_init_name(const struct gtv_hls_ring *r, unsigned format_number,
                              char out[GTV_HLS_NAME_CAP]);

enum gtv_hls_found {
    GTV_HLS_NOTHING, // never was, or is no more
    GTV_HLS_SEGMENT,
    GTV_HLS_PART,
    GTV_HLS_INIT,
    GTV_HLS_COMING, // the part that is being collected
};
// What a name means now. *segment: the segment, that of the part, or one of the init segment's format.
enum gtv_hls_found gtv_hls_ring_find(const struct gtv_hls_ring *r, struct gtv_str name,
                                     const struct gtv_hls_segment **segment,
                                     const struct gtv_hls_part **part);

#endif
