#include "lib/rtsp/message.h"

#include <stdio.h>

static enum gtv_rtsp_kind bad(struct gtv_error *err, enum gtv_code code, const char *text)
{
    gtv_error_set(err, code, "", "%s", text);
    return GTV_RTSP_BAD;
}

// tchar of RFC 7230 and RFC 7826.
static bool is_token(struct gtv_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c) != NULL) {
            return false;
        }
    }
    return s.n > 0;
}

// Text without control characters; bytes above 0x7f are let through (cameras put their names there).
static bool is_text(struct gtv_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

// Takes one line (CRLF, or a bare LF as some cameras write) off data at *at. False while it is incomplete.
static bool next_line(struct gtv_str data, size_t *at, struct gtv_str *line)
{
    const char *end = data.n > *at ? memchr(data.p + *at, '\n', data.n - *at) : NULL;
    if (end == NULL) {
        return false;
    }
    *line = (struct gtv_str){data.p + *at, (size_t)(end - data.p) - *at};
    *at = (size_t)(end - data.p) + 1;
    if (line->n > 0 && line->p[line->n - 1] == '\r') {
        line->n--;
    }
    return true;
}

static bool is_version(struct gtv_str s)
{
    return gtv_str_eq(s, GTV_STR("RTSP/1.0")) || gtv_str_eq(s, GTV_STR("RTSP/2.0"));
}

static bool read_start(struct gtv_str line, struct gtv_rtsp_message *m)
{
    if (!is_text(line)) {
        return false;
    }
    struct gtv_str rest = line, first = gtv_str_cut(&rest, ' ');
    if (is_version(first)) {
        struct gtv_str status = gtv_str_cut(&rest, ' ');
        int64_t number = 0;
        if (status.n != 3 || !gtv_parse_int(status, 100, 999, &number)) {
            return false;
        }
        m->status = (int)number;
        m->reason = rest;
        return true;
    }
    m->method = first;
    m->uri = gtv_str_cut(&rest, ' ');
    return is_token(first) && m->uri.n > 0 && is_version(rest);
}

static bool read_header(struct gtv_str line, struct gtv_rtsp_message *m)
{
    struct gtv_str value = line, name = gtv_str_cut(&value, ':');
    if (name.n == line.n || !is_token(gtv_str_trim(name)) || !is_text(value)) {
        return false;
    }
    m->headers[m->header_count++] = (struct gtv_rtsp_header){gtv_str_trim(name), gtv_str_trim(value)};
    return true;
}

// The first bytes of whatever may become a message: what can never be one is told early.
static bool may_start(struct gtv_str data)
{
    for (size_t i = 0; i < data.n && data.p[i] != ' ' && data.p[i] != '\r' && data.p[i] != '\n'; i++) {
        unsigned char c = (unsigned char)data.p[i];
        if (c <= ' ' || c >= 0x7f || i >= 32) {
            return false;
        }
    }
    return true;
}

static enum gtv_rtsp_kind read_frame(struct gtv_str data, size_t *used, size_t *need,
                                     struct gtv_rtsp_message *m)
{
    if (data.n < 4) {
        *need = 4;
        return GTV_RTSP_MORE;
    }
    size_t n = (size_t)(uint8_t)data.p[2] << 8 | (uint8_t)data.p[3];
    if (data.n < 4 + n) {
        *need = 4 + n;
        return GTV_RTSP_MORE;
    }
    m->channel = (uint8_t)data.p[1];
    m->body = (struct gtv_str){data.p + 4, n};
    *used = 4 + n;
    return GTV_RTSP_FRAME;
}

static enum gtv_rtsp_kind read_headers(struct gtv_str data, size_t from, size_t *at,
                                       struct gtv_rtsp_message *m, struct gtv_error *err)
{
    struct gtv_str line;
    for (;;) {
        bool whole = next_line(data, at, &line);
        if ((whole ? *at : data.n) - from > GTV_RTSP_HEAD_MAX) {
            return bad(err, GTV_E_BAD_REQUEST, "the headers are too large");
        }
        if (!whole) {
            return GTV_RTSP_MORE;
        }
        if (line.n == 0) {
            return m->status != 0 ? GTV_RTSP_RESPONSE : GTV_RTSP_REQUEST;
        }
        bool continued = line.p[0] == ' ' || line.p[0] == '\t';
        if (continued && m->header_count > 0 && is_text(line)) {
            // Folded (RFC 2326, 4.2): the lines are one value, the line end between them included.
            struct gtv_str *value = &m->headers[m->header_count - 1].value;
            value->n = (size_t)(line.p + line.n - value->p);
            continue;
        }
        if (m->header_count == GTV_RTSP_HEADERS_MAX) {
            return bad(err, GTV_E_BAD_REQUEST, "too many headers");
        }
        if (continued || !read_header(line, m)) {
            return bad(err, GTV_E_BAD_REQUEST, "a header cannot be read");
        }
    }
}

static enum gtv_rtsp_kind read_body(struct gtv_str data, size_t *at, size_t *need, struct gtv_rtsp_message *m,
                                    struct gtv_error *err)
{
    struct gtv_str text = gtv_rtsp_header(m, "Content-Length");
    int64_t length = 0;
    for (size_t i = 1; gtv_rtsp_header_at(m, "Content-Length", i).p != NULL; i++) {
        if (!gtv_str_eq(gtv_rtsp_header_at(m, "Content-Length", i), text)) {
            return bad(err, GTV_E_BAD_REQUEST, "two lengths for one body");
        }
    }
    if (text.p != NULL && !gtv_parse_int(text, 0, INT64_MAX, &length)) {
        return bad(err, GTV_E_BAD_REQUEST, "the length of the body cannot be read");
    }
    if (length > GTV_RTSP_BODY_MAX) {
        return bad(err, GTV_E_TOO_LARGE, "the body is too large");
    }
    if (data.n - *at < (size_t)length) {
        *need = *at + (size_t)length;
        return GTV_RTSP_MORE;
    }
    m->body = (struct gtv_str){data.p + *at, (size_t)length};
    *at += (size_t)length;
    return m->status != 0 ? GTV_RTSP_RESPONSE : GTV_RTSP_REQUEST;
}

enum gtv_rtsp_kind gtv_rtsp_read(struct gtv_str data, size_t *used, size_t *need, struct gtv_rtsp_message *m,
                                 struct gtv_error *err)
{
    *used = *need = 0;
    size_t from = 0;
    while (from < data.n && (data.p[from] == '\r' || data.p[from] == '\n')) {
        from++;
    }
    if (from == data.n) {
        *used = from;
        return GTV_RTSP_MORE;
    }
    if (data.p[from] == '$') {
        struct gtv_str frame = {data.p + from, data.n - from};
        enum gtv_rtsp_kind kind = read_frame(frame, used, need, m);
        *used += from;
        *need += *need > 0 ? from : 0;
        return kind;
    }
    m->method = m->uri = m->reason = m->body = (struct gtv_str){0};
    m->status = 0;
    m->cseq = -1;
    m->header_count = 0;
    struct gtv_str line = {0};
    size_t at = from;
    bool whole = next_line(data, &at, &line);
    if (!may_start((struct gtv_str){data.p + from, data.n - from}) || (whole && !read_start(line, m))) {
        return bad(err, GTV_E_BAD_REQUEST, "this is no RTSP");
    }
    if ((whole ? line.n : data.n - from) > GTV_RTSP_START_MAX) {
        return bad(err, GTV_E_BAD_REQUEST, "the first line is too long");
    }
    enum gtv_rtsp_kind kind = whole ? read_headers(data, from, &at, m, err) : GTV_RTSP_MORE;
    if (kind == GTV_RTSP_REQUEST || kind == GTV_RTSP_RESPONSE) {
        kind = read_body(data, &at, need, m, err);
    }
    if (kind == GTV_RTSP_REQUEST || kind == GTV_RTSP_RESPONSE) {
        struct gtv_str cseq = gtv_rtsp_header(m, "CSeq");
        if (!gtv_parse_int(cseq, 0, INT64_MAX, &m->cseq)) {
            m->cseq = -1;
        }
        *used = at;
    } else if (kind == GTV_RTSP_MORE) {
        *used = from;
        *need = *need > from ? *need : 0;
    }
    return kind;
}

struct gtv_str gtv_rtsp_header_at(const struct gtv_rtsp_message *m, const char *name, size_t i)
{
    struct gtv_str wanted = gtv_str_of(name);
    for (size_t h = 0; h < m->header_count; h++) {
        if (gtv_str_ieq(m->headers[h].name, wanted) && i-- == 0) {
            return m->headers[h].value;
        }
    }
    return (struct gtv_str){0};
}

struct gtv_str gtv_rtsp_header(const struct gtv_rtsp_message *m, const char *name)
{
    return gtv_rtsp_header_at(m, name, 0);
}

// ---- Writing ----

static void put_clean(struct gtv_buf *out, size_t from)
{
    for (size_t i = from; i < out->len; i++) {
        unsigned char c = (unsigned char)out->data[i];
        if (c < ' ' || c == 0x7f) {
            out->data[i] = ' ';
        }
    }
}

void gtv_rtsp_write_request(struct gtv_buf *out, const char *method, struct gtv_str uri, int64_t cseq)
{
    gtv_buf_puts(out, method);
    gtv_buf_puts(out, " ");
    size_t from = out->len;
    gtv_buf_append(out, uri.p, uri.n);
    put_clean(out, from);
    gtv_buf_puts(out, " RTSP/1.0\r\n");
    if (cseq >= 0) {
        gtv_buf_printf(out, "CSeq: %lld\r\n", (long long)cseq);
    }
}

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {413, "Request Entity Too Large"},
        {414, "Request-URI Too Long"},
        {415, "Unsupported Media Type"},
        {451, "Parameter Not Understood"},
        {453, "Not Enough Bandwidth"},
        {454, "Session Not Found"},
        {455, "Method Not Valid in This State"},
        {456, "Header Field Not Valid for Resource"},
        {457, "Invalid Range"},
        {459, "Aggregate Operation Not Allowed"},
        {460, "Only Aggregate Operation Allowed"},
        {461, "Unsupported Transport"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "RTSP Version Not Supported"},
        {551, "Option Not Supported"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return status < 400 ? "OK" : "Error";
}

void gtv_rtsp_write_response(struct gtv_buf *out, int status, const char *reason, int64_t cseq)
{
    gtv_buf_printf(out, "RTSP/1.0 %d ", status);
    size_t from = out->len;
    gtv_buf_puts(out, reason != NULL ? reason : reason_of(status));
    put_clean(out, from);
    gtv_buf_puts(out, "\r\n");
    if (cseq >= 0) {
        gtv_buf_printf(out, "CSeq: %lld\r\n", (long long)cseq);
    }
}

void gtv_rtsp_write_header(struct gtv_buf *out, const char *name, const char *fmt, ...)
{
    char value[2048];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(value, sizeof value, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof value) {
        out->failed = true; // half a header would say something else
        return;
    }
    gtv_buf_puts(out, name);
    gtv_buf_puts(out, ": ");
    size_t from = out->len;
    gtv_buf_append(out, value, (size_t)n);
    put_clean(out, from);
    gtv_buf_puts(out, "\r\n");
}

void gtv_rtsp_write_end(struct gtv_buf *out, const char *content_type, struct gtv_str body)
{
    if (body.n > 0) {
        if (content_type != NULL) {
            gtv_rtsp_write_header(out, "Content-Type", "%s", content_type);
        }
        gtv_buf_printf(out, "Content-Length: %zu\r\n", body.n);
    }
    gtv_buf_puts(out, "\r\n");
    gtv_buf_append(out, body.p, body.n);
}

// ---- Headers with parts ----

// "5000-5001", or "5000" for itself and the next.
static void read_pair(struct gtv_str text, int64_t max, int out[2])
{
    struct gtv_str second = text, first = gtv_str_cut(&second, '-');
    int64_t a = 0, b = 0;
    if (!gtv_parse_int(gtv_str_trim(first), 0, max, &a)) {
        return;
    }
    b = a < max ? a + 1 : a;
    if (second.n > 0 && !gtv_parse_int(gtv_str_trim(second), 0, max, &b)) {
        return;
    }
    out[0] = (int)a;
    out[1] = (int)b;
}

static void read_ssrc(struct gtv_str text, struct gtv_rtsp_transport_choice *out)
{
    uint32_t ssrc = 0;
    text = gtv_str_trim(text);
    if (text.n == 0 || text.n > 8) {
        return;
    }
    for (size_t i = 0; i < text.n; i++) {
        const char *digits = "0123456789abcdef";
        const char *at = strchr(digits, text.p[i] | 0x20);
        if (text.p[i] == '\0' || at == NULL) {
            return;
        }
        ssrc = ssrc << 4 | (uint32_t)(at - digits);
    }
    out->has_ssrc = true;
    out->ssrc = ssrc;
}

static void read_parameter(struct gtv_str part, struct gtv_rtsp_transport_choice *out)
{
    struct gtv_str value = part, name = gtv_str_trim(gtv_str_cut(&value, '='));
    value = gtv_str_trim(value);
    if (gtv_str_ieq(name, GTV_STR("multicast"))) {
        out->multicast = true;
    } else if (gtv_str_ieq(name, GTV_STR("interleaved"))) {
        read_pair(value, 255, out->interleaved);
    } else if (gtv_str_ieq(name, GTV_STR("client_port"))) {
        read_pair(value, 65535, out->client_port);
    } else if (gtv_str_ieq(name, GTV_STR("server_port"))) {
        read_pair(value, 65535, out->server_port);
    } else if (gtv_str_ieq(name, GTV_STR("ssrc"))) {
        read_ssrc(value, out);
    } else if (gtv_str_ieq(name, GTV_STR("source"))) {
        out->source = value;
    } else if (gtv_str_ieq(name, GTV_STR("destination"))) {
        out->destination = value;
    } else if (gtv_str_ieq(name, GTV_STR("mode"))) {
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"') {
            value = (struct gtv_str){value.p + 1, value.n - 2};
        }
        out->record = gtv_str_ieq(value, GTV_STR("record")) || gtv_str_ieq(value, GTV_STR("receive"));
    }
}

