"""The report as one would hand it in: its heading, the days it tells of, and what comes again and again."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.operators.avepoint import AvePointReportOperator
from airflow_provider_avepoint.report.backups import Period
from airflow_provider_avepoint.report.charts import describe
from airflow_provider_avepoint.report.formatting import say_number, say_share
from airflow_provider_avepoint.report.ledger_queries import read_report
from tests.report.histories import DAY, NOW, consumption, fill, job, nights


def write(path: Path, **arguments: Any) -> str:
    named = {"task_id": "report", "ledger_conn_id": "ledger", "now": NOW, "path": path} | arguments
    AvePointReportOperator(**named).execute({})
    return path.read_text()


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


def find(pattern: str, html: str) -> list[str]:
    return [words(each) for each in re.findall(pattern, html, re.DOTALL)]


def test_title_company_and_author_stand_above_the_figures(ledger: Ledger, tmp_path: Path) -> None:
    """Whatever they hold, they are shown as text; nobody has to give any."""
    fill(ledger, "contoso", [job(night) for night in nights(5)])
    path = tmp_path / "report.html"

    plain = write(path)
    named = write(
        path, title="Q4 {% raw %} <script>", company='Söhne & Co "KG"', author="Data\nTeam <data@x.example>"
    )
    with pytest.raises(AvePointConfigError, match="company: '' names nothing"):
        write(path, company="")

    assert find("<header>(.*?)<p", plain) == ["Backups and licences"]
    assert find("<header>(.*?)<p class=.soft", named) == [
        'Söhne & Co "KG"Q4 {% raw %} <script> By Data Team <data@x.example>'
    ]
    assert "<script" not in named
    assert find("<title>(.*?)</title>", named) == [
        'Söhne & Co "KG": Q4 {% raw %} <script>, 2026-11-18 to 2026-11-22'
    ]
    assert '<meta name="author" content="Data Team &lt;data@x.example&gt;">' in named
    assert 'name="author"' not in plain


def test_the_days_are_those_that_the_ledger_tells_of(ledger: Ledger, tmp_path: Path) -> None:
    """Not those that were asked for: an auditor would take an empty month for a month without a failure."""
    path = tmp_path / "report.html"
    assert "(90 days, of which the ledger tells nothing)" in words(write(path))

    ledger.save_licenses("us", [consumption(1, 2)], NOW - DAY)
    assert "2026-11-21 to 2026-11-21 (1 of the 90 days since 2026-08-25;" in words(write(path))
    fill(ledger, "us", [job(night) for night in nights(12)])
    short = write(path)
    assert "2026-11-11 to 2026-11-22 (12 of the 90 days since 2026-08-25;" in words(short)
    assert "From 2026-11-11 to 2026-11-22 (UTC), 12 of 12 days" in words(short)
    assert re.findall(r'<th scope="col">(\d+)</th>', short) == ["9", "16"]  # two weeks, not thirteen
    assert "2026-11-16 to 2026-11-22 (7 days), as" in words(write(path, days=7))

    # What began before the period is told of from its first day on, if nothing came in it either.
    fill(ledger, "us", [job(NOW - 200 * DAY, workload="old")])
    assert "(90 days), as" in words(write(path))


def test_what_the_ledger_was_last_loaded_with_ends_the_days(ledger: Ledger) -> None:
    fill(ledger, "us", [job(night - 20 * DAY) for night in nights(10)], NOW - 20 * DAY)

    month, week = (read_report(ledger, Period(now=NOW, days=days), None) for days in (30, 7))

    assert month.covered == (date(2026, 10, 24), date(2026, 11, 2))
    assert week.covered is None
    assert week.summarize().startswith("From 2026-11-16 to 2026-11-22")


WEEKS = 8


def days_that(is_bad: Any, *, until: datetime = NOW, count: int = 7 * WEEKS) -> list[tuple[datetime, str]]:
    return [(night, "partial" if is_bad(night) else "success") for night in nights(count, until=until)]


def back(night: datetime) -> int:
    return (NOW.date() - night.date()).days


GOOD_AGAIN = "1 scope had days without a good backup, and is good again."
#: What the nights of a scope came to, and what the report says of the scope: NOW is a Sunday.
HABITS: dict[str, tuple[list[tuple[datetime, str]], str]] = {
    "each Wednesday": (
        days_that(lambda night: night.weekday() == 2),
        "good now, but not good on each of the last 8 Wednesdays (partial).",
    ),
    "each Wednesday, and once a Monday": (
        days_that(lambda night: night.weekday() == 2 or back(night) == 27),
        "good now, but not good on each of the last 8 Wednesdays (partial).",
    ),
    "two Wednesdays of two weeks": (
        days_that(lambda night: night.weekday() == 2, count=14),
        "good now, but not good on each of the last 2 Wednesdays (partial).",
    ),
    "Tuesday and Wednesday of each week": (
        days_that(lambda night: night.weekday() in (1, 2)),
        "good now, but not good on each of the last 8 Tuesdays (partial).",
    ),
    "each Sunday but this one": (
        days_that(lambda night: night.weekday() == 6 and back(night) > 0),
        "good now, but not good on each of the last 7 Sundays (partial).",
    ),
    "every ten days": (
        days_that(lambda night: back(night) % 10 == 4),
        "good now, but not good 6 times, again and again, the last time on 2026-11-18 (partial).",
    ),
    "Wednesdays until two weeks ago": (
        days_that(lambda night: night.weekday() == 2 and back(night) > 14),
        GOOD_AGAIN,
    ),
    "now and then": (days_that(lambda night: back(night) in (4, 11, 16, 33)), GOOD_AGAIN),
    "two Mondays of eight": (days_that(lambda night: back(night) in (6, 13)), GOOD_AGAIN),
    "once": (days_that(lambda night: back(night) == 9), GOOD_AGAIN),
    "a week on end": (days_that(lambda night: 2 < back(night) < 10), GOOD_AGAIN),
    "twice, on different days": (days_that(lambda night: back(night) in (3, 9)), GOOD_AGAIN),
}


def test_what_comes_again_and_again_is_not_good_again(ledger: Ledger) -> None:
    for title, (starts, _) in HABITS.items():
        fill(ledger, title, [job(night, state) for night, state in starts])

    for title, (_, expected) in HABITS.items():
        report = read_report(ledger, Period(now=NOW, days=90), (title,))
        texts = [(each.text, each.is_urgent) for each in report.list_attention()]
        start = "" if expected == GOOD_AGAIN else f"{title}, Cloud Backup for Dynamics 365, Contoso"
        ((found, is_urgent),) = [text for text in texts if "good" in text[0]]
        assert found.startswith(start), title
        assert found.endswith(expected), title
        assert not is_urgent, title


def test_many_that_come_again_are_counted(ledger: Ledger) -> None:
    for number in range(7):
        starts = days_that(lambda night: night.weekday() == 2)
        fill(ledger, f"tenant{number}", [job(night, state) for night, state in starts])

    told = [each.text for each in read_report(ledger, Period(now=NOW, days=90), None).list_attention()]

    assert sum("Wednesdays" in text for text in told) == 5
    assert "2 more scopes are good now, but bad time and again." in told


def test_a_closed_verdict_tells_organisation_dag_and_run(ledger: Ledger, tmp_path: Path) -> None:
    """The organisations that are not good come first; names stand for ids where a job has told the name."""
    names = {"a": "Alpha <b>", "b": "Bravo", "c": None, "d": "Delta"}
    jobs = [
        job(NOW - timedelta(hours=9), "failed" if key == "d" else "success", organization_id=key)
        for key in names
    ]
    jobs = [
        job(each.started_at, each.state, organization_id=each.organization_id, organization_name=name)
        for each, name in zip(jobs, names.values(), strict=True)
    ]
    evidence = judge(jobs, Policy(product="dynamics365", max_age=DAY), NOW).as_dict()
    task = {"dag_id": "load", "run_id": "manual__<1>", "task_id": "gate", "map_index": 3, "try_number": 2}
    ledger.save_verdict("us", evidence, task)
    alone = judge(jobs[:1], Policy(product="dynamics365", max_age=DAY), NOW - DAY / 24).as_dict()
    ledger.save_verdict("us", alone, None)

    shown = find("<summary>(.*?)</summary>", write(tmp_path / "report.html"))

    assert shown == [
        (
            "failed 2026-11-22 09:30 UTC, us, Cloud Backup for Dynamics 365: 3 of 4 scopes good "
            "Delta, Alpha <b> and 2 more; load.gate[3], manual__<1>"
        ),
        "passed 2026-11-22 08:30 UTC, us, Cloud Backup for Dynamics 365: 1 of 1 scopes good Alpha <b>",
    ]


def test_small_figures_are_not_said_to_be_nothing(ledger: Ledger) -> None:
    amounts = {0: "0", 0.00042: "0.0004", 0.04: "0.04", 0.1: "0.1", 0.25: "0.2", 12.34: "12.3"}
    amounts |= {1000.5: "1,000", 52_428_800: "52,428,800", -0.02: "-0.02"}
    assert amounts == {amount: say_number(amount) for amount in amounts}
    shares = {0: "0 %", 0.00004: "less than 0.1 %", 0.004: "0.4 %", 0.5: "50 %", 0.999: "99.90 %", 1: "100 %"}
    assert shares == {share: say_share(share) for share in shares}

    for night in nights(2):
        ledger.save_licenses("us", [consumption(1, 2, protected=0.0004)], night)
    (history,) = read_report(ledger, Period(now=NOW, days=7), None).licenses
    assert [describe(each).partition(" No forecast")[0] for each in history.measures] == [
        "1 seats used on 2026-11-21, 1 on 2026-11-22; 2 bought.",
        "0.0004 GB used on 2026-11-21, 0.0004 GB on 2026-11-22; 1,000 GB bought.",
    ]
