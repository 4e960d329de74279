"""./gtv accuracy: its matching on boxes made up here, and one run through a real gtv-ai."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys

import pytest
from conftest import BUILD, ROOT

TOOLS = ROOT / "tools" / "accuracy"


def load(name, folder=TOOLS):
    spec = importlib.util.spec_from_file_location(f"gtv_{name}", folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


match, coco = load("match"), load("coco")


@pytest.fixture(scope="module")
def quantise():
    """The tool itself, without the packages that only quantising needs."""
    pytest.importorskip("numpy")
    return load("quantise", ROOT / "tools" / "models")


def test_overlap():
    assert match.overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert match.overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert match.overlap((0, 0, 10, 10), (10, 0, 10, 10)) == 0
    assert match.overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0


def test_recall_and_precision_of_vehicles_merged():
    found = match.Found()
    truth = [("car", (0, 0, 100, 100)), ("bus", (200, 0, 100, 100)), ("car", (400, 0, 20, 100)), ("car", (600, 0, 50, 50))]
    detections = [
        ("truck", 0.9, (2, 0, 100, 100)),  # found, of another kind
        ("car", 0.8, (0, 0, 100, 90)),  # the same box a second time: a false alarm
        ("bus", 0.7, (200, 0, 100, 100)),  # found
        ("car", 0.6, (400, 0, 20, 100)),  # too small to count, either way
        ("car", 0.6, (900, 0, 20, 20)),  # a false alarm, too small to count
        ("car", 0.2, (600, 0, 50, 50)),  # not sure enough
    ]
    found.add(truth, detections, 0.5)
    assert (found.wanted, found.hits, found.found, found.right) == (3, 2, 3, 1)
    assert found.recall == pytest.approx(2 / 3) and found.precision == pytest.approx(2 / 3) and found.kinds == 0.5
    assert match.Found().recall is None


def test_agreement_is_counted_from_both_sides():
    agreement = match.Agreement(0.5)
    reference = [("car", 0.9, (0, 0, 100, 100)), ("car", 0.55, (200, 0, 100, 100)), ("bus", 0.6, (400, 0, 100, 100)), ("car", 0.1, (0, 300, 9, 9))]
    other = [("car", 0.8, (3, 0, 100, 100)), ("car", 0.45, (200, 0, 100, 100)), ("truck", 0.6, (400, 0, 100, 100)), ("car", 0.7, (600, 0, 50, 50))]
    agreement.add(reference, other)
    # The first pair counts twice, the second once (one side is below); bus, truck and the new car have no partner.
    assert (agreement.boxes, agreement.matched) == (6, 3)
    assert agreement.differences == pytest.approx([-0.1, -0.1])
    assert agreement.share == 0.5 and agreement.difference == pytest.approx(0.1) and agreement.shift == pytest.approx(-0.1)


def test_agreement_with_itself_is_whole():
    agreement = match.Agreement(0.5)
    same = [("car", 0.9, (0, 0, 100, 100)), ("car", 0.8, (10, 0, 100, 100))]
    agreement.add(same, same)
    assert agreement.share == 1 and agreement.difference == 0
    assert match.Agreement(0.5).share is None


def test_interval():
    assert coco.interval([]) is None
    assert coco.interval(list(range(101)), 0.9) == (5, 95)
    assert coco.interval([3.0]) == (3.0, 3.0)


def labelled_folder(folder, pictures=4):
    labels = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(1, pictures + 1)],
        "categories": [{"id": number, "name": kind} for kind, number in coco.CATEGORIES.items()],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 3 if i % 2 else 6, "bbox": [10 * i, 10, 100, 80], "area": 8000, "iscrowd": 0}
            for i in range(1, pictures + 1)
        ],
    }
    (folder / "instances.json").write_text(json.dumps(labels))
    return coco.Labelled(str(folder))


def test_labels_are_read(tmp_path):
    labelled = labelled_folder(tmp_path)
    assert labelled.boxes == 4 and labelled.truth[1] == [("car", [10, 10, 100, 80])] and labelled.truth[2][0][0] == "bus"


def test_map_of_perfect_and_of_no_answers(tmp_path):
    pytest.importorskip("pycocotools")
    labelled = labelled_folder(tmp_path)
    perfect = {number: [(kind, 0.9, tuple(box)) for kind, box in truth] for number, truth in labelled.truth.items()}
    whole = coco.Map(labelled, perfect, resamples=3)
    assert whole.average == pytest.approx(1) and whole.half == pytest.approx(1) and len(whole.resampled) == 3
    shifted = {number: [(k, s, (x + 20, y, w, h)) for k, s, (x, y, w, h) in found] for number, found in perfect.items()}
    assert 0 < coco.Map(labelled, shifted).average < 0.6 and coco.Map(labelled, shifted).half == pytest.approx(1)
    assert coco.Map(labelled, {}, resamples=2).average == 0
    wrong = {number: [("truck", s, box) for _, s, box in found] for number, found in perfect.items()}
    assert coco.Map(labelled, wrong).average < 0.5 and coco.Map(labelled, wrong, merged=True).average == pytest.approx(1)


def test_pictures_keep_their_side_and_clips_are_cut_in_two(quantise, tmp_path, street):
    sides = {name: [bool(part) for part in quantise.halves(f"/a/{name}", "", 5)] for name in ("x.jpg", "y.jpg", "z.png", "w.jpg")}
    assert all(sorted(side) == [False, True] for side in sides.values())
    assert sides == {name: [bool(p) for p in quantise.halves(f"/elsewhere/{name}", "", 5)] for name in sides}
    mine, theirs = quantise.halves(str(street / "street.mp4"), str(tmp_path), 3)
    assert len(mine) == len(theirs) == 3

    def contents(paths):
        return {hashlib.sha256(open(path, "rb").read()).digest() for path in paths}

    assert not contents(mine) & contents(theirs)


def test_too_few_pictures_are_refused(quantise, tmp_path):
    (tmp_path / "one.jpg").write_bytes(b"")
    options = type("Options", (), {"pictures": [str(tmp_path)], "frames": 3})
    with pytest.raises(quantise.Refused, match="too few"):
        quantise.gather(options, None, str(tmp_path))


def run(*args):
    return subprocess.run([sys.executable, TOOLS / "run.py", *args], env={**os.environ, "GTV_BUILD": str(BUILD)}, capture_output=True, text=True,
                          timeout=300, check=False)


def test_agreement_through_the_program(street, models, tmp_path):
    out = tmp_path / "figures.json"
    name = json.loads((models / "models.json").read_text())["detector"]
    answer = run("agreement", "--models", models, "--model", name, "--precision", "bf16", "--clip", street / "street.mp4", "--frames", "3",
                 "--json", out)
    runs = json.loads(out.read_text())["runs"] if out.exists() else []
    if "avx512_bf16" not in open("/proc/cpuinfo", encoding="ascii", errors="replace").read():
        assert answer.returncode == 1 and "nothing was measured" in answer.stderr
        return
    assert answer.returncode == 0, answer.stderr
    assert "Agreement with f32" in answer.stdout and "| street |" in answer.stdout
    assert [r["ran_as"] for r in runs] == [f"{name} f32", f"{name} bf16"]
    assert all(r["cpu_ms"] > 0 for r in runs)


def test_wrong_command_lines(models):
    assert run("--frames", "0").returncode == 2
    assert run("nonsense").returncode == 2
    answer = run("coco", "--models", models, "--model", "no_such_network")
    assert answer.returncode == 1 and "no detector no_such_network" in answer.stderr
