#!/usr/bin/python3
"""Measures the detectors of a folder on labelled pictures, fed as their sidecars say.

    PYTHONPATH=.deps/openvino tools/models/measure.py ../shared/data/coco_vehicles [NAME ...]

The pictures' folder holds instances.json in COCO's format. Recall and precision are of
vehicles, all four classes merged, with boxes of 24 pixels and more on the shorter side, at the
sidecar's score threshold and an overlap (IoU) of one half.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
VARIABLE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "var", "models")

# The four vehicle classes, counted from 0 in the list of 80: car, motorcycle, bus, truck.
VEHICLES = [2, 3, 5, 7]


def vehicles_of(feed):
    """Where they are among the network's own classes."""
    return VEHICLES if feed["classes"] == "coco80" else [feed["classes"].index(name) for name in ("car", "motorcycle", "bus", "truck")]
SHORTEST = 24


def decode(path, width=None, height=None):
    """The picture as RGB, stretched when a size is given, by ffmpeg."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-frames:v", "1"]
    if width:
        command += ["-vf", f"scale={width}:{height}:flags=bilinear"]
    command += ["-f", "image2pipe", "-c:v", "ppm", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    _, size, _, pixels = data.split(b"\n", 3)
    columns, rows = map(int, size.split())
    return np.frombuffer(pixels, np.uint8).reshape(rows, columns, 3)


def prepare(path, full, spec):
    """The input tensor, and what turns its coordinates back: (scale x, scale y)."""
    rows, columns = full
    width, height = spec["width"], spec["height"]
    if spec["resize"] == "stretch":
        image = decode(path, width, height)
        back = (columns / width, rows / height)
    else:
        ratio = min(width / columns, height / rows)
        inner = decode(path, round(columns * ratio), round(rows * ratio))
        image = np.full((height, width, 3), spec["pad"], np.uint8)
        image[: inner.shape[0], : inner.shape[1]] = inner
        back = (1 / ratio, 1 / ratio)
    if spec["order"] == "bgr":
        image = image[..., ::-1]
    if spec["type"] == "u8":
        image = np.ascontiguousarray(image[None] if spec["layout"] == "nhwc" else image.transpose(2, 0, 1)[None])
        return image, back
    tensor = (image.astype(np.float32) * spec["scale"] - spec["mean"]) / spec["std"]
    return tensor.transpose(2, 0, 1)[None].astype(np.float32), back


def grid(stride, feed):
    """Cell columns and rows of one stride, row by row."""
    columns = -(-feed["input"]["width"] // stride)
    rows = -(-feed["input"]["height"] // stride)
    y, x = np.mgrid[0:rows, 0:columns]
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)


def decode_bins(outputs, feed):
    """PicoDet and NanoDet: scores of each stride, then distributions of each stride."""
    levels = len(feed["strides"])
    boxes, scores = [], []
    for level, stride in enumerate(feed["strides"]):
        centre = (grid(stride, feed) + 0.5) * stride
        bins = outputs[levels + level][0].reshape(-1, 4, feed["bins"])
        power = np.exp(bins - bins.max(2, keepdims=True))
        reach = (power / power.sum(2, keepdims=True)) @ np.arange(feed["bins"]) * stride
        boxes.append(np.concatenate([centre - reach[:, :2], centre + reach[:, 2:]], 1))
        scores.append(outputs[level][0])
    return np.concatenate(boxes), np.concatenate(scores)


def decode_yolox(outputs, feed):
    out = outputs[0][0]
    cells = np.concatenate([grid(stride, feed) for stride in feed["strides"]])
    strides = np.concatenate([np.full((len(grid(s, feed)), 1), s) for s in feed["strides"]])
    centre = (out[:, :2] + cells) * strides
    half = np.exp(out[:, 2:4]) * strides / 2
    return np.concatenate([centre - half, centre + half], 1), out[:, 4:5] * out[:, 5:]


HEADS = {"picodet": decode_bins, "nanodet": decode_bins, "yolox": decode_yolox}


def overlap(box, boxes):
    """IoU of one box with many; boxes are x1 y1 x2 y2."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), 1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
    return common / (np.prod(box[2:] - box[:2]) + area - common + 1e-9)


