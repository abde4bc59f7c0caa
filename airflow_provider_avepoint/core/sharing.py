"""Many waits, few listings: what a shared poll asks for all of them, and how each finds its answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.question import SEARCH_SPAN, Question, fold_id, is_same_id, shift
from airflow_provider_avepoint.core.verdict import Verdict, judge

#: What a wait asks, given the time and the connection's own location.
Ask = Callable[[datetime, str | None], list[Question]]
#: What questions must have in common for one listing to answer them.
Topic = tuple[object, ...]

#: Up to so many single jobs are asked for one by one, where the product can: beyond, a listing costs less.
FEW_JOBS = 4
#: Up to so many organisations are asked for one by one; beyond, it is tried whether rows name theirs.
FEW_ORGANIZATIONS = 4
# Listed late, a job may have started this long before somebody began to wait for it.
_LISTED_LATE = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def ask_for_job(
    question: Question, now: datetime, *, begun: datetime | None, known: BackupJob | None
) -> Question:
    """Return *question*, which names a job, with as short a window as will hold the job.

    :param begun: since when the wait has looked for it; None at its first look.
    :param known: the job as it was seen last.
    """
    if known is not None and known.started_at is not None:
        after = shift(known.started_at, -_SECOND)
    elif begun is not None:
        after = shift(begun, -_LISTED_LATE)
    else:
        after = shift(now, -SEARCH_SPAN)
    return replace(question, started_after=after)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one round asks.

    :param jobs: single jobs, asked for one by one.
    :param listings: by topic.
    """

    jobs: list[Question]
    listings: dict[Topic, Question]

    @property
    def organizations(self) -> int:
        """How many organisations are to be asked for by themselves though one listing might hold them all."""
        return len(
            {
                fold_id(question.organization_id)
                for question in self.listings.values()
                if question.product.asks_each_organization
            }
        )


def plan(questions: Iterable[Question], *, by_organization: bool = True) -> Plan:
    """Return the fewest requests that answer all *questions*: a listing a topic, as wide as any needs.

    :param by_organization: where rows may leave out their organisation, each is asked for by itself.
    """
    asked = list(questions)
    jobs = {
        _job_key(question): question
        for question in asked
        if question.job_id and question.product.job is not None
    }
    if len(jobs) > FEW_JOBS:
        jobs = {}
    listings: dict[Topic, Question] = {}
    for question in asked:
        if question.job_id and _job_key(question) in jobs:
            continue
        topic = _topic(question, by_organization=by_organization)
        known = listings.get(topic)
        listings[topic] = question if known is None else _widen(known, question)
    return Plan(list(jobs.values()), listings)


def _job_key(question: Question) -> Topic:
    return (question.job_id, fold_id(question.organization_id), question.location)


def _topic(question: Question, *, by_organization: bool) -> Topic:
    product = question.product
    is_apart = product.needs_organization or (product.asks_each_organization and by_organization)
    return (
        product.name,
        question.job_type,
        question.states,
        question.object_type,
        question.location,
        fold_id(question.organization_id) if is_apart else None,
    )


def _widen(one: Question, other: Question) -> Question:
    starts = (one.started_after, other.started_after)
    organization = one.organization_id if is_same_id(one.organization_id, other.organization_id) else None
    return replace(
        one,
        started_after=None if None in starts else min(filter(None, starts)),
        organization_id=organization,
    )


class Answers:
    """What one round of a shared poll has brought.

    :param now: when it had come.
    :param listings: the jobs of each topic.
    :param jobs: the single jobs that were asked for; None where there is none.
    :param by_organization: as in the plan.
    """

    def __init__(
        self,
        now: datetime,
        listings: Mapping[Topic, list[BackupJob]],
        jobs: Iterable[tuple[Question, BackupJob | None]] = (),
        *,
        by_organization: bool = True,
    ) -> None:
        self._now = now
        self._jobs = listings
        self._single = {_job_key(question): job for question, job in jobs}
        self._is_by_organization = by_organization
        self._by_id: dict[Topic, dict[str, list[BackupJob]]] = {}
        self._by_organization: dict[Topic, dict[str | None, list[BackupJob]]] = {}
        self._verdicts: dict[Policy, Verdict] = {}

    @property
    def names_organizations(self) -> bool:
        """Whether every job that has come says whose it is."""
        return all(job.organization_id is not None for jobs in self._jobs.values() for job in jobs)

    @property
    def count(self) -> int:
        """How many jobs have come."""
        return len(self._single) + sum(map(len, self._jobs.values()))

    def judge(self, policy: Policy, questions: Iterable[Question]) -> Verdict:
        """Return the verdict on the jobs that answer *questions*; the same policy is judged once."""
        verdict = self._verdicts.get(policy)
        if verdict is None:
            topics = dict.fromkeys(map(self._find_topic, questions))
            jobs = [job for topic in topics for job in self._select(topic, policy)]
            verdict = self._verdicts[policy] = judge(jobs, policy, self._now)
        return verdict

    def find(self, question: Question) -> BackupJob | None:
        """Return the job that *question* names, None where it is not listed."""
        if (key := _job_key(question)) in self._single:
            return self._single[key]
        topic = self._find_topic(question)
        index = self._by_id.get(topic)
        if index is None:
            index = self._by_id[topic] = defaultdict(list)
            for job in self._jobs.get(topic, ()):
                index[job.job_id].append(job)
        named = question.organization_id
        return next(
            (
                job
                for job in index.get(question.job_id or "", ())
                if named is None or is_same_id(job.organization_id, named)
            ),
            None,
        )

    def _find_topic(self, question: Question) -> Topic:
        return _topic(question, by_organization=self._is_by_organization)

    def _select(self, topic: Topic, policy: Policy) -> Iterable[BackupJob]:
        """Return the jobs of *topic* that *policy* can be about: judging a heap costs time."""
        jobs = self._jobs.get(topic, [])
        if policy.organization_ids is None:
            return jobs
        index = self._by_organization.get(topic)
        if index is None:
            index = self._by_organization[topic] = defaultdict(list)
            for job in jobs:
                index[fold_id(job.organization_id)].append(job)
        wanted = dict.fromkeys(map(fold_id, policy.organization_ids))
        return [job for organization in wanted for job in index.get(organization, ())]
