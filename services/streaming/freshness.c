#include "services/streaming/freshness.h"

#include <time.h>

static const int64_t delta_max = 1LL << 31; // RFC 9111, 1.2.2

void gtv_cache_control_init(struct gtv_cache_control *cc)
{
    *cc = (struct gtv_cache_control){
        .max_age_s = -1, .s_maxage_s = -1, .while_revalidate_s = -1, .if_error_s = -1};
}

static int64_t delta_seconds(struct gtv_str s)
{
    if (s.n == 0)
        return 0;
    int64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return 0; // not a number: stale is the safe side
        v = v * 10 + (s.p[i] - '0');
        if (v > delta_max)
            v = delta_max;
    }
    return v;
}

static void shortest(int64_t *field, struct gtv_str argument)
{
    int64_t v = delta_seconds(argument);
    if (*field < 0 || v < *field)
        *field = v;
}

// Takes the next directive off *rest; commas inside a quoted argument do not end it. False at the end.
static bool next_directive(struct gtv_str *rest, struct gtv_str *name, struct gtv_str *argument)
{
    while (rest->n) {
        size_t end = 0;
        bool quoted = false;
        for (; end < rest->n && (quoted || rest->p[end] != ','); end++) {
            if (rest->p[end] == '"')
                quoted = !quoted;
            else if (quoted && rest->p[end] == '\\' && end + 1 < rest->n)
                end++;
        }
        struct gtv_str item = gtv_str_trim((struct gtv_str){rest->p, end});
        size_t used = end < rest->n ? end + 1 : end;
        *rest = (struct gtv_str){rest->p + used, rest->n - used};
        if (item.n == 0)
            continue;
        *name = gtv_str_trim(gtv_str_cut(&item, '='));
        item = gtv_str_trim(item);
        if (item.n >= 2 && item.p[0] == '"' && item.p[item.n - 1] == '"')
            item = (struct gtv_str){item.p + 1, item.n - 2};
        *argument = item;
        return true;
    }
    return false;
}

void gtv_cache_control_read(struct gtv_cache_control *cc, struct gtv_str value)
{
    const struct {
        struct gtv_str name;
        bool *flag;
        int64_t *seconds;
    } known[] = {
        {GTV_STR("no-store"), &cc->no_store, NULL},
        {GTV_STR("no-cache"), &cc->no_cache, NULL},
        {GTV_STR("private"), &cc->is_private, NULL},
        {GTV_STR("public"), &cc->is_public, NULL},
        {GTV_STR("must-revalidate"), &cc->must_revalidate, NULL},
        {GTV_STR("proxy-revalidate"), &cc->must_revalidate, NULL},
        {GTV_STR("must-understand"), &cc->must_understand, NULL},
        {GTV_STR("only-if-cached"), &cc->only_if_cached, NULL},
        {GTV_STR("max-age"), NULL, &cc->max_age_s},
        {GTV_STR("s-maxage"), NULL, &cc->s_maxage_s},
        {GTV_STR("stale-while-revalidate"), NULL, &cc->while_revalidate_s},
        {GTV_STR("stale-if-error"), NULL, &cc->if_error_s},
    };
    struct gtv_str name, argument;
    while (next_directive(&value, &name, &argument))
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            if (!gtv_str_ieq(name, known[i].name))
                continue;
            if (known[i].flag)
                *known[i].flag = true;
            if (known[i].seconds)
                shortest(known[i].seconds, argument);
        }
}

static int month_of(struct gtv_str s)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++)
        if (gtv_str_ieq(s, (struct gtv_str){names + (ptrdiff_t)3 * i, 3}))
            return i;
    return -1;
}

static bool clock_of(struct gtv_str s, struct tm *tm)
{
    int64_t h, m, sec;
    if (s.n != 8 || s.p[2] != ':' || s.p[5] != ':' || !gtv_parse_int((struct gtv_str){s.p, 2}, 0, 23, &h) ||
        !gtv_parse_int((struct gtv_str){s.p + 3, 2}, 0, 59, &m) ||
        !gtv_parse_int((struct gtv_str){s.p + 6, 2}, 0, 60, &sec))
        return false;
    tm->tm_hour = (int)h;
    tm->tm_min = (int)m;
    tm->tm_sec = (int)sec;
    return true;
}

static bool day_and_year(struct gtv_str day, struct gtv_str month, struct gtv_str year, struct tm *tm)
{
    int64_t d, y;
    tm->tm_mon = month_of(month);
    if (tm->tm_mon < 0 || !gtv_parse_int(day, 1, 31, &d) || !gtv_parse_int(year, 0, 9999, &y))
        return false;
    if (year.n == 2)
        y += y < 70 ? 2000 : 1900;
    else if (year.n != 4)
        return false;
    tm->tm_mday = (int)d;
    tm->tm_year = (int)y - 1900;
    return true;
}

// The next word of *s; several spaces count as one.
static struct gtv_str word(struct gtv_str *s)
{
    *s = gtv_str_trim(*s);
    return gtv_str_cut(s, ' ');
}

bool gtv_http_date_parse(struct gtv_str s, int64_t *wall_s)
{
    struct tm tm = {0};
    struct gtv_str first = word(&s), w2 = word(&s), w3 = word(&s), w4 = word(&s), w5 = word(&s),
                   w6 = word(&s);
    bool ok;
    if (first.n && first.p[first.n - 1] == ',' && w3.n == 3) { // Sun, 06 Nov 1994 08:49:37 GMT
        ok =
            day_and_year(w2, w3, w4, &tm) && w4.n == 4 && clock_of(w5, &tm) && gtv_str_eq(w6, GTV_STR("GMT"));
    } else if (first.n && first.p[first.n - 1] == ',') { // Sunday, 06-Nov-94 08:49:37 GMT
        struct gtv_str day = gtv_str_cut(&w2, '-'), month = gtv_str_cut(&w2, '-');
        ok =
            day_and_year(day, month, w2, &tm) && clock_of(w3, &tm) && gtv_str_eq(w4, GTV_STR("GMT")) && !w5.n;
    } else { // Sun Nov  6 08:49:37 1994
        ok = day_and_year(w3, w2, w5, &tm) && w5.n == 4 && clock_of(w4, &tm) && !w6.n;
    }
    if (!ok || s.n)
        return false;
    *wall_s = (int64_t)timegm(&tm);
    return true;
}

int64_t gtv_freshness_lifetime_s(const struct gtv_freshness_fields *f, int64_t now_wall_s)
{
    if (f->control.s_maxage_s >= 0)
        return f->control.s_maxage_s;
    if (f->control.max_age_s >= 0)
        return f->control.max_age_s;
    if (!f->has_expires)
        return -1;
    int64_t expires, date;
    if (!gtv_http_date_parse(f->expires, &expires))
        return 0;
    if (!gtv_http_date_parse(f->date, &date))
        date = now_wall_s;
    return expires > date ? expires - date : 0;
}

int64_t gtv_freshness_age_s(const struct gtv_freshness_fields *f, int64_t now_wall_s)
{
    struct gtv_str said = gtv_str_trim(f->age);
    int64_t age = delta_seconds(said), date;
    for (size_t i = 0; i < said.n; i++)
        if (said.p[i] < '0' || said.p[i] > '9')
            return -1;
    if (f->age.p && said.n == 0)
        return -1;
    // A clock that differs by a second or two is no age; one that differs by years would make all stale.
    if (gtv_http_date_parse(f->date, &date) && now_wall_s - date > 2 && now_wall_s - date > age)
        age = now_wall_s - date;
    return age;
}
