"""Which backups have ended since the last look: every one, once, with what is kept in between."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_avepoint.core.model import BackupJob, Counts, JobState
from airflow_provider_avepoint.core.watermark import Watermark, key_of

from .tables import each_row

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
#: Airflow warns of more: ``[state_store] max_value_storage_bytes``.
SOFT_LIMIT = 64 * 1024
TERMINAL = [state for state in JobState if state.is_terminal]


def job(name: str = "J1", state: str = "success", **fields: Any) -> BackupJob:
    """Return a job that started an hour before NOW, unless *fields* say otherwise."""
    given_fields = {"product": "dynamics365", "organization_id": "contoso", "started_at": NOW - HOUR}
    return BackupJob(**({"job_id": name, "state": JobState(state)} | given_fields | fields))


def look(
    watermark: Watermark, *jobs: BackupJob, now: datetime = NOW, asked_since: datetime | None = None
) -> tuple[list[str], Watermark]:
    """Return the ids of the jobs that are announced, and what is kept, as it comes back from the store."""
    since = watermark.earliest_start(now) if asked_since is None else asked_since
    news, kept = watermark.advance(jobs, now, asked_since=since)
    return [each.job_id for each in news], Watermark.from_dict(json.loads(json.dumps(kept.as_dict())))


def begin(*jobs: BackupJob, now: datetime = NOW - 10 * MINUTE) -> Watermark:
    return Watermark.begin(jobs, now)


@each_row("state", TERMINAL)
def test_a_job_that_was_under_way_is_announced_once_when_it_has_ended(state: JobState) -> None:
    watermark = begin(job(state="running"))

    first, watermark = look(watermark, job(state=state))
    second, watermark = look(watermark, job(state=state), now=NOW + 5 * MINUTE)

    assert (["J1"], []) == (first, second)


def test_what_has_ended_before_the_beginning_is_not_announced() -> None:
    old = job("old", started_at=NOW - 20 * DAY)

    assert [] == look(begin(job(), old), job(), old)[0]


def test_a_job_that_began_and_ended_between_two_looks_is_announced() -> None:
    assert ["J1"] == look(begin(), job(started_at=NOW - MINUTE))[0]


@each_row(
    ("late_by", "announced"),
    [
        (6 * HOUR, ["J1"]),
        (6 * HOUR + 10 * MINUTE, ["J1"]),  # the last look was ten minutes ago
        (6 * HOUR + 11 * MINUTE, []),
    ],
)
def test_a_job_may_be_listed_six_hours_after_it_started(late_by: timedelta, announced: list[str]) -> None:
    """Later than that it cannot be told from those that were known before."""
    assert announced == look(begin(), job(started_at=NOW - late_by))[0]


def test_six_hours_are_counted_from_the_last_look_not_from_this_one() -> None:
    """A triggerer that was away for a day finds all that happened meanwhile."""
    watermark = begin(now=NOW - DAY)

    assert NOW - DAY - 6 * HOUR == watermark.earliest_start(NOW)
    assert ["J1"] == look(watermark, job(started_at=NOW - DAY - 5 * HOUR))[0]


@pytest.mark.parametrize("days", [3, 5, 29])
def test_a_job_that_runs_for_days_is_looked_for_until_it_ends(days: int) -> None:
    started_at = NOW - days * DAY
    watermark = begin(job(state="running", started_at=started_at), now=NOW - 2 * DAY)

    assert started_at == watermark.earliest_start(NOW)
    assert ["J1"] == look(watermark, job(started_at=started_at))[0]


def test_a_job_is_given_up_after_thirty_days() -> None:
    hung = job(state="running", started_at=NOW - 30 * DAY + MINUTE)
    watermark = begin(hung, now=NOW)
    assert Watermark.first_start(NOW) < hung.started_at == watermark.earliest_start(NOW + MINUTE)

    _, watermark = look(watermark, hung, now=NOW + 2 * MINUTE)

    assert {} == watermark.under_way


def crowd(*, since: timedelta, count: int = 5000) -> list[BackupJob]:
    """Return *count* ended jobs, the first started so long before NOW."""
    return [job(f"C{i}", started_at=NOW - since * (i / count)) for i in range(count)]


@pytest.mark.no_cover
@pytest.mark.parametrize("shown", [True, False], ids=["listed", "deleted at the vendor"])
def test_a_job_that_hangs_does_not_make_every_look_go_back_to_it(*, shown: bool) -> None:
    """Where 5,000 jobs have run since, it is looked for each 500 s, not at each look."""
    hung = job("hung", state="running", started_at=NOW - 10 * DAY)
    watermark, deep = begin(hung, *crowd(since=10 * DAY), now=NOW), 0
    for minutes in range(60):
        now = NOW + minutes * MINUTE
        is_deep = watermark.earliest_start(now) == hung.started_at
        deep += is_deep
        listed = [*([hung] if shown else []), *crowd(since=10 * DAY)] if is_deep else []
        _, watermark = look(watermark, *listed, now=now)

    assert deep == 6
    assert ["hung"] == look(watermark, job("hung", started_at=hung.started_at), now=NOW + 2 * DAY)[0]


def test_a_job_that_hangs_is_looked_for_each_time_where_that_costs_little() -> None:
    """What counts is how many jobs have started since the oldest that is under way."""
    hung = job("hung", state="running", started_at=NOW - 10 * DAY)
    before = [job(f"B{i}", started_at=NOW - 20 * DAY) for i in range(5000)]
    watermark = begin(hung, *before, now=NOW)

    assert hung.started_at == watermark.earliest_start(NOW + MINUTE)


def test_an_old_job_is_announced_at_a_look_that_goes_back_for_others_sake() -> None:
    started_at = NOW - 10 * DAY
    hung = job("hung", state="running", started_at=started_at)
    watermark = begin(hung, *crowd(since=10 * DAY), now=NOW - MINUTE)

    assert watermark.earliest_start(NOW) > started_at
    news, _ = look(watermark, job("hung", started_at=started_at), asked_since=NOW - 11 * DAY)
    assert ["hung"] == news


def test_a_look_that_does_not_reach_an_old_job_does_not_count_as_a_search_for_it() -> None:
    hung = job("hung", state="running", started_at=NOW - 10 * DAY)
    watermark = begin(hung, *crowd(since=10 * DAY), now=NOW)
    for minutes in range(1, 9):
        _, watermark = look(watermark, now=NOW + minutes * MINUTE, asked_since=NOW - 6 * HOUR)

    assert hung.started_at == watermark.earliest_start(NOW + 9 * MINUTE)


def test_a_clock_that_went_back_stops_no_search() -> None:
    hung = job("hung", state="running", started_at=NOW - 10 * DAY)
    watermark = begin(hung, *crowd(since=10 * DAY), now=NOW + DAY)

    assert hung.started_at == watermark.earliest_start(NOW)


def test_an_undocumented_state_is_no_end_and_what_follows_it_is() -> None:
    watermark = begin(job(state="running"))

    first, watermark = look(watermark, job(state="unknown", raw_state=42))
    second, watermark = look(watermark, job(), now=NOW + 5 * MINUTE)

    assert ([], ["J1"]) == (first, second)


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_a_job_that_does_not_say_when_it_started_is_found_when_it_ends(state: str) -> None:
    """What it says in the end lies as far back as a job may be listed late."""
    watermark = begin(now=NOW - 9 * HOUR)
    _, watermark = look(watermark, job(state=state, started_at=None), now=NOW - 8 * HOUR)
    _, watermark = look(watermark, job(state=state, started_at=None), now=NOW - MINUTE)
    started_at = NOW - 14 * HOUR

    assert watermark.earliest_start(NOW) <= started_at
    assert ["J1"] == look(watermark, job(started_at=started_at))[0]


def test_a_job_that_waits_for_its_time_and_runs_early_is_found() -> None:
    """Until it starts, a job says when it is planned for."""
    planned = job(state="waiting", started_at=NOW + 10 * HOUR)
    watermark = begin(planned)

    assert ["J1"] == look(watermark, job(started_at=NOW - MINUTE))[0]


def test_a_job_without_any_time_is_announced_once() -> None:
    watermark, announced = begin(), []
    for hours in range(1, 20):
        news, watermark = look(watermark, job(started_at=None), now=NOW + hours * HOUR)
        announced += news

    assert ["J1"] == announced


def test_a_job_that_says_only_when_it_finished_is_announced_once() -> None:
    only_finish = job(started_at=None, finished_at=NOW - MINUTE)

    first, watermark = look(begin(), only_finish)
    second, _ = look(watermark, only_finish, now=NOW + 5 * MINUTE)

    assert (["J1"], []) == (first, second)


def test_jobs_come_in_the_order_in_which_they_ended() -> None:
    ends = {"a": 3, "b": 1, "c": 2}
    jobs = [job(name, finished_at=NOW - minutes * MINUTE) for name, minutes in ends.items()]

    assert ["a", "c", "b"] == look(begin(), *jobs)[0]


def test_a_listing_that_leaves_an_ended_job_out_does_not_make_it_new() -> None:
    _, watermark = look(begin(), job())
    _, watermark = look(watermark, now=NOW + 5 * MINUTE)

    assert [] == look(watermark, job(), now=NOW + 10 * MINUTE)[0]


def test_an_ended_job_is_remembered_until_it_is_known_by_its_start() -> None:
    """Its hour is over before it is."""
    ended = job(started_at=NOW - 5.5 * HOUR)
    _, watermark = look(begin(now=NOW - DAY), ended)
    _, watermark = look(watermark, now=NOW + 20 * MINUTE)

    assert [] == look(watermark, ended, now=NOW + 25 * MINUTE)[0]


def test_a_job_that_begins_anew_under_its_id_is_announced_again() -> None:
    """A vendor's retry may turn a failure into a success."""
    _, watermark = look(begin(), job(state="failed"))
    _, watermark = look(watermark, job(state="running"), now=NOW + 5 * MINUTE)

    assert ["J1"] == look(watermark, job(), now=NOW + 10 * MINUTE)[0]


