// What the exporter of a network wrote into its file about it: ONNX's metadata_props (onnx.proto3, ModelProto
// field 14) and the rt_info of OpenVINO IR.
#ifndef GTV_AI_METADATA_H
#define GTV_AI_METADATA_H

#include "services/ai/network/model.h"

struct gtv_metadata {
    bool has_classes;
    int class_count, vehicle_class[GTV_VEHICLE_COUNT];
    int width, height; // "imgsz"; 0: not said
};

// A file that cannot be read, or says nothing, gives a zeroed *out: nothing here is an error. The network
// itself is skipped, not read.
void gtv_metadata_read(const char *path, struct gtv_metadata *out);

#endif
