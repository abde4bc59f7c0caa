from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint import exceptions
from airflow_provider_avepoint.core import errors
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobError, JobState
from airflow_provider_avepoint.core.verdict import Policy, Reason, Verdict, grade_job, judge
from airflow_provider_avepoint.core.wait_events import (
    MAX_FAILED_POLLS,
    Status,
    Watch,
    describe_job,
    doubt_job,
    doubt_verdict,
    find_pause,
)

from .tables import each_row

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)


def job(state: JobState = JobState.SUCCESS, **fields: Any) -> BackupJob:
    return BackupJob(
        **{
            "product": "dynamics365",
            "job_id": "DCIB1",
            "job_type": "backup",
            "workload": "customer_engagement",
            "organization_id": "o1",
            "state": state,
            "raw_state": 3,
            "started_at": NOW - timedelta(hours=1),
            **fields,
        }
    )


def verdict(*jobs: BackupJob, fail_fast: bool = True) -> Verdict:
    return judge(jobs, Policy(product="dynamics365", max_age=86400, fail_fast=fail_fast), NOW)


@each_row(
    ("seen", "status"),
    [
        (verdict(job()), "passed"),
        (verdict(job(JobState.FAILED)), "failed"),
        (verdict(job(JobState.PARTIAL)), "failed"),
        (verdict(job(JobState.FAILED), fail_fast=False), None),
        (verdict(job(), fail_fast=False), "passed"),
        (verdict(job(JobState.FAILED), job(JobState.RUNNING, job_id="DCIB2", started_at=NOW)), None),
        (verdict(job(JobState.RUNNING)), None),
        (verdict(job(JobState.UNKNOWN)), None),
        (verdict(), None),
    ],
)
def test_what_a_verdict_means(seen: Verdict, status: str | None) -> None:
    watch = Watch()
    event = watch.note_verdict(seen)
    assert seen.describe() == watch.news
    assert seen.as_dict() == watch.evidence
    if status is None:
        assert event is None
    else:
        assert {"status": status, "message": seen.describe(), "evidence": seen.as_dict()} == event
        assert event == json.loads(json.dumps(event))


@each_row(
    ("state", "accept_partial", "status"),
    [
        *((JobState.SUCCESS, accept, "passed") for accept in (False, True)),
        (JobState.PARTIAL, False, "failed"),
        (JobState.PARTIAL, True, "passed"),
        *((state, True, "failed") for state in (JobState.FAILED, JobState.SKIPPED, JobState.STOPPED)),
        *((state, True, None) for state in (JobState.WAITING, JobState.RUNNING, JobState.UNKNOWN)),
    ],
)
def test_what_a_job_means(state: JobState, *, accept_partial: bool, status: str | None) -> None:
    watch = Watch()
    seen = job(state, raw={"jobId": "DCIB1"})
    event = watch.note_job(seen, accept_partial=accept_partial)
    evidence = {name: value for name, value in seen.as_dict().items() if name != "raw"}
    assert (describe_job(seen, grade_job(seen, NOW)), evidence) == (watch.news, watch.evidence)
    expected = {"status": status, "message": describe_job(seen, grade_job(seen, NOW)), "evidence": evidence}
    assert (None if status is None else expected) == event


def test_a_job_that_is_not_listed_yet() -> None:
    watch = Watch()
    watch.note_job(job(JobState.RUNNING), accept_partial=False)
    watch.note_absence("No such job.")
    assert ("No such job.", None) == (watch.news, watch.evidence)


PASSING = [errors.AvePointUnavailable("Away.", status=503), errors.AvePointPayloadError("Odd.")]
LASTING = [
    errors.AvePointConfigError("Wrong."),
    errors.AvePointAuthError("Refused."),
    errors.AvePointPermissionError("Missing.", permission="x.read.all"),
    errors.AvePointRequestError("Refused.", status=400, code="c", field="f", request_id="r"),
    errors.AvePointJobNotFound("None.", status=404),
    errors.AvePointError("Other."),
]


@each_row("error", LASTING)
@each_row("of", [lambda error: error, exceptions.to_airflow])
def test_what_no_later_poll_can_mend_ends_the_wait(error: errors.AvePointError, of: Any) -> None:
    facts = {name: value for name, value in vars(error).items() if value is not None}
    expected = {"status": "error", "message": str(error), "error": type(error).__name__, "facts": facts}
    assert expected == Watch().note_error(of(error))
    assert expected == json.loads(json.dumps(expected))


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_ten_failed_polls_in_a_row_end_the_wait(error: errors.AvePointError) -> None:
    assert 10 == MAX_FAILED_POLLS
    watch = Watch(news="all was well")
    assert [None] * 9 == [watch.note_error(error) for _ in range(9)]
    event = watch.note_error(error)
    assert event is not None
    assert f"10 polls in a row failed; the last: {error} Before that, all was well" == event["message"]
    assert ("error", type(error).__name__) == (event["status"], event["error"])
    assert {"status": 503} == event["facts"] or {} == event["facts"]


