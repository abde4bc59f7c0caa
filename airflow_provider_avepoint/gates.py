"""The base of the check and of the backup sensor: the policy's arguments, and the end for a bad verdict."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_avepoint.checked import CheckedOperator
from airflow_provider_avepoint.core.arguments import parse_ledger
from airflow_provider_avepoint.core.errors import AvePointConfigError, AvePointError
from airflow_provider_avepoint.core.literals import check_policy
from airflow_provider_avepoint.core.policy import Policy
from airflow_provider_avepoint.core.settings import DEFAULT_CONN_ID
from airflow_provider_avepoint.exceptions import (
    AvePointBackupFailed,
    AvePointBackupNotVerified,
    skip,
    to_airflow,
)
from airflow_provider_avepoint.lineage import describe_gate
from airflow_provider_avepoint.links import LinkedOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_avepoint.core.questions import KeepDays

#: The XCom key of the evidence of a verdict that does not pass; the evidence of one that passes is returned.
VERDICT_KEY = "verdict"

_POLICY_FIELDS = tuple(each.name for each in fields(Policy))


class PolicyOperator(CheckedOperator, LinkedOperator):
    """An operator that takes the arguments of a :class:`~airflow_provider_avepoint.core.policy.Policy`.

    All arguments are template fields. ``Policy`` says how each may be written. A literal that cannot be used
    is refused where the DAG file is parsed; a value that a template renders is refused when the task runs.

    :param product: the product's name, such as ``dynamics365``.
    :param started_after: the data cut-off: the backup must have started at or after it.
    :param max_age: the largest age of the backup; a number is in seconds. Either *started_after* or *max_age*
        is required.
    :param organization_ids: the organisations that are expected.
    :param object_types: the workloads that are expected.
    :param locations: the Multi-Geo locations that are expected.
    :param expect_seen_within: expect every scope that had a job within this time before the window; a number
        is in seconds, and None switches this off.
    :param exclude: scopes that are shown but not judged.
    :param job_type: the job types that count as a backup.
    :param decide_by: which ended backups of a scope must be good: ``newest``, ``any`` or ``all``.
    :param accept_partial: a backup that finished with exceptions passes.
    :param max_failed: a partial backup passes up to this number of failed objects.
    :param max_failed_ratio: a partial backup passes up to this share of failed objects, 0 to 1.
    :param on_failed: what the task does with a verdict that does not pass: ``fail``, ``retry`` or ``skip``.
    :param fail_fast: the sensor ends as soon as a scope is bad and none of its newer backups is running.
    :param expect_scheduled: expect every service that is scheduled (Microsoft 365). AvePoint tells the
        schedule of the current UTC day only: with *ledger_conn_id* each schedule that is read is kept there,
        and the due runs of past days are judged by what was kept.
    :param max_unusual: the largest count of unusual activity that passes; None does not ask for it.
    :param unusual_within: how far back unusual activity counts; a number is in seconds. It does nothing while
        *max_unusual* is None.
    :param ledger_conn_id: an Airflow connection to the ledger's database, PostgreSQL or SQLite. The verdict
        is recorded there; None records nothing. A verdict that passes but cannot be recorded, or that would
        pass while the schedule of past days cannot be read, fails the task: a retry may mend that.
    :param tenant: the name of the tenant in the ledger; the connection's id unless given.
    :param avepoint_conn_id: the id of the AvePoint connection.
    """

    template_fields: Sequence[str] = ("avepoint_conn_id", *_POLICY_FIELDS, "ledger_conn_id", "tenant")
    ui_color = "#dcecf7"
    _judged: dict[str, Any] | None = None

    def __init__(
        self,
        *,
        product: str,
        started_after: datetime | str | None = None,
        max_age: timedelta | float | str | None = None,
        organization_ids: Sequence[str] | str | None = None,
        object_types: Sequence[str] | str | None = None,
        locations: Sequence[str] | str | None = None,
        expect_seen_within: timedelta | float | str | None = timedelta(days=7),
        exclude: list[dict[str, Any]] | str | None = None,
        job_type: str | Sequence[str] = "backup",
        decide_by: str | None = None,
        accept_partial: bool | str = False,
        max_failed: int | str | None = None,
        max_failed_ratio: float | str | None = None,
        on_failed: str = "fail",
        fail_fast: bool | str = True,
        expect_scheduled: bool | str = False,
        max_unusual: int | str | None = None,
        unusual_within: timedelta | float | str = timedelta(days=7),
        ledger_conn_id: str | None = None,
        tenant: str | None = None,
        avepoint_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.avepoint_conn_id = avepoint_conn_id
        self.product = product
        self.started_after = started_after
        self.max_age = max_age
        self.organization_ids = organization_ids
        self.object_types = object_types
        self.locations = locations
        self.expect_seen_within = expect_seen_within
        self.exclude = exclude
        self.job_type = job_type
        self.decide_by = decide_by
        self.accept_partial = accept_partial
        self.max_failed = max_failed
        self.max_failed_ratio = max_failed_ratio
        self.on_failed = on_failed
        self.fail_fast = fail_fast
        self.expect_scheduled = expect_scheduled
        self.max_unusual = max_unusual
        self.unusual_within = unusual_within
        self.ledger_conn_id = ledger_conn_id
        self.tenant = tenant
        self.check_literals()

    @classmethod
    def _check_literals(cls, given: Mapping[str, Any]) -> None:
        super()._check_literals(given)
        for note in check_policy({name: given[name] for name in _POLICY_FIELDS}):
            warnings.warn(f"Task {given['task_id']}: {note}", stacklevel=2)

    def build_policy(self) -> Policy:
        """Return the policy; call this after Airflow has rendered the templates.

        :raises AvePointConfigError: an argument cannot be used; the task fails without a retry.
        """
        try:
            self._name_ledger()
            return Policy(**{name: getattr(self, name) for name in _POLICY_FIELDS})
        except AvePointConfigError as e:
            raise to_airflow(e) from None

    def _name_ledger(self) -> tuple[str | None, str]:
        """Return the ledger's connection, and the tenant's name in the ledger."""
        return parse_ledger(self.ledger_conn_id, self.tenant, self.avepoint_conn_id)

    def find_ledger(self) -> dict[str, str] | None:
        """Return ``ledger_conn_id`` and ``tenant`` for the schedules that are kept; None keeps nothing."""
        if self.ledger_conn_id is None:
            return None
        ledger_conn_id, tenant = self._name_ledger()
        return None if ledger_conn_id is None else {"ledger_conn_id": ledger_conn_id, "tenant": tenant}

    def build_keeper(self) -> KeepDays | None:
        """Return what keeps each schedule that the gate reads; None without a ledger."""
        if (ledger := self.find_ledger()) is None:
            return None
        from airflow_provider_avepoint.ledger.schedules import keep_schedules

        return partial(keep_schedules, ledger_conn_id=ledger["ledger_conn_id"], tenant=ledger["tenant"])

    def note_verdict(self, context: Context, evidence: dict[str, Any]) -> None:
        """Count the verdict of the task, keep it for lineage, and record it in the ledger.

        :param context: Airflow's context of the task.
        :param evidence: ``Verdict.as_dict()``.
        :raises AvePointLedgerError: the verdict passes and cannot be recorded. For a verdict that does not
            pass, the failure of the ledger is only logged: the verdict itself ends the task.
        """
        from airflow_provider_avepoint.metrics import count

        self._judged = evidence
        count("verdicts", product=evidence["policy"]["product"], reason=evidence["reason"])
        if self.ledger_conn_id is None:
            return
        from airflow_provider_avepoint.ledger.store import Ledger

        try:
            ledger_conn_id, tenant = self._name_ledger()
            with Ledger(ledger_conn_id) as ledger:
                ledger.save_verdict(tenant, evidence, name_try(context, self.task_id))
        except AvePointError as e:
            if evidence["passed"]:
                raise to_airflow(e) from None
            self.log.error("The verdict could not be recorded: %s", e)  # noqa: TRY400  # no bug, no stack

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return the judged backups as the task's inputs; None where OpenLineage is not installed."""
        return describe_gate(self.avepoint_conn_id, self._judged)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return the same lineage for a task that did not pass.

        :param task_instance: Airflow's task instance.
        """
        return self.get_openlineage_facets_on_complete(task_instance)

    def keep_evidence(self, context: Context, evidence: dict[str, Any] | None) -> None:
        """Keep the evidence of a verdict that does not pass in an XCom, where there is a task instance.

        :param context: Airflow's context of the task.
        :param evidence: ``Verdict.as_dict()``; None keeps nothing.
        """
        if evidence is not None and (ti := context.get("ti")) is not None:
            ti.xcom_push(VERDICT_KEY, evidence)

    def reject(self, message: str, evidence: dict[str, Any] | None, *, is_settled: bool) -> NoReturn:
        """End the task for a verdict that does not pass.

        :param message: the text of the error: the verdict in a sentence.
        :param evidence: ``Verdict.as_dict()``; None where there is none.
        :param is_settled: whether neither waiting nor a retry can mend the verdict.
        :raises AirflowSkipException: with ``on_failed="skip"``.
        :raises AvePointBackupFailed: the verdict is settled, unless ``on_failed="retry"``.
        :raises AvePointBackupNotVerified: in every other case; Airflow retries the task by its own settings.
        """
        if self.on_failed == "skip":
            skip(self, message)
        if is_settled and self.on_failed != "retry":
            raise AvePointBackupFailed(message, verdict=evidence)
        raise AvePointBackupNotVerified(message, verdict=evidence)


def name_try(context: Context, name: str | None = None) -> dict[str, Any] | None:
    """Return which try of which task this is, as the ledger keeps it.

    :param context: what Airflow gave the task.
    :param name: the name for what is recorded outside of a task, such as the operator's ``task_id``.
    :returns: outside of a task the name alone; None where there is none.
    """
    if (ti := context.get("ti")) is None:
        return None if name is None else {"task_id": name}
    return {
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": ti.map_index,
        "try_number": ti.try_number,
    }
