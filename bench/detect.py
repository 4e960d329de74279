"""POST /detect: one 1280x720 JPEG of the synthetic street in base64, over and over."""

import base64
import json
import statistics
import subprocess
import sys
import urllib.request

from common import ROOT, Row, cpu_seconds, free_port, program, redis, rss_kib, started, wait_for, wrk

MODELS = ("picodet_s_416", "yolox_nano_416", "nanodet_g_416")


def bench_detect(options, folder):
    """Whole requests to the detector, one inference thread a worker."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-ss", "10", "-i", str(ROOT / "var/street/street.mp4"), "-frames:v", "1",
                    "-q:v", "4", str(folder / "frame.jpg")], check=True)
    jpeg = (folder / "frame.jpg").read_bytes()
    body = json.dumps({"camera_id": 1, "image_base64": base64.b64encode(jpeg).decode()})
    (folder / "post.lua").write_text(f"wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = [[{body}]]\n")
    with redis() as redis_port:
        for model in MODELS:
            if list((ROOT / "var/models").glob(f"{model}.[ox][nm][nl]*")):
                for workers in ("1", "2"):
                    yield one(options, folder, redis_port, model, workers, body, len(jpeg))


def one(options, folder, redis_port, model, workers, body, size):
    port = free_port()
    environment = {"AI_HOST": "127.0.0.1", "AI_PORT": str(port), "METRICS_PORT": str(free_port()), "WORKERS": workers,
                   "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis_port), "YOLO_MODEL": model,
                   "MODELS_DIR": str(ROOT / "var/models"), "LOG_LEVEL": "ERROR"}
    with started([program("gtv-ai")], environment, folder / "ai.log") as ai:
        url = f"http://127.0.0.1:{port}/detect"
        wait_for(f"http://127.0.0.1:{port}/health")
        answer = json.loads(wait_for(urllib.request.Request(url, headers={"Content-Type": "application/json"}), data=body.encode()))
        found, runs = len(answer["detections"]), []
        for _ in range(options.rounds):
            before = cpu_seconds(ai.pid)
            requests, p99, bad = wrk(url, int(workers), options.seconds, str(folder / "post.lua"))
            if bad:
                sys.exit(f"bench: /detect answered {bad} of {requests} requests with an error")
            runs.append(((cpu_seconds(ai.pid) - before) / requests * 1e3, p99, requests / options.seconds))
        cpu, p99, rate = (statistics.median(run[i] for run in runs) for i in range(3))
        return Row(f"/detect, {model}, {workers} worker(s)", "ms CPU a request", cpu,
                   more=f"{1000 / cpu:.1f} a second per core; {rate:.1f} a second; p99 {p99:.0f} ms; {found} found in "
                        f"{size // 1000} KB; RSS {rss_kib(ai.pid) / 1024:.0f} MiB")
