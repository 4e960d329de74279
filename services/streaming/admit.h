// Who is let in to HLS, and counted: between the proxy and viewers.h. On the loop of the request.
#ifndef GTV_STREAMING_ADMIT_H
#define GTV_STREAMING_ADMIT_H

#include "services/streaming/app.h"

// With GTV_PLAYBACK_KEY: whether the request has a session of the stream, or a grant for it. False: it was
// answered 401 or 403. Before anything is fetched for it.
bool gtv_admit_allowed(struct gtv_worker *w, struct gtv_http_request *req,
                       struct gtv_str stream) GTV_WARN_UNUSED;

// Counts the request for e, whose answer will have `bytes`. token: for gtv_admit_playlist. GTV_VIEWER_OK, or
// refuse it.
enum gtv_viewer_answer gtv_admit_viewer(struct gtv_worker *w, struct gtv_http_request *req,
                                        struct gtv_entry *e, size_t bytes, bool hit, int64_t now_ms,
                                        char token[GTV_SESSION_TEXT_MAX + 1]) GTV_WARN_UNUSED;
// 429 with when to ask again, or 403.
void gtv_admit_refuse(struct gtv_worker *w, struct gtv_http_request *req, enum gtv_viewer_answer answer);
// Counts what was sent after it was admitted with fewer bytes.
void gtv_admit_sent(struct gtv_worker *w, struct gtv_http_request *req, const struct gtv_entry *e,
                    size_t bytes);

// The body for this viewer, with the token in each URI; a reference for the caller. NULL: the entry's own
// body serves everybody (no playlist, nothing to write, no memory).
struct gtv_bytes *gtv_admit_playlist(struct gtv_entry *e, const char *token) GTV_WARN_UNUSED;

// POST /playback/tokens and POST /streams/{path*}/viewers/{session}/kick
void gtv_handle_playback_token(struct gtv_http_request *req, void *worker);
void gtv_handle_kick(struct gtv_http_request *req, void *worker);

#endif
