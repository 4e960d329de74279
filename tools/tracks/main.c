// gtv-ai-clip: what the ai program would say of a clip. See README.md.
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "services/ai/gate/gate.h"
#include "services/ai/scene/scene.h"
#include "tools/tracks/told.h"

#include <getopt.h>
#include <stdlib.h>

static const int64_t CLOCK_MS = 1767225600000; // a clip's first frame is at the beginning of 2026
enum { GATE_WIDTH = 160, GATE_HEIGHT = 90 };

struct options {
    struct gtv_clip_config clip;
    const char *scene, *saved, *save, *lpr;
    bool events, tracks, gate, told;
    double camera_confidence, plates_ms;
};

struct program {
    struct options options;
    struct gtv_scene_settings settings;
    struct gtv_clip *clip;
    struct gtv_tracker *tracker;
    struct gtv_scene *scene;
    struct gtv_gate *gate;
    struct gtv_told *told;
    int64_t now_ms;
    int width, height;
    size_t looks, moving, frames, said[GTV_HAPPENING_KINDS];
    int64_t track_ns, track_most_ns, scene_ns, gate_ns;
    struct gtv_track_event changes[GTV_TRACK_EVENTS_MAX];
    struct gtv_happening happenings[GTV_SCENE_MAX_HAPPENINGS];
};

// ---- Output ----

static void put(yyjson_mut_doc *doc)
{
    struct gtv_bytes *text = gtv_json_write(doc);
    if (text)
        printf("%.*s\n", (int)text->len, (const char *)text->data);
    gtv_bytes_unref(text);
}

static void say_happening(const struct gtv_happening *h)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_str(doc, o, "event", gtv_happening_name(h->kind));
    yyjson_mut_obj_add_real(doc, o, "t_s", (double)(h->wall_ms - CLOCK_MS) / 1000);
    yyjson_mut_obj_add_uint(doc, o, "track", h->track);
    yyjson_mut_obj_add_str(doc, o, "object_type", gtv_vehicle_names[h->vehicle]);
    yyjson_mut_obj_add_real(doc, o, "confidence", h->confidence);
    yyjson_mut_obj_add_real(doc, o, "x", h->x);
    yyjson_mut_obj_add_real(doc, o, "y", h->y);
    gtv_json_add_text(doc, o, "id", h->id);
    gtv_json_add_text(doc, o, "direction", h->direction);
    yyjson_mut_obj_add_real(doc, o, "seconds", h->seconds);
    if (h->kind == GTV_SPEED_MEASURED)
        yyjson_mut_obj_add_real(doc, o, "speed_kmh", h->speed_kmh);
    put(doc);
}

static void say_track(const struct program *p, const struct gtv_track_event *e)
{
    static const char *const words[] = {"started", "updated", "missed", "ended"};
    const struct gtv_track *t = e->track;
    printf(
        "{\"track\":%llu,\"change\":\"%s\",\"t_s\":%.3f,\"object_type\":\"%s\",\"share\":%.2f,\"looks\":%u,"
        "\"box\":[%.1f,%.1f,%.1f,%.1f],\"v\":[%.1f,%.1f]}\n",
        (unsigned long long)t->id, words[e->change], (double)(p->now_ms - CLOCK_MS) / 1000,
        gtv_vehicle_names[t->vehicle], t->vehicle_share, t->looks, t->box.x, t->box.y, t->box.w, t->box.h,
        t->vx, t->vy);
}

static void say_gate(const struct program *p, const struct gtv_gate_result *r)
{
    printf("{\"gate\":%s,\"t_s\":%.3f,\"share\":%.4f,\"box\":[%.3f,%.3f,%.3f,%.3f],\"faults\":%u}\n",
           r->motion ? "true" : "false", (double)(p->now_ms - CLOCK_MS) / 1000, r->share, r->x, r->y, r->w,
           r->h, r->faults);
}

