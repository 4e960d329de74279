// Phases: a name is resolved -> its addresses are tried in turn -> TLS, where it is asked for -> open ->
// closed. Closed at any time; freed when its handle, its name request and its writes have ended.
#include "lib/rtsp/link.h"

#include "lib/av/av.h"
#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/rtsp/hub.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

struct gtv_link {
    struct gtv_link_options options;
    struct gtv_link_callbacks callbacks;
    void *arg;
    uv_tcp_t tcp;
    uv_getaddrinfo_t naming;
    uv_connect_t connecting;
    struct addrinfo *addresses; // all that the name has
    struct addrinfo *next;      // to be tried
    struct sockaddr_storage peer;
    char denied[160];
    bool has_tcp, busy_naming, open, closed, ended;
    unsigned busy; // writes and callbacks under way: the link is not freed below them
    size_t keep_max;
    struct gtv_buf kept; // what was left over

    SSL *ssl;
    BIO *in, *out; // SSL's own
};

struct write {
    uv_write_t req;
    struct gtv_link *link;
    char data[];
};

static void free_if_done(struct gtv_link *l)
{
    if (!l->closed || l->has_tcp || l->busy_naming || l->busy > 0) {
        return;
    }
    if (l->addresses != NULL) {
        uv_freeaddrinfo(l->addresses);
    }
    SSL_free(l->ssl);
    gtv_buf_finish(&l->kept);
    free(l);
}

static void on_closed(uv_handle_t *handle)
{
    struct gtv_link *l = handle->data;
    l->has_tcp = false;
    free_if_done(l);
}

static void close_tcp(struct gtv_link *l)
{
    if (l->has_tcp && !uv_is_closing((uv_handle_t *)&l->tcp)) {
        uv_close((uv_handle_t *)&l->tcp, on_closed);
    }
}

static void enter(struct gtv_link *l)
{
    l->busy++;
}

static void leave(struct gtv_link *l)
{
    l->busy--;
    free_if_done(l);
}

static void end(struct gtv_link *l, const char *code, const char *text)
{
    if (l->closed || l->ended) {
        return;
    }
    l->ended = true;
    if (l->has_tcp && l->open) {
        uv_read_stop((uv_stream_t *)&l->tcp);
    }
    l->callbacks.on_end(l->arg, code, text);
}

static void end_with(struct gtv_link *l, int averror)
{
    end(l, gtv_av_cause_code(averror), gtv_av_cause(averror));
}

// ---- Bytes out ----

static void on_written(uv_write_t *req, int status)
{
    struct write *w = (struct write *)req;
    struct gtv_link *l = w->link;
    free(w);
    if (status < 0 && status != UV_ECANCELED) {
        end_with(l, status);
    }
    leave(l);
}

static bool send_raw(struct gtv_link *l, const char *data, size_t n)
{
    uv_stream_t *stream = (uv_stream_t *)&l->tcp;
    size_t waiting = uv_stream_get_write_queue_size(stream);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)n);
    int sent = waiting == 0 ? uv_try_write(stream, &buf, 1) : UV_EAGAIN;
    if (sent < 0 && sent != UV_EAGAIN) {
        return false;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    if (done == n) {
        return true;
    }
    if (waiting + n - done > GTV_LINK_QUEUE_MAX) {
        return false;
    }
    struct write *w = malloc(sizeof *w + n - done);
    if (w == NULL) {
        return false;
    }
    w->link = l;
    memcpy(w->data, data + done, n - done);
    buf = uv_buf_init(w->data, (unsigned)(n - done));
    if (uv_write(&w->req, stream, &buf, 1, on_written) != 0) {
        free(w);
        return false;
    }
    enter(l);
    return true;
}

// Sends what TLS has to say.
static bool send_sealed(struct gtv_link *l)
{
    char data[4096];
    int n;
    while ((n = BIO_read(l->out, data, sizeof data)) > 0) {
        if (!send_raw(l, data, (size_t)n)) {
            return false;
        }
    }
    return true;
}

bool gtv_link_write(struct gtv_link *l, const void *data, size_t n)
{
    if (!l->open || l->closed || l->ended || n == 0) {
        return n == 0;
    }
    if (l->ssl == NULL) {
        return send_raw(l, data, n);
    }
    ERR_clear_error();
    return SSL_write(l->ssl, data, (int)n) == (int)n && send_sealed(l);
}

size_t gtv_link_queued(const struct gtv_link *l)
{
    return l->has_tcp ? uv_stream_get_write_queue_size((const uv_stream_t *)&l->tcp) : 0;
}

// ---- Bytes in ----

