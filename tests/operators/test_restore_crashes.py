"""A worker that is killed around the one request that must not be sent twice.

``make restore-kills`` kills 50 times at each point, and prints what became of the restores.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_avepoint.simulator import Simulator
from tests.ledger.processes import Child
from tests.operators.restore_processes import restore_once

PATH = "/backup/m365/restore/jobs"
REPEATS = int(os.environ.get("AVEPOINT_RESTORE_KILLS", "1"))
_SECONDS = 120
#: Where the intent is kept, and the name's end of the file that it is kept in.
STORES = {"task state": ".json", "ledger": ".db"}


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def environment(simulator: Simulator) -> dict[str, str]:
    connection = {
        "conn_type": "avepoint",
        "host": simulator.url,
        "login": simulator.client_id,
        "password": simulator.client_secret,
        "extra": {"identity_endpoint": simulator.token_url, "allow_restore": True},
    }
    return {"AIRFLOW_CONN_AVEPOINT_DEFAULT": json.dumps(connection)}


class Stage:
    """One restore, and the process that is killed in it."""

    def __init__(self, simulator: Simulator, environment: dict[str, str], path: Path) -> None:
        self.simulator = simulator
        self._environment = environment
        self._path = str(path)

    def kill_itself(self, *arguments: Any, **named: Any) -> None:
        """Run a try that dies by itself, at the point that *arguments* name."""
        with Child(_call, self._environment, self._path, arguments, named) as child:
            assert child.ends() == -signal.SIGKILL

    def kill_when(self, condition: Callable[[], object]) -> None:
        """Run a try, and kill it once *condition* holds."""
        with Child(restore_once, self._environment, self._path) as child:
            wait_for(condition)
            child.signal(signal.SIGKILL)
            assert child.ends() == -signal.SIGKILL

    def kill_after(self, seconds: float) -> None:
        """Run a try, and kill it after a while, wherever it is."""
        with Child(restore_once, self._environment, self._path) as child:
            time.sleep(seconds)  # any moment will do
            child.process.kill()  # where it is still there
            child.ends()

    def retry(self) -> str:
        """Run a try to its end, as Airflow's retry does."""
        with Child(restore_once, self._environment, self._path) as child:
            return child.result()

    @property
    def posts(self) -> int:
        return len(self.simulator.requests(PATH))

    @property
    def restores(self) -> int:
        return len(self.simulator.restores())


def _call(path: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
    return restore_once(path, *arguments, **named)


def before_the_intent(stage: Stage) -> None:
    stage.kill_itself(1)


def before_the_send(stage: Stage) -> None:
    stage.kill_itself(dies_before_sending=True)


def before_the_deed(stage: Stage) -> None:
    """Let the server act on the request when the worker is dead."""
    stage.simulator.add_fault("slow", path=PATH, seconds=1)
    stage.kill_when(lambda: any(each["note"] for each in stage.simulator.requests(PATH)))
    assert stage.restores == 0


def before_the_answer(stage: Stage) -> None:
    stage.simulator.add_fault("hang", path=PATH, where="after")
    stage.kill_when(lambda: stage.restores)


def before_the_answer_is_kept(stage: Stage) -> None:
    stage.kill_itself(2)


def while_the_job_runs(stage: Stage) -> None:
    jobs = "/backup/m365/cloudbackupjobs/RS"
    stage.kill_when(lambda: stage.simulator.requests(jobs))


def at_any_moment(stage: Stage) -> None:
    stage.simulator.set_quirks("all", latency_ms=100)  # so that most of the time something is on its way
    stage.kill_after(random.uniform(0, 1))
    stage.simulator.set_quirks("all", latency_ms=0)


BY_ID, BY_START, UNCERTAIN = (
    "passed, known by its id",
    "passed, found by its start",
    "AvePointRestoreUncertain",
)
#: What is killed where, how the retry ends, and how many restores there are then; None: it depends.
POINTS: list[tuple[str, Callable[[Stage], None], tuple[str, int] | None]] = [
    ("before the send: intent not kept", before_the_intent, (BY_ID, 1)),
    ("before the send: intent kept", before_the_send, (UNCERTAIN, 0)),
    ("between send and answer: server acts later", before_the_deed, (BY_START, 1)),
    ("between send and answer: server has acted", before_the_answer, (BY_START, 1)),
    ("after the answer: not kept", before_the_answer_is_kept, (BY_START, 1)),
    ("after the answer: job runs", while_the_job_runs, (BY_ID, 1)),
    ("at any moment", at_any_moment, None),
]


@pytest.mark.system
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(("name", "kill", "expected"), POINTS, ids=[kill.__name__ for _, kill, _ in POINTS])
def test_a_killed_worker_never_restores_twice(
    simulator: Simulator,
    environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    store: str,
    name: str,
    kill: Callable[[Stage], None],
    expected: tuple[str, int] | None,
) -> None:
    """One retry goes on, and a second one after it; neither restores where a restore may have begun."""
    ends: Counter[str] = Counter()
    restores: Counter[int] = Counter()
    for number in range(REPEATS):
        simulator.reset()
        simulator.set_restores(runs_for=0.3)
        stage = Stage(simulator, environment, tmp_path / f"{number}{STORES[store]}")
        kill(stage)
        first = stage.retry()
        second = stage.retry()
        wait_for(lambda: all(each["status"] or each["note"] for each in simulator.requests(PATH)))
        assert stage.restores <= 1
        assert stage.posts <= 1
        assert second == first or (first, stage.restores) == ("AvePointRestoreUncertain", 1)
        ends[first] += 1
        restores[stage.restores] += 1
    with capsys.disabled():
        twice = sum(restores.values()) - restores[0] - restores[1]
        counts = f"{REPEATS} | {restores[0]} | {restores[1]} | {twice}"
        said = ", ".join(f"{end}: {count}" for end, count in sorted(ends.items()))
        print(f"\n| {store} | {name} | {counts} | {said} |")  # noqa: T201  # what make restore-kills is for
    if expected is not None:
        assert (set(ends), set(restores)) == ({expected[0]}, {expected[1]})
