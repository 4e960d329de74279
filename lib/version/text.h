// What meson writes at each build.
#ifndef GTV_VERSION_TEXT_H
#define GTV_VERSION_TEXT_H

extern const char gtv_version_text[];

#endif
