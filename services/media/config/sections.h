// What the YAML file says beside the global settings, judged before anything is taken over.
#ifndef GTV_MEDIA_SECTIONS_H
#define GTV_MEDIA_SECTIONS_H

#include "services/media/config/yaml.h"

// Whether pathDefaults, paths and authInternalUsers could be loaded. False with *err; err->field is the way
// to what is wrong. Any thread.
bool gtv_sections_check(const struct gtv_yaml *yaml, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
