#include "lib/metrics/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return -1;
    char text[128] = "";
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    struct gtv_str rest = {text, n};
    (void)gtv_str_cut(&rest, ' ');
    int64_t pages;
    if (!gtv_parse_int(gtv_str_cut(&rest, ' '), 0, INT64_MAX / 65536, &pages))
        return -1;
    return pages * sysconf(_SC_PAGESIZE);
}

static int64_t open_fds(void)
{
    // Linux 6.2 and later tell the number as the folder's size: no reading of ten thousand names.
    struct stat folder;
    if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0)
        return folder.st_size;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return -1;
    int64_t n = -1; // the folder itself is open now
    for (const struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void write_one(struct gtv_buf *out, const char *name, const char *kind, const char *help)
{
    gtv_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s ", name, help, name, kind, name);
}

void metrics_write_process(struct gtv_buf *out, int64_t start_ms)
{
    struct timespec cpu;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
        write_one(out, "process_cpu_seconds_total", "counter", "User and system CPU time in seconds.");
        gtv_buf_printf(out, "%.6f\n", (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
    }
    int64_t fds = open_fds();
    if (fds >= 0) {
        write_one(out, "process_open_fds", "gauge", "Open file descriptors.");
        gtv_buf_printf(out, "%" PRId64 "\n", fds);
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY) {
        write_one(out, "process_max_fds", "gauge", "Most file descriptors that may be open.");
        gtv_buf_printf(out, "%" PRIu64 "\n", (uint64_t)files.rlim_cur);
    }
    int64_t rss = resident_bytes();
    if (rss >= 0) {
        write_one(out, "process_resident_memory_bytes", "gauge", "Resident memory in bytes.");
        gtv_buf_printf(out, "%" PRId64 "\n", rss);
    }
    write_one(out, "process_start_time_seconds", "gauge", "Start of the process, Unix time in seconds.");
    gtv_buf_printf(out, "%.3f\n", (double)start_ms / 1000);
}
