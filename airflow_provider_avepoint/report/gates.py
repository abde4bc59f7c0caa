"""The gates that guard a scope: the tasks that judge it, each as its verdicts show it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from msgspec import MsgspecError, Raw, Struct, json

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.grading import Limits
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.policy import OTHER, UNUSUAL_WITHIN, Policy, Scope
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.query import shift
from airflow_provider_avepoint.core.verdict import Reason

_ALWAYS = datetime.min.replace(tzinfo=UTC)
_LATE = frozenset({Reason.MISSED, Reason.STALE})
_NOTHING = Raw(b"null")
#: The limits of a gate that lets no failed object pass.
NO_LIMITS = frozenset({Limits()})
# A gate still guards so long after its last verdict, at least; and after its only one, as it may run monthly.
_LEAST_PATIENCE = timedelta(days=8)
_PATIENCE_WITH_ONE = timedelta(days=45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A scope of a product of a tenant, to which backups belong.

    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param scope: the organisation, workload, location and content.
    """

    tenant: str
    product: str
    scope: Scope


class TaskRun(NamedTuple):
    """A try of a task in a DAG run.

    :param dag_id: the DAG.
    :param run_id: the run.
    :param task_id: the task.
    :param map_index: the index of a mapped task.
    :param try_number: the number of the try.
    """

    dag_id: str
    run_id: str | None
    task_id: str | None
    map_index: int | None
    try_number: int | None


class ScopeEvidence(Struct, frozen=True):
    """What a verdict says of one scope, as far as the report follows the gates by it."""

    scope: Raw
    passed: bool
    reason: str
    decided_by: str | None = None
    job: Raw = _NOTHING


class Evidence(Struct, frozen=True):
    """What a verdict says, as far as the report follows the gates by it."""

    policy: Raw
    scopes: tuple[ScopeEvidence, ...]


