#!/usr/bin/python3
"""./gtv accuracy: how right the detectors are, measured through gtv-ai itself.

Starts a gtv-ai for each network and precision, posts pictures to it like any client, and compares
what it answers: with the labels of pictures (`coco`), and with its own fp32 answers (`agreement`).
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHARED = os.path.join(os.path.dirname(ROOT), "shared", "data")
sys.path.insert(0, HERE)

# pylint: disable=wrong-import-position
import coco  # noqa: E402
import frames  # noqa: E402
import match  # noqa: E402
from service import Service, ServiceError  # noqa: E402

REFERENCE = "f32"
PRECISIONS = ("f32", "bf16", "int8")
# mAP looks at all that was found, however unsure; agreement at what is not far below the threshold.
MAP_CONFIDENCE = 0.001
AGREEMENT_CONFIDENCE = 0.05
SHORTEST = 24


def say(text):
    print(f"accuracy: {text}", file=sys.stderr, flush=True)


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


# ---- What is to be measured ----


def program_of(build):
    for name in ("gtv-ai", os.path.join("services", "ai", "gtv-ai")):
        path = os.path.join(build, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    sys.exit(f"accuracy: gtv-ai is not built in {build}")


def detectors(folder, wanted):
    """Names of the detectors that are there, in the order of the manifest."""
    try:
        listed = read_json(os.path.join(folder, "models.json"))["models"]
    except OSError:
        sys.exit(f"accuracy: there are no networks in {folder}: run ./gtv models")
    there = [model["name"] for model in listed if model["task"] == "detector"]
    for name in wanted or []:
        if name not in there and not os.path.exists(os.path.join(folder, f"{name}.json")):
            sys.exit(f"accuracy: there is no detector {name} in {folder}; there are {', '.join(there)}")
    return wanted or there


def precisions(folder, name, wanted):
    """Those that this machine and this network have."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        flags = set(next((line for line in file if line.startswith("flags")), "").split())
    able = ["f32"]
    if flags & {"avx512_bf16", "amx_bf16"}:
        able.append("bf16")
    if os.path.exists(os.path.join(folder, f"{name}_int8.xml")):
        able.append("int8")
    return [p for p in able if not wanted or p in wanted or p == REFERENCE]


class Run:
    """One network at one precision: what it answered."""

    def __init__(self, name, precision):
        self.name, self.precision = name, precision
        self.ran_as = ""  # what gtv-ai says it runs
        self.labelled = {}  # detections by the picture's id
        self.found = match.Found()
        self.map = self.merged = None  # kinds apart, and as one
        self.seen = {}  # detections by the path of a frame
        self.cpu_ms = None


def settings_of(options, run):
    """How gtv-ai is told to use it. A quantised network that was refused is still measured, by its path."""
    folder = options.models
    settings = {"MODELS_DIR": folder, "YOLO_MODEL": run.name, "AI_PRECISION": run.precision}
    settings["LPR_ENABLED"] = "false"  # the detector alone
    if run.precision == "int8":
        feed = read_json(os.path.join(folder, f"{run.name}_int8.json"))
        if not feed.get("quantised", {}).get("accepted"):
            settings["YOLO_MODEL"] = os.path.join(folder, f"{run.name}_int8.xml")
    return settings


def timed(service, pictures, threshold):
    """CPU of the whole program a picture, at the network's threshold, in ms."""
    # The first ones also fill caches.
    for picture in pictures[:3]:
        service.vehicles(picture, threshold)
    before = service.cpu_seconds()
    for picture in pictures:
        service.vehicles(picture, threshold)
    return (service.cpu_seconds() - before) * 1000 / len(pictures)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def measure(options, run, labelled, clips, log_path):
    """Everything that is asked of one network at one precision."""
    threshold = read_json(os.path.join(options.models, f"{run.name}.json"))["score_threshold"]
    with Service(options.program, log_path, settings_of(options, run), ROOT) as service:
        model = service.health["model"]
        run.ran_as = f"{model['name']} {model['precision']}"
        run.runtime = model["runtime"]
        pictures = []
        for picture in labelled.pictures if labelled else []:
            path = labelled.path(picture)
            pictures.append(read(path))
            found = service.vehicles(pictures[-1], MAP_CONFIDENCE, path)
            run.labelled[picture["id"]] = found
            run.found.add(labelled.truth[picture["id"]], found, threshold, SHORTEST)
        for path in (path for clip in clips.values() for path in clip):
            run.seen[path] = service.vehicles(read(path), AGREEMENT_CONFIDENCE, path)
        pictures = pictures or [read(path) for clip in clips.values() for path in clip]
        run.cpu_ms = timed(service, pictures, threshold)
    if labelled:
        run.map = coco.Map(labelled, run.labelled, options.resamples)
        run.merged = coco.Map(labelled, run.labelled, options.resamples, merged=True)
    run.threshold = threshold


