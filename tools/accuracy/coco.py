"""mAP as COCO defines it, by pycocotools, with the interval that resampling the pictures gives."""

import contextlib
import copy
import io
import json
import os

# The product's names of the four vehicle classes, and COCO's categories.
CATEGORIES = {"car": 3, "motorcycle": 4, "bus": 6, "truck": 8}
KINDS = {number: kind for kind, number in CATEGORIES.items()}


class Labelled:
    """A folder of pictures with instances.json."""

    def __init__(self, folder):
        self.folder = folder
        with open(os.path.join(folder, "instances.json"), encoding="utf-8") as file:
            self.labels = json.load(file)
        self.pictures = sorted(self.labels["images"], key=lambda picture: picture["id"])
        self.truth = {picture["id"]: [] for picture in self.pictures}
        for note in self.labels["annotations"]:
            if note["category_id"] in KINDS and not note.get("iscrowd"):
                self.truth[note["image_id"]].append((KINDS[note["category_id"]], note["bbox"]))

    def path(self, picture):
        return os.path.join(self.folder, picture["file_name"])

    @property
    def boxes(self):
        return sum(map(len, self.truth.values()))


class Map:
    """The result of one run: mAP over IoU .50 to .95 and at .50, and both again for resampled pictures."""

    def __init__(self, labelled, detections, resamples=0, merged=False, seed=1):
        """detections: (kind, score, (x, y, w, h)) of each picture, by the picture's id. merged: all kinds
        count as one, which few pictures measure more surely than the mean of four."""
        import numpy
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        rows = [
            {"image_id": number, "category_id": CATEGORIES[kind], "bbox": list(box), "score": score}
            for number, found in detections.items()
            for kind, score, box in found
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = copy.deepcopy(labelled.labels)  # pycocotools writes into it
            truth.createIndex()
            self.average, self.half, self.resampled = 0.0, 0.0, []
            if not rows:
                self.resampled = [(0.0, 0.0)] * resamples
                return
            run = COCOeval(truth, truth.loadRes(rows), "bbox")
            run.params.catIds = sorted(KINDS)
            run.params.imgIds = [picture["id"] for picture in labelled.pictures]
            run.params.areaRng, run.params.areaRngLbl = run.params.areaRng[:1], ["all"]
            run.params.maxDets = [100]
            run.params.useCats = 0 if merged else 1
            run.evaluate()
            self.average, self.half = self._means(run)
            chance = numpy.random.default_rng(seed)
            count, whole = len(labelled.pictures), run.evalImgs
            for _ in range(resamples):
                # evalImgs holds one entry a category and picture, pictures innermost.
                chosen = chance.integers(count, size=count)
                run.evalImgs = [
                    whole[first + index] for first in range(0, len(whole), count) for index in chosen
                ]
                self.resampled.append(self._means(run))

    @staticmethod
    def _means(run):
        run.accumulate()
        precision = run.eval["precision"]  # IoU, recall, category, area, most detections

        def mean(values):
            values = values[values > -1]
            return float(values.mean()) if values.size else 0.0

        return mean(precision), mean(precision[0])


def interval(values, share=0.9):
    """The middle part of the values: (low, high)."""
    if not values:
        return None
    values = sorted(values)
    edge = (1 - share) / 2

    def at(place):
        return values[min(len(values) - 1, max(0, round(place * (len(values) - 1))))]

    return at(edge), at(1 - edge)
