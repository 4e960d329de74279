// POST /detect/async: body -> fields of an entry -> (the callback's address is resolved and judged) -> Redis.
// The picture itself is looked at by the worker.
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "services/ai/jobs/internal.h"
#include "services/ai/picture/base64.h"
#include "services/ai/picture/multipart.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    KEY_MAX = 255,         // of Idempotency-Key
    BIG_BYTES = 32 * 1024, // pictures from which a second question costs Redis less than to hash them
};

struct submission {
    struct gtv_jobs *jobs;
    struct gtv_http_request *req;
    char *body;       // taken from the request
    uint8_t *decoded; // of base64
    yyjson_doc *doc;  // its strings lie in body
    struct gtv_str picture;
    int64_t camera_id;
    struct gtv_exam_options options; // confidence < 0: not given
    struct gtv_str callback_url;
    char nonce[17], digest[65], key[65]; // digest empty without an Idempotency-Key
    uv_getaddrinfo_t resolve;
};

static void free_submission(void *user)
{
    struct submission *s = user;
    yyjson_doc_free(s->doc);
    free(s->decoded);
    free(s->body);
    free(s);
}

static void refuse(struct submission *s, const struct gtv_error *err)
{
    if (err->code == GTV_E_INVALID)
        gtv_reply_invalid(s->req, err);
    else
        gtv_reply_error_from(s->req, err);
    free_submission(s);
}

// ---- Into Redis ----

static void reply_task(struct gtv_http_request *req, struct gtv_str task)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_strncpy(doc, o, "task_id", task.p, task.n);
    gtv_reply_json(req, 200, doc);
}

static void reply_full(struct gtv_http_request *req, int64_t length)
{
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_TOO_MANY, NULL, "The queue is full: %lld jobs wait or run", (long long)length);
    gtv_reply_error_later(req, &err, 1);
}

static void stored(struct gtv_jobs *j, struct gtv_http_request *req, void *user, redisReply *reply)
{
    struct submission *s = user;
    struct gtv_str what = reply_str(reply_at(reply, 0)), id = reply_str(reply_at(reply, 1));
    struct gtv_error err = {0};
    (void)j;
    if (gtv_str_eq(what, GTV_STR("new"))) {
        char task[GTV_JOB_TASK_MAX + 1];
        int n = snprintf(task, sizeof(task), GTV_STR_FMT "-%s", GTV_STR_ARG(id), s->nonce);
        reply_task(req, (struct gtv_str){task, (size_t)n});
    } else if (gtv_str_eq(what, GTV_STR("same"))) {
        reply_task(req, id);
    } else if (gtv_str_eq(what, GTV_STR("other"))) {
        gtv_error_set(&err, GTV_E_CONFLICT, "Idempotency-Key",
                      "This Idempotency-Key was used with another request less than an hour ago");
        gtv_reply_error_from(req, &err);
    } else {
        reply_full(req, reply_int(reply_at(reply, 1)));
    }
}

// What is in the stream and not yet in the index.
struct added {
    char task[GTV_JOB_TASK_MAX + 1];
};

static void placed(struct gtv_jobs *j, struct gtv_http_request *req, void *user, redisReply *reply)
{
    const struct added *a = user;
    j->length = reply_int(reply_at(reply, 1));
    if (gtv_str_eq(reply_str(reply_at(reply, 0)), GTV_STR("new")))
        reply_task(req, gtv_str_of(a->task));
    else
        reply_full(req, j->length);
}

static void added(struct gtv_jobs *j, struct gtv_http_request *req, void *user, redisReply *reply)
{
    const struct submission *s = user;
    struct gtv_str id = reply_str(reply), rest = id, ms = gtv_str_cut(&rest, '-');
    int64_t milliseconds = 0, sequence = 0;
    char max[24], place[48];
    if (id.n >= GTV_JOB_ID_CAP || !gtv_parse_int(ms, 0, INT64_MAX, &milliseconds) ||
        !gtv_parse_int(rest, 0, INT64_MAX, &sequence)) { // of another server than Redis
        jobs_unavailable(j, req);
        return;
    }
    struct added *a = GTV_NEW(struct added);
    snprintf(a->task, sizeof(a->task), GTV_STR_FMT "-%s", GTV_STR_ARG(id), s->nonce);
    // As the script of gtv_script_submit has it.
    snprintf(place, sizeof(place), "%.17g",
             (double)milliseconds + (double)(sequence < 4095 ? sequence : 4095) / 4096);
    struct script_args args = {0};
    script_begin(&args, gtv_script_added);
    script_add_int(&args, j->config.max_queue, max);
    script_add(&args, id);
    script_add(&args, gtv_str_of(place));
    script_add(&args, gtv_str_of(a->task));
    jobs_ask(j, req, &args, placed, a, free);
}

static void class_names(uint32_t bits, char out[64])
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < GTV_VEHICLE_COUNT; i++)
        if (bits & (1u << i))
            at += (size_t)snprintf(out + at, 64 - at, "%s%s", at ? "," : "", gtv_vehicle_names[i]);
}

