#include "lib/config/form.h"

#include "lib/base/url.h"
#include "lib/log/log.h"
#include "lib/net/address.h"

#include <arpa/inet.h>
#include <limits.h>
#include <sys/stat.h>

enum { ADDRESSES_CAP = 4096, PEERS_MAX = 32 };

bool gtv_form_fits_words(const struct gtv_form *form, struct gtv_str value)
{
    for (const char *const *w = form->words; *w; w++) {
        if (gtv_str_eq(value, gtv_str_of(*w)))
            return true;
    }
    return false;
}

bool gtv_form_fits_list(const struct gtv_form *form, struct gtv_str value)
{
    bool fits = value.n > 0;
    while (fits && value.n)
        fits = gtv_form_fits_words(form, gtv_str_trim(gtv_str_cut(&value, ',')));
    return fits;
}

static bool fits_level(const struct gtv_form *form, struct gtv_str value)
{
    enum gtv_log_level level;
    return gtv_log_level_parse(value, &level);
}

static bool fits_log_format(const struct gtv_form *form, struct gtv_str value)
{
    enum gtv_log_format format;
    return gtv_log_format_parse(value, &format);
}

static bool fits_host(const struct gtv_form *form, struct gtv_str value)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    return gtv_str_copy(text, sizeof(text), value) &&
           (inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1);
}

static bool are_addresses(struct gtv_str value, size_t max)
{
    char text[ADDRESSES_CAP];
    struct gtv_net_policy policy = {.count = 0};
    return gtv_str_copy(text, sizeof(text), value) && gtv_net_policy_parse(text, &policy, NULL) &&
           policy.count <= max;
}

static bool fits_addresses(const struct gtv_form *form, struct gtv_str value)
{
    return are_addresses(value, GTV_ALLOW_MAX);
}

static bool fits_peers(const struct gtv_form *form, struct gtv_str value)
{
    return are_addresses(value, PEERS_MAX);
}

static bool fits_http_url(const struct gtv_form *form, struct gtv_str value)
{
    struct gtv_url url;
    return gtv_url_parse(value, &url) &&
           (gtv_str_ieq(url.scheme, GTV_STR("http")) || gtv_str_ieq(url.scheme, GTV_STR("https")));
}

static bool fits_redis_url(const struct gtv_form *form, struct gtv_str value)
{
    struct gtv_url url;
    if (gtv_str_starts(value, GTV_STR("unix:///")))
        return true;
    return gtv_url_parse(value, &url) && gtv_str_ieq(url.scheme, GTV_STR("redis"));
}

static bool fits_folder(const struct gtv_form *form, struct gtv_str value)
{
    char path[PATH_MAX];
    struct stat st;
    return gtv_str_copy(path, sizeof(path), value) && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool fits_key(const struct gtv_form *form, struct gtv_str value)
{
    return value.n >= GTV_KEY_BYTES;
}

const struct gtv_form gtv_form_level = {"DEBUG, INFO, WARNING or ERROR", fits_level, NULL};
const struct gtv_form gtv_form_log_format = {"logfmt or json", fits_log_format, NULL};
const struct gtv_form gtv_form_host = {"an IP address", fits_host, NULL};
const struct gtv_form gtv_form_addresses = {"IP addresses and CIDRs, comma-separated, 64 at most",
                                            fits_addresses, NULL};
const struct gtv_form gtv_form_peers = {"IP addresses and CIDRs, comma-separated, 32 at most", fits_peers,
                                        NULL};
const struct gtv_form gtv_form_http_url = {"an http:// or https:// address", fits_http_url, NULL};
const struct gtv_form gtv_form_redis_url = {"redis://[user:pass@]host:port/db or unix:///path/to.sock?db=2",
                                            fits_redis_url, NULL};
const struct gtv_form gtv_form_folder = {"a folder that exists", fits_folder, NULL};
const struct gtv_form gtv_form_key = {"16 bytes or longer", fits_key, NULL};
