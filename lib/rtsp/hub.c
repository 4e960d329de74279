#include "lib/rtsp/hub.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/rtsp/link.h"

#include <stdlib.h>

struct gtv_rtsp_hub {
    struct gtv_loop *loop;
    struct gtv_timer *timer;
    struct gtv_rtsp_member *members;
    struct gtv_rtsp_member *walking; // the next one of a beat
    char *buffer, *clear;
    SSL_CTX *tls;
};

struct gtv_rtsp_hub *gtv_rtsp_hub_create(struct gtv_loop *loop)
{
    struct gtv_rtsp_hub *h = GTV_NEW(struct gtv_rtsp_hub);
    h->loop = loop;
    return h;
}

void gtv_rtsp_hub_destroy(struct gtv_rtsp_hub *h)
{
    if (h == NULL) {
        return;
    }
    gtv_timer_destroy(h->timer);
    free(h->buffer);
    free(h->clear);
    SSL_CTX_free(h->tls);
    free(h);
}

struct gtv_loop *gtv_rtsp_hub_loop(struct gtv_rtsp_hub *h)
{
    return h->loop;
}

static void beat(void *arg)
{
    struct gtv_rtsp_hub *h = arg;
    int64_t now = gtv_mono_ms();
    for (struct gtv_rtsp_member *m = h->members; m != NULL; m = h->walking) {
        h->walking = m->next;
        m->on_tick(m->arg, now);
    }
}

void gtv_rtsp_hub_add(struct gtv_rtsp_hub *h, struct gtv_rtsp_member *m)
{
    m->next = h->members;
    m->prev = &h->members;
    if (m->next != NULL) {
        m->next->prev = &m->next;
    }
    h->members = m;
    if (m->next == NULL) {
        if (h->timer == NULL) {
            h->timer = gtv_timer_create(h->loop, beat, h);
        }
        gtv_timer_start(h->timer, GTV_RTSP_TICK_MS, GTV_RTSP_TICK_MS);
    }
}

void gtv_rtsp_hub_remove(struct gtv_rtsp_hub *h, struct gtv_rtsp_member *m)
{
    if (m->prev == NULL) {
        return;
    }
    if (h->walking == m) {
        h->walking = m->next;
    }
    *m->prev = m->next;
    if (m->next != NULL) {
        m->next->prev = m->prev;
    }
    m->prev = NULL;
    if (h->members == NULL) {
        gtv_timer_stop(h->timer);
    }
}

static char *lazily(char **buffer)
{
    if (*buffer == NULL) {
        *buffer = gtv_alloc(GTV_LINK_READ_BYTES);
    }
    return *buffer;
}

char *gtv_rtsp_hub_buffer(struct gtv_rtsp_hub *h)
{
    return lazily(&h->buffer);
}

char *gtv_rtsp_hub_clear_buffer(struct gtv_rtsp_hub *h)
{
    return lazily(&h->clear);
}

SSL_CTX *gtv_rtsp_hub_tls(struct gtv_rtsp_hub *h)
{
    if (h->tls == NULL) {
        h->tls = SSL_CTX_new(TLS_client_method());
        if (h->tls != NULL) {
            SSL_CTX_set_verify(h->tls, SSL_VERIFY_NONE, NULL);
            SSL_CTX_set_min_proto_version(h->tls, TLS1_VERSION);
            SSL_CTX_set_security_level(h->tls, 0);
            SSL_CTX_set_mode(h->tls, SSL_MODE_RELEASE_BUFFERS); // else each connection keeps 34 KiB
        }
    }
    return h->tls;
}
