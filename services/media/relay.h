// The readers of a path's relay: each gets the path as MPEG-TS or fragmented MP4, as it comes. Loop thread
// only.
#ifndef GTV_MEDIA_RELAY_H
#define GTV_MEDIA_RELAY_H

#include "lib/http/server.h"
#include "services/media/reader.h"

// Bytes that may wait for one reader. Beyond it the reader is skipped forward to the next key frame after
// half of them have gone: a slow reader costs this much and never slows the others.
enum { GTV_RELAY_PENDING_MAX = 4 * 1024 * 1024 };

// Begins the reply: the samples since the latest key frame at once, then what comes, until the source is
// gone. keyframes_only: nothing but key frames. fmp4: an init segment, then a fragment a sample; the reply
// ends when the format changes, for one file has one. False with *err, and no reply: too many readers.
bool gtv_relay_open(struct gtv_path *path, struct gtv_http_request *req, bool keyframes_only, bool fmp4,
                    struct gtv_error *err) GTV_WARN_UNUSED;

#endif