def suppress(boxes, scores, threshold):
    """Class-agnostic: the surer of two boxes that overlap stays."""
    kept = []
    order = np.argsort(-scores)
    while order.size:
        kept.append(order[0])
        order = order[1:][overlap(boxes[order[0]], boxes[order[1:]]) <= threshold]
    return np.array(kept, int)


class Detector:
    def __init__(self, folder, name):
        import openvino

        with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as file:
            self.feed = json.load(file)
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        path = os.path.join(folder, self.feed["file"])
        self.model = openvino.Core().compile_model(path, "CPU", settings)
        self.request = self.model.create_infer_request()
        self.seconds = 0.0

    def detect(self, path, full):
        """Boxes in the picture's pixels, scores and classes of the vehicles found."""
        tensor, back = prepare(path, full, self.feed["input"])
        started = time.process_time()
        self.request.infer([tensor])
        self.seconds += time.process_time() - started
        outputs = [self.request.get_tensor(name).data for name in self.feed["outputs"]]
        boxes, scores = HEADS[self.feed["head"]](outputs, self.feed)
        scores = scores[:, vehicles_of(self.feed)]
        best = scores.max(1)
        sure = best >= self.feed["score_threshold"]
        boxes, scores, best = boxes[sure] * (*back, *back), scores[sure], best[sure]
        kept = suppress(boxes, best, self.feed["nms_threshold"])
        return boxes[kept], best[kept], scores[kept].argmax(1)


def match(box, truth, taken):
    """The index of the free truth that the box overlaps most, or None below one half."""
    shared = np.where(taken, 0, overlap(box, truth))
    if not shared.size or shared.max() < 0.5:
        return None
    return int(shared.argmax())


def measure(detector, folder, labels):
    categories = {3: 0, 4: 1, 6: 2, 8: 3}
    found = hits = wanted = class_right = 0
    for picture in labels["images"]:
        path = os.path.join(folder, picture["file_name"])
        notes = [n for n in labels["annotations"] if n["image_id"] == picture["id"]]
        notes = [n for n in notes if n["category_id"] in categories and not n.get("iscrowd")]
        truth = np.array([n["bbox"] for n in notes], float).reshape(-1, 4)
        truth[:, 2:] += truth[:, :2]
        big = (truth[:, 2:] - truth[:, :2]).min(1) >= SHORTEST if len(truth) else np.zeros(0, bool)
        boxes, _, classes = detector.detect(path, (picture["height"], picture["width"]))
        taken = np.zeros(len(truth), bool)
        for box, kind in zip(boxes, classes):
            index = match(box, truth, taken)
            if index is None:
                found += (box[2:] - box[:2]).min() >= SHORTEST
                continue
            taken[index] = True
            if big[index]:
                hits, found = hits + 1, found + 1
                class_right += categories[notes[index]["category_id"]] == kind
        wanted += int(big.sum())
    milliseconds = detector.seconds * 1000 / len(labels["images"])
    return hits / max(wanted, 1), hits / max(found, 1), class_right / max(hits, 1), milliseconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("pictures", help="a folder with instances.json")
    parser.add_argument("names", nargs="*", help="detectors; all that are there, without any")
    parser.add_argument("--models", default=VARIABLE, help="the folder of models")
    args = parser.parse_args()
    with open(os.path.join(args.pictures, "instances.json"), encoding="utf-8") as file:
        labels = json.load(file)
    with open(os.path.join(args.models, "models.json"), encoding="utf-8") as file:
        there = [m["name"] for m in json.load(file)["models"] if m["task"] == "detector"]
    for name in args.names or there:
        if name not in there:
            sys.exit(f"measure.py: there is no detector {name} in {args.models}")
        detector = Detector(args.models, name)
        recall, precision, right, cost = measure(detector, args.pictures, labels)
        print(
            f"{name}: recall {recall:.2f} precision {precision:.2f} at "
            f"{detector.feed['score_threshold']}, class right {right:.2f}, {cost:.1f} ms of CPU"
        )


if __name__ == "__main__":
    main()
