#include "services/ai/watch/budget.h"

#include <math.h>

enum { ROUNDS = 64 };

// What a look a second costs.
static double unit_cost(const struct gtv_budget_camera *c)
{
    double cost = c->look * c->busy;
    return cost > 0.01 ? cost : 0.01;
}

static double floor_rate(const struct gtv_budget_camera *c)
{
    return fmin(c->floor, c->wanted);
}

static double decoding(const struct gtv_budget_camera *c)
{
    return c->squeeze ? c->keys : c->decode;
}

// Takes decoding from the least important camera that has some to give. False when there is none.
static bool squeeze_one(struct gtv_budget_camera *cameras, size_t n)
{
    struct gtv_budget_camera *least = NULL;
    for (size_t i = 0; i < n; i++) {
        struct gtv_budget_camera *c = &cameras[i];
        if (c->squeeze || !c->may_squeeze || c->keys >= c->decode)
            continue;
        if (!least || c->priority < least->priority ||
            (c->priority == least->priority && c->decode - c->keys > least->decode - least->keys))
            least = c;
    }
    if (least)
        least->squeeze = true;
    return least != NULL;
}

static double fixed_cost(const struct gtv_budget_camera *cameras, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += decoding(&cameras[i]) + floor_rate(&cameras[i]) * unit_cost(&cameras[i]);
    return sum;
}

// Shares `left` by priorities among those who want more than they have.
static void fill(struct gtv_budget_camera *cameras, size_t n, double left)
{
    for (int round = 0; round < ROUNDS && left > 1e-6; round++) {
        double weights = 0, given = 0;
        for (size_t i = 0; i < n; i++)
            weights += cameras[i].rate < cameras[i].wanted ? cameras[i].priority : 0;
        if (weights <= 0)
            return;
        for (size_t i = 0; i < n; i++) {
            struct gtv_budget_camera *c = &cameras[i];
            if (c->rate >= c->wanted)
                continue;
            double cost = unit_cost(c);
            double share = fmin(left * c->priority / weights, (c->wanted - c->rate) * cost);
            c->rate = share >= (c->wanted - c->rate) * cost ? c->wanted : c->rate + share / cost;
            given += share;
        }
        left -= given;
    }
}

double gtv_budget_share(struct gtv_budget_camera *cameras, size_t n, double available)
{
    for (size_t i = 0; i < n; i++) {
        cameras[i].squeeze = false;
        cameras[i].rate = floor_rate(&cameras[i]);
    }
    while (fixed_cost(cameras, n) > available && squeeze_one(cameras, n))
        ;
    fill(cameras, n, available - fixed_cost(cameras, n));
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += decoding(&cameras[i]) + cameras[i].rate * unit_cost(&cameras[i]);
    return sum;
}

double gtv_budget_more(const struct gtv_budget_camera *cameras, size_t n, double available)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += cameras[i].decode + cameras[i].wanted * unit_cost(&cameras[i]);
    if (n == 0 || sum <= 0)
        return -1;
    return floor(fmax(available - sum, 0) / (sum / (double)n));
}
