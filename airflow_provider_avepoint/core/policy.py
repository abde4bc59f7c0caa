"""Define what a good backup is: the arguments of the check and the sensor, checked and kept in one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from typing import Any

from airflow_provider_avepoint.core.arguments import (
    ALL,
    parse_day,
    parse_flag,
    parse_ids,
    parse_job_types,
    parse_limit,
    parse_list,
    parse_moment,
    parse_objects,
    parse_ratio,
    parse_span,
    parse_text,
    parse_words,
)
from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.model import BackupJob
from airflow_provider_avepoint.core.products import get_product, require_endpoint
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.query import JobQuery, shift
from airflow_provider_avepoint.core.questions import Question, Topic
from airflow_provider_avepoint.core.refusals import refuse, refuse_untold
from airflow_provider_avepoint.core.text import one_line

#: The workload of Microsoft 365 jobs that no object type claims.
OTHER = "other"
#: How far back unusual activity counts by default, and always for Elements.
UNUSUAL_WITHIN = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The part of a product that a verdict judges by itself; None where rows leave a dimension out.

    :param organization_id: the organisation's id, as the policy or else a row writes it.
    :param workload: our word, such as ``exchange_online``; ``OTHER`` for jobs that no object type claims.
    :param location: the Multi-Geo location.
    :param content: what the backups hold, such as ``audit_log``; None for the data.
    """

    organization_id: str | None = None
    workload: str | None = None
    location: str | None = None
    content: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the scope, ready for JSON."""
        return {
            "organization_id": self.organization_id,
            "workload": self.workload,
            "location": self.location,
            "content": self.content,
        }

    def __str__(self) -> str:
        parts = (self.organization_id, self.workload, self.location, self.content)
        return one_line(" / ".join(filter(None, parts))) or "all jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A scope that is shown but not judged until a day.

    At least one of *organization_id* and *workload* is given; None matches every scope.

    :param organization_id: the organisation's id.
    :param workload: our word.
    :param until: the first day (UTC) on which the scope is judged again.
    :param reason: why the scope is not judged, for an auditor.
    """

    organization_id: str | None = None
    workload: str | None = None
    until: date
    reason: str

    def covers(self, scope: Scope, now: datetime) -> bool:
        """Tell whether *scope* must not be judged at *now*.

        :param scope: the scope in question.
        :param now: the time of judgement, in UTC.
        """
        if now.date() >= self.until:
            return False
        organization_id = normalize_id(self.organization_id)
        is_ours = organization_id in (None, normalize_id(scope.organization_id))
        return is_ours and self.workload in (None, scope.workload)

    def as_dict(self) -> dict[str, Any]:
        """Return the exclusion, ready for JSON."""
        return {
            "organization_id": self.organization_id,
            "workload": self.workload,
            "until": self.until.isoformat(),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a good backup is.

    :param product: which product, such as ``dynamics365``.
    :param started_after: the data cut-off: the backup must have started at or after this time. An aware
        datetime or an ISO 8601 string with an offset.
    :param max_age: the recovery point objective: the backup started no longer ago than this. A timedelta,
        seconds as a number, or a text with its unit: ``24h``, ``1d12h``, ``30 minutes``, ISO 8601 (``P1D``;
        no months or years), or a rendered timedelta. One of the two is required; with both, both hold.
    :param organization_ids: the organisations expected; an absent one is ``missed``. Each id is kept once and
        normalised. This list and every other one accept the forms of :func:`.parse_list`: one text, a JSON
        array as a text, any iterable; a number becomes its text.
    :param object_types: the workloads expected: Microsoft 365 object types, Dynamics modules, Google apps …
    :param locations: the Multi-Geo locations expected.
    :param expect_seen_within: a scope with any job within this time before the window is expected, too. None
        expects only the named scopes. Accepts the forms of *max_age*.
    :param exclude: scopes that are shown but not judged until a day:
        ``[{"organization_id" or "workload": …, "until": "2026-12-31", "reason": …}]``. ``until`` is a date
        or a datetime, or either as a text.
    :param job_type: the job types that count as a backup: one word or several words. Types with the same
        content stand for one another. A type with another content (an audit log) is a scope of its own, and
        that scope is expected.
    :param decide_by: which ended backups of a scope in the window must be good: the ``newest``, ``any`` one
        or ``all``. None is ``newest`` where rows name their organisation, or where the connection says
        ``single_tenant``; else ``all``, so that the success of one tenant or machine cannot hide the failure
        of another.
    :param accept_partial: a backup that finished with exceptions passes.
    :param max_failed: a partial backup passes up to this many failed objects, on every level of counts.
    :param max_failed_ratio: a partial backup passes up to this share of failed objects, 0 to 1.
    :param on_failed: what the task does with a verdict that does not pass. ``fail``: the task fails, without
        a retry where neither waiting nor a retry can mend the verdict. ``retry``: the task fails, and Airflow
        retries the task as its settings say. ``skip``: the task is skipped; a downstream task whose trigger
        rule accepts skipped tasks then still runs.
    :param fail_fast: the sensor ends as soon as a scope is bad and no newer backup of the scope is running or
        waiting.
    :param expect_scheduled: every service that the product's schedule names is expected (where *object_types*
        names services, those of them). A named service that is not scheduled and has no backup is
        ``not_scheduled``. A backup that was due in the window and that no job answers is ``missed``. The API
        tells the schedule of the current UTC day only: past days are judged where they were kept, in a
        ledger. Microsoft 365 only.
    :param max_unusual: the largest count of unusual activity that passes, of any service: 0 passes none. None
        does not ask. The documents do not say under which service the files of a team count, so an alarm of
        one service shuts every scope of the same organisation. Microsoft 365, Salesforce and Elements.
    :param unusual_within: how far back unusual activity counts. Accepts the forms of *max_age*. Elements
        knows 7 days only. It does nothing while *max_unusual* is None: a DAG may take both from its params,
        and leave the limit out.
    :raises AvePointConfigError: an argument cannot be used; the message names it.
    """

    product: str
    started_after: Any = None
    max_age: Any = None
    organization_ids: Any = None
    object_types: Any = None
    locations: Any = None
    expect_seen_within: Any = timedelta(days=7)
    exclude: Any = None
    job_type: Any = "backup"
    decide_by: str | None = None
    accept_partial: Any = False
    max_failed: Any = None
    max_failed_ratio: Any = None
    on_failed: str = "fail"
    fail_fast: Any = True
    expect_scheduled: Any = False
    max_unusual: Any = None
    unusual_within: Any = UNUSUAL_WITHIN

    def __post_init__(self) -> None:
        product = get_product(self.product)
        self._set("started_after", parse_moment("started_after", self.started_after))
        self._set("max_age", parse_span("max_age", self.max_age))
        if self.started_after is None and self.max_age is None:
            raise AvePointConfigError(
                "Give started_after (the backup must have started since) or max_age (it started no longer "
                "ago than this); without either, any old backup would pass."
            )
        self._set("expect_seen_within", parse_span("expect_seen_within", self.expect_seen_within))
        self._set("organization_ids", parse_ids("organization_ids", self.organization_ids))
        self._set(
            "object_types",
            parse_words("object_types", self.object_types, _judged_workloads(product), product),
        )
        self._set("locations", parse_list("locations", self.locations))
        for name, is_told in (
            ("organization_ids", product.tells_organizations),
            ("locations", product.tells_locations),
        ):
            if getattr(self, name) is not None and not is_told:
                raise refuse_untold(name, product.label)
        if product.needs_organization and self.organization_ids is None:
            raise AvePointConfigError(
                f"organization_ids: {product.label} lists one customer at a time; name those to be judged."
            )
        words = parse_job_types(self.job_type, product) or (ALL,)
        if others := [word for word in words if word not in product.backup_types]:
            raise AvePointConfigError(
                f"job_type: {others[0]!r} is no backup of {product.name}, and must not stand for one; "
                f"those that are: {', '.join(product.backup_types)}."
            )
        self._set("job_type", words)
        self._set("exclude", _parse_exclusions(self.exclude, product))
        for name, choices in (
            ("decide_by", ("newest", "any", "all")),
            ("on_failed", ("fail", "retry", "skip")),
        ):
            value = getattr(self, name)
            if value not in choices and not (name == "decide_by" and value is None):
                raise refuse(name, value, f"is not one of {', '.join(choices)}.")
        for name in ("accept_partial", "fail_fast", "expect_scheduled"):
            self._set(name, parse_flag(name, getattr(self, name)))
        self._set("max_failed", parse_limit("max_failed", self.max_failed))
        self._set("max_failed_ratio", parse_ratio("max_failed_ratio", self.max_failed_ratio))
        if self.accept_partial and (self.max_failed is not None or self.max_failed_ratio is not None):
            raise AvePointConfigError(
                "accept_partial lets every partial backup pass, so max_failed and max_failed_ratio would "
                "mean nothing beside it; give one or the other."
            )
        self._check_circumstances(product)

    def _check_circumstances(self, product: Product) -> None:
        """Check the arguments about the schedule and unusual activity."""
        if self.expect_scheduled:
            _require(product, "schedule", "expect_scheduled", "backup schedule")
        self._set("max_unusual", parse_limit("max_unusual", self.max_unusual))
        within = parse_span("unusual_within", self.unusual_within)
        if within is None:
            raise AvePointConfigError("unusual_within is None; give a time span, such as 7d.")
        self._set("unusual_within", within)
        if self.max_unusual is None:
            return
        _require(product, "activity", "max_unusual", "unusual activity")
        is_fixed = product.activity is not None and product.activity.detected_after is None
        if is_fixed and within != UNUSUAL_WITHIN:
            raise AvePointConfigError(
                f"unusual_within: {product.label} knows the last 7 days only; leave it out."
            )

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return the policy, ready for JSON: ``Policy(**policy.as_dict())`` is an equal policy."""
        written: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, datetime):
                value = value.isoformat()
            elif isinstance(value, timedelta):
                value = value.total_seconds()
            elif isinstance(value, tuple):
                value = [item.as_dict() if isinstance(item, Exclusion) else item for item in value]
            written[each.name] = value
        return written

    @property
    def guarded(self) -> tuple[Any, ...]:
        """What the policy is about, however good it must be: it tells two policies of one product apart."""
        return (self.organization_ids, self.object_types, self.locations, self.job_type)

    def names(self, scope: Scope) -> bool:
        """Tell whether the lists of the policy, where given, name the dimensions of *scope*.

        :param scope: the scope, with the organisation's id as the policy writes ids.
        """
        asked = (
            (self.organization_ids, scope.organization_id),
            (self.object_types, scope.workload),
            (self.locations, scope.location),
        )
        return all(wanted is None or found in wanted for wanted, found in asked)

    def window_start(self, now: datetime) -> datetime:
        """Return the earliest start that counts: the later one of the cut-off and of *max_age* before *now*.

        :param now: the time of judgement, in UTC.
        """
        starts = []
        if self.started_after is not None:
            starts.append(self.started_after)
        if self.max_age is not None:
            starts.append(now - self.max_age)
        start: datetime = max(starts)
        return start

    def look_back_start(self, now: datetime) -> datetime:
        """Return the earliest start by which a job makes its scope expected.

        Look-back is *expect_seen_within* long, and lies before the window.

        :param now: the time of judgement, in UTC.
        """
        return shift(self.window_start(now), -(self.expect_seen_within or timedelta()))

    def memory_start(self, now: datetime) -> datetime:
        """Return the earliest start by which a job makes its scope ``forgotten``.

        Memory is *expect_seen_within* long, and lies before look-back.

        :param now: the time of judgement, in UTC.
        """
        return shift(self.look_back_start(now), -(self.expect_seen_within or timedelta()))

    def content_of(self, job_type: str) -> str | None:
        """Return what backups of a job type hold; None for the data.

        :param job_type: a word of the product.
        """
        return get_product(self.product).contents.get(job_type)

    def questions(self, *, location: str | None = None) -> list[Question]:
        """Return what :func:`.judge` needs to know beside the jobs.

        :param location: the connection's own location; used where the policy names none.
        """
        product = get_product(self.product)
        places = self.locations or (location if product.tells_locations else None,)
        asked: list[Question] = []
        if self.expect_scheduled:
            asked += [
                Question(topic=Topic.SCHEDULE, product=product.name, location=place) for place in places
            ]
        endpoint = product.activity
        if self.max_unusual is not None and endpoint is not None:
            by_organization = endpoint.organization is not None or product.needs_organization
            asked += [
                Question(
                    topic=Topic.ACTIVITY,
                    product=product.name,
                    organization_id=organization,
                    location=place,
                    within=self.unusual_within,
                )
                for organization in (by_organization and self.organization_ids) or (None,)
                for place in (places if endpoint.location else (None,))
            ]
        return asked

    def queries(self, now: datetime, *, location: str | None = None) -> list[JobQuery]:
        """Return the queries whose jobs :func:`.judge` needs.

        :param now: the time of judgement, in UTC.
        :param location: as in :meth:`listings`.
        """
        return self.listings(self.memory_start(now), location=location)

    @property
    def may_need_control(self) -> bool:
        """Whether :meth:`control_queries` may return any queries."""
        return get_product(self.product).asks_each_object_type and len(self.object_types or ()) == 2

    def control_queries(self, queries: Iterable[JobQuery], jobs: Iterable[BackupJob]) -> list[JobQuery]:
        """Return the queries for a third object type, where the two asked for have the same jobs.

        Two object types may share jobs, as a team and its group do. A third type with the same jobs shows
        that the server does not filter.

        :param queries: the queries that were asked.
        :param jobs: the jobs that answer them.
        """
        if not self.may_need_control:
            return []
        product = get_product(self.product)
        answers: dict[str, set[tuple[str | None, str]]] = {word: set() for word in self.object_types}
        for job in jobs:
            if job.workload in answers:
                answers[job.workload].add((job.location, job.job_id))
        fewer, more = sorted(answers.values(), key=len)
        # A subset, not equality: jobs may have begun between the two queries.
        if not fewer or not fewer <= more:
            return []
        control = next(word for word in product.object_types if word not in answers)
        first = self.object_types[0]
        return [replace(each, object_type=control) for each in queries if each.object_type == first]

    def listings(self, started_after: datetime, *, location: str | None = None) -> list[JobQuery]:
        """Return the queries whose jobs this policy is about.

        Where rows leave out their service (Microsoft 365, IaaS), each object type has its own query, and all
        types together have one. Where rows may leave out their organisation, or each list is of one
        organisation, each named organisation has its own query.

        :param started_after: the earliest start to ask for.
        :param location: the connection's own location; used where the policy names none.
        """
        product = get_product(self.product)
        workloads: tuple[str | None, ...] = (None,)
        if product.asks_each_object_type:
            # Ask for all types first: the query for its own type then finds a job that begins meanwhile.
            workloads = self.object_types or (None, *product.object_types)
        organizations: tuple[str | None, ...] = self.organization_ids or (None,)
        if len(organizations) > 1 and not (product.asks_each_organization or product.needs_organization):
            organizations = (None,)
        return [
            JobQuery(
                product=product,
                started_after=started_after,
                job_type=job_type,
                object_type=workload,
                organization_id=organization,
                location=place,
            )
            for organization in organizations
            for place in self.locations or (location if product.tells_locations else None,)
            for job_type in self.job_type
            for workload in workloads
        ]


