"""Tracks and counts of whole clips, with the real network: gtv-ai-clip against the street's truth and a hand count."""

import json
import subprocess

import pytest

from conftest import ROOT, binary

SECONDS = 30
MOTORWAY = json.loads((ROOT / "tests" / "data" / "tracks" / "motorway.json").read_text())
VIDEOS = ROOT.parent / "shared" / "data" / "video"


def run(*arguments):
    done = subprocess.run([binary("gtv-ai-clip"), *map(str, arguments)], capture_output=True, text=True, timeout=300,
                          env={"TBB_ENABLE_SANITIZERS": "1", "ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def picodet(models):
    if not (models / "picodet_s_416.json").exists():
        pytest.skip("the counts are those of PicoDet-S, whose weights are not at hand")
    return models


@pytest.fixture(scope="module")
def truth(street):
    return json.loads((street / "street.json").read_text())


@pytest.fixture(scope="module")
def scene(truth, tmp_path_factory):
    """The street's own counting lines: from the near kerb to the far one, so that its near lane crosses forward."""
    size = truth["width"], truth["height"]
    lines = [{"id": line["id"], "points": [[line["x1"] / size[0], line["y1"] / size[1]], [line["x2"] / size[0], line["y2"] / size[1]]]}
             for line in truth["lines"]]
    path = tmp_path_factory.mktemp("scene") / "scene.json"
    path.write_text(json.dumps({"lines": lines}))
    return path


@pytest.fixture(scope="module")
def looks(picodet, street, scene, tmp_path_factory):
    """What the network sees in the first part of the street, five times a second."""
    path = tmp_path_factory.mktemp("looks") / "street.jsonl"
    run("--looks", 5, "--seconds", SECONDS, "--models", picodet, "--scene", scene, "--save", path, street / "street.mp4")
    return path


@pytest.mark.parametrize("rate", [5, 2.5, 1])
def test_street_counts_by_class_are_exact(looks, scene, truth, rate):
    summary = run("--saved", "--looks", rate, "--scene", scene, looks)[-1]["summary"]
    expected = {}
    for vehicle in truth["vehicles"]:
        direction = "forward" if vehicle["direction"] == "away" else "backward"
        for crossing in vehicle["crossings"]:
            if crossing["t_s"] < SECONDS - 1.5:
                key = crossing["line"], direction, vehicle["class"]
                expected[key] = expected.get(key, 0) + 1
    counted = {(line, direction, name): n for line, sides in summary["lines"].items() for direction, names in sides.items()
               for name, n in names.items() if n and name != "all"}
    assert counted == expected


def test_street_crossings_are_told_at_their_moment(looks, scene, truth):
    said = [e for e in run("--saved", "--events", "--looks", 5, "--scene", scene, looks) if e.get("event") == "line.crossed"]
    assert said
    times = [c["t_s"] for v in truth["vehicles"] for c in v["crossings"]]
    assert all(min(abs(e["t_s"] - t) for t in times) < 0.15 for e in said)


def test_motorway_counts_are_within_one_of_the_hand_count(picodet, tmp_path):
    clip = VIDEOS / MOTORWAY["clip"]
    if not clip.exists():
        pytest.skip("the motorway clip is not at hand")
    scene = tmp_path / "scene.json"
    scene.write_text(json.dumps(MOTORWAY["scene"]))
    lines = run("--looks", 5, "--models", picodet, "--scene", scene, clip)[-1]["summary"]["lines"]
    for name, direction in MOTORWAY["direction"].items():
        other = "forward" if direction == "backward" else "backward"
        assert abs(lines[name][direction]["all"] - MOTORWAY["count"][name]) <= 1, lines
        assert lines[name][other]["all"] <= 1, lines


@pytest.mark.parametrize("arguments,words", [
    (["/nonexistent.mp4"], "/nonexistent.mp4"),
    (["--scene", "/nonexistent.json", "/nonexistent.mp4"], "/nonexistent.json"),
])
def test_what_cannot_be_read_is_named(arguments, words):
    done = subprocess.run([binary("gtv-ai-clip"), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and words in done.stderr


def test_bad_settings_are_named_by_field(tmp_path):
    scene = tmp_path / "scene.json"
    scene.write_text('{"zones":[{"id":"z","points":[[0,0],[1,0],[1,2]]}]}')
    done = subprocess.run([binary("gtv-ai-clip"), "--scene", str(scene), "x.mp4"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "zones[0].points[2]" in done.stderr
