#include "services/ai/watch/upload.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdlib.h>

struct gtv_upload {
    const struct gtv_s3 *s3;
    CURL *easy; // keeps its connection
    atomic_bool stopping;
};

struct gtv_upload *gtv_upload_create(const struct gtv_s3 *s3)
{
    struct gtv_upload *u = GTV_NEW(struct gtv_upload);
    u->s3 = s3;
    u->easy = curl_easy_init();
    if (!u->easy)
        abort(); // at the program's start
    return u;
}

void gtv_upload_destroy(struct gtv_upload *u)
{
    if (!u)
        return;
    curl_easy_cleanup(u->easy);
    free(u);
}

void gtv_upload_stop(struct gtv_upload *u)
{
    atomic_store(&u->stopping, true);
}

static int progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    struct gtv_upload *u = arg;
    return atomic_load(&u->stopping); // other than 0 ends the transfer
}

static size_t ignore(char *data, size_t size, size_t n, void *arg)
{
    return size * n;
}

static struct curl_slist *headers_of(const struct gtv_s3_headers *h)
{
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: image/jpeg");
    for (size_t i = 0; h->list[i]; i++)
        list = curl_slist_append(list, h->list[i]);
    return curl_slist_append(list, "Expect:"); // a picture is sent without asking first
}

bool gtv_upload_put(void *upload, const char *name, const struct gtv_bytes *picture, struct gtv_error *err)
{
    struct gtv_upload *u = upload;
    struct gtv_s3_headers signature;
    CURL *e = u->easy;
    char *url = gtv_s3_url(u->s3, name);
    gtv_s3_sign(u->s3, "PUT", name, gtv_bytes_str(picture), gtv_wall_ms(), &signature);
    struct curl_slist *headers = headers_of(&signature);
    curl_easy_reset(e);
    curl_easy_setopt(e, CURLOPT_URL, url);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, "PUT");
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)picture->len);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, (const char *)picture->data);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, (long)GTV_UPLOAD_CONNECT_S);
    curl_easy_setopt(e, CURLOPT_TIMEOUT, (long)GTV_UPLOAD_S);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, progress);
    curl_easy_setopt(e, CURLOPT_XFERINFODATA, u);
    CURLcode code = curl_easy_perform(e);
    long status = 0;
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    free(url);
    if (code == CURLE_OK && status / 100 == 2)
        return true;
    if (code != CURLE_OK)
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the store of pictures: %.100s", curl_easy_strerror(code));
    else if (status == 403 || status == 401)
        gtv_error_set(
            err, GTV_E_UPSTREAM, NULL,
            "the store of pictures refuses our key (it answered %ld): key, secret, region, or the clock",
            status);
    else
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the store of pictures answered %ld", status);
    return false;
}
