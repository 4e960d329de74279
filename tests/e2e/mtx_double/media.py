"""The double's media: H.264, MPEG-TS and fragmented MP4, made without a library."""

import collections
import random
import re
import struct
import subprocess
import threading

TIMESCALE = 90000


class Bits:
    """Bits of H.264's RBSP (ITU-T H.264, 7.2 and 9.1)."""

    def __init__(self):
        self.out = []

    def u(self, width, value):
        self.out.append(format(value, f"0{width}b"))
        return self

    def ue(self, *values):
        for value in values:
            code = format(value + 1, "b")
            self.out.append("0" * (len(code) - 1) + code)
        return self

    def raw(self, data):
        """Bytes at the next byte boundary, zeros before them."""
        text = "".join(self.out)
        text += "0" * (-len(text) % 8)
        self.out = [text, "".join(format(b, "08b") for b in data)]
        return self

    def nal(self, header):
        """The NAL unit: trailing bits and emulation prevention added."""
        text = "".join(self.out) + "1"
        text += "0" * (-len(text) % 8)
        rbsp = int(text, 2).to_bytes(len(text) // 8, "big")
        return bytes([header]) + re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", rbsp)


class SyntheticVideo:
    """Groups of pictures that any H.264 decoder takes: a grey IDR, then pictures that repeat it, each with an SEI of `bitrate`'s size."""

    def __init__(self, width, height, fps, frames, bitrate, count=2):
        self.wide, self.high = width // 16, height // 16
        self.sps, self.pps = self.parameter_sets(fps)
        share = bitrate // 8 * frames // fps // (frames + 7)  # the IDR weighs as 8 others
        self.gops = []
        for gop in range(count):
            units = [[self.sps, self.pps, self.padding(gop, share * 8), self.idr(gop)]]
            units += [[self.padding(gop * frames + i, share), self.repeat(i)] for i in range(1, frames)]
            self.gops.append(units)

    def parameter_sets(self, fps):
        sps = Bits().u(8, 77).u(8, 0x40).u(8, 31).ue(0, 4, 2, 1).u(1, 0).ue(self.wide - 1, self.high - 1).u(1, 1).u(1, 1).u(1, 0)
        sps.u(1, 1).u(4, 0).u(1, 1).u(32, 1).u(32, 2 * fps).u(1, 1)  # VUI: only the timing ...
        sps.u(3, 0).u(1, 1).u(1, 1).ue(0, 0, 11, 11, 0, 1)           # ... and that no picture is reordered
        pps = Bits().ue(0, 0).u(2, 0).ue(0, 0, 0).u(3, 0).ue(0, 0, 0).u(3, 0b100)
        return sps.nal(0x67), pps.nal(0x68)

    def idr(self, gop):
        """The first macroblock is raw grey; each other one predicts that from its neighbours and has no residual."""
        bits = Bits().ue(0, 7, 0).u(8, 0).ue(gop % 2).u(2, 0).ue(0, 1)
        grey = 64 + 96 * (gop % 2)
        bits.ue(25).raw(bytes([grey]) * 256 + b"\x80" * 128)
        after_raw = {1, self.wide}  # their coefficient table is chosen by the raw neighbour's 16
        plain = Bits().ue(3, 0, 0).u(1, 1).out
        special = Bits().ue(3, 0, 0).u(6, 3).out
        for address in range(1, self.wide * self.high):
            bits.out += special if address in after_raw else plain
        return bits.nal(0x65)

    def repeat(self, number):
        return Bits().ue(0, 5, 0).u(8, number % 256).u(3, 0).ue(0, 1, self.wide * self.high).nal(0x41)

    @staticmethod
    def padding(seed, size):
        """An SEI message "user data unregistered" of about `size` bytes, without zeros."""
        size = max(size, 17)
        text = random.Random(seed).randbytes(size).translate(bytes([1, *range(1, 256)]))
        return b"\x06\x05" + b"\xff" * (size // 255) + bytes([size % 255]) + text + b"\x80"


class ClipVideo:
    """Groups of pictures that ffmpeg cuts out of a clip: re-encoded so that each lasts exactly one segment."""

    def __init__(self, clip, width, height, fps, frames, bitrate, count=4):
        command = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(clip), "-an", "-frames:v", str(frames * count), "-vf",
                   f"fps={fps},scale={width}:{height}", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-level", "3.1",
                   "-pix_fmt", "yuv420p", "-bf", "0", "-g", str(frames), "-keyint_min", str(frames), "-sc_threshold", "0", "-b:v",
                   str(bitrate), "-x264-params", "aud=1:repeat-headers=1", "-f", "h264", "-"]
        stream = subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120).stdout
        units = []
        for nal in re.split(rb"\x00\x00\x00?\x01", stream)[1:]:
            kind = nal[0] & 31
            if kind == 9:
                units.append([])
            elif nal:
                units[-1].append(nal)
        self.sps = next(n for n in units[0] if n[0] & 31 == 7)
        self.pps = next(n for n in units[0] if n[0] & 31 == 8)
        self.gops = [units[i:i + frames] for i in range(0, frames * count, frames)]


