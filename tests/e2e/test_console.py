"""gtv-console: the page and its headers, cameras out of Redis, detections from event to SQL to answer."""

import datetime
import json
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from conftest import ROOT, free_port, wait_until

SECRET = "s3nha-secreta-77"
EVENTS = "gtv:events"
DURABLE = "gtv:events:durable"


class Streaming:
    """A double of the streaming service: what it says of the cameras is in `cameras`."""

    def __init__(self):
        self.cameras = [{"camera_id": 1, "state": "connected", "name": "Câmera 1"}]
        double = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                body = json.dumps({"count": len(double.cameras), "cameras": double.cameras}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Console:
    def __init__(self, spawn, redis, folder, streaming_url, **env):
        self.spawn, self.redis, self.database = spawn, redis, folder / "data" / "console.db"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {"CONSOLE_PORT": self.port, "REDIS_URL": redis.url(), "DATABASE_URL": f"sqlite:{self.database}",
                    "STREAMING_URL": streaming_url, "GTV_WEB_DIR": ROOT / "web", "GTV_API_DIR": ROOT / "api",
                    "GTV_HLSJS_DIR": ROOT / ".deps" / "web" / "node_modules" / "hls.js" / "dist",
                    "GTV_DOCS_UI_DIR": ROOT / ".deps" / "web" / "node_modules" / "swagger-ui-dist", **env}
        self.start()

    def start(self):
        self.process = self.spawn("gtv-console", env=self.env, ready=self.url + "/health")

    def get(self, path, **kwargs):
        return requests.get(self.url + path, timeout=60, allow_redirects=False, **kwargs)

    def detections(self, query=""):
        answer = self.get("/api/detections/" + query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def results(self, path):
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]


@pytest.fixture
def streaming():
    double = Streaming()
    yield double
    double.stop()


@pytest.fixture
def console(spawn, redis_server, tmp_path, streaming):
    return Console(spawn, redis_server, tmp_path, streaming.url)


def knows_camera_1(console):
    """Events are stored with the camera's name, which the console has from the streaming service."""
    wait_until(lambda: console.get("/api/cameras/1/").json()["status"] == "online", what="camera 1 known")


def put_camera(redis, number, **more):
    camera = {"id": number, "name": f"Câmera {number}", "url": f"rtsp://operador:{SECRET}@192.0.2.{number % 250}/x", "on_demand": False,
              "record": False, "ai_enabled": True, "created_ms": 1795374689207, **more}
    redis.hset("gtv:cameras", number, json.dumps(camera))


def look(redis, camera, wall_ms, *objects):
    event = {"v": 1, "type": "detection", "stream": f"cam_{camera}", "timestamp": "2026-11-22T18:00:00Z", "wall_ms": wall_ms, "data": {
        "camera_id": camera, "frame": {"width": 1280, "height": 720}, "model": "m", "latency_ms": 1.0, "objects": [
            {"object_type": kind, "confidence": 0.75, "bbox": {"x": x, "y": 10, "w": 100, "h": 50}, "plate_number": plate}
            for kind, x, plate in objects]}}
    redis.xadd(EVENTS, {"stream": f"cam_{camera}", "type": "detection", "json": json.dumps(event)})


def happen(redis, kind, key, camera=1, wall_ms=1_795_400_000_000, **data):
    """Adds an entry to the durable stream, as the ai program does (lib/contract/happening.h)."""
    event = {"v": 1, "type": kind, "stream": f"cam_{camera}", "timestamp": "2026-11-23T02:13:20.000Z", "wall_ms": wall_ms,
             "key": f"cam_{camera}/{key}", "data": {"camera_id": camera, "object_type": "car", "confidence": 0.81,
                                                    "bbox": {"x": 1, "y": 2, "w": 30, "h": 40}, "frame": {"width": 1280, "height": 720}, **data}}
    return redis.xadd(DURABLE, {"stream": event["stream"], "type": kind, "key": event["key"], "json": json.dumps(event)})


def iso(wall_ms):
    return datetime.datetime.fromtimestamp(wall_ms / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def a_pass(redis, track, plate=None, camera=1, wall_ms=1_795_400_000_000, crop=None, kind="car"):
    """A vehicle comes, its plate is read, it goes."""
    happen(redis, "track.started", f"track.started/{track}", camera, wall_ms, track_id=track, object_type=kind)
    if plate:
        happen(redis, "plate.read", f"plate.read/{track}", camera, wall_ms + 500, track_id=track, object_type=kind, plate_number=plate,
               plate={"number": plate, "format": "mercosul" if plate[4].isalpha() else "old", "confidence": 0.97, "uncertain": False, "votes": 5})
    happen(redis, "track.ended", f"track.ended/{track}", camera, wall_ms + 900, track_id=track, object_type=kind, crop=crop,
           first_seen=iso(wall_ms), last_seen=iso(wall_ms + 900))


def test_the_page_and_its_headers(console):
    page = console.get("/")
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff" and page.headers["Referrer-Policy"] == "same-origin"
    assert "<script>" not in page.text and " style=" not in page.text and " onclick=" not in page.text
    assert "http://" not in page.text and "https://" not in page.text
    for path, kind in (("/style.css", "text/css"), ("/js/app.js", "text/javascript"), ("/i18n/pt-BR.json", "application/json"),
                       ("/icons.svg", "image/svg+xml"), ("/vendor/hls.min.js", "text/javascript"), ("/vendor/hls.worker.js", "text/javascript")):
        answer = console.get(path)
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith(kind), path
    again = console.get("/", headers={"If-None-Match": page.headers["ETag"]})
    assert again.status_code == 304 and not again.content


def test_only_the_page_is_public(console):
    for path in ("/package.json", "/README.md", "/.npmrc", "/js/../package.json", "/js/%2e%2e/package.json", "/vendor/hls.js.map", "/js/",
                 "/api/nothing/", "/nothing"):
        answer = console.get(path)
        assert answer.status_code in (400, 404), path
        assert answer.json()["code"] in ("bad_request", "not_found"), path
    assert console.get("/api/docs/").status_code == 307
    assert requests.post(console.url + "/api/cameras/", json={}, timeout=60).status_code == 405


def test_reference(console):
    for prefix in ("", "/api"):
        document = console.get(prefix + "/openapi.json").json()
        assert document["openapi"].startswith("3.1")
        assert console.get(prefix + "/docs").status_code == 200
        assert console.get(prefix + "/docs/swagger-ui.css").status_code == 200
    assert "gtv_console_events_total" in console.get("/metrics").text


def test_every_documented_path_answers(console, redis_server):
    put_camera(redis_server.client(), 1)
    schemas = console.get("/openapi.json").json()["components"]["schemas"]
    for path in console.get("/openapi.json").json()["paths"]:
        if path == "/api/crops/{name}":
            continue  # has a test of its own
        assert console.get(path.replace("{id}", "1")).status_code == 200, path
        if path.endswith("/") and path != "/":
            assert console.get(path.replace("{id}", "1").rstrip("/")).status_code == 200, path
    assert set(schemas["Camera"]["required"]) == set(console.get("/api/cameras/1/").json())
    look(redis_server.client(), 1, 1000, ("car", 0, None))
    row = wait_until(lambda: console.detections()["results"], what="a detection")[0]
    assert set(schemas["Detection"]["required"]) == set(row)
    happen(redis_server.client(), "line.crossed", "line.crossed/1", track_id=1, place={"id": "l1", "name": "Entrada"}, forward=True)
    row = wait_until(lambda: console.results("/api/events/"), what="a crossing")[0]
    assert set(schemas["Event"]["required"]) == set(row)
    assert set(schemas["Count"]["required"]) == set(console.results("/api/counts/")[0])


def test_cameras_never_show_their_address(console, redis_server, streaming):
    client = redis_server.client()
    for number in (7, 3):
        put_camera(client, number)
    client.hset("gtv:cameras", 9, "no camera")
    streaming.cameras = [{"camera_id": 3, "state": "disconnected", "cause": "refused", "cause_code": "refused", "name": "Câmera 3"}]
    answer = wait_until(lambda: (r := console.get("/api/cameras/")).json()["results"][0]["status"] == "offline" and r, what="status")
    body = answer.json()
    assert SECRET not in answer.text and "rtsp" not in answer.text
    assert (body["count"], body["next"], body["previous"]) == (2, None, None)
    first, second = body["results"]
    assert (first["id"], first["status_cause"], first["status_cause_code"]) == (3, "refused", "refused")
    assert (second["id"], second["name"], second["status"], second["stream_url"]) == (7, "Câmera 7", "unknown", "/streaming/hls/cam_7/index.m3u8")
    for key in ("location", "thumbnail_url", "snapshot_url", "latitude", "longitude", "detection_settings", "recording_retention_days"):
        assert first[key] is None
    status = {"type": "status", "stream": "cam_7", "wall_ms": 1, "data": {"camera_id": 7, "state": "connected", "cause": None}}
    streaming.cameras = []

    def told():
        """Again and again: the streaming service is asked every few seconds, and then what it says goes for all."""
        client.xadd(EVENTS, {"stream": "cam_7", "type": "status", "json": json.dumps(status)})
        return console.get("/api/cameras/7/").json()["status"] == "online"

    wait_until(told, what="the event's status")
    assert console.get("/api/cameras/8/").status_code == 404
    assert console.get("/api/cameras/x/").status_code == 404
    assert SECRET not in console.process.log()


def test_pages(console, redis_server):
    for number in range(1, 8):
        put_camera(redis_server.client(), number)
    seen, url = [], "/api/cameras/?page_size=3"
    while url:
        body = console.get(url).json()
        seen += [c["id"] for c in body["results"]]
        assert body["count"] == 7
        url = body["next"] and body["next"].removeprefix(console.url)
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert body["previous"].startswith(console.url + "/api/cameras/?page_size=3&page=2")
    assert console.get("/api/cameras/?page=4&page_size=3").status_code == 404
    for query, field in (("page=x", "page"), ("page=0", "page"), ("page_size=0", "page_size"), ("page_size=101", "page_size")):
        answer = console.get("/api/cameras/?" + query)
        assert answer.status_code == 422 and answer.json()["field"] == field


def test_a_vehicle_is_stored_once(console, redis_server):
    client = redis_server.client()
    put_camera(client, 1)
    knows_camera_1(console)
    for step in range(20):
        look(client, 1, 100_000 + step * 200, ("car", 10 * step, None), ("bus", 600, "BRA2E19"))
    look(client, 2, 100_000, ("car", 0, None))
    client.xadd(EVENTS, {"stream": "cam_1", "type": "detection", "json": "{"})
    client.xadd(EVENTS, {"what": "else"})
    body = wait_until(lambda: (d := console.detections())["count"] == 3 and d, what="three vehicles")
    bus = next(r for r in body["results"] if r["vehicle_type"] == "bus")
    assert (bus["camera_id"], bus["camera_name"], bus["plate"], bus["confidence"]) == (1, "Câmera 1", "BRA2E19", 0.75)
    assert bus["timestamp"] == "1970-01-01T00:01:40.000Z" and bus["bbox"] == {"x": 600, "y": 10, "w": 100, "h": 50}
    assert bus["image_url"] is None and bus["video_url"] is None
    assert console.detections("?camera_id=2")["count"] == 1
    assert console.detections("?plate=bra-2e19")["count"] == 1
    assert console.detections("?plate=BRA2E18")["count"] == 0
    for query, field in (("camera_id=x", "camera_id"), ("camera_id=0", "camera_id"), ("plate=%27", "plate"), ("plate=" + "A" * 40, "plate")):
        answer = console.get("/api/detections/?" + query)
        assert answer.status_code == 422 and answer.json()["field"] == field


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_lost_or_doubled_over_a_restart(console, redis_server, sig):
    client = redis_server.client()
    for n in range(50):
        look(client, n + 1, 1000, ("car", 0, None))
    wait_until(lambda: console.detections("?page_size=1")["count"] == 50, what="the first fifty")
    console.process.popen.send_signal(sig)
    console.process.popen.wait(60)
    for n in range(50, 100):
        look(client, n + 1, 1000, ("car", 0, None))
    console.start()
    wait_until(lambda: console.detections("?page_size=1")["count"] == 100, what="a hundred")
    time.sleep(0.5)
    assert console.detections("?page_size=1")["count"] == 100


def test_redis_away_and_back(console, redis_server):
    put_camera(redis_server.client(), 1)
    assert console.get("/api/health").json()["redis"] is True
    redis_server.stop()
    wait_until(lambda: console.get("/api/cameras/").status_code == 503, what="503")
    assert console.get("/api/cameras/").json()["code"] == "unavailable"
    # What is stored, and the page, do not need Redis.
    assert console.detections()["count"] == 0
    assert console.get("/").status_code == 200 and console.get("/health").json()["redis"] is False
    redis_server.start()
    wait_until(lambda: console.get("/api/cameras/").json().get("count") == 1, what="cameras again")
    look(redis_server.client(), 1, 1000, ("car", 0, None))
    wait_until(lambda: console.detections()["count"] == 1, what="events again")


def test_a_track_and_its_plate_are_one_detection(console, redis_server):
    client = redis_server.client()
    put_camera(client, 1)
    knows_camera_1(console)
    a_pass(client, 17, "ABC1D23", crop="cam_1/20261123/17.jpg")
    a_pass(client, 18, "ABC1323", camera=2, wall_ms=1_795_400_100_000, kind="bus")
    a_pass(client, 19)
    # What the detector says of a track that is followed is not stored a second time.
    look(client, 1, 1_795_400_000_000, ("car", 0, None))
    event = json.loads(client.xrevrange(EVENTS, count=1)[0][1]["json"])
    event["data"]["objects"][0]["track_id"] = 17
    client.xadd(EVENTS, {"type": "detection", "json": json.dumps(event)})
    wait_until(lambda: console.detections()["count"] == 4, what="three tracks and a look")
    row = wait_until(lambda: console.results("/api/detections/?plate=ABC1D23&camera_id=1"), what="the plate")[0]
    assert row["plate"] == "ABC1D23" and row["plate_key"] == "ABC1323" and row["plate_format"] == "mercosul"
    assert row["plate_confidence"] == 0.97 and row["plate_uncertain"] is False and row["track_id"] == 17
    assert row["image_url"] == "/api/crops/cam_1/20261123/17.jpg" and row["camera_name"] == "Câmera 1"
    assert row["timestamp"] == "2026-11-23T02:13:20.000Z" and row["last_seen"] == "2026-11-23T02:13:20.900Z"
    for query, count in (("plate=ABC1D23", 2), ("plate=abc-1323", 2), ("plate=ABC1D*", 2), ("plate=???1D23", 2), ("plate=*", 2), ("plate=XYZ*", 0),
                         ("plate=*&vehicle_type=bus", 1), ("plate=*&from=2026-11-23T02:14:00Z", 1), ("plate=*&to=2026-11-22T23:14:00-03:00", 1),
                         ("plate=*&from=1795400050000", 1), ("plate=*&from=2026-11-23&to=2026-11-24", 2), ("camera_id=2", 1)):
        assert console.get("/api/detections/", params=dict(p.split("=", 1) for p in query.split("&"))).json()["count"] == count, query
    for query, field in (("from=yesterday", "from"), ("from=2026-11-24&to=2026-11-23", "to"), ("plate=%5BA%5D", "plate")):
        answer = console.get("/api/detections/?" + query)
        assert answer.status_code == 422 and answer.json()["field"] == field
    assert {e["type"] for e in console.results("/api/events/")} == {"track.started", "track.ended", "plate.read"}
    assert len(console.results("/api/events/?type=plate.read&camera_id=2")) == 1


def test_crossings_zones_and_alerts(console, redis_server):
    client = redis_server.client()
    for n in range(12):
        happen(client, "line.crossed", f"line.crossed/{n}/l1", wall_ms=1_795_399_980_000 + n * 20_000, track_id=n, forward=n % 3 != 0,
               object_type="car" if n % 2 else "truck", place={"id": "l1", "name": "Entrada"}, direction="entrando")
    happen(client, "zone.entered", "zone.entered/1/z1", track_id=1, place={"id": "z1", "name": "Vaga"})
    happen(client, "zone.left", "zone.left/1/z1", track_id=1, place={"id": "z1", "name": "Vaga"}, seconds=12.5)
    happen(client, "alert", "alert/1/w1", track_id=1, alert="watchlist", plate_number="ABC8D23", crop="cam_1/20261123/1.jpg",
           plate={"number": "ABC8D23", "format": "mercosul", "key": "ABC8323", "confidence": 0.9, "uncertain": False, "votes": 3, "list": "w1",
                  "label": "Roubado", "severity": "high", "why": "B of the list was read as 8 at position 4 (cost 3.9 of 5.5)"})
    happen(client, "alert", "alert/2/stopped", track_id=2, alert="stopped", seconds=61, place={"id": "z1", "name": "Vaga"})
    counts = wait_until(lambda: (c := console.results("/api/counts/?camera_id=1")) and sum(x["count"] for x in c) == 12 and c, what="crossings")
    assert {(x["forward"], x["vehicle_type"]): x["count"] for x in counts} == {
        (True, "car"): 4, (False, "car"): 2, (True, "truck"): 4, (False, "truck"): 2}
    assert counts[0]["line"] == "l1" and counts[0]["line_name"] == "Entrada" and counts[0]["direction"] == "entrando"
    minutes = console.results("/api/counts/?line=l1&bucket=minute")
    assert len({x["from"] for x in minutes}) == 4 and sum(x["count"] for x in minutes) == 12
    assert minutes[0]["from"] > minutes[-1]["from"] and minutes[-1]["to"] == "2026-11-23T02:14:00.000Z"
    assert console.results("/api/counts/?line=l2") == []
    assert console.get("/api/counts/?bucket=fortnight").json()["field"] == "bucket"
    alerts = wait_until(lambda: (a := console.results("/api/alerts/")) and len(a) == 2 and a, what="alerts")
    hit = next(a for a in alerts if a["alert"] == "watchlist")
    assert (hit["plate"], hit["list"], hit["label"], hit["severity"]) == ("ABC8D23", "w1", "Roubado", "high")
    assert hit["why"].startswith("B of the list") and hit["image_url"] == "/api/crops/cam_1/20261123/1.jpg"
    assert [a["alert"] for a in console.results("/api/alerts/?alert=stopped")] == ["stopped"]
    assert len(console.results("/api/alerts/?plate=ABC8*")) == 1
    assert console.results("/api/events/?type=zone.left")[0]["seconds"] == 12.5


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_what_happened_is_stored_once_over_a_restart(console, redis_server, sig):
    client = redis_server.client()
    happened = lambda: console.get("/api/events/?page_size=1").json()["count"]  # noqa: E731
    for n in range(300):
        happen(client, "line.crossed", f"line.crossed/{n}/l1", track_id=n, place={"id": "l1", "name": ""})
    wait_until(lambda: happened() > 0, what="the first ones")
    console.process.popen.send_signal(sig)
    console.process.popen.wait(60)
    for n in range(250, 600):  # fifty of them are told again
        happen(client, "line.crossed", f"line.crossed/{n}/l1", track_id=n, place={"id": "l1", "name": ""})
    client.xadd(DURABLE, {"json": "{"})
    console.start()
    wait_until(lambda: happened() == 600, what="all of them")
    wait_until(lambda: client.xpending(DURABLE, "console")["pending"] == 0, what="all acknowledged")
    assert happened() == 600
    # Redis that began anew has no group: it is made again.
    client.flushall()
    happen(client, "zone.entered", "zone.entered/1", track_id=1)
    wait_until(lambda: happened() == 601, what="the stream that is new")


def test_pictures_of_vehicles(spawn, redis_server, tmp_path, streaming):
    crops = tmp_path / "ai" / "crops"
    console = Console(spawn, redis_server, tmp_path, streaming.url, AI_CROPS_DIR=crops)
    assert console.get("/api/crops/cam_1/20261123/17.jpg").status_code == 404
    (crops / "cam_1" / "20261123").mkdir(parents=True)
    (crops / "cam_1" / "20261123" / "17.jpg").write_bytes(b"\xff\xd8picture")
    (crops / "secret.txt").write_text("x")
    (crops / "cam_1" / "20261123" / "18.jpg").symlink_to("/etc/passwd")
    answer = console.get("/api/crops/cam_1/20261123/17.jpg")
    assert answer.content == b"\xff\xd8picture" and answer.headers["Content-Type"] == "image/jpeg"
    for name in ("secret.txt", "cam_1/20261123/18.jpg", "cam_1/20261123/", "cam_1/../secret.txt", "cam_1/%2e%2e/secret.txt", "cam_1/20261123/x.jpg",
                 "../data/console.db", "cam_x/20261123/17.jpg", "cam_1/20261123/17.jpg/x", "%2fetc%2fpasswd"):
        assert console.get("/api/crops/" + name).status_code in (400, 404), name


def test_wrong_settings_are_said_in_a_sentence(spawn, redis_server, tmp_path):
    for url, word in (("postgresql://u:p4ssw0rd@127.0.0.1:99999/x", "port"), ("oracle:x", "DATABASE_URL"), ("sqlite:/proc/none/x.db", "/proc/none/x.db")):
        process = spawn("gtv-console", env={"CONSOLE_PORT": 0, "REDIS_URL": redis_server.url(), "DATABASE_URL": url})
        assert process.popen.wait(60) != 0
        assert word in process.log() and "p4ssw0rd" not in process.log()
