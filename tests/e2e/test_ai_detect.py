"""Requests for detection: the ways in, batches, options, deadlines, fairness, and what is refused."""

import base64
import concurrent.futures
import json
import socket
import subprocess
import threading
import zlib

import pytest
import requests
from ai_service import Ai, frame, truth  # noqa: F401 (fixtures)
from conftest import wait_until

BATCH = 32  # pictures of one request, at most


@pytest.fixture(scope="module")
def ai(spawn_module, redis_module, models):
    return Ai(spawn_module, redis_module.port, models, WORKERS="2")


def boxes(answer):
    return [(d["object_type"], d["bbox"]) for d in answer["detections"]]


def text(picture):
    return base64.b64encode(picture).decode()


def rejects(ai, cause):
    return ai.metric(f'gtv_ai_rejects_total{{cause="{cause}"}}') or 0


# --- The ways in ---


def test_a_picture_comes_in_every_way(ai, frame):
    _, jpeg = frame
    expected = boxes(ai.detect(jpeg, 7).json())
    assert expected
    for kind in ("image/jpeg", "IMAGE/JPEG; q=1", "application/octet-stream"):
        answer = ai.post(f"{ai.url}/detect?camera_id=7", data=jpeg, headers={"Content-Type": kind}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert boxes(answer.json()) == expected and {d["camera_id"] for d in answer.json()["detections"]} == {7}
    form = ai.post(f"{ai.url}/detect/upload", files={"file": ("a.jpg", jpeg)}, data={"camera_id": "7"}, timeout=60)
    assert form.status_code == 200 and boxes(form.json()) == expected


def test_options_narrow_what_is_found(ai, frame):
    _, jpeg = frame
    everything = ai.detect(jpeg).json()["detections"]
    kinds = {d["object_type"] for d in everything}
    wanted = sorted(kinds)[0]
    for body in ({"classes": [wanted]}, {"classes": wanted}):
        only = ai.post(f"{ai.url}/detect", json={"camera_id": 1, "image_base64": text(jpeg), **body}, timeout=60).json()
        assert {d["object_type"] for d in only["detections"]} == {wanted}
    only = ai.post(f"{ai.url}/detect/upload?camera_id=1&classes={wanted},bus", files={"file": jpeg}, timeout=60).json()
    assert wanted in {d["object_type"] for d in only["detections"]} <= {wanted, "bus"}
    few = ai.post(f"{ai.url}/detect?confidence=0.99", json={"camera_id": 1, "image_base64": text(jpeg)}, timeout=60).json()
    many = ai.post(f"{ai.url}/detect?confidence=0.99", json={"camera_id": 1, "image_base64": text(jpeg), "confidence": 0.1}, timeout=60).json()
    assert len(few["detections"]) < len(everything) <= len(many["detections"]), "the body's comes before the query's"


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        ("", {"confidence": 1.5}, "confidence"),
        ("", {"confidence": "high"}, "confidence"),
        ("", {"classes": ["cat"]}, "classes"),
        ("", {"classes": [3]}, "classes"),
        ("", {"classes": {"car": 1}}, "classes"),
        ("", {"classes": "ç" * 100}, "classes"),
        ("", {"annotate": "yes"}, "annotate"),
        ("?confidence=nan", {}, "confidence"),
        ("?annotate=perhaps", {}, "annotate"),
        ("?classes=car,cat", {}, "classes"),
    ],
)
def test_options_that_are_wrong_are_named(ai, query, body, field):
    answer = ai.post(f"{ai.url}/detect{query}", json={"camera_id": 1, "image_base64": "AAAA", **body}, timeout=60)
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field and answer.json()["code"] == "invalid"