@pytest.mark.parametrize(
    "look",
    [
        lambda watch: watch.note_verdict(verdict()),
        lambda watch: watch.note_job(job(JobState.RUNNING), accept_partial=False),
        lambda watch: watch.note_absence("No such job."),
    ],
    ids=["verdict", "job", "absence"],
)
def test_one_good_poll_starts_the_count_anew(look: Any) -> None:
    watch = Watch()
    for _ in range(9):
        watch.note_error(PASSING[0])
    look(watch)
    assert 0 == watch.failed_polls
    assert [None] * 9 == [watch.note_error(PASSING[0]) for _ in range(9)]


def test_a_count_goes_on_where_another_process_left_it() -> None:
    assert Watch(failed_polls=9).note_error(PASSING[0]) is not None


def test_a_watch_is_handed_over_as_json() -> None:
    """With the error and since when nothing is known, which a later failure does not move."""
    watch = Watch()
    watch.note_job(job(JobState.RUNNING), accept_partial=False)
    watch.note_error(PASSING[0])
    since = watch.unknown_since

    resumed = Watch.resume(**json.loads(json.dumps(watch.hand_over())))
    resumed.note_error(PASSING[1])

    assert (2, watch.news, "Odd.", since) == (
        resumed.failed_polls,
        resumed.news,
        resumed.last_error,
        resumed.unknown_since,
    )
    assert Watch() == Watch.resume(**Watch().hand_over())


@each_row(
    ("arguments", "expected"),
    [
        ({}, Watch()),
        ({"failed_polls": 9}, Watch(failed_polls=9)),
        ({"failed_polls": 9, "news": None}, Watch(failed_polls=9)),
        ({"failed_polls": 9, "news": "All was well."}, Watch(failed_polls=9, news="All was well.")),
    ],
)
def test_resume(arguments: dict[str, Any], expected: Watch) -> None:
    assert expected == Watch.resume(**arguments)


@pytest.mark.parametrize(
    ("end", "status", "text"),
    [
        (lambda watch: watch.time_out(3600.4), "timeout", "Gave up after 3600 s; "),
        (lambda watch: watch.overrun(), "overdue", "The task's execution_timeout has passed; "),
    ],
    ids=["timeout", "overdue"],
)
def test_the_end_of_patience_tells_what_was_seen_last(end: Any, status: str, text: str) -> None:
    watch = Watch()
    expected = {"status": status, "message": f"{text}nothing has been seen yet", "evidence": None}
    assert expected == end(watch)
    watch.note_job(job(JobState.RUNNING), accept_partial=False)
    event = end(watch)
    assert f"{text}{watch.news}" == event["message"]
    assert watch.evidence == event["evidence"]


@pytest.mark.parametrize(
    ("look", "looks", "before"),
    [
        (lambda watch: None, "the last look failed", "No look before had reached the API."),
        (
            lambda watch: (watch.note_verdict(verdict()), watch.note_error(PASSING[1])),
            "the last 2 looks failed",
            f"Before that, {verdict().describe()}",
        ),
    ],
    ids=["nothing seen", "a verdict seen"],
)
def test_an_outage_at_the_end_is_told_from_a_verdict(look: Any, looks: str, before: str) -> None:
    """The message names the error and since when nothing is known; a verdict from before is no evidence."""
    watch = Watch()
    look(watch)
    watch.note_error(PASSING[0])
    assert watch.unknown_since is not None
    said = (
        f"nothing is known since {watch.unknown_since:%Y-%m-%d %H:%M:%S} UTC: {looks}. "
        f"The last error: Away. {before}"
    )

    timeout, overdue = watch.time_out(3600.4), watch.overrun()

    assert ("outage", None) == (timeout["status"], timeout["evidence"])
    assert f"Gave up after 3600 s; {said} Mend this, then clear the task." == timeout["message"]
    assert ("overdue", None) == (overdue["status"], overdue["evidence"])
    assert f"The task's execution_timeout has passed; {said}" == overdue["message"]


def test_a_good_look_ends_an_outage() -> None:
    watch = Watch()
    watch.note_error(PASSING[0])
    watch.note_verdict(verdict())
    assert "timeout" == watch.time_out(60)["status"]
    assert (None, None) == (watch.last_error, watch.unknown_since)


