// infer.h over OpenVINO's C API.
#include "services/ai/infer/infer.h"

#include "lib/base/mem.h"
#include "services/ai/infer/blob.h"
#include "services/ai/infer/graph.h"

#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

struct gtv_infer {
    ov_core_t *core;
    char version[64];
    char *cache_dir; // NULL: none
    bool gpu, bf16;
    pthread_mutex_t lock; // of the core's own properties, which an import reads
};

struct slot {
    ov_infer_request_t *request;
    uint8_t *pixels; // of all its pictures, one after another
    ov_tensor_t *bound;
    int width; // of the pictures from the next run on
    struct gtv_tensor outputs[GTV_INFER_MAX_OUTPUTS];
};

struct gtv_infer_model {
    ov_compiled_model_t *compiled;
    struct gtv_blob blob;                                  // that it came from, or empty
    char names[GTV_INFER_MAX_OUTPUTS][GTV_INFER_NAME_CAP]; // empty: by index
    size_t output_count;
    struct gtv_infer_input input;
    size_t step;
    size_t slot_count;
    struct slot *slots;
    char precision[8];
};

// Whether the kernel offers a GPU at all: without one OpenVINO's plugin need not be loaded to hear that (19
// MiB).
static bool gpu_node(void)
{
    return access("/dev/dri", F_OK) == 0 || access("/dev/dxg", F_OK) == 0;
}

static bool gpu_listed(ov_core_t *core)
{
    char *devices = NULL;
    bool found = gpu_node() &&
                 ov_core_get_property(core, "GPU", ov_property_key_available_devices, &devices) == OK &&
                 devices && devices[0];
    ov_free(devices);
    return found;
}

// OpenVINO lists bf16 also where AVX-512 only imitates it.
static bool bf16_native(ov_core_t *core)
{
    char *listed = NULL;
    bool has = ov_core_get_property(core, "CPU", ov_property_key_device_capabilities, &listed) == OK &&
               listed && strstr(listed, "BF16");
    ov_free(listed);
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    bool avx512 = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1U << 5);
    bool amx = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1U << 22);
    has = has && (avx512 || amx);
#endif
    return has;
}

struct gtv_infer *gtv_infer_create(const char *cache_dir, struct gtv_error *err)
{
    struct gtv_infer *rt = GTV_NEW(struct gtv_infer);
    ov_status_e status = ov_core_create(&rt->core);
    if (status != OK) {
        gtv_graph_fail(err, status, "the OpenVINO runtime cannot start");
        free(rt);
        return NULL;
    }
    ov_version_t version = {0};
    if (ov_get_openvino_version(&version) == OK) {
        snprintf(rt->version, sizeof(rt->version), "OpenVINO %s", version.buildNumber);
        ov_version_free(&version);
    }
    if (cache_dir && (mkdir(cache_dir, 0777) == 0 || access(cache_dir, W_OK) == 0)) {
        rt->cache_dir = gtv_strdup(cache_dir);
        gtv_blob_sweep(cache_dir);
    }
    (void)pthread_mutex_init(&rt->lock, NULL);
    rt->gpu = gpu_listed(rt->core);
    rt->bf16 = bf16_native(rt->core);
    return rt;
}

enum { MAX_READERS = 16 };

struct readers {
    char *path[MAX_READERS];
    size_t count;
};

static int note_reader(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct readers *r = arg;
    if (info->dlpi_name && strstr(info->dlpi_name, "libopenvino_") && strstr(info->dlpi_name, "_frontend") &&
        r->count < MAX_READERS)
        r->path[r->count++] = gtv_strdup(info->dlpi_name);
    return 0;
}

