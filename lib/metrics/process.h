// What the kernel knows about this process, as metrics. Private to lib/metrics.
#ifndef GTV_METRICS_PROCESS_H
#define GTV_METRICS_PROCESS_H

#include "lib/base/buf.h"

// start_ms: wall clock of the process's start. A figure that cannot be read is left out.
void metrics_write_process(struct gtv_buf *out, int64_t start_ms);

#endif
