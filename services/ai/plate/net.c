#include "services/ai/plate/net.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum state {
    WANTED,  // not loaded yet
    LOADING, // a thread does it
    READY,
    FAILED, // `cause` says why, and does not change any more
};

struct gtv_plate_net {
    struct gtv_infer *runtime;
    const struct gtv_plate_model *description;
    const char *precision;
    const struct gtv_log *log;
    size_t slots;

    pthread_mutex_t lock; // of what follows
    pthread_cond_t changed;
    _Atomic(enum state) state; // written under the lock, read also without it
    bool *busy;                // of each slot
    struct gtv_infer_model *model;
    struct gtv_error cause;
};

struct gtv_plate_net *gtv_plate_net_create(struct gtv_infer *runtime, const struct gtv_plate_model *model,
                                           const char *precision, size_t slots, const struct gtv_log *log)
{
    struct gtv_plate_net *net = GTV_NEW(struct gtv_plate_net);
    net->runtime = runtime;
    net->description = model;
    net->precision = precision;
    net->slots = slots;
    net->log = log;
    net->busy = gtv_alloc(slots * sizeof(*net->busy));
    (void)pthread_mutex_init(&net->lock, NULL);
    (void)pthread_cond_init(&net->changed, NULL);
    atomic_init(&net->state, WANTED);
    return net;
}

void gtv_plate_net_destroy(struct gtv_plate_net *net)
{
    if (!net)
        return;
    gtv_infer_unload(net->model);
    (void)pthread_cond_destroy(&net->changed);
    (void)pthread_mutex_destroy(&net->lock);
    free(net->busy);
    free(net);
}

// ---- Loading ----

static bool fits(const struct gtv_plate_model *m, size_t count)
{
    switch (m->head) {
    case GTV_PLATE_HEAD_CORNERS:
        return count > 0 && count % 15 == 0;
    case GTV_PLATE_HEAD_TEXTMAP:
        return count == (size_t)m->input.width * (size_t)m->input.height;
    case GTV_PLATE_HEAD_SLOTS:
        return count == m->slots * (GTV_PLATE_SIGNS + 1);
    case GTV_PLATE_HEAD_CTC:
        return count > 0 && count % m->ctc.classes == 0 && count / m->ctc.classes <= GTV_PLATE_MAX_STEPS;
    case GTV_PLATE_HEADS:
        break;
    }
    return false;
}

static struct gtv_infer_model *load(struct gtv_plate_net *net, struct gtv_error *err)
{
    const struct gtv_plate_model *m = net->description;
    char outputs[1][GTV_INFER_NAME_CAP];
    memcpy(outputs[0], m->output, sizeof(outputs[0]));
    const struct gtv_infer_spec spec = {
        .path = m->path,
        .input = m->input,
        .outputs = outputs,
        .output_count = 1,
        .slots = net->slots,
        .precision = net->precision,
    };
    struct gtv_error cause = {0};
    int64_t start = gtv_mono_ns();
    struct gtv_infer_model *model = gtv_infer_load(net->runtime, &spec, &cause);
    if (!model) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, "LPR_MODEL", "The plate network %s cannot be used: %s", m->path,
                      cause.message);
        return NULL;
    }
    // Loading has run slot 0 once, so that the output has its size.
    size_t count = gtv_infer_output(model, 0, 0)->count;
    if (!fits(m, count)) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, "LPR_MODEL",
                      "The plate network %s does not match its description: its output has %zu values",
                      m->path, count);
        gtv_infer_unload(model);
        return NULL;
    }
    if (net->log)
        gtv_log_info(net->log, "plate network loaded", "model=%s precision=%s slots=%zu ms=%.0f", m->name,
                     gtv_infer_precision(model), net->slots, (double)(gtv_mono_ns() - start) / 1e6);
    return model;
}

// With the lock held, which is let go while it loads. False: it cannot be used.
static bool ensure(struct gtv_plate_net *net)
{
    while (atomic_load(&net->state) == LOADING)
        (void)pthread_cond_wait(&net->changed, &net->lock);
    if (atomic_load(&net->state) != WANTED)
        return atomic_load(&net->state) == READY;
    atomic_store(&net->state, LOADING);
    (void)pthread_mutex_unlock(&net->lock);
    struct gtv_error err = {0};
    struct gtv_infer_model *model = load(net, &err);
    if (!model && net->log)
        gtv_log_error(net->log, "a plate network is missing", "cause=\"%s\"", err.message);
    (void)pthread_mutex_lock(&net->lock);
    net->model = model;
    net->cause = err;
    atomic_store(&net->state, model ? READY : FAILED);
    (void)pthread_cond_broadcast(&net->changed);
    return model != NULL;
}

bool gtv_plate_net_load(struct gtv_plate_net *net)
{
    if (!net)
        return false;
    (void)pthread_mutex_lock(&net->lock);
    bool ok = ensure(net);
    (void)pthread_mutex_unlock(&net->lock);
    return ok;
}

bool gtv_plate_net_usable(const struct gtv_plate_net *net)
{
    return net && atomic_load(&net->state) != FAILED;
}

const char *gtv_plate_net_failure(const struct gtv_plate_net *net)
{
    return net && atomic_load(&net->state) == FAILED ? net->cause.message : NULL;
}

// ---- Running ----

static bool find_free(struct gtv_plate_net *net, size_t preferred, size_t *slot)
{
    for (size_t i = 0; i < net->slots; i++) {
        *slot = (preferred + i) % net->slots;
        if (!net->busy[*slot])
            return true;
    }
    return false;
}

bool gtv_plate_net_take(struct gtv_plate_net *net, size_t preferred, struct gtv_plate_run *out)
{
    if (!net)
        return false;
    (void)pthread_mutex_lock(&net->lock);
    bool ok = ensure(net);
    while (ok && !find_free(net, preferred, &out->slot))
        (void)pthread_cond_wait(&net->changed, &net->lock);
    if (ok) {
        net->busy[out->slot] = true;
        out->model = net->model;
        out->pixels = gtv_infer_pixels(net->model, out->slot);
    }
    (void)pthread_mutex_unlock(&net->lock);
    return ok;
}

const struct gtv_tensor *gtv_plate_net_run(const struct gtv_plate_run *run)
{
    struct gtv_error err = {0};
    return gtv_infer_run(run->model, run->slot, &err) ? gtv_infer_output(run->model, run->slot, 0) : NULL;
}

void gtv_plate_net_give(struct gtv_plate_net *net, const struct gtv_plate_run *run)
{
    (void)pthread_mutex_lock(&net->lock);
    net->busy[run->slot] = false;
    (void)pthread_cond_signal(&net->changed);
    (void)pthread_mutex_unlock(&net->lock);
}
