#include "services/ai/cpus.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

enum { PATH_CAP = 4096, FILE_CAP = 8192, MAX_CORES = 1 << 16 };

size_t gtv_ai_cpus_of_quota(struct gtv_str cpu_max, size_t cores)
{
    struct gtv_str period_text = gtv_str_trim(cpu_max);
    while (period_text.n && period_text.p[period_text.n - 1] == '\n')
        period_text.n--;
    struct gtv_str quota_text = gtv_str_cut(&period_text, ' ');
    int64_t quota, period;
    if (!gtv_parse_int(quota_text, 1, INT64_MAX / 2, &quota) ||
        !gtv_parse_int(gtv_str_trim(period_text), 1, INT64_MAX / 4, &period))
        return cores;
    size_t allowed = (size_t)((quota + period - 1) / period);
    return allowed < cores ? allowed : cores;
}

static struct gtv_str read_file(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(out, 1, cap, f) : 0;
    if (f)
        (void)fclose(f);
    while (n && (out[n - 1] == '\n' || out[n - 1] == ' '))
        n--;
    return (struct gtv_str){out, n};
}

// One cgroup's own quota, of the one version or the other.
static size_t quota_of(const char *folder, size_t cores)
{
    char path[PATH_CAP + 32], text[64], period[32];
    snprintf(path, sizeof(path), "%s/cpu.max", folder);
    struct gtv_str limit = read_file(path, text, sizeof(text));
    if (!limit.n) {
        snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder);
        struct gtv_str quota = read_file(path, text, 24);
        snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
        struct gtv_str p = read_file(path, period, sizeof(period) - 1);
        if (quota.n && p.n)
            limit.n = quota.n + (size_t)snprintf(text + quota.n, sizeof(text) - quota.n, " " GTV_STR_FMT,
                                                 GTV_STR_ARG(p));
    }
    return gtv_ai_cpus_of_quota(limit, cores);
}

// The least quota from a cgroup up to its mount. In a container the path may be the host's, which is not
// there: then what is found of it on the way up counts, at the least the mount itself.
static size_t least_quota(const char *mount, struct gtv_str cgroup, size_t cores)
{
    char folder[PATH_CAP];
    for (;;) {
        while (cgroup.n && cgroup.p[cgroup.n - 1] == '/')
            cgroup.n--;
        int n = snprintf(folder, sizeof(folder), "%s" GTV_STR_FMT, mount, GTV_STR_ARG(cgroup));
        if (n > 0 && (size_t)n < sizeof(folder))
            cores = quota_of(folder, cores);
        if (!cgroup.n)
            return cores;
        while (cgroup.n && cgroup.p[cgroup.n - 1] != '/')
            cgroup.n--;
    }
}

static bool has_controller(struct gtv_str list, struct gtv_str name)
{
    while (list.n)
        if (gtv_str_eq(gtv_str_cut(&list, ','), name))
            return true;
    return false;
}

size_t gtv_ai_cpus_under(const char *root, size_t cores)
{
    static const char *const unified[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    static const char *const legacy[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
    char path[PATH_CAP], text[FILE_CAP];
    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    struct gtv_str lines = read_file(path, text, sizeof(text));
    if (!lines.n) // no /proc: what is mounted may still tell
        lines = GTV_STR("0::/\n1:cpu:/");
    while (lines.n) { // "0::/a/b" for version 2, "4:cpu,cpuacct:/a/b" for 1
        struct gtv_str cgroup = gtv_str_cut(&lines, '\n');
        (void)gtv_str_cut(&cgroup, ':');
        struct gtv_str controllers = gtv_str_cut(&cgroup, ':');
        bool cpu = has_controller(controllers, GTV_STR("cpu"));
        const char *const *mounts = cpu ? legacy : unified;
        for (size_t i = 0; i < 2 && (cpu || !controllers.n); i++) {
            snprintf(path, sizeof(path), "%s%s", root, mounts[i]);
            cores = least_quota(path, cgroup, cores);
        }
    }
    return cores ? cores : 1;
}

static size_t affinity(void)
{
    for (size_t most = 1024; most <= MAX_CORES; most *= 2) {
        cpu_set_t *set = CPU_ALLOC(most);
        if (!set)
            return 1;
        size_t size = CPU_ALLOC_SIZE(most);
        bool ok = sched_getaffinity(0, size, set) == 0, small = !ok && errno == EINVAL;
        size_t n = ok ? (size_t)CPU_COUNT_S(size, set) : 1;
        CPU_FREE(set);
        if (!small) // the set must have room for all that the kernel knows
            return n;
    }
    return 1;
}

size_t gtv_ai_cpus(void)
{
    return gtv_ai_cpus_under("", affinity());
}