class TransportStream:
    """MPEG-TS (ISO/IEC 13818-1) with one video track."""

    PMT, VIDEO = 0x1000, 0x100

    @staticmethod
    def crc(data):
        value = 0xFFFFFFFF
        for byte in data:
            value ^= byte << 24
            for _ in range(8):
                value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        return value.to_bytes(4, "big")

    @classmethod
    def table(cls, pid, counter, section):
        body = section + cls.crc(section)
        head = struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10 | counter & 15)
        return (head + b"\x00" + body).ljust(188, b"\xff")

    @classmethod
    def tables(cls, counter):
        pat = struct.pack(">BHHBBBHH", 0, 0xB00D, 1, 0xC1, 0, 0, 1, 0xE000 | cls.PMT)
        pmt = struct.pack(">BHHBBBHHBHH", 2, 0xB012, 1, 0xC1, 0, 0, 0xE000 | cls.VIDEO, 0xF000, 0x1B, 0xE000 | cls.VIDEO, 0xF000)
        return cls.table(0, counter, pat) + cls.table(cls.PMT, counter, pmt)

    @staticmethod
    def stamp(pts):
        return bytes([0x21 | pts >> 29 & 14, pts >> 22 & 255, 1 | pts >> 14 & 254, pts >> 7 & 255, 1 | pts << 1 & 254])

    @classmethod
    def unit(cls, nals, pts, key, counter):
        """The packets of one picture, and the counter after them."""
        pcr = (pts - TIMESCALE // 2) & (1 << 33) - 1
        pes = b"\x00\x00\x01\xe0\x00\x00\x80\x80\x05" + cls.stamp(pts & (1 << 33) - 1) + b"\x00\x00\x00\x01\x09\xf0"
        pes += b"".join(b"\x00\x00\x00\x01" + nal for nal in nals)
        field = bytes([0x50 if key else 0x10]) + (pcr << 15 | 0x7E00).to_bytes(6, "big")
        room, out = 184 - 8, []
        if len(pes) < room:
            field += b"\xff" * (room - len(pes))
        out.append(struct.pack(">BHBB", 0x47, 0x4000 | cls.VIDEO, 0x30 | counter & 15, len(field)) + field + pes[:room])
        at, counter = room, counter + 1
        heads = [struct.pack(">BHB", 0x47, cls.VIDEO, 0x10 | i) for i in range(16)]
        while len(pes) - at >= 184:
            out.append(heads[counter & 15] + pes[at:at + 184])
            at, counter = at + 184, counter + 1
        if at < len(pes):
            left, stuff = pes[at:], 183 - (len(pes) - at)
            field = bytes([stuff]) + (b"\x00" + b"\xff" * (stuff - 1) if stuff else b"")
            out.append(struct.pack(">BHB", 0x47, cls.VIDEO, 0x30 | counter & 15) + field + left)
            counter += 1
        return b"".join(out), counter


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


class Fragments:
    """Fragmented MP4 (ISO/IEC 14496-12) with one video track."""

    @staticmethod
    def init(sps, pps, width, height):
        matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
        avcc = box(b"avcC", b"\x01", sps[1:4], b"\xff\xe1", struct.pack(">H", len(sps)), sps, b"\x01", struct.pack(">H", len(pps)), pps)
        avc1 = box(b"avc1", struct.pack(">6xH16xHHIIIH32xHh", 1, width, height, 0x480000, 0x480000, 0, 1, 24, -1), avcc)
        stbl = box(b"stbl", box(b"stsd", struct.pack(">II", 0, 1), avc1), box(b"stts", bytes(8)), box(b"stsc", bytes(8)),
                   box(b"stsz", bytes(12)), box(b"stco", bytes(8)))
        dinf = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", b"\x00\x00\x00\x01")))
        minf = box(b"minf", box(b"vmhd", struct.pack(">I8x", 1)), dinf, stbl)
        mdia = box(b"mdia", box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, TIMESCALE, 0, 0x55C4, 0)),
                   box(b"hdlr", struct.pack(">II4s12x", 0, 0, b"vide"), b"VideoHandler\x00"), minf)
        tkhd = box(b"tkhd", struct.pack(">IIIII I8xHHHH", 3, 0, 0, 1, 0, 0, 0, 0, 0, 0), matrix, struct.pack(">II", width << 16, height << 16))
        mvhd = box(b"mvhd", struct.pack(">IIIIIIH10x", 0, 0, 0, 1000, 0, 0x10000, 0x100), matrix, bytes(24), struct.pack(">I", 2))
        mvex = box(b"mvex", box(b"trex", struct.pack(">IIIIII", 0, 1, 1, 0, 0, 0)))
        return box(b"ftyp", b"mp42", struct.pack(">I", 1), b"mp41mp42isomhlsf") + box(b"moov", mvhd, box(b"trak", tkhd, mdia), mvex)

    @staticmethod
    def part(units, number, start, duration):
        """Samples of `duration` ticks each from the tick `start` on."""
        samples = [b"".join(struct.pack(">I", len(n)) + n for n in unit if n[0] & 31 not in (7, 8, 9)) for unit in units]
        rows = b"".join(struct.pack(">III", duration, len(s), 0x2000000 if any(n[0] & 31 == 5 for n in unit) else 0x1010000)
                        for s, unit in zip(samples, units))

        def moof(offset):
            traf = box(b"traf", box(b"tfhd", struct.pack(">II", 0x20000, 1)), box(b"tfdt", struct.pack(">IQ", 1 << 24, start)),
                       box(b"trun", struct.pack(">IIi", 0x701, len(samples), offset), rows))
            return box(b"moof", box(b"mfhd", struct.pack(">II", 0, number)), traf)

        return moof(len(moof(0)) + 8) + box(b"mdat", *samples)


