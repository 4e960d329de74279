// What a WebSocket client may ask, and the endpoint that gives back what it gets.
#include "services/streaming/hub_internal.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/ws/ws.h"
#include "services/streaming/routes.h"
#include "services/streaming/stats.h"

#include <stdlib.h>

static struct gtv_message *small_message(const char *type, const char *data)
{
    char when[GTV_ISO8601_CAP];
    struct gtv_bytes *text = gtv_bytes_printf("{\"type\":\"%s\",\"data\":%s,\"timestamp\":\"%s\"}", type,
                                              data, gtv_iso8601_utc(gtv_wall_ms(), when));
    struct gtv_message *m =
        text ? gtv_message_create(GTV_STR(""), gtv_str_of(type), NULL, gtv_bytes_str(text)) : NULL;
    gtv_bytes_unref(text);
    return m;
}

static struct gtv_bytes *status_text(struct gtv_app *app, const char *stream)
{
    char when[GTV_ISO8601_CAP];
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return NULL;
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "type", "status");
    yyjson_mut_obj_add_strcpy(doc, root, "stream", stream);
    gtv_add_status(doc, yyjson_mut_obj_add_obj(doc, root, "data"), app, gtv_str_of(stream));
    yyjson_mut_obj_add_str(doc, root, "timestamp", gtv_iso8601_utc(gtv_wall_ms(), when));
    return gtv_json_write(doc);
}

struct gtv_message *gtv_client_snapshot(struct gtv_client *c)
{
    struct gtv_app *app = c->hub->worker->app;
    const char *stream = gtv_topic_name(c->topic);
    struct gtv_bytes *text = stream ? status_text(app, stream) : gtv_stats_dashboard(app);
    // Not the type by which live messages coalesce: it is an answer, and is given.
    struct gtv_message *m = text ? gtv_message_create(stream ? gtv_str_of(stream) : GTV_STR(""),
                                                      stream ? GTV_STR("status") : GTV_STR("dashboard"), NULL,
                                                      gtv_bytes_str(text))
                                 : NULL;
    gtv_bytes_unref(text);
    return m;
}

void gtv_client_said(struct gtv_client *c, struct gtv_str message)
{
    struct gtv_str type = gtv_str_trim(message); // the plain word is understood too
    yyjson_doc *doc = NULL;
    if (type.n && type.p[0] == '{') {
        doc = gtv_json_parse(message, NULL);
        yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(doc), "type");
        type = yyjson_is_str(v) ? (struct gtv_str){yyjson_get_str(v), yyjson_get_len(v)}
                                : (struct gtv_str){"", 0};
    }
    if (gtv_str_eq(type, GTV_STR("ping")))
        gtv_client_answer(c, small_message("pong", "{}"));
    else if (gtv_str_eq(type, GTV_STR("status")))
        gtv_client_answer(c, gtv_client_snapshot(c));
    else if (!gtv_str_eq(type, GTV_STR("pong")))
        gtv_client_answer(c, small_message("error",
                                           "{\"detail\":\"status and ping are "
                                           "understood\",\"code\":\"bad_request\",\"field\":\"type\"}"));
    yyjson_doc_free(doc);
}

// ---- echo ----

enum {
    ECHO_MESSAGE = 16 * 1024 * 1024,
    ECHO_QUEUE = 2 * ECHO_MESSAGE + 1024 * 1024, // beyond it the connection is closed with 1013
};

struct echo {
    struct gtv_ws *ws;
    struct gtv_ws_deflater *deflater; // NULL: compression was not agreed on
};

static void give_back(struct echo *e, bool text, struct gtv_str message)
{
    struct gtv_bytes *frame = e->deflater ? gtv_ws_encode_deflated(e->deflater, text, message) : NULL;
    if (!frame)
        frame = text ? gtv_ws_encode_text(message) : gtv_ws_encode_binary(message);
    if (!frame || !gtv_ws_send(e->ws, frame))
        gtv_ws_close(e->ws, 1013, "what comes back is not read");
    gtv_bytes_unref(frame);
}

static void echo_text(void *arg, struct gtv_str message)
{
    give_back(arg, true, message);
}

static void echo_binary(void *arg, struct gtv_str message)
{
    give_back(arg, false, message);
}

static void echo_close(void *arg, uint16_t code)
{
    struct echo *e = arg;
    gtv_ws_deflater_destroy(e->deflater);
    free(e);
}

void gtv_handle_ws_echo(struct gtv_http_request *req, void *worker)
{
    static const struct gtv_ws_callbacks callbacks = {
        .on_text = echo_text, .on_binary = echo_binary, .on_close = echo_close};
    struct gtv_worker *w = worker;
    const struct gtv_ws_limits limits = {ECHO_MESSAGE, ECHO_QUEUE,
                                         gtv_live_bool(&w->app->options.ws_deflate)};
    if (!w->app->options.ws_echo) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "the echo is switched off (GTV_WS_ECHO)");
        return;
    }
    if (!gtv_hub_origin_ok(w->hub, req))
        return;
    struct echo *e = GTV_NEW(struct echo);
    e->ws = gtv_ws_accept(req, &limits, &callbacks, e);
    if (!e->ws) {
        free(e);
        return;
    }
    if (gtv_ws_window_bits(e->ws))
        e->deflater = gtv_ws_deflater_create(gtv_ws_window_bits(e->ws));
}
