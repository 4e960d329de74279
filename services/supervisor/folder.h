// The data folder: its tree, and the lock that lets one supervisor at a time work in it.
#ifndef GTV_SUPERVISOR_FOLDER_H
#define GTV_SUPERVISOR_FOLDER_H

#include "lib/base/str.h"

// Makes the folder and, for the owner alone, run/ log/ redis/ media/ console/. Returns its absolute path
// (allocated), or NULL.
char *folder_prepare(const char *data, struct gtv_error *err) GTV_WARN_UNUSED;

// The descriptor that holds the lock; -1 with one sentence when another supervisor works there. What a killed
// one left behind gets up to 10 s to end. Close it to give the lock back.
int folder_lock(const char *data, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
