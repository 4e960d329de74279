"""A double of an S3-compatible store: objects in memory, PUT and GET, and each request's signature (AWS Signature Version 4) is worked out anew."""

import hashlib
import hmac
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class S3:
    def __init__(self, key="gtv-key", secret="s3cr3t/of+the.store", region="sa-east-1"):
        outer = self
        self.key, self.secret, self.region = key, secret, region
        self.objects, self.refused, self.down = {}, [], False

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self):
                outer.serve(self)

            do_GET = do_PUT

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def fault(self, h, body):
        """Why the request is refused, or None."""
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})", h.headers.get("Authorization", ""))
        if not found:
            return "no signature"
        credential, names, signature = found.groups()
        key, day, region, service, end = credential.split("/")
        if (key, region, service, end) != (self.key, self.region, "s3", "aws4_request"):
            return f"a wrong scope: {credential}"
        when = h.headers["x-amz-date"]
        if not when.startswith(day) or abs(time.mktime(time.strptime(when, "%Y%m%dT%H%M%SZ")) - time.mktime(time.gmtime())) > 900:
            return f"a wrong time: {when}"
        if h.headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
            return "another body"
        path, _, query = h.path.partition("?")
        lines = "".join(f"{name}:{h.headers[name].strip()}\n" for name in names.split(";"))
        if not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names.split(";")):
            return "too little is signed"
        request = "\n".join((h.command, path, query, lines, names, h.headers["x-amz-content-sha256"]))
        text = "\n".join(("AWS4-HMAC-SHA256", when, "/".join((day, region, service, end)), hashlib.sha256(request.encode()).hexdigest()))
        own = b"AWS4" + self.secret.encode()
        for part in (day, region, service, end):
            own = sign(own, part)
        return None if hmac.compare_digest(sign(own, text).hex(), signature) else "a wrong signature"

    def serve(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        fault = self.fault(h, body)
        status, answer = 200, b""
        if fault:
            self.refused.append(fault)
            status = 403
        elif self.down:
            status = 503
        elif h.command == "PUT":
            self.objects[h.path] = (h.headers.get("Content-Type"), body)
        elif h.path in self.objects:
            answer = self.objects[h.path][1]
        else:
            status = 404
        h.send_response(status)
        h.send_header("Content-Length", str(len(answer)))
        h.end_headers()
        h.wfile.write(answer)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
