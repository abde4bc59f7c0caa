"""What failed, with the vendor's words, and what was judged."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_avepoint.core.model import Counts, JobError
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.ledger.store import Ledger
from airflow_provider_avepoint.report.backups import Period
from airflow_provider_avepoint.report.evidence import Failures, keep_link
from airflow_provider_avepoint.report.ledger_queries import read_report
from tests.report.histories import DAY, HOUR, NOW, fill, job, nights

WEEK = Period(now=NOW, days=7)
DENIED = JobError(message="Access is denied.", url="https://example.com/denied", count=3)


def test_failures_are_counted_by_message(ledger: Ledger) -> None:
    """Of the same message of a scope there is one line, which names the newest job."""
    early, late = nights(2)
    once = JobError(message="Time is up.", count=None)
    fill(
        ledger,
        "contoso",
        [
            job(early, "partial", errors=(DENIED, once)),
            job(late, "failed", errors=(DENIED,), job_id="newest"),
            job(late, "failed", errors=(DENIED,), organization_id="b"),
        ],
    )

    assert [
        (each.message, each.url, each.place.scope.organization_id, each.count, each.jobs, each.last_at)
        for each in read_report(ledger, WEEK, None).failures
    ] == [
        (DENIED.message, DENIED.url, "contoso", 6, 2, late),
        (DENIED.message, DENIED.url, "b", 3, 1, late),
        ("Time is up.", None, "contoso", 1, 1, early),
    ]


def test_failures_without_a_message(ledger: Ledger) -> None:
    """What failed is told by its unit, and nothing is made up where the vendor counts nothing."""
    cases: list[tuple[str, dict[str, Any], list[tuple[int | None, str]]]] = [
        ("success", {}, []),
        ("success", {"counts": Counts(total=9, failed=0)}, []),
        ("success", {"counts": Counts(total=9, failed=2)}, [(2, "objects")]),
        (
            "partial",
            {
                "counts": Counts(failed=2),
                "record_counts": Counts(failed=5),
                "metadata_counts": Counts(failed=1),
            },
            [(5, "records"), (2, "objects"), (1, "metadata")],
        ),
        ("failed", {}, [(None, "failures")]),
        ("failed", {"counts": Counts(total=9, failed=0)}, [(None, "failures")]),
        ("running", {}, []),
        ("failed", {"job_type": "restore", "errors": (DENIED,)}, []),
        ("failed", {"errors": (JobError(message="\u200b\u202e \n"),)}, [(1, "failures")]),
        ("failed", {"errors": (JobError(message=" \u202e"),)}, [(1, "failures")]),
    ]
    for number, (state, fields, _) in enumerate(cases):
        fill(ledger, str(number), [job(nights(1)[0], state, **fields)])

    failures = read_report(ledger, WEEK, None).failures
    assert {each.message for each in failures} == {None}
    for number, (*_, expected) in enumerate(cases):
        found = [(each.count, each.unit) for each in failures if each.place.tenant == str(number)]
        assert found == expected, cases[number]


def test_kinds_of_failure_are_bounded() -> None:
    """A vendor that writes each object's name into its message does not fill the memory."""
    failures = Failures()
    for number in range(5003):
        failures.add("contoso", job(NOW, errors=(JobError(message=f"Item {number} failed", count=2),)), NOW)

    assert (5000, 3) == (len(failures.rank()), failures.left_out)


def test_only_a_page_on_the_web_is_a_link() -> None:
    pages = [
        "https://learn.avepoint.com/errors?code=1",
        "http://learn.avepoint.com",
        "HTTPS://learn.avepoint.com",
    ]
    others = [
        "javascript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,<script>",
        "//learn.avepoint.com",
        "learn.avepoint.com",
        "https://",
        "https://[",
        "https://a b",
        "https://a\n",
        "https://" + "a" * 2000,
        "",
        None,
    ]

    assert [keep_link(url) for url in pages] == pages
    assert [url for url in others if keep_link(url) is not None] == []


def judged(ledger: Ledger, state: str, count: int = 1, **policy: Any) -> None:
    """Write verdicts on a job of this state, an hour apart, the newest of now."""
    for hour in range(count):
        moment = NOW - hour * HOUR
        counts = Counts(total=10, failed=4) if state == "partial" else Counts()
        jobs = [job(moment - 3 * HOUR, state, job_id="j1", counts=counts), job(moment - HOUR, "running")]
        evidence = judge(jobs, Policy(product="dynamics365", max_age=DAY, **policy), moment).as_dict()
        task = {"dag_id": "d", "run_id": f"r{hour}", "task_id": "t", "map_index": 2, "try_number": 1}
        ledger.save_verdict(state, evidence, task)


