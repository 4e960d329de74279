// Configuration files in YAML 1.1 (libyaml), read into JSON, with the line of each key. Plain words become
// booleans (true, yes, on and their opposites), numbers and null as in YAML 1.1; quoted ones are strings. Not
// accepted: anchors, aliases, tags, several documents, a key twice. Any thread.
#ifndef GTV_MEDIA_YAML_H
#define GTV_MEDIA_YAML_H

#include "lib/json/json.h"

enum {
    GTV_YAML_BYTES_MAX = 4 * 1024 * 1024, // of a file: ten thousand paths take some 2 MiB
    GTV_YAML_DEPTH_MAX = 8,
};

struct gtv_yaml;

// The root must be a mapping; an empty file is an empty one. NULL with *err: "line 7: ...".
struct gtv_yaml *gtv_yaml_parse(struct gtv_str text, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_yaml_free(struct gtv_yaml *y); // NULL is accepted

yyjson_val *gtv_yaml_root(const struct gtv_yaml *y);                 // lives as long as y
yyjson_val *gtv_yaml_get(const struct gtv_yaml *y, const char *key); // of the root; NULL: y is, or has none
// The line (from 1) of a key by its way from the root, "paths/cam_1/source"; of the longest part of it that
// is there, 0 without any.
size_t gtv_yaml_line(const struct gtv_yaml *y, const char *way);

#endif
