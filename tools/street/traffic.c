#include "traffic.h"

#include "backdrop.h"

#define AWAY_FROM   (-5.0) // x, where a pass begins and ends
#define AWAY_TO     36.0
#define TOWARD_FROM 54.0
#define TOWARD_TO   (-1.0)

// clang-format off
#define RED    {0.66, 0.06, 0.07, 0.6}
#define WHITE  {0.86, 0.87, 0.87, 0.6}
#define SILVER {0.62, 0.64, 0.66, 0.7}
#define BLUE   {0.30, 0.50, 0.72, 0.6}
#define NAVY   {0.07, 0.18, 0.48, 0.6}
#define BLACK  {0.07, 0.07, 0.08, 0.7}
#define GREY   {0.32, 0.34, 0.36, 0.7}
// clang-format on

// Metres a second: a car and a heavy vehicle in the near lane, and the same in the far lane.
#define NEAR_CAR   5.2
#define NEAR_HEAVY 4.6
#define FAR_CAR    7.0
#define FAR_HEAVY  5.6

// Starts are chosen so that cars hide one another now and then, but nothing is behind the near bus or truck.
// clang-format off
const struct gtv_pass gtv_passes[] = {
    {"red",    {GTV_MODEL_HATCH, RED, RED, "BRA2E19", GTV_PLATE_MERCOSUL},         GTV_LANE_NEAR, true,   0.3, NEAR_CAR},
    {"blue",   {GTV_MODEL_SEDAN, BLUE, BLUE, "DKR4578", GTV_PLATE_OLD},            GTV_LANE_FAR,  false,  2.0, FAR_CAR},
    {"black",  {GTV_MODEL_MOTORCYCLE, BLACK, RED, "FTS8B42", GTV_PLATE_MERCOSUL},  GTV_LANE_NEAR, true,   6.6, NEAR_CAR},
    {"white",  {GTV_MODEL_TRUCK, WHITE, NAVY, "HLP3C64", GTV_PLATE_MERCOSUL},      GTV_LANE_FAR,  false, 11.8, FAR_HEAVY},
    {"red",    {GTV_MODEL_BUS, RED, WHITE, "EWN6D83", GTV_PLATE_MERCOSUL},         GTV_LANE_NEAR, true,  20.2, NEAR_HEAVY},
    {"grey",   {GTV_MODEL_HATCH, GREY, GREY, "CFZ9G27", GTV_PLATE_MERCOSUL},       GTV_LANE_FAR,  false, 27.0, FAR_CAR},
    {"white",  {GTV_MODEL_SEDAN, WHITE, WHITE, "KMV2974", GTV_PLATE_OLD},          GTV_LANE_NEAR, true,  28.6, NEAR_CAR},
    {"blue",   {GTV_MODEL_BUS, BLUE, NAVY, "LTB5H38", GTV_PLATE_MERCOSUL},       GTV_LANE_FAR,  false, 35.0, FAR_HEAVY},
    {"silver", {GTV_MODEL_SEDAN, SILVER, SILVER, "PRE8316", GTV_PLATE_OLD},        GTV_LANE_NEAR, true,  37.2, NEAR_CAR},
    {"red",    {GTV_MODEL_TRUCK, RED, RED, "MGS7A56", GTV_PLATE_MERCOSUL},         GTV_LANE_NEAR, true,  43.4, NEAR_HEAVY},
    {"white",  {GTV_MODEL_SUV, WHITE, WHITE, "NXC4K85", GTV_PLATE_MERCOSUL},       GTV_LANE_FAR,  false, 50.4, FAR_CAR},
    {"red",    {GTV_MODEL_MOTORCYCLE, RED, BLACK, "TZW6B95", GTV_PLATE_MERCOSUL},  GTV_LANE_NEAR, true,  51.4, NEAR_CAR},
    {"black",  {GTV_MODEL_SEDAN, BLACK, BLACK, "SHD3F71", GTV_PLATE_MERCOSUL},     GTV_LANE_FAR,  false, 52.1, FAR_CAR},
};
// clang-format on

const int gtv_pass_count = (int)(sizeof gtv_passes / sizeof gtv_passes[0]);

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
