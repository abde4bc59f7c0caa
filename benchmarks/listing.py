"""The listing of Dynamics 365 jobs, beside ``HttpOperator`` and beside the limit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from benchmarks.listers import (
    PRODUCT,
    SCOPE,
    Order,
    list_page_by_page_with_aiohttp,
    list_with_aiohttp,
    list_with_async_hook,
    list_with_hook,
    list_with_http_operator,
)
from benchmarks.readings import BenchmarkError, Contender, Prepare, Reading, Series, quiet_airflow, take_turns
from benchmarks.report import Figure, Table
from benchmarks.server import Server, serve

_OURS = ("AvePointHook.iter_jobs", "AvePointAsyncHook.aiter_jobs")
_LIMIT = "aiohttp alone, 8 connections"
_PAGE_BY_PAGE = "aiohttp alone, page by page"
_HTTP_OPERATOR = "HttpOperator, {:,} rows a page"
_EVERY = timedelta(minutes=1)
_MIB_AT_MOST = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    :param jobs: how many are listed; *fewer* names the page sizes that are so slow that a smaller number must
        do, by latency in milliseconds. They read page after page, so their time grows with the number.
    :param short: how many are listed where it is about the time until the first pages come.
    :param short_latency: the latency of these listings, in milliseconds.
    :param many: how many are listed where it is about growth.
    """

    jobs: int = 100_000
    short: int = 5_000
    short_latency: int = 50
    many: int = 1_000_000
    rounds: int = 5
    rounds_of_many: int = 3
    fewer: Mapping[int, Mapping[int, int]]
    warm_up: int = 100


PLAN = Plan(fewer={0: {10: 5_000}, 50: {10: 1_000, 100: 10_000}})


@dataclass(frozen=True, slots=True)
class _Entrant:
    prepare: Prepare
    page_size: int


_ENTRANTS = {
    _OURS[0]: _Entrant(list_with_hook, 1_000),
    _OURS[1]: _Entrant(list_with_async_hook, 1_000),
    _LIMIT: _Entrant(list_with_aiohttp, 1_000),
    **{_HTTP_OPERATOR.format(size): _Entrant(list_with_http_operator, size) for size in (1_000, 100, 10)},
}


_FOLLOWERS = {_PAGE_BY_PAGE: _Entrant(list_page_by_page_with_aiohttp, 1_000)}
# Those that list a few pages; the limit knows how many there are, so that it needs one round trip only.
_SHORT = (*_OURS, _PAGE_BY_PAGE, _HTTP_OPERATOR.format(100))


