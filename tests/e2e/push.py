"""An RTMP publisher written by hand: what ffmpeg does not send (Enhanced RTMP, odd chunks, wrapped time stamps, rubbish)."""

import socket
import struct
import subprocess


def text(s):
    return b"\x02" + struct.pack(">H", len(s)) + s.encode()


def number(n):
    return b"\x00" + struct.pack(">d", n)


def obj(**members):
    return b"\x03" + b"".join(struct.pack(">H", len(k)) + k.encode() + (text(v) if isinstance(v, str) else number(v))
                              for k, v in members.items()) + b"\0\0\x09"


NULL = b"\x05"


class Push:
    """Connected, and through the handshake."""

    def __init__(self, port, chunk=128):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.chunk, self.peer_chunk, self.inbox = 128, 128, b""
        self.socket.sendall(b"\x03" + bytes(8) + b"\x11" * 1528)
        answer = self.read(1 + 1536 * 2)
        assert answer[0] == 3 and answer[1 + 1536:] == bytes(8) + b"\x11" * 1528
        self.socket.sendall(answer[1:1537])
        if chunk != 128:
            self.send(2, 1, struct.pack(">I", chunk))
            self.chunk = chunk

    def read(self, n):
        while len(self.inbox) < n:
            got = self.socket.recv(65536)
            if not got:
                raise EOFError
            self.inbox += got
        out, self.inbox = self.inbox[:n], self.inbox[n:]
        return out

    def chunks(self, stream, kind, body, time=0, message_stream=0):
        """The chunks of one message."""
        wide = time >= 0xffffff
        head = bytes([stream]) + struct.pack(">I", min(time, 0xffffff))[1:] + struct.pack(">I", len(body))[1:] + bytes([kind]) + \
            struct.pack("<I", message_stream)
        late = struct.pack(">I", time & 0xffffffff) if wide else b""
        parts = [body[i:i + self.chunk] for i in range(0, len(body), self.chunk)] or [b""]
        return [head + late + parts[0]] + [bytes([0xc0 | stream]) + late + p for p in parts[1:]]

    def send(self, stream, kind, body, time=0, message_stream=0):
        self.socket.sendall(b"".join(self.chunks(stream, kind, body, time, message_stream)))

    def command(self, *values, message_stream=0):
        self.send(3, 20, b"".join(values), message_stream=message_stream)

    def message(self):
        """The next message that came: (type, body)."""
        head = self.read(1)[0]
        assert head >> 6 == 0
        rest = self.read(11)
        length, kind = int.from_bytes(rest[3:6], "big"), rest[6]
        body = b""
        while len(body) < length:
            body += self.read(min(self.peer_chunk, length - len(body)))
            if len(body) < length:
                self.read(1)
        if kind == 1:
            self.peer_chunk = int.from_bytes(body, "big")
        return kind, body

    def wait_for(self, what):
        """The next command that has these bytes in it."""
        while True:
            kind, body = self.message()
            if kind == 20 and what in body:
                return body

    def publish(self, app, name):
        self.command(text("connect"), number(1), obj(app=app, tcUrl="rtmp://x/" + app, flashVer="t"))
        self.wait_for(b"NetConnection.Connect.Success")
        self.command(text("createStream"), number(2), NULL)
        self.wait_for(b"_result")
        self.command(text("publish"), number(3), NULL, text(name), text("live"), message_stream=1)
        return self.wait_for(b"onStatus")


def hevc(seconds=4):
    """(hvcC, [(key, data behind lengths)]) of a clip of 10 pictures a second that x265 made."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10", "-t", str(seconds), "-pix_fmt", "yuv420p", "-c:v", "libx265",
                           "-preset", "ultrafast", "-x265-params", "keyint=10:min-keyint=10:bframes=0:repeat-headers=1:log-level=none",
                           "-f", "hevc", "-"], capture_output=True, check=True)
    units, data = [], done.stdout
    starts = []
    at = data.find(b"\0\0\1")
    while at >= 0:
        starts.append(at)
        at = data.find(b"\0\0\1", at + 3)
    for a, b in zip(starts, starts[1:] + [len(data)]):
        units.append(data[a + 3:b].rstrip(b"\0"))
    sets = {kind: [u for u in units if u[0] >> 1 & 63 == kind] for kind in (32, 33, 34)}
    record = bytes([1]) + sets[33][0][3:15] + b"\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\x03"
    for kind, of in sets.items():
        record += bytes([kind]) + struct.pack(">H", 1) + struct.pack(">H", len(of[0])) + of[0]
    pictures = [(16 <= u[0] >> 1 & 63 <= 21, struct.pack(">I", len(u)) + u) for u in units if u[0] >> 1 & 63 < 32]
    return record, pictures
