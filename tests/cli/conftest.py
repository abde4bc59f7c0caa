"""Commands run through Airflow's own parser, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from airflow.cli import cli_parser

from airflow_provider_avepoint.core import retry


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_DELAY", 0.0)


@pytest.fixture(autouse=True)
def _process_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a command sets for its own process out of the tests that follow."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")


def run_command(*words: str) -> int:
    """Run ``airflow avepoint …`` and return its exit status."""
    args = cli_parser.get_parser().parse_args(["avepoint", *words])
    try:
        args.func(args)
    except SystemExit as e:
        return int(e.code or 0)
    return 0


@pytest.fixture
def avepoint(connect: Callable[..., str], capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that runs ``airflow avepoint …`` with a connection to the simulator."""
    connect()

    def run(*words: str) -> Done:
        capfd.readouterr()
        status = run_command(*words)
        return Done(status, *capfd.readouterr())

    return run
