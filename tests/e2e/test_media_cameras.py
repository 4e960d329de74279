"""The media node's own RTSP reader: transports, authentication, and cameras that misbehave. The good ones are GStreamer's RTSP server; what
it cannot be made to do, a fake camera in Python does (rtsp_fake.py)."""

import hashlib
import os
import random
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import requests

from conftest import wait_until
from rtsp_fake import FakeCamera, encode
from test_media import Media, decode, packets, read_relay

STALL = "1.5"


@pytest.fixture(scope="module")
def units():
    return encode()


@pytest.fixture(scope="module")
def real(rtsp_camera_module):
    return rtsp_camera_module()


@pytest.fixture(scope="module")
def media(spawn_module, tmp_path_factory, real):
    """One node for all, with one good camera: every other path keeps its fault to itself."""
    node = Media(spawn_module, tmp_path_factory.mktemp("rtsp"), MEDIA_STALL_SECONDS=STALL, MEDIA_CONNECT_SECONDS="4")
    node.add("good", real.url)
    node.wait_state("good", "connected")
    return node


@pytest.fixture(autouse=True)
def the_others_do_not_notice(media):
    before = media.process.log().count("path=good ")
    yield
    assert media.process.alive()
    assert media.path("good")["state"] == "connected"
    assert media.process.log().count("path=good ") == before, "the good camera was dialled again, or jumped"


@pytest.fixture
def fake(request, media):
    """Starts a fake camera and a path of the test's name for it; returns (camera, name)."""
    made = []

    def start(script, source=None, conf=None, **options):
        name = request.node.name.replace("[", "_").replace("]", "")
        camera = FakeCamera(script, **options)
        made.append((camera, name))
        media.add(name, source(camera) if source else camera.url, **(conf or {}))
        return camera, name
    yield start
    for camera, name in made:
        requests.delete(f"{media.api}/v3/config/paths/delete/{name}", timeout=60)
        camera.close()


def cause(media, name, code, seconds=60):
    return wait_until(lambda: (p := media.path(name))["causeCode"] == code and p["cause"], seconds, what=f"{name}: {code}")


def frames_of(media, name, seconds=1.5):
    """Frames of the relay, decoded without a complaint."""
    return decode(read_relay(f"{media.hls}/{name}/relay", seconds))


# ---- Transports ----

@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_real_server_by_each_transport(media, real, transport):
    name = f"real_{transport}"
    media.add(name, real.url.replace("127.0.0.1", "localhost"), rtspTransport=transport)  # of two addresses, as a rule
    media.wait_state(name, "connected")
    assert frames_of(media, name) > 5
    requests.delete(f"{media.api}/v3/config/paths/delete/{name}", timeout=60)


def test_multicast_is_refused_in_words(media, real):
    media.add("multi", real.url, rtspTransport="multicast")
    assert "multicast is not supported" in cause(media, "multi", "transport")
    requests.delete(f"{media.api}/v3/config/paths/delete/multi", timeout=60)


def test_a_camera_without_tcp_comes_by_udp(media, fake, units):
    """Packets come in any order, some twice: no picture may be damaged by that."""
    def script(session):
        def shuffle(packets):
            packets = packets + [random.choice(packets)]
            random.shuffle(packets)
            return packets
        session.mangle = shuffle
        session.stream(units, 120)
    camera, name = fake(script, units=units, tcp=False)
    media.wait_state(name, "connected")
    assert frames_of(media, name) > 10
    assert media.path(name)["inboundFramesInError"] == 0
    assert [m for m, _ in camera.requests].count("SETUP") == 2


def test_udp_with_loss(media, fake, units):
    def script(session):
        session.mangle = lambda packets: [p for p in packets if random.random() > 0.03]
        session.stream(units, 120)
    _, name = fake(script, units=units, conf={"rtspTransport": "udp"})
    media.wait_state(name, "connected")
    wait_until(lambda: media.path(name)["inboundFramesInError"] > 0, what="lost frames are counted")
    assert media.path(name)["state"] == "connected"
    assert len(packets(read_relay(f"{media.hls}/{name}/relay", 1.5))) > 5


def test_a_camera_that_refuses_the_configured_transport(media, fake, units):
    _, name = fake(lambda session: None, units=units, tcp=False, conf={"rtspTransport": "tcp"})
    assert "refuses TCP" in cause(media, name, "transport")


