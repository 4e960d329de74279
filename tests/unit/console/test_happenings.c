#include "services/console/happenings.h"
#include "tests/unit/console/folder.h"
#include "tests/unit/unit.h"

#include <sqlite3.h>

static struct gtv_db_happening told[100];
static struct gtv_db_detection found[100];
static struct gtv_db_count counts[100];
static size_t n;
static int64_t total;

static struct gtv_db_happening parsed(const char *text)
{
    struct gtv_db_happening h;
    yyjson_doc *doc = gtv_json_parse(gtv_str_of(text), NULL);
    assert_true(gtv_happenings_parse(yyjson_doc_get_root(doc), "7-0", &h));
    yyjson_doc_free(doc);
    return h;
}

static bool refused(const char *text)
{
    struct gtv_db_happening h;
    yyjson_doc *doc = gtv_json_parse(gtv_str_of(text), NULL);
    bool ok = gtv_happenings_parse(yyjson_doc_get_root(doc), "7-0", &h);
    yyjson_doc_free(doc);
    return !ok;
}

// As the ai program writes them.
static struct gtv_db_happening written(const struct gtv_happening_event *e)
{
    struct gtv_bytes *json = gtv_event_happening(e);
    assert_non_null(json);
    char *text = strndup((const char *)json->data, json->len);
    struct gtv_db_happening h = parsed(text);
    free(text);
    gtv_bytes_unref(json);
    return h;
}

static struct gtv_happening_event event(const char *type, const char *key, int64_t wall_ms)
{
    return (struct gtv_happening_event){.type = type,
                                        .key = key,
                                        .camera_id = 3,
                                        .wall_ms = wall_ms,
                                        .width = 1280,
                                        .height = 720,
                                        .track = 17,
                                        .object_type = "car",
                                        .confidence = 0.8,
                                        .x = 1,
                                        .y = 2,
                                        .w = 30,
                                        .h = 40,
                                        .seconds = -1,
                                        .degrees = -1};
}

static void an_event_is_read(void **state)
{
    const int box[4] = {5, 6, 7, 8};
    const struct gtv_plate_said plate = {.number = "ABC1D23",
                                         .format = "mercosul",
                                         .key = "ABC1323",
                                         .confidence = 0.93,
                                         .votes = 4,
                                         .box = box,
                                         .list = "w1",
                                         .why = "the plate of the list"};
    struct gtv_happening_event e = event("alert", "alert/17", 1795400000123);
    e.alert = "watchlist";
    e.plate = &plate;
    e.crop = "cam_3/20261123/17.jpg";
    e.place_id = "l1";
    e.place_name = "Entrada";
    e.direction = "entrando";
    e.is_crossing = e.forward = true;
    e.seconds = 2.5;
    e.first_ms = 1795399999000;
    struct gtv_db_happening h = written(&e);
    assert_string_equal(h.key, "cam_3/alert/17");
    assert_string_equal(h.type, "alert");
    assert_string_equal(h.alert, "watchlist");
    assert_int_equal(h.camera_id, 3);
    assert_int_equal(h.wall_ms, 1795400000123);
    assert_int_equal(h.first_ms, 1795399999000);
    assert_int_equal(h.track, 17);
    assert_int_equal(h.object.w, 30);
    assert_string_equal(h.plate.text, "ABC1D23");
    assert_string_equal(h.plate.key, "ABC1323");
    assert_string_equal(h.plate.format, "mercosul");
    assert_false(h.plate.uncertain);
    assert_int_equal(h.plate.votes, 4);
    assert_string_equal(h.list, "w1");
    assert_string_equal(h.why, "the plate of the list");
    assert_string_equal(h.crop, "cam_3/20261123/17.jpg");
    assert_string_equal(h.place, "l1");
    assert_string_equal(h.direction, "entrando");
    assert_int_equal(h.forward, 1);
    assert_float_equal(h.seconds, 2.5, 1e-9);
    assert_true(h.speed_kmh < 0);
}

