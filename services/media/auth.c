#include "services/media/auth.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/gojson.h"
#include "services/media/pattern.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdlib.h>

enum {
    WORD_MAX = 255,        // bytes of a user's name, password or path
    ARGON2_MEMORY = 16384, // KiB that a hash may ask for
    ARGON2_PASSES = 4,     // and its passes: together some 30 ms on the loop
    ARGON2_A_SECOND = 4,   // computed for logins not seen before
    SHA256_BYTES = 32,
    V4_PREFIX_BITS = 96,
};

struct permission {
    enum gtv_action action;
    char *path;                  // "": any
    struct gtv_pattern *pattern; // "~..." compiled; NULL: compare
};

struct network {
    uint8_t address[16]; // IPv4 mapped into IPv6
    unsigned bits;
    char *text;
};

struct user {
    char *name, *pass; // as configured
    struct network *ips;
    size_t ip_count;
    struct permission *permissions;
    size_t permission_count;
    // Of the pair that passed last, keyed: the next time it costs no hash.
    uint8_t known[SHA256_BYTES];
    bool has_known;
};

struct users {
    struct user *all;
    size_t count;
};

struct gtv_auth {
    struct users users;
    uint8_t key[crypto_generichash_KEYBYTES]; // of `known`
    int64_t second;                           // monotonic; of `computed`
    unsigned computed;
};

static const char *const action_names[] = {"publish", "read", "playback", "api", "metrics", "pprof"};
enum { ACTION_COUNT = sizeof action_names / sizeof action_names[0] };

static void free_users(struct users *u)
{
    for (size_t i = 0; i < u->count; i++) {
        struct user *user = &u->all[i];
        for (size_t k = 0; k < user->ip_count; k++) {
            free(user->ips[k].text);
        }
        for (size_t k = 0; k < user->permission_count; k++) {
            free(user->permissions[k].path);
            gtv_pattern_destroy(user->permissions[k].pattern);
        }
        free(user->ips);
        free(user->permissions);
        free(user->name);
        free(user->pass);
    }
    free(u->all);
    *u = (struct users){0};
}

// ---- Reading ----

static bool parse_address(struct gtv_str text, uint8_t out[16])
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char copy[INET6_ADDRSTRLEN];
    if (!gtv_str_copy(copy, sizeof copy, text)) {
        return false;
    }
    memcpy(out, prefix, sizeof prefix);
    return inet_pton(AF_INET, copy, out + 12) == 1 || inet_pton(AF_INET6, copy, out) == 1;
}

static bool parse_network(struct gtv_str text, struct network *out)
{
    struct gtv_str bits_text = text, address = gtv_str_cut(&bits_text, '/');
    if (!parse_address(address, out->address)) {
        return false;
    }
    bool v4 = gtv_str_find(address, ':') < 0;
    int64_t bits = v4 ? 32 : 128;
    if (address.n != text.n && !gtv_parse_int(bits_text, 0, bits, &bits)) {
        return false;
    }
    out->bits = (unsigned)bits + (v4 ? V4_PREFIX_BITS : 0);
    return true;
}

static bool in_network(const struct network *n, const uint8_t address[16])
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    return memcmp(n->address, address, whole) == 0 &&
           (rest == 0 || ((n->address[whole] ^ address[whole]) >> (8 - rest)) == 0);
}

static bool fail(struct gtv_error *err, const char *field, const char *text)
{
    gtv_error_set(err, GTV_E_BAD_REQUEST, field, "%s", text);
    return false;
}

static bool cut_prefix(struct gtv_str *s, struct gtv_str prefix)
{
    if (!gtv_str_starts(*s, prefix)) {
        return false;
    }
    s->p += prefix.n;
    s->n -= prefix.n;
    return true;
}

// "m=4096," and its like.
static bool cut_number(struct gtv_str *s, struct gtv_str name, char end, int64_t *out)
{
    return cut_prefix(s, name) && gtv_parse_int(gtv_str_cut(s, end), 1, INT32_MAX, out);
}

