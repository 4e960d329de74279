"""How readily the recogniser takes one sign for another: the table of services/ai/plate/confusion.c.

Runs plate_ocr_cct_xs_v1 on plates whose text is known, small and blurred enough to be misread, and adds up the
probability that it gives to each sign where another stands: the labelled pictures, and plates drawn in both
formats, so that rare letters come as often as others. The same networks and pictures give the same table.

    ./gtv accuracy confusion                              # prints the table, and how it differs from the program's
    .deps/accuracy/bin/python tools/accuracy/confusion.py --write   # puts it into confusion.c
"""

import csv
import math
import os
import random
import re
import subprocess
import sys

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHARED = os.path.join(os.path.dirname(ROOT), "shared", "data", "plates_br")
SOURCE = os.path.join(ROOT, "services", "ai", "plate", "confusion.c")
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf"

SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NETWORK = "plate_ocr_cct_xs_v1"
WIDTH, HEIGHT, MARGIN = 128, 64, 0.12  # of the network's input, and around the plate
PICTURE_WIDTHS = (110, 80, 65, 50, 42)  # pixels of a labelled plate
DRAWN_WIDTHS = (64, 56, 48)
DRAWN = 144  # plates, half of each format
BLURS = (0, 0.5)  # sigma in pixels of the small plate, in turn
FLOOR = 0.02  # added to every pair: what was not seen is not impossible
RARE = 60  # the cost of a pair that is not in the table
KEEP = 56  # pairs that cost less are in it


# ---- Pictures ----


def rgb(arguments, width, height):
    """What an ffmpeg command line draws, as an array."""
    out = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", *arguments, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                         check=True, capture_output=True).stdout
    return numpy.frombuffer(out, numpy.uint8).reshape(height, width, 3).astype(numpy.float32)


