"""What the audits of licences and of protection share: they read, record, and end as *on_breach* says."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.checked import CheckedOperator
from airflow_provider_avepoint.core.arguments import parse_breach, parse_dimension, parse_ledger, parse_text
from airflow_provider_avepoint.core.errors import AvePointError
from airflow_provider_avepoint.core.literals import check_each, is_literal
from airflow_provider_avepoint.core.products import get_product
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.core.text import list_some
from airflow_provider_avepoint.exceptions import (
    AvePointLicenseBreach,
    AvePointProtectionBreach,
    skip,
    to_airflow,
)
from airflow_provider_avepoint.gates import name_try
from airflow_provider_avepoint.links import LinkedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_avepoint.core.license import Audit
    from airflow_provider_avepoint.core.protection import ProtectionAudit
    from airflow_provider_avepoint.hooks.avepoint import AvePointHook
    from airflow_provider_avepoint.ledger.store import Ledger

__all__ = ["AuditOperator"]

#: The XCom key of an audit with findings that ends the task; any other audit is returned.
AUDIT_KEY = "audit"


class AuditOperator(CheckedOperator, LinkedOperator):
    """An operator that compares a tenant with what it should be, and records the result in the ledger.

    :param product: the product that is audited.
    :param on_breach: what the task does if there is a finding: ``fail``, ``skip``, or ``warn``, which logs
        the findings.
    :param organization_id: the customer or organisation.
    :param location: the Multi-Geo location.
    :param tenant: the name of the tenant in the ledger; the connection's id unless given.
    :param ledger_conn_id: an Airflow connection to PostgreSQL or SQLite; None: ``[avepoint] ledger_conn_id``
        of Airflow's configuration, or else a SQLite file under ``AIRFLOW_HOME``.
    :param avepoint_conn_id: the id of the AvePoint connection.
    """

    template_fields: Sequence[str] = (
        "avepoint_conn_id",
        "product",
        "on_breach",
        "organization_id",
        "location",
        "tenant",
        "ledger_conn_id",
    )
    ui_color = "#dcecf7"
    #: The error of an audit with findings, with ``on_breach="fail"``.
    _breach: type[AvePointLicenseBreach | AvePointProtectionBreach]

    def __init__(
        self,
        *,
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
        self.product = product
        self.on_breach = on_breach
        self.organization_id = organization_id
        self.location = location
        self.tenant = tenant
        self.ledger_conn_id = ledger_conn_id

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        super()._check_literals(given)
        check_each(
            given,
            product=lambda _, value: get_product(value),
            on_breach=parse_breach,
            organization_id=parse_text,
            location=parse_text,
        )
        if is_literal(given["product"]) and is_literal(given["location"]):
            product = get_product(given["product"])
            parse_dimension("location", given["location"], product, is_told=product.tells_locations)

    @abstractmethod
    def _audit(self, context: Context) -> dict[str, Any]:
        """Read, judge, record and log; return the result, ready for JSON.

        :raises AvePointError: an argument cannot be used, nothing can be read, or the database fails.
        """

    @abstractmethod
    def _save(self, ledger: Ledger, tenant: str, audit: Any, task: dict[str, Any] | None) -> None:
        """Write an audit into the ledger, also if it is an error."""

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
            _, tenant = self._name_ledger()
            result = {"tenant": tenant, **self._audit(context)}
        except AvePointError as e:
            raise to_airflow(e) from None
        if result["passed"] or self.on_breach == "warn":
            return result
        if (ti := context.get("ti")) is not None:
            ti.xcom_push(AUDIT_KEY, result)
        message = f"{list_some(result['findings'])}."
        if self.on_breach == "skip":
            skip(self, message)
        raise self._breach(message, reasons=tuple(result["reasons"]))

    def _name_ledger(self) -> tuple[str | None, str]:
        """Return the ledger's connection, and the tenant's name in the ledger."""
        return parse_ledger(self.ledger_conn_id, self.tenant, self.avepoint_conn_id)

    @contextmanager
    def _open_ledger(self) -> Iterator[tuple[Ledger, str]]:
        """Yield the ledger, and the tenant's name in the ledger.

        :raises AvePointLedgerError: the database fails.
        """
        from airflow_provider_avepoint.ledger.store import Ledger

        ledger_conn_id, tenant = self._name_ledger()
        with Ledger(ledger_conn_id) as ledger:
            yield ledger, tenant

    @contextmanager
    def _open_hook(
        self, context: Context, begin: Callable[[str | None], Audit | ProtectionAudit]
    ) -> Iterator[AvePointHook]:
        """Yield the hook; where the block cannot read anything, record why.

        :param context: Airflow's context of the task.
        :param begin: returns the audit without a result; it gets the connection's own location.
        :raises AvePointError: what the block has raised.
        """
        from airflow_provider_avepoint.hooks.avepoint import AvePointHook

        own_location = None
        try:
            with AvePointHook(self.avepoint_conn_id) as hook:
                own_location = hook.settings.location
                self.leave_link(context, hook.settings)
                yield hook
        except AvePointError as e:
            failed = replace(begin(own_location), error=str(e))
            try:
                with self._open_ledger() as (ledger, tenant):
                    self._save(ledger, tenant, failed, name_try(context, self.task_id))
            except AvePointError as second:  # the first is the greater news
                self.log.error("The failed audit could not be recorded: %s", second)  # noqa: TRY400  # no bug
            raise
