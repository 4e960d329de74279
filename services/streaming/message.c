#include "services/streaming/message.h"

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/ws/ws.h"

#include <stdlib.h>

static bool type_shows(struct gtv_str type)
{
    for (size_t i = 0; i < type.n; i++) {
        char c = type.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
              c == '-' || c == '.'))
            return false;
    }
    return type.n > 0;
}

// A field of text/event-stream ends with its line: line ends between the tokens of JSON become spaces.
static struct gtv_bytes *event_stream(const struct gtv_message *m, const char *id, struct gtv_str json)
{
    struct gtv_buf b = {0};
    if (id)
        (void)gtv_buf_printf(&b, "id: %s\n", id);
    (void)gtv_buf_printf(&b, "event: %s\ndata: ", m->type);
    size_t at = b.len;
    (void)gtv_buf_append(&b, json.p, json.n);
    for (size_t i = at; i < b.len; i++)
        if (b.data[i] == '\n' || b.data[i] == '\r')
            b.data[i] = ' ';
    (void)gtv_buf_puts(&b, "\n\n");
    return gtv_buf_take(&b);
}

struct gtv_message *gtv_message_create(struct gtv_str stream, struct gtv_str type, const char *id,
                                       struct gtv_str json)
{
    struct gtv_message *m = GTV_NEW(struct gtv_message);
    struct gtv_buf text = {0};
    atomic_init(&m->refs, 1);
    m->stream = gtv_strndup(stream);
    if (!type_shows(type) || !gtv_str_copy(m->type, sizeof m->type, type))
        memcpy(m->type, "message", sizeof "message");
    m->coalesces = strcmp(m->type, "status") == 0 || strcmp(m->type, "dashboard") == 0;
    if (id && json.n >= 2 && json.p[0] == '{') {
        (void)gtv_buf_printf(&text, "{\"id\":\"%s\"%s", id, json.n > 2 ? "," : "");
        (void)gtv_buf_append(&text, json.p + 1, json.n - 1);
        json = gtv_buf_str(&text);
    }
    if (!text.failed) {
        m->ws = gtv_ws_encode_text(json);
        if (m->ws)
            m->text = (struct gtv_str){(const char *)m->ws->data + m->ws->len - json.n, json.n};
        m->sse = event_stream(m, id, json);
    }
    gtv_buf_finish(&text);
    if (m->ws && m->sse)
        return m;
    gtv_message_unref(m);
    return NULL;
}

struct gtv_message *gtv_message_ref(struct gtv_message *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void gtv_message_unref(struct gtv_message *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    gtv_bytes_unref(m->ws);
    gtv_bytes_unref(m->ws_deflated);
    gtv_bytes_unref(m->sse);
    free(m->stream);
    free(m);
}

void gtv_message_deflate(struct gtv_message *m, struct gtv_ws_deflater *d)
{
    if (!d || m->ws_deflated)
        return;
    m->ws_deflated = gtv_ws_encode_deflated(d, true, m->text);
}

struct gtv_bytes *gtv_message_frame(const struct gtv_message *m, unsigned window_bits)
{
    // A frame made with the widest window points back no further than its message is long.
    bool reads = window_bits == GTV_WS_WINDOW_BITS_MAX || m->text.n <= (size_t)1 << window_bits;
    return m->ws_deflated && window_bits && reads ? m->ws_deflated : m->ws;
}

struct gtv_message *gtv_message_gap(uint64_t missed, const char *since)
{
    char when[GTV_ISO8601_CAP];
    struct gtv_bytes *text =
        since ? gtv_bytes_printf("{\"type\":\"gap\",\"data\":{\"missed\":null,\"since\":\"%s\"},"
                                 "\"timestamp\":\"%s\"}",
                                 since, gtv_iso8601_utc(gtv_wall_ms(), when))
              : gtv_bytes_printf("{\"type\":\"gap\",\"data\":{\"missed\":%llu},\"timestamp\":\"%s\"}",
                                 (unsigned long long)missed, gtv_iso8601_utc(gtv_wall_ms(), when));
    struct gtv_message *m =
        text ? gtv_message_create(GTV_STR(""), GTV_STR("gap"), NULL, gtv_bytes_str(text)) : NULL;
    gtv_bytes_unref(text);
    return m;
}

bool gtv_types_want(const char *types, const char *type)
{
    if (!types)
        return true;
    struct gtv_str list = gtv_str_of(types), wanted = gtv_str_of(type);
    while (list.n)
        if (gtv_str_eq(gtv_str_trim(gtv_str_cut(&list, ',')), wanted))
            return true;
    return false;
}
