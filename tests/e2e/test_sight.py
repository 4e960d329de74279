"""What an operator sees: metrics by one scheme, alerts and dashboard whose every series is there, logs, ids that go along, /health and /ready."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import types

import pytest
import requests
from ai_service import Ai
from conftest import ROOT, free_port, wait_until

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "gtvision.json"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
JSON_LOG = {"LOG_FORMAT": "json", "GTV_ACCESS_LOG": "true"}

spec = importlib.util.spec_from_file_location("metrics_page", ROOT / "tools" / "docs" / "metrics.py")
metrics_page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(metrics_page)


def lines_of(process):
    """The log as objects; every line must be one."""
    return [json.loads(line) for line in process.log().splitlines() if line]


@pytest.fixture(scope="module")
def house(spawn_module, redis_module, tmp_path_factory):
    """The four programs, one camera that nobody answers for, an HAProxy with its exporter, and a Prometheus that scrapes them all."""
    spawn, folder, h = spawn_module, tmp_path_factory.mktemp("house"), types.SimpleNamespace()
    ports = {name: free_port() for name in ("media", "hls", "streaming", "console", "door", "prometheus")}
    h.urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    h.media = spawn("gtv-media", ready=h.urls["media"] + "/health", env={
        "MEDIA_API_PORT": ports["media"], "MEDIA_HLS_PORT": ports["hls"], "MEDIA_DATA": folder / "media", "GTV_CAMERA_ALLOW": "127.0.0.0/8", **JSON_LOG})
    h.streaming = spawn("gtv-streaming", ready=h.urls["streaming"] + "/health", env={
        "STREAMING_PORT": ports["streaming"], "STREAMING_WORKERS": 2, "GTV_CAMERA_ALLOW": "127.0.0.0/8", "MEDIAMTX_API_URL": h.urls["media"],
        "MEDIAMTX_HLS_URL": h.urls["hls"], "REDIS_URL": redis_module.url(), "GTV_L2": "true", **JSON_LOG})
    h.console = spawn("gtv-console", ready=h.urls["console"] + "/health", env={
        "CONSOLE_PORT": ports["console"], "REDIS_URL": redis_module.url(), "DATABASE_URL": f"sqlite:{folder}/console.db", "STREAMING_URL": h.urls["streaming"],
        "GTV_WEB_DIR": ROOT / "web", "LOG_FORMAT": "json"})
    h.ai = Ai(spawn, redis_module.port, folder / "no-models", LPR_ENABLED="true", **JSON_LOG)
    h.urls["ai"] = h.ai.url
    (folder / "haproxy.cfg").write_text(f"""
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend door
    bind 127.0.0.1:{free_port()}
    default_backend streaming
frontend metrics
    bind 127.0.0.1:{ports['door']}
    http-request use-service prometheus-exporter if {{ path /metrics }}
backend streaming
    server one 127.0.0.1:{ports['streaming']}
