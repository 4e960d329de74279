"""The watch-list of gtv-ai: kept in Redis, the same in all programs, and an alert within a second."""

import base64
import json

import pytest
import requests
from ai_service import Ai
from conftest import wait_until
from test_plates import read, reader, seen  # noqa: F401

DURABLE, EVENTS = "gtv:events:durable", "gtv:events"


@pytest.fixture(scope="module")
def two(spawn_module, redis_module, tmp_path_factory):
    """Two programs without networks: the list needs none."""
    nothing = tmp_path_factory.mktemp("no-models")
    return [Ai(spawn_module, redis_module.port, nothing) for _ in range(2)]


@pytest.fixture
def clean(two):
    requests.delete(two[0].url + "/watchlist?all=true", timeout=60)
    wait_until(lambda: all(ai.get("/watchlist").json()["count"] == 0 for ai in two), what="an empty list")
    return two


def post(ai, **entry):
    return requests.post(ai.url + "/watchlist", json=entry, timeout=60)


def test_entries_come_and_go_everywhere(clean):
    first, second = clean
    made = post(first, plate="abc-1d23", label="Roubado", severity="high", note="BO 123")
    assert made.status_code == 201, made.text
    entry = made.json()
    assert (entry["plate"], entry["severity"], entry["match"], entry["enabled"], entry["expires_at"]) == ("ABC1D23", "high", "similar", True, None)
    assert wait_until(lambda: (r := second.get(f"/watchlist/{entry['id']}")).status_code == 200 and r.json(), what="it elsewhere") == entry
    again = post(second, plate="ABC1D23", label="Recuperado", severity="low")
    assert again.status_code == 200 and again.json()["id"] == entry["id"]
    wait_until(lambda: first.get("/watchlist").json()["entries"][0]["label"] == "Recuperado", what="the change")
    hit = first.get("/watchlist/check?plate=A8C1D23").json()["matches"]
    assert hit[0]["match"] == "similar" and hit[0]["why"].startswith("B of the list was read as 8 at position 2")
    assert first.get("/watchlist/check?plate=ABC1323").json()["matches"][0]["match"] == "converted"
    assert first.get("/watchlist/check?plate=QQQ0Q00").json()["matches"] == []
    assert requests.delete(f"{first.url}/watchlist/{entry['id']}", timeout=60).json() == {"removed": 1}
    wait_until(lambda: second.get("/watchlist").json()["count"] == 0, what="it gone elsewhere")
    assert requests.delete(f"{first.url}/watchlist/{entry['id']}", timeout=60).status_code == 404
    assert first.get("/watchlist/w0").status_code == 404


def test_what_is_refused(clean):
    ai = clean[0]
    for entry, field in (({}, "plate"), ({"plate": "***"}, "plate"), ({"plate": "A'B"}, "plate"), ({"plate": "ABC1D23", "severity": "x"}, "severity"),
                         ({"plate": "ABC1D23", "expires_at": "never"}, "expires_at"), ({"plate": "ABC1D23", "label": "x" * 200}, "label")):
        answer = post(ai, **entry)
        assert answer.status_code == 422 and answer.json()["field"] == field, entry
    assert requests.delete(ai.url + "/watchlist", timeout=60).status_code == 422
    assert requests.post(ai.url + "/watchlist/import", data="ABC1D23", timeout=60).status_code == 415
    assert ai.get("/watchlist/check?plate=").status_code == 422
    assert ai.get("/watchlist").json()["count"] == 0


def test_a_file_is_imported(clean):
    def load(text):
        return requests.post(clean[0].url + "/watchlist/import", data=text.encode(), headers={"Content-Type": "text/csv; charset=utf-8"}, timeout=60)

    body = load("plate,label,severity\nABC1D23,Furtado – à noite,high\nXYZ*,,\n,no plate,\nDEF2E34,x,deadly\n").json()
    assert (body["added"], body["changed"], body["failed"], body["full"]) == (2, 0, 2, 0)
    assert [(e["line"], e["field"]) for e in body["errors"]] == [(4, "plate"), (5, "severity")]
    assert load("ABC1D23,Furtado,medium\n").json()["changed"] == 1
    # The limit holds, and what is there already still changes.
    body = load("".join(f"AA{n:06d}\n" for n in range(10000))).json()
    assert (body["added"], body["full"]) == (9998, 2)
    wait_until(lambda: clean[1].get("/watchlist?limit=1").json()["count"] == 10000, what="ten thousand elsewhere")
    assert post(clean[0], plate="ZZZ9Z99").status_code == 409
    assert load("ABC1D23,Outra vez\n").json()["changed"] == 1
    assert load("".join(f"AA{n:06d}\n" for n in range(10001))).status_code == 413


def test_redis_away_keeps_the_list(spawn, redis_server, tmp_path):
    ai = Ai(spawn, redis_server.port, tmp_path)
    assert post(ai, plate="ABC1D23").status_code == 201
    wait_until(lambda: ai.get("/watchlist").json()["count"] == 1, what="the entry")
    redis_server.stop()
    wait_until(lambda: post(ai, plate="ABC1D24").status_code == 503, what="503")
    answer = ai.get("/watchlist").json()
    assert answer["count"] == 1 and answer["redis"] is False
    assert ai.get("/watchlist/check?plate=ABC1D23").json()["matches"]


def test_a_posted_plate_raises_one_alert(reader, seen, redis_module):  # noqa: F811
    picture, plate, form, box = seen(1, 120)
    client = redis_module.client()
    requests.delete(reader.url + "/watchlist?all=true", timeout=60)
    assert post(reader, plate=plate, label="Procurado", severity="high").status_code == 201
    wait_until(lambda: reader.get("/watchlist").json()["count"] == 1, what="the entry")
    client.delete(DURABLE)
    for _ in range(2):
        assert plate in read(reader.upload(picture, "?camera_id=7"))
    alerts = wait_until(lambda: client.xrange(DURABLE), what="an alert")
    fields = alerts[0][1]
    event = json.loads(fields["json"])
    assert fields["type"] == "alert" and fields["key"] == event["key"] and event["stream"] == "cam_7"
    said = event["data"]["plate"]
    assert event["data"]["alert"] == "watchlist" and said["number"] == plate and said["format"] == form
    assert (said["label"], said["severity"], said["match"], said["why"]) == ("Procurado", "high", "exact", "the plate of the list")
    assert any(json.loads(e[1]["json"]).get("key") == event["key"] for e in client.xrevrange(EVENTS, count=50))
    # The same car in the next picture is no second alert; another camera's is one.
    assert plate in read(reader.upload(picture, "?camera_id=8"))
    wait_until(lambda: len(client.xrange(DURABLE)) == 2, what="the other camera's")
    assert plate in read(reader.upload(picture, "?camera_id=0"))
    assert len(client.xrange(DURABLE)) == 2
    # A picture of the queue is one of a camera as well.
    job = requests.post(f"{reader.url}/detect/async", json={"camera_id": 9, "image_base64": base64.b64encode(picture).decode()}, timeout=60)
    assert job.status_code == 200, job.text
    wait_until(lambda: len(client.xrange(DURABLE)) == 3, 60, what="the alert of the queue's picture")
    assert json.loads(client.xrevrange(DURABLE, count=1)[0][1]["json"])["stream"] == "cam_9"
    requests.delete(reader.url + "/watchlist?all=true", timeout=60)
