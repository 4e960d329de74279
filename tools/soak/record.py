#!/usr/bin/env python3
"""`./gtv soak record`: records cameras, kills the node with SIGKILL, starts it again, and checks every file.

What passes: each file plays (ffprobe reads every packet without a complaint, decoding the first seconds of some), and of each camera no more
than a second before the kill is lost. Not part of CI: ten minutes with 50 cameras by default.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOST_MAX = 1.0  # seconds, of each camera


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def call(method, url, body=None):
    request = urllib.request.Request(url, method=method, data=json.dumps(body).encode() if body is not None else None)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def wait(check, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"soak: {what}: not within {seconds} s")


def start_cameras(folder, count):
    clip, ready = folder / "clip.mp4", folder / "ready"
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", "-t", "20", "-vf", "noise=alls=4:allf=t",
                    "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "50", "-sc_threshold", "0", "-b:v", "1M",
                    "-maxrate", "1M", "-bufsize", "1M", str(clip)], check=True)
    cameras = subprocess.Popen(["/usr/bin/python3", str(ROOT / "tools/camera/rtsp_camera.py"), "--clip", str(clip), "--paths", str(count), "--ready-file",
                                str(ready)], stdout=subprocess.DEVNULL)
    return cameras, wait(lambda: ready.exists() and ready.read_text().strip(), 30, "the cameras answer")


def start_node(program, folder, api, playback):
    environment = {**os.environ, "MEDIA_API_PORT": str(api), "MEDIA_HLS_PORT": "0", "MEDIA_RTSP_PORT": "0", "MEDIA_RTMP_PORT": "0",
                   "MEDIA_PLAYBACK_PORT": str(playback), "MEDIA_DATA": str(folder / "media"), "GTV_CAMERA_ALLOW": "127.0.0.0/8",
                   "MEDIA_RECORD_MIN_FREE_BYTES": "0", "LOG_LEVEL": "ERROR"}
    process = subprocess.Popen([program], env=environment, stdout=subprocess.DEVNULL)
    wait(lambda: call("GET", f"http://127.0.0.1:{api}/v3/info"), 20, "the node answers")
    return process


def plays(file, decode):
    """What is wrong with a file, or None."""
    probe = subprocess.run(["ffprobe", "-v", "warning", "-select_streams", "v", "-show_entries", "packet=flags", "-of", "csv=p=0", str(file)], capture_output=True)
    packets = probe.stdout.decode().split()
    if probe.returncode != 0 or probe.stderr or not packets or "K" not in packets[0]:
        return probe.stderr.decode()[:200] or "no key frame first"
    if decode:
        decoded = subprocess.run(["ffmpeg", "-v", "error", "-sseof", "-5", "-i", str(file), "-f", "null", "-"], capture_output=True)
        if decoded.returncode != 0 or decoded.stderr:
            return decoded.stderr.decode()[:200]
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--segment", default="2m", help="recordSegmentDuration")
    parser.add_argument("--program", default=str(ROOT / "build/release/services/media/gtv-media"))
    options = parser.parse_args()
    api, playback, node, failures = free_port(), free_port(), None, 0
    with tempfile.TemporaryDirectory(prefix="gtv-soak-") as text:
        folder = Path(text)
        cameras, address = start_cameras(folder, options.cameras)
        try:
            node = start_node(options.program, folder, api, playback)
            names = [f"cam_{n}" for n in range(1, options.cameras + 1)]
            for n, name in enumerate(names, 1):
                call("POST", f"http://127.0.0.1:{api}/v3/config/paths/add/{name}", {"source": address + (str(n) if n > 1 else ""), "record": True,
                     "recordSegmentDuration": options.segment, "recordDeleteAfter": "0s"})
            wait(lambda: all(p["recording"]["state"] == "recording" for p in
                             call("GET", f"http://127.0.0.1:{api}/v3/paths/list?itemsPerPage=1000")["items"]), 60, "every camera is recorded")
            time.sleep(options.seconds)
            dropped = sum(p["recording"]["droppedSamples"] for p in call("GET", f"http://127.0.0.1:{api}/v3/paths/list?itemsPerPage=1000")["items"])
            killed = time.time()
            node.send_signal(signal.SIGKILL)
            node.wait(10)
            cameras.terminate()
            node = start_node(options.program, folder, api, playback)
            def found():
                return all(len(call("GET", f"http://127.0.0.1:{api}/v3/recordings/get/{n}")["segments"]) == len(list((folder / "media/recordings" / n).glob("*.mp4")))
                           for n in names)
            wait(found, 60, "every file is found")
            lost = []
            for name in names:
                spans = call("GET", f"http://127.0.0.1:{playback}/list?path={name}")
                begin = wall(spans[-1]["start"])
                lost.append(killed - begin - spans[-1]["duration"])
                failures += report(name, f"{lost[-1]:.2f} s are lost", lost[-1] > LOST_MAX) + report(name, f"{len(spans)} spans", len(spans) != 1)
            files = sorted((folder / "media/recordings").rglob("*.mp4"))
            for n, file in enumerate(files):
                trouble = plays(file, n % 10 == 0 or file.stat().st_mtime > killed)
                failures += report(file.name, trouble, trouble is not None)
            print(f"{options.cameras} cameras, {options.seconds} s, {len(files)} files, {sum(f.stat().st_size for f in files) >> 20} MiB: lost at most {max(lost):.2f} s, "
                  f"{sum(lost) / len(lost):.2f} s on average; {dropped} samples dropped; {failures} failures")
        finally:
            for process in (node, cameras):
                if process is not None and process.poll() is None:
                    process.terminate()
                    process.wait(10)
    return 1 if failures else 0


def wall(text):
    from datetime import datetime
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float("0." + (fraction or "0"))


def report(name, what, bad):
    if bad:
        print(f"FAIL {name}: {what}", flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
