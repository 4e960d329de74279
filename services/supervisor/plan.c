#include "services/supervisor/plan.h"

#include "services/supervisor/env.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/log/log.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

// A socket's address holds 108 bytes; a little is left for what Redis may append. Streaming has up to 4
// loops.
enum { SOCKET_PATH_MAX = 100, CONFIG_EXIT = 2, STREAMING_SOCKETS = 4 };

static const struct gtv_log plan_log = {"supervisor", NULL, NULL};

bool plan_choose_ports(const struct options *o, struct ports *taken, struct plan_ports *out,
                       struct gtv_error *err)
{
    out->door = (int)o->port;
    out->door_tls = (int)o->tls_port;
    if (!o->only && !ports_take_exactly(taken, o->listen, &out->door, "--port", err))
        return false;
    if (!o->tls_cert || o->only)
        out->door_tls = 0;
    else if (!ports_take_exactly(taken, o->listen, &out->door_tls, "--tls-port", err))
        return false;
    out->door_inside = 0;
    const struct {
        int *port, preferred;
    } wanted[] = {{&out->door_inside, 8405}, {&out->streaming, 8001},      {&out->ai, 8080},
                  {&out->ai_metrics, 9092},  {&out->console, 8002},        {&out->media_api, 9997},
                  {&out->media_hls, 8888},   {&out->media_playback, 9996}, {&out->media_rtsp, 8554},
                  {&out->media_rtmp, 1935},  {&out->demo_rtsp, 8554}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        *wanted[i].port = ports_take(taken, wanted[i].preferred);
        if (*wanted[i].port == 0) {
            gtv_error_set(err, GTV_E_LIMIT, NULL, "There is no free port left on 127.0.0.1");
            return false;
        }
    }
    return true;
}

char *plan_socket_in(const char *data)
{
    char *path = gtv_asprintf("%s/run/redis.sock", data);
    bool plain = strlen(path) <= SOCKET_PATH_MAX;
    // It also stands in URLs, where other characters would have a meaning.
    for (const char *p = path; *p && plain; p++)
        plain = isalnum((unsigned char)*p) || strchr("/._-", *p);
    if (plain)
        return path;
    free(path);
    return NULL;
}

struct plan_camera *plan_cameras(const char *list, int first_id, size_t *count)
{
    struct plan_camera *cameras = NULL;
    *count = 0;
    const char *p = list ? list : "";
    while (*count < PLAN_MAX_CAMERAS) {
        p += strspn(p, " \t\r\n");
        size_t n = strcspn(p, " \t\r\n");
        if (n == 0)
            break;
        cameras = gtv_realloc(cameras, (*count + 1) * sizeof(*cameras));
        int id = first_id + (int)*count;
        cameras[(*count)++] =
            (struct plan_camera){id, gtv_strndup((struct gtv_str){p, n}), gtv_asprintf("Câmera %d", id)};
        p += n;
    }
    return cameras;
}

static void add_address(struct gtv_buf *list, struct gtv_str address)
{
    struct gtv_str rest = gtv_buf_str(list);
    while (rest.n) {
        if (gtv_str_eq(gtv_str_trim(gtv_str_cut(&rest, ',')), address))
            return;
    }
    gtv_buf_printf(list, "%s" GTV_STR_FMT, list->len ? "," : "", GTV_STR_ARG(address));
}

static void add_if_local(struct gtv_buf *list, const char *url)
{
    struct gtv_url u;
    char host[64];
    struct in_addr v4;
    if (!gtv_url_parse(gtv_str_of(url), &u) || !gtv_str_copy(host, sizeof(host), u.host))
        return;
    if (gtv_str_ieq(u.host, GTV_STR("localhost"))) {
        add_address(list, GTV_STR("127.0.0.1"));
        add_address(list, GTV_STR("::1"));
    } else if (gtv_str_eq(u.host, GTV_STR("::1")) ||
               (inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127)) {
        add_address(list, u.host);
    }
}

