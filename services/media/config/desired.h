// Which paths are wanted. Two layers, each a few keys a path: the configuration file's, which is never
// written, and what was set by API, which is stored. A path's configuration is the node's defaults, then
// pathDefaults of the file, pathDefaults of the API, the file's keys of the path, the API's.
//
// By API a path of the file can be patched (the keys given by API stand, the file's others still count),
// replaced (the file's do not count any more) and deleted (it stays deleted while the file names it). When
// the file no longer names a path, what was patched or deleted of it by API is forgotten; and so is a patch
// that would not be valid with the file's new keys.
//
// Loop thread only.
#ifndef GTV_MEDIA_DESIRED_H
#define GTV_MEDIA_DESIRED_H

#include "lib/base/buf.h"
#include "services/media/pathconf.h"

struct gtv_desired;

enum { GTV_PATHS_MAX = 10000 }; // configured, and live, of one node

struct gtv_desired *gtv_desired_create(void);
void gtv_desired_destroy(struct gtv_desired *d); // NULL is accepted

size_t gtv_desired_count(const struct gtv_desired *d);
// All names, sorted; an array of gtv_desired_count entries, the caller's to free. The strings are borrowed.
const char **gtv_desired_names(const struct gtv_desired *d);

void gtv_desired_defaults(const struct gtv_desired *d, struct gtv_pathconf *out); // pathDefaults
// The configuration of this very name. False: there is none.
bool gtv_desired_get(const struct gtv_desired *d, struct gtv_str name, struct gtv_pathconf *out);
// The configuration that a reader or publisher of name gets: by its name, else by the first pattern that
// matches (in the order of their names, "all" and "all_others" last). Of a pattern, out->name is the name
// asked for, out->conf_name the pattern's, and $G1 to $G9 in the source are the groups. False: none, or the
// name is no valid one.
bool gtv_desired_match(const struct gtv_desired *d, struct gtv_str name, struct gtv_pathconf *out);

// ---- By API; json is a request's body. False with *err, and nothing is changed ----
bool gtv_desired_add(struct gtv_desired *d, struct gtv_str name, struct gtv_str json,
                     struct gtv_error *err) GTV_WARN_UNUSED;
// Unknown: code GTV_E_NOT_FOUND.
bool gtv_desired_patch(struct gtv_desired *d, struct gtv_str name, struct gtv_str json,
                       struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_desired_replace(struct gtv_desired *d, struct gtv_str name, struct gtv_str json,
                         struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_desired_remove(struct gtv_desired *d, struct gtv_str name); // false: there is none
// All paths must still be valid with them.
bool gtv_desired_patch_defaults(struct gtv_desired *d, struct gtv_str json,
                                struct gtv_error *err) GTV_WARN_UNUSED;

// ---- The file ----
// defaults: the value of pathDefaults, paths: of paths; NULL where the file has none. On false err->field is
// the way to the fault: "paths/cam_1/source".
bool gtv_desired_load_file(struct gtv_desired *d, yyjson_val *defaults, yyjson_val *paths,
                           struct gtv_error *err) GTV_WARN_UNUSED;

// ---- The store ----
// Appends "pathDefaults":{...},"paths":[...],"overlays":[...],"deleted":[...]: what the API set.
void gtv_desired_write(const struct gtv_desired *d, struct gtv_buf *out);
// After the file was loaded. Entries that are not valid are left out; bad is called with each one's sentence.
// What was patched or deleted of paths that the file does not name any more is forgotten.
void gtv_desired_restore(struct gtv_desired *d, yyjson_val *root, void (*bad)(void *arg, const char *why),
                         void *arg);

#endif
