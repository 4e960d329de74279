"""gtv-console on PostgreSQL: the same as on SQLite, and what only a server does: it goes away, and says no."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from conftest import wait_until
from postgres import PASSWORD, Postgres
from test_console import (DURABLE, Console, happen, look, streaming, test_a_track_and_its_plate_are_one_detection,  # noqa: F401
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

    def counts():
        return console.get("/api/detections/?page_size=1").json()["count"], console.get("/api/events/?page_size=1").json()["count"]

    tell(0, 20)
    wait_until(lambda: counts() == (80, 20), 60, what="the first ones")
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
    wait_until(lambda: counts() == (800, 200), 60, what="all of them")
    wait_until(lambda: client.xpending(DURABLE, "console")["pending"] == 0, 60, what="all acknowledged")
    wait_until(lambda: console.get("/ready").json()["missing"] == [], 60, what="ready again")
    assert counts() == (800, 200)
    assert "connected again" in console.process.log() and PASSWORD not in console.process.log()


def test_two_that_start_together_make_the_tables_once(spawn, redis_server, tmp_path, streaming, postgres):  # noqa: F811
    url = postgres.url(postgres.new_database(), scheme="postgres")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda n: Console(spawn, redis_server, tmp_path, streaming.url, DATABASE_URL=url), range(2)))
    for console in both:  # noqa: F402
        assert console.detections()["count"] == 0
        assert requests.get(console.url + "/ready", timeout=60).json()["missing"] == []


def test_what_a_server_refuses_is_said_in_a_sentence(spawn, redis_server, postgres):
    newer, latin = postgres.new_database(), postgres.new_database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    postgres.sql("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT); INSERT INTO meta VALUES ('schema_version', '99')", newer)
    cases = [(postgres.url(newer, "wr0ng-s3cret"), "password authentication failed"), (postgres.url("nowhere"), "nowhere"),
             (postgres.url(newer), "newer gtv-console"), (postgres.url(latin), "LATIN1"),
             (postgres.url(newer).replace(f":{postgres.port}/", ":1/"), "refused")]
    started = [(spawn("gtv-console", env={"CONSOLE_PORT": 0, "REDIS_URL": redis_server.url(), "DATABASE_URL": url}), word) for url, word in cases]
    for process, word in started:
        assert process.popen.wait(60) == 1, process.log()
        said = [line for line in process.log().splitlines() if "cannot start" in line]
        assert len(said) == 1 and word in said[0], process.log()
        assert "wr0ng-s3cret" not in process.log() and PASSWORD not in process.log() and "p4ss" not in process.log()
