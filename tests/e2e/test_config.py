"""Options, files and flags of the real programs: what is wrong is said in one sentence, what is live follows SIGHUP, and the pages that are made
from the tables are as the programs print them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
import requests
from conftest import BUILD, ROOT, SANITIZER_REPORT, binary, free_port, wait_until

sys.path.insert(0, str(ROOT / "tools" / "docs"))
import configuration  # noqa: E402

SERVICES = ("streaming", "ai", "media", "console")
PROGRAMS = (*SERVICES, "supervisor")
ASAN = {"ASAN_OPTIONS": "detect_leaks=1:detect_odr_violation=0", "TBB_ENABLE_SANITIZERS": "1"}
# Ports that the system chooses, and nobody behind them.
PLAIN = {"STREAMING_PORT": "0", "AI_PORT": "0", "METRICS_PORT": "0", "CONSOLE_PORT": "0", "MEDIA_API_PORT": "0", "MEDIA_HLS_PORT": "0",
         "MEDIA_RTSP_PORT": "0", "MEDIA_RTMP_PORT": "0", "MEDIA_RTP_PORT": "0", "MEDIA_PLAYBACK_PORT": "0", "GTV_PORT": "0",
         "REDIS_URL": "redis://127.0.0.1:1/2", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1", "MEDIAMTX_API_URL": "http://127.0.0.1:1",
         "MEDIAMTX_HLS_URL": "http://127.0.0.1:1", "STREAMING_URL": "http://127.0.0.1:1", "AI_CROPS_DIR": "", "MODELS_DIR": "/nowhere/models",
         "STREAMING_WORKERS": "2"}


def environment(folder, env):
    """Of a program that finds nothing of this machine's own configuration."""
    return {"PATH": os.environ["PATH"], **ASAN, **PLAIN, "MEDIA_DATA": f"{folder}/media", "DATABASE_URL": f"sqlite:{folder}/console.db",
            "AI_SPOOL_DIR": f"{folder}/spool", "GTV_DATA": f"{folder}/var", "GTV_BIN": str(Path(binary("gtv-console")).parents[1]), "GTV_ROOT": str(ROOT),
            **{k: str(v) for k, v in env.items()}}


def run_all(folder, cases, at_once=4):
    """Runs (program, arguments, environment) and gives for each (exit status, stdout, stderr), a few at a time."""
    results, running = [None] * len(cases), []

    def finish(i, p):
        out, err = p.communicate(timeout=120)
        results[i] = (p.returncode, out.decode(), err.decode())
        assert not SANITIZER_REPORT.search(err), err

    for i, (program, args, env) in enumerate(cases):
        own = folder / f"run-{i}"  # two of them may not share a data folder
        own.mkdir()
        running.append((i, subprocess.Popen([binary(f"gtv-{program}"), *map(str, args)], env=environment(own, env), cwd=own,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)))
        if len(running) == at_once:
            finish(*running.pop(0))
    for pair in running:
        finish(*pair)
    return results


def text_file(folder, name, text):
    path = folder / name
    path.write_text(text)
    return str(path)


# ---- What is wrong ----

