"""The control API (v3) of the double."""

import asyncio
import base64
import hmac
import re
import uuid

from mtx_double.conf import GENERATIONS, Refused, check_conf, decode_conf
from mtx_double.hls import Path
from mtx_double.wire import stamp


class Api:
    """The control API (v3)."""

    METHODS, HEADERS = "OPTIONS, GET, POST, PATCH, DELETE", "Authorization, Content-Type"

    def __init__(self, double):
        self.double = double

    async def handle(self, connection, request):
        if request.method == "OPTIONS" and request.headers.get("access-control-request-method"):
            pairs = [("Access-Control-Allow-Methods", self.METHODS), ("Access-Control-Allow-Headers", self.HEADERS)]
            return await connection.answer(request, 204, headers=pairs)
        if not await self.allowed(connection, request):
            return None
        try:
            return await self.route(connection, request)
        except Refused as refused:
            return await connection.error(request, refused.code, refused.text)

    async def allowed(self, connection, request):
        if not self.double.auth:
            return True
        given = request.headers.get("authorization", "")
        if not given:
            await connection.error(request, 401, "authentication error", [("Www-Authenticate", 'Basic realm="mediamtx"')])
            return False
        wanted = "Basic " + base64.b64encode(":".join(self.double.auth).encode()).decode()
        if hmac.compare_digest(given.encode("latin-1"), wanted.encode("latin-1")):
            return True
        await asyncio.sleep(self.double.auth_delay)
        await connection.error(request, 401, "authentication error")
        return False

    async def route(self, connection, request):
        method, double = request.method, self.double
        if method == "POST" and request.path in ("/v3/config/paths/add", "/v3/config/paths/replace"):
            return await connection.answer(request, 307, headers=[("Location", request.path + "/")])
        lists = {"/v3/paths/list": lambda: [double.path_item(p) for p in double.listed_paths()],
                 "/v3/config/paths/list": lambda: [self.conf_item(p) for _, p in sorted(double.paths.items())],
                 "/v3/hlsmuxers/list": lambda: [self.muxer_item(m) for m in double.muxers()],
                 "/v3/hlssessions/list": self.sessions,
                 **{f"/v3/{kind}/list": list for kind in ("rtspconns", "rtspsessions", "rtspsconns", "rtspssessions", "rtmpconns",
                                                          "srtconns", "webrtcsessions", "recordings")}}
        if double.generation == "1.15":
            del lists["/v3/hlssessions/list"]
        if method == "GET" and request.path in lists:
            return await connection.json(request, self.page(lists[request.path](), request.args))
        if method == "GET" and request.path == "/v3/info":
            return await connection.json(request, {"version": GENERATIONS[double.generation], "started": stamp(double.started)})
        if method == "GET" and request.path == "/v3/config/pathdefaults/get":
            return await connection.json(request, {key: value for key, (_, value) in double.fields.items()})
        named = {("POST", "config/paths/add"): self.add, ("PATCH", "config/paths/patch"): self.patch,
                 ("POST", "config/paths/replace"): self.replace, ("DELETE", "config/paths/delete"): self.delete,
                 ("GET", "config/paths/get"): self.get_conf, ("GET", "paths/get"): self.get_path, ("GET", "hlsmuxers/get"): self.get_muxer}
        if double.generation != "1.15":
            named["GET", "hlssessions/get"] = self.get_session
            named["POST", "hlssessions/kick"] = self.kick
        for (verb, where), handler in named.items():
            prefix = f"/v3/{where}/"
            if method == verb and request.path.startswith(prefix):
                return await connection.json(request, handler(request.path[len(prefix):], request.body))
        return await connection.not_found(request)

    @staticmethod
    def page(items, args):
        def number(name, default):
            text = args.get(name) or str(default)
            if not re.fullmatch(r"\d+", text):
                raise Refused(400, f'strconv.ParseUint: parsing "{text}": invalid syntax')
            return int(text)

        size, page = number("itemsPerPage", 100), number("page", 0)
        if not size:
            raise Refused(400, "invalid items per page")
        return {"itemCount": len(items), "pageCount": -(-len(items) // size), "items": items[page * size:(page + 1) * size]}

    # Writes

    def decode(self, name, body):
        if not name:
            raise Refused(400, "invalid name")
        return decode_conf(body, self.double.fields, self.double.generation)

    def put(self, name, given):
        path = Path(name, given, self.double.fields)
        check_conf(name, path.conf, self.double.generation)
        self.double.put(path)
        return {"status": "ok"}

    def add(self, name, body):
        given = self.decode(name, body)
        if name in self.double.paths:
            raise Refused(400, "path already exists")
        return self.put(name, given)

    def patch(self, name, body):
        given = self.decode(name, body)
        if name not in self.double.paths:
            raise Refused(404, "path not found")
        return self.put(name, {**self.double.paths[name].given, **given})

    def replace(self, name, body):
        return self.put(name, self.decode(name, body))

    def delete(self, name, _):
        if not name:
            raise Refused(400, "invalid name")
        if name not in self.double.paths:
            raise Refused(404, "path not found")
        self.double.remove(name)
        return {"status": "ok"}

    # Reads

    @staticmethod
    def conf_item(path):
        return {"name": path.name, **path.conf}

    def get_conf(self, name, _):
        if name not in self.double.paths:
            raise Refused(404, "path configuration not found")
        return self.conf_item(self.double.paths[name])

    def get_path(self, name, _):
        if name not in self.double.paths:
            raise Refused(404, "path not found")
        return self.double.path_item(self.double.paths[name])

    def get_muxer(self, name, _):
        path = self.double.paths.get(name)
        if not path or not path.muxer:
            raise Refused(404, "muxer not found")
        return self.muxer_item(path.muxer)

    def muxer_item(self, muxer):
        item = {"path": muxer.path.name, "created": stamp(muxer.created), "lastRequest": stamp(muxer.last)}
        if self.double.generation == "1.20":
            item.update({"outboundBytes": muxer.bytes, "outboundFramesDiscarded": 0})
        return {**item, "bytesSent": muxer.bytes}

    def sessions(self):
        found = [s for muxer in self.double.muxers() for s in muxer.sessions.values()]
        return [s.item() for s in sorted(found, key=lambda s: s.created)]

    def session(self, name):
        try:
            uuid.UUID(name)
        except ValueError:
            raise Refused(400, f"invalid UUID length: {len(name)}") from None
        for muxer in self.double.muxers():
            for session in muxer.sessions.values():
                if session.id == name:
                    return session
        raise Refused(404, "session not found")

    def get_session(self, name, _):
        return self.session(name).item()

    def kick(self, name, _):
        session = self.session(name)
        del session.muxer.sessions[session.secret]
        return {"status": "ok"}
