"""gtv-ai started for tests, what is true of the street's frames, and the cameras that the streaming service would tell of."""

import base64
import json
import re
import subprocess

import pytest
import requests
from conftest import free_port, redis_of, wait_until


class Ai:
    """Without the plates' networks, unless the test is about them: loading them takes longer than all the rest."""

    def __init__(self, spawn, redis_port, models, hls_url="http://127.0.0.1:9", **env):
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        env = {"AI_PORT": self.port, "METRICS_PORT": self.metrics_port, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": redis_port,
               "MODELS_DIR": models, "LPR_ENABLED": "false", "MEDIAMTX_HLS_URL": hls_url, "AI_CROPS_DIR": spawn.folder / f"crops-{self.port}",
               "AI_SPOOL_DIR": spawn.folder / f"spool-{self.port}", **env}
        self.process = spawn("gtv-ai", env=env, ready=f"{self.url}/health", seconds=120)
        if redis_of(env):
            wait_until(lambda: self.get("/cameras/9007199254740991/status").status_code == 404, what="the cameras are read")

    def get(self, path, timeout=60, **more):
        return requests.get(self.url + path, timeout=timeout, **more)

    @staticmethod
    def post(url, tries=6, **what):
        """Again where a busy machine under a sanitizer took longer than the service's 5 s, for all or for one of a batch."""
        for _ in range(tries):
            answer = requests.post(url, **{"timeout": 60, **what})
            if answer.status_code != 408 and b'"code":"timeout"' not in answer.content:
                break
        return answer

    def detect(self, jpeg, camera_id=1, prefix=""):
        body = {"camera_id": camera_id, "image_base64": prefix + base64.b64encode(jpeg).decode()}
        return self.post(f"{self.url}/detect", json=body)

    def upload(self, jpeg, query="?camera_id=1", field="file", tries=6):
        return self.post(f"{self.url}/detect/upload{query}", tries, files={field: ("a.jpg", jpeg, "image/jpeg")})

    def metric(self, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics").text, re.M)
        return float(found.group(1)) if found else None


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
