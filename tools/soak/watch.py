#!/usr/bin/env python3
"""`./gtv soak watch`: cameras watched by two gtv-ai for half an hour; one of them is killed now and then, and Redis is restarted once.

A media node relays test cameras (tools/camera, the street with traffic) to both. What passes: every camera is watched by exactly one program within
ten seconds of a kill, no durable event is told twice, none was lost, all cameras still make events at the end, and neither memory nor file descriptors of
the programs have grown. Not part of CI.
"""

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".deps/venv/bin/python"
try:
    import redis
except ImportError:  # started with the system's Python
    os.execv(VENV, [str(VENV), *sys.argv])

sys.path.insert(0, str(Path(__file__).parent))
from jobs import free_port, wait  # noqa: E402

GROWTH_KIB = 24 * 1024  # of a process that has settled, over the whole run
GROWTH_FDS = 8


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.loads(answer.read())


class Program:
    """One program of the system, its memory and its file descriptors."""

    def __init__(self, name, args, env, folder):
        self.name, self.args, self.log, self.starts = name, args, folder / f"{name}.log", 0
        self.env = {**os.environ, **{k: str(v) for k, v in env.items()}}
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(a) for a in self.args], env=self.env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.starts, self.since, self.first = self.starts + 1, time.monotonic(), None

    def stop(self):
        self.process.kill()
        self.process.wait()

    def sizes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
        return rss, len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Soak:
    def __init__(self, options, folder):
        self.options, self.folder, self.programs, self.wrong = options, folder, [], []
        self.redis_port, self.api, self.hls = free_port(), free_port(), free_port()
        self.client = redis.Redis(port=self.redis_port, db=2, decode_responses=True)
        self.last, self.keys, self.types = "-", collections.Counter(), collections.Counter()

    def add(self, name, args, **env):
        self.programs.append(Program(name, args, env, self.folder))
        return self.programs[-1]

    def start(self):
        o = self.options
        self.redis = self.add("redis", ["redis-server", "--port", self.redis_port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
                                        "--dir", self.folder, "--loglevel", "warning"])
        wait(self.client.ping, 10, "redis-server answers")
        self.media = self.add("media", [o.build / "services/media/gtv-media"], MEDIA_API_PORT=self.api, MEDIA_HLS_PORT=self.hls, MEDIA_PLAYBACK_PORT=0,
                              MEDIA_RTMP_PORT=0, MEDIA_RTSP_PORT=0, MEDIA_RTP_PORT=0, MEDIA_DATA=self.folder / "media", LOG_LEVEL="WARNING")
        wait(lambda: get(self.api, "/v3/paths/list"), 30, "the media node answers")
        ready = self.folder / "camera"
        self.add("camera", ["/usr/bin/python3", ROOT / "tools/camera/rtsp_camera.py", "--clip", o.clip, "--paths", o.cameras, "--ready-file", ready])
        url = wait(lambda: ready.exists() and ready.read_text().strip(), 60, "the cameras listen")
        for i in range(1, o.cameras + 1):
            body = json.dumps({"source": url + (str(i) if i > 1 else "")}).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{self.api}/v3/config/paths/add/cam_{i}", data=body,
                                             headers={"Content-Type": "application/json"}, method="POST")
            with urllib.request.urlopen(request, timeout=5):
                pass
            self.client.hset("gtv:cameras", i, json.dumps({"id": i, "name": f"Camera {i}", "url": "rtsp://127.0.0.1:1/x", "ai_enabled": True}))
            self.client.xadd("gtv:cameras:news", {"id": i})
        self.ais = []
        for i in range(2):
            port = free_port()
            ai = self.add(f"ai-{i}", [o.build / "services/ai/gtv-ai"], AI_HOST="127.0.0.1", AI_PORT=port, METRICS_PORT=0, REDIS_HOST="127.0.0.1",
                          REDIS_PORT=self.redis_port, MODELS_DIR=o.models, MEDIAMTX_HLS_URL=f"http://127.0.0.1:{self.hls}", AI_CAMERA_CONFIDENCE="0.35",
                          AI_CROPS_DIR=self.folder / "crops", AI_SPOOL_DIR=self.folder / f"spool-{i}", AI_MAX_FPS=o.fps, LOG_LEVEL="WARNING",
                          TBB_ENABLE_SANITIZERS=1)
            ai.port = port
            self.ais.append(ai)
        self.settle("at the start", 60)

    def watching(self):
        return [get(ai.port, "/stats/streams")["watching"] for ai in self.ais if ai.process.poll() is None]

    def settle(self, when, seconds):
        """Until each camera is watched; they are shared out by then or soon after."""
        began = time.monotonic()
        wait(lambda: sum(self.watching()) == self.options.cameras, seconds, f"all cameras are watched {when}")
        return time.monotonic() - began

    def read(self):
        """The durable events since the last call, in order."""
        for key, fields in self.client.xrange("gtv:events:durable", min="(" + self.last if self.last != "-" else "-"):
            self.last = key
            self.keys[fields["key"]] += 1
            self.types[fields["type"]] += 1

    def note(self):
        """Each program's size once it has settled, and now."""
        for p in self.programs:
            if p.process.poll() is not None:
                self.wrong.append(f"{p.name} has ended by itself with {p.process.returncode}, see {p.log}")
                continue
            p.now = p.sizes()
            if p.first is None and time.monotonic() - p.since > self.options.warm:
                p.first = p.now

    def restart_redis(self):
        self.read()
        self.redis.process.send_signal(signal.SIGTERM)
        self.redis.process.wait()
        time.sleep(self.options.away)
        self.redis.start()
        wait(self.client.ping, 20, "redis-server answers again")
        self.settle("after Redis was away", 30)

    def kill_one(self):
        victim, other = self.ais[1], self.ais[0]  # the first lives through: its memory is what is compared
        victim.stop()
        began = time.monotonic()
        wait(lambda: get(other.port, "/stats/streams")["watching"] == self.options.cameras, 30, "a dead program's cameras are taken over")
        took = time.monotonic() - began
        victim.start()
        wait(lambda: sorted(self.watching())[0] >= self.options.cameras // 2, 60, "the cameras are shared out again")
        return took

    def run(self):
        o, takeovers, restarted = self.options, [], False
        began = time.monotonic()
        end, next_kill = began + o.minutes * 60, began + o.kill_every
        while time.monotonic() < end:
            time.sleep(1)
            self.note()
            self.read()
            if not restarted and time.monotonic() > (began + end) / 2:
                restarted = True
                self.restart_redis()
            elif time.monotonic() > next_kill and end - time.monotonic() > 20:
                takeovers.append(self.kill_one())
                next_kill = time.monotonic() + random.uniform(0.7, 1.3) * o.kill_every
            if self.wrong:
                break
        return takeovers

    def judge(self, takeovers):
        self.note()
        self.read()
        told = sum(self.keys.values())
        twice = [k for k, n in self.keys.items() if n > 1]
        durable = [get(ai.port, "/capacity")["durable_events"] for ai in self.ais]
        print(f"soak: {self.options.cameras} cameras, {self.options.minutes:g} min, {len(takeovers)} kills (taken over within "
              f"{max(takeovers, default=0):.1f} s), Redis away once for {self.options.away:g} s: {told} durable events, {len(twice)} told twice, "
              f"{sum(d['lost'] for d in durable)} lost, {sum(d['spool_bytes'] for d in durable)} bytes in the spool; {dict(self.types)}")
        for p in self.programs:
            if p.first is None:
                continue
            print(f"  {p.name}: RSS {p.first[0] / 1024:.1f} -> {p.now[0] / 1024:.1f} MiB, {p.first[1]} -> {p.now[1]} file descriptors, {p.starts} starts")
            if p.name != "redis" and (p.now[0] - p.first[0] > GROWTH_KIB or p.now[1] - p.first[1] > GROWTH_FDS):
                self.wrong.append(f"{p.name} has grown")
        for i in range(1, self.options.cameras + 1):
            if not any(k.startswith(f"cam_{i}/") for k in self.keys):
                self.wrong.append(f"camera {i} has told nothing")
        self.wrong += [f"told twice: {k}" for k in twice[:5]]
        if any(d["lost"] or d["spool_bytes"] for d in durable):
            self.wrong.append("events were lost or wait in the spool")
        if takeovers and max(takeovers) > 10:
            self.wrong.append("a takeover took longer than 10 s")
        if sum(self.watching()) != self.options.cameras:
            self.wrong.append(f"not all cameras are watched at the end: {self.watching()}")

    def stop(self):
        for p in reversed(self.programs):
            p.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--fps", type=float, default=1, help="looks a second of each camera")
    parser.add_argument("--kill-every", type=float, default=60, help="seconds, on average, between kills of one program")
    parser.add_argument("--away", type=float, default=20, help="seconds for which Redis is away")
    parser.add_argument("--warm", type=float, default=40, help="seconds after a program's start to its first measurement")
    parser.add_argument("--clip", default=str(ROOT / "var/street/street.mp4"))
    parser.add_argument("--models", default=str(ROOT / "var/models"))
    parser.add_argument("--build", type=Path, default=ROOT / "build/release")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(options, Path(folder))
        try:
            soak.start()
            soak.judge(soak.run())
        finally:
            soak.stop()
    for line in soak.wrong:
        print(f"  wrong: {line}")
    sys.exit(1 if soak.wrong else 0)


if __name__ == "__main__":
    main()
