#include "services/streaming/playlist.h"

enum { LIFE_MIN_MS = 200, LIFE_MAX_MS = 5000, LIFE_MULTIVARIANT_MS = 1000, WINDOW_MAX_MS = 3600 * 1000 };

static bool tag_value(struct gtv_str line, struct gtv_str tag, struct gtv_str *value)
{
    if (!gtv_str_starts(line, tag))
        return false;
    *value = gtv_str_trim((struct gtv_str){line.p + tag.n, line.n - tag.n});
    return true;
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
        if (line.n == 0 || line.p[0] == '#')
            continue;
        *uri = line;
        return true;
    }
    return false;
}

unsigned gtv_playlist_life_ms(const struct gtv_playlist *p)
{
    if (p->multivariant)
        return LIFE_MULTIVARIANT_MS;
    unsigned life = p->target_ms / 2;
    return life < LIFE_MIN_MS ? LIFE_MIN_MS : life > LIFE_MAX_MS ? LIFE_MAX_MS : life;
}
