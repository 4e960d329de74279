// What belongs to the operator: the whole desired state with its passwords, and the media nodes. With
// GTV_ADMIN_KEY set it is asked for as "Authorization: Bearer KEY".
#ifndef GTV_STREAMING_ADMIN_H
#define GTV_STREAMING_ADMIN_H

#include "services/streaming/app.h"

enum gtv_admin { GTV_ADMIN_NO_KEY, GTV_ADMIN_NOBODY, GTV_ADMIN_WRONG, GTV_ADMIN_RIGHT };

// NO_KEY: none is configured. NOBODY: no bearer was sent. The comparison's time does not tell how much of the
// key was right.
enum gtv_admin gtv_admin_of(struct gtv_http_request *req, const struct gtv_app *app);
// Lets pass where no key is configured or the right one was sent; else false, and answered 401.
bool gtv_admin_required(struct gtv_http_request *req, const struct gtv_app *app) GTV_WARN_UNUSED;

// Routes on any loop.
void gtv_handle_export(struct gtv_http_request *req, void *worker);
void gtv_handle_nodes(struct gtv_http_request *req, void *worker);
void gtv_handle_drain(struct gtv_http_request *req, void *worker);
void gtv_handle_undrain(struct gtv_http_request *req, void *worker);
void gtv_handle_gaps(struct gtv_http_request *req, void *worker);
void gtv_handle_last_frame(struct gtv_http_request *req, void *worker);

#endif
