"""The ai service against the Python stack that it replaces, and against its own bars.

The stack (FastAPI, Ultralytics, torch) is 5 GB: it is installed into .deps/python-stack only when GTV_BENCH_PYTHON=1 says so, and used
when it is there. Without it our figures come alone.
"""

import base64
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from common import ROOT, Row, cpu_seconds, free_port, program, redis, rss_kib, started, wait_for, wrk

STACK = ROOT / ".deps/python-stack"
STACK_PACKAGES = ("ultralytics", "fastapi", "uvicorn", "python-multipart", "onnx")
BENCH = ROOT / "bench"


def python_stack():
    """The venv's python, or None."""
    python = STACK / "bin/python"
    if not python.exists() and os.environ.get("GTV_BENCH_PYTHON") == "1":
        print("bench: installing the Python stack (5 GB, some minutes)", file=sys.stderr)
        subprocess.run(["/usr/bin/python3", "-m", "venv", str(STACK)], check=True)
        subprocess.run([str(STACK / "bin/pip"), "install", "-q", *STACK_PACKAGES], check=True)
    return python if python.exists() else None


def stack_environment(folder):
    return {**os.environ, "OMP_NUM_THREADS": "1", "YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(folder), "WORKERS": "4"}


@contextlib.contextmanager
def peer(folder, python):
    port = free_port()
    with started([str(python), str(BENCH / "ai_peer.py"), str(port)], stack_environment(folder), folder / "peer.log") as process:
        wait_for(f"http://127.0.0.1:{port}/health", seconds=120)
        yield process, f"http://127.0.0.1:{port}/detect"


@contextlib.contextmanager
def service(folder, **environment):
    """gtv-ai with a Redis of its own. Yields (process, base address)."""
    port = free_port()
    with redis() as redis_port:
        base = {"AI_HOST": "127.0.0.1", "AI_PORT": str(port), "METRICS_PORT": str(free_port()), "WORKERS": "2", "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(redis_port), "MODELS_DIR": str(ROOT / "var/models"), "LOG_LEVEL": "ERROR", "LPR_ENABLED": "false"}
        with started([program("gtv-ai")], {**base, **environment}, folder / "ai.log") as process:
            wait_for(f"http://127.0.0.1:{port}/health")
            yield process, f"http://127.0.0.1:{port}"


def street_jpeg(folder, quality=4, size="1280x720"):
    file = folder / f"frame-{size}-{quality}.jpg"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-ss", "10", "-i", str(ROOT / "var/street/street.mp4"), "-frames:v", "1",
                    "-vf", f"scale={size.replace('x', ':')}", "-q:v", str(quality), str(file)], check=True)
    return file.read_bytes()


def post_script(folder, jpeg):
    body = json.dumps({"camera_id": 1, "image_base64": base64.b64encode(jpeg).decode()})
    script = folder / f"post-{len(jpeg)}.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = [[{body}]]\n")
    return script, body


def ask(url, body):
    return json.loads(wait_for(urllib.request.Request(url, headers={"Content-Type": "application/json"}), data=body.encode()))


def load(process, url, script, connections, seconds):
    """Returns (CPU ms a request, p99 in ms, requests a second)."""
    before = cpu_seconds(process.pid)
    requests, p99, bad = wrk(url, connections, seconds, str(script))
    if bad or not requests:
        sys.exit(f"bench: {url} answered {bad} of {requests} requests with an error")
    return (cpu_seconds(process.pid) - before) / requests * 1e3, p99, requests / seconds


def medians(runs):
    return [statistics.median(run[i] for run in runs) for i in range(len(runs[0]))]


def against_stack(options, folder, title, limit, connections, column, unit, **environment):
    """One row: column 0 (CPU) or 1 (p99) of alternating runs."""
    script, body = post_script(folder, street_jpeg(folder))
    python = python_stack()
    with service(folder, **environment) as (ai, base), contextlib.ExitStack() as stack:
        ask(f"{base}/detect", body)
        other = stack.enter_context(peer(folder, python)) if python else None
        if other:
            ask(other[1], body)
        ours, theirs = [], []
        for _ in range(options.rounds):
            ours.append(load(ai, f"{base}/detect", script, connections, options.seconds))
            if other:
                theirs.append(load(other[0], other[1], script, connections, options.seconds))
        health = json.loads(wait_for(f"{base}/health"))
        mine = medians(ours)
        its = medians(theirs) if other else None
        more = f"{mine[2]:.1f} a second, p99 {mine[1]:.0f} ms, {health['model']['name']} {health['model']['precision']}, RSS {rss_kib(ai.pid) / 1024:.0f} MiB"
        if other:
            more += f"; the stack: {its[2]:.1f} a second, p99 {its[1]:.0f} ms, RSS {rss_kib(other[0].pid) / 1024:.0f} MiB"
        return Row(title, unit, mine[column], "Python" if other else "", its[column] if other else None, limit=limit if other else None, more=more)


