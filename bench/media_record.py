"""Recordings: how soon a seek into a recorded day answers, and what recording costs."""

import datetime
import random
import statistics
import struct
import subprocess
import time

import requests

from common import Row, call, cpu_seconds, free_port
from media import cameras, connected, node

DAY = datetime.datetime(2026, 3, 1, 0, 0, 0)
BAR_MS = 50  # first byte of any second of a recorded day


MARK = bytes.fromhex("67747620" "7265636f" "7264696e" "67203100")  # type of the box that says where in time a file lies (mp4read.c)
HOUR = 3600 * 90000


def boxes(data):
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at:at + size]
        at += size


def as_recorded(source):
    """(head, fragments, end) of a fragmented MP4, in the recorder's own form: a function of the file's first tick, and bytes."""
    top = list(boxes(source.read_bytes()))
    head = b"".join(box for kind, box in top if kind in (b"ftyp", b"moov"))
    at, keys, fragments, number = len(head) + 64, b"", [], 0
    for kind, box in top:
        if kind not in (b"moof", b"mdat"):
            continue
        if kind == b"moof":
            if number % 2 == 0:  # fragments of a second, a key frame every two
                keys += struct.pack(">QQ", number * 90000, at) + b"\x01\x01\x01"
            number += 1
        fragments.append(box)
        at += len(box)
    tfra = struct.pack(">I4sIIII", 24 + len(keys), b"tfra", 0x01000000, 1, 0, len(keys) // 19) + keys
    size = 8 + len(tfra) + 16
    end = struct.pack(">I4s", size, b"mfra") + tfra + struct.pack(">I4sII", 16, b"mfro", 0, size)

    def begin(tick, n):
        return head + struct.pack(">I4s16sQQQQII", 64, b"uuid", MARK, tick, tick, HOUR, 1, n, 0)
    return begin, b"".join(fragments), end


def recorded_day(folder):
    """A day of one camera under the folder: 24 files of an hour as the recorder writes them (fragments of a second, a key frame every two)."""
    clip, hour = folder / "day.mp4", folder / "hour.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-t", "20", "-pix_fmt", "yuv420p", "-c:v",
                    "libx264", "-preset", "veryfast", "-bf", "0", "-g", "50", "-sc_threshold", "0", "-b:v", "100k", "-maxrate", "100k", "-bufsize",
                    "100k", str(clip)], check=True)
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-stream_loop", "179", "-i", str(clip), "-t", "3600", "-c", "copy", "-video_track_timescale",
                    "90000", "-movflags", "empty_moov+default_base_moof", "-frag_duration", "1000000", str(hour)], check=True)
    recordings = folder / "data" / "recordings" / "cam_1"
    recordings.mkdir(parents=True)
    begin, fragments, end = as_recorded(hour)
    for n in range(24):
        start = DAY + datetime.timedelta(hours=n)
        with (recordings / start.strftime("%Y-%m-%d_%H-%M-%S-%f.mp4")).open("wb") as file:
            for part in (begin(int(start.timestamp()) * 90000, n), fragments, end):
                file.write(part)
    return folder / "data"


def first_byte_ms(url, start, form):
    """Milliseconds until the first byte of pictures: behind the init, or of the playlist."""
    parameters = {"start": start.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z"), "duration": 30, "path": "cam_1", "format": form}
    began = time.monotonic()
    with requests.get(url, params=parameters, stream=True, timeout=20) as answer:
        assert answer.status_code == 200, answer.text
        got = 0
        for piece in answer.iter_content(2048):
            got += len(piece)
            if got > 4096 or "m3u8" in url:
                return (time.monotonic() - began) * 1000
    return float("inf")


def bench_seek(options, folder):
    """First byte of a seek to any second of a recorded day."""
    data, port, chance = recorded_day(folder), free_port(), random.Random(7)
    url = f"http://127.0.0.1:{port}"
    with node(folder, MEDIA_DATA=str(data), MEDIA_PLAYBACK_PORT=str(port), MEDIA_RECORD_MIN_FREE_BYTES="0") as (api, _):
        began = time.monotonic()
        call("POST", f"{api}/v3/config/paths/add/cam_1", {"recordDeleteAfter": "0s"})
        while len(requests.get(f"{url}/list", params={"path": "cam_1"}, timeout=5).json()) != 1 or \
                len(requests.get(f"{api}/v3/recordings/get/cam_1", timeout=5).json()["segments"]) < 24:
            time.sleep(0.05)
        found = time.monotonic() - began
        for title, address, form in (("/get, fmp4", "/get", "fmp4"), ("/get, mp4", "/get", "mp4"), ("the VOD playlist", "/hls/cam_1/index.m3u8", "")):
            times = [first_byte_ms(url + address, (DAY + datetime.timedelta(seconds=chance.uniform(0, 86000))).astimezone(), form) for _ in range(200)]
            yield Row(f"seek in a recorded day: {title}", "ms, first byte, 99 %", statistics.quantiles(times, n=100)[98], limit=BAR_MS,
                      more=f"median {statistics.median(times):.1f}, worst {max(times):.1f} of {len(times)}; the 24 files were found in {found:.2f} s")


def bench_record50(options, folder):
    """CPU of recording 50 cameras beside only pulling them, and what making it safe takes."""
    seconds = max(20, options.seconds)
    with cameras(folder, 50) as address:
        figures = []
        for record in (False, True):
            with node(folder, MEDIA_RECORD_MIN_FREE_BYTES="0") as (api, process):
                for n in range(1, 51):
                    call("POST", f"{api}/v3/config/paths/add/cam_{n}", {"source": address + (str(n) if n > 1 else ""), "record": record})
                end = time.monotonic() + 60
                while not connected(api, 50) and time.monotonic() < end:
                    time.sleep(0.5)
                time.sleep(5)
                before, began = cpu_seconds(process.pid), time.monotonic()
                time.sleep(seconds)
                figures.append(100 * (cpu_seconds(process.pid) - before) / (time.monotonic() - began))
                text = requests.get(f"{api}/metrics", timeout=5).text
        total = {line.split(" ")[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("media_record_")}
        syncs = max(1.0, total.get("gtv_media_record_sync_seconds_count", 0))
        yield Row("50 cameras pulled and recorded", "% of a core", figures[1],
                  more=f"{figures[0]:.1f} without recording; {1000 * total.get('gtv_media_record_sync_seconds_sum', 0) / syncs:.1f} ms a fdatasync, "
                       f"{total.get('gtv_media_record_dropped_samples_total', 0):.0f} samples dropped")
