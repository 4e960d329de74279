"""Cameras read by RTSP, as from a MediaMTX: its HLS port has no relay, reading wants a password, and some cameras cannot be read.

What is kept of them goes to a store that speaks S3 and checks signatures; the console shows it from there."""

import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from ai_service import Ai, Cameras
from conftest import free_port, wait_until
from s3_double import S3

PATIENCE = 120
CONFIG = """
authInternalUsers:
- user: any
  ips: [127.0.0.0/8]
  permissions: [{action: api}]
- user: watcher
  pass: see@7
  permissions: [{action: read, path: "~^cam_([1235]|5_sub)$"}]
"""


class NoRelay(BaseHTTPRequestHandler):
    """A MediaMTX knows no such file."""

    def do_GET(self):
        body = b"404 page not found"
        self.send_response_only(404)
        self.send_header("Server", "mediamtx")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class System:
    def __init__(self, spawn, redis, models, camera, hevc):
        self.spawn, self.rtsp, self.api = spawn, free_port(), free_port()
        (spawn.folder / "media.yml").write_text(CONFIG)
        self.start_media()
        for number, source in ((1, camera), (2, hevc), (4, camera), (5, camera), ("5_sub", hevc)):
            self.add(number, source)
        self.cameras = Cameras(redis.client())
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), NoRelay)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        for number in (1, 2, 3, 4):
            self.cameras.put(number)
        self.cameras.put(5, sub_url="rtsp://127.0.0.1:1/small")
        self.s3 = S3()
        self.s3.down = True
        self.pictures = {"AI_CROPS_S3_URL": f"{self.s3.url}/crops/centre-1/", "AI_CROPS_S3_REGION": self.s3.region, "AI_CROPS_S3_KEY": self.s3.key,
                         "AI_CROPS_S3_SECRET": self.s3.secret, "AI_CROPS_DIR": spawn.folder / "crops"}
        self.ai = Ai(spawn, redis.port, models, f"http://127.0.0.1:{self.http.server_port}", AI_CAMERA_CONFIDENCE="0.35", AI_MAX_FPS="3",
                     MEDIAMTX_RTSP_URL=f"rtsp://127.0.0.1:{self.rtsp}/", MEDIAMTX_READ_USER="watcher", MEDIAMTX_READ_PASS="see@7",
                     **self.pictures)

    def start_media(self):
        env = {"MEDIA_API_PORT": self.api, "MEDIA_HLS_PORT": free_port(), "MEDIA_RTSP_PORT": self.rtsp, "MEDIA_RTP_PORT": "0", "MEDIA_RTCP_PORT": "0",
               "MEDIA_RTSP_TRANSPORTS": "tcp", "MEDIA_CONFIG": self.spawn.folder / "media.yml", "MEDIA_DATA": self.spawn.folder / "media"}
        self.media = self.spawn("gtv-media", env=env, ready=f"http://127.0.0.1:{self.api}/v3/paths/list")

    def add(self, number, source):
        answer = requests.post(f"http://127.0.0.1:{self.api}/v3/config/paths/add/cam_{number}", json={"source": source}, timeout=60)
        assert answer.status_code == 200, answer.text

    def status(self, number):
        return self.ai.get(f"/cameras/{number}/status").json()


@pytest.fixture(scope="module")
def system(spawn_module, redis_module, models, rtsp_camera_module):
    clip = spawn_module.folder / "hevc.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-t", "4", "-i", rtsp_camera_module.clip, "-an", "-vf", "fps=10,scale=640:360", "-c:v", "libx265",
                    "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=10:bframes=0", str(clip)], check=True)
    it = System(spawn_module, redis_module, models, rtsp_camera_module().url, rtsp_camera_module(clip=clip).url)
    yield it
    it.http.shutdown()
    it.s3.stop()


@pytest.mark.parametrize(("number", "codec"), [(1, "h264"), (2, "hevc")])
def test_vehicles_are_seen(system, number, codec):
    wait_until(lambda: system.status(number)["watching"], PATIENCE, what=f"camera {number} watched")
    wait_until(lambda: any(e["data"]["camera_id"] == number and e["data"]["objects"] for _, _, e in system.cameras.events()), PATIENCE, what="vehicles")
    status = wait_until(lambda: (s := system.status(number))["read_by"] and s, PATIENCE, what="the way it is read by")
    assert (status["read_by"], status["codec"], status["cause"]) == ("rtsp", codec, None)
    # By the sender's clock, which is the machine's: also of the pictures that came in a burst at the beginning.
    assert abs(time.time() * 1000 - status["last_frame_wall_ms"]) < 60000
    assert "see@7" not in system.ai.process.log() and "see%407" not in system.ai.process.log()


