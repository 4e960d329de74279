"""A conformance double of MediaMTX, not MediaMTX: it answers on the wire as measured builds of it do, with media that it makes up.

Two generations: "1.20" (sessions by cookie or ?session=, the CDN's bearer) and "1.15" (neither). The control API and HLS are there; RTSP,
recording and WebRTC are not. Sources are never dialled: a path's state says whether its camera can be reached. The picture is H.264 that
this file writes itself (one grey a GOP, padded to the bit rate), or a clip that ffmpeg cuts; the timeline follows the clock.

In a test:   double = Double(generation="1.20", variant="mpegts").start(); double.api_url, double.hls_url; double.stop()
By hand:     mediamtx_double.py --generation 1.15 --path cam_1=ready
Standard library only. One thread with its own event loop; the public methods of Double may be called from any thread.
"""

import argparse
import asyncio
import collections
import fnmatch
import json
import resource
import signal
import socket
import struct
import sys
import threading
import time

from mtx_double.api import Api
from mtx_double.conf import GENERATIONS, Refused, check_conf, conf_fields, name_fault, seconds_of
from mtx_double.hls import Hls, Muxer, Path
from mtx_double.media import Media
from mtx_double.wire import Fault, Hangup, Listener, stamp

LOG_MAX = 200_000  # requests remembered for the tests, oldest dropped
STATES = ("ready", "offline")


