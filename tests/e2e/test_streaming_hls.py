"""gtv-streaming's HLS cache in front of the double of MediaMTX (it is not MediaMTX), both generations, all variants; and in front of an
origin that says what a test wants it to say of its answers' lives."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from fixtures_mediamtx import mediamtx_double  # noqa: F401 - a fixture

from conftest import free_port, wait_until
from test_streaming import at_once

FAST = {"segment_duration": 0.4, "segment_count": 20, "part_duration": 0.2, "bitrate": 400_000, "paths": {"cam_1": "ready"}}
EACH = [("1.15", None), ("1.20", None), ("1.20", "c0n-secret")]
VARIANTS = ["mpegts", "fmp4", "lowLatency"]


class Proxy:
    def __init__(self, spawn, api, hls, **env):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = spawn("gtv-streaming", ready=self.url + "/health", env={
            "STREAMING_PORT": self.port, "STREAMING_WORKERS": 2, "MEDIAMTX_API_URL": api, "MEDIAMTX_HLS_URL": hls,
            "REDIS_URL": f"redis://127.0.0.1:{free_port()}/2", "LOG_LEVEL": "DEBUG", **env})

    def get(self, path, **kwargs):
        return requests.get(self.url + path, timeout=kwargs.pop("timeout", 60), **kwargs)


class Player:
    """Follows the URIs of playlists as a player does, and keeps the media sequence that it has come to."""

    def __init__(self, proxy, stream="cam_1"):
        self.proxy, self.base = proxy, f"/hls/{stream}/"
        index = proxy.get(self.base + "index.m3u8")
        assert index.status_code == 200, index.text
        self.media = next(line for line in index.text.splitlines() if line and not line.startswith("#"))

    def playlist(self, **query):
        more = "".join(f"{'&' if '?' in self.media else '?'}{k}={v}" for k, v in query.items())
        return self.proxy.get(self.base + self.media + more)

    def get(self, uri, **kwargs):
        return self.proxy.get(self.base + uri, **kwargs)


def uris(text):
    return [line for line in text.splitlines() if line and not line.startswith("#") and not line.startswith("gap")]


def prefix_of(text):
    return uris(text)[-1].split("_")[0]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("generation, secret", EACH)
def test_each_generation_and_variant(spawn, mediamtx_double, generation, secret, variant):  # noqa: F811
    node = mediamtx_double(generation=generation, variant=variant, cdn_secret=secret, **FAST)
    proxy = Proxy(spawn, node.api_url, node.hls_url, MEDIAMTX_HLS_CDN_SECRET=secret or "")
    player = Player(proxy)
    answer = player.playlist()
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/vnd.apple.mpegurl" and "Set-Cookie" not in answer.headers
    assert "cookieCheck" not in answer.text and "hlsSession" not in answer.text
    names = uris(answer.text)
    segment = player.get(names[-1])
    assert segment.status_code == 200 and len(segment.content) > 1000
    assert segment.headers["Content-Type"] == ("video/mp2t" if variant == "mpegts" else "video/mp4")
    again = player.get(names[-1])
    assert again.headers["X-Cache"] == "HIT" and again.content == segment.content
    if variant != "mpegts":
        init = re.search(r'#EXT-X-MAP:URI="([^"]+)"', answer.text).group(1)
        assert player.get(init).status_code == 200
    with ThreadPoolExecutor(20) as pool:
        assert {a.status_code for a in pool.map(lambda _: player.playlist(), range(60))} == {200}
    # However many viewers, one session, and one fetch of a segment.
    assert node.count("*" + names[-1].split("?")[0]) == 1
    if generation == "1.20":
        sessions = sum(r[3].startswith("/cam_1/index.m3u8") and r[4] == 200 for r in node.requests("*", "hls"))
        assert sessions <= 2
        assert not [r for r in node.requests("*", "hls") if r[4] == 401]
    if secret:
        assert not [r for r in node.requests("*", "hls") if r[4] == 302 or "cookieCheck" in r[3]]


@pytest.mark.parametrize("secret", [None, "c0n-secret"])
def test_a_session_that_is_gone_is_begun_again(spawn, mediamtx_double, secret):  # noqa: F811
    node = mediamtx_double(generation="1.20", cdn_secret=secret, **{**FAST, "auth_delay": 0.5})
    proxy = Proxy(spawn, node.api_url, node.hls_url, MEDIAMTX_HLS_CDN_SECRET=secret or "")
    player = Player(proxy)
    assert player.playlist().status_code == 200
    node.kill_sessions()
    time.sleep(0.6)  # past the playlist's life
    answer = player.playlist()
    assert answer.status_code == 200 and player.get(uris(answer.text)[-1]).status_code == 200
    refused = [r for r in node.requests("*", "hls") if r[4] == 401]
    assert len(refused) == 1


def test_a_child_before_any_index(spawn, mediamtx_double):  # noqa: F811
    """A replica that has just started gets players that began at another one."""
    node = mediamtx_double(generation="1.20", **{**FAST, "auth_delay": 0.3})
    proxy = Proxy(spawn, node.api_url, node.hls_url)
    assert proxy.get("/hls/cam_2/main_stream.m3u8").status_code == 503  # without Redis nobody knows yet whether it shall be there
    assert proxy.get("/hls/cam_1/main_stream.m3u8").status_code == 200
    wait_until(lambda: proxy.get("/hls/cam_2/main_stream.m3u8").status_code == 404, what="404 without Redis")


def test_a_camera_that_is_not_back_yet(spawn, mediamtx_double, redis_server):  # noqa: F811
    """A fresh service and a fresh node: what is desired is 503 until it is there, what is not stays 404."""
    node = mediamtx_double(generation="1.15", **FAST)
    proxy = Proxy(spawn, node.api_url, node.hls_url, REDIS_URL=redis_server.url(7), GTV_CAMERA_ALLOW="127.0.0.0/8")
    assert requests.post(f"{proxy.url}/cameras/provision", timeout=60, json={
        "camera_id": 5, "rtsp_url": "rtsp://127.0.0.1/x", "name": "C", "on_demand": False}).status_code == 200
    proxy.process.stop()
    node.restart()  # what the control API added is gone
    again = Proxy(spawn, node.api_url, node.hls_url, REDIS_URL=redis_server.url(7), GTV_CAMERA_ALLOW="127.0.0.0/8")
    seen = set()

    def back():
        answer = again.get("/hls/cam_5/index.m3u8")
        seen.add(answer.status_code)
        if answer.status_code == 503:
            assert answer.headers["Retry-After"] == "1" and answer.json()["code"] == "unavailable" and "cam_5" in answer.json()["detail"]
        return answer.status_code == 200
    wait_until(back, what="the camera is back")
    assert seen <= {200, 503}, seen
    for name, status in (("cam_6/index.m3u8", 404), ("nobody/index.m3u8", 404), ("cam_5/aaaaaaaaaaaa_main_seg9.ts", (404, 503))):
        assert again.get(f"/hls/{name}").status_code in (status if isinstance(status, tuple) else (status,)), name
    # A camera that gives no picture: at once, with the cause.
    node.set_state("cam_5", "offline")
    wait_until(lambda: (a := again.get("/hls/cam_5/aaaaaaaaaaaa_main_seg10.ts")).status_code == 503 and "no picture" in a.json()["detail"])


@pytest.mark.parametrize("generation, secret", EACH)
def test_a_restart_needs_no_reload(spawn, mediamtx_double, generation, secret):  # noqa: F811
    node = mediamtx_double(generation=generation, cdn_secret=secret, **{**FAST, "auth_delay": 0.3})
    proxy = Proxy(spawn, node.api_url, node.hls_url, MEDIAMTX_HLS_CDN_SECRET=secret or "")
    player = Player(proxy)
    before = player.playlist().text
    old = prefix_of(before)
    unfetched = uris(before)[0].replace("seg0", "seg99")
    for again in (node.restart, lambda: node.restart_muxer("cam_1")):
        again()

        def moved():
            answer = player.playlist()
            return answer.status_code == 200 and prefix_of(answer.text) != old and answer
        answer = wait_until(moved, what="the new muxer's playlist at the same address")
        segment = player.get(uris(answer.text)[-1])
        assert segment.status_code == 200 and len(segment.content) > 1000
        gone, = wait_until(lambda: (a := player.get(unfetched)).status_code == 404 and [a], what="404 without Redis")
        assert gone.json()["code"] == "not_found"
        old = prefix_of(answer.text)


def test_a_node_that_is_down(spawn, mediamtx_double):  # noqa: F811
    node = mediamtx_double(generation="1.15", **FAST)
    proxy = Proxy(spawn, node.api_url, node.hls_url, HLS_STALE_IF_ERROR=5)
    player = Player(proxy)
    first = player.playlist()
    node.down()
    began, ages = time.monotonic(), []
    time.sleep(0.7)
    while time.monotonic() - began < 2.5:
        answer = player.playlist()
        assert answer.status_code == 200 and answer.headers["X-Cache"] == "STALE"
        assert [u.split("?")[0] for u in uris(answer.text)] == [u.split("?")[0] for u in uris(first.text)]
        ages.append(int(answer.headers["Age"]))
        time.sleep(0.1)
    assert ages == sorted(ages) and ages[-1] >= 1
    fails = wait_until(lambda: (a := player.playlist()).status_code != 200 and [a], what="the end of the stale playlist")
    assert fails[0].status_code == 502
    node.up()
    wait_until(lambda: player.playlist().status_code == 200)
    assert 'gtv_streaming_hls_requests_total{result="stale"}' in proxy.get("/metrics").text


def test_blocking_reloads_are_one_fetch_each(spawn, mediamtx_double):  # noqa: F811
    node = mediamtx_double(generation="1.20", variant="lowLatency", **FAST)
    proxy = Proxy(spawn, node.api_url, node.hls_url)
    player = Player(proxy)
    text = player.playlist().text
    last = int(re.search(r"MEDIA-SEQUENCE:(\d+)", text).group(1)) + text.count("#EXTINF") + 1
    node.reset_counts()
    more = "&" if "?" in player.media else "?"
    answers = at_once(proxy, *(f"{player.base}{player.media}{more}_HLS_msn={last}&_HLS_part={'0' if n % 2 else '00'}&other={n}" for n in range(30)))
    assert {a.status for a in answers} == {200}
    assert len({re.sub(r"session=[^\"\n&]*", "", a.content.decode()) for a in answers}) == 1
    blocking = [r for r in node.requests("*stream.m3u8", "hls") if "_HLS_msn" in r[3]]
    assert len(blocking) == 1 and blocking[0][3].endswith(f"?_HLS_msn={last}&_HLS_part=0")
    skipped = player.playlist(_HLS_msn=last, _HLS_skip="YES")
    assert skipped.status_code == 200 and "#EXT-X-SKIP" in skipped.text
    assert player.playlist(_HLS_part=1).status_code == 400
    assert player.playlist(_HLS_msn=last + 1000).status_code == 400
    assert player.playlist(_HLS_msn="x").status_code == 400


def test_a_preload_hint_is_passed_on_when_it_is_there(spawn, mediamtx_double):  # noqa: F811
    node = mediamtx_double(generation="1.15", variant="lowLatency", **{**FAST, "segment_duration": 2.0, "part_duration": 0.4})
    proxy = Proxy(spawn, node.api_url, node.hls_url)
    player = Player(proxy)
    hint = re.search(r'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', player.playlist().text).group(1)
    with ThreadPoolExecutor(10) as pool:
        parts = list(pool.map(lambda _: player.get(hint), range(10)))
    assert {p.status_code for p in parts} == {200} and len({p.content for p in parts}) == 1
    assert node.count("*" + hint.split("?")[0]) == 1


def test_a_query_makes_no_copies(spawn, mediamtx_double):  # noqa: F811
    node = mediamtx_double(generation="1.15", **FAST)
    proxy = Proxy(spawn, node.api_url, node.hls_url)
    player = Player(proxy)
    name = uris(player.playlist().text)[-1]
    for n in range(5):
        assert player.get(f"{name}{'&' if '?' in name else '?'}session=viewer{n}").status_code == 200
        assert player.playlist(_HLS_msn=n).status_code == 200  # MPEG-TS knows no such thing
    assert node.count("*" + name.split("?")[0]) == 1
    assert not [r for r in node.requests("*", "hls") if "?" in r[3]]


def test_a_node_that_misbehaves(spawn, mediamtx_double):  # noqa: F811
    node = mediamtx_double(generation="1.15", **FAST)
    proxy = Proxy(spawn, node.api_url, node.hls_url)
    player = Player(proxy)
    for kind in ("close", "reset", "truncate", "wrong_length", "endless", "bad_chunk", "status"):
        value = 503 if kind == "status" else None
        name = wait_until(lambda: uris(player.playlist().text)[-1])
        node.fault("*.ts", kind, times=2, seconds=0.5, value=value)  # a kept connection that ends without a byte is tried again on a new one
        try:
            assert player.get(name).status_code == 502, kind
        except requests.RequestException:
            pass  # the reply had begun: it is cut, not passed off as whole
        node.clear_faults()
        answer = player.get(name)
        assert answer.status_code == 200 and len(answer.content) > 1000, kind
        player.playlist()
        time.sleep(0.55)
        node.fault("*stream.m3u8", kind, times=2, seconds=0.5, value=value)
        answer = player.playlist()  # the one before is served for it
        assert answer.status_code == 200 and answer.headers["X-Cache"] == "STALE", kind
        node.clear_faults()
        wait_until(lambda: player.playlist().headers["X-Cache"] == "MISS")


# An origin that says what it is told to say of its answers' lives.


class Origin:
    def __init__(self):
        self.headers, self.status, self.body, self.asked = {}, 200, bytes(range(256)) * 64, []
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                origin.asked.append((self.path, dict(self.headers)))
                same = origin.headers.get("ETag") and self.headers.get("If-None-Match") == origin.headers["ETag"]
                same = same or origin.headers.get("Last-Modified") and self.headers.get("If-Modified-Since") == origin.headers["Last-Modified"]
                status = 304 if same and origin.status == 200 else origin.status
                self.send_response_only(status)
                for name, value in origin.headers.items():
                    self.send_header(name, value)
                if status != 304:
                    self.send_header("Content-Length", str(len(origin.body)))
                self.end_headers()
                if status != 304:
                    self.wfile.write(origin.body)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def fetches(self, name):
        return [headers for path, headers in self.asked if path.endswith(name)]


@pytest.fixture
def origin():
    made = Origin()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def cache(spawn, origin):
    return Proxy(spawn, origin.url, origin.url, HLS_SEGMENT_CACHE_TTL=60)


def test_lives_as_the_node_says(cache, origin):
    """One file each, so that all waits run at the same time."""
    stored = {"a1": "max-age=3", "a2": "max-age=3, s-maxage=60", "a3": "public, max-age=0", "a4": "no-store, max-age=60", "a5": "private, max-age=60",
              "a6": "no-cache", "a7": 'max-age="60"', "a8": "MAX-AGE=60, x=\"a, no-store\"", "a9": "max-age=60, max-age=3", "a10": "max-age=abc"}
    for name, control in stored.items():
        origin.headers = {"Cache-Control": control, "Vary": "Accept", "X-Other": "kept", "Connection": "X-Hop", "X-Hop": "1", "Keep-Alive": "timeout=3"}
        first = cache.get(f"/hls/cam_1/{name}.ts")
        assert first.status_code == 200 and first.headers["X-Cache"] == "MISS"
        assert first.headers["X-Other"] == "kept" and first.headers["Vary"] == "Accept"
        assert "X-Hop" not in first.headers and "Keep-Alive" not in first.headers
    kinds = {name: cache.get(f"/hls/cam_1/{name}.ts").headers["X-Cache"] for name in stored}
    assert {n for n, kind in kinds.items() if kind == "HIT"} == {"a1", "a2", "a7", "a8", "a9"}
    assert cache.get("/hls/cam_1/a2.ts").headers["Cache-Control"] == "max-age=3, s-maxage=60"
    time.sleep(3.1)
    kinds = {name: cache.get(f"/hls/cam_1/{name}.ts").headers["X-Cache"] for name in ("a1", "a2", "a9")}
    assert kinds == {"a1": "MISS", "a2": "HIT", "a9": "MISS"}


def test_age_counts_from_the_node(cache, origin):
    origin.headers = {"Cache-Control": "max-age=60", "Age": "57"}
    assert cache.get("/hls/cam_1/x.ts").status_code == 200
    assert cache.get("/hls/cam_1/x.ts").headers["Age"] in ("57", "58", "59")
    time.sleep(3.1)
    assert cache.get("/hls/cam_1/x.ts").headers["X-Cache"] == "MISS"
    origin.headers = {"Cache-Control": "max-age=60", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
    cache.get("/hls/cam_1/y.ts")
    again = cache.get("/hls/cam_1/y.ts")
    assert again.headers["X-Cache"] == "MISS"  # it was old when it came


def test_the_node_is_asked_whether_it_changed(cache, origin):
    for name, validator in (("e", {"ETag": '"v1"'}), ("m", {"Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"})):
        origin.headers = {"Cache-Control": "max-age=2", **validator, "X-Version": "1"}
        first = cache.get(f"/hls/cam_1/{name}.ts")
        origin.headers["X-Version"] = "2"
        time.sleep(2.05)
        again = cache.get(f"/hls/cam_1/{name}.ts")
        assert again.status_code == 200 and again.content == first.content and again.headers["X-Version"] == "2"
        assert again.headers["Content-Type"] == first.headers["Content-Type"]
        asked = origin.fetches(f"{name}.ts")
        assert len(asked) == 2 and ("If-None-Match" in asked[1] or "If-Modified-Since" in asked[1])
        wait_until(lambda: cache.get(f"/hls/cam_1/{name}.ts").headers["X-Cache"] == "HIT", what="a hit")


def test_stale_answers(cache, origin):
    origin.headers = {"Cache-Control": "max-age=1, stale-while-revalidate=30"}
    cache.get("/hls/cam_1/w.ts")
    origin.headers = {"Cache-Control": "max-age=1, stale-if-error=4"}
    cache.get("/hls/cam_1/e.ts")
    origin.headers = {"Cache-Control": "max-age=1, must-revalidate, stale-if-error=60"}
    cache.get("/hls/cam_1/r.ts")
    time.sleep(1.1)
    origin.headers = {"Cache-Control": "max-age=60"}
    assert cache.get("/hls/cam_1/w.ts").headers["X-Cache"] == "STALE"
    wait_until(lambda: cache.get("/hls/cam_1/w.ts").headers["X-Cache"] == "HIT")
    origin.status, origin.headers = 503, {}
    assert cache.get("/hls/cam_1/e.ts").headers["X-Cache"] == "STALE"
    passed = cache.get("/hls/cam_1/r.ts")  # no words of ours for an answer that is not MediaMTX's
    assert passed.status_code == 503 and passed.content == origin.body
    time.sleep(4.1)
    assert cache.get("/hls/cam_1/e.ts").status_code == 503
    origin.status = 404  # no fault: the node says that it is gone
    wait_until(lambda: cache.get("/hls/cam_1/r.ts").status_code == 404, what="404 without Redis")


def test_ranges_and_conditions(cache, origin):
    origin.headers = {"Cache-Control": "max-age=60", "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}
    path, body, size = "/hls/cam_1/r.ts", origin.body, len(origin.body)

    def ask(**fields):
        return cache.get(path, headers={name.replace("_", "-"): value for name, value in fields.items()})

    first = ask(Range="bytes=0-99")  # of what is not there yet: from the whole, when it is
    assert first.status_code == 206 and first.content == body[:100] and first.headers["Content-Range"] == f"bytes 0-99/{size}"
    tag = ask().headers["ETag"]
    assert ask().headers["Accept-Ranges"] == "bytes"
    for value, part in [("bytes=100-", body[100:]), ("bytes=-5", body[-5:]), ("bytes=5-5", body[5:6]), (f"bytes=9-{size * 9}", body[9:]),
                        (f"bytes=-{size * 9}", body)]:
        answer = ask(Range=value)
        assert answer.status_code == 206 and answer.content == part and answer.headers["X-Cache"] == "HIT"
    for value in (f"bytes={size}-", "bytes=-0"):
        answer = ask(Range=value)
        assert answer.status_code == 416 and answer.headers["Content-Range"] == f"bytes */{size}"
    for value in ("bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=", "bytes=--5"):
        assert ask(Range=value).status_code == 200
    assert ask(Range="bytes=0-1", If_Range=tag).status_code == 206
    assert ask(Range="bytes=0-1", If_Range='"other"').status_code == 200
    assert ask(Range="bytes=0-1", If_Range="Sun, 06 Nov 1994 08:49:37 GMT").status_code == 206
    same = ask(If_None_Match=f'"x", W/{tag}')
    assert same.status_code == 304 and same.content == b"" and same.headers["ETag"] == tag and "Content-Length" not in same.headers
    assert ask(If_None_Match='"x"').status_code == 200 and ask(If_None_Match="*").status_code == 304
    assert ask(If_Modified_Since="Sunday, 06-Nov-94 08:49:37 GMT").status_code == 304
    assert ask(If_Modified_Since="Sun Nov  6 08:49:36 1994").status_code == 200
    assert ask(If_Match='"x"').status_code == 412 and ask(If_Match=tag).status_code == 200
    assert ask(If_Unmodified_Since="Sun, 06 Nov 1994 08:49:36 GMT").status_code == 412
    head = requests.head(cache.url + path, timeout=60, headers={"Range": "bytes=0-1"})
    assert head.status_code == 200 and head.headers["Content-Length"] == str(size) and head.headers["ETag"] == tag
    assert len(origin.fetches("r.ts")) == 1
