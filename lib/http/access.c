// The access log: one line about each request, written when it is over, and only where somebody wants it.
#include "lib/http/internal.h"

void http_log_request(struct gtv_http_request *req, bool complete)
{
    struct gtv_http_server *s = req->server;
    const struct gtv_log log = {.component = s->config.name, .cause = gtv_http_cause(req)};
    enum gtv_log_level level = s->config.access_log ? GTV_LOG_INFO : GTV_LOG_DEBUG;
    double ms = req->began_ns ? (double)(uv_hrtime() - req->began_ns) / 1e6 : 0;
    // Not the query: tokens stand there.
    gtv_log_write(&log, level, "request",
                  "method=%s path=\"" GTV_STR_FMT "\" status=%d bytes=%llu ms=%.3f peer=%s complete=%s",
                  gtv_http_method(req).p, GTV_STR_ARG(req->path), req->status, (unsigned long long)req->sent,
                  ms, gtv_http_peer(req).p, complete ? "true" : "false");
}
