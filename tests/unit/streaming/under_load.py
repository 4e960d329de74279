"""gtv-streaming under concurrent load, for the sanitizer it was built with: under_load.py STREAMING READER.

All loops serve playlists and segments of four streams, from hits, misses and joined fetches, while cameras are added, figures are read and
the media node (the double of MediaMTX) forgets everything once. Fails on a sanitizer's report or on an answer of 5xx."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from mediamtx_double import Double  # noqa: E402

STREAMS = [f"live_{n}" for n in range(4)]
REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:")
SECONDS = 4


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(url, body=None):
    request = urllib.request.Request(url, data=json.dumps(body).encode() if body else None, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def wait_for(check, what, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if check():
                return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"{what}: not within {seconds} s")


def first_uri(url):
    return next(line for line in ask(url)[1].splitlines() if line and not line.startswith("#"))


def watch(reader, url, stream, connections):
    """Processes that ask for the stream's media playlist and its newest segment, over and over."""
    host, port = url.removeprefix("http://").split(":")
    base = f"/hls/{stream}/"
    media = first_uri(f"{url}{base}index.m3u8")
    segment = first_uri(f"{url}{base}{media}")
    return [subprocess.Popen([reader, "load", host, port, base + target, str(connections), str(SECONDS)], stdout=subprocess.PIPE, text=True)
            for target in (media, segment)]


def operate(url, ended, failures):
    """What consoles do meanwhile."""
    number = 0
    while not ended.wait(0.02):
        number += 1
        for path, body in (("/stats", None), ("/streams", None), ("/streams/live_0/viewers", None), ("/cameras", None), ("/metrics", None),
                           ("/cameras/provision", {"camera_id": number % 20 + 1, "rtsp_url": f"rtsp://192.0.2.1/{number}", "name": "x"})):
            status, text = ask(url + path, body)
            if status >= 500:
                failures.append(f"{path}: {status} {text[:200]}")


def load(url, reader, node):
    for stream in STREAMS:
        wait_for(lambda stream=stream: ask(f"{url}/hls/{stream}/index.m3u8")[0] == 200, f"a playlist of {stream}", 30)
    ended, failures = threading.Event(), []
    operators = [threading.Thread(target=operate, args=(url, ended, failures)) for _ in range(2)]
    readers = [process for stream in STREAMS for process in watch(reader, url, stream, 6)]
    for operator in operators:
        operator.start()
    time.sleep(SECONDS / 2)
    node.forget()
    done = [json.loads(process.communicate(timeout=60)[0]) for process in readers]
    ended.set()
    for operator in operators:
        operator.join()
    requests = sum(run["requests"] for run in done)
    if failures or requests < 100:
        sys.exit(f"{requests} requests were served; {failures[:3]}")
    print(f"{requests} requests")


def main():
    streaming, reader = sys.argv[1:]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard != resource.RLIM_INFINITY else 4096, hard))
    with tempfile.TemporaryDirectory() as folder, Double(generation="1.15", segment_duration=0.4, bitrate=500_000,
                                                         paths={name: "ready" for name in STREAMS}) as node:
        redis_port, port, log = free_port(), free_port(), Path(folder) / "streaming.log"
        redis = subprocess.Popen(["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""], stdout=subprocess.DEVNULL)
        environment = {**os.environ, "STREAMING_PORT": str(port), "STREAMING_WORKERS": "3", "MEDIAMTX_API_URL": node.api_url,
                       "MEDIAMTX_HLS_URL": node.hls_url, "REDIS_URL": f"redis://127.0.0.1:{redis_port}/2", "LOG_LEVEL": "WARNING",
                       "MAX_CONNECTIONS_PER_STREAM": "20000"}
        with open(log, "wb") as output:
            process = subprocess.Popen([streaming], env=environment, stdout=output, stderr=output)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: ask(f"{url}/health")[0] == 200, "gtv-streaming answers", 30)
            load(url, reader, node)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(20)
            redis.terminate()
            redis.wait(10)
            text = log.read_text(errors="replace")
            report = REPORT.search(text)
            if report or code != 0:
                print(text[report.start() if report else -3000:][:6000], file=sys.stderr)
        if report or code != 0:
            sys.exit(f"gtv-streaming ended with {code}" + (", a sanitizer's report above" if report else ""))


if __name__ == "__main__":
    main()
