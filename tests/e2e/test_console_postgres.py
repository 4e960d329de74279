"""gtv-console on PostgreSQL: the same as on SQLite, and what only a server does: it comes later, goes away, says no, and serves two consoles."""

import contextlib
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from conftest import wait_until
from postgres import PASSWORD, Postgres
from test_console import (DURABLE, Console, a_pass, happen, iso, look, put_camera, streaming, test_a_track_and_its_plate_are_one_detection,  # noqa: F401
                          test_a_vehicle_is_stored_once, test_crossings_zones_and_alerts, test_every_documented_path_answers,
                          test_nothing_is_lost_or_doubled_over_a_restart, test_what_happened_is_stored_once_over_a_restart)


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture
def console(spawn, redis_server, tmp_path, streaming, postgres):  # noqa: F811
    return Console(spawn, redis_server, tmp_path, streaming.url, DATABASE_URL=postgres.url(postgres.new_database()))


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_goes_away_loses_and_doubles_nothing(console, redis_server, postgres, sig):
    client = redis_server.client()

    def tell(first, last):
        for n in range(first, last):
            look(client, n + 1, 1000, *(("car", 150 * k, None) for k in range(4)))
            happen(client, "line.crossed", f"line.crossed/{n}/l1", track_id=n, place={"id": "l1", "name": ""})

    tell(0, 20)
    wait_until(lambda: counts(console) == (80, 20), 60, what="the first ones")
    tell(20, 40)  # some of them are being written
    postgres.stop(sig)
    try:
        tell(40, 200)  # more than one transaction's worth
        missing = wait_until(lambda: [m for m in console.get("/ready").json()["missing"] if m["what"] == "database"], 60, what="/ready names it")
        assert "127.0.0.1" in missing[0]["cause"] or "server" in missing[0]["cause"] or "connection" in missing[0]["cause"], missing
        answer = console.get("/api/detections/")
        assert answer.status_code == 503 and answer.json()["code"] == "unavailable" and "127.0.0.1" not in answer.text
        assert console.get("/").status_code == 200 and console.get("/api/health").json()["database"] is False
    finally:
        postgres.start()
    wait_until(lambda: counts(console) == (800, 200), 60, what="all of them")
    wait_until(lambda: client.xpending(DURABLE, "console")["pending"] == 0, 60, what="all acknowledged")
    wait_until(lambda: console.get("/ready").json()["missing"] == [], 60, what="ready again")
    assert counts(console) == (800, 200)
    assert "connected again" in console.process.log() and PASSWORD not in console.process.log()


def test_two_that_start_together_make_the_tables_once(spawn, redis_server, tmp_path, streaming, postgres):  # noqa: F811
    url = postgres.url(postgres.new_database(), scheme="postgres")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda n: Console(spawn, redis_server, tmp_path, streaming.url, DATABASE_URL=url), range(2)))
    for console in both:  # noqa: F402
        assert console.detections()["count"] == 0
        assert requests.get(console.url + "/ready", timeout=60).json()["missing"] == []


def test_a_server_that_comes_later_is_waited_for(spawn, redis_server, tmp_path, streaming, postgres):  # noqa: F811
    url, client = postgres.url(postgres.new_database()), redis_server.client()
    postgres.stop()
    try:
        # Its events are followed once it knows how far the database is.
        console = Console(lambda name, env, ready: spawn(name, env=env), redis_server, tmp_path, streaming.url, DATABASE_URL=url)  # noqa: F811
        wait_until(lambda: console.get("/health").status_code == 200, 60, what="it lives")
        missing = [m for m in console.get("/ready").json()["missing"] if m["what"] == "database"]
        assert missing and f"127.0.0.1\", port {postgres.port}".replace('"', "'") in missing[0]["cause"] and "refused" in missing[0]["cause"], missing
        for path in ("/api/detections/", "/api/events/", "/api/alerts/", "/api/counts/"):
            answer = console.get(path)
            assert answer.status_code == 503 and set(answer.json()) == {"detail", "code", "field"} and answer.json()["code"] == "unavailable", path
        assert console.get("/").status_code == 200 and console.get("/api/health").json()["database"] is False
        look(client, 1, 1000, ("car", 0, None), ("bus", 300, None))
        happen(client, "line.crossed", "line.crossed/1/l1", track_id=1, place={"id": "l1", "name": ""})
    finally:
        postgres.start()
    wait_until(lambda: console.get("/ready").json()["missing"] == [], 60, what="ready")
    wait_until(lambda: counts(console) == (2, 1), 60, what="what happened meanwhile")
    assert PASSWORD not in console.process.log() and "connected again" not in console.process.log()