// A user or password: "", plain, "sha256:<base64>" or "argon2:<PHC string>".
static bool check_credential(struct gtv_str text, struct gtv_error *err)
{
    if (gtv_str_starts(text, GTV_STR("sha256:"))) {
        uint8_t hash[SHA256_BYTES];
        size_t n = 0;
        if (sodium_base642bin(hash, sizeof hash, text.p + 7, text.n - 7, NULL, &n, NULL,
                              sodium_base64_VARIANT_ORIGINAL) != 0 ||
            n != sizeof hash) {
            return fail(err, "authInternalUsers", "a hash behind 'sha256:' is not 32 bytes in base64");
        }
        return true;
    }
    if (!gtv_str_starts(text, GTV_STR("argon2:"))) {
        return true;
    }
    struct gtv_str rest = {text.p + 7, text.n - 7};
    int64_t memory = 0, passes = 0, lanes = 0;
    if (!cut_prefix(&rest, GTV_STR("$argon2id$v=19$")) || !cut_number(&rest, GTV_STR("m="), ',', &memory) ||
        !cut_number(&rest, GTV_STR("t="), ',', &passes) || !cut_number(&rest, GTV_STR("p="), '$', &lanes)) {
        return fail(err, "authInternalUsers",
                    "a hash behind 'argon2:' is not of the form $argon2id$v=19$m=...");
    }
    if (memory > ARGON2_MEMORY || passes > ARGON2_PASSES || lanes != 1 ||
        text.n - 7 >= crypto_pwhash_STRBYTES) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, "authInternalUsers",
                      "a hash behind 'argon2:' is too costly: at most m=%d,t=%d,p=1", ARGON2_MEMORY,
                      ARGON2_PASSES);
        return false;
    }
    return true;
}

static bool read_word(yyjson_val *value, struct gtv_str *out, struct gtv_error *err)
{
    *out = GTV_STR("");
    if (value == NULL || yyjson_is_null(value)) {
        return true;
    }
    if (!yyjson_is_str(value)) {
        return gtv_gojson_wrong_type(value, "string", "authInternalUsers", err);
    }
    *out = (struct gtv_str){yyjson_get_str(value), yyjson_get_len(value)};
    if (out->n > WORD_MAX || memchr(out->p, 0, out->n) != NULL) {
        return fail(err, "authInternalUsers",
                    "a name, password or path is longer than 255 bytes or has a NUL");
    }
    return true;
}

static bool check_keys(yyjson_val *object, const char *const *known, size_t n, const char *type,
                       struct gtv_error *err)
{
    if (!yyjson_is_obj(object)) {
        return gtv_gojson_wrong_type(object, type, "authInternalUsers", err);
    }
    size_t i, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, count, key, value)
    {
        size_t k = 0;
        while (k < n && !yyjson_equals_str(key, known[k])) {
            k++;
        }
        if (k == n) {
            return gtv_gojson_unknown_field((struct gtv_str){yyjson_get_str(key), yyjson_get_len(key)}, err);
        }
    }
    return true;
}

static bool read_permission(yyjson_val *object, struct permission *p, struct gtv_error *err)
{
    static const char *const keys[] = {"action", "path"};
    struct gtv_str action, path;
    if (!check_keys(object, keys, 2, "conf.AuthInternalUserPermission", err) ||
        !read_word(yyjson_obj_get(object, "action"), &action, err) ||
        !read_word(yyjson_obj_get(object, "path"), &path, err)) {
        return false;
    }
    size_t a = 0;
    while (a < ACTION_COUNT && !gtv_str_eq(action, gtv_str_of(action_names[a]))) {
        a++;
    }
    if (a == ACTION_COUNT) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, "authInternalUsers", "invalid auth action: '" GTV_STR_FMT "'",
                      GTV_STR_ARG(action));
        return false;
    }
    p->action = (enum gtv_action)a;
    p->path = gtv_strndup(path);
    if (path.n > 0 && path.p[0] == '~') {
        p->pattern = gtv_pattern_create((struct gtv_str){path.p + 1, path.n - 1}, err);
        return p->pattern != NULL;
    }
    return true;
}

// The array's length, or -1 with *err. Absent and null are empty.
static ptrdiff_t count_items(yyjson_val *list, const char *type, size_t max, struct gtv_error *err)
{
    if (list == NULL || yyjson_is_null(list)) {
        return 0;
    }
    if (!yyjson_is_arr(list)) {
        gtv_gojson_wrong_type(list, type, "authInternalUsers", err);
        return -1;
    }
    if (yyjson_arr_size(list) > max) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, "authInternalUsers", "too many entries: at most %zu", max);
        return -1;
    }
    return (ptrdiff_t)yyjson_arr_size(list);
}