static void add_field(struct script_args *a, const char *name, struct gtv_str value)
{
    script_add(a, gtv_str_of(name));
    script_add(a, value);
}

// Whether the entry is added first and judged afterwards: a big one, but not with a key, and not where the
// queue may well be full.
static bool may_just_add(const struct submission *s)
{
    const struct gtv_jobs *j = s->jobs;
    return s->picture.n >= BIG_BYTES && !s->digest[0] &&
           j->length + (int64_t)j->ask_count < j->config.max_queue - j->config.max_queue / 4;
}

static void store(struct submission *s)
{
    struct script_args a = {0};
    char max[24], life[24], camera[24], now[24], confidence[32], classes[64];
    bool just_add = may_just_add(s);
    if (just_add) {
        script_add(&a, GTV_STR("XADD"));
        script_add(&a, GTV_STR(GTV_JOBS_STREAM));
        script_add(&a, GTV_STR("*"));
    } else {
        script_begin(&a, gtv_script_submit);
        script_add_int(&a, s->jobs->config.max_queue, max);
        script_add(&a, gtv_str_of(s->digest));
        script_add(&a, gtv_str_of(s->key));
        script_add_int(&a, GTV_JOBS_IDEMPOTENCY_S, life);
        script_add(&a, gtv_str_of(s->nonce));
    }
    add_field(&a, "picture", s->picture);
    script_add(&a, GTV_STR("camera_id"));
    script_add_int(&a, s->camera_id, camera);
    script_add(&a, GTV_STR("enqueued_ms"));
    script_add_int(&a, gtv_wall_ms(), now);
    add_field(&a, "nonce", gtv_str_of(s->nonce));
    if (s->options.confidence >= 0) {
        snprintf(confidence, sizeof(confidence), "%.6g", s->options.confidence);
        add_field(&a, "confidence", gtv_str_of(confidence));
    }
    if (s->options.vehicles) {
        class_names(s->options.vehicles, classes);
        add_field(&a, "classes", gtv_str_of(classes));
    }
    if (s->options.annotate)
        add_field(&a, "annotate", GTV_STR("1"));
    if (s->options.no_plates)
        add_field(&a, "plates", GTV_STR("0"));
    if (s->callback_url.n)
        add_field(&a, "callback_url", s->callback_url);
    const struct gtv_cause *cause = gtv_http_cause(s->req);
    char traceparent[GTV_TRACEPARENT_CAP];
    add_field(&a, "request_id", gtv_str_of(cause->request));
    if (gtv_cause_traceparent(cause, traceparent))
        add_field(&a, "traceparent", gtv_str_of(traceparent));
    jobs_ask(s->jobs, s->req, &a, just_add ? added : stored, s, free_submission);
}

// ---- The callback's address ----

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct submission *s = req->data;
    struct gtv_error err = {0};
    const char *why = status || !found ? NULL : gtv_net_denied_any(&s->jobs->policy, found);
    if (status || !found)
        gtv_error_set(&err, GTV_E_INVALID, "callback_url", "The name in callback_url does not resolve");
    else if (why)
        gtv_error_set(
            &err, GTV_E_INVALID, "callback_url",
            "callback_url's address is off-limits (%s); the operator can allow it with AI_CALLBACK_ALLOW",
            why);
    uv_freeaddrinfo(found);
    if (s->jobs->stopping) {
        jobs_unavailable(s->jobs, s->req);
        free_submission(s);
    } else if (err.code) {
        refuse(s, &err);
    } else {
        store(s);
    }
}

static void judge_callback(struct submission *s)
{
    struct gtv_error err = {0};
    struct gtv_url u;
    char host[256];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    s->resolve.data = s;
    if (!s->jobs->config.callback_secret)
        gtv_error_set(&err, GTV_E_INVALID, "callback_url",
                      "callbacks are off here: the operator has to set AI_CALLBACK_SECRET, which signs them");
    else if (gtv_job_url_check(s->callback_url, &err) &&
             (!gtv_url_parse(s->callback_url, &u) || !gtv_str_copy(host, sizeof(host), u.host)))
        gtv_error_set(&err, GTV_E_INVALID, "callback_url", "callback_url must be an http or https address");
    else if (!err.code && uv_getaddrinfo(gtv_loop_uv(s->jobs->config.loop), &s->resolve, resolved, host, NULL,
                                         &hints) != 0)
        gtv_error_set(&err, GTV_E_INVALID, "callback_url", "The name in callback_url cannot be resolved");
    if (err.code)
        refuse(s, &err);
}

// ---- The body ----

static bool read_json(struct submission *s, size_t len, struct gtv_error *err)
{
    s->doc = gtv_json_parse_in_place(s->body, len, err);
    if (!s->doc)
        return false;
    yyjson_val *root = yyjson_doc_get_root(s->doc);
    struct gtv_str text = {0};
    size_t n = 0;
    if (!yyjson_is_obj(root)) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "The body must be a JSON object");
        return false;
    }
    if (!gtv_json_get_int(root, "camera_id", GTV_JSON_REQUIRED, 0, INT64_MAX, &s->camera_id, err) ||
        !gtv_json_get_str(root, "image_base64", GTV_JSON_REQUIRED, &text, err) ||
        !gtv_json_get_str(root, "callback_url", GTV_JSON_OPTIONAL, &s->callback_url, err) ||
        !gtv_exam_options_json(root, &s->options, err))
        return false;
    if (!gtv_base64_decode(text, &s->decoded, &n, err)) {
        snprintf(err->field, sizeof(err->field), "image_base64");
        return false;
    }
    s->picture = (struct gtv_str){(const char *)s->decoded, n};
    return true;
}