def test_a_look_without_an_answer_is_a_failed_one() -> None:
    """It hides no error that is known."""
    watch = Watch()
    watch.note_silence()
    assert "outage" == watch.time_out(60)["status"]
    assert "The last error: No answer has come" in watch.time_out(60)["message"]
    watch.note_error(PASSING[0])
    watch.note_silence()
    assert "The last error: Away." in watch.time_out(60)["message"]


def test_a_look_that_ends_with_somebody_elses_error_is_a_failed_one() -> None:
    watch = Watch()
    watch.note_defect(ZeroDivisionError("division by zero"))
    message = watch.time_out(60)["message"]
    assert "The last error: ZeroDivisionError: division by zero" in message


def test_the_error_of_others_explains_a_look_without_an_answer() -> None:
    watch = Watch()
    watch.note_silence(PASSING[0])
    assert "The last error: Away." in watch.time_out(60)["message"]


def test_an_outage_of_an_earlier_release_has_no_more_to_tell() -> None:
    """0.1.0 hands over how many looks have failed, and what had been seen before, only."""
    message = Watch.resume(failed_polls=3, news="All was well.").time_out(60)["message"]
    assert "nothing is known: the last 3 looks failed. Before that, All was well." in message
    assert "None" not in message


def test_pauses_grow_as_airflows_do() -> None:
    """Each lies between Airflow's least and most for its look, whenever within the pause it is asked for."""
    elapsed = 0.0
    for count in range(1, 12):
        pause = find_pause(60, elapsed, None)
        least = max(60 * 2 ** (count - 2), 1)  # airflow.sdk.bases.sensor, _get_next_poke_interval
        assert least <= pause < 2 * least
        assert pause == find_pause(60, elapsed + 0.9 * pause, None)
        elapsed += pause


@pytest.mark.parametrize(
    ("interval", "elapsed", "max_wait", "expected"),
    [
        (60, 7 * 86400, 600, 600),
        (60, 0, 30, 30),
        (60, 100, 600, 90),
        (0, 86400, None, 0),
    ],
    ids=["long since", "at once", "not yet", "no interval"],
)
def test_no_pause_is_longer_than_it_may_be(
    interval: float, elapsed: float, max_wait: float | None, expected: float
) -> None:
    assert expected == find_pause(interval, elapsed, max_wait)


@each_row(
    ("seen", "expected"),
    [
        (job(), "dynamics365 job DCIB1 is success (3 (Finished))."),
        (job(JobState.RUNNING, raw_state="In Progress"), "dynamics365 job DCIB1 is running ('In Progress')."),
        (
            job(finished_at=NOW),
            "dynamics365 job DCIB1 is success (3 (Finished)), finished 2026-11-22 05:00:00 UTC.",
        ),
        (
            job(JobState.PARTIAL, counts=Counts(total=9, failed=2)),
            "dynamics365 job DCIB1 is partial (3 (Finished)), 2 of 9 objects failed.",
        ),
        (job(counts=Counts(total=9, failed=0)), "dynamics365 job DCIB1 is success (3 (Finished))."),
        (
            job(JobState.FAILED, errors=(JobError(message="Throttled", url="https://e.example"), JobError())),
            "dynamics365 job DCIB1 is failed (3 (Finished)); Throttled (https://e.example).",
        ),
        (
            job(JobState.FAILED, errors=(JobError(message="Throttled"),)),
            "dynamics365 job DCIB1 is failed (3 (Finished)); Throttled.",
        ),
    ],
)
def test_describe_job(seen: BackupJob, expected: str) -> None:
    assert expected == describe_job(seen, grade_job(seen, NOW))


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"record_counts": Counts(total=9, failed=2)}, "2 of 9 records failed"),
        ({"counts": Counts(failed=2)}, "2 objects failed"),
        (
            {"counts": Counts(total=9, successful=0, failed=0, skipped=0)},
            "no count explains 9 of 9 objects",
        ),
        (
            {"counts": Counts(total=9, successful=5, failed=1)},
            "1 of 9 objects failed, no count explains 3 of 9 objects",
        ),
    ],
    ids=["records only", "no total", "nothing done", "some unexplained"],
)
def test_describe_job_by_whatever_counts_there_are(counts: dict[str, Counts], text: str) -> None:
    """A failure in the records alone is the reason, too; and nobody says "2 of None"."""
    described = describe_job(job(JobState.PARTIAL, **counts), Reason.PARTIAL)
    assert text in described
    assert "None" not in described


def test_an_error_without_a_message() -> None:
    assert "None" not in describe_job(job(JobState.FAILED, errors=(JobError(count=3),)), Reason.FAILED)