class Double:
    """One node. Options:

    generation, variant ("mpegts", "fmp4", "lowLatency"), host, api_port, hls_port (0: the system chooses, kept over a restart)
    auth         (user, password) that the control API wants; None: nothing, as from loopback by default
    cdn_secret   hlsCDNSecret (1.20)
    clip         a video file that ffmpeg cuts, in place of the grey picture
    segment_duration, part_duration, segment_count, fps, width, height, bitrate
    latency      seconds added to every answer; set_latency does so by path
    paths        {name: state} of the configuration file: they outlive forget(). state: "ready" or "offline"
    default_state  of the source of a path that the API adds
    auth_delay, session_timeout, muxer_close_after, idle_timeout: MediaMTX's 2, 30, 60 and 30 s
    """

    def __init__(self, generation="1.20", variant="mpegts", host="127.0.0.1", api_port=0, hls_port=0, auth=None, cdn_secret=None,
                 clip=None, segment_duration=2.0, part_duration=0.2, segment_count=7, fps=25, width=1280, height=720, bitrate=4_000_000,
                 latency=0.0, paths=None, default_state="ready", auth_delay=2.0, session_timeout=30.0, muxer_close_after=60.0,
                 idle_timeout=30.0):
        if generation not in GENERATIONS or variant not in ("mpegts", "fmp4", "lowLatency"):
            raise ValueError(f"no such generation or variant: {generation!r}, {variant!r}")
        self.generation, self.variant, self.host, self.auth, self.cdn_secret = generation, variant, host, auth, cdn_secret
        self.media = Media(segment_duration, part_duration, fps, width, height, bitrate, clip)
        self.segment_count, self.default_state, self.auth_delay = segment_count, default_state, auth_delay
        self.session_timeout, self.muxer_close_after, self.idle_timeout = session_timeout, muxer_close_after, idle_timeout
        self.fields = conf_fields(generation)
        self.latencies = [("*", latency)] if latency else []
        self.static, self.states = dict(paths or {}), dict(paths or {})
        self.paths, self.faults, self.log = {}, [], collections.deque(maxlen=LOG_MAX)
        self.now_serving, self.peak_serving = collections.Counter(), collections.Counter()
        self.started, self.loop, self.thread, self.changed = time.time(), None, None, None
        self.api = Listener(self, "api", Api(self).handle, api_port)
        self.hls = Listener(self, "hls", Hls(self).handle, hls_port)

    # Life

    def start(self):
        """Starts the thread and returns self once both ports listen."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < 65536:  # a thousand viewers need more files than the usual 1024
            resource.setrlimit(resource.RLIMIT_NOFILE, (65536 if hard == resource.RLIM_INFINITY else min(hard, 65536), hard))
        ready = threading.Event()
        self.loop = asyncio.new_event_loop()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.call_soon(ready.set)
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, name="mediamtx-double", daemon=True)
        self.thread.start()
        ready.wait()
        self.call(self.begin())
        return self

    def stop(self):
        if not self.loop:
            return
        self.call(self.end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()
        self.loop = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def call(self, work):
        """Runs a coroutine, or a function, in the double's loop and returns what it gives."""
        async def function():
            return work()
        return asyncio.run_coroutine_threadsafe(work if asyncio.iscoroutine(work) else function(), self.loop).result(30)

    async def begin(self):
        self.changed = asyncio.Event()
        self.load()
        await self.api.open()
        await self.hls.open()
        self.reaper = asyncio.create_task(self.reap())

    async def end(self):
        self.reaper.cancel()
        await self.api.close()
        await self.hls.close()
        self.close_muxers()
        # What is not ended before the loop is complains of it later: connections that only just came, and closings under way.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=5)
        await asyncio.sleep(0.01)

    def load(self):
        """The configuration file's paths, on a node that has just started."""
        self.started, self.paths = time.time(), {}
        for name, state in self.static.items():
            self.states[name] = state
            self.put(Path(name, {}, self.fields))

    @property
    def api_url(self):
        return f"http://{self.host}:{self.api.port}"

    @property
    def hls_url(self):
        return f"http://{self.host}:{self.hls.port}"

    # What a test does to the node

    def forget(self):
        """As a restart that nobody's connection notices: the API's paths are gone, sessions too, prefixes change."""
        self.call(self._forget)

    def _forget(self):
        self.close_muxers()
        self.load()

    def down(self):
        """As a killed process: both ports are closed and every connection is cut."""
        async def go():
            await self.api.close()  # first, so that nobody sees what an orderly end would answer
            await self.hls.close()
            self.close_muxers()
        self.call(go())

    def up(self):
        """A fresh process on the same ports."""
        async def go():
            self._forget()
            await self.api.open()
            await self.hls.open()
        self.call(go())

    def restart(self):
        self.down()
        self.up()

    def set_state(self, name, state):
        """"ready": the source can be reached (a publisher publishes); "offline": it cannot. The path need not exist yet."""
        if state not in STATES:
            raise ValueError(state)

        def go():
            self.states[name] = state
            path = self.paths.get(name)
            if path:
                self.update(path)
        self.call(go)

    def add_path(self, name, state="ready", **conf):
        """As POST /v3/config/paths/add, unseen by the log."""
        def go():
            self.states[name] = state
            path = Path(name, conf, self.fields)
            check_conf(name, path.conf, self.generation)
            self.put(path)
        self.call(go)

    def kill_sessions(self, name=None):
        """Ends the HLS sessions of a path, or all; the muxers go on."""
        def go():
            for muxer in self.muxers():
                if name in (None, muxer.path.name):
                    muxer.sessions.clear()
        self.call(go)

    def restart_muxer(self, name):
        """The path's muxer ends: its sessions too, and the next one has another prefix."""
        self.call(lambda: self.close_muxer(self.paths[name]))

    def drop_connections(self):
        async def go():
            await self.api.drop()
            await self.hls.drop()
        self.call(go())

    def set_latency(self, seconds, pattern="*"):
        """Adds `seconds` to each answer whose path matches; 0 takes it back."""
        rest = [pair for pair in self.latencies if pair[0] != pattern]
        self.latencies = rest + ([(pattern, seconds)] if seconds else [])

    def fault(self, pattern, kind, times=1, seconds=3600.0, after=None, value=None):
        """The next `times` requests (None: all) whose path matches the pattern (fnmatch; "*.ts") go wrong:

        close         the connection ends without an answer       reset    likewise, with RST
        hang          no answer for `seconds`, then the end       status   the empty answer `value`
        stall         the body stops after `after` bytes (half), goes on after `seconds`
        truncate      the body ends there, unfinished             slow     `value` bytes (1024) each 50 ms
        wrong_length  a Content-Length that is `value` (1000; may be negative) too large, then the end
        endless       after the body, lines without end for `seconds`
        bad_chunk     after half the body, a chunk size that is none
        Returns the Fault; its `hits` counts.
        """
        fault = Fault(pattern, kind, times, seconds, after, value)
        self.faults.append(fault)
        return fault

    def clear_faults(self):
        self.faults.clear()

    # What a test reads

    def requests(self, pattern="*", listener=None):
        """[(time, listener, method, target, code, seconds)] whose path matches, oldest first; code None where none was sent."""
        return [r for r in list(self.log) if (listener in (None, r[1])) and fnmatch.fnmatchcase(r[3].partition("?")[0], pattern)]

    def count(self, pattern="*", listener=None):
        return len(self.requests(pattern, listener))

    def peak(self, path):
        """The most requests for this path that were being answered at once."""
        return self.peak_serving[path]

    def reset_counts(self):
        def go():
            self.log.clear()
            self.peak_serving.clear()
        self.call(go)

    def connections(self, listener="hls"):
        """(open now, accepted since the start)."""
        chosen = self.hls if listener == "hls" else self.api
        return len(chosen.tasks), chosen.accepted

    def prefix(self, name):
        path = self.paths.get(name)
        return path.muxer.prefix if path and path.muxer else None

    # In the loop

    async def serve(self, listener, connection, request):
        began, request.code = time.time(), None
        request.fault = fault = self.take_fault(request.path)
        self.now_serving[request.path] += 1
        self.peak_serving[request.path] = max(self.peak_serving[request.path], self.now_serving[request.path])
        try:
            if fault and fault.kind in ("close", "reset", "hang"):
                if fault.kind == "hang":
                    await asyncio.sleep(fault.seconds)
                elif fault.kind == "reset":
                    raw = connection.writer.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.writer.transport.abort()
                raise Hangup
            await listener.handle(connection, request)
        finally:
            self.now_serving[request.path] -= 1
            if not self.now_serving[request.path]:
                del self.now_serving[request.path]
            self.log.append((began, listener.name, request.method, request.target, request.code, time.time() - began))

    def take_fault(self, path):
        for fault in self.faults:
            if fnmatch.fnmatchcase(path, fault.pattern) and (fault.times is None or fault.hits < fault.times):
                fault.hits += 1
                return fault
        return None

    def latency_for(self, path):
        return sum(seconds for pattern, seconds in self.latencies if fnmatch.fnmatchcase(path, pattern))

    def state(self, path):
        """A pulled source follows default_state; nobody publishes by himself."""
        return self.states.get(path.name, self.default_state if path.pulled else "offline")

    def put(self, path):
        """A path is new or its configuration changed: then it is loaded anew (recording alone is not a reason)."""
        old = self.paths.get(path.name)
        self.paths[path.name] = path
        if old:
            changed = {key for key in path.conf if path.conf[key] != old.conf[key]}
            if all(key.startswith("record") for key in changed):
                path.muxer, path.ready_since, path.source_id = old.muxer, old.ready_since, old.source_id
                path.demand_ends, path.sent = old.demand_ends, old.sent
                if path.muxer:
                    path.muxer.path = path
            else:
                self.close_muxer(old)
        self.update(path)

    def remove(self, name):
        self.close_muxer(self.paths.pop(name))
        self.changed.set()

    def update(self, path):
        """Brings ready in line with the source's state and who wants it."""
        wanted = self.state(path) == "ready" and not path.name.startswith("~")
        if path.on_demand:
            wanted = wanted and (path.muxer is not None or time.time() < path.demand_ends)
        if wanted and path.ready_since is None:
            path.ready_since = time.time()
        elif not wanted and path.ready_since is not None:
            path.ready_since = None
            self.close_muxer(path)
        self.changed.set()

    def muxers(self):
        return [path.muxer for _, path in sorted(self.paths.items()) if path.muxer]

    def close_muxer(self, path):
        if path.muxer:
            path.sent += path.muxer.bytes
            path.muxer.closed.set()
            path.muxer.sessions.clear()
            path.muxer = None

    def close_muxers(self):
        for path in self.paths.values():
            self.close_muxer(path)

    def find_path(self, name):
        """The configured path of this name, or None. Regular expressions match nothing here: a path is there by its own name."""
        fault = name_fault(name, self.generation)
        if fault:
            raise Refused(500, f"invalid path name: {fault} ({name})")
        return self.paths.get(name)

    async def open_muxer(self, name):
        """The path's muxer, started where there is none. Refused as 1.20 words it."""
        path = self.find_path(name)
        none = Refused(404, f"no stream is available on path '{name}'")
        if not path:
            raise none
        if path.on_demand and path.ready_since is None:
            patience = seconds_of(path.conf["sourceOnDemandStartTimeout"])
            path.demand_ends = time.time() + patience
            end = time.monotonic() + patience
            self.update(path)
            while path.ready_since is None:
                left = end - time.monotonic()
                if left <= 0:
                    raise Refused(500, f"source of path '{name}' has timed out")
                if self.paths.get(name) is not path:
                    raise none
                self.changed.clear()
                try:
                    await asyncio.wait_for(self.changed.wait(), left)
                except asyncio.TimeoutError:
                    pass
        if path.ready_since is None or self.paths.get(name) is not path:
            raise none
        if not path.muxer:
            path.muxer = Muxer(path, self)
        return path.muxer

    async def reap(self):
        """Ends sessions and muxers that nobody asks for, and on-demand sources without one."""
        while True:
            await asyncio.sleep(0.1)
            now = time.time()
            for path in list(self.paths.values()):
                muxer = path.muxer
                if muxer:
                    muxer.sessions = {k: s for k, s in muxer.sessions.items() if now - s.last < self.session_timeout}
                    if now - muxer.last >= self.muxer_close_after:
                        self.close_muxer(path)
                        path.demand_ends = now + seconds_of(path.conf["sourceOnDemandCloseAfter"])
                if path.on_demand:
                    self.update(path)

    def listed_paths(self):
        return [path for name, path in sorted(self.paths.items()) if not name.startswith("~") and name not in ("all", "all_others")]

    def path_item(self, path):
        ready, since = path.ready_since is not None, path.ready_since
        received = int((time.time() - since) * self.rate()) if ready else 0
        sent = path.sent + (path.muxer.bytes if path.muxer else 0)
        kind = "rtspSource" if path.conf["source"].startswith("rtsp") else path.conf["source"].partition(":")[0].rstrip("s") + "Source"
        source = {"type": kind, "id": ""} if path.pulled else {"type": "rtspSession", "id": path.source_id} if ready else None
        when, tracks = stamp(since) if ready else None, ["H264"] if ready else []
        if self.generation == "1.15":
            readers = [{"type": "hlsMuxer", "id": ""}] if path.muxer else []
            return {"name": path.name, "confName": path.name, "source": source, "ready": ready, "readyTime": when, "tracks": tracks,
                    "bytesReceived": received, "bytesSent": sent, "readers": readers}
        online = when or ("0001-01-01T00:00:00Z" if path.pulled else None)
        props = {"width": self.media.width, "height": self.media.height, "profile": "Main", "level": "3.1"}
        readers = [{"type": "hlsSession", "id": s.id} for s in path.muxer.sessions.values()] if path.muxer else []
        return {"name": path.name, "confName": path.name, "ready": ready, "readyTime": when, "available": ready, "availableTime": when,
                "online": ready or path.pulled, "onlineTime": online, "source": source, "tracks": tracks,
                "tracks2": [{"codec": "H264", "codecProps": props}] if ready else [], "readers": readers, "inboundBytes": received,
                "outboundBytes": sent, "inboundFramesInError": 0, "bytesReceived": received, "bytesSent": sent}

    def rate(self):
        """Bytes a second of the stream."""
        return sum(len(n) for unit in self.media.video.gops[0] for n in unit) / self.media.duration


