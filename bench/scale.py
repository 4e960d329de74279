"""The whole house twice: two streaming, two ai, two media nodes and one Redis behind the real door, watched by viewers, and one of each killed."""

import base64
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from contextlib import ExitStack, contextmanager

import websocket

from common import ROOT, Row, call, cpu_seconds, free_port, program, redis, rss_kib, wait_for
from media import cameras

CAMERAS = 100  # on demand: pulled while somebody watches
WATCHED_BY_AI = 12
STREAMS, VIEWERS_EACH, SOCKETS = 20, 2, 20  # what the viewers look at
SETTLE = 20  # seconds of watching before each kill
PATIENCE = 60  # seconds for whatever comes back


def until(check, seconds, what):
    """Seconds until check() answers something true."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if check():
                return time.monotonic() - began
        except (OSError, KeyError, ValueError, TypeError, http.client.HTTPException):
            pass
        time.sleep(0.1)
    sys.exit(f"bench: {what}: not within {seconds} s")


def get(url):
    status, body = call("GET", url)
    if status != 200:
        raise ValueError(f"{url}: {status}")
    return body


class Replica:
    """A program that can be killed and started again with the same ports."""

    def __init__(self, name, args, environment, folder, port):
        self.args, self.environment, self.log, self.port, self.url = args, environment, folder / f"{name}.log", port, f"http://127.0.0.1:{port}"
        self.name = name
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(a) for a in self.args], env={**os.environ, **{k: str(v) for k, v in self.environment.items()}},
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()
        return time.monotonic()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()


class House:
    def __init__(self, folder, redis_port):
        self.folder, self.redis_port, self.all = folder, redis_port, []
        self.door_port = free_port()
        self.door_url = f"http://127.0.0.1:{self.door_port}"
        self.media = [self.add(f"media{i}", "gtv-media", self.media_environment(i)) for i in (1, 2)]
        for node in self.media:
            wait_for(f"{node.url}/v3/paths/list")
        self.streaming = [self.add(f"streaming{i}", "gtv-streaming", self.streaming_environment()) for i in (1, 2)]
        self.ai = [self.add(f"ai{i}", "gtv-ai", self.ai_environment(i)) for i in (1, 2)]
        for replica in self.streaming + self.ai:
            wait_for(f"{replica.url}/health", 60)
        self.add("door", None, {
            "GTV_DOOR_CONFIG": folder / "door" / "haproxy.cfg", "GTV_LISTEN": "127.0.0.1", "GTV_PORT": self.door_port, "GTV_RATE_API": 0, "GTV_RATE_STREAMING": 0, "GTV_CONNECTIONS_PER_ADDRESS": 0,
            "GTV_STREAMING_ADDRS": self.addresses(self.streaming), "GTV_AI_ADDRS": self.addresses(self.ai), "GTV_CONSOLE_ADDRS": f"127.0.0.1:{free_port()}",
            "GTV_MEDIA_HLS_ADDRS": ",".join(f"127.0.0.1:{n.environment['MEDIA_HLS_PORT']}" for n in self.media)})
        wait_for(f"{self.door_url}/streaming/health")

    @staticmethod
    def addresses(replicas):
        return ",".join(f"127.0.0.1:{r.port}" for r in replicas)

    def add(self, name, binary, environment):
        port = next((int(v) for k, v in environment.items() if k in ("MEDIA_API_PORT", "STREAMING_PORT", "AI_PORT", "GTV_PORT")))
        args = [program(binary)] if binary else [ROOT / "deploy/haproxy/door", "run"]
        self.all.append(Replica(name, args, {"LOG_LEVEL": "WARNING", **environment}, self.folder, port))
        return self.all[-1]

    def media_environment(self, i):
        return {"MEDIA_API_PORT": free_port(), "MEDIA_HLS_PORT": free_port(), "MEDIA_PLAYBACK_PORT": 0, "MEDIA_RTMP_PORT": 0, "MEDIA_RTSP_PORT": 0,
                "MEDIA_RTP_PORT": 0, "MEDIA_DATA": self.folder / f"media{i}", "GTV_CAMERA_ALLOW": "127.0.0.0/8"}

    def streaming_environment(self):
        return {"GTV_GRACE_SECONDS": 2, "STREAMING_HOST": "127.0.0.1", "STREAMING_PORT": free_port(), "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/2",
                "MEDIAMTX_API_URL": ",".join(n.url for n in self.media), "GTV_CAMERA_ALLOW": "127.0.0.0/8",
                "MEDIAMTX_HLS_URL": ",".join(f"http://127.0.0.1:{n.environment['MEDIA_HLS_PORT']}" for n in self.media)}

    def ai_environment(self, i):
        # The door's bypass knows which node has a camera.
        return {"AI_HOST": "127.0.0.1", "AI_PORT": free_port(), "METRICS_PORT": 0, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": self.redis_port,
                "GTV_EVENTS_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/2", "MODELS_DIR": ROOT / "var/models", "AI_MAX_FPS": "0.5", "AI_DECODE": "keys",
                "MEDIAMTX_HLS_URL": f"{self.door_url}/hls", "AI_CROPS_DIR": self.folder / "crops", "AI_SPOOL_DIR": self.folder / f"spool{i}", "LPR_ENABLED": "false"}

    def stop(self):
        for replica in reversed(self.all):
            replica.stop()

    def provision(self, address):
        body = [{"camera_id": n, "rtsp_url": address + (str(n) if n > 1 else ""), "name": f"Camera {n}", "on_demand": True, "ai_enabled": n <= WATCHED_BY_AI}
                for n in range(1, CAMERAS + 1)]
        began = time.monotonic()
        status, answer = call("POST", f"{self.door_url}/streaming/cameras/provision/bulk", body)
        if status >= 300:
            sys.exit(f"bench: the cameras were refused: {status} {answer}")
        return time.monotonic() - began

    def on_nodes(self):
        """The cameras of each media node, by name of their paths."""
        return [{item["name"] for item in get(f"{n.url}/v3/paths/list?itemsPerPage=1000")["items"]} for n in self.media if n.process.poll() is None]

    def watched(self):
        return [get(f"{a.url}/stats/streams")["watching"] for a in self.ai if a.process.poll() is None]

    def told(self):
        """What each replica of streaming says of all viewers."""
        return [get(f"{s.url}/stats")["total_viewers"] for s in self.streaming if s.process.poll() is None]

    def sockets(self):
        """How many clients of live events each replica of streaming has."""
        return [int(re.search(r"^gtv_streaming_ws_clients\S* (\d+)", wait_for(f"{s.url}/metrics").decode(), re.M).group(1)) for s in self.streaming]

    def cpu(self):
        return {r.name: cpu_seconds(r.process.pid) for r in self.all}


class Client(threading.Thread):
    """Asks through the door, and keeps what became of each request: when it began and ended, and its status."""

    def __init__(self, port, agent):
        super().__init__(daemon=True)
        self.port, self.agent, self.connection, self.over, self.requests = port, agent, None, threading.Event(), []

    def ask(self, target, method="GET", body=None):
        """(status, body); the status is 0 when there was no whole answer."""
        began, status = time.monotonic(), 0
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            self.connection.request(method, target, body, {"User-Agent": self.agent, "Content-Type": "application/json"})
            answer = self.connection.getresponse()
            body = answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            body = b""
            if self.connection:
                self.connection.close()
            self.connection = None
        self.requests.append((began, time.monotonic(), status))
        return status, body


class Caller(Client):
    """Sends one request again and again."""

    def __init__(self, port, method, target, body=None):
        super().__init__(port, "bench-caller")
        self.method, self.target, self.body = method, target, body

    def run(self):
        while not self.over.wait(0.1):
            self.ask(self.target, self.method, self.body)


class Viewer(Client):
    """Plays a stream as a player does: the index, then its playlist again and again, and each new segment once."""

    def __init__(self, port, stream, number):
        super().__init__(port, f"bench-viewer-{number}")
        self.stream, self.segments = stream, []

    def lines(self, target):
        status, body = self.ask(target)
        return [line.strip() for line in body.decode().splitlines() if line.strip()] if status == 200 else None

    def find_playlist(self):
        index = f"/streaming/hls/{self.stream}/index.m3u8"
        lines = self.lines(index)
        if lines is None:
            return None
        inner = [line for line in lines if not line.startswith("#")]
        return urllib.parse.urljoin(index, inner[0]) if any(line.startswith("#EXT-X-STREAM-INF") for line in lines) and inner else None

    def run(self):
        seen, playlist = set(), None
        while not self.over.is_set():
            playlist = playlist or self.find_playlist()
            lines = self.lines(playlist) if playlist else None
            if lines is None:
                playlist = None
                self.over.wait(0.5)
                continue
            for uri in [line for line in lines if not line.startswith("#")]:
                name = uri.split("?")[0]
                if name not in seen and not self.over.is_set():
                    seen.add(name)
                    if self.ask(urllib.parse.urljoin(playlist, uri))[0] == 200:
                        self.segments.append(time.monotonic())
            self.over.wait(1)

    def pause_after(self, moment):
        """Seconds from then to the first segment that came after it."""
        return next((at - moment for at in self.segments if at > moment), None)


class Socket(threading.Thread):
    """A browser's WebSocket: open again at once when it is closed."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.over, self.socket, self.lost, self.opened = url, threading.Event(), None, [], 0

    def run(self):
        since = None
        while not self.over.is_set():
            try:
                self.socket = websocket.create_connection(self.url, timeout=30)
                self.opened += 1
                if since:
                    self.lost.append((since, time.monotonic() - since))
                while not self.over.is_set():
                    try:
                        if not self.socket.recv():
                            break
                    except websocket.WebSocketTimeoutException:
                        pass
            except (OSError, websocket.WebSocketException):
                pass
            since = since if self.socket is None else time.monotonic()
            self.socket = None
            self.over.wait(0.1)


