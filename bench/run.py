#!/usr/bin/env python3
"""`./gtv bench [NAME...]`: the product against a peer in the same run, on loopback.

Each bench alternates between the two programs and reports medians. What counts is the CPU time that a request costs (user and system, of
the server's processes, from /proc): on a shared machine it says more than requests a second.
"""

import argparse
import base64
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("GTV_BUILD", ROOT / "build" / "release"))
TICKS = os.sysconf("SC_CLK_TCK")
SEGMENT_BYTES = 1 << 20
PLAYLIST = "\n".join(
    ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-ALLOW-CACHE:NO", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:21"]
    + [f"#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:11:{n:02d}.369Z\n#EXTINF:2.00000,\n026961b54d72_main_seg{n}.ts"
       for n in range(21, 28)]) + "\n"


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


def rss_mib(pid):
    total = 0
    for member in family(pid):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total / 1024


class Origin(BaseHTTPRequestHandler):
    """A fake media node: one playlist and its segments, always the same, asked only for misses."""

    protocol_version = "HTTP/1.1"
    segment = os.urandom(SEGMENT_BYTES)

    def do_GET(self):
        if self.path.split("?")[0].endswith(".m3u8"):
            body = PLAYLIST.encode()
            self.answer(body, "application/vnd.apple.mpegurl", "no-cache")
        else:
            self.answer(self.segment, "video/mp2t", "max-age=3600")

    def answer(self, body, kind, cache):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", cache)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def wrk(url, connections, seconds, script=None):
    """Returns requests done, p99 in ms, and how many answers were errors."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "20s"]
    out = subprocess.run(command + (["-s", script] if script else []) + [url], capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    scale = {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return requests, float(p99) * scale, int(bad.group(1)) if bad else 0


def compare(targets, connections, seconds, rounds):
    """targets: name -> (url, pid). Alternates, and returns name -> (median CPU us a request, median p99 ms, median requests/s)."""
    figures = {name: [] for name in targets}
    for _ in range(rounds):
        for name, (url, pid) in targets.items():
            before = cpu_seconds(pid)
            requests, p99, bad = wrk(url, connections, seconds)
            spent = cpu_seconds(pid) - before
            if bad or not requests:
                sys.exit(f"bench: {name} answered {bad} of {requests} requests with an error")
            figures[name].append((spent / requests * 1e6, p99, requests / seconds))
    return {name: tuple(statistics.median(run[i] for run in runs) for i in range(3)) for name, runs in figures.items()}


NGINX = """{user}
worker_processes 2; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 75;
    client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    proxy_cache_path {dir}/cache keys_zone=hls:16m max_size=512m use_temp_path=off;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        location / {{
            rewrite ^/hls/(.*)$ /$1 break;
            proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_cache hls; proxy_cache_lock on; proxy_cache_use_stale updating; proxy_ignore_headers Cache-Control;
            proxy_cache_valid 200 1s;
            location ~ \\.ts$ {{
                rewrite ^/hls/(.*)$ /$1 break;
                proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
                proxy_cache hls; proxy_cache_lock on; proxy_ignore_headers Cache-Control; proxy_cache_valid 200 60s;
            }}
        }}
    }}
}}
"""


def bench_hls(options, folder):
    origin = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    origin_port, nginx_port, ours_port, redis_port = origin.server_port, free_port(), free_port(), free_port()
    (folder / "nginx.conf").write_text(NGINX.format(user="user root;" if os.getuid() == 0 else "", dir=folder, origin=origin_port, port=nginx_port))
    environment = {"STREAMING_HOST": "127.0.0.1", "STREAMING_PORT": str(ours_port), "STREAMING_WORKERS": "2",
                   "MEDIAMTX_API_URL": f"http://127.0.0.1:{origin_port}", "MEDIAMTX_HLS_URL": f"http://127.0.0.1:{origin_port}",
                   "REDIS_URL": f"redis://127.0.0.1:{redis_port}/2", "LOG_LEVEL": "ERROR", "HLS_SEGMENT_CACHE_TTL": "60"}
    with started(["redis-server", "--port", redis_port, "--bind", "127.0.0.1", "--save", ""]), \
            started(["nginx", "-c", folder / "nginx.conf"]) as nginx, \
            started([program("gtv-streaming")], environment, folder / "streaming.log") as ours:
        base = {"ours": (f"http://127.0.0.1:{ours_port}/hls/cam_1", ours.pid),
                "nginx": (f"http://127.0.0.1:{nginx_port}/hls/cam_1", nginx.pid)}
        for url, _ in base.values():
            wait_for(f"{url}/main_stream.m3u8")
            wait_for(f"{url}/026961b54d72_main_seg21.ts")
        cases = [("playlist hit, 64 connections", "main_stream.m3u8", 64), ("playlist hit, 1000 connections", "main_stream.m3u8", 1000),
                 ("segment of 1 MiB, 64 connections", "026961b54d72_main_seg21.ts", 64)]
        for title, name, connections in cases:
            result = compare({who: (f"{url}/{name}", pid) for who, (url, pid) in base.items()}, connections, options.seconds,
                             options.rounds)
            yield (title, "us CPU a request", result["ours"][0], result["nginx"][0],
                   f"p99 {result['ours'][1]:.1f} / {result['nginx'][1]:.1f} ms; "
                   f"{result['ours'][2]:,.0f} / {result['nginx'][2]:,.0f} a second")
        yield ("RSS after it", "MiB", rss_mib(ours.pid), rss_mib(nginx.pid), "")
    origin.shutdown()


def bench_detect(options, folder):
    """One 1280x720 JPEG of the synthetic street in base64, over and over."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-ss", "10", "-i", str(ROOT / "var/street/street.mp4"), "-frames:v", "1",
                    "-q:v", "4", str(folder / "frame.jpg")], check=True)
    jpeg = (folder / "frame.jpg").read_bytes()
    body = json.dumps({"camera_id": 1, "image_base64": base64.b64encode(jpeg).decode()})
    (folder / "post.lua").write_text(f"wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = [[{body}]]\n")
    redis_port = free_port()
    with started(["redis-server", "--port", redis_port, "--bind", "127.0.0.1", "--save", ""]):
        for model in ("picodet_s_416", "yolox_nano_416", "nanodet_g_416"):
            if not list((ROOT / "var/models").glob(f"{model}.[ox][nm][nl]*")):
                continue
            for workers in ("1", "2"):
                port = free_port()
                environment = {"AI_HOST": "127.0.0.1", "AI_PORT": str(port), "METRICS_PORT": str(free_port()), "WORKERS": workers,
                               "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis_port), "YOLO_MODEL": model,
                               "MODELS_DIR": str(ROOT / "var/models"), "LOG_LEVEL": "ERROR"}
                with started([program("gtv-ai")], environment, folder / "ai.log") as ai:
                    url = f"http://127.0.0.1:{port}/detect"
                    wait_for(f"http://127.0.0.1:{port}/health")
                    answer = json.loads(wait_for(urllib.request.Request(url, headers={"Content-Type": "application/json"}),
                                                 data=body.encode()))
                    found = len(answer["detections"])
                    runs = []
                    for _ in range(options.rounds):
                        before = cpu_seconds(ai.pid)
                        requests, p99, bad = wrk(url, int(workers), options.seconds, str(folder / "post.lua"))
                        if bad:
                            sys.exit(f"bench: /detect answered {bad} of {requests} requests with an error")
                        runs.append(((cpu_seconds(ai.pid) - before) / requests * 1e3, p99, requests / options.seconds))
                    cpu, p99, rate = (statistics.median(run[i] for run in runs) for i in range(3))
                    yield (f"/detect, {model}, {workers} worker(s)", "ms CPU a request", cpu, None,
                           f"{1000 / cpu:.1f} a second per core; {rate:.1f} a second; p99 {p99:.0f} ms; {found} found in "
                           f"{len(jpeg) // 1000} KB; RSS {rss_mib(ai.pid):.0f} MiB")


BENCHES = {"hls": bench_hls, "detect": bench_detect}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", choices=[*BENCHES, []], help=f"of {', '.join(BENCHES)}; all without one")
    parser.add_argument("--rounds", type=int, default=5, help="alternating runs of which the median counts")
    parser.add_argument("--seconds", type=int, default=5, help="length of each run")
    options = parser.parse_args()
    for tool in ("wrk", "nginx", "redis-server", "ffmpeg"):
        if not shutil.which(tool):
            sys.exit(f"bench: {tool} is missing")
    print(f"{options.rounds} alternating runs of {options.seconds} s, medians\n")
    print("| what | unit | ours | nginx | ratio | more (ours / nginx) |\n|---|---|---|---|---|---|", flush=True)
    for name in options.name or BENCHES:
        with tempfile.TemporaryDirectory(prefix="gtv-bench-") as folder:
            for title, unit, ours, peer, more in BENCHES[name](options, Path(folder)):
                ratio = f"{ours / peer:.2f}" if peer else "-"
                print(f"| {title} | {unit} | {ours:.1f} | {f'{peer:.1f}' if peer else '-'} | {ratio} | {more} |", flush=True)


if __name__ == "__main__":
    main()
