#include "services/supervisor/folder.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 10 * 1000, LOCK_POLL_US = 50 * 1000 };

// Like mkdir -p; only the folders it makes get the mode.
static bool make_parents(const char *path)
{
    char *copy = gtv_strdup(path);
    bool ok = true;
    for (char *p = copy + 1; ok; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char end = *p;
        *p = '\0';
        ok = mkdir(copy, 0700) == 0 || errno == EEXIST;
        if (end == '\0')
            break;
        *p = end;
    }
    free(copy);
    return ok;
}

char *folder_prepare(const char *data, struct gtv_error *err)
{
    static const char *const rooms[] = {"run", "log", "redis", "media", "console"};
    char *path = NULL;
    if (!data[0] || !make_parents(data) || !(path = realpath(data, NULL)))
        goto failed;
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        char *room = gtv_asprintf("%s/%s", path, rooms[i]);
        bool ok = (mkdir(room, 0700) == 0 || errno == EEXIST) && chmod(room, 0700) == 0;
        free(room);
        if (!ok)
            goto failed;
    }
    return path;

failed:
    gtv_error_set(err, GTV_E_IO, "GTV_DATA", "The data folder \"%s\" cannot be made: %s", data,
                  strerror(errno));
    free(path);
    return NULL;
}

static pid_t read_pid(int fd)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    struct gtv_str all = {text, n > 0 ? (size_t)n : 0};
    int64_t pid;
    return gtv_parse_int(gtv_str_cut(&all, '\n'), 1, INT_MAX, &pid) ? (pid_t)pid : 0;
}

int folder_lock(const char *data, struct gtv_error *err)
{
    char *path = gtv_asprintf("%s/run/lock", data);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
    if (fd < 0) {
        gtv_error_set(err, GTV_E_IO, "GTV_DATA", "The lock in \"%s/run\" cannot be made: %s", data,
                      strerror(errno));
        return -1;
    }
    int64_t give_up = gtv_mono_ms() + LOCK_WAIT_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        pid_t owner = read_pid(fd);
        // The guard of a killed supervisor holds on until all children are gone.
        bool owner_lives = owner > 0 && (kill(owner, 0) == 0 || errno == EPERM);
        if (errno == EINTR)
            continue;
        if (owner_lives || gtv_mono_ms() >= give_up) {
            gtv_error_set(err, GTV_E_CONFLICT, "GTV_DATA",
                          "GT-Vision already runs on \"%s\" (process %d): stop it, or choose another folder "
                          "with --data",
                          data, (int)owner);
            close(fd);
            return -1;
        }
        usleep(LOCK_POLL_US);
    }
    char text[32];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        gtv_error_set(err, GTV_E_IO, "GTV_DATA", "The lock in \"%s/run\" cannot be written: %s", data,
                      strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}
