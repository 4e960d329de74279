"""Holds the double of MediaMTX to what was measured of the two generations, so that what passes against it means something."""

import concurrent.futures
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest
from fixtures_mediamtx import mediamtx_double  # noqa: F401 - a fixture

from conftest import wait_until
from mediamtx_double import Double

BOTH = ["1.15", "1.20"]
BEARER = {"Authorization": "Bearer cdn"}
FAST = {"segment_duration": 0.4, "part_duration": 0.2, "bitrate": 400_000, "auth_delay": 0.3}
OK = {"status": "ok"}


class Answer:
    def __init__(self, raw, seconds):
        self.status, self.headers, self.body, self.seconds = raw.status, raw.headers, raw.read(), seconds
        self.text = self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def fault(self):
        value = self.json
        assert value.keys() == {"status", "error"} and value["status"] == "error"
        return value["error"]


def ask(url, path, method="GET", body=None, headers=None, source=None, timeout=60):
    """One request on a connection of its own. body: text as it is, or a value for JSON; source: the client's address."""
    where = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=timeout, source_address=(source, 0) if source else None)
    if body is not None and not isinstance(body, (str, bytes)):
        body = json.dumps(body)
    began = time.monotonic()
    connection.request(method, path, body, headers or {})
    raw = connection.getresponse()
    try:
        return Answer(raw, time.monotonic() - began)
    finally:
        connection.close()


# ---- control API ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=BOTH)
def node(request):
    with Double(generation=request.param, **FAST) as double:
        yield double


@pytest.fixture
def api(node):
    node.forget()
    return lambda path, method="GET", body=None, **more: ask(node.api_url, path, method, body, **more)


def add(api, name, body="{}"):
    return api(f"/v3/config/paths/add/{name}", "POST", body)


def test_the_double_says_what_it_is():
    assert "double of MediaMTX, not MediaMTX" in sys.modules["mediamtx_double"].__doc__.split("\n")[0]


def test_api_common_shape(node, api):
    answer = api("/v3/info")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Server"] == "mediamtx"
    assert answer.headers["Access-Control-Allow-Credentials"] == ("true" if node.generation == "1.15" else None)
    assert answer.json["version"].startswith("v" + node.generation)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", answer.json["started"])
    assert int(answer.headers["Content-Length"]) == len(answer.body)


def test_api_bodies_over_2048_bytes_are_chunked(api):
    for i in range(20):
        assert add(api, f"cam_{i}").json == OK
    answer = api("/v3/paths/list")
    assert len(answer.body) > 2048 and answer.headers["Transfer-Encoding"] == "chunked" and "Content-Length" not in answer.headers


@pytest.mark.parametrize("method,path", [("HEAD", "/v3/paths/list"), ("GET", "/v3/nothing"), ("PUT", "/v3/config/paths/add/x"),
                                         ("GET", "/v3/config/paths/add/x"), ("GET", "/"), ("OPTIONS", "/v3/paths/list")])
def test_api_unknown_routes_are_404_text(api, method, path):
    answer = api(path, method)
    assert answer.status == 404 and answer.headers["Content-Type"] == "text/plain"
    assert answer.text == ("" if method == "HEAD" else "404 page not found")


def test_api_preflight(mediamtx_double):  # noqa: F811
    double = mediamtx_double(auth=("u", "p"), **FAST)
    answer = ask(double.api_url, "/v3/paths/list", "OPTIONS", headers={"Access-Control-Request-Method": "GET"})
    assert answer.status == 204 and not answer.body
    assert answer.headers["Access-Control-Allow-Methods"] == "OPTIONS, GET, POST, PATCH, DELETE"
    assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"


def test_api_auth(mediamtx_double):  # noqa: F811
    double = mediamtx_double(auth=("user", "secret"), **{**FAST, "auth_delay": 2.0})
    none = ask(double.api_url, "/v3/info")
    assert none.status == 401 and none.fault == "authentication error" and none.seconds < 2
    assert none.headers["Www-Authenticate"] == 'Basic realm="mediamtx"'
    wrong = ask(double.api_url, "/v3/info", headers={"Authorization": "Basic dXNlcjp3cm9uZw=="})
    assert wrong.status == 401 and wrong.fault == "authentication error" and 1.9 < wrong.seconds < 30
    assert "Www-Authenticate" not in wrong.headers
    assert ask(double.api_url, "/v3/info", headers={"Authorization": "Basic dXNlcjpzZWNyZXQ="}).status == 200


def test_api_credentials_are_harmless_where_none_are_wanted(api):
    assert api("/v3/info", headers={"Authorization": "Basic eDp5"}).status == 200


@pytest.mark.parametrize("body", ["{}", "null"])
def test_add_defaults_and_duplicates(api, body):
    assert add(api, "a/b/c", body).json == OK
    conf = api("/v3/config/paths/get/a/b/c").json
    assert next(iter(conf)) == "name" and conf["name"] == "a/b/c" and conf["source"] == "publisher"
    again = add(api, "a/b/c", body)
    assert (again.status, again.fault) == (400, "path already exists")