def test_wrong_options_stop_the_start_with_one_sentence(tmp_path):
    bad_yaml = text_file(tmp_path, "bad.yml", "hlsSegmentCount: many\n")
    bad_path = text_file(tmp_path, "path.yml", "paths:\n  cam:\n    source: 7x\n")
    not_yaml = text_file(tmp_path, "not.yml", "a: [1\n")
    empty = text_file(tmp_path, "empty", "\n")
    wrong_line = text_file(tmp_path, "wrong.conf", "# a comment\nLOG_LEVEL\n")
    cases = [
        # program, arguments, environment, what the sentence names, what it must not show
        ("streaming", [], {"LOG_LEVEL": "LOUD"}, ("LOG_LEVEL", "LOUD"), None),
        ("ai", [], {"AI_DECODE": "some"}, ("AI_DECODE", "some"), None),
        ("media", [], {"MEDIA_HLS_VARIANT": "dash"}, ("MEDIA_HLS_VARIANT", "dash"), None),
        ("console", [], {"CONSOLE_PORT": "eighty"}, ("CONSOLE_PORT", "eighty"), None),
        ("supervisor", [], {"GTV_ONLY": "media,door"}, ("GTV_ONLY", "door"), None),
        ("supervisor", ["--colour=red"], {}, ("--colour",), "red"),
        ("streaming", ["--streaming-port"], {}, ("--streaming-port", "needs a value"), None),
        ("streaming", ["--check-config"], {"MEDIAMTX_API_URL": "nonsense"}, ("MEDIAMTX_API_URL", "nonsense"), None),
        ("streaming", ["--check-config"], {"REDIS_URL": "http://h/s3cret"}, ("REDIS_URL",), "s3cret"),
        ("streaming", ["--check-config"], {"REDIS_URL": "redis://h:6379/x"}, ("REDIS_URL",), None),
        ("streaming", ["--check-config"], {"GTV_PLAYBACK_KEY": "s3cret"}, ("GTV_PLAYBACK_KEY", "16"), "s3cret"),
        ("streaming", ["--check-config"], {"GTV_CAMERA_ALLOW": "10.0.0.0/99"}, ("GTV_CAMERA_ALLOW", "10.0.0.0/99"), None),
        ("streaming", ["--check-config"], {"GTV_TRUSTED_PROXIES": "door"}, ("GTV_TRUSTED_PROXIES", "door"), None),
        ("streaming", ["--check-config"], {"GTV_RECORD_PATH": "/rec"}, ("GTV_RECORD_PATH", "%path"), None),
        ("streaming", ["--check-config"], {"STREAMING_HOST": "localhost"}, ("STREAMING_HOST", "localhost"), None),
        ("streaming", ["--check-config"], {"GTV_ADMIN_KEY_FILE": "/nowhere/secret"}, ("GTV_ADMIN_KEY_FILE", "/nowhere/secret"), None),
        ("streaming", ["--check-config", "--config", "/nowhere/x.conf"], {}, ("/nowhere/x.conf",), None),
        ("ai", ["--check-config"], {"GTV_API_DIR": "/nowhere/api"}, ("GTV_API_DIR", "/nowhere/api"), None),
        ("ai", ["--check-config"], {"REDIS_PASSWORD_FILE": empty}, ("REDIS_PASSWORD_FILE", "empty"), None),
        ("ai", ["--check-config"], {"AI_INPUT_SIZE": "7x7"}, ("AI_INPUT_SIZE", "7x7"), None),
        ("console", ["--check-config"], {"DATABASE_URL": "oracle:x"}, ("DATABASE_URL", "sqlite:"), None),
        ("console", ["--check-config"], {"DATABASE_URL": "postgresql://u:s3cret@h:http/d"}, ("DATABASE_URL", "PostgreSQL"), "s3cret"),
        ("console", ["--check-config"], {"GTV_WEB_DIR": "/nowhere/web"}, ("GTV_WEB_DIR", "/nowhere/web"), None),
        ("console", ["--check-config", "--config", wrong_line], {}, (wrong_line, "line 2"), None),
        ("media", ["--check-config"], {"MEDIA_CONFIG": bad_yaml}, (bad_yaml, "line 1", "hlsSegmentCount"), None),
        ("media", ["--check-config"], {"MEDIA_CONFIG": bad_path}, (bad_path, "line 3", "7x"), None),
        ("media", [], {"MEDIA_CONFIG": not_yaml}, (not_yaml, "line"), None),
        ("media", ["--check-config"], {"MEDIA_CONFIG": "/nowhere/m.yml"}, ("/nowhere/m.yml",), None),
        ("media", ["--check-config"], {"MEDIA_RTSP_TRANSPORTS": "multicast"}, ("MEDIA_RTSP_TRANSPORTS",), None),
    ]
    for case, (status, out, err) in zip(cases, run_all(tmp_path, [c[:3] for c in cases])):
        assert status == 2, (case, out, err)
        assert err.count("\n") == 1, (case, err)
        for word in case[3]:
            assert word in err, (case, err)
        assert case[4] is None or case[4] not in err, (case, err)


