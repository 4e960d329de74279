// One count of segments for viewers, whatever the node behind it does.
//
// A muxer that starts anew (a restart of the node, a camera that moves to another node) counts from where it
// likes, under another name. Viewers get numbers that only grow: EXT-X-MEDIA-SEQUENCE goes on after the last
// one published, EXT-X-DISCONTINUITY-SEQUENCE grows by one for each seam, and while the new list is short the
// end of the old one stands before it, EXT-X-DISCONTINUITY between them (RFC
// 8216bis, 4.4.3.2, 4.4.3.3, 6.2.2).
//
// A generation is what the names of a muxer's segments begin with. What is added to its numbers is decided
// once for all replicas, in Redis (sequence_store.h), and here where Redis is away or names tell no
// generation. Any thread; one lock, never held together with another one but for what `cached` takes.
#ifndef GTV_STREAMING_SEQUENCE_H
#define GTV_STREAMING_SEQUENCE_H

#include "lib/base/bytes.h"

enum {
    GTV_SEQUENCE_STREAMS = 4096,        // beyond it numbers are passed on as they come
    GTV_SEQUENCE_RENDITIONS = 4,        // of a stream whose old end is kept at a seam
    GTV_SEQUENCE_TAIL_MAX = 16,         // segments of the old list
    GTV_SEQUENCE_TEXT_MAX = 65536,      // bytes of a playlist that is kept for its end
    GTV_SEQUENCE_NAME_CAP = 64,         // of a generation
    GTV_SEQUENCE_KEEP_MS = 3600 * 1000, // a stream nobody watches is forgotten after that
};

struct gtv_sequences;

struct gtv_sequences *gtv_sequences_create(void);
void gtv_sequences_destroy(struct gtv_sequences *s); // NULL is accepted

// What is to be decided about a generation: its first numbers as the node gives them, and what this process
// would give the first of them; -1 where it has published nothing of the stream.
struct gtv_sequence_seam {
    char generation[GTV_SEQUENCE_NAME_CAP];
    int64_t first, discontinuity;
    int64_t next, next_discontinuity;
};
// What is added to a generation's numbers.
struct gtv_sequence_offsets {
    int64_t sequence, discontinuity;
};

// Whether a file of the stream is in the cache. Called with the lock held.
typedef bool (*gtv_sequence_cached_fn)(void *arg, struct gtv_str stream, struct gtv_str file);

enum gtv_sequence_result {
    GTV_SEQUENCE_SAME,   // as the node counts
    GTV_SEQUENCE_MADE,   // *out is what viewers get, a reference
    GTV_SEQUENCE_DECIDE, // *seam first; then call again
};
// A media playlist came. file: its name ("main_stream.m3u8"). No memory for it: SAME.
enum gtv_sequence_result gtv_sequence_apply(struct gtv_sequences *s, struct gtv_str stream,
                                            struct gtv_str file, struct gtv_bytes *text, int64_t now_ms,
                                            struct gtv_bytes **out, struct gtv_sequence_seam *seam);
// A generation begins. given: what the replicas agreed on; NULL: by what this process knows. A second
// decision on the same seam changes nothing.
void gtv_sequence_decide(struct gtv_sequences *s, struct gtv_str stream, const struct gtv_sequence_seam *seam,
                         const struct gtv_sequence_offsets *given, gtv_sequence_cached_fn cached, void *arg,
                         int64_t now_ms);
// Grows with each seam of the stream; 0: nothing is known of it.
uint64_t gtv_sequence_seams(struct gtv_sequences *s, struct gtv_str stream);

// The query for the node of a blocking reload ("_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"), with the node's
// numbers. Empty: the node is to be asked for what there is now.
enum { GTV_SEQUENCE_QUERY_CAP = 96 };
void gtv_sequence_query(struct gtv_sequences *s, struct gtv_str stream, struct gtv_str query,
                        char out[GTV_SEQUENCE_QUERY_CAP]);

// Calls fn, with the lock held, for each stream whose numbers grew since the last call; fn only copies.
struct gtv_sequence_state {
    char generation[GTV_SEQUENCE_NAME_CAP];
    struct gtv_sequence_offsets offsets;
    int64_t next, discontinuity; // of what was published
    bool alone;                  // decided without the other replicas
};
void gtv_sequence_each_changed(struct gtv_sequences *s, int64_t now_ms,
                               void (*fn)(void *arg, struct gtv_str stream,
                                          const struct gtv_sequence_state *state),
                               void *arg);

#endif
