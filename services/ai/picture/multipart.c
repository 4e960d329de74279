#include "services/ai/picture/multipart.h"

#include <stdio.h>

static bool bad(struct gtv_error *err, const char *what)
{
    gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "multipart: %s", what);
    return false;
}

static struct gtv_str from(struct gtv_str s, size_t start)
{
    return (struct gtv_str){s.p + start, s.n - start};
}

// Offset of needle in s, or -1.
static ptrdiff_t find(struct gtv_str s, struct gtv_str needle)
{
    const char *at = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return at ? at - s.p : -1;
}

// The value of one parameter of a header ("; name=token" or "; name=\"quoted\""), into out. 1: found, 0: not
// there, -1: malformed.
static int parameter(struct gtv_str header, const char *name, char *out, size_t cap)
{
    (void)gtv_str_cut(&header, ';');
    while (header.n > 0) {
        struct gtv_str key = header;
        ptrdiff_t equals = gtv_str_find(header, '=');
        if (equals < 0)
            return gtv_str_trim(header).n ? -1 : 0;
        key.n = (size_t)equals;
        key = gtv_str_trim(key);
        header = gtv_str_trim(from(header, (size_t)equals + 1));
        char value[256];
        size_t n = 0, i = 0;
        bool quoted = header.n > 0 && header.p[0] == '"';
        for (i = quoted; i < header.n && header.p[i] != (quoted ? '"' : ';'); i++) {
            if (quoted && header.p[i] == '\\' && ++i == header.n)
                return -1;
            if (n == sizeof(value))
                return -1;
            value[n++] = header.p[i];
        }
        if (quoted && i++ == header.n)
            return -1;
        struct gtv_str rest = gtv_str_trim(from(header, i < header.n ? i : header.n));
        if (rest.n && rest.p[0] != ';')
            return -1;
        header = rest.n ? from(rest, 1) : rest;
        if (gtv_str_ieq(key, gtv_str_of(name)))
            return gtv_str_copy(out, cap,
                                quoted ? (struct gtv_str){value, n}
                                       : gtv_str_trim((struct gtv_str){value, n}))
                       ? 1
                       : -1;
    }
    return 0;
}

static bool boundary_of(struct gtv_str content_type, char delimiter[GTV_MULTIPART_MAX_BOUNDARY + 8],
                        struct gtv_error *err)
{
    struct gtv_str rest = content_type;
    struct gtv_str type = gtv_str_trim(gtv_str_cut(&rest, ';'));
    if (!gtv_str_ieq(type, GTV_STR("multipart/form-data"))) {
        gtv_error_set(err, GTV_E_UNSUPPORTED, "content-type", "Content-Type must be multipart/form-data");
        return false;
    }
    char boundary[GTV_MULTIPART_MAX_BOUNDARY + 1];
    int found = parameter(content_type, "boundary", boundary, sizeof(boundary));
    if (found != 1 || !boundary[0])
        return bad(err, found == 0 ? "Content-Type has no boundary" : "Content-Type has a wrong boundary");
    snprintf(delimiter, GTV_MULTIPART_MAX_BOUNDARY + 8, "\r\n--%s", boundary);
    return true;
}

// Walks the header lines of one part for its name and file name; false when they are not well-formed.
static bool read_headers(struct gtv_str headers, struct gtv_multipart_part *part, struct gtv_error *err)
{
    bool seen = false;
    while (headers.n > 0) {
        ptrdiff_t end = find(headers, GTV_STR("\r\n"));
        struct gtv_str line = headers;
        if (end >= 0)
            line.n = (size_t)end;
        headers = from(headers, end >= 0 ? (size_t)end + 2 : headers.n);
        struct gtv_str value = line;
        struct gtv_str key = gtv_str_cut(&value, ':');
        if (key.n == 0 || key.n == line.n || memchr(line.p, '\0', line.n))
            return bad(err, "a part has a header line that is none");
        if (!gtv_str_ieq(key, GTV_STR("content-disposition")))
            continue;
        struct gtv_str rest = gtv_str_trim(value);
        struct gtv_str kind = gtv_str_trim(gtv_str_cut(&rest, ';'));
        if (seen || !gtv_str_ieq(kind, GTV_STR("form-data")) ||
            parameter(value, "name", part->name, sizeof(part->name)) != 1)
            return bad(err, "a part has a wrong Content-Disposition");
        if (parameter(value, "filename", part->filename, sizeof(part->filename)) != 1)
            part->filename[0] = 0;
        seen = true;
    }
    return seen || bad(err, "a part has no Content-Disposition");
}