bool gtv_rtsp_transport_next(struct gtv_str *header, struct gtv_rtsp_transport_choice *out)
{
    while (header->n > 0) {
        struct gtv_str choice = gtv_str_cut(header, ',');
        struct gtv_str profile = gtv_str_trim(gtv_str_cut(&choice, ';'));
        *out = (struct gtv_rtsp_transport_choice){
            .interleaved = {-1, -1}, .client_port = {-1, -1}, .server_port = {-1, -1}};
        out->tcp = gtv_str_ieq(profile, GTV_STR("RTP/AVP/TCP"));
        if (!out->tcp && !gtv_str_ieq(profile, GTV_STR("RTP/AVP")) &&
            !gtv_str_ieq(profile, GTV_STR("RTP/AVP/UDP"))) {
            continue;
        }
        while (choice.n > 0) {
            read_parameter(gtv_str_cut(&choice, ';'), out);
        }
        return true;
    }
    return false;
}

struct gtv_str gtv_rtsp_session(struct gtv_str header, int *timeout_s)
{
    struct gtv_str id = gtv_str_trim(gtv_str_cut(&header, ';'));
    *timeout_s = 60;
    while (header.n > 0) {
        struct gtv_str value = gtv_str_cut(&header, ';');
        struct gtv_str name = gtv_str_trim(gtv_str_cut(&value, '='));
        int64_t seconds = 0;
        if (gtv_str_ieq(name, GTV_STR("timeout")) && gtv_parse_int(gtv_str_trim(value), 1, 86400, &seconds)) {
            *timeout_s = (int)seconds;
        }
    }
    return id;
}

bool gtv_rtsp_list_has(struct gtv_str list, const char *word)
{
    while (list.n > 0) {
        if (gtv_str_ieq(gtv_str_trim(gtv_str_cut(&list, ',')), gtv_str_of(word))) {
            return true;
        }
    }
    return false;
}
