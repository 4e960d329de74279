// What is to run, with which arguments and environment: worked out once, before anything starts.
#ifndef GTV_SUPERVISOR_PLAN_H
#define GTV_SUPERVISOR_PLAN_H

#include "services/supervisor/child.h"
#include "services/supervisor/options.h"
#include "services/supervisor/ports.h"

#define PLAN_DEMO_NAME "Rua de demonstração"

// Start order of the children: each rank as a whole.
enum { RANK_REDIS, RANK_MEDIA, RANK_SERVICES, RANK_DOOR };

enum { PLAN_MAX_CHILDREN = 8, PLAN_MAX_CAMERAS = 1000 };

// Ports of the programs behind the door, all on 127.0.0.1.
struct plan_ports {
    int streaming, ai, ai_metrics, console, media_api, media_hls, demo_rtsp;
    int door;
    int media_playback, media_rtsp, media_rtmp;
    int door_tls, door_inside; // with a certificate: HTTPS, and plain HTTP for this program; else 0
};

struct plan_camera {
    int id;
    char *url; // may hold a password
    char *name;
};

struct plan {
    const struct options *options;
    char *data, *root;  // absolute
    char *redis_socket; // absolute, short enough for a socket's address
    char *redis_folder; // made for the socket in /tmp, to be removed at the end; or NULL
    bool whole;         // not only named services
    bool demo;          // camera 1 is the demo camera
    struct plan_ports ports;
    struct child_spec children[PLAN_MAX_CHILDREN];
    size_t child_count;
    struct plan_camera *cameras; // to provision, in order
    size_t camera_count;
    char *door_url;   // "http://127.0.0.1:8000", as this machine reaches the door; NULL without a door
    char *inside_url; // the same for this program itself, which trusts no certificate: always http
};

// Chooses the ports: the contract's where they are free. `taken` holds them until everything is about to
// start.
bool plan_choose_ports(const struct options *o, struct ports *taken, struct plan_ports *out,
                       struct gtv_error *err) GTV_WARN_UNUSED;

// data: the absolute data folder. inherited: the environment to start from. Programs that are missing, a
// GTV_ONLY that names none of ours: false with one sentence. A missing demo clip leaves the demo out (with a
// line in the log). Writes nothing.
bool plan_build(struct plan *p, const struct options *o, const struct plan_ports *ports, const char *data,
                char *const *inherited, struct gtv_error *err) GTV_WARN_UNUSED;
// The configuration file of the private Redis. False with one sentence.
bool plan_write_redis_config(const struct plan *p, struct gtv_error *err) GTV_WARN_UNUSED;
void plan_finish(struct plan *p);

// Asks the door whether its options are right; what is wrong it says itself, in one sentence on stderr. 0, or
// the exit status to end with.
int plan_check_door(const struct plan *p);

// The port on 127.0.0.1 where the child of that name answers HTTP; 0 when it does not.
int plan_http_port(const struct plan *p, const char *child);

// Where the socket can be: in the data folder when the path is short and plain enough, else NULL. Allocated.
char *plan_socket_in(const char *data);
// The cameras in a list between spaces and newlines, numbered from first_id. At most PLAN_MAX_CAMERAS.
struct plan_camera *plan_cameras(const char *list, int first_id, size_t *count);
// What GTV_CAMERA_ALLOW has to hold: what the user set, the demo's address, and those of user's cameras that
// are on this machine.
char *plan_camera_allow(const char *user_value, bool demo, const struct plan_camera *cameras, size_t count);

#endif
