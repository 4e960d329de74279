"""gtv-ai with networks of the user's own: recognised, described, refused, swapped under load, quantised."""

import base64
import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess
import threading

import networks
import numpy as np
import pytest
import requests
from ai_service import Ai
from conftest import ROOT, free_port

CAR_AT_640 = {"x": 540, "y": 54, "w": 200, "h": 100}  # of 1280x720 in 640x640: half the size, 140 rows of padding above
CAR_AT_384 = {"x": 540, "y": 310, "w": 200, "h": 100}  # in 640x384: 12 rows


def picture(colour):
    done = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"color={colour}:s=1280x720", "-frames:v", "1", "-pix_fmt", "yuvj444p",
                           "-q:v", "2", "-f", "mjpeg", "-"], check=True, capture_output=True, timeout=60)
    return base64.b64encode(done.stdout).decode()


RED, BLUE = picture("red"), picture("blue")


class Own(Ai):
    """Over a folder of networks, without Redis."""

    def __init__(self, spawn, folder, **env):
        self.folder = folder
        super().__init__(spawn, free_port(), folder, **env)

    def detect(self, image=RED):
        return requests.post(f"{self.url}/detect", json={"camera_id": 1, "image_base64": image}, timeout=60)

    def boxes(self, image=RED):
        answer = self.detect(image)
        assert answer.status_code == 200, answer.text
        return [(d["object_type"], d["bbox"]) for d in answer.json()["detections"]]

    def reload(self, **body):
        return requests.post(f"{self.url}/models/reload", json=body, timeout=60)

    def use(self, name, **more):
        answer = self.reload(model=name, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["model"]

    def models(self):
        return requests.get(f"{self.url}/models", timeout=60).json()


def near(found, kind, box, by=4):
    return len(found) == 1 and found[0][0] == kind and all(abs(found[0][1][k] - box[k]) <= by for k in "xywh")


def put(folder, name, model, described=None):
    networks.save(model, folder / f"{name}.onnx")
    if described is not None:
        (folder / f"{name}.json").write_text(json.dumps(described))


@pytest.fixture(scope="module")
def ai(spawn_module, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    put(folder, "v8", networks.yolov8())
    return Own(spawn_module, folder, YOLO_MODEL=folder / "v8.onnx")


def test_heads_are_recognised(ai):
    put(ai.folder, "v5", networks.yolov5())
    put(ai.folder, "v10", networks.end2end())
    put(ai.folder, "v8-masks", networks.yolov8(extra_outputs=2))
    put(ai.folder, "mine", networks.yolov8(classes=3, car=1, names=["pessoa", "carro", "caminh\u00e3o"]))
    for name, head, classes in [("v8", "yolov8", 80), ("v5", "yolov5", 80), ("v10", "end2end", 80), ("v8-masks", "yolov8", 80),
                                ("mine", "yolov8", 3)]:
        model = ai.use(name)
        assert (model["name"], model["head"], model["class_count"]) == (name, head, classes)
        assert near(ai.boxes(RED), "car", CAR_AT_640), ai.boxes(RED)
        assert ai.boxes(BLUE) == []  # RGB, 0..1: the first channel is red
        answer = ai.detect(RED).json()
        # Red in 360 rows of 640, padding of 114 in the others.
        assert abs(answer["detections"][0]["confidence"] - (360 + 280 * 114 / 255) / 640) < 0.02
        assert answer["model"] == name


def test_open_sizes(ai):
    put(ai.folder, "open", networks.yolov8(640, 384, open_size=True, batch=None))
    model = ai.use("open")
    assert (model["width"], model["height"]) == (640, 384)
    assert near(ai.boxes(), "car", CAR_AT_384)
    # The description goes first: another size has another number of cells than this file answers.
    put(ai.folder, "open-320", networks.yolov8(320, 320, open_size=True), {"input": {"width": 320, "height": 320}})
    assert ai.use("open-320")["width"] == 320


def test_a_description_overrides(ai):
    put(ai.folder, "described", networks.yolov8(classes=3, car=1),
        {"classes": {"truck": 1}, "input": {"order": "bgr", "resize": "letterbox-topleft"}, "licence": "mine"})
    assert ai.use("described")["classes"] == ["truck"]
    found = ai.boxes(BLUE)
    assert near(found, "truck", {**CAR_AT_640, "y": 334}), found
    assert ai.boxes(RED) == []
    entry = next(m for m in ai.models()["models"] if m["name"] == "described")
    assert entry["in_use"] and entry["licence"] == "mine" and entry["class_count"] is None


def refused(ai, name, *parts):
    answer = ai.reload(model=name)
    assert answer.status_code == 422, answer.text
    message = answer.json()["detail"][0]["msg"]
    for part in parts:
        assert part in message, message
    assert "\n" not in message


def test_what_cannot_be_used_says_why_and_the_old_one_goes_on(ai):
    folder = ai.folder
    ai.use("v8")
    whole = (folder / "v8.onnx").read_bytes()
    (folder / "garbage.onnx").write_bytes(b"no network" * 99)
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "cut.onnx").write_bytes(whole[:len(whole) // 2])
    (folder / "nobin.xml").write_text('<?xml version="1.0"?><net name="a" version="11"><layers/></net>')
    (folder / "badxml.xml").write_text("<net")
    (folder / "badxml.bin").write_text("x")
    (folder / "torch.pt").write_bytes(b"x")
    put(folder, "three", networks.yolov8(classes=3, car=1))
    put(folder, "badkey", networks.yolov8(), {"input": {"order": "rbg"}})
    put(folder, "badhead", networks.yolov8(), {"head": "resnet"})
    put(folder, "wronghead", networks.yolov8(), {"head": "yolox"})
    put(folder, "wrongclass", networks.yolov8(), {"classes": {"car": 80}})
    put(folder, "nooutput", networks.yolov8(), {"head": "yolov8", "outputs": ["none"]})
    put(folder, "classify", networks.network(np.zeros((1, 1, 1000)), np.zeros((1, 1, 1000)), 224, 224))
    custom = networks.yolov8()
    custom.graph.node[4].op_type, custom.graph.node[4].domain = "Frobnicate", "acme"
    put(folder, "custom", custom)
    for name in ("garbage", "empty", "cut", "badxml"):
        refused(ai, name, f"The network {name}.", "neither an ONNX nor an OpenVINO IR file")
    refused(ai, "nobin", ".bin")
    refused(ai, "torch.pt", "PyTorch", ".onnx")
    refused(ai, "three", "3 classes", "three.json", '"classes"')
    refused(ai, "badkey", "badkey.json", "order")
    refused(ai, "badhead", "badhead.json", "head")
    refused(ai, "wronghead", "wronghead.onnx")
    refused(ai, "wrongclass", "80")
    refused(ai, "nooutput", "none")
    refused(ai, "classify", "1 x 1 x 1000", "head")
    refused(ai, "custom", "Frobnicate")
    refused(ai, "absent", "absent", "./gtv models")
    for outside in ("../v8.onnx", "/etc/passwd", "a/b"):
        refused(ai, outside, "MODELS_DIR")
    health = requests.get(f"{ai.url}/health", timeout=60).json()
    assert health["model"]["name"] == "v8" and health["message"] is None
    assert near(ai.boxes(), "car", CAR_AT_640)
    listed = {m["file"]: m for m in ai.models()["models"]}
    assert not listed["badkey.onnx"]["accepted"] and "order" in listed["badkey.onnx"]["reason"]
    assert not listed["nobin.xml"]["accepted"] and ".bin" in listed["nobin.xml"]["reason"]
    assert listed["v8.onnx"]["in_use"] and sum(m["in_use"] for m in listed.values()) == 1


def test_bodies_of_reload(ai):
    ai.use("v8")
    for body, field in [(b"[]", None), (b"{", None), (b'{"model":1}', "model"), (b'{"precision":"fp4"}', "precision"),
                        (b'{"precision":7}', "precision")]:
        answer = requests.post(f"{ai.url}/models/reload", data=body, timeout=60)
        assert answer.status_code == 422, answer.text
        assert field is None or answer.json()["field"] == field
    assert ai.use("v8", precision="f32")["precision"] == "f32"
    assert requests.post(f"{ai.url}/models/reload", timeout=60).json()["model"]["precision"] == "f32"  # as before
    answer = ai.reload(precision="int8")
    assert answer.status_code == 422 and "v8_int8.xml" in answer.text
    assert ai.use("v8", precision="auto")["precision"] in ("bf16", "f32")
    document = requests.get(f"{ai.url}/openapi.json", timeout=60).json()
    assert "get" in document["paths"]["/models"] and "post" in document["paths"]["/models/reload"]


def test_one_reload_at_a_time(ai):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            codes = [f.result().status_code for f in [pool.submit(ai.reload, model="v8") for _ in range(8)]]
            assert 200 in codes and set(codes) <= {200, 409}
            if 409 in codes:
                return
    pytest.fail("eight reloads at once never met")


def test_a_reload_loses_no_request(ai):
    put(ai.folder, "v5", networks.yolov5())
    stop, wrong, done = threading.Event(), [], []

    def post():
        session = requests.Session()
        while not stop.is_set():
            answer = session.post(f"{ai.url}/detect", json={"camera_id": 1, "image_base64": RED}, timeout=60)
            if answer.status_code != 200 or len(answer.json()["detections"]) != 1 or answer.json()["model"] not in ("v8", "v5"):
                wrong.append(answer.text)
            done.append(1)

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for i in range(8):
            ai.use("v5" if i % 2 == 0 else "v8")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:3]
    assert len(done) >= 8


def test_a_damaged_cache_is_made_again(ai, spawn):
    ai.use("v8")
    cached = list((ai.folder / "cache").glob("v8.onnx-*.net"))
    assert cached
    for i, file in enumerate(cached):
        blob = bytearray(file.read_bytes())
        blob[len(blob) // 2] ^= 0xFF
        file.write_bytes(bytes(blob) if i % 2 == 0 else blob[:len(blob) // 3])
    again = Own(spawn, ai.folder, YOLO_MODEL="v8.onnx", AI_INPUT_SIZE="320x192")
    assert near(again.boxes(), "car", CAR_AT_640)
    put(ai.folder, "open-192", networks.yolov8(320, 192, open_size=True))
    assert again.use("open-192")["height"] == 192


def test_int8_is_used_when_it_was_accepted(spawn, tmp_path):
    put(tmp_path, "net", networks.yolov8())
    convert = "import openvino, sys; openvino.save_model(openvino.Core().read_model(sys.argv[1]), sys.argv[2], compress_to_fp16=False)"
    subprocess.run(["/usr/bin/python3", "-c", convert, tmp_path / "net.onnx", tmp_path / "net_int8.xml"], check=True, timeout=60,
                   env={**os.environ, "PYTHONPATH": str(ROOT / ".deps" / "openvino")})
    sha = hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest()
    stat = (tmp_path / "net.onnx").stat()
    (tmp_path / "models.json").write_text(json.dumps({"models": [{
        "name": "net", "task": "detector", "path": "net.onnx", "licence": "MIT", "source": "shared",
        "files": [{"file": "net.onnx", "sha256": sha, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}]}]}))

    def judged(**quantised):
        (tmp_path / "net_int8.json").write_text(json.dumps({"name": "net_int8", "quantised": {"of": "net", "of_sha256": sha, **quantised}}))

    judged(accepted=False, reason="two boxes are elsewhere")
    ai = Own(spawn, tmp_path, YOLO_MODEL="net", ENABLE_GPU="true")
    model = ai.models()["model"]
    assert model["precision"] in ("bf16", "f32") and model["file"] == "net.onnx"
    assert "finds no GPU" in model["note"] and "finds no GPU" in ai.process.log()
    refused_answer = ai.reload(precision="int8")
    assert refused_answer.status_code == 422 and "two boxes are elsewhere" in refused_answer.text
    judged(accepted=True)
    model = ai.use("net")
    assert model["precision"] == "int8" and model["file"] == "net_int8.xml"
    assert near(ai.boxes(), "car", CAR_AT_640)
    listed = {m["file"]: m for m in ai.models()["models"]}
    assert listed["net_int8.xml"]["in_use"] and listed["net_int8.xml"]["quantised"] and listed["net_int8.xml"]["licence"] == "MIT"
    assert ai.use("net", precision="f32")["precision"] == "f32"
    judged(accepted=True, of_sha256="0" * 64)
    assert ai.use("net", precision="auto")["file"] == "net.onnx"
    shutil.copy(tmp_path / "net.onnx", tmp_path / "copy.onnx")
    os.replace(tmp_path / "copy.onnx", tmp_path / "net.onnx")  # other weights, for all that is known
    judged(accepted=True)
    assert ai.use("net")["file"] == "net.onnx"
    assert "has changed" in next(m for m in ai.models()["models"] if m["file"] == "net_int8.xml")["reason"]


def test_an_export_made_cheaper_finds_the_same(ai):
    tool = [ROOT / "tools" / "models" / "yolo.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".deps" / "openvino")}
    put(ai.folder, "whole", networks.ultralytics(classes=4, names=["pessoa", "Carro", "caminh\u00e3o", "bus"]))
    made = ai.folder / "whole_vehicles.xml"
    subprocess.run(["/usr/bin/python3", *tool, ai.folder / "whole.onnx", made], check=True, timeout=120, env=environment)
    assert json.loads(made.with_suffix(".json").read_text())["classes"] == ["car", "bus", "truck"]
    waves = "nullsrc=s=640x360,geq=r='128+110*sin(X/48)*cos(Y/30)':g='128+110*sin(X/26+Y/35)':b='128+110*cos(X/105-Y/18)'"
    jpeg = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", waves, "-frames:v", "1", "-q:v", "2", "-f", "mjpeg", "-"], check=True,
                          capture_output=True, timeout=60).stdout
    found = {}
    for name in ("whole", "whole_vehicles"):
        assert ai.use(name, precision="f32")["classes"] == ["car", "bus", "truck"]
        answer = ai.detect(base64.b64encode(jpeg).decode())
        assert answer.status_code == 200, answer.text
        found[name] = answer.json()["detections"]
    whole, made = found.values()
    assert len(whole) > 5 and len({d["object_type"] for d in whole}) > 1

    def same(a, b):
        near_ = all(abs(a["bbox"][k] - b["bbox"][k]) <= 1 for k in "xywh")
        return near_ and a["object_type"] == b["object_type"] and abs(a["confidence"] - b["confidence"]) < 2e-3

    # All but what stands on the edge of a threshold.
    assert abs(len(whole) - len(made)) <= 2
    assert sum(any(same(a, b) for b in made) for a in whole) >= len(whole) - 2
    # Newer exports join sides and scores each for themselves. (The tool compares what it made with what it was made of.)
    put(ai.folder, "newer", networks.ultralytics(apart=True))
    subprocess.run(["/usr/bin/python3", *tool, ai.folder / "newer.onnx", ai.folder / "newer_vehicles.xml"], check=True, timeout=120, env=environment)
    # What is built otherwise is refused, with its cause, and nothing is written.
    for model, cause in ((networks.yolov5(), "is Add, not Concat"), (networks.ultralytics(classes=3), "say it with --classes")):
        put(ai.folder, "odd", model)
        done = subprocess.run(["/usr/bin/python3", *tool, ai.folder / "odd.onnx", ai.folder / "odd_vehicles.xml"], capture_output=True, text=True,
                              timeout=120, env=environment)
        (ai.folder / "odd.onnx").unlink()
        assert done.returncode == 1 and cause in done.stderr and not (ai.folder / "odd_vehicles.xml").exists(), done.stderr
