#include "services/media/rtmp/command.h"

#include "lib/base/url.h"
#include "services/media/rtmp/amf.h"

#include <stdio.h>

enum {
    CONTROL_CHUNKS = 2, // the chunk stream of protocol control, by the specification
    COMMAND_CHUNKS = 3,
    STATUS_CHUNKS = 5,
    WINDOW = 2500000, // bytes that either side may send before it is to hear an acknowledgement
    OUT_MAX = 16 * 1024,
    MEDIA_STREAM = 1,
};

static void say(struct gtv_rtmp_conn *c, unsigned chunk_stream, uint8_t type, uint32_t stream,
                struct gtv_str body)
{
    struct gtv_buf out;
    gtv_buf_init(&out, OUT_MAX);
    gtv_chunks_write(&out, chunk_stream,
                     &(struct gtv_rtmp_message){.type = type, .stream = stream, .body = body});
    gtv_rtmp_conn_write(c, gtv_buf_str(&out));
    gtv_buf_finish(&out);
}

static void put_be32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

void gtv_rtmp_say_number(struct gtv_rtmp_conn *c, enum gtv_rtmp_type type, uint32_t value)
{
    uint8_t body[5];
    put_be32(body, value);
    body[4] = 2; // of bandwidths: dynamic
    say(c, CONTROL_CHUNKS, (uint8_t)type, 0,
        (struct gtv_str){(const char *)body, type == GTV_RTMP_PEER_BANDWIDTH ? 5 : 4});
}

void gtv_rtmp_say_pong(struct gtv_rtmp_conn *c, uint32_t time)
{
    uint8_t body[6] = {0, 7};
    put_be32(body + 2, time);
    say(c, CONTROL_CHUNKS, GTV_RTMP_USER_CONTROL, 0, (struct gtv_str){(const char *)body, sizeof body});
}

static void put_text(struct gtv_buf *b, const char *key, const char *text)
{
    gtv_amf_put_key(b, key);
    gtv_amf_put_string(b, text);
}

static void say_command(struct gtv_rtmp_conn *c, unsigned chunk_stream, uint32_t stream, struct gtv_buf *body)
{
    say(c, chunk_stream, GTV_RTMP_COMMAND, stream, gtv_buf_str(body));
    gtv_buf_finish(body);
}

void gtv_rtmp_say_connected(struct gtv_rtmp_conn *c, double transaction)
{
    struct gtv_buf b;
    gtv_rtmp_say_number(c, GTV_RTMP_WINDOW_ACK_SIZE, WINDOW);
    gtv_rtmp_say_number(c, GTV_RTMP_PEER_BANDWIDTH, WINDOW);
    gtv_rtmp_say_number(c, GTV_RTMP_SET_CHUNK_SIZE, GTV_RTMP_OUT_CHUNK);
    gtv_buf_init(&b, OUT_MAX);
    gtv_amf_put_string(&b, "_result");
    gtv_amf_put_number(&b, transaction);
    gtv_amf_put_object(&b);
    put_text(&b, "fmsVer", "GTV/" GTV_VERSION);
    gtv_amf_put_key(&b, "capabilities");
    gtv_amf_put_number(&b, 31);
    gtv_amf_put_end(&b);
    gtv_amf_put_object(&b);
    put_text(&b, "level", "status");
    put_text(&b, "code", "NetConnection.Connect.Success");
    put_text(&b, "description", "Connection succeeded.");
    gtv_amf_put_key(&b, "objectEncoding");
    gtv_amf_put_number(&b, 0);
    gtv_amf_put_end(&b);
    say_command(c, COMMAND_CHUNKS, 0, &b);
}

void gtv_rtmp_say_result(struct gtv_rtmp_conn *c, double transaction, bool with_stream)
{
    struct gtv_buf b;
    gtv_buf_init(&b, OUT_MAX);
    gtv_amf_put_string(&b, "_result");
    gtv_amf_put_number(&b, transaction);
    gtv_amf_put_null(&b);
    if (with_stream) {
        gtv_amf_put_number(&b, MEDIA_STREAM);
    } else {
        gtv_amf_put_null(&b);
    }
    say_command(c, COMMAND_CHUNKS, 0, &b);
}

void gtv_rtmp_say_status(struct gtv_rtmp_conn *c, const char *level, const char *code, const char *text)
{
    struct gtv_buf b;
    gtv_buf_init(&b, OUT_MAX);
    gtv_amf_put_string(&b, "onStatus");
    gtv_amf_put_number(&b, 0);
    gtv_amf_put_null(&b);
    gtv_amf_put_object(&b);
    put_text(&b, "level", level);
    put_text(&b, "code", code);
    put_text(&b, "description", text);
    gtv_amf_put_end(&b);
    say_command(c, STATUS_CHUNKS, MEDIA_STREAM, &b);
}

static struct gtv_str trim_slashes(struct gtv_str s)
{
    while (s.n > 0 && s.p[0] == '/') {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && s.p[s.n - 1] == '/') {
        s.n--;
    }
    return s;
}

// Takes user and pass out of a query, and appends the rest to out->query.
static bool read_query(struct gtv_str query, struct gtv_rtmp_place *out)
{
    while (query.n > 0) {
        struct gtv_str pair = gtv_str_cut(&query, '&'), value = pair;
        struct gtv_str key = gtv_str_cut(&value, '=');
        value = trim_slashes(value); // some clients put a slash behind the whole address
        if (gtv_str_eq(key, GTV_STR("pass"))) {
            if (gtv_url_decode(value, true, out->pass, sizeof out->pass) < 0) {
                return false;
            }
            continue;
        }
        if (gtv_str_eq(key, GTV_STR("user")) &&
            gtv_url_decode(value, true, out->user, sizeof out->user) < 0) {
            return false;
        }
        size_t used = strlen(out->query);
        if (pair.n + 2 > sizeof out->query - used) {
            return false;
        }
        (void)snprintf(out->query + used, sizeof out->query - used, "%s" GTV_STR_FMT, used > 0 ? "&" : "",
                       GTV_STR_ARG(pair));
    }
    return true;
}

bool gtv_rtmp_place_read(struct gtv_str app, struct gtv_str name, struct gtv_rtmp_place *out)
{
    *out = (struct gtv_rtmp_place){0};
    struct gtv_str queries[2] = {app, name};
    struct gtv_str first = trim_slashes(gtv_str_cut(&queries[0], '?'));
    struct gtv_str second = trim_slashes(gtv_str_cut(&queries[1], '?'));
    int n = snprintf(out->path, sizeof out->path, GTV_STR_FMT "%s" GTV_STR_FMT, GTV_STR_ARG(first),
                     first.n > 0 && second.n > 0 ? "/" : "", GTV_STR_ARG(second));
    return n >= 0 && (size_t)n < sizeof out->path &&
           (size_t)n == first.n + second.n + (first.n > 0 && second.n > 0) && read_query(queries[0], out) &&
           read_query(queries[1], out);
}
