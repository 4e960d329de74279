"""The queue of gtv-ai: jobs by HTTP and by other producers, results, callbacks, dead workers, and Redis away."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import sys
import threading
import time

import pytest
import requests
from ai_service import Ai
from conftest import ROOT, binary, free_port, wait_until

SECRET = "callback-secret"


class Jobs(Ai):
    def __init__(self, spawn, redis_port, models, consumes=True, **env):
        super().__init__(spawn, redis_port, models, **{"WORKERS": "2", "AI_CALLBACK_SECRET": SECRET, "AI_CALLBACK_ALLOW": "127.0.0.1", **env})
        if consumes:
            wait_until(lambda: self.queue()["consumers"] > 0, what="the consumer is there")

    def get(self, path, timeout=60, **more):
        return super().get(path, timeout, **more)

    def submit(self, jpeg, headers=None, **more):
        body = {"camera_id": 3, "image_base64": base64.b64encode(jpeg).decode(), **more}
        return requests.post(f"{self.url}/detect/async", json=body, headers=headers, timeout=60)

    def task(self, jpeg, **more):
        answer = self.submit(jpeg, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["task_id"]

    def result(self, task, wait=30, tries=4):
        """The answer, asked for again where a busy machine has none in the longest time that may be waited for."""
        for _ in range(tries if wait == 30 else 1):
            answer = self.get(f"/result/{task}?wait={wait}")
            if answer.status_code != 404:
                break
        return answer

    def queue(self):
        return self.get("/queue").json()


@pytest.fixture(scope="module")
def jpeg(tmp_path_factory):
    path = tmp_path_factory.mktemp("jobs") / "a.jpg"
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=640x360", "-frames:v", "1", str(path)], check=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def ai(spawn_module, redis_module, models):
    return Jobs(spawn_module, redis_module.port, models)


def raw(redis, decode=False):
    import redis as library
    return library.Redis(port=redis.port, db=1, decode_responses=decode)


def test_a_job_is_answered_once(ai, redis_module, jpeg):
    task = ai.task(jpeg)
    answer = ai.result(task)
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["task_id"] == task and result["status"] == "done" and result["image"] == {"width": 640, "height": 360}
    assert isinstance(result["detections"], list) and result["processing_time_ms"] >= 0
    assert ai.get(f"/result/{task}").json() == result
    state = ai.get(f"/result/{task}?state=1").json()
    assert state["state"] == "done" and state["result"] == result
    client = raw(redis_module)
    assert 0 < client.ttl(f"ai:result:{task}") <= 300
    wait_until(lambda: client.xlen("ai:jobs") == 0 and client.hlen("ai:started") == 0 and client.zcard("ai:index") == 0, what="nothing is left")
    assert requests.delete(f"{ai.url}/result/{task}", timeout=60).json() == {"success": True, "was": "deleted"}
    gone = ai.get(f"/result/{task}")
    assert gone.status_code == 404 and gone.json()["detail"] == "Result not found"
    assert ai.get(f"/result/{task}?state=1").json()["state"] == "expired"


def test_other_bodies(ai, jpeg):
    one = requests.post(f"{ai.url}/detect/async?camera_id=9&classes=car", data=jpeg, headers={"Content-Type": "image/jpeg"}, timeout=60)
    two = requests.post(f"{ai.url}/detect/async?camera_id=9", files={"file": ("a.jpg", jpeg, "image/jpeg")}, timeout=60)
    for answer in (one, two):
        assert answer.status_code == 200, answer.text
        assert ai.result(answer.json()["task_id"]).json()["status"] == "done"


@pytest.mark.parametrize("body, status", [
    ("{", 422), ("[]", 422), ('{"camera_id": 1}', 422), ('{"camera_id": 1, "image_base64": "%%%%"}', 422), ('{"camera_id": 1, "image_base64": ""}', 422),
    ('{"camera_id": -1, "image_base64": "AAAA"}', 422), ('{"camera_id": 1, "image_base64": "AAAA", "confidence": 7}', 422), ("[" * 1000, 422)], ids=range(8))
def test_bad_bodies(ai, body, status):
    answer = requests.post(f"{ai.url}/detect/async", data=body, headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == status and answer.json()["code"] == "invalid", answer.text


def test_other_bad_requests(ai, jpeg):
    assert requests.post(f"{ai.url}/detect/async", data=jpeg, headers={"Content-Type": "text/csv"}, timeout=60).status_code == 415
    assert requests.post(f"{ai.url}/detect/async", data=jpeg, headers={"Content-Type": "image/jpeg"}, timeout=60).status_code == 422
    for task in ("nonsense", "1-1", "x" * 200, "1795395035063-0-0123456789abcdef"):
        assert ai.get(f"/result/{task}").status_code == 404
    assert ai.get("/result/nonsense?state=1").json()["state"] == "unknown"
    assert ai.get("/result/x?wait=99").status_code == 422 and ai.get("/result/x?state=maybe").status_code == 422
    assert requests.delete(f"{ai.url}/result/nonsense", timeout=60).status_code == 404
    assert requests.post(f"{ai.url}/queue/dead/1-1/requeue", timeout=60).status_code == 404
    assert requests.delete(f"{ai.url}/queue/dead/1-1", timeout=60).status_code == 404
    assert ai.get("/queue/dead?limit=0").status_code == 422 and ai.get("/queue/dead?before=x").status_code == 422


def test_a_picture_that_is_none_fails_with_its_cause(ai):
    result = ai.result(ai.task(b"no picture at all")).json()
    assert result["status"] == "failed" and result["error"]["detail"] and result["error"]["code"]
    assert "detections" not in result


def test_idempotency_key(ai, jpeg):
    first = ai.submit(jpeg, headers={"Idempotency-Key": "abc"})
    again = ai.submit(jpeg, headers={"Idempotency-Key": "abc"})
    other = ai.submit(jpeg, headers={"Idempotency-Key": "abc"}, confidence=0.9)
    assert first.json() == again.json() and first.status_code == again.status_code == 200
    assert other.status_code == 409 and other.json()["field"] == "Idempotency-Key"
    assert ai.task(jpeg) != first.json()["task_id"]
    assert ai.submit(jpeg, headers={"Idempotency-Key": "x" * 300}).status_code == 422


def test_another_producer(ai, redis_module, jpeg, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg)
    (tmp_path / "b.jpg").write_bytes(jpeg)
    done = subprocess.run([sys.executable, ROOT / "tools/examples/enqueue.py", "--redis", redis_module.url(1), "--camera", "12", tmp_path / "a.jpg",
                           tmp_path / "b.jpg"], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["done", "done"]


def test_entries_that_are_no_jobs(ai, redis_module, jpeg):
    client = raw(redis_module)
    wrong = {"w1": {"x": "y"}, "w2": {"picture": jpeg}, "w3": {"picture": b"", "camera_id": 1}, "w4": {"picture": jpeg, "camera_id": "one"},
             "w5": {"picture": jpeg, "camera_id": 1, "classes": "ufo"}, "w6": {"picture": jpeg, "camera_id": 1, "confidence": "nan"},
             "w7": {"picture": jpeg, "camera_id": 1, "callback_url": "file:///etc/passwd"}, "w8": {"picture": jpeg, "image_base64": "AA", "camera_id": 1},
             "w9": {"picture": jpeg, "camera_id": 1, **{f"f{i}": i for i in range(200)}}}
    for task, fields in wrong.items():
        client.xadd("ai:jobs", {**fields, "task_id": task})
    unnamed = client.xadd("ai:jobs", {"picture": jpeg, "camera_id": 1, "task_id": "not valid\x00"}).decode()
    plain = client.xadd("ai:jobs", {"image_base64": base64.b64encode(jpeg), "camera_id": 1}).decode()
    for task in wrong:
        result = ai.result(task).json()
        assert result["status"] == "failed" and result["error"]["detail"], (task, result)
    assert ai.result(unnamed).json()["error"]["field"] == "task_id"
    assert ai.result(plain).json()["status"] == "done"
    # The same name twice: the first answer stays.
    for _ in range(2):
        client.xadd("ai:jobs", {"picture": jpeg, "camera_id": 1, "task_id": "twice"})
    first = ai.result("twice").json()
    wait_until(lambda: client.xlen("ai:jobs") == 0, what="the queue is empty")
    assert ai.get("/result/twice").json() == first
    wait_until(lambda: client.hlen("ai:started") == 0 and client.hlen("ai:deaths") == 0, what="nothing is left")


# ---- Callbacks ----


class Listener:
    def __init__(self, statuses=()):
        self.got, statuses = [], list(statuses)
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.got.append((dict(self.headers), body))
                self.send_response(statuses.pop(0) if statuses else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/done?x=1"


def test_callback_is_signed_and_repeated(ai, redis_module, jpeg):
    listener = Listener([500])
    task = ai.task(jpeg, callback_url=listener.url)
    wait_until(lambda: len(listener.got) >= 2, what="the callback came again")
    for attempt, (headers, body) in enumerate(listener.got[:2], 1):
        expected = hmac.new(SECRET.encode(), headers["X-GTV-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
        assert headers["X-GTV-Signature"] == f"sha256={expected}"
        assert headers["X-GTV-Task-Id"] == task and headers["X-GTV-Attempt"] == str(attempt)
        assert json.loads(body)["task_id"] == task and abs(int(headers["X-GTV-Timestamp"]) - time.time()) < 60
    client = raw(redis_module)
    wait_until(lambda: not client.zcard("ai:callbacks") and not client.exists(f"ai:callback:{task}"), what="the callback is over")
    listener.server.shutdown()


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://[::1]/", "http://0.0.0.0/", "ftp://example.org/", "http://user:pass@10.1.1.1/",
                                 "nonsense", "http://" + "a" * 2000], ids=range(7))
def test_callback_addresses_that_are_refused(ai, jpeg, url):
    answer = ai.submit(jpeg, callback_url=url)
    assert answer.status_code == 422 and answer.json()["field"] == "callback_url", answer.text


def test_callback_of_another_producer_is_judged_when_it_is_dialled(ai, redis_module, jpeg):
    client = raw(redis_module)
    client.xadd("ai:jobs", {"picture": jpeg, "camera_id": 1, "task_id": "inward", "callback_url": "http://[::1]:1/"})
    assert ai.result("inward").json()["status"] == "done"
    wait_until(lambda: not client.exists("ai:callback:inward"), what="the callback is given up")


# ---- Without a secret, full, cancelled, waiting ----


def test_a_full_queue_cancelling_and_places(spawn, redis_server, models, jpeg):
    client = raw(redis_server)
    client.xgroup_create("ai:jobs", "ai", 0, mkstream=True)
    client.set("ai:lease:idler", 1, ex=600)  # a consumer that lives, and does nothing with what it took
    entries = [client.xadd("ai:jobs", {"picture": jpeg, "camera_id": 1, "nonce": "0011223344556677"}).decode() for _ in range(3)]
    client.zadd("ai:index", {entry: int(entry.split("-")[0]) + int(entry.split("-")[1]) / 4096 for entry in entries})
    client.xreadgroup("ai", "idler", {"ai:jobs": ">"}, count=3)
    tasks = [f"{entry}-0011223344556677" for entry in entries]
    ai = Jobs(spawn, redis_server.port, models, MAX_QUEUE_SIZE="3", AI_CALLBACK_SECRET="")
    wait_until(lambda: ai.queue()["consumers"] == 2, what="the consumer is there")
    answer = ai.submit(jpeg, callback_url="http://127.0.0.1:9/")
    assert answer.status_code == 422 and "AI_CALLBACK_SECRET" in answer.text
    full = ai.submit(jpeg)
    assert full.status_code == 429 and full.headers["Retry-After"]
    assert [ai.get(f"/result/{t}?state=1").json() for t in tasks] == [{"task_id": t, "state": "queued", "place": i} for i, t in enumerate(tasks)]
    assert ai.get(f"/result/{entries[0]}-ffffffffffffffff?state=1").status_code == 404
    assert ai.get(f"/result/{tasks[0]}").status_code == 404
    client.hset("ai:started", entries[0], "idler")
    assert ai.get(f"/result/{tasks[0]}?state=1").json()["state"] == "running"
    queue = ai.queue()
    assert queue["length"] == 3 and queue["running"] == 1 and queue["waiting"] == 2 and queue["oldest_age_seconds"] > 0 and queue["limits"]["length"] == 3
    assert requests.delete(f"{ai.url}/result/{tasks[0]}", timeout=60).json()["was"] == "running"
    assert requests.delete(f"{ai.url}/result/{tasks[1]}", timeout=60).json()["was"] == "queued"
    assert ai.queue()["length"] == 1
    begin = time.monotonic()
    assert ai.get(f"/result/{tasks[2]}?wait=1").status_code == 404 and time.monotonic() - begin >= 0.9
    client.delete("ai:lease:idler")  # it dies: the last one is taken over and answered
    assert ai.result(tasks[2]).json()["status"] == "done"
    assert ai.get(f"/result/{tasks[0]}").status_code == 404
    # A big picture is added first and judged afterwards, where the queue had room when it was last heard of: it leaves again.
    big = jpeg + bytes(64 * 1024)
    assert ai.result(ai.submit(big).json()["task_id"]).json()["status"] == "done"
    wait_until(lambda: client.zcard("ai:index") == 0 and client.xlen("ai:jobs") == 0, what="nothing is left of it")
    client.set("ai:lease:idler", 1, ex=600)
    step = client.pipeline(transaction=True)
    for _ in range(5):
        step.xadd("ai:jobs", {"picture": jpeg, "camera_id": 1})
    step.xreadgroup("ai", "idler", {"ai:jobs": ">"}, count=5)
    step.execute()
    answer = ai.submit(big)  # (unless it is done before it was judged)
    assert answer.status_code == 429 or ai.result(answer.json()["task_id"]).json()["status"] == "done"
    wait_until(lambda: client.xlen("ai:jobs") == 5 and client.xpending("ai:jobs", "ai")["pending"] == 5, what="it has left again")
    wait_until(lambda: client.zcard("ai:index") == 0, what="and its place")


# ---- Deaths ----


def die(client, jpeg, name, task, started=True):
    """A job that a consumer took, began, and died of."""
    entry = client.xadd("ai:jobs", {"picture": jpeg, "camera_id": 5, "task_id": task})
    client.xgroup_createconsumer("ai:jobs", "ai", name)
    client.xclaim("ai:jobs", "ai", name, 0, [entry], force=True)
    if started:
        client.hset("ai:started", entry, name)
    return entry


def test_a_job_that_kills_three_workers_is_given_up(spawn, redis_server, models, jpeg):
    client = raw(redis_server)
    client.xgroup_create("ai:jobs", "ai", 0, mkstream=True)
    poison = die(client, jpeg, "dead-1", "poison")
    once = die(client, jpeg, "dead-1", "once")
    never = die(client, jpeg, "dead-1", "never", started=False)
    client.hset("ai:deaths", poison, 2)  # it killed two before
    client.xgroup_setid("ai:jobs", "ai", "$")  # they were delivered
    ai = Jobs(spawn, redis_server.port, models)
    dead = wait_until(lambda: ai.get("/queue/dead").json()["dead"], what="the dead letter is there")
    assert len(dead) == 1 and dead[0]["task_id"] == "poison" and dead[0]["deaths"] == 3 and "3 times" in dead[0]["cause"], dead
    assert dead[0]["picture_bytes"] == len(jpeg) and dead[0]["camera_id"] == 5
    result = ai.result("poison").json()
    assert result["status"] == "failed" and result["error"]["code"] == "worker_died"
    assert ai.result("once").json()["status"] == ai.result("never").json()["status"] == "done"
    assert once and never
    wait_until(lambda: client.hlen("ai:deaths") == 0 and client.xlen("ai:jobs") == 0, what="nothing is left")
    again = requests.post(f"{ai.url}/queue/dead/{dead[0]['id']}/requeue", timeout=60)
    assert again.status_code == 200 and again.json()["task_id"] == "poison", again.text
    wait_until(lambda: ai.result("poison").json()["status"] == "done", what="it is answered this time")
    assert ai.get("/queue/dead").json()["dead"] == []
    wait_until(lambda: not [c for c in client.xinfo_consumers("ai:jobs", "ai") if c["name"] == b"dead-1"], what="the dead consumer is forgotten")
    # One to forget.
    client.xadd("ai:dead", {"dead:task": "x", "dead:cause": "y", "picture": jpeg})
    letter = ai.get("/queue/dead").json()["dead"][0]["id"]
    assert requests.delete(f"{ai.url}/queue/dead/{letter}", timeout=60).json() == {"success": True}


@pytest.mark.slow
def test_killed_workers_lose_nothing(models):
    done = subprocess.run([sys.executable, ROOT / "tools/soak/jobs.py", "--kills", "3", "--jobs", "60", "--models", models, "--program", binary("gtv-ai")],
                          env={**os.environ, "LPR_ENABLED": "false"}, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- Redis ----


def test_redis_away_hanging_and_flushed(spawn, redis_server, models, jpeg):
    ai = Jobs(spawn, redis_server.port, models)
    assert ai.result(ai.task(jpeg)).json()["status"] == "done"
    client = raw(redis_server)
    client.flushall()
    wait_until(lambda: ai.result(ai.task(jpeg), wait=5).status_code == 200, what="a flushed Redis is used again")
    redis_server.pause()
    wait_until(lambda: not ai.get("/health").json()["queue"]["redis"], what="the hanging Redis is noticed")
    answer = ai.submit(jpeg)
    assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
    redis_server.resume()
    wait_until(lambda: ai.submit(jpeg).status_code == 200, what="it answers again")
    redis_server.stop()
    wait_until(lambda: ai.submit(jpeg).status_code == 503, what="Redis is away")
    times = []
    for _ in range(5):
        begin = time.monotonic()
        answer = requests.post(f"{ai.url}/detect/async", json={"camera_id": 1, "image_base64": "AAAA"}, timeout=60)
        times.append(time.monotonic() - begin)
        assert answer.status_code == 503 and "Redis" in answer.json()["detail"]
    assert min(times) < 1
    assert ai.get("/result/x").status_code == 503 and ai.get("/queue").status_code == 503
    body = {"camera_id": 1, "image_base64": base64.b64encode(jpeg).decode()}
    assert requests.post(f"{ai.url}/detect", json=body, timeout=60).status_code == 200
    redis_server.start()
    wait_until(lambda: ai.result(ai.task(jpeg), wait=5).status_code == 200, 60, what="the queue works again")


def test_a_wrong_password_is_told(spawn, redis_server, models, jpeg):
    raw(redis_server).config_set("requirepass", "right")
    ai = Jobs(spawn, redis_server.port, models, consumes=False, REDIS_PASSWORD="wrong")
    queue = wait_until(lambda: (q := ai.get("/health").json()["queue"]) and "WRONGPASS" in (q["message"] or "") and q, what="the cause is told")
    assert queue["redis"] is False and "wrong" not in queue["message"]
    assert ai.submit(jpeg).status_code == 503


def test_what_runs_is_stored_before_the_end(spawn, redis_server, models, jpeg):
    ai = Jobs(spawn, redis_server.port, models)
    tasks = [ai.task(jpeg) for _ in range(12)]
    assert ai.process.stop() == 0
    client = raw(redis_server)
    assert not client.keys("ai:lease:*") and client.hlen("ai:started") == 0
    other = Jobs(spawn, redis_server.port, models)
    for task in tasks:
        assert other.result(task).json()["status"] == "done"
