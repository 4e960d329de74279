"""The door alone: a real HAProxy started by deploy/haproxy/door. What stands behind it are doubles that tell what they were asked; the
replicas that are killed under load are real ones of gtv-streaming."""

import http.client
import json
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
import websocket
from playwright.sync_api import sync_playwright

from conftest import ROOT, free_port, wait_until
from test_streaming import Origin, Streaming

DOOR = str(ROOT / "deploy/haproxy/door")
NAMES = ("streaming", "ai", "console", "media", "webrtc", "kong")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Program:
    """A double of a program: answers any request with its own name and what it was asked; /ready as it is told."""

    def __init__(self, name, address="127.0.0.1", port=0):
        self.name, self.ready, self.known, self.location, self.asked = name, 200, None, None, 0
        self.begun, self.go_on = threading.Event(), threading.Event()
        program = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                program.answer(self)

            do_HEAD = do_POST = do_PUT = do_GET

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # the door's looks end in a reset

        self.server = Server((address, port), Handler)
        self.port = self.server.server_address[1]
        self.address = f"{address}:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, h):
        path = h.path.split("?")[0]
        status = self.ready if path == "/ready" else 200
        if path == "/slow":
            self.begun.set()
            self.go_on.wait(60)
        if self.known is not None and path not in self.known:
            status = 404
        if path != "/ready":
            self.asked += 1
        body = json.dumps({"name": self.name, "path": h.path, "method": h.command, "headers": {k.lower(): v for k, v in h.headers.items()}}).encode()
        h.send_response(302 if self.location else status)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(body)))
        if self.location:
            h.send_header("Location", self.location)
        h.end_headers()
        if h.command != "HEAD":
            h.wfile.write(body)

    def stop(self):
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


class Door:
    """The door with a setting of its own; who is not named is away."""

    def __init__(self, spawn, **env):
        self.port, self.tls_port = free_port(), free_port()
        away = f"127.0.0.1:{free_port()}"
        self.process = spawn(DOOR, "run", env={
            "GTV_DOOR_CONFIG": spawn.folder / f"door-{self.port}" / "haproxy.cfg", "GTV_LISTEN": "127.0.0.1", "GTV_PORT": self.port, "GTV_TLS_PORT": self.tls_port, "GTV_STREAMING_ADDRS": away, "GTV_AI_ADDRS": away,
            "GTV_MEDIA_HLS_ADDRS": away, "GTV_CONSOLE_ADDRS": away, "GTV_STATS_LISTEN": "127.0.0.1", **env})

        def opens():
            assert self.process.alive(), self.process.log()
            socket.create_connection(("127.0.0.1", self.port), 60).close()
            return True
        wait_until(opens, 60, what="the door is open")

    def ask(self, path, method="GET", headers=None, source="127.0.0.1", port=None, body=None):
        """(status, headers, JSON) on a connection of its own, from an address of the caller's choice."""
        c = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60, source_address=(source, 0))
        try:
            c.request(method, path, body=body, headers=headers or {})
            answer = c.getresponse()
            text = answer.read()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, answer.headers, json.loads(text) if text and "json" in kind else text.decode()
        finally:
            c.close()

    def seen(self, path, **kwargs):
        """What the program behind was asked."""
        status, _, body = self.ask(path, **kwargs)
        assert status == 200, body
        return body


def house_error(answer, status, code):
    assert answer[0] == status and answer[1]["Content-Type"] == "application/json", answer
    assert answer[2]["code"] == code and answer[2]["detail"] and answer[2]["field"] is None


@pytest.fixture(scope="module")
def programs():
    all_of_them = {name: Program(name) for name in NAMES}
    yield all_of_them
    for program in all_of_them.values():
        program.stop()


def addresses(programs, *names):
    variables = {"streaming": "GTV_STREAMING_ADDRS", "ai": "GTV_AI_ADDRS", "console": "GTV_CONSOLE_ADDRS", "media": "GTV_MEDIA_HLS_ADDRS",
                 "webrtc": "GTV_WEBRTC_ADDRS", "kong": "GTV_KONG_ADDRS"}
    return {variables[name]: programs[name].address for name in names}