def test_a_verdict_with_its_evidence(ledger: Ledger) -> None:
    judged(ledger, "partial", organization_ids=["contoso", "fabrikam"])
    (verdict,) = read_report(ledger, WEEK, None).verdicts

    assert (False, "partial", 0, 2) == (verdict.passed, verdict.reason, verdict.good, verdict.judged)
    assert verdict.task == "d.t[2], r0, try 1"
    assert {
        "max_age": "24.0 h",
        "organization_ids": "contoso, fabrikam",
        "job_type": "backup",
    }.items() <= verdict.policy.items()
    assert not {"product", "started_after", "accept_partial"} & set(verdict.policy)


def test_the_job_that_decided(ledger: Ledger) -> None:
    judged(ledger, "partial")
    (verdict,) = read_report(ledger, WEEK, None).verdicts
    (scope,) = verdict.scopes

    assert (
        "contoso / dynamics_sales",
        False,
        "partial",
        "j1",
        "Partial",
        NOW - 3 * HOUR,
        {"objects": 4},
        1,
    ) == (
        scope.name,
        scope.passed,
        scope.reason,
        scope.job_id,
        scope.state,
        scope.started_at,
        scope.failed,
        scope.open_jobs,
    )


@pytest.mark.parametrize(
    ("raw_state", "said"),
    [(3, "3 (Finished)"), ("3", "3 (Finished)"), (99, "99")],
)
def test_a_state_by_number_has_its_words(ledger: Ledger, raw_state: object, said: str) -> None:
    jobs = [job(NOW - HOUR, "partial", raw_state=raw_state)]
    ledger.save_verdict("c", judge(jobs, Policy(product="dynamics365", max_age=DAY), NOW).as_dict())
    (verdict,) = read_report(ledger, WEEK, None).verdicts

    assert [scope.state for scope in verdict.scopes] == [said]


def test_what_failed_in_the_job_that_decided(ledger: Ledger) -> None:
    """Entities and records are not added up; where the job counts nothing, nothing is said."""
    cases: list[tuple[dict[str, Counts], dict[str, int]]] = [
        ({"counts": Counts(failed=2), "record_counts": Counts(failed=5)}, {"objects": 2, "records": 5}),
        ({"counts": Counts(total=9, failed=0), "metadata_counts": Counts(total=4)}, {"objects": 0}),
        ({}, {}),
    ]
    for number, (counts, _) in enumerate(cases):
        policy = Policy(product="dynamics365", max_age=DAY)
        evidence = judge([job(NOW - HOUR, "failed", **counts)], policy, NOW).as_dict()
        ledger.save_verdict(str(number), evidence)

    found = {each.tenant: each.scopes[0].failed for each in read_report(ledger, WEEK, None).verdicts}
    assert found == {str(number): expected for number, (_, expected) in enumerate(cases)}


def test_the_newest_verdicts_keep_their_evidence(ledger: Ledger) -> None:
    """All are counted; forty that did not pass and twenty that did are shown."""
    judged(ledger, "failed", 42)
    judged(ledger, "success", 22)
    report = read_report(ledger, WEEK, None)

    assert (64, 42) == (len(report.verdicts), len(report.bad_verdicts))
    assert [bool(each.scopes) for each in report.bad_verdicts] == [True] * 40 + [False] * 2
    assert [bool(each.scopes) for each in report.verdicts if each.passed] == [True] * 20 + [False] * 2
    assert "42 of 64 verdicts did not pass" in report.list_attention()[-1].text


def test_verdicts_of_the_period_alone_are_read(ledger: Ledger) -> None:
    """Of twelve, an hour apart, nine are of today; one is of later than the report, two are of yesterday."""
    judged(ledger, "success", 12)

    assert len(read_report(ledger, Period(now=NOW - HOUR, days=1), None).verdicts) == 9


def test_a_verdict_of_many_scopes_shows_its_worst(ledger: Ledger) -> None:
    """Twenty, bad ones first; excluded ones are neither good nor bad."""
    jobs = [
        job(NOW - HOUR, "success" if number else "failed", organization_id=f"{number:02}")
        for number in range(30)
    ]
    exclude = [{"organization_id": "29", "until": "2027-01-01", "reason": "leaving"}]
    evidence = judge(jobs, Policy(product="dynamics365", max_age=DAY, exclude=exclude), NOW).as_dict()
    ledger.save_verdict("contoso", evidence)
    (verdict,) = read_report(ledger, WEEK, None).verdicts

    assert (29, 28, 20, "failed", None) == (
        verdict.judged,
        verdict.good,
        len(verdict.scopes),
        verdict.scopes[0].reason,
        verdict.task,
    )


