"""The containers, without an engine: compose files and Dockerfile against the programs' own tables and the contract."""

import functools
import json
import os
import re
import shutil
import socketserver
import stat
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, binary

SYSTEM = ROOT / "deploy/compose/docker-compose.yml"
AI = ROOT / "services/ai-service/docker-compose.yml"
DOOR = ROOT / "deploy/haproxy/door"
PROGRAMS = {"streaming": "gtv-streaming", "media": "gtv-media", "console": "gtv-console", "ai": "gtv-ai"}
# What the programs need here whatever their container has: the path, and what a sanitized build asks for.
HERE = {"PATH": os.environ["PATH"], "TBB_ENABLE_SANITIZERS": "1", "ASAN_OPTIONS": "detect_odr_violation=0"}
# Where containers of ours listen, by the contract's names; None: a name alone.
LISTENS = {
    "streaming": {8001}, "media": {9997, 8888, 8554, 9996, 1935}, "console": {8002}, "ai": {8080, 9092},
    "redis_cache": {6379}, "haproxy": {80, 443, 8404},
}  # fmt: skip
PORT_OPTIONS = {
    "streaming": ["STREAMING_PORT"], "console": ["CONSOLE_PORT"], "ai": ["AI_PORT", "METRICS_PORT"],
    "media": ["MEDIA_API_PORT", "MEDIA_HLS_PORT", "MEDIA_RTSP_PORT", "MEDIA_PLAYBACK_PORT", "MEDIA_RTMP_PORT"],
    "haproxy": ["GTV_PORT", "GTV_TLS_PORT", "GTV_STATS_PORT"],
}  # fmt: skip
# The contract's environment, which the containers must take with its defaults.
CONTRACT = {
    "streaming": {
        "MEDIAMTX_API_URL": "http://mediamtx:9997", "MEDIAMTX_HLS_URL": "http://mediamtx:8888", "MEDIAMTX_RTSP_URL": "rtsp://mediamtx:8554",
        "MEDIAMTX_WEBRTC_URL": "", "MEDIAMTX_API_USER": "", "MEDIAMTX_API_PASS": "", "REDIS_URL_FILE": "/run/secrets/redis_url",
        "MAX_CONNECTIONS_PER_STREAM": "100", "HEALTH_CHECK_INTERVAL": "15", "HLS_SEGMENT_CACHE_TTL": "5", "LOG_LEVEL": "INFO",
    },
    "ai": {
        "REDIS_HOST": "redis_cache", "REDIS_PORT": "6379", "REDIS_PASSWORD_FILE": "/run/secrets/redis_password", "REDIS_DB": "1",
        "WORKERS": "4", "MAX_QUEUE_SIZE": "1000", "BATCH_SIZE": "8", "CONFIDENCE_THRESHOLD": "0.5", "YOLO_MODEL": "", "LPR_MODEL": "",
        "VEHICLE_MODEL": "", "ENABLE_GPU": "false", "GPU_MEMORY_FRACTION": "0.8", "LOG_LEVEL": "INFO", "METRICS_PORT": "9092",
    },
}  # fmt: skip
# What nobody outside may reach without the door.
INNER = {9997, 8888, 9996, 8001, 8002, 8080, 9092, 6379, 8405, 9998}


@functools.cache
def load(path):
    """The file with its variables at their defaults and what it extends, as compose would have it."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", path.read_text())
    assert "${" not in text, f"{path} has a variable without a default"
    found = yaml.safe_load(text)
    for name, service in found["services"].items():
        if base := service.pop("extends", None):
            common = yaml.safe_load((path.parent / base["file"]).read_text())["services"][base["service"]]
            found["services"][name] = {**common, **service}
    return found


def services():
    return {**load(SYSTEM)["services"], **load(AI)["services"]}


def ours():
    return {name: s for name, s in services().items() if "build" in s}


def text_of(value):
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def environment(service):
    return {name: text_of(value) for name, value in service.get("environment", {}).items()}


@functools.cache
def stages():
    """The Dockerfile's stages: {name: {"from", "steps": [(verb, rest)]}}."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "deploy/docker/Dockerfile").read_text()))
    found, current = {}, None
    for line in filter(str.strip, text.splitlines()):
        verb, rest = line.split(None, 1)
        if verb == "FROM":
            parent, _, name = rest.split()
            current = found[name] = {"from": parent, "steps": []}
        elif current is not None:
            current["steps"].append((verb, rest))
    return found


