"""The gates that guard a scope: the tasks that judge it, each as its newest verdict shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.grading import Limits
from airflow_provider_avepoint.core.ids import normalize_id
from airflow_provider_avepoint.core.policy import Policy, Scope
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.verdict import Reason

_ALWAYS = datetime.min.replace(tzinfo=UTC)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A task that judges backups.

    :param tenant: the name of the tenant.
    :param name: the DAG and the task; None for verdicts from outside of a task.
    :param judged_at: when the gate last judged.
    :param policy: what had to be good then.
    :param rules: which ended backups had to be good, by scope, as ``ScopeVerdict.decided_by``.
    :param missed: the scopes that the gate expected and of which there was no backup at all.
    """

    tenant: str
    name: str | None
    judged_at: datetime
    policy: Policy
    rules: Mapping[Scope, str]
    missed: tuple[Scope, ...]

    def guards(self, place: Place) -> bool:
        """Tell whether the gate judges the backups of a place.

        :param place: the place.
        """
        scope, policy = normalize_scope(place.scope), self.policy
        is_ours = (place.tenant, place.product) == (self.tenant, policy.product)
        contents = map(policy.content_of, policy.job_type)
        return is_ours and policy.names(scope) and scope.content in contents

    def policy_for(self, scope: Scope) -> Policy:
        """Return how the gate judges the backups of a scope; see :func:`judge_whatever_comes`.

        :param scope: the scope.
        """
        rule = self.rules.get(normalize_scope(scope), self.policy.decide_by)
        return replace(judge_whatever_comes(self.policy), decide_by=rule)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """The gates of one place.

    :param place: the place.
    :param gates: the gates, by name; there may be none.
    """

    place: Place
    gates: tuple[Gate, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The DAGs and tasks of the gates."""
        return tuple(gate.name for gate in self.gates if gate.name is not None)

    @cached_property
    def policies(self) -> frozenset[Policy]:
        """How the gates judge the backups of the place; as a plain check does where there is no gate."""
        if self.gates:
            return frozenset(gate.policy_for(self.place.scope) for gate in self.gates)
        return frozenset({_default_policy(self.place.product)})

    @property
    def interval(self) -> timedelta | None:
        """The longest time between two backups that every gate allows; None where no gate names one."""
        return min((gate.policy.max_age for gate in self.gates if gate.policy.max_age), default=None)

    @cached_property
    def limits(self) -> tuple[Limits, ...]:
        """The limits within which a backup is good; the default ones where there is no gate."""
        return tuple({Limits.of(gate.policy) for gate in self.gates}) or (Limits(),)

    def excludes(self, now: datetime) -> bool:
        """Tell whether each gate leaves the place out.

        :param now: the moment of the report, in UTC.
        """
        scope = normalize_scope(self.place.scope)
        return bool(self.gates) and all(
            any(exclusion.covers(scope, now) for exclusion in gate.policy.exclude or ())
            for gate in self.gates
        )


class Gates:
    """All gates of the tenants.

    :param gates: the gates, in any order.
    """

    def __init__(self, gates: Iterable[Gate]) -> None:
        self._gates: dict[tuple[str, str], list[Gate]] = defaultdict(list)
        self._guards: dict[Place, Guard] = {}
        for gate in sorted(gates, key=lambda each: each.name or ""):
            self._gates[gate.tenant, gate.policy.product].append(gate)

    def guard(self, place: Place) -> Guard:
        """Return the gates of a place.

        :param place: the place.
        """
        guard = self._guards.get(place)
        if guard is None:
            known = self._gates.get((place.tenant, place.product), ())
            guard = Guard(place=place, gates=tuple(gate for gate in known if gate.guards(place)))
            self._guards[place] = guard
        return guard

    @property
    def job_types(self) -> dict[tuple[str, str], set[str]]:
        """The job types that the gates count as backups, by tenant and product."""
        return {
            key: {word for gate in gates for word in gate.policy.job_type}
            for key, gates in self._gates.items()
        }

    def find_never_seen(self, seen: Iterable[Place]) -> dict[Place, datetime]:
        """Return the places that a gate expects and that never had a backup, with the time of the verdict.

        :param seen: the places that had a backup.
        """
        known: dict[tuple[str, str], list[Scope]] = defaultdict(list)
        for place in seen:
            known[place.tenant, place.product].append(normalize_scope(place.scope))
        return {
            Place(tenant=tenant, product=product, scope=scope): gate.judged_at
            for (tenant, product), gates in self._gates.items()
            for gate in gates
            for scope in gate.missed
            if not any(is_part_of(each, scope) for each in known[tenant, product])
        }


def is_part_of(scope: Scope, named: Scope) -> bool:
    """Tell whether *scope* has each dimension that *named* has.

    :param scope: a scope of a row.
    :param named: a scope that a policy names, which may leave dimensions out.
    """
    return named.content == scope.content and all(
        wanted is None or wanted == found
        for wanted, found in (
            (named.organization_id, scope.organization_id),
            (named.workload, scope.workload),
            (named.location, scope.location),
        )
    )


@lru_cache
def _default_policy(product: str) -> Policy:
    """Return how a check without further arguments judges."""
    ids = ["unknown"] if get_product(product).needs_organization else None
    return judge_whatever_comes(Policy(product=product, started_after=_ALWAYS, organization_ids=ids))


@lru_cache(maxsize=1000)
def judge_whatever_comes(policy: Policy) -> Policy:
    """Return a policy that judges as *policy* does, but any backup of any scope, and expects none.

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
        on_failed="fail",
        fail_fast=True,
    )


@lru_cache(maxsize=10_000)
def normalize_scope(scope: Scope) -> Scope:
    """Return a scope with the organisation's id in the form that policies compare.

    :param scope: the scope, with the id as a row writes the id.
    """
    return replace(scope, organization_id=normalize_id(scope.organization_id))


def name_gate(row: Mapping[Any, Any]) -> str | None:
    """Return the DAG and the task of a verdict; None outside of a task.

    :param row: a row of the table of verdicts, by column name.
    """
    if row["dag_id"] is None:
        return None
    index = "" if row["map_index"] in (None, -1) else f"[{row['map_index']}]"
    return f"{row['dag_id']}.{row['task_id']}{index}"


def read_gate(row: Mapping[Any, Any], evidence: Mapping[str, Any]) -> Gate | None:
    """Return the gate of a verdict; None where this release does not know an argument of its policy.

    :param row: a row of the table of verdicts, by column name.
    :param evidence: ``Verdict.as_dict()``.
    """
    try:
        policy = Policy(**evidence["policy"])
    except (AvePointConfigError, TypeError):
        return None
    scopes = [(normalize_scope(Scope(**each["scope"])), each) for each in evidence["scopes"]]
    return Gate(
        tenant=row["tenant"],
        name=name_gate(row),
        judged_at=row["judged_at"],
        policy=policy,
        rules={scope: each["decided_by"] for scope, each in scopes if each.get("decided_by")},
        missed=tuple(
            scope for scope, each in scopes if each["reason"] == Reason.MISSED and each["job"] is None
        ),
    )