def test_the_annotated_picture(ai, frame, tmp_path):
    _, jpeg = frame
    body = {"camera_id": 1, "image_base64": text(jpeg)}
    plain = ai.detect(jpeg).json()
    assert "annotated_image" not in plain
    for query, more in (("?annotate=1", {}), ("", {"annotate": True})):
        answer = ai.post(f"{ai.url}/detect{query}", json=body | more, timeout=60)
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
        assert boxes(answer.json()) == boxes(plain)
        prefix, _, data = answer.json()["annotated_image"].partition(",")
        assert prefix == "data:image/jpeg;base64"
    itself = ai.post(f"{ai.url}/detect?annotate=1", json=body, headers={"Accept": "image/jpeg"}, timeout=60)
    assert itself.headers["Content-Type"] == "image/jpeg" and itself.content == base64.b64decode(data, validate=True)
    assert itself.headers["X-Detections"] == str(len(plain["detections"])) and float(itself.headers["X-Processing-Time-Ms"]) > 0
    (tmp_path / "a.jpg").write_bytes(itself.content)
    (tmp_path / "b.jpg").write_bytes(jpeg)
    raw = [subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / name, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=True,
                          capture_output=True).stdout for name in ("a.jpg", "b.jpg")]
    assert len(raw[0]) == len(raw[1]) == 1280 * 720 * 3

    def difference(x, y):
        at = (y * 1280 + x) * 3
        return max(abs(raw[0][at + i] - raw[1][at + i]) for i in range(3))

    box = max((d["bbox"] for d in plain["detections"]), key=lambda b: b["w"] * b["h"])
    edge = [difference(min(box["x"] + i, 1279), min(box["y"] + box["h"] - 1, 719)) for i in range(0, box["w"], 3)]
    assert sum(d > 20 for d in edge) > len(edge) * 0.7, "the lower edge is drawn"
    without = ai.post(f"{ai.url}/detect", json=body, headers={"Accept": "image/jpeg"}, timeout=60)
    assert without.headers["Content-Type"] == "application/json", "nothing was to be drawn"
    batch = ai.post(f"{ai.url}/detect/batch?annotate=1", json={"images": [body, body | {"annotate": False}]}, timeout=60).json()
    assert batch["results"][0]["annotated_image"].startswith(prefix) and "annotated_image" not in batch["results"][1]


# --- Several at once ---