class Judgement(Struct, frozen=True, kw_only=True, gc=False):
    """One verdict of a gate: what had to be good then, and what was late.

    :param judged_at: when the gate judged.
    :param passed: whether the verdict passed.
    :param reason: the reason of the verdict.
    :param policy: what had to be good.
    :param rules: which ended backups had to be good, as ``ScopeVerdict.decided_by``, for each scope of the
        evidence; None where the evidence does not say.
    :param late: the scopes without a backup in the window: ``missed`` or ``stale``.
    :param never_seen: the scopes that the gate expected and of which there was no backup at all.
    :param task: the task instance that judged; None outside of a task.
    """

    judged_at: datetime
    passed: bool
    reason: str
    policy: Policy
    rules: Mapping[Scope, str | None]
    late: frozenset[Scope]
    never_seen: tuple[Scope, ...]
    task: TaskRun | None = None

    @property
    def window(self) -> timedelta:
        """How old a backup could be."""
        return self.judged_at - self.policy.window_start(self.judged_at)

    def names(self, place: Place) -> bool:
        """Tell whether the policy names the scope of a place.

        Rows may leave out a dimension that the policy names. Then the backups may be of any value of it.

        :param place: the place, of the product of the policy.
        """
        scope, policy = normalize_scope(place.scope), self.policy
        named = (
            (policy.organization_ids, scope.organization_id),
            (policy.object_types, None if scope.workload == OTHER else scope.workload),
            (policy.locations, scope.location),
        )
        if any(wanted is not None and found is not None and found not in wanted for wanted, found in named):
            return False
        return scope.content in map(policy.content_of, policy.job_type)

    def policy_for(self, place: Place) -> Policy:
        """Return how the gate judges the backups of a place; see :func:`judge_whatever_comes`.

        :param place: the place.
        """
        rule = self.rules.get(normalize_scope(place.scope))
        return _decide_by(self.policy, self.policy.decide_by if rule is None else rule)

    def excludes(self, place: Place, at: datetime) -> bool:
        """Tell whether the policy leaves the scope of a place out at a time.

        :param place: the place.
        :param at: the time, in UTC.
        """
        scope = normalize_scope(place.scope)
        return any(exclusion.covers(scope, at) for exclusion in self.policy.exclude or ())


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A task that judges backups.

    :param tenant: the name of the tenant.
    :param product: the product's name.
    :param name: the DAG and the task; None for verdicts from outside of a task.
    :param judgements: what the gate came to, oldest first; at least one.
    """

    tenant: str
    product: str
    name: str | None
    judgements: tuple[Judgement, ...]

    @cached_property
    def guards_until(self) -> datetime:
        """When the gate no longer guards, unless it judges again: after twice the usual time between two."""
        return shift(self.newest.judged_at, self._patience)

    @cached_property
    def _patience(self) -> timedelta:
        if len(self._moments) == 1:
            return _PATIENCE_WITH_ONE
        usual = median((later - earlier).total_seconds() for earlier, later in pairwise(self._moments))
        return max(_LEAST_PATIENCE, 2 * timedelta(seconds=usual))

    @property
    def newest(self) -> Judgement:
        """What the gate came to last."""
        return self.judgements[-1]

    def in_force(self, at: datetime) -> Judgement | None:
        """Return the judgement whose policy held at a time: the newest one then, or else the first one.

        :param at: the time.
        :returns: None where the gate did not guard any more.
        """
        if at > self.guards_until:
            return None
        return self.judgements[max(0, bisect_right(self._moments, at) - 1)]

    def find_newest_on(self, place: Place, at: datetime) -> Judgement | None:
        """Return the newest judgement whose evidence holds the scope of a place; None where none is of late.

        A task that guards another organisation in each run has judged the place in one of them.

        :param place: the place.
        :param at: the moment of the question.
        """
        scope = normalize_scope(place.scope)
        return next(
            (
                each
                for each in reversed(self.judgements)
                if shift(each.judged_at, self._patience) >= at
                and (scope in each.rules or any(may_be_of(scope, named) for named in each.rules))
            ),
            None,
        )

    @cached_property
    def policies(self) -> tuple[Policy, ...]:
        """What had to be good, each policy once."""
        return tuple({id(each.policy): each.policy for each in self.judgements}.values())

    @cached_property
    def _moments(self) -> list[datetime]:
        return [each.judged_at for each in self.judgements]


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What guards a place at a time.

    :param place: the place.
    :param at: the time.
    :param judgements: the judgements of the gates that guard the place, with the names of the gates.
    """

    place: Place
    at: datetime
    judgements: tuple[tuple[str | None, Judgement], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The DAGs and tasks of the gates."""
        return tuple(name for name, _ in self.judgements if name is not None)

    @cached_property
    def excludes(self) -> bool:
        """Whether each gate leaves the place out, and there is a gate."""
        return bool(self.judgements) and not self._judging

    @property
    def interval(self) -> timedelta | None:
        """The longest time between two backups that every gate allows; None where no gate names one."""
        return min((each.policy.max_age for each in self._judging if each.policy.max_age), default=None)

    @cached_property
    def windows(self) -> Mapping[Policy, timedelta]:
        """How old a backup may be, by policy; a plain check has no window of its own."""
        if not self._judging:
            return _default_windows(self.place.product)
        windows: dict[Policy, timedelta] = {}
        for each in self._judging:
            policy = each.policy_for(self.place)
            windows[policy] = min(windows.get(policy, each.window), each.window)
        return windows

    @cached_property
    def limits(self) -> frozenset[Limits]:
        """The limits within which a backup is good."""
        return frozenset(map(Limits.of, self.windows)) if self._judging else NO_LIMITS

    def list_late(self) -> list[datetime]:
        """Return when the gates last judged that found no backup of the place in their windows."""
        scope = normalize_scope(self.place.scope)
        return [each.judged_at for each in self._judging if scope in each.late]

    @cached_property
    def _judging(self) -> list[Judgement]:
        return [each for _, each in self.judgements if not each.excludes(self.place, self.at)]


class Gates:
    """All gates of the tenants.

    :param gates: the gates, in any order.
    """

    def __init__(self, gates: Iterable[Gate]) -> None:
        self._gates: dict[tuple[str, str], list[Gate]] = defaultdict(list)
        for gate in sorted(gates, key=lambda each: each.name or ""):
            self._gates[gate.tenant, gate.product].append(gate)
        self._of_place: dict[Place, tuple[Gate, ...]] = {}

    def __iter__(self) -> Iterator[Gate]:
        for gates in self._gates.values():
            yield from gates

    def _of(self, tenant: str, product: str) -> Sequence[Gate]:
        return self._gates.get((tenant, product), ())

    def list_policies(self, tenant: str, product: str) -> list[Policy]:
        """Return the policies of a product's gates, at any time.

        :param tenant: the name of the tenant.
        :param product: the product's name.
        """
        return [policy for gate in self._of(tenant, product) for policy in gate.policies]

    def guard(self, place: Place, at: datetime) -> Guard:
        """Return what guards a place at a time.

        :param place: the place.
        :param at: the time, in UTC.
        """
        in_force = ((gate.name, gate.in_force(at)) for gate in self._find_gates(place))
        return Guard(
            place=place,
            at=at,
            judgements=tuple(
                (name, each) for name, each in in_force if each is not None and each.names(place)
            ),
        )

    def list_newest(
        self, place: Place, at: datetime, guarding: Container[str | None]
    ) -> Iterator[tuple[Gate, Judgement | None]]:
        """Yield the gates that guard a place, or have judged it of late, with the newest judgement on it.

        :param place: the place.
        :param at: the time, in UTC.
        :param guarding: the names of the gates that guard the place at this time.
        :returns: None beside a gate that guards the place and has not judged it yet.
        """
        for gate in self._find_gates(place):
            newest = gate.find_newest_on(place, at)
            if newest is not None or gate.name in guarding:
                yield gate, newest

    def _find_gates(self, place: Place) -> tuple[Gate, ...]:
        """Return the gates that name the organisation of a place, or every organisation, at any time."""
        gates = self._of(place.tenant, place.product)
        if not gates:
            return ()
        known = self._of_place.get(place)
        if known is None:
            organization = normalize_scope(place.scope).organization_id
            if organization is not None:
                named = self._by_organization[place.tenant, place.product]
                chosen = sorted({*named[organization], *named[None]})
                gates = [gates[index] for index in chosen]
            known = self._of_place[place] = tuple(gates)
        return known

    @cached_property
    def _by_organization(self) -> dict[tuple[str, str], dict[str | None, list[int]]]:
        """The places of gates in their product's list, by the organisations they name; None: those of any."""
        named: dict[tuple[str, str], dict[str | None, list[int]]] = defaultdict(lambda: defaultdict(list))
        for key, gates in self._gates.items():
            for index, gate in enumerate(gates):
                for policy in gate.policies:
                    for organization in policy.organization_ids or (None,):
                        named[key][organization].append(index)
        return named

    def list_late(self, place: Place) -> Sequence[datetime]:
        """Return when gates found no backup of a place in their windows.

        :param place: the place.
        """
        if not self._late:
            return ()
        return self._late.get((place.tenant, place.product, normalize_scope(place.scope)), ())

    @cached_property
    def _late(self) -> dict[tuple[str, str, Scope], list[datetime]]:
        late = defaultdict(list)
        for gate in self:
            for each in gate.judgements:
                for scope in each.late:
                    late[gate.tenant, gate.product, scope].append(each.judged_at)
        return late

    @cached_property
    def job_types(self) -> dict[tuple[str, str], set[str]]:
        """The job types that the gates count as backups, by tenant and product."""
        return {
            key: {word for gate in gates for each in gate.judgements for word in each.policy.job_type}
            for key, gates in self._gates.items()
        }

    def find_never_seen(self, seen: Iterable[Place], now: datetime) -> dict[Place, datetime]:
        """Return the places that a gate expects and that never had a backup, with the time of the verdict.

        :param seen: the places that had a backup.
        :param now: the moment of the report.
        """
        known: dict[tuple[str, str], list[Scope]] = defaultdict(list)
        for place in seen if self._gates else ():
            known[place.tenant, place.product].append(normalize_scope(place.scope))
        never = {}
        for gate in self:
            judgement = gate.in_force(now)
            if judgement is None:
                continue
            for scope in judgement.never_seen:
                if not any(may_be_of(found, scope) for found in known[gate.tenant, gate.product]):
                    place = Place(tenant=gate.tenant, product=gate.product, scope=scope)
                    never[place] = judgement.judged_at
        return never


def may_be_of(scope: Scope, named: Scope) -> bool:
    """Tell whether backups of *scope* may be of a scope that a policy names.

    Either may leave a dimension out.

    :param scope: the scope of rows.
    :param named: the scope that a policy names.
    """
    workload = None if scope.workload == OTHER else scope.workload
    return named.content == scope.content and all(
        None in (wanted, found) or wanted == found
        for wanted, found in (
            (named.organization_id, scope.organization_id),
            (named.workload, workload),
            (named.location, scope.location),
        )
    )


@lru_cache(maxsize=1000)
def _decide_by(policy: Policy, rule: str | None) -> Policy:
    return replace(judge_whatever_comes(policy), decide_by=rule)


@lru_cache
def _default_windows(product: str) -> Mapping[Policy, timedelta]:
    """Return how a check without further arguments judges."""
    ids = ["unknown"] if get_product(product).needs_organization else None
    policy = judge_whatever_comes(Policy(product=product, started_after=_ALWAYS, organization_ids=ids))
    return {policy: timedelta()}


@lru_cache(maxsize=1000)
def judge_whatever_comes(policy: Policy) -> Policy:
    """Return a policy that judges any backup as *policy* does, but expects none and excludes none.

    Policies that differ in nothing else become equal. Only a product that lists one organisation at a time
    keeps the organisations, which its policies need.

    :param policy: the policy of a gate.
    """
    return replace(
        policy,
        started_after=_ALWAYS,
        max_age=None,
        expect_seen_within=None,
        organization_ids=policy.organization_ids if get_product(policy.product).needs_organization else None,
        object_types=None,
        locations=None,
        exclude=None,
        expect_scheduled=False,
        max_unusual=None,
        unusual_within=UNUSUAL_WITHIN,
        on_failed="fail",
        fail_fast=True,
    )


@lru_cache(maxsize=10_000)
def normalize_scope(scope: Scope) -> Scope:
    """Return a scope with the organisation's id in the form that policies compare.

    :param scope: the scope, with the id as a row writes the id.
    """
    return replace(scope, organization_id=normalize_id(scope.organization_id))


def is_judged(reason: str) -> bool:
    """Tell whether a scope with a reason affects the verdict: it is neither excluded nor forgotten.

    :param reason: the reason of the scope.
    """
    return reason not in (Reason.EXCLUDED, Reason.FORGOTTEN)


def may_guard(judged_at: datetime, now: datetime) -> bool:
    """Tell whether a gate may still guard of whose newest verdict no more is known than its time.

    :param judged_at: when the gate judged.
    :param now: the moment of the question.
    """
    return shift(judged_at, _PATIENCE_WITH_ONE) >= now


def name_gate(row: Mapping[Any, Any]) -> str | None:
    """Return the DAG and the task of a verdict; None outside of a task.

    :param row: a row of the table of verdicts, by column name.
    """
    if row["dag_id"] is None:
        return None
    index = "" if row["map_index"] in (None, -1) else f"[{row['map_index']}]"
    return f"{row['dag_id']}.{row['task_id']}{index}"


_decode_evidence = json.Decoder(Evidence).decode


def read_evidence(text: str) -> Evidence | None:
    """Return the evidence of a verdict; None where this release does not understand the evidence.

    :param text: the evidence as the ledger holds it.
    """
    try:
        return _decode_evidence(text)
    except MsgspecError:
        return None


def read_judgement(row: Mapping[Any, Any], evidence: Evidence | None) -> Judgement | None:
    """Return a verdict as a judgement; None where this release does not understand its policy or its scopes.

    :param row: a row of the table of verdicts, by column name.
    :param evidence: the evidence of the row; None where it is not understood.
    """
    if evidence is None:
        return None
    try:
        policy = _read_policy(bytes(evidence.policy))
        scopes = [(_read_scope(bytes(each.scope)), each) for each in evidence.scopes]
    except (AvePointConfigError, AttributeError, TypeError):
        return None
    late = [(scope, each) for scope, each in scopes if each.reason in _LATE]
    return Judgement(
        judged_at=row["judged_at"],
        passed=row["passed"],
        reason=row["reason"],
        policy=policy,
        rules={scope: each.decided_by or None for scope, each in scopes},
        late=frozenset([scope for scope, _ in late]),
        never_seen=tuple(
            [scope for scope, each in late if each.reason == Reason.MISSED and each.job == _NOTHING]
        ),
        task=None if row["dag_id"] is None else TaskRun(*[row[name] for name in TaskRun._fields]),
    )


@lru_cache(maxsize=10_000)
def _read_policy(text: bytes) -> Policy:
    return _intern(Policy(**json.decode(text)))


# Two texts may hold the same policy; gates are told apart by equal policies many thousand times.
@lru_cache(maxsize=10_000)
def _intern(policy: Policy) -> Policy:
    return policy


@lru_cache(maxsize=50_000)
def _read_scope(text: bytes) -> Scope:
    return normalize_scope(Scope(**json.decode(text)))
