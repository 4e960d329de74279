"""Cameras watched by gtv-ai: over a relay that this file plays itself, and with the real media node."""

import http.server
import re
import subprocess
import threading
import time

import pytest
import requests
from ai_service import Ai, Cameras, frame, matches, truth  # noqa: F401 (fixtures)
from conftest import Redis, free_port, wait_until


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
            player.wait(60)
        self.server_close()

    class Handler(http.server.BaseHTTPRequestHandler):
        server_version = "gtv-media-hls"  # another one would be asked by RTSP

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


@pytest.fixture
def watching(spawn, redis_server, models, relay):
    ai = Ai(spawn, redis_server.port, models, relay.url, AI_CAMERA_CONFIDENCE="0.3")
    ai.cameras = Cameras(redis_server.client())
    ai.status = lambda number: ai.get(f"/cameras/{number}/status").json()
    return ai


def test_a_camera_is_watched_and_its_boxes_are_right(watching, relay, truth):
    relay.modes["/cam_1/relay"] = "live"
    watching.cameras.put(1)
    wait_until(lambda: watching.status(1)["watching"], what="camera 1 watched")
    started = relay.started_ms["/cam_1/relay"]

    def seen():
        """Boxes of the truth in the frames that were looked at so far."""
        return sum(len(truth.get(round((e["wall_ms"] - started) * 15 / 1000), [])) for _, _, e in watching.cameras.events())

    wait_until(lambda: seen() > 15, 150, what="events")
    status = wait_until(lambda: (s := watching.status(1))["codec"] and s, what="the codec")
    assert status["codec"] == "h264" and (status["width"], status["height"]) == (1280, 720)
    assert 0.1 <= status["fps"] <= 5.5 and 2 <= status["decoded_fps"] <= 30, status
    assert abs(status["last_frame_wall_ms"] - time.time() * 1000) < 20000
    events = watching.cameras.events()
    assert len(events) > 10
    hits = misses = 0
    for _, stream, event in events:
        assert stream == event["stream"] == "cam_1" and event["type"] == "detection" and event["v"] == 1
        assert event["data"]["camera_id"] == 1 and event["data"]["frame"] == {"width": 1280, "height": 720}
        assert abs(event["wall_ms"] - started) < 80000 and event["data"]["latency_ms"] < 20000
        number = round((event["wall_ms"] - started) * 15 / 1000)
        for kind, box in truth.get(number, []):
            # ffmpeg begins a little after the moment that was written down: two frames either way are the same picture
            found = matches(kind, box, event["data"]["objects"])
            hits, misses = hits + bool(found), misses + (not found)
    assert hits + misses > 10 and hits >= 0.6 * (hits + misses), (hits, misses)
    assert relay.opened["/cam_1/relay"] == 1, "one connection, and no second"
    assert "secret-9x" not in watching.process.log()
    assert watching.metric("gtv_ai_looks_total") > 10 and watching.metric("gtv_ai_cameras_watched") == 1


def test_cameras_come_and_go(watching, relay):
    for number in (1, 2):
        relay.modes[f"/cam_{number}/relay"] = "live"
    watching.cameras.put(1, ai_enabled=True)
    watching.cameras.put(2, ai_enabled=False)
    wait_until(lambda: watching.status(1)["watching"], what="camera 1 watched")
    assert watching.status(2)["state"] == "stopped" and "/cam_2/relay" not in relay.opened

    answer = requests.post(f"{watching.url}/cameras/2/start", timeout=60)
    assert answer.status_code == 200, answer.text
    wait_until(lambda: watching.status(2)["watching"], what="camera 2 watched")
    streams = watching.get("/stats/streams").json()
    assert streams["total"] == 2 and streams["watching"] == 2 and [s["camera_id"] for s in streams["streams"]] == [1, 2]

    wait_until(lambda: any(e["data"]["objects"] for _, s, e in watching.cameras.events() if s == "cam_1"), what="a box")
    assert requests.post(f"{watching.url}/cameras/1/stop", timeout=60).json()["watching"] is False
    wait_until(lambda: watching.get("/stats/streams").json()["watching"] == 1, what="camera 1 no longer watched")

    def without_boxes():
        newest = [e for e in watching.cameras.events() if e[1] == "cam_1"][-1]
        return newest[2]["data"]["objects"] == [] and newest

    time.sleep(1)
    last = wait_until(without_boxes, what="its boxes vanish")
    time.sleep(1.5)
    assert [e for e in watching.cameras.events() if e[1] == "cam_1"][-1][0] == last[0], "and nothing follows"

    watching.cameras.remove(2)
    wait_until(lambda: watching.get("/cameras/2/status").status_code == 404, what="camera 2 forgotten")
    assert watching.get("/cameras/77/status").status_code == 404
    assert requests.post(f"{watching.url}/cameras/77/start", timeout=60).json()["detail"] == "Camera 77 is not provisioned"
    assert watching.get("/cameras/x/status").status_code == 422
    assert watching.process.stop() == 0


