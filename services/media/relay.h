// The readers of one path's relay: each gets the same transport packets, as they come. Loop thread only.
#ifndef GTV_MEDIA_RELAY_H
#define GTV_MEDIA_RELAY_H

#include "lib/http/server.h"
#include "services/media/gop.h"

struct gtv_relay;

// Bytes that may wait for one reader. Beyond it the reader is skipped forward to the next key frame after
// half of them have gone: a slow reader costs this much and never slows the others.
enum { GTV_RELAY_PENDING_MAX = 4 * 1024 * 1024 };

struct gtv_relay *gtv_relay_create(const struct gtv_log *log);
void gtv_relay_destroy(struct gtv_relay *r); // ends the readers' replies; NULL is accepted

// Begins the reply: the units since the latest key frame at once, then what is pushed. keyframes_only:
// nothing but key frames.
void gtv_relay_attach(struct gtv_relay *r, struct gtv_http_request *req, const struct gtv_gop *gop,
                      bool keyframes_only);
void gtv_relay_push(struct gtv_relay *r, const struct gtv_unit *unit);
void gtv_relay_end(struct gtv_relay *r); // the source is gone: all replies end

size_t gtv_relay_readers(const struct gtv_relay *r);
uint64_t gtv_relay_sent(const struct gtv_relay *r);    // bytes handed to readers
uint64_t gtv_relay_skipped(const struct gtv_relay *r); // units that slow readers did not get
// The id of the i-th reader, for lists.
uint64_t gtv_relay_reader_id(const struct gtv_relay *r, size_t i);

#endif