@contextmanager
def calling(house, *calls):
    """Callers of (method, path, body) while the block runs."""
    callers = [Caller(house.door_port, *call) for call in calls]
    for caller in callers:
        caller.start()
    until(lambda: all(len(c.requests) > 10 for c in callers), PATIENCE, "the callers are answered")
    yield callers
    time.sleep(2)
    for caller in callers:
        caller.over.set()
    for caller in callers:
        caller.join(35)


def picture(folder):
    """The body of a POST to /detect."""
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(folder / "clip.mp4"), "-frames:v", "1", str(folder / "clip.jpg")], check=True)
    return json.dumps({"camera_id": 1, "image_base64": base64.b64encode((folder / "clip.jpg").read_bytes()).decode()})


@contextmanager
def audience(house):
    viewers = [Viewer(house.door_port, f"cam_{1 + n % STREAMS}", n) for n in range(STREAMS * VIEWERS_EACH)]
    sockets = [Socket(f"ws://127.0.0.1:{house.door_port}/ws/events/cam_{1 + n % STREAMS}") for n in range(SOCKETS)]
    for one in viewers + sockets:
        one.start()
    try:
        yield viewers, sockets
    finally:
        for one in viewers + sockets:
            one.over.set()
        for one in sockets:
            if one.socket:
                one.socket.close()
        for one in viewers:
            one.join(35)


