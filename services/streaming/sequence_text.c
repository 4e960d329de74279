#include "services/streaming/sequence_text.h"

#include "lib/base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

enum { GENERATION_MIN = 8 };
#define NUMBER_MAX (INT64_C(1) << 53) // Redis' scripts count in doubles

static struct gtv_str next_line(struct gtv_str *rest)
{
    struct gtv_str line = gtv_str_cut(rest, '\n');
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static bool value_of(struct gtv_str line, struct gtv_str tag, struct gtv_str *value)
{
    if (!gtv_str_starts(line, tag))
        return false;
    *value = gtv_str_trim((struct gtv_str){line.p + tag.n, line.n - tag.n});
    return true;
}

static bool number_of(struct gtv_str line, struct gtv_str tag, int64_t *out)
{
    struct gtv_str value;
    return value_of(line, tag, &value) && gtv_parse_int(value, 0, INT64_MAX, out);
}

// The value of an attribute that is no quoted string; empty without it.
static struct gtv_str attribute(struct gtv_str line, struct gtv_str name)
{
    (void)gtv_str_cut(&line, ':');
    while (line.n) {
        struct gtv_str key = gtv_str_trim(gtv_str_cut(&line, '='));
        if (line.n && line.p[0] == '"') {
            line = (struct gtv_str){line.p + 1, line.n - 1};
            (void)gtv_str_cut(&line, '"');
            (void)gtv_str_cut(&line, ',');
            continue;
        }
        struct gtv_str value = gtv_str_cut(&line, ',');
        if (gtv_str_eq(key, name))
            return value;
    }
    return (struct gtv_str){NULL, 0};
}

// "026961b54d72_main_seg21.ts" -> "026961b54d72"
static void take_generation(struct gtv_sequence_list *list, struct gtv_str uri)
{
    struct gtv_str file = gtv_str_cut(&uri, '?');
    for (size_t i = file.n; i > 0; i--)
        if (file.p[i - 1] == '/') {
            file = (struct gtv_str){file.p + i, file.n - i};
            break;
        }
    ptrdiff_t end = gtv_str_find(file, '_');
    if (end < GENERATION_MIN)
        return;
    for (ptrdiff_t i = 0; i < end; i++)
        if (!isxdigit((unsigned char)file.p[i]))
            return;
    if (!gtv_str_copy(list->generation, sizeof list->generation, (struct gtv_str){file.p, (size_t)end}))
        list->generation[0] = '\0';
}

// MediaMTX tells the generation of a list without segments by its parts and its init file only.
static struct gtv_str named_by_tag(struct gtv_str line)
{
    static const struct gtv_str name = {"URI=\"", 5};
    if (!gtv_str_starts(line, GTV_STR("#EXT-X-PART:")) && !gtv_str_starts(line, GTV_STR("#EXT-X-MAP:")) &&
        !gtv_str_starts(line, GTV_STR("#EXT-X-PRELOAD-HINT:")))
        return (struct gtv_str){NULL, 0};
    const char *at = memmem(line.p, line.n, name.p, name.n);
    if (!at)
        return (struct gtv_str){NULL, 0};
    at += name.n;
    struct gtv_str rest = {at, line.n - (size_t)(at - line.p)};
    return gtv_str_cut(&rest, '"');
}

bool gtv_sequence_read(struct gtv_str text, struct gtv_sequence_list *out)
{
    struct gtv_sequence_list list = {.target_s = -1};
    if (!gtv_str_starts(text, GTV_STR("#EXTM3U")))
        return false;
    while (text.n) {
        struct gtv_str line = next_line(&text);
        int64_t n;
        double seconds;
        if (line.n == 0)
            continue;
        if (line.p[0] != '#') {
            list.segments++;
            list.partial_s = 0;
            take_generation(&list, line);
        } else if (number_of(line, GTV_STR("#EXT-X-MEDIA-SEQUENCE:"), &n)) {
            list.first = n;
        } else if (number_of(line, GTV_STR("#EXT-X-DISCONTINUITY-SEQUENCE:"), &n)) {
            list.discontinuity = n;
        } else if (number_of(line, GTV_STR("#EXT-X-TARGETDURATION:"), &n)) {
            list.target_s = n;
        } else if (gtv_str_eq(line, GTV_STR("#EXT-X-DISCONTINUITY"))) {
            list.tags++;
        } else if (gtv_str_starts(line, GTV_STR("#EXT-X-KEY:"))) {
            list.keys = true;
        } else if (gtv_str_starts(line, GTV_STR("#EXT-X-STREAM-INF:"))) {
            return false;
        } else if (gtv_str_starts(line, GTV_STR("#EXT-X-SKIP:"))) {
            list.skips = true;
            if (gtv_parse_int(attribute(line, GTV_STR("SKIPPED-SEGMENTS")), 0, INT32_MAX, &n))
                list.segments += n;
        } else if (gtv_str_starts(line, GTV_STR("#EXT-X-PART:")) &&
                   gtv_parse_double(attribute(line, GTV_STR("DURATION")), 0, 3600, &seconds)) {
            list.partial_s += seconds;
        }
        if (line.p[0] == '#' && !list.generation[0])
            take_generation(&list, named_by_tag(line));
    }
    *out = list;
    return list.target_s >= 0 && list.first <= NUMBER_MAX && list.discontinuity <= NUMBER_MAX;
}

// ---- the end of a list ----

struct cutter {
    struct gtv_sequence_tail *tail; // the last GTV_SEQUENCE_TAIL_MAX blocks
    struct gtv_str stream;
    gtv_sequence_cached_fn cached;
    void *arg;
    size_t at, map_at, map_len;
    int64_t disc;
    bool gap;
};

static void end_block(struct cutter *c, bool usable)
{
    struct gtv_sequence_tail *t = c->tail;
    if (!usable) {
        t->count = 0; // what comes before it would leave a hole
    } else {
        if (t->count == GTV_SEQUENCE_TAIL_MAX) {
            memmove(t->blocks, t->blocks + 1, (t->count - 1) * sizeof *t->blocks);
            t->count--;
        }
        t->blocks[t->count++] =
            (struct gtv_sequence_block){c->at, t->text.len - c->at, c->map_at, c->map_len, c->disc};
    }
    c->at = t->text.len;
    c->gap = false;
}

static void put_line(struct gtv_buf *b, struct gtv_str line)
{
    gtv_buf_append(b, line.p, line.n);
    gtv_buf_append(b, "\n", 1);
}

// Tags of a segment that are kept with it. Parts and what belongs to the whole list are not.
static bool is_kept(struct gtv_str line)
{
    static const struct gtv_str kept[] = {
        {"#EXTINF:", 8},           {"#EXT-X-PROGRAM-DATE-TIME:", 25}, {"#EXT-X-GAP", 10},
        {"#EXT-X-BYTERANGE:", 17}, {"#EXT-X-BITRATE:", 15},
    };
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (gtv_str_starts(line, kept[i]))
            return true;
    return false;
}

static void take_line(struct cutter *c, struct gtv_str line)
{
    struct gtv_buf *b = &c->tail->text;
    if (line.n && line.p[0] != '#') {
        struct gtv_str uri = line;
        bool usable = !c->gap && c->cached(c->arg, c->stream, gtv_str_cut(&uri, '?'));
        put_line(b, line);
        end_block(c, usable);
    } else if (gtv_str_eq(line, GTV_STR("#EXT-X-DISCONTINUITY"))) {
        c->disc++;
    } else if (gtv_str_starts(line, GTV_STR("#EXT-X-MAP:"))) {
        // Between blocks only: tags that came before it for this segment go after it.
        struct gtv_str before = {b->data ? b->data + c->at : NULL, b->len - c->at};
        char *saved = before.n ? gtv_strndup(before) : NULL;
        size_t n = before.n;
        b->len = c->at;
        c->map_at = b->len;
        put_line(b, line);
        c->map_len = b->len - c->map_at;
        c->at = b->len;
        if (saved)
            gtv_buf_append(b, saved, n);
        free(saved);
    } else if (is_kept(line)) {
        c->gap = c->gap || gtv_str_starts(line, GTV_STR("#EXT-X-GAP"));
        put_line(b, line);
    }
}

struct gtv_sequence_tail *gtv_sequence_tail_create(struct gtv_str text, struct gtv_str stream,
                                                   gtv_sequence_cached_fn cached, void *arg)
{
    struct gtv_sequence_list list;
    if (!gtv_sequence_read(text, &list) || list.keys || list.skips || list.segments == 0)
        return NULL;
    struct gtv_sequence_tail *t = GTV_NEW(struct gtv_sequence_tail);
    struct cutter c = {.tail = t, .stream = stream, .cached = cached, .arg = arg, .disc = list.discontinuity};
    gtv_buf_init(&t->text, (size_t)2 * GTV_SEQUENCE_TEXT_MAX);
    t->end = list.first + list.segments;
    t->target_s = list.target_s;
    while (text.n)
        take_line(&c, next_line(&text));
    t->text.len = c.at; // tags of no segment
    t->window = (size_t)list.segments < GTV_SEQUENCE_TAIL_MAX ? (size_t)list.segments : GTV_SEQUENCE_TAIL_MAX;
    if (list.partial_s > 0) {
        gtv_buf_printf(&t->text, "#EXT-X-GAP\n#EXTINF:%.5f,\ngap.mp4\n", list.partial_s);
        end_block(&c, t->count > 0);
        t->end++;
    }
    if (t->count == 0 || t->text.failed) {
        gtv_sequence_tail_destroy(t);
        return NULL;
    }
    return t;
}

void gtv_sequence_tail_destroy(struct gtv_sequence_tail *t)
{
    if (!t)
        return;
    gtv_buf_finish(&t->text);
    free(t);
}

// ---- the list with other numbers ----

static void put_tail(struct gtv_buf *b, const struct gtv_sequence_tail *t, size_t from)
{
    for (size_t i = from; i < t->count; i++) {
        const struct gtv_sequence_block *k = &t->blocks[i], *before = i > from ? k - 1 : NULL;
        for (int64_t d = before ? before->disc : k->disc; d < k->disc; d++)
            gtv_buf_puts(b, "#EXT-X-DISCONTINUITY\n");
        if (k->map_len && (!before || before->map_at != k->map_at))
            gtv_buf_append(b, t->text.data + k->map_at, k->map_len);
        gtv_buf_append(b, t->text.data + k->at, k->len);
    }
    gtv_buf_puts(b, "#EXT-X-DISCONTINUITY\n");
}

// Tags of the list as a whole that stand before its first segment; all others belong to segments.
static bool is_header(struct gtv_str line)
{
    static const struct gtv_str header[] = {
        {"#EXTM3U", 7},
        {"#EXT-X-VERSION:", 15},
        {"#EXT-X-ALLOW-CACHE:", 19},
        {"#EXT-X-TARGETDURATION:", 22},
        {"#EXT-X-SERVER-CONTROL:", 22},
        {"#EXT-X-PART-INF:", 16},
        {"#EXT-X-INDEPENDENT-SEGMENTS", 27},
        {"#EXT-X-START:", 13},
        {"#EXT-X-PLAYLIST-TYPE:", 21},
        {"#EXT-X-DEFINE:", 14},
    };
    for (size_t i = 0; i < sizeof header / sizeof *header; i++)
        if (gtv_str_starts(line, header[i]))
            return true;
    return line.n == 0 || (line.p[0] == '#' && !gtv_str_starts(line, GTV_STR("#EXT")));
}

// LAST-MSN of a rendition report counts as the list does: the renditions of a muxer share their numbers.
static void put_report(struct gtv_buf *b, struct gtv_str line, int64_t add)
{
    struct gtv_str last = attribute(line, GTV_STR("LAST-MSN"));
    int64_t n;
    if (!gtv_parse_int(last, 0, NUMBER_MAX, &n)) {
        put_line(b, line);
        return;
    }
    gtv_buf_append(b, line.p, (size_t)(last.p - line.p));
    gtv_buf_printf(b, "%" PRId64, n + add);
    put_line(b, (struct gtv_str){last.p + last.n, (size_t)(line.p + line.n - (last.p + last.n))});
}

static void put_numbers(struct gtv_buf *b, int64_t first, int64_t disc)
{
    gtv_buf_printf(b, "#EXT-X-MEDIA-SEQUENCE:%" PRId64 "\n", first);
    if (disc > 0)
        gtv_buf_printf(b, "#EXT-X-DISCONTINUITY-SEQUENCE:%" PRId64 "\n", disc);
}

struct gtv_bytes *gtv_sequence_render(struct gtv_str text, const struct gtv_sequence_list *list,
                                      int64_t first, int64_t disc, const struct gtv_sequence_tail *tail,
                                      size_t from)
{
    struct gtv_buf b = {0};
    int64_t add = first - list->first, target = list->target_s;
    bool begun = false;
    if (tail && from < tail->count) {
        first = tail->end - (int64_t)(tail->count - from);
        disc = tail->blocks[from].disc;
        target = tail->target_s > target ? tail->target_s : target;
    } else {
        tail = NULL;
    }
    while (text.n) {
        struct gtv_str line = next_line(&text);
        if (gtv_str_starts(line, GTV_STR("#EXT-X-MEDIA-SEQUENCE:")) ||
            gtv_str_starts(line, GTV_STR("#EXT-X-DISCONTINUITY-SEQUENCE:")))
            continue;
        if (!begun && !is_header(line)) {
            begun = true;
            put_numbers(&b, first, disc);
            if (tail)
                put_tail(&b, tail, from);
        }
        if (gtv_str_starts(line, GTV_STR("#EXT-X-TARGETDURATION:")))
            gtv_buf_printf(&b, "#EXT-X-TARGETDURATION:%" PRId64 "\n", target);
        else if (gtv_str_starts(line, GTV_STR("#EXT-X-RENDITION-REPORT:")))
            put_report(&b, line, add);
        else
            put_line(&b, line);
    }
    if (!begun) { // nothing but a head: its numbers count all the same
        put_numbers(&b, first, disc);
        if (tail)
            put_tail(&b, tail, from);
    }
    struct gtv_bytes *made = gtv_buf_take(&b);
    gtv_buf_finish(&b);
    return made;
}
