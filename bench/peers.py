"""The peers, configured for the same work: nginx's proxy_cache and HAProxy's cache. And the origin that all of them ask for misses."""

import os
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import free_port, started, wait_for

SEGMENT_BYTES = 1 << 20
PLAYLIST_NAME = "main_stream.m3u8"
SEGMENT_NAME = "026961b54d72_main_seg21.ts"
PLAYLIST = "\n".join(
    ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-ALLOW-CACHE:NO", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:21"]
    + [f"#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:11:{n:02d}.369Z\n#EXTINF:2.00000,\n026961b54d72_main_seg{n}.ts"
       for n in range(21, 28)]) + "\n"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    segment = os.urandom(SEGMENT_BYTES)

    def do_GET(self):
        name = self.path.split("?")[0]
        with self.server.lock:
            self.server.fetches[name] += 1
        time.sleep(self.server.delay)
        if name.endswith(".m3u8"):
            self.answer(PLAYLIST.encode(), "application/vnd.apple.mpegurl", "max-age=1")
        elif name.endswith(".ts"):
            self.answer(self.segment, "video/mp2t", "max-age=3600")
        else:
            self.answer(b'{"itemCount": 0, "pageCount": 0, "items": []}', "application/json", "no-store")

    def answer(self, body, kind, cache):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", cache)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 4096
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a peer that ends cuts its connections


@contextmanager
def origin(delay=0.0):
    """A fake media node: one playlist that lives a second, and its segments, `delay` seconds away. Counts in .fetches."""
    server = Server(("127.0.0.1", 0), Handler)
    server.delay, server.fetches, server.lock = delay, Counter(), threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


NGINX = """{user}
worker_processes 2; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log; worker_rlimit_nofile 20000;
events {{ worker_connections 10240; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 75;
    client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    proxy_cache_path {dir}/cache keys_zone=hls:16m max_size=512m use_temp_path=off;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        location / {{
            rewrite ^/hls/(.*)$ /$1 break;
            proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_cache hls; proxy_cache_lock on; proxy_cache_use_stale updating; proxy_ignore_headers Cache-Control;
            proxy_cache_valid 200 1s;
            location ~ \\.ts$ {{
                rewrite ^/hls/(.*)$ /$1 break;
                proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
                proxy_cache hls; proxy_cache_lock on; proxy_ignore_headers Cache-Control; proxy_cache_valid 200 60s;
            }}
        }}
    }}
}}
"""

HAPROXY = """global
    nbthread 2
    maxconn 9000
cache hls
    total-max-size 64
    max-object-size 2097152
    max-age 60
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend in
    bind 127.0.0.1:{port}
    http-request replace-path ^/hls(/.*)$ \\1
    http-request cache-use hls
    http-response cache-store hls
    default_backend node
backend node
    server origin 127.0.0.1:{origin}
"""


@contextmanager
def nginx(folder, origin_port):
    """Yields (base URL, process)."""
    port, config = free_port(), folder / "nginx.conf"
    config.write_text(NGINX.format(user="user root;" if os.getuid() == 0 else "", dir=folder, origin=origin_port, port=port))
    with started(["nginx", "-c", config]) as process:
        wait_for(f"http://127.0.0.1:{port}/hls/cam_1/{PLAYLIST_NAME}")
        yield f"http://127.0.0.1:{port}", process


@contextmanager
def haproxy(folder, origin_port):
    """Yields (base URL, process)."""
    port, config = free_port(), folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(origin=origin_port, port=port))
    with started(["haproxy", "-f", config]) as process:
        wait_for(f"http://127.0.0.1:{port}/hls/cam_1/{PLAYLIST_NAME}")
        yield f"http://127.0.0.1:{port}", process
