"""HLS of the double: paths, muxers, sessions, and what answers on port 8888."""

import asyncio
import math
import os
import re
import time
import urllib.parse
import uuid

from mtx_double.conf import Refused, name_fault
from mtx_double.wire import stamp

LL_FIRST = 7  # a low-latency playlist opens with as many gaps, and its first segment has this number


class Session:
    """A reader of HLS (1.18 and later). `secret` is what cookie and query carry; `id` is what the API shows."""

    def __init__(self, muxer, request, is_cdn, query):
        self.muxer, self.is_cdn, self.query = muxer, is_cdn, query
        self.id, self.secret = str(uuid.uuid4()), str(uuid.uuid4())
        self.ip, self.remote = request.ip, f"{request.ip}:{request.port}"
        self.agent = request.headers.get("user-agent", "")
        self.created = self.last = time.time()
        self.bytes = 0

    def item(self):
        return {"id": self.id, "created": stamp(self.created), "remoteAddr": self.remote, "path": self.muxer.path.name,
                "query": self.query, "user": "", "userAgent": self.agent, "isCDN": self.is_cdn, "outboundBytes": self.bytes}


class Muxer:
    """HLS of one path since its start: everything follows from the clock. A new one has a new prefix and counts from the start."""

    def __init__(self, path, double):
        self.path, self.double, self.media, self.variant = path, double, double.media, double.variant
        self.prefix = os.urandom(6).hex()
        self.start = self.created = self.last = time.time()
        self.closed, self.sessions, self.bytes = asyncio.Event(), {}, 0
        self.first = LL_FIRST if self.variant == "lowLatency" else 0
        self.stream = "main" if self.variant == "mpegts" else "video1"
        self.suffix = "ts" if self.variant == "mpegts" else "mp4"

    def cdn_session(self):
        return next((s for s in self.sessions.values() if s.is_cdn), None)

    async def until(self, when):
        """False where the muxer ends before."""
        while not self.closed.is_set():
            left = when - time.time()
            if left <= 0:
                return True
            try:
                await asyncio.wait_for(self.closed.wait(), left + 0.001)
            except asyncio.TimeoutError:
                pass
        return False

    def counts(self):
        """(segments, parts) that are complete, of all since the start."""
        parts = max(0, int((time.time() - self.start) * self.media.per_segment / self.media.duration + 1e-5))
        return parts // self.media.per_segment, parts

    @property
    def whole(self):
        return self.counts()[0]

    def segment_time(self, count):
        return self.start + count * self.media.duration

    def part_time(self, count):
        return self.start + count * self.media.duration / self.media.per_segment

    async def content(self):
        """Waits until there is something to play: one segment, for fmp4 two."""
        return await self.until(self.segment_time(2 if self.variant == "fmp4" else 1))

    def name(self, kind, number):
        return f"{self.prefix}_{self.stream}_{kind}{number}.{self.suffix}"

    def index(self, query):
        whole = self.whole
        rates = [self.media.rate(self.variant, n) for n in range(max(0, whole - 2), whole)]
        tail = f"?{query}" if query else ""
        return (f"#EXTM3U\n#EXT-X-VERSION:{3 if self.variant == 'mpegts' else 10}\n#EXT-X-INDEPENDENT-SEGMENTS\n\n"
                f"#EXT-X-STREAM-INF:BANDWIDTH={max(rates)},AVERAGE-BANDWIDTH={sum(rates) // len(rates)},"
                f"CODECS=\"{self.media.codec}\",RESOLUTION={self.media.width}x{self.media.height},"
                f"FRAME-RATE={self.media.fps:.3f}\n{self.stream}_stream.m3u8{tail}\n")

    def playlist(self, query, skip=False):
        media, count = self.media, self.double.segment_count
        whole, parts = self.counts()
        low = self.variant == "lowLatency"
        if self.variant != "mpegts":  # MPEG-TS keeps them: it does not know them
            pairs = [(k, v) for k, v in urllib.parse.parse_qsl(query, keep_blank_values=True) if not k.startswith("_HLS_")]
            query = urllib.parse.urlencode(sorted(pairs))
        tail = f"?{query}" if query else ""
        target = max(1, round(media.duration))
        gaps = max(0, min(LL_FIRST, count) - whole) if low else 0
        shown = min(whole, count - gaps)
        out = ["#EXTM3U", f"#EXT-X-VERSION:{3 if self.variant == 'mpegts' else 10}"]
        if self.variant == "mpegts":
            out.append("#EXT-X-ALLOW-CACHE:NO")
        out.append(f"#EXT-X-TARGETDURATION:{target}")
        if low:
            part = media.duration / media.per_segment
            out.append(f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={part * 2.5:.5f},CAN-SKIP-UNTIL={target * 6:.5f}")
            out.append(f"#EXT-X-PART-INF:PART-TARGET={part:.5f}")
        out.append(f"#EXT-X-MEDIA-SEQUENCE:{self.first + whole - shown - gaps}")
        skipped = 0
        if skip and low:
            skipped = gaps + shown - min(gaps + shown, math.ceil(target * 6 / media.duration) - 1)
            out.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")
        elif self.variant != "mpegts":
            out.append(f"#EXT-X-MAP:URI=\"{self.prefix}_{self.stream}_init.mp4{tail}\"")
        for i in range(skipped, gaps + shown):
            if i < gaps:
                out += ["#EXT-X-GAP", f"#EXTINF:{media.duration:.5f},", "gap.mp4"]
                continue
            n = whole - shown + i - gaps
            if self.variant == "mpegts" or whole - n <= 2:
                out.append(f"#EXT-X-PROGRAM-DATE-TIME:{stamp(self.segment_time(n), 3)}")
            if low and whole - n <= 2:
                out += [self.part_line(p, tail) for p in range(n * media.per_segment, (n + 1) * media.per_segment)]
            out += [f"#EXTINF:{media.duration:.5f},", self.name("seg", self.first + n) + tail]
        if low:
            out += [self.part_line(p, tail) for p in range(whole * media.per_segment, parts)]
            out.append(f"#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{self.name('part', parts)}{tail}\"")
        return "\n".join(out) + "\n"

    def part_line(self, number, tail):
        first = ",INDEPENDENT=YES" if number % self.media.per_segment == 0 else ""
        return f"#EXT-X-PART:DURATION={self.media.duration / self.media.per_segment:.5f},URI=\"{self.name('part', number)}{tail}\"{first}"

    async def reload_at(self, args):
        """Holds a blocking reload until its part is there. False: the muxer ended."""
        msn, part = args.get("_HLS_msn", ""), args.get("_HLS_part", "")
        if not re.fullmatch(r"\d*", msn) or not re.fullmatch(r"\d*", part) or (part and not msn):
            raise Refused(400, "")
        if not msn:
            return await self.content()
        n = int(msn) - self.first
        # The first wanted part of a segment that is past counts as the next one's first.
        wanted = n * self.media.per_segment + min(int(part or 0), self.media.per_segment)
        if n > self.whole + 1 or n < self.whole - self.double.segment_count + 1:
            raise Refused(400, "")
        return await self.content() and await self.until(self.part_time(wanted + 1))

    async def file(self, name):
        """The bytes of a segment, part or init file, or None; the part that is being written is waited for."""
        match = re.fullmatch(rf"{self.prefix}_{self.stream}_(?:(seg|part)(\d+)|(init))\.{self.suffix}", name)
        if not match:
            return None
        if match[3]:
            return self.media.init() if self.variant != "mpegts" and await self.content() else None
        number, oldest = int(match[2]), self.whole - self.double.segment_count
        if match[1] == "seg":
            n = number - self.first
            return self.media.segment(self.variant, n) if max(0, oldest) <= n < self.whole else None
        if self.variant != "lowLatency" or number > self.counts()[1] or number < oldest * self.media.per_segment:
            return None
        return self.media.ll_part(number) if await self.until(self.part_time(number + 1)) else None


class Path:
    """A configured path and what its source does."""

    def __init__(self, name, given, fields):
        self.name, self.given = name, given
        self.conf = {key: given.get(key, value) for key, (_, value) in fields.items()}
        self.muxer, self.ready_since, self.source_id = None, None, str(uuid.uuid4())
        self.demand_ends = 0.0  # an on-demand source without a reader is left at this time
        self.sent = 0

    @property
    def pulled(self):
        return "://" in self.conf["source"]

    @property
    def on_demand(self):
        return self.conf["sourceOnDemand"] and self.pulled


class Hls:
    """HLS, of both generations."""

    METHODS, HEADERS = "OPTIONS, GET", "Authorization, Range"
    PLAYLIST = "application/vnd.apple.mpegurl"
    PLAYER = b"""<!DOCTYPE html><html><head><title>double of MediaMTX</title></head><body><video controls muted autoplay></video></body></html>"""
    COOKIE = "; HttpOnly; Secure; SameSite=None; Partitioned"

    def __init__(self, double):
        self.double = double

    async def handle(self, connection, request):
        if request.method == "OPTIONS" and request.headers.get("access-control-request-method"):
            pairs = [("Access-Control-Allow-Methods", self.METHODS), ("Access-Control-Allow-Headers", self.HEADERS)]
            return await connection.answer(request, 204, headers=pairs)
        path = request.path[1:]
        if request.method != "GET" or path in ("", "favicon.ico"):
            return await connection.not_found(request)
        if path.endswith((".m3u8", ".ts", ".mp4")):
            folder, _, name = path.rpartition("/")
            try:
                if name == "index.m3u8":
                    return await self.index(connection, request, folder)
                return await self.child(connection, request, folder, name)
            except Refused as refused:
                if refused.text:
                    return await connection.error(request, refused.code, refused.text)
                return await connection.answer(request, refused.code)
        if not path.endswith("/"):
            query = f"?{request.query}" if request.query else ""
            return await connection.answer(request, 302, headers=[("Location", f"/{path}/{query}")])
        fault = name_fault(path[:-1], self.double.generation)
        if fault:
            return await connection.error(request, 500, f"invalid path name: {fault} ({path[:-1]})")
        return await connection.answer(request, 200, self.PLAYER, "text/html", [("Cache-Control", "max-age=3600")])

    def is_cdn(self, request):
        secret = self.double.cdn_secret
        return bool(secret) and self.double.generation == "1.20" and request.headers.get("authorization") == f"Bearer {secret}"

    async def index(self, connection, request, folder):
        if self.double.generation == "1.15":
            return await self.index_115(connection, request, folder)
        if self.is_cdn(request):
            path = self.double.paths.get(folder)
            session = path.muxer.cdn_session() if path and path.muxer else None
            session = session or await self.new_session(request, folder, True, request.query)
            return await self.send_index(connection, request, session, request.query, [("Cache-Control", "public, max-age=30")])
        pairs = urllib.parse.parse_qsl(request.query, keep_blank_values=True)
        if request.args.get("cookieCheck") != "1":
            query = urllib.parse.urlencode(sorted([(k, v) for k, v in pairs if k != "cookieCheck"] + [("cookieCheck", "1")]))
            return await connection.answer(request, 302, headers=[("Location", f"/{folder}/index.m3u8?{query}"),
                                                                  ("Set-Cookie", f"cookieCheck=1{self.COOKIE}")])
        pairs = sorted(pair for pair in pairs if pair[0] != "cookieCheck")
        session = await self.new_session(request, folder, False, urllib.parse.urlencode(pairs))
        headers = [("Cache-Control", "private, no-cache")]
        if request.cookie("cookieCheck") == "1":
            headers.append(("Set-Cookie", f"hlsSession={session.secret}{self.COOKIE}"))
        else:
            pairs = sorted(pairs + [("session", session.secret)])
        return await self.send_index(connection, request, session, urllib.parse.urlencode(pairs), headers)

    async def new_session(self, request, folder, is_cdn, query):
        muxer = await self.double.open_muxer(folder)
        existing = muxer.cdn_session() if is_cdn else None  # made by a request that waited for the same source
        session = existing or Session(muxer, request, is_cdn, query)
        muxer.sessions[session.secret] = session
        return session

    async def send_index(self, connection, request, session, query, headers):
        session.last = session.muxer.last = time.time()
        if not await self.hold(session.muxer.content(), session):
            raise Refused(500, "terminated")
        body = session.muxer.index(query).encode()
        session.bytes += len(body)
        session.muxer.bytes += len(body)
        await connection.answer(request, 200, body, self.PLAYLIST, headers)

    @staticmethod
    async def hold(waiting, session):
        """A request that is held open keeps its session and muxer alive."""
        done = await waiting
        session.last = session.muxer.last = time.time()
        return done

    async def index_115(self, connection, request, folder):
        try:
            muxer = await self.double.open_muxer(folder)
        except Refused:
            return await connection.not_found(request)
        muxer.last = time.time()
        if not await muxer.content():
            return await connection.answer(request, 500)
        muxer.last = time.time()
        body = muxer.index(request.query).encode()
        muxer.bytes += len(body)
        return await connection.answer(request, 200, body, self.PLAYLIST, [("Cache-Control", "max-age=30")])

    async def child(self, connection, request, folder, name):
        path = self.double.paths.get(folder)
        muxer, session, cdn = path.muxer if path else None, None, self.is_cdn(request)
        if self.double.generation == "1.15":
            if not muxer and name.endswith(".m3u8"):
                try:
                    muxer = await self.double.open_muxer(folder)
                except Refused:
                    muxer = None
            if not muxer:
                return await connection.not_found(request)
        else:
            session = self.find_session(muxer, request, cdn)
            if not session:
                await asyncio.sleep(self.double.auth_delay)
                return await connection.error(request, 401, "authentication error")
            session.last = time.time()
        muxer.last = time.time()
        if name == f"{muxer.stream}_stream.m3u8":
            low = muxer.variant == "lowLatency"
            if not await (muxer.reload_at(request.args) if low else muxer.content()):
                return await connection.answer(request, 500)
            body = muxer.playlist(request.query, low and request.args.get("_HLS_skip") in ("YES", "v2")).encode()
            kind, chunked = self.PLAYLIST, None
            life = {"1.15": "no-cache"}.get(self.double.generation) or (
                "private, no-cache" if not cdn else "no-cache" if low else f"public, max-age={int(muxer.media.duration)}")
        else:
            body = await muxer.file(name)
            if body is None:
                return await connection.not_found(request)
            kind, chunked = "video/mp2t" if name.endswith(".ts") else "video/mp4", True
            life = ("max-age=3600" if self.double.generation == "1.15" else "public, max-age=3600" if cdn else "private, no-cache")
        muxer.last = time.time()
        muxer.bytes += len(body)
        if session:
            session.last = time.time()
            session.bytes += len(body)
        return await connection.answer(request, 200, body, kind, [("Cache-Control", life)], chunked)

    @staticmethod
    def find_session(muxer, request, cdn):
        if not muxer:
            return None
        if cdn:
            return muxer.cdn_session()
        session = muxer.sessions.get(request.cookie("hlsSession")) or muxer.sessions.get(request.args.get("session"))
        return session if session and not session.is_cdn and session.ip == request.ip else None