def test_what_has_ended_is_remembered_by_when_it_started() -> None:
    """An hour too long rather than too short; not by when it was seen, or it would pile up."""
    _, watermark = look(begin(), job(started_at=NOW - 5 * HOUR))
    _, watermark = look(watermark, now=NOW + 3 * HOUR)

    assert {} == watermark.ended


def test_a_job_seen_running_and_ended_in_one_look_is_announced_once() -> None:
    """Two listings of a look may be seconds apart."""
    started_at = NOW - 8 * HOUR
    running, ended = (job(state=state, started_at=started_at) for state in ("running", "success"))
    watermark = begin(running)

    first, watermark = look(watermark, ended, running)
    second, _ = look(watermark, ended, now=NOW + 5 * MINUTE, asked_since=started_at)

    assert (["J1"], []) == (first, second)


@pytest.mark.parametrize(
    ("ahead", "announced"), [(4 * MINUTE, ["J1"]), (6 * MINUTE, [])], ids=["little", "much"]
)
def test_an_end_that_lies_in_the_future_waits_for_our_clock(ahead: timedelta, announced: list[str]) -> None:
    """Five minutes ahead count as now, as they do in a verdict."""
    ahead_job = job(started_at=NOW + ahead)

    first, watermark = look(begin(), ahead_job)
    second, watermark = look(watermark, ahead_job, now=NOW + 5 * MINUTE)
    third, _ = look(watermark, ahead_job, now=NOW + 7 * HOUR)

    assert announced == first
    assert ["J1"] == first + second + third


