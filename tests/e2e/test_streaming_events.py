"""Live events of gtv-streaming on raw sockets: RFC 6455 case by case, replay, filters, Server-Sent Events, slow clients, camera health."""

import http.client
import json
import os
import re
import socket
import struct
import time
import zlib

import pytest
import requests

from conftest import free_port, wait_until
from test_streaming import Origin, Streaming, origin  # noqa: F401 - fixture

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode, payload=b"", fin=True, rsv=0, masked=True):
    n = len(payload)
    bit = 0x80 if masked else 0
    length = bytes([bit | n]) if n < 126 else bytes([bit | 126]) + struct.pack(">H", n) if n < 65536 else bytes([bit | 127]) + struct.pack(">Q", n)
    mask = os.urandom(4) if masked else b""
    if masked and n:
        key = (mask * (n // 4 + 1))[:n]
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(n, "big")
    return bytes([(0x80 if fin else 0) | rsv << 4 | opcode]) + length + mask + payload


class Raw:
    """A WebSocket client that shows each frame, and sends whatever it is told to."""

    def __init__(self, port, path, headers="", rcvbuf=None):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(60)
        self.s.connect(("127.0.0.1", port))
        self.s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
                       f"Sec-WebSocket-Version: 13\r\n{headers}\r\n".encode())
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            self.more()
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])
        found = re.search(rb"(?im)^Sec-WebSocket-Extensions: *(.*?)\r?$", head)
        self.extension = found.group(1).decode() if found else ""

    def more(self):
        chunk = self.s.recv(1 << 20)
        if not chunk:
            raise EOFError
        self.data += chunk

    def need(self, n):
        while len(self.data) < n:
            self.more()

    def next(self, reserved=0):
        """(opcode, payload), or (None, b"") at the end of the connection. reserved: the bits beside FIN that the frame must have; None: any."""
        try:
            self.need(2)
            n, at = self.data[1], 2
            assert n < 128, "a server masks nothing"
            if n == 126:
                self.need(4)
                n, at = struct.unpack(">H", self.data[2:4])[0], 4
            elif n == 127:
                self.need(10)
                n, at = struct.unpack(">Q", self.data[2:10])[0], 10
            self.need(at + n)
        except (EOFError, ConnectionResetError):
            return None, b""
        self.reserved = self.data[0] >> 4 & 7
        assert self.data[0] & 0x80 and reserved in (None, self.reserved), "whole frames with these reserved bits"
        opcode, payload = self.data[0] & 15, self.data[at:at + n]
        self.data = self.data[at + n:]
        return opcode, payload

    def send(self, *parts):
        self.s.sendall(b"".join(parts))

    def message(self):
        while True:
            opcode, payload = self.next()
            if opcode == PING:
                self.send(frame(PONG, payload))
            elif opcode == TEXT:
                return json.loads(payload)
            else:
                raise AssertionError(f"frame {opcode}: {payload!r}")

    def until(self, wanted):
        while True:
            m = self.message()
            if wanted(m):
                return m

    def close(self):
        self.s.close()


@pytest.fixture(scope="module")
def echo(spawn_module):
    double = Origin()
    yield Streaming(spawn_module, double.url, double.url, f"redis://127.0.0.1:{free_port()}/2", GTV_WS_ECHO="true")
    double.stop()


def run(echo, data, want, chop=0):
    """Sends data (in pieces of `chop`), and compares all frames until the connection ends with want: [(opcode, payload)...]."""
    ws = Raw(echo.port, "/ws/echo")
    assert ws.status == 101
    if chop:
        ws.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(data), chop):
            ws.s.sendall(data[i:i + chop])
    else:
        ws.send(data)
    got = [ws.next() for _ in want]
    assert got == want
    assert ws.next() == (None, b"")
    ws.close()


def closed(code):
    return (CLOSE, struct.pack(">H", code))


BYE = frame(CLOSE, struct.pack(">H", 1000))