""")
    spawn("haproxy", "-f", folder / "haproxy.cfg", ready=h.urls["door"] + "/metrics")
    wait_until(lambda: requests.get(h.urls["streaming"] + "/ready", timeout=60).json()["media"], 60, what="streaming is ready")
    answer = requests.post(h.urls["streaming"] + "/cameras/provision", timeout=60, headers={
        "X-Request-ID": "first-camera.1", "traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"},
        json={"camera_id": 7, "rtsp_url": f"rtsp://127.0.0.1:{free_port()}/x", "name": "Rua", "on_demand": False})
    assert answer.status_code == 200 and answer.headers["X-Request-ID"] == "first-camera.1"
    h.page = lambda program: requests.get(h.urls[program] + "/metrics", timeout=60).text
    # Prometheus with the files as they are delivered, but for the addresses and for how often it looks.
    config = folder / "prometheus"
    shutil.copytree(PROMETHEUS, config)
    text = (config / "prometheus.yml").read_text()
    (config / "prometheus.yml").write_text(text.replace("interval: 15s", "interval: 2s").replace("timeout: 10s", "timeout: 2s"))
    for program, port in (("streaming", ports["streaming"]), ("ai", h.ai.metrics_port), ("media", ports["media"]), ("console", ports["console"]), ("door", ports["door"])):
        (config / "targets" / f"{program}.yml").write_text(f'- targets: ["127.0.0.1:{port}"]\n')
    spawn("prometheus", f"--config.file={config}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
          "--log.level=warn", ready=h.urls["prometheus"] + "/-/ready", seconds=60)
    h.ask = lambda path, **params: requests.get(h.urls["prometheus"] + "/api/v1/" + path, params=params, timeout=60).json()["data"]
    return h


# ---- Metrics ----

def test_pages_follow_the_scheme_and_the_document(house):
    wait_until(lambda: 'gtv_streaming_camera_down{camera="7",state="disconnected"} 1' in house.page("streaming"), 60, what="the camera is down")
    pages = {name: metrics_page.parse(house.page(name)) for name in ("streaming", "ai", "media", "console")}
    foreign = re.compile(r"process_|detections?_|paths|hls_|rtsp_|rtmp_")
    for program, families in pages.items():
        assert f'program="{program}"' in house.page(program) and "process_resident_memory_bytes" in families
        for name, family in families.items():
            assert family["type"] and family["help"], name
            assert foreign.match(name) or re.fullmatch(rf"gtv_(http|disk|build|{program})_[a-z0-9_]+", name), name
            if not foreign.match(name):
                assert (family["type"] == "counter") == name.endswith("_total"), name
                assert not re.search(r"milli|_ms(_|$)|kib|percent", name), name
            assert all(len(values) <= 40 for values in family["labels"].values()), name
    assert pages["ai"]["detections_processed_total"]["type"] == "counter"
    assert pages["ai"].keys() == metrics_page.parse(requests.get(f"http://127.0.0.1:{house.ai.metrics_port}/metrics", timeout=60).text).keys()
    document = ROOT / "docs" / "metrics.md"
    text = metrics_page.render(pages)
    if os.environ.get("GTV_WRITE_DOCS"):
        document.write_text(text)
    def rows(page):
        return {(m[1], m[2], m[3]) for m in re.finditer(r"^\| `(\w+)` \| (\w+) \| [^|]* \| (.*) \|$", page, re.M)}
    assert len(rows(text)) > 100 and rows(document.read_text()) == rows(text), "GTV_WRITE_DOCS=1 and this test write docs/metrics.md anew"


def test_prometheus_takes_the_files():
    for args in (("check", "config", "prometheus.yml"), ("check", "config", "compose.yml"), ("check", "rules", "rules/gtvision.yml"),
                 ("test", "rules", "tests/gtvision.test.yml")):
        done = subprocess.run(["promtool", *args], cwd=PROMETHEUS, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr


WORDS = {"by", "or", "and", "unless", "on", "ignoring", "without", "bool", "inf", "nan", "offset", "group_left", "group_right", "ALERTS"}


def names_in(expression):
    """The series that an expression names."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    return {n for n in re.findall(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b(?!\s*\()", bare) if n not in WORDS and not re.fullmatch(r"e\d+", n)}


def rules():
    import yaml
    return [r for g in yaml.safe_load((PROMETHEUS / "rules" / "gtvision.yml").read_text())["groups"] for r in g["rules"]]


def targets_of(dashboard):
    return [t for panel in dashboard["panels"] for t in panel.get("targets", [])]


def test_every_series_that_is_asked_for_is_there(house):
    def all_up():
        active = house.ask("targets", state="active")["activeTargets"]
        assert {t["labels"]["job"]: t["health"] for t in active} == dict.fromkeys(("streaming", "ai", "media", "console", "door"), "up"), active
        return True
    wait_until(all_up, 60, what="all targets are up")
    asked = set().union(*(names_in(t["expr"]) for t in targets_of(json.loads(DASHBOARD.read_text()))), *(names_in(r["expr"]) for r in rules()))
    assert len(asked) > 60
    def known():
        missing = asked - set(house.ask("label/__name__/values"))
        assert not missing, missing
        return True
    wait_until(known, 60, what="every series of rules and dashboard")
    # The dashboard's own words are what Prometheus takes, and the alerts are loaded.
    for target in targets_of(json.loads(DASHBOARD.read_text())):
        expression = target["expr"].replace("$job", ".*").replace("$instance", ".*")
        assert house.ask("query", query=expression)["resultType"] == "vector", expression
    loaded = [r["name"] for g in house.ask("rules")["groups"] for r in g["rules"]]
    assert sorted(loaded) == sorted(r["alert"] for r in rules())
    wait_until(lambda: any(a["labels"]["alertname"] == "GtvCameraDown" and a["labels"]["camera"] == "7" for a in house.ask("alerts")["alerts"]), 60,
               what="the camera's alert is pending")


def test_alerts_say_what_to_do():
    document = (ROOT / "docs" / "monitoring.md").read_text()
    headings = {line.lstrip("# ").strip().lower() for line in document.splitlines() if line.startswith("#")}
    for rule in rules():
        notes = rule["annotations"]
        assert {"summary", "description", "summary_pt", "description_pt", "runbook"} == notes.keys() and rule["labels"]["severity"] in ("critical", "warning")
        page, _, anchor = notes["runbook"].partition("#")
        assert page == "docs/monitoring.md" and anchor in headings, rule["alert"]


