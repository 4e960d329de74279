"""A program's end and its exchange for a new one: nothing that was begun is cut, and whoever watches loses nothing.

The end is tried with gtv-streaming and the double of a media node; the exchange with the whole system as `./gtv run` starts it (its ai is a program that only
sleeps), through the real HAProxy.
"""

import http.client
import json
import os
import re
import signal
import socket
import struct
import threading
import time

import pytest
import redis
import requests

from conftest import BUILD, ROOT, binary, free_port, wait_until
from test_streaming import SEGMENT, Origin, Streaming
from test_streaming_events import CLOSE, PING, PONG, TEXT, Raw, add, frame


# ---- The end ----

@pytest.fixture
def origin():
    double = Origin()
    yield double
    double.stop()


@pytest.fixture
def no_redis():
    return f"redis://127.0.0.1:{free_port()}/2"


def ask(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer, answer.read()


def test_what_was_begun_ends_whole(spawn, origin, no_redis):
    origin.mode = "slow"
    service = Streaming(spawn, origin.url, origin.url, no_redis, GTV_GRACE_SECONDS=5)
    ws, whole = Raw(service.port, "/ws/events/*"), {}
    events = requests.get(service.url + "/events/*", stream=True, timeout=60)
    kept = [http.client.HTTPConnection("127.0.0.1", service.port, timeout=60) for _ in range(2)]
    for connection in kept:
        assert ask(connection, "/health")[0].status == 200

    def download():
        answer = requests.get(service.url + "/hls/cam_1/abc_main_seg1.ts", timeout=60)
        whole["status"], whole["bytes"], whole["connection"] = answer.status_code, answer.content, answer.headers.get("Connection")
    thread = threading.Thread(target=download)
    thread.start()
    wait_until(lambda: origin.count(".ts"), what="the download is under way")
    service.process.popen.send_signal(signal.SIGTERM)

    # Who spreads requests learns it at once, on a connection that is kept alive and on a new one.
    answer, _ = wait_until(lambda: (lambda pair: pair if pair[0].status == 503 else None)(ask(kept[0], "/ready")), 60, 0, "/ready says no")
    assert answer.getheader("Connection") == "close"
    refused = service.get("/ready")
    assert refused.status_code == 503 and refused.json()["code"] == "unavailable"
    late = service.get("/health")
    assert late.status_code == 200 and late.headers["Connection"] == "close"
    assert ask(kept[1], "/health")[0].getheader("Connection") == "close"
    assert Raw(service.port, "/ws/events/*").status == 503, "who was sent away comes back to another one"

    seen = []
    while (got := ws.next())[0] is not None:
        seen.append(got)
    assert [p[:2] for o, p in seen if o == CLOSE] == [struct.pack(">H", 1001)]
    assert b"".join(events.iter_content(None)) is not None  # the stream has an end: a cut one would raise
    thread.join(60)
    assert (whole["status"], whole["bytes"]) == (200, SEGMENT)
    assert service.process.popen.wait(60) == 0


def test_a_taken_port_is_still_one_sentence(spawn, origin, no_redis):
    service = Streaming(spawn, origin.url, origin.url, no_redis)
    second = spawn("gtv-streaming", env={"STREAMING_PORT": service.port, "MEDIAMTX_API_URL": origin.url, "REDIS_URL": no_redis})
    assert second.popen.wait(60) == 1
    assert "is in use" in second.log()


# ---- The exchange ----

class House:
    def __init__(self, spawner, folder, street):
        self.data, bin_folder = folder / "var", folder / "bin"
        self.data.mkdir()
        bin_folder.mkdir()
        (self.data / "street").symlink_to(street)
        for name in ("gtv-media", "gtv-streaming", "gtv-console"):
            (bin_folder / name).symlink_to(binary(name))
        (bin_folder / "gtv-ai").write_text("#!/bin/sh\nexec sleep 3600\n")
        (bin_folder / "gtv-ai").chmod(0o755)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = spawner("gtv-supervisor", env={"GTV_ROOT": ROOT, "GTV_BIN": bin_folder, "GTV_DATA": self.data, "GTV_PORT": self.url.rsplit(":", 1)[1],
                                                      "STREAMING_WORKERS": "2"})
        wait_until(lambda: requests.get(self.url + "/streaming/hls/cam_1/index.m3u8", timeout=60).status_code == 200, 90, what="the camera is watched")
        log = (self.data / "log/streaming.log").read_text()
        self.direct = f"http://127.0.0.1:{re.search(r'msg=listening .*?port=([0-9]+)', log.replace(chr(34), '')).group(1)}"
        assert "handed_over=4" in log, "its sockets are the supervisor's"
        self.redis = redis.Redis(unix_socket_path=str(self.data / "run/redis.sock"), db=2, decode_responses=True)

    def order(self, line):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(120)
            here = os.open(self.data / "run", os.O_RDONLY)
            s.connect(f"/proc/self/fd/{here}/control.sock")
            os.close(here)
            s.sendall(line.encode() + b"\n")
            return s.makefile().read()


@pytest.fixture(scope="module")
def house(spawn_module, tmp_path_factory, street):
    return House(spawn_module, tmp_path_factory.mktemp("house"), street)


class Watcher(threading.Thread):
    """Asks again and again, on a connection that it keeps as long as it may; every answer but 200 and every broken one is a failure."""

    def __init__(self, base, *paths):
        super().__init__(daemon=True)
        self.base, self.paths, self.ended, self.answers, self.failures = base, paths, threading.Event(), 0, []
        self.session = requests.Session()
        self.start()

    def get(self, path):
        try:
            answer = self.session.get(self.base + path, timeout=60)
            self.answers += 1
            if answer.status_code == 200:
                return answer.text if path.split("?")[0].endswith(".m3u8") else answer.content
            self.failures.append((path, answer.status_code, answer.text[:200]))
        except requests.RequestException as error:
            self.failures.append((path, repr(error)))
        return ""

    def round(self):
        for path in self.paths:
            self.get(path)

    def run(self):
        while not self.ended.is_set():
            self.round()
            time.sleep(0.05)

    def stop(self):
        self.ended.set()
        self.join(90)
        assert self.answers and not self.failures, (self.answers, self.failures[:5])


class Viewer(Watcher):
    """A player: one playback session, its playlist, and the latest segment each time."""

    FOLDER = "/hls/cam_1/"

    def round(self):
        if not self.paths:
            self.paths = [self.FOLDER + line for line in self.get(self.FOLDER + "index.m3u8").splitlines() if line and not line.startswith("#")][:1]
            return
        segments = [line for line in self.get(self.paths[0]).splitlines() if line and not line.startswith("#")]
        if segments:
            self.get(self.FOLDER + segments[-1])


class Listener(threading.Thread):
    """A client of live events that comes back with `since`, as the page does."""

    def __init__(self, port, path):
        super().__init__(daemon=True)
        self.port, self.path, self.numbers, self.ends, self.last, self.ended = port, path, [], [], None, threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            try:
                ws = Raw(self.port, self.path + (f"&since={self.last}" if self.last else ""))
                ws.s.settimeout(1)
                self.listen(ws)
            except (OSError, EOFError):
                time.sleep(0.05)

    def listen(self, ws):
        while not self.ended.is_set():
            try:
                opcode, payload = ws.next()
            except TimeoutError:
                continue
            if opcode == TEXT:
                message = json.loads(payload)
                if message["type"] == "detection":
                    self.numbers.append(message["data"]["n"])
                    self.last = message["id"]
            elif opcode == PING:
                ws.send(frame(PONG, payload))
            elif opcode == CLOSE:
                self.ends.append(struct.unpack(">H", payload[:2])[0])
            elif opcode is None:
                return


def test_a_restart_that_nobody_notices(house):
    watchers = [Viewer(house.url + "/streaming"), Viewer(house.direct), Watcher(house.url + "/streaming", "/health"), Watcher(house.direct, "/health", "/cameras")]
    port = int(house.url.rsplit(":", 1)[1])
    listener = Listener(port, "/streaming/ws/events/exchange?types=detection")
    sent, stop = [], threading.Event()
    wait_until(lambda: add(house.redis, "exchange", -1) and listener.numbers, 60, 0.2, "live events arrive")

    def tell():
        while not stop.is_set():
            add(house.redis, "exchange", len(sent))
            sent.append(len(sent))
            time.sleep(0.02)
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    wait_until(lambda: len(listener.numbers) > 10, what="events flow")
    for _ in range(2):
        before = [w.answers for w in watchers]
        # The one that made way ends within 10 s; until then another exchange is refused.
        answer = wait_until(lambda: (lambda said: said if "already" not in said else None)(house.order("restart streaming")), 60, 0.5, "an exchange")
        assert answer == "ok: streaming: the new one was ready before the old one was stopped\n"
        wait_until(lambda: all(w.answers > n + 3 for w, n in zip(watchers, before)), 60, what="all go on watching")
    stop.set()
    teller.join(60)
    wait_until(lambda: len(set(listener.numbers) - {-1}) == len(sent), 60, what="every event has arrived")
    listener.ended.set()
    for watcher in watchers:
        watcher.stop()
    numbers = [n for n in listener.numbers if n >= 0]
    assert numbers == sent, "each once, and in order"
    assert listener.ends and set(listener.ends) == {1001}


@pytest.mark.parametrize("name,path", [("console", "/api/health"), ("media", None)])
def test_the_others_keep_their_sockets(house, name, path):
    """Only one of each may run: who asks meanwhile waits in the socket, and is answered by the new one."""
    watcher = Watcher(house.url, path) if path else None
    answer = house.order(f"restart {name}")
    assert answer == f"ok: {name}: its sockets stayed open meanwhile\n"
    if watcher:
        n = watcher.answers
        wait_until(lambda: watcher.answers > n, 60, what="answers go on")
        watcher.stop()


@pytest.mark.parametrize("line,answer", [("restart nobody", 'error: nothing here is called "nobody"\n'), ("stop streaming", "error: the only order is: restart NAME\n"),
                                         ("restart redis", "error: redis is not restarted alone\n")], ids=range(3))
def test_orders_that_are_none(house, line, answer):
    assert house.order(line) == answer
