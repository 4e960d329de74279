"""The media node with real RTSP cameras: HLS, the relay, causes, the control API, and what it forgets (nothing)."""

import datetime
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests

from conftest import free_port, wait_until

HERE = Path(__file__).resolve().parent
PASSWORD = "hunter2-Zx9"
LEAKS = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0"}
TEXT_404 = "404 page not found"


class Media:
    def __init__(self, spawn, folder, **options):
        self.api_port, self.hls_port = free_port(), free_port()
        self.api, self.hls = f"http://127.0.0.1:{self.api_port}", f"http://127.0.0.1:{self.hls_port}"
        self.data = Path(folder) / "media"
        env = {"MEDIA_API_PORT": self.api_port, "MEDIA_HLS_PORT": self.hls_port, "MEDIA_PLAYBACK_PORT": 0,
               "MEDIA_DATA": self.data, **LEAKS, **options}
        self.spawn, self.env = spawn, env
        self.start()

    def start(self):
        self.process = self.spawn("gtv-media", env=self.env, ready=self.api + "/health")

    def add(self, name, source, **more):
        answer = requests.post(f"{self.api}/v3/config/paths/add/{name}", json={"source": source, **more}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer

    def path(self, name):
        return requests.get(f"{self.api}/v3/paths/get/{name}", timeout=60).json()

    def wait_state(self, name, state, seconds=60):
        return wait_until(lambda: (p := self.path(name))["state"] == state and p, seconds, what=f"{name} is {state}")

    def playlist(self, name):
        answer = requests.get(f"{self.hls}/{name}/main_stream.m3u8", timeout=60)
        assert answer.status_code == 200, answer.text
        return Playlist(answer.text)

    def metric(self, line_start):
        for line in requests.get(self.api + "/metrics", timeout=60).text.splitlines():
            if line.startswith(line_start):
                return float(line.rsplit(" ", 1)[1])
        return None


class Playlist:
    def __init__(self, text):
        self.text = text
        self.segments = []  # (wall seconds, duration, name)
        when = duration = None
        for line in text.splitlines():
            if line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
                when = datetime.datetime.fromisoformat(line.split(":", 1)[1].replace("Z", "+00:00")).timestamp()
            elif line.startswith("#EXTINF:"):
                duration = float(line[8:].rstrip(","))
            elif line and not line.startswith("#"):
                self.segments.append((when, duration, line))
        self.sequence = int(re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text).group(1))


@pytest.fixture
def media(spawn, tmp_path):
    return Media(spawn, tmp_path)


@pytest.fixture(scope="module")
def running(spawn_module, rtsp_camera_module, tmp_path_factory):
    """A node with one connected camera `cam_1`, shared by tests that only read."""
    node = Media(spawn_module, tmp_path_factory.mktemp("running"))
    camera = rtsp_camera_module()
    node.add("cam_1", camera.url)
    node.wait_state("cam_1", "connected")
    return node


def packets(data, *more):
    """(pts, key) of the video packets of MPEG-TS bytes, by ffprobe."""
    done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts,flags", "-of", "json",
                           *more, "-"], input=data, capture_output=True, check=True)
    assert done.stderr == b"", done.stderr.decode()
    return [(int(p["pts"]), "K" in p["flags"]) for p in json.loads(done.stdout)["packets"]]


def decode(data):
    """Decodes everything; the count of frames. Any complaint of the decoder fails the test."""
    done = subprocess.run(["ffmpeg", "-v", "warning", "-i", "-", "-map", "0:v", "-f", "framemd5", "-"], input=data, capture_output=True,
                          check=True)
    assert done.stderr == b"", done.stderr.decode()
    return sum(1 for line in done.stdout.splitlines() if not line.startswith(b"#"))


def pts_to_wall(pts, near):
    turn = (1 << 33) / 90000
    wall = pts / 90000
    return wall + round((near - wall) / turn) * turn


