#include "traffic.h"

#define AWAY_FROM   -3.0 // x, where a pass begins and ends
#define AWAY_TO     44.0
#define TOWARD_FROM 60.0
#define TOWARD_TO   0.0

#define NEAR_LANE 7.85
#define FAR_LANE  11.55

#define RED    {0.66, 0.06, 0.07, 0.6}
#define WHITE  {0.86, 0.87, 0.87, 0.6}
#define SILVER {0.62, 0.64, 0.66, 0.7}
#define BLUE   {0.07, 0.18, 0.48, 0.6}
#define BLACK  {0.07, 0.07, 0.08, 0.7}
#define GREEN  {0.10, 0.34, 0.20, 0.6}
#define YELLOW {0.90, 0.66, 0.08, 0.6}
#define GREY   {0.32, 0.34, 0.36, 0.7}
#define ORANGE {0.82, 0.34, 0.05, 0.6}

// clang-format off
const struct gtv_pass gtv_passes[] = {
    {"red",    {GTV_MODEL_HATCH, RED, RED, "BRA2E19", GTV_PLATE_MERCOSUL},            NEAR_LANE, true,   0.4, 6.8},
    {"silver", {GTV_MODEL_SEDAN, SILVER, SILVER, "DKR4578", GTV_PLATE_OLD},           FAR_LANE,  false,  1.2, 8.2},
    {"black",  {GTV_MODEL_MOTORCYCLE, BLACK, RED, "FTS8B42", GTV_PLATE_MERCOSUL},     NEAR_LANE, true,   7.0, 6.2},
    {"white",  {GTV_MODEL_TRUCK, WHITE, BLUE, "HLP3C64", GTV_PLATE_MERCOSUL},         FAR_LANE,  false,  7.2, 7.4},
    {"white",  {GTV_MODEL_BUS, WHITE, BLUE, "EWN6D83", GTV_PLATE_MERCOSUL},           NEAR_LANE, true,  12.6, 6.2},
    {"yellow", {GTV_MODEL_HATCH, YELLOW, YELLOW, "CFZ9G27", GTV_PLATE_MERCOSUL},      FAR_LANE,  false, 14.2, 8.0},
    {"white",  {GTV_MODEL_SUV, WHITE, WHITE, "KMV2974", GTV_PLATE_OLD},               NEAR_LANE, true,  20.4, 6.8},
    {"green",  {GTV_MODEL_BUS, WHITE, GREEN, "LTB5H38", GTV_PLATE_MERCOSUL},          FAR_LANE,  false, 21.0, 7.2},
    {"red",    {GTV_MODEL_TRUCK, RED, RED, "MGS7A56", GTV_PLATE_MERCOSUL},            NEAR_LANE, true,  26.6, 6.2},
    {"blue",   {GTV_MODEL_SUV, BLUE, BLUE, "NXC4K85", GTV_PLATE_MERCOSUL},            FAR_LANE,  false, 29.0, 8.0},
    {"blue",   {GTV_MODEL_SEDAN, BLUE, BLUE, "PRE8316", GTV_PLATE_OLD},               NEAR_LANE, true,  34.0, 6.8},
    {"grey",   {GTV_MODEL_HATCH, GREY, GREY, "SHD3F71", GTV_PLATE_MERCOSUL},          FAR_LANE,  false, 35.0, 8.0},
    {"orange", {GTV_MODEL_MOTORCYCLE, ORANGE, BLUE, "TZW6B95", GTV_PLATE_MERCOSUL},   NEAR_LANE, true,  40.2, 6.2},
};
// clang-format on

const int gtv_pass_count = (int) (sizeof gtv_passes / sizeof gtv_passes[0]);

bool gtv_pass_pose(const struct gtv_pass *pass, double t, struct gtv_pose *pose)
{
    double from = pass->away ? AWAY_FROM : TOWARD_FROM, to = pass->away ? AWAY_TO : TOWARD_TO;
    double gone = (t - pass->start) * pass->speed;
    if (gone < 0.0 || gone > fabs(to - from))
        return false;
    *pose = (struct gtv_pose){
        .at = gtv_vec_make(pass->away ? from + gone : from - gone, pass->lane, 0.0),
        .heading = pass->away ? 0.0 : M_PI,
        .rolled = gone,
    };
    return true;
}
