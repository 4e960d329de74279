#!/usr/bin/env python3
"""Looks for a plate among what the cameras saw, and keeps the pictures. Needs nothing but Python.

    plates.py --door http://127.0.0.1:8000 --pictures ./found 'ABC1?34'
"""

import argparse
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=15) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        said = json.loads(error.read())  # the one shape of all errors
        raise SystemExit(f"{error.code} {said['code']}: {said['detail']}") from error


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--door", default="http://127.0.0.1:8000")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures")
    parser.add_argument("plate", help="a plate in either form; * and ? stand for what is not known")
    options = parser.parse_args()
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    found, page = 0, f"/api/detections/?{urllib.parse.urlencode({'plate': options.plate})}"
    while page:
        answer = json.loads(get(urllib.parse.urljoin(options.door, page)))
        for row in answer["results"]:
            found += 1
            print(row["timestamp"], row["plate"], row["vehicle_type"], row["camera_name"], sep="\t")
            if options.pictures and row["image_url"]:
                name = f"{row['plate']}-{row['id']}.jpg"
                (options.pictures / name).write_bytes(get(urllib.parse.urljoin(options.door, row["image_url"])))
        page = answer["next"]
    sys.exit(0 if found else 1)


if __name__ == "__main__":
    main()