def test_a_batch_keeps_the_good_ones(ai, frame):
    _, jpeg = frame
    expected = boxes(ai.detect(jpeg).json())
    images = [
        {"camera_id": 3, "image_base64": text(jpeg)},
        {"camera_id": 4, "image_base64": "not base64!"},
        {"camera_id": 5, "image_base64": text(jpeg[: len(jpeg) // 8])},
        {"image_base64": text(jpeg)},
        "a string",
        {"camera_id": 6, "image_base64": "data:image/jpeg;base64," + text(jpeg), "confidence": 0.999},
    ]
    answer = ai.post(f"{ai.url}/detect/batch", json={"images": images}, timeout=60)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["total"], body["failed"]) == (6, 4) and body["processing_time_ms"] > 0
    results = body["results"]
    assert [r["index"] for r in results] == list(range(6))
    assert results[0]["error"] is None and boxes(results[0]) == expected and results[0]["camera_id"] == 3
    assert results[0]["image"] == {"width": 1280, "height": 720}
    assert results[1]["error"]["field"] == "image_base64" and results[1]["error"]["code"] == "invalid"
    assert results[2]["error"]["code"] == "invalid" and "detections" not in results[2]
    assert results[3]["error"]["field"] == "camera_id"
    assert results[4]["error"]["field"] == "images"
    assert results[5]["error"] is None and results[5]["detections"] == [] and results[5]["camera_id"] == 6


def test_a_batch_of_files(ai, frame):
    _, jpeg = frame
    expected = boxes(ai.detect(jpeg).json())
    parts = [("file", ("a.jpg", jpeg)), ("camera_id", (None, "12")), ("other", ("b.jpg", jpeg)), ("file", ("c.txt", b"no picture"))]
    answer = ai.post(f"{ai.url}/detect/batch?camera_id=11", files=parts, timeout=60)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [r["camera_id"] for r in results] == [11, 12, 12]
    assert boxes(results[0]) == boxes(results[1]) == expected
    assert results[2]["error"]["field"] == "file"
    missing = ai.post(f"{ai.url}/detect/batch", files=[("file", ("a.jpg", jpeg))], timeout=60).json()
    assert missing["results"][0]["error"]["field"] == "camera_id"


def test_a_batch_has_limits(ai, frame):
    _, jpeg = frame
    one = {"camera_id": 1, "image_base64": text(jpeg)}

    def post(body, **more):
        return requests.post(f"{ai.url}/detect/batch", timeout=60, **({"json": body} | more))

    full = post({"images": [one] * BATCH, "plates": False})
    assert full.status_code == 200 and full.json()["total"] == BATCH
    assert {(r["error"] or {"code": None})["code"] for r in full.json()["results"]} <= {None, "timeout"}, "a slow machine may not end all in time"
    assert full.json()["results"][0]["error"] is None
    for images in ([], [one] * (BATCH + 1), None, {"a": 1}, "x"):
        answer = post({"images": images})
        assert answer.status_code == 422 and answer.json()["field"] == "images", answer.text
    assert post({}).json()["field"] == "images"
    assert post([1]).status_code == 422
    assert ai.post(f"{ai.url}/detect/batch", data=jpeg, headers={"Content-Type": "image/jpeg"}, timeout=60).status_code == 415
    big = ai.post(f"{ai.url}/detect/batch?camera_id=1", files=[("f", ("a", b"\xff\xd8" + bytes(11 << 20))), ("f", ("b", jpeg))], timeout=60).json()
    assert big["results"][0]["error"]["code"] == "too_large" and big["results"][1]["error"] is None


# --- Time ---


@pytest.fixture(scope="session")
def slow_picture(tmp_path_factory):
    """A PNG has no cheap scale: some ten milliseconds, or hundreds with sanitizers."""
    path = tmp_path_factory.mktemp("slow") / "big.png"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=c=gray:size=4000x3000", "-frames:v", "1", path], check=True)
    return path.read_bytes()


def test_who_posts_much_keeps_only_himself_waiting(spawn, redis_module, models, frame, slow_picture):
    def beside_a_flood():
        ai = Ai(spawn, redis_module.port, models, WORKERS="1")

        def flood(_):
            return requests.post(f"{ai.url}/detect?camera_id=1&plates=0", data=slow_picture, timeout=60,
                                 headers={"Content-Type": "image/png", "X-Forwarded-For": "198.51.100.1"})

        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            floods = [pool.submit(flood, i) for i in range(40)]
            wait_until(lambda: ai.get("/health").json()["queue_size"] >= 20, what="a queue")
            before = ai.get("/stats/all").json()["work"]["request"]
            modest = requests.post(f"{ai.url}/detect", json={"camera_id": 1, "image_base64": text(frame[1])}, timeout=60,
                                   headers={"X-Forwarded-For": "198.51.100.2"})
            after = ai.get("/stats/all").json()["work"]["request"]
            assert {f.result().status_code for f in floods} <= {200, 408, 503}
        assert before["clients"] == 1
        assert ai.process.stop() == 0
        return modest, after["done"] - before["done"]

    for _ in range(4):  # a machine that is busy takes the 5 s of a request for two pictures
        modest, done = beside_a_flood()
        if modest.status_code == 200:
            break
    assert modest.status_code == 200, modest.text
    assert done <= 12, "the modest one came after one or two of the flood, not after all"


def test_a_wait_beyond_the_deadline_is_told_at_once(spawn, redis_module, models, slow_picture):
    ai = Ai(spawn, redis_module.port, models, WORKERS="1")
    ai.upload(slow_picture, "?camera_id=1&plates=0")  # so that it knows how long one takes
    count = max(20, int(15000 / max(75, ai.get("/stats/all").json()["picture_ms"])))

    def post(_):
        return ai.upload(slow_picture, "?camera_id=1&plates=0", tries=1)

    with concurrent.futures.ThreadPoolExecutor(min(count, 200)) as pool:
        answers = list(pool.map(post, range(count)))
    codes = {a.status_code for a in answers}
    assert 503 in codes and codes <= {200, 408, 503}, codes
    full = next(a for a in answers if a.status_code == 503)
    assert int(full.headers["Retry-After"]) >= 1 and "queue is too long" in full.json()["detail"]
    assert rejects(ai, "queue_wait") >= 1
    wait_until(lambda: ai.get("/health").json()["queue_size"] == 0, what="an empty queue")
    wait_until(lambda: ai.get("/stats/all").json()["queued_bytes"] == 0, what="no bytes held")


def test_a_client_that_leaves_is_not_worked_for(spawn, redis_module, models, slow_picture):
    ai = Ai(spawn, redis_module.port, models, WORKERS="1")
    head = f"POST /detect?camera_id=1&plates=0 HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(slow_picture)}\r\n\r\n".encode()
    clients = []
    for _ in range(10):
        client = socket.create_connection(("127.0.0.1", ai.port))
        client.sendall(head + slow_picture)
        clients.append(client)
    wait_until(lambda: ai.get("/health").json()["queue_size"] >= 4, what="a queue")
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset: it is gone for good
        client.close()
    wait_until(lambda: ai.get("/health").json()["queue_size"] == 0, what="the queue emptied without work")
    wait_until(lambda: ai.get("/stats/all").json()["queued_bytes"] == 0, what="no bytes held")
    assert ai.get("/health").json()["processed_total"] < 8
    assert rejects(ai, "cancelled") >= 4


# --- Bad input ---


def png(width, height, data, depth=8, colour=2):
    def chunk(kind, content):
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, colour, 0, 0, 0]))
            + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def bomb():
    """A PNG of 30 kB that unpacks to 30 MB of rows which are not there."""
    return png(60000, 60000, zlib.compress(bytes(30 << 20), 9))


