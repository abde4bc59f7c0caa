"""Ask the ledger from an event loop: few questions at a time, each once, and nobody waits for long.

Airflow's own routes share the threads of the server's pool, so the questions have threads of their own. A
question that hangs keeps its thread, and others cannot ask more than the rest of the threads.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

#: How many questions may be open at a time.
MOST_OPEN = 4
#: How long a reader waits for an answer.
SECONDS = 8.0
_MOST_KEPT = 200


class BusyError(Exception):
    """The answer did not come in time, or too many other questions are open."""


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Any
    until: float


class Questions:
    """The open questions, and the answers that are still new; for any number of event loops.

    :param seconds: how long a reader waits for an answer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._open: dict[Hashable, Future[Any]] = {}
        self._kept: dict[Hashable, _Kept] = {}

    async def ask(self, key: Hashable, read: Callable[[], T], keep: float) -> T:
        """Return an answer: one that is kept, that of the same open question, or a new one.

        :param key: what makes two questions the same.
        :param read: returns the answer; it runs in a thread.
        :param keep: for how many seconds the answer may be given again.
        :raises BusyError: the answer did not come in time, or too many other questions are open.
        :raises Exception: what *read* raises.
        """
        deadline = time.monotonic() + self._seconds
        while True:
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None and kept.until > time.monotonic():
                    answer: T = kept.answer
                    return answer
                mine = self._open.get(key)
                others = list(self._open.values())
                if mine is None and len(others) < MOST_OPEN:
                    mine = self._open[key] = Future()
                    thread = threading.Thread(
                        target=self._answer, args=(key, mine, read, keep), name="avepoint-page", daemon=True
                    )
                    thread.start()
            if mine is not None:
                await self._wait([mine], deadline)
                result: T = mine.result()
                return result
            await self._wait(others, deadline)

    async def _wait(self, futures: list[Future[Any]], deadline: float) -> None:
        """Return when one of the questions is answered."""
        waits = {asyncio.wrap_future(_follow(each)) for each in futures}
        done, _ = await asyncio.wait(
            waits, timeout=deadline - time.monotonic(), return_when=asyncio.FIRST_COMPLETED
        )
        for each in waits - done:
            each.cancel()
        if not done:
            raise BusyError

    def _answer(self, key: Hashable, future: Future[Any], read: Callable[[], Any], keep: float) -> None:
        try:
            answer = read()
        except BaseException as e:  # noqa: BLE001  # the readers raise it
            with self._lock:
                del self._open[key]
            future.set_exception(e)
            return
        with self._lock:
            del self._open[key]
            now = time.monotonic()
            for each in [name for name, kept in self._kept.items() if kept.until <= now]:
                del self._kept[each]
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = _Kept(answer, now + keep)
        future.set_result(answer)


def _follow(future: Future[Any]) -> Future[None]:
    """Return a future that ends with another one: a reader who leaves cancels this one alone."""
    followed: Future[None] = Future()

    def end(_: Future[Any]) -> None:
        if followed.set_running_or_notify_cancel():
            followed.set_result(None)

    future.add_done_callback(end)
    return followed