static bool read_lists(yyjson_val *ips, yyjson_val *permissions, struct user *u, struct gtv_error *err)
{
    ptrdiff_t ip_count = count_items(ips, "[]string", GTV_AUTH_ITEMS_MAX, err);
    ptrdiff_t count =
        ip_count < 0 ? -1
                     : count_items(permissions, "[]conf.AuthInternalUserPermission", GTV_AUTH_ITEMS_MAX, err);
    if (count < 0) {
        return false;
    }
    u->ips = gtv_alloc(((size_t)ip_count + 1) * sizeof *u->ips);
    u->permissions = gtv_alloc(((size_t)count + 1) * sizeof *u->permissions);
    for (size_t i = 0; i < (size_t)ip_count; i++) {
        struct gtv_str text;
        struct network *n = &u->ips[i];
        *n = (struct network){0};
        if (!read_word(yyjson_arr_get(ips, i), &text, err)) {
            return false;
        }
        if (!parse_network(text, n)) {
            gtv_error_set(err, GTV_E_BAD_REQUEST, "authInternalUsers",
                          "unable to parse IP/CIDR '" GTV_STR_FMT "'", GTV_STR_ARG(text));
            return false;
        }
        n->text = gtv_strndup(text);
        u->ip_count++;
    }
    for (size_t i = 0; i < (size_t)count; i++) {
        u->permissions[i] = (struct permission){0};
        u->permission_count++;
        if (!read_permission(yyjson_arr_get(permissions, i), &u->permissions[i], err)) {
            return false;
        }
    }
    return true;
}

// What we answered comes back: the password that the user of this name has still holds.
static bool known_pass(const struct users *now, struct gtv_str name, struct gtv_str *pass,
                       struct gtv_error *err)
{
    for (size_t i = 0; i < now->count; i++) {
        if (gtv_str_eq(name, gtv_str_of(now->all[i].name))) {
            *pass = gtv_str_of(now->all[i].pass);
            return true;
        }
    }
    return fail(err, "authInternalUsers", "*** in place of a password stands for none that is known");
}

static bool read_user(yyjson_val *object, const struct users *now, struct user *u, struct gtv_error *err)
{
    static const char *const keys[] = {"user", "pass", "ips", "permissions"};
    struct gtv_str name, pass;
    if (!check_keys(object, keys, 4, "conf.AuthInternalUser", err) ||
        !read_word(yyjson_obj_get(object, "user"), &name, err) ||
        !read_word(yyjson_obj_get(object, "pass"), &pass, err) || !check_credential(name, err) ||
        !check_credential(pass, err)) {
        return false;
    }
    if (gtv_str_eq(pass, GTV_STR("***")) && !known_pass(now, name, &pass, err)) {
        return false;
    }
    if (name.n == 0) {
        return fail(err, "authInternalUsers", "empty usernames are not supported");
    }
    if (gtv_str_eq(name, GTV_STR("any")) && pass.n > 0) {
        return fail(err, "authInternalUsers", "using a password with 'any' user is not supported");
    }
    u->name = gtv_strndup(name);
    u->pass = gtv_strndup(pass);
    return read_lists(yyjson_obj_get(object, "ips"), yyjson_obj_get(object, "permissions"), u, err);
}

static const char default_users[] =
    "[{\"user\":\"any\",\"pass\":\"\",\"ips\":[],\"permissions\":[{\"action\":\"publish\",\"path\":\"\"},"
    "{\"action\":\"read\",\"path\":\"\"},{\"action\":\"playback\",\"path\":\"\"}]},"
    "{\"user\":\"any\",\"pass\":\"\",\"ips\":[\"127.0.0.1\",\"::1\"],\"permissions\":["
    "{\"action\":\"api\",\"path\":\"\"},{\"action\":\"metrics\",\"path\":\"\"},{\"action\":\"pprof\","
    "\"path\":\"\"}]}]";

