#include "services/supervisor/options.h"

#define FIELD(name) offsetof(struct options, name)

static const struct gtv_option table[] = {
    {"GTV_DATA", GTV_OPT_STRING, FIELD(data), "./var", 0, 0, false,
     "Folder of all state: Redis, recordings, the database, logs, models."},
    {"GTV_LISTEN", GTV_OPT_STRING, FIELD(listen), "127.0.0.1", 0, 0, false, "Address of the door.",
     .form = &gtv_form_host},
    {"GTV_PORT", GTV_OPT_INT, FIELD(port), "8000", 0, 65535, false, "Port of the door; 0 takes a free one."},
    {"GTV_TLS_CERT", GTV_OPT_STRING, FIELD(tls_cert), NULL, 0, 0, false,
     "Certificate and key of the door: a PEM file, or a folder (deploy/haproxy/README.md). With it GTV_PORT "
     "only sends "
     "to GTV_TLS_PORT."},
    {"GTV_TLS_PORT", GTV_OPT_INT, FIELD(tls_port), "8443", 0, 65535, false,
     "Port of the door for HTTPS; 0 takes a free one."},
    {"GTV_DEMO", GTV_OPT_BOOL, FIELD(demo), "true", 0, 0, false, "Run the demo camera, as camera 1."},
    {"GTV_DEMO_CLIP", GTV_OPT_STRING, FIELD(demo_clip), NULL, 0, 0, false,
     "Clip that the demo camera loops; street/street.mp4 in the data folder when unset."},
    {"GTV_CAMERAS", GTV_OPT_STRING, FIELD(cameras), NULL, 0, 0, true,
     "RTSP addresses of further cameras, between spaces or newlines. Give them in the environment: they hold "
     "passwords."},
    {"GTV_ROOT", GTV_OPT_STRING, FIELD(root), ".", 0, 0, false,
     "The checkout, with api, web, deploy and tools."},
    {"GTV_BIN", GTV_OPT_STRING, FIELD(bin), "build/release/services", 0, 0, false,
     "Folder of the built programs."},
    {"GTV_ONLY", GTV_OPT_STRING, FIELD(only), NULL, 0, 0, false,
     "Comma list of services (streaming, ai, media, console) to start alone, with Redis but without door and "
     "demo."},
    {"LOG_LEVEL", GTV_OPT_STRING, FIELD(log_level), "INFO", 0, 0, false,
     "DEBUG, INFO, WARNING or ERROR, for all programs.", .form = &gtv_form_level},
    {"LOG_FORMAT", GTV_OPT_STRING, FIELD(log_format), "logfmt",
     .help = "Form of its own log lines and of its services'.", .form = &gtv_form_log_format},
};

static bool check(const void *config, struct gtv_error *err)
{
    const struct options *o = config;
    static const char *const services[] = {"streaming", "ai", "media", "console"};
    struct gtv_str rest = gtv_str_of(o->only);
    while (rest.n) {
        struct gtv_str name = gtv_str_trim(gtv_str_cut(&rest, ','));
        bool known = false;
        for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
            known = known || gtv_str_eq(name, gtv_str_of(services[i]));
        if (!known) {
            gtv_error_set(err, GTV_E_INVALID, "GTV_ONLY",
                          "GTV_ONLY: \"%.40s\" names no service: there are streaming, ai, media and console",
                          o->only);
            return false;
        }
    }
    return true;
}

const struct gtv_program gtv_supervisor_program = {
    .name = "gtv-supervisor",
    .purpose = "runs the whole of GT-Vision on one machine",
    .table = table,
    .count = sizeof(table) / sizeof(table[0]),
    .size = sizeof(struct options),
    .check = check,
};
