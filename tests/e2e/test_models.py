"""The weights supply: tools/models/fetch.py as the user's command runs it.

Most tests give it a small manifest of their own, an origin on a loopback port and a package
client that is a script, so that they need neither weights nor a network.
"""

import hashlib
import http.server
import json
import os
import pty
import shutil
import signal
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FETCH = ROOT / "tools" / "models" / "fetch.py"
MEASURE = ROOT / "tools" / "models" / "measure.py"
OPENVINO = ROOT / ".deps" / "openvino"
SHARED = ROOT.parent / "shared" / "models"
PICTURES = ROOT.parent / "shared" / "data" / "coco_vehicles"
PYTHON = "/usr/bin/python3"

DEAD = "http://127.0.0.1:1"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/models here")
needs_registry = pytest.mark.skipif(
    os.environ.get("GTV_TEST_REGISTRY") != "1", reason="144 MB: only with GTV_TEST_REGISTRY=1"
)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Origin:
    """A loopback HTTP server that answers like the origins' host."""

    def __init__(self):
        self.files = {}
        self.asked = []
        self.hang = threading.Event()
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                origin.asked.append(self.path)
                data = origin.files.get(self.path)
                if data == "hang":
                    origin.hang.wait(60)
                    return
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def origin():
    server = Origin()
    yield server
    server.close()


DETECTOR = b"a detector" * 5000
READER = b"a reader of plates" * 3000
GRAPH, WEIGHTS = b'{"a": "graph"}', b"its weights" * 1000

CONVERTER = """
import shutil, sys
assert open(sys.argv[1], "rb").read() == {graph!r}
shutil.copy(sys.argv[2], sys.argv[3])
shutil.copy(sys.argv[2], sys.argv[3][:-3] + "bin")
"""

PACKAGE_CLIENT = """#!/bin/sh
echo "$@" >> {calls}
test -f {tarball} || {{ echo "npm error code ENOTFOUND" >&2; exit 1; }}
cp {tarball} a-package-1.0.0.tgz
"""


class Bench:
    """A folder to fetch into, and a manifest of three small models."""

    def __init__(self, tmp_path):
        self.dest = tmp_path / "models"
        self.shared = tmp_path / "shared"
        self.shared.mkdir()
        self.tmp = tmp_path
        self.origin = DEAD
        self.calls = tmp_path / "calls"
        self.tarball = tmp_path / "registry.tgz"
        self.bin = tmp_path / "bin"
        self.bin.mkdir()
        self.manifest = tmp_path / "manifest.json"
        converter = tmp_path / "converter.py"
        converter.write_text(CONVERTER.format(graph=GRAPH))
        client = self.bin / "npm"
        client.write_text(PACKAGE_CLIENT.format(calls=self.calls, tarball=self.tarball))
        client.chmod(0o755)
        plain = {"licence": "MIT", "feed": {"head": "none"}}
        at = {"commit": "0" * 40, "path": "a folder/x.onnx"}
        self.models = [
            {"name": "finder", "task": "detector", "file": "finder.onnx", "size": len(DETECTOR),
             "sha256": sha256(DETECTOR), "origins": [{"repository": "a/b", **at}], **plain},
            {"name": "reader", "task": "ocr", "file": "reader.onnx", "size": len(READER),
             "sha256": sha256(READER), "origins": [
                 {"repository": "a/c", "release": "1.0", "asset": "r.onnx"},
                 {"repository": "a/d", **at}], **plain},
            {"name": "packed", "task": "detector", "file": "packed.xml",
             "companions": ["packed.bin"], **plain,
             "package": {"name": "@a/package", "version": "1.0.0", "size": 1000, "recipe": 1,
                         "convert": str(converter), "members": [
                             {"path": "package/g.json", "size": len(GRAPH), "sha256": sha256(GRAPH)},
                             {"path": "package/w.bin", "size": len(WEIGHTS),
                              "sha256": sha256(WEIGHTS)}]}},
        ]  # fmt: skip
        self.save()

    def save(self):
        self.manifest.write_text(json.dumps({"format": 1, "models": self.models}))

    def publish(self, weights=WEIGHTS):
        with tarfile.open(self.tarball, "w:gz") as archive:
            for name, data in (("g.json", GRAPH), ("w.bin", weights), ("other", b"unwanted")):
                path = self.tmp / name
                path.write_bytes(data)
                archive.add(path, f"package/{name}")

    def command(self, *options):
        return [
            PYTHON, str(FETCH), "--dest", str(self.dest), "--shared", str(self.shared),
            "--manifest", str(self.manifest), "--origin-base", self.origin,
            "--openvino", str(OPENVINO), *options,
        ]  # fmt: skip

    def environment(self):
        return os.environ | {"PATH": f"{self.bin}:{os.environ['PATH']}", "no_proxy": "127.0.0.1"}

    def run(self, *options, path=None):
        environment = self.environment()
        if path is not None:
            environment["PATH"] = path
        return subprocess.run(
            self.command(*options), env=environment, capture_output=True, text=True, timeout=60
        )

    def state(self):
        return json.loads((self.dest / "models.json").read_text())

    def sources(self):
        return {model["name"]: model["source"] for model in self.state()["models"]}

    def leftovers(self):
        return [path.name for path in self.dest.iterdir() if "part" in path.name]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def one_sentence(done):
    """The single line on standard error of a run that failed, and no trace of Python's."""
    assert done.returncode == 1, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("models: "), done.stderr
    return lines[0]


