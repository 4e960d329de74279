"""gtv-streaming when its neighbours fail: Redis, the media node, the node's answers, and clients that misbehave.

Each test says what the one who meets the fault sees, and that the others watch on. The media node is the double of MediaMTX."""

import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from conftest import wait_until
from fixtures_mediamtx import mediamtx_double  # noqa: F401 - a fixture
from test_streaming import Streaming, no_redis, read_until  # noqa: F401 - a fixture too

SLOWEST = 8.0  # seconds that a bystander may wait for one answer: this machine is shared, a stall or a time-out is longer


class Viewer(threading.Thread):
    """Plays a stream as a player does, over one connection, and remembers every answer that a player would not like."""

    def __init__(self, url, stream):
        super().__init__(daemon=True)
        self.index, self.session = f"{url}/hls/{stream}/index.m3u8", requests.Session()
        self.played, self.faults, self.slowest, self.stopped = 0, [], 0.0, threading.Event()
        self.seen, self.paused = set(), threading.Event()

    def ask(self, url):
        start = time.monotonic()
        answer = self.session.get(url, timeout=60)
        self.slowest = max(self.slowest, time.monotonic() - start)
        if answer.status_code >= 400:
            raise OSError(f"{answer.status_code} for {urlsplit(url).path}: {answer.text[:200]}")
        return answer

    def uris(self, url):
        answer = self.ask(url)
        return [urljoin(answer.url, line) for line in answer.text.splitlines() if line and not line.startswith("#")]

    def step(self):
        media = self.uris(self.index)[0]
        for segment in self.uris(media)[-2:]:
            name = urlsplit(segment).path
            if name not in self.seen:
                assert len(self.ask(segment).content) % 188 == 0, "a segment is whole packets"
                self.seen.add(name)
        self.played += 1

    def run(self):
        while not self.stopped.wait(0.05):
            try:
                self.step()
            except (OSError, AssertionError, IndexError) as fault:
                self.faults.append(f"{time.monotonic():.1f}: {fault}")
                time.sleep(0.2)

    def __enter__(self):
        self.start()
        wait_until(lambda: self.played > 0, what="the viewer plays")
        self.faults, self.slowest = [], 0.0
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join(60)

    def goes_on(self, seconds=60):
        played = self.played
        wait_until(lambda: self.played > played + 2, seconds, what="the viewer plays on")

    def check(self):
        assert not self.faults, self.faults[:5]
        assert self.slowest < SLOWEST


@pytest.fixture
def node(mediamtx_double):  # noqa: F811
    """One with two cameras whose segments are small enough for a sanitizer's speed."""
    return mediamtx_double(generation="1.15", segment_duration=1.0, bitrate=1_000_000, paths={"cam_1": "ready", "cam_2": "ready"})


@pytest.fixture
def live(spawn, node, no_redis):  # noqa: F811
    return Streaming(spawn, node.api_url, node.hls_url, no_redis)


def media_playlist(live, stream):
    """(address of the stream's media playlist, addresses of its segments)."""
    viewer = Viewer(live.url, stream)
    url = viewer.uris(viewer.index)[0]
    return url, viewer.uris(url)


def segments_of(live, stream, count=1):
    """The addresses of its segments, once there are `count`."""
    def enough():
        found = media_playlist(live, stream)[1]
        return found if len(found) >= count else None
    return wait_until(enough, what=f"{count} segments")


def new_segment(live, node, stream, kind, **how):
    """The address of a segment that nobody asked for yet, whose first fetch from the node will go wrong."""
    def unseen():
        found = segments_of(live, stream)[-1]
        return found if node.count(urlsplit(found).path.removeprefix("/hls")) == 0 else None
    segment = wait_until(unseen, what="a new segment")
    node.fault(urlsplit(segment).path.removeprefix("/hls"), kind, **how)
    return segment


# ---- Redis ----

