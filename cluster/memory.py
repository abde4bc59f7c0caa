"""The memory of a set of processes, as it is shared out among them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.processes import Process

_STEP = 2.0
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


class PeakMemory:
    """Samples the sum of all processes' PSS every two seconds, from ``with`` to its end.

    :param processes: asked anew for each sample: some come and go.
    """

    def __init__(self, processes: Callable[[], Iterable[Process]]) -> None:
        self.bytes = 0
        self._processes = processes
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._is_over.wait(_STEP):
            members = {member.pid for process in self._processes() for member in process.members()}
            self.bytes = max(self.bytes, sum(map(_pss, members)))


def _pss(pid: int) -> int:
    with suppress(OSError):  # it has ended
        if match := _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text()):
            return int(match[1]) * 1024
    return 0