def test_tls_and_the_fingerprint(media, fake, units, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key", "-out", tmp_path / "cert", "-days",
                    "2", "-subj", "/CN=camera"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    camera, name = fake(lambda session: session.stream(units, 120), units=units, tls=context)
    media.wait_state(name, "connected")
    assert frames_of(media, name) > 10
    right = hashlib.sha256(ssl.PEM_cert_to_DER_cert((tmp_path / "cert").read_text())).hexdigest()
    for fingerprint, code in ((right.upper(), None), ("0" * 64, "tls")):
        requests.patch(f"{media.api}/v3/config/paths/patch/{name}", json={"sourceFingerprint": fingerprint}, timeout=60)
        if code is None:
            media.wait_state(name, "connected")
        else:
            assert "sourceFingerprint" in cause(media, name, code)


def test_tls_with_what_speaks_none(media, real):
    media.add("no_tls", real.url.replace("rtsp:", "rtsps:"))
    cause(media, "no_tls", "tls")
    requests.delete(f"{media.api}/v3/config/paths/delete/no_tls", timeout=60)


# ---- Users, sessions, redirects ----

@pytest.mark.parametrize("auth", ["basic", "md5", "sha256"])
def test_authentication(media, fake, units, auth):
    camera, name = fake(lambda session: session.stream(units, 120), units=units, auth=auth, password="p@ss:w/ü",
                        source=lambda camera: camera.with_user("p%40ss%3Aw%2F%C3%BC"))
    media.wait_state(name, "connected")
    assert all("w/" not in h.get("authorization", "") for _, h in camera.requests)


def test_a_camera_with_a_new_nonce_for_each_request(media, fake, units):
    camera, name = fake(lambda session: session.stream(units, 120), units=units, auth="md5", password="x", one_time=True,
                        source=lambda camera: camera.with_user("x"))
    media.wait_state(name, "connected")
    assert len(camera.sessions) == 1


@pytest.mark.parametrize("auth", ["basic", "md5", "sha256"])
def test_a_wrong_password(media, fake, units, auth):
    camera, name = fake(None, units=units, auth=auth, password="right", source=lambda camera: camera.with_user("wrong"))
    cause(media, name, "unauthorised")
    time.sleep(1)
    assert len(camera.requests) <= 3, "it is not tried in quick succession"


@pytest.mark.parametrize("auth, public", [("basic", True), ("md5", False), ("sha256", True)])
def test_a_camera_that_hangs_up_with_its_challenge(media, fake, units, auth, public):
    """It is connected to once more, and given the credentials at once; where OPTIONS needs none, DESCRIBE begins the new connection."""
    camera = FakeCamera(lambda session: session.stream(units, 120), units=units, auth=auth, password="x", hangs_up=True)
    allowed = camera.allowed
    if public:
        camera.allowed = lambda method, headers: method == "OPTIONS" or allowed(method, headers)
    name = f"hangs_up_{auth}"
    media.add(name, camera.with_user("x"))
    media.wait_state(name, "connected")
    assert camera.connections == 2 and len(camera.sessions) == 1
    head = [(m, "authorization" in h) for m, h in camera.requests]
    assert head[:3] == ([("OPTIONS", False), ("DESCRIBE", False), ("DESCRIBE", True)] if public else
                        [("OPTIONS", False), ("OPTIONS", True), ("DESCRIBE", True)])
    requests.delete(f"{media.api}/v3/config/paths/delete/{name}", timeout=60)
    camera.close()


@pytest.mark.parametrize("auth", ["basic", "md5"])
def test_a_wrong_password_where_the_camera_hangs_up(media, fake, units, auth):
    camera, name = fake(None, units=units, auth=auth, password="right", hangs_up=True, source=lambda camera: camera.with_user("wrong"))
    cause(media, name, "unauthorised")
    time.sleep(1)
    assert camera.connections == 2, "it is not tried in quick succession"


def test_the_session_is_kept_alive(media, fake, units):
    """Answers come between the frames, the nonce grows old, and the camera asks something itself."""
    def script(session):
        stamp = session.stream(units, 0.4)
        session.raw(b"OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 99\r\n\r\n")
        session.camera.nonce = "nonce1"
        session.stream(units, 120, first=stamp)
    camera, name = fake(script, units=units, auth="md5", password="x", timeout=2, source=lambda camera: camera.with_user("x"))
    media.wait_state(name, "connected")
    wait_until(lambda: [m for m, _ in camera.requests].count("GET_PARAMETER") >= 4, what="keep-alives")
    assert "RTSP/1.0" in [m for m, _ in camera.requests]
    assert len(camera.sessions) == 1 and media.path(name)["state"] == "connected"
    assert frames_of(media, name) > 10
    requests.delete(f"{media.api}/v3/config/paths/delete/{name}", timeout=60)
    wait_until(lambda: [m for m, _ in camera.requests].count("TEARDOWN") == 1, what="TEARDOWN")


def test_a_redirect(media, fake, units, real):
    camera, name = fake(None, units=units, redirect=real.url)
    media.wait_state(name, "connected")
    assert len(camera.requests) == 2


def test_redirects_in_a_circle(media, fake, units):
    _, name = fake(None, units=units, redirect="itself")
    cause(media, name, "redirect")


def test_credentials_stay_with_their_host(media, fake, units):
    target = FakeCamera(None, units=units, auth="basic", password="secret")
    camera, name = fake(None, units=units, auth="basic", password="secret", redirect=target.url.replace("127.0.0.1", "localhost"),
                        source=lambda camera: camera.with_user("secret"))
    cause(media, name, "unauthorised")
    assert target.requests and all("authorization" not in headers for _, headers in target.requests)
    target.close()


def test_a_redirect_to_where_no_camera_may_be(spawn, tmp_path, units):
    node = Media(spawn, tmp_path, GTV_CAMERA_ALLOW="127.0.0.0/8")
    camera = FakeCamera(None, units=units, redirect="rtsp://169.254.169.254/latest/meta-data")
    node.add("cam_1", camera.url)
    cause(node, "cam_1", "denied")
    camera.close()


# ---- Bad input ----

def test_describe_with_100_megabytes(media, fake, units):
    def describe(conn, headers):
        conn.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\nContent-Length: {100 << 20}\r\n\r\n".encode())
        conn.sendall(b"a=x\r\n" * (20 << 20))

    def rss():
        for line in Path(f"/proc/{media.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0
    before = rss()
    _, name = fake(None, units=units, describe=describe)
    cause(media, name, "too_large")
    assert rss() - before < 20 * 1024


@pytest.mark.parametrize("answer", [b"", b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 5\r\n\r\nhello", b"\r\n\r\n\0\xff\xfe" * 50,
                                    b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n" + b"A: b\r\n" * 5000, b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n"],
                         ids=["nothing", "no_sdp", "binary", "headers", "empty"])
def test_describe_answers_nonsense(media, fake, units, answer):
    def describe(conn, headers):
        conn.sendall(answer)
        conn.close()
    _, name = fake(None, units=units, describe=describe)
    wait_until(lambda: media.path(name)["causeCode"] in ("invalid_data", "closed"))


def test_garbage_after_play(media, fake, units):
    def script(session):
        session.stream(units, 1)
        session.raw(os.urandom(4096).replace(b"$", b"!"))
        time.sleep(3)
    _, name = fake(script, units=units)
    media.wait_state(name, "connected")
    cause(media, name, "invalid_data")
    media.wait_state(name, "connected")


def test_garbage_in_packets(media, fake, units):
    """The framing is right, what stands in it is not."""
    def script(session):
        rng = random.Random(7)
        stamp = 0
        for _ in range(150):
            stamp = session.stream(units[:25], 0.05, first=stamp, pace=0.001)
            data = rng.randbytes(rng.randrange(200))
            session.raw(b"$" + bytes([rng.choice((4, 5, 200)), 0, len(data)]) + data)
            head = bytes([0x80 | rng.randrange(64), 96 | rng.randrange(2) << 7]) + session.seq.to_bytes(2, "big") + bytes(8)
            session.seq = session.seq + 1 & 0xffff
            session.raw(b"$\4" + (len(head) + len(data)).to_bytes(2, "big") + head + data)
        session.stream(units, 120, first=stamp)
    _, name = fake(script, units=units)
    media.wait_state(name, "connected")
    wait_until(lambda: len(packets(read_relay(f"{media.hls}/{name}/relay", 1))) > 5)


def test_cut_in_the_middle_of_a_packet(media, fake, units):
    def script(session):
        session.stream(units, 0.8)
        session.raw(b"$\4\5\0" + bytes(100))
    camera, name = fake(script, units=units)
    cause(media, name, "closed")
    wait_until(lambda: len(camera.sessions) >= 2, what="it is dialled again")


def test_packets_in_every_cut(media, fake, units):
    """The stream comes in pieces that end anywhere."""
    def script(session):
        conn, rng = session.conn, random.Random(3)

        class Pieces:
            def sendall(self, data):
                while data:
                    n = rng.choice((1, 3, 4, 5, 700, 5000))
                    conn.sendall(data[:n])
                    data = data[n:]

            def shutdown(self, how):
                conn.shutdown(how)
        session.conn = Pieces()
        session.stream(units, 120)
    _, name = fake(script, units=units)
    media.wait_state(name, "connected")
    assert frames_of(media, name) > 10
    assert media.path(name)["inboundFramesInError"] == 0


def test_the_resolution_changes(media, fake, units):
    larger = encode(size="640x360", seconds=1)

    def script(session):
        stamp = session.stream(units, 2)
        session.stream(larger, 120, first=stamp)
    _, name = fake(script, units=units)
    media.wait_state(name, "connected")
    wait_until(lambda: media.path(name)["tracks2"][0]["codecProps"]["width"] == 640, what="the new resolution")
    assert frames_of(media, name) > 10


def test_the_codec_changes(media, fake, units):
    """H.265 where H.264 was announced: nobody can tell what it is, but nothing else may suffer, and the camera comes back."""
    other = encode(seconds=1, codec="libx265")

    def script(session):
        stamp = session.stream(units, 1)
        stamp = session.stream(other, 1.5, first=stamp)
        session.stream(units, 120, first=stamp)
    _, name = fake(script, units=units)
    media.wait_state(name, "connected")
    time.sleep(2.5)
    wait_until(lambda: media.path(name)["state"] == "connected" and len(packets(read_relay(f"{media.hls}/{name}/relay", 1))) > 5)


def test_no_key_frame(media, fake, units):
    """Packets come, but nothing to begin with: a word to the user, no reason to hang up."""
    def script(session):
        stamp = session.stream(units[1:25], 2.5)
        session.stream(units, 120, first=stamp)
    camera, name = fake(script, units=units)
    assert cause(media, name, "no_key_frame") == "the camera sends no key frame"
    media.wait_state(name, "connected")
    assert len(camera.sessions) == 1
    assert frames_of(media, name) > 10


def test_a_stall(media, fake, units):
    def script(session):
        session.stream(units, 1)
        time.sleep(6)
    _, name = fake(script, units=units)
    assert f"no picture for {STALL} s" in cause(media, name, "stalled")


def test_no_markers(media, fake, units):
    _, name = fake(lambda session: session.stream(units, 120, marker=False), units=units)
    media.wait_state(name, "connected")
    assert frames_of(media, name) > 10


def test_time_stamps_wrap_jump_and_run_backwards(media, fake, units):
    def script(session):
        stamp = session.stream(units, 2, first=(1 << 32) - 90000)  # wraps after a second
        stamp = session.stream(units, 1.2, first=stamp + 3600 * 90000)
        stamp = session.stream(units, 1.2, first=stamp - 7 * 90000)
        stamp = session.stream(units, 1.2, first=stamp, step=-3600)
        session.stream(units, 120, first=5)
    camera, name = fake(script, units=units)
    media.wait_state(name, "connected")
    times = [pts for pts, _ in packets(read_relay(f"{media.hls}/{name}/relay", 7))]
    assert len(times) > 60
    # What runs backwards keeps its distance for a few frames, as B-frames would; nothing leaves the wall clock.
    assert all(abs(b - a) < 3 * 90000 for a, b in zip(times, times[1:])), times
    assert 4 * 90000 < times[-1] - times[0] < 12 * 90000
    assert len(camera.sessions) == 1
    log = [line for line in media.process.log().splitlines() if f"path={name} " in line and "jumped" in line]
    assert len(log) >= 2, "the wrap is no jump, the others are"