char *plan_camera_allow(const char *user_value, bool demo, const struct plan_camera *cameras, size_t count)
{
    struct gtv_buf list = {0};
    gtv_buf_puts(&list, user_value ? user_value : "");
    if (demo)
        add_address(&list, GTV_STR("127.0.0.1"));
    for (size_t i = 0; i < count; i++)
        add_if_local(&list, cameras[i].url);
    char *text = gtv_strndup(gtv_buf_str(&list));
    gtv_buf_finish(&list);
    return text;
}

// A program of Debian: where PATH says, or where an ordinary user's PATH does not look.
static char *find_system_program(const char *name)
{
    const char *path = getenv("PATH");
    char *all = gtv_asprintf("%s:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin", path ? path : "");
    struct gtv_str rest = gtv_str_of(all);
    char *found = NULL;
    while (rest.n && !found) {
        struct gtv_str folder = gtv_str_cut(&rest, ':');
        if (folder.n == 0)
            continue;
        found = gtv_asprintf(GTV_STR_FMT "/%s", GTV_STR_ARG(folder), name);
        if (access(found, X_OK) != 0) {
            free(found);
            found = NULL;
        }
    }
    free(all);
    return found;
}

// One of ours: beside the others, or in a folder of its own as the build leaves it.
static char *find_own_program(const char *bin, const char *name)
{
    char *path = gtv_asprintf("%s/gtv-%s", bin, name);
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    path = gtv_asprintf("%s/%s/gtv-%s", bin, name, name);
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static bool wanted(const struct plan *p, const char *name)
{
    if (p->whole)
        return true;
    struct gtv_str rest = gtv_str_of(p->options->only);
    while (rest.n) {
        if (gtv_str_eq(gtv_str_trim(gtv_str_cut(&rest, ',')), gtv_str_of(name)))
            return true;
    }
    return false;
}

static struct child_spec *add_child(struct plan *p, const char *name, int rank, int config_exit,
                                    struct env *env)
{
    struct child_spec *c = &p->children[p->child_count++];
    *c = (struct child_spec){.name = name, .rank = rank, .config_exit = config_exit, .env = env_take(env)};
    return c;
}

// The arguments are taken over.
static void set_arguments(struct child_spec *c, char *const *argv, size_t n)
{
    c->argv = gtv_alloc((n + 1) * sizeof(*c->argv));
    memcpy(c->argv, argv, n * sizeof(*c->argv));
}

static struct env new_env(const struct plan *p, char *const *inherited)
{
    struct env e = {.weak = false};
    env_inherit(&e, inherited);
    env_set(&e, "LOG_LEVEL", "%s", p->options->log_level);
    env_set(&e, "LOG_FORMAT", "%s", p->options->log_format);
    // A service that is started alone for development meets what the developer set.
    e.weak = !p->whole;
    return e;
}

// A folder of the checkout; what was not installed is not told, as a program would refuse it.
static void set_folder(const struct plan *p, struct env *e, const char *name, const char *below)
{
    char *path = gtv_asprintf("%s/%s", p->root, below);
    if (access(path, X_OK) == 0)
        env_set(e, name, "%s", path);
    free(path);
}

static void set_documents(const struct plan *p, struct env *e)
{
    set_folder(p, e, "GTV_API_DIR", "api");
    set_folder(p, e, "GTV_DOCS_UI_DIR", ".deps/web/node_modules/swagger-ui-dist");
    env_set(e, "GTV_TRUSTED_PROXIES", "127.0.0.1,::1");
}

// What streaming lets in and what the media node dials is judged by the same list.
static void camera_policy_env(const struct plan *p, struct env *e)
{
    bool weak = e->weak;
    e->weak = false; // what the user set is in it
    char *allow = plan_camera_allow(env_get(e, "GTV_CAMERA_ALLOW"), p->demo, p->cameras, p->camera_count);
    if (allow[0])
        env_set(e, "GTV_CAMERA_ALLOW", "%s", allow);
    free(allow);
    e->weak = weak;
}

static void media_env(const struct plan *p, struct env *e)
{
    env_set(e, "MEDIA_HOST", "127.0.0.1");
    env_set(e, "MEDIA_API_PORT", "%d", p->ports.media_api);
    env_set(e, "MEDIA_HLS_PORT", "%d", p->ports.media_hls);
    env_set(e, "MEDIA_PLAYBACK_PORT", "%d", p->ports.media_playback);
    env_set(e, "MEDIA_RTSP_PORT", "%d", p->ports.media_rtsp);
    env_set(e, "MEDIA_RTMP_PORT", "%d", p->ports.media_rtmp);
    bool weak = e->weak;
    e->weak = true; // any pair of UDP ports, but for one that the user opened a firewall for
    env_set(e, "MEDIA_RTP_PORT", "0");
    e->weak = weak;
    env_set(e, "MEDIA_DATA", "%s/media", p->data);
    env_set(e, "GTV_TRUSTED_PROXIES", "127.0.0.1,::1");
    env_set(e, "GTV_CAMERA_POLICY", "true");
    camera_policy_env(p, e);
}

static void streaming_env(const struct plan *p, struct env *e)
{
    bool weak = e->weak;
    e->weak = true; // connections that are kept alive are let go at a restart, not broken off
    env_set(e, "GTV_GRACE_SECONDS", "2");
    e->weak = weak;
    env_set(e, "STREAMING_HOST", "127.0.0.1");
    env_set(e, "STREAMING_PORT", "%d", p->ports.streaming);
    env_set(e, "MEDIAMTX_API_URL", "http://127.0.0.1:%d", p->ports.media_api);
    env_set(e, "MEDIAMTX_HLS_URL", "http://127.0.0.1:%d", p->ports.media_hls);
    env_set(e, "REDIS_URL", "unix://%s?db=2", p->redis_socket);
    env_set(e, "GTV_RECORD_PATH", "%s/media/recordings/%%path/%%Y-%%m-%%d_%%H-%%M-%%S-%%f", p->data);
    camera_policy_env(p, e);
    set_documents(p, e);
}

static void ai_env(const struct plan *p, struct env *e)
{
    env_set(e, "AI_HOST", "127.0.0.1");
    env_set(e, "AI_PORT", "%d", p->ports.ai);
    env_set(e, "METRICS_PORT", "%d", p->ports.ai_metrics);
    env_set(e, "REDIS_HOST", "%s", p->redis_socket);
    env_set(e, "REDIS_DB", "1");
    env_set(e, "GTV_EVENTS_REDIS_URL", "unix://%s?db=2", p->redis_socket);
    env_set(e, "MEDIAMTX_HLS_URL", "http://127.0.0.1:%d", p->ports.media_hls);
    env_set(e, "MODELS_DIR", "%s/models", p->data);
    env_set(e, "AI_CROPS_DIR", "%s/crops", p->data);
    env_set(e, "AI_SPOOL_DIR", "%s/spool", p->data);
    env_set(e, "TBB_ENABLE_SANITIZERS", "1"); // without it OpenVINO's TBB aborts in a sanitized build
    set_documents(p, e);
}

static void console_env(const struct plan *p, struct env *e)
{
    env_set(e, "CONSOLE_HOST", "127.0.0.1");
    env_set(e, "CONSOLE_PORT", "%d", p->ports.console);
    env_set(e, "REDIS_URL", "unix://%s?db=2", p->redis_socket);
    env_set(e, "DATABASE_URL", "sqlite:%s/console/console.db", p->data);
    env_set(e, "STREAMING_URL", "http://127.0.0.1:%d", p->ports.streaming);
    env_set(e, "AI_CROPS_DIR", "%s/crops", p->data);
    set_folder(p, e, "GTV_WEB_DIR", "web");
    set_folder(p, e, "GTV_HLSJS_DIR", ".deps/web/node_modules/hls.js/dist");
    set_documents(p, e);
}

// What lives on while a service restarts. A service that is started alone listens where its developer said.
static void set_sockets(const struct plan *p, struct child_spec *c)
{
    const struct {
        const char *child;
        struct handover_wanted socket;
    } all[] = {{"streaming", {"streaming", p->ports.streaming, STREAMING_SOCKETS}},
               {"ai", {"ai", p->ports.ai, 1}},
               {"ai", {"ai-metrics", p->ports.ai_metrics, 1}},
               {"console", {"console", p->ports.console, 1}},
               {"media", {"gtv-media", p->ports.media_api, 1}},
               {"media", {"gtv-media-hls", p->ports.media_hls, 1}},
               {"media", {"gtv-media-playback", p->ports.media_playback, 1}}};
    size_t n = 0;
    for (size_t i = 0; p->whole && i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i].child, c->name) == 0)
            c->sockets[n++] = all[i].socket;
    }
    // The others have state that only one may hold: a database, a spool, cameras' connections.
    c->overlaps = p->whole && strcmp(c->name, "streaming") == 0;
}

