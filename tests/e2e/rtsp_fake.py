"""A camera that misbehaves on demand, in Python: what GStreamer's RTSP server (the camera of all other tests) cannot be made to do. It speaks
just enough RTSP to be dialled, and sends real H.264 by a script that each test gives it."""

import base64
import hashlib
import random
import re
import socket
import struct
import subprocess
import threading
import time

REALM = "fake camera"


def encode(size="320x180", seconds=2, rate=25, gop=25, codec="libx264"):
    """Access units of a moving test picture: [[NAL units]], the first of each second a key frame with its parameter sets."""
    kind = ["-x264-params", "aud=1"] if codec == "libx264" else ["-x265-params", "aud=1:log-level=none:repeat-headers=1"]
    data = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}", "-t", str(seconds),
                           "-c:v", codec, "-preset", "ultrafast", "-bf", "0", "-g", str(gop), *kind, "-pix_fmt", "yuv420p",
                           "-f", "h264" if codec == "libx264" else "hevc", "-"], capture_output=True, check=True).stdout
    units = []
    for nal in re.split(b"\0\0\0?\1", data)[1:]:
        delimiter = nal[0] & 31 == 9 if codec == "libx264" else nal[0] >> 1 == 35
        if delimiter:
            units.append([])
        else:
            units[-1].append(nal)
    return units


class Session:
    """One connection that has been told to play."""

    def __init__(self, camera, conn, channel, addresses):
        self.camera, self.conn, self.channel, self.addresses = camera, conn, channel, addresses
        self.seq, self.lock, self.udp = random.randrange(65536), threading.Lock(), None
        self.requests = []  # after PLAY
        self.over = False  # the other side has hung up
        self.mangle = lambda packets: packets  # of one unit, before they go out by UDP

    def packets(self, unit, stamp, marker=True):
        """A unit as RTP packets: FU-A for what is large."""
        payloads = []
        for nal in unit:
            if len(nal) <= 1200:
                payloads.append(nal)
                continue
            for at in range(1, len(nal), 1200):
                begin, end = at == 1, at + 1200 >= len(nal)
                payloads.append(bytes([nal[0] & 0xe0 | 28, nal[0] & 31 | begin << 7 | end << 6]) + nal[at:at + 1200])
        for i, payload in enumerate(payloads):
            last = marker and i + 1 == len(payloads)
            yield struct.pack(">BBHII", 0x80, 96 | last << 7, self.seq, stamp & 0xffffffff, 0x1234) + payload
            self.seq = self.seq + 1 & 0xffff

    def send(self, unit, stamp, marker=True):
        packets = list(self.packets(unit, stamp, marker))
        if self.addresses is not None:
            for packet in self.mangle(packets):
                self.udp.sendto(packet, self.addresses)
            return
        self.raw(b"".join(struct.pack(">cBH", b"$", self.channel, len(p)) + p for p in packets))

    def raw(self, data):
        with self.lock:
            self.conn.sendall(data)

    def stream(self, units, seconds, first=0, pace=0.04, step=3600, marker=True):
        """Units in a circle at their pace; returns the next stamp."""
        stamp, end, i = first, time.monotonic() + seconds, 0
        while time.monotonic() < end and not self.over:
            self.send(units[i % len(units)], stamp, marker)
            stamp, i = stamp + step, i + 1
            time.sleep(pace)
        return stamp


