"""The benchmarks measure what they say, and the README says what they measured."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_avepoint.simulator import Simulator
from benchmarks import loaders, loading, waits, wakeups
from benchmarks.__main__ import README, RESULTS, write_tables
from benchmarks.dags.wakeups import benchmark_wakeups
from benchmarks.listers import (
    PRODUCT,
    SCOPE,
    Order,
    list_with_aiohttp,
    list_with_async_hook,
    list_with_hook,
    list_with_http_operator,
)
from benchmarks.listing import Plan, judge, measure, tabulate, tabulate_growth
from benchmarks.readings import BenchmarkError, Contender, Reading, Series
from benchmarks.report import put_into
from benchmarks.server import Server
from benchmarks.subjects import SUBJECTS
from benchmarks.waiters import Order as WaitOrder
from benchmarks.waiters import name_job, wait_for_jobs

pytestmark = pytest.mark.system

RECORDED: dict[str, Any] = json.loads(RESULTS.read_text())


def reading(seconds: float = 0.0, peak_bytes: int = 0) -> Reading:
    return Reading(done=1, seconds=seconds, cpu_seconds=0.0, peak_bytes=peak_bytes)


def grow(mebibytes: int) -> Callable[[], int]:
    return lambda: len(bytearray(mebibytes * 1024 * 1024))


def sleep(seconds: float) -> Callable[[], int]:
    return lambda: int(time.sleep(seconds) or 0)


def read_environment(name: str) -> Callable[[], int]:
    return lambda: int(os.environ[name])


@pytest.fixture
def _environment_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what listers define, which is there for processes of their own."""
    for name in ("AIRFLOW_CONN_AVEPOINT_BENCH", "AIRFLOW_CONN_HTTP_BENCH"):
        monkeypatch.setenv(name, "")


def test_the_readme_shows_what_was_measured() -> None:
    text = README.read_text()

    assert text == put_into(text, write_tables(RECORDED))


def test_every_subject_has_been_measured() -> None:
    assert list(RECORDED) == list(SUBJECTS)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_recorded_figures_are_those_of_the_recorded_readings(subject: str) -> None:
    result = RECORDED[subject]

    assert result["figures"] == [figure.as_dict() for figure in SUBJECTS[subject].judge(result)]


@pytest.mark.usefixtures("_environment_restored")
@pytest.mark.filterwarnings("ignore::FutureWarning")  # HttpOperator's own, about its imports
@pytest.mark.parametrize(
    "lister", [list_with_hook, list_with_async_hook, list_with_http_operator, list_with_aiohttp]
)
def test_every_way_lists_the_jobs_of_the_window(
    simulator: Simulator, lister: Callable[[Order], Callable[[], int]]
) -> None:
    """In pages of ten, of which the last is full or is not."""
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
    simulator.generate(PRODUCT, 40, newest_at=newest.isoformat(), every_seconds=60)
    simulator.set_quirks(PRODUCT, max_page_size=10)
    with httpx.Client(trust_env=False) as control:
        server = Server(simulator.url, control)
        connection, token = server.connection(), server.get_token(SCOPE)

    for jobs in (1, 20, 25):
        order = Order(
            jobs=jobs,
            url=server.url,
            connection=connection,
            token=token,
            started_after=f"{newest - timedelta(minutes=jobs - 1):%Y-%m-%dT%H:%M:%SZ}",
            finished_before=f"{newest + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
            page_size=10,
        )
        assert lister(order)() == jobs


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_small_run_has_all_figures_and_rows() -> None:
    said: list[str] = []
    plan = Plan(jobs=60, many=120, rounds=2, rounds_of_many=1, fewer={0: {10: 20}, 50: {10: 20}}, warm_up=5)

    result = json.loads(json.dumps(measure(said.append, plan)))

    assert [figure["what"] for figure in RECORDED["listing"]["figures"]] == [
        figure.what.replace("120 jobs", "1,000,000 jobs").replace("that of 60", "that of 100,000")
        for figure in judge(result)
    ]
    assert len(tabulate(result).rows) == len(result["memory_mib"]) == 6
    assert [row[0] for row in tabulate_growth(result).rows] == list(result["growth"])
    assert {len(each["seconds"]) for race in result["latencies"].values() for each in race.values()} == {2}
    for entrant in result["latencies"]["50"].values():
        assert min(entrant["seconds"]) > 0.05
    assert said