static bool read_query(struct submission *s, struct gtv_error *err)
{
    struct gtv_str id = gtv_http_query(s->req, "camera_id");
    if (!gtv_parse_int(id, 0, INT64_MAX, &s->camera_id)) {
        gtv_error_set(err, GTV_E_INVALID, "camera_id",
                      id.p ? "camera_id must be a whole number" : "camera_id is missing in the query");
        return false;
    }
    s->callback_url = gtv_http_query(s->req, "callback_url");
    return gtv_exam_options_query(s->req, &s->options, err);
}

static bool read_body(struct submission *s, size_t len, struct gtv_error *err)
{
    struct gtv_str whole = gtv_http_header(s->req, "content-type"), rest = whole;
    struct gtv_str type = gtv_str_trim(gtv_str_cut(&rest, ';')), body = {s->body, len};
    const char *field = "image_base64";
    bool ok;
    if (type.n == 0 || gtv_str_ieq(type, GTV_STR("application/json")) ||
        gtv_str_ends(type, GTV_STR("+json"))) {
        ok = read_json(s, len, err);
    } else if (gtv_str_ieq(type, GTV_STR("multipart/form-data"))) {
        field = "file";
        ok = read_query(s, err) && gtv_multipart_find(whole, body, "file", &s->picture, err);
    } else if (gtv_str_starts(type, GTV_STR("image/")) ||
               gtv_str_ieq(type, GTV_STR("application/octet-stream"))) {
        field = "body";
        s->picture = body;
        ok = read_query(s, err);
    } else {
        gtv_error_set(err, GTV_E_UNSUPPORTED, "content-type",
                      "Content-Type must be application/json, image/... or multipart/form-data");
        return false;
    }
    if (ok && !s->picture.n) {
        gtv_error_set(err, GTV_E_INVALID, field, "The picture is empty");
        ok = false;
    }
    return ok;
}

// ---- Idempotency-Key ----

static void hex(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void digest(const struct gtv_str *parts, size_t count, char out[65])
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; ok && i < count; i++)
        ok = EVP_DigestUpdate(ctx, parts[i].p ? parts[i].p : "", parts[i].n) == 1 &&
             EVP_DigestUpdate(ctx, "\n", 1) == 1;
    if (!ok || EVP_DigestFinal_ex(ctx, sum, &n) != 1 || n != 32)
        abort(); // libcrypto without SHA-256 or memory
    EVP_MD_CTX_free(ctx);
    hex(sum, 32, out);
}

static bool read_key(struct submission *s, size_t len, struct gtv_error *err)
{
    struct gtv_str key = gtv_http_header(s->req, "idempotency-key");
    if (!key.p)
        return true;
    if (key.n == 0 || key.n > KEY_MAX) {
        gtv_error_set(err, GTV_E_INVALID, "Idempotency-Key", "Idempotency-Key must have 1 to %d characters",
                      KEY_MAX);
        return false;
    }
    const struct gtv_str parts[] = {
        gtv_http_header(s->req, "content-type"), gtv_http_query_string(s->req), {s->body, len}};
    digest(parts, 3, s->digest);
    digest(&key, 1, s->key);
    return true;
}

static bool has_network(struct gtv_jobs *j, struct gtv_error *err)
{
    struct gtv_detector *d = gtv_engine_detector(j->config.engine);
    bool ok = gtv_detector_model(d) != NULL;
    if (!ok)
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "%s", gtv_detector_message(d));
    gtv_detector_unref(d);
    return ok;
}

void gtv_jobs_submit(struct gtv_jobs *j, struct gtv_http_request *req)
{
    struct gtv_error err = {0};
    if (!gtv_jobs_up(j) || j->stopping) {
        jobs_unavailable(j, req);
        return;
    }
    if (!has_network(j, &err)) {
        gtv_reply_error_from(req, &err);
        return;
    }
    struct submission *s = GTV_NEW(struct submission);
    uint8_t random[8];
    size_t len = 0;
    s->jobs = j;
    s->req = req;
    s->options.confidence = -1;
    s->body = gtv_http_take_body(req, &len);
    if (!s->body)
        gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "there is no memory for this request");
    else if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        gtv_error_set(&err, GTV_E_INTERNAL, NULL, NULL);
    // The key first: parsing JSON changes the body.
    if (err.code || !read_key(s, len, &err) || !read_body(s, len, &err)) {
        refuse(s, &err);
        return;
    }
    hex(random, sizeof(random), s->nonce);
    if (s->callback_url.n)
        judge_callback(s);
    else
        store(s);
}