static void nonsense_is_refused(void **state)
{
    assert_true(refused("{}"));
    assert_true(refused("[1]"));
    assert_true(refused("{\"type\":\"alert\",\"wall_ms\":1}"));
    assert_true(refused("{\"type\":\"alert\",\"wall_ms\":-1,\"data\":{\"camera_id\":1}}"));
    assert_true(refused("{\"type\":\"alert\",\"wall_ms\":1,\"data\":{\"camera_id\":0}}"));
    assert_true(refused("{\"wall_ms\":1,\"data\":{\"camera_id\":1}}"));
    struct gtv_db_happening h = parsed("{\"type\":\"x\",\"wall_ms\":1,\"data\":{\"camera_id\":1}}");
    assert_string_equal(h.key, "7-0"); // the entry's id stands in
    assert_int_equal(h.forward, -1);
}

static void find_plates(struct gtv_db *db, const char *plate)
{
    struct gtv_db_filter f = {.limit = 100};
    snprintf(f.plate, sizeof f.plate, "%s", plate);
    assert_true(gtv_db_find(db, &f, found, &n, &total, NULL));
}

static void a_track_is_one_detection(void **state)
{
    struct folder folder;
    folder_make(&folder);
    struct gtv_db *db = gtv_db_open(folder.url, NULL, NULL);
    const struct gtv_plate_said plate = {
        .number = "ABC1D23", .format = "mercosul", .confidence = 0.9, .votes = 3};
    struct gtv_happening_event start = event("track.started", "track.started/17", 1000),
                               read = event("plate.read", "plate.read/17", 2000),
                               end = event("track.ended", "track.ended/17", 3000);
    read.plate = &plate;
    end.object_type = "truck";
    end.crop = "cam_3/20261123/17.jpg";
    end.first_ms = 1000;
    end.last_ms = 3000;
    const struct gtv_db_happening all[] = {written(&start), written(&read), written(&end)};
    for (int i = 0; i < 3; i++) // also a part of them once more
        assert_true(gtv_db_store_happenings(db, all + i, (size_t)(3 - i), NULL));
    find_plates(db, "");
    assert_int_equal(total, 1);
    assert_int_equal(found[0].wall_ms, 1000);
    assert_int_equal(found[0].last_ms, 3000);
    assert_int_equal(found[0].track, 17);
    assert_string_equal(found[0].object.object_type, "truck");
    assert_string_equal(found[0].plate, "ABC1D23");
    assert_string_equal(found[0].read.format, "mercosul");
    assert_string_equal(found[0].crop, "cam_3/20261123/17.jpg");
    assert_true(
        gtv_db_find_happenings(db, &(struct gtv_db_happening_filter){.limit = 10}, told, &n, &total, NULL));
    assert_int_equal(total, 3);
    assert_string_equal(told[0].type, "track.ended");
    gtv_db_close(db);
    folder_remove(&folder);
}

// Of two consoles on one database each may have some of a track's happenings, and be first.
static void a_track_in_any_order_is_the_same(void **state)
{
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const struct gtv_plate_said plate = {
        .number = "ABC1D23", .format = "mercosul", .confidence = 0.9, .votes = 3};
    struct gtv_happening_event start = event("track.started", "track.started/17", 1000),
                               read = event("plate.read", "plate.read/17", 2000),
                               end = event("track.ended", "track.ended/17", 3000);
    read.plate = &plate;
    read.crop = "cam_3/20261123/17-plate.jpg";
    end.object_type = "truck";
    end.crop = "cam_3/20261123/17.jpg";
    end.first_ms = 1000;
    end.last_ms = 3000;
    const struct gtv_db_happening all[] = {written(&start), written(&read), written(&end)};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        struct folder folder;
        folder_make(&folder);
        struct gtv_db *db = gtv_db_open(folder.url, NULL, NULL);
        for (int k = 0; k < 3; k++)
            assert_true(gtv_db_store_happenings(db, &all[orders[i][k]], 1, NULL));
        find_plates(db, "");
        assert_int_equal(total, 1);
        assert_int_equal(found[0].wall_ms, 1000);
        assert_int_equal(found[0].last_ms, 3000);
        assert_string_equal(found[0].object.object_type, "truck");
        assert_string_equal(found[0].plate, "ABC1D23");
        assert_int_equal(found[0].read.votes, 3);
        assert_string_equal(found[0].crop, "cam_3/20261123/17.jpg");
        gtv_db_close(db);
        folder_remove(&folder);
    }
}