def test_what_a_scope_says_besides_its_job(ledger: Ledger) -> None:
    """Which newer backup is good, what is not understood or expected, since when nothing came."""
    m365: dict[str, Any] = {"product": "m365", "organization_id": None, "workload": "exchange_online"}
    bad, good = job(NOW - 9 * HOUR, "failed", **m365), job(NOW - HOUR, **m365, job_id="NEWER")
    odd = job(NOW - HOUR, workload="odd", problems=("failedCount: 'many' is no number",))
    old = [
        job(NOW - 5 * DAY, workload="stale"),
        job(NOW - 10 * DAY, workload="gone", job_id="GONE"),
    ]
    for product, jobs in (("m365", [bad, good]), ("dynamics365", [odd, *old])):
        ledger.save_verdict(product, judge(jobs, Policy(product=product, max_age=DAY), NOW).as_dict())

    verdicts = read_report(ledger, WEEK, None).verdicts
    scopes = {scope.name: scope for verdict in verdicts for scope in verdict.scopes}
    assert {name: (scope.reason, scope.is_judged, scope.notes) for name, scope in scopes.items()} == {
        "exchange_online": (
            "failed",
            True,
            ("The newer job NEWER is good, but rows do not say what they belong to, so all must be good.",),
        ),
        "contoso / odd": ("unreadable", True, ("Not understood: failedCount: 'many' is no number.",)),
        "contoso / stale": ("stale", True, ("No backup has started since 2026-11-21 09:30 UTC.",)),
        "contoso / gone": (
            "forgotten",
            False,
            ("It is no longer expected: its last backup is older than expect_seen_within.",),
        ),
    }
    (dynamics,) = (verdict for verdict in verdicts if verdict.product == "dynamics365")
    assert (0, 2, "contoso / gone") == (dynamics.good, dynamics.judged, dynamics.scopes[-1].name)


def test_evidence_of_release_0_1_0_is_read(ledger: Ledger) -> None:
    """It has no contents, no rule, no newer good backup, and no problems."""
    evidence = judge([job(NOW - HOUR, "failed")], Policy(product="dynamics365", max_age=DAY), NOW).as_dict()
    (scope,) = evidence["scopes"]
    for name in ("decided_by", "decided_because", "newer_good", "window_start"):
        del scope[name]
    del scope["scope"]["content"], scope["job"]["problems"]
    ledger.save_verdict("contoso", evidence)

    ((read,),) = (verdict.scopes for verdict in read_report(ledger, WEEK, None).verdicts)
    assert ("contoso / dynamics_sales", "failed", ()) == (read.name, read.reason, read.notes)


TASK: dict[str, Any] = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
GATES: dict[str, tuple[list[dict[str, Any] | None], int]] = {
    "three tries of one gate": ([TASK | {"try_number": number} for number in (1, 2, 3)], 1),
    "two runs": ([TASK | {"try_number": 1}, TASK | {"run_id": "s", "try_number": 1}], 2),
    "two tasks": ([TASK | {"try_number": 1}, TASK | {"task_id": "u", "try_number": 1}], 2),
    "two mapped ones": ([TASK | {"map_index": index, "try_number": 1} for index in (0, 1)], 2),
    "outside of a task": ([None, None], 2),
}


@pytest.mark.parametrize(("tasks", "gates"), GATES.values(), ids=GATES)
def test_gates_are_counted_not_their_tries(
    ledger: Ledger, tasks: list[dict[str, Any] | None], gates: int
) -> None:
    policy = Policy(product="dynamics365", max_age=DAY)
    for minutes, task in enumerate(tasks):
        moment = NOW - HOUR + minutes * HOUR / 60
        state = "success" if minutes == len(tasks) - 1 else "failed"
        ledger.save_verdict("contoso", judge([job(NOW - 3 * HOUR, state)], policy, moment).as_dict(), task)

    report = read_report(ledger, WEEK, None)
    assert (gates, gates - 1) == (len(report.verdicts), len(report.bad_verdicts))
    assert report.verdicts[0].passed
    if gates == 1:
        assert report.verdicts[0].task == "d.t, r, try 3"
