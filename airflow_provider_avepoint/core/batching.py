"""Answer many waits with few listings: plan what a shared poll asks, and find the answer of each wait."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.grading import pick_sighting
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.organizations import Organizations
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.query import SEARCH_SPAN, JobQuery, shift
from airflow_provider_avepoint.core.questions import Circumstances, KnownDays, Question, Reading
from airflow_provider_avepoint.core.schedule import BackupSchedule
from airflow_provider_avepoint.core.verdict import Verdict, judge

#: Returns the queries of a wait, given the time and the connection's own location.
Ask = Callable[[datetime, str | None], list[JobQuery]]
#: Returns further queries of a wait, given the answers to its first queries.
AskMore = Callable[["Answers", list[JobQuery]], list[JobQuery]]
#: Returns what a wait asks beside the jobs, given the connection's own location.
AskBeside = Callable[[str | None], list[Question]]
#: What queries must have in common so that one listing can answer them.
Topic = tuple[object, ...]

#: The most single jobs to ask for one by one, where the product can; for more jobs, one listing costs less.
FEW_JOBS = 4
#: The most listings of one organisation each, where rows may leave out their organisation; for more
#: organisations, one listing of all is tried first, and rows may turn out to name their organisation.
FEW_ORGANIZATIONS = 4
# A job that is listed late may have started this long before the wait for the job began.
_LISTED_LATE = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def ask_for_job(
    query: JobQuery, now: datetime, *, begun: datetime | None, known: BackupJob | None
) -> JobQuery:
    """Return *query* with the shortest window that holds the job which the query names.

    :param query: a query with a job id.
    :param now: the time by the API's clock.
    :param begun: when the wait first looked for the job; None at the first look.
    :param known: the job as it was last seen; None where it was not seen yet.
    """
    # The start of a waiting job is its planned start; the job may run earlier.
    if known is not None and known.started_at is not None and known.state is not JobState.WAITING:
        after = shift(known.started_at, -_SECOND)
    elif begun is not None:
        after = shift(begun, -_LISTED_LATE)
    else:
        after = shift(now, -SEARCH_SPAN)
    return replace(query, started_after=after)


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests of one round of a shared poll.

    :param jobs: queries for single jobs, each sent to the endpoint for one job.
    :param listings: queries for listings, one for each topic.
    """

    jobs: dict[Topic, JobQuery]
    listings: dict[Topic, JobQuery]

    def groups(self, at_a_time: int, *, last: Container[Topic] = ()) -> Iterator[list[Topic]]:
        """Yield the requests in groups; a driver sends the requests of a group side by side.

        The first topic is a group of its own: where the API is away, one request is enough to find out.

        :param at_a_time: the largest size of a group.
        :param last: topics to ask after all others.
        """
        asked = self.jobs | self.listings

        def find_turn(topic: Topic) -> tuple[bool, bool]:
            return topic in last, not asked[topic].is_of_all_types  # as query.split_into_stages does

        topics_in_turn = sorted(asked, key=find_turn)
        if topics_in_turn:
            yield topics_in_turn[:1]
        for _, topics in itertools.groupby(topics_in_turn[1:], key=find_turn):
            stage = list(topics)
            for start in range(0, len(stage), at_a_time):
                yield stage[start : start + at_a_time]

    @property
    def listings_apart(self) -> int:
        """Count the listings of one organisation that one wider listing could replace."""
        return sum(
            query.organization_id is not None and not query.product.needs_organization
            for query in self.listings.values()
        )


def plan(queries: Iterable[JobQuery], *, by_organization: bool = True) -> Plan:
    """Return the fewest requests that answer all *queries*.

    Each topic has one listing, whose window is as wide as any query needs.

    :param queries: the queries of all waits that share the poll.
    :param by_organization: ask for each named organisation by itself. Needed where rows leave out their
        organisation.
    """
    asked = list(queries)
    jobs: dict[Topic, JobQuery] = {}
    for query in asked:
        if query.job_id and query.product.job is not None:
            _add(jobs, _job_key(query), query)
    if len(jobs) > FEW_JOBS or not all(query.job_id for query in asked):
        jobs = {}
    listings: dict[Topic, JobQuery] = {}
    for query in asked:
        if query.job_id and _job_key(query) in jobs:
            continue
        _add(listings, topic_of(query, by_organization=by_organization), query)
    return Plan(jobs, listings)