def _require(product: Product, endpoint: str, argument: str, what: str) -> None:
    try:
        require_endpoint(product.name, endpoint, what)
    except AvePointConfigError as e:
        raise AvePointConfigError(f"{argument}: {e}") from None


def _judged_workloads(product: Product) -> list[str]:
    """Return the workloads that may hold backups: all but housekeeping."""
    return [word for word in product.known_workloads if word not in product.housekeeping]


def _parse_exclusions(value: object, product: Product) -> tuple[Exclusion, ...] | None:
    objects = parse_objects("exclude", value)
    return None if objects is None else tuple(_parse_exclusion(each, product) for each in objects)


def _parse_exclusion(value: object, product: Product) -> Exclusion:
    if isinstance(value, Exclusion):
        return value
    known = {each.name for each in fields(Exclusion)}
    if not isinstance(value, Mapping) or not set(value) <= known:
        raise refuse("exclude", value, f"is not an object of {', '.join(sorted(known))} alone.")
    organization = normalize_id(parse_text("exclude: organization_id", value.get("organization_id")))
    workload = parse_text("exclude: workload", value.get("workload"))
    reason = parse_text("exclude: reason", value.get("reason"))
    if organization is None and workload is None:
        raise refuse("exclude", value, "names neither an organization_id nor a workload.")
    if organization and not product.tells_organizations:
        raise refuse_untold("exclude: organization_id", product.label)
    # Rows may show an undocumented module, so any word may be excluded. Where we ask for each object type, no
    # other word can occur.
    if workload and product.asks_each_object_type:
        parse_words("exclude: workload", workload, (*product.object_types, OTHER), product)
    if reason is None:
        raise refuse("exclude", value, "gives no 'reason'; an auditor will ask.")
    return Exclusion(
        organization_id=organization,
        workload=workload,
        until=parse_day("exclude: until", value.get("until")),
        reason=reason,
    )
