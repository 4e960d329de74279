// Entries of the queue as any producer may write them: NUL-separated, the first piece is the id, the others
// names and values in turn.
#include "services/ai/jobs/entry.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECES_MAX = 300 };

static void check(const struct gtv_job_entry *e, bool ok, const struct gtv_error *err)
{
    if (!memchr(e->task, '\0', sizeof(e->task)) || !memchr(e->id, '\0', sizeof(e->id)))
        abort();
    if (ok && (!e->picture.n || e->camera_id < 0 || !gtv_job_task_valid(gtv_str_of(e->task)) ||
               !(e->options.confidence >= 0 && e->options.confidence <= 1) || err->code))
        abort();
    if (!ok && !err->code)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gtv_str rest = {(const char *)data, size}, pieces[PIECES_MAX];
    size_t n = 0;
    while (rest.n && n < PIECES_MAX)
        pieces[n++] = gtv_str_cut(&rest, '\0');
    if (n == 0)
        return 0;
    struct gtv_job_entry entry = {.options.confidence = 0.5};
    struct gtv_error err = {0};
    // Redis makes the ids of entries; the names of tasks come from anywhere.
    bool ok = gtv_job_entry_read(GTV_STR("1700000000000-1"), pieces + 1, n - 1, &entry, &err);
    check(&entry, ok, &err);
    char id[GTV_JOB_ID_CAP];
    if (gtv_job_task_entry(pieces[0], id) && !gtv_str_starts(pieces[0], gtv_str_of(id)))
        abort();
    (void)gtv_job_entry_time(pieces[0]);
    return 0;
}
