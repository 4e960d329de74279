"""Cameras watched: CPU of gtv-ai by stage and RSS a camera, with a real RTSP camera behind the real media node.

The clip has vehicles in sight a third of the time: the synthetic street until its first four have left (1.5 to 21.3 s), then its empty road, all
with the grain that the street's renderer gives its pictures, encoded once more as a camera does (no look ahead). --rate variable: a camera whose
empty road takes fewer bits (its default); mean: one that spends 1.4 Mbit/s whatever it sees. Run alone:
    GTV_BUILD=build/release python3 bench/ai_watch.py [--cameras 8] [--seconds 60] [--codec libx264] [--decode all|keys|auto] [--fps 1] [--rate mean]
--browser: a WebSocket client behind the door measures how old the boxes are that it hears of (from the frame's arrival at the media node).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import websocket

from common import ROOT, TICKS, cpu_seconds, free_port, program, redis, rss_kib, started, streaming, wait_for


FRAMES, TRAFFIC = 900, 323  # of the clip; of the street, whose road is empty from frame 320 to 323
EMPTY = 14  # a frame of the street before its first vehicle


def clip(folder, codec, rate="variable"):
    path = folder / f"third-{codec}.mp4"
    street = ROOT / "var" / "street" / "street.mp4"
    graph = (f"[0:v]trim=end_frame={TRAFFIC},setpts=PTS-STARTPTS[a];[1:v]trim=start_frame={EMPTY}:end_frame={EMPTY + 1},setpts=PTS-STARTPTS,"
             f"loop=-1:1:0,trim=end_frame={FRAMES - TRAFFIC},setpts=N/15/TB[b];[a][b]concat=n=2,noise=c0s=4:c0f=t:c0_seed=7")
    bits = ["-b:v", "1400k"] if rate == "mean" else ["-crf", "25", "-maxrate", "2000k", "-bufsize", "2000k"]
    options = ["-x265-params", "log-level=error:keyint=15:min-keyint=15:scenecut=0"] if codec == "libx265" else ["-g", "15", "-x264-params", "scenecut=0"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", street, "-i", street, "-filter_complex", graph, "-r", "15", "-c:v", codec, "-preset",
                    "veryfast", "-tune", "zerolatency", "-bf", "0", *bits, *options, "-pix_fmt", "yuv420p", path], check=True)
    return path


def get(url):
    return json.loads(urllib.request.urlopen(url, timeout=10).read())


class Browser(threading.Thread):
    """A WebSocket client of all cameras' boxes, and how many milliseconds after its frame's arrival it heard of each."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.ages, self.noting = [], False
        self.socket = websocket.create_connection(url, timeout=120)

    def run(self):
        while True:
            try:
                message = json.loads(self.socket.recv())
            except (OSError, ValueError, websocket.WebSocketException):
                return
            if message["type"] == "detection" and self.noting:
                self.ages.append(time.time() * 1000 - message["wall_ms"])

    def summary(self):
        ages = sorted(self.ages) or [0]
        at = {name: ages[min(int(len(ages) * share), len(ages) - 1)] for name, share in (("half", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999))}
        within = sum(age <= 150 for age in ages) / len(ages)
        return (f"frame's arrival to the browser, {len(ages)} events: {within:.2%} within 150 ms; "
                + ", ".join(f"{name} {age:.0f} ms" for name, age in at.items()) + f", the slowest {ages[-1]:.0f} ms")


