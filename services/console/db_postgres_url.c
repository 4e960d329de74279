// What a postgresql:// address must look like. libpq's own messages on a wrong one repeat it, and with it the
// password: they are never shown.

#include "services/console/db_driver.h"

#include <libpq-fe.h>

static bool refuse(struct gtv_error *err, const char *why)
{
    gtv_error_set(err, GTV_E_INVALID, "DATABASE_URL",
                  "DATABASE_URL: %s; a PostgreSQL address is postgresql://user:password@host:5432/database",
                  why);
    return false;
}

static bool ports_ok(const char *value)
{
    while (true) { // one for each host
        int port = 0;
        size_t n = strcspn(value, ",");
        for (size_t i = 0; i < n; i++) {
            if (value[i] < '0' || value[i] > '9' || i >= 5)
                return false;
            port = port * 10 + (value[i] - '0');
        }
        if ((n && port < 1) || port > 65535)
            return false;
        if (!value[n])
            return true;
        value += n + 1;
    }
}

static bool sslmode_ok(const char *value)
{
    static const char *const words[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(value, words[i]) == 0)
            return true;
    return false;
}

static bool options_ok(const PQconninfoOption *o, struct gtv_error *err)
{
    for (; o->keyword; o++) {
        if (!o->val || !*o->val)
            continue;
        if (strcmp(o->keyword, "port") == 0 && !ports_ok(o->val))
            return refuse(err, "the port is no number from 1 to 65535");
        if (strcmp(o->keyword, "sslmode") == 0 && !sslmode_ok(o->val))
            return refuse(err,
                          "sslmode is none of disable, allow, prefer, require, verify-ca and verify-full");
    }
    return true;
}

bool gtv_db_postgres_url_ok(const char *url, struct gtv_error *err)
{
    struct gtv_str s = gtv_str_of(url);
    char *why = NULL;
    if (!gtv_str_starts(s, GTV_STR("postgresql://")) && !gtv_str_starts(s, GTV_STR("postgres://")))
        return refuse(err, "it begins as a PostgreSQL address and is none");
    if (s.n >= 3 && memcmp(s.p + s.n - 3, "://", 3) == 0)
        return refuse(err, "it names no host and no database");
    PQconninfoOption *options = PQconninfoParse(url, &why);
    PQfreemem(why);
    if (!options)
        return refuse(err, "a part of it cannot be understood (signs such as @ / : % # of a password are "
                           "written %40 %2F %3A %25 %23)");
    bool ok = options_ok(options, err);
    PQconninfoFree(options);
    return ok;
}
