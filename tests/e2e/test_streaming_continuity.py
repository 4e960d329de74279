"""What restarts behind a viewer does not restart the viewer: the page's player with the real hls.js in Chromium plays through it.

In front of doubles of MediaMTX (they are not MediaMTX) and of two nodes of ours with a real camera, all in one page at once.
"""

import re
import shutil
import signal
import threading
import time
from collections import Counter
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from fixtures_mediamtx import mediamtx_double  # noqa: F401 - a fixture
from playwright.sync_api import sync_playwright

from conftest import ROOT, free_port, wait_until

CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"]
SMALL = {"segment_duration": 1.0, "part_duration": 0.25, "fps": 12, "width": 320, "height": 176, "bitrate": 200_000}
BEYOND = 2.5  # s past what the player holds: more than the old end of a list can have left for it
PAGE = """<!DOCTYPE html><html><head><script src="/vendor/hls.min.js"></script></head><body>
<script type="module">
import { Player } from "/js/player.js";
window.watch = (name, url) => {
  const video = document.body.appendChild(document.createElement("video"));
  video.muted = true;
  video.width = 160;
  const seen = { name, video, states: [], samples: [] };
  const player = new Player(video, { onState: (state, why) => seen.states.push([Date.now() / 1000, state, why]), onFrame: () => {} });
  setInterval(() => seen.samples.push([Date.now() / 1000, video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames]), 100);
  player.start(url);
  (window.seen ??= {})[name] = seen;
};
const plain = window.Hls;
window.Hls = class extends plain {
  constructor(config) {
    super(config);
    this.on(plain.Events.ERROR, (_, d) => (window.hlsErrors ??= []).push([Date.now() / 1000, d.details, d.fatal, d.response?.code ?? 0, d.url ?? d.frag?.url ?? ""]));
  }
};
window.ready = true;
</script></body></html>"""


class Files(SimpleHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/":
            body, kind = PAGE.encode(), "text/html"
        elif path.startswith("/vendor/"):
            body, kind = (ROOT / ".deps/web/node_modules/hls.js/dist" / path[8:]).read_bytes(), "text/javascript"
        elif path.startswith("/js/"):
            body, kind = (ROOT / "web" / path[1:]).read_bytes(), "text/javascript"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def tab():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function("window.ready")
        yield page
        chromium.close()
    server.shutdown()


class Streaming:
    def __init__(self, spawn, nodes, redis_url, **env):
        self.spawn, self.port = spawn, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {"STREAMING_PORT": self.port, "STREAMING_WORKERS": 2, "MEDIAMTX_API_URL": ",".join(api for api, _ in nodes),
                    "MEDIAMTX_HLS_URL": ",".join(hls for _, hls in nodes), "REDIS_URL": redis_url, "GTV_CAMERA_ALLOW": "127.0.0.0/8", **env}
        self.start()

    def start(self):
        self.process = self.spawn("gtv-streaming", env=self.env)

    def wait(self):
        wait_until(lambda: requests.get(self.url + "/health", timeout=60).status_code < 500, what="gtv-streaming answers")

    def get(self, path):
        return requests.get(self.url + path, timeout=60).json()

    def provision(self, number, source):
        answer = requests.post(self.url + "/cameras/provision", timeout=60, json={
            "camera_id": number, "rtsp_url": source, "name": f"Câmera {number}", "on_demand": False})
        assert answer.status_code == 200, answer.text

    def watch(self, tab, name, number):
        index = f"{self.url}/hls/cam_{number}/index.m3u8"
        wait_until(lambda: requests.get(index, timeout=60).status_code == 200, what=f"video of {name}")
        tab.evaluate("([name, url]) => window.watch(name, url)", [name, index])


class Follower:
    """Reads a playlist as a player does, and checks that what it has read before stays true."""

    def __init__(self, url, media):
        self.url, self.media, self.numbers, self.sequences, self.faults, self.text = url, media, {}, [], [], ""
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        last, last_disc = -1, -1
        while not self.stop.wait(0.2):
            try:
                answer = requests.get(f"{self.url}/{self.media}", timeout=60)
            except requests.RequestException:
                continue
            if answer.status_code != 200:
                continue
            text = self.text = answer.text
            first = int(re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)[1])
            disc = int((re.search(r"#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)", text) or [0, "0"])[1])
            if first < last or disc < last_disc:
                self.faults.append(f"back from {last}/{last_disc} to {first}/{disc}:\n{text}")
            last, last_disc = first, disc
            self.sequences.append((first, disc))
            number, gap = first, False
            for line in text.splitlines():
                if line == "#EXT-X-DISCONTINUITY":
                    disc += 1
                gap = gap or line.startswith("#EXT-X-GAP")
                if line and not line.startswith("#"):
                    name = line.partition("?")[0]
                    if not gap and self.numbers.setdefault(number, (name, disc)) != (name, disc):
                        self.faults.append(f"{number} was {self.numbers[number]}, now {(name, disc)}:\n{text}")
                    number, gap = number + 1, False

    def end(self):
        self.stop.set()
        self.thread.join(60)
        assert not self.faults, self.faults[0]


