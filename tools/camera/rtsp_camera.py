#!/usr/bin/python3
"""A real RTSP camera that loops a clip, for the demo and for tests. See README.md."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtsp, GstRtspServer  # noqa: E402,F401

# A client that does not read must not make this process grow: beyond this
# much waiting data a media drops frames up to the next key frame.
QUEUE_LIMIT_BYTES = 8 * 1024 * 1024

CODECS = {
    "h264": ("h264parse", "video/x-h264", "rtph264pay"),
    "hevc": ("h265parse", "video/x-h265", "rtph265pay"),
}


class CameraError(Exception):
    """Something the user can put right; its text is shown as it is."""


def probe_codec(clip):
    """The codec's name of the clip's first video stream, as ffprobe calls it."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries",
         "stream=codec_name,has_b_frames", "-of", "json", clip],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CameraError("cannot read %s: %s" % (clip, done.stderr.strip()))
    streams = json.loads(done.stdout).get("streams", [])
    if not streams:
        raise CameraError("%s has no video stream" % clip)
    return streams[0]["codec_name"], int(streams[0].get("has_b_frames", 0))


def transcode(clip, folder):
    """Write the clip as H.264 without B-frames, one key frame a second."""
    target = os.path.join(folder, "clip.mp4")
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", clip, "-an", "-vf",
         "scale=trunc(iw/2)*2:trunc(ih/2)*2,format=yuv420p", "-c:v", "libx264",
         "-preset", "veryfast", "-bf", "0", "-force_key_frames", "expr:gte(t,n_forced)", target],
        capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CameraError("cannot transcode %s: %s" % (clip, done.stderr.strip()))
    return target


class Clip:
    """The access units of a clip, in decoding order, read once into memory."""

    def __init__(self, path, codec):
        parser, caps, self.payloader = CODECS[codec]
        self.units = []  # (bytes, pts from the loop's start in ns, key frame)
        self.caps = None
        self.duration = 0
        self._read(path, parser, caps)
        if not self.units:
            raise CameraError("%s holds no video frame" % path)
        first = min(unit[1] for unit in self.units)
        self.units = [(data, pts - first, key) for data, pts, key in self.units]
        last = max(unit[1] for unit in self.units)
        step = last // (len(self.units) - 1) if len(self.units) > 1 else Gst.SECOND // 25
        self.duration = last + step

    def _read(self, path, parser, caps):
        pipeline = Gst.parse_launch(
            "filesrc name=file ! parsebin ! %s config-interval=-1 ! "
            "%s,stream-format=byte-stream,alignment=au ! "
            "appsink name=sink sync=false max-buffers=64" % (parser, caps))
        pipeline.get_by_name("file").set_property("location", path)
        sink = pipeline.get_by_name("sink")
        pipeline.set_state(Gst.State.PLAYING)
        try:
            while True:
                sample = sink.emit("try-pull-sample", 10 * Gst.SECOND)
                if sample is None:
                    break
                self._add(sample)
            message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
            if message is not None:
                raise CameraError("cannot read %s: %s" % (path, message.parse_error()[0].message))
        finally:
            pipeline.set_state(Gst.State.NULL)

    def _add(self, sample):
        data = sample.get_buffer()
        if data.pts == Gst.CLOCK_TIME_NONE:
            return
        key = not data.has_flags(Gst.BufferFlags.DELTA_UNIT)
        if not self.units:
            if not key:
                return
            self.caps = sample.get_caps().to_string()
        self.units.append((data.extract_dup(0, data.get_size()), data.pts, key))


class Feed:
    """One connected media: its appsrc and the offset from the loop's clock to its own."""

    def __init__(self, media, limits):
        self.media = media
        self.source = media.get_element().get_by_name("src")
        self.offset = None
        self.waiting = True
        self.started = time.monotonic()
        self.freeze_after = limits.freeze_after

    def running_time(self):
        clock = self.source.get_clock()
        if clock is None:
            return None
        return max(0, clock.get_time() - self.source.get_base_time())

    def push(self, data, position, key):
        if self.freeze_after is not None and time.monotonic() - self.started > self.freeze_after:
            return
        if self.source.get_property("current-level-bytes") > QUEUE_LIMIT_BYTES:
            self.waiting = True
        if self.waiting and not key:
            return
        if self.offset is None:
            now = self.running_time()
            if now is None:
                return
            self.offset = now - position
        self.waiting = False
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts = buffer.dts = position + self.offset
        if not key:
            buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
        self.source.emit("push-buffer", buffer)


