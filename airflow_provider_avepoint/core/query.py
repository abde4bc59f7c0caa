"""What a caller asks of a listing: checked, in our words, and put into the product's parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_avepoint.core.arguments import (
    ALL,
    parse_dimension,
    parse_job_types,
    parse_moment,
    parse_states,
    parse_words,
)
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob, JobState
from airflow_provider_avepoint.core.organizations import Organizations
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.products.vocabulary import Code, Product
from airflow_provider_avepoint.core.starts import find_start_range

#: How far back a job is searched for unless the caller says.
SEARCH_SPAN = timedelta(days=30)
#: A job may be listed this long after it has started.
LISTED_LATE = timedelta(hours=6)
#: The longest that a job may run: one that has not ended by then, or whose state nobody documents, is no
#: longer looked for by those who ask again and again. No document says whether the server's window is about a
#: job's start, its finish or both, so the end is asked for later than wanted by this, and rows are filtered
#: here.
LONGEST_JOB = timedelta(days=30)
_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_SECOND = timedelta(seconds=1)
#: How far a server's clock may be ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)
# Jobs are asked for so far into the future: where the clocks differ by more than they may, whoever judges
# must see the newest ones all the same, and that they are ahead.
_ASKED_AHEAD = timedelta(days=1)
# Where a product insists on a window and the caller does not: before anything it can have backed up.
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """One listing to ask for: a single value in each dimension; None where any will do.

    :param product: the product.
    :param object_type: one workload word; None for all of them.
    :param organization_id: the organisation; None for all.
    :param location: the Multi-Geo location; None for all.
    :param job_type: one job type word; None for all of them.
    :param states: the states wanted; None for all.
    :param started_after: inclusive.
    :param started_before: exclusive.
    :param job_id: the one job that is looked for in the listing.
    """

    product: Product
    started_after: datetime | None = None
    started_before: datetime | None = None
    job_type: str | None = None
    states: frozenset[JobState] | None = None
    object_type: str | None = None
    organization_id: str | None = None
    location: str | None = None
    job_id: str | None = None

    def parameters(self, now: datetime) -> dict[str, Code]:
        """Return the filters as a JSON body holds them: a number is a number. Paging is not among them.

        :param now: fixes the window's end.
        """
        filters = self.product.filters
        sent = dict(filters.always)
        latest = now + _ASKED_AHEAD
        before = latest
        if self.started_before is not None:
            before = min(latest, shift(self.started_before, LONGEST_JOB))
        after = self.started_after
        if after is None and filters.window_required:
            after = _BEGINNING
        if after is not None and filters.started_after and filters.started_before:
            # A whole second wider: servers may round, and may or may not include the end.
            sent[filters.started_after] = filters.write_time(shift(after, -_SECOND))
            sent[filters.started_before] = filters.write_time(shift(max(before, after), _SECOND))
        if filters.job_type and self.is_asked_by_type:
            (code,) = self.product.job_type_codes(self.job_type or "")
            sent[filters.job_type] = code
        codes = self.product.state_codes(self.states) if self.states else []
        if filters.state and len(codes) == 1 and len(self.states or ()) == 1:
            sent[filters.state] = codes[0]
        if self.object_type is not None and filters.object_type:
            sent[filters.object_type] = self.product.object_types[self.object_type]
        if self.organization_id is not None and filters.organization_id:
            sent[filters.organization_id] = self.organization_id
        if self.location is not None and filters.location:
            sent[filters.location] = self.location
        return sent

    @property
    def is_asked_by_type(self) -> bool:
        """Tell whether the server is asked for the job type, so that each of its rows is of it."""
        known = self.product
        return (
            self.job_type is not None
            and known.filters.job_type is not None
            and len(known.job_type_codes(self.job_type)) == 1
        )

    @property
    def is_of_all_types(self) -> bool:
        """Tell whether the query is for all object types together, where other queries are for one each."""
        return self.object_type is None and self.product.asks_each_object_type

    def matches(self, job: BackupJob) -> bool:
        """Tell whether *job* is one that was asked for, or may be one, whatever the server thought.

        A job that does not say when it started is in every window. A job that could not be read may belong to
        every type, organisation and workload that its row does not say.

        :param job: a job of the product.
        """
        if self.states is not None and job.state not in self.states:
            return False
        if self.job_type is not None and _is_other(self.job_type, job.job_type, job):
            return False
        if self.object_type is not None and _is_other(self.object_type, job.workload, job):
            return False
        organization_id = normalize_id(self.organization_id)
        if organization_id is not None and _is_other(organization_id, normalize_id(job.organization_id), job):
            return False
        started_at = job.started_at
        earliest, latest = find_start_range(job) if started_at is None else (started_at, started_at)
        if self.started_after is not None and latest is not None and latest < self.started_after:
            return False
        return self.started_before is None or earliest is None or earliest < self.started_before


def _is_other(asked: str, found: str | None, job: BackupJob) -> bool:
    """Tell whether *found*, a field of *job*, is another value than the one that was asked for."""
    return found != asked and not (found is None and job.problems)


def split_into_stages(queries: Iterable[JobQuery]) -> list[list[JobQuery]]:
    """Return *queries* in the groups that may be asked side by side; one group is asked after the other.

    The queries for all object types together come first. So the query for its own object type finds each job
    that a query for all types has found, also one that begins meanwhile.

    :param queries: the queries of one look.
    """
    asked = list(queries)
    of_all_types = [each for each in asked if each.is_of_all_types]
    of_one_type = [each for each in asked if not each.is_of_all_types]
    return [stage for stage in (of_all_types, of_one_type) if stage]


@dataclass(slots=True)
class Widening:
    """A listing of all organisations, asked for because listings of single ones brought nothing.

    A server may know an organisation by another spelling of its id, or the caller may have given its name.

    :param query: the listing.
    """

    query: JobQuery
    _wanted: dict[str | None, str] = field(default_factory=dict)
    _listed: Organizations = field(default_factory=Organizations)

    def want(self, query: JobQuery) -> None:
        """Look for the jobs of *query*, which differs in the organisation and in how far back it goes.

        :param query: a query that has brought nothing.
        """
        self._wanted[normalize_id(query.organization_id)] = query.organization_id or ""
        known, other = self.query.started_after, query.started_after
        earliest = None if known is None or other is None else min(known, other)
        self.query = replace(self.query, started_after=earliest)

    def matches(self, job: BackupJob) -> bool:
        """Tell whether *job* is of an organisation that is looked for; note whose it is.

        :param job: a job of the listing of all organisations.
        """
        self._listed.add(job)
        return normalize_id(job.organization_id) in self._wanted

    def find_misnamed(self) -> dict[str, AvePointConfigError]:
        """Return what is wrong with each id that is the name of an organisation which was listed."""
        return self._listed.find_misnamed("organization_id", self._wanted.values())

    def refuse_names(self) -> None:
        """Raise where one of the ids is a name.

        :raises AvePointConfigError: the message has the id.
        """
        self._listed.refuse_names("organization_id", self._wanted.values())


def widen(silent: Iterable[JobQuery]) -> list[Widening]:
    """Return the listings of all organisations that stand in for *silent* ones, which brought nothing.

    :param silent: the queries that have brought nothing.
    """
    widenings: dict[tuple[object, ...], Widening] = {}
    for query in silent:
        if query.organization_id is None or query.product.filters.organization_id is None:
            continue
        if query.job_id is not None:  # a job that is not listed yet is no sign of a wrong id
            continue
        key = (query.product.name, query.job_type, query.object_type, query.location)
        if key not in widenings:
            widenings[key] = Widening(replace(query, organization_id=None))
        widenings[key].want(query)
    return list(widenings.values())


def build_queries(
    product: str,
    *,
    started_after: object = None,
    started_before: object = None,
    job_type: object = "backup",
    state: object = None,
    object_type: object = None,
    organization_id: object = None,
    location: object = None,
    default_location: str | None = None,
) -> list[JobQuery]:
    """Check a caller's words and return the listings that answer them, one for each combination.

    :param product: the product's name.
    :param started_after: an aware datetime, or an ISO 8601 text with an offset; inclusive.
    :param started_before: likewise; exclusive.
    :param job_type: a job type word, a list of them, or ``all``.
    :param state: a ``JobState`` word, or a list of them; None for all.
    :param object_type: a workload word, or a list of them; None for all.
    :param organization_id: the organisation's id; None for all.
    :param location: the Multi-Geo location.
    :param default_location: the connection's own Multi-Geo location, which holds where the caller names none.
    :raises AvePointConfigError: an argument cannot be used; the message names it and what would do.
    """
    known = get_product(product)
    base = JobQuery(
        product=known,
        started_after=parse_moment("started_after", started_after),
        started_before=parse_moment("started_before", started_before),
        states=parse_states(state),
        organization_id=normalize_id(
            parse_dimension("organization_id", organization_id, known, is_told=known.tells_organizations)
        ),
        location=choose_location(known, location, default_location),
    )
    after, before = base.started_after, base.started_before
    if after is not None and before is not None and after >= before:
        raise AvePointConfigError(
            f"started_before ({before.isoformat()}) is not later than started_after ({after.isoformat()})."
        )
    if known.needs_organization and base.organization_id is None:
        raise AvePointConfigError(f"organization_id: {known.label} lists one customer at a time; name it.")
    object_types = parse_words("object_type", object_type, known.known_workloads, known)
    return [
        replace(base, job_type=kind, object_type=workload)
        for kind in parse_job_types(job_type, known) or (None,)
        for workload in object_types or (None,)
    ]


def build_job_query(product: str, **arguments: Any) -> JobQuery:
    """Return the query that a job of any type is looked for with.

    :param product: the product's name.
    :param arguments: as for :func:`build_queries`.
    :raises AvePointConfigError: as there.
    """
    (query,) = build_queries(product, job_type=ALL, **arguments)
    return query


def choose_location(product: Product, given: object, default: str | None) -> str | None:
    """Return the Multi-Geo location to ask for; None: all of them.

    :param product: the product.
    :param given: the caller's.
    :param default: the connection's, which holds where the product has locations and the caller names none.
    :raises AvePointConfigError: the caller names one, and the product has none.
    """
    location = parse_dimension("location", given, product, is_told=product.tells_locations)
    return default if location is None and product.tells_locations else location


def shift(moment: datetime, by: timedelta) -> datetime:
    """Return ``moment + by``, or the end of time that it would pass.

    :param moment: an aware time.
    :param by: how far; negative for earlier.
    """
    try:
        return moment + by
    except OverflowError:
        return _EARLIEST if by < timedelta() else _LATEST
