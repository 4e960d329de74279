#include "services/ai/settings.h"

#include "lib/base/url.h"
#include "lib/redis/link.h"
#include "lib/s3/s3.h"

#include <stdlib.h>

#define FIELD(name) offsetof(struct gtv_ai_settings, name)

static const struct gtv_form decodes = {"auto, all, references or keys", gtv_form_fits_words,
                                        (const char *const[]){"auto", "all", "references", "keys", NULL}};
static const struct gtv_form precisions = {"auto, int8, bf16 or f32", gtv_form_fits_words,
                                           (const char *const[]){"auto", "int8", "bf16", "f32", NULL}};
static const struct gtv_form camera_sources = {"auto, relay or rtsp", gtv_form_fits_words,
                                               (const char *const[]){"auto", "relay", "rtsp", NULL}};

static bool fits_rtsp_url(const struct gtv_form *form, struct gtv_str value)
{
    struct gtv_url url;
    return gtv_url_parse(value, &url) &&
           (gtv_str_ieq(url.scheme, GTV_STR("rtsp")) || gtv_str_ieq(url.scheme, GTV_STR("rtsps")));
}

static const struct gtv_form rtsp_url = {"an rtsp:// or rtsps:// address", fits_rtsp_url, NULL};

static const struct gtv_option options[] = {
    {"AI_HOST", GTV_OPT_STRING, FIELD(host), "127.0.0.1", .help = "Address to listen on; 0.0.0.0 for all.",
     .form = &gtv_form_host},
    {"AI_PORT", GTV_OPT_INT, FIELD(port), "8080", 0, 65535,
     .help = "Port of the REST interface; 0 lets the system choose."},
    {"GTV_GRACE_SECONDS", GTV_OPT_INT, FIELD(grace_seconds), "0", 0, 5,
     .help = "Seconds after SIGTERM in which /ready already answers 503, but requests are still served, so "
             "that a "
             "load balancer goes elsewhere first."},
    {"METRICS_PORT", GTV_OPT_INT, FIELD(metrics_port), "9092", 0, 65535,
     .help = "Port that serves /metrics alone; 0: none (it is on AI_PORT too)."},
    {"REDIS_HOST", GTV_OPT_STRING, FIELD(redis_host), "redis_cache",
     .help = "Host of Redis, or the path of its Unix socket."},
    {"REDIS_PORT", GTV_OPT_INT, FIELD(redis_port), "6379", 1, 65535, .help = "Port of Redis."},
    {"REDIS_PASSWORD", GTV_OPT_STRING, FIELD(redis_password), NULL, .secret = true,
     .help = "Password of Redis."},
    {"REDIS_DB", GTV_OPT_INT, FIELD(redis_db), "1", 0, 1023,
     .help = "The ai service's own database; cameras and events are in database 2, whatever it says."},
    {"GTV_EVENTS_REDIS_URL", GTV_OPT_STRING, FIELD(events_redis_url), NULL, .secret = true,
     .help = "Where cameras are read and events published; by default database 2 of REDIS_HOST.",
     .form = &gtv_form_redis_url},
    {"WORKERS", GTV_OPT_INT, FIELD(workers), "4", 1, 256,
     .help = "Inference threads; never more than the cores that this process may use."},
    {"MAX_QUEUE_SIZE", GTV_OPT_INT, FIELD(max_queue_size), "1000", 1, 100000,
     .help = "Posted pictures that may wait; beyond it 503 with Retry-After. As many jobs in the queue; "
             "beyond it 429."},
    {"BATCH_SIZE", GTV_OPT_INT, FIELD(batch_size), "8", 1, 64,
     .help =
         "Pictures that a worker runs at once on a GPU when several wait, at most; it never waits for more."},
    {"AI_RESULT_TTL", GTV_OPT_INT, FIELD(result_ttl), "300", 10, 86400,
     .help = "Seconds for which the result of a queued picture can be fetched.", .live = true},
    {"AI_CALLBACK_SECRET", GTV_OPT_STRING, FIELD(callback_secret), NULL, .secret = true,
     .help = "Signs the callbacks of queued pictures (HMAC-SHA256); without it callback_url is refused."},
    {"AI_CALLBACK_ALLOW", GTV_OPT_STRING, FIELD(callback_allow), NULL,
     .help = "Addresses and CIDRs, comma-separated, that callbacks may go to although they are off-limits "
             "otherwise.",
     .form = &gtv_form_addresses},
    {"CONFIDENCE_THRESHOLD", GTV_OPT_DOUBLE, FIELD(confidence), "0.5", 0, 1,
     .help = "Least confidence of a detection in a posted picture.", .live = true},
    {"AI_CAMERA_CONFIDENCE", GTV_OPT_DOUBLE, FIELD(camera_confidence), "0", 0, 1,
     .help = "Least confidence of a detection in a camera's picture; 0: the lower of CONFIDENCE_THRESHOLD "
             "and the "
             "network's own measured threshold."},
    {"AI_MAX_FPS", GTV_OPT_DOUBLE, FIELD(camera_max_fps), "5", 0.05, 30,
     .help = "Looks a second at each camera, at most.", .live = true},
    {"AI_MAX_CAMERAS", GTV_OPT_INT, FIELD(max_cameras), "64", 0, 1000,
     .help = "Cameras watched by this process, at most."},
    {"AI_MIN_FPS", GTV_OPT_DOUBLE, FIELD(camera_min_fps), "0.2", 0.01, 30,
     .help = "Looks a second that each camera gets even when there is too little time for all.",
     .live = true},
    {"AI_CPU_BUDGET", GTV_OPT_DOUBLE, FIELD(cpu_budget), "0.9", 0.05, 1,
     .help = "Share of the cores that watching cameras may take; beyond it they are looked at less often.",
     .live = true},
    {"AI_CROPS_DIR", GTV_OPT_STRING, FIELD(crops_dir), "var/crops",
     .help = "Folder of the pictures of tracks; empty: none are kept."},
    {"AI_CROPS_S3_URL", GTV_OPT_STRING, FIELD(s3_url), NULL,
     .help =
         "An S3-compatible store that the pictures go to: endpoint, bucket and prefix, such as "
         "https://minio:9000/crops/centre-1. AI_CROPS_DIR then holds what waits. Empty: the folder alone.",
     .form = &gtv_form_http_url},
    {"AI_CROPS_S3_REGION", GTV_OPT_STRING, FIELD(s3_region), "us-east-1", .help = "Region of that store."},
    {"AI_CROPS_S3_KEY", GTV_OPT_STRING, FIELD(s3_key), NULL, .help = "Access key for that store."},
    {"AI_CROPS_S3_SECRET", GTV_OPT_STRING, FIELD(s3_secret), NULL, .secret = true,
     .help = "Secret of that access key."},
    {"AI_CROPS_BYTES", GTV_OPT_INT, FIELD(crops_bytes), "1073741824", 1048576, 1e15,
     .help = "Bytes of pictures of tracks at most; the oldest are removed."},
    {"AI_CROPS_DAYS", GTV_OPT_INT, FIELD(crops_days), "30", 1, 36500,
     .help = "Days that pictures of tracks are kept at most."},
    {"AI_SPOOL_DIR", GTV_OPT_STRING, FIELD(spool_dir), "var/spool",
     .help = "Folder in which durable events wait while Redis is away."},
    {"AI_SPOOL_BYTES", GTV_OPT_INT, FIELD(spool_bytes), "16777216", 65536, 1e15,
     .help = "Bytes of durable events that wait at most; what is beyond is lost, and counted."},
    {"AI_DECODE", GTV_OPT_STRING, FIELD(decode), "auto",
     .help = "Which pictures of a camera are decoded: auto (as few as the looks need), all, references (only "
             "what other pictures refer to) or keys (key frames alone).",
     .form = &decodes},
    {"AI_SIZE_GATE", GTV_OPT_BOOL, FIELD(size_gate), "true",
     .help = "Where key frames alone are decoded: leave out those before which the sizes of the pictures say "
             "that nothing moved, as the camera's motion gate has taught them (all but one each 5 s)."},
    {"MODELS_DIR", GTV_OPT_STRING, FIELD(models_dir), "var/models",
     .help = "Folder of the networks; its subfolder cache/ is written."},
    {"YOLO_MODEL", GTV_OPT_STRING, FIELD(yolo_model), NULL,
     .help = "The detector: a name in MODELS_DIR, or a path to .onnx or .xml; empty takes the best that is "
             "there."},
    {"LPR_MODEL", GTV_OPT_STRING, FIELD(lpr_model), NULL,
     .help =
         "The networks that read plates, with commas: names in MODELS_DIR, or paths to .onnx or .xml with "
         "their .json; empty takes all that are there."},
    {"LPR_ENABLED", GTV_OPT_BOOL, FIELD(lpr_enabled), "true",
     .help = "Read plates where the networks for it are there; false: plate_number is null."},
    {"AI_ALERT_POSTED", GTV_OPT_BOOL, FIELD(alert_posted), "true",
     .help = "Plates of posted pictures of a camera (camera_id from 1) raise the watch-list's alerts too.",
     .live = true},
    {"VEHICLE_MODEL", GTV_OPT_STRING, FIELD(vehicle_model), NULL,
     .help = "Accepted; makes are not recognised, vehicle_model is null."},
    {"AI_PRECISION", GTV_OPT_STRING, FIELD(precision), "auto",
     .help =
         "What is computed with: f32, bf16 (two thirds of the time where the processor has it), int8 (an "
         "accepted <model>_int8.xml beside the network), or auto: the first of int8, bf16 and f32 that is "
         "there.",
     .form = &precisions},
    {"AI_INPUT_SIZE", GTV_OPT_STRING, FIELD(input_size), NULL,
     .help =
         "WIDTHxHEIGHT, multiples of 32, for a network of your own whose file leaves its size open; empty: "
         "what its <model>.json or its exporter says, a square cut to 16:9 (640x384)."},
    {"ENABLE_GPU", GTV_OPT_BOOL, FIELD(enable_gpu), "false",
     .help = "Run on a GPU if OpenVINO finds one; else on the CPU, with a warning."},
    {"GPU_MEMORY_FRACTION", GTV_OPT_DOUBLE, FIELD(gpu_memory_fraction), "0.8", 0, 1,
     .help = "Accepted; OpenVINO takes what a network needs, so that it has no effect."},
    {"MEDIAMTX_HLS_URL", GTV_OPT_STRING, FIELD(hls_url), "http://mediamtx:8888",
     .help = "The media node: cameras are read from its /cam_<id>/relay.", .form = &gtv_form_http_url},
    {"MEDIAMTX_RTSP_URL", GTV_OPT_STRING, FIELD(rtsp_url), "rtsp://mediamtx:8554",
     .help = "The same by RTSP, for a media node that is a MediaMTX: cameras are read as /cam_<id> below it.",
     .form = &rtsp_url},
    {"MEDIAMTX_READ_USER", GTV_OPT_STRING, FIELD(read_user), NULL,
     .help = "User that may read cameras at the media node, by HTTP and RTSP; empty: none is needed."},
    {"MEDIAMTX_READ_PASS", GTV_OPT_STRING, FIELD(read_pass), NULL, .secret = true,
     .help = "Password of that user."},
    {"AI_CAMERA_SOURCE", GTV_OPT_STRING, FIELD(camera_source), "auto",
     .help =
         "How cameras are read from the media node: relay (gtv-media's), rtsp, or auto: the relay, and RTSP "
         "where another server than gtv-media answers that it has none.",
     .form = &camera_sources},
    {"GTV_CORS_ORIGIN", GTV_OPT_STRING, FIELD(cors_origin), "*",
     .help = "Access-Control-Allow-Origin of all answers.", .live = true},
    {"GTV_TRUSTED_PROXIES", GTV_OPT_STRING, FIELD(trusted_proxies), "127.0.0.1,::1",
     .help = "Peers whose X-Forwarded-For is believed.", .form = &gtv_form_peers},
    {"GTV_PROXY_PROTOCOL", GTV_OPT_STRING, FIELD(proxy_protocol), NULL,
     .help =
         "Peers whose connections must begin with a PROXY header (v1 or v2), comma-separated; empty: none.",
     .form = &gtv_form_peers},
    {"GTV_API_DIR", GTV_OPT_STRING, FIELD(api_dir), "api", .help = "Folder with ai.json (OpenAPI).",
     .form = &gtv_form_folder},
    {"GTV_DOCS_UI_DIR", GTV_OPT_STRING, FIELD(docs_ui_dir), NULL,
     .help = "Folder of swagger-ui-dist; without it only /docs is missing."},
    GTV_LOG_OPTIONS(FIELD),
};

enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

static bool side(struct gtv_str text, int *out)
{
    int64_t n;
    bool ok = gtv_parse_int(text, 32, 2048, &n) && n % 32 == 0;
    *out = ok ? (int)n : 0;
    return ok;
}

bool gtv_ai_input_size(const char *text, int *width, int *height)
{
    struct gtv_str rest = gtv_str_trim(gtv_str_of(text));
    *width = *height = 0;
    if (rest.n == 0)
        return true;
    struct gtv_str first = gtv_str_cut(&rest, 'x');
    return side(first, width) && side(rest, height);
}

static bool check_redis(const char *url, const char *option, struct gtv_error *err)
{
    struct gtv_redis_target target;
    struct gtv_error why = {0};
    if (gtv_redis_target_parse(url, &target, &why))
        return true;
    gtv_error_set(err, GTV_E_INVALID, option, "%s: %.200s", option, why.message);
    return false;
}

static bool check(const void *config, struct gtv_error *err)
{
    const struct gtv_ai_settings *s = config;
    int width, height;
    if (!gtv_ai_input_size(s->input_size, &width, &height)) {
        gtv_error_set(
            err, GTV_E_INVALID, "AI_INPUT_SIZE",
            "AI_INPUT_SIZE must be WIDTHxHEIGHT in multiples of 32 up to 2048, such as 640x384, not "
            "\"%.40s\"",
            s->input_size);
        return false;
    }
    if (s->s3_url && *s->s3_url && !gtv_s3_check(s->s3_url, s->s3_region, s->s3_key, s->s3_secret, err))
        return false;
    char *url = gtv_redis_url(s->redis_host, (int)s->redis_port, s->redis_password, (int)s->redis_db);
    bool ok = check_redis(url, "REDIS_HOST", err) &&
              (!s->events_redis_url || !s->events_redis_url[0] ||
               check_redis(s->events_redis_url, "GTV_EVENTS_REDIS_URL", err));
    free(url);
    return ok;
}

const struct gtv_program gtv_ai_program = {
    .name = "gtv-ai",
    .purpose = "finds vehicles and plates in posted pictures and in live cameras",
    .table = options,
    .count = OPTION_COUNT,
    .size = sizeof(struct gtv_ai_settings),
    .check = check,
};

bool gtv_ai_settings_load(struct gtv_ai_settings *s, int argc, char **argv, struct gtv_error *err)
{
    return gtv_config_load(s, &gtv_ai_program, argc, argv, err);
}

void gtv_ai_settings_finish(struct gtv_ai_settings *s)
{
    gtv_config_finish(s, options, OPTION_COUNT);
}