class Loop(threading.Thread):
    """Turns the clip for ever, at its own pace, for whoever is connected."""

    def __init__(self, clip, truth_clock):
        super().__init__(daemon=True)
        self.clip = clip
        self.truth_clock = truth_clock
        self.lock = threading.Lock()
        self.feeds = []  # guarded by lock
        self.halt = threading.Event()

    def add(self, feed):
        with self.lock:
            self.feeds.append(feed)

    def remove(self, media):
        with self.lock:
            self.feeds = [feed for feed in self.feeds if feed.media is not media]

    def run(self):
        start = time.monotonic()
        turn = 0
        while not self.halt.is_set():
            base = turn * self.clip.duration
            if self.truth_clock is not None:
                self._note(turn, start + base / Gst.SECOND)
            for data, pts, key in self.clip.units:
                due = start + (base + pts) / Gst.SECOND
                if self.halt.wait(max(0.0, due - time.monotonic())):
                    return
                with self.lock:
                    feeds = list(self.feeds)
                for feed in feeds:
                    feed.push(data, base + pts, key)
            turn += 1

    def _note(self, turn, due):
        """Write when this turn's first frame is due, ahead of sending it."""
        if self.halt.wait(max(0.0, due - time.monotonic() - 0.02)):
            return
        unix_ms = (time.time() + due - time.monotonic()) * 1000.0
        with open(self.truth_clock, "a", encoding="utf-8") as out:
            out.write(json.dumps({"loop_start_unix_ms": round(unix_ms, 1), "turn": turn,
                                  "duration_ms": self.clip.duration / 1e6}) + "\n")


class Factory(GstRtspServer.RTSPMediaFactory):
    """Makes one media for all readers of all paths."""

    def __init__(self, launch, loop, options):
        super().__init__()
        self.loop = loop
        self.options = options
        self.set_launch(launch)
        self.set_shared(True)
        self.set_suspend_mode(GstRtspServer.RTSPSuspendMode.NONE)
        self.connect("media-configure", self._configure)

    def do_gen_key(self, _url):
        return "camera"

    def _configure(self, _factory, media):
        source = media.get_element().get_by_name("src")
        if self.loop is None or source is None:
            return
        source.set_property("caps", Gst.Caps.from_string(self.loop.clip.caps))
        self.loop.add(Feed(media, self.options))
        media.connect("unprepared", self.loop.remove)


