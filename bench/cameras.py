"""Figures and provisioning with 250 cameras, on our media node and on the double of MediaMTX."""

import http.client
import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from statistics import median

from common import ROOT, Row, compare, free_port, program, redis, started, streaming, wait_for

CAMERAS = 250
CLIENTS = 8  # side by side, as a console that imports a list
# Seconds that MediaMTX takes for each answer when eight come at a time: 250 additions then take the 2.7-4.2 s that were measured on it.
MEDIAMTX_LATENCY = 0.1
# An address that needs no name service and where nobody answers: the cameras are on demand, so that nobody calls it.
SOURCE = "rtsp://127.0.0.1:1/cam_{}"


@contextmanager
def media_node(folder):
    """gtv-media; yields (control API's URL, HLS URL, process)."""
    api, hls = free_port(), free_port()
    environment = {"MEDIA_PLAYBACK_PORT": "0", "MEDIA_RTMP_PORT": "0", "MEDIA_RTSP_PORT": "0", "MEDIA_RTP_PORT": "0", "MEDIA_API_PORT": str(api), "MEDIA_HLS_PORT": str(hls), "MEDIA_DATA": str(folder / f"media-{api}"), "LOG_LEVEL": "ERROR",
                   "GTV_CAMERA_ALLOW": "127.0.0.0/8"}
    with started([program("gtv-media")], environment, folder / "media.log") as process:
        wait_for(f"http://127.0.0.1:{api}/v3/paths/list")
        yield f"http://127.0.0.1:{api}", f"http://127.0.0.1:{hls}", process


@contextmanager
def double(folder):
    """The double of MediaMTX, a process of its own; yields the same."""
    command = [sys.executable, ROOT / "tests/e2e/mediamtx_double.py", "--generation", "1.15", "--default-state", "offline", "--latency",
               MEDIAMTX_LATENCY]
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        urls = dict(part.split("=", 1) for part in process.stdout.readline().split())
        yield urls["api"], urls["hls"], process
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def send_all(base, requests_to_send, clients=CLIENTS):
    """Sends [(method, path, body)] over so many connections; returns the seconds it took. All must be answered 2xx."""
    host, port = base.removeprefix("http://").split(":")
    queue, lock, failures = list(reversed(requests_to_send)), threading.Lock(), []

    def work():
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        while True:
            with lock:
                if not queue or failures:
                    break
                method, path, body = queue.pop()
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                failures.append(f"{method} {path}: {answer.status} {text[:200]}")
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(clients)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        sys.exit(f"bench: {failures[0]}")
    return time.monotonic() - began


def provisions(first):
    return [("POST", "/cameras/provision", {"camera_id": n, "rtsp_url": SOURCE.format(n), "name": f"Camera {n}", "on_demand": True})
            for n in range(first, first + CAMERAS)]


def bulk(first):
    return [("POST", "/cameras/provision/bulk", [body for _, _, body in provisions(first)])]


def additions(first):
    return [("POST", f"/v3/config/paths/add/direct_{n}", {"source": SOURCE.format(n), "sourceOnDemand": True})
            for n in range(first, first + CAMERAS)]


def paths_of(api):
    return json.loads(wait_for(f"{api}/v3/paths/list?itemsPerPage=1"))["itemCount"]


def bench_stats(options, folder):
    """GET /stats with 250 cameras."""
    with media_node(folder) as (api, hls, _), redis() as redis_port, streaming(folder, api, hls, redis_port) as (url, process):
        send_all(url, provisions(1))
        end = time.monotonic() + 15
        while len(json.loads(wait_for(f"{url}/stats"))["streams"]) < CAMERAS:
            if time.monotonic() > end:
                sys.exit("bench: /stats does not list all cameras")
            time.sleep(0.2)
        size = len(wait_for(f"{url}/stats"))
        cpu, p99, rate = compare({"ours": (f"{url}/stats", process.pid)}, 16, options)["ours"]
        yield Row(f"/stats with {CAMERAS} cameras", "requests a second", rate, limit=10000, at_least=True,
                  more=f"{size / 1024:.0f} KiB each; p99 {p99:.1f} ms; {cpu:.0f} us CPU a request, so {1e6 / cpu:,.0f} a second per core")


def bench_provision(options, folder):
    """250 cameras through streaming, as one list and one by one, against the node's own API with 8 requests at a time."""
    # Each way begins with an empty node: what a node has to store grows with what it holds.
    for title, start in (("our media node", media_node), ("the double at MediaMTX's pace", double)):
        figures = {"its API": [], "one list": [], "one by one": []}
        for _ in range(min(options.rounds, 3)):
            for way, make in (("its API", additions), ("one list", bulk), ("one by one", provisions)):
                with start(folder) as (api, hls, _), redis() as redis_port, streaming(folder, api, hls, redis_port) as (url, _):
                    figures[way].append(send_all(api if way == "its API" else url, make(1)))
                    if paths_of(api) != CAMERAS:
                        sys.exit(f"bench: success was said of {way}, and not all paths are there")
        yield Row(f"{CAMERAS} cameras in one list, {title}", "ms", median(figures["one list"]) * 1000, "its API",
                  median(figures["its API"]) * 1000, 1.1)
        yield Row(f"{CAMERAS} cameras one by one, {title}", "ms", median(figures["one by one"]) * 1000, "its API",
                  median(figures["its API"]) * 1000, more=f"{CLIENTS} at a time, each answered when the node and Redis have it")