def image_env(stage):
    pairs = [pair for verb, rest in stages()[stage]["steps"] if verb == "ENV" for pair in rest.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def exposed(stage):
    return {int(port) for verb, rest in stages()[stage]["steps"] if verb == "EXPOSE" for port in rest.split()}


@pytest.fixture(scope="module")
def tables():
    """{service: {option: default}} out of the programs' own mouths."""
    found = {}
    for service, program in PROGRAMS.items():
        told = json.loads(subprocess.run([binary(program), "--options-json"], env=HERE, capture_output=True, check=True, timeout=60).stdout)
        found[service] = {o["name"]: o["default"] for o in told["options"]}
    lines = subprocess.run([DOOR, "options"], capture_output=True, check=True, text=True, timeout=60).stdout.splitlines()
    found["haproxy"] = {line.split("|")[0]: line.split("|")[2] for line in lines}
    return found


@pytest.mark.parametrize("service", [*PROGRAMS, "haproxy"])
def test_every_variable_is_an_option_of_its_program(tables, service):
    for name in {**image_env(service), **environment(ours()[service])}:
        option = name.removesuffix("_FILE")
        assert name in tables[service] or option in tables[service], f"{service}: there is no option {name}"


@pytest.mark.parametrize("service", PROGRAMS)
def test_the_program_accepts_its_container_s_environment(service, tmp_path):
    """As it stands, but for secrets, which are files of this test, and folders of the image, which are not here."""
    (tmp_path / "redis_url").write_text("redis://:secret@redis_cache:6379/2")
    (tmp_path / "redis_password").write_text("secret")
    env = {**image_env(service), **environment(ours()[service])}
    for name, value in env.items():
        if value.startswith("/run/secrets/"):
            env[name] = str(tmp_path / Path(value).name)
        for there, here in (("/var/lib/gtvision", tmp_path), ("/usr/share/gtvision", tmp_path)):
            env[name] = env[name].replace(there, str(here))
    for folder in ("console", "crops", "media", "models", "recordings", "spool", "web", "hls.js", "api", "swagger-ui"):
        (tmp_path / folder).mkdir()
    done = subprocess.run([binary(PROGRAMS[service]), "--check-config"], env={**HERE, **env}, capture_output=True, text=True,
                          timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_door_accepts_its_container_s_environment(tmp_path):
    (tmp_path / "stats_password").write_text("secret")
    env = {**image_env("haproxy"), **environment(ours()["haproxy"]), "GTV_STATS_PASSWORD_FILE": str(tmp_path / "stats_password")}
    # HAProxy asks for names when it starts; here nobody knows them, and that takes its time.
    env = {name: re.sub(r"\b(streaming|ai|console|mediamtx):", "localhost:", value) if name.endswith("_ADDRS") else value
           for name, value in env.items()}  # fmt: skip
    done = subprocess.run([DOOR, "check"], env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), **env}, capture_output=True,
                          text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", LISTENS)
def test_ports_are_the_contract_s(tables, service):
    assert exposed(service) == LISTENS[service]
    if service in PORT_OPTIONS:
        env = {**tables[service], **image_env(service), **environment(ours()[service])}
        assert {int(env[name]) for name in PORT_OPTIONS[service]} == LISTENS[service]


def test_the_contract_s_environment_and_defaults():
    for service, wanted in CONTRACT.items():
        env = environment(services()[service])
        assert {name: env.get(name) for name in wanted} == wanted


def test_names_are_the_contract_s():
    found = services()
    assert {"haproxy", "streaming", "ai", "redis_cache", "mediamtx", "console"} <= set(found)
    assert "mediamtx" in found["media"]["networks"]["gtvision"]["aliases"]
    assert found["mediamtx"]["profiles"] == ["mediamtx"]
    env = environment(found["haproxy"])
    for name, value in (("STREAMING", "streaming:8001"), ("AI", "ai:8080"), ("CONSOLE", "console:8002"), ("MEDIA_HLS", "mediamtx:8888")):
        assert env[f"GTV_{name}_ADDRS"].split("*")[0] == value


def test_only_the_door_and_publishers_come_in():
    for name, service in services().items():
        for port in service.get("ports", []):
            outside, inside = str(port).removesuffix("/udp").rsplit(":", 1)
            assert int(inside) not in INNER, f"{name} publishes {port}"
            assert name == "haproxy" or outside.startswith("127.0.0.1:"), f"{name} publishes {port} to all"
            if name in LISTENS:
                assert int(inside) in LISTENS[name]


def test_containers_are_locked_down():
    for name, service in {**ours(), "mediamtx": services()["mediamtx"]}.items():
        assert service["read_only"] is True and service["user"] == "10001:10001", name
        assert service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged") and "/var/run/docker.sock" not in str(service), name
    for name, stage in stages().items():
        if stage["from"] == "scratch":
            assert ("USER", "10001:10001") in stage["steps"], name


def test_images_are_stages_and_take_only_what_the_context_has():
    found = stages()
    for name, service in ours().items():
        base = SYSTEM if name in load(SYSTEM)["services"] else AI
        assert (base.parent / service["build"]["context"]).resolve() == ROOT
        assert found[service["build"]["target"]]["from"] == "scratch", name
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    seen = ["debian"]
    for name, stage in found.items():
        assert stage["from"].strip("${}").lower() in [*seen, "scratch"], f"{name} comes before what it is made of"
        for verb, rest in stage["steps"]:
            if verb != "COPY":
                continue
            words = rest.split()
            if origin := [w.removeprefix("--from=") for w in words if w.startswith("--from=")]:
                assert origin[0] in seen, f"{name} copies from {origin[0]}, which is built later"
                continue
            for source in [w for w in words if not w.startswith("--")][:-1]:
                assert (ROOT / source).exists(), source
                assert any(f"{source.rstrip('/')}/".startswith(f"{a}/") for a in allowed), f".dockerignore leaves {source} out"
        seen.append(name)


def test_health_asks_a_port_of_the_container():
    for name, stage in stages().items():
        for verb, rest in stage["steps"]:
            if verb == "HEALTHCHECK":
                port = int(re.search(r"127\.0\.0\.1:(\d+)", rest).group(1))
                assert port in exposed(name) or image_env(name).get("GTV_DOOR_METRICS", "").endswith(f":{port}"), name
        assert stage["from"] != "scratch" or any(verb == "HEALTHCHECK" for verb, _ in stage["steps"]), name


def test_what_is_written_lies_in_a_volume_and_what_is_read_is_in_the_image():
    roots = (ROOT / "deploy/docker/roots.sh").read_text()
    made = set(re.search(r"for name in ([\w ]+); do mkdir -p \"/image/data/", roots).group(1).split())
    for name, service in ours().items():
        volumes = {v.split(":")[1]: v.split(":")[0] for v in service.get("volumes", [])}
        for option, value in {**image_env(service["build"]["target"]), **environment(service)}.items():
            for path in re.findall(r"/(?:var/lib|usr/share)/gtvision/[\w.-]+", value):
                top = path.split("/")[4]
                if path.startswith("/var/lib"):
                    # What streaming says there is done by the media nodes.
                    where = ours()["media"]["volumes"] if option == "GTV_RECORD_PATH" else service["volumes"]
                    assert any(v.split(":")[1] == path for v in where) and top in made, f"{name}: {option}={value} is in no volume"
                else:
                    assert f"$share/{top}" in roots, f"{name}: {option}={value} is in no image"
        for path, source in volumes.items():
            top = path.removeprefix("/var/lib/gtvision/")
            assert top in made or path in ("/run/secrets", "/certs", "/models", "/usr/share/gtvision/models/cache"), path
            assert source.startswith(".") or source in {**load(SYSTEM)["volumes"], **load(AI)["volumes"]}, source
    outside = load(AI)
    for kind in ("networks", "volumes"):
        for name, what in outside[kind].items():
            if what.get("external"):
                assert load(SYSTEM)[kind][name]["name"] == what["name"]


@pytest.mark.parametrize("file", [SYSTEM, AI], ids=["system", "ai"])
def test_the_example_has_each_variable_with_its_default(file):
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", file.read_text()))
    listed = dict(re.findall(r"(?m)^#?([A-Z][A-Z0-9_]+)=(.*)$", (file.parent / ".env.example").read_text()))
    hidden = {"MEDIAMTX_IMAGE", "MEDIAMTX_RTSP_URL", "VEHICLE_MODEL", "ENABLE_GPU", "GPU_MEMORY_FRACTION",
              "PROMETHEUS_IMAGE", "GRAFANA_IMAGE", "POSTGRES_IMAGE"}  # fmt: skip
    assert set(used) - hidden <= set(listed), "not in .env.example"
    assert set(listed) - {"COMPOSE_PROFILES"} <= set(used), "in .env.example, used by nothing"
    # What an option of the example sets stands beside its default; these have none or another value to show how.
    shows = {"COMPOSE_PROFILES", "DATABASE_URL_FILE", "MEDIA_REPLICAS", "MEDIAMTX_WEBRTC_URL", "GTV_WEBRTC_ADDRS", "GTV_CERTS", "GTV_TLS_CERT", "GTV_SECRETS",
             "AI_MODELS", "MODELS_DIR"}  # fmt: skip
    assert {n: v for n, v in listed.items() if n not in shows} == {n: v for n, v in used.items() if n in listed and n not in shows}


def test_mediamtx_s_settings_are_such_that_our_node_takes_them_too(tmp_path):
    """But for WebRTC, which it does not serve: it knows MediaMTX's keys, and refuses what is none."""
    text = re.sub(r"(?m)^webrtc\w*:.*\n", "", (SYSTEM.parent / "mediamtx.yml").read_text())
    (tmp_path / "mediamtx.yml").write_text(text)
    env = {**HERE, "MEDIA_CONFIG": str(tmp_path / "mediamtx.yml"), "MEDIA_DATA": str(tmp_path)}
    done = subprocess.run([binary("gtv-media"), "--check-config"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load(text)
    assert load(SYSTEM)["networks"]["gtvision"]["ipam"]["config"][0]["subnet"] in settings["authInternalUsers"][0]["ips"]
    for key, port in (("apiAddress", 9997), ("hlsAddress", 8888), ("rtspAddress", 8554), ("playbackAddress", 9996), ("rtmpAddress", 1935)):
        assert settings[key] == f":{port}" and port in LISTENS["media"]


def test_the_console_takes_the_database_of_the_profile(tmp_path):
    found = services()["postgresql"]
    assert found["profiles"] == ["postgresql"] and not found.get("ports")
    assert subprocess.run([binary("gtv-box"), "keys", tmp_path], capture_output=True, timeout=60).returncode == 0
    url = re.fullmatch(r"postgresql://(\w+):\w+@(\w+):5432/(\w+)", (tmp_path / "database_url").read_text())
    env = environment(found)
    assert url.groups() == (env["POSTGRES_USER"], "postgresql", env["POSTGRES_DB"])
    assert env["POSTGRES_PASSWORD_FILE"] == "/run/secrets/postgres_password"
    # As its container has it, with the line of .env.example.
    done = subprocess.run([binary("gtv-console"), "--check-config"], capture_output=True, text=True, timeout=60,
                          env={**HERE, "DATABASE_URL_FILE": str(tmp_path / "database_url"), "GTV_WEB_DIR": str(ROOT / "web")})  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_monitoring_finds_what_it_reads():
    found = services()
    for name in ("prometheus", "grafana"):
        assert found[name]["profiles"] == ["monitoring"]
        for volume in found[name]["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith(".") or (SYSTEM.parent / source).is_dir(), source
    config = found["prometheus"]["command"][0].removeprefix("--config.file=/etc/prometheus/")
    for job in yaml.safe_load((ROOT / "deploy/prometheus" / config).read_text())["scrape_configs"]:
        for names in job["dns_sd_configs"]:
            (name,), port = names["names"], names["port"]
            inner = int(image_env("haproxy")["GTV_DOOR_METRICS"].split(":")[1])
            assert port in LISTENS[name] or (name, port) == ("haproxy", inner)
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    assert sources["datasources"][0]["url"] == "$PROMETHEUS_URL" and environment(found["grafana"])["PROMETHEUS_URL"] == "http://prometheus:9090"
    providers = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/gtvision.yml").read_text())["providers"]
    assert providers[0]["options"]["path"] in {v.split(":")[1] for v in found["grafana"]["volumes"]}


@pytest.mark.parametrize("file", [SYSTEM, AI], ids=["system", "ai"])
def test_the_older_docker_compose_reads_the_files(file):
    if shutil.which("docker-compose") is None:
        pytest.skip("docker-compose is not installed")
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run(["/usr/bin/docker-compose", "-f", file, "config"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told, read = yaml.safe_load(done.stdout), load(file)
    for name, service in read["services"].items():
        if service.get("profiles"):
            continue
        assert environment(told["services"][name]) == environment(service), name
        assert len(told["services"][name].get("volumes", [])) == len(service.get("volumes", [])), name


class Answers(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline()
        self.wfile.write(self.server.answers.get(line.split()[1] if line.startswith(b"GET") else b"PING", b""))


@pytest.fixture
def answering():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def health(address):
    return subprocess.run([binary("gtv-box"), "health", address], capture_output=True, text=True, timeout=60)


def test_box_asks_for_health(answering):
    answering.answers = {b"/health": b"HTTP/1.1 200 OK\r\n\r\n", b"/ready": b"HTTP/1.1 503 Service Unavailable\r\n\r\n"}
    base = f"127.0.0.1:{answering.server_address[1]}"
    assert health(f"http://{base}/health").returncode == 0
    refused = health(f"http://{base}/ready")
    assert refused.returncode == 1 and "503" in refused.stderr
    assert health(f"http://{base}/silent").returncode == 1
    for answer, code in ((b"+PONG\r\n", 0), (b"-NOAUTH Authentication required.\r\n", 0), (b"-LOADING Redis is loading\r\n", 1)):
        answering.answers = {b"PING": answer}
        assert health(f"redis://{base}").returncode == code
    for wrong in ("ftp://127.0.0.1/", "nothing", "http://"):
        assert health(wrong).returncode == 1
    assert health("redis://127.0.0.1:1").stderr.count("\n") == 1


def test_box_makes_keys_once(tmp_path):
    def make():
        return subprocess.run([binary("gtv-box"), "keys", tmp_path], capture_output=True, text=True, timeout=60)

    assert make().returncode == 0
    first = {p.name: p.read_text() for p in tmp_path.iterdir()}
    assert set(first) == {"redis_password", "redis_url", "redis.conf", "stats_password", "grafana_password", "postgres_password", "database_url"}
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o400 for p in tmp_path.iterdir())
    assert re.fullmatch(r"[0-9a-f]{48}", first["redis_password"]) and first["redis_password"] in first["redis_url"]
    assert make().returncode == 0
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == first
    assert first["database_url"] == f"postgresql://gtvision:{first['postgres_password']}@postgresql:5432/gtvision"
    # A password of one's own: what follows from it follows.
    (tmp_path / "redis_password").unlink()
    (tmp_path / "redis_password").write_text("mine-1\n")
    assert make().returncode == 0
    assert (tmp_path / "redis.conf").read_text() == 'requirepass "mine-1"\n'
    assert (tmp_path / "redis_url").read_text() == "redis://:mine-1@redis_cache:6379/2"
    (tmp_path / "redis_password").write_text('"\nloadmodule /x')
    assert make().returncode == 1
    assert subprocess.run([binary("gtv-box"), "keys", tmp_path / "none"], capture_output=True, timeout=60).returncode == 1
