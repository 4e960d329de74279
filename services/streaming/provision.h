// Cameras as clients write them, in JSON and in CSV, checked as far as it can be without asking anybody:
// fields, their types, the address's form and scheme. Pure. created_ms is left 0. False: err names the field.
#ifndef GTV_STREAMING_PROVISION_H
#define GTV_STREAMING_PROVISION_H

#include "lib/contract/contract.h"
#include "services/streaming/csv.h"

// path_id: the camera of the request's path, which the body then need not repeat and must not contradict; 0
// where the body must have it.
bool gtv_provision_parse(struct gtv_str body, int64_t path_id, struct gtv_camera *out,
                         struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_provision_object(yyjson_val *o, int64_t path_id, struct gtv_camera *out,
                          struct gtv_error *err) GTV_WARN_UNUSED;

// A camera as a media node has it: its address and name are checked and put into *c, whose other fields are
// the caller's. An address without its user and password is refused.
bool gtv_provision_found(struct gtv_str url, struct gtv_str name, struct gtv_camera *c,
                         struct gtv_error *err) GTV_WARN_UNUSED;

// "publisher": nobody is dialled, somebody publishes to the node.
bool gtv_provision_is_publisher(struct gtv_str url);

// The required ones, the flags, and the rest.
enum {
    GTV_COLUMN_ID,
    GTV_COLUMN_URL,
    GTV_COLUMN_NAME,
    GTV_COLUMN_ON_DEMAND,
    GTV_COLUMN_RECORD,
    GTV_COLUMN_AI,
    GTV_COLUMN_SUB_URL,
    GTV_COLUMNS,
};
struct gtv_columns {
    int at[GTV_COLUMNS]; // -1: not in this file
};
// The header line: camera_id, rtsp_url and name are needed, on_demand, record, ai_enabled and sub_rtsp_url
// may be there, in any order and case; other columns are left unread.
bool gtv_provision_columns(const struct gtv_csv_record *header, struct gtv_columns *out,
                           struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_provision_record(const struct gtv_csv_record *r, const struct gtv_columns *columns,
                          struct gtv_camera *out, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