class Server:
    """The listening socket, its paths and its users."""

    def __init__(self, options, loop):
        self.options = options
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address(options.host)
        self.server.set_service(str(options.port))
        self.factory = Factory(launch_line(options, loop), loop, options)
        password = read_password(options)
        if password is not None:
            self._protect(options.user, password)
        mounts = self.server.get_mount_points()
        for path in self.paths():
            mounts.add_factory(path, self.factory)
        self.server.connect("client-connected", self._connected)

    def paths(self):
        """The mount points: PATH, and with --paths N also PATH2 ... PATHN."""
        return [self.options.path] + [
            "%s%d" % (self.options.path, n) for n in range(2, self.options.paths + 1)]

    def _protect(self, user, password):
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, user)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        self.server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role(
            user, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
        permissions.add_permission_for_role(
            user, GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True)
        self.factory.set_permissions(permissions)

    def _connected(self, _server, client):
        if self.options.close_after is not None:
            GLib.timeout_add(int(self.options.close_after * 1000), self._close, client)

    @staticmethod
    def _close(client):
        client.close()
        return GLib.SOURCE_REMOVE

    def listen(self):
        """Bind; returns the address of the first path, which never holds a password."""
        if self.server.attach(None) == 0:
            raise CameraError("cannot listen on %s port %s" % (self.options.host, self.options.port))
        return "rtsp://%s:%d%s" % (self.options.host, self.server.get_bound_port(),
                                   self.options.path)


def launch_line(options, loop):
    """The GStreamer pipeline that a media runs."""
    if options.audio_only:
        return "( audiotestsrc is-live=true volume=0.1 ! alawenc ! rtppcmapay name=pay0 pt=8 )"
    if options.codec == "mjpeg":
        return ("( videotestsrc is-live=true ! video/x-raw,format=I420,width=640,height=360,framerate=10/1 "
                "! jpegenc ! rtpjpegpay name=pay0 pt=26 )")
    # Parameter sets are already in front of each key frame of the clip's units.
    return ("( appsrc name=src is-live=true format=time block=false max-bytes=0 ! "
            "%s name=pay0 pt=96 config-interval=-1 )" % loop.clip.payloader)


def read_password(options):
    """The password out of the named environment variable, or None without a user."""
    if options.user is None:
        return None
    if options.password_env is None:
        raise CameraError("--user needs --password-env NAME")
    if options.password_env not in os.environ:
        raise CameraError("the environment variable %s is not set" % options.password_env)
    return os.environ[options.password_env]


def make_loop(options):
    """The running clip, or None in the modes that need no clip."""
    if options.audio_only or options.codec == "mjpeg":
        return None
    if options.clip is None:
        raise CameraError("--clip FILE is needed")
    codec, reordered = probe_codec(options.clip)
    with tempfile.TemporaryDirectory(prefix="gtv-camera-") as folder:
        path = options.clip
        if codec not in CODECS or reordered > 0:
            path, codec = transcode(options.clip, folder), "h264"
        loop = Loop(Clip(path, codec), options.truth_clock)
    return loop


def parse_arguments(argv):
    parser = argparse.ArgumentParser(prog="rtsp_camera.py", description=__doc__)
    parser.add_argument("--clip", metavar="FILE", help="video to loop")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0: any free port (%(default)s)")
    parser.add_argument("--path", default="/street", help="mount point (%(default)s)")
    parser.add_argument("--paths", type=int, default=1, metavar="N",
                        help="N mount points, PATH and PATH2 ... PATHN, of one pipeline")
    parser.add_argument("--user", help="ask for this user by basic authentication")
    parser.add_argument("--password-env", metavar="NAME",
                        help="environment variable that holds the password")
    parser.add_argument("--ready-file", metavar="FILE",
                        help="write the address here too, once listening")
    parser.add_argument("--truth-clock", metavar="FILE",
                        help="append a JSON line at the start of each turn of the clip")
    parser.add_argument("--audio-only", action="store_true", help="a stream without video")
    parser.add_argument("--codec", choices=["clip", "mjpeg"], default="clip",
                        help="mjpeg: a codec that HLS cannot carry")
    parser.add_argument("--freeze-after", type=float, metavar="S",
                        help="stay connected, but send nothing after S seconds")
    parser.add_argument("--close-after", type=float, metavar="S",
                        help="close each connection S seconds after it was made")
    options = parser.parse_args(argv)
    if not options.path.startswith("/"):
        parser.error("--path begins with /")
    if not 1 <= options.paths <= 1000:
        parser.error("--paths is 1 to 1000")
    if not 0 <= options.port <= 65535:
        parser.error("--port is 0 to 65535")
    return options


def announce(address, ready_file):
    print(address, flush=True)
    if ready_file is not None:
        partial = "%s.%d" % (ready_file, os.getpid())
        with open(partial, "w", encoding="utf-8") as out:
            out.write(address + "\n")
        os.replace(partial, ready_file)


def main(argv):
    options = parse_arguments(argv)
    Gst.init(None)
    try:
        loop = make_loop(options)
        server = Server(options, loop)
        address = server.listen()
    except CameraError as error:
        print("rtsp_camera: %s" % error, file=sys.stderr)
        return 1
    if loop is not None:
        loop.start()
    main_loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, main_loop.quit)
    announce(address, options.ready_file)
    main_loop.run()
    # Pipelines in flight would be torn down one by one; readers see the closed
    # socket either way, so the process ends at once.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
