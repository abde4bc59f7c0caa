"""What a thousand waits take, beside ``HttpSensor(deferrable=True)``: requests, processor, memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from benchmarks.listers import PRODUCT
from benchmarks.readings import BenchmarkError, Contender, Prepare, Series, quiet_airflow
from benchmarks.report import Figure, Table
from benchmarks.server import Server, serve
from benchmarks.waiters import (
    M365_OBJECT_TYPES,
    Order,
    name_job,
    only_sleep,
    wait_for_jobs,
    wait_for_verdicts,
    wait_with_http_sensor,
)

_JOBS = "AvePointJobSensor"
_GATES = "AvePointBackupSensor, Microsoft 365"
_HTTP_SENSOR = "HttpSensor(deferrable=True)"
_SLEEP = "a trigger that only sleeps"
_ENTRANTS: dict[str, Prepare] = {
    _SLEEP: only_sleep,
    _JOBS: wait_for_jobs,
    _GATES: wait_for_verdicts,
    _HTTP_SENSOR: wait_with_http_sensor,
}
_REQUESTS_AT_MOST = {_JOBS: 10, _GATES: 16}
_KIB_AT_MOST = 24
# Of one core, where each wait looks once a minute.
_PERCENT_AT_MOST = 1
_MINUTE = 60
_JUDGED = "1000"
# A tenant's eight days: the window and the look-back. Every object type has some four backups a day.
_HISTORY = 400
_HISTORY_EVERY = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often each wait looks, in seconds, and how many intervals are measured.

    What an interval takes does not depend on its length; it must only be long enough for one look of all.
    """

    interval: float
    intervals: int = 3


