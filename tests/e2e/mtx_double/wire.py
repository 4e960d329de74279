"""HTTP/1.1 as Go's server writes it, and what can be made to go wrong with it."""

import asyncio
import collections
import json
import time
import urllib.parse
from datetime import datetime, timezone

HEAD_MAX = 1 << 20  # bytes of a request's head, as Go's server
BODY_MAX = 10 << 20  # bytes of a request's body
COPY = 32 * 1024  # bytes a chunk of a segment
BURST = 8 * COPY  # bytes written before the peer is waited for
ENCODED = 16  # large bodies whose chunked form is kept
LENGTH_MAX = 2048  # a body up to here goes with Content-Length, a larger one in chunks


def stamp(when, digits=9):
    """RFC 3339 in UTC; Go writes as many digits as there are."""
    whole, nano = divmod(int(when * 1e9), 10**9)
    text = datetime.fromtimestamp(whole, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    if digits == 3:
        return f"{text}.{nano // 10**6:03d}Z"
    tail = f"{nano:09d}".rstrip("0")
    return f"{text}.{tail}Z" if tail else f"{text}Z"


class Request:
    """One request as read: path decoded, query raw."""

    def __init__(self, head, address):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.protocol = lines[0].split(" ")
        raw, _, self.query = self.target.partition("?")
        self.path = urllib.parse.unquote(raw, errors="surrogateescape")
        self.args = {}
        for key, value in urllib.parse.parse_qsl(self.query, keep_blank_values=True):
            self.args.setdefault(key, value)
        self.headers = {}
        for line in lines[1:]:
            if line:
                name, _, value = line.partition(":")
                self.headers[name.strip().lower()] = value.strip()
        self.ip, self.port = address[:2]
        self.body, self.fault = b"", None

    def cookie(self, name):
        for item in self.headers.get("cookie", "").split(";"):
            key, _, value = item.strip().partition("=")
            if key == name:
                return value
        return None

    @property
    def keep(self):
        wish = self.headers.get("connection", "").lower()
        return "close" not in wish and (self.protocol == "HTTP/1.1" or "keep-alive" in wish)


class Hangup(Exception):
    """The connection ends here."""


class Fault:
    """What goes wrong with the next `times` requests (None: all) whose path matches the pattern; see Double.fault."""

    KINDS = {"close", "reset", "hang", "status", "stall", "truncate", "wrong_length", "endless", "slow", "bad_chunk"}

    def __init__(self, pattern, kind, times=1, seconds=3600.0, after=None, value=None):
        if kind not in self.KINDS:
            raise ValueError(f"no fault {kind!r}: one of {sorted(self.KINDS)}")
        self.pattern, self.kind, self.times, self.seconds, self.after, self.value = pattern, kind, times, seconds, after, value
        self.hits = 0


_ENCODED = collections.OrderedDict()  # id -> (body, its chunked form); the body is held, so that its id stays its own


def encoded(body):
    """The body in chunks of COPY bytes, with the last one."""
    kept = _ENCODED.get(id(body))
    if kept and kept[0] is body:
        return kept[1]
    pieces = [body[at:at + COPY] for at in range(0, len(body), COPY)]
    data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    if len(body) > COPY:
        _ENCODED[id(body)] = (body, data)
        if len(_ENCODED) > ENCODED:
            _ENCODED.popitem(last=False)
    return data


class Connection:
    """One client: requests one after another, pipelined ones too."""

    def __init__(self, listener, reader, writer):
        self.listener, self.double, self.reader, self.writer = listener, listener.double, reader, writer
        self.address = writer.get_extra_info("peername")

    async def run(self):
        try:
            while True:
                head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), self.double.idle_timeout)
                try:
                    request = Request(head[:-4], self.address)
                    request.body = await self.body(request)
                except ValueError:
                    self.writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
                                      b"400 Bad Request")
                    break
                await self.double.serve(self.listener, self, request)
                if not request.keep:
                    break
            await self.writer.drain()
        except asyncio.CancelledError:
            self.writer.transport.abort()  # told to drop it, as a killed process does
        except (Hangup, OSError, EOFError, asyncio.LimitOverrunError, asyncio.TimeoutError):
            pass  # the peer left or idled too long, or a fault ends it
        finally:
            self.writer.close()

    async def body(self, request):
        if request.headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.headers.get("transfer-encoding", "").lower() == "chunked":
            out = b""
            while True:
                size = int((await self.reader.readline()).split(b";")[0], 16)
                if not size:
                    while (await self.reader.readline()).strip():
                        pass
                    return out
                out += (await self.reader.readexactly(size + 2))[:-2]
                if len(out) > BODY_MAX:
                    raise Hangup
        length = int(request.headers.get("content-length", 0))
        if length > BODY_MAX:
            raise Hangup
        return await self.reader.readexactly(length) if length else b""

    async def answer(self, request, code, body=b"", kind=None, headers=(), chunked=None):
        """Sends one answer. chunked None: by the body's size; headers: pairs, besides those of every answer."""
        double, fault = self.double, request.fault
        delay = double.latency_for(request.path)
        if delay:
            await asyncio.sleep(delay)
        if fault and fault.kind == "status":
            code, body, kind, headers = fault.value, b"", None, ()
        pairs = [("Access-Control-Allow-Origin", "*"), ("Server", "mediamtx"), *headers]
        if double.generation == "1.15":
            pairs.append(("Access-Control-Allow-Credentials", "true"))
        if kind:
            pairs.append(("Content-Type", kind))
        pairs.sort(key=lambda pair: pair[0])
        pairs.append(("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())))
        chunked = len(body) > LENGTH_MAX if chunked is None else chunked
        chunked = (chunked or bool(fault and fault.kind in ("endless", "bad_chunk"))) and request.protocol == "HTTP/1.1"
        if fault and fault.kind == "wrong_length":
            pairs.append(("Content-Length", str(max(0, len(body) + (fault.value or 1000)))))
            chunked = False
        elif chunked:
            pairs.append(("Transfer-Encoding", "chunked"))
        elif code != 204:
            pairs.append(("Content-Length", str(len(body))))
        if not request.keep:
            pairs.append(("Connection", "close"))
        reason = {200: "OK", 204: "No Content", 302: "Found", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized",
                  404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}.get(code, "Status")
        head = f"HTTP/1.1 {code} {reason}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in pairs) + "\r\n"
        self.writer.write(head.encode("latin-1"))
        request.code = code
        if request.method == "HEAD":
            return
        await self.send(body, chunked, fault)

    async def send(self, body, chunked, fault):
        kind = fault.kind if fault else None
        if kind in ("stall", "truncate", "bad_chunk"):
            half = len(body) // 2 if fault.after is None else min(fault.after, len(body))
            await self.pieces(body[:half], chunked)
            if kind == "stall":
                await asyncio.sleep(fault.seconds)
                body = body[half:]
            else:
                if kind == "bad_chunk":
                    self.writer.write(b"zz\r\n")
                await self.writer.drain()
                raise Hangup
        if not fault:
            return await self.burst(encoded(body) if chunked else body)
        if kind == "slow":
            await self.pieces(body, chunked, fault.value or 1024, 0.05)
        else:
            await self.pieces(body, chunked)
        if kind == "endless":
            line = b"#EXTINF:2.00000,\nendless.ts\n" * 512
            end = time.monotonic() + fault.seconds
            while time.monotonic() < end:
                await self.pieces(line, chunked)
            raise Hangup
        if chunked:
            self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()
        if kind == "wrong_length":
            raise Hangup

    async def burst(self, data):
        """The quick way of all answers without a fault."""
        if len(data) <= BURST:
            self.writer.write(data)
        else:
            view = memoryview(data)
            for at in range(0, len(data), BURST):
                if self.writer.is_closing():
                    raise Hangup
                self.writer.write(view[at:at + BURST])
                await self.writer.drain()
        await self.writer.drain()

    async def pieces(self, body, chunked, step=COPY, gap=0.0):
        for at in range(0, len(body), step):
            piece = body[at:at + step]
            if chunked:
                self.writer.write(b"%x\r\n" % len(piece))
            self.writer.write(piece)
            if chunked:
                self.writer.write(b"\r\n")
            if self.writer.is_closing():
                raise Hangup
            await self.writer.drain()
            if gap:
                await asyncio.sleep(gap)

    async def json(self, request, value, code=200, headers=()):
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        await self.answer(request, code, text, "application/json; charset=utf-8", headers)

    async def error(self, request, code, text, headers=()):
        await self.json(request, {"status": "error", "error": text}, code, headers)

    async def not_found(self, request):
        await self.answer(request, 404, b"404 page not found", "text/plain")


class Listener:
    """One port and its connections."""

    def __init__(self, double, name, handle, port=0):
        self.double, self.name, self.handle, self.port = double, name, handle, port
        self.server, self.tasks, self.accepted, self.closed = None, set(), 0, False

    async def open(self):
        self.closed = False
        self.server = await asyncio.start_server(self.connected, self.double.host, self.port, backlog=4096, limit=HEAD_MAX)
        self.port = self.server.sockets[0].getsockname()[1]

    async def connected(self, reader, writer):
        if self.closed:  # it came in the last moment
            writer.transport.abort()
            return
        task = asyncio.current_task()
        self.tasks.add(task)
        self.accepted += 1
        try:
            await Connection(self, reader, writer).run()
        finally:
            self.tasks.discard(task)

    async def close(self):
        """As a killed process: nothing listens, every connection is cut."""
        self.closed = True
        if self.server:
            self.server.close()
            self.server = None
        await self.drop()

    async def drop(self):
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)
