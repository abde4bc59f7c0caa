"""What stands between the providers and the simulator: it passes everything on, and knows what passed."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from demo.stack import LOOPBACK

_START_SECONDS = 10.0
_LONGEST_HEAD = 1 << 20
_TOKEN = re.compile(rb'"access_token"\s*:\s*"([^"]+)"')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
# The first line of a request to a proxy names the host; what follows is the path.
_ABSOLUTE = re.compile(rb"^(\S+) http://[^/ ]+")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it was sent: its first line and headers, and its body."""

    head: bytes
    body: bytes


class Wire:
    """A server on loopback that hands requests to the simulator, as that or as an HTTP proxy.

    It takes connections from ``with`` to its end, and closes each at once while no simulator is named.
    """

    def __init__(self) -> None:
        self.requests: list[Sent] = []
        self.tokens: set[bytes] = set()
        self._upstream: tuple[str, int] | None = None
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._is_ready.wait(_START_SECONDS):
            raise RuntimeError(f"the wire was not ready within {_START_SECONDS:g} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_START_SECONDS)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self._port}"

    def open(self, url: str) -> None:
        """Hand on what comes from now on to the simulator at *url*."""
        parts = urlsplit(url)
        self._upstream = (str(parts.hostname), int(parts.port or 80))

    def close(self) -> None:
        """Hand on nothing."""
        self._upstream = None

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connect, LOOPBACK, 0, limit=_LONGEST_HEAD)
        self._port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        await self._end.wait()
        server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if self._upstream is not None:
                answers, upstream = await asyncio.open_connection(*self._upstream)
                try:
                    async with asyncio.TaskGroup() as both:
                        both.create_task(self._hand_on(reader, upstream))
                        both.create_task(self._hand_back(answers, writer))
                except* (OSError, EOFError):
                    pass  # how a connection ends
                finally:
                    upstream.close()
        writer.close()

    async def _hand_on(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            self.requests.append(Sent(head, body))
            upstream.write(_ABSOLUTE.sub(rb"\1 ", head) + body)
            await upstream.drain()

    async def _hand_back(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recent = b""
        while chunk := await answers.read(1 << 16):
            recent += chunk
            self.tokens.update(_TOKEN.findall(recent))
            recent = recent[-4096:]  # longer than a token, should the next one be cut in two
            writer.write(chunk)
            await writer.drain()
        raise EOFError
