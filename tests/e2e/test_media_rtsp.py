"""The media node's RTSP server with real clients: ffmpeg, GStreamer and another node read it, ffmpeg publishes to it."""

import base64
import json
import re
import socket
import subprocess
import time

import pytest
import requests

from conftest import free_port, wait_until
from test_media import PASSWORD, Media
from test_media_rtmp import streams as streams_at

H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15"]
H265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=10:pools=1"]
GST = """
import sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst, GLib
Gst.init(None)
pipeline = Gst.parse_launch(f"rtspsrc location={sys.argv[1]} protocols={sys.argv[2]} latency=200 ! rtph264depay ! h264parse ! "
                            "video/x-h264,alignment=au ! fakesink name=sink signal-handoffs=true sync=false")
loop, seen = GLib.MainLoop(), []
def handoff(_sink, buffer, _pad):
    seen.append(buffer.get_size())
    if len(seen) >= 20:
        loop.quit()
pipeline.get_by_name("sink").connect("handoff", handoff)
pipeline.set_state(Gst.State.PLAYING)
GLib.timeout_add_seconds(20, loop.quit)
loop.run()
pipeline.set_state(Gst.State.NULL)
print(len(seen))
"""


class Rtsp(Media):
    def __init__(self, spawn, folder, **options):
        self.rtsp_port = free_port()
        self.host = f"127.0.0.1:{self.rtsp_port}"
        super().__init__(spawn, folder, MEDIA_RTSP_PORT=self.rtsp_port, **options)

    def url(self, name, user=None):
        return f"rtsp://{user + '@' if user else ''}{self.host}/{name}"

    def list(self, kind):
        return requests.get(f"{self.api}/v3/{kind}/list", timeout=60).json()["items"]


