"""Read what a tenant must have, and judge it: each part alone, so that one that fails hides no other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.core.activity import get_activity
from airflow_provider_avepoint.core.alerts import list_alerts
from airflow_provider_avepoint.core.arguments import parse_text
from airflow_provider_avepoint.core.coverage import get_coverage
from airflow_provider_avepoint.core.errors import (
    AvePointAuthError,
    AvePointConfigError,
    AvePointError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.fields import get_key, read_text
from airflow_provider_avepoint.core.flow import Flow
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.products import PRODUCTS, get_product
from airflow_provider_avepoint.core.products.vocabulary import Product
from airflow_provider_avepoint.core.protection import (
    Ask,
    ProtectionAudit,
    judge_protection,
    list_asks,
    summarize_readings,
)
from airflow_provider_avepoint.core.query import choose_location
from airflow_provider_avepoint.core.requirements import Required, Topic, parse_required
from airflow_provider_avepoint.core.schedule import get_schedule
from airflow_provider_avepoint.core.verdict import judge
from airflow_provider_avepoint.metrics import count_reading

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.model import BackupJob
    from airflow_provider_avepoint.core.verdict import Verdict
    from airflow_provider_avepoint.hooks.avepoint import AvePointHook

#: Returns when a restore of each service was last proven, for a product, a location and a time to judge by.
Proofs = Callable[[str, str | None, datetime], Mapping[str, datetime]]


def audit_protection(
    hook: AvePointHook,
    required: Mapping[str, Any] | Required,
    *,
    product: str,
    organization_id: str | None,
    location: str | None,
    proofs: Proofs | None,
) -> ProtectionAudit:
    """Return the audit; see :meth:`AvePointHook.audit_protection`.

    :param hook: the hook that reads.
    :param required: what the tenant must have.
    :param product: the product's name.
    :param organization_id: the customer or organisation.
    :param location: the Multi-Geo location.
    :param proofs: returns when restores were proven; None where nothing is known of them.
    """
    known = get_product(product)
    demanded = required if isinstance(required, Required) else parse_required(required, known)
    readings = Readings(
        hook,
        known,
        organization_id=choose_organization(organization_id, known, demanded.topics),
        location=choose_location(known, location, hook.settings.location),
        proofs=proofs,
    )
    asks = list_asks(demanded)
    answers = {ask: readings.read(ask) for ask in asks}
    errors = [answer for answer in answers.values() if isinstance(answer, AvePointError)]
    if len(errors) == len(asks):
        raise errors[0]
    now = hook.client.clock.now()
    findings, notes = judge_protection(demanded, answers, now)
    schedule = answers.get(Ask(Topic.SCHEDULE))
    return ProtectionAudit(
        product=known.name,
        audited_at=now,
        location=readings.location,
        organization_id=readings.organization_id,
        required=demanded.written,
        readings=summarize_readings(answers),
        findings=tuple(findings),
        notes=tuple(notes),
        schedule=None if isinstance(schedule, AvePointError) else schedule,
    )


def choose_organization(value: object, product: Product, topics: Iterable[Topic]) -> str | None:
    """Return the customer or organisation.

    :param value: the caller's.
    :param product: the product.
    :param topics: what is to be read.
    :raises AvePointConfigError: nothing is told about one, or the one is missing that has to be named.
    """
    organization = parse_text("organization_id", value)
    by_customer = product.coverage is not None
    if by_customer and organization is None and set(topics) - {Topic.LICENSE}:
        raise AvePointConfigError(f"organization_id: {product.label} knows one customer at a time; name it.")
    if organization is not None and not (by_customer or product.alerts is not None):
        able = ", ".join(each.name for each in PRODUCTS.values() if each.coverage or each.alerts)
        raise AvePointConfigError(
            f"organization_id: {product.label} tells about the whole tenant; leave the id out. Those that "
            f"tell about one: {able}."
        )
    return organization


class Readings:
    """What can be read of a tenant, topic by topic.

    :param hook: the hook that reads.
    :param product: the product.
    :param organization_id: the customer or organisation; None for none.
    :param location: the Multi-Geo location; None for none.
    :param proofs: returns when restores were proven; None where nothing is known of them.
    """

    def __init__(
        self,
        hook: AvePointHook,
        product: Product,
        *,
        organization_id: str | None,
        location: str | None,
        proofs: Proofs | None,
    ) -> None:
        self.organization_id = organization_id
        self.location = location
        self._hook = hook
        self._product = product
        self._proofs = proofs
        self._readers: Mapping[Topic, Callable[[timedelta | None], Any]] = {
            Topic.SCHEDULE: lambda _: self._perform(
                "schedule", get_schedule(hook.client, product.name, location)
            ),
            Topic.RETENTION: lambda _: hook.get_retention(location, product=product.name),
            Topic.ACTIVITY: self._read_activity,
            Topic.COVERAGE: lambda _: self._read_coverage("services"),
            Topic.USERS: lambda _: self._read_coverage("users"),
            Topic.CHANGES: lambda _: self._read_coverage("changes"),
            Topic.ALERTS: self._read_alerts,
            Topic.LICENSE: lambda _: hook.get_license_consumptions(
                product.name, organization_id=organization_id, location=location
            ),
            Topic.SCAN: self._judge_scans,
            Topic.DRILLS: lambda _: self._find_proofs(),
        }

    def read(self, ask: Ask) -> Any:
        """Return what was read, or the error that a part may end with while others can be read.

        :param ask: what to read.
        :raises AvePointConfigError: the connection or an argument cannot be used.
        :raises AvePointAuthError: the credentials are refused.
        :raises AvePointUnavailable: nobody answers.
        """
        answer: Any = None
        try:
            # What is asked for may depend on the time; the first answer tells the API's.
            for _ in self._hook.client.clock.rounds():
                answer = self._readers[ask.topic](ask.within)
        except (AvePointConfigError, AvePointAuthError):
            raise
        except AvePointError as e:
            if isinstance(e, AvePointUnavailable) and e.status is None:
                raise  # nobody answers: neither for another part
            return e
        return answer

    def _read_activity(self, within: timedelta | None) -> Any:
        options: dict[str, Any] = {}
        activity = self._product.activity
        if activity is not None and activity.detected_after is not None and within is not None:
            options["detected_after"] = self._hook.client.clock.now() - within
        asked = {"organization_id": self.organization_id, "location": self.location, **options}
        return self._perform("activity", get_activity(self._hook.client, self._product.name, **asked))

    def _perform(self, topic: str, flow: Flow[Any]) -> Any:
        """Read what an audit judges row by row: where a row is not understood, the others count."""
        with count_reading(topic, self._product.name):
            return self._hook.perform(flow)

    def _read_coverage(self, part: str) -> Any:
        flow = get_coverage(self._hook.client, self._product.name, self.organization_id, part)
        return self._perform("coverage", flow)

    def _read_alerts(self, within: timedelta | None) -> Any:
        now = self._hook.client.clock.now()
        flow = list_alerts(
            self._hook.client,
            self._product.name,
            collected_after=None if within is None else now - within,
            organization_id=self.organization_id,
        )
        return self._perform("alerts", flow)

    def _judge_scans(self, within: timedelta | None) -> list[Verdict]:
        """Return the verdict on the scans of each profile: the newest one that has ended decides."""
        scan = self._product.scan
        assert scan is not None  # noqa: S101  # parse_required() refuses the rule otherwise
        policy = Policy(
            product=scan.product,
            max_age=within,
            job_type=scan.job_type,
            object_types=None if scan.object_type is None else [scan.object_type],
            organization_ids=[self.organization_id] if scan.product == self._product.name else None,
            decide_by="newest",
        )
        now = self._hook.client.clock.now()
        queries = policy.queries(now, location=self._hook.client.settings.location)
        jobs = list(self._hook.query(queries, with_changes=True))
        profiles: dict[str | None, list[BackupJob]] = defaultdict(list)
        for job in jobs:
            profiles[read_text(get_key(job.raw, scan.profile)) if scan.profile else None].append(job)
        now = self._hook.client.clock.now()
        return [judge(each, policy, now) for each in (profiles or {None: []}).values()]

    def _find_proofs(self) -> Any:
        if self._proofs is None:
            raise AvePointConfigError(
                "required: drilled_within needs the ledger, which holds what restores were proven; name the "
                "ledger, or leave the rule out."
            )
        return self._proofs(self._product.name, self.location, self._hook.client.clock.now())
