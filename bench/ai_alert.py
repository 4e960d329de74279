"""How soon a plate on the watch-list is an alert at a browser: a real RTSP camera, the media node, gtv-ai, Redis, streaming, a WebSocket.

Every plate of the synthetic street is on the list. Counted from the arrival of the last frame that was read before the alert (the one that made
the plate sure, by gtv-ai's log), to the alert at the WebSocket. A plate that never is sure is told when its track ends, and no frame that was read makes
its alert: those are counted apart. Run alone:
    GTV_BUILD=build/release python3 bench/ai_alert.py [--seconds 70] [--first]
"""

import argparse
import json
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import websocket

from ai_watch import add, raise_above, watching
from common import ROOT, call, free_port, program, redis, started, streaming, wait_for


class Alerts(threading.Thread):
    """(track, when it was heard in Unix ms, whether its plate was sure) of each alert."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.heard = []
        self.socket = websocket.create_connection(url, timeout=300)

    def run(self):
        while True:
            try:
                message = json.loads(self.socket.recv())
            except (OSError, ValueError, websocket.WebSocketException):
                return
            if message["type"] == "alert":
                data = message["data"]
                self.heard.append((data["track_id"], time.time() * 1000, not data["plate"]["uncertain"]))


def last_reads(log):
    """Of each track the moments of the frames that were read."""
    reads = {}
    for track, wall_ms in re.findall(r'"a plate was read".* track=(\d+) wall_ms=(\d+)', log):
        reads.setdefault(int(track), []).append(int(wall_ms))
    return reads


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=70)
    parser.add_argument("--first", action="store_true", help="go before other processes: for a busy machine, as root")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, redis() as redis_port:
        folder = Path(folder)
        camera = subprocess.Popen(["/usr/bin/python3", ROOT / "tools/camera/rtsp_camera.py", "--clip", ROOT / "var/street/street.mp4"],
                                  stdout=subprocess.PIPE, text=True, start_new_session=True)
        api, hls, port = free_port(), free_port(), free_port()
        media_env = {"MEDIA_PLAYBACK_PORT": "0", "MEDIA_RTMP_PORT": "0", "MEDIA_RTSP_PORT": "0", "MEDIA_RTP_PORT": "0", "MEDIA_API_PORT": str(api),
                     "MEDIA_HLS_PORT": str(hls), "MEDIA_DATA": str(folder / "media"), "LOG_LEVEL": "ERROR", "GTV_CAMERA_ALLOW": "127.0.0.0/8"}
        ai_env = {"AI_PORT": str(port), "METRICS_PORT": "0", "GTV_EVENTS_REDIS_URL": f"redis://127.0.0.1:{redis_port}/2", "REDIS_HOST": "127.0.0.1",
                  "REDIS_PORT": str(redis_port), "MODELS_DIR": str(ROOT / "var/models"), "MEDIAMTX_HLS_URL": f"http://127.0.0.1:{hls}",
                  "AI_CROPS_DIR": str(folder / "crops"), "AI_SPOOL_DIR": str(folder / "spool"), "LOG_LEVEL": "DEBUG"}
        try:
            url = camera.stdout.readline().strip()
            with started([program("gtv-media")], media_env, folder / "media.log") as media, started([program("gtv-ai")], ai_env, folder / "ai.log") as ai:
                wait_for(f"http://127.0.0.1:{api}/v3/paths/list")
                wait_for(f"http://127.0.0.1:{port}/health", seconds=60)
                for vehicle in json.loads((ROOT / "var/street/street.json").read_text())["vehicles"]:
                    call("POST", f"http://127.0.0.1:{port}/watchlist", {"plate": vehicle["plate"], "label": "bench"})
                with streaming(folder, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{hls}", redis_port) as (base, hub):
                    for process in (camera, media, ai, hub) if options.first else ():
                        raise_above(process.pid)
                    client = Alerts(base.replace("http", "ws") + "/ws/events/*?types=alert")
                    client.start()
                    add(1, SimpleNamespace(settings="{}"), url, api, redis_port)
                    watching(f"http://127.0.0.1:{port}", 1)
                    time.sleep(options.seconds)
                    reads = last_reads((folder / "ai.log").read_text())
            ages = {True: [], False: []}
            for track, at, sure in client.heard:
                if track in reads:
                    ages[sure].append(at - max(when for when in reads[track] if when <= at))
            assert ages[True], "no alert was heard"
            for sure, what in ((True, "last frame needed"), (False, "of plates never sure, told when the track ended: last frame read")):
                those = sorted(ages[sure])
                if those:
                    print(f"{what} to the alert at the browser, {len(those)} alerts: half {those[len(those) // 2]:.0f} ms, the slowest {those[-1]:.0f} ms, "
                          f"{sum(age <= 1000 for age in those)} within 1 s")
        finally:
            camera.terminate()
            camera.wait(10)


if __name__ == "__main__":
    main()