def ffmpeg(*args, **more):
    return subprocess.Popen(["ffmpeg", "-v", "error", "-nostdin", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def publish(url, transport="tcp", codec=H264, audio=True, size="320x180"):
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"] if audio else []
    return ffmpeg("-re", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate=15", *sound, *codec, *(["-c:a", "aac"] if audio else []),
                  "-f", "rtsp", "-rtsp_transport", transport, url)


def stop(process):
    if process.poll() is None:
        process.terminate()
    out, err = process.communicate(timeout=60)
    return err.decode()


def read(url, transport, frames=20):
    """How many pictures of a stream could be decoded; the decoder may not complain, but for what a busy machine loses over UDP."""
    done = subprocess.run(["ffmpeg", "-v", "warning", "-nostdin", "-rtsp_transport", transport, "-i", url, "-map", "0:v", "-frames:v", str(frames),
                           "-f", "framemd5", "-"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    complaints = [line for line in done.stderr.decode().splitlines() if re.search(r"error|corrupt|missing|concealing|invalid|lost", line, re.I)]
    assert complaints == [] or transport == "udp", done.stderr.decode()
    return sum(1 for line in done.stdout.splitlines() if not line.startswith(b"#"))


def streams(url, transport="tcp"):
    done = subprocess.run(["ffprobe", "-v", "error", "-rtsp_transport", transport, "-show_entries", "stream=codec_name", "-of", "json", url],
                          capture_output=True, timeout=60, check=True)
    return [s["codec_name"] for s in json.loads(done.stdout)["streams"]]


@pytest.fixture(scope="module")
def node(spawn_module, tmp_path_factory):
    """A node with two publishers: `both` (H.264 and AAC over TCP) and `hevc` (H.265 over UDP)."""
    it = Rtsp(spawn_module, tmp_path_factory.mktemp("rtsp"))
    it.add("both", "publisher")
    it.add("hevc", "publisher")
    processes = [publish(it.url("both")), publish(it.url("hevc"), "udp", H265, audio=False)]
    for name in ("both", "hevc"):
        it.wait_state(name, "connected")
    yield it
    for process in processes:
        stop(process)


class Client:
    """Says RTSP by hand."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.settimeout(60)
        self.cseq, self.data = 0, b""

    def send(self, method, uri, body=b"", **headers):
        self.cseq += 1
        lines = [f"{method} {uri} RTSP/1.0", f"CSeq: {self.cseq}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def answer(self):
        """(status, headers, body) of the next response; frames before it are passed over."""
        while True:
            if self.data[:1] == b"$" and len(self.data) >= 4 and len(self.data) >= 4 + int.from_bytes(self.data[2:4], "big"):
                self.data = self.data[4 + int.from_bytes(self.data[2:4], "big"):]
                continue
            head, found, rest = self.data.partition(b"\r\n\r\n")
            if found and self.data[:1] != b"$":
                headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head.decode().splitlines()[1:])}
                length = int(headers.get("content-length", 0))
                if len(rest) >= length:
                    self.data = rest[length:]
                    return int(head.split()[1]), headers, rest[:length]
            chunk = self.socket.recv(65536)
            if not chunk:
                return None
            self.data += chunk

    def ask(self, method, uri, body=b"", **headers):
        self.send(method, uri, body, **headers)
        return self.answer()

    def is_closed(self):
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


# ---- Reading ----

@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_ffmpeg_reads_what_is_published(node, transport):
    assert streams(node.url("both"), transport) == ["h264", "aac"]
    assert read(node.url("both"), transport) == 20
    assert read(node.url("hevc"), transport, 10) == 10


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_gstreamer_reads_it(node, transport):
    done = subprocess.run(["/usr/bin/python3", "-c", GST, node.url("both"), transport], capture_output=True, timeout=60)
    assert int(done.stdout or 0) >= 20, done.stderr.decode()


def test_what_is_published_can_be_played_over_hls(node):
    playlist = node.playlist("both")
    data = requests.get(f"{node.hls}/both/{playlist.segments[-1][2]}", timeout=60).content
    done = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "json", "-"], input=data, capture_output=True)
    assert sorted(s["codec_name"] for s in json.loads(done.stdout)["streams"]) == ["aac", "h264"]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_another_node_reads_it(node, spawn, tmp_path, transport):
    other = Rtsp(spawn, tmp_path)
    other.add("chained", node.url("both"), rtspTransport=transport, sourceOnDemand=True)
    assert read(other.url("chained"), "tcp") == 20  # the source is dialled by the reader
    path = other.path("chained")
    assert path["tracks"] == ["H264", "MPEG-4 Audio"]
    assert path["inboundFramesInError"] == 0 or transport == "udp"


def test_the_reports_tell_the_true_time(node):
    c = Client(node.rtsp_port)
    assert c.ask("DESCRIBE", node.url("both"))[0] == 200
    _, headers, _ = c.ask("SETUP", node.url("both") + "/trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
    c.send("PLAY", node.url("both") + "/", Session=headers["session"].split(";")[0])
    while not (found := re.search(rb"\$\x01\x00\x30\x80\xc8\x00\x06....(.{8})", c.data, re.S)):
        c.data += c.socket.recv(65536)
    seconds = int.from_bytes(found.group(1)[:4], "big") - 2208988800
    assert abs(seconds - time.time()) < 30


def test_lists_and_kicking(node):
    reader = ffmpeg("-rtsp_transport", "tcp", "-i", node.url("both"), "-f", "null", "-")
    session = wait_until(lambda: next((s for s in node.list("rtspsessions") if s["state"] == "read"), None), what="the reader is listed")
    assert session["path"] == "both" and session["transport"] == "TCP"
    conn = next(c for c in node.list("rtspconns") if c["session"] == session["id"])
    assert conn["remoteAddr"] == session["remoteAddr"]
    assert {"type": "rtspSession", "id": session["id"]} in node.path("both")["readers"]
    assert node.path("both")["source"]["type"] == "rtspSession"
    wait_until(lambda: node.metric(f'rtsp_sessions_bytes_sent{{id="{session["id"]}"') > 0, what="bytes are counted")
    assert node.metric(f'rtsp_conns{{id="{conn["id"]}"') == 1
    assert requests.post(f"{node.api}/v3/rtspsessions/kick/{session['id']}", timeout=60).status_code == 200
    reader.communicate(timeout=60)
    assert session["id"] not in [s["id"] for s in node.list("rtspsessions")]


def test_wrong_requests_on_the_wire(node):
    c = Client(node.rtsp_port)
    assert c.ask("OPTIONS", "*")[0] == 200
    for uri in (node.url("a/../both"), node.url("a%20b"), node.url("c%C3%A2mera"), "rtsp://x"):
        assert c.ask("DESCRIBE", uri)[0] == 400, uri
    assert c.ask("DESCRIBE", node.url("nobody"))[0] == 404
    assert c.ask("PLAY", node.url("both"))[0] == 454
    assert c.ask("SETUP", node.url("both") + "/trackID=0", Transport="RTP/AVP;multicast")[0] == 461
    c.send("OPTIONS", "*")  # pipelined
    c.send("DESCRIBE", node.url("both"))
    assert [c.answer()[0], c.answer()[0]] == [200, 200]
    c.socket.sendall(b"$\x07\x00\x04rare")  # a channel that nobody set up
    assert c.ask("OPTIONS", "*")[0] == 200

    large = Client(node.rtsp_port)
    large.socket.sendall(b"ANNOUNCE rtsp://x/both RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 104857600\r\n\r\n" + b"x" * 100000)
    assert large.answer()[0] == 413
    assert large.is_closed()
    rubbish = Client(node.rtsp_port)
    rubbish.socket.sendall(bytes(range(14, 256)) * 50 + b"\r\n\r\n")
    assert rubbish.answer()[0] == 400
    assert rubbish.is_closed()


# ---- Publishing ----

def test_who_may_publish_and_read(spawn, tmp_path):
    users = [{"user": "cam", "pass": PASSWORD, "permissions": [{"action": "publish", "path": ""}]},
             {"user": "eye", "pass": "look", "permissions": [{"action": "read", "path": "yard"}]},
             {"user": "any", "ips": ["127.0.0.1"], "permissions": [{"action": "api"}, {"action": "metrics"}]}]
    config = tmp_path / "media.yml"
    config.write_text(json.dumps({"authInternalUsers": users, "paths": {"yard": {"source": "publisher"}}}))
    node = Rtsp(spawn, tmp_path, MEDIA_CONFIG=config)
    c = Client(node.rtsp_port)
    sdp = b"v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:0\r\n"
    status, headers, _ = c.ask("ANNOUNCE", node.url("yard"), sdp, Content_Type="application/sdp")
    assert status == 401 and "www-authenticate" in headers
    before = time.monotonic()
    wrong = base64.b64encode(b"cam:wrong").decode()
    assert c.ask("ANNOUNCE", node.url("yard"), sdp, Content_Type="application/sdp", Authorization=f"Basic {wrong}")[0] == 401
    assert time.monotonic() - before > 1.5

    process = publish(node.url("yard", f"cam:{PASSWORD}"), audio=False)  # ffmpeg takes the digest
    node.wait_state("yard", "connected")
    assert node.list("rtspsessions")[0]["user"] == "cam"
    assert read(node.url("yard", "eye:look"), "tcp", 5) == 5
    right = base64.b64encode(b"eye:look").decode()
    assert Client(node.rtsp_port).ask("DESCRIBE", node.url("yard"), Authorization=f"Basic {right}")[0] == 200
    process.kill()  # vanishes without a word
    process.communicate()
    node.wait_state("yard", "idle")
    assert node.path("yard")["cause"] == "the publisher closed the connection"
    assert PASSWORD not in node.process.log()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_publisher_with_g711(node, transport):
    """By option as AAC, beside its pictures' time; else left out."""
    name, mute = f"g711_{transport}", f"mute_{transport}"
    node.add(name, "publisher", audioTranscode=True)
    node.add(mute, "publisher")
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000", "-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"]
    senders = [ffmpeg("-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=15", *sound[:4], *H264, *sound[4:], "-f", "rtsp",
                      "-rtsp_transport", transport, node.url(n)) for n in (name, mute)]
    try:
        assert node.wait_state(name, "connected")["tracks"] == ["H264", "MPEG-4 Audio"]
        found = streams_at(f"{node.hls}/{name}/index.m3u8")
        assert found["audio"]["codec_name"] == "aac" and found["audio"]["sample_rate"] == "16000" and found["video"]["codec_name"] == "h264"
        assert abs(float(found["video"]["start_time"]) - float(found["audio"]["start_time"])) < 0.7
        assert node.wait_state(mute, "connected")["tracks"] == ["H264"]
        log = node.process.log()
        assert "a publisher's track is left out" in log and "codec=PCMA" in log
        for path in (name, mute):  # while frames are on their way
            assert requests.delete(f"{node.api}/v3/config/paths/delete/{path}", timeout=60).status_code == 200
    finally:
        for sender in senders:
            sender.kill()
            sender.communicate()


def test_a_second_publisher_takes_over_or_not(spawn, tmp_path):
    node = Rtsp(spawn, tmp_path, MEDIA_STALL_SECONDS=2)
    node.add("free", "publisher")
    node.add("kept", "publisher", overridePublisher=False)
    first = [publish(node.url(name), audio=False) for name in ("free", "kept")]
    for name in ("free", "kept"):
        node.wait_state(name, "connected")
    was = node.path("free")["source"]["id"]
    second = [publish(node.url(name), audio=False, size="640x360") for name in ("free", "kept")]
    wait_until(lambda: (s := node.path("free")["source"]) and s["id"] != was and node.path("free")["ready"], what="the path has its new publisher")
    first[0].communicate(timeout=60)  # was thrown out
    second[1].communicate(timeout=60)
    assert second[1].returncode != 0
    assert node.path("kept")["ready"]
    first[1].send_signal(19)  # SIGSTOP: connected, and silent
    node.wait_state("kept", "idle")
    assert node.path("kept")["causeCode"] == "stalled"
    first[1].send_signal(18)
    for process in (second[0], first[1]):
        stop(process)


def test_readers_that_do_not_read(node):
    """A reader that takes nothing costs a bounded memory and nobody else's picture."""
    idle = []
    for _ in range(3):
        c = Client(node.rtsp_port)
        c.ask("DESCRIBE", node.url("both"))
        _, headers, _ = c.ask("SETUP", node.url("both") + "/trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
        c.send("PLAY", node.url("both") + "/", Session=headers["session"].split(";")[0])
        idle.append(c)
    half = [socket.create_connection(("127.0.0.1", node.rtsp_port)) for _ in range(20)]  # half-open: they never say anything
    assert read(node.url("both"), "tcp", 10) == 10
    for c in idle:
        c.socket.close()
    for s in half:
        s.close()
    wait_until(lambda: all(s["state"] == "publish" for s in node.list("rtspsessions")), what="the readers are gone")
