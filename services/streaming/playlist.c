#include "services/streaming/playlist.h"

enum { LIFE_MIN_MS = 200, LIFE_MAX_MS = 5000, LIFE_MULTIVARIANT_MS = 1000, WINDOW_MAX_MS = 3600 * 1000 };

static bool tag_value(struct gtv_str line, struct gtv_str tag, struct gtv_str *value)
{
    if (!gtv_str_starts(line, tag))
        return false;
    *value = gtv_str_trim((struct gtv_str){line.p + tag.n, line.n - tag.n});
    return true;
}

static ptrdiff_t find(struct gtv_str s, struct gtv_str what)
{
    const char *at = s.n ? memmem(s.p, s.n, what.p, what.n) : NULL;
    return at ? at - s.p : -1;
}

static bool has(struct gtv_str s, struct gtv_str what)
{
    return find(s, what) >= 0;
}

// The value of a tag's URI attribute; empty without one.
static struct gtv_str uri_attribute(struct gtv_str line)
{
    static const struct gtv_str name = {"URI=\"", 5};
    ptrdiff_t at = find(line, name);
    if (at <= 0 || (line.p[at - 1] != ':' && line.p[at - 1] != ','))
        return (struct gtv_str){NULL, 0};
    struct gtv_str rest = {line.p + at + name.n, line.n - (size_t)at - name.n};
    return gtv_str_cut(&rest, '"');
}

bool gtv_playlist_scan(struct gtv_str text, struct gtv_playlist *out)
{
    struct gtv_playlist p = {0};
    bool first = true, has_target = false;
    double window = 0;
    while (text.n) {
        struct gtv_str line = gtv_str_cut(&text, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (first && !gtv_str_starts(line, GTV_STR("#EXTM3U")))
            return false;
        first = false;
        struct gtv_str value;
        double seconds;
        int64_t target;
        if (line.n == 0 || line.p[0] != '#')
            continue;
        if (tag_value(line, GTV_STR("#EXT-X-TARGETDURATION:"), &value)) {
            if (!gtv_parse_int(value, 0, 3600, &target))
                return false;
            p.target_ms = (unsigned)target * 1000;
            has_target = true;
        } else if (tag_value(line, GTV_STR("#EXTINF:"), &value)) {
            p.segments++;
            if (gtv_parse_double(gtv_str_trim(gtv_str_cut(&value, ',')), 0, 3600, &seconds))
                window += seconds;
        } else if (gtv_str_starts(line, GTV_STR("#EXT-X-STREAM-INF:"))) {
            p.multivariant = true;
        } else if (gtv_str_starts(line, GTV_STR("#EXT-X-ENDLIST"))) {
            p.ended = true;
        } else if (gtv_str_starts(line, GTV_STR("#EXT-X-SERVER-CONTROL:"))) {
            p.blocking = has(line, GTV_STR("CAN-BLOCK-RELOAD=YES"));
        }
    }
    p.window_ms = window * 1000 < WINDOW_MAX_MS ? (unsigned)(window * 1000) : WINDOW_MAX_MS;
    if (p.multivariant == has_target) // a playlist is one or the other
        return false;
    *out = p;
    return true;
}

bool gtv_playlist_next_uri(struct gtv_str *rest, struct gtv_str *uri)
{
    while (rest->n) {
        struct gtv_str line = gtv_str_cut(rest, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (gtv_str_starts(line, GTV_STR("#EXT-X-PART:")) || gtv_str_starts(line, GTV_STR("#EXT-X-MAP:")))
            line = uri_attribute(line);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        *uri = line;
        return true;
    }
    return false;
}

// ---- our session with the node, out of the URIs ----

static bool is_ours(struct gtv_str pair)
{
    struct gtv_str name = gtv_str_cut(&pair, '=');
    return gtv_str_eq(name, GTV_STR("session")) || gtv_str_eq(name, GTV_STR("cookieCheck")) ||
           gtv_str_starts(name, GTV_STR("_HLS_"));
}

static void put(struct gtv_bytes *out, struct gtv_str s)
{
    if (!s.n || !s.p)
        return;
    memcpy(out->data + out->len, s.p, s.n); // never longer than what was read
    out->len += s.n;
}

static void clean_uri(struct gtv_bytes *out, struct gtv_str uri, char *session, size_t cap)
{
    put(out, gtv_str_cut(&uri, '?'));
    const char *before = "?";
    while (uri.n) {
        struct gtv_str pair = gtv_str_cut(&uri, '&');
        if (is_ours(pair)) {
            struct gtv_str value = pair, name = gtv_str_cut(&value, '=');
            if (session && !session[0] && gtv_str_eq(name, GTV_STR("session")) &&
                !gtv_str_copy(session, cap, value))
                session[0] = '\0'; // too long to be one
            continue;
        }
        put(out, (struct gtv_str){before, 1});
        put(out, pair);
        before = "&";
    }
}

struct gtv_bytes *gtv_playlist_clean(struct gtv_str text, char *session, size_t cap)
{
    if (session)
        session[0] = '\0';
    if (!has(text, GTV_STR("session=")) && !has(text, GTV_STR("cookieCheck=")) &&
        !has(text, GTV_STR("_HLS_")))
        return NULL;
    struct gtv_bytes *out = gtv_bytes_create(text.n);
    if (!out)
        return NULL;
    while (text.n) {
        const char *from = text.p;
        size_t left = text.n;
        struct gtv_str line = gtv_str_cut(&text, '\n');
        size_t whole = left - text.n;
        struct gtv_str uri = line.n && line.p[0] == '#' ? uri_attribute(line) : line;
        if (!uri.n || gtv_str_find(uri, '?') < 0) {
            put(out, (struct gtv_str){from, whole});
            continue;
        }
        if (uri.p[uri.n - 1] == '\r')
            uri.n--;
        put(out, (struct gtv_str){from, (size_t)(uri.p - from)});
        clean_uri(out, uri, session, cap);
        put(out, (struct gtv_str){uri.p + uri.n, whole - (size_t)(uri.p + uri.n - from)});
    }
    return out;
}

unsigned gtv_playlist_life_ms(const struct gtv_playlist *p)
{
    if (p->multivariant)
        return LIFE_MULTIVARIANT_MS;
    unsigned life = p->target_ms / 2;
    return life < LIFE_MIN_MS ? LIFE_MIN_MS : life > LIFE_MAX_MS ? LIFE_MAX_MS : life;
}
