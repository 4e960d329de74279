#include "services/supervisor/folder.h"
#include "services/supervisor/guard.h"
#include "services/supervisor/supervisor.h"

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/version/version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

// 2: the configuration is wrong; 1: it is right, but cannot be had now.
enum { EXIT_CANNOT = 1, EXIT_CONFIG = 2 };

// Viewers are descriptors: the children inherit as many as they may have, up to this.
static void raise_descriptor_limit(void)
{
    enum { WANTED = 65536 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < WANTED ? limit.rlim_max : WANTED;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

// The one sentence that says why nothing runs.
static int give_up(const struct gtv_error *err)
{
    fprintf(stderr, "gtv: %s\n", err->message);
    return err->code == GTV_E_INVALID || err->code == GTV_E_NOT_FOUND ? EXIT_CONFIG : EXIT_CANNOT;
}

static int run(const struct options *o, int64_t started_ms)
{
    struct gtv_error err = {0};
    struct ports taken = {.count = 0};
    struct plan_ports ports;
    struct plan plan = {0};
    int status = EXIT_CANNOT, lock = -1, guard = -1;

    char *data = folder_prepare(o->data, &err);
    if (data)
        lock = folder_lock(data, &err);
    // Before the ports are taken: the guard would keep copies of their sockets.
    if (lock >= 0 && (guard = guard_start(lock)) < 0)
        gtv_error_set(&err, GTV_E_IO, NULL, "The guard process cannot be started: %s", strerror(errno));
    if (guard < 0 || !plan_choose_ports(o, &taken, &ports, &err) ||
        !plan_build(&plan, o, &ports, data, environ, &err) || !plan_write_redis_config(&plan, &err)) {
        status = give_up(&err);
        goto release;
    }
    status = plan_check_door(&plan);
    ports_release(&taken);
    if (status == 0)
        status = supervisor_run(&plan, guard, started_ms);

release:
    ports_release(&taken);
    plan_finish(&plan);
    if (guard >= 0)
        close(guard);
    if (lock >= 0)
        close(lock);
    free(data);
    return status;
}

int main(int argc, char **argv)
{
    int64_t started_ms = gtv_mono_ms();
    struct options o = {0};
    gtv_version_answer(gtv_supervisor_program.name, argc, argv);
    struct gtv_error err = {0};
    int status;
    if (!gtv_config_load(&o, &gtv_supervisor_program, argc, argv, &err)) {
        status = give_up(&err);
    } else {
        gtv_config_set_level(o.log_level);
        gtv_log_use_format(o.log_format);
        raise_descriptor_limit();
        status = run(&o, started_ms);
    }
    gtv_config_finish(&o, gtv_supervisor_program.table, gtv_supervisor_program.count);
    return status;
}
