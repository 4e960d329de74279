"""gtv-streaming as a shared HTTP cache (RFC 9111): what it may keep, for whom, and what it passes on as it is. In front of an origin that
answers as each case says; all cases of one table wait at the same time."""

import json
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from test_streaming_hls import Proxy


class Scripted:
    """Answers the n-th request for a file with the n-th of its answers (the last one again): (status, fields, body)."""

    def __init__(self):
        self.answers, self.asked, self.lock = {}, {}, threading.Lock()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self):
                name = self.path.rsplit("/", 1)[1].split("?")[0]
                length = int(self.headers.get("Content-Length") or 0)
                with scripted.lock:
                    asked = scripted.asked.setdefault(name, [])
                    asked.append((self.command, self.path, self.headers, self.rfile.read(length)))
                    script = scripted.answers.get(name, [(404, [], b"404 page not found")])
                    status, fields, body = script[min(len(asked), len(script)) - 1]
                self.send_response_only(status)
                for field, value in fields:
                    self.send_header(field, value)
                if status not in (204, 304):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if status not in (204, 304):
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def script(self, name, *answers):
        self.answers[name] = [(status, list(fields.items()) if isinstance(fields, dict) else fields, body) for status, fields, body in answers]

    def count(self, name):
        return len(self.asked.get(name, []))


@pytest.fixture(scope="module")
def origin():
    made = Scripted()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def cache(spawn_module, origin):
    return Proxy(spawn_module, origin.url, origin.url, HLS_SEGMENT_CACHE_TTL=60)


def date(offset=0):
    return formatdate(time.time() + offset, usegmt=True)


OLD = {"Last-Modified": "Wed, 01 Jan 2020 00:00:00 GMT"}
# fields of the answer, and whether the next request may be answered with it
REUSE = {
    "max-age": ([("Cache-Control", "max-age=60")], True),
    "s-maxage": ([("Cache-Control", "s-maxage=60")], True),
    "shorter-s-maxage": ([("Cache-Control", "max-age=60, s-maxage=0")], False),
    "two-fields": ([("Cache-Control", "max-age=60"), ("Cache-Control", "s-maxage=0")], False),
    "expires": ([("Expires", date(600)), ("Date", date())], True),
    "expires-past": ([("Expires", date(-600)), ("Date", date())], False),
    "expires-invalid": ([("Expires", "0"), ("Date", date())], False),
    "max-age-before-expires": ([("Expires", date(600)), ("Cache-Control", "max-age=0")], False),
    "leading-zeros": ([("Cache-Control", "max-age=0060")], True),
    "case": ([("Cache-Control", "MaX-aGe=60")], True),
    "in-quotes": ([("Cache-Control", 'x="max-age=60", max-age=0')], False),
    "single-quotes": ([("Cache-Control", "max-age='60'")], False),
    "negative": ([("Cache-Control", "max-age=-60")], False),
    "no-store": ([("Cache-Control", "No-StOrE, max-age=60")], False),
    "no-cache": ([("Cache-Control", "no-cache, max-age=60")], False),
    "private": ([("Cache-Control", "private, max-age=60")], False),
    "age": ([("Cache-Control", "max-age=60"), ("Age", "120")], False),
    "age-text": ([("Cache-Control", "max-age=60"), ("Age", "abc")], False),
    "age-float": ([("Cache-Control", "max-age=60"), ("Age", "1.0")], False),
    "age-twice": ([("Cache-Control", "max-age=60"), ("Age", "0"), ("Age", "0")], False),
    "age-parameter": ([("Cache-Control", "max-age=60"), ("Age", "1;x=1")], False),
    "vary-star": ([("Cache-Control", "max-age=60"), ("Vary", "*")], False),
    "vary-star-later": ([("Cache-Control", "max-age=60"), ("Vary", "Foo"), ("Vary", ", *")], False),
    "vary-same": ([("Cache-Control", "max-age=60"), ("Vary", "Foo")], True),
    "no-words-of-a-file": ([], True),
}


@pytest.mark.parametrize("name", REUSE)
def test_reuse(cache, origin, name):
    fields, reused = REUSE[name]
    file = f"reuse-{name}.ts"
    origin.script(file, (200, fields, b"1"), (200, fields, b"2"))
    assert cache.get(f"/hls/t/{file}").content == b"1"
    again = cache.get(f"/hls/t/{file}")
    assert (again.content, again.headers["X-Cache"]) == ((b"1", "HIT") if reused else (b"2", "MISS"))


