#!/usr/bin/python3
"""Starts the images that try.sh built as compose would, without Docker, and plays a camera through the door.

    unshare --mount --net tools/images/play.py [--work DIR] [--ai] [--postgresql] CLIP.mp4

Each container is a chroot of its image: its own user, read-only root, volumes, environment and command, out of the
Dockerfile and the compose files. Instead of a network of containers there is this network namespace's loopback, in which
each container has an address, and a name server that knows them, as Docker's does. Root, by hand.
"""

import argparse
import json
import os
import shlex
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = {"redis_cache": ["127.0.1.1"], "media": ["127.0.1.2"], "console": ["127.0.1.3"], "haproxy": ["127.0.1.4"],
             "streaming": ["127.0.1.5", "127.0.1.6"], "ai": ["127.0.1.7"]}  # fmt: skip
NAMES = {**ADDRESSES, "mediamtx": ADDRESSES["media"], "postgresql": ["127.0.1.8"]}
# An address alone, as each container would have it.
BIND = {"streaming": "STREAMING_HOST", "media": "MEDIA_HOST", "console": "CONSOLE_HOST", "ai": "AI_HOST"}
SECONDS = 60


# The lines of .env.example for it.
POSTGRESQL = {"COMPOSE_PROFILES": "postgresql", "DATABASE_URL_FILE": "/run/secrets/database_url"}


def compose(file, **env):
    done = subprocess.run(["docker-compose", "-f", file, "config"], capture_output=True, text=True, check=True,
                          env={"PATH": os.environ["PATH"], "HOME": "/root", "GTV_CAMERA_ALLOW": "127.0.0.1", **env})  # fmt: skip
    return yaml.safe_load(done.stdout)["services"]