_IDLE = Pace(0.5, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    :param paces: by the number of waits.
    :param paces_of_http_sensor: where it cannot keep the pace of the others.
    """

    paces: Mapping[int, Pace]
    paces_of_http_sensor: Mapping[int, Pace] = field(default_factory=dict)


PLAN = Plan(
    paces={1: Pace(1), 100: Pace(1), 1_000: Pace(4), 5_000: Pace(8, 2)},
    paces_of_http_sensor={1_000: Pace(6, 2), 5_000: Pace(20, 1)},
)


def measure(say: Callable[[str], None], plan: Plan = PLAN) -> dict[str, Any]:
    """Have so many wait, each entrant in a process of its own, one after the other."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="avepoint-bench-"))
        server = stack.enter_context(serve())
        counts = {}
        for count, pace in plan.paces.items():
            begun_at = datetime.now(UTC).replace(microsecond=0)
            _prepare(server, count, begun_at)
            waits = {}
            for name, prepare in _ENTRANTS.items():
                say(f"{count:,} waits: {name}")
                own_pace = {
                    _HTTP_SENSOR: plan.paces_of_http_sensor.get(count, pace),
                    _SLEEP: _IDLE,
                }.get(name, pace)
                with Contender(prepare, quiet_airflow(home)) as contender:
                    # What asks alone asks evenly from its first look on; what shares a poll falls into step.
                    settling = 0 if name == _HTTP_SENSOR else own_pace.interval
                    waits[name] = _watch(contender, server, count, own_pace, begun_at, settling=settling)
            counts[str(count)] = waits
        return {"counts": counts}


def _prepare(server: Server, count: int, begun_at: datetime) -> None:
    """Let as many Dynamics 365 jobs run, and one backup of each Microsoft 365 object type."""
    server.reset()
    server.generate(
        product="m365",
        count=_HISTORY,
        newest_at=(begun_at - timedelta(hours=1)).isoformat(),
        every_seconds=_HISTORY_EVERY.total_seconds(),
        workloads=M365_OBJECT_TYPES,
    )
    running = {"state": "running", "started_at": (begun_at - timedelta(minutes=1)).isoformat()}
    server.add_jobs({"product": "m365", "workload": each, **running} for each in M365_OBJECT_TYPES)
    server.add_jobs(
        {
            "product": PRODUCT,
            "job_id": name_job(number),
            "organization_id": f"organization-{number % 20}",
            "state": "running",
            "started_at": (begun_at - timedelta(seconds=600 + number)).isoformat(),
        }
        for number in range(count)
    )


def _watch(
    contender: Contender, server: Server, count: int, pace: Pace, begun_at: datetime, *, settling: float
) -> dict[str, Any]:
    """Begin the waits, let them settle for so many seconds, and measure the intervals after it."""
    http_connection = server.http_connection()

    def order(waits: int, seconds: float) -> Order:
        return Order(
            count=waits,
            interval=pace.interval,
            spread=pace.interval,
            seconds=seconds,
            begun_at=begun_at.isoformat(),
            connection=server.connection(),
            http_connection=http_connection,
        )

    empty = contender.run(order(0, 0.0))
    contender.run(order(count, settling))
    requests, readings = [], []
    for _ in range(pace.intervals):
        asked = server.count_requests()
        readings.append(contender.run(order(count, pace.interval)))
        requests.append(server.count_requests() - asked)
        if readings[-1].done != count:
            raise BenchmarkError(f"Of {count} waits, {readings[-1].done} are left.")
    series = Series(warm=empty, readings=readings)
    return {
        "interval": pace.interval,
        "requests": requests,
        "cpu_seconds": [round(reading.cpu_seconds, 4) for reading in readings],
        "kib_a_wait": round(series.memory_mib * 1024 / count, 2),
    }


def judge(result: Mapping[str, Any]) -> list[Figure]:
    """Return the figures to reach, for both of our sensors."""
    figures = []
    for ours, at_most in _REQUESTS_AT_MOST.items():
        waits = result["counts"][_JUDGED][ours]
        figures += [
            Figure(
                what=f"{ours}, 1,000 waits: requests an interval",
                value=median(waits["requests"]),
                bound=at_most,
            ),
            Figure(
                what=f"{ours}, 1,000 waits: KiB a wait beyond Airflow's own",
                value=_kib_a_wait(result, _JUDGED, ours),
                bound=_KIB_AT_MOST,
            ),
            Figure(
                what=f"{ours}, 1,000 waits: % of a core at an interval of 60 s",
                value=100 * median(waits["cpu_seconds"]) / _MINUTE,
                bound=_PERCENT_AT_MOST,
            ),
        ]
    return figures


def tabulate(result: Mapping[str, Any]) -> Table:
    """Return what waits take of the API, the processor and the memory, by how many they are."""
    counts = result["counts"]
    rows = []
    for name in _ENTRANTS:
        if name == _SLEEP:
            continue
        requests = [f"{median(waits[name]['requests']):,.0f}" for waits in counts.values()]
        microseconds = [
            f"{1e6 * median(waits[name]['cpu_seconds']) / int(count):,.0f}" for count, waits in counts.items()
        ]
        kib = [f"{_kib_a_wait(result, count, name):,.1f}" for count in counts]
        rows += [
            (f"{name}: requests an interval", *requests),
            ("µs of processor a wait and interval", *microseconds),
            ("KiB a wait", *kib),
        ]
    return Table(("waits", *(f"{int(count):,}" for count in counts)), rows)


def footnote(result: Mapping[str, Any]) -> str:
    """Return the sentences that make the table honest."""
    slower = ", ".join(
        f"{waits[_HTTP_SENSOR]['interval']:g} s for {int(count):,} of HttpSensor's"
        for count, waits in result["counts"].items()
        if waits[_HTTP_SENSOR]["interval"] != waits[_JOBS]["interval"]
    )
    paces = sorted({waits[_JOBS]["interval"] for waits in result["counts"].values()})
    usual = " to ".join(f"{seconds:g}" for seconds in dict.fromkeys((paces[0], paces[-1])))
    return (
        "Triggers on one event loop, medians of intervals when all have begun; the simulator's work is not "
        f"in them. An interval is {usual} s{f' ({slower})' if slower else ''}: what it takes does not depend "
        "on its length. Memory is what the process's peak grows by from no wait on, less what triggers take "
        "that only sleep. HttpSensor reads no answer: it can only wait for a job that is not there yet; "
        "its interval begins when an answer has come."
    )


def _kib_a_wait(result: Mapping[str, Any], count: str, name: str) -> float:
    """Return what a wait takes beyond what any trigger does."""
    waits = result["counts"][count]
    kib: float = waits[name]["kib_a_wait"] - waits[_SLEEP]["kib_a_wait"]
    return kib
