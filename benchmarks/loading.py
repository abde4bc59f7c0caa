"""Jobs into SQLite and into PostgreSQL: the ledger, which updates what it has, beside ``pandas.to_sql``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.listers import PRODUCT
from benchmarks.loaders import Order, load_with_ledger, load_with_pandas
from benchmarks.readings import BenchmarkError, Contender, Prepare, Reading, Series, quiet_airflow, take_turns
from benchmarks.report import Figure, Table
from benchmarks.server import serve
from demo.postgres import Postgres

_FIRST = "Ledger.save_jobs"
_AGAIN = "Ledger.save_jobs, the same again"
_PANDAS = "pandas to_sql, append"
_ENTRANTS: dict[str, Prepare] = {_FIRST: load_with_ledger, _PANDAS: load_with_pandas}
_DATABASES = ("SQLite", "PostgreSQL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured; each entrant loads *jobs*, a *batch* at a time, into an empty database."""

    jobs: int = 50_000
    batch: int = 1_000
    rounds: int = 3
    warm_up: int = 100


PLAN = Plan()


def measure(say: Callable[[str], None], plan: Plan = PLAN) -> dict[str, Any]:
    """Load with every entrant into both databases, in turns; return all readings, ready for JSON."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="avepoint-bench-"))
        postgres = stack.enter_context(Postgres())
        server = stack.enter_context(serve())
        say(f"generating {plan.jobs:,} jobs")
        server.generate(
            product=PRODUCT,
            count=plan.jobs,
            organizations=[f"organization-{number}" for number in range(20)],
            workloads=["customer_engagement", "unified_operations"],
            states=["success", "success", "success", "partial", "failed"],
        )
        contenders = {
            name: stack.enter_context(Contender(prepare, quiet_airflow(home)))
            for name, prepare in _ENTRANTS.items()
        }
        return _Course(Path(home), postgres, json.dumps(server.connection()), contenders, plan).run(say)


class _Course:
    """One run; every load has a database of its own."""

    def __init__(
        self,
        home: Path,
        postgres: Postgres,
        source: str,
        contenders: Mapping[str, Contender],
        plan: Plan,
    ) -> None:
        self._home = home
        self._postgres = postgres
        self._source = source
        self._contenders = contenders
        self._plan = plan
        self._numbers = count(1)
        self._again: dict[str, list[Reading]] = {database: [] for database in _DATABASES}

    def run(self, say: Callable[[str], None]) -> dict[str, Any]:
        plan = self._plan
        say("warming up")
        warm = {
            (database, name): self._load(database, name, plan.warm_up)
            for database in _DATABASES
            for name in _ENTRANTS
        }
        for readings in self._again.values():
            readings.clear()
        say(f"{plan.jobs:,} jobs: {plan.rounds} rounds")
        readings = take_turns(
            {key: (lambda key=key: self._load(*key, plan.jobs)) for key in warm}, plan.rounds
        )
        databases: dict[str, dict[str, Any]] = {database: {} for database in _DATABASES}
        for (database, name), taken in readings.items():
            series = {name: taken, _AGAIN: self._again[database]} if name == _FIRST else {name: taken}
            for each, runs in series.items():
                databases[database][each] = Series(warm=warm[database, name], readings=runs).as_dict()
        return {"jobs": plan.jobs, "batch": plan.batch, "databases": databases}

    def _load(self, database: str, name: str, jobs: int) -> Reading:
        """Load into an empty database; with ours, the same again."""
        order = Order(
            jobs=jobs,
            batch=self._plan.batch,
            source=self._source,
            database=self._make_database(database),
        )
        reading = self._run(name, order)
        if name == _FIRST:
            self._again[database].append(self._run(name, order))
        return reading

    def _run(self, name: str, order: Order) -> Reading:
        reading = self._contenders[name].run(order)
        if reading.done != order.jobs:
            raise BenchmarkError(f"{name} loaded {reading.done} of {order.jobs} jobs.")
        return reading

    def _make_database(self, database: str) -> dict[str, Any]:
        name = f"bench_{next(self._numbers)}"
        if database == "SQLite":
            return {"conn_type": "sqlite", "host": str(self._home / f"{name}.db")}
        self._postgres.create_database(name)
        return self._postgres.connection(database=name)


def judge(result: Mapping[str, Any]) -> list[Figure]:
    """Return the figures to reach."""
    return [
        Figure(
            what=f"{ours}, {database}: rows a second over those of pandas",
            value=_seconds(result, database, _PANDAS) / _seconds(result, database, ours),
            bound=1,
            is_least=True,
        )
        for database in result["databases"]
        for ours in (_FIRST, _AGAIN)
    ]


def tabulate(result: Mapping[str, Any]) -> Table:
    """Return the rows a second of every entrant."""
    head = [f"{result['jobs']:,} jobs"]
    for database in result["databases"]:
        head += [database, "ratio"]
    rows = []
    for name in (_FIRST, _AGAIN, _PANDAS):
        row = [name]
        for database in result["databases"]:
            seconds = _seconds(result, database, name)
            row += [
                f"{result['jobs'] / seconds:,.0f} rows/s",
                f"{_seconds(result, database, _FIRST) / seconds:.2f}",
            ]
        rows.append(row)
    return Table(head, rows)


def footnote(result: Mapping[str, Any]) -> str:
    """Return the sentences that make the table honest."""
    return (
        f"Medians, measured in turns in one run, {result['batch']:,} jobs a transaction or data frame; "
        "ratios are to the first row. The ledger looks each job up by its key, and inserts or updates it; "
        "pandas appends the fields of the same jobs to a table without a key. PostgreSQL runs without fsync."
    )


def _seconds(result: Mapping[str, Any], database: str, name: str) -> float:
    seconds: float = result["databases"][database][name]["median_seconds"]
    return seconds
