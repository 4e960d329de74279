"""What HLS costs the media node when every camera's segments are always kept, and how far Low-Latency HLS is behind the camera."""

import os
import re
import shutil
import statistics
import sys
import threading
import time
import urllib.request
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import ROOT, Row, call, cpu_seconds, free_port, rss_kib
from media import SHARE, cameras, connected, node

# MediaMTX 1.20 on a machine of this kind with the same kind of clip, hlsAlwaysRemux: percent of a core (the lower end) and MiB.
MEDIAMTX_CPU = {50: 10.3, 200: 27.0}
MEDIAMTX_RSS = {50: 306.0, 200: 1110.0}
RING_SHARE, CAMERA_MIB = 1.2, 0.4  # memory: of the rings' bytes, and for each camera
FILLED = 22  # seconds until the rings have all their segments: 9 of 2 s, and a little
LATENCY_BAR = 1.2
GOP, FIRST_SLACK = 2.0, 0.3  # seconds: of the clip, and what the first playlist may take beyond it
MIB = 1024 * 1024
PAGE = """<!DOCTYPE html><html><body><script src="/hls.js"></script><script>
window.behind = [];
window.watch = url => {
  const video = document.body.appendChild(document.createElement("video")), hls = new Hls({ lowLatencyMode: true });
  video.muted = true;
  hls.on(Hls.Events.ERROR, (_, d) => d.fatal && (window.fatal = d.details));
  hls.loadSource(url); hls.attachMedia(video); video.play();
  setInterval(() => {
    const last = hls.levels[0]?.details?.fragments?.findLast(f => f.programDateTime), b = video.buffered;
    if (last && b.length) behind.push((Date.now() - last.programDateTime) / 1000 - (b.end(b.length - 1) - last.start));
    window.frames_shown = video.getVideoPlaybackQuality().totalVideoFrames;
  }, 50);
};
</script></body></html>"""


def ring_bytes(api):
    with urllib.request.urlopen(api + "/metrics", timeout=10) as answer:
        return sum(int(n) for n in re.findall(r"^gtv_media_ring_bytes\{[^}]*\} (\d+)$", answer.read().decode(), re.M))


def bench_remux(options, folder, count):
    seconds = max(20, options.seconds)
    with cameras(folder, count) as address, node(folder, MEDIA_HLS_ALWAYS_REMUX="true") as (api, process):
        for n in range(1, count + 1):
            call("POST", f"{api}/v3/config/paths/add/cam_{n}", {"source": address + (str(n) if n > 1 else "")})
        end = time.monotonic() + 90
        while not connected(api, count):
            if time.monotonic() > end:
                sys.exit(f"bench: {count} cameras did not connect")
            time.sleep(0.5)
        time.sleep(FILLED)
        before, began = cpu_seconds(process.pid), time.monotonic()
        time.sleep(seconds)
        cpu = 100 * (cpu_seconds(process.pid) - before) / (time.monotonic() - began)
        if not connected(api, count):
            sys.exit("bench: cameras were lost while it was measured")
        held, rss = ring_bytes(api) / MIB, rss_kib(process.pid) / 1024
    yield Row(f"HLS of {count} cameras always remuxed", "% of a core", cpu, limit=round(SHARE * MEDIAMTX_CPU[count], 1),
              more=f"MediaMTX {MEDIAMTX_CPU[count]} (a constant, taken on such a machine)")
    yield Row(f"the same: memory, {count} cameras", "MiB RSS", rss,
              limit=min(RING_SHARE * held + CAMERA_MIB * count, SHARE * MEDIAMTX_RSS[count]),
              more=f"{held:.1f} of it in the rings; MediaMTX {MEDIAMTX_RSS[count]:g}")


def bench_hls50(options, folder):
    """CPU and RSS of 50 cameras whose HLS is always remuxed."""
    yield from bench_remux(options, folder, 50)


def bench_hls200(options, folder):
    """CPU and RSS of 200 cameras whose HLS is always remuxed."""
    yield from bench_remux(options, folder, 200)


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        script = self.path == "/hls.js"
        body = (ROOT / ".deps/web/node_modules/hls.js/dist/hls.min.js").read_bytes() if script else PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if script else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def measure_latency(url, seconds):
    """Seconds from a picture's arrival at the node to its being in the player's buffer, sampled 20 times a second."""
    from playwright.sync_api import sync_playwright
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=[
            "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"])
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.evaluate("url => window.watch(url)", url)
        page.wait_for_function("window.frames_shown > 50", timeout=60000)
        page.evaluate("behind.length = 0")
        time.sleep(seconds)
        samples, fatal = page.evaluate("[behind, window.fatal]")
        chromium.close()
    server.shutdown()
    if fatal or not samples:
        sys.exit(f"bench: the player failed: {fatal}")
    return samples


def bench_lowlatency(options, folder):
    """How far Low-Latency HLS is behind the camera: from a picture's arrival to the buffer of hls.js in Chromium."""
    hls = free_port()
    with cameras(folder, 1) as address, node(folder, MEDIA_HLS_VARIANT="lowLatency", MEDIA_HLS_PORT=str(hls)) as (api, _):
        call("POST", f"{api}/v3/config/paths/add/cam_1", {"source": address})
        end = time.monotonic() + 30
        while not connected(api, 1):
            if time.monotonic() > end:
                sys.exit("bench: the camera did not connect")
            time.sleep(0.2)
        samples = sorted(measure_latency(f"http://127.0.0.1:{hls}/cam_1/index.m3u8", max(15, options.seconds)))
    worst = samples[int(len(samples) * 0.95)]
    yield Row("Low-Latency HLS behind the camera, 95 %", "s", worst, limit=LATENCY_BAR,
              more=f"median {statistics.median(samples):.2f}, parts of 200 ms; load of the machine {os.getloadavg()[0]:.1f}")


def bench_ondemand(options, folder):
    """The first playlist of a camera that is dialled on demand: from its first key frame, and from the request."""
    hls, rounds = free_port(), max(3, options.rounds)
    with cameras(folder, 1) as address, node(folder, MEDIA_HLS_PORT=str(hls)) as (api, _):
        waits, after_key = [], []
        for n in range(rounds):
            call("POST", f"{api}/v3/config/paths/add/cam_{n}", {"source": address, "sourceOnDemand": True})
            began = time.time()
            with urllib.request.urlopen(f"http://127.0.0.1:{hls}/cam_{n}/index.m3u8", timeout=30) as answer:
                answer.read()
            there = time.time()
            ready = datetime.fromisoformat(call("GET", f"{api}/v3/paths/get/cam_{n}")[1]["readyTime"].replace("Z", "+00:00")).timestamp()
            waits.append(there - began)
            after_key.append(there - ready)
    yield Row("first playlist of a camera on demand, after its first key frame", "s", max(after_key), limit=GOP + FIRST_SLACK,
              more=f"the worst of {rounds}, key frames every {GOP:g} s; from the request on: median {statistics.median(waits):.2f}, worst {max(waits):.2f}; "
                   "MediaMTX 2-3.4 s from the request")
