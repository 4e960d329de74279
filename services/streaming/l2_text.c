// The form of an answer in Redis: a line of figures, the fields a line each, an empty line, the body.

#include "lib/base/buf.h"
#include "services/streaming/l2.h"

static const struct gtv_str magic = {"gtv-hls-1", 9};

struct gtv_bytes *gtv_l2_encode(const struct gtv_entry *e, int64_t mono_ms, int64_t wall_ms)
{
    struct gtv_buf b = {0};
    int64_t fresh_ms = atomic_load_explicit(&e->expires_ms, memory_order_relaxed) - mono_ms;
    // When it was new and until when it is fresh, by the wall clock.
    (void)gtv_buf_printf(&b, "%s %lld %lld %lld %lld %d %zu\n", magic.p,
                         (long long)(wall_ms - (mono_ms - e->fetched_ms)), (long long)(wall_ms + fresh_ms),
                         (long long)e->life.while_revalidate_ms, (long long)e->life.if_error_ms,
                         e->validators, e->body->len);
    for (size_t i = 0; i < e->whole.n; i++)
        (void)gtv_buf_printf(&b, GTV_STR_FMT ":" GTV_STR_FMT "\n", GTV_STR_ARG(e->whole.fields[i].name),
                             GTV_STR_ARG(e->whole.fields[i].value));
    (void)gtv_buf_append(&b, "\n", 1);
    (void)gtv_buf_append(&b, e->body->data, e->body->len);
    struct gtv_bytes *text = gtv_buf_take(&b);
    gtv_buf_finish(&b);
    return text;
}

static bool figure(struct gtv_str *line, int64_t max, int64_t *out)
{
    return gtv_parse_int(gtv_str_cut(line, ' '), 0, max, out);
}

bool gtv_l2_decode(struct gtv_str text, int64_t wall_ms, struct gtv_l2_answer *out)
{
    static const int64_t hour_ms = 3600000;
    struct gtv_str line = gtv_str_cut(&text, '\n');
    int64_t new_ms, until_ms, validators, len;
    out->n = 0;
    if (!gtv_str_eq(gtv_str_cut(&line, ' '), magic) || !figure(&line, INT64_MAX, &new_ms) ||
        !figure(&line, INT64_MAX, &until_ms) || !figure(&line, hour_ms, &out->life.while_revalidate_ms) ||
        !figure(&line, hour_ms, &out->life.if_error_ms) || !figure(&line, 1, &validators) ||
        !figure(&line, GTV_L2_OBJECT_MAX, &len) || line.n)
        return false;
    for (;;) {
        if (text.n == 0)
            return false;
        line = gtv_str_cut(&text, '\n');
        if (line.n == 0)
            break;
        struct gtv_str name = gtv_str_cut(&line, ':');
        if (name.n == 0 || out->n == sizeof out->fields / sizeof *out->fields)
            return false;
        out->fields[out->n++] = (struct gtv_http_header){name, line};
    }
    if (text.n != (size_t)len || until_ms <= wall_ms || until_ms - wall_ms > 24 * hour_ms)
        return false;
    out->body = text;
    out->validators = validators != 0;
    out->life.fresh_ms = until_ms - wall_ms;
    out->life.age_ms =
        wall_ms > new_ms ? wall_ms - new_ms : 0; // a clock that is behind makes nothing younger
    return true;
}