// The core unloads its readers of files, and these leave behind what then nobody refers to any more. They
// stay until the process ends.
static void keep_readers(void)
{
    struct readers r = {0};
    (void)dl_iterate_phdr(note_reader, &r);
    for (size_t i = 0; i < r.count; i++) {
        void *handle = dlopen(r.path[i], RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
        if (handle)
            (void)dlclose(handle);
        free(r.path[i]);
    }
}

void gtv_infer_destroy(struct gtv_infer *rt)
{
    if (!rt)
        return;
    keep_readers();
    ov_core_free(rt->core);
    (void)pthread_mutex_destroy(&rt->lock);
    free(rt->cache_dir);
    free(rt);
}

bool gtv_infer_has_gpu(struct gtv_infer *rt)
{
    return rt->gpu;
}

bool gtv_infer_has_bf16(struct gtv_infer *rt)
{
    return rt->bf16;
}

const char *gtv_infer_version(const struct gtv_infer *rt)
{
    return rt->version;
}

// ---- Slots ----

static size_t picture_bytes(const struct gtv_infer_model *m, int width)
{
    return (size_t)width * (size_t)m->input.height * 3;
}

// Lets the request read the pictures where they lie: nothing is copied.
static ov_status_e bind_pictures(struct gtv_infer_model *m, struct slot *s)
{
    if (s->bound)
        return OK;
    const int64_t dims[4] = {(int64_t)m->step, m->input.height, s->width, 3};
    ov_shape_t shape = {0};
    ov_status_e status = ov_shape_create(4, dims, &shape);
    STEP(ov_tensor_create_from_host_ptr(U8, shape, s->pixels, &s->bound));
    STEP(ov_infer_request_set_input_tensor(s->request, s->bound));
    if (shape.dims)
        ov_shape_free(&shape);
    return status;
}

static bool open_slot(struct gtv_infer_model *m, struct slot *s, struct gtv_error *err)
{
    s->width = m->input.width;
    if (posix_memalign((void **)&s->pixels, 64, m->step * picture_bytes(m, s->width)) != 0) {
        s->pixels = NULL;
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "there is no memory for its pictures");
        return false;
    }
    ov_status_e status = ov_compiled_model_create_infer_request(m->compiled, &s->request);
    STEP(bind_pictures(m, s));
    return status == OK || gtv_graph_fail(err, status, "no inference request could be made");
}

static bool read_output(struct gtv_infer_model *m, struct slot *s, size_t i, struct gtv_error *err)
{
    struct gtv_tensor *out = &s->outputs[i];
    ov_tensor_t *tensor = NULL;
    ov_shape_t shape = {0};
    void *data = NULL;
    ov_status_e status = m->names[i][0] ? ov_infer_request_get_tensor(s->request, m->names[i], &tensor)
                                        : ov_infer_request_get_output_tensor_by_index(s->request, i, &tensor);
    STEP(ov_tensor_get_shape(tensor, &shape));
    STEP(ov_tensor_get_size(tensor, &out->count));
    STEP(ov_tensor_data(tensor, &data));
    if (status != OK) {
        char what[GTV_INFER_NAME_CAP + 32];
        snprintf(what, sizeof(what), "output %zu (%s) cannot be read", i, m->names[i]);
        gtv_graph_fail(err, status, what);
    } else {
        out->data = data;
        out->rank = shape.rank > GTV_INFER_MAX_DIMS
                        ? 0
                        : (size_t)shape.rank; // 0: more dimensions than any head knows
        for (size_t d = 0; d < out->rank; d++)
            out->dims[d] = (size_t)shape.dims[d];
    }
    if (shape.dims)
        ov_shape_free(&shape);
    if (tensor)
        ov_tensor_free(tensor); // the request keeps the memory
    return status == OK;
}

// ---- Loading ----

enum { MAX_PROPERTIES = 5 };

static size_t properties_of(const struct gtv_infer_spec *spec, const char *threads,
                            ov_property_t out[MAX_PROPERTIES])
{
    size_t n = 0;
    out[n++] = (ov_property_t){ov_property_key_num_streams, threads};
    if (!spec->gpu) {
        out[n++] = (ov_property_t){ov_property_key_inference_num_threads, threads};
        // Pinned threads fight with whatever else the machine runs on the same cores.
        out[n++] = (ov_property_t){ov_property_key_hint_enable_cpu_pinning, "NO"};
    }
    if (strcmp(spec->precision, "auto") != 0)
        out[n++] = (ov_property_t){ov_property_key_hint_inference_precision, spec->precision};
    return n;
}

// A slot of a CPU is one thread: several pictures in a run take it as long as one after another, and twice
// the memory. (Many networks, PicoDet's among them, have a batch of one built in besides.)
static size_t step_wanted(const struct gtv_infer_spec *spec)
{
    return spec->gpu && spec->batch > 1 && !spec->input.open_width ? spec->batch : 1;
}

static bool compile(struct gtv_infer *rt, struct gtv_infer_model *m, const struct gtv_infer_spec *spec,
                    size_t n, const ov_property_t *properties, struct gtv_error *err)
{
    ov_model_t *raw = gtv_graph_read(rt->core, spec->path, err), *graph = NULL;
    if (!raw)
        return false;
    graph = gtv_graph_build(raw, spec, m->step, err);
    if (!graph && m->step > 1) {
        // It cannot take several at once: one after another then, from a fresh copy.
        ov_model_free(raw);
        m->step = 1;
        raw = gtv_graph_read(rt->core, spec->path, err);
        graph = raw ? gtv_graph_build(raw, spec, 1, err) : NULL;
    }
    ov_status_e status = OK;
    if (graph) {
        status = ov_core_compile_model_props(rt->core, graph, spec->gpu ? "GPU" : "CPU", n, properties,
                                             &m->compiled);
        if (status != OK)
            gtv_graph_fail(err, status, "the network cannot be compiled");
        ov_model_free(graph);
    }
    if (raw)
        ov_model_free(raw);
    return m->compiled != NULL;
}