def test_the_dashboard_is_whole():
    import yaml
    d = json.loads(DASHBOARD.read_text())
    assert d["uid"] == "gtvision" and {v["name"] for v in d["templating"]["list"]} == {"datasource", "job", "instance"}
    ids, places = [p["id"] for p in d["panels"]], set()
    assert len(ids) == len(set(ids))
    for panel in d["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & places, panel["title"]
        places |= cells
        assert panel["title"] and (panel["type"] == "row" or panel["targets"])
        assert all(t["datasource"]["uid"] == "${datasource}" and t["expr"] for t in panel.get("targets", []))
    for file in (DASHBOARD.parents[1] / "provisioning").rglob("*.yml"):
        assert yaml.safe_load(file.read_text())["apiVersion"] == 1


# ---- Logs, ids ----

def test_a_request_is_found_in_every_log(house):
    def said(process, path):
        return [o for o in lines_of(process) if o["msg"] == "request" and o["path"] == path and o.get("request_id") == "first-camera.1"]
    asked = wait_until(lambda: said(house.streaming, "/cameras/provision"), what="streaming's line")[0]
    assert asked["trace_id"] == TRACE and asked["status"] == 200 and asked["bytes"] > 10 and asked["ms"] > 0 and asked["complete"] is True
    passed = wait_until(lambda: said(house.media, "/v3/config/paths/add/cam_7"), what="the media node's line")[0]
    assert passed["trace_id"] == TRACE and passed["comp"] == "gtv-media"
    done = [o for o in lines_of(house.streaming) if o["msg"] == "camera operation done"]
    assert done and done[0]["request_id"] == "first-camera.1" and done[0]["trace_id"] == TRACE and done[0]["camera"] == "cam_7"


def test_a_miss_carries_its_viewers_id_and_no_secret(house):
    answer = requests.get(house.urls["streaming"] + "/hls/nowhere/index.m3u8?token=s3cret", headers={"X-Request-ID": "viewer-1"}, timeout=60)
    assert answer.status_code == 404 and answer.headers["X-Request-ID"] == "viewer-1"
    wait_until(lambda: [o for o in lines_of(house.media) if o.get("request_id") == "viewer-1" and o["path"] == "/nowhere/index.m3u8"], what="the media node's line")
    wait_until(lambda: [o for o in lines_of(house.streaming) if o.get("request_id") == "viewer-1" and o["msg"] == "request"], what="streaming's line")
    assert "s3cret" not in house.streaming.log()


def test_ids_that_are_none_are_replaced(house):
    answer = requests.get(house.urls["streaming"] + "/health", timeout=60, headers={"X-Request-ID": 'a" admin="yes', "traceparent": f"00-{'0' * 32}-{SPAN}-01"})
    made = answer.headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{16}", made)
    line = wait_until(lambda: [o for o in lines_of(house.streaming) if o.get("request_id") == made], what="the line")[0]
    assert "trace_id" not in line and "admin" not in line


def test_every_line_is_an_object(house):
    for process in (house.streaming, house.media, house.console, house.ai.process):
        found = lines_of(process)
        assert found and all({"ts", "level", "comp", "msg"} <= o.keys() for o in found)


# ---- /health and /ready ----

def test_ready_says_what_is_missing(house, spawn, redis_module):
    def ready(program):
        answer = requests.get(house.urls[program] + "/ready", timeout=60)
        said = answer.json()
        assert answer.status_code == 200 and said["ready"] is True and said["program"] == program and said["status"] == "ready" and said["missing"] == [], said
        return True
    for program in ("streaming", "media", "console"):
        wait_until(lambda program=program: ready(program), 60, what=f"{program} is ready")
    def without_models():
        answer = house.ai.get("/ready")
        said = answer.json()
        assert answer.status_code == 503 and said["ready"] is False and said["status"] == "not ready" and said["code"] == "unavailable"
        assert {m["what"]: m["required"] for m in said["missing"]} == {"model": True, "plates": False}, said
        return all(m["cause"] for m in said["missing"]) and "model is missing" in said["detail"]
    wait_until(without_models, 60, what="the ai program says what it misses")
    assert house.ai.get("/health").status_code == 200
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    wrong = spawn("gtv-streaming", ready=url + "/health", env={"STREAMING_PORT": port, "MEDIAMTX_API_URL": "http://127.0.0.1:9",
                  "MEDIAMTX_HLS_URL": "http://127.0.0.1:9", "REDIS_URL": f"redis://:wr0ng-password@127.0.0.1:{redis_module.port}/2"})
    def told():
        said = requests.get(url + "/ready", timeout=60)
        missing = {m["what"]: m for m in said.json()["missing"]}
        assert said.status_code == 503 and "refuses the password" in missing["redis"]["cause"] and not missing["redis"]["required"]
        assert "cannot be reached" in missing["media"]["cause"] and missing["media"]["required"]
        return said.text
    text = wait_until(told, 60, what="both causes")
    assert "wr0ng" not in text and "wr0ng" not in wrong.log()
    assert requests.get(url + "/health", timeout=60).json()["status"] == "ok"