def test_what_cannot_be_had_now_is_said_and_ends_the_start(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases = [
            ("streaming", [], {"STREAMING_PORT": port}, str(port)),
            ("ai", [], {"AI_PORT": port}, str(port)),
            ("console", [], {"CONSOLE_PORT": port}, str(port)),
            ("media", [], {"MEDIA_API_PORT": port}, str(port)),
            ("media", [], {"MEDIA_RTSP_PORT": port}, str(port)),
            ("supervisor", [], {"GTV_PORT": port, "GTV_DEMO": "false"}, str(port)),
            ("media", [], {"MEDIA_DATA": "/proc/nowhere"}, "/proc/nowhere"),
            ("console", [], {"DATABASE_URL": "sqlite:/proc/nowhere/c.db"}, "/proc/nowhere/c.db"),
            ("supervisor", [], {"GTV_DATA": "/proc/nowhere"}, "/proc/nowhere"),
        ]
        for case, (status, out, err) in zip(cases, run_all(tmp_path, [c[:3] for c in cases])):
            assert status == 1, (case, out, err)
            said = [line for line in err.splitlines() if "cannot start" in line or line.startswith("gtv: ")]
            assert len(said) == 1 and case[3] in said[0], (case, err)


def test_a_right_configuration_is_said_to_be_so(tmp_path):
    # One file for all; what looks misspelt is told, and other programs' names are not.
    shared = text_file(tmp_path, "all.conf", "LOG_LEVEL=INFO\nSTREAMING_PROT=1\nCONSOLE_KEEP_DAYS='7'\nHLS_SEGMENT_CACHE_TTL=3\n")
    for program, (status, out, err) in zip(PROGRAMS, run_all(tmp_path, [(p, ["--config", shared, "--check-config"], {}) for p in PROGRAMS])):
        assert status == 0 and out == f"gtv-{program}: the configuration is well-formed\n", (out, err)
        assert ("meant=STREAMING_PORT" in err) == (program == "streaming") and err.count("\n") == err.count("meant="), err


# ---- The tables ----

@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    got = run_all(tmp_path_factory.mktemp("tables"), [(p, ["--options-json"], {"LOG_LEVEL": "wrong"}) for p in PROGRAMS])
    return {program: {o["name"]: o for o in json.loads(out)["options"]} for program, (_, out, _) in zip(PROGRAMS, got)}


def test_the_page_is_as_the_programs_print_it():
    assert configuration.PAGE.read_text() == configuration.page(BUILD), "docs/configuration.md is not what the programs say: run ./gtv docs"


def letters_apart(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def test_tables_agree_with_each_other(tables):
    union = {name for options in tables.values() for name in options}
    for part in ("haproxy.cfg", "door"):
        union |= set(re.findall(r"\bGTV_[A-Z0-9_]+", (ROOT / "deploy" / "haproxy" / part).read_text()))
    for program, options in tables.items():
        for name, o in options.items():
            assert not name.endswith("_FILE"), f"{name} would be taken for the file of {name[:-5]}"
            assert o["help"].endswith(".") and o["help"][0].isupper(), (program, name, o["help"])
            if o["secret"]:
                assert o["type"] == "text"
        # One file may serve all: no name of another program is taken for a misspelt one.
        near = {(n, own) for n in union - set(options) for own in options
                if n[0] == own[0] and abs(len(n) - len(own)) <= 2 and letters_apart(n, own) <= 2}
        assert not near, (program, near)


# ---- Versions ----

def test_version_is_found_in_git_in_a_tarball_and_in_a_container(tmp_path):
    def said(folder, **env):
        return subprocess.run([str(folder / "tools" / "version.sh"), "0.1.0"], capture_output=True, text=True, check=True,
                              env={"PATH": os.environ["PATH"], **env}).stdout.strip()

    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "version.sh", tmp_path / "tools")
    assert said(tmp_path) == "0.1.0"
    shutil.copy(ROOT / ".version", tmp_path)
    assert said(tmp_path) == "0.1.0"
    assert said(tmp_path, GTV_COMMIT="0123456789abcdef0123456789abcdef01234567") == "0.1.0+g0123456789ab"
    if not (ROOT / ".git").exists():
        return
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert re.fullmatch(rf"0\.1\.0\+g{head[:12]}(-dirty)?", said(ROOT))
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", head, ".version"], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as tar:
        (tmp_path / ".version").write_bytes(tar.extractfile(".version").read())
    assert said(tmp_path) == f"0.1.0+g{head[:12]}"


# ---- Running programs ----

class Running:
    """The four services, told by one file, with a Redis and a media node that refuse their passwords."""

    def __init__(self, spawn, folder, redis):
        self.folder, self.config, self.ports, self.processes = folder, folder / "all.conf", {}, {}
        (folder / "password").write_text("wr/ng\n")
        yaml = text_file(folder, "media.yml", "authInternalUsers:\n- user: admin\n  pass: right\n  permissions:\n  - action: api\n")
        self.write()
        media_api, media_hls = free_port(), free_port()
        env = {"MEDIA_API_PORT": media_api, "MEDIA_HLS_PORT": media_hls, "MEDIA_CONFIG": yaml,
               "MEDIAMTX_API_URL": f"http://127.0.0.1:{media_api}", "MEDIAMTX_HLS_URL": f"http://127.0.0.1:{media_hls}",
               "MEDIAMTX_API_USER": "admin", "MEDIAMTX_API_PASS_FILE": str(folder / "password"),
               "REDIS_URL": f"redis://:wrong@127.0.0.1:{redis.port}/2", "REDIS_PORT": redis.port, "REDIS_PASSWORD_FILE": str(folder / "password"),
               "STREAMING_PORT": free_port(), "AI_PORT": free_port(), "CONSOLE_PORT": free_port()}
        for program in SERVICES:
            self.ports[program] = env["MEDIA_API_PORT" if program == "media" else f"{program.upper()}_PORT"]
            self.processes[program] = spawn(f"gtv-{program}", "--config", self.config, env=environment(folder, env))
        for program in SERVICES:
            wait_until(lambda: self.get(program, "/version").ok, 60, what=f"{program} answers")

    def write(self, **options):
        self.config.write_text("".join(f"{k}={v}\n" for k, v in {"LOG_LEVEL": "INFO", **options}.items()))

    def get(self, program, path, **kwargs):
        return requests.get(f"http://127.0.0.1:{self.ports[program]}{path}", timeout=60, **kwargs)

    def hang_up(self, program, sentence):
        """Sends SIGHUP and gives the line that follows in the log."""
        log, before = self.processes[program].log, len(self.processes[program].log())
        self.processes[program].popen.send_signal(signal.SIGHUP)
        line = wait_until(lambda: [x for x in log()[before:].splitlines(True) if sentence in x and x.endswith("\n")], 60, what=sentence)
        return line[0]


@pytest.fixture(scope="module")
def running(spawn_module, redis_module, tmp_path_factory):
    redis_module.client().config_set("requirepass", "right")
    return Running(spawn_module, tmp_path_factory.mktemp("running"), redis_module)


@pytest.mark.parametrize("program", SERVICES)
def test_version_page(running, program):
    page = running.get(program, "/version").json()
    version = subprocess.run([binary(f"gtv-{program}"), "--version"], capture_output=True, text=True, check=True).stdout
    assert version == f"{page['program']} {page['version']}\n" and page["program"] == f"gtv-{program}"
    assert re.fullmatch(r"\d+\.\d+\.\d+(\+g[0-9a-f]{12}(-dirty)?)?", page["version"])
    assert page["commit"] is None or page["version"].split("+g")[1].startswith(page["commit"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", page["started_at"])
    library = {"streaming": "openssl", "ai": "openvino", "media": "libav", "console": "sqlite"}[program]
    assert re.match(r"\d+\.", page["libraries"][library]) and "libuv" in page["libraries"]


@pytest.mark.parametrize("program", ("streaming", "ai", "console"))
def test_ready_says_that_a_password_is_refused(running, program):
    def missing():
        return {m["what"]: m["cause"] for m in running.get(program, "/ready").json()["missing"]}

    wait_until(lambda: "Redis refuses the password" in missing()["redis"], 60, what="the cause is told")
    if program == "streaming":
        wait_until(lambda: "MEDIAMTX_API_PASS" in missing()["media"], 60, what="the media node's refusal is told")
        assert running.get(program, "/ready").status_code == 503


def test_streaming_follows_its_file(running):
    running.write(LOG_LEVEL="DEBUG", GTV_CORS_ORIGIN="https://page.example", MAX_CONNECTIONS_PER_STREAM=7, HEALTH_CHECK_INTERVAL=33)
    running.processes["streaming"].popen.send_signal(signal.SIGHUP)

    def followed():
        return running.get("streaming", "/version").headers["Access-Control-Allow-Origin"] == "https://page.example"

    # Each of two loops has its server; new connections reach both.
    wait_until(lambda: all(followed() for _ in range(8)), 60, what="the new origin")
    running.write(GTV_CORS_ORIGIN="https://page.example", HEALTH_CHECK_INTERVAL=33)
    line = running.hang_up("streaming", "configuration read again")
    assert "MAX_CONNECTIONS_PER_STREAM" in line and "LOG_LEVEL" in line and 'wait_for_restart="HEALTH_CHECK_INTERVAL"' in line
    running.write(GTV_CORS_ORIGIN="https://other.example", LOG_LEVEL="LOUD")
    line = running.hang_up("streaming", "the one of before stays")
    assert "LOG_LEVEL" in line and followed()


@pytest.mark.parametrize("program", ("ai", "media", "console"))
def test_the_others_follow_too(running, program):
    live = {"ai": ("CONFIDENCE_THRESHOLD", 0.25), "media": ("MEDIA_STALL_SECONDS", 12), "console": ("CONSOLE_KEEP_DAYS", 12)}[program]
    running.write(**{live[0]: live[1]})
    line = running.hang_up(program, "configuration read again")
    if program == "media":
        def applied():
            answer = running.get("media", "/v3/config/global/get", auth=("admin", "right"))
            return answer.ok and answer.json()["readTimeout"] == "12s"
        wait_until(applied, 60, what="the media node's setting")
    else:
        assert f'changed="{live[0]}"' in line
    running.write(LOG_LEVEL="LOUD")
    assert "LOG_LEVEL" in running.hang_up(program, "the one of before stays")
    running.write()
    running.hang_up(program, "configuration read again")


def test_the_supervisor_passes_it_on(spawn, tmp_path):
    process = spawn("gtv-supervisor", env=environment(tmp_path, {"GTV_ONLY": "console", "REDIS_URL": ""}))
    wait_until(lambda: "comp=console" in process.log() and 'msg="connected"' in process.log(), 60, what="the console runs")
    process.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: any("comp=console" in x and "configuration read again" in x for x in process.log().splitlines()), 60,
               what="the console reads its configuration again")
    assert process.alive()
