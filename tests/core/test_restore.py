"""A restore without a network: what is refused before anything is sent, and how jobs are judged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_avepoint.core.auth import TokenCache, TokenSource
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import (
    AvePointAuthError,
    AvePointConfigError,
    AvePointPermissionError,
    AvePointRequestError,
    AvePointRestoreUncertain,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.flow import NoAnswer
from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.restore import (
    Drill,
    Intent,
    Phase,
    RestoreRequest,
    adopt,
    judge_restore,
    parse_expected,
    start_restore,
)
from airflow_provider_avepoint.core.settings import Settings

from .flows import Driver, answer, token
from .tables import each_row

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "service": "sharepoint_online",
    "site_url": "https://contoso.sharepoint.com/sites/canary",
    "library": "Documents",
    "files": ["canary/a.txt"],
    "recovery_time": "2026-11-28T05:00:00Z",
}
ONEDRIVE = {"service": "onedrive", "site_url": None, "onedrive_upn": "ada@contoso.com"}


def parse(**arguments: Any) -> RestoreRequest:
    return RestoreRequest.parse(**GOOD | {"now": NOW} | arguments)


@each_row(("service", "number"), [("sharepoint_online", 1), ("microsoft_365_groups", 3), ("teams", 6)])
def test_the_body_for_a_site(service: str, number: int) -> None:
    body = parse(service=service, folders="canary/b").body

    assert body == {
        "serviceType": number,
        "recoveryDateTime": "2026-11-28T05:00:00Z",
        "siteRestoreScope": {
            "siteUrl": "https://contoso.sharepoint.com/sites/canary",
            "restoreTargets": [
                {
                    "libraryName": "Documents",
                    "folders": [{"relativePath": "canary/b"}],
                    "files": [{"relativePath": "canary/a.txt"}],
                }
            ],
        },
    }


def test_the_body_for_a_onedrive() -> None:
    """A kind of path that nobody names is left out: the page says that it must not be empty."""
    body = parse(**ONEDRIVE, files=None, folders=["a", "ab/c"]).body

    assert body["serviceType"] == 2
    (target,) = body["oneDriveRestoreScope"]["restoreTargets"]
    assert body["oneDriveRestoreScope"]["oneDriveUpn"] == "ada@contoso.com"
    assert "siteRestoreScope" not in body
    assert "files" not in target


@each_row(
    ("arguments", "named"),
    [
        ({"service": "exchange_online"}, "service"),
        ({"service": None}, "service"),
        ({"service": 1}, "service"),
        ({"product": "dynamics365"}, "m365"),
        ({"site_url": None}, "site_url"),
        ({"site_url": "http://contoso.sharepoint.com"}, "site_url"),
        ({"site_url": "contoso.sharepoint.com/sites/x"}, "site_url"),
        ({"site_url": "https://ada:secret@contoso.sharepoint.com"}, "site_url"),
        ({"site_url": "https://contoso.sharepoint.com/sites/x?web=1"}, "site_url"),
        ({"site_url": "https://contoso.sharepoint.com/sites/a b"}, "site_url"),
        ({"site_url": "https://[contoso"}, "site_url"),
        ({"onedrive_upn": "ada@contoso.com"}, "onedrive_upn"),
        (ONEDRIVE | {"site_url": "https://contoso.sharepoint.com"}, "site_url"),
        (ONEDRIVE | {"onedrive_upn": None}, "onedrive_upn"),
        (ONEDRIVE | {"onedrive_upn": "ada"}, "onedrive_upn"),
        ({"library": None}, "library"),
        ({"library": " "}, "library"),
        ({"recovery_time": None}, "recovery_time"),
        ({"recovery_time": "2026-11-28"}, "recovery_time"),
        ({"recovery_time": datetime(2026, 11, 28)}, "recovery_time"),  # noqa: DTZ001  # is refused
        ({"recovery_time": NOW + timedelta(seconds=1)}, "recovery_time"),
        ({"recovery_time": "2026-11-28T12:30:00+00:00"}, "recovery_time"),
        ({"files": None}, "files and folders"),
        ({"files": []}, "files"),
        ({"files": ""}, "files"),
        ({"files": "None"}, "files"),
        ({"files": ["a", " "]}, "files"),
        ({"files": ["a", "\u200b"]}, "files"),
        ({"files": ["a", None]}, "files"),
        ({"files": [True]}, "files"),
        ({"files": {"relativePath": "a"}}, "files"),
        ({"files": b"a"}, "files"),
        ({"files": 7}, "files"),
        ({"files": "['a', 'b']"}, "files"),
        ({"recovery_time": "1970-01-01T00:00:00Z"}, "before the year 2000"),
        ({"files": "a", "folders": "[1"}, "folders"),
        ({"files": '{"a": 1}'}, "no name in SharePoint"),
        ({"files": ["a/*"]}, "no name in SharePoint"),
        ({"files": ["C:/a"]}, "no name in SharePoint"),
        ({"files": ["a./b"]}, "a dot at its end"),
        ({"files": ["a /b"]}, "a space at an end"),
        ({"files": ["['a', 'b']"]}, "files"),
        ({"files": ["/a"]}, "files"),
        ({"files": ["a\\b"]}, "files"),
        ({"files": ["a//b"]}, "files"),
        ({"files": ["a/"]}, "files"),
        ({"files": ["a/../b"]}, "files"),
        ({"files": ["a\nb"]}, "files"),
        ({"files": ["a\ud800b"]}, "files"),
        ({"files": [f"{number}" for number in range(21)]}, "21 paths"),
        ({"files": [f"f{number}" for number in range(11)], "folders": list("abcdefghij")}, "21 paths"),
        ({"folders": ["canary"]}, "canary/a.txt"),
        ({"folders": ["CANARY"]}, "canary/a.txt"),
        ({"files": None, "folders": ["a/b/c", "a"]}, "a/b/c"),
        ({"files": ["re\u0301sume/x"], "folders": ["r\u00e9sume"]}, "parent"),
        ({"folders": ["Canary/A.txt"]}, "both name"),
    ],
)
def test_what_is_refused_before_anything_is_sent(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(AvePointConfigError) as caught:
        parse(**arguments)

    assert named in str(caught.value)
    assert "secret" not in str(caught.value)


@each_row(
    ("files", "paths"),
    [
        ("a.txt", ["a.txt"]),
        ('["a", "b"]', ["a", "b"]),
        (["[2026] plan.xlsx"], ["[2026] plan.xlsx"]),
        (["a", "A", "a"], ["a"]),
        ((str(each) for each in range(20)), [str(each) for each in range(20)]),
        ([2026], ["2026"]),
        (["a b/c (1).txt", "ab"], ["a b/c (1).txt", "ab"]),
        (["日本語/ü.txt"], ["日本語/ü.txt"]),
        (["a\u200cb/👩\u200d💻.txt"], ["a\u200cb/👩\u200d💻.txt"]),
    ],
)
def test_which_paths_are_taken(files: Any, paths: list[str]) -> None:
    assert list(parse(files=files).files) == paths


def test_a_time_of_another_offset_is_sent_in_utc() -> None:
    moment = datetime(2026, 11, 28, 6, 30, 0, 999999, tzinfo=timezone(timedelta(hours=2)))

    assert parse(recovery_time=moment).body["recoveryDateTime"] == "2026-11-28T04:30:00Z"


def test_the_digest_tells_requests_apart() -> None:
    """And takes two for one that differ in the order of their paths alone."""
    base = parse(files=["a", "b"])
    others = [
        parse(files=["a"]),
        parse(files=["a"], folders=["b"]),
        parse(files=["a", "b"], location="NAM"),
        parse(files=["a", "b"], library="Other"),
        parse(files=["a", "b"], recovery_time="2026-11-28T05:00:01Z"),
        parse(files=["a", "b"], service="teams"),
    ]

    assert base.digest == parse(files=["b", "a"]).digest
    assert len({base.digest, *(each.digest for each in others)}) == 7
    assert RestoreRequest.read(json.loads(json.dumps(base.as_dict()))) == base


def intent(**fields: Any) -> Intent:
    return Intent(**{"digest": "d", "account": "a", "nonce": "n", "sent_at": NOW} | fields)


def test_an_intent_survives_json() -> None:
    known = intent(
        answered_at=NOW, known_ids=("A", "B"), phase=Phase.STARTED, job_id="RS1", was_adopted=True, doubt="…"
    )

    assert Intent.read(json.loads(json.dumps(known.as_dict()))) == known
    assert Intent.read(json.loads(json.dumps(intent().as_dict())) | {"of_a_newer_release": 1}) == intent()


@each_row(
    "kept",
    [
        {},
        [],
        "x",
        7,
        intent().as_dict() | {"phase": "new"},
        intent().as_dict() | {"sent_at": "yesterday"},
        intent().as_dict() | {"sent_at": None},
        intent().as_dict() | {"known_ids": None},
    ],
)
def test_an_intent_that_is_not_understood_sends_nothing(kept: object) -> None:
    with pytest.raises(AvePointRestoreUncertain, match="not understood"):
        Intent.read(kept)


def test_what_is_adopted() -> None:
    """One job at once; none waits, and after ten minutes nobody knows; of several, nobody knows which."""
    end = NOW + timedelta(minutes=10)

    found = adopt(intent(), ("RS1",), end + timedelta(hours=1))
    assert found == replace(intent(), phase=Phase.STARTED, job_id="RS1", was_adopted=True)
    assert adopt(intent(), (), end - timedelta(seconds=1)) is None
    with pytest.raises(AvePointRestoreUncertain) as caught:
        adopt(intent(doubt="no answer (ReadTimeout)."), (), end)
    assert "2026-11-28T12:00:00Z" in str(caught.value)
    assert "no answer (ReadTimeout)" in str(caught.value)
    assert "job monitor" in str(caught.value)
    assert (caught.value.sent_at, caught.value.digest) == (NOW.isoformat(), "d")
    with pytest.raises(AvePointRestoreUncertain, match="RS1, RS2") as caught:
        adopt(intent(), ("RS1", "RS2"), NOW)
    assert caught.value.job_ids == ("RS1", "RS2")
    assert adopt(intent(answered_at=end), (), end + timedelta(minutes=9)) is None, "searched since the answer"


def job(state: JobState = JobState.SUCCESS, **fields: Any) -> BackupJob:
    return BackupJob(
        **{
            "product": "m365",
            "job_id": "RS1",
            "state": state,
            "started_at": NOW,
            "finished_at": NOW,
            "counts": Counts(total=3, successful=3, failed=0, skipped=0),
        }
        | fields
    )


@each_row(
    ("found", "expected", "reason"),
    [
        (job(), None, "passed"),
        (job(), 3, "passed"),
        (job(), 4, "too_few_files"),
        (job(counts=Counts()), None, "passed"),
        (job(counts=Counts()), 1, "too_few_files"),
        (job(counts=Counts(total=0, successful=0)), None, "nothing_restored"),
        (job(counts=Counts(total=3, successful=0, skipped=3)), None, "nothing_restored"),
        (job(counts=Counts(total=3, successful=2, skipped=1)), 3, "too_few_files"),
        (job(counts=Counts(total=3, successful=2, failed=1)), None, "partial"),
        (job(JobState.PARTIAL), 3, "partial"),
        (job(JobState.FAILED), None, "failed"),
        (job(JobState.STOPPED), None, "skipped"),
    ],
)
def test_how_a_restore_is_judged(found: BackupJob, expected: int | None, reason: str) -> None:
    drill = judge_restore(parse(), intent(), found, expected, NOW)

    assert isinstance(drill, Drill)
    assert (drill.reason, drill.passed) == (reason, reason == "passed")
    written = drill.as_dict()
    assert json.loads(json.dumps(written)) == written
    assert written["restored_files"] == found.counts.successful
    assert "raw" not in written["job"]


@each_row(
    "found",
    [
        job(JobState.RUNNING, finished_at=None),
        job(JobState.UNKNOWN),
        job(problems=("totalCount: no number",)),
        job(started_at=NOW + timedelta(hours=1), finished_at=None),
        job(finished_at=NOW + timedelta(hours=1)),
        job(finished_at=None),
        job(started_at=None),
        job(started_at=None, finished_at=None, duration=timedelta(minutes=1)),
    ],
)
def test_a_restore_that_may_still_end_otherwise_is_waited_for(found: BackupJob) -> None:
    news = judge_restore(parse(), intent(), found, None, NOW)

    assert isinstance(news, str)
    assert "RS1" in news


@each_row(("given", "number"), [(None, None), (1, 1), ("7", 7)])
def test_expect_files(given: object, number: int | None) -> None:
    assert parse_expected(given) == number


@each_row("given", [0, "0", -1, True, 1.5, "many"])
def test_expect_files_expects_something(given: object) -> None:
    with pytest.raises(AvePointConfigError, match="expect_files"):
        parse_expected(given)


class Credential:
    fingerprint = "f"

    def form_fields(self, _token_url: str) -> dict[str, str]:
        return {}


def client(*, allow_restore: bool = True) -> Client:
    settings = Settings(
        base_url="https://graph.example",
        identity_endpoint="https://id",
        client_id="c",
        allow_restore=allow_restore,
    )
    return Client(
        settings,
        TokenSource(token_url="https://id", client_id="c", credential=Credential(), cache=TokenCache()),
    )


FULL = {"message": "There are already 3 restore/export jobs running, cannot start new restore job."}
REPLIES: dict[str, tuple[list[Any], str, Any]] = {
    "documented": ([answer({"data": {"jobId": "RS1"}})], "started", None),
    "201": ([answer({"data": {"jobId": "RS1"}}, status=201)], "started", None),
    "id in other capitals": ([answer({"Data": {"JobID": "RS1"}})], "started", None),
    "no content": ([answer(body=b"", status=204)], "unknown", None),
    "id 0": ([answer({"data": {"jobId": 0}})], "unknown", None),
    "id of nothing": ([answer({"data": {"jobId": "00000000-0000-0000-0000-000000000000"}})], "unknown", None),
    "id N/A": ([answer({"data": {"jobId": "N/A"}})], "unknown", None),
    "known id": ([answer({"data": {"jobId": "OLD"}})], "unknown", None),
    "a list": ([answer([{"jobId": "RS1"}])], "unknown", None),
    "no success": ([answer({"success": False, "data": {"jobId": "RS1"}})], "unknown", None),
    "id in a 500": ([answer({"data": {"jobId": "RS1"}}, status=500)], "unknown", None),
    "see other": ([answer(None, status=303)], "unknown", None),
    "proxy": ([answer(None, status=407)], "unknown", None),
    "401 in a 200": ([answer({"statusCode": 401})], "unknown", None),
    "no place": ([answer(FULL, status=429)], "busy", None),
    "no place in a 200": ([answer(FULL | {"statusCode": "429"})], "busy", None),
    "a rate of restores": (
        [answer({"message": "Rate limit of restore jobs; 3 requests running"}, status=429)],
        "unknown",
        None,
    ),
    "400 in a 200": ([answer({"statusCode": 400})], "refused", AvePointRequestError),
    "403": ([answer(None, status=403)], "refused", AvePointPermissionError),
    "no connection": ([NoAnswer("refused", was_sent=False)], "refused", AvePointUnavailable),
    "lost": ([NoAnswer("timeout")], "unknown", None),
    "401, then lost": ([answer(None, status=401), token("2"), NoAnswer("timeout")], "unknown", None),
    "401, then no token": (
        [answer(None, status=401), answer({"error": "invalid_client"}, status=401)],
        "refused",
        AvePointAuthError,
    ),
}


@each_row(("replies", "kind", "error"), [pytest.param(*reply, id=name) for name, reply in REPLIES.items()])
def test_what_an_answer_means(replies: list[Any], kind: str, error: Any) -> None:
    """Only a 401 is asked again; where it may have begun, nothing else is sent."""
    driver = Driver([token(), *replies])

    reply = driver.run(start_restore(client(), parse(), ("OLD",)))

    assert reply.kind == kind
    assert reply.job_id == ("RS1" if kind == "started" else None)
    assert type(reply.error) is (error or type(None))
    assert driver.pauses == []
    assert len(driver.sent) == 1 + len(replies)


def test_no_request_is_made_where_the_connection_does_not_allow_it() -> None:
    driver = Driver([])

    reply = driver.run(start_restore(client(allow_restore=False), parse()))

    assert isinstance(reply.error, AvePointConfigError)
    assert driver.sent == []
