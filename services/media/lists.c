// The read-only answers of the control API, in MediaMTX's order of keys.
#include "services/media/api.h"

#include "lib/base/clock.h"
#include "services/media/api/page.h"
#include "services/media/record/record.h"
#include "services/media/reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *codec_name(enum gtv_codec codec)
{
    return codec == GTV_CODEC_H264   ? "H264"
           : codec == GTV_CODEC_H265 ? "H265"
           : codec == GTV_CODEC_OPUS ? "Opus"
                                     : "MPEG-4 Audio";
}

static void add_tracks(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_format *f)
{
    yyjson_mut_val *names = yyjson_mut_obj_add_arr(doc, o, "tracks"),
                   *tracks = yyjson_mut_obj_add_arr(doc, o, "tracks2");
    if (f == NULL) {
        return;
    }
    yyjson_mut_arr_add_str(doc, names, codec_name(f->video.codec));
    yyjson_mut_val *track = yyjson_mut_arr_add_obj(doc, tracks);
    yyjson_mut_obj_add_str(doc, track, "codec", codec_name(f->video.codec));
    yyjson_mut_val *props = yyjson_mut_obj_add_obj(doc, track, "codecProps");
    yyjson_mut_obj_add_int(doc, props, "width", f->video.width);
    yyjson_mut_obj_add_int(doc, props, "height", f->video.height);
    yyjson_mut_obj_add_strcpy(doc, props, "profile", f->video.profile);
    yyjson_mut_obj_add_strcpy(doc, props, "level", f->video.level);
    if (f->audio.codec != GTV_CODEC_NONE) {
        yyjson_mut_arr_add_str(doc, names, codec_name(f->audio.codec));
        track = yyjson_mut_arr_add_obj(doc, tracks);
        yyjson_mut_obj_add_str(doc, track, "codec", codec_name(f->audio.codec));
        props = yyjson_mut_obj_add_obj(doc, track, "codecProps");
        yyjson_mut_obj_add_int(doc, props, "sampleRate", f->audio.rate);
        yyjson_mut_obj_add_int(doc, props, "channelCount", f->audio.channels);
    }
}

static void add_readers(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_path *p)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "readers");
    for (const struct gtv_reader *r = gtv_path_readers(p); r != NULL; r = r->next) {
        if (r->type != NULL) {
            yyjson_mut_val *reader = yyjson_mut_arr_add_obj(doc, list);
            yyjson_mut_obj_add_str(doc, reader, "type", r->type);
            yyjson_mut_obj_add_strcpy(doc, reader, "id", r->id);
        }
    }
}

static void add_recording(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_node *n,
                          struct gtv_str name)
{
    struct gtv_record_status s;
    gtv_record_get_status(gtv_node_record(n), name, &s);
    yyjson_mut_val *recording = yyjson_mut_obj_add_obj(doc, o, "recording");
    yyjson_mut_obj_add_str(doc, recording, "state", s.state_name);
    gtv_json_add_text(doc, recording, "cause", s.text);
    gtv_json_add_text(doc, recording, "causeCode", s.cause_code);
    yyjson_mut_obj_add_uint(doc, recording, "files", s.files);
    yyjson_mut_obj_add_uint(doc, recording, "bytes", s.bytes);
    yyjson_mut_obj_add_uint(doc, recording, "droppedSamples", s.dropped);
}

static yyjson_mut_val *write_path(yyjson_mut_doc *doc, const struct gtv_node *n, const struct gtv_path *p)
{
    const struct gtv_pathconf *conf = gtv_path_conf(p);
    struct gtv_path_status s;
    gtv_path_get_status(p, &s);
    bool ready = s.state == GTV_PATH_CONNECTED, pulled = gtv_pathconf_is_pulled(conf);
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_strcpy(doc, o, "name", conf->name);
    yyjson_mut_obj_add_strcpy(doc, o, "confName", conf->conf_name[0] != '\0' ? conf->conf_name : conf->name);
    yyjson_mut_obj_add_bool(doc, o, "ready", ready);
    gtv_json_add_time(doc, o, "readyTime", ready ? s.ready_wall_ms : 0);
    yyjson_mut_obj_add_bool(doc, o, "available", ready);
    gtv_json_add_time(doc, o, "availableTime", ready ? s.ready_wall_ms : 0);
    yyjson_mut_obj_add_bool(doc, o, "online", s.source_type != NULL);
    if (pulled && !ready) {
        yyjson_mut_obj_add_str(doc, o, "onlineTime",
                               "0001-01-01T00:00:00Z"); // so MediaMTX tells of a source it waits for
    } else {
        gtv_json_add_time(doc, o, "onlineTime", ready ? s.ready_wall_ms : 0);
    }
    if (s.source_type != NULL) {
        yyjson_mut_val *source = yyjson_mut_obj_add_obj(doc, o, "source");
        yyjson_mut_obj_add_str(doc, source, "type", s.source_type);
        yyjson_mut_obj_add_strcpy(doc, source, "id", s.source_id);
    } else {
        yyjson_mut_obj_add_null(doc, o, "source");
    }
    add_tracks(doc, o, s.format);
    add_readers(doc, o, p);
    yyjson_mut_obj_add_uint(doc, o, "inboundBytes", s.received);
    yyjson_mut_obj_add_uint(doc, o, "outboundBytes", s.sent);
    yyjson_mut_obj_add_uint(doc, o, "inboundFramesInError", s.error_frames);
    yyjson_mut_obj_add_uint(doc, o, "bytesReceived", s.received);
    yyjson_mut_obj_add_uint(doc, o, "bytesSent", s.sent);
    yyjson_mut_obj_add_str(doc, o, "state", s.state_name);
    if (s.cause != NULL) {
        yyjson_mut_obj_add_strcpy(doc, o, "cause", s.cause);
        yyjson_mut_obj_add_strcpy(doc, o, "causeCode", s.cause_code);
    } else {
        yyjson_mut_obj_add_null(doc, o, "cause");
        yyjson_mut_obj_add_null(doc, o, "causeCode");
    }
    add_recording(doc, o, n, gtv_str_of(conf->name));
    return o;
}

