// What a client of the RTSP server says, as bytes on its connection: requests, interleaved frames, rubbish. A
// byte 0xfe cuts what comes into reads, 0xff lets a second and a half pass.
#include "tests/unit/media/rtsp/rig.h"

#include "lib/log/log.h"

#include <libavutil/log.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct rig *r)
{
    // What is left over must be bounded, and a session that has ended must be out of its path.
    struct gtv_path_status status;
    gtv_path_get_status(r->publisher, &status);
    bool published = status.source_type != NULL;
    if (r->closed && (published || r->claims > 0 || gtv_path_readers(r->publisher) != NULL)) {
        abort();
    }
    if (!r->closed && published && gtv_sessions_count(r->sessions, GTV_SESSION_RTSP) != 1) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig r;
    gtv_log_set_level(GTV_LOG_ERROR);
    av_log_set_level(AV_LOG_QUIET);
    rig_init(&r);
    while (size > 0 && !r.closed) {
        size_t n = 0;
        while (n < size && data[n] < 0xfe) {
            n++;
        }
        rig_send(&r, (struct gtv_str){(const char *)data, n});
        if (n < size && data[n] == 0xff && !r.closed) {
            r.now_ms += 1500;
            gtv_rtsp_session_tick(r.s, r.now_ms);
            rig_send(&r, (struct gtv_str){"", 0});
        }
        check(&r);
        if (!r.closed && r.kept.len > gtv_rtsp_session_pending() + size) {
            abort();
        }
        n += n < size;
        data += n;
        size -= n;
    }
    rig_finish(&r);
    return 0;
}
