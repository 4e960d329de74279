"""The synthetic street's clip and truth, and the RTSP camera that plays it."""

import base64
import json
import signal
import socket
import subprocess
import time

import pytest

from conftest import ROOT, binary, wait_until

CAMERA = ROOT / "tools" / "camera" / "rtsp_camera.py"
CLASSES = {"car", "bus", "truck", "motorcycle"}


@pytest.fixture(scope="module")
def truth(street):
    return json.loads((street / "street.json").read_text())


def program():
    release = ROOT / "build" / "release" / "tools" / "street" / "gtv-street"
    return str(release) if release.exists() else binary("gtv-street")


def probe(url, *extra):
    """ffprobe's answer as (exit status, stdout as JSON, stderr)."""
    done = subprocess.run(["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-of", "json", "-show_streams", *extra, url],
                          capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_same_frame_every_time(tmp_path):
    for name in ("a.png", "b.png"):
        subprocess.run([program(), "--frame", "60", "--png", str(tmp_path / name)], check=True, timeout=600)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("arguments", [[], ["--frame", "x", "--png", "f"], ["--frame", "99999", "--png", "f"], ["--out"]])
def test_bad_arguments_end_with_2(arguments):
    done = subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr


def test_unwritable_folder_is_said():
    done = subprocess.run([program(), "--quiet", "--out", "/proc/none"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 1 and "/proc/none" in done.stderr


def test_clip_is_what_a_camera_sends(street, truth):
    status, answer, _ = probe(street / "street.mp4", "-show_packets", "-select_streams", "v:0")
    stream = answer["streams"][0]
    assert status == 0
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", truth["width"], truth["height"])
    assert stream["r_frame_rate"] == "%d/1" % truth["fps"] and stream["has_b_frames"] == 0
    packets = answer["packets"]
    assert len(packets) == truth["frames"]
    assert [i for i, p in enumerate(packets) if p["flags"].startswith("K")] == list(range(0, truth["frames"], truth["fps"]))
    bits = sum(int(p["size"]) for p in packets) * 8 / truth["duration_s"]
    assert 0.6e6 < bits < 2e6


def test_truth_is_sane(truth):
    assert truth["version"] == 1 and truth["frames"] == truth["duration_s"] * truth["fps"]
    assert {v["class"] for v in truth["vehicles"]} == CLASSES
    assert {v["plate_format"] for v in truth["vehicles"]} == {"mercosul", "old"}
    assert len({v["plate"] for v in truth["vehicles"]}) == len(truth["vehicles"])
    assert len({v["id"] for v in truth["vehicles"]}) == len(truth["vehicles"])
    assert all((v["plate_lines"] == 2) == (v["class"] == "motorcycle") for v in truth["vehicles"])


def test_boxes_are_inside_the_picture(truth):
    for vehicle in truth["vehicles"]:
        boxes = vehicle["boxes"]
        assert 0 < boxes[0]["frame"] and boxes[-1]["frame"] < truth["frames"] - 1, "the loop has no seam"
        assert sum(b["whole"] for b in boxes) >= 20
        assert sum(b["plate"] is not None for b in boxes) >= 20
        assert vehicle["enter_s"] == pytest.approx(boxes[0]["t"], abs=0.002)
        for box in boxes:
            assert box["t"] == pytest.approx(box["frame"] / truth["fps"], abs=0.001)
            assert 0 <= box["x"] and box["x"] + box["w"] <= truth["width"] + 0.1 and box["w"] > 0
            assert 0 <= box["y"] and box["y"] + box["h"] <= truth["height"] + 0.1 and box["h"] > 0
            assert 0.005 <= box["visible"] <= 1
            plate = box["plate"]
            if plate:
                assert box["x"] - 1 <= plate["x"] and plate["x"] + plate["w"] <= box["x"] + box["w"] + 1
                assert box["y"] - 1 <= plate["y"] and plate["y"] + plate["h"] <= box["y"] + box["h"] + 1
                xs, ys = [c[0] for c in plate["corners"]], [c[1] for c in plate["corners"]]
                assert xs[0] < xs[1] and xs[3] < xs[2] and ys[0] < ys[3] and ys[1] < ys[2]


def test_crossings_agree_with_the_boxes(truth):
    lines = {line["id"]: line for line in truth["lines"]}
    for vehicle in truth["vehicles"]:
        crossed = [c["line"] for c in sorted(vehicle["crossings"], key=lambda c: c["t_s"])]
        assert crossed == sorted(lines, reverse=vehicle["direction"] == "toward")
        for crossing in vehicle["crossings"]:
            line = lines[crossing["line"]]
            near = [b for b in vehicle["boxes"] if abs(b["t"] - crossing["t_s"]) <= 1.5 / truth["fps"] and b["whole"]]
            for box in near:
                x, y = box["x"] + box["w"] / 2, box["y"] + box["h"]
                dx, dy = line["x2"] - line["x1"], line["y2"] - line["y1"]
                off = ((x - line["x1"]) * dy - (y - line["y1"]) * dx) / (dx * dx + dy * dy) ** 0.5
                assert abs(off) < 90, (vehicle["id"], crossing, off)


def test_camera_answers_and_goes_on(rtsp_camera, tmp_path):
    clip = tmp_path / "short.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=15:d=2", "-c:v", "libx264", "-bf", "0",
                    "-g", "15", "-pix_fmt", "yuv420p", str(clip)], check=True, timeout=60)
    clock = tmp_path / "clock"
    camera = rtsp_camera("--ready-file", tmp_path / "ready", "--truth-clock", clock, clip=clip)
    assert camera.url.startswith("rtsp://127.0.0.1:")
    assert (tmp_path / "ready").read_text().strip() == camera.url
    status, answer, error = probe(camera.url)
    assert status == 0, error
    assert answer["streams"][0]["codec_name"] == "h264" and answer["streams"][0]["width"] == 320
    # Over two turns of the clip time never goes back nor jumps.
    done = subprocess.run(["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", camera.url, "-t", "5", "-c", "copy", "-copyts",
                           "-f", "framecrc", "-"], capture_output=True, text=True, timeout=60)
    times = [int(line.split(",")[1]) for line in done.stdout.splitlines() if line and not line.startswith("#")]
    steps = [b - a for a, b in zip(times, times[1:])]
    assert len(times) > 60 and min(steps) > 0 and max(steps) < 2.2 * sorted(steps)[len(steps) // 2]
    turns = [json.loads(line) for line in clock.read_text().splitlines()]
    assert len(turns) >= 2 and turns[1]["loop_start_unix_ms"] - turns[0]["loop_start_unix_ms"] == pytest.approx(2000, abs=40)
    started = time.monotonic()
    camera.stop(signal.SIGTERM, check=False)
    assert time.monotonic() - started < 20


def test_camera_asks_for_its_password(rtsp_camera):
    camera = rtsp_camera("--user", "cam", "--password-env", "CAM_PASSWORD", env={"CAM_PASSWORD": "s3cr3t"})
    assert "s3cr3t" not in camera.url
    for user, good in (("", False), ("cam:wrong@", False), ("cam:s3cr3t@", True)):
        status, _, error = probe(camera.url.replace("rtsp://", "rtsp://" + user))
        assert (status == 0) == good, error
        assert good or "401" in error
    command = (ROOT / "/proc" / str(camera.pid) / "cmdline").read_bytes()
    assert b"s3cr3t" not in command


def test_many_paths_share_a_clip(rtsp_camera):
    camera = rtsp_camera("--paths", "3")
    for url in (camera.url, camera.url + "2", camera.url + "3"):
        status, answer, error = probe(url)
        assert status == 0 and answer["streams"][0]["codec_name"] == "h264", error
    assert probe(camera.url + "4")[0] != 0


@pytest.mark.parametrize("arguments,kind,codec", [(["--audio-only"], "audio", "pcm_alaw"), (["--codec", "mjpeg"], "video", "mjpeg")])
def test_bad_cameras_are_bad_as_asked(rtsp_camera, arguments, kind, codec):
    status, answer, error = probe(rtsp_camera(*arguments).url)
    assert status == 0, error
    assert [(s["codec_type"], s["codec_name"]) for s in answer["streams"]] == [(kind, codec)]


def test_camera_closes_its_connections(rtsp_camera):
    camera = rtsp_camera("--close-after", "1")
    host, port = camera.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), 60) as s:
        s.settimeout(60)
        s.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        assert s.recv(4096).startswith(b"RTSP/1.0 200")
        assert s.recv(4096) == b""


