#include "services/streaming/key.h"

#include "services/streaming/app.h"

#include <stdio.h>

enum { SLOT_ROOM = 4 }; // '#', a digit, and the NUL

static bool known_type(struct gtv_str file, bool *is_playlist)
{
    // Nothing else of the node's port is passed on: not its pages, not its endless streams.
    static const struct gtv_str media[] = {{".ts", 3},  {".mp4", 4}, {".m4s", 4}, {".m4a", 4},
                                           {".m4v", 4}, {".aac", 4}, {".mp3", 4}, {".vtt", 4}};
    *is_playlist = gtv_str_ends(file, GTV_STR(".m3u8"));
    for (size_t i = 0; i < sizeof media / sizeof *media; i++)
        if (gtv_str_ends(file, media[i]))
            return true;
    return *is_playlist;
}

bool gtv_hls_key_make(struct gtv_hls_key *key, struct gtv_str path, struct gtv_error *err)
{
    size_t slash = path.n;
    while (slash > 0 && path.p[slash - 1] != '/')
        slash--;
    struct gtv_str stream = {path.p, slash ? slash - 1 : 0};
    struct gtv_str file = {path.p + slash, path.n - slash};
    if (!gtv_stream_name_valid(stream) || !gtv_stream_name_valid(file)) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, "stream",
                      "a stream or file has letters, digits, dot, underscore and minus only");
        return false;
    }
    if (!known_type(file, &key->is_playlist)) {
        gtv_error_set(err, GTV_E_NOT_FOUND, NULL, "HLS has no such kind of file");
        return false;
    }
    if (!gtv_str_copy(key->text, sizeof key->text, path)) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, "stream", "this name is too long");
        return false;
    }
    key->n = path.n;
    key->stream_len = stream.n;
    key->file_len = path.n;
    return true;
}

static void append(struct gtv_hls_key *key, const char *name, struct gtv_str value)
{
    int n = snprintf(key->text + key->n, sizeof key->text - key->n, "%c%s=" GTV_STR_FMT,
                     key->n == key->file_len ? '?' : '&', name, GTV_STR_ARG(value));
    if (n > 0 && (size_t)n < sizeof key->text - key->n) // two names and this leave room always
        key->n += (size_t)n;
}

// Digits as they are counted: "007" is 7, so that it is no copy of it.
static bool number(struct gtv_str *s)
{
    if (s->n == 0 || s->n > 15)
        return false;
    for (size_t i = 0; i < s->n; i++)
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
    while (s->n > 1 && s->p[0] == '0')
        *s = (struct gtv_str){s->p + 1, s->n - 1};
    return true;
}

static bool add_other_query(struct gtv_hls_key *key, struct gtv_str query, struct gtv_error *err)
{
    for (size_t i = 0; i < query.n; i++)
        if (query.p[i] <= ' ' || query.p[i] > '~' || query.p[i] == '#') {
            gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "this query must be percent-encoded");
            return false;
        }
    while (query.n) {
        struct gtv_str pair = gtv_str_cut(&query, '&'), rest = pair, name = gtv_str_cut(&rest, '=');
        if (pair.n == 0 || gtv_str_eq(name, GTV_STR("session")) || gtv_str_eq(name, GTV_STR("token")))
            continue;
        if (pair.n + 1 + SLOT_ROOM > sizeof key->text - key->n) {
            gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "this query is too long");
            return false;
        }
        key->text[key->n] = key->n == key->file_len ? '?' : '&';
        memcpy(key->text + key->n + 1, pair.p, pair.n);
        key->n += pair.n + 1;
        key->text[key->n] = '\0';
    }
    return true;
}

bool gtv_hls_key_add_query(struct gtv_hls_key *key, struct gtv_str query, struct gtv_error *err)
{
    struct gtv_str msn = {NULL, 0}, part = {NULL, 0}, skip = {NULL, 0};
    if (!key->is_playlist)
        return add_other_query(key, query, err);
    while (query.n) {
        struct gtv_str value = gtv_str_cut(&query, '&'), name = gtv_str_cut(&value, '=');
        if (gtv_str_eq(name, GTV_STR("_HLS_msn")))
            msn = value;
        else if (gtv_str_eq(name, GTV_STR("_HLS_part")))
            part = value;
        else if (gtv_str_eq(name, GTV_STR("_HLS_skip")))
            skip = value;
    }
    if ((msn.p && !number(&msn)) || (part.p && (!msn.p || !number(&part)))) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, "_HLS_msn",
                      "_HLS_msn and _HLS_part are numbers, and a part needs its segment");
        return false;
    }
    if (msn.p)
        append(key, "_HLS_msn", msn);
    if (part.p)
        append(key, "_HLS_part", part);
    if (gtv_str_eq(skip, GTV_STR("YES")) || gtv_str_eq(skip, GTV_STR("v2")))
        append(key, "_HLS_skip", skip);
    return true;
}

void gtv_hls_key_set_slot(struct gtv_hls_key *key, unsigned slot)
{
    int n = snprintf(key->text + key->n, sizeof key->text - key->n, "#%u", slot % 10);
    if (n > 0 && (size_t)n < sizeof key->text - key->n) // queries leave room for it
        key->n += (size_t)n;
}

struct gtv_str gtv_hls_key_file(const char *key, size_t stream_len)
{
    struct gtv_str file = gtv_str_of(key + stream_len + 1);
    file = gtv_str_cut(&file, '#');
    return gtv_str_cut(&file, '?');
}