def test_request_content_type_is_ignored(api):
    assert api("/v3/config/paths/add/x", "POST", '{"source":"rtsp://127.0.0.1:1/x"}',
               headers={"Content-Type": "application/x-www-form-urlencoded"}).json == OK


def test_add_without_the_slash_redirects(api):
    answer = api("/v3/config/paths/add", "POST", "{}")
    assert (answer.status, answer.headers["Location"], answer.body) == (307, "/v3/config/paths/add/", b"")


CHARS = {"1.15": "can contain only alphanumeric characters, underscore, dot, tilde, minus, slash, colon",
         "1.20": "can contain only alphanumeric characters, underscore, dot, minus, slash"}


def test_add_refuses_names(node, api):
    cases = {"": "invalid name", "bad%20name": f"invalid path name 'bad name': {CHARS[node.generation]}",
             "c%C3%A2mera": f"invalid path name 'câmera': {CHARS[node.generation]}",
             "/x": "invalid path name '/x': can't begin with a slash", "x/": "invalid path name 'x/': can't end with a slash",
             "~%5B": "invalid regular expression: ["}
    for name, text in cases.items():
        answer = add(api, name)
        assert (answer.status, answer.fault) == (400, text)
    assert add(api, "~%5Ecam").json == OK
    dots = add(api, "a/../b")
    if node.generation == "1.20":
        assert (dots.status, dots.fault) == (400, "invalid path name 'a/../b': can't contain dot path segments")
        assert add(api, "a:b").status == 400
    else:
        assert dots.json == OK and add(api, "a:b").json == OK


BODIES = [  # body, 1.20's sentence, 1.15's (None: the same; True: accepted)
    ('{"source":', "unexpected end of JSON input", "unexpected EOF"),
    ('{"source":"rts', "unexpected end of JSON input", "unexpected EOF"),
    ("", "unexpected end of JSON input", "EOF"),
    ("[]", "json: cannot unmarshal array into Go value of type map[string]json.RawMessage", None),
    ("{}x", "invalid character 'x' after top-level value", True),
    ('{"sourceOnDemand":"yes"}', "json: cannot unmarshal string into Go value of type bool",
     "json: cannot unmarshal string into Go struct field .sourceOnDemand of type bool"),
    ('{"source":"rtsp://127.0.0.1/x","sourceOnDemandStartTimeout":"ten"}', 'time: invalid duration "ten"', None),
    ('{"colour":1}', 'json: unknown field "colour"', None),
    ('{"source":"ftp://127.0.0.1/x"}', "invalid source: 'ftp://127.0.0.1/x'", None),
    ('{"source":""}', "invalid source: ''", None),
    ('{"source":"rtsp://127.0.0.1:port/x"}', "'rtsp://127.0.0.1:port/x' is not a valid URL", None),
    ('{"source":"rtsp://"}', "'rtsp://' is not a valid URL", True),
    ('{"sourceOnDemand":true}', "'sourceOnDemand' is useless when source is 'publisher'", None),
    ('{"record":false,"recordPath":"/rec/%Y-%m-%d_%H-%M-%S-%f"}', "'recordPath' must contain %path", None),
]


@pytest.mark.parametrize("body,new,old", BODIES, ids=[b[0][:40] or "empty" for b in BODIES])
def test_add_refuses_bodies(node, api, body, new, old):
    text = new if node.generation == "1.20" or old is None else old
    answer = add(api, "x", body)
    if text is True:
        assert answer.json == OK
    else:
        assert (answer.status, answer.fault) == (400, text)
        assert api("/v3/config/paths/get/x").status == 404


def test_the_contracts_body_with_path_is_taken(api):
    body = {"source": "rtsp://127.0.0.1:1/x", "sourceOnDemand": True, "record": False, "recordFormat": "fmp4",
            "recordPath": "/recordings/%path/%Y-%m-%d_%H-%M-%S-%f"}
    assert add(api, "cam_1", json.dumps(body)).json == OK
    conf = api("/v3/config/paths/get/cam_1").json
    assert {k: conf[k] for k in body} == body


def test_sources_are_never_probed(api):
    assert add(api, "x", '{"source":"rtsp://127.0.0.1:1/none"}').json == OK


def test_patch_changes_only_what_is_given(api):
    add(api, "x", '{"source":"rtsp://127.0.0.1/a","maxReaders":3}')
    assert api("/v3/config/paths/patch/x", "PATCH", {"sourceOnDemand": True}).json == OK
    conf = api("/v3/config/paths/get/x").json
    assert (conf["source"], conf["maxReaders"], conf["sourceOnDemand"]) == ("rtsp://127.0.0.1/a", 3, True)
    unknown = api("/v3/config/paths/patch/y", "PATCH", {})
    assert (unknown.status, unknown.fault) == (404, "path not found")
    assert api("/v3/config/paths/patch/x", "PATCH", '{"colour":1}').fault == 'json: unknown field "colour"'
    assert api("/v3/config/paths/patch/x", "PATCH", "[]").status == 400


