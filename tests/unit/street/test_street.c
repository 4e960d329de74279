#include "tests/unit/unit.h"

#include <fontconfig/fontconfig.h>
#include <string.h>

#include "tools/street/backdrop.h"
#include "tools/street/plate.h"
#include "tools/street/raster.h"
#include "tools/street/traffic.h"

static void outline_distance_is_negative_inside(void **state)
{
    const double square[][2] = {{0, 0}, {4, 0}, {4, 2}, {0, 2}};
    struct gtv_profile p;
    gtv_profile_init(&p, square, 4, 0);
    assert_true(fabs(gtv_profile_distance(&p, 2, 1) + 1.0) < 1e-9);
    assert_true(fabs(gtv_profile_distance(&p, 6, 1) - 2.0) < 1e-9);
    assert_true(fabs(gtv_profile_distance(&p, 7, 6) - 5.0) < 1e-9);
}

static void cutting_corners_stays_inside_and_keeps_within_the_limit(void **state)
{
    const double square[][2] = {{0, 0}, {4, 0}, {4, 2}, {0, 2}};
    struct gtv_profile p;
    gtv_profile_init(&p, square, 4, 20);
    assert_true(p.n <= GTV_PROFILE_MAX);
    assert_true(gtv_profile_distance(&p, 0.05, 0.05) > 0.0);
    for (size_t i = 0; i < p.n; i++)
        assert_true(p.u[i] >= 0 && p.u[i] <= 4 && p.v[i] >= 0 && p.v[i] <= 2);
}

static double ball(const void *context, struct gtv_vec p)
{
    return sqrt(gtv_vec_dot(p, p)) - *(const double *)context;
}

static void surface_net_lies_on_the_surface(void **state)
{
    const double radius = 0.5;
    struct gtv_vec low = {-0.5, -0.5, -0.5}, high = {0.5, 0.5, 0.5};
    struct gtv_mesh *mesh = gtv_mesh_from_distance(ball, &radius, low, high, 0.05);
    assert_true(mesh->vertex_count > 300);
    // A closed surface without handles: V - E + F = 2, and three halves as many edges as triangles.
    assert_int_equal(mesh->triangle_count, 2 * (mesh->vertex_count - 2));
    for (size_t i = 0; i < mesh->vertex_count; i++) {
        struct gtv_vec p = mesh->position[i];
        assert_true(fabs(ball(&radius, p)) < 0.02);
        assert_true(gtv_vec_dot(gtv_vec_unit(p), mesh->normal[i]) > 0.98);
    }
    gtv_mesh_destroy(mesh);
    gtv_mesh_destroy(NULL);
}

static void projection_keeps_the_axis_in_the_middle(void **state)
{
    struct gtv_camera camera;
    gtv_camera_init(&camera, gtv_vec_make(1, 2, 3), 0.7, 0.2, 1000);
    double x, y, depth;
    assert_true(
        gtv_camera_project(&camera, gtv_vec_add(camera.at, gtv_vec_scale(camera.ahead, 8)), &x, &y, &depth));
    assert_true(fabs(x - 640) < 1e-6 && fabs(y - 360) < 1e-6 && fabs(depth - 8) < 1e-9);
    struct gtv_vec high = gtv_vec_add(camera.at, gtv_vec_add(gtv_vec_scale(camera.ahead, 8), camera.up));
    assert_true(gtv_camera_project(&camera, high, &x, &y, &depth));
    assert_true(fabs(x - 640) < 1e-6 && fabs(y - 235) < 1e-6);
    assert_false(gtv_camera_project(&camera, gtv_vec_sub(camera.at, camera.ahead), &x, &y, &depth));
}

