#include "lib/metrics/disk.h"

#include <stdio.h>
#include <sys/statvfs.h>

void gtv_disk_gauges_init(struct gtv_disk_gauges *g, struct gtv_metrics *m, const char *folder)
{
    char labels[80];
    (void)snprintf(labels, sizeof(labels), "folder=\"%s\"", folder);
    g->size = gtv_metrics_gauge(m, "gtv_disk_size_bytes", labels, "Size of the folder's file system.");
    g->available = gtv_metrics_gauge(m, "gtv_disk_available_bytes", labels,
                                     "Room on the folder's file system that this program may use.");
}

void gtv_disk_gauges_look(const struct gtv_disk_gauges *g, const char *path)
{
    struct statvfs st;
    if (statvfs(path, &st) != 0)
        return;
    gtv_gauge_set(g->size, (int64_t)(st.f_blocks * st.f_frsize));
    gtv_gauge_set(g->available, (int64_t)(st.f_bavail * st.f_frsize));
}