static bool add_services(struct plan *p, char *const *inherited, struct gtv_error *err)
{
    static const struct {
        const char *name;
        int rank;
        void (*fill)(const struct plan *, struct env *);
    } services[] = {{"media", RANK_MEDIA, media_env},
                    {"streaming", RANK_SERVICES, streaming_env},
                    {"ai", RANK_SERVICES, ai_env},
                    {"console", RANK_SERVICES, console_env}};
    size_t before = p->child_count;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        if (!wanted(p, services[i].name))
            continue;
        char *program = find_own_program(p->options->bin, services[i].name);
        if (!program) {
            gtv_error_set(err, GTV_E_NOT_FOUND, "GTV_BIN",
                          "gtv-%s is not in %s: build it first (./gtv run does)", services[i].name,
                          p->options->bin);
            return false;
        }
        struct env e = new_env(p, inherited);
        services[i].fill(p, &e);
        struct child_spec *c = add_child(p, services[i].name, services[i].rank, CONFIG_EXIT, &e);
        set_arguments(c, (char *[]){program}, 1);
        c->notifies = true;
        set_sockets(p, c);
    }
    if (p->child_count == before)
        gtv_error_set(err, GTV_E_INVALID, "GTV_ONLY",
                      "\"%s\" names no service: there are streaming, ai, media and console",
                      p->options->only);
    return p->child_count > before;
}

