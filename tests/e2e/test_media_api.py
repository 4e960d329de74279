"""The media node's control API beyond paths: settings, the configuration file and its reload, credentials, patterns, sessions."""

import json
import re
import signal
import time
from pathlib import Path

import pytest
import requests

from conftest import ROOT, free_port, wait_until
from test_media import LEAKS, TEXT_404, Media, call

OK = {"status": "ok"}


def get(node, path, **more):
    return requests.get(node.api + "/v3/" + path, timeout=60, **more)


def patch(node, path, body, **more):
    return requests.patch(node.api + "/v3/" + path, json=body, timeout=60, **more)


@pytest.fixture(scope="module")
def plain(spawn_module, tmp_path_factory):
    """A node without cameras, for what changes little."""
    return Media(spawn_module, tmp_path_factory.mktemp("plain"))


@pytest.fixture
def media(spawn, tmp_path):
    return Media(spawn, tmp_path)


class Filed(Media):
    """A node with a configuration file."""

    def __init__(self, spawn, folder, text, **options):
        self.file = Path(folder) / "media.yml"
        self.file.write_text(text)
        super().__init__(spawn, folder, MEDIA_CONFIG=self.file, **options)

    def conf(self, name):
        return get(self, f"config/paths/get/{name}").json()


# ---- Errors, row by row ----

UUID = "6c84fb90-12c4-11e1-840d-7b25c5ee775a"
TABLE = [
    ("GET", "config/paths/get/nobody", None, 404, "path configuration not found"),
    ("PATCH", "config/global/patch", '{"colour":1}', 400, 'json: unknown field "colour"'),
    ("PATCH", "config/global/patch", "{", 400, "unexpected end of JSON input"),
    ("PATCH", "config/global/patch", "", 400, "unexpected end of JSON input"),
    ("PATCH", "config/global/patch", "[]", 400, "json: cannot unmarshal array into Go value of type map[string]json.RawMessage"),
    ("PATCH", "config/global/patch", '{"hlsSegmentCount":"x"}', 400, "json: cannot unmarshal string into Go value of type int"),
    ("PATCH", "config/global/patch", '{"hlsSegmentCount":1}', 400,
     "'hlsSegmentCount' must be a whole number from 3 to 60, not \"1\""),
    ("PATCH", "config/global/patch", '{"readTimeout":"ten"}', 400, 'time: invalid duration "ten"'),
    ("PATCH", "config/global/patch", '{"webrtc":true}', 400, "'webrtc' is fixed in this node: only false is accepted"),
    ("PATCH", "config/global/patch", '{"hlsVariant":"dash"}', 400, "invalid value for 'hlsVariant': 'dash'"),
    ("PATCH", "config/global/patch", '{"logLevel":"loud"}', 400, "invalid log level: 'loud'"),
    ("PATCH", "config/global/patch", '{"authInternalUsers":[{"user":""}]}', 400, "empty usernames are not supported"),
    ("PATCH", "config/pathdefaults/patch", '{"colour":1}', 400, 'json: unknown field "colour"'),
    ("PATCH", "config/pathdefaults/patch", '{"recordPath":"/x"}', 400, "'recordPath' must contain %path"),
    ("POST", "config/paths/add/t", '{"rpiCameraWidth":640}', 400,
     "'rpiCameraWidth' is not supported by this node: only its default, 1920, is accepted"),
    ("POST", "config/paths/add/t", '{"runOnInit":"rm -rf /"}', 400,
     "'runOnInit' is not supported by this node: only its default, \"\", is accepted"),
    ("POST", "config/paths/add/t", '{"rpiCameraWidth":"wide"}', 400, "json: cannot unmarshal string into Go value of type float64"),
    ("POST", "config/paths/add/t", '{"recordMaxPartSize":"much"}', 400,
     "byte quantity must be a positive integer with a unit of measurement like M, MB, MiB, G, GiB, or GB"),
    ("POST", "config/paths/add/t", '{"rtspTransport":"pigeon"}', 400, "invalid protocol 'pigeon'"),
    ("POST", "config/paths/add/~%5B", "{}", 400, "invalid regular expression: ["),
    ("POST", "config/paths/add/~%5Ex", '{"source":"rtsp://127.0.0.1:1/x"}', 400,
     "a path with a regular expression and a source that is dialled must have 'sourceOnDemand' set to true"),
    ("POST", "config/paths/replace/a%20b", "{}", 400,
     "invalid path name 'a b': can contain only alphanumeric characters, underscore, dot, minus, slash"),
    ("POST", "config/paths/replace/", "{}", 400, "invalid name"),
    ("PATCH", "config/paths/patch/", "{}", 400, "invalid name"),
    ("GET", "recordings/list?page=x", None, 400, 'strconv.ParseUint: parsing "x": invalid syntax'),
    ("GET", "recordings/get/nobody", None, 404, "path 'nobody' is not configured"),
    ("DELETE", "recordings/deletesegment?path=nobody&start=x", None, 404, "path 'nobody' is not configured"),
    ("DELETE", "recordings/deletesegment?path=there&start=x", None, 400, "invalid 'start' parameter: 'x'"),
    ("DELETE", "recordings/deletesegment?path=there&start=2026-11-22T15:00:00Z", None, 404, "segment not found"),
    *[row for kind, what in (("hlssessions", "session"), ("rtspsessions", "session"), ("rtmpconns", "connection")) for row in (
        ("GET", f"{kind}/get/{UUID}", None, 404, f"{what} not found"), ("GET", f"{kind}/get/abc", None, 400, "invalid UUID length: 3"),
        ("POST", f"{kind}/kick/{UUID}", None, 404, f"{what} not found"),
        ("POST", f"{kind}/kick/{UUID.replace('-', 'x')}", None, 400, "invalid UUID format"))],
    ("GET", f"rtspconns/get/{UUID}", None, 404, "connection not found"),
]


