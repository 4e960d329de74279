"""lib/http against badly behaved peers, through raw sockets: gtv-test-httpd has one route for each promise."""

import json
import re
import resource
import socket
import struct
import threading
import time

import pytest

from conftest import wait_until

STATUS_LINE = re.compile(rb"HTTP/1\.1 \d\d\d ")
GET = b"GET /playlist HTTP/1.1\r\nHost: x\r\n\r\n"


class Server:
    def __init__(self, spawn, *args):
        # Everything of this program is ours: it must not leak either.
        self.process = spawn("gtv-test-httpd", *args, env={"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0"})
        host, port = self.process.first_line().split()
        self.address = (host, int(port))

    def connect(self, timeout=60, rcvbuf=None):
        s = socket.socket()
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.settimeout(timeout)
        s.connect(self.address)
        return s

    def ask(self, data, timeout=60):
        """Sends all of data, closes nothing, and returns all that comes until the server closes."""
        with self.connect(timeout) as s:
            s.sendall(data)
            return read_all(s)

    def counts(self):
        with self.connect() as s:
            s.sendall(b"GET /counts HTTP/1.1\r\nHost: x\r\n\r\n")
            return json.loads(Reply(s).body)


def read_all(s):
    got = b""
    while True:
        try:
            chunk = s.recv(65536)
        except ConnectionResetError:
            return got
        if not chunk:
            return got
        got += chunk


class Reply:
    """Reads exactly one reply."""

    def __init__(self, s, head_only=False):
        self.s, self.buffer = s, getattr(s, "_rest", b"") if not isinstance(s, socket.socket) else b""
        while b"\r\n\r\n" not in self.buffer:
            chunk = s.recv(65536)
            assert chunk, f"connection closed after {self.buffer!r}"
            self.buffer += chunk
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            self.headers[name.lower()] = value
        self.body = b""
        if head_only or self.status in (204, 304) or self.status < 200:
            self.body = b""
        elif "content-length" in self.headers:
            self.body = self.take(int(self.headers["content-length"]))
        elif self.headers.get("transfer-encoding") == "chunked":
            while True:
                size = int(self.line(), 16)
                piece = self.take(size)
                assert self.take(2) == b"\r\n"
                if size == 0:
                    break
                self.body += piece
        self.rest = self.buffer

    def take(self, n):
        while len(self.buffer) < n:
            chunk = self.s.recv(65536)
            assert chunk, "connection closed in the body"
            self.buffer += chunk
        got, self.buffer = self.buffer[:n], self.buffer[n:]
        return got

    def line(self):
        while b"\r\n" not in self.buffer:
            chunk = self.s.recv(65536)
            assert chunk, "connection closed in a chunk"
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line


class Stream:
    """A socket that keeps what was read beyond one reply, for pipelined replies."""

    def __init__(self, s):
        self.s, self._rest = s, b""

    def recv(self, n):
        return self.s.recv(n)

    def reply(self):
        r = Reply(self)
        self._rest = r.rest
        return r


@pytest.fixture(scope="module")
def server(spawn_module):
    return Server(spawn_module, "--header-ms", 3000, "--idle-ms", 5000, "--write-ms", 3000, "--trusted", "127.0.0.0/8, ::1")


# ---- What two readers could understand differently is refused, and nothing after it is read ----

