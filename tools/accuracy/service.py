"""A gtv-ai of one's own: started on a port that the system gives, asked over HTTP like any client does."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import time
import uuid

START_SECONDS = 90
ANSWER_SECONDS = 60


class ServiceError(Exception):
    """It did not start, or answered with an error; says which in one sentence."""


class Service:
    """Use as a context manager. The settings are the product's own, by environment."""

    def __init__(self, program, log_path, settings, folder):
        """folder: the one to start in, the checkout."""
        self.program, self.log_path, self.folder = program, log_path, folder
        # Nothing of the caller's own instance is taken over; there is no Redis, which detecting does not need.
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("GTV_")}
        self.environment.update(
            {
                "AI_HOST": "127.0.0.1",
                "AI_PORT": "0",
                "METRICS_PORT": "0",
                "REDIS_HOST": f"{log_path}.no-redis",
                "WORKERS": "1",
                "ENABLE_GPU": "false",
                "LOG_LEVEL": "INFO",
                "TBB_ENABLE_SANITIZERS": "1",
                **settings,
            }
        )
        self.process = self.connection = None

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_):
        self._stop()

    def _log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _start(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [self.program],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            port = re.search(r'msg="listening" server=ai .*port=(\d+)', self._log())
            if port:
                break
            if self.process.poll() is not None:
                raise ServiceError(f"gtv-ai did not start: {self._cause()}")
            if time.monotonic() > deadline:
                raise ServiceError(f"gtv-ai did not start within {START_SECONDS} s ({self.log_path})")
            time.sleep(0.02)
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", int(port.group(1)), timeout=ANSWER_SECONDS
        )
        self.health = self.get("/health")
        if not self.health["model"]:
            raise ServiceError(self.health["message"])

    def _cause(self):
        lines = [line for line in self._log().splitlines() if line.strip()]
        return lines[-1] if lines else f"it ended with {self.process.returncode}"

    def _stop(self):
        if self.connection:
            self.connection.close()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _ask(self, method, path, body=None, headers=None):
        for attempt in (0, 1):
            try:
                self.connection.request(method, path, body, headers or {})
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError) as error:
                # A kept connection may have been closed meanwhile.
                self.connection.close()
                if attempt:
                    raise ServiceError(f"gtv-ai does not answer: {error}") from error
        raise AssertionError

    def get(self, path):
        status, data = self._ask("GET", path)
        if status != 200:
            raise ServiceError(f"GET {path} was answered with {status}")
        return json.loads(data)

    def detect(self, picture, confidence, what="picture.jpg"):
        """Posts a picture's file (bytes) to /detect/upload; gives the whole answer."""
        line = uuid.uuid4().hex
        body = (
            f"--{line}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"picture\"\r\n"
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        body += picture + f"\r\n--{line}--\r\n".encode()
        status, data = self._ask(
            "POST",
            f"/detect/upload?camera_id=1&confidence={confidence}",
            body,
            {"Content-Type": f"multipart/form-data; boundary={line}"},
        )
        if status != 200:
            raise ServiceError(f"{what} was answered with {status}: {data[:300].decode(errors='replace')}")
        return json.loads(data)

    def vehicles(self, picture, confidence, what="picture.jpg"):
        """The same as (kind, score, (x, y, w, h)) each."""
        return [
            (d["object_type"], d["confidence"], tuple(d["bbox"][key] for key in "xywh"))
            for d in self.detect(picture, confidence, what)["detections"]
        ]

    def cpu_seconds(self):
        """CPU time of the program so far, all threads."""
        folder = f"/proc/{self.process.pid}/task"
        total = 0
        for task in os.listdir(folder):
            with contextlib.suppress(OSError), open(f"{folder}/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9
