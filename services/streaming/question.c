#include "services/streaming/question.h"

#include "lib/base/mem.h"
#include "services/streaming/vary.h"

#include <stdio.h>

size_t gtv_question_conditions(const struct gtv_entry *e, char text[2][GTV_QUESTION_CAP],
                               const char **headers)
{
    size_t n = 0;
    const struct gtv_entry *stale = e->stale;
    if (!stale || !stale->validators)
        return 0;
    if (stale->etag[0] && strncmp(stale->etag, "\"gtv-", 5) != 0) {
        snprintf(text[n], GTV_QUESTION_CAP, "If-None-Match: %s", stale->etag);
        headers[n] = text[n];
        n++;
    }
    if (stale->last_modified[0]) {
        snprintf(text[n], GTV_QUESTION_CAP, "If-Modified-Since: %s", stale->last_modified);
        headers[n] = text[n];
        n++;
    }
    return n;
}

size_t gtv_question_forward(const struct gtv_entry *e, char **text, const char **headers)
{
    size_t n = 0;
    if (e->asked.n == 0)
        return 0;
    char *at = *text = gtv_alloc(e->asked.bytes + e->asked.n * sizeof ": ");
    for (size_t i = 0; i < e->asked.n && n < GTV_VARY_FIELDS_MAX; i++) {
        const struct gtv_http_header *h = &e->asked.fields[i];
        if (h->value.n == 0)
            continue; // to libcurl that means to leave the field out
        headers[n++] = at;
        memcpy(at, h->name.p, h->name.n);
        at += h->name.n;
        memcpy(at, ": ", 2);
        memcpy(at + 2, h->value.p, h->value.n);
        at += 2 + h->value.n;
        *at++ = '\0';
    }
    return n;
}