def _add(planned: dict[Topic, JobQuery], key: Topic, query: JobQuery) -> None:
    known = planned.get(key)
    planned[key] = query if known is None else _widen(known, query)


def _job_key(query: JobQuery) -> Topic:
    return (query.job_id, normalize_id(query.organization_id), query.location)


def topic_of(query: JobQuery, *, by_organization: bool = True) -> Topic:
    """Return what *query* shares with the other queries that the same listing answers.

    :param query: the query of one wait.
    :param by_organization: as in :func:`plan`.
    """
    product = query.product
    is_apart = product.needs_organization or (product.filters.organization_id and by_organization)
    return (
        product.name,
        query.job_type,
        query.states,
        query.object_type,
        query.location,
        normalize_id(query.organization_id) if is_apart else None,
    )


def _widen(one: JobQuery, other: JobQuery) -> JobQuery:
    starts = (one.started_after, other.started_after)
    is_same = normalize_id(one.organization_id) == normalize_id(other.organization_id)
    return replace(
        one,
        started_after=None if None in starts else min(filter(None, starts)),
        organization_id=one.organization_id if is_same else None,
    )


class Answers:
    """What one round of a shared poll has brought.

    :param now: when the answers came, by the API's clock.
    :param listings: the jobs that came for each topic of the plan.
    :param jobs: the single jobs of the plan; None where no job has the id.
    :param errors: why topics or single jobs of the plan have no answer, where others have one.
    :param by_organization: as in the plan.
    :param single_tenant: the connection's ``single_tenant``; see :func:`.judge`.
    :param location: the connection's own Multi-Geo location.
    """

    def __init__(
        self,
        now: datetime,
        listings: Mapping[Topic, list[BackupJob]],
        jobs: Mapping[Topic, BackupJob | None] | None = None,
        errors: Mapping[Topic, AvePointError] | None = None,
        *,
        by_organization: bool = True,
        single_tenant: bool = False,
        location: str | None = None,
    ) -> None:
        self._now = now
        self._location = location
        self._circumstances = Circumstances()
        self._unanswered: dict[Question, AvePointError] = {}
        self._jobs = listings
        self._single = jobs or {}
        self._errors = errors or {}
        self._is_by_organization = by_organization
        self._single_tenant = single_tenant
        self._by_id: dict[Topic, dict[str, list[BackupJob]]] = {}
        self._by_organization: dict[Topic, dict[str | None, list[BackupJob]]] = {}
        self._verdicts: dict[tuple[Policy, KnownDays | None], Verdict] = {}
        self._organizations: dict[Topic, Organizations] = {}

    @property
    def now(self) -> datetime:
        """Return when the answers came, by the API's clock."""
        return self._now

    def include(self, other: Answers) -> None:
        """Add the answers to further queries of the same round.

        :param other: those answers.
        """
        self._jobs = {**self._jobs, **other._jobs}
        self._errors = {**self._errors, **other._errors}
        self._now = max(self._now, other._now)

    def hear(self, question: Question, outcome: Reading | AvePointError) -> None:
        """Add the answer to a question beside the jobs, or why there is none.

        :param question: the question.
        :param outcome: what was read, or the error.
        """
        if isinstance(outcome, AvePointError):
            self._unanswered[question] = outcome
        else:
            self._circumstances.add(question, outcome)

    @property
    def names_organizations(self) -> bool:
        """Whether every listed job names its organisation."""
        return all(job.organization_id is not None for jobs in self._jobs.values() for job in jobs)

    @property
    def count(self) -> int:
        """Return how many jobs came."""
        return len(self._single) + sum(map(len, self._jobs.values()))

    def find_error(
        self, queries: Iterable[JobQuery], questions: Iterable[Question] = ()
    ) -> AvePointError | None:
        """Return the first error that keeps a query or question without an answer; None where all have one.

        :param queries: the queries of one wait.
        :param questions: what the wait asks beside the jobs.
        """
        if not self._errors and not self._unanswered:
            return None
        if found := [self._unanswered[each] for each in questions if each in self._unanswered]:
            return found[0]
        keys = (key for each in queries for key in (_job_key(each), self._find_topic(each)))
        return next((self._errors[key] for key in keys if key in self._errors), None)

    def schedules(self, policy: Policy) -> list[BackupSchedule]:
        """Return the schedules that a policy asks for.

        :param policy: the policy of one wait.
        """
        return self._circumstances.only(policy.questions(location=self._location)).schedules

    def judge(
        self, policy: Policy, queries: Iterable[JobQuery], known_days: KnownDays | None = None
    ) -> Verdict:
        """Judge the jobs that answer *queries*; judge equal policies that know the same days once.

        :param policy: the policy of one wait.
        :param queries: the queries of the same wait.
        :param known_days: what the wait knows of past days; None where nobody keeps them.
        :raises AvePointConfigError: the policy gives an organisation's name where its id belongs.
        """
        verdict = self._verdicts.get((policy, known_days))
        if verdict is None:
            asked = list(queries)
            self._refuse_names(policy, asked)
            jobs = self._collect(asked, policy.organization_ids)
            verdict = self._verdicts[policy, known_days] = judge(
                jobs,
                policy,
                self._now,
                single_tenant=self._single_tenant,
                circumstances=self._circumstances.only(policy.questions(location=self._location), known_days),
            )
        return verdict

    def _refuse_names(self, policy: Policy, queries: Iterable[JobQuery]) -> None:
        """Raise where the policy gives an organisation's name; waits that share a listing share its index."""
        if policy.organization_ids is None:
            return
        for topic in dict.fromkeys(map(self._find_topic, queries)):
            known = self._organizations.get(topic)
            if known is None:
                known = self._organizations[topic] = Organizations.of(self._jobs.get(topic, ()))
            known.refuse_names("organization_ids", policy.organization_ids)

    def jobs(self, queries: Iterable[JobQuery]) -> list[BackupJob]:
        """Return the jobs that answer *queries*.

        :param queries: the queries of one wait.
        """
        return self._collect(queries, None)

    def find(self, query: JobQuery) -> BackupJob | None:
        """Return the job that *query* names; None where the job is not listed.

        :param query: a query with a job id.
        """
        if (key := _job_key(query)) in self._single:
            return self._single[key]
        topic = self._find_topic(query)
        index = self._by_id.get(topic)
        if index is None:
            index = self._by_id[topic] = defaultdict(list)
            for job in self._jobs.get(topic, ()):
                index[job.job_id].append(job)
        named = normalize_id(query.organization_id)
        jobs = [
            job
            for job in index.get((query.job_id or "").strip(), ())
            if named is None or normalize_id(job.organization_id) == normalize_id(named)
        ]
        # The listing may go further back for another wait, to an older job with this id of another
        # organisation: prefer the jobs that this query asks for.
        admitted = [job for job in jobs if query.matches(job)]
        return pick_sighting(admitted or jobs)

    def _find_topic(self, query: JobQuery) -> Topic:
        return topic_of(query, by_organization=self._is_by_organization)

    def _collect(self, queries: Iterable[JobQuery], organizations: tuple[str, ...] | None) -> list[BackupJob]:
        """Return the jobs that answer *queries*; keep *organizations* only, where given."""
        by_topic: dict[Topic, list[JobQuery]] = defaultdict(list)
        for query in queries:
            by_topic[self._find_topic(query)].append(query)
        jobs: list[BackupJob] = []
        for topic, asked in by_topic.items():
            # Of one wait, the queries for one topic differ in nothing but the organisation.
            named = [each.organization_id for each in asked if each.organization_id is not None]
            wanted = organizations or (tuple(named) if len(named) == len(asked) else None)
            query = replace(asked[0], organization_id=None)
            jobs += filter(query.matches, self._select(topic, wanted))
        return jobs

    def _select(self, topic: Topic, organizations: tuple[str, ...] | None) -> Iterable[BackupJob]:
        """Return the jobs of *topic* and *organizations*, by an index that all waits share."""
        jobs = self._jobs.get(topic, [])
        if organizations is None:
            return jobs
        index = self._by_organization.get(topic)
        if index is None:
            index = self._by_organization[topic] = defaultdict(list)
            for job in jobs:
                index[normalize_id(job.organization_id)].append(job)
        wanted = dict.fromkeys(map(normalize_id, organizations))
        # An unreadable row without an organisation may belong to each organisation.
        unplaced = [job for job in index.get(None, ()) if job.problems and None not in wanted]
        return [job for organization in wanted for job in index.get(organization, ())] + unplaced