def test_shared_folder_comes_first(bench, origin):
    bench.origin = origin.url
    (bench.shared / "finder.onnx").write_bytes(DETECTOR)
    (bench.shared / "reader.onnx").write_bytes(READER)
    done = bench.run()
    assert done.returncode == 0, done
    assert bench.sources() == {"finder": "shared", "reader": "shared"}
    assert (bench.dest / "finder.onnx").read_bytes() == DETECTOR
    assert origin.asked == []
    assert bench.state()["detector"] == "finder"
    feed = json.loads((bench.dest / "finder.json").read_text())
    assert (feed["name"], feed["file"], feed["head"]) == ("finder", "finder.onnx", "none")


def test_what_is_there_is_not_fetched_again(bench):
    (bench.shared / "finder.onnx").write_bytes(DETECTOR)
    (bench.shared / "reader.onnx").write_bytes(READER)
    assert bench.run().returncode == 0
    shutil.rmtree(bench.shared)
    before = (bench.dest / "models.json").stat().st_mtime_ns
    started = time.monotonic()
    done = bench.run()
    assert done.returncode == 0, done
    assert time.monotonic() - started < 20
    assert (bench.dest / "models.json").stat().st_mtime_ns == before


def test_corrupted_file_is_fetched_again(bench):
    (bench.shared / "finder.onnx").write_bytes(DETECTOR)
    (bench.shared / "reader.onnx").write_bytes(READER)
    assert bench.run().returncode == 0
    (bench.dest / "finder.onnx").write_bytes(DETECTOR[:-1] + b"!")
    done = bench.run()
    assert done.returncode == 0, done
    assert "fetching it again" in done.stdout
    assert (bench.dest / "finder.onnx").read_bytes() == DETECTOR


def test_corrupted_file_that_cannot_be_replaced_is_removed(bench):
    (bench.shared / "finder.onnx").write_bytes(DETECTOR)
    assert bench.run().returncode == 0
    (bench.shared / "finder.onnx").unlink()
    (bench.dest / "finder.onnx").write_bytes(b"spoilt")
    one_sentence(bench.run())
    assert not (bench.dest / "finder.onnx").exists()
    assert not (bench.dest / "finder.json").exists()


def test_wrong_hash_is_refused_everywhere(bench, origin):
    bench.origin = origin.url
    (bench.shared / "finder.onnx").write_bytes(b"x" * len(DETECTOR))
    origin.files["/a/b/raw/" + "0" * 40 + "/a%20folder/x.onnx"] = DETECTOR + b"more"
    bench.publish(weights=b"x" * len(WEIGHTS))
    said = one_sentence(bench.run())
    assert "SHA-256" in said
    assert bench.state()["models"] == []
    assert sorted(path.name for path in bench.dest.iterdir()) == [".lock", "models.json"]


def test_origin_is_next_and_every_origin_is_tried(bench, origin):
    bench.origin = origin.url
    at = "0" * 40 + "/a%20folder/x.onnx"
    origin.files[f"/a/b/raw/{at}"] = DETECTOR
    origin.files[f"/a/d/raw/{at}"] = READER
    done = bench.run()
    assert done.returncode == 0, done
    assert bench.sources() == {"finder": "origin", "reader": "origin"}
    assert origin.asked == [
        f"/a/b/raw/{at}", "/a/c/releases/download/1.0/r.onnx", f"/a/d/raw/{at}"
    ]  # fmt: skip
    assert not bench.calls.exists()


def test_package_is_the_last_way(bench):
    bench.publish()
    done = bench.run()
    assert done.returncode == 0, done
    assert bench.sources() == {"packed": "registry"}
    assert (bench.dest / "packed.bin").read_bytes() == WEIGHTS
    assert [entry["name"] for entry in bench.state()["missing"]] == ["finder", "reader"]
    assert not list(bench.dest.rglob("*.tgz")) and not bench.leftovers()
    # Neither the package nor the origin is asked again soon after.
    assert bench.run().returncode == 0
    assert len(bench.calls.read_text().splitlines()) == 1


