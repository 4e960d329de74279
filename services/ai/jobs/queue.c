// GET /queue and the dead letters.
#include "lib/base/clock.h"
#include "services/ai/jobs/internal.h"

enum { DEAD_DEFAULT = 50, DEAD_LISTED_MAX = 500 };

static void described(struct gtv_jobs *j, struct gtv_http_request *req, void *user, redisReply *reply)
{
    (void)user;
    int64_t length = reply_int(reply_at(reply, 0)), running = reply_int(reply_at(reply, 1));
    struct gtv_str oldest = reply_str(reply_at(reply, 3));
    int64_t began = gtv_job_entry_time(oldest), now = gtv_wall_ms();
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_int(doc, o, "length", length);
    yyjson_mut_obj_add_int(doc, o, "waiting", length > running ? length - running : 0);
    yyjson_mut_obj_add_int(doc, o, "running", running);
    yyjson_mut_obj_add_int(doc, o, "delivered", reply_int(reply_at(reply, 6)));
    yyjson_mut_obj_add_int(doc, o, "consumers", reply_int(reply_at(reply, 2)));
    yyjson_mut_obj_add_real(doc, o, "oldest_age_seconds",
                            oldest.n && now > began ? (double)(now - began) / 1000 : 0);
    yyjson_mut_obj_add_int(doc, o, "dead", reply_int(reply_at(reply, 4)));
    yyjson_mut_obj_add_int(doc, o, "callbacks", reply_int(reply_at(reply, 5)));
    yyjson_mut_val *limits = yyjson_mut_obj_add_obj(doc, o, "limits");
    yyjson_mut_obj_add_int(doc, limits, "length", j->config.max_queue);
    yyjson_mut_obj_add_int(doc, limits, "dead", GTV_JOBS_DEAD_MAX);
    yyjson_mut_obj_add_int(doc, limits, "deaths", GTV_JOBS_DEATHS_MAX);
    yyjson_mut_obj_add_int(doc, limits, "result_ttl_seconds", gtv_live_int(j->config.result_ttl));
    yyjson_mut_obj_add_int(doc, limits, "picture_bytes", GTV_JOB_PICTURE_MAX);
    gtv_reply_json(req, 200, doc);
}

void gtv_jobs_queue(struct gtv_jobs *j, struct gtv_http_request *req)
{
    if (!gtv_jobs_up(j)) {
        jobs_unavailable(j, req);
        return;
    }
    struct script_args args = {0};
    script_begin(&args, gtv_script_queue);
    jobs_ask(j, req, &args, described, NULL, NULL);
}

// ---- Dead letters ----

// Fields are whatever a producer wrote: text that is none is not passed on.
static void add_text(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name, struct gtv_str s)
{
    if (s.n && gtv_utf8_valid(s))
        yyjson_mut_obj_add_strncpy(doc, o, name, s.p, s.n);
    else
        yyjson_mut_obj_add_null(doc, o, name);
}

static void add_number(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name, struct gtv_str s)
{
    int64_t n;
    if (gtv_parse_int(s, 0, INT64_MAX, &n))
        yyjson_mut_obj_add_int(doc, o, name, n);
    else
        yyjson_mut_obj_add_null(doc, o, name);
}

static struct gtv_str field(const redisReply *fields, const char *name)
{
    size_t n = fields && fields->type == REDIS_REPLY_ARRAY ? fields->elements : 0;
    for (size_t i = 0; i + 1 < n; i += 2)
        if (gtv_str_eq(reply_str(fields->element[i]), gtv_str_of(name)))
            return reply_str(fields->element[i + 1]);
    return (struct gtv_str){0};
}

static void listed(struct gtv_jobs *j, struct gtv_http_request *req, void *user, redisReply *reply)
{
    (void)j;
    (void)user;
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "dead");
    size_t n = reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
    for (size_t i = 0; i < n; i++) {
        const redisReply *e = reply->element[i], *f = reply_at(e, 2);
        yyjson_mut_val *d = yyjson_mut_arr_add_obj(doc, list);
        int64_t at = 0;
        add_text(doc, d, "id", reply_str(reply_at(e, 0)));
        add_text(doc, d, "task_id", field(f, "dead:task"));
        add_text(doc, d, "cause", field(f, "dead:cause"));
        add_number(doc, d, "deaths", field(f, "dead:deaths"));
        if (!gtv_parse_int(field(f, "dead:at_ms"), 0, INT64_MAX, &at))
            at = 0;
        gtv_json_add_time(doc, d, "died_at", at);
        add_number(doc, d, "camera_id", field(f, "camera_id"));
        yyjson_mut_obj_add_int(doc, d, "picture_bytes", reply_int(reply_at(e, 1)));
    }
    gtv_reply_json(req, 200, doc);
}

