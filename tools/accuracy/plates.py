"""Plate reading: located, read exactly, characters right, and how far the confidence can be believed.

Pictures are posted to gtv-ai as they are, with everything that a client would get; the chain is also
measured with each recogniser alone, and with what a package registry alone has.
"""

import csv
import json
import os
import subprocess
import sys

from service import Service, ServiceError

NAME = "plates"
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHARED = os.path.join(os.path.dirname(ROOT), "shared", "data")

# The reference chain's exact reads of the same 57 pictures (../shared/models/README.md).
REFERENCE = 0.860
DETECTION_CONFIDENCE = 0.5  # as clients have it
LENGTH = 7

# What runs, by name: LPR_MODEL; the first is the default, everything that is there.
CHAINS = {
    "both recognisers": "",
    "CCT-xs alone": "plate_y5fu_320,plate_ocr_cct_xs_v1",
    "PP-OCRv4 alone": "plate_y5fu_320,ppocr_v4_rec",
    "from the registry alone": "ppocr_v4_det,ppocr_v4_rec",
}
THRESHOLDS = (0.2, 0.5, 0.7, 0.85, 0.95, 0.99)
BINS = ((0.2, 0.5), (0.5, 0.7), (0.7, 0.85), (0.85, 0.95), (0.95, 0.99), (0.99, 1.001))
# The street: frames in which a plate is whole and at least so wide, in pixels; so many of each vehicle.
STREET_WIDTH = 35
STREET_FRAMES = 4


class Case:
    """A picture with the plate that is to be read in it; box (x, y, w, h) or None where it is not known."""

    def __init__(self, path, plate, box=None):
        self.path, self.plate, self.box = path, plate, box


# ---- What there is to read ----


def pictures_of(folder):
    with open(os.path.join(folder, "labels.csv"), encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            box = tuple(float(line[key]) for key in "xywh")
            yield Case(os.path.join(folder, line["file"]), line["plate"], box)


def frame(clip, seconds, path):
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-ss", f"{seconds:.3f}", "-i", clip]
        + ["-frames:v", "1", "-q:v", "2", "-y", path],
        check=True,
    )
    return path