def test_damaged_conversion_is_made_again(bench):
    bench.publish()
    assert bench.run().returncode == 0
    (bench.dest / "packed.bin").write_bytes(b"spoilt")
    done = bench.run()
    assert done.returncode == 0, done
    assert (bench.dest / "packed.bin").read_bytes() == WEIGHTS


def test_without_any_source_one_sentence_says_how(bench):
    done = bench.run()
    said = one_sentence(done)
    assert "no vehicle detector is installed" in said
    assert "ENOTFOUND" in said and "cannot be reached" in said
    assert "./gtv models" in said and "finder.onnx" in said
    state = bench.state()
    assert state["detector"] is None and state["message"] in said
    # The next start says the same without asking the network again.
    assert one_sentence(bench.run()) == said
    assert len(bench.calls.read_text().splitlines()) == 1
    bench.run("--retry")
    assert len(bench.calls.read_text().splitlines()) == 2


def test_found_in_the_shared_folder_after_a_failed_search(bench):
    one_sentence(bench.run())
    (bench.shared / "finder.onnx").write_bytes(DETECTOR)
    assert bench.run().returncode == 0
    assert bench.sources() == {"finder": "shared"}


def test_missing_package_client_is_named(bench):
    bench.publish()
    said = one_sentence(bench.run("--only-source", "registry", path="/nonexistent"))
    assert "npm is not installed" in said


def test_model_asked_for_by_name(bench):
    (bench.shared / "finder.onnx").write_bytes(DETECTOR)
    said = one_sentence(bench.run("--model", "finder", "reader"))
    assert "reader" in said and "finder (" not in said
    assert bench.sources() == {"finder": "shared"}
    assert bench.state()["message"] is None
    assert bench.run("--model", "nobody").returncode == 2


def test_spoilt_state_is_found_out_again(bench):
    (bench.shared / "finder.onnx").write_bytes(DETECTOR)
    assert bench.run("--model", "finder").returncode == 0
    entry = bench.state()["models"][0]
    for text in ("", "[]", "{}", '{"format": 1, "models": [{"name": "finder"}], "missing": []}'):
        (bench.dest / "models.json").write_text(text)
        done = bench.run("--model", "finder")
        assert done.returncode == 0, (text, done)
        assert bench.state()["models"][0] == entry | {"source": "found"}


