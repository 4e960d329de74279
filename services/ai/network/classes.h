// From the names of a network's classes to the four kinds of vehicle.
#ifndef GTV_AI_CLASSES_H
#define GTV_AI_CLASSES_H

#include "lib/json/json.h"
#include "services/ai/network/model.h"

// English and Portuguese names, any case; -1: none of the four.
int gtv_vehicle_of_name(struct gtv_str name);

void gtv_classes_coco80(struct gtv_model *m);
// The description's "classes": "coco80", the list of all names in the network's order, or an object of names
// and numbers. False with the field in *err.
bool gtv_classes_json(yyjson_val *v, struct gtv_model *m, struct gtv_error *err) GTV_WARN_UNUSED;
// Python's way of writing a dict of numbers and names, as Ultralytics stores it in its exports: {0: 'person',
// 1: "car"}. False when it is not one, or names no vehicle.
bool gtv_classes_dict(struct gtv_str text, struct gtv_model *m) GTV_WARN_UNUSED;
// Names with spaces between them, in the network's order.
bool gtv_classes_words(struct gtv_str text, struct gtv_model *m) GTV_WARN_UNUSED;

#endif
