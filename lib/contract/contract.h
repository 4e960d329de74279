// What the programs share: Redis keys, the event envelope, the error shape. Nothing else passes between them
// but HTTP.
#ifndef GTV_CONTRACT_CONTRACT_H
#define GTV_CONTRACT_CONTRACT_H

#include "lib/http/server.h"
#include "lib/json/json.h"
#include "lib/metrics/disk.h"

// ---- Redis keys, all in db 2 ----
#define GTV_KEY_EVENTS    "gtv:events" // stream: fields stream, type, json; trimmed to GTV_EVENTS_MAXLEN entries
#define GTV_EVENTS_MAXLEN 20000
#define GTV_KEY_CAMERAS   "gtv:cameras" // hash: camera id -> camera JSON (struct gtv_camera), the desired state
#define GTV_KEY_CAMERAS_NEWS                                                                                 \
    "gtv:cameras:news" // stream: fields id and by (who wrote it); an entry for each change of the hash
                       // (bounded 1000)
#define GTV_KEY_GAPS                                                                                         \
    "gtv:gaps" // hash: camera id -> its outages (services/streaming/ledger.h), kept over restarts
#define GTV_KEY_NODES_DRAINED "gtv:nodes:drained" // set: ids of the media nodes that shall take no cameras
#define GTV_KEY_STATS         "streaming:stats"   // string: stats JSON, expiry 60 s (old clients read it)

// ---- A camera as provisioned ----
#define GTV_CAMERA_NAME_MAX 128
#define GTV_CAMERA_URL_MAX  1024
struct gtv_camera {
    int64_t id; // >= 1; its path is cam_<id>
    char name[GTV_CAMERA_NAME_MAX + 1];
    char url[GTV_CAMERA_URL_MAX + 1];     // with credentials: never shown or logged as it is
    char sub_url[GTV_CAMERA_URL_MAX + 1]; // of its smaller stream, the same; empty: it has none
    bool on_demand, record, ai_enabled;
    int64_t created_ms; // wall clock
};
bool gtv_camera_parse(yyjson_val *obj, struct gtv_camera *out, struct gtv_error *err) GTV_WARN_UNUSED;
struct gtv_bytes *
gtv_camera_write(const struct gtv_camera *c) GTV_WARN_UNUSED; // JSON, with credentials: for Redis only
#define GTV_CAMERA_PATH_CAP 32
const char *gtv_camera_path(int64_t id, char out[GTV_CAMERA_PATH_CAP]); // "cam_7"
bool gtv_camera_path_parse(struct gtv_str path, int64_t *id) GTV_WARN_UNUSED;
// The path of its smaller stream, "cam_7_sub", which gtv_camera_path_parse takes for nobody's.
const char *gtv_camera_sub_path(int64_t id, char out[GTV_CAMERA_PATH_CAP]);
bool gtv_camera_sub_path_parse(struct gtv_str path, int64_t *id) GTV_WARN_UNUSED;

// ---- Events ----
// Envelope (version 1): {"v":1,"type":T,"stream":"cam_1","timestamp":"...Z","wall_ms":N,"data":{...}}; on the
// wire to browsers an "id" (the Redis entry's) is put in front. Types: status, detection, alert. wall_ms is
// the moment in front of the camera, the clock of EXT-X-PROGRAM-DATE-TIME; timestamp is the same moment as
// RFC 3339.
#define GTV_EVENT_VERSION 1
enum { GTV_MAX_OBJECTS = 100 };

struct gtv_detected {
    char object_type[16]; // car, motorcycle, bus, truck
    double confidence;    // 0..1
    int x, y, w, h;       // pixels of the frame, x,y top-left
};
// data of a detection:
// {"camera_id","frame":{"width","height"},"model","latency_ms","objects":[{"object_type","confidence","bbox":{x,y,w,h},
// "plate_number":null}]}. latency_ms: from the frame's arrival in the media node's clock (wall_ms) to the
// publication.
struct gtv_detection_event {
    int64_t camera_id;
    int64_t wall_ms;
    int width, height;
    const char *model;
    double latency_ms;
    const struct gtv_detected *objects;
    size_t count;
    const uint64_t *tracks;    // NULL, or: the track of each object ("track_id"), 0 where it has none
    const char *const *plates; // NULL, or: the plate read so far of each object's track, NULL where none is
};
struct gtv_bytes *gtv_event_detection(const struct gtv_detection_event *e) GTV_WARN_UNUSED;
// data: {"camera_id","state":"connected|disconnected|...","cause":text or null,"cause_code":machine-readable
// or null}. Redacted.
struct gtv_bytes *gtv_event_status(const char *stream, int64_t camera_id, const char *state,
                                   const char *cause, int64_t wall_ms) GTV_WARN_UNUSED;
struct gtv_bytes *gtv_event_status_coded(const char *stream, int64_t camera_id, const char *state,
                                         const char *cause, const char *cause_code,
                                         int64_t wall_ms) GTV_WARN_UNUSED;