STATUSES = [201, 202, 203, 204, 299, 301, 302, 303, 307, 308, 400, 403, 404, 410, 418, 499, 500, 502, 503, 504, 599]


@pytest.mark.parametrize("status", STATUSES)
def test_statuses_are_passed_on(cache, origin, status):
    body = b"" if status == 204 else b"its own words"
    for kind, fields, fetches in (("no", OLD, 2), ("kept", {"Cache-Control": "max-age=60"}, 1),
                                  ("odd", {"Cache-Control": "max-age=60, must-understand"}, 1 if status not in (201, 202, 299, 418, 499, 599) else 2)):
        file = f"{kind}{status}.ts"
        origin.script(file, (status, {**fields, "X-Own": "yes", "Location": "/elsewhere"}, body))
        for _ in range(2):
            answer = cache.get(f"/hls/t/{file}", allow_redirects=False)
            assert answer.status_code == status and answer.content == body
            assert answer.headers["X-Own"] == "yes" and answer.headers["Location"] == "/elsewhere"
        assert origin.count(file) == fetches, kind


def test_the_nodes_own_errors_are_told_in_ours(cache, origin):
    for n, (status, body, code) in enumerate([(404, b"404 page not found", "not_found"), (404, b"", "not_found"), (400, b"", "bad_request"),
                                              (500, json.dumps({"status": "error", "error": "muxer broke"}).encode(), "upstream"), (503, b"", "upstream")]):
        origin.script(f"own{n}.ts", (status, {"Cache-Control": "max-age=60"}, body))
        answer = cache.get(f"/hls/t/own{n}.ts")
        assert answer.headers["Content-Type"].startswith("application/json") and answer.json()["code"] == code
    assert cache.get("/hls/t/never.m3u8").json()["code"] == "not_found"


def test_a_playlists_name_with_something_else(cache, origin):
    origin.script("page.m3u8", (200, {"Content-Type": "text/plain", "Cache-Control": "no-store"}, b"no playlist"))
    answer = cache.get("/hls/t/page.m3u8")
    assert answer.status_code == 200 and answer.text == "no playlist"


def test_fields(cache, origin):
    ends = {"ETag": '"x"', "Content-Encoding": "x-own", "Content-Language": "pt", "Content-Location": "/bar", "Link": "<x>", "Set-Cookie": "a=b",
            "X-Frame-Options": "deny", "Expires": "Mon, 11 Jan 2038 11:11:11 GMT", "Date": date(-1)}
    hops = {"Connection": "X-Hop", "X-Hop": "1", "Keep-Alive": "x", "TE": "x", "Upgrade": "x", "Proxy-Connection": "x", "Proxy-Authenticate": "x",
            "Proxy-Authentication-Info": "x", "Proxy-Authorization": "x"}
    origin.script("fields.ts", (200, {"Cache-Control": "max-age=60", **ends, **hops}, b"abc"))
    for cached in ("MISS", "HIT"):
        answer = cache.get("/hls/t/fields.ts", stream=True)
        assert answer.headers["X-Cache"] == cached and answer.raw.read(decode_content=False) == b"abc"
        assert {name: answer.headers.get(name) for name in ends} == ends
        assert not [name for name in hops if name != "Connection" and name in answer.headers]
        assert "X-Hop" not in answer.headers.get("Connection", "")
    asked = origin.asked["fields.ts"][0][2]
    assert not {"Cookie", "Authorization", "Range", "X-Forwarded-For"} & set(asked.keys())


def test_what_a_client_says_goes_on(cache, origin):
    origin.script("ask.ts", (200, {"Cache-Control": "max-age=60"}, b"abc"))
    cache.get("/hls/t/ask.ts?x=1&session=me&token=t", headers={"Abc": "1", "Cookie": "a=b", "Authorization": "Bearer x", "Connection": "Def", "Def": "1",
                                                               "If-None-Match": '"x"', "Range": "bytes=0-0"})
    _, path, fields, _ = origin.asked["ask.ts"][0]
    assert path == "/t/ask.ts?x=1" and fields["Abc"] == "1"
    assert not {"cookie", "authorization", "def", "if-none-match", "range"} & {name.lower() for name in fields}
    for query, fetches in (("x=1", 1), ("x=2", 2), ("x=2&session=other", 2)):
        cache.get(f"/hls/t/ask.ts?{query}")
        assert origin.count("ask.ts") == fetches