@pytest.fixture(scope="module")
def squeezing(spawn_module):
    double = Origin()
    yield Streaming(spawn_module, double.url, double.url, f"redis://127.0.0.1:{free_port()}/2", GTV_WS_ECHO="true", GTV_WS_DEFLATE="true")
    double.stop()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 65535, 65536])
def test_every_length_form(echo, opcode, size):
    payload = b"*" * size
    run(echo, frame(opcode, payload) + BYE, [(opcode, payload), closed(1000)])
    if size == 65536:
        run(echo, frame(opcode, payload) + BYE, [(opcode, payload), closed(1000)], chop=997)


def test_pings_and_pongs(echo):
    run(echo, frame(PING) + frame(PING, b"hello") + frame(PING, bytes(range(125))) + BYE,
        [(PONG, b""), (PONG, b"hello"), (PONG, bytes(range(125))), closed(1000)])
    run(echo, frame(PING, b"\xfe" * 126), [closed(1002)])
    run(echo, frame(PING, bytes(range(125))) + BYE, [(PONG, bytes(range(125))), closed(1000)], chop=1)
    run(echo, frame(PONG) + frame(PONG, b"unasked") + frame(PING, b"x") + BYE, [(PONG, b"x"), closed(1000)])
    run(echo, b"".join(frame(PING, b"%d" % i) for i in range(10)) + BYE, [(PONG, b"%d" % i) for i in range(10)] + [closed(1000)])


@pytest.mark.parametrize("bad", [frame(TEXT, b"x", rsv=1), frame(TEXT, b"x", rsv=2), frame(BINARY, b"x", rsv=7), frame(PING, b"x", rsv=4),
                                 frame(CLOSE, rsv=6), frame(3), frame(7, b"x"), frame(11), frame(15, b"x"), frame(TEXT, b"x", masked=False)], ids=range(10))
def test_reserved_and_unmasked(echo, bad):
    run(echo, frame(TEXT, b"first") + bad + frame(PING), [(TEXT, b"first"), closed(1002)])


def test_fragments(echo):
    def parts(opcode, *pieces):
        return b"".join(frame(opcode if i == 0 else 0, p, fin=i == len(pieces) - 1) for i, p in enumerate(pieces))
    for chop in (0, 1):
        run(echo, parts(TEXT, b"frag", b"", b"ment") + parts(BINARY, b"", b"", b"") + BYE, [(TEXT, b"fragment"), (BINARY, b""), closed(1000)], chop)
        run(echo, frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(0, b"b", fin=False) + frame(PING, b"q") + frame(0, b"c") + BYE,
            [(PONG, b"p"), (PONG, b"q"), (TEXT, b"abc"), closed(1000)], chop)
    run(echo, frame(PING, b"x", fin=False), [closed(1002)])
    run(echo, frame(0, b"x"), [closed(1002)])
    run(echo, frame(0, b"x", fin=False), [closed(1002)])
    run(echo, frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), [closed(1002)])
    run(echo, parts(TEXT, b"a", b"b") + frame(0, b"c", fin=False) + frame(TEXT, b"d"), [(TEXT, b"ab"), closed(1002)])
    run(echo, parts(TEXT, *[b"x"] * 4096) + BYE, [(TEXT, b"x" * 4096), closed(1000)])


