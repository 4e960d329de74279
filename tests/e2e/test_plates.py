"""Plates read by gtv-ai in posted pictures: frames of the synthetic street, whose plates are known."""

import base64
import json
import subprocess

import pytest
import requests
from ai_service import Ai
from conftest import SHARED, wait_until

LOCALISER, TEXT, SLOTS, CTC = "plate_y5fu_320", "ppocr_v4_det", "plate_ocr_cct_xs_v1", "ppocr_v4_rec"
PLATE_KEYS = {"plate_number", "plate_confidence", "plate_format", "plate_bbox"}


@pytest.fixture(scope="module")
def reader(spawn_module, redis_module, models):
    ai = Ai(spawn_module, redis_module.port, models, LPR_ENABLED="true")
    ai.networks = set(ai.get("/health").json()["plates"]["models"])
    if not ai.networks:
        pytest.skip("no networks that read plates are at hand")
    return ai


@pytest.fixture(scope="module")
def seen(street, tmp_path_factory):
    """seen(lines, width): a frame with a plate of so many lines that is about so wide: (JPEG, plate, format, box)."""
    truth = json.loads((street / "street.json").read_text())
    folder = tmp_path_factory.mktemp("plates")

    def cut(lines, width):
        shown = [(abs(b["plate"]["w"] - width), b["frame"], v, b["plate"]) for v in truth["vehicles"] for b in v["boxes"]
                 if v["plate_lines"] == lines and b["plate"] and b["whole"] and b["visible"] >= 0.99]
        _, number, vehicle, plate = min(shown, key=lambda s: s[:2])
        path = folder / f"{number}.jpg"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", street / "street.mp4", "-vf", f"select=eq(n\\,{number})", "-frames:v", "1",
                        "-q:v", "2", path], check=True)
        return path.read_bytes(), vehicle["plate"], vehicle["plate_format"], plate

    return cut


def read(answer):
    assert answer.status_code == 200, answer.text
    found = answer.json()["detections"]
    assert all(set(d) >= PLATE_KEYS for d in found)
    return {d["plate_number"]: d for d in found if d["plate_number"]}


def middle(box):
    return box["x"] + box["w"] / 2, box["y"] + box["h"] / 2


def check(plates, plate, form, box):
    assert plate in plates, plates
    found = plates[plate]
    assert found["plate_format"] == form and found["plate_confidence"] > 0.8
    (x, y), (true_x, true_y) = middle(found["plate_bbox"]), middle(box)
    assert abs(x - true_x) < box["w"] / 3 and abs(y - true_y) < box["h"] / 3


def test_a_plate_of_one_line(reader, seen):
    jpeg, plate, form, box = seen(1, 70)
    check(read(reader.upload(jpeg)), plate, form, box)
    check(read(reader.detect(jpeg)), plate, form, box)
    assert reader.metric('gtv_ai_stage_seconds_count{stage="plates"}') >= 2


def test_a_motorcycle_has_two_lines(reader, seen):
    if TEXT not in reader.networks:
        pytest.skip("the localiser that finds them is not at hand")
    jpeg, plate, form, box = seen(2, 34)
    plates = read(reader.upload(jpeg))
    check(plates, plate, form, box)
    assert plates[plate]["object_type"] == "motorcycle"


def test_a_close_up_has_a_plate_and_no_vehicle(reader):
    picture = SHARED / "data" / "plates_br" / "JGZ3298.jpg"
    if not picture.exists() or not {LOCALISER, SLOTS, CTC} <= reader.networks:
        pytest.skip("the picture, or the networks that read it, are not at hand")
    found = read(reader.upload(picture.read_bytes()))["JGZ3298"]
    assert found["from_plate"] is True and found["plate_format"] == "old" and found["bbox"] == found["plate_bbox"]


def test_a_request_may_do_without(reader, seen):
    jpeg, _, _, _ = seen(1, 70)
    assert not read(reader.upload(jpeg, "?camera_id=1&plates=0"))
    body = {"camera_id": 1, "image_base64": base64.b64encode(jpeg).decode(), "plates": False}
    assert not read(reader.post(f"{reader.url}/detect", json=body))
    wrong = reader.upload(jpeg, "?camera_id=1&plates=maybe")
    assert wrong.status_code == 422 and wrong.json()["field"] == "plates"


def test_no_vehicle_and_no_plate(reader, tmp_path):
    path = tmp_path / "grey.png"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=gray:640x480", "-frames:v", "1", path], check=True)
    answer = reader.upload(path.read_bytes())
    assert answer.status_code == 200 and answer.json()["detections"] == []


def test_a_recogniser_that_fails_is_told_and_mended_by_a_reload(spawn_module, redis_module, models, reader, seen, tmp_path):
    if not {LOCALISER, SLOTS, CTC} <= reader.networks:
        pytest.skip("the networks that read it are not at hand")
    for file in models.iterdir():
        if file.is_file():
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / f"{CTC}.onnx").unlink()
    (tmp_path / f"{CTC}.onnx").write_bytes((models / f"{CTC}.onnx").read_bytes()[:50_000])
    ai = Ai(spawn_module, redis_module.port, tmp_path, LPR_ENABLED="true")

    # The very first picture waits for what reads it.
    jpeg, plate, form, box = seen(1, 70)
    check(read(ai.upload(jpeg)), plate, form, box)
    # The second recogniser is asked about what is not settled without it, such as a small plate.
    assert ai.upload(seen(2, 34)[0]).status_code == 200

    def told():
        """The network beside it, by which the picture was read, may have been there before it was its turn."""
        health = ai.get("/health").json()["plates"]
        return health["enabled"] and CTC not in health["models"] and f"{CTC}.onnx cannot be used" in (health["message"] or "")

    wait_until(told, 120, what="the network that cannot be used")

    (tmp_path / f"{CTC}.onnx").unlink()
    (tmp_path / f"{CTC}.onnx").symlink_to(models / f"{CTC}.onnx")
    answer = requests.post(f"{ai.url}/models/reload", timeout=120)
    assert answer.status_code == 200 and answer.json()["plates"]["reloaded"] is True, answer.text
    wait_until(lambda: not ai.get("/health").json()["plates"]["loading"], 60, what="the networks at rest")
    health = ai.get("/health").json()["plates"]
    assert CTC in health["models"] and health["message"] is None, health
    check(read(ai.upload(jpeg)), plate, form, box)


def test_switched_off(spawn_module, redis_module, models, seen):
    ai = Ai(spawn_module, redis_module.port, models, LPR_ENABLED="false")
    assert ai.get("/health").json()["plates"] == {"enabled": False, "loading": False, "models": [], "message": None}
    jpeg, _, _, _ = seen(1, 70)
    found = ai.upload(jpeg).json()["detections"]
    assert found and all(d[key] is None for d in found for key in PLATE_KEYS)