static yyjson_mut_val *write_muxer(yyjson_mut_doc *doc, const struct gtv_node *n, const struct gtv_path *p)
{
    struct gtv_path_status s;
    gtv_path_get_status(p, &s);
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_strcpy(doc, o, "path", gtv_path_conf(p)->name);
    gtv_json_add_time(doc, o, "created", s.muxer_created_ms);
    gtv_json_add_time(doc, o, "lastRequest", s.muxer_request_ms);
    yyjson_mut_obj_add_uint(doc, o, "outboundBytes", s.muxer_sent);
    yyjson_mut_obj_add_uint(doc, o, "outboundFramesDiscarded", s.muxer_discarded);
    yyjson_mut_obj_add_uint(doc, o, "bytesSent", s.muxer_sent);
    return o;
}

static bool any_path(const struct gtv_path *p)
{
    return true;
}

static bool with_muxer(const struct gtv_path *p)
{
    struct gtv_path_status s;
    gtv_path_get_status(p, &s);
    return s.has_muxer;
}

typedef yyjson_mut_val *(*write_fn)(yyjson_mut_doc *doc, const struct gtv_node *n, const struct gtv_path *p);

struct listing {
    const struct gtv_node *node;
    struct gtv_path **paths;
    write_fn write;
};

static yyjson_mut_val *write_nth(yyjson_mut_doc *doc, size_t i, void *arg)
{
    const struct listing *l = arg;
    return l->write(doc, l->node, l->paths[i]);
}

static void reply_list(struct gtv_http_request *req, struct gtv_node *n,
                       bool (*is_listed)(const struct gtv_path *), write_fn write)
{
    struct gtv_page page;
    if (!gtv_page_read(req, &page)) {
        return;
    }
    struct listing l = {n, gtv_node_sorted(n), write};
    size_t count = 0;
    for (size_t i = 0; i < gtv_node_count(n); i++) {
        if (is_listed(l.paths[i])) {
            l.paths[count++] = l.paths[i];
        }
    }
    gtv_page_reply(req, &page, count, write_nth, &l);
    free(l.paths);
}

static void reply_item(struct gtv_http_request *req, struct gtv_node *n, const char *missing,
                       bool (*is_listed)(const struct gtv_path *), write_fn write)
{
    const struct gtv_path *p = gtv_node_find(n, gtv_http_param(req, "name"));
    if (p == NULL || !is_listed(p)) {
        gtv_media_reply_error(req, 404, missing, NULL, NULL);
        return;
    }
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, write(doc, n, p));
    gtv_media_reply_json(req, doc);
}

void gtv_media_info(struct gtv_http_request *req, void *user)
{
    struct gtv_node *n = user;
    int64_t ns = gtv_node_started_ns(n);
    char seconds[GTV_ISO8601_CAP], started[GTV_ISO8601_CAP + 16];
    gtv_iso8601_utc(ns / 1000000, seconds);
    // To the second, then the nanoseconds that RFC 3339 leaves room for.
    snprintf(started, sizeof started, "%.19s.%09" PRId64 "Z", seconds, ns % 1000000000);
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    yyjson_mut_obj_add_str(doc, root, "version", "v" GTV_VERSION "-gtv");
    yyjson_mut_obj_add_strcpy(doc, root, "started", started);
    gtv_media_reply_json(req, doc);
}

void gtv_media_paths_list(struct gtv_http_request *req, void *user)
{
    reply_list(req, user, any_path, write_path);
}

void gtv_media_paths_get(struct gtv_http_request *req, void *user)
{
    reply_item(req, user, "path not found", any_path, write_path);
}

void gtv_media_muxers_list(struct gtv_http_request *req, void *user)
{
    reply_list(req, user, with_muxer, write_muxer);
}

void gtv_media_muxers_get(struct gtv_http_request *req, void *user)
{
    reply_item(req, user, "muxer not found", with_muxer, write_muxer);
}