def test_video_never_notices_redis(spawn, node, redis_server):
    live = Streaming(spawn, node.api_url, node.hls_url, redis_server.url())

    def redis_is(state):
        return lambda: live.get("/ready").json()["redis"] is state

    wait_until(redis_is(True), what="redis up")
    events = live.socket("/ws/events/cam_1")
    with Viewer(live.url, "cam_1") as viewer:
        redis_server.stop()
        wait_until(redis_is(False), what="the loss is noticed")
        viewer.goes_on()
        wait_until(lambda: live.get("/stats").json()["total_viewers"] >= 1, what="viewers are counted here")
        assert live.get("/streams/cam_1/viewers").status_code == 200
        redis_server.start()
        wait_until(redis_is(True), what="redis up again")
        client = redis_server.client()
        client.xadd("gtv:events", {"stream": "cam_1", "type": "detection", "json": '{"v":1,"type":"detection","stream":"cam_1","n":1}'})
        assert read_until(events, lambda m: m["type"] == "detection")["n"] == 1
        redis_server.pause()
        try:
            viewer.goes_on()
            wait_until(lambda: live.get("/stats").json()["total_viewers"] >= 1, what="viewers are counted here")
        finally:
            redis_server.resume()
        wait_until(redis_is(True), what="redis up once more")
        client.xadd("gtv:events", {"stream": "cam_1", "type": "detection", "json": '{"v":1,"type":"detection","stream":"cam_1","n":2}'})
        assert read_until(events, lambda m: m["type"] == "detection" and m.get("n") == 2)
    events.close()
    viewer.check()


# ---- the media node ----

