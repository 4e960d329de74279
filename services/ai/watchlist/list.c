#include "services/ai/watchlist/list.h"

#include "lib/base/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct gtv_watchlist {
    atomic_uint refs;
    struct gtv_watchlist_entry *entries; // by id
    size_t count;
    struct gtv_plate_matcher *matcher; // of those that are switched on; NULL: none
    size_t *matched;                   // index in the matcher -> in entries
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct gtv_watchlist_entry *)a)->id, ((const struct gtv_watchlist_entry *)b)->id);
}

struct gtv_watchlist *gtv_watchlist_create(struct gtv_watchlist_entry *entries, size_t count)
{
    struct gtv_watchlist *l = GTV_NEW(struct gtv_watchlist);
    struct gtv_plate_watch *watches = gtv_alloc((count + 1) * sizeof(*watches));
    size_t n = 0;
    atomic_init(&l->refs, 1);
    l->entries = entries;
    l->count = count;
    l->matched = gtv_alloc((count + 1) * sizeof(*l->matched));
    if (count)
        qsort(entries, count, sizeof(*entries), by_id);
    for (size_t i = 0; i < count; i++) {
        if (!entries[i].enabled)
            continue;
        watches[n] = (struct gtv_plate_watch){
            .pattern = entries[i].pattern, .exact = entries[i].exact, .tolerance = entries[i].tolerance};
        l->matched[n++] = i;
    }
    // Patterns were checked when the entries were made.
    l->matcher = gtv_plate_matcher_create(watches, n, NULL, NULL);
    free(watches);
    return l;
}

struct gtv_watchlist *gtv_watchlist_ref(struct gtv_watchlist *l)
{
    atomic_fetch_add(&l->refs, 1);
    return l;
}

void gtv_watchlist_unref(struct gtv_watchlist *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    gtv_plate_matcher_destroy(l->matcher);
    free(l->matched);
    free(l->entries);
    free(l);
}

size_t gtv_watchlist_count(const struct gtv_watchlist *l)
{
    return l->count;
}

const struct gtv_watchlist_entry *gtv_watchlist_at(const struct gtv_watchlist *l, size_t i)
{
    return &l->entries[i];
}

const struct gtv_watchlist_entry *gtv_watchlist_find(const struct gtv_watchlist *l, struct gtv_str id)
{
    struct gtv_watchlist_entry key;
    if (!l->count || !gtv_str_copy(key.id, sizeof(key.id), id))
        return NULL;
    return bsearch(&key, l->entries, l->count, sizeof(key), by_id);
}

size_t gtv_watchlist_check(const struct gtv_watchlist *l, const struct gtv_watchlist_read *read,
                           int64_t now_ms, struct gtv_watchlist_hit out[GTV_WATCHLIST_HITS])
{
    struct gtv_plate_match matches[4 * GTV_WATCHLIST_HITS]; // some may have expired
    size_t n = 0;
    if (!l->matcher || !read->text[0])
        return 0;
    size_t found = gtv_plate_matcher_find(l->matcher, read->text, read->chars, matches,
                                          sizeof(matches) / sizeof(matches[0]));
    for (size_t i = 0; i < found && n < GTV_WATCHLIST_HITS; i++) {
        const struct gtv_watchlist_entry *e = &l->entries[l->matched[matches[i].entry]];
        if (!gtv_watchlist_entry_active(e, now_ms))
            continue;
        out[n].entry = e;
        out[n].match = matches[i];
        (void)gtv_plate_match_why(l->matcher, &matches[i], out[n].why);
        n++;
    }
    return n;
}

struct gtv_bytes *gtv_watchlist_alert(struct gtv_str event, const struct gtv_watchlist_hit *hit, char *key,
                                      size_t cap)
{
    struct gtv_str old = {0};
    yyjson_doc *from = gtv_json_parse(event, NULL);
    yyjson_mut_doc *doc = from ? yyjson_doc_mut_copy(from, NULL) : NULL;
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc), *data = yyjson_mut_obj_get(root, "data"),
                   *plate = yyjson_mut_obj_get(data, "plate");
    if (from && !gtv_json_get_str(yyjson_doc_get_root(from), "key", GTV_JSON_REQUIRED, &old, NULL))
        plate = NULL;
    int n = snprintf(key, cap, GTV_STR_FMT "/%s", GTV_STR_ARG(old), hit->entry->id);
    yyjson_doc_free(from);
    if (!yyjson_mut_is_obj(plate) || n < 0 || (size_t)n >= cap) {
        yyjson_mut_doc_free(doc);
        return NULL;
    }
    const struct {
        yyjson_mut_val *o;
        const char *name, *value;
    } words[] = {
        {root, "type", "alert"},
        {root, "key", key},
        {data, "alert", "watchlist"},
        {plate, "list", hit->entry->id},
        {plate, "listed", hit->entry->pattern},
        {plate, "label", hit->entry->label},
        {plate, "severity", hit->entry->severity},
        {plate, "match", gtv_plate_match_names[hit->match.kind]},
        {plate, "why", hit->why},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        (void)yyjson_mut_obj_put(words[i].o, yyjson_mut_strcpy(doc, words[i].name),
                                 yyjson_mut_strcpy(doc, words[i].value));
    return gtv_json_write(doc);
}