def failures(viewers, killed, end):
    """Requests that ended between the two moments: (all, failed, failed that had not begun before the kill, failed by status)."""
    done = [r for v in viewers for r in list(v.requests) if killed <= r[1] <= end]
    failed = [r for r in done if r[2] != 200]
    by_status = {}
    for _, _, status in failed:
        by_status[status] = by_status.get(status, 0) + 1
    return len(done), len(failed), sum(began > killed for began, _, _ in failed), by_status


def counted(house, viewers):
    """Whether each replica of streaming tells as many viewers as there are."""
    return all(n == len(viewers) for n in house.told())


def summary(callers, killed):
    total, failed, later, _ = failures(callers, killed, time.monotonic())
    return f"of {total} {callers[0].method} {callers[0].target} meanwhile {later} failed, and {failed - later} of those in flight", later


def kill_streaming(house, viewers, sockets):
    held = house.sockets()
    victim = house.streaming[0]
    with calling(house, ("GET", "/streaming/stats")) as callers:
        killed = victim.kill()
        until(lambda: all(v.pause_after(killed) is not None for v in viewers), PATIENCE, "all viewers have a picture again")
        until(lambda: counted(house, viewers), PATIENCE, "the other replica counts all viewers")
        counts = time.monotonic() - killed
    pauses = [v.pause_after(killed) for v in viewers]
    until(lambda: all(s.socket for s in sockets), PATIENCE, "all WebSockets are open again")
    time.sleep(3)
    total, failed, later, by_status = failures(viewers, killed, time.monotonic())
    back = [took for s in sockets for at, took in s.lost if at >= killed - 0.5]
    yield Row("streaming killed: failed video requests, begun after it", "requests", later, limit=0,
              more=f"of {total}; {failed - later} of those in flight failed; pictures went on within {max(pauses):.1f} s (median {statistics.median(pauses):.1f})")
    text, later = summary(callers, killed)
    yield Row("the same: failed requests for figures, begun after it", "requests", later, limit=0, more=text)
    yield Row("the same: WebSockets open again, the last", "s", max(back, default=0), limit=5, more=f"{len(back)} of {len(sockets)} were cut; held before by the two: {held}")
    yield Row("the same: viewers told = viewers there", "s", counts, limit=15, more=f"{len(viewers)} there, told {house.told()}")
    victim.start()
    wait_for(f"{victim.url}/health", 60)
    yield Row("it came back: both tell all viewers", "s", until(lambda: len(house.told()) == 2 and counted(house, viewers), PATIENCE, "both count all"), limit=15,
              more=f"told {house.told()}")


