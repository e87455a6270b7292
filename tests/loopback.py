"""A server on this machine that refuses, breaks off, sends a web page, and then serves."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

BODY = np.random.default_rng(0).bytes(1_000_000)


class Server(ThreadingHTTPServer):
    """Answers each request with the next of ``script``, then serves the file.

    Steps: a status to refuse with; ``("cut", n)`` to drop the connection after n bytes; ``"html"``.
    """

    def __init__(self, script: list[Any], ranges: bool = True, body: bytes = BODY) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.ranges, self.body = script, ranges, body
        self.requested: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/photos.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.requested.append(wanted)
        step = server.script.pop(0) if server.script else None
        if isinstance(step, int):
            self.send_error(step)
            return
        if step == "html":
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<html>Quota exceeded</html>")
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
        total = len(server.body)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Type", "application/zip")
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        stop = start + step[1] if step else total
        self.wfile.write(server.body[start:stop])
        if step:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def serve() -> Iterator[Any]:
    servers: list[Server] = []

    def start(*args: Any, **kwargs: Any) -> Server:
        server = Server(*args, **kwargs)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
