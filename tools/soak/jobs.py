#!/usr/bin/env python3
"""`./gtv soak jobs`: jobs are put into the queue while the workers are killed with SIGKILL, again and again.

Two gtv-ai share one queue. Half of the jobs come by POST /detect/async (repeated with the same Idempotency-Key until it is answered), half straight
into the stream. After each batch one of the two is killed and started again. What passes: every job has a result, none has two (Redis itself is asked,
by its keyspace events), none failed, and nothing is left over in Redis. Not part of CI: some minutes with 100 kills and 1,500 jobs by default.
"""

import argparse
import base64
import collections
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".deps/venv/bin/python"
try:
    import redis
except ImportError:  # started with the system's Python
    os.execv(VENV, [str(VENV), *sys.argv])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait(check, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
        except (OSError, redis.RedisError):
            pass
        time.sleep(0.1)
    sys.exit(f"soak: {what}: not within {seconds} s")


class Worker:
    def __init__(self, options, folder, redis_port, number):
        self.options, self.log = options, folder / f"ai-{number}.log"
        self.port = free_port()
        self.environment = {**os.environ, "AI_HOST": "127.0.0.1", "AI_PORT": str(self.port), "METRICS_PORT": "0", "WORKERS": "2", "REDIS_HOST": "127.0.0.1",
                            "REDIS_PORT": str(redis_port), "MODELS_DIR": options.models, "MAX_QUEUE_SIZE": "10000", "AI_RESULT_TTL": "3600",
                            "TBB_ENABLE_SANITIZERS": "1", "LOG_LEVEL": "WARNING"}
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.options.program], env=self.environment, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=log)

    def ready(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5) as answer:
            return answer.status == 200

    def kill(self):
        self.process.kill()
        self.process.wait()


def post(workers, body, key):
    """The task's id: asks one worker after the other until somebody answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        worker = random.choice(workers)
        request = urllib.request.Request(f"http://127.0.0.1:{worker.port}/detect/async", data=body,
                                         headers={"Content-Type": "application/json", "Idempotency-Key": key})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.loads(answer.read())["task_id"]
        except (OSError, ValueError):
            time.sleep(0.02)
    sys.exit("soak: nobody takes a job")


def soak(options, folder):
    port = free_port()
    server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning", "--dir", str(folder),
                               "--notify-keyspace-events", "K$x"], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port, db=1)
    workers, answers, tasks = [], collections.Counter(), set()
    try:
        wait(client.ping, 10, "redis-server answers")
        events = client.pubsub(ignore_subscribe_messages=True)
        events.psubscribe("__keyspace@1__:ai:result:*")

        def count():
            while (message := events.get_message()) is not None:
                if message["data"] == b"set":
                    answers[message["channel"].decode().split("ai:result:", 1)[1]] += 1
            return answers

        picture = folder / "picture.jpg"
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=1280x720", "-frames:v", "1", str(picture)], check=True)
        jpeg = picture.read_bytes()
        workers = [Worker(options, folder, port, i) for i in range(2)]
        for worker in workers:
            wait(worker.ready, 60, "a worker answers")
        each, began = options.jobs // options.kills, time.monotonic()
        for kill in range(options.kills):
            for i in range(each):
                name = f"soak-{kill}-{i}"
                if i % 2:
                    client.xadd("ai:jobs", {"picture": jpeg, "camera_id": i, "task_id": name})
                    tasks.add(name)
                else:
                    body = json.dumps({"camera_id": i, "image_base64": base64.b64encode(jpeg).decode(), "name": name}).encode()
                    tasks.add(post(workers, body, name))
            time.sleep(random.uniform(0, options.pause))
            victim = workers[kill % 2]
            victim.kill()
            victim.start()
            wait(victim.ready, 60, "a worker is back")
            count()
        wait(lambda: len(count()) >= len(tasks), 120, f"all {len(tasks)} answers are there")
        time.sleep(1)
        count()
        results = {task: json.loads(client.get(f"ai:result:{task}") or "{}") for task in tasks}
        lost = [t for t in tasks if not answers[t]]
        twice = [t for t in answers if answers[t] > 1]
        failed = [t for t in tasks if results[t].get("status") != "done"]
        left = client.xlen("ai:jobs") + client.hlen("ai:started") + client.hlen("ai:deaths") + client.zcard("ai:index")
        print(f"soak: {len(tasks)} jobs, {options.kills} kills, {time.monotonic() - began:.0f} s: {len(lost)} lost, {len(twice)} answered twice, "
              f"{len(failed)} failed, {client.xlen('ai:dead')} given up, {left} left over")
        for name, wrong in (("lost", lost), ("twice", twice), ("failed", failed)):
            for task in wrong[:5]:
                print(f"  {name}: {task} {results.get(task)}")
        return 1 if lost or twice or failed or left or set(answers) - tasks else 0
    finally:
        for worker in workers:
            worker.kill()
        server.kill()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1500)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds, at most, from a batch of jobs to its kill")
    parser.add_argument("--models", default=str(ROOT / "var/models"))
    parser.add_argument("--program", default=str(ROOT / "build/release/services/ai/gtv-ai"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(soak(options, Path(folder)))


if __name__ == "__main__":
    main()