// Hands over `n` bytes that stand behind what was kept, at the beginning of `buffer`.
static void hand_over(struct gtv_link *l, char *buffer, size_t n)
{
    size_t used = l->callbacks.on_data(l->arg, (struct gtv_str){buffer, n});
    if (l->closed || l->ended) {
        return;
    }
    gtv_buf_reset(&l->kept);
    if (n - used > l->keep_max || (used < n && !gtv_buf_append(&l->kept, buffer + used, n - used))) {
        end(l, "invalid_data", "the answer is no stream: invalid data");
    }
    if (n == used && l->kept.cap > 4096) {
        gtv_buf_finish(&l->kept); // whoever needed it once may never again
    }
}

// Puts what was kept in front; returns its length.
static size_t put_kept(struct gtv_link *l, char *buffer)
{
    if (l->kept.len > 0) {
        memcpy(buffer, l->kept.data, l->kept.len);
    }
    return l->kept.len;
}

static bool certificate_is_known(struct gtv_link *l)
{
    if (l->options.fingerprint[0] == '\0') {
        return true;
    }
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char text[2 * EVP_MAX_MD_SIZE + 1] = "";
    X509 *certificate = SSL_get1_peer_certificate(l->ssl);
    bool ok = certificate != NULL && X509_digest(certificate, EVP_sha256(), sum, &n) == 1;
    X509_free(certificate);
    for (unsigned i = 0; ok && i < n; i++) {
        snprintf(text + (size_t)i * 2, 3, "%02x", sum[i]);
    }
    return ok && gtv_str_ieq(gtv_str_of(text), gtv_str_of(l->options.fingerprint));
}

static void opened(struct gtv_link *l)
{
    l->open = true;
    l->callbacks.on_open(l->arg);
}

// False while the handshake goes on, or when it failed.
static bool shake_hands(struct gtv_link *l)
{
    ERR_clear_error();
    int done = SSL_do_handshake(l->ssl);
    int why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(l->ssl, done);
    if (!send_sealed(l) || (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ)) {
        end_with(l, GTV_AVERROR_TLS);
        return false;
    }
    if (done != 1) {
        return false;
    }
    if (!certificate_is_known(l)) {
        end(l, "tls", "TLS failed: the certificate is not the one of sourceFingerprint");
        return false;
    }
    opened(l);
    return !l->closed && !l->ended;
}

static void read_sealed(struct gtv_link *l, const char *data, size_t n)
{
    if (BIO_write(l->in, data, (int)n) != (int)n) {
        end_with(l, GTV_AVERROR_TLS);
        return;
    }
    if (!l->open && !shake_hands(l)) {
        return;
    }
    char *clear = gtv_rtsp_hub_clear_buffer(l->options.hub);
    while (!l->closed && !l->ended) {
        size_t kept = put_kept(l, clear), got = 0;
        ERR_clear_error();
        if (SSL_read_ex(l->ssl, clear + kept, GTV_LINK_READ_BYTES - kept, &got) != 1) {
            int why = SSL_get_error(l->ssl, 0);
            if (why == SSL_ERROR_ZERO_RETURN) {
                end_with(l, AVERROR_EOF);
            } else if (why != SSL_ERROR_WANT_READ || !send_sealed(l)) {
                end_with(l, GTV_AVERROR_TLS);
            }
            return;
        }
        hand_over(l, clear, kept + got);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct gtv_link *l = handle->data;
    char *buffer = gtv_rtsp_hub_buffer(l->options.hub);
    size_t kept = l->ssl == NULL ? put_kept(l, buffer) : 0;
    (void)suggested;
    *buf = uv_buf_init(buffer + kept, (unsigned)(GTV_LINK_READ_BYTES - kept));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct gtv_link *l = stream->data;
    if (n == 0 || l->closed || l->ended) {
        return;
    }
    enter(l);
    if (n < 0) {
        end_with(l, n == UV_EOF ? AVERROR_EOF : (int)n);
    } else if (l->ssl != NULL) {
        read_sealed(l, buf->base, (size_t)n);
    } else {
        hand_over(l, gtv_rtsp_hub_buffer(l->options.hub), l->kept.len + (size_t)n);
    }
    leave(l);
}

// ---- Connecting ----

static bool begin_tls(struct gtv_link *l)
{
    SSL_CTX *context = gtv_rtsp_hub_tls(l->options.hub);
    l->ssl = context != NULL ? SSL_new(context) : NULL;
    if (l->ssl == NULL) {
        return false;
    }
    l->in = BIO_new(BIO_s_mem());
    l->out = BIO_new(BIO_s_mem());
    if (l->in == NULL || l->out == NULL) {
        BIO_free(l->in);
        BIO_free(l->out);
        return false;
    }
    SSL_set_bio(l->ssl, l->in, l->out);
    SSL_set_connect_state(l->ssl);
    struct in6_addr any;
    bool numeric =
        inet_pton(AF_INET, l->options.host, &any) == 1 || inet_pton(AF_INET6, l->options.host, &any) == 1;
    return numeric || SSL_set_tlsext_host_name(l->ssl, l->options.host) == 1;
}

static void try_next(struct gtv_link *l, int failed);

static void on_connected(uv_connect_t *req, int status)
{
    struct gtv_link *l = req->data;
    enter(l);
    if (l->closed) {
        leave(l);
        return;
    }
    if (status < 0) {
        try_next(l, status);
        leave(l);
        return;
    }
    uv_tcp_nodelay(&l->tcp, 1);
    if (uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read) != 0) {
        end_with(l, AVERROR(EIO));
    } else if (!l->options.tls) {
        opened(l);
    } else if (!begin_tls(l)) {
        end_with(l, GTV_AVERROR_TLS);
    } else {
        (void)shake_hands(l);
    }
    leave(l);
}

