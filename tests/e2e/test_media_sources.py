"""Sources that libavformat reads, and audio that is transcoded: real senders of each kind, and one that sends what it should not."""

import http.server
import json
import subprocess
import threading
import time

import pytest
import requests

from conftest import free_port, wait_until
from test_media import Media, read_relay
from test_media_rtmp import streams

PICTURES = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=15", "-f", "lavfi", "-i", "sine=f=440"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "15"]


@pytest.fixture(scope="module")
def node(spawn_module, tmp_path_factory):
    return Media(spawn_module, tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Files of 10 s by the codec of their audio."""
    folder = tmp_path_factory.mktemp("clips")

    def clip(audio, suffix, *more):
        path = folder / (audio + suffix)
        if not path.exists():
            subprocess.run(["ffmpeg", "-v", "error", *PICTURES, "-t", "10", *H264, "-c:a", audio, *more, str(path)], check=True)
        return path
    return clip


@pytest.fixture
def ffmpeg():
    """Starts senders of a file in real time, without end."""
    started = []

    def start(clip, *output):
        process = subprocess.Popen(["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy", *output],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        return process
    yield start
    for process in started:
        process.kill()
        process.wait()


class Server(http.server.ThreadingHTTPServer):
    """Serves what its table has: bytes, or a function that writes the answer."""
    daemon_threads = True

    def __init__(self, address="127.0.0.1"):
        self.table, self.asked = {}, []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                what = server.table.get(self.path)
                if callable(what):
                    what(self)
                    return
                self.send_response(200 if what is not None else 404)
                self.send_header("Content-Length", str(len(what or b"")))
                self.end_headers()
                self.wfile.write(what or b"")

            def log_message(self, *args):
                pass
        super().__init__((address, 0), Handler)
        self.url = f"http://{address}:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def web():
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


def stream(mime, pieces):
    """Answers with the pieces, each over a second."""
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", mime)
        handler.end_headers()
        try:
            for piece in pieces:
                for i in range(10):
                    handler.wfile.write(piece[len(piece) * i // 10:len(piece) * (i + 1) // 10])
                    time.sleep(0.1)
        except OSError:
            pass
    return answer


def check(node, name, source_type, tracks):
    path = node.wait_state(name, "connected")
    assert path["source"]["type"] == source_type and path["tracks"] == tracks
    found = streams(f"{node.hls}/{name}/index.m3u8")
    assert found["video"]["codec_name"] == "h264"
    assert ("audio" in found) == (len(tracks) > 1)
    if "audio" in found:
        assert found["audio"]["codec_name"] == "aac"
        assert abs(float(found["video"]["start_time"]) - float(found["audio"]["start_time"])) < 0.7
    return found


def test_http_mpegts_and_hls_of_another_node(node, spawn, tmp_path, clips, ffmpeg):
    port = free_port()
    other = Media(spawn, tmp_path, MEDIA_RTMP_PORT=port)
    requests.post(f"{other.api}/v3/config/paths/add/one", json={}, timeout=60)
    ffmpeg(clips("aac", ".mp4"), "-f", "flv", f"rtmp://127.0.0.1:{port}/one")
    other.wait_state("one", "connected")
    node.add("ts", f"{other.hls}/one/relay")
    node.add("hls", f"{other.hls}/one/index.m3u8")
    check(node, "ts", "mpegtsSource", ["H264", "MPEG-4 Audio"])
    check(node, "hls", "hlsSource", ["H264", "MPEG-4 Audio"])
    other.process.stop()
    assert node.wait_state("ts", "failed")["causeCode"] in ("closed", "refused")


def test_rtmp_and_srt_with_audio_that_is_transcoded(node, clips, ffmpeg):
    rtmp, srt = free_port(), free_port()
    ffmpeg(clips("libmp3lame", ".mp4", "-ar", "44100"), "-f", "flv", "-listen", "1", f"rtmp://127.0.0.1:{rtmp}/live/x")
    ffmpeg(clips("mp2", ".ts", "-ar", "48000", "-ac", "2"), "-f", "mpegts", f"srt://127.0.0.1:{srt}?mode=listener")
    node.add("rtmp", f"rtmp://127.0.0.1:{rtmp}/live/x", audioTranscode=True)
    node.add("srt", f"srt://127.0.0.1:{srt}", audioTranscode=True)
    assert check(node, "rtmp", "rtmpSource", ["H264", "MPEG-4 Audio"])["audio"]["sample_rate"] == "44100"
    assert check(node, "srt", "srtSource", ["H264", "MPEG-4 Audio"])["audio"]["channels"] == 2


def test_a_camera_with_g711(node, spawn, clips):
    """By option as AAC, with its pictures' time; else left out."""
    clip = clips("pcm_alaw", ".mkv", "-ar", "8000", "-ac", "1")
    launch = ("( filesrc location=%s ! matroskademux name=d d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 "
              "d.audio_0 ! queue ! rtppcmapay name=pay1 pt=8 )")
    camera = spawn("/usr/bin/python3", __file__.replace("test_media_sources", "av_camera"), clip, env={"AV_CAMERA_LAUNCH": launch})
    url = camera.first_line()
    node.add("g711", url, audioTranscode=True, rtspTransport="tcp")
    node.add("mute", url, rtspTransport="tcp")
    found = check(node, "g711", "rtspSource", ["H264", "MPEG-4 Audio"])
    assert found["audio"]["sample_rate"] == "16000"
    assert node.wait_state("mute", "connected")["tracks"] == ["H264"]
    # The sound has no gaps, and is the sine that went in.
    data = read_relay(f"{node.hls}/g711/relay", 3)
    done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "packet=pts_time", "-of", "json", "-"],
                          input=data, capture_output=True, check=True)
    times = [float(p["pts_time"]) for p in json.loads(done.stdout)["packets"]]
    steps = [b - a for a, b in zip(times, times[1:])]
    assert len(times) > 20 and max(steps) < 0.2 and min(steps) > 0
    assert abs(sum(steps) / len(steps) - 1024 / 16000) < 0.01