static void add_line(const struct program *p, size_t i, yyjson_mut_doc *doc, yyjson_mut_val *o)
{
    struct gtv_line_count c;
    if (!gtv_scene_count(p->scene, i, p->now_ms, &c))
        return;
    yyjson_mut_val *line = yyjson_mut_obj_add_obj(doc, o, c.id);
    static const char *const directions[] = {"backward", "forward"};
    for (int d = 0; d < 2; d++) {
        yyjson_mut_val *v = yyjson_mut_obj_add_obj(doc, line, directions[d]);
        uint64_t all = 0;
        for (int k = 0; k < GTV_VEHICLE_COUNT; k++) {
            yyjson_mut_obj_add_uint(doc, v, gtv_vehicle_names[k], c.total[d][k]);
            all += c.total[d][k];
        }
        yyjson_mut_obj_add_uint(doc, v, "all", all);
    }
}

static double each_us(int64_t ns, size_t n)
{
    return n ? (double)ns / 1000 / (double)n : 0;
}

static void say_summary(const struct program *p)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_val *sum = yyjson_mut_obj_add_obj(doc, o, "summary");
    yyjson_mut_obj_add_real(doc, sum, "seconds", (double)(p->now_ms - CLOCK_MS) / 1000);
    yyjson_mut_obj_add_uint(doc, sum, "looks", p->looks);
    yyjson_mut_val *said = yyjson_mut_obj_add_obj(doc, sum, "events");
    for (int i = 0; i < GTV_HAPPENING_KINDS; i++)
        yyjson_mut_obj_add_uint(doc, said, gtv_happening_name((enum gtv_happening_kind)i), p->said[i]);
    yyjson_mut_val *lines = yyjson_mut_obj_add_obj(doc, sum, "lines");
    for (size_t i = 0; i < p->settings.line_count; i++)
        add_line(p, i, doc, lines);
    yyjson_mut_obj_add_real(doc, sum, "track_us", each_us(p->track_ns, p->looks));
    yyjson_mut_obj_add_real(doc, sum, "track_most_us", (double)p->track_most_ns / 1000);
    yyjson_mut_obj_add_real(doc, sum, "scene_us", each_us(p->scene_ns, p->looks));
    if (p->frames) {
        yyjson_mut_obj_add_real(doc, sum, "gate_us", each_us(p->gate_ns, p->frames));
        yyjson_mut_obj_add_uint(doc, sum, "frames", p->frames);
        yyjson_mut_obj_add_uint(doc, sum, "moving", p->moving);
    }
    put(doc);
}

// ---- The clip ----

static void take_changes(struct program *p, size_t n)
{
    int64_t start = gtv_mono_ns();
    size_t said = gtv_scene_update(p->scene, p->changes, n, p->now_ms, p->width, p->height, p->happenings);
    p->scene_ns += gtv_mono_ns() - start;
    for (size_t i = 0; i < n && p->options.tracks; i++)
        say_track(p, &p->changes[i]);
    for (size_t i = 0; i < said; i++) {
        p->said[p->happenings[i].kind]++;
        if (p->options.events)
            say_happening(&p->happenings[i]);
    }
}

static void look_at(struct program *p, struct gtv_clip_look *look)
{
    size_t count =
        gtv_scene_filter(&p->settings, look->found.objects, look->found.count, look->width, look->height);
    int64_t start = gtv_mono_ns();
    size_t n = gtv_tracker_update(p->tracker, look->found.objects, count, p->now_ms, look->width,
                                  look->height, p->changes);
    int64_t took = gtv_mono_ns() - start;
    if (gtv_tracker_curious(p->tracker))
        gtv_clip_again(p->clip);
    p->track_ns += took;
    p->track_most_ns = took > p->track_most_ns ? took : p->track_most_ns;
    p->looks++;
    p->width = look->width;
    p->height = look->height;
    take_changes(p, n);
}

static void gate(struct program *p, const struct gtv_clip_look *look)
{
    uint8_t plane[GATE_WIDTH * GATE_HEIGHT];
    struct gtv_gate_result r;
    int64_t start = gtv_mono_ns();
    gtv_gate_shrink(look->luma, look->stride, look->width, look->height, plane, GATE_WIDTH, GATE_HEIGHT);
    double chroma =
        gtv_gate_chroma(look->cb, look->cr, look->chroma_stride, look->chroma_width, look->chroma_height);
    gtv_gate_update(p->gate, &(struct gtv_gate_frame){plane, GATE_WIDTH, p->now_ms, chroma}, &r);
    p->gate_ns += gtv_mono_ns() - start;
    p->frames++;
    p->moving += r.motion;
    say_gate(p, &r);
}

