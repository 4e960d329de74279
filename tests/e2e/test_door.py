"""Through the door: a real HAProxy with deploy/haproxy/haproxy.cfg in front of gtv-streaming. The media node is Origin, the double of test_streaming.py."""

import http.client
import json
import re
import socket
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from conftest import ROOT, free_port, wait_until
from test_http_server import GET, SMUGGLING, STATUS_LINE, read_all
from test_streaming import Origin, Streaming
from test_streaming_events import BYE, CLOSE, PING, PONG, TEXT, Raw, add, closed, frame, next_event

CLIENT, SOURCE, NOBODY = "127.0.0.9", "127.0.0.2", "192.0.2.1"  # a viewer's address, the door's, and one that no peer has


class Door:
    def __init__(self, spawn, streaming, **env):
        self.port, self.streaming = free_port(), streaming
        self.url = f"http://127.0.0.1:{self.port}"
        away = f"127.0.0.1:{free_port()}"
        self.process = spawn(str(ROOT / "deploy/haproxy/door"), "run", env={
            "GTV_DOOR_CONFIG": spawn.folder / f"door-{self.port}" / "haproxy.cfg", "GTV_LISTEN": "127.0.0.1", "GTV_PORT": self.port, "GTV_STREAMING_ADDRS": f"127.0.0.1:{streaming.port}", "GTV_AI_ADDRS": away,
            "GTV_MEDIA_HLS_ADDRS": away, "GTV_CONSOLE_ADDRS": away, "GTV_RATE_API": 0, "GTV_RATE_STREAMING": 0, **env})
        wait_until(lambda: self.get("/streaming/health").status_code == 200, what="the door is open")

    def get(self, path, **kwargs):
        return requests.get(self.url + path, timeout=kwargs.pop("timeout", 15), **kwargs)

    def ask(self, data, timeout=60):
        """All that comes back until the door closes, or nothing more comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as s:
            s.sendall(data)
            s.settimeout(4)
            got = b""
            try:
                while chunk := s.recv(65536):
                    got += chunk
            except (TimeoutError, ConnectionResetError):
                pass
            return got

    def from_client(self, path, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, source_address=(CLIENT, 0))
        connection.request("GET", path, headers=headers or {})
        return connection.getresponse()


@pytest.fixture(scope="module")
def origin():
    double = Origin()
    yield double
    double.stop()


@pytest.fixture(scope="module")
def streaming(spawn_module, origin, redis_module):
    service = Streaming(spawn_module, origin.url, origin.url, redis_module.url(), GTV_WS_ECHO="true", GTV_WS_DEFLATE="true")
    wait_until(lambda: service.get("/ready").json()["redis"], what="redis up")
    service.redis = redis_module.client()
    return service


@pytest.fixture(scope="module")
def door(spawn_module, streaming):
    return Door(spawn_module, streaming, GTV_DOOR_CHECK_SECONDS=100000)  # its own looks at the service would be counted with the requests


@pytest.fixture(scope="module")
def quiet(door):
    """A stream of events on which nothing happens, open from the start."""
    stream = door.from_client("/events/quiet?types=detection")
    return stream


# ---- who the viewer is ----

def watch(door, headers=None):
    """What a player asks for; returns the sessions that the service then tells of."""
    index = door.from_client("/streaming/hls/cam_1/index.m3u8", headers)
    assert index.status == 200
    uri = [line for line in index.read().decode().splitlines() if not line.startswith("#")][0]
    assert door.from_client("/streaming/hls/cam_1/" + uri, headers).status == 200
    return door.get("/streaming/streams/cam_1/viewers").json()["sessions"]


LIES = {"X-Forwarded-For": "198.51.100.77", "Forwarded": "for=198.51.100.77"}


def test_a_viewers_address_by_the_forwarded_field(door, quiet):
    assert [s["address"] for s in watch(door, LIES)] == [CLIENT]


def test_a_viewers_address_by_the_proxy_protocol(spawn, origin):
    # X-Forwarded-For is believed from nobody here: the address can only come from the header of the connection.
    service = Streaming(spawn, origin.url, origin.url, f"redis://127.0.0.1:{free_port()}/2", GTV_PROXY_PROTOCOL=SOURCE, GTV_TRUSTED_PROXIES=NOBODY)
    own = Door(spawn, service, GTV_DOOR_SOURCE=SOURCE)
    assert [s["address"] for s in watch(own, LIES)] == [CLIENT]
    socket_through_it = Raw(own.port, "/ws/events/cam_1")
    assert socket_through_it.status == 101 and socket_through_it.message()["type"] == "status"
    stream = own.from_client("/events/cam_1")
    assert next_event(stream)["event"] == "status"
    # The programs beside it come from another address and speak plain HTTP, and so do not pretend.
    assert service.get("/health").status_code == 200
    with socket.create_connection(("127.0.0.1", service.port), 60) as s:
        s.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 5 80\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_all(s).startswith(b"HTTP/1.1 400 ")
    with socket.create_connection(("127.0.0.1", service.port), 60, (SOURCE, 0)) as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_all(s) == b""
    def counted():
        return re.search(r"^gtv_http_refused_proxy_headers_total\{.*\} 1$", service.get("/metrics").text, re.M)
    wait_until(counted, what="it is counted")
    time.sleep(1.5)  # the door's own looks at the service are not refused
    assert counted() and own.get("/streaming/health").status_code == 200


# ---- live events ----

@pytest.mark.parametrize("path", ["/events/cam_sse", "/streaming/events/cam_sse"])
def test_server_sent_events(door, streaming, path):
    stream = door.from_client(path)
    assert stream.status == 200 and stream.headers["Content-Type"] == "text/event-stream"
    assert "no-store" in stream.headers["Cache-Control"] and stream.headers["X-Accel-Buffering"] == "no"
    assert stream.headers["Content-Length"] is None and stream.headers["Content-Encoding"] is None
    assert next_event(stream)["event"] == "status"
    for n in range(3):  # each one at once, not when a buffer is full
        event = add(streaming.redis, "cam_sse", n)
        got = next_event(stream)
        assert got["id"] == event and json.loads(got["data"])["data"]["n"] == n
    stream.close()
    missed = [add(streaming.redis, "cam_sse", n) for n in range(3, 6)]
    again = door.from_client(path, {"Last-Event-ID": event})
    assert [next_event(again)["id"] for _ in missed] == missed
    missed.append(add(streaming.redis, "cam_sse", 6))
    while (got := next_event(again))["event"] == "status":
        pass
    assert got["id"] == missed[-1]
    again.close()
    head = requests.head(door.url + path, timeout=60)
    assert head.status_code == 200 and head.headers["Content-Type"] == "text/event-stream"
    assert door.get("/events/no%20stream").status_code == 400


def test_web_sockets(door, streaming):
    ws = Raw(door.port, "/ws/events/cam_ws?types=detection")
    assert ws.status == 101
    first = add(streaming.redis, "cam_ws", 1)
    assert ws.message()["id"] == first
    ws.send(frame(TEXT, b'{"type":"ping"}'), frame(PING, b"p"))
    assert {ws.next()[0], ws.next()[0]} == {TEXT, PONG}
    ws.send(BYE)
    assert ws.next() == closed(1000) and ws.next() == (None, b"")
    missed = add(streaming.redis, "cam_ws", 2)
    again = Raw(door.port, f"/ws/events/cam_ws?types=detection&since={first}")
    assert again.message()["id"] == missed
    echo = Raw(door.port, "/ws/echo")
    payload = bytes(range(256)) * 4096
    echo.send(frame(2, payload))
    assert echo.next() == (2, payload)
    assert Raw(door.port, "/ws/dashboard").message()["type"] == "dashboard"


def test_compressed_events(door, streaming):
    ws = Raw(door.port, "/ws/events/cam_z?types=detection", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")
    plain = Raw(door.port, "/ws/events/cam_z?types=detection")
    assert ws.status == plain.status == 101 and ws.extension and not plain.extension
    first = add(streaming.redis, "cam_z", 1, pad="abc" * 300)
    opcode, payload = ws.next(reserved=4)
    assert len(payload) < 300
    text = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
    assert opcode == TEXT and json.loads(text) == plain.message() and json.loads(text)["id"] == first
    again = Raw(door.port, "/ws/events/cam_z?types=detection&since=0", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n")
    assert "server_max_window_bits=9" in again.extension
    assert again.message()["id"] == first  # longer than that window: it comes as it is


# ---- no shape of request that two readers understand differently ----

def shape(head, body=b"", method=b"POST", target=b"/echo"):
    return method + b" " + target + b" HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"
HIDDEN = b"GET /playlist?hidden HTTP/1.1\r\nHost: x\r\n\r\n"
MORE = {
    "cl.te with a request inside": shape(b"Content-Length: 4\r\n" + CHUNKED, b"0\r\n\r\n" + HIDDEN),
    "te.cl with a request inside": shape(CHUNKED + b"\r\nContent-Length: 4", b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)),
    "te.te with a stranger": shape(CHUNKED + b"\r\nTransfer-Encoding: cow", b"0\r\n\r\n" + HIDDEN),
    "coding after a vertical tab": shape(b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n"),
    "coding after a form feed": shape(b"Transfer-Encoding:\x0cchunked", b"0\r\n\r\n"),
    "coding after a bare lf": shape(b"X: x\n" + CHUNKED, b"0\r\n\r\n"),
    "coding after a bare cr": shape(b"X: x\r" + CHUNKED, b"0\r\n\r\n"),
    "coding with its colon on the next line": shape(b"Transfer-Encoding\r\n: chunked", b"0\r\n\r\n"),
    "coding in a folded line": shape(b"Transfer-Encoding:\r\n chunked", b"0\r\n\r\n"),
    "coding with a parameter": shape(CHUNKED + b";q=1", b"0\r\n\r\n"),
    "coding with a comma before": shape(b"Transfer-Encoding: ,chunked", b"0\r\n\r\n"),
    "coding with a comma behind": shape(CHUNKED + b",", b"0\r\n\r\n"),
    "coding chunked, chunked": shape(CHUNKED + b", chunked", b"0\r\n\r\n"),
    "coding and identity": shape(b"Transfer-Encoding: identity, chunked", b"0\r\n\r\n"),
    "coding with a high byte": shape(b"Transfer-Encoding: chunked\xa0", b"0\r\n\r\n"),
    "coding with a nul": shape(b"Transfer-Encoding: chunked\0", b"0\r\n\r\n"),
    "coding name with a nul": shape(b"Transfer-Encoding\0: chunked", b"0\r\n\r\n"),
    "length with a dot": shape(b"Content-Length: 4.0", b"aaaa"),
    "length with an exponent": shape(b"Content-Length: 1e1", b"a" * 10),
    "length with a semicolon": shape(b"Content-Length: 4;", b"aaaa"),
    "length with an underscore": shape(b"Content-Length: 1_0", b"a" * 10),
    "length with a nul": shape(b"Content-Length: 4\0", b"aaaa"),
    "length with a quote": shape(b'Content-Length: "4"', b"aaaa"),
    "length after a bare cr": shape(b"X: x\rContent-Length: 4", b"aaaa"),
    "length in a folded line": shape(b"Content-Length:\r\n 4", b"aaaa"),
    "length with a space before the colon": shape(b"Content-Length : 4", b"aaaa"),
    "length and another with a space": shape(b"Content-Length: 0\r\nContent-Length : 40", HIDDEN),
    "length, then a list": shape(b"Content-Length: 4\r\nContent-Length: 4, 4", b"aaaa"),
    "length that is negative and big": shape(b"Content-Length: -18446744073709551612", b"aaaa"),
    "chunk extension with a bare cr": shape(CHUNKED, b"4;a\rb\r\naaaa\r\n0\r\n\r\n"),
    "chunk extension with a bare lf": shape(CHUNKED, b"4;a\nb\r\naaaa\r\n0\r\n\r\n"),
    "chunk extension with a nul": shape(CHUNKED, b"4;a\0b\r\naaaa\r\n0\r\n\r\n"),
    "chunk size with a bare cr": shape(CHUNKED, b"4\raaaa\r\n0\r\n\r\n"),
    "chunk size that overflows 32 bits": shape(CHUNKED, b"100000004\r\naaaa\r\n0\r\n\r\n"),
    "chunk size that overflows 64 bits": shape(CHUNKED, b"10000000000000004\r\naaaa\r\n0\r\n\r\n"),
    "chunk size with an underscore": shape(CHUNKED, b"0_4\r\naaaa\r\n0\r\n\r\n"),
    "chunk size with a minus": shape(CHUNKED, b"-4\r\naaaa\r\n0\r\n\r\n"),
    "chunk size with an h": shape(CHUNKED, b"4h\r\naaaa\r\n0\r\n\r\n"),
    "chunk size with a tab": shape(CHUNKED, b"4\t\r\naaaa\r\n0\r\n\r\n"),
    "chunk without its end": shape(CHUNKED, b"4\r\naaaa0\r\n\r\n"),
    "chunk shorter than said": shape(CHUNKED, b"6\r\naaaa\r\n0\r\n\r\n"),
    "chunk with two letters in its end's place": shape(CHUNKED, b"4\r\naaaaXX0\r\n\r\n"),
    "chunk with cr cr lf": shape(CHUNKED, b"4\r\r\naaaa\r\n0\r\n\r\n"),
    "trailer with a space before the colon": shape(CHUNKED, b"0\r\nX : y\r\n\r\n"),
    "trailer with a bare lf": shape(CHUNKED, b"0\r\nX: y\n\r\n"),
    "trailer with a bare cr": shape(CHUNKED, b"0\r\nX: y\rZ: z\r\n\r\n"),
    "trailer without a colon": shape(CHUNKED, b"0\r\nnonsense\r\n\r\n"),
    "trailer folded": shape(CHUNKED, b"0\r\nX: y\r\n z\r\n\r\n"),
    "trailers that say lengths": shape(CHUNKED, b"4\r\naaaa\r\n0\r\nContent-Length: 400\r\nTransfer-Encoding: gzip\r\n\r\n"),
    "nul in the method": b"GET\0 /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "nul in the target": b"GET /playlist\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "nul before the line": b"\0GET /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "space before the line": b" GET /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "method with a slash": b"GE/T /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "method with a colon": b"GET: /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "method of a thousand letters": b"G" * 1000 + b" /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "no method": b" /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "bare cr in the line": b"GET /playlist\rX HTTP/1.1\r\nHost: x\r\n\r\n",
    "bare cr ends the line": b"GET /playlist HTTP/1.1\rHost: x\r\n\r\n",
    "version 1.10": b"GET /playlist HTTP/1.10\r\nHost: x\r\n\r\n",
    "version 01.1": b"GET /playlist HTTP/01.1\r\nHost: x\r\n\r\n",
    "version 1.1.1": b"GET /playlist HTTP/1.1.1\r\nHost: x\r\n\r\n",
    "version 1.": b"GET /playlist HTTP/1.\r\nHost: x\r\n\r\n",
    "version 3.0": b"GET /playlist HTTP/3.0\r\nHost: x\r\n\r\n",
    "version with a space inside": b"GET /playlist HTTP /1.1\r\nHost: x\r\n\r\n",
    "another protocol": b"GET /playlist HTTPS/1.1\r\nHost: x\r\n\r\n",
    "host in a folded line": b"GET /playlist HTTP/1.1\r\nHost:\r\n x\r\n\r\n",
    "host with a space": b"GET /playlist HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host with a backslash": b"GET /playlist HTTP/1.1\r\nHost: a\\b\r\n\r\n",
    "host with a quote": b"GET /playlist HTTP/1.1\r\nHost: \"x\"\r\n\r\n",
    "host with a nul": b"GET /playlist HTTP/1.1\r\nHost: x\0y\r\n\r\n",
    "host after a bare lf": b"GET /playlist HTTP/1.1\r\nX: y\nHost: x\r\n\r\n",
    "host in two letters' cases": b"GET /playlist HTTP/1.1\r\nHost: x\r\nhOsT: y\r\n\r\n",
    "host with a space before the colon": b"GET /playlist HTTP/1.1\r\nHost: x\r\nHost : y\r\n\r\n",
    "absolute target without a host": b"GET http:///playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target of another scheme": b"GET ftp://x/playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority target for a get": b"GET x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
    "asterisk target for a get": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n" + HIDDEN,
    "lines ended by lf cr": b"GET /playlist HTTP/1.1\n\rHost: x\n\r\n\r",
    "expectation unknown": shape(b"Expect: 100-continue, tea\r\nContent-Length: 4", b"aaaa"),
}
# What may be served: alone, and what follows it likewise.
SERVED = {
    "leading empty lines": b"\r\n\r\nGET /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target": b"GET http://x/playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab before a value": b"GET /playlist HTTP/1.1\r\nHost:\tx\t\r\n\r\n",
    "an upgrade to http 2": b"GET /playlist HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "a WebSocket that is none": b"GET /playlist HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\n\r\n",
    "coding in other letters": shape(b"transfer-ENCODING: CHUNKED", b"4\r\naaaa\r\n0\r\n\r\n"),
    "a name that only looks like the coding": shape(b"Transfer_Encoding: chunked\r\nContent-Length: 4", b"aaaa"),
    "length with zeros before": shape(b"Content-Length: 0004", b"aaaa"),
    "chunk size with zeros before": shape(CHUNKED, b"0004\r\naaaa\r\n0\r\n\r\n"),
    "chunk extensions": shape(CHUNKED, b'4;a=b;c="d"\r\naaaa\r\n0\r\n\r\n'),
}
BOTH = {**SMUGGLING, **MORE}


def test_the_test_server_refuses_them_all(spawn):
    from test_http_server import Server
    server = Server(spawn)
    for name, data in MORE.items():
        got = server.ask(data + GET)
        assert re.match(rb"HTTP/1\.1 (400|405|413|414|417|431|501|505) ", got), (name, got[:200])
        assert len(STATUS_LINE.findall(got)) == 1 and b"Connection: close" in got, (name, got)


def aimed(data, get, post):
    return data.replace(b"/playlist", get).replace(b"/echo", post)


TARGETS = {"streaming": (b"/health", b"/cameras/provision"), "media": (b"/v3/paths/list", b"/v3/config/paths/add/cam_x")}


@pytest.fixture(scope="module")
def ports(spawn_module, streaming, tmp_path_factory):
    api = free_port()
    spawn_module("gtv-media", ready=f"http://127.0.0.1:{api}/v3/paths/list",
                 env={"MEDIA_API_PORT": api, "MEDIA_HLS_PORT": free_port(), "MEDIA_DATA": tmp_path_factory.mktemp("media")})
    return {"streaming": streaming.port, "media": api}


@pytest.mark.parametrize("name", TARGETS)
def test_no_shape_is_accepted(ports, name):
    get, post = TARGETS[name]
    accepted = []
    for what, data in BOTH.items():
        with socket.create_connection(("127.0.0.1", ports[name]), 60) as s:
            s.sendall(aimed(data + GET, get, post))
            got = read_all(s)
        if len(STATUS_LINE.findall(got)) != 1 or not re.match(rb"HTTP/1\.1 (400|405|413|414|417|431|501|505) ", got) or b"Connection: close" not in got:
            accepted.append((what, got[:120]))
    assert accepted == []


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_served_is_one_request(ports, name):
    get, post = TARGETS[name]
    last = b"GET " + get + b"?last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for what, data in SERVED.items():
        with socket.create_connection(("127.0.0.1", ports[name]), 60) as s:
            s.sendall(aimed(data, get, post) + last)
            got = read_all(s)
        statuses = re.findall(rb"HTTP/1\.1 (\d\d\d) ", got)
        assert len(statuses) == 2 and statuses[1] == b"200", (what, got[:300])


class Counted:
    """How many requests the service has answered, the looks at its figures not counted."""

    def __init__(self, streaming):
        self.streaming, self.looks = streaming, 0

    def look(self):
        text = self.streaming.get("/metrics").text
        self.looks += 1
        return sum(int(n) for n in re.findall(r"^gtv_http_requests_total\{.*\} (\d+)", text, re.M)) - self.looks + 1

    def settled(self):
        last, now = None, self.look()
        while now != last:
            time.sleep(1)  # it adds them up four times a second
            last, now = now, self.look()
        return now


def test_the_door_and_the_service_count_alike(door, streaming):
    """However the door understands a shape: the service sees no request that the client got no answer to, and the next client gets its own."""
    last = b"GET /streaming/health?last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    shapes = list({**BOTH, **SERVED}.values())
    counted = Counted(streaming)
    before = counted.settled()
    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda data: door.ask(aimed(data, b"/streaming/health", b"/streaming/cameras/provision") + last), shapes))
    # What the service answered has its mark; what the door refused by itself has not.
    answers = sum(len(re.findall(rb"(?i)\r\nx-request-id:", text)) for text in got)
    assert answers >= len(SERVED) * 2
    assert counted.settled() - before == answers
    for _ in range(20):
        assert door.get("/streaming/health").json()["status"] == "ok"


def test_a_quiet_stream_is_kept_alive(quiet):
    # Last in this file: the 15 s have mostly gone by.
    began = time.monotonic()
    while (line := quiet.readline()) and not line.startswith(b":"):
        pass
    assert line.startswith(b":") and time.monotonic() - began < 60
