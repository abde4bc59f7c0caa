"""The benchmarks measure what they say, and docs/benchmarks.md says what they measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from airflow_provider_avepoint.simulator import Simulator
from benchmarks import loading, looks, waits, wakeups
from benchmarks.__main__ import PAGE, RESULTS, write_tables
from benchmarks.dags.wakeups import benchmark_wakeups
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
from benchmarks.listing import Plan, judge, measure, tabulate, tabulate_growth
from benchmarks.readings import BenchmarkError, Contender, Reading, Series, take_turns
from benchmarks.report import put_into
from benchmarks.server import Server
from benchmarks.subjects import SUBJECTS
from benchmarks.waiters import Order as WaitOrder
from benchmarks.waiters import name_job, wait_for_jobs

RECORDED: dict[str, Any] = json.loads(RESULTS.read_text())


def reading(seconds: float = 0.0, peak_bytes: int = 0) -> Reading:
    return Reading(done=1, seconds=seconds, cpu_seconds=0.0, peak_bytes=peak_bytes)


def grow(mebibytes: int) -> Callable[[], int]:
    return lambda: len(bytearray(mebibytes * 1024 * 1024))


@pytest.fixture
def _environment_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what listers define, which is there for processes of their own."""
    for name in ("AIRFLOW_CONN_AVEPOINT_BENCH", "AIRFLOW_CONN_HTTP_BENCH"):
        monkeypatch.setenv(name, "")


def test_the_page_shows_what_was_measured() -> None:
    text = PAGE.read_text()

    assert text == put_into(text, write_tables(RECORDED))


def test_every_subject_has_been_measured() -> None:
    assert list(RECORDED) == list(SUBJECTS)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_recorded_figures_are_those_of_the_recorded_readings(subject: str) -> None:
    result = RECORDED[subject]

    assert result["figures"] == [figure.as_dict() for figure in SUBJECTS[subject].judge(result)]


@pytest.mark.system
@pytest.mark.usefixtures("_environment_restored")
@pytest.mark.filterwarnings("ignore::FutureWarning")  # HttpOperator's own, about its imports
@pytest.mark.parametrize(
    "lister",
    [
        list_with_hook,
        list_with_async_hook,
        list_with_http_operator,
        list_with_aiohttp,
        list_page_by_page_with_aiohttp,
    ],
)
@pytest.mark.parametrize("jobs", [20, 25])
def test_every_way_lists_the_jobs_of_the_window(
    simulator: Simulator, lister: Callable[[Order], Callable[[], int]], jobs: int
) -> None:
    """In pages of ten, of which the last is full or is not."""
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
    simulator.generate(PRODUCT, 40, newest_at=newest.isoformat(), every_seconds=60)
    simulator.set_quirks(PRODUCT, max_page_size=10)
    with httpx.Client(trust_env=False) as control:
        server = Server(simulator.url, control)
        order = Order(
            jobs=jobs,
            url=server.url,
            connection=server.connection(),
            token=server.get_token(SCOPE),
            started_after=f"{newest - timedelta(minutes=jobs - 1):%Y-%m-%dT%H:%M:%SZ}",
            finished_before=f"{newest + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
            page_size=10,
        )

    assert lister(order)() == jobs


@pytest.mark.system
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_small_run_has_all_figures_and_rows() -> None:
    said: list[str] = []
    plan = Plan(
        jobs=60,
        short=30,
        many=120,
        rounds=2,
        rounds_of_many=1,
        fewer={0: {10: 20}, 50: {10: 20}},
        warm_up=5,
    )

    result = json.loads(json.dumps(measure(said.append, plan)))

    assert [figure["what"] for figure in RECORDED["listing"]["figures"]] == [
        figure.what.replace("120 jobs", "1,000,000 jobs")
        .replace("that of 60", "that of 100,000")
        .replace("30 jobs", "5,000 jobs")
        for figure in judge(result)
    ]
    assert len(tabulate(result).rows) == len(result["memory_mib"]) == 6
    assert [row[0] for row in tabulate_growth(result).rows] == list(result["growth"])
    assert {len(each["seconds"]) for race in result["latencies"].values() for each in race.values()} == {2}
    for entrant in (*result["latencies"]["50"].values(), *result["short_listings"].values()):
        assert min(entrant["seconds"]) > 0.05
    assert said


@pytest.mark.system
def test_a_small_run_of_looks_has_all_figures_and_rows() -> None:
    result = json.loads(json.dumps(looks.measure(lambda _: None, looks.Plan(rounds=1))))

    recorded = [figure["what"] for figure in RECORDED["looks"]["figures"]]
    assert recorded == [figure.what for figure in looks.judge(result)]
    assert len(looks.tabulate(result).rows) == 2
    for product in result["products"].values():
        assert product["requests"] > 10
        assert all(min(look["seconds"]) > 0.05 for look in product["looks"].values())
    assert "8 requests" in looks.footnote(result)


@pytest.mark.system
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


@pytest.mark.system
def test_a_contender_s_memory_is_what_its_peak_grew_by() -> None:
    with Contender(grow, {}) as contender:
        warm = contender.run(8)
        series = Series(warm=warm, readings=[contender.run(100), contender.run(1)])

    assert series.memory_mib == pytest.approx(92, abs=6)
    assert [warm.done, *(each.done for each in series.readings)] == [8 << 20, 100 << 20, 1 << 20]


def test_turns_begin_with_another_one_each_round() -> None:
    taken: list[str] = []

    def run(name: str) -> Reading:
        taken.append(name)
        return reading()

    readings = take_turns({name: lambda name=name: run(name) for name in "abc"}, 4)

    assert "".join(taken) == "abcbcacababc"
    assert {name: len(each) for name, each in readings.items()} == {"a": 4, "b": 4, "c": 4}


@pytest.mark.system
def test_a_small_run_of_waits_has_all_figures() -> None:
    """Ours share what they ask, and a trigger that sleeps asks nothing. A slow machine asks less often."""
    said: list[str] = []
    plan = waits.Plan(paces={30: waits.Pace(1, 3)}, paces_of_http_sensor={30: waits.Pace(1.5, 2)})

    result = json.loads(json.dumps(waits.measure(said.append, plan)))

    sleeping, jobs, gates, http = result["counts"]["30"].values()
    assert sleeping["requests"] == [0]
    assert sum(jobs["requests"]) < 30  # a listing an interval or two, whatever the number of waits
    # 13 listings, a page or two each, in each interval or in a later
    assert max(gates["requests"]) <= 104
    assert [each["interval"] for each in (jobs, gates, http)] == [1, 1, 1.5]
    assert [len(each["cpu_seconds"]) for each in (jobs, gates, http)] == [3, 3, 2]
    assert min(jobs["kib_a_wait"], gates["kib_a_wait"], http["kib_a_wait"]) > sleeping["kib_a_wait"]
    assert len(said) == 4


@pytest.mark.system
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
