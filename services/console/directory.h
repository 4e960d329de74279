// What the console knows of the cameras besides their settings: their names, and how they are, as the
// streaming service says it. Asked every few seconds, corrected by status events in between. Loop thread
// only.
#ifndef GTV_CONSOLE_DIRECTORY_H
#define GTV_CONSOLE_DIRECTORY_H

#include "lib/contract/contract.h"
#include "lib/http/client.h"

enum {
    GTV_DIRECTORY_MAX = 4096,        // cameras; more are not known by name
    GTV_DIRECTORY_EVERY_MS = 3000,   // between two questions
    GTV_DIRECTORY_FORGET_MS = 15000, // unanswered for so long: how the cameras are is unknown
};

struct gtv_camera_state {
    char name[GTV_CAMERA_NAME_MAX + 1];
    char state[16]; // idle, connecting, connected, disconnected, unknown
    char cause[200], cause_code[32];
};

struct gtv_directory;

// url: of the streaming service. client must outlive the directory.
struct gtv_directory *gtv_directory_create(struct gtv_loop *loop, struct gtv_http_client *client,
                                           const char *url);
void gtv_directory_destroy(struct gtv_directory *d);
// Never fails: what is not known is empty, the state then "unknown".
void gtv_directory_get(const struct gtv_directory *d, int64_t camera_id, struct gtv_camera_state *out);
void gtv_directory_put_name(struct gtv_directory *d, int64_t camera_id, const char *name);
// data of a status event, or one camera of GET /cameras; anything else is passed over.
void gtv_directory_put_status(struct gtv_directory *d, yyjson_val *data);
// An answer of GET /cameras: {"cameras":[...]}.
void gtv_directory_put_answer(struct gtv_directory *d, struct gtv_str json);

#endif