static void plates_are_found(void **state)
{
    struct folder folder;
    folder_make(&folder);
    struct gtv_db *db = gtv_db_open(folder.url, NULL, NULL);
    const struct gtv_db_detection rows[] = {
        row(1, 1000, "car", "ABC1D23", "1-0", 0), row(1, 2000, "bus", "ABC1323", "2-0", 0),
        row(2, 3000, "car", "XYZ9K87", "3-0", 0), row(2, 4000, "car", "", "4-0", 0)};
    assert_true(gtv_db_store(db, rows, 4, "4-0", NULL, NULL));
    const struct {
        const char *plate;
        int64_t total;
    } cases[] = {{"ABC1D23", 2}, {"ABC1323", 2}, {"XYZ9K87", 1}, {"ABC1D24", 0}, {"*", 3},
                 {"ABC*", 2},    {"ABC1D*", 2},  {"???1?23", 2}, {"*87", 1},     {"?", 0},
                 {"[A]*", 0},    {"*D23", 1},    {"", 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        find_plates(db, cases[i].plate);
        assert_int_equal(total, cases[i].total);
        assert_int_equal(n, cases[i].total);
    }
    struct gtv_db_filter f = {.plate = "ABC1D23",
                              .from_ms = 1500,
                              .to_ms = 2001,
                              .vehicle_type = "bus",
                              .camera_id = 1,
                              .limit = 5};
    assert_true(gtv_db_find(db, &f, found, &n, &total, NULL));
    assert_int_equal(total, 1);
    f.to_ms = 2000;
    assert_true(gtv_db_find(db, &f, found, &n, &total, NULL));
    assert_int_equal(total, 0);
    gtv_db_close(db);
    folder_remove(&folder);
}

static void crossings_are_counted(void **state)
{
    struct folder folder;
    folder_make(&folder);
    struct gtv_db *db = gtv_db_open(folder.url, NULL, NULL);
    for (int i = 0; i < 10; i++) {
        char key[32];
        snprintf(key, sizeof key, "line.crossed/%d", i);
        struct gtv_happening_event e = event("line.crossed", key, 60000 + i * 10000);
        e.track = 100 + (uint64_t)i;
        e.place_id = "l1";
        e.place_name = "Entrada";
        e.is_crossing = true;
        e.forward = i % 2 == 0;
        e.object_type = i < 8 ? "car" : "bus";
        struct gtv_db_happening h = written(&e);
        assert_true(gtv_db_store_happenings(db, &h, 1, NULL));
        assert_true(gtv_db_store_happenings(db, &h, 1, NULL));
    }
    struct gtv_db_count_filter f = {.limit = 100};
    assert_true(gtv_db_count_lines(db, &f, counts, &n, &total, NULL));
    assert_int_equal(total, 4); // two directions, two classes
    assert_string_equal(counts[0].line_name, "Entrada");
    assert_false(counts[0].forward);
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += counts[i].count;
    assert_int_equal(sum, 10);
    f.bucket_ms = 60000;
    f.from_ms = 120000;
    assert_true(gtv_db_count_lines(db, &f, counts, &n, &total, NULL));
    sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += counts[i].count;
        assert_int_equal(counts[i].bucket_ms, 120000);
    }
    assert_int_equal(sum, 4);
    f = (struct gtv_db_count_filter){.limit = 10, .line = "l2"};
    assert_true(gtv_db_count_lines(db, &f, counts, &n, &total, NULL));
    assert_int_equal(total, 0);
    gtv_db_close(db);
    folder_remove(&folder);
}

