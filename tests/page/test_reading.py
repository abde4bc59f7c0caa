"""The page tells what the report tells, of the same ledger at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from airflow_provider_avepoint.core.license import Finding
from airflow_provider_avepoint.core.model import JobError
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.report.backups import LETTERS, Period
from airflow_provider_avepoint.report.ledger_queries import read_report
from tests.page.conftest import Site
from tests.report import histories
from tests.report.histories import DAY, HOUR, NOW, job, nights

pytestmark = pytest.mark.usefixtures("now")
DAYS = 42


@pytest.mark.parametrize(
    "fill",
    [histories.fill_ordinary, histories.fill_hostile, lambda ledger: histories.fill_wall(ledger, 10, 50)],
    ids=["ordinary", "hostile", "wall"],
)
def test_the_page_says_what_the_report_says(
    site: Site, ledger: Ledger, fill: Callable[[Ledger], None]
) -> None:
    fill(ledger)
    report = read_report(ledger, Period(now=NOW, days=DAYS), None)

    posture = site.get("/api/v1/posture")

    assert posture["summary"] == report.summarize()
    assert posture["attention"] == [each.text for each in report.list_attention()]
    assert posture["days"] == [str(day) for day in report.period.dates]
    assert [
        (each["name"], each["state"], each["needs_attention"], each["expected"], each["strip"])
        for each in posture["scopes"]
    ] == [
        (
            scope.name,
            scope.current.value,
            scope.needs_attention,
            scope.expected,
            "".join("." if day.outcome is None else LETTERS[day.outcome] for day in scope.days),
        )
        for scope in report.scopes
    ]
    assert sum(posture["counts"].values()) == len(report.scopes)
    listed = site.get("/api/v1/licenses")["licenses"]
    assert [each["findings"] for each in listed] == [list(each.findings.values()) for each in report.licenses]


def test_an_empty_ledger_is_not_in_order(site: Site, ledger: Ledger) -> None:
    posture = site.get("/api/v1/posture")

    assert posture["scopes"] == []
    assert posture["attention"] == [
        "The ledger holds no backup, no licence reading and no verdict of these tenants."
    ]
    assert site.get("/api/v1/verdicts") == {
        "verdicts": [],
        "total": 0,
        "not_passed": 0,
        "is_complete": True,
        "hidden": 0,
    }


def test_a_ledger_that_is_loaded_by_the_hour_is_not_behind_after_midnight(ledger: Ledger) -> None:
    midnight = (NOW + DAY).replace(hour=0, minute=0)
    jobs = [job(night, finished_at=night + HOUR) for night in nights(20, hour=20)]
    ledger.save_jobs("contoso", jobs, midnight - timedelta(minutes=17))

    def is_behind(after: timedelta) -> bool:
        report = read_report(ledger, Period(now=midnight + after, days=DAYS), None)
        return any("was last loaded" in each.text for each in report.list_attention())

    assert [is_behind(after) for after in (timedelta(minutes=27), 2 * HOUR, 3 * HOUR, 9 * HOUR)] == [
        *(False, False),
        *(True, True),
    ]


def test_a_scope_in_full(site: Site, ledger: Ledger) -> None:
    starts = nights(60)
    jobs = [job(night) for night in starts[:-1]]
    said = JobError(message="Access is denied.", url="https://learn.avepoint.com/1", count=3)
    jobs.append(job(starts[-1], "failed", errors=(said,)))
    elsewhere = [job(night, organization_id="fabrikam", organization_name="Fabrikam") for night in starts]
    ledger.save_jobs("contoso", [*jobs, *elsewhere], NOW)
    policy = Policy(product="dynamics365", max_age=2 * DAY, organization_ids=["contoso"])
    for day, run in [*((day, f"old__{day}") for day in range(2, 25)), (1, "manual__1"), (0, "manual__2")]:
        at = NOW - day * DAY
        evidence = judge([each for each in jobs if each.started_at <= at], policy, at).as_dict()
        task = {"dag_id": "load", "run_id": run, "task_id": "gate", "map_index": -1, "try_number": 2}
        ledger.save_verdict("contoso", evidence, task)
    other = Policy(product="dynamics365", max_age=DAY, organization_ids=["fabrikam"])
    ledger.save_verdict("contoso", judge(elsewhere, other, NOW).as_dict())

    scope = site.get("/api/v1/posture")["scopes"][0]
    detail = site.get(f"/api/v1/scopes/{scope['key']}")

    assert detail["scope"] == scope
    assert scope["state"] == "failed"
    assert scope["strip"] == "G" * (DAYS - 1) + "F"
    assert datetime.fromisoformat(scope["newest_good_at"]) == starts[-2]
    assert scope["age_seconds"] == (NOW - starts[-2]).total_seconds()
    assert scope["allowed_age_seconds"] == 2 * DAY.total_seconds()
    assert scope["expected"] == "every 2 days"  # the gate asks for no more
    assert datetime.fromisoformat(scope["due_at"]) == starts[-1] + 2 * DAY
    assert scope["failure"]["message"] == "Access is denied."
    assert scope["failure"]["url"] == "https://learn.avepoint.com/1"
    (gate,) = scope["gates"]
    assert (gate["name"], gate["run_id"], gate["passed"], gate["reason"]) == (
        "load.gate",
        "manual__2",
        False,
        "failed",
    )
    runs = [each["run_id"] for each in detail["verdicts"]]
    assert runs == ["manual__2", "manual__1", *(f"old__{day}" for day in range(2, 20))]
    assert len(detail["jobs"]) == 60
    assert detail["jobs"][0]["messages"] == ["Access is denied."]
    assert [day["outcome"] for day in detail["days"]] == ["good"] * (DAYS - 1) + ["failed"]


def test_a_verdict_in_a_scope_says_why_the_gate_was_shut(site: Site, ledger: Ledger) -> None:
    """A gate that other scopes have shut, and one whose evidence does not hold the scope."""
    ends = {f"org{number}": "failed" if number == 7 else "success" for number in range(9)}
    jobs = [
        job(night, state if night == nights(5)[-1] else "success", organization_id=name)
        for name, state in ends.items()
        for night in nights(5)
    ]
    ledger.save_jobs("contoso", jobs, NOW)
    policy = Policy(product="dynamics365", max_age=DAY)
    others = [each for each in jobs if each.organization_id != "org1"]
    for run, seen in (("all", jobs), ("others", others)):
        task = {"dag_id": "load", "run_id": run, "task_id": "gate", "map_index": -1, "try_number": 1}
        ledger.save_verdict("contoso", judge(seen, policy, NOW).as_dict(), task)
    keys = {each["organization_id"]: each["key"] for each in site.get("/api/v1/posture")["scopes"]}

    (verdict,) = site.get(f"/api/v1/scopes/{keys['org1']}")["verdicts"]

    assert (verdict["run_id"], verdict["passed"], verdict["reason"]) == ("all", False, "failed")
    assert [(each["name"], each["passed"]) for each in verdict["scopes"]] == [("org1 / dynamics_sales", True)]
    assert (verdict["judged"], verdict["good"], verdict["scopes_left_out"]) == (9, 8, 0)


def test_what_is_known_of_restores_and_unusual_activity(site: Site, ledger: Ledger) -> None:
    """Nothing that was not looked at, or not of late, counts as found to be none."""
    unusual = Finding(
        organization_id=None, service="teams", location=None, reason="unusual_activity", text="2 sites"
    )
    unread = Finding(organization_id=None, service=None, location=None, reason="unreadable", text="no right")
    looks = {"teams": {"max_unusual": 0}, "exchange_online": {"runs_per_day": 1}}
    for tenant, ages, fields in (
        ("found", [DAY], {"findings": (unusual,)}),
        ("calm", [DAY], {}),
        ("unread", [DAY], {"findings": (unread,)}),
        ("error", [DAY], {"error": "no right"}),
        ("late", [20 * DAY, 27 * DAY, 34 * DAY, 41 * DAY], {}),
    ):
        for age in ages:
            histories.save_protection(ledger, age, tenant=tenant, **{"required": looks} | fields)
    removed = Finding(
        organization_id=None, service=None, location=None, reason="mass_deletion", text="9 records"
    )
    histories.save_protection(
        ledger, DAY, tenant="removed", required={"tenant": {"max_removed": 0}}, findings=(removed,)
    )
    histories.save_protection(ledger, DAY, tenant="never looked", required={"teams": {"runs_per_day": 1}})
    jobs = [job(night, product="m365", workload="teams", organization_id=None) for night in nights(5)]
    ledger.save_jobs("gated", jobs, NOW)
    calm = judge(jobs, Policy(product="m365", max_age=DAY, object_types=["teams"]), NOW).as_dict()
    asks = {**calm, "policy": {**calm["policy"], "max_unusual": 0}}
    for name, verdict in (
        ("open", asks),
        ("attacked", {**asks, "passed": False, "reason": "unusual_activity"}),
        ("shut", {**asks, "passed": False, "reason": "failed"}),
        ("blind", calm),
    ):
        task = {"dag_id": "load", "run_id": "1", "task_id": name, "map_index": -1, "try_number": 1}
        ledger.save_verdict("gated", verdict, task)
    histories.save_drill(ledger, 3 * DAY)
    histories.save_drill(ledger, DAY, "failed", service="teams", tenant="unproven")

    posture = site.get("/api/v1/posture")

    assert [each["state"] for each in posture["activity"]] == [
        *["found"] * 3,
        *["not known"] * 4,
        *["none"] * 2,
    ]
    assert {(each["tenant"], each["name"]): each["state"] for each in posture["activity"]} == {
        ("found", "teams"): "found",
        ("removed", ""): "found",
        ("gated", "load.attacked"): "found",
        ("unread", "teams"): "not known",
        ("error", "teams"): "not known",
        ("late", "teams"): "not known",
        ("gated", "load.shut"): "not known",
        ("calm", "teams"): "none",
        ("gated", "load.open"): "none",
    }
    assert [
        (each["tenant"], each["service"], each["state"], each["needs_attention"], each["age_seconds"])
        for each in posture["restores"]
    ] == [
        ("unproven", "teams", "failed", True, None),
        ("contoso", "sharepoint_online", "proven", False, (3 * DAY - HOUR).total_seconds()),
    ]


def test_when_the_next_run_is_due(site: Site, ledger: Ledger) -> None:
    """By the weekdays or the interval of the history, by the usual gap within a day, and late in the past."""
    hourly = [NOW - timedelta(minutes=90) - 2 * HOUR * back for back in range(300)]
    late = nights(30)[:-3]
    first = [NOW - HOUR]
    never = Policy(product="dynamics365", max_age=DAY, organization_ids=["never"])
    weekly = [each for each in nights(80) if each.weekday() == 5]
    for name, starts in {"hourly": hourly, "late": late, "first": first, "weekly": weekly}.items():
        ledger.save_jobs("contoso", [job(start, organization_id=name) for start in starts], NOW)
    ledger.save_verdict("contoso", judge([], never, NOW).as_dict())

    due = {each["organization_id"]: each["due_at"] for each in site.get("/api/v1/posture")["scopes"]}

    assert {name: at and datetime.fromisoformat(at) for name, at in due.items()} == {
        "hourly": max(hourly) + 2 * HOUR,
        "late": late[-1] + DAY,
        "first": first[0] + DAY,
        "weekly": weekly[-1] + 7 * DAY,
        "never": None,
    }


def test_answers_are_given_again_for_some_seconds(
    site: Site, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__AVEPOINT__PAGE_CACHE_SECONDS", "3600")
    assert site.get("/api/v1/posture")["scopes"] == []
    ledger.save_jobs("contoso", [job(NOW - HOUR)], NOW)
    assert site.get("/api/v1/posture")["scopes"] == []
    monkeypatch.setenv("AIRFLOW__AVEPOINT__PAGE_CACHE_SECONDS", "3599")  # other settings, another answer
    assert len(site.get("/api/v1/posture")["scopes"]) == 1


def test_a_task_that_guards_another_organization_in_each_run(site: Site, ledger: Ledger) -> None:
    """Each organisation shows the run that judged it, until nobody has judged it for some time."""
    states = {"org1": "success", "org2": "failed", "org3": "success"}
    jobs = [job(night, state, organization_id=name) for name, state in states.items() for night in nights(60)]
    ledger.save_jobs("contoso", jobs, NOW)
    for number, name in enumerate(["org1", "org2", "org3"] * 5):
        at = NOW - 15 * HOUR + number * HOUR - (60 * DAY if name == "org3" else timedelta())
        policy = Policy(product="dynamics365", max_age=2 * DAY, organization_ids=[name])
        evidence = judge([each for each in jobs if each.started_at <= at], policy, at).as_dict()
        task = {"dag_id": "load", "run_id": f"{number}", "task_id": "gate", "map_index": -1, "try_number": 1}
        ledger.save_verdict("contoso", evidence, task)

    scopes = {each["organization_id"]: each for each in site.get("/api/v1/posture")["scopes"]}

    assert [(each["run_id"], each["passed"]) for each in scopes["org1"]["gates"]] == [("12", True)]
    assert [(each["run_id"], each["passed"]) for each in scopes["org2"]["gates"]] == [("13", False)]
    assert scopes["org3"]["gates"] == []
    assert all(each["has_judged_scope"] for name in ("org1", "org2") for each in scopes[name]["gates"])
