// RTMP's chunk streams (Adobe's RTMP specification 1.0, chapter 5.3 and 5.4): messages out of bytes as they
// come, and messages into bytes. One thread, the caller's.
#ifndef GTV_MEDIA_RTMP_CHUNK_H
#define GTV_MEDIA_RTMP_CHUNK_H

#include "lib/base/buf.h"

enum gtv_rtmp_type {
    GTV_RTMP_SET_CHUNK_SIZE = 1,
    GTV_RTMP_ABORT = 2,
    GTV_RTMP_ACK = 3,
    GTV_RTMP_USER_CONTROL = 4,
    GTV_RTMP_WINDOW_ACK_SIZE = 5,
    GTV_RTMP_PEER_BANDWIDTH = 6,
    GTV_RTMP_AUDIO = 8,
    GTV_RTMP_VIDEO = 9,
    GTV_RTMP_DATA_AMF3 = 15,
    GTV_RTMP_COMMAND_AMF3 = 17,
    GTV_RTMP_DATA = 18,
    GTV_RTMP_COMMAND = 20,
    GTV_RTMP_AGGREGATE = 22,
};

enum {
    GTV_RTMP_MESSAGE_MAX = 8 * 1024 * 1024, // bytes of a message, and of all that are under way
    GTV_RTMP_STREAMS_MAX = 32,              // chunk streams of a connection; real ones use 3 to 6
    GTV_RTMP_OUT_CHUNK = 4096,              // what our side announces
};

struct gtv_rtmp_message {
    uint8_t type;
    uint32_t stream;    // message stream
    uint32_t timestamp; // ms, wraps
    struct gtv_str body;
};

struct gtv_chunks;

// on_message: the body lives until it returns; false ends the connection. Chunk sizes and aborts never reach
// it.
struct gtv_chunks *gtv_chunks_create(bool (*on_message)(void *arg, const struct gtv_rtmp_message *m),
                                     void *arg);
void gtv_chunks_destroy(struct gtv_chunks *c); // NULL is accepted; not inside on_message
// False: the peer broke the rules (*why, static), or on_message said so (*why NULL). Nothing may be pushed
// any more.
bool gtv_chunks_push(struct gtv_chunks *c, struct gtv_str data, const char **why) GTV_WARN_UNUSED;

// One message with its header, in chunks of GTV_RTMP_OUT_CHUNK bytes. chunk_stream: 2 to 63.
void gtv_chunks_write(struct gtv_buf *out, unsigned chunk_stream, const struct gtv_rtmp_message *m);

#endif