@pytest.fixture(scope="module")
def door(spawn_module, programs):
    return Door(spawn_module, **addresses(programs, "streaming", "ai", "console", "media", "webrtc"), GTV_DOOR_LOG="true",
                GTV_DOOR_TRUSTED="127.0.0.7", GTV_DOOR_METRICS=f"127.0.0.1:{free_port()}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A folder with pairs of certificates and keys: a and b."""
    folder = tmp_path_factory.mktemp("tls")
    for name in "ab":
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / f"{name}.key",
                        "-out", folder / f"{name}.crt", "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
    (folder / "whole.pem").write_text((folder / "a.crt").read_text() + (folder / "a.key").read_text())
    return folder


@pytest.mark.parametrize("path, name, behind", [
    ("/streaming/stats", "streaming", "/stats"), ("/streaming/hls/cam_1/index.m3u8?session=1", "streaming", "/hls/cam_1/index.m3u8?session=1"),
    ("/streaming/events/cam_1", "streaming", "/events/cam_1"), ("/streaming/ws/dashboard", "streaming", "/ws/dashboard"),
    ("/ws/events/cam_1", "streaming", "/ws/events/cam_1"), ("/ws/dashboard", "streaming", "/ws/dashboard"), ("/events/cam_1", "streaming", "/events/cam_1"),
    ("/ai/detect", "ai", "/detect"), ("/hls/cam_1/seg0.ts?x=%2F", "media", "/cam_1/seg0.ts?x=%2F"), ("/webrtc/cam_1/whep", "webrtc", "/cam_1/whep"),
    ("/api/cameras/?page=2", "console", "/api/cameras/?page=2"), ("/admin/", "console", "/admin/"), ("/", "console", "/"), ("/js/app.js", "console", "/js/app.js"),
    ("/streamingx", "console", "/streamingx"), ("/api", "console", "/api"), ("/a/%70i/", "console", "/a/%70i/")])
def test_every_route(door, path, name, behind):
    seen = door.seen(path)
    assert (seen["name"], seen["path"]) == (name, behind)


def test_what_people_type(door):
    for path in ("/streaming", "/ai", "/hls", "/webrtc"):
        status, headers, _ = door.ask(path)
        assert status == 307 and headers["Location"] == path + "/"


def test_redirects_stay_under_their_prefix(door, programs):
    for name, prefix in (("media", "/hls"), ("webrtc", "/webrtc")):
        for location in ("/cam_1/index.m3u8?cookieCheck=1", "http://mediamtx:8888/cam_1/index.m3u8?cookieCheck=1"):
            programs[name].location = location
            assert door.ask(f"{prefix}/cam_1/index.m3u8")[1]["Location"] == f"{prefix}/cam_1/index.m3u8?cookieCheck=1"
        programs[name].location = None


LIES = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil", "X-Forwarded-Prefix": "/x", "Forwarded": "for=198.51.100.7",
        "X-Real-IP": "198.51.100.7", "X-Original-URL": "/admin", "X-Rewrite-URL": "/admin", "Proxy": "http://evil", "X-Request-ID": "a b\"c", "traceparent": TRACE}


def test_what_a_client_says_of_itself(door):
    headers = door.seen("/ai/x", headers=LIES, source="127.0.0.9")["headers"]
    assert headers["x-forwarded-for"] == "127.0.0.9" and headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == f"127.0.0.1:{door.port}" == headers["host"]
    assert not {"forwarded", "x-real-ip", "x-original-url", "x-rewrite-url", "proxy", "x-forwarded-prefix"} & set(headers)
    assert re.fullmatch(r"[0-9a-f-]{36}", headers["x-request-id"]) and headers["traceparent"] == TRACE
    kept = door.seen("/streaming/x", headers={"X-Request-ID": "abc-123"})["headers"]
    assert kept["x-request-id"] == "abc-123"
    # A proxy that the door was told to trust says who is behind it: of several, the last, which it added itself.
    behind = door.seen("/api/x", headers={"X-Forwarded-For": "198.51.100.7, 203.0.113.5", "X-Forwarded-Proto": "https"}, source="127.0.0.7")["headers"]
    assert behind["x-forwarded-for"] == "203.0.113.5" and behind["x-forwarded-proto"] == "https"
    line = wait_until(lambda: re.search(r"^ts=\S+ .*request_id=abc-123 .*$", door.process.log(), re.M), what="a line of the request").group(0)
    assert 'method=GET path="/streaming/x" status=200' in line
    assert f"trace={TRACE.split('-')[1]}" in door.process.log()


