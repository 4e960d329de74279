"""Matching boxes: with the truth (recall and precision), and of two runs with one another (agreement).

Plain Python. A box is (x, y, w, h) in pixels of the picture; a detection is (kind, score, box).
"""

from dataclasses import dataclass, field


def overlap(a, b):
    """Intersection over union of two boxes."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def best(box, others, taken, least):
    """Index of the free box that overlaps most, or None where none overlaps by `least`."""
    found, most = None, least
    for index, other in enumerate(others):
        shared = 0.0 if index in taken else overlap(box, other)
        if shared >= most and (found is None or shared > most):
            found, most = index, shared
    return found


@dataclass
class Found:
    """What a detector found of the truth, all kinds merged."""

    wanted: int = 0  # boxes of the truth
    hits: int = 0  # those that were found
    found: int = 0  # detections, but for those of boxes that are too small to count
    right: int = 0  # hits of the right kind

    @property
    def recall(self):
        return self.hits / self.wanted if self.wanted else None

    @property
    def precision(self):
        return self.hits / self.found if self.found else None

    @property
    def kinds(self):
        return self.right / self.hits if self.hits else None

    def add(self, truth, detections, threshold, shortest=24, least=0.5):
        """One picture. truth: (kind, box) each; the surest detection chooses first. Boxes of the truth whose
        shorter side is below `shortest` pixels are neither wanted nor a false alarm when found."""
        boxes = [box for _, box in truth]
        big = [min(box[2:]) >= shortest for box in boxes]
        self.wanted += sum(big)
        taken = set()
        for kind, score, box in sorted(detections, key=lambda d: -d[1]):
            if score < threshold:
                continue
            index = best(box, boxes, taken, least)
            if index is None:
                self.found += min(box[2:]) >= shortest
                continue
            taken.add(index)
            if big[index]:
                self.found += 1
                self.hits += 1
                self.right += truth[index][0] == kind


@dataclass
class Agreement:
    """How far two runs over the same pictures say the same. Counted from both sides: a box of one that the
    other has not, and the reverse. A box counts when its score reaches the threshold; its partner in the
    other run has the same kind, overlaps it by `least`, and may score lower (what it lacks is in the
    difference of scores)."""

    threshold: float
    least: float = 0.7
    boxes: int = 0  # of both runs, at the threshold
    matched: int = 0  # those that have a partner
    differences: list = field(default_factory=list)  # other's score - reference's, one a pair

    @property
    def share(self):
        return self.matched / self.boxes if self.boxes else None

    @property
    def difference(self):
        """Mean of the differences' sizes."""
        return sum(map(abs, self.differences)) / len(self.differences) if self.differences else None

    @property
    def shift(self):
        """Mean of the differences: below zero where the other run is less sure."""
        return sum(self.differences) / len(self.differences) if self.differences else None

    def add(self, reference, other):
        """One picture, the detections of both runs down to well below the threshold."""
        taken = set()
        partner = {}
        for i in sorted(range(len(reference)), key=lambda i: -reference[i][1]):
            kind, _, box = reference[i]
            same = [d[2] if d[0] == kind else (0, 0, 0, 0) for d in other]
            index = best(box, same, taken, self.least)
            if index is not None:
                taken.add(index)
                partner[i] = index
        for i, index in partner.items():
            counts = (reference[i][1] >= self.threshold) + (other[index][1] >= self.threshold)
            self.boxes += counts
            self.matched += counts
            if counts:
                self.differences.append(other[index][1] - reference[i][1])
        self.boxes += sum(d[1] >= self.threshold for i, d in enumerate(reference) if i not in partner)
        self.boxes += sum(d[1] >= self.threshold for i, d in enumerate(other) if i not in taken)

    def join(self, more):
        self.boxes += more.boxes
        self.matched += more.matched
        self.differences += more.differences
