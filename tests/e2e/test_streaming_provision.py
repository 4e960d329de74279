"""gtv-streaming's provisioning: lists of cameras, what nodes lose or others change, several nodes, outages.

Against the double of MediaMTX in both generations (it is not MediaMTX), and once against the real gtv-media."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from fixtures_mediamtx import mediamtx_double  # noqa: F401 - a fixture

from conftest import ROOT, free_port, wait_until
from test_media_rtsp import H264, Rtsp, ffmpeg

BOTH = ["1.15", "1.20"]
SECRET = "s3nha-secreta-99"
KEY = "k3y-of-the-operator"
BEARER = {"Authorization": f"Bearer {KEY}"}


class Streaming:
    def __init__(self, spawn, nodes, redis_url=None, **env):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = spawn("gtv-streaming", ready=self.url + "/health", env={
            "STREAMING_PORT": self.port, "STREAMING_WORKERS": 2, "GTV_CAMERA_ALLOW": "127.0.0.0/8", "GTV_API_DIR": ROOT / "api",
            "MEDIAMTX_API_URL": ",".join(n if isinstance(n, str) else n.api_url for n in nodes),
            "MEDIAMTX_HLS_URL": ",".join(env.pop("hls", None) or [n.hls_url for n in nodes]),
            "REDIS_URL": redis_url or f"redis://127.0.0.1:{free_port()}/2", "LOG_LEVEL": "DEBUG", **env})
        wait_until(lambda: self.get("/ready").json()["media"] and (not redis_url or self.get("/ready").json()["redis"]), what="ready")

    def get(self, path, **kwargs):
        return requests.get(self.url + path, timeout=60, **kwargs)

    def post(self, path, body=None, **kwargs):
        return requests.post(self.url + path, json=body, timeout=60, **kwargs)

    def put(self, number, **body):
        return requests.put(f"{self.url}/cameras/{number}", json=body, timeout=60)

    def csv(self, text, **headers):
        return requests.post(self.url + "/cameras/provision/bulk", data=text.encode() if isinstance(text, str) else text, timeout=60,
                             headers={"Content-Type": "text/csv; charset=utf-8", **headers})

    def nodes(self):
        return self.get("/nodes").json()["nodes"]

    def gaps(self, number):
        return self.get(f"/cameras/{number}/gaps").json()


def cameras(numbers, **more):
    return [{"camera_id": n, "rtsp_url": f"rtsp://u:{SECRET}@192.0.2.1/{n}", "name": f"Câmera {n}", **more} for n in numbers]


def ours(double):
    return {name for name in double.paths if name.startswith("cam_")}


# ---- one camera ----

@pytest.mark.parametrize("generation", BOTH)
def test_the_same_again_changes_nothing(spawn, mediamtx_double, generation):  # noqa: F811
    node = mediamtx_double(generation=generation)
    s = Streaming(spawn, [node])
    body = {"rtsp_url": f"rtsp://u:{SECRET}@192.0.2.1/a", "name": "Rua A"}
    assert s.put(7, **body).json()["result"] == "created"
    assert s.put(7, **body).json()["result"] == "unchanged"
    assert s.post("/cameras/provision", {"camera_id": 7, **body}).json()["result"] == "unchanged"
    assert node.count("/v3/config/paths/add/cam_7") == 1  # the node is not asked to do what it has done
    assert s.put(7, **{**body, "name": "Rua B"}).json()["result"] == "changed"  # ours alone: the node is not told
    assert node.count("/v3/config/paths/patch/*") == 0
    assert s.put(7, **{**body, "on_demand": False}).json()["result"] == "changed"
    assert node.count("/v3/config/paths/patch/cam_7") == 1 and node.paths["cam_7"].conf["sourceOnDemand"] is False
    wrong = s.put(7, camera_id=8, **body)
    assert wrong.status_code == 422 and wrong.json()["field"] == "camera_id"
    assert s.put(9, rtsp_url="publisher", name="who comes").json()["result"] == "created"
    assert node.paths["cam_9"].conf["source"] == "publisher" and s.get("/cameras/9/info").json()["source"] == "publisher"
    assert SECRET not in s.process.log()


@pytest.mark.parametrize("generation", BOTH)
def test_a_smaller_stream_beside_it(spawn, mediamtx_double, redis_server, generation):  # noqa: F811
    node = mediamtx_double(generation=generation)
    s = Streaming(spawn, [node], redis_server.url(), GTV_ORPHAN_GRACE=1, GTV_CAMERA_ALLOW="")
    body = {"rtsp_url": f"rtsp://u:{SECRET}@192.0.2.1/a", "name": "Rua A", "record": True, "on_demand": False}
    small = f"rtsp://u:{SECRET}@192.0.2.1/a2"
    refused = s.put(7, **body, sub_rtsp_url="rtsp://127.0.0.1/a2")
    assert refused.status_code == 422 and refused.json()["field"] == "sub_rtsp_url" and "off-limits" in refused.text
    assert ours(node) == set() and s.get("/cameras/7/info").status_code == 404
    assert s.put(7, **body, sub_rtsp_url=small).json()["result"] == "created"
    assert ours(node) == {"cam_7", "cam_7_sub"}
    conf = node.paths["cam_7_sub"].conf
    assert (conf["source"], conf["sourceOnDemand"], conf["record"]) == (small, True, False)
    assert s.put(7, **body, sub_rtsp_url=small).json()["result"] == "unchanged"
    info = s.get("/cameras/7/info").json()
    assert info["sub_source"] == "rtsp://***@192.0.2.1/a2" and info["sub_stream_path"] == "cam_7_sub"
    assert s.get("/cameras/export").json()["cameras"][0]["sub_rtsp_url"] == "rtsp://***@192.0.2.1/a2"
    # What the node loses is put back.
    assert requests.delete(f"{node.api_url}/v3/config/paths/delete/cam_7_sub", timeout=60).status_code == 200
    wait_until(lambda: "cam_7_sub" in node.paths, what="put back")
    # Another address: that path alone has another source.
    assert s.put(7, **body, sub_rtsp_url=small + "b").json()["result"] == "changed"
    assert node.paths["cam_7_sub"].conf["source"] == small + "b"
    assert s.csv(f"camera_id;rtsp_url;name;sub_rtsp_url\n8;rtsp://192.0.2.1/8;B;{small}\n9;rtsp://192.0.2.1/9;C;\n").status_code < 300
    wait_until(lambda: {"cam_8", "cam_8_sub", "cam_9"} <= ours(node), what="the list")
    assert "cam_9_sub" not in node.paths
    # Without it again: its path goes after the grace time; with the camera: at once.
    assert s.put(7, **body).json()["result"] == "changed"
    assert s.get("/cameras/7/info").json()["sub_stream_path"] is None
    wait_until(lambda: "cam_7_sub" not in node.paths, what="an orphan's end")
    assert requests.delete(f"{s.url}/cameras/8", timeout=60).status_code == 200
    assert ours(node) == {"cam_7", "cam_9"}
    assert SECRET not in s.process.log()


class Redirector:
    """An http camera of 127.0.0.1 that answers each path with the Location it is told; "" is a picture without end."""

    def __init__(self, places):
        outer = self
        self.asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802 - the library's name
                outer.asked.append(self.path)
                place = places.get(self.path)
                self.send_response(404 if place is None else 302 if place else 200)
                if place:
                    self.send_header("Location", place.replace("PORT", str(outer.port)))
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_where_an_http_camera_leads_is_checked(spawn, mediamtx_double):  # noqa: F811
    node = mediamtx_double()
    s = Streaming(spawn, [node], GTV_CAMERA_ALLOW="127.0.0.1")
    camera = Redirector({"/live.m3u8": "", "/moved": "/live.m3u8", "/inside": "http://127.0.0.2/admin", "/metadata": "http://169.254.169.254/",
                         "/twice": "http://127.0.0.1:PORT/inside", "/rtsp": "rtsp://[::1]/x", "/round": "/round", "/nowhere": "http://",
                         "/name": "//no-such-host.invalid/x"})
    try:
        url = f"http://127.0.0.1:{camera.port}"
        for number, (path, words) in enumerate({"/inside": "off-limits (loopback)", "/metadata": "a metadata service", "/twice": "loopback",
                                                "/rtsp": "loopback", "/round": "more than 5 times", "/nowhere": "no address",
                                                "/name": "does not resolve"}.items(), 1):
            answer = s.put(number, rtsp_url=url + path, name="x")
            assert answer.status_code == 422 and answer.json()["field"] == "rtsp_url" and words in answer.text, (path, answer.text)
        assert not ours(node)
        for number, path in ((21, "/live.m3u8"), (22, "/moved"), (23, "/not-there")):
            assert s.put(number, rtsp_url=url + path, name="x").json()["result"] == "created", path
        asked = len(camera.asked)
        assert s.put(22, rtsp_url=url + "/moved", name="x").json()["result"] == "unchanged" and len(camera.asked) == asked
    finally:
        camera.stop()
    # Who does not answer leads nowhere: it may be switched on later.
    assert s.put(24, rtsp_url=f"http://127.0.0.1:{camera.port}/live.m3u8", name="x").json()["result"] == "created"
    assert s.put(25, rtsp_url="http://127.0.0.9/x", name="x").status_code == 422
    assert "does not answer" in s.process.log() and ours(node) == {"cam_21", "cam_22", "cam_23", "cam_24"}


# ---- lists ----

@pytest.mark.parametrize("generation", BOTH)
def test_a_list_in_json(spawn, mediamtx_double, redis_server, generation):  # noqa: F811
    node = mediamtx_double(generation=generation)
    s = Streaming(spawn, [node], redis_server.url())
    body = cameras(range(1, 251))
    body[9]["rtsp_url"], body[19] = "rtsp://169.254.169.254/x", {"camera_id": 20, "name": "no address"}
    body[29]["camera_id"] = 1
    began = time.monotonic()
    answer = s.post("/cameras/provision/bulk", body).json()
    took = time.monotonic() - began
    assert (answer["success"], answer["total"], answer["succeeded"], answer["failed"]) == (False, 250, 247, 3)
    wrong = [(r["line"], r["field"], r["code"]) for r in answer["results"] if not r["ok"]]
    assert wrong == [(10, "rtsp_url", "invalid"), (20, "rtsp_url", "invalid"), (30, "camera_id", "invalid")]
    assert {r["result"] for r in answer["results"] if r["ok"]} == {"created"}
    assert len(ours(node)) == 247 and s.get("/cameras").json()["count"] == 247
    assert took < 60, took
    opened = node.connections("api")[1]
    assert opened <= 20, opened  # they are kept alive
    client = redis_server.client()

    def told():
        events = [json.loads(e[1]["json"])["data"] for e in client.xrange("gtv:events") if e[1]["type"] == "provision"]
        return [e for e in events if e["action"] == "done"]

    done = wait_until(told, what="the end is told")
    assert len(done) == 1 and (done[0]["done"], done[0]["total"], done[0]["failed"]) == (250, 250, 3)
    node.reset_counts()
    again = s.post("/cameras/provision/bulk", {"cameras": cameras([1, 2, 3])}).json()
    assert again["success"] is True and {r["result"] for r in again["results"]} == {"unchanged"}
    assert node.count("/v3/config/paths/patch/*") == 0
    assert SECRET not in json.dumps(answer) and SECRET not in s.process.log()


def test_a_list_in_csv(spawn, mediamtx_double):  # noqa: F811
    node = mediamtx_double()
    s = Streaming(spawn, [node])
    text = ("\ufeffcamera_id;name;rtsp_url;on_demand;bairro\r\n"
            "1;\"Rua \"\"A\"\"; esquina\";rtsp://192.0.2.1/1;no;Centro\r\n"
            "\r\n"
            "two;b;rtsp://192.0.2.1/2;;\r\n"
            "3;c;file:///etc/passwd;;\r\n"
            "4;\"d\"x;rtsp://192.0.2.1/4;;\r\n"
            "5;e;rtsp://127.0.0.9/5;yes;\r\n")
    answer = s.csv(text).json()
    assert [(r["line"], r["ok"], r.get("field")) for r in answer["results"]] == [
        (2, True, None), (4, False, "camera_id"), (5, False, "rtsp_url"), (6, False, None), (7, True, None)]
    assert node.paths["cam_1"].conf["sourceOnDemand"] is False and node.paths["cam_5"].conf["sourceOnDemand"] is True
    assert s.get("/cameras/1/info").json()["name"] == 'Rua "A"; esquina'
    for text, status, field in (("", 422, None), ("camera_id,name\n1,a\n", 422, "rtsp_url"), ("camera_id,rtsp_url,name\n", 422, "cameras"),
                                ("camera_id,rtsp_url,name\n" + "1,rtsp://192.0.2.1/x,a\n" * 2001, 413, None), ("x" * (2 << 20) + "y", 413, None)):
        answer = s.csv(text)
        assert answer.status_code == status and answer.json()["field"] == field, answer.text[:300]
    for body in ({}, {"cameras": 5}, [], "x", None):
        assert s.post("/cameras/provision/bulk", body).status_code == 422


def test_export_and_import(spawn, mediamtx_double):  # noqa: F811
    first, second = mediamtx_double(), mediamtx_double(generation="1.15")
    a = Streaming(spawn, [first], GTV_ADMIN_KEY=KEY)
    a.post("/cameras/provision/bulk", cameras(range(1, 31), record=True))
    shown = a.get("/cameras/export").json()
    assert shown["redacted"] is True and len(shown["cameras"]) == 30 and SECRET not in json.dumps(shown)
    assert a.get("/cameras/export", headers={"Authorization": "Bearer wrong"}).status_code == 401
    whole = a.get("/cameras/export", headers=BEARER).json()
    assert whole["redacted"] is False and whole["cameras"][0]["rtsp_url"] == f"rtsp://u:{SECRET}@192.0.2.1/1"
    b = Streaming(spawn, [second], GTV_ADMIN_KEY=KEY)
    assert b.post("/cameras/import", whole).status_code == 401
    refused = b.post("/cameras/import", shown, headers=BEARER)
    assert refused.status_code == 422 and refused.json()["field"] == "redacted"
    answer = b.post("/cameras/import", whole, headers=BEARER).json()
    assert answer["success"] is True and {r["result"] for r in answer["results"]} == {"created"}
    wait_until(lambda: len(ours(second)) == 30, what="the reconciler brings them to the node")
    assert second.paths["cam_30"].conf["record"] is True
    assert b.get("/cameras/export", headers=BEARER).json()["cameras"][7]["rtsp_url"] == whole["cameras"][7]["rtsp_url"]
    whole["cameras"][0]["rtsp_url"] = "rtsp://192.0.2.9/new"
    assert b.post("/cameras/import", whole, headers=BEARER).json()["results"][0]["result"] == "changed"
    wait_until(lambda: second.paths["cam_1"].conf["source"] == "rtsp://192.0.2.9/new", what="a changed one is patched")


def test_it_ends_while_a_list_is_worked_on(spawn, mediamtx_double):  # noqa: F811
    node = mediamtx_double()
    s = Streaming(spawn, [node])
    node.set_latency(9, "/v3/config/paths/add/*")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(s.post, "/cameras/provision/bulk", cameras(range(1, 101)))
        wait_until(lambda: node.now_serving)
        s.process.stop()  # fails on a leak
        with pytest.raises(requests.exceptions.ConnectionError):
            answer.result()


# ---- healing ----

@pytest.mark.parametrize("generation", BOTH)
def test_a_node_that_forgot_has_all_back(spawn, mediamtx_double, generation):  # noqa: F811
    node = mediamtx_double(generation=generation, paths={"lobby": "ready"})
    s = Streaming(spawn, [node])
    assert s.post("/cameras/provision/bulk", cameras(range(1, 251))).json()["success"] is True
    node.forget()
    assert not ours(node)
    began = time.monotonic()
    wait_until(lambda: len(ours(node)) == 250, what="all cameras are back")
    print(f"250 cameras back in {time.monotonic() - began:.2f} s")
    assert "lobby" in node.paths and node.count("/v3/config/paths/*/lobby") == 0
    node.down()
    wait_until(lambda: s.get("/ready").status_code == 503)
    node.up()
    wait_until(lambda: len(ours(node)) == 250, what="all cameras are back after a restart")
    wait_until(lambda: not s.gaps(1)["gaps"][0:1] or s.gaps(1)["gaps"][0]["to"])


def test_what_others_did_is_put_right(spawn, mediamtx_double, redis_server):  # noqa: F811
    node = mediamtx_double()
    s = Streaming(spawn, [node], redis_server.url(), GTV_ORPHAN_GRACE=2)
    s.post("/cameras/provision/bulk", cameras([1, 2, 3]))
    time.sleep(1)
    began = time.monotonic()
    node.add_path("cam_9")
    node.add_path("lobby", source="rtsp://192.0.2.1/lobby")
    api = f"{node.api_url}/v3/config/paths/patch/"
    assert requests.patch(api + "cam_2", json={"source": "rtsp://192.0.2.66/else", "record": True}, timeout=60).status_code == 200
    wait_until(lambda: "cam_9" not in node.paths, what="a path of ours that nobody wants is deleted")
    assert time.monotonic() - began > 1.5
    wait_until(lambda: node.paths["cam_2"].conf["source"] == cameras([2])[0]["rtsp_url"], what="drift is repaired")
    assert node.paths["cam_2"].conf["record"] is False and "lobby" in node.paths
    client = redis_server.client()

    def told(action):
        events = [json.loads(e[1]["json"]) for e in client.xrange("gtv:events") if e[1]["type"] == "provision"]
        return [(e["stream"], e["data"]["detail"]) for e in events if e["data"]["action"] == action]

    assert wait_until(lambda: told("repaired"), what="the repair is told") == [("cam_2", "source,record")]
    assert [stream for stream, _ in wait_until(lambda: told("removed"), what="the end of a path is told")] == ["cam_9"]
    assert node.count("/v3/config/paths/patch/cam_2") == 2 and node.count("/v3/config/paths/patch/cam_1") == 0


def test_nothing_is_deleted_before_redis_was_read(spawn, mediamtx_double):  # noqa: F811
    node = mediamtx_double(paths={"cam_5": "ready"})
    s = Streaming(spawn, [node], GTV_ORPHAN_GRACE=1)  # without Redis
    wait_until(lambda: s.get("/cameras/5/status").json().get("state") == "connected")
    time.sleep(3)
    assert "cam_5" in node.paths


def test_what_another_service_provisioned_is_left_alone_and_can_be_adopted(spawn, mediamtx_double, redis_server):  # noqa: F811
    node = mediamtx_double()
    for number in (4, 5):
        node.add_path(f"cam_{number}", source=f"rtsp://operador:senha@192.0.2.{number}/s1", sourceOnDemand=number == 5)
    node.add_path("cam_6", source="rtsp://***@192.0.2.6/s1")
    s = Streaming(spawn, [node], redis_server.url(), GTV_ORPHAN_GRACE=1)
    wait_until(lambda: s.get("/ready").json()["redis"], what="redis up")
    time.sleep(3)
    assert {"cam_4", "cam_5", "cam_6"} <= set(node.paths)
    answer = s.post("/cameras/adopt").json()
    assert (answer["total"], answer["succeeded"]) == (3, 2)
    refused = next(r for r in answer["results"] if not r["ok"])
    assert refused["camera_id"] == 6 and refused["field"] == "rtsp_url" and "password" in refused["detail"]
    stored = {int(k): json.loads(v) for k, v in redis_server.client().hgetall("gtv:cameras").items()}
    assert {k: (c["url"], c["on_demand"]) for k, c in stored.items()} == {
        4: ("rtsp://operador:senha@192.0.2.4/s1", False), 5: ("rtsp://operador:senha@192.0.2.5/s1", True)}
    assert s.post("/cameras/adopt").json()["total"] == 1  # known ones are not taken twice
    node.down()
    assert s.post("/cameras/adopt").status_code in (502, 504)


# ---- several nodes ----

def test_cameras_are_spread_and_move(spawn, mediamtx_double):  # noqa: F811
    a, b = mediamtx_double(generation="1.20"), mediamtx_double(generation="1.15")
    s = Streaming(spawn, [a.api_url + ";id=a", b.api_url + ";weight=2;id=b"], hls=[a.hls_url, b.hls_url], GTV_NODE_GRACE=2)
    assert s.post("/cameras/provision/bulk", cameras(range(1, 61))).json()["success"] is True
    assert not ours(a) & ours(b) and len(ours(a) | ours(b)) == 60
    assert 5 <= len(ours(a)) <= 35  # a third of the weight
    at_first = ours(a)
    assert [(n["id"], n["state"], n["cameras"], n["weight"]) for n in s.nodes()] == [
        ("a", "up", len(ours(a)), 1.0), ("b", "up", len(ours(b)), 2.0)]

    drained = s.post("/nodes/a/drain")
    assert drained.status_code == 200 and drained.json()["drained"] is True
    wait_until(lambda: len(ours(b)) == 60 and not ours(a), what="a drained node is empty")
    assert s.nodes()[0]["serving"] is False and s.nodes()[1]["cameras"] == 60
    assert s.post("/nodes/b/drain").status_code == 409 and s.post("/nodes/c/drain").status_code == 404
    assert s.put(61, rtsp_url="rtsp://192.0.2.1/61", name="x").status_code == 200 and "cam_61" in b.paths
    assert requests.delete(s.url + "/nodes/a/drain", timeout=60).json()["drained"] is False
    wait_until(lambda: at_first <= ours(a) <= at_first | {"cam_61"} and not ours(a) & ours(b), what="they are back where they were")

    b.down()
    wait_until(lambda: s.nodes()[1]["state"] == "dead", what="the node counts as dead")
    wait_until(lambda: len(ours(a)) == 61 and s.nodes()[0]["cameras"] == 61, what="its cameras moved")
    assert s.get("/ready").status_code == 200
    assert requests.delete(s.url + "/cameras/1", timeout=60).json()["success"] is True
    b.up()
    wait_until(lambda: s.nodes()[1]["state"] == "up" and not ours(a) & ours(b) and len(ours(a) | ours(b)) == 60, what="it has its cameras again")


def test_a_drain_outlives_a_restart(spawn, mediamtx_double, redis_server):  # noqa: F811
    a, b = mediamtx_double(), mediamtx_double()
    nodes, hls = [a.api_url + ";id=a", b.api_url + ";id=b"], [a.hls_url, b.hls_url]
    s = Streaming(spawn, nodes, redis_server.url(), hls=hls, GTV_ADMIN_KEY=KEY)
    assert s.post("/nodes/a/drain").status_code == 401
    assert s.post("/nodes/a/drain", headers=BEARER).status_code == 200
    wait_until(lambda: redis_server.client().smembers("gtv:nodes:drained") == {"a"})
    s.process.stop()
    s = Streaming(spawn, nodes, redis_server.url(), hls=hls)
    wait_until(lambda: s.nodes()[0]["drained"])
    assert s.post("/cameras/provision/bulk", cameras(range(1, 11))).json()["success"] is True
    assert not ours(a) and len(ours(b)) == 10


@pytest.mark.parametrize("env, words", [
    ({"MEDIAMTX_API_URL": "http://127.0.0.1:1,http://127.0.0.1:2", "MEDIAMTX_HLS_URL": "http://127.0.0.1:3"}, "MEDIAMTX_HLS_URL"),
    ({"MEDIAMTX_API_URL": "http://127.0.0.1:1;weight=none"}, "weight="),
])
def test_a_wrong_list_of_nodes_is_told(spawn, env, words):
    process = spawn("gtv-streaming", env={"STREAMING_PORT": free_port(), **env})
    assert process.popen.wait(60) == 2 and words in process.log()


# ---- outages ----

def test_the_ledger_of_outages(spawn, mediamtx_double, redis_server):  # noqa: F811
    node = mediamtx_double(bitrate=400_000)
    s = Streaming(spawn, [node], redis_server.url())
    s.post("/cameras/provision/bulk", cameras([1], on_demand=False) + cameras([2]))
    wait_until(lambda: s.get("/cameras/1/status").json()["ready"])
    frame = wait_until(lambda: (f := s.get("/cameras/1/last_frame").json())["at"] and f)
    assert 0 <= frame["age_ms"] < 20000
    node.set_state("cam_1", "offline")
    wait_until(lambda: (g := s.gaps(1)["gaps"]) and g[0]["cause"] == "camera" and g[0]["to"] is None, what="an outage is open")
    time.sleep(1.5)
    assert s.get("/cameras/1/last_frame").json()["age_ms"] > 1000
    node.set_state("cam_1", "ready")
    wait_until(lambda: s.gaps(1)["gaps"][0]["to"], what="the outage is over")
    node.down()
    wait_until(lambda: s.gaps(1)["gaps"][0]["cause"] == "node" and s.gaps(1)["count"] == 2, what="the node's outage")
    status = s.get("/cameras/1/status").json()
    assert status["cause_code"] == "media_down" and 0 < status["uptime_24h"] < 1 and status["node"].startswith("127.0.0.1:")
    client = redis_server.client()
    wait_until(lambda: len(json.loads(client.hget("gtv:gaps", "1"))["gaps"]) == 2, what="kept in redis")
    s.process.stop()
    node.up()
    s = Streaming(spawn, [node], redis_server.url())
    back = wait_until(lambda: (g := s.gaps(1))["count"] >= 2 and g["gaps"][0]["to"] and g, what="read back, and over")
    assert [g["cause"] for g in back["gaps"]][-2:] == ["node", "camera"] and back["gaps"][0]["duration_ms"] > 0
    assert s.get("/cameras/77/gaps").status_code == 404 and s.get("/cameras/x/gaps").status_code == 422
    assert s.get("/cameras/2/last_frame").json() == {"camera_id": 2, "at": None, "age_ms": None}
    requests.delete(s.url + "/cameras/1", timeout=60)
    wait_until(lambda: not client.hexists("gtv:gaps", "1"), what="a removed camera's outages are forgotten")


# ---- several replicas ----

def test_two_replicas_do_and_tell_each_thing_once(spawn, mediamtx_double, redis_server):  # noqa: F811
    node = mediamtx_double(bitrate=400_000)
    one, two = (Streaming(spawn, [node], redis_server.url()) for _ in range(2))
    client = redis_server.client()
    assert one.post("/cameras/provision/bulk", cameras([1], on_demand=False) + cameras([2, 3])).json()["success"]
    wait_until(lambda: all(s.get("/cameras/1/status").json().get("ready") for s in (one, two)), what="both see the camera")

    def told(kind, action):
        events = [json.loads(e[1]["json"]) for e in client.xrange("gtv:events") if e[1]["type"] == kind]
        return [e for e in events if e["data"].get("action") == action or e["data"].get("state") == action]

    # One outage, the same at both, and in Redis.
    node.set_state("cam_1", "offline")
    wait_until(lambda: all(s.gaps(1)["count"] == 1 for s in (one, two)), what="the outage is at both replicas")
    assert one.gaps(1)["gaps"][0]["from"] == two.gaps(1)["gaps"][0]["from"]
    node.set_state("cam_1", "ready")
    wait_until(lambda: all(s.gaps(1)["count"] == 1 and s.gaps(1)["gaps"][0]["to"] for s in (one, two)), what="it is over at both")
    assert one.gaps(1)["gaps"] == two.gaps(1)["gaps"]
    # A node that forgot is filled once.
    node.reset_counts()
    node.restart()
    wait_until(lambda: len(ours(node)) == 3, what="all cameras are back")
    wait_until(lambda: told("provision", "restored"), what="it is told")
    time.sleep(2)
    assert len(told("provision", "restored")) == 1
    assert node.count("/v3/config/paths/add/*") == 3
    # The one that acted dies: the other goes on from what it wrote.
    wait_until(lambda: one.gaps(1)["gaps"][0]["to"] and one.gaps(1)["gaps"] == two.gaps(1)["gaps"], what="all is over at both")
    before = one.gaps(1)["count"]
    one.process.stop()
    node.set_state("cam_1", "offline")
    wait_until(lambda: two.gaps(1)["count"] == before + 1, what="the other one writes down the next outage")
    wait_until(lambda: len(json.loads(client.hget("gtv:gaps", "1"))["gaps"]) == before + 1, what="kept in redis")
    # Removed at a follower or at the leader, it is forgotten everywhere.
    requests.delete(two.url + "/cameras/1", timeout=60)
    wait_until(lambda: not client.hexists("gtv:gaps", "1"), what="a removed camera's outages are forgotten")


# ---- the real node ----

def test_with_the_real_media_node(spawn, tmp_path):
    api, hls = free_port(), free_port()

    def start(n):
        return spawn("gtv-media", ready=f"http://127.0.0.1:{api}/v3/paths/list", env={
            "MEDIA_API_PORT": api, "MEDIA_HLS_PORT": hls, "MEDIA_DATA": tmp_path / f"media-{n}", "GTV_CAMERA_ALLOW": "127.0.0.0/8"})

    def listed():
        answer = requests.get(f"http://127.0.0.1:{api}/v3/config/paths/list?itemsPerPage=1000", timeout=60).json()
        return {i["name"]: i for i in answer["items"]}
    media = start(1)
    s = Streaming(spawn, [f"http://127.0.0.1:{api}"], hls=[f"http://127.0.0.1:{hls}"])
    began = time.monotonic()
    assert s.post("/cameras/provision/bulk", cameras(range(1, 251))).json()["success"] is True
    print(f"250 cameras provisioned in {time.monotonic() - began:.2f} s")
    assert len(listed()) == 250
    refused = s.put(251, rtsp_url="srt://192.0.2.1:8890?streamid=x&mode=listener", name="x")
    assert refused.status_code == 422 and "media node refuses" in refused.text and refused.json()["field"] == "rtsp_url"
    time.sleep(3)  # its answers have no passwords: that is no drift
    assert "brought in line" not in s.process.log()
    media.stop()
    start(2)
    began = time.monotonic()
    wait_until(lambda: len(listed()) == 250, what="all cameras are back")
    print(f"250 cameras back in {time.monotonic() - began:.2f} s")


def test_cameras_of_every_kind(spawn, tmp_path):
    """rtmp, an endless MPEG-TS and an HLS playlist over http, and one that pushes: each comes out of our own HLS."""
    node, other = Rtsp(spawn, tmp_path / "node", GTV_CAMERA_ALLOW="127.0.0.0/8"), Rtsp(spawn, tmp_path / "other")
    s = Streaming(spawn, [node.api], hls=[node.hls])
    senders, rtmp = [], free_port()

    def send(*output):
        senders.append(ffmpeg("-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=15", *H264, *output))
    try:
        other.add("one", "publisher")
        send("-f", "rtsp", "-rtsp_transport", "tcp", other.url("one"))
        send("-f", "flv", "-listen", "1", f"rtmp://127.0.0.1:{rtmp}/live/x")
        other.wait_state("one", "connected")
        sources = {1: (f"rtmp://127.0.0.1:{rtmp}/live/x", "rtmpSource"), 2: (f"{other.hls}/one/relay", "mpegtsSource"),
                   3: (f"{other.hls}/one/index.m3u8", "hlsSource"), 4: ("publisher", "rtspSession")}
        for number, (url, _) in sources.items():
            answer = s.put(number, rtsp_url=url, name=f"Câmera {number}")
            assert answer.status_code == 200 and answer.json()["result"] == "created", answer.text
            shown = requests.get(f"{node.api}/v3/config/paths/get/cam_{number}", timeout=60).json()
            assert shown["source"] == url and shown["sourceOnDemand"] is (url != "publisher")
        send("-f", "rtsp", "-rtsp_transport", "tcp", node.url("cam_4"))
        node.wait_state("cam_4", "connected")

        def watch(number):
            index = f"/hls/cam_{number}/index.m3u8"
            text = wait_until(lambda: (a := s.get(index)).status_code == 200 and a.text, what=f"the playlist of camera {number}")
            media = next(line for line in text.splitlines() if line and not line.startswith("#"))
            media = s.get(f"/hls/cam_{number}/{media}")
            assert media.status_code == 200, media.text
            piece = next(line for line in media.text.splitlines() if line and not line.startswith("#"))
            data = s.get(f"/hls/cam_{number}/{piece}")
            assert data.status_code == 200 and data.content[0] == 0x47, (number, data.headers)
            return node.path(f"cam_{number}")["source"]["type"]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(watch, sources)) == [kind for _, kind in sources.values()]
        for number in sources:
            wait_until(lambda: (c := s.get(f"/cameras/{number}/status").json())["ready"] and c["state"] == "connected", what=f"camera {number} is seen")
        assert s.put(5, rtsp_url="rtmps://u:x@127.0.0.1/live/x", name="over TLS").json()["result"] == "created"
        assert s.put(1, rtsp_url=sources[1][0], name="Câmera 1").json()["result"] == "unchanged"
    finally:
        for sender in senders:
            sender.kill()
            sender.communicate()


def test_as_fast_as_the_node(spawn, mediamtx_double):  # noqa: F811
    """250 cameras through us, beside 250 calls of the node's own API, 16 at a time: MediaMTX needs 15 ms for each."""
    node = mediamtx_double()
    node.set_latency(0.1, "/v3/config/paths/add/*")
    body = [{"name": f"x_{n}", "source": "rtsp://192.0.2.1/x"} for n in range(250)]
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=16))

    def add(item):
        return session.post(f"{node.api_url}/v3/config/paths/add/{item['name']}", json={"source": item["source"]}, timeout=60).status_code
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(add, body)) == {200}
    alone = time.monotonic() - began
    s = Streaming(spawn, [node])
    began = time.monotonic()
    assert s.post("/cameras/provision/bulk", cameras(range(1, 251))).json()["success"] is True
    ours_took = time.monotonic() - began
    print(f"node's API {alone:.2f} s, through us {ours_took:.2f} s")
    assert ours_took <= 2 * alone + 5  # the sanitizers' share, and a busy machine's: one after the other it would take 25 s
