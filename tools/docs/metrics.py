#!/usr/bin/env python3
"""docs/metrics.md, written from the /metrics pages of running programs: metrics.py streaming=URL ai=URL media=URL console=URL > docs/metrics.md"""

import re
import sys
import urllib.request

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def parse(page):
    """Families of a page in its order: name -> {type, help, labels: {name: values}, samples}. Raises ValueError for what is no exposition format."""
    families = {}
    for line in page.splitlines():
        if line.startswith("# HELP "):
            name, _, text = line[7:].partition(" ")
            families[name] = {"type": None, "help": text, "labels": {}, "samples": 0}
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            families[name]["type"] = kind
        elif line:
            found = SAMPLE.match(line)
            if not found:
                raise ValueError(f"no sample: {line!r}")
            name = found[1]
            if name not in families and re.fullmatch(r".+_(bucket|sum|count)", name):
                name = name.rsplit("_", 1)[0]
            family = families[name]  # a sample without HELP and TYPE is a KeyError
            float(found[3])
            family["samples"] += 1
            for label, value in LABEL.findall(found[2] or ""):
                if label != "le":
                    family["labels"].setdefault(label, set()).add(value)
    return families


HEAD = """# Metrics

What stands on the programs' `/metrics`, written from the pages themselves by `tools/docs/metrics.py`; a test compares the two.

Names of our own are `gtv_<program>_<what>_<unit>`, with `_total` for counters; `gtv_http_*`, `gtv_disk_*`, `gtv_build_info` and `process_*` are the same for all programs. Units
are seconds, bytes and cores. Contract names (`detections_processed_total`, `detection_processing_seconds`, `detection_queue_size`) and those that MediaMTX has
(`paths*`, `hls_*`, `rtsp_*`, `rtmp_*`) stay as they are.

Labels have few values, with two exceptions: `gtv_streaming_camera_down` has a series for each camera that is down (1,000 at most) and none for those that are well, and
the media node's `paths*`, `hls_muxers*` and `gtv_media_*` with `name` one for each path, its sessions one for each client, as MediaMTX has them. The registry of a program holds 2,000 series;
beyond that a family's series is `{overflow="true"}`.

| program | where |
|---|---|
| streaming | `:8001/metrics` |
| ai | `:8080/metrics` and, alone, `:9092/metrics` (`METRICS_PORT`) |
| media | `:9997/metrics`, and `:9998/metrics` where `MEDIA_METRICS=true` |
| console | `:8002/metrics` |
| door | HAProxy's own exporter: `GTV_DOOR_METRICS`, and `:8404/metrics` behind the password |
"""


def render(pages):
    """pages: program -> families. What all of them have comes first, once."""
    shared = set.intersection(*(set(p) for p in pages.values()))
    groups = [("All programs", {n: f for n, f in next(iter(pages.values())).items() if n in shared})]
    groups += [(f"{program}", {n: f for n, f in families.items() if n not in shared}) for program, families in pages.items()]
    out = [HEAD]
    for title, families in groups:
        out.append(f"\n## {title}\n\n| name | type | labels | what |\n|---|---|---|---|\n")
        for name, family in sorted(families.items()):
            labels = ", ".join(f"`{label}`" for label in sorted(family["labels"]))
            out.append(f"| `{name}` | {family['type']} | {labels} | {family['help'].replace('|', chr(92) + '|')} |\n")
    return "".join(out)


if __name__ == "__main__":
    given = dict(arg.split("=", 1) for arg in sys.argv[1:])
    sys.stdout.write(render({name: parse(urllib.request.urlopen(url, timeout=10).read().decode()) for name, url in given.items()}))