bool gtv_auth_configure(struct gtv_auth *auth, yyjson_val *users, struct gtv_error *err)
{
    yyjson_doc *defaults = NULL;
    if (users == NULL || yyjson_is_null(users)) {
        defaults = yyjson_read(default_users, sizeof default_users - 1, YYJSON_READ_NOFLAG);
        users = yyjson_doc_get_root(defaults);
    }
    struct users next = {0};
    ptrdiff_t count = count_items(users, "[]conf.AuthInternalUser", GTV_AUTH_USERS_MAX, err);
    bool ok = count >= 0;
    next.all = gtv_alloc((ok ? (size_t)count + 1 : 1) * sizeof *next.all);
    for (size_t i = 0; ok && i < (size_t)count; i++) {
        next.all[i] = (struct user){0};
        next.count++;
        ok = read_user(yyjson_arr_get(users, i), &auth->users, &next.all[i], err);
    }
    if (ok) {
        struct users old = auth->users;
        auth->users = next;
        next = old;
    }
    free_users(&next);
    yyjson_doc_free(defaults);
    return ok;
}

struct gtv_auth *gtv_auth_create(void)
{
    struct gtv_auth *auth = GTV_NEW(struct gtv_auth);
    struct gtv_error err = {0};
    if (sodium_init() < 0) {
        abort(); // without random bytes nothing here is safe
    }
    randombytes_buf(auth->key, sizeof auth->key);
    if (!gtv_auth_configure(auth, NULL, &err)) {
        abort(); // our own text
    }
    return auth;
}

void gtv_auth_destroy(struct gtv_auth *auth)
{
    if (auth == NULL) {
        return;
    }
    free_users(&auth->users);
    free(auth);
}

yyjson_mut_val *gtv_auth_write(const struct gtv_auth *auth, yyjson_mut_doc *doc, bool redacted)
{
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    for (size_t i = 0; i < auth->users.count; i++) {
        const struct user *u = &auth->users.all[i];
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, o, "user", u->name);
        yyjson_mut_obj_add_strcpy(doc, o, "pass", redacted && u->pass[0] != '\0' ? "***" : u->pass);
        yyjson_mut_val *ips = yyjson_mut_obj_add_arr(doc, o, "ips"),
                       *permissions = yyjson_mut_obj_add_arr(doc, o, "permissions");
        for (size_t k = 0; k < u->ip_count; k++) {
            yyjson_mut_arr_add_strcpy(doc, ips, u->ips[k].text);
        }
        for (size_t k = 0; k < u->permission_count; k++) {
            yyjson_mut_val *p = yyjson_mut_arr_add_obj(doc, permissions);
            yyjson_mut_obj_add_str(doc, p, "action", action_names[u->permissions[k].action]);
            yyjson_mut_obj_add_strcpy(doc, p, "path", u->permissions[k].path);
        }
    }
    return list;
}

// ---- Checking ----

// Compares in a time that tells nothing of where the first difference is.
static bool same(const void *a, size_t a_len, const void *b, size_t b_len)
{
    uint8_t left[crypto_generichash_BYTES], right[crypto_generichash_BYTES];
    crypto_generichash(left, sizeof left, a, a_len, NULL, 0);
    crypto_generichash(right, sizeof right, b, b_len, NULL, 0);
    return sodium_memcmp(left, right, sizeof left) == 0;
}

static bool may_compute(struct gtv_auth *auth)
{
    int64_t second = gtv_mono_ms() / 1000;
    if (second != auth->second) {
        auth->second = second;
        auth->computed = 0;
    }
    return auth->computed++ < ARGON2_A_SECOND;
}

static bool matches(struct gtv_auth *auth, const char *wanted, struct gtv_str given)
{
    struct gtv_str w = gtv_str_of(wanted);
    if (gtv_str_starts(w, GTV_STR("sha256:"))) {
        uint8_t hash[SHA256_BYTES], expected[SHA256_BYTES];
        size_t n = 0;
        crypto_hash_sha256(hash, (const uint8_t *)given.p, given.n);
        return sodium_base642bin(expected, sizeof expected, w.p + 7, w.n - 7, NULL, &n, NULL,
                                 sodium_base64_VARIANT_ORIGINAL) == 0 &&
               n == sizeof expected && sodium_memcmp(hash, expected, sizeof hash) == 0;
    }
    if (gtv_str_starts(w, GTV_STR("argon2:"))) {
        return may_compute(auth) &&
               crypto_pwhash_str_verify(wanted + 7, given.n > 0 ? given.p : "", given.n) == 0;
    }
    return same(w.p, w.n, given.n > 0 ? given.p : "", given.n);
}

static bool is_hashed_slowly(const struct user *u)
{
    return strncmp(u->name, "argon2:", 7) == 0 || strncmp(u->pass, "argon2:", 7) == 0;
}

