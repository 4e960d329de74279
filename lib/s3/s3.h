// Objects below one address of an S3-compatible store: their URLs, and requests signed with AWS Signature
// Version 4 (Amazon S3 API reference, "Authenticating requests: using the Authorization header"). Pure but
// for the clock that the caller reads; immutable once made, any thread.
#ifndef GTV_S3_S3_H
#define GTV_S3_S3_H

#include "lib/base/str.h"

struct gtv_s3;

struct gtv_s3_config {
    const char *url;    // endpoint, bucket and prefix: https://minio.local:9000/crops/centre-1, or
                        // https://bucket.s3.sa-east-1.amazonaws.com/centre-1
    const char *region; // "us-east-1"
    const char *key, *secret;
};

// NULL with *err for what is no such address (http or https, a path of unreserved characters, no credentials
// and no query in it), or where key or secret is missing. Everything is copied.
struct gtv_s3 *gtv_s3_create(const struct gtv_s3_config *config, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_s3_destroy(struct gtv_s3 *s); // NULL is accepted
// Whether gtv_s3_create takes them.
bool gtv_s3_check(const char *url, const char *region, const char *key, const char *secret,
                  struct gtv_error *err) GTV_WARN_UNUSED;

// Where an object is. name: unreserved characters and slashes, as the store of crops makes them. malloc'd.
char *gtv_s3_url(const struct gtv_s3 *s, const char *name) GTV_WARN_UNUSED;

// Header lines ("Name: value") of one request, and a list of them that ends with NULL.
struct gtv_s3_headers {
    char date[40], hash[100], authorization[512];
    const char *list[4];
};

// Signs a request for an object, made at wall_ms; the server takes it for 15 minutes around that.
void gtv_s3_sign(const struct gtv_s3 *s, const char *method, const char *name, struct gtv_str body,
                 int64_t wall_ms, struct gtv_s3_headers *out);
// The same for any path (as it stands in the request line) and canonical query ("a=1&b=", or "").
void gtv_s3_sign_path(const struct gtv_s3 *s, const char *method, const char *path, const char *query,
                      struct gtv_str body, int64_t wall_ms, struct gtv_s3_headers *out);

#endif
