// Answers that are posted to whoever asked for it. What is due lies in Redis: a callback is taken for
// TAKEN_MS, and when its process dies another takes it after that. The name is resolved and judged each time,
// and the judged address is the one that is dialled.
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/http/client.h"
#include "services/ai/jobs/internal.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    AT_ONCE = 16,
    ATTEMPTS = 10, // over about half an hour
    TAKEN_MS = 30000,
    FETCH_MS = 10000,
    BACKOFF_MS = 2000, // doubles, up to
    BACKOFF_MAX_MS = 600000,
    ANSWER_MAX = 64 * 1024,
};

struct gtv_callbacks {
    struct gtv_loop *loop;
    struct gtv_redis *redis;
    struct gtv_http_client *client;
    struct gtv_net_policy policy;
    struct gtv_log log;
    char *secret;
    bool asking;
    size_t running;
    struct call *calls;
    uint64_t jitter;
    struct gtv_counter *delivered, *failed, *given_up;
};

struct call {
    struct gtv_callbacks *callbacks; // NULL once they are gone; the resolver holds it then
    struct call *next;
    char *task, *url, *body;
    size_t body_len;
    int64_t attempt;
    bool resolving;
    uv_getaddrinfo_t req;
    struct gtv_cause cause; // as the answer tells it
};

static void free_call(struct call *call)
{
    free(call->task);
    free(call->url);
    free(call->body);
    free(call);
}

static void over(struct call *call, const char *failure)
{
    struct gtv_callbacks *c = call->callbacks;
    struct call **at = &c->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    c->running--;
    struct script_args args = {0};
    char when[24] = "";
    script_begin(&args, gtv_script_callback_settle);
    script_add(&args, gtv_str_of(call->task));
    if (!failure) {
        gtv_counter_add(c->delivered, 1);
    } else if (call->attempt >= ATTEMPTS) {
        gtv_counter_add(c->given_up, 1);
        gtv_log_warn(&c->log, "callback given up", "task=%s attempts=%lld cause=\"%s\"", call->task,
                     (long long)call->attempt, failure);
    } else {
        gtv_counter_add(c->failed, 1);
        int64_t wait = (int64_t)BACKOFF_MS << (call->attempt > 0 ? call->attempt - 1 : 0);
        wait = wait > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : wait;
        c->jitter = c->jitter * 6364136223846793005u + 1442695040888963407u;
        uint64_t quarter = (uint64_t)wait / 4;
        wait -= (int64_t)((c->jitter >> 33) % quarter);
        snprintf(when, sizeof(when), "%" PRId64, gtv_wall_ms() + wait);
        gtv_log_info(&c->log, "callback failed, trying again", "task=%s attempt=%lld in_ms=%lld cause=\"%s\"",
                     call->task, (long long)call->attempt, (long long)wait, failure);
    }
    script_add(&args, gtv_str_of(when));
    // Should it not arrive, the callback is taken again later: at least once, not once.
    (void)script_send(&args, c->redis, NULL, NULL);
    free_call(call);
}

static void answered(void *arg, const struct gtv_http_response *r, const struct gtv_error *err)
{
    struct call *call = arg;
    char text[64];
    if (r && !err && r->status >= 200 && r->status < 300) {
        over(call, NULL);
        return;
    }
    snprintf(text, sizeof(text), "status %d", r ? r->status : 0);
    over(call, err ? err->message : text);
}

static void sign(const char *secret, int64_t now_s, const struct call *call, char hex[65])
{
    uint8_t tag[EVP_MAX_MD_SIZE] = {0};
    unsigned n = 0;
    char *message = malloc(call->body_len + 24);
    if (!message)
        abort();
    int head = snprintf(message, 24, "%lld.", (long long)now_s);
    memcpy(message + head, call->body, call->body_len);
    if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)message,
              (size_t)head + call->body_len, tag, &n))
        abort();
    free(message);
    for (unsigned i = 0; i < 32; i++)
        snprintf(hex + (size_t)2 * i, 3, "%02x", tag[i]);
}

static void dial(struct call *call, const struct sockaddr *sa)
{
    struct gtv_callbacks *c = call->callbacks;
    char name[64] = "", address[72], hex[65] = "", task[200], stamp[64], signature[128], attempt[48];
    int64_t now_s = gtv_wall_ms() / 1000;
    (void)uv_ip_name(sa, name, sizeof(name));
    snprintf(address, sizeof(address), sa->sa_family == AF_INET6 ? "[%s]" : "%s", name);
    sign(c->secret, now_s, call, hex);
    snprintf(task, sizeof(task), "X-GTV-Task-Id: %s", call->task);
    snprintf(stamp, sizeof(stamp), "X-GTV-Timestamp: %lld", (long long)now_s);
    snprintf(signature, sizeof(signature), "X-GTV-Signature: sha256=%s", hex);
    snprintf(attempt, sizeof(attempt), "X-GTV-Attempt: %lld", (long long)call->attempt);
    const char *const headers[] = {"Content-Type: application/json", task, stamp, signature, attempt, NULL};
    (void)gtv_http_fetch(c->client,
                         &(struct gtv_http_fetch_options){
                             .method = "POST",
                             .url = call->url,
                             .address = address,
                             .headers = headers,
                             .cause = &call->cause,
                             .body = call->body,
                             .body_len = call->body_len,
                             .timeout_ms = FETCH_MS,
                             .max_body = ANSWER_MAX,
                         },
                         &(struct gtv_http_fetch_callbacks){.on_done = answered}, call);
}

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct call *call = req->data;
    struct gtv_callbacks *c = call->callbacks;
    call->resolving = false;
    if (!c) {
        free_call(call);
    } else if (status || !found) {
        over(call, "its name does not resolve");
    } else {
        const char *why = gtv_net_denied_any(&c->policy, found);
        char text[128];
        snprintf(text, sizeof(text), "its address is off-limits (%s): AI_CALLBACK_ALLOW", why ? why : "");
        if (why) {
            call->attempt = ATTEMPTS; // nothing that waiting would change
            over(call, text);
        } else {
            dial(call, found->ai_addr);
        }
    }
    uv_freeaddrinfo(found);
}