def test_a_look_by_a_clock_that_is_behind_the_last_repeats_nothing() -> None:
    """Two triggerers never agree to the second."""
    edge = job("J2", started_at=NOW - 6 * HOUR - MINUTE)
    _, watermark = look(begin(), job(), edge)

    assert [] == look(watermark, job(), edge, now=NOW - 3 * MINUTE)[0]


@pytest.mark.parametrize("ahead", [DAY, 400 * DAY], ids=["a day", "over a year"])
def test_a_clock_that_was_wrong_loses_nothing_once_it_is_right(ahead: timedelta) -> None:
    _, watermark = look(begin(), now=NOW + ahead)

    assert NOW - 6 * HOUR >= watermark.earliest_start(NOW)
    first, watermark = look(watermark, job(started_at=NOW - MINUTE))
    second, _ = look(watermark, job(started_at=NOW - MINUTE), now=NOW + MINUTE)

    assert (["J1"], []) == (first, second)


KEYS = {
    "the product": ({}, {"product": "salesforce"}, False),
    "the id": ({}, {"job_id": "J2"}, False),
    "the organisation": ({}, {"organization_id": "fabrikam"}, False),
    "the spelling of an organisation": (
        {"organization_id": "{69CB1ECC-0F3B-4D5E-9C1A-2B7D8E9F0A1B}"},
        {"organization_id": "69cb1ecc-0f3b-4d5e-9c1a-2b7d8e9f0a1b"},
        True,
    ),
    "the case of an id that is no GUID": (
        {"organization_id": "00DAbc"},
        {"organization_id": "00DaBC"},
        False,
    ),
    "the workload": ({"workload": "customer_engagement"}, {"workload": "finance_operations"}, False),
    "the location": ({"location": "EUR"}, {"location": "NAM"}, False),
    "the state": ({}, {"state": JobState.RUNNING}, True),
    "where a part ends": (
        {"organization_id": "a/b", "workload": "c"},
        {"organization_id": "a", "workload": "b/c"},
        False,
    ),
    "the workload where rows do not say it": (
        {"product": "m365", "workload": "teams"},
        {"product": "m365", "workload": None},
        True,
    ),
}


