// Pictures out of a store for a client of ours: fetched with our signature and passed on, so that a browser
// needs neither credentials nor a way to the store. Loop thread only.
#ifndef GTV_S3_SERVE_H
#define GTV_S3_SERVE_H

#include "lib/http/client.h"
#include "lib/http/server.h"
#include "lib/s3/s3.h"

enum { GTV_S3_OBJECT_MAX = 8 << 20, GTV_S3_TIMEOUT_MS = 10000 };

// Answers req with the object as image/jpeg: 404 where there is none, 502 and 504 where the store does not
// give it. s and client must outlive the request; the client's destruction leaves req to its server.
void gtv_s3_serve(const struct gtv_s3 *s, struct gtv_http_client *client, struct gtv_http_request *req,
                  const char *name);

#endif
