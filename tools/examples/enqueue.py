#!/usr/bin/env python3
"""Puts pictures into the queue of gtv-ai straight through Redis, and waits for their results (docs/queue.md). Needs redis-py.

    enqueue.py --redis redis://127.0.0.1:6379/1 --camera 7 a.jpg b.jpg
"""

import argparse
import json
import sys
import time
import uuid
from pathlib import Path

import redis


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/1", help="the ai service's own database: REDIS_DB, 1 by default")
    parser.add_argument("--camera", type=int, default=1)
    parser.add_argument("--limit", type=int, default=1000, help="do not add to a queue as long as this")
    parser.add_argument("--seconds", type=float, default=60, help="how long results are waited for")
    parser.add_argument("pictures", nargs="+", type=Path)
    options = parser.parse_args()
    queue = redis.Redis.from_url(options.redis)

    tasks = {}
    for picture in options.pictures:
        while queue.xlen("ai:jobs") >= options.limit:
            time.sleep(0.1)
        task = str(uuid.uuid4())
        queue.xadd("ai:jobs", {
            "picture": picture.read_bytes(),  # the file itself, not base64
            "camera_id": options.camera,
            "task_id": task,
            "enqueued_ms": int(time.time() * 1000),
        })
        tasks[task] = picture

    end, failed = time.monotonic() + options.seconds, 0
    while tasks and time.monotonic() < end:
        for task, picture in list(tasks.items()):
            answer = queue.get(f"ai:result:{task}")
            if answer is None:
                continue
            result = json.loads(answer)
            failed += result["status"] != "done"
            print(json.dumps({"picture": str(picture), **result}))
            del tasks[task]
        time.sleep(0.05)
    sys.exit(1 if tasks or failed else 0)


if __name__ == "__main__":
    main()