@contextmanager
def browser(folder, api, hls, port, redis_port, first):
    """A Browser behind gtv-streaming and the door."""
    with streaming(folder, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{hls}", redis_port) as (base, process):
        door_port = free_port()
        with started([ROOT / "deploy/haproxy/door", "run"], {
                "GTV_LISTEN": "127.0.0.1", "GTV_PORT": str(door_port), "GTV_STREAMING_ADDRS": base.removeprefix("http://"),
                "GTV_AI_ADDRS": f"127.0.0.1:{port}", "GTV_CONSOLE_ADDRS": f"127.0.0.1:{free_port()}", "GTV_MEDIA_HLS_ADDRS": f"127.0.0.1:{hls}"},
                folder / "door.log") as door:
            wait_for(f"http://127.0.0.1:{door_port}/streaming/health", 60)
            for one in (process, door) if first else ():
                raise_above(one.pid)
            client = Browser(f"ws://127.0.0.1:{door_port}/ws/events/*?types=detection")
            client.start()
            yield client


def raise_above(pid):
    """Lets a process go before others of a busy machine (root only): each is a session, which Linux schedules as one group."""
    Path(f"/proc/{pid}/autogroup").write_text("-15")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--codec", default="libx264")
    parser.add_argument("--decode", default="all")
    parser.add_argument("--fps", default="1")
    parser.add_argument("--rate", choices=("variable", "mean"), default="variable")
    parser.add_argument("--warm", type=int, default=60, help="seconds of all cameras before it is measured: gates learn")
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--first", action="store_true", help="go before other processes: for a busy machine, as root")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, redis() as redis_port:
        folder = Path(folder)
        camera = subprocess.Popen(["/usr/bin/python3", ROOT / "tools/camera/rtsp_camera.py", "--clip", clip(folder, options.codec, options.rate)],
                                  stdout=subprocess.PIPE, text=True, start_new_session=True)
        api, hls, port = free_port(), free_port(), free_port()
        media_env = {"MEDIA_PLAYBACK_PORT": "0", "MEDIA_RTMP_PORT": "0", "MEDIA_RTSP_PORT": "0", "MEDIA_RTP_PORT": "0",
                     "MEDIA_API_PORT": str(api), "MEDIA_HLS_PORT": str(hls), "MEDIA_DATA": str(folder / "media"), "LOG_LEVEL": "ERROR",
                     "GTV_CAMERA_ALLOW": "127.0.0.0/8"}
        ai_env = {"AI_PORT": str(port), "METRICS_PORT": "0", "GTV_EVENTS_REDIS_URL": f"redis://127.0.0.1:{redis_port}/2",
                  "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis_port), "MODELS_DIR": str(ROOT / "var/models"),
                  "MEDIAMTX_HLS_URL": f"http://127.0.0.1:{hls}", "AI_MAX_FPS": options.fps, "AI_DECODE": options.decode,
                  "AI_MAX_CAMERAS": "1000", "AI_CROPS_DIR": str(folder / "crops"), "AI_SPOOL_DIR": str(folder / "spool")}
        try:
            url = camera.stdout.readline().strip()
            with started([program("gtv-media")], media_env, folder / "media.log") as media:
                wait_for(f"http://127.0.0.1:{api}/v3/paths/list")
                with started([program("gtv-ai")], ai_env, folder / "ai.log") as ai:
                    wait_for(f"http://127.0.0.1:{port}/health", seconds=60)
                    for process in (camera, media, ai) if options.first else ():
                        raise_above(process.pid)
                    if options.browser:
                        with browser(folder, api, hls, port, redis_port, options.first) as client:
                            measure(options, url, api, port, redis_port, ai, folder / "ai.log", client)
                    else:
                        measure(options, url, api, port, redis_port, ai, folder / "ai.log")
        finally:
            camera.terminate()
            camera.wait(10)


def add(number, options, url, api, redis_port):
    body = json.dumps({"source": url}).encode()
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{api}/v3/config/paths/add/cam_{number}", body,
                                                  {"Content-Type": "application/json"}), timeout=10)
    record = json.dumps({"id": number, "url": url, "ai_enabled": True})
    subprocess.run(["redis-cli", "-p", str(redis_port), "-n", "2", "HSET", "gtv:ai:analysis", str(number), options.settings], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["redis-cli", "-p", str(redis_port), "-n", "2", "HSET", "gtv:cameras", str(number), record], check=True, stdout=subprocess.DEVNULL)


def watching(base, count, seconds=90):
    subprocess_end = time.monotonic() + seconds
    while get(f"{base}/stats/streams")["watching"] < count:
        if time.monotonic() > subprocess_end:
            sys.exit("bench: the cameras are not watched")
        time.sleep(0.3)