def test_a_description_is_one_bounded_line() -> None:
    """It is a message of exceptions and events: a vendor's text can neither flood nor forge a log."""
    text = "line one\n2026-11-22 INFO all is well " + "x" * 100_000
    for seen in (job(errors=(JobError(message=text, url=text),)), job(raw_state=text), job(job_id=text)):
        assert 2500 > len(describe_job(seen, grade_job(seen, NOW)))
        assert describe_job(seen, grade_job(seen, NOW)).isprintable()


# What an event's evidence must be, before a task succeeds by it.

GOOD = verdict(job()).as_dict()
(SCOPE,) = GOOD["scopes"]
BAD = verdict(job(JobState.FAILED)).as_dict()
OF_O1 = {"organization_ids": ["O1", "o1"]}


def change_scope(**fields: Any) -> dict[str, Any]:
    return GOOD | {"scopes": [SCOPE | fields]}


@each_row(
    ("status", "evidence", "doubt"),
    [
        (Status.PASSED, GOOD, None),
        (Status.FAILED, BAD, None),
        (Status.PASSED, None, "it holds no verdict"),
        (Status.PASSED, [GOOD], "it holds no verdict"),
        (Status.PASSED, GOOD | {"reason": None}, "it holds no verdict"),
        (Status.PASSED, GOOD | {"policy": None}, "its verdict is on None"),
        (Status.PASSED, GOOD | {"policy": {"product": "m365"}}, "its verdict is on 'm365'"),
        (Status.PASSED, GOOD | {"passed": False}, "its verdict says passed: False, reason: 'passed'"),
        (Status.PASSED, GOOD | {"passed": "true"}, "its verdict says passed: 'true'"),
        (Status.PASSED, GOOD | {"reason": "failed"}, "its verdict says passed: True, reason: 'failed'"),
        (Status.PASSED, BAD, "its verdict says passed: False"),
        (Status.FAILED, GOOD, "its verdict says passed: True"),
        (Status.TIMEOUT, BAD | {"passed": None}, "its verdict says passed: None"),
        (Status.PASSED, GOOD | {"scopes": None}, "its scopes have not all passed"),
        (Status.PASSED, GOOD | {"scopes": ["o1"]}, "its scopes have not all passed"),
        (Status.PASSED, GOOD | {"scopes": []}, "its scopes have not all passed"),
        (Status.PASSED, change_scope(passed=False), "its scopes have not all passed"),
        (Status.PASSED, change_scope(reason="failed"), "its scopes have not all passed"),
        (Status.PASSED, change_scope(reason="excluded"), "its scopes have not all passed"),
        (Status.PASSED, GOOD | {"policy": GOOD["policy"] | OF_O1}, None),
        (
            Status.PASSED,
            GOOD | {"policy": GOOD["policy"] | {"organization_ids": ["o2"]}},
            "its scopes are of 'o1', which its policy does not name",
        ),
        (
            Status.FAILED,
            BAD | {"scopes": None, "policy": GOOD["policy"] | OF_O1},
            None,
        ),
    ],
)
def test_evidence_that_cannot_be_the_verdict(status: Status, evidence: object, doubt: str | None) -> None:
    found = doubt_verdict(status, evidence, "dynamics365")
    assert (doubt is None) is (found is None), found
    assert doubt is None or doubt in (found or "")


ENDED = {name: value for name, value in job().as_dict().items() if name != "raw"}


@each_row(
    ("status", "evidence", "accept_partial", "doubt"),
    [
        (Status.PASSED, ENDED, False, None),
        (Status.FAILED, ENDED | {"state": "failed"}, False, None),
        (Status.PASSED, None, False, "it holds no job"),
        (Status.PASSED, ENDED | {"product": "m365"}, False, "its job is 'DCIB1' of 'm365'"),
        (Status.PASSED, ENDED | {"job_id": "DCIB2"}, False, "its job is 'DCIB2' of 'dynamics365'"),
        (Status.PASSED, ENDED | {"state": "failed"}, False, "its job is in the state 'failed'"),
        (Status.PASSED, ENDED | {"state": "partial"}, False, "has not ended well"),
        (Status.PASSED, ENDED | {"state": "partial"}, True, None),
        (Status.PASSED, ENDED | {"state": "good"}, False, "has not ended well"),
        (Status.PASSED, ENDED | {"problems": ["odd"]}, False, "has not ended well"),
        (Status.PASSED, ENDED | {"counts": {"total": 1000, "failed": 400}}, False, "has not ended well"),
        (Status.PASSED, ENDED | {"counts": {"some": 1}}, False, "has not ended well"),
    ],
)
def test_evidence_that_cannot_be_the_job(
    status: Status, evidence: object, *, accept_partial: bool, doubt: str | None
) -> None:
    found = doubt_job(status, evidence, "dynamics365", "DCIB1", accept_partial=accept_partial)
    assert (doubt is None) is (found is None), found
    assert doubt is None or doubt in (found or "")