static void read_cause(struct call *call)
{
    yyjson_doc *doc = gtv_json_parse((struct gtv_str){call->body, call->body_len}, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gtv_str id = {0}, trace = {0};
    if (gtv_json_get_str(root, "request_id", GTV_JSON_OPTIONAL, &id, NULL))
        gtv_cause_set_request(&call->cause, id);
    if (!gtv_json_get_str(root, "traceparent", GTV_JSON_OPTIONAL, &trace, NULL) ||
        !gtv_cause_set_trace(&call->cause, trace))
        call->cause.trace[0] = '\0';
    yyjson_doc_free(doc);
}

static void begin(struct gtv_callbacks *c, const redisReply *r)
{
    struct gtv_str body = reply_str(reply_at(r, 2));
    struct call *call = GTV_NEW(struct call);
    call->callbacks = c;
    call->task = gtv_strndup(reply_str(reply_at(r, 0)));
    call->url = gtv_strndup(reply_str(reply_at(r, 1)));
    call->body = gtv_strndup(body);
    call->body_len = body.n;
    call->attempt = reply_int(reply_at(r, 3));
    read_cause(call);
    call->req.data = call;
    call->next = c->calls;
    c->calls = call;
    c->running++;
    struct gtv_url u;
    struct gtv_error err = {0};
    char host[256];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    if (!c->secret) {
        call->attempt = ATTEMPTS;
        over(call, "AI_CALLBACK_SECRET is not set");
    } else if (!gtv_job_url_check(gtv_str_of(call->url), &err) || !gtv_url_parse(gtv_str_of(call->url), &u) ||
               !gtv_str_copy(host, sizeof(host), u.host)) {
        call->attempt = ATTEMPTS;
        over(call, "it is no address");
    } else if (uv_getaddrinfo(gtv_loop_uv(c->loop), &call->req, resolved, host, NULL, &hints) != 0) {
        over(call, "its name cannot be resolved");
    } else {
        call->resolving = true;
    }
}

static void taken(void *arg, redisReply *reply)
{
    struct gtv_callbacks *c = arg;
    c->asking = false;
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return;
    for (size_t i = 0; i < reply->elements; i++)
        begin(c, reply->element[i]);
}

void gtv_callbacks_poll(struct gtv_callbacks *c)
{
    if (c->asking || c->running >= AT_ONCE || !c->secret)
        return;
    char now[24], count[24], until[24];
    struct script_args args = {0};
    script_begin(&args, gtv_script_callbacks_take);
    script_add_int(&args, gtv_wall_ms(), now);
    script_add_int(&args, (int64_t)(AT_ONCE - c->running), count);
    script_add_int(&args, gtv_wall_ms() + TAKEN_MS, until);
    c->asking = script_send(&args, c->redis, taken, c);
}

static struct gtv_counter *outcome(struct gtv_metrics *m, const char *label)
{
    return gtv_metrics_counter(m, "gtv_ai_callbacks_total", label,
                               "Attempts to call back, by what came of them.");
}

struct gtv_callbacks *gtv_callbacks_create(struct gtv_loop *loop, struct gtv_redis *redis,
                                           const struct gtv_jobs_config *config,
                                           const struct gtv_net_policy *policy)
{
    struct gtv_callbacks *c = GTV_NEW(struct gtv_callbacks);
    c->loop = loop;
    c->redis = redis;
    c->client = gtv_http_client_create(loop, AT_ONCE);
    c->policy = *policy;
    c->log = (struct gtv_log){.component = "jobs"};
    c->secret = gtv_strdup(config->callback_secret);
    c->jitter = (uint64_t)gtv_mono_ns();
    c->delivered = outcome(config->metrics, "outcome=\"delivered\"");
    c->failed = outcome(config->metrics, "outcome=\"failed\"");
    c->given_up = outcome(config->metrics, "outcome=\"given_up\"");
    return c;
}

void gtv_callbacks_destroy(struct gtv_callbacks *c)
{
    if (!c)
        return;
    gtv_http_client_destroy(c->client); // its calls are not told any more
    while (c->calls) {
        struct call *call = c->calls;
        c->calls = call->next;
        call->callbacks = NULL;
        // One that is being resolved is freed there, also when the loop ends.
        if (call->resolving)
            (void)uv_cancel((uv_req_t *)&call->req);
        else
            free_call(call);
    }
    free(c->secret);
    free(c);
}
