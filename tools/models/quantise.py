#!/usr/bin/python3
"""./gtv models --int8: an int8 version of a detector, and whether it may be used.

The pictures are cut into two sides. A network is calibrated with each side and judged by the other,
so that all pictures judge and none judges what it made. It is accepted when it says the same as fp32
and costs less than the best other precision of this machine. Either way it is written beside the
original, with the verdict and its figures in its description.
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
AP_LOSS = 0.01  # where labelled pictures are there; the kinds as one, for of some there are too few boxes
COST = 0.97  # of the cheapest other precision, at most
FEWEST = 60  # boxes to judge by
LEAST = 20  # pictures of a side
MOST = 300  # pictures of a side that calibrate; all judge

AGREEMENT_CONFIDENCE, MAP_CONFIDENCE = 0.05, 0.001

# What stays in floating point. The channels of depthwise convolutions have very different ranges, which eight
# bits for all of them at once do not hold; they also cost little.
ELEMENTWISE = ["Add", "Multiply", "Divide", "Subtract", "Maximum", "Minimum", "HSwish", "HardSigmoid"]
ELEMENTWISE += ["ReduceMean", "Sigmoid", "Interpolate", "MaxPool", "Transpose", "Reshape", "VariadicSplit"]
ELEMENTWISE += ["Concat"]
RECIPES = {
    "all": [],
    "dense convolutions": ["GroupConvolution", *ELEMENTWISE],
}


def say(text):
    print(f"quantise: {text}", file=sys.stderr, flush=True)


class Refused(Exception):
    """Why there will be no int8 version, in one sentence."""


# ---- Pictures ----


def halves(path, work, count):
    """A file's pictures for either side. A clip is cut in two with a gap between; a picture belongs to one side
    by its name's hash, so that the sides do not change when others are added."""
    if path.lower().endswith(frames.PICTURES):
        odd = hashlib.sha256(os.path.basename(path).encode()).digest()[0] % 2
        return ([], [path]) if odd else ([path], [])
    folder = os.path.join(work, hashlib.sha256(path.encode()).hexdigest()[:16])
    return (
        frames.sample(path, count, os.path.join(folder, "a"), 0.0, 0.48),
        frames.sample(path, count, os.path.join(folder, "b"), 0.52, 1.0),
    )


def files_of(options):
    """The files to take pictures from."""
    folders = options.pictures
    if not folders:
        folders = [os.path.join(SHARED, "plates_br"), os.path.join(SHARED, "video")]
        folders.append(os.path.join(ROOT, "var", "street"))
    # The slide show holds the pictures of the plates again.
    return [
        path
        for folder in folders
        if os.path.isdir(folder)
        for path in frames.listed(folder, frames.PICTURES + frames.CLIPS)
        if options.pictures or "slideshow" not in os.path.basename(path)
    ]


def gather(options, labelled, work):
    """(sides, sources): the two lists of pictures, and how many of each came from where."""
    files = files_of(options)
    files += [labelled.path(picture) for picture in labelled.pictures] if labelled else []
    sides, sources = ([], []), {}
    for path in files:
        clip = path.lower().endswith(frames.CLIPS)
        source = os.path.basename(path) if clip else os.path.basename(os.path.dirname(path))
        counts = sources.setdefault(source, [0, 0])
        for i, part in enumerate(halves(path, work, options.frames)):
            sides[i].extend(part)
            counts[i] += len(part)
    fewest = min(map(len, sides))
    if fewest < LEAST:
        raise Refused(
            f"{len(sides[0])} and {len(sides[1])} pictures to calibrate and to judge with are too few: name a "
            "folder with a hundred pictures or a clip of your cameras with --pictures"
        )
    return sides, sources


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
    # Those of squeeze-and-excitation weigh whole channels and cost nothing: eight bits would be saved in vain.
    weighing = [
        op.get_friendly_name()
        for op in model.get_ordered_ops()
        if kept and op.get_type_name() == "Convolution" and list(op.output(0).get_shape())[2:] == [1, 1]
    ]
    return nncf.quantize(
        model,
        nncf.Dataset(calibration, lambda path: prepared[path][0]),
        preset=nncf.QuantizationPreset.PERFORMANCE if kept else nncf.QuantizationPreset.MIXED,
        subset_size=min(len(calibration), MOST),
        ignored_scope=nncf.IgnoredScope(types=kept, names=weighing, validate=False),
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
        scores = scores[:, measure.vehicles_of(self.feed)]
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
    """fp32's own answers, and how other networks' compare."""

    def __init__(self, folder, feed, sides, labelled, prepared):
        self.feed, self.sides, self.labelled, self.prepared = feed, sides, labelled, prepared
        self.numbers = {labelled.path(p): p["id"] for p in labelled.pictures} if labelled else {}
        self.reference = Network(read_network(folder, feed), feed, "f32")
        self.said = self.answers(self.reference, [*sides[0], *sides[1]])
        self.average, self.merged = self.averages(self.said)

    def answers(self, network, paths):
        """Detections by path; of labelled pictures all of them, however unsure."""
        return {
            path: network.detect(
                self.prepared[path], MAP_CONFIDENCE if path in self.numbers else AGREEMENT_CONFIDENCE
            )
            for path in paths
        }

    def averages(self, said):
        """(mAP, AP with the kinds as one), or None for both without labelled pictures."""
        if not self.labelled:
            return None, None
        found = {number: said[path] for path, number in self.numbers.items()}
        return tuple(coco.Map(self.labelled, found, merged=merged).average for merged in (False, True))

    def agreement(self, said):
        total = match.Agreement(self.feed["score_threshold"])
        for path, found in said.items():
            both = (
                [d for d in detections if d[1] >= AGREEMENT_CONFIDENCE]
                for detections in (self.said[path], found)
            )
            total.add(*both)
        return total

    def compare(self, models, precision):
        """models: calibrated with the first side and with the second. Figures of both together, each on the
        side that it has not seen, and of the first alone, which is the one to be used; and whether both keep
        the limits."""
        parts = [
            self.answers(Network(model, self.feed, precision), side)
            for model, side in zip(models, reversed(self.sides))
        ]
        said = {**parts[0], **parts[1]}
        agreement, own = self.agreement(said), self.agreement(parts[0])
        if agreement.boxes < 2 * FEWEST or not own.boxes:
            raise Refused(
                f"fp32 finds too few vehicles in the pictures ({agreement.boxes // 2}, {FEWEST} are needed): name a "
                "folder with more traffic with --pictures"
            )
        average, merged = self.averages(said)
        within = all(a.share >= MATCHED and a.difference <= DIFFERENCE for a in (agreement, own))
        figures = {
            "boxes": agreement.boxes,
            "matched": round(agreement.share, 4),
            "score_difference": round(agreement.difference, 4),
            "score_shift": round(agreement.shift, 4),
            "own_boxes": own.boxes,
            "own_matched": round(own.share, 4),
            "own_score_difference": round(own.difference, 4),
        }
        if self.labelled:
            figures.update(map=round(average, 4), map_f32=round(self.average, 4))
            figures.update(ap_merged=round(merged, 4), ap_merged_f32=round(self.merged, 4))
            within = within and self.merged - merged <= AP_LOSS
        return figures, within


def able_bf16():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        flags = next((line for line in file if line.startswith("flags")), "").split()
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))


