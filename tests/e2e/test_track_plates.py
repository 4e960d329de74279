"""Plates of watched cameras: the synthetic street through the real media node, its plates read over each pass and told once."""

import json
import re

import pytest
import requests
from conftest import wait_until
from test_ai_watch import Site, settle


@pytest.fixture(scope="module")
def plates(street):
    truth = json.loads((street / "street.json").read_text())
    return {v["plate"]: v for v in truth["vehicles"]}


@pytest.fixture
def site(spawn, redis_server, rtsp_camera):
    return Site(spawn, redis_server)


def reader(site, models, **env):
    ai = site.ai(models, **env)
    if not ai.get("/health").json()["plates"]["enabled"]:
        pytest.skip("no networks that read plates are at hand")
    return ai


def read(site):
    return [h for h in site.cameras.happenings() if h["type"] == "plate.read"]


def sure(site):
    return {h["data"]["plate_number"] for h in read(site) if not h["data"]["plate"]["uncertain"]}


def test_plates_are_told_once_a_pass(site, models, rtsp_camera, plates):
    ai = reader(site, models)
    for number in plates:
        assert requests.post(f"{ai.url}/watchlist", json={"plate": f"{number[:3]}-{number[3:]}", "label": "Procurado", "severity": "high"}, timeout=60).status_code == 201
    site.add(1, rtsp_camera().url)
    wait_until(lambda: len(sure(site)) >= 2, 150, what="two plates that are sure")
    # Until the passes of these are over, so that nothing more could be told of them.
    tracks = {h["data"]["track_id"] for h in read(site) if not h["data"]["plate"]["uncertain"]}
    wait_until(lambda: tracks <= {h["data"]["track_id"] for h in site.cameras.happenings() if h["type"] == "track.ended"}, 150,
               what="the end of their tracks")

    happenings = site.cameras.happenings()
    told = [h for h in happenings if h["type"] == "plate.read"]
    started = {h["data"]["track_id"] for h in happenings if h["type"] == "track.started"}
    by_track = [h["data"]["track_id"] for h in told]
    assert len(by_track) == len(set(by_track)) and set(by_track) <= started, "one for each track"
    for h in told:
        data, plate = h["data"], h["data"]["plate"]
        assert h["key"] == f"cam_1/plate.read/{data['track_id']}" and h["v"] == 1 and data["camera_id"] == 1
        assert data["plate_number"] == plate["number"] and plate["votes"] >= 1 and 0.2 <= plate["confidence"] <= 1
        assert plate["format"] in ("mercosul", "old", "foreign")
        if plate["uncertain"]:
            continue
        assert plate["number"] in plates, (plate, sorted(plates))
        vehicle = plates[plate["number"]]
        assert plate["format"] == vehicle["plate_format"] and plate["confidence"] >= 0.85
        assert re.fullmatch(r"[A-Z]{3}\d{4}", plate["key"])
        box, around = plate["bbox"], data["bbox"]
        assert around["x"] - 20 <= box["x"] + box["w"] / 2 <= around["x"] + around["w"] + 20
        assert around["y"] - 20 <= box["y"] + box["h"] / 2 <= around["y"] + around["h"] + 20
        for name in (data["crop"], plate["crop"]):
            picture = ai.get(f"/crops/{name}")
            assert picture.status_code == 200 and picture.content[:3] == b"\xff\xd8\xff", name

    # What is on the watch-list is an alert, at once.
    listed = {}
    for h in told:
        if not h["data"]["plate"]["uncertain"]:
            listed.setdefault(h["data"]["plate_number"], set()).add(h["data"]["track_id"])

    def alerts():
        found = [h["data"] for h in site.cameras.happenings() if h["type"] == "alert" and h["data"]["alert"] == "watchlist"]
        return set(listed) <= {d["plate_number"] for d in found} and found

    assert listed
    found = wait_until(alerts, what="the alerts")
    assert all(d["plate"]["why"] for d in found)
    for number, tracks in listed.items():
        assert tracks & {d["track_id"] for d in found if d["plate_number"] == number}, number

    # The live boxes carry it from then on; where a vehicle was hidden for a moment those of its next track too.
    shown = [o for _, _, e in site.cameras.events() for o in e["data"]["objects"] if o["plate_number"]]

    def of_tracks():
        numbers = {h["data"]["track_id"]: h["data"]["plate_number"] for h in read(site) if not h["data"]["plate"]["uncertain"]}
        assert {o["track_id"]: o["plate_number"] for o in shown}.items() & numbers.items()
        wrong = [o for o in shown if not o["plate_number"] == numbers.get(o["track_id"], o["plate_number"]) in numbers.values()]
        assert not wrong, (wrong, numbers)
        return True

    wait_until(of_tracks, what="the plates of the boxes told")

    assert ai.metric('gtv_ai_track_plates_total{result="sure"}') >= 2
    assert ai.metric('gtv_ai_track_plate_readings_total{result="found"}') >= 4
    assert ai.get("/capacity").json()["stages_ms_per_s"]["plates"] >= 0

    # Switched off for the camera: nothing more is read.
    settle(ai, plates=False)

    def quiet():
        """Ten looks without a reading: what was begun before has ended."""
        before, looks = ai.metric("gtv_ai_track_plate_reading_seconds_count"), ai.metric("gtv_ai_looks_total")
        wait_until(lambda: ai.metric("gtv_ai_looks_total") >= looks + 10, 150, what="more looks")
        return ai.metric("gtv_ai_track_plate_reading_seconds_count") == before

    wait_until(quiet, 150, what="nothing more is read")
