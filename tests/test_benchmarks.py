"""The benchmarks measure what they say, and the README says what they measured."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from airflow_provider_avepoint.simulator import Simulator
from benchmarks.__main__ import README, RESULTS, write_tables
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
from benchmarks.readings import BenchmarkError, Contender, Reading, Series, take_turns
from benchmarks.report import Figure, Table, put_into
from benchmarks.server import Server
from benchmarks.subjects import SUBJECTS

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
@pytest.mark.parametrize("jobs", [1, 20, 25])
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


def test_turns_begin_with_another_one_each_round() -> None:
    taken: list[str] = []

    def run(name: str) -> Reading:
        taken.append(name)
        return reading()

    readings = take_turns({name: lambda name=name: run(name) for name in "abc"}, 4)

    assert "".join(taken) == "abcbcacababc"
    assert {name: len(each) for name, each in readings.items()} == {"a": 4, "b": 4, "c": 4}


def test_a_series_is_its_median() -> None:
    series = Series(warm=reading(), readings=[reading(9.0), reading(1.0), reading(2.0)])

    assert series.as_dict()["median_seconds"] == 2.0
    assert series.as_dict()["seconds"] == [9.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "is_least", "is_reached"),
    [
        (7.99, True, False),
        (8.0, True, True),
        (8.01, True, True),
        (7.99, False, True),
        (8.0, False, True),
        (8.01, False, False),
    ],
)
def test_a_bound_is_the_least_or_the_most(value: float, *, is_least: bool, is_reached: bool) -> None:
    figure = Figure(what="x", value=value, bound=8, is_least=is_least)

    assert figure.is_reached is is_reached
    assert figure.as_dict()["is_reached"] is is_reached


def test_a_table_is_aligned() -> None:
    table = Table(("who", "s"), [("we", "10.5"), ("they", "9")])

    assert table.as_text() == "who      s\nwe    10.5\nthey     9"
    assert table.as_markdown() == "| who | s |\n| --- | ---: |\n| we | 10.5 |\n| they | 9 |"


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