def test_camera_freezes(rtsp_camera):
    camera = rtsp_camera("--freeze-after", "2")
    done = subprocess.Popen(["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", camera.url, "-c", "copy", "-f", "framecrc", "-"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        time.sleep(7)
        assert done.poll() is None, "the connection stays"
    finally:
        done.terminate()
        try:
            out, _ = done.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            done.terminate()  # it waits for a picture until it is told a second time
            out, _ = done.communicate(timeout=60)
        frames = [line for line in out.splitlines() if not line.startswith(b"#")]
    assert len(frames) < 45


@pytest.mark.parametrize("arguments,words", [
    (["--clip", "/nonexistent.mp4"], "/nonexistent.mp4"),
    (["--clip", str(CAMERA)], "rtsp_camera.py"),
    ([], "--clip"),
    (["--audio-only", "--user", "u"], "--password-env"),
    (["--audio-only", "--user", "u", "--password-env", "GTV_NOT_SET"], "GTV_NOT_SET"),
])
def test_camera_says_what_is_wrong(arguments, words):
    done = subprocess.run(["/usr/bin/python3", str(CAMERA), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr


def test_basic_header_is_refused_when_malformed(rtsp_camera):
    camera = rtsp_camera("--user", "cam", "--password-env", "CAM_PASSWORD", env={"CAM_PASSWORD": "s3cr3t"})
    host, port = camera.url.split("/")[2].split(":")
    token = base64.b64encode(b"no colon").decode()
    with socket.create_connection((host, int(port)), 60) as s:
        s.sendall(("DESCRIBE %s RTSP/1.0\r\nCSeq: 1\r\nAuthorization: Basic %s\r\n\r\n" % (camera.url, token)).encode())
        assert wait_until(lambda: s.recv(4096), what="an answer").startswith(b"RTSP/1.0 401")