// Type "provision": what was done to cameras, and how far many of them are. stream is cam_<id> for one
// camera, "provision" for many. data: {"action","camera_id","node","detail","job","done","total","failed"};
// null where a field has no meaning. Actions: "progress" and "done" (of a job), "repaired" (the node had
// other settings; detail names them), "restored" (the node had lost them), "removed" (a path of ours that
// nobody wants), "moved" (to another node). Redacted. Type "node", stream "nodes": a media node's "action" is
// "up", "down", "dead", "drained" or "undrained".
struct gtv_provision_event {
    const char *type; // NULL: "provision"
    const char *stream, *action;
    int64_t camera_id; // 0: none
    const char *node, *detail, *job;
    bool counts; // done, total and failed are told
    size_t done, total, failed;
    int64_t wall_ms;
};
struct gtv_bytes *gtv_event_provision(const struct gtv_provision_event *e) GTV_WARN_UNUSED;

// The same while the state stays: data has "change" too ("bitrate", "parameters" or "recording"), and
// "before" and "now": kbit/s, or the tracks or the recording's state in one line where they are not NULL.
struct gtv_event_change {
    const char *what;
    int64_t before_kbps, now_kbps;
    const char *before, *now;
};
struct gtv_bytes *gtv_event_status_change(const char *stream, int64_t camera_id, const char *state,
                                          const struct gtv_event_change *change,
                                          int64_t wall_ms) GTV_WARN_UNUSED;

// ---- Errors ----
// {"detail": text, "code": machine-readable, "field": name or null}. message NULL: the code's default text.
// Redacted.
void gtv_reply_error(struct gtv_http_request *req, enum gtv_code code, const char *field,
                     const char *message);
void gtv_reply_error_from(struct gtv_http_request *req, const struct gtv_error *err);
// The same with Retry-After (in seconds), and not to be kept: what is asked for will be there soon.
void gtv_reply_error_later(struct gtv_http_request *req, const struct gtv_error *err, unsigned after_s);
// FastAPI's 422 shape for a body field:
// {"detail":[{"loc":["body",field],"msg":...,"type":"value_error"}],"code":"invalid","field":field}
void gtv_reply_invalid(struct gtv_http_request *req, const struct gtv_error *err);
// Serialises and frees doc; application/json.
void gtv_reply_json(struct gtv_http_request *req, int status, yyjson_mut_doc *doc);

// ---- Routes that every service has: /version, /metrics, /openapi.json, /docs ----
// user of these handlers must begin with struct gtv_service_pages (embed it first in the service's own
// struct).
enum { GTV_SERVICE_DISKS_MAX = 4 };

// What a program is, for GET /version. The strings live on.
struct gtv_about {
    const char *program; // "gtv-streaming"
    const char *version, *commit;
    int64_t started_ms; // wall clock
    struct {
        const char *name, *version;
    } libraries[8]; // that matter to who looks for a fault; up to the first without a name
};

struct gtv_service_pages {
    const struct gtv_about *about;
    struct gtv_metrics *metrics;
    struct gtv_http_files *openapi; // folder api/: <name>.json
    struct gtv_http_files *docs_ui; // folder of swagger-ui-dist
    const char *name;               // "streaming": api/streaming.json
    // Folders whose file systems' room stands on /metrics, asked about for each page.
    struct {
        const char *path;
        struct gtv_disk_gauges gauges;
    } disks[GTV_SERVICE_DISKS_MAX];
    size_t disk_count;
    void (*more)(struct gtv_buf *out, void *user); // appends series that come and go to the page, or NULL
};
// folder names it on the page; path must live on. At most GTV_SERVICE_DISKS_MAX; before the server serves.
void gtv_service_add_disk(struct gtv_service_pages *pages, const char *folder, const char *path);

// ---- /ready ----
// Something that a program needs and has not.
struct gtv_missing {
    const char *what;  // "redis", "media", "model", ...: a fixed word
    const char *cause; // a sentence; NULL: not known
    bool required;     // without it the program can do nothing that it is there for
};
// 200, or 503 where something required is missing or the server stops
// (gtv_http_server_retire), with
// {"ready":bool,"status":"ready|degraded|not ready|stopping","program":name,"missing":[{"what","cause",
// "required"}]} and, with 503, the keys of the house's errors: detail, code, field. doc: an object with keys
// of the program's own that are to stand there too, or NULL; it is freed. Causes are redacted.
void gtv_reply_ready(struct gtv_http_request *req, const struct gtv_service_pages *pages, yyjson_mut_doc *doc,
                     const struct gtv_missing *missing, size_t n);

// {"program","version","commit","started_at","libraries":{name:version}}; commit is null where it is not
// known.
void gtv_reply_version(struct gtv_http_request *req, const struct gtv_about *about);
void gtv_handle_version(struct gtv_http_request *req, void *user);
void gtv_handle_metrics(struct gtv_http_request *req, void *user);
void gtv_handle_openapi(struct gtv_http_request *req, void *user);
void gtv_handle_docs(struct gtv_http_request *req,
                     void *user); // GET /docs: the page (relative links, so that it works behind a prefix)
void gtv_handle_docs_file(struct gtv_http_request *req, void *user); // GET /docs/{file}
#define GTV_SERVICE_PAGE_ROUTES                                                                              \
    {"GET", "/version", gtv_handle_version, 0, "Version, commit, libraries"},                                \
        {"GET", "/metrics", gtv_handle_metrics, 0, "Prometheus metrics"},                                    \
        {"GET", "/openapi.json", gtv_handle_openapi, 0, "This API as OpenAPI 3.1"},                          \
        {"GET", "/docs", gtv_handle_docs, 0, "Interactive reference"},                                       \
    {                                                                                                        \
        "GET", "/docs/{file}", gtv_handle_docs_file, 0, "Files of the interactive reference"                 \
    }

#endif