def test_jumps_of_ten_hours_harm_no_muxer(node, web, tmp_path):
    pieces = []
    for i, offset in enumerate([0, 0, 36000, 36001, 5, 95442]):  # the last one reaches beyond 2^33 ticks
        path = tmp_path / f"{i}.ts"
        subprocess.run(["ffmpeg", "-v", "error", *PICTURES, "-t", "1.5" if offset == 95442 else "1", *H264, "-c:a", "aac",
                        "-output_ts_offset", str(offset + (i if offset == 0 else 0)), "-f", "mpegts", str(path)], check=True)
        pieces.append(path.read_bytes())
    web.table["/jumps.ts"] = stream("video/mp2t", pieces * 4)
    node.add("jumps", web.url + "/jumps.ts")
    node.wait_state("jumps", "connected")
    first = node.playlist("jumps")
    end = first.sequence + len(first.segments)
    last = wait_until(lambda: (p := node.playlist("jumps")).sequence + len(p.segments) > end + 3 and "#EXT-X-DISCONTINUITY" in p.text and p,
                      what="segments after the jumps")
    path = node.path("jumps")
    assert path["state"] == "connected", path
    times = [when for when, _, _ in last.segments]
    assert times == sorted(times) and abs(times[-1] - time.time()) < 20
    assert web.asked.count("/jumps.ts") == 1


def test_causes(node, web):
    def moving(handler):
        stream('multipart/x-mixed-replace; boundary=x', [piece] * 20)(handler)
    jpeg = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x64", "-frames:v", "1", "-f", "mjpeg", "-"],
                          capture_output=True, check=True).stdout
    piece = b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n"
    web.table["/mjpeg"] = moving
    web.table["/text"] = b"hello\n" * 500
    web.table["/local.m3u8"] = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    for name, source, code in [("mjpeg", web.url + "/mjpeg", "codec"), ("text", web.url + "/text", "invalid_data"),
                               ("missing", web.url + "/nothing.m3u8", "not_found"), ("local", web.url + "/local.m3u8", None),
                               ("shut", f"rtmp://127.0.0.1:{free_port()}/x/y", None), ("nosrt", f"srt://127.0.0.1:{free_port()}", None),
                               ("noname", "http://no-such-host.invalid/x.ts", "name")]:
        node.add(name, source)
        path = node.wait_state(name, "failed")
        assert code is None or path["causeCode"] == code, path
        assert requests.delete(f"{node.api}/v3/config/paths/delete/{name}", timeout=60).status_code == 200


def test_sources_that_are_refused(node):
    for source, text in [("file:///etc/passwd", "invalid source"), ("concat:a|b", "invalid source"), ("http://", "is not a valid URL"),
                         ("rtmp://127.0.0.1:port/x", "is not a valid URL"), ("udp://127.0.0.1:5000", "not supported by this node"),
                         ("srt://127.0.0.1:5000?mode=listener", "mode=caller only"), ("srt://127.0.0.1", "is not a valid URL"),
                         ("crypto+http://127.0.0.1/x", "invalid source"), ("hls+http://127.0.0.1/x", "invalid source")]:
        answer = requests.post(f"{node.api}/v3/config/paths/add/refused", json={"source": source}, timeout=60)
        assert answer.status_code == 400 and text in answer.json()["error"], (source, answer.text)


def test_where_a_playlist_and_a_redirect_lead_to_is_judged(spawn, tmp_path, web):
    """The policy allows this machine's 127.0.0.1 and no other address of it. A redirect is followed by libavformat itself: its answer is
    not used."""
    other = Server("127.0.0.2")
    node = Media(spawn, tmp_path, GTV_CAMERA_ALLOW="127.0.0.1")
    inner = other.url + "/secret.ts"
    other.table["/secret.ts"] = stream("video/mp2t", [bytes(188)] * 10)
    web.table["/out.m3u8"] = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n" + inner.encode() + b"\n"

    def away(handler):
        handler.send_response(302)
        handler.send_header("Location", inner)
        handler.end_headers()
    web.table["/away.ts"] = away
    node.add("direct", inner)
    assert node.wait_state("direct", "failed")["causeCode"] == "denied"
    node.add("nested", web.url + "/out.m3u8")
    assert node.wait_state("nested", "failed")["causeCode"] == "denied"
    assert other.asked == []
    node.add("moved", web.url + "/away.ts")
    assert node.wait_state("moved", "failed")["causeCode"] == "denied"
    other.shutdown()
    other.server_close()