static bool run(struct program *p, struct gtv_error *err)
{
    struct gtv_clip_look look;
    while (gtv_clip_next(p->clip, &look, err)) {
        p->now_ms = CLOCK_MS + look.at_ms;
        if (p->gate && look.luma)
            gate(p, &look);
        if (look.analysed && p->told) {
            if (gtv_told_look(p->told, &look, p->now_ms))
                gtv_clip_again(p->clip);
            p->looks++;
        } else if (look.analysed) {
            look_at(p, &look);
        }
    }
    if (p->told)
        return !err->code;
    if (err->code || !p->looks)
        return !err->code;
    take_changes(p, gtv_tracker_finish(p->tracker, p->changes));
    say_summary(p);
    return true;
}

// ---- Options ----

static void usage(FILE *out)
{
    (void)fputs("usage: gtv-ai-clip [OPTIONS] CLIP\n"
                "  --looks N        looks a second (5)\n"
                "  --scene FILE     analysis settings of a camera, JSON\n"
                "  --models DIR     folder of the weights (MODELS_DIR, or var/models)\n"
                "  --model NAME     which network (YOLO_MODEL)\n"
                "  --seconds S      only so much of the clip\n"
                "  --turns N        play it N times (1)\n"
                "  --confidence C   least confidence of a detection (0.12)\n"
                "  --save FILE      write what was found\n"
                "  --saved          CLIP is such a file: no network is needed\n"
                "  --events         a line for each event\n"
                "  --tracks         a line for each track and look\n"
                "  --gate           run the motion gate on every frame, and a line for each\n"
                "  --told           what a watched camera would tell: its durable events, plates included,\n"
                "                   in place of all other lines\n"
                "  --lpr NAMES      the networks that read plates (LPR_MODEL)\n"
                "  --camera-confidence C  of a camera's boxes, with --told (0.35)\n"
                "  --plates-ms MS   a second, that --told may spend on plates (1000)\n"
                "  --offset MS      when the first look is (0)\n",
                out);
}