# ---- Tables ----


def number(value, digits=3):
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-+").startswith("0.") and digits > 1 else text


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def table(heads, rows):
    return "\n".join([row(*heads), row(*["---"] * len(heads)), *[row(*cells) for cells in rows]])


def spread(values):
    found = coco.interval(values)
    return "" if not found else f"{number(found[0])} to {number(found[1])}"


def against(mine, reference):
    """The change against fp32 over the same resampled pictures."""
    if mine is reference or not mine.resampled:
        return ""
    pairs = zip(mine.resampled, reference.resampled)
    return f"{mine.average - reference.average:+.3f} ({spread([a[0] - b[0] for a, b in pairs])})"


def with_spread(result):
    return f"{number(result.average)} ({spread([average for average, _ in result.resampled])})"


def coco_text(runs, labelled):
    rows = []
    for run in runs:
        reference = next(r for r in runs if r.name == run.name and r.precision == REFERENCE)
        rows.append(
            [
                run.name,
                run.precision,
                with_spread(run.map),
                against(run.map, reference.map),
                number(run.map.half),
                with_spread(run.merged),
                against(run.merged, reference.merged),
                number(run.found.recall, 2),
                number(run.found.precision, 2),
                number(run.threshold, 2),
                number(run.found.kinds, 2),
                number(run.cpu_ms, 1),
            ]
        )
    heads = ["network", "precision", "mAP (90 %)", "against f32 (90 %)", "mAP at .5"]
    heads += ["AP, kinds merged (90 %)", "against f32 (90 %)"]
    heads += ["recall", "precision", "at", "kind right", "CPU ms a picture"]
    return (
        f"{len(labelled.pictures)} pictures with {labelled.boxes} vehicles of {labelled.folder}\n\n"
        + table(heads, rows)
    )


def agreement_of(run, reference, clip):
    total = match.Agreement(run.threshold)
    for path in clip:
        total.add(reference.seen[path], run.seen[path])
    return total


def agreement_text(runs, clips):
    rows = []
    for run in runs:
        reference = next(r for r in runs if r.name == run.name and r.precision == REFERENCE)
        if run is reference:
            continue
        total = match.Agreement(run.threshold)
        shares = []
        for paths in clips.values():
            part = agreement_of(run, reference, paths)
            total.join(part)
            shares.append(f"{number(part.share)} of {part.boxes}")
        rows.append(
            [run.name, run.precision, f"{number(total.share)} of {total.boxes}", number(total.difference)]
            + [f"{total.shift:+.3f}" if total.differences else "", *shares]
        )
    heads = ["network", "precision", "boxes matched", "mean difference of scores", "mean shift", *clips]
    count = sum(map(len, clips.values()))
    return f"{count} frames, boxes matched with those of f32 at IoU .7 and the same kind\n\n" + table(heads, rows)


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        name = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    commit = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    load = os.getloadavg()[0]
    return f"{name or platform.machine()}, {os.cpu_count()} processors, load {load:.1f}, commit {commit.stdout.strip()}"


# ---- The whole ----


def clips_of(options, work):
    """Frames of the second half of each clip: a quantised network was calibrated on the first."""
    given = options.clip or [
        path
        for folder in (os.path.join(SHARED, "video"), os.path.join(ROOT, "var", "street"))
        if os.path.isdir(folder)
        for path in frames.listed(folder, frames.CLIPS)
    ]
    clips = {}
    for path in given:
        name = os.path.splitext(os.path.basename(path))[0]
        clips[name] = frames.sample(path, options.frames, os.path.join(work, name), 0.52, 1.0)
    return clips


