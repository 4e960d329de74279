// The configuration of one path: MediaMTX's keys as far as this node supports them, in its words where
// something is wrong.
#ifndef GTV_MEDIA_PATHCONF_H
#define GTV_MEDIA_PATHCONF_H

#include "lib/json/json.h"
#include "services/media/name.h"

enum gtv_rtsp_transport { GTV_RTSP_AUTOMATIC, GTV_RTSP_UDP, GTV_RTSP_MULTICAST, GTV_RTSP_TCP };

enum { GTV_SOURCE_MAX = 1024, GTV_RECORD_PATH_MAX = 512 };

// A plain value. source holds its credentials: only the store and the camera's thread may see it as it is.
struct gtv_pathconf {
    char name[GTV_NAME_MAX + 1];
    char source[GTV_SOURCE_MAX + 1]; // "publisher", "rtsp://...", "rtsps://..."
    bool source_on_demand;
    int64_t start_timeout_ms; // sourceOnDemandStartTimeout
    int64_t close_after_ms;   // sourceOnDemandCloseAfter
    int64_t max_readers;      // 0: any number
    int64_t rtsp_transport;   // enum gtv_rtsp_transport
    bool record;              // refused while this node does not record
    char record_path[GTV_RECORD_PATH_MAX + 1];
    int64_t record_format; // 0 fmp4, 1 mpegts
    int64_t record_part_ms, record_segment_ms, record_delete_after_ms;
};

void gtv_pathconf_defaults(struct gtv_pathconf *c, struct gtv_str name);

// Sets the fields that the JSON text names; "null" and {} name none. On false *c may be half changed: apply
// to a copy. err->message is the sentence that MediaMTX gives. A source whose credentials read *** (as this
// API answers them) keeps the ones that *c has.
bool gtv_pathconf_apply(struct gtv_pathconf *c, struct gtv_str json, struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_pathconf_apply_object(struct gtv_pathconf *c, yyjson_val *object,
                               struct gtv_error *err) GTV_WARN_UNUSED;
// What only the whole configuration shows (the name too).
bool gtv_pathconf_check(const struct gtv_pathconf *c, struct gtv_error *err) GTV_WARN_UNUSED;

// All effective fields, "name" first. redacted: without the source's credentials.
yyjson_mut_val *gtv_pathconf_write(const struct gtv_pathconf *c, yyjson_mut_doc *doc, bool redacted);

bool gtv_pathconf_is_pulled(const struct gtv_pathconf *c); // the source is dialled, not awaited
// True when a source running by a is not what b asks for.
bool gtv_pathconf_source_differs(const struct gtv_pathconf *a, const struct gtv_pathconf *b);

#endif
