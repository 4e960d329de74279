#include "services/ai/cpus.h"

#include "tests/unit/unit.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

// A tree below a folder of its own: "path=content" each; folders come by themselves.
static char root[64];

static void put(const char *path, const char *content)
{
    char full[512];
    int n = snprintf(full, sizeof(full), "%s%s", root, path);
    assert_true(n > 0 && (size_t)n < sizeof(full));
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(full, 0755);
        *slash = '/';
    }
    FILE *f = fopen(full, "we");
    assert_non_null(f);
    assert_true(fputs(content, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int begin(void **state)
{
    snprintf(root, sizeof(root), "/tmp/gtv-cpus-XXXXXX");
    return mkdtemp(root) ? 0 : 1;
}

static int end(void **state)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -r %s", root);
    return system(command);
}

static void quotas(void **state)
{
    assert_int_equal(gtv_ai_cpus_of_quota(GTV_STR("max 100000"), 8), 8);
    assert_int_equal(gtv_ai_cpus_of_quota(GTV_STR("max 100000\n"), 8), 8);
    assert_int_equal(gtv_ai_cpus_of_quota(GTV_STR("150000 100000\n"), 8), 2);
    assert_int_equal(gtv_ai_cpus_of_quota(GTV_STR("50000 100000"), 8), 1);
    assert_int_equal(gtv_ai_cpus_of_quota(GTV_STR("1600000 100000"), 8), 8);
    assert_int_equal(gtv_ai_cpus_of_quota(GTV_STR("-1 100000"), 8), 8);
    assert_int_equal(gtv_ai_cpus_of_quota(GTV_STR("0 100000"), 8), 8);
    assert_int_equal(gtv_ai_cpus_of_quota(GTV_STR(""), 8), 8);
    assert_int_equal(gtv_ai_cpus_of_quota(GTV_STR("nonsense"), 3), 3);
}

static void version_2_nested(void **state)
{
    put("/proc/self/cgroup", "0::/machine/service/worker\n");
    assert_int_equal(gtv_ai_cpus_under(root, 16), 16); // nothing limits
    put("/sys/fs/cgroup/machine/service/worker/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/machine/service/cpu.max", "600000 100000\n");
    put("/sys/fs/cgroup/machine/cpu.max", "1200000 100000\n");
    assert_int_equal(gtv_ai_cpus_under(root, 16), 6); // the least on the way up
    assert_int_equal(gtv_ai_cpus_under(root, 4), 4);
    put("/sys/fs/cgroup/machine/service/worker/cpu.max", "250000 100000\n");
    assert_int_equal(gtv_ai_cpus_under(root, 16), 3);
    put("/sys/fs/cgroup/machine/cpu.max", "10000 100000\n");
    assert_int_equal(gtv_ai_cpus_under(root, 16), 1);
}

static void in_a_container(void **state)
{
    put("/proc/self/cgroup", "0::/docker/0123abcd\n"); // the host's path; the mount is the container's own
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    assert_int_equal(gtv_ai_cpus_under(root, 16), 2);
    put("/proc/self/cgroup", "0::/\n"); // with a namespace of its own
    assert_int_equal(gtv_ai_cpus_under(root, 16), 2);
    put("/proc/self/cgroup", "");
    assert_int_equal(gtv_ai_cpus_under(root, 16), 2);
}

static void version_1_and_hybrid(void **state)
{
    put("/proc/self/cgroup", "12:memory:/a\n4:cpu,cpuacct:/a/b\n1:name=systemd:/x\n0::/u\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    assert_int_equal(gtv_ai_cpus_under(root, 8), 8);
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "10000\n");
    assert_int_equal(gtv_ai_cpus_under(root, 8), 5);
    put("/sys/fs/cgroup/unified/u/cpu.max", "300000 100000");
    assert_int_equal(gtv_ai_cpus_under(root, 8), 3);
    put("/sys/fs/cgroup/memory/a/cpu.max", "100000 100000"); // not asked
    assert_int_equal(gtv_ai_cpus_under(root, 8), 3);
}

static void nonsense(void **state)
{
    put("/proc/self/cgroup", "::::\n\n0\n:cpu\n0::relative/../..\n");
    put("/sys/fs/cgroup/cpu.max", "x y z\n");
    assert_int_equal(gtv_ai_cpus_under(root, 8), 8);
    assert_int_equal(gtv_ai_cpus_under("/nowhere", 8), 8);
}

static void follows_the_affinity(void **state)
{
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    size_t all = gtv_ai_cpus();
    assert_true(all >= 1 && all <= (size_t)CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(gtv_ai_cpus(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotas),
        cmocka_unit_test_setup_teardown(version_2_nested, begin, end),
        cmocka_unit_test_setup_teardown(in_a_container, begin, end),
        cmocka_unit_test_setup_teardown(version_1_and_hybrid, begin, end),
        cmocka_unit_test_setup_teardown(nonsense, begin, end),
        cmocka_unit_test(follows_the_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
