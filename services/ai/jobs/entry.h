// One job as it lies in the stream: the fields of an entry, judged. Entries may be written by anybody who
// reaches Redis (docs/queue.md), so that nothing about them is believed. Pure; any thread.
#ifndef GTV_AI_ENTRY_H
#define GTV_AI_ENTRY_H

#include "lib/base/cause.h"
#include "services/ai/detect/exam.h"

enum {
    GTV_JOB_ID_CAP = 44,     // "<ms>-<sequence>", each up to 20 digits
    GTV_JOB_NONCE_MAX = 32,  // characters that make a task's id hard to guess
    GTV_JOB_TASK_MAX = 128,  // characters of a task's id
    GTV_JOB_URL_MAX = 1024,  // of callback_url
    GTV_JOB_FIELDS_MAX = 64, // of an entry; more make it malformed
    GTV_JOB_PICTURE_MAX = 10 * 1024 * 1024,
};

struct gtv_job_entry {
    char id[GTV_JOB_ID_CAP]; // of the entry in the stream
    char task[GTV_JOB_TASK_MAX + 1];
    int64_t camera_id, enqueued_ms;
    struct gtv_exam_options options;
    struct gtv_str picture, callback_url; // slices of the fields
    bool base64;
    struct gtv_cause cause; // of the request that brought it
};

// fields: name, value, name, value ... (count of strings). *out begins with the options' defaults. id must be
// an entry's id. False with GTV_E_INVALID and the field's name: out->id, out->task and callback_url (where
// they are well-formed) are set all the same, so that an answer can be given.
bool gtv_job_entry_read(struct gtv_str id, const struct gtv_str *fields, size_t count,
                        struct gtv_job_entry *out, struct gtv_error *err) GTV_WARN_UNUSED;

// A task's id that was made here or from the entry's id: "<ms>-<sequence>" with or without "-<nonce>". Fills
// in the entry's id. False for the names that other producers gave their tasks.
bool gtv_job_task_entry(struct gtv_str task, char id[GTV_JOB_ID_CAP]);
// Milliseconds since 1970 in which the entry was written; 0 when id is none.
int64_t gtv_job_entry_time(struct gtv_str id);
// Whether text may be a task's id: 1 to 128 of A-Z a-z 0-9 . _ : -
bool gtv_job_task_valid(struct gtv_str task);
// The address of a callback: http or https, without credentials, at most 1,024 bytes, no fragment.
bool gtv_job_url_check(struct gtv_str url, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