def test_variants(cache, origin):
    origin.script("vary.ts", *[(200, {"Cache-Control": "max-age=60", "Vary": "Foo, Accept-Encoding"}, str(n).encode()) for n in range(1, 9)])

    def ask(**fields):
        return cache.get("/hls/t/vary.ts", headers=fields).text

    assert [ask(Foo="a"), ask(Foo="b"), ask(), ask(Foo="b, c")] == ["1", "2", "3", "4"]
    assert [ask(Foo="a"), ask(Foo="a,"), ask(Foo="a", Other="x")] == ["1", "1", "1"]
    assert origin.count("vary.ts") == 4
    for n in range(60):  # bounded: they push each other out
        assert ask(Foo=f"v{n}") == str(min(8, 5 + n))
    assert ask(Foo="a") == "1"


def test_a_confirmation_updates_what_it_may(cache, origin):
    first = {"Cache-Control": "max-age=0", "ETag": '"v"', "X-Own": "1", "X-Kept": "1", "Content-Encoding": "x-a", "Content-MD5": "a", "Content-Type": "text/plain"}
    origin.script("confirm.ts", (200, first, b"abc"), (304, {"Cache-Control": "max-age=60", "X-Own": "2", "Content-Encoding": "x-b", "Content-MD5": "b",
                                                             "ETag": '"v"'}, b""))
    cache.get("/hls/t/confirm.ts", stream=True).raw.read()
    for cached in ("MISS", "HIT"):
        answer = cache.get("/hls/t/confirm.ts", stream=True)
        assert answer.status_code == 200 and answer.raw.read(decode_content=False) == b"abc" and answer.headers["X-Cache"] == cached
        got = [answer.headers[name] for name in ("X-Own", "X-Kept", "Content-Encoding", "Content-MD5", "Content-Type", "Cache-Control")]
        assert got == ["2", "1", "x-a", "a", "text/plain", "max-age=60"]
    assert origin.asked["confirm.ts"][1][2]["If-None-Match"] == '"v"' and origin.count("confirm.ts") == 2


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_changes_a_file_makes_it_invalid(cache, origin, method):
    fresh = {"Cache-Control": "max-age=60"}
    for name in ("file", "beside", "named", "other"):
        origin.script(f"{method}-{name}.ts", (200, fresh, b"old"))
        cache.get(f"/hls/t/{method}-{name}.ts")
    origin.script(f"{method}-file.ts", (200, {}, b""), (200, {"Location": f"/t/{method}-named.ts", "Content-Location": f"{method}-beside.ts"}, b"done"),
                  (500, {}, b"no"), (200, fresh, b"new"))
    done = requests.request(method, f"{cache.url}/hls/t/{method}-file.ts", data=b"xyz", timeout=60)
    assert done.status_code == 200 and done.text == "done" and origin.asked[f"{method}-file.ts"][1][0] == method
    assert origin.asked[f"{method}-file.ts"][1][3] == b"xyz"
    for name, fetches in (("beside", 2), ("named", 2), ("other", 1)):
        cache.get(f"/hls/t/{method}-{name}.ts")
        assert origin.count(f"{method}-{name}.ts") == fetches
    cache.get(f"/hls/t/{method}-other.ts")
    assert requests.request(method, f"{cache.url}/hls/t/{method}-file.ts", data=b"xyz", timeout=60).status_code == 500
    assert cache.get(f"/hls/t/{method}-file.ts").text == "new"


def test_only_if_cached(cache, origin):
    origin.script("only.ts", (200, {"Cache-Control": "max-age=60"}, b"abc"))
    assert cache.get("/hls/t/only.ts", headers={"Cache-Control": "only-if-cached"}).status_code == 504
    cache.get("/hls/t/only.ts")
    assert cache.get("/hls/t/only.ts", headers={"Cache-Control": "only-if-cached"}).text == "abc"