void gtv_jobs_dead(struct gtv_jobs *j, struct gtv_http_request *req)
{
    int64_t limit = DEAD_DEFAULT;
    struct gtv_str text = gtv_http_query(req, "limit"), before = gtv_http_query(req, "before");
    char id[GTV_JOB_ID_CAP], from[GTV_JOB_ID_CAP + 1] = "+", count[24];
    if (!gtv_jobs_up(j)) {
        jobs_unavailable(j, req);
        return;
    }
    if (text.p && !gtv_parse_int(text, 1, DEAD_LISTED_MAX, &limit)) {
        gtv_reply_error(req, GTV_E_INVALID, "limit", "limit must be a number from 1 to 500");
        return;
    }
    if (before.p) {
        if (!gtv_job_task_entry(before, id) || !gtv_str_eq(before, gtv_str_of(id))) {
            gtv_reply_error(req, GTV_E_INVALID, "before", "before must be the id of a dead letter");
            return;
        }
        snprintf(from, sizeof(from), "(%s", id);
    }
    struct script_args args = {0};
    script_begin(&args, gtv_script_dead_list);
    script_add_int(&args, limit, count);
    script_add(&args, gtv_str_of(from));
    jobs_ask(j, req, &args, listed, NULL, NULL);
}

// The letter's id from the path. False: the request was answered.
static bool read_id(struct gtv_jobs *j, struct gtv_http_request *req, struct gtv_str *letter)
{
    char id[GTV_JOB_ID_CAP];
    *letter = gtv_http_param(req, "id");
    if (!gtv_jobs_up(j)) {
        jobs_unavailable(j, req);
        return false;
    }
    if (!gtv_job_task_entry(*letter, id) || !gtv_str_eq(*letter, gtv_str_of(id))) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "There is no such dead letter");
        return false;
    }
    return true;
}

static void requeued(struct gtv_jobs *j, struct gtv_http_request *req, void *user, redisReply *reply)
{
    struct gtv_str what = reply_str(reply_at(reply, 0));
    struct gtv_error err = {0};
    (void)user;
    if (gtv_str_eq(what, GTV_STR("new"))) {
        yyjson_mut_val *o;
        yyjson_mut_doc *doc = gtv_json_object(&o);
        add_text(doc, o, "task_id", reply_str(reply_at(reply, 2)));
        add_text(doc, o, "entry", reply_str(reply_at(reply, 1)));
        gtv_reply_json(req, 200, doc);
    } else if (gtv_str_eq(what, GTV_STR("full"))) {
        gtv_error_set(&err, GTV_E_TOO_MANY, NULL, "The queue is full: %lld jobs wait or run",
                      (long long)j->config.max_queue);
        gtv_reply_error_later(req, &err, 1);
    } else {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "There is no such dead letter");
    }
}

void gtv_jobs_requeue(struct gtv_jobs *j, struct gtv_http_request *req)
{
    struct gtv_str letter;
    char max[24];
    if (!read_id(j, req, &letter))
        return;
    struct script_args args = {0};
    script_begin(&args, gtv_script_requeue);
    script_add(&args, letter);
    script_add_int(&args, j->config.max_queue, max);
    jobs_ask(j, req, &args, requeued, NULL, NULL);
}

static void removed(struct gtv_jobs *j, struct gtv_http_request *req, void *user, redisReply *reply)
{
    (void)j;
    (void)user;
    if (reply_int(reply) != 1) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "There is no such dead letter");
        return;
    }
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_bool(doc, o, "success", true);
    gtv_reply_json(req, 200, doc);
}

void gtv_jobs_bury(struct gtv_jobs *j, struct gtv_http_request *req)
{
    struct gtv_str letter;
    if (!read_id(j, req, &letter))
        return;
    struct script_args args = {0};
    script_add(&args, GTV_STR("XDEL"));
    script_add(&args, GTV_STR(GTV_JOBS_DEAD));
    script_add(&args, letter);
    jobs_ask(j, req, &args, removed, NULL, NULL);
}