def test_interrupted_it_leaves_nothing_behind(bench, origin):
    bench.origin = origin.url
    origin.files["/a/b/raw/" + "0" * 40 + "/a%20folder/x.onnx"] = "hang"
    process = subprocess.Popen(
        bench.command(), env=bench.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # As in a terminal: what a shell starts in the background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not origin.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    assert bench.leftovers()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and stderr == b"", (process.returncode, stdout, stderr)
    assert not bench.leftovers()


def test_two_at_once_wait_for_each_other(bench):
    bench.publish()
    runs = [
        subprocess.Popen(bench.command(), env=bench.environment(), stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [run.wait(timeout=60) for run in runs] == [0, 0]
    assert len(bench.calls.read_text().splitlines()) == 1


def test_progress_is_drawn_on_a_terminal_only(bench):
    (bench.shared / "finder.onnx").write_bytes(DETECTOR)
    (bench.shared / "reader.onnx").write_bytes(READER)
    leader, follower = pty.openpty()
    subprocess.run(bench.command(), env=bench.environment(), stdout=follower, check=True)
    os.close(follower)
    drawn = os.read(leader, 1 << 16)
    os.close(leader)
    assert b"\r" in drawn.replace(b"\r\n", b"\n") and b"100%" in drawn
    shutil.rmtree(bench.dest)
    assert "%" not in bench.run().stdout
    shutil.rmtree(bench.dest)
    assert bench.run("--quiet").stdout == ""


def test_manifest_is_whole():
    manifest = json.loads((FETCH.parent / "manifest.json").read_text())
    for model in manifest["models"]:
        assert model["task"] in ("detector", "plate", "ocr")
        assert model["licence"] and model["project"]
        feed = model["feed"]
        assert feed["input"]["order"] in ("rgb", "bgr")
        assert feed["input"]["resize"] in ("stretch", "letterbox-topleft", "letterbox-center")
        assert len(feed["input"]["mean"]) == len(feed["input"]["std"]) == 3
        assert feed["head"] and feed["outputs"]
        if "package" in model:
            assert all(len(m["sha256"]) == 64 for m in model["package"]["members"])
        else:
            assert len(model["sha256"]) == 64 and model["origins"]


@needs_shared
def test_real_weights_from_the_shared_folder(tmp_path):
    command = [PYTHON, str(FETCH), "--dest", str(tmp_path), "--shared", str(SHARED)]
    subprocess.run([*command, "--only-source", "shared"], check=True, timeout=60)
    state = json.loads((tmp_path / "models.json").read_text())
    pinned = dict(reversed(line.split()) for line in (SHARED / "SHA256SUMS").open())
    assert {model["files"][0]["file"]: model["sha256"] for model in state["models"]} == pinned
    started = time.monotonic()
    subprocess.run(command, check=True, timeout=60)
    assert time.monotonic() - started < 20


@needs_shared
def test_the_network_of_vehicles_alone_says_what_the_whole_one_says(tmp_path):
    command = [PYTHON, str(FETCH), "--dest", str(tmp_path), "--shared", str(SHARED), "--only-source", "shared"]
    subprocess.run([*command, "--model", "picodet_s_416", "--openvino", str(OPENVINO)], check=True, timeout=120)
    feed = json.loads((tmp_path / "picodet_s_416.json").read_text())
    assert (feed["file"], feed["classes"]) == ("picodet_s_416_vehicles.xml", ["car", "motorcycle", "bus", "truck"])
    # It takes the picture's bytes; the shuffles of its channels are gone, and what it says is the same.
    assert (feed["input"]["type"], feed["input"]["layout"], feed["input"]["std"]) == ("u8", "nhwc", [1, 1, 1])
    compare = """
import json, sys, numpy, openvino
settings, core = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}, openvino.Core()
spec = next(m["feed"]["input"] for m in json.load(open(sys.argv[3]))["models"] if m["name"] == "picodet_s_416")
picture = numpy.random.default_rng(1).integers(0, 256, (1, 416, 416, 3), numpy.uint8)
floats = ((picture * spec["scale"] - spec["mean"]) / spec["std"]).astype(numpy.float32).transpose(0, 3, 1, 2)
whole, vehicles = (core.compile_model(file, "CPU", settings)([given]) for file, given in zip(sys.argv[1:], (floats, picture)))
ops = [node.get_type_name() for node in core.read_model(sys.argv[2]).get_ordered_ops()]
before = [node.get_type_name() for node in core.read_model(sys.argv[1]).get_ordered_ops()]
assert before.count("Transpose") - ops.count("Transpose") == 9 and "HardSigmoid" in before and "HardSigmoid" not in ops
for a, b in zip(whole.values(), vehicles.values()):
    a = a[..., [2, 3, 5, 7]] if a.shape[-1] == 80 else a
    assert a.shape == b.shape and numpy.abs(a - b).max() < 5e-5
"""
    files = [str(tmp_path / "picodet_s_416.onnx"), str(tmp_path / feed["file"]), str(FETCH.with_name("manifest.json"))]
    subprocess.run([PYTHON, "-c", compare, *files], check=True, timeout=120, env=os.environ | {"PYTHONPATH": str(OPENVINO)})
    # Spoilt, it is made again; with another network to be made of, too.
    (tmp_path / "picodet_s_416_vehicles.bin").write_bytes(b"spoilt")
    subprocess.run([*command, "--openvino", str(OPENVINO)], check=True, timeout=120)
    assert (tmp_path / "picodet_s_416_vehicles.bin").stat().st_size > 1_000_000
    # Where it cannot be made, the whole network serves.
    (tmp_path / "picodet_s_416_vehicles.xml").unlink()
    subprocess.run([*command, "--openvino", str(tmp_path / "nowhere")], check=True, timeout=120)
    feed = json.loads((tmp_path / "picodet_s_416.json").read_text())
    assert (feed["file"], feed["classes"], feed["input"]["type"]) == ("picodet_s_416.onnx", "coco80", "f32")


@needs_registry
def test_detector_out_of_the_package_finds_vehicles(tmp_path):
    command = [PYTHON, str(FETCH), "--dest", str(tmp_path), "--openvino", str(OPENVINO)]
    subprocess.run([*command, "--only-source", "registry"], check=True, timeout=1500)
    state = json.loads((tmp_path / "models.json").read_text())
    assert state["detector"] == "nanodet_g_416"
    assert not list(tmp_path.rglob("*.tgz"))
    if not PICTURES.is_dir():
        return
    done = subprocess.run(
        [PYTHON, str(MEASURE), "--models", str(tmp_path), str(PICTURES)],
        env=os.environ | {"PYTHONPATH": str(OPENVINO)},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    words = done.stdout.split()
    assert float(words[words.index("recall") + 1]) >= 0.55, done.stdout
    assert float(words[words.index("precision") + 1]) >= 0.65, done.stdout