class Control:
    """For a double that is a process of its own: POST /forget, /down, /set_state ... with the method's arguments as a JSON object."""

    CALLS = ("forget", "down", "up", "restart", "set_state", "add_path", "kill_sessions", "restart_muxer", "drop_connections",
             "set_latency", "fault", "clear_faults", "requests", "count", "peak", "reset_counts", "connections", "prefix")

    def __init__(self, double):
        self.double = double

    async def handle(self, connection, request):
        name = request.path[1:]
        if request.method != "POST" or name not in self.CALLS:
            return await connection.not_found(request)
        try:
            args = json.loads(request.body or b"{}")
            # These methods wait for the loop, so they must not run in it.
            result = await asyncio.get_running_loop().run_in_executor(None, lambda: getattr(self.double, name)(**args))
        except (TypeError, ValueError, KeyError, Refused) as error:
            return await connection.error(request, 400, str(error))
        return await connection.json(request, {"result": None if isinstance(result, Fault) else result})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--generation", choices=sorted(GENERATIONS), default="1.20")
    parser.add_argument("--variant", choices=["mpegts", "fmp4", "lowLatency"], default="mpegts")
    parser.add_argument("--host", default="127.0.0.1")
    for name in ("api", "hls", "control"):
        parser.add_argument(f"--{name}-port", type=int, default=0)
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="what the control API wants")
    parser.add_argument("--cdn-secret")
    parser.add_argument("--clip", help="a video file in place of the grey picture (needs ffmpeg)")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each answer")
    parser.add_argument("--segment-duration", type=float, default=2.0)
    parser.add_argument("--part-duration", type=float, default=0.2)
    parser.add_argument("--bitrate", type=int, default=4_000_000)
    parser.add_argument("--default-state", choices=STATES, default="ready")
    parser.add_argument("--path", action="append", default=[], metavar="NAME=STATE", help="a path of the configuration file")
    args = vars(parser.parse_args())
    args["paths"] = dict(item.split("=", 1) for item in args.pop("path"))
    args["auth"] = tuple(args["auth"].split(":", 1)) if args["auth"] else None
    control_port = args.pop("control_port")
    double = Double(**args).start()
    control = Listener(double, "control", Control(double).handle, control_port)
    double.call(control.open())
    print(f"api={double.api_url} hls={double.hls_url} control=http://{double.host}:{control.port}", flush=True)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=double.forget).start())
    while not ended.wait(0.5):
        pass
    double.call(control.close())
    double.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