static void connect_next(struct gtv_link *l)
{
    const struct addrinfo *to = l->next;
    l->next = to->ai_next;
    int failed = uv_tcp_init(gtv_loop_uv(gtv_rtsp_hub_loop(l->options.hub)), &l->tcp);
    if (failed != 0) {
        end_with(l, failed);
        return;
    }
    l->has_tcp = true;
    l->tcp.data = l->connecting.data = l;
    memcpy(&l->peer, to->ai_addr, to->ai_addrlen);
    failed = uv_tcp_connect(&l->connecting, &l->tcp, to->ai_addr, on_connected);
    if (failed != 0) {
        try_next(l, failed);
    }
}

static void on_closed_for_next(uv_handle_t *handle)
{
    struct gtv_link *l = handle->data;
    l->has_tcp = false;
    if (l->closed) {
        free_if_done(l);
        return;
    }
    enter(l);
    connect_next(l);
    leave(l);
}

// The address did not answer: the next one, or the end.
static void try_next(struct gtv_link *l, int failed)
{
    if (l->next == NULL) {
        end_with(l, failed);
        return;
    }
    uv_close((uv_handle_t *)&l->tcp, on_closed_for_next);
}

static void use_addresses(struct gtv_link *l)
{
    const char *why = l->options.policy != NULL ? gtv_net_denied_any(l->options.policy, l->addresses) : NULL;
    if (why != NULL) {
        snprintf(l->denied, sizeof l->denied,
                 "the camera's address is off-limits (%s); the operator can allow it with GTV_CAMERA_ALLOW",
                 why);
        end(l, "denied", l->denied);
        return;
    }
    l->next = l->addresses;
    connect_next(l);
}

static void on_named(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct gtv_link *l = req->data;
    l->busy_naming = false;
    if (l->options.running != NULL) {
        atomic_fetch_sub(l->options.running, 1);
    }
    l->addresses = found;
    enter(l);
    if (!l->closed) {
        if (status != 0 || found == NULL) {
            end_with(l, GTV_AVERROR_NAME);
        } else {
            use_addresses(l);
        }
    }
    leave(l);
}

struct gtv_link *gtv_link_open(const struct gtv_link_options *options, size_t keep_max,
                               const struct gtv_link_callbacks *callbacks, void *arg)
{
    struct gtv_link *l = GTV_NEW(struct gtv_link);
    l->options = *options;
    l->keep_max = keep_max;
    l->callbacks = *callbacks;
    l->arg = arg;
    l->naming.data = l;
    gtv_buf_init(&l->kept, GTV_LINK_READ_BYTES / 2);
    char port[8];
    snprintf(port, sizeof port, "%d", options->port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    // On libuv's pool even for plain numbers: on_end must not come before this returned.
    if (uv_getaddrinfo(gtv_loop_uv(gtv_rtsp_hub_loop(options->hub)), &l->naming, on_named, options->host,
                       port, &hints) != 0) {
        free(l);
        return NULL;
    }
    l->busy_naming = true;
    if (options->running != NULL) {
        atomic_fetch_add(options->running, 1);
    }
    return l;
}

void gtv_link_close(struct gtv_link *l)
{
    if (l == NULL || l->closed) {
        return;
    }
    l->closed = true;
    if (l->busy_naming) {
        (void)uv_cancel((uv_req_t *)&l->naming); // where it runs already, its end is waited for
    }
    close_tcp(l);
    free_if_done(l);
}

const struct sockaddr_storage *gtv_link_peer(const struct gtv_link *l)
{
    return &l->peer;
}

bool gtv_link_local(const struct gtv_link *l, struct sockaddr_storage *out)
{
    int n = sizeof *out;
    return l->has_tcp && uv_tcp_getsockname(&l->tcp, (struct sockaddr *)out, &n) == 0;
}