@each_row(("one", "other", "is_same"), KEYS.values())
def test_what_tells_two_ends_apart(one: dict[str, Any], other: dict[str, Any], *, is_same: bool) -> None:
    """By the key, and by the digest that is kept."""
    first, second = job(**one), job(**other)
    _, watermark = look(begin(), first)
    announced, _ = look(watermark, second) if second.state.is_terminal else ([], None)

    assert is_same is (key_of(first) == key_of(second))
    assert is_same is (announced == [])


def test_a_key_says_what_it_is_of() -> None:
    assert "dynamics365//contoso/customer_engagement/J%2F1" == key_of(
        job("J/1", workload="customer_engagement")
    )


def history(per_day: int, *, within: timedelta) -> list[BackupJob]:
    """Return the jobs that *per_day* backups left, all of a day within so much before NOW."""
    return [job(f"DCIB{i:08}", started_at=NOW - within * (i / per_day)) for i in range(per_day)]


@pytest.mark.parametrize(
    ("within", "least", "most"), [(DAY, 10_000, 20_000), (6 * HOUR, 50_000, SOFT_LIMIT)], ids=["day", "night"]
)
def test_five_thousand_jobs_a_day_fit_where_airflow_keeps_them(
    within: timedelta, least: int, most: int
) -> None:
    """Spread over the day, and all of them in one night."""
    jobs = history(5000, within=within)
    running = [job(f"R{i}", state="running") for i in range(20)]

    _, watermark = look(begin(now=NOW - DAY), *jobs, *running)

    assert least < len(json.dumps(watermark.as_dict())) < most


def test_a_watermark_does_not_grow_with_time() -> None:
    watermark, sizes = begin(now=NOW - HOUR), []
    for hour in range(72):
        now = NOW + hour * HOUR
        jobs = [job(f"J{hour}-{i}", started_at=now - i * MINUTE) for i in range(50)]
        _, watermark = look(watermark, *jobs, now=now)
        sizes.append(len(json.dumps(watermark.as_dict())))

    assert max(sizes[8:24]) == max(sizes[48:])


def test_a_clock_that_goes_back_does_not_move_the_watermark_back() -> None:
    """What it would ask for again is known."""
    _, watermark = look(begin(), now=NOW - 3 * MINUTE)
    _, watermark = look(watermark, now=NOW)
    _, back = look(watermark, now=NOW - 3 * MINUTE)

    assert NOW - 6 * HOUR == watermark.since == back.since


def test_what_is_kept_is_read_back_as_it_was() -> None:
    long = job("long", state="running", started_at=NOW - 3 * DAY)
    watermark = Watermark.begin([job("J1"), job("J2"), job("J3", state="running"), long], NOW)

    assert watermark == Watermark.from_dict(json.loads(json.dumps(watermark.as_dict())))


def test_what_is_kept_is_json_as_it_is() -> None:
    """Airflow's store takes no tuple."""
    _, watermark = look(begin(), job(state="failed"))
    kept = look(watermark, job())[1].as_dict()

    assert kept == json.loads(json.dumps(kept))


def test_times_are_read_in_utc() -> None:
    written = begin(job(), job("J2", state="running")).as_dict()
    berlin = timezone(timedelta(hours=1))
    moved = {**written, "since": datetime.fromisoformat(written["since"]).astimezone(berlin).isoformat()}

    assert Watermark.from_dict(moved) == Watermark.from_dict(written)
    assert UTC == Watermark.from_dict(moved).since.tzinfo


