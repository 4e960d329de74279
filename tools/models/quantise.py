#!/usr/bin/python3
"""./gtv models --int8: an int8 version of a detector, and whether it may be used.

Calibrates with some pictures and judges with others: the int8 network is accepted when it says the
same as fp32 on them and costs less than the best other precision of this machine. Either way it is
written beside the original, with the verdict and its figures in its description.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHARED = os.path.join(os.path.dirname(ROOT), "shared", "data")
sys.path[:0] = [HERE, os.path.join(ROOT, "tools", "accuracy")]

# pylint: disable=wrong-import-position
import coco  # noqa: E402
import frames  # noqa: E402
import match  # noqa: E402
import measure  # noqa: E402

RECIPE = 1
DEFAULTS = ("picodet_s_416", "yolox_nano_416", "nanodet_g_416")
KINDS = ("car", "motorcycle", "bus", "truck")

# The limits of acceptance.
MATCHED = 0.98  # of the boxes at the threshold, from both sides, IoU .7, same kind
DIFFERENCE = 0.03  # of the scores, mean
MAP_LOSS = 0.01  # where labelled pictures are there
COST = 0.97  # of the cheapest other precision, at most
FEWEST = 60  # boxes to judge by
# Pictures: fewer to calibrate with are refused, more are not taken.
LEAST_CALIBRATION, MOST_CALIBRATION, MOST_JUDGED = 20, 300, 300

AGREEMENT_CONFIDENCE, MAP_CONFIDENCE = 0.05, 0.001

# What stays in floating point. Depthwise convolutions and squeeze-and-excitation have channels of very
# different ranges, which eight bits for all of them at once do not hold; they also cost little.
ELEMENTWISE = ["Add", "Multiply", "Divide", "Subtract", "Maximum", "Minimum", "HSwish", "HardSigmoid"]
ELEMENTWISE += ["ReduceMean", "Sigmoid", "Interpolate", "MaxPool", "Transpose", "Reshape", "VariadicSplit"]
ELEMENTWISE += ["Concat"]
RECIPES = {
    "all": [],
    "convolutions": ELEMENTWISE,
    "dense convolutions": ["GroupConvolution", *ELEMENTWISE],
}


def say(text):
    print(f"quantise: {text}", file=sys.stderr, flush=True)


class Refused(Exception):
    """Why there will be no int8 version, in one sentence."""


# ---- Pictures ----


def halves(path, work, count):
    """A file's pictures to calibrate with and to judge by. A clip is cut in two with a gap between; a picture
    belongs to one side by its name's hash, so that the sides do not change when others are added."""
    if path.lower().endswith(frames.PICTURES):
        odd = hashlib.sha256(os.path.basename(path).encode()).digest()[0] % 2
        return ([], [path]) if odd else ([path], [])
    folder = os.path.join(work, hashlib.sha256(path.encode()).hexdigest()[:16])
    return (
        frames.sample(path, count, os.path.join(folder, "a"), 0.0, 0.48),
        frames.sample(path, count, os.path.join(folder, "b"), 0.52, 1.0),
    )


