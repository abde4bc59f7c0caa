"""Processes that leave nothing behind: each starts in a session of its own and is stopped with all of it."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How long the killed may take to be gone; the kernel needs no more than moments.
_KILLED_SECONDS = 5.0
_STEP = 0.05


class Process:
    """A command whose output goes to a file.

    Airflow puts each task into a process group of its own, so a group does not hold all that a component has
    started. A session does.

    :param name: what it is called in messages.
    :param command: the program and its arguments.
    :param log: the file that stdout and stderr are appended to.
    :param user: whose rights it gets, which only root can give; None: our own.
    :param stop_signal: what asks it to end.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._user = user
        self._stop_signal = stop_signal
        self._command = [str(part) for part in command]
        self._env = dict(env)
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the command. Whatever happens, it does not outlive this process's orderly end."""
        atexit.register(self.kill)
        with interrupts_held(), self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
            )

    @property
    def exit_code(self) -> int | None:
        """What the command ended with; None while it runs, and before it was started."""
        return None if self._popen is None else self._popen.poll()

    @property
    def is_running(self) -> bool:
        """Whether the command was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def members(self) -> list[psutil.Process]:
        """Return every living process of the session, and the command's descendants outside it."""
        if self._popen is None:
            return []
        leader = self._popen.pid
        living = {process for process in psutil.process_iter() if _is_in(process, leader)}
        return [*living.union(_descendants(leader) if self.is_running else ())]

    def terminate(self) -> None:
        """Ask the command to end."""
        if self._popen is not None:
            self._popen.send_signal(self._stop_signal)

    def kill(self) -> None:
        """Kill the whole session, and return when it is gone.

        :raises RuntimeError: some of it lives on for five seconds.
        """
        if self._popen is None:
            return
        with interrupts_held():
            deadline = time.monotonic() + _KILLED_SECONDS
            while members := self.members():
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name}: {[m.pid for m in members]} cannot be killed.")
                for member in members:
                    with suppress(psutil.NoSuchProcess):
                        member.kill()
                time.sleep(_STEP)
            self._popen.wait(_KILLED_SECONDS)
            atexit.unregister(self.kill)

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 400 * lines))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def stop(processes: Iterable[Process], *, grace: float) -> None:
    """End *processes* together: each is asked, and after *grace* seconds what is left is killed.

    An interrupt that comes meanwhile waits until all are gone.
    """
    with interrupts_held():
        ending = list(processes)
        for process in ending:
            process.terminate()
        deadline = time.monotonic() + grace
        while any(process.members() for process in ending) and time.monotonic() < deadline:
            time.sleep(_STEP)
        for process in ending:
            process.kill()


def raise_once_on_interrupt() -> None:
    """Let the first of SIGINT, SIGTERM and SIGHUP end the program; stopping is bounded and not broken off."""

    def interrupt(_number: int, _frame: object) -> None:
        for number in INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)
        # Not print(): the interrupt may have come in the middle of one.
        os.write(sys.stdout.fileno(), b"\nInterrupted: stopping Airflow and the simulator.\n")
        raise KeyboardInterrupt

    for number in INTERRUPTS:
        signal.signal(number, interrupt)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Deliver SIGINT, SIGTERM and SIGHUP after the block, so that it is done whole."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python interrupts the main thread only
        return
    arrived: list[int] = []
    handlers = {number: signal.getsignal(number) for number in INTERRUPTS}
    for number in INTERRUPTS:
        signal.signal(number, lambda number, _frame: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in reversed(handlers.items()):  # the one that raises comes back last
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


def _descendants(pid: int) -> list[psutil.Process]:
    """Return what lives of a living process's descendants: PostgreSQL gives each of its own a session."""
    try:
        found = psutil.Process(pid).children(recursive=True)
        return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []


def _is_in(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, PermissionError, psutil.Error):
        return False  # gone, or somebody else's