SMUGGLING = {
    "length and coding": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\naaaaa",
    "two equal lengths": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\naaaa",
    "a list of lengths": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\naaaa",
    "length with a plus": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\naaaa",
    "length with a minus": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -4\r\n\r\naaaa",
    "length in hex": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x4\r\n\r\naaaa",
    "length with a space": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4 4\r\n\r\naaaa",
    "length that overflows": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551620\r\n\r\naaaa",
    "empty length": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
    "bare lf in headers": b"GET /playlist HTTP/1.1\nHost: x\n\n",
    "bare lf in one header": b"GET /playlist HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "bare lf after the line": b"GET /playlist HTTP/1.1\nHost: x\r\n\r\n",
    "bare lf at the end": b"GET /playlist HTTP/1.1\r\nHost: x\r\n\n",
    "bare cr": b"GET /playlist HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
    "bare cr in a value": b"GET /playlist HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
    "space before the colon": b"GET /playlist HTTP/1.1\r\nHost : x\r\n\r\n",
    "tab before the colon": b"GET /playlist HTTP/1.1\r\nHost: x\r\nX\t: y\r\n\r\n",
    "space before the coding's colon": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folding": b"GET /playlist HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "folding with a tab": b"GET /playlist HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\n\r\n",
    "space before the first header": b"GET /playlist HTTP/1.1\r\n Host: x\r\n\r\n",
    "no host": b"GET /playlist HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /playlist HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "two equal hosts": b"GET /playlist HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "host with a path": b"GET /playlist HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "host with a user": b"GET /playlist HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "host list": b"GET /playlist HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "two hosts in HTTP/1.0": b"GET /playlist HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    "coding in HTTP/1.0": b"POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "control character": b"GET /playlist HTTP/1.1\r\nHost: x\r\nX: a\x01b\r\n\r\n",
    "nul": b"GET /playlist HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    "delete character": b"GET /playlist HTTP/1.1\r\nHost: x\r\nX: a\x7fb\r\n\r\n",
    "vertical tab after the coding": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
    "nul in a name": b"GET /playlist HTTP/1.1\r\nHost: x\r\nX\x00: a\r\n\r\n",
    "coding gzip": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "coding gzip, chunked": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding chunked, gzip": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "coding identity": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
    "coding xchunked": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding twice": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding then identity": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "empty coding": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n",
    "quoted coding": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "no colon": b"GET /playlist HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "empty name": b"GET /playlist HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "name with a space": b"GET /playlist HTTP/1.1\r\nHost: x\r\nA B: y\r\n\r\n",
    "name with a paren": b"GET /playlist HTTP/1.1\r\nHost: x\r\nA(B: y\r\n\r\n",
    "name with high byte": b"GET /playlist HTTP/1.1\r\nHost: x\r\nA\xffB: y\r\n\r\n",
    "HTTP/0.9": b"GET /playlist\r\n\r\n",
    "HTTP/0.9 bare": b"GET /playlist\n",
    "no version": b"GET /playlist \r\nHost: x\r\n\r\n",
    "odd version": b"GET /playlist HTTP/1,1\r\nHost: x\r\n\r\n",
    "small version": b"GET /playlist http/1.1\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in target": b"GET /play list HTTP/1.1\r\nHost: x\r\n\r\n",
    "space before version end": b"GET /playlist HTTP/1.1 \r\nHost: x\r\n\r\n",
    "tab in the line": b"GET\t/playlist\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "small method": b"get /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"FOO /playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "high byte in target": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "control in target": b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "fragment in target": b"GET /playlist#a HTTP/1.1\r\nHost: x\r\n\r\n",
    "target without slash": b"GET playlist HTTP/1.1\r\nHost: x\r\n\r\n",
    "authority target": b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "chunk size with sign": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+4\r\naaaa\r\n0\r\n\r\n",
    "chunk size in 0x": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x4\r\naaaa\r\n0\r\n\r\n",
    "chunk size too big": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\naaaa\r\n0\r\n\r\n",
    "chunk size empty": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\r\naaaa\r\n0\r\n\r\n",
    "space before chunk size": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n 4\r\naaaa\r\n0\r\n\r\n",
    "space after chunk size": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4 \r\naaaa\r\n0\r\n\r\n",
    "bare lf in chunk": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\naaaa\n0\n\n",
    "bare lf in extension": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4;a\naaaa\r\n0\r\n\r\n",
    "chunk longer than said": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\naaaaa\r\n0\r\n\r\n",
    "chunk end with bare lf": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\naaaa\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_ambiguous_request_is_refused_and_closes(server, name):
    got = server.ask(SMUGGLING[name] + GET)
    assert re.match(rb"HTTP/1\.1 (400|405|413|505) ", got), got[:200]
    assert len(STATUS_LINE.findall(got)) == 1, "something after the malformed request was answered"
    head, body = got.split(b"\r\n\r\n", 1)
    assert b"Connection: close" in head
    error = json.loads(body)
    assert set(error) == {"detail", "code", "field"} and error["detail"]


@pytest.mark.parametrize("cut", [1, 7])
def test_ambiguous_request_in_fragments(server, cut):
    for name, data in SMUGGLING.items():
        with server.connect() as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for i in range(0, len(data), cut):
                    s.sendall(data[i:i + cut])
                s.sendall(GET)
            except (BrokenPipeError, ConnectionResetError):
                pass
            got = read_all(s)
            assert len(STATUS_LINE.findall(got)) == 1, name
            assert re.match(rb"HTTP/1\.1 (400|405|413|505) ", got), name


def test_other_versions(server):
    assert server.ask(b"GET / HTTP/2.0\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 505 ")
    assert server.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"HTTP/1.1 505 ")


@pytest.mark.parametrize("path", ["/../etc/passwd", "/a/../b", "/%2e%2e/x", "/a/..", "/./playlist", "/%2E/x", "/a%2f..%2fb", "/%2e",
                                  "/a%00b", "/%zz", "/%", "/a%2", "/params/..%2fx/x/c/end"])
def test_malformed_paths(server, path):
    got = server.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 400 "), got[:100]


# ---- Limits ----

