// Reading recorded files: the head, fragments by their boxes (ISO/IEC 14496-12), the index at the end (mfra).
// Nothing is trusted: every length is checked against what encloses it. Any thread.
#ifndef GTV_MEDIA_RECORD_MP4READ_H
#define GTV_MEDIA_RECORD_MP4READ_H

#include "lib/base/buf.h"

enum {
    GTV_MP4_INIT_MAX = 1024 * 1024,      // bytes of ftyp and moov; real ones take about 1 KiB
    GTV_MP4_MOOF_MAX = 1024 * 1024,      // of one moof; a second of 25 pictures takes 500
    GTV_MP4_TRACKS_MAX = 2,              // one of video, one of audio
    GTV_MP4_MFRA_MAX = 32 * 1024 * 1024, // of the index at the end: 1.6 million key frames
};

struct gtv_mp4_track {
    uint32_t id, timescale;
    bool video;
    size_t stsd_at, stsd_len; // in the init
};

// Our own box behind moov: where in time the file lies. Times are path ticks.
struct gtv_mp4_mark {
    int64_t origin;   // is 0 in the file
    int64_t start;    // presentation time of the first key frame
    int64_t duration; // from start to the end; 0: the file was not closed
    uint64_t run;     // random: files of one run are continuous
    uint32_t number;  // in the run
};

enum { GTV_MP4_MARK_BYTES = 64 };

struct gtv_mp4_head {
    size_t init_len;         // ftyp and moov
    uint64_t fragments_at;   // where the first moof is expected
    size_t mvhd_duration_at; // of 4 bytes, milliseconds; 0: not in that form
    bool marked;             // ours
    size_t mark_at;
    struct gtv_mp4_mark mark;
    struct gtv_mp4_track tracks[GTV_MP4_TRACKS_MAX]; // video first
    size_t track_count;
};

void gtv_mp4_mark_write(struct gtv_buf *out, const struct gtv_mp4_mark *mark);

// Reads the head of an open file. init (may be NULL) gets ftyp and moov, the caller's reference.
bool gtv_mp4_read_head(int fd, uint64_t size, struct gtv_mp4_head *out,
                       struct gtv_bytes **init) GTV_WARN_UNUSED;
// The same from memory: what a file begins with.
bool gtv_mp4_parse_head(struct gtv_str data, struct gtv_mp4_head *out) GTV_WARN_UNUSED;

struct gtv_mp4_run {
    const struct gtv_mp4_track *track; // of the head
    int64_t tfdt;                      // in the track's timescale
    size_t tfdt_at;                    // of its 8 (or 4) bytes in the moof
    bool tfdt_long;
    uint64_t data_at; // first byte of the samples, from the beginning of the moof
    uint64_t bytes;
    int64_t duration;
    // For the walk over its samples.
    struct gtv_str entries;
    uint32_t count, flags, default_duration, default_size, default_flags, first_flags;
};

struct gtv_mp4_sample {
    uint32_t size, duration;
    int32_t composition;
    bool key;
};

struct gtv_mp4_fragment {
    uint64_t at;       // in the file
    uint32_t moof_len; // bytes
    uint64_t len;      // moof and mdat
    uint32_t mdat_head;
    size_t sequence_at; // of mfhd's 4 bytes, in the moof
    struct gtv_mp4_run runs[GTV_MP4_TRACKS_MAX];
    size_t run_count;
};

// Reads the fragment at `at`. moof (emptied first) gets the moof's bytes; out refers to them. False at the
// end of what is whole: `size` bytes are looked at. Boxes between fragments are passed over (at moves with
// them).
bool gtv_mp4_read_fragment(int fd, uint64_t size, uint64_t at, const struct gtv_mp4_head *head,
                           struct gtv_buf *moof, struct gtv_mp4_fragment *out) GTV_WARN_UNUSED;
// A moof from memory, with its header; len and mdat_head stay 0.
bool gtv_mp4_parse_moof(struct gtv_str moof, const struct gtv_mp4_head *head,
                        struct gtv_mp4_fragment *out) GTV_WARN_UNUSED;
// Sample i of a run, in order: *at begins at 0.
bool gtv_mp4_next_sample(const struct gtv_mp4_run *run, uint32_t i, size_t *at,
                         struct gtv_mp4_sample *out) GTV_WARN_UNUSED;

// The run of video, or NULL; and the presentation time of its first sample (in the file's ticks of 90 kHz),
// if that is a key frame.
const struct gtv_mp4_run *gtv_mp4_video(const struct gtv_mp4_fragment *f);
bool gtv_mp4_key_time(const struct gtv_mp4_fragment *f, int64_t *pts);
// Where the fragment ends, 90 kHz: its video if it has some.
int64_t gtv_mp4_end(const struct gtv_mp4_fragment *f);
int64_t gtv_mp4_ticks(int64_t value, uint32_t timescale); // to 90 kHz

// ---- Key frames ----
struct gtv_mp4_key {
    int64_t time;    // presentation, ticks from the file's origin
    uint64_t offset; // of the moof that begins with it
};

struct gtv_mp4_keys {
    struct gtv_mp4_key *list;
    size_t n, cap;
};
void gtv_mp4_keys_finish(struct gtv_mp4_keys *k);
bool gtv_mp4_keys_add(struct gtv_mp4_keys *k, struct gtv_mp4_key key);

// mfra with the keys, for the end of a file.
void gtv_mp4_write_mfra(struct gtv_buf *out, const struct gtv_mp4_keys *keys);
// False: there is none, or it makes no sense. mfra_at (may be NULL) gets where it begins.
bool gtv_mp4_read_mfra(int fd, uint64_t size, struct gtv_mp4_keys *out, uint64_t *mfra_at) GTV_WARN_UNUSED;
// Whether it has one, without reading it.
bool gtv_mp4_has_mfra(int fd, uint64_t size, uint64_t *mfra_at);
bool gtv_mp4_parse_mfra(struct gtv_str mfra, uint64_t size, struct gtv_mp4_keys *out) GTV_WARN_UNUSED;

// Walks all fragments; size becomes where the last whole one ends, keys and end (ticks from the origin) what
// they say. False without memory, or when nothing is whole.
bool gtv_mp4_walk(int fd, uint64_t *size, const struct gtv_mp4_head *head, struct gtv_mp4_keys *keys,
                  int64_t *end) GTV_WARN_UNUSED;

bool gtv_mp4_read_all(int fd, void *data, size_t n, uint64_t at); // pread until all is there

#endif
