"""Plates of watched cameras: what is told of each pass, through gtv-ai-clip, which looks at a clip as a camera is looked at.

The synthetic street as it is, smaller, and blurred with noise; and the slide show of labelled plates. Each at several
rates of looks: what was told as sure and is right, and what the rest is.
"""

import csv
import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHARED = os.path.join(os.path.dirname(ROOT), "shared", "data", "video")

LOOKS = (1, 3, 5)  # a second
OFFSETS = (0, 170)  # milliseconds to the first look: other frames are seen
SMALLER = {
    "street, 960x540": "scale=960:-2",
    "street, 640x360": "scale=640:-2",
    "street, blurred, with noise": "gblur=sigma=0.8,noise=alls=12:allf=t:all_seed=1",
}


def spoilt(clip, how, path):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", clip, "-vf", how, "-c:v", "libx264", "-preset", "veryfast", "-crf", "28", "-threads", "1", "-y", path],
                   check=True)
    return path


def clips(work):
    """(title, clip, plates that pass in it)."""
    street = os.path.join(ROOT, "var", "street")
    if os.path.exists(os.path.join(street, "street.json")):
        with open(os.path.join(street, "street.json"), encoding="utf-8") as file:
            plates = [vehicle["plate"] for vehicle in json.load(file)["vehicles"]]
        clip = os.path.join(street, "street.mp4")
        yield "street, 1280x720", clip, plates
        for number, (title, how) in enumerate(SMALLER.items()):
            yield title, spoilt(clip, how, os.path.join(work, f"street-{number}.mp4")), plates
    slides = os.path.join(SHARED, "br_plates_slideshow.mp4")
    if os.path.exists(slides):
        with open(os.path.splitext(slides)[0] + ".csv", encoding="utf-8", newline="") as file:
            yield "slide show, 720p", slides, [line["plate"] for line in csv.DictReader(file)]


def told(program, models, clip, looks, offset):
    """(number, sure) of each plate that a camera that shows the clip would tell."""
    run = subprocess.run([program, "--told", "--plates-ms", "100000", "--models", models, "--looks", str(looks), "--offset", str(offset), clip],
                         check=True, capture_output=True, text=True)
    events = [json.loads(line) for line in run.stdout.splitlines()]
    return [(e["data"]["plate"]["number"], not e["data"]["plate"]["uncertain"]) for e in events if e["type"] == "plate.read"]


class Tally:
    """One clip at one rate, over the offsets."""

    def __init__(self):
        self.passes = self.sure = self.right = self.twice = self.unsure = self.unsure_right = 0
        self.wrong = []

    def add(self, plates, said):
        sure = [number for number, is_sure in said if is_sure]
        unsure = [number for number, is_sure in said if not is_sure]
        self.passes += len(plates)
        self.sure += len(sure)
        self.right += len(set(sure) & set(plates))
        self.twice += len(said) - len({number for number, _ in said})
        self.unsure += len(unsure)
        self.unsure_right += sum(number in plates for number in unsure)
        self.wrong += [number for number in sure if number not in plates]

    def row(self, title, looks):
        return [title, str(looks), str(self.passes), str(self.sure), str(self.right), ", ".join(self.wrong) or "none", str(self.twice),
                str(self.unsure), str(self.unsure_right)]


def text(options, work):
    """The section of ./gtv accuracy; None where nothing can be read."""
    program = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(options.program))), "tools", "tracks", "gtv-ai-clip")
    if not os.access(program, os.X_OK):
        return None
    rows, sure, right = [], 0, 0
    for title, clip, plates in clips(work):
        for looks in LOOKS:
            tally = Tally()
            for offset in OFFSETS:
                tally.add(plates, told(program, options.models, clip, looks, offset))
            rows.append(tally.row(title, looks))
            sure, right = sure + tally.sure, right + tally.sure - len(tally.wrong)
    if not rows or not sure:
        return None
    heads = ["clip", "looks a second", "passes", "told as sure", "of these exact", "wrong", "told twice", "uncertain", "of these exact"]
    lines = [heads, ["---"] * len(heads), *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "Plates of watched cameras", f"{table}\n\nOf {sure} plates that were told as sure, {right} are right ({right / sure:.3f})."
