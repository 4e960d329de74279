"""The media node's control API: adding paths, and reading what is there."""

import sys
from statistics import median

from cameras import additions, media_node, paths_of, send_all
from common import Row, cpu_seconds

PATHS = 250
CLIENTS = 16


def bench_paths(options, folder):
    """250 paths by API, 16 at a time, each answered when it is on the disk; then the list of them all."""
    added, listed, spent = [], [], []
    for _ in range(min(options.rounds, 5)):
        with media_node(folder) as (api, _, process):
            before = cpu_seconds(process.pid)
            added.append(send_all(api, additions(1), CLIENTS))
            spent.append(cpu_seconds(process.pid) - before)
            if paths_of(api) != PATHS:
                sys.exit("bench: success was said, and not all paths are there")
            listed.append(send_all(api, [("GET", f"/v3/paths/list?itemsPerPage={PATHS}", None)] * 50, 1) / 50)
    yield Row(f"{PATHS} paths by API, {CLIENTS} at a time", "ms", median(added) * 1000, limit=1000,
              more=f"{median(spent) * 1000:.0f} ms CPU; MediaMTX 1.20 took 3,400-4,800 ms on such a machine")
    yield Row(f"the state of {PATHS} paths in one list", "ms", median(listed) * 1000)
