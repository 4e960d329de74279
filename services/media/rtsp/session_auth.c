// Credentials of RTSP requests: Basic and Digest against the node's users.
#include "services/media/rtsp/session_internal.h"

#include "lib/metrics/metrics.h"

#include <openssl/crypto.h>
#include <sodium.h>
#include <stdio.h>

static const char realm[] = "mediamtx";

// What a request brings, as slices of it (Basic: of `plain`).
struct given {
    bool basic, digest;
    char plain[1024];
    struct gtv_str user, pass;
    struct gtv_digest_input input;
    struct gtv_str response;
};

static bool has_scheme(struct gtv_str *value, struct gtv_str scheme)
{
    if (value->n <= scheme.n || !gtv_str_ieq((struct gtv_str){value->p, scheme.n}, scheme) ||
        value->p[scheme.n] != ' ') {
        return false;
    }
    *value = gtv_str_trim((struct gtv_str){value->p + scheme.n, value->n - scheme.n});
    return true;
}

static void read_basic(struct given *g, struct gtv_str text)
{
    size_t n = 0;
    if (sodium_base642bin((unsigned char *)g->plain, sizeof g->plain, text.p, text.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return;
    }
    struct gtv_str rest = {g->plain, n};
    g->basic = gtv_str_find(rest, ':') >= 0;
    g->user = gtv_str_cut(&rest, ':');
    g->pass = rest;
}

static void read_digest(struct given *g, const struct gtv_rtsp_message *m, struct gtv_str text)
{
    struct gtv_str algorithm = gtv_digest_parameter(text, "algorithm");
    g->input = (struct gtv_digest_input){
        .scheme = gtv_str_ieq(algorithm, GTV_STR("SHA-256")) ? GTV_DIGEST_SHA256 : GTV_DIGEST_MD5,
        .user = gtv_digest_parameter(text, "username"),
        .realm = gtv_digest_parameter(text, "realm"),
        .method = m->method,
        .uri = gtv_digest_parameter(text, "uri"),
        .nonce = gtv_digest_parameter(text, "nonce"),
        .qop = gtv_digest_parameter(text, "qop").n > 0,
        .nc = gtv_digest_parameter(text, "nc"),
        .cnonce = gtv_digest_parameter(text, "cnonce")};
    g->response = gtv_digest_parameter(text, "response");
    g->digest = true;
}

static void read_given(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m, struct given *g)
{
    struct gtv_str value = gtv_rtsp_header(m, "Authorization");
    if (s->env->basic && has_scheme(&value, GTV_STR("Basic"))) {
        read_basic(g, value);
    } else if (s->env->digest && has_scheme(&value, GTV_STR("Digest"))) {
        read_digest(g, m, value);
    }
}

// Whether the digest was made with this password.
static bool proves(void *arg, struct gtv_str user, struct gtv_str pass)
{
    const struct given *g = arg;
    struct gtv_digest_input input = g->input;
    char expected[GTV_DIGEST_HEX];
    input.pass = pass;
    if (!gtv_str_eq(user, input.user) || !gtv_digest_response(&input, expected)) {
        return false;
    }
    size_t n = strlen(expected);
    return g->response.n == n && CRYPTO_memcmp(g->response.p, expected, n) == 0;
}

static enum gtv_auth_answer check(struct gtv_rtsp_session *s, enum gtv_action action, const char *name,
                                  struct given *g)
{
    struct gtv_str path = gtv_str_of(name), address = gtv_str_of(s->address);
    if (!g->digest) {
        const struct gtv_credentials who = {g->user, g->pass, address};
        return gtv_auth_check(s->env->auth, action, path, &who);
    }
    // A nonce of another connection proves nothing here: a new one is asked for.
    if (!gtv_str_eq(g->input.nonce, gtv_str_of(s->nonce)) || !gtv_str_eq(g->input.realm, gtv_str_of(realm))) {
        return gtv_auth_is_open(s->env->auth, action, path, address) ? GTV_AUTH_OK : GTV_AUTH_ASK;
    }
    g->user = g->input.user;
    return gtv_auth_check_proof(s->env->auth, action, path, address, proves, g) ? GTV_AUTH_OK
                                                                                : GTV_AUTH_WRONG;
}

static void challenge(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    struct gtv_buf out;
    gtv_rtsp_answer_begin(s, m, 401, &out);
    // A hashed password cannot be compared with a digest; clients would take that scheme first.
    if (s->env->digest && gtv_auth_takes_digest(s->env->auth)) {
        gtv_rtsp_write_header(&out, "WWW-Authenticate", "Digest realm=\"%s\", nonce=\"%s\"", realm, s->nonce);
    }
    if (s->env->basic) {
        gtv_rtsp_write_header(&out, "WWW-Authenticate", "Basic realm=\"%s\"", realm);
    }
    gtv_rtsp_answer_end(s, &out, NULL, GTV_STR(""));
}

bool gtv_rtsp_authorise(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m, enum gtv_action action,
                        const char *name, enum gtv_rtsp_outcome *outcome)
{
    struct given g = {0};
    *outcome = GTV_RTSP_DONE;
    if (s->delayed) {
        s->delayed = false;
        challenge(s, m);
        if (s->tries >= GTV_RTSP_AUTH_TRIES) {
            gtv_rtsp_end(s, "unauthorised", "too many wrong passwords");
        }
        return false;
    }
    if (s->allowed_action == (int)action && strcmp(s->allowed_name, name) == 0) {
        return true;
    }
    read_given(s, m, &g);
    switch (check(s, action, name, &g)) {
    case GTV_AUTH_OK:
        s->allowed_action = (int)action;
        snprintf(s->allowed_name, sizeof s->allowed_name, "%s", name);
        if (!gtv_str_copy(s->conn_row.user, sizeof s->conn_row.user, g.user)) {
            s->conn_row.user[0] = '\0'; // only shown
        }
        return true;
    case GTV_AUTH_ASK:
        challenge(s, m);
        return false;
    case GTV_AUTH_WRONG:
        gtv_counter_add(s->env->auth_failures, 1);
        gtv_log_warn(&s->log, "wrong credentials", "from=%s path=%s", s->conn_row.remote, name);
        s->tries++;
        s->held = true;
        s->delay_ms = s->now_ms + GTV_RTSP_AUTH_DELAY_MS;
        *outcome = GTV_RTSP_HELD;
        return false;
    }
    return false;
}