def restart_streaming(house, viewers):
    """Each replica asked to end, and started again, one after the other."""
    began, took = time.monotonic(), []
    for replica in house.streaming:
        asked = time.monotonic()
        replica.stop()
        took.append(time.monotonic() - asked)
        replica.start()
        wait_for(f"{replica.url}/health", 60)
        until(lambda: counted(house, viewers) and len(house.told()) == 2, PATIENCE, "both count all viewers again")
        time.sleep(3)
    total, failed, _, by_status = failures(viewers, began, time.monotonic())
    yield Row("both streaming restarted, one after the other: failed video requests", "requests", failed, limit=0,
              more=f"of {total}{' ' + str(by_status) if by_status else ''}; they ended within {max(took):.1f} s")


def kill_ai(house, body):
    victim = house.ai[0]
    before = house.watched()
    with calling(house, *[("POST", "/ai/detect", body)] * 2) as callers:
        killed = victim.kill()
        until(lambda: sum(house.watched()) == WATCHED_BY_AI, PATIENCE, "a dead ai program's cameras are taken over")
        took = time.monotonic() - killed
    yield Row("ai killed: its cameras watched by the other", "s", took, limit=10, more=f"{before} before")
    text, later = summary(callers, killed)
    yield Row("the same: failed detections, begun after it", "requests", later, limit=0, more=text)
    victim.start()
    wait_for(f"{victim.url}/health", 60)
    took = until(lambda: sum(house.watched()) == WATCHED_BY_AI and min(house.watched()) >= WATCHED_BY_AI // 2 - 1, PATIENCE * 2, "the cameras are shared out again")
    yield Row("it came back: cameras shared out again", "s", took, limit=60, more=f"{house.watched()}")


def kill_media(house, viewers):
    victim = house.media[0]
    had = house.on_nodes()[0]
    killed = victim.kill()
    hit = [v for v in viewers if v.stream in had]
    spared = [v for v in viewers if v.stream not in had]
    # A segment that was fetched from the cache says nothing: what counts is a stream that goes on for good.
    until(lambda: had <= house.on_nodes()[0], PATIENCE, "its cameras are at the other node")
    moved = time.monotonic() - killed
    marks = {v: len(v.segments) for v in hit}
    until(lambda: all(len(v.segments) >= marks[v] + 3 for v in hit), PATIENCE, "their viewers have pictures again")
    end = time.monotonic()
    gaps = []
    for v in hit:
        times = [killed] + [at for at in v.segments if at > killed]
        gaps.append(max(b - a for a, b in zip(times, times[1:])))
    total, failed, _, by_status = failures(hit, killed, end)
    _, others, _, _ = failures(spared, killed, end)
    yield Row("media node killed: its cameras at the other", "s", moved, limit=20, more=f"{len(had)} cameras, of which {len({v.stream for v in hit})} were watched")
    yield Row("the same: longest time without a new picture", "s", max(gaps, default=0), limit=30,
              more=f"median {statistics.median(gaps) if gaps else 0:.1f}; {failed} of their {total} requests failed {by_status}, {others} of the other streams' viewers")
    ai = until(lambda: sum(house.watched()) == WATCHED_BY_AI, PATIENCE, "ai watches all again")
    yield Row("the same: ai cameras that are watched", "cameras", sum(house.watched()), limit=WATCHED_BY_AI, at_least=True, more=f"after {end - killed + ai:.0f} s")
    victim.start()


def bench_scale(options, folder):
    """Two of everything behind the door: 100 cameras, 40 viewers, 20 WebSockets, and one of each killed."""
    with ExitStack() as stack:
        redis_port = stack.enter_context(redis())
        address = stack.enter_context(cameras(folder, CAMERAS))
        house = House(folder, redis_port)
        stack.callback(house.stop)
        yield Row(f"{CAMERAS} cameras in one list through the door", "s", house.provision(address), limit=5)
        until(lambda: sum(map(len, house.on_nodes())) == CAMERAS, PATIENCE, "all cameras are at a node")
        each = [len(n) for n in house.on_nodes()]
        yield Row("cameras of the fuller media node", "cameras", max(each), limit=65, more=f"{each}")
        until(lambda: sum(house.watched()) == WATCHED_BY_AI and min(house.watched()) >= WATCHED_BY_AI // 2 - 1, PATIENCE * 2, "the ai programs share the cameras")
        yield Row("cameras of the busier ai program", "cameras", max(house.watched()), limit=WATCHED_BY_AI // 2 + 1, more=f"{house.watched()}")
        viewers, sockets = stack.enter_context(audience(house))
        until(lambda: all(len(v.segments) > 3 for v in viewers) and all(s.socket for s in sockets), PATIENCE * 2, "all viewers have pictures")
        took = until(lambda: counted(house, viewers), PATIENCE, "both replicas count all viewers")
        yield Row("viewers told by either replica", "viewers", house.told()[0], limit=len(viewers), more=f"{len(viewers)} there; told {house.told()}, after {took:.1f} s")
        until(lambda: sum(house.sockets()) == len(sockets), PATIENCE, "the replicas count the WebSockets")
        yield Row("WebSockets told by both together", "sockets", sum(house.sockets()), limit=len(sockets), more=f"{house.sockets()}")
        before, began = house.cpu(), time.monotonic()
        time.sleep(SETTLE)
        spent = {name: 100 * (now - before[name]) / (time.monotonic() - began) for name, now in house.cpu().items()}
        total, failed, _, by_status = failures(viewers, began, time.monotonic())
        yield Row(f"failed video requests in {SETTLE} s of watching", "requests", failed, limit=0, more=f"of {total}{' ' + str(by_status) if by_status else ''}; % of a core: " + ", ".join(
            f"{name} {share:.1f}" for name, share in spent.items()) + "; MiB: " + ", ".join(f"{r.name} {rss_kib(r.process.pid) / 1024:.0f}" for r in house.all))
        yield from kill_streaming(house, viewers, sockets)
        time.sleep(SETTLE)
        yield from restart_streaming(house, viewers)
        yield from kill_ai(house, picture(folder))
        yield from kill_media(house, viewers)
