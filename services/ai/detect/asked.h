// A request for detection from its last byte to its answer: one picture or several. It lives until the
// workers have given back all of its exams, also when it was answered, or the client left, before. Loop
// thread only.
#ifndef GTV_AI_ASKED_H
#define GTV_AI_ASKED_H

#include "services/ai/detect/exam.h"
#include "services/ai/service.h"

struct gtv_asked_picture {
    struct gtv_exam exam;
    struct gtv_asked *asked;
    atomic_bool done; // exam is the loop's again, and has its outcome
};

struct gtv_asked {
    struct gtv_ai *ai;
    struct gtv_http_request *req;     // NULL once answered or gone
    struct gtv_asked *before, *after; // in the list of the unanswered
    int64_t deadline_ms, received_ns;
    char *body; // what the pictures' slices point into
    size_t body_len;
    yyjson_doc *doc;    // its strings lie in body
    bool batch;         // the answer is a list
    bool jpeg;          // the answer is the annotated picture itself
    atomic_size_t left; // exams that are not given back, and one for the loop while it is at work here
    atomic_bool cancelled;
    size_t count;
    struct gtv_asked_picture *pictures;
};

// Takes the request's body. NULL: the request was answered, as there is no network or no memory.
struct gtv_asked *gtv_asked_create(struct gtv_ai *ai, struct gtv_http_request *req);
// Makes room for count pictures, whose options begin as *options.
void gtv_asked_set_count(struct gtv_asked *a, size_t count, const struct gtv_exam_options *options);
// A picture's own failure, found before it is posted: with others in a batch it is told in the answer.
void gtv_asked_fail_picture(struct gtv_asked *a, size_t i, const struct gtv_error *err);
// Posts the pictures that have not failed, and answers when all are done, or at the deadline; at once when
// the queue is full or too long.
void gtv_asked_submit(struct gtv_asked *a);
// Answers with the failure; the end of it.
void gtv_asked_refuse(struct gtv_asked *a, const struct gtv_error *err);

// answer.c: by what the exams have; answers the request. late: the deadline has passed, those that are not
// done are told as such.
void gtv_asked_answer(const struct gtv_asked *a, struct gtv_http_request *req, bool late);
void gtv_asked_answer_failure(struct gtv_ai *ai, struct gtv_http_request *req, const struct gtv_error *err);
// 503 with Retry-After.
void gtv_asked_answer_busy(struct gtv_ai *ai, struct gtv_http_request *req, const char *cause,
                           const char *message, double wait_ms);

#endif
