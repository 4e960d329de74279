"""What pulling cameras costs the media node: CPU and memory with nothing read, our RTSP reader beside libavformat's."""

import subprocess
import sys
import time
from contextlib import contextmanager

from common import ROOT, Row, call, cpu_seconds, free_port, program, rss_kib, started, wait_for

# MediaMTX 1.20 on a machine of this kind with the same kind of clip, nothing read: percent of a core (the lower end of what was seen) and
# MiB. It cannot be installed here, so these are constants and no peer of the same run.
MEDIAMTX_CPU = {50: 7.9, 200: 25.0}
MEDIAMTX_RSS = {200: 78.0}
SHARE = 0.6  # of its figures is our bar
SETTLE = 6  # seconds between the last connection and the measurement


@contextmanager
def cameras(folder, count):
    """The real RTSP server with `count` paths of one clip (720p, H.264, 1 Mbit/s, 25 frames a second, 2 s GOP); yields its first address."""
    clip, ready = folder / "clip.mp4", folder / f"cameras-{free_port()}"
    if not clip.exists():
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", "-t", "20", "-vf",
                        "noise=alls=4:allf=t", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "50",
                        "-sc_threshold", "0", "-b:v", "1M", "-maxrate", "1M", "-bufsize", "1M", str(clip)], check=True)
    command = ["/usr/bin/python3", ROOT / "tools/camera/rtsp_camera.py", "--clip", clip, "--paths", count, "--ready-file", ready]
    with started(command, log=folder / "cameras.log"):
        end = time.monotonic() + 30
        while not ready.exists():
            if time.monotonic() > end:
                sys.exit("bench: the cameras did not start")
            time.sleep(0.1)
        yield ready.read_text().strip()


@contextmanager
def node(folder, **more):
    """gtv-media; yields (control API's URL, process)."""
    api = free_port()
    environment = {"MEDIA_PLAYBACK_PORT": "0", "MEDIA_RTMP_PORT": "0", "MEDIA_RTSP_PORT": "0", "MEDIA_RTP_PORT": "0", "MEDIA_API_PORT": str(api), "MEDIA_HLS_PORT": "0", "MEDIA_DATA": str(folder / f"media-{api}"), "LOG_LEVEL": "ERROR",
                   "GTV_CAMERA_ALLOW": "127.0.0.0/8", **more}
    with started([program("gtv-media")], environment, folder / f"media-{api}.log") as process:
        wait_for(f"http://127.0.0.1:{api}/v3/paths/list")
        yield f"http://127.0.0.1:{api}", process


def connected(api, count):
    status, answer = call("GET", f"{api}/v3/paths/list?itemsPerPage=1000")
    return status == 200 and sum(item["ready"] for item in answer["items"]) == count


def pull(folder, address, count, seconds, **more):
    """(percent of a core, MiB) of a node that pulls `count` cameras which nobody reads."""
    with node(folder, **more) as (api, process):
        for n in range(1, count + 1):
            call("POST", f"{api}/v3/config/paths/add/cam_{n}", {"source": address + (str(n) if n > 1 else "")})
        end = time.monotonic() + 60
        while not connected(api, count):
            if time.monotonic() > end:
                sys.exit(f"bench: {count} cameras did not connect")
            time.sleep(0.5)
        time.sleep(SETTLE)
        before, began = cpu_seconds(process.pid), time.monotonic()
        time.sleep(seconds)
        cpu = 100 * (cpu_seconds(process.pid) - before) / (time.monotonic() - began)
        if not connected(api, count):
            sys.exit("bench: cameras were lost while it was measured")
        return cpu, rss_kib(process.pid) / 1024


def bench_pull(options, folder, count):
    seconds = max(20, options.seconds)
    with cameras(folder, count) as address:
        cpu, rss = pull(folder, address, count, seconds)
        libav_cpu, libav_rss = pull(folder, address, count, seconds, MEDIA_RTSP_LIBAV="true")
    yield Row(f"{count} cameras pulled, nothing read", "% of a core", cpu, limit=round(SHARE * MEDIAMTX_CPU[count], 1),
              more=f"libavformat's reader {libav_cpu:.1f}; MediaMTX {MEDIAMTX_CPU[count]} (a constant, taken on such a machine)")
    yield Row(f"the same: memory, {count} cameras", "MiB RSS", rss,
              limit=SHARE * MEDIAMTX_RSS[count] if count in MEDIAMTX_RSS else None,
              more=f"libavformat's reader {libav_rss:.1f}" + (f"; MediaMTX {MEDIAMTX_RSS[count]:g}" if count in MEDIAMTX_RSS else ""))


def bench_pull50(options, folder):
    """CPU and RSS of 50 cameras that are pulled and not read."""
    yield from bench_pull(options, folder, 50)


def bench_pull200(options, folder):
    """CPU and RSS of 200 cameras that are pulled and not read."""
    yield from bench_pull(options, folder, 200)
