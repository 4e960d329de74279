"""Publishers over RTMP: a real ffmpeg, and one written by hand for what ffmpeg 5.1 does not send."""

import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
import requests

from conftest import free_port, wait_until
from push import NULL, Push, hevc, number, obj, text
from test_media import Media


class Node(Media):
    def __init__(self, spawn, folder, **options):
        self.rtmp_port = free_port()
        super().__init__(spawn, folder, MEDIA_RTMP_PORT=self.rtmp_port, **options)

    def conns(self):
        return requests.get(self.api + "/v3/rtmpconns/list", timeout=60).json()["items"]

    def publisher(self, name):
        answer = requests.post(f"{self.api}/v3/config/paths/add/{name}", json={}, timeout=60)
        assert answer.status_code == 200, answer.text

    def url(self, path):
        return f"rtmp://127.0.0.1:{self.rtmp_port}/{path}"


@pytest.fixture(scope="module")
def node(spawn_module, tmp_path_factory):
    return Node(spawn_module, tmp_path_factory.mktemp("rtmp"))


@pytest.fixture(scope="module")
def ffmpeg(tmp_path_factory, street):
    """Starts publishers of a clip with H.264 and AAC; ends them with the module."""
    clip = tmp_path_factory.mktemp("clip") / "av.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=15", "-f", "lavfi", "-i", "sine=f=440", "-t", "20",
                    "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "15", "-bf", "2", "-c:a", "aac", str(clip)], check=True)
    started = []

    def start(url):
        process = subprocess.Popen(["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy", "-f", "flv", url],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def streams(url):
    done = subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-of", "json", url], capture_output=True, timeout=60)
    return {s["codec_type"]: s for s in json.loads(done.stdout)["streams"]}


def test_ffmpeg_publishes_and_everybody_reads(node, ffmpeg):
    node.publisher("live/one")
    process = ffmpeg(node.url("live/one"))
    path = node.wait_state("live/one", "connected")
    assert path["source"]["type"] == "rtmpConn" and path["ready"]
    assert path["tracks"] == ["H264", "MPEG-4 Audio"]
    found = streams(f"{node.hls}/live/one/index.m3u8")
    assert found["video"]["codec_name"] == "h264" and found["audio"]["codec_name"] == "aac"
    assert abs(float(found["video"]["start_time"]) - float(found["audio"]["start_time"])) < 0.6
    conn = node.conns()[0]
    assert conn["state"] == "publish" and conn["path"] == "live/one" and conn["inboundBytes"] > 0 and path["source"]["id"] == conn["id"]
    assert node.metric("rtmp_conns{") == 1
    # Thrown out by the API.
    assert requests.post(f"{node.api}/v3/rtmpconns/kick/{conn['id']}", timeout=60).status_code == 200
    path = node.wait_state("live/one", "idle")
    assert path["causeCode"] == "kicked" and path["source"] is None
    process.wait(60)
    wait_until(lambda: not node.conns(), what="nobody is listed")


def test_a_second_publisher_takes_over_or_not(node, ffmpeg):
    node.publisher("cam")
    first = ffmpeg(node.url("cam"))
    one = node.wait_state("cam", "connected")["source"]["id"]
    ffmpeg(node.url("cam"))
    wait_until(lambda: (p := node.path("cam"))["state"] == "connected" and p["source"]["id"] != one, what="taken over")
    first.wait(60)
    requests.patch(f"{node.api}/v3/config/paths/patch/cam", json={"overridePublisher": False}, timeout=60)
    two = node.wait_state("cam", "connected")["source"]["id"]
    third = Push(node.rtmp_port)
    assert b"someone is already publishing to path 'cam'" in third.publish("cam", "")
    assert node.path("cam")["source"]["id"] == two


def test_a_killed_publisher_is_gone_at_once(node, ffmpeg):
    node.publisher("gone")
    process = ffmpeg(node.url("gone"))
    node.wait_state("gone", "connected")
    process.send_signal(signal.SIGKILL)
    assert node.wait_state("gone", "idle")["causeCode"] == "closed"


def test_credentials(spawn, tmp_path, ffmpeg):
    users = tmp_path / "media.yml"
    users.write_text("authInternalUsers:\n"
                     "  - {user: any, ips: [127.0.0.1], permissions: [{action: api}, {action: metrics}, {action: read}]}\n"
                     "  - {user: bob, pass: s3cret, permissions: [{action: publish, path: cam}]}\n")
    node = Node(spawn, tmp_path, MEDIA_CONFIG=users)
    node.publisher("cam")
    asked = Push(node.rtmp_port)
    assert b"give user and password" in asked.publish("cam", "")
    wrong = Push(node.rtmp_port)
    before = time.monotonic()
    assert b"authentication error" in wrong.publish("cam?user=bob&pass=guess", "")
    assert time.monotonic() - before > 1.5
    assert node.metric("gtv_media_auth_failures_total") == 1
    ffmpeg(node.url("cam?user=bob&pass=s3cret"))
    node.wait_state("cam", "connected")
    conn = [c for c in node.conns() if c["state"] == "publish"][0]
    assert conn["user"] == "bob" and "s3cret" not in json.dumps(conn) + node.process.log()


def test_what_may_not_be_published(node):
    node.add("pulled", f"rtsp://127.0.0.1:{free_port()}/x", sourceOnDemand=True)
    for app, name, why in [("pulled", "", b"since 'source' is not 'publisher'"), ("nowhere", "x", b"is not configured"),
                           ("a", "../b", b"invalid path name"), ("a b", "", b"invalid path name"), ("", "", b"invalid path name"),
                           ("x" * 300, "", b"invalid path name")]:
        assert why in Push(node.rtmp_port).publish(app, name), (app, name)
    reader = Push(node.rtmp_port)
    reader.command(text("connect"), number(1), obj(app="live", tcUrl="rtmp://x/live"))
    reader.command(text("play"), number(2), NULL, text("one"), message_stream=1)
    assert b"NetStream.Play.Failed" in reader.wait_for(b"onStatus")


@pytest.mark.parametrize("frames_x", [False, True])
def test_enhanced_rtmp_with_h265(node, frames_x):
    """Interleaved chunk streams, a changed chunk size, time stamps about to wrap, and both forms of a coded frame."""
    name = "hevc%d" % frames_x
    node.publisher(name)
    record, pictures = hevc()
    push = Push(node.rtmp_port, chunk=1000)
    assert b"NetStream.Publish.Start" in push.publish(name, "")
    push.send(4, 18, text("@setDataFrame") + text("onMetaData") + obj(width=320.0, encoder="by hand"), message_stream=1)
    push.send(6, 9, b"\x90hvc1" + record, message_stream=1)
    time_stamp = 0x100000000 - 1500
    index = []
    reader = threading.Thread(target=lambda: index.append(requests.get(f"{node.hls}/{name}/index.m3u8", timeout=60).text))
    for i, (key, data) in enumerate(pictures[:26]):
        head = bytes([0x80 | (1 if key else 2) << 4 | (3 if frames_x else 1)]) + b"hvc1" + (b"" if frames_x else b"\0\0\0")
        video = push.chunks(6, 9, head + data, (time_stamp + i * 100) & 0xffffffff, 1)
        other = push.chunks(4, 18, text("onTextData") + text("x" * 3000), 0, 1)
        while video or other:  # a chunk of each in turn
            push.socket.sendall((video.pop(0) if video else b"") + (other.pop(0) if other else b""))
        if i == 5:
            node.wait_state(name, "connected")
            reader.start()
        time.sleep(0.1)
    path = node.path(name)
    assert path["state"] == "connected" and path["tracks"] == ["H265"] and path["inboundFramesInError"] == 0
    assert path["tracks2"][0]["codecProps"]["width"] == 320
    reader.join()
    assert 'CODECS="hvc1.' in index[0], index
    assert "time stamps jumped" not in "\n".join(l for l in node.process.log().splitlines() if f"path={name} " in l)
    push.socket.close()
    node.wait_state(name, "idle")


def test_codecs_that_cannot_be_carried(node):
    node.publisher("odd")
    for body, why in [(b"\x12" + bytes(20), b"publish H.264 or H.265"), (b"\x90av01" + bytes(20), b"publish H.264 or H.265"),
                      (b"\x96hvc1" + bytes(20), b"Enhanced RTMP"), (b"\x17\0\0\0\0" + b"\1\2", b"cannot be read")]:
        push = Push(node.rtmp_port)
        push.publish("odd", "")
        push.send(6, 9, body, message_stream=1)
        assert why in push.wait_for(b"onStatus"), body
    assert node.path("odd")["causeCode"] in ("codec", "invalid_data")


def test_rubbish_harms_nobody(node, ffmpeg):
    node.publisher("good")
    ffmpeg(node.url("good"))
    node.wait_state("good", "connected")
    dice = random.Random(7)
    for n in range(30):
        with socket.create_connection(("127.0.0.1", node.rtmp_port), 60) as s:
            s.sendall(bytes(dice.randrange(256) for _ in range(dice.randrange(1, 4000))))
    closed = []
    for attack in [b"\xc3" + bytes(40),                                              # a chunk stream without a header
                   b"\x04\0\0\0\xff\xff\xff\x09" + bytes(4),                         # 16 MiB in one message
                   b"\x02\0\0\0\0\0\x04\x01" + bytes(4) + b"\0\0\0\0",               # chunks of no bytes
                   b"\x03\0\0\0\0\0\x05\x14" + bytes(4) + b"\x02\xff\xff\xff\xff",   # a string beyond its message
                   b"\x03\0\0\0\0\x00\x7b\x14" + bytes(4) + text("connect") + number(1) + (b"\x03" + b"\0\1a\x03" * 25 + bytes(3))]:
        push = Push(node.rtmp_port)
        push.socket.sendall(attack)
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                push.message()
        closed.append(attack)
    # Unfinished messages on many chunk streams: a bound on all together.
    push = Push(node.rtmp_port, chunk=1 << 20)
    with pytest.raises((EOFError, ConnectionError)):
        for i in range(3, 40):
            push.socket.sendall(bytes([i]) + b"\0\0\0" + struct.pack(">I", 1 << 22)[1:] + b"\x09" + bytes(4) + bytes(1 << 20))
        while True:
            push.message()
    assert node.path("good")["state"] == "connected"
    assert node.process.alive()
    os.kill(node.process.pid, 0)
    wait_until(lambda: len(node.conns()) <= 3, what="the rubbish is gone")
