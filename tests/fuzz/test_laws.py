"""Two laws of the verdict, on made-up jobs: their order means nothing, and a failure opens no gate."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.verdict import judge
from tests.core.test_verdict import HOUR, NOW, ago, d365, entities, metadata, records

from . import EXAMPLES, IS_LONG

pytestmark = pytest.mark.no_cover

STATES = [state.value for state in JobState]


def make_odd_jobs(rng: random.Random) -> list[BackupJob]:
    """Return jobs with everything that rows may lack or disagree on, and many ties."""
    return [
        d365(
            rng.choice([None, 1, 1, 2, 3, 30, -1]) if rng.random() < 0.3 else rng.choice([1, 2]),
            rng.choice(STATES),
            job_id=str(n),
            finished_at=rng.choice([None, ago(1), ago(2), ago(30)]),
            org=rng.choice(["a", "b", None]),
            **entities(rng.choice([None, 0, 10]), rng.choice([None, 0, 1, 5])),
            **records(rng.choice([None, 0, 10]), rng.choice([None, 0, 1, 5])),
            **metadata(rng.choice([None, 0, 10]), rng.choice([None, 0, 1, 5])),
        )
        for n in range(rng.randrange(2, 10))
    ]


def make_policy(rng: random.Random) -> Policy:
    limit = rng.choice([{}, {"max_failed": 1}, {"max_failed_ratio": 0.1}, {"accept_partial": True}])
    return Policy(
        product="dynamics365",
        max_age=24 * HOUR,
        decide_by=rng.choice([None, "newest", "any", "all"]),
        **limit,
    )


def seeds() -> Iterator[int]:
    """Return a hundred seeds, the same each time, or as many others as a long run asks for."""
    begin = random.SystemRandom().randrange(10**9) if IS_LONG else 0
    count = max(100, EXAMPLES // 10) if IS_LONG else 100
    yield from range(begin, begin + count)


def test_neither_the_order_of_rows_nor_repeats_change_anything() -> None:
    """Two auditors keep the same document: a server lists in any order, and some list a row twice."""
    for seed in seeds():
        rng = random.Random(seed)
        jobs, policy = make_odd_jobs(rng), make_policy(rng)
        expected = judge(jobs, policy, NOW)
        for _ in range(5):
            again = [*jobs, *rng.choices(jobs, k=rng.choice([0, 6]))]
            rng.shuffle(again)
            verdict = judge(again, policy, NOW)
            assert expected.as_dict() == verdict.as_dict(), seed
            assert expected.is_settled == verdict.is_settled, seed


def test_a_further_failure_never_opens_a_gate() -> None:
    """Under ``all``, a further failure in the window never lets a gate open, whatever else is there."""
    policy = Policy(product="dynamics365", max_age=24 * HOUR, decide_by="all")
    for seed in seeds():
        jobs = make_odd_jobs(random.Random(seed))
        assert not judge([*jobs, d365(2, "failed", job_id="worse")], policy, NOW).passed, seed
