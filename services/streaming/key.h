// The key of a file in the cache, which is also what the node is asked for: "<stream>/<file>", and of a
// low-latency playlist what it is to be held for: "?_HLS_msn=7&_HLS_part=2&_HLS_skip=YES". All other queries
// of a playlist are left out, so that they cannot make copies of it, and of all that it names. Another file
// keeps its query (the answer may depend on it) without what is ours: session and token. A variant of an
// answer with Vary has "#<slot>" behind all that. Pure; any thread.
#ifndef GTV_STREAMING_KEY_H
#define GTV_STREAMING_KEY_H

#include "lib/base/str.h"

enum { GTV_KEY_CAP = 1024 }; // two names of 255, and the query

struct gtv_hls_key {
    char text[GTV_KEY_CAP];
    size_t n, stream_len, file_len; // of text; what follows is the query
    bool is_playlist;
};

// path: what follows "/hls/". False with *err when it is no name of ours.
bool gtv_hls_key_make(struct gtv_hls_key *key, struct gtv_str path, struct gtv_error *err) GTV_WARN_UNUSED;
// Adds what the query says of a blocking reload, or of a file that is no playlist the query itself. False
// with *err when it makes no sense (a part without its segment: RFC 8216bis, 6.2.5.2), or is too long.
bool gtv_hls_key_add_query(struct gtv_hls_key *key, struct gtv_str query,
                           struct gtv_error *err) GTV_WARN_UNUSED;

static inline struct gtv_str gtv_hls_key_stream(const struct gtv_hls_key *key)
{
    return (struct gtv_str){key->text, key->stream_len};
}

// The key of a slot for variants: key and "#<slot>".
void gtv_hls_key_set_slot(struct gtv_hls_key *key, unsigned slot);
// The file's name within a key, without query and slot. stream_len as in the key.
struct gtv_str gtv_hls_key_file(const char *key, size_t stream_len);

#endif
