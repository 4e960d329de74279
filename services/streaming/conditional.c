#include "services/streaming/conditional.h"

#include "services/streaming/freshness.h"

static struct gtv_str opaque(struct gtv_str tag, bool *weak)
{
    *weak = gtv_str_starts(tag, GTV_STR("W/"));
    return *weak ? (struct gtv_str){tag.p + 2, tag.n - 2} : tag;
}

static bool same_tag(struct gtv_str a, struct gtv_str b, bool strong)
{
    bool weak_a, weak_b;
    struct gtv_str oa = opaque(a, &weak_a), ob = opaque(b, &weak_b);
    return oa.n >= 2 && gtv_str_eq(oa, ob) && !(strong && (weak_a || weak_b));
}

// A comma may be part of a tag: the quotes decide.
static bool list_has(struct gtv_str list, struct gtv_str tag, bool strong)
{
    list = gtv_str_trim(list);
    if (gtv_str_eq(list, GTV_STR("*")))
        return true;
    while (list.n && tag.n) {
        size_t end = 0;
        bool quoted = false;
        for (; end < list.n && (quoted || list.p[end] != ','); end++)
            if (list.p[end] == '"')
                quoted = !quoted;
        if (same_tag(gtv_str_trim((struct gtv_str){list.p, end}), tag, strong))
            return true;
        size_t used = end < list.n ? end + 1 : end;
        list = (struct gtv_str){list.p + used, list.n - used};
    }
    return false;
}

// True when what is stored was changed after the given date. False where either date cannot be read.
static bool changed_since(struct gtv_str since, struct gtv_str last_modified, bool *known)
{
    int64_t asked, changed;
    *known = gtv_http_date_parse(since, &asked) && gtv_http_date_parse(last_modified, &changed);
    return *known && changed > asked;
}

// The preconditions in the order of RFC 9110, 13.2.2: 0 where all hold.
static int preconditions(const struct gtv_conditional_request *r, const struct gtv_conditional_stored *s)
{
    bool known;
    if (r->if_match.p) {
        if (!list_has(r->if_match, s->etag, true))
            return 412;
    } else if (r->if_unmodified_since.p && changed_since(r->if_unmodified_since, s->last_modified, &known)) {
        return 412;
    }
    if (r->if_none_match.p)
        return list_has(r->if_none_match, s->etag, false) ? 304 : 0;
    if (r->if_modified_since.p && !changed_since(r->if_modified_since, s->last_modified, &known) && known)
        return 304;
    return 0;
}

// A date is a strong validator only of what had not changed for a while; an equal date must do here.
static bool range_holds(const struct gtv_conditional_request *r, const struct gtv_conditional_stored *s)
{
    struct gtv_str v = r->if_range;
    if (!v.p)
        return true;
    if (gtv_str_starts(v, GTV_STR("\"")) || gtv_str_starts(v, GTV_STR("W/")))
        return same_tag(v, s->etag, true);
    return s->last_modified.n && gtv_str_eq(v, s->last_modified);
}

// False when Range is to be ignored. A range that cannot be satisfied leaves status 416.
static bool take_range(struct gtv_str range, size_t len, struct gtv_conditional *out)
{
    struct gtv_str unit = gtv_str_trim(gtv_str_cut(&range, '='));
    struct gtv_str spec = gtv_str_trim(range);
    ptrdiff_t dash = gtv_str_find(spec, '-');
    if (!gtv_str_ieq(unit, GTV_STR("bytes")) || dash < 0 || gtv_str_find(spec, ',') >= 0)
        return false;
    struct gtv_str a = {spec.p, (size_t)dash}, b = {spec.p + dash + 1, spec.n - (size_t)dash - 1};
    int64_t first = 0, last = INT64_MAX;
    // Digits only: the parser would take a sign as well.
    if ((a.n && (a.p[0] < '0' || a.p[0] > '9')) || (b.n && (b.p[0] < '0' || b.p[0] > '9')) ||
        (!a.n && !b.n) || (a.n && !gtv_parse_int(a, 0, INT64_MAX, &first)) ||
        (b.n && !gtv_parse_int(b, 0, INT64_MAX, &last)))
        return false;
    if (!a.n) { // the last so many bytes
        size_t n = (uint64_t)last < len ? (size_t)last : len;
        *out = (struct gtv_conditional){n ? 206 : 416, len - n, n};
        return true;
    }
    if (last < first)
        return false;
    if ((uint64_t)first >= len) {
        *out = (struct gtv_conditional){416, 0, 0};
        return true;
    }
    size_t end = (uint64_t)last < len ? (size_t)last + 1 : len;
    *out = (struct gtv_conditional){206, (size_t)first, end - (size_t)first};
    return true;
}

struct gtv_conditional gtv_conditional_judge(const struct gtv_conditional_request *request,
                                             const struct gtv_conditional_stored *stored)
{
    struct gtv_conditional whole = {200, 0, stored->len}, out;
    int status = preconditions(request, stored);
    if (status)
        return (struct gtv_conditional){status, 0, 0};
    if (!request->ranges || !request->range.p || !range_holds(request, stored) ||
        !take_range(request->range, stored->len, &out))
        return whole;
    return out;
}
