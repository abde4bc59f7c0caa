"""A Redis server of one's own, with an append-only file: what it was told, it knows after a restart."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.processes import Process, stop
from demo.stack import LOOPBACK, free_port

_START_SECONDS = 30.0
_GRACE_SECONDS = 5.0


class RedisError(RuntimeError):
    """Redis is not installed, or did not start; the message says why."""


class Redis:
    """A Redis server on loopback, from ``with`` to its end.

    :param directory: where its files go, made anew; None takes one that is removed at the end.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.port = free_port()
        self._is_temporary = directory is None
        self._directory = Path(tempfile.mkdtemp(prefix="avepoint-redis-")) if directory is None else directory
        address = ["--bind", LOOPBACK, "--port", str(self.port)]
        files = ["--dir", str(self._directory), "--appendonly", "yes", "--save", ""]
        self._process = Process(
            "redis",
            ["redis-server", *address, *files],
            env=os.environ,
            cwd=self._directory,
            log=self._directory / "redis.log",
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address of its first database."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def processes(self) -> list[Process]:
        """The server."""
        return [self._process]

    def start(self) -> None:
        """Start the server, for the first time or anew; return when it has read what it knew.

        :raises RedisError: that did not come in time; it is stopped then.
        """
        if shutil.which("redis-server") is None:
            raise RedisError("There is no redis-server. Install Redis, or run make system")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._process.start()
            deadline = time.monotonic() + _START_SECONDS
            while not self._answers():
                if not self._process.is_running or time.monotonic() > deadline:
                    raise RedisError(f"Redis did not start.\n{self._process.tail()}")
                time.sleep(0.05)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """Kill the server as a crash would; :meth:`start` brings it back with what it knew."""
        self._process.kill()

    def stop(self) -> None:
        """Stop the server, and return when it is gone."""
        stop(self.processes, grace=_GRACE_SECONDS)
        if self._is_temporary:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False
