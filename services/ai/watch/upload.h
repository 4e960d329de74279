// Pictures put into an S3-compatible store. Blocks: for the thread of the folder in which they wait
// (store.h).
#ifndef GTV_AI_UPLOAD_H
#define GTV_AI_UPLOAD_H

#include "lib/base/bytes.h"
#include "lib/s3/s3.h"

struct gtv_upload;

enum { GTV_UPLOAD_CONNECT_S = 5, GTV_UPLOAD_S = 20 }; // of one picture

struct gtv_upload *gtv_upload_create(const struct gtv_s3 *s3); // which outlives it
void gtv_upload_destroy(struct gtv_upload *u);                 // NULL is accepted
void gtv_upload_stop(struct gtv_upload *u); // any thread: what runs fails at once, and all that comes

// One call at a time, any thread; matches gtv_store_config.send. False with *err: it is not there.
bool gtv_upload_put(void *upload, const char *name, const struct gtv_bytes *picture, struct gtv_error *err);

#endif