static void fingerprint(const struct gtv_auth *auth, const struct gtv_credentials *who,
                        uint8_t out[SHA256_BYTES])
{
    crypto_generichash_state state;
    uint64_t user_len = who->user.n;
    crypto_generichash_init(&state, auth->key, sizeof auth->key, SHA256_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)&user_len, sizeof user_len);
    crypto_generichash_update(&state, (const uint8_t *)who->user.p, who->user.n);
    crypto_generichash_update(&state, (const uint8_t *)who->pass.p, who->pass.n);
    crypto_generichash_final(&state, out, SHA256_BYTES);
}

static bool proves(struct gtv_auth *auth, struct user *u, const struct gtv_credentials *who)
{
    if (!is_hashed_slowly(u)) {
        return matches(auth, u->name, who->user) && matches(auth, u->pass, who->pass);
    }
    uint8_t mark[SHA256_BYTES];
    fingerprint(auth, who, mark);
    if (u->has_known && sodium_memcmp(mark, u->known, sizeof mark) == 0) {
        return true;
    }
    if (!matches(auth, u->name, who->user) || !matches(auth, u->pass, who->pass)) {
        return false;
    }
    memcpy(u->known, mark, sizeof mark);
    u->has_known = true;
    return true;
}

static bool permits(const struct user *u, enum gtv_action action, struct gtv_str path)
{
    for (size_t i = 0; i < u->permission_count; i++) {
        const struct permission *p = &u->permissions[i];
        if (p->action != action) {
            continue;
        }
        bool of_a_path = action == GTV_ACT_PUBLISH || action == GTV_ACT_READ || action == GTV_ACT_PLAYBACK;
        if (!of_a_path || p->path[0] == '\0' ||
            (p->pattern != NULL ? gtv_pattern_match(p->pattern, path, NULL)
                                : gtv_str_eq(path, gtv_str_of(p->path)))) {
            return true;
        }
    }
    return false;
}

static bool comes_from(const struct user *u, struct gtv_str address)
{
    uint8_t bytes[16];
    if (u->ip_count == 0) {
        return true;
    }
    if (!parse_address(address, bytes)) {
        return false;
    }
    for (size_t i = 0; i < u->ip_count; i++) {
        if (in_network(&u->ips[i], bytes)) {
            return true;
        }
    }
    return false;
}

enum gtv_auth_answer gtv_auth_check(const struct gtv_auth *auth, enum gtv_action action, struct gtv_str path,
                                    const struct gtv_credentials *who)
{
    // What is remembered of good pairs changes no answer.
    struct gtv_auth *a = (struct gtv_auth *)(uintptr_t)auth;
    for (size_t i = 0; i < a->users.count; i++) {
        struct user *u = &a->users.all[i];
        if (permits(u, action, path) && comes_from(u, who->address) &&
            (strcmp(u->name, "any") == 0 || proves(a, u, who))) {
            return GTV_AUTH_OK;
        }
    }
    return who->user.n == 0 && who->pass.n == 0 ? GTV_AUTH_ASK : GTV_AUTH_WRONG;
}

static bool is_hashed(const struct user *u)
{
    return strncmp(u->name, "sha256:", 7) == 0 || strncmp(u->pass, "sha256:", 7) == 0 || is_hashed_slowly(u);
}

bool gtv_auth_check_proof(const struct gtv_auth *auth, enum gtv_action action, struct gtv_str path,
                          struct gtv_str address,
                          bool (*proves_it)(void *arg, struct gtv_str user, struct gtv_str pass), void *arg)
{
    for (size_t i = 0; i < auth->users.count; i++) {
        const struct user *u = &auth->users.all[i];
        if (permits(u, action, path) && comes_from(u, address) &&
            (strcmp(u->name, "any") == 0 ||
             (!is_hashed(u) && proves_it(arg, gtv_str_of(u->name), gtv_str_of(u->pass))))) {
            return true;
        }
    }
    return false;
}

bool gtv_auth_takes_digest(const struct gtv_auth *auth)
{
    for (size_t i = 0; i < auth->users.count; i++) {
        if (is_hashed(&auth->users.all[i])) {
            return false;
        }
    }
    return true;
}

bool gtv_auth_is_open(const struct gtv_auth *auth, enum gtv_action action, struct gtv_str path,
                      struct gtv_str address)
{
    const struct gtv_credentials nobody = {.address = address};
    return gtv_auth_check(auth, action, path, &nobody) == GTV_AUTH_OK;
}
