#!/usr/bin/python3
"""A camera with a microphone: serves an MP4 file with H.264 and AAC (or what AV_CAMERA_LAUNCH says) once to each reader. Prints its address."""

import os
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = ("( filesrc location=%s ! qtdemux name=d "
          "d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 "
          "d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )")

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(os.environ.get("AV_CAMERA_LAUNCH", LAUNCH) % sys.argv[1])
server.get_mount_points().add_factory("/av", factory)
server.attach(None)
print("rtsp://127.0.0.1:%d/av" % server.get_bound_port(), flush=True)
GLib.MainLoop().run()
