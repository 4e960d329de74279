"""Fixtures of the end-to-end tests: real processes, a real Redis, a real RTSP camera, nothing shared between tests but what says so."""

import fcntl
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("GTV_BUILD", ROOT / "build" / "test"))
SHARED = ROOT.parent / "shared"
SANITIZER_REPORT = re.compile(rb"(ERROR: (Address|Leak|Undefined|Thread)\w*Sanitizer|WARNING: ThreadSanitizer|runtime error:)")
PATIENCE = 60  # seconds: a machine that is busy, under sanitizers, is no reason to fail; what is quick is not waited for


class Ports:
    """Ports of this process alone: a lock on the machine says whose a block of them is, and the system gives none of them to a connection."""

    FIRST, BLOCK, COUNT = 12000, 400, 50  # below the ports that a connection's own end gets (ip_local_port_range, from 32768)

    def __init__(self):
        self.folder = Path(tempfile.gettempdir()) / f"gtv-test-ports-{os.getuid()}"
        self.locks, self.left = [], []

    def claim(self):
        self.folder.mkdir(exist_ok=True)
        for block in sorted(range(self.COUNT), key=lambda _: random.random()):
            lock = open(self.folder / str(block), "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            self.locks.append(lock)  # held until the process ends
            first = self.FIRST + block * self.BLOCK
            self.left = list(range(first, first + self.BLOCK))
            return
        pytest.fail(f"all blocks of ports in {self.folder} are taken by other test runs")

    @staticmethod
    def is_free(port):
        """Both kinds, since some programs take the number for both; one that is only just closed is not free."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as s:
                try:
                    s.bind(("127.0.0.1", port))
                except OSError:
                    return False
        return True

    def take(self):
        while True:
            if not self.left:
                self.claim()
            port = self.left.pop(0)
            if self.is_free(port):
                return port


_PORTS = Ports()


def free_port():
    """A port of loopback that nobody else is given: no other worker, no other test run, no connection."""
    return _PORTS.take()


def binary(name):
    """Path of a built program (`gtv-media`), wherever in the build folder it lies."""
    for found in BUILD.rglob(name):
        if found.is_file() and os.access(found, os.X_OK):
            return str(found)
    pytest.fail(f"{name} is not built in {BUILD}: run ./gtv test, or set GTV_BUILD")


def wait_until(check, seconds=PATIENCE, step=0.05, what="condition"):
    """Calls check() until it answers something true, and returns that; fails the test after `seconds`."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
        except (OSError, requests.RequestException, AssertionError, LookupError, TypeError, ValueError) as error:
            last = error
        time.sleep(step)
    pytest.fail(f"{what}: not within {seconds} s" + (f" (last: {last})" if last else ""))


def pytest_collection_modifyitems(items):
    """The file that takes longest begins first: at the end nobody would run beside it."""
    items.sort(key=lambda item: item.path.name != "test_system.py")


class Process:
    """A started program with its output in a file. `stop()` ends it and fails on a sanitizer's report."""

    def __init__(self, args, env, log_path, cwd=None):
        self.args, self.log_path = args, log_path
        full = {**os.environ, "TBB_ENABLE_SANITIZERS": "1", "MEDIA_PLAYBACK_PORT": "0", "MEDIA_RTMP_PORT": "0", "MEDIA_RTSP_PORT": "0", "MEDIA_RTP_PORT": "0",
                "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:detect_odr_violation=0",
                "UBSAN_OPTIONS": "print_stacktrace=1", **{k: str(v) for k, v in (env or {}).items()}}
        self.log_file = open(log_path, "ab")
        self.popen = subprocess.Popen([str(a) for a in args], env=full, cwd=cwd or ROOT, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=self.log_file, start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def log(self):
        return Path(self.log_path).read_text(errors="replace")

    def first_line(self, seconds=PATIENCE):
        """The first line the program prints on stdout."""
        os.set_blocking(self.popen.stdout.fileno(), False)
        got, end = b"", time.monotonic() + seconds
        while b"\n" not in got and time.monotonic() < end:
            chunk = self.popen.stdout.read(4096)
            if chunk:
                got += chunk
            elif not self.alive():
                break
            else:
                time.sleep(0.02)
        if b"\n" not in got:
            pytest.fail(f"{self.args[0]} printed no line in {seconds} s; its log:\n{self.log()[-3000:]}")
        return got.split(b"\n", 1)[0].decode()

    def rss_kib(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def stop(self, sig=signal.SIGTERM, seconds=PATIENCE, check=True):
        if self.alive():
            self.popen.send_signal(sig)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.popen.wait(PATIENCE)
                if check:
                    pytest.fail(f"{self.args[0]} did not end within {seconds} s of {sig!r}; its log:\n{self.log()[-3000:]}")
        self.popen.stdout.close()
        self.log_file.close()
        report = SANITIZER_REPORT.search(Path(self.log_path).read_bytes())
        if report and check:
            at = report.start()
            pytest.fail(f"{self.args[0]}: sanitizer report\n{self.log()[max(0, at - 200):at + 5000]}")
        return self.popen.returncode


# The connections to Redis of each program, by their names there. Who follows a stream has begun once it reads.
LINKS = {
    "gtv-ai": ({"gtv-ai", "gtv-ai-watchlist", "gtv-ai-queue", "gtv-ai-jobs"}, {"gtv-ai-news", "gtv-ai-watchlist-news", "gtv-ai-done"}),
    "gtv-streaming": ({"gtv-streaming"}, {"gtv-streaming-events", "gtv-streaming-news"}),
    "gtv-console": ({"gtv-console"}, {"gtv-console-events", "gtv-console-happenings"}),
}
CONNECTED = re.compile(r'"connected"[ ,]"?client"?[=:]"?([\w-]+)')


def redis_of(env):
    """A client of the Redis that a program is told of, if one answers there; a password is a test's own affair."""
    import redis
    found = re.fullmatch(r"redis://127\.0\.0\.1:(\d+)/\d+", str(env.get("REDIS_URL", "")))
    port = found.group(1) if found else env.get("REDIS_PORT")
    if not port or env.get("REDIS_PASSWORD"):
        return None
    client = redis.Redis(port=int(port), socket_timeout=10, decode_responses=True)
    try:
        return client if client.ping() else None
    except redis.RedisError:
        return None  # it is away on purpose


def wait_for_redis(process, name, env):
    """The program answers before its connections are made: what is posted to it then would be refused."""
    client = redis_of(env) if name in LINKS else None
    if not client:
        return
    plain, following = LINKS[name]

    def connected():
        if not plain | following <= set(CONNECTED.findall(process.log())):
            return False
        return all(c["cmd"].startswith("xread") for c in client.client_list() if c["name"] in following)

    wait_until(connected, what=f"{name} is connected to Redis")
    if name == "gtv-streaming":
        wait_until(lambda: "desired cameras read from redis" in process.log(), what="the cameras are read")
    client.close()


class Spawner:
    def __init__(self, folder):
        self.folder, self.processes = folder, []

    def __call__(self, name, *args, env=None, ready=None, seconds=PATIENCE, cwd=None):
        """Starts a built program (`gtv-…`) or any command, and waits until GET `ready` answers below 500, and until it is
        connected to the Redis that its environment names, if there is one."""
        command = binary(name) if name.startswith("gtv-") else name
        log = self.folder / f"{Path(name).name}-{len(self.processes)}.log"
        process = Process([command, *args], env, log, cwd)
        self.processes.append(process)
        if ready:
            def answers():
                if not process.alive():
                    pytest.fail(f"{name} ended with {process.popen.returncode}; its log:\n{process.log()[-3000:]}")
                return requests.get(ready, timeout=PATIENCE).status_code < 500
            wait_until(answers, seconds, what=f"{name} answers {ready}")
            wait_for_redis(process, name, env or {})
        return process

    def stop_all(self):
        failures = []
        for process in reversed(self.processes):
            if process.popen.stdout and process.popen.stdout.closed:
                continue
            try:
                process.stop()
            except BaseException as failure:  # noqa: BLE001 - pytest.fail is a BaseException; all must be stopped first
                failures.append(failure)
        if failures:
            raise failures[0]


@pytest.fixture
def spawn(tmp_path):
    spawner = Spawner(tmp_path)
    yield spawner
    spawner.stop_all()


@pytest.fixture(scope="module")
def spawn_module(tmp_path_factory):
    """As `spawn`, for processes that all tests of a file share."""
    spawner = Spawner(tmp_path_factory.mktemp("module"))
    yield spawner
    spawner.stop_all()


class Redis:
    """A real redis-server of its own on a loopback port."""

    def __init__(self, folder):
        self.folder, self.port, self.popen = Path(folder), free_port(), None
        self.start()

    def url(self, db=2):
        return f"redis://127.0.0.1:{self.port}/{db}"

    def start(self):
        self.popen = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                                       "--appendonly", "yes", "--dir", str(self.folder), "--loglevel", "warning"],
                                      stdout=subprocess.DEVNULL, start_new_session=True)
        def answers():
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as s:
                s.sendall(b"PING\r\n")
                return s.recv(16).startswith(b"+PONG")
        wait_until(answers, what="redis-server answers")

    def client(self, db=2):
        import redis
        return redis.Redis(port=self.port, db=db, decode_responses=True)

    def stop(self):
        if self.popen and self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()
            self.popen.wait(PATIENCE)

    def pause(self):
        self.popen.send_signal(signal.SIGSTOP)

    def resume(self):
        self.popen.send_signal(signal.SIGCONT)


@pytest.fixture
def redis_server(tmp_path):
    folder = tmp_path / "redis"
    folder.mkdir()
    server = Redis(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def redis_module(tmp_path_factory):
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def street():
    """Folder with street.mp4 and street.json: rendered once, and kept in var/street of the checkout."""
    folder = ROOT / "var" / "street"
    if not (folder / "street.mp4").exists() or not (folder / "street.json").exists():
        release = ROOT / "build" / "release" / "tools" / "street" / "gtv-street"
        program = str(release) if release.exists() else binary("gtv-street")
        subprocess.run([program, "--out", str(folder)], check=True, timeout=600)
    return folder


class Cameras:
    """Starts real RTSP servers (tools/camera/rtsp_camera.py) as cameras."""

    def __init__(self, spawner, clip):
        self.spawner, self.clip = spawner, clip

    def __call__(self, *args, clip=None, env=None):
        process = self.spawner("/usr/bin/python3", ROOT / "tools" / "camera" / "rtsp_camera.py", "--clip",
                               clip or self.clip, *args, env=env)
        process.url = process.first_line()
        return process


@pytest.fixture
def rtsp_camera(spawn, street):
    return Cameras(spawn, street / "street.mp4")


@pytest.fixture(scope="module")
def rtsp_camera_module(spawn_module, street):
    return Cameras(spawn_module, street / "street.mp4")


@pytest.fixture(scope="session")
def models():
    """Folder with the networks' weights, fetched once by tools/models/fetch.py."""
    folder = ROOT / "var" / "models"
    subprocess.run(["/usr/bin/python3", str(ROOT / "tools" / "models" / "fetch.py"), "--dest", str(folder), "--quiet"],
                   check=True, timeout=600, env={**os.environ, "PYTHONPATH": str(ROOT / ".deps" / "openvino")})
    return folder


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    for tool in ("redis-server", "haproxy", "ffprobe"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: run ./gtv setup")
