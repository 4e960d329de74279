#include "lib/s3/serve.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/contract/contract.h"

#include <stdlib.h>

struct serving {
    struct gtv_http_request *req;
    struct gtv_http_fetch *fetch;
};

static void on_gone(void *arg, bool complete)
{
    struct serving *v = arg;
    if (v->fetch)
        gtv_http_fetch_cancel(v->fetch);
    free(v);
}

static void on_done(void *arg, const struct gtv_http_response *r, const struct gtv_error *failure)
{
    static const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("image/jpeg")},
        {GTV_STR("Cache-Control"), GTV_STR("private, max-age=60")},
    };
    struct serving *v = arg;
    v->fetch = NULL; // v itself goes with the request
    if (r && !failure && r->status == 200 && r->body)
        gtv_http_reply(v->req, 200, headers, sizeof(headers) / sizeof(headers[0]), r->body);
    else if (r && !failure && r->status == 404)
        gtv_reply_error(v->req, GTV_E_NOT_FOUND, NULL, "there is no such picture");
    else if (failure && failure->code == GTV_E_UPSTREAM_TIMEOUT)
        gtv_reply_error(v->req, GTV_E_UPSTREAM_TIMEOUT, NULL,
                        "the store of pictures does not answer in time");
    else
        gtv_reply_error(v->req, GTV_E_UPSTREAM, NULL, "the store of pictures does not give it");
}

void gtv_s3_serve(const struct gtv_s3 *s, struct gtv_http_client *client, struct gtv_http_request *req,
                  const char *name)
{
    static const struct gtv_http_fetch_callbacks callbacks = {.on_done = on_done};
    struct gtv_s3_headers headers;
    struct serving *v = GTV_NEW(struct serving);
    char *url = gtv_s3_url(s, name);
    v->req = req;
    gtv_http_on_close(req, on_gone, v);
    gtv_s3_sign(s, "GET", name, (struct gtv_str){0}, gtv_wall_ms(), &headers);
    v->fetch = gtv_http_fetch(client,
                              &(struct gtv_http_fetch_options){.url = url,
                                                               .headers = headers.list,
                                                               .timeout_ms = GTV_S3_TIMEOUT_MS,
                                                               .max_body = GTV_S3_OBJECT_MAX},
                              &callbacks, v);
    free(url);
}