def counts(console):  # noqa: F811
    return console.get("/api/detections/?page_size=1").json()["count"], console.get("/api/events/?page_size=1").json()["count"]


def everything(console):  # noqa: F811
    """All detections and happenings, by the pages of the API, and the lines' counts. Not their ids, which are a database's own affair."""
    lists = []
    for path in ("/api/detections/?page_size=100", "/api/events/?page_size=100", "/api/counts/?page_size=100"):
        rows = []
        while path:
            body = console.get(path).json()
            rows += [{key: value for key, value in row.items() if key != "id"} for row in body["results"]]
            path = body["next"] and body["next"].removeprefix(console.url)
        lists.append(rows)
    return lists


def test_two_consoles_store_each_thing_once(spawn, redis_server, tmp_path, streaming, postgres):  # noqa: F811
    database, client = postgres.new_database(), redis_server.client()

    def start(_):
        return Console(spawn, redis_server, tmp_path, streaming.url, DATABASE_URL=postgres.url(database))

    def tell(first, last):
        for n in range(first, last):
            look(client, n, 1000, ("car", 0, None), ("bus", 300, None))
            a_pass(client, n, f"ABC1{n:03}", camera=n, wall_ms=1_795_400_000_000 + n)

    def pending():
        return {c["name"]: c["pending"] for c in client.xinfo_consumers(DURABLE, "console")}

    def leads(console):  # noqa: F811
        return "\ngtv_console_leads 1" in console.get("/metrics").text

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(start, range(2)))
    look(client, 900, 1000, ("car", 0, None))  # stands there all the time
    tell(1, 41)
    wait_until(lambda: all(counts(c) == (121, 120) for c in both), 60, what="the first ones")
    first, second = wait_until(lambda: sorted(both, key=leads) if sum(map(leads, both)) == 1 else None, 60, what="one that leads")[::-1]
    # In the middle of it: while the table is locked both have read, and can store nothing.
    lock = postgres.session(database)
    lock.stdin.write("BEGIN; LOCK TABLE happenings IN ACCESS EXCLUSIVE MODE;\n\\echo locked\n")
    lock.stdin.flush()
    assert lock.stdout.readline() == "locked\n"
    tell(41, 241)
    look(client, 900, 2000, ("car", 5, None))
    wait_until(lambda: len(p := pending()) == 2 and all(p.values()), 60, what="both have something under way")
    first.process.popen.kill()
    first.process.popen.wait(60)
    lock.communicate("COMMIT;\n", timeout=60)
    wait_until(lambda: sum(pending().values()) == 0, 60, what="what the dead one had read is claimed")
    wait_until(lambda: counts(second) == (721, 720), 60, what="all of it, once")
    assert leads(second)
    look(client, 900, 3000, ("car", 10, None))
    tell(241, 251)
    first.start()
    wait_until(lambda: all(counts(c) == (751, 750) for c in both), 60, what="all of it, in both")
    lists = everything(first)
    assert lists == everything(second)
    rows = {row["camera_id"]: row for row in lists[0] if row["track_id"] is not None}
    assert len(rows) == 250
    for n, row in rows.items():  # as if one console had stored them in their order
        moment = 1_795_400_000_000 + n
        assert (row["plate"], row["timestamp"], row["last_seen"]) == (f"ABC1{n:03}", iso(moment), iso(moment + 900))
    wait_until(lambda: sum(map(leads, both)) == 1, 60, what="one that leads, still")
    # Both look after what is too much.
    for console in both:
        console.process.stop()
        console.env["CONSOLE_KEEP_DETECTIONS"] = console.env["CONSOLE_KEEP_EVENTS"] = 100
        console.start()
    tell(251, 301)
    wait_until(lambda: client.xpending(DURABLE, "console")["pending"] == 0 and client.xinfo_groups(DURABLE)[0]["lag"] == 0, 60, what="all are read")
    wait_until(lambda: all(counts(c) == (100, 100) for c in both), 60, what="a hundred of each")


