#include "services/ai/jobs/entry.h"

#include "lib/base/url.h"

#include <stdio.h>

// Both numbers of an entry's id, in their one canonical form; *rest is what follows.
static bool cut_id(struct gtv_str s, struct gtv_str *id, struct gtv_str *rest)
{
    size_t at = 0;
    for (int part = 0; part < 2; part++) {
        size_t begin = at;
        while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
            at++;
        int64_t number;
        if (at == begin || (s.p[begin] == '0' && at > begin + 1) ||
            !gtv_parse_int((struct gtv_str){s.p + begin, at - begin}, 0, INT64_MAX, &number))
            return false;
        if (part == 0 && (at == s.n || s.p[at++] != '-'))
            return false;
    }
    *id = (struct gtv_str){s.p, at};
    *rest = (struct gtv_str){s.p + at, s.n - at};
    return true;
}

int64_t gtv_job_entry_time(struct gtv_str id)
{
    int64_t ms = 0;
    if (!gtv_parse_int(gtv_str_cut(&id, '-'), 0, INT64_MAX, &ms))
        return 0;
    return ms;
}

static bool task_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == ':' || c == '-';
}

bool gtv_job_task_valid(struct gtv_str task)
{
    for (size_t i = 0; i < task.n; i++)
        if (!task_character(task.p[i]))
            return false;
    return task.n > 0 && task.n <= GTV_JOB_TASK_MAX;
}

bool gtv_job_task_entry(struct gtv_str task, char id[GTV_JOB_ID_CAP])
{
    struct gtv_str entry, rest;
    id[0] = '\0';
    if (!gtv_job_task_valid(task) || !cut_id(task, &entry, &rest))
        return false;
    if (rest.n && (rest.p[0] != '-' || rest.n < 2 || rest.n > GTV_JOB_NONCE_MAX + 1))
        return false;
    return gtv_str_copy(id, GTV_JOB_ID_CAP, entry);
}

bool gtv_job_url_check(struct gtv_str url, struct gtv_error *err)
{
    struct gtv_url u;
    const char *wrong = NULL;
    if (url.n > GTV_JOB_URL_MAX)
        wrong = "callback_url may have 1,024 bytes at most";
    else if (!gtv_url_parse(url, &u) || gtv_str_find(url, '#') >= 0 ||
             (!gtv_str_ieq(u.scheme, GTV_STR("http")) && !gtv_str_ieq(u.scheme, GTV_STR("https"))))
        wrong = "callback_url must be an http or https address";
    else if (u.has_user || u.has_pass)
        wrong = "callback_url may not carry a user or a password: the signature says who calls";
    if (wrong)
        gtv_error_set(err, GTV_E_INVALID, "callback_url", "%s", wrong);
    return !wrong;
}

// ---- Fields ----

static bool field_number(const char *name, struct gtv_str v, int64_t *out, struct gtv_error *err)
{
    if (gtv_parse_int(v, 0, INT64_MAX, out))
        return true;
    gtv_error_set(err, GTV_E_INVALID, name, "%s must be a whole number from 0", name);
    return false;
}

static bool field_classes(struct gtv_str v, uint32_t *bits, struct gtv_error *err)
{
    uint32_t found = 0;
    while (v.n) {
        struct gtv_str name = gtv_str_trim(gtv_str_cut(&v, ','));
        int i = 0;
        while (i < GTV_VEHICLE_COUNT && !gtv_str_eq(name, gtv_str_of(gtv_vehicle_names[i])))
            i++;
        if (i == GTV_VEHICLE_COUNT) {
            gtv_error_set(err, GTV_E_INVALID, "classes",
                          "classes may name car, motorcycle, bus and truck, separated by commas");
            return false;
        }
        found |= 1u << i;
    }
    *bits = found;
    return true;
}