def go_on(tab, names, seconds=60):
    """Waits until each plays what it did not have yet."""
    held = "name => { const v = window.seen[name].video; return v.buffered.length ? v.buffered.end(v.buffered.length - 1) : 0; }"
    wanted = {name: tab.evaluate(held, name) + BEYOND for name in names}
    for name, position in wanted.items():
        tab.wait_for_function("([name, at]) => (window.seen[name].samples.at(-1)?.[1] ?? 0) > at", arg=[name, position], timeout=seconds * 1000)


def report(tab, name, since, what):
    """The longest time without a new frame since then; the player must not have begun anew."""
    seen = tab.evaluate("name => ({ states: window.seen[name].states, samples: window.seen[name].samples })", name)
    longest, last_frames, last_time = 0.0, None, since
    for when, _, count in seen["samples"]:
        if when < since:
            last_frames = count
        elif count != last_frames:
            longest, last_frames, last_time = max(longest, when - last_time), count, when
    states = [state for when, state, _ in seen["states"] if when >= since]
    print(f"{what}, {name}: longest time without a new frame {longest:.1f} s; states {states}")
    if "failed" in states or "connecting" in states:
        told = [e for e in tab.evaluate("window.hlsErrors ?? []") if e[0] >= since]
        times = Counter((round(when - since), detail, fatal, code, url.partition("?")[0]) for when, detail, fatal, code, url in told)
        pytest.fail(f"{what}, {name}: the player began anew: {seen['states']}\n" + "\n".join(f"{n} x {error}" for error, n in times.items()))
    return longest


def our_node(spawn, folder):
    """(API with its id, HLS) of a gtv-media."""
    api, hls = free_port(), free_port()
    spawn("gtv-media", ready=f"http://127.0.0.1:{api}/v3/paths/list", env={
        "MEDIA_API_PORT": api, "MEDIA_HLS_PORT": hls, "MEDIA_DATA": folder, "GTV_CAMERA_ALLOW": "127.0.0.0/8"})
    return f"http://127.0.0.1:{api};id={folder.name}", f"http://127.0.0.1:{hls}"


def test_a_viewer_plays_through_what_restarts_behind_it(tab, spawn, mediamtx_double, redis_server, rtsp_camera, tmp_path):  # noqa: F811
    doubles = {"mpegts": mediamtx_double(generation="1.15", variant="mpegts", **SMALL),
               "fmp4": mediamtx_double(generation="1.20", variant="fmp4", **SMALL),
               "lowLatency": mediamtx_double(generation="1.20", variant="lowLatency", **SMALL)}
    moved = Streaming(spawn, [our_node(spawn, tmp_path / "a"), our_node(spawn, tmp_path / "b")], redis_server.url())
    systems = {name: Streaming(spawn, [(double.api_url, double.hls_url)], redis_server.url(3 + i))
               for i, (name, double) in enumerate(doubles.items())}
    moved.wait()
    moved.provision(9, rtsp_camera().url)
    for number, s in enumerate(systems.values(), 1):
        s.wait()
        s.provision(number, "rtsp://127.0.0.1/x")
    followers = []
    for number, (name, s) in enumerate([*systems.items(), ("moved", moved)], 1):
        number = 9 if name == "moved" else number
        s.watch(tab, name, number)
        media = "video1_stream.m3u8" if name in ("fmp4", "lowLatency") else "main_stream.m3u8"
        followers.append(Follower(f"{s.url}/hls/cam_{number}", media))
    go_on(tab, [*doubles, "moved"])
    worst = 0

    # The node restarts: other names, numbers from the beginning; what the control API added is gone. And a camera moves.
    since = time.time()
    for double in doubles.values():
        double.restart()
    home = next(node["id"] for node in moved.get("/nodes")["nodes"] if node["cameras"])
    assert requests.post(f"{moved.url}/nodes/{home}/drain", timeout=60).status_code == 200
    go_on(tab, [*doubles, "moved"])
    for name in doubles:
        worst = max(worst, report(tab, name, since, "the node restarts"))
    worst = max(worst, report(tab, "moved", since, "the camera moves to another node"))
    assert next(node["id"] for node in moved.get("/nodes")["nodes"] if node["cameras"]) != home

    # It is away for 6 s.
    since = time.time()
    for double in doubles.values():
        double.down()
    time.sleep(6)
    for double in doubles.values():
        double.up()
    go_on(tab, doubles)
    for name in doubles:
        worst = max(worst, report(tab, name, since, "the node is away for 6 s"))

    # The services are killed, and the nodes of some restart at the same time: Redis alone knows the numbers, and what was there is gone.
    since = time.time()
    for s in [*systems.values(), moved]:
        s.process.stop(signal.SIGKILL, check=False)
    for double in doubles.values():
        double.restart()
    for s in [*systems.values(), moved]:
        s.start()
    for s in [*systems.values(), moved]:
        s.wait()
    go_on(tab, [*doubles, "moved"])
    for name in [*doubles, "moved"]:
        worst = max(worst, report(tab, name, since, "the service is killed" + (", its node restarts" if name in doubles else "")))

    for follower, seams in zip(followers, (3, 3, 3, 1)):
        follower.end()
        assert follower.sequences[-1][1] >= seams or "#EXT-X-DISCONTINUITY" in follower.text, follower.text
    assert worst < 30
