// AMF0 (Adobe's Action Message Format, version 0): what RTMP's commands and metadata are written in. Pure.
#ifndef GTV_MEDIA_RTMP_AMF_H
#define GTV_MEDIA_RTMP_AMF_H

#include "lib/base/buf.h"

enum {
    GTV_AMF_DEPTH_MAX = 16,    // objects within objects
    GTV_AMF_MEMBERS_MAX = 512, // of one object or array; real ones have 20
};

// Reads value after value. Zeroed but for rest it stands at the beginning. failed stays set.
struct gtv_amf {
    struct gtv_str rest;
    bool failed;
};

// Each takes the next value. False: there is none, it has another type (then nothing is taken), or it is
// damaged. Strings are slices of the message.
bool gtv_amf_number(struct gtv_amf *a, double *out);
bool gtv_amf_string(struct gtv_amf *a, struct gtv_str *out);
bool gtv_amf_skip(struct gtv_amf *a); // any value
// Into an object or an ECMA array; then its members one by one, whose value is to be taken each time, until
// false at its end.
bool gtv_amf_enter(struct gtv_amf *a);
bool gtv_amf_member(struct gtv_amf *a, struct gtv_str *key);

void gtv_amf_put_number(struct gtv_buf *b, double value);
void gtv_amf_put_string(struct gtv_buf *b, const char *text); // < 65,536 bytes
void gtv_amf_put_null(struct gtv_buf *b);
void gtv_amf_put_object(struct gtv_buf *b);                // then pairs of key and value
void gtv_amf_put_key(struct gtv_buf *b, const char *text); // < 65,536 bytes
void gtv_amf_put_end(struct gtv_buf *b);

#endif
