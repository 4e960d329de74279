// The numbers of media playlists from the node: two lists, one after the other, as two generations of a
// stream. The first byte chooses which segments are in the cache; a line "--" parts the two lists.
#include "services/streaming/sequence.h"
#include "services/streaming/sequence_text.h"

#include "lib/base/mem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool holds)
{
    if (!holds)
        abort();
}

struct chance {
    uint8_t bits;
    unsigned asked;
};

static bool is_cached(void *arg, struct gtv_str stream, struct gtv_str file)
{
    struct chance *c = arg;
    must(stream.n > 0 && gtv_str_find(file, '?') < 0 && gtv_str_find(file, '\n') < 0);
    return c->bits >> (c->asked++ % 8) & 1;
}

// A list that was made anew can be read, and counts as it was told to.
static void check_made(struct gtv_bytes *made, const struct gtv_sequence_list *was, int64_t first,
                       int64_t disc, size_t before)
{
    struct gtv_sequence_list is;
    must(gtv_sequence_read(gtv_bytes_str(made), &is));
    must(is.first == first && is.discontinuity == disc);
    must(is.segments == was->segments + (int64_t)before);
    must(is.target_s >= was->target_s && is.skips == was->skips);
}

static void render(struct gtv_str text, const struct gtv_sequence_list *list,
                   const struct gtv_sequence_tail *tail)
{
    const int64_t add = 1000, high = INT64_C(1) << 52; // higher ones may leave what can be read
    if (list->first > high || list->discontinuity > high || (tail && tail->end > high))
        return;
    struct gtv_bytes *made =
        gtv_sequence_render(text, list, list->first + add, list->discontinuity + 1, NULL, 0);
    must(made != NULL);
    check_made(made, list, list->first + add, list->discontinuity + 1, 0);
    gtv_bytes_unref(made);
    if (!tail)
        return;
    must(tail->count >= 1 && tail->count <= GTV_SEQUENCE_TAIL_MAX);
    for (size_t from = 0; from < tail->count; from++) {
        size_t before = tail->count - from;
        made = gtv_sequence_render(text, list, tail->end, tail->blocks[tail->count - 1].disc + 1, tail, from);
        must(made != NULL);
        check_made(made, list, tail->end - (int64_t)before, tail->blocks[from].disc, before);
        gtv_bytes_unref(made);
    }
}

static void publish(struct gtv_sequences *s, struct gtv_str text, struct chance *chance, int64_t *end)
{
    struct gtv_sequence_seam seam;
    struct gtv_str stream = GTV_STR("cam_1"), file = GTV_STR("main_stream.m3u8");
    struct gtv_bytes *list = gtv_bytes_copy(text.p, text.n), *made = NULL;
    struct gtv_sequence_list is;
    must(list != NULL);
    enum gtv_sequence_result result = gtv_sequence_apply(s, stream, file, list, 1000, &made, &seam);
    if (result == GTV_SEQUENCE_DECIDE) {
        gtv_sequence_decide(s, stream, &seam, NULL, is_cached, chance, 1000);
        result = gtv_sequence_apply(s, stream, file, list, 1000, &made, &seam);
        must(result != GTV_SEQUENCE_DECIDE);
    }
    must((result == GTV_SEQUENCE_MADE) == (made != NULL));
    // Numbers never go back where a new generation was told apart.
    if (gtv_sequence_read(gtv_bytes_str(made ? made : list), &is) && gtv_sequence_named(&is)) {
        must(is.first + is.segments >= 0);
        *end = is.first + is.segments;
    }
    gtv_bytes_unref(made);
    gtv_bytes_unref(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1 || n > (size_t)2 * GTV_SEQUENCE_TEXT_MAX)
        return 0;
    struct chance chance = {data[0], 0};
    // Copies of exactly this size, so that the sanitizer sees a read beyond them.
    static const struct gtv_str parts = {"\n--\n", 4};
    const uint8_t *text = data + 1, *cut = memmem(text, n - 1, parts.p, parts.n);
    struct gtv_str first = {(const char *)text, cut ? (size_t)(cut - text) : n - 1};
    struct gtv_str second = {cut ? (const char *)cut + parts.n : "", cut ? n - 1 - first.n - parts.n : 0};
    char *one = gtv_strndup(first), *two = gtv_strndup(second);
    first.p = one;
    second.p = two;
    struct gtv_sequence_list list;
    struct gtv_sequence_tail *tail = gtv_sequence_tail_create(first, GTV_STR("cam_1"), is_cached, &chance);
    if (gtv_sequence_read(second, &list))
        render(second, &list, tail);
    else if (gtv_sequence_read(first, &list))
        render(first, &list, tail);
    gtv_sequence_tail_destroy(tail);

    struct gtv_sequences *s = gtv_sequences_create();
    int64_t end = 0;
    char query[GTV_SEQUENCE_QUERY_CAP];
    publish(s, first, &chance, &end);
    publish(s, second, &chance, &end);
    gtv_sequence_query(s, GTV_STR("cam_1"), gtv_str_cut(&second, '\n'), query);
    gtv_sequence_query(s, GTV_STR("cam_1"), GTV_STR("_HLS_msn=7&_HLS_part=2&_HLS_skip=YES"), query);
    gtv_sequences_destroy(s);
    free(one);
    free(two);
    return 0;
}