class FakeCamera:
    """script(session) runs after PLAY; the connection is closed when it returns. It is dialled again and again, as any camera."""

    def __init__(self, script=None, units=None, auth=None, password="", tcp=True, describe=None, redirect=None, timeout=60, tls=None, one_time=False, hangs_up=False,
                 public="OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"):
        self.script, self.units, self.auth, self.password, self.tcp = script, units, auth, password, tcp
        self.describe, self.redirect, self.timeout, self.tls, self.public = describe, redirect, timeout, tls, public
        self.one_time = one_time  # a nonce is good for one request, and nobody is told that it is stale
        self.hangs_up, self.connections = hangs_up, 0  # hangs_up: with its challenge
        self.nonce, self.requests, self.sessions, self.playing = "nonce0", [], [], {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"{'rtsps' if tls else 'rtsp'}://127.0.0.1:{self.port}/fake"
        if redirect == "itself":
            self.redirect = self.url
        threading.Thread(target=self.accept, daemon=True).start()

    def with_user(self, password):
        return self.url.replace("://", f"://admin:{password}@")

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
                self.connections += 1
            except OSError:
                return
            threading.Thread(target=self.guarded, args=(conn,), daemon=True).start()

    def guarded(self, conn):
        try:
            if self.tls:
                conn = self.tls.wrap_socket(conn, server_side=True)
            self.serve(conn)
        except (OSError, ValueError):
            pass  # the other side hung up
        finally:
            if conn in self.playing:
                self.playing.pop(conn).over = True
            try:
                conn.close()
            except OSError:
                pass

    def challenge(self, stale=False):
        if self.auth == "basic":
            return f'WWW-Authenticate: Basic realm="{REALM}"\r\n'
        algorithm = ', algorithm=SHA-256, qop="auth"' if self.auth == "sha256" else ""
        return f'WWW-Authenticate: Digest realm="{REALM}", nonce="{self.nonce}"{algorithm}{", stale=true" if stale else ""}\r\n'

    def allowed(self, method, headers):
        """True, or the challenge."""
        given = headers.get("authorization", "")
        if self.auth is None:
            return True
        if self.auth == "basic":
            return given == "Basic " + base64.b64encode(f"admin:{self.password}".encode()).decode() or self.challenge()
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', given.removeprefix("Digest ")))
        if "response" not in fields:
            return self.challenge()
        if fields["nonce"] != self.nonce:
            return self.challenge(stale=not self.one_time)

        def sum_of(text):
            return (hashlib.sha256 if self.auth == "sha256" else hashlib.md5)(text.encode()).hexdigest()
        ha1, ha2 = sum_of(f"admin:{REALM}:{self.password}"), sum_of(f"{method}:{fields['uri']}")
        middle = f":{fields['nc']}:{fields['cnonce']}:auth" if self.auth == "sha256" else ""
        if fields["response"] != sum_of(f"{ha1}:{self.nonce}{middle}:{ha2}"):
            return self.challenge()
        if self.one_time:
            self.nonce += "+"
        return True

    def sdp(self):
        sets = ",".join(base64.b64encode(nal).decode() for nal in self.units[0] if nal[0] & 31 in (7, 8))
        return ("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=fake\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
                f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}\r\na=control:track1\r\n")

    def serve(self, conn):
        data, channel, addresses, session = b"", 0, None, None
        while True:
            while data[:1] == b"$" and len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[2:4], "big"):
                data = data[4 + int.from_bytes(data[2:4], "big"):]  # a receiver report
            if data[:1] == b"$" or b"\r\n\r\n" not in data:
                more = conn.recv(65536)
                if not more:
                    return
                data += more
                continue
            head, data = data.split(b"\r\n\r\n", 1)
            lines = head.decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
            method = lines[0].split(" ")[0]
            self.requests.append((method, headers))
            if lines[0].startswith("RTSP/"):
                continue  # the answer to a request of ours

            def answer(status="200 OK", more="", body=b"", headers=headers):
                text = f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\nSession: 4711;timeout={self.timeout}\r\n{more}"
                length = f"Content-Length: {len(body)}\r\n" if body else ""
                (session.raw if session else conn.sendall)((text + length + "\r\n").encode() + body)

            allowed = self.allowed(method, headers)
            if allowed is not True:
                answer("401 Unauthorized", allowed)
                if self.hangs_up:
                    return
            elif method == "OPTIONS" or method == "GET_PARAMETER":
                answer(more=f"Public: {self.public}\r\n")
            elif method == "DESCRIBE" and self.redirect:
                answer("302 Found", f"Location: {self.redirect}\r\n")
            elif method == "DESCRIBE" and self.describe:
                self.describe(conn, headers)
            elif method == "DESCRIBE":
                answer(more="Content-Type: application/sdp\r\n", body=self.sdp().encode())
            elif method == "SETUP" and "TCP" in headers["transport"] and not self.tcp:
                answer("461 Unsupported Transport")
            elif method == "SETUP" and "TCP" in headers["transport"]:
                channel = 4  # not the one that was asked for: the answer counts
                answer(more="Transport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n")
            elif method == "SETUP":
                port = int(re.search(r"client_port=(\d+)", headers["transport"]).group(1))
                addresses = ("127.0.0.1", port)
                answer(more=f"Transport: RTP/AVP/UDP;unicast;client_port={port}-{port + 1};server_port=6970-6971\r\n")
            elif method == "PLAY":
                answer()
                session = Session(self, conn, channel, addresses)
                self.playing[conn] = session
                session.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self.sessions.append(session)
                threading.Thread(target=self.play, args=(session,), daemon=True).start()
            else:
                answer()

    def play(self, session):
        try:
            if self.script:
                self.script(session)
        except OSError:
            pass  # the node hung up
        finally:
            session.udp.close()
            try:
                session.conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
