"""Cameras whose picture goes wrong: the status says so, a durable event tells it once, and watching goes on. One system for all tests."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from ai_service import Ai
from conftest import free_port, wait_until
from test_ai_watch import Site

PATIENCE = 120
CLIPS = {  # ffmpeg's input options and its filter; 10 pictures a second, a key frame each second
    "street": ([], "scale=640:360"),
    "still!": (["-ss", "3"], "scale=640:360"),
    "grey": ([], "scale=640:360,hue=s=0"),
    "small": ([], "scale=480:270"),
    "black": (["-f", "lavfi"], "null"),
}


class FaultCameras:
    """Cameras `a`, `b`, ... of tests/e2e/fault_camera.py."""

    def __init__(self, folder, street, paths):
        words = []
        for name, (options, scale) in CLIPS.items():
            clip = folder / f"{name.rstrip('!')}.mp4"
            source = "color=black:size=640x360:rate=10" if name == "black" else str(street / "street.mp4")
            subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *options, "-t", "2" if name in ("black", "still!") else "8", "-i", source, "-an",
                            "-vf", f"fps=10,{scale},format=yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "10", str(clip)],
                           check=True)
            words.append(f"{name}={clip}")
        self.popen = subprocess.Popen(["/usr/bin/python3", str(Path(__file__).with_name("fault_camera.py")), *words, "--", *paths],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.url = self.popen.stdout.readline().strip()
        assert self.url.startswith("rtsp://")

    def order(self, path, what, value):
        self.popen.stdin.write(f"{path} {what} {value}\n")
        self.popen.stdin.flush()

    def stop(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()


class System:
    def __init__(self, spawn, redis, models, street):
        self.site = Site(spawn, redis)
        self.faulty = FaultCameras(spawn.folder, street, "abcd")
        for number, path in enumerate("abcd", 1):
            self.site.add(number, f"{self.faulty.url}/{path}")
        # Neither folder can be made: a file stands in their way.
        self.file = spawn.folder / "file"
        self.file.write_text("")
        self.start_ai = lambda: Ai(spawn, redis.port, models, f"http://127.0.0.1:{self.site.hls}", AI_CAMERA_CONFIDENCE="0.35", AI_MAX_FPS="3",
                                   AI_SPOOL_DIR=self.file / "spool", AI_CROPS_DIR=self.file / "crops")
        self.ai = self.start_ai()
        wait_until(lambda: self.ai.get("/stats/streams").json()["watching"] == 4, PATIENCE, what="all four watched")

    def status(self, number):
        return self.ai.get(f"/cameras/{number}/status").json()

    def told(self, number):
        return [(h["data"]["fault"], h["data"]["on"]) for h in self.site.cameras.happenings()
                if h["type"] == "picture" and h["data"]["camera_id"] == number]

    def play(self, number, clip):
        self.faulty.order("abcd"[number - 1], "play", clip)

    def until_fault(self, number, fault, on=True):
        wait_until(lambda: (fault in self.status(number)["faults"]) == on, PATIENCE, what=f"camera {number}: {fault} is {on}")
        wait_until(lambda: self.told(number).count((fault, on)) >= 1, PATIENCE, what=f"camera {number}: {fault} {on} told")
        assert self.told(number).count((fault, on)) == 1, self.told(number)

    def until_detected(self, number):
        """Vehicles are found in frames that are as new as this moment."""
        since = f"{int(time.time() * 1000)}-0"
        looks = self.status(number)["looks"]
        wait_until(lambda: self.status(number)["looks"] > looks, PATIENCE, what=f"camera {number} looked at")
        wait_until(lambda: any(e["data"]["camera_id"] == number and e["data"]["objects"] for _, _, e in self.site.cameras.events(since)),
                   PATIENCE, what=f"vehicles at camera {number}")

    def fds(self):
        return len(os.listdir(f"/proc/{self.ai.process.pid}/fd"))


@pytest.fixture(scope="module")
def system(spawn_module, redis_module, models, street):
    it = System(spawn_module, redis_module, models, street)
    yield it
    it.faulty.stop()


def test_folders_that_cannot_be_written_do_not_stop_it(system):
    capacity = system.ai.get("/capacity").json()
    assert str(system.file) in capacity["durable_events"]["problem"] and str(system.file) in capacity["crops"]["problem"]
    assert "no pictures of tracks are kept" in system.ai.process.log() and "will be lost" in system.ai.process.log()
    for number in (1, 2, 3, 4):
        system.until_detected(number)


def test_frozen_black_and_infrared_pictures(system):
    before = system.fds()
    system.play(1, "still")
    system.play(2, "black")
    system.play(4, "grey")
    system.until_fault(2, "black")
    system.until_fault(4, "infrared")
    system.play(2, "street")
    system.play(4, "street")
    system.until_fault(1, "frozen")
    system.play(1, "street")
    system.until_fault(2, "black", False)
    system.until_fault(4, "infrared", False)
    system.until_fault(1, "frozen", False)
    for number in (1, 2, 4):
        system.until_detected(number)
        assert system.status(number)["faults"] == []
    assert system.fds() <= before + 8


def test_another_size_in_mid_stream(system):
    failures = system.status(3)["failures"]
    system.play(3, "small")
    wait_until(lambda: system.status(3)["width"] == 480, PATIENCE, what="the new size")
    wait_until(lambda: system.told(3) == [("resized", True)], PATIENCE, what="the change told once")
    system.until_detected(3)
    system.play(3, "street")
    wait_until(lambda: system.status(3)["width"] == 640, PATIENCE, what="the old size")
    wait_until(lambda: system.told(3).count(("resized", True)) == 2, PATIENCE, what="the change back told")
    system.until_detected(3)
    assert system.status(3)["failures"] <= failures + 2


def test_time_stamps_that_jump(system):
    for seconds in (3600, -1800):
        system.faulty.order("c", "jump", seconds)
        system.until_detected(3)
        status = system.status(3)
        assert abs(time.time() * 1000 - status["last_frame_wall_ms"]) < 90000, status
        assert status["watching"] is True


def test_a_stream_cut_and_back(system, spawn_module, street):
    port = free_port()
    words = ["/usr/bin/python3", Path(__file__).resolve().parents[2] / "tools" / "camera" / "rtsp_camera.py", "--clip",
             spawn_module.folder / "street.mp4", "--port", port]
    camera = spawn_module(*words)
    camera.first_line()
    system.site.add(5, f"rtsp://127.0.0.1:{port}/street")
    wait_until(lambda: system.status(5)["watching"], PATIENCE, what="camera 5 watched")
    system.until_detected(5)
    fds = system.fds()
    camera.stop(check=False)
    wait_until(lambda: not system.status(5)["watching"] and system.status(5)["cause"], PATIENCE, what="the cut in the status")
    assert system.status(5)["state"] in ("waiting", "connecting")
    camera = spawn_module(*words)
    camera.first_line()
    wait_until(lambda: system.status(5)["watching"], PATIENCE, what="camera 5 watched again")
    system.until_detected(5)
    assert system.fds() <= fds + 8


def test_who_takes_over_does_not_tell_it_again(system):
    system.play(4, "grey")
    wait_until(lambda: system.told(4)[-1:] == [("infrared", True)], PATIENCE, what="infrared told")
    told = system.told(4)
    second = system.start_ai()
    system.ai.process.popen.kill()
    system.ai.process.popen.wait()
    system.ai = second
    wait_until(lambda: system.status(4)["watching"] and "infrared" in system.status(4)["faults"], PATIENCE, what="infrared seen by the second")
    looks = system.status(4)["looks"]
    wait_until(lambda: system.status(4)["looks"] > looks, PATIENCE, what="a look more")
    assert system.told(4) == told
    system.play(4, "street")
    wait_until(lambda: system.told(4) == [*told, ("infrared", False)], PATIENCE, what="the end told by the second")


def test_what_another_program_told_of_the_same_change_is_not_told_again(system):
    """As when both saw it, one of them while Redis was away."""
    def told():
        return [on for fault, on in system.told(2) if fault == "black"]

    def seen():
        return system.ai.process.log().count("camera=cam_2 fault=black on=1")

    before, count = told(), seen()
    system.site.redis.client().hset("gtv:ai:faults:2", "black", f"on|{int(time.time() * 1000)}")
    system.play(2, "black")
    wait_until(lambda: seen() > count, PATIENCE, what="black found to be told")
    system.play(2, "street")
    wait_until(lambda: told()[len(before):], PATIENCE, what="something told")
    assert told() == [*before, False]  # its end alone
