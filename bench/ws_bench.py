"""Live events: 300 bytes to many WebSocket clients, beside Node's ws. run.py lists it as "ws"."""

import json
import resource
import select
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from statistics import median

from common import ROOT, Row, cpu_seconds, free_port, redis, started, streaming

BYTES = 300
MARK = b"#"  # once in each event, nowhere else (a "~" begins the length of a frame)
CASES = ((1000, 0.8, 150), (5000, 0.9, 40))  # clients, bar, events of a run
HANDSHAKE = ("GET {} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n")


class Clients:
    """Many connections that only read and count."""

    def __init__(self, port, path, count):
        self.epoll, self.sockets, self.got = select.epoll(), {}, 0
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", port), 20)
            s.sendall(HANDSHAKE.format(path).encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += s.recv(4096)
            if b" 101 " not in head:
                sys.exit(f"bench: no WebSocket: {head[:60]!r}")
            s.setblocking(False)
            self.sockets[s.fileno()] = s
            self.epoll.register(s.fileno(), select.EPOLLIN)

    def read_until(self, wanted, seconds=60):
        end = time.monotonic() + seconds
        while self.got < wanted:
            if time.monotonic() > end:
                sys.exit(f"bench: {self.got} of {wanted} deliveries in {seconds} s")
            for fd, _ in self.epoll.poll(1, 512):
                try:
                    data = self.sockets[fd].recv(65536)
                except BlockingIOError:
                    continue
                if not data:
                    sys.exit("bench: a client was closed")
                self.got += data.count(MARK)

    def close(self):
        for s in self.sockets.values():
            s.close()
        self.epoll.close()


def event():
    body = {"v": 1, "type": "detection", "stream": "cam_1", "pad": ""}
    body["pad"] = "x" * (BYTES - 25 - len(json.dumps(body))) + MARK.decode()  # 25: the id that is put in front
    return json.dumps(body)


@contextmanager
def ours(folder):
    with redis() as port, streaming(folder, "http://127.0.0.1:1", "http://127.0.0.1:1", port) as (url, process):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(b"SELECT 2\r\n")
            s.recv(64)

            def publish(text):
                words = ["XADD", "gtv:events", "MAXLEN", "~", "20000", "*", "stream", "cam_1", "type", "detection", "json", text]
                s.sendall((f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)).encode())
                s.recv(256)

            yield int(url.rsplit(":", 1)[1]), "/ws/events/cam_1", process.pid, publish


def module_folder():
    """Installs Node's ws once."""
    folder = ROOT / ".deps" / "bench"
    if not (folder / "node_modules" / "ws").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), "ws@8"], check=True)
    return folder


@contextmanager
def node(folder):
    port, feed = free_port(), free_port()
    with started(["node", ROOT / "bench/ws_peer.mjs", module_folder(), port, feed], log=folder / "ws.log") as process:
        for _ in range(200):
            try:
                s = socket.create_connection(("127.0.0.1", feed), 5)
                break
            except OSError:
                time.sleep(0.05)
        else:
            sys.exit("bench: the peer does not answer")
        with s:
            yield port, "/", process.pid, lambda text: s.sendall(text.encode() + b"\n")


def delivery_us(side, folder, clients, events):
    """CPU microseconds of one delivery: one event after the other, each when all have the one before."""
    with side(folder) as (port, path, pid, publish):
        many, text = Clients(port, path, clients), event()
        for n in range(5):  # warm, and the tail has its place
            publish(text)
            many.read_until((n + 1) * clients)
        before, base = cpu_seconds(pid), many.got
        for n in range(events):
            publish(text)
            many.read_until(base + (n + 1) * clients)
        used = cpu_seconds(pid) - before
        many.close()
        return used / (clients * events) * 1e6


def bench_ws(options, folder):
    """One event of 300 bytes to 1000 and 5000 WebSocket clients: CPU of a delivery, beside Node's ws"""
    if not shutil.which("node") or not shutil.which("npm"):
        sys.exit("bench: node and npm are missing")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536, hard))
    for clients, bar, events in CASES:
        got = {ours: [], node: []}
        for _ in range(options.rounds):
            for side in got:
                got[side].append(delivery_us(side, folder, clients, events))
        yield Row(f"event of {BYTES} B to {clients} WebSocket clients", "CPU us a delivery", median(got[ours]), "ws", median(got[node]), bar)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