@pytest.fixture
def loading_order(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[loaders.Order]:
    """Return an order of 25 jobs, ten at a time, into an empty database."""
    for name in ("AIRFLOW_CONN_AVEPOINT_BENCH", "AIRFLOW_CONN_LEDGER_BENCH"):
        monkeypatch.setenv(name, "")
    simulator.generate(PRODUCT, 40)
    with httpx.Client(trust_env=False) as control:
        source = json.dumps(Server(simulator.url, control).connection())
    yield loaders.Order(
        jobs=25,
        batch=10,
        source=source,
        database={"conn_type": "sqlite", "host": str(tmp_path / "bench.db")},
    )
    loaders._list_jobs.cache_clear()


def test_the_ledger_has_each_job_once(loading_order: loaders.Order) -> None:
    assert loaders.load_with_ledger(loading_order)() == 25
    assert loaders.load_with_ledger(loading_order)() == 25

    with closing(sqlite3.connect(loading_order.database["host"])) as database:
        assert database.execute("SELECT count(*), count(DISTINCT job_id) FROM avepoint_jobs").fetchall() == [
            (25, 25)
        ]


def test_pandas_has_what_the_ledger_has(loading_order: loaders.Order) -> None:
    """The same jobs, and in fields of its own all that they say."""
    loaders.load_with_ledger(loading_order)()
    assert loaders.load_with_pandas(loading_order)() == 25

    query = "SELECT job_id, state, {}, size_bytes, organization_id, raw FROM {} ORDER BY job_id"
    with closing(sqlite3.connect(loading_order.database["host"])) as database:
        ours = database.execute(query.format("records_total", "avepoint_jobs")).fetchall()
        theirs = database.execute(query.format("record_counts_total", "pandas_jobs")).fetchall()
    assert [(*row[:-1], json.loads(row[-1])) for row in ours] == [
        (*row[:-1], json.loads(row[-1])) for row in theirs
    ]


def test_a_small_run_of_loads_has_all_figures_and_rows() -> None:
    said: list[str] = []
    plan = loading.Plan(jobs=60, batch=25, rounds=2, warm_up=5)

    result = json.loads(json.dumps(loading.measure(said.append, plan)))

    assert [figure["what"] for figure in RECORDED["loading"]["figures"]] == [
        figure.what for figure in loading.judge(result)
    ]
    assert [row[0] for row in loading.tabulate(result).rows] == [
        "Ledger.save_jobs",
        "Ledger.save_jobs, the same again",
        "pandas to_sql, append",
    ]
    assert {
        len(each["seconds"]) for database in result["databases"].values() for each in database.values()
    } == {2}
    assert said


def test_loads_are_compared_by_rows_a_second() -> None:
    seconds = {
        "SQLite": {
            "Ledger.save_jobs": 2.0,
            "Ledger.save_jobs, the same again": 1.0,
            "pandas to_sql, append": 4.0,
        },
        "PostgreSQL": {
            "Ledger.save_jobs": 5.0,
            "Ledger.save_jobs, the same again": 4.0,
            "pandas to_sql, append": 4.0,
        },
    }
    result = {
        "jobs": 10_000,
        "batch": 1_000,
        "databases": {
            database: {name: {"median_seconds": each} for name, each in entrants.items()}
            for database, entrants in seconds.items()
        },
    }

    figures = [(figure.value, figure.is_reached) for figure in loading.judge(result)]
    assert figures == [(2.0, True), (4.0, True), (0.8, False), (1.0, True)]
    assert loading.tabulate(result).rows == [
        ["Ledger.save_jobs", "5,000 rows/s", "1.00", "2,000 rows/s", "1.00"],
        ["Ledger.save_jobs, the same again", "10,000 rows/s", "2.00", "2,500 rows/s", "1.25"],
        ["pandas to_sql, append", "2,500 rows/s", "0.50", "2,500 rows/s", "1.25"],
    ]
    assert "1,000 jobs a transaction" in loading.footnote(result)


def test_a_contender_s_memory_is_what_its_peak_grew_by() -> None:
    with Contender(grow, {}) as contender:
        warm = contender.run(8)
        series = Series(warm=warm, readings=[contender.run(100), contender.run(1)])

    assert series.memory_mib == pytest.approx(92, abs=6)
    assert [warm.done, *(each.done for each in series.readings)] == [8 << 20, 100 << 20, 1 << 20]


def test_a_contender_has_its_own_environment() -> None:
    with Contender(read_environment, {"ONLY_THERE": "7"}) as contender:
        assert contender.run("ONLY_THERE").done == 7
    assert "ONLY_THERE" not in os.environ


def test_a_run_that_fails_is_no_reading() -> None:
    with (
        Contender(read_environment, {}) as contender,
        pytest.raises(BenchmarkError, match="failed at NOT_SET"),
    ):
        contender.run("NOT_SET")


def test_a_run_that_hangs_is_given_up() -> None:
    with (
        Contender(sleep, {}, timeout=0.01) as contender,
        pytest.raises(BenchmarkError, match="did not end within"),
    ):
        contender.run(60)


def test_a_small_run_of_waits_has_all_figures() -> None:
    """How often a wait asks is tests/triggers' business: here a slow machine would decide it."""
    said: list[str] = []
    plan = waits.Plan(paces={30: waits.Pace(1, 3)}, paces_of_http_sensor={30: waits.Pace(1.5, 2)})

    result = json.loads(json.dumps(waits.measure(said.append, plan)))

    sleeping, jobs, gates, http = result["counts"]["30"].values()
    assert sleeping["requests"] == [0]
    assert [each["interval"] for each in (jobs, gates, http)] == [1, 1, 1.5]
    assert [len(each["cpu_seconds"]) for each in (jobs, gates, http)] == [3, 3, 2]
    assert min(jobs["kib_a_wait"], gates["kib_a_wait"], http["kib_a_wait"]) > sleeping["kib_a_wait"]
    assert len(said) == 4


def waiting(requests: list[int], cpu_seconds: list[float], kib: float, interval: float = 5) -> dict[str, Any]:
    return {"interval": interval, "requests": requests, "cpu_seconds": cpu_seconds, "kib_a_wait": kib}


WAITS = {
    "counts": {
        "1000": {
            "a trigger that only sleeps": waiting([0], [0.001], 2.0),
            "AvePointJobSensor": waiting([3, 9, 2], [0.3, 0.9, 0.1], 26.5),
            "AvePointBackupSensor, Microsoft 365": waiting([16, 0, 17], [0.6, 0.7, 0.1], 26.0),
            "HttpSensor(deferrable=True)": waiting([1000, 998], [1.0, 2.0], 42.0, interval=10),
        }
    }
}


def test_the_figures_of_waits_are_medians_and_leave_out_what_is_airflow_s_own() -> None:
    figures = waits.judge(WAITS)

    assert [(figure.value, figure.bound, figure.is_reached) for figure in figures] == [
        (3, 10, True),
        (24.5, 24, False),
        (pytest.approx(0.5), 1, True),
        (16, 16, True),
        (24.0, 24, True),
        (pytest.approx(1.0), 1, True),
    ]


def test_the_table_of_waits_has_three_rows_each() -> None:
    table = waits.tabulate(WAITS)

    assert table.head == ("waits", "1,000")
    assert [row[1] for row in table.rows] == ["3", "300", "24.5", "16", "600", "24.0", "999", "1,500", "40.0"]


def test_the_footnote_of_waits_says_where_the_interval_is_another() -> None:
    assert "An interval is 5 s (10 s for 1,000 of HttpSensor's):" in waits.footnote(WAITS)


def test_a_wait_that_ends_is_no_reading(simulator: Simulator) -> None:
    """Here its job has ended before."""
    simulator.add_job(PRODUCT, job_id=name_job(0), state="success")
    with (
        httpx.Client(trust_env=False) as control,
        Contender(wait_for_jobs, {"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}) as contender,
    ):
        order = WaitOrder(
            count=1,
            interval=1,
            spread=0,
            seconds=2,
            begun_at=datetime.now(UTC).isoformat(),
            connection=Server(simulator.url, control).connection(),
            http_connection={},
        )
        with pytest.raises(BenchmarkError, match="wait_for_jobs failed"):
            contender.run(order)


def test_a_wakeup_is_the_time_from_the_job_s_end_to_the_next_task_s_start() -> None:
    job = {"finished_at": "2026-11-22T10:00:00.5000000Z"}

    assert wakeups.time_wakeup(job, {"start_date": "2026-11-22T10:00:04.250000Z"}) == 3.75


@pytest.mark.parametrize(
    ("ours", "theirs", "is_reached"), [(13.0, 6.0, True), (13.01, 6.0, False), (3.0, 6.0, True)]
)
def test_a_wakeup_may_take_an_interval_and_two_seconds_more(
    ours: float, theirs: float, *, is_reached: bool
) -> None:
    result = {
        "interval": 5,
        "seconds": {
            "AvePointJobSensor": [1.0, ours, 60.0],
            "AvePointBackupSensor": [ours],
            "HttpSensor(deferrable=True)": [theirs, 1.0, 60.0],
        },
    }

    assert [figure.is_reached for figure in wakeups.judge(result)] == [is_reached, is_reached]
    assert wakeups.tabulate(result).rows[0] == ("AvePointJobSensor", f"{ours:.1f} s", "60.0 s")
    assert "every 5 s, 3 runs" in wakeups.footnote(result)


def test_the_dag_has_what_is_timed() -> None:
    """Three waits that are deferred, look equally often, and have a task of their own behind them."""
    dag = benchmark_wakeups()

    assert dag.dag_id == wakeups.DAG_ID
    assert {each.task_id: each.downstream_task_ids for each in dag.tasks if each.downstream_task_ids} == {
        task_id: {f"after_{task_id}"} for task_id in wakeups.SENSORS
    }
    sensors = [dag.get_task(task_id) for task_id in wakeups.SENSORS]
    assert {(each.deferrable, each.poke_interval) for each in sensors} == {(True, 5.0)}
    assert [type(each).__name__ for each in sensors] == [
        name.partition("(")[0] for name, _ in wakeups.SENSORS.values()
    ]


def test_a_block_is_replaced_whole() -> None:
    text = "a\n<!-- benchmarks -->\n\nold\n\n<!-- /benchmarks -->\nb\n"

    assert put_into(text, "new") == text.replace("old", "new")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- benchmarks -->\n",
        "<!-- /benchmarks -->\n<!-- benchmarks -->\n",
        "<!-- benchmarks -->\n<!-- /benchmarks -->\n<!-- benchmarks -->\n<!-- /benchmarks -->\n",
    ],
)
def test_a_block_needs_its_place(text: str) -> None:
    with pytest.raises(ValueError, match="no one place"):
        put_into(text, "new")