def test_headers_for_browsers(door):
    _, headers, _ = door.ask("/")
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "SAMEORIGIN" and headers["Referrer-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in headers
    assert "X-Frame-Options" not in door.ask("/webrtc/cam_1/")[1]  # others' pages show it


def test_refusals_in_the_houses_shape(spawn, door, programs):
    house_error(door.ask("/%61pi/cameras/"), 400, "bad_request")
    house_error(door.ask("/ai/detect", "POST", {"Content-Length": "999999999999"}), 413, "too_large")
    alone = Door(spawn, **addresses(programs, "kong", "console"))
    for path in ("/streaming/stats", "/ws/dashboard", "/events/x", "/ai/health", "/hls/cam_1/index.m3u8", "/webrtc/cam_1/whep"):
        house_error(alone.ask(path), 503, "unavailable")
    # An external Kong takes the console's place for the API, and the page stays.
    assert alone.seen("/api/cameras/")["name"] == alone.seen("/admin/x")["name"] == "kong" and alone.seen("/")["name"] == "console"


def test_limits(spawn, programs):
    door = Door(spawn, **addresses(programs, "streaming", "console"), GTV_RATE_API=3, GTV_RATE_STREAMING=4, GTV_CONNECTIONS_PER_ADDRESS=3)
    assert [door.ask("/api/cameras/")[0] for _ in range(5)] == [200] * 3 + [429] * 2
    refused = door.ask("/admin/")
    house_error(refused, 429, "too_many_requests")
    assert int(refused[1]["Retry-After"]) == 60
    assert [door.ask("/streaming/stats")[0] for _ in range(6)] == [200] * 4 + [429] * 2
    # None on video, events, pictures and the page; and each address has its own.
    for path in ("/streaming/hls/cam_1/s.ts", "/streaming/events/x", "/ws/dashboard", "/api/crops/a/b.jpg", "/js/app.js"):
        assert [door.ask(path)[0] for _ in range(6)] == [200] * 6, path
    assert door.ask("/api/cameras/", source="127.0.0.9")[0] == door.ask("/streaming/stats", source="127.0.0.9")[0] == 200
    held = []

    def refused():
        try:
            held.append(socket.create_connection(("127.0.0.1", door.port), 60, ("127.0.0.8", 0)))
            held[-1].settimeout(0.2)
            return held[-1].recv(1) == b""
        except TimeoutError:
            return False  # it has a place
        except ConnectionError:
            return True
    wait_until(refused, what="no further connection")
    assert door.ask("/")[0] == 200
    for s in held:
        s.close()
    wait_until(lambda: door.ask("/", source="127.0.0.8")[0] == 200, what="their places are free again")


def test_statistics_behind_a_password(spawn, door, programs, tmp_path):
    port = free_port()
    (tmp_path / "password").write_text('s3nh# "$HOME" x\n')
    Door(spawn, **addresses(programs, "console"), GTV_STATS_PORT=port, GTV_STATS_PASSWORD_FILE=tmp_path / "password", GTV_STATS_USER="operador")
    url = f"http://127.0.0.1:{port}"
    assert requests.get(url, timeout=60).status_code == requests.get(url, auth=("operador", "x"), timeout=60).status_code == 401
    assert requests.get(url + "/metrics", timeout=60).json()["code"] == "unauthorized"
    user = ("operador", 's3nh# "$HOME" x')
    assert "streaming_video" in requests.get(url, auth=user, timeout=60).text
    assert "haproxy_server_status" in requests.get(url + "/metrics", auth=user, timeout=60).text
    # Without a password there is no page, and /metrics only where it was asked for.
    own = re.search(rb"GTV_DOOR_METRICS=([^\0]+)", open(f"/proc/{door.process.pid}/environ", "rb").read()).group(1).decode()
    assert "haproxy_frontend_http_requests_total" in requests.get(f"http://{own}/metrics", timeout=60).text
    assert requests.get(f"http://{own}/", timeout=60).status_code == 404


# ---- TLS ----

def curl(*args):
    return subprocess.run(["curl", "-sk", "--max-time", "60", *map(str, args)], capture_output=True, text=True).stdout


def test_tls(spawn, programs, certificate):
    inside = free_port()
    door = Door(spawn, **addresses(programs, "streaming", "console"), GTV_TLS_CERT=certificate / "whole.pem", GTV_HSTS=3600, GTV_DOOR_INSIDE=f"127.0.0.1:{inside}")
    url = f"https://127.0.0.1:{door.tls_port}"
    status, headers, _ = door.ask("/hls/x?a=b", headers={"Host": "cam.example:80"})
    assert status == 308 and headers["Location"] == f"https://cam.example:{door.tls_port}/hls/x?a=b"
    assert door.seen("/", port=inside)["headers"]["x-forwarded-proto"] == "http"
    seen = curl("--http2", "-D", "-", url + "/")
    head, _, body = seen.replace("\r", "").partition("\n\n")
    assert head.startswith("HTTP/2 200") and "strict-transport-security: max-age=3600" in head
    assert json.loads(body)["headers"]["x-forwarded-proto"] == "https"
    assert json.loads(curl("--http1.1", url + "/streaming/x"))["name"] == "streaming"
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", door.tls_port), 60) as plain, context.wrap_socket(plain) as s:
        assert s.version() == "TLSv1.3"
    with pytest.warns(DeprecationWarning):  # that nobody should speak them any more is what is tried here
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", door.tls_port), 30) as plain, pytest.raises(OSError):
        context.wrap_socket(plain)


def checked(**env):
    away = "127.0.0.1:9"
    base = {"GTV_STREAMING_ADDRS": away, "GTV_AI_ADDRS": away, "GTV_MEDIA_HLS_ADDRS": away, "GTV_CONSOLE_ADDRS": away, "PATH": "/usr/bin:/bin"}
    done = subprocess.run([DOOR, "check"], env={**base, **{k: str(v) for k, v in env.items()}}, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.stdout == "" and done.stderr.count("\n") == (done.returncode != 0), done.stderr
    return done.returncode, done.stderr


def test_certificates_that_cannot_be(certificate, tmp_path):
    a, a_key, b_key = ((certificate / name).read_text() for name in ("a.crt", "a.key", "b.key"))
    locked = subprocess.run(["openssl", "pkey", "-in", certificate / "a.key", "-aes128", "-passout", "pass:x"], capture_output=True, text=True, check=True).stdout
    for text, why in ((a + b_key, "does not belong to the key"), (a, "no private key"), ("hello", "no certificate"), ("", "no certificate"),
                      (a + locked, "locked with a password")):
        (tmp_path / "cert.pem").write_text(text)
        status, said = checked(GTV_TLS_CERT=tmp_path / "cert.pem")
        assert status == 2 and "GTV_TLS_CERT" in said and why in said, said
    for certificate_name, key_name in (("fullchain.pem", "privkey.pem"), ("tls.crt", "tls.key")):
        folder = tmp_path / key_name
        folder.mkdir()
        assert "neither" in checked(GTV_TLS_CERT=folder)[1]
        (folder / certificate_name).write_text(a)
        (folder / key_name).write_text(b_key)
        assert "does not belong" in checked(GTV_TLS_CERT=folder)[1]
        (folder / key_name).write_text(a_key)
        assert checked(GTV_TLS_CERT=folder) == (0, "")
    assert "there is no file" in checked(GTV_TLS_CERT="/nowhere.pem")[1]


def test_options_that_cannot_be(spawn, programs):
    for name, value in (("GTV_LISTEN", "here"), ("GTV_PORT", "0"), ("GTV_PORT", "x"), ("GTV_RATE_API", "-1"), ("GTV_MAXCONN", "0"), ("GTV_DOOR_LOG", "yes"),
                        ("GTV_AI_ADDRS", "ai"), ("GTV_AI_ADDRS", "ai:1 check\nserver x:1"), ("GTV_STREAMING_ADDRS", "a:1,,b:2"), ("GTV_KONG_ADDRS", "k:1*99"),
                        ("GTV_DOOR_TRUSTED", "everybody"), ("GTV_DOOR_METRICS", "8405"), ("GTV_STATS_PASSWORD_FILE", "/nowhere")):
        status, said = checked(**{name: value})
        assert status == 2 and name in said, (name, value, said)
    assert "GTV_CONSOLE_ADDRS is missing" in checked(GTV_CONSOLE_ADDRS="")[1]
    taken = programs["console"].port
    second = spawn(DOOR, "run", env={"GTV_DOOR_CONFIG": spawn.folder / "second" / "haproxy.cfg", "GTV_LISTEN": "127.0.0.1", "GTV_PORT": taken, **addresses(programs, "streaming", "ai", "media", "console")})
    assert second.popen.wait(60) == 1 and second.log() == f"gtv: port {taken} of 127.0.0.1 is taken by another program\n"


# ---- replicas ----

def test_replicas_share_streams_and_leave_when_they_say_so(spawn):
    two = [Program("a"), Program("b")]
    door = Door(spawn, GTV_STREAMING_ADDRS=f"{two[0].address},{two[1].address}", GTV_AI_ADDRS=two[0].address)

    def homes():
        return [{door.seen(f"/streaming/hls/cam_{n}/{file}")["name"] for file in ("index.m3u8", "seg1.ts", "seg2.ts")} for n in range(20)]

    def settled():
        names = homes()
        return names if all(len(n) == 1 for n in names) and set.union(*names) == {"a", "b"} else None
    first = wait_until(settled, 60, what="each stream has one home, and both are one")
    two[0].ready = 503
    got = []
    under_way = threading.Thread(target=lambda: got.append(door.seen("/ai/slow")))
    under_way.start()
    assert two[0].begun.wait(60)
    wait_until(lambda: set.union(*homes()) == {"b"}, 60, what="the one that drains is asked no more")
    wait_until(lambda: {door.seen("/streaming/stats")["name"] for _ in range(6)} == {"b"}, 60, what="nor for anything else")
    two[0].go_on.set()
    under_way.join(60)
    assert got[0]["name"] == "a"  # what it had begun it ended
    # When none is ready, whoever is alive answers for itself.
    two[1].ready = 503
    wait_until(lambda: "a" in {door.seen("/streaming/stats")["name"] for _ in range(6)}, 60, what="both are asked again")
    two[0].ready = two[1].ready = 200
    wait_until(lambda: homes() == first, 60, what="each stream is at home again")
    for program in two:
        program.stop()


def test_media_nodes_that_do_not_have_the_stream(spawn):
    two = [Program("a"), Program("b")]
    two[0].known, two[1].known = {"/cam_1/index.m3u8"}, {"/cam_2/index.m3u8"}
    door = Door(spawn, GTV_MEDIA_HLS_ADDRS=f"{two[0].address},{two[1].address}")
    for _ in range(4):
        assert door.seen("/hls/cam_1/index.m3u8")["name"] == "a" and door.seen("/hls/cam_2/index.m3u8")["name"] == "b"
    assert door.ask("/hls/cam_3/index.m3u8")[0] == 404
    for program in two:
        program.stop()


class Names:
    """A name server that knows one name, and as many addresses of it as it is told."""

    def __init__(self):
        self.addresses, self.s = ["127.0.0.21"], socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.s.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, peer = self.s.recvfrom(4096)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            kind = struct.unpack(">H", query[end - 4:end - 2])[0]
            found = list(self.addresses) if kind == 1 else []
            head = query[:2] + struct.pack(">HHHHH", 0x8580, 1, len(found), 0, 0)
            answers = b"".join(struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(a) for a in found)
            self.s.sendto(head + query[12:end] + answers, peer)


def test_replicas_by_name(spawn):
    names, port = Names(), free_port()
    replicas = {a: Program(a, a, port) for a in ("127.0.0.21", "127.0.0.22")}
    door = Door(spawn, GTV_STREAMING_ADDRS=f"streaming.test:{port}*4", GTV_AI_ADDRS=f"streaming.test:{port}", GTV_DOOR_DNS=names.address, GTV_RATE_STREAMING=0)

    def asked():
        return {door.seen("/streaming/stats")["name"] for _ in range(8)}
    wait_until(lambda: asked() == {"127.0.0.21"}, 60, what="the name's one replica answers")
    names.addresses.append("127.0.0.22")
    wait_until(lambda: asked() == set(replicas), 60, what="a second replica of the name")
    names.addresses.remove("127.0.0.21")
    wait_until(lambda: asked() == {"127.0.0.22"}, 60, what="the first replica is gone")
    wait_until(lambda: door.seen("/ai/x")["name"] == "127.0.0.22", 60, what="a single name that moved")
    names.s.close()
    for program in replicas.values():
        program.stop()


class Viewers(threading.Thread):
    """A viewer that reloads a stream's playlist and fetches a segment, and keeps when each request began and ended and what it got."""

    def __init__(self, door, stream):
        super().__init__(daemon=True)
        self.door, self.stream, self.done, self.results = door, stream, threading.Event(), []

    def get(self, session, path):
        began = time.monotonic()
        try:
            answer = session.get(f"http://127.0.0.1:{self.door.port}/streaming/hls/{self.stream}/{path}", timeout=60)
            status, text = answer.status_code, answer.text if path.endswith("m3u8") else ""
        except requests.RequestException as error:
            status, text = repr(error), ""
        self.results.append((began, time.monotonic(), status))
        return text

    def run(self):
        with requests.Session() as session:
            while not self.done.is_set():
                lines = [line for line in self.get(session, "index.m3u8").splitlines() if line and not line.startswith("#")]
                if lines:
                    self.get(session, lines[-1])


@pytest.fixture(scope="module")
def replicas(spawn_module, redis_module):
    """Two of gtv-streaming."""
    origin = Origin()
    yield [Streaming(spawn_module, origin.url, origin.url, redis_module.url()) for _ in range(2)]
    origin.stop()


IN_A_BROWSER = """async () => {
  const first = (target, event) => new Promise((ok, no) => { target[event] = ok; target.onerror = no; setTimeout(no, 60000, event); });
  const events = new EventSource("/events/cam_1");
  const answers = [first(new WebSocket(`wss://${location.host}/ws/dashboard`), "onmessage"), first(events, "onopen")];
  const [message] = await Promise.all(answers);
  events.close();
  return [performance.getEntriesByType("navigation")[0].nextHopProtocol, JSON.parse(message.data).type];
}"""


def test_a_browser_over_http_2(spawn, replicas, certificate):
    """Its WebSockets and events come as streams of one HTTP/2 connection (RFC 8441), and reach a program that speaks HTTP/1.1."""
    door = Door(spawn, GTV_STREAMING_ADDRS=f"127.0.0.1:{replicas[1].port}", GTV_TLS_CERT=certificate / "whole.pem")
    url = f"https://127.0.0.1:{door.tls_port}/streaming/health"
    wait_until(lambda: json.loads(curl(url))["status"] == "ok", 60, what="streaming is there")
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        tab = chromium.new_context(ignore_https_errors=True).new_page()
        tab.set_default_timeout(60000)
        tab.goto(url)
        assert tab.evaluate(IN_A_BROWSER) == ["h2", "dashboard"]
        chromium.close()


def test_a_replica_killed_under_load(spawn, replicas):
    door = Door(spawn, GTV_STREAMING_ADDRS=",".join(f"127.0.0.1:{r.port}" for r in replicas))
    wait_until(lambda: door.ask("/streaming/health")[0] == 200, 60, what="streaming is there")
    viewers = [Viewers(door, f"cam_{n}") for n in range(8)]
    for viewer in viewers:
        viewer.start()
    wait_until(lambda: all(len(v.results) >= 10 for v in viewers), 60, what="all watch")
    ws = websocket.create_connection(f"ws://127.0.0.1:{door.port}/ws/dashboard", timeout=60)
    assert json.loads(ws.recv())["type"] == "dashboard"
    served = [re.search(r"^gtv_http_requests_total\{.*2xx.*\} (\d+)", r.get("/metrics").text, re.M) for r in replicas]
    assert all(served), "both serve"
    killed = time.monotonic()
    replicas[0].process.popen.kill()
    replicas[0].process.popen.wait(60)
    marks = [len(v.results) for v in viewers]
    wait_until(lambda: all(len(v.results) >= mark + 20 for v, mark in zip(viewers, marks)), 120, what="all go on watching")
    for viewer in viewers:
        viewer.done.set()
    for viewer in viewers:
        viewer.join(60)
    ws.close()
    failed = [r for v in viewers for r in v.results if r[2] != 200]
    assert all(began <= killed <= ended for began, ended, _ in failed), failed
    again = websocket.create_connection(f"ws://127.0.0.1:{door.port}/ws/dashboard", timeout=60)
    assert json.loads(again.recv())["type"] == "dashboard"
    again.close()
