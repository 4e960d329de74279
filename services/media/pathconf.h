// The configuration of one path: MediaMTX's keys as far as this node supports them, in its words where
// something is wrong.
#ifndef GTV_MEDIA_PATHCONF_H
#define GTV_MEDIA_PATHCONF_H

#include "lib/json/json.h"
#include "lib/rtsp/client.h"
#include "services/media/name.h"

enum {
    GTV_SOURCE_MAX = 1024,
    GTV_RECORD_PATH_MAX = 512,
    GTV_FINGERPRINT_MAX = 95, // SHA-256 in hexadecimal, also with colons
    GTV_PATHCONF_FIELDS_MAX = 128,
};

// A plain value. source holds its credentials: only the store and the camera's thread may see it as it is.
struct gtv_pathconf {
    char name[GTV_NAME_MAX + 1];
    // Of a path that was made from a pattern: the pattern's name ("all_others", "~^cam_"); else empty.
    char conf_name[GTV_NAME_MAX + 1];
    char source[GTV_SOURCE_MAX + 1];                  // "publisher", or a URL
    char source_fingerprint[GTV_FINGERPRINT_MAX + 1]; // of a TLS source's certificate; empty: not checked
    bool source_on_demand;
    int64_t start_timeout_ms; // sourceOnDemandStartTimeout
    int64_t close_after_ms;   // sourceOnDemandCloseAfter
    int64_t max_readers;      // 0: any number
    bool override_publisher;  // a second publisher takes the path over
    int64_t rtsp_transport;   // enum gtv_rtsp_transport
    bool audio_transcode;     // audio that HLS cannot carry becomes AAC, instead of being left out
    bool record;
    char record_path[GTV_RECORD_PATH_MAX + 1];
    int64_t record_format;                                                              // 0 fmp4, 1 mpegts
    int64_t record_part_ms, record_max_part, record_segment_ms, record_delete_after_ms; // max_part: bytes
    int64_t record_quota; // bytes that the path's recordings may take; 0: any number
    // Which fields were set for this path, by their place in the table; the others are the defaults'.
    uint64_t given[GTV_PATHCONF_FIELDS_MAX / 64];
};

// The node's own defaults, none of them given.
void gtv_pathconf_defaults(struct gtv_pathconf *c, struct gtv_str name);
// Takes every field that was not given from defaults (pathDefaults).
void gtv_pathconf_inherit(struct gtv_pathconf *c, const struct gtv_pathconf *defaults);

// Sets the fields that the JSON text names; "null" and {} name none. On false *c may be half changed: apply
// to a copy. err->message is the sentence that MediaMTX gives, err->field the key at fault. A key of MediaMTX
// that this node has no use for is taken with its default only. A source whose credentials read *** (as this
// API answers them) keeps the ones that *c has.
bool gtv_pathconf_apply(struct gtv_pathconf *c, struct gtv_str json, struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_pathconf_apply_object(struct gtv_pathconf *c, yyjson_val *object,
                               struct gtv_error *err) GTV_WARN_UNUSED;
// What only the whole configuration shows (the name too: a path's, "all_others", "all" or "~expression").
bool gtv_pathconf_check(const struct gtv_pathconf *c, struct gtv_error *err) GTV_WARN_UNUSED;

// All effective fields, "name" first. redacted: without the source's credentials.
yyjson_mut_val *gtv_pathconf_write(const struct gtv_pathconf *c, yyjson_mut_doc *doc, bool redacted);
// Only what was given, with credentials and without "name".
yyjson_mut_val *gtv_pathconf_write_given(const struct gtv_pathconf *c, yyjson_mut_doc *doc);

// A name that stands for many paths: "all_others", "all", "~expression".
bool gtv_pathconf_is_pattern(struct gtv_str name);

bool gtv_pathconf_equal(const struct gtv_pathconf *a, const struct gtv_pathconf *b); // what was given apart
bool gtv_pathconf_is_rtsp(const struct gtv_pathconf *c);                             // rtsp://, rtsps://
bool gtv_pathconf_is_pulled(const struct gtv_pathconf *c); // the source is dialled, not awaited
// True when a source running by a is not what b asks for.
bool gtv_pathconf_source_differs(const struct gtv_pathconf *a, const struct gtv_pathconf *b);

#endif
