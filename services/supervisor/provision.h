// Makes the cameras known, through the door like every client, and waits for the first picture. Loop thread
// only; the callbacks come once, never before the start function returned.
#ifndef GTV_SUPERVISOR_PROVISION_H
#define GTV_SUPERVISOR_PROVISION_H

#include "services/supervisor/plan.h"

#include "lib/http/client.h"

struct provision;
// Posts each camera of the plan until it is accepted, or refused for a reason that will not go away (which is
// logged in words). Without a demo, the demo that an earlier run left in this data folder is taken out.
// accepted: how many are provisioned.
struct provision *provision_start(struct gtv_loop *loop, struct gtv_http_client *client,
                                  const struct plan *plan, void (*done)(void *arg, size_t accepted),
                                  void *arg);
void provision_destroy(struct provision *p); // NULL is accepted

// The body of POST /cameras/provision. Allocated.
char *provision_body(const struct plan_camera *camera);

struct playable;
// Watches the camera's playlist through the door until it names a segment. playable: false at the limit.
struct playable *playable_start(struct gtv_loop *loop, struct gtv_http_client *client, const char *door_url,
                                int camera_id, int64_t limit_ms, void (*done)(void *arg, bool playable),
                                void *arg);
void playable_destroy(struct playable *p); // NULL is accepted

// What a playlist says next: it has a segment; or look at this variant of it (a slice); or neither.
bool playlist_has_segment(struct gtv_str playlist);
struct gtv_str playlist_first_variant(struct gtv_str playlist);

#endif
