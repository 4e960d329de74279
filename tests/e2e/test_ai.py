"""gtv-ai alone: posted pictures, bad input, and cameras watched over a relay that this file plays itself."""

import base64
import concurrent.futures
import http.server
import io
import json
import re
import socket
import struct
import subprocess
import threading
import time
import zlib

import pytest
import requests
from conftest import SHARED, Redis, free_port, wait_until

CONTRACT_KEYS = {"camera_id", "timestamp", "object_type", "confidence", "bbox", "plate_number", "vehicle_model", "vehicle_confidence"}


class Ai:
    def __init__(self, spawn, redis_port, models, hls_url="http://127.0.0.1:9", **env):
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        env = {"AI_PORT": self.port, "METRICS_PORT": self.metrics_port, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": redis_port,
               "MODELS_DIR": models, "MEDIAMTX_HLS_URL": hls_url, "AI_CROPS_DIR": spawn.folder / f"crops-{self.port}",
               "AI_SPOOL_DIR": spawn.folder / f"spool-{self.port}", **env}
        self.process = spawn("gtv-ai", env=env, ready=f"{self.url}/health", seconds=40)

    def get(self, path, **more):
        return requests.get(self.url + path, timeout=10, **more)

    def detect(self, jpeg, camera_id=1, prefix=""):
        body = {"camera_id": camera_id, "image_base64": prefix + base64.b64encode(jpeg).decode()}
        return requests.post(f"{self.url}/detect", json=body, timeout=20)

    def upload(self, jpeg, query="?camera_id=1", field="file"):
        return requests.post(f"{self.url}/detect/upload{query}", files={field: ("a.jpg", io.BytesIO(jpeg), "image/jpeg")}, timeout=20)

    def metric(self, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics").text, re.M)
        return float(found.group(1)) if found else None


@pytest.fixture(scope="module")
def ai(spawn_module, redis_module, models):
    return Ai(spawn_module, redis_module.port, models, LPR_MODEL="plates.pt", ENABLE_GPU="true", GPU_MEMORY_FRACTION="0.5")


@pytest.fixture(scope="session")
def truth(street):
    """Class and box of each vehicle that is wholly to be seen, by frame."""
    frames = {}
    for vehicle in json.loads((street / "street.json").read_text())["vehicles"]:
        for box in vehicle["boxes"]:
            if box["visible"] >= 0.95:
                frames.setdefault(box["frame"], []).append((vehicle["class"], [box[k] for k in "xywh"]))
    return frames


@pytest.fixture(scope="session")
def frame(street, truth, tmp_path_factory):
    """Number and JPEG of a frame with two vehicles or more."""
    number = max(truth, key=lambda n: len(truth[n]))
    path = tmp_path_factory.mktemp("frame") / "frame.jpg"
    subprocess.run(["ffmpeg", "-v", "error", "-i", street / "street.mp4", "-vf", f"select=eq(n\\,{number})", "-frames:v", "1", "-q:v", "3",
                    path], check=True)
    return number, path.read_bytes()


def overlap(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


def matches(kind, box, found):
    return [d for d in found if d["object_type"] == kind and overlap([d["bbox"][k] for k in "xywh"], box) >= 0.5]


# --- Posted pictures ---


def test_health_says_what_the_contract_says(ai):
    health = ai.get("/health").json()
    assert health["status"] == "healthy"
    assert isinstance(health["queue_size"], int) and isinstance(health["processed_total"], int)
    assert isinstance(health["avg_processing_time_ms"], float) and health["gpu_available"] is False
    assert health["model"]["name"] and health["message"] is None
    assert health["plates"]["enabled"] is False and "LPR_MODEL=plates.pt" in health["plates"]["message"]
    assert ai.get("/ready").json()["ready"] is True
    log = ai.process.log()
    assert "LPR_MODEL=plates.pt is not there" in log and "finds no GPU" in log and "GPU_MEMORY_FRACTION has no effect" in log


def test_detect_finds_the_vehicles_of_the_street(ai, frame, truth):
    number, jpeg = frame
    before = ai.get("/health").json()["processed_total"]
    answers = [ai.detect(jpeg, 7), ai.detect(jpeg, 7, "data:image/jpeg;base64,"), ai.upload(jpeg, "?camera_id=7")]
    bodies = []
    for answer in answers:
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["processing_time_ms"] > 0
        assert body["image"] == {"width": 1280, "height": 720}
        for detection in body["detections"]:
            assert set(detection) >= CONTRACT_KEYS
            assert detection["camera_id"] == 7 and 0.5 <= detection["confidence"] <= 1
            assert detection["object_type"] in ("car", "motorcycle", "bus", "truck")
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", detection["timestamp"])
            assert all(isinstance(detection["bbox"][k], int) for k in "xywh")
            assert detection["plate_number"] is None and detection["vehicle_model"] is None
        bodies.append([(d["object_type"], d["confidence"], d["bbox"]) for d in body["detections"]])
    assert bodies[0] == bodies[1] == bodies[2] and bodies[0]
    found = answers[0].json()["detections"]
    hits = [kind for kind, box in truth[number] if matches(kind, box, found)]
    assert len(hits) >= 0.5 * len(truth[number]), (truth[number], found)
    assert ai.get("/health").json()["processed_total"] == before + 3


def test_other_formats(ai, frame, tmp_path):
    _, jpeg = frame
    source = tmp_path / "a.jpg"
    source.write_bytes(jpeg)
    expected = len(ai.detect(jpeg).json()["detections"])
    for name, options in (("a.png", []), ("a.webp", ["-quality", "90"])):
        subprocess.run(["ffmpeg", "-v", "error", "-i", source, *options, tmp_path / name], check=True)
        answer = ai.upload((tmp_path / name).read_bytes())
        assert answer.status_code == 200, answer.text
        assert abs(len(answer.json()["detections"]) - expected) <= 1


def test_metrics_have_the_contract_s_names(ai, frame):
    ai.detect(frame[1])
    for url in (f"{ai.url}/metrics", f"http://127.0.0.1:{ai.metrics_port}/metrics"):
        text = requests.get(url, timeout=10).text
        assert "# TYPE detections_processed_total counter" in text
        assert "# TYPE detection_processing_seconds histogram" in text
        assert "# TYPE detection_queue_size gauge" in text
    assert ai.metric("detections_processed_total") >= 1
    assert ai.metric("detection_processing_seconds_count") == ai.metric("detections_processed_total")
    assert requests.get(f"http://127.0.0.1:{ai.metrics_port}/health", timeout=5).status_code == 404


def test_openapi_names_every_route(ai):
    document = ai.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    routes = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    for route in [("GET", "/health"), ("GET", "/ready"), ("POST", "/detect"), ("POST", "/detect/upload"), ("GET", "/metrics"),
                  ("POST", "/cameras/{id}/start"), ("POST", "/cameras/{id}/stop"), ("GET", "/cameras/{id}/status"),
                  ("GET", "/stats/streams")]:
        assert route in routes


# --- Bad input ---


def jpeg_segment(marker, payload):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(payload) + 2) + payload


def progressive_bomb(width, height, scans):
    """Some hundred bytes that ask for `scans` passes over width x height pixels."""
    head = b"\xff\xd8" + jpeg_segment(0xDB, bytes([0]) + bytes([1] * 64))
    head += jpeg_segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0]))
    head += jpeg_segment(0xC4, bytes([0x00]) + bytes([1] + [0] * 15) + bytes([0]))
    head += jpeg_segment(0xC4, bytes([0x10]) + bytes([1] + [0] * 15) + bytes([0]))
    scan = jpeg_segment(0xDA, bytes([1, 1, 0x00, 0, 0, 0x00])) + b"\x00"
    more = jpeg_segment(0xDA, bytes([1, 1, 0x00, 1, 63, 0x00])) + b"\x00"
    return head + scan + more * (scans - 1) + b"\xff\xd9"