GOOD = {
    "since": "2026-11-22T00:00:00+00:00",
    "searched_at": "2026-11-22T00:00:00+00:00",
    "searched_through": 0,
    "under_way": {},
    "ended": {},
}
CORRUPT: dict[str, Any] = {
    "text": "2026-11-22",
    "a number": 7,
    "a list": [GOOD],
    "nothing in it": {},
    "no time": {**GOOD, "since": "yesterday"},
    "a time without zone": {**GOOD, "since": "2026-11-22T00:00:00"},
    "a number for a time": {**GOOD, "since": 1_763_769_600},
    "no search": {name: value for name, value in GOOD.items() if name != "searched_at"},
    "a search through nobody knows how much": {**GOOD, "searched_through": None},
    "a list of what is under way": {**GOOD, "under_way": ["AAAAAAAAAAAA"]},
    "a digest of another length": {**GOOD, "under_way": {"AAAA": GOOD["since"]}},
    "a start that is none": {**GOOD, "under_way": {"AAAAAAAAAAAA": None}},
    "a list of what has ended": {**GOOD, "ended": ["AAAAAAAAAAAA"]},
    "digests that were cut": {**GOOD, "ended": {GOOD["since"]: "AAAAAAAAAAAABBBB"}},
    "digests that are none": {**GOOD, "ended": {GOOD["since"]: None}},
    "outcomes of fewer jobs": {
        **GOOD,
        "folded_until": None,
        "ended": {GOOD["since"]: "AAAAAAAAAAAABBBBBBBBBBBB"},
        "outcomes": {GOOD["since"]: [["failed", 1]]},
    },
    "outcomes of no job": {**GOOD, "folded_until": None, "outcomes": {GOOD["since"]: [["failed", 1]]}},
    "corrections that are none": {**GOOD, "corrections": {"AAAAAAAAAAAA": 1}},
    "hours that are none": {**GOOD, "ended": {"AAAAAAAAAAAA": "AAAAAAAAAAAA"}},
}


@each_row("written", CORRUPT.values())
def test_something_else_than_a_watermark_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="not a watermark"):
        Watermark.from_dict(written)


def test_the_smallest_watermark_is_read() -> None:
    """The cases above differ from it in one thing each."""
    assert {} == Watermark.from_dict(GOOD).ended


def corrections(watermark: Watermark, *states: str, **fields: Any) -> list[str | None]:
    """Return as what the job is announced in looks that see it in *states*, one after the other."""
    announced = []
    for minutes, state in enumerate(states):
        seen = job(state=state, **fields)
        now = NOW + minutes * MINUTE
        news, watermark = watermark.advance([seen], now, asked_since=watermark.earliest_start(now))
        watermark = Watermark.from_dict(json.loads(json.dumps(watermark.as_dict())))
        announced += [watermark.correction_of(each) for each in news]
    return announced


@each_row(
    ("states", "announced"),
    [
        (["failed", "success", "success"], [None, "success"]),
        (["success", "failed"], [None, "failed"]),
        (["failed", "success", "failed", "success", "failed"], [None, "success", "failed"]),
        (["failed", "running", "success"], [None, "success"]),
        (["failed", "running", "failed"], [None, None]),
        (["stopped", "partial", "partial"], [None, "partial"]),
    ],
)
def test_an_end_that_is_corrected_is_announced_once_more(
    states: list[str], announced: list[str | None]
) -> None:
    """As each outcome once: a server that cannot decide does not start a DAG at every look."""
    assert announced == corrections(begin(), *states)


def test_counts_that_make_an_end_another_correct_it() -> None:
    _, watermark = look(begin(), job(counts=Counts(total=9, successful=9)))

    assert ["partial"] == corrections(watermark, "success", counts=Counts(total=9, successful=8, failed=1))


def test_a_correction_in_the_last_hour_that_an_end_is_known_is_told_as_one() -> None:
    ended_at = job(state="failed", started_at=NOW - 5.9 * HOUR)
    _, watermark = look(begin(now=NOW - DAY), ended_at)
    later = NOW + 12 * HOUR
    news, kept = watermark.advance([replace(ended_at, state=JobState.SUCCESS)], later, asked_since=NOW - DAY)

    assert ["success"] == [kept.correction_of(each) for each in news]
    assert (
        []
        == look(kept, replace(ended_at, state=JobState.SUCCESS), now=later + HOUR, asked_since=NOW - DAY)[0]
    )


@pytest.mark.parametrize("order", [1, -1], ids=["failed first", "failed last"])
def test_of_two_ends_in_one_look_the_worse_is_announced(order: int) -> None:
    ends = [job(state="failed"), job(state="success")][::order]
    news, kept = begin().advance(ends, NOW, asked_since=NOW - DAY)

    assert [JobState.FAILED] == [each.state for each in news]
    assert [] == look(kept, *ends, now=NOW + MINUTE)[0]