static void add_file(char *key, size_t cap, const char *path)
{
    struct stat st;
    size_t n = strlen(key);
    if (stat(path, &st) == 0 && n < cap)
        snprintf(key + n, cap - n, "|%s %lld %lld.%09ld", path, (long long)st.st_size,
                 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

// All that the compiled network depends on; the blob itself knows the processor and the runtime's version.
static bool key_of(struct gtv_infer *rt, const struct gtv_infer_spec *spec, char *out, size_t cap)
{
    const struct gtv_infer_input *in = &spec->input;
    char *real = realpath(spec->path, NULL);
    if (!real)
        return false;
    int n = snprintf(out, cap, "%s|%s %zu|%dx%d %d%d%d%d|%.9g|%.9g %.9g %.9g|%.9g %.9g %.9g", rt->version,
                     spec->precision, spec->slots, in->width, in->height, in->open_width, in->bgr, in->nhwc,
                     in->u8, in->scale, in->mean[0], in->mean[1], in->mean[2], in->deviation[0],
                     in->deviation[1], in->deviation[2]);
    add_file(out, cap, real);
    struct gtv_str s = gtv_str_of(real);
    if (gtv_str_ends(s, GTV_STR(".xml"))) {
        char *bin = gtv_asprintf("%.*s.bin", (int)(s.n - 4), real);
        add_file(out, cap, bin);
        free(bin);
    }
    free(real);
    return n > 0 && strlen(out) + 1 < cap;
}

static bool import(struct gtv_infer *rt, struct gtv_infer_model *m, const char *path, const char *key,
                   size_t n, const ov_property_t *properties)
{
    if (!gtv_blob_open(&m->blob, path, key))
        return false;
    (void)pthread_mutex_lock(&rt->lock);
    ov_status_e status = ov_core_set_properties(rt->core, "CPU", n, properties);
    STEP(ov_core_import_model(rt->core, m->blob.data, m->blob.size, "CPU", &m->compiled));
    (void)pthread_mutex_unlock(&rt->lock);
    // The imported network reads its weights where they lie.
    if (status != OK)
        gtv_blob_close(&m->blob);
    return status == OK;
}

// From the cache where it is there (neither the file's reader nor its compiler then takes time or memory),
// else from the file.
static bool obtain(struct gtv_infer *rt, struct gtv_infer_model *m, const struct gtv_infer_spec *spec,
                   struct gtv_error *err)
{
    char threads[24];
    snprintf(threads, sizeof(threads), "%zu", spec->slots);
    ov_property_t properties[MAX_PROPERTIES];
    size_t n = properties_of(spec, threads, properties);
    char *key = gtv_alloc(GTV_BLOB_KEY_CAP);
    char path[4096];
    const char *slash = strrchr(spec->path, '/');
    bool cached = rt->cache_dir && !spec->gpu && key_of(rt, spec, key, GTV_BLOB_KEY_CAP) &&
                  gtv_blob_path(rt->cache_dir, slash ? slash + 1 : spec->path, key, path, sizeof(path));
    bool ok = cached && gtv_graph_weights_there(spec->path, err) && import(rt, m, path, key, n, properties);
    if (!ok) {
        ok = compile(rt, m, spec, n, properties, err);
        if (ok && cached) {
            char *exported = gtv_asprintf("%s.%ld.%p.raw", path, (long)getpid(), (void *)m);
            if (ov_compiled_model_export_model(m->compiled, exported) == OK)
                gtv_blob_seal(exported, path, key);
            (void)unlink(exported);
            free(exported);
        }
    }
    free(key);
    return ok;
}

static void learn_precision(struct gtv_infer_model *m)
{
    char *value = NULL;
    if (ov_compiled_model_get_property(m->compiled, ov_property_key_hint_inference_precision, &value) == OK &&
        value)
        snprintf(m->precision, sizeof(m->precision), "%s",
                 strcmp(value, "bf16") == 0  ? "bf16"
                 : strcmp(value, "f16") == 0 ? "f16"
                                             : "f32");
    ov_free(value);
}

struct gtv_infer_model *gtv_infer_load(struct gtv_infer *rt, const struct gtv_infer_spec *spec,
                                       struct gtv_error *err)
{
    struct gtv_infer_model *m = GTV_NEW(struct gtv_infer_model);
    m->input = spec->input;
    m->step = step_wanted(spec);
    if (!obtain(rt, m, spec, err))
        goto fail;
    learn_precision(m);
    size_t outputs = 0;
    if (ov_compiled_model_outputs_size(m->compiled, &outputs) != OK || outputs > GTV_INFER_MAX_OUTPUTS ||
        spec->output_count > outputs) {
        gtv_error_set(err, GTV_E_INVALID, "outputs", "the network has %zu outputs, its description names %zu",
                      outputs, spec->output_count);
        goto fail;
    }
    m->output_count = spec->output_count ? spec->output_count : outputs;
    for (size_t i = 0; i < spec->output_count; i++)
        memcpy(m->names[i], spec->outputs[i], sizeof(m->names[i]));
    m->slots = gtv_alloc(spec->slots * sizeof(*m->slots));
    for (m->slot_count = 0; m->slot_count < spec->slots;) {
        // Counted before it is opened, so that a half-open one is released too.
        if (!open_slot(m, &m->slots[m->slot_count++], err))
            goto fail;
    }
    // One run now: names that do not exist, and whatever else fails late, are told at start and not to the
    // first client.
    memset(m->slots[0].pixels, 0, m->step * picture_bytes(m, m->input.width));
    if (!gtv_infer_run(m, 0, err))
        goto fail;
    (void)malloc_trim(0);    // what reading and compiling took
    gtv_blob_rest(&m->blob); // most weights have been copied into the order in which they are computed with
    return m;

fail:
    gtv_infer_unload(m);
    return NULL;
}

bool gtv_infer_describe(struct gtv_infer *rt, const char *path, int width, int height,
                        struct gtv_infer_facts *out, struct gtv_error *err)
{
    return gtv_graph_describe(rt->core, path, width, height, out, err);
}

void gtv_infer_unload(struct gtv_infer_model *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->slot_count; i++) {
        if (m->slots[i].request)
            ov_infer_request_free(m->slots[i].request);
        if (m->slots[i].bound)
            ov_tensor_free(m->slots[i].bound);
        free(m->slots[i].pixels);
    }
    free(m->slots);
    if (m->compiled)
        ov_compiled_model_free(m->compiled);
    gtv_blob_close(&m->blob);
    free(m);
}

// ---- Running ----

const char *gtv_infer_precision(const struct gtv_infer_model *m)
{
    return m->precision;
}

size_t gtv_infer_step(const struct gtv_infer_model *m)
{
    return m->step;
}

uint8_t *gtv_infer_pixels(struct gtv_infer_model *m, size_t slot)
{
    return m->slots[slot].pixels;
}

uint8_t *gtv_infer_picture(struct gtv_infer_model *m, size_t slot, size_t picture)
{
    struct slot *s = &m->slots[slot];
    return s->pixels + picture * picture_bytes(m, s->width);
}

bool gtv_infer_set_width(struct gtv_infer_model *m, size_t slot, int width, struct gtv_error *err)
{
    struct slot *s = &m->slots[slot];
    if (width < 1 || width > m->input.width || (width != m->input.width && !m->input.open_width)) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "a width of %d is not possible: at most %d", width,
                      m->input.width);
        return false;
    }
    if (width != s->width && s->bound) {
        ov_tensor_free(s->bound);
        s->bound = NULL;
    }
    s->width = width;
    return true;
}