def reason_of(within, cheaper, worst, spent):
    """Why it may not be used, or None."""
    if not within:
        text = f"{worst['matched']:.1%} of the boxes match those of fp32, with scores {worst['score_difference']} apart"
        if "map" in worst:
            text += f" and AP {worst['ap_merged']} for {worst['ap_merged_f32']}"
        return text
    if not cheaper:
        return "it costs " + ", ".join(f"{ms} ms as {precision}" for precision, ms in spent.items())
    return None


def try_recipe(name, kept, folder, feed, judge):
    """One recipe's network with its figures."""
    models = [quantised(folder, feed, kept, side, judge.prepared) for side in judge.sides]
    # What is not int8 runs in fp32, or in bf16 where the machine has it: both must agree.
    rest = ["f32", "bf16"] if able_bf16() else ["f32"]
    figures, within = {}, True
    for precision in rest:
        figures[precision], keeps = judge.compare(models, precision)
        within = within and keeps
    networks = [judge.reference, Network(models[0], feed, rest[-1])]
    networks += [Network(read_network(folder, feed), feed, "bf16")] if able_bf16() else []
    tensor = judge.prepared[judge.sides[0][0]][0]
    spent = dict(zip(["f32", "int8", "bf16"], (round(ms, 2) for ms in costs(networks, tensor))))
    other = min(ms for precision, ms in spent.items() if precision != "int8")
    cheaper = spent["int8"] <= COST * other
    worst = min(figures.values(), key=lambda figure: figure["matched"])
    say(
        f"{feed['name']}, {name}: {worst['matched']:.1%} of {worst['boxes']} boxes matched, scores "
        f"{worst['score_difference']:.3f} apart, "
        + (f"AP {worst['ap_merged']:.3f} (f32 {worst['ap_merged_f32']:.3f}), " if "map" in worst else "")
        + ", ".join(f"{precision} {ms} ms" for precision, ms in spent.items())
        + ("" if within else ": outside the limits")
        + ("" if cheaper else ": not cheaper")
    )
    return {
        "model": models[0],
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


def write(folder, feed, result, sources):
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
                "limits": {"matched": MATCHED, "score_difference": DIFFERENCE, "ap_merged_loss": AP_LOSS},
                "cpu_ms": result["cpu_ms"],
                "calibrated_on": {source: count[0] for source, count in sources.items() if count[0]},
                "judged_on": {source: count[1] for source, count in sources.items() if count[1]},
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


def make(options, name, sides, sources, labelled):
    """True when an int8 version of it was accepted."""
    with open(os.path.join(options.models, f"{name}.json"), encoding="utf-8") as file:
        feed = json.load(file)
    if feed.get("head") not in measure.HEADS:
        raise Refused(f"{name} is no detector that this program can read (head {feed.get('head')})")
    judge = Judge(options.models, feed, sides, labelled, Prepared(feed))
    results = [
        try_recipe(recipe, kept, options.models, feed, judge)
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
    write(options.models, feed, result, sources)
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
            sides, sources = gather(options, labelled, work)
            say(f"{len(sides[0])} and {len(sides[1])} pictures, either side judges the other's network")
            accepted = [make(options, name, sides, sources, labelled) for name in options.model]
    except Refused as refused:
        say(f"{refused}")
        return 1
    except subprocess.CalledProcessError as error:
        say(f"a picture or clip cannot be read: {(error.stderr or b'')!r}")
        return 1
    return 0 if all(accepted) else 3


if __name__ == "__main__":
    sys.exit(main())
