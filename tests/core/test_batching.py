"""Many waits, few listings: what is asked for all of them, and that nobody's verdict changes by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_avepoint.core.batching import FEW_JOBS, Answers, ask_for_job, plan
from airflow_provider_avepoint.core.errors import AvePointPayloadError, AvePointRequestError
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import SEARCH_SPAN, JobQuery
from airflow_provider_avepoint.core.verdict import judge
from tests.triggers.server import (
    NOW,
)

from .tables import each_row

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
LATEST = datetime.max.replace(tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC)


def about(product: str, **fields: Any) -> JobQuery:
    return JobQuery(product=get_product(product), **({"started_after": NOW - DAY} | fields))


def job(product: str = "dynamics365", job_id: str = "J1", **fields: Any) -> BackupJob:
    given_fields = {"job_type": "backup", "state": JobState.RUNNING, "started_at": NOW - timedelta(hours=1)}
    return BackupJob(product=product, job_id=job_id, **(given_fields | fields))


def gates(product: str, count: int = 1, **arguments: Any) -> list[JobQuery]:
    """Return what *count* gates ask, each with a window of its own."""
    return [
        query
        for number in range(count)
        for query in Policy(product=product, max_age=3600 + number, **arguments).queries(NOW)
    ]


def jobs(product: str, count: int, **fields: Any) -> list[JobQuery]:
    """Return what waits for *count* jobs ask."""
    return [about(product, job_id=f"J{number}", **fields) for number in range(count)]


def test_a_job_is_looked_for_as_far_back_as_any_of_its_waits_goes() -> None:
    """Two wait for one job: whoever began earlier must find it too."""
    product = get_product("m365")
    early, late = (
        JobQuery(product=product, job_id="J2", started_after=NOW - timedelta(days=days)) for days in (30, 1)
    )

    for asked in ([early, late], [late, early]):
        (planned,) = plan(asked).jobs.values()

        assert planned.started_after == early.started_after


def listed(*queries: JobQuery, by_organization: bool = True) -> int:
    planned = plan(queries, by_organization=by_organization)
    assert planned.jobs == {}
    return len(planned.listings)


GUID = "69cb1ecc-f8e8-4c0b-9a57-1f2e3d4c5b6a"
CONTOSO = {"organization_ids": ["contoso"]}


@each_row(
    ("queries", "by_organization", "listings"),
    [
        (gates("dynamics365", 300), False, 1),
        (gates("dynamics365", 300) + gates("dynamics365", 300, **CONTOSO), False, 1),
        (gates("dynamics365", 300) + gates("dynamics365", 300, **CONTOSO), True, 2),
        (gates("dynamics365", 300) + jobs("dynamics365", 300), False, 2),
        (gates("dynamics365", 3, job_type=["backup", "audit_backup"]), False, 2),
        (jobs("dynamics365", 300), False, 1),
        (gates("salesforce", 3, organization_ids=["contoso", "fabrikam"]), True, 2),
        (gates("salesforce", 3, organization_ids=["contoso", "fabrikam"]), False, 1),
        (gates("salesforce") + gates("salesforce", **CONTOSO), True, 2),
        (
            gates("salesforce", organization_ids=GUID)
            + gates("salesforce", organization_ids=f"{{{GUID.upper()}}}"),
            True,
            1,
        ),
        (gates("elements", 3, organization_ids=["contoso", "fabrikam"]), False, 2),
        (gates("m365", 300), True, 13),
        (gates("m365", 300) + jobs("m365", 300), True, 14),
        (gates("m365", 300) + jobs("m365", 1), True, 14),
        (gates("m365", 3, locations=["EUR", "NAM"]), True, 26),
        (gates("m365", 3, object_types=["teams"]) + gates("m365", 3, object_types=["onedrive"]), True, 2),
        (jobs("m365", FEW_JOBS + 1), True, 1),
        (jobs("m365", 10) + jobs("m365", 10, location="EUR"), True, 2),
        (gates("m365_legacy", 300) + jobs("m365_legacy", 1), True, 14),
        (gates("iaas_paas", 300), True, 20),
        (gates("google_workspace", 300) + jobs("google_workspace", 300), True, 2),
        (gates("aos_scan", 300) + jobs("aos_scan", 300), True, 2),
        ([], True, 0),
    ],
)
def test_how_many_listings_answer_all(
    queries: list[JobQuery],
    by_organization: bool,  # noqa: FBT001  # a column of the table
    listings: int,
) -> None:
    assert listings == listed(*queries, by_organization=by_organization)


@pytest.mark.parametrize(
    ("count", "single", "listings"), [(1, 1, 0), (FEW_JOBS, FEW_JOBS, 0), (FEW_JOBS + 1, 0, 1)]
)
def test_few_jobs_are_asked_for_one_by_one(count: int, single: int, listings: int) -> None:
    """Where the product has an endpoint for one job; any number of waits for the same job is one."""
    planned = plan(jobs("m365", count) * 3)

    assert (single, listings) == (len(planned.jobs), len(planned.listings))


def test_without_queries_there_is_no_group() -> None:
    assert [] == list(plan([]).groups(4))


@each_row(("product", "organizations"), [("m365", 1), ("iaas_paas", 1), ("dynamics365", 20)])
def test_queries_are_asked_in_groups(product: str, organizations: int) -> None:
    """All types come before each of them, what is to be last comes last, and each comes once."""
    named = [f"o{number}" for number in range(organizations)] if product == "dynamics365" else None
    planned = plan(gates(product, organization_ids=named))
    topics = list(planned.listings)
    last = set(topics[:2])

    groups = list(planned.groups(4, last=last))

    assert {*range(1, 5)} >= set(map(len, groups))
    asked = [topic for group in groups for topic in group]
    assert sorted(topics, key=str) == sorted(asked, key=str)
    assert last == set(asked[-len(last) :])
    for topics_of_stage in (asked[: -len(last)], asked[-len(last) :]):
        order = [planned.listings[topic].is_of_all_types for topic in topics_of_stage]
        assert sorted(order, reverse=True) == order
    assert not [group for group in groups if len({planned.listings[t].is_of_all_types for t in group}) > 1]


def test_the_same_id_elsewhere_is_another_job() -> None:
    planned = plan([about("m365", job_id="J1"), about("m365", job_id="J1", location="EUR")])

    assert {None, "EUR"} == {query.location for query in planned.jobs.values()}


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ([NOW - DAY, NOW - 3 * DAY, NOW - 2 * DAY], NOW - 3 * DAY),
        ([NOW - DAY, None], None),
        ([None, NOW - DAY], None),
        ([NOW - DAY], NOW - DAY),
    ],
)
def test_a_listing_is_as_wide_as_any_needs(starts: list[datetime | None], expected: datetime | None) -> None:
    (query,) = plan([about("dynamics365", started_after=start) for start in starts]).listings.values()

    assert expected == query.started_after


@each_row(
    ("organizations", "expected"),
    [
        (["contoso", "contoso"], "contoso"),
        ([GUID, f"{{{GUID.upper()}}}"], GUID),
        (["contoso", "Contoso"], None),
        (["contoso", "fabrikam"], None),
        (["contoso", None], None),
        ([None, "contoso"], None),
    ],
)
def test_a_merged_listing_is_of_one_organisation_only_where_all_are(
    organizations: list[str | None], expected: str | None
) -> None:
    queries = [about("dynamics365", organization_id=each) for each in organizations]
    (query,) = plan(queries, by_organization=False).listings.values()

    assert expected == query.organization_id


@each_row(
    ("queries", "expected"),
    [
        (gates("salesforce", 3, organization_ids=["a", "b", "c"]), 3),
        (gates("salesforce", 3, organization_ids=["a", "b"], job_type=["backup", "on_demand_backup"]), 4),
        (gates("salesforce", 3), 0),
        (gates("dynamics365", **CONTOSO) + gates("dynamics365"), 1),
        (gates("elements", organization_ids=["a", "b"]), 0),
        (gates("m365"), 0),
    ],
)
def test_how_many_listings_one_might_replace(queries: list[JobQuery], expected: int) -> None:
    assert expected == plan(queries).listings_apart


@each_row(
    ("begun", "known", "expected"),
    [
        (None, None, NOW - SEARCH_SPAN),
        (NOW - DAY, None, NOW - 2 * DAY),
        (NOW - DAY, job(started_at=NOW - 5 * DAY), NOW - 5 * DAY - SECOND),
        (NOW - DAY, job(started_at=None), NOW - 2 * DAY),
        # Planned for tomorrow, and then run at once: it must not be lost.
        (NOW - DAY, job(started_at=NOW + DAY, state=JobState.WAITING), NOW - 2 * DAY),
        (EARLIEST, None, EARLIEST),
    ],
)
def test_a_job_is_looked_for_in_as_short_a_window_as_will_hold_it(
    begun: datetime | None, known: BackupJob | None, expected: datetime
) -> None:
    query = about("dynamics365", job_id="J1")

    asked = ask_for_job(query, NOW, begun=begun, known=known)

    assert replace(query, started_after=expected) == asked


@pytest.mark.parametrize(
    ("organizations", "expected"), [([], True), (["a", "b"], True), (["a", None], False), ([None], False)]
)
def test_whether_rows_name_their_organisation(
    organizations: list[str | None],
    expected: bool,  # noqa: FBT001  # a column of the table
) -> None:
    query = about("salesforce", job_type="backup")
    (topic,) = plan([query]).listings
    listing = [job("salesforce", organization_id=each) for each in organizations]

    assert expected == Answers(NOW, {topic: listing}).names_organizations


def test_how_many_jobs_have_come() -> None:
    single = plan([about("m365", job_id="J1")])
    shared = plan([about("m365", job_type="backup")])

    answers = Answers(
        NOW,
        {topic: [job("m365"), job("m365", "J2")] for topic in shared.listings},
        dict.fromkeys(single.jobs, job("m365")),
    )

    assert 3 == answers.count


@pytest.mark.parametrize("written", ["J1", " J1", "J1\n"])
def test_a_job_is_found_however_its_id_is_padded(written: str) -> None:
    """A template may leave blanks; the hook does not mind them either."""
    query = about("dynamics365", job_id=written)
    (topic,) = plan([query]).listings

    assert "J1" == Answers(NOW, {topic: [job()]}).find(query).job_id  # type: ignore[union-attr]


def test_a_job_that_was_asked_for_alone_and_is_not_there() -> None:
    query = about("m365", job_id="J1")

    answers = Answers(NOW, {}, dict.fromkeys(plan([query]).jobs))

    assert answers.find(query) is None


@pytest.mark.parametrize("query", [about("m365", job_id="J1"), about("dynamics365", job_id="J1")])
def test_a_job_of_which_nothing_came(query: JobQuery) -> None:
    assert Answers(NOW, {}).find(query) is None


def test_one_policy_is_judged_once() -> None:
    """A thousand gates with the same policy cost one judgement."""
    policies = [Policy(product="dynamics365", max_age=3600) for _ in range(2)]
    queries = policies[0].queries(NOW)
    answers = Answers(NOW, {topic: [job()] for topic in plan(queries).listings})

    assert answers.judge(policies[0], queries) is answers.judge(policies[1], policies[1].queries(NOW))


def test_an_error_is_of_those_who_asked_for_it() -> None:
    """One customer that the vendor does not know must not end the gates of all others."""
    good, bad, garbled = (about("elements", organization_id=each, job_type="backup") for each in "abc")
    single = about("m365", job_id="J1")
    refused, broken, denied = (
        AvePointRequestError("404"),
        AvePointPayloadError("HTML"),
        AvePointRequestError("400"),
    )
    (bad_topic, garbled_topic), (key,) = plan([bad, garbled]).listings, plan([single]).jobs
    errors = {bad_topic: refused, garbled_topic: broken, key: denied}

    answers = Answers(NOW, {}, {}, errors)

    assert answers.find_error([good]) is None
    assert answers.find_error([]) is None
    assert refused is answers.find_error([good, bad])
    assert broken is answers.find_error([garbled])
    assert denied is answers.find_error([single])
    assert Answers(NOW, {}).find_error([bad]) is None


def test_a_row_that_hides_its_organisation_is_of_each_that_is_judged() -> None:
    """Where it cannot be read; one that can be read and names none is nobody's."""
    policy = Policy(product="dynamics365", max_age=3600, organization_ids=["contoso"])
    queries = policy.queries(NOW)
    good = job(
        state=JobState.SUCCESS, started_at=NOW, organization_id="contoso", workload="unified_operations"
    )
    hidden = job(job_id="J2", state=JobState.FAILED, started_at=NOW, workload="unified_operations")
    for problems, reason in (((), "passed"), (("organizationId: [1] is not an id",), "unreadable")):
        rows = [good, replace(hidden, problems=problems)]
        (topic,) = plan(queries, by_organization=False).listings
        answers = Answers(NOW, {topic: rows}, by_organization=False)

        assert reason == answers.judge(policy, queries).reason == judge(rows, policy, NOW).reason