def ffmpeg(tmp_path, name, *options):
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=640x360", "-frames:v", "1", *options, tmp_path / name], check=True)
    return (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (b"", 422),
        (b"\xff\xd8\xff", 422),
        (b"GIF89a" + bytes(100), 422),
        (b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(40), 422),
        (png(4, 4, b"garbage"), 422),
        (png(0, 0, b""), 422),
        (bomb(), 413),
        (bytes(100000), 422),
    ],
)
def test_pictures_that_are_none_are_refused_by_name(ai, picture, code):
    answers = [
        ai.upload(picture),
        ai.detect(picture),
        ai.post(f"{ai.url}/detect?camera_id=1", data=picture, headers={"Content-Type": "image/png"}, timeout=60),
    ]
    for answer, field in zip(answers, ("file", "image_base64", "body"), strict=True):
        assert answer.status_code == code, answer.text
        assert answer.json()["field"] == field and answer.json()["detail"], answer.text


def test_rare_pictures_are_read(ai, tmp_path):
    deep = ffmpeg(tmp_path, "deep.png", "-pix_fmt", "rgb48be")
    grey = ffmpeg(tmp_path, "grey.png", "-pix_fmt", "gray16be")
    palette = ffmpeg(tmp_path, "palette.png", "-pix_fmt", "pal8")
    full = ffmpeg(tmp_path, "444.jpg", "-pix_fmt", "yuvj444p")
    for picture in (deep, grey, palette, full):
        answer = ai.upload(picture)
        assert answer.status_code == 200 and answer.json()["image"] == {"width": 640, "height": 360}, answer.text