def test_header_limits(server):
    fields = b"".join(b"X-%d: y\r\n" % i for i in range(99))
    with server.connect() as s:
        s.sendall(b"GET /playlist HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
        assert Reply(s).status == 200
    assert server.ask(b"GET /playlist HTTP/1.1\r\nHost: x\r\n" + fields + b"A: b\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    big = b"X: " + b"a" * 16000 + b"\r\n"
    with server.connect() as s:
        s.sendall(b"GET /playlist HTTP/1.1\r\nHost: x\r\n" + big + b"\r\n")
        assert Reply(s).status == 200
    assert server.ask(b"GET /playlist HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 17000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")


def test_ten_thousand_headers(server):
    fields = b"".join(b"X-%d: y\r\n" % i for i in range(10000))
    assert server.ask(b"GET /playlist HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n").startswith(b"HTTP/1.1 431 ")


def test_target_limit(server):
    with server.connect() as s:
        s.sendall(b"GET /playlist?" + b"a" * 8000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert Reply(s).status == 200
    got = server.ask(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 414 ") and b'"code":"target_too_long"' in got


def test_body_limit(server):
    with server.connect() as s:
        s.sendall(b"POST /tiny HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n" + b"a" * 16)
        assert Reply(s).body == b"a" * 16
    got = server.ask(b"POST /tiny HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n" + b"a" * 17)
    assert got.startswith(b"HTTP/1.1 413 ")
    got = server.ask(b"POST /tiny HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n" + b"a" * 17 + b"\r\n0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 413 ")
    got = server.ask(b"GET /playlist HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
    assert got.startswith(b"HTTP/1.1 413 ")


def test_client_reads_413_although_it_sends_on(server):
    with server.connect() as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n")
        for _ in range(40):
            s.sendall(b"a" * 100000)
        assert Reply(s).status == 413


def test_chunk_overhead_is_bounded(server):
    got = server.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 60000 + b"\r\na\r\n0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 400 ")
    got = server.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + b"X: y\r\n" * 20000 + b"\r\n")
    assert got.startswith(b"HTTP/1.1 400 ")


# ---- Time-outs ----

def test_slow_headers_get_408(server):
    with server.connect() as s:
        start = time.monotonic()
        s.sendall(b"GET /playlist HTTP/1.1\r\n")
        for i in range(3):  # bytes that trickle in do not buy time
            time.sleep(0.3)
            s.sendall(b"X")
        got = read_all(s)
        assert got.startswith(b"HTTP/1.1 408 ")
        assert 2 < time.monotonic() - start < 30


def test_a_slow_body_gets_408(server):
    with server.connect() as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        start = time.monotonic()
        assert read_all(s).startswith(b"HTTP/1.1 408 ")
        assert 2.5 < time.monotonic() - start < 40


def test_idle_connections_are_closed_silently(server):
    with server.connect() as s, server.connect() as fresh:
        s.sendall(GET)
        Reply(s)
        start = time.monotonic()
        assert s.recv(1) == b"" and fresh.recv(1) == b""
        assert 2.5 < time.monotonic() - start < 40


def test_a_reader_that_stalls_is_cut(spawn):
    own = Server(spawn, "--write-ms", 1000)
    with own.connect(rcvbuf=4096) as s:
        s.sendall(b"GET /pump?n=50 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: own.counts()["cut"] == 1, what="the stalled reader is cut")


def test_a_slow_reader_that_moves_is_not_cut(spawn):
    own = Server(spawn, "--write-ms", 2000)
    with own.connect(rcvbuf=65536) as s:
        s.sendall(b"GET /pump?n=8 HTTP/1.1\r\nHost: x\r\n\r\n")
        got = 0
        end = time.monotonic() + 5
        while time.monotonic() < end:
            got += len(s.recv(65536))
            time.sleep(0.05)
        while got < 8 * 1024 * 1024:
            chunk = s.recv(1 << 20)
            assert chunk
            got += len(chunk)
        wait_until(lambda: own.counts()["complete"] == 1, what="complete")


def test_many_slow_headers_at_once(spawn):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 40000), hard))
    n = min(10000, min(hard, 40000) - 500)
    own = Server(spawn, "--header-ms", 3000)
    sockets = []
    try:
        for _ in range(n):
            s = own.connect()
            s.sendall(b"GET /playlist HTTP/1.1\r\nX: ")
            sockets.append(s)
        with own.connect() as s:  # others are served meanwhile
            s.sendall(GET)
            assert Reply(s).status == 200
        answered = 0
        for s in sockets:
            s.settimeout(60)
            answered += read_all(s).startswith(b"HTTP/1.1 408 ")
        assert answered == n
    finally:
        for s in sockets:
            s.close()


# ---- The protocol ----

def test_keep_alive_and_pipelining(server):
    with server.connect() as s:
        for _ in range(3):
            s.sendall(GET)
            assert Reply(s).status == 200
        s.sendall(GET * 50)
        stream = Stream(s)
        for _ in range(50):
            assert len(stream.reply().body) == 600


def test_pipelined_replies_keep_their_order(server):
    with server.connect() as s:
        s.sendall(b"GET /slow?ms=200 HTTP/1.1\r\nHost: x\r\n\r\n" + GET + b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                  + b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /slow?ms=10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + GET)
        stream = Stream(s)
        assert stream.reply().body == b"late"
        assert len(stream.reply().body) == 600
        assert stream.reply().body == b"abc"
        assert stream.reply().body == b"a" * 30
        assert stream.reply().body == b"late"
        assert s.recv(100) == b""  # nothing after Connection: close


def test_pipelining_of_large_replies_is_bounded(server):
    before = server.process.rss_kib()
    with server.connect() as s:
        s.sendall(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        time.sleep(0.5)
        assert server.process.rss_kib() - before < 20000
        got = 0
        while got < 100 * 1024 * 1024:
            got += len(s.recv(1 << 20))


def test_half_close_gets_its_reply(server):
    for target in (b"/playlist", b"/slow?ms=200", b"/stream?n=5&ms=20", b"/deaf?ms=100"):
        with server.connect() as s:
            s.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            s.shutdown(socket.SHUT_WR)
            reply = Reply(s)
            assert reply.status == 200 and reply.body
            assert s.recv(1) == b""


def test_half_close_after_a_pipeline(server):
    with server.connect() as s:
        s.sendall(b"GET /slow?ms=100 HTTP/1.1\r\nHost: x\r\n\r\n" + GET + GET)
        s.shutdown(socket.SHUT_WR)
        assert read_all(s).count(b"HTTP/1.1 200 OK") == 3


def test_head(server):
    with server.connect() as s:
        for target in (b"/playlist", b"/stream", b"/nope"):
            s.sendall(b"HEAD " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            Reply(s, head_only=True)
        s.sendall(b"HEAD /playlist HTTP/1.1\r\nHost: x\r\n\r\n")
        assert Reply(s, head_only=True).headers["content-length"] == "600"
        s.sendall(GET)
        assert len(Reply(s).body) == 600


def test_http_1_0(server):
    got = server.ask(b"GET /playlist HTTP/1.0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 OK") and b"Connection: close" in got and got.endswith(b"p" * 600)
    with server.connect() as s:
        s.sendall(b"GET /playlist HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert Reply(s).headers["connection"] == "keep-alive"
        s.sendall(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        got = read_all(s)  # without chunks only the end of the connection ends it
        assert b"chunked" not in got and got.endswith(b"a" * 30)


def test_chunked_request(server):
    with server.connect() as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n3;ext=1\r\nabc\r\n")
        time.sleep(0.1)
        s.sendall(b"A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n" + GET)
        stream = Stream(s)
        assert stream.reply().body == b"abc0123456789"
        assert stream.reply().status == 200


def test_large_bodies(server):
    body = bytes(range(256)) * 4096
    with server.connect() as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert Reply(s).body == body
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 1000]), body[i:i + 1000]) for i in range(0, len(body), 1000))
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert Reply(s).body == body


def test_body_byte_by_byte(server):
    with server.connect() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde":
            s.sendall(bytes([byte]))
        assert Reply(s).body == b"abcde"


def test_expect_continue(server):
    with server.connect() as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert Reply(s).status == 100
        s.sendall(b"abc")
        assert Reply(s).body == b"abc"
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
        assert Reply(s).status == 200  # the body was there: nobody waits
    with server.connect() as s:
        s.sendall(b"POST /tiny HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\nExpect: 100-continue\r\n\r\n")
        assert Reply(s).status == 413
    assert server.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: magic\r\n\r\nabc").startswith(b"HTTP/1.1 417 ")


def test_leading_empty_line_and_absolute_form(server):
    with server.connect() as s:
        s.sendall(b"\r\n" + GET)
        assert Reply(s).status == 200
        s.sendall(b"GET http://example.com/playlist?a HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert Reply(s).status == 200
        s.sendall(b"GET http://example.com HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert Reply(s).status == 404


def test_upgrade_header_on_an_ordinary_request_is_ignored(server):
    with server.connect() as s:
        s.sendall(b"GET /playlist HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n" + GET)
        stream = Stream(s)
        assert stream.reply().status == 200 and stream.reply().status == 200


# ---- Routes and headers ----

def test_routing(server):
    with server.connect() as s:
        s.sendall(b"GET /params/a%20%C3%A9/x/b/c%2Fd/end?z=1&q=a+b%26 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert Reply(s).body.decode() == "a=a é rest=b/c/d q=a b& path=/params/a é/x/b/c/d/end"
        for target, status in ((b"/params/a/x/end", 404), (b"/params//x/b/end", 404), (b"/playlist/", 404), (b"//playlist", 404),
                               (b"/%70laylist", 200), (b"/playlist?../x=%zz", 200), (b"/" + b"a/" * 100, 404)):
            s.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert Reply(s).status == status, target
        s.sendall(b"DELETE /playlist HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = Reply(s)
        assert reply.status == 405 and reply.headers["allow"] == "GET, HEAD, OPTIONS"
        assert json.loads(reply.body) == {"detail": "Method not allowed", "code": "method_not_allowed", "field": None}


def test_cors(server):
    with server.connect() as s:
        s.sendall(b"OPTIONS /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\nAccess-Control-Request-Method: POST\r\n"
                  b"Access-Control-Request-Headers: content-type, x-y\r\n\r\n")
        reply = Reply(s)
        assert reply.status == 204 and "content-length" not in reply.headers
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-methods"] == "POST, OPTIONS"
        assert reply.headers["access-control-allow-headers"] == "content-type, x-y"
        assert int(reply.headers["access-control-max-age"]) > 0
        s.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
        assert Reply(s).status == 204
        s.sendall(b"OPTIONS /nope HTTP/1.1\r\nHost: x\r\n\r\n")
        assert Reply(s).status == 404


def test_cors_of_one_origin(spawn):
    own = Server(spawn, "--cors", "https://a.example")
    with own.connect() as s:
        s.sendall(GET)
        reply = Reply(s)
        assert reply.headers["access-control-allow-origin"] == "https://a.example" and reply.headers["vary"] == "Origin"


def test_request_id(server):
    with server.connect() as s:
        s.sendall(b"GET /playlist HTTP/1.1\r\nHost: x\r\nX-Request-ID: abc-1.2_3\r\n\r\n")
        assert Reply(s).headers["x-request-id"] == "abc-1.2_3"
        seen = set()
        for bad in (b"", b"a b", b"a" * 65, b"a;b", b"\xc3\xa9"):
            s.sendall(b"GET /playlist HTTP/1.1\r\nHost: x\r\nX-Request-ID: " + bad + b"\r\n\r\n")
            seen.add(Reply(s).headers["x-request-id"])
        assert len(seen) == 5 and all(re.fullmatch("[0-9a-f]{16}", i) for i in seen)


def test_client_address(server):
    cases = ((b"", b"127.0.0.1"), (b"10.1.2.3", b"10.1.2.3"), (b"1.1.1.1, 10.1.2.3, 127.0.0.9", b"10.1.2.3"),
             (b"127.0.0.1", b"127.0.0.1"), (b"nonsense", b"127.0.0.1"), (b"8.8.8.8, nonsense", b"127.0.0.1"),
             (b"10.1.2.3:555", b"10.1.2.3"), (b"[2001:db8::1]:443", b"2001:db8::1"), (b"2001:db8::2", b"2001:db8::2"),
             (b"8.8.8.8\r\nX-Forwarded-For: 9.9.9.9", b"9.9.9.9"))
    with server.connect() as s:
        for value, peer in cases:
            field = b"X-Forwarded-For: " + value + b"\r\n" if value else b""
            s.sendall(b"GET /peer HTTP/1.1\r\nHost: x\r\n" + field + b"\r\n")
            assert Reply(s).body == peer, value


def test_forwarded_address_of_an_untrusted_peer_is_ignored(spawn):
    own = Server(spawn)
    with own.connect() as s:
        s.sendall(b"GET /peer HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.1.2.3\r\n\r\n")
        assert Reply(s).body == b"127.0.0.1"


V2 = b"\r\n\r\n\0\r\nQUIT\n"
V2_CLIENT = V2 + b"\x21\x11" + struct.pack(">H", 12 + 7) + socket.inet_aton("203.0.113.9") + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 5, 80) + b"\x04\0\x04TLVs"
PEER = b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n"


def refused_prefaces(own):
    with own.connect() as s:
        s.sendall(b"PROXY UNKNOWN\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        return int(re.search(rb"^gtv_http_refused_proxy_headers_total\{.*\} (\d+)", Reply(s).body, re.M).group(1))


def test_a_proxy_tells_who_its_client_is(spawn):
    own = Server(spawn, "--proxy", "127.0.0.1", "--trusted", "198.51.100.0/24", "--header-ms", 1000)
    told = ((b"PROXY TCP4 203.0.113.9 10.0.0.1 5 80\r\n", b"203.0.113.9"), (b"PROXY TCP6 2001:db8::9 ::1 5 80\r\n", b"2001:db8::9"),
            (b"PROXY UNKNOWN\r\n", b"127.0.0.1"), (V2_CLIENT, b"203.0.113.9"), (V2 + b"\x20\0\0\0", b"127.0.0.1"))
    for header, peer in told:
        for cut in (len(header) + len(PEER), 1):
            with own.connect() as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                data = header + PEER
                for i in range(0, len(data), cut):
                    s.sendall(data[i:i + cut])
                assert Reply(s).body == peer, header
                s.sendall(PEER)  # once a connection, not once a request
                assert Reply(s).body == peer, header
    with own.connect() as s:  # the client is itself a proxy that is believed
        s.sendall(b"PROXY TCP4 198.51.100.7 10.0.0.1 5 80\r\n" + PEER[:-2] + b"X-Forwarded-For: 192.0.2.4\r\n\r\n")
        assert Reply(s).body == b"192.0.2.4"
    with own.connect() as s:
        s.sendall(V2_CLIENT + PEER[:-2] + b"X-Forwarded-For: 192.0.2.4\r\n\r\n")
        assert Reply(s).body == b"203.0.113.9"


def test_a_proxy_must_say_it(spawn):
    own = Server(spawn, "--proxy", "127.0.0.1", "--header-ms", 1000)
    bad = (PEER, b"\r\n" + PEER, b"PROXY TCP4 1.2.3 10.0.0.1 5 80\r\n" + PEER, b"PROXY UNKNOWN" + b" x" * 60 + b"\r\n" + PEER,
           V2 + b"\x21\x11\xff\xff" + PEER, V2 + b"\x11\x11\0\x0c" + PEER)
    for data in bad:
        assert own.ask(data) == b"", data
    wait_until(lambda: refused_prefaces(own) == len(bad), what="all are counted")
    assert own.ask(b"PROXY TCP4 203.0.") == b""  # in time, or not at all
    got = own.ask(b"PROXY UNKNOWN\r\n" + V2_CLIENT + PEER)  # once only
    assert got.startswith(b"HTTP/1.1 400 ") and len(STATUS_LINE.findall(got)) == 1


def test_a_proxy_header_of_a_stranger_is_no_http(spawn, server):
    own = Server(spawn, "--proxy", "198.51.100.1")
    for data in (b"PROXY TCP4 203.0.113.9 10.0.0.1 5 80\r\n" + PEER, V2_CLIENT + PEER):
        for each in (own, server):
            got = each.ask(data)
            assert got.startswith(b"HTTP/1.1 400 ") and len(STATUS_LINE.findall(got)) == 1


def test_response_splitting(server):
    with server.connect() as s:
        s.sendall(b"GET /split?v=a%0d%0aSet-Cookie:%20x=y HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = Reply(s)
        assert "set-cookie" not in reply.headers and "x-bad" not in reply.headers and reply.headers["x-good"] == "yes"
        assert reply.headers["content-length"] == "0"  # the server's own, not the handler's


def test_pieces(server):
    with server.connect() as s:
        for n in (0, 1, 3, 200):
            s.sendall(b"GET /pieces?n=%d HTTP/1.1\r\nHost: x\r\n\r\n" % n)
            assert Reply(s).body == b"".join(b"p" * 600 if i % 2 else b"-token-" for i in range(n))


# ---- Streams and their ends ----

def test_streams(server):
    with server.connect() as s:
        s.sendall(b"GET /stream?n=20&size=1000&ms=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert Reply(s).body == b"a" * 20000
        s.sendall(b"GET /stream?n=20&size=1000&ms=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert Reply(s).body == b"a" * 20000
        s.sendall(b"GET /stream?n=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert Reply(s).body == b""
        s.sendall(b"GET /stream?n=2&length=20 HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = Reply(s)
        assert reply.body == b"a" * 20 and "transfer-encoding" not in reply.headers
        s.sendall(b"GET /stream?n=3&length=25 HTTP/1.1\r\nHost: x\r\n\r\n")  # the writer says more than it announced
        assert Reply(s).body == b"a" * 25
        s.sendall(GET)
        assert Reply(s).status == 200


@pytest.mark.parametrize("query", [b"n=2&abort=1", b"n=2&abort=1&ms=0", b"n=2&abort=1&length=100", b"n=2&length=100"])
def test_a_cut_stream_is_seen_as_cut(server, query):
    before = server.counts()
    with server.connect() as s:
        s.sendall(b"GET /stream?" + query + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        got = read_all(s)
        assert not got.endswith(b"0\r\n\r\n")
        assert got.count(b"a" * 10) < 10
    wait_until(lambda: server.counts()["cut"] == before["cut"] + 1, what="the handler is told")


def test_a_cut_http_1_0_stream_is_a_reset(server):
    with server.connect() as s:
        s.sendall(b"GET /stream?n=2&abort=1 HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            while s.recv(1000):
                pass


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


@pytest.mark.parametrize("target", [b"/slow?ms=300", b"/stream?n=1000&ms=5", b"/pump?n=1000", b"/stream?n=100000&size=1000&ms=0"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_leaves(server, target, how):
    before = server.counts()
    for n in range(1, 6):
        s = server.connect()
        s.sendall(b"GET " + (target.replace(b"=300", b"=10000") if how == "reset" else target) + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.counts()["started"] == before["started"] + n, step=0, what="the handler has begun")
        if how == "reset":
            reset(s)
        else:
            s.close()
    def told():
        now = server.counts()
        return now["cut"] + now["complete"] == before["cut"] + before["complete"] + 5
    wait_until(told, what="every handler is told once")
    if how == "reset" or b"slow" not in target:
        assert server.counts()["cut"] == before["cut"] + 5


def test_client_leaves_a_handler_that_does_not_listen(server):
    for how in (reset, socket.socket.close):
        for _ in range(10):
            s = server.connect()
            s.sendall(b"GET /deaf?ms=200 HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.01)
            how(s)
    time.sleep(0.5)
    assert server.counts()["complete"] >= 0 and server.process.alive()


def test_a_slow_reader_costs_no_memory_of_ours(server):
    sockets = []
    before = server.process.rss_kib()
    for _ in range(200):
        s = server.connect(rcvbuf=4096)
        s.sendall(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
        sockets.append(s)
    time.sleep(0.5)
    grown = server.process.rss_kib() - before
    for s in sockets:
        s.close()
    assert grown < 200 * 12, f"{grown} KiB for 200 readers"  # sanitizers included; the bench has the true bar


def test_back_pressure_of_a_stream(server):
    before = server.process.rss_kib()
    with server.connect(rcvbuf=65536) as s:
        s.sendall(b"GET /pump?n=64 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.5)
        assert server.process.rss_kib() - before < 16000
        reply = Reply(s)
        assert len(reply.body) == 64 * 1024 * 1024


# ---- Upgrade ----

UPGRADE = b"GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


def test_upgrade(server):
    before = server.counts()
    with server.connect() as s:
        s.sendall(UPGRADE + b"first")
        reply = Reply(s)
        assert reply.status == 101 and reply.headers["connection"] == "Upgrade" and reply.headers["upgrade"] == "echo"
        got = reply.rest
        while len(got) < 5:
            got += s.recv(100)
        assert got == b"first"
        s.sendall(b"x" * 300000)
        got = b""
        while len(got) < 300000:
            got += s.recv(65536)
        s.sendall(b"bye")
        assert read_all(s) == b"good bye"
    wait_until(lambda: server.counts()["upgrade_closed"] == before["upgrade_closed"] + 1, what="closed once")


@pytest.mark.parametrize("how", ["client", "reset", "kill", "idle"])
def test_upgrade_ends(server, how):
    before = server.counts()["upgrade_closed"]
    s = server.connect()
    s.sendall(UPGRADE)
    Reply(s)
    if how == "client":
        s.close()
    elif how == "reset":
        reset(s)
    elif how == "kill":
        s.sendall(b"kill")
        assert s.recv(1) == b""
    else:
        time.sleep(6)  # longer than HTTP's idle time-out
        s.sendall(b"still there")
        assert s.recv(100) == b"still there"
        s.close()
    wait_until(lambda: server.counts()["upgrade_closed"] == before + 1, what="closed once")
    time.sleep(0.1)
    assert server.counts()["upgrade_closed"] == before + 1


# ---- Files ----

@pytest.fixture
def pages(spawn, tmp_path):
    folder = tmp_path / "pages"
    (folder / "sub").mkdir(parents=True)
    (folder / "index.html").write_text("<p>hello</p>")
    (folder / "sub" / "a b.js").write_text("let a = 1")
    (folder / ".hidden").write_text("no")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "in.css").symlink_to(folder / "sub" / "a b.js")
    own = Server(spawn, "--files", folder)
    own.folder = folder
    return own


def fetch(own, path, *fields, method=b"GET"):
    with own.connect() as s:
        s.sendall(method + b" /files/" + path + b" HTTP/1.1\r\nHost: x\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n")
        return Reply(s, head_only=method == b"HEAD")


def test_files(pages):
    reply = fetch(pages, b"")
    assert reply.body == b"<p>hello</p>" and reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    reply = fetch(pages, b"sub/a%20b.js")
    assert reply.body == b"let a = 1" and reply.headers["content-type"].startswith("text/javascript")
    assert fetch(pages, b"in.css").headers["content-type"].startswith("text/css")
    assert fetch(pages, b"index.html", method=b"HEAD").headers["content-length"] == "12"
    for path in (b"nope", b"sub", b"sub/", b".hidden", b"out.txt", b"sub//a", b"index.html/", b"index.html/x", b"a" * 3000):
        assert fetch(pages, path).status == 404, path
    for path in (b"../secret.txt", b"sub/%2e%2e/%2e%2e/secret.txt", b"..%2fsecret.txt"):
        assert fetch(pages, path).status == 400, path


def test_files_are_revalidated(pages):
    reply = fetch(pages, b"index.html")
    etag, modified = reply.headers["etag"].encode(), reply.headers["last-modified"].encode()
    for field in (b"If-None-Match: " + etag, b"If-None-Match: \"x\", W/" + etag, b"If-None-Match: *", b"If-Modified-Since: " + modified):
        reply = fetch(pages, b"index.html", field)
        assert reply.status == 304 and reply.headers["etag"] == etag.decode() and "content-length" not in reply.headers, field
    for field in (b"If-None-Match: \"x\"", b"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", b"If-Modified-Since: nonsense",
                  b"If-None-Match: \"x\"\r\nIf-Modified-Since: " + modified):
        assert fetch(pages, b"index.html", field).status == 200, field
    (pages.folder / "index.html").write_text("<p>changed</p>")
    wait_until(lambda: fetch(pages, b"index.html").body == b"<p>changed</p>", what="the new content")
    assert fetch(pages, b"index.html").headers["etag"].encode() != etag
    (pages.folder / "index.html").unlink()
    wait_until(lambda: fetch(pages, b"index.html").status == 404, what="the file is gone")


def test_the_file_cache_is_bounded(pages):
    for i in range(12):
        (pages.folder / f"{i}.bin").write_bytes(bytes([i]) * 5_000_000)
    for _ in range(2):
        for i in range(12):
            assert fetch(pages, b"%d.bin" % i).body == bytes([i]) * 5_000_000


# ---- The server as a whole ----

def test_too_many_connections(spawn):
    own = Server(spawn, "--max-connections", 3)
    held = [own.connect() for _ in range(3)]
    for s in held:
        s.sendall(GET)
        assert Reply(s).status == 200
    with own.connect() as s:
        s.sendall(GET)
        reply = Reply(s)
        assert reply.status == 503 and json.loads(reply.body)["code"] == "unavailable"
        assert s.recv(1) == b""
    held.pop().close()
    def served():
        with own.connect() as s:
            s.sendall(GET)
            return Reply(s).status == 200
    wait_until(served, what="a place is free again")


def test_orderly_stop(spawn):
    own = Server(spawn, "--drain-ms", 5000)
    idle = own.connect()
    idle.sendall(GET)
    Reply(idle)
    busy = own.connect()
    busy.sendall(b"GET /slow?ms=1000 HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: own.counts()["started"] == 1, what="it is in progress")
    own.process.popen.terminate()
    assert idle.recv(1) == b""  # at once
    assert Reply(busy).body == b"late"  # what was in progress ends
    assert busy.recv(1) == b""
    assert own.process.popen.wait(60) == 0


def test_stop_cuts_what_does_not_end(spawn):
    own = Server(spawn, "--drain-ms", 500)
    streams = [own.connect() for _ in range(4)]
    for s, request in zip(streams, (b"GET /pump?n=100000 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /slow?ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n",
                                    b"GET /deaf?ms=600000 HTTP/1.1\r\nHost: x\r\n\r\n", UPGRADE)):
        s.sendall(request)
    wait_until(lambda: (c := own.counts())["started"] == 3 and c["upgraded"] == 1, what="all are in progress")
    start = time.monotonic()
    own.process.popen.terminate()
    assert own.process.popen.wait(60) == 0
    assert time.monotonic() - start < 30


def test_several_loops_on_one_port(spawn):
    own = Server(spawn, "--loops", 3)
    failures = []

    def client():
        try:
            for _ in range(20):
                with own.connect() as s:
                    s.sendall(GET * 3)
                    stream = Stream(s)
                    for _ in range(3):
                        assert stream.reply().status == 200
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_metrics(server):
    s = server.connect()

    def seen():
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        text = Reply(s).body.decode()
        return (re.search(r'gtv_http_requests_total\{service="test",status="2xx"\} [1-9]', text)
                and re.search(r'gtv_http_requests_total\{service="test",status="4xx"\} [1-9]', text)
                and re.search(r'gtv_http_connections\{service="test"\} [1-9]', text)
                and re.search(r'gtv_http_refused_requests_total\{service="test"\} [1-9]', text)
                and re.search(r'gtv_http_sent_bytes_total\{service="test"\} [1-9]', text))
    wait_until(seen, what="the server's metrics")
    s.close()


def test_random_garbage(server):
    import random
    rng = random.Random(7)
    seeds = list(SMUGGLING.values()) + [GET, UPGRADE]
    for _ in range(300):
        data = bytearray(rng.choice(seeds) + rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(data))
            data[at:at + rng.randint(0, 2)] = bytes(rng.randrange(256) for _ in range(rng.randint(0, 3)))
        with server.connect() as s:
            s.sendall(bytes(data))
            s.shutdown(socket.SHUT_WR)
            read_all(s)
    assert server.process.alive()