def bench_ai(options, folder):
    """/detect of one 1280x720 JPEG in base64 against the Python stack: CPU a request, and 8 clients at once."""
    yield against_stack(options, folder, "/detect, default network, CPU", 1 / 8, 2, 0, "ms CPU a request")
    yield against_stack(options, folder, "/detect, 8 clients at once, p99", 1 / 8, 8, 1, "ms")


def bench_aiyolo(options, folder):
    """The same with YOLOv8n (random weights) at 384x640: needs the Python stack, which writes the network."""
    python = python_stack()
    if not python:
        print("bench: aiyolo needs the Python stack: GTV_BENCH_PYTHON=1", file=sys.stderr)
        return
    models = folder / "models"
    models.mkdir()
    network = models / "yolov8n.onnx"
    subprocess.run([str(python), str(BENCH / "ai_export.py"), str(network), "384", "640"], check=True,
                   env=stack_environment(folder), stdout=subprocess.DEVNULL)
    title = "/detect, YOLOv8n 384x640"
    quantise = ROOT / ".deps/quantise/bin/python"
    # Prepared as a user's own export is (tools/models/README.md).
    prepared, openvino = models / "prepared.xml", {**os.environ, "PYTHONPATH": str(ROOT / ".deps/openvino")}
    subprocess.run(["/usr/bin/python3", str(ROOT / "tools/models/yolo.py"), str(network), str(prepared)], check=True, env=openvino)
    if quantise.exists():
        int8 = models / "int8.xml"
        subprocess.run([str(quantise), str(BENCH / "ai_int8.py"), str(prepared), str(int8), "384", "640"], check=True,
                       env=openvino, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        description = json.loads(prepared.with_suffix(".json").read_text())
        int8.with_suffix(".json").write_text(json.dumps({**description, "name": "int8", "file": int8.name}))
        yield against_stack(options, folder, f"{title} int8, CPU", 1 / 5, 2, 0, "ms CPU a request", YOLO_MODEL=str(int8), MODELS_DIR=str(models))
    yield against_stack(options, folder, f"{title} as exported, CPU", None if quantise.exists() else 1 / 5, 2, 0, "ms CPU a request",
                        YOLO_MODEL=str(network), MODELS_DIR=str(models))


# ---- Our own bars ----

def stub_network(folder):
    """A network that costs nothing: 96x96 in, all of its candidates below every threshold. Only the benches have it."""
    models = folder / "stub"
    models.mkdir(exist_ok=True)
    code = """
import sys, numpy, onnx
from onnx import helper, numpy_helper, TensorProto
head = numpy.full((1, 84, 189), 0.001, numpy.float32)
graph = helper.make_graph(
    [helper.make_node('ReduceMean', ['images'], ['mean'], axes=[1, 2, 3], keepdims=1), helper.make_node('Reshape', ['mean', 'one'], ['scalar']),
     helper.make_node('Mul', ['scalar', 'nil'], ['zero']), helper.make_node('Add', ['head', 'zero'], ['output0'])],
    'stub', [helper.make_tensor_value_info('images', TensorProto.FLOAT, [1, 3, 96, 96])],
    [helper.make_tensor_value_info('output0', TensorProto.FLOAT, [1, 84, 189])],
    [numpy_helper.from_array(head, 'head'), numpy_helper.from_array(numpy.zeros(1, numpy.float32), 'nil'),
     numpy_helper.from_array(numpy.array([1, 1, 1], numpy.int64), 'one')])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8), sys.argv[1])
"""
    for python in (ROOT / ".deps/venv/bin/python", STACK / "bin/python"):
        if python.exists() and subprocess.run([str(python), "-c", code, str(models / "stub.onnx")], stderr=subprocess.DEVNULL).returncode == 0:
            return models
    sys.exit("bench: the stub network needs the Python package onnx in .deps/venv")


def stage_seconds(base):
    """Sums of gtv_ai_stage_seconds by stage, and the number of pictures."""
    sums, count = {}, 0.0
    for line in wait_for(f"{base}/metrics").decode().splitlines():
        if line.startswith("gtv_ai_stage_seconds_sum"):
            sums[line.split('stage="')[1].split('"')[0]] = float(line.rsplit(" ", 1)[1])
        elif line.startswith('gtv_ai_stage_seconds_count{stage="decode"'):
            count = float(line.rsplit(" ", 1)[1])
    return sums, count


def bench_aioverhead(options, folder):
    """What a request costs the service beyond decoding and inference, with the stub network."""
    models, runs = stub_network(folder), []
    script, body = post_script(folder, street_jpeg(folder))
    with service(folder, YOLO_MODEL=str(models / "stub.onnx"), MODELS_DIR=str(models), WORKERS="1") as (ai, base):
        ask(f"{base}/detect", body)
        for _ in range(options.rounds):
            before, pictures = stage_seconds(base)
            cpu, _, _ = load(ai, f"{base}/detect", script, 1, options.seconds)
            after, done = stage_seconds(base)
            own = sum(after[s] - before[s] for s in ("decode", "prepare", "infer") if s in after) / (done - pictures) * 1e3
            runs.append((cpu - own, cpu))
        beyond, whole = medians(runs)
    yield Row("/detect, beyond decoding and inference", "ms CPU a request", beyond, limit=0.3, more=f"whole request {whole:.2f} ms, {len(body) // 1000} KB body")


def bench_aistart(options, folder):
    """From the start of the process to its first answer, with a warm model cache; and the resident memory with two workers."""
    _, body = post_script(folder, street_jpeg(folder))
    times, sizes = [], []
    with redis() as redis_port:
        for i in range(options.rounds + 1):
            port = free_port()
            environment = {"AI_HOST": "127.0.0.1", "AI_PORT": str(port), "METRICS_PORT": "0", "WORKERS": "2", "REDIS_HOST": "127.0.0.1",
                           "REDIS_PORT": str(redis_port), "MODELS_DIR": str(ROOT / "var/models"), "LOG_LEVEL": "ERROR", "LPR_ENABLED": "false"}
            begin = time.monotonic()
            with started([program("gtv-ai")], environment, folder / "ai.log") as ai:
                while True:
                    with contextlib.suppress(OSError):
                        request = urllib.request.Request(f"http://127.0.0.1:{port}/detect", data=body.encode(), headers={"Content-Type": "application/json"})
                        urllib.request.urlopen(request, timeout=10).read()
                        break
                    time.sleep(0.01)
                if i:  # the first warms the cache
                    times.append(time.monotonic() - begin)
                    script, _ = post_script(folder, street_jpeg(folder))
                    load(ai, f"http://127.0.0.1:{port}/detect", script, 4, 2)
                    sizes.append(rss_kib(ai.pid) / 1024)
    yield Row("start to first answer, warm cache", "s", statistics.median(times), limit=0.7)
    yield Row("RSS, default network, 2 workers, after load", "MiB", statistics.median(sizes), limit=150)


def bench_aisize(options, folder):
    """What the ai service takes on disk beside the system's libraries."""
    libraries = ROOT / ".deps/openvino/openvino/libs"
    needed = [f for f in libraries.iterdir() if any(word in f.name for word in ("libopenvino.so", "libopenvino_c", "libtbb.so", "intel_cpu_plugin", "ir_frontend", "onnx_frontend"))]
    models = [f for f in (ROOT / "var/models").iterdir() if f.is_file()]
    total = sum(f.stat().st_size for f in [*needed, *models, Path(program("gtv-ai"))]) / 1e6
    yield Row("installed size beside the system's libraries", "MB", total, limit=200, more=f"{len(needed)} libraries, {len(models)} files of networks")


def bench_aijobs(options, folder):
    """Jobs through the queue in Redis with the stub network: posted by 16 clients, until all results are there."""
    models = stub_network(folder)
    for size, quality, label, bar in (("96x54", 8, "1 KB", 5000), ("1280x720", 3, "100 KB", 1000)):
        script, body = post_script(folder, street_jpeg(folder, quality, size))
        rates = []
        for _ in range(max(1, options.rounds // 2)):
            with service(folder, YOLO_MODEL=str(models / "stub.onnx"), MODELS_DIR=str(models), MAX_QUEUE_SIZE="100000") as (ai, base):
                ask(f"{base}/detect", body)
                before = json.loads(wait_for(f"{base}/health"))["processed_total"]
                begin = time.monotonic()
                posted, _, bad = wrk(f"{base}/detect/async", 16, options.seconds, str(script))
                if bad:
                    sys.exit(f"bench: {bad} of {posted} jobs were refused")
                while json.loads(wait_for(f"{base}/health"))["processed_total"] - before < posted:
                    if time.monotonic() - begin > options.seconds + 120:
                        sys.exit("bench: jobs are missing")
                    time.sleep(0.02)
                rates.append(posted / (time.monotonic() - begin))
        yield Row(f"jobs through Redis, posted and answered, {label}", "a second", statistics.median(rates), limit=bar, at_least=True,
                  more=f"{len(body) // 1000} KB of base64 each; stub network")