def test_further_answers_of_a_round_join_it_and_its_time_is_the_later() -> None:
    (one,), (other,) = (
        plan([about("dynamics365", job_type=each)]).listings for each in ("backup", "restore")
    )
    lacking = AvePointRequestError("404")
    for first, second in ((NOW, NOW + SECOND), (NOW + SECOND, NOW)):
        answers = Answers(first, {one: [job()]})
        answers.include(Answers(second, {other: [job(), job()]}, errors={other: lacking}))

        assert (3, NOW + SECOND) == (answers.count, answers.now)
        assert lacking is answers.find_error([about("dynamics365", job_type="restore")])


def test_a_wider_listing_for_others_brings_no_older_job_of_the_same_id() -> None:
    """Which another organisation may have; where none is in the window, the older one is better than none."""
    query = about("dynamics365", job_id="J1")
    (topic,) = plan([query, replace(query, started_after=NOW - 9 * DAY)]).listings
    older = job(state=JobState.FAILED, organization_id="contoso", started_at=NOW - 5 * DAY)
    newer = job(state=JobState.SUCCESS, organization_id="fabrikam")

    assert newer == Answers(NOW, {topic: [older, newer]}).find(query)
    assert older == Answers(NOW, {topic: [older]}).find(query)


def test_the_jobs_of_a_shared_listing_are_of_the_organisations_that_are_asked_for() -> None:
    queries = [about("dynamics365", organization_id=each) for each in ("contoso", "Fabrikam", None)]
    contoso, fabrikam, every = queries
    (topic,) = plan(queries, by_organization=False).listings
    listed_jobs = [job(job_id=each, organization_id=each) for each in ("contoso", "Fabrikam", "fabrikam")]
    answers = Answers(NOW, {topic: listed_jobs}, by_organization=False)

    found = {
        words: [each.job_id for each in answers.jobs(asked)]
        for words, asked in {
            "one": [contoso],
            "two": [contoso, fabrikam],
            "all": [contoso, every],
        }.items()
    }

    assert {
        "one": ["contoso"],
        "two": ["contoso", "Fabrikam"],
        "all": ["contoso", "Fabrikam", "fabrikam"],
    } == found