def test_a_look_now(system):
    """A MediaMTX makes no snapshots: the picture is one that the program looked at."""
    wait_until(lambda: system.status(1)["watching"], PATIENCE, what="camera 1 watched")
    look = wait_until(lambda: (r := requests.post(f"{system.ai.url}/cameras/1/test", timeout=60)).status_code == 200 and r.json(), PATIENCE,
                      what="a look")
    assert look["camera_id"] == 1 and look["image"]["width"] == 1280 and look["annotated_image"].startswith("data:image/jpeg;base64,")
    unseen = requests.post(f"{system.ai.url}/cameras/3/test", timeout=60)
    assert unseen.status_code in (502, 504) and "picture" in unseen.json()["detail"]


def test_the_smaller_stream(system):
    """Plates are not read here: then it is the one to watch, unless the camera's settings say otherwise."""
    def watched(stream, width):
        status = system.status(5)
        return status["watching"] and (status["watched_stream"], status["width"], status["has_sub_stream"]) == (stream, width, True)

    wait_until(lambda: watched("sub", 640), PATIENCE, what="the smaller stream watched")
    event = wait_until(lambda: next((e for _, stream, e in system.cameras.events() if stream == "cam_5"), None), PATIENCE, what="a look")
    assert event["data"]["frame"] == {"width": 640, "height": 360}
    url = f"{system.ai.url}/cameras/5/analysis"
    assert requests.put(url, json={"stream": "big"}, timeout=60).json()["field"] == "stream"
    assert requests.put(url, json={"stream": "main"}, timeout=60).json()["stream"] == "main"
    wait_until(lambda: watched("main", 1280), PATIENCE, what="the main stream watched")


def test_pictures_go_to_their_store(system, spawn_module, redis_module):
    folder = system.pictures["AI_CROPS_DIR"]

    def crops():
        return system.ai.get("/capacity").json()["crops"]

    # While it is away they wait, and can be seen all the same.
    wait_until(lambda: crops()["failures"] and list(folder.rglob("*.jpg")), PATIENCE, what="a picture that waits")
    assert "503" in crops()["problem"] and crops()["sent"] == 0 and not system.s3.objects
    system.s3.down = False
    wait_until(lambda: crops()["sent"] and not crops()["problem"], PATIENCE, what="pictures sent")
    assert not system.s3.refused
    prefix = "/crops/centre-1/"
    objects = dict(system.s3.objects)
    assert all(path.startswith(prefix + "cam_") and kind == "image/jpeg" and body.startswith(b"\xff\xd8") for path, (kind, body) in objects.items())
    name = next(iter(objects))[len(prefix):]
    wait_until(lambda: crops()["sent"] >= 1 and (not (folder / name).exists() or system.s3.objects[prefix + name] != objects[prefix + name]), PATIENCE,
               what="what was sent leaves the folder")
    # Both programs show what is there.
    there = "cam_1/20200101/7-plate.jpg"
    system.s3.objects[prefix + there] = ("image/jpeg", b"\xff\xd8 a picture")
    port = free_port()
    spawn_module("gtv-console", ready=f"http://127.0.0.1:{port}/health", env={
        "CONSOLE_PORT": port, "DATABASE_URL": f"sqlite:{spawn_module.folder / 'console.db'}", "REDIS_URL": redis_module.url(), **system.pictures})
    for url in (f"{system.ai.url}/crops/", f"http://127.0.0.1:{port}/api/crops/"):
        answer = requests.get(url + there, timeout=60)
        assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, "image/jpeg", b"\xff\xd8 a picture")
        assert requests.get(url + "cam_77/20260101/1.jpg", timeout=60).status_code == 404
        assert requests.get(url + "cam_77/20260101/..%2Fx.jpg", timeout=60).status_code in (400, 404)
    assert not system.s3.refused and system.s3.secret not in system.ai.process.log()


def test_why_others_are_not(system):
    for number, cause in ((3, "not found"), (4, "unauthorised")):
        wait_until(lambda n=number, c=cause: c in (system.status(n)["cause"] or ""), PATIENCE, what=f"camera {number}: {cause}")
        status = system.status(number)
        assert not status["watching"] and "RTSP" in status["cause"] and "404" in status["cause"] and "see" not in status["cause"], status


def test_a_server_that_goes_and_comes_back(system):
    frames = system.status(1)["frames"]
    system.media.stop()
    wait_until(lambda: "refused" in (system.status(1)["cause"] or ""), PATIENCE, what="refused")
    assert system.status(1)["state"] in ("waiting", "connecting")
    system.start_media()
    wait_until(lambda: system.status(1)["watching"] and system.status(1)["frames"] > frames, PATIENCE, what="watched again")
