// What a container needs besides its program, where its image has neither shell nor curl: a question whether
// the program is well, and the keys of the first start.
//
//   gtv-box health http://HOST:PORT/PATH   0 when the answer's status is 200 to 399
//   gtv-box health redis://HOST:PORT       0 when Redis answers, also when it asks for a password
//   gtv-box keys FOLDER                    makes the keys in FOLDER that are not there yet
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    ANSWER_SECONDS = 4, // Docker gives up after 5
    ADDRESS_MAX = 512,
    KEY_BYTES = 24,
    FILE_MAX = 256,
};

struct address {
    char text[ADDRESS_MAX]; // cut into the fields below
    const char *scheme, *host, *port, *path;
};

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "gtv-box: %s: %s\n", what, why);
    return 1;
}

// Cuts scheme://host:port/path; the port and the path may be missing.
static bool parse_address(struct address *a, const char *url)
{
    size_t n = strlen(url);
    if (n >= sizeof a->text)
        return false;
    memcpy(a->text, url, n + 1);
    char *p = strstr(a->text, "://");
    if (!p)
        return false;
    *p = '\0';
    a->scheme = a->text;
    char *host = p + 3, *slash = strchr(host, '/');
    a->path = slash ? url + (slash - a->text) : "/";
    if (slash)
        *slash = '\0';
    char *close = *host == '[' ? strchr(host, ']') : NULL; // [::1]
    char *colon = strrchr(close ? close : host, ':');
    a->port = strcmp(a->scheme, "redis") == 0 ? "6379" : "80";
    if (colon) {
        *colon = '\0';
        a->port = colon + 1;
    }
    if (close) {
        *close = '\0';
        host++;
    }
    a->host = host;
    return *host != '\0' && *a->port != '\0';
}

static int dial(const struct address *a)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(a->host, a->port, &hints, &found) != 0)
        return -1;
    const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    int fd = -1;
    for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd < 0)
            continue;
        // The sending limit is the connection's too.
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        if (connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

// The first line of what comes back, at most size - 1 bytes of it.
static bool ask(int fd, const char *question, char *answer, size_t size)
{
    size_t n = strlen(question), have = 0;
    if (send(fd, question, n, MSG_NOSIGNAL) != (ssize_t)n)
        return false;
    while (have + 1 < size) {
        ssize_t got = recv(fd, answer + have, size - 1 - have, 0);
        if (got <= 0)
            break;
        have += (size_t)got;
        if (memchr(answer, '\n', have))
            break;
    }
    answer[have] = '\0';
    answer[strcspn(answer, "\r\n")] = '\0';
    return have > 0;
}

static int health(const char *url)
{
    struct address a;
    char question[ADDRESS_MAX * 2 + 128], answer[128];
    if (!parse_address(&a, url))
        return complain(url, "an address is http://HOST:PORT/PATH or redis://HOST:PORT");
    bool redis = strcmp(a.scheme, "redis") == 0;
    if (!redis && strcmp(a.scheme, "http") != 0)
        return complain(url, "only http:// and redis:// can be asked");
    int fd = dial(&a);
    if (fd < 0)
        return complain(url, "nothing listens there");
    if (redis)
        snprintf(question, sizeof question, "PING\r\n");
    else
        snprintf(question, sizeof question,
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gtv-box\r\nConnection: close\r\n\r\n", a.path,
                 a.host);
    bool answered = ask(fd, question, answer, sizeof answer);
    close(fd);
    if (!answered)
        return complain(url, "no answer in time");
    bool well = redis ? strcmp(answer, "+PONG") == 0 || strncmp(answer, "-NOAUTH", 7) == 0
                      : strncmp(answer, "HTTP/1.", 7) == 0 && (answer[9] == '2' || answer[9] == '3');
    return well ? 0 : complain(url, answer);
}

// Whole or not at all, and never over a key that is there: who has the old one goes on. mode: of the file.
static bool write_new(int folder, const char *name, const char *text, mode_t mode)
{
    char part[64];
    snprintf(part, sizeof part, ".%s.new", name);
    (void)unlinkat(folder, part, 0); // of a start that broke off
    int fd = openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return false;
    size_t n = strlen(text);
    bool ok = write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    ok = ok && (linkat(folder, part, folder, name, 0) == 0 || errno == EEXIST);
    (void)unlinkat(folder, part, 0);
    return ok;
}

// A key's file, made of random bytes where it is missing; out (FILE_MAX bytes) gets its first line.
static bool have_key(int folder, const char *name, char *out)
{
    unsigned char random[KEY_BYTES];
    char text[2 * KEY_BYTES + 1];
    if (faccessat(folder, name, F_OK, 0) != 0) {
        if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
            return false;
        for (size_t i = 0; i < sizeof random; i++)
            snprintf(text + 2 * i, 3, "%02x", random[i]);
        if (!write_new(folder, name, text, 0400))
            return false;
    }
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, FILE_MAX - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return false;
    out[n] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return out[0] != '\0';
}

// What stands between quotes in Redis' configuration and, as it is, in an address.
static bool plain(const char *key)
{
    return key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-")] == '\0';
}

// The console's address of the database in the profile postgresql, made again as redis_url is.
static bool have_database(int folder, const char **name)
{
    char key[FILE_MAX], text[2 * FILE_MAX];
    if (!have_key(folder, *name = "postgres_password", key))
        return false;
    if (!plain(key)) {
        errno = EINVAL;
        return false;
    }
    (void)unlinkat(folder, "database_url", 0);
    snprintf(text, sizeof text, "postgresql://gtvision:%s@postgresql:5432/gtvision", key);
    return write_new(folder, *name = "database_url", text, 0400);
}

static int keys(const char *path)
{
    static const char *const others[] = {"stats_password", "grafana_password"};
    char key[FILE_MAX], text[2 * FILE_MAX];
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return complain(path, strerror(errno));
    const char *name = "redis_password";
    if (!have_key(folder, name, key))
        goto fail;
    if (!plain(key)) {
        close(folder);
        return complain(name, "may hold letters, digits and . _ ~ - only");
    }
    // What follows from the password is made again each time: the password's file is the one to change.
    (void)unlinkat(folder, "redis.conf", 0);
    (void)unlinkat(folder, "redis_url", 0);
    snprintf(text, sizeof text, "requirepass \"%s\"\n", key);
    if (!write_new(folder, name = "redis.conf", text, 0400))
        goto fail;
    snprintf(text, sizeof text, "redis://:%s@redis_cache:6379/2", key);
    if (!write_new(folder, name = "redis_url", text, 0400))
        goto fail;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (!have_key(folder, name = others[i], key))
            goto fail;
    }
    if (!have_database(folder, &name))
        goto fail;
    close(folder);
    return 0;
fail:
    complain(name, errno ? strerror(errno) : "is empty");
    close(folder);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "health") == 0)
        return health(argv[2]);
    if (argc == 3 && strcmp(argv[1], "keys") == 0)
        return keys(argv[2]);
    fprintf(stderr, "usage: gtv-box health URL | gtv-box keys FOLDER\n");
    return 2;
}