def test_a_node_killed_in_the_middle_of_a_segment(live, node):
    kept = segments_of(live, "cam_2")[-1]
    whole = requests.get(kept, timeout=60).content
    segment = new_segment(live, node, "cam_1", "slow", value=4096)
    with requests.get(segment, stream=True, timeout=60) as answer:
        assert answer.status_code == 200 and answer.raw.read(4096)
        node.down()
        with pytest.raises((requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            for _ in answer.iter_content(65536):
                pass
    assert requests.get(kept, timeout=SLOWEST).content == whole  # what is in the cache is served on
    gone = live.get("/hls/cam_1/never_asked_main_seg0.ts", timeout=SLOWEST)
    assert gone.status_code in (502, 503, 504) and gone.json()["code"] and gone.headers["content-type"].startswith("application/json")
    node.up()
    segments_of(live, "cam_1")
    with Viewer(live.url, "cam_1") as viewer:
        viewer.goes_on()
    viewer.check()


def test_segments_that_lie_are_not_passed_off_as_whole(live, node):
    with Viewer(live.url, "cam_2") as bystander:
        for kind, how in (("truncate", {}), ("wrong_length", {"value": 1000}), ("bad_chunk", {}), ("reset", {"times": None}),
                          ("close", {"times": None})):
            segment = new_segment(live, node, "cam_1", kind, **how)
            began = time.monotonic()
            with pytest.raises((requests.exceptions.RequestException, AssertionError)):
                answer = requests.get(segment, timeout=60)
                assert answer.status_code == 200, answer.text
                pytest.fail(f"{kind}: {len(answer.content)} bytes came as a whole segment")
            assert time.monotonic() - began < 40, f"{kind}: the client was left waiting"
            node.clear_faults()
            # It was not kept: the next one gets the whole.
            again = requests.get(segment, timeout=60)
            assert again.status_code == 200 and len(again.content) % 188 == 0, kind
    bystander.check()


def test_a_length_that_is_too_small(live, node):
    """The client gets what was announced, and the rest is no answer to anybody's next request."""
    segment = new_segment(live, node, "cam_1", "wrong_length", value=-376)
    short = requests.get(segment, timeout=60)
    assert short.status_code == 200 and len(short.content) == int(short.headers["Content-Length"])
    with Viewer(live.url, "cam_1") as viewer:
        viewer.goes_on()
    viewer.check()


def test_a_playlist_without_end(live, node):
    with Viewer(live.url, "cam_2") as bystander:
        fault = node.fault("/cam_1/*.m3u8", "endless", times=1, seconds=60)
        before = live.process.rss_kib()
        began = time.monotonic()
        answer = live.get("/hls/cam_1/index.m3u8", timeout=60)
        assert fault.hits == 1 and answer.status_code == 502 and answer.json()["code"]
        assert time.monotonic() - began < 40
        assert live.process.rss_kib() - before < 64 * 1024
        assert live.get("/hls/cam_1/index.m3u8").status_code == 200
    bystander.check()


# ---- clients ----

class Raw:
    """A connection that says what it likes."""

    def __init__(self, live, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", live.port), timeout)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def reply(self):
        """(status, headers, body) of one reply with a Content-Length."""
        line = self.file.readline()
        if not line:
            raise EOFError("the server closed")
        headers = {}
        while (field := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = field.decode().partition(":")
            headers[name.lower()] = value.strip()
        return int(line.split()[1]), headers, self.file.read(int(headers.get("content-length", 0)))


def request(path, more=""):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


def test_pipelined_requests_are_answered_in_order(live):
    segments_of(live, "cam_1", 2)
    url, segments = media_playlist(live, "cam_1")
    targets = [urlsplit(u)._replace(scheme="", netloc="").geturl() for u in (segments[-1], url, segments[-2], "/health")]
    bodies = [requests.get(live.url + target, timeout=60).content for target in targets]
    with Raw(live) as raw:
        raw.socket.sendall(b"".join(request(t) for t in targets) * 8)
        for _ in range(8):
            for target, body in zip(targets, bodies):
                status, _, got = raw.reply()
                assert status == 200
                assert ".ts" not in target or got == body


def test_a_client_that_closes_its_half_gets_its_reply(live):
    segment = segments_of(live, "cam_1")[-1]
    assert requests.get(segment, timeout=60).status_code == 200
    target = urlsplit(segment)._replace(scheme="", netloc="").geturl()  # now in the cache, so that its length is known
    with Raw(live) as raw:
        raw.socket.sendall(request(target))
        raw.socket.shutdown(socket.SHUT_WR)
        status, headers, body = raw.reply()
        assert status == 200 and len(body) == int(headers["content-length"]) and raw.file.read() == b""


def test_ten_thousand_headers(live):
    with Raw(live) as raw:
        raw.socket.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        try:
            raw.socket.sendall(b"".join(b"X-%d: y\r\n" % i for i in range(10000)) + b"\r\n")
        except OSError:
            pass  # it stopped listening before all were sent
        status, _, body = raw.reply()
        assert status == 431 and b'"code"' in body
    assert live.get("/health").status_code == 200


def slow_heads(live, count):
    """Connections that begin a request and never end it."""
    slow = []
    for i in range(count):
        s = socket.create_connection(("127.0.0.1", live.port), 60)
        s.sendall(b"GET /health HTTP/1.1\r\nHo")
        slow.append(s)
        if i % 64 == 0:
            time.sleep(0.001)  # the other threads of this process want to run too
    return slow


def test_whoever_is_slow_holds_nobody_else_up(live, node):
    """A playlist and a segment that stop half way, and as many slow requests as the limit of files allows, all at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 40000 if hard == resource.RLIM_INFINITY else min(hard, 40000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    slow = []
    segment = new_segment(live, node, "cam_1", "stall", seconds=60)
    node.fault("/cam_3/index.m3u8", "hang", times=1, seconds=60)
    node.add_path("cam_3")
    try:
        with ThreadPoolExecutor(5) as pool, Viewer(live.url, "cam_2") as bystander:
            playlists = [pool.submit(live.get, "/hls/cam_3/index.m3u8", timeout=100) for _ in range(4)]
            stalled = pool.submit(requests.get, segment, timeout=100)
            slow += slow_heads(live, min(10000, limit - 1000))
            bystander.goes_on()
            for s in slow:
                s.settimeout(60)
                assert s.recv(64).startswith(b"HTTP/1.1 408 ")
            error = stalled.exception()
            assert isinstance(error, requests.exceptions.RequestException) and not isinstance(error, requests.exceptions.Timeout)
            codes = {answer.result().status_code for answer in playlists}
            assert codes <= {502, 504}, codes  # none waits for ever, none is told that it is well
            assert live.get("/hls/cam_3/index.m3u8", timeout=60).status_code == 200
        bystander.check()
    finally:
        for s in slow:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert live.get("/health").status_code == 200