// False only with *err set; fields that are unknown are passed over.
static bool read_field(struct gtv_str name, struct gtv_str v, struct gtv_job_entry *out,
                       struct gtv_error *err)
{
    if (gtv_str_eq(name, GTV_STR("picture")) || gtv_str_eq(name, GTV_STR("image_base64"))) {
        if (out->picture.p) {
            gtv_error_set(err, GTV_E_INVALID, "picture", "there is more than one picture");
            return false;
        }
        out->picture = v;
        out->base64 = name.p[0] == 'i';
        return true;
    }
    if (gtv_str_eq(name, GTV_STR("camera_id")))
        return field_number("camera_id", v, &out->camera_id, err);
    if (gtv_str_eq(name, GTV_STR("enqueued_ms")))
        return field_number("enqueued_ms", v, &out->enqueued_ms, err);
    if (gtv_str_eq(name, GTV_STR("classes")))
        return field_classes(v, &out->options.vehicles, err);
    if (gtv_str_eq(name, GTV_STR("confidence"))) {
        if (gtv_parse_double(v, 0, 1, &out->options.confidence))
            return true;
        gtv_error_set(err, GTV_E_INVALID, "confidence", "confidence must be a number from 0 to 1");
        return false;
    }
    if (gtv_str_eq(name, GTV_STR("annotate"))) {
        if (gtv_parse_bool(v, &out->options.annotate))
            return true;
        gtv_error_set(err, GTV_E_INVALID, "annotate", "annotate must be 1 or 0");
        return false;
    }
    if (gtv_str_eq(name, GTV_STR("plates"))) {
        bool plates = true;
        if (!gtv_parse_bool(v, &plates)) {
            gtv_error_set(err, GTV_E_INVALID, "plates", "plates must be 1 or 0");
            return false;
        }
        out->options.no_plates = !plates;
    }
    // What is wrong about these makes no job wrong.
    if (gtv_str_eq(name, GTV_STR("request_id")))
        gtv_cause_set_request(&out->cause, v);
    else if (gtv_str_eq(name, GTV_STR("traceparent")) && !gtv_cause_set_trace(&out->cause, v))
        out->cause.trace[0] = '\0';
    return true;
}

// Who is to be answered, and where: before all that may be wrong.
static bool read_identity(const struct gtv_str *fields, size_t count, struct gtv_job_entry *out,
                          struct gtv_error *err)
{
    struct gtv_str task = {0}, nonce = {0}, url = {0};
    for (size_t i = 0; i + 1 < count; i += 2) {
        if (gtv_str_eq(fields[i], GTV_STR("task_id")))
            task = fields[i + 1];
        else if (gtv_str_eq(fields[i], GTV_STR("nonce")))
            nonce = fields[i + 1];
        else if (gtv_str_eq(fields[i], GTV_STR("callback_url")))
            url = fields[i + 1];
    }
    bool named = task.p && gtv_job_task_valid(task);
    if (named)
        memcpy(out->task, task.p, task.n); // zeroed behind it
    else if (nonce.p && nonce.n <= GTV_JOB_NONCE_MAX && gtv_job_task_valid(nonce))
        snprintf(out->task, sizeof(out->task), "%s-" GTV_STR_FMT, out->id, GTV_STR_ARG(nonce));
    else
        memcpy(out->task, out->id, sizeof(out->id));
    if (task.p && !named) {
        gtv_error_set(err, GTV_E_INVALID, "task_id",
                      "task_id must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -");
        return false;
    }
    if (url.n && !gtv_job_url_check(url, err))
        return false;
    out->callback_url = url;
    return true;
}

bool gtv_job_entry_read(struct gtv_str id, const struct gtv_str *fields, size_t count,
                        struct gtv_job_entry *out, struct gtv_error *err)
{
    struct gtv_exam_options defaults = out->options;
    *out = (struct gtv_job_entry){.options = defaults, .camera_id = -1};
    if (!gtv_str_copy(out->id, sizeof(out->id), id)) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "this is no entry's id");
        return false;
    }
    if (!read_identity(fields, count, out, err))
        return false;
    if (count > (size_t)2 * GTV_JOB_FIELDS_MAX) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "the entry has more than %d fields", GTV_JOB_FIELDS_MAX);
        return false;
    }
    for (size_t i = 0; i + 1 < count; i += 2)
        if (!read_field(fields[i], fields[i + 1], out, err))
            return false;
    if (out->camera_id < 0)
        gtv_error_set(err, GTV_E_INVALID, "camera_id", "camera_id is missing");
    else if (!out->picture.n)
        gtv_error_set(err, GTV_E_INVALID, "picture", "picture is missing or empty");
    else if (out->picture.n > (size_t)GTV_JOB_PICTURE_MAX / (out->base64 ? 3 : 1) * (out->base64 ? 4 : 1))
        gtv_error_set(err, GTV_E_TOO_LARGE, "picture", "a picture may have 10 MiB at most");
    else {
        if (!out->enqueued_ms)
            out->enqueued_ms = gtv_job_entry_time(id);
        return true;
    }
    return false;
}