static void what_is_too_much_goes(void **state)
{
    struct folder folder;
    folder_make(&folder);
    struct gtv_db *db = gtv_db_open(folder.url, &(struct gtv_db_limits){.happenings = 10}, NULL);
    for (int i = 0; i < 25; i++) {
        char key[32];
        snprintf(key, sizeof key, "zone.entered/%d", i);
        struct gtv_happening_event e = event("zone.entered", key, 1000 + i);
        struct gtv_db_happening h = written(&e);
        assert_true(gtv_db_store_happenings(db, &h, 1, NULL));
    }
    assert_true(
        gtv_db_find_happenings(db, &(struct gtv_db_happening_filter){.limit = 100}, told, &n, &total, NULL));
    assert_int_equal(total, 10);
    assert_int_equal(told[0].wall_ms, 1024);
    gtv_db_close(db);
    // What was stored long ago goes with the next start.
    sqlite3 *sql;
    assert_int_equal(sqlite3_open(folder.url + strlen("sqlite:"), &sql), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(sql, "UPDATE happenings SET stored_ms = 1000 WHERE wall_ms < 1020", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(sql);
    db = gtv_db_open(folder.url, &(struct gtv_db_limits){.happenings = 10}, NULL);
    struct gtv_happening_event e = event("zone.left", "zone.left/1", 5000);
    struct gtv_db_happening h = written(&e);
    assert_true(gtv_db_store_happenings(db, &h, 1, NULL));
    assert_true(
        gtv_db_find_happenings(db, &(struct gtv_db_happening_filter){.limit = 100}, told, &n, &total, NULL));
    assert_int_equal(total, 6);
    gtv_db_close(db);
    folder_remove(&folder);
}

// The first version's file, as it was written.
static void an_old_file_is_brought_up_to_date(void **state)
{
    static const char old[] =
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE detections (id INTEGER PRIMARY KEY AUTOINCREMENT, camera_id INTEGER NOT NULL,"
        " camera_name TEXT NOT NULL, wall_ms INTEGER NOT NULL, vehicle_type TEXT NOT NULL,"
        " confidence REAL NOT NULL, plate TEXT, x INTEGER NOT NULL, y INTEGER NOT NULL, w INTEGER NOT NULL,"
        " h INTEGER NOT NULL, frame_width INTEGER NOT NULL, frame_height INTEGER NOT NULL,"
        " event TEXT NOT NULL, event_index INTEGER NOT NULL, UNIQUE (event, event_index));"
        "INSERT INTO meta VALUES ('last_event', '5-0');"
        "INSERT INTO detections VALUES (1, 7, 'Sete', 1000, 'car', 0.5, 'ABC1D23', 1, 2, 3, 4, 1280, 720,"
        " '5-0', 0);"
        "PRAGMA user_version = 1;";
    struct folder folder;
    folder_make(&folder);
    gtv_db_close(gtv_db_open(folder.url, NULL, NULL)); // makes the folder
    const char *path = folder.url + strlen("sqlite:");
    assert_int_equal(remove(path), 0);
    sqlite3 *sql;
    assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sql, old, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sql);
    for (int i = 0; i < 2; i++) { // and stays as it is the second time
        char last[GTV_DB_EVENT_CAP];
        struct gtv_db *db = gtv_db_open(folder.url, NULL, NULL);
        assert_non_null(db);
        assert_true(gtv_db_last_event(db, last, NULL));
        assert_string_equal(last, "5-0");
        find_plates(db, "ABC1323");
        assert_int_equal(total, 1);
        assert_int_equal(found[0].camera_id, 7);
        assert_int_equal(found[0].track, 0);
        gtv_db_close(db);
    }
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_read),         cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_track_is_one_detection), cmocka_unit_test(a_track_in_any_order_is_the_same),
        cmocka_unit_test(plates_are_found),         cmocka_unit_test(crossings_are_counted),
        cmocka_unit_test(what_is_too_much_goes),    cmocka_unit_test(an_old_file_is_brought_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
