"""gtv-streaming: the cache and its coalescing, provisioning, events, and what happens when a neighbour is away.

The HLS proxy is tested against Origin, a double of a media node that this file runs: it counts what it is asked and misbehaves on
request. Provisioning is tested against the real gtv-media."""

import http.client
import json
import re
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
import websocket

from conftest import ROOT, free_port, wait_until

SEGMENT = bytes(range(256)) * 1024  # 256 KiB
SECRET = "s3nha-secreta-99"


class Origin:
    """A double of a media node: HLS of any stream it is told of, and a control API that lists its paths. Not a MediaMTX."""

    def __init__(self):
        self.asked, self.lock = [], threading.Lock()
        self.delay, self.mode, self.sequence, self.paths = 0, "well", 0, {}
        self.config, self.refuse_text, self.forgetful, self.go_on = {}, None, False, threading.Event()
        self.page_size_seen, self.target = [], 2
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version = "double-of-a-media-node"

            def log_message(self, *_):
                pass

            def answer(self, status, body=b"", kind="application/json", length=True):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if length:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                origin.get(self)

            def do_POST(self):
                origin.write(self)

            do_PATCH = do_DELETE = do_POST

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def count(self, end):
        with self.lock:
            return sum(path.endswith(end) for path in self.asked)

    def get(self, h):
        path = h.path.split("?")[0]
        if path == "/v3/paths/list":
            return self.list_paths(h)
        with self.lock:
            self.asked.append(path)
        if self.delay:
            time.sleep(self.delay)
        if "/cam_" not in path:
            return h.answer(404, b'{"status":"error","error":"no stream is available on path \'x\'"}')
        if path.endswith("/index.m3u8"):
            return h.answer(200, b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmain_stream.m3u8\n", "application/vnd.apple.mpegurl")
        if path.endswith(".m3u8"):
            return self.playlist(h)
        return self.segment(h)

    def playlist(self, h):
        if self.mode == "garbage":
            return h.answer(200, b"<html>no playlist</html>", "application/vnd.apple.mpegurl")
        self.sequence += 1
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{self.target}", f"#EXT-X-MEDIA-SEQUENCE:{self.sequence}"]
        for n in range(self.sequence, self.sequence + 3):
            lines += [f"#EXTINF:{self.target}.00000,", f"abc_main_seg{n}.ts"]
        h.answer(200, ("\n".join(lines) + "\n").encode(), "application/vnd.apple.mpegurl")

    def segment(self, h):
        if self.mode == "error":
            return h.answer(500, b'{"status":"error","error":"muxer broke"}')
        if self.mode == "silent":
            time.sleep(3)
            h.close_connection = True
            return None
        if self.mode == "truncated":
            h.send_response(200)
            h.send_header("Content-Type", "video/mp2t")
            h.send_header("Content-Length", str(len(SEGMENT)))
            h.end_headers()
            h.wfile.write(SEGMENT[:100000])
            h.close_connection = True
            return None
        if self.mode in ("slow", "held"):  # chunked, in 16 pieces over 1.6 s, or the last of them when it is told
            h.send_response(200)
            h.send_header("Content-Type", "video/mp2t")
            h.send_header("Transfer-Encoding", "chunked")
            h.end_headers()
            part = len(SEGMENT) // 16
            for i in range(16):
                h.wfile.write(b"%x\r\n" % part + SEGMENT[i * part:(i + 1) * part] + b"\r\n")
                h.wfile.flush()
                if self.mode == "slow":
                    time.sleep(0.1)
                elif i == 14:
                    self.go_on.wait(60)
            h.wfile.write(b"0\r\n\r\n")
            return None
        return h.answer(200, SEGMENT, "video/mp2t")

    def list_paths(self, h):
        query = dict(pair.split("=") for pair in h.path.split("?")[1].split("&"))
        size, page = int(query["itemsPerPage"]), int(query["page"])
        self.page_size_seen.append((size, page))
        size = min(size, 100)  # pages are smaller than asked for: all of them must be read
        names = sorted(self.paths)
        items = [{"name": n, "source": {"type": "rtspSource", "id": ""}, "readers": [], "bytesReceived": 5, **self.paths[n]}
                 for n in names[page * size:(page + 1) * size]]
        h.answer(200, json.dumps({"itemCount": len(names), "pageCount": -(-len(names) // size), "items": items}).encode())

    def write(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length", 0)))
        verb, name = re.match(r"/v3/config/paths/(\w+)/(.+)", h.path).groups()
        with self.lock:
            self.asked.append(f"{verb} {name}")
        if self.refuse_text:
            return h.answer(400, json.dumps({"status": "error", "error": self.refuse_text}).encode())
        if verb == "add" and name in self.config:
            return h.answer(400, b'{"status":"error","error":"path already exists"}')
        if verb == "patch" and self.forgetful:  # it is started again just now
            self.forgetful = False
            self.config.clear()
        if verb in ("patch", "delete") and name not in self.config:
            return h.answer(404, b'{"status":"error","error":"path not found"}')
        if verb == "delete":
            del self.config[name]
            self.paths.pop(name, None)
        else:
            self.config[name] = {**self.config.get(name, {}), **json.loads(body)}
            self.paths.setdefault(name, {"ready": False})
        return h.answer(200, b'{"status":"ok"}')


@pytest.fixture
def origin():
    double = Origin()
    yield double
    double.stop()


class Streaming:
    def __init__(self, spawn, api, hls, redis_url, **env):
        self.port = env.pop("port", None) or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = spawn("gtv-streaming", ready=self.url + "/health", env={
            "STREAMING_PORT": self.port, "STREAMING_WORKERS": 2, "MEDIAMTX_API_URL": api, "MEDIAMTX_HLS_URL": hls, "REDIS_URL": redis_url,
            "GTV_CAMERA_ALLOW": "127.0.0.0/8", "GTV_API_DIR": ROOT / "api", "LOG_LEVEL": "DEBUG", **env})

    def get(self, path, **kwargs):
        return requests.get(self.url + path, timeout=kwargs.pop("timeout", 60), **kwargs)

    def provision(self, number, url, **more):
        return requests.post(self.url + "/cameras/provision", timeout=60,
                             json={"camera_id": number, "rtsp_url": url, "name": f"Câmera {number}", **more})

    def socket(self, path):
        return websocket.create_connection(f"ws://127.0.0.1:{self.port}{path}", timeout=60)


@pytest.fixture
def no_redis():
    return f"redis://127.0.0.1:{free_port()}/2"


@pytest.fixture
def proxy(spawn, origin, no_redis):
    return Streaming(spawn, origin.url, origin.url, no_redis)


@pytest.fixture
def media(spawn, tmp_path):
    api, hls = free_port(), free_port()

    def start():
        return spawn("gtv-media", ready=f"http://127.0.0.1:{api}/v3/paths/list", env={
            "MEDIA_API_PORT": api, "MEDIA_HLS_PORT": hls, "MEDIA_DATA": tmp_path / f"media-{time.monotonic_ns()}", "GTV_CAMERA_ALLOW": "127.0.0.0/8"})
    node = start()
    node.api, node.hls, node.restart = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{hls}", start
    return node


def read_until(ws, wanted, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = json.loads(ws.recv())
        if wanted(message):
            return message
    raise AssertionError("the message did not come")


# ---- the proxy and its cache ----

def test_miss_then_hit(proxy, origin):
    first = proxy.get("/hls/cam_1/abc_main_seg0.ts")
    again = proxy.get("/hls/cam_1/abc_main_seg0.ts")
    assert first.headers["X-Cache"] == "MISS" and again.headers["X-Cache"] == "HIT"
    assert first.content == again.content == SEGMENT
    assert again.headers["Content-Type"] == "video/mp2t"
    assert again.headers["Cache-Control"] == "public, max-age=5" and int(again.headers["Age"]) < 5
    assert again.headers["Access-Control-Allow-Origin"] == "*"
    assert origin.count("seg0.ts") == 1


def test_a_playlist_lives_half_its_target_duration(proxy, origin):
    texts, start = [], time.monotonic()
    while len(texts) < 3:
        answer = proxy.get("/hls/cam_1/main_stream.m3u8")
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/vnd.apple.mpegurl"
        if answer.text not in texts:
            texts.append(answer.text)
        assert origin.count("main_stream.m3u8") == len(texts)
        time.sleep(0.02)
    assert 1.9 < time.monotonic() - start < 30  # 2 s target: at 0, 1 and 2 s


def at_once(service, *paths):
    """The answers to requests that are sent together, on connections that are there already."""
    connections = [http.client.HTTPConnection("127.0.0.1", service.port, timeout=60) for _ in paths]
    for connection in connections:
        connection.connect()
    for connection, path in zip(connections, paths):
        connection.request("GET", path)
    answers = [connection.getresponse() for connection in connections]
    for answer in answers:
        answer.content = answer.read()
    return answers


@pytest.mark.parametrize("path", ["/hls/cam_1/main_stream.m3u8", "/hls/cam_1/abc_main_seg0.ts"])
def test_fifty_viewers_one_fetch(proxy, origin, path):
    origin.delay = 0.5
    answers = at_once(proxy, *[path] * 50)
    assert {a.status for a in answers} == {200} and len({a.content for a in answers}) == 1
    assert origin.count(path.rsplit("/", 1)[1]) == 1
    kinds = [a.headers["X-Cache"] for a in answers]
    assert kinds.count("MISS") == 1 and kinds.count("COALESCED") >= 1 and set(kinds) <= {"MISS", "COALESCED", "HIT"}


def test_one_fetch_also_when_the_entry_has_expired(proxy, origin):
    proxy.get("/hls/cam_1/main_stream.m3u8")
    time.sleep(1.1)
    origin.delay = 0.3
    answers = at_once(proxy, *["/hls/cam_1/main_stream.m3u8"] * 30)
    assert {a.status for a in answers} == {200} and len({a.content for a in answers}) == 1 and origin.count("main_stream.m3u8") == 2


def test_waiters_get_a_segment_while_it_arrives(proxy, origin):
    origin.mode = "held"
    seen = []
    for _ in range(8):
        answer = requests.get(proxy.url + "/hls/cam_1/abc_main_seg0.ts", stream=True, timeout=60)
        chunks = answer.iter_content(1024)
        seen.append((answer.headers["X-Cache"], next(chunks), chunks))
    origin.go_on.set()
    assert [first + b"".join(chunks) for _, first, chunks in seen] == [SEGMENT] * 8
    assert [kind for kind, _, _ in seen].count("MISS") == 1
    assert origin.count("seg0.ts") == 1
    assert proxy.get("/hls/cam_1/abc_main_seg0.ts").headers["X-Cache"] == "HIT"


def test_a_fetch_outlives_its_first_viewer(proxy, origin):
    origin.mode = "slow"
    with socket.create_connection(("127.0.0.1", proxy.port)) as s:
        s.sendall(b"GET /hls/cam_1/abc_main_seg0.ts HTTP/1.1\r\nHost: x\r\n\r\n")
        s.recv(100)
    answer = wait_until(lambda: (a := proxy.get("/hls/cam_1/abc_main_seg0.ts")).headers["X-Cache"] == "HIT" and a)
    assert answer.content == SEGMENT and origin.count("seg0.ts") == 1


def test_segments_stay_while_the_playlist_names_them(spawn, origin, no_redis):
    short = Streaming(spawn, origin.url, origin.url, no_redis, HLS_SEGMENT_CACHE_TTL=0)
    names = [line for line in short.get("/hls/cam_1/main_stream.m3u8").text.splitlines() if not line.startswith("#")]
    short.get(f"/hls/cam_1/{names[0]}")
    time.sleep(2)
    assert short.get(f"/hls/cam_1/{names[0]}").headers["X-Cache"] == "HIT"  # 3 segments of 2 s are named for 6 s


def test_the_cache_is_bounded_in_bytes(spawn, origin, no_redis):
    small = Streaming(spawn, origin.url, origin.url, no_redis, HLS_CACHE_BYTES=1 << 20)
    for n in range(40):
        assert small.get(f"/hls/cam_1/abc_main_seg{n}.ts").content == SEGMENT
    used = wait_until(lambda: int(re.search(r"^gtv_streaming_cache_bytes (\d+)", small.get("/metrics").text, re.M).group(1)))
    assert 256 * 1024 <= used <= 1 << 20


def test_head_has_no_body(proxy):
    for _ in range(2):
        answer = requests.head(proxy.url + "/hls/cam_1/abc_main_seg0.ts", timeout=60)
        assert answer.status_code == 200 and answer.content == b""
    assert answer.headers["Content-Length"] == str(len(SEGMENT))


@pytest.mark.parametrize("path, status, code", [
    ("/hls/nothing/index.m3u8", 404, "not_found"),
    ("/hls/cam_1/page.html", 404, "not_found"),
    ("/hls/cam_1/relay", 404, "not_found"),
    ("/hls/cam 1/index.m3u8", 400, "bad_request"),
    ("/hls/cam_1;x/index.m3u8", 400, "bad_request"),
    ("/hls/.../index.m3u8", 400, "bad_request"),
    ("/hls/cam_1/%2e%2e%2fv3.m3u8", 400, "bad_request"),
])
def test_names_are_checked(proxy, path, status, code):
    answer = proxy.get(path)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code and answer.json()["detail"]


def test_upstream_failures_are_clear(proxy, origin):
    origin.mode = "error"
    answer = proxy.get("/hls/cam_1/abc_main_seg0.ts")
    assert answer.status_code == 502 and answer.json()["code"] == "upstream" and "muxer broke" in answer.json()["detail"]
    origin.mode = "silent"
    assert proxy.get("/hls/cam_1/abc_main_seg1.ts").status_code == 502
    origin.mode = "garbage"
    answer = proxy.get("/hls/cam_1/main_stream.m3u8")
    assert answer.status_code == 502 and "playlist" in answer.json()["detail"]
    origin.mode = "well"
    assert proxy.get("/hls/cam_1/abc_main_seg0.ts").status_code == 200  # a failure is not kept


def test_a_truncated_segment_is_not_passed_off_as_whole(proxy, origin):
    origin.mode = "truncated"
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        proxy.get("/hls/cam_1/abc_main_seg0.ts")
    origin.mode = "well"
    assert proxy.get("/hls/cam_1/abc_main_seg0.ts").content == SEGMENT


def test_an_origin_that_is_away(spawn, no_redis):
    away = f"http://127.0.0.1:{free_port()}"
    lonely = Streaming(spawn, away, away, no_redis)
    answer = lonely.get("/hls/cam_1/index.m3u8")
    assert answer.status_code == 502 and "cannot be reached" in answer.json()["detail"]
    assert lonely.get("/ready").status_code == 503 and lonely.get("/health").json()["status"] == "ok"
    answer = lonely.provision(1, "rtsp://192.0.2.1/x")
    assert answer.status_code == 502 and answer.json()["code"] == "upstream"


# ---- viewers ----

def test_viewers_are_counted_and_leave(proxy):
    for agent in ("a", "b", "b"):
        proxy.get("/hls/cam_1/main_stream.m3u8", headers={"User-Agent": agent})
    proxy.get("/hls/cam_1/abc_main_seg1.ts", headers={"User-Agent": "a", "X-Forwarded-For": "203.0.113.9"})
    answer = proxy.get("/streams/cam_1/viewers").json()
    assert answer["viewers"] == 3 and answer["path"] == "cam_1"
    assert {(s["address"], s["user_agent"]) for s in answer["sessions"]} == {("127.0.0.1", "a"), ("127.0.0.1", "b"), ("203.0.113.9", "a")}
    assert [s["bytes"] for s in answer["sessions"] if s["address"] == "203.0.113.9"] == [len(SEGMENT)]
    wait_until(lambda: proxy.get("/streams/cam_1/viewers").json()["viewers"] == 0, what="viewers gone after 3 target durations")
    stats = proxy.get("/stats").json()
    assert stats["total_viewers"] == 0 and stats["total_bytes_sent"] > len(SEGMENT)


def test_a_full_stream_refuses_the_next_viewer_only(spawn, origin, no_redis):
    two = Streaming(spawn, origin.url, origin.url, no_redis, MAX_CONNECTIONS_PER_STREAM=2)

    def watch(agent):
        return two.get("/hls/cam_1/main_stream.m3u8", headers={"User-Agent": agent})
    assert [watch(a).status_code for a in "abc"] == [200, 200, 429]
    refused = watch("c")
    assert refused.headers["Retry-After"] and refused.json()["code"] == "too_many"
    assert watch("a").status_code == 200 and two.get("/hls/cam_2/main_stream.m3u8", headers={"User-Agent": "c"}).status_code == 200


def test_stats_read_all_pages(spawn, origin, no_redis):
    origin.paths = {f"cam_{n}": {"ready": n % 2 == 0} for n in range(1, 251)}
    many = Streaming(spawn, origin.url, origin.url, no_redis)
    stats = wait_until(lambda: len((s := many.get("/stats").json())["streams"]) == 250 and s)
    assert stats["active_streams"] == 125
    assert set(stats["streams"][0]) >= {"path", "source", "ready", "readers", "bytes_received", "bytes_sent"}
    assert many.get("/streams").json()["count"] == 250


# ---- provisioning ----

@pytest.mark.parametrize("body, field", [
    ({"rtsp_url": "rtsp://192.0.2.1/x", "name": "x"}, "camera_id"),
    ({"camera_id": "one", "rtsp_url": "rtsp://192.0.2.1/x", "name": "x"}, "camera_id"),
    ({"camera_id": 0, "rtsp_url": "rtsp://192.0.2.1/x", "name": "x"}, "camera_id"),
    ({"camera_id": 1, "name": "x"}, "rtsp_url"),
    ({"camera_id": 1, "rtsp_url": "rtsp://192.0.2.1/x"}, "name"),
    ({"camera_id": 1, "rtsp_url": 5, "name": "x"}, "rtsp_url"),
    ({"camera_id": 1, "rtsp_url": "rtsp://192.0.2.1/x", "name": "x" * 129}, "name"),
    ({"camera_id": 1, "rtsp_url": "rtsp://192.0.2.1/x", "name": "x", "on_demand": "perhaps"}, "on_demand"),
    *[({"camera_id": 1, "rtsp_url": url, "name": "x"}, "rtsp_url") for url in (
        "", "file:///etc/passwd", "pipe:ls", "ftp://192.0.2.1/x", "rtsp://", "rtsp:///x", "rtsp://a b/x", "rtsp://192.0.2.1:99999/x",
        "rtsp://a\\@192.0.2.1/x", "rtsp://%31%32%37.0.0.1/x", "rtsp://192.0.2.1/" + "x" * 2000,
        "rtsp://169.254.169.254/latest", "rtsp://[fe80::1]/x", "rtsp://[::1]/x", "rtsp://0.0.0.0/x", "rtsp://224.0.0.1/x",
        "rtsp://[::ffff:169.254.169.254]/x", "rtsp://[::]/x", "rtsp://does-not-exist.invalid/x", "http://2852039166/x")],
])
def test_a_wrong_body_names_its_field(proxy, origin, body, field):
    answer = requests.post(proxy.url + "/cameras/provision", json=body, timeout=60)
    assert answer.status_code == 422, answer.text
    shape = answer.json()
    assert shape["field"] == field and shape["code"] == "invalid"
    assert shape["detail"][0]["loc"] == ["body", field] and shape["detail"][0]["msg"] and shape["detail"][0]["type"] == "value_error"
    assert not origin.config


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"camera_id":1', b"\xff\xfe"])
def test_a_body_that_is_no_object(proxy, body):
    answer = requests.post(proxy.url + "/cameras/provision", data=body, timeout=60)
    assert answer.status_code == 422 and answer.json()["code"] == "invalid" and answer.json()["detail"][0]["loc"][0] == "body"


def test_loopback_is_off_limits_unless_allowed(spawn, origin, no_redis):
    strict = Streaming(spawn, origin.url, origin.url, no_redis, GTV_CAMERA_ALLOW="")
    for url in ("rtsp://127.0.0.1/x", "rtsp://localhost/x", "rtsp://2130706433/x", "rtsp://[::ffff:127.0.0.1]/x"):
        answer = strict.provision(1, url)
        assert answer.status_code == 422 and "off-limits" in answer.text, url
    assert strict.provision(1, "rtsp://192.0.2.7/x").status_code == 200
    assert strict.provision(1, "rtsp://10.0.0.7/x").status_code == 200  # cameras live in private networks


def test_what_the_node_is_told(proxy, origin):
    answer = proxy.provision(7, f"rtsp://user:{SECRET}@192.0.2.1:554/live?pass={SECRET}", on_demand=True)
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "camera_id": 7, "stream_path": "cam_7", "hls_url": "/streaming/hls/cam_7/index.m3u8",
                             "webrtc_url": None, "result": "created", "message": "Camera provisioned"}
    assert origin.config["cam_7"]["source"] == f"rtsp://user:{SECRET}@192.0.2.1:554/live?pass={SECRET}"
    assert origin.config["cam_7"]["sourceOnDemand"] is True and origin.config["cam_7"]["record"] is False
    assert "%path" in origin.config["cam_7"]["recordPath"] and origin.config["cam_7"]["recordFormat"] == "fmp4"
    # The same again changes nothing; a changed body patches.
    assert proxy.provision(7, f"rtsp://user:{SECRET}@192.0.2.1:554/live?pass={SECRET}", on_demand=True).status_code == 200
    assert origin.count("patch cam_7") == 0
    assert proxy.provision(7, "rtsp://192.0.2.2/b", on_demand=False).status_code == 200
    assert origin.count("patch cam_7") == 1 and origin.config["cam_7"]["source"] == "rtsp://192.0.2.2/b"
    # A node that forgets it between saying that it has it and being told the change is told all.
    origin.forgetful = True
    assert proxy.provision(7, "rtsp://192.0.2.3/c", on_demand=False).status_code == 200
    assert not origin.forgetful and origin.config["cam_7"]["source"] == "rtsp://192.0.2.3/c"
    for path in ("/cameras", "/cameras/7/info", "/cameras/7/status", "/streams", "/stats", "/metrics"):
        assert SECRET not in proxy.get(path).text, path
    assert SECRET not in proxy.process.log()


def test_a_node_that_refuses(proxy, origin):
    url = f"rtsp://user:{SECRET}@192.0.2.1/x?password={SECRET}"
    origin.refuse_text = f"invalid source: '{url}'"
    answer = proxy.provision(1, url)
    assert answer.status_code == 422 and answer.json()["field"] == "rtsp_url" and "invalid source" in answer.text
    assert SECRET not in answer.text and SECRET not in proxy.process.log()
    assert proxy.get("/cameras").json()["count"] == 0


def test_many_cameras_at_once(proxy, origin):
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda n: proxy.provision(n % 50 + 1, f"rtsp://192.0.2.1/{n % 50 + 1}"), range(150)))
    assert {a.status_code for a in answers} == {200}
    assert len(origin.config) == 50 and proxy.get("/cameras").json()["count"] == 50
    with ThreadPoolExecutor(25) as pool:
        gone = list(pool.map(lambda n: requests.delete(f"{proxy.url}/cameras/{n}", timeout=60), range(1, 51)))
    assert all(a.status_code == 200 and a.json()["success"] is True for a in gone)
    assert not origin.config and requests.delete(f"{proxy.url}/cameras/1", timeout=60).status_code == 404


@pytest.mark.parametrize("path", ["/cameras/999/info", "/cameras/999/status"])
def test_an_unknown_camera(proxy, path):
    answer = proxy.get(path)
    assert answer.status_code == 404 and answer.json() == {"detail": "there is no such camera", "code": "not_found", "field": None}
    assert proxy.get("/cameras/abc/info").status_code == 422


def test_cameras_that_the_node_lost_are_put_back(spawn, origin, redis_server):
    keeper = Streaming(spawn, origin.url, origin.url, redis_server.url())
    for n in range(1, 21):
        assert keeper.provision(n, f"rtsp://192.0.2.1/{n}").status_code == 200
    origin.paths["other"] = {"ready": True}
    origin.config.clear()
    origin.paths.pop("cam_1")
    for n in range(2, 21):
        origin.paths.pop(f"cam_{n}")
    wait_until(lambda: len(origin.config) == 20, what="all cameras back")
    assert "other" in origin.paths and "delete other" not in origin.asked
    # And after a restart of ours, from Redis.
    keeper.process.stop()
    origin.config.clear()
    origin.paths = {}
    Streaming(spawn, origin.url, origin.url, redis_server.url())
    wait_until(lambda: len(origin.config) == 20, what="all cameras back after a restart")


def test_what_redis_holds(spawn, origin, redis_server):
    keeper = Streaming(spawn, origin.url, origin.url, redis_server.url(), HEALTH_CHECK_INTERVAL=1)
    wait_until(lambda: keeper.get("/ready").json()["redis"], what="redis up")
    assert keeper.provision(3, f"rtsp://u:{SECRET}@192.0.2.1/x", ai_enabled=True, record=True).status_code == 200
    client = redis_server.client()
    stored = wait_until(lambda: client.hget("gtv:cameras", "3") and json.loads(client.hget("gtv:cameras", "3")))
    assert stored["id"] == 3 and stored["url"].startswith("rtsp://u:") and stored["ai_enabled"] is True and stored["record"] is True
    wait_until(lambda: [entry[1]["id"] for entry in client.xrange("gtv:cameras:news")] == ["3"], what="its news")
    stats = wait_until(lambda: client.get("streaming:stats") and json.loads(client.get("streaming:stats")))
    assert set(stats) >= {"active_streams", "total_viewers", "total_bytes_sent", "uptime_seconds", "streams"}
    assert 0 < client.ttl("streaming:stats") <= 60
    assert SECRET not in client.get("streaming:stats")
    requests.delete(f"{keeper.url}/cameras/3", timeout=60)
    wait_until(lambda: not client.hexists("gtv:cameras", "3"))


def test_redis_goes_and_comes(spawn, origin, redis_server):
    steady = Streaming(spawn, origin.url, origin.url, redis_server.url())
    wait_until(lambda: steady.get("/ready").json()["redis"], what="redis up")
    assert steady.provision(1, "rtsp://192.0.2.1/1").status_code == 200
    redis_server.stop()
    wait_until(lambda: {"status": "degraded", "media": True, "redis": False}.items() <= steady.get("/ready").json().items(), what="redis down")
    assert steady.get("/hls/cam_1/abc_main_seg1.ts").content == SEGMENT
    assert steady.provision(2, "rtsp://192.0.2.1/2").status_code == 200
    assert [c["camera_id"] for c in steady.get("/cameras").json()["cameras"]] == [1, 2]
    ws = steady.socket("/ws/events/cam_2")
    origin.paths["cam_2"]["ready"] = True
    assert read_until(ws, lambda m: m["type"] == "status" and m["data"]["state"] == "connected" and "id" in m)
    redis_server.start()
    wait_until(lambda: steady.get("/ready").json()["redis"], what="redis up again")
    client = redis_server.client()
    wait_until(lambda: client.hexists("gtv:cameras", "2"), what="what was missed is written")
    client.xadd("gtv:events", {"stream": "cam_2", "type": "detection", "json": '{"v":1,"type":"detection","stream":"cam_2"}'})
    assert read_until(ws, lambda m: m["type"] == "detection")
    ws.close()


def test_redis_that_hangs(spawn, origin, redis_server):
    steady = Streaming(spawn, origin.url, origin.url, redis_server.url())
    wait_until(lambda: steady.get("/ready").json()["redis"], what="redis up")
    redis_server.pause()
    try:
        start = time.monotonic()
        assert steady.provision(1, "rtsp://192.0.2.1/1").status_code == 200
        assert steady.get("/hls/cam_1/index.m3u8").status_code == 200
        assert time.monotonic() - start < 4.5, "nobody waits for it"
        wait_until(lambda: not steady.get("/ready").json()["redis"], what="the hanging redis is noticed")
    finally:
        redis_server.resume()
    wait_until(lambda: steady.get("/ready").json()["redis"], what="redis up again")
    wait_until(lambda: redis_server.client().hexists("gtv:cameras", "1"))


# ---- events ----

def test_events_reach_their_subscribers(spawn, origin, redis_server):
    live = Streaming(spawn, origin.url, origin.url, redis_server.url())
    wait_until(lambda: live.get("/ready").json()["redis"], what="redis up")
    one, two, everything = live.socket("/ws/events/cam_1"), live.socket("/ws/events/cam_2"), live.socket("/ws/events/*")
    assert json.loads(one.recv())["type"] == "status"
    client = redis_server.client()
    body = {"v": 1, "type": "detection", "stream": "cam_1", "data": {"objects": []}}
    entry = client.xadd("gtv:events", {"stream": "cam_1", "type": "detection", "json": json.dumps(body)})
    assert read_until(one, lambda m: m["type"] == "detection") == {"id": entry, **body}
    assert read_until(everything, lambda m: m["type"] == "detection")["id"] == entry
    client.xadd("gtv:events", {"stream": "cam_2", "type": "alert", "json": json.dumps({**body, "stream": "cam_2", "type": "alert"})})
    first_of_two = read_until(two, lambda m: m["type"] != "status")
    assert first_of_two["type"] == "alert" and first_of_two["stream"] == "cam_2"
    for ws in (one, two, everything):
        ws.close()


def test_client_messages(proxy):
    ws = proxy.socket("/ws/events/cam_1")
    assert json.loads(ws.recv())["data"]["state"] == "unknown"
    for text, kind in (('{"type":"ping"}', "pong"), ("ping", "pong"), ('{"type":"status"}', "status"), ("status", "status"), ("{", "error"),
                       ('{"type":5}', "error")):
        ws.send(text)
        answer = json.loads(ws.recv())
        assert answer["type"] == kind and answer["timestamp"] and isinstance(answer["data"], dict), text
    ws.ping(b"x")
    ws.send("ping")
    assert json.loads(ws.recv())["type"] == "pong"
    ws.close()
    dashboard = proxy.socket("/ws/dashboard")
    for _ in range(2):
        data = json.loads(dashboard.recv())["data"]
        assert set(data) >= {"active_streams", "total_viewers"}
    dashboard.close()


def handshake(port, headers="", key="dGhlIHNhbXBsZSBub25jZQ==", version="13"):
    s = socket.create_connection(("127.0.0.1", port), 60)
    s.sendall((f"GET /ws/events/cam_1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
               f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {version}\r\n{headers}\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += s.recv(1)
    return s, head.decode()


def frame(opcode, payload=b"", fin=True, mask=b"\1\2\3\4", rsv=0):
    n = len(payload)
    length = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else b"\xff" + struct.pack(">Q", n)
    return bytes([(0x80 if fin else 0) | rsv << 4 | opcode]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def close_code(s):
    """Reads frames until a close; its code, or 0 when the connection just ends."""
    s.settimeout(60)
    data = b""
    while True:
        chunk = s.recv(4096)
        if not chunk:
            break
        data += chunk
    while len(data) >= 2:
        n, at = data[1] & 127, 2
        if n == 126:
            n, at = struct.unpack(">H", data[2:4])[0], 4
        if data[0] & 15 == 8:
            return struct.unpack(">H", data[at:at + 2])[0] if n >= 2 else 1005
        data = data[at + n:]
    return 0


def test_the_handshake_of_the_rfc(proxy):
    s, head = handshake(proxy.port)
    assert head.startswith("HTTP/1.1 101") and "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    s.sendall(frame(8, struct.pack(">H", 1000)))
    assert close_code(s) == 1000
    assert handshake(proxy.port, version="12")[1].startswith("HTTP/1.1 426")
    assert handshake(proxy.port, key="short")[1].startswith("HTTP/1.1 400")
    plain = proxy.get("/ws/events/cam_1")
    assert plain.status_code == 426 and plain.json()["code"] == "bad_request"


@pytest.mark.parametrize("data, code", [
    (frame(1, b"x", mask=b"\0\0\0\0")[:1] + b"\x01x", 1002),   # not masked
    (frame(1, b"x", rsv=4), 1002),                              # no extension was agreed on
    (frame(3, b"x"), 1002), (frame(11, b"x"), 1002),            # reserved opcodes
    (frame(9, b"x", fin=False), 1002),                          # a control frame in fragments
    (frame(9, b"x" * 126), 1002),                               # ... or too long
    (frame(0, b"x"), 1002),                                     # goes on with nothing
    (frame(1, b"x", fin=False) + frame(1, b"y"), 1002),         # begins anew inside a message
    (frame(1, b"\xff\xfe"), 1007),
    (frame(1, b"\xe2\x82", fin=False) + frame(0, b"\x28"), 1007),
    (frame(2, b"x"), 1003),
    (frame(1, b"x" * 70000), 1009),
    (frame(1, b"x" * 40000, fin=False) + frame(0, b"x" * 40000), 1009),
    (frame(8, b"\x03"), 1002), (frame(8, struct.pack(">H", 1005)), 1002), (frame(8, struct.pack(">H", 1000) + b"\xff"), 1007),
    (frame(8), 1005),
])
def test_broken_frames(proxy, data, code):
    s, _ = handshake(proxy.port)
    s.sendall(data)
    assert close_code(s) == code
    assert proxy.get("/health").status_code == 200


def test_fragments_with_a_ping_between(proxy):
    s, _ = handshake(proxy.port)
    for byte in frame(1, b'{"type":', fin=False) + frame(9, b"hey") + frame(0, b'"ping"}') + frame(8, struct.pack(">H", 1001)):
        s.sendall(bytes([byte]))
    s.settimeout(60)
    data = b""
    while chunk := s.recv(4096):
        data += chunk
    assert b"\x8a\x03hey" in data and b'"type":"pong"' in data and data.endswith(b"\x88\x02" + struct.pack(">H", 1001))


def test_a_slow_client_is_told_of_its_gap(spawn, origin, redis_server):
    live = Streaming(spawn, origin.url, origin.url, redis_server.url())
    wait_until(lambda: live.get("/ready").json()["redis"], what="redis up")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", live.port))
    slow.sendall(b"GET /ws/events/cam_1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    fast = live.socket("/ws/events/cam_1")
    client = redis_server.client()
    text = json.dumps({"v": 1, "type": "detection", "pad": "x" * 60000})
    for _ in range(200):
        client.xadd("gtv:events", {"stream": "cam_1", "type": "detection", "json": text})
        assert read_until(fast, lambda m: m["type"] != "status")["type"] == "detection"  # the fast one has all
    skipped = int(re.search(r"^gtv_streaming_ws_skipped_total (\d+)", live.get("/metrics").text, re.M).group(1))
    assert skipped > 0
    slow.settimeout(2)
    tail, end = b"", time.monotonic() + 60
    while time.monotonic() < end and b'"type":"gap"' not in tail:
        try:
            tail = tail[-200:] + slow.recv(65536)
        except TimeoutError:
            client.xadd("gtv:events", {"stream": "cam_1", "type": "detection", "json": '{"v":1,"type":"detection"}'})
    assert re.search(rb'"type":"gap","data":\{"missed":\d+\}', tail)


# ---- with the real media node ----

def test_a_real_camera_through_the_real_node(spawn, media, redis_server, rtsp_camera):
    live = Streaming(spawn, media.api, media.hls, redis_server.url())
    camera = rtsp_camera()
    start = time.monotonic()
    assert live.provision(1, camera.url, on_demand=False).status_code == 200
    wait_until(lambda: live.get("/hls/cam_1/index.m3u8").status_code == 200, what="video")
    names = [line for line in live.get("/hls/cam_1/main_stream.m3u8").text.splitlines() if not line.startswith("#")]
    body = live.get(f"/hls/cam_1/{names[0]}").content
    assert body[0] == 0x47 and len(body) % 188 == 0
    assert time.monotonic() - start < 40
    status = wait_until(lambda: (s := live.get("/cameras/1/status").json())["status"] == "connected" and s)
    assert status["ready"] is True and status["cause"] is None
    ws = live.socket("/ws/events/cam_1")
    camera.stop(check=False)
    lost = read_until(ws, lambda m: m["type"] == "status" and m["data"].get("state") == "disconnected")
    assert lost["data"]["cause"] and lost["data"]["cause_code"]
    ws.close()


def test_causes_and_a_node_that_restarts(spawn, media, redis_server):
    live = Streaming(spawn, media.api, media.hls, redis_server.url())
    dead = f"rtsp://user:{SECRET}@127.0.0.1:{free_port()}/x"
    assert live.provision(4, dead, on_demand=False).status_code == 200
    status = wait_until(lambda: (s := live.get("/cameras/4/status").json())["cause"] and s)
    assert status["status"] == "disconnected" and status["cause_code"] == "refused"
    answer = live.get("/hls/cam_4/index.m3u8", timeout=60)
    assert answer.status_code in (502, 503, 504) and SECRET not in answer.text
    assert answer.json()["detail"] == "no picture from 'cam_4': refused"
    media.stop()
    wait_until(lambda: live.get("/cameras/4/status").json()["cause_code"] == "media_down", what="the outage is seen")
    assert live.get("/ready").status_code == 503
    media.restart()
    wait_until(lambda: live.get("/cameras/4/status").json()["cause_code"] == "refused", what="the camera was put back")
    for path in ("/cameras", "/streams", "/stats", "/metrics", "/cameras/4/info", "/cameras/4/status"):
        assert SECRET not in live.get(path).text
    assert SECRET not in live.process.log()
    assert requests.delete(f"{live.url}/cameras/4", timeout=60).json()["success"] is True
    assert not any(item["name"] == "cam_4" for item in requests.get(media.api + "/v3/paths/list", timeout=60).json()["items"])


# ---- the rest ----

def test_pages_and_preflight(proxy):
    document = proxy.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    routes = {"/health", "/ready", "/stats", "/cameras", "/cameras/provision", "/cameras/{id}", "/cameras/{id}/info", "/cameras/{id}/status",
              "/streams", "/streams/{path}/viewers", "/hls/{stream}/index.m3u8", "/hls/{stream}/{file}", "/ws/events/{stream}", "/ws/dashboard", "/metrics"}
    assert routes <= set(document["paths"])
    metrics = proxy.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain") and "gtv_streaming_hls_requests_total" in metrics.text
    allowed = requests.options(proxy.url + "/cameras/provision", timeout=60, headers={"Origin": "http://a", "Access-Control-Request-Method": "POST"})
    assert allowed.status_code in (200, 204) and allowed.headers["Access-Control-Allow-Origin"] == "*"
    assert requests.put(proxy.url + "/stats", timeout=60).status_code == 405
    assert proxy.get("/nothing").json()["code"] == "not_found"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_taken_port_is_noticed(spawn, origin, no_redis, workers):
    first = Streaming(spawn, origin.url, origin.url, no_redis, STREAMING_WORKERS=workers)
    second = spawn("gtv-streaming", env={"STREAMING_PORT": first.port, "STREAMING_WORKERS": workers, "MEDIAMTX_API_URL": origin.url,
                                         "MEDIAMTX_HLS_URL": origin.url, "REDIS_URL": no_redis})
    second.popen.wait(60)
    assert second.popen.returncode == 1 and "in use" in second.log()


def test_it_stops_while_clients_are_there(spawn, origin, no_redis):
    live = Streaming(spawn, origin.url, origin.url, no_redis)
    ws = live.socket("/ws/dashboard")
    origin.mode = "slow"
    watcher = threading.Thread(target=lambda: live.get("/hls/cam_1/abc_main_seg0.ts"))
    watcher.start()
    wait_until(lambda: origin.count("seg0.ts"), what="a download is under way")
    start = time.monotonic()
    assert live.process.stop() == 0
    assert time.monotonic() - start < 20
    watcher.join()
    ws.close()