def png_bomb(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))


def b64(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("body, status, field", [
    ({}, 422, "camera_id"),
    ({"camera_id": 1}, 422, "image_base64"),
    ({"camera_id": "one", "image_base64": ""}, 422, "camera_id"),
    ({"camera_id": -1, "image_base64": ""}, 422, "camera_id"),
    ({"camera_id": 1.5, "image_base64": ""}, 422, "camera_id"),
    ({"camera_id": 1, "image_base64": 5}, 422, "image_base64"),
    ({"camera_id": 1, "image_base64": ""}, 422, "image_base64"),
    ({"camera_id": 1, "image_base64": "!!!!"}, 422, "image_base64"),
    ({"camera_id": 1, "image_base64": "data:image/jpeg,abc"}, 422, "image_base64"),
    ({"camera_id": 1, "image_base64": b64(b"no jpeg")}, 422, "image_base64"),
    ({"camera_id": 1, "image_base64": b64(b"\xff\xd8\xff\xd9")}, 422, "image_base64"),
    ({"camera_id": 1, "image_base64": b64(b"GIF89a" + b"\0" * 50)}, 422, "image_base64"),
    ({"camera_id": 1, "image_base64": b64(png_bomb(65000, 65000))}, 413, "image_base64"),
    ({"camera_id": 1, "image_base64": b64(progressive_bomb(65500, 65500, 3))}, 413, "image_base64"),
    ({"camera_id": 1, "image_base64": b64(progressive_bomb(7000, 7000, 3))}, 422, "image_base64"),
    ({"camera_id": 1, "image_base64": b64(progressive_bomb(7000, 7000, 2000) + b"\0" * 20000)}, 422, "image_base64"),
    ([], 422, None),
    ("text", 422, None),
], ids=lambda value: None if not isinstance(value, (dict, list, str)) else str(value)[:40])
def test_bad_bodies_are_refused_with_their_field(ai, body, status, field):
    started = time.monotonic()
    answer = requests.post(f"{ai.url}/detect", json=body, timeout=20)
    assert answer.status_code == status, answer.text
    assert answer.json()["field"] == field
    assert answer.json()["detail"] and answer.json()["code"]
    assert time.monotonic() - started < 4.5
    assert ai.process.alive()


def test_truncated_pictures(ai, frame):
    _, jpeg = frame
    assert ai.detect(jpeg[: len(jpeg) * 9 // 10]).status_code == 200
    answer = ai.detect(jpeg[: len(jpeg) // 3])
    assert answer.status_code == 422 and "cut off" in json.dumps(answer.json())
    assert ai.detect(jpeg[:100]).status_code == 422


def test_wrong_requests(ai, frame):
    _, jpeg = frame
    post = lambda path, **more: requests.post(ai.url + path, timeout=20, **more)  # noqa: E731
    assert post("/detect", data=b"{", headers={"Content-Type": "application/json"}).status_code == 422
    assert post("/detect", data=b"[" * 1000, headers={"Content-Type": "application/json"}).status_code == 422
    assert post("/detect", data=jpeg, headers={"Content-Type": "image/gif"}).status_code == 415
    assert post("/detect", data=b"\0" * (11 << 20), headers={"Content-Type": "application/json"}).status_code == 413
    assert ai.get("/detect").status_code == 405
    assert ai.get("/nothing").status_code == 404
    assert ai.upload(jpeg, "").json()["field"] == "camera_id"
    assert ai.upload(jpeg, "?camera_id=x").status_code == 422
    missing = ai.upload(jpeg, field="image")
    assert missing.status_code == 422 and missing.json()["field"] == "file"
    assert ai.upload(b"no picture").status_code == 422
    multipart = {"Content-Type": "multipart/form-data; boundary=X"}
    part = b'--X\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    endless = post("/detect/upload?camera_id=1", data=part + jpeg, headers=multipart)
    assert endless.status_code == 400 and "cut off" in endless.json()["detail"]
    assert post("/detect/upload?camera_id=1", data=b"x", headers=multipart).status_code == 400
    assert post("/detect/upload?camera_id=1", data=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert post("/detect/upload?camera_id=1", data=b"x", headers={"Content-Type": "multipart/form-data"}).status_code == 400
    assert ai.detect(jpeg).status_code == 200


def test_client_that_leaves_harms_nobody(ai, frame):
    body = json.dumps({"camera_id": 1, "image_base64": b64(frame[1])}).encode()
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", ai.port)) as s:
            s.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    wait_until(lambda: ai.metric("detection_queue_size") == 0, 20, what="an empty queue")
    assert ai.detect(frame[1]).status_code == 200


def test_without_a_network_all_else_runs(spawn, redis_module, frame, tmp_path):
    ai = Ai(spawn, redis_module.port, tmp_path)
    health = ai.get("/health")
    assert health.status_code == 200 and health.json()["model"] is None
    assert "./gtv models" in health.json()["message"]
    for answer in (ai.detect(frame[1]), ai.upload(frame[1]), ai.get("/ready")):
        assert answer.status_code == 503 and "./gtv models" in answer.json()["detail"]
    assert ai.get("/stats/streams").status_code == 200


def test_pytorch_files_are_refused_by_name(spawn, redis_module, models):
    ai = Ai(spawn, redis_module.port, models, YOLO_MODEL="yolov8n.pt")
    message = ai.get("/health").json()["message"]
    assert "yolov8n.pt" in message and ".onnx" in message
    assert "yolov8n.pt" in ai.process.log()


def test_every_network_that_is_there_works(spawn, redis_module, models, frame, truth):
    for name in ("picodet_s_416", "yolox_nano_416", "nanodet_g_416"):
        if not (models / f"{name}.json").exists():
            continue
        ai = Ai(spawn, redis_module.port, models, YOLO_MODEL=name, CONFIDENCE_THRESHOLD="0.3", WORKERS="1")
        answer = ai.detect(frame[1]).json()
        assert answer["model"] == name
        hits = [kind for kind, box in truth[frame[0]] if matches(kind, box, answer["detections"])]
        assert hits, (name, answer)
        assert ai.process.stop() == 0


def test_overload_is_told_at_once_and_late_answers_are_408(spawn, redis_module, models, frame):
    ai = Ai(spawn, redis_module.port, models, WORKERS="1", MAX_QUEUE_SIZE="3")
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: ai.detect(frame[1]), range(48)))
    codes = [a.status_code for a in answers]
    assert set(codes) == {200, 503}, codes
    full = next(a for a in answers if a.status_code == 503)
    assert int(full.headers["Retry-After"]) >= 1 and "queue is full" in full.json()["detail"]
    assert ai.detect(frame[1]).status_code == 200


@pytest.mark.slow
def test_deadline(spawn, redis_module, models, tmp_path):
    ai = Ai(spawn, redis_module.port, models, WORKERS="1")
    big = tmp_path / "big.png"  # PNG has no cheap scale: some hundred milliseconds each
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=c=gray:size=7000x6000", "-frames:v", "1", big], check=True)
    picture = big.read_bytes()
    assert len(picture) < 1 << 20
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: ai.upload(picture), range(40)))
    late = [a for a in answers if a.status_code == 408]
    assert late and {a.status_code for a in answers} <= {200, 408, 503}
    assert late[0].json()["detail"] == "Processing timeout"
    assert all(4.8 < a.elapsed.total_seconds() < 12 for a in late), [a.elapsed for a in late]
    wait_until(lambda: ai.get("/health").json()["queue_size"] == 0, 20, what="an empty queue")
    assert ai.upload(picture).status_code == 200


# --- Cameras ---


class Relay(http.server.ThreadingHTTPServer):
    """Plays the media node: /cam_<id>/relay is the street as MPEG-TS with the wall clock as its time stamps, in the mode set for it."""

    daemon_threads = True

    def __init__(self, clip):
        self.clip, self.modes, self.opened, self.started_ms, self.players = clip, {}, {}, {}, []
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # clients leave

    def drop(self):
        for player in self.players:
            player.kill()

    def close(self):
        self.shutdown()
        self.drop()
        for player in self.players:
            player.wait(5)
        self.server_close()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            relay, path = self.server, self.path
            with relay.lock:
                relay.opened[path] = relay.opened.get(path, 0) + 1
            mode = relay.modes.get(path, "404")
            if mode == "404":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            if mode == "silent":
                time.sleep(60)
            elif mode == "garbage":
                self.wfile.write(bytes(range(256)) * 4000)
            else:
                self.play(relay, path, mode)

        def play(self, relay, path, mode):
            now_ms = time.time() * 1000
            ticks = int(now_ms * 90) % (1 << 33)
            what = ["-map", "0:v", "-c", "copy"] if mode == "live" else ["-f", "lavfi", "-i", "sine", "-map", "1:a", "-c:a", "aac"]
            player = subprocess.Popen(["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", relay.clip, *what,
                                       "-output_ts_offset", f"{ticks / 90000:.6f}", "-muxdelay", "0", "-muxpreload", "0",
                                       "-f", "mpegts", "-flush_packets", "1", "pipe:1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            relay.started_ms[path] = now_ms
            relay.players.append(player)
            try:
                while data := player.stdout.read1(65536):
                    self.wfile.write(data)
            finally:
                player.kill()
                player.wait()


@pytest.fixture
def relay(street):
    server = Relay(street / "street.mp4")
    yield server
    server.close()


class Cameras:
    """What the streaming service would write into Redis."""

    def __init__(self, redis):
        self.redis = redis

    def put(self, number, ai_enabled=True, **more):
        camera = {"id": number, "name": f"Câmera {number}", "url": "rtsp://user:secret-9x@127.0.0.1:1/x", "ai_enabled": ai_enabled, **more}
        self.redis.hset("gtv:cameras", number, json.dumps(camera))
        self.redis.xadd("gtv:cameras:news", {"id": number})

    def remove(self, number):
        self.redis.hdel("gtv:cameras", number)
        self.redis.xadd("gtv:cameras:news", {"id": number})

    def events(self, since="-"):
        found = self.redis.xrange("gtv:events", min=since)
        return [(key, fields["stream"], json.loads(fields["json"])) for key, fields in found if fields["type"] == "detection"]

    def happenings(self):
        return [json.loads(fields["json"]) for _, fields in self.redis.xrange("gtv:events:durable")]


@pytest.fixture
def watching(spawn, redis_server, models, relay):
    ai = Ai(spawn, redis_server.port, models, relay.url, AI_CAMERA_CONFIDENCE="0.3")
    ai.cameras = Cameras(redis_server.client())
    ai.status = lambda number: ai.get(f"/cameras/{number}/status").json()
    return ai


def test_a_camera_is_watched_and_its_boxes_are_right(watching, relay, truth):
    relay.modes["/cam_1/relay"] = "live"
    watching.cameras.put(1)
    wait_until(lambda: watching.status(1)["watching"], 20, what="camera 1 watched")
    started = relay.started_ms["/cam_1/relay"]

    def seen():
        """Boxes of the truth in the frames that were looked at so far."""
        return sum(len(truth.get(round((e["wall_ms"] - started) * 15 / 1000), [])) for _, _, e in watching.cameras.events())

    wait_until(lambda: seen() > 15, 45, what="events")
    status = wait_until(lambda: (s := watching.status(1))["codec"] and s, 5, what="the codec")
    assert status["codec"] == "h264" and (status["width"], status["height"]) == (1280, 720)
    assert 0.5 <= status["fps"] <= 5.5 and 10 <= status["decoded_fps"] <= 20, status
    assert abs(status["last_frame_wall_ms"] - time.time() * 1000) < 3000
    events = watching.cameras.events()
    assert len(events) > 10
    hits = misses = 0
    for _, stream, event in events:
        assert stream == event["stream"] == "cam_1" and event["type"] == "detection" and event["v"] == 1
        assert event["data"]["camera_id"] == 1 and event["data"]["frame"] == {"width": 1280, "height": 720}
        assert abs(event["wall_ms"] - started) < 80000 and event["data"]["latency_ms"] < 3000
        number = round((event["wall_ms"] - started) * 15 / 1000)
        for kind, box in truth.get(number, []):
            # ffmpeg begins a little after the moment that was written down: two frames either way are the same picture
            found = matches(kind, box, event["data"]["objects"])
            hits, misses = hits + bool(found), misses + (not found)
    assert hits + misses > 10 and hits >= 0.6 * (hits + misses), (hits, misses)
    assert relay.opened["/cam_1/relay"] == 1, "one connection, and no second"
    assert "secret-9x" not in watching.process.log()
    assert watching.metric("ai_looks_total") > 10 and watching.metric("ai_cameras_watched") == 1


def test_cameras_come_and_go(watching, relay):
    for number in (1, 2):
        relay.modes[f"/cam_{number}/relay"] = "live"
    watching.cameras.put(1, ai_enabled=True)
    watching.cameras.put(2, ai_enabled=False)
    wait_until(lambda: watching.status(1)["watching"], 20, what="camera 1 watched")
    assert watching.status(2)["state"] == "stopped" and "/cam_2/relay" not in relay.opened

    answer = requests.post(f"{watching.url}/cameras/2/start", timeout=5)
    assert answer.status_code == 200, answer.text
    wait_until(lambda: watching.status(2)["watching"], 20, what="camera 2 watched")
    streams = watching.get("/stats/streams").json()
    assert streams["total"] == 2 and streams["watching"] == 2 and [s["camera_id"] for s in streams["streams"]] == [1, 2]

    wait_until(lambda: any(e["data"]["objects"] for _, s, e in watching.cameras.events() if s == "cam_1"), 20, what="a box")
    assert requests.post(f"{watching.url}/cameras/1/stop", timeout=5).json()["watching"] is False
    wait_until(lambda: watching.get("/stats/streams").json()["watching"] == 1, 10, what="camera 1 no longer watched")
    time.sleep(1)
    last = [e for e in watching.cameras.events() if e[1] == "cam_1"][-1]
    assert last[2]["data"]["objects"] == [], "its boxes vanish"
    time.sleep(1.5)
    assert [e for e in watching.cameras.events() if e[1] == "cam_1"][-1][0] == last[0], "and nothing follows"

    watching.cameras.remove(2)
    wait_until(lambda: watching.get("/cameras/2/status").status_code == 404, 10, what="camera 2 forgotten")
    assert watching.get("/cameras/77/status").status_code == 404
    assert requests.post(f"{watching.url}/cameras/77/start", timeout=5).json()["detail"] == "Camera 77 is not provisioned"
    assert watching.get("/cameras/x/status").status_code == 422
    assert watching.process.stop() == 0


def test_relays_that_fail_are_named_and_tried_again(watching, relay):
    modes = {1: "404", 2: "garbage", 3: "audio", 4: "silent"}
    for number, mode in modes.items():
        relay.modes[f"/cam_{number}/relay"] = mode
        watching.cameras.put(number)
    for number, cause in ((1, "not found"), (2, "."), (4, "sent nothing|timed out"), (3, "no video")):
        status = wait_until(lambda n=number: (s := watching.status(n))["cause"] and s, 40, what=f"a cause for camera {number}")
        assert re.search(cause, status["cause"]), status
        assert status["watching"] is False
    relay.modes["/cam_1/relay"] = "live"
    wait_until(lambda: watching.status(1)["watching"] and watching.status(1)["cause"] is None, 30, what="camera 1 watched")
    relay.drop()
    wait_until(lambda: relay.opened["/cam_1/relay"] >= 3 and watching.status(1)["watching"], 30, what="camera 1 watched again")
    assert watching.status(1)["failures"] >= 2


def test_redis_away_stops_no_picture(spawn, models, relay, frame, tmp_path):
    server = Redis(tmp_path)
    try:
        ai = Ai(spawn, server.port, models, relay.url)
        cameras = Cameras(server.client())
        relay.modes["/cam_1/relay"] = "live"
        cameras.put(1)
        wait_until(lambda: ai.get("/stats/streams").json()["watching"] == 1, 20, what="camera 1 watched")
        server.stop()
        wait_until(lambda: ai.get("/health").json()["redis"] is False, 10, what="redis known to be away")
        assert ai.detect(frame[1]).status_code == 200
        assert ai.get("/cameras/1/status").json()["watching"] is True
        server.start()
        wait_until(lambda: ai.get("/health").json()["redis"] is True, 15, what="redis back")
        count = len(cameras.events())
        wait_until(lambda: len(cameras.events()) > count, 30, what="events again")
    finally:
        server.stop()


def test_cameras_are_unknown_before_redis_answers(spawn, models):
    ai = Ai(spawn, free_port(), models)
    answer = ai.get("/cameras/1/status")
    assert answer.status_code == 503 and "Redis" in answer.json()["detail"]


# --- Accuracy, on the labelled pictures that only a developer's machine has ---


@pytest.mark.skipif(not (SHARED / "data" / "coco_vehicles").exists(), reason="../shared is not here")
def test_accuracy_on_labelled_pictures(spawn, redis_module, models):
    if not (models / "picodet_s_416.json").exists():
        pytest.skip("picodet_s_416 is not here")
    folder = SHARED / "data" / "coco_vehicles"
    labels = json.loads((folder / "instances.json").read_text())
    kinds = {3: "car", 4: "motorcycle", 6: "bus", 8: "truck"}
    ai = Ai(spawn, redis_module.port, models, YOLO_MODEL="picodet_s_416", CONFIDENCE_THRESHOLD="0.45")
    hits = found = wanted = 0
    for picture in labels["images"]:
        boxes = [n["bbox"] for n in labels["annotations"]
                 if n["image_id"] == picture["id"] and n["category_id"] in kinds and not n.get("iscrowd")]
        answer = ai.upload((folder / picture["file_name"]).read_bytes()).json()
        wanted += sum(min(b[2:]) >= 24 for b in boxes)
        for detection in answer["detections"]:
            box = [detection["bbox"][k] for k in "xywh"]
            best = max(boxes, key=lambda b: overlap(b, box), default=None)
            if best and overlap(best, box) >= 0.5:
                boxes.remove(best)
                if min(best[2:]) < 24:
                    continue
                hits += 1
                found += 1
            else:
                found += min(box[2:]) >= 24
    # The reference implementation has .57 and .75 on these pictures.
    assert hits / wanted >= 0.55 and hits / found >= 0.72, (hits, found, wanted)


# --- With the real media node and a real camera ---


def test_boxes_keep_step_with_the_media_node(spawn, redis_server, models, rtsp_camera, truth):
    """The offset between the camera's clip and the wall clock is not known, but one offset must fit all events."""
    camera = rtsp_camera()
    api, hls = free_port(), free_port()
    media = spawn("gtv-media", env={"MEDIA_API_PORT": api, "MEDIA_HLS_PORT": hls, "MEDIA_DATA": redis_server.folder},
                  ready=f"http://127.0.0.1:{api}/v3/paths/list")
    added = requests.post(f"http://127.0.0.1:{api}/v3/config/paths/add/cam_1", json={"source": camera.url}, timeout=5)
    assert added.status_code == 200, added.text
    ai = Ai(spawn, redis_server.port, models, f"http://127.0.0.1:{hls}", AI_CAMERA_CONFIDENCE="0.3")
    cameras = Cameras(redis_server.client())
    cameras.put(1)
    wait_until(lambda: ai.get("/cameras/1/status").json()["watching"], 20, what="camera 1 watched")
    wait_until(lambda: len(cameras.events()) > 40, 60, what="events")
    events = [event for _, _, event in cameras.events()]
    assert len(events) > 20
    frames = [(event["wall_ms"] * 15 / 1000, event["data"]["objects"]) for event in events]

    def score(offset):
        hits = misses = 0
        for number, found in frames:
            for kind, box in truth.get(round(number + offset) % 900, []):
                hit = bool(matches(kind, box, found))
                hits, misses = hits + hit, misses + (not hit)
        return hits / (hits + misses) if hits + misses > 20 else 0

    best = max(range(900), key=score)
    assert score(best) >= 0.7, (best, score(best))
    latencies = sorted(event["data"]["latency_ms"] for event in events)
    assert 0 <= latencies[0] and latencies[len(latencies) // 2] < 1500, latencies
    assert ai.get("/cameras/1/status").json()["cause"] is None
    media.stop()
    wait_until(lambda: "refused" in (ai.get("/cameras/1/status").json()["cause"] or ""), 20, what="the media node's absence named")