def test_what_sqlite_holds_is_carried_over(spawn, redis_server, tmp_path, streaming, postgres):  # noqa: F811
    client, database = redis_server.client(), postgres.new_database()
    old = Console(spawn, redis_server, tmp_path, streaming.url)
    put_camera(client, 1)
    for n in range(1, 31):
        look(client, n, 1000 + n, ("car", 0, "BRA2E19"), ("bus", 300, None))
        a_pass(client, n, "ABC1D23" if n % 2 else None, camera=n, wall_ms=1_795_400_000_000 + n, crop=f"cam_{n}/20261123/{n}.jpg")
        happen(client, "line.crossed", f"line.crossed/{n}/l1", track_id=n, forward=n % 3 != 0, direction="entrando", place={"id": "l1", "name": "Entrada"})
    happen(client, "alert", "alert/1/w1", track_id=1, alert="watchlist", plate_number="ABC1D23", plate={
        "number": "ABC1D23", "format": "mercosul", "confidence": 0.9, "uncertain": False, "votes": 3, "list": "w1", "label": "Roubado", "severity": "high", "why": "it"})
    wait_until(lambda: counts(old) == (90, 106), 60, what="all in SQLite")
    wait_until(lambda: client.xpending(DURABLE, "console")["pending"] == 0, 60, what="all acknowledged")
    before = everything(old)
    old.process.stop()

    def carry(file, url=postgres.url(database)):
        done = spawn("gtv-console", "--import-sqlite", file, env={"DATABASE_URL": url})
        code = done.popen.wait(60)
        said = done.popen.stdout.read().decode()
        done.stop()
        return code, said, done.log()

    code, said, log = carry(old.database)
    assert code == 0 and said == f"gtv-console: imported 90 detections (90 new) and 106 happenings (106 new) from {old.database}\n", log
    code, said, log = carry(old.database)
    assert code == 0 and "90 detections (0 new) and 106 happenings (0 new)" in said, log
    new = Console(spawn, redis_server, tmp_path, streaming.url, DATABASE_URL=postgres.url(database))
    assert everything(new) == before
    # It goes on where the other one stopped: nothing that Redis still has is stored again.
    look(client, 77, 5000, ("car", 0, None))
    a_pass(client, 77, "XYZ9K87", camera=77)
    wait_until(lambda: counts(new) == (92, 109), 60, what="what is new")

    def strange(name, text):
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as file:
            file.executescript(text)
        return tmp_path / name

    (tmp_path / "text.db").write_text("no database, but a text that is long enough for a header of one " * 20)
    for file, word in ((tmp_path / "nothing.db", "No such file"), (tmp_path / "text.db", "not a database"),
                       (strange("else.db", "CREATE TABLE x (y)"), "no database of gtv-console"),
                       (strange("newer.db", "CREATE TABLE meta (x); CREATE TABLE detections (x); PRAGMA user_version = 99"), "newer gtv-console (schema 99")):
        code, said, log = carry(file)
        assert code == 1 and not said and word in log, log
    assert not (tmp_path / "nothing.db").exists()
    code, said, log = carry(old.database, f"sqlite:{tmp_path}/x.db")
    assert code == 2 and "--import-sqlite needs DATABASE_URL" in log
    assert counts(new) == (92, 109)


def test_what_a_server_refuses_is_said_in_a_sentence(spawn, redis_server, postgres):
    newer, empty, latin = postgres.new_database(), postgres.new_database(), postgres.new_database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    postgres.sql(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    postgres.sql("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT); INSERT INTO meta VALUES ('schema_version', '99')", newer)
    cases = [(postgres.url(newer, "wr0ng-s3cret"), "password authentication failed"), (postgres.url("nowhere"), "nowhere"),
             (postgres.url(newer), "newer gtv-console"), (postgres.url(latin), "LATIN1"),
             (postgres.url(empty, user="guest"), "permission denied"), (postgres.url(latin, None), "password")]
    started = [(spawn("gtv-console", env={"CONSOLE_PORT": 0, "REDIS_URL": redis_server.url(), "DATABASE_URL": url}), word) for url, word in cases]
    for process, word in started:
        assert process.popen.wait(60) == 1, process.log()
        said = [line for line in process.log().splitlines() if "cannot start" in line]
        assert len(said) == 1 and word in said[0], process.log()
        assert "wr0ng-s3cret" not in process.log() and PASSWORD not in process.log() and "p4ss" not in process.log()