static const struct option long_options[] = {
    {"looks", required_argument, NULL, 'l'},
    {"scene", required_argument, NULL, 's'},
    {"models", required_argument, NULL, 'd'},
    {"model", required_argument, NULL, 'm'},
    {"seconds", required_argument, NULL, 't'},
    {"turns", required_argument, NULL, 'n'},
    {"confidence", required_argument, NULL, 'c'},
    {"save", required_argument, NULL, 'o'},
    {"saved", no_argument, NULL, 'i'},
    {"events", no_argument, NULL, 'e'},
    {"tracks", no_argument, NULL, 'k'},
    {"gate", no_argument, NULL, 'g'},
    {"told", no_argument, NULL, 'a'},
    {"lpr", required_argument, NULL, 'p'},
    {"camera-confidence", required_argument, NULL, 'C'},
    {"plates-ms", required_argument, NULL, 'b'},
    {"offset", required_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool take_option(struct options *o, int option)
{
    struct gtv_str value = gtv_str_of(optarg);
    int64_t n;
    switch (option) {
    case 'l':
        return gtv_parse_double(value, 0.05, 60, &o->clip.looks);
    case 's':
        o->scene = optarg;
        return true;
    case 'd':
        o->clip.models_dir = optarg;
        return true;
    case 'm':
        o->clip.model = optarg;
        return true;
    case 't':
        return gtv_parse_double(value, 0, 1e6, &o->clip.seconds);
    case 'n':
        if (!gtv_parse_int(value, 1, 100000, &n))
            return false;
        o->clip.turns = (unsigned)n;
        return true;
    case 'c':
        return gtv_parse_double(value, 0.01, 1, &o->clip.confidence);
    case 'o':
        o->save = optarg;
        return true;
    case 'i':
        o->saved = optarg ? optarg : "";
        return true;
    case 'e':
        return o->events = true;
    case 'k':
        return o->tracks = true;
    case 'g':
        return o->gate = true;
    case 'a':
        return o->told = true;
    case 'p':
        o->lpr = optarg;
        return true;
    case 'C':
        return gtv_parse_double(value, 0.01, 1, &o->camera_confidence);
    case 'b':
        return gtv_parse_double(value, 0, 1e6, &o->plates_ms);
    case 'f':
        return gtv_parse_double(value, 0, 1e6, &o->clip.offset_ms);
    default:
        return false;
    }
}

static bool read_settings(const char *path, struct gtv_scene_settings *out, struct gtv_error *err)
{
    gtv_scene_settings_init(out);
    if (!path)
        return true;
    static char text[GTV_SCENE_MAX_JSON + 1];
    FILE *f = fopen(path, "re");
    if (!f) {
        gtv_error_set(err, GTV_E_IO, NULL, "%s cannot be opened", path);
        return false;
    }
    size_t n = fread(text, 1, sizeof(text), f);
    (void)fclose(f);
    return gtv_scene_settings_read((struct gtv_str){text, n}, out, err);
}

static bool open_all(struct program *p, struct gtv_error *err)
{
    struct options *o = &p->options;
    if (!read_settings(o->scene, &p->settings, err))
        return false;
    if (o->save) {
        o->clip.save = fopen(o->save, "we");
        if (!o->clip.save) {
            gtv_error_set(err, GTV_E_IO, NULL, "%s cannot be written", o->save);
            return false;
        }
    }
    if (o->told && o->saved) {
        gtv_error_set(err, GTV_E_INVALID, NULL,
                      "--told needs the pictures of the clip, not what was --saved");
        return false;
    }
    p->clip = o->saved ? gtv_clip_open_saved(&o->clip, err) : gtv_clip_open(&o->clip, err);
    p->tracker = gtv_tracker_create(
        &(struct gtv_track_config){.sure = p->settings.min_confidence, .start = p->settings.min_confidence});
    p->scene = gtv_scene_create(&p->settings);
    if (p->clip && o->told)
        p->told = gtv_told_create(&(struct gtv_told_config){
            .clip = p->clip,
            .models_dir = o->clip.models_dir,
            .lpr_model = o->lpr,
            .settings = &p->settings,
            .confidence = o->camera_confidence,
            .plates_ms = o->plates_ms,
        });
    if (o->gate)
        p->gate = gtv_gate_create(
            &(struct gtv_gate_config){.width = GATE_WIDTH, .height = GATE_HEIGHT, .settings = &p->settings});
    return p->clip != NULL;
}

int main(int argc, char **argv)
{
    static struct program p;
    const char *models = getenv("MODELS_DIR"), *log_level = getenv("LOG_LEVEL");
    enum gtv_log_level level;
    if (log_level && gtv_log_level_parse(gtv_str_of(log_level), &level))
        gtv_log_set_level(level);
    p.options.clip = (struct gtv_clip_config){.models_dir = models ? models : "var/models",
                                              .model = getenv("YOLO_MODEL"),
                                              .looks = 5,
                                              .confidence = 0.12,
                                              .turns = 1};
    p.options.lpr = getenv("LPR_MODEL");
    p.options.camera_confidence = 0.35;
    p.options.plates_ms = 1000;
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (option == 'h') {
            usage(stdout);
            return 0;
        }
        if (!take_option(&p.options, option)) {
            usage(stderr);
            return 2;
        }
    }
    if (optind != argc - 1) {
        usage(stderr);
        return 2;
    }
    p.options.clip.path = argv[optind];
    struct gtv_error err = {0};
    bool ok = open_all(&p, &err) && run(&p, &err);
    if (!ok)
        (void)fprintf(stderr, "gtv-ai-clip: %s%s%s\n", err.field, err.field[0] ? ": " : "", err.message);
    gtv_told_destroy(p.told);
    gtv_clip_close(p.clip);
    gtv_tracker_destroy(p.tracker);
    gtv_scene_destroy(p.scene);
    gtv_gate_destroy(p.gate);
    if (p.options.clip.save && fclose(p.options.clip.save) != 0)
        ok = false;
    return ok ? 0 : 1;
}
