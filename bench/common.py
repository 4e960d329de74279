"""What the benches share: processes and their CPU time, the reader, medians of alternating runs, rows of the table."""

import dataclasses
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("GTV_BUILD", ROOT / "build" / "release"))
TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Row:
    """One line of the table. limit: the bar for `judged` (ratio to the peer where there is one, else ours); at_least turns it round."""

    title: str
    unit: str
    ours: float
    peer_name: str = ""
    peer: float | None = None
    limit: float | None = None
    at_least: bool = False
    more: str = ""

    @property
    def ratio(self):
        return self.ours / self.peer if self.peer else None

    @property
    def passed(self):
        if self.limit is None:
            return None
        judged = self.ours if self.ratio is None else self.ratio
        return judged >= self.limit if self.at_least else judged <= self.limit

    def line(self):
        peer = f"{self.peer_name} {self.peer:,.1f}" if self.peer is not None else "-"
        ratio = f"{self.ratio:.2f}" if self.ratio is not None else "-"
        bar = f"{'>=' if self.at_least else '<='} {self.limit:,g}" if self.limit is not None else "-"
        verdict = {None: "-", True: "pass", False: "MISS"}[self.passed]
        return f"| {self.title} | {self.unit} | {self.ours:,.1f} | {peer} | {ratio} | {bar} | {verdict} | {self.more} |"


HEAD = "| what | unit | ours | peer | ratio | bar | | more |\n|---|---|---|---|---|---|---|---|"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(url, seconds=20, data=None):
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, data=data, timeout=5) as answer:
                return answer.read()
        except OSError as error:
            if time.monotonic() > end:
                sys.exit(f"bench: {url} did not answer in {seconds} s: {error}")
            time.sleep(0.1)


def call(method, url, body=None):
    """Returns (status, decoded JSON or None)."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text.strip() else None


def program(name):
    for found in BUILD.rglob(name):
        if found.is_file() and os.access(found, os.X_OK):
            return str(found)
    sys.exit(f"bench: {name} is not built in {BUILD}")


@contextmanager
def started(args, env=None, log=None):
    process = subprocess.Popen([str(a) for a in args], env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=open(log, "wb") if log else subprocess.DEVNULL,
                               start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def redis():
    port = free_port()
    with started(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", ""]):
        yield port


@contextmanager
def streaming(folder, api_url, hls_url, redis_port, **more):
    """gtv-streaming with two loops; yields (base URL, process)."""
    port = free_port()
    environment = {"STREAMING_HOST": "127.0.0.1", "STREAMING_PORT": str(port), "STREAMING_WORKERS": "2", "MEDIAMTX_API_URL": api_url,
                   "MEDIAMTX_HLS_URL": hls_url, "REDIS_URL": f"redis://127.0.0.1:{redis_port}/2", "LOG_LEVEL": "ERROR",
                   "HLS_SEGMENT_CACHE_TTL": "60", "MAX_CONNECTIONS_PER_STREAM": "20000", "GTV_CAMERA_ALLOW": "127.0.0.0/8", **more}
    with started([program("gtv-streaming")], environment, folder / "streaming.log") as process:
        wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}", process


def family(pid):
    """The process and all its children."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            pids += family(int(child))
    return pids


def cpu_seconds(pid):
    total = 0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def rss_kib(pid):
    total = 0
    for member in family(pid):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def reader_command(mode, url, connections, seconds):
    address, _, target = url.removeprefix("http://").partition("/")
    host, port = address.split(":")
    return [program("gtv-bench-reader"), mode, host, port, "/" + target, str(connections), str(seconds)]


def read(url, connections, seconds):
    """One run of the cheap reader: {"requests", "errors", "bytes", "seconds", "p50", "p99"} (ms)."""
    out = subprocess.run(reader_command("load", url, connections, seconds), capture_output=True, text=True, check=True).stdout
    return json.loads(out)


@contextmanager
def held(mode, url, connections):
    """Connections that stay as they are ("idle" after a reply, "slow" without reading it) while the block runs."""
    process = subprocess.Popen(reader_command(mode, url, connections, 0), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def wrk(url, connections, seconds, script):
    """Returns requests done, p99 in ms, and how many answers were errors."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "20s", "-s", script, url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return requests, float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit], int(bad.group(1)) if bad else 0


def compare(targets, connections, options, short=False):
    """targets: name -> (url, pid). Alternates, and returns name -> (median CPU us a request, median p99 ms, median requests/s).

    short: the same time in runs of 1 s, for few connections: each run spreads them over a server's threads as chance has it.
    """
    figures = {name: [] for name in targets}
    rounds, seconds = (options.rounds * options.seconds, 1) if short else (options.rounds, options.seconds)
    for _ in range(rounds):
        for name, (url, pid) in targets.items():
            before = cpu_seconds(pid)
            run = read(url, connections, seconds)
            spent = cpu_seconds(pid) - before
            if run["errors"] or not run["requests"]:
                sys.exit(f"bench: {name} failed {run['errors']} of {run['requests']} requests")
            figures[name].append((spent / run["requests"] * 1e6, run["p99"], run["requests"] / run["seconds"]))
    return {name: tuple(statistics.median(run[i] for run in runs) for i in range(3)) for name, runs in figures.items()}