def measure(say: Callable[[str], None], plan: Plan = PLAN) -> dict[str, Any]:
    """List with every entrant, in turns; return all readings, ready for JSON."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="avepoint-bench-"))
        server = stack.enter_context(serve())
        newest = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
        say(f"generating {plan.many:,} jobs")
        server.generate(
            product=PRODUCT,
            count=plan.many,
            newest_at=newest.isoformat(),
            every_seconds=_EVERY.total_seconds(),
            organizations=[f"organization-{number}" for number in range(20)],
            workloads=["customer_engagement", "unified_operations"],
            states=["success", "success", "success", "partial", "failed"],
        )
        environment = quiet_airflow(home)
        contenders = {
            name: stack.enter_context(Contender(each.prepare, environment))
            for name, each in (_ENTRANTS | _FOLLOWERS).items()
        }
        return _Course(server, newest, contenders, plan, say).run()


class _Course:
    """One run, on a server that holds all jobs."""

    def __init__(
        self,
        server: Server,
        newest: datetime,
        contenders: Mapping[str, Contender],
        plan: Plan,
        say: Callable[[str], None],
    ) -> None:
        self._server = server
        self._newest = newest
        self._contenders = contenders
        self._plan = plan
        self._say = say
        self._token = server.get_token(SCOPE)
        self._warm: dict[str, Reading] = {}

    def run(self) -> dict[str, Any]:
        plan = self._plan
        self._say(f"memory: {plan.jobs:,} jobs once each")
        self._server.set_latency(0)
        memory = {}
        for name in _FOLLOWERS:
            self._warm[name] = self._list(name, plan.warm_up)
        for name in _ENTRANTS:
            self._warm[name] = self._list(name, plan.warm_up)
            memory[name] = Series(warm=self._warm[name], readings=[self._list(name, plan.jobs)])
        self._say("every job once, so that the simulator has rendered all rows")
        self._list(_LIMIT, plan.many)
        return {
            "jobs": plan.jobs,
            "memory_mib": {name: round(series.memory_mib, 1) for name, series in memory.items()},
            "latencies": {str(latency): self._race(latency) for latency in sorted(plan.fewer, reverse=True)},
            "short": plan.short,
            "short_latency": plan.short_latency,
            "short_listings": self._race_short(),
            "many": plan.many,
            "growth": self._grow(),
        }

    def _race(self, latency: int) -> dict[str, Any]:
        plan = self._plan
        self._say(f"{latency} ms latency: {plan.rounds} rounds")
        self._server.set_latency(latency)
        counts = {
            name: plan.fewer[latency].get(each.page_size, plan.jobs) for name, each in _ENTRANTS.items()
        }
        runs = {name: partial(self._list, name, count) for name, count in counts.items()}
        readings = take_turns(runs, plan.rounds)
        return {
            name: {"jobs": counts[name], **Series(warm=self._warm[name], readings=each).as_dict()}
            for name, each in readings.items()
        }

    def _race_short(self) -> dict[str, Any]:
        """List a few pages with ours, with aiohttp page by page and with HttpOperator, in turns."""
        plan = self._plan
        self._say(f"{plan.short:,} jobs at {plan.short_latency} ms latency: {plan.rounds} rounds")
        self._server.set_latency(plan.short_latency)
        runs = {name: partial(self._list, name, plan.short) for name in _SHORT}
        readings = take_turns(runs, plan.rounds)
        return {
            name: Series(warm=self._warm[name], readings=each).as_dict() for name, each in readings.items()
        }

    def _grow(self) -> dict[str, Any]:
        """List few and many with ours, in turns."""
        plan = self._plan
        self._say(f"growth: {plan.many:,} jobs, {plan.rounds_of_many} rounds")
        self._server.set_latency(0)
        cases = {f"{name}, {count}": (name, count) for name in _OURS for count in (plan.jobs, plan.many)}
        runs = {case: partial(self._list, name, count) for case, (name, count) in cases.items()}
        readings = take_turns(runs, plan.rounds_of_many)
        grown: dict[str, Any] = {name: {} for name in _OURS}
        for case, (name, count) in cases.items():
            grown[name][str(count)] = Series(warm=self._warm[name], readings=readings[case]).as_dict()
        return grown

    def _list(self, name: str, jobs: int) -> Reading:
        order = Order(
            jobs=jobs,
            url=self._server.url,
            connection=self._server.connection(),
            token=self._token,
            started_after=_write(self._newest - (jobs - 1) * _EVERY),
            finished_before=_write(self._newest + timedelta(days=1)),
            page_size=(_ENTRANTS | _FOLLOWERS)[name].page_size,
        )
        reading = self._contenders[name].run(order)
        if reading.done != jobs:
            raise BenchmarkError(f"{name} listed {reading.done} of {jobs} jobs.")
        return reading


def judge(result: Mapping[str, Any]) -> list[Figure]:
    """Return the figures to reach, for both of our drivers."""
    few, many = str(result["jobs"]), str(result["many"])
    figures = []
    for ours in _OURS:
        mine = {latency: _seconds(result, latency, ours) for latency in ("0", "50")}
        growth = result["growth"][ours]
        short = {name: each["median_seconds"] for name, each in result["short_listings"].items()}
        case = f"{ours}, {result['short']:,} jobs at {result['short_latency']} ms"
        figures += [
            Figure(
                what=f"{case}: times as fast as HttpOperator at 100 rows a page",
                value=short[_HTTP_OPERATOR.format(100)] / short[ours],
                bound=8,
                is_least=True,
            ),
            Figure(
                what=f"{case}: time over aiohttp's, page by page",
                value=short[ours] / short[_PAGE_BY_PAGE],
                bound=1.3,
            ),
            Figure(
                what=f"{ours}, 50 ms: times as fast as HttpOperator at 100 rows a page",
                value=_seconds(result, "50", _HTTP_OPERATOR.format(100)) / mine["50"],
                bound=8,
                is_least=True,
            ),
            Figure(
                what=f"{ours}, 50 ms: time over the limit's",
                value=mine["50"] / _seconds(result, "50", _LIMIT),
                bound=1.8,
            ),
            Figure(
                what=f"{ours}, 0 ms: time over HttpOperator's at 1,000 rows a page",
                value=mine["0"] / _seconds(result, "0", _HTTP_OPERATOR.format(1_000)),
                bound=1.0,
            ),
            Figure(
                what=f"{ours}: MiB that {result['many']:,} jobs take",
                value=growth[many]["memory_mib"],
                bound=_MIB_AT_MOST,
            ),
            Figure(
                what=f"{ours}: time of {result['many']:,} jobs over that of {result['jobs']:,}",
                value=growth[many]["median_seconds"] / growth[few]["median_seconds"],
                bound=11,
            ),
        ]
    return figures


def tabulate(result: Mapping[str, Any]) -> Table:
    """Return seconds and peak memory of all entrants; scaled figures have an asterisk."""
    fastest = {latency: _seconds(result, latency, _OURS[0]) for latency in result["latencies"]}
    head = [f"{result['jobs']:,} jobs"]
    for latency in fastest:
        head += [f"{latency} ms latency", "ratio"]
    rows = []
    for name in _ENTRANTS:
        row = [name]
        for latency, ours in fastest.items():
            seconds = _seconds(result, latency, name)
            is_scaled = result["latencies"][latency][name]["jobs"] != result["jobs"]
            row += [f"{seconds:.2f} s{'*' if is_scaled else ''}", f"{seconds / ours:.2f}"]
        rows.append([*row, f"{result['memory_mib'][name]:.0f} MiB"])
    return Table([*head, "peak memory"], rows)


def tabulate_growth(result: Mapping[str, Any]) -> Table:
    """Return what a great number takes."""
    many = str(result["many"])
    rows = [
        (
            name,
            f"{growth[many]['median_seconds']:.1f} s",
            f"{growth[many]['memory_mib']:.0f} MiB",
        )
        for name, growth in result["growth"].items()
    ]
    return Table((f"{result['many']:,} jobs", "0 ms latency", "peak memory"), rows)


def footnote(result: Mapping[str, Any]) -> str:
    """Return the sentences that make the tables honest."""
    scaled = ", ".join(
        f"{readings['jobs']:,} jobs at {latency} ms with {name.rpartition(', ')[2]}"
        for latency, entrants in result["latencies"].items()
        for name, readings in entrants.items()
        if readings["jobs"] != result["jobs"]
    )
    return (
        f"Medians, measured in turns in one run; ratios are to {_OURS[0]}. Memory is what a process's peak "
        "grows over itself when warm. Ours gets its token in the time; the others are given theirs, and "
        f"aiohttp alone knows how many pages there are. * scaled from {scaled}."
    )


def _seconds(result: Mapping[str, Any], latency: str, name: str) -> float:
    """Return the median for the full number of jobs."""
    readings = result["latencies"][latency][name]
    seconds: float = readings["median_seconds"] * result["jobs"] / readings["jobs"]
    return seconds


def _write(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