def answer(query):
    """A name server's answer: the addresses of a name, or that there are none."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
    found = NAMES.get(".".join(labels), [])
    records = found if kind == 1 else []
    head = query[:2] + struct.pack(">HHHHH", 0x8580 if found else 0x8583, 1, len(records), 0, 0)
    body = b"".join(struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(a) for a in records)
    return head + query[12 : at + 5] + body


def serve_names():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.11", 53))

    def loop():
        while True:
            query, peer = server.recvfrom(4096)
            server.sendto(answer(query), peer)

    threading.Thread(target=loop, daemon=True).start()


class Images:
    def __init__(self, work, state):
        self.work, self.state, self.running, self.mounted = work, state, [], []

    def mount(self, where, *arguments):
        subprocess.run(["mount", *arguments, where], check=True)
        self.mounted.append(where)

    def meta(self, image):
        lines = (self.work / image / "meta").read_text().splitlines()
        told = {verb: rest for verb, rest in (line.split(None, 1) for line in lines)}
        env = dict(pair.split("=", 1) for line in (self.work / image / "env").read_text().split("; ") if line.startswith("export ")
                   for pair in line.removeprefix("export ").split())  # fmt: skip
        return {"entry": json.loads(told["ENTRYPOINT"]), "command": json.loads(told.get("CMD", "[]")), "env": env,
                "user": told["USER"], "health": json.loads(told["HEALTHCHECK"].split("CMD ", 1)[1])}  # fmt: skip

    def root(self, name, service, image):
        """The container's file system: the image read-only, its volumes, /tmp, /dev and /proc."""
        root = self.state / f"{name}.root"
        root.mkdir()
        self.mount(root, "--bind", self.work / image / "root")
        places = [("/tmp", None, "rw")]
        for volume in service.get("volumes", []):
            source, path, mode = volume.split(":")
            kept = self.state / "volumes" / source
            if not kept.exists():
                kept.mkdir(parents=True)
                original = root / path.lstrip("/")
                owner = original.stat() if original.exists() else os.stat("/")
                os.chown(kept, owner.st_uid, owner.st_gid)
            places.append((path, kept, mode))
        # What a container's start makes in its own layer: places to mount on.
        for path in ["/proc", "/dev", *(p for p, _, _ in places)]:
            (root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        resolv, hosts = root / "etc/resolv.conf", root / "etc/hosts"
        resolv.write_text("nameserver 127.0.0.11\noptions ndots:0\n")
        hosts.write_text("127.0.0.1 localhost\n")
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        self.mount(root / "dev", "-t", "tmpfs", "-o", "mode=755", "tmpfs")
        for device, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
            os.mknod(root / "dev" / device, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
            os.chmod(root / "dev" / device, 0o666)
        self.mount(root / "proc", "-t", "proc", "proc")
        for path, source, mode in places:
            target = root / path.lstrip("/")
            if source is None:
                self.mount(target, "-t", "tmpfs", "-o", "size=64m,mode=1777", "tmpfs")
            else:
                self.mount(target, "--bind", source)
                if mode == "ro":
                    subprocess.run(["mount", "-o", "remount,bind,ro", target], check=True)
        return root

    def start(self, name, service, number=0):
        image = service["image"].split("/")[-1].split(":")[0]
        meta = self.meta(image)
        place = f"{name}{number + 1}"
        root = self.root(place, service, image)
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **meta["env"]}
        env.update({k: "" if v is None else str(v) for k, v in service.get("environment", {}).items()})
        if name in BIND:
            env[BIND[name]] = ADDRESSES[name][number]
        arguments = service.get("entrypoint") or meta["entry"]
        arguments = shlex.split(arguments) if isinstance(arguments, str) else arguments
        arguments = arguments + (meta["command"] if service.get("entrypoint") is None else [])
        command = ["chroot", f"--userspec={meta['user']}", "--groups=", root, *arguments]
        log = open(self.state / f"{place}.log", "wb")
        process = subprocess.Popen([str(c) for c in command], env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.running.append((place, process))
        health = [part.replace("127.0.0.1", ADDRESSES.get(name, ["127.0.0.1"])[number]) for part in meta["health"]]
        if name in ("redis_cache", "haproxy"):
            health = meta["health"]
        check = [str(c) for c in ["chroot", f"--userspec={meta['user']}", "--groups=", root, *health]]
        return process, check

    def postgresql(self, service):
        """Debian's PostgreSQL, with what the official image's entry point makes of the service's variables."""
        env, uid = service["environment"], int(service["user"].split(":")[0])
        places = {v.split(":")[1]: self.state / "volumes" / v.split(":")[0] for v in service["volumes"]}

        def here(path):
            return next(str(kept) + path.removeprefix(place) for place, kept in places.items() if path.startswith(place))

        # The image's folder is anybody's; and initdb wants its user to have a name.
        data = Path(here(env["PGDATA"]))
        data.parent.mkdir()
        data.parent.chmod(0o1777)
        users = self.state / "passwd"
        users.write_text(Path("/etc/passwd").read_text() + f"owner:x:{uid}:{uid}::/nonexistent:/bin/false\n")
        self.mount("/etc/passwd", "--bind", users)
        programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        as_user = {"user": uid, "group": uid, "extra_groups": [], "cwd": "/"}
        subprocess.run([programs / "initdb", "-D", data, f"--username={env['POSTGRES_USER']}", f"--pwfile={here(env['POSTGRES_PASSWORD_FILE'])}",
                        *env["POSTGRES_INITDB_ARGS"].split()], check=True, stdout=subprocess.DEVNULL, **as_user)  # fmt: skip
        subprocess.run([programs / "postgres", "--single", "-D", data, "postgres"], check=True, stdout=subprocess.DEVNULL,
                       input=f'CREATE DATABASE "{env["POSTGRES_DB"]}"\n', text=True, **as_user)  # fmt: skip
        # The image lets its own loopback in without a password; here all come from there, and none is let in.
        (data / "pg_hba.conf").write_text("host all all all scram-sha-256\n")
        log = open(self.state / "postgresql.log", "wb")
        process = subprocess.Popen([programs / "postgres", "-D", data, "-c", "listen_addresses=*", "-c", "unix_socket_directories="],
                                   stdout=log, stderr=log, **as_user)  # fmt: skip
        self.running.append(("postgresql", process))
        return process, service["healthcheck"]["test"][1:]

    def stop(self):
        for _, process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()


def get(url, data=None, timeout=20):
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"} if data else {})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        return reply.read()


def wait(what, check, seconds=SECONDS):
    begun, last = time.monotonic(), ""
    while time.monotonic() - begun < seconds:
        try:
            if value := check():
                print(f"{what:<44} ok after {time.monotonic() - begun:.1f} s", flush=True)
                return value
        except (OSError, urllib.error.URLError) as error:
            last = str(error)
        time.sleep(0.2)
    raise SystemExit(f"{what}: not within {seconds} s {last}")


def play(images, arguments):
    system = compose(ROOT / "deploy/compose/docker-compose.yml", **(POSTGRESQL if arguments.postgresql else {}))
    ai = compose(ROOT / "services/ai-service/docker-compose.yml")
    keys, _ = images.start("keys", system["keys"])
    if keys.wait(30) != 0:
        raise SystemExit("keys failed")
    if arguments.postgresql:
        process, check = images.postgresql(system["postgresql"])
        wait("postgresql is healthy", lambda: process.poll() is None and subprocess.run(check).returncode == 0)
    order = [("redis_cache", system), ("media", system), ("streaming", system), ("console", system), ("haproxy", system)]
    for name, services in order + ([("ai", ai)] if arguments.ai else []):
        for number in range(len(ADDRESSES[name])):
            process, check = images.start(name, services[name], number)

            def healthy(process=process, check=check, name=name):
                if process.poll() is not None:
                    raise SystemExit(f"{name} ended with {process.returncode}")
                return subprocess.run(check, capture_output=True).returncode == 0

            wait(f"{name} is healthy", healthy)
    ports = {"streaming": 8001, "console": 8002, "media": 9997, "ai": 8080}
    for name in [n for n in ports if arguments.ai or n != "ai"]:
        for address in ADDRESSES[name]:
            wait(f"{name} says that it is ready", lambda address=address, name=name: get(f"http://{address}:{ports[name]}/ready"))
    camera = subprocess.Popen(["/usr/bin/python3", ROOT / "tools/camera/rtsp_camera.py", "--clip", arguments.clip],
                              stdout=subprocess.PIPE, text=True)  # fmt: skip
    images.running.append(("camera", camera))
    address = camera.stdout.readline().strip()
    door = "http://127.0.0.1"
    body = json.dumps({"camera_id": 1, "rtsp_url": address, "name": "Gate"}).encode()
    print("provisioned:", get(f"{door}/streaming/cameras/provision", body).decode()[:160])
    base = f"{door}/streaming/hls/cam_1/"

    def lines(url):
        text = get(url).decode()
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    first = wait("a playlist through the door", lambda: lines(base + "index.m3u8"))[0]
    if ".m3u8" in first:
        first = wait("its media playlist", lambda: lines(base + first))[0]
    segment = get(base + first)
    print(f"a segment of {len(segment)} bytes, beginning with {segment[:4].hex()}")
    print("the page:", get(f"{door}/")[:15], "the player:", len(get(f"{door}/vendor/hls.min.js")), "bytes")
    print("cameras of the console:", get(f"{door}/api/cameras/").decode()[:120])
    if arguments.ai:
        print("ai:", get(f"{door}/ai/health").decode()[:160])
        get(f"{door}/ai/cameras/1/start", b"{}")

        def looked():
            told = json.loads(get(f"{door}/ai/cameras/1/status"))
            return told if told.get("looks", 0) > 3 else None

        told = wait("ai looks at the camera", looked)
        print("ai:", {name: told[name] for name in ("state", "frames", "looks")})
    if arguments.postgresql:
        secret = images.state / "volumes/secrets/database_url"
        names = secret.read_text().strip().replace("@postgresql:", f"@{NAMES['postgresql'][0]}:")

        def stored():
            asked = "SELECT count(*) FROM detections" if arguments.ai else "SELECT count(*) FROM meta"
            done = subprocess.run(["psql", "-XAtq", names, "-c", asked], capture_output=True, text=True)
            return done.returncode == 0 and int(done.stdout)

        print("rows in PostgreSQL:", wait("the console writes to PostgreSQL", stored))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/gtv-images"))
    parser.add_argument("--ai", action="store_true")
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("clip")
    arguments = parser.parse_args()
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    if len(links) > 1:
        raise SystemExit("start me with: unshare --mount --net")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
    state = Path(tempfile.mkdtemp(prefix="gtv-play-"))
    state.chmod(0o711)
    images = Images(arguments.work, state)
    done = False
    try:
        serve_names()
        play(images, arguments)
        done = True
    finally:
        if not done:
            for log in sorted(state.glob("*.log")):
                print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-8:], sep="\n", file=sys.stderr)
        images.stop()
        # The mounts end with this namespace; the folder goes only when nothing is mounted in it any more.
        if all(subprocess.run(["umount", where]).returncode == 0 for where in reversed(images.mounted)):
            subprocess.run(["rm", "-rf", "--one-file-system", state], check=True)


if __name__ == "__main__":
    main()
