#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/redis/link.h"

#include <stdio.h>

static bool fail(struct gtv_error *err, const char *what)
{
    gtv_error_set(err, GTV_E_INVALID, "REDIS_URL", "REDIS_URL: %s", what);
    return false;
}

static bool parse_db(struct gtv_str s, int *db)
{
    int64_t v = 0;
    if (s.n && !gtv_parse_int(s, 0, 1023, &v))
        return false;
    *db = (int)v;
    return true;
}

static bool parse_unix(struct gtv_str rest, struct gtv_redis_target *t, struct gtv_error *err)
{
    struct gtv_str path = gtv_str_cut(&rest, '?');
    t->is_unix = true;
    // sun_path holds 108 bytes with its NUL.
    if (path.n == 0 || path.p[0] != '/' || path.n > 107 ||
        gtv_url_decode(path, false, t->host, sizeof t->host) <= 0)
        return fail(err, "unix:// wants an absolute path of at most 107 bytes");
    while (rest.n) {
        struct gtv_str value = gtv_str_cut(&rest, '&');
        struct gtv_str key = gtv_str_cut(&value, '=');
        if (gtv_str_eq(key, GTV_STR("db"))) {
            if (!parse_db(value, &t->db))
                return fail(err, "db must be a number from 0 to 1023");
        } else if (gtv_str_eq(key, GTV_STR("password"))) {
            if (gtv_url_decode(value, false, t->pass, sizeof t->pass) < 0)
                return fail(err, "the password is malformed or too long");
        } else {
            return fail(err, "unknown parameter; db and password are known");
        }
    }
    return true;
}

bool gtv_redis_target_parse(const char *url, struct gtv_redis_target *out, struct gtv_error *err)
{
    struct gtv_redis_target t = {0};
    struct gtv_str s = gtv_str_of(url);
    if (gtv_str_starts(s, GTV_STR("unix://"))) {
        if (!parse_unix((struct gtv_str){s.p + 7, s.n - 7}, &t, err))
            return false;
        *out = t;
        return true;
    }
    struct gtv_url u;
    if (!gtv_url_parse(s, &u) || !gtv_str_ieq(u.scheme, GTV_STR("redis")))
        return fail(err, "must be redis://[user:pass@]host:port/db or unix:///path/to.sock?db=n");
    if (!gtv_str_copy(t.host, sizeof t.host, u.host))
        return fail(err, "the host is too long");
    t.port = u.port ? u.port : 6379;
    if (gtv_url_decode(u.user, false, t.user, sizeof t.user) < 0 ||
        gtv_url_decode(u.pass, false, t.pass, sizeof t.pass) < 0)
        return fail(err, "user or password is malformed or too long");
    struct gtv_str db = u.path;
    if (db.n && db.p[0] == '/')
        db = (struct gtv_str){db.p + 1, db.n - 1};
    if (!parse_db(db, &t.db))
        return fail(err, "the database must be a number from 0 to 1023");
    *out = t;
    return true;
}

char *gtv_redis_url(const char *host, int port, const char *password, int db)
{
    char pass[1024] = "";
    if (password && *password && !gtv_url_encode(gtv_str_of(password), false, pass, sizeof pass))
        pass[0] = '\0';
    if (host[0] == '/')
        return pass[0] ? gtv_asprintf("unix://%s?db=%d&password=%s", host, db, pass)
                       : gtv_asprintf("unix://%s?db=%d", host, db);
    bool v6 = strchr(host, ':') != NULL;
    return gtv_asprintf("redis://%s%s%s%s%s%s:%d/%d", pass[0] ? ":" : "", pass, pass[0] ? "@" : "",
                        v6 ? "[" : "", host, v6 ? "]" : "", port, db);
}