def as_json(runs):
    return [
        {
            "network": run.name,
            "precision": run.precision,
            "ran_as": run.ran_as,
            "threshold": run.threshold,
            "cpu_ms": run.cpu_ms,
            "map": run.map.average if run.map else None,
            "map_50": run.map.half if run.map else None,
            "map_interval": coco.interval([a for a, _ in run.map.resampled]) if run.map else None,
            "ap_merged": run.merged.average if run.merged else None,
            "recall": run.found.recall,
            "precision_at": run.found.precision,
            "kinds": run.found.kinds,
        }
        for run in runs
    ]


def detection(options, work):
    """The sections coco and agreement, which share their runs. Gives (title, text) of each, and the runs."""
    labelled, clips, texts = None, {}, []
    if "coco" in options.sections:
        folder = options.pictures or os.path.join(SHARED, "coco_vehicles")
        if os.path.exists(os.path.join(folder, "instances.json")):
            labelled = coco.Labelled(folder)
        else:
            say(f"coco is left out: there are no labelled pictures ({folder}/instances.json)")
    if "agreement" in options.sections:
        clips = clips_of(options, work)
        if not clips:
            say("agreement is left out: there is no clip")
    if not labelled and not clips:
        return [], []
    runs = []
    for name in detectors(options.models, options.model):
        for precision in precisions(options.models, name, options.precision):
            started = time.monotonic()
            run = Run(name, precision)
            try:
                measure(options, run, labelled, clips, os.path.join(work, f"{name}-{precision}.log"))
            except ServiceError as error:
                say(f"{name} {precision} is left out: {error}")
                if precision == REFERENCE:
                    break
                continue
            say(f"{run.ran_as}: {time.monotonic() - started:.0f} s")
            runs.append(run)
    if labelled and runs:
        texts.append(("Labelled pictures", coco_text(runs, labelled)))
    if clips and len(runs) > 1:
        texts.append(("Agreement with f32", agreement_text(runs, clips)))
    return texts, runs


def modules():
    """Sections that lie beside this file: each has NAME and text(options, work), which gives (title, text) or
    None when it has nothing to measure."""
    there = [name for name in ("plates", "passes", "confusion") if os.path.exists(os.path.join(HERE, f"{name}.py"))]
    return {name: importlib.import_module(name) for name in there}


def parse(argv):
    more = modules()
    known = ["coco", "agreement", *more]
    parser = argparse.ArgumentParser(prog="gtv accuracy", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(known)}; all without any")
    parser.add_argument("--model", action="append", metavar="NAME", help="only this network (repeatable)")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="only this one, and f32")
    parser.add_argument("--pictures", metavar="FOLDER", help="labelled pictures, with instances.json")
    parser.add_argument("--clip", action="append", metavar="FILE", help="instead of the known clips")
    parser.add_argument("--frames", type=int, default=40, metavar="N", help="of each clip (40)")
    parser.add_argument("--resamples", type=int, default=200, metavar="N", help="for the interval (200)")
    parser.add_argument("--models", default=os.path.join(ROOT, "var", "models"), metavar="FOLDER")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    options = parser.parse_args(argv)
    for name in options.sections:
        if name not in known:
            parser.error(f"there is no section {name}; there are {', '.join(known)}")
    if options.frames < 1 or options.resamples < 0:
        parser.error("--frames must be 1 or more, --resamples 0 or more")
    options.sections = options.sections or known
    options.models = os.path.abspath(options.models)
    options.program = program_of(os.environ.get("GTV_BUILD", os.path.join(ROOT, "build", "release")))
    return options, {name: module for name, module in more.items() if name in options.sections}


def main(argv=None):
    options, more = parse(argv)
    with tempfile.TemporaryDirectory(prefix="gtv-accuracy-") as work:
        texts, runs = detection(options, work)
        for module in more.values():
            text = module.text(options, work)
            texts += [text] if text else []
    if not texts:
        say("nothing was measured")
        return 1
    print(f"{time.strftime('%Y-%m-%d')}, {machine()}\n")
    print("\n\n".join(f"## {title}\n\n{text}" for title, text in texts))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine(), "runs": as_json(runs)}, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
