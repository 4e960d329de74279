"""The media node's HLS in its three variants: as bytes, as playlists, and in Chromium with the real hls.js."""

import re
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from playwright.sync_api import sync_playwright
from test_media import Media, decode, packets
from test_streaming_continuity import CHROMIUM_FLAGS
from test_streaming_hls import Proxy

from conftest import ROOT, wait_until

HERE = Path(__file__).resolve().parent
MEDIA = {"mpegts": "main_stream.m3u8", "fmp4": "video1_stream.m3u8", "lowLatency": "video1_stream.m3u8"}
PAGE = """<!DOCTYPE html><html><body><script src="/hls.js"></script><script>
window.watch = (name, url) => {
  const video = document.body.appendChild(document.createElement("video"));
  video.muted = true; video.width = 160;
  const hls = new Hls({ lowLatencyMode: true });
  const seen = (window.seen ??= {})[name] = { fatal: [], frames: 0, behind: [], parts: 0 };
  hls.on(Hls.Events.ERROR, (_, d) => d.fatal && seen.fatal.push(d.details));
  hls.on(Hls.Events.FRAG_LOADED, (_, d) => { if (d.part) seen.parts++; });
  hls.loadSource(url); hls.attachMedia(video); video.play();
  setInterval(() => {
    seen.frames = video.getVideoPlaybackQuality().totalVideoFrames;
    seen.time = video.currentTime;
    const list = hls.levels[0]?.details?.fragments ?? [], last = list.findLast(f => f.programDateTime), b = video.buffered;
    if (last && b.length) seen.behind.push((Date.now() - last.programDateTime) / 1000 - (b.end(b.length - 1) - last.start));
  }, 100);
};
</script></body></html>"""


class Files(SimpleHTTPRequestHandler):
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


@pytest.fixture(scope="module")
def tab():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        chromium.close()
    server.shutdown()


@pytest.fixture(scope="module")
def nodes(spawn_module, rtsp_camera_module, tmp_path_factory):
    """A node of each variant, all with the same camera as `cam_1`."""
    camera, all_nodes = rtsp_camera_module(), {}
    for variant in MEDIA:
        node = all_nodes[variant] = Media(spawn_module, tmp_path_factory.mktemp(variant), MEDIA_HLS_VARIANT=variant,
                                          MEDIA_HLS_ALWAYS_REMUX=str(variant == "fmp4").lower())
        node.add("cam_1", camera.url)
    return all_nodes


