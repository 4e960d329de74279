#!/usr/bin/env python3
"""`./gtv bench [NAME...]`: the product against a peer in the same run, on loopback.

Where there is a peer, each bench alternates between the programs and reports medians. What counts is the CPU time that a request costs
(user and system, of the server's processes, from /proc): on a shared machine it says more than requests a second.
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from common import HEAD

# Name -> the file that has bench_NAME. A file that is not there is left out of the list.
BENCHES = {"playlist": "hls", "segment": "hls", "herd": "hls", "idle": "hls", "slow": "hls", "stats": "cameras", "provision": "cameras",
           "paths": "media_api", "ws": "ws_bench", "detect": "detect", "pull50": "media", "pull200": "media", "hls50": "media_hls",
           "hls200": "media_hls", "lowlatency": "media_hls", "ondemand": "media_hls", "seek": "media_record", "record50": "media_record", "ai": "ai", "aiyolo": "ai",
           "aioverhead": "ai", "scale": "scale", "aistart": "ai", "aisize": "ai", "aijobs": "ai"}
TOOLS = ("wrk", "nginx", "haproxy", "redis-server", "ffmpeg")


def benches():
    here = Path(__file__).parent
    found = {}
    for name, file in BENCHES.items():
        if (here / f"{file}.py").exists():
            found[name] = getattr(importlib.import_module(file), f"bench_{name}")
    return found


def main():
    known = benches()
    listing = "\n".join(f"  {name:10} {bench.__doc__.strip().splitlines()[0]}" for name, bench in known.items())
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"benches:\n{listing}",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help="of the list below; all without one")
    parser.add_argument("--rounds", type=int, default=5, help="alternating runs of which the median counts")
    parser.add_argument("--seconds", type=int, default=5, help="length of each run")
    options = parser.parse_args()
    for name in options.name:
        if name not in known:
            parser.error(f"there is no bench {name!r}: {', '.join(known)}")
    for tool in TOOLS:
        if not shutil.which(tool):
            sys.exit(f"bench: {tool} is missing")
    print(f"{options.rounds} alternating runs of {options.seconds} s, medians; load of the machine at the start "
          f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n\n{HEAD}", flush=True)
    missed = 0
    for name in options.name or known:
        with tempfile.TemporaryDirectory(prefix="gtv-bench-") as folder:
            for row in known[name](options, Path(folder)):
                missed += row.passed is False
                print(row.line(), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
