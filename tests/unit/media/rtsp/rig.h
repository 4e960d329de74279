// An RTSP session over memory, with a node's worth of paths around it: cam_1 waits for a publisher, cam_2 is
// pulled. For unit tests and the fuzzer.
#ifndef GTV_TESTS_RTSP_RIG_H
#define GTV_TESTS_RTSP_RIG_H

#include "services/media/rtsp/session.h"

#include <arpa/inet.h>
#include <netinet/in.h>

struct rig {
    struct gtv_media_options options;
    struct gtv_metrics *metrics;
    struct gtv_path_env path_env;
    struct gtv_path *publisher, *pulled;
    struct gtv_auth *auth;
    struct gtv_sessions *sessions;
    double stall;
    struct gtv_rtsp_env env;
    struct gtv_rtsp_session *s;
    struct gtv_buf out;  // all that was written over TCP
    struct gtv_buf kept; // what the session left over
    size_t queued;       // as the session is told
    size_t claims, udp_packets, resumes;
    int64_t now_ms;
    bool closed;
};

static struct gtv_path *rig_find(void *arg, struct gtv_str name, bool publishes)
{
    struct rig *r = (struct rig *)arg;
    // Nobody's reader may have cam_2 dialled.
    return gtv_str_eq(name, GTV_STR("cam_1"))                ? r->publisher
           : publishes && gtv_str_eq(name, GTV_STR("cam_2")) ? r->pulled
                                                             : NULL;
}

static void rig_write(void *arg, const void *bytes, size_t n)
{
    gtv_buf_append(&((struct rig *)arg)->out, bytes, n);
}

static void rig_packets(void *arg, const struct gtv_pay_batch *batch, struct gtv_bytes *data,
                        struct gtv_bytes *sets)
{
    (void)data;
    (void)sets;
    for (size_t i = 0; i < batch->count; i++) {
        rig_write(arg, batch->packets[i].head, batch->packets[i].head_len);
        rig_write(arg, batch->packets[i].body.p, batch->packets[i].body.n);
    }
}

static size_t rig_queued(void *arg)
{
    return ((struct rig *)arg)->queued;
}

static void rig_udp(void *arg, const struct gtv_pay_batch *batch, const struct sockaddr_storage *to)
{
    (void)to;
    ((struct rig *)arg)->udp_packets += batch->count;
}

static void rig_rtcp(void *arg, const void *bytes, size_t n, const struct sockaddr_storage *to)
{
    (void)bytes;
    (void)to;
    ((struct rig *)arg)->udp_packets += n > 0;
}

static bool rig_claim(void *arg, const struct sockaddr_storage *from, bool rtcp, size_t track)
{
    (void)from;
    (void)rtcp;
    (void)track;
    ((struct rig *)arg)->claims++;
    return true;
}

static void rig_release(void *arg)
{
    ((struct rig *)arg)->claims = 0;
}

static void rig_resume(void *arg)
{
    ((struct rig *)arg)->resumes++;
}

static void rig_close(void *arg)
{
    ((struct rig *)arg)->closed = true;
}

static inline void rig_connect(struct rig *r)
{
    static const struct gtv_rtsp_wire wire = {rig_write, rig_packets, rig_queued, rig_udp,  rig_rtcp,
                                              rig_claim, rig_release, rig_resume, rig_close};
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(50412)};
    peer.sin_addr.s_addr = htonl(0xc0000201); // 192.0.2.1
    r->s = gtv_rtsp_session_create(&r->env, &wire, r, (struct sockaddr *)&peer, (struct sockaddr *)&peer,
                                   r->now_ms);
    r->closed = false;
}

static inline void rig_init(struct rig *r)
{
    struct gtv_pathconf conf;
    *r = (struct rig){.options = {.ring_bytes = 1 << 20, .idle_gop_bytes = 1 << 20},
                      .metrics = gtv_metrics_create(),
                      .auth = gtv_auth_create(),
                      .sessions = gtv_sessions_create(),
                      .stall = 10,
                      .now_ms = 1000};
    r->path_env.options = &r->options;
    r->path_env.damaged = gtv_metrics_counter(r->metrics, "damaged", "", "x");
    gtv_pathconf_defaults(&conf, GTV_STR("cam_1"));
    r->publisher = gtv_path_create(&r->path_env, &conf);
    gtv_pathconf_defaults(&conf, GTV_STR("cam_2"));
    memcpy(conf.source, "rtsp://192.0.2.9/x", sizeof "rtsp://192.0.2.9/x");
    conf.source_on_demand = true;
    r->pulled = gtv_path_create(&r->path_env, &conf);
    r->env = (struct gtv_rtsp_env){.find = rig_find,
                                   .arg = r,
                                   .auth = r->auth,
                                   .sessions = r->sessions,
                                   .tcp = true,
                                   .udp = true,
                                   .basic = true,
                                   .digest = true,
                                   .rtp_port = 8000,
                                   .rtcp_port = 8001,
                                   .stall_seconds = &r->stall};
    r->env.auth_failures = gtv_metrics_counter(r->metrics, "failures", "", "x");
    rig_connect(r);
}

static inline void rig_finish(struct rig *r)
{
    gtv_rtsp_session_destroy(r->s, "closed", "the publisher closed the connection");
    gtv_path_destroy(r->publisher);
    gtv_path_destroy(r->pulled);
    gtv_pay_batch_finish(&r->env.batch);
    gtv_auth_destroy(r->auth);
    gtv_sessions_destroy(r->sessions);
    gtv_metrics_destroy(r->metrics);
    gtv_buf_finish(&r->out);
    gtv_buf_finish(&r->kept);
}

// Gives the session these bytes behind what it left over.
static inline void rig_send(struct rig *r, struct gtv_str data)
{
    gtv_buf_append(&r->kept, data.p, data.n);
    if (!r->closed) {
        size_t used = gtv_rtsp_session_data(r->s, gtv_buf_str(&r->kept), r->now_ms);
        gtv_buf_drop_front(&r->kept, used);
    }
}

#endif