def media_playlist(node, variant, query="", path="cam_1"):
    answer = requests.get(f"{node.hls}/{path}/{MEDIA[variant]}{query}", timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.text


def uris(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def fetch(node, name, path="cam_1"):
    answer = requests.get(f"{node.hls}/{path}/{name}", timeout=60)
    assert answer.status_code == 200, (name, answer.text)
    assert int(answer.headers["Content-Length"]) == len(answer.content) and answer.headers["Cache-Control"] == "max-age=3600"
    return answer.content


def init_of(text):
    return re.search(r'#EXT-X-MAP:URI="([0-9a-f]{12}_video1_init\.mp4)"', text)[1]


@pytest.mark.parametrize("variant", ["fmp4", "lowLatency"])
def test_fragments_decode_and_join(nodes, variant):
    node = nodes[variant]
    index = requests.get(f"{node.hls}/cam_1/index.m3u8", timeout=60).text
    assert index.startswith("#EXTM3U\n#EXT-X-VERSION:10\n#EXT-X-INDEPENDENT-SEGMENTS\n") and index.endswith("\nvideo1_stream.m3u8\n")
    text = wait_until(lambda: len(uris(t := media_playlist(node, variant))) >= 4 and t)
    names = uris(text)
    assert all(re.fullmatch(r"[0-9a-f]{12}_video1_seg\d+\.mp4", name) for name in names)
    assert text.count("#EXT-X-PROGRAM-DATE-TIME") >= len(names)
    init = fetch(node, init_of(text))
    assert init[4:8] == b"ftyp" and b"avcC" in init and b"mvex" in init
    whole = init
    for body in [fetch(node, name) for name in names[-4:]]:  # all of them first: while one is decoded, others leave the playlist
        got = packets(init + body)
        assert got[0][1] and [p for p, _ in got] == sorted({p for p, _ in got})
        assert decode(init + body) == len(got)
        whole += body
    assert decode(whole) == len(packets(whole))
    assert requests.get(f"{node.hls}/cam_1/main_stream.m3u8", timeout=60).status_code == 404
    assert requests.get(f"{node.hls}/cam_1/000000000000_video1_seg1.mp4", timeout=60).status_code == 404


def test_a_muxer_that_is_always_there(nodes):
    node = nodes["fmp4"]
    node.wait_state("cam_1", "connected")
    muxer = wait_until(lambda: requests.get(node.api + "/v3/hlsmuxers/get/cam_1", timeout=60).status_code == 200)
    assert muxer


def test_low_latency_playlists(nodes):
    node, variant = nodes["lowLatency"], "lowLatency"
    text = wait_until(lambda: (t := media_playlist(node, variant)).count("#EXTINF") == 7 and t)
    target, part = int(re.search(r"TARGETDURATION:(\d+)", text)[1]), float(re.search(r"PART-TARGET=([\d.]+)", text)[1])
    control = re.search(r"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=([\d.]+),CAN-SKIP-UNTIL=([\d.]+)", text)
    assert float(control[1]) >= 3 * part - 1e-4 and float(control[2]) == 6 * target
    parts = [float(d) for d in re.findall(r"#EXT-X-PART:DURATION=([\d.]+)", text)]
    assert len(parts) >= 8 and all(d <= part for d in parts)
    assert ",INDEPENDENT=YES" in text

    # A segment is its parts, one after the other; each ends with a whole picture.
    segment = uris(text)[-1]
    before = text[:text.index(segment)]
    names = re.findall(r'#EXT-X-PART:DURATION=[\d.]+,URI="([^"]+)"', before[before.rindex("#EXT-X-PROGRAM-DATE-TIME"):])
    assert b"".join(fetch(node, name) for name in names) == fetch(node, segment)

    # The part that is announced is held until it is there; and the playlist that has it.
    hint = re.search(r'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', media_playlist(node, variant))[1]
    assert fetch(node, hint)[4:8] == b"moof"
    with ThreadPoolExecutor(4) as pool:
        text = media_playlist(node, variant)
        sequence = int(re.search(r"MEDIA-SEQUENCE:(\d+)", text)[1]) + text.count("#EXTINF")
        open_parts = len(re.findall("#EXT-X-PART:", text[text.rindex("#EXTINF"):]))
        held = list(pool.map(lambda _: media_playlist(node, variant, f"?_HLS_msn={sequence}&_HLS_part={open_parts}"), range(4)))
        for later in held:
            first = int(re.search(r"MEDIA-SEQUENCE:(\d+)", later)[1]) + later.count("#EXTINF")
            now_open = len(re.findall("#EXT-X-PART:", later[later.rindex("#EXTINF"):]))
            assert (first, now_open) > (sequence, open_parts) or first > sequence
        later = media_playlist(node, variant, f"?_HLS_msn={first}")
        assert int(re.search(r"MEDIA-SEQUENCE:(\d+)", later)[1]) + later.count("#EXTINF") > first
    delta = media_playlist(node, variant, "?_HLS_skip=YES")
    skipped = re.search(r"#EXT-X-SKIP:SKIPPED-SEGMENTS=(\d+)\n", delta)
    assert delta.count("#EXTINF") + (int(skipped[1]) if skipped else 0) == 7
    for bad in ["?_HLS_msn=99999999", "?_HLS_part=1", "?_HLS_msn=-1", "?_HLS_msn=x", f"?_HLS_msn={first}&_HLS_part=x"]:
        answer = requests.get(f"{node.hls}/cam_1/{MEDIA[variant]}{bad}", timeout=60)
        assert (answer.status_code, answer.content) == (400, b""), bad
    # Other variants know nothing of it.
    assert "#EXTINF" in media_playlist(nodes["fmp4"], "fmp4", "?_HLS_msn=99999999")


def test_players(nodes, spawn_module, tab):
    """hls.js plays each variant, and Low-Latency HLS through the streaming service's cache too."""
    proxy = Proxy(spawn_module, nodes["lowLatency"].api, nodes["lowLatency"].hls)
    urls = {variant: f"{node.hls}/cam_1/index.m3u8" for variant, node in nodes.items()}
    urls["cached"] = proxy.url + "/hls/cam_1/index.m3u8"
    for url in urls.values():
        wait_until(lambda: requests.get(url, timeout=60).status_code == 200)
    for name, url in urls.items():
        tab.evaluate("([name, url]) => window.watch(name, url)", [name, url])
    seen = wait_until(lambda: (s := tab.evaluate("window.seen")) and all(v["frames"] >= 60 for v in s.values()) and s, 60,
                      what="all four play")
    for name, one in seen.items():
        assert one["fatal"] == [], (name, one["fatal"])
        assert (one["parts"] > 10) == (name in ("lowLatency", "cached")), name
    behind = {name: sorted(one["behind"][-30:])[len(one["behind"][-30:]) // 2] for name, one in seen.items()}
    print("median seconds from arrival to the player's buffer:", {k: round(v, 2) for k, v in behind.items()})
    assert behind["lowLatency"] < behind["mpegts"] + 1  # a loaded machine tells no more; the bench measures it


def test_h265_in_fmp4(nodes, rtsp_camera_module, tmp_path_factory):
    clip = tmp_path_factory.mktemp("hevc") / "clip.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x192:r=15:d=3", "-c:v", "libx265", "-preset", "ultrafast",
                    "-x265-params", "bframes=0:keyint=15:min-keyint=15:log-level=none", "-pix_fmt", "yuv420p", clip], check=True)
    node = nodes["lowLatency"]
    node.add("hevc", rtsp_camera_module(clip=clip).url, sourceOnDemand=True)
    before = time.monotonic()
    index = requests.get(node.hls + "/hevc/index.m3u8", timeout=60)
    print(f"first playlist of an on-demand camera after {time.monotonic() - before:.2f} s")
    assert re.search(r'CODECS="hvc1\.1\.6\.L\d+\.\w+",RESOLUTION=320x192', index.text), index.text
    text = media_playlist(node, "lowLatency", path="hevc")
    init = fetch(node, init_of(text), "hevc")
    at = init.index(b"hvcC")
    assert init[at + 4] == 1 and init.index(b"hvc1") < at and init[at + 4 + 22] == 3, "VPS, SPS and PPS stand in the record"
    body = fetch(node, uris(text)[-1], "hevc")
    assert decode(init + body) == len(packets(init + body)) > 10


def test_sound_in_fmp4(nodes, spawn_module, tmp_path_factory):
    clip = tmp_path_factory.mktemp("av") / "clip.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x192:r=25:d=20", "-f", "lavfi", "-i", "sine=d=20",
                    "-c:v", "libx264", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", clip], check=True)
    camera = spawn_module("/usr/bin/python3", HERE / "av_camera.py", clip)
    node = nodes["fmp4"]
    node.add("av", camera.first_line())
    index = requests.get(node.hls + "/av/index.m3u8", timeout=60)
    assert re.search(r'CODECS="avc1\.\w{6},mp4a\.40\.2"', index.text), index.text
    text = wait_until(lambda: len(uris(t := media_playlist(node, "fmp4", path="av"))) >= 4 and t)
    data = fetch(node, init_of(text), "av") + b"".join(fetch(node, name, "av") for name in uris(text)[-3:])
    assert b"mp4a" in data[:2000] and b"esds" in data[:2000]
    for kind in ("0:v", "0:a"):
        done = subprocess.run(["ffmpeg", "-v", "warning", "-i", "-", "-map", kind, "-f", "null", "-"], input=data, capture_output=True,
                              check=True)
        assert done.stderr == b"", done.stderr.decode()
    assert len(packets(data)) > 50


def test_the_relay_in_fmp4(nodes):
    node = nodes["mpegts"]
    node.wait_state("cam_1", "connected")
    data, end = b"", None
    with requests.get(node.hls + "/cam_1/relay?format=fmp4", stream=True, timeout=60) as answer:
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "video/mp4"
        for chunk in answer.iter_content(None):
            end = end or time.monotonic() + 3
            data += chunk
            if time.monotonic() > end:
                break
    whole = data[:data.rindex(b"moof") - 4]
    got = packets(whole)
    assert got[0][1] and len(got) > 20 and decode(whole) == len(got)
    assert requests.get(node.hls + "/cam_1/relay?format=avi", timeout=60).status_code == 400


def jpeg_size(data):
    done = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", "-"], input=data,
                          capture_output=True, check=True)
    codec, width, height = done.stdout.decode().strip().split(",")
    assert codec == "mjpeg"
    return int(width), int(height)


def test_snapshots(nodes, rtsp_camera_module):
    node = nodes["mpegts"]
    node.wait_state("cam_1", "connected")

    def get(query="", path="cam_1"):
        return requests.get(f"{node.hls}/{path}/snapshot.jpg{query}", timeout=60)
    answer = get()
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "image/jpeg" and answer.headers["Cache-Control"] == "max-age=1"
    assert jpeg_size(answer.content) == (1280, 720)
    assert jpeg_size(get("?width=321").content) == (320, 180)
    assert jpeg_size(get("?width=5000").content) == (1280, 720)
    # Many at once, of several widths: few decodings, the same bytes for all.
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda i: (i % 3, get(f"?width={(160, 320, 640)[i % 3]}").content), range(48)))
    for kind in range(3):
        bodies = {body for i, body in answers if i == kind}
        assert len(bodies) <= 3 and jpeg_size(bodies.pop())[0] == (160, 320, 640)[kind]
    for bad in ["?width=15", "?width=-1", "?width=x", "?width=", "?width=9000"]:
        assert get(bad).status_code == 400 and "width" in get(bad).json()["error"], bad
    answer = get(path="nobody")
    assert (answer.status_code, answer.json()["error"]) == (404, "no stream is available on path 'nobody'")
    # A camera that nobody reads is dialled for it.
    node.add("asleep", rtsp_camera_module().url, sourceOnDemand=True)
    assert jpeg_size(get("?width=64", "asleep").content) == (64, 36)
    node.add("off", "rtsp://127.0.0.1:1/x")
    node.wait_state("off", "failed")
    answer = get(path="off")
    assert answer.status_code == 404 and answer.json()["causeCode"] == "refused"
    with socket.create_connection(("127.0.0.1", node.hls_port), 60) as s:  # who leaves before it is made
        s.sendall(b"GET /cam_1/snapshot.jpg?width=200 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert get().status_code == 200


def test_who_watches_is_listed_and_can_be_thrown_out(nodes):
    node = nodes["mpegts"]
    api = node.api

    def sessions():
        return requests.get(f"{api}/v3/hlssessions/list", timeout=60).json()["items"]

    def ask(name, agent="wall/1.0"):
        return requests.get(f"{node.hls}/cam_1/{name}", headers={"User-Agent": agent}, timeout=60)
    assert ask("index.m3u8").status_code == 200
    names = uris(ask("main_stream.m3u8").text)
    body = ask(names[-1])
    assert ask("index.m3u8", "other/2.0").status_code == 200
    mine = next(s for s in sessions() if s["userAgent"] == "wall/1.0")
    assert mine["path"] == "cam_1" and mine["remoteAddr"] == "127.0.0.1" and mine["isCDN"] is False
    wait_until(lambda: next(s for s in sessions() if s["id"] == mine["id"])["outboundBytes"] == len(body.content), what="its bytes counted")
    assert requests.get(f"{api}/v3/hlssessions/get/{mine['id']}", timeout=60).json()["id"] == mine["id"]
    assert requests.post(f"{api}/v3/hlssessions/kick/{mine['id']}", timeout=60).json() == {"status": "ok"}
    assert requests.get(f"{api}/v3/hlssessions/get/{mine['id']}", timeout=60).status_code == 404
    for name in (names[-1], "main_stream.m3u8"):
        refused = ask(name)
        assert refused.status_code == 401 and refused.json()["error"] == "authentication error"
    assert ask("main_stream.m3u8", "other/2.0").status_code == 200  # nobody else was meant
    assert ask("index.m3u8").status_code == 200  # a new session
    assert ask("main_stream.m3u8").status_code == 200
    again = [s for s in sessions() if s["userAgent"] == "wall/1.0"]
    assert len(again) == 1 and again[0]["id"] != mine["id"]
