// Those who wait for a path's source.
#include "lib/base/clock.h"
#include "services/media/path_internal.h"

enum { WAITS_MAX = 1000 }; // at once for one path; the streaming service holds one for all its viewers

static void link_wait(struct gtv_path_wait **head, struct gtv_path_wait *w)
{
    w->next = *head;
    w->prev = head;
    if (w->next != NULL) {
        w->next->prev = &w->next;
    }
    *head = w;
}

static void unlink_wait(struct gtv_path_wait *w)
{
    *w->prev = w->next;
    if (w->next != NULL) {
        w->next->prev = w->prev;
    }
}

static void end_wait(struct gtv_path_wait *w, bool ready, const struct gtv_error *why)
{
    w->path = NULL;
    w->done(w->arg, ready, why);
}

bool gtv_path_wait_begin(struct gtv_path *p, struct gtv_path_wait *w)
{
    struct gtv_error why = {0};
    int64_t now = gtv_mono_ms();
    if (w->deadline_ms == 0) {
        w->deadline_ms = now + p->conf.start_timeout_ms;
    }
    bool ready = p->state == GTV_PATH_CONNECTED;
    if (!ready && !gtv_path_refusal(p, now < w->deadline_ms, &why)) {
        if (p->wait_count < WAITS_MAX) {
            w->path = p;
            p->wait_count++;
            link_wait(&p->waits, w);
            gtv_path_want(p, now);
            return true;
        }
        gtv_error_set(&why, GTV_E_LIMIT, NULL, "too many requests wait for this path");
    }
    end_wait(w, ready, &why);
    return false;
}

void gtv_path_wait_cancel(struct gtv_path_wait *w)
{
    if (w->path == NULL) {
        return;
    }
    unlink_wait(w);
    w->path->wait_count--;
    w->path = NULL;
}

void gtv_path_waits_serve(struct gtv_path *p, int64_t now_ms)
{
    // An answer may let the next request of its connection in, which may wait here too: the list is taken off
    // before.
    struct gtv_path_wait *list = NULL;
    while (p->waits != NULL) {
        struct gtv_path_wait *w = p->waits;
        unlink_wait(w);
        link_wait(&list, w);
    }
    while (list != NULL) {
        struct gtv_path_wait *w = list;
        struct gtv_error why = {0};
        bool ready = p->state == GTV_PATH_CONNECTED;
        unlink_wait(w);
        if (ready || gtv_path_refusal(p, now_ms < w->deadline_ms, &why)) {
            p->wait_count--;
            end_wait(w, ready, &why);
        } else {
            link_wait(&p->waits, w);
        }
    }
}

void gtv_path_waits_refuse(struct gtv_path *p)
{
    struct gtv_error why = {0};
    gtv_error_set(&why, GTV_E_NOT_FOUND, NULL, "no stream is available on path '%s'", p->conf.name);
    while (p->waits != NULL) {
        struct gtv_path_wait *w = p->waits;
        unlink_wait(w);
        p->wait_count--;
        end_wait(w, false, &why);
    }
}