// body starts behind a delimiter. Cuts off one part: 1, or 0 when that delimiter was the closing one; -1
// malformed.
static int next_part(struct gtv_str *body, struct gtv_str delimiter, struct gtv_str *headers,
                     struct gtv_str *content, struct gtv_error *err)
{
    if (body->n >= 2 && body->p[0] == '-' && body->p[1] == '-')
        return 0;
    size_t blank = 0; // a delimiter may be followed by spaces and tabs
    while (blank < body->n && (body->p[blank] == ' ' || body->p[blank] == '\t'))
        blank++;
    *body = from(*body, blank);
    if (body->n < 2 || body->p[0] != '\r' || body->p[1] != '\n') {
        bad(err, "a delimiter is not followed by a new line");
        return -1;
    }
    struct gtv_str head =
        *body; // from the delimiter's CRLF on, so that a part without headers ends at once too
    head.n = head.n > GTV_MULTIPART_MAX_HEADERS ? GTV_MULTIPART_MAX_HEADERS : head.n;
    ptrdiff_t end = find(head, GTV_STR("\r\n\r\n"));
    if (end < 0) {
        bad(err, "the headers of a part do not end, or have more than 4 KiB");
        return -1;
    }
    *headers = end < 2 ? (struct gtv_str){body->p, 0} : (struct gtv_str){body->p + 2, (size_t)end - 2};
    *body = from(*body, (size_t)end + 2); // keeps one CRLF: an empty part's delimiter begins with it
    ptrdiff_t stop = find(*body, delimiter);
    if (stop < 0) {
        bad(err, "the closing delimiter is missing: the body is cut off");
        return -1;
    }
    *content = stop < 2 ? (struct gtv_str){body->p, 0} : (struct gtv_str){body->p + 2, (size_t)stop - 2};
    *body = from(*body, (size_t)stop + delimiter.n);
    return 1;
}

bool gtv_multipart_begin(struct gtv_multipart *m, struct gtv_str content_type, struct gtv_str body,
                         struct gtv_error *err)
{
    memset(m, 0, sizeof(*m));
    if (!boundary_of(content_type, m->delimiter, err))
        return false;
    struct gtv_str delimiter = gtv_str_of(m->delimiter);
    // The first delimiter may stand at the very beginning, without its CRLF.
    struct gtv_str first = from(delimiter, 2);
    if (gtv_str_starts(body, first)) {
        m->rest = from(body, first.n);
        return true;
    }
    ptrdiff_t at = find(body, delimiter);
    if (at < 0)
        return bad(err, "the body does not contain the boundary");
    m->rest = from(body, (size_t)at + delimiter.n);
    return true;
}

int gtv_multipart_next(struct gtv_multipart *m, struct gtv_multipart_part *part, struct gtv_error *err)
{
    memset(part, 0, sizeof(*part));
    struct gtv_str headers;
    int more = next_part(&m->rest, gtv_str_of(m->delimiter), &headers, &part->content, err);
    if (more <= 0)
        return more;
    if (m->parts++ == GTV_MULTIPART_MAX_PARTS) {
        char text[32];
        snprintf(text, sizeof(text), "more than %d parts", GTV_MULTIPART_MAX_PARTS);
        bad(err, text);
        return -1;
    }
    return read_headers(headers, part, err) ? 1 : -1;
}

bool gtv_multipart_find(struct gtv_str content_type, struct gtv_str body, const char *name,
                        struct gtv_str *out, struct gtv_error *err)
{
    struct gtv_multipart m;
    if (!gtv_multipart_begin(&m, content_type, body, err))
        return false;
    bool found = false;
    struct gtv_multipart_part part;
    int more;
    while ((more = gtv_multipart_next(&m, &part, err)) > 0) {
        if (strcmp(part.name, name) != 0)
            continue;
        if (found) {
            gtv_error_set(err, GTV_E_INVALID, name, "the part %s is there twice", name);
            return false;
        }
        *out = part.content;
        found = true;
    }
    if (more < 0)
        return false;
    if (!found)
        gtv_error_set(err, GTV_E_INVALID, name, "the part %s is missing", name);
    return found;
}