def read_relay(url, seconds, enough=lambda: True, **more):
    """What comes in so many seconds from the first byte on, and until it is enough."""
    data, end = b"", None
    with requests.get(url, stream=True, timeout=60, **more) as answer:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "video/mp2t"
        for chunk in answer.iter_content(None):
            end = end or time.monotonic() + seconds
            data += chunk
            if time.monotonic() > end and enough():
                return data[:len(data) // 188 * 188]
    return data


# ---- HLS ----

def test_the_index_is_held_until_a_segment_exists(media, rtsp_camera):
    camera = rtsp_camera()
    before = time.monotonic()
    media.add("cam_1", camera.url)
    answer = requests.get(f"{media.hls}/cam_1/index.m3u8", timeout=60)
    took = time.monotonic() - before
    assert answer.status_code == 200
    assert took < 30, f"the first playlist took {took:.1f} s"
    assert answer.headers["Content-Type"] == "application/vnd.apple.mpegurl"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert re.fullmatch(r'#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n\n'
                        r'#EXT-X-STREAM-INF:BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+,CODECS="avc1\.[0-9a-f]{6}",RESOLUTION=1280x720,'
                        r'FRAME-RATE=\d+\.000\nmain_stream\.m3u8\n', answer.text), answer.text
    assert media.playlist("cam_1").segments


def test_segments_decode_and_carry_the_wall_clock(running):
    requests.get(f"{running.hls}/cam_1/index.m3u8", timeout=60)
    playlist = wait_until(lambda: len((p := running.playlist("cam_1")).segments) >= 4 and p)
    now, names = time.time(), [name for _, _, name in playlist.segments]
    assert all(re.fullmatch(r"[0-9a-f]{12}_main_seg\d+\.ts", name) for name in names)
    whole = b""
    # All of them first: while one is decoded, others leave the playlist.
    answers = [requests.get(f"{running.hls}/cam_1/{name}", timeout=60) for name in names]
    for (when, duration, name), answer in zip(playlist.segments, answers):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "video/mp2t"
        assert answer.headers["Cache-Control"] == "max-age=3600"
        assert int(answer.headers["Content-Length"]) == len(answer.content) and len(answer.content) % 188 == 0
        got = packets(answer.content)
        assert got[0][1], "a segment begins with a key frame"
        assert [p for p, _ in got] == sorted({p for p, _ in got}), "time stamps increase strictly"
        assert abs(pts_to_wall(got[0][0], now) - when) < 0.002, "the PTS is the clock of EXT-X-PROGRAM-DATE-TIME"
        assert decode(answer.content) == len(got)
        assert 0.8 < duration < 1.3
        whole += answer.content
    assert decode(whole) > 0, "segments follow one another without a seam"
    for (a, duration, _), (b, _, _) in zip(playlist.segments, playlist.segments[1:]):
        assert abs(a + duration - b) < 0.002
    end = playlist.segments[-1][0] + playlist.segments[-1][1]
    assert -0.5 < now - end < 8, "the last segment ended just now"


def test_the_playlist_moves_on(running):
    requests.get(f"{running.hls}/cam_1/index.m3u8", timeout=60)
    first = wait_until(lambda: len((p := running.playlist("cam_1")).segments) == 7 and p)
    later = wait_until(lambda: (p := running.playlist("cam_1")).sequence >= first.sequence + 2 and p)
    assert len(later.segments) == 7
    known = {name: when for when, _, name in first.segments}
    for when, _, name in later.segments[:4]:
        assert known.get(name, when) == when, "a segment keeps its date"
    gone = first.segments[0][2]
    wait_until(lambda: requests.get(f"{running.hls}/cam_1/{gone}", timeout=60).status_code == 404)


def test_hls_errors(running):
    def get(path, method="GET"):
        return requests.request(method, running.hls + path, timeout=60, allow_redirects=False)
    answer = get("/nobody/index.m3u8")
    assert (answer.status_code, answer.json()) == (404, {"status": "error", "error": "no stream is available on path 'nobody'"})
    answer = get("/cam_1/000000000000_main_seg1.ts")
    assert (answer.status_code, answer.text) == (404, TEXT_404)
    assert (get("/cam_1/other.txt").status_code, get("/cam_1/other.txt").text) == (404, TEXT_404)
    answer = get("/bad%20name/index.m3u8")
    assert answer.status_code == 500 and answer.json()["error"].startswith("invalid path name: ")
    assert get("/cam_1/index.m3u8", "HEAD").status_code == 404
    assert get("/cam_1/index.m3u8", "POST").status_code == 404
    answer = get("/cam_1")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/cam_1/")
    assert "<video" in get("/cam_1/").text
    assert get("/cam_1/relay?keyframes=perhaps").status_code == 400
    preflight = requests.options(running.hls + "/cam_1/index.m3u8", timeout=60,
                                 headers={"Origin": "http://x", "Access-Control-Request-Method": "GET"})
    assert preflight.status_code == 204 and "GET" in preflight.headers["Access-Control-Allow-Methods"]


def test_pipelined_requests_are_held_one_after_another(media, rtsp_camera):
    media.add("cam_1", rtsp_camera().url, sourceOnDemand=True)
    with socket.create_connection(("127.0.0.1", media.hls_port), 60) as s:
        request = "GET /cam_1/%s HTTP/1.1\r\nHost: x\r\n%s\r\n"
        s.sendall((request % ("index.m3u8", "") + request % ("main_stream.m3u8", "") + request % ("index.m3u8", "") +
                   request % ("relay", "Connection: close\r\n")).encode())
        data, end = b"", time.monotonic() + 60
        s.settimeout(60)
        while data.count(b"HTTP/1.1 200 OK") < 4 and time.monotonic() < end:
            data += s.recv(65536)
    assert data.count(b"HTTP/1.1 200 OK") == 4 and data.count(b"#EXT-X-STREAM-INF") == 2 and data.count(b"#EXT-X-MEDIA-SEQUENCE") == 1


# ---- The relay ----

def test_the_relay_has_the_clock_of_the_playlist_and_no_latency(running):
    data = read_relay(running.hls + "/cam_1/relay", 3)
    now = time.time()
    got = packets(data)
    assert got[0][1], "it begins with a key frame"
    assert len(got) > 20 and decode(data) >= len(got) - 1
    walls = [pts_to_wall(pts, now) for pts, _ in got]
    assert walls == sorted(walls)
    assert -0.5 < now - walls[-1] < 4, "the newest packet is of this moment"
    # The first key frame is one of the playlist: the same PTS, the same date.
    requests.get(f"{running.hls}/cam_1/index.m3u8", timeout=60)
    dates = [when for when, _, _ in running.playlist("cam_1").segments]
    keys = [w for w, (_, key) in zip(walls, got) if key]
    assert any(abs(key - when) < 0.002 for key in keys for when in dates)


def test_key_frames_only(running):
    data = read_relay(running.hls + "/cam_1/relay?keyframes=1", 3.5)
    got = packets(data)
    assert 2 <= len(got) <= 12 and all(key for _, key in got)
    assert decode(data) == len(got)


def test_many_readers_get_the_same(running):
    results, together = [None] * 6, threading.Event()

    def read(i):
        results[i] = packets(read_relay(running.hls + "/cam_1/relay", 2, together.is_set))
    threads = [threading.Thread(target=read, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    try:
        wait_until(lambda: sum(r["type"] == "relay" for r in running.path("cam_1")["readers"]) == 6)
        time.sleep(1.5)
    finally:
        together.set()
    for t in threads:
        t.join()
    common = set.intersection(*(set(p for p, _ in r) for r in results))
    assert len(common) > 10
    wait_until(lambda: not any(r["type"] == "relay" for r in running.path("cam_1")["readers"]))


def test_h265(media, rtsp_camera, tmp_path):
    clip = tmp_path / "clip.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x192:r=15:d=3", "-c:v", "libx265", "-preset", "ultrafast",
                    "-x265-params", "bframes=0:keyint=15:min-keyint=15:log-level=none", "-pix_fmt", "yuv420p", clip], check=True)
    camera = rtsp_camera(clip=clip)
    media.add("hevc", camera.url)
    index = requests.get(media.hls + "/hevc/index.m3u8", timeout=60)
    assert re.search(r'CODECS="hvc1\.1\.6\.L\d+\.\w+",RESOLUTION=320x192', index.text), index.text
    data = requests.get(f"{media.hls}/hevc/{media.playlist('hevc').segments[0][2]}", timeout=60).content
    assert decode(data) == len(packets(data)) > 10
    assert media.path("hevc")["tracks"] == ["H265"]


def test_a_camera_with_a_microphone(media, spawn, tmp_path):
    clip = tmp_path / "clip.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x192:r=25:d=20", "-f", "lavfi", "-i", "sine=d=20",
                    "-c:v", "libx264", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", clip], check=True)
    camera = spawn("/usr/bin/python3", HERE / "av_camera.py", clip)
    media.add("av", camera.first_line())
    index = requests.get(media.hls + "/av/index.m3u8", timeout=60)
    assert re.search(r'CODECS="avc1\.\w{6},mp4a\.40\.2"', index.text), index.text
    assert media.path("av")["tracks"] == ["H264", "MPEG-4 Audio"]
    playlist = wait_until(lambda: len((p := media.playlist("av")).segments) >= 4 and p)
    data = b"".join(requests.get(f"{media.hls}/av/{name}", timeout=60).content for _, _, name in playlist.segments[1:4])
    done = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "packet=codec_type,pts", "-of", "json", "-"], input=data,
                          capture_output=True, check=True)
    tracks = {"video": [], "audio": []}
    for p in json.loads(done.stdout)["packets"]:
        tracks[p["codec_type"]].append(int(p["pts"]))
    assert len(tracks["audio"]) > 80 and len(tracks["video"]) > 60
    assert abs(tracks["audio"][0] - tracks["video"][0]) < 45000, "both are on the path's clock"
    assert subprocess.run(["ffmpeg", "-v", "warning", "-i", "-", "-map", "0:a", "-f", "null", "-"], input=data, capture_output=True,
                          check=True).stderr == b""


