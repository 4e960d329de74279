// A source that libavformat reads: a thread of its own runs it, and hands samples to the loop. One pull is
// one connection: it ends with a cause, and who started it decides whether to dial again.
#ifndef GTV_MEDIA_PULL_H
#define GTV_MEDIA_PULL_H

#include "lib/log/log.h"
#include "services/media/source.h"

// conf's name, source and transport are copied. NULL when no thread can be started. After stop the thread
// ends as soon as libav lets go (a name being resolved cannot be interrupted) and frees the pull then.
struct gtv_source *gtv_pull_start(const struct gtv_source_options *options, const struct gtv_pathconf *conf,
                                  const struct gtv_source_callbacks *callbacks, void *arg) GTV_WARN_UNUSED;

#endif
