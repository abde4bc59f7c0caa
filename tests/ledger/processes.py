"""Loads in processes of their own, which can be killed."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import alembic.command  # noqa: F401  # once, and not in each process, like the hook
from sqlalchemy import event
from sqlalchemy.engine import Engine

from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.hooks.avepoint import AvePointHook  # noqa: F401
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.operators.ledger import AvePointJobsToSqlOperator
from tests.ledger.databases import CONN_ID, make_job

_SECONDS = 120
# Processes come out of one that has imported this module and has no threads.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


class Child:
    """A process that calls a function of this module, from ``with`` to its end."""

    def __init__(self, function: Callable[..., Any], environment: Mapping[str, str], *arguments: Any) -> None:
        self._answers, theirs = PROCESSES.Pipe(duplex=False)
        self.process = PROCESSES.Process(
            target=_call, args=(theirs, function, dict(environment), arguments), daemon=True
        )
        self._theirs = theirs

    def __enter__(self) -> Self:
        self.process.start()
        self._theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.join()
        self._answers.close()

    def result(self) -> Any:
        """Return what the function returned; it is given two minutes."""
        assert self._answers.poll(_SECONDS), "the process hangs"
        return self._answers.recv()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def ends(self) -> int | None:
        """Wait for its end; return its exit code, less than 0 for the signal that killed it."""
        self.process.join(_SECONDS)
        return self.process.exitcode


def _call(pipe: Any, function: Callable[..., Any], environment: dict[str, str], arguments: Any) -> None:
    os.environ.update(environment)
    pipe.send(function(*arguments))


def load(arguments: dict[str, Any]) -> dict[str, Any]:
    """Load into the ledger; return the counts."""
    operator = AvePointJobsToSqlOperator(
        task_id="load", **({"product": "dynamics365", "ledger_conn_id": CONN_ID} | arguments)
    )
    return operator.execute({})


def load_together(arguments: dict[str, Any], barrier: Any) -> dict[str, Any]:
    """Load when everybody is there."""
    barrier.wait(_SECONDS)
    return load(arguments)


def load_until_commit(arguments: dict[str, Any], number: int) -> dict[str, Any]:
    """Load, and die by kill -9 just before the commit of this *number*, the first being 1."""
    left = number

    def count(_connection: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "commit", count)
    return load(arguments)


def load_and_weigh(arguments: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """Load a small product, then what is to be loaded; return the counts, and by how many MiB memory grew."""
    load(arguments | {"product": "salesforce"})
    before = _peak_mib()
    counts = load(arguments)
    return counts, _peak_mib() - before


def migrate_together(barrier: Any) -> bool:
    """Open the ledger when everybody is there."""
    barrier.wait(_SECONDS)
    Ledger(CONN_ID).close()
    return True


def save_with_room_for(file_size: int, job_count: int) -> list[str]:
    """Write jobs where no file may grow larger; return the error's class and message."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
    jobs = [make_job(f"J{number}", raw={"text": "x" * 1000}) for number in range(job_count)]
    try:
        with Ledger(CONN_ID) as ledger:
            ledger.save_jobs("t", jobs, jobs[0].started_at)
    except AvePointError as e:
        return [type(e).__name__, str(e)]
    return []


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024