def thinned(paths, most):
    """At even distances, no more than `most`."""
    if len(paths) <= most:
        return paths
    return [paths[i * len(paths) // most] for i in range(most)]


def gather(options, work):
    """(calibration, judging, sources): pictures by path, and names of where they come from."""
    if options.pictures:
        files = [
            path
            for folder in options.pictures
            for path in frames.listed(folder, frames.PICTURES + frames.CLIPS)
        ]
    else:
        # The slide show holds the pictures of the plates again.
        folders = [os.path.join(SHARED, "plates_br"), os.path.join(SHARED, "video")]
        folders.append(os.path.join(ROOT, "var", "street"))
        files = [
            path
            for folder in folders
            if os.path.isdir(folder)
            for path in frames.listed(folder, frames.PICTURES + frames.CLIPS)
            if "slideshow" not in os.path.basename(path)
        ]
    calibration, judging, sources = [], [], {}
    for path in files:
        mine, theirs = halves(path, work, options.frames)
        calibration += mine
        judging += theirs
        clip = path.lower().endswith(frames.CLIPS)
        source = os.path.basename(path) if clip else os.path.basename(os.path.dirname(path))
        kept = sources.setdefault(source, [0, 0])
        kept[0] += len(mine)
        kept[1] += len(theirs)
    calibration, judging = thinned(calibration, MOST_CALIBRATION), thinned(judging, MOST_JUDGED)
    if len(calibration) < LEAST_CALIBRATION or not judging:
        raise Refused(
            f"{len(calibration)} pictures to calibrate with and {len(judging)} to judge by are too few: name a "
            "folder with a hundred pictures or a clip of your cameras with --pictures"
        )
    return calibration, judging, sources


def size_of(path):
    """(rows, columns)."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height"]
    answer = subprocess.run(
        [*command, "-of", "csv=p=0:s=x", path], check=True, capture_output=True, text=True
    )
    columns, rows = answer.stdout.strip().split("x")[:2]
    return int(rows), int(columns)


class Prepared:
    """Pictures as input tensors, each made once."""

    def __init__(self, feed):
        self.feed, self.kept = feed, {}

    def __getitem__(self, path):
        if path not in self.kept:
            self.kept[path] = measure.prepare(path, size_of(path), self.feed["input"])
        return self.kept[path]


# ---- Networks ----


def read_network(folder, feed):
    import openvino

    core = openvino.Core()
    model = core.read_model(os.path.join(folder, feed["file"]))
    if model.is_dynamic():
        model.reshape([1, 3, feed["input"]["height"], feed["input"]["width"]])
    return model


def quantised(folder, feed, kept, calibration, prepared):
    """The int8 network of one recipe. Constants are folded and biases fused first: without that, steps stay
    between the layers that int8 cannot cross."""
    import nncf
    from openvino._offline_transformations import apply_moc_transformations

    model = read_network(folder, feed)
    apply_moc_transformations(model, cf=True, smart_reshape=False)
    return nncf.quantize(
        model,
        nncf.Dataset(calibration, lambda path: prepared[path][0]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(calibration),
        ignored_scope=nncf.IgnoredScope(types=kept, validate=False),
    )


class Network:
    """A compiled network on one thread."""

    def __init__(self, model, feed, precision):
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        self.feed = feed
        self.compiled = openvino.Core().compile_model(model, "CPU", settings)
        self.request = self.compiled.create_infer_request()

    def run(self, tensor):
        self.request.infer([tensor])

    def detect(self, prepared, confidence):
        """(kind, score, (x, y, w, h)) of each vehicle, the surest first, a hundred at most."""
        tensor, back = prepared
        self.run(tensor)
        outputs = [self.request.get_tensor(name).data for name in self.feed["outputs"]]
        boxes, scores = measure.HEADS[self.feed["head"]](outputs, self.feed)
        scores = scores[:, measure.VEHICLES]
        surest = scores.max(1)
        order = np.argsort(-surest)[:400]
        order = order[surest[order] >= confidence]
        boxes, scores, surest = boxes[order] * (*back, *back), scores[order], surest[order]
        kept = measure.suppress(boxes, surest, self.feed["nms_threshold"])[:100]
        return [
            (
                KINDS[int(scores[i].argmax())],
                float(surest[i]),
                (boxes[i][0], boxes[i][1], boxes[i][2] - boxes[i][0], boxes[i][3] - boxes[i][1]),
            )
            for i in kept
        ]


def costs(networks, tensor, rounds=40):
    """CPU ms of one inference of each, the median; turn by turn, so that what else the machine does falls
    on all."""
    spent = [[] for _ in networks]
    for turn in range(rounds + 3):
        for network, list_ in zip(networks, spent):
            started = time.process_time()
            network.run(tensor)
            if turn >= 3:
                list_.append((time.process_time() - started) * 1000)
    return [statistics.median(list_) for list_ in spent]


# ---- The verdict ----


class Judge:
    """fp32's own answers, and how another network's compare."""

    def __init__(self, folder, feed, judging, labelled, prepared):
        self.feed, self.judging, self.labelled, self.prepared = feed, judging, labelled, prepared
        self.reference = Network(read_network(folder, feed), feed, "f32")
        self.said, self.map = self.answers(self.reference)

    def answers(self, network):
        """(detections by path, mAP or None without labelled pictures)."""
        said = {path: network.detect(self.prepared[path], AGREEMENT_CONFIDENCE) for path in self.judging}
        if not self.labelled:
            return said, None
        found = {}
        for picture in self.labelled.pictures:
            path = self.labelled.path(picture)
            everything = network.detect(self.prepared[path], MAP_CONFIDENCE)
            found[picture["id"]] = everything
            said[path] = [d for d in everything if d[1] >= AGREEMENT_CONFIDENCE]
        return said, coco.Map(self.labelled, found).average

    def compare(self, network):
        """Figures of one network; `within` says whether they keep the limits."""
        agreement = match.Agreement(self.feed["score_threshold"])
        said, average = self.answers(network)
        for path, found in said.items():
            agreement.add(self.said[path], found)
        if agreement.boxes < 2 * FEWEST:
            raise Refused(
                f"fp32 finds too few vehicles in the pictures to judge by ({agreement.boxes // 2}, {FEWEST} are "
                "needed): name a folder with more traffic with --pictures"
            )
        loss = None if average is None else self.map - average
        return {
            "boxes": agreement.boxes,
            "matched": round(agreement.share, 4),
            "score_difference": round(agreement.difference, 4),
            "score_shift": round(agreement.shift, 4),
            "map": None if average is None else round(average, 4),
            "map_f32": None if average is None else round(self.map, 4),
            "within": agreement.share >= MATCHED
            and agreement.difference <= DIFFERENCE
            and (loss is None or loss <= MAP_LOSS),
        }


def able_bf16():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        flags = next((line for line in file if line.startswith("flags")), "").split()
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))


def reason_of(within, cheaper, worst, spent):
    """Why it may not be used, or None."""
    if not within:
        text = f"{worst['matched']:.1%} of the boxes match those of fp32, with scores {worst['score_difference']} apart"
        if worst["map"] is not None:
            text += f" and mAP {worst['map']} for {worst['map_f32']}"
        return text
    if not cheaper:
        return "it costs " + ", ".join(f"{ms} ms as {precision}" for precision, ms in spent.items())
    return None


def try_recipe(name, kept, folder, feed, calibration, judge):
    """One recipe's network with its figures."""
    model = quantised(folder, feed, kept, calibration, judge.prepared)
    # What is not int8 runs in fp32, or in bf16 where the machine has it: both must agree.
    rest = ["f32", "bf16"] if able_bf16() else ["f32"]
    figures = {precision: judge.compare(Network(model, feed, precision)) for precision in rest}
    plain = read_network(folder, feed)
    networks = [judge.reference, Network(model, feed, rest[-1])]
    networks += [Network(plain, feed, "bf16")] if able_bf16() else []
    tensor = judge.prepared[judge.judging[0]][0]
    spent = dict(zip(["f32", "int8", "bf16"], (round(ms, 2) for ms in costs(networks, tensor))))
    other = min(ms for precision, ms in spent.items() if precision != "int8")
    within = all([figure.pop("within") for figure in figures.values()])
    cheaper = spent["int8"] <= COST * other
    worst = min(figures.values(), key=lambda figure: figure["matched"])
    say(
        f"{feed['name']}, {name}: {worst['matched']:.1%} of {worst['boxes']} boxes matched, scores "
        f"{worst['score_difference']:.3f} apart, "
        + (f"mAP {worst['map']:.3f} (f32 {worst['map_f32']:.3f}), " if worst["map"] is not None else "")
        + ", ".join(f"{precision} {ms} ms" for precision, ms in spent.items())
        + ("" if within else ": outside the limits")
        + ("" if cheaper else ": not cheaper")
    )
    return {
        "model": model,
        "recipe": name,
        "figures": figures,
        "cpu_ms": spent,
        "matched": worst["matched"],
        "accepted": within and cheaper,
        "reason": reason_of(within, cheaper, worst, spent),
    }


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def write(folder, feed, result, sources, labelled):
    """The network first, its description last, each in its place by renaming."""
    import nncf
    import openvino

    name = f"{feed['name']}_int8"
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as part:
        openvino.save_model(result["model"], os.path.join(part, f"{name}.xml"), compress_to_fp16=False)
        description = {
            **feed,
            "name": name,
            "file": f"{name}.xml",
            "quantised": {
                "of": feed["name"],
                "of_sha256": sha256_of(os.path.join(folder, feed["file"])),
                "accepted": result["accepted"],
                **({} if result["accepted"] else {"reason": result["reason"]}),
                "agreement": result["figures"],
                "limits": {"matched": MATCHED, "score_difference": DIFFERENCE, "map_loss": MAP_LOSS},
                "cpu_ms": result["cpu_ms"],
                "calibrated_on": {source: count[0] for source, count in sources.items() if count[0]},
                "judged_on": {
                    **{source: count[1] for source, count in sources.items() if count[1]},
                    **({os.path.basename(labelled.folder): len(labelled.pictures)} if labelled else {}),
                },
                "recipe": {"version": RECIPE, "int8": result["recipe"], "nncf": nncf.__version__},
                "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
        }
        with open(os.path.join(part, f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(description, file, indent=2)
            file.write("\n")
        # A description that is there meanwhile must not vouch for another network.
        if os.path.exists(os.path.join(folder, f"{name}.json")):
            os.remove(os.path.join(folder, f"{name}.json"))
        for ending in ("bin", "xml", "json"):
            os.replace(os.path.join(part, f"{name}.{ending}"), os.path.join(folder, f"{name}.{ending}"))


def make(options, name, sets, labelled):
    """True when an int8 version of it was accepted."""
    calibration, judging, sources = sets
    with open(os.path.join(options.models, f"{name}.json"), encoding="utf-8") as file:
        feed = json.load(file)
    if feed["head"] not in measure.HEADS:
        raise Refused(f"{name} is no detector that this program can read (head {feed['head']})")
    prepared = Prepared(feed)
    judge = Judge(options.models, feed, judging, labelled, prepared)
    results = [
        try_recipe(recipe, kept, options.models, feed, calibration, judge)
        for recipe, kept in RECIPES.items()
        if not options.recipe or recipe == options.recipe
    ]
    accepted = [result for result in results if result["accepted"]]
    # The cheapest that may be used; else what agrees best, for the record.
    result = (
        min(accepted, key=lambda r: r["cpu_ms"]["int8"])
        if accepted
        else max(results, key=lambda r: r["matched"])
    )
    write(options.models, feed, result, sources, labelled)
    verdict = "accepted" if accepted else "refused, it will not be used"
    say(f"{name}_int8 ({result['recipe']}): {verdict}")
    return bool(accepted)


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="gtv models --int8", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--model", action="append", metavar="NAME", help="a detector; the default one without any")
    parser.add_argument(
        "--pictures", action="append", metavar="FOLDER", help="pictures and clips to calibrate and judge with"
    )
    parser.add_argument("--labelled", metavar="FOLDER", help="labelled pictures (instances.json), to judge by")
    parser.add_argument("--frames", type=int, default=40, metavar="N", help="of each half of a clip (40)")
    parser.add_argument("--recipe", choices=list(RECIPES), help="try only this one")
    parser.add_argument("--models", default=os.path.join(ROOT, "var", "models"), metavar="FOLDER")
    options = parser.parse_args(argv)
    options.models = os.path.abspath(options.models)
    for folder in options.pictures or []:
        if not os.path.isdir(folder):
            parser.error(f"--pictures: there is no folder {folder}")
    there = [name for name in DEFAULTS if os.path.exists(os.path.join(options.models, f"{name}.json"))]
    for name in options.model or []:
        if not os.path.exists(os.path.join(options.models, f"{name}.json")):
            parser.error(f"there is no network {name} in {options.models}; there are {', '.join(there)}")
    if not options.model and not there:
        parser.error(f"there is no detector in {options.models}: run ./gtv models")
    options.model = options.model or there[:1]
    return options


def main(argv=None):
    options = parse(argv)
    import nncf

    nncf.set_log_level(40)
    folder = options.labelled or os.path.join(SHARED, "coco_vehicles")
    labelled = coco.Labelled(folder) if os.path.exists(os.path.join(folder, "instances.json")) else None
    try:
        with tempfile.TemporaryDirectory(prefix="gtv-quantise-") as work:
            sets = gather(options, work)
            say(f"{len(sets[0])} pictures to calibrate with, {len(sets[1])} others to judge by")
            accepted = [make(options, name, sets, labelled) for name in options.model]
    except Refused as refused:
        say(f"{refused}")
        return 1
    except subprocess.CalledProcessError as error:
        say(f"a picture or clip cannot be read: {(error.stderr or b'')!r}")
        return 1
    return 0 if all(accepted) else 3


if __name__ == "__main__":
    sys.exit(main())
