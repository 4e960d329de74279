// The room on the file system of a folder that a program fills.
#ifndef GTV_METRICS_DISK_H
#define GTV_METRICS_DISK_H

#include "lib/metrics/metrics.h"

struct gtv_disk_gauges {
    struct gtv_gauge *size, *available;
};

// gtv_disk_size_bytes{folder} and gtv_disk_available_bytes{folder}; both 0 until the first look.
void gtv_disk_gauges_init(struct gtv_disk_gauges *g, struct gtv_metrics *m, const char *folder);
// Asks the kernel about the path's file system; a path that cannot be asked about leaves the figures as they
// are. Any thread, but a server of files that is away can hold it up: not a loop's where that may be.
void gtv_disk_gauges_look(const struct gtv_disk_gauges *g, const char *path);

#endif