class Media:
    """The stream of every path: segment n shows the n-th group of pictures since the muxer's start, so all muxers share its bytes."""

    KEPT = 128  # segments and parts kept, oldest out

    def __init__(self, duration=2.0, part=0.2, fps=25, width=1280, height=720, bitrate=4_000_000, clip=None):
        self.duration, self.part, self.fps, self.width, self.height = duration, part, fps, width, height
        self.frames = round(duration * fps)
        self.per_segment = max(1, round(duration / part))
        if abs(self.frames / fps - duration) > 1e-9 or self.frames % self.per_segment or not 1 <= self.frames <= 256:
            raise ValueError("a segment must hold a whole number of parts, each of as many whole frames, 256 frames at most")
        if width % 16 or height % 16:
            raise ValueError("the picture's sides must be multiples of 16")
        args = (width, height, fps, self.frames, bitrate)
        self.video = ClipVideo(clip, *args) if clip else SyntheticVideo(*args)
        self.kept, self.rates, self.lock = collections.OrderedDict(), {}, threading.RLock()
        self.packets = None

    @property
    def codec(self):
        return "avc1." + self.video.sps[1:4].hex()

    def keep(self, key, make):
        with self.lock:
            if key not in self.kept:
                self.kept[key] = make()
                if len(self.kept) > self.KEPT:
                    self.kept.popitem(last=False)
            return self.kept[key]

    def ts_of(self, n, counter):
        units, out = self.video.gops[n % len(self.video.gops)], [TransportStream.tables(n)]
        for i, unit in enumerate(units):
            pts = TIMESCALE + (n * self.frames + i) * TIMESCALE // self.fps
            packets, counter = TransportStream.unit(unit, pts, i == 0, counter)
            out.append(packets)
        return b"".join(out), counter

    def ts(self, n):
        if self.packets is None:
            self.packets = [self.ts_of(i, 0)[1] for i in range(len(self.video.gops))]
        rounds, rest = divmod(n, len(self.packets))
        before = rounds * sum(self.packets) + sum(self.packets[:rest])
        return self.keep(("ts", n), lambda: self.ts_of(n, before)[0])

    def init(self):
        return self.keep("init", lambda: Fragments.init(self.video.sps, self.video.pps, self.width, self.height))

    def fmp4(self, n, first, count, number):
        """`count` frames of segment n from its frame `first` on, as one fragment."""
        def make():
            units = self.video.gops[n % len(self.video.gops)][first:first + count]
            start = (n * self.frames + first) * TIMESCALE // self.fps
            return Fragments.part(units, number, start, TIMESCALE // self.fps)
        return self.keep((n, first, count), make)

    def ll_part(self, number):
        n, k = divmod(number, self.per_segment)
        count = self.frames // self.per_segment
        return self.fmp4(n, k * count, count, number)

    def segment(self, variant, n):
        if variant == "mpegts":
            return self.ts(n)
        if variant == "fmp4":
            return self.fmp4(n, 0, self.frames, n)
        numbers = range(n * self.per_segment, (n + 1) * self.per_segment)
        return self.keep(("whole", n), lambda: b"".join(self.ll_part(number) for number in numbers))

    def rate(self, variant, n):
        """Bits a second of segment n."""
        key = (variant, n)
        if key not in self.rates:
            if len(self.rates) > self.KEPT:
                self.rates.clear()
            self.rates[key] = int(len(self.segment(variant, n)) * 8 / self.duration)
        return self.rates[key]
