// The console's routes and what their handlers use.
#ifndef GTV_CONSOLE_API_H
#define GTV_CONSOLE_API_H

#include "lib/redis/redis.h"
#include "lib/s3/serve.h"
#include "services/console/directory.h"
#include "services/console/options.h"
#include "services/console/store.h"

struct gtv_console {
    struct gtv_service_pages pages; // first: the common handlers take the struct for theirs
    struct gtv_console_options options;
    struct gtv_config_source *source;
    struct gtv_about about;
    char libpq[16]; // its version, for about
    struct gtv_metrics *metrics;
    struct gtv_loop *loop;
    struct gtv_life *life;
    struct gtv_http_server *server;
    struct gtv_http_client *client;
    struct gtv_http_files *web, *hlsjs; // hlsjs may be NULL
    struct gtv_redis *redis;
    struct gtv_directory *directory;
    struct gtv_store *store;
    struct gtv_ingest *ingest;
    struct gtv_happenings *happenings;
    struct gtv_http_files *crops;     // NULL until the folder is there
    struct gtv_s3 *s3;                // the store behind it; NULL: there is none
    struct gtv_http_client *pictures; // with s3
};

extern const struct gtv_http_route gtv_console_routes[];
extern const size_t gtv_console_route_count;

// Appends to a page of metrics what is asked for when it is.
void gtv_console_write_sight(struct gtv_buf *out, void *user);

// Handlers of site.c: the page, and the player that it loads.
void gtv_site_handle(struct gtv_http_request *req, void *user);
void gtv_site_handle_vendor(struct gtv_http_request *req, void *user);

// Handlers of lists.c.
void gtv_handle_cameras(struct gtv_http_request *req, void *user);
void gtv_handle_camera(struct gtv_http_request *req, void *user);
void gtv_handle_detections(struct gtv_http_request *req, void *user);

// Handlers of events.c.
void gtv_handle_events(struct gtv_http_request *req, void *user);
void gtv_handle_alerts(struct gtv_http_request *req, void *user);
void gtv_handle_counts(struct gtv_http_request *req, void *user);
void gtv_handle_crop(struct gtv_http_request *req, void *user);

#endif