def test_errors(plain):
    call(plain, "POST", "/v3/config/paths/add/there", "{}")
    for method, path, body, status, error in TABLE:
        answer = call(plain, method, "/v3/" + path, body)
        assert (answer.status_code, answer.json()) == (status, {"status": "error", "error": error}), (method, path, body)


def test_empty_lists_and_unknown_routes(plain):
    for kind in ("hlsmuxers", "hlssessions", "rtspsessions", "rtspconns", "rtmpconns", "recordings"):
        assert get(plain, kind + "/list").json() == {"itemCount": 0, "pageCount": 0, "items": []}, kind
    for method, path in (("GET", "webrtcsessions/list"), ("GET", "srtconns/list"), ("POST", "auth/jwks/refresh"), ("GET", "config/global"),
                         ("POST", f"rtspconns/kick/{UUID}"), ("POST", "config/global/get"), ("HEAD", "config/global/get")):
        answer = call(plain, method, "/v3/" + path)
        assert answer.status_code == 404 and answer.text == ("" if method == "HEAD" else TEXT_404), path
    preflight = requests.options(plain.api + "/v3/config/paths/add/x", timeout=60,
                                 headers={"Origin": "http://x", "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204 and preflight.headers["Access-Control-Allow-Origin"] == "*"


# ---- Settings by API ----

def test_all_keys_of_a_path_come_back(media):
    """What MediaMTX 1.20 answers can be sent to this node, and what this node answers to itself."""
    from mtx_double.conf import conf_fields
    names = list(conf_fields("1.20"))
    media.add("p", "publisher")
    conf = get(media, "config/paths/get/p").json()
    assert [key for key in conf if key in names] == names, "MediaMTX's keys in MediaMTX's order"
    assert {key: conf[key] for key in names} == {key: value for key, (_, value) in conf_fields("1.20").items()}
    assert call(media, "POST", "/v3/config/paths/replace/p", json.dumps(conf)).json() == OK
    assert get(media, "config/paths/get/p").json() == conf
    assert call(media, "PATCH", "/v3/config/pathdefaults/patch", '{"maxReaders":9}').json() == OK
    assert get(media, "config/paths/get/p").json()["maxReaders"] == 0, "it was given for this path"
    defaults = get(media, "config/pathdefaults/get").json()
    assert defaults["maxReaders"] == 9 and "name" not in defaults
    media.add("q", "publisher")
    assert get(media, "config/paths/get/q").json()["maxReaders"] == 9
    assert patch(media, "config/pathdefaults/patch", {"sourceOnDemand": True}).status_code == 400


def test_global_settings(media):
    conf = get(media, "config/global/get").json()
    assert conf["apiAddress"] == f"127.0.0.1:{media.api_port}" and conf["hlsSegmentCount"] == 7 and conf["webrtc"] is False
    assert conf["authInternalUsers"][0]["user"] == "any" and conf["hlsSegmentDuration"] == "1s"
    assert patch(media, "config/global/patch", conf).json() == OK, "the answer of get may be sent back"
    assert "hlsSegmentCount" not in (media.data / "paths.json").read_text()
    assert patch(media, "config/global/patch", {"hlsSegmentCount": 9, "readTimeout": "20s"}).json() == OK
    answer = patch(media, "config/global/patch", {"hlsAddress": f"127.0.0.1:{free_port()}"}).json()
    assert answer == {"status": "ok", "restartRequired": ["hlsAddress"]}
    media.process.popen.send_signal(signal.SIGKILL)
    media.process.popen.wait()
    media.start()
    after = get(media, "config/global/get").json()
    assert (after["hlsSegmentCount"], after["readTimeout"], after["hlsSegmentDuration"]) == (9, "20s", "1s")
    assert requests.get(f"http://{after['hlsAddress']}/nobody/index.m3u8", timeout=60).status_code == 404


# ---- The file ----

def test_the_file_and_the_api(spawn, tmp_path, rtsp_camera):
    camera = rtsp_camera()
    text = f"""
hlsSegmentCount: 5
pathDefaults:
  maxReaders: 20
paths:
  cam:
    source: {camera.url}
  other:
    maxReaders: 3
  gone:
"""
    node = Filed(spawn, tmp_path, text, MTX_READTIMEOUT="33s", MEDIA_HLS_MUXER_CLOSE_SECONDS="44")
    conf = get(node, "config/global/get").json()
    assert (conf["hlsSegmentCount"], conf["readTimeout"], conf["hlsMuxerCloseAfter"]) == (5, "33s", "44s")
    assert node.conf("cam")["maxReaders"] == 20 and node.conf("other")["maxReaders"] == 3
    ready = node.wait_state("cam", "connected")["readyTime"]
    # By API: more paths, a patch over the file's, one deleted.
    node.add("mine", "publisher")
    assert patch(node, "config/paths/patch/other", {"overridePublisher": False}).json() == OK
    assert call(node, "DELETE", "/v3/config/paths/delete/gone").json() == OK
    assert json.loads((node.data / "paths.json").read_text())["paths"] == [{"name": "mine", "source": "publisher"}]
    # The file changes: only what changed is touched.
    text = text.replace("hlsSegmentCount: 5", "hlsSegmentCount: 6").replace("maxReaders: 3", "maxReaders: 4") + "  new:\n"
    replaced = node.file.with_suffix(".part")
    replaced.write_text(text)
    replaced.rename(node.file)
    wait_until(lambda: node.conf("new").get("name") == "new", what="the file was read again")
    assert node.conf("other")["maxReaders"] == 4 and node.conf("other")["overridePublisher"] is False
    assert node.conf("gone")["error"] == "path configuration not found"
    assert get(node, "config/global/get").json()["hlsSegmentCount"] == 6
    # A file that is wrong changes nothing, and says why.
    reloads = node.metric("gtv_media_config_reloads_total")
    node.file.write_text(text.replace("maxReaders: 4", "maxReaders: 5\n    colour: red"))
    wait_until(lambda: node.metric("gtv_media_config_reloads_total") > reloads and node.metric("gtv_media_config_valid") == 0, what="a wrong file")
    assert re.search(r'media.yml: line 10: json: unknown field \\?"colour', node.process.log()), node.process.log()[-500:]
    assert node.conf("other")["maxReaders"] == 4
    # SIGHUP reads it as well; a path that leaves the file goes.
    node.file.write_text(text.replace("  new:\n", ""))
    node.process.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: node.conf("new").get("error") and node.metric("gtv_media_config_valid") == 1, what="the right file")
    state = node.path("cam")
    assert state["state"] == "connected" and state["readyTime"] == ready, "the camera's stream went on"
    # All of it survives a restart.
    node.process.popen.send_signal(signal.SIGKILL)
    node.process.popen.wait()
    node.start()
    assert [p["name"] for p in get(node, "config/paths/list").json()["items"]] == ["cam", "mine", "other"]
    assert node.conf("other")["overridePublisher"] is False


@pytest.mark.parametrize("text,error", [
    ("colour: red\n", 'line 1: json: unknown field "colour"'),
    ("paths:\n  cam:\n    source: rtsp://h/x\n    colour: red\n", 'line 4: json: unknown field "colour"'),
    ("paths:\n  bad name:\n", "line 2: invalid path name 'bad name': can contain only"),
    ("paths:\n  a/../b:\n", "line 2: invalid path name 'a/../b': can't contain dot path segments"),
    ("paths:\n  café:\n", "line 2: invalid path name 'café'"),
    ("hlsSegmentCount: [1\n", "line 2: "),
    ("\nhlsSegmentCount: 1000\n", "line 2: 'hlsSegmentCount' must be a whole number"),
    ("authInternalUsers:\n- user: x\n  colour: 1\n", 'json: unknown field "colour"'),
    ("srt: yes\n", "line 1: 'srt' is fixed in this node"),
])
def test_a_wrong_file_is_said_at_start(spawn, tmp_path, text, error):
    file = tmp_path / "media.yml"
    file.write_text(text)
    node = spawn("gtv-media", file, env={"MEDIA_API_PORT": 0, "MEDIA_HLS_PORT": 0, "MEDIA_PLAYBACK_PORT": 0, "MEDIA_DATA": tmp_path / "d", **LEAKS})
    assert node.popen.wait(60) in (1, 2)
    assert error in node.log().replace('\\"', '"') and "media.yml" in node.log()


# ---- Who may ----

USERS = """
authInternalUsers:
- user: admin
  pass: sha256:MZqY4Eu9b0GYa5UDOgtyWLp7XfzcYXv5cXVq5V0eOD8=
  permissions: [{action: api}, {action: metrics}]
- user: viewer
  pass: see
  ips: [127.0.0.0/8]
  permissions:
  - action: read
    path: ~^pub_
- user: any
  permissions: [{action: read, path: open}]
"""


def test_credentials(spawn, tmp_path):
    import base64
    import hashlib
    digest = base64.b64encode(hashlib.sha256(b"secret-Pw").digest()).decode()
    node = Filed(spawn, tmp_path, re.sub(r"sha256:\S+", "sha256:" + digest, USERS) + "paths:\n  open:\n  pub_1:\n  other:\n")
    admin = ("admin", "secret-Pw")
    error = {"status": "error", "error": "authentication error"}
    for path in ("/v3/paths/list", "/v3/info", "/metrics", "/v3/config/global/get"):
        answer = requests.get(node.api + path, timeout=60)
        assert (answer.status_code, answer.json()) == (401, error)
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="mediamtx"'
        assert requests.get(node.api + path, timeout=60, auth=admin).status_code == 200
    assert requests.get(node.api + "/health", timeout=60).status_code == 200
    assert call(node, "POST", "/v3/config/paths/add/x", "{}").status_code == 401
    preflight = requests.options(node.api + "/v3/paths/list", timeout=60, headers={"Origin": "http://x", "Access-Control-Request-Method": "GET"})
    assert preflight.status_code == 204
    before = time.monotonic()
    answer = requests.get(node.api + "/v3/paths/list", timeout=60, auth=("admin", "guess"))
    assert (answer.status_code, answer.json()) == (401, error) and "WWW-Authenticate" not in answer.headers
    assert time.monotonic() - before > 1.8, "guessing is slow"
    # By path: nobody is asked for `open`; pub_* is the viewer's.
    assert requests.get(node.hls + "/open/index.m3u8", timeout=60).status_code == 404
    for path in ("pub_1/index.m3u8", "pub_1/relay", "other/index.m3u8", "pub_1/"):
        assert requests.get(f"{node.hls}/{path}", timeout=60).status_code == 401, path
    assert requests.get(node.hls + "/pub_1/index.m3u8", timeout=60, auth=("viewer", "see")).status_code == 404
    assert requests.get(node.hls + "/other/index.m3u8", timeout=60, auth=("viewer", "see")).status_code == 401
    # Changed by API: at once, stored, never shown.
    users = get(node, "config/global/get", auth=admin).json()["authInternalUsers"]
    assert users[0]["pass"] == users[1]["pass"] == "***" and "see" not in json.dumps(users)
    users[1]["permissions"] = [{"action": "read", "path": "other"}]
    assert patch(node, "config/global/patch", {"authInternalUsers": users}, auth=admin).json() == OK
    assert requests.get(node.hls + "/other/index.m3u8", timeout=60, auth=("viewer", "see")).status_code == 404
    node.process.stop()
    node.start()
    assert requests.get(node.hls + "/other/index.m3u8", timeout=60, auth=("viewer", "see")).status_code == 404
    assert requests.get(node.hls + "/pub_1/index.m3u8", timeout=60).status_code == 401
    assert "secret-Pw" not in node.process.log()


# ---- Patterns ----

def test_paths_by_pattern(spawn, tmp_path, rtsp_camera):
    camera = rtsp_camera()
    base = camera.url.rsplit("/", 1)
    node = Media(spawn, tmp_path)
    name = "~^(street|yard)_[0-9]+$"
    body = {"source": f"{base[0]}/$G1", "sourceOnDemand": True, "sourceOnDemandCloseAfter": "1s"}
    url = f"{node.api}/v3/config/paths/add/{requests.utils.quote(name)}"
    assert requests.post(url, json=body, timeout=60).json() == OK
    assert get(node, f"config/paths/get/{requests.utils.quote(name)}").json()["source"] == body["source"]
    assert get(node, "paths/list").json()["itemCount"] == 0
    with requests.get(node.hls + f"/{base[1]}_12/relay", stream=True, timeout=60) as relay:
        assert relay.status_code == 200
        state = node.path(f"{base[1]}_12")
        assert (state["confName"], state["state"]) == (name, "connected")
        for wrong in ("lane_12", "street_x"):
            assert requests.get(f"{node.hls}/{wrong}/relay", timeout=60).status_code == 404
        # A configuration of its own takes the path over; without it the pattern's is back.
        assert call(node, "POST", f"/v3/config/paths/add/{base[1]}_12", "{}").json() == OK
        assert node.path(f"{base[1]}_12")["confName"] == f"{base[1]}_12"
    assert call(node, "DELETE", f"/v3/config/paths/delete/{base[1]}_12").json() == OK
    assert node.path(f"{base[1]}_12")["confName"] == name
    assert requests.delete(url.replace("/add/", "/delete/"), timeout=60).json() == OK
    wait_until(lambda: get(node, "paths/list").json()["itemCount"] == 0, what="the pattern's paths went")
    # Readers alone make no paths that only a publisher could fill.
    assert call(node, "POST", "/v3/config/paths/add/all_others", "{}").json() == OK
    assert requests.get(node.hls + "/whatever/index.m3u8", timeout=60).status_code == 404
    assert get(node, "paths/list").json()["itemCount"] == 0
    assert [p["name"] for p in get(node, "config/paths/list").json()["items"]] == ["all_others"]


def test_a_publisher_by_pattern_is_listed_and_kicked(spawn, tmp_path):
    port = free_port()
    node = Media(spawn, tmp_path, MEDIA_RTSP_PORT=port)
    assert call(node, "POST", "/v3/config/paths/add/all_others", "{}").json() == OK
    publisher = spawn("ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=320x192:r=15", "-c:v", "libx264", "-preset", "ultrafast",
                      "-tune", "zerolatency", "-g", "15", "-f", "rtsp", "-rtsp_transport", "tcp", f"rtsp://127.0.0.1:{port}/live/one")
    state = node.wait_state("live/one", "connected")
    assert state["confName"] == "all_others" and state["source"]["type"] == "rtspSession"
    listed = get(node, "rtspsessions/list").json()
    assert listed["itemCount"] == 1
    session = listed["items"][0]
    assert (session["id"], session["state"], session["path"]) == (state["source"]["id"], "publish", "live/one")
    conn = get(node, "rtspconns/list").json()["items"][0]
    assert get(node, f"rtspconns/get/{conn['id']}").json()["remoteAddr"] == conn["remoteAddr"]
    assert f'rtsp_sessions{{id="{session["id"]}",state="publish"' in requests.get(node.api + "/metrics", timeout=60).text
    assert call(node, "POST", f"/v3/rtspsessions/kick/{session['id']}").json() == OK
    wait_until(lambda: not publisher.alive(), what="the publisher was thrown out")
    wait_until(lambda: get(node, "rtspsessions/list").json()["itemCount"] == 0, what="its session is gone")
    wait_until(lambda: get(node, "paths/list").json()["itemCount"] == 0, what="so is the path that the pattern made")


# ---- Metrics, the document ----

def test_metrics_on_their_own_port(spawn, tmp_path):
    port = free_port()
    node = Media(spawn, tmp_path, MTX_METRICS="yes", MTX_METRICSADDRESS=f"127.0.0.1:{port}")
    node.add("cam", "publisher")
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    for line in ('paths{name="cam",state="notReady"} 1', 'paths_bytes_received{name="cam",state="notReady"} 0', "hls_muxers 0",
                 "hls_sessions 0", "rtsp_conns 0", "rtsp_sessions 0", "rtmp_conns 0", "gtv_media_config_valid 1"):
        assert line in text.splitlines(), line
    assert requests.get(f"http://127.0.0.1:{port}/v3/info", timeout=60).status_code == 404


def test_the_document_has_every_route(plain):
    document = json.loads((ROOT / "api" / "media.json").read_text())
    assert document["openapi"].startswith("3.1")
    source = (ROOT / "services/media/api.c").read_text()
    routes = {(m.lower(), re.sub(r"\{(\w+)\*\}", r"{\1}", p)) for m, p in re.findall(r'\{"(GET|POST|PATCH|DELETE)",\s+"([^"]+)"', source)
              if not p.endswith("/") and p not in ("/v3/config/paths/add", "/v3/config/paths/replace")}
    documented = {(method, path) for path, item in document["paths"].items() for method in item}
    assert routes == documented
    for path, item in document["paths"].items():
        for method in item:
            answer = call(plain, method.upper(), path.replace("{name}", "nobody").replace("{id}", UUID))
            assert answer.text != TEXT_404, (method, path)
