"""What was found by making answers up, each as the smallest that shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_avepoint.core import pages
from airflow_provider_avepoint.core.errors import (
    AvePointConfigError,
    AvePointPayloadError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.flow import Response
from airflow_provider_avepoint.core.listing import JobListing
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.products import PRODUCTS
from airflow_provider_avepoint.transports.body import loads
from tests.core.flows import Answer

from .encoding import NOW, Raw, envelope, good_row, write
from .test_answers import build_client, list_jobs, policy_for, serve, use

D365 = PRODUCTS["dynamics365"]


def answer(document: Any) -> Response:
    return Response(status=200, headers={}, body=write(document).encode(), loads=loads)


def read(answers: list[Answer]) -> list[BackupJob]:
    (query,) = policy_for(D365).queries(NOW)
    return list_jobs(build_client(), serve(answers), query, 1)


def read_row(**fields: Any) -> BackupJob:
    """Return the one job of a server that lists the vendor's sample with other *fields*."""
    rows = [good_row(D365, "J1") | fields]
    (job,) = read([answer(envelope(D365, rows)), answer(envelope(D365, []))])
    return job


def in_a_deep_stack(call: Callable[[], Any]) -> Any:
    """Call near the end of the stack, where what was read near its beginning is nested too deep to show."""

    def descend(left: int) -> Any:
        return descend(left - 1) if left else call()

    return descend(600)


def test_a_state_of_more_digits_than_python_reads_is_unknown() -> None:
    assert JobState.UNKNOWN is read_row(status="9" * 5000).state


@pytest.mark.parametrize("number", [Raw("9" * 401), Raw("1e300"), "9" * 5000], ids=["401", "1e300", "5000"])
def test_a_count_that_no_float_holds_is_not_understood(number: Any) -> None:
    """Its share of the total could not be told from a limit."""
    (problem,) = read_row(failedEntity=number).problems
    assert "failedEntity" in problem


ODD_IDS = ["a\x00b", "a\ud800", "a\nb", True, 1.5, {"id": 1}, ["a"]]


@pytest.mark.parametrize("value", ODD_IDS)
def test_an_id_that_cannot_be_kept_is_refused(value: Any) -> None:
    """PostgreSQL keeps neither NUL nor lone surrogates; an event with one would end the triggerer."""
    with pytest.raises(AvePointPayloadError, match="jobId"):
        read_row(jobId=value)


@pytest.mark.parametrize("value", ODD_IDS)
def test_an_organisation_that_cannot_be_kept_is_not_understood(value: Any) -> None:
    job = read_row(organizationId=value)

    (problem,) = job.problems
    assert "organizationId" in problem
    assert job.organization_id is None


def test_a_name_that_cannot_be_kept_is_mended() -> None:
    job = read_row(organizationName="Contoso\x00 \ud800GmbH", status="Done\x00")

    assert ("Contoso? ?GmbH", "Done?") == (job.organization_name, job.raw_state)
    assert JobState.UNKNOWN is job.state
    assert not use([job], policy_for(D365)).passed


def test_a_name_that_is_no_text_is_shown_in_short() -> None:
    assert len(read_row(organizationName=[{"name": "x" * 1000}]).organization_name or "") < 200


@pytest.mark.parametrize("labels", [("財務", "営業"), ("Финансы", "Продажи"), ("+", "++")])
def test_modules_in_another_script_are_scopes_of_their_own(labels: tuple[str, str]) -> None:
    """They were all one, and a newer success of one hid the failure of the other."""
    failed = read_row(jobId="J2", module=labels[0], status=4, startTime="2026-11-22T01:00:00Z")

    assert not use([read_row(module=labels[1]), failed], policy_for(D365)).passed


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 41], ids=len)
def test_a_link_to_a_page_of_more_digits_than_python_reads_is_followed(number: str) -> None:
    first = answer(envelope(D365, [good_row(D365, "J1")], f"/jobs?pageIndex={number}"))
    jobs = read([first, answer(envelope(D365, [good_row(D365, "J2")]))])

    assert ["J1", "J2"] == [job.job_id for job in jobs]


def test_a_link_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(AvePointPayloadError, match="cannot be read"):
        read([answer(envelope(D365, [good_row(D365, "J1")], "/jobs?pageIndex=\ud800"))])


@pytest.mark.parametrize("name", ["status", "statusCode"])
def test_a_page_whose_status_is_written_in_digits_is_not_an_empty_one(name: str) -> None:
    """A listing that ends with it would be short, and nobody would know."""
    first = answer(envelope(D365, [good_row(D365, "J1")], "/jobs?pageIndex=2"))

    with pytest.raises(AvePointUnavailable, match="500"):
        read([first, answer({name: "500", "message": "Internal error", "jobs": None})])


def test_a_status_of_many_digits_floods_no_log() -> None:
    with pytest.raises(AvePointUnavailable) as caught:
        read([answer({"statusCode": Raw("9" * 4000)})])

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "field", ["startTime", "finishTime", "failedEntity", "type", "module", "organizationId", "backupSize"]
)
def test_a_value_that_is_nested_too_deep_to_show_is_told_in_short(field: str) -> None:
    deep: Any = []
    for _ in range(800):
        deep = [deep]
    (query,) = policy_for(D365).queries(NOW)
    listing = JobListing(build_client(), query, NOW)
    listing.begin(0)
    document = envelope(D365, [good_row(D365, "J1") | {field: deep}])

    (job,) = in_a_deep_stack(lambda: list(listing.take(pages.Answer(document, {}))))

    assert field == "backupSize" or any(field in problem for problem in job.problems)
    assert 200 > max(map(len, job.problems), default=0)


def test_a_ratio_that_no_float_holds_is_refused() -> None:
    with pytest.raises(AvePointConfigError, match="max_failed_ratio"):
        Policy(product="dynamics365", max_age=1, max_failed_ratio=10**400)


def test_an_answer_about_another_job_is_told_in_one_short_line() -> None:
    m365 = PRODUCTS["m365"]
    driver = serve([answer({"data": good_row(m365, "x" * 5000)})])

    with pytest.raises(AvePointPayloadError) as caught:
        driver.run(build_client().get_job(m365, "J1", None))

    assert len(str(caught.value)) < 300


def test_what_is_made_up_is_written_as_it_is() -> None:
    assert {"a": [1, None, "\ud800"]} == json.loads(write({"a": [Raw("1"), None, "\ud800"]}))