def test_bodies_that_are_wrong_are_refused(ai, frame):
    _, jpeg = frame

    def post(path, body, kind="application/json"):
        return requests.post(ai.url + path, data=body, headers={"Content-Type": kind}, timeout=60)

    assert post("/detect", b"").status_code == 422
    assert post("/detect", b"{").status_code == 422
    assert post("/detect", b"[" * 1000 + b"]" * 1000).status_code == 422
    deep = b'{"camera_id":1,"image_base64":' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}"
    assert "nested deeper" in post("/detect", deep).text
    assert post("/detect", json.dumps({"camera_id": 1, "image_base64": "\\" * 1001 + '"'}).encode()).status_code == 422
    assert post("/detect", b'{"camera_id":1,"image_base64":"\xff\xfe"}').status_code == 422
    for garbage in ("%%%%", "AAA=AAA", "data:image/png,xyz", "data:;base64", "A", "===="):
        answer = post("/detect", json.dumps({"camera_id": 1, "image_base64": garbage}).encode())
        assert answer.status_code == 422 and answer.json()["field"] == "image_base64", (garbage, answer.text)
    assert post("/detect?camera_id=1", jpeg, "text/plain").status_code == 415
    assert post("/detect?camera_id=1", jpeg, "multipart/form-data; boundary=x").status_code == 415
    assert post("/detect", jpeg, "image/jpeg").json()["field"] == "camera_id"
    no_end = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + jpeg
    for path in ("/detect/upload", "/detect/batch"):
        answer = post(f"{path}?camera_id=1", no_end, "multipart/form-data; boundary=x")
        assert answer.status_code == 400 and answer.json()["detail"], answer.text
    assert post("/detect/upload?camera_id=1", no_end, "multipart/form-data").status_code == 400
    assert ai.detect(jpeg).status_code == 200


def test_a_huge_body_ends_at_the_limit(ai):
    """100 MB, announced and chunked: refused without being kept."""
    for path, kind in (("/detect", b"application/json"), ("/detect/batch", b"application/json")):
        for framing in (b"Content-Length: 104857600", b"Transfer-Encoding: chunked"):
            client = socket.create_connection(("127.0.0.1", ai.port))
            client.settimeout(60)
            client.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s\r\n\r\n" % (path.encode(), kind, framing))
            answer = []
            reader = threading.Thread(target=lambda c=client, a=answer: a.append(c.recv(4096)))
            reader.start()
            block = b"100000\r\n" + b"A" * (1 << 20) + b"\r\n" if b"chunked" in framing else b"A" * (1 << 20)
            try:
                for _ in range(100):
                    client.sendall(block)
                    if answer:
                        break
            except OSError:
                pass
            reader.join(60)
            assert answer and answer[0].startswith(b"HTTP/1.1 413"), answer
            client.close()
    memory = ai.metric("process_resident_memory_bytes")
    assert memory < 2 << 30
    assert ai.get("/health").status_code == 200


# --- Figures ---


def test_figures_are_true(ai, frame):
    _, jpeg = frame
    before, workers = ai.get("/health").json(), ai.get("/stats/workers").json()
    waits = ai.metric('gtv_ai_queue_wait_seconds_count{kind="request"}')
    for _ in range(5):
        assert ai.detect(jpeg).status_code == 200
    after = ai.get("/health").json()
    assert after["processed_total"] == before["processed_total"] + 5
    assert 0 < after["avg_processing_time_ms"] < 5000
    now = ai.get("/stats/workers").json()
    assert now["total"] == len(now["workers"]) == after["workers"]
    assert sum(w["pictures"] for w in now["workers"]) == sum(w["pictures"] for w in workers["workers"]) + 5
    assert all(0 <= w["busy_share"] <= 1 for w in now["workers"])
    assert ai.metric('gtv_ai_queue_wait_seconds_count{kind="request"}') == waits + 5
    for stage in ("wait", "base64", "decode", "prepare", "infer"):
        assert ai.metric(f'gtv_ai_stage_seconds_count{{stage="{stage}"}}') >= 5, stage
    everything = ai.get("/stats/all").json()
    assert everything["work"]["request"]["done"] == after["processed_total"]
    assert everything["picture_ms"] > 0 and everything["queued_bytes"] == 0 and everything["model"] == after["model"]["name"]
    assert ai.metric("gtv_ai_batch_size_count") >= 5
    page = requests.get(f"http://127.0.0.1:{ai.metrics_port}/metrics", timeout=60).text
    for name in ("detections_processed_total", "detection_processing_seconds_bucket", "detection_queue_size", "gtv_ai_queue_size", "gtv_ai_model_loaded"):
        assert name in page
