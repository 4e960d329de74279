// What the supervisor is told: one table, from which --help comes as well.
#ifndef GTV_SUPERVISOR_OPTIONS_H
#define GTV_SUPERVISOR_OPTIONS_H

#include "lib/config/config.h"

struct options {
    char *data;     // folder of all state
    char *listen;   // address of the door
    int64_t port;   // of the door; 0: any free one
    char *tls_cert; // certificate and key of the door, a file or a folder; NULL: no TLS
    int64_t tls_port;
    bool demo;       // run the demo camera
    char *demo_clip; // NULL: <data>/street/street.mp4
    char *cameras;   // RTSP addresses between spaces or newlines; may hold passwords
    char *root;      // the checkout: api/ web/ deploy/ tools/
    char *bin;       // folder of the built programs
    char *only;      // comma list of services, or NULL for the whole system
    char *log_level, *log_format;
};

extern const struct gtv_program gtv_supervisor_program;

#endif