static bool add_redis(struct plan *p, char *const *inherited, struct gtv_error *err)
{
    char *program = find_system_program("redis-server");
    if (!program) {
        gtv_error_set(err, GTV_E_NOT_FOUND, NULL, "redis-server is not installed: ./gtv setup installs it");
        return false;
    }
    struct env e = new_env(p, inherited);
    struct child_spec *c = add_child(p, "redis", RANK_REDIS, -1, &e);
    set_arguments(c, (char *[]){program, gtv_asprintf("%s/run/redis.conf", p->data)}, 2);
    return true;
}

// On a loopback address everybody has the same address: limits for each address would meet all of them
// together.
static void door_limits_env(const struct plan *p, struct env *e)
{
    bool loopback = strncmp(p->options->listen, "127.", 4) == 0 || strcmp(p->options->listen, "::1") == 0;
    bool weak = e->weak;
    e->weak = true; // what the user set stays
    if (loopback) {
        env_set(e, "GTV_RATE_API", "0");
        env_set(e, "GTV_RATE_STREAMING", "0");
        env_set(e, "GTV_CONNECTIONS_PER_ADDRESS", "0");
    }
    env_set(e, "GTV_STATS_LISTEN", "%s", p->options->listen);
    e->weak = weak;
}

static bool add_door(struct plan *p, char *const *inherited, struct gtv_error *err)
{
    char *program = find_system_program("haproxy");
    if (!program) {
        gtv_error_set(err, GTV_E_NOT_FOUND, NULL, "haproxy is not installed: ./gtv setup installs it");
        return false;
    }
    free(program); // the script finds it as well
    struct env e = new_env(p, inherited);
    env_set(&e, "GTV_LISTEN", "%s", p->options->listen);
    env_set(&e, "GTV_PORT", "%d", p->ports.door);
    env_set(&e, "GTV_STREAMING_ADDRS", "127.0.0.1:%d", p->ports.streaming);
    env_set(&e, "GTV_AI_ADDRS", "127.0.0.1:%d", p->ports.ai);
    env_set(&e, "GTV_MEDIA_HLS_ADDRS", "127.0.0.1:%d", p->ports.media_hls);
    env_set(&e, "GTV_CONSOLE_ADDRS", "127.0.0.1:%d", p->ports.console);
    env_set(&e, "GTV_DOOR_CONFIG", "%s/run/haproxy.cfg", p->data);
    env_set(&e, "GTV_TLS_PORT", "%d", p->ports.door_tls ? p->ports.door_tls : 443);
    if (p->ports.door_tls) {
        env_set(&e, "GTV_TLS_CERT", "%s", p->options->tls_cert);
        env_set(&e, "GTV_DOOR_INSIDE", "127.0.0.1:%d", p->ports.door_inside);
    }
    door_limits_env(p, &e);
    struct child_spec *c = add_child(p, "haproxy", RANK_DOOR, CONFIG_EXIT, &e);
    char *argv[] = {gtv_asprintf("%s/deploy/haproxy/door", p->root), gtv_strdup("run")};
    set_arguments(c, argv, 2);
    return true;
}

