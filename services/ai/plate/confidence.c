#include "services/ai/plate/confidence.h"

#include <math.h>

double gtv_plate_confidence(double sure, double mass)
{
    // Logistic regression on the complementary log-log of the joint probability and on the mass.
    double doubt = log(-log(fmin(fmax(sure, 1e-12), 1 - 1e-9)));
    return 1 / (1 + exp(0.35 + 0.87 * doubt - 0.207 * fmax(-15, fmin(0, mass))));
}

// How surely both must say it, by the width of the plate. Of 254 such readings (57 of the rendered street at
// four sizes and qualities, 197 of real plates at five sizes) the whole chain read each as the two crops did
// (docs/accuracy.md).
static const struct {
    double width, sure;
} agreed[] = {{50, 0.95}, {40, 0.98}};

bool gtv_plate_settled(const struct gtv_plate_opinion *a, const struct gtv_plate_opinion *b, double band,
                       double width)
{
    struct gtv_plate_choice x, y;
    for (size_t i = 0; i < sizeof(agreed) / sizeof(agreed[0]); i++) {
        if (width < agreed[i].width)
            continue;
        gtv_plate_choose(&a->chars, band, &x);
        gtv_plate_choose(&b->chars, band, &y);
        return strcmp(x.text, y.text) == 0 && fmin(x.sure, y.sure) >= agreed[i].sure;
    }
    return false;
}
