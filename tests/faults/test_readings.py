"""Play the faults on the readings beside the jobs: each is complete, or ends in the right error."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product as combinations
from typing import Any

import pytest

from airflow_provider_avepoint.core.auth import TOKENS
from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.retry import MAX_ATTEMPTS
from airflow_provider_avepoint.simulator import Simulator
from tests.hooks.drivers import DRIVERS
from tests.transports.server import Server

from .conftest import (
    arm,
    assert_nothing_given_away,
    end_within_bounds,
    name_addresses,
    no_stragglers,
    put,
)
from .table import (
    BODIES,
    IDENTITY,
    NETWORK,
    READING_FAULTS,
    READINGS,
    SHARED,
    STATUSES,
    Fault,
    Reading,
)

_BEGUN = datetime.now(UTC)
#: What is concluded of a reading without a fault, and after how many requests.
_clean: dict[str, tuple[Any, int]] = {}

GROUPS = {
    "network": NETWORK,
    "statuses": STATUSES,
    "bodies": BODIES,
    "identity": IDENTITY,
    "readings": READING_FAULTS,
}


def list_cases(faults: tuple[Fault, ...]) -> Iterator[tuple[Fault, Reading, str]]:
    """Yield each fault with a reading and a driver, which take turns; with all of them if that is asked."""
    for number, fault in enumerate(each for each in faults if each in SHARED or each in READING_FAULTS):
        readings = [each for each in READINGS if each.form in fault.forms]
        cases = list(combinations(readings, DRIVERS))
        if os.environ.get("AVEPOINT_ALL_FAULTS"):
            yield from ((fault, reading, driver) for reading, driver in cases)
        elif fault in READING_FAULTS:
            yield from ((fault, each, list(DRIVERS)[turn % 2]) for turn, each in enumerate(readings, number))
        else:
            # An odd step, so that each reading meets both drivers.
            reading, driver = cases[(number * 5) % len(cases)]
            yield fault, reading, driver


def restart(simulator: Simulator) -> None:
    """Set what is read: two rows of each, because one row is in order whatever comes."""
    simulator.reset()
    TOKENS.clear()
    start = "2026-02-27T03:54:22Z"
    simulator.set_reading(
        "m365",
        "schedule",
        [{"serviceType": n, "frequency": 1, "backupStartTime": [start]} for n in (0, 1)],
    )
    counts = {"tenantOwner": "contoso", "tenantId": "t"}
    simulator.set_reading(
        "m365",
        "unusual_activity",
        [
            {**counts, "serviceType": n, "potentialRansomwareAttackCount": n, "unusualActivitiesCount": 3}
            for n in (1, 2)
        ],
    )
    then = f"{_BEGUN - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    files = {"addedFiles": 1, "modifiedFiles": 2, "deletedFiles": 3, "latestDetectedDate": then}
    simulator.set_reading(
        "salesforce",
        "unusual_activity",
        [
            {**files, "organizationId": f"org{n}", "organizationName": "O", "suspiciousFiles": n}
            for n in (1, 2)
        ],
    )
    simulator.set_reading(
        "salesforce",
        "monitor_alerts",
        [
            {
                "organizationId": "org1",
                "objectType": "email",
                "operation": 2,
                "recordNumber": n,
                "collectTime": then,
            }
            for n in (1, 2)
        ],
    )


def tell(reading: Reading, answer: Any) -> Any:
    """Return what is concluded from an answer, without the moment and the order."""
    if reading.call == "get_backup_schedule":
        return {name: answer.list_starts(name) for name in answer.scheduled}
    if reading.call == "get_unusual_activity":
        return answer.alarm, {str(each) for each in answer.counts}
    if reading.call == "iter_monitor_alerts":
        return set(answer), len(answer)
    written = answer.as_dict()
    del written["read_at"]
    return written


NOTHING = {
    "get_backup_schedule": {},
    "get_unusual_activity": (0, set()),
    "iter_monitor_alerts": (set(), 0),
}


@pytest.mark.parametrize("group", GROUPS)
def test_a_fault_costs_no_part_of_a_reading_and_gives_nothing_away(
    group: str,
    simulator: Simulator,
    connect: Callable[..., str],
    foreigner: Server,
    nobody: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is concluded is what was to be read, or the error is the row's; no other host is asked."""
    caplog.set_level(logging.DEBUG)
    addresses = name_addresses(simulator, foreigner, nobody)
    for fault, reading, driver in list_cases(GROUPS[group]):
        named = f"{fault.name}, {reading}, {driver}"
        caplog.clear()
        identity = {"identity_endpoint": simulator.token_url}
        if str(reading) not in _clean:
            restart(simulator)
            connect(extra=identity)
            answer = DRIVERS[driver].call(reading.call, **reading.arguments)
            _clean[str(reading)] = tell(reading, answer), len(simulator.requests())
        expected, clean = _clean[str(reading)]
        restart(simulator)
        for play in fault.plays:
            arm(simulator, play, reading.path, 0, addresses)
        connect(host=put(fault.host or "{own}", addresses), extra=identity | put(fault.extra, addresses))

        with no_stragglers():
            outcome = end_within_bounds(
                lambda reading=reading, driver=driver: DRIVERS[driver].call(reading.call, **reading.arguments)
            )

        if fault.error is None:
            assert not isinstance(outcome, Exception), (named, outcome)
            wanted = NOTHING[reading.call] if fault.name == "reading-empty" else expected
            assert wanted == tell(reading, outcome), named
        else:
            assert fault.error.__name__ in {kind.__name__ for kind in type(outcome).__mro__}, (named, outcome)
            assert isinstance(outcome, AvePointError)
            assert fault.advice.casefold() in str(outcome).casefold(), named
        asked = simulator.requests()
        played = {entry["note"].removeprefix("fault: ") for entry in asked}
        assert {play.kind for play in fault.plays} <= played, named
        assert len(asked) <= clean + 2 * MAX_ATTEMPTS, named
        assert_nothing_given_away(simulator, foreigner, caplog, outcome)


def test_the_cases_have_each_fault_and_each_reading_with_both_drivers() -> None:
    cases = [case for faults in GROUPS.values() for case in list_cases(faults)]
    known = {fault.name for fault in (*SHARED, *READING_FAULTS)}
    assert known == {fault.name for fault, _, _ in cases}
    met = {(str(reading), driver) for _, reading, driver in cases}
    assert set(combinations(map(str, READINGS), DRIVERS)) == met