bool gtv_infer_run(struct gtv_infer_model *m, size_t slot, struct gtv_error *err)
{
    return gtv_infer_run_pictures(m, slot, 1, err);
}

bool gtv_infer_run_pictures(struct gtv_infer_model *m, size_t slot, size_t count, struct gtv_error *err)
{
    struct slot *s = &m->slots[slot];
    if (count == 0 || count > m->step) {
        gtv_error_set(err, GTV_E_INTERNAL, NULL, "%zu pictures are not a run of this network", count);
        return false;
    }
    ov_status_e status = bind_pictures(m, s);
    STEP(ov_infer_request_infer(s->request));
    if (status != OK)
        return gtv_graph_fail(err, status, "the inference failed");
    for (size_t i = 0; i < m->output_count; i++) {
        if (!read_output(m, s, i, err))
            return false;
    }
    return true;
}

size_t gtv_infer_output_count(const struct gtv_infer_model *m)
{
    return m->output_count;
}

const struct gtv_tensor *gtv_infer_output(const struct gtv_infer_model *m, size_t slot, size_t i)
{
    return &m->slots[slot].outputs[i];
}

const char *gtv_infer_library(void)
{
    static char text[64]; // main asks, before threads start
    ov_version_t version = {0};
    if (!text[0] && ov_get_openvino_version(&version) == OK) {
        snprintf(text, sizeof(text), "%s", version.buildNumber ? version.buildNumber : "");
        ov_version_free(&version);
    }
    return text;
}