# ---- Causes ----

def bad_sources(rtsp_camera):
    env = {"CAM_PASS": PASSWORD}
    locked = rtsp_camera("--user", "admin", "--password-env", "CAM_PASS", env=env)
    host = locked.url.split("//")[1]
    return [
        (f"rtsp://admin:wrong-{PASSWORD}@{host}", "unauthorised", "unauthorised: wrong user or password"),
        (locked.url, "unauthorised", "unauthorised: wrong user or password"),
        (f"rtsp://127.0.0.1:{free_port()}/x", "refused", "refused"),
        ("rtsp://no-such-host.invalid/x", "name", "name does not resolve"),
        (f"rtsp://admin:{PASSWORD}@{host.split('/')[0]}/other", "not_found", "not found"),
        (rtsp_camera("--audio-only").url, "no_video", "no video in the stream"),
        (rtsp_camera("--codec", "mjpeg").url, "codec", "codec mjpeg cannot be carried by HLS: set the camera to H.264"),
    ]


def test_every_failure_has_its_cause(media, rtsp_camera):
    sources = bad_sources(rtsp_camera)
    good = rtsp_camera()
    media.add("good", good.url)
    for i, (source, _, _) in enumerate(sources):
        media.add(f"bad_{i}", source)
        media.add(f"demand_{i}", source, sourceOnDemand=True, sourceOnDemandStartTimeout="3s")
    for i, (source, code, text) in enumerate(sources):
        state = wait_until(lambda i=i: (p := media.path(f"bad_{i}"))["state"] == "failed" and p, what=source)
        assert state["causeCode"] == code and state["cause"].startswith(text), state
        assert state["ready"] is False and state["tracks"] == []
        answer = requests.get(f"{media.hls}/bad_{i}/index.m3u8", timeout=60)
        assert answer.status_code == 404, answer.text
        assert answer.json()["error"] == f"no stream is available on path 'bad_{i}'"
        assert answer.json()["causeCode"] == code

        def told(i=i, code=code):
            """Where its 3 s are too short for a busy machine, the next reader dials again."""
            answer = requests.get(f"{media.hls}/demand_{i}/relay", timeout=60)
            assert answer.status_code == 500, answer.text
            assert re.fullmatch(f"source of path 'demand_{i}' has (timed out|failed)", answer.json()["error"])
            assert answer.json()["causeCode"] == code, answer.text
            return True

        wait_until(told, what=f"the cause of demand_{i}")
    # Faults keep to themselves.
    assert requests.get(media.hls + "/good/index.m3u8", timeout=60).status_code == 200
    wait_until(lambda: media.metric("gtv_media_dials_total") > 2 * len(sources), what="all are dialled again")
    log = media.process.log()
    assert PASSWORD not in log
    lines = [line for line in log.splitlines() if "path=bad_2 " in line and "source failed" in line]
    assert len(lines) == 1, "a cause is told once, not at each retry"


