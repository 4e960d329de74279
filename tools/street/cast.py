#!/usr/bin/python3
"""Casts the street: runs the real detectors over the clip and compares them with its truth.

    PYTHONPATH=.deps/openvino /usr/bin/python3 tools/street/cast.py [--clip F] [--truth F] [--step N]

For each vehicle it prints the share of its whole frames in which a detection of the right class
overlaps it by half or more, and at the end what was found where nothing drives. It ends with 1
where a vehicle falls below --floor with a detector that is required.
"""

import argparse
import json
import os
import subprocess
import sys

import numpy as np
import openvino

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VEHICLES = {2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
SIDE = 416


def decode(clip, width, height, step):
    """Every step-th frame as (number, RGB array)."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", clip, "-f", "rawvideo",
               "-pix_fmt", "rgb24", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as pipe:
        number = 0
        while True:
            data = pipe.stdout.read(width * height * 3)
            if len(data) < width * height * 3:
                return
            if number % step == 0:
                yield number, np.frombuffer(data, np.uint8).reshape(height, width, 3)
            number += 1


def stretch(image, width, height):
    """Bilinear resize that averages where it shrinks by two or more."""
    source_h, source_w = image.shape[:2]
    if source_w >= 2 * width and source_h >= 2 * height:
        image = image[: source_h // 2 * 2, : source_w // 2 * 2]
        image = (image[0::2, 0::2].astype(np.float32) + image[1::2, 0::2]
                 + image[0::2, 1::2] + image[1::2, 1::2]) / 4
        return stretch(image, width, height)
    image = image.astype(np.float32)
    ys = np.clip((np.arange(height) + 0.5) * image.shape[0] / height - 0.5, 0, image.shape[0] - 1.001)
    xs = np.clip((np.arange(width) + 0.5) * image.shape[1] / width - 0.5, 0, image.shape[1] - 1.001)
    y, x = ys.astype(int), xs.astype(int)
    fy, fx = (ys - y)[:, None, None].astype(np.float32), (xs - x)[None, :, None].astype(np.float32)
    rows = image[y] * (1 - fy) + image[y + 1] * fy
    return rows[:, x] * (1 - fx) + rows[:, x + 1] * fx


def overlap(box, boxes):
    left, top = np.maximum(box[0], boxes[:, 0]), np.maximum(box[1], boxes[:, 1])
    right, bottom = np.minimum(box[2], boxes[:, 2]), np.minimum(box[3], boxes[:, 3])
    both = np.maximum(0, right - left) * np.maximum(0, bottom - top)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return both / ((box[2] - box[0]) * (box[3] - box[1]) + area - both + 1e-9)


def suppress(boxes, scores, classes, limit=0.6):
    """The surest box of each place, whatever its class."""
    keep = []
    order = np.argsort(-scores)
    while len(order):
        best = order[0]
        keep.append((classes[best], float(scores[best]), boxes[best]))
        order = order[1:][overlap(boxes[best], boxes[order[1:]]) < limit]
    return keep


def pick(boxes, scores, threshold):
    """Vehicles only: a place whose surest class is another is left out."""
    best = scores.argmax(1)
    value = scores[np.arange(len(scores)), best]
    good = (value >= threshold) & np.isin(best, list(VEHICLES))
    return suppress(boxes[good], value[good], [VEHICLES[c] for c in best[good]])


def grid(stride, offset):
    n = -(-SIDE // stride)
    y, x = np.mgrid[0:n, 0:n]
    return (np.stack([x, y], -1).reshape(-1, 2) + offset).astype(np.float32)


def expectation(raw, bins):
    raw = raw.reshape(-1, 4, bins)
    e = np.exp(raw - raw.max(2, keepdims=True))
    return (e / e.sum(2, keepdims=True) * np.arange(bins)).sum(2)


class Distributed:
    """PicoDet and NanoDet: class scores and a distribution for each side of a box."""

    def __init__(self, core, path, mean, std, scale, bgr, bins, strides):
        self.model = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        self.mean, self.std = np.array(mean, np.float32), np.array(std, np.float32)
        self.scale, self.bgr, self.bins, self.strides = scale, bgr, bins, strides
        names = [next(iter(o.get_names()), "") for o in self.model.outputs]
        order = sorted(range(len(names)), key=lambda i: names[i]) if bgr else range(len(names))
        self.order = list(order)

    def __call__(self, image, threshold):
        height, width = image.shape[:2]
        x = stretch(image, SIDE, SIDE)
        if self.bgr:
            x = x[:, :, ::-1]
        x = (x * self.scale - self.mean) / self.std
        result = self.model(np.ascontiguousarray(x.transpose(2, 0, 1)[None]))
        outs = [np.asarray(result[i]) for i in self.order]
        n = len(self.strides)
        boxes, scores = [], []
        for i, stride in enumerate(self.strides):
            score = outs[i].reshape(-1, 80)
            side = expectation(outs[n + i], self.bins) * stride
            centre = grid(stride, 0.5) * stride
            boxes.append(np.hstack([centre - side[:, :2], centre + side[:, 2:]]))
            scores.append(score)
        boxes = np.vstack(boxes) * np.array([width, height, width, height]) / SIDE
        return pick(boxes, np.vstack(scores), threshold)


class Yolox:
    """YOLOX: raw centres and sizes, objectness times class."""

    def __init__(self, core, path):
        self.model = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def __call__(self, image, threshold):
        height, width = image.shape[:2]
        ratio = min(SIDE / width, SIDE / height)
        x = np.full((SIDE, SIDE, 3), 114, np.float32)
        w, h = round(width * ratio), round(height * ratio)
        x[:h, :w] = stretch(image, w, h)
        out = np.asarray(self.model(np.ascontiguousarray(x[:, :, ::-1].transpose(2, 0, 1)[None]))[0])
        out = out.reshape(-1, 85)
        cells = np.vstack([grid(s, 0) for s in (8, 16, 32)])
        stride = np.concatenate([np.full(len(grid(s, 0)), s) for s in (8, 16, 32)])[:, None]
        centre, size = (out[:, :2] + cells) * stride, np.exp(out[:, 2:4]) * stride
        boxes = np.hstack([centre - size / 2, centre + size / 2]) / ratio
        return pick(boxes, out[:, 4:5] * out[:, 5:], threshold)


def detectors(models, var, wanted):
    core = openvino.Core()
    found = {}
    imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    pico = os.path.join(models, "picodet_s_416.onnx")
    yolox = os.path.join(models, "yolox_nano_416.onnx")
    if "picodet" in wanted and os.path.exists(pico):
        found["picodet"] = Distributed(core, pico, *imagenet, 1 / 255, False, 8, (8, 16, 32, 64))
    if "yolox" in wanted and os.path.exists(yolox):
        found["yolox"] = Yolox(core, yolox)
    nano = sorted(f for f in os.listdir(var) if f.startswith("nanodet_g") and f.endswith(".xml")) \
        if os.path.isdir(var) else []
    if "nanodet" in wanted and nano:
        found["nanodet"] = Distributed(core, os.path.join(var, nano[0]), [103.53, 116.28, 123.675],
                                       [57.375, 57.12, 58.395], 1.0, True, 11, (8, 16, 32))
    return found


class Reader:
    """The plate recogniser, fed the true plate: whether plates can be read at all."""

    LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

    def __init__(self, core, path):
        self.model = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        self.reads = {}  # vehicle -> [(width, right, text)]

    @staticmethod
    def rectify(image, corner, width=128, height=64, margin=0.06):
        """The four-cornered place as a rectangle, sampled bilinearly."""
        u = (np.arange(width) + 0.5) / width * (1 + 2 * margin) - margin
        v = (np.arange(height) + 0.5) / height * (1 + 2 * margin) - margin
        u, v = np.meshgrid(u, v)
        tl, tr, br, bl = np.array(corner)
        # A plate is small and flat enough for a bilinear patch.
        at = (((1 - u) * (1 - v))[..., None] * tl + (u * (1 - v))[..., None] * tr
              + (u * v)[..., None] * br + ((1 - u) * v)[..., None] * bl) - 0.5
        x = np.clip(at[..., 0], 0, image.shape[1] - 1.001)
        y = np.clip(at[..., 1], 0, image.shape[0] - 1.001)
        xi, yi = x.astype(int), y.astype(int)
        fx, fy = (x - xi)[..., None], (y - yi)[..., None]
        i = image.astype(np.float32)
        return ((i[yi, xi] * (1 - fx) + i[yi, xi + 1] * fx) * (1 - fy)
                + (i[yi + 1, xi] * (1 - fx) + i[yi + 1, xi + 1] * fx) * fy)

    def add(self, image, present):
        for vehicle, box in present:
            plate = box["plate"]
            if plate is None:
                continue
            crop = self.rectify(image, plate["corners"])
            out = np.asarray(self.model(np.clip(crop + 0.5, 0, 255).astype(np.uint8)[None])[0])
            text = "".join(self.LETTERS[i] for i in out.reshape(9, 37).argmax(1)).replace("_", "")
            self.reads.setdefault(vehicle["id"], []).append((plate["w"], text == vehicle["plate"], text))

    def report(self, truth):
        for vehicle in truth["vehicles"]:
            reads = self.reads.get(vehicle["id"], [])
            right = [width for width, good, _ in reads if good]
            votes = {}
            for _, _, text in reads:
                votes[text] = votes.get(text, 0) + 1
            print("%-5s plate %s read right %d of %d frames (widest %.0f px, smallest read %.0f px), most often %s"
                  % (vehicle["id"], vehicle["plate"], len(right), len(reads),
                     max((r[0] for r in reads), default=0), min(right, default=0),
                     max(votes, key=votes.get) if votes else "-"))


def truth_by_frame(truth):
    frames = {}
    for vehicle in truth["vehicles"]:
        for box in vehicle["boxes"]:
            frames.setdefault(box["frame"], []).append((vehicle, box))
    return frames


def corners(box):
    return np.array([box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]])


class Tally:
    """One detector's record."""

    def __init__(self):
        self.hits, self.scores, self.misses, self.false = {}, {}, {}, []

    def add(self, frame, present, found):
        boxes = np.array([f[2] for f in found]).reshape(-1, 4)
        for vehicle, box in present:
            if not box["whole"] or box["visible"] < 0.7:
                continue
            near = overlap(corners(box), boxes) >= 0.5 if len(boxes) else np.array([], bool)
            right = [found[i][1] for i in np.flatnonzero(near) if found[i][0] == vehicle["class"]]
            self.hits.setdefault(vehicle["id"], []).append(bool(right))
            self.scores.setdefault(vehicle["id"], []).append(max(right, default=0.0))
            if not right:
                what = "/".join(sorted({found[i][0] for i in np.flatnonzero(near)})) or "-"
                self.misses.setdefault(vehicle["id"], []).append("%d:%s" % (frame, what))
        for name, score, box in found:
            # Half of it on a vehicle is no invention, nor is a guess at a vehicle that is only partly seen.
            covered = 0.0
            for _, real in present:
                r = corners(real)
                both = max(0, min(box[2], r[2]) - max(box[0], r[0])) * max(0, min(box[3], r[3]) - max(box[1], r[1]))
                area = (box[2] - box[0]) * (box[3] - box[1])
                if not real["whole"]:
                    area = min(area, real["w"] * real["h"])
                covered = max(covered, both / max(1e-9, area))
            if covered < 0.5:
                self.false.append((frame, name, round(score, 2), [int(v) for v in box]))


def report(truth, tallies, floor, required, verbose):
    good = True
    print("%-5s %-11s %-8s" % ("id", "class", "colour") + "".join("%22s" % n for n in tallies))
    for vehicle in truth["vehicles"]:
        line = "%-5s %-11s %-8s" % (vehicle["id"], vehicle["class"], vehicle["colour"])
        for name, tally in tallies.items():
            hits, scores = tally.hits.get(vehicle["id"], []), tally.scores.get(vehicle["id"], [0])
            share = sum(hits) / len(hits) if hits else 0.0
            line += "   %4d %5.1f%% ~%.2f" % (len(hits), 100 * share, float(np.median(scores)))
            if name in required and share < floor:
                line += " !"
                good = False
            else:
                line += "  "
        print(line)
        if verbose:
            for name, tally in tallies.items():
                if tally.misses.get(vehicle["id"]):
                    print("      %s missed %s" % (name, " ".join(tally.misses[vehicle["id"]])))
    for name, tally in tallies.items():
        print("%s: %d found where nothing drives" % (name, len(tally.false)), tally.false[:6])
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", default=os.path.join(ROOT, "var/street/street.mp4"))
    parser.add_argument("--truth", help="default: the clip's name with .json")
    parser.add_argument("--models", default=os.path.join(ROOT, "shared/models"))
    parser.add_argument("--var-models", default=os.path.join(ROOT, "var/models"))
    parser.add_argument("--detectors", default="picodet,yolox,nanodet")
    parser.add_argument("--required", default="picodet", help="detectors that must reach the floor")
    parser.add_argument("--confidence", type=float, default=0.3)
    parser.add_argument("--floor", type=float, default=0.95)
    parser.add_argument("--step", type=int, default=1, help="look at every step-th frame")
    parser.add_argument("--plates", action="store_true", help="also read the plates at their true place")
    parser.add_argument("--verbose", action="store_true", help="list the frames missed")
    options = parser.parse_args()
    if not os.path.isdir(options.models):
        options.models = os.path.join(os.path.dirname(ROOT), "shared/models")
    path = options.truth or os.path.splitext(options.clip)[0] + ".json"
    with open(path, encoding="utf-8") as source:
        truth = json.load(source)
    present = truth_by_frame(truth)
    nets = detectors(options.models, options.var_models, options.detectors.split(","))
    if not nets:
        sys.exit("cast: no weights in %s nor %s" % (options.models, options.var_models))
    tallies = {name: Tally() for name in nets}
    reader = None
    if options.plates:
        reader = Reader(openvino.Core(), os.path.join(options.models, "plate_ocr_cct_xs_v1.onnx"))
    for number, image in decode(options.clip, truth["width"], truth["height"], options.step):
        for name, net in nets.items():
            tallies[name].add(number, present.get(number, []), net(image, options.confidence))
        if reader is not None:
            reader.add(image, present.get(number, []))
    if reader is not None:
        reader.report(truth)
    good = report(truth, tallies, options.floor, options.required.split(","), options.verbose)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
