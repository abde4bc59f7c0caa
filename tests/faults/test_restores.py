"""Play the faults on the request for a restore: however it ends, at most one restore begins."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.core import restore
from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.operators import restore as operators
from airflow_provider_avepoint.operators.avepoint import AvePointRestoreOperator
from airflow_provider_avepoint.simulator import Simulator
from airflow_provider_avepoint.simulator.faults import Fault as SimulatedFault
from tests.operators.test_restore import TaskState
from tests.transports.server import Server

from .conftest import arm, assert_nothing_given_away, end_within_bounds, name_addresses, put
from .table import RESTORE_FAULTS, RestoreFault

if TYPE_CHECKING:
    import pytest

PATH = "/backup/m365/restore/jobs"


def drill(state: TaskState) -> dict[str, Any]:
    """Return what one try of the task returns."""
    task = AvePointRestoreOperator(
        task_id="drill",
        service="sharepoint_online",
        site_url="https://contoso.sharepoint.com/sites/canary",
        library="Documents",
        files="canary/a.txt",
        recovery_time="2026-11-01T00:00:00Z",
        deferrable=False,
        poll_interval=0.05,
    )
    return task.execute({"task_state_store": state})  # type: ignore[typeddict-unknown-key, return-value]


def test_a_fault_restores_nothing_twice(
    simulator: Simulator,
    connect: Callable[..., str],
    foreigner: Server,
    nobody: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end, what is said, the POSTs and the restores are the row's.

    A retry of what is lost, or has ended well, sends nothing more.
    """
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(operators, "BUSY_PAUSE", timedelta(seconds=0.05))
    for module in (restore, operators):
        monkeypatch.setattr(module, "SEARCH_FOR", timedelta(0))
    addresses = name_addresses(simulator, foreigner, nobody)
    for fault in RESTORE_FAULTS:
        caplog.clear()
        simulator.reset()
        TOKENS.clear()
        simulator.set_restores(runs_for=0)
        for play in fault.plays:
            arm(simulator, play, PATH, 0, addresses)
        extra = {"identity_endpoint": simulator.token_url, "allow_restore": True}
        connect(host=put(fault.host or "{own}", addresses), extra=extra | put(fault.extra, addresses))
        state = TaskState()

        outcome = end_within_bounds(lambda state=state: drill(state))

        check_end(fault, outcome)
        assert (fault.sent, fault.begins) == count(simulator), fault.name
        if fault.error is None or (state.kept and state.intent["phase"] == "sending"):
            again = end_within_bounds(lambda state=state: drill(state))
            check_end(fault, again)
            assert (fault.sent, fault.begins) == count(simulator), fault.name
        assert_nothing_given_away(simulator, foreigner, caplog, outcome)


def count(simulator: Simulator) -> tuple[int, int]:
    """Return how many POSTs came, and how many restores began."""
    return len(simulator.requests(PATH)), len(simulator.restores())


def check_end(fault: RestoreFault, outcome: Any) -> None:
    if fault.error is None:
        assert isinstance(outcome, dict), (fault.name, outcome)
        assert outcome["passed"], fault.name
        assert outcome["was_adopted"] is not fault.says.endswith("."), fault.name
        assert fault.says.endswith(".") or fault.says in outcome["message"], fault.name
    else:
        assert fault.error.__name__ in {kind.__name__ for kind in type(outcome).__mro__}, (
            fault.name,
            outcome,
        )
        assert fault.says.casefold() in str(outcome).casefold(), (fault.name, str(outcome))


def test_the_rows_have_every_fault_that_can_hit_a_request_for_a_restore() -> None:
    """But for those of lists: rows in an order, and quirks of a page."""
    known = {each.model_fields["kind"].annotation.__args__[0] for each in SimulatedFault.__subclasses__()}
    played = {play.kind for fault in RESTORE_FAULTS for play in fault.plays}
    assert known - {"rows", "quirks"} == played