int plan_check_door(const struct plan *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        const struct child_spec *c = &p->children[i];
        if (c->rank != RANK_DOOR)
            continue;
        char check[] = "check", *argv[] = {c->argv[0], check, NULL};
        pid_t pid;
        int status;
        if (posix_spawn(&pid, c->argv[0], NULL, NULL, argv, c->env) != 0 || waitpid(pid, &status, 0) != pid)
            return 1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    return 0;
}

// Decides about the demo, and lists what there is to provision.
static char *list_cameras(struct plan *p)
{
    const struct options *o = p->options;
    char *clip = NULL;
    if (o->demo && p->whole) {
        clip = o->demo_clip ? gtv_strdup(o->demo_clip) : gtv_asprintf("%s/street/street.mp4", p->data);
        if (access(clip, R_OK) != 0) {
            gtv_log_error(&plan_log, "the demo camera is left out: its clip cannot be read",
                          "path=\"%s\" err=\"%s\"", clip, strerror(errno));
            free(clip);
            clip = NULL;
        }
    }
    p->demo = clip != NULL;
    size_t users = 0;
    struct plan_camera *own = p->whole ? plan_cameras(o->cameras, clip ? 2 : 1, &users) : NULL;
    p->camera_count = users + (clip ? 1 : 0);
    p->cameras = gtv_alloc((p->camera_count + 1) * sizeof(*p->cameras));
    if (clip)
        p->cameras[0] = (struct plan_camera){
            1, gtv_asprintf("rtsp://127.0.0.1:%d/street", p->ports.demo_rtsp), gtv_strdup(PLAN_DEMO_NAME)};
    if (users)
        memcpy(p->cameras + (clip ? 1 : 0), own, users * sizeof(*own));
    free(own);
    return clip;
}

static void add_demo(struct plan *p, char *clip, char *const *inherited)
{
    struct env e = new_env(p, inherited);
    struct child_spec *c = add_child(p, "camera", RANK_MEDIA, -1, &e);
    char *argv[] = {gtv_strdup("/usr/bin/python3"), gtv_asprintf("%s/tools/camera/rtsp_camera.py", p->root),
                    gtv_strdup("--clip"),           clip,
                    gtv_strdup("--port"),           gtv_asprintf("%d", p->ports.demo_rtsp)};
    set_arguments(c, argv, sizeof(argv) / sizeof(argv[0]));
}

static char *door_url(const struct options *o, const struct plan_ports *ports)
{
    const char *scheme = ports->door_tls ? "https" : "http";
    int port = ports->door_tls ? ports->door_tls : ports->door;
    if (strcmp(o->listen, "0.0.0.0") == 0)
        return gtv_asprintf("%s://127.0.0.1:%d", scheme, port);
    if (strcmp(o->listen, "::") == 0)
        return gtv_asprintf("%s://[::1]:%d", scheme, port);
    bool v6 = strchr(o->listen, ':') != NULL;
    return gtv_asprintf("%s://%s%s%s:%d", scheme, v6 ? "[" : "", o->listen, v6 ? "]" : "", port);
}

