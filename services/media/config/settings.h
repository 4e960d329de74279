// The node's global settings: one table of MediaMTX's keys and ours, from which the YAML file, the API
// (config/global), the MTX_ environment and the list in the documentation come. Each stands for an option of
// options.c, which has its type, its limits and its default.
//
// What counts, from weak to strong: the option's default, the YAML file, the environment (MTX_KEY, then the
// option's own name), the command line, what was set by API (stored with the paths).
//
// Loop thread only, once the loop runs.
#ifndef GTV_MEDIA_SETTINGS_H
#define GTV_MEDIA_SETTINGS_H

#include "lib/base/buf.h"
#include "services/media/config/yaml.h"
#include "services/media/options.h"

struct gtv_settings;
struct gtv_auth;

// Loads *options (zeroed) from all but the API. The YAML file is MEDIA_CONFIG's, or the one named by
// --media-config FILE, or by an argument alone. NULL with *err: a sentence with file, line and key.
struct gtv_settings *gtv_settings_create(struct gtv_media_options *options, int argc, char **argv,
                                         struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_settings_destroy(struct gtv_settings *s); // also what *options owns; NULL is accepted

const char *gtv_settings_file(const struct gtv_settings *s); // the YAML file's path, or NULL
// The file as it was read last, for its paths, pathDefaults and users; NULL without one.
const struct gtv_yaml *gtv_settings_yaml(const struct gtv_settings *s);

// Puts the file's name and the line of err->field before the sentence.
void gtv_settings_locate(const struct gtv_settings *s, const struct gtv_yaml *yaml, struct gtv_error *err);

// Reads the file again. What it says, for gtv_settings_commit or gtv_settings_drop.
struct gtv_settings_change;
struct gtv_settings_change *gtv_settings_read(struct gtv_settings *s, struct gtv_error *err) GTV_WARN_UNUSED;
const struct gtv_yaml *gtv_settings_change_yaml(const struct gtv_settings_change *c);
// Takes it over: into *options what can change while the node runs. Returns how many settings wait for a
// restart.
size_t gtv_settings_commit(struct gtv_settings *s, struct gtv_settings_change *c);
void gtv_settings_drop(struct gtv_settings_change *c);

// The body of PATCH config/global, users (authInternalUsers) included. False with *err in MediaMTX's words,
// and nothing is changed. restart: how many settings wait for a restart now.
bool gtv_settings_patch(struct gtv_settings *s, yyjson_val *body, struct gtv_auth *auth, size_t *restart,
                        struct gtv_error *err) GTV_WARN_UNUSED;
// The users that count: the API's, else the file's (of yaml, NULL: none), else the default.
bool gtv_settings_configure_auth(const struct gtv_settings *s, const struct gtv_yaml *yaml,
                                 struct gtv_auth *auth, struct gtv_error *err) GTV_WARN_UNUSED;
// Every key with the value that is wanted (it may wait for a restart), secrets as ***, in the table's order.
void gtv_settings_write(const struct gtv_settings *s, yyjson_mut_doc *doc, yyjson_mut_val *object);
// The keys whose values wait for a restart.
void gtv_settings_write_waiting(const struct gtv_settings *s, yyjson_mut_doc *doc, yyjson_mut_val *array);

// Appends {"key":value,...}: what was set by API. And takes it back, at start.
void gtv_settings_write_stored(const struct gtv_settings *s, struct gtv_buf *out);
void gtv_settings_restore(struct gtv_settings *s, yyjson_val *object, void (*bad)(void *arg, const char *why),
                          void *arg);

#endif