def slideshow_of(clip, work):
    """Two frames of each picture of the clip; its .csv says what is shown when."""
    with open(os.path.splitext(clip)[0] + ".csv", encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            start, end = float(line["start_s"]), float(line["end_s"])
            for share in (0.3, 0.8):
                at = start + share * (end - start)
                yield Case(frame(clip, at, os.path.join(work, f"{at:.2f}.jpg")), line["plate"])


def street_of(folder, work):
    """Some frames of each vehicle of the synthetic street, where its plate can be read."""
    with open(os.path.join(folder, "street.json"), encoding="utf-8") as file:
        truth = json.load(file)
    wanted = {}
    for vehicle in truth["vehicles"]:
        seen = [b for b in vehicle["boxes"] if b["plate"] and b["plate"]["w"] >= STREET_WIDTH]
        for box in seen[:: max(1, len(seen) // STREET_FRAMES)][:STREET_FRAMES]:
            plate = tuple(box["plate"][key] for key in "xywh")
            wanted.setdefault(box["frame"], []).append((vehicle["plate"], plate))
    for number, plates in sorted(wanted.items()):
        # ffmpeg takes the first frame that is not before the time.
        path = frame(
            os.path.join(folder, "street.mp4"), max(0, number - 0.3) / truth["fps"], os.path.join(work, f"s{number}.jpg")
        )
        for plate, box in plates:
            yield Case(path, plate, box)


def sets(work):
    """(title, cases) of each set that is there."""
    br = os.path.join(SHARED, "plates_br")
    if os.path.exists(os.path.join(br, "labels.csv")):
        yield "pictures", list(pictures_of(br))
    clip = os.path.join(SHARED, "video", "br_plates_slideshow.mp4")
    if os.path.exists(clip):
        yield "slideshow, 720p", list(slideshow_of(clip, work))
    street = os.path.join(ROOT, "var", "street")
    if os.path.exists(os.path.join(street, "street.json")):
        yield "synthetic street", list(street_of(street, work))


# ---- What was read ----


def right_characters(read, plate):
    """Characters of the plate that were read at their place."""
    return sum(a == b for a, b in zip(read or "", plate))


def holds(box, plate):
    """Whether the middle of what was found lies in the plate's true box, widened by a fifth."""
    x, y = plate["x"] + plate["w"] / 2, plate["y"] + plate["h"] / 2
    dx, dy = box[2] * 0.2, box[3] * 0.2
    return box[0] - dx <= x <= box[0] + box[2] + dx and box[1] - dy <= y <= box[1] + box[3] + dy


def reading_of(case, detections):
    """The detection that is the case's plate, or None. Without a true box: the largest plate of the picture."""
    found = [d for d in detections if d["plate_bbox"]]
    if case.box:
        found = [d for d in found if holds(case.box, d["plate_bbox"])]
    return max(found, key=lambda d: d["plate_bbox"]["w"] * d["plate_bbox"]["h"], default=None)


class Result:
    """One chain over one set."""

    def __init__(self):
        self.count = self.vehicles = self.located = self.exact = self.right = 0
        self.readings = []  # (confidence, exact) of what was read
        self.wrong = []
        self.cpu_ms = 0.0

    def add(self, case, detections):
        self.count += 1
        self.vehicles += any(not d.get("from_plate") for d in detections)
        reading = reading_of(case, detections)
        if reading is None:
            self.wrong.append(f"{case.plate}: not found")
            return
        self.located += 1
        read = reading["plate_number"]
        self.right += right_characters(read, case.plate)
        self.exact += read == case.plate
        if read:
            self.readings.append((reading["plate_confidence"], read == case.plate))
        if read != case.plate:
            self.wrong.append(f"{case.plate}: {read or 'unreadable'} ({reading['plate_confidence']:.2f})")


def run(options, models, cases, log):
    """None when the chain's networks are not there."""
    settings = {"MODELS_DIR": options.models, "LPR_MODEL": models, "LPR_ENABLED": "true"}
    result = Result()
    answers = {}
    with Service(options.program, log, settings, ROOT) as service:
        if not service.health["plates"]["enabled"]:
            return None
        before = service.cpu_seconds()
        for case in cases:
            if case.path not in answers:
                with open(case.path, "rb") as file:
                    answer = service.detect(file.read(), DETECTION_CONFIDENCE, case.path)
                answers[case.path] = answer["detections"]
            result.add(case, answers[case.path])
        result.cpu_ms = (service.cpu_seconds() - before) * 1000 / max(1, len(answers))
    return result


# ---- Tables ----


def share(part, whole):
    if not whole:
        return ""
    text = f"{part / whole:.3f}"
    return text[1:] if text.startswith("0") else text


def table(heads, rows):
    line = lambda cells: "| " + " | ".join(cells) + " |"  # noqa: E731
    return "\n".join([line(heads), line(["---"] * len(heads)), *[line(row) for row in rows]])


def stages(results):
    rows = []
    for (title, chain), r in results.items():
        rows.append(
            [title, chain, str(r.count), share(r.vehicles, r.count), share(r.located, r.count)]
            + [share(r.exact, r.count), share(r.right, r.count * LENGTH), share(r.right, r.located * LENGTH)]
            + [f"{r.cpu_ms:.0f}"]
        )
    heads = ["set", "chain", "plates", "a vehicle found", "plate located", "exact plate", "characters"]
    return table([*heads, "characters where located", "CPU ms a picture"], rows)


def coverage(readings, count):
    rows = []
    for threshold in THRESHOLDS:
        kept = [exact for confidence, exact in readings if confidence >= threshold]
        rows.append([f"{threshold:.2f}", share(len(kept), count), share(sum(kept), len(kept)), str(len(kept) - sum(kept))])
    return table(["confidence from", "share of plates read", "of these exact", "wrong"], rows)


def reliability(readings):
    rows = []
    for low, high in BINS:
        part = [(c, exact) for c, exact in readings if low <= c < high]
        if part:
            mean = sum(c for c, _ in part) / len(part)
            exact = sum(e for _, e in part)
            rows.append([f"{low:.2f} to {min(high, 1):.2f}", str(len(part)), f"{mean:.3f}", share(exact, len(part))])
    return table(["confidence", "readings", "mean confidence", "exact"], rows)


def text(options, work):
    """The section of ./gtv accuracy; None when there is nothing to read."""
    there = list(sets(work))
    results = {}
    for title, cases in there:
        for chain, models in CHAINS.items():
            if chain != next(iter(CHAINS)) and title.startswith("slideshow"):
                continue
            log = os.path.join(work, f"plates-{len(results)}.log")
            try:
                result = run(options, models, cases, log)
            except ServiceError as error:
                print(f"accuracy: plates with {chain} are left out: {error}", file=sys.stderr)
                continue
            if result and result.count:
                results[title, chain] = result
                print(f"accuracy: plates, {title}, {chain}: {result.exact} of {result.count}", file=sys.stderr)
                for wrong in result.wrong:
                    print(f"accuracy:   {wrong}", file=sys.stderr)
    first = next(iter(CHAINS))
    whole = [r for (_, chain), r in results.items() if chain == first]
    if not whole:
        return None
    readings = [reading for r in whole for reading in r.readings]
    count = sum(r.count for r in whole)
    parts = [
        stages(results),
        f"The reference chain reads {share(REFERENCE, 1)} of the pictures exactly.",
        f"All sets together, {first}: exact reads against coverage.",
        coverage(readings, count),
        "How far the confidence can be believed.",
        reliability(readings),
    ]
    return "Plates", "\n\n".join(parts)