def test_relays_that_fail_are_named_and_tried_again(watching, relay):
    modes = {1: "404", 2: "garbage", 3: "audio", 4: "silent"}
    for number, mode in modes.items():
        relay.modes[f"/cam_{number}/relay"] = mode
        watching.cameras.put(number)
    for number, cause in ((1, "not found"), (2, "."), (4, "sent nothing|timed out|no MPEG-TS"), (3, "no video")):
        # Of a silent node two limits end at almost the same time, and each says what it knows.
        status = wait_until(lambda n=number, c=cause: re.search(c, (s := watching.status(n))["cause"] or "") and s, 60,
                            what=f"the cause for camera {number}")
        assert status["watching"] is False
    relay.modes["/cam_1/relay"] = "live"
    wait_until(lambda: watching.status(1)["watching"] and watching.status(1)["cause"] is None, what="camera 1 watched")
    relay.drop()
    wait_until(lambda: relay.opened["/cam_1/relay"] >= 3 and watching.status(1)["watching"], what="camera 1 watched again")
    assert watching.status(1)["failures"] >= 2


def test_redis_away_stops_no_picture(spawn, models, relay, frame, tmp_path):
    server = Redis(tmp_path)
    try:
        ai = Ai(spawn, server.port, models, relay.url)
        cameras = Cameras(server.client())
        relay.modes["/cam_1/relay"] = "live"
        cameras.put(1)
        wait_until(lambda: ai.get("/stats/streams").json()["watching"] == 1, what="camera 1 watched")
        server.stop()
        wait_until(lambda: ai.get("/health").json()["redis"] is False, what="redis known to be away")
        assert ai.detect(frame[1]).status_code == 200
        assert ai.get("/cameras/1/status").json()["watching"] is True
        server.start()
        wait_until(lambda: ai.get("/health").json()["redis"] is True, what="redis back")
        count = len(cameras.events())
        wait_until(lambda: len(cameras.events()) > count, what="events again")
    finally:
        server.stop()


def test_cameras_are_unknown_before_redis_answers(spawn, models):
    ai = Ai(spawn, free_port(), models)
    answer = ai.get("/cameras/1/status")
    assert answer.status_code == 503 and "Redis" in answer.json()["detail"]


# --- With the real media node and a real camera ---


def test_boxes_keep_step_with_the_media_node(spawn, redis_server, models, rtsp_camera, truth):
    """The offset between the camera's clip and the wall clock is not known, but one offset must fit all events."""
    camera = rtsp_camera()
    api, hls = free_port(), free_port()
    media = spawn("gtv-media", env={"MEDIA_API_PORT": api, "MEDIA_HLS_PORT": hls, "MEDIA_DATA": redis_server.folder},
                  ready=f"http://127.0.0.1:{api}/v3/paths/list")
    added = requests.post(f"http://127.0.0.1:{api}/v3/config/paths/add/cam_1", json={"source": camera.url}, timeout=60)
    assert added.status_code == 200, added.text
    ai = Ai(spawn, redis_server.port, models, f"http://127.0.0.1:{hls}", AI_CAMERA_CONFIDENCE="0.3")
    cameras = Cameras(redis_server.client())
    cameras.put(1)
    wait_until(lambda: ai.get("/cameras/1/status").json()["watching"], what="camera 1 watched")
    wait_until(lambda: len(cameras.events()) > 40, 150, what="events")
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
    assert 0 <= latencies[0] and latencies[len(latencies) // 2] < 8000, latencies
    assert ai.get("/cameras/1/status").json()["cause"] is None
    media.stop()
    wait_until(lambda: "refused" in (ai.get("/cameras/1/status").json()["cause"] or ""), what="the media node's absence named")