def labelled():
    """(text, picture) of the labelled plates with the margin around them."""
    listing = os.path.join(SHARED, "labels.csv")
    if not os.path.exists(listing):
        return
    with open(listing, encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            x, y, w, h = (float(line[key]) for key in "xywh")
            left, top = max(0, int(x - MARGIN * w)), max(0, int(y - MARGIN * h))
            width, height = int(w * (1 + 2 * MARGIN)), int(h * (1 + 2 * MARGIN))
            crop = f"pad=iw+400:ih+400:0:0,crop={width}:{height}:{left}:{top}:exact=1"
            yield line["plate"], rgb(["-i", os.path.join(SHARED, line["file"]), "-vf", crop], width, height)


def drawn():
    """(text, picture) of drawn plates: both formats in turn, every letter and digit about as often."""
    chance = random.Random(7)
    letters, digits = [], []

    def pick(pool, signs):
        if not pool:
            pool.extend(chance.sample(signs, len(signs)))
        return pool.pop()

    for n in range(DRAWN):
        form = "LLLNLNN" if n % 2 else "LLLNNNN"
        text = "".join(pick(letters, SIGNS[10:]) if kind == "L" else pick(digits, SIGNS[:10]) for kind in form)
        ground, band = ("0xf2f2f2", "0x1a3f9c") if n % 2 else ("0xb4b8ba", "0xb4b8ba")
        draw = (f"drawbox=x=48:y=15:w=400:h=130:color={ground}:t=fill,drawbox=x=48:y=15:w=400:h=28:color={band}:t=fill,"
                f"drawtext=fontfile={FONT}:text={text}:fontsize=88:fontcolor=0x181818:x=48+(400-text_w)/2:y=52")
        yield text, rgb(["-f", "lavfi", "-i", "color=0x404448:s=496x160", "-vf", draw], 496, 160)


def weights(source, target):
    """Rows that scale a line of `source` pixels to `target`: the mean of what a pixel covers, linear when enlarged."""
    out = numpy.zeros((target, source), numpy.float32)
    reach = max(1.0, source / target)
    for i in range(target):
        middle = (i + 0.5) * source / target - 0.5
        for k in range(math.floor(middle - reach), math.ceil(middle + reach) + 1):
            share = max(0.0, 1 - abs(k - middle) / reach)
            out[i, min(source - 1, max(0, k))] += share
    return out / out.sum(axis=1, keepdims=True)


def scaled(picture, width, height):
    rows, columns = weights(picture.shape[0], height), weights(picture.shape[1], width)
    return numpy.einsum("ij,jkc,lk->ilc", rows, picture, columns, optimize=True)


def blurred(picture, sigma):
    if not sigma:
        return picture
    reach = math.ceil(3 * sigma)
    kernel = numpy.exp(-numpy.arange(-reach, reach + 1) ** 2 / (2 * sigma * sigma))
    kernel /= kernel.sum()
    for axis in (0, 1):
        pads = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        picture = numpy.apply_along_axis(lambda line: numpy.convolve(line, kernel, "valid"), axis, numpy.pad(picture, pads, "edge"))
    return picture


def inputs():
    """(text, what the network is fed), each plate at every size."""
    for number, (text, picture) in enumerate(labelled()):
        yield from spoilt(text, picture, PICTURE_WIDTHS, number)
    for number, (text, picture) in enumerate(drawn()):
        yield from spoilt(text, picture, DRAWN_WIDTHS, number)


def spoilt(text, picture, widths, number):
    for turn, width in enumerate(widths):
        whole = round(width * (1 + 2 * MARGIN))
        height = max(8, round(whole * picture.shape[0] / picture.shape[1]))
        small = blurred(scaled(picture, whole, height), BLURS[(number + turn) % len(BLURS)])
        yield text, numpy.clip(numpy.rint(scaled(small, WIDTH, HEIGHT)), 0, 255).astype(numpy.uint8)


# ---- The table ----


def network(models):
    sys.path.append(os.path.join(ROOT, ".deps", "openvino"))
    import openvino  # pylint: disable=import-outside-toplevel,import-error

    return openvino.Core().compile_model(os.path.join(models, f"{NETWORK}.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})


def learn(models):
    """{(is, read): cost} of the pairs that are not rare, and how many plates were read."""
    run = network(models)
    seen = numpy.zeros((len(SIGNS), len(SIGNS)))
    count = 0
    for text, picture in inputs():
        slots = numpy.asarray(run([picture[None]])[0]).reshape(-1, len(SIGNS) + 1)
        count += 1
        for sign, slot in zip(text, slots):
            given = slot[: len(SIGNS)]
            seen[SIGNS.index(sign)] += given / max(1e-9, given.sum())
    costs = {}
    for i, row in enumerate(seen + FLOOR):
        for k, share in enumerate(row / row.sum()):
            cost = round(-10 * math.log(share))
            if i != k and cost < KEEP:
                costs[SIGNS[i], SIGNS[k]] = cost
    return costs, count


def written(costs):
    """The rows as confusion.c has them: by what is, then by cost."""
    items = [f'{{"{a}{b}", {cost}}}' for (a, b), cost in sorted(costs.items(), key=lambda i: (SIGNS.index(i[0][0]), i[1], i[0][1]))]
    lines = ["", ""]
    for item in items:
        if len(lines[-1]) + len(item) > 90:
            lines.append("")
        lines[-1] += item + ", "
    return "\n             ".join(line.rstrip() for line in lines if line).rstrip(",")


def present():
    """The program's own table."""
    with open(SOURCE, encoding="utf-8") as file:
        return {(a, b): int(cost) for a, b, cost in re.findall(r'\{"(\w)(\w)", (\d+)\}', file.read())}


def write(costs, count):
    with open(SOURCE, encoding="utf-8") as file:
        source = file.read()
    source = re.sub(r'pairs\[\] = \{.*?\};', lambda _: "pairs[] = {" + written(costs) + "};", source, flags=re.S)
    source = re.sub(r"to each sign of [\d,]+ plates", f"to each sign of {count:,} plates", source)
    with open(SOURCE, "w", encoding="utf-8") as file:
        file.write(source)


def text(options, _work):
    """The section of ./gtv accuracy; None where the network is not there."""
    if not os.path.exists(os.path.join(options.models, f"{NETWORK}.onnx")) or not os.path.exists(FONT):
        return None
    costs, count = learn(options.models)
    now = present()
    apart = [f"{a} as {b}: {now.get((a, b), RARE)}, now {costs.get((a, b), RARE)}" for a, b in sorted({*costs, *now})
             if abs(now.get((a, b), RARE) - costs.get((a, b), RARE)) > 1]
    parts = [f"{count} plates, {len(costs)} pairs of signs; tenths of -ln P(read | is).", "```\n" + written(costs) + "\n```",
             f"{len(apart)} pairs differ from services/ai/plate/confusion.c by more than a tenth." + ("" if not apart else " " + "; ".join(apart[:20]) + ".")]
    return "Signs taken for one another", "\n\n".join(parts)


if __name__ == "__main__":
    learnt = learn(os.environ.get("MODELS_DIR", os.path.join(ROOT, "var", "models")))
    if sys.argv[1:] == ["--write"]:
        write(*learnt)
    else:
        print(written(learnt[0]))
