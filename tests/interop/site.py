"""Files on an origin of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit


@contextmanager
def serve(files: Mapping[str, bytes], *, port: int = 0) -> Iterator[int]:
    """The port of 127.0.0.1 where `files` are, by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            self.send_response(200 if path in files else 404)
            kind = "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8"
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(files.get(path, b""))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Not to the console."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