def test_a_host_that_never_answers(spawn, tmp_path):
    media = Media(spawn, tmp_path, MEDIA_CONNECT_SECONDS="1.5")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        media.add("dead", f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x", sourceOnDemand=True, sourceOnDemandStartTimeout="4s")
        before = time.monotonic()
        answer = requests.get(media.hls + "/dead/index.m3u8", timeout=60)
        assert 3.5 < time.monotonic() - before < 30
        assert (answer.status_code, answer.json()["error"]) == (500, "source of path 'dead' has timed out")
        assert answer.json()["cause"] == "timed out"


def test_what_answers_is_no_camera(media):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve():
            while True:
                try:
                    conn, _ = server.accept()
                except OSError:
                    return
                conn.recv(1000)
                conn.sendall(os.urandom(4000) + b"\r\n\r\n")
                conn.close()
        threading.Thread(target=serve, daemon=True).start()
        media.add("garbage", f"rtsp://127.0.0.1:{server.getsockname()[1]}/x")
        assert media.wait_state("garbage", "failed")["cause"]
        assert media.process.alive()
        server.shutdown(socket.SHUT_RDWR)


def test_a_frozen_camera_is_dialled_again(spawn, tmp_path, rtsp_camera):
    media = Media(spawn, tmp_path, MEDIA_STALL_SECONDS="1.5")
    camera = rtsp_camera("--freeze-after", "4")
    media.add("cam_1", camera.url)
    requests.get(media.hls + "/cam_1/index.m3u8", timeout=60)
    wait_until(lambda: "stalled: connected, but no picture for 1.5 s" in media.process.log())
    media.wait_state("cam_1", "connected")
    text = wait_until(lambda: "#EXT-X-DISCONTINUITY\n" in (t := media.playlist("cam_1").text) and t)
    assert media.playlist("cam_1").segments
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1


def test_a_camera_that_hangs_up_comes_back(media, rtsp_camera):
    camera = rtsp_camera("--close-after", "3")
    media.add("cam_1", camera.url)
    data = read_relay(media.hls + "/cam_1/relay", 10)  # ends with the connection
    assert len(packets(data)) > 10
    wait_until(lambda: media.process.log().count("source connected") >= 2)
    log = media.process.log()
    assert "the camera closed the connection" in log


def test_a_camera_that_returns(media, rtsp_camera):
    port = free_port()
    media.add("cam_1", f"rtsp://127.0.0.1:{port}/street")
    assert media.wait_state("cam_1", "failed")["causeCode"] == "refused"
    camera = rtsp_camera("--port", str(port))
    assert camera.url.endswith(f":{port}/street")
    media.wait_state("cam_1", "connected")
    assert media.path("cam_1")["cause"] is None


# ---- On demand ----

def test_on_demand_opens_and_closes(spawn, tmp_path, rtsp_camera):
    media = Media(spawn, tmp_path, MEDIA_HLS_MUXER_CLOSE_SECONDS="2")
    camera = rtsp_camera()
    media.add("cam_1", camera.url, sourceOnDemand=True, sourceOnDemandCloseAfter="1s")
    time.sleep(1)
    state = media.path("cam_1")
    assert state["state"] == "idle" and state["source"] == {"type": "rtspSource", "id": ""} and state["bytesReceived"] == 0
    assert state["online"] is True and state["onlineTime"] == "0001-01-01T00:00:00Z"
    assert requests.get(media.hls + "/cam_1/index.m3u8", timeout=60).status_code == 200
    first = media.playlist("cam_1")
    assert media.path("cam_1")["readers"] == [{"type": "hlsMuxer", "id": ""}]
    wait_until(lambda: media.path("cam_1")["state"] == "idle")
    assert requests.get(media.api + "/v3/hlsmuxers/get/cam_1", timeout=60).status_code == 404
    # A relay reader opens it again, and only its leaving lets it close.
    data = read_relay(media.hls + "/cam_1/relay", 4)
    assert len(packets(data)) > 20
    wait_until(lambda: media.path("cam_1")["state"] == "idle")
    assert requests.get(media.hls + "/cam_1/index.m3u8", timeout=60).status_code == 200
    again = media.playlist("cam_1")
    assert again.segments[0][2][:12] != first.segments[0][2][:12], "names never come twice"
    assert again.sequence > first.sequence


def test_max_readers(media, rtsp_camera):
    media.add("cam_1", rtsp_camera().url, maxReaders=1)
    media.wait_state("cam_1", "connected")
    with requests.get(media.hls + "/cam_1/relay", stream=True, timeout=60) as one:
        assert one.status_code == 200
        assert requests.get(media.hls + "/cam_1/relay", timeout=60).status_code == 503
        assert requests.get(media.hls + "/cam_1/index.m3u8", timeout=60).status_code == 503


# ---- The control API ----

def call(node, method, path, body=None, **more):
    return requests.request(method, node.api + path, data=body, timeout=60, allow_redirects=False, **more)


BAD_NAME = "can contain only alphanumeric characters, underscore, dot, minus, slash"
API_TABLE = [
    ("POST", "add/", "{}", 400, "invalid name"),
    ("POST", "add/bad%20name", "{}", 400, f"invalid path name 'bad name': {BAD_NAME}"),
    ("POST", "add/caf%C3%A9", "{}", 400, f"invalid path name 'café': {BAD_NAME}"),
    ("POST", "add//x", "{}", 400, "invalid path name '/x': can't begin with a slash"),
    ("POST", "add/x/", "{}", 400, "invalid path name 'x/': can't end with a slash"),
    ("POST", "add/a/../b", "{}", 400, "invalid path name 'a/../b': can't contain dot path segments"),
    ("POST", "add/~[", "{}", 400, "invalid regular expression: ["),
    ("POST", "add/t", "", 400, "unexpected end of JSON input"),
    ("POST", "add/t", '{"source":', 400, "unexpected end of JSON input"),
    ("POST", "add/t", "[]", 400, "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
    ("POST", "add/t", "{}x", 400, "invalid character 'x' after top-level value"),
    ("POST", "add/t", '{"sourceOnDemand":"yes"}', 400, "json: cannot unmarshal string into Go value of type bool"),
    ("POST", "add/t", '{"sourceOnDemandCloseAfter":"ten"}', 400, 'time: invalid duration "ten"'),
    ("POST", "add/t", '{"colour":1}', 400, 'json: unknown field "colour"'),
    ("POST", "add/t", '{"source":"ftp://127.0.0.1/x"}', 400, "invalid source: 'ftp://127.0.0.1/x'"),
    ("POST", "add/t", '{"source":""}', 400, "invalid source: ''"),
    ("POST", "add/t", '{"source":"rtsp://127.0.0.1:port/x"}', 400, "'rtsp://127.0.0.1:port/x' is not a valid URL"),
    ("POST", "add/t", '{"sourceOnDemand":true}', 400, "'sourceOnDemand' is useless when source is 'publisher'"),
    ("POST", "add/t", '{"recordPath":"/rec/%Y"}', 400, "'recordPath' must contain %path"),
    ("POST", "add/t", '{"record":true,"recordFormat":"mpegts"}', 400, "'recordFormat' mpegts is not supported by this node: use fmp4"),
    ("POST", "add/cam_1", "{}", 400, "path already exists"),
    ("PATCH", "patch/nobody", "{}", 404, "path not found"),
    ("PATCH", "patch/cam_1", '{"colour":1}', 400, 'json: unknown field "colour"'),
    ("PATCH", "patch/cam_1", "{", 400, "unexpected end of JSON input"),
    ("DELETE", "delete/nobody", None, 404, "path not found"),
    ("DELETE", "delete/", None, 400, "invalid name"),
    ("GET", "get/nobody", None, 404, "path configuration not found"),
    ("GET", "list?itemsPerPage=0", None, 400, "invalid items per page"),
    ("GET", "list?itemsPerPage=abc", None, 400, 'strconv.ParseUint: parsing "abc": invalid syntax'),
    ("GET", "list?page=-1", None, 400, 'strconv.ParseUint: parsing "-1": invalid syntax'),
]


@pytest.mark.parametrize("method,path,body,status,error", API_TABLE, ids=lambda v: str(v)[:40])
def test_api_errors(running, method, path, body, status, error):
    # http.client would tidy the path; requests keeps it when it is prepared by hand.
    request = requests.Request(method, running.api, data=body).prepare()
    request.url = f"{running.api}/v3/config/paths/{path}"
    answer = requests.Session().send(request, timeout=60, allow_redirects=False)
    assert (answer.status_code, answer.json()) == (status, {"status": "error", "error": error})
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_api_routes_that_do_not_exist(running):
    for method, path in [("GET", "/"), ("GET", "/v3"), ("GET", "/v3/nothing"), ("POST", "/v3/paths/list"), ("HEAD", "/v3/paths/list"),
                         ("GET", "/v3/config/paths/add/x"), ("PUT", "/v3/config/paths/add/x"), ("HEAD", "/v3/info")]:
        answer = call(running, method, path)
        assert answer.status_code == 404 and answer.headers["Content-Type"].startswith("text/plain"), (method, path, answer.text)
        assert answer.text == ("" if method == "HEAD" else TEXT_404)
    answer = call(running, "GET", "/v3/paths/get/nobody")
    assert (answer.status_code, answer.json()["error"]) == (404, "path not found")
    answer = call(running, "GET", "/v3/hlsmuxers/get/nobody")
    assert (answer.status_code, answer.json()["error"]) == (404, "muxer not found")
    answer = call(running, "POST", "/v3/config/paths/add", "{}")
    assert (answer.status_code, answer.headers["Location"]) == (307, "/v3/config/paths/add/")


def test_api_life_of_a_path(media):
    source = f"rtsp://127.0.0.1:{free_port()}/x"
    ok = {"status": "ok"}
    assert call(media, "POST", "/v3/config/paths/add/a/b", json.dumps({"source": source, "sourceOnDemand": True})).json() == ok
    config = call(media, "GET", "/v3/config/paths/get/a/b").json()
    assert list(config)[:4] == ["name", "source", "sourceFingerprint", "sourceOnDemand"]
    assert (config["name"], config["source"], config["sourceOnDemand"]) == ("a/b", source, True)
    assert config["sourceOnDemandCloseAfter"] == "10s" and config["recordDeleteAfter"] == "1d" and config["recordSegmentDuration"] == "1h0m0s"
    assert call(media, "PATCH", "/v3/config/paths/patch/a/b", '{"sourceOnDemandCloseAfter":"90s"}').json() == ok
    config = call(media, "GET", "/v3/config/paths/get/a/b").json()
    assert (config["sourceOnDemandCloseAfter"], config["source"]) == ("1m30s", source)
    assert call(media, "POST", "/v3/config/paths/replace/a/b", json.dumps({"source": source})).json() == ok
    config = call(media, "GET", "/v3/config/paths/get/a/b").json()
    assert (config["sourceOnDemandCloseAfter"], config["sourceOnDemand"]) == ("10s", False)
    assert call(media, "POST", "/v3/config/paths/replace/new", "{}").json() == ok
    assert call(media, "GET", "/v3/config/paths/get/new").json()["source"] == "publisher"
    state = call(media, "GET", "/v3/paths/get/new").json()
    assert state["source"] is None and state["online"] is False and state["onlineTime"] is None
    assert call(media, "DELETE", "/v3/config/paths/delete/a/b").json() == ok
    assert call(media, "GET", "/v3/paths/get/a/b").status_code == 404
    # The body that the old streaming service's successor sends.
    body = {"source": source, "sourceOnDemand": True, "record": False, "recordPath": "/rec/%path/%Y-%m-%d_%H-%M-%S-%f", "recordFormat": "fmp4"}
    assert call(media, "POST", "/v3/config/paths/add/cam_9", json.dumps(body), headers={"Content-Type": "text/plain"}).json() == ok
    assert call(media, "POST", "/v3/config/paths/add/nil", "null").json() == ok


def test_api_pages(media):
    for i in range(25):
        media.add(f"p{i:02}", "publisher")
    every = call(media, "GET", "/v3/paths/list").json()
    assert (every["itemCount"], every["pageCount"]) == (25, 1)
    assert [p["name"] for p in every["items"]] == [f"p{i:02}" for i in range(25)]
    page = call(media, "GET", "/v3/config/paths/list?itemsPerPage=10&page=2").json()
    assert (page["itemCount"], page["pageCount"], [p["name"] for p in page["items"]]) == (25, 3, [f"p{i}" for i in range(20, 25)])
    assert call(media, "GET", "/v3/paths/list?itemsPerPage=10&page=9").json()["items"] == []
    assert call(media, "GET", "/v3/paths/list?itemsPerPage=&page=").json()["itemCount"] == 25
    assert call(media, "GET", "/v3/hlsmuxers/list").json() == {"itemCount": 0, "pageCount": 0, "items": []}


def test_api_answers(running):
    info = call(running, "GET", "/v3/info").json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", info["started"]) and info["version"].startswith("v")
    requests.get(f"{running.hls}/cam_1/index.m3u8", timeout=60)
    state = call(running, "GET", "/v3/paths/get/cam_1").json()
    assert list(state) == ["name", "confName", "ready", "readyTime", "available", "availableTime", "online", "onlineTime", "source", "tracks",
                           "tracks2", "readers", "inboundBytes", "outboundBytes", "inboundFramesInError", "bytesReceived", "bytesSent",
                           "state", "cause", "causeCode", "recording"]
    assert state["ready"] and state["available"] and state["online"] and state["readyTime"] == state["onlineTime"]
    assert state["tracks"] == ["H264"] and state["tracks2"][0]["codecProps"]["width"] == 1280
    assert state["bytesReceived"] > 10000 and {"type": "hlsMuxer", "id": ""} in state["readers"]
    muxer = call(running, "GET", "/v3/hlsmuxers/get/cam_1").json()
    assert list(muxer) == ["path", "created", "lastRequest", "outboundBytes", "outboundFramesDiscarded", "bytesSent"]
    health = call(running, "GET", "/health").json()
    assert health["status"] == "ok" and health["timestamp"].endswith("Z")
    metrics = call(running, "GET", "/metrics").text
    assert re.search(r'^paths\{name="cam_1",state="ready"\} 1$', metrics, re.M)
    assert re.search(r'^paths_bytes_received\{name="cam_1",state="ready"\} [1-9]\d+$', metrics, re.M)
    assert re.search(r'^hls_muxers\{name="cam_1"\} 1$', metrics, re.M)
    assert re.search(r"^process_resident_memory_bytes ", metrics, re.M)


def test_250_paths_are_added_quickly(media):
    sources = [(f"cam_{i}", "publisher") for i in range(250)]
    before = time.monotonic()

    def add(part):
        with requests.Session() as session:
            for name, source in part:
                assert session.post(f"{media.api}/v3/config/paths/add/{name}", json={"source": source}, timeout=60).status_code == 200
    threads = [threading.Thread(target=add, args=(sources[i::16],)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.monotonic() - before
    assert call(media, "GET", "/v3/paths/list").json()["itemCount"] == 250
    assert len(json.loads((media.data / "paths.json").read_text())["paths"]) == 250
    assert took < 40, f"{took:.1f} s"


# ---- What survives, and what is never shown ----

def test_paths_survive_a_kill(media, rtsp_camera):
    camera = rtsp_camera("--user", "admin", "--password-env", "CAM_PASS", env={"CAM_PASS": PASSWORD})
    media.add("cam_1", camera.url.replace("//", f"//admin:{PASSWORD}@"))
    media.add("other", "publisher", maxReaders=4)
    media.wait_state("cam_1", "connected")
    media.process.popen.send_signal(signal.SIGKILL)
    media.process.popen.wait()
    media.start()
    media.wait_state("cam_1", "connected")
    assert call(media, "GET", "/v3/config/paths/get/other").json()["maxReaders"] == 4
    assert requests.get(media.hls + "/cam_1/index.m3u8", timeout=60).status_code == 200


def test_a_damaged_store_is_set_aside(media):
    media.add("a", "publisher")
    media.process.stop()
    (media.data / "paths.json").write_text('{"version":1,"paths":[{"name":"a"')
    media.start()
    assert call(media, "GET", "/v3/paths/list").json()["itemCount"] == 0
    assert (media.data / "paths.json.bad").exists()
    assert "set aside" in media.process.log()
    media.process.stop()
    (media.data / "paths.json").write_text(json.dumps({"version": 1, "paths": [{"name": "../x"}, {"name": "good"}, 3, {"name": "b", "source": "file:///x"}]}))
    media.start()
    assert [p["name"] for p in call(media, "GET", "/v3/paths/list").json()["items"]] == ["good"]


def test_one_node_a_folder(media, spawn):
    other = spawn("gtv-media", env={"MEDIA_API_PORT": 0, "MEDIA_HLS_PORT": 0, "MEDIA_DATA": media.data, **LEAKS})
    assert other.popen.wait(60) == 1
    assert "in use by another media node" in other.log()


def test_a_port_in_use_is_said(media, spawn, tmp_path):
    other = spawn("gtv-media", env={"MEDIA_API_PORT": media.api_port, "MEDIA_HLS_PORT": 0, "MEDIA_DATA": tmp_path / "b", **LEAKS})
    assert other.popen.wait(60) == 1
    assert "cannot start" in other.log() and str(media.api_port) in other.log()


def test_the_password_is_nowhere(spawn, tmp_path, rtsp_camera):
    media = Media(spawn, tmp_path, LOG_LEVEL="DEBUG")
    camera = rtsp_camera("--user", "admin", "--password-env", "CAM_PASS", env={"CAM_PASS": PASSWORD})
    good, wrong = camera.url.replace("//", f"//admin:{PASSWORD}@"), camera.url.replace("//", f"//admin:not-{PASSWORD}@")
    media.add("cam_1", good)
    media.add("wrong", wrong)
    media.wait_state("cam_1", "connected")
    media.wait_state("wrong", "failed")
    requests.get(media.hls + "/cam_1/index.m3u8", timeout=60)
    texts = [call(media, "GET", path).text for path in
             ["/v3/config/paths/list", "/v3/config/paths/get/cam_1", "/v3/config/paths/get/wrong", "/v3/paths/list", "/v3/hlsmuxers/list",
              "/metrics", "/health", "/v3/info"]]
    texts += [requests.get(f"{media.hls}/{path}", timeout=60).text for path in ["cam_1/index.m3u8", "cam_1/main_stream.m3u8",
                                                                                "wrong/index.m3u8", "cam_1/"]]
    bad = json.dumps({"source": f"ftp://admin:{PASSWORD}@h/x"})
    texts += [call(media, "POST", "/v3/config/paths/add/x", bad).text, call(media, "PATCH", "/v3/config/paths/patch/cam_1", bad).text]
    for pid_file in ("cmdline",):
        texts.append(Path(f"/proc/{media.process.pid}/{pid_file}").read_text())
    texts += [Path(f).read_text() for f in Path(f"/proc/{media.process.pid}/task").glob("*/comm")]
    media.process.stop()
    texts.append(media.process.log())
    for text in texts:
        assert PASSWORD not in text
    assert "rtsp://***@127.0.0.1" in texts[0]
    store = media.data / "paths.json"
    assert PASSWORD in store.read_text() and stat.S_IMODE(store.stat().st_mode) == 0o600


def test_the_answer_of_get_can_be_sent_back(media, rtsp_camera):
    camera = rtsp_camera("--user", "admin", "--password-env", "CAM_PASS", env={"CAM_PASS": PASSWORD})
    media.add("cam_1", camera.url.replace("//", f"//admin:{PASSWORD}@"))
    media.wait_state("cam_1", "connected")
    config = call(media, "GET", "/v3/config/paths/get/cam_1").json()
    config["maxReaders"] = 50
    assert call(media, "POST", "/v3/config/paths/replace/cam_1", json.dumps(config)).status_code == 200
    assert media.path("cam_1")["state"] == "connected", "an unchanged source goes on"
    assert PASSWORD in (media.data / "paths.json").read_text()
    answer = call(media, "PATCH", "/v3/config/paths/patch/cam_1", '{"source":"rtsp://***@127.0.0.1:1/other"}')
    assert answer.status_code == 400 and "***" in answer.json()["error"]


def test_a_path_that_goes_while_it_is_read(media, rtsp_camera):
    media.add("cam_1", rtsp_camera().url)
    media.wait_state("cam_1", "connected")
    with requests.get(media.hls + "/cam_1/relay", stream=True, timeout=60) as relay:
        chunks = relay.iter_content(None)
        next(chunks)
        media.add("held", f"rtsp://127.0.0.1:{free_port()}/x", sourceOnDemand=True)
        held = []
        thread = threading.Thread(target=lambda: held.append(requests.get(media.hls + "/held/index.m3u8", timeout=60)))
        thread.start()
        time.sleep(0.5)
        assert call(media, "DELETE", "/v3/config/paths/delete/cam_1").status_code == 200
        assert call(media, "DELETE", "/v3/config/paths/delete/held").status_code == 200
        for _ in chunks:
            pass  # the stream ends
        thread.join(60)
        assert held[0].status_code == 404
    # Readers that leave while they are held.
    media.add("held", f"rtsp://127.0.0.1:{free_port()}/x", sourceOnDemand=True)
    with pytest.raises(requests.Timeout):
        requests.get(media.hls + "/held/index.m3u8", timeout=0.5)
    time.sleep(0.3)
    assert media.process.alive()


def test_it_ends_at_once(media, rtsp_camera):
    media.add("cam_1", rtsp_camera().url)
    media.add("dead", "rtsp://127.0.0.1:1/x")
    media.wait_state("cam_1", "connected")
    with requests.get(media.hls + "/cam_1/relay", stream=True, timeout=60) as relay:
        before = time.monotonic()
        media.process.popen.send_signal(signal.SIGTERM)
        for _ in relay.iter_content(None):
            pass
        assert time.monotonic() - before < 7, "it does not wait for who reads"
    assert media.process.popen.wait(60) == 0
