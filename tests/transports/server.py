"""A server that writes down what it is asked, misbehaves by path, and passes for a proxy."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

#: What is sent compressed: more than is read at once.
BODY = b'{"data": [' + b" " * 3_000_000 + b"]}"


@dataclass(frozen=True)
class Asked:
    """One request; a proxy is asked for a whole URL as its *path*. *client* is the connection's other end."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client: tuple[str, int]


class Server:
    """Answers ``{}`` at ``/``; see :meth:`_Handler.answer` for the other paths."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self._server = _QuietServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _QuietServer(ThreadingHTTPServer):
    owner: Server

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _QuietServer

    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        owner = self.server.owner
        body = self.rfile.read(length)
        owner.asked.append(Asked(self.command, self.path, headers, body, self.client_address))
        match self.path.partition("?")[0].rpartition("/")[2]:
            case "redirect":
                self._reply(302, Location=f"{owner.url}/elsewhere")
            case "drop":
                self.close_connection = True
            case "half":
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"{")
                self.close_connection = True
            case "silent":
                owner.over.wait(300)
                self.close_connection = True
            case "drip":
                self._stream(b" ", pause=0.02)
            case "endless":
                self._stream(b" " * 65_536, pause=0)
            case "compressed":
                self._reply_compressed()
            case "garbage":
                self.wfile.write(b"this is no HTTP\r\n\r\n")
                self.close_connection = True
            case _:
                self._reply(200)

    do_GET = do_POST = answer  # noqa: N815  # the library's names

    def _stream(self, piece: bytes, *, pause: float) -> None:
        """Send *piece* after *piece*, until the caller goes or five minutes are over."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        deadline = time.monotonic() + 300
        while not self.server.owner.over.wait(pause) and time.monotonic() < deadline:
            self.wfile.write(piece)

    def _reply_compressed(self) -> None:
        """Send a body that is compressed, in chunks."""
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        body = gzip.compress(BODY)
        for piece in (body[:10], body[10:], b""):
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    def _reply(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": "2", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        """Say nothing."""
