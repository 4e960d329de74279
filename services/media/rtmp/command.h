// What a connection says to its client. Messages of fewer than 4 KiB.
#ifndef GTV_MEDIA_RTMP_COMMAND_H
#define GTV_MEDIA_RTMP_COMMAND_H

#include "services/media/rtmp/conn.h"

void gtv_rtmp_say_number(struct gtv_rtmp_conn *c, enum gtv_rtmp_type type, uint32_t value);
void gtv_rtmp_say_pong(struct gtv_rtmp_conn *c, uint32_t time);
void gtv_rtmp_say_connected(struct gtv_rtmp_conn *c, double transaction);
void gtv_rtmp_say_result(struct gtv_rtmp_conn *c, double transaction, bool with_stream);
// level: "status", "error".
void gtv_rtmp_say_status(struct gtv_rtmp_conn *c, const char *level, const char *code, const char *text);

// Where a client wants to publish: application and stream name, as MediaMTX puts a path's name together of
// them, and both queries. The path's name is not checked. False when they do not fit.
struct gtv_rtmp_place {
    char path[GTV_NAME_MAX + 1];
    char query[256]; // without the password
    char user[256], pass[256];
};
bool gtv_rtmp_place_read(struct gtv_str app, struct gtv_str name, struct gtv_rtmp_place *out) GTV_WARN_UNUSED;

#endif
