#include "services/console/options.h"

#include "lib/redis/link.h"
#include "lib/s3/s3.h"
#include "services/console/db.h"

#define AT(field) offsetof(struct gtv_console_options, field)

static bool fits_database(const struct gtv_form *form, struct gtv_str value)
{
    return gtv_str_starts(value, GTV_STR("sqlite:")) || gtv_str_starts(value, GTV_STR("postgresql:")) ||
           gtv_str_starts(value, GTV_STR("postgres:")); // check tells what else is wrong with it
}

static const struct gtv_form form_database = {
    "sqlite:/path/to/file.db or postgresql://user:password@host:5432/database", fits_database, NULL};

static const struct gtv_option table[] = {
    {"CONSOLE_HOST", GTV_OPT_STRING, AT(host), "127.0.0.1", 0, 0, false,
     "Address to listen on; 0.0.0.0 in containers.", .form = &gtv_form_host},
    {"CONSOLE_PORT", GTV_OPT_INT, AT(port), "8002", 0, 65535, false,
     "Port to listen on; 0 lets the system choose."},
    {"REDIS_URL", GTV_OPT_STRING, AT(redis_url), "redis://redis_cache:6379/2", 0, 0, true,
     "Redis with cameras and events: a TCP address, or a Unix socket.", .form = &gtv_form_redis_url},
    {"DATABASE_URL", GTV_OPT_STRING, AT(database_url), "sqlite:./var/console/console.db", 0, 0, true,
     "Where detections are stored: sqlite:/path/to/file.db, or a PostgreSQL server (also postgres://; "
     "sslmode and what else libpq knows may follow after ?).",
     .form = &form_database},
    {"CONSOLE_KEEP_DETECTIONS", GTV_OPT_INT, AT(keep_detections), "200000", 100, 100000000, false,
     "Vehicles kept in the database, the newest.", .live = true},
    {"CONSOLE_KEEP_EVENTS", GTV_OPT_INT, AT(keep_happenings), "500000", 100, 100000000, false,
     "Happenings (crossings, zones, plates, alerts) kept in the database, the newest.", .live = true},
    {"CONSOLE_KEEP_DAYS", GTV_OPT_INT, AT(keep_days), "90", 1, 36500, false,
     "Days for which vehicles and happenings are kept, counted from when they were stored.", .live = true},
    {"AI_CROPS_DIR", GTV_OPT_STRING, AT(crops_dir), "./var/crops", 0, 0, false,
     "Folder of the ai program's pictures of vehicles, served as image_url."},
    {"AI_CROPS_S3_URL", GTV_OPT_STRING, AT(s3_url), NULL, 0, 0, false,
     "The S3-compatible store that the ai program puts them into, if it has one: endpoint, bucket and "
     "prefix.",
     .form = &gtv_form_http_url},
    {"AI_CROPS_S3_REGION", GTV_OPT_STRING, AT(s3_region), "us-east-1", 0, 0, false, "Region of that store."},
    {"AI_CROPS_S3_KEY", GTV_OPT_STRING, AT(s3_key), NULL, 0, 0, false, "Access key that may read there."},
    {"AI_CROPS_S3_SECRET", GTV_OPT_STRING, AT(s3_secret), NULL, 0, 0, true, "Secret of that access key."},
    {"STREAMING_URL", GTV_OPT_STRING, AT(streaming_url), "http://streaming:8001", 0, 0, false,
     "The streaming service, asked for the state of the cameras.", .form = &gtv_form_http_url},
    {"PUBLIC_BASE", GTV_OPT_STRING, AT(public_base), "/streaming", 0, 0, false,
     "What the door puts in front of the streaming service's paths; stream_url in answers begins with it."},
    {"GTV_WEB_DIR", GTV_OPT_STRING, AT(web_dir), "./web", 0, 0, false, "Folder of the page.",
     .form = &gtv_form_folder},
    {"GTV_HLSJS_DIR", GTV_OPT_STRING, AT(hlsjs_dir), NULL, 0, 0, false,
     "Folder with hls.min.js and hls.worker.js (dist of hls.js); the page plays no video without it.",
     .form = &gtv_form_folder},
    {"GTV_API_DIR", GTV_OPT_STRING, AT(api_dir), NULL, 0, 0, false, "Folder with console.json (OpenAPI).",
     .form = &gtv_form_folder},
    {"GTV_DOCS_UI_DIR", GTV_OPT_STRING, AT(docs_ui_dir), NULL, 0, 0, false,
     "Folder of swagger-ui-dist; without it only /docs is missing."},
    {"GTV_TRUSTED_PROXIES", GTV_OPT_STRING, AT(trusted_proxies), "127.0.0.1,::1", 0, 0, false,
     "Peers whose X-Forwarded-For is believed.", .form = &gtv_form_peers},
    {"GTV_PROXY_PROTOCOL", GTV_OPT_STRING, AT(proxy_protocol), NULL, 0, 0, false,
     "Peers whose connections must begin with a PROXY header (v1 or v2), comma-separated; empty: none.",
     .form = &gtv_form_peers},
    GTV_LOG_OPTIONS(AT),
};

static bool check(const void *config, struct gtv_error *err)
{
    const struct gtv_console_options *o = config;
    struct gtv_redis_target redis;
    struct gtv_error why = {0};
    if (!gtv_redis_target_parse(o->redis_url, &redis, &why)) {
        gtv_error_set(err, GTV_E_INVALID, "REDIS_URL", "REDIS_URL: %.200s", why.message);
        return false;
    }
    if (o->s3_url && *o->s3_url && !gtv_s3_check(o->s3_url, o->s3_region, o->s3_key, o->s3_secret, err))
        return false;
    if (!gtv_db_url_ok(o->database_url, err))
        return false;
    if (!o->import_sqlite || !gtv_str_starts(gtv_str_of(o->database_url), GTV_STR("sqlite:")))
        return true;
    gtv_error_set(err, GTV_E_INVALID, "DATABASE_URL",
                  "--import-sqlite needs DATABASE_URL to be the PostgreSQL server that it copies to");
    return false;
}

static const struct gtv_command commands[] = {
    {"import-sqlite", "FILE",
     "Copy what a console has stored in this SQLite file to the PostgreSQL server of DATABASE_URL, and end. "
     "What "
     "is there already is passed over: it may be run again.",
     AT(import_sqlite)},
};

const struct gtv_program gtv_console_program = {
    .name = "gtv-console",
    .purpose = "the web page, cameras and stored detections",
    .table = table,
    .count = sizeof table / sizeof *table,
    .size = sizeof(struct gtv_console_options),
    .check = check,
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
};
