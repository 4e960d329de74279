// RTSP 1.0 on the wire (RFC 2326; the syntax of RFC 7826 where it is the clearer one): requests, responses
// and interleaved frames, read out of a buffer as it fills, for clients and servers alike. Pure; any thread.
#ifndef GTV_RTSP_MESSAGE_H
#define GTV_RTSP_MESSAGE_H

#include "lib/base/buf.h"

enum {
    GTV_RTSP_START_MAX = 4096,     // bytes of a start line
    GTV_RTSP_HEAD_MAX = 16384,     // bytes of the start line and all headers
    GTV_RTSP_HEADERS_MAX = 48,     // headers; real messages have less than 15
    GTV_RTSP_BODY_MAX = 64 * 1024, // bytes of a body; an SDP takes 1 or 2 KiB
    // The most that a reader of messages has to hold while one is incomplete.
    GTV_RTSP_PENDING_MAX = GTV_RTSP_HEAD_MAX + GTV_RTSP_BODY_MAX,
};

enum gtv_rtsp_kind {
    GTV_RTSP_MORE, // incomplete: ask again when there are more bytes
    GTV_RTSP_REQUEST,
    GTV_RTSP_RESPONSE,
    GTV_RTSP_FRAME, // '$', a channel and a payload (RFC 2326, 10.12)
    GTV_RTSP_BAD,   // no RTSP, or beyond a limit: the connection cannot go on
};

struct gtv_rtsp_header {
    struct gtv_str name, value; // without the spaces around
};

// Slices of the data it was read from.
struct gtv_rtsp_message {
    struct gtv_str method, uri; // of requests
    int status;                 // of responses, 100 to 999
    struct gtv_str reason;
    int64_t cseq; // -1 without a readable one
    size_t header_count;
    struct gtv_rtsp_header headers[GTV_RTSP_HEADERS_MAX];
    struct gtv_str body; // also the payload of frames
    uint8_t channel;     // of frames
};

// Reads what data begins with. *used: the bytes it took; of MORE the empty lines in front, which may be
// dropped (0 of most). *need: of MORE the bytes that data must have at least (from its beginning), when that
// is known, else 0. GTV_RTSP_BAD fills *err: GTV_E_TOO_LARGE where an announced body is beyond the limit
// (told from its Content-Length, before any of it is here), else GTV_E_BAD_REQUEST.
enum gtv_rtsp_kind gtv_rtsp_read(struct gtv_str data, size_t *used, size_t *need, struct gtv_rtsp_message *m,
                                 struct gtv_error *err);

// The first header of this name (ASCII case does not matter), an empty slice with p NULL without one.
struct gtv_str gtv_rtsp_header(const struct gtv_rtsp_message *m, const char *name);
// The i-th (from 0) header of this name; for WWW-Authenticate, which comes once a scheme.
struct gtv_str gtv_rtsp_header_at(const struct gtv_rtsp_message *m, const char *name, size_t i);

// ---- Writing: a start, headers, an end ----
// Control characters in values become spaces, so that nobody can smuggle a header in.
void gtv_rtsp_write_request(struct gtv_buf *out, const char *method, struct gtv_str uri, int64_t cseq);
// reason NULL takes the status's own. cseq < 0: none is written.
void gtv_rtsp_write_response(struct gtv_buf *out, int status, const char *reason, int64_t cseq);
void gtv_rtsp_write_header(struct gtv_buf *out, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
// The empty line; a body gets its Content-Type (NULL: none) and Content-Length before.
void gtv_rtsp_write_end(struct gtv_buf *out, const char *content_type, struct gtv_str body);
// The 4 bytes before an interleaved frame's payload of n bytes.
static inline void gtv_rtsp_frame_head(uint8_t head[4], uint8_t channel, uint16_t n)
{
    head[0] = '$';
    head[1] = channel;
    head[2] = (uint8_t)(n >> 8);
    head[3] = (uint8_t)n;
}

// ---- Headers with parts ----

// One choice of a Transport header (RFC 2326, 12.39). Ports and channels are -1 when absent; a single number
// stands for itself and the next.
struct gtv_rtsp_transport_choice {
    bool tcp;       // RTP/AVP/TCP; else RTP/AVP or RTP/AVP/UDP
    bool multicast; // else unicast
    bool record;    // mode=record (publishers)
    int interleaved[2], client_port[2], server_port[2];
    bool has_ssrc;
    uint32_t ssrc;
    struct gtv_str source, destination;
};
// Takes the next choice off *header (they are separated by commas). False at the end; choices with a profile
// other than RTP/AVP are passed over.
bool gtv_rtsp_transport_next(struct gtv_str *header, struct gtv_rtsp_transport_choice *out);

// "12345678;timeout=60": the id (trimmed) and the seconds, 60 when absent or unreadable.
struct gtv_str gtv_rtsp_session(struct gtv_str header, int *timeout_s);

// True when the comma-separated list has the word (ASCII case does not matter): Public, Allow, Require.
bool gtv_rtsp_list_has(struct gtv_str list, const char *word);

#endif