static bool place_socket(struct plan *p, struct gtv_error *err)
{
    p->redis_socket = plan_socket_in(p->data);
    if (p->redis_socket)
        return true;
    char folder[] = "/tmp/gtv-redis-XXXXXX";
    if (!mkdtemp(folder)) {
        gtv_error_set(err, GTV_E_IO, "GTV_DATA", "A folder for Redis's socket cannot be made in /tmp: %s",
                      strerror(errno));
        return false;
    }
    p->redis_folder = gtv_strdup(folder);
    p->redis_socket = gtv_asprintf("%s/redis.sock", folder);
    return true;
}

bool plan_build(struct plan *p, const struct options *o, const struct plan_ports *ports, const char *data,
                char *const *inherited, struct gtv_error *err)
{
    *p = (struct plan){.options = o, .ports = *ports, .whole = !o->only, .data = gtv_strdup(data)};
    p->root = realpath(o->root, NULL);
    if (!p->root) {
        gtv_error_set(err, GTV_E_INVALID, "GTV_ROOT", "GTV_ROOT \"%s\": %s", o->root, strerror(errno));
        return false;
    }
    if (!place_socket(p, err))
        return false;
    char *clip = list_cameras(p);
    if (clip)
        add_demo(p, clip, inherited);
    if (!add_redis(p, inherited, err) || !add_services(p, inherited, err))
        return false;
    if (!p->whole)
        return true;
    p->door_url = door_url(o, &p->ports);
    p->inside_url = p->ports.door_tls ? gtv_asprintf("http://127.0.0.1:%d", p->ports.door_inside)
                                      : gtv_strdup(p->door_url);
    return add_door(p, inherited, err);
}

static void put_quoted(struct gtv_buf *out, const char *text)
{
    gtv_buf_puts(out, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            gtv_buf_puts(out, "\\");
        gtv_buf_append(out, text, 1);
    }
    gtv_buf_puts(out, "\"\n");
}

bool plan_write_redis_config(const struct plan *p, struct gtv_error *err)
{
    struct gtv_buf text = {0};
    // Private: no TCP port. What is written survives a crash but for the last second. The events' stream is
    // bounded, so that a full memory is a fault that must be seen, and nothing may be thrown out for it.
    gtv_buf_puts(
        &text,
        "port 0\nunixsocketperm 700\ndaemonize no\nlogfile \"\"\nloglevel warning\ndatabases 16\nsave \"\"\n"
        "appendonly yes\nappendfsync everysec\nmaxmemory 256mb\nmaxmemory-policy noeviction\nunixsocket ");
    put_quoted(&text, p->redis_socket);
    gtv_buf_puts(&text, "dir ");
    char *dir = gtv_asprintf("%s/redis", p->data);
    put_quoted(&text, dir);
    free(dir);
    char *path = gtv_asprintf("%s/run/redis.conf", p->data);
    FILE *f = fopen(path, "we");
    bool ok = f && !text.failed && fwrite(text.data, 1, text.len, f) == text.len;
    if (f)
        ok = fclose(f) == 0 && ok;
    if (!ok)
        gtv_error_set(err, GTV_E_IO, "GTV_DATA", "%s cannot be written: %s", path, strerror(errno));
    free(path);
    gtv_buf_finish(&text);
    return ok;
}

int plan_http_port(const struct plan *p, const char *child)
{
    const struct {
        const char *name;
        int port;
    } known[] = {{"media", p->ports.media_api},
                 {"streaming", p->ports.streaming},
                 {"ai", p->ports.ai},
                 {"console", p->ports.console}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, child) == 0)
            return known[i].port;
    }
    return 0;
}

static void free_vector(char **v)
{
    for (size_t i = 0; v && v[i]; i++)
        free(v[i]);
    free(v);
}

void plan_finish(struct plan *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        free_vector(p->children[i].argv);
        free_vector(p->children[i].env);
    }
    for (size_t i = 0; i < p->camera_count; i++) {
        free(p->cameras[i].url);
        free(p->cameras[i].name);
    }
    free(p->cameras);
    if (p->redis_folder) {
        (void)unlink(p->redis_socket);
        (void)rmdir(p->redis_folder);
    }
    free(p->redis_folder);
    free(p->redis_socket);
    free(p->data);
    free(p->root);
    free(p->door_url);
    free(p->inside_url);
    *p = (struct plan){0};
}
