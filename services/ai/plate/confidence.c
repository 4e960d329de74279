#include "services/ai/plate/confidence.h"

#include <math.h>

double gtv_plate_confidence(double sure, double mass)
{
    // Logistic regression on the complementary log-log of the joint probability and on the mass.
    double doubt = log(-log(fmin(fmax(sure, 1e-12), 1 - 1e-9)));
    return 1 / (1 + exp(0.35 + 0.87 * doubt - 0.207 * fmax(-15, fmin(0, mass))));
}