def test_replace_creates_and_resets(api):
    assert api("/v3/config/paths/replace/x", "POST", {"maxReaders": 3}).json == OK
    assert api("/v3/config/paths/replace/x", "POST", {"source": "rtsp://127.0.0.1/a"}).json == OK
    conf = api("/v3/config/paths/get/x").json
    assert (conf["source"], conf["maxReaders"]) == ("rtsp://127.0.0.1/a", 0)


def test_delete_and_get_by_name(api):
    add(api, "x")
    assert api("/v3/config/paths/delete/x", "DELETE").json == OK
    for path, method, code, text in [("config/paths/delete/x", "DELETE", 404, "path not found"),
                                     ("config/paths/delete/", "DELETE", 400, "invalid name"),
                                     ("config/paths/get/x", "GET", 404, "path configuration not found"),
                                     ("paths/get/x", "GET", 404, "path not found"), ("hlsmuxers/get/x", "GET", 404, "muxer not found")]:
        answer = api(f"/v3/{path}", method)
        assert (answer.status, answer.fault) == (code, text)


@pytest.mark.parametrize("kind", ["paths", "config/paths", "hlsmuxers"])
def test_paging(node, api, kind):
    assert api(f"/v3/{kind}/list").json == {"itemCount": 0, "pageCount": 0, "items": []}
    for query, text in [("itemsPerPage=0", "invalid items per page"),
                        ("itemsPerPage=abc", 'strconv.ParseUint: parsing "abc": invalid syntax'),
                        ("itemsPerPage=-1", 'strconv.ParseUint: parsing "-1": invalid syntax'),
                        ("page=abc", 'strconv.ParseUint: parsing "abc": invalid syntax')]:
        answer = api(f"/v3/{kind}/list?{query}")
        assert (answer.status, answer.fault) == (400, text)
    if kind == "hlsmuxers":
        return
    for i in range(250):
        node.add_path(f"cam_{i:03d}", source="rtsp://127.0.0.1/x")
    first = api(f"/v3/{kind}/list?itemsPerPage=&page=").json
    assert (first["itemCount"], first["pageCount"], len(first["items"])) == (250, 3, 100)
    names = [i["name"] for page in range(3) for i in api(f"/v3/{kind}/list?page={page}").json["items"]]
    assert names == [f"cam_{i:03d}" for i in range(250)]
    assert api(f"/v3/{kind}/list?page=3").json == {"itemCount": 250, "pageCount": 3, "items": []}
    assert api(f"/v3/{kind}/list?itemsPerPage=60").json["pageCount"] == 5


OLD_KEYS = "name confName source ready readyTime tracks bytesReceived bytesSent readers"
NEW_KEYS = ("name confName ready readyTime available availableTime online onlineTime source tracks tracks2 readers inboundBytes "
            "outboundBytes inboundFramesInError bytesReceived bytesSent")


def test_path_items(node, api):
    new = node.generation == "1.20"
    node.add_path("idle", state="offline")
    node.add_path("published", state="ready")
    node.add_path("dead", state="offline", source="rtsp://127.0.0.1/x")
    node.add_path("demand", source="rtsp://127.0.0.1/x", sourceOnDemand=True)
    node.add_path("pulled", source="rtsp://127.0.0.1/x")
    items = {i["name"]: i for i in api("/v3/paths/list").json["items"]}
    for name, item in items.items():
        assert " ".join(item) == (NEW_KEYS if new else OLD_KEYS)
        assert item.keys() == api(f"/v3/paths/get/{name}").json.keys()
        assert item["readers"] == [] and item["tracks"] == (["H264"] if item["ready"] else [])
    assert [n for n, i in items.items() if i["ready"]] == ["published", "pulled"]
    pulled = {"type": "rtspSource", "id": ""}
    assert items["idle"]["source"] is None and items["idle"]["readyTime"] is None
    assert items["dead"]["source"] == items["demand"]["source"] == items["pulled"]["source"] == pulled
    assert items["published"]["source"]["type"] == "rtspSession" and len(items["published"]["source"]["id"]) == 36
    if new:
        assert items["dead"]["online"] is True and items["dead"]["onlineTime"] == "0001-01-01T00:00:00Z" and not items["dead"]["available"]
        assert items["pulled"]["tracks2"] == [{"codec": "H264", "codecProps": {"width": 1280, "height": 720, "profile": "Main", "level": "3.1"}}]


def test_effective_configuration(node, api):
    add(api, "x", '{"source":"rtsp://user:pass@127.0.0.1/x"}')
    conf = api("/v3/config/paths/get/x").json
    assert conf["source"] == "rtsp://user:pass@127.0.0.1/x"  # in clear, as there
    assert (conf["sourceOnDemandStartTimeout"], conf["recordSegmentDuration"], conf["recordDeleteAfter"]) == ("10s", "1h0m0s", "1d")
    assert conf["recordMaxPartSize"] == "50M" and conf["record"] is False and conf["rtspUDPSourcePortRange"] == [10000, 65535]
    assert conf["rtspTransport"] == "automatic" and conf["overridePublisher"] is True and conf["maxReaders"] == 0
    if node.generation == "1.20":
        assert len(conf) == 84 and {"alwaysAvailable", "forward", "whepBearerToken", "rpiCameraCamID", "runOnAvailable"} <= conf.keys()


