#!/usr/bin/python3
"""Real RTSP cameras whose picture goes wrong on demand: `fault_camera.py NAME=CLIP... -- PATH...` serves each PATH, beginning with the first clip.

Lines on stdin: `PATH play NAME` goes over to another clip at once, `PATH jump SECONDS` moves the time stamps of all that follows. Prints its address; ends with stdin.
A NAME that ends with `!` sends its clip's first picture again and again.
"""

import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "camera"))
import rtsp_camera  # noqa: E402
from rtsp_camera import GLib, Gst, GstRtspServer  # noqa: E402


class Scenes(rtsp_camera.Loop):
    """Plays one clip after the other, each from its first key frame, on one time line."""

    def __init__(self, clips):
        super().__init__(next(iter(clips.values())), None)
        self.clips, self.wanted, self.jump = clips, self.clip, 0

    def run(self):
        start, base = time.monotonic(), 0
        while not self.halt.is_set():
            playing = self.wanted
            end = playing.duration
            for data, pts, key in playing.units:
                if self.halt.wait(max(0.0, start + (base + pts) / Gst.SECOND - time.monotonic())):
                    return
                if self.wanted is not playing:
                    end = pts
                    break
                with self.lock:
                    feeds = list(self.feeds)
                jump, self.jump = self.jump, 0
                for feed in feeds:
                    if jump and feed.offset is not None:  # never before the beginning
                        feed.offset = max(feed.offset + jump, -(base + pts))
                    feed.push(data, base + pts, key)
            base += end


def read_clips(words):
    clips = {}
    for word in words:
        name, path = word.split("=", 1)
        clip = rtsp_camera.Clip(path, "h264")
        if name.endswith("!"):
            data, _, key = clip.units[0]
            clip.units, clip.duration = [(data, 0, key)], Gst.SECOND // 10
        clips[name.rstrip("!")] = clip
    return clips


def obey(cameras):
    for line in sys.stdin:
        path, what, value = line.split()
        if what == "play":
            cameras[path].wanted = cameras[path].clips[value]
        else:
            cameras[path].jump = int(float(value) * Gst.SECOND)
    os._exit(0)


def main():
    Gst.init(None)
    split = sys.argv.index("--")
    clips = read_clips(sys.argv[1:split])
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    options = rtsp_camera.parse_arguments([])
    cameras = {}
    for path in sys.argv[split + 1:]:
        loop = cameras[path] = Scenes(clips)
        server.get_mount_points().add_factory("/" + path, rtsp_camera.Factory(rtsp_camera.launch_line(options, loop), loop, options))
        loop.start()
    server.attach(None)
    threading.Thread(target=obey, args=(cameras,), daemon=True).start()
    print("rtsp://127.0.0.1:%d" % server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
