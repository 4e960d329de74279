// What was recorded: recordings list, get, deletesegment.
#include "services/media/api.h"

#include "lib/base/mem.h"
#include "services/media/api/page.h"
#include "services/media/record/recordings.h"
#include "services/media/reply.h"

#include <stdio.h>
#include <stdlib.h>

static yyjson_mut_val *write_recording(yyjson_mut_doc *doc, struct gtv_record *r, struct gtv_str name)
{
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_strncpy(doc, o, "name", name.p, name.n);
    yyjson_mut_val *segments = yyjson_mut_obj_add_arr(doc, o, "segments");
    size_t n = 0;
    int64_t *starts = gtv_recordings_starts(r, name, &n);
    for (size_t i = 0; i < n; i++) {
        char text[GTV_RECORD_TIME_CAP];
        yyjson_mut_obj_add_strcpy(doc, yyjson_mut_arr_add_obj(doc, segments), "start",
                                  gtv_record_time_write(starts[i], text));
    }
    free(starts);
    return o;
}

struct listing {
    struct gtv_record *record;
    char **names;
};

static yyjson_mut_val *write_nth(yyjson_mut_doc *doc, size_t i, void *arg)
{
    const struct listing *l = arg;
    return write_recording(doc, l->record, gtv_str_of(l->names[i]));
}

void gtv_media_recordings_list(struct gtv_http_request *req, void *user)
{
    struct gtv_page page;
    if (!gtv_page_read(req, &page)) {
        return;
    }
    size_t count = 0;
    struct listing l = {.record = gtv_node_record(user)};
    l.names = gtv_recordings_names(l.record, &count);
    gtv_page_reply(req, &page, count, write_nth, &l);
    free(l.names);
}

// False: answered, for there is no configuration for a path of this name.
static bool is_configured(struct gtv_http_request *req, struct gtv_node *n, struct gtv_str name)
{
    struct gtv_pathconf conf;
    struct gtv_error why = {0};
    char text[GTV_NAME_MAX + 160];
    if (!gtv_name_check(name, &why)) {
        snprintf(text, sizeof text, "invalid path name: %s (%.*s)", why.message,
                 (int)(name.n < 100 ? name.n : 100), name.p);
        gtv_media_reply_error(req, 400, text, NULL, NULL);
        return false;
    }
    if (!gtv_desired_match(gtv_node_desired(n), name, &conf)) {
        snprintf(text, sizeof text, "path '" GTV_STR_FMT "' is not configured", GTV_STR_ARG(name));
        gtv_media_reply_error(req, 404, text, NULL, NULL);
        return false;
    }
    return true;
}

void gtv_media_recordings_get(struct gtv_http_request *req, void *user)
{
    struct gtv_str name = gtv_http_param(req, "name");
    if (!is_configured(req, user, name)) {
        return;
    }
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, write_recording(doc, gtv_node_record(user), name));
    gtv_media_reply_json(req, doc);
}

struct deletion {
    struct gtv_http_request *req; // NULL: the client left
};

static void client_left(void *arg, bool complete)
{
    struct deletion *d = arg;
    d->req = NULL;
}

static void ignore_close(void *arg, bool complete)
{
}

static void deleted(void *arg, const struct gtv_error *err)
{
    struct deletion *d = arg;
    if (d->req != NULL) {
        gtv_http_on_close(d->req, ignore_close, NULL);
        if (err == NULL) {
            gtv_media_reply_ok(d->req);
        } else {
            gtv_media_reply_error(d->req, gtv_code_http_status(err->code), err->message, NULL, NULL);
        }
    }
    free(d);
}

void gtv_media_recordings_delete(struct gtv_http_request *req, void *user)
{
    struct gtv_str path = gtv_http_query(req, "path"), start = gtv_http_query(req, "start");
    int64_t start_us = 0;
    if (!is_configured(req, user, path)) {
        return;
    }
    if (!gtv_record_time_parse(start, &start_us)) {
        char text[128];
        snprintf(text, sizeof text, "invalid 'start' parameter: '%.*s'", (int)(start.n < 64 ? start.n : 64),
                 start.n > 0 ? start.p : "");
        gtv_media_reply_error(req, 400, text, NULL, NULL);
        return;
    }
    struct deletion *d = GTV_NEW(struct deletion);
    d->req = req;
    gtv_http_on_close(req, client_left, d);
    gtv_recordings_delete(gtv_node_record(user), path, start_us, deleted, d);
}