GOOD_UTF8 = ["κόσμε", "\x00", "\x7f\x80\u07ff\u0800\uffff", "\U00010000\U0010ffff", "\ud7ff\ue000\ufffd", "câmera 📷"]
BAD_UTF8 = [b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf",
            b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff", b"\xce\xba\xe1", b"\xc3(", b"12345678\xf0\x9f\x93"]


@pytest.mark.parametrize("text", GOOD_UTF8, ids=range(len(GOOD_UTF8)))
def test_text_is_utf8_wherever_it_is_cut(echo, text):
    data = text.encode()
    for size in (1, 3):
        cut = [data[i:i + size] for i in range(0, len(data), size)]
        run(echo, b"".join(frame(TEXT if i == 0 else 0, p, fin=i == len(cut) - 1) for i, p in enumerate(cut)) + BYE, [(TEXT, data), closed(1000)])
    run(echo, frame(TEXT, data) + BYE, [(TEXT, data), closed(1000)], chop=1)


@pytest.mark.parametrize("data", BAD_UTF8, ids=range(len(BAD_UTF8)))
def test_what_is_no_utf8(echo, data):
    run(echo, frame(TEXT, data), [closed(1007)])
    run(echo, frame(TEXT, "κόσμε".encode() + data), [closed(1007)], chop=1)
    run(echo, frame(TEXT, b"ok", fin=False) + frame(0, data), [closed(1007)])
    run(echo, frame(CLOSE, struct.pack(">H", 1000) + data), [closed(1007)])
    run(echo, frame(BINARY, data) + BYE, [(BINARY, data), closed(1000)])


def test_wrong_text_is_noticed_at_once(echo):
    ws = Raw(echo.port, "/ws/echo")
    ws.send(frame(TEXT, "κόσμε".encode(), fin=False), frame(0, b"\xf4\x90", fin=False))  # the message goes on
    assert ws.next() == closed(1007)
    ws = Raw(echo.port, "/ws/echo")
    ws.send(frame(TEXT, "κόσμε".encode() + b"\xed\xa0\x80" + b"x" * 100)[:-90])  # so does the frame
    assert ws.next() == closed(1007)


def test_closing(echo):
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        run(echo, frame(CLOSE, struct.pack(">H", code)), [closed(code)])
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        run(echo, frame(CLOSE, struct.pack(">H", code)), [closed(1002)])
    run(echo, frame(CLOSE), [(CLOSE, b"")])
    run(echo, frame(CLOSE, b"\x03"), [closed(1002)])
    run(echo, frame(CLOSE, struct.pack(">H", 1000) + b"*" * 123), [closed(1000)])
    run(echo, frame(CLOSE, struct.pack(">H", 1000) + b"*" * 124), [closed(1002)])
    run(echo, BYE + BYE + frame(TEXT, b"late") + frame(PING), [closed(1000)])
    run(echo, frame(TEXT, b"half", fin=False) + BYE + frame(0, b"late"), [closed(1000)])


def test_large_messages(echo):
    size = 16 << 20
    ws = Raw(echo.port, "/ws/echo")
    ws.s.settimeout(60)
    payload = os.urandom(1 << 20) * 16
    ws.send(frame(BINARY, payload))
    assert ws.next() == (BINARY, payload)
    ws.send(b"".join(frame(TEXT if i == 0 else 0, b"x" * (1 << 16), fin=i == 15) for i in range(16)))
    assert ws.next() == (TEXT, b"x" * (1 << 20))
    ws.send(b"\x82\xff" + struct.pack(">Q", size + 1) + b"\0\0\0\0")
    assert ws.next() == closed(1009)


def test_large_messages_in_every_cut(echo):
    """16 MiB as one frame, and in fragments from 64 KiB to 4 MiB; 1 MiB in pieces as small as a network may make them."""
    payload = os.urandom(1 << 20)
    for fragment in (1 << 16, 1 << 18, 1 << 22):
        ws = Raw(echo.port, "/ws/echo")
        ws.s.settimeout(60)
        n = (16 << 20) // fragment
        whole = (payload * 16)
        ws.send(b"".join(frame(BINARY if i == 0 else 0, whole[i * fragment:(i + 1) * fragment], fin=i == n - 1) for i in range(n)))
        assert ws.next() == (BINARY, whole)
        ws.close()
    text = ("câmera " * 150000).encode()[:1 << 20].decode(errors="ignore").encode()
    for chop in (127, 997, 2048):
        run(echo, frame(TEXT, text[:1 << 17].decode(errors="ignore").encode()) + BYE,
            [(TEXT, text[:1 << 17].decode(errors="ignore").encode()), closed(1000)], chop=chop)


# ---- permessage-deflate ----

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def squeezed(data, final=False):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    if final:
        return z.compress(data) + z.flush() + b"\0"
    return (z.compress(data) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]


def stretched(data, bits=15):
    return zlib.decompressobj(-bits).decompress(data + b"\0\0\xff\xff")


@pytest.mark.parametrize("offer, answer", [
    ("permessage-deflate", ANSWER), ("permessage-deflate; client_no_context_takeover; server_no_context_takeover", ANSWER),
    ("permessage-deflate; server_max_window_bits=9; client_max_window_bits=10", ANSWER + "; server_max_window_bits=9"),
    ("permessage-deflate; server_max_window_bits=99, permessage-deflate", ANSWER), ("permessage-deflate; what=ever", ""), ("x-webkit-deflate-frame", "")])
def test_what_is_agreed_on(squeezing, offer, answer):
    ws = Raw(squeezing.port, "/ws/echo", f"Sec-WebSocket-Extensions: {offer}\r\n")
    assert ws.status == 101 and ws.extension == answer
    ws.send(frame(TEXT, b"plain"), frame(TEXT, squeezed(b"squeezed"), rsv=4))
    assert ws.next() == (TEXT, b"plain")
    assert ws.next() == ((TEXT, b"squeezed") if answer else closed(1002))


@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("size", [16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072])
def test_compressed_messages_of_every_size(squeezing, size, bits):
    ws = Raw(squeezing.port, "/ws/echo", f"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits={bits}\r\n")
    text = (json.dumps({"câmera": list(range(size // 4))}, ensure_ascii=False).encode())[:size].decode(errors="ignore").encode()
    for fin_block in (False, True):
        whole = squeezed(text, fin_block)
        for cut in (len(whole), 1 + len(whole) // 3):
            parts = [whole[i:i + cut] for i in range(0, len(whole), cut)]
            ws.send(b"".join(frame(TEXT if i == 0 else 0, p, fin=i == len(parts) - 1, rsv=4 if i == 0 else 0) for i, p in enumerate(parts)), frame(PING, b"between"))
            opcode, got = ws.next(reserved=None)
            assert (opcode, stretched(got, bits) if ws.reserved == 4 else got) == (TEXT, text)
            assert ws.next() == (PONG, b"between")
    ws.close()


def test_compressed_messages_that_are_refused(squeezing):
    def refused(code, *frames):
        ws = Raw(squeezing.port, "/ws/echo", OFFER)
        ws.send(*frames)
        assert ws.next() == closed(code) and ws.next() == (None, b"")
    refused(1007, frame(TEXT, b"\xff\xff\xff\xff", rsv=4))
    refused(1007, frame(TEXT, squeezed(b"cut off here, in the middle of a block")[:-9], rsv=4))
    refused(1007, frame(TEXT, squeezed(b"not \xff UTF-8"), rsv=4))
    refused(1007, frame(BINARY, b"\xf2\x00\x11\x00\x00", rsv=4))  # points back into a message before it
    refused(1002, frame(TEXT, b"x", rsv=2))
    refused(1002, frame(PING, b"", rsv=4))
    refused(1002, frame(TEXT, squeezed(b"x" * 50)[:3], fin=False, rsv=4), frame(0, squeezed(b"x" * 50)[3:], rsv=4))
    # The first wrong byte ends it, though the message goes on.
    half = zlib.compressobj(9, zlib.DEFLATED, -15)
    refused(1007, frame(TEXT, half.compress(b"ok \xff " + os.urandom(100)) + half.flush(zlib.Z_SYNC_FLUSH), fin=False, rsv=4))


def test_a_compressed_bomb(squeezing):
    ws = Raw(squeezing.port, "/ws/echo", OFFER)
    before = squeezing.process.rss_kib()
    bomb = squeezed(bytes(1 << 28))  # 256 MiB in 256 KiB
    assert len(bomb) < 1 << 19
    ws.send(frame(BINARY, bomb, rsv=4))
    assert ws.next() == closed(1009)
    assert squeezing.process.rss_kib() - before < 100 * 1024
    events = Raw(squeezing.port, "/ws/events/cam_1", OFFER)  # these take far less
    events.message()
    events.send(frame(TEXT, squeezed(b" " * 65537), rsv=4))
    assert events.next() == closed(1009)


def test_compression_is_off_by_default(echo):
    ws = Raw(echo.port, "/ws/echo", OFFER)
    assert ws.status == 101 and ws.extension == ""
    ws.send(frame(TEXT, squeezed(b"x" * 50), rsv=4))
    assert ws.next() == closed(1002)


def test_the_echo_is_off_by_default(spawn, origin):
    live = Streaming(spawn, origin.url, origin.url, f"redis://127.0.0.1:{free_port()}/2", GTV_WS_ORIGINS="https://a.example, https://b.example")
    assert Raw(live.port, "/ws/echo").status == 404
    for value, status in (("https://b.example", 101), ("https://evil.example", 403), ("null", 403)):
        assert Raw(live.port, "/ws/events/cam_1", f"Origin: {value}\r\n").status == status
        assert Raw(live.port, "/ws/dashboard", f"Origin: {value}\r\n").status == status
    assert Raw(live.port, "/ws/events/cam_1").status == 101
    assert live.get("/events/cam_1", headers={"Origin": "https://evil.example"}).status_code == 403
    assert Raw(live.port, "/ws/events/cam_1?types=A%20b").status == 400
    assert Raw(live.port, "/ws/events/cam_1?since=yesterday").status == 400
    ws = Raw(live.port, "/ws/events/cam_1?since=5-1")  # without Redis nobody knows what was missed
    assert ws.until(lambda m: m["type"] == "gap")["data"] == {"missed": None, "since": "5-1"}
    assert ws.message()["type"] == "status"


# ---- events, with a real Redis ----

def add(client, stream, n, kind="detection", pad=""):
    body = {"v": 1, "type": kind, "stream": stream, "data": {"n": n}, "pad": pad}
    return client.xadd("gtv:events", {"stream": stream, "type": kind, "json": json.dumps(body)})


@pytest.fixture
def live(spawn, origin, redis_server, request):
    env = {"GTV_WS_STALL": 60, "GTV_FROZEN_AFTER": 4, **getattr(request, "param", {})}
    service = Streaming(spawn, origin.url, origin.url, redis_server.url(), **env)
    service.redis = redis_server.client()
    return service


def test_what_was_missed_is_replayed_and_joined_to_what_comes(live):
    ids = [add(live.redis, f"cam_{n % 2 + 1}", n, "detection" if n % 3 else "alert") for n in range(500)]
    sockets = []
    for _ in range(10):  # while more comes
        ws = Raw(live.port, f"/ws/events/*?since={ids[99]}")
        one = Raw(live.port, f"/ws/events/cam_1?since={ids[99]}&types=alert")
        sockets.append((ws, one))
        ids += [add(live.redis, f"cam_{n % 2 + 1}", n, "detection" if n % 3 else "alert") for n in range(len(ids), len(ids) + 50)]
    events = {i: n for n, i in enumerate(ids)}
    for ws, one in sockets:
        got = []
        while not got or got[-1] != len(ids) - 1:
            m = ws.message()
            assert m["type"] != "gap"
            if "id" in m and m["id"] in events:
                got.append(events[m["id"]])
        assert got == list(range(100, len(ids)))
        want = [n for n in range(100, len(ids)) if n % 3 == 0 and n % 2 == 0]
        assert [events[one.message()["id"]] for _ in want] == want
        ws.close()
        one.close()


def test_an_id_that_left_the_stream_is_a_gap(live):
    old = add(live.redis, "cam_1", 0)
    kept = [add(live.redis, "cam_1", n) for n in range(1, 11)]
    live.redis.xtrim("gtv:events", minid=kept[5], approximate=False)
    ws = Raw(live.port, f"/ws/events/cam_1?since={old}")
    assert ws.message()["data"] == {"missed": None, "since": old}
    assert [ws.message()["id"] for _ in range(5)] == kept[5:]
    assert ws.message()["type"] == "status"  # live from here
    whole = Raw(live.port, "/ws/events/cam_1?since=0")
    assert [whole.message()["id"] for _ in range(5)] == kept[5:]
    newest = Raw(live.port, f"/ws/events/cam_1?since={kept[-1]}")
    assert newest.message()["type"] == "status"
    new = add(live.redis, "cam_1", 11)
    for s in (ws, whole, newest):
        assert s.until(lambda m: "id" in m)["id"] == new


def test_types_filter(live):
    ws = Raw(live.port, "/ws/events/*?types=alert,status")
    add(live.redis, "cam_1", 1)
    wanted = add(live.redis, "cam_1", 2, "alert")
    assert ws.until(lambda m: "id" in m)["id"] == wanted


def sse(live, path, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=60)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream"
    return answer


def next_event(answer):
    fields = {}
    while line := answer.readline().decode():
        name, _, value = line.rstrip("\n").partition(":")
        if name:
            fields[name] = value.strip()
        elif "data" in fields:
            return fields
        elif not line.strip():
            fields = {}
    raise EOFError


def test_server_sent_events(live):
    lines = sse(live, "/events/cam_1")
    first = next_event(lines)
    assert first["event"] == "status" and json.loads(first["data"])["stream"] == "cam_1" and "id" not in first
    ids = [add(live.redis, "cam_1", n) for n in range(3)]
    text = '{\n "v": 1,\r\n "type": "alert"\n}'
    ids.append(live.redis.xadd("gtv:events", {"stream": "cam_1", "type": "alert", "json": text}))
    for want in ids:
        event = next_event(lines)
        assert event["id"] == want and json.loads(event["data"])["id"] == want
    assert event["event"] == "alert" and json.loads(event["data"]) == {"id": ids[3], "v": 1, "type": "alert"}
    lines.close()
    lines = sse(live, "/events/*?types=detection", {"Last-Event-ID": ids[0]})
    assert [next_event(lines)["id"] for _ in range(2)] == ids[1:3]
    lines.close()
    head = requests.head(live.url + "/events/cam_1", timeout=60)
    assert head.status_code == 200 and head.headers["Content-Type"] == "text/event-stream"
    lines = sse(live, "/events/cam_9")
    live.process.stop()  # ends the stream in order
    with pytest.raises(EOFError):
        while True:
            next_event(lines)


def test_a_slow_client_has_its_newest_states_and_a_count(live):
    slow = Raw(live.port, "/ws/events/*?types=detection,status", rcvbuf=4096)
    fast = Raw(live.port, "/ws/events/*?types=detection")
    pad = "x" * 50000
    for n in range(120):
        add(live.redis, "cam_1", n, pad=pad)
        if n % 20 == 0:
            add(live.redis, "cam_2", n, "status")
        assert fast.message()["data"]["n"] == n  # the fast one has all
    skipped = int(re.search(r"^gtv_streaming_ws_skipped_total (\d+)", live.get("/metrics").text, re.M).group(1))
    assert skipped > 0
    got, states, missed = [], [], 0
    while not got or got[-1] != 119:
        m = slow.message()
        if m["type"] == "gap":
            missed += m["data"]["missed"]
        elif m["type"] == "detection":
            got.append(m["data"]["n"])
        elif m["type"] == "status" and "id" in m:
            states.append(m["data"]["n"])
    assert missed == skipped and len(got) + missed == 120 and got == sorted(got)
    assert states[-1] == 100 and len(states) <= 6  # the newest is there, older ones gave way


@pytest.mark.parametrize("live", [{"GTV_WS_STALL": 2}], indirect=True)
def test_a_client_that_takes_nothing_is_closed_with_1013(live):
    stalled = Raw(live.port, "/ws/events/cam_1", rcvbuf=4096)
    for n in range(100):
        add(live.redis, "cam_1", n, pad="x" * 60000)
    wait_until(lambda: re.search(r"^gtv_streaming_ws_stalled_total 1", live.get("/metrics").text, re.M), what="the stall is noticed")
    while (got := stalled.next())[0] not in (CLOSE, None):
        pass
    assert got[0] == CLOSE and got[1][:2] == struct.pack(">H", 1013)


def test_camera_health(live, origin):
    ws = Raw(live.port, "/ws/events/cam_1?types=status")
    ws.message()
    size = {"n": 0}
    tracks = [{"codec": "H264", "codecProps": {"width": 1280, "height": 720}}]

    def path(grow=True, **more):
        size["n"] += 1000 * grow
        return {"ready": True, "bytesReceived": size["n"], "tracks2": tracks, **more}

    origin.paths["cam_1"] = path()
    assert ws.until(lambda m: m["data"]["state"] == "connected")["id"]
    tracks = [{"codec": "H265", "codecProps": {"width": 1920, "height": 1080}}]
    origin.paths["cam_1"] = path()
    changed = ws.until(lambda m: "change" in m["data"])["data"]
    assert (changed["change"], changed["before"], changed["now"]) == ("parameters", "H264 1280x720", "H265 1920x1080")
    frozen = ws.until(lambda m: m["data"]["state"] == "frozen")["data"]  # nothing grows any more
    assert frozen["cause_code"] == "frozen" and frozen["cause"]
    assert live.get("/streams").json()["streams"][0]["cause_code"] == "frozen"
    origin.paths["cam_1"] = path()
    ws.until(lambda m: m["data"]["state"] == "connected")
    origin.paths["cam_1"] = {"ready": False, "state": "failed", "cause": "the camera refuses", "causeCode": "refused"}
    assert ws.until(lambda m: m["data"]["state"] == "disconnected")["data"]["cause_code"] == "refused"


def test_one_of_two_replicas_tells(spawn, live, origin, redis_server):
    other = Streaming(spawn, origin.url, origin.url, redis_server.url())
    wait_until(lambda: other.get("/ready").json()["redis"], what="redis up")
    time.sleep(2.5)
    origin.paths["cam_7"] = {"ready": True}
    told = wait_until(lambda: [e for _, e in live.redis.xrange("gtv:events") if e["stream"] == "cam_7"], what="it is told")
    time.sleep(2.5)
    assert len([e for _, e in live.redis.xrange("gtv:events") if e["stream"] == "cam_7"]) == len(told) == 1
    live.process.stop()  # the other one takes over at once
    wait_until(lambda: live.redis.get("gtv:lease:watch"), what="the lease passes on")
    origin.paths["cam_8"] = {"ready": True}
    wait_until(lambda: [e for _, e in live.redis.xrange("gtv:events") if e["stream"] == "cam_8"], what="the other one tells")


def test_no_event_is_lost_on_reconnection_through_a_redis_restart(live, redis_server):
    ws = Raw(live.port, "/ws/events/cam_1?types=detection")
    first = add(live.redis, "cam_1", 0)
    assert ws.message()["id"] == first
    ws.close()
    missed = [add(live.redis, "cam_1", n) for n in range(1, 4)]
    time.sleep(1.2)  # appendfsync everysec
    redis_server.stop()
    redis_server.start()
    wait_until(lambda: live.get("/ready").json()["redis"], what="redis up again")
    ws = Raw(live.port, f"/ws/events/cam_1?types=detection&since={first}")
    missed.append(add(redis_server.client(), "cam_1", 9))
    assert [ws.message()["id"] for _ in missed] == missed