static void plates_have_their_formats(void **state)
{
    double w, h;
    struct gtv_texture *t = gtv_plate_paint("ABC1D23", GTV_PLATE_MERCOSUL, false, &w, &h);
    struct gtv_texel band = gtv_texture_sample(t, 0, w * 0.4, h * 0.40),
                     ground = gtv_texture_sample(t, 0, w * 0.47, 0);
    assert_true(band.b > 0.4 && band.r < 0.2);
    assert_true(ground.r > 0.9 && ground.b > 0.9);
    int dark = 0;
    for (int i = 0; i < 400; i++)
        dark += gtv_texture_sample(t, 0, w * (i / 400.0 - 0.5) * 0.9, -h * 0.1).r < 0.3;
    assert_in_range(dark, 40, 250); // letters
    gtv_texture_destroy(t);
    t = gtv_plate_paint("ABC1234", GTV_PLATE_OLD, false, &w, &h);
    ground = gtv_texture_sample(t, 0, w * 0.47, h * 0.40);
    assert_true(ground.r > 0.6 && ground.r < 0.85 && fabs(ground.r - ground.b) < 0.1);
    gtv_texture_destroy(t);
    t = gtv_plate_paint("ABC1D23", GTV_PLATE_MERCOSUL, true, &w, &h);
    assert_true(w / h < 1.5);
    gtv_texture_destroy(t);
    gtv_texture_destroy(NULL);
}

static void passes_start_and_end_outside_the_picture(void **state)
{
    const double end = (double)GTV_STREET_FRAMES / GTV_STREET_FPS;
    struct gtv_pose pose;
    for (int i = 0; i < gtv_pass_count; i++) {
        const struct gtv_pass *p = &gtv_passes[i];
        assert_int_equal(strlen(p->order.plate), 7);
        assert_false(gtv_pass_pose(p, 0.0, &pose));
        assert_false(gtv_pass_pose(p, end, &pose));
        assert_true(gtv_pass_pose(p, p->start + 1.0, &pose));
        double before = pose.at.x;
        assert_true(gtv_pass_pose(p, p->start + 2.0, &pose));
        assert_true(p->away ? pose.at.x > before : pose.at.x < before);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(p->order.plate, gtv_passes[k].order.plate);
    }
}

static void a_vehicle_is_drawn_inside_its_box(void **state)
{
    struct gtv_camera camera;
    struct gtv_light light = {{0, 0, 1}, 0.6, 0.6};
    struct gtv_order order = {
        GTV_MODEL_MOTORCYCLE, {0.5, 0, 0, 0.5}, {0, 0, 0.5, 0.5}, "ABC1D23", GTV_PLATE_MERCOSUL};
    struct gtv_vehicle *vehicle = gtv_vehicle_create(&order);
    assert_string_equal(vehicle->class_name, "motorcycle");
    assert_int_equal(vehicle->plate_count, 1);
    gtv_camera_init(&camera, gtv_vec_make(-8, 0, 1.0), 0.0, 0.0, 1000);
    struct gtv_pose pose = {{0, 0, 0}, 0, 0};
    double box[4];
    struct gtv_layer *layer = gtv_layer_vehicle(&camera, &light, vehicle, &pose, box);
    assert_non_null(layer);
    int left = 9999, right = -1;
    for (int y = 0; y < layer->h; y++)
        for (int x = 0; x < layer->w; x++)
            if (layer->rgba[(y * layer->w + x) * 4 + 3] > 0.0F) {
                left = x < left ? x : left;
                right = x > right ? x : right;
            }
    assert_true(fabs(layer->x0 + left - box[0]) < 2.0 && fabs(layer->x0 + right + 1 - box[2]) < 2.0);
    gtv_layer_destroy(layer);
    pose.at.y = 60; // out of sight
    assert_null(gtv_layer_vehicle(&camera, &light, vehicle, &pose, box));
    gtv_vehicle_destroy(vehicle);
    gtv_vehicle_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outline_distance_is_negative_inside),
        cmocka_unit_test(cutting_corners_stays_inside_and_keeps_within_the_limit),
        cmocka_unit_test(surface_net_lies_on_the_surface),
        cmocka_unit_test(projection_keeps_the_axis_in_the_middle),
        cmocka_unit_test(plates_have_their_formats),
        cmocka_unit_test(passes_start_and_end_outside_the_picture),
        cmocka_unit_test(a_vehicle_is_drawn_inside_its_box),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    // Cairo keeps fonts for later; a leak checker would count them.
    cairo_debug_reset_static_data();
    FcFini();
    return failed;
}
