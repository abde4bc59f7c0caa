"""Audit protection: compare what a tenant has with what it must have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_avepoint.core.arguments import parse_text
from airflow_provider_avepoint.core.literals import is_literal
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.protection import ProtectionAudit
from airflow_provider_avepoint.core.refusals import is_rendered_none, refuse
from airflow_provider_avepoint.core.requirements import Required, choose_organization, parse_required
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.core.text import trim
from airflow_provider_avepoint.exceptions import AvePointProtectionBreach
from airflow_provider_avepoint.gates import name_try
from airflow_provider_avepoint.operators.audit import AuditOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_avepoint.core.products.vocabulary import Product
    from airflow_provider_avepoint.ledger.store import Ledger

__all__ = ["AvePointProtectionAuditOperator"]


class AvePointProtectionAuditOperator(AuditOperator):
    """Judge a tenant against what it must have beside good jobs, and record the result in the ledger.

    *required* names services, each with its rules; the rules under ``tenant`` hold for the whole tenant::

        required={
            "exchange_online": {"runs_per_day": 1, "retention": "P1Y"},
            "sharepoint_online": {"max_unusual": 0, "drilled_within": "P90D"},
            "tenant": {"scanned_within": "P2D", "licensed": True},
        }

    or is the path of a YAML file with the same content, such as ``required.yaml`` beside the DAG. The package
    holds ``required.schema.json``, which describes such a file to editors.

    The rules under a service:

    - ``scheduled`` (true unless said otherwise, where the product tells its schedule): a backup of the
      service is scheduled today. Microsoft 365.
    - ``runs_per_day``: so many backups a day are scheduled, at least. Microsoft 365.
    - ``retention``: backups are kept so long, at least: ``P1Y``, ``P18M``, ``P90D`` or ``unlimited``. A
      container's period comes before the service's, and the service's before the default; which objects are
      in which container is not told, so the shortest period decides. Microsoft 365.
    - ``coverage``: the share of scanned objects that are protected, at least. Elements.
    - ``max_unusual``, with ``unusual_within`` (``P7D``): so many objects may look attacked. Microsoft 365
      and Elements.
    - ``drilled_within``: a restore of the service was proven (``AvePointRestoreOperator``) so recently, by
      the ledger. Microsoft 365.

    The rules under ``tenant``:

    - ``coverage``: as above, of each service that is listed. Elements.
    - ``max_unprotected_users``: so many users may have an unprotected part. Elements.
    - ``max_out_of_policy``: so many objects may have fallen out of backup, by the newest report of each scan
      profile. Elements.
    - ``max_unusual``, with ``unusual_within``: as above, of any service. Microsoft 365, Salesforce, Elements.
    - ``max_removed``, with ``removed_within`` (``P7D``): so many records of an organisation may have been
      removed. Salesforce.
    - ``scanned_within``: a scan for new objects has begun so recently, and the newest has ended well.
      Microsoft 365, Google Workspace and Elements.
    - ``licensed``: the licence has not ended and is not out of policy; one that does not tell (Microsoft 365
      writes 0 for "in policy") is ``license_unknown``. Microsoft 365 and Elements.

    The documents leave open which objects are in which container, and what Elements' counts mean where more
    objects are protected than were scanned: that is noted and no finding.

    Returns ``tenant``, ``product``, ``location``, ``organization_id``, ``audited_at``, ``passed``,
    ``reasons``, ``findings`` (a sentence for each), ``notes``, ``required`` and ``readings``. An audit with
    findings is in the XCom ``audit`` where the task does not return. The reasons are ``not_scheduled``,
    ``too_few_runs``, ``retention_short``, ``retention_unknown``, ``coverage_low``, ``coverage_unknown``,
    ``users_unprotected``, ``objects_out_of_policy``, ``unusual_activity``, ``mass_deletion``,
    ``scan_failed``, ``out_of_policy``, ``expired``, ``license_unknown``, ``not_drilled`` and ``unreadable``:
    a part, or a row of it, could not be read, such as for a missing permission, and all else was judged.

    :param required: what the tenant must have: an object, a JSON object in a string, or the path of a YAML
        file; a relative path begins in the folder of the DAG's file.
    :param product: the product that is asked: ``m365``, ``elements``, ``salesforce`` and others, as the rules
        say.
    :param on_breach: what the task does if there is a finding: ``fail``, ``skip``, or ``warn``, which logs
        the findings.
    :param organization_id: the customer of Elements, which is required there; the organisation of Salesforce.
    :param location: the Multi-Geo location; the connection's own unless given.
    :param tenant: the name of the tenant in the ledger; the connection's id unless given.
    :param ledger_conn_id: an Airflow connection to PostgreSQL or SQLite; None: ``[avepoint] ledger_conn_id``
        of Airflow's configuration, or else a SQLite file under ``AIRFLOW_HOME``.
    :param avepoint_conn_id: the id of the AvePoint connection.
    :raises AvePointProtectionBreach: there is a finding, with ``on_breach="fail"``.
    :raises AvePointLedgerError: the database fails; the findings have been logged before.
    """

    template_fields: Sequence[str] = (*AuditOperator.template_fields, "required")
    template_fields_renderers = {"required": "json"}  # noqa: RUF012  # as BaseOperator declares it
    _breach = AvePointProtectionBreach

    # AuditOperator declares what both audits have. It is repeated here for editors.
    def __init__(
        self,
        *,
        required: Mapping[str, Any] | str | PathLike[str],
        product: str = "m365",
        on_breach: str = "fail",
        organization_id: str | None = None,
        location: str | None = None,
        tenant: str | None = None,
        ledger_conn_id: str | None = None,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            product=product,
            on_breach=on_breach,
            organization_id=organization_id,
            location=location,
            tenant=tenant,
            ledger_conn_id=ledger_conn_id,
            avepoint_conn_id=avepoint_conn_id,
            **kwargs,
        )
        self.required = required
        self.check_literals()

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        super()._check_literals(given)
        if not (is_literal(given["product"]) and is_literal(given["required"])):
            return
        product = get_product(given["product"])
        required = _parse_written(given["required"], product)
        # What a file holds is read where the task runs.
        if required is not None and is_literal(given["organization_id"]):
            choose_organization(given["organization_id"], product, required.topics)

    def _audit(self, context: Context) -> dict[str, Any]:
        product = get_product(self.product)
        required = self._read_required(product)
        location = parse_text("location", self.location)
        asked = ProtectionAudit(
            product=product.name,
            audited_at=datetime.now(UTC),
            location=location,
            organization_id=parse_text("organization_id", self.organization_id),
            required=required.written,
        )

        def begin(own_location: str | None) -> ProtectionAudit:
            is_own = location is None and product.tells_locations
            return replace(asked, location=own_location) if is_own else asked

        with self._open_hook(context, begin) as hook:
            audit = hook.audit_protection(
                required,
                product=product.name,
                organization_id=self.organization_id,
                location=self.location,
                proofs=self._find_proofs,
            )
        self._tell(audit)
        with self._open_ledger() as (ledger, tenant):
            self._save(ledger, tenant, audit, name_try(context, self.task_id))
            if audit.schedule is not None:
                ledger.save_schedule(tenant, audit.schedule)
        return audit.as_dict()

    def _save(self, ledger: Ledger, tenant: str, audit: Any, task: dict[str, Any] | None) -> None:
        ledger.save_protection_audit(tenant, audit, task)

    def _read_required(self, product: Product) -> Required:
        """Return what is required.

        :raises AvePointConfigError: it cannot be used, or its file cannot be read.
        """
        written = _parse_written(self.required, product)
        if written is not None:
            return written
        from airflow_provider_avepoint.required_file import read_required

        return read_required(trim(fspath(cast("str", self.required))), self._find_folder(), product)

    def _find_folder(self) -> Path:
        """Return the folder of the DAG's file; the working directory where the task has no DAG."""
        dag = self.get_dag()
        return Path(dag.fileloc).parent if dag is not None and dag.fileloc else Path.cwd()

    def _find_proofs(self, product: str, location: str | None, now: datetime) -> dict[str, datetime]:
        from airflow_provider_avepoint.ledger.proofs import find_proofs

        with self._open_ledger() as (ledger, tenant):
            return find_proofs(ledger, tenant, product, location, now)

    def _tell(self, audit: ProtectionAudit) -> None:
        for note in audit.notes:
            self.log.info("%s.", note)
        if not audit.findings:
            self.log.info("%s: everything that is required is there.", audit.product)
        for sentence in audit.as_dict()["findings"]:
            self.log.warning("%s.", sentence)


def _parse_written(required: object, product: Product) -> Required | None:
    """Return what is required where the argument says it; None where the argument names a file.

    :raises AvePointConfigError: it cannot be used.
    """
    if isinstance(required, PathLike):
        return None
    if not isinstance(required, str):
        return parse_required(required, product)
    text = trim(required)
    if text.startswith("{"):
        try:
            return parse_required(json.loads(text), product)
        except (ValueError, RecursionError):
            raise refuse("required", required, "is not JSON.") from None
    if is_rendered_none(text):
        raise refuse("required", required, "names no file.")
    return None