def test_of_two_ends_under_two_workloads_the_worse_is_announced_for_each() -> None:
    """Microsoft 365 may list one job for several object types, and read it anew for each."""
    ends = [
        job(product="m365", organization_id=None, workload=workload, state=state)
        for workload, state in (("teams", "success"), ("groups", "failed"))
    ]
    news, _ = begin().advance(ends, NOW, asked_since=NOW - DAY)

    assert [("teams", "failed"), ("groups", "failed")] == [(each.workload, each.state) for each in news]


def without_offset(start: datetime) -> dict[str, str]:
    """Return a row whose start does not say its offset."""
    return {"startTime": f"{start:%Y-%m-%dT%H:%M:%S}"}


def test_a_job_that_cannot_be_read_is_announced_once_when_it_has_ended() -> None:
    problems = ("failedEntity: 'many' is no number",)
    untold = {
        "started_at": None,
        "raw": without_offset(NOW - 14 * HOUR),
        "problems": problems,
    }

    assert ["J1"] == announce_all(job(problems=problems), job(problems=problems))
    assert ["J1"] == announce_all(job(**untold), job(**untold))
    assert [] == announce_all(job(state="unknown", problems=problems))
    _, watermark = look(begin(), job(problems=problems))
    assert ["success"] == corrections(watermark, "success")


def announce_all(*seen: BackupJob) -> list[str]:
    """Return the ids that are announced in looks that see these, one after the other."""
    watermark, announced = begin(), []
    for minutes, each in enumerate(seen):
        news, watermark = look(watermark, each, now=NOW + minutes * MINUTE)
        announced += news
    return announced


def test_a_row_that_is_read_again_after_weeks_is_no_news() -> None:
    """Neither one whose start has no offset, nor one that says only when it finished."""
    old = [
        job(
            "naive",
            started_at=None,
            raw=without_offset(NOW - 20 * DAY),
            problems=("startTime",),
        ),
        job("no start", started_at=None, finished_at=NOW - 20 * DAY),
    ]
    _, watermark = look(begin(*old), now=NOW + 8 * HOUR)

    assert [] == look(watermark, *old, now=NOW + 9 * HOUR, asked_since=NOW - 25 * DAY)[0]


def test_a_watermark_of_release_0_1_0_announces_nothing_again() -> None:
    """It does not say what its jobs ended as; from the first look on that is known."""
    _, watermark = look(begin(), job(state="failed"), job("J2", state="failed"))
    written = watermark.as_dict()
    del written["outcomes"], written["corrections"], written["folded_until"]
    old = Watermark.from_dict(written)

    first, watermark = look(old, job(), job("J2", state="failed"))
    second, watermark = look(watermark, job(), job("J2"), now=NOW + MINUTE)

    assert ([], ["J2"]) == (first, second)


def test_a_watermark_of_release_0_1_0_knows_jobs_by_ids_in_lower_case() -> None:
    """What it has seen end is not announced again, and what it has seen under way is, until it has ended."""
    folded = {"organization_id": "00dabc"}
    long = job("long", "running", started_at=NOW - 2 * DAY, **folded)
    _, watermark = look(begin(long), job(**folded), long)
    written = watermark.as_dict()
    for name in ("outcomes", "corrections", "folded_until"):
        del written[name]
    exact = {"organization_id": "00DAbc"}

    first, watermark = look(Watermark.from_dict(written), job(**exact), job("new", **exact))
    ended = job("long", started_at=NOW - 2 * DAY, **exact)
    second, watermark = look(watermark, job(**exact), ended, now=NOW + MINUTE)

    assert (["new"], ["long"]) == (first, second)
    assert {} == watermark.under_way
    assert look(watermark, now=NOW + 31 * DAY)[1].folded_until is None


def test_an_end_whose_outcome_is_not_kept_is_remembered_without_one() -> None:
    """Release 0.1.0 kept none, and a later look keeps those that it sees."""
    _, watermark = look(begin(), job(), job("J2"))
    written = watermark.as_dict()
    del written["outcomes"]

    again = Watermark.from_dict(Watermark.from_dict(written).as_dict())

    assert (2, {}) == (len(again.ended), again.outcomes)
    assert [] == look(again, job(), job("J2"))[0]
