// Session descriptions (RFC 8866) as RTSP uses them: which tracks there are, in which codec, and how to ask
// for each. Pure; any thread.
#ifndef GTV_RTSP_SDP_H
#define GTV_RTSP_SDP_H

#include "lib/base/buf.h"
#include "lib/video/nal.h"

enum {
    GTV_SDP_TRACKS_MAX = 8,   // tracks beyond it are left out
    GTV_SDP_LINES_MAX = 2000, // a description with more is refused
    GTV_SDP_CONTROL_MAX = 1024,
};

enum gtv_sdp_kind { GTV_SDP_VIDEO, GTV_SDP_AUDIO, GTV_SDP_OTHER };

struct gtv_sdp_track {
    enum gtv_sdp_kind kind;
    enum gtv_codec codec; // NONE: one that this node cannot carry; `encoding` names it
    char encoding[24];    // as in rtpmap, upper case: "H264", "MPEG4-GENERIC"; "" for none
    uint8_t payload_type;
    uint32_t clock;                        // ticks of its RTP time stamps a second; never 0
    int channels;                          // of audio, at least 1
    char control[GTV_SDP_CONTROL_MAX + 1]; // as it stands, relative or absolute; "" without one

    struct gtv_bytes *sets; // H.264, H.265: parameter sets, each behind its length in 4 bytes; NULL: in band
    int packetization_mode; // of H.264
    bool donl;              // H.265: decoding order numbers stand in the payloads (sprop-max-don-diff > 0)

    struct gtv_bytes
        *config; // AAC: AudioSpecificConfig (ISO/IEC 14496-3); NULL: in band (LATM with cpresent)
    bool latm;   // AAC as MP4A-LATM (RFC 6416), else mpeg4-generic (RFC 3640)
    unsigned size_length, index_length, index_delta_length; // RFC 3640: bits of an AU header's fields
};

struct gtv_sdp {
    char control[GTV_SDP_CONTROL_MAX + 1]; // of the session: "*", a URL or ""
    size_t count;
    struct gtv_sdp_track tracks[GTV_SDP_TRACKS_MAX];
};

// False with *err for what is no description. What is wrong within one track makes that track's codec NONE.
// *out is then to be finished.
bool gtv_sdp_parse(struct gtv_str text, struct gtv_sdp *out, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_sdp_finish(struct gtv_sdp *s); // a zeroed one is accepted; leaves it so

// Writes a description of s->tracks (codec, payload_type, clock, channels, control, sets, config) for
// DESCRIBE. name: of the session. address: "0.0.0.0" or "::" and so on, without brackets.
void gtv_sdp_write(struct gtv_buf *out, const struct gtv_sdp *s, const char *name, const char *address);

// Where a request for `control` goes (RFC 2326, C.1.1): absolute as it is, "*" and "" the base itself, else
// behind the base. base: Content-Base, Content-Location or the request's own URL, without credentials. False
// when it does not fit.
bool gtv_sdp_control_url(struct gtv_str base, struct gtv_str control, char *out, size_t cap) GTV_WARN_UNUSED;

#endif
