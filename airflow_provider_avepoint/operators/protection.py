"""Audit protection: compare what a tenant has with what it must have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.core.arguments import parse_breach, parse_ledger, parse_text
from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.literals import check_each, is_literal
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.protection import ProtectionAudit
from airflow_provider_avepoint.core.refusals import is_rendered_none, refuse
from airflow_provider_avepoint.core.requirements import Required, parse_required
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.core.text import list_some, trim
from airflow_provider_avepoint.exceptions import AvePointProtectionBreach, skip, to_airflow
from airflow_provider_avepoint.gates import check_literals, name_try
from airflow_provider_avepoint.links import LinkedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["AvePointProtectionAuditOperator"]

#: The XCom key of an audit with findings; one without findings is returned.
AUDIT_KEY = "audit"


class AvePointProtectionAuditOperator(LinkedOperator):
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

    template_fields: Sequence[str] = (
        "avepoint_conn_id",
        "required",
        "product",
        "on_breach",
        "organization_id",
        "location",
        "tenant",
        "ledger_conn_id",
    )
    template_fields_renderers = {"required": "json"}  # noqa: RUF012  # as BaseOperator declares it
    ui_color = "#dcecf7"

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
        super().__init__(**kwargs)
        self.avepoint_conn_id = avepoint_conn_id
        self.required = required
        self.product = product
        self.on_breach = on_breach
        self.organization_id = organization_id
        self.location = location
        self.tenant = tenant
        self.ledger_conn_id = ledger_conn_id
        check_literals(self, self._check_literals)

    def _check_literals(self) -> None:
        check_each(
            vars(self),
            product=lambda _, value: get_product(value),
            on_breach=parse_breach,
        )
        # A text may be the name of a file, which is read where the task runs.
        if is_literal(self.product) and is_literal(self.required) and not isinstance(self.required, str):
            parse_required(self.required, get_product(self.product))

    def execute(self, context: Context) -> dict[str, Any]:
        """Read and judge what the tenant has, record the result, and return it.

        :param context: Airflow's context of the task.
        :returns: the audit that the class describes, ready for JSON.
        :raises AvePointConfigError: an argument cannot be used.
        :raises AvePointError: nothing could be read, or the database failed; the error is also an
            ``AirflowException``.
        """
        try:
            parse_breach("on_breach", self.on_breach)
            self._name_ledger()
            required = self._read_required()
            audit = self._audit(context, required)
            self._log(audit)
            self._record(audit, context)
        except AvePointError as e:
            raise to_airflow(e) from None
        return self._end(context, {"tenant": self._name_ledger()[1], **audit.as_dict()})

    def _name_ledger(self) -> tuple[str | None, str]:
        """Return the ledger's connection, and the tenant's name in the ledger."""
        return parse_ledger(self.ledger_conn_id, self.tenant, self.avepoint_conn_id)

    def _read_required(self) -> Required:
        """Return what is required.

        :raises AvePointConfigError: it cannot be used, or its file cannot be read.
        """
        product = get_product(self.product)
        required = self.required
        if isinstance(required, PathLike):
            required = fspath(required)
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
        from airflow_provider_avepoint.required_file import read_required

        return read_required(text, self._find_folder(), product)

    def _find_folder(self) -> Path:
        """Return the folder of the DAG's file; the working directory where the task has no DAG."""
        dag = self.get_dag()
        return Path(dag.fileloc).parent if dag is not None and dag.fileloc else Path.cwd()

    def _audit(self, context: Context, required: Required) -> ProtectionAudit:
        """Return the audit; record why there is none.

        :raises AvePointError: nothing can be read.
        """
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        try:
            with AvePointHook(self.avepoint_conn_id) as hook:
                self.leave_link(context, hook.settings)
                return hook.audit_protection(
                    required,
                    product=required.product.name,
                    organization_id=self.organization_id,
                    location=self.location,
                    proofs=self._find_proofs,
                )
        except AvePointError as e:
            failed = ProtectionAudit(
                product=required.product.name,
                audited_at=datetime.now(UTC),
                location=parse_text("location", self.location),
                organization_id=parse_text("organization_id", self.organization_id),
                required=required.written,
                error=str(e),
            )
            try:
                self._record(failed, context)
            except AvePointError as second:  # the first is the greater news
                self.log.error("The failed audit could not be recorded: %s", second)  # noqa: TRY400  # no bug
            raise

    def _find_proofs(self, product: str, location: str | None, now: datetime) -> dict[str, datetime]:
        from airflow_provider_avepoint.ledger.proofs import find_proofs
        from airflow_provider_avepoint.ledger.store import Ledger

        ledger_conn_id, tenant = self._name_ledger()
        with Ledger(ledger_conn_id) as ledger:
            return find_proofs(ledger, tenant, product, location, now)

    def _record(self, audit: ProtectionAudit, context: Context) -> None:
        """Keep the audit in the ledger, with the schedule that it has read.

        :raises AvePointLedgerError: the database fails.
        """
        from airflow_provider_avepoint.ledger.store import Ledger

        ledger_conn_id, tenant = self._name_ledger()
        with Ledger(ledger_conn_id) as ledger:
            ledger.save_protection_audit(tenant, audit, name_try(context, self.task_id))
            if audit.schedule is not None:
                ledger.save_schedule(tenant, audit.schedule)

    def _log(self, audit: ProtectionAudit) -> None:
        for note in audit.notes:
            self.log.info("%s.", note)
        if not audit.findings:
            self.log.info("%s: everything that is required is there.", audit.product)
        for sentence in audit.as_dict()["findings"]:
            self.log.warning("%s.", sentence)

    def _end(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        """Return the result; skip or fail the task where there are findings, as *on_breach* says."""
        if result["passed"] or self.on_breach == "warn":
            return result
        if (ti := context.get("ti")) is not None:
            ti.xcom_push(AUDIT_KEY, result)
        message = f"{list_some(result['findings'])}."
        if self.on_breach == "skip":
            skip(self, message)
        raise AvePointProtectionBreach(message, reasons=tuple(result["reasons"]))