def test_other_lists(node, api):
    empty = {"itemCount": 0, "pageCount": 0, "items": []}
    for kind in ("rtspconns", "rtspsessions", "recordings"):
        assert api(f"/v3/{kind}/list").json == empty
    sessions = api("/v3/hlssessions/list")
    assert sessions.status == 404 if node.generation == "1.15" else sessions.json == empty


# ---- HLS ------------------------------------------------------------------------------------------------------------------------


def start(make, generation="1.20", variant="mpegts", **more):
    double = make(generation=generation, variant=variant, **{**FAST, "paths": {"cam": "ready"}, **more})
    return double, lambda path, method="GET", **how: ask(double.hls_url, path, method, **how)


def first_media(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("generation", BOTH)
def test_hls_common(mediamtx_double, generation):  # noqa: F811
    _, get = start(mediamtx_double, generation)
    slash = get("/cam")
    assert (slash.status, slash.headers["Location"]) == (302, "/cam/")
    page = get("/not_there/")
    assert (page.status, page.headers["Content-Type"], page.headers["Cache-Control"]) == (200, "text/html", "max-age=3600")
    for method in ("HEAD", "POST"):
        answer = get("/cam/index.m3u8", method)
        assert answer.status == 404 and answer.headers["Content-Type"] == "text/plain"
    preflight = get("/cam/index.m3u8", "OPTIONS", headers={"Access-Control-Request-Method": "GET"})
    assert preflight.status == 204 and preflight.headers["Access-Control-Allow-Methods"] == "OPTIONS, GET"
    assert preflight.headers["Access-Control-Allow-Headers"] == "Authorization, Range"
    for answer in (slash, page, preflight):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_redirect_then_cookie_session(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double)
    first = get("/cam/index.m3u8?a=1")
    assert (first.status, first.headers["Location"], first.body) == (302, "/cam/index.m3u8?a=1&cookieCheck=1", b"")
    assert first.headers["Set-Cookie"] == "cookieCheck=1; HttpOnly; Secure; SameSite=None; Partitioned"
    index = get("/cam/index.m3u8?cookieCheck=1", headers={"Cookie": "cookieCheck=1"})
    assert index.status == 200 and index.headers["Cache-Control"] == "private, no-cache"
    cookie = re.fullmatch(r"(hlsSession=[0-9a-f-]{36}); HttpOnly; Secure; SameSite=None; Partitioned", index.headers["Set-Cookie"])[1]
    assert first_media(index.text) == ["main_stream.m3u8"]
    with_cookie = {"Cookie": f"cookieCheck=1; {cookie}"}
    playlist = get("/cam/main_stream.m3u8", headers=with_cookie)
    assert playlist.status == 200 and playlist.headers["Cache-Control"] == "private, no-cache" and "session=" not in playlist.text
    segment = get("/cam/" + first_media(playlist.text)[0], headers=with_cookie)
    assert segment.status == 200 and segment.headers["Cache-Control"] == "private, no-cache"
    for headers, source in (({}, None), (with_cookie, "127.0.0.2"), ({"Cookie": "hlsSession=x"}, None)):
        for name in ("main_stream.m3u8", first_media(playlist.text)[0]):
            dead = get(f"/cam/{name}", headers=headers, source=source)
            assert (dead.status, dead.fault) == (401, "authentication error")
    gone = get("/cam/000000000000_main_seg0.ts", headers=with_cookie)
    assert (gone.status, gone.text) == (404, "404 page not found")
    double.kill_sessions("cam")
    assert get("/cam/main_stream.m3u8", headers=with_cookie).status == 401


def test_session_in_the_query(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double)
    index = get("/cam/index.m3u8?cookieCheck=1&user=x", headers={"User-Agent": "test/1"})
    assert "Set-Cookie" not in index.headers
    name, session = re.fullmatch(r"(main_stream\.m3u8)\?session=([0-9a-f-]{36})&user=x", first_media(index.text)[0]).groups()
    playlist = get(f"/cam/{name}?session={session}")
    assert all(uri.endswith(f"?session={session}") for uri in first_media(playlist.text))
    assert get("/cam/" + first_media(playlist.text)[-1]).status == 200
    listed = ask(double.api_url, "/v3/hlssessions/list").json["items"]
    assert len(listed) == 1
    assert " ".join(listed[0]) == "id created remoteAddr path query user userAgent isCDN outboundBytes"
    assert (listed[0]["path"], listed[0]["query"], listed[0]["userAgent"], listed[0]["isCDN"]) == ("cam", "user=x", "test/1", False)
    assert listed[0]["remoteAddr"].startswith("127.0.0.1:") and listed[0]["outboundBytes"] > 0
    readers = ask(double.api_url, "/v3/paths/get/cam").json["readers"]
    assert readers == [{"type": "hlsSession", "id": listed[0]["id"]}]
    assert ask(double.api_url, f"/v3/hlssessions/kick/{listed[0]['id']}", "POST").json == OK
    assert ask(double.api_url, f"/v3/hlssessions/kick/{listed[0]['id']}", "POST").status == 404
    assert get(f"/cam/{name}?session={session}").status == 401


@pytest.mark.parametrize("variant", ["mpegts", "fmp4"])
def test_cdn(mediamtx_double, variant):  # noqa: F811
    double, get = start(mediamtx_double, variant=variant, cdn_secret="cdn", segment_duration=1.0)
    stream = "main" if variant == "mpegts" else "video1"
    cold = get(f"/cam/{stream}_stream.m3u8", headers=BEARER)
    assert (cold.status, cold.fault) == (401, "authentication error")
    index = get("/cam/index.m3u8", headers=BEARER)
    assert index.status == 200 and index.headers["Cache-Control"] == "public, max-age=30" and "Set-Cookie" not in index.headers
    playlist = get(f"/cam/{stream}_stream.m3u8", headers=BEARER)
    assert playlist.headers["Cache-Control"] == "public, max-age=1" and "session=" not in index.text + playlist.text
    segment = get("/cam/" + first_media(playlist.text)[-1], headers=BEARER)
    assert segment.headers["Cache-Control"] == "public, max-age=3600"
    get("/cam/index.m3u8", headers=BEARER, source="127.0.0.2")
    sessions = ask(double.api_url, "/v3/hlssessions/list").json["items"]
    assert len(sessions) == 1 and sessions[0]["isCDN"] is True
    assert get("/cam/index.m3u8", headers={"Authorization": "Bearer wrong"}).status == 302
    old = double.prefix("cam")
    double.restart_muxer("cam")
    assert get(f"/cam/{stream}_stream.m3u8", headers=BEARER).status == 401
    assert get("/cam/index.m3u8", headers=BEARER).status == 200 and double.prefix("cam") != old


@pytest.mark.parametrize("variant", ["mpegts", "fmp4", "lowLatency"])
def test_hls_of_115_needs_no_session(mediamtx_double, variant):  # noqa: F811
    double, get = start(mediamtx_double, "1.15", variant)
    index = get("/cam/index.m3u8")
    assert index.status == 200 and index.headers["Cache-Control"] == "max-age=30"
    playlist = get("/cam/" + first_media(index.text)[0])
    assert playlist.status == 200 and playlist.headers["Cache-Control"] == "no-cache"
    segment = get("/cam/" + first_media(playlist.text)[-1], source="127.0.0.2")
    assert segment.status == 200 and segment.headers["Cache-Control"] == "max-age=3600"
    assert ask(double.api_url, "/v3/paths/get/cam").json["readers"] == [{"type": "hlsMuxer", "id": ""}]
    missing = get("/cam/000000000000_main_seg0.ts")
    assert (missing.status, missing.text) == (404, "404 page not found")


def test_paths_without_a_stream(mediamtx_double):  # noqa: F811
    for generation in BOTH:
        double, get = start(mediamtx_double, generation, paths={"idle": "offline"})
        double.add_path("dead", "offline", source="rtsp://127.0.0.1/x", sourceOnDemand=True, sourceOnDemandStartTimeout="500ms")
        for name in ("none", "idle"):
            answer = get(f"/{name}/index.m3u8?cookieCheck=1")
            assert answer.status == 404
            assert answer.text == "404 page not found" if generation == "1.15" else answer.fault == f"no stream is available on path '{name}'"
        dead = get("/dead/index.m3u8?cookieCheck=1")
        assert 0.4 < dead.seconds < 30
        if generation == "1.15":
            assert (dead.status, dead.text) == (404, "404 page not found")
        else:
            assert (dead.status, dead.fault) == (500, "source of path 'dead' has timed out")
            bad = get("/a/../b/index.m3u8?cookieCheck=1")
            assert bad.status == 500 and bad.fault.startswith("invalid path name: ")


def test_an_on_demand_source_starts_and_is_left(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, "1.15", paths={}, muxer_close_after=2.0)
    double.add_path("cam", "offline", source="rtsp://127.0.0.1/x", sourceOnDemand=True, sourceOnDemandCloseAfter="500ms")
    ready = lambda: ask(double.api_url, "/v3/paths/get/cam").json["ready"]  # noqa: E731
    with concurrent.futures.ThreadPoolExecutor() as pool:
        index = pool.submit(get, "/cam/index.m3u8")
        time.sleep(0.2)
        assert not ready()
        double.set_state("cam", "ready")
        assert index.result().status == 200 and ready()
    wait_until(lambda: not ready() and double.prefix("cam") is None, what="nobody is left")


@pytest.mark.parametrize("variant,segments", [("mpegts", 1), ("fmp4", 2)])
def test_the_first_index_is_held_open(mediamtx_double, variant, segments):  # noqa: F811
    _, get = start(mediamtx_double, "1.15", variant, segment_duration=1.0)
    first, second = get("/cam/index.m3u8"), get("/cam/index.m3u8")
    assert first.status == 200 and segments * 1.0 - 0.05 < first.seconds < segments * 1.0 + 20 and second.seconds < first.seconds
    playlist = get("/cam/" + first_media(first.text)[0])
    assert segments <= len(first_media(playlist.text)) <= segments + 2


def test_sessions_and_muxers_end_without_requests(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, session_timeout=1.5, muxer_close_after=5.0)
    index = get("/cam/index.m3u8?cookieCheck=1")
    uri = "/cam/" + first_media(index.text)[0]
    assert get(uri).status == 200
    muxer = ask(double.api_url, "/v3/hlsmuxers/get/cam").json
    assert " ".join(muxer) == "path created lastRequest outboundBytes outboundFramesDiscarded bytesSent"
    time.sleep(2)
    assert get(uri).status == 401 and double.prefix("cam")
    wait_until(lambda: double.prefix("cam") is None, what="the muxer's end")


def test_wire_of_playlists_and_segments(mediamtx_double):  # noqa: F811
    _, get = start(mediamtx_double, "1.15")
    index = get("/cam/index.m3u8")
    assert index.headers["Content-Type"] == "application/vnd.apple.mpegurl" and int(index.headers["Content-Length"]) == len(index.body)
    playlist = get("/cam/main_stream.m3u8")
    assert int(playlist.headers["Content-Length"]) == len(playlist.body)
    segment = get("/cam/" + first_media(playlist.text)[0], headers={"Range": "bytes=0-9"})
    assert segment.status == 200 and segment.headers["Content-Type"] == "video/mp2t" and len(segment.body) > 1000
    assert segment.headers["Transfer-Encoding"] == "chunked" and "Content-Length" not in segment.headers
    assert "ETag" not in segment.headers and "Last-Modified" not in segment.headers


def test_mpegts_playlist(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, "1.15")
    index = get("/cam/index.m3u8").text.splitlines()
    assert index[:4] == ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-INDEPENDENT-SEGMENTS", ""]
    assert re.fullmatch(r'#EXT-X-STREAM-INF:BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+,CODECS="avc1\.4d401f",RESOLUTION=1280x720,'
                        r'FRAME-RATE=25\.000', index[4]) and index[5:] == ["main_stream.m3u8"]
    time.sleep(9 * 0.4)
    lines = get("/cam/main_stream.m3u8").text.splitlines()
    assert lines[:4] == ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-ALLOW-CACHE:NO", "#EXT-X-TARGETDURATION:1"]
    first = int(re.fullmatch(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", lines[4])[1])
    assert first > 0 and len(lines) == 5 + 7 * 3
    for i in range(7):
        date, inf, uri = lines[5 + 3 * i:8 + 3 * i]
        assert re.fullmatch(r"#EXT-X-PROGRAM-DATE-TIME:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", date) and inf == "#EXTINF:0.40000,"
        assert uri == f"{double.prefix('cam')}_main_seg{first + i}.ts"
    assert re.fullmatch(r"[0-9a-f]{12}", double.prefix("cam"))
    assert get(f"/cam/{double.prefix('cam')}_main_seg0.ts").status == 404


def test_fmp4_playlist(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, "1.15", "fmp4", segment_count=50)
    assert get("/cam/index.m3u8").text.splitlines()[1] == "#EXT-X-VERSION:10"
    time.sleep(5 * 0.4)
    text = get("/cam/video1_stream.m3u8").text
    prefix = double.prefix("cam")
    assert f'#EXT-X-VERSION:10\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-MAP:URI="{prefix}_video1_init.mp4"\n' in text
    assert text.count("#EXT-X-PROGRAM-DATE-TIME") == 2 and "#EXT-X-PART" not in text
    assert re.fullmatch(rf"{prefix}_video1_seg\d+\.mp4", first_media(text)[-1])
    init = get(f"/cam/{prefix}_video1_init.mp4")
    assert init.status == 200 and init.headers["Content-Type"] == "video/mp4" and init.body[4:8] == b"ftyp"


def test_low_latency_playlist(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, "1.15", "lowLatency", segment_duration=2.0)
    get("/cam/index.m3u8")
    text = get("/cam/video1_stream.m3u8").text
    prefix = double.prefix("cam")
    assert "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.50000,CAN-SKIP-UNTIL=12.00000\n" in text
    assert "#EXT-X-PART-INF:PART-TARGET=0.20000\n" in text and f'#EXT-X-MAP:URI="{prefix}_video1_init.mp4"' in text
    assert text.count("#EXT-X-GAP\n#EXTINF:2.00000,\ngap.mp4\n") == 6
    sequence = int(re.search(r"MEDIA-SEQUENCE:(\d+)", text)[1])
    assert first_media(text) == ["gap.mp4"] * 6 + [f"{prefix}_video1_seg{sequence + 6}.mp4"]
    parts = re.findall(r'#EXT-X-PART:DURATION=0\.20000,URI="(\S+)"(,INDEPENDENT=YES)?', text)
    assert len(parts) >= 10 and parts[0] == (f"{prefix}_video1_part0.mp4", ",INDEPENDENT=YES") and parts[1][1] == ""
    assert text.endswith(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{prefix}_video1_part{len(parts)}.mp4"\n')
    skipped = get("/cam/video1_stream.m3u8?_HLS_skip=YES").text
    assert "#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n" in skipped and "#EXT-X-MAP" not in skipped and skipped.count("#EXT-X-GAP") == 4


def test_low_latency_blocking_reload(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, "1.15", "lowLatency", segment_duration=2.0)
    get("/cam/index.m3u8")
    text = get("/cam/video1_stream.m3u8").text
    last = int(re.findall(r"_seg(\d+)\.mp4", text)[-1])
    shown = len(re.findall("#EXT-X-PART:", text.split(f"_seg{last}.mp4")[1]))
    hint = re.search(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', text)[1]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        part = pool.submit(get, f"/cam/{hint}")
        held = get(f"/cam/video1_stream.m3u8?_HLS_msn={last + 1}&_HLS_part={shown + 1}")
        part = part.result()
    assert held.status == 200 and f'PART:DURATION=0.20000,URI="{hint}"' in held.text
    assert part.status == 200 and part.body[4:8] == b"moof" and "_HLS_" not in held.text
    for query in (f"_HLS_msn={last + 9}", f"_HLS_part={shown}", "_HLS_msn=x"):
        bad = get(f"/cam/video1_stream.m3u8?{query}")
        assert (bad.status, bad.body) == (400, b"")
    past_the_end = get(f"/cam/video1_stream.m3u8?_HLS_msn={last}&_HLS_part=99")  # taken as the next segment's first part
    assert past_the_end.status == 200
    with concurrent.futures.ThreadPoolExecutor() as pool:
        held = pool.submit(get, f"/cam/video1_stream.m3u8?_HLS_msn={last + 2}")
        time.sleep(0.1)
        double.restart_muxer("cam")
        assert held.result().status == 500


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="needs ffprobe")
@pytest.mark.parametrize("variant", ["mpegts", "fmp4", "lowLatency"])
def test_the_media_plays(mediamtx_double, tmp_path, variant):  # noqa: F811
    _, get = start(mediamtx_double, "1.15", variant, segment_count=50)
    get("/cam/index.m3u8")
    time.sleep(1.0)
    text = get(f"/cam/{'main' if variant == 'mpegts' else 'video1'}_stream.m3u8").text
    names = [n for n in first_media(text) if n != "gap.mp4"]
    names[:0] = re.findall(r'#EXT-X-MAP:URI="([^"]+)"', text)
    media = tmp_path / "media"
    media.write_bytes(b"".join(get(f"/cam/{name}").body for name in names))
    probe = subprocess.run(["ffprobe", "-v", "warning", "-count_frames", "-show_entries", "stream=codec_name,width,height,nb_read_frames",
                            "-of", "json", str(media)], capture_output=True, text=True, check=True)
    segments = sum("_seg" in name for name in names)
    assert not probe.stderr.strip() and json.loads(probe.stdout)["streams"] == [
        {"codec_name": "h264", "width": 1280, "height": 720, "nb_read_frames": str(10 * segments)}]


# ---- what tests do to it --------------------------------------------------------------------------------------------------------


def test_forget_is_a_restart(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double)
    double.add_path("cam_1", source="rtsp://127.0.0.1/x")
    before = ask(double.api_url, "/v3/info").json["started"]
    session = "/cam/" + first_media(get("/cam/index.m3u8?cookieCheck=1").text)[0]
    prefix = double.prefix("cam")
    double.forget()
    assert [i["name"] for i in ask(double.api_url, "/v3/paths/list").json["items"]] == ["cam"]
    assert get(session).status == 401 and ask(double.api_url, "/v3/info").json["started"] > before
    get("/cam/index.m3u8?cookieCheck=1")
    assert double.prefix("cam") != prefix


def test_down_and_up_on_the_same_ports(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double)
    urls = double.api_url, double.hls_url
    with concurrent.futures.ThreadPoolExecutor() as pool:
        held = pool.submit(get, "/cam/index.m3u8?cookieCheck=1")
        time.sleep(0.1)
        double.down()
        with pytest.raises((OSError, http.client.HTTPException)):
            held.result()
    with pytest.raises(OSError):
        ask(urls[0], "/v3/info")
    double.up()
    assert (double.api_url, double.hls_url) == urls and ask(urls[0], "/v3/info").status == 200


def test_patch_of_a_path_in_use_reloads_it(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, "1.15", paths={})
    double.add_path("cam", source="rtsp://127.0.0.1/x")
    get("/cam/index.m3u8")
    prefix = double.prefix("cam")
    ask(double.api_url, "/v3/config/paths/patch/cam", "PATCH", {"source": "rtsp://127.0.0.1/x"})
    assert double.prefix("cam") == prefix
    ask(double.api_url, "/v3/config/paths/patch/cam", "PATCH", {"source": "rtsp://127.0.0.1/y"})
    assert double.prefix("cam") is None


def test_a_camera_that_goes_away(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, "1.15")
    get("/cam/index.m3u8")
    double.set_state("cam", "offline")
    assert get("/cam/main_stream.m3u8").status == 404 and not ask(double.api_url, "/v3/paths/get/cam").json["ready"]
    double.set_state("cam", "ready")
    assert get("/cam/index.m3u8").status == 200


def test_faults(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, "1.15", segment_count=50)
    get("/cam/index.m3u8")
    segment = "/cam/" + first_media(get("/cam/main_stream.m3u8").text)[-1]
    whole = get(segment).body
    for kind in ("close", "reset"):
        double.fault("*.ts", kind)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            get(segment)
    double.fault("*.ts", "status", value=503)
    assert get(segment).status == 503
    for kind in ("truncate", "bad_chunk"):
        double.fault("*.ts", kind, after=5000)
        with pytest.raises(http.client.HTTPException) as error:
            get(segment)
        assert getattr(error.value, "partial", whole[:5000]) == whole[:5000]
    double.fault("*.ts", "wrong_length", value=50)
    with pytest.raises(http.client.IncompleteRead):
        get(segment)
    double.fault("*.ts", "wrong_length", value=-50)
    assert get(segment).body == whole[:-50]
    stall = double.fault("*.ts", "stall", seconds=0.7)
    slow = get(segment)
    assert slow.body == whole and stall.hits == 1
    double.fault("*_stream.m3u8", "endless", seconds=1.0)
    with pytest.raises(http.client.IncompleteRead) as error:
        get("/cam/main_stream.m3u8")
    assert len(error.value.partial) > 100_000
    double.fault("*.ts", "hang", times=None)
    with pytest.raises(TimeoutError):
        get(segment, timeout=0.3)
    double.clear_faults()
    assert get(segment).body == whole


def test_latency_and_counters(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, "1.15")
    get("/cam/index.m3u8")
    double.set_latency(0.6, "*_stream.m3u8")
    double.reset_counts()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get("/cam/main_stream.m3u8?x=1"), range(8)))
    assert all(a.status == 200 and a.seconds >= 0.6 for a in answers)
    assert double.count("/cam/main_stream.m3u8", "hls") == 8 and double.count("*.ts") == 0 and 2 <= double.peak("/cam/main_stream.m3u8") <= 8
    when, listener, method, target, code, _ = double.requests("*.m3u8")[0]
    assert (listener, method, target, code) == ("hls", "GET", "/cam/main_stream.m3u8?x=1", 200) and time.time() - when < 30


def test_keep_alive_pipelining_and_idle(mediamtx_double):  # noqa: F811
    double, _ = start(mediamtx_double, "1.15", idle_timeout=0.5)
    with socket.create_connection((double.host, double.hls.port)) as client:
        client.sendall(b"GET /cam HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        client.settimeout(60)
        got = b""
        while chunk := client.recv(65536):
            got += chunk
        assert got.count(b"HTTP/1.1 302 Found\r\n") == 3  # and the idle connection was closed


def test_a_thousand_viewers_at_once(mediamtx_double):  # noqa: F811
    double, get = start(mediamtx_double, "1.15")
    get("/cam/index.m3u8")
    clients = []
    try:
        for _ in range(1100):
            client = socket.create_connection((double.host, double.hls.port))
            client.settimeout(60)
            client.sendall(b"GET /cam/main_stream.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n")
            clients.append(client)
        for client in clients:
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        assert double.connections() == (1100, 1101)
    finally:
        for client in clients:
            client.close()


def test_as_a_process():
    program = Path(__file__).with_name("mediamtx_double.py")
    process = subprocess.Popen(["/usr/bin/python3", str(program), "--generation", "1.15", "--path", "cam=ready", "--segment-duration", "0.4"],
                               stdout=subprocess.PIPE, text=True)
    try:
        urls = dict(item.split("=", 1) for item in process.stdout.readline().split())
        assert ask(urls["hls"], "/cam/index.m3u8").status == 200
        assert ask(urls["control"], "/count", "POST", {"pattern": "*.m3u8"}).json == {"result": 1}
        assert ask(urls["control"], "/add_path", "POST", {"name": "cam_2", "source": "rtsp://127.0.0.1/x"}).status == 200
        assert ask(urls["control"], "/fault", "POST", {"pattern": "*", "kind": "nonsense"}).status == 400
        process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while ask(urls["api"], "/v3/paths/list").json["itemCount"] != 1:
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")
def test_a_clip_in_place_of_the_grey_picture(mediamtx_double, tmp_path):  # noqa: F811
    clip = tmp_path / "clip.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10:duration=1", str(clip)], check=True)
    _, get = start(mediamtx_double, "1.15", clip=clip, width=320, height=240)
    assert "RESOLUTION=320x240" in get("/cam/index.m3u8").text
    segment = tmp_path / "segment.ts"
    segment.write_bytes(get("/cam/" + first_media(get("/cam/main_stream.m3u8").text)[0]).body)
    probe = subprocess.run(["ffprobe", "-v", "warning", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0",
                            str(segment)], capture_output=True, text=True, check=True)
    assert not probe.stderr.strip() and set(probe.stdout.replace(",", "").split()) == {"10"}
