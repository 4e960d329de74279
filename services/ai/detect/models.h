// The network in use and its replacement: GET /models, POST /models/reload. On the loop's thread but for the
// loading, which has a thread of its own as long as it lasts.
#ifndef GTV_AI_MODELS_H
#define GTV_AI_MODELS_H

#include "lib/http/server.h"
#include "services/ai/network/detector.h"

struct gtv_ai;
struct gtv_ai_models;
struct gtv_plates;
struct gtv_plates;

// What main.c begins with: the network of the settings, loaded here and now. ai->runtime is set; the
// reference is the caller's.
struct gtv_detector *gtv_ai_models_begin(struct gtv_ai *ai, size_t workers);
// The networks that read plates, as the settings want them; the caller's. Any thread.
struct gtv_plates *gtv_ai_models_plates(struct gtv_ai *ai, size_t workers);
// Waits for a load in progress; nothing is swapped afterwards. Before the engine ends.
void gtv_ai_models_stop(struct gtv_ai_models *m);
void gtv_ai_models_destroy(struct gtv_ai_models *m); // after the loop's last posts; NULL is accepted

void gtv_ai_handle_models(struct gtv_http_request *req, void *user);
void gtv_ai_handle_reload(struct gtv_http_request *req, void *user);

#endif
