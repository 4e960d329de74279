#include "services/ai/network/classes.h"

const char *const gtv_vehicle_names[GTV_VEHICLE_COUNT] = {"car", "motorcycle", "bus", "truck"};

static const struct {
    const char *name;
    enum gtv_vehicle vehicle;
} names[] = {
    {"car", GTV_CAR},
    {"carro", GTV_CAR},
    {"motorcycle", GTV_MOTORCYCLE},
    {"motorbike", GTV_MOTORCYCLE},
    {"moto", GTV_MOTORCYCLE},
    {"motocicleta", GTV_MOTORCYCLE},
    {"bus", GTV_BUS},
    {"onibus", GTV_BUS},
    {"\xc3\xb4nibus", GTV_BUS},
    {"truck", GTV_TRUCK},
    {"caminhao", GTV_TRUCK},
    {"caminh\xc3\xa3o", GTV_TRUCK},
};

int gtv_vehicle_of_name(struct gtv_str name)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (gtv_str_ieq(name, gtv_str_of(names[i].name)))
            return (int)names[i].vehicle;
    }
    return -1;
}

static void none(struct gtv_model *m)
{
    m->class_count = 0;
    for (int v = 0; v < GTV_VEHICLE_COUNT; v++)
        m->vehicle_class[v] = -1;
}

static bool any(const struct gtv_model *m)
{
    for (int v = 0; v < GTV_VEHICLE_COUNT; v++) {
        if (m->vehicle_class[v] >= 0)
            return true;
    }
    return false;
}

void gtv_classes_coco80(struct gtv_model *m)
{
    static const int coco80[GTV_VEHICLE_COUNT] = {2, 3, 5, 7};
    memcpy(m->vehicle_class, coco80, sizeof(coco80));
    m->class_count = 80;
}

static bool invalid(struct gtv_error *err, const char *what)
{
    gtv_error_set(err, GTV_E_INVALID, "classes", "classes %s", what);
    return false;
}

static bool from_list(yyjson_val *list, struct gtv_model *m, struct gtv_error *err)
{
    size_t n = yyjson_arr_size(list), i, max;
    if (n == 0 || n > GTV_MODEL_MAX_CLASSES)
        return invalid(err, "must have 1 to 1000 names");
    yyjson_val *name;
    yyjson_arr_foreach(list, i, max, name)
    {
        int v = gtv_vehicle_of_name((struct gtv_str){yyjson_get_str(name), yyjson_get_len(name)});
        if (v >= 0)
            m->vehicle_class[v] = (int)i;
    }
    m->class_count = (int)n;
    return any(m) || invalid(err, "name no car, motorcycle, bus or truck");
}

// How many there are in all is then for the network's output to say.
static bool from_object(yyjson_val *object, struct gtv_model *m, struct gtv_error *err)
{
    size_t i, max;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, max, key, value)
    {
        int v = gtv_vehicle_of_name((struct gtv_str){yyjson_get_str(key), yyjson_get_len(key)});
        if (!yyjson_is_int(value) || yyjson_get_sint(value) < 0 ||
            yyjson_get_sint(value) >= GTV_MODEL_MAX_CLASSES)
            return invalid(err, "must give each name a number from 0 to 999");
        if (v < 0)
            return invalid(err, "may name car, motorcycle, bus and truck alone");
        m->vehicle_class[v] = (int)yyjson_get_sint(value);
    }
    return any(m) || invalid(err, "name no car, motorcycle, bus or truck");
}

bool gtv_classes_json(yyjson_val *v, struct gtv_model *m, struct gtv_error *err)
{
    none(m);
    if (yyjson_equals_str(v, "coco80")) {
        gtv_classes_coco80(m);
        return true;
    }
    if (yyjson_is_arr(v))
        return from_list(v, m, err);
    if (yyjson_is_obj(v))
        return from_object(v, m, err);
    return invalid(err, "must be \"coco80\", the list of the network's classes, or an object such as "
                        "{\"car\": 0, \"truck\": 1}");
}

// ---- Other programs' ways of writing them ----

static void skip(struct gtv_str *s, const char *what)
{
    while (s->n && strchr(what, *s->p)) {
        s->p++;
        s->n--;
    }
}

static bool take_number(struct gtv_str *s, int *out)
{
    int n = 0, digits = 0;
    while (s->n && *s->p >= '0' && *s->p <= '9' && digits++ < 4) {
        n = n * 10 + (*s->p - '0');
        s->p++;
        s->n--;
    }
    *out = n;
    return digits > 0 && digits <= 4;
}

// A string in ' or ", in which a backslash takes the next sign as it is.
static bool take_quoted(struct gtv_str *s, struct gtv_str *out)
{
    if (!s->n || (*s->p != '\'' && *s->p != '"'))
        return false;
    char end = *s->p;
    for (size_t i = 1; i < s->n; i++) {
        if (s->p[i] == '\\') {
            i++;
        } else if (s->p[i] == end) {
            *out = (struct gtv_str){s->p + 1, i - 1};
            s->p += i + 1;
            s->n -= i + 1;
            return true;
        }
    }
    return false;
}

bool gtv_classes_dict(struct gtv_str text, struct gtv_model *m)
{
    none(m);
    skip(&text, " {");
    while (text.n && *text.p != '}') {
        int number;
        struct gtv_str name;
        if (!take_number(&text, &number) || number >= GTV_MODEL_MAX_CLASSES)
            return false;
        skip(&text, " :");
        if (!take_quoted(&text, &name))
            return false;
        skip(&text, " ,");
        int v = gtv_vehicle_of_name(name);
        if (v >= 0)
            m->vehicle_class[v] = number;
        if (number >= m->class_count)
            m->class_count = number + 1;
    }
    return any(m);
}

bool gtv_classes_words(struct gtv_str text, struct gtv_model *m)
{
    none(m);
    while (text.n && m->class_count < GTV_MODEL_MAX_CLASSES) {
        struct gtv_str word = gtv_str_cut(&text, ' ');
        if (!word.n)
            continue;
        int v = gtv_vehicle_of_name(word);
        if (v >= 0)
            m->vehicle_class[v] = m->class_count;
        m->class_count++;
    }
    return any(m);
}