def thread_seconds(pid):
    """CPU of its threads by name, numbers left off. The runtime's own threads bear the program's name, as its main thread does."""
    seconds = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name, rest = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        name = "loop" if task.name == str(pid) else "inference" if name == "gtv-ai" else name.rstrip("0123456789-")
        seconds[name] = seconds.get(name, 0) + sum(map(int, rest.split()[11:13])) / TICKS
    return seconds


def measure(options, url, api, port, redis_port, ai, log, client=None):
    base = f"http://127.0.0.1:{port}"
    add(1, options, url, api, redis_port)
    watching(base, 1)
    time.sleep(12)
    # Networks that are loaded when the first plate comes are no camera's.
    end = time.monotonic() + (70 if json.loads(options.settings).get("plates", True) else 0)
    while time.monotonic() < end and log.read_text().count("plate network loaded") < 4:
        time.sleep(0.5)
    before = rss_kib(ai.pid)
    for number in range(2, options.cameras + 1):
        add(number, options, url, api, redis_port)
    watching(base, options.cameras)
    time.sleep(options.warm)
    first, began, cpu = get(f"{base}/stats/streams")["streams"], time.monotonic(), cpu_seconds(ai.pid)
    threads = thread_seconds(ai.pid)
    if client:
        client.noting = True
    time.sleep(options.seconds)
    last, took, cpu = get(f"{base}/stats/streams")["streams"], time.monotonic() - began, cpu_seconds(ai.pid) - cpu
    n = options.cameras
    stages = {stage: sum(b["cpu_ms"][stage] - a["cpu_ms"][stage] for a, b in zip(first, last)) / took / n for stage in last[0]["cpu_ms"]}
    each = cpu * 1000 / took / n
    print(f"{n} cameras, {options.codec}, {options.rate} rate, decode {options.decode}, {options.fps} looks/s: {each:.1f} ms/s a camera, so {1000 / each:.1f} a core")
    print("  by stage, ms/s a camera: " + ", ".join(f"{k} {v:.2f}" for k, v in stages.items()) + f", the rest {each - sum(stages.values()):.2f}")
    print("  by thread, ms/s a camera: " + ", ".join(f"{k} {(v - threads.get(k, 0)) * 1000 / took / n:.2f}"
                                                     for k, v in sorted(thread_seconds(ai.pid).items())))
    print(f"  looks/s {sum(b['looks'] - a['looks'] for a, b in zip(first, last)) / took / n:.2f}, still/s "
          f"{sum(b['still'] - a['still'] for a, b in zip(first, last)) / took / n:.2f}, frames/s "
          f"{sum(b['frames'] - a['frames'] for a, b in zip(first, last)) / took / n:.2f}, quiet/s "
          f"{sum(b['quiet'] - a['quiet'] for a, b in zip(first, last)) / took / n:.2f}, decoding {last[0]['decoding']}, "
          f"left out {sum(b['left_out'] - a['left_out'] for a, b in zip(first, last))}")
    if n > 1:
        print(f"  RSS a camera: {(rss_kib(ai.pid) - before) / 1024 / (n - 1):.2f} MiB (of {rss_kib(ai.pid) / 1024:.0f})")
    if client:
        client.noting = False
        print("  " + client.summary())
    text = urllib.request.urlopen(f"{base}/metrics", timeout=10).read().decode()
    for line in text.splitlines():
        if line.startswith(("gtv_ai_track_plate_readings_total", "gtv_ai_track_plate_reading_seconds_sum", "gtv_ai_track_plates_total")):
            print("  since the start:", line)
    buckets = [line for line in text.splitlines() if line.startswith("gtv_ai_event_latency_seconds")]
    print("  " + "; ".join(line.removeprefix("gtv_ai_event_latency_seconds") for line in buckets))
    print("  capacity:", json.dumps(get(f"{base}/capacity")))


if __name__ == "__main__":
    main()
