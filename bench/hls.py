"""HLS hits, the herd on an expired playlist, and what connections cost that do nothing or read slowly."""

import time
from contextlib import contextmanager

from common import Row, compare, held, read, redis, rss_kib, streaming, wait_for
from peers import PLAYLIST_NAME, SEGMENT_NAME, haproxy, nginx, origin

PLAYLIST_PATH, SEGMENT_PATH = f"/hls/cam_1/{PLAYLIST_NAME}", f"/hls/cam_1/{SEGMENT_NAME}"


@contextmanager
def caches(folder, delay=0.0):
    """Yields (origin, {"ours", "nginx", "haproxy": (base URL, process)}), each with the playlist and the segment in its cache."""
    with origin(delay) as node, redis() as redis_port, nginx(folder, node.server_port) as peer, \
            haproxy(folder, node.server_port) as second, streaming(folder, node.url, node.url, redis_port) as ours:
        everybody = {"ours": ours, "nginx": peer, "haproxy": second}
        for url, _ in everybody.values():
            wait_for(url + PLAYLIST_PATH)
            wait_for(url + SEGMENT_PATH)
        yield node, everybody


def versus(title, result, peer, limit):
    mine, theirs = result["ours"], result[peer]
    return Row(title, "us CPU a request", mine[0], peer, theirs[0], limit,
               more=f"p99 {mine[1]:.1f} / {theirs[1]:.1f} ms; {mine[2]:,.0f} / {theirs[2]:,.0f} a second")


def bench_playlist(options, folder):
    """Playlist hits at 64 and 1000 connections, against nginx and HAProxy."""
    with caches(folder) as (_, everybody):
        for connections in (64, 1000):
            result = compare({who: (url + PLAYLIST_PATH, p.pid) for who, (url, p) in everybody.items()}, connections, options)
            yield versus(f"playlist hit, {connections} connections", result, "nginx", 0.7)
            yield versus(f"playlist hit, {connections} connections", result, "haproxy", 0.9)


def bench_segment(options, folder):
    """Hits of a segment of 1 MiB, against nginx's sendfile from its cache."""
    with caches(folder) as (_, everybody):
        for connections in (4, 64):
            targets = {who: (url + SEGMENT_PATH, p.pid) for who, (url, p) in everybody.items() if who != "haproxy"}
            result = compare(targets, connections, options, short=connections < 8)
            yield versus(f"segment of 1 MiB, {connections} connections", result, "nginx", 0.7)


def bench_herd(options, folder):
    """500 viewers of a playlist that lives 1 s and an origin 100 ms away, for 8 s."""
    seconds, delay = 8, 0.1
    with caches(folder, delay) as (node, everybody):
        figures = {}
        for who in ("ours", "nginx"):
            url = everybody[who][0] + PLAYLIST_PATH
            time.sleep(1.5)  # the playlist of the warm-up is over
            before = node.fetches[f"/cam_1/{PLAYLIST_NAME}"]
            run = read(url, 500, seconds)
            figures[who] = (node.fetches[f"/cam_1/{PLAYLIST_NAME}"] - before, run["p99"], run["requests"], run["errors"])
        mine, theirs = figures["ours"], figures["nginx"]
        # A life begins when its fetch is over.
        lives = seconds / (1 + delay) + 1
        yield Row("500 viewers, playlist life 1 s, origin 100 ms away, 8 s: fetches a life", "fetches", mine[0] / lives, "nginx",
                  theirs[0] / lives, more=f"{mine[0]} / {theirs[0]} fetches; {mine[2]:,} / {theirs[2]:,} requests; {mine[3]} errors")
        yield Row("the same: fetches in all", "fetches", mine[0], limit=round(lives), more="one a life of 1.1 s")
        yield Row("the same: p99", "ms", mine[1], limit=delay * 1000 + 25, more=f"nginx {theirs[1]:.1f} ms")


def bench_idle(options, folder):
    """RSS of keep-alive connections that asked once and are silent."""
    count = 10000
    with origin() as node, redis() as redis_port, streaming(folder, node.url, node.url, redis_port) as (url, process):
        wait_for(url + PLAYLIST_PATH)
        # Buffers that a busy server keeps are there before the connections are counted.
        read(url + PLAYLIST_PATH, 64, 1)
        time.sleep(1)
        before = rss_kib(process.pid)
        with held("idle", url + "/health", count) as run:
            time.sleep(1)
            grown = rss_kib(process.pid) - before
        yield Row(f"{run['requests']:,} idle keep-alive connections", "bytes RSS each", grown * 1024 / max(1, run["requests"]), limit=1024,
                  more=f"{run['errors']} errors; {before / 1024:.1f} MiB before, {(before + grown) / 1024:.1f} MiB with them")


def bench_slow(options, folder):
    """RSS of readers that ask for a segment of 1 MiB and read nothing."""
    count = 1000
    with origin() as node, redis() as redis_port, streaming(folder, node.url, node.url, redis_port) as (url, process):
        wait_for(url + PLAYLIST_PATH)
        wait_for(url + SEGMENT_PATH)
        read(url + SEGMENT_PATH, 64, 1)
        time.sleep(1)
        before = rss_kib(process.pid)
        with held("slow", url + SEGMENT_PATH, count) as run:
            time.sleep(2)
            grown = rss_kib(process.pid) - before
            kernel = tcp_memory_mib()
        yield Row(f"{count:,} slow readers of a 1 MiB segment", "bytes RSS each", grown * 1024 / count, limit=2048,
                  more=f"{run['errors']} errors; all TCP buffers of this machine then: {kernel:.0f} MiB")


def tcp_memory_mib():
    with open("/proc/net/sockstat") as f:
        for line in f:
            if line.startswith("TCP:"):
                return int(line.split()[-1]) * 4096 / (1 << 20)
    return 0
